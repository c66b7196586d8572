//! Settling: which phase of coming up is not complete, and for which connections.

use std::fmt;

use ipnet::IpNet;

use super::state::State;
use super::words;
use crate::bgp::family::Family;
use crate::topology::{Connection, Multipath, Topology, session_name};

/// The phases of settling, in their order.
pub const PHASES: [Phase; 5] = [
    Phase::Light,
    Phase::Lacp,
    Phase::Bfd,
    Phase::Bgp,
    Phase::EndOfRib,
];

/// A phase of coming up, as a Microsoft edge sees it, and inside both networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Every member has light.
    Light,
    /// Every LAG has carrier and every member distributes.
    Lacp,
    /// Every BFD session is Up.
    Bfd,
    /// Every BGP session is Established.
    Bgp,
    /// Every peer has sent end-of-RIB.
    EndOfRib,
}

/// A phase that is not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which.
    pub phase: Phase,
    /// Connections that lack it, or sessions such as `ams-1/ipv6`, in file order; with the routers at the two ends of the session inside a network
    /// (`core and ams-pe-1`) where all is well on the connection itself.
    pub connections: Vec<String>,
}

impl Phase {
    /// The name it has in [`crate::record::Fact::Phase`].
    pub fn name(self) -> &'static str {
        match self {
            Phase::Light => "light",
            Phase::Lacp => "lacp",
            Phase::Bfd => "bfd",
            Phase::Bgp => "bgp",
            Phase::EndOfRib => "end-of-rib",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = words::list(&self.connections);
        match self.phase {
            Phase::Light => write!(f, "no light on {connections}"),
            Phase::Lacp => write!(f, "LACP did not bring up {connections}"),
            Phase::Bfd => write!(f, "BFD did not come up on {connections}"),
            Phase::Bgp => write!(f, "BGP did not come up on {connections}"),
            Phase::EndOfRib => write!(f, "no end-of-RIB from the peer on {connections}"),
        }
    }
}

/// The first phase that is not complete for all connections but `except`; `None` when all is settled.
///
/// The run writes a [`crate::record::Fact::Phase`] whenever this goes on to a later phase.
pub fn missing(state: &State, topology: &Topology, except: &[String]) -> Option<Missing> {
    PHASES.into_iter().find_map(|phase| {
        let mut connections: Vec<String> = Vec::new();
        for connection in &topology.connections {
            if except.contains(&connection.name) {
                continue;
            }
            connections.extend(lacking(state, connection, phase));
            let inside = [
                ("wan", connection.edge.as_str()),
                ("core", connection.router.as_str()),
                ("internet", "core"),
                ("internet", "wan"),
            ];
            let lacking = inside
                .iter()
                .filter(|(hub, router)| {
                    Family::ALL.iter().any(|family| {
                        !complete_inside(state, hub, &session_name(router, *family), phase)
                    })
                })
                .map(|(hub, router)| format!("{hub} and {router}"));
            for session in lacking {
                // Several connections may end at one router.
                if !connections.contains(&session) {
                    connections.push(session);
                }
            }
        }
        (!connections.is_empty()).then_some(Missing { phase, connections })
    })
}

/// Whether the session inside Microsoft's or the peer's network, or with the internet, is there, through which all others
/// learn of a connection's routes. One of which nothing was told does not count.
fn complete_inside(state: &State, hub: &str, router: &str, phase: Phase) -> bool {
    let told = state.session(hub, router);
    told.is_none_or(|session| match phase {
        Phase::Light | Phase::Lacp | Phase::Bfd => true,
        Phase::Bgp => session.established(),
        Phase::EndOfRib => session.end_of_rib,
    })
}

/// What of a connection lacks a phase: itself, or some of its sessions.
fn lacking(state: &State, connection: &Connection, phase: Phase) -> Vec<String> {
    let (edge, name) = (&connection.edge, &connection.name);
    let members = state.members_in_service(name, connection.members.len());
    let mut members = members.into_iter();
    let complete = match phase {
        // Carrier of the LAG proves light where light itself was not told.
        Phase::Light => members.all(|member| {
            let told = state.light(edge, name, member);
            told.unwrap_or_else(|| state.lag_up(edge, name))
        }),
        Phase::Lacp => {
            state.lag_up(edge, name)
                && members.all(|member| {
                    let told = state.member(edge, name, member);
                    told.is_some_and(|told| told.working)
                })
        }
        Phase::Bfd if !connection.bfd.options.required => true,
        Phase::Bfd | Phase::Bgp | Phase::EndOfRib => {
            let sessions = connection.sessions();
            return sessions
                .filter(|name| !session_complete(state, edge, name, phase))
                .collect();
        }
    };
    match complete {
        true => Vec::new(),
        false => vec![name.clone()],
    }
}

fn session_complete(state: &State, edge: &str, name: &str, phase: Phase) -> bool {
    let session = state.session(edge, name);
    match phase {
        Phase::Light | Phase::Lacp => true,
        Phase::Bfd => state.bfd(edge, name).is_some_and(|bfd| bfd.state == "up"),
        Phase::Bgp => session.is_some_and(|session| session.established()),
        Phase::EndOfRib => session.is_some_and(|session| session.end_of_rib),
    }
}

/// Whether the kernels of the WAN and of the peer's core forward over every session that is meant to be used.
///
/// This is no phase: a peer that does not announce what it should has settled, and misses what is expected of its routes.
pub fn routed(state: &State, topology: &Topology, except: &[String]) -> bool {
    let connections = topology.connections.iter();
    let used = connections.filter(|connection| !except.contains(&connection.name));
    let mut sessions = used.flat_map(|c| c.families().map(move |family| (c, family)));
    sessions.all(|(connection, family)| {
        routed_by_wan(state, topology, connection, family)
            && routed_by_core(state, topology, connection, family)
    })
}

/// Whether the WAN forwards to every endpoint behind this connection's router over its edge, if its metro is in use.
fn routed_by_wan(
    state: &State,
    topology: &Topology,
    connection: &Connection,
    family: Family,
) -> bool {
    let services = &topology.services;
    let in_use = services.is_empty()
        || services
            .iter()
            .any(|service| service.primary == connection.metro);
    let behind = topology.endpoints.iter();
    let mut behind = behind.filter(|endpoint| endpoint.behind.contains(&connection.router));
    !in_use
        || behind.all(|endpoint| {
            let prefix = match family {
                Family::Ipv4Unicast => Some(endpoint.prefix.into()),
                Family::Ipv6Unicast => endpoint.ipv6.map(|ipv6| ipv6.prefix.into()),
            };
            prefix.is_none_or(|prefix: IpNet| {
                let via = state.kernel_route("wan", prefix);
                via.contains(&connection.edge) || is_full(via, topology.profile.wan.multipath)
            })
        })
}

/// Whether the core forwards something of the family over this connection's router.
fn routed_by_core(
    state: &State,
    topology: &Topology,
    connection: &Connection,
    family: Family,
) -> bool {
    let mut ways = state.kernel_routes("core", family);
    ways.any(|via| via.contains(&connection.router) || is_full(via, topology.peer.core.multipath))
}

/// Whether a route has as many ways as its router uses at once.
fn is_full(via: &[String], multipath: Multipath) -> bool {
    via.len() >= usize::from(multipath.paths)
}
