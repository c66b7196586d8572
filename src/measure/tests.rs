//! Figures against a naive model that knows the fate of every packet.

use std::time::Duration;

use proptest::prelude::*;

use super::{Direction, Window, tail, traffic};
use crate::record::{Entry, Fact, MicroBfd, Nanos};
use crate::time::At;

const MS: u64 = 1_000_000;

/// Sends a packet every millisecond, the flows in turn; `fate[n]` says whether packet `n` arrives.
#[derive(Debug)]
struct Model {
    flows: u16,
    fate: Vec<bool>,
}

impl Model {
    fn direction(&self) -> Direction {
        Direction {
            from: "teams".to_owned(),
            to: "sbc".to_owned(),
            every: Nanos(MS),
            flows: self.flows,
        }
    }

    fn window(&self) -> Window {
        Window {
            begin: At::ZERO,
            end: At::from_millis(self.fate.len() as u64),
        }
    }

    fn sent_at(&self, packet: usize) -> At {
        At::from_millis(packet as u64)
    }

    /// What a probe would record: losses told when a later packet of the flow arrives, tallies every 100 ms.
    fn entries(&self) -> Vec<Entry> {
        let flows = usize::from(self.flows);
        let mut entries = Vec::new();
        let mut lost: Vec<Vec<usize>> = vec![Vec::new(); flows];
        for (packet, arrives) in self.fate.iter().enumerate() {
            let flow = packet % flows;
            if !arrives {
                lost[flow].push(packet);
            } else if let (Some(first), Some(last)) = (lost[flow].first(), lost[flow].last()) {
                let fact = Fact::ProbeLost {
                    from: "teams".to_owned(),
                    to: "sbc".to_owned(),
                    flow: flow as u16,
                    count: lost[flow].len() as u64,
                    first_sent: self.sent_at(*first),
                    last_sent: self.sent_at(*last),
                    next_received: Some(self.sent_at(packet)),
                };
                let at = self.sent_at(packet);
                entries.push(Entry { at, fact });
                lost[flow].clear();
            }
            if packet % 100 == 99 {
                let interval = &self.fate[packet - 99..=packet];
                let fact = Fact::ProbeTally {
                    from: "teams".to_owned(),
                    to: "sbc".to_owned(),
                    sent: 100,
                    received: interval.iter().filter(|arrives| **arrives).count() as u64,
                    send_late: Nanos(0),
                    slowest: Nanos(100_000),
                };
                let at = self.sent_at(packet + 1);
                entries.push(Entry { at, fact });
            }
        }
        entries
    }

    /// Packets that were lost and whose flow had a later arrival.
    fn told(&self) -> Vec<usize> {
        let flows = usize::from(self.flows);
        let lost = self
            .fate
            .iter()
            .enumerate()
            .filter(|(_, arrives)| !**arrives);
        lost.map(|(packet, _)| packet)
            .filter(|packet| {
                let mut later = (packet + flows..self.fate.len()).step_by(flows);
                later.any(|later| self.fate[later])
            })
            .collect()
    }

    /// The longest interruption, packet by packet: lost packets at most one turn apart belong together.
    fn interruption(&self) -> Duration {
        let mut longest = Duration::ZERO;
        let mut open: Option<(usize, usize)> = None;
        for packet in self.told() {
            open = match open {
                Some((begin, last)) if self.bridges(last, packet) => Some((begin, packet)),
                _ => Some((packet, packet)),
            };
            if let Some((begin, last)) = open {
                longest = longest.max(Duration::from_millis((last + 1 - begin) as u64));
            }
        }
        longest
    }

    /// Lost packets of one flow that follow each other are one turn apart; so may be those of different flows.
    fn bridges(&self, last: usize, packet: usize) -> bool {
        packet - last <= usize::from(self.flows)
    }
}

