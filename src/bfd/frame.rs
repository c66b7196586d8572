//! BFD packets as whole Ethernet frames, for a member of a LAG that has no IP stack of its own (RFC 7130, section 2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where packets of micro sessions are sent to (RFC 7130, section 2.2).
pub const MICRO_PORT: u16 = 6784;
/// The dedicated MAC address (RFC 7130, section 2.3).
pub const DEDICATED_MAC: [u8; 6] = [0x01, 0x00, 0x5e, 0x90, 0x00, 0x01];

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const UDP: u8 = 17;
/// Class selector 6, network control (RFC 2474).
const NETWORK_CONTROL: u8 = 0xc0;
const ETHERNET: usize = 14;
const UDP_HEADER: usize = 8;

/// Who speaks to whom. The addresses are of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Source and destination MAC addresses.
    pub macs: [[u8; 6]; 2],
    /// Source and destination addresses.
    pub addresses: [IpAddr; 2],
    /// Source port.
    pub port: u16,
}

/// A packet that was in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framed<'a> {
    /// The MAC address it came from.
    pub from_mac: [u8; 6],
    /// Source and destination addresses.
    pub addresses: [IpAddr; 2],
    /// TTL or hop limit.
    pub ttl: u8,
    /// The UDP payload.
    pub payload: &'a [u8],
}

/// A frame to the port of micro sessions; `payload` is a BFD packet.
pub fn frame(way: &Way, ttl: u8, payload: &[u8]) -> Vec<u8> {
    let length = (UDP_HEADER + payload.len()) as u16;
    let mut udp = Vec::with_capacity(usize::from(length));
    for word in [way.port, MICRO_PORT, length, 0] {
        udp.extend(word.to_be_bytes());
    }
    udp.extend(payload);
    // 0 would mean that there is none (RFC 768).
    let sum = match checksum(pseudo_header(&way.addresses, length), &udp) {
        0 => 0xffff,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());

    let [source, destination] = way.macs;
    let mut frame = [destination, source].concat();
    match way.addresses {
        [IpAddr::V6(source), IpAddr::V6(destination)] => {
            frame.extend(IPV6.to_be_bytes());
            frame.extend([0x60 | NETWORK_CONTROL >> 4, NETWORK_CONTROL << 4, 0, 0]);
            frame.extend(length.to_be_bytes());
            frame.extend([UDP, ttl]);
            frame.extend(source.octets());
            frame.extend(destination.octets());
        }
        addresses => {
            frame.extend(IPV4.to_be_bytes());
            let mut header = vec![0x45, NETWORK_CONTROL];
            header.extend((20 + length).to_be_bytes());
            // Identification 0, Don't Fragment (RFC 6864, section 4.1).
            header.extend([0, 0, 0x40, 0, ttl, UDP, 0, 0]);
            header.extend(addresses.into_iter().flat_map(octets));
            let sum = checksum(0, &header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            frame.extend(header);
        }
    }
    frame.extend(udp);
    frame
}

/// The packet in a frame, if it is one to the port of micro sessions, whole and undamaged.
pub fn framed(frame: &[u8]) -> Option<Framed<'_>> {
    let (ethernet, packet) = frame.split_at_checked(ETHERNET)?;
    let from_mac = ethernet.get(6..12)?.try_into().ok()?;
    let (addresses, ttl, udp) = match half(ethernet, 12)? {
        IPV4 => ipv4(packet)?,
        IPV6 => ipv6(packet)?,
        _ => return None,
    };
    let length = half(udp, 4)?;
    let udp = udp.get(..usize::from(length))?;
    let payload = udp.get(UDP_HEADER..)?;
    let meant = half(udp, 2)? == MICRO_PORT;
    let unsummed = half(udp, 6)? == 0 && addresses[0].is_ipv4();
    let whole = unsummed || checksum(pseudo_header(&addresses, length), udp) == 0;
    (meant && whole).then_some(Framed {
        from_mac,
        addresses,
        ttl,
        payload,
    })
}

type Inside<'a> = ([IpAddr; 2], u8, &'a [u8]);

