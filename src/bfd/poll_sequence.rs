//! The Poll Sequence (RFC 5880, section 6.5): how one end learns that the other knows its new timers.
//!
//! **Invariant:** one change of timers is asked about at a time, and a Final is taken for the answer to that one only.

use std::time::Duration;

use crate::time::At;

/// Where the asking stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum PollSequence {
    /// Nothing is asked.
    #[default]
    Idle,
    /// Packets carry Poll until a Final comes. When the first and the last of them were sent:
    Running { polled: Option<(At, At)> },
    /// A Final came. Others may follow, which must not be taken for answers to the next sequence
    /// (section 6.8.3, choices 2 and 3): it waits for a packet without Final, and until a round trip,
    /// which took no longer than from the first Poll to the Final, has passed since the last Poll.
    Settling { until: At },
}

/// What a packet brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The remote knows: the sequence is terminated, so long after its first packet.
    Terminated { after: Duration },
    /// Another sequence may begin.
    Settled,
}

impl PollSequence {
    /// Begins to ask. When the sequence runs already, it asks about the new values as well, which is good
    /// enough for changes that take effect at once; others wait until it is idle.
    pub fn begin(&mut self) {
        if !self.is_running() {
            *self = PollSequence::Running { polled: None };
        }
    }

    pub fn is_idle(self) -> bool {
        self == PollSequence::Idle
    }

    pub fn is_running(self) -> bool {
        matches!(self, PollSequence::Running { .. })
    }

    /// A packet that is no answer goes out; whether it carries Poll.
    pub fn send(&mut self, now: At) -> bool {
        let PollSequence::Running { polled } = self else {
            return false;
        };
        let first = polled.map_or(now, |(first, _)| first);
        *polled = Some((first, now));
        true
    }

    /// A packet came, with Final or without.
    pub fn hear(&mut self, final_: bool, at: At) -> Option<Progress> {
        match (*self, final_) {
            (
                PollSequence::Running {
                    polled: Some((first, last)),
                },
                true,
            ) => {
                let until = last + at.since(first);
                *self = PollSequence::Settling { until };
                let after = at.since(first);
                Some(Progress::Terminated { after })
            }
            (PollSequence::Settling { until }, false) if until <= at => {
                *self = PollSequence::Idle;
                Some(Progress::Settled)
            }
            // A Final that nothing asked for, or nothing new.
            (PollSequence::Running { polled: None }, true)
            | (PollSequence::Running { .. } | PollSequence::Settling { .. }, false)
            | (PollSequence::Settling { .. }, true)
            | (PollSequence::Idle, true | false) => None,
        }
    }
}
