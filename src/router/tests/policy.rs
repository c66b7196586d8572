//! Policy at work between two routers: changed while they run, and what is refused stays visible.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::bed::router;
use super::net::{Net, ms, net};
use crate::bgp::attributes::Community;
use crate::bgp::policy::{Change, Match, Policy, Rule, Verdict};
use crate::bgp::session::State;
use crate::record::Fact;
use crate::router::{
    Input, Observed, Originated, OriginatedAttributes, RouterConfig, SessionIndex, SessionSpec,
    Sessions,
};

const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 0);
const EDGE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SESSION: SessionIndex = SessionIndex(0);
const A: &str = "198.51.100.0/24";
const B: &str = "203.0.113.0/24";
const VOICE: u32 = 8075 << 16 | 8007;

/// `peer` (AS 64500) announces A with the voice community and a MED, B without; `edge` (AS 8075) records.
pub fn pair(change: impl Fn(&mut RouterConfig, &mut RouterConfig)) -> Net {
    let spec = |local, remote, asn| SessionSpec::new("ams-1", "ams-1", local, remote, 31, asn);
    let mut peer = router("peer", 64500, 1, vec![spec(PEER, EDGE, 8075)]);
    let mut edge = router("edge", 8075, 2, vec![spec(EDGE, PEER, 64500)]);
    edge.sessions[0].record_routes = true;
    peer.originate = vec![
        originated(A, &[], &[VOICE], Some(10)),
        originated(B, &[], &[], None),
    ];
    change(&mut peer, &mut edge);
    let mut net = Net::new(vec![peer, edge], ms(1));
    net.start();
    net.run(ms(200));
    net
}

fn originated(prefix: &str, path: &[u32], communities: &[u32], med: Option<u32>) -> Originated {
    Originated {
        prefix: net(prefix),
        attributes: OriginatedAttributes {
            as_path: path.to_vec(),
            communities: communities.to_vec(),
            med,
            ..OriginatedAttributes::default()
        },
        sessions: Sessions::All,
    }
}

/// What policy made of routes, in order: reasons, or the LOCAL_PREF of accepted ones.
fn outcomes(net: &Net) -> Vec<(String, Result<u32, String>)> {
    let outcome = |fact: &Fact| match fact {
        Fact::RouteRefused { prefix, reason, .. } => {
            Some((prefix.to_string(), Err(reason.clone())))
        }
        Fact::RouteAccepted {
            prefix, local_pref, ..
        } => Some((prefix.to_string(), Ok(*local_pref))),
        _ => None,
    };
    let mut list: Vec<_> = net.facts.iter().filter_map(|(_, f)| outcome(f)).collect();
    // Within a moment the order is that of a table.
    list.sort();
    list
}

fn set(net: &mut Net, router: &str, import: Option<Policy>, export: Option<Policy>) {
    let router = net.named(router);
    net.facts.clear();
    net.input(
        router,
        Input::Policy {
            session: SESSION,
            import: import.map(Arc::new),
            export: export.map(Arc::new),
        },
    );
    net.run(ms(5));
}

fn sessions_lost(net: &Net) -> bool {
    net.facts
        .iter()
        .any(|(_, f)| matches!(f, Fact::Bgp { .. } | Fact::EndOfRib { .. }))
}

fn accepted(prefix: &str, local_pref: u32) -> (String, Result<u32, String>) {
    (prefix.to_owned(), Ok(local_pref))
}

fn refused(prefix: &str, reason: &str) -> (String, Result<u32, String>) {
    (prefix.to_owned(), Err(reason.to_owned()))
}

fn only_voice(local_pref: u32) -> Policy {
    let voice = Match::Community(Community::Standard(VOICE).into());
    let change = vec![Change::Med(None), Change::LocalPref(local_pref)];
    Policy::new(
        vec![Rule::accept(vec![voice], change)],
        Verdict::Reject("missing-community".into()),
    )
}

