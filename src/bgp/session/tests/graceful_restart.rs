//! Which losses of a session let routes outlive it, what ends that, and our own restart.

use super::*;
use crate::bgp::family::Families;

/// A session both ends of which can restart gracefully, the neighbour within 120 s; with or without the N bit.
fn session(notification: bool, change: impl FnOnce(&mut SessionConfig)) -> (Bench, Conn) {
    let gr = GracefulRestart {
        notification,
        ..graceful()
    };
    Bench::negotiated(
        |c| {
            c.use_bfd = true;
            c.capabilities.graceful_restart = Some(gr);
            change(c);
        },
        |o| o.capabilities.graceful_restart = Some(gr),
    )
}

/// What the last Down keeps; panics when there was none.
fn kept(bench: &Bench) -> Option<Graceful> {
    let down = bench.outputs.iter().rev().find_map(|o| match o {
        Output::Down { graceful, .. } => Some(*graceful),
        _ => None,
    });
    down.expect("the session went down")
}

fn received(code: u8, subcode: u8) -> BytesMut {
    let notification = Notification::new(code, subcode);
    bytes(|out| message::write_notification(out, &notification))
}

#[test]
fn a_lost_connection_is_outlived_and_the_rest_only_with_the_n_bit() {
    type Lose = fn(&mut Bench, Conn);
    // Who loses it how; without the N bit, with it; what is sent then.
    type Case = (Lose, bool, bool, Option<(u8, u8)>);
    let cases: [Case; 11] = [
        (
            |b, conn| b.input(Input::Closed { conn, why: "gone" }),
            true,
            true,
            None,
        ),
        (
            |b, _| b.pass(Duration::from_secs(180)),
            false,
            true,
            Some((4, 0)),
        ),
        (|b, conn| b.bytes(conn, &received(3, 1)), false, true, None),
        (|b, conn| b.bytes(conn, &received(6, 4)), false, true, None),
        (|b, conn| b.bytes(conn, &received(6, 9)), false, false, None),
        (|b, conn| b.bytes(conn, &[0; 19]), false, true, Some((1, 1))),
        (
            |b, _| b.input(Input::Stop { reason: "" }),
            false,
            false,
            Some((6, 9)),
        ),
        (
            |b, _| cease(b, Notification::reset("")),
            false,
            true,
            Some((6, 4)),
        ),
        (
            |b, _| cease(b, Notification::maximum_prefixes(Family::Ipv4Unicast, 9)),
            false,
            false,
            Some((6, 9)),
        ),
        (|b, _| b.input(Input::InterfaceDown), false, false, None),
        (|b, _| b.input(Input::Crash), false, false, None),
    ];
    for (place, (lose, without, with, sent)) in cases.into_iter().enumerate() {
        for (notification, outlived) in [(false, without), (true, with)] {
            let (mut bench, conn) = session(notification, |_| {});
            bench.take();
            lose(&mut bench, conn);
            let kept = kept(&bench);
            assert_eq!(kept.is_some(), outlived, "case {place}, N {notification}");
            if let Some(kept) = kept {
                assert_eq!(kept.families, Families::IPV4);
                assert_eq!(kept.time, Duration::from_secs(120));
            }
            if notification {
                assert_eq!(bench.notified(), sent, "case {place}");
            }
        }
    }
}

fn cease(bench: &mut Bench, notification: Notification) {
    bench.input(Input::AutomaticStop {
        notification,
        restart_after: Some(Duration::ZERO),
    });
}

#[test]
fn a_hard_reset_says_what_for() {
    let (mut bench, _) = session(true, |_| {});
    bench.take();
    bench.input(Input::Stop { reason: "move" });
    let Some(Message::Notification(sent)) = bench.sent().pop() else {
        panic!("no NOTIFICATION");
    };
    let text = "Cease/hard reset (Cease/administrative shutdown \"move\")";
    assert_eq!(sent.to_string(), text);
    // Without the N bit nobody would keep anything.
    let (mut bench, _) = session(false, |_| {});
    bench.take();
    bench.input(Input::Stop { reason: "move" });
    assert_eq!(bench.notified(), Some((6, 2)));
}

