//! What must follow from a step: one subject, and the keys that go with it.

mod detected;
mod member;
mod microsoft;
mod route;

use std::time::Duration;

use super::raw::{RawExpect, SUBJECTS};
use super::stage::Stage;
use super::{Confined, Expect, Expectation, Quality};
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
    let what = match subject {
        "session" | "lag" | "bfd" => layer(raw, subject, table, stage, mistakes)?,
        "maximum-prefixes" => maximum_prefixes(raw, table, stage, mistakes)?,
        "member" => member::parse(raw, table, stage, mistakes)?,
        "route" => route::route(raw, table, stage, mistakes)?,
        "path" => route::path(raw, table, stage, mistakes)?,
        "traffic" => {
            stays = raw.r#for.map_or(WATCHED, |stays| stays.value.0);
            traffic(raw, table, stage, mistakes)?
        }
        "detected" => detected::parse(raw, table, stage, mistakes)?,
        "quiet" => {
            stays = raw.quiet?.value.0;
            within = Duration::ZERO;
            Expect::Quiet
        }
        _ => microsoft::parse(raw, subject, table, stage, mistakes)?,
    };
    Some(Expectation {
        span: mistakes.source().entry(at),
        what,
        within,
        stays,
    })
}

/// A BGP session, a LAG or a BFD session that is up or down.
fn layer(
    raw: &RawExpect,
    subject: &str,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let names = match subject {
        "session" => raw.session.as_ref()?,
        "lag" => raw.lag.as_ref()?,
        _ => raw.bfd.as_ref()?,
    };
    let named = match subject {
        "lag" => stage.connections(names, mistakes),
        "bfd" => stage.bfd_sessions(names, mistakes),
        _ => stage.sessions_seen(names, mistakes),
    };
    let up = state(raw, table, subject, &["up", "down"], mistakes)? == "up";
    let named = named?;
    Some(match subject {
        "session" => Expect::Session {
            at: match &raw.at {
                Some(at) => Some(router_of(at, &named, stage, mistakes)?),
                None => None,
            },
            sessions: named,
            up,
            reason: match &raw.reason {
                Some(reason) => Some(words(reason, mistakes)?),
                None => None,
            },
        },
        "lag" => Expect::Lag {
            connections: named,
            up,
            distinct_systems: raw.distinct_systems.is_some_and(|distinct| distinct.value),
        },
        _ => Expect::Bfd {
            sessions: named,
            up,
            diagnostic: match &raw.reason {
                Some(reason) => Some(words(reason, mistakes)?),
                None => None,
            },
            partner: match &raw.at {
                Some(at) => partner(at, mistakes)?,
                None => false,
            },
            sends_every: raw.sends_every.map(|interval| interval.value.0),
            answers_poll: raw.answers_poll.is_some_and(|answers| answers.value),
        },
    })
}

/// A BGP session on which many routes came, or too many.
fn maximum_prefixes(
    raw: &RawExpect,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let sessions = stage.sessions(raw.maximum_prefixes.as_ref()?, mistakes);
    let states = ["warned", "exceeded"];
    let exceeded = state(raw, table, "maximum-prefixes", &states, mistakes)? == "exceeded";
    let sessions = sessions?;
    Some(Expect::MaximumPrefixes {
        at: match &raw.at {
            Some(at) => Some(router_of(at, &sessions, stage, mistakes)?),
            None => None,
        },
        sessions,
        exceeded,
        count: raw.count.map(|count| count.value),
    })
}

