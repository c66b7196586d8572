//! The sessions of a dual-stack metro: their names, their order, and which routes go over which.

use std::net::Ipv4Addr;
use std::path::Path;

use super::*;
use crate::bgp::family::Families;
use crate::lab::line_cards;
use crate::line::Reach;
use crate::source::Source;
use crate::topology;

fn metro(name: &str) -> (Topology, Layout) {
    let path = format!("topologies/{name}.toml");
    let topology = topology::load(Path::new(&path)).expect("a good topology");
    let layout = Layout::of(&topology);
    (topology, layout)
}

/// All routers that can be simulated.
fn routers(topology: &Topology, layout: &Layout) -> Vec<RouterConfig> {
    let edges = layout.edges.iter().map(|one| edge(topology, layout, one));
    let peers = layout.peers.iter();
    let peers = peers.map(|one| peer(topology, layout, one, &[], None));
    let others = [
        wan(topology, layout),
        core(topology, layout, |_| true),
        internet(topology, layout),
    ];
    edges.chain(peers).chain(others).collect()
}

fn names(config: &RouterConfig) -> Vec<&str> {
    config.sessions.iter().map(|s| s.name.as_str()).collect()
}

#[test]
fn each_family_has_sessions_of_its_own_with_addresses_of_its_own() {
    let (topology, layout) = metro("one-metro-dual-stack");
    let all = routers(&topology, &layout);
    let own = ["ams-1", "wan", "ams-1/ipv6", "wan/ipv6"];
    assert_eq!(names(&all[0]), own);
    let own = ["ams-1", "core", "ams-1/ipv6", "core/ipv6"];
    assert_eq!(names(&all[2]), own);
    for config in &all {
        for session in &config.sessions {
            let ipv6 = session.name.ends_with("/ipv6");
            assert_eq!(session.local.is_ipv6(), ipv6, "{}", session.name);
            assert_eq!(session.peer.is_ipv6(), ipv6, "{}", session.name);
        }
    }
    // Each end has the other's address.
    let session = |router: usize, name: &str| {
        let mut sessions = all[router].sessions.iter();
        sessions.find(|s| s.name == name).expect("a session")
    };
    for name in ["ams-1", "ams-1/ipv6"] {
        let (edge, peer) = (session(0, name), session(2, name));
        assert_eq!((edge.local, edge.peer), (peer.peer, peer.local));
        assert_eq!(edge.interface, "ams-1");
    }
}

#[test]
fn a_route_goes_over_sessions_of_its_family_and_no_others() {
    let (topology, layout) = metro("one-metro-dual-stack");
    let mut seen = Families::NONE;
    for config in routers(&topology, &layout) {
        for route in &config.originate {
            let Sessions::Only(sessions) = &route.sessions else {
                panic!("{} goes everywhere", route.prefix);
            };
            assert!(!sessions.is_empty(), "{} goes nowhere", route.prefix);
            for session in sessions {
                let spec = &config.sessions[session.index()];
                let family = Family::of(&route.prefix);
                assert!(spec.capabilities.families.contains(family));
                seen.insert(family);
            }
        }
    }
    assert_eq!(seen.iter().count(), 2);
}

/// RFC 8950: where it is said, the IPv6 session carries IPv4 routes, too, and is the only one that does.
#[test]
fn ipv4_routes_go_over_an_ipv6_session_where_its_end_says_so() {
    let (topology, layout) = metro("one-metro-extended-next-hop");
    let all = routers(&topology, &layout);
    for (router, session, both) in [
        ("ams-edge-1", "ams-1/ipv6", true),
        ("ams-edge-1", "ams-1", false),
        ("ams-edge-1", "wan/ipv6", false),
        ("ams-pe-1", "ams-1/ipv6", true),
        ("ams-pe-2", "ams-2/ipv6", false),
    ] {
        let config = all.iter().find(|config| config.name == router);
        let config = config.expect("a router");
        let place = names(config).iter().position(|name| *name == session);
        let place = place.expect("a session");
        let announced = &config.sessions[place].capabilities;
        assert_eq!(announced.extended_next_hop, both, "{router} {session}");
        assert_eq!(announced.families == Families::ALL, both, "{session}");
        let index = SessionIndex(u16::try_from(place).expect("few"));
        let mut ipv4 = (config.originate.iter())
            .filter(|route| Family::of(&route.prefix) == Family::Ipv4Unicast);
        let carried = ipv4.any(|route| route.sessions.contains(index));
        let own = router == "ams-edge-1" && session != "wan/ipv6";
        assert_eq!(carried, own, "{router} {session}");
    }
}

