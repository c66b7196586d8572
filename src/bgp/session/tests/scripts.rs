//! One thing after the other, with a played neighbour.

use super::*;

#[test]
fn an_active_session_connects_at_once_and_a_passive_one_waits() {
    let mut active = Bench::new(|_| {});
    active.input(Input::Start);
    assert_eq!(active.state(), State::Connect);
    assert!(active.attempt().is_some());
    let mut passive = Bench::new(|c| c.passive = true);
    passive.input(Input::Start);
    passive.pass(ms(600_000));
    assert_eq!(passive.state(), State::Active);
    assert!(passive.attempt().is_none());
    passive.accept();
    assert_eq!(passive.state(), State::OpenSent);
}

#[test]
fn the_first_attempt_waits_for_the_connect_delay() {
    let mut bench = Bench::new(|c| c.timers.connect_delay = ms(1000));
    bench.input(Input::Start);
    bench.pass(ms(749));
    assert!(bench.attempt().is_none());
    bench.pass(ms(252));
    assert!(bench.attempt().is_some());
}

#[test]
fn attempts_are_repeated_with_jitter() {
    let mut bench = Bench::new(|_| {});
    bench.input(Input::Start);
    bench.take();
    bench.pass(ms(3_749));
    assert!(bench.attempt().is_none(), "not before 75 %");
    bench.pass(ms(1_252));
    let conn = bench.attempt().expect("not after 100 %");
    bench.take();
    let why = "connection refused";
    bench.input(Input::ConnectFailed { conn, why });
    assert_eq!(bench.state(), State::Active);
    bench.pass(ms(5_001));
    assert_eq!(bench.state(), State::Connect);
}

#[test]
fn an_attempt_given_up_may_still_succeed_and_is_closed() {
    let mut bench = Bench::new(|_| {});
    bench.input(Input::Start);
    let old = bench.attempt().expect("an attempt");
    bench.pass(ms(5_001));
    bench.take();
    bench.input(Input::Connected { conn: old });
    let (conn, abort) = (old, false);
    assert_eq!(bench.outputs, [Output::Close { conn, abort }]);
    assert_eq!(bench.state(), State::Connect);
}

#[test]
fn an_unanswered_open_is_given_four_minutes_unless_told_otherwise() {
    for (given, patience) in [(None, 240_000), (Some(ms(10_000)), 10_000)] {
        let mut bench = Bench::new(|c| c.timers.open_hold = given.unwrap_or(c.timers.open_hold));
        bench.input(Input::Start);
        bench.connect();
        bench.pass(ms(patience - 1));
        assert_eq!(bench.state(), State::OpenSent);
        bench.take();
        bench.pass(ms(1));
        assert_eq!(bench.notified(), Some((4, 0)));
    }
}

#[test]
fn keepalives_come_every_third_of_the_hold_time_with_jitter() {
    let (mut bench, conn) = Bench::established(|c| c.timers.hold = Duration::from_secs(9));
    let mut last = bench.now;
    for _ in 0..50 {
        bench.take();
        let due = bench.session.deadline().expect("a keepalive");
        let gap = due.since(last);
        assert!((ms(2_250)..=ms(3_000)).contains(&gap), "{gap:?}");
        bench.now = due;
        bench.input(Input::Deadline);
        assert_eq!(bench.sent(), [Message::Keepalive]);
        last = due;
        bench.bytes(conn, &keepalive_bytes());
    }
}

#[test]
fn the_hold_timer_ends_a_silent_session() {
    let (mut bench, _) = Bench::established(|c| c.timers.hold = Duration::from_secs(9));
    bench.pass(ms(8_999));
    assert_eq!(bench.state(), State::Established);
    bench.take();
    bench.pass(ms(1));
    assert_eq!(bench.notified(), Some((4, 0)));
    let down = |o: &Output| matches!(o, Output::Down { why, .. } if why == "hold timer expired");
    assert!(bench.outputs.iter().any(down));
}

#[test]
fn the_lower_hold_time_is_taken_and_zero_is_off() {
    for (theirs, agreed) in [(180, Some(90)), (30, Some(30)), (3, Some(3)), (0, None)] {
        let mut bench = Bench::new(|c| c.timers.hold = Duration::from_secs(90));
        bench.input(Input::Start);
        let conn = bench.connect();
        bench.bytes(conn, &open_bytes(|o| o.hold_time = theirs));
        bench.bytes(conn, &keepalive_bytes());
        let negotiated = bench.session.negotiated().expect("established");
        assert_eq!(negotiated.hold, agreed.map(Duration::from_secs));
    }
    let (mut bench, conn) = Bench::established(|c| c.timers.hold = Duration::ZERO);
    bench.input(Input::Written { conn, bytes: 1000 });
    assert_eq!(bench.session.deadline(), None);
}

