//! The account against scripts and against a naive model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> At {
    At::from_millis(millis)
}

fn outputs(account: &mut Account) -> Vec<Output> {
    std::iter::from_fn(|| account.poll()).collect()
}

/// Sends a packet every millisecond of `range`, and lets those arrive half a millisecond later that `arrives` says.
fn send(account: &mut Account, range: std::ops::Range<u64>, arrives: impl Fn(u64) -> bool) {
    for ms in range {
        let (flow, sequence) = account.sent(at(ms));
        if arrives(ms) {
            account.arrived(at(ms) + Duration::from_micros(500), flow, sequence);
        }
    }
}

fn lost(flow: u16, count: u64, first: u64, last: u64, next: Option<u64>) -> Output {
    Output::Lost {
        flow,
        count,
        first_sent: at(first),
        last_sent: at(last),
        next_received: next.map(|ms| at(ms) + Duration::from_micros(500)),
    }
}

#[test]
fn packets_are_sent_over_the_flows_in_turn() {
    let mut account = Account::new(3);
    let sent: Vec<_> = (0..5).map(|ms| account.sent(at(ms))).collect();
    assert_eq!(sent, [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]);
}

#[test]
fn a_cut_is_told_flow_by_flow_to_the_millisecond() {
    let mut account = Account::new(4);
    send(&mut account, 0..100, |ms| !(40..60).contains(&ms));
    assert_eq!(
        outputs(&mut account),
        [
            lost(0, 5, 40, 56, Some(60)),
            lost(1, 5, 41, 57, Some(61)),
            lost(2, 5, 42, 58, Some(62)),
            lost(3, 5, 43, 59, Some(63)),
        ]
    );
    let tally = account.take_tally();
    assert_eq!((tally.sent, tally.received), (100, 80));
    assert_eq!(tally.slowest, Duration::from_micros(500));
    assert_eq!(account.take_tally(), Tally::default());
}

#[test]
fn a_run_told_while_open_is_told_on_with_the_same_beginning() {
    let mut account = Account::new(1);
    send(&mut account, 0..20, |ms| ms < 10);
    assert!(!account.settled(at(19)));
    account.report_open(at(14));
    assert_eq!(outputs(&mut account), [lost(0, 5, 10, 14, None)]);
    account.report_open(at(14));
    assert_eq!(outputs(&mut account), []);
    send(&mut account, 20..30, |ms| ms >= 25);
    assert_eq!(outputs(&mut account), [lost(0, 10, 10, 24, Some(25))]);
    assert!(account.settled(at(29)));
}

#[test]
fn a_run_told_whole_is_told_again_when_it_ends() {
    let mut account = Account::new(1);
    send(&mut account, 0..10, |ms| ms < 5);
    account.report_open(at(9));
    send(&mut account, 10..11, |_| true);
    assert_eq!(
        outputs(&mut account),
        [lost(0, 5, 5, 9, None), lost(0, 0, 5, 9, Some(10)),]
    );
}

#[test]
fn nothing_is_open_when_nothing_is_missing() {
    let mut account = Account::new(2);
    assert!(account.settled(at(0)));
    send(&mut account, 0..10, |_| true);
    account.report_open(at(100));
    assert_eq!(outputs(&mut account), []);
    account.sent(at(10));
    assert!(account.settled(at(9)));
    assert!(!account.settled(at(10)));
}

#[test]
fn a_late_packet_is_reordered_and_a_repeated_one_duplicated() {
    let mut account = Account::new(1);
    for ms in 0..4 {
        account.sent(at(ms));
    }
    for sequence in [0, 2, 1, 1, 2, 3] {
        account.arrived(at(5), 0, sequence);
    }
    assert_eq!(account.take_tally().received, 4);
    let disorder = account.take_disorder();
    assert_eq!((disorder.reordered, disorder.duplicated), (1, 2));
    let counts: u64 = outputs(&mut account).iter().map(count).sum();
    assert_eq!(counts, 1);
}

#[test]
fn what_was_never_sent_does_not_matter() {
    let mut account = Account::new(1);
    account.sent(at(0));
    account.arrived(at(1), 0, 7);
    account.arrived(at(1), 9, 0);
    account.seen(0, 7, 0);
    account.seen(9, 0, 0);
    assert_eq!(outputs(&mut account), []);
    assert_eq!(account.take_tally().received, 0);
}

#[test]
fn a_flow_tells_a_new_way_when_a_packet_was_both_seen_and_delivered() {
    let mut account = Account::new(1);
    let via = |via, ms| Output::Via {
        flow: 0,
        via,
        at: at(ms),
    };
    for ms in 0..6 {
        account.sent(at(ms));
    }
    account.seen(0, 0, 3);
    assert_eq!(outputs(&mut account), []);
    account.arrived(at(10), 0, 0);
    assert_eq!(outputs(&mut account), [via(3, 10)]);
    // The same way, told by the tap after the receiver.
    account.arrived(at(11), 0, 1);
    account.seen(0, 1, 3);
    assert_eq!(outputs(&mut account), []);
    // Seen elsewhere and lost: no way of a delivered packet.
    account.seen(0, 2, 4);
    account.seen(0, 3, 4);
    account.arrived(at(13), 0, 3);
    assert_eq!(outputs(&mut account), [lost_one(2, 13), via(4, 13)]);
    // An older packet tells nothing about now.
    account.arrived(at(14), 0, 2);
    assert_eq!(outputs(&mut account), []);
    // Of two taps the later one.
    account.seen(0, 4, 4);
    account.seen(0, 4, 5);
    account.arrived(at(15), 0, 4);
    assert_eq!(outputs(&mut account), [via(5, 15)]);
}

