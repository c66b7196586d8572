//! What a step orders of LACP.

use std::fmt;

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
    SendMarker,
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
            LacpOrder::SendMarker => f.write_str("sends a marker"),
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
