//! Two ends of a member, joined in memory, in virtual time.

use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use super::*;
use crate::bfd::{
    Authentication, Diagnostic, Heard, Invalid, Key, Kind, Micros, Rhythm, Secret, Timers,
    TimersChange, Wrong,
};

const INTERVAL: Duration = Duration::from_millis(50);
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

struct Pair {
    now: At,
    ends: [Micro; 2],
    /// Whether frames to each end arrive.
    open: [bool; 2],
    alive: [bool; 2],
    /// When each end last changed its mind.
    changed: [At; 2],
    /// The destination of each frame sent by end 0 in state Up.
    destinations: Vec<[u8; 6]>,
    heard: Vec<(usize, Heard)>,
    rhythms: Vec<(usize, Rhythm)>,
}

impl Micro {
    fn state(&self) -> Option<State> {
        self.session().map(Session::state)
    }
}

impl Pair {
    fn new() -> Pair {
        Pair::between([[192, 0, 2, 0], [192, 0, 2, 1]].map(IpAddr::from))
    }

    /// Each end authenticates with its own key.
    fn authenticated(kind: Kind, secrets: [&str; 2]) -> Pair {
        let mut pair = Pair::new();
        for (end, secret) in pair.ends.iter_mut().zip(secrets) {
            let mut config = *end.config();
            config.session.authentication = Some(Authentication {
                kind,
                key: Key {
                    id: 1,
                    secret: Secret::new(secret.as_bytes()).unwrap(),
                },
                other_key: None,
            });
            *end = Micro::new(config);
        }
        pair
    }

    fn between(addresses: [IpAddr; 2]) -> Pair {
        let end = |n: usize| {
            let discriminator = NonZeroU32::new(n as u32 + 1).unwrap();
            let timers = Timers::symmetric(INTERVAL, NonZeroU8::new(3).unwrap());
            Micro::new(MicroConfig {
                session: Config::single_hop(discriminator, timers, n as u64),
                mac: MACS[n],
                local: addresses[n],
                remote: addresses[1 - n],
                port: 49152,
            })
        };
        Pair {
            now: At::ZERO,
            ends: [end(0), end(1)],
            open: [true; 2],
            alive: [false; 2],
            changed: [At::ZERO; 2],
            destinations: Vec::new(),
            heard: Vec::new(),
            rhythms: Vec::new(),
        }
    }

    fn handle(&mut self, end: usize, input: MicroInput<'_>) {
        self.ends[end].handle(self.now, input);
        self.settle();
    }

    fn want(&mut self, wanted: [bool; 2]) {
        for (end, wanted) in wanted.into_iter().enumerate() {
            self.handle(end, MicroInput::Wanted(wanted));
        }
    }

    /// Delivers until nobody has anything to say.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            for end in 0..2 {
                while let Some(output) = self.ends[end].poll() {
                    quiet = false;
                    match output {
                        MicroOutput::Send(bytes) => {
                            if end == 0 && self.ends[0].state() == Some(State::Up) {
                                self.destinations.push(bytes[..6].try_into().unwrap());
                            }
                            let at = self.now;
                            if self.open[1 - end] {
                                let bytes = &bytes;
                                self.ends[1 - end].handle(at, MicroInput::Frame { bytes, at });
                            }
                        }
                        MicroOutput::Alive(alive) => {
                            self.alive[end] = alive;
                            self.changed[end] = self.now;
                        }
                        MicroOutput::Seen(Output::Heard(heard)) => self.heard.push((end, heard)),
                        MicroOutput::Seen(Output::Rhythm(rhythm)) => {
                            self.rhythms.push((end, rhythm));
                        }
                        MicroOutput::State(_) | MicroOutput::Seen(_) => {}
                    }
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((at, end)) = (0..2)
            .filter_map(|end| Some((self.ends[end].deadline()?, end)))
            .min()
            .filter(|(at, _)| *at <= until)
        {
            self.now = self.now.max(at);
            self.handle(end, MicroInput::Timer { drained: at });
        }
        self.now = until;
    }
}

fn up() -> Pair {
    let mut pair = Pair::new();
    pair.want([true; 2]);
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.alive, [true; 2]);
    pair
}

#[test]
fn a_member_is_not_alive_before_its_session_is_up() {
    let mut pair = Pair::new();
    assert_eq!(pair.ends[0].deadline(), None);
    pair.want([true, false]);
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.alive, [false; 2]);
    pair.want([true; 2]);
    assert_eq!(pair.alive, [true; 2], "at once, from the first packet on");
}

