//! What Microsoft tells the peer and the internet, and what it never tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use peerlab::bgp::attributes::LargeCommunity;
use peerlab::bgp::family::Family;
use peerlab::bgp::message::malformed::Malformation;
use peerlab::bgp::policy::Policy;
use peerlab::bgp::session::State;
use peerlab::lab::microsoft_routes::MicrosoftRoutes;
use peerlab::lab::routers::core_sessions;
use peerlab::plan::microsoft::BYOASN;
use peerlab::plan::of_topology::MICROSOFT_RANGE;
use peerlab::record::Fact;
use peerlab::router::{Input, Originated, OriginatedAttributes, SessionIndex};
use peerlab::scenario::{FaultKind, Target};

use crate::metro::{Metro, shipped};
use crate::story::{GOOD, SECOND, connection, ms, running, running_as};

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// What the internet's router was told: neighbour, prefix and AS path.
fn told(metro: &Metro) -> BTreeSet<(String, IpNet, String)> {
    let received = metro.facts.iter().filter_map(|(_, fact)| match fact {
        Fact::RouteReceived {
            router,
            session,
            prefix,
            as_path,
            ..
        } if router == "internet" => Some((session.clone(), *prefix, as_path.to_string())),
        _ => None,
    });
    received.collect()
}

/// Every prefix that the WAN ever told the internet is Microsoft's.
fn assert_silent(metro: &Metro) {
    let told = told(metro);
    let mut of_wan = told.iter().filter(|(session, ..)| session == "wan");
    assert!(
        of_wan.all(|(_, prefix, _)| *prefix == MICROSOFT_RANGE.into()),
        "{told:?}"
    );
}

fn path_of(as_path: &[u32]) -> OriginatedAttributes {
    OriginatedAttributes {
        as_path: as_path.to_vec(),
        ..OriginatedAttributes::default()
    }
}

fn peer_routes(metro: &Metro, connection: &str) -> BTreeMap<IpNet, Vec<u32>> {
    let layout = metro.layout.connection(connection).expect("a connection");
    let (router, name) = (layout.peer.router.clone(), connection);
    let session = metro.end(&router, name).session;
    let router = &metro.node(&router).router;
    let table = router.adj_rib_in(session).expect("a session");
    let routes = table.iter();
    routes
        .filter_map(|route| Some((route.prefix, route.attributes?.as_path.clone())))
        .collect()
}

#[test]
fn the_internet_learns_the_peer_from_the_core_and_only_the_aggregate_from_the_wan() {
    let mut metro = Metro::start(shipped("two-metros", 5), &[], GOOD, 1);
    metro.run(10 * SECOND);
    let sbc = metro.sbc();
    let expected = [
        ("core".to_owned(), sbc, "64500".to_owned()),
        ("wan".to_owned(), MICROSOFT_RANGE.into(), "8075".to_owned()),
    ];
    assert_eq!(told(&metro), BTreeSet::from(expected));
    assert_eq!(metro.via("internet", sbc), ["core"]);
    assert_eq!(metro.via("internet", MICROSOFT_RANGE), ["wan"]);
    // Nobody learns from the internet.
    for router in ["wan", "core"] {
        let routes = metro.node(router).router.loc_rib();
        assert!(routes.get(&MICROSOFT_RANGE.into()).is_none());
    }
    // Whatever fails and comes back, however prefixes come and go.
    let (from, all) = (["ams-1", "ams-2"], ["ams-1", "ams-2", "fra-1", "fra-2"]);
    metro.set_announced(sbc, &from, false);
    metro.fail(&connection("fra-1"), FaultKind::Silent);
    metro.run(2 * SECOND);
    metro.set_announced(sbc, &all, false);
    metro.fail(&Target::Metro("amsterdam".to_owned()), FaultKind::Metro);
    metro.run(2 * SECOND);
    assert_eq!(metro.via("wan", sbc), Vec::<String>::new());
    assert_eq!(metro.via("internet", sbc), ["core"], "the way that is left");
    let route = Originated {
        prefix: net("203.0.113.0/24"),
        attributes: OriginatedAttributes::default(),
        sessions: core_sessions(&metro.layout, Family::Ipv4Unicast, |router| {
            router == "fra-pe-2"
        }),
    };
    metro.input("core", Input::Announce(route));
    metro.set_announced(sbc, &all, true);
    metro.repair(&Target::All);
    metro.run(20 * SECOND);
    assert_eq!(metro.via("wan", net("203.0.113.0/24")), ["fra-edge-2"]);
    assert_eq!(metro.via("internet", net("203.0.113.0/24")), ["core"]);
    assert_silent(&metro);
}

