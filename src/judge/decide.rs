//! When a condition came true, and whether that was in time: pure functions of its history.

use std::time::Duration;

use crate::time::At;

/// How a condition went: every change of its truth, in order of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    changes: Vec<Change>,
}

/// The condition became true or false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: At,
    /// What it is now.
    pub holds: bool,
    /// The record line of the fact that made it so; `None` at the step's start.
    pub line: Option<usize>,
}

/// What can be said of an expectation at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Not yet decided; ask again at `until` or after the next fact.
    Pending {
        /// When it will be decided without any further fact.
        until: Option<At>,
    },
    /// It came true in time and stayed.
    Met {
        /// The change that made it true, `after` the step's clock.
        change: Change,
        /// How long after the step's clock.
        after: Duration,
    },
    /// It came true too late.
    Late {
        /// The change that made it true.
        change: Change,
        /// How long after the step's clock.
        after: Duration,
        /// How long after the limit.
        by: Duration,
    },
    /// It came true in time but did not stay.
    Lapsed {
        /// The change that made it false again.
        change: Change,
        /// How long after the step's clock it came true.
        after: Duration,
        /// How long it stayed.
        stayed: Duration,
    },
    /// It did not come true as long as it was watched.
    Never {
        /// How long that was, from the step's clock.
        watched: Duration,
    },
}

impl Decision {
    /// When a pending decision will be made without any further fact.
    pub fn until(self) -> Option<At> {
        match self {
            Decision::Pending { until } => until,
            Decision::Met { .. }
            | Decision::Late { .. }
            | Decision::Lapsed { .. }
            | Decision::Never { .. } => None,
        }
    }
}

impl History {
    /// A history that begins with `holds` at the step's start.
    pub fn new(at: At, holds: bool) -> History {
        let line = None;
        History {
            changes: vec![Change { at, holds, line }],
        }
    }

    /// Notes the truth after a fact; whether it is another one. Facts of several threads may be slightly out of order; time does
    /// not go back here.
    pub fn note(&mut self, at: At, holds: bool, line: usize) -> bool {
        let last = self.changes.last();
        if last.is_some_and(|last| last.holds == holds) {
            return false;
        }
        let at = last.map_or(at, |last| at.max(last.at));
        let line = Some(line);
        self.changes.push(Change { at, holds, line });
        true
    }

    /// Spells during which the condition held at or after `from`: the change that began each, its beginning, its end.
    fn spells(&self, from: At) -> impl Iterator<Item = (Change, At, Option<Change>)> + '_ {
        self.changes
            .iter()
            .enumerate()
            .filter(|(_, change)| change.holds)
            .map(move |(n, change)| {
                let end = self.changes.get(n + 1).copied();
                (*change, change.at.max(from), end)
            })
            .filter(move |(_, _, end)| end.is_none_or(|end| end.at > from))
    }
}

/// How long an expectation is watched after its limit, so that `late by 180 ms` can be said instead of `never`:
/// as long as the limit itself, but at least 2 s and at most 10 s.
pub fn grace(within: Duration) -> Duration {
    within.clamp(Duration::from_secs(2), Duration::from_secs(10))
}

/// Decides a condition that must come true within `within` of `clock` and then stay for `stays`.
///
/// Facts after `now` must not be in the history. What was decided stays decided when `now` grows.
pub fn decide(
    history: &History,
    clock: At,
    within: Duration,
    stays: Duration,
    now: At,
) -> Decision {
    let limit = clock + within;
    let mut lapsed = None;
    for (change, begin, end) in history.spells(clock) {
        let after = begin.since(clock);
        if begin > limit {
            if lapsed.is_some() {
                break;
            }
            let by = begin.since(limit);
            return Decision::Late { change, after, by };
        }
        let stayed = end.map_or(now, |end| end.at).since(begin);
        match end {
            _ if stayed >= stays => return Decision::Met { change, after },
            None => {
                let until = Some(begin + stays);
                return Decision::Pending { until };
            }
            Some(change) => {
                lapsed = Some(Decision::Lapsed {
                    change,
                    after,
                    stayed,
                });
            }
        }
    }
    let watched_until = limit + grace(within);
    match lapsed {
        Some(lapsed) if now > limit => lapsed,
        // At the limit itself it may still come true.
        Some(_) => Decision::Pending {
            until: Some(limit + Duration::from_nanos(1)),
        },
        None if now < watched_until => {
            let until = Some(watched_until);
            Decision::Pending { until }
        }
        None => Decision::Never {
            watched: now.since(clock),
        },
    }
}

