//! Packets that leave: when, with what in them, and what is wrong with them on purpose.

use std::num::NonZeroU8;

use rand::RngExt;

use super::{Output, SINGLE_HOP, Session};
use crate::bfd::misbehaviour::{Misbehaviour, Outgoing, Said, Wrong};
use crate::bfd::packet::Packet;

impl Session {
    /// Begins a transmit interval: reduced by 0 to 25 %, and to at most 90 % when one lost packet is
    /// enough to detect a failure (section 6.8.7).
    pub(super) fn begin_period(&mut self) {
        self.period_from = self.now;
        let longest = if self.configured.detect_multiplier == NonZeroU8::MIN {
            900_000
        } else {
            1_000_000
        };
        self.jitter = self.rng.random_range(750_000..=longest);
    }

    /// Makes a packet; `None` if it leaves later or never.
    pub(super) fn send(&mut self, final_: bool) -> Option<Output> {
        self.counters.sent += 1;
        let poll = !final_ && self.poll_sequence.send(self.now);
        let packet = Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll,
            final_,
            control_plane_independent: self.control_plane_independent,
            demand: self.misbehaviour.demand && self.both_up(),
            detect_multiplier: self.configured.detect_multiplier,
            my_discriminator: self.my_discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.desired_min_tx,
            required_min_rx: self.required_min_rx,
            required_min_echo_rx: self.required_min_echo_rx,
            authentication: None,
        };
        let mut packet = packet.encode();
        let how = self.misbehaviour;
        if let Some(wrong) = how.wrong {
            wrong.spoil_signed(&mut packet);
        }
        if let Some(authenticator) = &mut self.authenticator {
            authenticator.sign(&mut packet, how.wrong == Some(Wrong::Sequence));
        }
        if let Some(wrong) = how.wrong {
            wrong.spoil(&mut packet, self.authenticator.is_some());
        }
        packet.ttl = how.ttl.unwrap_or(SINGLE_HOP);
        let said = Said {
            desired_min_tx: self.desired_min_tx,
            detect_multiplier: self.configured.detect_multiplier,
        };
        let said = how.is_heard().then_some(said);
        let packet = (self.outbox).put(self.now, Outgoing { packet, said }, &how)?;
        Some(self.leaves(packet))
    }

    /// A packet leaves now, late or not.
    pub(super) fn leaves(&mut self, outgoing: Outgoing) -> Output {
        if let Some(said) = outgoing.said {
            self.last_good_sent = Some((self.now, said));
        }
        Output::Send(outgoing.packet)
    }

    pub(super) fn misbehave(&mut self, how: Misbehaviour) {
        self.misbehaviour = how;
        if how.silent {
            self.outbox.clear();
        }
        // Who is good again says so, as after a break of the path.
        self.send_due |= how == Misbehaviour::default();
    }
}
