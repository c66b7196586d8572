//! A BGP session with one neighbour: its connections, timers, BFD gate and collisions (RFC 4271, sections 6.8 and 8).
//!
//! A session runs the table of [`fsm`] twice: for the connection it opens and for the one the neighbour opens.
//! With BFD strict mode it goes through the exchange of OPENs while BFD is down but withholds its KEEPALIVE in
//! OpenConfirm (draft-ietf-idr-bgp-bfd-strict-mode), so that routes flow the moment BFD comes up and never before.
//!
//! **Invariant:** `Session::enter` is the only place where a machine's state changes; what waits to be written
//! is bounded by [`ROOM`] plus a few control messages.

mod io;
mod machine;
mod open;
mod timing;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use rand::SeedableRng;
use rand::rngs::StdRng;

pub use super::fsm::State;
use super::fsm::{self, Action, Event};
use super::message::{self, Dialect, Message, Open, Update};
use super::notification::Notification;
use crate::time::At;
use machine::Machine;

pub use io::{Conn, Direction, Input, Negotiated, Output, SessionConfig, Timers};

/// How many bytes of UPDATEs a session lets wait for the kernel before it stops producing more.
pub const ROOM: usize = 128 * 1024;

/// How long a connection that a collision may close waits for the other one before it goes on.
const COLLISION_PATIENCE: Duration = Duration::from_millis(250);

/// Whether the session may try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    /// Not started, or stopped by hand.
    Stopped,
    /// The link, or with `wait_for_bfd` BFD, is down.
    Blocked,
    /// Rests after a failure until then.
    Resting(At),
    /// Tries, or is up.
    Running,
}

/// What an event brings along.
#[derive(Debug, Default)]
struct Given {
    why: Cow<'static, str>,
    notification: Option<Notification>,
    conn: Option<Conn>,
    open: Option<Open>,
    update: Option<Box<Update>>,
}

