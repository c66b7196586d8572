//! How sessions are ended on purpose, how refreshes are asked for and marked, and what a session tells about itself.

use super::*;
use crate::bgp::family::Families;
use crate::bgp::message::RouteRefresh;

#[test]
fn a_session_ended_for_a_reason_says_so_and_rests_as_long_as_told() {
    let (mut bench, _) = Bench::established(|_| {});
    bench.take();
    bench.input(Input::AutomaticStop {
        notification: Notification::maximum_prefixes(Family::Ipv4Unicast, 1000),
        restart_after: Some(Duration::from_secs(60)),
    });
    let Some(Message::Notification(sent)) = bench.sent().pop() else {
        panic!("no NOTIFICATION");
    };
    assert_eq!((sent.code, sent.subcode), (6, 1));
    assert_eq!(sent.data[..], [0, 1, 1, 0, 0, 3, 0xe8]);
    // Neither the path nor the neighbour shortens it.
    bench.take();
    bench.input(Input::InterfaceDown);
    bench.input(Input::InterfaceUp);
    bench.accept();
    assert_eq!(bench.notified(), Some((6, 5)));
    bench.pass(ms(59_999));
    assert_eq!(bench.state(), State::Idle);
    assert_eq!(bench.session.status().activity, Activity::Rests);
    bench.pass(ms(1));
    assert_eq!(bench.state(), State::Connect);
}

#[test]
fn without_a_time_it_stays_down_until_started() {
    let (mut bench, _) = Bench::established(|_| {});
    bench.input(Input::AutomaticStop {
        notification: Notification::new(6, 3),
        restart_after: None,
    });
    bench.pass(Duration::from_secs(100_000));
    assert_eq!(bench.session.status().activity, Activity::Stopped);
    // What ends a stopped session does not start it later.
    bench.input(Input::AutomaticStop {
        notification: Notification::new(6, 8),
        restart_after: Some(ms(1)),
    });
    bench.pass(Duration::from_secs(100));
    assert_eq!(bench.state(), State::Idle);
    bench.input(Input::Start);
    assert_eq!(bench.state(), State::Connect);
}

#[test]
fn a_path_that_is_down_when_the_rest_is_over_is_waited_for() {
    let (mut bench, _) = Bench::established(|_| {});
    bench.input(Input::AutomaticStop {
        notification: Notification::new(6, 8),
        restart_after: Some(ms(1_000)),
    });
    bench.input(Input::InterfaceDown);
    bench.pass(ms(2_000));
    assert_eq!(bench.session.status().activity, Activity::WaitsForInterface);
    bench.input(Input::InterfaceUp);
    assert_eq!(bench.state(), State::Connect);
}

#[test]
fn refreshes_are_demarcated_where_both_ends_know_it() {
    let family = Family::Ipv4Unicast;
    let refresh = |subtype| RouteRefresh {
        afi: 1,
        safi: 1,
        subtype,
    };
    for both in [false, true] {
        let (mut bench, conn) = Bench::negotiated(
            |c| c.capabilities.enhanced_route_refresh = true,
            |o| o.capabilities.enhanced_route_refresh = both,
        );
        bench.take();
        let mut said = |subtype| {
            let message = bytes(|out| message::write_route_refresh(out, family, subtype));
            bench.bytes(conn, &message);
            bench.take().pop()
        };
        let demarcated = both;
        let requested = Some(Output::RefreshRequested { family, demarcated });
        assert_eq!(said(0), requested);
        // Who does not know subtypes has a reserved octet there (RFC 2918, section 3).
        let or_asked = |output: Option<Output>| if both { output } else { requested.clone() };
        let marked = |mark| or_asked(Some(Output::RefreshMarked { family, mark }));
        assert_eq!(said(1), marked(RefreshMark::Begin));
        assert_eq!(said(2), marked(RefreshMark::End));
        assert_eq!(said(3), or_asked(None), "unknown subtypes are ignored");
        assert_eq!(said(255), or_asked(None));
        let (begin, end) = (RefreshMark::Begin, RefreshMark::End);
        bench.input(Input::MarkRefresh {
            family,
            mark: begin,
        });
        bench.input(Input::MarkRefresh { family, mark: end });
        let marks = [1, 2].map(|subtype| Message::RouteRefresh(refresh(subtype)));
        assert_eq!(bench.sent(), if both { marks.to_vec() } else { Vec::new() });
    }
}

