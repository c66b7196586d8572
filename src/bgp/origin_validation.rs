//! Origin validation (RFC 6811): what the RPKI says about the origin AS of a route.
//!
//! A route is *valid* when some VRP covers its prefix, has its origin AS and allows its length; *invalid* when VRPs
//! cover it and none matches; *not found* when none covers it. Both kinds of invalid are told apart, because one is
//! repaired in the router (announce the shorter prefix) and the other at the registry or at the origin.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

/// A validated ROA payload: `asn` may originate `prefix` and what is inside it, down to `max_length` (RFC 6811, section 2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrp {
    /// The prefix.
    pub prefix: IpNet,
    /// The longest announcement that is covered.
    pub max_length: u8,
    /// The AS that may originate it; 0 says that nobody may (RFC 6483, section 4).
    pub asn: u32,
    /// The trust anchor below which it was found, for example `ripe`; not told by RTR.
    pub trust_anchor: Option<Arc<str>>,
}

impl Vrp {
    /// Whether this VRP makes a route valid, given that it covers the route's prefix.
    fn matches(&self, length: u8, origin: u32) -> bool {
        // AS 0 originates nothing (RFC 7607), so a VRP of AS 0 can only make a route invalid.
        self.asn == origin && origin != 0 && length <= self.max_length
    }

    /// What makes two VRPs the same: the trust anchor does not (RFC 8210, section 5.6).
    fn payload(&self) -> (u8, u32) {
        (self.max_length, self.asn)
    }
}

impl fmt::Display for Vrp {
    /// `198.51.100.0/24-25 AS64500 (ripe)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.prefix)?;
        if self.max_length != self.prefix.prefix_len() {
            write!(f, "-{}", self.max_length)?;
        }
        write!(f, " AS{}", self.asn)?;
        match &self.trust_anchor {
            Some(anchor) => write!(f, " ({anchor})"),
            None => Ok(()),
        }
    }
}

/// The state of a route (RFC 6811, section 2), with the reason of an invalid one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Validity {
    /// A VRP covers the prefix, has the origin and allows the length.
    Valid,
    /// VRPs cover the prefix, and none has the origin.
    InvalidAs,
    /// A covering VRP has the origin, but the prefix is longer than it allows.
    InvalidLength,
    /// No VRP covers the prefix.
    NotFound,
}

impl Validity {
    /// Whether the route is invalid, for either reason.
    pub fn is_invalid(self) -> bool {
        matches!(self, Validity::InvalidAs | Validity::InvalidLength)
    }

    /// In words, to follow "the RPKI says".
    pub fn words(self) -> &'static str {
        match self {
            Validity::Valid => "valid",
            Validity::InvalidAs => "invalid: another origin AS",
            Validity::InvalidLength => "invalid: longer than maxLength",
            Validity::NotFound => "not found",
        }
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// A state and the VRPs that decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// The state.
    pub validity: Validity,
    /// Of the covering VRPs, shortest prefix first: those that match when valid, those of the origin when too long,
    /// all when the origin is another; none when not found.
    pub covering: Vec<Vrp>,
}

/// All VRPs known, of both address families. Payloads are unique: of the same one below two trust anchors, the first stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VrpTable {
    ipv4: PrefixMap<Ipv4Net, Vec<Vrp>>,
    ipv6: PrefixMap<Ipv6Net, Vec<Vrp>>,
    len: usize,
}

impl VrpTable {
    /// Adds a VRP, its host bits cleared; `false` when the payload was there already.
    pub fn insert(&mut self, mut vrp: Vrp) -> bool {
        vrp.prefix = vrp.prefix.trunc();
        let place = match vrp.prefix {
            IpNet::V4(prefix) => self.ipv4.entry(prefix).or_default(),
            IpNet::V6(prefix) => self.ipv6.entry(prefix).or_default(),
        };
        let index = place.binary_search_by_key(&vrp.payload(), Vrp::payload);
        if let Err(index) = index {
            place.insert(index, vrp);
            self.len += 1;
        }
        index.is_err()
    }

    /// Removes a payload, whatever its trust anchor; `false` when it was not there.
    pub fn remove(&mut self, vrp: &Vrp) -> bool {
        let prefix = vrp.prefix.trunc();
        let place = match &prefix {
            IpNet::V4(prefix) => self.ipv4.get_mut(prefix),
            IpNet::V6(prefix) => self.ipv6.get_mut(prefix),
        };
        let Some(place) = place else { return false };
        let Ok(index) = place.binary_search_by_key(&vrp.payload(), Vrp::payload) else {
            return false;
        };
        place.remove(index);
        self.len -= 1;
        if place.is_empty() {
            // Also keeps equality a matter of contents alone.
            match &prefix {
                IpNet::V4(prefix) => drop(self.ipv4.remove(prefix)),
                IpNet::V6(prefix) => drop(self.ipv6.remove(prefix)),
            }
        }
        true
    }