fn lost_one(sent: u64, next: u64) -> Output {
    Output::Lost {
        flow: 0,
        count: 1,
        first_sent: at(sent),
        last_sent: at(sent),
        next_received: Some(at(next)),
    }
}

#[test]
fn an_outage_longer_than_memory_is_one_run() {
    let mut account = Account::new(1);
    send(&mut account, 0..10_000, |ms| !(100..9_000).contains(&ms));
    let all = outputs(&mut account);
    assert_eq!(all.iter().map(count).sum::<u64>(), 8_900);
    assert!(all.len() < 20, "{} facts", all.len());
    for output in &all {
        let Output::Lost { first_sent, .. } = output else {
            panic!("{output:?}");
        };
        assert_eq!(*first_sent, at(100));
    }
    assert!(
        matches!(all.last(), Some(Output::Lost { last_sent, next_received: Some(_), .. }) if *last_sent == at(8_999))
    );
}

fn count(output: &Output) -> u64 {
    match output {
        Output::Lost { count, .. } => *count,
        Output::Via { .. } => 0,
    }
}

/// What happens to one packet: how many copies arrive, and after how many milliseconds each.
fn fate() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![
        5 => Just(vec![1]),
        3 => Just(vec![]),
        1 => prop::collection::vec(1..60_u64, 1..3),
    ]
}

proptest! {
    #[test]
    fn every_packet_is_accounted_for(
        fates in prop::collection::vec(fate(), 1..300),
        flows in 1..5_u16,
        flushes in prop::collection::btree_set(0..400_u64, 0..5),
    ) {
        let mut account = Account::new(flows);
        let mut arrivals: BTreeMap<u64, Vec<(u16, u64)>> = BTreeMap::new();
        let mut arrived = BTreeSet::new();
        let mut copies = 0;
        for ms in 0..400 {
            for (flow, sequence) in arrivals.remove(&ms).unwrap_or_default() {
                account.arrived(at(ms), flow, sequence);
                arrived.insert((flow, sequence));
                copies += 1;
            }
            if let Some(delays) = fates.get(ms as usize) {
                let packet = account.sent(at(ms));
                delays.iter().for_each(|delay| arrivals.entry(ms + delay).or_default().push(packet));
            }
            if flushes.contains(&ms) {
                account.report_open(at(ms));
            }
        }
        account.report_open(at(400));
        let tally = account.take_tally();
        let disorder = account.take_disorder();
        let told: u64 = outputs(&mut account).iter().map(count).sum();
        prop_assert_eq!(tally.sent, fates.len() as u64);
        prop_assert_eq!(tally.received, arrived.len() as u64);
        prop_assert_eq!(disorder.duplicated, copies - arrived.len() as u64);
        prop_assert_eq!(told - disorder.reordered, tally.sent - tally.received);
    }

    /// Without reordering, the runs are those a naive look at each flow finds, whenever somebody asked in between.
    #[test]
    fn runs_are_what_a_naive_look_finds(
        arrives in prop::collection::vec(prop::bool::weighted(0.7), 1..300),
        flows in 1..5_u16,
        flushes in prop::collection::btree_set(0..300_u64, 0..5),
    ) {
        let mut account = Account::new(flows);
        for (ms, arrives) in (0..).zip(&arrives) {
            send(&mut account, ms..ms + 1, |_| *arrives);
            if flushes.contains(&ms) {
                account.report_open(at(ms));
            }
        }
        account.report_open(at(300));
        let mut found: BTreeMap<(u16, At), (u64, At, Option<At>)> = BTreeMap::new();
        for output in outputs(&mut account) {
            if let Output::Lost { flow, count, first_sent, last_sent, next_received } = output {
                let run = found.entry((flow, first_sent)).or_insert((0, last_sent, None));
                *run = (run.0 + count, last_sent, next_received);
            }
        }
        let mut wanted = BTreeMap::new();
        for flow in 0..flows {
            let packets: Vec<u64> =
                (0..arrives.len() as u64).filter(|ms| ms % u64::from(flows) == u64::from(flow)).collect();
            for run in packets.chunk_by(|a, b| arrives[*a as usize] == arrives[*b as usize]) {
                if !arrives[run[0] as usize] {
                    let last = run[run.len() - 1];
                    let next = last + u64::from(flows);
                    let next = (next < arrives.len() as u64).then(|| at(next) + Duration::from_micros(500));
                    wanted.insert((flow, at(run[0])), (run.len() as u64, at(last), next));
                }
            }
        }
        prop_assert_eq!(found, wanted);
    }
}
