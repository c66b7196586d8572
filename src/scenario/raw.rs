//! The scenario file as TOML has it: a step and an expectation are plain tables of optional keys.
//!
//! `parse.rs` says that a step does exactly one thing, `expect.rs` that an expectation expects exactly one.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::source::{Community, Duration, Located, Names, Prefix};

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
    /// Mend it: a connection, a member such as "ams-1/1", an edge, a metro, or "all".
    pub repair: Option<Located<String>>,
    /// Announce a prefix of the peer.
    pub announce: Option<Located<RawAnnounce>>,
    /// Withdraw a prefix of the peer.
    pub withdraw: Option<Located<RawWithdraw>>,
    /// Let time pass.
    pub hold: Option<Located<RawHold>>,
    /// What must follow.
    #[serde(default)]
    pub expect: Vec<Located<RawExpect>>,
}

/// The keys of [`RawStep`] that do something.
pub(super) const VERBS: [&str; 8] = [
    "settle", "send", "stop", "fail", "repair", "announce", "withdraw", "hold",
];

/// Probe traffic.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSend {
    /// "teams" or an endpoint.
    #[schemars(required)]
    pub from: Option<Located<String>>,
    /// An endpoint or "teams".
    #[schemars(required)]
    pub to: Option<Located<String>>,
    /// Also the other way.
    pub both_ways: Option<Located<bool>>,
    /// Interval between packets of one direction; 1 ms if not given.
    pub every: Option<Located<Duration>>,
    /// Flows of one direction (UDP source ports), sent in turn; 64 if not given.
    #[schemars(range(min = 1, max = 1024))]
    pub flows: Option<Located<u16>>,
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
pub(super) const TARGETS: [&str; 4] = ["connection", "member", "node", "metro"];

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

/// An announcement of the peer.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAnnounce {
    /// The prefix.
    #[schemars(required)]
    pub prefix: Option<Located<Prefix>>,
    /// Connections on whose sessions: a name, a list, or "all" (the default).
    pub from: Option<Located<Names>>,
    /// The AS path as Microsoft shall see it, the peer's own AS first; just that if not given.
    pub as_path: Option<Located<Vec<Located<u32>>>>,
    /// Communities; 8075:8007 if not given, none if empty.
    pub communities: Option<Vec<Located<Community>>>,
}

/// A withdrawal of the peer.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawWithdraw {
    /// The prefix.
    #[schemars(required)]
    pub prefix: Option<Located<Prefix>>,
    /// Connections on whose sessions: a name, a list, or "all" (the default).
    pub from: Option<Located<Names>>,
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

/// An expectation: one subject, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("oneOf" = SUBJECTS.map(|subject| json!({ "required": [subject] }))))]
pub(super) struct RawExpect {
    /// BGP sessions, by connection: a name, a list, or "all". With `state = "up"` or `"down"`.
    pub session: Option<Located<Names>>,
    /// LAGs, by connection. With `state = "up"` or `"down"`.
    pub lag: Option<Located<Names>>,
    /// BFD sessions, by connection. With `state = "up"` or `"down"`.
    pub bfd: Option<Located<Names>>,
    /// One member, such as "ams-1/1". With `state = "distributing"` or `"down"`.
    pub member: Option<Located<String>>,
    /// A prefix, or "any". With `from` or `to`, and `state = "present"` or `"absent"`, or `count`.
    pub route: Option<Located<String>>,
    /// The endpoint for which Microsoft's WAN uses exactly the connections of `via`.
    pub path: Option<Located<String>>,
    /// Probe traffic: "teams -> sbc", or "both" for all that is being sent.
    pub traffic: Option<Located<String>>,
    /// For so long after what the step did, no LACP, BFD or BGP state changes.
    pub quiet: Option<Located<Duration>>,
    /// What the subject shall be.
    pub state: Option<Located<RawState>>,
    /// With `route`: received by Microsoft from these connections.
    pub from: Option<Located<Names>>,
    /// With `route`: advertised by Microsoft to these connections.
    pub to: Option<Located<Names>>,
    /// With `route`: exactly so many.
    pub count: Option<Located<u32>>,
    /// With `path` or `traffic`: exactly these connections, or "internet".
    pub via: Option<Located<Names>>,
    /// With `traffic`: limit for the longest interruption of a direction.
    pub interrupted_at_most: Option<Located<Duration>>,
    /// With `traffic`: limit for the packets lost in a direction.
    pub lost_at_most: Option<Located<u64>>,
    /// It must come true within this time of the step's clock; 5 s if not given.
    pub within: Option<Located<Duration>>,
    /// Having come true, it must stay so for this long. Traffic is watched at least so long; 500 ms if not given.
    pub r#for: Option<Located<Duration>>,
}

/// The keys of [`RawExpect`] that name what is looked at.
pub(super) const SUBJECTS: [&str; 8] = [
    "session", "lag", "bfd", "member", "route", "path", "traffic", "quiet",
];

/// What a subject shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawState {
    /// A session, BFD session or LAG that is up.
    Up,
    /// A session, BFD session, LAG or member that is not.
    Down,
    /// A member that collects and distributes.
    Distributing,
    /// A route that is there.
    Present,
    /// A route that is not there.
    Absent,
}
