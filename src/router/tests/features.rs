//! What RFCs add to a plain router: reflection, roles, several paths, limits, graceful restart and shutdown.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::BytesMut;

use super::bed::{address, end, graceful, originated, router};
use super::net::{Net, ms};
use crate::bgp::attributes::Attributes;
use crate::bgp::decision::Reason;
use crate::bgp::family::{Families, Family};
use crate::bgp::message::{self, Dialect, Nlri, Role};
use crate::bgp::session::State;
use crate::record::Fact;
use crate::router::{
    Input, MaximumPrefixes, NextHopSelf, Originated, OriginatedAttributes, Outcome, SessionIndex,
    SessionSpec, Sessions,
};

const FIRST: SessionIndex = SessionIndex(0);
const A: &str = "198.51.100.0/24";
const B: &str = "203.0.113.0/24";

/// `a` announces A and B over the only session to `b`; each end's session is changed by a function.
fn pair(change: impl Fn(&mut SessionSpec, &mut SessionSpec)) -> Net {
    let (mut one, mut other) = (end("ab", 1, 0, 8075), end("ab", 1, 1, 64500));
    other.record_routes = true;
    change(&mut one, &mut other);
    let mut a = router("a", 64500, 1, vec![one]);
    a.originate = vec![originated(A), originated(B)];
    let mut net = Net::new(vec![a, router("b", 8075, 2, vec![other])], ms(1));
    net.start();
    net.run(ms(200));
    net
}

fn refusals(net: &Net) -> Vec<String> {
    let reason = |fact: &Fact| match fact {
        Fact::RouteRefused { prefix, reason, .. } => Some(format!("{prefix} {reason}")),
        _ => None,
    };
    net.facts.iter().filter_map(|(_, f)| reason(f)).collect()
}

fn stale(net: &Net) -> usize {
    let table = net.routers[1].adj_rib_in(FIRST).expect("a session");
    table.iter().filter(|route| route.stale).count()
}

#[test]
fn a_neighbour_that_restarts_keeps_its_routes_until_it_told_all_that_is_left() {
    let mut net = pair(|a, b| {
        graceful(a, false);
        graceful(b, false);
    });
    assert_eq!(net.fibs[1].len(), 2);
    net.fib_log.clear();
    let preserved = Families::from(Family::Ipv4Unicast);
    // One of the two prefixes is not announced any more.
    let (prefix, sessions) = (super::net::net(B), Sessions::All);
    net.input(0, Input::Restart { preserved });
    net.input(0, Input::Unpin { prefix, sessions });
    assert!(net.run_until(ms(20_000), |net| {
        net.all_established() && net.fibs[1].len() == 1
    }));
    assert_eq!(stale(&net), 0);
    let removed = net.fib_log.iter().filter(|(_, router, _)| *router == 1);
    assert_eq!(removed.count(), 1, "{:?}", net.fib_log);
}

#[test]
fn what_is_kept_of_a_neighbour_is_void_when_it_does_not_come_back() {
    let mut net = pair(|a, b| {
        graceful(a, false);
        graceful(b, false);
    });
    net.input(0, Input::Crash);
    net.run(ms(100));
    assert_eq!((net.fibs[1].len(), stale(&net)), (2, 2));
    net.run(Duration::from_secs(130));
    assert_eq!((net.fibs[1].len(), stale(&net)), (0, 0));
}

#[test]
fn a_restarted_router_tells_nothing_before_it_heard_everything() {
    // `b` restarts; `a` sends it everything again, and only then it chooses.
    let mut net = pair(|a, b| {
        graceful(a, false);
        graceful(b, false);
    });
    let preserved = Families::from(Family::Ipv4Unicast);
    net.fib_log.clear();
    net.input(1, Input::Restart { preserved });
    assert_eq!(net.fibs[1].len(), 2, "the kernel goes on");
    assert!(net.routers[1].loc_rib().is_empty());
    assert!(net.run_until(ms(20_000), |net| net.routers[1].loc_rib().len() == 2));
    assert_eq!(net.fibs[1].len(), 2);
}

