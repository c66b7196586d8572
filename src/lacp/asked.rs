//! Markers of ours, and the other end's answers to them (IEEE 802.1AX, 6.5).
//!
//! **Invariant:** a marker counts as answered once, by an answer with all that it said; so many at most are waited for.

use std::collections::VecDeque;
use std::time::Duration;

use super::pdu::{Marker, PortInfo};
use crate::time::At;

/// Markers waited for at most; of more the oldest counts as unanswered.
const MOST: usize = 64;

/// The markers of a port.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Those not answered yet, the oldest first, and when they were sent.
    waiting: VecDeque<(Marker, At)>,
    /// That of the last one.
    transaction: u32,
    answered: Option<MarkerAnswer>,
}

/// The other end answered a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkerAnswer {
    /// After so long.
    pub after: Duration,
    /// It is not the last that was sent, but one before.
    pub earlier: bool,
}

impl Asked {
    /// The next marker of an end.
    pub fn next(&mut self, actor: &PortInfo) -> Marker {
        // An answer to an earlier one must not pass for one to this.
        self.transaction = self.transaction.wrapping_add(1);
        Marker {
            requester_port: actor.port,
            requester_system: actor.system,
            transaction: self.transaction,
        }
    }

    /// It leaves.
    pub fn sent(&mut self, now: At, marker: Marker) {
        if self.waiting.len() == MOST {
            self.waiting.pop_front();
        }
        self.waiting.push_back((marker, now));
    }

    /// An answer came.
    pub fn heard(&mut self, at: At, marker: &Marker) {
        let known = (self.waiting.iter()).position(|(waiting, _)| waiting == marker);
        if let Some((marker, sent)) = known.and_then(|known| self.waiting.remove(known)) {
            self.answered = Some(MarkerAnswer {
                after: at.since(sent),
                earlier: marker.transaction != self.transaction,
            });
        }
    }

    /// The last answer, once.
    pub fn answered(&mut self) -> Option<MarkerAnswer> {
        self.answered.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_marker_is_answered_once_in_whatever_order() {
        let mut asked = Asked::default();
        let at = At::from_millis;
        let send = |asked: &mut Asked, now| {
            let marker = asked.next(&PortInfo::default());
            asked.sent(now, marker);
            marker
        };
        let (first, second) = (send(&mut asked, at(0)), send(&mut asked, at(1000)));
        let after = |asked: &mut Asked, now, marker| {
            asked.heard(now, marker);
            let answer = asked.answered();
            answer.map(|answer| (answer.after.as_millis(), answer.earlier))
        };
        let stranger = Marker {
            requester_port: 9,
            ..first
        };
        assert_eq!(after(&mut asked, at(2000), &stranger), None);
        assert_eq!(after(&mut asked, at(3000), &first), Some((3000, true)));
        assert_eq!(after(&mut asked, at(3001), &first), None, "once");
        assert_eq!(after(&mut asked, at(4000), &second), Some((3000, false)));

        // Of very many the oldest are forgotten.
        let many: Vec<Marker> = (0..=MOST).map(|_| send(&mut asked, at(5000))).collect();
        assert_eq!(after(&mut asked, at(5001), &many[0]), None);
        assert_eq!(after(&mut asked, at(5001), &many[1]), Some((1, true)));
        assert_eq!(asked.waiting.len(), MOST - 1);
    }
}
