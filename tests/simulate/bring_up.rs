//! From dark fibre to routes in every kernel, and what one run has in common with another.

use std::collections::BTreeSet;
use std::time::Duration;

use peerlab::bgp::hash::keep_secret;
use peerlab::bgp::session::State;
use peerlab::plan::microsoft::routes;
use peerlab::record::Fact;
use peerlab::scenario::{FaultKind, Target};

use crate::cable::Quality;
use crate::metro::{Metro, shipped};
use crate::story::{DELAY, GOOD, SECOND, connection, ms, running};

/// What Microsoft announces with the voice profile.
const VOICE_ROUTES: u16 = 280;

/// Whether every kernel has all it will ever have.
fn complete(metro: &Metro) -> bool {
    let microsoft = usize::from(metro.topology.profile.routes);
    let endpoints = metro.layout.endpoints.len();
    let regions = metro
        .layout
        .edges
        .iter()
        .map(|e| metro.layout.region(&e.metro));
    let everywhere: BTreeSet<_> = regions
        .flat_map(|region| routes(metro.layout.microsoft_routes, region))
        .collect();
    let (wan, core) = (metro.node("wan"), metro.node("core"));
    let all = |name: &str| metro.node(name).fib.len() == microsoft + endpoints;
    wan.fib.len() == endpoints
        && wan.via(&metro.sbc()).len() == 2
        && core.fib.len() == everywhere.len()
        && core.via(&metro.teams()).len() == metro.layout.peers.len()
        && metro.layout.peers.iter().all(|peer| all(&peer.name))
}

#[test]
fn a_metro_is_up_in_ten_link_delays() {
    for name in ["one-metro", "two-metros"] {
        for seed in 1..=4 {
            let topology = shipped(name, VOICE_ROUTES);
            let mut metro = Metro::start(topology, &[], GOOD, seed);
            // LACP: our LACPDU, the partner's answer, in sync. BFD: Down, Init, Up. BGP meanwhile: SYN, SYN, OPEN,
            // KEEPALIVE, routes, and these to the WAN and the core.
            let up = metro.wait(SECOND, Metro::all_established);
            assert_eq!(up, Some(8 * DELAY), "{name}");
            let rest = metro.wait(SECOND, complete);
            assert_eq!(rest, Some(2 * DELAY), "{name}");
            metro.facts.clear();
            metro.run(ms(300_000));
            assert_eq!(metro.facts, [], "nothing moves afterwards");
        }
    }
}

#[test]
fn a_passive_microsoft_answers_an_active_peer() {
    let mut topology = shipped("one-metro", VOICE_ROUTES);
    topology.profile.lacp.active = false;
    let mut metro = Metro::start(topology, &[], GOOD, 1);
    let up = metro.wait(2 * SECOND, Metro::all_established);
    assert!(up.is_some(), "{:#?}", metro.picture().sessions);
}

#[test]
fn a_metro_comes_up_over_bad_cables() {
    let bad = Quality {
        delay: ms(20),
        jitter: ms(40),
        loss: 100,
    };
    for seed in 1..=6 {
        let mut metro = Metro::start(shipped("one-metro", VOICE_ROUTES), &[], bad, seed);
        let up = metro.wait(60 * SECOND, |metro| {
            complete(metro) && metro.all_established()
        });
        assert!(up.is_some(), "{seed}: {:#?}", metro.picture().sessions);
    }
}

#[test]
fn with_detours_and_reordering_but_no_loss_nothing_ever_flaps() {
    let slow = Quality {
        delay: ms(30),
        jitter: ms(100),
        loss: 0,
    };
    for seed in 1..=3 {
        let mut metro = Metro::start(shipped("one-metro", 5), &[], slow, seed);
        assert!(metro.wait(20 * SECOND, complete).is_some());
        metro.run(ms(5_000));
        metro.facts.clear();
        metro.run(ms(200_000));
        assert_eq!(metro.concerned(), Vec::<String>::new());
    }
}

#[test]
fn without_bfd_at_the_peer_there_are_no_routes_either_way() {
    let without = ["ams-1".to_owned()];
    let mut metro = Metro::start(shipped("one-metro", 5), &without, GOOD, 1);
    // Longer than two hold times: the peer gives up and tries again.
    metro.run(ms(400_000));
    let established = metro.facts.iter().filter(|(_, fact)| match fact {
        Fact::Bgp { session, state, .. } => session == "ams-1" && state == "Established",
        _ => false,
    });
    assert_eq!(established.count(), 0);
    let exchanged = metro.facts.iter().filter(|(_, fact)| match fact {
        Fact::RouteCount { session, .. } => session == "ams-1",
        _ => false,
    });
    assert_eq!(exchanged.count(), 0);
    assert!(!metro.end("ams-edge-1", "ams-1").bfd_is_up());
    assert_eq!(metro.carrier("ams-edge-1", "ams-1").len(), 1);
    // The neighbour works, and traffic takes it.
    assert_eq!(metro.state("ams-edge-2", "ams-2"), State::Established);
    assert_eq!(metro.via("wan", metro.sbc()), ["ams-edge-2"]);
    assert_eq!(metro.via("core", metro.teams()), ["ams-pe-2"]);
}

#[test]
fn a_prefix_withdrawn_on_one_session_leaves_the_other() {
    let mut metro = running("one-metro", 1);
    let (sbc, before, at) = (metro.sbc(), metro.picture(), metro.now);
    metro.set_announced(sbc, &["ams-1"], false);
    metro.run(SECOND);
    // Core, peer's router, edge, WAN.
    let left = vec!["ams-edge-2".to_owned()];
    assert_eq!(metro.moves("wan", sbc), [(at + 3 * DELAY, left)]);
    assert_eq!(metro.moves("ams-edge-1", sbc), [(at + 2 * DELAY, vec![])]);
    assert_eq!(metro.moves("core", metro.teams()), []);
    assert_eq!(metro.concerned(), Vec::<String>::new(), "sessions stay");
    metro.facts.clear();
    let at = metro.now;
    metro.set_announced(sbc, &["ams-1"], true);
    metro.run(SECOND);
    let both = ["ams-edge-1", "ams-edge-2"].map(str::to_owned).to_vec();
    assert_eq!(metro.moves("wan", sbc), [(at + 3 * DELAY, both)]);
    assert_eq!(metro.picture(), before);
}

#[test]
fn the_same_seed_is_the_same_run_to_the_last_packet() {
    let play = |seed: u64| {
        let bad = Quality {
            delay: DELAY,
            jitter: Duration::from_micros(700),
            loss: 20,
        };
        let mut metro = Metro::start(shipped("two-metros", 5), &[], bad, seed);
        metro.run(ms(3_000));
        metro.fail(&connection("fra-2"), FaultKind::Silent);
        metro.run(ms(2_000));
        metro.fail(&Target::Metro("amsterdam".to_owned()), FaultKind::Metro);
        metro.run(ms(2_000));
        metro.repair(&Target::All);
        metro.run(ms(5_000));
        (metro.digest(), metro.facts)
    };
    let first = play(7);
    // How tables are hashed reaches nobody.
    keep_secret([0x2545_f491_4f6c_dd1d, 0xbf58_476d_1ce4_e5b9]);
    let (second, other) = (play(7), play(8));
    assert_eq!(first.1, second.1);
    assert_eq!(first.0, second.0);
    assert_ne!(first.0, other.0);
}
