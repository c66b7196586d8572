//! A LAG alone, spoken to by LACPDUs made by hand: the functions of 6.4.9 clause by clause, timers, order of outputs.

use super::*;
use crate::lacp::pdu::{self, Lacpdu, Pdu};
use crate::lacp::wire::config;
use crate::lacp::{Misbehaviour, MuxState, Obstacle, ReceiveState, Refusal, Selected};

/// Active, short timeout, aggregatable, in sync, collecting, distributing.
const RUNNING: State = State(0x3f);

fn at(millis: u64) -> At {
    At::from_millis(millis)
}

/// A LAG with light on every port, its first outputs taken.
fn lit(config: &LagConfig) -> Lag {
    let mut lag = Lag::new(config).unwrap();
    for port in 0..lag.port_count() {
        lag.handle(At::ZERO, Input::Light { port, up: true });
    }
    outputs(&mut lag);
    lag
}

/// A LAG of one port that distributes, its outputs taken, two of its three LACPDUs of this second sent.
fn running(config: &LagConfig) -> Lag {
    let mut lag = lit(config);
    let pdu = partner(&lag, RUNNING);
    hear(&mut lag, 0, &pdu);
    assert!(lag.carrier());
    outputs(&mut lag);
    lag
}

/// What partner 2 says to port 0, knowing all of it.
fn partner(lag: &Lag, state: State) -> Lacpdu {
    let own = *lag.actor(0).unwrap();
    Lacpdu {
        actor: PortInfo {
            system_priority: 0x8000,
            system: [2, 0, 0, 0, 0, 2],
            key: 9,
            port_priority: 0x80,
            port: 5,
            state,
        },
        partner: PortInfo {
            state: own.state.with(State::SYNCHRONIZATION, true),
            ..own
        },
        collector_max_delay: 0,
    }
}

fn hear(lag: &mut Lag, millis: u64, pdu: &Lacpdu) {
    let bytes = &pdu::encode(&Pdu::Lacp(*pdu), [2, 0, 0, 0, 2, 5]);
    lag.handle(at(millis), Input::Frame { port: 0, bytes });
}

fn outputs(lag: &mut Lag) -> Vec<Output> {
    std::iter::from_fn(|| lag.poll()).collect()
}

/// The LACPDUs among the outputs.
fn sent(lag: &mut Lag) -> Vec<Lacpdu> {
    let sent = outputs(lag).into_iter().filter_map(|output| match output {
        Output::Send { frame, .. } => Some(pdu::decode(&frame).unwrap()),
        _ => None,
    });
    sent.map(|pdu| match pdu {
        Pdu::Lacp(pdu) => pdu,
        Pdu::Marker(_) | Pdu::MarkerResponse(_) => panic!("{pdu:?}"),
    })
    .collect()
}

/// Runs the timers alone until `millis`; gives the moments at which a LACPDU left.
fn times(lag: &mut Lag, millis: u64) -> Vec<u64> {
    let mut times = Vec::new();
    while let Some(due) = lag.deadline().filter(|due| *due <= at(millis)) {
        lag.handle(due, Input::Tick);
        times.extend(sent(lag).iter().map(|_| due.as_nanos() / 1_000_000));
    }
    times
}

fn receive(lag: &Lag) -> ReceiveState {
    lag.status(0).unwrap().receive
}

#[test]
fn impossible_configs() {
    let with = |change: fn(&mut LagConfig)| {
        let mut config = config(1, 2);
        change(&mut config);
        Lag::new(&config).unwrap_err()
    };
    assert_eq!(with(|c| c.ports.clear()), ConfigError::PortCount(0));
    let many = with(|c| c.ports = config(1, 9).ports);
    assert_eq!(many, ConfigError::PortCount(9));
    assert_eq!(with(|c| c.ports[1].number = 1), ConfigError::PortNumber(1));
    for min_links in [0, 3] {
        let mut config = config(1, 2);
        config.min_links = min_links;
        let error = Lag::new(&config).unwrap_err();
        let ports = 2;
        assert_eq!(error, ConfigError::MinLinks { min_links, ports });
    }
    assert_eq!(with(|c| c.system = [0; 6]), ConfigError::System);
}

