//! Numbers set aside: the special-purpose registries of IANA for IPv4, IPv6 (RFC 6890, RFC 8190) and AS numbers (RFC 7249).
//!
//! The tables have the registries' rows, names and columns as of November 2025. To them come multicast (RFC 5771, RFC 4291)
//! and the range 65552 to 131071, reserved in the registry of AS numbers itself.
//! Gap: space that IANA or a regional registry has not allocated yet changes daily and is not here.

use std::fmt;
use std::sync::LazyLock;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::bgp::policy::PrefixRange;

/// A block of addresses that is set aside. A column is `None` where the registry has "N/A" or, for a block that was
/// given back, nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Special {
    /// The block.
    pub block: IpNet,
    /// What it is for, in the registry's words.
    pub name: &'static str,
    /// Where it is defined.
    pub rfc: &'static str,
    /// Whether a packet between two devices may come from it.
    pub source: Option<bool>,
    /// Whether a packet between two devices may go to it.
    pub destination: Option<bool>,
    /// Whether a router may forward a packet to it.
    pub forwardable: Option<bool>,
    /// Whether a packet to it may leave an administrative domain.
    pub globally_reachable: Option<bool>,
    /// Whether implementations must treat it specially.
    pub reserved_by_protocol: Option<bool>,
    /// Whether it is for documentation (RFC 5737, RFC 3849, RFC 9637).
    pub documentation: bool,
}

impl fmt::Display for Special {
    /// `IANA has set aside 10.0.0.0/8: Private-Use (RFC 1918)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Special {
            block, name, rfc, ..
        } = self;
        write!(f, "IANA has set aside {block}: {name} ({rfc})")
    }
}

impl Special {
    /// Whether it keeps what is inside it out of the public routing table.
    fn is_bogon(&self, documentation_is_public: bool) -> bool {
        self.globally_reachable != Some(true) && !(documentation_is_public && self.documentation)
    }
}

/// What a range of AS numbers is set aside for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsnUse {
    /// Private use.
    Private,
    /// Documentation and sample code.
    Documentation,
    /// Nothing: reserved, or AS_TRANS.
    Reserved,
    /// A public service (AS112): it may stand in a public path.
    Service,
}

/// A range of AS numbers that is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialAsns {
    /// The first.
    pub first: u32,
    /// The last.
    pub last: u32,
    /// What for.
    pub usage: AsnUse,
    /// The same in words.
    pub name: &'static str,
    /// Where it is defined.
    pub rfc: &'static str,
}

impl fmt::Display for SpecialAsns {
    /// `IANA has set aside AS 64512 to 65534: private use (RFC 6996)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IANA has set aside AS {}", self.first)?;
        if self.last != self.first {
            write!(f, " to {}", self.last)?;
        }
        write!(f, ": {} ({})", self.name, self.rfc)
    }
}

/// The row that says most about a prefix: the longest block that covers it, else the first block inside it.
pub fn ipv4(prefix: Ipv4Net) -> Option<&'static Special> {
    most_telling(&IPV4, prefix.into())
}

/// The row that says most about a prefix: the longest block that covers it, else the first block inside it.
pub fn ipv6(prefix: Ipv6Net) -> Option<&'static Special> {
    most_telling(&IPV6, prefix.into())
}

/// The range an AS number is in.
pub fn asn(number: u32) -> Option<&'static SpecialAsns> {
    ASNS.iter()
        .find(|range| (range.first..=range.last).contains(&number))
}

/// The row that keeps a prefix out of the public routing table: one that covers it or that it covers, and is not
/// globally reachable. With `documentation_is_public`, the blocks for documentation do not count.
pub fn bogon(prefix: impl Into<IpNet>, documentation_is_public: bool) -> Option<&'static Special> {
    let prefix = prefix.into();
    let table = match prefix {
        IpNet::V4(_) => &IPV4,
        IpNet::V6(_) => &IPV6,
    };
    let wrong = |row: &&Special| row.is_bogon(documentation_is_public);
    // A block inside another has its own purpose, so the longest of those that cover decides.
    let covering = longest_covering(table, prefix).filter(wrong);
    let inside = || {
        table
            .iter()
            .find(|row| prefix.contains(&row.block) && wrong(row))
    };
    covering.or_else(inside)
}

