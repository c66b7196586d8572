//! What is lost and comes back: members, LACPDUs, partners, an end.

use std::time::Duration;

use proptest::prelude::*;

use crate::lacp::wire::{Wire, config};
use crate::lacp::{
    Admin, Identity, MuxState, Obstacle, Output, PartnerId, ReceiveState, Refusal, Selected,
};
use crate::time::At;

const SOON: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// Two LAGs that have been up for 5 s.
fn running(members: u8) -> Wire {
    let mut wire = Wire::pair(&config(1, members), &config(2, members));
    wire.light_all(true);
    wire.wait_for(SOON, Wire::all_distributing).unwrap();
    wire.run_for(5 * SECOND);
    wire.events.clear();
    wire
}

/// The moments at which a LAG's ports stopped distributing.
fn stops(wire: &Wire, lag: usize) -> Vec<At> {
    let of_lag = wire.events.iter().filter(|event| event.lag == lag);
    of_lag
        .filter(|event| {
            matches!(
                event.output,
                Output::Mux {
                    collecting: true,
                    distributing: false,
                    ..
                }
            )
        })
        .map(|event| event.at)
        .collect()
}

#[test]
fn a_dark_member_leaves_at_once_and_comes_back() {
    let mut wire = running(3);
    wire.light(1, false);
    for lag in 0..2 {
        assert_eq!(wire.lags[lag].distributing(), 2);
        let dark = wire.lags[lag].status(1).unwrap();
        assert_eq!(dark.receive, ReceiveState::PortDisabled);
        assert_eq!(dark.mux, MuxState::Detached);
        assert_eq!(dark.selected, Selected::Unselected(Obstacle::NoLight));
        assert!(!dark.collecting && !dark.distributing);
    }
    wire.run_for(10 * SECOND);
    wire.light(1, true);
    let took = wire.wait_for(SOON, Wire::all_distributing).unwrap();
    assert_eq!(took, 2 * Duration::from_micros(100), "both know each other");
    let others = wire.events.iter().filter(|event| match event.output {
        Output::Mux { port, .. } | Output::PortChanged { port, .. } => port != 1,
        Output::Carrier { .. } | Output::Send { .. } => true,
        Output::Heard { .. }
        | Output::Rhythm { .. }
        | Output::MarkerAnswered { .. }
        | Output::NoMarker { .. } => false,
    });
    assert_eq!(others.count(), 0, "nothing else moved");
}

#[test]
fn the_other_end_learns_of_a_dark_member_from_the_lacpdus_that_stop() {
    let mut wire = running(2);
    wire.light_at((0, 0), false);
    wire.run_for(4 * SECOND);
    let last = wire.seen((1, 0)).received.unwrap();
    assert_eq!(stops(&wire, 1), [last + 3 * SECOND]);
}

#[test]
fn silenced_lacp_takes_the_lag_down_after_exactly_3_s() {
    let mut wire = running(2);
    wire.lose(100);
    wire.run_for(10 * SECOND);
    for lag in 0..2 {
        let last = (0..2).map(|port| wire.seen((lag, port)).received.unwrap());
        let down = last.max().unwrap() + 3 * SECOND;
        assert_eq!(wire.carriers(lag), [(down, false)]);
        let status = wire.lags[lag].status(0).unwrap();
        assert_eq!(status.receive, ReceiveState::Defaulted);
        assert_eq!(status.mux, MuxState::Detached);
        assert!(status.light);
    }
    // EXPIRED lasts 3 s more, and only then is the partner forgotten.
    let defaulted = wire.events.iter().find_map(|event| match event.output {
        Output::PortChanged { port: 0, status } if status.partner.is_none() => {
            Some((event.lag, event.at))
        }
        _ => None,
    });
    let (lag, at) = defaulted.unwrap();
    let last = wire.seen((lag, 0)).received.unwrap();
    assert_eq!(at, last + 6 * SECOND);

    wire.run_for(100 * SECOND);
    wire.lose(0);
    let took = wire.wait_for(2 * SECOND, Wire::all_distributing).unwrap();
    assert!(
        took < SECOND + SOON,
        "the next LACPDU of either end: {took:?}"
    );
}

