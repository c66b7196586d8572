//! What the interconnect is: the model of a topology file.
//!
//! `raw.rs` mirrors the TOML, `parse.rs` makes this model or lists every fault at once. After parsing,
//! no code asks whether a value is valid.
//!
//! **Invariant:** names refer to things that exist; lists are in file order; no I/O but reading the file and those it names.

mod addresses;
mod bfd;
mod bfd_session;
mod bgp;
mod bgp_times;
mod crossed;
mod impairment;
mod inside;
mod lacp;
mod limits;
mod numbers;
mod parse;
mod policy;
pub mod profile;
mod raw;
mod registry;
mod rules;
mod session;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::policy::Policies;
use crate::source::{Secrets, Share};

pub use bfd::{BfdOptions, BfdSettings, BfdTimers, MicroBfd};
pub use bfd_session::{BfdSession, Inner, Over};
pub use bgp::{BgpOptions, BgpSettings, Password};
pub use crossed::{Crossed, Member};
pub(crate) use impairment::RawImpaired;
pub use impairment::{Impaired, Impairment, Towards};
pub use inside::{Inside, Multipath, Reflector};
pub(crate) use lacp::system;
pub use lacp::{EDGE_TAG, HashPolicy, LacpEnd, LacpEnds, LacpSettings, PEER_TAG};
pub use limits::{DeclaredPrefixes, MaximumPrefixes};
pub use parse::{load, parse, parse_kept};
pub use policy::{
    ActiveGate, AfterVerified, ForeignOrigin, OverDeclared, Overlap, Policy, Rpki, SameName,
    ShortPrefix, Weight,
};
pub use session::{CORE, WAN, bfd_name, connection_of, is_over, link_of, of_session, session_name};

/// An interconnect: the peer's routers, the connections to Microsoft edges, and the endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    /// The file's stem, for example `one-metro`.
    pub name: String,
    /// Timers and counts of the Microsoft side.
    pub profile: Profile,
    /// Whether RFC 5398 and RFC 5737 numbers count as public.
    pub documentation_numbers_are_public: bool,
    /// The peer.
    pub peer: Peer,
    /// Metros, in file order.
    pub metros: Vec<Metro>,
    /// The peer's routers, in file order.
    pub routers: Vec<Router>,
    /// Connections, in file order.
    pub connections: Vec<Connection>,
    /// The peer's endpoints, in file order.
    pub endpoints: Vec<Endpoint>,
    /// Approved peer ASNs of the subscription besides the peer's own, in file order.
    pub peer_asns: Vec<PeerAsn>,
    /// Peering Service resources, in file order.
    pub services: Vec<Service>,
    /// Import and export policies: the profile's, and the file's own.
    pub policies: Policies,
    /// Cables that carry badly all the time; of two about the same direction the last one counts.
    pub impaired: Vec<Impaired>,
    /// Cables whose far ends are exchanged.
    pub crossed: Vec<Crossed>,
    /// Its keys of TCP MD5 and of BFD, to be hidden in what daemons write.
    pub secrets: Secrets,
}

/// The carrier.
#[derive(Debug, Clone, PartialEq)]
pub struct Peer {
    /// Its name as people say it.
    pub name: String,
    /// Its AS number, never 0.
    pub asn: u32,
    /// Where to ask what the routing registries say about it.
    pub registry: RegistrySources,
    /// The rest of its network.
    pub core: Inside,
}

/// Where to ask what the routing registries say. What is not named is not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrySources {
    /// The Internet Routing Registry.
    pub irr: Option<IrrSource>,
    /// The RPKI.
    pub rpki: Option<RpkiSource>,
    /// Exceptions to the RPKI (RFC 8416), a file.
    pub slurm: Option<PathBuf>,
    /// How long a registry that falls silent is believed.
    pub expire: Duration,
}

impl Default for RegistrySources {
    /// No source.
    fn default() -> RegistrySources {
        RegistrySources {
            irr: None,
            rpki: None,
            slurm: None,
            expire: registry::EXPIRE,
        }
    }
}

impl RegistrySources {
    /// The servers among them, as `host:port`.
    pub fn servers(&self) -> impl Iterator<Item = String> {
        let irr = match &self.irr {
            Some(IrrSource::Irrd(server) | IrrSource::Whois(server)) => Some(server),
            Some(IrrSource::File(_)) | None => None,
        };
        let rpki = match &self.rpki {
            Some(RpkiSource::Rtr(server)) => Some(server),
            Some(RpkiSource::File(_)) | None => None,
        };
        irr.into_iter().chain(rpki).map(ToString::to_string)
    }
}

