//! A probe packet: what a UDP datagram carries, and how it is found in a frame that a tap saw.
//!
//! All numbers are in network order: magic (8 bytes), stream (4), flow (2), zero (2), sequence number in the flow (8),
//! sequence number in the stream (8), time of sending in nanoseconds of the run (8).
//!
//! **Invariant:** pure; any bytes may be decoded.

use crate::time::At;

/// Bytes of a probe packet, as payload of UDP.
pub const LENGTH: usize = 40;

/// Bytes of a frame that a tap must keep: Ethernet, the longest IPv4 header (longer than IPv6's), UDP, the packet.
pub const FRAME_LENGTH: usize = 14 + 60 + 8 + LENGTH;

const MAGIC: &[u8; 8] = b"peerlab1";

/// A probe packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Stream, one direction of probing.
    pub stream: u32,
    /// Flow of the stream, counted from 0.
    pub flow: u16,
    /// Sequence number in the flow, from 0.
    pub sequence: u64,
    /// Sequence number in the stream, from 0; for readers of captures.
    pub number: u64,
    /// When it was sent.
    pub sent: At,
}

impl Packet {
    /// The payload of the datagram.
    pub fn encode(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&self.stream.to_be_bytes());
        bytes[12..14].copy_from_slice(&self.flow.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.number.to_be_bytes());
        bytes[32..].copy_from_slice(&self.sent.as_nanos().to_be_bytes());
        bytes
    }

    /// The packet in a datagram's payload, if it is one.
    pub fn decode(payload: &[u8]) -> Option<Packet> {
        let payload = payload.get(..LENGTH)?;
        let long = |at: usize| {
            let bytes = payload[at..at + 8].iter();
            bytes.fold(0, |value, byte| value << 8 | u64::from(*byte))
        };
        (&payload[..8] == MAGIC).then(|| Packet {
            stream: (long(8) >> 32) as u32,
            flow: (long(8) >> 16) as u16,
            sequence: long(16),
            number: long(24),
            sent: At::from_nanos(long(32)),
        })
    }

    /// The packet in an Ethernet frame with IPv4 or IPv6 and UDP, if it is one.
    pub fn in_frame(frame: &[u8]) -> Option<Packet> {
        let payload = match frame.get(12..15)? {
            [0x08, 0x00, first] => 14 + 4 * usize::from(first & 15) + 8,
            [0x86, 0xdd, _] => 14 + 40 + 8,
            _ => return None,
        };
        Packet::decode(frame.get(payload..)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACKET: Packet = Packet {
        stream: 0x0102_0304,
        flow: 0x0506,
        sequence: 7,
        number: 1 << 40,
        sent: At::from_millis(1500),
    };

    fn frame(ethertype: [u8; 2], headers: &[u8], payload: &[u8]) -> Vec<u8> {
        [&[0; 12][..], &ethertype, headers, payload].concat()
    }

    #[test]
    fn a_packet_is_found_in_its_frame() {
        let payload = PACKET.encode();
        assert_eq!(Packet::decode(&payload), Some(PACKET));
        for words in [5, 15] {
            let mut headers = vec![0x40 | words];
            headers.resize(usize::from(words) * 4 + 8, 0);
            let frame = frame([8, 0], &headers, &payload);
            assert!(frame.len() <= FRAME_LENGTH);
            assert_eq!(Packet::in_frame(&frame), Some(PACKET));
        }
        let ipv6 = frame([0x86, 0xdd], &[0x60; 48], &payload);
        assert_eq!(Packet::in_frame(&ipv6), Some(PACKET));
        let arp = frame([8, 6], &[0x45; 28], &payload);
        assert_eq!(Packet::in_frame(&arp), None);
    }

    #[test]
    fn a_packet_cut_short_or_of_others_is_none() {
        let payload = PACKET.encode();
        assert_eq!(Packet::decode(&payload[..LENGTH - 1]), None);
        let mut other = payload;
        other[0] ^= 1;
        assert_eq!(Packet::decode(&other), None);
    }

    proptest! {
        #[test]
        fn any_bytes_may_be_decoded(bytes in prop::collection::vec(any::<u8>(), 0..130)) {
            prop_assert_eq!(Packet::in_frame(&bytes), None);
        }
    }
}
