//! What our end does wrong when it is told to, so that it can be seen what the other end makes of it.
//!
//! The session itself goes on as ever: only what leaves it is spoiled, held back or kept.
//!
//! **Invariant:** without a misbehaviour a packet leaves as it was made, and at once.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::packet::{Datagram, Micros};
use crate::time::At;

/// Packets held back at most; what comes beyond is lost.
const MOST_WAITING: usize = 4096;

/// What our end does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Misbehaviour {
    /// Nothing is sent.
    pub silent: bool,
    /// Every packet leaves so much too late.
    pub delay: Duration,
    /// Besides, every packet leaves by up to so much too late, each by another time; they may overtake each other.
    pub jitter: Duration,
    /// The interval between packets, whatever was negotiated; jitter goes with it as usual.
    pub pace: Option<Micros>,
    /// TTL or hop limit instead of 255.
    pub ttl: Option<u8>,
    /// What is wrong in every packet.
    pub wrong: Option<Wrong>,
    /// Demand mode is asked for (the D bit) while both ends are Up, and the session goes on detecting as without: the remote
    /// must cease its periodic packets (RFC 5880, section 6.8.6), which ends the session.
    pub demand: bool,
}

impl Misbehaviour {
    /// Whether a right end has anything to accept, early or late.
    pub fn is_heard(&self) -> bool {
        !self.silent && self.wrong.is_none() && self.ttl.is_none()
    }

    /// Whether a right end keeps the session up, as long as packets are not too late.
    pub fn is_borne(&self) -> bool {
        self.is_heard() && !self.demand
    }
}

/// What is wrong in a packet. Each makes the receiver discard it (RFC 5880, section 6.8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// Version 2.
    Version,
    /// A Length beyond the UDP payload.
    Length,
    /// Only 20 bytes of it.
    Truncated,
    /// Detect Mult of zero.
    DetectMultiplier,
    /// The Multipoint bit.
    Multipoint,
    /// My Discriminator of zero.
    MyDiscriminator,
    /// A Your Discriminator that names another session.
    YourDiscriminator,
    /// A Your Discriminator of zero although the state is Init or Up.
    YourDiscriminatorZero,
    /// With authentication one bit of digest or password; without it a section that nobody asked for.
    Authentication,
    /// With authentication: a sequence number of long ago, rightly signed.
    Sequence,
}

impl Wrong {
    /// Each of them.
    pub const ALL: [Wrong; 10] = [
        Wrong::Version,
        Wrong::Length,
        Wrong::Truncated,
        Wrong::DetectMultiplier,
        Wrong::Multipoint,
        Wrong::MyDiscriminator,
        Wrong::YourDiscriminator,
        Wrong::YourDiscriminatorZero,
        Wrong::Authentication,
        Wrong::Sequence,
    ];

    /// The name in scenarios, for example `your-discriminator`.
    pub const fn name(self) -> &'static str {
        match self {
            Wrong::Version => "version",
            Wrong::Length => "length",
            Wrong::Truncated => "truncated",
            Wrong::DetectMultiplier => "detect-multiplier",
            Wrong::Multipoint => "multipoint",
            Wrong::MyDiscriminator => "my-discriminator",
            Wrong::YourDiscriminator => "your-discriminator",
            Wrong::YourDiscriminatorZero => "your-discriminator-zero",
            Wrong::Authentication => "authentication",
            Wrong::Sequence => "sequence",
        }
    }

    /// The fault of that name.
    pub fn named(name: &str) -> Option<Wrong> {
        Wrong::ALL.into_iter().find(|wrong| wrong.name() == name)
    }

    /// Spoils what is covered by the signature, so that only the fault itself can be found.
    pub(super) fn spoil_signed(self, packet: &mut Datagram) {
        let bytes = packet.bytes_mut();
        match self {
            Wrong::Version => bytes[0] = bytes[0] & 0x1f | 2 << 5,
            Wrong::DetectMultiplier => bytes[2] = 0,
            Wrong::Multipoint => bytes[1] |= 0x01,
            Wrong::MyDiscriminator => bytes[4..8].fill(0),
            Wrong::YourDiscriminator => bytes[8..12].iter_mut().for_each(|byte| *byte ^= 0xa5),
            Wrong::YourDiscriminatorZero => bytes[8..12].fill(0),
            Wrong::Length | Wrong::Truncated | Wrong::Authentication | Wrong::Sequence => {}
        }
    }

    /// Spoils what is left when a packet was signed, if it was.
    pub(super) fn spoil(self, packet: &mut Datagram, signed: bool) {
        match self {
            Wrong::Length => packet.bytes_mut()[3] = 0xff,
            Wrong::Truncated => packet.truncate(20),
            Wrong::Authentication if signed => {
                if let Some(last) = packet.bytes_mut().last_mut() {
                    *last ^= 1;
                }
            }
            Wrong::Authentication => packet.append_password(),
            Wrong::Version
            | Wrong::DetectMultiplier
            | Wrong::Multipoint
            | Wrong::MyDiscriminator
            | Wrong::YourDiscriminator
            | Wrong::YourDiscriminatorZero
            | Wrong::Sequence => {}
        }
    }
}

/// What the remote counts its Detection Time from when it has heard a packet (section 6.8.4).
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub desired_min_tx: Micros,
    pub detect_multiplier: NonZeroU8,
}

/// A packet that leaves, now or later.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub packet: Datagram,
    /// What it says to a right end; `None` if that has reason to discard it.
    pub said: Option<Said>,
}

/// Packets that are held back.
#[derive(Debug)]
pub(super) struct Outbox {
    waiting: BTreeMap<(At, u64), Outgoing>,
    count: u64,
    rng: SmallRng,
}

impl Outbox {
    pub fn new(seed: u64) -> Outbox {
        Outbox {
            waiting: BTreeMap::new(),
            count: 0,
            rng: SmallRng::seed_from_u64(!seed),
        }
    }

    /// Takes a packet in; gives it back if it leaves at once.
    pub fn put(&mut self, now: At, packet: Outgoing, how: &Misbehaviour) -> Option<Outgoing> {
        if how.silent {
            return None;
        }
        let jitter = how.jitter.as_nanos() as u64;
        let late = how.delay + Duration::from_nanos(self.rng.random_range(0..=jitter));
        if late.is_zero() {
            return Some(packet);
        }
        if self.waiting.len() < MOST_WAITING {
            self.count += 1;
            self.waiting.insert((now + late, self.count), packet);
        }
        None
    }

    /// The next packet whose time has come.
    pub fn take(&mut self, now: At) -> Option<Outgoing> {
        let (at, _) = *self.waiting.first_key_value()?.0;
        (at <= now)
            .then(|| self.waiting.pop_first())?
            .map(|(_, packet)| packet)
    }

    /// When a packet is next to be taken.
    pub fn deadline(&self) -> Option<At> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is held back is never sent.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}
