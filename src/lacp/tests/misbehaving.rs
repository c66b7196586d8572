//! What a right partner makes of an end that does wrong, in every way there is.

use std::time::Duration;

use crate::lacp::pdu::{self, Pdu};
use crate::lacp::wire::{Event, Wire, config};
use crate::lacp::{
    Admin, Identity, Lacpdu, Markers, MuxState, NoMarker, Output, Part, Refusal, State,
};

const SOON: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// Two LAGs of two ports that have been up for 5 s. The first is told to misbehave; the second is the right one.
fn running() -> Wire {
    let mut wire = Wire::pair(&config(1, 2), &config(2, 2));
    wire.light_all(true);
    wire.wait_for(SOON, Wire::all_distributing).unwrap();
    wire.run_for(5 * SECOND);
    wire.events.clear();
    wire.misbehaving = vec![0];
    wire
}

/// The mux states of the right end.
fn partner(wire: &Wire) -> [MuxState; 2] {
    [0, 1].map(|port| wire.lags[1].status(port).unwrap().mux)
}

/// What the right end says last on a port.
fn says(wire: &Wire, port: usize) -> State {
    wire.lags[0].heard(port).unwrap().actor.state
}

/// The LACPDUs a port of the first LAG has sent since so many frames were seen.
fn sent(wire: &Wire, since: usize) -> Vec<Lacpdu> {
    let of_first = wire.tapped[since..]
        .iter()
        .filter(|f| f[6..12] == [2, 0, 0, 0, 1, 1]);
    of_first
        .filter_map(|frame| match pdu::decode(frame).unwrap() {
            Pdu::Lacp(pdu) => Some(pdu),
            Pdu::Marker(_) | Pdu::MarkerResponse(_) => None,
        })
        .collect()
}

#[test]
fn a_port_that_is_not_in_sync_stops_its_partner() {
    let mut wire = running();
    wire.misbehave_at((0, 0), |how| how.refuses = Some(Refusal::Synchronization));
    wire.run_for(SOON);
    assert_eq!(partner(&wire), [MuxState::Attached, MuxState::Distributing]);
    assert!(!says(&wire, 0).has(State::COLLECTING));
    assert!(wire.lags[1].carrier());
}

#[test]
fn a_port_that_does_not_collect_is_sent_nothing() {
    let mut wire = running();
    wire.misbehave_at((0, 0), |how| how.refuses = Some(Refusal::Collecting));
    wire.run_for(SOON);
    assert_eq!(
        partner(&wire),
        [MuxState::Collecting, MuxState::Distributing]
    );
    assert!(says(&wire, 0).has(State::SYNCHRONIZATION));
    wire.misbehave_at((0, 0), |_| {});
    assert!(wire.wait_for(2 * SECOND, Wire::all_distributing).is_some());
}

#[test]
fn a_port_that_does_not_distribute_is_still_sent_to() {
    let mut wire = running();
    wire.misbehave_at((0, 0), |how| how.refuses = Some(Refusal::Distributing));
    wire.run_for(2 * SECOND);
    assert_eq!(wire.lags[0].status(0).unwrap().mux, MuxState::Collecting);
    assert_eq!(partner(&wire), [MuxState::Distributing; 2]);
}