    /// How many payloads there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them: IPv4 first, by prefix, maxLength and AS.
    pub fn iter(&self) -> impl Iterator<Item = &Vrp> {
        self.ipv4
            .values()
            .chain(self.ipv6.values())
            .flat_map(|vrps| vrps.iter())
    }

    /// Those that cover `prefix`, whatever their maxLength, shortest prefix first.
    pub fn covering(&self, prefix: impl Into<IpNet>) -> impl Iterator<Item = &Vrp> {
        let (ipv4, ipv6) = match prefix.into() {
            IpNet::V4(prefix) => (Some(self.ipv4.cover_values(&prefix)), None),
            IpNet::V6(prefix) => (None, Some(self.ipv6.cover_values(&prefix))),
        };
        let ipv4 = ipv4.into_iter().flatten();
        ipv4.chain(ipv6.into_iter().flatten()).flatten()
    }

    /// The state of a route. A route without a single origin (its path ends in an AS_SET) has `None`, which no VRP matches;
    /// that of an empty path is the AS of the router, for the caller to say (RFC 6811, section 2).
    pub fn state(&self, prefix: impl Into<IpNet>, origin: Option<u32>) -> Validity {
        let prefix = prefix.into();
        let mut state = Validity::NotFound;
        for vrp in self.covering(prefix) {
            match origin {
                Some(origin) if vrp.matches(prefix.prefix_len(), origin) => return Validity::Valid,
                Some(origin) if vrp.asn == origin && origin != 0 => state = Validity::InvalidLength,
                _ if state == Validity::NotFound => state = Validity::InvalidAs,
                _ => {}
            }
        }
        state
    }

    /// The state of a route, as [`VrpTable::state`] has it, and the VRPs that decided it.
    pub fn validate(&self, prefix: impl Into<IpNet>, origin: Option<u32>) -> Validation {
        let prefix = prefix.into();
        let validity = self.state(prefix, origin);
        let decides = |vrp: &&Vrp| match (validity, origin) {
            (Validity::Valid, Some(origin)) => vrp.matches(prefix.prefix_len(), origin),
            (Validity::InvalidLength, Some(origin)) => vrp.asn == origin,
            _ => true,
        };
        Validation {
            validity,
            covering: self.covering(prefix).filter(decides).cloned().collect(),
        }
    }

    /// What must be removed from `self` and added to it to make `new`, both in the order of [`VrpTable::iter`].
    pub fn changes(&self, new: &VrpTable) -> (Vec<Vrp>, Vec<Vrp>) {
        fn keys(table: &VrpTable) -> BTreeSet<(IpNet, u8, u32)> {
            let key = |vrp: &Vrp| (vrp.prefix, vrp.max_length, vrp.asn);
            table.iter().map(key).collect()
        }
        let missing_in = |keys: &BTreeSet<(IpNet, u8, u32)>, table: &VrpTable| -> Vec<Vrp> {
            let gone = |vrp: &&Vrp| !keys.contains(&(vrp.prefix, vrp.max_length, vrp.asn));
            table.iter().filter(gone).cloned().collect()
        };
        (missing_in(&keys(new), self), missing_in(&keys(self), new))
    }
}

