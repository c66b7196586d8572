//! Two sessions that connect to each other at the same time, with everything in flight delivered in any order.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Debug)]
enum Flight {
    Bytes(Bytes),
    Close,
}

/// One TCP connection between the two, opened by `by`.
#[derive(Debug)]
struct Wire {
    by: usize,
    ends: [Option<Conn>; 2],
    /// Towards each end.
    flights: [VecDeque<Flight>; 2],
    /// The opener has not been told yet that it is connected.
    unconfirmed: bool,
    arrived: bool,
}

struct Two {
    now: At,
    sessions: [Session; 2],
    wires: Vec<Wire>,
    /// How often each was established, and down again.
    ups: [usize; 2],
    downs: [usize; 2],
}

impl Two {
    fn new(ids: [u8; 2], change: impl Fn(&mut SessionConfig)) -> Two {
        let asns = [8075, 64500];
        let session = |side: usize| {
            let mut config = SessionConfig {
                asn: asns[side],
                peer_asn: asns[1 - side],
                id: Ipv4Addr::new(10, 0, 0, ids[side]),
                seed: side as u64,
                ..config()
            };
            change(&mut config);
            Session::new(config)
        };
        Two {
            now: At::ZERO,
            sessions: [session(0), session(1)],
            wires: Vec::new(),
            ups: [0; 2],
            downs: [0; 2],
        }
    }

    fn input(&mut self, side: usize, input: Input<'_>) {
        self.sessions[side].handle(self.now, input);
        while let Some(output) = self.sessions[side].poll() {
            match output {
                Output::Connect { conn } => {
                    let mut ends = [None; 2];
                    ends[side] = Some(conn);
                    self.wires.push(Wire {
                        by: side,
                        ends,
                        flights: [VecDeque::new(), VecDeque::new()],
                        unconfirmed: true,
                        arrived: false,
                    });
                }
                Output::Write { conn, bytes } => self.send(side, conn, Flight::Bytes(bytes)),
                Output::Close { conn, .. } => {
                    self.send(side, conn, Flight::Close);
                    for wire in &mut self.wires {
                        if wire.ends[side] == Some(conn) {
                            wire.ends[side] = None;
                        }
                    }
                }
                Output::Established(_) => self.ups[side] += 1,
                Output::Down { .. } => self.downs[side] += 1,
                _ => {}
            }
        }
    }

    /// Time passes until the next timer.
    fn pass(&mut self) {
        let due = self.sessions.iter().filter_map(Session::deadline).min();
        self.now = self
            .now
            .max(due.expect("a session that is not established has a timer"));
        for side in [0, 1] {
            if self.sessions[side]
                .deadline()
                .is_some_and(|at| at <= self.now)
            {
                self.input(side, Input::Deadline);
            }
        }
    }

    fn send(&mut self, side: usize, conn: Conn, flight: Flight) {
        let wire = self.wires.iter_mut().find(|w| w.ends[side] == Some(conn));
        wire.expect("a connection it has").flights[1 - side].push_back(flight);
    }

    /// All that can happen next: (wire, towards which end).
    fn possible(&self) -> Vec<(usize, usize)> {
        let mut possible = Vec::new();
        for (index, wire) in self.wires.iter().enumerate() {
            for side in [0, 1] {
                let waits = if side == wire.by {
                    // Bytes arrive only after the connection is known to be there.
                    wire.arrived && (wire.unconfirmed || !wire.flights[side].is_empty())
                } else {
                    !wire.arrived || !wire.flights[side].is_empty()
                };
                if waits {
                    possible.push((index, side));
                }
            }
        }
        possible
    }

