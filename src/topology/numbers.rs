//! Numbers of a topology: AS numbers, session subnets, prefixes and addresses, and their clashes.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv6Net};

use super::parse::documentation_is_public;
use super::raw::RawTopology;
use crate::plan::of_topology::{
    INTERNAL_RANGE, INTERNAL_RANGE_IPV6, MICROSOFT_RANGE, MICROSOFT_RANGE_IPV6,
};
use crate::registry::special::{self, AsnUse, Special};
use crate::source::{Located, Mistakes, Span};

/// Adds every breach.
pub(super) fn check(raw: &RawTopology, mistakes: &mut Mistakes) {
    let documentation = documentation_is_public(raw);
    if let Some(asn) = raw.peer.as_ref().and_then(|peer| peer.value.asn) {
        peer_asn(asn, documentation, mistakes);
    }
    let mut subnets: Vec<(String, Located<IpNet>)> = Vec::new();
    for (name, connection) in &raw.connection.0 {
        let ipv4 = connection.ipv4.map(|s| net(s.value.0, s.span));
        let ipv6 = connection.ipv6.map(|s| net(s.value.0, s.span));
        for subnet in ipv4.into_iter().chain(ipv6) {
            session_subnet(subnet, documentation, mistakes);
            subnets.push((format!("the session of `{}`", name.value), subnet));
        }
    }
    for (name, endpoint) in &raw.endpoint.0 {
        let ipv4 = endpoint.prefix.map(|p| {
            let address = endpoint.address.map(|a| (IpAddr::V4(a.value.0), a.span));
            (net(p.value.0, p.span), address)
        });
        let ipv6 = endpoint.ipv6.as_ref().and_then(|ipv6| {
            let address = ipv6.value.address.map(|a| (IpAddr::V6(a.value.0), a.span));
            Some((ipv6.value.prefix.map(|p| net(p.value.0, p.span))?, address))
        });
        for (prefix, address) in ipv4.into_iter().chain(ipv6) {
            endpoint_prefix(prefix, documentation, mistakes);
            subnets.push((format!("the prefix of `{}`", name.value), prefix));
            if let Some((address, span)) = address {
                inside(prefix, address, span, mistakes);
            }
        }
    }
    overlaps(&subnets, mistakes);
}

fn net(net: impl Into<IpNet>, span: Span) -> Located<IpNet> {
    let value = net.into();
    Located { value, span }
}

/// The peer brings its own public AS number (ASN-01, ASN-02).
fn peer_asn(asn: Located<u32>, documentation: bool, mistakes: &mut Mistakes) {
    let number = asn.value;
    if [8068, 8069, 8075, 12_076].contains(&number) {
        let message = format!("AS {number} is Microsoft's, not the peer's");
        let diagnostic = mistakes.error(asn.span, message, "the peer's own AS number");
        mistakes.push(diagnostic.note("the peer brings its own AS number (ASN-01)"));
        return;
    }
    let Some(range) = special::bogon_asn(number, documentation) else {
        return;
    };
    let message = format!("AS {number} is not a public AS number");
    let mut diagnostic = mistakes
        .error(asn.span, message, "must be public (ASN-02)")
        .note(range.to_string());
    if range.usage == AsnUse::Documentation {
        diagnostic =
            diagnostic.help("to rehearse with it, write `documentation-numbers = \"public\"`");
    }
    mistakes.push(diagnostic);
}

/// Ranges that the lab uses itself.
const LAB_RANGES: [(IpNet, &str); 4] = [
    (
        IpNet::V4(MICROSOFT_RANGE),
        "Microsoft's lab routes use 198.18.0.0/15",
    ),
    (
        IpNet::V4(INTERNAL_RANGE),
        "the lab uses 172.30.0.0/15 for links of its own",
    ),
    (
        IpNet::V6(MICROSOFT_RANGE_IPV6),
        "Microsoft's lab routes use 3fff:807::/32",
    ),
    (
        IpNet::V6(INTERNAL_RANGE_IPV6),
        "the lab uses fd00:1ab::/32 for links of its own",
    ),
];
/// What IANA gives out for public use (RFC 4291, section 2.4; RFC 3587).
const GLOBAL_UNICAST: Ipv6Net =
    Ipv6Net::new_assert(std::net::Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Why the lab cannot have a prefix: it is the lab's own, or set aside by IANA. Documentation is told apart.
fn unusable(net: IpNet, acceptable: fn(&Special) -> bool) -> Option<String> {
    let lab = LAB_RANGES.iter().find(|(range, _)| overlap(*range, net));
    let lab = lab.map(|(_, why)| (*why).to_owned());
    let special = || special::bogon(net, true).filter(|row| !acceptable(row));
    lab.or_else(|| special().map(Special::to_string))
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b) || b.contains(&a)
}

