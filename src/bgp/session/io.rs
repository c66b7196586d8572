//! What a session is told, what happens to it, and what it wants done.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;

use crate::bgp::fsm::State;
use crate::bgp::message::{Capabilities, Dialect, Update};

/// Who opened a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// We did.
    Outgoing,
    /// The neighbour did.
    Incoming,
}

impl Direction {
    pub(super) const BOTH: [Direction; 2] = [Direction::Outgoing, Direction::Incoming];

    pub(super) fn other(self) -> Direction {
        match self {
            Direction::Outgoing => Direction::Incoming,
            Direction::Incoming => Direction::Outgoing,
        }
    }
}

/// One TCP connection of a session. Events of a connection the session no longer has are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conn {
    /// Who opened it. The session chooses the serial of an outgoing one, the driver that of an incoming one.
    pub direction: Direction,
    /// Tells it apart from earlier ones of the same session and direction.
    pub serial: u32,
}

/// What a session is told.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionConfig {
    /// Our AS number.
    pub asn: u32,
    /// Our BGP Identifier.
    pub id: Ipv4Addr,
    /// The AS number the neighbour must have; ours for iBGP.
    pub peer_asn: u32,
    /// Never connect, only wait.
    pub passive: bool,
    /// Lose the session when BFD goes down.
    pub use_bfd: bool,
    /// Withhold our KEEPALIVE in OpenConfirm until BFD is up.
    pub bfd_strict: bool,
    /// Do not even connect before BFD is up.
    pub wait_for_bfd: bool,
    /// What our OPEN announces.
    pub capabilities: Capabilities,
    /// Timers.
    pub timers: Timers,
    /// Decides the jitter.
    pub seed: u64,
}

/// Times of a session (RFC 4271, section 10).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timers {
    /// Hold time we propose, in whole seconds; zero is off, else at least 3 s.
    pub hold: Duration,
    /// Keepalive time; a third of the negotiated hold time if that is less.
    pub keepalive: Duration,
    /// Time between connection attempts.
    pub connect_retry: Duration,
    /// Time before the first attempt.
    pub connect_delay: Duration,
    /// Rest after a failure; doubled up to 16 times while failures repeat.
    pub idle_hold: Duration,
    /// Hold time until the neighbour's OPEN is here.
    pub open_hold: Duration,
    /// How long the neighbour may refuse to read (RFC 9687).
    pub send_hold: Duration,
}

impl Default for Timers {
    fn default() -> Timers {
        Timers {
            hold: Duration::from_secs(180),
            keepalive: Duration::from_secs(60),
            connect_retry: Duration::from_secs(5),
            connect_delay: Duration::ZERO,
            idle_hold: Duration::from_millis(100),
            open_hold: Duration::from_secs(240),
            send_hold: Duration::from_secs(480),
        }
    }
}

/// What both ends agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The neighbour's AS number.
    pub peer_asn: u32,
    /// The neighbour's BGP Identifier.
    pub peer_id: Ipv4Addr,
    /// Hold time; `None` is off.
    pub hold: Option<Duration>,
    /// What the neighbour announced.
    pub capabilities: Capabilities,
    /// How UPDATEs read.
    pub dialect: Dialect,
}

/// What happened to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// Start, or start again after a stop.
    Start,
    /// Stop, with a text for the neighbour's people.
    Stop {
        /// The text, maybe empty.
        reason: &'a str,
    },
    /// The moment [`super::Session::deadline`] named has come.
    Deadline,
    /// A connection is there.
    Connected {
        /// Which.
        conn: Conn,
    },
    /// Our attempt failed.
    ConnectFailed {
        /// Which.
        conn: Conn,
        /// In words.
        why: &'a str,
    },
    /// Bytes came in.
    Bytes {
        /// On which connection.
        conn: Conn,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Bytes went out.
    Written {
        /// On which connection.
        conn: Conn,
        /// How many.
        bytes: usize,
    },
    /// A connection is gone.
    Closed {
        /// Which.
        conn: Conn,
        /// In words.
        why: &'a str,
    },
    /// BFD is up.
    BfdUp,
    /// BFD is down.
    BfdDown,
    /// The link has carrier.
    InterfaceUp,
    /// The link has no carrier.
    InterfaceDown,
    /// Ask the neighbour for its routes again.
    RequestRefresh,
    /// Die silently.
    Crash,
}

/// What a session wants done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open a connection.
    Connect {
        /// With this name.
        conn: Conn,
    },
    /// Write whole messages.
    Write {
        /// To which connection.
        conn: Conn,
        /// The bytes.
        bytes: Bytes,
    },
    /// Close a connection, or give up the attempt.
    Close {
        /// Which.
        conn: Conn,
        /// Without a trace.
        abort: bool,
    },
    /// The session's state changed.
    StateChanged {
        /// Before.
        from: State,
        /// After.
        to: State,
        /// In words, for example `BFD down`.
        why: String,
    },
    /// Routes may be exchanged now.
    Established(Negotiated),
    /// Routes came in.
    Update(Box<Update>),
    /// The neighbour wants all routes again.
    RefreshRequested,
    /// The session is no longer established: its routes are void.
    Down {
        /// In words.
        why: String,
    },
}
