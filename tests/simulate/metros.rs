//! What concerns more than one connection: crashed edges, a lost metro, everything lost.

use std::time::Duration;

use peerlab::scenario::{FaultKind, Target};

use crate::metro::{Metro, Picture};
use crate::story::{DELAY, DETECTION, SECOND, connection, ms, running};

/// Repaired, everything is as it was in ten link delays: nobody waits for a timer.
const AT_ONCE: Duration = Duration::from_micros(10 * DELAY.as_micros() as u64);

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// After the repair everything is as it was, and stays so.
fn recovers(metro: &mut Metro, target: &Target, before: &Picture, within: Duration) {
    metro.facts.clear();
    metro.repair(target);
    let took = metro.wait(within, |metro| metro.picture() == *before);
    assert!(took.is_some(), "not within {within:?}: {:#?}", metro.facts);
    metro.facts.clear();
    metro.run(ms(60_000));
    assert_eq!(metro.facts, []);
}

#[test]
fn a_crashed_edge_is_noticed_at_once_by_everyone_it_is_cabled_to() {
    for seed in 1..=4 {
        let mut metro = running("one-metro", seed);
        let (before, at) = (metro.picture(), metro.now);
        let node = Target::Node("ams-edge-1".to_owned());
        metro.fail(&node, FaultKind::Node);
        assert_eq!(metro.node("ams-edge-1").fib.len(), 0);
        metro.run(ms(20_000));
        let why = "interface down";
        assert_eq!(metro.lost("wan", "ams-edge-1"), [(at, why)]);
        assert_eq!(metro.lost("ams-pe-1", "ams-1"), [(at, why)]);
        assert_eq!(metro.lost("ams-edge-1", "ams-1"), [(at, "crash")]);
        assert_eq!(metro.lost("ams-edge-2", "ams-2"), []);
        let (sbc, teams) = (metro.sbc(), metro.teams());
        assert_eq!(metro.moves("wan", sbc), [(at, names(&["ams-edge-2"]))]);
        let later = at + DELAY;
        assert_eq!(metro.moves("core", teams), [(later, names(&["ams-pe-2"]))]);
        recovers(&mut metro, &node, &before, AT_ONCE);
    }
}

#[test]
fn when_the_primary_metro_is_lost_the_backup_takes_over_at_once() {
    let mut metro = running("two-metros", 1);
    let (before, at) = (metro.picture(), metro.now);
    let (sbc, teams) = (metro.sbc(), metro.teams());
    assert_eq!(metro.via("wan", sbc), ["ams-edge-1", "ams-edge-2"]);
    let amsterdam = Target::Metro("amsterdam".to_owned());
    metro.fail(&amsterdam, FaultKind::Metro);
    metro.run(ms(20_000));
    let steps = [
        (at, names(&["ams-edge-2"])),
        (at, names(&["fra-edge-1", "fra-edge-2"])),
    ];
    assert_eq!(metro.moves("wan", sbc), steps);
    let last = metro.moves("core", teams).pop();
    let left = names(&["fra-pe-1", "fra-pe-2"]);
    assert_eq!(last, Some((at + DELAY, left)));
    for connection in ["fra-1", "fra-2"] {
        let edge = connection.replace('-', "-edge-");
        assert_eq!(metro.lost(&edge, connection), []);
        assert_eq!(metro.bfd(&edge, connection, "down"), []);
    }
    recovers(&mut metro, &amsterdam, &before, AT_ONCE);
}

#[test]
fn when_everything_is_lost_only_the_internet_is_left() {
    for seed in 1..=4 {
        let mut metro = running("one-metro", seed);
        let (before, at) = (metro.picture(), metro.now);
        for name in ["ams-1", "ams-2"] {
            metro.fail(&connection(name), FaultKind::Silent);
        }
        metro.run(ms(2_000));
        let due = |router: &str, name: &str| metro.end(router, name).heard_bfd + DETECTION;
        let mut edges = [
            (due("ams-edge-1", "ams-1") + DELAY, "ams-edge-2"),
            (due("ams-edge-2", "ams-2") + DELAY, "ams-edge-1"),
        ];
        edges.sort();
        // First the other edge alone, then no BGP route: the static one to the internet is all there is.
        let steps = [(edges[0].0, names(&[edges[0].1])), (edges[1].0, vec![])];
        assert_eq!(metro.moves("wan", metro.sbc()), steps);
        assert!(edges[1].0.since(at) <= ms(450) + DELAY);
        assert_eq!(
            metro.node("wan").fib.len() + metro.node("core").fib.len(),
            0
        );
        let within = SECOND + ms(250) + AT_ONCE;
        recovers(&mut metro, &Target::All, &before, within);
    }
}

#[test]
fn faults_on_top_of_each_other_are_all_undone() {
    let mut metro = running("two-metros", 5);
    let before = metro.picture();
    metro.fail(&connection("ams-1"), FaultKind::Bfd);
    metro.run(ms(700));
    metro.fail(&Target::Node("ams-edge-1".to_owned()), FaultKind::Node);
    metro.run(ms(700));
    metro.fail(&Target::Metro("amsterdam".to_owned()), FaultKind::Metro);
    metro.run(ms(700));
    metro.fail(&connection("fra-1"), FaultKind::Light);
    metro.fail(&connection("fra-2"), FaultKind::OneWayIn);
    metro.run(ms(10_000));
    assert_eq!(metro.via("wan", metro.sbc()), Vec::<String>::new());
    recovers(&mut metro, &Target::All, &before, 2 * SECOND);
}
