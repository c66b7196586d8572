//! Two OPENs: what is announced, refused with which words and data, and agreed on.

use bytes::Bytes;

use super::*;
use crate::bgp::family::Families;
use crate::bgp::message::Role;

const BOTH: Families = Families::IPV4.with(Family::Ipv6Unicast);

/// The session's answer to an OPEN, and why its state changed.
fn answer(
    configure: impl FnOnce(&mut SessionConfig),
    change: impl FnOnce(&mut Open),
) -> (Option<Notification>, String) {
    let mut bench = Bench::new(configure);
    bench.input(Input::Start);
    let conn = bench.connect();
    bench.take();
    bench.open(conn, change);
    let sent = bench.sent().into_iter().find_map(|m| match m {
        Message::Notification(n) => Some(n),
        _ => None,
    });
    (sent, bench.session.status().why.to_owned())
}

#[test]
fn a_refusal_tells_our_people_what_was_wrong() {
    let (_, why) = answer(|_| {}, |o| o.asn = 64501);
    let expected = "the peer is AS 64501, expected is AS 64500";
    assert_eq!(
        why,
        format!("sent OPEN Message Error/bad peer AS: {expected}")
    );
    let (_, why) = answer(|_| {}, |o| o.hold_time = 2);
    assert!(
        why.ends_with("the peer proposes 2s, the least is 3 s"),
        "{why}"
    );
}

#[test]
fn a_hold_time_below_the_least_is_refused_and_so_is_none() {
    let strict = |c: &mut SessionConfig| c.options.minimum_hold = Duration::from_secs(30);
    for (proposed, refused) in [(29, true), (30, false), (0, true), (180, false)] {
        let (sent, _) = answer(strict, |o| o.hold_time = proposed);
        let sent = sent.map(|n| (n.code, n.subcode));
        assert_eq!(sent, refused.then_some((2, 6)), "{proposed}");
    }
}

#[test]
fn one_common_family_is_needed_and_all_required_ones() {
    let dual = |c: &mut SessionConfig| c.capabilities.families = BOTH;
    let (sent, _) = answer(dual, |_| {});
    assert_eq!(sent, None);
    let required = |c: &mut SessionConfig| {
        c.capabilities.families = BOTH;
        c.options.required_families = BOTH;
    };
    let (sent, why) = answer(required, |_| {});
    let sent = sent.expect("a NOTIFICATION");
    assert_eq!((sent.code, sent.subcode), (2, 7));
    assert_eq!(sent.data[..], [1, 4, 0, 2, 0, 1]);
    assert!(why.ends_with("the peer lacks IPv6 unicast"), "{why}");
    let (sent, _) = answer(
        |_| {},
        |o| o.capabilities.families = Family::Ipv6Unicast.into(),
    );
    assert_eq!(sent.expect("a NOTIFICATION").data[..], [1, 4, 0, 1, 0, 1]);
}

#[test]
fn roles_must_fit() {
    use Role::{Customer, Peer, Provider, RouteServer, RouteServerClient};
    let all = [Provider, RouteServer, RouteServerClient, Customer, Peer];
    let fit = [
        (Provider, Customer),
        (Customer, Provider),
        (RouteServer, RouteServerClient),
        (RouteServerClient, RouteServer),
        (Peer, Peer),
    ];
    for ours in all {
        for theirs in all {
            let (sent, _) = answer(
                |c| c.capabilities.role = Some(ours),
                |o| o.capabilities.role = Some(theirs),
            );
            let expected = (!fit.contains(&(ours, theirs))).then_some((2, 11));
            let sent = sent.map(|n| (n.code, n.subcode));
            assert_eq!(sent, expected, "{ours:?} {theirs:?}");
        }
    }
}

#[test]
fn a_role_without_a_meaning_is_refused_by_who_has_one() {
    for (ours, expected) in [(None, None), (Some(Role::Peer), Some((2, 11)))] {
        let (sent, _) = answer(
            |c| c.capabilities.role = ours,
            |o| o.capabilities.unfit_role = true,
        );
        assert_eq!(sent.map(|n| (n.code, n.subcode)), expected);
    }
}