impl FromIterator<Vrp> for VrpTable {
    fn from_iter<I: IntoIterator<Item = Vrp>>(vrps: I) -> VrpTable {
        let mut table = VrpTable::default();
        for vrp in vrps {
            table.insert(vrp);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vrp(prefix: &str, max_length: u8, asn: u32) -> Vrp {
        Vrp {
            prefix: prefix.parse().expect("a prefix"),
            max_length,
            asn,
            trust_anchor: None,
        }
    }

    #[test]
    fn states_are_those_of_the_rfc() {
        let table: VrpTable = [
            vrp("198.51.100.0/24", 24, 64500),
            vrp("203.0.113.0/24", 26, 64500),
            vrp("203.0.113.0/24", 24, 64501),
            vrp("203.0.0.0/16", 16, 64502),
            vrp("192.0.2.0/24", 32, 0),
            vrp("10.0.0.0/8", 8, 0),
            vrp("10.1.0.0/16", 16, 64500),
            vrp("2001:db8::/32", 48, 64500),
        ]
        .into_iter()
        .collect();
        assert_eq!(table.len(), 8);
        use Validity::{InvalidAs, InvalidLength, NotFound, Valid};
        for (prefix, origin, state, decided) in [
            ("198.51.100.0/24", Some(64500), Valid, 1),
            ("198.51.100.0/25", Some(64500), InvalidLength, 1),
            ("198.51.100.0/24", Some(64501), InvalidAs, 1),
            ("198.51.100.0/24", None, InvalidAs, 1),
            ("198.51.100.0/23", Some(64500), NotFound, 0),
            ("198.51.101.0/24", Some(64500), NotFound, 0),
            ("203.0.113.0/26", Some(64500), Valid, 1),
            ("203.0.113.0/27", Some(64500), InvalidLength, 1),
            ("203.0.113.0/25", Some(64501), InvalidLength, 1),
            ("203.0.113.0/24", Some(64502), InvalidLength, 1),
            ("203.0.113.0/24", Some(64499), InvalidAs, 3),
            ("203.0.112.0/24", Some(64499), InvalidAs, 1),
            // AS 0 never makes valid, and never speaks of a length.
            ("192.0.2.0/24", Some(0), InvalidAs, 1),
            ("192.0.2.0/24", Some(64500), InvalidAs, 1),
            ("10.1.0.0/16", Some(64500), Valid, 1),
            ("10.1.1.0/24", Some(64500), InvalidLength, 1),
            ("10.2.0.0/16", Some(64500), InvalidAs, 1),
            ("0.0.0.0/0", Some(64500), NotFound, 0),
        ] {
            let prefix: IpNet = prefix.parse().expect("a prefix");
            let validation = table.validate(prefix, origin);
            assert_eq!(validation.validity, state, "{prefix} from {origin:?}");
            assert_eq!(
                validation.covering.len(),
                decided,
                "{prefix}: {validation:?}"
            );
            assert_eq!(table.state(prefix, origin), state);
        }
    }

    #[test]
    fn a_payload_is_kept_once_and_removed_whatever_its_anchor() {
        let mut named = vrp("198.51.100.7/24", 24, 64500);
        named.trust_anchor = Some("ripe".into());
        let plain = vrp("198.51.100.0/24", 24, 64500);
        let mut table = VrpTable::default();
        assert!(table.insert(named));
        assert!(!table.insert(plain.clone()));
        let kept = table.iter().next().expect("one");
        assert_eq!(kept.to_string(), "198.51.100.0/24 AS64500 (ripe)");
        assert!(table.remove(&plain) && !table.remove(&plain));
        assert!(table.is_empty() && table == VrpTable::default());
    }

    /// A few prefixes near each other, so that they cover each other often.
    fn some_prefix() -> impl Strategy<Value = Ipv4Net> {
        (0u32..64, 0u8..=32).prop_map(|(bits, length)| {
            let address = (bits << 26) | (bits << 3);
            Ipv4Net::new(address.into(), length)
                .expect("up to 32")
                .trunc()
        })
    }

    fn some_vrp() -> impl Strategy<Value = Vrp> {
        (some_prefix(), 0u8..=8, 0u32..4).prop_map(|(prefix, more, asn)| Vrp {
            prefix: prefix.into(),
            max_length: (prefix.prefix_len() + more).min(32),
            asn,
            trust_anchor: None,
        })
    }

    /// RFC 6811, section 2, said once more over a plain list.
    fn naive(vrps: &[Vrp], prefix: Ipv4Net, origin: Option<u32>) -> Validity {
        let covering = || {
            vrps.iter()
                .filter(|v| v.prefix.contains(&IpNet::V4(prefix)))
        };
        let of_origin = || covering().filter(|v| v.asn != 0 && Some(v.asn) == origin);
        if covering().count() == 0 {
            Validity::NotFound
        } else if of_origin().any(|v| prefix.prefix_len() <= v.max_length) {
            Validity::Valid
        } else if of_origin().count() > 0 {
            Validity::InvalidLength
        } else {
            Validity::InvalidAs
        }
    }

    proptest! {
        #[test]
        fn the_table_answers_as_a_plain_list_does(
            vrps in proptest::collection::vec(some_vrp(), 0..24),
            prefix in some_prefix(),
            origin in proptest::option::of(0u32..4),
        ) {
            let table: VrpTable = vrps.iter().cloned().collect();
            let validation = table.validate(prefix, origin);
            prop_assert_eq!(validation.validity, naive(&vrps, prefix, origin));
            prop_assert_eq!(table.state(prefix, origin), validation.validity);
            // The VRPs that decided give the same answer without the others.
            prop_assert_eq!(naive(&validation.covering, prefix, origin), validation.validity);
            let unique: BTreeSet<&Vrp> = vrps.iter().collect();
            prop_assert_eq!(table.len(), unique.len());
            prop_assert_eq!(table.iter().count(), unique.len());
        }

        #[test]
        fn changes_lead_from_one_table_to_another(
            old in proptest::collection::vec(some_vrp(), 0..16),
            new in proptest::collection::vec(some_vrp(), 0..16),
        ) {
            let mut table: VrpTable = old.into_iter().collect();
            let wanted: VrpTable = new.into_iter().collect();
            let (removed, added) = table.changes(&wanted);
            for vrp in removed {
                prop_assert!(table.remove(&vrp));
            }
            for vrp in added {
                prop_assert!(table.insert(vrp));
            }
            prop_assert_eq!(table, wanted);
        }
    }
}
