//! What the program does for each subcommand, one file each.
//!
//! **Invariant:** every subcommand returns an exit number of ARCHITECTURE.md's table; none ends the process itself.

pub mod check;
pub mod doctor;
pub mod plan;
pub mod report;
pub mod run;
pub mod schema;
mod toml_files;
