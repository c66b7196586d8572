//! From a topology to the names, addresses and indexes of its lab, and to its kernel work.
//!
//! [`Layout`] is the one place that decides how things are called inside the namespaces; everybody else asks it.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use super::draft::Draft;
use super::{LinkEnd, Plan};
use crate::topology::{
    Connection, Crossed, EDGE_TAG, EndpointIpv6, LacpEnd, Member, PEER_TAG, SessionAddresses,
    Topology,
};

/// Microsoft's lab routes lie in the benchmarking range of RFC 2544: 512 prefixes of length 24.
pub const MICROSOFT_RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15);
/// The prefix of the Teams service.
pub const TEAMS_PREFIX: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 24);
/// The Teams service host.
pub const TEAMS_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);
/// Addresses of links and routers inside the lab; a topology may not use them.
pub const INTERNAL_RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(172, 30, 0, 0), 15);
/// Microsoft's IPv6 lab routes lie in the documentation range of RFC 9637, since the benchmarking range of RFC 5180 holds
/// one /48: prefixes of length 48.
pub const MICROSOFT_RANGE_IPV6: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0x3fff, 0x807, 0, 0, 0, 0, 0, 0), 32);
/// The IPv6 prefix of the Teams service.
pub const TEAMS_PREFIX_IPV6: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0x3fff, 0x807, 0, 0, 0, 0, 0, 0), 48);
/// The Teams service host.
pub const TEAMS_ADDRESS_IPV6: Ipv6Addr = Ipv6Addr::new(0x3fff, 0x807, 0, 0, 0, 0, 0, 0x10);
/// IPv6 addresses of links inside the lab; a topology may not use them.
pub const INTERNAL_RANGE_IPV6: Ipv6Net = Ipv6Net::new_assert(internal(0, 0), 32);
/// Static fall-back routes lose against BGP's, which have metric 20.
const FALLBACK_METRIC: u32 = 1000;
/// Index of the first link: below are `lo` and what the kernel makes by itself.
const FIRST_INDEX: u32 = 100;

/// Names, addresses and interface indexes of a lab.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Microsoft edges, in order of appearance.
    pub edges: Vec<EdgeLayout>,
    /// The peer's routers, in file order.
    pub peers: Vec<PeerLayout>,
    /// Connections, in file order.
    pub connections: Vec<ConnectionLayout>,
    /// Endpoints, in file order.
    pub endpoints: Vec<EndpointLayout>,
    /// Members whose cables have exchanged their far ends.
    pub crossed: Vec<Crossed>,
    /// Number of routes Microsoft announces on each IPv4 session from the start.
    pub microsoft_routes: u16,
    /// Number of routes Microsoft announces on each IPv6 session.
    pub microsoft_ipv6_routes: u16,
    /// The links of WAN and core, if any connection has an IPv6 session: then all of the lab's own links have IPv6, too.
    pub ipv6: Option<HubLinks>,
}

/// The IPv6 addresses of a plain link, a /127.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Link {
    /// Of the WAN or the core.
    pub hub: Ipv6Addr,
    /// Of the edge, the peer's router, the endpoint, Teams or the internet.
    pub spoke: Ipv6Addr,
}

/// The IPv6 links of the WAN and the core that every lab has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubLinks {
    /// Between the WAN and Teams.
    pub teams: Ipv6Link,
    /// Between the WAN and the internet.
    pub wan_internet: Ipv6Link,
    /// Between the core and the internet.
    pub core_internet: Ipv6Link,
}

/// A Microsoft edge.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeLayout {
    /// Name and namespace.
    pub name: String,
    /// Metro.
    pub metro: String,
    /// BGP identifier.
    pub router_id: Ipv4Addr,
    /// Address towards the WAN.
    pub wan_side: Ipv4Addr,
    /// The WAN's address towards this edge.
    pub wan: Ipv4Addr,
    /// The same link's IPv6 addresses.
    pub ipv6: Option<Ipv6Link>,
}

/// A router of the peer.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerLayout {
    /// Name and namespace.
    pub name: String,
    /// BGP identifier when simulated.
    pub router_id: Ipv4Addr,
    /// Address of its interface `inside`.
    pub inside: Ipv4Addr,
    /// The core's address towards this router.
    pub core: Ipv4Addr,
    /// The same link's IPv6 addresses.
    pub ipv6: Option<Ipv6Link>,
}

