//! Communities as policies name them: one of any kind, or all that begin alike.

use std::fmt;

use crate::bgp::attributes::{Attributes, Community, LargeCommunity};

/// One community, or all of a kind that agree in the parts given: `8075:8007`, `8075:*`, `*:*`, `8075:1:*`, `rt:8075:*`,
/// `rt:*:*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommunityPattern {
    /// RFC 1997: the two halves.
    Standard([Option<u16>; 2]),
    /// RFC 8092: the three numbers.
    Large([Option<u32>; 3]),
    /// RFC 4360: the bits of `mask` are those of `value`.
    Extended {
        /// The eight octets; those not in the mask are 0.
        value: u64,
        /// All, or all but those of the last number.
        mask: u64,
    },
    /// RFC 4360 and RFC 5668: all of a sub-type, 2 for route targets or 3 for route origins, whether an AS number of two octets,
    /// an IPv4 address or an AS number of four octets administers them.
    ExtendedSubtype(u8),
}

impl From<Community> for CommunityPattern {
    fn from(community: Community) -> CommunityPattern {
        match community {
            Community::Standard(c) => {
                CommunityPattern::Standard([Some((c >> 16) as u16), Some(c as u16)])
            }
            Community::Large(c) => {
                CommunityPattern::Large([c.global, c.local_1, c.local_2].map(Some))
            }
            Community::Extended(value) => CommunityPattern::Extended {
                value,
                mask: u64::MAX,
            },
        }
    }
}

impl CommunityPattern {
    /// The only community it is about; `None` when there are many.
    pub fn exact(&self) -> Option<Community> {
        match *self {
            CommunityPattern::Standard([Some(high), Some(low)]) => {
                Some(Community::Standard(u32::from(high) << 16 | u32::from(low)))
            }
            CommunityPattern::Large([Some(global), Some(local_1), Some(local_2)]) => {
                Some(Community::Large(LargeCommunity {
                    global,
                    local_1,
                    local_2,
                }))
            }
            CommunityPattern::Extended {
                value,
                mask: u64::MAX,
            } => Some(Community::Extended(value)),
            _ => None,
        }
    }

    /// Whether a route has one of these.
    pub fn is_in(&self, attributes: &Attributes) -> bool {
        match self {
            CommunityPattern::Standard(halves) => {
                let mut all = attributes.communities.iter();
                all.any(|c| standard(halves, *c))
            }
            CommunityPattern::Large(parts) => {
                let mut all = attributes.large_communities.iter();
                all.any(|c| large(parts, c))
            }
            CommunityPattern::Extended { value, mask } => {
                let mut all = attributes.extended_communities.iter();
                all.any(|c| c & mask == *value)
            }
            CommunityPattern::ExtendedSubtype(subtype) => {
                let mut all = attributes.extended_communities.iter();
                all.any(|c| is_of(*subtype, *c))
            }
        }
    }

    /// Removes all of these from a route.
    pub fn remove_from(&self, attributes: &mut Attributes) {
        match self {
            CommunityPattern::Standard(halves) => {
                attributes.communities.retain(|c| !standard(halves, *c));
            }
            CommunityPattern::Large(parts) => {
                attributes.large_communities.retain(|c| !large(parts, c));
            }
            CommunityPattern::Extended { value, mask } => {
                let other = |c: &u64| c & mask != *value;
                attributes.extended_communities.retain(other);
            }
            CommunityPattern::ExtendedSubtype(subtype) => {
                let all = &mut attributes.extended_communities;
                all.retain(|c| !is_of(*subtype, *c));
            }
        }
    }
}

fn standard([high, low]: &[Option<u16>; 2], community: u32) -> bool {
    high.is_none_or(|high| u32::from(high) == community >> 16)
        && low.is_none_or(|low| u32::from(low) == community & 0xffff)
}

fn large(parts: &[Option<u32>; 3], c: &LargeCommunity) -> bool {
    let numbers = [c.global, c.local_1, c.local_2];
    let mut both = parts.iter().zip(numbers);
    both.all(|(part, number)| part.is_none_or(|part| part == number))
}

/// Whether it is a transitive one of a type with an administrator (0, 1 or 2), and of this sub-type.
fn is_of(subtype: u8, community: u64) -> bool {
    let [kind, sub, ..] = community.to_be_bytes();
    kind <= 2 && sub == subtype
}

/// Communities with names (the registry of well-known ones, RFC 1997): halves and name.
pub const WELL_KNOWN: [(u16, u16, &str); 9] = [
    (0xffff, 0, "graceful-shutdown"),
    (0xffff, 1, "accept-own"),
    (0xffff, 6, "llgr-stale"),
    (0xffff, 7, "no-llgr"),
    (0xffff, 666, "blackhole"),
    (0xffff, 0xff01, "no-export"),
    (0xffff, 0xff02, "no-advertise"),
    (0xffff, 0xff03, "no-export-subconfed"),
    (0xffff, 0xff04, "no-peer"),
];

/// As policies write it; a well-known one by its name.
impl fmt::Display for CommunityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn part<T: fmt::Display>(part: &Option<T>) -> String {
            part.as_ref().map_or("*".to_owned(), ToString::to_string)
        }
        match self {
            CommunityPattern::Standard([high, low]) => {
                let mut known = WELL_KNOWN.iter();
                let known = known.find(|(a, b, _)| (Some(*a), Some(*b)) == (*high, *low));
                match known {
                    Some((_, _, name)) => f.write_str(name),
                    None => write!(f, "{}:{}", part(high), part(low)),
                }
            }
            CommunityPattern::Large([a, b, c]) => {
                write!(f, "{}:{}:{}", part(a), part(b), part(c))
            }
            CommunityPattern::Extended { value, mask } => {
                let text = Community::Extended(*value).to_string();
                match (*mask, text.rsplit_once(':')) {
                    (u64::MAX, _) | (_, None) => f.write_str(&text),
                    (_, Some((all, _))) => write!(f, "{all}:*"),
                }
            }
            CommunityPattern::ExtendedSubtype(3) => f.write_str("ro:*:*"),
            CommunityPattern::ExtendedSubtype(_) => f.write_str("rt:*:*"),
        }
    }
}