/// Stretches of packets that arrive or not, or arrive by chance; arrivals at the end so that all is told.
fn model(settled: bool) -> impl Strategy<Value = Model> {
    let stretch = prop_oneof![
        (1usize..300).prop_map(|n| vec![true; n]),
        (1usize..120).prop_map(|n| vec![false; n]),
        proptest::collection::vec(any::<bool>(), 1..60),
    ];
    (1u16..12, proptest::collection::vec(stretch, 1..8)).prop_map(move |(flows, stretches)| {
        let mut fate = stretches.concat();
        // Whole tallies only, so that the sums are exact.
        fate.resize(fate.len().next_multiple_of(100), true);
        if settled {
            fate.extend(vec![true; 300]);
        }
        Model { flows, fate }
    })
}

proptest! {
    #[test]
    fn agrees_with_the_naive_model(model in model(true)) {
        let entries = model.entries();
        let traffic = traffic(&entries, &model.direction(), model.window());
        let lost = model.fate.iter().filter(|arrives| !**arrives).count() as u64;
        prop_assert_eq!(traffic.sent, model.fate.len() as u64);
        prop_assert_eq!(traffic.lost, lost);
        prop_assert_eq!(traffic.missing, 0);
        prop_assert_eq!(traffic.interruption(), model.interruption());
    }

    /// Whatever happened: no packet is lost twice, and none is forgotten but those that may be in flight.
    #[test]
    fn lost_and_missing_add_up(model in model(false)) {
        let entries = model.entries();
        let traffic = traffic(&entries, &model.direction(), model.window());
        let lost = model.fate.iter().filter(|arrives| !**arrives).count() as u64;
        prop_assert!(traffic.lost_at_all() <= lost);
        prop_assert!(traffic.lost_at_all() + 2 >= lost);
    }

    /// Two windows that meet share out the losses of the whole.
    #[test]
    fn windows_share_out_losses(model in model(true), cut in any::<prop::sample::Index>()) {
        let entries = model.entries();
        let direction = model.direction();
        let whole = model.window();
        let at = cut.index(model.fate.len()) as u64 * MS;
        let first = Window { end: At::from_nanos(at), ..whole };
        let second = Window { begin: At::from_nanos(at + 1), ..whole };
        let lost = |window| traffic(&entries, &direction, window).lost;
        prop_assert_eq!(lost(first) + lost(second), lost(whole));
    }

    /// Traffic is not calm while a packet is lost, and is calm after enough time without loss.
    #[test]
    fn calm_begins_after_the_last_loss(model in model(true)) {
        let entries = model.entries();
        let tail = tail(&entries, &model.direction(), model.window());
        let last = model.fate.iter().rposition(|arrives| !arrives);
        let calm = last.map_or(At::ZERO, |packet| model.sent_at(packet));
        prop_assert_eq!(tail.missing, 0);
        prop_assert_eq!(tail.calm_since, Some(calm));
        prop_assert_eq!(tail.told_until, Some(model.window().end));
    }
}

/// An outage that ends with the window is seen although no later packet tells of it.
#[test]
fn an_unfinished_outage_counts() {
    let mut fate = vec![true; 500];
    fate.extend(vec![false; 400]);
    let model = Model { flows: 4, fate };
    let traffic = traffic(&model.entries(), &model.direction(), model.window());
    assert_eq!((traffic.lost, traffic.missing), (0, 400));
    assert_eq!(traffic.interruption(), Duration::from_millis(400));
}

/// One dead flow of many keeps the tail from being calm.
#[test]
fn a_dead_flow_is_missing() {
    let fate = (0..1_000).map(|packet| packet % 64 != 7).collect();
    let model = Model { flows: 64, fate };
    let tail = tail(&model.entries(), &model.direction(), model.window());
    assert_eq!(tail.missing, 16);
}

