//! What is expected of members of LAGs: of the edge's own end, and of the partner as its LACPDUs show it.

mod cable;
mod markers;
mod says;

use markers::answers;
pub(super) use markers::untried;
pub use says::early_data;

use std::time::Duration;

use super::state::{Marker, MemberView, State};
use super::{wiring, words};
use crate::record::{LacpHeard, LacpRhythm};
use crate::scenario::{Expect, Viewpoint};
use crate::topology::{Connection, Topology};

/// Its machines run every 100 ms and a tick of the kernel's clock later (`AD_TIMER_INTERVAL` in drivers/net/bonding).
const SLOW_CLOCK: &str = "the kernel's bond counts in steps of 100 ms that each take a tick of its clock longer: its 30 s are up to 33 s, \
     and the standard allows for 250 ms; give the peer's end `backend = \"ours\"` to have it exact";

const STATIC: &str = "the other end sends data without LACP, as a static LAG or a plain interface does: make it a LAG with LACP, active \
     (Linux: bond mode 802.3ad; many routers: `mode active` instead of `mode on`)";

const COUPLED: &str = "the other end must wait with data until LACP tells it that this end collects: have it control collecting and \
     distributing independently where it can (Linux since 6.9: bond option `coupled_control off`); else what it sends meanwhile is lost";

/// Beyond this it is not its clock.
const MOST_STRAYED: Duration = Duration::from_secs(4);

/// Whether the member is as it is wanted.
pub(super) fn holds(what: &Expect, state: &State, topology: &Topology, c: &Connection) -> bool {
    let Expect::Member {
        member,
        up,
        at,
        sends_every,
        answers_marker,
        says,
        reason,
        ..
    } = what
    else {
        return false;
    };
    let view = view(state, c, *at, *member);
    works(view, *at) == *up
        && sends_every.is_none_or(|every| {
            let rhythm = view.and_then(|view| view.rhythm);
            rhythm.is_some_and(|rhythm| keeps(&rhythm, every))
        })
        && answers(view, *answers_marker)
        && says::differs(says, view).is_none()
        && reason.as_ref().is_none_or(|reason| {
            let wrong = cable::wrong(c, Some(*member), *at, state, topology);
            wrong.is_some_and(|wrong| wrong.contains(reason.as_str()))
        })
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
    let members = state.members_in_service(&c.name, c.members.len());
    members.into_iter().any(|member| {
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
        Expect::Member { member, .. } => cable::fault(c, Some(*member), state, topology),
        Expect::Lag { .. } => cable::fault(c, None, state, topology),
        _ => None,
    };
    let of_the_edge = matches!(
        what,
        Expect::Member {
            at: Viewpoint::Peer,
            ..
        }
    );
    let slow_clock = || {
        let strayed = strays(what, state, topology, c).filter(|by| !by.is_zero())?;
        let bond = !of_the_edge && state.peer_is_bond(c) && strayed < MOST_STRAYED;
        bond.then(|| SLOW_CLOCK.to_owned())
    };
    let early = || early_remedy(what, state, c).map(str::to_owned);
    wrong
        .map(|wrong| wrong.remedy())
        .or_else(slow_clock)
        .or_else(early)
}

/// What to do about a partner that distributes early, where that is what is wrong.
pub(super) fn early_remedy(what: &Expect, state: &State, c: &Connection) -> Option<&'static str> {
    let Expect::Member {
        member, at, says, ..
    } = what
    else {
        return None;
    };
    let view = view(state, c, *at, *member).filter(|_| says.distributes_early == Some(false))?;
    let early = view.early || view.early_data.is_some();
    (early && view.heard.is_some()).then_some(COUPLED)
}

/// What to do about partners that send data and no LACPDU.
pub(super) fn static_remedy(state: &State, c: &Connection) -> Option<&'static str> {
    let mut members = state
        .members_in_service(&c.name, c.members.len())
        .into_iter();
    let is_static = members.any(|member| {
        let view = state.member(&c.edge, &c.name, member);
        view.is_some_and(|view| {
            let data = view.early_data.as_ref();
            view.heard.is_none() && data.is_some_and(|data| data.unheard)
        })
    });
    is_static.then_some(STATIC)
}

