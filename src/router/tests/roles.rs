//! The smallest interconnect in memory: core, two PEs, two edges, WAN.

use std::net::Ipv4Addr;

use super::net::{Net, ms, net};
use crate::bgp::attributes::LargeCommunity;
use crate::record::Fact;
use crate::router::{
    Export, ExportPolicy, Fib, Input, Originated, OriginatedAttributes, RouterConfig, SessionIndex,
    SessionSpec, Sessions,
};

const SBC: &str = "198.51.100.0/24";

fn address(c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, c, d)
}

fn config(name: &str, asn: u32, id: u8, sessions: Vec<SessionSpec>) -> RouterConfig {
    RouterConfig {
        name: name.to_owned(),
        asn,
        router_id: Ipv4Addr::new(10, 0, 0, id),
        sessions,
        originate: Vec::new(),
        multipath: 8,
    }
}

/// One end of link `link`: end 0 or 1, named after the neighbour or connection.
fn end(name: &str, link: u8, side: u8, peer_asn: u32) -> SessionSpec {
    SessionSpec::new(
        name,
        name,
        address(link, side),
        address(link, 1 - side),
        31,
        peer_asn,
    )
}

fn next_hop_self(mut spec: SessionSpec) -> SessionSpec {
    spec.export = ExportPolicy {
        next_hop_self: true,
        ..ExportPolicy::default()
    };
    spec
}

fn strict(mut spec: SessionSpec) -> SessionSpec {
    spec.bfd_strict = true;
    spec.record_routes = true;
    spec
}

/// Links: 1, 2 are the connections; 3, 4 edge to WAN; 5, 6 PE to core.
fn metro() -> Net {
    let mut configs = Vec::new();
    for n in [1, 2] {
        let mut edge = config(
            &format!("edge-{n}"),
            8075,
            10 + n,
            vec![
                strict(end(&format!("ams-{n}"), n, 1, 64500)),
                next_hop_self(end("wan", 2 + n, 0, 8075)),
            ],
        );
        edge.originate = (0..280_u32)
            .map(|i| Originated {
                prefix: ipnet::Ipv4Net::new(Ipv4Addr::from(0x3470_0000 + (i << 8)), 24)
                    .expect("24 is a length"),
                attributes: OriginatedAttributes::default(),
                sessions: Sessions::Only(vec![SessionIndex(0)]),
            })
            .collect();
        configs.push(edge);
        configs.push(config(
            &format!("pe-{n}"),
            64500,
            20 + n,
            vec![
                strict(end(&format!("ams-{n}"), n, 0, 8075)),
                next_hop_self(end("core", 4 + n, 0, 64500)),
            ],
        ));
    }
    configs.push(config(
        "wan",
        8075,
        30,
        vec![end("edge-1", 3, 1, 8075), end("edge-2", 4, 1, 8075)],
    ));
    let mut core = config(
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
                Input::BfdDown { session }
            },
        );
    }
}

fn settled() -> Net {
    let mut net = metro();
    net.start();
    bfd(&mut net, 1, true);
    bfd(&mut net, 2, true);
    assert!(net.run_until(ms(100), Net::all_established));
    net.run(ms(100));
    net
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
            if router == "edge-1" && *prefix == net(SBC) && as_path == "64500"
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
            config.sessions[0].import.local_pref = Some(200);
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
fn nothing_leaves_the_session_when_export_is_nothing() {
    let net = settled();
    let mut configs: Vec<RouterConfig> = net.routers.iter().map(|r| r.config().clone()).collect();
    let pe = net.named("pe-1");
    configs[pe].sessions[0].export.what = Export::Nothing;
    let mut net = Net::new(configs, ms(1));
    net.start();
    bfd(&mut net, 1, true);
    bfd(&mut net, 2, true);
    net.run(ms(200));
    assert_eq!(net.via("wan", SBC), ["edge-2"]);
}