/// RFC 7313, section 5; with a neighbour that does not know it, more than is looked at is no error.
#[test]
fn a_mark_of_a_wrong_length_ends_the_session_where_both_ends_know_marks() {
    for both in [false, true] {
        let (mut bench, conn) = Bench::negotiated(
            |c| c.capabilities.enhanced_route_refresh = true,
            |o| o.capabilities.enhanced_route_refresh = both,
        );
        bench.take();
        bench.bytes(conn, &LONG_MARK);
        let (notified, state) = if both {
            (Some((7, 1)), State::Idle)
        } else {
            (None, State::Established)
        };
        assert_eq!((bench.notified(), bench.state()), (notified, state));
    }
}

#[test]
fn a_refresh_of_a_family_that_is_not_carried_is_neither_answered_nor_asked_for() {
    let (mut bench, conn) = Bench::established(|_| {});
    bench.take();
    let ipv6 = bytes(|out| message::write_route_refresh(out, Family::Ipv6Unicast, 0));
    bench.bytes(conn, &ipv6);
    bench.input(Input::RequestRefresh {
        family: Family::Ipv6Unicast,
    });
    assert_eq!(bench.outputs, []);
}

#[test]
fn a_session_tells_what_it_did() {
    let (mut bench, conn) = Bench::established(|_| {});
    let status = bench.session.status();
    assert_eq!(status.state, State::Established);
    assert_eq!(status.why, "KEEPALIVE received");
    assert_eq!(status.opened_by, Some(Direction::Outgoing));
    let names: Vec<&str> = status.timers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["HoldTimer", "KeepaliveTimer", "SendHoldTimer"]);
    assert_eq!(
        status.negotiated.map(|n| n.dialect.families),
        Some(Families::IPV4)
    );
    bench.pass(ms(10));
    let since = bench.now;
    let refusal = Notification::reset("maintenance");
    let mut said = bytes(|out| message::write_end_of_rib(out, Family::Ipv4Unicast));
    message::write_notification(&mut said, &refusal);
    bench.bytes(conn, &said);
    let status = bench.session.status();
    assert_eq!(status.notification_received, Some(&(since, refusal)));
    assert_eq!(status.notification_sent, None);
    assert_eq!((status.state, status.since), (State::Idle, since));
    assert_eq!(status.activity, Activity::Rests);
    let received = Messages {
        open: 1,
        update: 1,
        notification: 1,
        keepalive: 1,
        route_refresh: 0,
    };
    assert_eq!(status.counters.received, received);
    let sent = Messages {
        open: 1,
        keepalive: 1,
        ..Messages::default()
    };
    assert_eq!(status.counters.sent, sent);
    let counters = status.counters;
    assert_eq!(
        (counters.attempts, counters.established, counters.lost),
        (1, 1, 1)
    );
    assert_eq!(counters.connect_retry, 1);
    bench.accept();
    assert_eq!(bench.session.status().counters.refused, 1);
    bench.input(Input::Stop { reason: "" });
    bench.input(Input::Start);
    assert_eq!(bench.session.status().counters.connect_retry, 0);
}

#[test]
fn every_notification_a_session_sends_is_shown_with_its_words() {
    let (mut bench, _) = Bench::established(|c| c.timers.hold = Duration::from_secs(9));
    bench.pass(ms(9_000));
    let status = bench.session.status();
    let sent = status.notification_sent.map(|(_, n)| n.to_string());
    assert_eq!(sent.as_deref(), Some("Hold Timer Expired"));
}

