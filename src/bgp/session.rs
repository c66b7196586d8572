//! A BGP session with one neighbour: its connections, timers, BFD gate and collisions (RFC 4271, sections 6.8 and 8).
//!
//! A session runs the table of [`fsm`](super::fsm) twice: for the connection it opens and for the one the neighbour opens.
//! With BFD strict mode it goes through the exchange of OPENs while BFD is down but withholds its KEEPALIVE in
//! OpenConfirm (draft-ietf-idr-bgp-bfd-strict-mode), so that routes flow the moment BFD comes up and never before.
//!
//! | file | has |
//! |---|---|
//! | `config.rs`, `io.rs`, `status.rs` | what a session is told, what goes in and out, what it tells about itself |
//! | `transition.rs` | what an event does: the table at work |
//! | `run.rs` | whether it may try: started, stopped, blocked, resting; new and lost connections |
//! | `receive.rs` | messages from bytes to events |
//! | `open.rs`, `negotiate.rs` | OPENs: collisions and the BFD gate; what is refused, what is agreed on |
//! | `graceful.rs` | which losses let routes outlive the session |
//! | `timing.rs` | timers |
//!
//! **Invariant:** `Session::enter` is the only place where a machine's state changes; what waits to be written
//! is bounded by [`ROOM`] plus a few control messages.

mod config;
mod graceful;
mod io;
mod machine;
mod negotiate;
mod open;
mod receive;
mod run;
mod status;
mod timing;
mod transition;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use rand::SeedableRng;
use rand::rngs::StdRng;

pub use super::fsm::State;
use super::message::{Dialect, Open, Update};
use super::notification::Notification;
use crate::time::At;
use graceful::Restarting;
use machine::Machine;
use negotiate::Omitted;

pub use config::{Options, SessionConfig, Timers};
pub use io::{Conn, Direction, Graceful, Input, Negotiated, Output, RefreshMark};
pub use status::{Activity, Counters, Messages, Status};

/// How many bytes of UPDATEs a session lets wait for the kernel before it stops producing more.
pub const ROOM: usize = 128 * 1024;

/// A session that lasted so long was well: its failures are forgotten, and a new connection is no collision.
const SETTLED: Duration = Duration::from_secs(5);

/// Why a session that failed is Idle.
const RESTS: &str = "rests after a failure";

/// Whether the session may try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    /// Not started, or stopped.
    Stopped,
    /// Stopped until then, whatever happens to the path.
    Held(At),
    /// The link, or with `wait_for_bfd` BFD, is down.
    Blocked,
    /// Rests after a failure until then: the IdleHoldTimer.
    Resting(At),
    /// Tries, or is up.
    Running,
}

/// What BFD says of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bfd {
    /// Nothing good: it is not up yet, or not any more.
    Down,
    /// It can be used.
    Up,
    /// Nothing: one of the ends disabled BFD (RFC 5882, section 3.2).
    AdminDown,
}

/// Connections of the neighbour that were refused in the present state.
#[derive(Debug, Default)]
struct Refusals {
    why: String,
    count: u64,
    /// How many of them were told of.
    told: u64,
}

/// What an event brings along.
#[derive(Debug, Default)]
struct Given {
    why: Cow<'static, str>,
    /// To be sent, or received.
    notification: Option<Notification>,
    conn: Option<Conn>,
    open: Option<Open>,
    update: Option<Box<Update>>,
    /// What a ROUTE-REFRESH asks for.
    refresh: Option<Output>,
    /// BFD went down, but may have done so because the neighbour restarts.
    fate_shared: bool,
}

impl Given {
    fn why(why: impl Into<Cow<'static, str>>) -> Given {
        Given {
            why: why.into(),
            ..Given::default()
        }
    }

    /// A notification to be sent.
    fn to_send(notification: Notification) -> Given {
        Given {
            why: format!("sent {notification}").into(),
            notification: Some(notification),
            ..Given::default()
        }
    }
}

