//! Scripts in virtual time against one session; the other end is written by hand, packet by packet.

use proptest::prelude::*;

use super::*;
use crate::bfd::packet::{Invalid, PACKET_LEN};

const OURS: NonZeroU32 = NonZeroU32::new(0x11).unwrap();
const THEIRS: NonZeroU32 = NonZeroU32::new(0x22).unwrap();

pub(super) fn millis(millis: u32) -> Micros {
    Micros(millis * 1000)
}

pub(super) fn ms(millis: u64) -> At {
    At::from_millis(millis)
}

pub(super) fn timers(tx: u32, rx: u32, multiplier: u8) -> Timers {
    Timers {
        desired_min_tx: millis(tx),
        required_min_rx: millis(rx),
        detect_multiplier: NonZeroU8::new(multiplier).unwrap(),
    }
}

pub(super) fn config() -> Config {
    Config::single_hop(OURS, timers(50, 50, 3), 7)
}

/// A packet of the remote that knows us, with 50 ms both ways and multiplier 3.
pub(super) fn theirs(state: State) -> Packet {
    Packet {
        diagnostic: Diagnostic::None,
        state,
        poll: false,
        final_: false,
        control_plane_independent: false,
        demand: false,
        detect_multiplier: NonZeroU8::new(3).unwrap(),
        my_discriminator: THEIRS,
        your_discriminator: Some(OURS),
        desired_min_tx: millis(50),
        required_min_rx: millis(50),
        required_min_echo_rx: Micros(0),
        authentication: None,
    }
}

impl Session {
    pub(super) fn hear(&mut self, now: At, packet: Packet) {
        let bytes = packet.encode();
        self.handle(
            now,
            Input::Packet {
                bytes: &bytes,
                ttl: 255,
                at: now,
            },
        );
    }

    pub(super) fn timer(&mut self, now: At) {
        self.handle(now, Input::Timer { drained: now });
    }

    pub(super) fn sent(&mut self) -> Vec<Packet> {
        self.outputs().0
    }

    pub(super) fn changes(&mut self) -> Vec<StateChange> {
        self.outputs().1
    }

    pub(super) fn outputs(&mut self) -> (Vec<Packet>, Vec<StateChange>) {
        let (mut sent, mut changes) = (Vec::new(), Vec::new());
        while let Some(output) = self.poll() {
            match output {
                Output::Send(bytes) => sent.push(Packet::decode(&bytes).unwrap()),
                Output::State(change) => changes.push(change),
                Output::Disabled(_) => {}
                Output::Heard(_)
                | Output::Rhythm(_)
                | Output::Answered(_)
                | Output::Discarded(_) => {}
            }
        }
        (sent, changes)
    }
}

/// A session that is Up at `ms(0)`, its Poll Sequence over and settled.
pub(super) fn up_with(config: Config) -> Session {
    let mut session = Session::new(config, ms(0));
    session.hear(ms(0), theirs(State::Init));
    session.sent();
    session.hear(
        ms(0),
        Packet {
            final_: true,
            ..theirs(State::Up)
        },
    );
    session.hear(ms(0), theirs(State::Up));
    session.outputs();
    assert_eq!(session.state(), State::Up);
    assert!(session.poll_sequence.is_idle());
    session
}

pub(super) fn up() -> Session {
    up_with(config())
}

#[test]
fn the_first_packet_goes_at_once_and_slowly() {
    let mut session = Session::new(config(), ms(0));
    assert_eq!(
        session.sent(),
        [Packet {
            state: State::Down,
            my_discriminator: OURS,
            your_discriminator: None,
            desired_min_tx: millis(1000),
            ..theirs(State::Down)
        }]
    );
    let due = session.deadline().unwrap();
    assert!(ms(750) <= due && due <= ms(1000), "{due}");
    session.timer(At::from_nanos(due.as_nanos() - 1));
    assert_eq!(session.sent(), []);
    session.timer(due);
    assert_eq!(session.sent().len(), 1);
}

#[test]
fn three_packets_bring_it_up_without_waiting() {
    let mut session = Session::new(config(), ms(0));
    session.sent();
    session.hear(
        ms(1),
        Packet {
            your_discriminator: None,
            ..theirs(State::Down)
        },
    );
    let (sent, changes) = session.outputs();
    assert_eq!((sent.len(), sent[0].state), (1, State::Init));
    assert_eq!(sent[0].your_discriminator, Some(THEIRS));
    assert_eq!((changes[0].from, changes[0].to), (State::Down, State::Init));
    session.hear(ms(2), theirs(State::Init));
    let (sent, changes) = session.outputs();
    // Now Up, with the real interval, whose change is polled.
    assert_eq!((sent.len(), sent[0].state), (1, State::Up));
    assert_eq!((sent[0].desired_min_tx, sent[0].poll), (millis(50), true));
    assert_eq!((changes[0].from, changes[0].to), (State::Init, State::Up));
}

