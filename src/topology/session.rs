//! What the BGP sessions of a connection are called: `ams-1` is the IPv4 one, `ams-1/ipv6` the IPv6 one. Hosts at the ends of
//! probe traffic are named alike: `sbc` by its IPv4 address, `sbc/ipv6` by its IPv6 address. BFD on a member of a LAG is named as
//! the member: `ams-1/1`. Inside both networks a session is called as the neighbour, at each end; both ends together `wan/ams-edge-1`.

use std::borrow::Cow;

use super::Connection;
use crate::bgp::family::Family;

/// What stands behind a connection's name in that of its IPv6 session.
const IPV6: &str = "/ipv6";

/// The WAN router, in the middle of Microsoft's network.
pub const WAN: &str = "wan";
/// The router in the middle of the peer's network.
pub const CORE: &str = "core";

/// The name of a session in facts and in scenarios. `link` is a connection; inside the WAN and the peer's core, the
/// neighbour.
pub fn session_name(link: &str, family: Family) -> String {
    match family {
        Family::Ipv4Unicast => link.to_owned(),
        Family::Ipv6Unicast => format!("{link}{IPV6}"),
    }
}

/// The connection or neighbour of a session, or the host, and its family: `ams-1` and IPv6 for `ams-1/ipv6`.
pub fn of_session(session: &str) -> (&str, Family) {
    match session.strip_suffix(IPV6) {
        Some(link) => (link, Family::Ipv6Unicast),
        None => (session, Family::Ipv4Unicast),
    }
}

/// The connection of a session, or of BFD on one of its members: `ams-1` of `ams-1`, `ams-1/ipv6` and `ams-1/1`.
pub fn connection_of(session: &str) -> &str {
    session.split_once('/').map_or(session, |(link, _)| link)
}

/// What a session at a router goes over: `ams-1` for all of a connection; inside a network both of its ends, `wan/ams-edge-1`,
/// whichever is this one.
pub fn link_of<'s>(router: &str, session: &'s str) -> Cow<'s, str> {
    let link = connection_of(session);
    let is_hub = |name: &str| [WAN, CORE].contains(&name);
    match (is_hub(router), is_hub(link)) {
        (true, _) => format!("{router}/{link}").into(),
        (false, true) => format!("{link}/{router}").into(),
        (false, false) => link.into(),
    }
}

/// What scenarios and reports call the BFD session that a router calls so: inside a network with the router, `ams-edge-1/wan`.
pub fn bfd_name<'s>(router: &str, session: &'s str) -> Cow<'s, str> {
    match link_of(router, session).contains('/') {
        true => format!("{router}/{session}").into(),
        false => session.into(),
    }
}

/// Whether [`link_of`] such a session is this link.
pub fn is_over(link: &str, router: &str, session: &str) -> bool {
    let own = connection_of(session);
    match link.split_once('/') {
        Some((hub, border)) => [(hub, border), (border, hub)].contains(&(router, own)),
        None => link == own,
    }
}

impl Connection {
    /// The families it has a session for: IPv4, and IPv6 where the topology gives `ipv6`.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        let ipv6 = self.ipv6.map(|_| Family::Ipv6Unicast);
        [Family::Ipv4Unicast].into_iter().chain(ipv6)
    }

    /// Whether its IPv6 session is to carry IPv4 routes, too (RFC 8950). It does where the neighbour can.
    pub fn ipv4_over_ipv6(&self) -> bool {
        self.ipv6.is_some() && self.bgp.options.capabilities.extended_next_hop
    }

    /// Whether the session of one family is to carry routes of another, or its own.
    pub fn carries(&self, session: Family, routes: Family) -> bool {
        session == routes || (session == Family::Ipv6Unicast && self.ipv4_over_ipv6())
    }

    /// The names of its BGP sessions, which are those of its BFD sessions, too.
    pub fn sessions(&self) -> impl Iterator<Item = String> {
        self.families()
            .map(|family| session_name(&self.name, family))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_session_are_over_one_link() {
        let links = ["ams-1", "wan/ams-edge-1", "core/ams-pe-1"];
        for (router, session, link) in [
            ("ams-edge-1", "ams-1", "ams-1"),
            ("ams-pe-1", "ams-1/ipv6", "ams-1"),
            ("ams-edge-1", "ams-1/2", "ams-1"),
            ("wan", "ams-edge-1/ipv6", "wan/ams-edge-1"),
            ("ams-edge-1", "wan", "wan/ams-edge-1"),
            ("ams-pe-1", "core/ipv6", "core/ams-pe-1"),
            ("internet", "core", "core/internet"),
            ("core", "internet", "core/internet"),
        ] {
            assert_eq!(link_of(router, session), link, "{session} at {router}");
            for other in links {
                assert_eq!(is_over(other, router, session), other == link, "{other}");
            }
        }
    }
}
