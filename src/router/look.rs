//! What may be asked of a router besides its tables.
//!
//! **Invariant:** nothing is changed here.

use ipnet::IpNet;

use super::limits::Brought;
use super::peer::Pin;
use super::{Explained, Router, SessionIndex, SessionSpec};
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

    /// Whether a route of the router's own is announced on a session, whatever it learns.
    pub fn originates(&self, session: SessionIndex, prefix: &IpNet) -> bool {
        let number = self.table.numbers.find(prefix);
        let peer = self.peers.get(session.index());
        let pin = number.and_then(|number| peer?.pins.get(number)?.as_ref());
        matches!(pin, Some(Pin::Announced(_)))
    }
}
