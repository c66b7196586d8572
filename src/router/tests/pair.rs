//! Two routers with one session.

use std::net::Ipv4Addr;

use super::bed::{end6, originated, router};
use super::net::{Net, ms, net};
use crate::bgp::session::State;
use crate::record::Fact;
use crate::router::{
    Input, Originated, OriginatedAttributes, RouterConfig, SessionIndex, SessionSpec, Sessions,
};

const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 0);
const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn prefixes(count: u32) -> Vec<Originated> {
    (0..count)
        .map(|n| Originated {
            prefix: ipnet::IpNet::new(Ipv4Addr::from(0x1400_0000 + (n << 8)).into(), 24)
                .expect("24 is a length"),
            attributes: OriginatedAttributes::default(),
            sessions: Sessions::All,
        })
        .collect()
}

/// `a` (AS 64500) and `b` (AS 8075), each changed by a function.
fn pair(change: impl Fn(&mut RouterConfig, &mut RouterConfig)) -> Net {
    let mut a = router(
        "a",
        64500,
        1,
        vec![SessionSpec::new("ab", "e0", A, B, 31, 8075)],
    );
    let mut b = router(
        "b",
        8075,
        2,
        vec![SessionSpec::new("ab", "e0", B, A, 31, 64500)],
    );
    change(&mut a, &mut b);
    Net::new(vec![a, b], ms(1))
}

fn strict(a: &mut RouterConfig, b: &mut RouterConfig) {
    for config in [a, b] {
        config.sessions[0].bfd_strict = true;
    }
}

fn flaps(net: &Net) -> usize {
    let idle = |fact: &Fact| matches!(fact, Fact::Bgp { state, .. } if state == "Idle");
    net.facts.iter().filter(|(_, f)| idle(f)).count()
}

#[test]
fn a_collision_ends_with_one_session_and_no_flap() {
    for (a, b) in [(1, 2), (2, 1)] {
        let mut net = pair(|x, y| {
            x.router_id = Ipv4Addr::new(10, 0, 0, a);
            y.router_id = Ipv4Addr::new(10, 0, 0, b);
        });
        net.start();
        assert!(net.run_until(ms(20), Net::all_established));
        net.run(ms(2_000));
        assert!(net.all_established());
        assert_eq!(flaps(&net), 0, "{:?}", net.facts);
    }
}

#[test]
fn routes_reach_the_other_kernel_and_end_of_rib_follows() {
    let mut net = pair(|a, _| a.originate = prefixes(280));
    net.start();
    net.run(ms(50));
    assert_eq!(net.fibs[1].len(), 280);
    assert_eq!(net.via("b", "20.0.1.0/24"), ["e0"]);
    let ends = net.facts.iter();
    let ends = ends.filter(|(_, f)| matches!(f, Fact::EndOfRib { .. }));
    assert_eq!(ends.count(), 2);
    let counted = Fact::RouteCount {
        router: "b".to_owned(),
        session: "ab".to_owned(),
        received: 280,
        advertised: 0,
    };
    assert!(net.facts.iter().any(|(_, f)| *f == counted));
}

#[test]
fn a_hundred_thousand_routes_pass_through_the_bounded_buffer() {
    let mut net = pair(|a, _| a.originate = prefixes(100_000));
    net.start();
    assert!(net.run_until(ms(5_000), |n| n.fibs[1].len() == 100_000));
}

#[test]
fn strict_bfd_withholds_routes_until_it_is_up_and_then_starts_at_once() {
    let mut net = pair(|a, b| {
        strict(a, b);
        a.originate = prefixes(10);
    });
    net.start();
    net.run(ms(3_000));
    assert_eq!(net.state("a", "ab"), State::OpenConfirm);
    assert_eq!(net.state("b", "ab"), State::OpenConfirm);
    let session = SessionIndex(0);
    net.input(0, Input::BfdUp { session });
    net.run(ms(100));
    assert_eq!(net.state("a", "ab"), State::OpenConfirm);
    net.input(1, Input::BfdUp { session });
    assert!(net.run_until(ms(3), Net::all_established));
    net.run(ms(3));
    assert_eq!(net.fibs[1].len(), 10);
}