/// Every prefix of either family that a row of its own or around it keeps out of the public routing table, as [`bogon`]
/// says, in the registry's order.
pub fn bogons(documentation_is_public: bool) -> Vec<PrefixRange> {
    let mut ranges = Vec::new();
    for table in [&*IPV4, &*IPV6] {
        let (wrong, right): (Vec<&Special>, Vec<&Special>) =
            (table.iter()).partition(|row| row.is_bogon(documentation_is_public));
        let right: Vec<IpNet> = right.into_iter().map(|row| row.block).collect();
        for row in wrong {
            all_but(row.block, &right, &mut ranges);
        }
    }
    ranges
}

/// Adds the prefixes inside `block`, itself included, that none of `others` covers.
fn all_but(block: IpNet, others: &[IpNet], ranges: &mut Vec<PrefixRange>) {
    // A block around this one has no say in it: the longer decides.
    let mut waiting = vec![block];
    while let Some(block) = waiting.pop() {
        if others.contains(&block) {
            continue;
        }
        if !others.iter().any(|other| block.contains(other)) {
            ranges.push(PrefixRange::or_longer(block));
            continue;
        }
        ranges.push(PrefixRange::exact(block));
        let halves = block.subnets(block.prefix_len() + 1);
        waiting.extend(halves.into_iter().flatten());
    }
}

/// All ranges of AS numbers that are set aside.
pub fn asns() -> &'static [SpecialAsns] {
    &ASNS
}

/// The range that keeps an AS number out of public paths. With `documentation_is_public`, those for documentation do not count.
pub fn bogon_asn(number: u32, documentation_is_public: bool) -> Option<&'static SpecialAsns> {
    asn(number).filter(|range| match range.usage {
        AsnUse::Private | AsnUse::Reserved => true,
        AsnUse::Documentation => !documentation_is_public,
        AsnUse::Service => false,
    })
}

