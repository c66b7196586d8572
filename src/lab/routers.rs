//! The simulated routers of a lab: who speaks BGP with whom, and what each announces.

use std::sync::Arc;
use std::time::Duration;

use super::microsoft_routes;
use crate::bgp::attributes::Community;
use crate::bgp::policy::{Change, Match, Policy, PrefixSet, Rule, Verdict};
use crate::plan::microsoft;
use crate::plan::of_topology::{
    CORE_INTERNET, CORE_ROUTER_ID, ConnectionLayout, EdgeLayout, INTERNET_ROUTER_ID, Layout,
    MICROSOFT_RANGE, PeerLayout, WAN_INTERNET, WAN_ROUTER_ID,
};
use crate::provider::routing::{self, Inputs};
use crate::router::{
    Originated, OriginatedAttributes, RouterConfig, Scope, SessionIndex, SessionSpec, Sessions,
};
use crate::topology::{BgpTimers, Topology};

/// Microsoft's AS number.
pub const MICROSOFT_ASN: u32 = 8075;
/// The community Microsoft asks for on every prefix of the peer (PFX-02).
pub const VOICE_COMMUNITY: (u16, u16) = (8075, 8007);
/// Equal paths a router installs at most.
const MULTIPATH: usize = 64;
/// The internet's AS number: the last private one, so that it is nobody's in a topology.
pub const INTERNET_ASN: u32 = 4_294_967_294;
/// The internet's router, and the interfaces towards it.
const INTERNET: &str = "internet";
/// Inside the WAN and the peer's core, and towards the internet, sessions come back quickly.
const PLAIN_TIMERS: BgpTimers = BgpTimers {
    keepalive: Duration::from_secs(10),
    hold: Duration::from_secs(30),
    connect_retry: Duration::from_millis(500),
};

/// A Microsoft edge: eBGP with the peer, gated by BFD; iBGP with the WAN.
pub fn edge(topology: &Topology, layout: &Layout, edge: &EdgeLayout) -> RouterConfig {
    let mut sessions: Vec<SessionSpec> = Vec::new();
    for connection in layout
        .connections
        .iter()
        .filter(|c| c.edge.router == edge.name)
    {
        sessions.push(SessionSpec {
            use_bfd: true,
            bfd_strict: true,
            timers: topology.profile.bgp,
            import: Arc::new(Inputs::onboarded(topology, &edge.metro).import(topology)),
            scope: Scope::Own,
            record_routes: true,
            ..external(
                connection,
                &connection.edge.address,
                &connection.peer.address,
                topology.peer.asn,
            )
        });
    }
    sessions.push(SessionSpec {
        next_hop_self: true,
        ..plain("wan", "wan", edge.wan_side, edge.wan, MICROSOFT_ASN)
    });
    let routes = microsoft::routes(layout.microsoft_routes, layout.region(&edge.metro));
    let external = edge_sessions(layout, &edge.name, |_| true);
    let originate = routes
        .into_iter()
        .map(|route| microsoft_routes::originated(route, external.clone()));
    RouterConfig {
        name: edge.name.clone(),
        asn: MICROSOFT_ASN,
        router_id: edge.router_id,
        originate: originate.collect(),
        sessions,
        multipath: MULTIPATH,
    }
}

/// What the WAN tells the internet: Microsoft's aggregate, and never a prefix of the peer.
pub fn to_the_internet() -> Policy {
    let own = PrefixSet::from_iter([MICROSOFT_RANGE]);
    Policy::new(
        vec![Rule::accept(
            vec![Match::Prefix(Arc::new(own)), Match::PathLength(0..=0)],
            Vec::new(),
        )],
        Verdict::Reject("not-microsofts".into()),
    )
}

/// Microsoft's WAN: iBGP with every edge, eBGP with the internet, which is told Microsoft's aggregate.
pub fn wan(layout: &Layout) -> RouterConfig {
    let edges = layout.edges.iter().map(|edge| SessionSpec {
        passive: true,
        export: Arc::new(Policy::deny_all()),
        record_routes: true,
        ..plain(
            &edge.name,
            &edge.name,
            edge.wan,
            edge.wan_side,
            MICROSOFT_ASN,
        )
    });
    let internet = SessionSpec {
        import: Arc::new(Policy::deny_all()),
        export: Arc::new(to_the_internet()),
        ..plain(
            INTERNET,
            INTERNET,
            WAN_INTERNET.0,
            WAN_INTERNET.1,
            INTERNET_ASN,
        )
    };
    let aggregate = Originated {
        prefix: MICROSOFT_RANGE.into(),
        attributes: OriginatedAttributes::default(),
        sessions: Sessions::Only(vec![SessionIndex(layout.edges.len() as u16)]),
    };
    RouterConfig {
        name: "wan".to_owned(),
        asn: MICROSOFT_ASN,
        router_id: WAN_ROUTER_ID,
        sessions: edges.chain([internet]).collect(),
        originate: vec![aggregate],
        multipath: MULTIPATH,
    }
}

