//! Running a program inside user-mode Linux: a kernel of its own as a process of this machine, with this machine's files.
//!
//! What the host's kernel lacks (bonding, netem, vrf) is there, for root and for an ordinary user alike.
//!
//! ```text
//! outside   relays output, passes signals on, ends with the program's exit number
//!   └ keeper  pid 1 of a pid namespace where one may be made: with it ends all of user-mode Linux
//!       └ linux.uml   boots with the host's / as its own, and this program as its init (`guest`)
//!           └ the program
//! ```
//!
//! Outside and guest speak lines over a terminal of the guest's (`wire`); two more carry the program's output, and the
//! console of the kernel is kept to tell why it failed. When the outside ends, the guest sees the line's end and powers off.
//!
//! **Invariant:** the host's file system is left as the program leaves it: user-mode Linux gets no folder for its own files.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, PipeReader, Read, Write, pipe};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, clone};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::statvfs::statvfs;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getegid, geteuid, setsid};

use self::wire::{FromGuest, Job, ToGuest};
use super::enter::ASKED_TO_END;

pub mod guest;
mod modules;
pub mod wire;

/// User-mode Linux as Debian names it.
const LINUX: &str = "linux.uml";
/// How to have it.
pub const REMEDY: &str = "apt-get install user-mode-linux";
/// The argument that makes this program the guest's init.
const INIT: &str = "uml-init";
/// Bytes of the kernel's last words that are kept.
const LAST_WORDS: usize = 8 * 1024;
/// Stack of the keeper before it is a program of its own, in bytes.
const STACK: usize = 1024 * 1024;
/// Memory of the guest, in MiB: at least and at most; it takes from the host what it touches.
const MEMORY: (u64, u64) = (256, 2048);

/// Why a program could not be run inside user-mode Linux.
#[derive(Debug, thiserror::Error)]
pub enum UmlError {
    /// It is not there.
    #[error("find {LINUX}: user-mode Linux is not installed")]
    NotInstalled,
    /// A path that its command line cannot hold.
    #[error(
        "name {0:?} on a kernel's command line: the path holds a quotation mark or is not UTF-8"
    )]
    Path(PathBuf),
    /// A system call failed.
    #[error("{doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It ended before the program did.
    #[error("keep user-mode Linux running: it ended by itself; its last words:\n{0}")]
    Ended(String),
    /// The guest could not start the program.
    #[error("run the program inside user-mode Linux: {0}")]
    Guest(String),
    /// The user asked to end while it booted.
    #[error("boot user-mode Linux: {0} came first; nothing of it is left")]
    Interrupted(&'static str),
}

fn system<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> UmlError {
    move |source| UmlError::System {
        doing,
        source: source.into(),
    }
}

/// Whether this process runs inside user-mode Linux.
pub fn is_here() -> bool {
    host().is_some()
}

/// The release of the kernel that user-mode Linux runs on; `None` anywhere else.
pub fn host() -> Option<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").ok()?;
    cpu.contains("User Mode Linux").then_some(())?;
    // As `uname -a` has it: system, name of the machine, release.
    let line = cpu.lines().find_map(|line| line.strip_prefix("host"))?;
    let words = line.trim_start_matches([' ', '\t', ':']);
    words.split_whitespace().nth(2).map(str::to_owned)
}

/// Runs a program with this process's environment, folder and streams inside user-mode Linux; returns its exit number,
/// 128 and the signal's number when a signal ended it.
///
/// Must be called before any thread is started. The program is root inside, with the caller's rights to the host's files.
///
/// # Errors
/// User-mode Linux is not installed, or ended before the program.
pub fn run(program: &Path, arguments: Vec<OsString>) -> Result<u8, UmlError> {
    let linux = find(LINUX).ok_or(UmlError::NotInstalled)?;
    let job = Job::here(program, arguments).map_err(system("ask for the present folder"))?;
    let (ours, theirs) = Ends::pair().map_err(system("make pipes"))?;
    let mut command = command(&linux)?;
    let mut watched = SigSet::from_iter(ASKED_TO_END);
    watched.add(Signal::SIGCHLD);
    watched.thread_block().map_err(system("block signals"))?;
    let signals =
        SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC).map_err(system("watch signals"))?;
    let keeper = start_keeper(&mut command, &theirs)?;
    drop(theirs);
    Outside {
        keeper,
        signals,
        tell: ours.control.0,
        hear: BufReader::new(ours.control.1),
    }
    .play(&job, ours.streams)
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).find_map(|folder| {
        let file = folder.join(program);
        file.is_file().then_some(file)
    })
}

