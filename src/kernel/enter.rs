//! Moving this program into user, mount, pid and network namespaces of its own (namespaces(7), user_namespaces(7)).
//!
//! ```text
//! outer   stays outside, passes signals on, makes sockets there, ends with the inner's exit number
//!   └ init    pid 1 of the new pid namespace: reaps orphans, ends when the outer or the inner ends
//!       └ inner   returns from `enter` and is peerlab from there on
//! ```
//!
//! When init ends, for whatever reason, the kernel kills every process of its pid namespace, and with the last
//! process go the namespaces, their links, and the mounts. So whichever of the three is killed, at any moment,
//! nothing is left:
//! - outer: init has asked for SIGKILL at its parent's end, and watches a pipe whose other end only the outer holds,
//!   which covers the moments before it asked;
//! - init: the kernel kills the inner, and the outer sees init's end;
//! - inner: init sees its end, and ends.
//!
//! Each is a fork, not a new execution: nothing has to be handed over, and no marker can be left in the environment.
//!
//! The outer process stays in the network it was started in, and makes sockets of that network for the inner one
//! ([`Outside`]): what registries on the internet say is asked through them.
//!
//! A lab that goes into the background ([`super::background`]) is split off before; it is the child that becomes outer.
//!
//! **Invariant:** the outer process never waits for anything but a signal or a question; nothing is mounted or linked
//! outside the new namespaces.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getegid, geteuid, pipe2};

use super::background;
use super::link::{self, LOOPBACK};
use super::netlink::{Netlink, NetlinkError};
use super::outside::{self, Outside, SocketMaker};

mod refusal;

/// Exit number of the outer process when the inner did not end by itself: the lab failed.
const LAB_FAILED: i32 = 4;
/// Init's exit number is this plus the signal's number when a signal ended the inner.
const BY_SIGNAL: i32 = 128;
/// Signals that mean "please end".
pub(super) const ASKED_TO_END: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

/// Why this program could not move into namespaces of its own.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Other threads run already.
    #[error("enter namespaces: {0} threads run already, and the kernel moves only a single one")]
    Threads(usize),
    /// The kernel refused to make the namespaces.
    #[error("make user, mount, pid and network namespaces: {errno}; {why}")]
    Unshare {
        /// The error of unshare(2).
        errno: Errno,
        /// What forbids it here, and what helps.
        why: String,
    },
    /// A system call that does not normally fail.
    #[error("{doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A file system could not be mounted in the new mount namespace.
    #[error("mount {what}: {errno}; {why}")]
    Mount {
        /// What, and where.
        what: &'static str,
        /// The error of mount(2).
        errno: Errno,
        /// What helps.
        why: String,
    },
    /// `lo` did not come up.
    #[error(transparent)]
    Loopback(#[from] NetlinkError),
    /// The hard limit of open files is too low.
    #[error(
        "open {needed} files: the hard limit is {hard}; raise it with `ulimit -Hn {needed}` as root, \
         or LimitNOFILE= of the service"
    )]
    Descriptors {
        /// How many the lab needs.
        needed: u64,
        /// The limit.
        hard: u64,
    },
}

fn system(doing: &'static str) -> impl FnOnce(Errno) -> EnterError {
    move |errno| EnterError::System {
        doing,
        source: errno.into(),
    }
}

/// SIGINT, SIGTERM, SIGHUP and SIGQUIT are blocked in the inner process until this is released.
///
/// Whoever installs the handlers (the run's tokio signals) releases them afterwards on the main thread; a signal that
/// came before is delivered then. Programs started through [`Namespace`](super::namespace::Namespace) have no signal
/// blocked in any case.
#[derive(Debug)]
#[must_use = "SIGINT and SIGTERM stay blocked until released"]
pub struct HeldSignals(());

impl HeldSignals {
    /// Unblocks the signals in the calling thread.
    pub fn release(self) {
        // Unblocking cannot fail: the set is valid.
        let _ = SigSet::from_iter(ASKED_TO_END).thread_unblock();
    }
}

/// What the inner process got on its way in.
#[derive(Debug)]
#[must_use = "SIGINT and SIGTERM stay blocked until released"]
pub struct Entered {
    /// The signals that wait.
    pub signals: HeldSignals,
    /// The way to the network outside.
    pub outside: Outside,
}

