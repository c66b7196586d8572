//! Whatever comes in, in whatever order: a defined state, bounded memory, and never stuck.

use proptest::collection::vec;
use proptest::prelude::*;

use ipnet::IpNet;

use super::*;
use crate::bgp::attributes::Attributes;
use crate::bgp::family::Family;
use crate::bgp::message::Nlri;

/// A whole conversation of a good neighbour.
fn conversation() -> Vec<u8> {
    let mut set = Attributes::originated(Ipv4Addr::new(192, 0, 2, 1));
    set.as_path = vec![64500];
    set.communities = vec![1, 2, 3];
    let prefixes: Vec<Nlri> = (0..30_u8)
        .map(|n| IpNet::new(Ipv4Addr::new(20, 0, n, 0).into(), 24).expect("24 is a length"))
        .map(Nlri::from)
        .collect();
    let dialect = Dialect::plain(false);
    let mut stream = open_bytes(|_| {});
    message::write_keepalive(&mut stream);
    message::write_announcements(&mut stream, &set, &prefixes, dialect).expect("writable");
    message::write_withdrawals(&mut stream, &prefixes[..10], dialect);
    message::write_end_of_rib(&mut stream, Family::Ipv4Unicast);
    write_refresh(&mut stream);
    message::write_keepalive(&mut stream);
    stream.to_vec()
}

impl Bench {
    /// What must hold at every moment.
    fn check(&self) {
        let session = &self.session;
        let machines = [&session.outgoing, &session.incoming];
        for machine in machines {
            assert_eq!(
                machine.conn.is_some(),
                machine.is_connected() || machine.state == State::Connect,
                "{machine:?}"
            );
            assert!(machine.framer.pending() < 4096);
            assert!(machine.waiting() <= ROOM + 16 * 1024);
            assert!(machine.out.is_empty(), "all was polled");
        }
        let up = machines.iter().filter(|m| m.state == State::Established);
        assert!(up.count() <= 1);
        // Only routes of a session that is down wait for a restart.
        assert!(session.restart_over.is_none() || session.established().is_none());
        // A session that runs waits for a timer, unless it only listens or agreed on no timers.
        let listens = session.config.passive && self.state() == State::Active;
        let timeless = |m: &&Machine| m.negotiated.as_ref().is_some_and(|n| n.hold.is_none());
        if session.run == Run::Running && session.deadline().is_none() {
            let may_wait = listens || machines.iter().any(timeless);
            assert!(may_wait, "stuck in {}", self.state());
        }
    }
}

