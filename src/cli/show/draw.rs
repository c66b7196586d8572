//! Views as people read them.

mod line;
mod routes;

use std::io::{self, Write};

pub use self::line::{bfd, lacp};
pub use self::routes::{RoutesOf, route, routes};
use super::Page;
use super::table::{BOLD, Cell, Table, Tone, number, text, toned};
use crate::judge::words;
use crate::view::{
    Attributes, Change, MaximumPrefixes, Overview, Policies, Session, SessionDetail,
};

/// Seconds as people write them.
fn time(seconds: f64) -> String {
    words::duration(std::time::Duration::from_secs_f64(seconds.max(0.0)))
}

/// The colour of a state of RFC 4271, or of RFC 5880.
fn tone(state: &str) -> Tone {
    match state {
        "Established" | "up" => Tone::Good,
        "Idle" | "down" | "admin-down" => Tone::Bad,
        _ => Tone::Uneasy,
    }
}

fn up(up: bool) -> (&'static str, Tone) {
    if up {
        ("up", Tone::Good)
    } else {
        ("down", Tone::Bad)
    }
}

/// A lab at a glance: its connections, its routers, and what failed.
pub fn overview(page: &mut Page, view: &Overview) -> io::Result<()> {
    let mut connections =
        Table::new(["connection", "edge", "peer", "LAG", "members", "BFD", "BGP"]);
    for line in &view.connections {
        let (lag, lag_tone) = up(line.lag_up);
        let bfd = states(&line.bfd, "up");
        let bgp = states(&line.sessions, "Established");
        let distributing = format!("{}/{}", line.distributing, line.members);
        let members = match line.distributing == line.members {
            true => Tone::Plain,
            false => Tone::Uneasy,
        };
        connections.row([
            text(&line.connection),
            text(&line.edge),
            text(&line.peer),
            toned(lag, lag_tone),
            toned(distributing, members),
            bfd,
            bgp,
        ]);
    }
    let mut routers = Table::new(["router", "played by", "AS", "sessions", "routes"]);
    for line in &view.routers {
        let sessions = format!("{}/{}", line.established, line.sessions);
        let ours = line.played_by == "peerlab";
        let tone = match line.established == line.sessions {
            true => Tone::Good,
            false => Tone::Uneasy,
        };
        routers.row([
            text(&line.router),
            text(&line.played_by),
            number(line.asn.map(|asn| asn.to_string()).unwrap_or_default()),
            if ours {
                toned(sessions, tone)
            } else {
                text("")
            },
            if ours {
                number(line.routes)
            } else {
                number("")
            },
        ]);
    }
    let name = &view.lab;
    writeln!(
        page.text,
        "{BOLD}{name}{BOLD:#} up for {}\n",
        time(view.up_for)
    )?;
    page.table(&connections)?;
    writeln!(page.text)?;
    page.table(&routers)?;
    if !view.failures.is_empty() {
        writeln!(page.text)?;
        page.table(&changes("failures", &view.failures))?;
    }
    Ok(())
}

/// The states there are, in the colour of one that is not as it should be, if there is one.
fn states(sessions: &[(String, String)], good: &str) -> Cell {
    let mut states: Vec<&str> = sessions.iter().map(|(_, state)| state.as_str()).collect();
    states.sort_unstable();
    states.dedup();
    let worst = states
        .iter()
        .find(|state| **state != good)
        .or(states.first());
    match worst {
        Some(worst) => toned(states.join(", "), tone(worst)),
        None => toned("none", Tone::Dim),
    }
}

/// A line for each BGP session.
pub fn sessions(page: &mut Page, view: &[Session]) -> io::Result<()> {
    let mut table = Table::new([
        "router",
        "session",
        "neighbour",
        "AS",
        "state",
        "for",
        "in",
        "accepted",
        "refused",
        "out",
        "why, or what happened",
    ]);
    for session in view {
        let refused = match session.refused {
            0 => Tone::Plain,
            _ => Tone::Uneasy,
        };
        table.row([
            text(&session.router),
            text(&session.session),
            text(session.neighbour.to_string()),
            number(session.neighbour_asn),
            toned(&session.state, tone(&session.state)),
            number(session.since.map(time).unwrap_or_default()),
            number(session.received),
            number(session.accepted),
            number(session.refused).toned(refused),
            number(session.advertised),
            toned(note(session), Tone::Dim),
        ]);
    }
    page.table(&table)
}

/// Why a session is not up; of one that is, whether it was lost before and has what it should have.
fn note(session: &Session) -> String {
    let mut notes = Vec::new();
    if session.state != "Established" {
        notes.extend(session.why.clone());
    }
    if session.stale > 0 {
        notes.push(format!("{} stale", session.stale));
    }
    if let Some(Change { ago, why, .. }) = &session.last_lost {
        let times = match session.lost {
            1 => "lost".to_owned(),
            times => format!("lost {times} times, last"),
        };
        notes.push(format!("{times} {} ago: {why}", time(*ago)));
    }
    notes.join("; ")
}

