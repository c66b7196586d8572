//! The whole table, as text.

use std::fmt::Write;

use super::*;

/// One line per event, one cell per state in the order of the heading: next state, then what is done before.
const TABLE: &str = "
Idle, Connect, Active, OpenSent, OpenConfirm, Established
Start: Connect (Connect), Connect, Active, OpenSent, OpenConfirm, Established
StartDelayed: Active, Connect, Active, OpenSent, OpenConfirm, Established
StartPassive: Active, Connect, Active, OpenSent, OpenConfirm, Established
Stop: Idle, Idle, Idle, Idle (NotifyGiven), Idle (NotifyGiven), Idle (NotifyGiven)
RetryExpired: Idle, Connect (Abandon Connect), Connect (Connect), Idle (5/1), Idle (5/2), Idle (5/3)
HoldExpired: Idle, Idle, Idle, Idle (4/0), Idle (4/0), Idle (4/0)
KeepaliveExpired: Idle, Idle, Idle, Idle (5/1), OpenConfirm (SendKeepalive), Established (SendKeepalive)
SendHoldExpired: Idle, Idle, Idle, Idle (8/0), Idle (8/0), Idle (8/0)
ConnectionMade: Idle (Refuse), OpenSent (Adopt SendOpen), OpenSent (Adopt SendOpen), OpenSent (Adopt SendOpen), OpenConfirm (Refuse), Established (Refuse)
ConnectionLost: Idle, Active, Active, Active, Idle, Idle
Open: Idle, Idle, Idle, OpenConfirm (AcceptOpen SendKeepalive), Idle (5/2), Idle (5/3)
OpenHeld: Idle, Idle, Idle, OpenConfirm (AcceptOpen), Idle (5/2), Idle (5/3)
Released: Idle, Connect, Active, OpenSent, OpenConfirm (SendKeepalive), Established
ReleasedConfirmed: Idle, Connect, Active, OpenSent, Established (SendKeepalive), Established
Keepalive: Idle, Idle, Idle, Idle (5/1), Established (RestartHold), Established (RestartHold)
KeepaliveHeld: Idle, Idle, Idle, Idle (5/1), OpenConfirm (RestartHold NoteKeepalive), Established (RestartHold)
Update: Idle, Idle, Idle, Idle (5/1), Idle (5/2), Established (RestartHold Deliver)
RouteRefresh: Idle, Idle, Idle, Idle (5/1), Idle (5/2), Established (RestartHold Refresh)
Notification: Idle, Idle, Idle, Idle, Idle, Idle
MessageError: Idle, Idle, Idle, Idle (NotifyGiven), Idle (NotifyGiven), Idle (NotifyGiven)
Collision: Idle, Idle, Idle, Idle (6/7), Idle (6/7), Idle (6/7)
BfdDown: Idle, Connect, Active, OpenSent, Idle (6/10), Idle (6/10)
InterfaceDown: Idle, Idle, Idle, Idle, Idle, Idle
Crash: Idle, Idle, Idle, Idle, Idle, Idle
";

fn short(action: Action) -> String {
    match action {
        Action::Notify(code, subcode) => format!("{code}/{subcode}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_whole_table() {
    let mut text = String::from("\nIdle, Connect, Active, OpenSent, OpenConfirm, Established\n");
    for event in Event::ALL {
        let cells: Vec<String> = State::ALL
            .into_iter()
            .map(|state| {
                let step = step(state, event);
                let actions: Vec<String> = step.actions.iter().map(|&a| short(a)).collect();
                if actions.is_empty() {
                    step.next.to_string()
                } else {
                    format!("{} ({})", step.next, actions.join(" "))
                }
            })
            .collect();
        writeln!(text, "{event:?}: {}", cells.join(", ")).expect("a String takes everything");
    }
    assert_eq!(text, TABLE, "\n{text}");
}

#[test]
fn every_event_is_in_the_list() {
    for (index, event) in Event::ALL.into_iter().enumerate() {
        assert_eq!(event as usize, index);
    }
}

/// Section 8.2.2: only what carries an OPEN exchange goes forward, and never over a state.
#[test]
fn no_state_is_skipped_on_the_way_up() {
    for state in State::ALL {
        for event in Event::ALL {
            let next = step(state, event).next;
            match next {
                State::OpenConfirm if state != next => assert_eq!(state, State::OpenSent),
                State::Established if state != next => assert_eq!(state, State::OpenConfirm),
                _ => {}
            }
        }
    }
}

/// A NOTIFICATION needs a connection, and it is the last thing said on it.
#[test]
fn a_notification_is_sent_only_on_a_connection_and_ends_it() {
    for state in State::ALL {
        for event in Event::ALL {
            let step = step(state, event);
            let notifies = |a: &Action| matches!(a, Action::Notify(..) | Action::NotifyGiven);
            if step.actions.iter().any(notifies) {
                assert!(state.is_connected(), "{state} {event:?}");
                assert_eq!(step.next, State::Idle, "{state} {event:?}");
            }
        }
    }
}