/// Every code and subcode a session sends of its own accord, with what makes it do so; those of OPENs and UPDATEs that
/// cannot be read are the codec's. 2/5, 3/7 and 3/9 are of the past, and 6/6, 6/8 and others are given to it.
#[test]
fn all_notifications() {
    type Provoke = fn(&mut Bench);
    fn hear(bench: &mut Bench, bytes: &[u8]) {
        let conn = bench.session.outgoing.conn.expect("a connection");
        bench.bytes(conn, bytes);
    }
    fn end(bench: &mut Bench, notification: Notification) {
        bench.input(Input::AutomaticStop {
            notification,
            restart_after: None,
        });
    }
    // In OpenSent.
    let opening: [(Provoke, u8, u8, &[u8]); 10] = [
        (|b| hear(b, &[0; 19]), 1, 1, &[]),
        (|b| hear(b, &header(18, 4)), 1, 2, &[0, 18]),
        (|b| hear(b, &header(19, 9)), 1, 3, &[9]),
        (
            |b| {
                let mut open = open_bytes(|_| {});
                open[19] = 3;
                hear(b, &open);
            },
            2,
            1,
            &[0, 4],
        ),
        (|b| hear(b, &open_bytes(|o| o.asn = 1)), 2, 2, &[]),
        (
            |b| hear(b, &open_bytes(|o| o.id = Ipv4Addr::UNSPECIFIED)),
            2,
            3,
            &[],
        ),
        (|b| hear(b, &open_bytes(|o| o.hold_time = 1)), 2, 6, &[]),
        (|b| hear(b, &keepalive_bytes()), 5, 1, &[4]),
        (|b| hear(b, &bytes(write_refresh)), 5, 1, &[5]),
        (|b| b.pass(Duration::from_secs(240)), 4, 0, &[]),
    ];
    // In Established.
    let established: [(Provoke, u8, u8, &[u8]); 12] = [
        (|b| hear(b, &LONG_MARK), 7, 1, &LONG_MARK),
        (|b| hear(b, &SHORT_UPDATE), 3, 1, &[]),
        (|b| b.pass(Duration::from_secs(180)), 4, 0, &[]),
        (|b| hear(b, &open_bytes(|_| {})), 5, 3, &[1]),
        (|b| hear(b, &open_bytes(|o| o.asn = 0)), 5, 3, &[1]),
        (|b| b.input(Input::Stop { reason: "bye" }), 6, 2, b"\x03bye"),
        (|b| end(b, Notification::reset("bye")), 6, 4, b"\x03bye"),
        (|b| end(b, Notification::new(6, 3)), 6, 3, &[]),
        (|b| end(b, Notification::new(6, 8)), 6, 8, &[]),
        (
            |b| end(b, Notification::maximum_prefixes(Family::Ipv6Unicast, 5)),
            6,
            1,
            &[0, 2, 1, 0, 0, 0, 5],
        ),
        (
            |b| end(b, Notification::hard_reset(&Notification::new(6, 6))),
            6,
            9,
            &[6, 6],
        ),
        (
            |b| {
                b.input(Input::BfdUp);
                b.input(BFD_DOWN);
            },
            6,
            10,
            &[],
        ),
    ];
    let able = |c: &mut SessionConfig| {
        c.use_bfd = true;
        c.capabilities.enhanced_route_refresh = true;
    };
    let opened = || {
        let mut bench = Bench::new(able);
        bench.input(Input::Start);
        bench.connect();
        bench
    };
    let up = || Bench::negotiated(able, |o| o.capabilities.enhanced_route_refresh = true).0;
    let opening = opening.into_iter().map(|case| (opened(), case));
    let established = established.into_iter().map(|case| (up(), case));
    for (mut bench, (provoke, code, subcode, data)) in opening.chain(established) {
        bench.take();
        provoke(&mut bench);
        let (_, sent) = bench
            .session
            .status()
            .notification_sent
            .expect("one was sent");
        let parts = (sent.code, sent.subcode, &sent.data[..]);
        assert_eq!(parts, (code, subcode, data));
        assert_eq!(bench.notified(), Some((code, subcode)));
    }
}

/// The beginning of a refresh (RFC 7313), one octet too long.
const LONG_MARK: [u8; 24] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0, 24, 5, 0, 1, 1, 1, 0,
];

/// An UPDATE that says it withdraws more than it has.
const SHORT_UPDATE: [u8; 23] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0, 23, 2, 0, 9, 0, 0,
];

/// A message header of a length and type, and nothing else.
fn header(length: u8, kind: u8) -> Vec<u8> {
    let mut header = vec![0xff; 16];
    header.extend([0, length, kind]);
    header
}
