//! What a step does and what is expected, as the rest of peerlab sees it.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Confined, LacpOrder, LacpSays, LagPart, Quality, Viewpoint};
use crate::bfd::Order;
use crate::bgp::message::malformed::Malformation;
use crate::provider::Request;
use crate::provider::received::AsPath;
use crate::topology::Impaired;

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
    /// Add members to a LAG, at both ends.
    Augment {
        /// Connection.
        connection: String,
        /// Their numbers, from 1.
        members: Vec<u8>,
    },
    /// Take a member out of its LAG, at both ends.
    Reduce {
        /// Connection.
        connection: String,
        /// Its number, from 1.
        member: u8,
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
        /// The member that every flow takes: connection, and number from 1.
        member: Option<(String, u8)>,
    },
    /// Stop all probe traffic.
    Stop,
    /// Break something on the Microsoft side of the cable.
    Fail(Fault),
    /// Let cables carry badly, until they are repaired.
    Impair(Impaired),
    /// Mend what was broken there.
    Repair(Target),
    /// A router's BGP goes and comes back; its links and BFD stay.
    Restart(Restart),
    /// Announce a prefix.
    Announce(Announcement),
    /// Withdraw a prefix.
    Withdraw {
        /// Whose.
        by: Speaker,
        /// The prefix.
        prefix: IpNet,
        /// Connections on whose sessions it is withdrawn.
        from: Vec<String>,
    },
    /// Order something of BFD sessions, at the ends that [`bfd_session`](crate::topology::Topology::bfd_session) says.
    Bfd {
        /// What.
        order: Order,
        /// As in [`Expect::Bfd`].
        sessions: Vec<String>,
    },
    /// Order something of LACP, at the Microsoft edge.
    Lacp {
        /// What.
        order: LacpOrder,
        /// Of which members.
        on: Vec<LagPart>,
    },
    /// Order something of BGP sessions, at the Microsoft edge.
    Sessions {
        /// What.
        order: SessionOrder,
        /// As in [`Expect::Session`].
        sessions: Vec<String>,
    },
    /// Ask the Microsoft side for something, or let its people decide.
    Request(Request),
    /// Give routers another policy on connections; what was received and announced so far is looked at anew.
    Policy(PolicyChange),
    /// Change something around the lab.
    Set(Setting),
    /// Let time pass.
    Hold {
        /// How long.
        time: Duration,
        /// Why.
        reason: String,
    },
}

impl Act {
    /// Whether the lab is only watched, or sent through: nothing of it changes that a failure could be mistaken for.
    pub fn only_watches(&self) -> bool {
        matches!(
            self,
            Act::Settle { .. } | Act::Send { .. } | Act::Stop | Act::Hold { .. }
        )
    }
}

/// A router's BGP goes and comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// A router of the peer, or an edge.
    pub router: String,
    /// The kernel goes on forwarding meanwhile (RFC 4724).
    pub graceful: bool,
    /// How long it is gone.
    pub takes: Duration,
}

/// What is ordered of a BGP session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionOrder {
    /// Graceful shutdown (RFC 8326): its routes become the last resort, both ways, and it stays up.
    Drain,
    /// Shut it down by hand, with words for the peer (RFC 9003).
    Shutdown {
        /// At most 255 bytes.
        text: String,
    },
    /// Reset it by hand: it ends, with words for the peer (RFC 4486, RFC 9003), and comes back.
    Reset {
        /// At most 255 bytes.
        text: String,
    },
    /// Start it again, no longer drained.
    Start,
    /// Ask the peer for its routes again (RFC 2918); impossible where it does not announce that it can be asked.
    Refresh,
}

/// Who announces or withdraws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The peer, towards Microsoft.
    Peer,
    /// Microsoft, towards the peer.
    Microsoft,
}

/// A prefix and its attributes as the other side shall see them.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// Who announces.
    pub by: Speaker,
    /// The prefix.
    pub prefix: IpNet,
    /// Connections on whose sessions it is announced.
    pub from: Vec<String>,
    /// AS_PATH, first the speaker's own AS; empty means just that.
    pub as_path: AsPath,
    /// Communities (RFC 1997), high and low 16 bits.
    pub communities: Vec<(u16, u16)>,
    /// Large communities (RFC 8092).
    pub large_communities: Vec<(u32, u32, u32)>,
    /// Extended communities (RFC 4360), as their 8 octets.
    pub extended_communities: Vec<u64>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// Only-to-customer (RFC 9234): the AS that said so.
    pub only_to_customer: Option<u32>,
    /// What is wrong with the first UPDATE that announces it.
    pub malformed: Option<&'static Malformation>,
}

/// Another policy on connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyChange {
    /// Whose routers get it: Microsoft's edges, or the peer's simulated routers.
    pub by: Speaker,
    /// On which connections.
    pub connections: Vec<String>,
    /// For what is received, or for what is announced.
    pub import: bool,
    /// One of [`crate::topology::Topology::policies`].
    pub name: String,
}

