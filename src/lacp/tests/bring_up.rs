//! From dark to distributing, in every setting.

use std::time::Duration;

use proptest::prelude::*;

use crate::lacp::pdu::State;
use crate::lacp::wire::{Wire, config};
use crate::lacp::{MuxState, Obstacle, Output, ReceiveState, Selected};

/// What bring-up may take with both ends ours and a delay of 0.1 ms.
const LIMIT: Duration = Duration::from_millis(100);

/// Lights every cable and says how long it took until all ports distribute.
fn bring_up(wire: &mut Wire) -> Option<Duration> {
    wire.light_all(true);
    wire.wait_for(Duration::from_secs(300), Wire::all_distributing)
}

#[test]
fn takes_less_than_100_ms_for_1_to_8_members() {
    for members in 1..=8 {
        let mut wire = Wire::pair(&config(1, members), &config(2, members));
        let took = bring_up(&mut wire).unwrap();
        // Three ways: who I am, I know you, I collect.
        assert_eq!(took, 3 * Duration::from_micros(100), "{members} members");
        for lag in 0..2 {
            assert_eq!(wire.carriers(lag).len(), 1);
            assert!(wire.lags[lag].carrier());
            for port in 0..usize::from(members) {
                assert_eq!(wire.seen((lag, port)).sent.len(), 3);
            }
        }
        wire.events.clear();
        wire.run_for(Duration::from_secs(100));
        assert_eq!(wire.events, [], "all is said when all distribute");
    }
}

#[test]
fn every_rate_and_activity() {
    for bits in 0..16u8 {
        let bit = |n: u8| bits >> n & 1 == 1;
        let mut a = config(1, 3);
        let mut b = config(2, 3);
        (a.fast, a.active, b.fast, b.active) = (bit(0), bit(1), bit(2), bit(3));
        let mut wire = Wire::pair(&a, &b);
        let took = bring_up(&mut wire);
        let what = format!("{:?} {:?}", (a.fast, a.active), (b.fast, b.active));
        if !a.active && !b.active {
            assert_eq!(took, None, "{what}");
            assert_eq!(wire.seen((0, 0)).sent.len(), 0, "nobody asked");
            continue;
        }
        assert!(took.unwrap() < LIMIT, "{what}: {took:?}");

        // It stays up, and each end sends at the rate the other asks for.
        let (sent_a, sent_b) = (wire.seen((0, 0)).sent.len(), wire.seen((1, 0)).sent.len());
        wire.run_for(Duration::from_secs(300));
        assert_eq!((wire.carriers(0).len(), wire.carriers(1).len()), (1, 1));
        let rate = |fast: bool| if fast { 299..=301 } else { 9..=11 };
        let of_a = wire.seen((0, 0)).sent.len() - sent_a;
        let of_b = wire.seen((1, 0)).sent.len() - sent_b;
        assert!(rate(b.fast).contains(&of_a), "{what}: {of_a} from a");
        assert!(rate(a.fast).contains(&of_b), "{what}: {of_b} from b");
    }
}

/// The standard leaves it to the next LACPDU, up to 30 s later; only three may leave in a second.
#[test]
fn at_the_slow_rate_a_partner_soon_says_that_it_distributes() {
    let slow = |n| {
        let mut config = config(n, 2);
        config.fast = false;
        config
    };
    let mut wire = Wire::pair(&slow(1), &slow(2));
    bring_up(&mut wire).unwrap();
    wire.run_for(Duration::from_millis(1100));
    for (lag, port) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let heard = wire.lags[lag].heard(port).unwrap().actor.state;
        assert!(heard.has(State::DISTRIBUTING), "{lag} {port}: {heard:?}");
    }
}

#[test]
fn distribution_begins_when_the_other_end_collects() {
    let mut wire = Wire::pair(&config(1, 2), &config(2, 2));
    wire.light_all(true);
    for end in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut wire = wire.clone();
        wire.wait_for(LIMIT, |wire| wire.seen(end).distributing)
            .unwrap();
        assert!(wire.seen((1 - end.0, end.1)).collecting);
    }
}

#[test]
fn an_end_that_came_first_is_not_waited_for() {
    let mut wire = Wire::pair(&config(1, 4), &config(2, 4));
    for port in 0..4 {
        wire.light_at((0, port), true);
    }
    wire.run_for(Duration::from_secs(20));
    assert_eq!(
        wire.lags[0].status(0).unwrap().receive,
        ReceiveState::Defaulted
    );
    for port in 0..4 {
        wire.light_at((1, port), true);
    }
    assert!(wire.wait_for(LIMIT, Wire::all_distributing).is_some());
}