#[test]
fn passive_is_silent_until_it_hears_and_after_it_forgot() {
    let mut session = Session::new(
        Config {
            passive: true,
            ..config()
        },
        ms(0),
    );
    assert_eq!(session.sent(), []);
    assert_eq!(session.deadline(), None);
    session.hear(ms(1), theirs(State::Down));
    assert_eq!(session.sent()[0].state, State::Init);
    let lost = ms(1) + session.detection_time().unwrap();
    session.timer(lost);
    let (sent, changes) = session.outputs();
    assert_eq!((sent.len(), changes[0].to), (0, State::Down));
    assert_eq!(session.deadline(), None);
}

#[test]
fn detection_runs_from_the_kernel_timestamp_and_is_exact() {
    let mut session = up();
    let bytes = theirs(State::Up).encode();
    session.handle(
        ms(40),
        Input::Packet {
            bytes: &bytes,
            ttl: 255,
            at: ms(33),
        },
    );
    let due = ms(33 + 150);
    let before = At::from_nanos(due.as_nanos() - 1);
    session.timer(before);
    assert_eq!(session.changes(), []);
    session.timer(due);
    assert_eq!(
        session.changes(),
        [StateChange {
            from: State::Up,
            to: State::Down,
            diagnostic: Diagnostic::ControlDetectionTimeExpired,
            remote_state: State::Up,
            remote_diagnostic: Diagnostic::None,
            control_plane_independent: false,
            last_received: Some(ms(33)),
            detection_time: Some(Duration::from_millis(150)),
        }]
    );
}

#[test]
fn the_loss_is_told_at_once_and_the_remote_forgotten() {
    let mut session = up();
    session.timer(ms(150));
    let sent = session.sent();
    assert_eq!((sent.len(), sent[0].state), (1, State::Down));
    assert_eq!(sent[0].diagnostic, Diagnostic::ControlDetectionTimeExpired);
    assert_eq!(sent[0].your_discriminator, None);
    assert_eq!(sent[0].desired_min_tx, millis(1000));
}

#[test]
fn a_late_driver_does_not_declare_what_unread_packets_refute() {
    let mut session = up();
    // The driver slept until 400 ms and has read the socket up to 149 ms only.
    session.handle(ms(400), Input::Timer { drained: ms(149) });
    assert_eq!(session.changes(), []);
    for at in [100, 200, 300, 390] {
        let bytes = theirs(State::Up).encode();
        let input = Input::Packet {
            bytes: &bytes,
            ttl: 255,
            at: ms(at),
        };
        session.handle(ms(401), input);
    }
    session.handle(ms(401), Input::Timer { drained: ms(400) });
    assert_eq!(session.changes(), []);
    assert_eq!(session.state(), State::Up);
}

#[test]
fn a_packet_after_the_detection_time_does_not_undo_it() {
    let mut session = up();
    let bytes = theirs(State::Up).encode();
    let input = Input::Packet {
        bytes: &bytes,
        ttl: 255,
        at: ms(151),
    };
    session.handle(ms(200), input);
    let changes = session.changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(
        (changes[0].to, changes[0].last_received),
        (State::Down, Some(ms(0)))
    );
}

#[test]
fn detection_uses_the_greater_interval_and_the_remotes_multiplier() {
    let mut session = up();
    for (min_tx, multiplier, expected) in [(20, 5, 250), (50, 1, 50), (300, 3, 900)] {
        session.hear(
            ms(1),
            Packet {
                desired_min_tx: millis(min_tx),
                detect_multiplier: NonZeroU8::new(multiplier).unwrap(),
                ..theirs(State::Up)
            },
        );
        assert_eq!(
            session.detection_time(),
            Some(Duration::from_millis(expected))
        );
    }
}

#[test]
fn timestamps_that_cannot_be_true_are_bounded() {
    let mut session = up();
    session.hear(ms(30), theirs(State::Up));
    for (stamp, taken) in [(ms(1), ms(30)), (ms(9000), ms(60))] {
        let bytes = theirs(State::Up).encode();
        let input = Input::Packet {
            bytes: &bytes,
            ttl: 255,
            at: stamp,
        };
        session.handle(ms(60), input);
        assert_eq!(session.remote.last_received, Some(taken));
    }
}

