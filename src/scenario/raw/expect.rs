//! An expectation as TOML has it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::provider::names;
use crate::source::{Duration, Located, Names, Share};

/// An expectation: one subject, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("oneOf" = SUBJECTS.map(|subject| json!({ "required": [subject] }))))]
pub(in crate::scenario) struct RawExpect {
    /// BGP sessions: a name, a list, or "all". "ams-1" is the IPv4 session of that connection, "ams-1/ipv6" its IPv6
    /// session; "wan/ams-edge-1" is one inside a network, at the WAN, "ams-edge-1/wan" at the edge. With `state = "up"` or
    /// `"down"`, `reason`, `at`.
    pub session: Option<Located<Names>>,
    /// LAGs, by connection. With `state = "up"` or `"down"`, `distinct-systems`.
    pub lag: Option<Located<Names>>,
    /// BFD sessions, named as in a step `bfd`. With `state = "up"` or `"down"`, `reason`, `at = "partner"`, `sends-every`,
    /// `answers-poll`.
    pub bfd: Option<Located<Names>>,
    /// BGP sessions on which the neighbour brings as many routes as are to be told: a name, a list, or "all". With
    /// `state = "warned"` or `"exceeded"`, `count`, `at`.
    pub maximum_prefixes: Option<Located<Names>>,
    /// One member, such as "ams-1/1". With `state = "distributing"` or `"down"`, `at = "partner"` or `"peer"`, `sends-every`,
    /// `answers-marker`, `reason`.
    pub member: Option<Located<String>>,
    /// A prefix, or "any". With `from` or `to`, and `state = "present"` or `"absent"`, or `count`; with `from` and
    /// `state = "accepted"`, `"refused"`, `"stale"` (RFC 4724: its session is gone), `"fresh"` or `"refreshed"` (RFC 7313:
    /// all was sent again); or with `at`, where it is looked for.
    pub route: Option<Located<String>>,
    /// The endpoint, or the prefix, for which Microsoft's WAN uses exactly the connections of `via`. With `at`: for which an
    /// edge, a router of the peer or "core" uses them; of the peer's the way to "teams", or to what Microsoft announces.
    pub path: Option<Located<String>>,
    /// Probe traffic: "teams -> sbc", or "both" for all that is being sent.
    pub traffic: Option<Located<String>>,
    /// A registered prefix. With `state`, `reason`, `message`, `at`.
    pub registered_prefix: Option<Located<String>>,
    /// A Peering Service prefix. With `state`, `reason`, `message`, `at`, `learned-type`.
    pub service_prefix: Option<Located<String>>,
    /// The peer's AS number in the subscription. With `state`.
    pub peer_asn: Option<Located<u32>>,
    /// An AS number registered with a peering. With `state = "present"` or `"absent"`.
    pub registered_asn: Option<Located<u32>>,
    /// The peering resource of a metro. With `state`.
    pub peering: Option<Located<String>>,
    /// Connections of a peering: a name, a list, or "all". With `state`, `session-state`, or both.
    pub connection: Option<Located<Names>>,
    /// An event that Microsoft tells. With `of`, `level`, `reason`.
    #[schemars(extend("enum" = names::EVENTS))]
    pub event: Option<Located<String>>,
    /// Connections whose failure layers noticed by themselves: a name, a list, or "all". Or what stands between the WAN and an edge,
    /// or the core and a router of the peer: "wan/ams-edge-1". With `by`.
    pub detected: Option<Located<Names>>,
    /// For so long after what the step did, no LACP, BFD or BGP state changes.
    pub quiet: Option<Located<Duration>>,
    /// What the subject shall be.
    #[schemars(extend("enum" = states()))]
    pub state: Option<Located<String>>,
    /// With `connection`: its `sessionStateV4`.
    #[schemars(extend("enum" = names::SESSION_STATES))]
    pub session_state: Option<Located<String>>,
    /// With `service-prefix`: its `learnedType`.
    #[schemars(extend("enum" = names::LEARNED_TYPES))]
    pub learned_type: Option<Located<String>>,
    /// With a prefix: all of these are among the checks that it did not pass. With a refused `route`: why. With an
    /// `event`: its summary, or a part of it. With a `session` or
    /// `bfd`: what it says of its last change, or a part of it. With a `member`: what is wrong with its cable.
    pub reason: Option<Located<Names>>,
    /// With a prefix: the heading of the message that the portal shows first.
    pub message: Option<Located<String>>,
    /// With a prefix and `reason`: exactly these connections are at fault. With `route`: "internet", "core",
    /// or routers of the peer, whose kernels have it or not. With `session` or `maximum-prefixes`: as this simulated
    /// router of the peer sees it; with `bfd` or `member`, "partner": as its packets say;
    /// with `member`, "peer": as the peer's end sees it, whose partner is Microsoft's.
    pub at: Option<Located<Names>>,
    /// With `detected`: the layer that was first, or the first ones in their order, at either end. Layers are "light", "lacp",
    /// "micro-bfd", "bfd" and "bgp" (its hold timer).
    pub by: Option<Located<Names>>,
    /// With `event`: what it is about, for example a prefix.
    pub of: Option<Located<String>>,
    /// With `event`: its level.
    #[schemars(extend("enum" = names::EVENT_LEVELS))]
    pub level: Option<Located<String>>,
    /// With `route`: received by Microsoft from these connections, on the session of the prefix's family; with `at = "internet"`: from "peer" or "microsoft".
    pub from: Option<Located<Names>>,
    /// With `route`: advertised by Microsoft to these connections.
    pub to: Option<Located<Names>>,
    /// With `route` or `maximum-prefixes`: exactly so many.
    pub count: Option<Located<u32>>,
    /// With `path` or `traffic`: exactly these connections, or "internet"; with `traffic` also exactly these members, for
    /// example "ams-1/2". With `path` and `at`: connections, and "wan" of an
    /// edge, "inside" of a router of the peer; of the core, routers of the peer.
    pub via: Option<Located<Names>>,
    /// With `traffic`: limit for the longest interruption of a direction.
    pub interrupted_at_most: Option<Located<Duration>>,
    /// With `traffic`: limit for the packets lost in a direction.
    pub lost_at_most: Option<Located<u64>>,
    /// With `traffic`: the least share of the packets of each direction that is lost in this step.
    pub loss_at_least: Option<Located<Share>>,
    /// With `traffic`: the greatest share of the packets of each direction that is lost in this step.
    pub loss_at_most: Option<Located<Share>>,
    /// With `traffic`: the slowest packet of each direction takes at least so long.
    pub delay_at_least: Option<Located<Duration>>,
    /// With `traffic`: the slowest packet of each direction takes at most so long.
    pub delay_at_most: Option<Located<Duration>>,
    /// With `traffic`: the least share of the packets of each direction that arrives twice.
    pub duplicated_at_least: Option<Located<Share>>,
    /// With `traffic`: the least share of the packets of each direction that arrives after a later one of its flow.
    pub reordered_at_least: Option<Located<Share>>,
    /// With `traffic`: whatever is lost is lost by flows that went over these members, such as "ams-1/2". All others lose nothing.
    pub lost_only_on: Option<Located<Names>>,
    /// With `traffic`: whichever flow takes another way went over one of these members before. All others keep theirs.
    pub moved_only_from: Option<Located<Names>>,
    /// With `bfd`: the partner's packets come at this interval, less by a jitter of at most 25 % (RFC 5880, section 6.8.7), as
    /// it was measured. With `member`: its LACPDUs come at this interval, "1s" or "30s", give or take 250 ms.
    pub sends_every: Option<Located<Duration>>,
    /// With `bfd`: the partner answered a Poll since the step began.
    pub answers_poll: Option<Located<bool>>,
    /// With `lag`: by their LACPDUs no two of them lead to one system of the peer (RED-03).
    pub distinct_systems: Option<Located<bool>>,
    /// With `member`: the partner answered a marker that was sent since the step began, or, with `for`, left it unanswered so long.
    pub answers_marker: Option<Located<bool>>,
    /// With `member`: its partner says that it is active, or passive.
    pub active: Option<Located<bool>>,
    /// With `member`: what its partner gives us up after: "short" is 3 s, "long" 90 s.
    pub timeout: Option<Located<RawTimeout>>,
    /// With `member`: the system that its partner says, a MAC address.
    pub system: Option<Located<String>>,
    /// With `member`: the key that its partner says.
    pub key: Option<Located<u16>>,
    /// With `member`: the port number that its partner says.
    pub port: Option<Located<u16>>,
    /// With `member`: its partner was in sync so soon after light, the last time.
    pub in_sync_within: Option<Located<Duration>>,
    /// With `member`: its partner said in a LACPDU that it distributes, or sent data frames, since the step began, while it had not heard
    /// that the edge collects, so that frames may be lost; in the first step, since the lab began.
    pub distributes_early: Option<Located<bool>>,
    /// It must come true within this time of the step's clock; 5 s if not given.
    pub within: Option<Located<Duration>>,
    /// Having come true, it must stay so for this long. Traffic is watched at least so long; 500 ms if not given.
    pub r#for: Option<Located<Duration>>,
}

