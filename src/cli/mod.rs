//! What the program does for each subcommand, one file each.
//!
//! **Invariant:** every subcommand returns an exit number of ARCHITECTURE.md's table; none ends the process itself.

pub mod check;
pub mod doctor;
pub mod log;
pub mod plan;
pub mod prefixes;
pub mod report;
pub mod run;
pub mod schema;
mod toml_files;

/// Exit number for wrong files or usage.
pub const WRONG_FILES: u8 = 2;
/// Exit number when the lab failed.
pub const LAB_FAILED: u8 = 4;
