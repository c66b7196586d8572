//! Whatever comes in, in whatever order: a defined state, bounded memory, and never stuck.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;

use super::notifications::is_sent;
use super::*;
use crate::bgp::attributes::Attributes;
use crate::bgp::family::Families;
use crate::bgp::message::{Nlri, Role};

/// How many routes of a family a conversation has at its end.
const ROUTES: usize = 20;

/// What both ends can do, one capability for each bit.
fn capabilities(choices: u16) -> Capabilities {
    let chosen = |bit: u16| choices & (1 << bit) != 0;
    let families = match (chosen(0), chosen(1)) {
        (false, _) => Families::IPV4,
        (true, false) => Family::Ipv6Unicast.into(),
        (true, true) => Families::ALL,
    };
    let add_path = if chosen(2) { families } else { Families::NONE };
    Capabilities {
        four_octet: chosen(3),
        families,
        route_refresh: true,
        enhanced_route_refresh: chosen(4),
        extended_message: chosen(5),
        extended_next_hop: chosen(6),
        graceful_restart: chosen(7).then(|| GracefulRestart {
            families,
            preserved: families,
            ..graceful()
        }),
        role: chosen(8).then_some(Role::Peer),
        unfit_role: false,
        add_path_receive: add_path,
        add_path_send: add_path,
        bfd_strict: chosen(9),
        other_families: Vec::new(),
        ignored: Vec::new(),
    }
}

/// A whole conversation of a good neighbour that can do as much as we.
fn conversation(capabilities: &Capabilities) -> Vec<u8> {
    let dialect = capabilities.dialect(capabilities, false);
    let mut stream = open_bytes(|o| o.capabilities = capabilities.clone());
    message::write_keepalive(&mut stream);
    for family in capabilities.families.iter() {
        let prefix = |n: u8| match family {
            Family::Ipv4Unicast => IpNet::new(Ipv4Addr::new(20, 0, n, 0).into(), 24),
            Family::Ipv6Unicast => {
                let address = Ipv6Addr::new(0x2001, 0xdb8, n.into(), 0, 0, 0, 0, 0);
                IpNet::new(address.into(), 48)
            }
        };
        let of = |n: u8| Nlri {
            prefix: prefix(n).expect("a length"),
            path_id: if dialect.add_path_send.contains(family) {
                7
            } else {
                0
            },
        };
        let prefixes: Vec<Nlri> = (0..ROUTES as u8 + 10).map(of).collect();
        let next_hop: IpAddr = match family {
            Family::Ipv4Unicast if !dialect.extended_next_hop => Ipv4Addr::new(192, 0, 2, 1).into(),
            _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        };
        let mut set = Attributes::originated(next_hop);
        set.as_path = vec![64500, 70000];
        // Long enough for an extended message, where there are some.
        set.communities = (0..if dialect.extended_message { 2000 } else { 3 }).collect();
        message::write_announcements(&mut stream, &set, &prefixes, dialect).expect("writable");
        message::write_withdrawals(&mut stream, &prefixes[ROUTES..], dialect);
        message::write_end_of_rib(&mut stream, family);
        for subtype in 0..3 {
            message::write_route_refresh(&mut stream, family, subtype);
        }
    }
    message::write_keepalive(&mut stream);
    stream.to_vec()
}

/// A session that waits for its neighbour, and can do the same.
fn waiting(capabilities: &Capabilities) -> (Bench, Conn) {
    let mut bench = Bench::new(|c| {
        c.passive = true;
        c.capabilities = capabilities.clone();
    });
    bench.input(Input::BfdUp);
    bench.input(Input::Start);
    let conn = bench.accept();
    (bench, conn)
}

/// The stream in pieces of these sizes.
fn say(bench: &mut Bench, conn: Conn, mut rest: &[u8], cuts: &[usize]) {
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, left) = rest.split_at((*cut).min(rest.len()));
        rest = left;
        bench.bytes(conn, piece);
        bench.check();
    }
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
            let negotiated = machine.negotiated.as_ref();
            let long = negotiated.is_some_and(|n| n.dialect.extended_receive);
            assert!(machine.framer.pending() < if long { 65_535 } else { 4096 });
            assert!(machine.waiting() <= ROOM + 16 * 1024);
            assert!(machine.out.is_empty(), "all was polled");
        }
        let up = machines.iter().filter(|m| m.state == State::Established);
        assert!(up.count() <= 1);
        if let Some((_, sent)) = &session.notification_sent {
            assert!(is_sent(sent), "{sent}");
        }
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

    /// Whatever both ends can do and however it is cut: all that was said is heard, and nothing is found wrong with it.
    #[test]
    fn a_good_conversation(choices in any::<u16>(), cuts in vec(1..3000_usize, 1..20)) {
        let capabilities = capabilities(choices);
        let (mut bench, conn) = waiting(&capabilities);
        say(&mut bench, conn, &conversation(&capabilities), &cuts);
        prop_assert_eq!(bench.state(), State::Established);
        let (mut routes, mut ended, mut marks) = (BTreeSet::new(), Families::NONE, 0);
        for output in bench.take() {
            match output {
                Output::Update(update) => {
                    prop_assert_eq!(&update.malformed, &Vec::<String>::new());
                    prop_assert!(update.unusable.is_none());
                    routes.extend(update.announced.iter().flat_map(|a| &a.nlri).copied());
                    routes.retain(|nlri| !update.withdrawn.contains(nlri));
                    ended.extend(update.end_of_rib);
                }
                Output::RefreshRequested { .. } | Output::RefreshMarked { .. } => marks += 1,
                _ => {}
            }
        }
        let families = capabilities.families.iter().count();
        prop_assert_eq!(routes.len(), ROUTES * families);
        prop_assert_eq!(ended, capabilities.families);
        // Who does not know marks takes them for requests (RFC 2918, section 3).
        prop_assert_eq!(marks, 3 * families);
    }

    /// A good conversation with a few octets changed, cut anywhere. A neighbour that falls silent then is left in time, and
    /// one that closes the connection finds us as if nothing had been.
    #[test]
    fn mutated_conversation(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cuts in vec(1..200_usize, 1..20),
        truncate in any::<prop::sample::Index>(),
        choices in any::<u16>(),
        silent in any::<bool>(),
    ) {
        let capabilities = capabilities(choices);
        let mut stream = conversation(&capabilities);
        for (place, octet) in changes {
            let place = place.index(stream.len());
            stream[place] = octet;
        }
        stream.truncate(truncate.index(stream.len()) + 1);
        let (mut bench, conn) = waiting(&capabilities);
        say(&mut bench, conn, &stream, &cuts);
        let timeless = bench.session.negotiated().is_some_and(|n| n.hold.is_none());
        if silent && !timeless {
            // No hold time is longer than 65,535 s, and ours is less.
            bench.pass(Duration::from_secs(600));
            bench.check();
            prop_assert_eq!(bench.state(), State::Active);
        } else {
            let why = "closed by the peer";
            bench.input(Input::Closed { conn, why });
            bench.pass(ms(2_000));
            bench.check();
        }
        let conn = bench.accept();
        bench.bytes(conn, &conversation(&capabilities));
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
        let stream = conversation(&Capabilities::of(Family::Ipv4Unicast));
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
                    notification: Notification::new(6, [1, 4, 8][usize::from(detail % 3)]),
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
    let stream = conversation(&Capabilities::of(Family::Ipv4Unicast));
    for octet in &stream[..20] {
        bench.bytes(conn, &[*octet]);
        bench.pass(ms(15_000));
    }
    assert_eq!(bench.state(), State::Active);
    assert_eq!(bench.notified(), Some((4, 0)));
}
