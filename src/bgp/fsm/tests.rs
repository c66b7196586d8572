//! The table against RFC 4271, section 8.2.2, as stated here by state and event number, and our own rows as text.
//!
//! The statement follows the RFC's text paragraph by paragraph, and not our table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::*;

mod departures;

/// What the RFC says: events, then the next state and what is seen of it: `OPEN`, `KEEPALIVE` and NOTIFICATIONs sent
/// (`given` where the event brings it), `connect` for an attempt, `delay` for the DelayOpenTimer, `hold` where the hold
/// timer is restarted, `UPDATE` where one is worked in, `=0` and `+1` for the ConnectRetryCounter. A number with `d` is
/// the event where DelayOpen is set. Events 6, 7 and 13 in Idle are left to the implementation. Events 18 and 24 in
/// Connect, and 24 in Active, depend on the DelayOpenTimer: 18 is stated as it is without, 24 as it is with it. The
/// subcodes of state machine errors are those of RFC 6608: 0 for what is no message. Event 29 is RFC 9687's in
/// Established, and any other event elsewhere.
const RFC: &str = "
Idle
1 3: Connect connect =0
4 5: Active =0
2 8 9 10 11 12 14 15 16 16d 17 17d 18 19 20 21 22 23 24 25 26 27 28 29: Idle
6 7: Idle
13: Connect connect

Connect
1 3 4 5 6 7 14 15: Connect
2: Idle =0
9: Connect connect
12: OpenSent OPEN
16 17: OpenSent OPEN
16d 17d: Connect delay
18: Idle
20: OpenConfirm OPEN KEEPALIVE
21 22: Idle given +1
24: Idle
8 10 11 13 19 23 25 26 27 28 29: Idle +1

Active
1 3 4 5 6 7 14 15: Active
2: Idle given =0
9: Connect connect
12: OpenSent OPEN
16 17: OpenSent OPEN
16d 17d: Active delay
18: Idle +1
20: OpenConfirm OPEN KEEPALIVE
21 22: Idle given +1
24: Idle
8 10 11 13 19 23 25 26 27 28 29: Idle +1

OpenSent
1 3 4 5 6 7 14 15 16 16d 17 17d: OpenSent
2: Idle given =0
8: Idle given +1
10: Idle 4/0 +1
18: Active
19: OpenConfirm KEEPALIVE
21 22: Idle given +1
23: Idle 6/7 +1
24: Idle
9 11 12 13 29: Idle 5/0 +1
20 25 26 27 28: Idle 5/1 +1

OpenConfirm
1 3 4 5 6 7 14 15 16 16d 17 17d: OpenConfirm
2: Idle given =0
8: Idle given +1
10: Idle 4/0 +1
11: OpenConfirm KEEPALIVE
18 25: Idle +1
24: Idle
19: OpenConfirm
21 22: Idle given +1
23: Idle 6/7 +1
26: Established hold
9 12 13 29: Idle 5/0 +1
20 27 28: Idle 5/2 +1

Established
1 3 4 5 6 7 14 15 16 16d 17 17d: Established
2: Idle given =0
8: Idle given +1
10: Idle 4/0 +1
11: Established KEEPALIVE
18 24 25: Idle +1
19: Established
23: Idle 6/7 +1
26: Established hold
27: Established UPDATE hold
28: Idle given +1
9 12 13: Idle 5/0 +1
20 22: Idle 5/3 +1
21: Idle 5/0 +1
29: Idle 8/0 +1
";