/// What keeps them from it is the policy: without it they would be told.
#[test]
fn only_the_wans_policy_keeps_the_peers_prefixes_from_the_internet() {
    let mut metro = running("one-metro", 2);
    let (sbc, session) = (metro.sbc(), SessionIndex(metro.layout.edges.len() as u16));
    let policy = |policy: Policy| Input::Policy {
        session,
        import: None,
        export: Some(Arc::new(policy)),
    };
    metro.input("wan", policy(Policy::default()));
    metro.run(ms(10));
    let leaked = ("wan".to_owned(), sbc, "8075 64500".to_owned());
    assert_eq!(told(&metro), BTreeSet::from([leaked]));
    metro.input("wan", policy(peerlab::lab::routers::to_the_internet()));
    metro.facts.clear();
    metro.run(ms(10));
    let withdrawn = metro.facts.iter().any(|(_, fact)| {
        matches!(fact, Fact::RouteWithdrawn { router, session, prefix, .. }
            if router == "internet" && session == "wan" && *prefix == sbc)
    });
    assert!(withdrawn);
}

#[test]
fn the_number_of_routes_grows_and_shrinks_without_a_session_lost() {
    let mut metro = running_as(shipped("two-metros", 280), 3);
    let all = ["ams-1", "ams-2", "fra-1", "fra-2"];
    let mut routes = MicrosoftRoutes::new(Arc::new(metro.layout.clone()));
    let began = peer_routes(&metro, "ams-1");
    for count in [308, 322, 280] {
        let orders = routes.set_routes(count);
        metro.order(orders);
        metro.run(ms(10));
        for name in all {
            let received = peer_routes(&metro, name).len();
            assert_eq!(received, usize::from(count), "{name}");
        }
    }
    assert_eq!(peer_routes(&metro, "ams-1"), began);
    let state = |fact: &Fact| matches!(fact, Fact::Bgp { .. });
    assert!(!metro.facts.iter().any(|(_, fact)| state(fact)));
    // Some are a customer's, some of one metro; the core has all of them.
    let paths: BTreeSet<Vec<u32>> = began.values().cloned().collect();
    assert_eq!(paths, BTreeSet::from([vec![8075], vec![8075, BYOASN]]));
    assert_eq!(began, peer_routes(&metro, "ams-2"));
    let there = peer_routes(&metro, "fra-1");
    let only_here = began.keys().filter(|prefix| !there.contains_key(prefix));
    assert_eq!(only_here.count(), 4);
    assert_eq!(metro.node("core").fib.len(), 284);
}

#[test]
fn an_edge_that_crashed_comes_back_with_what_it_was_told() {
    let mut metro = running_as(shipped("one-metro", 280), 4);
    let mut routes = MicrosoftRoutes::new(Arc::new(metro.layout.clone()));
    metro.order(routes.set_routes(308));
    metro.run(ms(10));
    let edge = Target::Node("ams-edge-1".to_owned());
    metro.fail(&edge, FaultKind::Node);
    metro.run(2 * SECOND);
    assert_eq!(peer_routes(&metro, "ams-1").len(), 0);
    metro.repair(&edge);
    metro.run(20 * SECOND);
    assert_eq!(peer_routes(&metro, "ams-1").len(), 308);
}

