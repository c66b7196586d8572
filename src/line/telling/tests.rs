//! Partners that change as fast as they can send.

use std::num::{NonZeroU8, NonZeroU32};

use super::*;
use crate::bfd::{Config, Input, Output, Session, State, Timers};
use crate::lacp::{self, Lag, LagConfig, PortConfig};
use crate::line::End;
use crate::line::bfd::seen;
use crate::line::lag::member;

fn end() -> End {
    End {
        router: "ams-edge-1".to_owned(),
        connection: "ams-1".to_owned(),
    }
}

fn all(telling: &mut Telling, now: At) -> Vec<(Tidings, u32)> {
    std::iter::from_fn(|| telling.take(now)).collect()
}

/// A packet over one hop with this state, as RFC 5880, section 4.1, has it.
fn packet(state: State, flags: u8, your_discriminator: u32) -> [u8; 24] {
    let mut packet = [0; 24];
    packet[..4].copy_from_slice(&[0x20, (state as u8) << 6 | flags, 3, 24]);
    packet[7] = 9;
    packet[8..12].copy_from_slice(&your_discriminator.to_be_bytes());
    packet[12..16].copy_from_slice(&50_000_u32.to_be_bytes());
    packet[16..20].copy_from_slice(&50_000_u32.to_be_bytes());
    packet
}

/// What a session tells and sends that hears 100,000 of these packets, one after the other, within a second; and the last state
/// that is told.
fn flooded(packets: &[[u8; 24]]) -> (Vec<(Tidings, u32)>, usize, Session) {
    let timers = Timers::symmetric(Duration::from_millis(50), NonZeroU8::new(3).unwrap());
    let config = Config::single_hop(NonZeroU32::MIN, timers, 1);
    let mut session = Session::new(config, At::ZERO);
    let (mut telling, mut told, mut sent) = (Telling::default(), Vec::new(), 0);
    for number in 0..100_000 {
        let at = At::from_nanos(number * 10_000);
        let bytes = &packets[number as usize % packets.len()];
        let input = Input::Packet {
            bytes,
            ttl: if number % 7 == 0 { 3 } else { 255 },
            at,
        };
        session.handle(at, input);
        while let Some(output) = session.poll() {
            let tidings = match output {
                Output::Send(_) => {
                    sent += 1;
                    None
                }
                Output::State(change) => Some(Tidings {
                    event: Some(LineEvent::Bfd {
                        end: end(),
                        change,
                        at,
                    }),
                    ..Tidings::new(Kind::State, at, Fact::StepStarted { step: 0 })
                }),
                Output::Disabled(disabled) => Some(Tidings {
                    kind: Kind::Disabled,
                    at,
                    fact: None,
                    event: Some(LineEvent::BfdDisabled {
                        end: end(),
                        disabled,
                    }),
                }),
                seen_of_it => seen(&end(), &seen_of_it, at),
            };
            tidings.into_iter().for_each(|it| telling.put(it));
            told.extend(all(&mut telling, at));
        }
        told.extend(all(&mut telling, at));
    }
    let later = At::from_millis(1_100);
    told.extend(all(&mut telling, later));
    assert_eq!(telling.deadline(), None, "what came last is told soon");
    (told, sent, session)
}

fn of(kind: Kind, told: &[(Tidings, u32)]) -> (usize, u32) {
    let of_kind = told.iter().filter(|(tidings, _)| tidings.kind == kind);
    let left_out = of_kind.clone().map(|(_, left_out)| left_out).sum();
    (of_kind.count(), left_out)
}

#[test]
fn who_alternates_between_two_states_is_told_of_with_what_was_left_out() {
    let floods = [
        vec![packet(State::Down, 0, 0), packet(State::AdminDown, 0, 0)],
        vec![packet(State::Down, 0, 0), packet(State::Init, 0, 1)],
        // With Poll, and with Final.
        vec![
            packet(State::Down, 0x20, 0),
            packet(State::Init, 0x20, 1),
            packet(State::Up, 0x10, 1),
        ],
    ];
    for flood in floods {
        let (told, sent, session) = flooded(&flood);
        for kind in [Kind::State, Kind::Heard] {
            let (times, left_out) = of(kind, &told);
            assert!((32..=45).contains(&times), "{kind:?}: {times}");
            assert!(left_out > 40_000, "{kind:?}: {left_out}");
        }
        for kind in [Kind::Disabled, Kind::Answered, Kind::Rhythm] {
            let (times, _) = of(kind, &told);
            assert!(times <= 45, "{kind:?}: {times}");
        }
        let (discarded, _) = of(Kind::Discarded, &told);
        assert!((1..=45).contains(&discarded), "{discarded}");
        // Those prompt, a Final with each, and those of the timers.
        assert!(sent <= 2 * (32 + 100) + 30, "{sent}");
        let last = told.iter().rev().find_map(|(tidings, _)| {
            if let Some(LineEvent::Bfd { change, .. }) = &tidings.event {
                return Some(change.to);
            }
            None
        });
        assert_eq!(last, Some(session.state()), "the latest is told");
        // Each change leaves what was told to be entered: no loss is hidden.
        let changes = told
            .iter()
            .filter_map(|(tidings, _)| tidings.event.as_ref());
        let changes = changes.filter_map(|event| match event {
            LineEvent::Bfd { change, .. } => Some(change),
            _ => None,
        });
        changes.fold(State::Down, |is, change| {
            assert_eq!(change.from, is);
            change.to
        });
    }
}

