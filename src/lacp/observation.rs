//! What is seen of the other end in its LACPDUs: what it says, their rhythm, its answers to our markers.
//!
//! **Invariant:** what is told depends on received frames and their timestamps alone; its size does not grow.

use std::time::Duration;

use super::news::News;
use super::pdu::{Lacpdu, PortInfo, State};
use super::periodic::FAST_PERIODIC_TIME;
use super::transmit::Sent;
use crate::time::At;

/// A timer may be off by so much (IEEE 802.1AX-2014, 6.4.4: implementation tolerance of timers).
pub const TOLERANCE: Duration = Duration::from_millis(250);
/// The last intervals are kept, for their median.
const KEPT: usize = 64;

/// What the other end says of itself in its LACPDUs, unlike [`super::PortStatus::partner`] word by word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// System, key, port and state.
    pub actor: PortInfo,
    /// It means us: what it says of its partner is what we said.
    pub means_us: bool,
    /// It distributes, and what it has heard of us is that we do not collect: frames may be lost. Coupled control (6.4.15)
    /// does so.
    pub early: bool,
}

/// Whether the other end says that it distributes while it says that it has not heard that we collect.
pub(crate) fn says_early(pdu: &Lacpdu) -> bool {
    pdu.actor.state.has(State::DISTRIBUTING) && !pdu.partner.state.has(State::COLLECTING)
}

/// The rhythm of the other end's LACPDUs while neither end has anything new to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// The interval we ask for: 1 s or 30 s.
    pub interval: Duration,
    /// Intervals measured.
    pub intervals: u32,
    /// The shortest of them.
    pub shortest: Duration,
    /// The median of the last 64.
    pub median: Duration,
    /// The longest of them.
    pub longest: Duration,
    /// Shorter than the interval by more than [`TOLERANCE`].
    pub early: u32,
    /// Longer by more than that.
    pub late: u32,
}

/// What is being observed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observer {
    news: News<Heard>,
    pub meter: Meter,
}

/// The rhythm that is being measured.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    interval: Duration,
    rhythm: Option<Rhythm>,
    /// The rhythm so far is to be told.
    due: bool,
    /// So many of its intervals were told.
    intervals_told: u32,
    /// A rhythm that was measured to its end, and not told to it.
    ended: Option<Rhythm>,
    rhythm_told: Sent,
    last_intervals: Vec<Duration>,
    /// When the last LACPDU came, if an interval begins with it.
    last: Option<At>,
    /// Until then LACPDUs may tell something new.
    unsettled: At,
    /// Told after so many intervals.
    next_summary: u32,
}

impl Observer {
    /// A LACPDU came at `at`. `interval` is what we ask for, `actor` what we say of ourselves.
    pub fn heard(&mut self, at: At, pdu: &Lacpdu, interval: Duration, actor: &PortInfo) {
        let heard = Heard {
            actor: pdu.actor,
            means_us: pdu.partner.same_port(actor),
            early: says_early(pdu),
        };
        let is_news = self.news.said().is_some_and(|said| *said != heard);
        self.news.says(heard, heard.early, 0);
        self.meter.heard(at, is_news, interval);
    }

    /// The other end is no longer there.
    pub fn lost(&mut self) {
        self.meter.lost();
        self.news.lost();
    }

    /// What it says, when that is new and may be told now, and how many things it said before that were not told: in a second
    /// three at most are.
    pub fn news(&mut self, now: At) -> Option<(Heard, u32)> {
        self.news.take(now)
    }

    /// What is not told yet, at the end.
    pub fn rest(&mut self) -> Option<(Heard, u32)> {
        self.news.rest()
    }

    /// When there will be something to tell that may not be told yet.
    pub fn deadline(&self) -> Option<At> {
        let rhythm = self.meter.deadline();
        self.news.deadline().into_iter().chain(rhythm).min()
    }

    /// What it said last.
    pub fn said(&self) -> Option<Heard> {
        self.news.said().copied()
    }
}

impl Meter {
    /// A LACPDU came at `at`, which says something new or not. `interval` is what we ask for.
    pub fn heard(&mut self, at: At, is_news: bool, interval: Duration) {
        if self.interval != interval {
            self.interval = interval;
            self.restart();
        }
        if is_news {
            self.skip(at);
        }
        if at < self.unsettled {
            return;
        }
        if let Some(before) = self.last.replace(at) {
            self.count(at.since(before));
        }
    }

    /// From `at` on an end has something new to say. What it sends, and what is answered, leaves as soon as it may, several times if
    /// the answer is new, too, and says nothing about an interval.
    pub fn skip(&mut self, at: At) {
        self.last = None;
        self.unsettled = at + FAST_PERIODIC_TIME;
    }