/// The member as the end sees it from which it is looked at.
fn view<'a>(state: &'a State, c: &Connection, at: Viewpoint, member: u8) -> Option<&'a MemberView> {
    state.member(end(c, at), &c.name, member)
}

/// The router of the end from which a member is looked at.
fn end(c: &Connection, at: Viewpoint) -> &str {
    match at {
        Viewpoint::Edge | Viewpoint::Partner => &c.edge,
        Viewpoint::Peer => &c.router,
    }
}

/// Whether the end collects and distributes, or its partner says so.
fn works(view: Option<&MemberView>, at: Viewpoint) -> bool {
    view.is_some_and(|view| match at {
        Viewpoint::Edge | Viewpoint::Peer => view.working,
        Viewpoint::Partner => view.heard.as_ref().is_some_and(forwards),
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

/// By how much single LACPDUs were too early or too late, if any, where nothing else is wrong.
pub(super) fn strays(
    what: &Expect,
    state: &State,
    topology: &Topology,
    c: &Connection,
) -> Option<Duration> {
    if holds(what, state, topology, c) {
        return Some(Duration::ZERO);
    }
    let mut else_wanted = what.clone();
    let Expect::Member {
        member,
        at,
        sends_every,
        ..
    } = &mut else_wanted
    else {
        return None;
    };
    let every = sends_every.take()?;
    let rhythm = view(state, c, *at, *member)?.rhythm?;
    let else_well =
        holds(&else_wanted, state, topology, c) && Duration::from(rhythm.interval) == every;
    let late = Duration::from(rhythm.longest).saturating_sub(every);
    let early = every.saturating_sub(rhythm.shortest.into());
    else_well.then_some(late.max(early))
}

/// How the member is instead.
pub(super) fn instead(what: &Expect, state: &State, topology: &Topology, c: &Connection) -> String {
    let (member, at) = match what {
        Expect::Member {
            member,
            at,
            reason: Some(_),
            ..
        } => (Some(*member), *at),
        Expect::Member { member, .. } => (Some(*member), Viewpoint::Edge),
        _ => (None, Viewpoint::Edge),
    };
    let wrong = cable::wrong(c, member, at, state, topology);
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
        _ => member_instead(what, state, c, wrong.is_some()),
    };
    match wrong {
        Some(wrong) => format!("{is}: {wrong}"),
        None => is,
    }
}

fn member_instead(what: &Expect, state: &State, c: &Connection, wrong: bool) -> String {
    let Expect::Member {
        member,
        up,
        at,
        sends_every,
        answers_marker,
        says,
        reason,
        ..
    } = what
    else {
        return String::new();
    };
    let name = match at {
        Viewpoint::Edge | Viewpoint::Partner => format!("{}/{member}", c.name),
        Viewpoint::Peer => format!("{}/{member} at the peer's end", c.name),
    };
    let Some(view) = view(state, c, *at, *member) else {
        return format!("member {name} was never seen");
    };
    if works(Some(view), *at) == *up {
        match (sends_every, view.rhythm) {
            (Some(_), None) => return format!("the LACPDUs on {name} were not measured yet"),
            (Some(every), Some(rhythm)) if !keeps(&rhythm, *every) => {
                return format!("the LACPDUs on {name} come {}", self::rhythm(&rhythm));
            }
            _ => {}
        }
        if !answers(Some(view), *answers_marker) {
            return match &view.marker {
                Marker::Unasked => format!("no marker on {name} was sent"),
                Marker::Unsent(why) => format!("no marker on {name} was sent: {why}"),
                Marker::Unanswered => format!("no marker on {name} was answered"),
                Marker::Answered => format!("a marker on {name} was answered"),
            };
        }
        if let Some(differs) = says::differs(says, Some(view)) {
            return format!("the partner of member {name} {differs}");
        }
        if reason.is_some() {
            return match wrong {
                true => format!("what is wrong with the cable of {name} is something else"),
                false => format!("nothing is known to be wrong with the cable of {name}"),
            };
        }
    }
    match (at, &view.heard) {
        (Viewpoint::Partner, None) => format!("the partner of member {name} is not heard"),
        (Viewpoint::Partner, Some(heard)) => {
            format!("the partner of member {name} says {}", heard.state)
        }
        (Viewpoint::Edge | Viewpoint::Peer, _) => format!(
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
    use crate::judge::condition;
    use crate::record::{AutoBackend, Fact, LacpEarlyData, LacpSeen, Nanos};
    use crate::scenario::LacpSays;
    use crate::time::At;
    use crate::topology::LagBackend;

    fn seen(state: &mut State, seen: LacpSeen) {
        seen_at("ams-edge-1", state, seen);
    }

    fn seen_at(router: &str, state: &mut State, seen: LacpSeen) {
        let fact = Fact::LacpPartner {
            router: router.to_owned(),
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
        let wanted = |up, sends_every: Option<u64>, answers_marker: bool| Expect::Member {
            connection: "ams-1".to_owned(),
            member: 1,
            up,
            at: Viewpoint::Partner,
            sends_every: sends_every.map(Duration::from_secs),
            answers_marker: answers_marker.then_some(true),
            says: LacpSays::default(),
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
        let blamed = strays(&every, &state, &topology, c);
        assert_eq!(blamed, Some(Duration::ZERO), "none of them was measured");
        let mut bond = c.clone();
        bond.backends.peer = LagBackend::Kernel;
        let help = remedy(&every, &state, &topology, &bond);
        assert_eq!(help, None, "its clock is not slow");
        let mut limping = rhythm(1, 8, 1);
        if let LacpSeen::Rhythm(rhythm) = &mut limping {
            (rhythm.shortest, rhythm.longest) = (Nanos(900_000_000), Nanos(1_320_000_000));
        }
        seen(&mut state, limping);
        let blamed = strays(&every, &state, &topology, c);
        assert_eq!(blamed, Some(Duration::from_millis(320)));
        let other = wanted(true, Some(30), false);
        assert_eq!(
            strays(&other, &state, &topology, c),
            None,
            "another interval is kept"
        );
        assert_eq!(remedy(&every, &state, &topology, c), None);
        let help = remedy(&every, &state, &topology, &bond);
        assert_eq!(help.as_deref(), Some(SLOW_CLOCK));
        bond.backends.peer = LagBackend::Auto;
        for kernel in [false, true] {
            let taken = AutoBackend {
                router: c.router.clone(),
                connection: c.name.clone(),
                kernel,
                why: String::new(),
            };
            state.apply(At::ZERO, &Fact::AutoBackend(taken));
            let help = remedy(&every, &state, &topology, &bond);
            assert_eq!(help.as_deref(), kernel.then_some(SLOW_CLOCK));
        }
        let down = wanted(false, Some(1), false);
        assert_eq!(
            strays(&down, &state, &topology, c),
            None,
            "the state is wrong, too"
        );
        seen(&mut state, rhythm(1, 16, 1));
        assert_eq!(check(&state, &every), "met");

        let asked = wanted(true, None, true);
        assert_eq!(check(&state, &asked), "no marker on ams-1/1 was sent");
        seen(&mut state, LacpSeen::NoMarker("it is dark".to_owned()));
        let said = "no marker on ams-1/1 was sent: it is dark";
        assert_eq!(check(&state, &asked), said);
        seen(&mut state, LacpSeen::MarkerSent);
        assert_eq!(check(&state, &asked), "no marker on ams-1/1 was answered");
        seen(&mut state, LacpSeen::MarkerAnswered(Nanos(1)));
        assert_eq!(check(&state, &asked), "met");
        let sent = |state: &mut State, step| {
            state.apply(At::ZERO, &Fact::StepStarted { step });
            assert_eq!(check(state, &asked), "no marker on ams-1/1 was sent");
        };
        sent(&mut state, 1);
        seen(&mut state, LacpSeen::MarkerSent);
        // The answer comes when the step is over.
        sent(&mut state, 2);
        seen(&mut state, LacpSeen::MarkerAnswered(Nanos(1)));
        assert_eq!(check(&state, &asked), "no marker on ams-1/1 was sent");
        seen(&mut state, LacpSeen::MarkerSent);
        seen(&mut state, LacpSeen::EarlierMarkerAnswered(Nanos(1)));
        assert_eq!(check(&state, &asked), "no marker on ams-1/1 was answered");
    }

    #[test]
    fn the_peers_end_tells_what_becomes_of_its_markers() {
        let path = std::path::Path::new("topologies/one-metro.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let c = &topology.connections[0];
        let mut state = State::default();
        let wanted = |answers_marker| Expect::Member {
            connection: "ams-1".to_owned(),
            member: 1,
            up: false,
            at: Viewpoint::Peer,
            sends_every: None,
            answers_marker: Some(answers_marker),
            says: LacpSays::default(),
            reason: None,
        };
        let check = |state: &State, what: &Expect| match holds(what, state, &topology, c) {
            true => "met".to_owned(),
            false => instead(what, state, &topology, c),
        };
        let (answered, unanswered) = (wanted(true), wanted(false));
        let said = "member ams-1/1 at the peer's end was never seen";
        assert_eq!(check(&state, &unanswered), said);
        seen(&mut state, LacpSeen::MarkerSent);
        assert_eq!(check(&state, &unanswered), said, "that was the edge's end");
        seen_at(&c.router, &mut state, says("active"));
        let said = "no marker on ams-1/1 at the peer's end was sent";
        assert_eq!(check(&state, &answered), said);
        assert_eq!(check(&state, &unanswered), said, "there is none to answer");
        seen_at(&c.router, &mut state, LacpSeen::MarkerSent);
        assert_eq!(check(&state, &unanswered), "met");
        let said = "no marker on ams-1/1 at the peer's end was answered";
        assert_eq!(check(&state, &answered), said);
        seen_at(&c.router, &mut state, LacpSeen::MarkerAnswered(Nanos(1)));
        assert_eq!(check(&state, &answered), "met");
        let said = "a marker on ams-1/1 at the peer's end was answered";
        assert_eq!(check(&state, &unanswered), said);
    }

    /// Whatever else is broken; and a partner without LACP is told of where its LAG, or what needs it, is down.
    #[test]
    fn who_distributes_early_is_told_what_to_do() {
        let path = std::path::Path::new("topologies/one-metro.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let c = &topology.connections[0];
        let mut state = State::default();
        let data = |unheard| {
            LacpSeen::EarlyData(LacpEarlyData {
                frames: 1,
                first: "ARP".to_owned(),
                unheard,
                before: None,
            })
        };
        let lag = Expect::Lag {
            connections: vec![c.name.clone()],
            up: true,
            distinct_systems: false,
        };
        let help = |state: &State| condition::help(&lag, state, &topology);
        seen(&mut state, data(false));
        assert_ne!(help(&state).as_deref(), Some(STATIC));
        seen(&mut state, data(true));
        assert_eq!(help(&state).as_deref(), Some(STATIC));
        seen(&mut state, says("active"));
        assert_ne!(help(&state).as_deref(), Some(STATIC));
        let early = |up, distributes_early| Expect::Member {
            connection: c.name.clone(),
            member: 1,
            up,
            at: Viewpoint::Partner,
            sends_every: None,
            answers_marker: None,
            says: LacpSays {
                distributes_early,
                ..LacpSays::default()
            },
            reason: None,
        };
        let broken = Fact::FaultHappened {
            fault: String::new(),
            connections: vec![c.name.clone()],
            repaired: false,
            impairment: false,
        };
        state.apply(At::ZERO, &broken);
        let help = |what: &Expect| condition::help(what, &state, &topology);
        let is = "the scenario broke ams-1 and has not repaired it";
        assert_eq!(help(&early(true, None)).as_deref(), Some(is));
        assert_eq!(help(&early(true, Some(false))).as_deref(), Some(COUPLED));
    }
}
