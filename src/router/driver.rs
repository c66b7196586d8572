//! Gives a [`Router`] its sockets, its clock and its kernel routes.
//!
//! One task per router polls everything the router waits for in turns: what the lab tells it (BFD and carrier
//! first of all), its timer, new connections, and each connection once. When a task has read `READ` bytes, or had
//! its turns, it yields to the tasks of other routers, and goes on with the connection after the last: a neighbour
//! that sends without end delays nobody else.
//!
//! What a neighbour can make a router hold is bounded:
//!
//! | what | at most | where |
//! |---|---|---|
//! | incoming connections of a neighbour | 2 at a time, of which its session keeps 1 | `sockets.rs` |
//! | connections of strangers | 0, closed unread | `sockets.rs` |
//! | connections not yet accepted | 64 for each local address | `kernel/socket/bgp.rs` |
//! | connections that are ending | 2 for each session, 1 s each | `sockets.rs` |
//! | a connection without an OPEN | 4 minutes (open hold timer) | `bgp/session` |
//! | bytes read and not worked off | `READ` for each router, and one message for each connection | here |
//! | bytes to write that the neighbour does not read | 128 KiB and a few messages, for 8 minutes (RFC 9687) | `bgp/session` |
//! | routes | `SessionSpec::maximum_prefixes` | `router` |
//!
//! After each input the kernel's routes are changed before anything else the router wants is done. A neighbour that
//! BFD lost leaves them even before the router is told, and before any router works out what follows.
//!
//! **Invariant:** a router's only I/O is here; a connection from an address that is no neighbour's is closed
//! unread, and of a neighbour's incoming connections its session keeps at most one.

mod alarm;
mod connection;
mod handle;
mod listening;
mod silence;
mod sockets;
mod tap;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use nix::net::if_::if_nametoindex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use self::alarm::Alarm;
use self::connection::{Connection, Lingering, Stage};
pub use self::handle::RouterHandle;
use self::handle::{Event, Loss};
use self::listening::{listen, watch};
use self::tap::Tap;
pub use self::tap::Tapped;
use super::{
    Conn, Fib as RouteChange, Input, Monitored, Observed, Output, Router, RouterConfig,
    SessionIndex, SessionSpec,
};
use crate::bgp::hash;
use crate::bgp::session::State;
use crate::kernel::namespace::{Namespace, NamespaceError};
use crate::kernel::netlink::{Netlink, NetlinkError};
use crate::kernel::nexthop::{Fib, FibError, NextHop};
use crate::kernel::socket::SocketError;
use crate::record::{Fact, Recorder};
use crate::time::At;

/// Bytes read before a task yields: some 5,000 routes, which the kernel takes in 15 ms.
const READ: usize = 64 * 1024;
/// Turns before a task yields.
const TURNS: usize = 4;