/// The router of the peer at which all of these sessions end.
fn router_of(
    at: &Located<Names>,
    sessions: &[String],
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<String> {
    let of_connections = stage.session_names();
    if let Some(inside) = sessions.iter().find(|it| !of_connections.contains(it)) {
        let message = format!("the name `{inside}` says at which end it is looked at");
        let diagnostic = mistakes.error(at.span, message, "nothing more to say");
        mistakes.push(diagnostic.help("leave `at` out"));
        return None;
    }
    let connections = stage.topology.connections.iter();
    let ends = connections.filter(|c| c.sessions().any(|name| sessions.contains(&name)));
    let mut routers: Vec<&str> = ends.map(|connection| connection.router.as_str()).collect();
    routers.dedup();
    let located = at.value.located(at.span);
    match (located.as_slice(), routers.as_slice()) {
        ([one], [router]) => one_of(one, "router at the other end", &[router], mistakes),
        _ => {
            let message = "a session is looked at from one router of the peer";
            let diagnostic = mistakes.error(at.span, message, "not possible for all of them");
            mistakes.push(diagnostic.help("write an expectation for each router"));
            None
        }
    }
}

/// BFD is looked at as the edge sees it, or as the partner's packets say.
fn partner(at: &Located<Names>, mistakes: &mut Mistakes) -> Option<bool> {
    let is_partner = at.value == Names::One("partner".to_owned());
    if !is_partner {
        let message =
            "BFD is looked at from the end that its name says, or as its partner's packets say";
        mistakes.push(mistakes.error(at.span, message, "`partner`, or leave it out"));
    }
    is_partner.then_some(true)
}

/// A text that is looked for in another.
fn words(text: &Located<Names>, mistakes: &mut Mistakes) -> Option<String> {
    match &text.value {
        Names::One(words) => Some(words.clone()),
        Names::Several(_) => {
            let message = "a session ends for one reason";
            mistakes.push(mistakes.error(text.span, message, "one text"));
            None
        }
    }
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
        key(
            "maximum-prefixes",
            raw.maximum_prefixes.as_ref().map(|v| v.span),
        ),
        key("member", raw.member.as_ref().map(|v| v.span)),
        key("route", raw.route.as_ref().map(|v| v.span)),
        key("path", raw.path.as_ref().map(|v| v.span)),
        key("traffic", raw.traffic.as_ref().map(|v| v.span)),
        key(
            "registered-prefix",
            raw.registered_prefix.as_ref().map(|v| v.span),
        ),
        key(
            "service-prefix",
            raw.service_prefix.as_ref().map(|v| v.span),
        ),
        key("peer-asn", raw.peer_asn.map(|v| v.span)),
        key("registered-asn", raw.registered_asn.map(|v| v.span)),
        key("peering", raw.peering.as_ref().map(|v| v.span)),
        key("connection", raw.connection.as_ref().map(|v| v.span)),
        key("event", raw.event.as_ref().map(|v| v.span)),
        key("detected", raw.detected.as_ref().map(|v| v.span)),
        key("quiet", raw.quiet.map(|v| v.span)),
        key("state", raw.state.as_ref().map(|v| v.span)),
        key("session-state", raw.session_state.as_ref().map(|v| v.span)),
        key("learned-type", raw.learned_type.as_ref().map(|v| v.span)),
        key("reason", raw.reason.as_ref().map(|v| v.span)),
        key("message", raw.message.as_ref().map(|v| v.span)),
        key("at", raw.at.as_ref().map(|v| v.span)),
        key("by", raw.by.as_ref().map(|v| v.span)),
        key("of", raw.of.as_ref().map(|v| v.span)),
        key("level", raw.level.as_ref().map(|v| v.span)),
        key("from", raw.from.as_ref().map(|v| v.span)),
        key("to", raw.to.as_ref().map(|v| v.span)),
        key("count", raw.count.map(|v| v.span)),
        key("via", raw.via.as_ref().map(|v| v.span)),
        key(
            "interrupted-at-most",
            raw.interrupted_at_most.map(|v| v.span),
        ),
        key("lost-at-most", raw.lost_at_most.map(|v| v.span)),
        key("sends-every", raw.sends_every.map(|v| v.span)),
        key("answers-poll", raw.answers_poll.map(|v| v.span)),
        key("loss-at-least", raw.loss_at_least.map(|v| v.span)),
        key("loss-at-most", raw.loss_at_most.map(|v| v.span)),
        key("delay-at-least", raw.delay_at_least.map(|v| v.span)),
        key("delay-at-most", raw.delay_at_most.map(|v| v.span)),
        key(
            "duplicated-at-least",
            raw.duplicated_at_least.map(|v| v.span),
        ),
        key("reordered-at-least", raw.reordered_at_least.map(|v| v.span)),
        key("distinct-systems", raw.distinct_systems.map(|v| v.span)),
        key("answers-marker", raw.answers_marker.map(|v| v.span)),
        key("active", raw.active.map(|v| v.span)),
        key("timeout", raw.timeout.map(|v| v.span)),
        key("system", raw.system.as_ref().map(|v| v.span)),
        key("key", raw.key.map(|v| v.span)),
        key("port", raw.port.map(|v| v.span)),
        key("in-sync-within", raw.in_sync_within.map(|v| v.span)),
        key("distributes-early", raw.distributes_early.map(|v| v.span)),
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
        "route" => &[
            "from", "to", "at", "state", "reason", "count", "within", "for",
        ],
        "session" => &["state", "reason", "at", "within", "for"],
        "maximum-prefixes" => &["state", "count", "at", "within", "for"],
        "bfd" => &[
            "state",
            "reason",
            "at",
            "sends-every",
            "answers-poll",
            "within",
            "for",
        ],
        "lag" => &["state", "distinct-systems", "within", "for"],
        "member" => &[
            "state",
            "reason",
            "at",
            "sends-every",
            "answers-marker",
            "active",
            "timeout",
            "system",
            "key",
            "port",
            "in-sync-within",
            "distributes-early",
            "within",
            "for",
        ],
        "path" => &["via", "at", "within", "for"],
        "traffic" => &[
            "interrupted-at-most",
            "lost-at-most",
            "loss-at-least",
            "loss-at-most",
            "delay-at-least",
            "delay-at-most",
            "duplicated-at-least",
            "reordered-at-least",
            "lost-only-on",
            "moved-only-from",
            "via",
            "within",
            "for",
        ],
        "registered-prefix" => &["state", "reason", "message", "at", "within", "for"],
        "service-prefix" => &[
            "state",
            "reason",
            "message",
            "at",
            "learned-type",
            "within",
            "for",
        ],
        "connection" => &["state", "session-state", "within", "for"],
        "event" => &["of", "level", "reason", "within"],
        "detected" => &["by", "within"],
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

/// The state, which is one of those that the subject can have.
fn state(
    raw: &RawExpect,
    table: Span,
    subject: &str,
    valid: &[&str],
    mistakes: &mut Mistakes,
) -> Option<String> {
    let owner = format!("`{subject}`");
    let examples: Vec<String> = (valid.iter().take(2))
        .map(|state| format!("state = \"{state}\""))
        .collect();
    let example = examples.join("` or `");
    let state = raw.state.as_ref();
    let state = mistakes.require(state, table, &owner, "state", &example)?;
    let kind = format!("state of a {}", subject.replace('-', " "));
    one_of(state, &kind, valid, mistakes)
}

/// The text, which is one of these.
fn one_of(
    text: &Located<String>,
    kind: &str,
    valid: &[&str],
    mistakes: &mut Mistakes,
) -> Option<String> {
    let known = mistakes.known(text, kind, valid.iter().copied());
    known.then(|| text.value.clone())
}

/// Connections, members of them, or `internet` alone.
fn via(names: &Located<Names>, stage: &Stage<'_>, mistakes: &mut Mistakes) -> Option<Vec<String>> {
    let located = names.value.located(names.span);
    if located.iter().any(|name| name.value.contains('/')) {
        return stage.members(names, mistakes);
    }
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
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let direction = raw.traffic.as_ref()?;
    let via = match &raw.via {
        Some(names) => Some(via(names, stage, mistakes)?),
        None => None,
    };
    let quality = Quality::of(raw, mistakes);
    let confined = Confined {
        lost_only_on: members(raw.lost_only_on.as_ref(), stage, mistakes)?,
        moved_only_from: members(raw.moved_only_from.as_ref(), stage, mistakes)?,
    };
    let limited = raw.interrupted_at_most.is_some()
        || raw.lost_at_most.is_some()
        || quality != Quality::default()
        || confined != Confined::default();
    if !limited && via.is_none() && !mistakes.is_struck(table, None) {
        let diagnostic = mistakes.error(table, "nothing is expected of this traffic", "");
        let keys = companions_of("traffic").iter().copied();
        let keys = list(keys.filter(|key| !["within", "for"].contains(key)));
        mistakes.push(diagnostic.note(format!("at least one of {keys}")));
    }
    Some(Expect::Traffic {
        flows: flows(direction, stage, mistakes)?,
        interrupted_at_most: raw.interrupted_at_most.map(|limit| limit.value.0),
        lost_at_most: raw.lost_at_most.map(|limit| limit.value),
        quality,
        confined,
        via,
    })
}

/// Members, if any are named; `None` after a mistake.
fn members(
    names: Option<&Located<Names>>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Option<Vec<String>>> {
    match names {
        Some(names) => stage.members(names, mistakes).map(Some),
        None => Some(None),
    }
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
