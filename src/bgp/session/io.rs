//! What happens to a session, and what it wants done.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;

use crate::bgp::family::{Families, Family};
use crate::bgp::fsm::State;
use crate::bgp::message::{Capabilities, Dialect, Update};
use crate::bgp::notification::Notification;

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
    /// What we keep while the neighbour restarts (RFC 4724); `None` unless both ends can.
    pub graceful: Option<Graceful>,
    /// A NOTIFICATION or the hold timer begins such a restart, too (RFC 8538).
    pub graceful_notification: bool,
}

/// Routes that outlive the loss of a session, as stale ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Graceful {
    /// Their families; never none. Routes of other families are void.
    pub families: Families,
    /// The restart time: [`Output::RestartOver`] comes when the neighbour is not back by then.
    pub time: Duration,
    /// What is stale from an earlier loss stays so, too: the N bit was exchanged (RFC 8538, section 4.1).
    pub again: bool,
}

/// What happened to a session.
#[derive(Debug)]
pub enum Input<'a> {
    /// Start, or start again after a stop.
    Start,
    /// The router has restarted and kept its forwarding state of these families: our OPENs say so until the session is
    /// established, or the restart time is over (RFC 4724, section 4.1). Comes before [`Input::Start`].
    Restarted {
        /// The families, maybe none.
        preserved: Families,
    },
    /// Stop by hand, with a text for the neighbour's people (RFC 9003).
    Stop {
        /// The text, maybe empty.
        reason: &'a str,
    },
    /// End the session for a reason, for example [`Notification::maximum_prefixes`], and come back or not.
    AutomaticStop {
        /// What the neighbour is told.
        notification: Notification,
        /// How long the session rests; `None` until [`Input::Start`].
        restart_after: Option<Duration>,
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
    /// BFD is down, be it for a failure or because it is not up yet.
    BfdDown {
        /// The neighbour said that its BFD does not share fate with its control plane: the C bit (RFC 5880, section 4.1).
        control_plane_independent: bool,
    },
    /// One end disabled BFD: it says nothing of the path any more (RFC 5882, section 4.2). [`Input::BfdDown`] when both
    /// enabled it again.
    BfdAdminDown,
    /// The link has carrier.
    InterfaceUp,
    /// The link has no carrier.
    InterfaceDown,
    /// Ask the neighbour for its routes again. Ignored for a family that is not carried, and when the neighbour cannot.
    RequestRefresh {
        /// Of this family.
        family: Family,
    },
    /// Tell the neighbour where a refresh begins or ends (RFC 7313). What was written to [`super::Session::writer`] before
    /// comes before. Ignored when the neighbour does not know such marks.
    MarkRefresh {
        /// Of this family.
        family: Family,
        /// Begin or end.
        mark: RefreshMark,
    },
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
    /// The neighbour connected, and the session takes no connection now: told of the first, and whenever there are twice as many.
    Refused {
        /// What the session does instead, in words.
        why: String,
        /// How many since the state or the reason changed.
        count: u64,
    },
    /// Routes may be exchanged now.
    Established(Negotiated),
    /// Routes came in.
    Update(Box<Update>),
    /// The neighbour wants all routes again.
    RefreshRequested {
        /// Of this family.
        family: Family,
        /// The answer is to stand between [`Input::MarkRefresh`] (RFC 7313).
        demarcated: bool,
    },
    /// The neighbour begins or ends to send all its routes again: what is older and did not come again by the end is
    /// gone (RFC 7313, section 4).
    RefreshMarked {
        /// Of this family.
        family: Family,
        /// Begin or end.
        mark: RefreshMark,
    },
    /// The session is no longer established: its routes are void, or stale.
    Down {
        /// In words.
        why: String,
        /// What is to be kept as stale; `None` is nothing.
        graceful: Option<Graceful>,
    },
    /// What was kept as stale since [`Output::Down`] is void: the neighbour will not be back in time.
    RestartOver {
        /// In words.
        why: String,
    },
}

/// A mark around a refresh (RFC 7313).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshMark {
    /// Beginning-of-Route-Refresh, subtype 1.
    Begin,
    /// End-of-Route-Refresh, subtype 2.
    End,
}