/// RFC 5882, section 4.3.2: the C bit tells a dead path from a restarting neighbour.
#[test]
fn the_c_bit_decides_what_a_loss_of_bfd_means() {
    for (mind, independent, outlived) in [
        (false, false, false),
        (false, true, false),
        (true, true, false),
        (true, false, true),
    ] {
        let (mut bench, _) = session(false, |c| c.options.bfd_check_control_plane = mind);
        bench.input(Input::BfdUp);
        bench.take();
        let control_plane_independent = independent;
        bench.input(Input::BfdDown {
            control_plane_independent,
        });
        assert_eq!(kept(&bench).is_some(), outlived);
        let over = |o: &Output| matches!(o, Output::RestartOver { .. });
        assert!(!bench.outputs.iter().any(over), "nothing was kept before");
    }
    // Also where the session does not even connect without BFD.
    let mut bench = Bench::new(|c| {
        (c.bfd_strict, c.wait_for_bfd) = (true, true);
        c.capabilities.graceful_restart = Some(graceful());
        c.options.bfd_check_control_plane = true;
    });
    bench.input(Input::Start);
    bench.input(Input::BfdUp);
    let conn = bench.connect();
    bench.open(conn, |o| o.capabilities.graceful_restart = Some(graceful()));
    bench.bytes(conn, &keepalive_bytes());
    bench.take();
    bench.input(BFD_DOWN);
    assert!(kept(&bench).is_some());
    assert_eq!(bench.session.status().activity, Activity::WaitsForBfd);
    bench.take();
    bench.pass(Duration::from_secs(120));
    assert!(matches!(bench.outputs[..], [Output::RestartOver { .. }]));
}

#[test]
fn what_was_kept_is_void_when_the_neighbour_is_late_or_the_path_is_dead() {
    type End = fn(&mut Bench);
    let cases: [(End, bool); 6] = [
        (|b| b.pass(Duration::from_secs(119)), false),
        (|b| b.pass(Duration::from_secs(120)), true),
        (|b| b.input(BFD_DOWN), false),
        (
            |b| {
                b.input(Input::BfdDown {
                    control_plane_independent: true,
                });
            },
            true,
        ),
        (|b| b.input(Input::InterfaceDown), true),
        (|b| b.input(Input::Stop { reason: "" }), true),
    ];
    for (place, (end, void)) in cases.into_iter().enumerate() {
        let (mut bench, conn) = session(false, |_| {});
        bench.input(Input::BfdUp);
        bench.input(Input::Closed { conn, why: "gone" });
        assert!(kept(&bench).is_some());
        bench.take();
        end(&mut bench);
        let over = |o: &Output| matches!(o, Output::RestartOver { .. });
        assert_eq!(bench.outputs.iter().any(over), void, "case {place}");
    }
}

#[test]
fn a_neighbour_that_is_back_in_time_ends_the_wait() {
    let (mut bench, conn) = session(false, |_| {});
    bench.input(Input::Closed { conn, why: "gone" });
    bench.pass(ms(1_000));
    let conn = bench.connect();
    bench.bytes(conn, &open_bytes(|_| {}));
    bench.bytes(conn, &keepalive_bytes());
    bench.take();
    for _ in 0..5 {
        bench.pass(Duration::from_secs(60));
        bench.bytes(conn, &keepalive_bytes());
    }
    let over = |o: &Output| matches!(o, Output::RestartOver { .. });
    assert!(!bench.outputs.iter().any(over));
}