#[test]
fn sessions_have_the_times_and_make_the_demands_that_files_say() {
    let (topology, layout) = metro("one-metro-session-demands");
    let all = routers(&topology, &layout);
    let session = |router: &str, name: &str| {
        let config = all.iter().find(|config| config.name == router);
        let mut sessions = config.expect("a router").sessions.iter();
        sessions.find(|s| s.name == name).expect("a session")
    };
    let (ms, s) = (Duration::from_millis, Duration::from_secs);
    let usual = Timers::default();
    let first = session("ams-edge-1", "ams-1");
    let edges = Timers {
        connect_delay: ms(200),
        open_hold: s(10),
        ..usual
    };
    assert_eq!(first.timers, edges);
    assert_eq!(first.options.minimum_hold, s(30));
    // Peers have the times of the edges, but none of their options.
    let peers = session("ams-pe-1", "ams-1");
    let own = Timers {
        hold: s(9),
        keepalive: s(3),
        idle_hold: ms(500),
        ..edges
    };
    assert_eq!(peers.timers, own);
    assert!(!peers.options.damp_peer_oscillations);
    assert_eq!(peers.options.minimum_hold, Duration::ZERO);
    let peers = session("ams-pe-2", "ams-2");
    assert_eq!(peers.timers.send_hold, Some(s(300)));
    assert!(peers.options.collision_detect_established && !peers.wait_for_bfd);
    for (name, families) in [("ams-2", Families::IPV4), ("ams-2/ipv6", Families::ALL)] {
        let second = session("ams-edge-2", name);
        assert_eq!(second.options.required_families, families);
        assert_eq!(second.options.delay_open, Some(s(1)));
        assert_eq!(second.options.bfd_hold, s(60));
        assert!(second.wait_for_bfd);
    }
    // Nothing of it inside.
    assert_eq!(session("ams-edge-2", "wan").timers, plain_timers());
    assert_eq!(session("ams-edge-2", "wan").options, Options::default());
}

#[test]
fn without_ipv6_there_is_none() {
    let (topology, layout) = metro("one-metro");
    for config in routers(&topology, &layout) {
        assert!(names(&config).iter().all(|name| !name.contains("ipv6")));
        let over_ipv6 = |route: &&Originated| match &route.sessions {
            Sessions::Only(sessions) => {
                Family::of(&route.prefix) == Family::Ipv6Unicast && !sessions.is_empty()
            }
            Sessions::All => true,
        };
        assert_eq!(config.originate.iter().filter(over_ipv6).count(), 0);
    }
}

#[test]
fn edges_hold_the_peer_to_what_it_has_declared() {
    let (mut topology, layout) = metro("one-metro-declared-prefixes");
    let limits = |topology: &Topology| {
        let edge = edge(topology, &layout, &layout.edges[0]);
        let limits = edge.sessions.iter().map(|session| session.maximum_prefixes);
        limits.collect::<Vec<_>>()
    };
    let own = Some(MaximumPrefixes {
        limit: 4,
        warn_at: 75,
        warning_only: false,
        restart_after: Some(Duration::from_secs(5)),
    });
    assert_eq!(
        limits(&topology),
        [own, None],
        "not those inside of Microsoft's network"
    );
    topology.connections[0].bgp.options.maximum_prefixes.ipv4 = None;
    assert_eq!(limits(&topology), [None, None]);
}

