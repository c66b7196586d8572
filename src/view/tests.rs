//! Views of routers joined in memory, as their JSON; and that it is what the schema says.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{History, routes};
use crate::bgp::attributes::{Community, NO_EXPORT, NO_EXPORT_SUBCONFED};
use crate::bgp::family::{Families, Family};
use crate::bgp::message::{GracefulRestart, Role};
use crate::bgp::origin_validation::Vrp;
use crate::bgp::policy::{Change as PolicyChange, Match, Policy, PrefixSet, Rule, Verdict};
use crate::record::{Entry, Fact};
use crate::router::tests::bed::{end, router};
use crate::router::tests::net::{Net, ms, net};
use crate::router::tests::policy::update;
use crate::router::{
    Input, MaximumPrefixes, Originated, OriginatedAttributes, Router, RouterConfig, SessionIndex,
    Sessions,
};
use crate::time::At;

const REFUSED: &str = "203.0.113.0/24";

/// An edge that tells a route with this path behind its own AS.
fn edge(n: u8, told: &[(&str, &[u32])]) -> RouterConfig {
    let name = format!("ams-{n}");
    let mut edge = router(&format!("edge-{n}"), 8075, n, vec![end(&name, n, 1, 64500)]);
    edge.originate = told
        .iter()
        .map(|(prefix, path)| Originated {
            prefix: net(prefix),
            attributes: OriginatedAttributes {
                as_path: path.to_vec(),
                communities: vec![8075 << 16 | 8007],
                ..OriginatedAttributes::default()
            },
            sessions: Sessions::All,
        })
        .collect();
    edge
}

/// A router with two edges that tell it of the same prefixes: once the first one's path is shorter, once both are equal,
/// once it is refused.
pub(crate) fn two_edges() -> Net {
    let told: [(&str, &[u32]); 3] = [
        ("198.18.0.0/24", &[]),
        ("198.18.1.0/24", &[]),
        (REFUSED, &[65000]),
    ];
    let longer: [(&str, &[u32]); 2] = [("198.18.0.0/24", &[3356]), ("198.18.1.0/24", &[])];
    let mut pe = router(
        "pe",
        64500,
        9,
        vec![end("ams-1", 1, 0, 8075), end("ams-2", 2, 0, 8075)],
    );
    let refused = PrefixSet::from_iter([net(REFUSED)]);
    let policy = Policy::new(
        vec![Rule::reject(
            vec![Match::Prefix(Arc::new(refused))],
            "not-microsofts",
        )],
        Verdict::Accept,
    );
    for session in &mut pe.sessions {
        session.import = Arc::new(policy.clone());
    }
    let mut net = Net::new(vec![pe, edge(1, &told), edge(2, &longer)], ms(1));
    net.start();
    let done = |net: &Net| net.all_established();
    assert!(net.run_until(ms(10_000), done), "all sessions are up");
    net.run(ms(1_000));
    net
}

/// The same router with a neighbour that is told all paths, a limit of three routes from `ams-1`, of which it tells from two
/// on, and restarts that are borne with: `edge-1` has just died.
pub(crate) fn three_neighbours() -> Net {
    let family = Families::from(Family::Ipv4Unicast);
    let told: [(&str, &[u32]); 2] = [("198.18.0.0/24", &[]), ("198.18.1.0/24", &[])];
    let mut far = end("far", 3, 0, 64510);
    far.capabilities.add_path_send = family;
    far.advertisement_interval = ms(5_000);
    let sessions = vec![end("ams-1", 1, 0, 8075), end("ams-2", 2, 0, 8075), far];
    let mut pe = router("pe", 64500, 9, sessions);
    pe.sessions[0].maximum_prefixes = Some(MaximumPrefixes {
        limit: 3,
        warn_at: 60,
        warning_only: false,
        restart_after: Some(ms(60_000)),
    });
    let mut up = end("pe", 3, 1, 64500);
    up.capabilities.add_path_receive = family;
    let mut configs = vec![
        pe,
        edge(1, &told),
        edge(2, &told),
        router("far", 64510, 3, vec![up]),
    ];
    for router in [0, 1] {
        configs[router].sessions[0].capabilities.graceful_restart = Some(GracefulRestart {
            restarting: false,
            notification: false,
            time: 120,
            families: family,
            preserved: family,
        });
    }
    let mut net = Net::new(configs, ms(1));
    net.start();
    let done = |net: &Net| net.all_established();
    assert!(net.run_until(ms(10_000), done), "all sessions are up");
    net.run(ms(10_000));
    net.input(1, Input::Crash);
    net.run(ms(100));
    net
}

