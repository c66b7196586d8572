//! What happens, and what must follow: the model of a scenario file.
//!
//! **Invariant:** every name refers to the scenario's topology; every expectation keeps its place in the file.

mod act;
mod expect;
mod files;
mod parse;
mod raw;
mod stage;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::source::Span;

pub use files::{Rehearsal, load};
pub use parse::{parse, parse_kept};

/// A scenario: steps in order, and the requirements they prove.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Path below `scenarios/` without extension, for example `failover/silent-connection`.
    pub name: String,
    /// The first comment lines of the file, as one sentence or more.
    pub summary: String,
    /// The topology file.
    pub topology: PathBuf,
    /// The binding file the scenario asks for; the command line overrides it.
    pub binding: Option<PathBuf>,
    /// Requirement ids, for example `BFD-01`.
    pub proves: Vec<String>,
    /// Connections on which the peer's simulated router has no BFD.
    pub without_bfd: Vec<String>,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// One verb and what must follow from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where the verb stands in the file.
    pub span: Span,
    /// What the step does.
    pub act: Act,
    /// What must follow.
    pub expect: Vec<Expectation>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Wait for light, LACP, BFD, BGP and end-of-RIB, in that order.
    Settle {
        /// Limit for all of it.
        within: Duration,
        /// Connections that are expected not to come up, and are not waited for.
        except: Vec<String>,
    },
    /// Start probe traffic.
    Send {
        /// `teams` or an endpoint.
        from: String,
        /// An endpoint or `teams`.
        to: String,
        /// Also the other way.
        both_ways: bool,
        /// Interval between packets of one direction.
        every: Duration,
        /// Number of flows (UDP source ports) of one direction, sent in turn.
        flows: u16,
    },
    /// Stop all probe traffic.
    Stop,
    /// Break something on the Microsoft side of the cable.
    Fail(Fault),
    /// Mend what was broken there.
    Repair(Target),
    /// Announce a prefix of the peer.
    Announce {
        /// The prefix.
        prefix: Ipv4Net,
        /// Connections on whose sessions it is announced.
        from: Vec<String>,
        /// The AS path as Microsoft shall see it, first the peer's own AS; empty means just that.
        as_path: Vec<u32>,
        /// Communities, high and low 16 bits.
        communities: Vec<(u16, u16)>,
    },
    /// Withdraw a prefix of the peer.
    Withdraw {
        /// The prefix.
        prefix: Ipv4Net,
        /// Connections on whose sessions it is withdrawn.
        from: Vec<String>,
    },
    /// Let time pass.
    Hold {
        /// How long.
        time: Duration,
        /// Why.
        reason: String,
    },
}

/// A failure: what fails, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What fails.
    pub target: Target,
    /// How.
    pub how: FaultKind,
}

/// What fails or is repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One or more connections.
    Connections(Vec<String>),
    /// One member of a connection, counted from 1.
    Member(String, u8),
    /// A Microsoft edge.
    Node(String),
    /// All Microsoft edges of a metro.
    Metro(String),
    /// Everything that is broken; only repaired, never failed.
    All,
}

/// How something fails. Faults act on the Microsoft side of the cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Both ends lose light on every member.
    Light,
    /// Nothing passes in either direction; light stays.
    Silent,
    /// Nothing passes towards Microsoft; light stays.
    OneWayIn,
    /// Nothing passes towards the peer; light stays.
    OneWayOut,
    /// One member loses light.
    Member,
    /// LACPDUs are lost in both directions; everything else passes.
    Lacp,
    /// BFD packets are lost in both directions; everything else passes.
    Bfd,
    /// BGP packets are lost in both directions; everything else passes.
    Bgp,
    /// The edge router crashes: its light goes, its processes end without a word.
    Node,
    /// Every edge of the metro crashes.
    Metro,
}

/// Something that must follow from a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Where its first key stands in the file.
    pub span: Span,
    /// What is expected.
    pub what: Expect,
    /// It must come true within this time of the step's clock. For limits of traffic it means nothing.
    pub within: Duration,
    /// Having come true, it must stay so for this long (within the step).
    /// Traffic is watched at least so long, and until the step's other expectations are decided.
    pub stays: Duration,
}

/// What is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// The BGP session of each of these connections, as the Microsoft edge sees it.
    Session {
        /// Connections.
        connections: Vec<String>,
        /// `up` is Established, `down` is anything else.
        up: bool,
    },
    /// The LAG of each of these connections has carrier, or not, at the edge.
    Lag {
        /// Connections.
        connections: Vec<String>,
        /// Carrier.
        up: bool,
    },
    /// A member collects and distributes at the edge, or not.
    Member {
        /// Connection.
        connection: String,
        /// Member, counted from 1.
        member: u8,
        /// Distributing.
        up: bool,
    },
    /// The BFD session of each of these connections, as the edge sees it.
    Bfd {
        /// Connections.
        connections: Vec<String>,
        /// `up` is Up, `down` is anything else.
        up: bool,
    },
    /// A route is present or absent in the edge's Adj-RIB-In of these connections.
    Route {
        /// The prefix; `None` means any route at all.
        prefix: Option<Ipv4Net>,
        /// Connections.
        connections: Vec<String>,
        /// From the edge's view: received from the peer, or advertised to it.
        direction: RouteDirection,
        /// Present or absent.
        present: bool,
        /// When given: exactly this many routes.
        count: Option<u32>,
    },
    /// Microsoft's WAN sends traffic for this endpoint over exactly these connections.
    Path {
        /// Endpoint.
        endpoint: String,
        /// Connections in any order; empty with `internet` set.
        via: Vec<String>,
        /// Over the internet path instead.
        internet: bool,
    },
    /// Probe traffic.
    Traffic {
        /// Directions: (from, to) pairs.
        flows: Vec<(String, String)>,
        /// Limit for the longest interruption of a direction.
        interrupted_at_most: Option<Duration>,
        /// Limit for lost packets of a direction.
        lost_at_most: Option<u64>,
        /// Delivered traffic ends up on exactly these connections (or `internet`).
        via: Option<Vec<String>>,
    },
    /// No session, LAG, member or BFD state changes for `stays`.
    Quiet,
}

/// Seen from the Microsoft edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteDirection {
    /// Received from the peer.
    Received,
    /// Advertised to the peer.
    Advertised,
}

/// The JSON Schema of the file, from the types that read it.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(raw::RawScenario).to_value()
}
