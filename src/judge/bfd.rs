//! What is expected of BFD sessions: of the edge's own, and of the partner as its packets show it.

use std::net::IpAddr;
use std::time::Duration;

use super::state::{BfdView, State};
use super::words;
use crate::bgp::family::Family;
use crate::record::{BfdDiscardReason, BfdDiscarded, BfdRhythm};
use crate::scenario::Expect;
use crate::topology::{BfdSession, Connection, Inner, Topology};

/// Of a hundred intervals so many may be outside of what jitter allows: another process had the CPU.
const OUTSIDE_PERCENT: u32 = 1;

/// A name of a BFD session, the session, and how its end sees it, if anything was told of it.
type Named<'a> = (&'a str, Option<BfdSession<'a>>, Option<&'a BfdView>);

/// The sessions of an expectation.
fn named<'a>(
    what: &'a Expect,
    state: &'a State,
    topology: &'a Topology,
) -> impl Iterator<Item = Named<'a>> {
    let names = match what {
        Expect::Bfd { sessions, .. } => &sessions[..],
        _ => &[],
    };
    names.iter().map(move |name| {
        let session = topology.bfd_session(name);
        let view = session.and_then(|it| state.bfd(it.router, &it.at_router()));
        (name.as_str(), session, view)
    })
}

/// Those that are not as they are wanted.
pub(super) fn wrong<'a>(
    what: &'a Expect,
    state: &'a State,
    topology: &'a Topology,
) -> impl Iterator<Item = Named<'a>> {
    named(what, state, topology).filter(|(_, _, view)| !holds(what, *view))
}

