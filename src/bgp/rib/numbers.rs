//! Prefixes by number: every prefix of a router has one, and its tables are arrays.
//!
//! A number costs the prefix itself (five bytes for IPv4) and eight bytes of index; a table of a million prefixes is
//! looked into once for a prefix that comes in, and by place from there on. Prefixes nobody needs any more give
//! their numbers back when the table would double.
//!
//! **Invariant:** the order is that of arrival, whatever the hash's secret.

use std::hash::{BuildHasher, Hasher};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::bgp::family::Family;
use crate::bgp::hash::Secret;

/// The number of a prefix, good while the prefix is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(u32);

/// Numbers of IPv6 prefixes have it.
const IPV6: u32 = 1 << 31;
/// So many are numbered before the first look for those that nobody needs.
const FIRST_SWEEP: usize = 1024;

impl Number {
    /// The family of its prefix.
    pub fn family(self) -> Family {
        if self.0 & IPV6 == 0 {
            Family::Ipv4Unicast
        } else {
            Family::Ipv6Unicast
        }
    }

    fn place(self) -> usize {
        (self.0 & !IPV6) as usize
    }

    fn at(family: Family, place: usize) -> Number {
        let place = place as u32;
        match family {
            Family::Ipv4Unicast => Number(place),
            Family::Ipv6Unicast => Number(place | IPV6),
        }
    }
}

/// The prefixes of a router, and their numbers.
#[derive(Debug, Default)]
pub struct Numbers {
    ipv4: Names<Ipv4Net>,
    ipv6: Names<Ipv6Net>,
    sweep_at: usize,
}

impl Numbers {
    /// The number of a prefix, if it has one.
    pub fn find(&self, prefix: &IpNet) -> Option<Number> {
        let (family, place) = match prefix {
            IpNet::V4(prefix) => (Family::Ipv4Unicast, self.ipv4.find(prefix)),
            IpNet::V6(prefix) => (Family::Ipv6Unicast, self.ipv6.find(prefix)),
        };
        place.map(|place| Number::at(family, place))
    }

    /// The number of a prefix, given to it if it has none.
    pub fn number(&mut self, prefix: IpNet) -> Number {
        match prefix {
            IpNet::V4(prefix) => Number::at(Family::Ipv4Unicast, self.ipv4.place(prefix)),
            IpNet::V6(prefix) => Number::at(Family::Ipv6Unicast, self.ipv6.place(prefix)),
        }
    }

    /// The prefix of a number.
    pub fn prefix(&self, number: Number) -> IpNet {
        match number.family() {
            Family::Ipv4Unicast => self.ipv4.nets[number.place()].into(),
            Family::Ipv6Unicast => self.ipv6.nets[number.place()].into(),
        }
    }

    /// All numbers that were ever given, IPv4 first; some may be out of use.
    pub fn all(&self) -> impl Iterator<Item = Number> + use<> {
        let of = |family, count| (0..count).map(move |place| Number::at(family, place));
        let ipv4 = of(Family::Ipv4Unicast, self.ipv4.nets.len());
        ipv4.chain(of(Family::Ipv6Unicast, self.ipv6.nets.len()))
    }

    /// Whether so many prefixes are numbered that those out of use should give their numbers back.
    pub fn is_sweep_due(&self) -> bool {
        self.len() >= self.sweep_at.max(FIRST_SWEEP)
    }

    /// Takes the numbers back that `used` says are out of use.
    pub fn sweep(&mut self, used: impl Fn(Number) -> bool) {
        self.ipv4
            .sweep(|place| used(Number::at(Family::Ipv4Unicast, place)));
        self.ipv6
            .sweep(|place| used(Number::at(Family::Ipv6Unicast, place)));
        self.sweep_at = self.len() * 2;
    }

