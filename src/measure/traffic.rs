//! What one direction of probe traffic lost, and the way it went.
//!
//! An *episode* is made of runs of lost packets of any flows that overlap or follow each other within one turn,
//! a turn being the time in which every flow sends one packet: within it nobody can tell whether the packets
//! between two lost ones would have fared better. An episode interrupts its direction from the first lost packet
//! to the last one plus one interval.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Window;
use crate::record::{Entry, Fact, Nanos};
use crate::time::At;

/// Length of the interval of a [`Fact::ProbeTally`].
const TALLY: Duration = Duration::from_millis(100);

/// One direction of probe traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Direction {
    /// Sender, `teams` or an endpoint.
    pub from: String,
    /// Receiver.
    pub to: String,
    /// Interval between packets.
    pub every: Nanos,
    /// Flows sent in turn.
    pub flows: u16,
}

/// What happened to one direction in a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Traffic {
    /// The direction.
    pub direction: Direction,
    /// Packets sent, to the nearest tally (100 ms).
    pub sent: u64,
    /// Packets known to be lost.
    pub lost: u64,
    /// Packets of which nothing is known when the window ends, beyond those that may be in flight.
    pub missing: u64,
    /// Packets that arrived twice.
    pub duplicated: u64,
    /// Packets that arrived after a later one of their flow.
    pub reordered: u64,
    /// The longest interruption, if there was any.
    pub longest: Option<Episode>,
    /// Number of episodes of loss.
    pub episodes: usize,
}

/// Packets lost together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Episode {
    /// When the first lost packet was sent.
    pub begin: At,
    /// When the first packet after it could have got through: the last lost one plus one interval.
    pub end: At,
    /// Lost packets.
    pub packets: u64,
}

/// How the end of a window looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Packets of which nothing is known, beyond those that may be in flight.
    pub missing: u64,
    /// From when on nothing was lost; `None` when no tally was made yet.
    pub calm_since: Option<At>,
    /// The end of the last tally.
    pub told_until: Option<At>,
}

impl Episode {
    /// How long it interrupted its direction.
    pub fn length(self) -> Duration {
        self.end.since(self.begin)
    }
}

impl Direction {
    /// The time in which every flow sends one packet.
    pub fn turn(&self) -> Duration {
        Duration::from(self.every) * u32::from(self.flows.max(1))
    }
}

impl Traffic {
    /// Packets lost or missing.
    pub fn lost_at_all(&self) -> u64 {
        self.lost + self.missing
    }

    /// The longest interruption, zero when there was none.
    pub fn interruption(&self) -> Duration {
        self.longest.map_or(Duration::ZERO, Episode::length)
    }
}

/// Measures one direction in a window.
pub fn traffic<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    direction: &Direction,
    window: Window,
) -> Traffic {
    let seen = Seen::of(entries, direction, window);
    let mut episodes = seen.episodes(direction);
    let missing = seen.missing(direction);
    if missing > 0 {
        episodes.extend(seen.unfinished(missing, window.end));
    }
    Traffic {
        direction: direction.clone(),
        sent: seen.tallies.iter().map(|tally| tally.sent).sum(),
        lost: seen.runs.iter().map(|run| run.count).sum(),
        missing,
        duplicated: seen.duplicated,
        reordered: seen.reordered,
        longest: episodes.iter().copied().max_by_key(|e| e.length()),
        episodes: episodes.len(),
    }
}

/// Looks at the end of a window that is still growing.
pub fn tail<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    direction: &Direction,
    window: Window,
) -> Tail {
    let seen = Seen::of(entries, direction, window);
    let lost_until = seen.runs.iter().map(|run| run.last).max();
    Tail {
        missing: seen.missing(direction),
        calm_since: seen
            .tallies
            .first()
            .map(|first| lost_until.map_or(first.begin, |lost| lost.max(first.begin))),
        told_until: seen.tallies.last().map(|tally| tally.end),
    }
}

/// The ways flows go: number of flows by connection or `internet`.
pub fn ways(via: &BTreeMap<u16, String>) -> BTreeMap<String, usize> {
    let mut ways = BTreeMap::new();
    for way in via.values() {
        *ways.entry(way.clone()).or_default() += 1;
    }
    ways
}

/// The facts of one direction, cut to the window.
struct Seen {
    runs: Vec<Run>,
    tallies: Vec<Tally>,
    duplicated: u64,
    reordered: u64,
}

/// A run of lost packets of one flow.
#[derive(Clone, Copy)]
struct Run {
    first: At,
    last: At,
    count: u64,
}

struct Tally {
    begin: At,
    end: At,
    sent: u64,
    received: u64,
    slowest: Nanos,
}