#[test]
fn reflectors_have_clients_and_nothing_goes_back_to_microsoft() {
    let (topology, layout) = metro("one-metro-reflectors");
    let all = routers(&topology, &layout);
    let named = |name: &str| {
        all.iter()
            .find(|config| config.name == name)
            .expect("a router")
    };
    for (hub, cluster) in [("wan", None), ("core", Some(Ipv4Addr::new(10, 64, 0, 1)))] {
        let hub = named(hub);
        assert_eq!(hub.options.cluster_id, cluster);
        for session in &hub.sessions {
            let inside = session.name != INTERNET;
            assert_eq!(session.reflector_client, inside, "{}", session.name);
            let all = session.next_hop_self == NextHopSelf::All;
            assert_eq!(all, inside, "{}", session.name);
        }
    }
    let told = &named("ams-pe-1").sessions[0].export;
    assert_eq!(**told, nothing_back_to_microsoft());
}

#[test]
fn each_router_uses_as_many_paths_as_its_file_says() {
    let (topology, layout) = metro("one-metro-multipath");
    let all = routers(&topology, &layout);
    for (name, paths, relax) in [
        ("wan", 64, false),
        ("core", 1, true),
        ("ams-pe-1", 64, true),
    ] {
        let config = all
            .iter()
            .find(|config| config.name == name)
            .expect("a router");
        assert_eq!(
            (config.multipath, config.options.multipath_relax),
            (paths, relax),
            "{name}"
        );
    }
}

/// RFC 7947, section 2.2.2.1: a route server need not put its own AS into AS paths.
#[test]
fn who_hears_a_route_server_does_not_ask_for_its_as() {
    let of = |more: &str| {
        let text = include_str!("../../../topologies/one-metro.toml");
        let text = text.replace("[metro.amsterdam]", &format!("{more}\n[metro.amsterdam]"));
        let parsed = topology::parse_kept(&Source::new("topology.toml", text));
        let topology = parsed.expect("a good topology");
        let layout = Layout::of(&topology);
        (topology, layout)
    };
    let client = "[microsoft.bgp]\nrole = \"route-server-client\"";
    for ((topology, layout), enforces) in [
        (metro("one-metro"), true),
        (metro("exchange-route-server"), false),
        (of(client), false),
        (of(&format!("{client}\nenforce-first-as = true")), true),
        (of("[microsoft.bgp]\nenforce-first-as = false"), false),
    ] {
        for config in routers(&topology, &layout) {
            let edge = layout.edges.iter().any(|edge| edge.name == config.name);
            for session in &config.sessions {
                let relaxed = edge && session.name != "wan" && !enforces;
                assert_eq!(session.enforce_first_as, !relaxed, "{}", config.name);
            }
        }
    }
}

/// RFC 5883: every session inside that is lost with BFD has both ends of a BFD session, and the other way round.
#[test]
fn bfd_inside_stands_between_the_ends_of_the_sessions_it_guards() {
    let inside = |name| {
        let (topology, layout) = metro(name);
        let specs = line_cards::inside(&topology, &layout, |_| true);
        (routers(&topology, &layout), specs)
    };
    let (all, specs) = inside("one-metro-bfd");
    for spec in &specs {
        let router = all.iter().find(|config| config.name == spec.end.router);
        let mut sessions = router.expect("a router").sessions.iter();
        let session = sessions.find(|s| s.name == spec.end.connection);
        let session = session.expect("a session");
        assert!(session.use_bfd, "{}", spec.end);
        assert_eq!((session.local, session.peer), (spec.local, spec.remote));
        assert_eq!(spec.reach, Reach::Routed);
    }
    let plain = |s: &&SessionSpec| {
        s.use_bfd && !s.name.starts_with("ams-1") && !s.name.starts_with("ams-2")
    };
    let guarded = all
        .iter()
        .flat_map(|config| config.sessions.iter().filter(plain));
    assert_eq!((guarded.count(), specs.len()), (8, 8));
    assert_eq!(inside("one-metro").1.len(), 0);
}

#[test]
fn an_edge_runs_out_of_memory_before_the_wan_does() {
    for name in ["one-metro", "two-metros"] {
        let (topology, layout) = metro(name);
        let edges = layout.edges.iter().map(|one| edge(&topology, &layout, one));
        let edges: usize = edges.map(|config| config.options.memory).sum();
        assert!(edges > 0);
        // What they learn lies at the WAN once more, with what it tells.
        assert!(
            2 * edges <= wan(&topology, &layout).options.memory,
            "{name}"
        );
    }
}
