//! What facts are made of, where a text or a number does not do.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::time::At;

/// BFD on a member of a LAG.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MicroBfd {
    /// As in [`Fact::Bfd`](super::Fact::Bfd), or `off`: LACP has the member neither distribute nor stand by.
    pub state: String,
    /// Why, in the RFC's words.
    pub diagnostic: String,
    /// When the last packet of the remote was received (kernel timestamp).
    pub last_received: Option<At>,
    /// Detection time in force.
    pub detection_time: Option<Nanos>,
}

/// So much of a kind was left out before the next fact of that kind about a BFD session or a member, since it changed too fast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NotTold {
    /// Router.
    pub router: String,
    /// The session as in [`Fact::Bfd`](super::Fact::Bfd), or the LAG; on a member `ams-1/1`.
    pub session: String,
    /// What was left out, for example `changes of state`.
    pub what: String,
    /// How many of them.
    pub count: u32,
}

/// A packet that came for a BFD session was discarded (RFC 5880, section 6.8.6, or because somebody else than the other end sent it), for a
/// reason that was not told since the session last changed its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BfdDiscarded {
    /// Router.
    pub router: String,
    /// As in [`Fact::Bfd`](super::Fact::Bfd).
    pub connection: String,
    /// Why, for example `authentication digest is wrong`.
    pub why: String,
    /// What about it is not right; older records do not have it.
    #[serde(default)]
    pub reason: BfdDiscardReason,
}

/// What must be put right at the sender of a discarded BFD packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BfdDiscardReason {
    /// Its authentication.
    Authentication,
    /// Its source address.
    Source,
    /// Its TTL.
    Ttl,
    /// Any other field.
    #[default]
    Other,
}

/// What was wrong with an UPDATE, and how it was treated (RFC 7606).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MalformedUpdate {
    /// Router that received it.
    pub router: String,
    /// Session as in [`Fact::Bgp`](super::Fact::Bgp).
    pub session: String,
    /// The gravest first, for example `ORIGIN: invalid value: treat-as-withdraw (RFC 7606, section 7.1)`; of many the first few.
    pub faults: Vec<String>,
    /// How many prefixes it announced.
    pub prefixes: u32,
    /// The first of them, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<IpNet>,
}

/// A check of a prefix that did not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// Stable name, for example `missing-community`.
    pub reason: String,
    /// The check, for example `V-05`.
    pub check: String,
    /// Whether it decides the state.
    pub severity: Severity,
    /// The connection whose session is concerned, if it is one.
    pub connection: Option<String>,
    /// What was found, in one sentence without a full stop.
    pub text: String,
    /// What it rests on: sessions, routes with their attributes, registry objects, validated ROA payloads.
    pub evidence: Vec<String>,
    /// The nearest thing that would have passed, if there is one.
    pub nearest: Option<String>,
    /// The remedy in words.
    pub remedy: String,
    /// The remedy as lines of configuration for the device in use, if it is a setting of a router.
    pub config: Vec<String>,
}

/// How much a [`Failure`] weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It could not be checked.
    Unchecked,
    /// It is told, and decides nothing.
    Warn,
    /// The prefix fails.
    Fail,
}

/// What the portal shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Message {
    /// The heading as documented, or ours where no text is documented.
    pub heading: String,
    /// Whether Microsoft's documents have this heading.
    pub documented: bool,
    /// The sentence with its values.
    pub text: String,
}

/// A file's name and text, kept in the record so that it can be judged and shown again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceText {
    /// Path as the user gave it.
    pub path: String,
    /// Contents.
    pub text: String,
}

/// What the other end of a BFD session says in its packets (RFC 5880, section 4.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BfdHeard {
    /// `admin-down`, `down`, `init`, `up`.
    pub state: String,
    /// In the RFC's words.
    pub diagnostic: String,
    /// Desired Min TX Interval.
    pub desired_min_tx: Nanos,
    /// Required Min RX Interval.
    pub required_min_rx: Nanos,
    /// Detect Mult.
    pub multiplier: u8,
    /// Required Min Echo RX Interval.
    pub required_min_echo_rx: Nanos,
    /// It asks for Demand mode.
    pub demand: bool,
    /// Its BFD does not share fate with its control plane (the C bit).
    pub control_plane_independent: bool,
    /// How its packets are authenticated, for example `keyed-sha1`; none if they are not.
    pub authentication: Option<String>,
    /// Other intervals came in a packet without Poll, while both ends were up.
    pub unasked: bool,
    /// It detected that we, who misbehaved, were silent: so long after the last packet it had to accept.
    pub detected_after: Option<Nanos>,
    /// Its Detection Time, from what both ends say.
    pub detection_time: Nanos,
}

/// The rhythm of periodic BFD packets while both ends are up and no timers change, by the kernel's timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BfdRhythm {
    /// The negotiated interval, before jitter.
    pub interval: Nanos,
    /// Intervals measured.
    pub intervals: u32,
    /// The shortest.
    pub shortest: Nanos,
    /// The median, to 1 % of the negotiated interval.
    pub median: Nanos,
    /// The 99th percentile, to 1 % of the negotiated interval.
    pub p99: Nanos,
    /// The longest.
    pub longest: Nanos,
    /// Shorter than 75 % of the negotiated interval by more than 2 ms.
    pub early: u32,
    /// Longer than the negotiated interval by more than 2 ms.
    pub late: u32,
}