/// `linux.uml` and its arguments. Descriptors have fixed numbers: 3 and 4 are the control line, 5 and 6 the program's output.
fn command(linux: &Path) -> Result<Command, UmlError> {
    let own = std::env::current_exe().map_err(system("ask for the path of this program"))?;
    let init = match own.to_str() {
        Some(path) if !path.contains('"') => path.to_owned(),
        Some(_) | None => return Err(UmlError::Path(own)),
    };
    let memory = memory();
    let mut command = Command::new(linux);
    command
        .args([&format!("mem={memory}M"), "quiet", "panic=-1"])
        .args(["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw"])
        // A folder that cannot be made, so that none is: its process number and its console for managers go there.
        .arg("uml_dir=/proc/")
        // Without a console it would add one behind the arguments of init.
        .args(["console=tty0", "con=null", "ssl=null", "con0=null,fd:1"])
        .args(["con1=null,fd:5", "con2=null,fd:6", "con3=fd:3,fd:4"])
        .arg(format!("init=\"{init}\""))
        .args(["--", INIT])
        .env("TMPDIR", room_for(memory))
        .stdin(Stdio::null());
    Ok(command)
}

/// Memory of the guest, in MiB: half of what is available.
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let (least, most) = MEMORY;
    kib.map_or(most, |kib| kib / 2048).clamp(least, most)
}

/// A folder for the file, without a name, that is the guest's memory. A container's /dev/shm is often too small for it.
fn room_for(mib: u64) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let free = statvfs(&memory).map_or(0, |fs| fs.blocks_available() * fs.fragment_size());
    match free / (1024 * 1024) >= mib {
        true => memory,
        false => std::env::temp_dir(),
    }
}

/// The ends of all pipes on one side.
struct Ends<Control, Stream> {
    control: Control,
    /// The program's output, its error output, and the kernel's console.
    streams: [Stream; 3],
}

type Ours = Ends<(io::PipeWriter, PipeReader), PipeReader>;
type Theirs = Ends<(PipeReader, io::PipeWriter), io::PipeWriter>;

impl Ours {
    fn pair() -> io::Result<(Ours, Theirs)> {
        let (listen, tell) = pipe()?;
        let (hear, say) = pipe()?;
        let [(out, put), (err, complain), (console, log)] = [pipe()?, pipe()?, pipe()?];
        let ours = Ends {
            control: (tell, hear),
            streams: [out, err, console],
        };
        let theirs = Ends {
            control: (listen, say),
            streams: [put, complain, log],
        };
        Ok((ours, theirs))
    }
}

/// Starts the keeper, in a pid namespace if that is allowed.
fn start_keeper(command: &mut Command, theirs: &Theirs) -> Result<Pid, UmlError> {
    let own = CloneFlags::CLONE_NEWPID;
    let (uid, gid) = (geteuid(), getegid());
    let ways = match uid.is_root() {
        true => [own, own | CloneFlags::CLONE_NEWUSER, CloneFlags::empty()],
        false => [
            own | CloneFlags::CLONE_NEWUSER,
            CloneFlags::empty(),
            CloneFlags::empty(),
        ],
    };
    let mut refused = Errno::UnknownErrno;
    for flags in ways {
        let mut stack = vec![0; STACK];
        let keep = Box::new(|| {
            let mapped = match flags.contains(CloneFlags::CLONE_NEWUSER) {
                true => map_user(uid.as_raw(), gid.as_raw()),
                false => Ok(()),
            };
            let bound = flags.contains(own);
            let kept = mapped.and_then(|()| keep(command, theirs, bound));
            isize::from(kept.is_err())
        });
        // SAFETY: without CLONE_VM this is fork(2) with a fresh stack, in a process with one thread.
        match unsafe { clone(keep, &mut stack, flags, Some(Signal::SIGCHLD as i32)) } {
            Ok(child) => return Ok(child),
            Err(errno) => refused = errno,
        }
    }
    Err(system("start a process")(refused))
}

/// Makes the caller root of its new user namespace (user_namespaces(7)).
fn map_user(uid: u32, gid: u32) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// The keeper: starts user-mode Linux, takes the ends of its processes, and ends with it. It is asked to end with SIGTERM.
///
/// `bound`: it is the first of a pid namespace, so all others end with it, and it ends with its parent. Else the guest has
/// to see by itself that nobody is left outside.
fn keep(command: &mut Command, theirs: &Theirs, bound: bool) -> io::Result<()> {
    if bound {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
    }
    let _ = prctl::set_name(c"peerlab-uml");
    // What a terminal sends goes to the outside, which passes it on to the program.
    setsid()?;
    let watched = SigSet::from_iter([Signal::SIGTERM, Signal::SIGCHLD]);
    let signals = SignalFd::with_flags(&watched, SfdFlags::SFD_CLOEXEC)?;
    let [out, err, console] = &theirs.streams;
    let number = |fd: &dyn AsRawFd| fd.as_raw_fd();
    let inherited = [
        number(&theirs.control.0),
        number(&theirs.control.1),
        number(out),
        number(err),
    ];
    command
        .stdout(console.try_clone()?)
        .stderr(console.try_clone()?);
    let linux = spawn_with(command, inherited)?;
    loop {
        let stopped = signals
            .read_signal()?
            .is_none_or(|info| info.ssi_signo == Signal::SIGTERM as u32);
        let ended = reap(linux);
        if stopped || ended {
            // Where no namespace binds them: it is the leader of a session of its own, and its helpers do not always follow it.
            let _ = kill(Pid::from_raw(-linux.as_raw()), Signal::SIGKILL);
            return Ok(());
        }
    }
}

