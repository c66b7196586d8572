//! Whether a session may try: started, stopped, blocked by its link or BFD, resting; connections that come and go.

use std::time::Duration;

use bytes::BytesMut;

use super::open::BFD_DISABLED;
use super::{Bfd, Conn, Direction, Given, Output, Refusals, Run, SETTLED, Session};
use crate::bgp::family::Families;
use crate::bgp::fsm::{Event, State};
use crate::bgp::message;
use crate::bgp::notification::Notification;

/// Why both machines start.
#[derive(Clone, Copy)]
pub(super) enum Cause {
    ByHand,
    /// What blocked the session is gone.
    Unblocked,
    /// The rest is over.
    Rested,
}

impl Session {
    fn may_run(&self) -> bool {
        self.interface_up && (self.bfd != Bfd::Down || !self.config.wait_for_bfd)
    }

    fn uses_bfd(&self) -> bool {
        let config = &self.config;
        config.use_bfd || config.bfd_strict || config.capabilities.bfd_strict
    }

    pub(super) fn start(&mut self) {
        if !matches!(self.run, Run::Stopped | Run::Held(_)) {
            return;
        }
        self.failures = 0;
        self.omitted.forget();
        self.begin_restart();
        if self.may_run() {
            self.go("started", Cause::ByHand);
        } else {
            self.run = Run::Blocked;
        }
    }

    /// Starts both machines.
    pub(super) fn go(&mut self, why: &'static str, cause: Cause) {
        self.run = Run::Running;
        let (active, passive) = match cause {
            Cause::ByHand if !self.config.timers.connect_delay.is_zero() => {
                (Event::StartDelayed, Event::ManualStartPassive)
            }
            Cause::ByHand => (Event::ManualStart, Event::ManualStartPassive),
            Cause::Unblocked => (Event::AutomaticStart, Event::AutomaticStartPassive),
            Cause::Rested => (
                Event::IdleHoldTimerExpires,
                Event::IdleHoldTimerExpiresPassive,
            ),
        };
        if !self.config.passive {
            self.apply(Direction::Outgoing, active, Given::why(why));
        }
        self.apply(Direction::Incoming, passive, Given::why(why));
    }

    pub(super) fn stop(&mut self, reason: &str) {
        self.run = Run::Stopped;
        self.end(Event::ManualStop, &Notification::shutdown(reason));
        self.void_restart("stopped");
    }

    pub(super) fn automatic_stop(
        &mut self,
        notification: &Notification,
        restart_after: Option<Duration>,
    ) {
        if self.run != Run::Stopped {
            self.run = restart_after.map_or(Run::Stopped, |rest| Run::Held(self.now + rest));
        }
        self.end(Event::AutomaticStop, notification);
        if restart_after.is_none() {
            self.void_restart("stopped");
        }
    }

    fn end(&mut self, event: Event, notification: &Notification) {
        for side in Direction::BOTH {
            self.apply(side, event, Given::to_send(notification.clone()));
        }
    }

    pub(super) fn crash(&mut self) {
        self.run = Run::Stopped;
        self.both(Event::Crash, "crash");
        self.restarted(Families::NONE);
        self.void_restart("crash");
    }

    /// Ends what is under way, and waits for the path.
    pub(super) fn block(&mut self, why: &'static str) {
        self.failures = 0;
        if !matches!(self.run, Run::Stopped | Run::Held(_)) {
            self.run = Run::Blocked;
        }
        self.both(Event::InterfaceDown, why);
    }

    pub(super) fn unblock(&mut self, why: &'static str) {
        match self.run {
            Run::Blocked if self.may_run() => self.go(why, Cause::Unblocked),
            Run::Resting(_) => self.go(why, Cause::Unblocked),
            Run::Running => self.hurry(why),
            Run::Blocked | Run::Held(_) | Run::Stopped => {}
        }
    }

    /// The time of [`super::Input::AutomaticStop`] is over.
    pub(super) fn unhold(&mut self) {
        if self.may_run() {
            self.go("tries again", Cause::Rested);
        } else {
            self.run = Run::Blocked;
        }
    }

    pub(super) fn bfd_up(&mut self) {
        self.bfd = Bfd::Up;
        self.bfd_lets_go("BFD up");
    }

    /// RFC 5882, sections 4.1 and 4.2: says nothing of the path, so that nothing waits for BFD, and nothing ends for it.
    pub(super) fn bfd_admin_down(&mut self) {
        self.bfd = Bfd::AdminDown;
        self.bfd_lets_go(BFD_DISABLED);
    }

    fn bfd_lets_go(&mut self, why: &'static str) {
        self.bfd_lost = false;
        if self.uses_bfd() {
            for side in Direction::BOTH {
                self.release(side);
            }
            self.unblock(why);
        }
    }

