//! A table by prefix, one hash table for each family, so that an IPv4 route costs 12 bytes and what a table needs around it.
//!
//! **Invariant:** hashed with a seed of this process: no neighbour can make prefixes collide.

use std::collections::HashMap;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What is known of prefixes of both families.
#[derive(Debug)]
pub(super) struct Prefixes<V> {
    ipv4: HashMap<Ipv4Net, V>,
    ipv6: HashMap<Ipv6Net, V>,
}

impl<V> Default for Prefixes<V> {
    fn default() -> Prefixes<V> {
        Prefixes {
            ipv4: HashMap::new(),
            ipv6: HashMap::new(),
        }
    }
}

impl<V> Prefixes<V> {
    pub(super) fn get(&self, prefix: &IpNet) -> Option<&V> {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.get(prefix),
            IpNet::V6(prefix) => self.ipv6.get(prefix),
        }
    }

    pub(super) fn get_mut(&mut self, prefix: &IpNet) -> Option<&mut V> {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.get_mut(prefix),
            IpNet::V6(prefix) => self.ipv6.get_mut(prefix),
        }
    }

    pub(super) fn insert(&mut self, prefix: IpNet, value: V) {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.insert(prefix, value),
            IpNet::V6(prefix) => self.ipv6.insert(prefix, value),
        };
    }

    pub(super) fn remove(&mut self, prefix: &IpNet) -> Option<V> {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.remove(prefix),
            IpNet::V6(prefix) => self.ipv6.remove(prefix),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, &V)> {
        let ipv4 = self.ipv4.iter().map(|(prefix, v)| (IpNet::V4(*prefix), v));
        let ipv6 = self.ipv6.iter().map(|(prefix, v)| (IpNet::V6(*prefix), v));
        ipv4.chain(ipv6)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.ipv4.values_mut().chain(self.ipv6.values_mut())
    }

    /// Keeps what `keep` says, and gives back memory when little is left.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(IpNet, &V) -> bool) {
        self.ipv4.retain(|prefix, v| keep(IpNet::V4(*prefix), v));
        self.ipv6.retain(|prefix, v| keep(IpNet::V6(*prefix), v));
        self.shrink();
    }

    /// Gives back the memory of a burst that is over.
    pub(super) fn shrink(&mut self) {
        if self.ipv4.capacity() > 64 + 8 * self.ipv4.len() {
            self.ipv4.shrink_to(2 * self.ipv4.len());
        }
        if self.ipv6.capacity() > 64 + 8 * self.ipv6.len() {
            self.ipv6.shrink_to(2 * self.ipv6.len());
        }
    }

    /// In the order of prefixes, so that the kernel is told the same in every run.
    pub(super) fn into_sorted(self) -> Vec<(IpNet, V)> {
        let ipv4 = self.ipv4.into_iter().map(|(p, v)| (IpNet::V4(p), v));
        let ipv6 = self.ipv6.into_iter().map(|(p, v)| (IpNet::V6(p), v));
        let mut all: Vec<(IpNet, V)> = ipv4.chain(ipv6).collect();
        all.sort_unstable_by_key(|(prefix, _)| *prefix);
        all
    }

    pub(super) fn len(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
