//! The topology file as TOML has it. Every key is optional here; `parse.rs` says what is missing.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::bfd::{RawBfd, RawMicroBfd};
use super::bgp::RawBgp;
use super::impairment::RawImpaired;
use super::inside::{RawInside, RawMultipath};
use super::lacp::RawLacpEnds;
use super::policy::{
    ActiveGate, AfterVerified, ForeignOrigin, OverDeclared, Overlap, Rpki, SameName, ShortPrefix,
    Weight,
};
use super::{LagBackend, Registers, SessionAddressProvider};
use crate::policy::{RawPolicies, RawSets};
use crate::source::{
    Address, Bandwidth, Duration, Ipv6Address, Ipv6Prefix, Located, Names, Prefix, Share, Table,
    TextOr,
};

/// A topology: what the interconnect is.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "peerlab topology")]
pub(super) struct RawTopology {
    /// The kind of interconnect, which decides what the Microsoft side does and what is required.
    #[schemars(required)]
    pub profile: Option<Located<RawProfile>>,
    /// Whether numbers reserved for documentation (RFC 5398, RFC 5737) count as public in this file.
    pub documentation_numbers: Option<Located<RawDocumentationNumbers>>,
    /// The carrier.
    #[schemars(required)]
    pub peer: Option<Located<RawPeer>>,
    /// What the Microsoft side does, where it differs from the profile.
    pub microsoft: Option<RawMicrosoft>,
    /// Metropolitan areas, by name.
    #[serde(default)]
    pub metro: Table<RawMetro>,
    /// The peer's routers, by name (at most 15 characters).
    #[serde(default)]
    pub router: Table<RawRouter>,
    /// Connections, by name (at most 12 characters): one LAG, with one BGP and one BFD session for each address family.
    #[serde(default)]
    pub connection: Table<RawConnection>,
    /// Cables that carry badly all the time; a step of a scenario may say otherwise until it is repaired.
    #[serde(default)]
    pub impair: Vec<Located<RawImpaired>>,
    /// Pairs of members whose cables are crossed at the peer's end, such as [["ams-1/2", "ams-2/2"]].
    #[serde(default)]
    pub crossed: Vec<Located<Names>>,
    /// Hosts of the peer behind its routers, by name.
    #[serde(default)]
    pub endpoint: Table<RawEndpoint>,
    /// Other approved peer ASNs of the subscription, by the name of their resource (PFX-17).
    #[serde(default)]
    pub peer_asn: Table<RawPeerAsn>,
    /// Peering Service resources, by name: prefixes are activated under them.
    #[serde(default)]
    pub service: Table<RawService>,
    /// Import and export policies, by name: lists of rules that are tried in order. One that is named as one of the profile's
    /// stands in its place.
    #[serde(default)]
    pub policy: RawPolicies,
    /// Sets of prefixes that policies name: "198.51.100.0/24", "10.0.0.0/8+", "203.0.113.0/24{25,32}".
    #[serde(default)]
    pub prefix_set: RawSets,
    /// Sets of AS numbers that policies name: 64500, "64512..65534".
    #[serde(default)]
    pub asn_set: RawSets,
}

/// The kind of interconnect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawProfile {
    /// AS8075 with Voice.
    Voice,
    /// Peering Service without voice. Not supported yet.
    #[schemars(skip)]
    PeeringService,
    /// AS8075 with an exchange's route server.
    ExchangeRouteServer,
    /// Direct peering. Not supported yet.
    #[schemars(skip)]
    Direct,
    /// Exchange peering. Not supported yet.
    #[schemars(skip)]
    Exchange,
}

/// A profile: what the Microsoft side does in a kind of interconnect.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "peerlab profile")]
pub(super) struct RawProfileFile {
    /// The profile that says what is not said here; without it, everything has to be said.
    pub like: Option<Located<RawProfile>>,
    /// What the portal calls the Microsoft network of a peering.
    pub network: Option<Located<String>>,
    /// What Azure's resource model calls the peering's type.
    pub peering_type: Option<Located<String>>,
    /// Who brings the session addresses.
    pub session_address_provider: Option<Located<SessionAddressProvider>>,
    /// Connections that a peering has at least.
    pub fewest_connections: Option<Located<u8>>,
    /// What is registered with a peering, so that a key is issued for it.
    pub registers: Option<Located<Registers>>,
    /// What the Microsoft side does; a topology may say otherwise.
    pub microsoft: Option<RawMicrosoft>,
    /// Import and export policies, by name: lists of rules that are tried in order.
    #[serde(default)]
    pub policy: RawPolicies,
    /// Sets of prefixes that policies name: "198.51.100.0/24", "10.0.0.0/8+", "203.0.113.0/24{25,32}".
    #[serde(default)]
    pub prefix_set: RawSets,
    /// Sets of AS numbers that policies name: 64500, "64512..65534".
    #[serde(default)]
    pub asn_set: RawSets,
}