    pub(super) fn bfd_down(&mut self, control_plane_independent: bool) {
        // Only a BFD session that was up says something about the path; on its way up it passes through Init.
        let before = std::mem::replace(&mut self.bfd, Bfd::Down);
        if before != Bfd::Up || !self.uses_bfd() {
            return;
        }
        self.failures = 0;
        self.bfd_lost = true;
        if control_plane_independent {
            // What the neighbour kept forwarding is lost, too (RFC 5882, section 4.3.2).
            self.void_restart("BFD down");
        }
        for side in Direction::BOTH {
            // A machine that withholds its KEEPALIVE waits for BFD anyway.
            let machine = self.machine(side);
            if !(machine.held && machine.bfd_gate) {
                let given = Given {
                    fate_shared: !control_plane_independent,
                    ..Given::why("BFD down")
                };
                self.apply(side, Event::BfdDown, given);
            }
        }
        if self.config.wait_for_bfd && self.run != Run::Stopped {
            self.block("BFD down");
        }
    }

    pub(super) fn connected(&mut self, conn: Conn) {
        match conn.direction {
            // It must be the attempt under way.
            Direction::Outgoing
                if self.outgoing.conn != Some(conn) || self.outgoing.state != State::Connect =>
            {
                self.outputs.push_back(Output::Close { conn, abort: false });
                return;
            }
            Direction::Outgoing => {}
            Direction::Incoming => {
                self.counters.accepted += 1;
                self.make_way();
            }
        }
        let delayed = self.config.options.delay_open.is_some();
        let event = match (conn.direction, delayed) {
            (Direction::Outgoing, false) => Event::TcpRequestAcked,
            (Direction::Outgoing, true) => Event::TcpRequestAckedDelayOpen,
            (Direction::Incoming, false) => Event::TcpConnectionConfirmed,
            (Direction::Incoming, true) => Event::TcpConnectionConfirmedDelayOpen,
        };
        let given = Given {
            conn: Some(conn),
            ..Given::why(match conn.direction {
                Direction::Outgoing => "connected",
                Direction::Incoming => "connected by the peer",
            })
        };
        self.apply(conn.direction, event, given);
    }

    /// The neighbour connects while the session is established. If it can restart gracefully, it did, and the
    /// established connection is void (RFC 4724, section 5); but soon after a connection of ours was established, another one
    /// is the rest of a collision. With CollisionDetectEstablishedState, the new one is tracked until its OPEN.
    fn make_way(&mut self) {
        let Some(side) = self.established() else {
            return;
        };
        let machine = self.machine(side);
        let restarts = machine
            .negotiated
            .as_ref()
            .is_some_and(|n| n.graceful.is_some());
        // Nobody has two attempts of its own at a time.
        let settled = side == Direction::Incoming || self.now.since(machine.since) >= SETTLED;
        if restarts && settled {
            let why = "the peer connected anew: it restarted";
            self.apply(side, Event::PeerRestarts, Given::why(why));
            self.listen();
        } else if self.config.options.collision_detect_established && side == Direction::Outgoing {
            self.listen();
        }
    }

    pub(super) fn listen(&mut self) {
        if self.incoming.state == State::Idle {
            self.apply(
                Direction::Incoming,
                Event::IdleHoldTimerExpiresPassive,
                Given::why("listens"),
            );
        }
    }

    /// Closes a connection that no machine takes, with the reason if the neighbour has to know it. Who rests or waits for the path
    /// says nothing: told of a rejection the neighbour might rest, too (RFC 4486, section 4), and each call while the other does.
    pub(super) fn refuse_connection(&mut self, conn: Conn) {
        let subcode = match self.run {
            Run::Running => Some(7),
            Run::Stopped | Run::Held(_) => Some(5), // RFC 4486: connection rejected
            Run::Blocked | Run::Resting(_) => None,
        };
        if let Some(subcode) = subcode {
            let notification = Notification::new(6, subcode);
            let mut out = BytesMut::new();
            message::write_notification(&mut out, &notification);
            self.counters.sent.count(&out);
            let bytes = out.freeze();
            self.outputs.push_back(Output::Write { conn, bytes });
        }
        self.outputs.push_back(Output::Close { conn, abort: false });
        let why = match self.run {
            Run::Running => "has another connection".to_owned(),
            Run::Held(_) => "was ended, and rests".to_owned(),
            Run::Stopped | Run::Blocked | Run::Resting(_) => self.activity().to_string(),
        };
        self.tell_refused(why);
    }

    /// A connection of the neighbour's was closed for no fault of its own.
    pub(super) fn tell_refused(&mut self, why: String) {
        self.counters.refused += 1;
        let refusals = &mut self.refusals;
        if refusals.why != why {
            *refusals = Refusals {
                why,
                ..Refusals::default()
            };
        }
        refusals.count += 1;
        if refusals.count >= 2 * refusals.told {
            refusals.told = refusals.count;
            self.outputs.push_back(Output::Refused {
                why: refusals.why.clone(),
                count: refusals.count,
            });
        }
    }

    pub(super) fn lost(&mut self, conn: Conn, why: String) {
        let machine = self.machine_mut(conn.direction);
        if machine.conn == Some(conn) {
            machine.conn = None;
            self.apply(conn.direction, Event::TcpConnectionFails, Given::why(why));
        }
    }
}
