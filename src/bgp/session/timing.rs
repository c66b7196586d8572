//! The timers of a session (RFC 4271, section 10), and what it does when it failed or the path is back.

use std::time::Duration;

use rand::RngExt;

use super::{Direction, Given, Run, Session};
use crate::bgp::fsm::{Event, State};
use crate::time::At;

/// A connection attempt or unanswered OPEN of this age is tried anew when the path is back.
const STALE: Duration = Duration::from_millis(200);

impl Session {
    /// When [`super::Input::Deadline`] is due next.
    pub fn deadline(&self) -> Option<At> {
        let rest = match self.run {
            Run::Resting(until) => Some(until),
            Run::Stopped | Run::Blocked | Run::Running => None,
        };
        [
            rest,
            self.patience,
            self.outgoing.deadline(),
            self.incoming.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Fires every timer that is due.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        let due = |timer: &mut Option<At>| timer.take_if(|at| *at <= now).is_some();
        if matches!(self.run, Run::Resting(until) if until <= now) {
            self.go("tries again", false);
        }
        if due(&mut self.patience) {
            self.unpark(true);
        }
        for side in Direction::BOTH {
            if due(&mut self.machine_mut(side).retry) {
                if self.machine(side.other()).state == State::OpenConfirm {
                    // The neighbour's connection is on its way, or waits for BFD: no need for another one.
                    let later = self.retry_at();
                    self.machine_mut(side).retry = Some(later);
                } else {
                    self.apply(side, Event::RetryExpired, Given::why("connect retry timer"));
                }
            }
            if due(&mut self.machine_mut(side).hold) {
                self.apply(side, Event::HoldExpired, Given::why("hold timer expired"));
            }
            if due(&mut self.machine_mut(side).send_hold) {
                let given = Given::why("send hold timer expired");
                self.apply(side, Event::SendHoldExpired, given);
            }
            if due(&mut self.machine_mut(side).keepalive) {
                self.apply(side, Event::KeepaliveExpired, Given::why("keepalive timer"));
            }
        }
    }

    /// After every input: rests after a failure, listens again, and lets parked connections go on.
    pub(super) fn settle(&mut self) {
        let fell = std::mem::take(&mut self.fell);
        self.unpark(false);
        if self.machine(Direction::Outgoing).parked || self.machine(Direction::Incoming).parked {
            // The patience timer stays.
        } else {
            self.patience = None;
        }
        if self.run != Run::Running || self.state().is_connected() {
            if self.run == Run::Running
                && self.established().is_none()
                && self.incoming.state == State::Idle
            {
                self.apply(
                    Direction::Incoming,
                    Event::StartPassive,
                    Given::why("listens"),
                );
            }
            return;
        }
        if fell {
            let rest = self.rest_time();
            self.run = Run::Resting(self.now + rest);
            // Neither machine is connected: this only makes them idle.
            self.both(Event::Collision, "rests after a failure");
            self.fell = false;
            return;
        }
        if self.incoming.state == State::Idle {
            self.apply(
                Direction::Incoming,
                Event::StartPassive,
                Given::why("listens"),
            );
        }
        if self.outgoing.state == State::Idle && !self.config.passive {
            self.apply(Direction::Outgoing, Event::Start, Given::why("tries again"));
        }
    }

    /// The path is back: what was tried while it was not is tried anew now.
    pub(super) fn hurry(&mut self, why: &'static str) {
        let stale = self.now.since(self.outgoing.since) >= STALE;
        match self.outgoing.state {
            State::Active => {}
            State::Connect if stale => {}
            State::OpenSent if stale => {
                self.apply(Direction::Outgoing, Event::ConnectionLost, Given::why(why));
            }
            State::Idle
            | State::Connect
            | State::OpenSent
            | State::OpenConfirm
            | State::Established => return,
        }
        if !self.incoming.state.is_connected() {
            self.apply(Direction::Outgoing, Event::RetryExpired, Given::why(why));
        }
    }

    pub(super) fn retry_at(&mut self) -> At {
        self.now + self.jittered(self.config.timers.connect_retry)
    }

    pub(super) fn keepalive_at(&mut self, side: Direction) -> Option<At> {
        let hold = self.machine(side).negotiated.as_ref()?.hold?;
        let interval = self.config.timers.keepalive.min(hold / 3);
        Some(self.now + self.jittered(interval))
    }

    fn rest_time(&mut self) -> Duration {
        let rest = self.config.timers.idle_hold * (1 << self.failures.min(4));
        self.failures = self.failures.saturating_add(1);
        self.jittered(rest)
    }

    /// Section 10: 75 to 100 % of the time.
    pub(super) fn jittered(&mut self, time: Duration) -> Duration {
        time.mul_f64(self.rng.random_range(0.75..=1.0))
    }
}