/// RFC 4724, section 5.
#[test]
fn a_new_connection_of_such_a_neighbour_is_its_restart() {
    for established_by in Direction::BOTH {
        let (mut bench, old) =
            session(false, |c| c.passive = established_by == Direction::Incoming);
        assert_eq!(old.direction, established_by);
        bench.pass(ms(6_000));
        bench.take();
        let newer = bench.accept();
        assert!(kept(&bench).is_some());
        let (conn, abort) = (old, false);
        assert!(bench.outputs.contains(&Output::Close { conn, abort }));
        assert_eq!(
            bench.notified(),
            None,
            "the old connection is dropped silently"
        );
        assert_eq!(bench.state(), State::OpenSent);
        bench.bytes(newer, &open_bytes(|_| {}));
        bench.bytes(newer, &keepalive_bytes());
        assert_eq!(bench.session.established(), Some(Direction::Incoming));
    }
    // Soon after the session came up, it is what is left of a collision, unless the neighbour opened both.
    let (mut bench, _) = session(false, |_| {});
    bench.take();
    bench.accept();
    assert_eq!(bench.notified(), Some((6, 7)));
    assert_eq!(bench.state(), State::Established);
    let (mut bench, _) = session(false, |c| c.passive = true);
    bench.take();
    bench.accept();
    assert_eq!(bench.notified(), None);
    assert!(kept(&bench).is_some());
    assert_eq!(bench.state(), State::OpenSent);
}

#[test]
fn our_open_tells_our_own_restart_until_the_session_is_up_or_the_time_over() {
    let announced = |b: &Bench| b.session.announced().graceful_restart.expect("announced");
    let gr = |c: &mut SessionConfig| c.capabilities.graceful_restart = Some(graceful());
    let mut bench = Bench::new(gr);
    bench.input(Input::Start);
    assert!(!announced(&bench).restarting);
    let mut bench = Bench::new(gr);
    let preserved = Families::IPV4;
    bench.input(Input::Restarted { preserved });
    bench.input(Input::Start);
    assert!(announced(&bench).restarting);
    assert_eq!(announced(&bench).preserved, preserved);
    let conn = bench.connect();
    bench.bytes(conn, &open_bytes(|_| {}));
    bench.bytes(conn, &keepalive_bytes());
    assert!(!announced(&bench).restarting, "established");
    let mut bench = Bench::new(gr);
    bench.input(Input::Restarted { preserved });
    bench.input(Input::Start);
    bench.pass(Duration::from_secs(120));
    bench.input(Input::Deadline);
    assert!(!announced(&bench).restarting, "too late");
}

/// RFC 4724, section 4.1: a crash is a restart, too, but one that preserves nothing. RFC 8538, section 4: who only lost the
/// session has preserved everything.
#[test]
fn the_forwarding_bit_is_set_unless_a_restart_lost_what_it_tells_of() {
    let said = |b: &Bench| {
        let gr = b.session.announced().graceful_restart.expect("announced");
        (gr.restarting, gr.preserved)
    };
    let (mut bench, _) = session(true, |_| {});
    bench.pass(Duration::from_secs(180));
    assert_eq!(bench.state(), State::Idle, "hold timer");
    assert_eq!(said(&bench), (false, Families::IPV4));
    bench.input(Input::Crash);
    bench.pass(Duration::from_secs(3600));
    bench.input(Input::Start);
    assert_eq!(said(&bench), (true, Families::NONE));
}

/// RFC 8538, section 5.1, but for Out of Resources: what is kept would free nothing.
#[test]
fn which_ceases_are_hard_resets() {
    let hard = |subcode: u8| {
        let (mut bench, _) = session(true, |_| {});
        bench.take();
        cease(&mut bench, Notification::new(6, subcode));
        let kept = kept(&bench).is_some();
        assert_eq!(bench.notified(), Some((6, if kept { subcode } else { 9 })));
        !kept
    };
    let all: Vec<u8> = (1..=9).filter(|&subcode| hard(subcode)).collect();
    assert_eq!(all, [1, 2, 3, 8, 9]);
}