#[test]
fn with_a_long_timeout_silence_takes_90_s() {
    let (mut a, mut b) = (config(1, 1), config(2, 1));
    (a.fast, b.fast) = (false, false);
    let mut wire = Wire::pair(&a, &b);
    wire.light_all(true);
    wire.run_for(100 * SECOND);
    wire.events.clear();
    wire.lose(100);
    wire.run_for(200 * SECOND);
    for lag in 0..2 {
        let last = wire.seen((lag, 0)).received.unwrap();
        assert_eq!(wire.carriers(lag), [(last + 90 * SECOND, false)]);
    }
}

#[test]
fn one_way_silence_takes_both_ends_down() {
    let mut wire = running(1);
    wire.cables[0].loss = [100, 0];
    wire.run_for(10 * SECOND);
    let deaf = wire.seen((1, 0)).received.unwrap() + 3 * SECOND;
    assert_eq!(wire.carriers(1), [(deaf, false)]);
    let told = deaf + Duration::from_micros(100);
    assert_eq!(wire.carriers(0), [(told, false)]);
    // The deaf end is told of by its LACPDUs: EXPIRED, then DEFAULTED.
    assert_eq!(
        wire.lags[0].status(0).unwrap().receive,
        ReceiveState::Current
    );
    wire.cables[0].loss = [0, 0];
    assert!(
        wire.wait_for(SECOND + SOON, Wire::all_distributing)
            .is_some()
    );
}

#[test]
fn a_silent_end_is_given_up_and_comes_back_at_once() {
    let mut wire = running(2);
    wire.misbehave(0, |how| how.silent = true);
    wire.run_for(10 * SECOND);
    assert!(!wire.lags[1].carrier() && !wire.lags[0].carrier());
    wire.misbehave(0, |_| {});
    assert!(wire.wait_for(SOON, Wire::all_distributing).is_some());
}

#[test]
fn a_restarted_end_is_taken_back_at_once() {
    for members in 1..=8 {
        let mut wire = running(members);
        wire.restart(1, &config(2, members));
        let took = wire.wait_for(SOON, Wire::all_distributing);
        assert!(took.is_some(), "{members} members");
        assert_eq!(wire.carriers(0).len(), 2, "down, and up again");
    }
}

#[test]
fn an_end_with_a_new_key_or_system_is_joined_anew() {
    let identities = [
        Identity {
            key: Some(7),
            ..Identity::default()
        },
        Identity {
            system: Some([2, 0, 0, 0, 0, 77]),
            ..Identity::default()
        },
    ];
    for identity in identities {
        for members in 1..=8 {
            let mut wire = running(members);
            wire.misbehave(1, |how| how.identity = identity);
            assert!(!wire.lags[1].carrier());
            let took = wire.wait_for(2 * SECOND, Wire::all_distributing).unwrap();
            assert!(took < SECOND + SOON, "{identity:?}: {took:?}");
            let partner = wire.lags[0].partner().unwrap();
            let actor = wire.lags[1].actor(0).unwrap();
            assert_eq!(partner, PartnerId::of(actor));
        }
    }
}

#[test]
fn a_change_of_rate_or_activity_moves_nothing() {
    let mut wire = running(2);
    wire.admin(0, Admin::Fast(false));
    wire.admin(1, Admin::Active(false));
    wire.run_for(300 * SECOND);
    wire.admin(0, Admin::Fast(true));
    wire.run_for(300 * SECOND);
    assert!(wire.carriers(0).is_empty() && wire.carriers(1).is_empty());
    let sent = wire.seen((1, 0)).sent;
    let in_between = sent.iter().filter(|at| {
        let seconds = at.as_nanos() / 1_000_000_000;
        (10..300).contains(&seconds)
    });
    assert!((9..=11).contains(&in_between.count()));
}

#[test]
fn a_held_port_never_comes_in_sync() {
    let mut wire = running(2);
    wire.misbehave_at((0, 1), |how| how.refuses = Some(Refusal::Synchronization));
    wire.run_for(SOON);
    assert_eq!(
        (wire.lags[0].distributing(), wire.lags[1].distributing()),
        (1, 1)
    );
    let held = wire.lags[0].status(1).unwrap();
    assert_eq!(
        (held.mux, held.selected),
        (MuxState::Waiting, Selected::Standby(Obstacle::Held))
    );
    assert_eq!(wire.lags[1].status(1).unwrap().mux, MuxState::Attached);
    wire.misbehave_at((0, 1), |_| {});
    assert!(wire.wait_for(2 * SECOND, Wire::all_distributing).is_some());
    assert!(wire.carriers(0).is_empty());
}

