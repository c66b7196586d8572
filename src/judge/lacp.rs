//! What is expected of members of LAGs: of the edge's own end, and of the partner as its LACPDUs show it.

use std::time::Duration;

use super::state::{MemberView, State};
use super::{wiring, words};
use crate::record::{LacpHeard, LacpRhythm};
use crate::scenario::Expect;
use crate::topology::{Connection, Topology};

/// Whether the member is as it is wanted.
pub(super) fn holds(what: &Expect, state: &State, topology: &Topology, c: &Connection) -> bool {
    let Expect::Member {
        member,
        up,
        partner,
        sends_every,
        answers_marker,
        reason,
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
        && reason.as_ref().is_none_or(|reason| {
            let wrong = cable(c, Some(*member), state, topology);
            wrong.is_some_and(|wrong| wrong.to_string().contains(reason.as_str()))
        })
}

/// What is wrong with the cable of this member, or of some member.
fn cable(
    c: &Connection,
    member: Option<u8>,
    state: &State,
    topology: &Topology,
) -> Option<wiring::Fault> {
    let faults = wiring::faults(state, topology).into_iter();
    let mut own = faults.filter(|fault| fault.keeps_out(&c.name, member));
    own.next()
}

/// Two of the connections of an expectation that shall lead to distinct systems of the peer, and do not.
pub(super) fn not_distinct(
    what: &Expect,
    state: &State,
    topology: &Topology,
) -> Option<wiring::Fault> {
    let Expect::Lag {
        connections,
        distinct_systems: true,
        ..
    } = what
    else {
        return None;
    };
    let faults = wiring::faults(state, topology).into_iter();
    let mut own = faults.filter(wiring::Fault::is_one_system);
    own.find(|fault| {
        fault
            .connections
            .iter()
            .all(|name| connections.contains(name))
    })
}

/// Whether a partner is heard on some member.
pub(super) fn is_heard(state: &State, c: &Connection) -> bool {
    let mut members = (1..).take(c.members.len());
    members.any(|member| {
        let view = state.member(&c.edge, &c.name, member);
        view.is_some_and(|view| view.heard.is_some())
    })
}

/// What to do about the cable of a member or a LAG that does not come up.
pub(super) fn remedy(
    what: &Expect,
    state: &State,
    topology: &Topology,
    c: &Connection,
) -> Option<String> {
    let wrong = match what {
        Expect::Member { member, .. } => cable(c, Some(*member), state, topology),
        Expect::Lag { .. } => cable(c, None, state, topology),
        _ => None,
    };
    wrong.map(|wrong| wrong.remedy())
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
pub(super) fn instead(what: &Expect, state: &State, topology: &Topology, c: &Connection) -> String {
    let member = match what {
        Expect::Member { member, .. } => Some(*member),
        _ => None,
    };
    let is = match what {
        Expect::Lag { .. } => {
            let up = state.lag_up(&c.edge, &c.name);
            match is_heard(state, c) {
                true => format!("lag {} is {}", c.name, words::up_down(up)),
                false => format!(
                    "lag {} is {}, and its partner unheard",
                    c.name,
                    words::up_down(up)
                ),
            }
        }
        _ => member_instead(what, state, c),
    };
    match cable(c, member, state, topology) {
        Some(wrong) => format!("{is}: {wrong}"),
        None => is,
    }
}

fn member_instead(what: &Expect, state: &State, c: &Connection) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Fact, LacpSeen, Nanos};
    use crate::time::At;

    fn seen(state: &mut State, seen: LacpSeen) {
        let fact = Fact::LacpPartner {
            router: "ams-edge-1".to_owned(),
            connection: "ams-1".to_owned(),
            member: 1,
            seen,
        };
        state.apply(At::ZERO, &fact);
    }

    fn rhythm(interval: u64, intervals: u32, late: u32) -> LacpSeen {
        let interval = Nanos(interval * 1_000_000_000);
        LacpSeen::Rhythm(LacpRhythm {
            interval,
            intervals,
            shortest: interval,
            median: interval,
            longest: interval,
            early: 0,
            late,
        })
    }

    fn says(state: &str) -> LacpSeen {
        LacpSeen::Says(LacpHeard {
            system_priority: 1,
            system: "02:00:00:00:00:01".to_owned(),
            key: 1,
            port_priority: 1,
            port: 1,
            state: state.to_owned(),
            means_us: Some(true),
            early: Some(false),
            skipped: 0,
        })
    }

    #[test]
    fn a_partner_is_as_its_lacpdus_say() {
        let path = std::path::Path::new("topologies/one-metro.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let c = &topology.connections[0];
        let mut state = State::default();
        let wanted = |up, sends_every: Option<u64>, answers_marker| Expect::Member {
            connection: "ams-1".to_owned(),
            member: 1,
            up,
            partner: true,
            sends_every: sends_every.map(Duration::from_secs),
            answers_marker,
            reason: None,
        };
        let check = |state: &State, what: &Expect| match holds(what, state, &topology, c) {
            true => "met".to_owned(),
            false => instead(what, state, &topology, c),
        };
        let up = wanted(true, None, false);
        assert_eq!(check(&state, &up), "member ams-1/1 was never seen");
        seen(&mut state, says("active in-sync collecting"));
        let said = "the partner of member ams-1/1 says active in-sync collecting";
        assert_eq!(check(&state, &up), said);
        assert_eq!(check(&state, &wanted(false, None, false)), "met");
        seen(&mut state, says("active in-sync collecting distributing"));
        assert_eq!(check(&state, &up), "met");

        let every = wanted(true, Some(1), false);
        let said = "the LACPDUs on ams-1/1 were not measured yet";
        assert_eq!(check(&state, &every), said);
        seen(&mut state, rhythm(30, 2, 0));
        let said = "the LACPDUs on ams-1/1 come every 30 s to 30 s (30 s asked for)";
        assert_eq!(check(&state, &every), said);
        seen(&mut state, rhythm(1, 8, 1));
        let said = "the LACPDUs on ams-1/1 come every 1 s to 1 s (1 s asked for), 1 of 8 off by more than 250 ms";
        assert_eq!(check(&state, &every), said);
        seen(&mut state, rhythm(1, 16, 1));
        assert_eq!(check(&state, &every), "met");

        let asked = wanted(true, None, true);
        assert_eq!(check(&state, &asked), "no marker on ams-1/1 was answered");
        seen(&mut state, LacpSeen::MarkerAnswered(Nanos(1)));
        assert_eq!(check(&state, &asked), "met");
        state.apply(At::ZERO, &Fact::StepStarted { step: 1 });
        assert_eq!(check(&state, &asked), "no marker on ams-1/1 was answered");
    }
}