#[test]
fn the_wait_is_for_ports_that_may_yet_hear() {
    // The cable of port 1 leads nowhere: it has light, but nobody speaks.
    let mut wire = Wire::of(&[config(1, 2), config(2, 1)]);
    wire.join((0, 0), (1, 0));
    wire.light_all(true);
    wire.light_at((0, 1), true);
    let up = wire.wait_for(LIMIT, |wire| wire.lags[0].carrier()).unwrap();
    assert!(up >= config(1, 1).aggregate_wait, "{up:?}");
    wire.run_for(Duration::from_secs(10));
    let mute = wire.lags[0].status(1).unwrap();
    assert_eq!(mute.receive, ReceiveState::Defaulted);
    assert_eq!(mute.mux, MuxState::Detached);
    assert_eq!(mute.selected, Selected::Unselected(Obstacle::NotHeard));
    assert_eq!(mute.partner, None);

    // Once it is known to be mute, nothing waits for it.
    wire.light(0, false);
    wire.light(0, true);
    let again = wire.wait_for(LIMIT, |wire| wire.lags[0].carrier()).unwrap();
    assert!(again < Duration::from_millis(1), "{again:?}");
}

#[test]
fn the_standards_wait_of_2_s_delays_nothing_when_all_are_heard() {
    let mut a = config(1, 8);
    a.aggregate_wait = Duration::from_secs(2);
    let mut wire = Wire::pair(&a, &config(2, 8));
    assert!(bring_up(&mut wire).unwrap() < LIMIT);
}

#[test]
fn carrier_needs_min_links() {
    for min_links in 1..=4 {
        let mut a = config(1, 4);
        a.min_links = min_links;
        let mut wire = Wire::pair(&a, &config(2, 4));
        for cable in 0..4 {
            wire.light(cable, true);
            wire.run_for(LIMIT);
            assert_eq!(wire.lags[0].distributing(), cable as u8 + 1);
            assert_eq!(wire.lags[0].carrier(), cable as u8 + 1 >= min_links);
        }
        for cable in 0..4 {
            wire.light(cable, false);
            wire.run_for(LIMIT);
            assert_eq!(wire.lags[0].distributing(), 3 - cable as u8);
            assert_eq!(wire.lags[0].carrier(), 3 - cable as u8 >= min_links);
        }
        assert_eq!(wire.carriers(0).len(), 2);
        let carrier = wire.events.iter().find_map(|event| match event.output {
            Output::Carrier { distributing, .. } if event.lag == 0 => Some(distributing),
            _ => None,
        });
        assert_eq!(carrier, Some(min_links));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Drivers notice light at different times, and cables have different lengths.
    #[test]
    fn light_seen_late_delays_by_no_more_than_that(
        members in 1..=8u8,
        late in prop::collection::vec(0..30u64, 16),
        delays in prop::collection::vec(0..10_000u64, 8),
    ) {
        let took = lit_late(members, &late, &delays);
        // Who has sent three LACPDUs within a second waits until it is over (IEEE 802.1AX-2014, 6.4.16).
        let limit = Duration::from_secs(1) + LIMIT;
        prop_assert!(took.is_some_and(|took| took < limit), "{took:?}");
    }
}

/// All distribute after this time, where light is seen so many milliseconds late at the ports of two LAGs, and frames take so many
/// microseconds on the cables.
fn lit_late(members: u8, late: &[u64], delays: &[u64]) -> Option<Duration> {
    let mut wire = Wire::pair(&config(1, members), &config(2, members));
    for (cable, micros) in wire.cables.iter_mut().zip(delays) {
        cable.delay = Duration::from_micros(*micros);
    }
    for millis in 0..30 {
        for port in 0..usize::from(members) {
            for lag in 0..2 {
                if late[lag * 8 + port] == millis {
                    wire.light_at((lag, port), true);
                }
            }
        }
        wire.run_for(Duration::from_millis(1));
    }
    wire.wait_for(Duration::from_secs(60), Wire::all_distributing)
}

#[test]
fn a_fourth_lacpdu_within_a_second_waits() {
    let (mut late, mut delays) = ([0; 16], [0; 8]);
    (late[5], late[11], late[12]) = (20, 14, 14);
    delays[4] = 6_000;
    let took = lit_late(6, &late, &delays).expect("all distribute");
    assert!(LIMIT < took && took < Duration::from_secs(1), "{took:?}");
}

/// Ports of one LAG have clocks of their own, so what is late is late by the clock of its port.
#[test]
fn each_port_says_when_it_sends() {
    let mut wire = Wire::pair(&config(1, 2), &config(2, 2));
    bring_up(&mut wire).unwrap();
    wire.light(1, false);
    wire.run_for(Duration::from_millis(300));
    wire.light(1, true);
    wire.run_for(Duration::from_secs(5));
    for _ in 0..10 {
        let due = [0, 1].map(|port| wire.lags[0].sends_at(port).unwrap());
        assert_ne!(due[0], due[1]);
        let (at, port) = (due[0], 0).min((due[1], 1));
        let before = wire.seen((0, port)).sent.len();
        wire.run_for(at.since(wire.now) + Duration::from_micros(1));
        assert_eq!(wire.seen((0, port)).sent.get(before), Some(&at));
    }
    assert_eq!(wire.lags[0].sends_at(2), None);
}
