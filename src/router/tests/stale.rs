//! Stale routes, refreshes, and what is told when: RFC 4724 and 8538, RFC 7313, RFC 4271, section 9.2.1.1.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;

use super::bed::{address, end, end6, graceful, originated, router};
use super::net::{Net, ms};
use crate::bgp::family::{Families, Family};
use crate::bgp::message::{self, Framer, Message, RouteRefresh};
use crate::bgp::policy::OWN_NEXT_HOP;
use crate::bgp::policy::Policy;
use crate::bgp::session::State;
use crate::router::{
    Input, MaximumPrefixes, Monitored, Observed, Originated, OriginatedAttributes, RouterConfig,
    SessionIndex, Sessions,
};

const FIRST: SessionIndex = SessionIndex(0);
const A: &str = "198.51.100.0/24";
const B: &str = "203.0.113.0/24";

/// `a` tells `b` of A and B, and both know marked refreshes.
fn pair(change: impl Fn(&mut RouterConfig, &mut RouterConfig)) -> Net {
    let mut a = router("a", 64500, 1, vec![end("ab", 1, 0, 8075)]);
    let mut b = router("b", 8075, 2, vec![end("ab", 1, 1, 64500)]);
    a.originate = vec![originated(A), originated(B)];
    for router in [&mut a, &mut b] {
        router.sessions[0].capabilities.enhanced_route_refresh = true;
    }
    change(&mut a, &mut b);
    let mut net = Net::new(vec![a, b], ms(1));
    net.start();
    net.run(ms(200));
    net
}

/// As if `a` had said it.
fn mark(net: &mut Net, subtype: u8) {
    let mut out = BytesMut::new();
    message::write_route_refresh(&mut out, Family::Ipv4Unicast, subtype);
    net.inject("b", &out);
}

/// As if `a` had announced it again.
fn announce_again(net: &mut Net, prefix: &str) {
    let table = net.routers[1].adj_rib_in(FIRST).expect("a session");
    let set = table
        .get(&super::net::net(prefix))
        .expect("a route")
        .clone();
    let dialect = net.routers[1]
        .session_status(FIRST)
        .and_then(|s| Some(s.negotiated?.dialect));
    let mut out = BytesMut::new();
    let nlri = [super::net::net(prefix).into()];
    message::write_announcements(&mut out, &set, &nlri, dialect.expect("up")).expect("writable");
    net.inject("b", &out);
}

fn held(net: &Net) -> (usize, usize) {
    let table = net.routers[1].adj_rib_in(FIRST).expect("a session");
    let stale = table.iter().filter(|route| route.stale).count();
    (table.len(), stale)
}

#[test]
fn a_refresh_ends_with_what_was_announced_again() {
    let mut net = pair(|_, _| {});
    mark(&mut net, RouteRefresh::END);
    assert_eq!(held(&net), (2, 0), "without a beginning it is nothing");
    mark(&mut net, RouteRefresh::BEGIN);
    assert_eq!(held(&net), (2, 2));
    announce_again(&mut net, A);
    assert_eq!(held(&net), (2, 1));
    mark(&mut net, RouteRefresh::END);
    assert_eq!(held(&net), (1, 0));
    assert_eq!(net.via("b", A), ["ab"]);
}

/// The prefixes that `b` has told a monitor to be gone.
fn gone(net: &Net) -> Vec<String> {
    let monitored = net.monitored.iter().filter(|(router, _)| *router == 1);
    let gone = monitored.filter_map(|(_, monitored)| match &monitored.what {
        Observed::Route {
            nlri,
            received: None,
            ..
        } => Some(nlri.prefix.to_string()),
        _ => None,
    });
    gone.collect()
}

/// Stale routes that are swept go in MRT dumps and for BMP collectors, too; of a session that is down no route is told.
#[test]
fn a_monitor_hears_of_stale_routes_that_go() {
    let ends: [fn(&mut Net); 2] = [
        |net| mark(net, RouteRefresh::END),
        |net| net.run(Duration::from_secs(60)),
    ];
    for end in ends {
        let mut net = pair(|_, b| {
            b.sessions[0].monitor = true;
            b.options.stale = Duration::from_secs(60);
        });
        mark(&mut net, RouteRefresh::BEGIN);
        announce_again(&mut net, A);
        assert_eq!(gone(&net), [""; 0]);
        end(&mut net);
        assert_eq!(gone(&net), [B]);
        net.input(0, Input::Crash);
        net.run(Duration::from_secs(200));
        assert_eq!(held(&net), (0, 0));
        assert_eq!(gone(&net), [B]);
    }
}

