//! An end that misbehaves, and a right one that does what the RFC wants of it.

use super::authenticated::authentication;
use super::joined::{Pair, UP, timers};
use super::*;
use crate::bfd::authentication::Kind;
use crate::bfd::misbehaviour::Wrong;
use crate::bfd::packet::Invalid;

fn up() -> Pair {
    up_with(None)
}

fn up_with(kind: Option<Kind>) -> Pair {
    let authentication = kind.and_then(|kind| authentication(kind, "secret"));
    let end = |number: u32| Config {
        authentication,
        ..Config::single_hop(
            NonZeroU32::new(number).unwrap(),
            timers(50, 50, 3),
            u64::from(number),
        )
    };
    let mut pair = Pair::of([end(1), end(2)], Duration::from_millis(1));
    pair.run(At::from_millis(1000));
    assert_eq!(pair.states(), UP);
    pair
}

fn misbehave(pair: &mut Pair, how: Misbehaviour) {
    let now = pair.now;
    pair.ends[0].handle(now, Input::Order(Order::Misbehave(how)));
    pair.collect();
}

/// How the other end lost the session, if it did, and how long after.
fn lost(pair: &Pair, since: At) -> Option<(Diagnostic, Duration)> {
    let mut changes = pair.changes.iter();
    let (_, at, change) =
        changes.find(|(end, at, c)| *end == 1 && *at >= since && c.from == State::Up)?;
    Some((change.diagnostic, at.since(since)))
}

#[test]
fn silence_is_detected_and_told() {
    let mut pair = up();
    let since = pair.now;
    let how = Misbehaviour {
        silent: true,
        ..Misbehaviour::default()
    };
    misbehave(&mut pair, how);
    pair.run(At::from_millis(1400));
    let (diagnostic, after) = lost(&pair, since).unwrap();
    assert_eq!(diagnostic, Diagnostic::ControlDetectionTimeExpired);
    assert!(after <= Duration::from_millis(151), "{after:?}");
    // The end that fell silent hears of it.
    let heard = pair
        .heard
        .iter()
        .rev()
        .find(|(end, heard)| *end == 0 && heard.detected_after.is_some());
    let (_, heard) = heard.unwrap();
    assert_eq!(heard.detection_time, Duration::from_millis(150));
    // The packet there and the one back took a millisecond each.
    assert_eq!(heard.detected_after, Some(Duration::from_millis(152)));
    misbehave(&mut pair, Misbehaviour::default());
    pair.run(At::from_millis(3000));
    assert_eq!(pair.states(), UP);
}

/// The other end is held to what it was told, not to what would have been said next.
#[test]
fn silence_before_new_timers_are_said_is_detected_by_the_old() {
    let mut pair = up();
    let slower = TimersChange {
        detect_multiplier: NonZeroU8::new(200),
        ..TimersChange::default()
    };
    let now = pair.now;
    pair.ends[0].handle(
        now,
        Input::Order(Order::Timers {
            change: slower,
            poll: true,
        }),
    );
    let how = Misbehaviour {
        pace: Some(Micros(1_900_000)),
        ..Misbehaviour::default()
    };
    misbehave(&mut pair, how);
    pair.run(now + Duration::from_millis(400));
    let (_, heard) = (pair.heard.iter())
        .find(|(end, heard)| *end == 0 && heard.detected_after.is_some())
        .unwrap();
    assert_eq!(heard.detection_time, Duration::from_millis(150));
}

/// Each of these packets is to be discarded, so the session ends as if nothing had come.
#[test]
fn spoiled_packets_are_discarded() {
    use Invalid as I;
    for (wrong, kind, why) in [
        (Wrong::Version, None, I::Version),
        (Wrong::Length, None, I::Length),
        (Wrong::Truncated, None, I::Short),
        (Wrong::DetectMultiplier, None, I::DetectMultiplier),
        (Wrong::Multipoint, None, I::Multipoint),
        (Wrong::MyDiscriminator, None, I::MyDiscriminator),
        (Wrong::YourDiscriminator, None, I::YourDiscriminator),
        (Wrong::YourDiscriminatorZero, None, I::YourDiscriminatorZero),
        (Wrong::Authentication, None, I::Authentication),
        (Wrong::Authentication, Some(Kind::KeyedMd5), I::Digest),
        (
            Wrong::Authentication,
            Some(Kind::SimplePassword),
            I::Password,
        ),
        (Wrong::Sequence, Some(Kind::KeyedSha1), I::Sequence),
        (Wrong::Sequence, Some(Kind::MeticulousKeyedMd5), I::Sequence),
        (Wrong::Version, Some(Kind::MeticulousKeyedSha1), I::Version),
    ] {
        let mut pair = up_with(kind);
        let since = pair.now;
        let how = Misbehaviour {
            wrong: Some(wrong),
            ..Misbehaviour::default()
        };
        misbehave(&mut pair, how);
        pair.run(At::from_millis(1149));
        assert_eq!(pair.ends[1].counters().last_discarded, Some(why));
        pair.run(At::from_millis(1400));
        let (diagnostic, _) = lost(&pair, since).expect("it is lost");
        assert_eq!(diagnostic, Diagnostic::ControlDetectionTimeExpired);
        assert_eq!(Wrong::named(wrong.name()), Some(wrong));
        // Twice the Detection Time of a session that is Down, for those that count packets.
        misbehave(&mut pair, Misbehaviour::default());
        pair.run(At::from_millis(9000));
        assert_eq!(pair.states(), UP, "{}", wrong.name());
    }
}