/// What is seen of the other end of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LacpSeen {
    /// It says something else than before.
    Says(LacpHeard),
    /// The rhythm of its LACPDUs, as far as it was measured since the rate changed, or since we were told to behave
    /// otherwise. Told after 1 interval, 2, 4, 8 …, after one that was early or late, and when the measurement ends.
    Rhythm(LacpRhythm),
    /// A marker was sent to it, which it must answer.
    MarkerSent,
    /// It answered the last marker after so long.
    MarkerAnswered(Nanos),
    /// It answered one after so long to which others were sent since.
    EarlierMarkerAnswered(Nanos),
    /// A marker could not be sent to it, and why.
    NoMarker(String),
    /// Data frames came from it while it may not send any, and were not told of yet: told at the first, once a second while they
    /// come, and when it may.
    EarlyData(LacpEarlyData),
}

/// Data frames on a member from an end that was not told that this one collects, or has heard that it does no longer.
///
/// No data are LACP, LLDP, BFD on the member, and what hosts send to groups of the link alone on whatever interface is up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LacpEarlyData {
    /// So many came since this was last told.
    pub frames: u64,
    /// The first in words, for example `IPv4 192.0.2.1 to 192.0.2.0, from 02:00:00:00:00:01`.
    pub first: String,
    /// No LACPDU of that end was heard since light came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unheard: bool,
    /// The first came so long before this end said that it collects; none while it has not said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Nanos>,
}

/// What the other end of a member says of itself in its LACPDUs (IEEE 802.1AX, 6.4.2.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LacpHeard {
    /// Actor_System_Priority. This and the port are 0 at an end that the kernel's bond plays while only the kernel has seen the
    /// LACPDU.
    pub system_priority: u16,
    /// Actor_System, a MAC address.
    pub system: String,
    /// Actor_Key.
    pub key: u16,
    /// Actor_Port_Priority.
    pub port_priority: u16,
    /// Actor_Port.
    pub port: u16,
    /// The bits of Actor_State that are set, for example `active short-timeout aggregatable in-sync`.
    pub state: String,
    /// What it says of its partner is what we say of ourselves; at an end that the kernel's bond plays it may not be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub means_us: Option<bool>,
    /// It distributes, and has not heard that we collect; at an end that the kernel's bond plays it may not be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early: Option<bool>,
    /// So many other things it said just before were left out of the record: three a second are told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl LacpHeard {
    /// Whether this bit of its state is set.
    pub fn says(&self, bit: &str) -> bool {
        self.state.split(' ').any(|set| set == bit)
    }
}

/// The rhythm of LACPDUs while neither end has anything new to say, by the kernel's timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LacpRhythm {
    /// The interval it was asked for: 1 s or 30 s.
    pub interval: Nanos,
    /// Intervals measured.
    pub intervals: u32,
    /// The shortest.
    pub shortest: Nanos,
    /// The median of the last 64.
    pub median: Nanos,
    /// The longest.
    pub longest: Nanos,
    /// Shorter than the interval by more than 250 ms.
    pub early: u32,
    /// Longer than the interval by more than 250 ms.
    pub late: u32,
}

/// What a member of a LAG has carried since it was made, as its link counts it at this end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MemberCounters {
    /// Counted from 1.
    pub member: u8,
    /// Handed to the cable.
    pub sent: FrameCount,
    /// Arrived, though a fault at this end may have dropped them then.
    pub received: FrameCount,
}

/// The members that a connection's LAG has from now on, and its bandwidth with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct InService {
    /// Connection.
    pub connection: String,
    /// Its members, counted from 1.
    pub members: Vec<u8>,
    /// Their bandwidth together, in Mbit/s.
    pub bandwidth_mbps: u32,
}

/// Connections of a neighbour that a session did not take: in Idle (RFC 4271, section 8.2.2), or since it has a better one. Told of
/// the first, and again whenever the number has doubled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refused {
    /// Router.
    pub router: String,
    /// Session as in [`Fact::Bgp`](super::Fact::Bgp).
    pub session: String,
    /// How many since the session's state, or the reason, changed.
    pub count: u64,
    /// What the session does instead, for example `rests after a failure`.
    pub why: String,
}

/// Who plays an end of a LAG that may be the kernel's or ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AutoBackend {
    /// Router.
    pub router: String,
    /// Connection.
    pub connection: String,
    /// The kernel's bond; else ours.
    pub kernel: bool,
    /// Why it is ours; empty when it is the kernel's.
    pub why: String,
}

/// Frames one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FrameCount {
    /// All of them.
    pub frames: u64,
    /// Their octets, without FCS.
    pub octets: u64,
    /// Those of the LAG, which are neither of the Slow Protocols nor BFD on the member. What was on its way while it was
    /// counted may be missing or too much: a frame or two. None where nobody counts the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<u64>,
}

/// How late packets of one protocol left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Punctuality {
    /// How many were sent because they were due.
    pub packets: u64,
    /// Of these, how many the kernel stamped; the others were stamped by the program, after the kernel had taken them.
    pub kernel_stamped: u64,
    /// Half of them were no later.
    pub p50: Nanos,
    /// Of a hundred, 99 were no later.
    pub p99: Nanos,
    /// Of a thousand, 999 were no later.
    pub p999: Nanos,
    /// The latest.
    pub longest: Nanos,
}

/// A duration in nanoseconds; a plain number in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl From<Duration> for Nanos {
    fn from(duration: Duration) -> Nanos {
        Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for Duration {
    fn from(nanos: Nanos) -> Duration {
        Duration::from_nanos(nanos.0)
    }
}
