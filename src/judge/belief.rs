//! Whether a verdict may be believed on this host.
//!
//! The uncertainty `U` of a window is the latest wake-up of a thread of peerlab in it: for the time of a state that of
//! `line` (light, LACP and BFD) and `run` (the steps), and of `routers` (BGP) where the state is not of those layers alone; for
//! the length of an interruption that of any. `H` is the latest sending of a probe packet while something changed: only there an
//! outage may be hidden. Then:
//!
//! | claim | it is inconclusive when |
//! |---|---|
//! | met after `t`, limit `l` | `t > 0` and `t + U > l` |
//! | traffic met, interrupted `i`, limit `l` | `i > 0` and `i + H > l`, or `i = 0` and `H > max(l, 20 ms)`: so long an outage could have hidden |
//! | missed by `x` | `x ≤ U`; or other processes took at least half of the CPUs and `x` is at most a tenth of the time that tasks waited in a second |
//! | an alarm of load missed by `x` | as missed by `x`, or `x` is at most the latest sending of a probe packet |
//! | missed, for single packets of a partner (BFD, LACP) were too early or too late by `x` | as missed by `x` |
//! | missed, for a layer noticed before one that was to be first by `x` | as missed by `x` |
//! | changed although it should not, or traffic missed | `line` was late by at least (multiplier − 1) × interval of BFD: so late a sender makes a session fall by itself |
//! | any on a path | the kernel told more route changes of the WAN or an edge than could be read: when they came is not known |
//! | any on single routes, on what was concluded from them, or on a path | facts of a session's routes were left out of the record, because it told them faster than they could be written |
//!
//! Own threads tell how late they were themselves; the share of waiting is for devices, which do not.
//!
//! Never silently: an inconclusive finding says which thread was how late.

use std::collections::BTreeSet;
use std::time::Duration;

use super::condition::{self, WAN};
use super::words;
use crate::measure::Lateness;
use crate::scenario::Expect;
use crate::topology::{BfdTimers, Topology};

/// An outage that a late probe sender may hide without any claim being doubted.
const HIDDEN: Duration = Duration::from_millis(20);
/// The share of the CPUs from which on other processes are to blame, in percent.
const FOREIGN: f32 = 50.0;

/// What of a second's waiting one task may have suffered in one piece.
const IN_ONE_PIECE: f32 = 0.1;

/// What a verdict claims about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// A state came after this time, which is within the limit.
    InTime {
        /// After the step's clock.
        after: Duration,
        /// At most this.
        limit: Duration,
    },
    /// Traffic was interrupted for at most the limit.
    Carried {
        /// The longest interruption.
        interrupted: Duration,
        /// At most this.
        limit: Duration,
    },
    /// A state came later than the limit by this much.
    Excess {
        /// Beyond the limit.
        by: Duration,
    },
    /// Traffic was interrupted for longer than the limit by this much.
    Interrupted {
        /// Beyond the limit.
        by: Duration,
    },
    /// It changed although it should not have.
    Disturbed,
}

/// The threads that note the state that is expected, or the states that are.
fn threads(what: Option<&Expect>) -> &'static [&'static str] {
    let bgp = "bgp".to_owned();
    match what {
        Some(Expect::Lag { .. } | Expect::Member { .. } | Expect::Bfd { .. }) => &["run", "line"],
        Some(Expect::Detected { by, .. }) if !by.contains(&bgp) => &["run", "line"],
        _ => &["run", "routers", "line"],
    }
}

/// Why a claim on what is expected, if it is on that and not on a whole step, cannot be believed; `None` when it can.
pub fn doubt(
    claim: Claim,
    what: Option<&Expect>,
    lateness: &Lateness,
    bfd: BfdTimers,
) -> Option<String> {
    let of_states = lateness.of_any(threads(what));
    match claim {
        Claim::InTime { after, limit } => {
            (!after.is_zero() && after + of_states.1 > limit).then(|| late(of_states))
        }
        Claim::Carried { interrupted, limit } => {
            let hiding = Duration::from(lateness.hiding);
            let doubtful = match interrupted.is_zero() {
                true => hiding > limit.max(HIDDEN),
                false => interrupted + hiding > limit,
            };
            doubtful.then(|| {
                let hiding = words::duration(hiding);
                format!("probe packets were sent up to {hiding} late on this host")
            })
        }
        Claim::Excess { by } => excess(by, of_states, lateness),
        Claim::Interrupted { by } => {
            excess(by, lateness.worst(), lateness).or_else(|| falls(lateness, bfd))
        }
        Claim::Disturbed => falls(lateness, bfd),
    }
}

