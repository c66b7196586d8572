//! What is seen of the other end.

use super::joined::{Pair, UP, timers};
use super::tests::{config, ms, theirs, up, up_with};
use super::*;

#[test]
fn what_the_remote_says_is_told_when_it_says_something_else() {
    let mut session = up();
    let told = |session: &mut Session| {
        let mut all = Vec::new();
        while let Some(output) = session.poll() {
            if let Output::Heard(heard) = output {
                all.push(heard);
            }
        }
        all
    };
    session.hear(ms(1), theirs(State::Up));
    assert_eq!(told(&mut session), []);
    session.hear(
        ms(2),
        Packet {
            poll: true,
            required_min_echo_rx: Micros(1000),
            demand: true,
            ..theirs(State::Up)
        },
    );
    let heard = told(&mut session);
    assert_eq!(heard.len(), 1);
    assert!(heard[0].demand && !heard[0].unasked);
    assert_eq!(heard[0].required_min_echo_rx, Micros(1000));
    session.hear(
        ms(3),
        Packet {
            desired_min_tx: Micros(70_000),
            ..theirs(State::Up)
        },
    );
    assert!(told(&mut session)[0].unasked);
}

/// Both ends ask at once: each answers before it asks by itself, and a Final has no Poll (section 6.5).
#[test]
fn polls_that_cross_are_no_change_without_a_poll() {
    for (delay, faster) in [(1, true), (20, false), (200, true)] {
        let mut pair = Pair::new([timers(150, 150, 3); 2], Duration::from_millis(delay), 5);
        pair.run(At::from_millis(5_000));
        let interval = if faster { 75 } else { 300 };
        for end in 0..2 {
            pair.set(end, timers(interval, interval, 3));
        }
        pair.run(At::from_millis(10_000));
        assert_eq!((pair.states(), pair.losses()), (UP, 0));
        let changed = |(_, heard): &&(usize, Heard)| {
            heard.timers == timers(interval, interval, 3) && heard.state == State::Up
        };
        assert_eq!(pair.heard.iter().filter(changed).count(), 2, "{delay}");
        assert!(
            pair.heard.iter().all(|(_, heard)| !heard.unasked),
            "{delay}"
        );
    }
}

/// It answers with other intervals, and then asks about them, or does not.
#[test]
fn after_a_final_with_other_intervals_the_next_packet_has_the_poll() {
    for poll in [true, false] {
        let mut session = up();
        let other = Packet {
            desired_min_tx: Micros(70_000),
            ..theirs(State::Up)
        };
        let answer = Packet {
            final_: true,
            ..other
        };
        let next = Packet { poll, ..other };
        let mut told = Vec::new();
        for (at, packet) in [(1, answer), (2, answer), (3, next), (4, other)] {
            session.hear(ms(at), packet);
            while let Some(output) = session.poll() {
                if let Output::Heard(heard) = output {
                    told.push((at, heard.unasked));
                }
            }
        }
        let expected: &[(u64, bool)] = match poll {
            true => &[(1, false)],
            false => &[(1, false), (3, true)],
        };
        assert_eq!(told, expected);
    }
}

/// Two right ends keep the time that section 6.8.7 sets, and answer at once.
#[test]
fn a_right_end_is_seen_to_be_right() {
    for multiplier in [1, 3] {
        let timers = [timers(50, 50, multiplier); 2];
        let mut pair = Pair::new(timers, Duration::from_millis(1), 5);
        pair.run(At::from_millis(20_000));
        assert_eq!(pair.states(), UP);
        for end in &pair.ends {
            let rhythm = end.rhythm().unwrap();
            assert_eq!(rhythm.interval, Duration::from_millis(50));
            assert_eq!((rhythm.early, rhythm.late), (0, 0), "{rhythm:?}");
            assert!(rhythm.intervals > 380, "{rhythm:?}");
            let longest = if multiplier == 1 { 45.0 } else { 50.0 };
            let spread = [rhythm.shortest, rhythm.median, rhythm.p99, rhythm.longest];
            let spread = spread.map(|time| time.as_secs_f64() * 1e3);
            assert!((37.5..38.0).contains(&spread[0]), "{rhythm:?}");
            let middle = (37.5 + longest) / 2.0;
            assert!((spread[1] - middle).abs() < 2.5, "{rhythm:?}");
            assert!(spread[2] <= spread[3] && spread[3] <= longest, "{rhythm:?}");
        }
        // One Poll Sequence of each end, begun by coming Up, answered within a round trip.
        assert_eq!(pair.answered.len(), 2);
        for (_, after) in &pair.answered {
            assert_eq!(*after, Duration::from_millis(2));
        }
    }
}

#[test]
fn a_rhythm_is_told_when_the_session_is_lost() {
    let mut session = up();
    for packet in 0..5 {
        session.hear(ms(40 * packet), theirs(State::Up));
    }
    while session.poll().is_some() {}
    session.timer(ms(160 + 150));
    let first = session.poll();
    let Some(Output::Rhythm(rhythm)) = first else {
        panic!("{first:?}");
    };
    assert_eq!(
        (rhythm.intervals, rhythm.longest),
        (4, Duration::from_millis(40))
    );
}

/// RFC 5883: over several hops a packet may have lost some of its TTL.
#[test]
fn the_lowest_ttl() {
    for (least, ttl, accepted) in [
        (255, 254, false),
        (255, 255, true),
        (250, 249, false),
        (250, 250, true),
        (1, 1, true),
    ] {
        let mut session = up_with(Config {
            least_ttl: least,
            ..config()
        });
        let before = session.counters().received;
        let bytes = theirs(State::Up).encode();
        session.handle(
            ms(1),
            Input::Packet {
                bytes: &bytes,
                ttl,
                at: ms(1),
            },
        );
        assert_eq!(session.counters().received > before, accepted);
    }
}
