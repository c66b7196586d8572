//! The scenario file as TOML has it: a step and an expectation are plain tables of optional keys.
//!
//! `parse.rs` says that a step does exactly one thing, `expect.rs` that an expectation expects exactly one.

mod bfd;
mod expect;
mod lacp;
mod microsoft;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::bgp::message::malformed::MALFORMATIONS;
use crate::source::{
    AnyPrefix, Community, Duration, ExtendedCommunity, LargeCommunity, Located, Names, Numbers,
    TextOr,
};
use crate::topology::RawImpaired;

pub(super) use bfd::{RawBfdStep, RawOrder};
pub(super) use expect::{RawExpect, RawTimeout, SUBJECTS};
pub(super) use lacp::{RawLacpEnd, RawLacpOrder, RawLacpPart, RawLacpRate, RawLacpStep};
pub(super) use microsoft::{
    RawAction, RawActivate, RawAsnAction, RawHealth, RawOnboard, RawRegister, RawSet,
};

/// A scenario: what happens, and what must follow.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "peerlab scenario")]
pub(super) struct RawScenario {
    /// The topology: a name in the folder `topologies` beside `scenarios`, or a path relative to this file.
    #[schemars(required)]
    pub topology: Option<Located<String>>,
    /// The binding: a name in the folder `topologies/bindings`, or a path relative to this file.
    pub binding: Option<Located<String>>,
    /// Ids of the requirements that hold if all expectations are met, for example "BFD-01".
    #[serde(default)]
    pub proves: Vec<Located<String>>,
    /// What simulated routers of the peer do not have.
    pub without: Option<RawWithout>,
    /// Whether ASN, peerings, connections and endpoints' prefixes have been through the portal before the scenario
    /// begins; true if not given.
    pub onboarded: Option<Located<bool>>,
    /// The steps, in order. Each does one thing.
    #[serde(default)]
    pub step: Vec<Located<RawStep>>,
}

/// What simulated routers of the peer do not have.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawWithout {
    /// Connections on which the peer never configured BFD: a name, a list, or "all".
    pub bfd: Option<Located<Names>>,
}

/// A step: one verb, and what must follow from it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("oneOf" = VERBS.map(|verb| json!({ "required": [verb] }))))]
pub(super) struct RawStep {
    /// Wait at most so long for light, LACP, BFD, BGP and end-of-RIB of every connection.
    pub settle: Option<Located<Duration>>,
    /// With `settle`: connections that shall not come up and are not waited for.
    pub except: Option<Located<Names>>,
    /// Start probe traffic.
    pub send: Option<Located<RawSend>>,
    /// Stop all probe traffic.
    pub stop: Option<Located<RawStop>>,
    /// Break something, on the Microsoft side of the cable.
    pub fail: Option<Located<RawFail>>,
    /// Let cables carry badly, until they are repaired.
    pub impair: Option<Located<RawImpaired>>,
    /// Mend it: a connection, a member such as "ams-1/1", an edge, a metro, or "all".
    pub repair: Option<Located<String>>,
    /// Restart the BGP of a router of the peer, or of an edge: its name, or a table.
    pub restart: Option<Located<TextOr<RawRestart>>>,
    /// Tell Microsoft's end of BFD sessions something, right or wrong.
    pub bfd: Option<Located<RawBfdStep>>,
    /// Tell Microsoft's end of LACP something, right or wrong.
    pub lacp: Option<Located<RawLacpStep>>,
    /// Add members to the LAG of a connection, at both ends.
    pub augment: Option<Located<RawAugment>>,
    /// Take a member such as "ams-1/3" out of its LAG, at both ends: first nothing is sent over it any more, then it goes.
    pub reduce: Option<Located<String>>,
    /// Announce a prefix of the peer, or of Microsoft.
    pub announce: Option<Located<RawAnnounce>>,
    /// Withdraw a prefix of the peer, or of Microsoft.
    pub withdraw: Option<Located<RawWithdraw>>,
    /// Graceful shutdown (RFC 8326) of sessions by Microsoft: they stay up, and traffic leaves them. A name, a list, or "all".
    pub drain: Option<Located<Names>>,
    /// Shut sessions down at Microsoft's edges.
    pub shutdown: Option<Located<RawShutdown>>,
    /// Reset sessions at Microsoft's edges (RFC 4486, Administrative Reset): they come back at once.
    pub reset: Option<Located<RawShutdown>>,
    /// Start sessions that were shut down or drained: a name, a list, or "all".
    pub start: Option<Located<Names>>,
    /// Let Microsoft ask for the peer's routes again (RFC 2918), on these sessions: a name, a list, or "all".
    pub refresh: Option<Located<Names>>,
    /// Onboarding, where `onboarded = false`: "all", or one thing by hand.
    pub onboard: Option<Located<TextOr<RawOnboard>>>,
    /// Create a registered prefix.
    pub register: Option<Located<TextOr<RawRegister>>>,
    /// Delete a registered prefix.
    pub unregister: Option<Located<String>>,
    /// Create a registered ASN, where the profile registers ASNs and not prefixes.
    pub register_asn: Option<Located<u32>>,
    /// Delete a registered ASN.
    pub unregister_asn: Option<Located<u32>>,
    /// Validate a registered prefix again.
    pub validate: Option<Located<String>>,
    /// Create a Peering Service prefix: activate a prefix.
    pub activate: Option<Located<TextOr<RawActivate>>>,
    /// Delete a Peering Service prefix.
    pub deactivate: Option<Located<String>>,
    /// Change a registry, or what Microsoft does.
    pub set: Option<Located<RawSet>>,
    /// Let time pass.
    pub hold: Option<Located<RawHold>>,
    /// What must follow.
    #[serde(default)]
    pub expect: Vec<Located<RawExpect>>,
}

