//! A step about LACP as TOML has it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::source::{Duration, Located, Names};

/// What Microsoft's end of LAGs, or of one member, is told: one thing.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("oneOf" = [{"required": ["connection"]}, {"required": ["member"]}]))]
pub(in crate::scenario) struct RawLacpStep {
    /// Every member of these connections: a name, a list, or "all".
    pub connection: Option<Located<Names>>,
    /// One member, counted from 1: "ams-1/1".
    pub member: Option<Located<String>>,
    /// With `order = "send-marker"`: who sends it, Microsoft's end (as without this) or the peer's.
    pub at: Option<Located<RawLacpEnd>>,
    /// To do, or to leave, something.
    pub order: Option<Located<RawLacpOrder>>,
    /// With `connection`: how often the partner is asked to send, every second or every 30 s.
    pub rate: Option<Located<RawLacpRate>>,
    /// With `connection`: active LACP, or passive.
    pub active: Option<Located<bool>>,
    /// LACPDUs say another system: a MAC address.
    pub system: Option<Located<String>>,
    /// LACPDUs say another key.
    pub key: Option<Located<u16>>,
    /// LACPDUs say another port number.
    pub port: Option<Located<u16>>,
    /// This is another in every LACPDU.
    pub changing: Option<Located<RawLacpPart>>,
    /// With `member`: LACPDUs say what this member of another connection would say, such as "ams-2/1", as if the cable had
    /// been moved there.
    pub moved_to: Option<Located<String>>,
    /// Of a hundred LACPDUs so many are not sent, evenly.
    #[schemars(range(min = 1, max = 100))]
    pub drop: Option<Located<u8>>,
    /// Every LACPDU is sent so many times.
    #[schemars(range(min = 2, max = 100))]
    pub duplicate: Option<Located<u8>>,
    /// Every LACPDU leaves so much too late.
    pub delay: Option<Located<Duration>>,
    /// The partner's markers are answered so much too late.
    pub marker_delay: Option<Located<Duration>>,
}

/// An end of a LAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::scenario) enum RawLacpEnd {
    /// The edge's.
    Microsoft,
    /// That of the peer's router.
    Peer,
}

/// What LACP is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::scenario) enum RawLacpOrder {
    /// It sends nothing.
    Silence,
    /// It does everything right again, whatever it was told before; rate and activity stay.
    Behave,
    /// It never comes in sync, as a port in standby.
    RefuseSync,
    /// It does not collect, and so does not distribute.
    StopCollecting,
    /// It collects, and does not distribute.
    StopDistributing,
    /// LACPDUs name another port than the one that was heard as their partner.
    NameAnotherPartner,
    /// Every second LACPDU leaves after the one that follows it.
    Reorder,
    /// The partner's markers are not answered.
    IgnoreMarkers,
    /// It sends a marker, which the partner must answer. With `at = "peer"` the peer's end sends one to Microsoft's.
    SendMarker,
}

/// How often LACPDUs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::scenario) enum RawLacpRate {
    /// Every second; the partner is given up after 3 s.
    Fast,
    /// Every 30 s; the partner is given up after 90 s.
    Slow,
}

/// A part of what a port is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::scenario) enum RawLacpPart {
    /// The system.
    System,
    /// The key.
    Key,
    /// The port number.
    Port,
}
