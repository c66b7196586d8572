//! The thread that owns every LACP and BFD session of a lab.
//!
//! These protocols fail when they are late, so their thread does nothing else: it waits for sockets, for the earliest
//! of all deadlines (a `timerfd` with an absolute time) and for commands, and feeds the cores in [`crate::lacp`] and
//! [`crate::bfd`]. It runs before ordinary threads when the system allows it, and says so when it woke up late.
//!
//! What is slow or may fail, such as making sockets, is done by the caller: in [`LagPort::open`] and [`Line::add_bfd`].
//!
//! **Invariant:** one wake-up costs work for the sockets and deadlines that are due, whatever the number of the others;
//! a socket gets one packet per turn, so a flood on one disturbs none of the others; no timer that could
//! declare a loss runs before the packets that came earlier were read; an error of a socket is counted, never fatal.

mod backend;
mod bfd;
mod bond;
mod early;
mod errands;
mod gate;
mod lag;
mod micro;
mod multihop;
mod punctuality;
mod schedule;
mod telling;
mod thread;

use std::fmt;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

pub use self::backend::AnyLag;
use self::bfd::BfdPort;
pub use self::bfd::{BfdSpec, BfdStatus, Farewell, Reach};
pub use self::bond::BondLag;
pub use self::lag::{LagPort, LagStatus};
use self::multihop::Receivers;
use crate::bfd::{Order, StateChange};
use crate::kernel::namespace::{Namespace, NamespaceError};
use crate::kernel::netlink::NetlinkError;
use crate::kernel::socket::{Socket, SocketError};
use crate::lacp;
use crate::record::Recorder;
use crate::time::At;

/// One end of a connection: what a LAG and a BFD session are known by, and with the name of a member ([`End::of_member`]) BFD on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct End {
    /// The router at this end.
    pub router: String,
    /// The connection.
    pub connection: String,
}

impl End {
    /// BFD on a member of this LAG, counted from 1: `ams-1/1`.
    pub fn of_member(&self, member: u8) -> End {
        End {
            router: self.router.clone(),
            connection: format!("{}/{member}", self.connection),
        }
    }

    /// Router and session.
    fn names(&self) -> (String, String) {
        (self.router.clone(), self.connection.clone())
    }

    /// The LAG of BFD on a member, and which member it is.
    fn lag_and_member(&self) -> Option<(End, u8)> {
        let (connection, member) = self.connection.rsplit_once('/')?;
        let lag = End {
            router: self.router.clone(),
            connection: connection.to_owned(),
        };
        Some((lag, member.parse().ok()?))
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.connection, self.router)
    }
}

/// What the routers must learn at once. The same is recorded as facts.
#[derive(Debug, Clone, PartialEq)]
pub enum LineEvent {
    /// A LAG gained or lost carrier.
    Lag {
        /// Which.
        end: End,
        /// Carrier.
        up: bool,
        /// Members that distribute now.
        distributing: u8,
        /// When.
        at: At,
    },
    /// A BFD session changed its state.
    Bfd {
        /// Which.
        end: End,
        /// From where to where, and why.
        change: StateChange,
        /// When.
        at: At,
    },
    /// One end disabled a BFD session, or both enabled it again. Comes before the change of its state.
    BfdDisabled {
        /// Which.
        end: End,
        /// Disabled.
        disabled: bool,
    },
}

/// Why a session could not be prepared or the thread not be started.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// A namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A socket could not be made.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Filters or links could not be set.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The LAG's configuration is no LAG.
    #[error("make the LAG {end}: {source}")]
    Lag {
        /// Which.
        end: End,
        /// Why.
        source: lacp::ConfigError,
    },
    /// A LAG is to be the kernel's, and the kernel has none.
    #[error(
        "make the LAG {end} of the kernel's: it has no bonding driver: {source}; it needs CONFIG_BONDING (modprobe bonding)"
    )]
    NoBonding {
        /// Which.
        end: End,
        /// The refusal.
        source: NetlinkError,
    },
    /// A LAG is to be the kernel's, and to have BFD on its members.
    #[error("make the LAG {0} of the kernel's: its bond has no BFD on members (`micro-bfd`)")]
    NoMicroBfd(End),
    /// There are not as many links as ports.
    #[error("make the LAG {end}: {ports} ports on {links} links")]
    Links {
        /// Which.
        end: End,
        /// Ports of the configuration.
        ports: usize,
        /// Links given.
        links: usize,
    },
    /// Carrier events could not be subscribed to.
    #[error("watch the carrier of {end}: {source}")]
    Carrier {
        /// Which.
        end: End,
        /// Why.
        source: io::Error,
    },
    /// The thread or one of its descriptors could not be made.
    #[error("start the line thread: {0}")]
    Start(#[source] io::Error),
}

