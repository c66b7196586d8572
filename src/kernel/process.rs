//! A process of somebody else, held by a descriptor, so that its number cannot come to mean another one (pidfd_open(2)).
//!
//! **Invariant:** no call here touches a process that began after the descriptor was made.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// A process.
#[derive(Debug)]
pub struct Process(OwnedFd);

impl Process {
    /// The process of this number; an error when there is none.
    pub fn open(pid: Pid) -> io::Result<Process> {
        // SAFETY: pidfd_open takes two integers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        let fd = Errno::result(fd)?;
        // SAFETY: the kernel has just made this descriptor for us; nobody else knows of it.
        Ok(Process(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
    }

    /// Waits for its end; whether it has ended.
    pub fn wait(&self, timeout: Duration) -> bool {
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        let mut events = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut events, timeout).is_ok_and(|ready| ready > 0)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let (fd, signal) = (self.0.as_raw_fd(), signal as i32);
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the third argument may be null (pidfd_send_signal(2)), the others are integers.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, none, 0) };
        Errno::result(sent)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_end_of_a_process_is_seen_even_when_it_is_killed() {
        let mut child = Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("cat");
        let process = Process::open(Pid::from_raw(child.id() as i32)).expect("there");
        assert!(!process.wait(Duration::ZERO));
        process.signal(Signal::SIGKILL).expect("sent");
        assert!(process.wait(Duration::from_secs(10)));
        child.wait().expect("reaped");
        assert!(process.signal(Signal::SIGKILL).is_err());
    }
}
