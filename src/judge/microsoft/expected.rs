//! Whether what the Microsoft side concluded is what a scenario wants, and words for how it is instead.

use std::cmp::Reverse;

use ipnet::IpNet;

use super::{ConnectionView, Microsoft, Policy, PrefixView, Told, result};
use crate::bgp::family::Family;
use crate::judge::condition::{self, CORE, INTERNET, WAN};
use crate::judge::finding::PrefixEnded;
use crate::judge::state::State;
use crate::judge::words;
use crate::record::{Fact, Failure};
use crate::scenario::{ABSENT, Expect, PrefixExpected, PrefixObject, Scenario, Speaker};
use crate::topology::{Topology, session_name};

/// Whether a fact can change what [`holds`] says.
pub fn matters(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::RouteAccepted { .. }
            | Fact::RouteRefused { .. }
            | Fact::PeerAsn { .. }
            | Fact::Peering { .. }
            | Fact::Connection { .. }
            | Fact::RegisteredPrefix { .. }
            | Fact::ServicePrefix { .. }
            | Fact::PrefixDeleted { .. }
            | Fact::RegisteredAsn { .. }
            | Fact::Event { .. }
    )
}

/// Whether a fact tells of what is expected, whether it is as it should be or not.
pub fn tells_of(what: &Expect, fact: &Fact) -> bool {
    match (what, fact) {
        (
            Expect::Prefix(expected),
            Fact::RegisteredPrefix { prefix, .. } | Fact::ServicePrefix { prefix, .. },
        ) => {
            let registered = matches!(fact, Fact::RegisteredPrefix { .. });
            *prefix == expected.prefix
                && registered == (expected.object == PrefixObject::Registered)
        }
        (Expect::PeerAsn { .. }, Fact::PeerAsn { .. }) => true,
        (Expect::RegisteredAsn { asn, .. }, Fact::RegisteredAsn { asn: told, .. }) => asn == told,
        (Expect::Peering { peering, .. }, Fact::Peering { peering: of, .. }) => peering == of,
        (Expect::Connection { connections, .. }, Fact::Connection { connection, .. }) => {
            connections.contains(connection)
        }
        (Expect::Event { event, .. }, Fact::Event { event: told, .. }) => event == told,
        (
            Expect::RoutePolicy {
                prefix, sessions, ..
            },
            Fact::RouteAccepted {
                session, prefix: p, ..
            }
            | Fact::RouteRefused {
                session, prefix: p, ..
            },
        ) => prefix == p && sessions.contains(session),
        _ => false,
    }
}

/// Whether `what` holds; only for what is expected of the Microsoft side.
pub fn holds(what: &Expect, state: &State, topology: &Topology) -> bool {
    let microsoft = state.microsoft();
    match what {
        Expect::Prefix(expected) => match microsoft.prefix(expected.object, &expected.prefix) {
            Some(view) => view.is_as(expected),
            None => expected.state.as_deref() == Some(ABSENT),
        },
        Expect::PeerAsn { state } => {
            microsoft.peer_asn.as_ref().map(|told| &told.state) == Some(state)
        }
        Expect::RegisteredAsn { asn, present } => microsoft.asns.contains(asn) == *present,
        Expect::Peering { peering, state } => {
            microsoft.peerings.get(peering).map(|told| &told.state) == Some(state)
        }
        Expect::Connection {
            connections,
            state,
            session_state,
        } => connections.iter().all(|connection| {
            let view = microsoft.connections.get(connection);
            view.is_some_and(|view| {
                state.as_ref().is_none_or(|state| *state == view.state)
                    && (session_state.as_ref()).is_none_or(|state| *state == view.session_state)
            })
        }),
        Expect::Event {
            event,
            of,
            level,
            summary,
        } => {
            let (of, level) = (of.as_deref(), level.as_deref());
            let mut events = microsoft.events(event, of, level, summary.as_deref());
            events.next().is_some()
        }
        Expect::RoutePolicy {
            prefix,
            accepted,
            reason,
            ..
        } => condition::concerned(what, topology).all(|(c, session)| {
            match microsoft.route(c, session, *prefix) {
                Some(Policy::Accepted) => *accepted,
                Some(Policy::Refused(why)) => {
                    !accepted && reason.as_ref().is_none_or(|reason| reason == why)
                }
                None => false,
            }
        }),
        Expect::InternetRoute {
            prefix,
            from,
            present,
        } => learned(state, *prefix, *from).is_empty() != *present,
        Expect::Session { .. }
        | Expect::Lag { .. }
        | Expect::Member { .. }
        | Expect::Bfd { .. }
        | Expect::Route { .. }
        | Expect::RouterRoute { .. }
        | Expect::RouteStanding { .. }
        | Expect::Path { .. }
        | Expect::RouterPath { .. }
        | Expect::Traffic { .. }
        | Expect::MaximumPrefixes { .. }
        | Expect::Detected { .. }
        | Expect::Quiet => false,
    }
}

