//! BFD beside a session: strict mode, what a loss of BFD ends, and a BFD that one end disabled (RFC 5882).

use super::*;

#[test]
fn bfd_strict_withholds_the_keepalive_and_nothing_else() {
    let mut bench = Bench::new(|c| c.bfd_strict = true);
    bench.input(Input::Start);
    let conn = bench.connect();
    bench.take();
    bench.bytes(conn, &open_bytes(|_| {}));
    bench.bytes(conn, &keepalive_bytes());
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.state(), State::OpenConfirm);
    bench.input(Input::BfdUp);
    assert_eq!(bench.sent(), [Message::Keepalive]);
    assert_eq!(bench.state(), State::Established);
    bench.take();
    bench.input(BFD_DOWN);
    assert_eq!(bench.notified(), Some((6, 10)));
    assert_eq!(bench.why(), Some("BFD down"));
    let write = |o: &Output| matches!(o, Output::Write { .. });
    let close = |o: &Output| matches!(o, Output::Close { .. });
    let (written, closed) = (
        bench.outputs.iter().position(write),
        bench.outputs.iter().position(close),
    );
    assert!(written < closed, "the NOTIFICATION goes out first");
}

#[test]
fn bfd_going_down_while_the_keepalive_is_withheld_changes_nothing() {
    let mut bench = Bench::new(|c| c.bfd_strict = true);
    bench.input(Input::Start);
    let conn = bench.connect();
    bench.bytes(conn, &open_bytes(|_| {}));
    bench.input(BFD_DOWN);
    assert_eq!(bench.state(), State::OpenConfirm);
    assert_eq!(bench.notified(), None);
}

#[test]
fn without_strict_mode_only_a_bfd_that_was_up_matters() {
    let (mut bench, _) = Bench::established(|c| c.use_bfd = true);
    bench.input(Input::BfdUp);
    assert_eq!(bench.state(), State::Established);
    bench.input(BFD_DOWN);
    assert_eq!(bench.state(), State::Idle);
    let (mut bench, _) = Bench::established(|_| {});
    bench.input(BFD_DOWN);
    assert_eq!(bench.state(), State::Established, "BFD is not used");
}

#[test]
fn a_bfd_that_was_never_up_cannot_go_down() {
    let (mut bench, _) = Bench::established(|c| c.use_bfd = true);
    bench.take();
    bench.input(BFD_DOWN);
    assert_eq!(bench.state(), State::Established);
    bench.input(Input::BfdUp);
    bench.input(BFD_DOWN);
    bench.pass(ms(100));
    // The neighbour, which waits for BFD, has not sent its KEEPALIVE yet.
    let conn = bench.connect();
    bench.bytes(conn, &open_bytes(|_| {}));
    assert_eq!(bench.state(), State::OpenConfirm);
    bench.input(BFD_DOWN);
    assert_eq!(bench.state(), State::OpenConfirm);
}

#[test]
fn a_session_that_waits_for_bfd_does_not_connect_before() {
    let mut bench = Bench::new(|c| (c.bfd_strict, c.wait_for_bfd) = (true, true));
    bench.input(Input::Start);
    bench.pass(ms(100_000));
    assert!(bench.attempt().is_none());
    bench.input(Input::BfdUp);
    assert!(bench.attempt().is_some());
    bench.input(BFD_DOWN);
    assert_eq!(bench.state(), State::Idle);
    assert_eq!(bench.session.deadline(), None);
}

#[test]
fn an_attempt_that_hangs_is_tried_anew_when_bfd_comes_up() {
    let mut bench = Bench::new(|c| {
        c.bfd_strict = true;
        c.timers.connect_retry = Duration::from_secs(100);
    });
    bench.input(Input::Start);
    bench.pass(ms(10_000));
    bench.take();
    bench.input(Input::BfdUp);
    assert!(bench.attempt().is_some());
}

