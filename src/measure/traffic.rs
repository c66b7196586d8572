//! What one direction of probe traffic lost, and the way it went.
//!
//! An *episode* is made of runs of lost packets of any flows that overlap or follow each other within one turn,
//! a turn being the time in which every flow sends one packet: within it nobody can tell whether the packets
//! between two lost ones would have fared better. An episode interrupts its direction from the first lost packet
//! to the last one plus one interval.
//!
//! A run of lost packets may be told in several facts while it goes on: those of one window are joined. Packets that were
//! told to be lost and arrived after all count as reordered, not as lost; the interruption they made remains.

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
    /// The longest time from sending to arrival.
    #[serde(default)]
    pub slowest: Nanos,
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
        lost: seen.lost(),
        missing,
        duplicated: seen.duplicated,
        reordered: seen.reordered,
        slowest: seen
            .tallies
            .iter()
            .map(|tally| tally.slowest)
            .max()
            .unwrap_or(Nanos(0)),
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
pub(super) struct Seen {
    pub(super) runs: Vec<Run>,
    tallies: Vec<Tally>,
    duplicated: u64,
    reordered: u64,
}

/// A run of lost packets of one flow, or the part of it that was not told before.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) flow: u16,
    /// When the run began, told before or not.
    pub(super) first: At,
    last: At,
    /// Packets, the last of which was sent at `last`.
    pub(super) count: u64,
}

struct Tally {
    begin: At,
    end: At,
    sent: u64,
    received: u64,
    send_late: Nanos,
    slowest: Nanos,
}

impl Seen {
    pub(super) fn of<'a>(
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
                    flow,
                    count,
                    first_sent,
                    last_sent,
                    ..
                } if ours(from, to) => seen.join(Run {
                    flow: *flow,
                    first: *first_sent,
                    last: *last_sent,
                    count: *count,
                }),
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
                    send_late,
                    slowest,
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
                            send_late: *send_late,
                            slowest: *slowest,
                        });
                    }
                }
                _ => {}
            }
        }
        let turn = direction.turn();
        let cut = seen.runs.iter().filter_map(|run| run.cut(window, turn));
        seen.runs = cut.collect();
        seen.runs.sort_by_key(|run| run.first);
        seen
    }

    /// Takes a run, or what is new of one.
    fn join(&mut self, run: Run) {
        let mut known = self.runs.iter_mut().rev();
        match known.find(|known| known.flow == run.flow && known.first == run.first) {
            Some(known) => {
                known.count += run.count;
                known.last = known.last.max(run.last);
            }
            None => self.runs.push(run),
        }
    }

    /// Packets told to be lost that did not arrive later.
    fn lost(&self) -> u64 {
        let told: u64 = self.runs.iter().map(|run| run.count).sum();
        told.saturating_sub(self.reordered)
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
            .filter_map(|run| run.cut(told, direction.turn()))
            .map(|run| run.count)
            .sum();
        let lost = lost.saturating_sub(self.reordered);
        // A sender that was late sends in one go what was due meanwhile: before or after either end of the window.
        let late = first.send_late.0.saturating_add(last.send_late.0);
        let on_the_way = last.slowest.0.saturating_add(late);
        let in_flight = 2 + on_the_way / direction.every.0.max(1);
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
    /// The part of the run that was sent in the window. A flow sends one packet each turn.
    fn cut(self, window: Window, turn: Duration) -> Option<Run> {
        if self.count == 0 {
            return None;
        }
        if window.includes(self.first) && window.includes(self.last) {
            return Some(self);
        }
        // Counted backwards from the last: the packets at `last - k * turn`.
        let turn = u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX).max(1);
        let back = |to: At| self.last.as_nanos().saturating_sub(to.as_nanos());
        let least = back(window.end).div_ceil(turn);
        if self.last < window.begin {
            return None;
        }
        let most = (back(window.begin) / turn).min(self.count - 1);
        if least > most {
            return None;
        }
        let at = |k: u64| At::from_nanos(self.last.as_nanos().saturating_sub(k * turn));
        Some(Run {
            first: at(most),
            last: at(least),
            count: most - least + 1,
            ..self
        })
    }
}