/// A member that is taken away, and comes again, does what it was told to do wrong before, meanwhile and after.
#[test]
fn a_spared_port_goes_on_misbehaving() {
    let mut wire = running();
    let spare = |wire: &mut Wire, spared| {
        wire.run_for(SOON);
        wire.admin(0, Admin::Spare { port: 0, spared });
        wire.run_for(SOON);
    };
    wire.misbehave(0, |how| how.markers = Markers::Ignored);
    spare(&mut wire, true);
    assert_eq!(wire.lags[0].status(0).unwrap().mux, MuxState::Collecting);
    assert_eq!(partner(&wire), [MuxState::Distributing; 2]);
    wire.light(0, false);
    spare(&mut wire, false);
    wire.light(0, true);
    assert!(wire.wait_for(2 * SECOND, Wire::all_distributing).is_some());
    let markers = wire.lags[0].misbehaviour(0).unwrap().markers;
    assert_eq!(markers, Markers::Ignored);

    wire.misbehave_at((0, 0), |how| how.silent = true);
    let before = wire.tapped.len();
    spare(&mut wire, true);
    spare(&mut wire, false);
    assert_eq!(sent(&wire, before), [], "it stays silent");

    // What it refuses by order it refuses after, too.
    for refusal in [Refusal::Synchronization, Refusal::Distributing] {
        wire.misbehave_at((0, 0), |how| how.refuses = Some(refusal));
        wire.run_for(2 * SECOND);
        let state = wire.lags[0].status(0).unwrap().mux;
        spare(&mut wire, true);
        assert_eq!(wire.lags[0].status(0).unwrap().mux, state);
        spare(&mut wire, false);
        assert_eq!(wire.lags[0].status(0).unwrap().mux, state);
    }
}

#[test]
fn a_port_of_another_system_or_key_leaves_alone() {
    let identities = [
        Identity {
            system: Some([2, 0, 0, 0, 0, 99]),
            ..Identity::default()
        },
        Identity {
            key: Some(99),
            ..Identity::default()
        },
    ];
    for identity in identities {
        let mut wire = running();
        wire.misbehave_at((0, 0), |how| how.identity = identity);
        wire.run_for(3 * SECOND);
        assert_eq!(partner(&wire), [MuxState::Detached, MuxState::Distributing]);
        assert!(wire.carriers(1).is_empty());
        wire.misbehave_at((0, 0), |_| {});
        assert!(wire.wait_for(2 * SECOND, Wire::all_distributing).is_some());
    }
}

#[test]
fn another_port_number_is_joined_anew() {
    let mut wire = running();
    let identity = Identity {
        port: Some(99),
        ..Identity::default()
    };
    wire.misbehave_at((0, 0), |how| how.identity = identity);
    assert_ne!(wire.lags[0].distributing(), 2);
    assert!(wire.wait_for(2 * SECOND, Wire::all_distributing).is_some());
    assert_eq!(wire.lags[1].status(0).unwrap().partner.unwrap().port, 99);
}

#[test]
fn what_is_another_in_every_lacpdu_never_stays_in() {
    for part in [Part::System, Part::Key, Part::Port] {
        let mut wire = running();
        let before = wire.tapped.len();
        wire.misbehave_at((0, 0), |how| how.changing = Some(part));
        wire.run_for(10 * SECOND);
        let said: Vec<_> = sent(&wire, before)
            .iter()
            .map(|pdu| (pdu.actor.system, pdu.actor.key, pdu.actor.port))
            .collect();
        assert!(
            said.len() >= 10 && said.windows(2).all(|two| two[0] != two[1]),
            "{said:?}"
        );
        assert_ne!(partner(&wire)[0], MuxState::Distributing, "{part:?}");
        assert_eq!(partner(&wire)[1], MuxState::Distributing);
        wire.misbehave_at((0, 0), |_| {});
        assert!(wire.wait_for(2 * SECOND, Wire::all_distributing).is_some());
    }
}

#[test]
fn a_partner_that_means_another_is_out_of_sync() {
    let mut wire = running();
    wire.misbehave_at((0, 0), |how| how.other_partner = true);
    wire.run_for(2 * SECOND);
    assert_eq!(partner(&wire), [MuxState::Attached, MuxState::Distributing]);
}

/// What becomes of markers, or the same once more, is nothing to say in a LACPDU of its own.
#[test]
fn what_no_lacpdu_says_makes_none() {
    let mut wire = running();
    wire.misbehave_at((0, 0), |how| how.drops = 10);
    wire.run_for(SOON);
    let since = wire.tapped.len();
    for markers in [
        Markers::Ignored,
        Markers::Late(SECOND),
        Markers::Late(SECOND),
    ] {
        wire.misbehave_at((0, 0), |how| (how.drops, how.markers) = (10, markers));
        wire.run_for(SOON);
    }
    assert_eq!(sent(&wire, since), []);
    wire.misbehave_at((0, 0), |_| {});
    wire.run_for(SOON);
    assert_eq!(sent(&wire, since).len(), 1);
}