#[test]
fn import_policy_changes_while_the_session_lives() {
    let mut net = pair(|_, edge| edge.sessions[0].import = Arc::new(Policy::deny_all()));
    let edge = net.named("edge");
    assert_eq!(
        outcomes(&net),
        [refused(A, "deny-all"), refused(B, "deny-all")]
    );
    assert!(net.fibs[edge].is_empty());
    // Seen before policy, as they came: the MED is there.
    let table = net.routers[edge].adj_rib_in(SESSION).expect("a session");
    assert_eq!(table.len(), 2);
    assert_eq!(table.get(&super::net::net(A)).and_then(|a| a.med), Some(10));
    assert!(table.imported(&super::net::net(A)).is_none());

    set(&mut net, "edge", Some(only_voice(300)), None);
    assert!(!sessions_lost(&net));
    let now = [accepted(A, 300), refused(B, "missing-community")];
    assert_eq!(outcomes(&net), now);
    assert_eq!(net.via("edge", A), ["ams-1"]);
    assert!(net.via("edge", B).is_empty());
    let loc_rib = net.routers[edge].loc_rib();
    let used = loc_rib.get(&super::net::net(A)).expect("a route");
    assert_eq!(
        (used.attributes.med, used.attributes.local_pref),
        (None, Some(300))
    );

    // The same outcome is not told twice, another preference is.
    set(&mut net, "edge", Some(only_voice(300)), None);
    assert_eq!(outcomes(&net), []);
    set(&mut net, "edge", Some(only_voice(200)), None);
    assert_eq!(outcomes(&net), [accepted(A, 200)]);
    set(&mut net, "edge", Some(Policy::default()), None);
    assert_eq!(outcomes(&net), [accepted(A, 100), accepted(B, 100)]);
    set(&mut net, "edge", Some(Policy::deny_all()), None);
    assert!(net.fibs[edge].is_empty());
    assert_eq!(
        net.routers[edge]
            .refused(SESSION, &super::net::net(A))
            .map(|r| &**r),
        Some("deny-all")
    );
    // Nothing was received anew in all this.
    let received = |f: &Fact| matches!(f, Fact::RouteReceived { .. } | Fact::RouteWithdrawn { .. });
    assert!(!net.facts.iter().any(|(_, f)| received(f)));
}

#[test]
fn export_policy_withdraws_and_announces_what_it_says() {
    let mut net = pair(|_, _| {});
    assert_eq!(outcomes(&net), [accepted(A, 100), accepted(B, 100)]);
    let count = |net: &Net| {
        let edge = &net.routers[net.named("edge")];
        edge.adj_rib_in(SESSION).map(|table| table.len())
    };
    set(&mut net, "peer", None, Some(Policy::deny_all()));
    assert_eq!(count(&net), Some(0));
    let only_a = Policy::new(
        vec![Rule::accept(
            vec![Match::Prefix(Arc::new(
                [super::net::net(A)].into_iter().collect(),
            ))],
            vec![
                Change::Prepend(64500, 2),
                Change::Med(Some(7)),
                Change::RemoveCommunity(Community::Standard(VOICE).into()),
            ],
        )],
        Verdict::Reject("not-ours".into()),
    );
    set(&mut net, "peer", None, Some(only_a));
    assert!(!sessions_lost(&net));
    let told = net.facts.iter().find_map(|(_, fact)| match fact {
        Fact::RouteReceived {
            as_path,
            communities,
            med,
            ..
        } => Some((as_path.to_string(), communities.to_vec(), *med)),
        _ => None,
    });
    assert_eq!(
        told,
        Some(("64500 64500 64500".to_owned(), vec![], Some(7)))
    );
    assert_eq!(count(&net), Some(1));
    set(&mut net, "peer", None, Some(Policy::default()));
    assert_eq!(count(&net), Some(2));
}

#[test]
fn a_policy_set_outlives_a_crash_and_a_lost_session() {
    let mut net = pair(|_, _| {});
    set(&mut net, "edge", Some(only_voice(300)), None);
    let edge = net.named("edge");
    net.facts.clear();
    net.input(edge, Input::Crash);
    net.input(edge, Input::Start);
    net.run(ms(60_000));
    assert_eq!(net.state("edge", "ams-1"), State::Established);
    assert_eq!(
        outcomes(&net),
        [accepted(A, 300), refused(B, "missing-community")]
    );
}

#[test]
fn an_own_as_in_the_path_is_refused_and_kept() {
    let mut net = pair(|peer, _| {
        peer.originate = vec![originated(A, &[8075], &[], None)];
    });
    assert_eq!(outcomes(&net), [refused(A, "own-as-in-path")]);
    let edge = net.named("edge");
    assert_eq!(
        net.routers[edge].adj_rib_in(SESSION).map(|t| t.len()),
        Some(1)
    );
    // No policy lets it in.
    set(&mut net, "edge", Some(only_voice(300)), None);
    assert_eq!(outcomes(&net), []);
}

