//! `peerlab exec ROUTER -- COMMAND…`: runs a command where a router of a kept lab is.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use super::{NOT_FOUND, NOT_RUN, kept_error};
use crate::kept;
use crate::kernel::join::JoinError;
use crate::source::Diagnostic;

/// Where an ordinary user's PATH does not lead, and where the programs for networks are.
const SYSTEM: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Arguments of `peerlab exec`.
#[derive(Debug, clap::Args)]
pub struct ExecArguments {
    /// The lab, when several are up.
    #[arg(long, value_name = "NAME")]
    pub lab: Option<String>,
    /// A router, `core`, `wan`, `internet`, `teams`, an endpoint, or a router's line card: `ROUTER.lc`.
    pub router: String,
    /// The command and its arguments.
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,
}

/// Runs the command; returns its exit number, or 128 and the number of the signal that ended it. As with env(1), 125 means
/// that peerlab failed, 126 that the command cannot be run, 127 that it was not found.
pub fn exec(arguments: &ExecArguments) -> u8 {
    let found = kept::find(arguments.lab.as_deref());
    let (place, owner) = match found.and_then(|lab| lab.enter(&arguments.router)) {
        Ok(entered) => entered,
        Err(error) => return kept_error(&error, NOT_RUN),
    };
    let Some((program, rest)) = arguments.command.split_first() else {
        return NOT_FOUND;
    };
    let mut command = Command::new(program);
    command.args(rest).env("PATH", path());
    match place.run(&owner, command) {
        Ok(number) => u8::try_from(number).unwrap_or(u8::MAX),
        Err(error) => {
            let number = match &error {
                JoinError::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    NOT_FOUND
                }
                JoinError::Start { .. } => NOT_RUN + 1,
                _ => NOT_RUN,
            };
            super::fail(Diagnostic::error(format!("failed to {error}")), number)
        }
    }
}

/// The user's PATH, and the system's programs behind it.
fn path() -> OsString {
    let own = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let mut places: Vec<_> = std::env::split_paths(&own).collect();
    for place in SYSTEM.map(Into::into) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    std::env::join_paths(places).unwrap_or(own)
}
