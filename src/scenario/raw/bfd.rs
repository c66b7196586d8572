//! A step about BFD as TOML has it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::bfd::Wrong;
use crate::source::{Duration, Located, Names};

/// What an end of BFD sessions is told, one thing: Microsoft's, but inside both networks that of the router named first.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::scenario) struct RawBfdStep {
    /// Which: a name such as "ams-1" or "ams-1/ipv6", that of a member with BFD of its own ("ams-1/1"), or one inside a network
    /// (RFC 5883): "wan/ams-edge-1" is told at the WAN, "ams-edge-1/wan" at the edge. Or a list, or "all" (those over LAGs).
    #[schemars(required)]
    pub session: Option<Located<Names>>,
    /// To be silent, to ask for Demand mode, or to behave again; to be disabled, or enabled again.
    pub order: Option<Located<RawOrder>>,
    /// Every packet leaves so much too late.
    pub delay: Option<Located<Duration>>,
    /// Every packet leaves too late by another time of at most this, besides the `delay` if there is one.
    pub jitter: Option<Located<Duration>>,
    /// Packets leave at this interval, whatever was negotiated.
    pub sends_every: Option<Located<Duration>>,
    /// TTL or hop limit instead of 255.
    #[schemars(range(min = 1))]
    pub ttl: Option<Located<u8>>,
    /// What is wrong in every packet.
    #[schemars(extend("enum" = Wrong::ALL.map(Wrong::name)))]
    pub wrong: Option<Located<String>>,
    /// Another interval, both ways.
    pub interval: Option<Located<Duration>>,
    /// Another multiplier.
    #[schemars(range(min = 1))]
    pub multiplier: Option<Located<u8>>,
    /// With `interval`: whether the partner is asked whether it heard (a Poll Sequence), as it must be; true if not given.
    pub poll: Option<Located<bool>>,
}

/// What a BFD session is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::scenario) enum RawOrder {
    /// It sends nothing.
    Silence,
    /// It asks for Demand mode (the D bit), and goes on detecting as without: the partner must cease its periodic packets while
    /// both ends are up (RFC 5880, section 6.8.6), and the session ends.
    AskDemand,
    /// It does everything right again, whatever it was told before.
    Behave,
    /// It goes to AdminDown, and tells so (RFC 5880, section 6.8.16).
    Disable,
    /// It leaves AdminDown.
    Enable,
}
