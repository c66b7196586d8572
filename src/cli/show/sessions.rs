//! BGP sessions as a table.

use super::ago;
use super::table::{Table, Tone, number, text, toned};
use crate::view::Session;

/// A line for each session.
pub fn table(sessions: &[Session]) -> Table {
    let mut table = Table::new([
        "router",
        "session",
        "neighbour",
        "AS",
        "state",
        "for",
        "in",
        "used",
        "refused",
        "out",
        "why",
    ]);
    for session in sessions {
        let tone = tone(&session.state);
        table.row([
            text(&session.router),
            text(&session.session),
            text(session.neighbour.to_string()),
            number(session.neighbour_asn),
            toned(&session.state, tone),
            number(session.since.map(ago).unwrap_or_default()),
            number(session.received),
            number(session.accepted),
            number(session.refused),
            number(session.advertised),
            toned(session.why.as_deref().unwrap_or_default(), Tone::Dim),
        ]);
    }
    table
}

/// The colour of a state of RFC 4271.
pub fn tone(state: &str) -> Tone {
    match state {
        "Established" => Tone::Good,
        "Idle" => Tone::Bad,
        _ => Tone::Uneasy,
    }
}
