//! Every kind of fault on one connection of one metro: who notices, at which microsecond, and where traffic goes.
//!
//! The faulty connection is `ams-1`, between `ams-edge-1` and `ams-pe-1`.

use std::num::NonZeroU8;
use std::time::Duration;

use peerlab::plan::microsoft::routes;
use peerlab::scenario::{FaultKind, Target};
use peerlab::time::At;

use crate::metro::{Metro, Picture, shipped};
use crate::story::{
    DELAY, DETECTION, HOLD, LACP_TIMEOUT, SECOND, connection, ms, running, running_as,
};

const EDGE: &str = "ams-edge-1";
const PEER: &str = "ams-pe-1";
const EXPIRED: &str = "control detection time expired";
const SIGNALED: &str = "neighbor signaled session down";
/// How long a connection that a collision may close waits for the other one.
const PATIENCE: Duration = Duration::from_millis(250);
/// LACP, BFD and BGP from the first frame to routes, everything answered at once.
const AT_ONCE: Duration = Duration::from_micros(10 * DELAY.as_micros() as u64);

/// A metro with a fault on `ams-1`, and how it was before.
fn broken(how: FaultKind, seed: u64, lasts: Duration) -> (Metro, Picture, At) {
    let mut metro = running("one-metro", seed);
    let (before, at) = (metro.picture(), metro.now);
    metro.fail(&connection("ams-1"), how);
    metro.run(lasts);
    (metro, before, at)
}

/// Nobody but the two ends of `ams-1` noticed, and traffic left it at these moments.
fn moved(metro: &Metro, wan: At, core: At) {
    let ends = [format!("{EDGE} ams-1"), format!("{PEER} ams-1")];
    assert_eq!(metro.concerned(), ends);
    let other = |name: &str| vec![name.to_owned()];
    assert_eq!(
        metro.moves("wan", metro.sbc()),
        [(wan, other("ams-edge-2"))]
    );
    for (prefix, _) in routes(metro.layout.microsoft_routes, 0) {
        assert_eq!(metro.moves("core", prefix), [(core, other("ams-pe-2"))]);
    }
}

/// After the repair everything is as it was, in time, in one step, and for good.
fn recovers(mut metro: Metro, before: &Picture, within: Duration) {
    metro.facts.clear();
    metro.repair(&Target::All);
    let took = metro.wait(within, |metro| metro.picture() == *before);
    assert!(took.is_some(), "not within {within:?}: {:#?}", metro.facts);
    for (router, prefix) in [("wan", metro.sbc()), ("core", metro.teams())] {
        assert_eq!(metro.moves(router, prefix).len(), 1, "{router}");
    }
    metro.facts.clear();
    metro.run(ms(60_000));
    assert_eq!(metro.facts, []);
}

/// A BFD session's last packet, and a Detection Time.
fn detected(metro: &Metro, router: &str, fault: At) -> At {
    let heard = metro.end(router, "ams-1").heard_bfd;
    assert!(fault.since(heard) <= ms(150), "an interval");
    heard + DETECTION
}

#[test]
fn loss_of_light_is_noticed_at_once_by_both_ends() {
    let (metro, before, at) = broken(FaultKind::Light, 1, ms(20_000));
    for router in [EDGE, PEER] {
        assert_eq!(metro.carrier(router, "ams-1"), [(at, false)]);
        assert_eq!(metro.lost(router, "ams-1"), [(at, "interface down")]);
        let bfd = detected(&metro, router, at);
        assert_eq!(metro.bfd(router, "ams-1", "down"), [(bfd, EXPIRED)]);
    }
    moved(&metro, at + DELAY, at + DELAY);
    recovers(metro, &before, AT_ONCE);
}

#[test]
fn a_silent_loss_is_noticed_by_each_end_one_detection_time_after_the_last_packet() {
    for seed in 1..=8 {
        let (metro, before, at) = broken(FaultKind::Silent, seed, ms(2_000));
        let [edge, peer] = [EDGE, PEER].map(|router| {
            let due = detected(&metro, router, at);
            assert_eq!(metro.bfd(router, "ams-1", "down"), [(due, EXPIRED)]);
            assert_eq!(metro.lost(router, "ams-1"), [(due, "BFD down")]);
            assert_eq!(metro.carrier(router, "ams-1"), []);
            due
        });
        moved(&metro, edge + DELAY, peer + DELAY);
        recovers(metro, &before, SECOND + PATIENCE + AT_ONCE);
    }
}