/// A session that was up and is lost, while nothing may be told, is told to have been left, for the reason of then; that its end
/// disabled it is told before.
#[test]
fn no_loss_is_hidden_by_what_comes_after_it() {
    let change = |from, to, remote_state| Tidings {
        event: Some(LineEvent::Bfd {
            end: end(),
            change: crate::bfd::StateChange {
                from,
                to,
                diagnostic: crate::bfd::Diagnostic::None,
                remote_state,
                remote_diagnostic: crate::bfd::Diagnostic::None,
                control_plane_independent: false,
                last_received: None,
                detection_time: None,
            },
            at: At::ZERO,
        }),
        ..Tidings::new(Kind::State, At::ZERO, Fact::StepStarted { step: 0 })
    };
    let mut telling = Telling::default();
    for _ in 0..AT_ONCE {
        telling.put(change(State::Init, State::Up, State::Init));
        assert_eq!(all(&mut telling, At::ZERO).len(), 1);
    }
    telling.put(change(State::Up, State::Down, State::Up));
    telling.put(change(State::Down, State::Init, State::AdminDown));
    telling.put(Tidings {
        kind: Kind::Disabled,
        at: At::ZERO,
        fact: None,
        event: Some(LineEvent::BfdDisabled {
            end: end(),
            disabled: true,
        }),
    });
    let due = At::ZERO + INTERVAL;
    let told = all(&mut telling, due);
    let told: Vec<_> = told.iter().filter_map(|(it, _)| it.event.clone()).collect();
    let [
        LineEvent::BfdDisabled { disabled: true, .. },
        LineEvent::Bfd { change, .. },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!((change.from, change.to), (State::Up, State::Init));
    assert_eq!(change.remote_state, State::Up, "when it was lost");
}

/// LACPDUs with port priority 1 and 2 by turns.
#[test]
fn a_partner_with_another_priority_each_time_is_told_of_with_what_was_left_out() {
    let config = |number: u8| LagConfig {
        system: [2, 0, 0, 0, 0, number],
        system_priority: 1,
        key: 1,
        fast: true,
        active: true,
        min_links: 1,
        aggregate_wait: Duration::ZERO,
        ports: vec![PortConfig {
            mac: [2, 0, 0, 0, 1, number],
            number: 1,
            priority: 1,
        }],
    };
    let mut lag = Lag::new(&config(1)).unwrap();
    lag.handle(At::ZERO, lacp::Input::Light { port: 0, up: true });
    let (mut telling, mut told, mut sent) = (Telling::default(), Vec::new(), 0);
    for number in 0..100_000_u64 {
        let now = At::from_nanos(number * 10_000);
        let mut actor = lacp::PortInfo {
            port_priority: 1 + (number % 2) as u16,
            ..*lag.actor(0).unwrap()
        };
        actor.system = [2, 0, 0, 0, 0, 2];
        let pdu = lacp::Lacpdu {
            actor,
            partner: *lag.actor(0).unwrap(),
            collector_max_delay: 0,
        };
        let frame = lacp::pdu::encode(&lacp::Pdu::Lacp(pdu), [2, 0, 0, 0, 0, 2]);
        let bytes = &frame;
        lag.handle(now, lacp::Input::Frame { port: 0, bytes });
        while let Some(output) = lag.poll() {
            match output {
                lacp::Output::PortChanged { status, .. } => {
                    let fact = member(&end(), 0, &status);
                    telling.put(Tidings::new(Kind::Member, now, fact));
                }
                lacp::Output::Send { .. } => sent += 1,
                _ => {}
            }
        }
        told.extend(all(&mut telling, now));
    }
    told.extend(all(&mut telling, At::from_millis(1_100)));
    let (times, left_out) = of(Kind::Member, &told);
    assert!((32..=45).contains(&times), "{times}");
    assert!(left_out > 90_000, "{left_out}");
    assert!(sent <= 6, "{sent}");
    let last = told.last().and_then(|(tidings, _)| tidings.fact.clone());
    assert_eq!(last, Some(member(&end(), 0, &lag.status(0).unwrap())));
}

/// A session that is lost and comes up again four times a second, for four seconds.
#[test]
fn what_ordinary_failures_bring_about_is_told_at_once() {
    let mut telling = Telling::default();
    for number in 0..50_u64 {
        let at = At::from_millis(number * 75);
        let fact = Fact::StepStarted { step: 0 };
        telling.put(Tidings::new(Kind::State, at, fact));
        let told = all(&mut telling, at);
        assert_eq!((told.len(), told[0].1), (1, 0), "{number}");
    }
}