    /// Measures the rhythm anew: we behave otherwise from now on.
    pub fn restart(&mut self) {
        let ended = self.untold().or(self.ended);
        let before = std::mem::take(self);
        *self = Meter {
            rhythm: None,
            due: false,
            intervals_told: 0,
            ended,
            last_intervals: Vec::new(),
            last: None,
            next_summary: 0,
            ..before
        };
    }

    /// The other end is no longer there.
    pub fn lost(&mut self) {
        self.last = None;
    }

    /// The rhythm, when there is enough to tell: after 1 interval, 2, 4, 8 …, when one was early or late, and when it ends.
    /// In a second it is told three times at most.
    pub fn summary(&mut self, now: At) -> Option<Rhythm> {
        let ended = self.ended.take();
        if ended.is_some() || !self.due || now < self.rhythm_told.free_at() {
            return ended;
        }
        self.rhythm_told.note(now);
        self.untold()
    }

    /// The rhythm, if not all that was measured of it was told. Now it was.
    pub fn untold(&mut self) -> Option<Rhythm> {
        self.due = false;
        let rhythm = self.rhythm?;
        let before = std::mem::replace(&mut self.intervals_told, rhythm.intervals);
        (rhythm.intervals > before).then_some(rhythm)
    }

    /// When there will be something to tell that may not be told yet.
    pub fn deadline(&self) -> Option<At> {
        self.due.then(|| self.rhythm_told.free_at())
    }

    /// What was measured so far.
    pub fn rhythm(&self) -> Option<Rhythm> {
        self.rhythm
    }