/// A connection: a LAG between the line cards of an edge and of a peer's router.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionLayout {
    /// Name; also the LAG's interface name in both routers.
    pub name: String,
    /// Microsoft's end.
    pub edge: LagEnd,
    /// The peer's end.
    pub peer: LagEnd,
    /// Of its members the last ones, whose cables lie and have no light yet.
    pub spare: u8,
    /// Speed of a member, in Mbit/s.
    pub member_mbps: u32,
    /// Prefix length of the session subnet.
    pub prefix_len: u8,
    /// The addresses of its IPv6 session, if it has one.
    pub ipv6: Option<SessionAddresses<Ipv6Addr>>,
    /// The edge tells IPv4 routes on the IPv6 session, too (RFC 8950).
    pub ipv4_over_ipv6: bool,
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct LagEnd {
    /// Router and its namespace.
    pub router: String,
    /// The line card's namespace: `ROUTER.lc`.
    pub line_card: String,
    /// Session address.
    pub address: Ipv4Addr,
    /// Index of the LAG's interface in the router's namespace.
    pub lag_index: u32,
    /// Index of the hidden end in the line card (`CONNECTION.0`).
    pub hidden_index: u32,
    /// Indexes and hardware addresses of the members in the line card (`CONNECTION.1` …).
    pub members: Vec<(u32, [u8; 6])>,
    /// LACP system identifier of the router.
    pub system: [u8; 6],
    /// LACP key of the LAG.
    pub key: u16,
    /// What its LACP does.
    pub lacp: LacpEnd,
}

/// An endpoint of the peer.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointLayout {
    /// Name and namespace.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The prefix announced for it.
    pub prefix: Ipv4Net,
    /// Its side of the link to the core.
    pub link: Ipv4Addr,
    /// The core's side.
    pub core: Ipv4Addr,
    /// Its IPv6 prefix and address, if it has any.
    pub ipv6: Option<EndpointIpv6>,
    /// The IPv6 addresses of the link to the core.
    pub ipv6_link: Option<Ipv6Link>,
}

/// BGP identifier of the WAN router.
pub const WAN_ROUTER_ID: Ipv4Addr = Ipv4Addr::new(172, 30, 255, 254);
/// BGP identifier of the peer's core router.
pub const CORE_ROUTER_ID: Ipv4Addr = Ipv4Addr::new(172, 31, 255, 254);

/// BGP identifier of the internet's router.
pub const INTERNET_ROUTER_ID: Ipv4Addr = Ipv4Addr::new(172, 31, 255, 253);

const WAN_TEAMS: (Ipv4Addr, Ipv4Addr) = (
    Ipv4Addr::new(172, 30, 254, 0),
    Ipv4Addr::new(172, 30, 254, 1),
);
/// The link between the WAN and the internet: the WAN's address, the internet's.
pub const WAN_INTERNET: (Ipv4Addr, Ipv4Addr) = (
    Ipv4Addr::new(172, 30, 254, 2),
    Ipv4Addr::new(172, 30, 254, 3),
);
/// The link between the core and the internet, the peer's transit: the core's address, the internet's.
pub const CORE_INTERNET: (Ipv4Addr, Ipv4Addr) = (
    Ipv4Addr::new(172, 31, 254, 0),
    Ipv4Addr::new(172, 31, 254, 1),
);

