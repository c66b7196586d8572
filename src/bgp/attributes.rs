//! Path attributes (RFC 4271, section 5), as sets shared between routes.
//!
//! A set is immutable once shared; routes with equal sets hold the same `Arc`, so equality of shared sets is
//! equality of pointers and a route costs a prefix and a pointer.
//!
//! **Invariant:** no received route has an AS_SET (RFC 9774: it was treated as withdrawn when it was received).

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use bytes::Bytes;

use super::hash::{Secret, Set};

/// The attributes of a route.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH: one sequence, nearest AS first; empty inside the originating AS.
    pub as_path: Vec<u32>,
    /// An AS_SET behind the path, of a route that starts here to find out what others make of it; else empty.
    pub as_set: Vec<u32>,
    /// NEXT_HOP, or the global next hop of MP_REACH_NLRI (RFC 4760, section 3; RFC 2545, section 3).
    pub next_hop: IpAddr,
    /// The link-local next hop beside it (RFC 2545, section 3).
    pub link_local: Option<Ipv6Addr>,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF; only inside an AS.
    pub local_pref: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR: AS number and address.
    pub aggregator: Option<(u32, Ipv4Addr)>,
    /// COMMUNITIES (RFC 1997), in the order received.
    pub communities: Vec<u32>,
    /// Extended communities (RFC 4360), in the order received.
    pub extended_communities: Vec<u64>,
    /// Large communities (RFC 8092), in the order received.
    pub large_communities: Vec<LargeCommunity>,
    /// ORIGINATOR_ID (RFC 4456).
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST (RFC 4456).
    pub cluster_list: Vec<Ipv4Addr>,
    /// ONLY_TO_CUSTOMER (RFC 9234): the AS that said it.
    pub only_to_customer: Option<u32>,
    /// Attributes not understood, which are passed on.
    pub unknown: Vec<UnknownAttribute>,
    /// Type codes of understood optional transitive attributes that came with the Partial bit.
    pub partial: Vec<u8>,
}

impl Attributes {
    /// The attributes of a route that starts here: empty path, nothing optional.
    pub fn originated(next_hop: impl Into<IpAddr>) -> Attributes {
        Attributes::of_next_hop(next_hop.into())
    }

    /// As [`Attributes::originated`], known when the program is built.
    pub const fn of_next_hop(next_hop: IpAddr) -> Attributes {
        Attributes {
            origin: Origin::Igp,
            as_path: Vec::new(),
            as_set: Vec::new(),
            next_hop,
            link_local: None,
            med: None,
            local_pref: None,
            atomic_aggregate: false,
            aggregator: None,
            communities: Vec::new(),
            extended_communities: Vec::new(),
            large_communities: Vec::new(),
            originator_id: None,
            cluster_list: Vec::new(),
            only_to_customer: None,
            unknown: Vec::new(),
            partial: Vec::new(),
        }
    }

    /// The AS path as people write it, for example `64500 64500`.
    pub fn as_path_text(&self) -> String {
        let words: Vec<String> = self.as_path.iter().map(u32::to_string).collect();
        words.join(" ")
    }

    /// All communities as people write them, standard, large and extended ones: for example `8075:8007`.
    pub fn community_texts(&self) -> Vec<String> {
        self.all_communities().map(|c| c.to_string()).collect()
    }

    /// All communities: standard, large, extended.
    pub fn all_communities(&self) -> impl Iterator<Item = Community> + '_ {
        let standard = self.communities.iter().copied().map(Community::Standard);
        let large = self.large_communities.iter().copied();
        let extended = self.extended_communities.iter().copied();
        standard
            .chain(large.map(Community::Large))
            .chain(extended.map(Community::Extended))
    }

    /// Bytes of memory it takes, about: itself, its lists, and its place among shared ones.
    pub fn size(&self) -> usize {
        let words = self.as_path.len() + self.as_set.len() + self.communities.len();
        let unknown: usize = self.unknown.iter().map(|u| u.value.len() + 64).sum();
        size_of::<Attributes>()
            + 32
            + 4 * (words + self.cluster_list.len())
            + 8 * self.extended_communities.len()
            + 12 * self.large_communities.len()
            + unknown
            + self.partial.len()
    }

    /// Whether a community is there.
    pub fn has_community(&self, community: Community) -> bool {
        match community {
            Community::Standard(c) => self.communities.contains(&c),
            Community::Extended(c) => self.extended_communities.contains(&c),
            Community::Large(c) => self.large_communities.contains(&c),
        }
    }

    /// Adds a community, if it is not there.
    pub fn add_community(&mut self, community: Community) {
        if self.has_community(community) {
            return;
        }
        match community {
            Community::Standard(c) => self.communities.push(c),
            Community::Extended(c) => self.extended_communities.push(c),
            Community::Large(c) => self.large_communities.push(c),
        }
    }

    /// Removes a community, however often it is there.
    pub fn remove_community(&mut self, community: Community) {
        match community {
            Community::Standard(c) => self.communities.retain(|other| *other != c),
            Community::Extended(c) => self.extended_communities.retain(|other| *other != c),
            Community::Large(c) => self.large_communities.retain(|other| *other != c),
        }
    }
}

/// ORIGIN (RFC 4271, section 5.1.1); the lower one is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Origin {
    /// Interior to the originating AS.
    #[default]
    Igp,
    /// Learned by EGP.
    Egp,
    /// By other means.
    Incomplete,
}

/// A large community (RFC 8092).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LargeCommunity {
    /// Global Administrator, an AS number.
    pub global: u32,
    /// Local Data Part 1.
    pub local_1: u32,
    /// Local Data Part 2.
    pub local_2: u32,
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.global, self.local_1, self.local_2)
    }
}

