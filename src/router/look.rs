//! What may be asked of a router besides its tables.
//!
//! **Invariant:** nothing is changed here.

use ipnet::IpNet;

use super::peer::Pin;
use super::{Explained, Router, SessionIndex, SessionSpec};

impl Router {
    /// A session's configuration as it is now: its policies may have been changed since the start.
    pub fn spec(&self, session: SessionIndex) -> Option<&SessionSpec> {
        self.peers.get(session.index()).map(|peer| &peer.spec)
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