#[test]
fn the_detection_time_follows_the_timers() {
    for (interval, multiplier) in [(50, 3), (300, 3), (100, 5)] {
        let mut topology = shipped("one-metro", 5);
        let at_routers = topology.routers.iter_mut().map(|router| &mut router.bfd);
        let at_edges = topology.connections.iter_mut().map(|on| &mut on.bfd);
        for bfd in at_routers.chain(at_edges) {
            bfd.timers.interval = ms(interval);
            bfd.timers.multiplier = NonZeroU8::new(multiplier).expect("not 0");
        }
        let mut metro = running_as(topology, 1);
        let at = metro.now;
        metro.fail(&connection("ams-1"), FaultKind::Silent);
        metro.run(ms(2_000));
        for router in [EDGE, PEER] {
            let heard = metro.end(router, "ams-1").heard_bfd;
            assert!(at.since(heard) <= ms(interval));
            let due = heard + ms(interval) * u32::from(multiplier);
            assert_eq!(metro.bfd(router, "ams-1", "down"), [(due, EXPIRED)]);
            assert_eq!(metro.lost(router, "ams-1"), [(due, "BFD down")]);
        }
    }
}

#[test]
fn a_long_silent_loss_takes_the_lag_down_after_three_lacpdus() {
    let (metro, before, _) = broken(FaultKind::Silent, 2, ms(20_000));
    for router in [EDGE, PEER] {
        let heard = metro.end(router, "ams-1").heard_lacp.iter().max();
        let down = *heard.expect("members") + LACP_TIMEOUT;
        assert_eq!(metro.carrier(router, "ams-1"), [(down, false)]);
    }
    recovers(metro, &before, SECOND + PATIENCE + AT_ONCE);
}

#[test]
fn one_way_loss_is_noticed_by_the_deaf_end_which_tells_the_other() {
    let cases = [
        (FaultKind::OneWayIn, EDGE, PEER),
        (FaultKind::OneWayOut, PEER, EDGE),
    ];
    for (how, deaf, told) in cases {
        for seed in 1..=4 {
            let (metro, before, at) = broken(how, seed, ms(2_000));
            let due = detected(&metro, deaf, at);
            assert_eq!(metro.bfd(deaf, "ams-1", "down"), [(due, EXPIRED)]);
            assert_eq!(metro.lost(deaf, "ams-1"), [(due, "BFD down")]);
            let heard = due + DELAY;
            assert_eq!(metro.bfd(told, "ams-1", "down"), [(heard, SIGNALED)]);
            assert_eq!(metro.lost(told, "ams-1").len(), 1);
            assert_eq!(metro.lost(told, "ams-1")[0].0, heard);
            let (edge, peer) = if deaf == EDGE {
                (due, heard)
            } else {
                (heard, due)
            };
            moved(&metro, edge + DELAY, peer + DELAY);
            recovers(metro, &before, SECOND + PATIENCE + AT_ONCE);
        }
    }
}

#[test]
fn a_lost_member_moves_nothing() {
    for member in 1..=2 {
        let mut metro = running("one-metro", 1);
        let before = metro.picture();
        let target = Target::Member("ams-1".to_owned(), member);
        metro.fail(&target, FaultKind::Member);
        for router in [EDGE, PEER] {
            assert_eq!(metro.end(router, "ams-1").lag.distributing(), 1);
        }
        metro.run(ms(200_000));
        assert_eq!(metro.concerned(), Vec::<String>::new());
        assert_eq!(metro.moves("wan", metro.sbc()), []);
        metro.repair(&target);
        let took = metro.wait(AT_ONCE, |metro| metro.picture() == before);
        assert!(took.is_some(), "{:#?}", metro.picture());
        metro.run(ms(200_000));
        assert_eq!(metro.concerned(), Vec::<String>::new());
    }
}

#[test]
fn a_lost_member_takes_the_connection_down_when_all_are_demanded() {
    let mut topology = shipped("one-metro", 5);
    for connection in &mut topology.connections {
        connection.lacp.microsoft.min_links = 2;
        connection.lacp.peer.min_links = 2;
    }
    let mut metro = running_as(topology, 1);
    let (before, at) = (metro.picture(), metro.now);
    let target = Target::Member("ams-1".to_owned(), 2);
    metro.fail(&target, FaultKind::Member);
    metro.run(ms(20_000));
    for router in [EDGE, PEER] {
        assert_eq!(metro.carrier(router, "ams-1"), [(at, false)]);
        assert_eq!(metro.lost(router, "ams-1"), [(at, "interface down")]);
    }
    moved(&metro, at + DELAY, at + DELAY);
    recovers(metro, &before, AT_ONCE);
}

#[test]
fn a_silent_member_leaves_after_three_lacpdus() {
    for member in 1..=2 {
        let mut metro = running("one-metro", 1);
        let before = metro.picture();
        let target = Target::Member("ams-1".to_owned(), member);
        metro.fail(&target, FaultKind::Silent);
        metro.run(ms(4_000));
        for router in [EDGE, PEER] {
            let end = metro.end(router, "ams-1");
            let left = usize::from(2 - member);
            let distributing = [left == 0, left == 1];
            assert_eq!(end.distributing, distributing, "{router}");
            assert_eq!(metro.carrier(router, "ams-1"), []);
        }
        metro.repair(&target);
        let within = ms(10_000);
        let took = metro.wait(within, |metro| metro.picture() == before);
        assert!(took.is_some(), "{:#?}", metro.picture());
    }
}

