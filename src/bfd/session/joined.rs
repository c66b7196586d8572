//! Two sessions joined in memory, in virtual time, by a path that delays, loses and reorders.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::bfd::packet::Datagram;

pub(super) fn timers(tx: u32, rx: u32, multiplier: u8) -> Timers {
    Timers {
        desired_min_tx: Micros(tx * 1000),
        required_min_rx: Micros(rx * 1000),
        detect_multiplier: NonZeroU8::new(multiplier).unwrap(),
    }
}

/// What the path does to the next packet: `None` loses it.
type Fate = Option<Duration>;

pub(super) struct Pair {
    pub now: At,
    pub ends: [Session; 2],
    /// Packets under way, by arrival and order of sending; with the end they go to.
    flying: BTreeMap<(At, u64), (usize, Datagram)>,
    /// Fates for the next packets to each end; then `ordinary`.
    pub fates: [VecDeque<Fate>; 2],
    ordinary: [Fate; 2],
    count: u64,
    pub changes: Vec<(usize, At, StateChange)>,
    /// What each end heard the other say.
    pub heard: Vec<(usize, Heard)>,
    /// Polls of each end that were answered.
    pub answered: Vec<(usize, Duration)>,
    /// Why each end discarded packets, as it told.
    pub discarded: Vec<(usize, Invalid)>,
    /// The last packet that arrived at each end.
    pub last_to: [Option<Datagram>; 2],
}

impl Pair {
    pub fn new(timers: [Timers; 2], delay: Duration, seed: u64) -> Pair {
        let end = |number: u32| {
            let discriminator = NonZeroU32::new(number).unwrap();
            let timers = timers[number as usize - 1];
            Config::single_hop(discriminator, timers, seed + u64::from(number))
        };
        Pair::of([end(1), end(2)], delay)
    }

    pub fn of(ends: [Config; 2], delay: Duration) -> Pair {
        let mut pair = Pair {
            now: At::ZERO,
            ends: ends.map(|config| Session::new(config, At::ZERO)),
            flying: BTreeMap::new(),
            fates: Default::default(),
            ordinary: [Some(delay); 2],
            count: 0,
            changes: Vec::new(),
            heard: Vec::new(),
            answered: Vec::new(),
            discarded: Vec::new(),
            last_to: [None; 2],
        };
        pair.collect();
        pair
    }

    /// Plays until `until`. At one moment arrivals come before timers, as a driver must do it.
    pub fn run(&mut self, until: At) {
        loop {
            let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
            let timer = self.ends.iter().filter_map(Session::deadline).min();
            let Some(moment) = arrival.into_iter().chain(timer).min() else {
                break;
            };
            if moment > until {
                break;
            }
            self.now = self.now.max(moment);
            if arrival == Some(moment) {
                let (_, (to, bytes)) = self.flying.pop_first().unwrap();
                let input = Input::Packet {
                    bytes: &bytes,
                    ttl: bytes.ttl,
                    at: self.now,
                };
                self.last_to[to] = Some(bytes);
                self.ends[to].handle(self.now, input);
            } else {
                for end in &mut self.ends {
                    end.handle(self.now, Input::Timer { drained: self.now });
                }
            }
            self.collect();
        }
        self.now = until;
    }

    pub fn set(&mut self, end: usize, timers: Timers) {
        self.ends[end].handle(self.now, Input::Order(Order::timers(timers)));
        self.collect();
    }

    pub fn collect(&mut self) {
        for from in 0..2 {
            let to = 1 - from;
            while let Some(output) = self.ends[from].poll() {
                match output {
                    Output::State(change) => self.changes.push((from, self.now, change)),
                    Output::Disabled(_) => {}
                    Output::Heard(heard) => self.heard.push((from, heard)),
                    Output::Answered(after) => self.answered.push((from, after)),
                    Output::Discarded(why) => self.discarded.push((from, why)),
                    Output::Rhythm(_) => {}
                    Output::Send(bytes) => {
                        self.count += 1;
                        let fate = self.fates[to].pop_front().unwrap_or(self.ordinary[to]);
                        if let Some(delay) = fate {
                            let key = (self.now + delay, self.count);
                            self.flying.insert(key, (to, bytes));
                        }
                    }
                }
            }
        }
    }

