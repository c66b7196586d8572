//! Numbers of a topology: AS numbers, session subnets, prefixes and addresses, and their clashes.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::parse::documentation_is_public;
use super::raw::RawTopology;
use crate::plan::of_topology::{INTERNAL_RANGE, MICROSOFT_RANGE};
use crate::source::{Located, Mistakes, Prefix, Span};

/// Adds every breach.
pub(super) fn check(raw: &RawTopology, mistakes: &mut Mistakes) {
    let documentation = documentation_is_public(raw);
    if let Some(asn) = raw.peer.as_ref().and_then(|peer| peer.value.asn) {
        peer_asn(asn, documentation, mistakes);
    }
    let mut subnets: Vec<(String, Located<Prefix>)> = Vec::new();
    for (name, connection) in &raw.connection.0 {
        if let Some(subnet) = connection.ipv4 {
            session_subnet(subnet, documentation, mistakes);
            subnets.push((format!("the session of `{}`", name.value), subnet));
        }
    }
    for (name, endpoint) in &raw.endpoint.0 {
        if let Some(prefix) = endpoint.prefix {
            endpoint_prefix(prefix, documentation, mistakes);
            subnets.push((format!("the prefix of `{}`", name.value), prefix));
        }
        if let (Some(prefix), Some(address)) = (endpoint.prefix, endpoint.address) {
            inside(prefix, address.value.0, address.span, mistakes);
        }
    }
    overlaps(&subnets, mistakes);
}

/// Ranges of AS numbers that are not public, with the reason.
const SPECIAL_ASNS: [(u32, u32, &str); 9] = [
    (0, 0, "AS 0 is reserved (RFC 7607)"),
    (23_456, 23_456, "AS 23456 is AS_TRANS (RFC 6793)"),
    (64_496, 64_511, DOCUMENTATION_ASN),
    (64_512, 65_534, "AS 64512 to 65534 are private (RFC 6996)"),
    (65_535, 65_535, "AS 65535 is reserved (RFC 7300)"),
    (65_536, 65_551, DOCUMENTATION_ASN),
    (65_552, 131_071, "AS 65552 to 131071 are reserved by IANA"),
    (
        4_200_000_000,
        4_294_967_294,
        "AS 4200000000 to 4294967294 are private (RFC 6996)",
    ),
    (
        4_294_967_295,
        4_294_967_295,
        "AS 4294967295 is reserved (RFC 7300)",
    ),
];

const DOCUMENTATION_ASN: &str =
    "AS 64496 to 64511 and 65536 to 65551 are for documentation (RFC 5398)";

/// The peer brings its own public AS number (ASN-01, ASN-02).
fn peer_asn(asn: Located<u32>, documentation: bool, mistakes: &mut Mistakes) {
    let number = asn.value;
    if [8068, 8069, 8075, 12_076].contains(&number) {
        let message = format!("AS {number} is Microsoft's, not the peer's");
        let diagnostic = mistakes.error(asn.span, message, "the peer's own AS number");
        mistakes.push(diagnostic.note("the peer brings its own AS number (ASN-01)"));
        return;
    }
    let special = SPECIAL_ASNS
        .iter()
        .find(|(first, last, _)| (*first..=*last).contains(&number));
    let Some((_, _, why)) = special else {
        return;
    };
    if *why == DOCUMENTATION_ASN && documentation {
        return;
    }
    let message = format!("AS {number} is not a public AS number");
    let mut diagnostic = mistakes
        .error(asn.span, message, "must be public (ASN-02)")
        .note(*why);
    if *why == DOCUMENTATION_ASN {
        diagnostic =
            diagnostic.help("to rehearse with it, write `documentation-numbers = \"public\"`");
    }
    mistakes.push(diagnostic);
}

/// A range of addresses, its purpose, and whether a session subnet may be in it.
type SpecialRange = (Ipv4Net, &'static str, bool);

const fn range(a: u8, b: u8, c: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), length)
}

/// Special-purpose address ranges (IANA registry, RFC 6890), the lab's own first.
const SPECIAL_RANGES: [SpecialRange; 14] = [
    (
        MICROSOFT_RANGE,
        "Microsoft's lab routes use 198.18.0.0/15",
        false,
    ),
    (
        INTERNAL_RANGE,
        "the lab uses 172.30.0.0/15 for links of its own",
        false,
    ),
    (
        range(0, 0, 0, 8),
        "0.0.0.0/8 is this network (RFC 791)",
        false,
    ),
    (range(10, 0, 0, 8), "10.0.0.0/8 is private (RFC 1918)", true),
    (
        range(100, 64, 0, 10),
        "100.64.0.0/10 is shared address space (RFC 6598)",
        true,
    ),
    (
        range(127, 0, 0, 8),
        "127.0.0.0/8 is loopback (RFC 1122)",
        false,
    ),
    (
        range(169, 254, 0, 16),
        "169.254.0.0/16 is link-local (RFC 3927)",
        false,
    ),
    (
        range(172, 16, 0, 12),
        "172.16.0.0/12 is private (RFC 1918)",
        true,
    ),
    (
        range(192, 0, 0, 24),
        "192.0.0.0/24 is for IETF protocols (RFC 6890)",
        false,
    ),
    (
        range(192, 88, 99, 24),
        "192.88.99.0/24 is deprecated 6to4 (RFC 7526)",
        false,
    ),
    (
        range(192, 168, 0, 16),
        "192.168.0.0/16 is private (RFC 1918)",
        true,
    ),
    (
        range(224, 0, 0, 4),
        "224.0.0.0/4 is multicast (RFC 5771)",
        false,
    ),
    (
        range(240, 0, 0, 4),
        "240.0.0.0/4 is reserved (RFC 1112)",
        false,
    ),
    (
        range(255, 255, 255, 24),
        "255.255.255.255 is broadcast (RFC 919)",
        false,
    ),
];

