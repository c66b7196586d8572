//! Loc-RIB: the route in use for each prefix, and the next hops the kernel should have for it.
//!
//! **Invariant:** equal sets of next hops are the same `Arc`.

use std::sync::Arc;

use ipnet::IpNet;

use super::config::SessionIndex;
use super::io::{Fib, NextHop};
use super::peer::Peer;
use crate::bgp::attributes::Attributes;
use crate::bgp::decision::{self, Candidate, Reason};
use crate::bgp::hash::Set;
use crate::bgp::prefix_map::PrefixMap;

/// The route in use for a prefix.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The session the best route came from.
    pub from: SessionIndex,
    /// Its attributes.
    pub attributes: Arc<Attributes>,
    /// Next hops of it and of those equal to it.
    pub next_hops: Arc<[NextHop]>,
    /// The step of the decision that chose it.
    pub reason: Reason,
}

/// What came of deciding anew for a prefix.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// The kernel's route must change.
    pub fib: Option<Fib>,
    /// Neighbours must be told.
    pub advertise: bool,
}

/// The routes in use.
#[derive(Debug, Default)]
pub struct LocRib {
    routes: PrefixMap<Selected>,
    next_hops: Set<Arc<[NextHop]>>,
    equal: Vec<usize>,
}

impl LocRib {
    /// The route in use for a prefix.
    pub fn get(&self, prefix: &IpNet) -> Option<&Selected> {
        self.routes.get(prefix)
    }

    /// All routes in use.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &Selected)> {
        self.routes.iter()
    }

    /// Number of routes in use.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Forgets everything, and says what the kernel must remove.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Fib> + use<> {
        self.next_hops.clear();
        self.routes
            .drain()
            .map(|(prefix, _)| Fib::Remove { prefix })
    }

    /// Decides anew for one prefix.
    pub(super) fn decide(&mut self, prefix: IpNet, peers: &[Peer], multipath: usize) -> Decided {
        // Most prefixes have a route from every neighbour or from one: the list is short and on one allocation.
        let mut sources: Vec<(&Peer, &Arc<Attributes>, NextHop)> = Vec::new();
        for peer in peers {
            let Some(attributes) = peer.rib_in.imported(&prefix) else {
                continue;
            };
            if let Some(next_hop) = resolve(peer, attributes, peers) {
                sources.push((peer, attributes, next_hop));
            }
        }
        let candidates: Vec<Candidate<'_>> = sources
            .iter()
            .map(|(peer, attributes, _)| Candidate {
                attributes,
                external: !peer.internal,
                peer_id: peer.peer_id,
                peer_address: peer.spec.peer,
            })
            .collect();
        let mut equal = std::mem::take(&mut self.equal);
        let decided =
            decision::choose(&candidates, multipath, &mut equal).zip(equal.first().copied());
        let after = decided.map(|(reason, best)| {
            let hops = equal.iter().map(|&i| sources[i].2.clone()).collect();
            let (peer, attributes, _) = &sources[best];
            Selected {
                from: peer.index,
                attributes: Arc::clone(attributes),
                next_hops: self.share(hops),
                reason,
            }
        });
        self.equal = equal;
        self.replace(prefix, after)
    }

    fn replace(&mut self, prefix: IpNet, after: Option<Selected>) -> Decided {
        let Some(after) = after else {
            let gone = self.routes.remove(&prefix).is_some();
            return Decided {
                fib: gone.then_some(Fib::Remove { prefix }),
                advertise: gone,
            };
        };
        let next_hops = after.next_hops.clone();
        let (moved, advertise) = match self.routes.get(&prefix) {
            Some(before) => (
                !Arc::ptr_eq(&before.next_hops, &next_hops),
                before.from != after.from || !Arc::ptr_eq(&before.attributes, &after.attributes),
            ),
            None => (true, true),
        };
        self.routes.insert(prefix, after);
        Decided {
            fib: moved.then_some(Fib::Replace { prefix, next_hops }),
            advertise,
        }
    }

    /// The shared set equal to `hops`.
    fn share(&mut self, mut hops: Vec<NextHop>) -> Arc<[NextHop]> {
        hops.sort();
        hops.dedup();
        if let Some(shared) = self.next_hops.get(hops.as_slice()) {
            return shared.clone();
        }
        self.next_hops.retain(|set| Arc::strong_count(set) > 1);
        let shared: Arc<[NextHop]> = hops.into();
        self.next_hops.insert(shared.clone());
        shared
    }
}

/// Where packets go for a route's NEXT_HOP; `None` when it cannot be reached or is ourselves (section 5.1.3).
fn resolve(peer: &Peer, attributes: &Attributes, peers: &[Peer]) -> Option<NextHop> {
    let gateway = attributes.next_hop;
    // Gap: a next hop behind another link is not decided anew when only that link changes.
    let over = if peer.subnet.contains(&gateway) {
        peer
    } else {
        peers.iter().find(|p| p.subnet.contains(&gateway))?
    };
    if peers.iter().any(|p| p.spec.local == gateway) {
        return None;
    }
    Some(NextHop {
        session: peer.index,
        gateway,
        interface: over.interface.clone(),
    })
}