/// Our own events and our guards; one cell per state in the order of [`State::ALL`].
const OURS: &str = "
IdleHoldTimerExpiresPassive: Active, Idle +1, Idle +1, Idle 5/0 +1, Idle 5/0 +1, Idle 5/0 +1
OpenHeld: Idle, Idle +1, Idle +1, OpenConfirm, Idle 5/2 +1, Idle 5/3 +1
OpenDelayedHeld: Idle, OpenConfirm OPEN, OpenConfirm OPEN, Idle 5/1 +1, Idle 5/2 +1, Idle 5/3 +1
KeepaliveHeld: Idle, Idle +1, Idle +1, Idle 5/1 +1, OpenConfirm hold, Established hold
StartDelayed: Active =0, Connect, Active, OpenSent, OpenConfirm, Established
Rest: Idle, Idle, Idle, OpenSent, OpenConfirm, Established
Released: Idle, Connect, Active, OpenSent, OpenConfirm KEEPALIVE, Established
ReleasedConfirmed: Idle, Connect, Active, OpenSent, Established KEEPALIVE, Established
BfdHoldTimerExpires: Idle, Connect, Active, OpenSent, Idle 6/10 +1, Established
RouteRefresh: Idle, Idle +1, Idle +1, Idle 5/1 +1, Idle 5/2 +1, Established refresh
RouteRefreshError: Idle, Idle +1, Idle +1, Idle 5/1 +1, Idle 5/2 +1, Idle given +1
BfdDown: Idle, Connect, Active, OpenSent, Idle 6/10 +1, Idle 6/10 +1
InterfaceDown: Idle, Idle, Idle, Idle, Idle, Idle
PeerRestarts: Idle, Idle, Idle, Idle, Idle, Active
Crash: Idle, Idle, Idle, Idle, Idle, Idle
";

/// A cell in the words above, always in the same order.
fn seen(step: Step) -> String {
    let mut words: Vec<(u8, String)> = Vec::new();
    for &action in step.actions {
        words.push(match action {
            Action::Connect => (0, "connect".to_owned()),
            Action::DelayOpen => (0, "delay".to_owned()),
            Action::SendOpen => (1, "OPEN".to_owned()),
            Action::SendKeepalive => (2, "KEEPALIVE".to_owned()),
            Action::Deliver => (3, "UPDATE".to_owned()),
            Action::Refresh => (3, "refresh".to_owned()),
            Action::RestartHold => (4, "hold".to_owned()),
            Action::NotifyGiven => (5, "given".to_owned()),
            Action::Notify(code, subcode) => (5, format!("{code}/{subcode}")),
            Action::Unexpected(subcode) => (5, format!("5/{subcode}")),
            Action::ZeroRetries => (6, "=0".to_owned()),
            Action::CountRetry => (6, "+1".to_owned()),
            Action::IdleHold
            | Action::Abandon
            | Action::Adopt
            | Action::Refuse
            | Action::AcceptOpen
            | Action::NoteKeepalive => continue,
        });
    }
    words.sort();
    let words = words.into_iter().map(|(_, word)| word);
    let all: Vec<String> = std::iter::once(step.next.to_string())
        .chain(words)
        .collect();
    all.join(" ")
}

/// [`RFC`] by state and event.
fn stated() -> BTreeMap<(String, String), String> {
    let mut stated = BTreeMap::new();
    for section in RFC.trim().split("\n\n") {
        let (state, rows) = section.split_once('\n').expect("a state and its rows");
        for row in rows.lines() {
            let (events, outcome) = row.split_once(": ").expect("events and outcome");
            for event in events.split(' ') {
                let before =
                    stated.insert((state.to_owned(), event.to_owned()), outcome.to_owned());
                assert_eq!(before, None, "{state} {event} is stated twice");
            }
        }
    }
    stated
}

/// The name of an event in [`RFC`]; `None` for ours and for those with a guard of ours.
fn name(event: Event) -> Option<String> {
    let number = event.number()?;
    match event {
        E::IdleHoldTimerExpiresPassive | E::OpenHeld | E::OpenDelayedHeld | E::KeepaliveHeld => {
            None
        }
        E::TcpRequestAckedDelayOpen | E::TcpConnectionConfirmedDelayOpen => {
            Some(format!("{number}d"))
        }
        _ => Some(number.to_string()),
    }
}

