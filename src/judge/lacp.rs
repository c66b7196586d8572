//! What is expected of members of LAGs: of the edge's own end, and of the partner as its LACPDUs show it.

use std::time::Duration;

use super::state::{MemberView, State};
use super::words;
use crate::record::{LacpHeard, LacpRhythm};
use crate::scenario::Expect;
use crate::topology::Connection;

/// Whether the member is as it is wanted.
pub(super) fn holds(what: &Expect, state: &State, c: &Connection) -> bool {
    let Expect::Member {
        member,
        up,
        partner,
        sends_every,
        answers_marker,
        ..
    } = what
    else {
        return false;
    };
    let view = state.member(&c.edge, &c.name, *member);
    works(view, *partner) == *up
        && sends_every.is_none_or(|every| {
            let rhythm = view.and_then(|view| view.rhythm);
            rhythm.is_some_and(|rhythm| keeps(&rhythm, every))
        })
        && (!answers_marker || view.is_some_and(|view| view.answered))
}

/// Whether the edge's end collects and distributes, or its partner says so.
fn works(view: Option<&MemberView>, partner: bool) -> bool {
    view.is_some_and(|view| match partner {
        false => view.working,
        true => view.heard.as_ref().is_some_and(forwards),
    })
}

fn forwards(heard: &LacpHeard) -> bool {
    heard.says("collecting") && heard.says("distributing")
}

/// Whether LACPDUs came at this interval.
fn keeps(rhythm: &LacpRhythm, every: Duration) -> bool {
    // One interval may have been disturbed, of many.
    let outside = rhythm.early.saturating_add(rhythm.late);
    Duration::from(rhythm.interval) == every && outside <= rhythm.intervals / 16
}

/// How the member is instead.
pub(super) fn instead(what: &Expect, state: &State, c: &Connection) -> String {
    let Expect::Member {
        member,
        up,
        partner,
        sends_every,
        answers_marker,
        ..
    } = what
    else {
        return String::new();
    };
    let name = format!("{}/{member}", c.name);
    let Some(view) = state.member(&c.edge, &c.name, *member) else {
        return format!("member {name} was never seen");
    };
    if works(Some(view), *partner) == *up {
        match (sends_every, view.rhythm) {
            (Some(_), None) => return format!("the LACPDUs on {name} were not measured yet"),
            (Some(every), Some(rhythm)) if !keeps(&rhythm, *every) => {
                return format!("the LACPDUs on {name} come {}", self::rhythm(&rhythm));
            }
            _ => {}
        }
        if *answers_marker && !view.answered {
            return format!("no marker on {name} was answered");
        }
    }
    match (partner, &view.heard) {
        (true, None) => format!("the partner of member {name} is not heard"),
        (true, Some(heard)) => format!("the partner of member {name} says {}", heard.state),
        (false, _) => format!(
            "member {name} is {} ({})",
            words::up_down(view.working),
            view.receive
        ),
    }
}

/// A rhythm in words, for example `every 990 to 1010 ms (1 s asked for), 3 of 64 off by more than 250 ms`.
pub fn rhythm(rhythm: &LacpRhythm) -> String {
    let time = |nanos: crate::record::Nanos| words::duration(nanos.into());
    let outside = match rhythm.early.saturating_add(rhythm.late) {
        0 => String::new(),
        some => format!(", {some} of {} off by more than 250 ms", rhythm.intervals),
    };
    format!(
        "every {} to {} ({} asked for){outside}",
        time(rhythm.shortest),
        time(rhythm.longest),
        time(rhythm.interval)
    )
}