/// Section 2.3: to the dedicated address until Up, and the first three packets in Up; then where packets come from.
#[test]
fn the_dedicated_address_is_for_the_first_packets() {
    let mut pair = up();
    pair.run(Duration::from_secs(1));
    let (first, rest) = pair.destinations.split_at(3);
    assert!(first.iter().all(|mac| *mac == DEDICATED_MAC), "{first:?}");
    assert!(rest.len() > 10, "{}", rest.len());
    assert!(rest.iter().all(|mac| *mac == MACS[1]), "{rest:?}");
}

#[test]
fn silence_takes_the_member_within_the_detection_time() {
    let mut pair = up();
    pair.open = [false; 2];
    let silent = pair.now;
    pair.run(3 * INTERVAL);
    assert_eq!(pair.alive, [false; 2]);
    for changed in pair.changed {
        assert!(changed > silent + INTERVAL, "{changed:?}");
    }
    pair.open = [true; 2];
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.alive, [true; 2]);
}

#[test]
fn one_deaf_end_takes_the_member_at_both() {
    let mut pair = up();
    pair.open = [false, true];
    pair.run(3 * INTERVAL);
    assert_eq!(pair.alive, [false; 2]);
}

#[test]
fn what_is_not_wanted_is_not_alive_and_says_nothing() {
    let mut pair = up();
    pair.want([false, true]);
    assert!(!pair.alive[0]);
    assert_eq!(pair.ends[0].deadline(), None);
    pair.run(3 * INTERVAL);
    assert_eq!(pair.alive, [false; 2]);
    pair.want([true; 2]);
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.alive, [true; 2]);
}

/// RFC 5882, section 4.2: AdminDown says nothing of the path.
#[test]
fn a_disabled_session_takes_nothing_away() {
    let mut pair = up();
    pair.handle(1, MicroInput::Order(Order::Disable));
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.ends[0].state(), Some(State::Down));
    assert_eq!(pair.alive, [true; 2]);
}

/// RFC 7130, section 3: the member is not used before its session was Up, whoever disabled it.
#[test]
fn a_session_that_is_disabled_from_the_start_gives_nothing() {
    for disabled in 0..2 {
        let mut pair = Pair::new();
        pair.handle(disabled, MicroInput::Order(Order::Disable));
        pair.want([true; 2]);
        pair.run(Duration::from_secs(5));
        assert_eq!(pair.alive, [false; 2]);
        pair.handle(disabled, MicroInput::Order(Order::Enable));
        pair.run(Duration::from_secs(5));
        assert_eq!(pair.alive, [true; 2]);
    }
}

#[test]
fn frames_of_others_are_not_for_the_session() {
    let mut pair = up();
    let way = Way {
        macs: [MACS[1], DEDICATED_MAC],
        addresses: [[192, 0, 2, 7], [192, 0, 2, 0]].map(IpAddr::from),
        port: 49152,
    };
    let bytes = frame(&way, 255, &[0; 24]);
    let (bytes, at) = (&bytes[..], pair.now);
    pair.handle(0, MicroInput::Frame { bytes, at });
    assert_eq!(pair.ends[0].foreign(), 1);
    assert_eq!(pair.alive, [true; 2]);
}

/// Section 2.1 allows both families; what is sent to is the same address.
#[test]
fn over_ipv6_it_is_the_same() {
    let addresses = ["2001:db8::1", "2001:db8::2"].map(|address| address.parse().unwrap());
    let mut pair = Pair::between(addresses);
    pair.want([true; 2]);
    pair.run(Duration::from_secs(2));
    assert_eq!(pair.alive, [true; 2]);
    assert!(pair.destinations.starts_with(&[DEDICATED_MAC; 3]));
    pair.open = [false; 2];
    pair.run(3 * INTERVAL);
    assert_eq!(pair.alive, [false; 2]);
}

/// What an end is told to do wrong it does in every session of its member; the other end says what it makes of it.
#[test]
fn an_end_misbehaves_until_it_is_told_otherwise() {
    let mut pair = up();
    assert!(
        pair.rhythms
            .iter()
            .any(|(end, rhythm)| *end == 0 && rhythm.interval == INTERVAL)
    );
    let silent = Misbehaviour {
        silent: true,
        ..Misbehaviour::default()
    };
    pair.handle(0, MicroInput::Order(Order::Misbehave(silent)));
    pair.run(4 * INTERVAL);
    assert_eq!(pair.alive, [false; 2]);
    let (_, heard) = pair.heard.iter().rev().find(|(end, _)| *end == 0).unwrap();
    let expired = Diagnostic::ControlDetectionTimeExpired;
    assert_eq!((heard.state, heard.diagnostic), (State::Down, expired));
    assert!(heard.detected_after.is_some());
    // Another session of the same member.
    pair.want([false; 2]);
    pair.want([true; 2]);
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.alive, [false; 2]);
    let good = Misbehaviour::default();
    pair.handle(0, MicroInput::Order(Order::Misbehave(good)));
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.alive, [true; 2]);
}