/// What was kept over a restart and does not come again is gone with the End-of-RIB marker.
#[test]
fn a_monitor_hears_of_routes_that_did_not_survive_a_restart() {
    let mut net = pair(|a, b| {
        graceful(&mut a.sessions[0], true);
        graceful(&mut b.sessions[0], true);
        b.sessions[0].monitor = true;
    });
    net.input(
        0,
        Input::Restart {
            preserved: Family::Ipv4Unicast.into(),
        },
    );
    let (prefix, sessions) = (super::net::net(B), Sessions::All);
    net.input(0, Input::Withdraw { prefix, sessions });
    net.run(ms(20_000));
    assert_eq!(net.state("b", "ab"), State::Established);
    assert_eq!(held(&net), (1, 0));
    assert_eq!(gone(&net), [B]);
}

/// So many marks that generations begin anew meanwhile.
#[test]
fn marks_without_end_change_nothing() {
    let mut net = pair(|_, _| {});
    let mut marks = BytesMut::new();
    for _ in 0..4096 {
        message::write_route_refresh(&mut marks, Family::Ipv4Unicast, RouteRefresh::BEGIN);
    }
    for _ in 0..33 {
        net.inject("b", &marks);
        assert_eq!(held(&net), (2, 2));
        announce_again(&mut net, A);
        assert_eq!(held(&net), (2, 1));
    }
    mark(&mut net, RouteRefresh::END);
    assert_eq!(held(&net), (1, 0));
    assert_eq!(net.via("b", A), ["ab"]);
    for _ in 0..16 {
        net.inject("b", &marks);
    }
    mark(&mut net, RouteRefresh::END);
    assert_eq!(held(&net), (0, 0));
}

/// A neighbour's marks are worked off among its own routes, not among those of all.
#[test]
fn the_prefixes_of_a_session_are_few_however_often_they_go_and_come() {
    let mut net = pair(|_, _| {});
    for n in 0..5_000_u32 {
        let prefix = format!("20.{}.{}.0/24", n >> 8 & 255, n & 255);
        net.input(0, Input::Announce(originated(&prefix)));
        net.run(ms(2));
        let (prefix, sessions) = (super::net::net(&prefix), Sessions::All);
        net.input(0, Input::Unpin { prefix, sessions });
        net.run(ms(2));
    }
    assert_eq!(held(&net), (2, 0));
    // What is withdrawn in one go is no burden to what comes later, either.
    let many = |n: u32| format!("30.{}.{}.0/24", n >> 8 & 255, n & 255);
    (0..5_000).for_each(|n| net.input(0, Input::Announce(originated(&many(n)))));
    net.run(ms(100));
    assert_eq!(held(&net), (5_002, 0));
    for n in 0..5_000 {
        let (prefix, sessions) = (super::net::net(&many(n)), Sessions::All);
        net.input(0, Input::Unpin { prefix, sessions });
    }
    net.run(ms(100));
    assert_eq!(held(&net), (2, 0));
    let prefixes = net.routers[1].table.prefixes_of(FIRST, Families::ALL);
    assert!(prefixes.len() <= 68, "{}", prefixes.len());
    for prefix in [A, B] {
        let number = net.routers[1].table.numbers.find(&super::net::net(prefix));
        assert!(number.is_some_and(|number| prefixes.contains(&number)));
    }
}

/// RFC 7313, section 4: "an implementation MAY impose a locally configurable upper bound".
#[test]
fn a_refresh_that_never_ends_is_over_after_a_while() {
    let mut net = pair(|_, b| b.options.stale = Duration::from_secs(60));
    mark(&mut net, RouteRefresh::BEGIN);
    announce_again(&mut net, A);
    net.run(Duration::from_secs(59));
    assert_eq!(held(&net), (2, 1));
    net.run(Duration::from_secs(1));
    assert_eq!(held(&net), (1, 0));
    // The late end is none.
    mark(&mut net, RouteRefresh::END);
    assert_eq!(held(&net), (1, 0));
    assert_eq!(net.state("b", "ab"), State::Established);
}