/// All about one BGP session.
pub fn session(page: &mut Page, view: &SessionDetail) -> io::Result<()> {
    let line = &view.session;
    let kind = match line.neighbour_asn == view.local_asn {
        true => "iBGP",
        false => "eBGP",
    };
    let id = view.neighbour_id.map(|id| format!(", identifier {id}"));
    let since = line.since.map(|since| format!(" for {}", time(since)));
    let why = line.why.as_ref().map(|why| format!(", {why}"));
    let hold = match view.timers.hold {
        None => format!("{} proposed", time(view.timers.hold_proposed)),
        Some(0.0) => "off".to_owned(),
        Some(hold) => format!(
            "{} ({} proposed)",
            time(hold),
            time(view.timers.hold_proposed)
        ),
    };
    let title = format!("{} {}", line.router, line.session);
    let mut facts = Facts::new(&title);
    let state = format!(
        "{}{}{}",
        line.state,
        since.unwrap_or_default(),
        why.unwrap_or_default()
    );
    facts.toned("state", state, tone(&line.state));
    if view.doing != "runs" {
        facts.toned("now", view.doing.clone(), Tone::Uneasy);
    }
    facts.add(
        "neighbour",
        format!(
            "{} AS{}, {kind}{}",
            line.neighbour,
            line.neighbour_asn,
            id.unwrap_or_default()
        ),
    );
    let passive = if view.passive { ", passive" } else { "" };
    let opened = view.opened_by.as_ref();
    let opened = opened.map(|by| format!(", connection opened by {by}"));
    facts.add(
        "local",
        format!(
            "{} AS{}, identifier {}, on {}{passive}{}",
            view.local,
            view.local_asn,
            view.local_id,
            view.interface,
            opened.unwrap_or_default()
        ),
    );
    facts.add(
        "timers",
        format!(
            "hold {hold}, keepalive {}, connect retry {}, route advertisement {}",
            off(view.timers.keepalive),
            time(view.timers.connect_retry),
            off(view.timers.advertisement)
        ),
    );
    facts.add(
        "patience",
        format!(
            "open hold {}, send hold {}, idle hold {}, delay open {}",
            time(view.timers.open_hold),
            off(view.timers.send_hold),
            time(view.timers.idle_hold),
            off(view.timers.delay_open)
        ),
    );
    facts.list("demands", &view.demands);
    let running = view.running.iter();
    let running = running.map(|(name, left)| format!("{name} in {}", time(*left)));
    facts.list("guarded by", &view.guards);
    facts.list("running", &running.collect::<Vec<_>>());
    facts.add("BFD", view.bfd.clone());
    let stale = match line.stale {
        0 => String::new(),
        stale => format!(" ({stale} of all stale)"),
    };
    let more = if view.advertising {
        ", more to come"
    } else {
        ""
    };
    facts.add(
        "routes",
        format!(
            "{} received, {} accepted, {} refused{stale}, {} advertised{more}",
            line.received, line.accepted, line.refused, line.advertised
        ),
    );
    if let Some(maximum) = &view.maximum_prefixes {
        let (text, tone) = limit(maximum);
        facts.toned("at most", text, tone);
    }
    if let Some(left) = view.drained_in {
        let text = format!("graceful shutdown, stopped in {}", time(left));
        facts.toned("drains", text, Tone::Uneasy);
    }
    for (name, of) in [
        ("sent", view.counters.sent),
        ("received", view.counters.received),
    ] {
        facts.add(
            name,
            format!(
                "{} OPEN, {} KEEPALIVE, {} UPDATE, {} NOTIFICATION, {} ROUTE-REFRESH",
                of.open, of.keepalive, of.update, of.notification, of.route_refresh
            ),
        );
    }
    facts.add(
        "so far",
        format!(
            "times established: {}, lost: {}; connections tried: {}, accepted: {}, refused: {}",
            view.counters.established,
            view.counters.lost,
            view.counters.attempts,
            view.counters.accepted,
            view.counters.refused
        ),
    );
    if view.counters.connect_retry > 0 {
        let text = format!("{} since the last start", view.counters.connect_retry);
        facts.toned("failures", text, Tone::Uneasy);
    }
    facts.list("announces", &view.our_capabilities);
    facts.list("neighbour", &view.neighbour_capabilities);
    facts.list("in use", &view.in_use);
    for (name, notification) in [
        ("last sent", &view.notification_sent),
        ("last received", &view.notification_received),
    ] {
        if let Some(Change { ago, why, .. }) = notification {
            facts.toned(name, format!("{why}, {} ago", time(*ago)), Tone::Uneasy);
        }
    }
    if let Some(Change { ago, why, .. }) = &view.last_malformed {
        let text = format!(
            "{}, the last {} ago: {why}",
            words::counted(view.malformed_updates, "UPDATE"),
            time(*ago)
        );
        facts.toned("malformed", text, Tone::Uneasy);
    }
    facts.write(page)?;
    if view.changes.is_empty() {
        return Ok(());
    }
    writeln!(page.text)?;
    page.table(&changes("state", &view.changes))
}