/// How it is instead; `None` for what is not of the Microsoft side.
pub fn instead(what: &Expect, state: &State, topology: &Topology) -> Option<String> {
    let microsoft = state.microsoft();
    let text = match what {
        Expect::Prefix(expected) => prefix_words(expected, microsoft),
        Expect::PeerAsn { .. } => match &microsoft.peer_asn {
            None => "nothing was told of the peer's AS number".to_owned(),
            Some(told) => format!("the peer's AS number is {}", state_words(told)),
        },
        Expect::RegisteredAsn { asn, present } => match present {
            true => format!("AS{asn} is not registered"),
            false => format!("AS{asn} is registered"),
        },
        Expect::Peering { peering, .. } => match microsoft.peerings.get(peering) {
            None => format!("there is no peering in {peering}"),
            Some(told) => format!("the peering in {peering} is {}", state_words(told)),
        },
        Expect::Connection {
            connections,
            state: wanted,
            session_state,
        } => {
            let wrong = connections.iter().filter_map(|name| {
                let Some(view) = microsoft.connections.get(name) else {
                    return Some(format!("nothing was told of connection {name}"));
                };
                let as_wanted = wanted.as_ref().is_none_or(|state| *state == view.state)
                    && (session_state.as_ref()).is_none_or(|state| *state == view.session_state);
                (!as_wanted).then(|| connection_words(name, view))
            });
            wrong.collect::<Vec<String>>().join("; ")
        }
        Expect::Event { event, .. } => {
            let of_type: Vec<String> = microsoft
                .events(event, None, None, None)
                .map(|told| format!("of {} ({}): {}", told.subject, told.level, told.summary))
                .collect();
            match of_type.as_slice() {
                [] => format!("no {event} since the step began"),
                others => format!("only {event} {}", words::list(others)),
            }
        }
        Expect::RoutePolicy { prefix, .. } => {
            let sessions = condition::concerned(what, topology);
            let wrong = sessions
                .filter(|(_, name)| !holds(&condition::narrowed(what, name), state, topology))
                .map(|(c, name)| match microsoft.route(c, name, *prefix) {
                    None => format!("{prefix} is not received on {name}"),
                    Some(Policy::Accepted) => format!("{prefix} is accepted on {name}"),
                    Some(Policy::Refused(why)) => {
                        format!("{prefix} is refused on {name} ({why})")
                    }
                });
            wrong.collect::<Vec<String>>().join("; ")
        }
        Expect::InternetRoute { prefix, from, .. } => {
            match learned(state, *prefix, *from).as_slice() {
                [] => format!("the internet has no route {prefix}"),
                from => format!(
                    "the internet has learned {prefix} from {}",
                    words::list(from)
                ),
            }
        }
        Expect::Session { .. }
        | Expect::Lag { .. }
        | Expect::Member { .. }
        | Expect::Bfd { .. }
        | Expect::Route { .. }
        | Expect::RouterRoute { .. }
        | Expect::RouteStanding { .. }
        | Expect::Path { .. }
        | Expect::RouterPath { .. }
        | Expect::Traffic { .. }
        | Expect::MaximumPrefixes { .. }
        | Expect::Detected { .. }
        | Expect::Quiet => return None,
    };
    Some(text)
}

/// The checks that the prefix of an expectation did not pass, the gravest first.
pub fn failures(what: &Expect, state: &State) -> Vec<Failure> {
    let Expect::Prefix(expected) = what else {
        return Vec::new();
    };
    let view = state.microsoft().prefix(expected.object, &expected.prefix);
    let mut failures = view.map_or_else(Vec::new, |view| view.failures.clone());
    failures.sort_by_key(|failure| Reverse(failure.severity));
    failures
}

