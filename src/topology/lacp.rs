//! LACP of the ends of a connection: the keys of `[microsoft.lacp]`, and of `lacp.microsoft` and `lacp.peer` of a connection.
//!
//! The first are those of both ends of every connection; the others are those of one end, where it does otherwise.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::raw::{RawConnection, RawLacp, RawLacpMode, RawLacpRate};
use super::{Connection, LagBackend, LagBackends, Topology};
use crate::source::{Duration as RawDuration, Located, Mistakes, in_words};

/// The default of IEEE 802.1AX for a system's priority.
const PRIORITY: u16 = 0x8000;
/// How often a bond looks at the light of its ports, if nothing is said.
const MIIMON: Duration = Duration::from_millis(10);
/// Second byte of hardware addresses in a lab at Microsoft's edges.
pub const EDGE_TAG: u8 = 0x80;
/// At the peer's routers.
pub const PEER_TAG: u8 = 0x40;
/// The kernel puts speed and duplex into the other bits of a bond's key.
const LARGEST_KEY_OF_A_BOND: u16 = 0x3ff;

/// LACP settings of a line card (IEEE 802.1AX).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LacpSettings {
    /// Ask the partner for one LACPDU a second (short timeout) instead of one every 30 s.
    pub fast: bool,
    /// Microsoft's side sends LACPDUs without being asked.
    pub active: bool,
    /// Members that must distribute for the LAG to have carrier.
    pub min_links: u8,
}

/// LACP of one end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LacpEnd {
    /// Ask the partner for one LACPDU a second (short timeout) instead of one every 30 s.
    pub fast: bool,
    /// Sends LACPDUs without being asked.
    pub active: bool,
    /// Members that must distribute for this end to have carrier.
    pub min_links: u8,
    /// Actor_System; one of the lab's own, the same for all connections of the router, if not given.
    pub system: Option<[u8; 6]>,
    /// Actor_System_Priority.
    pub system_priority: u16,
    /// Actor_Key; one for each connection if not given. Of a bond the upper 10 bits of it.
    pub key: Option<u16>,
    /// What a bond of the kernel's spreads flows by.
    pub hash_policy: HashPolicy,
    /// How often a bond of the kernel's looks at the light of its ports; whole milliseconds.
    pub miimon: Duration,
}

impl LacpEnd {
    fn of(settings: LacpSettings, side: Side) -> LacpEnd {
        LacpEnd {
            fast: settings.fast,
            // Two passive ends never speak.
            active: settings.active || side == Side::Peer,
            min_links: settings.min_links,
            system: None,
            system_priority: PRIORITY,
            key: None,
            hash_policy: HashPolicy::default(),
            miimon: MIIMON,
        }
    }

    /// Actor_System at the router with this number among those of its side; without one of its own a locally administered
    /// address that no member has.
    pub fn system_of(&self, tag: u8, router: usize) -> [u8; 6] {
        let [high, low] = (router as u16).to_be_bytes();
        self.system.unwrap_or([0x02, tag, high, low, 0xff, 0])
    }

    /// Actor_Key of the connection with this number.
    pub fn key_of(&self, connection: usize) -> u16 {
        self.key.unwrap_or(connection as u16 + 1)
    }
}

impl Topology {
    /// Actor_System and Actor_Key of the LAG at the peer's router that a connection should lead to. A bond of the kernel's has the
    /// key in the upper 10 bits of its own.
    pub fn peer_lag(&self, connection: &Connection) -> ([u8; 6], u16) {
        let router = self
            .routers
            .iter()
            .position(|r| r.name == connection.router);
        let number = self
            .connections
            .iter()
            .position(|c| c.name == connection.name);
        let lacp = &connection.lacp.peer;
        let system = lacp.system_of(PEER_TAG, router.unwrap_or(0));
        (system, lacp.key_of(number.unwrap_or(0)))
    }

    /// The same of the LAG at Microsoft's edge.
    pub fn edge_lag(&self, connection: &Connection) -> ([u8; 6], u16) {
        let mut edges: Vec<&str> = Vec::new();
        for c in &self.connections {
            if !edges.contains(&c.edge.as_str()) {
                edges.push(&c.edge);
            }
        }
        let edge = edges.iter().position(|edge| *edge == connection.edge);
        let number = self
            .connections
            .iter()
            .position(|c| c.name == connection.name);
        let lacp = &connection.lacp.microsoft;
        let system = lacp.system_of(EDGE_TAG, edge.unwrap_or(0));
        (system, lacp.key_of(number.unwrap_or(0)))
    }
}

/// LACP of both ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LacpEnds {
    /// At the Microsoft edge.
    pub microsoft: LacpEnd,
    /// At the peer's router.
    pub peer: LacpEnd,
}

