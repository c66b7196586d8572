//! Hostile frames harm no port but the one they come in on, and that one recovers.

use std::time::Duration;

use proptest::prelude::*;

use crate::lacp::pdu::{self, Frame};
use crate::lacp::wire::{Wire, config};
use crate::lacp::{
    Admin, DecodeError, Input, Lacpdu, Lag, Marker, Misbehaviour, Output, Pdu, PortInfo, State,
};
use crate::time::At;

const STRANGER: [u8; 6] = [2, 0, 0, 0, 9, 9];
const MARKER: Marker = Marker {
    requester_port: 3,
    requester_system: STRANGER,
    transaction: 42,
};

fn frames(lag: &mut Lag) -> Vec<(usize, Frame)> {
    std::iter::from_fn(|| lag.poll())
        .filter_map(|output| match output {
            Output::Send { port, frame } => Some((port, frame)),
            _ => None,
        })
        .collect()
}

/// A LAG of two ports with light, its first frames taken out.
fn lit() -> Lag {
    let mut lag = Lag::new(&config(1, 2)).unwrap();
    for port in 0..2 {
        lag.handle(At::ZERO, Input::Light { port, up: true });
    }
    frames(&mut lag);
    lag
}

#[test]
fn a_marker_is_answered_on_its_port() {
    let mut lag = lit();
    let bytes = &pdu::encode(&Pdu::Marker(MARKER), STRANGER);
    lag.handle(At::from_millis(1), Input::Frame { port: 1, bytes });
    let answer = pdu::encode(&Pdu::MarkerResponse(MARKER), config(1, 2).ports[1].mac);
    assert_eq!(frames(&mut lag), [(1, answer)]);
    assert_eq!(lag.counters(1).unwrap().markers_received, 1);
    assert_eq!(lag.counters(1).unwrap().marker_responses_sent, 1);
}

#[test]
fn a_marker_response_is_not_answered() {
    let mut lag = lit();
    let bytes = &pdu::encode(&Pdu::MarkerResponse(MARKER), STRANGER);
    lag.handle(At::from_millis(1), Input::Frame { port: 1, bytes });
    assert_eq!(frames(&mut lag), []);
    assert_eq!(lag.counters(1).unwrap().marker_responses_received, 1);
}

#[test]
fn no_marker_is_answered_without_light_or_in_silence() {
    let mut lag = lit();
    let bytes = &pdu::encode(&Pdu::Marker(MARKER), STRANGER);
    let how = Misbehaviour {
        silent: true,
        ..Misbehaviour::default()
    };
    lag.handle(At::ZERO, Input::Admin(Admin::Misbehave { port: None, how }));
    lag.handle(At::ZERO, Input::Frame { port: 0, bytes });
    lag.handle(At::ZERO, Input::Light { port: 1, up: false });
    lag.handle(At::ZERO, Input::Frame { port: 1, bytes });
    assert_eq!(frames(&mut lag), []);
    assert_eq!(lag.counters(0).unwrap().marker_responses_sent, 0);
}

#[test]
fn bytes_that_are_no_pdu_are_counted_and_say_why() {
    let mut lag = lit();
    let before = (lag.status(0), lag.deadline());
    lag.handle(
        At::ZERO,
        Input::Frame {
            port: 0,
            bytes: &[1, 2, 3],
        },
    );
    assert_eq!((lag.status(0), lag.deadline()), before);
    assert_eq!(lag.poll(), None);
    let counters = lag.counters(0).unwrap();
    assert_eq!(counters.illegal, 1);
    assert_eq!(counters.last_illegal, Some(DecodeError::Short(3)));
}

#[test]
fn ports_that_are_not_there_are_ignored() {
    let mut lag = lit();
    lag.handle(At::ZERO, Input::Light { port: 2, up: true });
    lag.handle(
        At::ZERO,
        Input::Frame {
            port: 2,
            bytes: &[],
        },
    );
    lag.handle(
        At::ZERO,
        Input::Admin(Admin::Misbehave {
            port: Some(2),
            how: Misbehaviour::default(),
        }),
    );
    assert_eq!(lag.poll(), None);
    assert_eq!(lag.status(2), None);
}

