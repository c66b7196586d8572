//! BFD sessions, and LAGs with their members.

use std::io::{self, Write};

use super::{Facts, changes, time, tone, up};
use crate::cli::show::Page;
use crate::cli::show::table::{BOLD, Table, Tone, number, text, toned};
use crate::view::{Bfd, BfdTimers as Timers, Frames, Lag};

/// A line for each BFD session, or one in full.
pub fn bfd(page: &mut Page, view: &[Bfd]) -> io::Result<()> {
    if let (true, [session]) = (page.one, view) {
        return whole_bfd(page, session);
    }
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
        let discarded = session.discarded + session.foreign;
        let discarded_for = session.last_discarded.as_ref();
        let discarded_for = discarded_for.map(|why| format!("last discarded: {why}"));
        let diagnostic = session.diagnostic.clone();
        let notes: Vec<String> = diagnostic.into_iter().chain(discarded_for).collect();
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
            toned(notes.join("; "), Tone::Dim),
        ]);
    }
    page.table(&table)
}

fn millis(seconds: f64) -> String {
    format!("{} ms", (seconds * 1e3).round())
}

/// All about one BFD session.
fn whole_bfd(page: &mut Page, view: &Bfd) -> io::Result<()> {
    let mut facts = Facts::new(&format!("{} {}", view.router, view.session));
    let since = view.since.map(|since| format!(" for {}", time(since)));
    let why = view.diagnostic.as_ref().map(|why| format!(", {why}"));
    let state = format!(
        "{}{}{}",
        view.state,
        since.unwrap_or_default(),
        why.unwrap_or_default()
    );
    facts.toned("state", state, tone(&view.state));
    facts.add(
        "local",
        format!("{}, discriminator {}", view.local, view.discriminator),
    );
    let wants = |of: &Timers| {
        format!(
            "sends every {}, receives every {}, multiplier {}",
            millis(of.desired_min_tx),
            millis(of.required_min_rx),
            of.detect_multiplier
        )
    };
    facts.add("wants", wants(&view.wants));
    match &view.heard {
        None => facts.toned(
            "remote",
            format!("{}, not heard of", view.remote),
            Tone::Uneasy,
        ),
        Some(heard) => {
            let why = heard.diagnostic.as_ref().map(|why| format!(" ({why})"));
            facts.add(
                "remote",
                format!(
                    "{}, discriminator {}, {}{}",
                    view.remote,
                    heard.discriminator,
                    heard.state,
                    why.unwrap_or_default()
                ),
            );
            let apart = match heard.control_plane_independent {
                true => ", lives apart from its control plane",
                false => "",
            };
            let authentication = heard.authentication.as_ref();
            let authentication = authentication.map(|kind| format!(", authenticates by {kind}"));
            let echo = heard
                .echo
                .map(|echo| format!(", returns Echo every {}", millis(echo)));
            let demand = heard.demand.then(|| ", asks for Demand mode".to_owned());
            let more = authentication.into_iter().chain(echo).chain(demand);
            let more = more.collect::<String>();
            facts.add("it wants", format!("{}{apart}{more}", wants(&heard.timers)));
        }
    }
    if let Some(rhythm) = &view.rhythm {
        let outside = rhythm.early + rhythm.late;
        facts.add(
            "it sends",
            format!(
                "every {} to {}, median {}, 99 of 100 within {}; {outside} of {} outside of its jitter",
                millis(rhythm.shortest),
                millis(rhythm.longest),
                millis(rhythm.median),
                millis(rhythm.p99),
                rhythm.intervals
            ),
        );
    }
    if view.misbehaves {
        facts.toned(
            "our end",
            "misbehaves, as it was told".to_owned(),
            Tone::Uneasy,
        );
    }
    let detects = view.detection_time.map(millis);
    facts.add(
        "in use",
        format!(
            "sends every {}, detects in {}",
            millis(view.transmit_interval),
            detects.as_deref().unwrap_or("nothing yet")
        ),
    );
    facts.add(
        "packets",
        format!(
            "{} sent, {} received, {} discarded, {} from others, {} not taken by the kernel",
            view.sent, view.received, view.discarded, view.foreign, view.unsent
        ),
    );
    if let Some(why) = &view.last_discarded {
        facts.toned("last discarded", why.clone(), Tone::Uneasy);
    }
    facts.write(page)?;
    if view.changes.is_empty() {
        return Ok(());
    }
    writeln!(page.text)?;
    page.table(&changes("state", &view.changes))
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
        let unsent = match lag.unsent {
            0 => String::new(),
            unsent => format!(", {unsent} frames the kernel did not take"),
        };
        writeln!(
            page.text,
            "{BOLD}{} {}{BOLD:#} {style}{state}{style:#}{}{unsent}{}",
            lag.router,
            lag.connection,
            since.unwrap_or_default(),
            if lag.kernel {
                ", the kernel's bond"
            } else {
                ""
            }
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
            let gated = member.micro_bfd.as_ref();
            let gated = gated.map(|state| format!(", BFD {state}"));
            table.row([
                text(format!("  {}", member.member)),
                toned(light.0, light.1),
                text(&member.receive),
                toned(format!("{}{}", member.mux, gated.unwrap_or_default()), mux),
                frames(|f| f.lacpdus_sent),
                frames(|f| f.lacpdus_received),
                frames(|f| f.illegal),
                text(&member.selected),
            ]);
        }
        page.table(&table)?;
        let mut carried = Table::new([
            "  member",
            "frames out",
            "data",
            "octets",
            "frames in",
            "data",
            "early",
            "octets",
        ]);
        for (member, counted) in (lag.members.iter()).filter_map(|m| Some((m, m.carried.as_ref()?)))
        {
            let told = |count: Option<u64>| number(count.map_or("?".to_owned(), |n| n.to_string()));
            carried.row([
                text(format!("  {}", member.member)),
                told(Some(counted.sent)),
                told(counted.data_sent),
                told(Some(counted.octets_sent)),
                told(Some(counted.received)),
                told(counted.data_received),
                told(Some(member.early_data)),
                told(Some(counted.octets_received)),
            ]);
        }
        page.table(&carried)?;
        let mut ends = Table::new(["  member", "end", "system, key, port", "every", "says"]);
        for member in &lag.members {
            for (end, port) in [("actor", &member.actor), ("partner", &member.partner)] {
                let every = member.rhythm.as_ref().filter(|_| end == "partner");
                let every = every.map_or_else(String::new, |rhythm| {
                    let (shortest, longest) = (rhythm.shortest, rhythm.longest);
                    format!("{:.2} s ({shortest:.2} to {longest:.2})", rhythm.median)
                });
                let heard = port.as_ref().map_or("nothing was heard", |port| &port.port);
                ends.row([
                    text(format!("  {}", member.member)),
                    text(end),
                    text(heard),
                    text(every),
                    toned(port.as_ref().map_or("", |port| &port.state), Tone::Dim),
                ]);
            }
        }
        page.table(&ends)?;
    }
    Ok(())
}
