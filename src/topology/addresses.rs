//! Which addresses follow from a session subnet, and the IPv6 addresses of an endpoint.

use std::net::Ipv6Addr;

use super::raw::RawEndpointIpv6;
use super::{EndpointIpv6, SessionAddresses};
use crate::source::{Ipv6Prefix, Located, Mistakes, Prefix};

/// The two addresses of a session subnet (ADR-04, ADR-05).
pub(super) fn of_session(
    ipv4: Located<Prefix>,
    mistakes: &mut Mistakes,
) -> Option<SessionAddresses> {
    let net = ipv4.value.0;
    let first = u32::from(net.network());
    let (peer, microsoft) = match net.prefix_len() {
        31 => (first, first + 1),
        30 => (first + 1, first + 2),
        length => {
            let message = format!("a session subnet of length /{length} is not possible");
            let diagnostic = mistakes.error(ipv4.span, message, "a /31 or a /30");
            mistakes.push(diagnostic.note(
                "Microsoft allocates a /31 (peer even, Microsoft odd) or a /30 (peer first, Microsoft second)",
            ));
            return None;
        }
    };
    Some(SessionAddresses {
        prefix_len: net.prefix_len(),
        peer: peer.into(),
        microsoft: microsoft.into(),
    })
}

/// The two addresses of an IPv6 session subnet (ADR-06). Of a shorter one than /127 the first address is the subnet's own,
/// as every router's anycast address (RFC 4291, section 2.6.1; RFC 6164).
pub(super) fn of_ipv6_session(
    ipv6: Located<Ipv6Prefix>,
    mistakes: &mut Mistakes,
) -> Option<SessionAddresses<Ipv6Addr>> {
    let net = ipv6.value.0;
    let first = net.network().to_bits();
    let (peer, microsoft) = match net.prefix_len() {
        127 => (first, first + 1),
        64..=126 => (first + 1, first + 2),
        length => {
            let message = format!("an IPv6 session subnet of length /{length} is not possible");
            let diagnostic = mistakes.error(ipv6.span, message, "/64 to /127");
            mistakes.push(diagnostic.note(
                "Azure takes a /64 to a /127: of a /127 the peer has the even address, Microsoft the odd one; of a \
                 shorter one the peer the first host, Microsoft the second",
            ));
            return None;
        }
    };
    Some(SessionAddresses {
        prefix_len: net.prefix_len(),
        peer: peer.into(),
        microsoft: microsoft.into(),
    })
}

/// What an endpoint has of IPv6.
pub(super) fn endpoint_ipv6(
    name: &Located<String>,
    raw: &Located<RawEndpointIpv6>,
    mistakes: &mut Mistakes,
) -> Option<EndpointIpv6> {
    let owner = format!("`ipv6` of endpoint `{}`", name.value);
    let (at, raw) = (raw.span, &raw.value);
    let example = "prefix = \"2001:db8:51::/48\"";
    let prefix = mistakes.require(raw.prefix, at, &owner, "prefix", example);
    let example = "address = \"2001:db8:51::10\"";
    let address = mistakes.require(raw.address, at, &owner, "address", example);
    Some(EndpointIpv6 {
        prefix: prefix?.value.0,
        address: address?.value.0,
    })
}
