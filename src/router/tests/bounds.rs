//! Neighbours that want much for little: what a few octets of theirs may cost.

use bytes::BytesMut;

use super::bed::{end, graceful, originated, router};
use super::net::{Net, ms};
use super::policy::{pair, update};
use crate::bgp::family::{Families, Family};
use crate::bgp::message::{self, RouteRefresh};
use crate::bgp::session::State;
use crate::record::{Fact, Recorder};
use crate::router::{
    Input, MaximumPrefixes, Originated, OriginatedAttributes, RouterConfig, SessionIndex, Sessions,
    TOO_MANY_PATHS,
};

const SESSION: SessionIndex = SessionIndex(0);

/// Attributes of a first AS that is not the neighbour's, which makes routes unusable, and communities.
fn unfit(communities: u16) -> Vec<u8> {
    let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf5];
    attributes.extend([0x40, 3, 4, 192, 0, 2, 0]);
    attributes.extend([0xd0, 8]);
    attributes.extend((4 * communities).to_be_bytes());
    attributes.extend((0..communities).flat_map(|n| (0x1f8b_0000 | u32::from(n)).to_be_bytes()));
    attributes
}

fn facts(net: &Net) -> impl Iterator<Item = &Fact> {
    net.facts.iter().map(|(_, fact)| fact)
}

fn refusals(net: &Net) -> usize {
    let refused = |fact: &&Fact| matches!(fact, Fact::RouteRefused { .. });
    facts(net).filter(refused).count()
}

#[test]
fn a_refused_route_is_told_once_of_an_update_that_repeats_it() {
    let mut net = pair(|_, _| {});
    net.facts.clear();
    net.inject("edge", &update(&[], &unfit(500), &[0; 2_000]));
    assert_eq!(refusals(&net), 1);
}

#[test]
fn a_route_refused_again_and_again_is_told_once() {
    let mut net = pair(|_, _| {});
    let told = |net: &mut Net, update: &[u8]| {
        net.facts.clear();
        net.inject("edge", update);
        refusals(net)
    };
    const TWO: [u8; 4] = [8, 99, 8, 100];
    let refused = update(&[], &unfit(500), &TWO);
    assert_eq!(told(&mut net, &refused), 2);
    assert_eq!(told(&mut net, &refused.repeat(100)), 0);
    // Other words are news, for those that have them.
    assert_eq!(told(&mut net, &update(&[], &unfit(1), &TWO[..2])), 1);
    assert_eq!(told(&mut net, &refused), 1);
    // So is what was gone meanwhile.
    let withdrawn = update(&TWO, &[], &[]);
    assert_eq!(told(&mut net, &[withdrawn, refused.clone()].concat()), 2);
    // And everything to a session that begins.
    let (session, reason) = (SESSION, "");
    net.input(0, Input::Reset { session, reason });
    net.run(ms(100));
    assert!(net.run_until(ms(60_000), Net::all_established));
    assert_eq!(told(&mut net, &refused), 2);
}

#[test]
fn that_a_prefix_has_too_many_paths_is_told_once_until_one_goes() {
    let mut net = pair(|peer, edge| {
        let family = Families::from(Family::Ipv4Unicast);
        peer.sessions[0].capabilities.add_path_send = family;
        edge.sessions[0].capabilities.add_path_receive = family;
    });
    let mut crowded = |updates: &[u8]| {
        net.facts.clear();
        net.inject("edge", updates);
        let crowd = |fact: &&Fact| matches!(fact, Fact::RouteRefused { reason, .. } if reason == TOO_MANY_PATHS);
        facts(&net).filter(crowd).count()
    };
    let ids = |ids: std::ops::Range<u32>| -> Vec<u8> {
        ids.flat_map(|id| id.to_be_bytes().into_iter().chain([0]))
            .collect()
    };
    assert_eq!(crowded(&update(&[], &unfit(500), &ids(1..65))), 0);
    let more = update(&[], &unfit(500), &ids(65..365));
    assert_eq!(crowded(&more), 1);
    assert_eq!(crowded(&more.repeat(3)), 0);
    let one_goes = [update(&ids(1..2), &[], &[]), more].concat();
    assert_eq!(crowded(&one_goes), 1);
}

