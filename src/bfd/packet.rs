//! The BFD control packet (RFC 5880, section 4.1) and the checks that need no session (section 6.8.6).
//!
//! **Invariant:** [`Packet::decode`] returns for any bytes; what it returns can be encoded again.

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};
use std::ops::Deref;
use std::time::Duration;

use thiserror::Error;

use super::State;
use super::authentication::{Kind, SECTION_LEN, Secret, Section};

#[cfg(test)]
mod tests;

/// Length of a control packet without authentication, bytes.
pub const PACKET_LEN: usize = 24;

const VERSION: u8 = 1;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTHENTICATION_PRESENT: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// A BFD control packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender's session last changed its state.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// The sender asks for a packet with Final.
    pub poll: bool,
    /// The sender answers a Poll.
    pub final_: bool,
    /// The sender's BFD does not share fate with its control plane.
    pub control_plane_independent: bool,
    /// The sender is in Demand mode and wants no periodic packets while both ends are Up.
    pub demand: bool,
    /// Intervals without a packet after which the receiver shall detect a failure.
    pub detect_multiplier: NonZeroU8,
    /// The sender's name for the session.
    pub my_discriminator: NonZeroU32,
    /// The receiver's name for the session, once the sender knows it.
    pub your_discriminator: Option<NonZeroU32>,
    /// The shortest interval at which the sender would send.
    pub desired_min_tx: Micros,
    /// The shortest interval at which the sender can receive; zero wants no periodic packets.
    pub required_min_rx: Micros,
    /// The shortest interval of Echo packets the sender can return; zero for none.
    pub required_min_echo_rx: Micros,
    /// The authentication section, if there is one.
    pub authentication: Option<Section>,
}

/// A control packet as bytes, with its authentication section: what goes into UDP, and the TTL it goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Datagram {
    bytes: [u8; PACKET_LEN + SECTION_LEN],
    length: u8,
    /// TTL or hop limit: 255 (RFC 5881, section 5), unless our end misbehaves.
    pub ttl: u8,
}

impl Deref for Datagram {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl Datagram {
    fn new(fixed: &[u8; PACKET_LEN]) -> Datagram {
        let mut bytes = [0; PACKET_LEN + SECTION_LEN];
        bytes[..PACKET_LEN].copy_from_slice(fixed);
        Datagram {
            bytes,
            length: PACKET_LEN as u8,
            ttl: 255,
        }
    }

    /// The part that every packet has.
    pub(super) fn fixed(&self) -> [u8; PACKET_LEN] {
        std::array::from_fn(|n| self.bytes[n])
    }

    /// Appends the authentication section to a packet that has none.
    pub(super) fn append(&mut self, section: &Section) {
        let (bytes, length) = section.encode();
        self.bytes[PACKET_LEN..].copy_from_slice(&bytes);
        self.length = (PACKET_LEN + length) as u8;
        self.bytes[1] |= AUTHENTICATION_PRESENT;
        self.bytes[3] = self.length;
    }

    /// Puts the digest in the place of the key.
    pub(super) fn set_digest(&mut self, digest: &[u8]) {
        self.bytes[PACKET_LEN + 8..][..digest.len()].copy_from_slice(digest);
    }

    /// Appends a password that nobody asked for.
    pub(super) fn append_password(&mut self) {
        if let Some(secret) = Secret::new(b"password") {
            self.append(&Section {
                kind: Kind::SimplePassword,
                key_id: 1,
                sequence: 0,
                secret,
            });
        }
    }

    /// All bytes, to spoil some of them.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..usize::from(self.length)]
    }

    /// Only so many bytes of it are sent.
    pub(super) fn truncate(&mut self, length: u8) {
        self.length = self.length.min(length);
    }
}