/// An Internet Routing Registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IrrSource {
    /// A file of RPSL objects.
    File(PathBuf),
    /// A server that speaks the IRRd query protocol.
    Irrd(Server),
    /// A server that speaks whois (RFC 3912) as registries do.
    Whois(Server),
}

/// A source of validated ROA payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RpkiSource {
    /// A file as Routinator or rpki-client write it.
    File(PathBuf),
    /// A cache that speaks RTR (RFC 8210).
    Rtr(Server),
}

/// A server's name or address, and its TCP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

impl fmt::Display for Server {
    /// `rtr.example.net:323`, `[2001:db8::1]:323`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server { host, port } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

/// A metropolitan area with Microsoft edge routers.
#[derive(Debug, Clone, PartialEq)]
pub struct Metro {
    /// Name, for example `amsterdam`.
    pub name: String,
    /// PeeringDB facility id.
    pub facility: Option<u32>,
}

/// A router of the peer.
#[derive(Debug, Clone, PartialEq)]
pub struct Router {
    /// Name, for example `ams-pe-1`.
    pub name: String,
    /// The metro it stands in.
    pub metro: String,
    /// Its policies towards Microsoft, when it is simulated.
    pub policies: NamedPolicies,
    /// Its sessions with Microsoft, when it is simulated.
    pub bgp: BgpSettings,
    /// Its BFD with Microsoft, when it is simulated.
    pub bfd: BfdSettings,
    /// How it uses several paths, when it is simulated.
    pub multipath: Multipath,
    /// Interior cost of the link between it and the core.
    pub cost: u32,
}

/// Names of the policies of one end of a connection. Without one it is the router's own of the peer, and then everything is
/// accepted or announced; at an edge it is the profile's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamedPolicies {
    /// For what is received.
    pub import: Option<String>,
    /// For what is announced.
    pub export: Option<String>,
}

/// One LAG between a router of the peer and a Microsoft edge, with one BGP and one BFD session for each address family.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// Name, for example `ams-1`; also the LAG's interface name inside both routers (≤ 12 bytes).
    pub name: String,
    /// The peer's router.
    pub router: String,
    /// The Microsoft edge, which is defined by being named here.
    pub edge: String,
    /// The metro of both ends.
    pub metro: String,
    /// Bandwidth of the whole connection, in Mbit/s.
    pub bandwidth_mbps: u32,
    /// Speeds of the members in Mbit/s, all equal; 1 to 8 of them.
    pub members: Vec<u32>,
    /// Members that a scenario adds later.
    pub spare: u8,
    /// Who plays the LAG.
    pub backends: LagBackends,
    /// LACP of both ends.
    pub lacp: LacpEnds,
    /// IPv4 session addresses.
    pub addresses: SessionAddresses,
    /// IPv6 session addresses, if there is an IPv6 session.
    pub ipv6: Option<SessionAddresses<Ipv6Addr>>,
    /// Policies of the peer's router here, when it is simulated: its own where the connection has none.
    pub policies: NamedPolicies,
    /// Policies of the edge here, in the place of the profile's.
    pub edge_policies: NamedPolicies,
    /// How many prefixes the peer has declared to advertise here.
    pub declared: DeclaredPrefixes,
    /// The edge's sessions here.
    pub bgp: BgpSettings,
    /// The edge's BFD here.
    pub bfd: BfdSettings,
    /// BFD on the members, at both ends, if there is any.
    pub micro_bfd: Option<MicroBfd>,
}

/// Who speaks LACP at an end of a connection and spreads its flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LagBackend {
    /// Our LACP over the kernel's filters, on any kernel.
    #[default]
    Ours,
    /// The kernel's bond; blocked where it has none.
    Kernel,
    /// The kernel's bond where it has one, else ours.
    Auto,
}

/// Who plays a LAG at each end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LagBackends {
    /// At the Microsoft edge.
    pub microsoft: LagBackend,
    /// At the peer's router.
    pub peer: LagBackend,
}

/// The session addresses of a connection, allocated by Microsoft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionAddresses<Address = Ipv4Addr> {
    /// Prefix length: of IPv4 30 or 31, of IPv6 64 to 127.
    pub prefix_len: u8,
    /// The peer's address.
    pub peer: Address,
    /// Microsoft's address.
    pub microsoft: Address,
}