    /// How many prefixes have a number.
    pub fn len(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A prefix of one family.
trait Net: Copy + Eq {
    /// Its bits, the last one lowest.
    fn bits(self) -> u128;

    /// How many they are.
    fn length(self) -> u8;
}

impl Net for Ipv4Net {
    fn bits(self) -> u128 {
        let beyond = u32::from(32 - self.prefix_len());
        self.addr()
            .to_bits()
            .checked_shr(beyond)
            .unwrap_or(0)
            .into()
    }

    fn length(self) -> u8 {
        self.prefix_len()
    }
}

impl Net for Ipv6Net {
    fn bits(self) -> u128 {
        let beyond = u32::from(128 - self.prefix_len());
        self.addr().to_bits().checked_shr(beyond).unwrap_or(0)
    }

    fn length(self) -> u8 {
        self.prefix_len()
    }
}

/// Slots beside each other, in one line of the cache, for prefixes that differ in their last bits alone: they come together.
const LINE: usize = 16;
/// From a slot that is taken to the next one to look at: in the next line, and in the end every slot there is.
const STEP: usize = LINE + 1;

/// Prefixes of one family, by place, and an index of open addressing, at most half full.
#[derive(Debug)]
struct Names<P> {
    nets: Vec<P>,
    /// Places out of use.
    free: Vec<u32>,
    /// Places plus one; 0 is an empty slot.
    slots: Vec<u32>,
    secret: Secret,
}

impl<P> Default for Names<P> {
    fn default() -> Names<P> {
        Names {
            nets: Vec::new(),
            free: Vec::new(),
            slots: Vec::new(),
            secret: Secret::default(),
        }
    }
}

impl<P: Net> Names<P> {
    fn len(&self) -> usize {
        self.nets.len() - self.free.len()
    }

    fn find(&self, net: &P) -> Option<usize> {
        self.probe(net).ok()
    }

    /// The place of a prefix, or else the slot where its own would be entered.
    fn probe(&self, net: &P) -> Result<usize, usize> {
        let mut slot = self.home(net);
        while let Some(place) = self.slots.get(slot).and_then(|slot| slot.checked_sub(1)) {
            if self.nets[place as usize] == *net {
                return Ok(place as usize);
            }
            slot = (slot + STEP) & (self.slots.len() - 1);
        }
        Err(slot)
    }

    fn place(&mut self, net: P) -> usize {
        if (self.len() + 1) * 2 > self.slots.len() {
            let free: Vec<bool> = self.marked_free();
            self.index(self.len() + 1, |place| !free[place]);
        }
        let slot = match self.probe(&net) {
            Ok(place) => return place,
            Err(slot) => slot,
        };
        let place = match self.free.pop() {
            Some(place) => {
                self.nets[place as usize] = net;
                place as usize
            }
            None => {
                self.nets.push(net);
                self.nets.len() - 1
            }
        };
        self.slots[slot] = place as u32 + 1;
        place
    }

    fn marked_free(&self) -> Vec<bool> {
        let mut free = vec![false; self.nets.len()];
        for &place in &self.free {
            free[place as usize] = true;
        }
        free
    }

    /// Makes the index anew, with room for `count`, of the places that are used.
    fn index(&mut self, count: usize, used: impl Fn(usize) -> bool) {
        let size = (count * 2).next_power_of_two().max(LINE);
        // The old index goes first: both at once are not needed.
        self.slots = Vec::new();
        self.slots = vec![0; size];
        for place in (0..self.nets.len()).filter(|&place| used(place)) {
            self.enter(place);
        }
    }

    fn enter(&mut self, place: usize) {
        let mut slot = self.home(&self.nets[place]);
        while self.slots[slot] != 0 {
            slot = (slot + STEP) & (self.slots.len() - 1);
        }
        self.slots[slot] = place as u32 + 1;
    }

    fn home(&self, net: &P) -> usize {
        let (bits, line) = (net.bits(), LINE as u128);
        let mut hash = self.secret.build_hasher();
        hash.write_u64((bits / line) as u64);
        hash.write_u64(((bits / line) >> 64) as u64 ^ u64::from(net.length()));
        let slot = hash.finish() as usize ^ (bits % line) as usize;
        slot & self.slots.len().wrapping_sub(1)
    }

    fn sweep(&mut self, used: impl Fn(usize) -> bool) {
        let free = self.marked_free();
        let used: Vec<bool> = (0..self.nets.len())
            .map(|place| !free[place] && used(place))
            .collect();
        self.free = (0..self.nets.len() as u32)
            .rev()
            .filter(|&place| !used[place as usize])
            .collect();
        let count = self.len();
        if count == 0 {
            *self = Names::default();
        } else if self.free.len() > free.iter().filter(|free| **free).count() {
            self.index(count, |place| used[place]);
        }
    }
}

/// Something for every number.
#[derive(Debug)]
pub struct Numbered<T> {
    ipv4: Vec<T>,
    ipv6: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Numbered<T> {
        Numbered {
            ipv4: Vec::new(),
            ipv6: Vec::new(),
        }
    }
}

impl<T: Default> Numbered<T> {
    /// What a number has; `None` is as good as the default.
    pub fn get(&self, number: Number) -> Option<&T> {
        self.of(number.family()).get(number.place())
    }

    /// What a number has, to be changed, if there is a place for it.
    pub fn get_mut(&mut self, number: Number) -> Option<&mut T> {
        self.of_mut(number.family()).get_mut(number.place())
    }

    /// What a number has, to be changed; the place is made.
    pub fn place(&mut self, number: Number) -> &mut T {
        let list = self.of_mut(number.family());
        let place = number.place();
        if place >= list.len() {
            list.resize_with(place + 1, T::default);
        }
        &mut list[place]
    }

    /// What a number has, which has the default from here on.
    pub fn take(&mut self, number: Number) -> T {
        self.get_mut(number).map(std::mem::take).unwrap_or_default()
    }

    /// All there is.
    pub fn iter(&self) -> impl Iterator<Item = (Number, &T)> {
        Family::ALL.into_iter().flat_map(|family| {
            let list = self.of(family).iter().enumerate();
            list.map(move |(place, value)| (Number::at(family, place), value))
        })
    }

    /// The numbers there are places for.
    pub fn numbers(&self) -> impl Iterator<Item = Number> + use<T> {
        let families = Family::ALL.map(|family| self.numbers_of(family));
        families.into_iter().flatten()
    }

    /// Those of a family.
    pub fn numbers_of(&self, family: Family) -> impl ExactSizeIterator<Item = Number> + use<T> {
        (0..self.of(family).len()).map(move |place| Number::at(family, place))
    }

    fn of(&self, family: Family) -> &Vec<T> {
        match family {
            Family::Ipv4Unicast => &self.ipv4,
            Family::Ipv6Unicast => &self.ipv6,
        }
    }

    fn of_mut(&mut self, family: Family) -> &mut Vec<T> {
        match family {
            Family::Ipv4Unicast => &mut self.ipv4,
            Family::Ipv6Unicast => &mut self.ipv6,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::bgp::hash::tests::{KNOWN, colliding, secrets};

    #[test]
    fn prefixes_made_to_collide_under_one_secret_spread_under_others() {
        let nets = colliding(KNOWN, 4096);
        let homes = |secret: [u64; 2]| {
            let secret = Secret::of(secret);
            let mut names = Names {
                secret,
                ..Names::default()
            };
            names.index(nets.len(), |_| false);
            let homes: BTreeSet<usize> = nets.iter().map(|net| names.home(net)).collect();
            homes.len()
        };
        assert_eq!(homes(KNOWN), 1);
        for secret in secrets() {
            // Random ones would have 3,223 of 8,192 slots.
            assert!(homes(secret) > 2_800, "{}", homes(secret));
        }
    }

    fn net(n: u8, ipv6: bool) -> IpNet {
        let length = if n.is_multiple_of(3) { 23 } else { 24 };
        if ipv6 {
            let address = Ipv6Addr::new(0x2001, 0xdb8, n.into(), 0, 0, 0, 0, 0);
            IpNet::V6(Ipv6Net::new_assert(address, length * 2))
        } else {
            IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(20, 0, n, 0), length))
        }
    }

    proptest! {
        /// As a map from prefixes to numbers would be: a prefix keeps its number until a sweep, and no two share one.
        #[test]
        fn a_prefix_keeps_its_number_while_it_is_used(
            steps in proptest::collection::vec((any::<u8>(), any::<bool>(), 0..20_u8), 1..600),
        ) {
            let mut numbers = Numbers::default();
            let mut model: BTreeMap<IpNet, Number> = BTreeMap::new();
            for (n, ipv6, what) in steps {
                let prefix = net(n, ipv6);
                if what == 0 {
                    // Those of odd third octets go.
                    model.retain(|prefix, _| matches!(prefix, IpNet::V4(p) if p.addr().octets()[2] % 2 == 0));
                    let kept: Vec<Number> = model.values().copied().collect();
                    numbers.sweep(|number| kept.contains(&number));
                } else {
                    let number = numbers.number(prefix);
                    prop_assert_eq!(*model.entry(prefix).or_insert(number), number);
                }
                prop_assert_eq!(numbers.len(), model.len());
                for (prefix, number) in &model {
                    prop_assert_eq!(numbers.find(prefix), Some(*number));
                    prop_assert_eq!(numbers.prefix(*number), *prefix);
                    prop_assert_eq!(number.family(), Family::of(prefix));
                }
                let mut all: Vec<Number> = model.values().copied().collect();
                all.sort();
                all.dedup();
                prop_assert_eq!(all.len(), model.len());
                prop_assert_eq!(model.contains_key(&prefix), numbers.find(&prefix).is_some());
            }
        }
    }
}
