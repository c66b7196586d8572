//! What Microsoft's end of a BFD session is told to do, right or wrong.

use std::num::NonZeroU8;
use std::time::Duration;

use crate::bfd::{Micros, Misbehaviour, Order, TimersChange, Wrong};
use crate::scenario::Act;
use crate::scenario::raw::{RawBfdStep, RawOrder};
use crate::scenario::stage::Stage;
use crate::source::{Duration as RawDuration, Located, Mistakes, in_words, list};
use crate::topology::{BfdSession, Over, Topology};

pub(super) fn order(
    raw: &Located<RawBfdStep>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let (at, raw) = (raw.span, &raw.value);
    let example = "session = \"ams-1\"";
    let names = raw.session.as_ref();
    let names = mistakes.require(names, at, "`bfd`", "session", example);
    let timers = raw.interval.is_some() || raw.multiplier.is_some();
    let keys = [
        ("order", raw.order.is_some()),
        ("delay", raw.delay.is_some()),
        // Beside a delay it is a part of it.
        ("jitter", raw.jitter.is_some() && raw.delay.is_none()),
        ("sends-every", raw.sends_every.is_some()),
        ("ttl", raw.ttl.is_some()),
        ("wrong", raw.wrong.is_some()),
        ("interval", timers),
    ];
    let message = "a step tells BFD exactly one thing";
    if !mistakes.exactly_one(at, &keys, message, "nothing is told here") {
        return None;
    }
    if let Some(poll) = raw.poll.filter(|_| !timers) {
        let message = "`poll` belongs to `interval` and `multiplier`";
        mistakes.push(mistakes.error(poll.span, message, "nothing to ask about"));
        return None;
    }
    let good = Misbehaviour::default();
    let order = match raw.order.map(|order| order.value) {
        Some(RawOrder::Silence) => Order::Misbehave(Misbehaviour {
            silent: true,
            ..good
        }),
        Some(RawOrder::AskDemand) => Order::Misbehave(Misbehaviour {
            demand: true,
            ..good
        }),
        Some(RawOrder::Behave) => Order::Misbehave(good),
        Some(RawOrder::Disable) => Order::Disable,
        Some(RawOrder::Enable) => Order::Enable,
        None if timers => self::timers(raw, mistakes)?,
        None => Order::Misbehave(misbehaviour(raw, mistakes)?),
    };
    let sessions = stage.bfd_sessions(names?, mistakes)?;
    if let Some(wrong) = &raw.wrong {
        can_be_wrong(wrong, &sessions, stage.topology, mistakes)?;
    }
    Some(Act::Bfd { order, sessions })
}

/// A sequence number is wrong only where there is one; whatever else can be wrong is in every packet, or is put there.
fn can_be_wrong(
    wrong: &Located<String>,
    sessions: &[String],
    topology: &Topology,
    mistakes: &mut Mistakes,
) -> Option<()> {
    if wrong.value != Wrong::Sequence.name() {
        return Some(());
    }
    let sessions = sessions.iter();
    let known = sessions.filter_map(|name| Some((name, topology.bfd_session(name)?)));
    let without = known.filter(|(_, session)| {
        let authentication = session.authentication();
        !authentication.is_some_and(|it| it.kind.has_sequence())
    });
    let without: Vec<(&String, BfdSession<'_>)> = without.collect();
    let Some((_, first)) = without.first() else {
        return Some(());
    };
    let names = list(without.iter().map(|(name, _)| name.as_str()));
    let message = format!("packets of {names} have no sequence number");
    let diagnostic = mistakes.error(wrong.span, message, "there is none to be wrong");
    let remedy = match first.over {
        Over::Hops(_) => "leave sessions inside a network out: they do not authenticate",
        Over::Lag(_) => {
            "give both ends, the `bfd` of the connection and of its router, an `authentication` such as `keyed-sha1` in the topology"
        }
        Over::Member(..) => {
            "give the `micro-bfd` of the connection an `authentication` such as `keyed-sha1` in the topology"
        }
    };
    mistakes.push(diagnostic.help(remedy));
    None
}

/// What is not given stays as it is.
fn timers(raw: &RawBfdStep, mistakes: &mut Mistakes) -> Option<Order> {
    let interval = match raw.interval {
        Some(given) => Some(Micros::from(bounded(
            given,
            Duration::from_millis(1),
            mistakes,
        )?)),
        None => None,
    };
    let multiplier = match raw.multiplier {
        Some(given) => {
            let multiplier = NonZeroU8::new(given.value);
            if multiplier.is_none() {
                let message = "the BFD multiplier is 0";
                let diagnostic = mistakes.error(given.span, message, "1 to 255");
                mistakes
                    .push(diagnostic.help("to send one, write `wrong = \"detect-multiplier\"`"));
            }
            Some(multiplier?)
        }
        None => None,
    };
    Some(Order::Timers {
        change: TimersChange {
            desired_min_tx: interval,
            required_min_rx: interval,
            detect_multiplier: multiplier,
        },
        poll: raw.poll.is_none_or(|poll| poll.value),
    })
}

fn misbehaviour(raw: &RawBfdStep, mistakes: &mut Mistakes) -> Option<Misbehaviour> {
    let mut how = Misbehaviour::default();
    if let Some(delay) = raw.delay {
        how.delay = bounded(delay, Duration::ZERO, mistakes)?;
    }
    if let Some(jitter) = raw.jitter {
        how.jitter = bounded(jitter, Duration::ZERO, mistakes)?;
    }
    if let Some(pace) = raw.sends_every {
        let pace = bounded(pace, Duration::from_millis(1), mistakes)?;
        how.pace = Some(Micros::from(pace));
    }
    if let Some(ttl) = raw.ttl {
        if ttl.value == 0 {
            let message = "nothing can be sent with a TTL of 0";
            mistakes.push(mistakes.error(ttl.span, message, "1 to 255"));
            return None;
        }
        how.ttl = Some(ttl.value);
    }
    if let Some(wrong) = &raw.wrong {
        let names = Wrong::ALL.map(Wrong::name);
        if !mistakes.known(wrong, "fault of a BFD packet", names) {
            return None;
        }
        how.wrong = Wrong::named(&wrong.value);
    }
    Some(how)
}

/// A time of at least this and at most a minute.
fn bounded(
    given: Located<RawDuration>,
    least: Duration,
    mistakes: &mut Mistakes,
) -> Option<Duration> {
    let value = given.value.0;
    let right = (least..=Duration::from_secs(60)).contains(&value);
    if !right {
        let message = format!("{} is not possible", in_words(value));
        let label = format!("{} to 60s", in_words(least));
        mistakes.push(mistakes.error(given.span, message, label));
    }
    right.then_some(value)
}
