//! How much a neighbour may bring: routes of each family, and memory of the router.
//!
//! **Invariant:** whoever brings too much loses its own session, and nobody else anything.

use super::{Router, session};
use crate::bgp::family::Family;
use crate::bgp::notification::Notification;
use crate::record::Fact;

/// Cease / Out of Resources (RFC 4486, section 4).
const OUT_OF_RESOURCES: (u8, u8) = (6, 8);
/// A session whose routes take no more than this is not ended: little would come of it.
const SMALL: usize = 16 << 10;
/// How long the session rests that took too much memory.
const REST: std::time::Duration = std::time::Duration::from_secs(300);

/// The routes of a family, by how many a session may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Brought {
    /// Nothing to speak of.
    #[default]
    Little,
    /// As many as are to be told, or more.
    Much,
    /// More than it may.
    TooMuch,
}

impl Router {
    /// Looks at the numbers of a session's routes after an UPDATE.
    pub(super) fn limit_prefixes(&mut self, index: usize) {
        if self.peers[index].spec.maximum_prefixes.is_some() {
            for family in Family::ALL {
                self.limit_prefixes_of(index, family);
            }
        }
    }

    fn limit_prefixes_of(&mut self, index: usize, family: Family) {
        let received = self.table.sources[index].received[family];
        let peer = &mut self.peers[index];
        let Some(maximum) = peer.spec.maximum_prefixes.filter(|_| !peer.ended) else {
            return;
        };
        let share = u64::from(maximum.limit) * u64::from(maximum.warn_at);
        let brought = match received {
            _ if received > maximum.limit => Brought::TooMuch,
            _ if u64::from(received) * 100 >= share => Brought::Much,
            _ => Brought::Little,
        };
        let before = std::mem::replace(&mut peer.brought[family], brought);
        if brought > before {
            self.facts.push(Fact::MaximumPrefixes {
                router: self.config.name.clone(),
                session: peer.spec.name.clone(),
                received,
                limit: maximum.limit,
            });
        }
        if brought == Brought::TooMuch && !maximum.warning_only {
            let notification = Notification::maximum_prefixes(family, maximum.limit);
            self.end(index, notification, maximum.restart_after);
        }
    }

    /// Ends the session that takes most when the routes take more memory than they may. Of a session that is down, it is
    /// the stale routes that go.
    pub(super) fn limit_memory(&mut self) {
        let limit = self.config.options.memory;
        if self.bytes() <= limit {
            return;
        }
        self.sets.sweep();
        self.sweep_numbers();
        while self.bytes() > limit {
            let shares = self.table.shares(self.peers.len());
            let others = (0..self.peers.len()).filter(|&index| !self.peers[index].ended);
            let most = others.max_by_key(|&index| shares[index]);
            let Some(most) = most.filter(|&index| shares[index] > SMALL) else {
                return;
            };
            if self.peers[most].up {
                let (code, subcode) = OUT_OF_RESOURCES;
                return self.end(most, Notification::new(code, subcode), Some(REST));
            }
            let why = "no memory for stale routes";
            self.void(most, why);
            self.tell_stale(most, 0, why);
            self.sets.sweep();
            self.sweep_numbers();
        }
    }

    /// Gives up the numbers of prefixes that nobody needs.
    pub(super) fn sweep_numbers(&mut self) {
        let Router { table, peers, .. } = self;
        table.sweep(|number| peers.iter().any(|peer| peer.needs(number)));
    }

    /// Bytes of memory the routes take, about.
    pub(super) fn bytes(&self) -> usize {
        let told = self.peers.iter().map(|peer| peer.rib_out.bytes());
        self.table.bytes(told) + self.sets.bytes()
    }

    fn end(
        &mut self,
        index: usize,
        notification: Notification,
        restart_after: Option<std::time::Duration>,
    ) {
        let now = self.now;
        let peer = &mut self.peers[index];
        peer.ended = true;
        let stop = session::Input::AutomaticStop {
            notification,
            restart_after,
        };
        peer.session.handle(now, stop);
        self.ended = true;
    }
}