/// RFC 7313, section 4: from one that restarts gracefully no refresh counts before its End-of-RIB marker.
#[test]
fn a_refresh_before_the_end_of_rib_marker_is_ignored() {
    let mut net = pair(|a, b| {
        graceful(&mut a.sessions[0], false);
        graceful(&mut b.sessions[0], false);
    });
    let index = net.session(1, "ab");
    net.routers[1].peers[index.index()]
        .ended_ribs
        .remove(Family::Ipv4Unicast);
    mark(&mut net, RouteRefresh::BEGIN);
    assert_eq!(held(&net), (2, 0));
    mark(&mut net, RouteRefresh::END);
    assert_eq!(held(&net), (2, 0));
}

/// What the first session of `a` sent since the start, but for KEEPALIVEs: announcements as A, withdrawals as W, the
/// marker as E, refreshes by their subtype.
fn said(net: &Net) -> String {
    let mut framer = Framer::default();
    let writes = net
        .monitored
        .iter()
        .filter_map(|(router, monitored)| match monitored {
            Monitored {
                what: Observed::Sent { bytes, .. },
                ..
            } if *router == 0 => Some(bytes),
            _ => None,
        });
    writes.for_each(|bytes| framer.push(bytes));
    let dialect = message::Dialect {
        enhanced_refresh: true,
        ..message::Dialect::plain(false)
    };
    let mut said = String::new();
    while let Ok(Some(message)) = framer.next(dialect) {
        match message {
            Message::Update(update) if update.end_of_rib.is_some() => said.push('E'),
            Message::Update(update) => {
                update.withdrawn.iter().for_each(|_| said.push('W'));
                update
                    .announced
                    .iter()
                    .flat_map(|a| &a.nlri)
                    .for_each(|_| said.push('A'));
            }
            Message::RouteRefresh(refresh) => said.push_str(&refresh.subtype.to_string()),
            _ => {}
        }
    }
    said
}

/// RFC 7313, section 4: no mark before the End-of-RIB marker, and each refresh between its own.
#[test]
fn a_refresh_asked_for_too_early_begins_after_the_end_of_rib_marker() {
    const ROUTES: usize = 5000;
    let mut net = pair(|a, b| {
        b.sessions[0].passive = true;
        a.sessions[0].monitor = true;
        a.sessions[0].timers.connect_delay = ms(1000);
        let route = |n: usize| Originated {
            attributes: OriginatedAttributes {
                med: Some(n as u32),
                ..OriginatedAttributes::default()
            },
            ..originated(&format!("20.{}.{}.0/24", n >> 8, n & 255))
        };
        a.originate = (0..ROUTES).map(route).collect();
    });
    assert!(net.run_until(ms(2000), |net| net.state("a", "ab") == State::Established));
    let mut request = BytesMut::new();
    message::write_route_refresh(&mut request, Family::Ipv4Unicast, RouteRefresh::REQUEST);
    net.inject("a", &request);
    assert!(!said(&net).contains('E'), "there is more than fits at once");
    net.run(ms(1000));
    let all = "A".repeat(ROUTES);
    assert_eq!(said(&net), format!("{all}E1{all}2"));
}

#[test]
fn announcements_wait_for_the_interval_and_withdrawals_do_not() {
    let announce = |net: &mut Net, prefix: &str| net.input(0, Input::Announce(originated(prefix)));
    let withdraw = |net: &mut Net, prefix: &str| {
        let (prefix, sessions) = (super::net::net(prefix), Sessions::All);
        net.input(0, Input::Unpin { prefix, sessions });
    };
    let mut net = pair(|a, _| {
        a.sessions[0].monitor = true;
        a.sessions[0].advertisement_interval = Duration::from_secs(30);
    });
    assert_eq!(said(&net), "AAE");
    let said = |net: &mut Net| {
        let said = said(net);
        net.monitored.clear();
        said
    };
    said(&mut net);
    const C: &str = "192.0.2.0/24";
    announce(&mut net, C);
    assert_eq!(said(&mut net), "");
    withdraw(&mut net, A);
    assert_eq!(said(&mut net), "W", "at once");
    // What came and went meanwhile is not told, nor what went and came withdrawn twice.
    withdraw(&mut net, C);
    announce(&mut net, A);
    withdraw(&mut net, A);
    announce(&mut net, A);
    assert_eq!(said(&mut net), "");
    net.run(ms(22_000));
    assert_eq!(
        said(&mut net),
        "",
        "the least that jitter leaves of the interval"
    );
    net.run(ms(8_000));
    assert_eq!(said(&mut net), "A");
    assert_eq!((net.via("b", A).len(), net.via("b", C).len()), (1, 0));
    // Another interval has begun.
    announce(&mut net, C);
    assert_eq!(said(&mut net), "");
    net.run(ms(30_000));
    assert_eq!(said(&mut net), "A");
}

