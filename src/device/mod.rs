//! What can play a router that is not ours: one file per kind.
//!
//! A device is a child process in the router's namespace, with the configuration file the user gave it.
//! It sees the interfaces `peerlab plan` prints and nothing of the lab else.
//!
//! **Invariant:** what a device says is reported in its own words; a device that ends is never ignored.

pub mod bird;

use std::path::PathBuf;

/// Why a device could not play its router.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The program is not installed.
    #[error(
        "start {program} for router {router}: not found in PATH or /usr/sbin; install it (Debian: `apt-get install {package}`) or bind the router to `simulated`"
    )]
    NotInstalled {
        /// Router.
        router: String,
        /// Program.
        program: &'static str,
        /// Debian package.
        package: &'static str,
    },
    /// The program refuses its configuration.
    #[error("{program} rejects the configuration {} of router {router}:\n{words}", config.display())]
    Rejected {
        /// Router.
        router: String,
        /// Program.
        program: &'static str,
        /// Configuration file.
        config: PathBuf,
        /// What it said.
        words: String,
    },
    /// The program could not be run.
    #[error("start {program} for router {router}: {source}")]
    Spawn {
        /// Router.
        router: String,
        /// Program.
        program: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Its namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] crate::kernel::namespace::NamespaceError),
}

impl DeviceError {
    /// The machine lacks the program: nothing failed, but nothing can be tried.
    pub fn is_lack(&self) -> bool {
        matches!(self, DeviceError::NotInstalled { .. })
    }
}
