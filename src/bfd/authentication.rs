//! Authentication of control packets (RFC 5880, section 6.7): what an end is configured with, the section on the wire, and
//! the sequence numbers of both directions.
//!
//! **Invariant:** a secret is in no text that this makes; a packet that is not authentic changes nothing.

use std::fmt;

use super::digest::{md5, sha1};
use super::packet::{Datagram, Invalid, PACKET_LEN, Packet};

#[cfg(test)]
mod tests;

/// The longest password and the longest digest, bytes.
const SECRET_LEN: usize = 20;
/// The longest section, bytes: that of SHA1.
pub(super) const SECTION_LEN: usize = 28;

/// How packets are authenticated, in the RFC's encoding (section 4.1, "Auth Type").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A password that everyone on the way can read (section 6.7.2).
    SimplePassword = 1,
    /// MD5; the sequence number grows now and then (section 6.7.3).
    KeyedMd5 = 2,
    /// MD5; the sequence number grows with every packet (section 6.7.3).
    MeticulousKeyedMd5 = 3,
    /// SHA1; the sequence number grows now and then (section 6.7.4).
    KeyedSha1 = 4,
    /// SHA1; the sequence number grows with every packet (section 6.7.4).
    MeticulousKeyedSha1 = 5,
}

impl Kind {
    /// Every kind, in the order of its number.
    pub const ALL: [Kind; 5] = [
        Kind::SimplePassword,
        Kind::KeyedMd5,
        Kind::MeticulousKeyedMd5,
        Kind::KeyedSha1,
        Kind::MeticulousKeyedSha1,
    ];

    /// The name in files, records and views, for example `meticulous-keyed-sha1`.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::SimplePassword => "simple-password",
            Kind::KeyedMd5 => "keyed-md5",
            Kind::MeticulousKeyedMd5 => "meticulous-keyed-md5",
            Kind::KeyedSha1 => "keyed-sha1",
            Kind::MeticulousKeyedSha1 => "meticulous-keyed-sha1",
        }
    }

    /// The longest secret, bytes (sections 4.2 to 4.4); the shortest is 1.
    pub const fn longest_secret(self) -> usize {
        match self {
            Kind::SimplePassword | Kind::KeyedMd5 | Kind::MeticulousKeyedMd5 => 16,
            Kind::KeyedSha1 | Kind::MeticulousKeyedSha1 => 20,
        }
    }

    /// Whether packets carry a sequence number; a password has none.
    pub const fn has_sequence(self) -> bool {
        !matches!(self, Kind::SimplePassword)
    }

    const fn is_meticulous(self) -> bool {
        matches!(self, Kind::MeticulousKeyedMd5 | Kind::MeticulousKeyedSha1)
    }

    fn from_code(code: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// The digest of a whole packet; a password needs none.
    fn digest(self, bytes: &[u8]) -> Secret {
        match self {
            Kind::SimplePassword => Secret::EMPTY,
            Kind::KeyedMd5 | Kind::MeticulousKeyedMd5 => Secret::of(&md5(bytes)),
            Kind::KeyedSha1 | Kind::MeticulousKeyedSha1 => Secret::of(&sha1(bytes)),
        }
    }
}

/// A password, a key or a digest of at most 20 bytes. It is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret {
    /// Zeroes after its end.
    bytes: [u8; SECRET_LEN],
    length: u8,
}

impl Secret {
    const EMPTY: Secret = Secret {
        bytes: [0; SECRET_LEN],
        length: 0,
    };

    /// These bytes; `None` if they are none, or more than 20.
    pub fn new(bytes: &[u8]) -> Option<Secret> {
        (1..=SECRET_LEN)
            .contains(&bytes.len())
            .then(|| Secret::of(bytes))
    }

    fn of(bytes: &[u8]) -> Secret {
        let mut secret = Secret::EMPTY;
        secret.bytes[..bytes.len()].copy_from_slice(bytes);
        secret.length = bytes.len() as u8;
        secret
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A key: its number, by which the receiver finds it, and what both ends know. A secret longer than
/// [`Kind::longest_secret`] is cut off there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Auth Key ID.
    pub id: u8,
    /// What both ends know.
    pub secret: Secret,
}

/// How an end authenticates. Sends with one key; accepts that and, while keys are exchanged, another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authentication {
    /// bfd.AuthType.
    pub kind: Kind,
    /// The key packets are sent with, and accepted with.
    pub key: Key,
    /// Accepted, too.
    pub other_key: Option<Key>,
}

/// The authentication section of a packet (sections 4.2 to 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Auth Type.
    pub kind: Kind,
    /// Auth Key ID.
    pub key_id: u8,
    /// Sequence Number; zero with a password, which has none.
    pub sequence: u32,
    /// The password or the digest.
    pub secret: Secret,
}

