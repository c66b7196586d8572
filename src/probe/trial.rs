//! Which way each of many flows goes: one packet of each, and what the taps see of it.

use std::time::Duration;

use tokio::sync::oneshot;

use super::Stream;
use super::account::Via;
use super::packet::Packet;
use super::thread_loop::{Tap, name_of};
use crate::time::At;

/// How long the packets are waited for.
const LONGEST: Duration = Duration::from_millis(100);

/// A way: a connection or `internet`, and the member.
pub(super) type Way = (String, Option<u8>);
/// The stream, and the way of each of its flows that was seen.
type Answer = (Stream, Vec<Option<Way>>);

/// Flows that are tried.
#[derive(Debug)]
pub(super) struct Trial {
    id: u32,
    stream: Stream,
    seen: Vec<Option<Via>>,
    give_up: At,
    reply: oneshot::Sender<Answer>,
}

impl Trial {
    pub(super) fn new(id: u32, stream: Stream, reply: oneshot::Sender<Answer>) -> Trial {
        Trial {
            id,
            seen: vec![None; stream.senders.len()],
            stream,
            give_up: At::ZERO,
            reply,
        }
    }

    /// Sends the packets.
    pub(super) fn begin(&mut self, now: At) {
        self.give_up = now + LONGEST;
        for (flow, sender) in self.stream.senders.iter().enumerate() {
            let packet = Packet {
                stream: self.id,
                flow: flow as u16,
                sequence: 0,
                number: flow as u64,
                sent: now,
            };
            // What cannot be sent is not seen.
            let _ = sender.send_to(&packet.encode(), self.stream.destination);
        }
    }

    /// A tap saw a packet; of several taps the last one counts.
    pub(super) fn see(&mut self, packet: &Packet, via: Via) {
        if packet.stream == self.id
            && let Some(seen) = self.seen.get_mut(usize::from(packet.flow))
        {
            *seen = Some(via);
        }
    }

    pub(super) fn is_over(&self, now: At) -> bool {
        now >= self.give_up || self.seen.iter().all(Option::is_some)
    }

    pub(super) fn answer(self, taps: &[Tap]) {
        let way = |via: Option<Via>| Some(name_of(taps, via?));
        let ways = self.seen.into_iter().map(way).collect();
        // It no longer matters to somebody who went away.
        let _ = self.reply.send((self.stream, ways));
    }
}