#[test]
fn a_dark_lag_has_nothing_to_do() {
    let mut lag = Lag::new(&config(1, 8)).unwrap();
    assert_eq!((lag.deadline(), lag.poll()), (None, None));
    lag.handle(at(1000), Input::Tick);
    let own = lag.clone();
    hear(&mut lag, 1000, &partner(&own, RUNNING));
    assert_eq!((lag.deadline(), lag.poll()), (None, None));
    assert_eq!(receive(&lag), ReceiveState::PortDisabled);
}

#[test]
fn without_light_no_timer_is_left() {
    let mut lag = running(&config(1, 1));
    lag.handle(at(1), Input::Light { port: 0, up: false });
    assert_eq!(lag.deadline(), None);
    assert_eq!(sent(&mut lag), []);

    // One port waits for the other.
    let mut lag = lit(&config(1, 2));
    let pdu = partner(&lag, RUNNING);
    hear(&mut lag, 1, &pdu);
    assert_eq!(lag.status(0).unwrap().mux, MuxState::Waiting);
    lag.handle(at(2), Input::Light { port: 0, up: false });
    assert_eq!(lag.deadline(), Some(at(1000)), "the other port's clock");
    lag.handle(at(3), Input::Light { port: 1, up: false });
    assert_eq!(lag.deadline(), None);
}

#[test]
fn a_port_that_leaves_tells_its_partner() {
    let mut lag = lit(&config(1, 1));
    let pdu = partner(&lag, RUNNING.with(State::SYNCHRONIZATION, false));
    hear(&mut lag, 1, &pdu);
    assert_eq!(lag.status(0).unwrap().mux, MuxState::Attached);
    let synced = sent(&mut lag);
    assert!(synced[0].actor.state.has(State::SYNCHRONIZATION));
    let how = Misbehaviour {
        refuses: Some(Refusal::Synchronization),
        ..Misbehaviour::default()
    };
    lag.handle(at(2), Input::Admin(Admin::Misbehave { port: None, how }));
    let left = sent(&mut lag);
    assert!(!left[0].actor.state.has(State::SYNCHRONIZATION));
}

#[test]
fn light_makes_an_active_port_speak_at_once() {
    let mut lag = Lag::new(&config(1, 1)).unwrap();
    lag.handle(at(7), Input::Light { port: 0, up: true });
    let [pdu] = sent(&mut lag)[..] else {
        panic!("one LACPDU");
    };
    let says = "active short-timeout aggregatable defaulted expired";
    assert_eq!(pdu.actor.state.to_string(), says);
    assert_eq!(pdu.partner.system, [0; 6]);
    let clock = [1007, 2007, 3007, 4007, 5007];
    assert_eq!(times(&mut lag, 5999), clock);
    assert_eq!(receive(&lag), ReceiveState::Defaulted);
}

#[test]
fn a_passive_port_does_not_speak_until_an_active_one_does() {
    let mut passive = config(1, 1);
    passive.active = false;
    let mut lag = Lag::new(&passive).unwrap();
    lag.handle(at(0), Input::Light { port: 0, up: true });
    assert_eq!(sent(&mut lag), []);
    assert_eq!(times(&mut lag, 100_000), [0u64; 0]);
    let knocks = State(0x07);
    let pdu = partner(&lag, knocks);
    hear(&mut lag, 100_000, &pdu);
    assert_eq!(sent(&mut lag).len(), 1);
    assert_eq!(times(&mut lag, 102_500), [101_000, 102_000]);
    // Three seconds later the partner is expired, and three more and it is forgotten, with its activity.
    assert_eq!(times(&mut lag, 200_000), [103_000, 104_000, 105_000]);
}