/// Also of what is held back, nothing is lost when the same is ordered again and again.
#[test]
fn what_is_said_again_loses_nothing() {
    let mut wire = running();
    for _ in 0..10 {
        let since = wire.tapped.len();
        wire.misbehave_at((0, 0), |how| how.delay = 2 * SECOND);
        wire.run_for(SECOND);
        wire.misbehave_at((0, 0), |how| {
            (how.delay, how.markers) = (2 * SECOND, Markers::Ignored);
        });
        wire.run_for(2 * SECOND);
        assert!(sent(&wire, since).len() >= 2);
    }
    assert_eq!(partner(&wire), [MuxState::Distributing; 2]);
}

#[test]
fn what_a_right_partner_bears() {
    let harmless: [fn(&mut super::super::Misbehaviour); 5] = [
        |how| how.drops = 50,
        |how| how.copies = 5,
        |how| how.delay = Duration::from_millis(900),
        |how| how.reorders = true,
        |how| how.markers = Markers::Ignored,
    ];
    for change in harmless {
        let mut wire = running();
        let mut how = super::super::Misbehaviour::default();
        change(&mut how);
        assert!(how.is_harmless());
        wire.misbehave(0, change);
        wire.run_for(30 * SECOND);
        assert_eq!(partner(&wire), [MuxState::Distributing; 2], "{how:?}");
        assert!(wire.carriers(1).is_empty(), "{how:?}");
    }
}

/// Gaps of 3 s and more: a partner with the short timeout leaves.
#[test]
fn what_a_right_partner_does_not_bear() {
    let harmful: [fn(&mut super::super::Misbehaviour); 4] = [
        |how| how.drops = 67,
        |how| how.drops = 80,
        |how| how.delay = 5 * SECOND,
        |how| how.delay = 10 * SECOND,
    ];
    for change in harmful {
        let mut wire = running();
        let mut how = super::super::Misbehaviour::default();
        change(&mut how);
        assert!(!how.is_harmless(), "{how:?}");
        wire.misbehave(0, change);
        // 67 % leave a gap of 4 s once in 100 s.
        wire.run_for(200 * SECOND);
        let left = wire.carriers(1).iter().any(|(_, up)| !up);
        assert!(left, "{how:?}: {:?}", partner(&wire));
    }
}

#[test]
fn lacpdus_are_dropped_copied_and_reordered_as_told() {
    let count = |change: fn(&mut super::super::Misbehaviour)| {
        let mut wire = running();
        wire.misbehave_at((0, 0), change);
        wire.run_for(2 * SECOND);
        let before = wire.tapped.len();
        wire.run_for(20 * SECOND);
        sent(&wire, before).len()
    };
    assert_eq!(count(|_| {}), 20);
    assert_eq!(count(|how| how.drops = 50), 10);
    assert_eq!(count(|how| how.copies = 2), 60);
    assert_eq!(count(|how| how.reorders = true), 20);
    assert_eq!(count(|how| how.drops = 100), 0);
}

#[test]
fn a_marker_is_asked_and_answered_in_time_late_or_never() {
    let answered = |wire: &mut Wire, within| {
        wire.observations.clear();
        wire.admin(1, Admin::AskMarker { port: Some(0) });
        wire.run_for(within);
        wire.observations
            .iter()
            .find_map(|event| match event.output {
                Output::MarkerAnswered { port: 0, answer } => Some(answer.after),
                _ => None,
            })
    };
    let mut wire = running();
    assert_eq!(answered(&mut wire, SOON), Some(Duration::from_micros(200)));
    let late = Duration::from_millis(700);
    wire.misbehave(0, |how| how.markers = Markers::Late(late));
    let after = answered(&mut wire, SECOND);
    assert_eq!(after, Some(late + Duration::from_micros(200)));
    wire.misbehave(0, |how| how.markers = Markers::Ignored);
    assert_eq!(answered(&mut wire, 10 * SECOND), None);
}