#[test]
fn a_graceful_shutdown_lets_both_ends_prefer_others_before_the_session_goes() {
    let mut net = pair(|_, b| b.honour_graceful_shutdown = true);
    let (session, after) = (FIRST, Duration::from_secs(10));
    let reason = "maintenance";
    net.input(
        0,
        Input::GracefulShutdown {
            session,
            after,
            reason,
        },
    );
    net.run(ms(100));
    let preference = |net: &Net| {
        let used = net.routers[1].loc_rib().get(&super::net::net(A));
        used.map(|route| route.attributes.local_pref)
    };
    assert_eq!(preference(&net), Some(Some(0)));
    assert!(net.all_established());
    net.run(after);
    assert_eq!(net.state("a", "ab"), State::Idle);
    assert_eq!(preference(&net), None);
    net.input(0, Input::StartSession { session });
    assert!(net.run_until(ms(20_000), |net| preference(net) == Some(None)));
}

#[test]
fn a_leak_is_refused_and_what_comes_from_a_provider_goes_to_no_peer() {
    // a -> b: `b` is the customer; b -> c: peers.
    let roles = |ours, theirs| {
        move |mut spec: SessionSpec| {
            spec.capabilities.role = Some(ours);
            let _: Role = theirs;
            spec
        }
    };
    let provider = roles(Role::Provider, Role::Customer)(end("ab", 1, 0, 64501));
    let customer = roles(Role::Customer, Role::Provider)(end("ab", 1, 1, 64500));
    let peer = roles(Role::Peer, Role::Peer)(end("bc", 2, 0, 64502));
    let mut other = roles(Role::Peer, Role::Peer)(end("bc", 2, 1, 64501));
    other.record_routes = true;
    let mut a = router("a", 64500, 1, vec![provider]);
    a.originate = vec![originated(A)];
    let mut b = router("b", 64501, 2, vec![customer, peer]);
    b.originate = vec![originated(B)];
    let c = router("c", 64502, 3, vec![other]);
    let mut net = Net::new(vec![a, b, c], ms(1));
    net.start();
    net.run(ms(500));
    assert!(net.all_established());
    assert_eq!(net.via("b", A), ["ab"]);
    assert!(net.via("c", A).is_empty());
    let used = net.routers[2].loc_rib();
    let set = used.get(&super::net::net(B)).expect("b's own route");
    assert_eq!(set.attributes.only_to_customer, Some(64501));
}

/// RFC 7947, section 2.2.2.1: a route server does not put its own AS into AS paths.
#[test]
fn routes_without_the_neighbours_as_are_taken_where_it_is_not_enforced() {
    for (enforce, taken) in [(false, 1), (true, 0)] {
        let mut client = end("rs", 1, 1, 64500);
        client.enforce_first_as = enforce;
        let server = router("server", 64500, 1, vec![end("rs", 1, 0, 64501)]);
        let client = router("client", 64501, 2, vec![client]);
        let mut net = Net::new(vec![server, client], ms(1));
        net.start();
        net.run(ms(500));
        assert!(net.all_established());
        // 20.0.0.0/24 of AS 64999.
        let mut update = vec![0xff; 16];
        update.extend([0, 47, 2, 0, 0, 0, 20]);
        update.extend([0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfd, 0xe7]);
        update.extend([0x40, 3, 4, 10, 9, 1, 0, 24, 20, 0, 0]);
        net.inject("client", &update);
        assert!(net.all_established());
        assert_eq!(net.routers[1].loc_rib().len(), taken, "{enforce}");
    }
}

#[test]
fn a_reflector_tells_clients_of_each_other_and_loops_end() {
    let client = |mut spec: SessionSpec| {
        spec.reflector_client = true;
        spec
    };
    let reflector = vec![
        client(end("x", 1, 0, 64500)),
        end("y", 2, 0, 64500),
        end("z", 3, 0, 64500),
    ];
    let mut x = router("x", 64500, 2, vec![end("r", 1, 1, 64500)]);
    x.originate = vec![originated(A)];
    let mut y = router("y", 64500, 3, vec![end("r", 2, 1, 64500)]);
    y.originate = vec![originated(B)];
    let z = router("z", 64500, 4, vec![end("r", 3, 1, 64500)]);
    let mut net = Net::new(vec![router("r", 64500, 1, reflector), x, y, z], ms(1));
    net.start();
    net.run(ms(500));
    assert!(net.all_established());
    let heard = |name: &str, prefix: &str| {
        let table = net.routers[net.named(name)].adj_rib_in(FIRST);
        table.and_then(|table| table.get(&super::net::net(prefix)).cloned())
    };
    // The client's route goes to all, a non-client's to the client only.
    let reflected = heard("z", A).expect("reflected");
    assert_eq!(reflected.originator_id, Some(Ipv4Addr::new(10, 0, 0, 2)));
    assert_eq!(reflected.cluster_list, [Ipv4Addr::new(10, 0, 0, 1)]);
    assert!(heard("x", B).is_some());
    assert!(heard("z", B).is_none());
}