/// What a bond of the kernel's spreads flows by (`xmit_hash_policy`, Documentation/networking/bonding.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
pub enum HashPolicy {
    /// Hardware addresses: all packets between two routers take one member.
    #[serde(rename = "layer2")]
    Layer2,
    /// Hardware and IP addresses.
    #[serde(rename = "layer2+3")]
    Layer23,
    /// IP addresses and ports, as our own LAG does.
    #[default]
    #[serde(rename = "layer3+4")]
    Layer34,
    /// As `layer2+3`, of what is inside a tunnel.
    #[serde(rename = "encap2+3")]
    Encap23,
    /// As `layer3+4`, of what is inside a tunnel.
    #[serde(rename = "encap3+4")]
    Encap34,
    /// VLAN and source hardware address.
    #[serde(rename = "vlan+srcmac")]
    VlanSrcMac,
}

/// LACP of a connection's ends, where they are not as `[microsoft.lacp]` has it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLacpEnds {
    /// At the Microsoft edge.
    pub microsoft: Option<RawLacpEnd>,
    /// At the peer's router.
    pub peer: Option<RawLacpEnd>,
}

/// LACP of one end of a connection.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawLacpEnd {
    /// How often the partner is asked to send.
    pub rate: Option<Located<RawLacpRate>>,
    /// Whether this end sends without being asked. One of both must.
    pub mode: Option<Located<RawLacpMode>>,
    /// Members that must distribute for this end to be up.
    #[schemars(range(min = 1, max = 8))]
    pub min_links: Option<Located<u8>>,
    /// Actor_System, a MAC address; of an end that says none all connections of a router have the same one.
    pub system: Option<Located<String>>,
    /// Actor_System_Priority; 32768 if not given.
    #[schemars(range(min = 1))]
    pub system_priority: Option<Located<u16>>,
    /// Actor_Key. Of a bond of the kernel's at most 1023: it puts speed and duplex behind it.
    #[schemars(range(min = 1))]
    pub key: Option<Located<u16>>,
    /// What a bond of the kernel's spreads flows by; `layer3+4` if not given.
    pub hash_policy: Option<Located<HashPolicy>>,
    /// How often a bond of the kernel's looks at the light of its ports; 10 ms if not given, 1 ms to 10 s.
    pub miimon: Option<Located<RawDuration>>,
}

/// An end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Microsoft,
    Peer,
}

impl LacpSettings {
    /// The settings, where the file does not say otherwise.
    pub(super) fn with(self, raw: &RawLacp, mistakes: &mut Mistakes) -> LacpSettings {
        LacpSettings {
            fast: (raw.rate).map_or(self.fast, |rate| rate.value == RawLacpRate::Fast),
            active: (raw.mode).map_or(self.active, |mode| mode.value == RawLacpMode::Active),
            min_links: min_links(raw.min_links, mistakes).unwrap_or(self.min_links),
        }
    }
}

impl LacpEnds {
    /// Of a connection with so many members, where it does not do as all do.
    pub(super) fn of(
        raw: &RawConnection,
        settings: LacpSettings,
        (backends, members): (LagBackends, usize),
        mistakes: &mut Mistakes,
    ) -> LacpEnds {
        // A bond has no BFD on its members.
        let player = |backend| match backend {
            LagBackend::Auto if raw.micro_bfd.is_some() => LagBackend::Ours,
            backend => backend,
        };
        let default = |side| LacpEnd::of(settings, side);
        let mut ends = LacpEnds {
            microsoft: default(Side::Microsoft),
            peer: default(Side::Peer),
        };
        let Some(raw_ends) = raw.lacp.as_ref().map(|raw| &raw.value) else {
            return ends;
        };
        if let Some(raw) = &raw_ends.microsoft {
            let backend = player(backends.microsoft);
            ends.microsoft = (ends.microsoft).with(raw, (backend, members), mistakes);
        }
        if let Some(raw) = &raw_ends.peer {
            let backend = player(backends.peer);
            ends.peer = ends.peer.with(raw, (backend, members), mistakes);
        }
        let (microsoft, peer) = (raw_ends.microsoft.as_ref(), raw_ends.peer.as_ref());
        if let Some(mode) = peer.and_then(|peer| peer.mode)
            && !ends.microsoft.active
            && !ends.peer.active
        {
            let message = "both ends of the connection are passive";
            let diagnostic = mistakes.error(mode.span, message, "neither would speak first");
            mistakes.push(diagnostic.help("let one of them be `active`"));
        }
        let system = |end: Option<&RawLacpEnd>| end.and_then(|end| end.system.clone());
        if let (Some(one), Some(other)) = (system(microsoft), system(peer))
            && ends.microsoft.system == ends.peer.system
            && ends.peer.system.is_some()
        {
            let message = "both ends of the connection are the same system";
            let diagnostic = mistakes.error(other.span, message, "as if a cable came back");
            let source = std::sync::Arc::clone(mistakes.source());
            mistakes.push(diagnostic.at(&source, one.span, "the other end"));
        }
        ends
    }
}

