//! What Microsoft's end of LACP is told to do, right or wrong.

use std::time::Duration;

use crate::lacp::{Identity, Markers, Misbehaviour, Part, Refusal};
use crate::scenario::raw::{RawLacpEnd, RawLacpOrder, RawLacpPart, RawLacpRate, RawLacpStep};
use crate::scenario::stage::Stage;
use crate::scenario::{Act, LacpOrder, LagPart};
use crate::source::{Duration as RawDuration, Located, Mistakes, in_words};
use crate::topology::system;

/// A LACPDU or an answer is held back at most so long.
const LATEST: Duration = Duration::from_secs(60);

pub(super) fn order(
    raw: &Located<RawLacpStep>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let (at, raw) = (raw.span, &raw.value);
    let targets = [
        ("connection", raw.connection.is_some()),
        ("member", raw.member.is_some()),
    ];
    let message = "LACP is told something on connections, or on one member";
    if !mistakes.exactly_one(at, &targets, message, "nobody is told here") {
        return None;
    }
    let keys = [
        ("order", raw.order.is_some()),
        ("rate", raw.rate.is_some()),
        ("active", raw.active.is_some()),
        ("system", raw.system.is_some()),
        ("key", raw.key.is_some()),
        ("port", raw.port.is_some()),
        ("changing", raw.changing.is_some()),
        ("moved-to", raw.moved_to.is_some()),
        ("drop", raw.drop.is_some()),
        ("duplicate", raw.duplicate.is_some()),
        ("delay", raw.delay.is_some()),
        ("marker-delay", raw.marker_delay.is_some()),
    ];
    let message = "a step tells LACP exactly one thing";
    if !mistakes.exactly_one(at, &keys, message, "nothing is told here") {
        return None;
    }
    let of_the_lag = [
        ("rate", raw.rate.map(|rate| rate.span)),
        ("active", raw.active.map(|active| active.span)),
    ];
    for (key, span) in of_the_lag {
        if let Some(span) = span.filter(|_| raw.member.is_some()) {
            let message = format!("`{key}` is the same on all members of a LAG");
            let diagnostic = mistakes.error(span, message, "not possible for one member");
            mistakes.push(diagnostic.help("name the `connection`"));
            return None;
        }
    }
    let on = match (&raw.connection, &raw.member) {
        (Some(names), _) => stage
            .connections(names, mistakes)?
            .into_iter()
            .map(|connection| LagPart {
                connection,
                member: None,
            })
            .collect(),
        (None, member) => {
            let (connection, member) = stage.member(member.as_ref()?, mistakes)?;
            let member = Some(member);
            vec![LagPart { connection, member }]
        }
    };
    let sends_marker = raw
        .order
        .is_some_and(|order| order.value == RawLacpOrder::SendMarker);
    if let Some(at) = raw.at.filter(|_| !sends_marker) {
        let message = "only a marker may be sent by either end";
        let diagnostic = mistakes.error(at.span, message, "not possible here");
        mistakes.push(diagnostic.help("the step tells Microsoft's end: leave `at` out"));
        return None;
    }
    let order = match (raw.rate, raw.active, &raw.moved_to) {
        (Some(rate), ..) => LacpOrder::Fast(rate.value == RawLacpRate::Fast),
        (_, Some(active), _) => LacpOrder::Active(active.value),
        (.., Some(other)) => moved(other, &on, stage, mistakes)?,
        _ if sends_marker => LacpOrder::SendMarker {
            by_peer: raw.at.is_some_and(|at| at.value == RawLacpEnd::Peer),
        },
        _ => LacpOrder::Misbehave(misbehaviour(raw, mistakes)?),
    };
    Some(Act::Lacp { order, on })
}

/// A member of another connection.
fn moved(
    other: &Located<String>,
    on: &[LagPart],
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<LacpOrder> {
    let (connection, member) = stage.member(other, mistakes)?;
    let [
        LagPart {
            connection: own,
            member: Some(_),
        },
    ] = on
    else {
        let message = "a cable is moved member by member";
        let diagnostic = mistakes.error(other.span, message, "not possible for a whole connection");
        mistakes.push(diagnostic.help("name one `member`"));
        return None;
    };
    if *own == connection {
        let message = format!("`{}` is a member of the same connection", other.value);
        mistakes.push(mistakes.error(other.span, message, "a member of another one"));
        return None;
    }
    Some(LacpOrder::MoveTo { connection, member })
}

fn misbehaviour(raw: &RawLacpStep, mistakes: &mut Mistakes) -> Option<Misbehaviour> {
    let mut how = match raw.order.map(|order| order.value) {
        Some(order) => ordered(order),
        None => Misbehaviour::default(),
    };
    how.identity = Identity {
        system: match &raw.system {
            Some(text) => Some(system(text, mistakes)?),
            None => None,
        },
        key: raw.key.map(|key| key.value),
        port: raw.port.map(|port| port.value),
    };
    how.changing = raw.changing.map(|part| match part.value {
        RawLacpPart::System => Part::System,
        RawLacpPart::Key => Part::Key,
        RawLacpPart::Port => Part::Port,
    });
    if let Some(percent) = raw.drop {
        how.drops = within(percent, 1, "percent of LACPDUs that are dropped", mistakes)?;
    }
    if let Some(times) = raw.duplicate {
        how.copies = within(times, 2, "times that a LACPDU is sent", mistakes)? - 1;
    }
    if let Some(delay) = raw.delay {
        how.delay = bounded(delay, mistakes)?;
    }
    if let Some(delay) = raw.marker_delay {
        how.markers = Markers::Late(bounded(delay, mistakes)?);
    }
    Some(how)
}

fn ordered(order: RawLacpOrder) -> Misbehaviour {
    let good = Misbehaviour::default();
    let refuses = |what| Misbehaviour {
        refuses: Some(what),
        ..good
    };
    match order {
        RawLacpOrder::Behave | RawLacpOrder::SendMarker => good,
        RawLacpOrder::Silence => Misbehaviour {
            silent: true,
            ..good
        },
        RawLacpOrder::RefuseSync => refuses(Refusal::Synchronization),
        RawLacpOrder::StopCollecting => refuses(Refusal::Collecting),
        RawLacpOrder::StopDistributing => refuses(Refusal::Distributing),
        RawLacpOrder::NameAnotherPartner => Misbehaviour {
            other_partner: true,
            ..good
        },
        RawLacpOrder::Reorder => Misbehaviour {
            reorders: true,
            ..good
        },
        RawLacpOrder::IgnoreMarkers => Misbehaviour {
            markers: Markers::Ignored,
            ..good
        },
    }
}

/// A number from `least` to 100.
fn within(given: Located<u8>, least: u8, what: &str, mistakes: &mut Mistakes) -> Option<u8> {
    let right = (least..=100).contains(&given.value);
    if !right {
        let message = format!("{} is not possible as the {what}", given.value);
        mistakes.push(mistakes.error(given.span, message, format!("{least} to 100")));
    }
    right.then_some(given.value)
}

/// A delay that is one, and not too long.
fn bounded(given: Located<RawDuration>, mistakes: &mut Mistakes) -> Option<Duration> {
    let value = given.value.0;
    let right = !value.is_zero() && value <= LATEST;
    if !right {
        let message = format!("a delay of {} is not possible", in_words(value));
        let label = format!("more than nothing, up to {}", in_words(LATEST));
        mistakes.push(mistakes.error(given.span, message, label));
    }
    right.then_some(value)
}