/// Runs are cut at the window as if every packet was sent when it was due; packets that were late are not missing
/// because of that.
#[test]
fn late_packets_are_not_missing() {
    let fate: Vec<bool> = (0..1_000)
        .map(|packet| !(500..510).contains(&packet))
        .collect();
    let model = Model { flows: 64, fate };
    let missing = |late_ms: u64| {
        let mut entries = model.entries();
        for entry in &mut entries {
            match &mut entry.fact {
                Fact::ProbeTally { send_late, .. } => *send_late = Nanos(late_ms * MS),
                // Ten packets lost, six told of in the window.
                Fact::ProbeLost { count, flow, .. } if *flow < 56 => *count = 0,
                _ => {}
            }
        }
        tail(&entries, &model.direction(), model.window()).missing
    };
    assert_eq!((missing(0), missing(10)), (4, 0));
}

/// A run that is told piece by piece, the first piece in an earlier step, and one that arrives after all.
#[test]
fn pieces_of_a_run_are_joined() {
    let model = Model {
        flows: 4,
        fate: vec![true; 100],
    };
    let lost = |count, last: u64| Entry {
        at: At::from_millis(last + 4),
        fact: Fact::ProbeLost {
            from: "teams".to_owned(),
            to: "sbc".to_owned(),
            flow: 2,
            count,
            first_sent: At::from_millis(10),
            last_sent: At::from_millis(last),
            next_received: None,
        },
    };
    // Lost are the packets sent at 10, 14, 18, 22, 26, 30 ms.
    let pieces = [lost(2, 14), lost(3, 26), lost(1, 30)];
    let direction = model.direction();
    let whole = traffic(&pieces, &direction, model.window());
    assert_eq!((whole.lost, whole.episodes), (6, 1));
    assert_eq!(whole.interruption(), Duration::from_millis(21));
    let second = Window {
        begin: At::from_millis(15),
        end: At::from_millis(100),
    };
    let rest = traffic(&pieces[1..], &direction, second);
    assert_eq!((rest.lost, rest.episodes), (4, 1));
    assert_eq!(rest.interruption(), Duration::from_millis(13));
    let arrived = Entry {
        at: At::from_millis(50),
        fact: Fact::ProbeDisorder {
            from: "teams".to_owned(),
            to: "sbc".to_owned(),
            duplicated: 0,
            reordered: 2,
        },
    };
    let late = traffic(pieces.iter().chain([&arrived]), &direction, model.window());
    assert_eq!((late.lost, late.reordered), (4, 2));
}

#[test]
fn what_nothing_noticed_has_no_consequences() {
    let file = std::path::Path::new("tests/fixtures/judge/one-metro.toml");
    let topology = crate::topology::load(file).expect("a topology");
    let fact = |at, fact| Entry {
        at: At::from_millis(at),
        fact,
    };
    let fault = |at| {
        let fault = Fact::FaultHappened {
            fault: "ams-1: broken".to_owned(),
            connections: vec!["ams-1".to_owned()],
            repaired: false,
            impairment: false,
        };
        fact(at, fault)
    };
    let withdrawn = |at| {
        let withdrawn = Fact::RouteWithdrawn {
            router: "wan".to_owned(),
            session: "ams-edge-1".to_owned(),
            prefix: "198.51.100.0/24".parse().expect("a prefix"),
            why: "withdrawn by the peer".to_owned(),
        };
        fact(at, withdrawn)
    };
    let lag = Fact::Lag {
        router: "ams-edge-1".to_owned(),
        connection: "ams-1".to_owned(),
        up: false,
        distributing: 0,
    };
    let entries = [
        fact(1, Fact::StepStarted { step: 0 }),
        fault(10),
        fact(12, lag),
        withdrawn(15),
        fact(20, Fact::StepEnded { step: 0 }),
        fact(20, Fact::StepStarted { step: 1 }),
        fault(30),
        // The WAN hears late of the first fault.
        withdrawn(31),
    ];
    let [first, second] = &super::convergence(&entries, &topology, |_| false)[..] else {
        panic!("two faults");
    };
    let after = first.withdrawn.as_ref().map(|stage| stage.after);
    assert_eq!(after, Some(Nanos(5 * MS)));
    assert_eq!(second.detected, None);
    assert_eq!(second.withdrawn, None);
}

