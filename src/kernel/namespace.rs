//! Network namespaces without a name, held by a descriptor (network_namespaces(7)).
//!
//! A namespace lives as long as something holds it: this descriptor, a socket made in it, or a process in it.
//! Nothing is mounted and nothing stands in /run/netns, so there is nothing to clean up.
//!
//! **Invariant:** a thread enters a namespace on its first line and never leaves it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::SigSet;

/// Why a namespace could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// The kernel did not make it.
    #[error("make a network namespace: {0}{help}", help = remedy(.0))]
    Make(#[source] io::Error),
    /// The kernel did not let us in.
    #[error("enter a network namespace: {0}{help}", help = remedy(.0))]
    Enter(#[source] io::Error),
    /// No thread could be started.
    #[error("start a thread for a network namespace: {0}")]
    Thread(#[source] io::Error),
    /// A program could not be started.
    #[error("start {program}: {source}")]
    Spawn {
        /// Its name or path.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What helps against the refusals we know.
fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM) => {
            "; it needs CAP_SYS_ADMIN: start as root, or let peerlab make a user namespace of its own"
        }
        Some(libc::EMFILE) => "; raise the limit of open files (`ulimit -n`)",
        Some(libc::ENFILE) => "; raise the sysctl fs.file-max",
        Some(libc::ENOSPC) => "; raise the sysctl user.max_net_namespaces",
        _ => "",
    }
}

/// A network namespace.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
}

impl Namespace {
    /// Makes a new, empty one; its `lo` is down.
    pub fn new() -> Result<Namespace, NamespaceError> {
        thread::Builder::new()
            .name("namespace".into())
            .spawn(Self::unshare_here)
            .map_err(NamespaceError::Thread)?
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Moves the calling thread into a new namespace, and returns it.
    ///
    /// Only for threads that do nothing else: a builder that makes many one after another.
    pub(super) fn unshare_here() -> Result<Namespace, NamespaceError> {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| NamespaceError::Make(errno.into()))?;
        Self::current().map_err(NamespaceError::Make)
    }

    /// The namespace of the calling thread.
    pub fn current() -> io::Result<Namespace> {
        Ok(Namespace {
            fd: File::open("/proc/thread-self/ns/net")?.into(),
        })
    }

    /// The descriptor, for netlink attributes such as `IFLA_NET_NS_FD`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Another descriptor of it.
    ///
    /// # Errors
    /// Too many files are open.
    pub fn try_clone(&self) -> Result<Namespace, NamespaceError> {
        let fd = self.fd.try_clone().map_err(NamespaceError::Enter)?;
        Ok(Namespace { fd })
    }

    /// Runs `f` on a thread of its own in this namespace, and waits for it. Sockets made by `f` stay in this namespace.
    ///
    /// A panic of `f` goes on in the caller.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T, NamespaceError> {
        thread::scope(|scope| {
            thread::Builder::new()
                .name("in-namespace".into())
                .spawn_scoped(scope, || {
                    enter(self.fd()).map_err(NamespaceError::Enter)?;
                    Ok(f())
                })
                .map_err(NamespaceError::Thread)?
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Makes `command` start its program in this namespace with no signal blocked.
    ///
    /// Also for `tokio::process::Command`, through its `as_std_mut`.
    pub fn enter_on_exec(&self, command: &mut Command) -> Result<(), NamespaceError> {
        let fd = self.fd.try_clone().map_err(NamespaceError::Thread)?;
        // SAFETY: between fork and exec the closure makes two system calls (setns, rt_sigprocmask) on values made
        // before the fork; it allocates nothing and takes no lock.
        unsafe {
            command.pre_exec(move || {
                enter(fd.as_fd())?;
                SigSet::empty().thread_set_mask()?;
                Ok(())
            });
        }
        Ok(())
    }

    /// Starts a program in this namespace with no signal blocked.
    pub fn spawn(&self, mut command: Command) -> Result<Child, NamespaceError> {
        self.enter_on_exec(&mut command)?;
        command.spawn().map_err(|source| NamespaceError::Spawn {
            program: command.get_program().to_string_lossy().into_owned(),
            source,
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}

fn enter(fd: BorrowedFd<'_>) -> io::Result<()> {
    setns(fd, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
}
