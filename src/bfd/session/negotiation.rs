//! Scripts in virtual time about timers: Poll and Final, Demand mode, what takes effect when (RFC 5880, section 6.8.3).

use super::tests::{config, millis, ms, theirs, timers, up, up_with};
use super::*;

#[test]
fn poll_is_answered_at_once_without_disturbing_the_period() {
    let mut session = up();
    let due = session.deadline();
    session.hear(
        ms(0),
        Packet {
            poll: true,
            ..theirs(State::Up)
        },
    );
    let sent = session.sent();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].final_ && !sent[0].poll);
    assert_eq!(session.deadline(), due);
}

#[test]
fn a_longer_transmit_interval_waits_for_final() {
    let mut session = up();
    session.handle(ms(1), Input::Order(Order::timers(timers(300, 50, 3))));
    // No packet besides the periodic ones (section 6.5), which go on as before.
    assert_eq!(session.sent(), []);
    assert_eq!(session.transmit_interval(), Duration::from_millis(50));
    let due = session.deadline().unwrap();
    assert!(due <= ms(50));
    session.timer(due);
    let sent = session.sent();
    assert!(sent[0].poll && sent[0].desired_min_tx == millis(300));
    assert_eq!(session.transmit_interval(), Duration::from_millis(50));
    session.hear(
        due,
        Packet {
            final_: true,
            ..theirs(State::Up)
        },
    );
    assert_eq!(session.transmit_interval(), Duration::from_millis(300));
    session.hear(due, theirs(State::Up));
    session.timer(ms(100));
    assert_eq!(session.sent(), []);
}

#[test]
fn a_shorter_receive_interval_waits_for_final() {
    let mut session = up_with(Config {
        timers: timers(50, 300, 3),
        ..config()
    });
    assert_eq!(session.detection_time(), Some(Duration::from_millis(900)));
    session.handle(ms(1), Input::Order(Order::timers(timers(50, 50, 3))));
    session.timer(ms(50));
    assert_eq!(session.sent()[0].required_min_rx, millis(50));
    session.hear(ms(51), theirs(State::Up));
    assert_eq!(session.detection_time(), Some(Duration::from_millis(900)));
    session.hear(
        ms(52),
        Packet {
            final_: true,
            ..theirs(State::Up)
        },
    );
    assert_eq!(session.detection_time(), Some(Duration::from_millis(150)));
}

#[test]
fn the_other_two_directions_take_effect_at_once() {
    let mut session = up_with(Config {
        timers: timers(300, 50, 3),
        ..config()
    });
    session.handle(ms(1), Input::Order(Order::timers(timers(60, 100, 4))));
    assert_eq!(session.transmit_interval(), Duration::from_millis(60));
    assert_eq!(session.detection_time(), Some(Duration::from_millis(300)));
    session.timer(ms(60));
    let sent = session.sent();
    assert!(sent[0].poll);
    assert_eq!(sent[0].detect_multiplier.get(), 4);
}

#[test]
fn changes_during_a_poll_sequence_wait_for_its_end() {
    let mut session = up();
    session.handle(ms(1), Input::Order(Order::timers(timers(300, 50, 3))));
    session.timer(ms(50));
    session.sent();
    session.handle(ms(51), Input::Order(Order::timers(timers(400, 50, 3))));
    session.timer(ms(100));
    assert_eq!(session.sent()[0].desired_min_tx, millis(300));
    let answer = Packet {
        final_: true,
        ..theirs(State::Up)
    };
    session.hear(ms(110), answer);
    // A packet without Final, but sooner after the second Poll than its answer may take.
    session.hear(ms(120), theirs(State::Up));
    assert_eq!(session.desired_min_tx, millis(300));
    // The answer to the second Poll is nobody's.
    session.hear(ms(155), answer);
    session.hear(ms(165), theirs(State::Up));
    assert_eq!(session.desired_min_tx, millis(400));
    assert_eq!(session.transmit_interval(), Duration::from_millis(300));
}

#[test]
fn a_shorter_interval_of_the_remote_is_honoured_within_the_period() {
    let mut session = up();
    let wants = |interval| Packet {
        required_min_rx: millis(interval),
        ..theirs(State::Up)
    };
    session.hear(ms(0), wants(2000));
    assert!(session.next_transmission().unwrap() >= ms(1500));
    session.hear(ms(100), wants(50));
    // It is due since it is known, and was not before.
    assert_eq!(session.next_transmission(), Some(ms(100)));
    session.timer(ms(100));
    assert_eq!(session.sent().len(), 1);
}

#[test]
fn demand_of_the_remote_silences_only_while_both_are_up() {
    let mut session = up();
    let demand = |state| Packet {
        demand: true,
        ..theirs(state)
    };
    session.hear(ms(1), demand(State::Up));
    assert_eq!(session.next_transmission(), None);
    // It still detects: the remote goes on sending.
    assert_eq!(session.deadline(), Some(ms(151)));
    // A Poll Sequence is sent all the same, and is its own end.
    session.handle(ms(100), Input::Order(Order::timers(timers(60, 50, 3))));
    session.timer(ms(100));
    assert!(session.sent()[0].poll);
    assert!(session.next_transmission().is_some());
    let answer = Packet {
        final_: true,
        ..demand(State::Up)
    };
    session.hear(ms(101), answer);
    assert_eq!(session.next_transmission(), None);
    session.hear(ms(102), demand(State::Down));
    assert_eq!(session.state(), State::Down);
    assert!(session.next_transmission().is_some());
}

#[test]
fn a_remote_that_wants_no_packets_gets_answers_and_news_only() {
    let mut session = up();
    let wants_none = Packet {
        required_min_rx: Micros(0),
        ..theirs(State::Up)
    };
    session.hear(ms(1), wants_none);
    assert_eq!(session.next_transmission(), None);
    session.hear(
        ms(2),
        Packet {
            poll: true,
            ..wants_none
        },
    );
    assert!(session.sent()[0].final_);
    session.handle(ms(3), Input::Order(Order::Disable));
    assert_eq!(session.sent()[0].state, State::AdminDown);
}
