//! The simulated routers of a lab: who speaks BGP with whom, and what each announces.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::microsoft_routes;
use super::sessions::GRACEFUL_SHUTDOWN;
use crate::bgp::attributes::Community;
use crate::bgp::family::{Families, Family};
use crate::bgp::message::{Capabilities, GracefulRestart};
use crate::bgp::origin_validation::VrpTable;
use crate::bgp::policy::{Change, Match, Policy, PrefixSet, Rule, Verdict};
use crate::bgp::session::{Options, Timers};
use crate::plan::microsoft;
use crate::plan::of_topology::{
    CORE_INTERNET, CORE_ROUTER_ID, ConnectionLayout, EdgeLayout, INTERNET_ROUTER_ID, Ipv6Link,
    Layout, MICROSOFT_RANGE, MICROSOFT_RANGE_IPV6, PeerLayout, WAN_INTERNET, WAN_ROUTER_ID,
};
use crate::provider::routing::{self, Inputs};
use crate::router::{
    MaximumPrefixes, NextHopSelf, Originated, OriginatedAttributes, RouterConfig, RouterOptions,
    Scope, Secret, SessionIndex, SessionSpec, Sessions,
};
use crate::topology::{BgpSettings, Inside, Topology, session_name};

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
fn plain_timers() -> Timers {
    Timers {
        keepalive: Duration::from_secs(10),
        hold: Duration::from_secs(30),
        connect_retry: Duration::from_millis(500),
        ..Timers::default()
    }
}

/// A link over which a router has a session of one family.
struct Link<'a> {
    /// The connection, or the neighbour inside a network.
    name: &'a str,
    interface: &'a str,
    family: Family,
    local: IpAddr,
    remote: IpAddr,
    prefix_len: u8,
}

/// No family outlives a restart, but end-of-RIB is sent and understood (RFC 4724, section 3). FRR sends its own only to
/// neighbours that announce as much.
const END_OF_RIB: GracefulRestart = GracefulRestart {
    restarting: false,
    notification: false,
    time: 0,
    families: Families::NONE,
    preserved: Families::NONE,
};

impl Link<'_> {
    /// Its session, as [`SessionSpec::new`] has it.
    fn session(&self, asn: u32) -> SessionSpec {
        let name = session_name(self.name, self.family);
        let (local, remote) = (self.local, self.remote);
        let mut session =
            SessionSpec::new(&name, self.interface, local, remote, self.prefix_len, asn);
        session.capabilities.graceful_restart = Some(END_OF_RIB);
        session
    }

    /// Its session, of a network with itself or with the internet.
    fn plain_session(&self, asn: u32) -> SessionSpec {
        SessionSpec {
            timers: plain_timers(),
            ..self.session(asn)
        }
    }
}

/// A side of a connection, or of a plain link.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The edge's, or of a plain link that of the WAN or the core.
    Hub,
    /// The peer's router's, or of a plain link the other's.
    Spoke,
}

impl End {
    fn local_first(self, hub: IpAddr, spoke: IpAddr) -> (IpAddr, IpAddr) {
        match self {
            End::Hub => (hub, spoke),
            End::Spoke => (spoke, hub),
        }
    }
}

/// A connection as a link of one family.
fn external(connection: &ConnectionLayout, family: Family, end: End) -> Option<Link<'_>> {
    let (edge, peer, prefix_len) = match family {
        Family::Ipv4Unicast => (
            connection.edge.address.into(),
            connection.peer.address.into(),
            connection.prefix_len,
        ),
        Family::Ipv6Unicast => {
            let session = connection.ipv6?;
            let (edge, peer) = (session.microsoft.into(), session.peer.into());
            (edge, peer, session.prefix_len)
        }
    };
    let (local, remote) = end.local_first(edge, peer);
    Some(Link {
        name: &connection.name,
        interface: &connection.name,
        family,
        local,
        remote,
        prefix_len,
    })
}

/// A plain link of one family; `ipv4` are its addresses at hub and spoke.
fn plain<'a>(
    (name, interface): (&'a str, &'a str),
    ipv4: (std::net::Ipv4Addr, std::net::Ipv4Addr),
    ipv6: Option<Ipv6Link>,
    family: Family,
    end: End,
) -> Option<Link<'a>> {
    let (hub, spoke, prefix_len) = match family {
        Family::Ipv4Unicast => (ipv4.0.into(), ipv4.1.into(), 31),
        Family::Ipv6Unicast => (ipv6?.hub.into(), ipv6?.spoke.into(), 127),
    };
    let (local, remote) = end.local_first(hub, spoke);
    Some(Link {
        name,
        interface,
        family,
        local,
        remote,
        prefix_len,
    })
}