#[test]
fn record_pdu_says_who_is_in_sync() {
    for bits in 0..128u8 {
        let bit = |n: u8| bits >> n & 1 == 1;
        let (in_sync, aggregatable, they_are_active) = (bit(0), bit(1), bit(2));
        let (we_are_active, they_know_it) = (bit(3), bit(4));
        let (our_key, our_aggregation) = (bit(5), bit(6));
        let mut own = config(1, 1);
        own.active = we_are_active;
        let mut lag = lit(&own);
        let state = State::COLLECTING
            .with(State::SYNCHRONIZATION, in_sync)
            .with(State::AGGREGATION, aggregatable)
            .with(State::ACTIVITY, they_are_active);
        let mut pdu = partner(&lag, state);
        pdu.partner.state = pdu
            .partner
            .state
            .with(State::ACTIVITY, they_know_it)
            .with(State::AGGREGATION, our_aggregation);
        pdu.partner.key += u16::from(!our_key);
        hear(&mut lag, 1, &pdu);

        let mean_us = our_key && our_aggregation;
        let maintained = they_are_active || (we_are_active && they_know_it);
        let expected = in_sync && (mean_us || !aggregatable) && maintained;
        let status = lag.status(0).unwrap();
        let held = status.partner.unwrap().state;
        assert_eq!(held.has(State::SYNCHRONIZATION), expected, "{bits:07b}");
        let mux = match expected {
            true => MuxState::Distributing,
            false => MuxState::Attached,
        };
        assert_eq!(status.mux, mux, "{bits:07b}");
    }
}

/// Every way to change one field of what a LACPDU says of a port, but for its state.
const CHANGES: [fn(&mut PortInfo); 5] = [
    |info| info.system_priority ^= 1,
    |info| info.system[5] ^= 0x40,
    |info| info.key ^= 1,
    |info| info.port_priority ^= 1,
    |info| info.port ^= 1,
];

#[test]
fn update_ntt_answers_what_is_out_of_date() {
    let lag = running(&config(1, 1));
    let current = partner(&lag, RUNNING);
    let answers = |pdu: &Lacpdu| {
        let mut lag = lag.clone();
        hear(&mut lag, 10, pdu);
        sent(&mut lag).len()
    };
    assert_eq!(answers(&current), 0);
    for bit in 0..8 {
        let mut pdu = current;
        pdu.partner.state.0 ^= 1 << bit;
        // Activity, timeout, aggregation, synchronization are compared; progress beyond is not.
        assert_eq!(answers(&pdu), usize::from(bit < 4), "bit {bit}");
    }
    for change in CHANGES {
        let mut pdu = current;
        change(&mut pdu.partner);
        assert_eq!(answers(&pdu), 1, "{pdu:?}");
    }
}

#[test]
fn update_selected_makes_another_partner_join_anew() {
    let lag = running(&config(1, 1));
    let current = partner(&lag, RUNNING);
    let stops = |pdu: &Lacpdu| {
        let mut lag = lag.clone();
        hear(&mut lag, 10, pdu);
        let stop = Output::Mux {
            port: 0,
            collecting: false,
            distributing: false,
        };
        outputs(&mut lag).contains(&stop)
    };
    assert!(!stops(&current));
    for change in CHANGES {
        let mut pdu = current;
        change(&mut pdu.actor);
        assert!(stops(&pdu), "{pdu:?}");
    }
    let with = |bits, set| Lacpdu {
        actor: PortInfo {
            state: RUNNING.with(bits, set),
            ..current.actor
        },
        ..current
    };
    assert!(stops(&with(State::AGGREGATION, false)));
    assert!(stops(&with(State::SYNCHRONIZATION, false)), "by the mux");
    for (bits, set) in [
        (State::ACTIVITY, false),
        (State::TIMEOUT, false),
        (State::COLLECTING, false),
        (State::DISTRIBUTING, false),
        (State::DEFAULTED, true),
        (State::EXPIRED, true),
    ] {
        assert!(!stops(&with(bits, set)), "{bits}");
    }
}