fn pe(net: &Net) -> &Router {
    &net.routers[net.named("pe")]
}

pub(crate) fn history(net: &Net) -> History {
    let mut history = History::default();
    for (at, fact) in &net.facts {
        let (at, fact) = (*at, fact.clone());
        history.take(&Entry { at, fact });
    }
    history
}

/// The JSON, which must be as the schema says.
fn shown(what: &str, view: impl serde::Serialize) -> String {
    let value = serde_json::to_value(view).expect("JSON");
    let validator = jsonschema::validator_for(&super::schema()).expect("a JSON Schema");
    // Each kind of view is a property of the schema's object, and the others may not be there.
    let object = json!({ what: value });
    let wrong: Vec<String> = validator
        .iter_errors(&object)
        .filter(|error| !error.instance_path().to_string().is_empty())
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    serde_json::to_string_pretty(&value).expect("JSON")
}

#[test]
fn sessions_and_one_in_full() {
    let net = two_edges();
    let (router, history, now) = (pe(&net), history(&net), net.now);
    let told = |session: super::Session| session.told(&history, now);
    let sessions: Vec<_> = super::sessions(router).into_iter().map(told).collect();
    insta::assert_snapshot!(shown("sessions", sessions));
    let session = super::session(router, SessionIndex(0), now).expect("a session");
    insta::assert_snapshot!(shown("session", session.told(&history, now)));
    assert_eq!(super::session(router, SessionIndex(2), now), None);
}

#[test]
fn the_reason_of_a_choice_is_told_at_each_candidate() {
    let net = two_edges();
    let router = pe(&net);
    for prefix in ["198.18.0.0/24", "198.18.1.0/24", REFUSED] {
        let view = super::route(router, &prefix.parse().expect("a prefix"));
        let view = view.expect("a route");
        insta::assert_snapshot!(shown("route", view));
    }
    let unknown = "192.0.2.0/24".parse().expect("a prefix");
    assert_eq!(super::route(router, &unknown), None);
}

#[test]
fn each_of_the_others_lost_by_its_own_step() {
    let prefix = "198.18.0.0/24";
    let told = |n, path: &[u32]| edge(n, &[(prefix, path)]);
    let ends = (1..=4).map(|n| end(&format!("ams-{n}"), n, 0, 8075));
    let mut pe = router("pe", 64500, 9, ends.collect());
    for (n, session) in pe.sessions.iter_mut().enumerate() {
        let preference = if n == 1 { 100 } else { 300 };
        let change = vec![PolicyChange::LocalPref(preference)];
        let rule = Rule::accept(Vec::new(), change);
        session.import = Arc::new(Policy::new(vec![rule], Verdict::Accept));
    }
    let mut net = Net::new(
        vec![
            pe,
            told(1, &[3356]),
            told(2, &[]),
            told(3, &[3356, 3356]),
            told(4, &[3356]),
        ],
        ms(1),
    );
    net.start();
    net.run(ms(10_000));
    let view = super::route(&net.routers[0], &prefix.parse().expect("a prefix")).expect("a route");
    let why = view.candidates.iter();
    let why: Vec<_> = why.map(|c| (c.session.as_str(), c.why.as_str())).collect();
    assert_eq!(
        why,
        [
            (
                "ams-1",
                "chosen over via ams-4: lower BGP identifier; over via ams-3: shorter AS path; \
                 over via ams-2: higher local preference"
            ),
            (
                "ams-4",
                "equal to via ams-1 but for the tie-break: both are used"
            ),
            ("ams-2", "lost to via ams-1: higher local preference"),
            ("ams-3", "lost to via ams-1: shorter AS path"),
        ]
    );
}

