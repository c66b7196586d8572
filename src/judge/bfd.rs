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

/// By how much single packets were too early or too late, if any, where nothing else is wrong.
pub(super) fn strays(what: &Expect, state: &State, c: &Connection, name: &str) -> Option<Duration> {
    let Expect::Bfd {
        up,
        partner,
        sends_every: Some(every),
        answers_poll,
        ..
    } = what
    else {
        return None;
    };
    let view = state.bfd(&c.edge, name)?;
    let rhythm = view.rhythm?;
    let late = Duration::from(rhythm.longest).saturating_sub(*every);
    let early = (*every * 3 / 4).saturating_sub(rhythm.shortest.into());
    let by = late.max(early);
    let else_well = (said(Some(view), *partner).0 == "up") == *up
        && Duration::from(rhythm.interval) == *every
        && (!answers_poll || view.answered);
    else_well.then_some(by)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::condition;
    use crate::record::{Fact, MicroBfd, Nanos};
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
        let c = &topology.connections[0];
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
            assert_eq!(super::strays(&what, &state, c, "ams-1"), strays, "{told:?}");
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
}