/// How documentation numbers are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawDocumentationNumbers {
    /// As public numbers, for examples and rehearsals.
    Public,
    /// As what they are: reserved. The default.
    Reserved,
}

/// The carrier.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPeer {
    /// Its name as people say it.
    #[schemars(required)]
    pub name: Option<Located<String>>,
    /// Its public AS number.
    #[schemars(required)]
    pub asn: Option<Located<u32>>,
    /// Where to ask what the routing registries say about the peer.
    pub registry: Option<RawRegistry>,
    /// The rest of its network: a simulated router that has iBGP with each of its routers.
    pub core: Option<Located<RawInside>>,
}

/// Routing registries.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawRegistry {
    /// The Internet Routing Registry: a file of RPSL objects, relative to this file, or a server.
    pub irr: Option<Located<TextOr<RawIrrServer>>>,
    /// The RPKI: a file of validated ROA payloads as Routinator or rpki-client write it, relative to this file, or a server.
    pub rpki: Option<Located<TextOr<RawRpkiServer>>>,
    /// Exceptions to the RPKI: a SLURM file (RFC 8416), relative to this file.
    pub slurm: Option<Located<String>>,
    /// How long a registry that falls silent is believed; 2 hours if not given (RFC 8210, section 6).
    pub expire: Option<Located<Duration>>,
}

/// A server of an Internet Routing Registry, as "host:port".
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(super) struct RawIrrServer {
    /// It speaks the IRRd query protocol.
    pub irrd: Option<Located<String>>,
    /// It speaks whois.
    pub whois: Option<Located<String>>,
}

/// A server of the RPKI, as "host:port".
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawRpkiServer {
    /// It speaks RTR (RFC 8210).
    #[schemars(required)]
    pub rtr: Option<Located<String>>,
}

/// What the Microsoft side does, where it differs from the profile.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawMicrosoft {
    /// BFD of the edges, and of the peer's simulated routers.
    pub bfd: Option<Located<RawBfd>>,
    /// BGP sessions of the edges. The peer's simulated routers have the same timers.
    pub bgp: Option<Located<RawBgp>>,
    /// LACP settings.
    pub lacp: Option<Located<RawLacp>>,
    /// When the utilisation of a connection calls for an augmentation of its LAG (L1-02).
    pub utilisation: Option<RawUtilisation>,
    /// Number of routes announced on each IPv4 session: 280 now, 308 and 322 after growth; at most 512.
    #[schemars(range(min = 1, max = 512))]
    pub routes: Option<Located<u16>>,
    /// Number of routes announced on each IPv6 session, of which nothing is published: 64 if not given, at most 512.
    #[schemars(range(min = 1, max = 512))]
    pub ipv6_routes: Option<Located<u16>>,
    /// Its network: a router that has iBGP with each edge.
    pub wan: Option<Located<RawInside>>,
    /// Which reading holds where Microsoft's documents contradict each other or are silent.
    pub policy: Option<RawPolicy>,
    /// The policy for what an edge receives from the peer. The voice profile has `edge-import`.
    pub import: Option<Located<String>>,
    /// The policy for what an edge announces to the peer. The voice profile has `edge-export`.
    pub export: Option<Located<String>>,
}

/// Switches: which reading of the documents holds. The ids in brackets are those of the requirements.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPolicy {
    /// Prefixes longer than /24 (E-01): `register-and-activate` (the default) or `reject-registration`.
    pub short_prefix: Option<Located<ShortPrefix>>,
    /// How many connections of a peering must be Active to register a prefix (E-09): `any` (the default) or `all`.
    pub active_gate: Option<Located<ActiveGate>>,
    /// Connections that are not Active need not announce a prefix (V-03). The default is `false`: they count as missing.
    pub ignore_inactive: Option<Located<bool>>,
    /// The key is issued when the prefix is created (E-12). The default is `false`: when it is verified.
    pub key_on_create: Option<Located<bool>>,
    /// What the RPKI decides (E-21): `off`, `mark`, `drop-invalid` (the default) or `require-valid`.
    pub rpki: Option<Located<Rpki>>,
    /// An AS_SET in a path (V-06, RFC 9774): `fail` (the default) or `warn`.
    pub as_set: Option<Located<Weight>>,
    /// An origin other than the peering's AS (E-22): `warn-then-fail` (the default: a warning for a registered prefix, a
    /// failure for a Peering Service prefix), `warn` or `fail`.
    pub foreign_origin: Option<Located<ForeignOrigin>>,
    /// Which names of two peer ASNs must be the same for one to originate through the other's peering (PFX-17):
    /// `peer-name` (the default) or `resource-name`.
    pub same_name: Option<Located<SameName>>,
    /// Which Peering Service prefixes may not overlap (V-14): `global` (the default: all) or those of one `service`.
    pub overlap: Option<Located<Overlap>>,
    /// What becomes of a verified prefix whose checks fail later (not documented): `warning` (the default: it keeps its
    /// key and activation), `failed` (its activation ends) or `stay` (it stays verified, and the failures are told).
    pub after_verified: Option<Located<AfterVerified>>,
    /// More prefixes than the peer has declared for a session (BGP-08, not documented): `ignore` (the default), `warn` or
    /// `end-session`, with the `warn-at` and `restart` of the edge's `maximum-prefixes`.
    pub over_declared: Option<Located<OverDeclared>>,
    /// How long a validation takes (not documented): 250 ms if not given, at most an hour.
    pub validation: Option<Located<Duration>>,
    /// Ranges that count as private besides IANA's (V-01).
    pub private_ranges: Option<Vec<Located<Prefix>>>,
}

