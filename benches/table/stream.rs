//! BGP messages as a neighbour would send them, written byte by byte: no code of the program under test is used.

use std::net::Ipv4Addr;

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Routes in one UPDATE.
const GROUP: usize = 10;

/// Header and body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend((19 + body.len() as u16).to_be_bytes());
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

/// An OPEN with IPv4 unicast and four-octet AS numbers, hold time off, and the KEEPALIVE that confirms the other end's.
pub fn open(asn: u32, id: Ipv4Addr) -> Vec<u8> {
    let mut body = vec![4];
    body.extend((asn as u16).to_be_bytes());
    body.extend([0, 0]);
    body.extend(id.octets());
    body.extend([14, 2, 12, 1, 4, 0, 1, 0, 1, 65, 4]);
    body.extend(asn.to_be_bytes());
    [message(1, &body), message(4, &[])].concat()
}

/// UPDATEs for so many /24 prefixes from 20.0.0.0 on, and the End-of-RIB marker.
pub fn announcements(routes: usize, asn: u32, next_hop: Ipv4Addr) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(1);
    let mut stream = Vec::new();
    for group in (0..routes).step_by(GROUP) {
        let path: Vec<u32> = (0..random.random_range(2..=5))
            .map(|_| random.random_range(1000..64000))
            .collect();
        let med: u32 = random.random_range(0..200);
        let communities: Vec<[u16; 2]> = (0..random.random_range(1..=4))
            .map(|_| [random.random_range(1..64000), random.random_range(0..1000)])
            .collect();
        let mut attributes = vec![0x40, 1, 1, 0];
        attributes.extend([
            0x40,
            2,
            2 + 4 * (path.len() as u8 + 1),
            2,
            path.len() as u8 + 1,
        ]);
        for hop in std::iter::once(asn).chain(path) {
            attributes.extend(hop.to_be_bytes());
        }
        attributes.extend([0x40, 3, 4]);
        attributes.extend(next_hop.octets());
        attributes.extend([0x80, 4, 4]);
        attributes.extend(med.to_be_bytes());
        attributes.extend([0xc0, 8, 4 * communities.len() as u8]);
        for word in communities.into_iter().flatten() {
            attributes.extend(word.to_be_bytes());
        }
        let mut body = vec![0, 0];
        body.extend((attributes.len() as u16).to_be_bytes());
        body.extend(attributes);
        body.extend(nets(group..(group + GROUP).min(routes)));
        stream.extend(message(2, &body));
    }
    stream.extend(message(2, &[0; 4]));
    stream
}

/// UPDATEs that withdraw the same prefixes, ten at a time.
pub fn withdrawals(routes: usize) -> Vec<u8> {
    let groups = (0..routes).step_by(GROUP);
    groups
        .flat_map(|group| {
            let nets = nets(group..(group + GROUP).min(routes));
            let mut body = (nets.len() as u16).to_be_bytes().to_vec();
            body.extend(nets);
            body.extend([0, 0]);
            message(2, &body)
        })
        .collect()
}

fn nets(places: std::ops::Range<usize>) -> Vec<u8> {
    places
        .flat_map(|n| {
            let [a, b, c, _] = (0x1400_0000 + ((n as u32) << 8)).to_be_bytes();
            [24, a, b, c]
        })
        .collect()
}
