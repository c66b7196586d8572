//! What is told of a session, or of a member of a LAG: at once, unless its partner makes it change faster than can be of use.
//!
//! The protocols follow each packet; records and routers hear of some tens of changes of each kind at once and of ten a second
//! from then on, always of the latest. What was left out is counted, and the number told before what comes after it.
//!
//! **Invariant:** pure; what waits to be told is one thing of each kind, however much a partner sends.

use std::time::Duration;

use super::LineEvent;
use super::thread::Surroundings;
use crate::bfd::State;
use crate::record::{Fact, NotTold};
use crate::time::{Allowance, At};

/// Of each kind so many are told at once: more than any failure or repair brings about.
const AT_ONCE: u32 = 32;
/// One more may be told after so long.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is told, each kind for itself: what comes later takes the place of what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The state of a BFD session.
    State,
    /// Whether an end disabled it.
    Disabled,
    /// What its remote says.
    Heard,
    /// How it keeps time.
    Rhythm,
    /// That it answered.
    Answered,
    /// Why its packets are discarded.
    Discarded,
    /// What a member does.
    Member,
    /// Whether a LAG has carrier.
    Carrier,
}

impl Kind {
    /// What was left out of it, in words.
    fn words(self) -> &'static str {
        match self {
            Kind::State => "changes of state",
            Kind::Disabled => "times an end disabled or enabled it",
            Kind::Heard => "changes of what the partner says",
            Kind::Rhythm => "measurements of the partner's rhythm",
            Kind::Answered => "answers to Polls",
            Kind::Discarded => "reasons to discard packets",
            Kind::Member => "changes of the member",
            Kind::Carrier => "changes of carrier",
        }
    }
}

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tidings {
    pub kind: Kind,
    pub at: At,
    pub fact: Option<Fact>,
    pub event: Option<LineEvent>,
}

impl Tidings {
    /// Only a fact.
    pub fn new(kind: Kind, at: At, fact: Fact) -> Tidings {
        Tidings {
            kind,
            at,
            fact: Some(fact),
            event: None,
        }
    }

    /// It takes the place of what was `before` it, and still says what would be lost with that: that a session was left that
    /// was up, and what is told of one packet only.
    fn after(mut self, before: &Tidings) -> Tidings {
        if let (Some(LineEvent::Bfd { change, .. }), Some(LineEvent::Bfd { change: before, .. })) =
            (&mut self.event, &before.event)
        {
            change.from = before.from;
            if before.from == State::Up && before.to != State::Up {
                change.remote_state = before.remote_state;
                change.control_plane_independent = before.control_plane_independent;
            }
        }
        if let (Some(Fact::BfdHeard { heard, .. }), Some(Fact::BfdHeard { heard: before, .. })) =
            (&mut self.fact, &before.fact)
        {
            heard.unasked |= before.unasked;
            heard.detected_after = heard.detected_after.or(before.detected_after);
        }
        self
    }

    /// Tells it.
    pub fn tell(self, around: &Surroundings) {
        if let Some(fact) = self.fact {
            around.recorder.at(self.at, fact);
        }
        if let Some(event) = self.event {
            around.tell(event);
        }
    }
}

/// What there is to tell of a session or a member.
#[derive(Debug, Default)]
pub(super) struct Telling {
    kinds: Vec<Held>,
}

/// Of one kind.
#[derive(Debug)]
struct Held {
    kind: Kind,
    allowance: Allowance,
    waiting: Option<Tidings>,
    left_out: u32,
}

impl Telling {
    /// Takes what is to be told, in place of what of its kind was not told yet.
    pub fn put(&mut self, tidings: Tidings) {
        let kind = tidings.kind;
        let known = self.kinds.iter().position(|held| held.kind == kind);
        let place = known.unwrap_or_else(|| {
            self.kinds.push(Held {
                kind,
                allowance: Allowance::new(AT_ONCE, INTERVAL),
                waiting: None,
                left_out: 0,
            });
            self.kinds.len() - 1
        });
        let held = &mut self.kinds[place];
        held.waiting = Some(match held.waiting.take() {
            Some(before) => {
                held.left_out = held.left_out.saturating_add(1);
                tidings.after(&before)
            }
            None => tidings,
        });
    }

    /// What may be told now, and how many of its kind were left out before it.
    pub fn take(&mut self, now: At) -> Option<(Tidings, u32)> {
        let waits = |held: &Held| held.waiting.is_some();
        let is_free = |held: &Held| waits(held) && held.allowance.free_at() <= now;
        let mut place = self.kinds.iter().position(is_free)?;
        // That an end disabled a session is known before that it is down: it is no failure (RFC 5882, section 4.2).
        if self.kinds[place].kind == Kind::State {
            let is_first = |held: &Held| held.kind == Kind::Disabled && waits(held);
            place = self.kinds.iter().position(is_first).unwrap_or(place);
        }
        let free = &mut self.kinds[place];
        free.allowance.note(now);
        Some((free.waiting.take()?, std::mem::take(&mut free.left_out)))
    }

    /// When there is more to tell.
    pub fn deadline(&self) -> Option<At> {
        let waiting = self.kinds.iter().filter(|held| held.waiting.is_some());
        waiting.map(|held| held.allowance.free_at()).min()
    }

    /// Tells all that may be told now, of what `name` gives router and session.
    pub fn tell(&mut self, name: impl Fn() -> (String, String), around: &Surroundings) {
        let now = around.clock.now();
        while let Some((tidings, left_out)) = self.take(now) {
            tell(tidings, left_out, &name, around);
        }
    }

    /// Tells all there is: nothing more will come.
    pub fn finish(&mut self, name: impl Fn() -> (String, String), around: &Surroundings) {
        for held in &mut self.kinds {
            if let Some(tidings) = held.waiting.take() {
                tell(tidings, std::mem::take(&mut held.left_out), &name, around);
            }
        }
    }
}

fn tell(
    tidings: Tidings,
    left_out: u32,
    name: impl Fn() -> (String, String),
    around: &Surroundings,
) {
    if left_out > 0 {
        let (router, session) = name();
        around.recorder.now(Fact::NotTold(NotTold {
            router,
            session,
            what: tidings.kind.words().to_owned(),
            count: left_out,
        }));
    }
    tidings.tell(around);
}

#[cfg(test)]
mod tests;
