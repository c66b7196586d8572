//! What is expected of BFD sessions: of the edge's own, and of the partner as its packets show it.

use std::time::Duration;

use super::state::{BfdView, State};
use super::words;
use crate::record::BfdRhythm;
use crate::scenario::Expect;
use crate::topology::Connection;

/// Of a hundred intervals so many may be outside of what jitter allows: another process had the CPU.
const OUTSIDE_PERCENT: u32 = 1;

/// Whether the session of that name is as it is wanted.
pub(super) fn holds(what: &Expect, state: &State, c: &Connection, name: &str) -> bool {
    let Expect::Bfd {
        up,
        diagnostic,
        partner,
        sends_every,
        answers_poll,
        ..
    } = what
    else {
        return false;
    };
    let view = state.bfd(&c.edge, name);
    let (now, why) = said(view, *partner);
    let says = |words: &String| why.contains(words.as_str());
    (now == "up") == *up
        && diagnostic.as_ref().is_none_or(says)
        && sends_every.is_none_or(|every| {
            view.and_then(|v| v.rhythm)
                .is_some_and(|r| keeps(&r, every))
        })
        && (!answers_poll || view.is_some_and(|view| view.answered))
}

/// The state and the diagnostic of the edge's session, or those in its partner's packets.
fn said(view: Option<&BfdView>, partner: bool) -> (&str, &str) {
    let Some(view) = view else {
        return ("", "");
    };
    match (partner, &view.heard) {
        (false, _) => (&view.state, &view.diagnostic),
        (true, Some(heard)) => (&heard.state, &heard.diagnostic),
        (true, None) => ("", ""),
    }
}

/// Whether packets came at this interval, less by jitter (RFC 5880, section 6.8.7).
fn keeps(rhythm: &BfdRhythm, every: Duration) -> bool {
    let outside = rhythm.early.saturating_add(rhythm.late);
    Duration::from(rhythm.interval) == every
        && u64::from(outside) * 100 <= u64::from(rhythm.intervals) * u64::from(OUTSIDE_PERCENT)
}

/// How the session is instead.
pub(super) fn instead(what: &Expect, state: &State, c: &Connection, name: &str) -> String {
    let Expect::Bfd {
        up,
        partner,
        sends_every,
        answers_poll,
        ..
    } = what
    else {
        return String::new();
    };
    let view = state.bfd(&c.edge, name);
    let (now, why) = said(view, *partner);
    let whose = if *partner {
        "the partner of bfd"
    } else {
        "bfd"
    };
    if now.is_empty() {
        return format!("{whose} {name} was never seen");
    }
    if (now == "up") == *up {
        let rhythm = view.and_then(|view| view.rhythm);
        match (sends_every, rhythm) {
            (Some(_), None) => return format!("the packets on {name} were not measured yet"),
            (Some(every), Some(rhythm)) if !keeps(&rhythm, *every) => {
                return format!("the packets on {name} come {}", self::rhythm(&rhythm));
            }
            _ => {}
        }
        if *answers_poll && !view.is_some_and(|view| view.answered) {
            return format!("no Poll on {name} was answered");
        }
    }
    match why {
        "" | "no diagnostic" => format!("{whose} {name} is {now}"),
        why => format!("{whose} {name} is {now} ({why})"),
    }
}

/// A rhythm in words, for example `every 113 to 150 ms (150 ms negotiated), 3 of 64 outside of its jitter`.
pub fn rhythm(rhythm: &BfdRhythm) -> String {
    let time = |nanos: crate::record::Nanos| words::duration(nanos.into());
    let outside = match rhythm.early.saturating_add(rhythm.late) {
        0 => String::new(),
        some => format!(", {some} of {} outside of its jitter", rhythm.intervals),
    };
    format!(
        "every {} to {} ({} negotiated){outside}",
        time(rhythm.shortest),
        time(rhythm.longest),
        time(rhythm.interval)
    )
}