#[test]
fn bfd_down_drops_routes_at_once_and_repair_brings_them_back() {
    let mut net = pair(|a, b| {
        strict(a, b);
        a.originate = prefixes(280);
    });
    let session = SessionIndex(0);
    net.start();
    for router in [0, 1] {
        net.input(router, Input::BfdUp { session });
    }
    net.run(ms(100));
    assert_eq!(net.fibs[1].len(), 280);
    net.silence(A, true);
    net.run(ms(150));
    for router in [0, 1] {
        net.input(
            router,
            Input::BfdDown {
                session,
                control_plane_independent: false,
            },
        );
    }
    assert_eq!(net.fibs[1].len(), 0, "gone before any time passes");
    let why = net.facts.iter().rev().find_map(|(_, f)| match f {
        Fact::Bgp { state, why, .. } if state == "Idle" => Some(why.as_str()),
        _ => None,
    });
    assert_eq!(why, Some("BFD down"));
    net.run(ms(30_000));
    net.silence(A, false);
    for router in [0, 1] {
        net.input(router, Input::BfdUp { session });
    }
    assert!(
        net.run_until(ms(20), |n| n.fibs[1].len() == 280),
        "{:?}",
        net.facts
    );
}

#[test]
fn a_lost_interface_ends_the_session_and_its_return_starts_it() {
    let mut net = pair(|a, _| a.originate = prefixes(10));
    net.start();
    net.run(ms(50));
    net.silence(A, true);
    for router in [0, 1] {
        net.input(router, Input::InterfaceDown { interface: "e0" });
    }
    assert_eq!(net.state("b", "ab"), State::Idle);
    assert_eq!(net.fibs[1].len(), 0);
    net.run(ms(60_000));
    assert_eq!(net.state("b", "ab"), State::Idle);
    net.silence(A, false);
    for router in [0, 1] {
        net.input(router, Input::InterfaceUp { interface: "e0" });
    }
    assert!(net.run_until(ms(20), |n| n.fibs[1].len() == 10));
}

#[test]
fn silence_without_bfd_ends_with_the_hold_timer() {
    let mut net = pair(|a, _| a.originate = prefixes(10));
    net.start();
    net.run(ms(50));
    net.silence(A, true);
    net.run(ms(100_000));
    assert_eq!(net.fibs[1].len(), 10);
    net.run(ms(85_000));
    assert_eq!(net.fibs[1].len(), 0);
    let why = net
        .facts
        .iter()
        .any(|(_, f)| matches!(f, Fact::Bgp { why, .. } if why == "hold timer expired"));
    assert!(why);
}

#[test]
fn a_stop_is_told_in_words_and_a_start_brings_the_session_back() {
    let mut net = pair(|_, _| {});
    net.start();
    net.run(ms(50));
    let session = SessionIndex(0);
    net.input(
        0,
        Input::Stop {
            session,
            reason: "maintenance",
        },
    );
    net.run(ms(10));
    let told = net.facts.iter().any(|(_, f)| {
        matches!(f, Fact::Bgp { router, why, .. }
            if router == "b" && why == "received Cease/administrative shutdown \"maintenance\"")
    });
    assert!(told, "{:?}", net.facts);
    net.run(ms(10_000));
    assert_eq!(net.state("a", "ab"), State::Idle);
    net.input(0, Input::StartSession { session });
    assert!(net.run_until(ms(500), Net::all_established));
}