/// A partner that alternates one bit, or its rhythm, 1000 times a second fills no record.
#[test]
fn what_a_restless_partner_says_is_told_three_times_a_second() {
    let mut wire = Wire::pair(&config(1, 1), &config(2, 1));
    wire.light_all(true);
    wire.run_for(Duration::from_secs(5));
    wire.observations.clear();
    let mut said = wire.lags[0].heard(0).unwrap().actor;
    for frame in 0..10_000u32 {
        let bit = State::AGGREGATION;
        // Each twice: an interval is measured between two that say the same.
        said.state = said.state.with(bit, frame % 4 < 2);
        let pdu = Lacpdu {
            actor: said,
            partner: *wire.lags[0].actor(0).unwrap(),
            collector_max_delay: 0,
        };
        let frame = pdu::encode(&Pdu::Lacp(pdu), STRANGER);
        wire.inject((0, 0), &frame);
        wire.run_for(Duration::from_millis(1));
    }
    wire.run_for(Duration::from_secs(2));
    let of_victim = wire.observations.iter().filter(|event| event.lag == 0);
    let (mut news, mut rhythms, mut skipped) = (0, 0, 0);
    for event in of_victim {
        match event.output {
            Output::Heard { skipped: more, .. } => {
                news += 1;
                skipped += more;
            }
            Output::Rhythm { .. } => rhythms += 1,
            _ => {}
        }
    }
    assert!((25..=40).contains(&news), "{news}");
    assert!((1..=40).contains(&rhythms), "{rhythms}");
    assert!(skipped > 4_000, "{skipped}");
    let last = wire
        .observations
        .iter()
        .rev()
        .find_map(|event| match event.output {
            Output::Heard { heard, .. } if event.lag == 0 => Some(heard),
            _ => None,
        });
    assert_eq!(last, wire.lags[0].heard(0), "the latest is told");
}

/// A value that often is one the LAGs of the test know.
fn plausible_info() -> impl Strategy<Value = PortInfo> {
    let system = prop_oneof![
        Just([2, 0, 0, 0, 0, 1]),
        Just([2, 0, 0, 0, 0, 2]),
        any::<[u8; 6]>()
    ];
    let small = || prop_oneof![Just(1u16), Just(2), Just(0x80), Just(0x8000), any::<u16>()];
    (small(), system, small(), small(), small(), any::<u8>()).prop_map(
        |(system_priority, system, key, port_priority, port, state)| PortInfo {
            system_priority,
            system,
            key,
            port_priority,
            port,
            state: State(state),
        },
    )
}

fn hostile_frame() -> impl Strategy<Value = Vec<u8>> {
    let lacp = (plausible_info(), plausible_info(), any::<u16>()).prop_map(
        |(actor, partner, collector_max_delay)| {
            let pdu = Lacpdu {
                actor,
                partner,
                collector_max_delay,
            };
            pdu::encode(&Pdu::Lacp(pdu), STRANGER).to_vec()
        },
    );
    let damaged = (lacp.boxed(), 0..200usize, any::<u8>()).prop_map(|(mut frame, at, byte)| {
        match frame.get_mut(at) {
            Some(place) => *place = byte,
            None => frame.truncate(usize::from(byte)),
        }
        frame
    });
    prop_oneof![damaged, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn one_port_suffers_no_other(
        members in 2..=8u8,
        victim in 0..8usize,
        attack in prop::collection::vec((hostile_frame(), 0..400u64), 1..40),
    ) {
        let victim = victim % usize::from(members);
        let mut wire = Wire::pair(&config(1, members), &config(2, members));
        wire.light_all(true);
        wire.run_for(Duration::from_secs(2));
        wire.events.clear();
        for (frame, millis) in attack {
            wire.inject((0, victim), &frame);
            wire.run_for(Duration::from_millis(millis));
        }
        for event in &wire.events {
            match event.output {
                Output::Mux { port, .. } | Output::PortChanged { port, .. } => {
                    prop_assert_eq!(port, victim);
                }
                Output::Carrier { up, .. } => prop_assert!(false, "carrier {}", up),
                Output::Send { .. } => {}
                Output::Heard { .. }
                | Output::Rhythm { .. }
                | Output::MarkerAnswered { .. }
                | Output::NoMarker { .. } => {}
            }
        }
        wire.run_for(Duration::from_secs(4));
        prop_assert!(wire.all_distributing(), "the victim recovers");
    }

    /// Frames, light and time in any order, at a LAG that hears no honest partner.
    #[test]
    fn anything_may_happen_to_a_lag(
        ports in 1..=8u8,
        active: bool,
        acts in prop::collection::vec(
            (0..9usize, prop::option::weighted(0.8, hostile_frame()), any::<bool>(), 0..5000u64),
            0..60,
        ),
    ) {
        let mut alone = config(1, ports);
        alone.active = active;
        let mut wire = Wire::of(&[alone]);
        for (port, frame, up, millis) in acts {
            match frame {
                Some(frame) => wire.inject((0, port), &frame),
                None => wire.light_at((0, port), up),
            }
            wire.run_for(Duration::from_millis(millis));
        }
        wire.run_for(Duration::from_secs(100));
        prop_assert!(!wire.lags[0].carrier(), "who fell silent is given up");
    }
}
