//! What a step orders of LACP.

use std::fmt;
use std::time::Duration;

use crate::lacp::{Markers, Misbehaviour, Part, Refusal};
use crate::source::in_words;

/// What is ordered of LACP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LacpOrder {
    /// Ask the partner to send every second, or every 30 s.
    Fast(bool),
    /// Be active, or passive.
    Active(bool),
    /// Misbehave in this way and no other; with the default behave.
    Misbehave(Misbehaviour),
    /// Say what this member of another connection would say.
    MoveTo {
        /// The connection.
        connection: String,
        /// The member, counted from 1.
        member: u8,
    },
    /// Send a marker.
    SendMarker {
        /// From the peer's end to Microsoft's, not the other way.
        by_peer: bool,
    },
}

/// From where a member is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewpoint {
    /// The edge's end; its partner is the peer's.
    Edge,
    /// The edge's end, and the member is as the partner's LACPDUs say, not as the edge's end is.
    Partner,
    /// The peer's end; its partner is the edge's.
    Peer,
}

impl LacpOrder {
    /// Whether it is done to an end that the kernel's bond plays: markers are sent beside it, and what it sends is dropped.
    pub fn is_for_bonds(&self) -> bool {
        match self {
            LacpOrder::SendMarker { .. } => true,
            LacpOrder::Misbehave(how) => *how == Misbehaviour::silent(how.silent),
            LacpOrder::Fast(_) | LacpOrder::Active(_) | LacpOrder::MoveTo { .. } => false,
        }
    }
}

/// What the LACPDUs of a member's partner shall say; what is not given may be anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LacpSays {
    /// LACP_Activity: it speaks unasked.
    pub active: Option<bool>,
    /// LACP_Timeout: it asks us to send every second, and gives us up after 3 s.
    pub short_timeout: Option<bool>,
    /// Actor_System.
    pub system: Option<[u8; 6]>,
    /// Actor_Key.
    pub key: Option<u16>,
    /// Actor_Port.
    pub port: Option<u16>,
    /// It was in sync so soon after light, the last time.
    pub in_sync_within: Option<Duration>,
    /// It said that it distributes, or sent data, since the step began, while it had not heard that the edge's end collects. In the
    /// first step: since the lab began.
    pub distributes_early: Option<bool>,
}

/// In words, each with a comma before it, for example `, active, timeout short`.
impl fmt::Display for LacpSays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeout = |short| if short { "short" } else { "long" };
        let system = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
        let words = [
            (self.active).map(|active| (if active { "active" } else { "passive" }).to_owned()),
            self.short_timeout
                .map(|it| format!("timeout {}", timeout(it))),
            self.system.map(|mac| format!("system {}", system(mac))),
            self.key.map(|key| format!("key {key}")),
            self.port.map(|port| format!("port {port}")),
            (self.in_sync_within).map(|time| format!("in sync within {} of light", in_words(time))),
            (self.distributes_early).map(|early| match early {
                true => "distributes early".to_owned(),
                false => "does not distribute early".to_owned(),
            }),
        ];
        let mut words = words.into_iter().flatten();
        words.try_for_each(|word| write!(f, ", {word}"))
    }
}

/// The members of a LAG that are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LagPart {
    /// The connection.
    pub connection: String,
    /// One member, counted from 1, or all of them.
    pub member: Option<u8>,
}

impl fmt::Display for LagPart {
    /// As a file writes it: `ams-1` or `ams-1/1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.member {
            Some(member) => write!(f, "{}/{member}", self.connection),
            None => f.write_str(&self.connection),
        }
    }
}

impl fmt::Display for LacpOrder {
    /// In words, for example `sends nothing`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LacpOrder::Fast(true) => f.write_str("asks for a LACPDU every second"),
            LacpOrder::Fast(false) => f.write_str("asks for a LACPDU every 30 s"),
            LacpOrder::Active(true) => f.write_str("active"),
            LacpOrder::Active(false) => f.write_str("passive"),
            LacpOrder::Misbehave(how) => f.write_str(&misbehaviour(how)),
            LacpOrder::MoveTo { connection, member } => {
                write!(f, "cable moved to {connection}/{member}")
            }
            LacpOrder::SendMarker { by_peer: false } => f.write_str("sends a marker"),
            LacpOrder::SendMarker { by_peer: true } => f.write_str("the peer's end sends a marker"),
        }
    }
}

fn misbehaviour(how: &Misbehaviour) -> String {
    let identity = how.identity;
    let system = identity.system.map(|mac| {
        let bytes = mac.map(|byte| format!("{byte:02x}"));
        format!("says system {}", bytes.join(":"))
    });
    let changing = how.changing.map(|part| match part {
        Part::System => "another system in every LACPDU".to_owned(),
        Part::Key => "another key in every LACPDU".to_owned(),
        Part::Port => "another port in every LACPDU".to_owned(),
    });
    let refuses = how.refuses.map(|what| match what {
        Refusal::Synchronization => "never in sync".to_owned(),
        Refusal::Collecting => "does not collect".to_owned(),
        Refusal::Distributing => "does not distribute".to_owned(),
    });
    let markers = match how.markers {
        Markers::Answered => None,
        Markers::Late(late) => Some(format!("answers markers {} late", in_words(late))),
        Markers::Ignored => Some("answers no marker".to_owned()),
    };
    let said = |is: bool, words: String| is.then_some(words);
    let all: Vec<String> = [
        said(how.silent, "sends nothing".to_owned()),
        system,
        identity.key.map(|key| format!("says key {key}")),
        identity.port.map(|port| format!("says port {port}")),
        changing,
        refuses,
        said(how.other_partner, "names another partner".to_owned()),
        said(how.drops > 0, format!("drops {} % of LACPDUs", how.drops)),
        said(
            how.copies > 0,
            format!("sends each LACPDU {} times", u16::from(how.copies) + 1),
        ),
        said(
            !how.delay.is_zero(),
            format!("LACPDUs {} late", in_words(how.delay)),
        ),
        said(how.reorders, "reorders LACPDUs".to_owned()),
        markers,
    ]
    .into_iter()
    .flatten()
    .collect();
    match all.is_empty() {
        true => "behaves".to_owned(),
        false => all.join(", "),
    }
}