/// A route of the router's own has no next hop before a session gives it one.
fn next_hop(of: &Attributes) -> String {
    match of.next_hop.is_unspecified() {
        true => "self".to_owned(),
        false => of.next_hop.to_string(),
    }
}

/// A time that may be off.
fn off(seconds: f64) -> String {
    match seconds {
        0.0 => "off".to_owned(),
        seconds => time(seconds),
    }
}

/// How many routes a session may bring, and what became of that.
fn limit(maximum: &MaximumPrefixes) -> (String, Tone) {
    let after = match (maximum.warning_only, maximum.restart_after) {
        (true, _) => "with more it is only told".to_owned(),
        (false, Some(rest)) => format!("with more it rests for {}", time(rest)),
        (false, None) => "with more it is stopped".to_owned(),
    };
    let limit = format!(
        "{} routes, told from {} on, {after}",
        maximum.limit, maximum.warn_at
    );
    match (maximum.ended, maximum.warned) {
        (true, _) => (format!("{limit}: ended for it"), Tone::Bad),
        (false, true) => (format!("{limit}: told"), Tone::Uneasy),
        (false, false) => (limit, Tone::Plain),
    }
}

/// The last changes of something, the latest first.
fn changes(state: &'static str, changes: &[Change]) -> Table {
    let mut table = Table::new(["ago", state, "why"]);
    for change in changes.iter().rev() {
        table.row([
            number(time(change.ago)),
            toned(&change.state, tone(&change.state)),
            text(&change.why),
        ]);
    }
    table
}

/// The policies of a session.
pub fn policy(page: &mut Page, view: &Policies) -> io::Result<()> {
    for (name, lines) in [("import", &view.import), ("export", &view.export)] {
        writeln!(
            page.text,
            "{BOLD}{name}{BOLD:#} of {} {}",
            view.router, view.session
        )?;
        for line in lines {
            writeln!(page.text, "  {}", shortened(line))?;
        }
    }
    Ok(())
}

/// Prefixes of a set told before the rest is only counted.
const PREFIXES: usize = 8;

/// A rule with the beginnings of its sets of prefixes; JSON has them whole.
fn shortened(line: &str) -> String {
    const BEGIN: &str = "prefix in { ";
    let mut pieces = line.split(BEGIN);
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        // An empty one is `{ }`.
        let whole = piece.split_once(" }").filter(|_| !piece.starts_with('}'));
        let Some((set, rest)) = whole else {
            text = format!("{text}{BEGIN}{piece}");
            continue;
        };
        let prefixes: Vec<&str> = set.split(", ").collect();
        let shown = prefixes.len().min(PREFIXES);
        text = format!("{text}{BEGIN}{}", prefixes[..shown].join(", "));
        if prefixes.len() > shown {
            text = format!("{text}, and {} more", prefixes.len() - shown);
        }
        text = format!("{text} }}{rest}");
    }
    text
}

/// A title, and below it names and values.
struct Facts {
    title: String,
    lines: Vec<(String, String, Tone)>,
}

impl Facts {
    fn new(title: &str) -> Facts {
        Facts {
            title: title.to_owned(),
            lines: Vec::new(),
        }
    }

    fn add(&mut self, name: &str, value: String) {
        self.toned(name, value, Tone::Plain);
    }

    fn toned(&mut self, name: &str, value: String, tone: Tone) {
        self.lines.push((name.to_owned(), value, tone));
    }

    /// Nothing, if there is none.
    fn list(&mut self, name: &str, values: &[String]) {
        if !values.is_empty() {
            self.add(name, values.join(", "));
        }
    }

    fn attributes(&mut self, of: &Attributes) {
        let path = match of.as_path.as_str() {
            "" => "empty: it begins in this AS",
            path => path,
        };
        self.add("AS path", path.to_owned());
        let link_local = of.link_local.map(|link_local| format!(", {link_local}"));
        self.add(
            "next hop",
            format!("{}{}", next_hop(of), link_local.unwrap_or_default()),
        );
        self.add("origin", of.origin.clone());
        for (name, value) in [
            ("local preference", of.local_pref.map(|n| n.to_string())),
            ("MED", of.med.map(|n| n.to_string())),
            ("aggregator", of.aggregator.clone()),
            (
                "atomic aggregate",
                of.atomic_aggregate.then(|| "yes".to_owned()),
            ),
            ("originator", of.originator_id.map(|id| id.to_string())),
            (
                "only to customer",
                of.only_to_customer.map(|asn| format!("AS{asn}")),
            ),
        ] {
            if let Some(value) = value {
                self.add(name, value);
            }
        }
        let clusters: Vec<String> = of.cluster_list.iter().map(ToString::to_string).collect();
        self.list("cluster list", &clusters);
        self.list("communities", &of.communities);
        self.list("not understood", &of.unknown);
    }

    fn write(&self, page: &mut Page) -> io::Result<()> {
        writeln!(page.text, "{BOLD}{}{BOLD:#}", self.title)?;
        let mut table = Table::bare();
        for (name, value, tone) in &self.lines {
            table.row([toned(format!("  {name}"), Tone::Dim), toned(value, *tone)]);
        }
        page.table(&table)
    }
}