#[test]
fn expired_keeps_the_partner_out_of_sync_and_asks_fast() {
    let mut lag = lit(&config(1, 1));
    // A partner that wants a LACPDU every 30 s.
    let patient = partner(&lag, RUNNING.with(State::TIMEOUT, false));
    hear(&mut lag, 100, &patient);
    outputs(&mut lag);
    assert_eq!(times(&mut lag, 3099), [0u64; 0]);
    assert_eq!(receive(&lag), ReceiveState::Current);

    assert_eq!(times(&mut lag, 3100), [3100]);
    let status = lag.status(0).unwrap();
    assert_eq!(status.receive, ReceiveState::Expired);
    assert_eq!(status.mux, MuxState::Attached);
    assert_eq!(status.selected, Selected::Selected);
    assert_eq!(status.partner.unwrap().system, patient.actor.system);

    // EXPIRED asks at once and then every second; DEFAULTED goes on.
    let clock = [3100 + 1000, 3100 + 2000];
    assert_eq!(times(&mut lag, 6099), clock);
    assert_eq!(times(&mut lag, 8200), [6100, 7100, 8100]);
    let status = lag.status(0).unwrap();
    assert_eq!(status.receive, ReceiveState::Defaulted);
    assert_eq!(status.partner, None);
    assert_eq!(status.mux, MuxState::Detached);
    assert_eq!(status.selected, Selected::Unselected(Obstacle::NotHeard));
}

#[test]
fn the_long_timeout_is_90_s() {
    let mut slow = config(1, 1);
    slow.fast = false;
    let mut lag = running(&slow);
    times(&mut lag, 89_999);
    assert_eq!(receive(&lag), ReceiveState::Current);
    times(&mut lag, 90_000);
    assert_eq!(receive(&lag), ReceiveState::Expired);
    times(&mut lag, 92_999);
    assert_eq!(receive(&lag), ReceiveState::Expired, "short, in EXPIRED");
    times(&mut lag, 93_000);
    assert_eq!(receive(&lag), ReceiveState::Defaulted);
}

#[test]
fn the_partner_chooses_the_rate() {
    let mut slow = config(1, 1);
    slow.fast = false;
    let mut lag = lit(&slow);
    let patient = partner(&lag, RUNNING.with(State::TIMEOUT, false));
    hear(&mut lag, 0, &patient);
    sent(&mut lag);
    assert_eq!(times(&mut lag, 70_000), [30_000, 60_000]);
    hear(&mut lag, 70_500, &patient);
    assert_eq!(sent(&mut lag), []);
    let hurried = partner(&lag, RUNNING);
    hear(&mut lag, 71_000, &hurried);
    assert_eq!(sent(&mut lag).len(), 1, "at once");
    assert_eq!(times(&mut lag, 73_500), [72_000, 73_000]);
}

#[test]
fn three_lacpdus_in_a_second_and_the_fourth_says_what_is_true_then() {
    let mut lag = running(&config(1, 1));
    let mut stale = partner(&lag, RUNNING);
    stale.partner.key += 1;
    let mut left = 2;
    for millis in 1..=900 {
        hear(&mut lag, millis, &stale);
        left += sent(&mut lag).len();
    }
    assert_eq!(left, 3);
    let current = partner(&lag, RUNNING);
    hear(&mut lag, 950, &current);
    assert_eq!(sent(&mut lag), []);
    assert_eq!(lag.deadline(), Some(at(1000)));
    lag.handle(at(1000), Input::Tick);
    let [pdu] = sent(&mut lag)[..] else {
        panic!("one LACPDU");
    };
    assert!(pdu.actor.state.has(State::DISTRIBUTING));
    assert!(pdu.partner.state.has(State::SYNCHRONIZATION));
}

