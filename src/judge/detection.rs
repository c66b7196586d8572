//! Which layers noticed the failure of a connection by themselves since a step began, the first first, and whether that is the
//! order that is expected.

use std::collections::BTreeMap;
use std::time::Duration;

use super::state::State;
use super::words;
use crate::measure::{Detection, FirstOfEach, Layers, Noticed};
use crate::record::{Entry, Fact};
use crate::scenario::Expect;
use crate::time::At;
use crate::topology::link_of;

/// What layers noticed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Detections {
    layers: Layers,
    /// When the first failure of the step happened, or else when the step began.
    since: At,
    /// A failure happened in the step.
    happened: bool,
    /// By connection, or by both ends inside a network: `wan/ams-edge-1`.
    noticed: BTreeMap<String, FirstOfEach>,
}

impl Detections {
    /// Takes in one fact.
    pub(super) fn apply(&mut self, at: At, fact: &Fact) {
        match fact {
            Fact::StepStarted { .. } => {
                self.since = at;
                self.happened = false;
                self.noticed.clear();
            }
            // Several failures of one step are one event, with the clock of the first.
            Fact::FaultHappened {
                repaired: false, ..
            } if !self.happened => {
                self.since = at;
                self.happened = true;
            }
            _ => {}
        }
        if let Some(it) = self.layers.detection(fact) {
            let link = link_of(it.router, it.session).into_owned();
            self.noticed.entry(link).or_default().note(at, &it);
        }
        self.layers.remember(fact);
    }

    fn of(&self, connection: &str) -> &[Noticed] {
        self.noticed
            .get(connection)
            .map_or(&[], FirstOfEach::as_slice)
    }

    /// What was noticed of a connection, in words: for example `ams-1 was detected by light (0.2 ms at ams-edge-1)`.
    fn words(&self, connection: &str) -> String {
        let each = self.of(connection).iter().map(|n| {
            let after = words::duration(n.at.since(self.since));
            format!("{} ({after} at {})", n.layer, n.router)
        });
        match each.collect::<Vec<_>>().as_slice() {
            [] => format!("no layer detected anything on {connection}"),
            each => format!("{connection} was detected by {}", each.join(", then ")),
        }
    }
}

/// The connections and layers of such an expectation; none of any other.
fn wanted(what: &Expect) -> (&[String], &[String]) {
    match what {
        Expect::Detected { connections, by } => (connections, by),
        _ => (&[], &[]),
    }
}

/// Whether these layers were first on each of these connections, in this order.
pub(super) fn holds(what: &Expect, state: &State) -> bool {
    let (connections, by) = wanted(what);
    connections.iter().all(|connection| {
        let noticed = state.detections().of(connection);
        let first = noticed.iter().map(|n| n.layer).take(by.len());
        first.eq(by.iter().map(String::as_str))
    })
}

/// By how much a layer noticed before one that was to be first, at most: a host that was as late may have turned them around.
/// `None` where one that was to notice did not, on any of the connections.
pub(super) fn strays(what: &Expect, state: &State) -> Option<Duration> {
    let (connections, by) = wanted(what);
    let of_one = |connection: &String| {
        let noticed = state.detections().of(connection);
        let too_early = by.iter().enumerate().map(|(place, layer)| {
            let due = noticed.iter().find(|n| n.layer == layer)?;
            let mut others = noticed
                .iter()
                .filter(|n| !by[..=place].iter().any(|b| b == n.layer));
            Some(others.next().map_or(Duration::ZERO, |n| due.at.since(n.at)))
        });
        too_early.collect::<Option<Vec<_>>>()?.into_iter().max()
    };
    let of_each = connections.iter().map(of_one);
    let longest = of_each.collect::<Option<Vec<_>>>()?.into_iter().max();
    longest.filter(|by| !by.is_zero())
}

/// Who noticed, in order, and when.
pub(super) fn instead(what: &Expect, state: &State) -> String {
    let (connections, _) = wanted(what);
    let each = connections.iter().map(|c| state.detections().words(c));
    each.collect::<Vec<_>>().join("; ")
}