/// The keys of [`RawStep`] that do something.
pub(super) const VERBS: [&str; 28] = [
    "settle",
    "send",
    "stop",
    "fail",
    "impair",
    "repair",
    "restart",
    "bfd",
    "lacp",
    "augment",
    "reduce",
    "announce",
    "withdraw",
    "drain",
    "shutdown",
    "reset",
    "start",
    "refresh",
    "onboard",
    "register",
    "unregister",
    "register-asn",
    "unregister-asn",
    "validate",
    "activate",
    "deactivate",
    "set",
    "hold",
];

/// Probe traffic.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSend {
    /// "teams" or an endpoint; "teams/ipv6" or "sbc/ipv6" for IPv6.
    #[schemars(required)]
    pub from: Option<Located<String>>,
    /// An endpoint or "teams", alike.
    #[schemars(required)]
    pub to: Option<Located<String>>,
    /// Also the other way.
    pub both_ways: Option<Located<bool>>,
    /// Interval between packets of one direction; 1 ms if not given.
    pub every: Option<Located<Duration>>,
    /// Flows of one direction (UDP source ports), sent in turn; 64 if not given, 16 with `member`.
    #[schemars(range(min = 1, max = 1024))]
    pub flows: Option<Located<u16>>,
    /// The member that every flow takes, such as "ams-1/2": source ports are tried until enough are found that go over it.
    pub member: Option<Located<String>>,
}

/// A LAG that gets more members.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAugment {
    /// The connection.
    #[schemars(required)]
    pub connection: Option<Located<String>>,
    /// How many more; 1 if not given. Their numbers are the lowest that are free.
    #[schemars(range(min = 1, max = 7))]
    pub members: Option<Located<u8>>,
}

/// What stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawStop {
    /// All probe traffic.
    Traffic,
}

/// A failure: one target, and how.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("oneOf" = TARGETS.map(|target| json!({ "required": [target] }))))]
pub(super) struct RawFail {
    /// A connection, a list of them, or "all".
    pub connection: Option<Located<Names>>,
    /// One member, counted from 1: "ams-1/1".
    pub member: Option<Located<String>>,
    /// A Microsoft edge.
    pub node: Option<Located<String>>,
    /// All Microsoft edges of a metro.
    pub metro: Option<Located<String>>,
    /// How a connection fails; the others fail in only one way.
    pub how: Option<Located<RawHow>>,
}

