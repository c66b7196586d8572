//! `peerlab uml COMMAND…` and `--kernel uml`: a command, or the same command again, inside user-mode Linux.

use std::ffi::OsString;
use std::path::Path;

use super::{BLOCKED, LAB_FAILED, NOT_RUN, fail};
use crate::kernel::uml::{self, UmlError};
use crate::source::Diagnostic;

/// Arguments of `peerlab uml`.
#[derive(Debug, clap::Args)]
pub struct UmlArguments {
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// Runs a command inside; returns its exit number, 125 when it could not be run. Must be called before any thread is started.
pub fn uml(arguments: &UmlArguments) -> u8 {
    let Some((program, rest)) = arguments.command.split_first() else {
        return NOT_RUN;
    };
    uml::run(Path::new(program), rest.to_vec()).unwrap_or_else(|error| tell(&error, NOT_RUN))
}

/// Runs this program with the same arguments inside. Must be called before any thread is started.
pub(super) fn again() -> u8 {
    let arguments = std::env::args_os().skip(1).collect();
    let own = match std::env::current_exe() {
        Ok(own) => own,
        Err(source) => {
            let doing = "ask for the path of this program";
            return tell(&UmlError::System { doing, source }, LAB_FAILED);
        }
    };
    uml::run(&own, arguments).unwrap_or_else(|error| match error {
        UmlError::NotInstalled => tell(&error, BLOCKED),
        _ => tell(&error, LAB_FAILED),
    })
}

fn tell(error: &UmlError, number: u8) -> u8 {
    let mistake = Diagnostic::error(format!("failed to {error}"));
    match error {
        UmlError::NotInstalled => fail(mistake.help(uml::REMEDY), number),
        _ => fail(mistake, number),
    }
}

/// What the first process of user-mode Linux does; elsewhere it is a mistake.
pub fn init() -> u8 {
    uml::guest::init();
    fail(
        Diagnostic::error("this is for user-mode Linux to call"),
        NOT_RUN,
    )
}