/// A neighbour that has restarted may have other paths than before, as path identifiers are its own affair.
#[test]
fn of_a_full_prefix_stale_paths_give_way() {
    let family = Families::from(Family::Ipv4Unicast);
    let mut net = pair(|peer, edge| {
        peer.sessions[0].capabilities.add_path_send = family;
        edge.sessions[0].capabilities.add_path_receive = family;
        graceful(&mut peer.sessions[0], false);
        graceful(&mut edge.sessions[0], false);
    });
    let paths = |net: &Net| {
        let table = net.routers[1].adj_rib_in(SESSION).expect("a session");
        let prefix = super::net::net("20.0.0.0/24");
        let stale: Vec<bool> = table.paths(&prefix).map(|path| path.stale).collect();
        (stale.len(), stale.iter().filter(|stale| **stale).count())
    };
    let announce = |net: &mut Net, ids: std::ops::Range<u32>| {
        let mut attributes = vec![
            0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf4, 0x40, 3, 4,
        ];
        attributes.extend([192, 0, 2, 0]);
        let nlri = ids.flat_map(|id| [&id.to_be_bytes()[..], &[24, 20, 0, 0]].concat());
        net.inject(
            "edge",
            &update(&[], &attributes, &nlri.collect::<Vec<u8>>()),
        );
    };
    announce(&mut net, 1..66);
    assert_eq!(paths(&net), (64, 0));
    net.input(0, Input::Restart { preserved: family });
    assert!(net.run_until(ms(5_000), |net| paths(net) == (64, 64)));
    assert!(net.run_until(ms(5_000), Net::all_established));
    for (count, stale) in [(10, 54), (64, 0), (90, 0)] {
        announce(&mut net, 1000..1000 + count);
        assert_eq!(paths(&net), (64, stale));
    }
}

#[test]
fn what_one_input_tells_is_bounded_and_all_is_known_again_without_routes() {
    let mut net = pair(|_, _| {});
    net.facts.clear();
    let updates = (0..16).flat_map(|high| {
        let nlri = (0..=255).flat_map(|low| [16, 20 + high, low]);
        update(&[], &unfit(500), &nlri.collect::<Vec<u8>>())
    });
    net.inject("edge", &updates.collect::<Vec<u8>>());
    let told: usize = facts(&net).map(Fact::weight).sum();
    assert!((1 << 20..=Recorder::SHARE + 1024).contains(&told), "{told}");
    let left_out = facts(&net).find_map(|fact| match fact {
        Fact::RoutesLeftOut { count, .. } => Some(*count),
        _ => None,
    });
    // Of each UPDATE what was wrong with it, and what became of each of its routes.
    let malformed = |fact: &&Fact| matches!(fact, Fact::MalformedUpdate(_));
    let told = refusals(&net) + facts(&net).filter(malformed).count();
    assert_eq!(left_out, Some(16 * 257 - told as u64));
    // Until all is gone nothing is told of single routes; from then on everything is.
    net.facts.clear();
    net.inject("edge", &update(&[], &unfit(1), &[8, 99]));
    assert_eq!(refusals(&net), 0);
    let (session, reason) = (SESSION, "");
    net.input(0, Input::Stop { session, reason });
    net.run(ms(100));
    let empty = |fact: &Fact| matches!(fact, Fact::RouteCount { received: 0, .. });
    assert!(facts(&net).any(empty));
    net.input(0, Input::StartSession { session });
    assert!(net.run_until(ms(60_000), Net::all_established));
    net.facts.clear();
    net.inject("edge", &update(&[], &unfit(1), &[8, 99]));
    assert_eq!(refusals(&net), 1);
}

