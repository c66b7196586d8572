//! What must follow from a step: one subject, and the keys that go with it.

use std::time::Duration;

use super::raw::{RawExpect, RawState, SUBJECTS};
use super::stage::Stage;
use super::{Expect, Expectation, RouteDirection};
use crate::source::{Located, Mistakes, Names, Span, list};

/// Time in which an expectation comes true, unless the file says otherwise.
const WITHIN: Duration = Duration::from_secs(5);
/// Time for which traffic is watched at least, unless the file says otherwise.
const WATCHED: Duration = Duration::from_millis(500);

/// The expectations of a step; `None` after a mistake.
pub(super) fn parse(
    raw: &[Located<RawExpect>],
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Vec<Expectation>> {
    let all: Vec<Option<Expectation>> = (raw.iter())
        .map(|raw| expectation(raw, stage, mistakes))
        .collect();
    all.into_iter().collect()
}

fn expectation(
    raw: &Located<RawExpect>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expectation> {
    let (subject, at) = subject(raw, mistakes)?;
    companions(&raw.value, subject, mistakes);
    let table = raw.span;
    let raw = &raw.value;
    let mut within = raw.within.map_or(WITHIN, |within| within.value.0);
    let mut stays = raw.r#for.map_or(Duration::ZERO, |stays| stays.value.0);
    let ups = [(RawState::Up, "up"), (RawState::Down, "down")];
    let what = if let Some(names) = &raw.session {
        let connections = stage.connections(names, mistakes);
        let up = state(raw, table, subject, ups, mistakes)?;
        let connections = connections?;
        Expect::Session { connections, up }
    } else if let Some(names) = &raw.lag {
        let connections = stage.connections(names, mistakes);
        let up = state(raw, table, subject, ups, mistakes)?;
        let connections = connections?;
        Expect::Lag { connections, up }
    } else if let Some(names) = &raw.bfd {
        let connections = stage.connections(names, mistakes);
        let up = state(raw, table, subject, ups, mistakes)?;
        let connections = connections?;
        Expect::Bfd { connections, up }
    } else if let Some(name) = &raw.member {
        let states = [
            (RawState::Distributing, "distributing"),
            (RawState::Down, "down"),
        ];
        let named = stage.member(name, mistakes);
        let up = state(raw, table, subject, states, mistakes)?;
        let (connection, member) = named?;
        Expect::Member {
            connection,
            member,
            up,
        }
    } else if let Some(prefix) = &raw.route {
        route(raw, prefix, table, stage, mistakes)?
    } else if let Some(endpoint) = &raw.path {
        let known = mistakes.known(endpoint, "endpoint", stage.endpoint_names());
        let example = "via = [\"…\"]";
        let names = mistakes.require(raw.via.as_ref(), table, "`path`", "via", example);
        let via = via(names?, stage, mistakes);
        let endpoint = known.then(|| endpoint.value.clone())?;
        let via = via?;
        let internet = via == ["internet"];
        Expect::Path {
            endpoint,
            via: if internet { Vec::new() } else { via },
            internet,
        }
    } else if let Some(direction) = &raw.traffic {
        stays = raw.r#for.map_or(WATCHED, |stays| stays.value.0);
        traffic(raw, direction, table, stage, mistakes)?
    } else {
        let quiet = raw.quiet?;
        stays = quiet.value.0;
        within = Duration::ZERO;
        Expect::Quiet
    };
    Some(Expectation {
        span: mistakes.source().entry(at),
        what,
        within,
        stays,
    })
}

/// The one subject of an expectation and its place.
fn subject(raw: &Located<RawExpect>, mistakes: &mut Mistakes) -> Option<(&'static str, Span)> {
    let keys = keys(&raw.value);
    let given: Vec<_> = keys
        .iter()
        .filter(|(key, _)| SUBJECTS.contains(key))
        .collect();
    match given.as_slice() {
        [] if mistakes.is_struck(raw.span, None) => None,
        [] => {
            let message = "this expectation has no subject";
            let diagnostic = mistakes.error(raw.span, message, "what is expected to happen?");
            mistakes.push(diagnostic.note(format!("one of {}", list(SUBJECTS))));
            None
        }
        [(key, at)] => Some((key, *at)),
        [(first, at), others @ ..] => {
            let source = std::sync::Arc::clone(mistakes.source());
            for (key, span) in others {
                let message =
                    format!("an expectation has one subject, this one `{first}` and `{key}`");
                let diagnostic = mistakes.error(source.entry(*span), message, "the second subject");
                let diagnostic = diagnostic.at(&source, source.entry(*at), "the first subject");
                mistakes.push(diagnostic.help("begin a new `[[step.expect]]` before it"));
            }
            None
        }
    }
}

/// The keys of an expectation that are given, with the places of their values, in the order of the file.
fn keys(raw: &RawExpect) -> Vec<(&'static str, Span)> {
    let key = |key, span: Option<Span>| Some((key, span?));
    let mut keys: Vec<(&'static str, Span)> = [
        key("session", raw.session.as_ref().map(|v| v.span)),
        key("lag", raw.lag.as_ref().map(|v| v.span)),
        key("bfd", raw.bfd.as_ref().map(|v| v.span)),
        key("member", raw.member.as_ref().map(|v| v.span)),
        key("route", raw.route.as_ref().map(|v| v.span)),
        key("path", raw.path.as_ref().map(|v| v.span)),
        key("traffic", raw.traffic.as_ref().map(|v| v.span)),
        key("quiet", raw.quiet.map(|v| v.span)),
        key("state", raw.state.map(|v| v.span)),
        key("from", raw.from.as_ref().map(|v| v.span)),
        key("to", raw.to.as_ref().map(|v| v.span)),
        key("count", raw.count.map(|v| v.span)),
        key("via", raw.via.as_ref().map(|v| v.span)),
        key(
            "interrupted-at-most",
            raw.interrupted_at_most.map(|v| v.span),
        ),
        key("lost-at-most", raw.lost_at_most.map(|v| v.span)),
        key("within", raw.within.map(|v| v.span)),
        key("for", raw.r#for.map(|v| v.span)),
    ]
    .into_iter()
    .flatten()
    .collect();
    keys.sort_by_key(|(_, span)| *span);
    keys
}

/// The keys that may stand beside a subject.
fn companions_of(subject: &str) -> &'static [&'static str] {
    match subject {
        "route" => &["from", "to", "state", "count", "within", "for"],
        "path" => &["via", "within", "for"],
        "traffic" => &[
            "interrupted-at-most",
            "lost-at-most",
            "via",
            "within",
            "for",
        ],
        "quiet" => &[],
        _ => &["state", "within", "for"],
    }
}

/// Every key beside the subject goes with it.
fn companions(raw: &RawExpect, subject: &str, mistakes: &mut Mistakes) {
    let valid = companions_of(subject);
    for (key, span) in keys(raw) {
        if key != subject && !valid.contains(&key) {
            let message = format!("`{key}` does not go with `{subject}`");
            let source = std::sync::Arc::clone(mistakes.source());
            let diagnostic = mistakes.error(source.entry(span), message, "not here");
            let valid = match valid {
                [] => "nothing else".to_owned(),
                keys => list(keys.iter().copied()),
            };
            mistakes.push(diagnostic.note(format!("with `{subject}` goes {valid}")));
        }
    }
}

/// Whether `state` is the first of the two that the subject can have.
fn state(
    raw: &RawExpect,
    table: Span,
    subject: &str,
    states: [(RawState, &str); 2],
    mistakes: &mut Mistakes,
) -> Option<bool> {
    let owner = format!("`{subject}`");
    let [(first, name), (second, other)] = states;
    let example = format!("state = \"{name}\"` or `state = \"{other}\"");
    let state = mistakes.require(raw.state, table, &owner, "state", &example)?;
    if state.value == first || state.value == second {
        return Some(state.value == first);
    }
    let message = format!("a {subject} is never in this state");
    let diagnostic = mistakes.error(state.span, message, format!("`{name}` or `{other}`"));
    mistakes.push(diagnostic);
    None
}

fn route(
    raw: &RawExpect,
    prefix: &Located<String>,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let prefix = if prefix.value == "any" {
        Some(None)
    } else {
        let parsed = prefix.value.parse::<ipnet::Ipv4Net>().ok();
        let parsed = parsed.filter(|net| *net == net.trunc());
        if parsed.is_none() {
            let message = format!("`{}` is not a route", prefix.value);
            let label = "an IPv4 prefix without host bits, or `any`";
            mistakes.push(mistakes.error(prefix.span, message, label));
        }
        parsed.map(Some)
    };
    let (names, direction) = match (&raw.from, &raw.to) {
        (Some(names), None) => (names, RouteDirection::Received),
        (None, Some(names)) => (names, RouteDirection::Advertised),
        (Some(from), Some(_)) => {
            let message = "a route is received `from` a connection or advertised `to` it";
            mistakes.push(mistakes.error(from.span, message, "not both in one expectation"));
            return None;
        }
        (None, None) => {
            if !mistakes.is_struck(table, Some("from")) && !mistakes.is_struck(table, Some("to")) {
                let diagnostic = mistakes.error(table, "`route` has no `from` and no `to`", "");
                mistakes.push(diagnostic.help(
                    "write `from = \"…\"` for received by Microsoft, `to = \"…\"` for advertised by it",
                ));
            }
            return None;
        }
    };
    let connections = stage.connections(names, mistakes);
    let present = match raw.count {
        Some(count) if raw.state.is_none() => count.value > 0,
        _ => {
            let states = [(RawState::Present, "present"), (RawState::Absent, "absent")];
            state(raw, table, "route", states, mistakes)?
        }
    };
    if let Some(count) = raw.count.filter(|count| present != (count.value > 0)) {
        let message = format!("a count of {} contradicts the state", count.value);
        mistakes.push(mistakes.error(count.span, message, "leave one of them out"));
    }
    Some(Expect::Route {
        prefix: prefix?,
        connections: connections?,
        direction,
        present,
        count: raw.count.map(|count| count.value),
    })
}

/// Connections, or `internet` alone.
fn via(names: &Located<Names>, stage: &Stage<'_>, mistakes: &mut Mistakes) -> Option<Vec<String>> {
    let located = names.value.located(names.span);
    let Some(internet) = located.iter().find(|name| name.value == "internet") else {
        return stage.connections(names, mistakes);
    };
    if located.len() > 1 {
        let message = "traffic goes over connections or over the internet, not both";
        mistakes.push(mistakes.error(internet.span, message, "alone, or not at all"));
        return None;
    }
    Some(vec!["internet".to_owned()])
}

fn traffic(
    raw: &RawExpect,
    direction: &Located<String>,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let via = match &raw.via {
        Some(names) => Some(via(names, stage, mistakes)?),
        None => None,
    };
    let limited = raw.interrupted_at_most.is_some() || raw.lost_at_most.is_some();
    if !limited && via.is_none() && !mistakes.is_struck(table, None) {
        let diagnostic = mistakes.error(table, "nothing is expected of this traffic", "");
        let keys = list(["interrupted-at-most", "lost-at-most", "via"]);
        mistakes.push(diagnostic.note(format!("at least one of {keys}")));
    }
    Some(Expect::Traffic {
        flows: flows(direction, stage, mistakes)?,
        interrupted_at_most: raw.interrupted_at_most.map(|limit| limit.value.0),
        lost_at_most: raw.lost_at_most.map(|limit| limit.value),
        via,
    })
}

/// The directions that `"teams -> sbc"` or `"both"` means; they are being sent.
fn flows(
    direction: &Located<String>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Vec<(String, String)>> {
    let sent: Vec<String> = stage
        .flows
        .iter()
        .map(|(a, b)| format!("{a} -> {b}"))
        .collect();
    if stage.flows.is_empty() {
        let message = "no traffic is being sent at this step";
        let diagnostic = mistakes.error(direction.span, message, "nothing to watch");
        mistakes.push(
            diagnostic.help(
                "send some before: `send = { from = \"teams\", to = \"…\", both-ways = true }`",
            ),
        );
        return None;
    }
    if direction.value == "both" {
        if stage.flows.len() < 2 {
            let message = "traffic is being sent in one direction only";
            let diagnostic = mistakes.error(direction.span, message, "there is no other");
            mistakes
                .push(diagnostic.note(format!("sent: {}", list(sent.iter().map(String::as_str)))));
            return None;
        }
        return Some(stage.flows.clone());
    }
    let words: Vec<&str> = direction.value.split("->").map(str::trim).collect();
    let found = match words.as_slice() {
        [from, to] => (stage.flows.iter()).find(|(a, b)| a == from && b == to),
        _ => None,
    };
    if found.is_none() {
        let message = format!("no traffic `{}` is being sent", direction.value);
        let diagnostic = mistakes.error(direction.span, message, "not sent at this step");
        let sent = list(sent.iter().map(String::as_str));
        mistakes.push(diagnostic.note(format!("sent: {sent}, or \"both\"")));
    }
    found.map(|flow| vec![flow.clone()])
}
