//! What our end does wrong when it is told to, so that it can be seen what the other end makes of it.
//!
//! A port keeps its machines: what it refuses to do it does not do, and says so; what else is wrong is wrong in frames that
//! leave.
//!
//! **Invariant:** without a misbehaviour a frame leaves as it was made, and at once.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::pdu::{Frame, Lacpdu, PortInfo};
use super::periodic::FAST_PERIODIC_TIME;
use super::port::SHORT_TIMEOUT_TIME;
use crate::time::At;

/// Frames held back at most; what comes beyond is lost.
const MOST_WAITING: usize = 1024;

/// What our end does wrong on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Misbehaviour {
    /// Nothing is sent, neither LACPDUs nor answers to markers.
    pub silent: bool,
    /// Who the port says it is.
    pub identity: Identity,
    /// What is another in every LACPDU.
    pub changing: Option<Part>,
    /// What the port refuses to do.
    pub refuses: Option<Refusal>,
    /// Every LACPDU names another port than the one that was heard as its partner.
    pub other_partner: bool,
    /// Of a hundred LACPDUs so many are never sent, evenly.
    pub drops: u8,
    /// Every LACPDU leaves so many times more.
    pub copies: u8,
    /// Every LACPDU leaves so much too late.
    pub delay: Duration,
    /// Every second LACPDU leaves after the one that follows it.
    pub reorders: bool,
    /// What becomes of the partner's markers.
    pub markers: Markers,
}

impl Misbehaviour {
    /// Sends nothing, and is else right; or is right altogether.
    pub fn silent(silent: bool) -> Misbehaviour {
        Misbehaviour {
            silent,
            ..Misbehaviour::default()
        }
    }

    /// Whether a right end can go on as if nothing were the matter: also one with the short timeout always hears in time.
    pub fn is_harmless(&self) -> bool {
        // Two of which one is dropped, or which leave together, leave 2 s; the first that is late comes after its delay more.
        let gap = match self.drops > 0 || self.reorders {
            true => 2 * FAST_PERIODIC_TIME,
            false => FAST_PERIODIC_TIME,
        };
        !self.silent
            && self.identity == Identity::default()
            && self.changing.is_none()
            && self.refuses.is_none()
            && !self.other_partner
            && self.drops <= 50
            && gap + self.delay < SHORT_TIMEOUT_TIME
    }

    /// Whether LACPDUs are the same, and leave in the same way.
    pub(super) fn says_as(&self, other: &Misbehaviour) -> bool {
        let markers = self.markers;
        *self == Misbehaviour { markers, ..*other }
    }

    /// Makes a LACPDU, the so manieth, wrong.
    pub(super) fn spoil(&self, pdu: &mut Lacpdu, count: u16) {
        match self.changing {
            Some(Part::System) => {
                let [.., high, low] = &mut pdu.actor.system;
                let changed = u16::from_be_bytes([*high, *low]).wrapping_add(count);
                [*high, *low] = changed.to_be_bytes();
            }
            Some(Part::Key) => pdu.actor.key = pdu.actor.key.wrapping_add(count),
            Some(Part::Port) => pdu.actor.port = pdu.actor.port.wrapping_add(count),
            None => {}
        }
        if self.other_partner {
            pdu.partner.port ^= 0x5a5a;
        }
    }
}

/// Who a port says it is; what is not given is as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity {
    /// Actor_System.
    pub system: Option<[u8; 6]>,
    /// Actor_Key.
    pub key: Option<u16>,
    /// Actor_Port.
    pub port: Option<u16>,
}

impl Identity {
    pub(super) fn of(self, own: PortInfo) -> PortInfo {
        PortInfo {
            system: self.system.unwrap_or(own.system),
            key: self.key.unwrap_or(own.key),
            port: self.port.unwrap_or(own.port),
            ..own
        }
    }
}

/// A part of what a port is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Actor_System.
    System,
    /// Actor_Key.
    Key,
    /// Actor_Port.
    Port,
}

/// What a port refuses to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// To be in sync: it is held in STANDBY, and neither collects nor distributes.
    Synchronization,
    /// To collect, and so to distribute.
    Collecting,
    /// To distribute.
    Distributing,
}

/// What becomes of markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Markers {
    /// They are answered at once, as they must be (6.5.4).
    #[default]
    Answered,
    /// They are answered so much later.
    Late(Duration),
    /// They are not answered.
    Ignored,
}

/// Frames on their way out of a port.
#[derive(Debug, Clone, Default)]
pub(super) struct Outbox {
    ready: VecDeque<Frame>,
    waiting: BTreeMap<(At, u64), Frame>,
    /// A LACPDU that leaves after the next one.
    overtaken: Option<Frame>,
    count: u64,
    /// Percent of a LACPDU that is yet to be dropped.
    owed: u16,
}

impl Outbox {
    /// Takes a LACPDU; says how many will leave for it.
    pub fn put(&mut self, now: At, frame: Frame, how: &Misbehaviour) -> u64 {
        self.owed += u16::from(how.drops);
        if self.owed >= 100 {
            self.owed -= 100;
            return 0;
        }
        if how.silent {
            return 0;
        }
        let copies = 1 + u64::from(how.copies);
        for _ in 0..copies {
            self.leave(now, how.delay, frame);
        }
        copies
    }

    /// Takes a LACPDU that may be overtaken by the next.
    pub fn put_reordered(&mut self, now: At, frame: Frame, how: &Misbehaviour) -> u64 {
        match self.overtaken.take() {
            None => {
                self.overtaken = Some(frame);
                0
            }
            Some(before) => self.put(now, frame, how) + self.put(now, before, how),
        }
    }

    /// Takes the answer to a marker; says whether it will leave.
    pub fn answer(&mut self, now: At, frame: Frame, how: &Misbehaviour) -> bool {
        let late = match how.markers {
            Markers::Answered => Duration::ZERO,
            Markers::Late(late) => late,
            Markers::Ignored => return false,
        };
        if !how.silent {
            self.leave(now, late, frame);
        }
        !how.silent
    }

    fn leave(&mut self, now: At, late: Duration, frame: Frame) {
        if late.is_zero() {
            self.ready.push_back(frame);
        } else if self.waiting.len() < MOST_WAITING {
            self.count += 1;
            self.waiting.insert((now + late, self.count), frame);
        }
    }

    /// The next frame whose time has come.
    pub fn take(&mut self, now: At) -> Option<Frame> {
        if let Some(frame) = self.ready.pop_front() {
            return Some(frame);
        }
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When a frame is next to be taken.
    pub fn deadline(&self) -> Option<At> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    /// What was held back is never sent.
    pub fn clear(&mut self) {
        self.ready.clear();
        self.waiting.clear();
        self.overtaken = None;
    }
}