/// What is changed around the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// The routing registry.
    Irr(RegistrySource),
    /// The RPKI cache.
    Rpki(RegistrySource),
    /// The local exceptions to the RPKI (RFC 8416): a file.
    Slurm(PathBuf),
    /// How many routes Microsoft announces on each session.
    MicrosoftRoutes(u16),
}

/// What a registry says from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrySource {
    /// What this file says.
    File(PathBuf),
    /// Nothing: it does not answer.
    Dead,
    /// Again what it said before it fell silent.
    Live,
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

/// What is expected.
#[derive(Debug, Clone, PartialEq)]
pub enum Expect {
    /// Each of these BGP sessions, as the Microsoft edge sees it.
    Session {
        /// `ams-1` for the IPv4 session of a connection, `ams-1/ipv6` for its IPv6 session.
        sessions: Vec<String>,
        /// `up` is Established, `down` is anything else.
        up: bool,
        /// Why it left its last state, or a part of it.
        reason: Option<String>,
        /// As this simulated router of the peer sees it, not the edge.
        at: Option<String>,
    },
    /// The LAG of each of these connections has carrier, or not, at the edge.
    Lag {
        /// Connections.
        connections: Vec<String>,
        /// Carrier.
        up: bool,
        /// No two of them lead to one system (RED-03).
        distinct_systems: bool,
    },
    /// A member collects and distributes at the edge, or not.
    Member {
        /// Connection.
        connection: String,
        /// Member, counted from 1.
        member: u8,
        /// Distributing.
        up: bool,
        /// Who sees it so.
        at: Viewpoint,
        /// The partner's LACPDUs keep this interval, as it was measured.
        sends_every: Option<Duration>,
        /// A marker was sent to the partner since the step began, and it has answered it, or has not as long as this must stay so.
        answers_marker: Option<bool>,
        /// What its LACPDUs say.
        says: LacpSays,
        /// What is wrong with its cable, or a part of it.
        reason: Option<String>,
    },
    /// Each of these BFD sessions, as the end sees it that its name says.
    Bfd {
        /// Names as [`bfd_session`](crate::topology::Topology::bfd_session) knows them.
        sessions: Vec<String>,
        /// `up` is Up, `down` is anything else.
        up: bool,
        /// Why it last changed, or a part of it.
        diagnostic: Option<String>,
        /// As the partner's packets say, not as the session itself is.
        partner: bool,
        /// The partner's packets keep this interval, less by the jitter it must have, as it was measured.
        sends_every: Option<Duration>,
        /// The partner answered a Poll since the step began.
        answers_poll: bool,
    },
    /// The neighbour brought so many routes on each of these BGP sessions that it was told, as the Microsoft edge sees it.
    MaximumPrefixes {
        /// As in [`Expect::Session`].
        sessions: Vec<String>,
        /// More than it may; else a share of it that is to be told.
        exceeded: bool,
        /// When given: exactly this many routes.
        count: Option<u32>,
        /// As this simulated router of the peer sees it, not the edge.
        at: Option<String>,
    },
    /// A route is present or absent in the edge's Adj-RIB-In of these sessions.
    Route {
        /// The prefix; `None` means any route at all.
        prefix: Option<IpNet>,
        /// As in [`Expect::Session`], of the prefix's family.
        sessions: Vec<String>,
        /// From the edge's view: received from the peer, or advertised to it.
        direction: RouteDirection,
        /// Present or absent.
        present: bool,
        /// When given: exactly this many routes.
        count: Option<u32>,
    },
    /// Received routes stand so in a restart or a refresh of the peer's router.
    RouteStanding {
        /// The prefix; `None` means all that were received.
        prefix: Option<IpNet>,
        /// As in [`Expect::Session`], of the prefix's family.
        sessions: Vec<String>,
        /// How.
        standing: Standing,
    },
    /// The edge's policy accepts or refuses what it received of a prefix on these sessions.
    RoutePolicy {
        /// The prefix.
        prefix: IpNet,
        /// As in [`Expect::Session`], of the prefix's family.
        sessions: Vec<String>,
        /// Accepted or refused.
        accepted: bool,
        /// When refused: for this reason, a name in the edges' import policy or one of
        /// [`crate::provider::reason::OF_ROUTES_ANYWAY`].
        reason: Option<String>,
    },
    /// The internet's router has learned a route, or not.
    InternetRoute {
        /// The prefix.
        prefix: IpNet,
        /// From whom; `None` means from anybody.
        from: Option<Speaker>,
        /// Present or absent.
        present: bool,
    },
    /// Routers of the peer have a route in their kernel, or not.
    RouterRoute {
        /// Routers, or `core`.
        routers: Vec<String>,
        /// The prefix.
        prefix: IpNet,
        /// Present or absent.
        present: bool,
    },
    /// Microsoft's WAN sends traffic for a prefix over exactly these connections.
    Path {
        /// An endpoint or a prefix, as the file names it.
        to: String,
        /// The prefix it means.
        prefix: IpNet,
        /// Connections in any order; empty with `internet` set.
        via: Vec<String>,
        /// Over the internet path instead.
        internet: bool,
    },
    /// A router sends traffic for a prefix over exactly these interfaces.
    RouterPath {
        /// A Microsoft edge, a router of the peer, or `core`.
        at: String,
        /// An endpoint, `teams` or a prefix, as the file names it.
        to: String,
        /// The prefix it means.
        prefix: IpNet,
        /// Connections, and the interface towards its own network: `wan` of an edge, `inside` of a router of the peer. Of
        /// the core: routers of the peer.
        via: Vec<String>,
    },
    /// Probe traffic.
    Traffic {
        /// Directions: (from, to) pairs.
        flows: Vec<(String, String)>,
        /// Limit for the longest interruption of a direction.
        interrupted_at_most: Option<Duration>,
        /// Limit for lost packets of a direction.
        lost_at_most: Option<u64>,
        /// What each direction suffers.
        quality: Quality,
        /// Whose flows alone are disturbed.
        confined: Confined,
        /// Delivered traffic ends up on exactly these connections, or members of them, or `internet`.
        via: Option<Vec<String>>,
    },
    /// What Microsoft makes of a prefix.
    Prefix(PrefixExpected),
    /// `validationState` of the peer's AS number.
    PeerAsn {
        /// One of [`crate::provider::names::PEER_ASN_STATES`].
        state: String,
    },
    /// An ASN is registered, or not.
    RegisteredAsn {
        /// AS number.
        asn: u32,
        /// Present or absent.
        present: bool,
    },
    /// `provisioningState` of a peering.
    Peering {
        /// A metro.
        peering: String,
        /// One of [`crate::provider::names::PEERING_STATES`].
        state: String,
    },
    /// The state of connections of a peering.
    Connection {
        /// Connections.
        connections: Vec<String>,
        /// `connectionState`, one of [`crate::provider::names::CONNECTION_STATES`].
        state: Option<String>,
        /// `sessionStateV4`, one of [`crate::provider::names::SESSION_STATES`].
        session_state: Option<String>,
    },
    /// Microsoft tells something, since the step began.
    Event {
        /// `eventType`, one of [`crate::provider::names::EVENTS`].
        event: String,
        /// What it is about: a prefix, a connection, a peering.
        of: Option<String>,
        /// `eventLevel`, one of [`crate::provider::names::EVENT_LEVELS`].
        level: Option<String>,
        /// Its summary, or a part of it.
        summary: Option<String>,
    },
    /// Since the step began the failure of each of these connections was noticed by these layers first, in this order.
    Detected {
        /// Connections, or both ends inside a network: `wan/ams-edge-1`.
        connections: Vec<String>,
        /// Of [`LAYERS`]: those that noticed by themselves, at either end, the first first; others may come after them.
        by: Vec<String>,
    },
    /// No session, LAG, member or BFD state changes for `stays`.
    Quiet,
}