#[test]
fn a_neighbour_without_a_role_is_refused_only_in_strict_mode() {
    for (strict, expected) in [(false, None), (true, Some((2, 11)))] {
        let configure = |c: &mut SessionConfig| {
            c.capabilities.role = Some(Role::Peer);
            c.options.require_role = strict;
        };
        let (sent, _) = answer(configure, |_| {});
        assert_eq!(sent.map(|n| (n.code, n.subcode)), expected);
    }
    // Roles are of external sessions.
    let internal = |c: &mut SessionConfig| {
        c.asn = 64500;
        c.capabilities.role = Some(Role::Peer);
    };
    let (sent, _) = answer(internal, |o| o.capabilities.role = Some(Role::Customer));
    assert_eq!(sent, None);
}

#[test]
fn both_ends_must_have_a_capability_for_it_to_be_used() {
    let all = |c: &mut Capabilities| {
        c.extended_message = true;
        c.extended_next_hop = true;
        c.add_path_receive = Families::IPV4;
        c.add_path_send = Families::IPV4;
        c.enhanced_route_refresh = true;
        c.graceful_restart = Some(graceful());
    };
    for (ours, theirs) in [(true, true), (true, false), (false, true)] {
        let (bench, _) = Bench::negotiated(
            |c| {
                if ours {
                    all(&mut c.capabilities)
                }
            },
            |o| {
                if theirs {
                    all(&mut o.capabilities)
                }
            },
        );
        let negotiated = bench.session.negotiated().expect("established");
        let both = ours && theirs;
        let dialect = negotiated.dialect;
        assert_eq!(dialect.extended_message, both);
        // RFC 8654, section 4: who says that it reads long messages may be sent some by anybody.
        assert_eq!(dialect.extended_receive, ours);
        assert_eq!(dialect.extended_next_hop, both);
        assert_eq!(!dialect.add_path_receive.is_empty(), both);
        assert_eq!(!dialect.add_path_send.is_empty(), both);
        assert_eq!(negotiated.graceful.is_some(), both);
        assert_eq!(negotiated.graceful_notification, both);
    }
}

#[test]
fn a_neighbour_that_does_not_know_capabilities_is_spoken_to_without() {
    let refusals = [
        (Notification::new(2, 4), true),
        // Nothing about capabilities.
        (Notification::new(2, 2), false),
    ];
    for (refusal, without) in refusals {
        let mut bench = Bench::new(|_| {});
        bench.input(Input::Start);
        let conn = bench.connect();
        let said = bytes(|out| message::write_notification(out, &refusal));
        bench.bytes(conn, &said);
        assert_eq!(bench.state(), State::Idle);
        bench.take();
        bench.pass(ms(200));
        let conn = bench.connect();
        let Some(Message::Open(open)) = bench.sent().pop() else {
            panic!("no OPEN");
        };
        assert_eq!(!open.capabilities.route_refresh, without);
        assert_eq!(!open.capabilities.four_octet, without);
        // It is remembered, and IPv4 goes without saying.
        bench.bytes(conn, &open_bytes(|_| {}));
        bench.bytes(conn, &keepalive_bytes());
        let negotiated = bench.session.negotiated().expect("established");
        assert_eq!(negotiated.dialect.families, Families::IPV4);
        assert_eq!(!negotiated.dialect.four_octet, without);
        bench.input(Input::Stop { reason: "" });
        bench.input(Input::Start);
        assert!(
            bench.session.announced().route_refresh,
            "forgotten by a start"
        );
    }
}

