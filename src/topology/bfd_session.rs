//! What the name of a BFD session means: whose end is told and looked at, and over what its packets go.
//!
//! | name | end | over |
//! |---|---|---|
//! | `ams-1`, `ams-1/ipv6` | the edge's | the LAG of a connection |
//! | `ams-1/1` | the edge's | a member of it (RFC 7130) |
//! | `wan/ams-edge-1`, `ams-edge-1/wan`, `wan/ams-edge-1/ipv6` | that of the router named first | several hops (RFC 5883), inside a network |
//!
//! The last are the router and the session as `peerlab show bfd` has them. No name means two things: edges, routers of the peer and
//! connections are called differently, and none has a `/` or is called `wan` or `core`.

use super::{CORE, Connection, Topology, WAN, connection_of, of_session, session_name};
use crate::bfd::Authentication;
use crate::bgp::family::Family;

/// A BFD session as one of its ends has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BfdSession<'t> {
    /// The router whose end is told and looked at.
    pub router: &'t str,
    /// The router at its other end.
    pub neighbour: &'t str,
    /// The family of its packets.
    pub family: Family,
    /// What they go over.
    pub over: Over<'t>,
}

/// What the packets of a BFD session go over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Over<'t> {
    /// The LAG of a connection.
    Lag(&'t Connection),
    /// One member of it, counted from 1.
    Member(&'t Connection, u8),
    /// Several hops inside of Microsoft's network or the peer's.
    Hops(Inner<'t>),
}

/// A router at the border of a network and the one in its middle, which have iBGP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner<'t> {
    /// In the middle: `wan` or `core`.
    pub hub: &'static str,
    /// At the border: an edge, or a router of the peer.
    pub border: &'t str,
    /// BFD guards their sessions.
    pub bfd: bool,
}

impl Inner<'_> {
    /// What both of them are called together: `wan/ams-edge-1`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.hub, self.border)
    }

    /// What the topology lacks where they have no BFD.
    pub fn remedy(&self) -> &'static str {
        match self.hub {
            WAN => "write `wan = { bfd = true }` in `[microsoft]` of the topology",
            _ => "write `core = { bfd = true }` in `[peer]` of the topology",
        }
    }
}

impl<'t> BfdSession<'t> {
    /// What its router calls it, in facts as well: `ams-1/ipv6`, `ams-1/1`, `ams-edge-1`.
    pub fn at_router(&self) -> String {
        match self.over {
            Over::Lag(connection) => session_name(&connection.name, self.family),
            Over::Member(connection, member) => format!("{}/{member}", connection.name),
            Over::Hops(_) => session_name(self.neighbour, self.family),
        }
    }

    /// How its router authenticates. Inside a network nothing does.
    pub fn authentication(&self) -> Option<Authentication> {
        match self.over {
            Over::Lag(connection) => connection.bfd.options.authentication,
            Over::Member(connection, _) => connection.micro_bfd?.microsoft.options.authentication,
            Over::Hops(_) => None,
        }
    }

    /// Where it is, if inside a network.
    pub fn inner(&self) -> Option<Inner<'t>> {
        match self.over {
            Over::Hops(inner) => Some(inner),
            Over::Lag(_) | Over::Member(..) => None,
        }
    }

    /// What breaks with it: its connection, or its ends inside a network.
    pub fn link(&self) -> String {
        match self.over {
            Over::Lag(connection) | Over::Member(connection, _) => connection.name.clone(),
            Over::Hops(inner) => inner.name(),
        }
    }
}