fn longest_covering(table: &'static [Special], prefix: IpNet) -> Option<&'static Special> {
    let covering = table.iter().filter(|row| row.block.contains(&prefix));
    covering.max_by_key(|row| row.block.prefix_len())
}

fn most_telling(table: &'static [Special], prefix: IpNet) -> Option<&'static Special> {
    let inside = || table.iter().find(|row| prefix.contains(&row.block));
    longest_covering(table, prefix).or_else(inside)
}

static IPV4: LazyLock<Vec<Special>> = LazyLock::new(|| rows(IPV4_TABLE));
static IPV6: LazyLock<Vec<Special>> = LazyLock::new(|| rows(IPV6_TABLE));
static ASNS: LazyLock<Vec<SpecialAsns>> = LazyLock::new(|| {
    let rows = ASN_TABLE.lines().map(str::trim);
    rows.filter(|row| !row.is_empty())
        .map(|row| asn_row(row).unwrap_or_else(|| panic!("a row of AS numbers: {row}")))
        .collect()
});

fn rows(table: &'static str) -> Vec<Special> {
    let rows = table.lines().map(str::trim);
    rows.filter(|row| !row.is_empty())
        .map(|row| block_row(row).unwrap_or_else(|| panic!("a row of blocks: {row}")))
        .collect()
}

fn block_row(row: &'static str) -> Option<Special> {
    let mut columns = row.split('|').map(str::trim);
    let mut next = || columns.next();
    let (block, flags, rfc, name) = (next()?, next()?, next()?, next()?);
    let mut flags = flags.chars().map(|flag| match flag {
        'T' => Some(true),
        'F' => Some(false),
        _ => None,
    });
    let mut flag = || flags.next();
    Some(Special {
        block: block.parse().ok()?,
        name,
        rfc,
        source: flag()?,
        destination: flag()?,
        forwardable: flag()?,
        globally_reachable: flag()?,
        reserved_by_protocol: flag()?,
        documentation: name.starts_with("Documentation"),
    })
}

fn asn_row(row: &'static str) -> Option<SpecialAsns> {
    let mut columns = row.split('|').map(str::trim);
    let mut next = || columns.next();
    let (range, usage, rfc, name) = (next()?, next()?, next()?, next()?);
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    Some(SpecialAsns {
        first: first.parse().ok()?,
        last: last.parse().ok()?,
        usage: match usage {
            "private" => AsnUse::Private,
            "documentation" => AsnUse::Documentation,
            "reserved" => AsnUse::Reserved,
            "service" => AsnUse::Service,
            _ => return None,
        },
        name,
        rfc,
    })
}

/// The columns of the flags: source, destination, forwardable, globally reachable, reserved by protocol.
const IPV4_TABLE: &str = "
    0.0.0.0/8          | TFFFT | RFC 791, section 3.2     | This network
    0.0.0.0/32         | TFFFT | RFC 1122, section 3.2.1.3 | This host on this network
    10.0.0.0/8         | TTTFF | RFC 1918                 | Private-Use
    100.64.0.0/10      | TTTFF | RFC 6598                 | Shared Address Space
    127.0.0.0/8        | FFFFT | RFC 1122, section 3.2.1.3 | Loopback
    169.254.0.0/16     | TTFFT | RFC 3927                 | Link Local
    172.16.0.0/12      | TTTFF | RFC 1918                 | Private-Use
    192.0.0.0/24       | FFFFF | RFC 6890, section 2.1    | IETF Protocol Assignments
    192.0.0.0/29       | TTTFF | RFC 7335                 | IPv4 Service Continuity Prefix
    192.0.0.8/32       | TFFFF | RFC 7600                 | IPv4 dummy address
    192.0.0.9/32       | TTTTF | RFC 7723                 | Port Control Protocol Anycast
    192.0.0.10/32      | TTTTF | RFC 8155                 | Traversal Using Relays around NAT Anycast
    192.0.0.170/32     | FFFFT | RFC 8880, RFC 7050       | NAT64/DNS64 Discovery
    192.0.0.171/32     | FFFFT | RFC 8880, RFC 7050       | NAT64/DNS64 Discovery
    192.0.2.0/24       | FFFFF | RFC 5737                 | Documentation (TEST-NET-1)
    192.31.196.0/24    | TTTTF | RFC 7535                 | AS112-v4
    192.52.193.0/24    | TTTTF | RFC 7450                 | AMT
    192.88.99.0/24     | ----- | RFC 7526                 | Deprecated (6to4 Relay Anycast)
    192.88.99.2/32     | TTTFF | RFC 6751                 | 6a44-relay anycast address
    192.168.0.0/16     | TTTFF | RFC 1918                 | Private-Use
    192.175.48.0/24    | TTTTF | RFC 7534                 | Direct Delegation AS112 Service
    198.18.0.0/15      | TTTFF | RFC 2544                 | Benchmarking
    198.51.100.0/24    | FFFFF | RFC 5737                 | Documentation (TEST-NET-2)
    203.0.113.0/24     | FFFFF | RFC 5737                 | Documentation (TEST-NET-3)
    224.0.0.0/4        | F---F | RFC 5771                 | Multicast
    240.0.0.0/4        | FFFFT | RFC 1112, section 4      | Reserved
    255.255.255.255/32 | FTFFT | RFC 8190, RFC 919, section 7 | Limited Broadcast
";

const IPV6_TABLE: &str = "
    ::1/128           | FFFFT | RFC 4291           | Loopback Address
    ::/128            | TFFFT | RFC 4291           | Unspecified Address
    ::ffff:0:0/96     | FFFFT | RFC 4291           | IPv4-mapped Address
    64:ff9b::/96      | TTTTF | RFC 6052           | IPv4-IPv6 Translation
    64:ff9b:1::/48    | TTTFF | RFC 8215           | IPv4-IPv6 Translation
    100::/64          | TTTFF | RFC 6666           | Discard-Only Address Block
    100:0:0:1::/64    | TFFFF | RFC 9780           | Dummy IPv6 Prefix
    2001::/23         | FFFFF | RFC 2928           | IETF Protocol Assignments
    2001::/32         | TTT-F | RFC 4380, RFC 8190 | TEREDO
    2001:1::1/128     | TTTTF | RFC 7723           | Port Control Protocol Anycast
    2001:1::2/128     | TTTTF | RFC 8155           | Traversal Using Relays around NAT Anycast
    2001:1::3/128     | TTTTF | RFC 9665           | DNS-SD Service Registration Protocol Anycast
    2001:2::/48       | TTTFF | RFC 5180           | Benchmarking
    2001:3::/32       | TTTTF | RFC 7450           | AMT
    2001:4:112::/48   | TTTTF | RFC 7535           | AS112-v6
    2001:10::/28      | ----- | RFC 4843           | Deprecated (previously ORCHID)
    2001:20::/28      | TTTTF | RFC 7343           | ORCHIDv2
    2001:30::/28      | TTTTF | RFC 9374           | Drone Remote ID Protocol Entity Tags (DETs) Prefix
    2001:db8::/32     | FFFFF | RFC 3849           | Documentation
    2002::/16         | TTT-F | RFC 3056           | 6to4
    2620:4f:8000::/48 | TTTTF | RFC 7534           | Direct Delegation AS112 Service
    3fff::/20         | FFFFF | RFC 9637           | Documentation
    5f00::/16         | TTTFF | RFC 9602           | Segment Routing (SRv6) SIDs
    fc00::/7          | TTTFF | RFC 4193, RFC 8190 | Unique-Local
    fe80::/10         | TTFFT | RFC 4291           | Link-Local Unicast
    ff00::/8          | F---F | RFC 4291           | Multicast
";

const ASN_TABLE: &str = "
    0                     | reserved      | RFC 7607 | reserved
    112                   | service       | RFC 7534 | the AS112 project, which sinks misdirected DNS queries
    23456                 | reserved      | RFC 6793 | AS_TRANS
    64496-64511           | documentation | RFC 5398 | documentation and sample code
    64512-65534           | private       | RFC 6996 | private use
    65535                 | reserved      | RFC 7300 | reserved
    65536-65551           | documentation | RFC 5398 | documentation and sample code
    65552-131071          | reserved      | RFC 1930 | reserved
    4200000000-4294967294 | private       | RFC 6996 | private use
    4294967295            | reserved      | RFC 7300 | reserved
";

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::bgp::policy::PrefixSet;

    fn net(text: &str) -> Ipv4Net {
        text.parse().expect("a prefix")
    }

    #[test]
    fn the_tables_are_whole_and_in_order() {
        // The registry has 26 and 25 blocks; multicast is ours.
        assert_eq!((IPV4.len(), IPV6.len(), ASNS.len()), (27, 26, 10));
        for row in IPV4.iter().chain(IPV6.iter()) {
            assert_eq!(row.block, row.block.trunc(), "{row}");
            assert!(row.rfc.starts_with("RFC ") && !row.name.is_empty(), "{row}");
        }
        assert!(IPV4.iter().all(|row| row.block.addr().is_ipv4()));
        assert!(IPV6.iter().all(|row| row.block.addr().is_ipv6()));
        assert_eq!(IPV4.iter().filter(|row| row.documentation).count(), 3);
        assert_eq!(IPV6.iter().filter(|row| row.documentation).count(), 2);
        assert!(ASNS.windows(2).all(|pair| pair[0].last < pair[1].first));
    }

    #[test]
    fn bogons_overlap_a_block_in_either_direction() {
        for (prefix, block) in [
            ("9.255.255.0/24", None),
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.255.255.255/32", Some("10.0.0.0/8")),
            ("10.0.0.0/7", Some("10.0.0.0/8")),
            ("11.0.0.0/24", None),
            ("100.63.255.0/24", None),
            ("100.64.0.0/24", Some("100.64.0.0/10")),
            ("100.127.255.0/24", Some("100.64.0.0/10")),
            ("100.128.0.0/24", None),
            ("172.15.255.0/24", None),
            ("172.31.255.0/24", Some("172.16.0.0/12")),
            ("172.32.0.0/24", None),
            ("192.0.0.9/32", None),
            ("192.0.0.8/31", Some("192.0.0.0/24")),
            ("192.0.2.128/25", Some("192.0.2.0/24")),
            ("192.0.0.0/16", Some("192.0.0.0/24")),
            ("192.31.196.0/24", None),
            ("192.88.99.2/32", Some("192.88.99.2/32")),
            ("198.17.255.0/24", None),
            ("198.19.255.0/24", Some("198.18.0.0/15")),
            ("198.20.0.0/24", None),
            ("223.255.255.0/24", None),
            ("239.255.255.0/24", Some("224.0.0.0/4")),
            ("255.255.255.255/32", Some("255.255.255.255/32")),
            ("0.0.0.0/0", Some("0.0.0.0/8")),
        ] {
            let found = bogon(net(prefix), false).map(|row| row.block.to_string());
            assert_eq!(found.as_deref(), block, "{prefix}");
        }
        assert_eq!(bogon(net("198.51.100.0/24"), true), None);
        assert_eq!(bogon(net("203.0.113.7/32"), true), None);
        assert_eq!(bogon(net("203.0.112.0/23"), true), None);
        assert!(bogon(net("192.0.0.0/22"), true).is_some_and(|row| !row.documentation));
    }

    #[test]
    fn the_set_has_what_a_row_around_it_keeps_out() {
        for public in [false, true] {
            let ranges = bogons(public);
            let set: PrefixSet = ranges.into_iter().collect();
            let rows = || IPV4.iter().chain(IPV6.iter());
            for prefix in rows().flat_map(|row| neighbours(row.block)) {
                // One that has such a block inside it is a bogon for that alone, and none of the set.
                let around = |row: &&Special| row.block.contains(&prefix);
                let expected = bogon(prefix, public).filter(around);
                assert_eq!(set.contains(prefix), expected.is_some(), "{prefix}");
            }
            for prefix in [
                "2001:4:112::/48",
                "2001:3::/32",
                "2001:20::/28",
                "2001:30::/28",
            ] {
                let prefix: IpNet = prefix.parse().expect("a prefix");
                assert!(!set.contains(prefix), "{prefix}");
            }
            assert!(set.contains("2001::/23".parse::<IpNet>().expect("a prefix")));
        }
    }

    /// A block, those around it, both its halves, its first and last address, and the blocks before and after it.
    fn neighbours(block: IpNet) -> Vec<IpNet> {
        let longest = block.max_prefix_len();
        let length = block.prefix_len();
        let cut = |address, length| IpNet::new(address, length).expect("a length").trunc();
        let mut all: Vec<IpNet> = (0..=length).map(|l| cut(block.network(), l)).collect();
        let ends = [block.network(), block.broadcast()];
        for address in ends {
            all.extend((length..=longest).map(|l| cut(address, l)));
        }
        let beside = |address: IpAddr, up: bool| match address {
            IpAddr::V4(a) => {
                let bits = u32::from(a);
                let bits = if up {
                    bits.checked_add(1)
                } else {
                    bits.checked_sub(1)
                };
                bits.map(|bits| IpAddr::V4(bits.into()))
            }
            IpAddr::V6(a) => {
                let bits = u128::from(a);
                let bits = if up {
                    bits.checked_add(1)
                } else {
                    bits.checked_sub(1)
                };
                bits.map(|bits| IpAddr::V6(bits.into()))
            }
        };
        let besides = [beside(ends[0], false), beside(ends[1], true)];
        for address in besides.into_iter().flatten() {
            all.extend((0..=longest).map(|l| cut(address, l)));
        }
        all
    }

    #[test]
    fn as_numbers_are_set_aside_up_to_their_ends() {
        use AsnUse::{Documentation, Private, Reserved, Service};
        for (number, usage) in [
            (0, Some(Reserved)),
            (1, None),
            (112, Some(Service)),
            (8075, None),
            (23_455, None),
            (23_456, Some(Reserved)),
            (64_495, None),
            (64_496, Some(Documentation)),
            (64_511, Some(Documentation)),
            (64_512, Some(Private)),
            (65_534, Some(Private)),
            (65_535, Some(Reserved)),
            (65_551, Some(Documentation)),
            (65_552, Some(Reserved)),
            (131_071, Some(Reserved)),
            (131_072, None),
            (4_199_999_999, None),
            (4_200_000_000, Some(Private)),
            (4_294_967_294, Some(Private)),
            (4_294_967_295, Some(Reserved)),
        ] {
            assert_eq!(asn(number).map(|range| range.usage), usage, "AS {number}");
        }
        assert!(bogon_asn(64_500, false).is_some() && bogon_asn(64_500, true).is_none());
        assert!(bogon_asn(112, false).is_none() && bogon_asn(64_512, true).is_some());
    }

    #[test]
    fn a_row_says_itself_in_words() {
        let row = ipv4(net("10.1.0.0/16")).expect("private");
        assert_eq!(
            row.to_string(),
            "IANA has set aside 10.0.0.0/8: Private-Use (RFC 1918)"
        );
        let row = ipv6("2001:db8:7::/48".parse().expect("a prefix")).expect("documentation");
        assert_eq!(
            row.to_string(),
            "IANA has set aside 2001:db8::/32: Documentation (RFC 3849)"
        );
        let range = asn(65_000).expect("private");
        assert_eq!(
            range.to_string(),
            "IANA has set aside AS 64512 to 65534: private use (RFC 6996)"
        );
    }
}
