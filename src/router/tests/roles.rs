//! The smallest interconnect in memory: core, two PEs, two edges, WAN.

use std::net::Ipv4Addr;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use super::bed::{address, end, router};
use super::net::{Net, ms, net};
use crate::bgp::attributes::LargeCommunity;
use crate::bgp::policy::{Change, Policy, Rule, Verdict};
use crate::record::Fact;
use crate::router::{
    Fib, Input, NextHopSelf, Originated, OriginatedAttributes, RouterConfig, SessionIndex,
    SessionSpec, Sessions,
};

const SBC: &str = "198.51.100.0/24";

fn next_hop_self(mut spec: SessionSpec) -> SessionSpec {
    spec.next_hop_self = NextHopSelf::External;
    spec
}

fn strict(mut spec: SessionSpec) -> SessionSpec {
    spec.bfd_strict = true;
    spec.record_routes = true;
    spec
}

/// Links: 1, 2 are the connections; 3, 4 edge to WAN; 5, 6 PE to core.
fn metro() -> Net {
    metro_of(280)
}

fn metro_of(routes: u32) -> Net {
    let mut configs = Vec::new();
    for n in [1, 2] {
        let mut edge = router(
            &format!("edge-{n}"),
            8075,
            10 + n,
            vec![
                strict(end(&format!("ams-{n}"), n, 1, 64500)),
                next_hop_self(end("wan", 2 + n, 0, 8075)),
            ],
        );
        edge.originate = (0..routes)
            .map(|i| Originated {
                prefix: ipnet::IpNet::new(Ipv4Addr::from(0x3470_0000 + (i << 8)).into(), 24)
                    .expect("24 is a length"),
                attributes: OriginatedAttributes::default(),
                sessions: Sessions::Only(vec![SessionIndex(0)]),
            })
            .collect();
        configs.push(edge);
        configs.push(router(
            &format!("pe-{n}"),
            64500,
            20 + n,
            vec![
                strict(end(&format!("ams-{n}"), n, 0, 8075)),
                next_hop_self(end("core", 4 + n, 0, 64500)),
            ],
        ));
    }
    configs.push(router(
        "wan",
        8075,
        30,
        vec![end("edge-1", 3, 1, 8075), end("edge-2", 4, 1, 8075)],
    ));
    let mut core = router(
        "core",
        64500,
        40,
        vec![end("pe-1", 5, 1, 64500), end("pe-2", 6, 1, 64500)],
    );
    core.originate = vec![Originated {
        prefix: net(SBC),
        attributes: OriginatedAttributes {
            communities: vec![8075 << 16 | 8007],
            large_communities: vec![LargeCommunity {
                global: 64500,
                local_1: 1,
                local_2: 2,
            }],
            ..OriginatedAttributes::default()
        },
        sessions: Sessions::All,
    }];
    configs.push(core);
    Net::new(configs, ms(1))
}

fn bfd(net: &mut Net, connection: u8, up: bool) {
    for side in ["edge", "pe"] {
        let router = net.named(&format!("{side}-{connection}"));
        let session = SessionIndex(0);
        net.input(
            router,
            if up {
                Input::BfdUp { session }
            } else {
                Input::BfdDown {
                    session,
                    control_plane_independent: false,
                }
            },
        );
    }
}

fn settle(mut net: Net) -> Net {
    net.start();
    bfd(&mut net, 1, true);
    bfd(&mut net, 2, true);
    assert!(net.run_until(ms(100), Net::all_established));
    net.run(ms(100));
    net
}

fn settled() -> Net {
    settle(metro())
}

#[test]
fn every_route_is_where_it_belongs_with_all_next_hops() {
    let net = settled();
    assert_eq!(net.via("wan", SBC), ["edge-1", "edge-2"]);
    assert_eq!(net.via("edge-1", SBC), ["ams-1"]);
    assert_eq!(net.via("pe-1", SBC), ["core"]);
    assert_eq!(net.via("core", "52.112.0.0/24"), ["pe-1", "pe-2"]);
    assert_eq!(net.via("pe-1", "52.112.7.0/24"), ["ams-1"]);
    assert_eq!(net.fibs[net.named("core")].len(), 280);
    assert_eq!(net.fibs[net.named("pe-1")].len(), 281);
    // The edges' own 280 routes stay outside; only the peer's prefix is inside.
    assert_eq!(net.fibs[net.named("wan")].len(), 1);
    assert_eq!(net.fibs[net.named("edge-1")].len(), 1);
}