/// When the utilisation of a connection calls for an augmentation of its LAG.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawUtilisation {
    /// This share of its bandwidth, in the direction that carries more; "40%" if not given. The alarm ends below nine tenths of it.
    pub threshold: Option<Located<Share>>,
    /// Measured over so long (not documented): 5 min if not given, 1 s to 1 h.
    pub window: Option<Located<Duration>>,
    /// A bit that is carried in the lab counts as so many, since a lab carries less than 10 Gbit/s; 1 if not given.
    #[schemars(range(min = 1))]
    pub scale: Option<Located<u32>>,
}

/// LACP settings (IEEE 802.1AX).
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLacp {
    /// How often the partner is asked to send. The voice profile has `fast`.
    pub rate: Option<Located<RawLacpRate>>,
    /// Whether Microsoft's side sends without being asked; the peer's always does. The voice profile has `active`.
    pub mode: Option<Located<RawLacpMode>>,
    /// Members that must distribute for the LAG to be up. The voice profile has 1.
    #[schemars(range(min = 1, max = 8))]
    pub min_links: Option<Located<u8>>,
}

/// LACP rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawLacpRate {
    /// One LACPDU a second, short timeout.
    Fast,
    /// One LACPDU every 30 seconds, long timeout.
    Slow,
}

/// LACP mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawLacpMode {
    /// Sends without being asked.
    Active,
    /// Sends only to an active partner.
    Passive,
}

/// A metropolitan area.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawMetro {
    /// PeeringDB facility id.
    pub facility: Option<Located<u32>>,
}

/// A router of the peer.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawRouter {
    /// The metro it stands in.
    #[schemars(required)]
    pub metro: Option<Located<String>>,
    /// What its sessions with Microsoft do when it is simulated.
    pub bgp: Option<Located<RawBgp>>,
    /// When simulated: its BFD, where it is not as `[microsoft.bfd]` has it.
    pub bfd: Option<Located<RawBfd>>,
    /// How it uses several paths of a prefix when it is simulated.
    pub multipath: Option<Located<RawMultipath>>,
    /// Interior cost of the link between it and the core, as an IGP would have it; 0 if not given. Of routes that are equal otherwise
    /// the core uses those over the link that costs least (RFC 4271, section 9.1.2.2, step e).
    pub cost: Option<Located<u32>>,
    /// When simulated: the policy for what it receives from Microsoft; without one it takes everything.
    pub import: Option<Located<String>>,
    /// When simulated: the policy for what it announces to Microsoft; without one it announces everything it has, but with a
    /// reflector inside nothing that came from Microsoft.
    pub export: Option<Located<String>>,
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawConnection {
    /// The peer's router.
    #[schemars(required)]
    pub router: Option<Located<String>>,
    /// The Microsoft edge, which exists by being named here.
    #[schemars(required)]
    pub edge: Option<Located<String>>,
    /// Bandwidth of the whole connection, for example "20Gbps".
    pub bandwidth: Option<Located<Bandwidth>>,
    /// Links of the LAG: how many (1 if not given), or the bandwidth of each.
    pub members: Option<Located<RawMembers>>,
    /// Session subnet allocated by Microsoft: a /31 (peer even, Microsoft odd) or a /30 (peer first, Microsoft second).
    #[schemars(required)]
    pub ipv4: Option<Located<Prefix>>,
    /// Session subnet of an IPv6 session: a /127 (peer even, Microsoft odd), or one down to /64 (peer first, Microsoft
    /// second). Without it the connection has no IPv6 session.
    pub ipv6: Option<Located<Ipv6Prefix>>,
    /// How many prefixes the peer declares to advertise on the IPv4 session: Azure's `maxPrefixesAdvertisedV4`.
    #[schemars(range(min = 1, max = 20_000))]
    pub max_prefixes_advertised_v4: Option<Located<u32>>,
    /// The same on the IPv6 session: Azure's `maxPrefixesAdvertisedV6`.
    #[schemars(range(min = 1, max = 2_000))]
    pub max_prefixes_advertised_v6: Option<Located<u32>>,
    /// Who plays the LAG at each end.
    pub backend: Option<Located<RawBackends>>,
    /// LACP of each end, where it is not as `[microsoft.lacp]` has it.
    pub lacp: Option<Located<RawLacpEnds>>,
    /// What the edge's sessions do here otherwise than elsewhere.
    pub bgp: Option<Located<RawBgp>>,
    /// BFD of the edge on it, where it is not as `[microsoft.bfd]` has it.
    pub bfd: Option<Located<RawBfd>>,
    /// BFD on every member (RFC 7130) at both ends, besides BFD over the LAG: a member without it carries nothing.
    pub micro_bfd: Option<Located<RawMicroBfd>>,
    /// The edge's policy for what it receives from the peer here, instead of the one of `[microsoft]`.
    pub edge_import: Option<Located<String>>,
    /// The edge's policy for what it announces to the peer here, instead of the one of `[microsoft]`.
    pub edge_export: Option<Located<String>>,
    /// The simulated router's policy for what it receives here, instead of the router's own.
    pub import: Option<Located<String>>,
    /// The simulated router's policy for what it announces here, instead of the router's own.
    pub export: Option<Located<String>>,
}

