//! Any faults in any order, over cables that lose and reorder: nothing panics, no route outlives its BFD, and when all is
//! repaired everything is as it was in the beginning.
//!
//! Every step of a run checks the edges for strict mode and every kernel's table against its router's
//! (`Node::assert_strict`, `Node::show_routes`).

use std::time::Duration;

use peerlab::scenario::{FaultKind, Target};
use proptest::prelude::*;

use crate::cable::Quality;
use crate::metro::{Metro, shipped};
use crate::story::{DELAY, GOOD, SECOND};

/// Everything that has a limit has run out by then: a hold time, twice the longest pause of a retransmission, a rest.
const LIMIT: Duration = Duration::from_secs(600);

#[derive(Debug, Clone)]
enum Step {
    Connection(usize, FaultKind),
    Member(usize, u8, FaultKind),
    Node(usize),
    Metro(usize),
    Repair(usize),
    RepairNode(usize),
    Announced(usize, bool),
    Cables { jitter: u64, loss: u64 },
}

fn kind() -> impl Strategy<Value = FaultKind> {
    prop_oneof![
        Just(FaultKind::Light),
        Just(FaultKind::Silent),
        Just(FaultKind::OneWayIn),
        Just(FaultKind::OneWayOut),
        Just(FaultKind::Lacp),
        Just(FaultKind::Bfd),
        Just(FaultKind::Bgp),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4usize, kind()).prop_map(|(n, how)| Step::Connection(n, how)),
        3 => (0..4usize, 1..=2u8, kind()).prop_map(|(n, m, how)| Step::Member(n, m, how)),
        2 => (0..4usize).prop_map(Step::Node),
        1 => (0..2usize).prop_map(Step::Metro),
        4 => (0..4usize).prop_map(Step::Repair),
        2 => (0..4usize).prop_map(Step::RepairNode),
        2 => (0..4usize, any::<bool>()).prop_map(|(n, on)| Step::Announced(n, on)),
        1 => (0..300_000u64, 0..300u64).prop_map(|(jitter, loss)| Step::Cables { jitter, loss }),
    ]
}

/// Steps, and how long to wait after each, in microseconds: often next to nothing, seldom long.
fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let pause = prop_oneof![
        16 => 0..2_000u64,
        16 => 0..700_000u64,
        12 => 0..4_000_000u64,
        3 => 0..20_000_000u64,
        // A hold time and more.
        1 => 180_000_000..250_000_000u64,
    ];
    prop::collection::vec((step(), pause), 1..12)
}

/// How late a router may hear of BFD and carrier, in microseconds.
fn hearing() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 1..200u64, 1..50_000u64]
}

fn take(metro: &mut Metro, step: &Step) {
    let connections: Vec<_> = metro
        .layout
        .connections
        .iter()
        .map(|c| c.name.clone())
        .collect();
    let edges: Vec<_> = metro.layout.edges.iter().map(|e| e.name.clone()).collect();
    let metros: Vec<_> = metro
        .topology
        .metros
        .iter()
        .map(|m| m.name.clone())
        .collect();
    let name = |list: &[String], n: usize| list[n % list.len()].clone();
    match *step {
        Step::Connection(n, how) => {
            metro.fail(&Target::Connections(vec![name(&connections, n)]), how);
        }
        Step::Member(n, member, how) => {
            metro.fail(&Target::Member(name(&connections, n), member), how);
        }
        Step::Node(n) => metro.fail(&Target::Node(name(&edges, n)), FaultKind::Node),
        Step::Metro(n) => metro.fail(&Target::Metro(name(&metros, n)), FaultKind::Metro),
        Step::Repair(n) => metro.repair(&Target::Connections(vec![name(&connections, n)])),
        Step::RepairNode(n) => metro.repair(&Target::Node(name(&edges, n))),
        Step::Announced(n, on) => {
            metro.set_announced(metro.sbc(), &[&name(&connections, n)], on);
        }
        Step::Cables { jitter, loss } => {
            metro.quality = Quality {
                delay: DELAY,
                jitter: Duration::from_micros(jitter),
                loss,
            };
        }
    }
}

/// Plays the steps on a topology, repairs everything, and returns what is not as it was before.
fn play(name: &str, seed: u64, hearing: u64, steps: &[(Step, u64)]) -> Result<(), TestCaseError> {
    let mut metro = Metro::start(shipped(name, 2), &[], GOOD, seed);
    prop_assert!(metro.wait(SECOND, Metro::all_established).is_some());
    metro.run(SECOND);
    let before = metro.picture();
    metro.hear_after(Duration::from_micros(hearing));
    for (step, pause) in steps {
        take(&mut metro, step);
        metro.run(Duration::from_micros(*pause));
    }
    metro.quality = GOOD;
    metro.repair(&Target::All);
    for connection in 0..4 {
        take(&mut metro, &Step::Announced(connection, true));
    }
    let back = metro.wait(LIMIT, |metro| metro.picture() == before);
    if back.is_none() {
        prop_assert_eq!(&metro.picture(), &before, "not back");
    }
    // What is still on its way must not undo it.
    metro.run(20 * SECOND);
    prop_assert_eq!(&metro.picture(), &before);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn one_metro_survives_anything(seed: u64, hearing in hearing(), steps in steps()) {
        play("one-metro", seed, hearing, &steps)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn two_metros_survive_anything(seed: u64, hearing in hearing(), steps in steps()) {
        play("two-metros", seed, hearing, &steps)?;
    }
}
