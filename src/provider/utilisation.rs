//! How busy connections are, and the alarm that a LAG must be augmented (L1-02). Microsoft publishes no such event, and not
//! how it measures.
//!
//! Utilisation is what an edge's counters say a connection has carried over a window, in the direction that carried
//! more, as a share of the bandwidth of its members. The alarm begins at the threshold, and ends below nine tenths of it.
//!
//! **Invariant:** nothing is said before a whole window was counted.

use std::collections::{BTreeMap, VecDeque};

use super::names::{AUGMENTATION_NO_LONGER_REQUIRED, AUGMENTATION_REQUIRED};
use super::observed::Observed;
use crate::record::{Fact, MemberCounters};
use crate::source::{Bandwidth, in_words};
use crate::time::At;
use crate::topology::{Topology, UtilisationLimit};

/// All connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Utilisation {
    connections: BTreeMap<String, Line>,
}

/// What is known of one connection.
#[derive(Debug, Clone, Default)]
struct Line {
    /// Octets towards the peer and from it, until some moment; of those before the window only the last.
    counts: VecDeque<(At, [u64; 2])>,
    /// Its bandwidth in Mbit/s, where it is not the topology's any more.
    bandwidth: Option<u32>,
    alarmed: bool,
}

/// The share of a bandwidth that was used, in millionths of it, and the direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Used {
    millionths: u64,
    towards_peer: bool,
}

impl Utilisation {
    /// Takes a fact; the event that follows from it.
    pub fn hear(
        &mut self,
        now: At,
        topology: &Topology,
        observed: &Observed,
        fact: &Fact,
    ) -> Option<Fact> {
        match fact {
            Fact::InService(now) => {
                let line = self.connections.entry(now.connection.clone()).or_default();
                line.bandwidth = Some(now.bandwidth_mbps);
                None
            }
            Fact::LagCounters {
                router,
                connection,
                members,
            } => {
                let mut connections = topology.connections.iter();
                let known = connections.find(|known| known.name == *connection)?;
                observed
                    .connection(connection)
                    .filter(|c| c.edge == *router)?;
                let line = self.connections.entry(connection.clone()).or_default();
                let sum = |of: fn(&MemberCounters) -> u64| members.iter().map(of).sum();
                line.counts
                    .push_back((now, [sum(|m| m.sent.octets), sum(|m| m.received.octets)]));
                let bandwidth = line.bandwidth.unwrap_or(known.bandwidth_mbps);
                line.judge(connection, bandwidth, topology.profile.utilisation)
            }
            _ => None,
        }
    }
}

impl Line {
    /// The event of the last count, if the alarm begins or ends with it.
    fn judge(&mut self, name: &str, bandwidth: u32, limit: UtilisationLimit) -> Option<Fact> {
        let used = self.used(bandwidth, limit)?;
        let threshold = u64::from(limit.threshold.millionths());
        let alarmed = match self.alarmed {
            true => used.millionths >= threshold * 9 / 10,
            false => used.millionths >= threshold,
        };
        if std::mem::replace(&mut self.alarmed, alarmed) == alarmed {
            return None;
        }
        let percent = used.millionths as f64 / 10_000.0;
        let towards = if used.towards_peer {
            "the peer"
        } else {
            "Microsoft"
        };
        let window = in_words(limit.window);
        let measured = format!(
            "{percent:.1}% of {} towards {towards} over {window}",
            Bandwidth(bandwidth)
        );
        let (event, level, summary, description) = match alarmed {
            true => (
                AUGMENTATION_REQUIRED,
                "Warning",
                format!("utilisation of {} or more", limit.threshold),
                format!(
                    "{name} carries {measured}: the augmentation of its LAG begins, and takes 45 to 60 days (L1-02)"
                ),
            ),
            false => (
                AUGMENTATION_NO_LONGER_REQUIRED,
                "Information",
                format!("utilisation below nine tenths of {}", limit.threshold),
                format!("{name} carries {measured}"),
            ),
        };
        Some(Fact::Event {
            event: event.to_owned(),
            level: level.to_owned(),
            subject: name.to_owned(),
            summary,
            description,
        })
    }

