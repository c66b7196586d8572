//! What one of a session's two machines holds: its connection, its timers, what waits to be written.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::status::Messages;
use super::{Conn, Negotiated};
use crate::bgp::fsm::State;
use crate::bgp::message::Framer;
use crate::time::At;

/// One machine: a state, and what belongs to it.
#[derive(Debug)]
pub(super) struct Machine {
    pub state: State,
    /// The connection, or the attempt under way.
    pub conn: Option<Conn>,
    pub framer: Framer,
    /// Messages not yet handed over.
    pub out: BytesMut,
    /// Bytes handed over that the kernel has not taken yet.
    pub unwritten: usize,
    pub negotiated: Option<Negotiated>,
    /// Our KEEPALIVE is withheld in OpenConfirm.
    pub held: bool,
    /// It is withheld because a collision may close this connection.
    pub parked: bool,
    /// It is to be withheld while BFD is down.
    pub bfd_gate: bool,
    /// The neighbour's KEEPALIVE came while ours was withheld.
    pub confirmed: bool,
    /// When the attempt, the connection or Established began.
    pub since: At,
    pub retry: Option<At>,
    /// Runs only while there is a connection on which nobody has said anything.
    pub delay_open: Option<At>,
    pub hold: Option<At>,
    pub bfd_hold: Option<At>,
    pub keepalive: Option<At>,
    pub send_hold: Option<At>,
    /// The SendHoldTime (RFC 9687) once OPENs are exchanged; `None` is off.
    pub send_hold_time: Option<Duration>,
}

impl Default for Machine {
    fn default() -> Machine {
        Machine {
            state: State::Idle,
            conn: None,
            framer: Framer::default(),
            out: BytesMut::new(),
            unwritten: 0,
            negotiated: None,
            held: false,
            parked: false,
            bfd_gate: false,
            confirmed: false,
            since: At::ZERO,
            retry: None,
            delay_open: None,
            hold: None,
            bfd_hold: None,
            keepalive: None,
            send_hold: None,
            send_hold_time: None,
        }
    }
}

impl Machine {
    /// Forgets the old connection and takes a new one.
    pub fn adopt(&mut self, conn: Conn) {
        *self = Machine {
            state: self.state,
            since: self.since,
            conn: Some(conn),
            ..Machine::default()
        };
    }

    /// Forgets everything but the state and its beginning.
    pub fn rest(&mut self, retry: Option<At>) {
        *self = Machine {
            state: self.state,
            since: self.since,
            retry,
            ..Machine::default()
        };
    }

    /// Whether there is a connection, and not only an attempt.
    pub fn is_connected(&self) -> bool {
        self.conn.is_some() && (self.state.is_connected() || self.delay_open.is_some())
    }

    /// Bytes that wait to be written, here or with the driver.
    pub fn waiting(&self) -> usize {
        self.unwritten + self.out.len()
    }

    /// Hands over what is to be written; while established, the send hold timer runs from the first byte on.
    pub fn take_out(&mut self, now: At, sent: &mut Messages) -> Option<(Conn, Bytes)> {
        let conn = self.conn?;
        if self.out.is_empty() {
            return None;
        }
        let bytes = self.out.split().freeze();
        sent.count(&bytes);
        self.unwritten += bytes.len();
        self.send_hold = self.send_hold.or_else(|| self.send_hold_from(now));
        Some((conn, bytes))
    }

    /// The kernel took bytes: RFC 9687 restarts the timer, or stops it when nothing waits.
    pub fn written(&mut self, bytes: usize, now: At) {
        self.unwritten = self.unwritten.saturating_sub(bytes);
        let waits = self.unwritten > 0;
        self.send_hold = self.send_hold_from(now).filter(|_| waits);
    }

    /// Established begins, with the send hold timer for what still waits.
    pub fn establish(&mut self, now: At) {
        self.since = now;
        self.written(0, now);
    }

    fn send_hold_from(&self, now: At) -> Option<At> {
        let time = self.send_hold_time?;
        (self.state == State::Established).then(|| now + time)
    }

    /// Restarts the hold timer, if the hold time is not off.
    pub fn restart_hold(&mut self, now: At) {
        if let Some(negotiated) = &self.negotiated {
            self.hold = negotiated.hold.map(|hold| now + hold);
        }
    }

    /// Its timers, by the RFC's names.
    pub fn timers(&self) -> impl Iterator<Item = (&'static str, At)> + use<> {
        [
            ("ConnectRetryTimer", self.retry),
            ("DelayOpenTimer", self.delay_open),
            ("HoldTimer", self.hold),
            ("BfdHoldTimer", self.bfd_hold),
            ("KeepaliveTimer", self.keepalive),
            ("SendHoldTimer", self.send_hold),
        ]
        .into_iter()
        .filter_map(|(name, timer)| Some((name, timer?)))
    }
}