impl Section {
    /// Reads the section, which begins after the fixed part and ends before `Length` does.
    pub(super) fn decode(bytes: &[u8]) -> Result<Section, Invalid> {
        let &[code, length, key_id, ref rest @ ..] = bytes else {
            return Err(Invalid::AuthenticationLength);
        };
        let kind = Kind::from_code(code).ok_or(Invalid::AuthenticationType)?;
        let length = usize::from(length);
        let right = match kind {
            Kind::SimplePassword => (4..=19).contains(&length),
            Kind::KeyedMd5 | Kind::MeticulousKeyedMd5 => length == 24,
            Kind::KeyedSha1 | Kind::MeticulousKeyedSha1 => length == SECTION_LEN,
        };
        if !right || length > bytes.len() {
            return Err(Invalid::AuthenticationLength);
        }
        let (sequence, secret) = match (kind, rest) {
            (Kind::SimplePassword, password) => (0, &password[..length - 3]),
            (_, &[_, a, b, c, d, ref digest @ ..]) => {
                (u32::from_be_bytes([a, b, c, d]), &digest[..length - 8])
            }
            _ => return Err(Invalid::AuthenticationLength),
        };
        Ok(Section {
            kind,
            key_id,
            sequence,
            secret: Secret::of(secret),
        })
    }

    /// The section as bytes, and their number.
    pub(super) fn encode(&self) -> ([u8; SECTION_LEN], usize) {
        let mut bytes = [0; SECTION_LEN];
        let head = match self.kind {
            Kind::SimplePassword => 3,
            _ => {
                bytes[4..8].copy_from_slice(&self.sequence.to_be_bytes());
                8
            }
        };
        // A section of a digest has its length whatever the secret's.
        let length = head
            + match self.kind {
                Kind::SimplePassword => usize::from(self.secret.length).clamp(1, 16),
                kind => kind.longest_secret(),
            };
        bytes[head..length].copy_from_slice(&self.secret.bytes[..length - head]);
        bytes[..3].copy_from_slice(&[self.kind as u8, length as u8, self.key_id]);
        (bytes, length)
    }
}

/// One end's part of section 6.7: the sequence numbers both ways.
#[derive(Debug)]
pub(super) struct Authenticator {
    config: Authentication,
    /// bfd.XmitAuthSeq.
    transmit: u32,
    /// The fixed part of the last packet sent.
    last: [u8; PACKET_LEN],
    /// bfd.RcvAuthSeq, while bfd.AuthSeqKnown.
    received: Option<u32>,
}

impl Authenticator {
    /// `sequence` is the first bfd.XmitAuthSeq.
    pub fn new(config: Authentication, sequence: u32) -> Authenticator {
        Authenticator {
            config,
            transmit: sequence,
            last: [0; PACKET_LEN],
            received: None,
        }
    }

    /// That of the last packet sent.
    pub fn last_sequence(&self) -> u32 {
        self.transmit
    }

    /// Signs a packet without a section, with a sequence number of long ago if it shall be refused as a `replay`.
    pub fn sign(&mut self, packet: &mut Datagram, replay: bool) {
        let kind = self.config.kind;
        let fixed = packet.fixed();
        // The keyed kinds need no new number for a packet that says nothing new.
        if kind.is_meticulous() || fixed != self.last {
            self.transmit = self.transmit.wrapping_add(1);
        }
        self.last = fixed;
        let key = self.config.key;
        packet.append(&Section {
            kind,
            key_id: key.id,
            // Of no meaning with a password, and then not written.
            sequence: self.transmit.wrapping_sub(if replay { 10_000 } else { 0 }),
            secret: key.secret,
        });
        if kind.has_sequence() {
            packet.set_digest(kind.digest(packet).as_bytes());
        }
    }

    /// Whether a received packet is authentic. `bytes` are the UDP payload; `forget` is true when nothing was received for
    /// twice the Detection Time (section 6.8.1, bfd.AuthSeqKnown).
    ///
    /// The sequence number of the first packet is believed only with the right digest. Sections 6.7.3 and 6.7.4 take it
    /// before they compare the digest, by which a stranger could silence the session with one packet.
    pub fn check(&self, bytes: &[u8], packet: &Packet, forget: bool) -> Result<(), Invalid> {
        let section = packet.authentication.ok_or(Invalid::Unauthenticated)?;
        let kind = self.config.kind;
        if section.kind != kind {
            return Err(Invalid::AuthenticationType);
        }
        let keys = [Some(self.config.key), self.config.other_key];
        let key = (keys.into_iter().flatten()).find(|key| key.id == section.key_id);
        let key = key.ok_or(Invalid::AuthenticationKey)?;
        if !kind.has_sequence() {
            let cut = usize::from(key.secret.length).min(kind.longest_secret());
            let right = section.secret.as_bytes() == &key.secret.bytes[..cut];
            return right.then_some(()).ok_or(Invalid::Password);
        }
        if let Some(received) = self.received.filter(|_| !forget) {
            let first = u32::from(kind.is_meticulous());
            let last = 3 * u32::from(packet.detect_multiplier.get());
            let ahead = section.sequence.wrapping_sub(received);
            if !(first..=last).contains(&ahead) {
                return Err(Invalid::Sequence);
            }
        }
        // At most 255 bytes; decoding has seen that Length fits.
        let whole = &bytes[..usize::from(bytes[3])];
        let mut keyed = whole.to_vec();
        let digest = PACKET_LEN + 8..PACKET_LEN + 8 + kind.longest_secret();
        keyed[digest.clone()].copy_from_slice(&key.secret.bytes[..digest.len()]);
        match kind.digest(&keyed).as_bytes() == &whole[digest] {
            true => Ok(()),
            false => Err(Invalid::Digest),
        }
    }

    /// A packet was authentic.
    pub fn accept(&mut self, section: &Section) {
        self.received = Some(section.sequence);
    }
}