    pub fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }

    /// How often a session was lost so far.
    pub fn losses(&self) -> usize {
        let lost = |change: &StateChange| change.from == State::Up;
        self.changes.iter().filter(|(_, _, c)| lost(c)).count()
    }
}

pub(super) const UP: [State; 2] = [State::Up, State::Up];

#[test]
fn up_within_two_round_trips() {
    let mut pair = Pair::new([timers(50, 50, 3); 2], Duration::from_millis(1), 1);
    pair.run(At::from_millis(3));
    assert_eq!(pair.states(), UP);
    // Soon afterwards the slow interval is forgotten on both sides.
    pair.run(At::from_millis(100));
    for end in &pair.ends {
        assert_eq!(end.detection_time(), Some(Duration::from_millis(150)));
        assert_eq!(end.transmit_interval(), Duration::from_millis(50));
    }
}

#[test]
fn unequal_timers_are_negotiated_each_way() {
    let both = [timers(50, 400, 3), timers(100, 200, 5)];
    let mut pair = Pair::new(both, Duration::from_millis(1), 1);
    pair.run(At::from_millis(5_000));
    let shown = |end: &Session| (end.transmit_interval(), end.detection_time().unwrap());
    let ms = Duration::from_millis;
    assert_eq!(shown(&pair.ends[0]), (ms(200), ms(5 * 400)));
    assert_eq!(shown(&pair.ends[1]), (ms(400), ms(3 * 200)));
    assert_eq!(pair.losses(), 0);
}

#[test]
fn a_packet_each_way_per_jittered_interval() {
    let mut pair = Pair::new([timers(50, 50, 3); 2], Duration::from_millis(1), 1);
    pair.run(At::from_millis(1_000));
    let before = pair.count;
    pair.run(At::from_millis(11_000));
    // 10 s, two ends, one packet per 37.5 to 50 ms.
    assert!((400..=534).contains(&(pair.count - before)));
}

#[test]
fn one_way_loss_is_told_to_the_end_that_still_hears() {
    let mut pair = Pair::new([timers(50, 50, 3); 2], Duration::from_millis(1), 1);
    pair.run(At::from_millis(1_000));
    pair.ordinary[0] = None;
    pair.run(At::from_millis(1_200));
    let [(first, _, lost), (second, _, told)] = pair.changes[pair.changes.len() - 2..] else {
        panic!("{:?}", pair.changes);
    };
    assert_eq!((first, second), (0, 1));
    assert_eq!(lost.diagnostic, Diagnostic::ControlDetectionTimeExpired);
    assert_eq!(told.diagnostic, Diagnostic::NeighborSignaledSessionDown);
    assert_eq!(
        told.remote_diagnostic,
        Diagnostic::ControlDetectionTimeExpired
    );
}

#[test]
fn repaired_within_the_slow_interval() {
    let mut pair = Pair::new([timers(50, 50, 3); 2], Duration::from_millis(1), 1);
    pair.run(At::from_millis(1_000));
    pair.ordinary = [None; 2];
    pair.run(At::from_millis(4_000));
    assert_eq!(pair.states(), [State::Down; 2]);
    pair.ordinary = [Some(Duration::from_millis(1)); 2];
    pair.run(At::from_millis(5_005));
    assert_eq!(pair.states(), UP);
}

fn any_timers() -> impl Strategy<Value = Timers> {
    (20u32..400, 20u32..400, 3u8..6).prop_map(|(tx, rx, multiplier)| timers(tx, rx, multiplier))
}