/// A simulated router of the peer: eBGP with Microsoft, iBGP with the core.
///
/// `without_bfd` names the connections on which it runs no BFD.
pub fn peer(
    topology: &Topology,
    layout: &Layout,
    peer: &PeerLayout,
    without_bfd: &[String],
) -> RouterConfig {
    let own = layout
        .connections
        .iter()
        .filter(|c| c.peer.router == peer.name);
    let policies = |name: &str| {
        let mut connections = topology.connections.iter();
        let connection = connections.find(|connection| connection.name == name);
        connection.map(|connection| routing::of_peer(topology, connection))
    };
    let mut sessions: Vec<SessionSpec> = own
        .map(|connection| (connection, policies(&connection.name).unwrap_or_default()))
        .map(|(connection, (import, export))| SessionSpec {
            import: Arc::new(import),
            export: Arc::new(export),
            use_bfd: !without_bfd.contains(&connection.name),
            timers: topology.profile.bgp,
            ..external(
                connection,
                &connection.peer.address,
                &connection.edge.address,
                MICROSOFT_ASN,
            )
        })
        .collect();
    sessions.push(SessionSpec {
        next_hop_self: true,
        ..plain("core", "inside", peer.inside, peer.core, topology.peer.asn)
    });
    RouterConfig {
        name: peer.name.clone(),
        asn: topology.peer.asn,
        router_id: peer.router_id,
        sessions,
        originate: Vec::new(),
        multipath: MULTIPATH,
    }
}

/// The rest of the peer's network: iBGP with each of its routers, eBGP with the internet, its transit; origin of the
/// endpoints' prefixes.
///
/// A router that is `simulated` passes on what the core says. A real one gets the prefixes without 8075:8007: to set it
/// is what its configuration is rehearsed for (PFX-02).
pub fn core(
    topology: &Topology,
    layout: &Layout,
    simulated: impl Fn(&str) -> bool,
) -> RouterConfig {
    let routers = layout.peers.iter().map(|peer| SessionSpec {
        scope: Scope::Own,
        export: Arc::new(match simulated(&peer.name) {
            true => Policy::default(),
            false => without_voice_community(),
        }),
        ..plain(
            &peer.name,
            &peer.name,
            peer.core,
            peer.inside,
            topology.peer.asn,
        )
    });
    let internet = SessionSpec {
        import: Arc::new(Policy::deny_all()),
        scope: Scope::Own,
        ..plain(
            INTERNET,
            INTERNET,
            CORE_INTERNET.0,
            CORE_INTERNET.1,
            INTERNET_ASN,
        )
    };
    let originate = topology.endpoints.iter().map(|endpoint| Originated {
        prefix: endpoint.prefix.into(),
        attributes: OriginatedAttributes {
            communities: vec![community(VOICE_COMMUNITY)],
            ..OriginatedAttributes::default()
        },
        sessions: with_internet(
            layout,
            core_sessions(layout, |router| endpoint.behind.iter().any(|b| b == router)),
        ),
    });
    RouterConfig {
        name: "core".to_owned(),
        asn: topology.peer.asn,
        router_id: CORE_ROUTER_ID,
        sessions: routers.chain([internet]).collect(),
        originate: originate.collect(),
        multipath: MULTIPATH,
    }
}

/// Lets everything through, without the community that Microsoft asks for.
fn without_voice_community() -> Policy {
    let voice = Community::Standard(community(VOICE_COMMUNITY));
    let rule = Rule::accept(Vec::new(), vec![Change::RemoveCommunity(voice.into())]);
    Policy::new(vec![rule], Verdict::Accept)
}

/// The core's sessions with the routers that are chosen.
pub fn core_sessions(layout: &Layout, chosen: impl Fn(&str) -> bool) -> Sessions {
    let chosen = layout
        .peers
        .iter()
        .enumerate()
        .filter(|(_, peer)| chosen(&peer.name));
    Sessions::Only(chosen.map(|(n, _)| SessionIndex(n as u16)).collect())
}

/// Sessions of the core, and the one with the internet.
pub fn with_internet(layout: &Layout, sessions: Sessions) -> Sessions {
    match sessions {
        Sessions::All => Sessions::All,
        Sessions::Only(mut list) => {
            list.push(SessionIndex(layout.peers.len() as u16));
            Sessions::Only(list)
        }
    }
}

/// An edge's sessions with the peer on the connections that are chosen.
pub fn edge_sessions(layout: &Layout, edge: &str, chosen: impl Fn(&str) -> bool) -> Sessions {
    let own = layout.connections.iter().filter(|c| c.edge.router == edge);
    let chosen = own.enumerate().filter(|(_, c)| chosen(&c.name));
    Sessions::Only(chosen.map(|(n, _)| SessionIndex(n as u16)).collect())
}

/// The internet: it learns Microsoft's aggregate from the WAN and the peer's prefixes from the core, and tells nobody
/// anything; what WAN and core have no route for they send there anyway.
pub fn internet(topology: &Topology) -> RouterConfig {
    let neighbour = |name: &str, (theirs, ours), asn| SessionSpec {
        passive: true,
        export: Arc::new(Policy::deny_all()),
        record_routes: true,
        ..plain(name, name, ours, theirs, asn)
    };
    RouterConfig {
        name: INTERNET.to_owned(),
        asn: INTERNET_ASN,
        router_id: INTERNET_ROUTER_ID,
        sessions: vec![
            neighbour("wan", WAN_INTERNET, MICROSOFT_ASN),
            neighbour("core", CORE_INTERNET, topology.peer.asn),
        ],
        originate: Vec::new(),
        multipath: 1,
    }
}

/// A community as one number.
pub fn community((high, low): (u16, u16)) -> u32 {
    u32::from(high) << 16 | u32::from(low)
}

fn external(
    connection: &ConnectionLayout,
    local: &std::net::Ipv4Addr,
    remote: &std::net::Ipv4Addr,
    asn: u32,
) -> SessionSpec {
    let name = &connection.name;
    SessionSpec::new(name, name, *local, *remote, connection.prefix_len, asn)
}

/// A session over a plain link.
fn plain(
    name: &str,
    interface: &str,
    local: std::net::Ipv4Addr,
    remote: std::net::Ipv4Addr,
    asn: u32,
) -> SessionSpec {
    SessionSpec {
        timers: PLAIN_TIMERS,
        ..SessionSpec::new(name, interface, local, remote, 31, asn)
    }
}