    /// How much was used over the window that ends with the last count; `None` before there is a whole one.
    fn used(&mut self, bandwidth: u32, limit: UtilisationLimit) -> Option<Used> {
        let (end, last) = *self.counts.back()?;
        let whole = |at: At| end.since(at) >= limit.window;
        while self.counts.get(1).is_some_and(|(at, _)| whole(*at)) {
            self.counts.pop_front();
        }
        let (begin, first) = *self.counts.front().filter(|(at, _)| whole(*at))?;
        let [sent, received] = [0, 1].map(|way| last[way].saturating_sub(first[way]));
        let micros = end.since(begin).as_micros().max(1);
        // Bits a microsecond are Mbit/s.
        let bits = u128::from(sent.max(received)) * 8 * u128::from(limit.scale);
        let millionths = bits * 1_000_000 / (micros * u128::from(bandwidth.max(1)));
        Some(Used {
            millionths: u64::try_from(millionths).unwrap_or(u64::MAX),
            towards_peer: sent >= received,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::source::Share;

    const BANDWIDTH: u32 = 10_000;

    fn limit() -> UtilisationLimit {
        UtilisationLimit {
            threshold: Share::of(40, 100),
            window: Duration::from_secs(3),
            scale: 1000,
        }
    }

    /// Counts of each second with so many percent of the bandwidth towards the peer; what was told, with the second.
    fn told(bandwidths: &[u32], percents: &[u64]) -> Vec<(usize, String)> {
        let mut line = Line::default();
        let mut octets = 0;
        let mut told = Vec::new();
        for (second, percent) in percents.iter().enumerate() {
            let at = At::from_millis(second as u64 * 1000);
            // 1 % of 10 Gbit/s, a thousandth of it really carried.
            octets += percent * 12_500;
            line.counts.push_back((at, [octets, octets / 2]));
            let bandwidth = bandwidths.get(second).copied().unwrap_or(BANDWIDTH);
            if let Some(Fact::Event { event, .. }) = line.judge("ams-1", bandwidth, limit()) {
                told.push((second, event));
            }
        }
        told
    }

    #[test]
    fn the_alarm_begins_at_the_threshold_over_a_window_and_ends_below_nine_tenths() {
        let begin = |second| (second, AUGMENTATION_REQUIRED.to_owned());
        let end = |second| (second, AUGMENTATION_NO_LONGER_REQUIRED.to_owned());
        let none: [(usize, String); 0] = [];
        for (percents, events) in [
            (vec![39; 30], none.to_vec()),
            (vec![40; 30], vec![begin(3)]),
            // A second's burst is no load: 3 s of 30, 30 and 60 are 40.
            (vec![10, 10, 10, 90, 10, 10, 10, 10, 10], none.to_vec()),
            (vec![30, 30, 30, 30, 60, 30, 30, 30], vec![begin(4), end(7)]),
            // It swings about the threshold: one alarm.
            (vec![40, 40, 40, 40, 38, 41, 37, 40, 39, 42], vec![begin(3)]),
            (vec![50, 50, 50, 50, 36, 36, 36, 36], vec![begin(3)]),
            (vec![50, 50, 50, 50, 35, 35, 35, 35], vec![begin(3), end(6)]),
            (vec![90, 90], none.to_vec()),
        ] {
            assert_eq!(told(&[], &percents), events, "{percents:?}");
        }
        // More bandwidth ends it at once.
        let bandwidths = [10_000, 10_000, 10_000, 10_000, 20_000, 20_000];
        assert_eq!(told(&bandwidths, &[60; 6]), [begin(3), end(4)]);
    }

    #[test]
    fn of_the_counts_before_the_window_one_is_kept() {
        let mut line = Line::default();
        for second in 0..1000 {
            line.counts
                .push_back((At::from_millis(second * 1000), [0, 0]));
            line.judge("ams-1", BANDWIDTH, limit());
        }
        assert_eq!(line.counts.len(), 4);
    }
}
