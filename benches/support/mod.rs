//! What the benchmarks share: namespaces and links, kernel routes as they change, BIRD and FRR, and figures.

#![expect(dead_code, reason = "every benchmark uses a part of it, none uses all")]

pub mod bed;
pub mod bird;
pub mod facts;
pub mod figure;
pub mod frr;
pub mod ours;
pub mod pairs;
pub mod watch;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Whatever goes wrong in a benchmark ends it with its words.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// AS numbers of edge and peer.
pub const ASNS: [u32; 2] = [65001, 65100];

/// What the edge announces.
pub fn edge_prefixes() -> impl Iterator<Item = Ipv4Net> {
    (0..280u32).map(|n| Ipv4Net::new_assert(Ipv4Addr::from(0x6440_0000 + (n << 8)), 24))
}

/// What the peer announces.
pub fn peer_prefixes() -> impl Iterator<Item = Ipv4Net> {
    (0..10).map(|n| Ipv4Net::new_assert(Ipv4Addr::new(198, 18, n, 0), 24))
}

/// What a side announces: side 0 is the edge, side 1 the peer.
pub fn announced(side: usize) -> Vec<Ipv4Net> {
    if side == 0 {
        edge_prefixes().collect()
    } else {
        peer_prefixes().collect()
    }
}
