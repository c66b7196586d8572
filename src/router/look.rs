//! What may be asked of a router besides its tables.
//!
//! **Invariant:** nothing is changed here.

use ipnet::IpNet;

use super::export::{self, Ground};
use super::limits::Brought;
use super::peer::Pin;
use super::{Explained, Router, Scope, SessionIndex, SessionSpec, Withheld};
use crate::time::At;

impl Router {
    /// A session's configuration as it is now: its policies may have been changed since the start.
    pub fn spec(&self, session: SessionIndex) -> Option<&SessionSpec> {
        self.peers.get(session.index()).map(|peer| &peer.spec)
    }

    /// Whether a session's routes came to the share of [`super::MaximumPrefixes`] from which on it is told.
    pub fn is_warned(&self, session: SessionIndex) -> bool {
        let peer = self.peers.get(session.index());
        peer.is_some_and(|peer| {
            peer.brought
                .values()
                .any(|&brought| brought > Brought::Little)
        })
    }

    /// When a session that is being shut down gracefully is stopped (RFC 8326).
    pub fn drained_at(&self, session: SessionIndex) -> Option<At> {
        let draining = self.peers.get(session.index())?.draining.as_ref();
        draining.map(|(at, _)| *at)
    }

    /// The longest prefix around a destination that any route is known to, be it the destination itself.
    pub fn covering(&self, destination: &IpNet) -> Option<IpNet> {
        let lengths = (0..=destination.prefix_len()).rev();
        let around = lengths.filter_map(|length| IpNet::new(destination.addr(), length).ok());
        let known = |prefix: &IpNet| {
            let number = self.table.numbers.find(prefix);
            number.is_some_and(|number| self.table.paths(number).next().is_some())
                || self.originates_anywhere(prefix)
        };
        around.map(|prefix| prefix.trunc()).find(known)
    }

    fn originates_anywhere(&self, prefix: &IpNet) -> bool {
        let mut peers = self.peers.iter();
        peers.any(|peer| self.originates(peer.index, prefix))
    }

    /// What became of every route to a prefix, and why: the best first, those that cannot be used last.
    pub fn explain(&self, prefix: &IpNet) -> Vec<Explained<'_>> {
        let number = self.table.numbers.find(prefix);
        number.map_or_else(Vec::new, |number| {
            self.table.explain(number, self.multipath())
        })
    }

    /// The routes to a prefix that an established session's neighbour is not told, and why; without those it told itself,
    /// or has from its own AS.
    pub fn withheld(&self, session: SessionIndex, prefix: &IpNet) -> Vec<Withheld<'_>> {
        let peer = self.peers.get(session.index());
        let number = self.table.numbers.find(prefix);
        let (Some(peer), Some(number)) = (peer, number) else {
            return Vec::new();
        };
        let ground = Ground {
            table: &self.table,
            relations: &self.relations,
            asn: self.config.asn,
            cluster_id: self.cluster_id(),
        };
        export::withheld(peer, ground, number)
    }

    /// The prefixes of which something may be withheld on a session: [`Router::withheld`] says of each whether it is. Export
    /// policy is not asked here, so that a full table is gone through quickly.
    pub fn untold(&self, session: SessionIndex) -> impl Iterator<Item = IpNet> {
        let peer = self.peers.get(session.index()).filter(|peer| peer.up);
        peer.into_iter().flat_map(move |peer| {
            let numbers = self.table.numbers.all();
            let untold = numbers.filter(move |&number| {
                let several = peer.rib_out.several().contains(number.family());
                let offered = match peer.pin(number) {
                    Some(_) => true,
                    None if peer.spec.scope != Scope::All => false,
                    None => {
                        let best = self.table.best(number);
                        best.is_some_and(|best| several || best.session != session)
                    }
                };
                offered && (several || !peer.rib_out.knows(number))
            });
            untold.map(|number| self.table.numbers.prefix(number))
        })
    }

    /// Whether a route of the router's own is announced on a session, whatever it learns.
    pub fn originates(&self, session: SessionIndex, prefix: &IpNet) -> bool {
        let number = self.table.numbers.find(prefix);
        let peer = self.peers.get(session.index());
        let pin = number.and_then(|number| peer?.pins.get(number)?.as_ref());
        matches!(pin, Some(Pin::Announced(_)))
    }
}