#[test]
fn attributes_cross_the_interconnect() {
    let network = settled();
    let wan = &network.routers[network.named("wan")];
    let set = &wan.loc_rib().get(&net(SBC)).expect("a route").attributes;
    assert_eq!(set.as_path, [64500]);
    assert_eq!(set.communities, [8075 << 16 | 8007]);
    assert_eq!(set.large_communities.len(), 1);
    assert_eq!(set.local_pref, Some(100));
    let received = network.facts.iter().any(|(_, f)| {
        matches!(f, Fact::RouteReceived { router, prefix, as_path, communities, .. }
            if router == "edge-1" && *prefix == net(SBC) && &**as_path == "64500"
            && communities[0] == "8075:8007")
    });
    assert!(received);
}

#[test]
fn bfd_down_empties_the_connection_at_once_and_moves_the_rest() {
    let mut net = settled();
    net.silence(address(1, 0), true);
    let (edge, pe) = (net.named("edge-1"), net.named("pe-1"));
    net.fib_log.clear();
    let at = net.now;
    bfd(&mut net, 1, false);
    // Both ends empty their kernels in the very same moment, the shared next hop first.
    assert_eq!(net.fibs[edge].len(), 0);
    assert_eq!(net.fibs[pe].len(), 1);
    let first = |router| net.fib_log.iter().find(|(_, r, _)| *r == router);
    for router in [edge, pe] {
        let (when, _, fib) = first(router).expect("a change");
        assert_eq!(*when, at);
        let session = SessionIndex(0);
        assert_eq!(*fib, Fib::NextHopDown { session });
    }
    // One link delay later everyone else knows.
    net.run(ms(2));
    assert_eq!(net.via("wan", SBC), ["edge-2"]);
    assert_eq!(net.via("core", "52.112.200.0/24"), ["pe-2"]);
    assert_eq!(net.fibs[net.named("core")].len(), 280);
    let told = net.facts.iter().any(|(_, f)| {
        matches!(f, Fact::RouteWithdrawn { router, prefix, why, .. }
            if router == "edge-1" && *prefix == super::net::net(SBC) && why == "BFD down")
    });
    assert!(told);
    // And back.
    net.run(ms(5_000));
    net.silence(address(1, 0), false);
    bfd(&mut net, 1, true);
    assert!(net.run_until(ms(50), |n| n.via("wan", SBC) == ["edge-1", "edge-2"]));
    assert!(net.run_until(ms(50), |n| n.fibs[n.named("pe-1")].len() == 281));
}

#[test]
fn a_prefix_withdrawn_on_one_session_stays_on_the_other() {
    let mut network = settled();
    let pe = network.named("pe-1");
    let (prefix, sessions) = (net(SBC), Sessions::Only(vec![SessionIndex(0)]));
    network.input(
        pe,
        Input::Withdraw {
            prefix,
            sessions: sessions.clone(),
        },
    );
    network.run(ms(5));
    assert_eq!(network.via("wan", SBC), ["edge-2"]);
    network.input(pe, Input::Unpin { prefix, sessions });
    network.run(ms(5));
    assert_eq!(network.via("wan", SBC), ["edge-1", "edge-2"]);
}

#[test]
fn local_preference_of_an_edge_decides_in_the_wan() {
    let mut net = metro();
    let mut configs: Vec<RouterConfig> = net.routers.iter().map(|r| r.config().clone()).collect();
    for config in &mut configs {
        if config.name == "edge-2" {
            let rule = Rule::set(Vec::new(), vec![Change::LocalPref(200)]);
            config.sessions[0].import = Arc::new(Policy::new(vec![rule], Verdict::Accept));
        }
    }
    net = Net::new(configs, ms(1));
    net.start();
    bfd(&mut net, 1, true);
    bfd(&mut net, 2, true);
    net.run(ms(200));
    assert_eq!(net.via("wan", SBC), ["edge-2"]);
}