#[test]
fn unacceptable_opens_are_refused_with_the_right_words() {
    type Change = fn(&mut Open);
    let cases: [(Change, (u8, u8)); 6] = [
        (|o| o.asn = 64501, (2, 2)),
        (|o| o.id = Ipv4Addr::UNSPECIFIED, (2, 3)),
        (|o| o.hold_time = 1, (2, 6)),
        (|o| o.hold_time = 2, (2, 6)),
        (
            |o| (o.asn, o.capabilities.four_octet) = (4_200_000_000, false),
            (2, 2),
        ),
        (|o| o.asn = 0, (2, 2)),
    ];
    for (change, expected) in cases {
        let mut bench = Bench::new(|_| {});
        bench.input(Input::Start);
        let conn = bench.connect();
        bench.take();
        bench.bytes(conn, &open_bytes(change));
        assert_eq!(bench.notified(), Some(expected));
        assert_eq!(bench.state(), State::Idle);
        let said = |o: &Output| matches!(o, Output::StateChanged { why, .. } if why.starts_with("sent OPEN Message Error/"));
        assert!(bench.outputs.iter().any(said), "{:?}", bench.outputs);
    }
}

#[test]
fn version_family_and_our_own_identifier() {
    let refused = |bytes: &[u8], internal: bool| {
        let mut bench = Bench::new(|c| {
            if internal {
                c.asn = 64500;
            }
        });
        bench.input(Input::Start);
        let conn = bench.connect();
        bench.take();
        bench.bytes(conn, bytes);
        bench.notified()
    };
    let mut version = open_bytes(|_| {});
    version[19] = 3;
    assert_eq!(refused(&version, false), Some((2, 1)));
    let own = open_bytes(|o| o.id = Ipv4Addr::new(10, 0, 0, 1));
    assert_eq!(refused(&own, true), Some((2, 3)), "iBGP");
    // RFC 6286: across ASes equal identifiers are no error.
    assert_eq!(refused(&own, false), None);
    // A neighbour that has multiprotocol for another family only.
    let mut ipv6 = vec![0xff; 16];
    ipv6.extend([0, 37, 1, 4, 0xfb, 0xf4, 0, 90, 10, 0, 0, 2, 8]);
    ipv6.extend([2, 6, 1, 4, 0, 2, 0, 1]);
    assert_eq!(refused(&ipv6, false), Some((2, 7)));
}

#[test]
fn a_two_octet_neighbour_is_spoken_to_in_two_octets() {
    let mut bench = Bench::new(|_| {});
    bench.input(Input::Start);
    let conn = bench.connect();
    bench.bytes(conn, &open_bytes(|o| o.capabilities.four_octet = false));
    bench.bytes(conn, &keepalive_bytes());
    let negotiated = bench.session.negotiated().expect("established");
    assert!(!negotiated.dialect.four_octet);
}

#[test]
fn messages_out_of_place_are_state_machine_errors() {
    let update = bytes(|out| message::write_end_of_rib(out, Family::Ipv4Unicast));
    let refresh = bytes(write_refresh);
    let open = open_bytes(|_| {});
    for early in [&keepalive_bytes(), &update, &refresh] {
        let mut bench = Bench::new(|_| {});
        bench.input(Input::Start);
        let conn = bench.connect();
        bench.bytes(conn, early);
        assert_eq!(bench.notified(), Some((5, 1)));
    }
    for early in [&open, &update, &refresh] {
        let mut bench = Bench::new(|_| {});
        bench.input(Input::Start);
        let conn = bench.connect();
        bench.bytes(conn, &open);
        bench.bytes(conn, early);
        assert_eq!(bench.notified(), Some((5, 2)));
    }
    let (mut bench, conn) = Bench::established(|_| {});
    bench.bytes(conn, &open);
    assert_eq!(bench.notified(), Some((5, 3)));
    let why = "sent Finite State Machine Error/unexpected message in Established";
    let down = |o: &Output| matches!(o, Output::Down { why: w, .. } if w == why);
    assert!(bench.outputs.iter().any(down));
}

#[test]
fn nothing_after_the_end_of_a_connection_counts() {
    let (mut bench, conn) = Bench::established(|_| {});
    bench.take();
    let mut stream = bytes(|out| message::write_notification(out, &Notification::new(6, 4)));
    stream.extend_from_slice(&bytes(|out| {
        message::write_end_of_rib(out, Family::Ipv4Unicast)
    }));
    bench.bytes(conn, &stream);
    assert!(!bench.outputs.iter().any(|o| matches!(o, Output::Update(_))));
    assert_eq!(bench.why(), Some("received Cease/administrative reset"));
    bench.take();
    bench.bytes(conn, &keepalive_bytes());
    bench.input(Input::Closed { conn, why: "late" });
    assert_eq!(bench.outputs, []);
}

