//! Pairs of routers, an edge and a peer, joined by two plain veth links each.

use std::net::Ipv4Addr;
use std::sync::Arc;

use peerlab::kernel::link::{self, VethEnd};
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::kernel::{address, filter};

use super::Outcome;

/// Interfaces of a router, by link.
pub const INTERFACES: [&str; 2] = ["l0", "l1"];

/// Pairs of namespaces; those of a pair are edge and peer.
pub struct Bed {
    pub pairs: Vec<[Arc<Namespace>; 2]>,
}

/// The index of an interface: unlike at the two ends, or link events come late.
pub fn index(side: usize, link: usize) -> u32 {
    (10 + 10 * side + link) as u32
}

/// The address of a side on a link of a pair.
pub fn address_of(pair: usize, link: usize, side: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + ((pair * 2 + link) * 2 + side) as u32)
}

/// A router's identifier.
pub fn router_id(pair: usize, side: usize) -> Ipv4Addr {
    Ipv4Addr::new(172, 16 + side as u8, (pair >> 8) as u8, pair as u8)
}

impl Bed {
    /// Makes pairs with everything up, ready for filters.
    pub fn new(pairs: usize) -> Outcome<Bed> {
        let make = |pair: usize| -> Outcome<[Arc<Namespace>; 2]> {
            let sides = [Arc::new(Namespace::new()?), Arc::new(Namespace::new()?)];
            let mut sockets = [Netlink::open_in(&sides[0])?, Netlink::open_in(&sides[1])?];
            let end = |side: usize, link: usize| VethEnd {
                name: INTERFACES[link],
                index: index(side, link),
                mac: None,
            };
            for link in 0..2 {
                link::add_veth(
                    &mut sockets[0],
                    "edge",
                    end(0, link),
                    end(1, link),
                    sides[1].fd(),
                );
            }
            sockets[0].commit()?;
            for (side, socket) in sockets.iter_mut().enumerate() {
                link::set_up(socket, "router", "lo", link::LOOPBACK, true);
                for (link, name) in INTERFACES.into_iter().enumerate() {
                    let index = index(side, link);
                    let own = address_of(pair, link, side);
                    address::add(socket, "router", (name, index), own.into(), 31);
                    link::set_up(socket, "router", name, index, true);
                    filter::queue_clsact(socket, index);
                }
                socket.commit()?;
            }
            for socket in &mut sockets {
                while !link::list(socket)?.iter().all(|link| link.operational) {
                    std::thread::yield_now();
                }
            }
            Ok(sides)
        };
        Ok(Bed {
            pairs: (0..pairs).map(make).collect::<Outcome<_>>()?,
        })
    }

    /// All routers: pair, side and namespace.
    pub fn routers(&self) -> impl Iterator<Item = (usize, usize, &Arc<Namespace>)> {
        self.pairs.iter().enumerate().flat_map(|(pair, sides)| {
            let sides = sides.iter().enumerate();
            sides.map(move |(side, namespace)| (pair, side, namespace))
        })
    }
}