#[test]
fn stale_routes_several_paths_and_limits_are_told() {
    let net = three_neighbours();
    let (router, history, now) = (pe(&net), history(&net), net.now);
    let detail = super::session(router, SessionIndex(0), now).expect("a session");
    let detail = detail.told(&history, now);
    let stale = |session: &super::Session| (session.received, session.accepted, session.stale);
    assert_eq!(stale(&detail.session), (2, 2, 2));
    assert_eq!(detail.session.lost, 1);
    assert!(detail.session.last_lost.is_some());
    // The counts begin anew with the connection: what is stale is not warned of again.
    let maximum = detail.maximum_prefixes.expect("a limit");
    assert_eq!((maximum.limit, maximum.warn_at), (3, 2));
    assert!(!maximum.ended);
    let prefix = "198.18.0.0/24".parse().expect("a prefix");
    let route = super::route(router, &prefix).expect("a route");
    let candidates = route.candidates.iter();
    let stale: Vec<_> = candidates.map(|c| (c.session.as_str(), c.stale)).collect();
    assert_eq!(stale, [("ams-1", true), ("ams-2", false)]);
    let ids = route.advertised.iter().filter(|told| told.session == "far");
    let ids: Vec<_> = ids.map(|told| told.path_id).collect();
    assert!(ids.len() == 2 && ids.iter().all(Option::is_some), "{ids:?}");
    let told = routes::page(
        router,
        routes::Table::Advertised(SessionIndex(2)),
        &[prefix],
    );
    assert_eq!(told.len(), 2, "{told:?}");
    let used = routes::page(router, routes::Table::Used, &[prefix]);
    assert!(used[0].stale);
    shown("session", detail);
    shown("route", route);
    // The neighbour hears which path is which.
    let far = &net.routers[net.named("far")];
    let heard = super::route(far, &prefix).expect("a route");
    assert!(
        heard.candidates[0].why.contains("via pe path "),
        "{heard:?}"
    );
}

#[test]
fn a_destination_is_found_by_the_longest_prefix_around_it() {
    let net = two_edges();
    let router = pe(&net);
    let around = |text: &str| router.covering(&text.parse().expect("a prefix"));
    let prefix = |text: &str| Some(text.parse().expect("a prefix"));
    assert_eq!(around("198.18.1.77/32"), prefix("198.18.1.0/24"));
    assert_eq!(around("198.18.1.0/24"), prefix("198.18.1.0/24"));
    assert_eq!(around("198.18.0.0/23"), None);
    assert_eq!(around("2001:db8::1/128"), None);
    let edge = &net.routers[net.named("edge-1")];
    let own = edge.covering(&"198.18.0.9/32".parse().expect("a prefix"));
    assert_eq!(own, prefix("198.18.0.0/24"), "its own");
}

#[test]
fn a_route_of_ones_own_names_the_sessions_it_is_told_on() {
    let net = two_edges();
    let edge = &net.routers[net.named("edge-1")];
    let view = super::route(edge, &"198.18.0.0/24".parse().expect("a prefix"));
    let view = view.expect("a route");
    assert_eq!(view.originated_on, ["ams-1"]);
    assert_eq!(view.advertised.len(), 1);
    assert!(view.candidates.is_empty());
    shown("route", view);
}

#[test]
fn every_table_has_its_routes_and_pages_leave_out_what_has_gone() {
    let net = two_edges();
    let router = pe(&net);
    let first = SessionIndex(0);
    let texts = |table| {
        let mut prefixes = routes::prefixes(router, table);
        prefixes.sort_unstable();
        let page = routes::page(router, table, &prefixes);
        shown("routes", &page);
        let texts = page.into_iter().map(|route| route.prefix.to_string());
        texts.collect::<Vec<_>>()
    };
    let both = ["198.18.0.0/24", "198.18.1.0/24"];
    assert_eq!(texts(routes::Table::Used), both);
    assert_eq!(texts(routes::Table::Accepted(first)), both);
    assert_eq!(texts(routes::Table::Refused(first)), [REFUSED]);
    let all = [both[0], both[1], REFUSED];
    assert_eq!(texts(routes::Table::Received(first)), all);
    let gone = "192.0.2.0/24".parse().expect("a prefix");
    assert!(routes::page(router, routes::Table::Used, &[gone]).is_empty());
    let refused = routes::page(
        router,
        routes::Table::Refused(first),
        &[REFUSED.parse().expect("a prefix")],
    );
    insta::assert_snapshot!(shown("routes", refused));
}