/// RFC 4456, section 8: a router's own routes come back to it by other ways than its AS path.
#[test]
fn what_was_reflected_back_is_refused_for_what_it_is() {
    let mut to_r = end("r", 1, 1, 64500);
    to_r.record_routes = true;
    let r = router("r", 64500, 1, vec![end("x", 1, 0, 64500)]);
    let x = router("x", 64500, 2, vec![to_r]);
    let mut net = Net::new(vec![r, x], ms(1));
    net.start();
    net.run(ms(500));
    assert!(net.all_established());
    let reflected = |originator: u8, cluster: u8| {
        let set = Attributes {
            next_hop: address(1, 0).into(),
            local_pref: Some(100),
            originator_id: Some(Ipv4Addr::new(10, 0, 0, originator)),
            cluster_list: vec![Ipv4Addr::new(10, 0, 0, cluster)],
            ..Attributes::originated(address(1, 0))
        };
        let mut update = BytesMut::new();
        let nlri = [Nlri::from(super::net::net(A))];
        message::write_announcements(&mut update, &set, &nlri, Dialect::plain(true)).expect("fits");
        update
    };
    for (originator, cluster, reason) in [
        (2, 1, "own-originator-id"),
        (2, 2, "own-originator-id"),
        (3, 2, "own-cluster-in-list"),
    ] {
        net.facts.clear();
        net.inject("x", &reflected(originator, cluster));
        assert_eq!(refusals(&net), [format!("{A} {reason}")]);
        let withdrawn = [&[0xff; 16][..], &[0, 27, 2, 0, 4, 24, 198, 51, 100, 0, 0]].concat();
        net.inject("x", &withdrawn);
    }
    net.facts.clear();
    net.inject("x", &reflected(3, 1));
    assert_eq!(refusals(&net), [""; 0]);
    assert_eq!(net.via("x", A), ["r"]);
}

#[test]
fn a_reflector_in_the_path_of_packets_is_the_next_hop() {
    for (next_hop_self, reachable) in [(NextHopSelf::External, false), (NextHopSelf::All, true)] {
        let client = |name: &str, link| {
            let mut spec = end(name, link, 0, 64500);
            (spec.reflector_client, spec.next_hop_self) = (true, next_hop_self);
            spec
        };
        let hub = router("r", 64500, 1, vec![client("x", 1), client("z", 2)]);
        let mut x = router("x", 64500, 2, vec![end("r", 1, 1, 64500)]);
        x.originate = vec![originated(A)];
        let z = router("z", 64500, 3, vec![end("r", 2, 1, 64500)]);
        let mut net = Net::new(vec![hub, x, z], ms(1));
        net.start();
        net.run(ms(500));
        assert_eq!(!net.via("z", A).is_empty(), reachable, "{next_hop_self:?}");
    }
}

#[test]
fn one_prefix_too_many_ends_the_session_and_it_comes_back_after_a_rest() {
    let mut net = pair(|_, b| {
        b.maximum_prefixes = Some(MaximumPrefixes {
            limit: 2,
            warn_at: 50,
            warning_only: false,
            restart_after: Some(Duration::from_secs(30)),
        });
    });
    let told = |net: &Net| {
        let told = |fact: &Fact| match fact {
            Fact::MaximumPrefixes { received, .. } => Some(*received),
            _ => None,
        };
        let told = net.facts.iter().filter_map(|(_, f)| told(f));
        told.collect::<Vec<u32>>()
    };
    assert_eq!(told(&net), [2]);
    net.input(0, Input::Announce(originated("192.0.2.0/24")));
    net.run(ms(10));
    assert_eq!(told(&net), [2, 3]);
    assert!(net.fibs[1].is_empty());
    let why = net.facts.iter().any(|(_, f)| {
        matches!(f, Fact::Bgp { router, why, .. } if router == "a" && why.contains("maximum number of prefixes"))
    });
    assert!(why, "{:?}", net.facts);
    let (prefix, sessions) = (super::net::net("192.0.2.0/24"), Sessions::All);
    net.input(0, Input::Unpin { prefix, sessions });
    net.run(Duration::from_secs(20));
    assert_ne!(net.state("b", "ab"), State::Established);
    assert!(net.run_until(Duration::from_secs(60), |net| net.fibs[1].len() == 2));
}

