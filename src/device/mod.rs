//! What can play a router that is not ours: one file per kind, over one way to run child processes ([`child`]).
//!
//! A device is a daemon, or several, in the router's namespace, with the configuration file the user gave it and with
//! `/run`, `/var/tmp`, `/var/log` and what else it needs of its own (`place`). It sees the interfaces `peerlab plan`
//! prints and nothing of the lab else.
//!
//! | kind | what runs | checked by |
//! |---|---|---|
//! | BIRD | `bird` | `bird -p` |
//! | FRR | `zebra`, then `bgpd`, `bfdd`, `staticd`, then `vtysh -b` | `vtysh -C` |
//! | GoBGP | `gobgpd` | `gobgpd -d` |
//! | OpenBGPD | `bgpd` | `bgpd -n` |
//! | ExaBGP | `exabgp` | `exabgp --validate` |
//!
//! All are told to run as the user they were installed for, and do, as far as they can see: in their place this user is
//! root, as only one user exists in the lab of an ordinary user.
//!
//! **Invariant:** what a device says is reported in its own words; a device that ends is never ignored.

mod bird;
pub mod child;
mod exabgp;
mod frr;
mod gobgp;
mod openbgpd;
mod place;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use self::child::Words;
pub use self::child::{Ended, Running};
pub use self::place::Place;
use crate::binding::Daemon;
use crate::kernel::feature::program;
use crate::kernel::namespace::Namespace;
use crate::record::Recorder;
use crate::source::Secrets;

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
        source: io::Error,
    },
    /// Its files could not be laid out.
    #[error("lay out the files of router {router}: {source}")]
    Files {
        /// Router.
        router: String,
        /// The system's answer.
        source: io::Error,
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

/// Lets a daemon read a configuration without running it, in the present namespaces. What it says is told without `secrets`.
///
/// # Errors
/// It is not installed, refuses the configuration, or cannot be run.
pub fn check(
    router: &str,
    daemon: Daemon,
    config: &Path,
    secrets: &Secrets,
) -> Result<(), DeviceError> {
    let files = |source| DeviceError::Files {
        router: router.to_owned(),
        source,
    };
    let folder = tempfile::tempdir().map_err(files)?;
    let (program, (mut command, read)) = match daemon {
        Daemon::Bird => ("bird", bird::check(router, config)?),
        Daemon::Frr => ("vtysh", frr::check(router, config, folder.path())?),
        Daemon::Gobgp => ("gobgpd", gobgp::check(router, config)?),
        Daemon::Openbgpd => ("bgpd", openbgpd::check(router, config, folder.path())?),
        Daemon::Exabgp => ("exabgp", exabgp::check(router, config)?),
    };
    let spawn = |source| DeviceError::Spawn {
        router: router.to_owned(),
        program,
        source,
    };
    let output = command.stdin(Stdio::null()).output().map_err(spawn)?;
    if output.status.success() {
        return Ok(());
    }
    // Killed, it has not judged anything.
    if output.status.code().is_none() {
        return Err(spawn(io::Error::other(output.status.to_string())));
    }
    let words = [output.stdout, output.stderr].concat();
    let words = String::from_utf8_lossy(&words);
    // The user knows the file by its own name.
    let mut words = words
        .trim()
        .replace(&*read.to_string_lossy(), &config.to_string_lossy());
    if words.is_empty() {
        words = output.status.to_string();
    }
    Err(DeviceError::Rejected {
        router: router.to_owned(),
        program,
        config: PathBuf::from(config),
        words: secrets.hide(words),
    })
}

/// Starts a daemon in the router's namespace and watches it until it ends or is stopped. What it says is recorded without
/// `secrets`. Must be called inside a tokio `LocalSet`, and in the namespaces of [`crate::kernel::enter`].
///
/// # Errors
/// It is not installed, or its files cannot be laid out. All that comes later, a configuration it refuses among it, is
/// told as its end; see [`check`].
pub fn start(
    router: &str,
    daemon: Daemon,
    config: &Path,
    namespace: &Arc<Namespace>,
    (recorder, secrets): (&Recorder, &Secrets),
    ended: UnboundedSender<Ended>,
) -> Result<Running, DeviceError> {
    let files = |source| DeviceError::Files {
        router: router.to_owned(),
        source,
    };
    let mut place = Place::new(router, namespace).map_err(files)?;
    match daemon {
        Daemon::Bird => bird::furnish(&mut place),
        Daemon::Frr => frr::furnish(&mut place, config),
        Daemon::Gobgp => Ok(()),
        Daemon::Openbgpd => openbgpd::furnish(&mut place, config),
        Daemon::Exabgp => exabgp::furnish(&mut place),
    }
    .map_err(files)?;
    let stages = match daemon {
        Daemon::Bird => bird::stages(&place, config),
        Daemon::Frr => frr::stages(&place),
        Daemon::Gobgp => gobgp::stages(&place, config),
        Daemon::Openbgpd => openbgpd::stages(&place, config),
        Daemon::Exabgp => exabgp::stages(&place, config),
    }?;
    let words = Words::new(router, recorder, secrets);
    Ok(child::start(daemon, place, stages, words, ended))
}

/// Where a program is.
fn find(
    router: &str,
    program: &'static str,
    package: &'static str,
) -> Result<PathBuf, DeviceError> {
    program::find(program).ok_or_else(|| DeviceError::NotInstalled {
        router: router.to_owned(),
        program,
        package,
    })
}

/// A command that lets a daemon read a configuration, and the path under which it does.
type Check = (Command, PathBuf);