/// A session with what a file says of it.
fn with(settings: &BgpSettings, family: Family, spec: SessionSpec) -> SessionSpec {
    let (options, maximum) = (&settings.options, settings.options.maximum_prefixes);
    // With IPv6 next hops for IPv4 routes the IPv6 session carries both (RFC 8950).
    let both = family == Family::Ipv6Unicast && options.capabilities.extended_next_hop;
    let families = if both { Families::ALL } else { family.into() };
    let own = options.capabilities.within(families);
    let capabilities = Capabilities {
        extended_next_hop: both,
        graceful_restart: own.graceful_restart.or(spec.capabilities.graceful_restart),
        ..own
    };
    SessionSpec {
        timers: settings.timers,
        passive: options.passive,
        md5: options
            .md5
            .as_ref()
            .and_then(|key| Secret::new(key.0.as_bytes()).ok()),
        ttl_security: options.ttl_security.then_some(1),
        maximum_prefixes: (maximum.of(family)).map(|limit| MaximumPrefixes {
            limit,
            warn_at: maximum.warn_at,
            warning_only: maximum.warning_only,
            restart_after: maximum.restart,
        }),
        advertisement_interval: options.advertisement_interval,
        options: Options {
            required_families: options.choices.required_families.and(families),
            ..options.choices
        },
        wait_for_bfd: options.wait_for_bfd && spec.use_bfd,
        enforce_first_as: options.enforces_first_as(),
        capabilities,
        ..spec
    }
}

/// The sessions over the links that are chosen.
fn over(links: &[Link<'_>], chosen: impl Fn(&Link<'_>) -> bool) -> Sessions {
    let places = (0..).zip(links).filter(|(_, link)| chosen(link));
    Sessions::Only(places.map(|(place, _)| SessionIndex(place)).collect())
}

/// The links of an edge in the order of its sessions: first those of IPv4, connections before the WAN.
fn edge_links<'a>(layout: &'a Layout, edge: &'a EdgeLayout) -> Vec<Link<'a>> {
    let of_family = |family| {
        let own = layout.connections.iter();
        let own = own.filter(|connection| connection.edge.router == edge.name);
        let own = own.filter_map(move |connection| external(connection, family, End::Hub));
        let ipv4 = (edge.wan, edge.wan_side);
        own.chain(plain(("wan", "wan"), ipv4, edge.ipv6, family, End::Spoke))
    };
    Family::ALL.into_iter().flat_map(of_family).collect()
}

/// The links of the core in the order of its sessions: first those of IPv4, the peer's routers before the internet.
fn core_links(layout: &Layout) -> Vec<Link<'_>> {
    let of_family = |family| {
        let routers = layout.peers.iter().filter_map(move |peer| {
            let (name, ipv4) = (peer.name.as_str(), (peer.core, peer.inside));
            plain((name, name), ipv4, peer.ipv6, family, End::Hub)
        });
        let ipv6 = layout.ipv6.map(|links| links.core_internet);
        let internet = (INTERNET, INTERNET);
        routers.chain(plain(internet, CORE_INTERNET, ipv6, family, End::Hub))
    };
    Family::ALL.into_iter().flat_map(of_family).collect()
}

