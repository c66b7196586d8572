//! OPEN messages: collisions (RFC 4271, section 6.8), and the KEEPALIVE that answers an OPEN or is withheld.
//!
//! A collision is decided as soon as the neighbour's identifier is known. The connection of the higher identifier
//! wins; the loser withholds its KEEPALIVE while the winner is still on its way, so that no end believes it
//! established while the other end closes it.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::{Bfd, Direction, Given, Session};
use crate::bgp::fsm::{Event, State};
use crate::bgp::message::{self, Open};

/// One end disabled BFD.
pub(super) const BFD_DISABLED: &str = "BFD administratively down";
/// How long a connection that a collision may close waits for the other one before it goes on.
const COLLISION_PATIENCE: Duration = Duration::from_millis(250);

impl Session {
    pub(super) fn send_open(&mut self, side: Direction) {
        let open = Open {
            asn: self.config.asn,
            hold_time: u16::try_from(self.config.timers.hold.as_secs()).unwrap_or(u16::MAX),
            id: self.config.id,
            capabilities: self.announced(),
        };
        let open_hold = self.now + self.config.timers.open_hold;
        let machine = self.machine_mut(side);
        message::write_open(&mut machine.out, &open);
        machine.delay_open = None;
        machine.hold = Some(open_hold);
    }

    /// The neighbour's OPEN: refused, the loser of a collision, or accepted now or with our KEEPALIVE withheld.
    pub(super) fn open(&mut self, side: Direction, open: Open) {
        let machine = self.machine(side);
        let delayed = machine.delay_open.is_some();
        if machine.state == State::OpenSent || delayed {
            if let Err(refusal) = self.examine(&open) {
                return self.refuse(side, refusal.notification, Some(refusal.detail));
            }
            if !self.resolve_collision(side, open.id) {
                return;
            }
            let both_strict = self.config.capabilities.bfd_strict && open.capabilities.bfd_strict;
            let lost = self.config.use_bfd && self.bfd_lost;
            self.machine_mut(side).bfd_gate = self.config.bfd_strict || both_strict || lost;
        }
        let event = match (delayed, self.withholds(side)) {
            (false, false) => Event::Open,
            (false, true) => Event::OpenHeld,
            (true, false) => Event::OpenDelayed,
            (true, true) => Event::OpenDelayedHeld,
        };
        let given = Given {
            open: Some(open),
            ..Given::why("OPEN received")
        };
        self.apply(side, event, given);
    }

    /// Whether there is a reason not to send our KEEPALIVE.
    fn withholds(&self, side: Direction) -> bool {
        let machine = self.machine(side);
        machine.parked || (machine.bfd_gate && self.bfd == Bfd::Down)
    }

    /// Decides between this connection, whose OPEN is here, and the other one. False when this one was closed.
    fn resolve_collision(&mut self, side: Direction, peer_id: Ipv4Addr) -> bool {
        // RFC 6286, section 2.3: equal identifiers are told apart by the AS number.
        let ours = (self.config.id, self.config.asn);
        let winner = if ours > (peer_id, self.config.peer_asn) {
            Direction::Outgoing
        } else {
            Direction::Incoming
        };
        let other = side.other();
        match self.machine(other).state {
            // An established one is here only with CollisionDetectEstablishedState.
            State::Connect | State::OpenSent | State::OpenConfirm | State::Established
                if winner == side =>
            {
                self.apply(other, Event::CollisionDump, Given::why("collision"));
                true
            }
            State::OpenConfirm | State::Established => {
                self.apply(side, Event::CollisionDump, Given::why("collision"));
                false
            }
            State::Connect | State::OpenSent => {
                self.machine_mut(side).parked = true;
                self.patience = Some(self.now + COLLISION_PATIENCE);
                true
            }
            State::Idle | State::Active => true,
        }
    }

    /// Takes over what the neighbour's OPEN proposes (sections 4.2 and 8.2.2).
    pub(super) fn accept_open(&mut self, side: Direction, open: Open) {
        let negotiated = self.negotiate(open);
        let now = self.now;
        let bfd_hold = now + self.config.options.bfd_hold;
        let held = self.withholds(side);
        let send_hold_time = self.config.timers.send_hold(negotiated.hold);
        let machine = self.machine_mut(side);
        machine.send_hold_time = send_hold_time;
        // With a hold time, that is how long BFD may take.
        let timeless = machine.bfd_gate && held && negotiated.hold.is_none();
        machine.bfd_hold = timeless.then_some(bfd_hold);
        machine.held = held;
        machine.negotiated = Some(negotiated);
        machine.hold = None;
        machine.restart_hold(now);
    }

    /// Sends a withheld KEEPALIVE if nothing withholds it any more.
    pub(super) fn release(&mut self, side: Direction) {
        if !self.machine(side).held || self.withholds(side) {
            return;
        }
        let bfd = self.bfd;
        let machine = self.machine_mut(side);
        machine.held = false;
        machine.bfd_hold = None;
        let event = if machine.confirmed {
            Event::ReleasedConfirmed
        } else {
            Event::Released
        };
        let why = match (machine.bfd_gate, bfd) {
            (true, Bfd::Up) => "BFD up",
            (true, Bfd::AdminDown) => BFD_DISABLED,
            (true, Bfd::Down) | (false, _) => "collision over",
        };
        self.apply(side, event, Given::why(why));
    }

    /// Lets a parked connection go on when the one it waited for is out of the way.
    pub(super) fn unpark(&mut self, out_of_patience: bool) {
        for side in Direction::BOTH {
            let other = self.machine(side.other()).state;
            let on_its_way = matches!(other, State::Connect | State::OpenSent);
            if self.machine(side).parked && (out_of_patience || !on_its_way) {
                self.machine_mut(side).parked = false;
                self.release(side);
            }
        }
    }
}
