//! What the program does for each subcommand, one file each.
//!
//! **Invariant:** every subcommand returns an exit number of ARCHITECTURE.md's table; none ends the process itself.

mod bmp;
pub mod check;
pub mod doctor;
pub mod down;
pub mod exec;
pub mod log;
pub mod plan;
pub mod prefixes;
pub mod report;
pub mod run;
pub mod schema;
pub mod show;
mod signals;
mod toml_files;
pub mod uml;
pub mod up;

use crate::kept::KeptError;
use crate::source::{Diagnostic, Diagnostics};

/// Exit number for wrong files or usage.
pub const WRONG_FILES: u8 = 2;
/// Exit number when the lab failed.
pub const LAB_FAILED: u8 = 4;
/// Exit number: what was asked for could not be tried.
pub const BLOCKED: u8 = 3;
/// Exit number of `peerlab exec` when peerlab itself failed; 126 and 127 are those of the command (as env(1) has it).
const NOT_RUN: u8 = 125;
/// Exit number of `peerlab exec` when there is no such command.
const NOT_FOUND: u8 = 127;

/// Tells what is wrong; returns the number.
fn fail(diagnostic: Diagnostic, number: u8) -> u8 {
    anstream::eprintln!("{}", Diagnostics::from(diagnostic).render(true));
    number
}

/// Tells why a kept lab could not be asked, and what helps; returns the number.
fn kept_error(error: &KeptError, number: u8) -> u8 {
    let message = match error {
        KeptError::Wrong { message, .. } => message.clone(),
        other => format!("failed to {other}"),
    };
    let mut diagnostic = Diagnostic::error(message);
    if let Some(help) = error.help() {
        diagnostic = diagnostic.help(help);
    }
    fail(diagnostic, number)
}