#[test]
fn nothing_leaves_the_session_when_export_denies_all() {
    let net = settled();
    let mut configs: Vec<RouterConfig> = net.routers.iter().map(|r| r.config().clone()).collect();
    let pe = net.named("pe-1");
    configs[pe].sessions[0].export = Arc::new(Policy::deny_all());
    let mut net = Net::new(configs, ms(1));
    net.start();
    bfd(&mut net, 1, true);
    bfd(&mut net, 2, true);
    net.run(ms(200));
    assert_eq!(net.via("wan", SBC), ["edge-2"]);
}

/// One trouble or repair: which, and where.
fn trouble(net: &mut Net, kind: u8, place: u8) {
    let connection = 1 + place % 2;
    let router = usize::from(place) % net.routers.len();
    let sessions = net.routers[router].config().sessions.len();
    let session = SessionIndex(u16::from(place) % sessions as u16);
    let interface = net.routers[router].config().sessions[session.index()]
        .interface
        .clone();
    let interface = interface.as_str();
    let prefix = super::net::net(SBC);
    match kind {
        0 => net.silence(address(1 + place % 6, 0), true),
        1 => net.silence(address(1 + place % 6, 0), false),
        2 => bfd(net, connection, false),
        3 => bfd(net, connection, true),
        4 => net.input(router, Input::InterfaceDown { interface }),
        5 => net.input(router, Input::InterfaceUp { interface }),
        6 => net.input(router, Input::Crash),
        7 => net.input(router, Input::Start),
        8 => {
            let reason = "test";
            net.input(router, Input::Stop { session, reason });
        }
        9 => net.input(router, Input::StartSession { session }),
        10 => {
            let sessions = Sessions::All;
            net.input(router, Input::Withdraw { prefix, sessions });
        }
        _ => net.input(router, Input::RequestRefresh { session }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happened: once everything is repaired, the network is where it began.
    #[test]
    fn any_sequence_of_troubles_ends_where_it_began(
        troubles in vec((0..12_u8, any::<u8>(), 0..3_000_u64), 1..40),
    ) {
        let mut net = settle(metro_of(3));
        let began = net.fibs.clone();
        let ribs = |net: &Net| -> Vec<Vec<(usize, usize)>> {
            net.routers.iter().map(|r| {
                (0..r.config().sessions.len() as u16).map(|s| {
                    let session = SessionIndex(s);
                    let count = |n: Option<usize>| n.unwrap_or(usize::MAX);
                    (
                        count(r.adj_rib_in(session).map(|t| t.len())),
                        count(r.adj_rib_out(session).map(|t| t.len())),
                    )
                }).collect()
            }).collect()
        };
        let held = ribs(&net);
        for (kind, place, wait) in troubles {
            trouble(&mut net, kind, place);
            net.run(ms(wait));
        }
        for link in 1..=6 {
            net.silence(address(link, 0), false);
        }
        for router in 0..net.routers.len() {
            for spec in net.routers[router].config().sessions.clone() {
                let interface = spec.interface.as_str();
                net.input(router, Input::InterfaceUp { interface });
            }
            net.input(router, Input::Start);
            for session in 0..net.routers[router].config().sessions.len() as u16 {
                let session = SessionIndex(session);
                net.input(router, Input::StartSession { session });
            }
            let (prefix, sessions) = (super::net::net(SBC), Sessions::All);
            net.input(router, Input::Unpin { prefix, sessions });
            if net.routers[router].config().name == "core" {
                let route = net.routers[router].config().originate[0].clone();
                net.input(router, Input::Announce(route));
            }
        }
        bfd(&mut net, 1, true);
        bfd(&mut net, 2, true);
        // The longest wait is the hold time of one who did not hear that the other one is gone.
        net.run(ms(400_000));
        prop_assert!(net.all_established());
        prop_assert_eq!(&net.fibs, &began);
        prop_assert_eq!(ribs(&net), held);
    }
}
