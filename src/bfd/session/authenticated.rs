//! Sessions with authentication (section 6.7): strangers, strangers' packets, and ends that begin anew.

use super::joined::{Pair, UP, timers};
use super::*;
use crate::bfd::authentication::{Authentication, Key, Kind, Secret};
use crate::bfd::packet::Invalid;

pub(super) fn authentication(kind: Kind, secret: &str) -> Option<Authentication> {
    Some(Authentication {
        kind,
        key: Key {
            id: 1,
            secret: Secret::new(secret.as_bytes()).unwrap(),
        },
        other_key: None,
    })
}

fn pair(ours: Option<Authentication>, theirs: Option<Authentication>) -> Pair {
    let end = |number: u32, authentication| Config {
        authentication,
        ..Config::single_hop(
            NonZeroU32::new(number).unwrap(),
            timers(50, 50, 3),
            u64::from(number),
        )
    };
    Pair::of([end(1, ours), end(2, theirs)], Duration::from_millis(1))
}

#[test]
fn every_kind_comes_up_and_stays() {
    for kind in Kind::ALL {
        let how = authentication(kind, "secret");
        let mut pair = pair(how, how);
        pair.run(At::from_millis(10_000));
        assert_eq!((pair.states(), pair.losses()), (UP, 0), "{kind:?}");
        let heard = pair.ends[0].heard().unwrap();
        assert_eq!(heard.authentication, Some(kind));
        for end in &pair.ends {
            assert_eq!(end.counters().discarded, 0);
        }
    }
}

/// Section 6.8.6: with authentication on one end only, or with another secret, nothing comes up.
#[test]
fn who_does_not_agree_stays_down() {
    let secret = authentication(Kind::KeyedSha1, "secret");
    let cases = [
        (secret, None, Invalid::Unauthenticated),
        (None, secret, Invalid::Authentication),
        (
            secret,
            authentication(Kind::KeyedSha1, "other"),
            Invalid::Digest,
        ),
        (
            secret,
            authentication(Kind::KeyedMd5, "secret"),
            Invalid::AuthenticationType,
        ),
    ];
    for (ours, theirs, why) in cases {
        let mut pair = pair(ours, theirs);
        pair.run(At::from_millis(5000));
        assert_eq!(pair.ends[0].state(), State::Down);
        let counters = pair.ends[0].counters();
        assert_eq!((counters.received, counters.last_discarded), (0, Some(why)));
        // However many come, it is told once.
        assert!(counters.discarded > 3);
        let told = pair.discarded.iter().filter(|(end, _)| *end == 0);
        let told: Vec<Invalid> = told.map(|(_, why)| *why).collect();
        assert_eq!(told, [why]);
    }
}

/// Lost packets leave gaps in the sequence numbers, which have room for them until the Detection Time is over.
#[test]
fn lost_packets_are_no_replay() {
    let how = authentication(Kind::MeticulousKeyedSha1, "secret");
    let mut pair = pair(how, how);
    pair.run(At::from_millis(1000));
    for round in 1..50 {
        pair.fates[0].extend([None, None]);
        pair.run(At::from_millis(1000 + round * 200));
    }
    assert_eq!((pair.states(), pair.losses()), (UP, 0));
}

/// Section 6.8.1, bfd.AuthSeqKnown: who began anew is believed after twice the Detection Time.
#[test]
fn an_end_that_begins_anew_is_believed_again() {
    let how = authentication(Kind::MeticulousKeyedMd5, "secret");
    let mut pair = pair(how, how);
    pair.run(At::from_millis(1000));
    let again = Config {
        authentication: how,
        ..Config::single_hop(NonZeroU32::new(3).unwrap(), timers(50, 50, 3), 99)
    };
    pair.ends[1] = Session::new(again, pair.now);
    pair.run(At::from_millis(1000 + 140));
    assert_eq!(
        pair.ends[0].counters().last_discarded,
        Some(Invalid::Sequence)
    );
    pair.run(At::from_millis(3500));
    assert_eq!(pair.states(), UP);
}

/// What was heard once cannot be said again by somebody else.
#[test]
fn a_replay_changes_nothing() {
    let how = authentication(Kind::MeticulousKeyedSha1, "secret");
    let mut pair = pair(how, how);
    pair.run(At::from_millis(1000));
    let old = pair.last_to[0].unwrap();
    pair.run(At::from_millis(2000));
    let now = pair.now;
    let input = Input::Packet {
        bytes: &old,
        ttl: 255,
        at: now,
    };
    let before = pair.ends[0].counters();
    pair.ends[0].handle(now, input);
    let after = pair.ends[0].counters();
    assert_eq!(after.last_discarded, Some(Invalid::Sequence));
    assert_eq!(after.received, before.received);
}