    fn happen(&mut self, index: usize, side: usize) {
        let wire = &mut self.wires[index];
        if side != wire.by && !wire.arrived {
            wire.arrived = true;
            let conn = Conn {
                direction: Direction::Incoming,
                serial: index as u32,
            };
            wire.ends[side] = Some(conn);
            return self.input(side, Input::Connected { conn });
        }
        let end = wire.ends[side];
        if side == wire.by && std::mem::take(&mut wire.unconfirmed) {
            if let Some(conn) = end {
                self.input(side, Input::Connected { conn });
            }
            return;
        }
        let (Some(flight), Some(conn)) = (wire.flights[side].pop_front(), end) else {
            return;
        };
        match flight {
            Flight::Bytes(bytes) => {
                let bytes = &bytes;
                self.input(side, Input::Bytes { conn, bytes });
            }
            Flight::Close => {
                wire.ends[side] = None;
                let why = "closed by the peer";
                self.input(side, Input::Closed { conn, why });
            }
        }
    }
}

/// Identifiers and AS numbers of the two ends: lower and higher identifier, and equal ones told apart by the AS.
const ENDS: [[u8; 2]; 3] = [[1, 2], [2, 1], [1, 1]];

impl Two {
    /// What decides what can follow: states, who withholds what, and what is in flight.
    fn key(&self) -> String {
        let machine = |m: &Machine| {
            let pending = m.framer.pending();
            let flags = (m.held, m.parked, m.confirmed, pending);
            (m.state, m.conn, flags, m.delay_open.is_some())
        };
        let sessions = self.sessions.each_ref().map(|s| {
            let patient = s.patience.is_some();
            (machine(&s.outgoing), machine(&s.incoming), s.run, patient)
        });
        format!(
            "{sessions:?} {:?} {:?} {:?}",
            self.wires, self.ups, self.downs
        )
    }

    /// One connection is established at both ends, once, and nothing else is left.
    fn check_end(&self) {
        assert_eq!((self.ups, self.downs), ([1, 1], [0, 0]), "{}", self.key());
        let alive = |w: &&Wire| w.ends.iter().any(Option::is_some);
        let alive: Vec<&Wire> = self.wires.iter().filter(alive).collect();
        assert_eq!(alive.len(), 1);
        assert!(alive[0].ends.iter().all(Option::is_some));
        assert!(
            self.sessions
                .iter()
                .all(|s| s.state() == State::Established)
        );
    }
}

/// Walks every order in which two sessions can hear of connections, OPENs, KEEPALIVEs and ends, without any time passing.
/// A way is a list of choices, followed from the start; what is the same after different ways is looked at once.
fn every_order(ids: [u8; 2], change: impl Fn(&mut SessionConfig)) -> usize {
    let mut seen = HashSet::new();
    let mut ways: Vec<Vec<usize>> = vec![Vec::new()];
    while let Some(way) = ways.pop() {
        let mut two = Two::new(ids, &change);
        two.input(0, Input::Start);
        two.input(1, Input::Start);
        for choice in &way {
            let (wire, side) = two.possible()[*choice];
            two.happen(wire, side);
        }
        if !seen.insert(two.key()) {
            continue;
        }
        let possible = two.possible();
        if possible.is_empty() {
            two.check_end();
        }
        for choice in 0..possible.len() {
            let mut next = way.clone();
            next.push(choice);
            ways.push(next);
        }
    }
    seen.len()
}

#[test]
fn every_order_of_every_collision_ends_with_the_same_connection() {
    for ids in ENDS {
        assert!(every_order(ids, |_| {}) > 100);
        let count = every_order(ids, |c| c.options.collision_detect_established = true);
        assert!(count > 100);
    }
}