/// Cables that carry badly are told of when somebody noticed, by the layer that was first.
#[test]
fn the_layer_that_was_first_is_named() {
    let file = std::path::Path::new("tests/fixtures/judge/one-metro.toml");
    let topology = crate::topology::load(file).expect("a topology");
    let fact = |at, fact| Entry {
        at: At::from_millis(at),
        fact,
    };
    let impaired = |at| {
        let fault = Fact::FaultHappened {
            fault: "ams-1/1: 100% lost".to_owned(),
            connections: vec!["ams-1".to_owned()],
            repaired: false,
            impairment: true,
        };
        fact(at, fault)
    };
    let micro = |at, state: &str| {
        let now = MicroBfd {
            state: state.to_owned(),
            diagnostic: "control detection time expired".to_owned(),
            last_received: None,
            detection_time: None,
        };
        let told = Fact::MicroBfd {
            router: "ams-pe-1".to_owned(),
            connection: "ams-1".to_owned(),
            member: 1,
            now,
        };
        fact(at, told)
    };
    let names = || ("ams-pe-1".to_owned(), "ams-1".to_owned());
    let bfd = |at| {
        let (router, connection) = names();
        let told = Fact::Bfd {
            router,
            connection,
            state: "down".to_owned(),
            diagnostic: "control detection time expired".to_owned(),
            last_received: None,
            detection_time: None,
        };
        fact(at, told)
    };
    let bgp = |at, state: &str, why: &str| {
        let (router, session) = names();
        let told = Fact::Bgp {
            router,
            session,
            state: state.to_owned(),
            why: why.to_owned(),
        };
        fact(at, told)
    };
    let member = |at, receive: &str| {
        let told = Fact::Member {
            router: "ams-pe-1".to_owned(),
            connection: "ams-1".to_owned(),
            member: 1,
            receive: receive.to_owned(),
            collecting: true,
            distributing: false,
            partner: String::new(),
        };
        fact(at, told)
    };
    let entries = [
        fact(1, Fact::StepStarted { step: 0 }),
        bgp(1, "Established", ""),
        impaired(10),
        fact(20, Fact::StepEnded { step: 0 }),
        fact(20, Fact::StepStarted { step: 1 }),
        impaired(30),
        micro(31, "init"),
        micro(180, "down"),
        // What follows from BFD on the member is no detection of LACP's.
        member(180, "CURRENT"),
        bfd(480),
        bgp(480, "Idle", "BFD down"),
        member(2900, "EXPIRED"),
        // It came back, over another path, and that was silent, too.
        bgp(3000, "Established", ""),
        bgp(5000, "Idle", "hold timer expired"),
        fact(6000, Fact::StepEnded { step: 1 }),
    ];
    let [only] = &super::convergence(&entries, &topology, |_| false)[..] else {
        panic!("one that was noticed");
    };
    let detected = only.detected.as_ref().expect("detected");
    let (layer, after) = (detected.layer.as_str(), detected.after);
    assert_eq!((layer, after), ("micro-bfd", Nanos(150 * MS)));
    let layers = only.layers.iter();
    let layers: Vec<_> = layers.map(|l| (l.layer.as_str(), l.after.0 / MS)).collect();
    let all = [
        ("micro-bfd", 150),
        ("bfd", 450),
        ("lacp", 2870),
        ("bgp", 4970),
    ];
    assert_eq!(layers, all);
}