/// A community of any of the three kinds, which say different things even where they read alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Community {
    /// RFC 1997.
    Standard(u32),
    /// RFC 4360.
    Extended(u64),
    /// RFC 8092.
    Large(LargeCommunity),
}

/// `8075:8007`, `8075:8007:0`, `rt:8075:8007` and `ro:8075:8007`, any other extended one as `ext:0x0600000000000001`.
impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match *self {
            Community::Standard(c) => return write!(f, "{}:{}", c >> 16, c & 0xffff),
            Community::Large(c) => return c.fmt(f),
            Community::Extended(value) => value,
        };
        let [kind, subtype, a, b, c, d, e, g] = value.to_be_bytes();
        let name = match subtype {
            2 => "rt",
            3 => "ro",
            _ => return write!(f, "ext:{value:#018x}"),
        };
        match kind {
            0 => {
                let (asn, number) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g]));
                write!(f, "{name}:{asn}:{number}")
            }
            1 => {
                let (address, number) = (Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, g]));
                write!(f, "{name}:{address}:{number}")
            }
            // A number that fits two octets would read like the first kind (RFC 5668).
            2 if (a, b) != (0, 0) => {
                let (asn, number) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, g]));
                write!(f, "{name}:{asn}:{number}")
            }
            _ => write!(f, "ext:{value:#018x}"),
        }
    }
}

/// An attribute not understood (RFC 4271, section 5): optional transitive, kept with its flags.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnknownAttribute {
    /// Flags as received.
    pub flags: u8,
    /// Type code.
    pub code: u8,
    /// Value.
    pub value: Bytes,
}

/// NO_EXPORT (RFC 1997): not to be told outside the AS.
pub const NO_EXPORT: u32 = 0xffff_ff01;
/// NO_ADVERTISE (RFC 1997): not to be told anyone.
pub const NO_ADVERTISE: u32 = 0xffff_ff02;
/// NO_EXPORT_SUBCONFED (RFC 1997): not to be told external peers.
pub const NO_EXPORT_SUBCONFED: u32 = 0xffff_ff03;

/// GRACEFUL_SHUTDOWN (RFC 8326): the route is about to go.
pub const GRACEFUL_SHUTDOWN: u32 = 0xffff_0000;

/// All attribute sets in use in a router, each once.
#[derive(Debug, Default)]
pub struct AttributeSets {
    sets: Set<Shared>,
    secret: Secret,
    sweep_at: usize,
    bytes: usize,
}

/// A set and its hash, which is worked out once: a table that grows looks into no set again.
#[derive(Debug, PartialEq, Eq)]
struct Shared {
    hash: u64,
    set: Arc<Attributes>,
}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl AttributeSets {
    /// The shared set equal to `attributes`.
    pub fn share(&mut self, attributes: Attributes) -> Arc<Attributes> {
        self.adopt(Arc::new(attributes))
    }

    /// The shared set equal to `attributes`, which becomes the shared one if there is none.
    pub fn adopt(&mut self, attributes: Arc<Attributes>) -> Arc<Attributes> {
        let shared = Shared {
            hash: self.secret.hash_one(&*attributes),
            set: attributes,
        };
        if let Some(known) = self.sets.get(&shared) {
            return known.set.clone();
        }
        if self.sets.len() >= self.sweep_at {
            // Sets no route holds any more are dropped whenever the table would double.
            self.sweep();
        }
        let set = shared.set.clone();
        self.bytes += set.size();
        self.sets.insert(shared);
        set
    }

    /// Drops the sets that no route holds any more.
    pub fn sweep(&mut self) {
        self.bytes = 0;
        self.sets.retain(|Shared { set, .. }| {
            let used = Arc::strong_count(set) > 1;
            self.bytes += if used { set.size() } else { 0 };
            used
        });
        self.sweep_at = (self.sets.len() * 2).max(1024);
    }

    /// Bytes of memory the sets take, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of sets kept, those no longer used but not yet swept included.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_are_the_same_arc() {
        let mut sets = AttributeSets::default();
        let a = sets.share(Attributes::originated(Ipv4Addr::LOCALHOST));
        let b = sets.share(Attributes::originated(Ipv4Addr::LOCALHOST));
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(sets.len(), 1);
    }

    #[test]
    fn unused_sets_are_swept() {
        let mut sets = AttributeSets::default();
        for n in 0..100_000_u32 {
            sets.share(Attributes::originated(Ipv4Addr::from(n)));
        }
        assert!(sets.len() <= 1024, "{} sets kept", sets.len());
    }

    #[test]
    fn texts() {
        let mut a = Attributes::originated(Ipv4Addr::LOCALHOST);
        a.as_path = vec![64500, 64512];
        a.communities = vec![8075 << 16 | 8007];
        a.large_communities = vec![LargeCommunity {
            global: 1,
            local_1: 2,
            local_2: 3,
        }];
        assert_eq!(a.as_path_text(), "64500 64512");
        a.extended_communities = vec![
            0x0002_1f8b_0000_1f47,
            0x0103_c000_0201_0007,
            0x0202_0001_0000_0001,
            0x0202_0000_1f8b_1f47,
            0x4300_0000_0000_0001,
        ];
        let expected = [
            "8075:8007",
            "1:2:3",
            "rt:8075:8007",
            "ro:192.0.2.1:7",
            "rt:65536:1",
            "ext:0x020200001f8b1f47",
            "ext:0x4300000000000001",
        ];
        assert_eq!(a.community_texts(), expected);
    }
}