/// Whether a session is as it is wanted.
fn holds(what: &Expect, view: Option<&BfdView>) -> bool {
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

/// The state and the diagnostic of the session at its end, or those in its partner's packets.
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

/// By how much single packets were too early or too late at most, if any, where nothing else is wrong with any of the sessions.
pub(super) fn strays(what: &Expect, state: &State, topology: &Topology) -> Option<Duration> {
    let of_each = named(what, state, topology).map(|(_, _, view)| stray(what, view?));
    of_each.collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn stray(what: &Expect, view: &BfdView) -> Option<Duration> {
    if holds(what, Some(view)) {
        return Some(Duration::ZERO);
    }
    let mut else_wanted = what.clone();
    let Expect::Bfd { sends_every, .. } = &mut else_wanted else {
        return None;
    };
    let every = sends_every.take()?;
    let rhythm = view.rhythm?;
    let else_well = holds(&else_wanted, Some(view)) && Duration::from(rhythm.interval) == every;
    let late = Duration::from(rhythm.longest).saturating_sub(every);
    let early = (every * 3 / 4).saturating_sub(rhythm.shortest.into());
    else_well.then_some(late.max(early))
}

/// How each session is instead that is not as it is wanted.
pub(super) fn instead_of_all(what: &Expect, state: &State, topology: &Topology) -> String {
    let wrong = wrong(what, state, topology).map(|(name, _, view)| instead(what, view, name));
    match wrong.collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        wrong => words::list(wrong),
    }
}

fn instead(what: &Expect, view: Option<&BfdView>, name: &str) -> String {
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
    let (now, why) = said(view, *partner);
    let whose = if *partner {
        "the partner of bfd"
    } else {
        "bfd"
    };
    let refusal = refusal(view);
    if now.is_empty() {
        return format!("{whose} {name} was never seen{refusal}");
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
        "" | "no diagnostic" => format!("{whose} {name} is {now}{refusal}"),
        why => format!("{whose} {name} is {now} ({why}){refusal}"),
    }
}

/// That packets come and are not taken, if so, and why.
fn refusal(view: Option<&BfdView>) -> String {
    let packet = view.and_then(|view| view.discarded.as_ref());
    packet.map_or_else(String::new, |BfdDiscarded { why, .. }| {
        format!(" (packets of its partner are discarded: {why})")
    })
}

/// What to do about a session that is not up, at the router at its other end; `microsoft` is the address it must know.
pub(super) fn remedy(
    view: Option<&BfdView>,
    name: &str,
    c: &Connection,
    microsoft: IpAddr,
) -> String {
    let router = &c.router;
    let micro = c.micro_bfd.filter(|_| is_on_member(c, name));
    let (table, timers) = match micro {
        Some(micro) => ("micro-bfd", micro.microsoft.timers),
        None => ("bfd", c.bfd.timers),
    };
    let never = view.is_none_or(|view| !view.was_up);
    let is_not = if never { "never came" } else { "is not" };
    if let Some(BfdDiscarded { why, reason, .. }) = view.and_then(|view| view.discarded.as_ref()) {
        let remedy = match reason {
            BfdDiscardReason::Authentication => format!(
                "give {router} the type, key number and password that `{table}` of {} has, or none if it has none",
                c.name
            ),
            BfdDiscardReason::Source => {
                format!("let {router} send them from the address that it has on the connection")
            }
            BfdDiscardReason::Ttl => format!(
                "let {router} send them with TTL 255, and nothing forward them on their way"
            ),
            BfdDiscardReason::Other => {
                format!("{router} sends what RFC 5880, section 6.8.6, has discarded")
            }
        };
        return format!(
            "BFD {is_not} up on {name}: packets of {router} come and are discarded ({why}): {remedy}"
        );
    }
    let unheard = |view: &BfdView| {
        let says_down = view.heard.as_ref().is_some_and(|it| it.state == "down");
        view.state == "init" && says_down
    };
    if view.is_some_and(unheard) {
        return format!(
            "BFD {is_not} up on {name}: packets of {router} come, but it takes none from {microsoft}: look at its authentication, filters and session addresses"
        );
    }
    format!(
        "BFD {is_not} up on {name}: configure BFD on {router} for {microsoft} (interval {}, multiplier {})",
        words::duration(timers.interval),
        timers.multiplier,
    )
}

/// What the partner of BFD on a member does, where packets of it are seen and the session is not up; `None` if on no member.
pub(super) fn remedy_on_members(state: &State, c: &Connection) -> Option<String> {
    let microsoft = match c.micro_bfd?.family {
        Family::Ipv6Unicast => IpAddr::V6(c.ipv6?.microsoft),
        Family::Ipv4Unicast => IpAddr::V4(c.addresses.microsoft),
    };
    let members = state.members_in_service(&c.name, c.members.len());
    let names = members.iter().map(|member| format!("{}/{member}", c.name));
    let mut seen = names.filter_map(|name| Some((state.bfd(&c.edge, &name)?, name)));
    let (view, name) = seen.find(|(view, _)| !["up", "off"].contains(&view.state.as_str()))?;
    Some(remedy(Some(view), &name, c, microsoft))
}

/// What keeps a session inside a network down: what the scenario broke, who does not play, or packets that are discarded.
pub(super) fn remedy_inside(
    state: &State,
    topology: &Topology,
    inner: Inner<'_>,
    name: &str,
) -> Option<String> {
    let mut connections = topology.connections.iter();
    let edge = connections.find(|it| it.edge == inner.border && state.broken(&it.name));
    let link = Some(inner.name()).filter(|link| state.broken(link));
    if let Some(broken) = link.or_else(|| Some(edge?.name.clone())) {
        return Some(format!(
            "the scenario broke {broken} and has not repaired it"
        ));
    }
    if state.device(inner.border).is_some() {
        let border = inner.border;
        return Some(format!(
            "BFD inside the peer's network guards simulated routers only, and {border} is played by a device"
        ));
    }
    let session = topology.bfd_session(name)?;
    let view = state.bfd(session.router, &session.at_router())?;
    let BfdDiscarded { why, .. } = view.discarded.as_ref()?;
    let neighbour = session.neighbour;
    Some(format!(
        "packets of {neighbour} come and are discarded ({why})"
    ))
}

/// Whether the session of that name is on a member of the connection: `ams-1/1`.
fn is_on_member(c: &Connection, name: &str) -> bool {
    let member = name
        .strip_prefix(&*c.name)
        .and_then(|it| it.strip_prefix('/'));
    member.is_some_and(|member| member.parse::<u8>().is_ok())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::condition;
    use crate::record::{Fact, InService, MicroBfd, Nanos};
    use crate::time::At;

    fn rhythm(interval: u64, shortest: u64, longest: u64) -> Fact {
        let ms = |millis: u64| Nanos(millis * 1_000_000);
        Fact::BfdRhythm {
            router: "ams-edge-1".to_owned(),
            connection: "ams-1".to_owned(),
            rhythm: BfdRhythm {
                interval: ms(interval),
                intervals: 64,
                shortest: ms(shortest),
                median: ms(interval),
                p99: ms(longest),
                longest: ms(longest),
                early: 0,
                late: 2,
            },
        }
    }

    #[test]
    fn strays_are_blamed_only_where_nothing_else_is_wrong() {
        let path = std::path::Path::new("topologies/one-metro.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let wanted = |up, answers_poll| Expect::Bfd {
            sessions: vec!["ams-1".to_owned()],
            up,
            diagnostic: None,
            partner: false,
            sends_every: Some(Duration::from_millis(300)),
            answers_poll,
        };
        let up = Fact::Bfd {
            router: "ams-edge-1".to_owned(),
            connection: "ams-1".to_owned(),
            state: "up".to_owned(),
            diagnostic: String::new(),
            last_received: None,
            detection_time: None,
        };
        let ms = |millis| Some(Duration::from_millis(millis));
        for (up_wanted, answers, told, strays) in [
            (true, false, rhythm(300, 225, 344), ms(44)),
            (true, false, rhythm(300, 172, 300), ms(53)),
            (true, false, rhythm(300, 225, 300), ms(0)),
            // Another rhythm is kept; it is not up as wanted; no Poll was answered.
            (true, false, rhythm(150, 113, 344), None),
            (false, false, rhythm(300, 225, 344), None),
            (true, true, rhythm(300, 225, 344), None),
        ] {
            let mut state = State::default();
            state.apply(At::ZERO, &up);
            state.apply(At::ZERO, &told);
            let what = wanted(up_wanted, answers);
            assert_eq!(super::strays(&what, &state, &topology), strays, "{told:?}");
            let mut other_words = what.clone();
            if let Expect::Bfd { diagnostic, .. } = &mut other_words {
                *diagnostic = Some("path down".to_owned());
            }
            let blamed = super::strays(&other_words, &state, &topology);
            assert_eq!(blamed, None, "the diagnostic is wrong, too");
        }
    }

    /// What keeps a session down is told where it is known: packets that come and are discarded, or come and tell that ours do not.
    #[test]
    fn a_session_that_is_down_is_told_why() {
        let path = std::path::Path::new("topologies/one-metro.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let c = &topology.connections[0];
        let (router, connection) = ("ams-edge-1".to_owned(), "ams-1".to_owned());
        let discarded = |reason, why| BfdDiscarded::of(&router, &connection, (reason, why));
        let state_is = |state: &str| Fact::Bfd {
            router: router.clone(),
            connection: connection.clone(),
            state: state.to_owned(),
            diagnostic: String::new(),
            last_received: None,
            detection_time: None,
        };
        let heard = Fact::BfdHeard {
            router: router.clone(),
            connection: connection.clone(),
            heard: crate::record::BfdHeard::saying("down"),
        };
        let digest = discarded(BfdDiscardReason::Authentication, "password is wrong");
        let ttl = discarded(BfdDiscardReason::Ttl, "TTL is too low");
        let version = discarded(BfdDiscardReason::Other, "version is not 1");
        let source = discarded(BfdDiscardReason::Source, "192.0.2.9 is not 192.0.2.0");
        for (facts, says) in [
            (vec![], "configure BFD on ams-pe-1 for 192.0.2.1"),
            (vec![&digest], "the type, key number and password"),
            (vec![&ttl], "with TTL 255"),
            (vec![&source], "from the address"),
            (vec![&version], "section 6.8.6"),
            (vec![&digest, &heard, &state_is("init")], "it takes none"),
            (vec![&digest, &state_is("down")], "configure BFD"),
        ] {
            let mut state = State::default();
            facts.iter().for_each(|fact| state.apply(At::ZERO, fact));
            let view = state.bfd(&c.edge, &c.name);
            let microsoft = c.addresses.microsoft.into();
            let remedy = remedy(view, "ams-1", c, microsoft);
            assert!(remedy.contains(says), "{facts:?}: {remedy}");
        }
        let mut state = State::default();
        state.apply(At::ZERO, &digest);
        let what = Expect::Bfd {
            sessions: vec![connection.clone()],
            up: true,
            diagnostic: None,
            partner: false,
            sends_every: None,
            answers_poll: false,
        };
        assert_eq!(
            instead(&what, state.bfd(&c.edge, "ams-1"), "ams-1"),
            "bfd ams-1 was never seen (packets of its partner are discarded: password is wrong)"
        );
    }

    /// A member that LACP would use, and whose packets of BFD are discarded, keeps a LAG down: LACP is not to blame.
    #[test]
    fn bfd_on_members_is_blamed_for_a_lag_that_is_down() {
        let path = std::path::Path::new("topologies/one-metro-every-bfd.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let c = &topology.connections[1];
        let in_service = |members: &[u8]| {
            Fact::InService(InService {
                connection: c.name.clone(),
                members: members.to_vec(),
                bandwidth_mbps: 0,
            })
        };
        let mut state = State::default();
        assert_eq!(remedy_on_members(&state, c), None);
        let wrong = (BfdDiscardReason::Authentication, "digest is wrong");
        let discarded = BfdDiscarded::of(&c.edge, "ams-2/2", wrong);
        state.apply(At::ZERO, &discarded);
        let blamed = remedy_on_members(&state, c).expect("it is down");
        for says in ["on ams-2/2", "digest is wrong", "`micro-bfd` of ams-2"] {
            assert!(blamed.contains(says), "{blamed}");
        }
        // A member that was taken out of the LAG is nobody's fault; one that was added may be.
        for (members, is_blamed) in [(vec![1], false), (vec![1, 2], true)] {
            state.apply(At::ZERO, &in_service(&members));
            assert_eq!(remedy_on_members(&state, c).is_some(), is_blamed);
        }
        let mut added = State::default();
        let packet = BfdDiscarded::of(&c.edge, "ams-2/3", wrong);
        for fact in [in_service(&[1, 2, 3]), packet] {
            added.apply(At::ZERO, &fact);
        }
        let blamed_third = remedy_on_members(&added, c).expect("it is down");
        assert!(blamed_third.contains("on ams-2/3"), "{blamed_third}");
        let session = crate::bgp::family::Family::Ipv4Unicast;
        for (receive, blamed_is_bfd) in [("CURRENT", true), ("DEFAULTED", false)] {
            let heard = Fact::Member {
                router: c.edge.clone(),
                connection: c.name.clone(),
                member: 2,
                receive: receive.to_owned(),
                collecting: false,
                distributing: false,
                partner: "02:00:00:00:00:01".to_owned(),
            };
            state.apply(At::ZERO, &heard);
            let remedy = condition::remedy(&state, &topology, c, session);
            assert_eq!(
                remedy.as_ref() == Some(&blamed),
                blamed_is_bfd,
                "{remedy:?}"
            );
        }
    }

    #[test]
    fn what_a_member_says_is_looked_at() {
        let fact = Fact::MicroBfd {
            router: "ams-edge-1".to_owned(),
            connection: "ams-1".to_owned(),
            member: 1,
            now: MicroBfd {
                state: "off".to_owned(),
                diagnostic: String::new(),
                last_received: None,
                detection_time: None,
            },
        };
        let mut state = State::default();
        state.apply(At::ZERO, &fact);
        assert!(state.bfd("ams-edge-1", "ams-1/1").is_some());
        assert!(condition::matters(&fact));
    }

    #[test]
    fn strays_of_one_session_are_enough() {
        let path = std::path::Path::new("topologies/one-metro.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let what = Expect::Bfd {
            sessions: vec!["ams-1".to_owned(), "ams-2".to_owned()],
            up: true,
            diagnostic: None,
            partner: false,
            sends_every: Some(Duration::from_millis(300)),
            answers_poll: false,
        };
        let mut state = State::default();
        for (n, longest) in [(1, 300), (2, 344)] {
            let (router, connection) = (format!("ams-edge-{n}"), format!("ams-{n}"));
            let Fact::BfdRhythm { rhythm, .. } = rhythm(300, 225, longest) else {
                panic!("a rhythm");
            };
            let (state_is, diagnostic) = ("up".to_owned(), String::new());
            let up = Fact::Bfd {
                router: router.clone(),
                connection: connection.clone(),
                state: state_is,
                diagnostic,
                last_received: None,
                detection_time: None,
            };
            let rhythm = Fact::BfdRhythm {
                router,
                connection,
                rhythm,
            };
            assert!(condition::matters(&up) && condition::matters(&rhythm));
            state.apply(At::ZERO, &up);
            state.apply(At::ZERO, &rhythm);
        }
        let strays = condition::strays(&what, &state, &topology);
        assert_eq!(strays, Some(Duration::from_millis(44)));
    }

    /// The end that a name says is looked at; in its words, and it is not blamed for what the scenario broke.
    #[test]
    fn a_session_inside_a_network_is_seen_from_either_end() {
        let path = std::path::Path::new("topologies/one-metro-every-bfd.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let bfd = |router: &str, session: &str, state: &str| Fact::Bfd {
            router: router.to_owned(),
            connection: session.to_owned(),
            state: state.to_owned(),
            diagnostic: "control detection time expired".to_owned(),
            last_received: None,
            detection_time: None,
        };
        let mut state = State::default();
        for fact in [
            bfd("wan", "ams-edge-1", "up"),
            bfd("ams-edge-1", "wan", "down"),
            bfd("core", "ams-pe-1/ipv6", "up"),
        ] {
            state.apply(At::ZERO, &fact);
        }
        let wanted = |names: &[&str], up| Expect::Bfd {
            sessions: names.iter().map(|&name| name.to_owned()).collect(),
            up,
            diagnostic: None,
            partner: false,
            sends_every: None,
            answers_poll: false,
        };
        for (names, up, right) in [
            (&["wan/ams-edge-1", "core/ams-pe-1/ipv6"][..], true, true),
            (&["ams-edge-1/wan"], false, true),
            (&["wan/ams-edge-1", "ams-edge-1/wan"], true, false),
            (&["wan/ams-edge-1"], false, false),
            (&["core/ams-pe-1"], true, false),
        ] {
            let what = wanted(names, up);
            assert_eq!(
                condition::holds(&what, &state, &topology),
                right,
                "{names:?}"
            );
        }
        let what = wanted(&["wan/ams-edge-1", "ams-edge-1/wan", "ams-pe-1/core"], true);
        assert_eq!(
            condition::instead(&what, &state, &topology),
            "bfd ams-edge-1/wan is down (control detection time expired) and bfd ams-pe-1/core was never seen"
        );
        assert_eq!(condition::help(&what, &state, &topology), None);
        let low = (BfdDiscardReason::Ttl, "TTL is too low");
        let discarded = BfdDiscarded::of("ams-edge-1", "wan", low);
        state.apply(At::ZERO, &discarded);
        let help = condition::help(&what, &state, &topology);
        let expected = "packets of wan come and are discarded (TTL is too low)";
        assert_eq!(help.as_deref(), Some(expected));
        let broken = Fact::FaultHappened {
            fault: String::new(),
            connections: vec!["wan/ams-edge-1".to_owned()],
            repaired: false,
            impairment: false,
        };
        state.apply(At::ZERO, &broken);
        let help = condition::help(&what, &state, &topology);
        let expected = "the scenario broke wan/ams-edge-1 and has not repaired it";
        assert_eq!(help.as_deref(), Some(expected));
    }
}
