//! Init of user-mode Linux: prepares what programs expect of a machine, runs one program, and powers off.
//!
//! **Invariant:** whatever happens, the guest ends: with the program, with the outside, or by the panic of a kernel
//! without init.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write, pipe};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{self, SetArg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, sync};

use super::modules;
use super::wire::{FromGuest, Job, ToGuest};

/// What a shell makes of a signal that ended a program: this plus its number.
const BY_SIGNAL: i32 = 128;

/// Runs what the outside asks for, and powers off; returns only when this process is no init.
pub fn init() {
    if getpid().as_raw() != 1 {
        return;
    }
    // What goes wrong before the line is there is told on the console, whose last words the outside tells.
    if let Err(error) = guest() {
        let _ = writeln!(io::stderr(), "peerlab: {error}");
    }
    // Written back here: the memory that holds it is about to go.
    sync();
    let _ = reboot(RebootMode::RB_POWER_OFF);
}

fn guest() -> io::Result<()> {
    mount_all()?;
    if !super::is_here() {
        return Err(io::Error::other("this is not user-mode Linux"));
    }
    modules::load()?;
    // Before any thread is started: it is waited for.
    SigSet::from_iter([Signal::SIGCHLD]).thread_block()?;
    let mut line = Line::open()?;
    let last = match line.job() {
        Some(job) => line.run(&job),
        None => FromGuest::Gone,
    };
    sync();
    line.say(&last);
    Ok(())
}

/// What programs expect beside the host's files. /tmp stays the host's: what a user names may be there.
fn mount_all() -> io::Result<()> {
    const NONE: Option<&str> = None;
    let strict = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), strict, NONE)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), strict, NONE)?;
    // The kernel may have done so already.
    match mount(
        Some("devtmpfs"),
        "/dev",
        Some("devtmpfs"),
        MsFlags::MS_NOSUID,
        NONE,
    ) {
        Ok(()) | Err(Errno::EBUSY) => {}
        Err(errno) => return Err(errno.into()),
    }
    for (kind, folder) in [("devpts", "/dev/pts"), ("tmpfs", "/dev/shm")] {
        fs::create_dir_all(folder)?;
        mount(Some(kind), folder, Some(kind), MsFlags::MS_NOSUID, NONE)?;
    }
    Ok(())
}

/// The way to the outside, and the terminals of the program.
struct Line {
    control: BufReader<File>,
    streams: [File; 2],
}

impl Line {
    fn open() -> io::Result<Line> {
        let streams = [terminal("/dev/tty1")?, terminal("/dev/tty2")?];
        let control = BufReader::new(terminal("/dev/tty3")?);
        Ok(Line { control, streams })
    }

    /// Tells the outside, after all that the program wrote.
    fn say(&mut self, words: &FromGuest) {
        let mut control = self.control.get_ref();
        // Nobody hears it when the outside has gone.
        let _ = self.streams.iter().try_for_each(termios::tcdrain);
        let _ = control.write_all(words.line().as_bytes());
        let _ = termios::tcdrain(control);
    }

    /// What to run; `None` when the outside has gone.
    fn job(&mut self) -> Option<Job> {
        let mut parts = String::new();
        loop {
            self.say(&FromGuest::Ready);
            match self.hear() {
                ToGuest::Part(part) => parts.push_str(&part),
                ToGuest::Go => return Job::parse(&parts),
                ToGuest::Signal(_) | ToGuest::Gone => return None,
            }
        }
    }

    fn hear(&mut self) -> ToGuest {
        let mut line = String::new();
        // An end of the line is an empty one.
        let _ = self.control.read_line(&mut line);
        ToGuest::parse(&line)
    }

    fn run(&mut self, job: &Job) -> FromGuest {
        match self.start(job) {
            Ok((child, relays)) => {
                let last = self.follow(&child);
                // What it left behind holds its output, and has nobody to work for. All but this process get it.
                let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
                relays.into_iter().for_each(|relay| drop(relay.join()));
                last
            }
            Err(error) => {
                let program = job.program.to_string_lossy();
                FromGuest::Failed(format!("{program}: {error}"))
            }
        }
    }

    fn start(&self, job: &Job) -> io::Result<(Child, Vec<JoinHandle<()>>)> {
        let mut relays = Vec::new();
        let [out, err] = &self.streams;
        let out = stream(out, job.terminals[0], &mut relays)?;
        let err = stream(err, job.terminals[1], &mut relays)?;
        let mut command = Command::new(&job.program);
        command
            .args(&job.arguments)
            .env_clear()
            .envs(job.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&job.folder)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0);
        let unblock = || Ok(SigSet::empty().thread_set_mask()?);
        // SAFETY: one system call that is async-signal-safe.
        let child = unsafe { command.pre_exec(unblock) }.spawn()?;
        Ok((child, relays))
    }

    /// Passes signals on until the program or the outside has ended.
    fn follow(&mut self, child: &Child) -> FromGuest {
        let pid = Pid::from_raw(child.id() as i32);
        let watched = SigSet::from_iter([Signal::SIGCHLD]);
        let Ok(signals) = SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC) else {
            return FromGuest::Gone;
        };
        loop {
            if let Some(number) = reap(pid) {
                return FromGuest::Exit(u8::try_from(number).unwrap_or(u8::MAX));
            }
            let mut events = [
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.control.get_ref().as_fd(), PollFlags::POLLIN),
            ];
            if let Err(errno) = poll(&mut events, PollTimeout::NONE)
                && errno != Errno::EINTR
            {
                return FromGuest::Gone;
            }
            let [ended, said] = events.map(|event| event.any().unwrap_or(false));
            if ended {
                let _ = signals.read_signal();
            }
            if said {
                match self.hear() {
                    ToGuest::Signal(number) => {
                        if let Ok(signal) = Signal::try_from(number) {
                            let _ = kill(pid, signal);
                        }
                    }
                    ToGuest::Part(_) | ToGuest::Go | ToGuest::Gone => {
                        return FromGuest::Gone;
                    }
                }
            }
        }
    }
}

/// Opens a terminal, and makes a pipe of it: nothing is echoed, edited or translated.
fn terminal(path: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOCTTY);
    let file = options.open(path)?;
    let mut how = termios::tcgetattr(&file)?;
    termios::cfmakeraw(&mut how);
    termios::tcsetattr(&file, SetArg::TCSANOW, &how)?;
    Ok(file)
}

nix::ioctl_write_ptr_bad! {
    /// Says how large the window is.
    set_window_size, libc::TIOCSWINSZ, libc::winsize
}

/// An output of the program: the terminal, when it is one outside, else a pipe that is read into it.
fn stream(
    terminal: &File,
    columns: Option<u16>,
    relays: &mut Vec<JoinHandle<()>>,
) -> io::Result<Stdio> {
    let mut copy = terminal.try_clone()?;
    let Some(columns) = columns else {
        let (mut read, write) = pipe()?;
        relays.push(thread::spawn(move || {
            let _ = io::copy(&mut read, &mut copy);
        }));
        return Ok(write.into());
    };
    let size = libc::winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel reads one `winsize`, and that is what is there.
    unsafe { set_window_size(copy.as_raw_fd(), &size) }?;
    Ok(copy.into())
}

/// Takes the ends of all processes that ended; the program's exit number once it is among them.
fn reap(program: Pid) -> Option<i32> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, number)) if pid == program => return Some(number),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                return Some(BY_SIGNAL + signal as i32);
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return None,
            Ok(_) | Err(_) => {}
        }
    }
}