/// Why a session may have fallen by itself.
fn falls(lateness: &Lateness, bfd: BfdTimers) -> Option<String> {
    let line = lateness.of("line");
    (line >= bfd.bears()).then(|| late(("line", line)))
}

/// Why a claim on Microsoft's paths cannot be believed, whatever its times.
pub fn doubt_of_paths(lateness: &Lateness, topology: &Topology) -> Option<String> {
    let edges = topology
        .connections
        .iter()
        .map(|connection| &connection.edge);
    let mut lost = lateness
        .events_lost
        .iter()
        .filter(|router| *router == WAN || edges.clone().any(|edge| edge == *router));
    lost.next()
        .map(|router| format!("changes in {router} came faster than they could be read"))
}

/// Why a claim on routes cannot be believed: facts of routes of these sessions, as (router, session), were left out.
pub fn doubt_of_routes(
    what: &Expect,
    left_out: &BTreeSet<(String, String)>,
    topology: &Topology,
) -> Option<String> {
    let of_single_routes = matches!(
        what,
        Expect::Route {
            prefix: Some(_),
            ..
        } | Expect::RoutePolicy { .. }
    );
    // What Microsoft's side concludes, and where it sends packets then, may rest on any route.
    let of_any = matches!(
        what,
        Expect::InternetRoute { .. }
            | Expect::Prefix(_)
            | Expect::Event { .. }
            | Expect::Path { .. }
    );
    let named = |session: &str| {
        let mut concerned = condition::concerned(what, topology);
        concerned.any(|(_, name)| name == session)
    };
    let mut sessions = left_out.iter();
    let (router, session) =
        sessions.find(|(_, session)| of_any || (of_single_routes && named(session)))?;
    Some(format!(
        "facts of routes of {session} at {router} were left out: they came faster than they could be written, or were more than are kept"
    ))
}

fn late((culprit, by): (&str, Duration)) -> String {
    let by = words::duration(by);
    format!("on this host `{culprit}` was up to {by} late")
}

