//! Two sessions that connect to each other at the same time, with everything in flight delivered in any order.

use std::collections::VecDeque;

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
    sessions: [Session; 2],
    wires: Vec<Wire>,
    /// How often each was established, and down again.
    ups: [usize; 2],
    downs: [usize; 2],
}

impl Two {
    fn new(ids: [u8; 2]) -> Two {
        let asns = [8075, 64500];
        let session = |side: usize| {
            Session::new(SessionConfig {
                asn: asns[side],
                peer_asn: asns[1 - side],
                id: Ipv4Addr::new(10, 0, 0, ids[side]),
                seed: side as u64,
                ..config()
            })
        };
        Two {
            sessions: [session(0), session(1)],
            wires: Vec::new(),
            ups: [0; 2],
            downs: [0; 2],
        }
    }

    fn input(&mut self, side: usize, input: Input<'_>) {
        self.sessions[side].handle(At::ZERO, input);
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
                Output::StateChanged { .. } | Output::Update(_) | Output::RefreshRequested => {}
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Without any time passing, one connection is established at both ends, once, and nothing else is left.
    #[test]
    fn every_order_ends_with_the_same_connection(
        choices in vec(any::<prop::sample::Index>(), 200),
        ids in prop_oneof![Just([1_u8, 2]), Just([2, 1]), Just([1, 1])],
    ) {
        let mut two = Two::new(ids);
        two.input(0, Input::Start);
        two.input(1, Input::Start);
        for choice in choices {
            let possible = two.possible();
            if possible.is_empty() {
                break;
            }
            let (wire, side) = possible[choice.index(possible.len())];
            two.happen(wire, side);
        }
        prop_assert!(two.possible().is_empty(), "still busy");
        prop_assert_eq!(two.ups, [1, 1]);
        prop_assert_eq!(two.downs, [0, 0]);
        let alive = |w: &&Wire| w.ends.iter().any(Option::is_some);
        let alive: Vec<&Wire> = two.wires.iter().filter(alive).collect();
        prop_assert_eq!(alive.len(), 1);
        prop_assert!(alive[0].ends.iter().all(Option::is_some));
        prop_assert!(two.sessions.iter().all(|s| s.state() == State::Established));
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
    assert_eq!(bench.outputs, [Output::Close { conn, abort }]);
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