#[test]
fn the_statement_covers_every_state_and_all_29_events() {
    let stated = stated();
    for state in State::ALL {
        for number in 1..=29 {
            let key = (state.to_string(), number.to_string());
            assert!(stated.contains_key(&key), "{key:?}");
        }
    }
    let names: BTreeSet<String> = Event::ALL.iter().copied().filter_map(name).collect();
    assert_eq!(names.len(), 31, "29 events, 16 and 17 twice");
    assert_eq!(stated.len(), 31 * State::ALL.len());
}

#[test]
fn every_cell_is_as_the_rfc_says_or_different_on_purpose() {
    let stated = stated();
    let mut different = 0;
    for state in State::ALL {
        for &event in Event::ALL {
            let Some(name) = name(event) else { continue };
            let ours = seen(step(state, event));
            let theirs = &stated[&(state.to_string(), name.clone())];
            match departures::of(state, &name) {
                None => assert_eq!(ours, *theirs, "{state}, event {name}"),
                Some(listed) => {
                    assert_eq!(ours, listed, "{state}, event {name}");
                    assert_ne!(ours, *theirs, "{state}, event {name} is not different");
                    different += 1;
                }
            }
        }
    }
    let listed: usize = departures::DEPARTURES.iter().map(|d| d.cells.len()).sum();
    assert_eq!(different, listed, "all of the list was met");
}

#[test]
fn our_own_rows() {
    let mut text = String::from("\n");
    for event in Event::ALL
        .iter()
        .copied()
        .filter(|&event| name(event).is_none())
    {
        let cells = State::ALL.map(|state| seen(step(state, event)));
        writeln!(text, "{event:?}: {}", cells.join(", ")).expect("a String takes everything");
    }
    assert_eq!(text, OURS, "\n{text}");
}

#[test]
fn every_event_is_in_the_list() {
    for (index, &event) in Event::ALL.iter().enumerate() {
        assert_eq!(event as usize, index);
    }
}

/// Section 8.2.2: only what carries an OPEN exchange goes forward, and never over a state.
#[test]
fn no_state_is_skipped_on_the_way_up() {
    for state in State::ALL {
        for &event in Event::ALL {
            let next = step(state, event).next;
            let delayed = matches!(event, E::OpenDelayed | E::OpenDelayedHeld);
            match next {
                State::OpenConfirm if state != next && !delayed => {
                    assert_eq!(state, State::OpenSent)
                }
                State::Established if state != next => assert_eq!(state, State::OpenConfirm),
                _ => {}
            }
        }
    }
}

/// A NOTIFICATION is the last thing said on a connection, and the session's own words need one.
#[test]
fn a_notification_ends_the_connection() {
    for state in State::ALL {
        for &event in Event::ALL {
            let step = step(state, event);
            let own = |a: &Action| matches!(a, Action::Notify(..) | Action::Unexpected(_));
            let given = |a: &Action| matches!(a, Action::NotifyGiven);
            if step.actions.iter().any(own) {
                assert!(state.is_connected(), "{state} {event:?}");
            }
            if step.actions.iter().any(|a| own(a) || given(a)) {
                assert_eq!(step.next, State::Idle, "{state} {event:?}");
                let last = step.actions.iter().position(|a| own(a) || given(a));
                let says = [Action::SendOpen, Action::SendKeepalive];
                let after = &step.actions[last.expect("it is there") + 1..];
                assert!(!after.iter().any(|a| says.contains(a)), "{state} {event:?}");
            }
        }
    }
}

/// RFC 6608, section 4: the error names the type of the message nobody expected.
#[test]
fn an_unexpected_message_is_one() {
    for state in State::ALL {
        for &event in Event::ALL {
            for action in step(state, event).actions {
                match action {
                    Action::Unexpected(_) => assert!(event.message_type().is_some(), "{event:?}"),
                    Action::Notify(5, subcode) => {
                        assert_eq!((*subcode, event.message_type()), (0, None), "{event:?}");
                    }
                    _ => {}
                }
            }
        }
    }
}