#[test]
fn who_can_restart_gracefully_does_not_take_a_collision_for_a_restart() {
    for ids in ENDS {
        assert!(every_order(ids, |c| c.capabilities.graceful_restart = Some(graceful())) > 100);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// With DelayOpen at either end, and time that passes when nothing else happens.
    #[test]
    fn collisions_with_delayed_opens(
        choices in vec(any::<prop::sample::Index>(), 400),
        ids in prop::sample::select(ENDS.to_vec()),
        delays in prop::array::uniform2(prop::option::of(1..2_000_u64)),
    ) {
        let mut two = Two::new(ids, |_| {});
        for (session, delay) in two.sessions.iter_mut().zip(delays) {
            session.config.options.delay_open = delay.map(ms);
        }
        two.input(0, Input::Start);
        two.input(1, Input::Start);
        for choice in choices {
            let possible = two.possible();
            if !possible.is_empty() {
                let (wire, side) = possible[choice.index(possible.len())];
                two.happen(wire, side);
            } else if two.sessions.iter().any(|s| s.state() != State::Established) {
                two.pass();
            } else {
                break;
            }
        }
        prop_assert!(two.sessions.iter().all(|s| s.state() == State::Established), "{}", two.key());
    }
}

#[test]
fn a_connection_refused_says_why() {
    let (mut bench, _) = Bench::established(|_| {});
    bench.take();
    bench.accept();
    assert_eq!(bench.notified_on(Direction::Incoming), Some((6, 7)));
    let mut bench = Bench::new(|_| {});
    bench.accept();
    assert_eq!(bench.notified_on(Direction::Incoming), Some((6, 5)));
    assert_eq!(bench.session.status().counters.refused, 1);
}

/// In our record whatever the neighbour hears of it.
#[test]
fn a_refused_connection_is_told_with_what_the_session_does_instead() {
    let started = |change: fn(&mut SessionConfig)| {
        let mut bench = Bench::new(change);
        bench.input(Input::Start);
        bench
    };
    let ended = |restart_after| {
        let (mut bench, _) = Bench::established(|_| {});
        let notification = Notification::new(6, 1);
        bench.input(Input::AutomaticStop {
            notification,
            restart_after,
        });
        bench
    };
    let resting = {
        let (mut bench, conn) = Bench::established(|_| {});
        bench.input(Input::Closed { conn, why: "gone" });
        bench
    };
    let dark = {
        let mut bench = started(|_| {});
        bench.input(Input::InterfaceDown);
        bench
    };
    let delaying = {
        let mut bench = started(|c| {
            c.passive = true;
            c.options.delay_open = Some(Duration::from_secs(5));
        });
        bench.accept();
        bench
    };
    let waiting = started(|c| (c.use_bfd, c.wait_for_bfd) = (true, true));
    let established = Bench::established(|_| {}).0;
    for (mut bench, instead, heard) in [
        (Bench::new(|_| {}), "stopped", Some((6, 5))),
        (
            ended(Some(ms(60_000))),
            "was ended, and rests",
            Some((6, 5)),
        ),
        (ended(None), "stopped", Some((6, 5))),
        (established, "has another connection", Some((6, 7))),
        (resting, "rests after a failure", None),
        (dark, "waits for its interface", None),
        (waiting, "waits for BFD before it connects", None),
        (delaying, "has a newer connection", None),
    ] {
        bench.take();
        let told = |bench: &Bench| -> Vec<(String, u64)> {
            let outputs = bench.outputs.iter();
            let told = outputs.filter_map(|output| match output {
                Output::Refused { why, count } => Some((why.clone(), *count)),
                _ => None,
            });
            told.collect()
        };
        bench.accept();
        assert_eq!(told(&bench), [(instead.to_owned(), 1)]);
        assert_eq!(bench.notified_on(Direction::Incoming), heard, "{instead}");
        for _ in 0..1000 {
            bench.accept();
        }
        let told = told(&bench);
        assert_eq!((told.len(), told[9].1), (10, 512), "{instead}");
    }
}

#[test]
fn an_established_connection_gives_way_only_where_that_is_wanted_and_the_peer_has_the_higher_identifier()
 {
    let cases = [
        (false, Ipv4Addr::new(10, 0, 0, 2), Some(Direction::Outgoing)),
        (true, Ipv4Addr::new(10, 0, 0, 2), Some(Direction::Incoming)),
        (true, Ipv4Addr::new(9, 0, 0, 1), Some(Direction::Outgoing)),
    ];
    for (wanted, id, stays) in cases {
        let mut bench = Bench::new(|c| c.options.collision_detect_established = wanted);
        bench.input(Input::Start);
        let conn = bench.connect();
        bench.bytes(conn, &open_bytes(|o| o.id = id));
        bench.bytes(conn, &keepalive_bytes());
        assert_eq!(bench.state(), State::Established);
        bench.take();
        let newer = bench.accept();
        bench.bytes(newer, &open_bytes(|o| o.id = id));
        bench.bytes(newer, &keepalive_bytes());
        assert_eq!(bench.session.established(), stays);
        let lost = bench
            .outputs
            .iter()
            .filter(|o| matches!(o, Output::Down { .. }));
        assert_eq!(
            lost.count(),
            usize::from(stays == Some(Direction::Incoming))
        );
        let loser = stays.expect("one stays").other();
        assert_eq!(bench.notified_on(loser), Some((6, 7)));
    }
}

#[test]
fn the_connection_of_the_higher_identifier_wins() {
    // We are 10.0.0.1: the neighbour's connection wins against 10.0.0.2, ours against 9.0.0.1.
    let cases = [
        (Ipv4Addr::new(10, 0, 0, 2), Direction::Incoming),
        (Ipv4Addr::new(9, 0, 0, 1), Direction::Outgoing),
    ];
    for (id, winner) in cases {
        for outgoing_first in [true, false] {
            let mut bench = Bench::new(|_| {});
            bench.input(Input::Start);
            let outgoing = bench.connect();
            let incoming = bench.accept();
            let open = open_bytes(|o| o.id = id);
            let mut order = [outgoing, incoming];
            if !outgoing_first {
                order.reverse();
            }
            bench.take();
            for conn in order {
                bench.bytes(conn, &open);
            }
            assert_eq!(bench.notified_on(winner.other()), Some((6, 7)));
            let closed: Vec<Direction> = bench
                .outputs
                .iter()
                .filter_map(|o| match o {
                    Output::Close { conn, .. } => Some(conn.direction),
                    _ => None,
                })
                .collect();
            assert_eq!(closed, [winner.other()]);
            assert_eq!(bench.state(), State::OpenConfirm);
            // The loser never said KEEPALIVE.
            assert_eq!(bench.sent_on(winner), [Message::Keepalive]);
            assert_eq!(bench.sent_on(winner.other()).len(), 1);
        }
    }
}

#[test]
fn a_parked_connection_goes_on_when_the_other_one_fails() {
    let mut bench = Bench::new(|_| {});
    bench.input(Input::Start);
    let conn = bench.attempt().expect("an attempt");
    let incoming = bench.accept();
    // We have the higher identifier: our own attempt would win, if it succeeded.
    let open = open_bytes(|o| o.id = Ipv4Addr::new(9, 0, 0, 1));
    bench.bytes(incoming, &open);
    bench.bytes(incoming, &keepalive_bytes());
    assert_eq!(bench.state(), State::OpenConfirm);
    let why = "connection refused";
    bench.input(Input::ConnectFailed { conn, why });
    assert_eq!(bench.state(), State::Established);
}

#[test]
fn a_parked_connection_goes_on_when_patience_ends() {
    let mut bench = Bench::new(|_| {});
    bench.input(Input::Start);
    let incoming = bench.accept();
    let open = open_bytes(|o| o.id = Ipv4Addr::new(9, 0, 0, 1));
    bench.bytes(incoming, &open);
    bench.bytes(incoming, &keepalive_bytes());
    bench.pass(ms(249));
    assert_eq!(bench.state(), State::OpenConfirm);
    bench.pass(ms(1));
    assert_eq!(bench.state(), State::Established);
}

#[test]
fn an_established_session_refuses_another_connection() {
    let (mut bench, _) = Bench::established(|_| {});
    bench.take();
    let conn = bench.accept();
    let abort = false;
    assert!(bench.outputs.contains(&Output::Close { conn, abort }));
    assert_eq!(bench.state(), State::Established);
}

#[test]
fn a_newer_connection_replaces_one_whose_open_never_came() {
    let mut bench = Bench::new(|c| c.passive = true);
    bench.input(Input::Start);
    let conn = bench.accept();
    bench.take();
    let newer = bench.accept();
    let abort = false;
    assert!(bench.outputs.contains(&Output::Close { conn, abort }));
    bench.bytes(newer, &open_bytes(|_| {}));
    bench.bytes(newer, &keepalive_bytes());
    assert_eq!(bench.state(), State::Established);
}
