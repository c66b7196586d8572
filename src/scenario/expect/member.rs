//! What must follow for a member of a LAG, and for its partner as LACPDUs show it.

use std::time::Duration;

use super::{state, words};
use crate::lacp::periodic::{FAST_PERIODIC_TIME, SLOW_PERIODIC_TIME};
use crate::scenario::raw::{RawExpect, RawTimeout};
use crate::scenario::stage::Stage;
use crate::scenario::{Expect, LacpSays, Viewpoint};
use crate::source::{Duration as RawDuration, Located, Mistakes, Names, Span};
use crate::topology::system;

pub(super) fn parse(
    raw: &RawExpect,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let named = stage.member(raw.member.as_ref()?, mistakes);
    let state = state(raw, table, "member", &["distributing", "down"], mistakes)?;
    let (connection, member) = named?;
    Some(Expect::Member {
        connection,
        member,
        up: state == "distributing",
        at: match &raw.at {
            Some(at) => viewpoint(at, mistakes)?,
            None => Viewpoint::Edge,
        },
        sends_every: match raw.sends_every {
            Some(every) => Some(periodic(every, mistakes)?),
            None => None,
        },
        answers_marker: match raw.answers_marker {
            Some(answers) => Some(answers_marker(answers, raw, mistakes)?),
            None => None,
        },
        says: says(raw, mistakes)?,
        reason: match &raw.reason {
            Some(reason) => Some(words(reason, mistakes)?),
            None => None,
        },
    })
}

fn viewpoint(at: &Located<Names>, mistakes: &mut Mistakes) -> Option<Viewpoint> {
    if let Names::One(name) = &at.value {
        match name.as_str() {
            "partner" => return Some(Viewpoint::Partner),
            "peer" => return Some(Viewpoint::Peer),
            _ => {}
        }
    }
    let message =
        "a member is looked at from the edge, from the peer's end, or as its partner's packets say";
    mistakes.push(mistakes.error(at.span, message, "`peer` or `partner`, or leave it out"));
    None
}

/// That no answer came is so the moment a marker leaves, and says nothing before time has passed.
fn answers_marker(
    answers: Located<bool>,
    raw: &RawExpect,
    mistakes: &mut Mistakes,
) -> Option<bool> {
    let lasts = raw.r#for.is_some_and(|stays| !stays.value.0.is_zero());
    let right = answers.value || lasts;
    if !right {
        let message = "before it can be answered, every marker is unanswered";
        let diagnostic = mistakes.error(answers.span, message, "for how long?");
        mistakes.push(diagnostic.help("say how long no answer may come: `for = \"2s\"`"));
    }
    right.then_some(answers.value)
}

/// What the partner's LACPDUs shall say.
fn says(raw: &RawExpect, mistakes: &mut Mistakes) -> Option<LacpSays> {
    Some(LacpSays {
        active: raw.active.map(|active| active.value),
        short_timeout: raw.timeout.map(|it| it.value == RawTimeout::Short),
        system: match &raw.system {
            Some(text) => Some(system(text, mistakes)?),
            None => None,
        },
        key: raw.key.map(|key| key.value),
        port: raw.port.map(|port| port.value),
        in_sync_within: raw.in_sync_within.map(|time| time.value.0),
        distributes_early: raw.distributes_early.map(|early| early.value),
    })
}

/// One of the two intervals of LACPDUs (IEEE 802.1AX, 6.4.4).
fn periodic(every: Located<RawDuration>, mistakes: &mut Mistakes) -> Option<Duration> {
    let right = [FAST_PERIODIC_TIME, SLOW_PERIODIC_TIME].contains(&every.value.0);
    if !right {
        let message = "LACPDUs come every second or every 30 s";
        mistakes.push(mistakes.error(every.span, message, "\"1s\" or \"30s\""));
    }
    right.then_some(every.value.0)
}
