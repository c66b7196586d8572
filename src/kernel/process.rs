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
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

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

    /// The processes of a group that have not ended, those too that somebody else started.
    ///
    /// # Errors
    /// /proc cannot be read.
    pub fn of_group(group: Pid) -> io::Result<Vec<Process>> {
        let all = std::fs::read_dir("/proc")?.flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let alive = pids.map(Pid::from_raw).filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| lives_in(&stat, group))
        });
        // One that has gone in between is none.
        Ok(alive.filter_map(|pid| Process::open(pid).ok()).collect())
    }

    /// Waits for its end. Must be called in a runtime.
    ///
    /// # Errors
    /// The runtime cannot watch it.
    pub async fn ended(self) -> io::Result<()> {
        readable(self.0).await
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

/// Waits until a descriptor can be read. Must be called in a runtime.
pub(super) async fn readable(fd: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is owned, and so stays open, and the same one, until it is dropped with what watches it.
    let watched = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
    watched?.readable().await.map(drop)
}

/// Whether a line of /proc/PID/stat is of a process of this group that has not ended (proc_pid_stat(5)).
fn lives_in(stat: &str, group: Pid) -> bool {
    // The program's name is in parentheses, and may have any characters in it.
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    let mut fields = after.split(' ');
    let state = fields.next().unwrap_or_default();
    let its: Option<i32> = fields.nth(1).and_then(|group| group.parse().ok());
    !matches!(state, "Z" | "X" | "") && its == Some(group.as_raw())
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

    #[test]
    fn the_group_of_a_process_by_what_proc_says() {
        let group = Pid::from_raw(40);
        for (stat, lives) in [
            ("41 (bird) S 1 40 40 0 -1 4194304", true),
            ("41 (a) (b) c) R 1 40 40 0", true),
            ("41 (bird) Z 1 40 40 0", false),
            ("41 (bird) S 40 41 41 0", false),
            ("", false),
        ] {
            assert_eq!(lives_in(stat, group), lives, "{stat}");
        }
    }

    #[tokio::test]
    async fn the_end_of_all_of_a_group() {
        use std::os::unix::process::CommandExt;
        // A child of a child, which nobody here has started.
        let mut shell = Command::new("sh")
            .args(["-c", "cat & cat"])
            .stdin(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("sh");
        let group = Pid::from_raw(shell.id() as i32);
        let there = Process::of_group(group).expect("proc");
        assert!(!there.is_empty());
        nix::sys::signal::killpg(group, Signal::SIGKILL).expect("killed");
        for process in there {
            let ended = tokio::time::timeout(Duration::from_secs(20), process.ended());
            ended.await.expect("in time").expect("watched");
        }
        shell.wait().expect("reaped");
    }
}