/// LACP_Timeout (IEEE 802.1AX, 6.4.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::scenario) enum RawTimeout {
    /// A LACPDU every second; 3 s without are too many.
    Short,
    /// One every 30 s; 90 s.
    Long,
}

/// The keys of [`RawExpect`] that name what is looked at.
pub(in crate::scenario) const SUBJECTS: [&str; 17] = [
    "session",
    "lag",
    "bfd",
    "maximum-prefixes",
    "member",
    "route",
    "path",
    "traffic",
    "registered-prefix",
    "service-prefix",
    "peer-asn",
    "registered-asn",
    "peering",
    "connection",
    "event",
    "detected",
    "quiet",
];

/// Every state that some subject can have.
fn states() -> Vec<&'static str> {
    let ours = [
        "up",
        "down",
        "distributing",
        "present",
        "absent",
        "accepted",
        "refused",
        "stale",
        "fresh",
        "refreshed",
        "warned",
        "exceeded",
    ];
    let mut states = ours.to_vec();
    let azures = [
        &names::PREFIX_STATES[..],
        &names::PEER_ASN_STATES,
        &names::PEERING_STATES,
        &names::CONNECTION_STATES,
    ];
    for state in azures.concat() {
        if !states.contains(&state) {
            states.push(state);
        }
    }
    states
}
