//! The timers of a session (RFC 4271, section 10), and what it does when it failed or the path is back.

use std::time::Duration;

use rand::RngExt;

use super::run::Cause;
use super::{Direction, Given, RESTS, Run, Session};
use crate::bgp::fsm::{Event, State};
use crate::time::At;

/// A connection attempt or unanswered OPEN of this age is tried anew when the path is back.
const STALE: Duration = Duration::from_millis(200);

impl Session {
    /// When [`super::Input::Deadline`] is due next.
    pub fn deadline(&self) -> Option<At> {
        let machines = self.outgoing.timers().chain(self.incoming.timers());
        let own = self.own_timers().into_iter().flatten();
        machines.chain(own).map(|(_, at)| at).min()
    }

    /// Whether a timer is due that a message of the neighbour would have stopped.
    pub fn is_overdue(&self, now: At) -> bool {
        let machines = [&self.outgoing, &self.incoming];
        let mut waits = machines.into_iter().flat_map(|m| [m.hold, m.delay_open]);
        waits.any(|timer| timer.is_some_and(|at| at <= now))
    }

    /// All timers that run. A time that is over for the state a machine is in has ended with the state before.
    pub(super) fn timers(&self) -> Vec<(&'static str, At)> {
        let machines = self.outgoing.timers().chain(self.incoming.timers());
        let own = self.own_timers().into_iter().flatten();
        own.chain(machines).collect()
    }

    fn own_timers(&self) -> [Option<(&'static str, At)>; 3] {
        let rest = match self.run {
            Run::Resting(until) | Run::Held(until) => Some(("IdleHoldTimer", until)),
            Run::Stopped | Run::Blocked | Run::Running => None,
        };
        [
            rest,
            self.patience.map(|at| ("collision", at)),
            self.restart_over.map(|at| ("restart", at)),
        ]
    }

    /// Fires every timer that is due.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        let due = |timer: &mut Option<At>| timer.take_if(|at| *at <= now).is_some();
        match self.run {
            Run::Resting(until) if until <= now => self.go("tries again", Cause::Rested),
            Run::Held(until) if until <= now => self.unhold(),
            _ => {}
        }
        if self.restart_over.is_some_and(|at| at <= now) {
            self.void_restart("the peer is not back within its restart time");
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
                    let given = Given::why("connect retry timer");
                    self.apply(side, Event::ConnectRetryTimerExpires, given);
                }
            }
            if self.machine(side).delay_open.is_some_and(|at| at <= now) {
                let given = Given::why("delay open timer expired");
                self.apply(side, Event::DelayOpenTimerExpires, given);
            }
            if due(&mut self.machine_mut(side).hold) {
                let given = Given::why("hold timer expired");
                self.apply(side, Event::HoldTimerExpires, given);
            }
            if due(&mut self.machine_mut(side).bfd_hold) {
                let given = Given::why("BFD did not come up in time");
                self.apply(side, Event::BfdHoldTimerExpires, given);
            }
            if due(&mut self.machine_mut(side).send_hold) {
                let given = Given::why("send hold timer expired");
                self.apply(side, Event::SendHoldTimerExpires, given);
            }
            if due(&mut self.machine_mut(side).keepalive) {
                let given = Given::why("keepalive timer");
                self.apply(side, Event::KeepaliveTimerExpires, given);
            }
        }
    }

    /// After every input: rests after a failure, listens again, and lets parked connections go on.
    pub(super) fn settle(&mut self) {
        let fell = std::mem::take(&mut self.fell);
        self.unpark(false);
        if !self.outgoing.parked && !self.incoming.parked {
            self.patience = None;
        }
        if self.run != Run::Running {
            return;
        }
        if self.is_connected() {
            // The other end may think better of its own connection.
            if self.established().is_none() {
                self.listen();
            }
            return;
        }
        if fell {
            self.both(Event::Rest, RESTS);
            for (side, event) in [
                (Direction::Outgoing, Event::AutomaticStartDamped),
                (Direction::Incoming, Event::AutomaticStartDampedPassive),
            ] {
                self.apply(side, event, Given::why(RESTS));
            }
            return;
        }
        self.listen();
        if self.outgoing.state == State::Idle && !self.config.passive {
            let given = Given::why("tries again");
            self.apply(Direction::Outgoing, Event::IdleHoldTimerExpires, given);
        }
    }

    /// The path is back: what was tried while it was not is tried anew now.
    pub(super) fn hurry(&mut self, why: &'static str) {
        let stale = self.now.since(self.outgoing.since) >= STALE;
        match self.outgoing.state {
            State::Active => {}
            State::Connect if stale && !self.outgoing.is_connected() => {}
            State::OpenSent if stale => {
                self.apply(
                    Direction::Outgoing,
                    Event::TcpConnectionFails,
                    Given::why(why),
                );
            }
            State::Idle
            | State::Connect
            | State::OpenSent
            | State::OpenConfirm
            | State::Established => return,
        }
        if !self.incoming.is_connected() {
            let given = Given::why(why);
            self.apply(Direction::Outgoing, Event::ConnectRetryTimerExpires, given);
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

    /// The IdleHoldTime: it grows with the failures in a row, if oscillations are to be damped.
    pub(super) fn rest_time(&mut self) -> Duration {
        let growth = if self.config.options.damp_peer_oscillations || self.refused {
            1 << self.failures.min(4)
        } else {
            1
        };
        self.failures = self.failures.saturating_add(1);
        self.jittered(self.config.timers.idle_hold * growth)
    }

    /// Section 10: 75 to 100 % of the time.
    pub(super) fn jittered(&mut self, time: Duration) -> Duration {
        time.mul_f64(self.rng.random_range(0.75..=1.0))
    }
}
