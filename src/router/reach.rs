//! Where packets go for a route's NEXT_HOP, and what becomes of routes when a link goes or comes back.
//!
//! Next hops are directly connected, mostly over the link of the session that told them: with it those routes go. One that is
//! reached over another link is looked at again when that link changes.
//!
//! **Invariant:** a path is usable while the link to its next hop has carrier.

use std::net::IpAddr;
use std::sync::Arc;

use super::Router;
use super::import::Shared;
use super::io::NextHop;
use super::loss::Moves;
use super::table::{Fate, Path};
use crate::bgp::attributes::Attributes;
use crate::bgp::family::Families;

impl Router {
    /// What is to become of a path that import policy lets in.
    pub(super) fn resolved(
        &mut self,
        index: usize,
        set: &Arc<Attributes>,
        shared: &mut Shared,
    ) -> Fate {
        if let Some((of, fate)) = &shared.resolved
            && Arc::ptr_eq(of, set)
        {
            return *fate;
        }
        let hop = self.resolve(index, set);
        let hop = hop.and_then(|(hop, cost)| self.table.hops.id(&hop, cost));
        let fate = hop.map_or(Fate::Unreachable, Fate::Via);
        shared.resolved = Some((set.clone(), fate));
        fate
    }

    /// Where packets go for a route's NEXT_HOP, and the interior cost of that way; `None` when it cannot be reached or is ourselves (RFC 4271, section 5.1.3).
    fn resolve(&self, index: usize, attributes: &Attributes) -> Option<(NextHop, u32)> {
        let peer = self.peers.get(index)?;
        let sharing = |address: &IpAddr| {
            // The neighbour's own link first: others may have the same link-local addresses.
            let link_local = matches!(address, IpAddr::V6(a) if a.is_unicast_link_local());
            if peer.subnet.contains(address) || link_local {
                return Some(peer);
            }
            self.peers.iter().find(|p| p.subnet.contains(address))
        };
        let link_local = attributes.link_local.map(IpAddr::V6);
        let mut addresses = std::iter::once(attributes.next_hop).chain(link_local);
        let (gateway, over) = addresses.find_map(|a| Some((a, sharing(&a)?)))?;
        if !over.link || self.peers.iter().any(|p| p.spec.local == gateway) {
            return None;
        }
        let hop = NextHop {
            session: peer.index,
            gateway,
            interface: over.interface.clone(),
        };
        Some((hop, over.spec.cost))
    }

    /// A link gained or lost carrier: routes of sessions over other links may have their next hops there.
    pub(super) fn link(&mut self, interface: &str, up: bool) {
        let mut changed = false;
        for peer in &mut self.peers {
            if peer.spec.interface == interface {
                changed |= peer.link != up;
                peer.link = up;
            }
        }
        let meant = |peer: &usize| {
            let held = self.table.sources[*peer].holds(Families::ALL);
            held && self.peers[*peer].spec.interface != interface
        };
        let others: Vec<usize> = (0..self.peers.len()).filter(meant).collect();
        if changed && !others.is_empty() && self.is_gateway(interface) {
            self.resolve_anew(&others);
        }
    }

    /// Whether any route may have its next hop behind a link that is not its session's.
    fn is_gateway(&self, interface: &str) -> bool {
        let over = |hop: &NextHop| {
            let peer = self.peers.get(hop.session.index());
            &*hop.interface == interface && peer.is_some_and(|p| p.spec.interface != interface)
        };
        self.table.unreachable > 0 || self.table.hops.all().iter().any(over)
    }

    /// Looks for the next hops of the sessions' paths again, and decides anew where there are others.
    fn resolve_anew(&mut self, sessions: &[usize]) {
        let mut shared: Vec<Shared> = self.peers.iter().map(|_| Shared::default()).collect();
        let mut moves = Moves::default();
        for number in self.table.all() {
            let paths = self.table.paths(number);
            let ours = paths.filter(|path| sessions.contains(&path.session.index()));
            let ours: Vec<Path> = ours.cloned().collect();
            let mut found = false;
            for mut path in ours {
                let index = path.session.index();
                let Some(set) = path.imported.clone() else {
                    continue;
                };
                let fate = self.resolved(index, &set, &mut shared[index]);
                if fate == path.fate {
                    continue;
                }
                let was = path.verdict();
                path.fate = fate;
                let (now, received) = (path.verdict(), path.received.clone());
                self.table.put(number, path);
                found = true;
                if let Some(received) = received.filter(|_| now != was) {
                    let prefix = self.table.numbers.prefix(number);
                    let of = (&received, &mut shared[index]);
                    self.record_verdict(index, prefix, of, now);
                }
            }
            if found {
                self.leave(number, false, &mut moves);
            }
        }
        self.tell_moves(None, moves);
    }
}