/// What would help against these failures, each once: in words, and the lines of configuration below.
pub fn remedies(failures: &[Failure]) -> Vec<String> {
    // The same remedy on several sessions is said once, with the lines for each.
    let mut told: Vec<(&str, Vec<&[String]>)> = Vec::new();
    for failure in failures.iter().filter(|failure| !failure.remedy.is_empty()) {
        let config = failure.config.as_slice();
        match told
            .iter_mut()
            .find(|(remedy, _)| *remedy == failure.remedy)
        {
            Some((_, configs)) if configs.contains(&config) => {}
            Some((_, configs)) => configs.push(config),
            None => told.push((&failure.remedy, vec![config])),
        }
    }
    let told = told.into_iter().map(|(remedy, configs)| {
        let lines = configs.concat();
        let lines = lines.iter().map(|line| format!("\n  {line}"));
        format!("{remedy}{}", lines.collect::<String>())
    });
    told.collect()
}

/// What became of every prefix. One that ails is unexpected unless an expectation of the scenario fits it as it is.
pub fn ended(state: &State, scenario: &Scenario) -> Vec<PrefixEnded> {
    let expectations = || scenario.steps.iter().flat_map(|step| &step.expect);
    let asked_for = |object: PrefixObject, prefix: &str, view: &PrefixView| {
        expectations().any(|expectation| match &expectation.what {
            Expect::Prefix(expected) => {
                let says_why = expected.state.is_some() || !expected.reasons.is_empty();
                expected.object == object
                    && expected.prefix == prefix
                    && says_why
                    && view.is_as(expected)
            }
            _ => false,
        })
    };
    let prefixes = state.microsoft().prefixes();
    prefixes
        .map(|(object, prefix, view)| PrefixEnded {
            object,
            prefix: prefix.to_owned(),
            state: view.state.clone(),
            unexpected: view.ails() && !asked_for(object, prefix, view),
            failures: view.failures.clone(),
        })
        .collect()
}

/// The neighbours from which the internet's router has learned a prefix, among those that are asked for.
fn learned(state: &State, prefix: IpNet, from: Option<Speaker>) -> Vec<&'static str> {
    let neighbours = [
        (Speaker::Microsoft, WAN, "Microsoft"),
        (Speaker::Peer, CORE, "the peer"),
    ];
    let asked = neighbours
        .into_iter()
        .filter(|(speaker, _, _)| from.is_none_or(|from| from == *speaker));
    asked
        .filter(|(_, session, _)| {
            let session = session_name(session, Family::of(&prefix));
            let session = state.session(INTERNET, &session);
            session.is_some_and(|session| session.prefixes.contains(&prefix))
        })
        .map(|(_, _, name)| name)
        .collect()
}

fn state_words(told: &Told) -> String {
    match told.error.is_empty() {
        true => told.state.clone(),
        false => format!("{} ({})", told.state, told.error),
    }
}

fn connection_words(name: &str, view: &ConnectionView) -> String {
    let ConnectionView {
        state,
        session_state,
        why,
    } = view;
    match why.is_empty() {
        true => format!("connection {name} is {state}, its session {session_state}"),
        false => format!("connection {name} is {state}, its session {session_state} ({why})"),
    }
}

fn prefix_words(expected: &PrefixExpected, microsoft: &Microsoft) -> String {
    let PrefixExpected { object, prefix, .. } = expected;
    let name = words::object(*object);
    let Some(view) = microsoft.prefix(*object, prefix) else {
        return format!("there is no {name} {prefix}");
    };
    let mut text = format!(
        "the {name} {prefix} is {}",
        result(&view.state, &view.failures)
    );
    let lacking = view.lacking(expected);
    if !lacking.is_empty() {
        text.push_str(&format!("; not among them: {}", words::list(&lacking)));
    } else if let Some(at) = &expected.at {
        let at_fault: Vec<&str> = view.at_fault(&expected.reasons).into_iter().collect();
        if at.len() != at_fault.len() || !at.iter().all(|c| at_fault.contains(&c.as_str())) {
            text.push_str(&format!("; at fault: {}", words::list(&at_fault)));
        }
    }
    if expected.message.is_some() {
        let heading = view.message.as_ref();
        let heading = heading.map_or("no message", |message| &message.heading);
        text.push_str(&format!("; shown first: {heading}"));
    }
    if let Some(wanted) = &expected.learned_type
        && *wanted != view.learned_type
    {
        text.push_str(&format!("; learned type {}", view.learned_type));
    }
    text
}