/// A router between two neighbours: of the routes of the first, and of its own, the second is not told some.
pub(crate) fn withholding() -> Net {
    let routes: [(&str, u32, Option<u32>); 4] = [
        ("198.18.0.0/24", 8075 << 16 | 8007, None),
        ("198.18.1.0/24", NO_EXPORT, None),
        ("198.18.2.0/24", NO_EXPORT_SUBCONFED, None),
        ("198.18.3.0/24", 8075 << 16 | 8007, Some(8075)),
    ];
    let mut first = edge(1, &[("198.18.4.0/24", &[]), ("198.18.5.0/24", &[])]);
    first
        .originate
        .extend(routes.map(|(prefix, community, otc)| {
            let attributes = OriginatedAttributes {
                communities: vec![community],
                only_to_customer: otc,
                ..OriginatedAttributes::default()
            };
            Originated {
                prefix: net(prefix),
                attributes,
                sessions: Sessions::All,
            }
        }));
    let mut second = edge(2, &[]);
    second.sessions[0].capabilities.role = Some(Role::Provider);
    let sessions = vec![end("ams-1", 1, 0, 8075), end("ams-2", 2, 0, 8075)];
    let mut pe = router("pe", 64500, 9, sessions);
    pe.originate = vec![Originated {
        prefix: net("203.0.113.0/24"),
        attributes: OriginatedAttributes::default(),
        sessions: Sessions::Only(vec![SessionIndex(1)]),
    }];
    pe.sessions[1].capabilities.role = Some(Role::Customer);
    let only = |prefix: &str| Match::Prefix(Arc::new(PrefixSet::from_iter([net(prefix)])));
    let rules = vec![
        Rule::reject(vec![only("198.18.0.0/24")], "not-ours"),
        Rule::reject(vec![only("203.0.113.0/24")], "not-registered"),
        Rule::set(
            vec![only("198.18.4.0/24")],
            vec![PolicyChange::Prepend(0, 1)],
        ),
    ];
    pe.sessions[1].export = Arc::new(Policy::new(rules, Verdict::Accept));
    let mut net = Net::new(vec![pe, first, second], ms(1));
    net.start();
    assert!(net.run_until(ms(10_000), Net::all_established));
    net.run(ms(1_000));
    net
}

#[test]
fn a_route_that_is_not_told_has_its_reason() {
    let mut net = withholding();
    net.input(
        net.named("pe"),
        Input::Withdraw {
            prefix: net_of("198.18.6.0/24"),
            sessions: Sessions::Only(vec![SessionIndex(1)]),
        },
    );
    let expected = [
        ("198.18.0.0/24", "not-ours"),
        ("198.18.1.0/24", "no-export"),
        ("198.18.2.0/24", "no-export-subconfed"),
        ("198.18.3.0/24", "route-leak-otc"),
        ("198.18.4.0/24", "unwritable"),
        ("198.18.6.0/24", "withdrawn-by-hand"),
        ("203.0.113.0/24", "not-registered"),
    ];
    let router = pe(&net);
    for (prefix, reason) in expected {
        let view = super::route(router, &net_of(prefix)).expect("a route");
        assert!(view.advertised.is_empty(), "{prefix}");
        let withheld = view.withheld.iter();
        let told: Vec<_> = withheld.map(|w| (&*w.session, &*w.reason)).collect();
        // ams-1 told the route itself, which is no reason to speak of.
        assert_eq!(told, [("ams-2", reason)], "{prefix}");
        shown("route", view);
    }
    let told = super::route(router, &net_of("198.18.5.0/24")).expect("a route");
    assert!(told.withheld.is_empty() && told.advertised.len() == 1);
    // The same in a table, with nothing that was told.
    let mut prefixes = routes::prefixes(router, routes::Table::Refused(SessionIndex(1)));
    prefixes.sort_unstable();
    let page = routes::page(router, routes::Table::Refused(SessionIndex(1)), &prefixes);
    shown("routes", &page);
    let lines: Vec<_> = page
        .iter()
        .map(|route| {
            assert_eq!(route.direction, Some(routes::Direction::Export));
            let prefix = route.prefix.to_string();
            (prefix, route.from.as_deref(), route.reason.as_deref())
        })
        .collect();
    let expected = expected.map(|(prefix, reason)| {
        let learned = !matches!(prefix, "203.0.113.0/24" | "198.18.6.0/24");
        (prefix.to_owned(), learned.then_some("ams-1"), Some(reason))
    });
    assert_eq!(lines, expected);
    // A session that is down tells nobody anything, and withholds nothing.
    net.input(
        net.named("pe"),
        Input::Stop {
            session: SessionIndex(1),
            reason: "maintenance",
        },
    );
    assert!(routes::prefixes(pe(&net), routes::Table::Refused(SessionIndex(1))).is_empty());
}