/// Ports 0 and 1 lead to system 2, port 2 to system 3.
fn miswired(own: [usize; 3]) -> Wire {
    let mut wire = Wire::of(&[config(1, 3), config(2, 2), config(3, 1)]);
    wire.join((0, own[0]), (1, 0));
    wire.join((0, own[1]), (1, 1));
    wire.join((0, own[2]), (2, 0));
    wire.light_all(true);
    wire.run_for(5 * SECOND);
    wire
}

#[test]
fn a_crossed_cable_is_left_out_and_named() {
    for own in [[0, 1, 2], [0, 2, 1], [1, 2, 0]] {
        let wire = miswired(own);
        let lag = &wire.lags[0];
        assert_eq!(lag.distributing(), 2);
        let left_out = lag.status(own[2]).unwrap();
        let chosen = PartnerId::of(wire.lags[1].actor(0).unwrap());
        let obstacle = Obstacle::OtherPartner(chosen);
        assert_eq!(left_out.selected, Selected::Unselected(obstacle));
        assert_eq!(left_out.mux, MuxState::Detached);
        assert_eq!(left_out.partner.unwrap().system, [2, 0, 0, 0, 0, 3]);
        assert_eq!(
            left_out.selected.to_string(),
            "UNSELECTED: the LAG is joined to another partner, 32768 02:00:00:00:00:02 key 1"
        );
        assert!(!wire.lags[2].carrier());
        assert_eq!(wire.carriers(0).len(), 1, "no wrong start");
    }
}

#[test]
fn when_the_crossed_cable_is_all_there_is_it_is_taken() {
    let mut wire = miswired([0, 1, 2]);
    wire.light(0, false);
    assert_eq!(wire.lags[0].distributing(), 1, "a tie moves no traffic");
    wire.light(1, false);
    wire.run_for(SOON);
    assert_eq!(wire.lags[0].distributing(), 1);
    assert!(wire.lags[2].carrier());
}

#[test]
fn members_with_two_keys_are_not_one_lag() {
    // Two LAGs of one partner: the ports differ in key alone.
    let mut other = config(2, 1);
    other.key = 9;
    other.ports[0].number = 9;
    let mut wire = Wire::of(&[config(1, 2), config(2, 1), other]);
    wire.join((0, 0), (1, 0));
    wire.join((0, 1), (2, 0));
    wire.light_all(true);
    wire.run_for(5 * SECOND);
    assert_eq!(wire.lags[0].distributing(), 1);
    assert!(wire.lags[1].carrier() && !wire.lags[2].carrier());
}

#[test]
fn a_link_back_to_oneself_does_not_come_up() {
    let mut wire = Wire::of(&[config(1, 2)]);
    wire.join((0, 0), (0, 1));
    wire.light_all(true);
    wire.run_for(10 * SECOND);
    for port in 0..2 {
        let status = wire.lags[0].status(port).unwrap();
        assert_eq!(status.selected, Selected::Unselected(Obstacle::LoopedBack));
        assert_eq!(status.receive, ReceiveState::Current);
    }
    assert!(!wire.lags[0].carrier());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happened for 20 s, a good wire brings all ports up and then nothing moves.
    #[test]
    fn a_lag_recovers_from_anything(
        members in 1..=8u8,
        passive in 0..3usize,
        seed: u64,
        loss in 0..=100u64,
        jitter in 0..50_000u64,
        flaps in prop::collection::vec((0..2usize, 0..8usize, any::<bool>(), 0..2000u64), 0..20),
    ) {
        let mut configs = [config(1, members), config(2, members)];
        if let Some(config) = configs.get_mut(passive) {
            config.active = false;
        }
        let mut wire = Wire::pair(&configs[0], &configs[1]).seed(seed);
        for cable in &mut wire.cables {
            cable.jitter = Duration::from_micros(jitter);
        }
        wire.lose(loss);
        wire.light_all(true);
        for (lag, port, up, millis) in flaps {
            wire.light_at((lag, port % usize::from(members)), up);
            wire.run_for(Duration::from_millis(millis));
        }
        wire.lose(0);
        for cable in &mut wire.cables {
            cable.jitter = Duration::ZERO;
        }
        wire.light_all(true);
        // One LACPDU of the clock, and one second of the transmit limit on either end.
        wire.run_for(4 * SECOND);
        prop_assert!(wire.all_distributing());
        wire.events.clear();
        wire.run_for(60 * SECOND);
        prop_assert_eq!(&wire.events, &[]);
    }
}