/// A host of the peer behind its routers, for example an SBC.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// Name, for example `sbc`.
    pub name: String,
    /// The prefix the peer announces for it.
    pub prefix: Ipv4Net,
    /// Its address inside the prefix.
    pub address: Ipv4Addr,
    /// The same of IPv6, if it has any.
    pub ipv6: Option<EndpointIpv6>,
    /// Routers that announce its prefixes, in file order.
    pub behind: Vec<String>,
}

/// What an endpoint has of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointIpv6 {
    /// The prefix the peer announces for it.
    pub prefix: Ipv6Net,
    /// Its address inside the prefix.
    pub address: Ipv6Addr,
}

/// A peer ASN of the subscription: routes of its origin may come through a peering whose AS has the same name (PFX-17).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAsn {
    /// The AS number.
    pub asn: u32,
    /// Name of the resource.
    pub name: String,
    /// `peerName`: the organisation.
    pub peer_name: String,
}

/// A Peering Service resource: prefixes are activated under it.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Name.
    pub name: String,
    /// The primary peering location: a metro.
    pub primary: String,
    /// The backup peering location: another metro.
    pub backup: Option<String>,
    /// The Peering Service provider; the peer if not given.
    pub provider: Option<String>,
}

/// What the Microsoft side does; a profile supplies it and a topology may override it.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// `voice` or `exchange-route-server`.
    pub name: String,
    /// What the portal calls the Microsoft network of its peerings.
    pub network: String,
    /// What Azure's resource model calls their type.
    pub peering_type: String,
    /// Who brings the session addresses.
    pub session_address_provider: SessionAddressProvider,
    /// Connections that a peering has at least.
    pub fewest_connections: usize,
    /// What is registered with a peering.
    pub registers: Registers,
    /// BFD timers of both ends when simulated.
    pub bfd: BfdTimers,
    /// What else BFD does at both ends when simulated.
    pub bfd_options: BfdOptions,
    /// Sessions of the edges; the peer's simulated routers have the same timers.
    pub bgp: BgpSettings,
    /// LACP of the Microsoft side and of a line card run for a peer's router.
    pub lacp: LacpSettings,
    /// When a LAG must be augmented.
    pub utilisation: UtilisationLimit,
    /// Number of routes Microsoft announces on each IPv4 session.
    pub routes: u16,
    /// Number of routes Microsoft announces on each IPv6 session.
    pub ipv6_routes: u16,
    /// Its network.
    pub wan: Inside,
    /// Which reading of the documents holds.
    pub policy: Policy,
    /// The policy for what an edge receives from the peer: one of [`Topology::policies`].
    pub import: String,
    /// The policy for what an edge announces to the peer.
    pub export: String,
    /// The policies it brings.
    pub policies: Policies,
}

impl Profile {
    /// BFD of the edges.
    pub fn bfd_settings(&self) -> BfdSettings {
        BfdSettings {
            timers: self.bfd,
            options: self.bfd_options,
        }
    }
}

/// Who brings the session addresses of a peering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SessionAddressProvider {
    /// Microsoft allocates them.
    Microsoft,
    /// The peer does.
    Peer,
}

impl SessionAddressProvider {
    /// As Azure's resource model has it.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionAddressProvider::Microsoft => "Microsoft",
            SessionAddressProvider::Peer => "Peer",
        }
    }
}

/// What is registered with a peering, so that a key is issued for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Registers {
    /// Prefixes of the peer.
    Prefixes,
    /// AS numbers of the peer's customers: one key for all prefixes of an AS.
    Asns,
}

/// When the utilisation of a connection calls for an augmentation of its LAG (L1-02).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UtilisationLimit {
    /// This share of its bandwidth, in the direction that carries more.
    pub threshold: Share,
    /// Measured over so long.
    pub window: Duration,
    /// A bit that is carried in the lab counts as so many.
    pub scale: u32,
}

impl Default for UtilisationLimit {
    /// 40 % over five minutes; Microsoft does not say how it is measured.
    fn default() -> UtilisationLimit {
        UtilisationLimit {
            threshold: Share::of(40, 100),
            window: Duration::from_secs(300),
            scale: 1,
        }
    }
}

/// The JSON Schema of a profile's file, from the types that read it.
pub fn profile_schema() -> serde_json::Value {
    schemars::schema_for!(raw::RawProfileFile).to_value()
}

/// The JSON Schema of the file, from the types that read it.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(raw::RawTopology).to_value()
}
