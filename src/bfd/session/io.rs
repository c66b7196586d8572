//! What a session is told, and what it wants.

use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use crate::bfd::authentication::{Authentication, Kind};
use crate::bfd::misbehaviour::Misbehaviour;
use crate::bfd::observation::Rhythm;
use crate::bfd::packet::{Datagram, Diagnostic, Invalid, Micros, Packet};
use crate::bfd::state::State;
use crate::time::At;

/// The TTL of every packet of a single-hop session (RFC 5881, section 5).
pub const SINGLE_HOP: u8 = 255;

/// What a session is told at its birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Our name for the session: random, and unique on this system.
    pub my_discriminator: NonZeroU32,
    /// Intervals and multiplier.
    pub timers: Timers,
    /// The shortest interval of Echo packets that the system returns (section 6.8.9); zero for none. Who forwards packets
    /// returns them, whatever is said here.
    pub required_min_echo_rx: Micros,
    /// Authentication, if there is any (section 6.7).
    pub authentication: Option<Authentication>,
    /// The lowest TTL that is accepted: [`SINGLE_HOP`] (RFC 5881, section 5), less by the hops there may be (RFC 5883).
    pub least_ttl: u8,
    /// Wait for the remote to speak first (section 6.1).
    pub passive: bool,
    /// Tell the remote that our end does not share fate with our control plane: the C bit (section 4.1).
    pub control_plane_independent: bool,
    /// Seed of the jitter, so that a run can be repeated.
    pub jitter_seed: u64,
    /// bfd.XmitAuthSeq at the beginning. Random where others listen (section 6.8.1), or who recorded an earlier session could
    /// say its packets again, and a remote that still knows it would discard ours.
    pub first_sequence: u32,
}

impl Config {
    /// A session over a single hop that speaks first, without authentication and Echo. Its sequence numbers follow from the seed,
    /// as virtual time wants it.
    pub fn single_hop(my_discriminator: NonZeroU32, timers: Timers, jitter_seed: u64) -> Config {
        Config {
            my_discriminator,
            timers,
            required_min_echo_rx: Micros(0),
            authentication: None,
            least_ttl: SINGLE_HOP,
            passive: false,
            control_plane_independent: false,
            jitter_seed,
            first_sequence: (jitter_seed as u32).wrapping_mul(0x9e37_79b1),
        }
    }
}

/// Intervals and multiplier of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// The shortest interval at which the end would send while Up.
    pub desired_min_tx: Micros,
    /// The shortest interval at which it can receive.
    pub required_min_rx: Micros,
    /// Lost packets after which the other end shall detect a failure.
    pub detect_multiplier: NonZeroU8,
}

impl Timers {
    /// The same interval both ways, rounded down to microseconds.
    pub fn symmetric(interval: Duration, detect_multiplier: NonZeroU8) -> Timers {
        Timers {
            desired_min_tx: interval.into(),
            required_min_rx: interval.into(),
            detect_multiplier,
        }
    }

    /// Zero intervals mean something else on the wire (section 4.1); the shortest is 1 µs.
    pub(super) fn valid(self) -> Timers {
        Timers {
            desired_min_tx: self.desired_min_tx.max(Micros(1)),
            required_min_rx: self.required_min_rx.max(Micros(1)),
            detect_multiplier: self.detect_multiplier,
        }
    }
}

/// Intervals and multiplier that become others; those without a value stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimersChange {
    /// [`Timers::desired_min_tx`].
    pub desired_min_tx: Option<Micros>,
    /// [`Timers::required_min_rx`].
    pub required_min_rx: Option<Micros>,
    /// [`Timers::detect_multiplier`].
    pub detect_multiplier: Option<NonZeroU8>,
}

impl TimersChange {
    /// What becomes of those that were in use.
    pub(in crate::bfd) fn of(self, timers: Timers) -> Timers {
        Timers {
            desired_min_tx: self.desired_min_tx.unwrap_or(timers.desired_min_tx),
            required_min_rx: self.required_min_rx.unwrap_or(timers.required_min_rx),
            detect_multiplier: self.detect_multiplier.unwrap_or(timers.detect_multiplier),
        }
    }
}

impl From<Timers> for TimersChange {
    fn from(timers: Timers) -> TimersChange {
        TimersChange {
            desired_min_tx: Some(timers.desired_min_tx),
            required_min_rx: Some(timers.required_min_rx),
            detect_multiplier: Some(timers.detect_multiplier),
        }
    }
}

/// What our end of a session is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Go to AdminDown (section 6.8.16).
    Disable,
    /// Leave AdminDown.
    Enable,
    /// Other intervals or another multiplier.
    Timers {
        /// From now on.
        change: TimersChange,
        /// Whether a Poll Sequence tells the remote, as it must (section 6.8.3); without, the new values are in use at once.
        poll: bool,
    },
    /// Misbehave in this way and no other; with the default behave.
    Misbehave(Misbehaviour),
}