impl Given {
    fn why(why: impl Into<Cow<'static, str>>) -> Given {
        Given {
            why: why.into(),
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
    bfd_up: bool,
    interface_up: bool,
    /// Failures since the session was last well.
    failures: u32,
    /// A machine fell from a connected state since [`Session::settle`] last looked.
    fell: bool,
    patience: Option<At>,
    serial: u32,
    reported: State,
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
            bfd_up: false,
            interface_up: true,
            failures: 0,
            fell: false,
            patience: None,
            serial: 0,
            reported: State::Idle,
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
            let send_hold = self.now + self.config.timers.send_hold;
            let written = self.outgoing.take_out(send_hold);
            let (conn, bytes) = written.or_else(|| self.incoming.take_out(send_hold))?;
            Some(Output::Write { conn, bytes })
        })
    }

    /// Takes what happened at `now`.
    pub fn handle(&mut self, now: At, input: Input<'_>) {
        self.now = now;
        match input {
            Input::Start => self.start(),
            Input::Stop { reason } => self.stop(reason),
            Input::Deadline => self.expire(),
            Input::Connected { conn } => self.connected(conn),
            Input::ConnectFailed { conn, why } => {
                self.lost(conn, format!("connection attempt failed: {why}"));
            }
            Input::Bytes { conn, bytes } => self.received(conn, bytes),
            Input::Written { conn, bytes } => {
                let send_hold = now + self.config.timers.send_hold;
                let machine = self.machine_mut(conn.direction);
                if machine.conn == Some(conn) {
                    machine.written(bytes, send_hold);
                }
            }
            Input::Closed { conn, why } => self.lost(conn, format!("connection lost: {why}")),
            Input::BfdUp => self.bfd_up(),
            Input::BfdDown => self.bfd_down(),
            Input::InterfaceUp => {
                self.interface_up = true;
                self.unblock("interface up");
            }
            Input::InterfaceDown => {
                self.interface_up = false;
                self.block(Event::InterfaceDown, "interface down");
            }
            Input::RequestRefresh => self.request_refresh(),
            Input::Crash => {
                self.run = Run::Stopped;
                self.both(Event::Crash, "crash");
            }
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

    fn may_run(&self) -> bool {
        self.interface_up && (self.bfd_up || !self.config.wait_for_bfd)
    }

    fn start(&mut self) {
        if self.run != Run::Stopped {
            return;
        }
        self.failures = 0;
        if self.may_run() {
            self.go("started", !self.config.timers.connect_delay.is_zero());
        } else {
            self.run = Run::Blocked;
        }
    }

    /// Starts both machines.
    fn go(&mut self, why: &'static str, delayed: bool) {
        self.run = Run::Running;
        if !self.config.passive {
            let event = if delayed {
                Event::StartDelayed
            } else {
                Event::Start
            };
            self.apply(Direction::Outgoing, event, Given::why(why));
        }
        self.apply(Direction::Incoming, Event::StartPassive, Given::why(why));
    }

    fn stop(&mut self, reason: &str) {
        self.run = Run::Stopped;
        let notification = Notification::shutdown(reason);
        for side in Direction::BOTH {
            let given = Given {
                notification: Some(notification.clone()),
                ..Given::why(format!("sent {notification}"))
            };
            self.apply(side, Event::Stop, given);
        }
    }

    fn both(&mut self, event: Event, why: &'static str) {
        for side in Direction::BOTH {
            self.apply(side, event, Given::why(why));
        }
    }

    fn block(&mut self, event: Event, why: &'static str) {
        self.failures = 0;
        if self.run != Run::Stopped {
            self.run = Run::Blocked;
        }
        self.both(event, why);
    }

    fn unblock(&mut self, why: &'static str) {
        match self.run {
            Run::Blocked if self.may_run() => self.go(why, false),
            Run::Resting(_) => self.go(why, false),
            Run::Running => self.hurry(why),
            Run::Blocked | Run::Stopped => {}
        }
    }

    fn bfd_up(&mut self) {
        self.bfd_up = true;
        if self.config.use_bfd || self.config.bfd_strict {
            for side in Direction::BOTH {
                self.release(side);
            }
            self.unblock("BFD up");
        }
    }

    fn bfd_down(&mut self) {
        // Only a BFD session that was up says something about the path; on its way up it passes through Init.
        let was_up = std::mem::replace(&mut self.bfd_up, false);
        if !was_up || !(self.config.use_bfd || self.config.bfd_strict) {
            return;
        }
        self.failures = 0;
        for side in Direction::BOTH {
            // A machine that withholds its KEEPALIVE waits for BFD anyway.
            if !self.machine(side).held {
                self.apply(side, Event::BfdDown, Given::why("BFD down"));
            }
        }
        if self.config.wait_for_bfd && self.run != Run::Stopped {
            self.block(Event::InterfaceDown, "BFD down");
        }
    }

    fn connected(&mut self, conn: Conn) {
        // An outgoing connection must be the attempt under way.
        if conn.direction == Direction::Outgoing
            && (self.outgoing.conn != Some(conn) || self.outgoing.state != State::Connect)
        {
            self.outputs.push_back(Output::Close { conn, abort: false });
            return;
        }
        let given = Given {
            conn: Some(conn),
            ..Given::why(match conn.direction {
                Direction::Outgoing => "connected",
                Direction::Incoming => "connected by the peer",
            })
        };
        self.apply(conn.direction, Event::ConnectionMade, given);
    }

    fn lost(&mut self, conn: Conn, why: String) {
        let machine = self.machine_mut(conn.direction);
        if machine.conn == Some(conn) {
            machine.conn = None;
            self.apply(conn.direction, Event::ConnectionLost, Given::why(why));
        }
    }

    fn request_refresh(&mut self) {
        if let Some(side) = self.established() {
            let machine = self.machine_mut(side);
            let negotiated = machine.negotiated.as_ref();
            let able = negotiated.is_some_and(|n| n.capabilities.route_refresh);
            if able && machine.waiting() < ROOM {
                message::write_route_refresh(&mut machine.out);
            }
        }
    }

    fn received(&mut self, conn: Conn, bytes: &[u8]) {
        let side = conn.direction;
        if self.machine(side).conn != Some(conn) {
            return;
        }
        self.machine_mut(side).framer.push(bytes);
        let before_open = Dialect::plain(self.config.asn == self.config.peer_asn);
        // A message may close the connection; what comes after it is void.
        while self.machine(side).conn == Some(conn) {
            let machine = self.machine_mut(side);
            let dialect = machine
                .negotiated
                .as_ref()
                .map_or(before_open, |n| n.dialect);
            match machine.framer.next(dialect) {
                Ok(Some(message)) => self.message(side, message),
                Ok(None) => break,
                Err(notification) => self.refuse(side, notification),
            }
        }
    }

    fn message(&mut self, side: Direction, message: Message) {
        let held = self.machine(side).held;
        match message {
            Message::Open(open) => self.open(side, open),
            Message::Keepalive if held => {
                self.apply(side, Event::KeepaliveHeld, Given::why("KEEPALIVE received"));
            }
            Message::Keepalive => {
                self.apply(side, Event::Keepalive, Given::why("KEEPALIVE received"));
            }
            Message::Update(update) => {
                let given = Given {
                    update: Some(update),
                    ..Given::why("UPDATE received")
                };
                self.apply(side, Event::Update, given);
            }
            Message::Notification(notification) => {
                let why = format!("received {notification}");
                self.apply(side, Event::Notification, Given::why(why));
            }
            Message::RouteRefresh(refresh) => {
                // RFC 7313 marks and other address families ask for nothing here.
                let ours = (refresh.afi, refresh.safi, refresh.subtype) == (1, 1, 0);
                if ours || self.machine(side).state != State::Established {
                    self.apply(
                        side,
                        Event::RouteRefresh,
                        Given::why("ROUTE-REFRESH received"),
                    );
                }
            }
        }
    }

    fn refuse(&mut self, side: Direction, notification: Notification) {
        let given = Given {
            why: format!("sent {notification}").into(),
            notification: Some(notification),
            ..Given::default()
        };
        self.apply(side, Event::MessageError, given);
    }

    /// One event for one machine: looks it up, does what is to be done, enters the next state.
    fn apply(&mut self, side: Direction, event: Event, mut given: Given) {
        let before = self.machine(side).state;
        let step = fsm::step(before, event);
        for &action in step.actions {
            self.act(side, action, &mut given);
        }
        if step.next != before {
            self.enter(side, step.next, event, &given.why);
        }
    }

    fn act(&mut self, side: Direction, action: Action, given: &mut Given) {
        let now = self.now;
        match action {
            Action::Abandon => self.drop_connection(side, false),
            Action::Connect => {
                self.serial = self.serial.wrapping_add(1);
                let conn = Conn {
                    direction: side,
                    serial: self.serial,
                };
                let retry = self.retry_at();
                let machine = self.machine_mut(side);
                machine.adopt(conn);
                machine.since = now;
                machine.retry = Some(retry);
                self.outputs.push_back(Output::Connect { conn });
            }
            Action::Adopt => {
                if let Some(conn) = given.conn {
                    if self.machine(side).conn != Some(conn) {
                        self.drop_connection(side, false);
                    }
                    let open_hold = now + self.config.timers.open_hold;
                    let machine = self.machine_mut(side);
                    machine.adopt(conn);
                    machine.since = now;
                    machine.hold = Some(open_hold);
                }
            }
            Action::Refuse => {
                if let Some(conn) = given.conn {
                    self.outputs.push_back(Output::Close { conn, abort: false });
                }
            }
            Action::SendOpen => self.send_open(side),
            Action::AcceptOpen => {
                if let Some(open) = given.open.take() {
                    self.accept_open(side, &open);
                }
            }
            Action::SendKeepalive => {
                let next = self.keepalive_at(side);
                let machine = self.machine_mut(side);
                // With so much waiting, UPDATEs will keep the session alive.
                if machine.waiting() < ROOM {
                    message::write_keepalive(&mut machine.out);
                }
                machine.keepalive = next;
            }
            Action::NoteKeepalive => self.machine_mut(side).confirmed = true,
            Action::RestartHold => self.machine_mut(side).restart_hold(now),
            Action::Deliver => {
                self.outputs.extend(given.update.take().map(Output::Update));
            }
            Action::Refresh => self.outputs.push_back(Output::RefreshRequested),
            Action::NotifyGiven => {
                if let Some(notification) = given.notification.take() {
                    message::write_notification(&mut self.machine_mut(side).out, &notification);
                }
            }
            Action::Notify(code, subcode) => {
                let notification = Notification::new(code, subcode);
                message::write_notification(&mut self.machine_mut(side).out, &notification);
                if code == 5 {
                    given.why = format!("sent {notification}").into();
                }
            }
        }
    }

    /// The only place where a machine's state changes. Whatever the new state has no use for ends here.
    fn enter(&mut self, side: Direction, next: State, event: Event, why: &str) {
        let before = std::mem::replace(&mut self.machine_mut(side).state, next);
        match next {
            State::Idle | State::Active => {
                self.drop_connection(side, event == Event::Crash);
                let retry =
                    (next == State::Active && side == Direction::Outgoing).then(|| match event {
                        Event::StartDelayed => {
                            self.now + self.jittered(self.config.timers.connect_delay)
                        }
                        _ => self.retry_at(),
                    });
                self.machine_mut(side).rest(retry);
                if next == State::Idle && before.is_connected() && event != Event::Collision {
                    self.fell = true;
                }
            }
            State::Connect | State::OpenSent | State::OpenConfirm => {}
            State::Established => {
                self.machine_mut(side).since = self.now;
                // Before the other machine ends, which is not why.
                self.report(why);
                let other = side.other();
                self.apply(other, Event::Collision, Given::why("collision"));
                let negotiated = self.machine(side).negotiated.clone();
                self.outputs.extend(negotiated.map(Output::Established));
            }
        }
        if before == State::Established {
            let lasted = self.now.since(self.machine(side).since);
            if lasted >= Duration::from_secs(5) {
                self.failures = 0;
            }
            self.outputs.push_back(Output::Down {
                why: why.to_owned(),
            });
        }
        self.report(why);
    }

    /// Reports the session's state if it is another one.
    fn report(&mut self, why: &str) {
        let to = self.state();
        let from = std::mem::replace(&mut self.reported, to);
        if from != to {
            self.outputs.push_back(Output::StateChanged {
                from,
                to,
                why: why.to_owned(),
            });
        }
    }

    /// Hands over what is still to be written and closes a machine's connection, if it has one.
    fn drop_connection(&mut self, side: Direction, abort: bool) {
        let machine = self.machine_mut(side);
        let Some(conn) = machine.conn.take() else {
            return;
        };
        let bytes = machine.out.split().freeze();
        if !bytes.is_empty() && !abort {
            self.outputs.push_back(Output::Write { conn, bytes });
        }
        self.outputs.push_back(Output::Close { conn, abort });
    }
}

#[cfg(test)]
mod tests;