/// A Microsoft edge: eBGP with the peer, gated by BFD; iBGP with the WAN.
pub fn edge(topology: &Topology, layout: &Layout, edge: &EdgeLayout) -> RouterConfig {
    let known = Inputs::onboarded(topology, &edge.metro);
    let sessions = edge_links(layout, edge).into_iter().map(|link| {
        let mut connections = topology.connections.iter();
        let Some(connection) = connections.find(|connection| connection.name == link.name) else {
            return SessionSpec {
                next_hop_self: NextHopSelf::External,
                use_bfd: topology.profile.wan.bfd,
                ..link.plain_session(MICROSOFT_ASN)
            };
        };
        let import = connection.edge_policies.import.as_ref();
        let import = import.unwrap_or(&topology.profile.import);
        let spec = SessionSpec {
            use_bfd: topology.wants_bfd(link.name),
            bfd_strict: topology.wants_bfd(link.name),
            import: Arc::new(known.policy(topology, import)),
            scope: Scope::Own,
            record_routes: true,
            ..link.session(topology.peer.asn)
        };
        with(&connection.bgp, link.family, spec)
    });
    let routes = microsoft::routes(layout.microsoft_routes, layout.region(&edge.metro));
    let routes = routes
        .into_iter()
        .map(|(net, path)| (IpNet::from(net), path));
    let ipv6_routes = microsoft::ipv6_routes(layout.microsoft_ipv6_routes);
    let originate = routes.chain(ipv6_routes).map(|route| {
        let external = edge_sessions(layout, &edge.name, Family::of(&route.0), |_| true);
        microsoft_routes::originated(route, external)
    });
    RouterConfig {
        name: edge.name.clone(),
        asn: MICROSOFT_ASN,
        router_id: edge.router_id,
        originate: originate.filter(goes_somewhere).collect(),
        sessions: sessions.collect(),
        multipath: MULTIPATH,
        options: RouterOptions {
            memory: edge_memory(layout),
            ..RouterOptions::default()
        },
    }
}

/// What all edges may hold together is half of what the WAN may: the session of a neighbour that brings too much ends at
/// its edge, before the WAN would have to end one that carries other neighbours' routes, too.
fn edge_memory(layout: &Layout) -> usize {
    RouterOptions::default().memory / 2 / layout.edges.len().max(1)
}

/// A network without IPv6 has no sessions for IPv6 routes.
fn goes_somewhere(route: &Originated) -> bool {
    route.sessions != Sessions::Only(Vec::new())
}

/// A session of the router in the middle of a network with one at its border, which is a client where routes are reflected.
fn reflected(inside: Inside, spec: SessionSpec) -> SessionSpec {
    if inside.reflector.is_none() {
        return spec;
    }
    SessionSpec {
        scope: Scope::All,
        export: Arc::default(),
        reflector_client: true,
        next_hop_self: NextHopSelf::All,
        ..spec
    }
}

/// The options of the router in the middle of a network.
fn options_inside(inside: Inside) -> RouterOptions {
    RouterOptions {
        cluster_id: inside.reflector.and_then(|reflector| reflector.cluster_id),
        multipath_relax: inside.multipath.relax,
        ..RouterOptions::default()
    }
}

/// What the WAN tells the internet: Microsoft's aggregate, and never a prefix of the peer.
pub fn to_the_internet() -> Policy {
    let own = [MICROSOFT_RANGE.into(), MICROSOFT_RANGE_IPV6.into()];
    let own = PrefixSet::from_iter::<[IpNet; 2]>(own);
    Policy::new(
        vec![Rule::accept(
            vec![Match::Prefix(Arc::new(own)), Match::PathLength(0..=0)],
            Vec::new(),
        )],
        Verdict::Reject("not-microsofts".into()),
    )
}

/// Microsoft's WAN: iBGP with every edge, eBGP with the internet, which is told Microsoft's aggregate.
pub fn wan(topology: &Topology, layout: &Layout) -> RouterConfig {
    let inside = topology.profile.wan;
    let of_family = |family| {
        let edges = layout.edges.iter().filter_map(move |edge| {
            let (name, ipv4) = (edge.name.as_str(), (edge.wan, edge.wan_side));
            plain((name, name), ipv4, edge.ipv6, family, End::Hub)
        });
        let ipv6 = layout.ipv6.map(|links| links.wan_internet);
        let internet = (INTERNET, INTERNET);
        edges.chain(plain(internet, WAN_INTERNET, ipv6, family, End::Hub))
    };
    let links: Vec<Link<'_>> = Family::ALL.into_iter().flat_map(of_family).collect();
    let sessions = links.iter().map(|link| match link.name {
        INTERNET => SessionSpec {
            import: Arc::new(Policy::deny_all()),
            export: Arc::new(to_the_internet()),
            ..link.plain_session(INTERNET_ASN)
        },
        _ => reflected(
            inside,
            SessionSpec {
                passive: true,
                use_bfd: inside.bfd,
                export: Arc::new(Policy::deny_all()),
                record_routes: true,
                ..link.plain_session(MICROSOFT_ASN)
            },
        ),
    });
    let aggregates = [
        IpNet::from(MICROSOFT_RANGE),
        IpNet::from(MICROSOFT_RANGE_IPV6),
    ];
    let aggregates = aggregates.map(|prefix| Originated {
        prefix,
        attributes: OriginatedAttributes::default(),
        sessions: over(&links, |link| {
            link.name == INTERNET && link.family == Family::of(&prefix)
        }),
    });
    RouterConfig {
        name: "wan".to_owned(),
        asn: MICROSOFT_ASN,
        router_id: WAN_ROUTER_ID,
        sessions: sessions.collect(),
        originate: aggregates.into_iter().filter(goes_somewhere).collect(),
        multipath: inside.multipath.paths.into(),
        options: options_inside(inside),
    }
}

