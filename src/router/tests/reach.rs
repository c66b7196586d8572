//! Next hops behind another link than that of the session that told them.

use std::net::Ipv4Addr;

use super::bed::{end, originated, router};
use super::net::{Net, ms, net as prefix};
use crate::bgp::decision::Reason;
use crate::bgp::session::State;
use crate::record::Fact;
use crate::router::{Input, Outcome, RouterConfig, SessionIndex, SessionSpec, Sessions};

const A: &str = "198.51.100.0/24";
const B: &str = "203.0.113.0/24";

/// What became of routes, in the words of facts, in the order of the prefixes.
fn told(net: &mut Net) -> Vec<String> {
    let facts = std::mem::take(&mut net.facts);
    let told = facts.into_iter().filter_map(|(_, fact)| match fact {
        Fact::RouteReceived { prefix, .. } => Some(format!("{prefix} received")),
        Fact::RouteAccepted { prefix, .. } => Some(format!("{prefix} accepted")),
        Fact::RouteRefused {
            prefix,
            as_path,
            reason,
            ..
        } => Some(format!("{prefix} refused: {reason}, AS path {as_path}")),
        Fact::RouteWithdrawn { prefix, .. } => Some(format!("{prefix} gone")),
        _ => None,
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

/// One end of a session over a network that `y`, `z` and `r` share.
fn on_lan(name: &str, local: u8, peer: u8, peer_asn: u32) -> SessionSpec {
    let address = |host| Ipv4Addr::new(10, 8, 0, host);
    SessionSpec::new(name, "lan", address(local), address(peer), 29, peer_asn)
}

/// `y`, of another AS, tells A to `r` only, and B to `z`, too. `r` passes both on to `z` over a link of their own, with `y` as the next
/// hop, since none of them puts itself there.
fn third_party() -> Net {
    let mut y = router(
        "y",
        64501,
        1,
        vec![on_lan("r", 1, 3, 64500), on_lan("z", 1, 2, 64500)],
    );
    let only_r = Sessions::Only(vec![SessionIndex(0)]);
    y.originate = vec![originated(A), originated(B)];
    y.originate[0].sessions = only_r;
    let r = router(
        "r",
        64500,
        2,
        vec![on_lan("y", 3, 1, 64501), end("z", 1, 0, 64500)],
    );
    let mut z: RouterConfig = router(
        "z",
        64500,
        3,
        vec![on_lan("y", 2, 1, 64501), end("r", 1, 1, 64500)],
    );
    z.sessions[0].passive = true;
    z.sessions[1].record_routes = true;
    let mut net = Net::new(vec![y, r, z], ms(1));
    net.start();
    net.run(ms(500));
    assert!(net.all_established());
    net
}

#[test]
fn routes_over_another_link_go_and_come_back_with_it() {
    let mut net = third_party();
    for prefix in [A, B] {
        assert_eq!(net.via("z", prefix), ["lan"]);
    }
    for _ in 0..2 {
        let interface = "lan";
        net.input(2, Input::InterfaceDown { interface });
        for prefix in [A, B] {
            assert_eq!(net.via("z", prefix), [""; 0], "{prefix}");
        }
        net.run(ms(100));
        // The session that told them has nothing to do with it.
        assert_eq!(net.state("z", "r"), State::Established);
        let explained = net.routers[2].explain(&prefix(A));
        assert!(matches!(explained[..], [ref path] if path.outcome == Outcome::Unreachable));
        net.input(2, Input::InterfaceUp { interface });
        assert_eq!(net.via("z", A), ["lan"]);
        assert_eq!(
            net.via("z", B),
            ["lan"],
            "over `r`, while `y` is on its way"
        );
        assert!(net.run_until(ms(10_000), Net::all_established));
    }
}

/// What is told while the link is down has to wait for it, and nothing but the link brings it.
#[test]
fn a_route_that_came_while_the_link_was_down_is_used_when_it_is_up() {
    let mut net = third_party();
    let interface = "lan";
    net.input(2, Input::InterfaceDown { interface });
    let late = "192.0.2.0/24";
    net.input(0, Input::Announce(originated(late)));
    net.run(ms(100));
    assert_eq!(net.via("z", late), [""; 0]);
    assert_eq!(net.via("r", late), ["lan"]);
    net.input(2, Input::InterfaceUp { interface });
    assert_eq!(net.via("z", late), ["lan"]);
}

/// RFC 4271, section 6.3: ignored, and logged. Only what changes is told.
#[test]
fn a_route_without_a_way_to_its_next_hop_is_refused_until_there_is_one() {
    let mut net = third_party();
    let both = |what: &str| [A, B].map(|prefix| format!("{prefix} {what}"));
    let refused = "refused: next-hop-unreachable, AS path 64501";
    assert_eq!(told(&mut net).len(), 4, "received and accepted");
    let interface = "lan";
    for _ in 0..3 {
        net.input(2, Input::InterfaceDown { interface });
        net.input(2, Input::InterfaceDown { interface });
        assert_eq!(told(&mut net), both(refused));
        let table = net.routers[2].adj_rib_in(SessionIndex(1)).expect("r");
        assert_eq!(table.len(), 2, "they stay in Adj-RIB-In");
        for text in [A, B] {
            let reason = table.refused(&prefix(text));
            assert_eq!(reason.map(AsRef::as_ref), Some("next-hop-unreachable"));
        }
        net.input(2, Input::InterfaceUp { interface });
        net.input(2, Input::InterfaceUp { interface });
        assert_eq!(told(&mut net), both("accepted"));
        assert_eq!(
            net.routers[2].refused(SessionIndex(1), &prefix(A)),
            None,
            "it is accepted again"
        );
    }
    // One that comes meanwhile is told as received and refused at once, and taken when the link is there.
    net.input(2, Input::InterfaceDown { interface });
    told(&mut net);
    let late = "192.0.2.0/24";
    net.input(0, Input::Announce(originated(late)));
    net.run(ms(100));
    let seen = [format!("{late} received"), format!("{late} {refused}")];
    assert_eq!(told(&mut net), seen);
    // The routes of a session that is refreshed come again, and are no news.
    let session = SessionIndex(1);
    net.input(2, Input::RequestRefresh { session });
    net.run(ms(100));
    assert_eq!(told(&mut net), [""; 0]);
    net.input(2, Input::InterfaceUp { interface });
    assert!(told(&mut net).contains(&format!("{late} accepted")));
    // And when they go, they are gone, whatever became of them.
    net.input(2, Input::InterfaceDown { interface });
    told(&mut net);
    let reason = "";
    net.input(2, Input::Stop { session, reason });
    assert_eq!(told(&mut net), [late, A, B].map(|p| format!("{p} gone")));
}

/// RFC 4271, section 9.1.2.2, step e: the near exit, and both where they are as near.
#[test]
fn of_equal_routes_inside_those_are_used_whose_next_hop_costs_least() {
    for (costs, used) in [([10, 20], &["x"][..]), ([10, 10], &["x", "y"])] {
        let exit = |name: &str, link: u8| {
            let mut exit = router(name, 64500, link + 1, vec![end("hub", link, 1, 64500)]);
            exit.originate = vec![originated(A)];
            exit
        };
        let inside = |name, link, cost| SessionSpec {
            cost,
            ..end(name, link, 0, 64500)
        };
        let sessions = vec![inside("x", 1, costs[0]), inside("y", 2, costs[1])];
        let hub = router("hub", 64500, 1, sessions);
        let mut net = Net::new(vec![hub, exit("x", 1), exit("y", 2)], ms(1));
        net.start();
        net.run(ms(500));
        assert_eq!(net.via("hub", A), used);
        let explained = net.routers[0].explain(&prefix(A));
        let lost = Outcome::Lost(Reason::InteriorCost);
        let costly = explained.iter().any(|path| path.outcome == lost);
        assert_eq!(costly, used.len() == 1);
        net.input(0, Input::InterfaceDown { interface: "x" });
        assert_eq!(net.via("hub", A), ["y"]);
    }
}