#[test]
fn unusable_paths_of_a_prefix_are_as_few_as_usable_ones() {
    let mut net = pair(|peer, edge| {
        let family = Families::from(Family::Ipv4Unicast);
        peer.sessions[0].capabilities.add_path_send = family;
        edge.sessions[0].capabilities.add_path_receive = family;
    });
    let held = |net: &Net| net.routers[1].table.sources[0].held[Family::Ipv4Unicast];
    let before = held(&net);
    let nlri = (1..=700_u32).flat_map(|id| id.to_be_bytes().into_iter().chain([0]));
    net.inject("edge", &update(&[], &unfit(0), &nlri.collect::<Vec<u8>>()));
    assert_eq!(held(&net) - before, 64);
}

/// Marks cost what there is of their family: a neighbour announces routes once, but marks as often as it likes.
#[test]
fn marks_of_a_family_are_no_matter_of_the_other_s_routes() {
    let mut net = pair(|peer, edge| {
        for router in [peer, edge] {
            let capabilities = &mut router.sessions[0].capabilities;
            capabilities.families = Families::ALL;
            capabilities.extended_next_hop = true;
            capabilities.enhanced_route_refresh = true;
        }
    });
    let marks = |net: &mut Net, family: Family| {
        let mut marks = BytesMut::new();
        for mark in [RouteRefresh::BEGIN, RouteRefresh::END] {
            message::write_route_refresh(&mut marks, family, mark);
        }
        net.facts.clear();
        net.inject("edge", &marks);
        let marked = |fact: &&Fact| matches!(fact, Fact::RouteRefresh { .. });
        assert_eq!(facts(net).filter(marked).count(), 2);
        // What is told of an unusable route is forgotten when the routes of a session are looked through.
        net.inject("edge", &update(&[], &unfit(1), &[8, 99]));
        refusals(net)
    };
    net.inject("edge", &update(&[], &unfit(1), &[8, 99]));
    let held = |net: &mut Net| {
        let table = &mut net.routers[1].table;
        Family::ALL.map(|family| {
            let prefixes = table.prefixes_of(SESSION, family.into()).len();
            (table.sources[0].held[family], prefixes)
        })
    };
    assert_eq!(held(&mut net), [(3, 3), (0, 0)]);
    assert_eq!(marks(&mut net, Family::Ipv6Unicast), 0);
    assert_eq!(held(&mut net), [(3, 3), (0, 0)]);
    assert_eq!(marks(&mut net, Family::Ipv4Unicast), 1);
    assert_eq!(held(&mut net)[0].0, 1, "the one that came since");
}

/// As FRR counts: what is in Adj-RIB-In, stale routes included, and not what counts as withdrawn.
#[test]
fn stale_routes_count_towards_the_maximum_and_malformed_ones_do_not() {
    let family = Families::from(Family::Ipv4Unicast);
    let mut net = pair(|peer, edge| {
        graceful(&mut peer.sessions[0], false);
        graceful(&mut edge.sessions[0], false);
        edge.sessions[0].maximum_prefixes = Some(MaximumPrefixes {
            limit: 4,
            warn_at: 100,
            warning_only: false,
            restart_after: None,
        });
    });
    let announce = |net: &mut Net, prefixes: std::ops::Range<u8>| {
        let mut attributes = vec![
            0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf4, 0x40, 3, 4,
        ];
        attributes.extend([192, 0, 2, 0]);
        let nlri = prefixes.flat_map(|n| [16, 20, n]);
        net.inject(
            "edge",
            &update(&[], &attributes, &nlri.collect::<Vec<u8>>()),
        );
        net.state("edge", "ams-1")
    };
    // Two are there already. Malformed ones stay visible, and are none.
    let malformed: Vec<u8> = (0..20).flat_map(|n| [16, 30, n]).collect();
    net.inject("edge", &update(&[], &unfit(0), &malformed));
    assert_eq!(announce(&mut net, 0..2), State::Established);
    net.input(0, Input::Restart { preserved: family });
    assert!(net.run_until(ms(5_000), |net| net.state("edge", "ams-1")
        != State::Established));
    assert!(net.run_until(ms(5_000), Net::all_established));
    // The same ones again are no more; another one is, until the end of the restart is told.
    assert_eq!(announce(&mut net, 0..2), State::Established);
    assert_eq!(announce(&mut net, 2..3), State::Idle);
}