impl Order {
    /// All timers change, and a Poll Sequence tells the remote.
    pub fn timers(timers: Timers) -> Order {
        Order::Timers {
            change: timers.into(),
            poll: true,
        }
    }
}

/// What happens to a session.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A UDP payload from the remote's address to the session's port.
    Packet {
        /// The payload.
        bytes: &'a [u8],
        /// TTL of its IP header.
        ttl: u8,
        /// When the kernel received it.
        at: At,
    },
    /// The deadline may have come.
    Timer {
        /// Every packet received before this moment was handed over already. A driver reads its clock,
        /// then empties the socket, then gives the reading here: a detection is never declared while the
        /// packet that would refute it lies unread, however late the driver is.
        drained: At,
    },
    /// The interface can carry packets again. What was sent before went nowhere, so the slow interval
    /// of section 6.8.3 begins anew, with a packet at its beginning.
    PathUp,
    /// From now on.
    Order(Order),
}

/// What a session wants done or known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Send this to the remote's port, from the session's one source port.
    Send(Datagram),
    /// The state changed.
    State(StateChange),
    /// One end disabled the session, which says nothing of the path, or both enabled it again (RFC 5882, section 3.2).
    /// Comes before the change of state that follows from it.
    Disabled(bool),
    /// The remote says something else than before.
    Heard(Heard),
    /// What was measured of the remote since it became Up, or since its interval changed.
    Rhythm(Rhythm),
    /// The remote answered a Poll, so long after the first packet that asked.
    Answered(Duration),
    /// A packet from the remote's address was discarded, for a reason that was not told since the state last changed.
    Discarded(Invalid),
}

/// A change of state and what was known at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    /// The state left.
    pub from: State,
    /// The state entered.
    pub to: State,
    /// Why, where there is a reason to tell.
    pub diagnostic: Diagnostic,
    /// The remote's state in its last packet.
    pub remote_state: State,
    /// The remote's diagnostic in its last packet.
    pub remote_diagnostic: Diagnostic,
    /// BFD shares fate with the control plane at neither end: the C bit of the remote's last packet, and ours (RFC 5882,
    /// section 4.3.2).
    pub control_plane_independent: bool,
    /// When the kernel received the last packet.
    pub last_received: Option<At>,
    /// The Detection Time that was in force before the change; `None` before the first packet.
    pub detection_time: Option<Duration>,
}

/// What the remote says in its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its discriminator.
    pub discriminator: NonZeroU32,
    /// Its state.
    pub state: State,
    /// Why its session last changed.
    pub diagnostic: Diagnostic,
    /// Its intervals and multiplier.
    pub timers: Timers,
    /// The shortest interval of Echo packets it returns; zero for none.
    pub required_min_echo_rx: Micros,
    /// It wants no periodic packets while both ends are Up (section 6.6).
    pub demand: bool,
    /// Its BFD does not share fate with its control plane (the C bit).
    pub control_plane_independent: bool,
    /// How it authenticates.
    pub authentication: Option<Kind>,
    /// Other intervals than before came in a packet without Poll, while both ends were Up (against section 6.8.3).
    pub unasked: bool,
    /// It has detected that we are silent: when the kernel received this, so long after we sent our last packet.
    pub detected_after: Option<Duration>,
    /// And its Detection Time is this, as far as we can know it (section 6.8.4).
    pub detection_time: Duration,
}

impl Heard {
    /// What stands in a packet.
    pub(super) fn of(packet: &Packet, detection_time: Duration) -> Heard {
        Heard {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            timers: Timers {
                desired_min_tx: packet.desired_min_tx,
                required_min_rx: packet.required_min_rx,
                detect_multiplier: packet.detect_multiplier,
            },
            required_min_echo_rx: packet.required_min_echo_rx,
            demand: packet.demand,
            control_plane_independent: packet.control_plane_independent,
            authentication: packet.authentication.map(|section| section.kind),
            unasked: false,
            detected_after: None,
            detection_time,
        }
    }

    /// Whether it says the same.
    pub(super) fn is_as(&self, other: &Heard) -> bool {
        let bare = |heard: &Heard| Heard {
            unasked: false,
            detected_after: None,
            detection_time: Duration::ZERO,
            ..*heard
        };
        bare(self) == bare(other)
    }
}

/// Counts of packets since the session was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Handed out for sending.
    pub sent: u64,
    /// Accepted.
    pub received: u64,
    /// Discarded as section 6.8.6 wants.
    pub discarded: u64,
    /// Why the last of these was discarded.
    pub last_discarded: Option<Invalid>,
}