/// A packet lost never more than twice in a row, so always fewer than any multiplier here.
fn fates(delay: Duration) -> impl Strategy<Value = VecDeque<Fate>> {
    let run = (0usize..3, 1usize..6).prop_map(move |(lost, kept)| {
        std::iter::repeat_n(None, lost)
            .chain(std::iter::repeat_n(Some(delay), kept))
            .collect::<Vec<_>>()
    });
    proptest::collection::vec(run, 0..40).prop_map(|runs| runs.concat().into())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Both ends notice a cut exactly one Detection Time after the last packet each received.
    #[test]
    fn detection_is_exact(
        ours in any_timers(), theirs in any_timers(),
        seed: u64, delay in 0u64..30, cut in 6_000u64..7_000,
    ) {
        let mut pair = Pair::new([ours, theirs], Duration::from_millis(delay), seed >> 1);
        pair.run(At::from_millis(cut));
        prop_assert_eq!((pair.states(), pair.losses()), (UP, 0));
        let settled = |end: usize, other: &Timers, own: &Timers| {
            let interval = own.required_min_rx.max(other.desired_min_tx).duration();
            let expected = interval * u32::from(other.detect_multiplier.get());
            pair.ends[end].detection_time() == Some(expected)
        };
        prop_assert!(settled(0, &theirs, &ours) && settled(1, &ours, &theirs));
        pair.ordinary = [None; 2];
        pair.flying.clear();
        pair.run(At::from_millis(cut + 3_000));
        prop_assert_eq!(pair.losses(), 2);
        for (_, at, change) in &pair.changes {
            if change.from == State::Up {
                prop_assert_eq!(change.diagnostic, Diagnostic::ControlDetectionTimeExpired);
                let due = change.last_received.unwrap() + change.detection_time.unwrap();
                prop_assert_eq!(*at, due);
            }
        }
    }

    /// Timers change again and again at both ends, packets are lost, the round trip may be longer than
    /// the interval: nobody is declared lost, and at last the configured values are in force.
    #[test]
    fn timer_changes_never_cost_the_session(
        first in [any_timers(), any_timers()],
        changes in proptest::collection::vec((0usize..2, any_timers(), 1u64..1_500), 1..12),
        lost in [fates(Duration::from_millis(5)), fates(Duration::from_millis(5))],
        seed: u64, slow in prop::bool::ANY,
    ) {
        let delay = Duration::from_millis(if slow { 90 } else { 5 });
        let mut pair = Pair::new(first, delay, seed >> 1);
        pair.run(At::from_millis(5_000));
        prop_assert_eq!(pair.states(), UP);
        pair.fates = lost.map(|fates| {
            fates.into_iter().map(|fate| fate.map(|_| delay)).collect()
        });
        let mut last = first;
        for (end, timers, pause) in changes {
            last[end] = timers;
            pair.set(end, timers);
            pair.run(pair.now + Duration::from_millis(pause));
        }
        pair.run(pair.now + Duration::from_secs(120));
        prop_assert_eq!(pair.losses(), 0, "{:?}", pair.changes.last());
        for end in 0..2 {
            let (own, other) = (last[end], last[1 - end]);
            prop_assert_eq!(
                pair.ends[end].transmit_interval(),
                own.desired_min_tx.max(other.required_min_rx).duration()
            );
            prop_assert_eq!(
                pair.ends[end].detection_time(),
                Some(own.required_min_rx.max(other.desired_min_tx).duration()
                    * u32::from(other.detect_multiplier.get()))
            );
        }
    }

    /// Reordering by less than an interval, and losses short of the multiplier by one.
    #[test]
    fn no_false_loss(
        seed: u64,
        fates in [
            proptest::collection::vec((0u64..45, prop::bool::ANY), 200),
            proptest::collection::vec((0u64..45, prop::bool::ANY), 200),
        ],
    ) {
        let mut pair = Pair::new([timers(50, 50, 3); 2], Duration::from_millis(1), seed >> 1);
        pair.run(At::from_millis(2_000));
        pair.fates = fates.map(|fates| {
            let mut lost_before = false;
            fates.into_iter().map(|(delay, lost)| {
                lost_before = lost && !lost_before;
                (!lost_before).then(|| Duration::from_millis(delay))
            }).collect()
        });
        pair.run(At::from_millis(15_000));
        prop_assert_eq!((pair.states(), pair.losses()), (UP, 0));
    }

    /// Chaos at birth: whatever was lost or reordered, the two find each other afterwards.
    #[test]
    fn always_up_in_the_end(
        ours in any_timers(), theirs in any_timers(), seed: u64,
        fates in [
            proptest::collection::vec(proptest::option::of(0u64..3_000), 0..30),
            proptest::collection::vec(proptest::option::of(0u64..3_000), 0..30),
        ],
    ) {
        let mut pair = Pair::new([ours, theirs], Duration::from_millis(1), seed >> 1);
        pair.fates = fates.map(|fates| {
            fates.into_iter().map(|fate| fate.map(Duration::from_millis)).collect()
        });
        pair.run(At::from_millis(120_000));
        let losses = pair.losses();
        prop_assert_eq!(pair.states(), UP);
        pair.run(At::from_millis(180_000));
        prop_assert_eq!(pair.losses(), losses);
    }
}
