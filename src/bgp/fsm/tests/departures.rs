//! Where the table is not as RFC 4271, section 8.2.2, says: each departure with its reason, and the document that lists them.
//!
//! The list is exactly what differs: [`super::every_cell_is_as_the_rfc_says_or_different_on_purpose`].

use std::fmt::Write as _;
use std::path::Path;

use super::*;

/// Cells that differ for the same reason.
pub(super) struct Departure {
    pub why: &'static str,
    /// State, event as the statement of the RFC has it, and what we do.
    pub cells: &'static [(State, &'static str, &'static str)],
}

/// All of them.
pub(super) const DEPARTURES: &[Departure] = &[
    Departure {
        why: "Who waits for the neighbour's OPEN (DelayOpen) has a connection in Connect as in Active, and the RFC wants it told of a stop \
              in Active alone, and there only of one by hand. We tell it of every stop.",
        cells: &[
            (S::Connect, "2", "Idle given =0"),
            (S::Connect, "8", "Idle given +1"),
            (S::Active, "8", "Idle given +1"),
        ],
    },
    Departure {
        why: "An attempt to connect that failed is no failure of a session, so it does not end in Idle, where nothing would try again \
              but a start: we wait in Active for the next attempt, as the RFC does itself when the DelayOpenTimer runs.",
        cells: &[(S::Connect, "18", "Active")],
    },
    Departure {
        why: "A collision is resolved, not suffered: the session goes on over the other connection. Counting it as a failure would damp \
              the session that was just made.",
        cells: &[
            (S::Connect, "23", "Idle"),
            (S::Active, "23", "Idle"),
            (S::OpenSent, "23", "Idle 6/7"),
            (S::OpenConfirm, "23", "Idle 6/7"),
            (S::Established, "23", "Idle 6/7"),
        ],
    },
    Departure {
        why: "The RFC tracks a second connection beside the machine that has one. Here each direction has a machine of its own, so a second \
              connection of the other direction is the other machine's; one of the same direction says that the neighbour gave up \
              the first, and replaces it as long as that has said nothing.",
        cells: &[
            (S::OpenSent, "16", "OpenSent OPEN"),
            (S::OpenSent, "16d", "OpenSent OPEN"),
            (S::OpenSent, "17", "OpenSent OPEN"),
            (S::OpenSent, "17d", "OpenSent OPEN"),
        ],
    },
    Departure {
        why: "The neighbour closed the connection with its own NOTIFICATION, and there is nobody left to hear ours (section 6.4).",
        cells: &[(S::OpenSent, "25", "Idle +1")],
    },
    Departure {
        why: "The RFC looks for a collision when a machine that has an OPEN gets another. Here that is the OPEN of the other machine, \
              so a second one on the same connection is a message nobody expects; RFC 6608 has it as its example.",
        cells: &[
            (S::OpenConfirm, "19", "Idle 5/2 +1"),
            (S::Established, "19", "Idle 5/3 +1"),
        ],
    },
    Departure {
        why: "Section 6.1 wants every error of a message header told as one; section 8.2.2 forgets it in Established and has a state \
              machine error, which would not say what was wrong.",
        cells: &[(S::Established, "21", "Idle given +1")],
    },
];

/// What we do in a cell, if it is listed.
pub(super) fn of(state: State, event: &str) -> Option<&'static str> {
    let cells = DEPARTURES.iter().flat_map(|departure| departure.cells);
    let mut found = cells.filter(|(s, e, _)| *s == state && *e == event);
    let cell = found.next().map(|(_, _, ours)| *ours);
    assert!(found.next().is_none(), "{state} {event} is listed twice");
    cell
}

fn document() -> String {
    let stated = stated();
    let mut text = String::from(
        "# Departures from RFC 4271, section 8.2.2\n\n\
         The session machine is the table in `table.rs`. A test (`tests.rs`) has the RFC's text once more, by state and event number, and\n\
         compares every cell: what differs is listed here, and nothing else is\n\
         (`REFRESH=1 cargo test --lib fsm::tests::departures` prints this anew).\n\n\
         A cell has the next state and what is seen: `OPEN`, `KEEPALIVE`, a NOTIFICATION by its code and subcode (`given`: the one\n\
         the event brings), `=0` and `+1` for the ConnectRetryCounter. Events 16d and 17d are 16 and 17 where DelayOpen is set.\n",
    );
    for (number, departure) in (1..).zip(DEPARTURES) {
        let _ = writeln!(
            text,
            "\n{number}. {}\n\n   | state | event | RFC 4271 | here |\n   |---|---|---|---|",
            departure.why
        );
        for (state, event, ours) in departure.cells {
            let theirs = &stated[&(state.to_string(), (*event).to_owned())];
            let _ = writeln!(text, "   | {state} | {event} | {theirs} | {ours} |");
        }
    }
    text += "\n## What the RFC leaves open, and what we do\n\n\
        - Events 6, 7 and 13 in Idle: where DampPeerOscillations is on, as it is unless a session says otherwise, a rest grows with each\n  \
          failure.\n\
        - Event 24 in Connect and Active, and 18 in Connect, depend on the DelayOpenTimer. A NOTIFICATION needs a connection, and\n  \
          there is one only while that runs: 24 is as when it does.\n\
        - SendNOTIFICATIONwithoutOPEN is always on. CollisionDetectEstablishedState is off unless a session says otherwise (section 6.8).\n\
        - The subcodes of a state machine error are those of RFC 6608, 0 where no message was unexpected. Event 29 is RFC 9687's.\n\
        - KEEPALIVE and UPDATE alone restart the hold timer (sections 4.2 and 6.5), in whatever way a ROUTE-REFRESH is answered:\n  \
          RFC 2918 says nothing of it, and FRR and BIRD do the same.\n\
        - Who connects in Idle is refused with Cease / Connection Rejected (RFC 4486) where the session is shut down, or was ended for\n  \
          what it brought. While it rests after a failure, or waits for link or BFD, the connection is closed without a word: it\n  \
          will be heard in a moment, and of two ends that rest longer for each rejection none would ever find the other awake. All of\n  \
          them are facts of the record (`connection-refused`).\n\n\
        ## Events and guards of our own\n\n\
        They add to the RFC's events, and no cell of the RFC's depends on them. What each is for stands in `fsm.rs`.\n\n| event |";
    for state in State::ALL {
        let _ = write!(text, " {state} |");
    }
    let _ = write!(text, "\n|---|{}", "---|".repeat(State::ALL.len()));
    for row in OURS.trim().lines() {
        let (event, cells) = row.split_once(": ").expect("an event and its cells");
        let _ = write!(text, "\n| {event} | {} |", cells.replace(", ", " | "));
    }
    text + "\n"
}

#[test]
fn the_documentation_has_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bgp/fsm/departures.md");
    if std::env::var_os("REFRESH").is_some() {
        std::fs::write(&path, document()).expect("writable");
    }
    let written = std::fs::read_to_string(&path).expect("src/bgp/fsm/departures.md");
    assert_eq!(written, document(), "REFRESH=1 writes it anew");
}

/// The remarks in the table point out the same departures, one for each reason.
#[test]
fn the_table_remarks_each() {
    let table = include_str!("../table.rs");
    let remarks = table.lines().filter(|line| line.contains("Differs"));
    // One in the header says what the word means.
    assert_eq!(remarks.count(), DEPARTURES.len() + 1);
}
