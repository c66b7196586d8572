//! What is expected of the Microsoft side: prefixes, ASN, peerings, connections and events.

use super::{one_of, state};
use crate::provider::{names, reason};
use crate::scenario::raw::RawExpect;
use crate::scenario::stage::Stage;
use crate::scenario::{ABSENT, Expect, PrefixExpected, PrefixObject};
use crate::source::{Located, Mistakes, Names, Span, list};

pub(super) fn parse(
    raw: &RawExpect,
    subject: &str,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    match subject {
        "registered-prefix" => {
            let text = raw.registered_prefix.as_ref()?;
            prefix(raw, PrefixObject::Registered, text, table, stage, mistakes)
        }
        "service-prefix" => {
            let text = raw.service_prefix.as_ref()?;
            prefix(raw, PrefixObject::Service, text, table, stage, mistakes)
        }
        "peer-asn" => {
            let asn = raw.peer_asn?;
            let own = stage.topology.peer.asn;
            if asn.value != own {
                let message = format!("the peer is not AS {}", asn.value);
                let diagnostic = mistakes.error(asn.span, message, format!("it is AS {own}"));
                mistakes.push(diagnostic.replace("write it", asn.span, own.to_string()));
            }
            let state = state(raw, table, subject, &names::PEER_ASN_STATES, mistakes)?;
            Some(Expect::PeerAsn { state })
        }
        "registered-asn" => {
            let asn = raw.registered_asn?.value;
            let state = state(raw, table, subject, &["present", ABSENT], mistakes)?;
            let present = state == "present";
            Some(Expect::RegisteredAsn { asn, present })
        }
        "peering" => {
            let metro = raw.peering.as_ref()?;
            let known = mistakes.known(metro, "metro", stage.metro_names());
            let state = state(raw, table, subject, &names::PEERING_STATES, mistakes)?;
            let peering = known.then(|| metro.value.clone())?;
            Some(Expect::Peering { peering, state })
        }
        "connection" => connection(raw, table, stage, mistakes),
        "event" => event(raw, mistakes),
        _ => None,
    }
}

fn prefix(
    raw: &RawExpect,
    object: PrefixObject,
    text: &Located<String>,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let subject = object.name();
    let (kind, known) = match object {
        PrefixObject::Registered => ("registered prefix", &stage.registered),
        PrefixObject::Service => ("activated prefix", &stage.activated),
    };
    let known = mistakes.known(text, kind, known.iter().map(String::as_str));
    let mut states = names::PREFIX_STATES.to_vec();
    states.push(ABSENT);
    let state = match &raw.state {
        Some(_) => Some(state(raw, table, subject, &states, mistakes)?),
        None => None,
    };
    let reasons = match &raw.reason {
        Some(given) => {
            let located = given.value.located(given.span);
            let reasons: Vec<Option<String>> = (located.iter())
                .map(|name| one_of(name, "reason", &reason::OF_PREFIXES, mistakes))
                .collect();
            reasons.into_iter().collect::<Option<Vec<String>>>()?
        }
        None => Vec::new(),
    };
    let learned_type = match &raw.learned_type {
        Some(given) => Some(one_of(
            given,
            "learned type",
            &names::LEARNED_TYPES,
            mistakes,
        )?),
        None => None,
    };
    let expected = state.is_some() || raw.reason.is_some() || raw.message.is_some();
    if !expected && learned_type.is_none() && !mistakes.is_struck(table, None) {
        let diagnostic = mistakes.error(table, "nothing is expected of this prefix", "");
        let keys = list(["state", "reason", "message"]);
        mistakes.push(diagnostic.note(format!("at least one of {keys}")));
    }
    let absent = state.as_deref() == Some(ABSENT);
    if let Some(given) = raw.reason.as_ref().filter(|_| absent) {
        let message = "a prefix that does not exist fails no check";
        mistakes.push(mistakes.error(given.span, message, "not with `absent`"));
    }
    let at = match &raw.at {
        Some(names) if raw.reason.is_none() => {
            let message = "`at` names the connections at fault, and there is no `reason`";
            mistakes.push(mistakes.error(names.span, message, "at fault for what?"));
            return None;
        }
        Some(names) => Some(stage.connections(names, mistakes)?),
        None => None,
    };
    Some(Expect::Prefix(PrefixExpected {
        object,
        prefix: known.then(|| text.value.clone())?,
        state,
        reasons,
        message: raw.message.as_ref().map(|message| message.value.clone()),
        at,
        learned_type,
    }))
}

fn connection(
    raw: &RawExpect,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let connections = stage.connections(raw.connection.as_ref()?, mistakes);
    let session_state = match &raw.session_state {
        Some(given) => Some(one_of(
            given,
            "session state",
            &names::SESSION_STATES,
            mistakes,
        )?),
        None => None,
    };
    let state = match (&raw.state, &session_state) {
        (None, Some(_)) => None,
        _ => Some(state(
            raw,
            table,
            "connection",
            &names::CONNECTION_STATES,
            mistakes,
        )?),
    };
    Some(Expect::Connection {
        connections: connections?,
        state,
        session_state,
    })
}

fn event(raw: &RawExpect, mistakes: &mut Mistakes) -> Option<Expect> {
    let event = one_of(raw.event.as_ref()?, "event", &names::EVENTS, mistakes);
    let level = match &raw.level {
        Some(given) => Some(one_of(given, "level", &names::EVENT_LEVELS, mistakes)?),
        None => None,
    };
    let summary = match raw.reason.as_ref().map(|given| &given.value) {
        Some(Names::One(text)) => Some(text.clone()),
        Some(Names::Several(_)) => {
            let message = "an event has one summary";
            let at = raw.reason.as_ref()?.span;
            mistakes.push(mistakes.error(at, message, "one text, or a part of it"));
            None
        }
        None => None,
    };
    Some(Expect::Event {
        event: event?,
        of: raw.of.as_ref().map(|of| of.value.clone()),
        level,
        summary,
    })
}