/// A simulated router of the peer: eBGP with Microsoft, iBGP with the core.
///
/// `without_bfd` names the connections on which it runs no BFD; `vrps` is what the RPKI says to its policies.
pub fn peer(
    topology: &Topology,
    layout: &Layout,
    peer: &PeerLayout,
    without_bfd: &[String],
    vrps: Option<&Arc<VrpTable>>,
) -> RouterConfig {
    let of_family = |family| {
        let own = layout.connections.iter();
        let own = own.filter(|connection| connection.peer.router == peer.name);
        let own = own.filter_map(move |connection| external(connection, family, End::Spoke));
        let (core, ipv4) = (("core", "inside"), (peer.core, peer.inside));
        own.chain(plain(core, ipv4, peer.ipv6, family, End::Spoke))
    };
    let policies = |name: &str| {
        let mut connections = topology.connections.iter();
        let connection = connections.find(|connection| connection.name == name);
        connection.map(|connection| routing::of_peer(topology, connection, vrps))
    };
    let mut routers = topology.routers.iter();
    let router = routers.find(|router| router.name == peer.name);
    let router = router.map(|router| (router.bgp.clone(), router.multipath));
    let (settings, multipath) = router.unwrap_or_default();
    let links = Family::ALL.into_iter().flat_map(of_family);
    let sessions = links.map(|link| match link.name {
        "core" => SessionSpec {
            next_hop_self: NextHopSelf::External,
            use_bfd: topology.peer.core.bfd,
            ..link.plain_session(topology.peer.asn)
        },
        connection => {
            let (import, export) = policies(connection).unwrap_or_default();
            let import = match import.accepts_all() {
                true => honour_graceful_shutdown(),
                false => import,
            };
            let knows_others = topology.peer.core.reflector.is_some();
            let export = match knows_others && export.accepts_all() {
                true => nothing_back_to_microsoft(),
                false => export,
            };
            let spec = SessionSpec {
                import: Arc::new(import),
                export: Arc::new(export),
                use_bfd: topology.wants_bfd(connection)
                    && !without_bfd.iter().any(|without| without == connection),
                ..link.session(MICROSOFT_ASN)
            };
            with(&settings, link.family, spec)
        }
    });
    RouterConfig {
        name: peer.name.clone(),
        asn: topology.peer.asn,
        router_id: peer.router_id,
        sessions: sessions.collect(),
        originate: Vec::new(),
        multipath: multipath.paths.into(),
        options: RouterOptions {
            multipath_relax: multipath.relax,
            ..RouterOptions::default()
        },
    }
}

/// What a router does that has no policy: everything is accepted, what is about to go as the last resort (RFC 8326).
fn honour_graceful_shutdown() -> Policy {
    let about_to_go = Match::Community(Community::Standard(GRACEFUL_SHUTDOWN).into());
    let rule = Rule::accept(vec![about_to_go], vec![Change::LocalPref(0)]);
    Policy::new(vec![rule], Verdict::Accept)
}