#[test]
fn while_a_connection_waits_for_bfd_no_other_one_is_tried() {
    let mut bench = Bench::new(|c| c.bfd_strict = true);
    bench.input(Input::Start);
    let conn = bench.attempt().expect("an attempt");
    let why = "connection refused";
    bench.input(Input::ConnectFailed { conn, why });
    let incoming = bench.accept();
    bench.bytes(incoming, &open_bytes(|_| {}));
    bench.take();
    bench.pass(ms(60_000));
    assert!(bench.attempt().is_none());
    assert_eq!(bench.state(), State::OpenConfirm);
}

/// The neighbour's BFD may notice a loss later than ours: what it would establish meanwhile would be without BFD.
#[test]
fn after_a_loss_of_bfd_no_session_begins_before_it_is_up_again() {
    for lets_go in [Input::BfdUp, Input::BfdAdminDown] {
        let (mut bench, _) = Bench::established(|c| c.use_bfd = true);
        bench.input(Input::BfdUp);
        bench.input(BFD_DOWN);
        bench.pass(ms(100));
        let conn = bench.connect();
        bench.take();
        bench.bytes(conn, &open_bytes(|_| {}));
        bench.bytes(conn, &keepalive_bytes());
        assert_eq!(bench.state(), State::OpenConfirm);
        assert_eq!(bench.sent(), []);
        let activity = bench.session.status().activity;
        assert_eq!(activity, Activity::WithholdsKeepalive);
        bench.input(lets_go);
        assert_eq!(bench.state(), State::Established);
    }
}

/// RFC 5882, section 4.2: neither end's AdminDown says anything of the path.
#[test]
fn a_bfd_that_is_disabled_ends_nothing_and_does_not_fail_later() {
    let (mut bench, conn) = Bench::established(|c| c.use_bfd = true);
    bench.input(Input::BfdUp);
    bench.take();
    bench.input(Input::BfdAdminDown);
    // Enabled again, on its way up, up, and then a real loss.
    bench.input(BFD_DOWN);
    bench.input(Input::BfdUp);
    assert_eq!(bench.state(), State::Established);
    assert_eq!(bench.outputs, []);
    bench.input(BFD_DOWN);
    assert_eq!(bench.notified(), Some((6, 10)));
    bench.input(Input::Closed { conn, why: "gone" });
}

/// RFC 5882, section 4.1, and the strict mode draft: what waits for BFD goes on when BFD is disabled.
#[test]
fn nothing_waits_for_a_bfd_that_is_disabled() {
    let mut bench = Bench::new(|c| c.bfd_strict = true);
    bench.input(Input::Start);
    let conn = bench.connect();
    bench.bytes(conn, &open_bytes(|_| {}));
    bench.bytes(conn, &keepalive_bytes());
    assert_eq!(bench.state(), State::OpenConfirm);
    bench.take();
    bench.input(Input::BfdAdminDown);
    assert_eq!(bench.state(), State::Established);
    assert_eq!(bench.why(), Some("BFD administratively down"));
    // Nor does the next session, until BFD is enabled again.
    bench.input(Input::Closed { conn, why: "gone" });
    bench.pass(ms(200));
    let conn = bench.connect();
    bench.bytes(conn, &open_bytes(|_| {}));
    bench.bytes(conn, &keepalive_bytes());
    assert_eq!(bench.state(), State::Established);
    bench.input(Input::Closed { conn, why: "gone" });
    bench.input(BFD_DOWN);
    bench.pass(ms(400));
    let conn = bench.connect();
    bench.bytes(conn, &open_bytes(|_| {}));
    bench.bytes(conn, &keepalive_bytes());
    assert_eq!(bench.state(), State::OpenConfirm);
    // A session that does not even connect without BFD.
    let mut bench = Bench::new(|c| (c.bfd_strict, c.wait_for_bfd) = (true, true));
    bench.input(Input::Start);
    assert!(bench.attempt().is_none());
    bench.input(Input::BfdAdminDown);
    assert!(bench.attempt().is_some());
}