/// The layers that notice a failure by themselves: the members' light, BFD on members (RFC 7130), BFD over the LAG, LACP, and
/// BGP by its hold timer.
pub const LAYERS: [&str; 5] = ["light", "micro-bfd", "bfd", "lacp", "bgp"];

/// A registered prefix or a Peering Service prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PrefixObject {
    /// Of a peering.
    #[serde(rename = "registered-prefix")]
    Registered,
    /// Of a Peering Service.
    #[serde(rename = "service-prefix")]
    Service,
}

impl PrefixObject {
    /// Its key in a scenario and its name in [`crate::record::Fact::PrefixDeleted`].
    pub fn name(self) -> &'static str {
        match self {
            PrefixObject::Registered => "registered-prefix",
            PrefixObject::Service => "service-prefix",
        }
    }
}

/// What is expected of a registered or Peering Service prefix; all that is given holds at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixExpected {
    /// Which object.
    pub object: PrefixObject,
    /// The prefix as it was registered or activated.
    pub prefix: String,
    /// `prefixValidationState`, one of [`crate::provider::names::PREFIX_STATES`], or `absent`.
    pub state: Option<String>,
    /// All of these are among the checks that failed, warn or could not be made, of
    /// [`crate::provider::reason::OF_PREFIXES`].
    pub reasons: Vec<String>,
    /// The heading of the message that is shown first.
    pub message: Option<String>,
    /// The failures with these reasons name exactly these connections.
    pub at: Option<Vec<String>>,
    /// `learnedType` of a Peering Service prefix, one of [`crate::provider::names::LEARNED_TYPES`].
    pub learned_type: Option<String>,
}

/// The state of a prefix that no resource has.
pub const ABSENT: &str = "absent";

/// How received routes stand in a restart or a refresh of the peer's router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// They have outlived the loss of their session, until it is back and all was sent again (RFC 4724).
    Stale,
    /// They are there, and nothing of their session is stale.
    Fresh,
    /// Since the step began all were sent again between marks (RFC 7313), and these are there.
    Refreshed,
}

/// Seen from the Microsoft edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteDirection {
    /// Received from the peer.
    Received,
    /// Advertised to the peer.
    Advertised,
}