/// Whether a layer noticed first in this entry, of those that the expectation is about.
pub(super) fn rests_on(what: &Expect, state: &State, entry: &Entry) -> bool {
    let (connections, _) = wanted(what);
    // Whether by itself was decided when it came.
    Detection::of(&entry.fact).is_some_and(|it| {
        let mut noticed = connections.iter().flat_map(|c| state.detections().of(c));
        noticed.any(|n| is(n, entry.at, &it))
    })
}

fn is(noticed: &Noticed, at: At, it: &Detection<'_>) -> bool {
    (noticed.at, noticed.layer) == (at, it.layer)
        && (&*noticed.router, &*noticed.session) == (it.router, it.session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::MicroBfd;

    fn light(up: bool) -> Fact {
        Fact::Light {
            router: "ams-edge-1".to_owned(),
            connection: "ams-1".to_owned(),
            member: 1,
            up,
        }
    }

    fn micro(connection: &str) -> Fact {
        Fact::MicroBfd {
            router: "ams-edge-1".to_owned(),
            connection: connection.to_owned(),
            member: 1,
            now: MicroBfd {
                state: "down".to_owned(),
                diagnostic: String::new(),
                last_received: None,
                detection_time: None,
            },
        }
    }

    fn bfd(session: &str) -> Fact {
        Fact::Bfd {
            router: "ams-pe-1".to_owned(),
            connection: session.to_owned(),
            state: "down".to_owned(),
            diagnostic: String::new(),
            last_received: None,
            detection_time: None,
        }
    }

    fn detected(connections: &[&str], by: &[&str]) -> Expect {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Expect::Detected {
            connections: owned(connections),
            by: owned(by),
        }
    }

    fn state(facts: &[(u64, Fact)]) -> State {
        let mut state = State::default();
        for (at, fact) in facts {
            state.apply(At::from_millis(*at), fact);
        }
        state
    }

    fn happened() -> Fact {
        Fact::FaultHappened {
            fault: "ams-1 silent".to_owned(),
            connections: vec!["ams-1".to_owned()],
            repaired: false,
            impairment: false,
        }
    }

    /// What came before the step does not count; a session of either family is BFD; an earlier moment that is told later does.
    #[test]
    fn the_first_of_each_layer_counts() {
        let state = state(&[
            (10, light(false)),
            (20, Fact::StepStarted { step: 1 }),
            (100, happened()),
            (560, bfd("ams-1/ipv6")),
            (550, bfd("ams-1")),
            (400, micro("ams-1")),
            (410, micro("ams-1")),
            (700, micro("ams-2")),
        ]);
        for (connections, by, right) in [
            (&["ams-1"][..], &["micro-bfd"][..], true),
            (&["ams-1"], &["micro-bfd", "bfd"], true),
            (&["ams-1"], &["bfd"], false),
            (&["ams-1"], &["bfd", "micro-bfd"], false),
            (&["ams-1"], &["micro-bfd", "bfd", "lacp"], false),
            (&["ams-1", "ams-2"], &["micro-bfd"], true),
            (&["ams-1", "ams-2"], &["micro-bfd", "bfd"], false),
            (&["ams-3"], &["bfd"], false),
        ] {
            let what = detected(connections, by);
            assert_eq!(holds(&what, &state), right, "{connections:?} {by:?}");
        }
        let told = instead(&detected(&["ams-1", "ams-3"], &["bfd"]), &state);
        let expected = "ams-1 was detected by micro-bfd (300 ms at ams-edge-1), then bfd (450 ms at ams-pe-1); \
             no layer detected anything on ams-3";
        assert_eq!(told, expected);
    }

    /// An order is not missed for less than a host was late; but it is where a layer did not notice at all, on any connection.
    #[test]
    fn by_how_much_the_order_was_another() {
        let state = state(&[
            (300, bfd("ams-1")),
            (302, micro("ams-1")),
            (300, micro("ams-2")),
            (450, bfd("ams-2")),
            (300, bfd("ams-3")),
        ]);
        let ms = |millis| Some(Duration::from_millis(millis));
        for (connections, by, expected) in [
            (&["ams-1"][..], &["micro-bfd", "bfd"][..], ms(2)),
            (&["ams-1"], &["micro-bfd"], ms(2)),
            (&["ams-1"], &["bfd", "micro-bfd"], None),
            (&["ams-1"], &["light"], None),
            // The second is right, or further off, or a layer is missing there.
            (&["ams-1", "ams-2"], &["micro-bfd", "bfd"], ms(2)),
            (&["ams-1", "ams-2"], &["bfd"], ms(150)),
            (&["ams-1", "ams-3"], &["micro-bfd"], None),
            (&["ams-1", "ams-4"], &["micro-bfd"], None),
            (&["ams-2"], &["micro-bfd"], None),
        ] {
            let strays = strays(&detected(connections, by), &state);
            assert_eq!(strays, expected, "{connections:?} {by:?}");
        }
    }

    /// Who noticed before all that were wanted is measured against each of them.
    #[test]
    fn what_came_before_all_counts_against_the_last() {
        let state = state(&[
            (300, light(false)),
            (301, micro("ams-1")),
            (450, bfd("ams-1")),
        ]);
        let what = detected(&["ams-1"], &["micro-bfd", "bfd"]);
        assert_eq!(strays(&what, &state), Some(Duration::from_millis(150)));
    }

    /// A second failure in a step does not start the clock anew, as it does not in what is measured.
    #[test]
    fn the_first_failure_of_a_step_starts_the_clock() {
        let second = [
            (20, Fact::StepStarted { step: 1 }),
            (100, happened()),
            (200, happened()),
            (400, micro("ams-1")),
        ];
        let told = |state: &State| instead(&detected(&["ams-1"], &["micro-bfd"]), state);
        let expected = "ams-1 was detected by micro-bfd (300 ms at ams-edge-1)";
        assert_eq!(told(&state(&second)), expected);
        let mut later = second.to_vec();
        later.extend([
            (500, Fact::StepStarted { step: 2 }),
            (600, happened()),
            (750, micro("ams-1")),
        ]);
        let expected = "ams-1 was detected by micro-bfd (150 ms at ams-edge-1)";
        assert_eq!(told(&state(&later)), expected);
    }

    /// Both ends of a session inside a network count for both of them, and for no connection.
    #[test]
    fn what_is_noticed_inside_a_network_belongs_to_both_ends() {
        let at = |router: &str, session: &str| match bfd(session) {
            Fact::Bfd {
                connection,
                state,
                diagnostic,
                last_received,
                detection_time,
                ..
            } => Fact::Bfd {
                router: router.to_owned(),
                connection,
                state,
                diagnostic,
                last_received,
                detection_time,
            },
            other => other,
        };
        let state = state(&[
            (20, Fact::StepStarted { step: 1 }),
            (100, happened()),
            (550, at("ams-edge-1", "wan/ipv6")),
            (560, at("wan", "ams-edge-1")),
            (570, at("core", "ams-pe-2")),
        ]);
        for (link, noticed) in [
            ("wan/ams-edge-1", "bfd (450 ms at ams-edge-1)"),
            ("core/ams-pe-2", "bfd (470 ms at core)"),
        ] {
            let what = detected(&[link], &["bfd"]);
            assert!(holds(&what, &state), "{link}");
            let told = instead(&what, &state);
            assert_eq!(told, format!("{link} was detected by {noticed}"));
        }
        for link in ["wan/ams-edge-2", "core/ams-pe-1", "ams-1"] {
            assert!(!holds(&detected(&[link], &["bfd"]), &state), "{link}");
        }
    }

    #[test]
    fn it_rests_on_the_first_of_each_layer() {
        let facts = [
            (300, micro("ams-1")),
            (310, micro("ams-1")),
            (450, bfd("ams-1")),
        ];
        let state = state(&facts);
        let what = detected(&["ams-1"], &["micro-bfd"]);
        let rests = facts.map(|(at, fact)| {
            let at = At::from_millis(at);
            rests_on(&what, &state, &Entry { at, fact })
        });
        assert_eq!(rests, [true, false, true]);
    }
}