/// Shares of the interval after which `count` periodic packets left.
fn shares(multiplier: u8, count: usize) -> Vec<f64> {
    let mut session = up_with(Config {
        timers: timers(50, 50, multiplier),
        ..config()
    });
    let mut last = ms(0);
    (0..count)
        .map(|_| {
            let now = session.next_transmission().unwrap();
            session.hear(now, theirs(State::Up));
            session.timer(now);
            assert_eq!(session.sent().len(), 1);
            let share = now.since(last).as_secs_f64() / 0.050;
            last = now;
            share
        })
        .collect()
}

#[test]
fn jitter_is_0_to_25_percent_and_at_least_10_with_multiplier_1() {
    for (multiplier, longest) in [(3, 1.0), (1, 0.9)] {
        let shares = shares(multiplier, 2000);
        let least = shares.iter().copied().fold(f64::MAX, f64::min);
        let most = shares.iter().copied().fold(0.0, f64::max);
        assert!((0.75..0.76).contains(&least), "{least}");
        assert!((longest - 1.0 / 16.0..=longest).contains(&most), "{most}");
    }
}

/// RFC 5882, section 3.2: who uses the session hears that it says nothing, before it hears that it is down.
#[test]
fn an_end_that_disables_the_session_is_told_apart_from_a_failure() {
    let heard = |session: &mut Session| -> Vec<Output> {
        std::iter::from_fn(|| session.poll())
            .filter(|output| matches!(output, Output::State(_) | Output::Disabled(_)))
            .collect()
    };
    let downs = |outputs: &[Output]| matches!(outputs, [Output::Disabled(true), Output::State(c)] if c.from == State::Up);
    // The remote does, having been up.
    let mut session = up();
    session.hear(ms(1), theirs(State::AdminDown));
    assert!(downs(&heard(&mut session)));
    session.hear(ms(2), theirs(State::AdminDown));
    assert_eq!(heard(&mut session), []);
    session.hear(ms(3), theirs(State::Down));
    let back = heard(&mut session);
    assert!(matches!(back[..], [Output::Disabled(false), Output::State(c)] if c.to == State::Init));
    // We do.
    let mut session = up();
    session.handle(ms(1), Input::Order(Order::Disable));
    assert!(downs(&heard(&mut session)));
    session.handle(ms(2), Input::Order(Order::Enable));
    assert!(matches!(
        heard(&mut session)[..],
        [Output::Disabled(false), Output::State(_)]
    ));
    // It was never up.
    let mut session = Session::new(config(), ms(0));
    session.hear(ms(1), theirs(State::AdminDown));
    assert_eq!(heard(&mut session), [Output::Disabled(true)]);
}

#[test]
fn admin_down_is_told_kept_and_left() {
    let mut session = up();
    session.handle(ms(1), Input::Order(Order::Disable));
    let (sent, changes) = session.outputs();
    assert_eq!(
        (sent[0].state, sent[0].diagnostic),
        (State::AdminDown, Diagnostic::AdministrativelyDown)
    );
    assert_eq!(changes[0].to, State::AdminDown);
    assert_eq!(session.remote_detection_time(), Duration::from_secs(3));
    // Received packets do not move it, nor are their Polls answered (section 6.8.6).
    session.hear(
        ms(2),
        Packet {
            poll: true,
            ..theirs(State::Down)
        },
    );
    assert_eq!(session.outputs(), (vec![], vec![]));
    // Nor does silence; it goes on sending, slowly.
    session.timer(ms(5000));
    let (sent, changes) = session.outputs();
    assert_eq!((sent.len(), changes.len()), (1, 0));
    session.handle(ms(5001), Input::Order(Order::Enable));
    let (sent, changes) = session.outputs();
    assert_eq!((sent[0].state, changes[0].to), (State::Down, State::Down));
}

#[test]
fn a_restarted_remote_takes_the_session_down() {
    let mut session = up();
    session.hear(
        ms(10),
        Packet {
            my_discriminator: NonZeroU32::new(0x33).unwrap(),
            your_discriminator: None,
            ..theirs(State::Down)
        },
    );
    let (sent, changes) = session.outputs();
    assert_eq!(
        changes[0].diagnostic,
        Diagnostic::NeighborSignaledSessionDown
    );
    assert_eq!(sent[0].your_discriminator, NonZeroU32::new(0x33));
}