/// RFC 4271, section 9.2.1.1, where one of several paths (RFC 7911) goes: it is no announcement.
#[test]
fn one_of_several_paths_is_withdrawn_at_once() {
    let family = Family::Ipv4Unicast.into();
    let mut hub = router(
        "hub",
        8075,
        1,
        vec![
            end("down", 3, 0, 64510),
            end("x", 1, 0, 64501),
            end("y", 2, 0, 64502),
        ],
    );
    hub.sessions[0].capabilities.add_path_send = family;
    hub.sessions[0].monitor = true;
    hub.sessions[0].advertisement_interval = Duration::from_secs(30);
    let x = router("x", 64501, 2, vec![end("hub", 1, 1, 8075)]);
    let y = router("y", 64502, 3, vec![end("hub", 2, 1, 8075)]);
    let mut down = router("down", 64510, 4, vec![end("hub", 3, 1, 8075)]);
    down.sessions[0].capabilities.add_path_receive = family;
    let mut net = Net::new(vec![hub, x, y, down], ms(1));
    net.start();
    net.run(ms(200));
    let announce = |net: &mut Net, router: usize| {
        net.input(router, Input::Announce(originated(A)));
        net.run(ms(10));
    };
    let paths = |net: &Net| {
        let table = net.routers[3].adj_rib_in(FIRST).expect("a session");
        table.paths(&super::net::net(A)).count()
    };
    announce(&mut net, 1);
    net.run(Duration::from_secs(40));
    announce(&mut net, 2);
    net.run(Duration::from_secs(40));
    assert_eq!(paths(&net), 2);
    // An interval begins with this one.
    net.input(1, Input::Announce(originated(B)));
    net.run(ms(10));
    let (prefix, sessions) = (super::net::net(A), Sessions::All);
    net.input(2, Input::Unpin { prefix, sessions });
    net.run(ms(10));
    assert_eq!(paths(&net), 1, "at once");
    // What is announced still waits, and a path that goes meanwhile is withdrawn, or was never told.
    announce(&mut net, 2);
    assert_eq!(paths(&net), 1);
    let (prefix, sessions) = (super::net::net(A), Sessions::All);
    net.input(1, Input::Unpin { prefix, sessions });
    net.run(ms(10));
    assert_eq!(paths(&net), 0);
    net.run(Duration::from_secs(31));
    assert_eq!(paths(&net), 1);
    let advertised = net.routers[0].adj_rib_out(FIRST).map(|out| out.len());
    assert_eq!(advertised, Some(2));
}

/// RFC 4724, section 4.2, and RFC 8538, section 4.1.
#[test]
fn a_second_restart_before_the_first_is_over_costs_the_stale_routes_without_the_n_bit() {
    for notification in [false, true] {
        let mut net = pair(|a, b| {
            graceful(&mut a.sessions[0], notification);
            graceful(&mut b.sessions[0], notification);
        });
        let preserved = Family::Ipv4Unicast.into();
        net.input(0, Input::Restart { preserved });
        assert!(net.run_until(ms(5000), |net| held(net).1 == 2));
        // It is back, and tells nothing before it heard all that `b` has.
        assert!(net.run_until(ms(5000), |net| net.state("b", "ab") == State::Established));
        assert_eq!(held(&net), (2, 2));
        net.input(0, Input::Restart { preserved });
        assert!(net.run_until(ms(5000), |net| net.state("b", "ab") != State::Established));
        let kept = if notification { 2 } else { 0 };
        assert_eq!(held(&net), (kept, kept), "N bit: {notification}");
        net.run(ms(5000));
        assert_eq!(held(&net), (2, 0));
    }
}