/// RFC 5492, section 5: the data name what we lack, and to try again at once is of no use.
#[test]
fn what_a_neighbour_misses_is_told_and_nothing_is_left_out_for_it() {
    let cases: [(&'static [u8], &str); 3] = [
        (b"", "capability"),
        (b"\x02\x00\x02\x00", "we lack route refresh"),
        (
            b"\x01\x04\x00\x02\x00\x01\xc8\x00\x01\x04\x00",
            "we lack IPv6 unicast and capability 200 and capability 1",
        ),
    ];
    for (data, told) in cases {
        let mut bench = Bench::new(|c| c.options.damp_peer_oscillations = false);
        bench.input(Input::Start);
        let before = bench.session.announced();
        let conn = bench.connect();
        let refusal = Notification {
            data: Bytes::from_static(data),
            ..Notification::new(2, 7)
        };
        let said = bytes(|out| message::write_notification(out, &refusal));
        bench.bytes(conn, &said);
        let why = bench.session.status().why.to_owned();
        assert!(why.ends_with(told), "{why}");
        assert_eq!(bench.session.announced(), before);
        // 16 times the IdleHoldTime of 100 ms, less jitter.
        bench.take();
        bench.pass(ms(1_199));
        assert_eq!(bench.attempt(), None);
        bench.pass(ms(401));
        assert!(bench.attempt().is_some());
    }
}

#[test]
fn an_ipv6_session_insists_on_its_capabilities() {
    let ipv6 = Family::Ipv6Unicast.into();
    for (families, extended_next_hop) in [(ipv6, false), (BOTH, true)] {
        let mut bench = Bench::new(|c| {
            c.capabilities.families = families;
            c.capabilities.extended_next_hop = extended_next_hop;
        });
        bench.input(Input::Start);
        let conn = bench.connect();
        let refusal = Notification::new(2, 4);
        let said = bytes(|out| message::write_notification(out, &refusal));
        bench.bytes(conn, &said);
        let announced = bench.session.announced();
        assert_eq!(announced.families, families);
        assert_eq!(announced.extended_next_hop, extended_next_hop);
    }
}

#[test]
fn with_delay_open_the_neighbour_has_the_first_word() {
    let delay = |c: &mut SessionConfig| c.options.delay_open = Some(ms(1000));
    let mut bench = Bench::new(delay);
    bench.input(Input::Start);
    let conn = bench.connect();
    bench.take();
    assert_eq!(bench.state(), State::Connect);
    bench.bytes(conn, &open_bytes(|_| {}));
    assert!(matches!(
        bench.sent()[..],
        [Message::Open(_), Message::Keepalive]
    ));
    assert_eq!(bench.state(), State::OpenConfirm);
    // Silence is filled after the delay.
    let mut bench = Bench::new(delay);
    bench.input(Input::Start);
    bench.connect();
    bench.take();
    bench.pass(ms(999));
    assert_eq!(bench.sent(), []);
    bench.pass(ms(1));
    assert!(matches!(bench.sent()[..], [Message::Open(_)]));
    assert_eq!(bench.state(), State::OpenSent);
    // A fault before our OPEN is told, too.
    let mut bench = Bench::new(delay);
    bench.input(Input::Start);
    let conn = bench.accept();
    bench.take();
    bench.bytes(conn, &[0; 19]);
    assert_eq!(bench.notified(), Some((1, 1)));
    assert_eq!(bench.session.status().counters.connect_retry, 1);
}

#[test]
fn bfd_strict_mode_by_capability_needs_both_ends() {
    for (ours, theirs) in [(true, true), (true, false), (false, true)] {
        let mut bench = Bench::new(|c| c.capabilities.bfd_strict = ours);
        bench.input(Input::Start);
        let conn = bench.connect();
        bench.open(conn, |o| o.capabilities.bfd_strict = theirs);
        bench.bytes(conn, &keepalive_bytes());
        let both = ours && theirs;
        assert_eq!(bench.state() == State::OpenConfirm, both);
        let activity = bench.session.status().activity;
        assert_eq!(activity == Activity::WithholdsKeepalive, both);
        bench.input(Input::BfdUp);
        assert_eq!(bench.state(), State::Established);
    }
}

#[test]
fn where_the_hold_time_is_off_bfd_has_thirty_seconds() {
    let mut bench = Bench::new(|c| {
        c.capabilities.bfd_strict = true;
        c.timers.hold = Duration::ZERO;
    });
    bench.input(Input::Start);
    let conn = bench.connect();
    bench.open(conn, |o| o.capabilities.bfd_strict = true);
    bench.input(Input::Written { conn, bytes: 1000 });
    bench.take();
    bench.pass(ms(29_999));
    assert_eq!(bench.state(), State::OpenConfirm);
    bench.pass(ms(1));
    assert_eq!(bench.notified(), Some((6, 10)));
    assert_eq!(bench.session.status().why, "BFD did not come up in time");
}
