//! What goes into a router and what comes out of it.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;

use super::config::{Originated, SessionIndex, Sessions};
use super::monitored::Monitored;
use crate::bgp::family::Families;
use crate::bgp::policy::Policy;
pub use crate::bgp::session::{Conn, Direction};
use crate::record::Fact;

/// What happened to a router.
#[derive(Debug)]
pub enum Input<'a> {
    /// The router boots: all sessions start that are not shut down.
    Start,
    /// The moment [`super::Router::deadline`] named has come.
    Deadline,
    /// A session is started by hand after [`Input::Stop`].
    StartSession {
        /// Which.
        session: SessionIndex,
    },
    /// A session is shut down by hand: Cease / Administrative Shutdown with the reason (RFC 9003).
    Stop {
        /// Which.
        session: SessionIndex,
        /// Text for the neighbour, at most 255 bytes are sent; may be empty.
        reason: &'a str,
    },
    /// Our link-local address on a session's link, to be told beside the global next hop (RFC 2545, section 3). Comes before
    /// [`Input::Connected`], if at all.
    LinkLocal {
        /// Which session.
        session: SessionIndex,
        /// The address.
        address: Ipv6Addr,
    },
    /// A session is reset by hand: Cease / Administrative Reset with the reason (RFC 4486, RFC 9003), and comes back.
    Reset {
        /// Which.
        session: SessionIndex,
        /// As of [`Input::Stop`].
        reason: &'a str,
    },
    /// A TCP connection is up. An outgoing one has the [`Conn`] of its [`Output::Connect`]; for an incoming one
    /// the driver makes a [`Conn`] with a serial it has not used for this session before.
    Connected {
        /// Which session ([`super::Router::session_for`] finds it).
        session: SessionIndex,
        /// Which connection.
        conn: Conn,
    },
    /// An outgoing connection attempt failed.
    ConnectFailed {
        /// Which session.
        session: SessionIndex,
        /// Which connection.
        conn: Conn,
        /// The kernel's words.
        why: &'a str,
    },
    /// Bytes were read from a connection.
    Bytes {
        /// Which session.
        session: SessionIndex,
        /// Which connection.
        conn: Conn,
        /// What was read; any amount.
        bytes: &'a [u8],
    },
    /// The kernel took bytes of an [`Output::Write`]. Without these reports a session stops producing UPDATEs.
    Written {
        /// Which session.
        session: SessionIndex,
        /// Which connection.
        conn: Conn,
        /// How many.
        bytes: usize,
    },
    /// The neighbour or the kernel closed a connection. Not reported after [`Output::Close`].
    Closed {
        /// Which session.
        session: SessionIndex,
        /// Which connection.
        conn: Conn,
        /// Why, for example `closed by the peer` or the kernel's words.
        why: &'a str,
    },
    /// A session's BFD session went up.
    BfdUp {
        /// Which session.
        session: SessionIndex,
    },
    /// A session's BFD session went down, having been up, or was enabled again.
    BfdDown {
        /// Which session.
        session: SessionIndex,
        /// The neighbour's BFD does not share fate with its control plane (RFC 5880, the C bit).
        control_plane_independent: bool,
    },
    /// One end of a session's BFD session disabled it: it says nothing of the path any more (RFC 5882, section 4.2).
    /// [`Input::BfdDown`] when both enabled it again.
    BfdAdminDown {
        /// Which session.
        session: SessionIndex,
    },
    /// An interface gained carrier. Interfaces count as up until told otherwise.
    InterfaceUp {
        /// Which.
        interface: &'a str,
    },
    /// An interface lost carrier.
    InterfaceDown {
        /// Which.
        interface: &'a str,
    },
    /// Originate a route, or give it other attributes, on some sessions. Overrides a learned route there.
    Announce(Originated),
    /// Announce a prefix no longer on some sessions, be it originated or learned.
    Withdraw {
        /// Prefix.
        prefix: IpNet,
        /// On which sessions.
        sessions: Sessions,
    },
    /// Take back [`Input::Announce`] and [`Input::Withdraw`] for a prefix: routing decides again.
    Unpin {
        /// Prefix.
        prefix: IpNet,
        /// On which sessions.
        sessions: Sessions,
    },
    /// Give a session other policies; `None` keeps one. Received routes are decided anew and announced ones looked at
    /// again at once, without a reset. Policies outlive a crash, as a configuration does.
    Policy {
        /// Which session.
        session: SessionIndex,
        /// Instead of [`super::SessionSpec::import`].
        import: Option<Arc<Policy>>,
        /// Instead of [`super::SessionSpec::export`].
        export: Option<Arc<Policy>>,
    },
    /// Ask a neighbour for its routes again (RFC 2918). Ignored when it cannot.
    RequestRefresh {
        /// Which session.
        session: SessionIndex,
    },
    /// Take a session out of use gracefully (RFC 8326): its routes are announced again with GRACEFUL_SHUTDOWN, those
    /// received get local preference 0, and after some time it is shut down as by [`Input::Stop`].
    /// [`Input::StartSession`] takes that back.
    GracefulShutdown {
        /// Which session.
        session: SessionIndex,
        /// Until it is shut down.
        after: Duration,
        /// Text for the neighbour.
        reason: &'a str,
    },
    /// The router's BGP ends as a process does that is killed: everything it learned is forgotten, connections are closed
    /// without NOTIFICATION. What it was told to do stays, as a configuration does.
    Halt {
        /// The kernel goes on forwarding until [`Input::Restart`] has chosen routes anew; else its routes go, and
        /// [`Input::Start`] begins anew.
        forwarding: bool,
    },
    /// The router's BGP restarts, and the kernel goes on forwarding (RFC 4724, section 4.1): as [`Input::Halt`], if
    /// that was not said before, and back again. Kernel routes stay until routes are chosen anew.
    Restart {
        /// The families whose forwarding is preserved.
        preserved: Families,
    },
    /// The router dies: everything it learned is forgotten, connections vanish without NOTIFICATION. What it was told to
    /// do stays, as a configuration does.
    Crash,
}