/// RFC 8538, section 4.1: the stale timer.
#[test]
fn stale_routes_are_kept_no_longer_than_the_stale_timer_lets_them() {
    let mut net = pair(|a, b| {
        graceful(&mut a.sessions[0], true);
        graceful(&mut b.sessions[0], true);
        b.options.stale = Duration::from_secs(30);
    });
    net.input(0, Input::Crash);
    net.run(Duration::from_secs(29));
    assert_eq!(held(&net), (2, 2));
    net.run(Duration::from_secs(2));
    assert_eq!(held(&net), (0, 0));
}

#[test]
fn prefixes_are_counted_by_family() {
    let mut a = router("a", 64500, 1, vec![end6("ab", 1, 0, 8075)]);
    let mut b = router("b", 8075, 2, vec![end6("ab", 1, 1, 64500)]);
    for router in [&mut a, &mut b] {
        // IPv4 over IPv6 next hops (RFC 8950), so that one session carries both.
        let capabilities = &mut router.sessions[0].capabilities;
        capabilities.families = Family::ALL.into_iter().collect();
        capabilities.extended_next_hop = true;
    }
    a.originate = [A, B, "2001:db8:1::/48", "2001:db8:2::/48"]
        .map(originated)
        .into();
    b.sessions[0].monitor = true;
    b.sessions[0].maximum_prefixes = Some(MaximumPrefixes {
        limit: 2,
        warn_at: 100,
        warning_only: false,
        restart_after: None,
    });
    let mut net = Net::new(vec![a, b], ms(1));
    net.start();
    net.run(ms(200));
    assert_eq!(net.state("b", "ab"), State::Established);
    assert_eq!(held(&net), (4, 0));
    net.input(0, Input::Announce(originated("2001:db8:3::/48")));
    net.run(ms(10));
    assert_eq!(net.state("b", "ab"), State::Idle);
    let status = net.routers[1].session_status(FIRST).expect("a session");
    let (_, sent) = status.notification_sent.expect("one was sent");
    assert_eq!((sent.code, sent.subcode), (6, 1));
    assert_eq!(
        sent.data[..],
        [0, 2, 1, 0, 0, 0, 2],
        "IPv6 unicast, and its limit"
    );
}

/// RFC 4271, sections 5.1.3 and 6.3: the route is ignored, and the session stays.
#[test]
fn a_route_over_ourselves_is_refused() {
    let mut net = pair(|_, _| {});
    let mut set = crate::bgp::attributes::Attributes::originated(address(1, 1));
    set.as_path = vec![64500];
    let mut out = BytesMut::new();
    let (prefix, dialect) = (super::net::net(A), message::Dialect::plain(false));
    message::write_announcements(&mut out, &set, &[prefix.into()], dialect).expect("writable");
    net.inject("b", &out);
    assert_eq!(net.state("b", "ab"), State::Established);
    let refused = net.routers[1]
        .refused(FIRST, &prefix)
        .map(|reason| &**reason);
    assert_eq!(refused, Some(OWN_NEXT_HOP));
    assert!(net.via("b", A).is_empty());
}

/// A policy that changes while routes are stale decides anew about them, but makes none of them fresh.
#[test]
fn what_is_stale_stays_so_when_policy_changes() {
    let mut net = pair(|a, b| {
        graceful(&mut a.sessions[0], false);
        graceful(&mut b.sessions[0], false);
    });
    net.input(0, Input::Crash);
    net.run(ms(10));
    assert_eq!(held(&net), (2, 2));
    for policy in [Policy::deny_all(), Policy::default()] {
        let (session, import, export) = (FIRST, Some(Arc::new(policy)), None);
        net.input(
            1,
            Input::Policy {
                session,
                import,
                export,
            },
        );
        assert_eq!(held(&net), (2, 2));
    }
    assert_eq!(net.fibs[1].len(), 2);
    // What did not come again after the restart is gone.
    let (prefix, sessions) = (super::net::net(B), Sessions::All);
    net.input(0, Input::Withdraw { prefix, sessions });
    net.input(0, Input::Start);
    assert!(net.run_until(ms(10_000), Net::all_established));
    net.run(ms(500));
    assert_eq!(held(&net), (1, 0));
}