proptest! {
    #[test]
    fn random_bytes(chunks in vec(vec(any::<u8>(), 0..200), 1..20), marked in any::<bool>()) {
        let mut bench = Bench::new(|c| c.passive = true);
        bench.input(Input::Start);
        let conn = bench.accept();
        if marked {
            bench.bytes(conn, &[0xff; 16]);
        }
        for chunk in chunks {
            bench.bytes(conn, &chunk);
            bench.check();
        }
    }

    /// A good conversation with a few octets changed, cut anywhere; then a good one.
    #[test]
    fn mutated_conversation(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cuts in vec(1..200_usize, 1..20),
        truncate in any::<prop::sample::Index>(),
    ) {
        let mut stream = conversation();
        for (place, octet) in changes {
            let place = place.index(stream.len());
            stream[place] = octet;
        }
        stream.truncate(truncate.index(stream.len()) + 1);
        let mut bench = Bench::new(|c| c.passive = true);
        bench.input(Input::Start);
        let conn = bench.accept();
        let mut rest = &stream[..];
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, left) = rest.split_at(cut.min(rest.len()));
            rest = left;
            bench.bytes(conn, piece);
            bench.check();
        }
        let why = "closed by the peer";
        bench.input(Input::Closed { conn, why });
        bench.pass(ms(2_000));
        bench.check();
        let conn = bench.accept();
        bench.bytes(conn, &conversation());
        prop_assert_eq!(bench.state(), State::Established);
    }

    /// Every input in any order, with any choice of options.
    #[test]
    fn any_inputs(
        inputs in vec((0..22_u8, any::<u8>()), 1..200),
        choices in any::<u16>(),
    ) {
        let chosen = |bit: u16| choices & (1 << bit) != 0;
        let mut bench = Bench::new(|c| {
            (c.bfd_strict, c.wait_for_bfd, c.passive) = (chosen(0), chosen(1), chosen(2));
            c.capabilities.bfd_strict = chosen(3);
            c.capabilities.enhanced_route_refresh = chosen(4);
            c.capabilities.graceful_restart = chosen(5).then(graceful);
            c.options.delay_open = chosen(6).then(|| ms(500));
            c.options.damp_peer_oscillations = chosen(7);
            c.options.collision_detect_established = chosen(8);
            c.options.bfd_check_control_plane = chosen(9);
            if chosen(10) {
                c.timers.hold = Duration::ZERO;
            }
        });
        let mut conns: Vec<Conn> = vec![Conn { direction: Direction::Outgoing, serial: 999 }];
        let stream = conversation();
        for (kind, detail) in inputs {
            let conn = conns[usize::from(detail) % conns.len()];
            let why = "test";
            let family = Family::Ipv4Unicast;
            match kind {
                0 | 1 => bench.input(Input::Start),
                2 => bench.input(Input::Stop { reason: why }),
                3 => bench.pass(ms(u64::from(detail) * 40)),
                4 => bench.input(Input::Connected { conn }),
                5 => {
                    let conn = bench.accept();
                    conns.push(conn);
                }
                6 => bench.input(Input::ConnectFailed { conn, why }),
                7 | 8 => bench.bytes(conn, &stream),
                9 => bench.bytes(conn, &open_bytes(|o| o.id = Ipv4Addr::new(10, 0, 0, detail))),
                10 => bench.bytes(conn, &keepalive_bytes()),
                11 => bench.input(Input::Written { conn, bytes: usize::from(detail) }),
                12 => bench.input(Input::Closed { conn, why }),
                13 => bench.input(match detail % 5 {
                    0 | 2 => Input::BfdUp,
                    4 => Input::BfdAdminDown,
                    way => Input::BfdDown { control_plane_independent: way == 1 },
                }),
                14 => bench.input(if detail % 2 == 0 { Input::InterfaceUp } else { Input::InterfaceDown }),
                15 => bench.input(Input::AutomaticStop {
                    notification: Notification::new(6, detail % 11),
                    restart_after: (detail % 2 == 0).then(|| ms(detail.into())),
                }),
                16 => bench.input(Input::MarkRefresh { family, mark: RefreshMark::Begin }),
                17 => bench.input(Input::Restarted { preserved: family.into() }),
                18 => {
                    let refusal = Notification::new(detail % 9, detail / 9);
                    bench.bytes(conn, &bytes(|out| message::write_notification(out, &refusal)));
                }
                // An OPEN of a neighbour that can restart, which this codec's bytes are not needed for.
                19 if bench.session.machine(conn.direction).conn == Some(conn) => {
                    bench.open(conn, |o| {
                        o.capabilities.graceful_restart = Some(graceful());
                        o.capabilities.bfd_strict = detail % 2 == 0;
                    });
                }
                20 => bench.pass(Duration::from_secs(detail.into())),
                _ => bench.input(if detail < 20 { Input::Crash } else { Input::RequestRefresh { family } }),
            }
            conns.extend(bench.attempt());
            bench.take();
            bench.check();
        }
    }
}

#[test]
fn a_flood_of_connections_ends_in_one() {
    let mut bench = Bench::new(|c| c.passive = true);
    bench.input(Input::Start);
    for _ in 0..1000 {
        bench.accept();
    }
    let closes = bench.outputs.iter();
    let closes = closes.filter(|o| matches!(o, Output::Close { .. }));
    assert_eq!(closes.count(), 999);
}

#[test]
fn one_octet_a_second_does_not_keep_a_session_established() {
    let (mut bench, conn) = Bench::established(|_| {});
    // One long UPDATE, whose end the hold timer does not wait for.
    let mut update = vec![0xff; 16];
    update.extend([0x10, 0, 2]);
    update.resize(4096, 0);
    for octet in update.iter().take(179) {
        bench.bytes(conn, &[*octet]);
        bench.pass(ms(1_000));
        bench.check();
    }
    assert_eq!(bench.state(), State::Established);
    bench.take();
    bench.bytes(conn, &[0]);
    bench.pass(ms(1_000));
    assert_eq!(bench.notified(), Some((4, 0)));
}

#[test]
fn one_octet_now_and_then_does_not_keep_a_session_half_open_for_ever() {
    let mut bench = Bench::new(|c| c.passive = true);
    bench.input(Input::Start);
    let conn = bench.accept();
    bench.take();
    let stream = conversation();
    for octet in &stream[..20] {
        bench.bytes(conn, &[*octet]);
        bench.pass(ms(15_000));
    }
    assert_eq!(bench.state(), State::Active);
    assert_eq!(bench.notified(), Some((4, 0)));
}