#[test]
fn announce_withdraw_and_unpin_at_run_time() {
    let mut network = pair(|a, _| a.originate = prefixes(1));
    network.start();
    network.run(ms(50));
    let (prefix, sessions) = (net("20.0.0.0/24"), Sessions::All);
    network.input(0, Input::Withdraw { prefix, sessions });
    network.run(ms(5));
    assert!(network.fibs[1].is_empty());
    let route = Originated {
        prefix,
        attributes: OriginatedAttributes {
            as_path: vec![64512],
            communities: vec![8075 << 16 | 8007],
            ..OriginatedAttributes::default()
        },
        sessions: Sessions::All,
    };
    network.input(0, Input::Announce(route));
    network.run(ms(5));
    let rib_in = network.routers[1].adj_rib_in(SessionIndex(0));
    let set = rib_in.and_then(|r| r.get(&prefix)).expect("announced");
    assert_eq!(set.as_path, [64500, 64512]);
    assert_eq!(set.communities, [8075 << 16 | 8007]);
    let sessions = Sessions::All;
    network.input(0, Input::Unpin { prefix, sessions });
    network.run(ms(5));
    assert!(network.fibs[1].is_empty());
}

#[test]
fn a_crash_is_silent_and_a_start_boots_again() {
    let mut net = pair(|a, _| a.originate = prefixes(10));
    net.start();
    net.run(ms(50));
    net.silence(A, true);
    net.input(1, Input::Crash);
    assert!(net.fibs[1].is_empty());
    net.run(ms(1_000));
    assert_eq!(net.state("a", "ab"), State::Established);
    net.silence(A, false);
    net.input(1, Input::Start);
    // The survivor refuses the new connection until its hold timer is over (RFC 4271, section 6.8).
    assert!(net.run_until(ms(190_000), |n| n.fibs[1].len() == 10));
}

#[test]
fn route_refresh_brings_every_route_again_and_changes_nothing() {
    let mut net = pair(|a, _| a.originate = prefixes(10));
    net.start();
    net.run(ms(50));
    let changes = net.fib_log.len();
    let session = SessionIndex(0);
    net.input(1, Input::RequestRefresh { session });
    net.run(ms(10));
    assert_eq!(net.fib_log.len(), changes);
    assert!(net.all_established());
    assert_eq!(
        net.routers[0].adj_rib_out(session).map(|r| r.len()),
        Some(10)
    );
}

/// RFC 2545, section 3.
#[test]
fn the_link_local_next_hop_is_told_beside_the_global_one() {
    let mut a = router("a", 64500, 1, vec![end6("ab", 1, 0, 8075)]);
    a.originate = vec![originated("2001:db8:7::/48")];
    let b = router("b", 8075, 2, vec![end6("ab", 1, 1, 64500)]);
    let mut net = Net::new(vec![a, b], ms(1));
    let session = SessionIndex(0);
    let address = "fe80::1".parse().expect("an address");
    net.input(0, Input::LinkLocal { session, address });
    net.start();
    net.run(ms(200));
    let used = net.routers[1].loc_rib();
    let prefix = super::net::net("2001:db8:7::/48");
    let set = used.get(&prefix).expect("a route").attributes;
    let global: std::net::IpAddr = "2001:db8:9:1::".parse().expect("an address");
    assert_eq!((set.next_hop, set.link_local), (global, Some(address)));
    let hops = &net.fibs[1][&prefix];
    assert_eq!(hops[0].gateway, global);
}

#[test]
fn a_reset_tells_why_and_brings_everything_back() {
    let mut net = pair(|a, _| a.originate = prefixes(10));
    net.start();
    net.run(ms(50));
    net.facts.clear();
    let (session, reason) = (SessionIndex(0), "a setting has changed");
    net.input(1, Input::Reset { session, reason });
    assert!(net.fibs[1].is_empty());
    net.run(ms(5_000));
    assert!(net.all_established());
    assert_eq!(net.fibs[1].len(), 10);
    let mut ends = net.facts.iter().filter_map(|(_, fact)| match fact {
        Fact::Bgp { state, why, .. } if state == "Idle" => Some(why.as_str()),
        _ => None,
    });
    assert_eq!(
        ends.next(),
        Some("sent Cease/administrative reset \"a setting has changed\"")
    );
    assert_eq!(
        ends.next(),
        Some("received Cease/administrative reset \"a setting has changed\"")
    );
    // Whoever is shut down stays so.
    net.input(1, Input::Stop { session, reason });
    net.run(ms(100));
    net.input(1, Input::Reset { session, reason });
    net.run(ms(5_000));
    assert!(!net.all_established());
}
