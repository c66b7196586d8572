//! From a topology to the names, addresses and indexes of its lab, and to its kernel work.
//!
//! [`Layout`] is the one place that decides how things are called inside the namespaces; everybody else asks it.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{LinkEnd, Plan, Work};
use crate::topology::{Connection, Topology};

/// Microsoft's lab routes lie in the benchmarking range of RFC 2544: 512 prefixes of length 24.
pub const MICROSOFT_RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 15);
/// The prefix of the Teams service.
pub const TEAMS_PREFIX: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 18, 0, 0), 24);
/// The Teams service host.
pub const TEAMS_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 10);
/// Addresses of links and routers inside the lab; a topology may not use them.
pub const INTERNAL_RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(172, 30, 0, 0), 15);
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
    /// Number of routes Microsoft announces on each session from the start.
    pub microsoft_routes: u16,
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
    /// Prefix length of the session subnet.
    pub prefix_len: u8,
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
                    prefix_len: connection.addresses.prefix_len,
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
            microsoft_routes: topology.profile.routes,
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
        plan.namespace("teams", false);
        plan.namespace("wan", true);
        plan.namespace("internet", true);
        for edge in &self.edges {
            plan.namespace(&edge.name, true);
            plan.namespace(&line_card(&edge.name), false);
        }
        for peer in &self.peers {
            plan.namespace(&line_card(&peer.name), false);
            plan.namespace(&peer.name, true);
        }
        plan.namespace("core", true);
        for endpoint in &self.endpoints {
            plan.namespace(&endpoint.name, false);
        }
    }

    fn microsoft_links(&self, plan: &mut Draft) {
        plan.link(("wan", "teams", WAN_TEAMS.0), ("teams", "wan", WAN_TEAMS.1));
        plan.address("teams", "lo", TEAMS_ADDRESS, 32);
        plan.route("teams", Ipv4Net::default(), WAN_TEAMS.0, 0);
        plan.route("wan", MICROSOFT_RANGE, WAN_TEAMS.1, 0);
        plan.link(
            ("wan", "internet", WAN_INTERNET.0),
            ("internet", "wan", WAN_INTERNET.1),
        );
        plan.route("wan", Ipv4Net::default(), WAN_INTERNET.1, FALLBACK_METRIC);
        for edge in &self.edges {
            plan.link(
                ("wan", &edge.name, edge.wan),
                (&edge.name, "wan", edge.wan_side),
            );
            plan.route(&edge.name, MICROSOFT_RANGE, edge.wan, 0);
        }
    }

    fn peer_links(&self, plan: &mut Draft) {
        plan.link(
            ("core", "internet", CORE_INTERNET.0),
            ("internet", "core", CORE_INTERNET.1),
        );
        plan.route("core", Ipv4Net::default(), CORE_INTERNET.1, FALLBACK_METRIC);
        for peer in &self.peers {
            plan.link(
                ("core", &peer.name, peer.core),
                (&peer.name, "inside", peer.inside),
            );
        }
        for endpoint in &self.endpoints {
            plan.link(
                ("core", &endpoint.name, endpoint.core),
                (&endpoint.name, "core", endpoint.link),
            );
            plan.address(&endpoint.name, "lo", endpoint.address, 32);
            plan.route(&endpoint.name, Ipv4Net::default(), endpoint.core, 0);
            plan.route("core", endpoint.prefix, endpoint.link, 0);
        }
    }

    fn lag(&self, plan: &mut Draft, connection: &ConnectionLayout) {
        let name = &connection.name;
        for end in [&connection.edge, &connection.peer] {
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
            plan.up(&end.router, name);
            // The hidden end stays down: its state is the LAG's carrier, and that is LACP's to decide.
            plan.clsact(&end.line_card, &format!("{name}.0"));
        }
        let pairs = connection
            .edge
            .members
            .iter()
            .zip(&connection.peer.members)
            .enumerate();
        for (n, (edge, peer)) in pairs {
            let member = format!("{name}.{}", n + 1);
            let end = |side: &LagEnd, (index, mac): (u32, [u8; 6])| LinkEnd {
                namespace: side.line_card.clone(),
                name: member.clone(),
                index,
                mac: Some(mac),
            };
            plan.veth(end(&connection.edge, *edge), end(&connection.peer, *peer));
            for side in [&connection.edge, &connection.peer] {
                plan.clsact(&side.line_card, &member);
                plan.up(&side.line_card, &member);
            }
        }
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
    let (router, address, tag) = match side {
        Side::Microsoft => (&connection.edge, connection.addresses.microsoft, 0x80),
        Side::Peer => (&connection.router, connection.addresses.peer, 0x40),
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
        members: (1..=connection.members.len())
            .map(|member| (index(), mac(member)))
            .collect(),
        system: [0x02, tag, router_high, router_low, 0xff, 0],
        key: connection_number as u16 + 1,
    }
}

/// A plan being written.
struct Draft {
    work: Vec<Work>,
    next_index: u32,
}

impl Draft {
    fn namespace(&mut self, name: &str, forwarding: bool) {
        self.work.push(Work::Namespace {
            name: name.to_owned(),
            forwarding,
        });
    }

    fn veth(&mut self, a: LinkEnd, b: LinkEnd) {
        self.work.push(Work::Veth { a, b });
    }

    /// A plain link with a /31, both ends up.
    fn link(&mut self, a: (&str, &str, Ipv4Addr), b: (&str, &str, Ipv4Addr)) {
        let end = |(namespace, name, _): (&str, &str, Ipv4Addr), index| LinkEnd {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            index,
            mac: None,
        };
        let index = self.next_index;
        self.next_index += 2;
        self.veth(end(a, index), end(b, index + 1));
        for (namespace, name, address) in [a, b] {
            self.address(namespace, name, address, 31);
            self.up(namespace, name);
        }
    }

    fn address(&mut self, namespace: &str, link: &str, address: Ipv4Addr, prefix_len: u8) {
        self.work.push(Work::Address {
            namespace: namespace.to_owned(),
            link: link.to_owned(),
            address,
            prefix_len,
        });
    }

    fn up(&mut self, namespace: &str, link: &str) {
        self.work.push(Work::Up {
            namespace: namespace.to_owned(),
            link: link.to_owned(),
        });
    }

    fn clsact(&mut self, namespace: &str, link: &str) {
        self.work.push(Work::Clsact {
            namespace: namespace.to_owned(),
            link: link.to_owned(),
        });
    }

    fn route(&mut self, namespace: &str, destination: Ipv4Net, via: Ipv4Addr, metric: u32) {
        self.work.push(Work::Route {
            namespace: namespace.to_owned(),
            destination,
            via: vec![via],
            metric,
        });
    }
}