/// Moves into new namespaces, and returns in the inner process; the outer process ends in here.
///
/// Must be called before any thread is started. Inside, the user is root as far as these namespaces go, `lo` is up,
/// /proc shows only the lab's processes, /run is empty and private, and everything else of the file system is as outside.
///
/// An error is returned in the outer process if nothing was made yet, else in pid 1 or in the inner process; the outer
/// ends with whatever number that one ends with.
pub fn enter() -> Result<Entered, EnterError> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, |tasks| tasks.count());
    if threads != 1 {
        return Err(EnterError::Threads(threads));
    }
    raise_descriptors()?;
    let (inside, maker) = outside::pair().map_err(system("make a pair of sockets"))?;
    unshare_processes()?;
    let mut watched = SigSet::from_iter(ASKED_TO_END);
    watched.add(Signal::SIGCHLD);
    watched.thread_block().map_err(system("block signals"))?;
    let (outer_lives, outer) = pipe2(OFlag::O_CLOEXEC).map_err(system("make a pipe"))?;
    // SAFETY: this process has one thread, so the child's memory is in a consistent state.
    match unsafe { fork() }.map_err(system("start pid 1"))? {
        ForkResult::Parent { child } => {
            drop((outer_lives, inside));
            let number = stay_outside(child, &watched, maker);
            drop(outer);
            process::exit(number)
        }
        ForkResult::Child => {
            drop((outer, maker));
            // Only here, so that the outer process stays in its network.
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
                .map_err(refusal::unshare)?;
        }
    }
    let inside = become_init(outer_lives, &watched, inside)?;
    prepare()?;
    tracing::debug!("inside namespaces of its own");
    Ok(Entered {
        signals: HeldSignals(()),
        outside: Outside::new(inside),
    })
}

/// Raises the soft limit of open files to the hard limit, and returns it.
pub fn raise_descriptors() -> Result<u64, EnterError> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let doing = "raise the limit of open files";
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(system(doing))?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(system(doing))?;
    }
    Ok(hard)
}

/// Makes sure that `needed` files can be open at once: two for each namespace while it is built, and the sockets.
pub fn need_descriptors(needed: u64) -> Result<(), EnterError> {
    let hard = raise_descriptors()?;
    if needed <= hard {
        Ok(())
    } else {
        Err(EnterError::Descriptors { needed, hard })
    }
}

/// Makes a pid namespace for the processes to come; as root in the present user namespace if that is allowed, else in a
/// new one.
fn unshare_processes() -> Result<(), EnterError> {
    let flags = CloneFlags::CLONE_NEWPID;
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        match unshare(flags) {
            Ok(()) => return Ok(()),
            // Root of a container without CAP_SYS_ADMIN is an ordinary user here.
            Err(Errno::EPERM) => {}
            Err(errno) => return Err(refusal::unshare(errno)),
        }
    }
    unshare(flags | CloneFlags::CLONE_NEWUSER).map_err(refusal::unshare)?;
    let write = |path: &str, text: String| {
        fs::write(path, text)
            .map_err(|error| refusal::unshare(Errno::from_raw(error.raw_os_error().unwrap_or(0))))
    };
    // Without this an unprivileged process may not map its group (user_namespaces(7)).
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// The outer process: passes signals on to init until it ends, makes sockets, and returns the exit number.
fn stay_outside(init: Pid, watched: &SigSet, maker: SocketMaker) -> i32 {
    let Ok(signals) = SignalFd::with_flags(watched, SfdFlags::SFD_CLOEXEC) else {
        return LAB_FAILED;
    };
    let mut maker = Some(maker);
    loop {
        match waitpid(init, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, number)) if number > BY_SIGNAL => {
                return killed(number - BY_SIGNAL);
            }
            Ok(WaitStatus::Exited(_, number)) => return number,
            Ok(WaitStatus::Signaled(_, signal, _)) => return killed(signal as i32),
            Ok(_) => {}
            Err(_) => return LAB_FAILED,
        }
        let mut events = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        events.extend(
            maker
                .iter()
                .map(|maker| PollFd::new(maker.as_fd(), PollFlags::POLLIN)),
        );
        match poll(&mut events, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return LAB_FAILED,
        }
        let happened = |index: usize| events.get(index).is_some_and(|e| e.any().unwrap_or(true));
        let (signalled, asked) = (happened(0), happened(1));
        if signalled && let Some(signal) = next_to_pass_on(&signals) {
            let _ = kill(init, signal);
        }
        // Nobody is left who could ask: the end of init is all that is still to come.
        maker = maker.filter(|maker| !asked || maker.answer());
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the process has no other voice left, and ends"
)]
fn killed(signal: i32) -> i32 {
    let name = Signal::try_from(signal).map_or("a signal", Signal::as_str);
    eprintln!("peerlab: {name} ended the lab; nothing of it is left");
    LAB_FAILED
}

