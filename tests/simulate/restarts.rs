//! Routers whose BGP restarts: what is kept of them, for how long, and what ends it sooner.

use peerlab::bgp::family::Families;
use peerlab::bgp::session::State;
use peerlab::record::Fact;
use peerlab::router::Input;
use peerlab::scenario::FaultKind;

use crate::metro::Metro;
use crate::story::{SECOND, connection, ms, running};

const TOPOLOGY: &str = "one-metro-graceful-restart";

/// How many routes of a session stayed as stale ones, each time it was told.
fn stale(metro: &Metro, at: &str, on: &str) -> Vec<u32> {
    let told = metro.facts.iter().filter_map(|(_, fact)| match fact {
        Fact::StaleRoutes {
            router,
            session,
            routes,
            ..
        } if router == at && session == on => Some(*routes),
        _ => None,
    });
    told.collect()
}

fn halt(metro: &mut Metro, router: &str, forwarding: bool) {
    metro.input(router, Input::Halt { forwarding });
}

fn restart(metro: &mut Metro, router: &str) {
    let preserved = Families::ALL;
    metro.input(router, Input::Restart { preserved });
}

#[test]
fn nothing_moves_while_a_router_restarts_whoever_it_is() {
    for (router, seed) in [("ams-pe-1", 1), ("ams-edge-1", 2)] {
        let mut metro = running(TOPOLOGY, seed);
        halt(&mut metro, router, true);
        metro.run(2 * SECOND);
        assert_ne!(metro.state("ams-edge-1", "ams-1"), State::Established);
        restart(&mut metro, router);
        metro.run(10 * SECOND);
        assert!(metro.all_established(), "{router}");
        let helper = match router {
            "ams-pe-1" => "ams-edge-1",
            _ => "ams-pe-1",
        };
        let told = stale(&metro, helper, "ams-1");
        assert!(told[0] > 0 && told[1..] == [0], "{router}: {told:?}");
        // Both ends of the connection forward as before, all the time.
        for end in ["ams-edge-1", "ams-pe-1"] {
            let (sbc, teams) = (metro.sbc(), metro.teams());
            assert_eq!(metro.moves(end, sbc), [], "{router}: {end}");
            assert_eq!(metro.moves(end, teams), [], "{router}: {end}");
        }
    }
}

#[test]
fn a_router_that_restarts_without_ado_loses_its_routes_and_gets_them_back() {
    let mut metro = running(TOPOLOGY, 3);
    let sbc = metro.sbc();
    halt(&mut metro, "ams-pe-1", false);
    metro.run(ms(10));
    assert_eq!(metro.via("ams-pe-1", sbc), [""; 0]);
    // The neighbour cannot know that it will not be back: it keeps what it has.
    assert_eq!(metro.via("wan", sbc), ["ams-edge-1", "ams-edge-2"]);
    metro.run(5 * SECOND);
    assert_eq!(metro.via("wan", sbc), ["ams-edge-2"]);
    restart(&mut metro, "ams-pe-1");
    metro.run(10 * SECOND);
    assert_eq!(metro.via("wan", sbc), ["ams-edge-1", "ams-edge-2"]);
}

#[test]
fn who_is_not_back_in_time_has_promised_too_much() {
    let mut metro = running(TOPOLOGY, 4);
    let (sbc, begun) = (metro.sbc(), metro.now);
    halt(&mut metro, "ams-pe-1", true);
    metro.run(20 * SECOND);
    assert_eq!(stale(&metro, "ams-edge-1", "ams-1"), [1, 0]);
    let moves = metro.moves("ams-edge-1", sbc);
    let [(at, via)] = moves.as_slice() else {
        panic!("{moves:?}");
    };
    let after = at.since(begun);
    assert!(after >= 4 * SECOND && after < ms(4_100), "{after:?}");
    assert_eq!(*via, [""; 0]);
    assert_eq!(metro.via("wan", sbc), ["ams-edge-2"]);
    restart(&mut metro, "ams-pe-1");
    metro.run(10 * SECOND);
    assert_eq!(metro.via("wan", sbc), ["ams-edge-1", "ams-edge-2"]);
}

#[test]
fn bfd_that_is_independent_of_bgp_ends_what_is_kept() {
    let mut metro = running(TOPOLOGY, 5);
    let sbc = metro.sbc();
    halt(&mut metro, "ams-pe-1", true);
    metro.run(SECOND);
    assert_eq!(metro.via("wan", sbc), ["ams-edge-1", "ams-edge-2"]);
    metro.fail(&connection("ams-1"), FaultKind::Silent);
    metro.run(ms(600));
    assert_eq!(metro.via("wan", sbc), ["ams-edge-2"]);
    assert_eq!(stale(&metro, "ams-edge-1", "ams-1"), [1, 0]);
    restart(&mut metro, "ams-pe-1");
    metro.run(5 * SECOND);
    assert_eq!(metro.via("wan", sbc), ["ams-edge-2"], "nothing passes");
    metro.repair(&connection("ams-1"));
    metro.run(20 * SECOND);
    assert_eq!(metro.via("wan", sbc), ["ams-edge-1", "ams-edge-2"]);
}