#[test]
fn microsoft_withdraws_and_announces_on_command() {
    let mut metro = running_as(shipped("two-metros", 280), 5);
    let routes = MicrosoftRoutes::new(Arc::new(metro.layout.clone()));
    // The 14th is a customer's.
    let (prefix, new) = (net("198.18.13.0/24"), net("198.19.192.0/24"));
    let on = ["ams-1".to_owned(), "fra-2".to_owned()];
    let path = |metro: &Metro, name: &str, of| peer_routes(metro, name).get(&of).cloned();
    let usual = Some(vec![8075, BYOASN]);
    assert_eq!(path(&metro, "ams-1", prefix), usual);

    metro.order(routes.withdraw(prefix, &on));
    metro.order(routes.announce(new, &path_of(&[8075, 8068]), &on));
    metro.run(ms(10));
    for name in ["ams-1", "fra-2"] {
        assert_eq!(path(&metro, name, prefix), None, "{name}");
        assert_eq!(path(&metro, name, new), Some(vec![8075, 8068]), "{name}");
    }
    for name in ["ams-2", "fra-1"] {
        assert_eq!(path(&metro, name, prefix), usual, "{name}");
        assert_eq!(path(&metro, name, new), None, "{name}");
    }
    assert_eq!(metro.via("core", prefix), ["ams-pe-2", "fra-pe-1"]);
    assert_eq!(metro.via("core", new), ["ams-pe-1", "fra-pe-2"]);

    metro.order(routes.announce(prefix, &path_of(&[]), &on));
    metro.order(routes.announce(new, &path_of(&[]), &on));
    metro.run(ms(10));
    assert_eq!(path(&metro, "ams-1", prefix), usual);
    assert_eq!(path(&metro, "ams-1", new), Some(vec![8075]));
    assert_eq!(metro.via("core", prefix).len(), 4);
}

#[test]
fn what_microsoft_announces_has_the_attributes_it_was_given() {
    let mut metro = running("one-metro", 6);
    let routes = MicrosoftRoutes::new(Arc::new(metro.layout.clone()));
    let given = OriginatedAttributes {
        communities: vec![8075 << 16 | 1000],
        large_communities: vec![LargeCommunity {
            global: 8075,
            local_1: 1,
            local_2: 2,
        }],
        extended_communities: vec![0x0002_1f8b_0000_0001],
        med: Some(77),
        ..path_of(&[8075, 8068])
    };
    let prefix = net("198.19.255.0/24");
    metro.order(routes.announce(prefix, &given, &["ams-1".to_owned()]));
    metro.run(ms(10));
    let session = metro.end("ams-pe-1", "ams-1").session;
    let router = &metro.node("ams-pe-1").router;
    let table = router.adj_rib_in(session).expect("a session");
    let received = table.iter().find(|route| route.prefix == prefix);
    let received = received.and_then(|route| route.attributes);
    let received = received.expect("a route");
    assert_eq!(received.as_path, [8075, 8068]);
    assert_eq!(received.communities, given.communities);
    assert_eq!(received.large_communities, given.large_communities);
    assert_eq!(received.extended_communities, given.extended_communities);
    assert_eq!(received.med, given.med);
}

#[test]
fn a_malformed_update_has_its_treatment_and_no_other_route_suffers() {
    let mut metro = running("one-metro", 6);
    let routes = MicrosoftRoutes::new(Arc::new(metro.layout.clone()));
    let prefix = net("198.19.200.0/24");
    let on = ["ams-1".to_owned()];
    let announce = |metro: &mut Metro, malformed: Option<&str>| {
        let malformed = malformed.map(|name| Malformation::named(name).expect("a name"));
        metro.facts.clear();
        let attributes = OriginatedAttributes {
            malformed,
            ..path_of(&[])
        };
        metro.order(routes.announce(prefix, &attributes, &on));
        metro.run(ms(50));
        let there = !metro.via("core", prefix).is_empty();
        let lost = metro.lost("ams-edge-1", "ams-1");
        (there, lost.first().map(|(_, why)| (*why).to_owned()))
    };
    // Each is sent once; the next one is in order, even if nothing else has changed.
    assert_eq!(
        announce(&mut metro, Some("aggregator-length")),
        (true, None)
    );
    for name in [
        "origin-value",
        "as-path-segment-overrun",
        "communities-length",
    ] {
        assert_eq!(announce(&mut metro, Some(name)), (false, None), "{name}");
        assert_eq!(peer_routes(&metro, "ams-1").len(), 5, "{name}");
        assert_eq!(announce(&mut metro, None), (true, None), "{name}");
    }
    let why = "received UPDATE Message Error/invalid network field";
    let (_, lost) = announce(&mut metro, Some("nlri-length"));
    assert_eq!(lost.as_deref(), Some(why));
    metro.run(SECOND);
    assert_eq!(metro.state("ams-edge-1", "ams-1"), State::Established);
    assert_eq!(metro.via("core", prefix), ["ams-pe-1"]);
    assert_eq!(metro.lost("ams-edge-2", "ams-2"), []);
}