/// Waits for a signal; returns it when it was sent to this process alone.
///
/// What the terminal sends (Ctrl-C) goes to all processes of the foreground group, so the inner has it already.
pub(super) fn next_to_pass_on(signals: &SignalFd) -> Option<Signal> {
    let info = signals.read_signal().ok()??;
    let signal = Signal::try_from(info.ssi_signo as i32).ok()?;
    (signal != Signal::SIGCHLD && info.ssi_code != libc::SI_KERNEL).then_some(signal)
}

/// Makes this process init, and returns in its child, which alone keeps its end of the pair.
fn become_init(
    outer_lives: OwnedFd,
    watched: &SigSet,
    inside: OwnedFd,
) -> Result<OwnedFd, EnterError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(system("ask for SIGKILL"))?;
    let signals =
        SignalFd::with_flags(watched, SfdFlags::SFD_CLOEXEC).map_err(system("watch signals"))?;
    // SAFETY: this process has one thread, so the child's memory is in a consistent state.
    match unsafe { fork() }.map_err(system("start the inner process"))? {
        ForkResult::Parent { child } => {
            drop(inside);
            let _ = prctl::set_name(c"peerlab-init");
            process::exit(stay_init(child, &signals, &outer_lives))
        }
        ForkResult::Child => {
            let mut mask = SigSet::empty();
            mask.add(Signal::SIGCHLD);
            mask.thread_unblock().map_err(system("unblock SIGCHLD"))?;
            Ok(inside)
        }
    }
}

/// Init: reaps and passes signals on until the inner or the outer has ended; returns the exit number.
fn stay_init(inner: Pid, signals: &SignalFd, outer_lives: &OwnedFd) -> i32 {
    // It has nothing to say; what it held would outlive a lab's farewell to its terminal.
    let _ = background::let_go();
    loop {
        if let Some(number) = reap(inner) {
            return number;
        }
        let mut events = [
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(outer_lives.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut events, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return LAB_FAILED,
        }
        // Nothing is ever written: an event means that the outer is gone.
        if events[1].any().unwrap_or(true) {
            return LAB_FAILED;
        }
        if events[0].any().unwrap_or(false)
            && let Some(signal) = next_to_pass_on(signals)
        {
            let _ = kill(inner, signal);
        }
    }
}

/// Takes the ends of all children that ended; returns the exit number once the inner is among them.
fn reap(inner: Pid) -> Option<i32> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, number)) if pid == inner => return Some(number),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == inner => {
                return Some(BY_SIGNAL + signal as i32);
            }
            Ok(WaitStatus::StillAlive) => return None,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Some(LAB_FAILED),
        }
    }
}

/// The inner's first work: mounts of its own, and `lo` up.
fn prepare() -> Result<(), EnterError> {
    const NONE: Option<&str> = None;
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .map_err(refusal::mount("everything private"))?;
    let strict = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    match mount(Some("proc"), "/proc", Some("proc"), strict, NONE) {
        // In a container that hides parts of /proc the kernel allows no new one. The old one does: it shows more
        // processes, and its numbers are those of the container.
        Ok(()) | Err(Errno::EPERM) => {}
        Err(errno) => return Err(refusal::mount("/proc")(errno)),
    }
    private_run()?;
    let mut netlink = Netlink::open()?;
    link::set_up(&mut netlink, "the lab", "lo", LOOPBACK, true);
    netlink.commit()?;
    Ok(())
}

/// An empty /run in memory, where daemons put their sockets; what users keep under /run stays reachable.
fn private_run() -> Result<(), EnterError> {
    const NONE: Option<&str> = None;
    let users = ["/run/user", "/run/media"].map(|path| {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        (path, open(path, flags, Mode::empty()).ok())
    });
    let here = std::env::current_dir().ok();
    mount(
        Some("tmpfs"),
        "/run",
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some("mode=0755,size=64m"),
    )
    .map_err(refusal::mount("an empty /run"))?;
    for (path, directory) in users {
        let Some(directory) = directory else {
            continue;
        };
        use std::os::fd::AsRawFd;
        let source = format!("/proc/self/fd/{}", directory.as_raw_fd());
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        // What cannot be kept is missing inside, and says so where it is used.
        if fs::create_dir(path).is_ok() {
            let _ = mount(Some(source.as_str()), path, NONE, bind, NONE);
        }
    }
    if let Some(here) = here.filter(|here| here.starts_with(Path::new("/run"))) {
        let _ = std::env::set_current_dir(here);
    }
    Ok(())
}