/// So many routes of 20.0.0.0/8, each with attributes of its own.
fn many(count: u32, communities: u32) -> Vec<Originated> {
    let route = |n: u32| Originated {
        attributes: OriginatedAttributes {
            med: Some(n),
            communities: (0..communities).collect(),
            ..OriginatedAttributes::default()
        },
        ..originated(&format!("20.{}.{}.0/24", n >> 8, n & 255))
    };
    (0..count).map(route).collect()
}

#[test]
fn what_is_written_at_once_is_what_there_is_room_for() {
    let mut net = pair(|peer, _| peer.originate = many(300, 500));
    let told = facts(&net).find_map(|fact| match fact {
        Fact::RouteCount {
            router, advertised, ..
        } if router == "peer" && *advertised > 0 => Some(*advertised),
        _ => None,
    });
    assert!(told.is_some_and(|told| told < 100), "{told:?}");
    net.run(ms(1_000));
    assert_eq!(net.fibs[1].len(), 300);
}

/// A hub with sessions to x and y, and these two, x graceful with 2,000 routes and y with one.
fn hub() -> Net {
    let sessions = vec![end("x", 1, 0, 64500), end("y", 2, 0, 64501)];
    let mut hub = router("hub", 8075, 1, sessions);
    let mut x: RouterConfig = router("x", 64500, 2, vec![end("hub", 1, 1, 8075)]);
    x.originate = many(2_000, 0);
    graceful(&mut hub.sessions[0], false);
    graceful(&mut x.sessions[0], false);
    let mut y = router("y", 64501, 3, vec![end("hub", 2, 1, 8075)]);
    y.originate = vec![originated("198.51.100.0/24")];
    let mut net = Net::new(vec![hub, x, y], ms(1));
    net.start();
    net.run(ms(1_000));
    net
}

/// From now on the hub may take so much more memory than it does.
fn limit(net: &mut Net, more: isize) {
    let hub = &mut net.routers[0];
    hub.sets.sweep();
    hub.config.options.memory = hub.bytes().saturating_add_signed(more);
}

#[test]
fn stale_routes_of_a_lost_session_go_before_a_session_that_is_up() {
    let mut net = hub();
    net.input(1, Input::Crash);
    net.run(ms(100));
    assert_eq!(
        (net.fibs[0].len(), net.state("hub", "x")),
        (2_001, State::Connect)
    );
    limit(&mut net, 2_000);
    for n in 0..100 {
        let route = originated(&format!("30.0.{n}.0/24"));
        net.input(2, Input::Announce(route));
    }
    net.run(ms(100));
    assert_eq!(net.state("hub", "y"), State::Established);
    assert_eq!(net.fibs[0].len(), 101);
    let status = net.routers[0].session_status(SESSION).expect("a session");
    let sent = status.notification_sent;
    assert!(sent.is_none_or(|(_, sent)| (sent.code, sent.subcode) != (6, 8)));
}

#[test]
fn prefixes_out_of_use_end_no_session() {
    let mut net = hub();
    let prefixes = || (0..3_000).map(|n| format!("30.{}.{}.0/24", n >> 8, n & 255));
    for prefix in prefixes() {
        net.input(2, Input::Announce(originated(&prefix)));
    }
    net.run(ms(100));
    for prefix in prefixes() {
        let (prefix, sessions) = (super::net::net(&prefix), Sessions::All);
        net.input(2, Input::Unpin { prefix, sessions });
    }
    net.run(ms(100));
    limit(&mut net, -1_000);
    net.input(2, Input::Announce(originated("203.0.113.0/24")));
    net.run(ms(100));
    let states = ["x", "y"].map(|session| net.state("hub", session));
    assert_eq!(states, [State::Established; 2]);
}