/// Who plays a LAG, at each end: `ours` if not given.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a table of ends, such as `backend = { peer = \"kernel\" }`"
)]
pub(super) struct RawBackends {
    /// At the Microsoft edge.
    pub microsoft: Option<LagBackend>,
    /// At the peer's router.
    pub peer: Option<LagBackend>,
}

/// Members of a LAG.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub(super) enum RawMembers {
    /// So many, sharing the connection's bandwidth equally.
    Count(#[schemars(range(min = 1, max = 8))] i64),
    /// One bandwidth for each.
    Each(#[schemars(with = "Vec<Bandwidth>", length(min = 1, max = 8))] Vec<Located<Bandwidth>>),
}

impl<'de> Deserialize<'de> for RawMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountOrEach;
        impl<'de> Visitor<'de> for CountOrEach {
            type Value = RawMembers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of members or a list of bandwidths")
            }
            fn visit_i64<E>(self, count: i64) -> Result<RawMembers, E> {
                Ok(RawMembers::Count(count))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<RawMembers, A::Error> {
                let mut each = Vec::new();
                while let Some(bandwidth) = seq.next_element()? {
                    each.push(bandwidth);
                }
                Ok(RawMembers::Each(each))
            }
        }
        deserializer.deserialize_any(CountOrEach)
    }
}

/// A host of the peer, for example an SBC.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawEndpoint {
    /// The prefix the peer announces for it.
    #[schemars(required)]
    pub prefix: Option<Located<Prefix>>,
    /// Its address inside the prefix.
    #[schemars(required)]
    pub address: Option<Located<Address>>,
    /// A prefix and an address of IPv6 besides, if it has any.
    pub ipv6: Option<Located<RawEndpointIpv6>>,
    /// Routers that announce its prefixes.
    #[schemars(required)]
    pub behind: Option<Located<Vec<Located<String>>>>,
}

/// What an endpoint has of IPv6.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawEndpointIpv6 {
    /// The prefix the peer announces for it.
    #[schemars(required)]
    pub prefix: Option<Located<Ipv6Prefix>>,
    /// Its address inside the prefix.
    #[schemars(required)]
    pub address: Option<Located<Ipv6Address>>,
}

/// A peer ASN of the subscription besides the peer's own: routes may come from it, if it has the same name.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawPeerAsn {
    /// The AS number.
    #[schemars(required)]
    pub asn: Option<Located<u32>>,
    /// `peerName`: the organisation; the peer's name if not given.
    pub peer_name: Option<Located<String>>,
}

/// A Peering Service resource.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawService {
    /// The metro through which Microsoft sends traffic.
    #[schemars(required)]
    pub primary: Option<Located<String>>,
    /// The metro it uses when the primary one has failed; without it, the internet.
    pub backup: Option<Located<String>>,
    /// The Peering Service provider as Microsoft knows it; the peer's name if not given. An unknown one is refused.
    pub provider: Option<Located<String>>,
}