#[test]
fn a_session_ended_for_good_is_started_by_hand_and_one_that_is_only_warned_goes_on() {
    let limited = |warning_only| {
        let maximum = MaximumPrefixes {
            limit: 2,
            warn_at: 100,
            warning_only,
            restart_after: None,
        };
        let mut net = pair(|_, b| b.maximum_prefixes = Some(maximum));
        net.input(0, Input::Announce(originated("192.0.2.0/24")));
        net.run(Duration::from_secs(3600));
        net
    };
    let told = |net: &Net| {
        let told = |fact: &Fact| matches!(fact, Fact::MaximumPrefixes { .. });
        net.facts.iter().filter(|(_, fact)| told(fact)).count()
    };
    let warned = limited(true);
    assert_eq!(warned.state("b", "ab"), State::Established);
    assert_eq!((warned.fibs[1].len(), told(&warned)), (3, 2));

    let mut ended = limited(false);
    assert_eq!(ended.state("b", "ab"), State::Idle, "for an hour");
    let (prefix, sessions) = (super::net::net("192.0.2.0/24"), Sessions::All);
    ended.input(0, Input::Unpin { prefix, sessions });
    ended.input(1, Input::StartSession { session: FIRST });
    let back = ended.run_until(Duration::from_secs(10), |net| net.fibs[1].len() == 2);
    assert!(back, "{:?}", ended.state("b", "ab"));
}

#[test]
fn whoever_takes_too_much_memory_loses_its_session_and_nobody_else_does() {
    let mut hub = router(
        "hub",
        8075,
        1,
        vec![end("x", 1, 0, 64500), end("y", 2, 0, 64501)],
    );
    hub.options.memory = 100_000;
    let mut x = router("x", 64500, 2, vec![end("hub", 1, 1, 8075)]);
    x.originate = (0..5_000_u32)
        .map(|n| Originated {
            attributes: OriginatedAttributes {
                med: Some(n),
                ..OriginatedAttributes::default()
            },
            ..originated(&format!("20.{}.{}.0/24", n >> 8, n & 255))
        })
        .collect();
    let mut y = router("y", 64501, 3, vec![end("hub", 2, 1, 8075)]);
    y.originate = vec![originated(A)];
    let mut net = Net::new(vec![hub, x, y], ms(1));
    net.start();
    net.run(Duration::from_secs(10));
    assert_eq!(net.via("hub", A), ["y"]);
    assert_eq!(net.fibs[0].len(), 1);
    assert_eq!(net.state("hub", "y"), State::Established);
    assert_ne!(net.state("hub", "x"), State::Established);
}

#[test]
fn what_is_told_to_many_takes_memory_too() {
    let ended = |listeners: u8| {
        let mut sessions = vec![end("x", 1, 0, 64500)];
        let mut all = Vec::new();
        for n in 0..listeners {
            sessions.push(end(&format!("l{n}"), 10 + n, 0, 64510));
            let hub = end("hub", 10 + n, 1, 8075);
            all.push(router(&format!("l{n}"), 64510, 10 + n, vec![hub]));
        }
        let mut hub = router("hub", 8075, 1, sessions);
        hub.options.memory = 600_000;
        let mut x = router("x", 64500, 2, vec![end("hub", 1, 1, 8075)]);
        let prefix = |n: u32| format!("20.{}.{}.0/24", n >> 8, n & 255);
        x.originate = (0..5_000).map(|n| originated(&prefix(n))).collect();
        let mut net = Net::new([hub, x].into_iter().chain(all).collect(), ms(1));
        net.start();
        net.run(Duration::from_secs(10));
        for n in 0..listeners {
            assert_eq!(net.state("hub", &format!("l{n}")), State::Established);
        }
        net.state("hub", "x") != State::Established
    };
    assert_eq!([1, 8].map(ended), [false, true]);
}