fn net_of(prefix: &str) -> ipnet::IpNet {
    prefix.parse().expect("a prefix")
}

#[test]
fn the_rpki_state_names_the_vrps_that_decided() {
    let mut net = two_edges();
    let vrp = |prefix: &str, asn| Vrp {
        prefix: net_of(prefix),
        max_length: 24,
        asn,
        trust_anchor: None,
    };
    let vrps = [
        vrp("198.18.0.0/16", 8075),
        vrp("203.0.113.0/24", 64501),
        vrp("203.0.0.0/16", 64502),
    ];
    let mut policy = Policy::deny_all();
    policy.vrps = Some(Arc::new(vrps.into_iter().collect()));
    let router = net.named("pe");
    net.input(
        router,
        Input::Policy {
            session: SessionIndex(0),
            import: Some(Arc::new(policy)),
            export: None,
        },
    );
    let router = pe(&net);
    let rpki = |prefix: &str| {
        let view = super::route(router, &net_of(prefix)).expect("a route");
        let of = |name: &str| {
            let mut candidates = view.candidates.iter();
            let candidate = candidates.find(|candidate| candidate.session == name);
            Some(candidate?.rpki.as_ref()?.words())
        };
        let both = (of("ams-1"), of("ams-2"));
        shown("route", view);
        both
    };
    let valid = "valid by 198.18.0.0/16-24 AS8075".to_owned();
    assert_eq!(rpki("198.18.0.0/24"), (Some(valid), None));
    let other = "invalid-as by 203.0.0.0/16-24 AS64502, 203.0.113.0/24 AS64501";
    assert_eq!(rpki(REFUSED).0.as_deref(), Some(other));
    let table = routes::Table::Refused(SessionIndex(0));
    let page = routes::page(router, table, &[net_of(REFUSED)]);
    shown("routes", &page);
    let words = page[0].rpki.as_ref().map(super::Rpki::words);
    assert_eq!(words.as_deref(), Some(other));
}

#[test]
fn of_several_paths_each_that_is_not_told_has_its_reason() {
    let mut net = three_neighbours();
    let router = net.named("pe");
    let refuse = Policy::new(
        vec![Rule::reject(
            vec![Match::Community(
                Community::Standard(8075 << 16 | 8007).into(),
            )],
            "no-voice",
        )],
        Verdict::Accept,
    );
    net.input(
        router,
        Input::Policy {
            session: SessionIndex(2),
            import: None,
            export: Some(Arc::new(refuse)),
        },
    );
    net.run(ms(10_000));
    let view = super::route(pe(&net), &net_of("198.18.0.0/24")).expect("a route");
    let withheld = view.withheld.iter().filter(|w| w.session == "far");
    let ids: Vec<_> = withheld.map(|w| (w.path_id, w.reason.as_str())).collect();
    assert_eq!(ids.len(), 2, "{ids:?}");
    assert!(
        ids.iter()
            .all(|(id, why)| id.is_some() && *why == "no-voice")
    );
}