/// Addresses for documentation (RFC 5737).
const DOCUMENTATION_RANGES: [Ipv4Net; 3] = [
    range(192, 0, 2, 24),
    range(198, 51, 100, 24),
    range(203, 0, 113, 24),
];

fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b) || b.contains(&a)
}

/// Microsoft allocates it; private addresses are not refused, since nothing published forbids them.
fn session_subnet(subnet: Located<Prefix>, documentation: bool, mistakes: &mut Mistakes) {
    let net = subnet.value.0;
    let special = SPECIAL_RANGES
        .iter()
        .find(|(range, _, session)| !session && overlap(*range, net));
    if let Some((_, why, _)) = special {
        let message = format!("{net} cannot be a session subnet");
        let diagnostic = mistakes.error(subnet.span, message, "not usable here");
        mistakes.push(diagnostic.note(*why));
    } else {
        documentation_range(subnet, documentation, mistakes);
    }
}

/// The peer's endpoints have public addresses of its own (ADR-01).
fn endpoint_prefix(prefix: Located<Prefix>, documentation: bool, mistakes: &mut Mistakes) {
    let net = prefix.value.0;
    let special = SPECIAL_RANGES
        .iter()
        .find(|(range, _, _)| overlap(*range, net));
    if net.prefix_len() < 8 {
        let message = format!("the prefix {net} is too large for one carrier");
        mistakes.push(mistakes.error(prefix.span, message, "at least /8"));
    } else if let Some((_, why, _)) = special {
        let message = format!("{net} is not a public prefix");
        let diagnostic = mistakes.error(prefix.span, message, "must be publicly routable (ADR-01)");
        mistakes.push(diagnostic.note(*why));
    } else {
        documentation_range(prefix, documentation, mistakes);
    }
}

fn documentation_range(prefix: Located<Prefix>, documentation: bool, mistakes: &mut Mistakes) {
    let net = prefix.value.0;
    if !documentation
        && DOCUMENTATION_RANGES
            .iter()
            .any(|range| overlap(*range, net))
    {
        let message = format!("{net} is for documentation");
        let diagnostic = mistakes.error(prefix.span, message, "not a public prefix");
        mistakes.push(
            diagnostic
                .note("192.0.2.0/24, 198.51.100.0/24 and 203.0.113.0/24 are for documentation (RFC 5737)")
                .help("to rehearse with it, write `documentation-numbers = \"public\"`"),
        );
    }
}

/// An endpoint's address is a host of its prefix.
fn inside(prefix: Located<Prefix>, address: Ipv4Addr, at: Span, mistakes: &mut Mistakes) {
    let net = prefix.value.0;
    let source = Arc::clone(mistakes.source());
    if !net.contains(&address) {
        let message = format!("the address {address} is outside the endpoint's prefix");
        let diagnostic = mistakes.error(at, message, format!("not in {net}"));
        mistakes.push(diagnostic.at(&source, prefix.span, "the prefix"));
    } else if net.prefix_len() < 31 && (address == net.network() || address == net.broadcast()) {
        let which = if address == net.network() {
            "network"
        } else {
            "broadcast"
        };
        let message = format!("{address} is the {which} address of the endpoint's prefix");
        let diagnostic = mistakes.error(at, message, "not a host");
        mistakes.push(diagnostic.at(&source, prefix.span, "the prefix"));
    }
}

/// No two subnets overlap.
fn overlaps(subnets: &[(String, Located<Prefix>)], mistakes: &mut Mistakes) {
    let source = Arc::clone(mistakes.source());
    for (index, (name, subnet)) in subnets.iter().enumerate() {
        let earlier = subnets[..index]
            .iter()
            .find(|(_, e)| overlap(e.value.0, subnet.value.0));
        if let Some((other, earlier)) = earlier {
            let message = format!("{name} overlaps {other}");
            let diagnostic = mistakes.error(subnet.span, message, "has the same addresses");
            mistakes.push(diagnostic.at(&source, earlier.span, other.as_str()));
        }
    }
}
