//! What is seen of the other end in its packets: their rhythm, its answers to our Polls, its changes without a Poll.
//!
//! **Invariant:** what is told depends on received packets and their timestamps alone; its size does not grow.

use std::time::Duration;

use crate::time::At;

/// Intervals are counted by how many percent of the negotiated interval they last.
const PERCENTS: usize = 256;
/// A packet is disturbed on its way by less than this, so an interval counts as too short or too long only beyond it.
pub const GRACE: Duration = Duration::from_millis(2);
/// The first summary comes after so many intervals, the next after twice as many.
const FIRST_SUMMARY: u32 = 16;

/// The rhythm of the other end's periodic packets while both ends are Up and no timers change, and how it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// The negotiated interval, before jitter (RFC 5880, section 6.8.2).
    pub interval: Duration,
    /// Intervals measured.
    pub intervals: u32,
    /// The shortest of them.
    pub shortest: Duration,
    /// Half of them are no longer, to 1 % of the negotiated interval.
    pub median: Duration,
    /// Of a hundred, 99 are no longer, to 1 % of the negotiated interval.
    pub p99: Duration,
    /// The longest of them.
    pub longest: Duration,
    /// Shorter than jitter may make them (section 6.8.7): 75 % of the negotiated interval, less [`GRACE`].
    pub early: u32,
    /// Longer than jitter may make them: the negotiated interval, or 90 % of it with a multiplier of 1, and [`GRACE`].
    pub late: u32,
}

/// What is being measured.
#[derive(Debug)]
pub(super) struct Observer {
    interval: Duration,
    longest_allowed: Duration,
    histogram: Box<[u32; PERCENTS]>,
    intervals: u32,
    shortest: Duration,
    longest: Duration,
    early: u32,
    late: u32,
    /// The last periodic packet, unless something happened since after which the next says nothing.
    last: Option<At>,
    /// A summary is due after so many.
    next_summary: u32,
}

impl Observer {
    pub fn new() -> Observer {
        Observer {
            interval: Duration::ZERO,
            longest_allowed: Duration::ZERO,
            histogram: Box::new([0; PERCENTS]),
            intervals: 0,
            shortest: Duration::MAX,
            longest: Duration::ZERO,
            early: 0,
            late: 0,
            last: None,
            next_summary: FIRST_SUMMARY,
        }
    }

    /// A periodic packet came at `at`; `interval` and the multiplier of its sender are in force. Tells what was measured
    /// before if the interval changed, or when there is enough to tell.
    pub fn periodic(&mut self, at: At, interval: Duration, multiplier: u8) -> Option<Rhythm> {
        let percent = if multiplier == 1 { 90 } else { 100 };
        let longest_allowed = interval * percent / 100;
        if (self.interval, self.longest_allowed) != (interval, longest_allowed) {
            let told = self.finish();
            self.interval = interval;
            self.longest_allowed = longest_allowed;
            self.last = Some(at);
            return told;
        }
        let before = self.last.replace(at)?;
        self.count(at.since(before));
        if self.intervals < self.next_summary {
            return None;
        }
        self.next_summary = self.intervals.saturating_mul(2);
        self.rhythm()
    }

    /// The next packet says nothing about an interval.
    pub fn skip(&mut self) {
        self.last = None;
    }

    /// What was measured and not yet told; measuring begins anew.
    pub fn finish(&mut self) -> Option<Rhythm> {
        let told_already = self.next_summary == self.intervals.saturating_mul(2);
        let rhythm = self.rhythm().filter(|_| !told_already);
        *self = Observer::new();
        rhythm
    }

    /// What was measured so far.
    pub fn rhythm(&self) -> Option<Rhythm> {
        (self.intervals > 0).then(|| Rhythm {
            interval: self.interval,
            intervals: self.intervals,
            shortest: self.shortest,
            median: self.quantile(50),
            p99: self.quantile(99),
            longest: self.longest,
            early: self.early,
            late: self.late,
        })
    }

    fn count(&mut self, interval: Duration) {
        self.intervals = self.intervals.saturating_add(1);
        self.shortest = self.shortest.min(interval);
        self.longest = self.longest.max(interval);
        if interval + GRACE < self.interval * 3 / 4 {
            self.early += 1;
        } else if interval > self.longest_allowed + GRACE {
            self.late += 1;
        }
        // Rounded up, so that a quantile is never less than what it stands for.
        let percent = (interval.as_nanos() * 100).div_ceil(self.interval.as_nanos().max(1));
        let place = usize::try_from(percent).map_or(PERCENTS - 1, |n| n.min(PERCENTS - 1));
        self.histogram[place] = self.histogram[place].saturating_add(1);
    }

    fn quantile(&self, percent: u32) -> Duration {
        let wanted = (u64::from(self.intervals) * u64::from(percent)).div_ceil(100);
        let mut seen = 0;
        for (place, count) in (0..).zip(self.histogram.iter()) {
            seen += u64::from(*count);
            if seen >= wanted {
                let bound = match place as usize == PERCENTS - 1 {
                    true => self.longest,
                    false => self.interval * place / 100,
                };
                return bound.clamp(self.shortest, self.longest);
            }
        }
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Hears packets so far apart, with a multiplier of 3 unless said otherwise.
    fn heard(gaps: &[u64], multiplier: u8) -> Observer {
        let mut observer = Observer::new();
        let mut at = At::ZERO;
        observer.periodic(at, INTERVAL, multiplier);
        for gap in gaps {
            at = at + ms(*gap);
            observer.periodic(at, INTERVAL, multiplier);
        }
        observer
    }

    #[test]
    fn a_rhythm_is_summed_up() {
        let rhythm = heard(&[75, 80, 90, 100], 3).rhythm().unwrap();
        assert_eq!((rhythm.shortest, rhythm.longest), (ms(75), ms(100)));
        assert_eq!((rhythm.median, rhythm.p99), (ms(80), ms(100)));
        assert_eq!((rhythm.intervals, rhythm.early, rhythm.late), (4, 0, 0));
    }

    #[test]
    fn outside_of_jitter_is_counted_beyond_the_grace() {
        let rhythm = heard(&[72, 73, 102, 103, 1000], 3).rhythm().unwrap();
        assert_eq!((rhythm.early, rhythm.late), (1, 2));
        assert_eq!(rhythm.p99, ms(1000));
        // One lost packet is enough to detect a failure: 90 % at most.
        let rhythm = heard(&[90, 95], 1).rhythm().unwrap();
        assert_eq!((rhythm.early, rhythm.late), (0, 1));
    }

    #[test]
    fn summaries_come_ever_more_seldom_and_what_is_left_at_the_end() {
        let mut observer = Observer::new();
        let mut told = Vec::new();
        for n in 0..=100 {
            let at = At::ZERO + INTERVAL * n;
            told.extend(observer.periodic(at, INTERVAL, 3));
        }
        told.extend(observer.finish());
        let told: Vec<u32> = told.iter().map(|rhythm| rhythm.intervals).collect();
        assert_eq!(told, [16, 32, 64, 100]);
        assert_eq!(observer.finish(), None);
    }

    #[test]
    fn another_interval_begins_anew_and_a_skipped_packet_ends_none() {
        let mut observer = heard(&[100, 100], 3);
        observer.skip();
        let at = At::ZERO + ms(900);
        assert_eq!(observer.periodic(at, INTERVAL, 3), None);
        let before = observer.periodic(at + ms(50), INTERVAL / 2, 3).unwrap();
        assert_eq!((before.intervals, before.late), (2, 0));
        assert_eq!(observer.rhythm(), None);
    }
}