/// The keys of [`RawFail`] that name what fails.
const TARGETS: [&str; 4] = ["connection", "member", "node", "metro"];

/// How something fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawHow {
    /// Both ends lose light on every member.
    Light,
    /// Nothing passes in either direction; light stays.
    Silent,
    /// Nothing passes towards Microsoft; light stays.
    OneWayIn,
    /// Nothing passes towards the peer; light stays.
    OneWayOut,
    /// LACPDUs are lost in both directions; everything else passes.
    Lacp,
    /// BFD packets are lost in both directions; everything else passes.
    Bfd,
    /// BGP packets are lost in both directions; everything else passes.
    Bgp,
    /// With `member`: it loses light.
    Member,
    /// With `node`: the edge crashes.
    Node,
    /// With `metro`: every edge of it crashes.
    Metro,
}

/// A router's BGP goes and comes back; its links and BFD stay.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawRestart {
    /// A router of the peer, or an edge.
    #[schemars(required)]
    pub router: Option<Located<String>>,
    /// Its kernel goes on forwarding meanwhile, and it says so when it is back (RFC 4724).
    pub graceful: Option<Located<bool>>,
    /// How long it is gone; it is back at once if not given.
    pub takes: Option<Located<Duration>>,
}

/// Who announces or withdraws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawSpeaker {
    /// The peer, towards Microsoft.
    Peer,
    /// Microsoft, towards the peer.
    Microsoft,
}

/// An announcement.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAnnounce {
    /// The prefix.
    #[schemars(required)]
    pub prefix: Option<Located<AnyPrefix>>,
    /// Whose it is; the peer's if not given.
    pub by: Option<Located<RawSpeaker>>,
    /// Connections on whose sessions of the prefix's family: a name, a list, or "all" (the default).
    pub from: Option<Located<Names>>,
    /// The AS path as the other side shall see it, the speaker's own AS first; just that if not given. A list in it is an AS_SET.
    pub as_path: Option<Located<Vec<Located<Numbers>>>>,
    /// Communities; 8075:8007 if the peer announces and nothing is given.
    pub communities: Option<Vec<Located<Community>>>,
    /// Large communities.
    #[serde(default)]
    pub large_communities: Vec<Located<LargeCommunity>>,
    /// Extended communities.
    #[serde(default)]
    pub extended_communities: Vec<Located<ExtendedCommunity>>,
    /// MULTI_EXIT_DISC.
    pub med: Option<Located<u32>>,
    /// Only-to-customer (RFC 9234): the AS that told of the route as a provider or peer, so that to tell it again is a leak.
    pub only_to_customer: Option<Located<u32>>,
    /// What is wrong with the UPDATE that announces it (src/bgp/message/malformed-updates.md): it is so once, and later ones are in order.
    #[schemars(extend("enum" = malformations().collect::<Vec<_>>()))]
    pub malformed: Option<Located<String>>,
}

/// The names of malformations.
pub(super) fn malformations() -> impl Iterator<Item = &'static str> {
    MALFORMATIONS.iter().map(|malformation| malformation.name)
}

/// A withdrawal.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawWithdraw {
    /// The prefix.
    #[schemars(required)]
    pub prefix: Option<Located<AnyPrefix>>,
    /// Whose it is; the peer's if not given.
    pub by: Option<Located<RawSpeaker>>,
    /// Connections on whose sessions of the prefix's family: a name, a list, or "all" (the default).
    pub from: Option<Located<Names>>,
}

/// Sessions that are shut down or reset.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawShutdown {
    /// Which: a name such as "ams-1" or "ams-1/ipv6", a list, or "all".
    #[schemars(required)]
    pub session: Option<Located<Names>>,
    /// What the peer is told (RFC 9003); "maintenance" if not given.
    pub text: Option<Located<String>>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawHold {
    /// How long.
    #[schemars(required)]
    pub time: Option<Located<Duration>>,
    /// Why; a pause without a reason is a guess.
    #[schemars(required)]
    pub reason: Option<Located<String>>,
}
