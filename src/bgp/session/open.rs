//! OPEN messages: what we propose, what we refuse (RFC 4271, section 6.2), and collisions (section 6.8).
//!
//! A collision is decided as soon as the neighbour's identifier is known. The connection of the higher identifier
//! wins; the loser withholds its KEEPALIVE while the winner is still on its way, so that no end believes it
//! established while the other end closes it.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;

use super::{COLLISION_PATIENCE, Direction, Given, Negotiated, Session};
use crate::bgp::fsm::{Event, State};
use crate::bgp::message::{self, Open};
use crate::bgp::notification::Notification;

impl Session {
    pub(super) fn send_open(&mut self, side: Direction) {
        let open = Open {
            asn: self.config.asn,
            hold_time: u16::try_from(self.config.timers.hold.as_secs()).unwrap_or(u16::MAX),
            id: self.config.id,
            capabilities: self.config.capabilities.clone(),
        };
        message::write_open(&mut self.machine_mut(side).out, &open);
    }

    /// The neighbour's OPEN: refused, the loser of a collision, or accepted now or with our KEEPALIVE withheld.
    pub(super) fn open(&mut self, side: Direction, open: Open) {
        if self.machine(side).state == State::OpenSent {
            if let Err(notification) = self.examine(&open) {
                return self.refuse(side, notification);
            }
            if !self.resolve_collision(side, open.id) {
                return;
            }
        }
        let machine = self.machine(side);
        let held = machine.parked || self.waits_for_bfd();
        let event = if held { Event::OpenHeld } else { Event::Open };
        let given = Given {
            open: Some(open),
            ..Given::why("OPEN received")
        };
        self.apply(side, event, given);
    }

    fn waits_for_bfd(&self) -> bool {
        self.config.bfd_strict && !self.bfd_up
    }

    /// Section 6.2, and RFC 6286 for the identifier.
    fn examine(&self, open: &Open) -> Result<(), Notification> {
        if open.asn != self.config.peer_asn {
            return Err(Notification::new(2, 2));
        }
        let internal = self.config.peer_asn == self.config.asn;
        if open.id == Ipv4Addr::UNSPECIFIED || (internal && open.id == self.config.id) {
            return Err(Notification::new(2, 3));
        }
        if matches!(open.hold_time, 1 | 2) {
            return Err(Notification::new(2, 6));
        }
        let ours = self.config.capabilities.families;
        if ours.and(open.capabilities.families).is_empty() {
            // RFC 5492, section 5: the data is the capability that is missed.
            return Err(Notification {
                data: Bytes::from_static(&[1, 4, 0, 1, 0, 1]),
                ..Notification::new(2, 7)
            });
        }
        Ok(())
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
            State::Connect | State::OpenSent | State::OpenConfirm if winner == side => {
                self.apply(other, Event::Collision, Given::why("collision"));
                true
            }
            State::OpenConfirm => {
                self.apply(side, Event::Collision, Given::why("collision"));
                false
            }
            State::Connect | State::OpenSent => {
                self.machine_mut(side).parked = true;
                self.patience = Some(self.now + COLLISION_PATIENCE);
                true
            }
            State::Idle | State::Active | State::Established => true,
        }
    }

    /// Takes over what the neighbour's OPEN proposes (sections 4.2 and 8.2.2).
    pub(super) fn accept_open(&mut self, side: Direction, open: &Open) {
        let hold = self.config.timers.hold.as_secs().min(open.hold_time.into());
        let negotiated = Negotiated {
            peer_asn: open.asn,
            peer_id: open.id,
            hold: (hold > 0).then(|| Duration::from_secs(hold)),
            dialect: self
                .config
                .capabilities
                .dialect(&open.capabilities, self.config.peer_asn == self.config.asn),
            capabilities: open.capabilities.clone(),
        };
        let now = self.now;
        let waits_for_bfd = self.waits_for_bfd();
        let machine = self.machine_mut(side);
        machine.held = machine.parked || waits_for_bfd;
        machine.negotiated = Some(negotiated);
        machine.hold = None;
        machine.restart_hold(now);
    }

    /// Sends a withheld KEEPALIVE if nothing withholds it any more.
    pub(super) fn release(&mut self, side: Direction) {
        if self.machine(side).parked || self.waits_for_bfd() || !self.machine(side).held {
            return;
        }
        let machine = self.machine_mut(side);
        machine.held = false;
        let event = if machine.confirmed {
            Event::ReleasedConfirmed
        } else {
            Event::Released
        };
        let why = if self.config.bfd_strict {
            "BFD up"
        } else {
            "collision over"
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
