//! How late this host was in a window of time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Window;
use crate::record::{Entry, Fact, Nanos, Punctuality};
use crate::time::At;

/// What a [`Fact::ProbeTally`] counts over.
const TALLY: Duration = Duration::from_millis(100);
/// A change is noted a moment after it was.
const MARGIN: Duration = Duration::from_millis(20);

/// The worst of what the host did to peerlab in a window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lateness {
    /// The latest wake-up of each thread that was ever late by more than a millisecond.
    pub threads: BTreeMap<String, Nanos>,
    /// The latest a probe packet was sent after it was due.
    pub send: Nanos,
    /// The same, only of tallies during which something changed: an outage may be hidden there, and nowhere else.
    pub hiding: Nanos,
    /// How late our periodic packets left in the whole run, by protocol (`lacp`, `bfd`): told once, at its end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub packets: BTreeMap<String, Punctuality>,
    /// The largest share of a second in which some task waited for a CPU, in percent.
    pub waiting_percent: f32,
    /// The largest share of all CPU time that other processes used in a second, in percent.
    pub foreign_percent: f32,
    /// Routers of which the kernel told more changes of routes than could be read.
    pub events_lost: BTreeSet<String>,
}

/// Reads the lateness off the entries that lie in the window.
///
/// [`Fact::Late`] and [`Fact::Pressure`] tell of the time before them: they count when that time touches the window.
pub fn lateness<'a, E>(entries: E, window: Window) -> Lateness
where
    E: IntoIterator<Item = &'a Entry> + Clone,
{
    let mut lateness = Lateness::default();
    let mut changes: Vec<At> = Vec::new();
    for entry in entries.clone() {
        if changes_paths(&entry.fact) {
            changes.push(entry.at);
        }
    }
    changes.sort();
    for entry in entries {
        match &entry.fact {
            Fact::Late { thread, by } if overlaps(entry, *by, window) => {
                let worst = lateness.threads.entry(thread.clone()).or_default();
                *worst = (*worst).max(*by);
            }
            Fact::ProbeTally { send_late, .. } if window.includes(entry.at) => {
                lateness.send = lateness.send.max(*send_late);
                if *send_late > lateness.hiding && changed(&changes, entry.at, *send_late) {
                    lateness.hiding = *send_late;
                }
            }
            Fact::Pressure {
                cpu_some_percent,
                foreign_percent,
            } if overlaps(entry, Nanos(1_000_000_000), window) => {
                lateness.waiting_percent = lateness
                    .waiting_percent
                    .max(cpu_some_percent.unwrap_or(0.0));
                lateness.foreign_percent =
                    lateness.foreign_percent.max(foreign_percent.unwrap_or(0.0));
            }
            Fact::Punctuality { protocol, figures } if window.includes(entry.at) => {
                lateness.packets.insert(protocol.clone(), *figures);
            }
            Fact::EventsLost { router } if window.includes(entry.at) => {
                lateness.events_lost.insert(router.clone());
            }
            _ => {}
        }
    }
    lateness
}

impl Lateness {
    /// The latest of any thread and of the probe sender, and which it was (`line`, `routers`, `probe`, `run`, or `the probe
    /// sender`): by so much the measured time of an interruption may be wrong.
    pub fn worst(&self) -> (&str, Duration) {
        let sender = ("the probe sender", Duration::from(self.send));
        let threads = self.threads.iter();
        threads
            .map(|(thread, by)| (thread.as_str(), Duration::from(*by)))
            .fold(
                sender,
                |worst, late| if late.1 >= worst.1 { late } else { worst },
            )
    }

    /// The latest of these threads, and which it was: by so much the time of a state that they note may be wrong.
    pub fn of_any<'a>(&self, threads: &[&'a str]) -> (&'a str, Duration) {
        let threads = threads.iter().map(|thread| (*thread, self.of(thread)));
        threads.max_by_key(|(_, by)| *by).unwrap_or_default()
    }

    /// The latest of one thread.
    pub fn of(&self, thread: &str) -> Duration {
        self.threads.get(thread).copied().unwrap_or_default().into()
    }
}

/// Whether a fact may begin or end an outage.
fn changes_paths(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::FaultAsked { .. }
            | Fact::FaultHappened { .. }
            | Fact::Light { .. }
            | Fact::Lag { .. }
            | Fact::Member { .. }
            | Fact::Bfd { .. }
            | Fact::MicroBfd { .. }
            | Fact::Bgp { .. }
            | Fact::RouteReceived { .. }
            | Fact::RouteWithdrawn { .. }
            | Fact::KernelRoute { .. }
            | Fact::EventsLost { .. }
    )
}

/// Whether something changed while the packets of the tally that was told at `at` were due, or just before or after.
fn changed(changes: &[At], at: At, send_late: Nanos) -> bool {
    let length = TALLY + Duration::from(send_late) + MARGIN;
    let begin = at.as_nanos().saturating_sub(Nanos::from(length).0);
    let first = changes.partition_point(|change| change.as_nanos() < begin);
    changes
        .get(first)
        .is_some_and(|change| *change <= at + MARGIN)
}

/// Whether the stretch of length `length` that ends at the entry touches the window.
fn overlaps(entry: &Entry, length: Nanos, window: Window) -> bool {
    let end = entry.at.as_nanos();
    let begin = end.saturating_sub(length.0);
    begin <= window.end.as_nanos() && window.begin.as_nanos() <= end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(at: u64, thread: &str, by: u64) -> Entry {
        Entry {
            at: At::from_millis(at),
            fact: Fact::Late {
                thread: thread.into(),
                by: Nanos(by * 1_000_000),
            },
        }
    }

    #[test]
    fn worst_of_the_window_only() {
        let entries = [
            late(90, "line", 50),
            late(150, "line", 20),
            late(160, "run", 30),
            // Began inside, told after the end.
            late(220, "probe", 40),
            late(900, "line", 300),
        ];
        let window = Window {
            begin: At::from_millis(100),
            end: At::from_millis(200),
        };
        let lateness = lateness(&entries, window);
        assert_eq!(lateness.worst(), ("probe", Duration::from_millis(40)));
        let ms = Duration::from_millis;
        assert_eq!(lateness.of_any(&["run", "line"]), ("run", ms(30)));
        assert_eq!(lateness.of_any(&["line"]), ("line", ms(20)));
        assert_eq!(lateness.of("line"), Duration::from_millis(20));
    }

    #[test]
    fn an_outage_is_hidden_only_where_something_changed() {
        let tally = |at, send_late: u64| Entry {
            at: At::from_millis(at),
            fact: Fact::ProbeTally {
                from: "teams".into(),
                to: "sbc".into(),
                sent: 100,
                received: 100,
                send_late: Nanos(send_late * 1_000_000),
                slowest: Nanos(0),
            },
        };
        let change = |at| Entry {
            at: At::from_millis(at),
            fact: Fact::EventsLost {
                router: "wan".into(),
            },
        };
        let whole = Window {
            begin: At::ZERO,
            end: At::from_millis(2_000),
        };
        // The tally at 1 000 ms counts packets that were due from 840 ms on.
        for (changed, hiding) in [(819, 0), (820, 60), (1_020, 60), (1_021, 0)] {
            let entries = [change(changed), tally(1_000, 60), tally(1_500, 90)];
            let lateness = lateness(&entries, whole);
            assert_eq!(lateness.send, Nanos(90_000_000));
            assert_eq!(lateness.hiding, Nanos(hiding * 1_000_000), "{changed}");
        }
    }
}
