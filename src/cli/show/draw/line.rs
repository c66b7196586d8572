//! BFD sessions, and LAGs with their members.

use std::io::{self, Write};

use super::{time, tone, up};
use crate::cli::show::Page;
use crate::cli::show::table::{BOLD, Table, Tone, number, text, toned};
use crate::view::{Bfd, Frames, Lag};

/// A line for each BFD session.
pub fn bfd(page: &mut Page, view: &[Bfd]) -> io::Result<()> {
    let mut table = Table::new([
        "router",
        "session",
        "remote",
        "state",
        "for",
        "sends every",
        "detects in",
        "sent",
        "received",
        "discarded",
        "diagnostic",
    ]);
    for session in view {
        let millis = |seconds: f64| format!("{} ms", (seconds * 1e3).round());
        let discarded = session.discarded + session.foreign;
        let mut diagnostic = session.diagnostic.clone();
        if let Some(why) = &session.last_discarded {
            diagnostic = format!("{diagnostic}; last discarded: {why}");
        }
        table.row([
            text(&session.router),
            text(&session.session),
            text(session.remote.to_string()),
            toned(&session.state, tone(&session.state)),
            number(session.since.map(time).unwrap_or_default()),
            number(millis(session.transmit_interval)),
            number(session.detection_time.map(millis).unwrap_or_default()),
            number(session.sent),
            number(session.received),
            number(discarded),
            toned(diagnostic, Tone::Dim),
        ]);
    }
    page.table(&table)
}

/// Each end of each LAG with its members.
pub fn lacp(page: &mut Page, view: &[Lag]) -> io::Result<()> {
    for (n, lag) in view.iter().enumerate() {
        if n > 0 {
            writeln!(page.text)?;
        }
        let (state, tone) = up(lag.up);
        let style = tone.style();
        let since = lag.since.map(|since| format!(" for {}", time(since)));
        writeln!(
            page.text,
            "{BOLD}{} {}{BOLD:#} {style}{state}{style:#}{}",
            lag.router,
            lag.connection,
            since.unwrap_or_default()
        )?;
        let mut table = Table::new([
            "  member",
            "light",
            "receive",
            "mux",
            "LACPDUs out",
            "in",
            "illegal",
            "selected",
        ]);
        for member in &lag.members {
            let light = if member.light {
                ("yes", Tone::Good)
            } else {
                ("no", Tone::Bad)
            };
            let frames = |of: fn(&Frames) -> u64| {
                number(
                    member
                        .frames
                        .as_ref()
                        .map(of)
                        .map(|n| n.to_string())
                        .unwrap_or_default(),
                )
            };
            let mux = match member.distributing {
                true => Tone::Good,
                false => Tone::Uneasy,
            };
            table.row([
                text(format!("  {}", member.member)),
                toned(light.0, light.1),
                text(&member.receive),
                toned(&member.mux, mux),
                frames(|f| f.lacpdus_sent),
                frames(|f| f.lacpdus_received),
                frames(|f| f.illegal),
                text(&member.selected),
            ]);
        }
        page.table(&table)?;
        let mut ends = Table::new(["  member", "end", "system, key, port", "says"]);
        for member in &lag.members {
            for (end, port) in [("actor", &member.actor), ("partner", &member.partner)] {
                let heard = port.as_ref().map_or("nothing was heard", |port| &port.port);
                ends.row([
                    text(format!("  {}", member.member)),
                    text(end),
                    text(heard),
                    toned(port.as_ref().map_or("", |port| &port.state), Tone::Dim),
                ]);
            }
        }
        page.table(&ends)?;
    }
    Ok(())
}