/// A time without changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spell {
    /// When it began.
    pub begin: At,
    /// The change that ended it, with its line.
    pub broken_by: Option<(At, usize)>,
}

impl Spell {
    /// When it ended, or `now`.
    pub fn until(&self, now: At) -> At {
        self.broken_by.map_or(now, |(at, _)| at)
    }
}

/// The first spell of quiet that begins within `within` of the clock and lasts for `stays`; failing that, the last that could.
pub fn quiet_spell(
    changes: &[(At, usize)],
    clock: At,
    within: Duration,
    stays: Duration,
    now: At,
) -> Spell {
    let mut spell = Spell {
        begin: clock,
        broken_by: None,
    };
    for (at, line) in changes.iter().filter(|(at, _)| *at >= clock && *at <= now) {
        if at.since(spell.begin) >= stays {
            break;
        }
        if *at > clock + within {
            spell.broken_by.get_or_insert((*at, *line));
            break;
        }
        spell.begin = *at;
    }
    spell
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Truth changes at these milliseconds, beginning with false at 0. The clock starts at 100, within 500, now 20 000 unless said.
    fn history(changes: &[u64]) -> History {
        let mut history = History::new(At::ZERO, false);
        for (n, at) in changes.iter().enumerate() {
            history.note(At::from_millis(*at), n % 2 == 0, n);
        }
        history
    }

    fn verdict(changes: &[u64], stays: u64, now: u64) -> String {
        let decision = decide(
            &history(changes),
            At::from_millis(100),
            ms(500),
            ms(stays),
            At::from_millis(now),
        );
        match decision {
            Decision::Pending { until } => {
                format!("pending {}", until.unwrap().as_nanos() / 1_000_000)
            }
            Decision::Met { after, .. } => format!("met {}", after.as_millis()),
            Decision::Late { after, by, .. } => {
                format!("late {} by {}", after.as_millis(), by.as_millis())
            }
            Decision::Lapsed { after, stayed, .. } => {
                format!("lapsed {} after {}", after.as_millis(), stayed.as_millis())
            }
            Decision::Never { watched } => format!("never {}", watched.as_millis()),
        }
    }

    #[test]
    fn table() {
        for (changes, stays, now, expected) in [
            // Already so when the clock started, whether before or at the very moment.
            (&[50][..], 0, 100, "met 0"),
            (&[100], 0, 100, "met 0"),
            // In time, at the limit, late, never.
            (&[300], 0, 300, "met 200"),
            (&[600], 0, 600, "met 500"),
            (&[601], 0, 700, "late 501 by 1"),
            (&[], 0, 2_599, "pending 2600"),
            (&[], 0, 2_600, "never 2500"),
            // Was so, but not any more when the clock started.
            (&[50, 90], 0, 200, "pending 2600"),
            (&[50, 100], 0, 200, "pending 2600"),
            // Must stay.
            (&[300], 200, 400, "pending 500"),
            (&[300], 200, 500, "met 200"),
            (&[300, 500], 200, 600, "met 200"),
            (&[300, 400], 200, 500, "pending 600"),
            (&[300, 400], 200, 601, "lapsed 200 after 100"),
            (&[300, 400, 550], 200, 601, "pending 750"),
            (&[300, 400, 550], 200, 750, "met 450"),
            (&[300, 400, 700], 200, 800, "lapsed 200 after 100"),
            // Stays is counted from the clock when it was so before.
            (&[50], 200, 299, "pending 300"),
            (&[50, 250], 200, 700, "lapsed 0 after 150"),
        ] {
            assert_eq!(
                verdict(changes, stays, now),
                expected,
                "{changes:?} {stays} {now}"
            );
        }
    }

    #[test]
    fn decided_stays_decided() {
        for changes in [&[300][..], &[601], &[300, 400], &[300, 500], &[]] {
            let mut decided: Option<String> = None;
            for now in (700..20_000).step_by(50) {
                let says = verdict(changes, 150, now);
                let says = says.split(' ').next().unwrap().to_owned();
                match &decided {
                    Some(decided) => assert_eq!(&says, decided, "{changes:?} at {now}"),
                    None if says != "pending" => decided = Some(says),
                    None => {}
                }
            }
            assert!(decided.is_some(), "{changes:?}");
        }
    }

    #[test]
    fn grace_is_bounded() {
        assert_eq!(grace(ms(0)), ms(2_000));
        assert_eq!(grace(ms(3_000)), ms(3_000));
        assert_eq!(grace(ms(60_000)), ms(10_000));
    }
}