impl LacpEnd {
    fn with(
        self,
        raw: &RawLacpEnd,
        (backend, members): (LagBackend, usize),
        mistakes: &mut Mistakes,
    ) -> LacpEnd {
        if let Some(given) = raw.min_links
            && (members + 1..=8).contains(&usize::from(given.value))
        {
            let message = format!("min-links is {}, but there are {members}", given.value);
            let label = "this LAG would never come up";
            mistakes.push(mistakes.error(given.span, message, label));
        }
        raw.of_a_bond(backend, mistakes);
        LacpEnd {
            fast: (raw.rate).map_or(self.fast, |rate| rate.value == RawLacpRate::Fast),
            active: (raw.mode).map_or(self.active, |mode| mode.value == RawLacpMode::Active),
            min_links: min_links(raw.min_links, mistakes).unwrap_or(self.min_links),
            system: (raw.system.as_ref()).and_then(|text| system(text, mistakes)),
            system_priority: not_zero(raw.system_priority, "system-priority", mistakes)
                .unwrap_or(self.system_priority),
            key: not_zero(raw.key, "key", mistakes),
            hash_policy: raw.hash_policy.map_or(self.hash_policy, |it| it.value),
            miimon: (raw.miimon)
                .and_then(|it| miimon(it, mistakes))
                .unwrap_or(self.miimon),
        }
    }
}

impl RawLacpEnd {
    /// What only a bond of the kernel's has needs one, and what it cannot have is refused.
    fn of_a_bond(&self, backend: LagBackend, mistakes: &mut Mistakes) {
        if backend == LagBackend::Ours {
            let spans = [
                ("hash-policy", self.hash_policy.map(|it| it.span)),
                ("miimon", self.miimon.map(|it| it.span)),
            ];
            for (key, span) in spans {
                if let Some(span) = span {
                    let message = format!("`{key}` is a setting of the kernel's bond");
                    let diagnostic = mistakes.error(span, message, "this end is ours");
                    let note = "our own LAG spreads flows by addresses and ports, and hears of light at once";
                    let help = "leave it out, or give this end of `backend` as `kernel` or `auto`, without `micro-bfd`";
                    mistakes.push(diagnostic.note(note).help(help));
                }
            }
        } else if let Some(key) = self.key.filter(|key| key.value > LARGEST_KEY_OF_A_BOND) {
            let message = format!("{} is not possible as a bond's key", key.value);
            let label = format!("1 to {LARGEST_KEY_OF_A_BOND}");
            let diagnostic = mistakes.error(key.span, message, label);
            mistakes.push(diagnostic.note("the kernel puts speed and duplex into its other bits"));
        }
    }
}

fn min_links(given: Option<Located<u8>>, mistakes: &mut Mistakes) -> Option<u8> {
    let given = given?;
    if !(1..=8).contains(&given.value) {
        let message = format!("min-links of {} is not possible", given.value);
        mistakes.push(mistakes.error(given.span, message, "1 to 8"));
    }
    Some(given.value)
}

fn not_zero(given: Option<Located<u16>>, what: &str, mistakes: &mut Mistakes) -> Option<u16> {
    let given = given?;
    if given.value == 0 {
        let message = format!("a {what} of 0 is not possible");
        mistakes.push(mistakes.error(given.span, message, "1 to 65535"));
    }
    Some(given.value)
}

fn miimon(given: Located<RawDuration>, mistakes: &mut Mistakes) -> Option<Duration> {
    let value = given.value.0;
    let range = Duration::from_millis(1)..=Duration::from_secs(10);
    let right = range.contains(&value) && value.subsec_nanos().is_multiple_of(1_000_000);
    if !right {
        let message = format!("a miimon of {} is not possible", in_words(value));
        mistakes.push(mistakes.error(given.span, message, "whole milliseconds, 1 ms to 10 s"));
    }
    right.then_some(value)
}

/// A MAC address that may be a system's: six bytes, not a group's, not zero (IEEE 802.1AX, 6.3.2).
pub(crate) fn system(text: &Located<String>, mistakes: &mut Mistakes) -> Option<[u8; 6]> {
    let digits = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes = text.value.split(':').filter(digits);
    let bytes: Option<Vec<u8>> = bytes
        .map(|part| u8::from_str_radix(part, 16).ok())
        .collect();
    let mac = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
    let mac = mac.filter(|mac| text.value.len() == 17 && *mac != [0; 6] && mac[0] & 1 == 0);
    if mac.is_none() {
        let message = format!("`{}` is no system", text.value);
        let label = "a MAC address of one station, such as \"02:00:00:00:00:99\"";
        mistakes.push(mistakes.error(text.span, message, label));
    }
    mac
}
