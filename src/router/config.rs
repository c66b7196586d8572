//! What a simulated router is told: its sessions, its policies, the routes it originates.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::secret::Secret;
use crate::bgp::attributes::{LargeCommunity, Origin};
use crate::bgp::family::Family;
use crate::bgp::message::Capabilities;
use crate::bgp::message::malformed::Malformation;
use crate::bgp::policy::Policy;
use crate::bgp::session::{Options, Timers};

/// Which session of a router: its place in [`RouterConfig::sessions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionIndex(pub u16);

impl SessionIndex {
    /// The place in a list of sessions.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// One simulated router.
#[derive(Debug, Clone, PartialEq)]
pub struct RouterConfig {
    /// Its name in facts.
    pub name: String,
    /// Its AS number, never 0.
    pub asn: u32,
    /// BGP Identifier, unique in its AS (RFC 6286), never 0.0.0.0.
    pub router_id: Ipv4Addr,
    /// Its sessions; [`SessionIndex`] counts them from 0. At most 65,535.
    pub sessions: Vec<SessionSpec>,
    /// Routes it originates from the start.
    pub originate: Vec<Originated>,
    /// How many equal paths are installed at most; 1 means one path.
    pub multipath: usize,
    /// What most routers leave as it is.
    pub options: RouterOptions,
}

/// What most routers leave as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct RouterOptions {
    /// Paths of the same length count as equal, whatever ASes are in them; otherwise they have to be the same.
    pub multipath_relax: bool,
    /// The cluster of a route reflector (RFC 4456); its BGP Identifier unless given.
    pub cluster_id: Option<Ipv4Addr>,
    /// How long a router that has restarted waits for its neighbours' routes before it chooses (RFC 4724, section 4.1).
    pub selection_deferral: Duration,
    /// How long routes are kept as stale at most, after the loss of a session (the stale timer of RFC 8538, section 4.1) or
    /// while a neighbour sends everything again (RFC 7313, section 4).
    pub stale: Duration,
    /// Bytes of memory the routes may take, about, those told to neighbours included. The session that takes most is ended when it is more
    /// (Cease / Out of Resources).
    pub memory: usize,
}

impl Default for RouterOptions {
    fn default() -> RouterOptions {
        RouterOptions {
            multipath_relax: true,
            cluster_id: None,
            selection_deferral: Duration::from_secs(120),
            stale: Duration::from_secs(180),
            memory: 512 << 20,
        }
    }
}

/// How many routes of a family a session may bring, each family counted by itself (RFC 4486, section 4): those in Adj-RIB-In,
/// refused and stale ones included, but not what counts as withdrawn because it is malformed. FRR counts so, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaximumPrefixes {
    /// So many; with one more the session is ended (Cease / Maximum Number of Prefixes Reached).
    pub limit: u32,
    /// From this share on, in percent, it is told once.
    pub warn_at: u8,
    /// With more than `limit` it is told again, and the session goes on.
    pub warning_only: bool,
    /// How long the session rests then; `None` until it is started by hand.
    pub restart_after: Option<Duration>,
}

/// One BGP session with a directly connected neighbour.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionSpec {
    /// Its name in facts: the connection, or the neighbour's name inside the WAN or the peer's core.
    pub name: String,
    /// Our address on the link.
    pub local: IpAddr,
    /// The neighbour's address on the link.
    pub peer: IpAddr,
    /// Prefix length of the link's subnet: next hops inside it are reachable over `interface`.
    pub prefix_len: u8,
    /// The neighbour's AS number; equal to the router's own means iBGP.
    pub peer_asn: u32,
    /// Interface of the link.
    pub interface: String,
    /// The interior cost of next hops on the link (RFC 4271, section 9.1.2.2, step e), as an IGP would have it.
    pub cost: u32,
    /// Wait for the neighbour to connect and never connect first.
    pub passive: bool,
    /// Lose the session when its BFD session goes down (RFC 5882), and have none again before it is up again.
    pub use_bfd: bool,
    /// Withhold our KEEPALIVE in OpenConfirm until BFD is up, so that no routes are exchanged without BFD
    /// (as draft-ietf-idr-bgp-bfd-strict-mode does). Implies `use_bfd`.
    pub bfd_strict: bool,
    /// With `bfd_strict`: do not even open or accept TCP connections before BFD is up.
    pub wait_for_bfd: bool,
    /// What we announce in our OPEN.
    pub capabilities: Capabilities,
    /// Its times.
    pub timers: Timers,
    /// Where RFCs leave the session a choice.
    pub options: Options,
    /// eBGP: treat a route whose AS path does not begin with the neighbour's AS as malformed (RFC 4271, section 6.3). Off for a
    /// route server that does not put its own there (RFC 7947, section 2.2.2.1).
    pub enforce_first_as: bool,
    /// Which received routes are used, and how.
    pub import: Arc<Policy>,
    /// Which of the routes in `scope` are announced, and how. Own AS and NEXT_HOP are put in afterwards.
    pub export: Arc<Policy>,
    /// Which routes are offered to `export`.
    pub scope: Scope,
    /// For which routes we put our own address into NEXT_HOP (iBGP; eBGP always does).
    pub next_hop_self: NextHopSelf,
    /// iBGP: the neighbour is a client of this route reflector (RFC 4456).
    pub reflector_client: bool,
    /// How many routes the neighbour may bring; `None` is any number, within [`RouterOptions::memory`].
    pub maximum_prefixes: Option<MaximumPrefixes>,
    /// MinRouteAdvertisementInterval (RFC 4271, section 9.2.1.1); zero is off. Differs: the RFC counts withdrawals, too, but
    /// here, as with most routers, a route that is gone is withdrawn at once.
    pub advertisement_interval: Duration,
    /// eBGP: a route with the community GRACEFUL_SHUTDOWN gets local preference 0, whatever `import` says (RFC 8326,
    /// section 4). Off unless given: a policy can say so, too, and then it is visible there.
    pub honour_graceful_shutdown: bool,
    /// How many paths of a prefix are told at most where several are negotiated (RFC 7911).
    pub add_paths: usize,
    /// Record each received and withdrawn route, and what import policy made of it.
    pub record_routes: bool,
    /// Tell every message, and every change of Adj-RIB-In ([`super::Monitored`]).
    pub monitor: bool,
    /// Begin administratively shut down: the session waits for [`super::Input::StartSession`].
    pub start_stopped: bool,
    /// The key with which every segment is signed, both ways (RFC 2385).
    pub md5: Option<Secret>,
    /// Hear the neighbour only from at most so many hops away, 1 being on the link (RFC 5082). The neighbour must send
    /// with TTL 255.
    pub ttl_security: Option<u8>,
}

