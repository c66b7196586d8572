//! What a session tells about itself: how it is, since when and why, and what it has counted.

use std::fmt;

use super::{Bfd, Direction, Negotiated, Run, Session};
use crate::bgp::fsm::State;
use crate::bgp::notification::Notification;
use crate::time::At;

/// A look at a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Status<'a> {
    /// Its state.
    pub state: State,
    /// Since when, and why.
    pub since: At,
    /// Why it entered its state, in words.
    pub why: &'a str,
    /// When it was last lost, if it was ever established.
    pub lost_at: Option<At>,
    /// What it does now.
    pub activity: Activity,
    /// Who opened the established connection.
    pub opened_by: Option<Direction>,
    /// What was agreed on, while established.
    pub negotiated: Option<&'a Negotiated>,
    /// The last NOTIFICATION sent, and when.
    pub notification_sent: Option<&'a (At, Notification)>,
    /// The last NOTIFICATION received, and when.
    pub notification_received: Option<&'a (At, Notification)>,
    /// Timers that run, by the RFC's names, and when they expire.
    pub timers: Vec<(&'static str, At)>,
    /// What was counted since the session was made.
    pub counters: Counters,
}

/// What a session does, besides being in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Not started, or stopped.
    Stopped,
    /// Waits for its link.
    WaitsForInterface,
    /// Waits for BFD before it connects.
    WaitsForBfd,
    /// Withholds its KEEPALIVE until BFD is up.
    WithholdsKeepalive,
    /// Rests after a failure.
    Rests,
    /// Tries, or is up.
    Runs,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Activity::Stopped => "stopped",
            Activity::WaitsForInterface => "waits for its interface",
            Activity::WaitsForBfd => "waits for BFD before it connects",
            Activity::WithholdsKeepalive => "withholds its KEEPALIVE until BFD is up",
            Activity::Rests => "rests after a failure",
            Activity::Runs => "runs",
        })
    }
}

/// What a session has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Messages received.
    pub received: Messages,
    /// Messages handed over to be sent.
    pub sent: Messages,
    /// Connection attempts.
    pub attempts: u64,
    /// Connections the neighbour opened.
    pub accepted: u64,
    /// Of them, refused unread.
    pub refused: u64,
    /// How often the session was established.
    pub established: u64,
    /// How often it was lost again.
    pub lost: u64,
    /// The ConnectRetryCounter (RFC 4271, section 8.1.1): failures since the last start.
    pub connect_retry: u32,
}

/// Messages by type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Messages {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

impl Messages {
    /// Of all types.
    pub fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }

    /// Counts the whole messages of a buffer by their headers.
    pub(super) fn count(&mut self, mut bytes: &[u8]) {
        while let Some(&[high, low, kind]) = bytes.get(16..19) {
            match kind {
                1 => self.open += 1,
                2 => self.update += 1,
                3 => self.notification += 1,
                4 => self.keepalive += 1,
                _ => self.route_refresh += 1,
            }
            let length = usize::from(u16::from_be_bytes([high, low])).max(19);
            bytes = bytes.get(length..).unwrap_or_default();
        }
    }
}

impl Session {
    /// How it is.
    pub fn status(&self) -> Status<'_> {
        Status {
            state: self.state(),
            since: self.reported_at,
            why: &self.why,
            lost_at: self.lost_at,
            activity: self.activity(),
            opened_by: self.established(),
            negotiated: self.negotiated(),
            notification_sent: self.notification_sent.as_ref(),
            notification_received: self.notification_received.as_ref(),
            timers: self.timers(),
            counters: self.counters,
        }
    }

    pub(super) fn activity(&self) -> Activity {
        match self.run {
            Run::Stopped => Activity::Stopped,
            Run::Blocked if !self.interface_up => Activity::WaitsForInterface,
            Run::Blocked => Activity::WaitsForBfd,
            Run::Resting(_) | Run::Held(_) => Activity::Rests,
            Run::Running if Direction::BOTH.iter().any(|&side| self.is_gated(side)) => {
                Activity::WithholdsKeepalive
            }
            Run::Running => Activity::Runs,
        }
    }

    fn is_gated(&self, side: Direction) -> bool {
        let machine = self.machine(side);
        machine.state == State::OpenConfirm && machine.bfd_gate && self.bfd == Bfd::Down
    }
}