/// A BGP session.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    rng: StdRng,
    now: At,
    run: Run,
    outgoing: Machine,
    incoming: Machine,
    bfd: Bfd,
    /// BFD was up and went down: strict mode or not, no session begins before it is up again.
    bfd_lost: bool,
    interface_up: bool,
    /// Failures since the session was last well: how long it rests.
    failures: u32,
    /// A machine failed since [`Session::settle`] last looked.
    fell: bool,
    patience: Option<At>,
    /// Our own restart, as OPENs tell it.
    restarting: Option<Restarting>,
    /// When the routes kept for the neighbour's restart are void.
    restart_over: Option<At>,
    /// Capabilities the neighbour does not bear.
    omitted: Omitted,
    /// The neighbour ended the session for long (RFC 4486, section 4).
    refused: bool,
    serial: u32,
    reported: State,
    reported_at: At,
    /// When it was last lost.
    lost_at: Option<At>,
    why: String,
    notification_sent: Option<(At, Notification)>,
    notification_received: Option<(At, Notification)>,
    counters: Counters,
    refusals: Refusals,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A stopped session; its link counts as up and its BFD as down.
    pub fn new(config: SessionConfig) -> Session {
        Session {
            rng: StdRng::seed_from_u64(config.seed),
            config,
            now: At::ZERO,
            run: Run::Stopped,
            outgoing: Machine::default(),
            incoming: Machine::default(),
            bfd: Bfd::Down,
            bfd_lost: false,
            interface_up: true,
            failures: 0,
            fell: false,
            patience: None,
            restarting: None,
            restart_over: None,
            omitted: Omitted::default(),
            refused: false,
            serial: 0,
            reported: State::Idle,
            reported_at: At::ZERO,
            lost_at: None,
            why: "not started yet".to_owned(),
            notification_sent: None,
            notification_received: None,
            counters: Counters::default(),
            refusals: Refusals::default(),
            outputs: VecDeque::new(),
        }
    }

    /// The session's state: that of the machine further on.
    pub fn state(&self) -> State {
        let (a, b) = (self.outgoing.state, self.incoming.state);
        if b.progress() > a.progress() { b } else { a }
    }

    /// What was agreed on, while established.
    pub fn negotiated(&self) -> Option<&Negotiated> {
        self.established()
            .and_then(|side| self.machine(side).negotiated.as_ref())
    }

    /// How many more bytes of UPDATEs may be written; 0 while not established.
    pub fn room(&self) -> usize {
        self.established()
            .map_or(0, |side| ROOM.saturating_sub(self.machine(side).waiting()))
    }

    /// Where UPDATEs are written, and how; only while established. Write no more than [`Session::room`], give or take a message.
    pub fn writer(&mut self) -> Option<(&mut BytesMut, Dialect)> {
        let side = self.established()?;
        let machine = self.machine_mut(side);
        let dialect = machine.negotiated.as_ref()?.dialect;
        Some((&mut machine.out, dialect))
    }

    /// The next thing to do; `None` when all is done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front().or_else(|| {
            let (now, sent) = (self.now, &mut self.counters.sent);
            let written = self.outgoing.take_out(now, sent);
            let (conn, bytes) = written.or_else(|| self.incoming.take_out(now, sent))?;
            Some(Output::Write { conn, bytes })
        })
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: At, input: Input<'_>) {
        self.now = now;
        match input {
            Input::Start => self.start(),
            Input::Restarted { preserved } => self.restarted(preserved),
            Input::Stop { reason } => self.stop(reason),
            Input::AutomaticStop {
                notification,
                restart_after,
            } => self.automatic_stop(&notification, restart_after),
            Input::Deadline => self.expire(),
            Input::Connected { conn } => self.connected(conn),
            Input::ConnectFailed { conn, why } => {
                self.lost(conn, format!("connection attempt failed: {why}"));
            }
            Input::Bytes { conn, bytes } => self.received(conn, bytes),
            Input::Written { conn, bytes } => {
                let machine = self.machine_mut(conn.direction);
                if machine.conn == Some(conn) {
                    machine.written(bytes, now);
                }
            }
            Input::Closed { conn, why } => self.lost(conn, format!("connection lost: {why}")),
            Input::BfdUp => self.bfd_up(),
            Input::BfdDown {
                control_plane_independent,
            } => self.bfd_down(control_plane_independent),
            Input::BfdAdminDown => self.bfd_admin_down(),
            Input::InterfaceUp => {
                self.interface_up = true;
                self.unblock("interface up");
            }
            Input::InterfaceDown => {
                self.interface_up = false;
                self.block("interface down");
                self.void_restart("interface down");
            }
            Input::RequestRefresh { family } => self.request_refresh(family),
            Input::MarkRefresh { family, mark } => self.mark_refresh(family, mark),
            Input::Crash => self.crash(),
        }
        self.settle();
    }

    fn machine(&self, side: Direction) -> &Machine {
        match side {
            Direction::Outgoing => &self.outgoing,
            Direction::Incoming => &self.incoming,
        }
    }

    fn machine_mut(&mut self, side: Direction) -> &mut Machine {
        match side {
            Direction::Outgoing => &mut self.outgoing,
            Direction::Incoming => &mut self.incoming,
        }
    }

    fn established(&self) -> Option<Direction> {
        Direction::BOTH
            .into_iter()
            .find(|&side| self.machine(side).state == State::Established)
    }

    /// Whether there is a connection at all.
    fn is_connected(&self) -> bool {
        self.outgoing.is_connected() || self.incoming.is_connected()
    }
}

#[cfg(test)]
mod tests;