/// Microsoft allocates it; private addresses are not refused, since nothing published forbids them.
fn session_subnet(subnet: Located<IpNet>, documentation: bool, mistakes: &mut Mistakes) {
    let net = subnet.value;
    if let Some(why) = unusable(net, |row| row.forwardable == Some(true)) {
        let message = format!("{net} cannot be a session subnet");
        let diagnostic = mistakes.error(subnet.span, message, "not usable here");
        mistakes.push(diagnostic.note(why));
    } else {
        documentation_range(subnet, documentation, mistakes);
    }
}

/// The peer's endpoints have public addresses of its own (ADR-01).
fn endpoint_prefix(prefix: Located<IpNet>, documentation: bool, mistakes: &mut Mistakes) {
    let net = prefix.value;
    let (shortest, label) = match net {
        IpNet::V4(_) => (8, "at least /8"),
        IpNet::V6(_) => (16, "at least /16"),
    };
    if net.prefix_len() < shortest {
        let message = format!("the prefix {net} is too large for one carrier");
        mistakes.push(mistakes.error(prefix.span, message, label));
    } else if let IpNet::V6(ipv6) = net
        && !GLOBAL_UNICAST.contains(&ipv6)
    {
        let message = format!("{net} is not a public prefix");
        let diagnostic = mistakes.error(prefix.span, message, "must be publicly routable (ADR-01)");
        mistakes.push(diagnostic.note("public IPv6 addresses lie in 2000::/3 (RFC 4291)"));
    } else if let Some(why) = unusable(net, |_| false) {
        let message = format!("{net} is not a public prefix");
        let diagnostic = mistakes.error(prefix.span, message, "must be publicly routable (ADR-01)");
        mistakes.push(diagnostic.note(why));
    } else {
        documentation_range(prefix, documentation, mistakes);
    }
}

fn documentation_range(prefix: Located<IpNet>, documentation: bool, mistakes: &mut Mistakes) {
    let net = prefix.value;
    let range = special::bogon(net, documentation).filter(|row| row.documentation);
    if let Some(range) = range {
        let message = format!("{net} is for documentation");
        let diagnostic = mistakes.error(prefix.span, message, "not a public prefix");
        mistakes.push(
            diagnostic
                .note(range.to_string())
                .help("to rehearse with it, write `documentation-numbers = \"public\"`"),
        );
    }
}

/// An endpoint's address is a host of its prefix.
fn inside(prefix: Located<IpNet>, address: IpAddr, at: Span, mistakes: &mut Mistakes) {
    let net = prefix.value;
    let source = Arc::clone(mistakes.source());
    if !net.contains(&address) {
        let message = format!("the address {address} is outside the endpoint's prefix");
        let diagnostic = mistakes.error(at, message, format!("not in {net}"));
        mistakes.push(diagnostic.at(&source, prefix.span, "the prefix"));
    } else if net.addr().is_ipv4()
        && net.prefix_len() < 31
        && (address == net.network() || address == net.broadcast())
    {
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
fn overlaps(subnets: &[(String, Located<IpNet>)], mistakes: &mut Mistakes) {
    let source = Arc::clone(mistakes.source());
    for (index, (name, subnet)) in subnets.iter().enumerate() {
        let earlier = subnets[..index]
            .iter()
            .find(|(_, e)| overlap(e.value, subnet.value));
        if let Some((other, earlier)) = earlier {
            let message = format!("{name} overlaps {other}");
            let diagnostic = mistakes.error(subnet.span, message, "has the same addresses");
            mistakes.push(diagnostic.at(&source, earlier.span, other.as_str()));
        }
    }
}