#[test]
fn outputs_come_in_an_order_that_harms_nothing() {
    let order = |outputs: Vec<Output>| -> Vec<String> {
        let name = |output: &Output| match output {
            Output::Send { .. } => "send".to_owned(),
            Output::Mux {
                collecting,
                distributing,
                ..
            } => format!("mux {collecting} {distributing}"),
            Output::Carrier { up, .. } => format!("carrier {up}"),
            Output::PortChanged { .. } => "changed".to_owned(),
            Output::Heard { .. } => "heard".to_owned(),
            Output::Rhythm { .. } | Output::MarkerAnswered { .. } => "measured".to_owned(),
            Output::NoMarker { .. } => "no marker".to_owned(),
        };
        outputs.iter().map(name).collect()
    };
    let mut lag = lit(&config(1, 1));
    let pdu = partner(&lag, RUNNING);
    hear(&mut lag, 1, &pdu);
    assert_eq!(
        order(outputs(&mut lag)),
        [
            "mux true false",
            "mux true true",
            "carrier true",
            "send",
            "changed",
            "heard"
        ]
    );
    let stopped = partner(&lag, RUNNING.with(State::COLLECTING, false));
    hear(&mut lag, 2, &stopped);
    assert_eq!(
        order(outputs(&mut lag)),
        [
            "mux true false",
            "carrier false",
            "send",
            "changed",
            "heard"
        ]
    );
    lag.handle(at(3), Input::Light { port: 0, up: false });
    assert_eq!(order(outputs(&mut lag)), ["mux false false", "changed"]);
}

#[test]
fn a_frame_that_lay_unread_counts_from_when_it_came() {
    let mut lag = running(&config(1, 1));
    let pdu = partner(&lag, RUNNING);
    // Read at 3.5 s, received at 2.9 s: no EXPIRED in between.
    hear(&mut lag, 2_900, &pdu);
    lag.handle(at(3_500), Input::Tick);
    assert_eq!(receive(&lag), ReceiveState::Current);
    // Whatever the order of the stamps, the timers hold.
    hear(&mut lag, 3_000, &pdu);
    times(&mut lag, 5_999);
    assert_eq!(receive(&lag), ReceiveState::Current);
    times(&mut lag, 6_000);
    assert_eq!(receive(&lag), ReceiveState::Expired);
}

#[test]
fn an_individual_partner_makes_a_lag_of_one() {
    let mut lag = lit(&config(1, 2));
    let alone = partner(&lag, RUNNING.with(State::AGGREGATION, false));
    let mut other = alone;
    other.actor.port += 1;
    hear(&mut lag, 1, &alone);
    let bytes = &pdu::encode(&Pdu::Lacp(other), [2, 0, 0, 0, 2, 6]);
    lag.handle(at(1), Input::Frame { port: 1, bytes });
    assert_eq!(lag.distributing(), 1);
    let chosen = PartnerId::of(&alone.actor);
    let status = lag.status(1).unwrap();
    let obstacle = Obstacle::OtherPartner(chosen);
    assert_eq!(status.selected, Selected::Unselected(obstacle));
}

#[test]
fn a_later_version_is_read_as_the_first() {
    let mut lag = lit(&config(1, 1));
    let mut frame = pdu::encode(&Pdu::Lacp(partner(&lag, RUNNING)), [2; 6]);
    frame[15] = 2;
    let bytes = &frame;
    lag.handle(at(1), Input::Frame { port: 0, bytes });
    assert!(lag.carrier());
    assert_eq!(lag.counters(0).unwrap().lacpdus_received, 1);
    assert_eq!(lag.counters(0).unwrap().illegal, 0);
}

#[test]
fn a_change_is_told_once() {
    let mut lag = running(&config(1, 1));
    let pdu = partner(&lag, RUNNING);
    hear(&mut lag, 2, &pdu);
    outputs(&mut lag);
    for second in 1..10 {
        hear(&mut lag, second * 1000 - 1, &pdu);
        let measured = |output: &Output| matches!(output, Output::Rhythm { .. });
        assert!(outputs(&mut lag).iter().all(measured));
        lag.handle(at(second * 1000), Input::Tick);
        let told = outputs(&mut lag);
        assert!(matches!(told[..], [Output::Send { .. }]), "{told:?}");
    }
}

#[test]
fn a_lacpdu_at_the_very_moment_of_the_timeout_is_in_time() {
    let mut lag = running(&config(1, 1));
    let pdu = partner(&lag, RUNNING);
    hear(&mut lag, 3_000, &pdu);
    lag.handle(at(3_000), Input::Tick);
    assert!(lag.carrier());
    assert_eq!(lag.status(0).unwrap().receive, ReceiveState::Current);
    lag.handle(at(6_000), Input::Tick);
    assert!(!lag.carrier());
}