    fn count(&mut self, interval: Duration) {
        if self.last_intervals.len() == KEPT {
            self.last_intervals.remove(0);
        }
        self.last_intervals.push(interval);
        let mut sorted = self.last_intervals.clone();
        sorted.sort_unstable();
        let rhythm = self.rhythm.get_or_insert(Rhythm {
            interval: self.interval,
            intervals: 0,
            shortest: interval,
            median: interval,
            longest: interval,
            early: 0,
            late: 0,
        });
        rhythm.intervals = rhythm.intervals.saturating_add(1);
        rhythm.shortest = rhythm.shortest.min(interval);
        rhythm.median = sorted[(sorted.len() - 1) / 2];
        rhythm.longest = rhythm.longest.max(interval);
        let early = interval + TOLERANCE < self.interval;
        let late = interval > self.interval + TOLERANCE;
        rhythm.early = rhythm.early.saturating_add(u32::from(early));
        rhythm.late = rhythm.late.saturating_add(u32::from(late));
        self.due |= early || late;
        if rhythm.intervals >= self.next_summary {
            self.due = true;
            self.next_summary = rhythm.intervals.saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pdu(state: State) -> Lacpdu {
        Lacpdu {
            actor: PortInfo {
                port: 1,
                state,
                ..PortInfo::default()
            },
            partner: PortInfo::default(),
            collector_max_delay: 0,
        }
    }

    /// Hears LACPDUs so many ms apart, at the fast rate.
    fn hear(observer: &mut Observer, at: &mut At, gaps: &[u64], state: State) {
        for gap in gaps {
            *at = *at + Duration::from_millis(*gap);
            let second = Duration::from_secs(1);
            observer.heard(*at, &pdu(state), second, &PortInfo::default());
        }
    }

    #[test]
    fn a_rhythm_is_summed_up() {
        let (mut observer, mut at) = (Observer::default(), At::ZERO);
        hear(
            &mut observer,
            &mut at,
            &[0, 0, 900, 1000, 1300, 700, 1000],
            State::ACTIVITY,
        );
        let rhythm = observer.meter.rhythm().unwrap();
        assert_eq!(rhythm.intervals, 6);
        assert_eq!((rhythm.early, rhythm.late), (2, 1));
        assert_eq!(rhythm.median, Duration::from_millis(900));
        assert_eq!(rhythm.longest, Duration::from_millis(1300));
    }

    #[test]
    fn what_is_news_begins_no_interval_and_ends_none() {
        let (mut observer, mut at) = (Observer::default(), At::ZERO);
        hear(&mut observer, &mut at, &[0, 1000], State::ACTIVITY);
        hear(&mut observer, &mut at, &[300], State::SYNCHRONIZATION);
        // Two more that say the same, since the answer of the other end was new.
        hear(
            &mut observer,
            &mut at,
            &[1, 2, 1000, 1000],
            State::SYNCHRONIZATION,
        );
        let rhythm = observer.meter.rhythm().unwrap();
        assert_eq!((rhythm.intervals, rhythm.early), (2, 0));
        observer.meter.skip(at);
        hear(
            &mut observer,
            &mut at,
            &[200, 1000, 1000],
            State::SYNCHRONIZATION,
        );
        assert_eq!(observer.meter.rhythm().unwrap().intervals, 3);
        // One that is restless without a reason is not excused.
        hear(&mut observer, &mut at, &[100; 3], State::SYNCHRONIZATION);
        assert_eq!(observer.meter.rhythm().unwrap().early, 3);
    }

    #[test]
    fn it_is_told_ever_more_seldom_and_what_is_said_only_when_new() {
        let (mut observer, mut at) = (Observer::default(), At::ZERO);
        let (mut summaries, mut news) = (Vec::new(), 0);
        for _ in 0..40 {
            hear(&mut observer, &mut at, &[1000], State::ACTIVITY);
            summaries.extend(observer.meter.summary(at).map(|rhythm| rhythm.intervals));
            news += u32::from(observer.news(at).is_some());
        }
        assert_eq!(summaries, [1, 2, 4, 8, 16, 32]);
        assert_eq!(news, 1);
        observer.lost();
        hear(&mut observer, &mut at, &[1000], State::ACTIVITY);
        assert!(observer.news(at).is_some(), "it is back");
    }

    /// A partner that gets worse after long being right is told of with its first late LACPDU.
    #[test]
    fn what_is_late_is_told_at_once_and_what_ends_before_it_ends() {
        let (mut observer, mut at) = (Observer::default(), At::ZERO);
        hear(&mut observer, &mut at, &[1000; 40], State::ACTIVITY);
        assert!(observer.meter.summary(at).is_some());
        hear(&mut observer, &mut at, &[1000], State::ACTIVITY);
        assert_eq!(observer.meter.summary(at), None);
        hear(&mut observer, &mut at, &[1300], State::ACTIVITY);
        let told = observer.meter.summary(at).unwrap();
        assert_eq!((told.intervals, told.late), (41, 1));
        hear(&mut observer, &mut at, &[1000], State::ACTIVITY);
        assert_eq!(observer.meter.summary(at), None);
        observer.meter.restart();
        assert_eq!(observer.meter.summary(at).unwrap().intervals, 42);
        observer.meter.restart();
        assert_eq!(
            observer.meter.summary(at),
            None,
            "nothing was measured since"
        );
        hear(&mut observer, &mut at, &[1000; 4], State::ACTIVITY);
        assert_eq!(observer.meter.summary(at).unwrap().intervals, 3);
        hear(&mut observer, &mut at, &[1000], State::ACTIVITY);
        assert_eq!(observer.meter.untold().unwrap().intervals, 4);
        assert_eq!(observer.meter.untold(), None);
    }

    #[test]
    fn three_news_a_second_are_told_and_the_latest_is_not_forgotten() {
        let (mut observer, mut at) = (Observer::default(), At::ZERO);
        let (mut told, mut skipped) = (Vec::new(), 0);
        for n in 0..1000 {
            let state = State(
                State::ACTIVITY.0
                    | if n % 2 == 0 {
                        0
                    } else {
                        State::SYNCHRONIZATION.0
                    },
            );
            hear(&mut observer, &mut at, &[1], state);
            if let Some((_, missed)) = observer.news(at) {
                told.push(n);
                skipped += missed;
            }
        }
        assert_eq!(told, [0, 1, 2]);
        let due = observer.deadline().unwrap();
        assert_eq!(due, At::from_millis(1001));
        let (last, missed) = observer.news(due).unwrap();
        assert_eq!(
            last.actor.state,
            State(State::ACTIVITY.0 | State::SYNCHRONIZATION.0)
        );
        assert_eq!(missed, 996);
        assert_eq!((skipped, observer.deadline()), (0, None));
    }

    /// Coupled control that is seen for an instant among other things is none the less seen.
    #[test]
    fn that_it_distributes_early_is_told_whatever_it_says_next() {
        let (mut observer, mut at) = (Observer::default(), At::ZERO);
        let states = [
            State::ACTIVITY,
            State::SYNCHRONIZATION,
            State::COLLECTING,
            State::DISTRIBUTING,
            State::ACTIVITY,
        ];
        let mut early = Vec::new();
        for state in states {
            hear(&mut observer, &mut at, &[1], state);
            early.extend(observer.news(at).map(|(heard, _)| heard.early));
        }
        assert_eq!(early, [false; 3]);
        while let Some(due) = observer.deadline() {
            early.extend(observer.news(due).map(|(heard, _)| heard.early));
        }
        assert_eq!(early[3..], [true, false]);
    }

    #[test]
    fn another_rate_begins_anew() {
        let (mut observer, mut at) = (Observer::default(), At::ZERO);
        hear(&mut observer, &mut at, &[0, 1000], State::ACTIVITY);
        let slow = Duration::from_secs(30);
        for _ in 0..2 {
            at = at + slow;
            observer.heard(at, &pdu(State::ACTIVITY), slow, &PortInfo::default());
        }
        let rhythm = observer.meter.rhythm().unwrap();
        assert_eq!((rhythm.interval, rhythm.intervals), (slow, 1));
        assert_eq!((rhythm.early, rhythm.late), (0, 0));
    }
}