impl Layout {
    /// Lays a topology out. Names and addresses follow from the order of its tables.
    pub fn of(topology: &Topology) -> Layout {
        let dual_stack = topology.connections.iter().any(|c| c.ipv6.is_some());
        let link = |net: u16, n: usize| dual_stack.then(|| Ipv6Link::numbered(net, n));
        let mut edges: Vec<EdgeLayout> = Vec::new();
        for connection in &topology.connections {
            if edges.iter().any(|edge| edge.name == connection.edge) {
                continue;
            }
            let n = edges.len();
            edges.push(EdgeLayout {
                name: connection.edge.clone(),
                metro: connection.metro.clone(),
                router_id: numbered([172, 30, 255, 1], n),
                wan: numbered([172, 30, 0, 0], 2 * n),
                wan_side: numbered([172, 30, 0, 1], 2 * n),
                ipv6: link(WAN_LINKS, n),
            });
        }
        let peers = topology
            .routers
            .iter()
            .enumerate()
            .map(|(n, router)| PeerLayout {
                name: router.name.clone(),
                router_id: numbered([172, 31, 255, 1], n),
                core: numbered([172, 31, 0, 0], 2 * n),
                inside: numbered([172, 31, 0, 1], 2 * n),
                ipv6: link(CORE_LINKS, n),
            });
        let peers: Vec<PeerLayout> = peers.collect();
        let endpoints = topology
            .endpoints
            .iter()
            .enumerate()
            .map(|(n, endpoint)| EndpointLayout {
                name: endpoint.name.clone(),
                address: endpoint.address,
                prefix: endpoint.prefix,
                core: numbered([172, 31, 128, 0], 2 * n),
                link: numbered([172, 31, 128, 1], 2 * n),
                ipv6: endpoint.ipv6,
                ipv6_link: link(ENDPOINT_LINKS, n),
            });
        let endpoints = endpoints.collect();
        let mut next_index = FIRST_INDEX;
        let connections = topology
            .connections
            .iter()
            .enumerate()
            .map(|(n, connection)| {
                let edge_number = edges
                    .iter()
                    .position(|e| e.name == connection.edge)
                    .unwrap_or(0);
                let peer_number = peers
                    .iter()
                    .position(|p| p.name == connection.router)
                    .unwrap_or(0);
                ConnectionLayout {
                    name: connection.name.clone(),
                    spare: connection.spare,
                    member_mbps: connection.members.first().copied().unwrap_or(0),
                    prefix_len: connection.addresses.prefix_len,
                    ipv6: connection.ipv6,
                    ipv4_over_ipv6: connection.ipv4_over_ipv6(),
                    edge: lag_end(connection, Side::Microsoft, edge_number, n, &mut next_index),
                    peer: lag_end(connection, Side::Peer, peer_number, n, &mut next_index),
                }
            });
        let connections = connections.collect();
        Layout {
            edges,
            peers,
            connections,
            endpoints,
            crossed: topology.crossed.clone(),
            microsoft_routes: topology.profile.routes,
            microsoft_ipv6_routes: topology.profile.ipv6_routes,
            ipv6: dual_stack.then(|| HubLinks {
                teams: Ipv6Link::numbered(HUB_LINKS, 0),
                wan_internet: Ipv6Link::numbered(HUB_LINKS, 1),
                core_internet: Ipv6Link::numbered(HUB_LINKS, 2),
            }),
        }
    }

    /// The connection of that name.
    pub fn connection(&self, name: &str) -> Option<&ConnectionLayout> {
        self.connections
            .iter()
            .find(|connection| connection.name == name)
    }

    /// The number of a metro, counted in the order of its first edge; 0 when it has none.
    pub fn region(&self, metro: &str) -> usize {
        let mut seen: Vec<&str> = Vec::new();
        for edge in &self.edges {
            if !seen.contains(&edge.metro.as_str()) {
                seen.push(&edge.metro);
            }
        }
        seen.iter().position(|name| *name == metro).unwrap_or(0)
    }

    /// The kernel work that builds the lab: namespaces, then links, then addresses and routes.
    pub fn plan(&self) -> Plan {
        let mut plan = Draft {
            work: Vec::new(),
            next_index: FIRST_INDEX + 1000,
        };
        self.namespaces(&mut plan);
        self.microsoft_links(&mut plan);
        self.peer_links(&mut plan);
        for connection in &self.connections {
            self.lag(&mut plan, connection);
        }
        Plan { work: plan.work }
    }

    fn namespaces(&self, plan: &mut Draft) {
        let ipv6 = self.ipv6.is_some();
        plan.namespace("teams", false, ipv6);
        plan.namespace("wan", true, ipv6);
        plan.namespace("internet", true, ipv6);
        for edge in &self.edges {
            plan.namespace(&edge.name, true, ipv6);
            plan.namespace(&line_card(&edge.name), false, false);
        }
        for peer in &self.peers {
            plan.namespace(&line_card(&peer.name), false, false);
            plan.namespace(&peer.name, true, ipv6);
        }
        plan.namespace("core", true, ipv6);
        for endpoint in &self.endpoints {
            plan.namespace(&endpoint.name, false, ipv6);
        }
    }