/// What the thread is told.
enum Command {
    AddLag(Box<AnyLag>),
    RemoveLag(End, oneshot::Sender<()>),
    Lag(End, lacp::Admin),
    InspectLag(End, oneshot::Sender<LagStatus>),
    AddBfd(Box<BfdPort>),
    RemoveBfd(End, Farewell, oneshot::Sender<()>),
    Bfd(End, Order),
    InspectBfd(End, oneshot::Sender<BfdStatus>),
    /// Opened for a member of a LAG, counted from 0, or why not.
    DataSocket(End, u8, Result<Socket, String>),
    Stop,
}

/// The running thread. Dropping this ends it, with all sessions, silently.
#[derive(Debug)]
pub struct Line {
    asker: Asker,
    receivers: Receivers,
    thread: Option<JoinHandle<()>>,
}

/// Where the thread is asked. Cheap to clone; once the thread has ended, no answer comes.
#[derive(Debug, Clone)]
pub struct Asker {
    commands: mpsc::Sender<Command>,
    wake: Arc<EventFd>,
}

impl Asker {
    /// How a LAG is; the answer never comes when there is none.
    pub fn inspect_lag(&self, end: End) -> oneshot::Receiver<LagStatus> {
        self.ask(|answer| Command::InspectLag(end, answer))
    }

    /// How a BFD session is, or one on a member ([`End::of_member`]); the answer never comes when there is none.
    pub fn inspect_bfd(&self, end: End) -> oneshot::Receiver<BfdStatus> {
        self.ask(|answer| Command::InspectBfd(end, answer))
    }

    fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> oneshot::Receiver<T> {
        let (answer, receiver) = oneshot::channel();
        self.tell(command(answer));
        receiver
    }

    fn tell(&self, command: Command) {
        // Both fail only when the thread is gone, which is told by the answers that never come.
        let _ = self.commands.send(command);
        let _ = self.wake.write(1);
    }
}

impl Line {
    /// Starts the thread. Facts go to `recorder`, what routers must learn to `events`.
    ///
    /// # Errors
    /// When the kernel gives no thread or no descriptors.
    pub fn start(
        recorder: Recorder,
        events: UnboundedSender<LineEvent>,
    ) -> Result<Line, LineError> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| LineError::Start(errno.into()))?;
        let wake = Arc::new(wake);
        let (commands, orders) = mpsc::channel();
        let asker = Asker { commands, wake };
        let wake = Arc::clone(&asker.wake);
        let thread = errands::start(asker.clone())
            .and_then(|errands| thread::start(recorder, events, (orders, wake), errands))
            .map_err(LineError::Start)?;
        Ok(Line {
            asker,
            receivers: Receivers::default(),
            thread: Some(thread),
        })
    }

    /// Where the thread is asked.
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// Runs a LAG from now on, every port dark until the kernel says otherwise. It replaces one at the same end.
    pub fn add_lag(&self, lag: impl Into<AnyLag>) {
        self.asker.tell(Command::AddLag(Box::new(lag.into())));
    }

    /// Ends a LAG as a line card without power does: nothing is said, the data path closes, carrier goes.
    /// The answer comes when its sockets are closed.
    pub fn remove_lag(&self, end: End) -> oneshot::Receiver<()> {
        self.asker.ask(|answer| Command::RemoveLag(end, answer))
    }

    /// Gives a command to a LAG.
    pub fn lag(&self, end: End, command: lacp::Admin) {
        self.asker.tell(Command::Lag(end, command));
    }

    /// How a LAG is; the answer never comes when there is none.
    pub fn inspect_lag(&self, end: End) -> oneshot::Receiver<LagStatus> {
        self.asker.inspect_lag(end)
    }

    /// Opens the sockets of a BFD session in its router's namespace, and runs it from now on. It replaces one at the same end.
    ///
    /// # Errors
    /// What the kernel refused; the address must be configured and its port 3784, or 4784, not be another program's.
    pub fn add_bfd(&self, namespace: &Namespace, spec: BfdSpec) -> Result<(), LineError> {
        let port = BfdPort::open(namespace, spec, &self.receivers)?;
        self.asker.tell(Command::AddBfd(Box::new(port)));
        Ok(())
    }

    /// Ends a BFD session. The answer comes when it has its address and port no longer.
    pub fn remove_bfd(&self, end: End, farewell: Farewell) -> oneshot::Receiver<()> {
        self.asker
            .ask(|answer| Command::RemoveBfd(end, farewell, answer))
    }

    /// Orders something of a BFD session, or of one on a member ([`End::of_member`]).
    pub fn bfd(&self, end: End, order: Order) {
        self.asker.tell(Command::Bfd(end, order));
    }

    /// How a BFD session is; the answer never comes when there is none.
    pub fn inspect_bfd(&self, end: End) -> oneshot::Receiver<BfdStatus> {
        self.asker.inspect_bfd(end)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.asker.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