impl Topology {
    /// The BFD session of that name, if the topology has it. Of members that steps add it has those as well.
    pub fn bfd_session(&self, name: &str) -> Option<BfdSession<'_>> {
        let mut connections = self.connections.iter();
        let Some(connection) = connections.find(|it| it.name == connection_of(name)) else {
            let mut inside = self.sessions_inside();
            let (_, session) = inside.find(|(known, _)| known == name)?;
            return self.guards(&session).then_some(session);
        };
        let member = name.split_once('/').and_then(|(_, it)| it.parse().ok());
        let session = BfdSession {
            router: &connection.edge,
            neighbour: &connection.router,
            family: match (member, connection.micro_bfd) {
                (Some(_), micro) => micro?.family,
                (None, _) => of_session(name).1,
            },
            over: match member {
                Some(member) => Over::Member(connection, member),
                None => Over::Lag(connection),
            },
        };
        let is_it =
            session.at_router() == name && connection.families().any(|f| f == session.family);
        (is_it && self.guards(&session)).then_some(session)
    }

    /// The BGP session of that name: the router whose end is looked at, of a connection the edge, and what that calls it. Inside a
    /// network it is named as the BFD session that guards it, or would.
    pub fn bgp_session(&self, name: &str) -> Option<(&str, String)> {
        let mut connections = self.connections.iter();
        if let Some(own) = connections.find(|it| it.sessions().any(|own| own == name)) {
            return Some((&own.edge, name.to_owned()));
        }
        let mut inside = self.sessions_inside();
        let (_, session) = inside.find(|(known, _)| known == name)?;
        Some((session.router, session.at_router()))
    }

    fn guards(&self, session: &BfdSession<'_>) -> bool {
        match session.over {
            Over::Lag(connection) => connection.bfd.options.required,
            Over::Member(connection, _) => connection.micro_bfd.is_some(),
            Over::Hops(inner) => inner.bfd,
        }
    }

    /// Who has iBGP with whom: the WAN with each edge, the core with each router of the peer.
    pub fn inside(&self) -> impl Iterator<Item = Inner<'_>> {
        let mut edges: Vec<&str> = Vec::new();
        for connection in &self.connections {
            if !edges.contains(&connection.edge.as_str()) {
                edges.push(&connection.edge);
            }
        }
        let edges = edges.into_iter().map(|border| Inner {
            hub: WAN,
            border,
            bfd: self.profile.wan.bfd,
        });
        let routers = self.routers.iter().map(|router| Inner {
            hub: CORE,
            border: &router.name,
            bfd: self.peer.core.bfd,
        });
        edges.chain(routers)
    }

    /// The sessions inside both networks with their names, each at both ends, whether BFD guards them or not.
    pub fn sessions_inside(&self) -> impl Iterator<Item = (String, BfdSession<'_>)> {
        let ipv6 = self.connections.iter().any(|it| it.ipv6.is_some());
        let families = [Family::Ipv4Unicast, Family::Ipv6Unicast];
        let families = families.into_iter().take(if ipv6 { 2 } else { 1 });
        self.inside().flat_map(move |inner| {
            let (hub, border) = (inner.hub, inner.border);
            families.clone().flat_map(move |family| {
                [(hub, border), (border, hub)].map(|(router, neighbour)| {
                    let session = BfdSession {
                        router,
                        neighbour,
                        family,
                        over: Over::Hops(inner),
                    };
                    (format!("{router}/{}", session.at_router()), session)
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{bfd_name, link_of};

    fn topology(name: &str) -> Topology {
        let path = format!("topologies/{name}.toml");
        crate::topology::load(std::path::Path::new(&path)).expect("shipped")
    }

    #[test]
    fn a_name_says_whose_end_it_is_and_what_it_goes_over() {
        let topology = topology("one-metro-every-bfd");
        for (name, router, neighbour, at_router, link) in [
            ("ams-1", "ams-edge-1", "ams-pe-1", "ams-1", "ams-1"),
            (
                "ams-2/ipv6",
                "ams-edge-2",
                "ams-pe-2",
                "ams-2/ipv6",
                "ams-2",
            ),
            ("ams-2/2", "ams-edge-2", "ams-pe-2", "ams-2/2", "ams-2"),
            // Steps may add members.
            ("ams-2/3", "ams-edge-2", "ams-pe-2", "ams-2/3", "ams-2"),
            (
                "wan/ams-edge-1",
                "wan",
                "ams-edge-1",
                "ams-edge-1",
                "wan/ams-edge-1",
            ),
            (
                "ams-edge-1/wan",
                "ams-edge-1",
                "wan",
                "wan",
                "wan/ams-edge-1",
            ),
            (
                "core/ams-pe-2",
                "core",
                "ams-pe-2",
                "ams-pe-2",
                "core/ams-pe-2",
            ),
            (
                "ams-pe-2/core/ipv6",
                "ams-pe-2",
                "core",
                "core/ipv6",
                "core/ams-pe-2",
            ),
        ] {
            let it = topology.bfd_session(name).expect(name);
            assert_eq!((it.router, it.neighbour), (router, neighbour), "{name}");
            assert_eq!(
                (it.at_router(), it.link()),
                (at_router.to_owned(), link.to_owned())
            );
        }
        let family = |name| topology.bfd_session(name).map(|it| it.family);
        assert_eq!(family("ams-1/1"), Some(Family::Ipv4Unicast));
        assert_eq!(family("ams-2/1"), Some(Family::Ipv6Unicast), "its packets");
        assert_eq!(family("wan/ams-edge-1/ipv6"), Some(Family::Ipv6Unicast));
        for nothing in [
            "ams-1/ipv6",
            "ams-1/01",
            "ams-1/1/ipv6",
            "ams-3",
            "wan",
            "ams-edge-1",
        ] {
            assert_eq!(topology.bfd_session(nothing), None, "{nothing}");
        }
        for nothing in [
            "wan/ams-pe-1",
            "wan/core",
            "core/internet",
            "wan/ams-1",
            "ams-1/wan",
        ] {
            assert_eq!(topology.bfd_session(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn bgp_sessions_inside_are_named_whether_bfd_guards_them_or_not() {
        for name in ["one-metro", "one-metro-every-bfd"] {
            let topology = topology(name);
            let at = |name: &str| topology.bgp_session(name);
            assert_eq!(at("ams-1"), Some(("ams-edge-1", "ams-1".to_owned())));
            let wan = ("wan", "ams-edge-1".to_owned());
            assert_eq!(at("wan/ams-edge-1"), Some(wan));
            let router = ("ams-pe-2", "core".to_owned());
            assert_eq!(at("ams-pe-2/core"), Some(router));
            for nothing in [
                "ams-1/1",
                "ams-1/ipv6",
                "wan",
                "wan/ams-pe-1",
                "core/internet",
            ] {
                assert_eq!(at(nothing), None, "{nothing} in {name}");
            }
        }
        let topology = topology("one-metro-every-bfd");
        for (name, router, own) in [
            ("ams-2/ipv6", "ams-edge-2", "ams-2/ipv6"),
            ("core/ams-pe-2/ipv6", "core", "ams-pe-2/ipv6"),
            ("ams-edge-1/wan/ipv6", "ams-edge-1", "wan/ipv6"),
        ] {
            assert_eq!(topology.bgp_session(name), Some((router, own.to_owned())));
        }
    }

    #[test]
    fn no_name_means_two_sessions() {
        let text = include_str!("../../topologies/one-metro-every-bfd.toml");
        // However parts of a lab are called.
        for (edge, connection) in [("ams-edge-1", "ams-1"), ("ipv6", "1"), ("1", "ipv6")] {
            let text = text
                .replace("ams-edge-1", edge)
                .replace("ams-1", connection);
            let source = crate::source::Source::new("topology.toml", text);
            let topology = crate::topology::parse_kept(&source).expect("good names");
            let of_connections = topology.connections.iter().flat_map(|it| {
                let members = (1..=it.members.len()).map(move |n| format!("{}/{n}", it.name));
                it.sessions().chain(members)
            });
            let inside = topology.sessions_inside().map(|(name, _)| name);
            let mut names: Vec<String> = of_connections.chain(inside).collect();
            assert_eq!(names.len(), 3 + 4 + 16);
            for name in &names {
                let session = topology.bfd_session(name).expect(name);
                let at_router = session.at_router();
                assert_eq!(bfd_name(session.router, &at_router), *name, "and back");
                assert_eq!(link_of(session.router, &at_router), session.link());
            }
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 3 + 4 + 16, "{edge}, {connection}");
        }
    }

    #[test]
    fn what_the_topology_does_not_guard_is_no_session_of_bfd() {
        let of = |name: &str, session: &str| topology(name).bfd_session(session).is_some();
        assert!(of("one-metro", "ams-1"));
        for session in ["ams-1/1", "wan/ams-edge-1", "ams-pe-1/core"] {
            assert!(!of("one-metro", session), "{session}");
        }
        assert!(!of("one-metro-without-bfd", "ams-1"));
        let mut topology = topology("one-metro-every-bfd");
        topology.profile.wan.bfd = false;
        assert_eq!(topology.bfd_session("wan/ams-edge-1"), None);
        assert!(topology.bfd_session("core/ams-pe-1").is_some());
    }
}