#[test]
fn the_path_up_hint_ends_the_slow_wait() {
    let mut session = Session::new(config(), ms(0));
    session.sent();
    session.handle(ms(100), Input::PathUp);
    assert_eq!(session.sent().len(), 1);
    assert!(session.deadline().unwrap() >= ms(850));
}

#[test]
fn refusals_are_counted_by_reason() {
    let mut session = up();
    let mut refuse = |packet: Packet, ttl, flags: u8| {
        let mut bytes = packet.encode().to_vec();
        bytes[1] |= flags;
        if flags != 0 {
            bytes[3] = 26;
            bytes.extend([1, 2]);
        }
        let input = Input::Packet {
            bytes: &bytes,
            ttl,
            at: ms(1),
        };
        session.handle(ms(1), input);
        session.counters()
    };
    let other = Packet {
        your_discriminator: NonZeroU32::new(9),
        ..theirs(State::Down)
    };
    let counters = refuse(theirs(State::Down), 254, 0);
    assert_eq!(counters.last_discarded, Some(Invalid::Ttl));
    let counters = refuse(other, 255, 0);
    assert_eq!(counters.last_discarded, Some(Invalid::YourDiscriminator));
    let counters = refuse(theirs(State::Down), 255, 0x04);
    assert_eq!(counters.last_discarded, Some(Invalid::Authentication));
    assert_eq!(counters.discarded, 3);
    assert_eq!(session.state(), State::Up);
}

proptest! {
    /// Whatever comes, the session survives; what it refuses leaves everything but a counter as it was, and each reason is told once.
    #[test]
    fn hostile_packets(
        packets in proptest::collection::vec(
            (proptest::collection::vec(any::<u8>(), 0..40), 250u8.., any::<u16>(), any::<bool>()),
            1..20,
        )
    ) {
        let mut session = up();
        let mut told = Vec::new();
        for (mut bytes, ttl, at, nearly_right) in packets {
            if nearly_right {
                let right = theirs(State::Up).encode();
                bytes.resize(PACKET_LEN, 0);
                bytes[0] = right[0];
                bytes[3..12].copy_from_slice(&right[3..12]);
            }
            let before = session.counters();
            let shown = |session: &Session| (session.state(), session.deadline(), session.desired_min_tx);
            let was = shown(&session);
            let now = ms(u64::from(at));
            session.handle(now, Input::Packet { bytes: &bytes, ttl, at: now });
            if session.counters().received == before.received {
                prop_assert_eq!(session.counters().discarded, before.discarded + 1);
                prop_assert_eq!(shown(&session), was);
                if let Some(output) = session.poll() {
                    let reason = session.counters().last_discarded;
                    prop_assert_eq!(output, Output::Discarded(reason.unwrap()));
                    prop_assert!(!told.contains(&reason));
                    told.push(reason);
                }
                prop_assert_eq!(session.poll(), None);
            }
            if !session.changes().is_empty() {
                told.clear();
            }
            prop_assert_eq!(session.poll(), None);
            session.timer(now);
            if !session.changes().is_empty() {
                told.clear();
            }
        }
    }
}

/// RFC 5882, section 4.3.2: the C bit is clear in either direction.
#[test]
fn fate_is_shared_where_either_end_says_so() {
    for [ours, remote] in [[false, false], [false, true], [true, false], [true, true]] {
        let config = Config {
            control_plane_independent: ours,
            ..config()
        };
        let mut session = Session::new(config, At::ZERO);
        let packet = Packet {
            control_plane_independent: remote,
            ..theirs(State::Init)
        };
        session.hear(ms(0), packet);
        let independent: Vec<bool> = session
            .changes()
            .iter()
            .map(|change| change.control_plane_independent)
            .collect();
        assert_eq!(independent, [ours && remote], "{ours} and {remote}");
    }
}

proptest! {
    #[test]
    fn a_common_moment_is_within_the_jitter_and_shared(
        from in 0u64..1 << 50,
        interval in 1u32..,
        parts in 750_000u64..=1_000_000,
    ) {
        let (from, nanos) = (At::from_nanos(from), u64::from(interval) * 1000);
        let at = at_a_common_moment(from, nanos / 1000 * parts / 1000, Micros(interval));
        let after = at.since(from).as_nanos() as u64;
        prop_assert!(after >= nanos * 3 / 4 && after <= nanos, "{after} of {nanos}");
        // Four places within the jitter at least, eight at most.
        let step = 1 << at.as_nanos().trailing_zeros();
        prop_assert!(step > nanos / 32, "{step}");
    }
}