/// RFC 4486, section 4: who was told to go for long tries ever more rarely, asked for or not.
#[test]
fn a_neighbour_that_does_not_want_us_is_tried_ever_more_rarely() {
    for (subcode, damped) in [
        (2, true),
        (3, true),
        (5, true),
        (8, true),
        (4, false),
        (6, false),
    ] {
        let mut bench = Bench::new(|c| c.options.damp_peer_oscillations = false);
        bench.input(Input::Start);
        let refusal = bytes(|out| message::write_notification(out, &Notification::new(6, subcode)));
        for _ in 0..4 {
            let conn = bench.connect();
            bench.bytes(conn, &refusal);
            bench.take();
            while bench.attempt().is_none() {
                bench.pass(ms(10));
            }
        }
        let rested = bench.now.since(At::ZERO);
        assert_eq!(rested > ms(900), damped, "6/{subcode}: {rested:?}");
    }
}

#[test]
fn rests_after_failures_double_and_a_good_session_resets_them() {
    let mut bench = Bench::new(|_| {});
    bench.input(Input::Start);
    let mut expected = ms(100);
    for _ in 0..8 {
        let conn = bench.connect();
        bench.take();
        bench.bytes(conn, b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(bench.state(), State::Idle);
        let rest = bench.session.deadline().expect("a rest").since(bench.now);
        let range = expected.mul_f64(0.75)..=expected;
        assert!(range.contains(&rest), "{rest:?} not in {range:?}");
        // Idle refuses.
        bench.take();
        bench.accept();
        assert!(matches!(
            bench.outputs[..],
            [Output::Close { .. }, Output::Refused { .. }]
        ));
        bench.pass(expected);
        expected = (expected * 2).min(ms(1600));
    }
    let conn = bench.connect();
    bench.bytes(conn, &open_bytes(|_| {}));
    bench.bytes(conn, &keepalive_bytes());
    bench.pass(ms(6_000));
    let why = "reset";
    bench.input(Input::Closed { conn, why });
    let rest = bench.session.deadline().expect("a rest").since(bench.now);
    assert!(rest <= ms(100), "{rest:?}");
}

#[test]
fn a_stop_says_why_and_holds() {
    let (mut bench, _) = Bench::established(|_| {});
    bench.take();
    let reason = "maintenance";
    bench.input(Input::Stop { reason });
    let Some(Message::Notification(n)) = bench.sent().pop() else {
        panic!("no NOTIFICATION");
    };
    assert_eq!(n.communication(), Some("maintenance"));
    assert_eq!(bench.session.deadline(), None);
    bench.take();
    bench.accept();
    assert_eq!(bench.notified(), Some((6, 5)));
    bench.input(Input::Start);
    assert_eq!(bench.state(), State::Connect);
}

#[test]
fn the_loser_of_a_collision_is_not_why_the_winner_is_established() {
    let mut bench = Bench::new(|c| c.id = Ipv4Addr::new(10, 0, 0, 9));
    bench.input(Input::Start);
    let conn = bench.connect();
    bench.accept();
    bench.bytes(conn, &open_bytes(|_| {}));
    bench.take();
    bench.bytes(conn, &keepalive_bytes());
    assert_eq!(bench.why(), Some("KEEPALIVE received"));
}

#[test]
fn a_neighbour_that_never_reads_costs_a_bounded_amount_and_is_left() {
    let (mut bench, conn) = Bench::established(|_| {});
    bench.take();
    let mut total = 0;
    while bench.session.room() > 0 {
        let (out, _) = bench.session.writer().expect("established");
        out.extend_from_slice(&[0; 4000]);
        bench.outputs.extend(bench.session.poll());
        total += 4000;
    }
    assert!(total < ROOM + 4096);
    // It still sends, so the hold timer does not see it: RFC 9687 does.
    bench.take();
    for _ in 0..479 {
        bench.pass(ms(1_000));
        bench.bytes(conn, &keepalive_bytes());
    }
    assert_eq!(bench.state(), State::Established);
    assert_eq!(bench.outputs, [], "not even KEEPALIVEs pile up");
    bench.pass(ms(1_000));
    assert_eq!(bench.state(), State::Idle);
    assert_eq!(bench.notified(), Some((8, 0)));
}

#[test]
fn progress_restarts_the_send_hold_timer() {
    let (mut bench, conn) = Bench::established(|_| {});
    let (out, _) = bench.session.writer().expect("established");
    out.extend_from_slice(&[0; 1000]);
    bench.outputs.extend(bench.session.poll());
    for second in 0..1500 {
        bench.pass(ms(1_000));
        bench.bytes(conn, &keepalive_bytes());
        if second % 470 == 0 {
            bench.input(Input::Written { conn, bytes: 1 });
        }
    }
    assert_eq!(bench.state(), State::Established);
}

/// RFC 9687, sections 4.4 and 6.
#[test]
fn the_send_hold_time_is_longer_than_the_hold_time() {
    let s = Duration::from_secs;
    // Given, the hold time, and what comes of it.
    for (given, hold, expected) in [
        (None, 90, Some(s(480))),
        (None, 300, Some(s(600))),
        (None, 0, None),
        (Some(s(0)), 90, None),
        (Some(s(600)), 90, Some(s(600))),
        (Some(s(60)), 90, Some(s(91))),
        (Some(s(600)), 0, None),
    ] {
        let (bench, _) = Bench::established(|c| {
            (c.timers.hold, c.timers.send_hold) = (s(hold), given);
        });
        // The neighbour proposes 180 s.
        let expected = if hold == 300 { Some(s(480)) } else { expected };
        let timers = bench.session.timers();
        let found = timers.iter().find(|(name, _)| *name == "SendHoldTimer");
        let runs = found.map(|(_, at)| at.since(At::ZERO));
        assert_eq!(runs, expected, "{given:?} beside {hold} s");
    }
    let default = Timers::default();
    assert_eq!(default.send_hold(Some(s(300))), Some(s(600)));
}

#[test]
fn a_crash_says_nothing() {
    let (mut bench, conn) = Bench::established(|_| {});
    bench.take();
    bench.input(Input::Crash);
    assert_eq!(bench.sent(), []);
    let abort = true;
    assert!(bench.outputs.contains(&Output::Close { conn, abort }));
    assert_eq!(bench.session.deadline(), None);
}

#[test]
fn a_refresh_is_asked_for_only_where_the_neighbour_knows_it() {
    let (mut bench, _) = Bench::established(|_| {});
    bench.take();
    bench.input(Input::RequestRefresh {
        family: Family::Ipv4Unicast,
    });
    assert!(matches!(bench.sent()[..], [Message::RouteRefresh(_)]));
    let mut bench = Bench::new(|_| {});
    bench.input(Input::Start);
    let conn = bench.connect();
    bench.bytes(conn, &open_bytes(|o| o.capabilities.route_refresh = false));
    bench.bytes(conn, &keepalive_bytes());
    bench.take();
    bench.input(Input::RequestRefresh {
        family: Family::Ipv4Unicast,
    });
    assert_eq!(bench.outputs, []);
}

#[test]
fn a_refresh_is_answered_whatever_its_reserved_octet() {
    let (mut bench, conn) = Bench::established(|_| {});
    // RFC 2918, section 3: what RFC 7313 would have as a mark.
    for reserved in [0, 1] {
        bench.take();
        let mut refresh = bytes(write_refresh);
        refresh[21] = reserved;
        bench.bytes(conn, &refresh);
        assert_eq!(
            bench.outputs,
            [Output::RefreshRequested {
                family: Family::Ipv4Unicast,
                demarcated: false
            }]
        );
    }
}

/// RFC 4271, sections 4.2 and 6.5: whatever a refresh is answered with.
#[test]
fn keepalives_and_updates_restart_the_hold_timer_and_refreshes_do_not() {
    let unknown = |octet: usize, value: u8| {
        let mut refresh = bytes(write_refresh);
        refresh[octet] = value;
        refresh
    };
    let end_of_rib = bytes(|out| message::write_end_of_rib(out, Family::Ipv4Unicast));
    for (message, restarts) in [
        (keepalive_bytes(), true),
        (end_of_rib, true),
        (bytes(write_refresh), false),
        (unknown(20, 7), false),
        (unknown(21, 7), false),
    ] {
        let (mut bench, conn) = Bench::negotiated(
            |c| {
                c.timers.hold = Duration::from_secs(9);
                c.capabilities.enhanced_route_refresh = true;
            },
            |open| open.capabilities.enhanced_route_refresh = true,
        );
        bench.pass(ms(6_000));
        bench.bytes(conn, &message);
        bench.pass(ms(6_000));
        let stays = bench.state() == State::Established;
        assert_eq!(stays, restarts, "{message:?}");
    }
}
