//! Running a program inside the namespaces of a lab that runs (setns(2)), with everything passed through: the standard
//! streams, the terminal, signals, and the exit number, as nsenter(1) does.
//!
//! **Invariant:** the program is a child of the caller, so it never outlives both; the lab's end ends it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, geteuid, setgroups, setresgid, setresuid};

use super::enter::next_to_pass_on;
use super::namespace::Namespace;
use super::unix::Peer;

/// What a shell makes of a signal that ended a program: this plus its number.
const BY_SIGNAL: i32 = 128;

/// Why a program could not be run inside.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A namespace could not be entered.
    #[error("enter the lab's {namespace} namespace: {source}")]
    Enter {
        /// `user`, `mount`, `pid`, `network`.
        namespace: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Root could not become the lab's user.
    #[error("become the lab's user: {0}")]
    Become(#[source] io::Error),
    /// The program could not be started.
    #[error("run `{program}`: {source}")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// Its end could not be seen.
    #[error("wait for its end: {0}")]
    Wait(#[source] io::Error),
}

/// The namespaces of a place in a lab.
#[derive(Debug)]
pub struct Namespaces {
    /// User namespace.
    pub user: OwnedFd,
    /// Mount namespace.
    pub mount: OwnedFd,
    /// Pid namespace.
    pub pid: OwnedFd,
    /// Network namespace.
    pub network: OwnedFd,
}

impl Namespaces {
    /// The calling process's namespaces, with this network.
    pub fn here(network: &Namespace) -> io::Result<Namespaces> {
        let own = |name: &str| File::open(format!("/proc/thread-self/ns/{name}"));
        Ok(Namespaces {
            user: own("user")?.into(),
            mount: own("mnt")?.into(),
            pid: own("pid")?.into(),
            network: network.fd().try_clone_to_owned()?,
        })
    }

    /// In the order of [`Namespaces::of`].
    pub fn descriptors(&self) -> [&OwnedFd; 4] {
        [&self.user, &self.mount, &self.pid, &self.network]
    }

    /// From descriptors in the order of [`Namespaces::descriptors`]; `None` when they are not four.
    pub fn of(descriptors: Vec<OwnedFd>) -> Option<Namespaces> {
        let [user, mount, pid, network] = descriptors.try_into().ok()?;
        Some(Namespaces {
            user,
            mount,
            pid,
            network,
        })
    }

    /// Runs a program there as the lab's `owner`, and returns its exit number, or 128 and the number of the signal that
    /// ended it. Ends with this process in the lab: only for a process with one thread that does nothing else.
    ///
    /// # Errors
    /// As [`JoinError`]; nothing was started then.
    pub fn run(&self, owner: &Peer, mut command: Command) -> Result<i32, JoinError> {
        let before = std::env::current_dir();
        self.enter(owner)?;
        // All of the file system but /run and /proc is as outside.
        let back = before.and_then(std::env::set_current_dir);
        if back.is_err() {
            let _ = std::env::set_current_dir("/");
        }
        let signals = Signals::hold().map_err(JoinError::Wait)?;
        // SAFETY: between fork and exec the closure makes one system call (rt_sigprocmask) on a value made before; it
        // allocates nothing and takes no lock.
        unsafe {
            command.pre_exec(|| Ok(SigSet::empty().thread_set_mask()?));
        }
        let child = command.spawn().map_err(|source| JoinError::Start {
            program: command.get_program().to_string_lossy().into_owned(),
            source,
        })?;
        signals.wait(Pid::from_raw(child.id() as i32))
    }

    fn enter(&self, owner: &Peer) -> Result<(), JoinError> {
        if geteuid() != owner.uid {
            // The owner of a user namespace has all rights in it; the system's root has no name there.
            setgroups(&[])
                .and_then(|()| setresgid(owner.gid, owner.gid, owner.gid))
                .and_then(|()| setresuid(owner.uid, owner.uid, owner.uid))
                .map_err(|errno| JoinError::Become(errno.into()))?;
        }
        let enter = |namespace, fd: &OwnedFd, kind| {
            setns(fd.as_fd(), kind).map_err(|errno| JoinError::Enter {
                namespace,
                source: errno.into(),
            })
        };
        // Root's lab has no user namespace of its own, and nobody may enter the one he is in.
        if !is_own_user_namespace(&self.user) {
            enter("user", &self.user, CloneFlags::CLONE_NEWUSER)?;
        }
        enter("pid", &self.pid, CloneFlags::CLONE_NEWPID)?;
        enter("network", &self.network, CloneFlags::CLONE_NEWNET)?;
        enter("mount", &self.mount, CloneFlags::CLONE_NEWNS)
    }
}

fn is_own_user_namespace(fd: &OwnedFd) -> bool {
    let other = fd.try_clone().and_then(|fd| File::from(fd).metadata());
    match (fs::metadata("/proc/self/ns/user"), other) {
        (Ok(own), Ok(other)) => (own.dev(), own.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

/// The signals that are for the program inside, held back from this process.
struct Signals(SignalFd);

impl Signals {
    fn hold() -> io::Result<Signals> {
        let signals = [
            Signal::SIGINT,
            Signal::SIGQUIT,
            Signal::SIGTERM,
            Signal::SIGHUP,
            Signal::SIGCHLD,
        ];
        let signals = SigSet::from_iter(signals);
        signals.thread_block()?;
        let watch = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?;
        Ok(Signals(watch))
    }

    /// Passes signals on until the child has ended. What a terminal sends the child has already.
    fn wait(&self, child: Pid) -> Result<i32, JoinError> {
        let failed = |errno: Errno| JoinError::Wait(errno.into());
        loop {
            let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
            match waitpid(child, Some(flags)).map_err(failed)? {
                WaitStatus::Exited(_, number) => return Ok(number),
                WaitStatus::Signaled(_, signal, _) => return Ok(BY_SIGNAL + signal as i32),
                // Ctrl-Z: the shell that started us is to see it, and its `fg` is for both.
                WaitStatus::Stopped(..) => {
                    raise(Signal::SIGSTOP).map_err(failed)?;
                    let _ = kill(child, Signal::SIGCONT);
                    continue;
                }
                _ => {}
            }
            if let Some(signal) = next_to_pass_on(&self.0) {
                let _ = kill(child, signal);
            }
        }
    }
}
