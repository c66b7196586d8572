//! Going into the background, as a daemon does, with the command that was typed waiting until the work is well under way.
//!
//! ```text
//! front   what the shell started: passes signals on, ends with the number it is told, or with the child's own
//!   └ child   in a session of its own (setsid(2)); returns from `split` and is peerlab from there on
//! ```
//!
//! **Invariant:** once the front is released, nothing of the terminal is held, so it can be closed and a pipe ends.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{
    ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, read, setsid, write,
};

use super::enter::ASKED_TO_END;

/// Exit number of the front when the child ended by a signal: the lab failed.
const LAB_FAILED: i32 = 4;

/// The child's way to the command that waits.
#[derive(Debug)]
#[must_use = "the command in front waits until it is released"]
pub struct Front(OwnedFd);

impl Front {
    /// Lets go of the terminal, and lets the command end with this number.
    pub fn release(self, number: u8) {
        // Without /dev/null the terminal stays open, which harms nobody.
        let _ = let_go();
        // The front may be gone; then nobody waits.
        let _ = write(&self.0, &[number]);
    }
}

/// Puts /dev/null in place of the standard streams.
pub fn let_go() -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

/// Splits the program in two; returns in the child. Must be called before any thread is started.
///
/// # Errors
/// The kernel gives no process or no descriptors; then nothing was split.
pub fn split() -> io::Result<Front> {
    let (told, tell) = pipe2(OFlag::O_CLOEXEC)?;
    let mut watched = SigSet::from_iter(ASKED_TO_END);
    watched.add(Signal::SIGCHLD);
    watched.thread_block()?;
    // SAFETY: this process has one thread, so the child's memory is in a consistent state.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            drop(tell);
            process::exit(wait(child, &watched, &told))
        }
        ForkResult::Child => {
            // What the terminal sends goes to the front, which passes it on while it is there.
            setsid()?;
            watched.thread_unblock()?;
            Ok(Front(tell))
        }
    }
}

/// The front: passes signals on until it is told a number or the child ends.
fn wait(child: Pid, watched: &SigSet, told: &OwnedFd) -> i32 {
    let Ok(signals) = SignalFd::with_flags(watched, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
    else {
        return LAB_FAILED;
    };
    loop {
        let mut events = [
            PollFd::new(told.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut events, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return LAB_FAILED,
        }
        if events[0].any().unwrap_or(true) {
            let mut number = [0];
            if read(told, &mut number) == Ok(1) {
                return i32::from(number[0]);
            }
        }
        while let Ok(Some(info)) = signals.read_signal() {
            if let Ok(signal) = Signal::try_from(info.ssi_signo as i32)
                && signal != Signal::SIGCHLD
            {
                let _ = kill(child, signal);
            }
        }
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, number)) => return number,
            Ok(WaitStatus::StillAlive) => {}
            Ok(_) | Err(_) => return LAB_FAILED,
        }
    }
}