impl Packet {
    /// The packet as it goes into UDP.
    pub fn encode(&self) -> Datagram {
        let mut flags = (self.state as u8) << 6;
        for (set, bit) in [
            (self.poll, POLL),
            (self.final_, FINAL),
            (self.control_plane_independent, CONTROL_PLANE_INDEPENDENT),
            (self.demand, DEMAND),
        ] {
            if set {
                flags |= bit;
            }
        }
        let mut bytes = [0; PACKET_LEN];
        bytes[0] = VERSION << 5 | self.diagnostic.code();
        bytes[1] = flags;
        bytes[2] = self.detect_multiplier.get();
        bytes[3] = PACKET_LEN as u8;
        let words = [
            self.my_discriminator.get(),
            self.your_discriminator.map_or(0, NonZeroU32::get),
            self.desired_min_tx.0,
            self.required_min_rx.0,
            self.required_min_echo_rx.0,
        ];
        for (place, word) in bytes[4..].chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        let mut datagram = Datagram::new(&bytes);
        if let Some(section) = &self.authentication {
            datagram.append(section);
        }
        datagram
    }

    /// Reads a UDP payload, in the order of checks of section 6.8.6. Bytes after Length are ignored.
    ///
    /// # Errors
    /// The first check that fails; the packet must then be discarded.
    pub fn decode(bytes: &[u8]) -> Result<Packet, Invalid> {
        let Some((fixed, _)) = bytes.split_first_chunk::<PACKET_LEN>() else {
            return Err(Invalid::Short);
        };
        let [version_diagnostic, flags, detect_multiplier, length, ..] = *fixed;
        if version_diagnostic >> 5 != VERSION {
            return Err(Invalid::Version);
        }
        let authenticated = flags & AUTHENTICATION_PRESENT != 0;
        let least = PACKET_LEN + if authenticated { 2 } else { 0 };
        if usize::from(length) < least || usize::from(length) > bytes.len() {
            return Err(Invalid::Length);
        }
        let Some(detect_multiplier) = NonZeroU8::new(detect_multiplier) else {
            return Err(Invalid::DetectMultiplier);
        };
        if flags & MULTIPOINT != 0 {
            return Err(Invalid::Multipoint);
        }
        let Some(my_discriminator) = NonZeroU32::new(word(fixed, 4)) else {
            return Err(Invalid::MyDiscriminator);
        };
        let state = match flags >> 6 {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        };
        let your_discriminator = NonZeroU32::new(word(fixed, 8));
        if your_discriminator.is_none() && matches!(state, State::Init | State::Up) {
            return Err(Invalid::YourDiscriminatorZero);
        }
        let section = &bytes[PACKET_LEN..usize::from(length)];
        let authentication = authenticated
            .then(|| Section::decode(section))
            .transpose()?;
        Ok(Packet {
            diagnostic: Diagnostic::from_code(version_diagnostic & 0x1f),
            state,
            poll: flags & POLL != 0,
            final_: flags & FINAL != 0,
            control_plane_independent: flags & CONTROL_PLANE_INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            detect_multiplier,
            my_discriminator,
            your_discriminator,
            desired_min_tx: Micros(word(fixed, 12)),
            required_min_rx: Micros(word(fixed, 16)),
            required_min_echo_rx: Micros(word(fixed, 20)),
            authentication,
        })
    }
}

/// Your Discriminator of a UDP payload that may be wrong in every other way; `None` if it is zero or not there.
pub(super) fn your_discriminator(bytes: &[u8]) -> Option<NonZeroU32> {
    let (fixed, _) = bytes.split_first_chunk::<PACKET_LEN>()?;
    NonZeroU32::new(word(fixed, 8))
}

fn word(fixed: &[u8; PACKET_LEN], at: usize) -> u32 {
    u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
}