fn excess(by: Duration, worst: (&str, Duration), lateness: &Lateness) -> Option<String> {
    if by <= worst.1 {
        return Some(late(worst));
    }
    let share = lateness.waiting_percent.clamp(0.0, 100.0) / 100.0;
    let waited = Duration::from_secs(1).mul_f32(share * IN_ONE_PIECE);
    (lateness.foreign_percent >= FOREIGN && by <= waited).then(|| {
        format!(
            "other processes took {:.0} % of this host's CPUs and tasks waited {:.0} % of a second",
            lateness.foreign_percent, lateness.waiting_percent
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Nanos;
    use std::num::NonZeroU8;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// 150 ms × 3: a sender late by 300 ms makes a session fall.
    fn bfd() -> BfdTimers {
        BfdTimers {
            interval: ms(150),
            multiplier: NonZeroU8::new(3).unwrap(),
        }
    }

    /// The sender was so late while something changed, and ten times as late elsewhere.
    fn host(line: u64, hiding: u64, waiting: f32, foreign: f32) -> Lateness {
        Lateness {
            threads: [("line".to_owned(), Nanos(line * 1_000_000))].into(),
            send: Nanos(hiding * 10 * 1_000_000),
            hiding: Nanos(hiding * 1_000_000),
            waiting_percent: waiting,
            foreign_percent: foreign,
            ..Lateness::default()
        }
    }

    #[test]
    fn table() {
        let in_time = |after, limit| Claim::InTime {
            after: ms(after),
            limit: ms(limit),
        };
        let carried = |interrupted, limit| Claim::Carried {
            interrupted: ms(interrupted),
            limit: ms(limit),
        };
        let excess = |by| Claim::Excess { by: ms(by) };
        let interrupted = |by| Claim::Interrupted { by: ms(by) };
        let quiet = host(0, 0, 0.0, 0.0);
        let late = host(40, 5, 0.0, 0.0);
        for (claim, host, believed) in [
            (in_time(463, 500), &quiet, true),
            (in_time(500, 500), &quiet, true),
            (in_time(460, 500), &late, true),
            (in_time(461, 500), &late, false),
            // It was so before the clock started: no time was measured.
            (in_time(0, 0), &late, true),
            (carried(995, 1_000), &late, true),
            (carried(996, 1_000), &late, false),
            (carried(0, 0), &late, true),
            (carried(0, 0), &host(0, 21, 0.0, 0.0), false),
            (carried(0, 100), &host(0, 100, 0.0, 0.0), true),
            (excess(41), &late, true),
            (excess(40), &late, false),
            // The probe sender's lateness changes no state, but blurs the edges of an interruption.
            (interrupted(51), &late, true),
            (interrupted(50), &late, false),
            (excess(1), &quiet, true),
            // Waiting alone is no excuse, nor are other processes that did not make us wait.
            (excess(20), &host(0, 0, 30.0, 10.0), true),
            (excess(20), &host(0, 0, 10.0, 80.0), true),
            (excess(20), &host(0, 0, 30.0, 80.0), false),
            (excess(31), &host(0, 0, 30.0, 80.0), true),
            (Claim::Disturbed, &late, true),
            (Claim::Disturbed, &host(299, 0, 90.0, 90.0), true),
            (Claim::Disturbed, &host(300, 0, 0.0, 0.0), false),
        ] {
            let doubt = doubt(claim, None, host, bfd());
            assert_eq!(doubt.is_none(), believed, "{claim:?} {host:?}: {doubt:?}");
        }
    }

    #[test]
    fn only_the_threads_that_matter_are_blamed() {
        let thread = |name: &str, by: u64| Lateness {
            threads: [(name.to_owned(), Nanos(by * 1_000_000))].into(),
            ..Lateness::default()
        };
        let in_time = Claim::InTime {
            after: ms(450),
            limit: ms(500),
        };
        let detected = |by: &str| Expect::Detected {
            connections: vec!["ams-1".to_owned()],
            by: vec!["light".to_owned(), by.to_owned()],
        };
        let session = Expect::Session {
            sessions: vec!["ams-1".to_owned()],
            up: true,
            reason: None,
            at: None,
        };
        let bfd_up = Expect::Bfd {
            sessions: vec!["ams-1".to_owned()],
            up: true,
            diagnostic: None,
            partner: false,
            sends_every: None,
            answers_poll: false,
        };
        let lag = Expect::Lag {
            connections: vec!["ams-1".to_owned()],
            up: true,
            distinct_systems: false,
        };
        let (line, bgp) = (["run", "line"].as_slice(), ["run", "routers", "line"]);
        for (what, blamed) in [
            (None, &bgp[..]),
            (Some(&session), &bgp),
            (Some(&detected("bgp")), &bgp),
            (Some(&detected("bfd")), line),
            (Some(&bfd_up), line),
            (Some(&lag), line),
        ] {
            for name in ["line", "routers", "run", "probe"] {
                let host = thread(name, 400);
                let believed = !blamed.contains(&name);
                for claim in [in_time, Claim::Excess { by: ms(390) }] {
                    let doubt = doubt(claim, what, &host, bfd());
                    assert_eq!(doubt.is_none(), believed, "{name}, {what:?}: {doubt:?}");
                }
            }
        }
        let doubt = doubt(Claim::Disturbed, None, &thread("run", 400), bfd());
        assert_eq!(doubt, None);
    }

    #[test]
    fn lost_events_leave_the_times_of_paths_unknown() {
        let file = std::path::Path::new("tests/fixtures/judge/one-metro.toml");
        let topology = crate::topology::load(file).expect("a topology");
        for (router, believed) in [("wan", false), ("ams-edge-1", false), ("core", true)] {
            let host = Lateness {
                events_lost: [router.to_owned()].into(),
                ..Lateness::default()
            };
            let doubt = doubt_of_paths(&host, &topology);
            assert_eq!(doubt.is_none(), believed, "{router}: {doubt:?}");
        }
    }

    #[test]
    fn what_was_left_out_leaves_routes_unknown_and_nothing_else() {
        let file = std::path::Path::new("tests/fixtures/judge/one-metro.toml");
        let topology = crate::topology::load(file).expect("a topology");
        let left_out = [("ams-edge-1".to_owned(), "ams-1".to_owned())].into();
        let of = |what: &Expect| doubt_of_routes(what, &left_out, &topology);
        let prefix: ipnet::IpNet = "198.51.100.0/24".parse().expect("a prefix");
        let policy = |session: &str| Expect::RoutePolicy {
            prefix,
            sessions: vec![session.to_owned()],
            accepted: true,
            reason: None,
        };
        let path = Expect::Path {
            to: "sbc".to_owned(),
            prefix,
            internet: false,
            via: vec!["ams-2".to_owned()],
        };
        assert!(of(&policy("ams-1")).expect("doubt").contains("left out"));
        assert_eq!(of(&policy("ams-2")), None);
        assert!(of(&path).is_some());
        assert_eq!(of(&Expect::Quiet), None);
    }

    #[test]
    fn says_who_was_late() {
        let claim = Claim::Excess { by: ms(1) };
        assert_eq!(
            doubt(claim, None, &host(40, 5, 0.0, 0.0), bfd()).unwrap(),
            "on this host `line` was up to 40 ms late"
        );
    }
}
