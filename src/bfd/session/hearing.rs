//! Packets that come: whether they are taken, and what is seen of the other end in them.

use std::time::Duration;

use super::{Heard, Output, Remote, Session};
use crate::bfd::misbehaviour::Misbehaviour;
use crate::bfd::packet::{Diagnostic, Invalid, Packet};
use crate::bfd::state::State;
use crate::time::At;

impl Session {
    /// The checks of section 6.8.6 and RFC 5881, section 5.
    pub(super) fn accept(&self, bytes: &[u8], ttl: u8, at: At) -> Result<Packet, Invalid> {
        if ttl < self.least_ttl {
            return Err(Invalid::Ttl);
        }
        let packet = Packet::decode(bytes).map_err(|reason| match reason {
            // What a section is like does not matter where there may be none.
            Invalid::AuthenticationType | Invalid::AuthenticationLength
                if self.authenticator.is_none() =>
            {
                Invalid::Authentication
            }
            reason => reason,
        })?;
        if packet
            .your_discriminator
            .is_some_and(|named| named != self.my_discriminator)
        {
            return Err(Invalid::YourDiscriminator);
        }
        match &self.authenticator {
            None if packet.authentication.is_some() => Err(Invalid::Authentication),
            None => Ok(packet),
            Some(authenticator) => {
                let forgotten = self.remote.last_received.zip(self.detection_time());
                let forgotten = forgotten.is_none_or(|(last, time)| last + time * 2 < at);
                authenticator.check(bytes, &packet, forgotten)?;
                Ok(packet)
            }
        }
    }

    /// The Detection Time of the remote by the last packet that it can have heard: what was not said yet does not count.
    fn remote_detects_after(&self) -> Duration {
        match self.last_good_sent {
            Some((_, said)) => {
                let interval = said.desired_min_tx.max(self.remote.min_rx);
                interval.duration() * u32::from(said.detect_multiplier.get())
            }
            None => self.remote_detection_time(),
        }
    }

    /// Tells what is new in a packet, and how the remote keeps time.
    pub(super) fn observe(&mut self, packet: &Packet, before: &Remote, at: At) {
        let mut heard = Heard::of(packet, self.remote_detects_after());
        let known = before.heard.filter(|_| before.discriminator.is_some());
        let both_up = self.state == State::Up && packet.state == State::Up;
        let intervals = |it: Heard| (it.timers.desired_min_tx, it.timers.required_min_rx);
        let both_stay_up = both_up && known.is_some_and(|known| known.state == State::Up);
        let earlier = before.before_final.or(known.map(intervals));
        let others = earlier.filter(|earlier| both_stay_up && *earlier != intervals(heard));
        // Whether it asks about those of a Final its next packet shows.
        self.remote.before_final = others.filter(|_| packet.final_);
        heard.unasked = others.is_some() && !packet.poll && !packet.final_;
        if heard.unasked || !known.is_some_and(|known| known.is_as(&heard)) {
            let lost = packet.diagnostic == Diagnostic::ControlDetectionTimeExpired
                && before.state == State::Up
                && packet.state == State::Down;
            // Only what we did ourselves is known to have cut the other end off: a fault on the way is seen elsewhere.
            let ours = self.misbehaviour != Misbehaviour::default() && self.state == State::Up;
            let since = self.last_good_sent.filter(|_| lost && ours);
            heard.detected_after = since.map(|(sent, _)| at.since(sent));
            self.remote.heard = Some(heard);
            self.news.push_back(Output::Heard(heard));
        }
        let changing = packet.poll || packet.final_ || !self.poll_sequence.is_idle();
        if !both_up || before.state != State::Up || changing || self.waiting.is_some() {
            self.observer.skip();
        } else {
            let interval = self.rx_in_force.max(packet.desired_min_tx).duration();
            let multiplier = packet.detect_multiplier.get();
            let told = self.observer.periodic(at, interval, multiplier);
            self.news.extend(told.map(Output::Rhythm));
        }
    }
}