/// What a router wants done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open a TCP connection to port 179.
    Connect {
        /// Which session.
        session: SessionIndex,
        /// Which connection.
        conn: Conn,
        /// Our address.
        local: IpAddr,
        /// The neighbour's address.
        remote: IpAddr,
    },
    /// Write to a connection, in order; report progress with [`Input::Written`].
    Write {
        /// Which session.
        session: SessionIndex,
        /// Which connection.
        conn: Conn,
        /// What; whole messages, several in one.
        bytes: Bytes,
    },
    /// Close a connection or give up its attempt; what was to be written before should still go out if it can at once.
    Close {
        /// Which session.
        session: SessionIndex,
        /// Which connection.
        conn: Conn,
        /// Drop it without a trace (a crash): nothing unwritten goes out.
        abort: bool,
    },
    /// Change the kernel's routes.
    Fib(Fib),
    /// Something observed on a session with [`super::SessionSpec::monitor`], at the `now` of the `handle` that caused it.
    Monitored(Box<Monitored>),
    /// A fact for the record, observed at the `now` of the `handle` that caused it.
    Fact(Box<Fact>),
}

/// A change of the kernel's routes.
#[derive(Debug, Clone, PartialEq)]
pub enum Fib {
    /// All next hops of this session are gone, at once. Where a prefix has others it keeps those, and nothing more is
    /// said about it; for every other prefix [`Fib::Move`], [`Fib::Replace`] or [`Fib::Remove`] follows.
    NextHopDown {
        /// Which session.
        session: SessionIndex,
    },
    /// Every prefix that has exactly the next hops `from` has `to` now: one change of a nexthop group. Follows
    /// [`Fib::NextHopDown`], and all of `from` were that session's.
    Move {
        /// The next hops so far.
        from: Arc<[NextHop]>,
        /// Those from now on, never empty.
        to: Arc<[NextHop]>,
    },
    /// A prefix has these next hops now. Equal sets are the same `Arc` while in use, so that they can share a nexthop group.
    Replace {
        /// Prefix.
        prefix: IpNet,
        /// Equal paths, sorted, never empty.
        next_hops: Arc<[NextHop]>,
    },
    /// A prefix is gone.
    Remove {
        /// Prefix.
        prefix: IpNet,
    },
    /// The router restarts: the routes stay as they are until they are replaced, or until [`Fib::Sweep`].
    Keep,
    /// Routes from before [`Fib::Keep`] that were not replaced since are gone.
    Sweep,
}

/// One way to forward packets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextHop {
    /// The session the route came from.
    pub session: SessionIndex,
    /// Gateway, directly connected.
    pub gateway: IpAddr,
    /// Interface to the gateway.
    pub interface: Arc<str>,
}