#[test]
fn silenced_lacp_takes_the_lag_down_while_everything_else_passes() {
    let (metro, before, at) = broken(FaultKind::Lacp, 1, ms(20_000));
    let [edge, peer] = [EDGE, PEER].map(|router| {
        let end = metro.end(router, "ams-1");
        let heard = *end.heard_lacp.iter().max().expect("members");
        assert!(at.since(heard) <= SECOND);
        let down = heard + LACP_TIMEOUT;
        assert_eq!(metro.carrier(router, "ams-1"), [(down, false)]);
        assert_eq!(metro.lost(router, "ams-1"), [(down, "interface down")]);
        down
    });
    moved(&metro, edge + DELAY, peer + DELAY);
    recovers(metro, &before, SECOND + PATIENCE + AT_ONCE);
}

#[test]
fn silenced_bfd_ends_the_session_though_the_path_works() {
    for seed in 1..=16 {
        let (metro, before, at) = broken(FaultKind::Bfd, seed, ms(20_000));
        let [edge, peer] = [EDGE, PEER].map(|router| {
            let due = detected(&metro, router, at);
            assert_eq!(metro.bfd(router, "ams-1", "down"), [(due, EXPIRED)]);
            assert_eq!(metro.carrier(router, "ams-1"), []);
            due
        });
        // The path works, so the first to notice tells the other, and keeps the session down until its BFD is up.
        let first = edge.min(peer);
        let edge = edge.min(first + DELAY);
        let peer = peer.min(first + DELAY);
        moved(&metro, edge + DELAY, peer + DELAY);
        assert_eq!(metro.lost(EDGE, "ams-1")[0].0, edge);
        assert_eq!(metro.lost(PEER, "ams-1")[0].0, peer);
        // Both ends have spoken, and only wait for BFD.
        let state = peerlab::bgp::session::State::OpenConfirm;
        assert_eq!(metro.state(EDGE, "ams-1"), state);
        assert_eq!(metro.state(PEER, "ams-1"), state);
        recovers(metro, &before, SECOND + AT_ONCE);
    }
}

#[test]
fn a_session_that_waits_for_bfd_is_established_the_moment_bfd_is_up() {
    for seed in 1..=16 {
        let (mut metro, before, _) = broken(FaultKind::Bfd, seed, ms(20_000));
        metro.facts.clear();
        metro.repair(&Target::All);
        let took = metro.wait(2 * SECOND, |metro| metro.picture() == before);
        assert!(took.is_some());
        let [edge, peer] = [EDGE, PEER].map(|router| metro.bfd(router, "ams-1", "up")[0].0);
        let moves = metro.moves("core", metro.teams());
        // The edge's KEEPALIVE and routes are in one segment: edge, peer's router, core. Where the peer's router waits longer,
        // they wait for its KEEPALIVE.
        let due = (edge + 2 * DELAY).max(peer + 3 * DELAY);
        assert_eq!(moves[0].0, due, "seed {seed}: {:#?}", metro.facts);
    }
}

#[test]
fn silenced_bgp_is_noticed_when_the_hold_time_is_over() {
    let (metro, before, at) = broken(FaultKind::Bgp, 1, ms(190_000));
    let [edge, peer] = [EDGE, PEER].map(|router| {
        let session = metro.end(router, "ams-1").session;
        let heard = metro.node(router).heard_bgp[&session];
        assert!(heard < at);
        let due = heard + HOLD;
        assert_eq!(metro.lost(router, "ams-1"), [(due, "hold timer expired")]);
        assert_eq!(metro.bfd(router, "ams-1", "down"), []);
        due
    });
    moved(&metro, edge + DELAY, peer + DELAY);
    // A connection attempt is repeated every 5 s at most.
    recovers(metro, &before, 5 * SECOND + PATIENCE + AT_ONCE);
}

#[test]
fn a_short_silence_of_bgp_costs_nothing() {
    let mut metro = running("one-metro", 3);
    let before = metro.picture();
    for _ in 0..4 {
        metro.fail(&connection("ams-1"), FaultKind::Bgp);
        metro.run(ms(50_000));
        metro.repair(&Target::All);
        metro.run(ms(110_000));
    }
    assert_eq!(metro.picture(), before);
    assert_eq!(metro.lost(EDGE, "ams-1"), []);
    assert_eq!(metro.lost(PEER, "ams-1"), []);
}