#[test]
fn the_history_stays_small() {
    let mut history = History::default();
    for n in 0..1000 {
        let fact = Fact::Bgp {
            router: "pe".to_owned(),
            session: "ams-1".to_owned(),
            state: "Idle".to_owned(),
            why: format!("received Cease {n}"),
        };
        let at = At::from_millis(n);
        history.take(&Entry { at, fact });
    }
    let (past, now) = (history.bgp("pe", "ams-1"), At::from_millis(1999));
    assert_eq!(past.changes(now).len(), 8);
    assert_eq!(past.last(now), Some((1.0, "received Cease 999")));
    assert!(history.bgp("pe", "ams-2").changes(now).is_empty());
}

#[test]
fn the_schema_describes_every_kind() {
    let schema = super::schema();
    let kinds = schema["properties"].as_object().expect("properties");
    for kind in ["overview", "sessions", "session", "routes", "route", "bfd"] {
        assert_ne!(kinds.get(kind), None::<&Value>, "{kind}");
    }
}

/// A route that leads nowhere is received, and not accepted.
#[test]
fn a_route_whose_next_hop_cannot_be_reached_is_refused() {
    let mut net = two_edges();
    let before = super::sessions(pe(&net)).remove(0);
    let attributes = [
        &[0x40, 1, 1, 0][..],
        &[0x40, 2, 6, 2, 1, 0, 0, 0x1f, 0x8b],
        &[0x40, 3, 4, 203, 0, 113, 77],
    ];
    net.inject("pe", &update(&[], &attributes.concat(), &[24, 192, 0, 2]));
    let now = super::sessions(pe(&net)).remove(0);
    let more = |of: fn(&super::Session) -> usize| of(&now) - of(&before);
    let counts = [
        more(|s| s.received),
        more(|s| s.accepted),
        more(|s| s.refused),
    ];
    assert_eq!(counts, [1, 0, 1]);
    let session = SessionIndex(0);
    let prefix = self::net("192.0.2.0/24");
    let tables = [
        routes::Table::Received,
        routes::Table::Accepted,
        routes::Table::Refused,
    ];
    let listed = tables.map(|of| {
        let page = routes::page(pe(&net), of(session), &[prefix]);
        let prefixes = routes::prefixes(pe(&net), of(session));
        assert_eq!(page.len(), usize::from(prefixes.contains(&prefix)));
        page.into_iter().next().map(|route| route.reason)
    });
    let reason = Some("next-hop-unreachable".to_owned());
    assert_eq!(listed, [Some(None), None, Some(reason)]);
}

/// RFC 7606, section 8: which attribute was wrong stands where the route, and the session, are looked at.
#[test]
fn what_was_malformed_is_shown() {
    const FAULT: &str = "ORIGIN: invalid value: treat-as-withdraw (RFC 7606, section 7.1)";
    let mut net = two_edges();
    let session = SessionIndex(0);
    let seen = super::session(pe(&net), session, net.now).expect("a session");
    assert_eq!((seen.malformed_updates, seen.last_malformed), (0, None));
    let attributes = [
        &[0x40, 1, 1, 9][..],
        &[0x40, 2, 6, 2, 1, 0, 0, 0x1f, 0x8b],
        &[0x40, 3, 4, 10, 9, 1, 1],
    ];
    net.inject("pe", &update(&[], &attributes.concat(), &[24, 192, 0, 2]));
    let seen = super::session(pe(&net), session, net.now).expect("a session");
    let last = seen.last_malformed.map(|last| last.why);
    assert_eq!((seen.malformed_updates, last.as_deref()), (1, Some(FAULT)));
    let prefix = self::net("192.0.2.0/24");
    let page = routes::page(pe(&net), routes::Table::Refused(session), &[prefix]);
    assert_eq!(page[0].fault.as_deref(), Some(FAULT));
    let route = super::route(pe(&net), &prefix).expect("it stays visible");
    let why = format!("refused: malformed-attribute, {FAULT}");
    assert_eq!(route.candidates[0].why, why);
}