/// A router could not be given what it needs.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Its namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// It cannot listen.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Its listener cannot be watched.
    #[error("watch the BGP port: {0}")]
    Runtime(#[source] io::Error),
    /// A session's interface does not exist.
    #[error("find interface {interface} of session {session}: {source}")]
    Interface {
        /// Its name.
        interface: String,
        /// The session.
        session: String,
        /// Why.
        #[source]
        source: nix::Error,
    },
    /// No netlink socket.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The kernel does not take routes.
    #[error(transparent)]
    Fib(#[from] FibError),
}

/// A router and its I/O.
pub struct Driver {
    router: Router,
    namespace: Arc<Namespace>,
    /// Indexes of the sessions' interfaces, by session.
    interfaces: Vec<u32>,
    fib: Fib,
    recorder: Recorder,
    events: mpsc::UnboundedReceiver<Event>,
    /// None while the router is down.
    listeners: Vec<TcpListener>,
    accept_again: Option<At>,
    connections: Vec<Connection>,
    lingering: Vec<Lingering>,
    alarm: Alarm,
    /// Serial of the last incoming connection.
    serial: u32,
    buffer: Box<[u8]>,
    /// Bytes read since the task yielded.
    read: usize,
    /// The connection to begin with.
    first: usize,
    outputs: Vec<Output>,
    /// Where monitored sessions are heard, if they are.
    tap: Option<Tap>,
    /// A loss that the kernel's routes know of already, and the router not yet.
    put_off: Option<Event>,
    /// Who waits for sessions to be lost.
    losses: Vec<Loss>,
    ending: Ending,
}

impl Driver {
    /// Opens a router's sockets in its namespace, whose interfaces and addresses must be there. Nothing is sent
    /// before [`Driver::run`]. `seed` decides timer jitter. Must be called inside a tokio runtime with I/O and time.
    pub fn open(
        namespace: Arc<Namespace>,
        config: RouterConfig,
        seed: u64,
        recorder: Recorder,
    ) -> Result<(Driver, RouterHandle), DriverError> {
        // Whoever it speaks to does not know how its tables are hashed.
        hash::keep_secret([(); 2].map(|()| RandomState::new().hash_one(seed)));
        let (interfaces, netlink, listeners) = namespace.run(|| -> Result<_, DriverError> {
            let interfaces = interfaces(&config)?;
            let listeners = listen(&config, &interfaces)?;
            Ok((interfaces, Netlink::open()?, listeners))
        })??;
        let sessions = config.sessions.iter().map(|session| session.name.clone());
        let (handle, events) = RouterHandle::new(&config.name, sessions.collect());
        let driver = Driver {
            router: Router::new(config, seed),
            namespace,
            interfaces,
            fib: Fib::new(netlink)?,
            recorder,
            events,
            listeners: watch(listeners)?,
            accept_again: None,
            connections: Vec::new(),
            lingering: Vec::new(),
            alarm: Alarm::default(),
            serial: 0,
            buffer: vec![0; READ].into(),
            read: 0,
            first: 0,
            outputs: Vec::new(),
            tap: None,
            put_off: None,
            losses: Vec::new(),
            ending: Ending::No,
        };
        Ok((driver, handle))
    }

    /// Boots the router and runs it until [`RouterHandle::shutdown`], or until its last handle is dropped.
    pub async fn run(mut self) {
        // A SYN into a dark interface is lost, and with it a second.
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Interface { .. } | Event::Tap(_) => self.event(event),
                later => {
                    self.put_off = Some(later);
                    break;
                }
            }
        }
        self.input(Input::Start);
        std::future::poll_fn(|cx| self.poll(cx)).await;
        if let Ending::Orderly(done) = self.ending {
            let _ = done.send(());
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.read = 0;
        for _ in 0..TURNS {
            let mut busy = self.poll_events(cx);
            if self.put_off.is_some() {
                break;
            }
            busy |= self.poll_alarm(cx);
            busy |= self.poll_accept(cx);
            busy |= self.poll_connections(cx);
            busy |= self.poll_lingering(cx);
            self.tell_losses();
            if self.is_over() {
                return Poll::Ready(());
            }
            if !busy {
                return Poll::Pending;
            }
            if self.read >= READ {
                break;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Answers who waits for the loss of a session that was lost, and no longer keeps who waits for one that is not up.
    fn tell_losses(&mut self) {
        for loss in std::mem::take(&mut self.losses) {
            let Some(status) = self.router.session_status(loss.session) else {
                continue;
            };
            match status.lost_at.filter(|at| *at >= loss.since) {
                // Who asked may have given up.
                Some(at) => drop(loss.heard.send(at)),
                None if status.state == State::Established && !loss.heard.is_closed() => {
                    self.losses.push(loss);
                }
                None => {}
            }
        }
    }

    fn is_over(&self) -> bool {
        match self.ending {
            Ending::No => false,
            Ending::Orderly(_) => self.connections.is_empty() && self.lingering.is_empty(),
            Ending::AtOnce => true,
        }
    }

    /// Takes everything the lab says. What happened is older than what waits in sockets, so it comes first.
    fn poll_events(&mut self, cx: &mut Context<'_>) -> bool {
        let mut busy = false;
        if let Some(event) = self.put_off.take() {
            busy = true;
            self.event(event);
        }
        while let Poll::Ready(event) = self.events.poll_recv(cx) {
            busy = true;
            let Some(event) = event else {
                self.ending = Ending::AtOnce;
                break;
            };
            if self.avoid_lost(&event) {
                self.put_off = Some(event);
                break;
            }
            self.event(event);
        }
        busy
    }

    /// Takes a neighbour that BFD lost out of the kernel's routes. What the router makes of it may take longer, and
    /// other routers may have lost something, too: then the rest is to be put off until they had their turn.
    fn avoid_lost(&mut self, event: &Event) -> bool {
        let Event::Bfd {
            session,
            up: false,
            control_plane_independent,
        } = event
        else {
            return false;
        };
        let spec = self.router.config().sessions.get(session.index());
        // A neighbour that may only be restarting is left where it is (RFC 5882, section 4.3.2).
        let leaves = |spec: &SessionSpec| {
            let minds = spec.options.bfd_check_control_plane && !control_plane_independent;
            (spec.use_bfd || spec.bfd_strict || spec.capabilities.bfd_strict) && !minds
        };
        if !spec.is_some_and(leaves) || self.router.state(*session) != State::Established {
            return false;
        }
        self.fib.source_down(session.0);
        self.flush();
        true
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Bfd {
                session, up: true, ..
            } => self.input(Input::BfdUp { session }),
            Event::Bfd {
                session,
                up: false,
                control_plane_independent,
            } => self.input(Input::BfdDown {
                session,
                control_plane_independent,
            }),
            Event::BfdDisabled { session, disabled } => self.input(if disabled {
                Input::BfdAdminDown { session }
            } else {
                Input::BfdDown {
                    session,
                    control_plane_independent: false,
                }
            }),
            Event::Interface { name, up: true } => {
                self.input(Input::InterfaceUp { interface: &name });
            }
            Event::Interface { name, up: false } => {
                // The kernel drops the routes of such an interface by itself; what the router makes of it comes on top.
                let sessions = &self.router.config().sessions;
                let place = sessions.iter().position(|s| *s.interface == *name);
                if let Some(place) = place {
                    self.fib.interface_down(self.interfaces[place]);
                }
                self.input(Input::InterfaceDown { interface: &name });
            }
            Event::Announce(route) => self.input(Input::Announce(route)),
            Event::Withdraw { prefix, sessions } => {
                self.input(Input::Withdraw { prefix, sessions });
            }
            Event::Unpin { prefix, sessions } => self.input(Input::Unpin { prefix, sessions }),
            Event::Policy {
                session,
                import,
                export,
            } => self.input(Input::Policy {
                session,
                import,
                export,
            }),
            Event::Refresh(session) => self.input(Input::RequestRefresh { session }),
            Event::StartSession(session) => self.input(Input::StartSession { session }),
            Event::Stop { session, reason } => self.input(Input::Stop {
                session,
                reason: &reason,
            }),
            Event::Reset { session, reason } => self.input(Input::Reset {
                session,
                reason: &reason,
            }),
            Event::GracefulShutdown {
                session,
                after,
                reason,
            } => self.input(Input::GracefulShutdown {
                session,
                after,
                reason: &reason,
            }),
            Event::Halt { forwarding } => {
                self.input(Input::Halt { forwarding });
                self.listeners.clear();
                self.accept_again = None;
            }
            Event::Restart { preserved } => {
                self.listen();
                self.input(Input::Restart { preserved });
            }
            Event::Crash => self.crash(),
            Event::Boot => self.boot(),
            Event::Tap(tap) => self.tap = Some(tap),
            Event::TellAnew(session) => {
                let now = self.recorder.clock().now();
                if let Some(tap) = &mut self.tap {
                    tap.tell_anew(now, session, self.router.table_of(session));
                }
            }
            Event::Inspect(question) => question(&self.router, &self.fib),
            Event::AwaitLoss(loss) => self.losses.push(loss),
            Event::Shutdown { reason, done } => self.shut_down(&reason, done),
        }
    }

    fn crash(&mut self) {
        tracing::debug!("crashes");
        self.input(Input::Crash);
        self.listeners.clear();
        self.accept_again = None;
        self.lingering.drain(..).for_each(Lingering::vanish);
        self.fib.clear();
        self.flush();
    }

    fn boot(&mut self) {
        if self.listeners.is_empty() {
            tracing::debug!("boots");
            self.listen();
            self.input(Input::Start);
        }
    }

    /// Listens, if it does not.
    fn listen(&mut self) {
        if !self.listeners.is_empty() {
            return;
        }
        let (config, interfaces) = (self.router.config(), &self.interfaces);
        let made = self.namespace.run(|| listen(config, interfaces));
        match made
            .map_err(DriverError::from)
            .and_then(|made| watch(made?))
        {
            Ok(listeners) => self.listeners = listeners,
            Err(error) => self.errored(&error),
        }
    }

    fn shut_down(&mut self, reason: &str, done: oneshot::Sender<()>) {
        self.listeners.clear();
        for place in 0..self.interfaces.len() {
            let session = SessionIndex(place as u16);
            self.input(Input::Stop { session, reason });
        }
        self.fib.clear();
        self.flush();
        self.ending = Ending::Orderly(done);
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.router.deadline();
        let now = self.recorder.clock().now();
        let lingering = self.lingering.iter().map(|lingering| lingering.until);
        let attempts = self.connections.iter().filter_map(Connection::until);
        let next = deadline
            .into_iter()
            .chain(attempts)
            .chain(self.accept_again)
            .chain(lingering)
            .min();
        if self.alarm.poll(cx, now, next).is_pending() {
            return false;
        }
        self.accept_again = self.accept_again.filter(|again| *again > now);
        self.lingering.retain(|lingering| lingering.until > now);
        if deadline.is_some_and(|deadline| deadline <= now) {
            // After a stall of ours, what a healthy neighbour said in time still waits in its socket.
            let overdue: Vec<SessionIndex> = self.router.overdue(now).collect();
            for session in overdue {
                self.hear(session);
            }
            self.input(Input::Deadline);
        }
        true
    }

    /// Tells the router what happened just now, and does what it wants.
    fn input(&mut self, input: Input<'_>) {
        let now = self.recorder.clock().now();
        self.router.handle(now, input);
        self.settle(now);
    }

    /// Does what the router wants: kernel routes first, everything else in its order after them.
    fn settle(&mut self, now: At) {
        let mut outputs = std::mem::take(&mut self.outputs);
        while let Some(output) = self.router.poll() {
            match output {
                Output::Fib(change) => self.route(change),
                other => outputs.push(other),
            }
        }
        self.flush();
        for output in outputs.drain(..) {
            match output {
                Output::Connect {
                    session,
                    conn,
                    local,
                    remote,
                } => self.connect(session, conn, local, remote),
                Output::Write {
                    session,
                    conn,
                    bytes,
                } => {
                    if let Some(Stage::Open(open)) = self.stage(session, conn) {
                        open.push(bytes);
                    }
                }
                Output::Close {
                    session,
                    conn,
                    abort,
                } => self.close(now, session, conn, abort),
                Output::Fact(fact) => self.recorder.at(now, *fact),
                Output::Monitored(monitored) => {
                    if let Some(tap) = &mut self.tap {
                        tap.tell(now, *monitored);
                    }
                }
                // Done above.
                Output::Fib(_) => {}
            }
        }
        self.outputs = outputs;
    }

    /// Tells between which ports a connection of a monitored session is.
    fn tell_ports(&mut self, session: SessionIndex, conn: Conn, stream: &TcpStream) {
        let monitored = self.router.spec(session).is_some_and(|spec| spec.monitor);
        let ends = stream.local_addr().ok().zip(stream.peer_addr().ok());
        if let (true, Some(tap), Some((local, remote))) = (monitored, &mut self.tap, ends) {
            let what = Observed::Opened {
                conn,
                local: local.port(),
                remote: remote.port(),
            };
            let now = self.recorder.clock().now();
            tap.tell(now, Monitored { session, what });
        }
    }

    fn route(&mut self, change: RouteChange) {
        match change {
            RouteChange::NextHopDown { session } => self.fib.source_down(session.0),
            RouteChange::Replace { prefix, next_hops } => {
                let hops = self.hops(&next_hops);
                self.fib.replace(prefix, &hops);
            }
            RouteChange::Move { from, to } => {
                let (from, to) = (self.hops(&from), self.hops(&to));
                self.fib.replace_all(&from, &to);
            }
            RouteChange::Remove { prefix } => self.fib.remove(prefix),
            RouteChange::Keep => self.fib.keep(),
            RouteChange::Sweep => {
                self.fib.sweep();
            }
        }
    }

    /// As the kernel knows them.
    fn hops(&self, next_hops: &[super::NextHop]) -> Vec<NextHop> {
        let hops = next_hops.iter().map(|hop| NextHop {
            address: hop.gateway,
            oif: self.oif(hop),
            source: hop.session.0,
        });
        hops.collect()
    }

    /// The interface to a next hop, which may be the link of another session than told of it.
    fn oif(&self, hop: &super::NextHop) -> u32 {
        let sessions = &self.router.config().sessions;
        let of = |place: usize| *sessions[place].interface == *hop.interface;
        let place = hop.session.index();
        let place = Some(place).filter(|place| of(*place));
        let place = place.or_else(|| (0..sessions.len()).find(|place| of(*place)));
        place.map_or(0, |place| self.interfaces[place])
    }

    fn flush(&mut self) {
        if let Err(error) = self.fib.flush() {
            self.errored(&error);
        }
    }

    fn errored(&self, error: &dyn std::error::Error) {
        let name = &self.router.config().name;
        self.recorder.now(Fact::Errored {
            text: format!("router {name}: {error}"),
        });
    }
}

/// Why a router's task is to end.
enum Ending {
    No,
    /// As soon as the neighbours have seen it.
    Orderly(oneshot::Sender<()>),
    /// Nobody is left who could speak to it.
    AtOnce,
}

/// Indexes of the sessions' interfaces in the namespace of this thread.
fn interfaces(config: &RouterConfig) -> Result<Vec<u32>, DriverError> {
    let index = |session: &SessionSpec| {
        if_nametoindex(session.interface.as_str()).map_err(|source| DriverError::Interface {
            interface: session.interface.clone(),
            session: session.name.clone(),
            source,
        })
    };
    config.sessions.iter().map(index).collect()
}