    fn microsoft_links(&self, plan: &mut Draft) {
        plan.link(
            ("wan", "teams", WAN_TEAMS.0),
            ("teams", "wan", WAN_TEAMS.1),
            self.ipv6.map(|links| links.teams),
        );
        plan.address("teams", "lo", TEAMS_ADDRESS, 32);
        plan.route("teams", Ipv4Net::default(), WAN_TEAMS.0, 0);
        plan.route("wan", MICROSOFT_RANGE, WAN_TEAMS.1, 0);
        plan.link(
            ("wan", "internet", WAN_INTERNET.0),
            ("internet", "wan", WAN_INTERNET.1),
            self.ipv6.map(|links| links.wan_internet),
        );
        plan.route("wan", Ipv4Net::default(), WAN_INTERNET.1, FALLBACK_METRIC);
        if let Some(links) = self.ipv6 {
            plan.address("teams", "lo", TEAMS_ADDRESS_IPV6, 128);
            plan.route("teams", Ipv6Net::default(), links.teams.hub, 0);
            plan.route("wan", MICROSOFT_RANGE_IPV6, links.teams.spoke, 0);
            let internet = links.wan_internet.spoke;
            plan.route("wan", Ipv6Net::default(), internet, FALLBACK_METRIC);
        }
        for edge in &self.edges {
            plan.link(
                ("wan", &edge.name, edge.wan),
                (&edge.name, "wan", edge.wan_side),
                edge.ipv6,
            );
            plan.route(&edge.name, MICROSOFT_RANGE, edge.wan, 0);
            if let Some(link) = edge.ipv6 {
                plan.route(&edge.name, MICROSOFT_RANGE_IPV6, link.hub, 0);
            }
        }
    }

    fn peer_links(&self, plan: &mut Draft) {
        plan.link(
            ("core", "internet", CORE_INTERNET.0),
            ("internet", "core", CORE_INTERNET.1),
            self.ipv6.map(|links| links.core_internet),
        );
        plan.route("core", Ipv4Net::default(), CORE_INTERNET.1, FALLBACK_METRIC);
        if let Some(links) = self.ipv6 {
            let internet = links.core_internet.spoke;
            plan.route("core", Ipv6Net::default(), internet, FALLBACK_METRIC);
        }
        for peer in &self.peers {
            plan.link(
                ("core", &peer.name, peer.core),
                (&peer.name, "inside", peer.inside),
                peer.ipv6,
            );
        }
        for endpoint in &self.endpoints {
            plan.link(
                ("core", &endpoint.name, endpoint.core),
                (&endpoint.name, "core", endpoint.link),
                endpoint.ipv6_link,
            );
            plan.address(&endpoint.name, "lo", endpoint.address, 32);
            plan.route(&endpoint.name, Ipv4Net::default(), endpoint.core, 0);
            plan.route("core", endpoint.prefix, endpoint.link, 0);
            if let (Some(own), Some(link)) = (endpoint.ipv6, endpoint.ipv6_link) {
                plan.address(&endpoint.name, "lo", own.address, 128);
                plan.route(&endpoint.name, Ipv6Net::default(), link.hub, 0);
                plan.route("core", own.prefix, link.spoke, 0);
            }
        }
    }

    fn lag(&self, plan: &mut Draft, connection: &ConnectionLayout) {
        let name = &connection.name;
        let ipv6 = connection.ipv6;
        let ends = [
            (&connection.edge, ipv6.map(|session| session.microsoft)),
            (&connection.peer, ipv6.map(|session| session.peer)),
        ];
        for (end, ipv6_address) in ends {
            plan.veth(
                LinkEnd {
                    namespace: end.router.clone(),
                    name: name.clone(),
                    index: end.lag_index,
                    mac: None,
                },
                LinkEnd {
                    namespace: end.line_card.clone(),
                    name: format!("{name}.0"),
                    index: end.hidden_index,
                    mac: None,
                },
            );
            plan.address(&end.router, name, end.address, connection.prefix_len);
            if let (Some(address), Some(session)) = (ipv6_address, ipv6) {
                plan.address(&end.router, name, address, session.prefix_len);
            }
            plan.up(&end.router, name);
            // The hidden end stays down: its state is the LAG's carrier, and that is LACP's to decide.
            plan.clsact(&end.line_card, &format!("{name}.0"));
        }
        for member in (1..).take(connection.edge.members.len()) {
            let (far, far_member) = self.far_end(connection, member);
            let near = port(&connection.name, &connection.edge, member);
            let far = port(&far.name, &far.peer, far_member);
            plan.veth(near.clone(), far.clone());
            let lit = connection.edge.members.len() - usize::from(connection.spare);
            for end in [&near, &far] {
                plan.clsact(&end.namespace, &end.name);
                if *end != near || usize::from(member) <= lit {
                    plan.up(&end.namespace, &end.name);
                }
            }
        }
    }

