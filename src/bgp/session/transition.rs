//! What an event does to a machine: it is looked up in the table, what is to be done is done, and the next state entered.

use super::{
    Conn, Direction, Given, Graceful, Output, RESTS, ROOM, Refusals, Run, SETTLED, Session, State,
};
use crate::bgp::fsm::{self, Action, Event};
use crate::bgp::message;
use crate::bgp::notification::Notification;

impl Session {
    pub(super) fn both(&mut self, event: Event, why: &'static str) {
        for side in Direction::BOTH {
            self.apply(side, event, Given::why(why));
        }
    }

    /// One event for one machine: looks it up, does what is to be done, enters the next state.
    pub(super) fn apply(&mut self, side: Direction, event: Event, mut given: Given) {
        let before = self.machine(side).state;
        let step = fsm::step(before, event);
        let graceful = self.outlives(side, event, &given);
        for &action in step.actions {
            self.act(side, action, event, &mut given, graceful);
        }
        if step.next != before {
            self.enter(side, step.next, event, &given.why, graceful);
        }
    }

    fn act(
        &mut self,
        side: Direction,
        action: Action,
        event: Event,
        given: &mut Given,
        graceful: Option<Graceful>,
    ) {
        let now = self.now;
        match action {
            Action::ZeroRetries => self.counters.connect_retry = 0,
            Action::CountRetry => {
                self.counters.connect_retry = self.counters.connect_retry.saturating_add(1);
                self.fell = true;
            }
            Action::IdleHold => {
                if self.run == Run::Running {
                    self.run = Run::Resting(now + self.rest_time());
                }
            }
            Action::Abandon => self.drop_connection(side, false),
            Action::Connect => {
                self.serial = self.serial.wrapping_add(1);
                let conn = Conn {
                    direction: side,
                    serial: self.serial,
                };
                let retry = self.retry_at();
                let machine = self.machine_mut(side);
                machine.adopt(conn);
                machine.since = now;
                machine.retry = Some(retry);
                self.counters.attempts += 1;
                self.outputs.push_back(Output::Connect { conn });
            }
            Action::Adopt => {
                if let Some(conn) = given.conn {
                    let replaced = self.machine(side).conn.is_some_and(|old| old != conn);
                    if replaced {
                        self.drop_connection(side, false);
                        self.tell_refused("has a newer connection".to_owned());
                    }
                    let machine = self.machine_mut(side);
                    machine.adopt(conn);
                    machine.since = now;
                }
            }
            Action::DelayOpen => {
                let delay = self.config.options.delay_open.unwrap_or_default();
                self.machine_mut(side).delay_open = Some(now + delay);
            }
            Action::Refuse => {
                if let Some(conn) = given.conn {
                    self.refuse_connection(conn);
                }
            }
            Action::SendOpen => self.send_open(side),
            Action::AcceptOpen => {
                if let Some(open) = given.open.take() {
                    self.accept_open(side, open);
                }
            }
            Action::SendKeepalive => {
                let next = self.keepalive_at(side);
                let machine = self.machine_mut(side);
                // With so much waiting, UPDATEs will keep the session alive.
                if machine.waiting() < ROOM {
                    message::write_keepalive(&mut machine.out);
                }
                machine.keepalive = next;
            }
            Action::NoteKeepalive => self.machine_mut(side).confirmed = true,
            Action::RestartHold => self.machine_mut(side).restart_hold(now),
            Action::Deliver => {
                self.outputs.extend(given.update.take().map(Output::Update));
            }
            Action::Refresh => self.outputs.extend(given.refresh.take()),
            Action::NotifyGiven => {
                if let Some(notification) = given.notification.take() {
                    self.notify(side, notification, graceful);
                }
            }
            Action::Notify(code, subcode) => {
                self.notify(side, Notification::new(code, subcode), graceful);
            }
            Action::Unexpected(subcode) => {
                let notification = Notification {
                    data: event.message_type().into_iter().collect(),
                    ..Notification::new(5, subcode)
                };
                given.why = format!("sent {notification}").into();
                self.notify(side, notification, graceful);
            }
        }
    }

    /// Sends a NOTIFICATION, if there is anybody who could hear it.
    fn notify(&mut self, side: Direction, notification: Notification, graceful: Option<Graceful>) {
        if !self.machine(side).is_connected() {
            return;
        }
        let notification = self.made_hard(side, notification, graceful);
        message::write_notification(&mut self.machine_mut(side).out, &notification);
        self.notification_sent = Some((self.now, notification));
    }

    /// The only place where a machine's state changes. Whatever the new state has no use for ends here.
    fn enter(
        &mut self,
        side: Direction,
        next: State,
        event: Event,
        why: &str,
        graceful: Option<Graceful>,
    ) {
        let before = std::mem::replace(&mut self.machine_mut(side).state, next);
        match next {
            State::Idle | State::Active => {
                self.drop_connection(side, event == Event::Crash);
                let retry =
                    (next == State::Active && side == Direction::Outgoing).then(|| match event {
                        Event::StartDelayed => {
                            self.now + self.jittered(self.config.timers.connect_delay)
                        }
                        _ => self.retry_at(),
                    });
                self.machine_mut(side).rest(retry);
            }
            State::Connect | State::OpenSent | State::OpenConfirm => {}
            State::Established => {
                let now = self.now;
                self.machine_mut(side).establish(now);
                // Before the other machine ends, which is not why.
                self.report(why);
                let other = side.other();
                self.apply(other, Event::CollisionDump, Given::why("collision"));
                self.counters.established += 1;
                self.restarting = None;
                self.refused = false;
                self.restart_over = None;
                let negotiated = self.machine(side).negotiated.clone();
                self.outputs.extend(negotiated.map(Output::Established));
            }
        }
        if before == State::Established {
            let lasted = self.now.since(self.machine(side).since);
            if lasted >= SETTLED {
                self.failures = 0;
            }
            self.counters.lost += 1;
            self.lost_at = Some(self.now);
            self.restart_over = graceful.map(|kept| self.now + kept.time);
            self.outputs.push_back(Output::Down {
                why: why.to_owned(),
                graceful,
            });
        }
        self.report(why);
    }

    /// Reports the session's state if it is another one.
    fn report(&mut self, why: &str) {
        let to = self.state();
        let from = std::mem::replace(&mut self.reported, to);
        if from != to {
            self.reported_at = self.now;
            self.refusals = Refusals::default();
            // Who looks wants to know of the failure, and sees the rest anyway.
            if why != RESTS {
                why.clone_into(&mut self.why);
            }
            self.outputs.push_back(Output::StateChanged {
                from,
                to,
                why: why.to_owned(),
            });
        }
    }

    /// Hands over what is still to be written and closes a machine's connection, if it has one.
    fn drop_connection(&mut self, side: Direction, abort: bool) {
        let machine = self.machine_mut(side);
        let Some(conn) = machine.conn.take() else {
            return;
        };
        let bytes = machine.out.split().freeze();
        if !bytes.is_empty() && !abort {
            self.counters.sent.count(&bytes);
            self.outputs.push_back(Output::Write { conn, bytes });
        }
        self.outputs.push_back(Output::Close { conn, abort });
    }
}
