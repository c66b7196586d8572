//! A table by prefix, with one hash table for each address family, so that an IPv4 prefix costs five bytes.
//!
//! **Invariant:** the order in which it is walked says nothing, and is another one under another secret.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::hash::Map;

/// A map from prefixes.
#[derive(Debug, Clone, PartialEq)]
pub struct PrefixMap<V> {
    ipv4: Map<Ipv4Net, V>,
    ipv6: Map<Ipv6Net, V>,
}

impl<V> Default for PrefixMap<V> {
    fn default() -> PrefixMap<V> {
        PrefixMap {
            ipv4: Map::default(),
            ipv6: Map::default(),
        }
    }
}

impl<V> PrefixMap<V> {
    /// The value of a prefix.
    pub fn get(&self, prefix: &IpNet) -> Option<&V> {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.get(prefix),
            IpNet::V6(prefix) => self.ipv6.get(prefix),
        }
    }

    /// The value of a prefix, to be changed.
    pub fn get_mut(&mut self, prefix: &IpNet) -> Option<&mut V> {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.get_mut(prefix),
            IpNet::V6(prefix) => self.ipv6.get_mut(prefix),
        }
    }

    /// The value of a prefix, made if it has none.
    pub fn get_or_insert_with(&mut self, prefix: IpNet, make: impl FnOnce() -> V) -> &mut V {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.entry(prefix).or_insert_with(make),
            IpNet::V6(prefix) => self.ipv6.entry(prefix).or_insert_with(make),
        }
    }

    /// Whether a prefix has a value.
    pub fn contains(&self, prefix: &IpNet) -> bool {
        self.get(prefix).is_some()
    }

    /// Gives a prefix a value, and says which it had.
    pub fn insert(&mut self, prefix: IpNet, value: V) -> Option<V> {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.insert(prefix, value),
            IpNet::V6(prefix) => self.ipv6.insert(prefix, value),
        }
    }

    /// Takes the value of a prefix away, and says which it was.
    pub fn remove(&mut self, prefix: &IpNet) -> Option<V> {
        match prefix {
            IpNet::V4(prefix) => self.ipv4.remove(prefix),
            IpNet::V6(prefix) => self.ipv6.remove(prefix),
        }
    }

    /// All prefixes and their values.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, &V)> {
        let ipv4 = self.ipv4.iter().map(|(prefix, v)| (IpNet::V4(*prefix), v));
        let ipv6 = self.ipv6.iter().map(|(prefix, v)| (IpNet::V6(*prefix), v));
        ipv4.chain(ipv6)
    }

    /// All prefixes and their values, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (IpNet, &mut V)> {
        let ipv4 = self.ipv4.iter_mut();
        let ipv6 = self.ipv6.iter_mut();
        let ipv4 = ipv4.map(|(prefix, v)| (IpNet::V4(*prefix), v));
        ipv4.chain(ipv6.map(|(prefix, v)| (IpNet::V6(*prefix), v)))
    }

    /// All prefixes.
    pub fn keys(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.iter().map(|(prefix, _)| prefix)
    }

    /// Number of prefixes.
    pub fn len(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ipv4.is_empty() && self.ipv6.is_empty()
    }

    /// Gives back memory that far fewer than now would need.
    pub fn shrink_to(&mut self, capacity: usize) {
        self.ipv4.shrink_to(capacity);
        self.ipv6.shrink_to(capacity);
    }

    /// Empties the map, and says what was in it.
    pub fn drain(&mut self) -> impl Iterator<Item = (IpNet, V)> + use<V> {
        let PrefixMap { ipv4, ipv6 } = std::mem::take(self);
        let ipv4 = ipv4.into_iter().map(|(prefix, v)| (prefix.into(), v));
        ipv4.chain(ipv6.into_iter().map(|(prefix, v)| (prefix.into(), v)))
    }
}