/// An answer that comes when the next marker was sent is none the less one.
#[test]
fn markers_that_are_answered_late_are_all_answered() {
    let mut wire = running();
    let late = 3 * SECOND;
    wire.misbehave(0, |how| how.markers = Markers::Late(late));
    wire.observations.clear();
    for _ in 0..2 {
        wire.admin(1, Admin::AskMarker { port: Some(0) });
        wire.run_for(SECOND);
    }
    wire.run_for(late);
    let of = |event: &Event| match event.output {
        Output::MarkerAnswered { answer, .. } => Some((answer.after, answer.earlier)),
        _ => None,
    };
    let answered: Vec<_> = wire.observations.iter().filter_map(of).collect();
    let after = late + Duration::from_micros(200);
    assert_eq!(answered, [(after, true), (after, false)]);
}

#[test]
fn a_marker_is_known_by_a_number_of_its_own_and_not_sent_in_silence() {
    let asked = |wire: &mut Wire| {
        let before = wire.tapped.len();
        wire.observations.clear();
        wire.admin(1, Admin::AskMarker { port: Some(0) });
        wire.run_for(SOON);
        let sent = wire.tapped[before..]
            .iter()
            .find_map(|frame| match pdu::decode(frame) {
                Ok(Pdu::Marker(marker)) => Some(marker.transaction),
                _ => None,
            });
        sent.ok_or_else(|| {
            let why = wire
                .observations
                .iter()
                .find_map(|event| match event.output {
                    Output::NoMarker { port: 0, why } => Some(why),
                    _ => None,
                });
            why.expect("it is told why")
        })
    };
    let mut wire = running();
    let first = asked(&mut wire).unwrap();
    let second = asked(&mut wire).unwrap();
    assert_ne!(first, second, "although the first was answered");
    wire.misbehave(1, |how| how.silent = true);
    assert_eq!(asked(&mut wire), Err(NoMarker::Silent));
    wire.misbehave(1, |_| {});
    wire.light_at((1, 0), false);
    assert_eq!(asked(&mut wire), Err(NoMarker::Dark));
}

#[test]
fn the_partner_is_observed() {
    let mut wire = running();
    wire.run_for(10 * SECOND);
    let rhythm = wire.lags[0].rhythm(0).unwrap();
    assert_eq!((rhythm.median, rhythm.early, rhythm.late), (SECOND, 0, 0));
    let heard = wire.lags[0].heard(1).unwrap();
    assert!(heard.means_us);
    assert_eq!((heard.actor.key, heard.actor.port), (1, 2));

    wire.admin(0, Admin::Fast(false));
    wire.run_for(95 * SECOND);
    let rhythm = wire.lags[0].rhythm(0).unwrap();
    assert_eq!((rhythm.median, rhythm.late), (30 * SECOND, 0));

    wire.misbehave(1, |how| how.silent = true);
    wire.run_for(100 * SECOND);
    assert_eq!(wire.lags[0].heard(0), None);
}

#[test]
fn a_slower_rate_gives_nobody_up_whenever_it_is_asked_for() {
    for millis in [0, 1, 400, 999] {
        let mut wire = running();
        wire.run_for(Duration::from_millis(millis));
        wire.admin(0, Admin::Active(false));
        wire.run_for(5 * SECOND);
        wire.admin(0, Admin::Active(true));
        wire.run_for(SECOND);
        wire.admin(0, Admin::Fast(false));
        wire.run_for(62 * SECOND);
        let moved = |event: &Event| matches!(event.output, Output::Mux { .. });
        assert!(!wire.events.iter().any(moved), "{millis}");
        let rhythm = wire.lags[0].rhythm(0).unwrap();
        assert_eq!((rhythm.median, rhythm.late), (30 * SECOND, 0), "{millis}");
    }
}
