//! Durations, names and expectations in words, the same in every report.

mod fact;
mod request;

use std::time::Duration;

pub use crate::topology::bfd_name;
pub use fact::fact;

use crate::scenario::{
    Act, Announcement, Expect, Expectation, FaultKind, PrefixExpected, PrefixObject, Restart,
    RouteDirection, SessionOrder, Speaker, Standing, Step, Target, Viewpoint, bfd_order,
};

/// A duration as people say it: three digits at most, and the unit.
///
/// `0 ms`, `0.42 ms`, `463 ms`, `1.24 s`, `32 s`, `3 min 20 s`.
pub fn duration(duration: Duration) -> String {
    let micros = duration.as_nanos().div_ceil(1_000);
    let seconds = duration.as_secs();
    match micros {
        0 => "0 ms".to_owned(),
        1..=9_999 => trimmed(micros as f64 / 1e3, 2, "ms"),
        10_000..=99_999 => trimmed(micros as f64 / 1e3, 1, "ms"),
        100_000..=999_499 => trimmed(micros as f64 / 1e3, 0, "ms"),
        _ if seconds < 10 => trimmed(micros as f64 / 1e6, 2, "s"),
        _ if seconds < 100 => trimmed(micros as f64 / 1e6, 1, "s"),
        _ if seconds < 120 => format!("{seconds} s"),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// `a`, `a and b`, `a, b and c`; `nothing` for none.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// `1 packet`, `2 packets`.
pub fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// What an expectation asks, for example `session ams-1 down within 500 ms`.
pub fn expectation(expectation: &Expectation) -> String {
    let mut words = expect(&expectation.what);
    match expectation.what {
        Expect::Traffic { .. } => {}
        Expect::Quiet => words.push_str(&format!(" for {}", duration(expectation.stays))),
        _ => {
            words.push_str(&format!(" within {}", duration(expectation.within)));
            if !expectation.stays.is_zero() {
                words.push_str(&format!(", for {}", duration(expectation.stays)));
            }
        }
    }
    words
}

/// What a step does, for example `fail ams-1 (silent)`.
pub fn step(step: &Step) -> String {
    match &step.act {
        Act::Settle { within, .. } => format!("settle within {}", duration(*within)),
        Act::Send {
            from,
            to,
            both_ways,
            member,
            ..
        } => {
            let arrow = if *both_ways { "<->" } else { "->" };
            let over = member
                .as_ref()
                .map(|(connection, member)| format!(" over {connection}/{member}"));
            format!("send {from} {arrow} {to}{}", over.unwrap_or_default())
        }
        Act::Augment {
            connection,
            members,
        } => {
            let member = |n: &u8| format!("{connection}/{n}");
            format!(
                "augment {connection} by {}",
                list(&members.iter().map(member).collect::<Vec<_>>())
            )
        }
        Act::Reduce { connection, member } => {
            format!("reduce {connection} by {connection}/{member}")
        }
        Act::Stop => "stop".to_owned(),
        Act::Fail(fault) => format!("fail {} ({})", target(&fault.target), how(fault.how)),
        Act::Impair(impaired) => format!("impair {impaired}"),
        Act::Repair(repaired) => format!("repair {}", target(repaired)),
        Act::Restart(Restart {
            router,
            graceful,
            takes,
        }) => {
            let gracefully = if *graceful { " gracefully" } else { "" };
            match takes.is_zero() {
                true => format!("restart {router}{gracefully}"),
                false => format!("restart {router}{gracefully} in {}", duration(*takes)),
            }
        }
        Act::Announce(Announcement {
            by,
            prefix,
            from,
            malformed,
            ..
        }) => {
            let malformed = malformed.map(|what| format!(" malformed ({})", what.name));
            let malformed = malformed.unwrap_or_default();
            format!(
                "{}announce {prefix}{malformed} on {}",
                speaker(*by),
                list(from)
            )
        }
        Act::Withdraw { by, prefix, from } => {
            format!("{}withdraw {prefix} on {}", speaker(*by), list(from))
        }
        Act::Bfd { order, sessions } => format!("bfd {}: {}", list(sessions), bfd_order(*order)),
        Act::Lacp { order, on } => {
            let parts: Vec<String> = on.iter().map(ToString::to_string).collect();
            format!("lacp {}: {order}", list(&parts))
        }
        Act::Sessions { order, sessions } => {
            let order = match order {
                SessionOrder::Drain => "drain",
                SessionOrder::Shutdown { .. } => "shut down",
                SessionOrder::Reset { .. } => "reset",
                SessionOrder::Start => "start",
                SessionOrder::Refresh => "refresh",
            };
            format!("{order} {}", list(sessions))
        }
        Act::Request(asked) => request::words(asked),
        Act::Policy(change) => request::policy(change),
        Act::Set(setting) => request::setting(setting),
        Act::Hold { time, .. } => format!("hold {}", duration(*time)),
    }
}

fn expect(what: &Expect) -> String {
    match what {
        Expect::Session {
            sessions,
            up,
            reason,
            at,
        } => {
            let at = at.as_ref().map(|at| format!(" at {at}"));
            let reason = reason.as_ref().map(|reason| format!(" ({reason})"));
            let more: Vec<String> = [at, reason].into_iter().flatten().collect();
            let (names, more) = (list(sessions), more.concat());
            format!("session {names} {}{more}", up_down(*up))
        }
        Expect::MaximumPrefixes {
            sessions,
            exceeded,
            count,
            at,
        } => {
            let what = match exceeded {
                true => "too many routes",
                false => "many routes",
            };
            let count = count.map(|count| format!(" ({count})")).unwrap_or_default();
            let at = at.as_ref().map(|at| format!(" at {at}"));
            let at = at.unwrap_or_default();
            format!("{what}{count} told on {}{at}", list(sessions))
        }
        Expect::Lag {
            connections,
            up,
            distinct_systems,
        } => {
            let distinct = match distinct_systems {
                true => ", to systems of their own",
                false => "",
            };
            format!("lag {} {}{distinct}", list(connections), up_down(*up))
        }
        Expect::Member {
            connection,
            member,
            up,
            at,
            sends_every,
            answers_marker,
            says,
            reason,
        } => {
            let mut words = format!("member {connection}/{member} {}", up_down(*up));
            words.push_str(match at {
                Viewpoint::Edge => "",
                Viewpoint::Partner => " at the partner",
                Viewpoint::Peer => " at the peer's end",
            });
            if let Some(every) = sends_every {
                words.push_str(&format!(", LACPDUs every {}", duration(*every)));
            }
            words.push_str(match answers_marker {
                None => "",
                Some(true) => ", a marker answered",
                Some(false) => ", a marker not answered",
            });
            words.push_str(&says.to_string());
            if let Some(reason) = reason {
                words.push_str(&format!(" ({reason})"));
            }
            words
        }
        Expect::Bfd {
            sessions,
            up,
            diagnostic,
            partner,
            sends_every,
            answers_poll,
        } => {
            let mut words = format!("bfd {} {}", list(sessions), up_down(*up));
            if *partner {
                words.push_str(" at the partner");
            }
            if let Some(diagnostic) = diagnostic {
                words.push_str(&format!(" ({diagnostic})"));
            }
            if let Some(every) = sends_every {
                words.push_str(&format!(", packets every {}", duration(*every)));
            }
            if *answers_poll {
                words.push_str(", a Poll answered");
            }
            words
        }
        Expect::Route {
            prefix,
            sessions,
            direction,
            present,
            count,
        } => {
            let direction = match direction {
                RouteDirection::Received => "from",
                RouteDirection::Advertised => "to",
            };
            let what = match (count, prefix) {
                (Some(count), _) => counted(u64::from(*count), "route"),
                (None, Some(prefix)) if *present => format!("route {prefix}"),
                (None, Some(prefix)) => format!("no route {prefix}"),
                (None, None) if *present => "routes".to_owned(),
                (None, None) => "no routes".to_owned(),
            };
            format!("{what} {direction} {}", list(sessions))
        }
        Expect::RouteStanding {
            prefix,
            sessions,
            standing,
        } => {
            let what = prefix.map_or_else(|| "routes".to_owned(), |p| format!("route {p}"));
            let standing = match standing {
                Standing::Stale => "stale",
                Standing::Fresh => "fresh",
                Standing::Refreshed => "sent again between marks",
            };
            format!("{what} from {} {standing}", list(sessions))
        }
        Expect::RouterRoute {
            routers,
            prefix,
            present,
        } => {
            let no = if *present { "" } else { "no " };
            format!("{no}route {prefix} at {}", list(routers))
        }
        Expect::Path { to, internet, .. } if *internet => {
            format!("path to {to} over the internet")
        }
        Expect::RouterPath { at, to, via, .. } => {
            format!("path to {to} at {at} over {}", list(via))
        }
        Expect::Path { to, via, .. } => format!("path to {to} over {}", list(via)),
        Expect::Traffic {
            flows,
            interrupted_at_most,
            lost_at_most,
            quality,
            confined,
            via,
        } => {
            let mut limits = Vec::new();
            if let Some(limit) = interrupted_at_most {
                limits.push(format!("interrupted at most {}", duration(*limit)));
            }
            if let Some(limit) = lost_at_most {
                limits.push(format!("at most {} lost", counted(*limit, "packet")));
            }
            limits.extend(quality.words());
            limits.extend(confined.words());
            if let Some(via) = via {
                limits.push(format!("over {}", list(via)));
            }
            format!("traffic {} {}", directions(flows), limits.join(", "))
        }
        Expect::Prefix(expected) => prefix(expected),
        Expect::RegisteredAsn { asn, present } => {
            let state = if *present { "present" } else { "absent" };
            format!("registered ASN {asn} {state}")
        }
        Expect::PeerAsn { state } => format!("peer ASN {state}"),
        Expect::Peering { peering, state } => format!("peering {peering} {state}"),
        Expect::Connection {
            connections,
            state,
            session_state,
        } => {
            let session = session_state
                .as_ref()
                .map(|state| format!("session {state}"));
            let states: Vec<String> = state.iter().cloned().chain(session).collect();
            format!("connection {} {}", list(connections), states.join(", "))
        }
        Expect::Event {
            event,
            of,
            level,
            summary,
        } => {
            let of = of.as_ref().map(|of| format!(" of {of}"));
            let level = level.as_ref().map(|level| format!(" ({level})"));
            let summary = summary.as_ref().map(|summary| format!(": {summary}"));
            let more: Vec<String> = [of, level, summary].into_iter().flatten().collect();
            format!("{event}{}", more.concat())
        }
        Expect::RoutePolicy {
            prefix,
            sessions,
            accepted,
            reason,
        } => {
            let what = match (accepted, reason) {
                (true, _) => "accepted".to_owned(),
                (false, None) => "refused".to_owned(),
                (false, Some(reason)) => format!("refused ({reason})"),
            };
            format!("route {prefix} from {} {what}", list(sessions))
        }
        Expect::InternetRoute {
            prefix,
            from,
            present,
        } => {
            let no = if *present { "" } else { "no " };
            let from = match from {
                Some(Speaker::Peer) => " from the peer",
                Some(Speaker::Microsoft) => " from Microsoft",
                None => "",
            };
            format!("{no}route {prefix}{from} at the internet")
        }
        Expect::Detected { connections, by } => {
            format!("{} detected by {}", list(connections), by.join(", then "))
        }
        Expect::Quiet => "quiet".to_owned(),
    }
}

/// `registered prefix` or `Peering Service prefix`.
pub fn object(object: PrefixObject) -> &'static str {
    match object {
        PrefixObject::Registered => "registered prefix",
        PrefixObject::Service => "Peering Service prefix",
    }
}

fn prefix(expected: &PrefixExpected) -> String {
    let mut words = format!("{} {}", object(expected.object), expected.prefix);
    if let Some(state) = &expected.state {
        words.push_str(&format!(" {state}"));
    }
    if !expected.reasons.is_empty() {
        let with = if expected.state.is_some() {
            "for"
        } else {
            "with"
        };
        words.push_str(&format!(" {with} {}", list(&expected.reasons)));
    }
    if let Some(at) = &expected.at {
        words.push_str(&format!(" on {}", list(at)));
    }
    if let Some(message) = &expected.message {
        words.push_str(&format!(", shown as `{message}`"));
    }
    if let Some(learned) = &expected.learned_type {
        words.push_str(&format!(", learned type {learned}"));
    }
    words
}

fn speaker(by: Speaker) -> &'static str {
    match by {
        Speaker::Peer => "",
        Speaker::Microsoft => "Microsoft: ",
    }
}