/// Addresses, TTL and UDP datagram of an IPv4 packet that is no fragment.
fn ipv4(packet: &[u8]) -> Option<Inside<'_>> {
    /// More Fragments, and the offset.
    const FRAGMENT: u16 = 0x3fff;
    let first = *packet.first()?;
    let header = packet.get(..4 * usize::from(first & 15))?;
    if first >> 4 != 4 || header.len() < 20 || checksum(0, header) != 0 {
        return None;
    }
    if header[9] != UDP || half(header, 6)? & FRAGMENT != 0 {
        return None;
    }
    let udp = packet.get(header.len()..usize::from(half(header, 2)?))?;
    let address = |at: usize| -> Option<IpAddr> {
        let octets: [u8; 4] = header.get(at..at + 4)?.try_into().ok()?;
        Some(Ipv4Addr::from(octets).into())
    };
    Some(([address(12)?, address(16)?], header[8], udp))
}

/// The same of an IPv6 packet without extension headers.
fn ipv6(packet: &[u8]) -> Option<Inside<'_>> {
    let (header, rest) = packet.split_at_checked(40)?;
    if header[0] >> 4 != 6 || header[6] != UDP {
        return None;
    }
    let udp = rest.get(..usize::from(half(header, 4)?))?;
    let address = |at: usize| -> Option<IpAddr> {
        let octets: [u8; 16] = header.get(at..at + 16)?.try_into().ok()?;
        Some(Ipv6Addr::from(octets).into())
    };
    Some(([address(8)?, address(24)?], header[7], udp))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// What UDP sums besides itself (RFC 768; RFC 8200, section 8.1).
fn pseudo_header(addresses: &[IpAddr; 2], length: u16) -> u32 {
    let addresses = addresses.iter().flat_map(|address| octets(*address));
    let bytes: Vec<u8> = addresses.collect();
    sum(&bytes) + u32::from(UDP) + u32::from(length)
}

/// The Internet checksum (RFC 1071) of bytes, and of what was summed before; 0 over bytes that hold their own.
fn checksum(before: u32, bytes: &[u8]) -> u16 {
    let mut sum = before + sum(bytes);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

/// At most 64 KiB of bytes are summed, so nothing overflows.
fn sum(bytes: &[u8]) -> u32 {
    let halves = bytes.chunks(2).map(|half| match half {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    halves.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bfd::SINGLE_HOP;
    use proptest::prelude::*;

    fn ways() -> impl Strategy<Value = Way> {
        let addresses = prop_oneof![
            any::<[[u8; 4]; 2]>().prop_map(|a| a.map(IpAddr::from)),
            any::<[[u8; 16]; 2]>().prop_map(|a| a.map(IpAddr::from)),
        ];
        (any::<[[u8; 6]; 2]>(), addresses, any::<u16>()).prop_map(|(macs, addresses, port)| Way {
            macs,
            addresses,
            port,
        })
    }

    proptest! {
        #[test]
        fn frames_are_read_as_they_were_written(way in ways(), ttl: u8, payload in prop::collection::vec(any::<u8>(), 0..80)) {
            let bytes = frame(&way, ttl, &payload);
            let read = framed(&bytes).expect("a frame of ours");
            prop_assert_eq!(read.from_mac, way.macs[0]);
            prop_assert_eq!(read.addresses, way.addresses);
            prop_assert_eq!(read.ttl, ttl);
            prop_assert_eq!(read.payload, &payload[..]);
            prop_assert_eq!(&bytes[..6], &way.macs[1]);
        }

        /// Padding is no part of a packet; a flipped bit behind the MAC addresses changes nothing of what is taken.
        #[test]
        fn what_is_damaged_is_dropped(
            way in ways(),
            payload in prop::collection::vec(any::<u8>(), 24),
            at in 12_usize..66,
            bit in 0..8_u8,
        ) {
            let mut bytes = frame(&way, SINGLE_HOP, &payload);
            bytes.extend([0; 18]);
            prop_assert_eq!(framed(&bytes).expect("padded").payload, &payload[..]);
            bytes[at] ^= 1_u8 << bit;
            prop_assert!(framed(&bytes).is_none_or(|read| read.payload == payload));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = framed(&bytes);
        }
    }

    #[test]
    fn every_shortening_is_refused() {
        let way = Way {
            macs: [[2; 6], DEDICATED_MAC],
            addresses: [[192, 0, 2, 0], [192, 0, 2, 1]].map(IpAddr::from),
            port: 49152,
        };
        let bytes = frame(&way, SINGLE_HOP, &[7; 24]);
        for length in 0..bytes.len() {
            assert_eq!(framed(&bytes[..length]), None, "{length}");
        }
    }
}