    /// The connection and its member into whose port at the peer a cable is plugged.
    pub fn far_end<'a>(
        &'a self,
        connection: &'a ConnectionLayout,
        member: u8,
    ) -> (&'a ConnectionLayout, u8) {
        let is_it = |(name, n): &Member| *name == connection.name && *n == member;
        let other = self.crossed.iter().find_map(|Crossed(one, other)| {
            let far = is_it(one).then_some(other);
            far.or(is_it(other).then_some(one))
        });
        let other = other.and_then(|(name, n)| Some((self.connection(name)?, *n)));
        other.unwrap_or((connection, member))
    }
}

/// The port of a member at one side of a connection.
fn port(connection: &str, side: &LagEnd, member: u8) -> LinkEnd {
    let at = side.members.get(usize::from(member) - 1);
    LinkEnd {
        namespace: side.line_card.clone(),
        name: format!("{connection}.{member}"),
        index: at.map_or(0, |(index, _)| *index),
        mac: at.map(|(_, mac)| *mac),
    }
}

/// The namespace of a router's line card.
fn line_card(router: &str) -> String {
    format!("{router}.lc")
}

/// The address `n` above a base.
fn numbered(base: [u8; 4], n: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from_be_bytes(base) + n as u32)
}

/// Third group of the addresses of links between the hubs and Teams, the internet.
const HUB_LINKS: u16 = 0;
/// Of links between the WAN and edges.
const WAN_LINKS: u16 = 0x30;
/// Of links between the core and the peer's routers.
const CORE_LINKS: u16 = 0x31;
/// Of links between the core and endpoints.
const ENDPOINT_LINKS: u16 = 0x32;

/// An address of [`INTERNAL_RANGE_IPV6`].
const fn internal(net: u16, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x1ab, net, 0, 0, 0, 0, host)
}

impl Ipv6Link {
    fn numbered(net: u16, n: usize) -> Ipv6Link {
        let first = 2 * n as u16;
        Ipv6Link {
            hub: internal(net, first),
            spoke: internal(net, first + 1),
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Microsoft,
    Peer,
}

fn lag_end(
    connection: &Connection,
    side: Side,
    router_number: usize,
    connection_number: usize,
    next_index: &mut u32,
) -> LagEnd {
    let (router, address, tag, lacp) = match side {
        Side::Microsoft => {
            let address = connection.addresses.microsoft;
            let tag = EDGE_TAG;
            (&connection.edge, address, tag, connection.lacp.microsoft)
        }
        Side::Peer => {
            let address = connection.addresses.peer;
            let tag = PEER_TAG;
            (&connection.router, address, tag, connection.lacp.peer)
        }
    };
    let mut index = || {
        *next_index += 1;
        *next_index
    };
    let [router_high, router_low] = (router_number as u16).to_be_bytes();
    // Locally administered addresses, so that a capture tells side, router, connection and member.
    let mac = |member: usize| {
        [
            0x02,
            tag,
            router_high,
            router_low,
            connection_number as u8,
            member as u8,
        ]
    };
    LagEnd {
        router: router.clone(),
        line_card: line_card(router),
        address,
        lag_index: index(),
        hidden_index: index(),
        members: (1..=connection.members.len() + usize::from(connection.spare))
            .map(|member| (index(), mac(member)))
            .collect(),
        system: lacp.system_of(tag, router_number),
        key: lacp.key_of(connection_number),
        lacp,
    }
}