/// An UPDATE for A whose path is 64500 {64501,64502}.
fn with_as_set() -> Vec<u8> {
    let attributes = [
        &[0x40, 1, 1, 0][..],
        &[
            0x40, 2, 16, 2, 1, 0, 0, 0xfb, 0xf4, 1, 2, 0, 0, 0xfb, 0xf5, 0, 0, 0xfb, 0xf6,
        ],
        &[0x40, 3, 4, 192, 0, 2, 0],
        &[0xc0, 8, 4, 0x1f, 0x8b, 0x1f, 0x47],
    ]
    .concat();
    update(&[], &attributes, &[24, 198, 51, 100])
}

pub fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| (part.len() as u16).to_be_bytes();
    let body = [
        &length(withdrawn)[..],
        withdrawn,
        &length(attributes),
        attributes,
        nlri,
    ]
    .concat();
    let mut bytes = vec![0xff; 16];
    bytes.extend((19 + body.len() as u16).to_be_bytes());
    bytes.push(2);
    bytes.extend(body);
    bytes
}

#[test]
fn a_route_with_an_as_set_counts_as_withdrawn_and_stays_visible() {
    let mut net = pair(|_, _| {});
    let edge = net.named("edge");
    let prefix = super::net::net(A);
    net.facts.clear();
    net.inject("edge", &with_as_set());
    let facts: Vec<Fact> = net.facts.iter().map(|(_, f)| f.clone()).collect();
    assert!(
        matches!(&facts[..], [
            Fact::RouteWithdrawn { why, .. },
            Fact::RouteRefused { as_path, communities, reason, .. },
            Fact::MalformedUpdate(_),
            Fact::RouteCount { received: 1, .. },
        ] if why.contains("treat-as-withdraw") && &**as_path == "64500 {64501,64502}"
            && **communities == ["8075:8007"] && reason == "as-set"),
        "{facts:?}"
    );
    assert!(net.via("edge", A).is_empty());
    assert!(
        net.routers[edge]
            .adj_rib_in(SESSION)
            .is_some_and(|t| t.get(&prefix).is_none())
    );
    assert_eq!(
        net.routers[edge].refused(SESSION, &prefix).map(|r| &**r),
        Some("as-set")
    );
    // The peer withdraws it: it is told, though the table did not have it.
    net.facts.clear();
    net.inject("edge", &update(&[24, 198, 51, 100], &[], &[]));
    let facts = &net.facts;
    let withdrawn = |f: &Fact| matches!(f, Fact::RouteWithdrawn { prefix: p, .. } if *p == prefix);
    assert!(facts.len() == 1 && withdrawn(&facts[0].1), "{facts:?}");
    assert_eq!(net.routers[edge].refused(SESSION, &prefix), None);
    // So it is when the session goes instead.
    net.inject("edge", &with_as_set());
    net.facts.clear();
    let reason = "";
    net.input(
        edge,
        Input::Stop {
            session: SESSION,
            reason,
        },
    );
    assert_eq!(net.facts.iter().filter(|(_, f)| withdrawn(f)).count(), 1);
}

#[test]
fn an_as_set_of_the_neighbours_own_reaches_the_edge_as_a_refusal() {
    let mut net = pair(|peer, _| peer.originate[0].attributes.as_set = vec![64501, 64502]);
    assert_eq!(outcomes(&net), [refused(A, "as-set"), accepted(B, 100)]);
    // And goes when it is withdrawn.
    let peer = net.named("peer");
    let (prefix, sessions) = (super::net::net(A), Sessions::All);
    net.input(peer, Input::Withdraw { prefix, sessions });
    net.run(ms(5));
    let edge = net.named("edge");
    assert_eq!(net.routers[edge].refused(SESSION, &prefix), None);
}

#[test]
fn a_path_that_does_not_begin_with_the_neighbour_is_malformed() {
    let mut net = pair(|_, _| {});
    net.facts.clear();
    let attributes = [
        &[0x40, 1, 1, 0][..],
        &[0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf5],
        &[0x40, 3, 4, 192, 0, 2, 0],
    ]
    .concat();
    net.inject("edge", &update(&[], &attributes, &[24, 192, 0, 2]));
    assert_eq!(
        outcomes(&net),
        [refused("192.0.2.0/24", "malformed-attribute")]
    );
}