#[test]
fn several_paths_of_a_prefix_are_told_where_both_ends_want_them() {
    let family = Families::from(Family::Ipv4Unicast);
    let mut down = end("down", 3, 0, 64510);
    down.capabilities.add_path_send = family;
    let mut up = end("hub", 3, 1, 64500);
    up.capabilities.add_path_receive = family;
    let hub = router(
        "hub",
        64500,
        1,
        vec![end("x", 1, 0, 64501), end("y", 2, 0, 64502), down],
    );
    let mut x = router("x", 64501, 2, vec![end("hub", 1, 1, 64500)]);
    let mut y = router("y", 64502, 3, vec![end("hub", 2, 1, 64500)]);
    x.originate = vec![originated(A)];
    y.originate = vec![originated(A)];
    let far = router("far", 64510, 4, vec![up]);
    let mut net = Net::new(vec![hub, x, y, far], ms(1));
    net.start();
    net.run(ms(500));
    assert!(net.all_established());
    let paths = |net: &Net| {
        let table = net.routers[3].adj_rib_in(FIRST).expect("a session");
        let mut paths: Vec<Vec<u32>> = table
            .paths(&super::net::net(A))
            .filter_map(|route| Some(route.attributes?.as_path.clone()))
            .collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(&net), [vec![64500, 64501], vec![64500, 64502]]);
    let (prefix, sessions) = (super::net::net(A), Sessions::All);
    net.input(1, Input::Withdraw { prefix, sessions });
    net.run(ms(10));
    assert_eq!(paths(&net), [vec![64500, 64502]]);
    assert_eq!(refusals(&net), Vec::<String>::new());
}

#[test]
fn of_two_paths_of_one_neighbour_the_lower_identifier_wins_in_either_order() {
    for order in [[1, 2], [2, 1]] {
        let mut up = end("hub", 1, 1, 64500);
        up.capabilities.add_path_receive = Family::Ipv4Unicast.into();
        let mut down = end("far", 1, 0, 64510);
        down.capabilities.add_path_send = Family::Ipv4Unicast.into();
        let hub = router("hub", 64500, 1, vec![down]);
        let far = router("far", 64510, 2, vec![up]);
        let mut net = Net::new(vec![hub, far], ms(1));
        net.start();
        net.run(ms(200));
        let status = net.routers[1].session_status(FIRST).expect("a session");
        let dialect = status.negotiated.expect("up").dialect;
        let prefix = super::net::net(A);
        for path_id in order {
            let mut set = Attributes::originated(address(1, 0));
            set.as_path = vec![64500, 64500 + path_id];
            // As the neighbour writes it.
            let dialect = Dialect {
                add_path_send: dialect.add_path_receive,
                ..dialect
            };
            let mut out = BytesMut::new();
            let nlri = [Nlri { prefix, path_id }];
            message::write_announcements(&mut out, &set, &nlri, dialect).expect("writable");
            net.inject("far", &out);
        }
        let explained = net.routers[1].explain(&prefix);
        let outcomes: Vec<_> = explained
            .iter()
            .map(|path| (path.path_id, path.outcome))
            .collect();
        let reason = Reason::PathId;
        assert_eq!(
            outcomes,
            [(1, Outcome::Best(reason)), (2, Outcome::Equal(reason))],
            "{order:?}"
        );
    }
}

#[test]
fn advertisements_keep_their_distance() {
    let mut net = pair(|a, _| a.advertisement_interval = Duration::from_secs(30));
    assert_eq!(net.fibs[1].len(), 2);
    net.input(0, Input::Announce(originated("192.0.2.0/24")));
    net.run(ms(1_000));
    assert_eq!(net.fibs[1].len(), 2);
    assert!(net.run_until(Duration::from_secs(31), |net| net.fibs[1].len() == 3));
}

/// Also where the neighbour hears nothing of it.
#[test]
fn a_connection_that_is_not_taken_is_a_fact() {
    let mut net = pair(|_, _| {});
    net.facts.clear();
    let session = FIRST;
    net.input(
        0,
        Input::Stop {
            session,
            reason: "",
        },
    );
    let refused = |net: &Net| -> Vec<(u64, String)> {
        let facts = net.facts.iter().filter_map(|(_, fact)| match fact {
            Fact::ConnectionRefused(told) => {
                Some((told.router.as_str(), told.count, told.why.clone()))
            }
            _ => None,
        });
        let own = facts.filter(|(router, ..)| *router == "a");
        own.map(|(_, count, why)| (count, why)).collect()
    };
    assert_eq!(refused(&net), []);
    assert!(net.run_until(ms(30_000), |net| !refused(net).is_empty()));
    assert_eq!(refused(&net), [(1, "stopped".to_owned())]);
}