/// RFC 5880, section 6.7, on a member: with one key it is alive, with another never.
#[test]
fn a_member_is_alive_only_with_the_right_key() {
    for kind in Kind::ALL {
        for (secrets, alive) in [(["one", "one"], true), (["one", "two"], false)] {
            let mut pair = Pair::authenticated(kind, secrets);
            pair.want([true; 2]);
            pair.run(Duration::from_secs(5));
            assert_eq!(pair.alive, [alive; 2], "{kind:?} {secrets:?}");
            let counters = pair.ends[0].session().unwrap().counters();
            let wrong = match kind {
                Kind::SimplePassword => Invalid::Password,
                _ => Invalid::Digest,
            };
            let discarded = (!alive).then_some(wrong);
            assert_eq!(counters.last_discarded, discarded, "{kind:?} {secrets:?}");
        }
    }
}

/// LACP leaves Distributing at one end only, and comes back before the other end forgets its sequence number.
#[test]
fn a_session_that_begins_anew_goes_on_with_its_sequence_numbers() {
    let mut pair = Pair::authenticated(Kind::MeticulousKeyedSha1, ["one", "one"]);
    pair.want([true; 2]);
    pair.run(Duration::from_secs(2));
    for _ in 0..3 {
        pair.handle(0, MicroInput::Wanted(false));
        pair.run(INTERVAL);
        pair.handle(0, MicroInput::Wanted(true));
        assert_eq!(pair.alive, [true; 2], "at once");
        pair.run(Duration::from_secs(2));
    }
    let partner = pair.ends[1].session().unwrap().counters();
    assert_eq!((partner.discarded, partner.last_discarded), (0, None));
}

/// Whatever a session over a LAG can be told, one on a member can; and the member is alive while a right end bears it.
#[test]
fn what_is_borne_keeps_the_member() {
    let good = Misbehaviour::default();
    let late = |millis| Duration::from_millis(millis);
    let pace = |millis| Some(Micros::from(late(millis)));
    let mut cases = vec![
        (
            Misbehaviour {
                delay: late(60),
                ..good
            },
            true,
        ),
        (
            Misbehaviour {
                jitter: late(60),
                ..good
            },
            true,
        ),
        (
            Misbehaviour {
                pace: pace(2),
                ..good
            },
            true,
        ),
        (
            Misbehaviour {
                pace: pace(400),
                ..good
            },
            false,
        ),
        (
            Misbehaviour {
                ttl: Some(254),
                ..good
            },
            false,
        ),
        (
            Misbehaviour {
                silent: true,
                ..good
            },
            false,
        ),
        (
            Misbehaviour {
                demand: true,
                ..good
            },
            false,
        ),
    ];
    cases.extend(Wrong::ALL.map(|wrong| {
        let wrong = Some(wrong);
        (Misbehaviour { wrong, ..good }, false)
    }));
    for (how, alive) in cases {
        let mut pair = Pair::authenticated(Kind::MeticulousKeyedSha1, ["one", "one"]);
        pair.want([true; 2]);
        pair.run(Duration::from_secs(2));
        pair.handle(0, MicroInput::Order(Order::Misbehave(how)));
        pair.changed = [At::ZERO; 2];
        pair.run(Duration::from_millis(800));
        let lost = pair.changed.map(|at| at > At::ZERO);
        assert_eq!(lost, [!alive; 2], "{how:?}");
        pair.handle(0, MicroInput::Order(Order::Misbehave(good)));
        // Its sequence number may be too far by now, and is believed again after twice the Detection Time.
        pair.run(Duration::from_secs(10));
        assert_eq!(pair.alive, [true; 2], "{how:?}");
    }
}

/// Other timers hold with a Poll and without, and in the member's next session.
#[test]
fn timers_of_a_member_change_with_and_without_a_poll() {
    for poll in [true, false] {
        let mut pair = up();
        pair.changed = [At::ZERO; 2];
        let change = TimersChange {
            desired_min_tx: Some(Micros::from(4 * INTERVAL)),
            required_min_rx: Some(Micros::from(4 * INTERVAL)),
            detect_multiplier: NonZeroU8::new(5),
        };
        pair.handle(0, MicroInput::Order(Order::Timers { change, poll }));
        pair.run(Duration::from_secs(2));
        assert_eq!(pair.changed, [At::ZERO; 2], "it stays alive");
        for again in [false, true] {
            if again {
                pair.want([false; 2]);
                pair.want([true; 2]);
                pair.run(Duration::from_secs(5));
            }
            let times = pair
                .ends
                .each_ref()
                .map(|end| end.session().unwrap().detection_time());
            assert_eq!(
                times,
                [Some(12 * INTERVAL), Some(20 * INTERVAL)],
                "{poll} {again}"
            );
        }
    }
}