/// The session of the other family of a connection detects its loss, too.
#[test]
fn sessions_of_both_families_notice() {
    let file = std::path::Path::new("tests/fixtures/judge/one-metro.toml");
    let topology = crate::topology::load(file).expect("a topology");
    let fact = |at, fact| Entry {
        at: At::from_millis(at),
        fact,
    };
    let fault = Fact::FaultHappened {
        fault: "BFD ams-1/ipv6: sends nothing".to_owned(),
        connections: vec!["ams-1".to_owned()],
        repaired: false,
        impairment: false,
    };
    let bfd = |connection: &str| Fact::Bfd {
        router: "ams-pe-1".to_owned(),
        connection: connection.to_owned(),
        state: "down".to_owned(),
        diagnostic: String::new(),
        last_received: None,
        detection_time: None,
    };
    let withdrawn = Fact::RouteWithdrawn {
        router: "wan".to_owned(),
        session: "ams-edge-1/ipv6".to_owned(),
        prefix: "2001:db8:5bc::/48".parse().expect("a prefix"),
        why: "withdrawn by the peer".to_owned(),
    };
    let entries = [
        fact(1, Fact::StepStarted { step: 0 }),
        fact(10, fault),
        fact(30, bfd("ams-2/ipv6")),
        fact(40, bfd("ams-1/ipv6")),
        fact(43, withdrawn),
    ];
    let found = &super::convergence(&entries, &topology, |_| false)[0];
    let after = |stage: &Option<super::Stage>| stage.as_ref().map(|stage| stage.after.0 / MS);
    assert_eq!(
        (after(&found.detected), after(&found.withdrawn)),
        (Some(30), Some(33))
    );
}

/// A cut is noticed by light. That LACP has no port without it, and hears nobody when it is back, is no detection of its own.
#[test]
fn what_lacp_says_without_light_follows_from_light() {
    let file = std::path::Path::new("tests/fixtures/judge/one-metro.toml");
    let topology = crate::topology::load(file).expect("a topology");
    let fact = |at, fact| Entry {
        at: At::from_millis(at),
        fact,
    };
    let names = || ("ams-pe-1".to_owned(), "ams-1".to_owned());
    let fault = |at| {
        let fault = Fact::FaultHappened {
            fault: "ams-1: cut".to_owned(),
            connections: vec!["ams-1".to_owned()],
            repaired: false,
            impairment: false,
        };
        fact(at, fault)
    };
    let light = |at, up| {
        let (router, connection) = names();
        let told = Fact::Light {
            router,
            connection,
            member: 1,
            up,
        };
        fact(at, told)
    };
    let member = |at, receive: &str, distributing| {
        let (router, connection) = names();
        let told = Fact::Member {
            router,
            connection,
            member: 1,
            receive: receive.to_owned(),
            collecting: distributing,
            distributing,
            partner: String::new(),
        };
        fact(at, told)
    };
    let entries = [
        member(1, "PORT_DISABLED", false),
        member(5, "CURRENT", true),
        fact(9, Fact::StepStarted { step: 0 }),
        fault(10),
        light(11, false),
        member(11, "PORT_DISABLED", false),
        // It flaps.
        light(100, true),
        member(100, "EXPIRED", false),
        member(3100, "DEFAULTED", false),
        member(4000, "CURRENT", true),
        fact(5000, Fact::StepEnded { step: 0 }),
        fact(5000, Fact::StepStarted { step: 1 }),
        fault(5010),
        member(8000, "EXPIRED", false),
        light(9000, false),
        member(9000, "PORT_DISABLED", false),
    ];
    let found = super::convergence(&entries, &topology, |_| false);
    let layers = found.iter().map(|event| {
        let layers = event.layers.iter();
        layers.map(|layer| layer.layer.as_str()).collect::<Vec<_>>()
    });
    let expected = [vec!["light"], vec!["lacp", "light"]];
    assert_eq!(layers.collect::<Vec<_>>(), expected);
}

/// What a late sender sent at once may still be on its way; so much is not called missing.
#[test]
fn a_late_burst_is_not_missing() {
    let mut model = Model {
        flows: 4,
        fate: vec![true; 200],
    };
    model.fate.extend([true; 88]);
    model.fate.extend([false; 12]);
    for (late, missing) in [(0, 12), (9, 12), (10, 0)] {
        let mut entries = model.entries();
        let last = entries.last_mut().expect("a tally");
        if let Fact::ProbeTally { send_late, .. } = &mut last.fact {
            *send_late = Nanos(late * MS);
        }
        let traffic = traffic(&entries, &model.direction(), model.window());
        assert_eq!(traffic.missing, missing, "{late} ms late");
    }
}