/// A sequence number means nothing where there is none: such a packet is a good one.
#[test]
fn without_authentication_there_is_no_sequence_to_spoil() {
    let mut pair = up();
    let how = Misbehaviour {
        wrong: Some(Wrong::Sequence),
        ..Misbehaviour::default()
    };
    misbehave(&mut pair, how);
    pair.run(At::from_millis(3000));
    assert_eq!((pair.states(), pair.losses()), (UP, 0));
}

#[test]
fn a_low_ttl_is_discarded() {
    let mut pair = up();
    let since = pair.now;
    let how = Misbehaviour {
        ttl: Some(254),
        ..Misbehaviour::default()
    };
    misbehave(&mut pair, how);
    pair.run(At::from_millis(1149));
    assert_eq!(pair.ends[1].counters().last_discarded, Some(Invalid::Ttl));
    pair.run(At::from_millis(1400));
    let (diagnostic, _) = lost(&pair, since).unwrap();
    assert_eq!(diagnostic, Diagnostic::ControlDetectionTimeExpired);
}

/// A constant delay is one gap; the session outlives it when it is short enough.
#[test]
fn delay_and_jitter_within_the_detection_time_are_borne() {
    let ms = Duration::from_millis;
    for (delay, jitter, falls) in [
        (ms(90), ms(0), false),
        (ms(200), ms(0), true),
        (ms(0), ms(90), false),
        (ms(20), ms(60), false),
        (ms(0), ms(1500), true),
    ] {
        let mut pair = up();
        let how = Misbehaviour {
            delay,
            jitter,
            ..Misbehaviour::default()
        };
        misbehave(&mut pair, how);
        let since = pair.now;
        pair.run(At::from_millis(6000));
        assert_eq!(lost(&pair, since).is_some(), falls, "{delay:?} {jitter:?}");
    }
}

/// Section 6.8.4: the Detection Time is that of the interval that was told, not of the one that is kept.
#[test]
fn another_pace_than_was_told() {
    for (pace, falls) in [(5, false), (120, false), (250, true)] {
        let mut pair = up();
        let since = pair.now;
        let how = Misbehaviour {
            pace: Some(Micros(pace * 1000)),
            ..Misbehaviour::default()
        };
        misbehave(&mut pair, how);
        pair.run(At::from_millis(3000));
        assert_eq!(lost(&pair, since).is_some(), falls, "{pace} ms");
    }
}

/// Section 6.8.6: what a packet says counts, whether it carries Poll or not; so both ends stay Up.
#[test]
fn timers_that_change_without_a_poll() {
    for (tx, rx) in [(300, 300), (20, 20), (300, 50), (50, 300)] {
        let mut pair = up();
        let now = pair.now;
        let order = Order::Timers {
            change: timers(tx, rx, 3).into(),
            poll: false,
        };
        pair.ends[0].handle(now, Input::Order(order));
        pair.collect();
        pair.run(At::from_millis(6000));
        assert_eq!((pair.states(), pair.losses()), (UP, 0), "{tx} {rx}");
        let interval = u64::from(tx.max(50));
        assert_eq!(
            pair.ends[1].detection_time(),
            Some(Duration::from_millis(3 * interval))
        );
        let told = pair
            .heard
            .iter()
            .filter(|(end, heard)| *end == 1 && heard.unasked);
        assert_eq!(told.count(), 1, "{tx} {rx}");
    }
}

/// Section 6.8.6: who is asked for Demand mode must cease its periodic packets, and only then. We, who went on detecting, lose the
/// session, and the other end is told; it answers Polls all the same.
#[test]
fn demand_mode_silences_the_remote_while_both_are_up() {
    let mut pair = up();
    let since = pair.now;
    let how = Misbehaviour {
        demand: true,
        ..Misbehaviour::default()
    };
    misbehave(&mut pair, how);
    pair.run(At::from_millis(1500));
    let ours = pair
        .changes
        .iter()
        .find(|(end, at, change)| *end == 0 && *at >= since && change.from == State::Up);
    let (_, at, change) = ours.expect("it is lost");
    assert_eq!(change.diagnostic, Diagnostic::ControlDetectionTimeExpired);
    // One more interval until we say so, and ours is the Detection Time of what came last.
    assert!(
        at.since(since) < Duration::from_millis(50 + 50 + 150),
        "{at}"
    );
    let (diagnostic, _) = lost(&pair, since).expect("it is told");
    assert_eq!(diagnostic, Diagnostic::NeighborSignaledSessionDown);
    assert!(
        pair.heard
            .iter()
            .any(|(end, heard)| *end == 1 && heard.demand)
    );
    // The D bit is not set before both ends are Up, so the session comes back, and is lost again.
    misbehave(&mut pair, Misbehaviour::default());
    pair.run(At::from_millis(6000));
    assert_eq!(pair.states(), UP);
    let (_, heard) = pair.heard.iter().rev().find(|(end, _)| *end == 1).unwrap();
    assert!(!heard.demand);
}