/// Why a received packet is discarded (RFC 5880, section 6.8.6; RFC 5881, sections 3 and 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Invalid {
    /// Fewer than 24 bytes.
    #[error("shorter than 24 bytes")]
    Short,
    /// Not version 1.
    #[error("version is not 1")]
    Version,
    /// Length below the minimum or beyond the payload.
    #[error("length field does not fit the payload")]
    Length,
    /// Detect Mult of zero.
    #[error("detect multiplier is zero")]
    DetectMultiplier,
    /// The reserved Multipoint bit is set.
    #[error("multipoint bit is set")]
    Multipoint,
    /// My Discriminator of zero.
    #[error("my discriminator is zero")]
    MyDiscriminator,
    /// Your Discriminator is zero in a state that must know it.
    #[error("your discriminator is zero in state init or up")]
    YourDiscriminatorZero,
    /// Your Discriminator names no session here.
    #[error("your discriminator names another session")]
    YourDiscriminator,
    /// An authentication section is present, but none is configured.
    #[error("authentication is present but not configured")]
    Authentication,
    /// Authentication is configured, but there is no section.
    #[error("authentication is configured but not present")]
    Unauthenticated,
    /// Auth Type is unknown, or not the configured one.
    #[error("authentication is of another type")]
    AuthenticationType,
    /// Auth Len does not fit the type or the packet.
    #[error("authentication section has a wrong length")]
    AuthenticationLength,
    /// Auth Key ID names no configured key.
    #[error("authentication key is not known")]
    AuthenticationKey,
    /// The password is another one.
    #[error("password is wrong")]
    Password,
    /// Sequence Number is outside of what may follow: a replay, or the other end began anew.
    #[error("authentication sequence number is out of range")]
    Sequence,
    /// The digest was made with another key, or of another packet.
    #[error("authentication digest is wrong")]
    Digest,
    /// The packet went over more hops than allowed; none with a single hop.
    #[error("TTL is too low")]
    Ttl,
}

/// Why a session last changed its state (RFC 5880, section 4.1, "Diagnostic").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the RFC's whole text")]
pub enum Diagnostic {
    None,
    ControlDetectionTimeExpired,
    EchoFunctionFailed,
    NeighborSignaledSessionDown,
    ForwardingPlaneReset,
    PathDown,
    ConcatenatedPathDown,
    AdministrativelyDown,
    ReverseConcatenatedPathDown,
    /// A code without a meaning in RFC 5880, at most 31.
    Unassigned(u8),
}

impl Diagnostic {
    /// The five bits on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Diagnostic::None => 0,
            Diagnostic::ControlDetectionTimeExpired => 1,
            Diagnostic::EchoFunctionFailed => 2,
            Diagnostic::NeighborSignaledSessionDown => 3,
            Diagnostic::ForwardingPlaneReset => 4,
            Diagnostic::PathDown => 5,
            Diagnostic::ConcatenatedPathDown => 6,
            Diagnostic::AdministrativelyDown => 7,
            Diagnostic::ReverseConcatenatedPathDown => 8,
            Diagnostic::Unassigned(code) => code & 0x1f,
        }
    }

    /// The meaning of five bits; higher bits are ignored.
    pub const fn from_code(code: u8) -> Diagnostic {
        match code & 0x1f {
            0 => Diagnostic::None,
            1 => Diagnostic::ControlDetectionTimeExpired,
            2 => Diagnostic::EchoFunctionFailed,
            3 => Diagnostic::NeighborSignaledSessionDown,
            4 => Diagnostic::ForwardingPlaneReset,
            5 => Diagnostic::PathDown,
            6 => Diagnostic::ConcatenatedPathDown,
            7 => Diagnostic::AdministrativelyDown,
            8 => Diagnostic::ReverseConcatenatedPathDown,
            code => Diagnostic::Unassigned(code),
        }
    }

    /// The RFC's words, in lower case, as they stand in records.
    pub const fn words(self) -> &'static str {
        match self {
            Diagnostic::None => "no diagnostic",
            Diagnostic::ControlDetectionTimeExpired => "control detection time expired",
            Diagnostic::EchoFunctionFailed => "echo function failed",
            Diagnostic::NeighborSignaledSessionDown => "neighbor signaled session down",
            Diagnostic::ForwardingPlaneReset => "forwarding plane reset",
            Diagnostic::PathDown => "path down",
            Diagnostic::ConcatenatedPathDown => "concatenated path down",
            Diagnostic::AdministrativelyDown => "administratively down",
            Diagnostic::ReverseConcatenatedPathDown => "reverse concatenated path down",
            Diagnostic::Unassigned(_) => "unassigned diagnostic",
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// An interval as the wire has it: whole microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u32);

impl Micros {
    /// The interval as a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0 as u64)
    }
}

impl From<Duration> for Micros {
    /// Rounded down to the microsecond, but never to zero, which means something else on the wire;
    /// what does not fit becomes the longest interval, 71 minutes.
    fn from(duration: Duration) -> Micros {
        Micros(
            u32::try_from(duration.as_micros())
                .unwrap_or(u32::MAX)
                .max(1),
        )
    }
}