/// `a -> b`, or `a <-> b` for a direction and its opposite.
fn directions(flows: &[(String, String)]) -> String {
    match flows {
        [(a, b), (c, d)] if a == d && b == c => format!("{a} <-> {b}"),
        flows => {
            let flows: Vec<String> = flows.iter().map(|(a, b)| format!("{a} -> {b}")).collect();
            list(&flows)
        }
    }
}

/// What fails, as the scenario names it.
pub fn target(target: &Target) -> String {
    match target {
        Target::Connections(connections) => list(connections),
        Target::Member(connection, member) => format!("{connection}/{member}"),
        Target::Node(node) => node.clone(),
        Target::Metro(metro) => metro.clone(),
        Target::All => "all".to_owned(),
    }
}

/// How something fails, as the scenario writes it.
pub fn how(how: FaultKind) -> &'static str {
    match how {
        FaultKind::Light => "light",
        FaultKind::Silent => "silent",
        FaultKind::OneWayIn => "one-way-in",
        FaultKind::OneWayOut => "one-way-out",
        FaultKind::Member => "member",
        FaultKind::Lacp => "lacp",
        FaultKind::Bfd => "bfd",
        FaultKind::Bgp => "bgp",
        FaultKind::Node => "node",
        FaultKind::Metro => "metro",
    }
}

/// `up` or `down`.
pub fn up_down(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

/// At most `digits` decimals, without zeros at the end.
fn trimmed(value: f64, digits: usize, unit: &str) -> String {
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (nanos, words) in [
            (0, "0 ms"),
            (420_000, "0.42 ms"),
            (1_000_000, "1 ms"),
            (9_999_001, "10 ms"),
            (12_340_000, "12.3 ms"),
            (463_200_000, "463 ms"),
            (999_400_000, "999 ms"),
            (999_999_999, "1 s"),
            (1_240_000_000, "1.24 s"),
            (30_000_000_000, "30 s"),
            (100_000_000_000, "100 s"),
            (180_000_000_000, "3 min"),
            (200_000_000_000, "3 min 20 s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), words);
        }
    }

    #[test]
    fn lists_read_like_sentences() {
        assert_eq!(list::<&str>(&[]), "nothing");
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b"]), "a and b");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}