impl SessionSpec {
    /// A session with the defaults of a simulated router: active, no BFD, connect at once, rest 100 ms after
    /// a failure, accept everything, announce everything.
    pub fn new(
        name: &str,
        interface: &str,
        local: impl Into<IpAddr>,
        peer: impl Into<IpAddr>,
        prefix_len: u8,
        peer_asn: u32,
    ) -> SessionSpec {
        let local = local.into();
        SessionSpec {
            name: name.to_owned(),
            local,
            peer: peer.into(),
            prefix_len,
            peer_asn,
            interface: interface.to_owned(),
            cost: 0,
            passive: false,
            use_bfd: false,
            bfd_strict: false,
            wait_for_bfd: false,
            capabilities: Capabilities::of(match local {
                IpAddr::V4(_) => Family::Ipv4Unicast,
                IpAddr::V6(_) => Family::Ipv6Unicast,
            }),
            timers: Timers::default(),
            options: Options::default(),
            enforce_first_as: true,
            import: Arc::default(),
            export: Arc::default(),
            scope: Scope::All,
            next_hop_self: NextHopSelf::default(),
            reflector_client: false,
            maximum_prefixes: None,
            advertisement_interval: Duration::ZERO,
            honour_graceful_shutdown: false,
            add_paths: 8,
            record_routes: false,
            monitor: false,
            start_stopped: false,
            md5: None,
            ttl_security: None,
        }
    }
}

/// For which routes a router tells an iBGP neighbour itself as the next hop. It is, for its own ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NextHopSelf {
    /// No others.
    #[default]
    Own,
    /// Those that came by eBGP. What is reflected stays as it came (RFC 4456, section 8).
    External,
    /// All, those that are reflected, too: the reflector stands in the path of packets.
    All,
}

/// Which routes are offered to a session's export policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Routes the router originates for this session.
    Own,
    /// Routes the router originates for this session, and its best learned routes (iBGP to iBGP only by reflection).
    All,
}

/// A route the router originates.
#[derive(Debug, Clone, PartialEq)]
pub struct Originated {
    /// Prefix.
    pub prefix: IpNet,
    /// Its attributes.
    pub attributes: OriginatedAttributes,
    /// The sessions it is announced on.
    pub sessions: Sessions,
}

/// Attributes of an originated route; the router adds its own AS and NEXT_HOP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OriginatedAttributes {
    /// AS path behind the router's own AS: empty for an honest origin. On eBGP the own AS is prepended.
    pub as_path: Vec<u32>,
    /// An AS_SET behind the path (RFC 9774 forbids it), to find out what the neighbour makes of it; else empty.
    pub as_set: Vec<u32>,
    /// Communities (RFC 1997), for example `8075 << 16 | 8007`.
    pub communities: Vec<u32>,
    /// Large communities (RFC 8092).
    pub large_communities: Vec<LargeCommunity>,
    /// Extended communities (RFC 4360).
    pub extended_communities: Vec<u64>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// Only-to-customer (RFC 9234): the AS that said so.
    pub only_to_customer: Option<u32>,
    /// ORIGIN.
    pub origin: Origin,
    /// What is wrong with the next UPDATE that tells of it. Afterwards, and when it is asked for again, all is well.
    pub malformed: Option<&'static Malformation>,
}

/// A choice of a router's sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sessions {
    /// All of them.
    All,
    /// These.
    Only(Vec<SessionIndex>),
}

impl Sessions {
    /// Whether a session is among them.
    pub fn contains(&self, session: SessionIndex) -> bool {
        match self {
            Sessions::All => true,
            Sessions::Only(list) => list.contains(&session),
        }
    }
}
