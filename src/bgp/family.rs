//! Address families (RFC 4760): IPv4 and IPv6, unicast.

use std::fmt;
use std::ops::{Index, IndexMut};

use ipnet::IpNet;

/// An address family and its subsequent one, of those a session can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// AFI 1, SAFI 1.
    Ipv4Unicast,
    /// AFI 2, SAFI 1.
    Ipv6Unicast,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 2] = [Family::Ipv4Unicast, Family::Ipv6Unicast];

    /// The family of a prefix.
    pub fn of(prefix: &IpNet) -> Family {
        match prefix {
            IpNet::V4(_) => Family::Ipv4Unicast,
            IpNet::V6(_) => Family::Ipv6Unicast,
        }
    }

    /// Address Family Identifier.
    pub fn afi(self) -> u16 {
        match self {
            Family::Ipv4Unicast => 1,
            Family::Ipv6Unicast => 2,
        }
    }

    /// Subsequent Address Family Identifier.
    pub fn safi(self) -> u8 {
        1
    }

    /// The family of two identifiers; `None` when no session here carries it.
    pub fn from_codes(afi: u16, safi: u8) -> Option<Family> {
        Family::ALL
            .into_iter()
            .find(|family| (family.afi(), family.safi()) == (afi, safi))
    }

    const fn bit(self) -> u8 {
        match self {
            Family::Ipv4Unicast => 1,
            Family::Ipv6Unicast => 2,
        }
    }
}

/// Identifiers of families by the names of their RFCs, those that no session here carries, too: `IPv4 VPN`, `L2VPN EVPN`,
/// `AFI 99, SAFI 1`.
pub fn name(afi: u16, safi: u8) -> String {
    let of = |name: &str| match afi {
        1 => Some(format!("IPv4 {name}")),
        2 => Some(format!("IPv6 {name}")),
        25 => Some(format!("L2VPN {name}")),
        _ => None,
    };
    let name = match (afi, safi) {
        (16_388, 71) => Some("BGP-LS".to_owned()),
        (16_388, 72) => Some("BGP-LS VPN".to_owned()),
        (_, 1) => of("unicast"),
        (_, 2) => of("multicast"),
        (_, 4) => of("labeled unicast"),
        (_, 5) => of("multicast VPN"),
        (_, 65) => of("VPLS"),
        (_, 70) => of("EVPN"),
        (_, 73) => of("SR policy"),
        (_, 128) => of("VPN"),
        (_, 132) => of("route target constraint"),
        (_, 133) => of("flow specification"),
        (_, 134) => of("VPN flow specification"),
        _ => None,
    };
    name.unwrap_or_else(|| format!("AFI {afi}, SAFI {safi}"))
}

impl fmt::Display for Family {
    /// `IPv4 unicast`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Ipv4Unicast => "IPv4 unicast",
            Family::Ipv6Unicast => "IPv6 unicast",
        })
    }
}

/// A set of families.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Families(u8);

impl fmt::Debug for Families {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.iter().map(|family| family.to_string()).collect();
        write!(f, "[{}]", names.join(", "))
    }
}

impl Families {
    /// None.
    pub const NONE: Families = Families(0);
    /// IPv4 unicast alone: what a session carries that says nothing (RFC 4760, section 8).
    pub const IPV4: Families = Families(1);

    /// All of them.
    pub const ALL: Families = Families(3);

    /// Whether a family is in the set.
    pub fn contains(self, family: Family) -> bool {
        self.0 & family.bit() != 0
    }

    /// Adds a family.
    pub fn insert(&mut self, family: Family) {
        self.0 |= family.bit();
    }

    /// The set and a family.
    pub const fn with(self, family: Family) -> Families {
        Families(self.0 | family.bit())
    }

    /// Takes a family out.
    pub fn remove(&mut self, family: Family) {
        self.0 &= !family.bit();
    }

    /// What both sets have.
    pub fn and(self, other: Families) -> Families {
        Families(self.0 & other.0)
    }

    /// Whether none is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The families of the set, in order.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |f| self.contains(*f))
    }
}

/// Something for each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ByFamily<T>([T; 2]);

impl<T> ByFamily<T> {
    /// All of it, in the order of [`Family::ALL`].
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

impl<T> Index<Family> for ByFamily<T> {
    type Output = T;

    fn index(&self, family: Family) -> &T {
        &self.0[family as usize]
    }
}

impl<T> IndexMut<Family> for ByFamily<T> {
    fn index_mut(&mut self, family: Family) -> &mut T {
        &mut self.0[family as usize]
    }
}

impl Extend<Family> for Families {
    fn extend<I: IntoIterator<Item = Family>>(&mut self, families: I) {
        for family in families {
            self.insert(family);
        }
    }
}

impl FromIterator<Family> for Families {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Families {
        let mut set = Families::NONE;
        set.extend(families);
        set
    }
}

impl From<Family> for Families {
    fn from(family: Family) -> Families {
        Families(family.bit())
    }
}