/// An UPDATE of 192.0.2.0/24 with this next hop, as `peer` would send it.
fn over(next_hop: [u8; 4]) -> Vec<u8> {
    let attributes = [
        &[0x40, 1, 1, 0][..],
        &[0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf4],
        &[0x40, 3, 4],
        &next_hop,
    ];
    update(&[], &attributes.concat(), &[24, 192, 0, 2])
}

#[test]
fn a_next_hop_that_cannot_be_reached_is_a_refusal_and_no_route_to_use() {
    const C: &str = "192.0.2.0/24";
    let mut net = pair(|_, _| {});
    net.facts.clear();
    net.inject("edge", &over([203, 0, 113, 77]).repeat(3));
    assert_eq!(outcomes(&net), [refused(C, "next-hop-unreachable")]);
    assert!(net.all_established() && net.via("edge", C).is_empty());
    // The same route with the neighbour as next hop is used.
    net.facts.clear();
    net.inject("edge", &over([192, 0, 2, 0]));
    assert_eq!(outcomes(&net), [accepted(C, 100)]);
    assert_eq!(net.via("edge", C), ["ams-1"]);
    // Import policy comes first: what it refuses is refused for its own reason.
    net.inject("edge", &over([203, 0, 113, 77]));
    set(&mut net, "edge", Some(Policy::deny_all()), None);
    assert!(outcomes(&net).contains(&refused(C, "deny-all")));
    set(&mut net, "edge", Some(Policy::default()), None);
    assert!(outcomes(&net).contains(&refused(C, "next-hop-unreachable")));
}

#[test]
fn a_session_can_begin_shut_down_and_stays_so_until_it_is_started() {
    let mut net = pair(|_, edge| edge.sessions[0].start_stopped = true);
    let edge = net.named("edge");
    net.run(ms(60_000));
    assert_eq!(net.state("edge", "ams-1"), State::Idle);
    net.input(edge, Input::Crash);
    net.input(edge, Input::Start);
    net.run(ms(60_000));
    assert_eq!(net.state("edge", "ams-1"), State::Idle);
    net.input(edge, Input::StartSession { session: SESSION });
    assert!(net.run_until(ms(10_000), Net::all_established));
    // Started by hand it also comes back by itself.
    net.input(edge, Input::Crash);
    net.input(edge, Input::Start);
    net.run(ms(10_000));
    assert!(net.all_established());
    let (session, reason) = (SESSION, "not provisioned");
    net.input(edge, Input::Stop { session, reason });
    net.input(edge, Input::Crash);
    net.input(edge, Input::Start);
    net.run(ms(60_000));
    assert_eq!(net.state("edge", "ams-1"), State::Idle);
}

#[test]
fn a_monitored_session_tells_its_messages_and_its_routes_before_and_after_policy() {
    let mut net = pair(|_, edge| edge.sessions[0].monitor = true);
    let told = |net: &Net| {
        let mut routes = std::collections::BTreeMap::new();
        for (router, monitored) in &net.monitored {
            assert_eq!(*router, 1, "the other one is not monitored");
            if let Observed::Route {
                nlri,
                received,
                imported,
            } = &monitored.what
            {
                let received = received.as_ref().map(|set| set.med);
                let imported = imported.as_ref().map(|set| set.med);
                routes.insert(nlri.prefix.to_string(), (received, imported));
            }
        }
        routes
    };
    let both = [
        (A.to_owned(), (Some(Some(10)), Some(Some(10)))),
        (B.to_owned(), (Some(None), Some(None))),
    ];
    assert_eq!(told(&net), both.into());
    let rule = Rule::accept(vec![Match::PrefixLength(0..=24)], vec![Change::Med(None)]);
    let policy = Policy::new(vec![rule], Verdict::Reject("too-long".into()));
    set(&mut net, "edge", Some(policy), None);
    assert_eq!(told(&net)[A], (Some(Some(10)), Some(None)));
    let states = net.monitored.iter().filter_map(|(_, m)| match &m.what {
        Observed::State(state) => Some(*state),
        _ => None,
    });
    assert_eq!(states.last(), Some(State::Established));
    let opens = net.monitored.iter().filter(|(_, m)| match &m.what {
        Observed::Received { bytes, .. } | Observed::Sent { bytes, .. } => bytes[18] == 1,
        _ => false,
    });
    assert!(opens.count() >= 2, "both OPENs are told");
}