/// What a router tells that has no policy and, by reflection, knows what Microsoft told another one.
fn nothing_back_to_microsoft() -> Policy {
    let own = Match::PathContains([MICROSOFT_ASN..=MICROSOFT_ASN].into());
    Policy::new(
        vec![Rule::reject(vec![own], "microsofts-own")],
        Verdict::Accept,
    )
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
    let sessions = core_links(layout).into_iter().map(|link| match link.name {
        INTERNET => SessionSpec {
            import: Arc::new(Policy::deny_all()),
            scope: Scope::Own,
            ..link.plain_session(INTERNET_ASN)
        },
        router => {
            let spec = reflected(
                topology.peer.core,
                SessionSpec {
                    scope: Scope::Own,
                    use_bfd: topology.peer.core.bfd && simulated(router),
                    cost: (topology.routers.iter().find(|other| other.name == router))
                        .map_or(0, |router| router.cost),
                    ..link.plain_session(topology.peer.asn)
                },
            );
            SessionSpec {
                export: Arc::new(match simulated(router) {
                    true => Policy::default(),
                    false => without_voice_community(),
                }),
                ..spec
            }
        }
    });
    let originate = topology.endpoints.iter().flat_map(|endpoint| {
        let ipv6 = endpoint.ipv6.map(|ipv6| ipv6.prefix.into());
        let prefixes = [IpNet::from(endpoint.prefix)].into_iter().chain(ipv6);
        prefixes.map(|prefix| Originated {
            prefix,
            attributes: OriginatedAttributes {
                communities: vec![community(VOICE_COMMUNITY)],
                ..OriginatedAttributes::default()
            },
            sessions: core_sessions(layout, Family::of(&prefix), |router| {
                endpoint.behind.iter().any(|behind| behind == router)
            }),
        })
    });
    RouterConfig {
        name: "core".to_owned(),
        asn: topology.peer.asn,
        router_id: CORE_ROUTER_ID,
        sessions: sessions.collect(),
        originate: originate.filter(goes_somewhere).collect(),
        multipath: topology.peer.core.multipath.paths.into(),
        options: options_inside(topology.peer.core),
    }
}

/// Lets everything through, without the community that Microsoft asks for.
fn without_voice_community() -> Policy {
    let voice = Community::Standard(community(VOICE_COMMUNITY));
    let rule = Rule::accept(Vec::new(), vec![Change::RemoveCommunity(voice.into())]);
    Policy::new(vec![rule], Verdict::Accept)
}

/// The core's sessions of one family with the routers that are chosen, and the one with the internet.
pub fn core_sessions(layout: &Layout, family: Family, chosen: impl Fn(&str) -> bool) -> Sessions {
    over(&core_links(layout), |link| {
        link.family == family && (link.name == INTERNET || chosen(link.name))
    })
}

/// The core's sessions of one family with the routers that are chosen.
pub fn core_sessions_inside(
    layout: &Layout,
    family: Family,
    chosen: impl Fn(&str) -> bool,
) -> Sessions {
    over(&core_links(layout), |link| {
        link.family == family && link.name != INTERNET && chosen(link.name)
    })
}

/// An edge's sessions that carry one family, with the peer on the connections that are chosen.
pub fn edge_sessions(
    layout: &Layout,
    edge: &str,
    family: Family,
    chosen: impl Fn(&str) -> bool,
) -> Sessions {
    let edge = layout.edges.iter().find(|other| other.name == edge);
    let links = edge.map_or_else(Vec::new, |edge| edge_links(layout, edge));
    over(&links, |link| {
        let carries = |connection: &ConnectionLayout| {
            link.family == family || (family == Family::Ipv4Unicast && connection.ipv4_over_ipv6)
        };
        layout.connection(link.name).is_some_and(carries) && chosen(link.name)
    })
}

/// The internet: it learns Microsoft's aggregate from the WAN and the peer's prefixes from the core, and tells nobody
/// anything; what WAN and core have no route for they send there anyway.
pub fn internet(topology: &Topology, layout: &Layout) -> RouterConfig {
    let links = Family::ALL.into_iter().flat_map(|family| {
        let [wan, core] = [
            layout.ipv6.map(|links| links.wan_internet),
            layout.ipv6.map(|links| links.core_internet),
        ];
        let wan = plain(("wan", "wan"), WAN_INTERNET, wan, family, End::Spoke);
        let core = plain(("core", "core"), CORE_INTERNET, core, family, End::Spoke);
        wan.into_iter().chain(core)
    });
    let sessions = links.map(|link| SessionSpec {
        passive: true,
        export: Arc::new(Policy::deny_all()),
        record_routes: true,
        ..link.plain_session(match link.name {
            "wan" => MICROSOFT_ASN,
            _ => topology.peer.asn,
        })
    });
    RouterConfig {
        name: INTERNET.to_owned(),
        asn: INTERNET_ASN,
        router_id: INTERNET_ROUTER_ID,
        sessions: sessions.collect(),
        originate: Vec::new(),
        multipath: 1,
        options: RouterOptions::default(),
    }
}

/// A community as one number.
pub fn community((high, low): (u16, u16)) -> u32 {
    u32::from(high) << 16 | u32::from(low)
}

#[cfg(test)]
mod tests;