/// Starts `linux.uml` with these descriptors as 3, 4, 5 and 6, and no signal blocked.
fn spawn_with(command: &mut Command, inherited: [i32; 4]) -> io::Result<Pid> {
    use std::os::unix::process::CommandExt;
    // Above the fixed numbers first, so that none is overwritten before it is copied.
    const ASIDE: i32 = 100;
    let copy = move |from: i32, to: i32| -> io::Result<()> {
        // SAFETY: dup2 takes two integers; the descriptors are open until the program runs.
        Errno::result(unsafe { libc::dup2(from, to) })?;
        Ok(())
    };
    let prepare = move || -> io::Result<()> {
        for (aside, fd) in (ASIDE..).zip(inherited) {
            copy(fd, aside)?;
        }
        for (aside, fixed) in (ASIDE..).zip(3..7) {
            copy(aside, fixed)?;
            // SAFETY: close takes an integer; nobody else uses this one.
            unsafe { libc::close(aside) };
        }
        SigSet::empty().thread_set_mask()?;
        Ok(())
    };
    // SAFETY: only system calls that are async-signal-safe, and no allocation.
    let child = unsafe { command.pre_exec(prepare) }.spawn()?;
    Ok(Pid::from_raw(child.id() as i32))
}

/// Takes the ends of all children that ended; whether `awaited` is among them, or none is left.
fn reap(awaited: Pid) -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return false,
            Ok(status) if status.pid() == Some(awaited) => return true,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return true,
        }
    }
}

/// What stays outside while user-mode Linux runs.
struct Outside {
    keeper: Pid,
    signals: SignalFd,
    tell: io::PipeWriter,
    hear: BufReader<PipeReader>,
}

impl Outside {
    fn play(mut self, job: &Job, streams: [PipeReader; 3]) -> Result<u8, UmlError> {
        let [out, err, console] = streams;
        let relays = [
            thread::spawn(move || relay(out, io::stdout())),
            thread::spawn(move || relay(err, io::stderr())),
        ];
        let console = thread::spawn(move || last_words(console));
        let result = self.follow(job);
        // Nothing of it is left now but what the pipes hold.
        let _ = kill(self.keeper, Signal::SIGTERM);
        let _ = waitpid(self.keeper, None);
        relays.into_iter().for_each(|relay| drop(relay.join()));
        let words = console.join().unwrap_or_default();
        tracing::debug!(%words, "the console of user-mode Linux");
        match result? {
            FromGuest::Exit(number) => Ok(number),
            FromGuest::Failed(reason) => Err(UmlError::Guest(reason)),
            FromGuest::Ready | FromGuest::Gone => Err(UmlError::Ended(words)),
        }
    }

    /// Until the program has ended, or user-mode Linux.
    fn follow(&mut self, job: &Job) -> Result<FromGuest, UmlError> {
        let mut job = job.lines().into_iter();
        let mut begun = false;
        loop {
            let (signalled, heard) = self.wait().map_err(system("wait for user-mode Linux"))?;
            if signalled {
                let info = self
                    .signals
                    .read_signal()
                    .map_err(system("read a signal"))?;
                let signal = info.and_then(|info| Signal::try_from(info.ssi_signo as i32).ok());
                match signal {
                    None | Some(Signal::SIGCHLD) => {}
                    Some(signal) if begun => self.say(&ToGuest::Signal(signal as i32)),
                    Some(signal) => return Err(UmlError::Interrupted(signal.as_str())),
                }
            }
            if heard {
                let mut line = String::new();
                // An end of the line is an empty one.
                let _ = self.hear.read_line(&mut line);
                match FromGuest::parse(&line) {
                    FromGuest::Ready => {
                        if let Some(line) = job.next() {
                            begun = line == ToGuest::Go;
                            self.say(&line);
                        }
                    }
                    last => return Ok(last),
                }
            }
        }
    }

    /// Waits for a signal or a line; tells which came.
    fn wait(&self) -> io::Result<(bool, bool)> {
        let mut events = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.hear.get_ref().as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut events, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [signalled, heard] = events.map(|event| event.any().unwrap_or(false));
        Ok((signalled, heard))
    }

    fn say(&mut self, words: &ToGuest) {
        // When nobody listens any more, its end is the next that is heard.
        let _ = self.tell.write_all(words.line().as_bytes());
    }
}

/// Passes on as it comes, until the end.
fn relay(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        // The reader may have gone; the guest is not held up by that.
        let _ = to.write_all(&buffer[..count]).and_then(|()| to.flush());
    }
}

/// Reads to the end, and keeps what came last.
fn last_words(mut from: impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(LAST_WORDS);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).trim().replace('\r', "")
}