impl Seen {
    fn of<'a>(
        entries: impl IntoIterator<Item = &'a Entry>,
        direction: &Direction,
        window: Window,
    ) -> Seen {
        let ours = |from: &str, to: &str| from == direction.from && to == direction.to;
        let mut seen = Seen {
            runs: Vec::new(),
            tallies: Vec::new(),
            duplicated: 0,
            reordered: 0,
        };
        for entry in entries {
            match &entry.fact {
                Fact::ProbeLost {
                    from,
                    to,
                    count,
                    first_sent,
                    last_sent,
                    ..
                } if ours(from, to) => {
                    let run = Run {
                        first: *first_sent,
                        last: *last_sent,
                        count: *count,
                    };
                    seen.runs.extend(run.cut(window));
                }
                Fact::ProbeDisorder {
                    from,
                    to,
                    duplicated,
                    reordered,
                } if ours(from, to) && window.includes(entry.at) => {
                    seen.duplicated += duplicated;
                    seen.reordered += reordered;
                }
                Fact::ProbeTally {
                    from,
                    to,
                    sent,
                    received,
                    slowest,
                    ..
                } if ours(from, to) => {
                    let begin = match seen.tallies.last() {
                        Some(last) => last.end,
                        None => At::from_nanos(
                            entry.at.as_nanos().saturating_sub(TALLY.as_nanos() as u64),
                        ),
                    };
                    // A tally that began before the window speaks of packets outside it.
                    if begin >= window.begin && entry.at <= window.end {
                        seen.tallies.push(Tally {
                            begin,
                            end: entry.at,
                            sent: *sent,
                            received: *received,
                            slowest: *slowest,
                        });
                    }
                }
                _ => {}
            }
        }
        seen.runs.sort_by_key(|run| run.first);
        seen
    }

    fn episodes(&self, direction: &Direction) -> Vec<Episode> {
        let every = Duration::from(direction.every);
        let mut episodes: Vec<Episode> = Vec::new();
        for run in &self.runs {
            let end = run.last + every;
            match episodes.last_mut() {
                // `end` is one interval after the last lost packet, and a turn has one interval for each flow.
                Some(open) if run.first.since(open.end) + every <= direction.turn() => {
                    open.end = open.end.max(end);
                    open.packets += run.count;
                }
                _ => episodes.push(Episode {
                    begin: run.first,
                    end,
                    packets: run.count,
                }),
            }
        }
        episodes
    }

    /// Packets that were sent, did not arrive, are not told as lost, and are too many to be in flight.
    fn missing(&self, direction: &Direction) -> u64 {
        let (Some(first), Some(last)) = (self.tallies.first(), self.tallies.last()) else {
            return 0;
        };
        let told = Window {
            begin: first.begin,
            end: last.end,
        };
        let sent: u64 = self.tallies.iter().map(|tally| tally.sent).sum();
        let received: u64 = self.tallies.iter().map(|tally| tally.received).sum();
        let lost: u64 = self
            .runs
            .iter()
            .filter_map(|run| run.cut(told))
            .map(|run| run.count)
            .sum();
        let in_flight = 2 + last.slowest.0 / direction.every.0.max(1);
        let unknown = sent.saturating_sub(received).saturating_sub(lost);
        if unknown > in_flight { unknown } else { 0 }
    }

    /// The episode that has no end yet: from the first of the last tallies that all lack packets.
    fn unfinished(&self, missing: u64, end: At) -> Option<Episode> {
        let lacking = self
            .tallies
            .iter()
            .rev()
            .take_while(|tally| tally.received < tally.sent);
        let begin = lacking.last()?.begin;
        Some(Episode {
            begin,
            end,
            packets: missing,
        })
    }
}

impl Run {
    /// The part of the run that was sent in the window. Packets of a run are evenly spaced.
    fn cut(self, window: Window) -> Option<Run> {
        if window.includes(self.first) && window.includes(self.last) {
            return (self.count > 0).then_some(self);
        }
        let spacing = self.spacing();
        if spacing == 0 {
            let inside = window.includes(self.first) && self.count > 0;
            return inside.then_some(Run {
                last: self.first,
                ..self
            });
        }
        let first = self.first.as_nanos();
        let lowest = window
            .begin
            .as_nanos()
            .saturating_sub(first)
            .div_ceil(spacing);
        let highest = window.end.as_nanos().checked_sub(first)? / spacing;
        let highest = highest.min(self.count - 1);
        if lowest > highest {
            return None;
        }
        Some(Run {
            first: At::from_nanos(first + lowest * spacing),
            last: At::from_nanos(first + highest * spacing),
            count: highest - lowest + 1,
        })
    }

    /// Nanoseconds between two packets; 0 when there is one or none.
    fn spacing(self) -> u64 {
        let length = u64::try_from(self.last.since(self.first).as_nanos()).unwrap_or(u64::MAX);
        length
            .checked_div(self.count.saturating_sub(1))
            .unwrap_or(0)
    }
}
