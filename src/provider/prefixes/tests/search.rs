//! Searches: results over anything observed are those of the naive statement, and re-validation misses nothing.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::naive::{self, Died, Said};
use super::*;
use crate::bgp::origin_validation::{Vrp, VrpTable};
use crate::provider::registries::Known;
use crate::registry::irr::Irr;
use crate::topology::{ForeignOrigin, Rpki, SameName, Weight};

/// Prefixes near each other, and some that are nobody's.
const PREFIXES: [&str; 9] = [
    "203.0.113.0/24",
    "203.0.113.0/25",
    "203.0.113.64/26",
    "203.0.112.0/23",
    "198.51.100.0/24",
    "8.8.8.0/24",
    "10.1.0.0/16",
    "192.0.0.9/32",
    "0.0.0.0/0",
];
const ASNS: [u32; 16] = [
    64500,
    64500,
    64500,
    64501,
    64502,
    64510,
    64511,
    64512,
    65534,
    65535,
    65536,
    23456,
    0,
    4_199_999_999,
    4_200_000_000,
    u32::MAX,
];
const COMMUNITIES: [&str; 6] = [
    "8075:8007",
    "8075:8007",
    "8075:8007:0",
    "rt:8075:8007",
    "8075:8008",
    "64500:1",
];

/// A route that is right more often than not.
fn some_route() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        9 => select(&ASNS[..]).prop_map(|asn| asn.to_string()),
        1 => proptest::collection::vec(select(&ASNS[..]), 1..3).prop_map(|asns| {
            let words: Vec<String> = asns.iter().map(u32::to_string).collect();
            format!("{{{}}}", words.join(","))
        }),
    ];
    let path = prop_oneof![
        1 => Just("64500".to_owned()),
        2 => proptest::collection::vec(word, 0..6).prop_map(|words| words.join(" ")),
    ];
    let communities = prop_oneof![
        2 => Just("8075:8007".to_owned()),
        1 => proptest::collection::vec(select(&COMMUNITIES[..]), 0..3).prop_map(|all| all.join(" ")),
    ];
    (path, communities).prop_map(|(path, communities)| format!("{path} | {communities}"))
}

fn some_standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        3 => Just(Standing::ACTIVE),
        1 => (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(exists, active, peering_service)| Standing {
            exists,
            active: active && exists,
            peering_service,
        }),
    ]
}

fn some_prefix() -> impl Strategy<Value = Ipv4Net> {
    select(&PREFIXES[..]).prop_map(net)
}

fn some_said() -> impl Strategy<Value = Said> {
    let routes = proptest::collection::vec((some_prefix(), select(&ASNS[..])), 0..6);
    let aut_nums = proptest::collection::vec(select(&ASNS[..]), 0..3);
    let irr = prop_oneof![
        1 => Just(None),
        1 => Just(Some(Err(Died))),
        4 => (routes, aut_nums).prop_map(|both| Some(Ok(both))),
    ];
    let vrp = (some_prefix(), 0u8..3, select(&ASNS[..]))
        .prop_map(|(prefix, more, asn)| (prefix, (prefix.prefix_len() + more).min(32), asn));
    let rpki = prop_oneof![
        1 => Just(None),
        1 => Just(Some(Err(Died))),
        4 => proptest::collection::vec(vrp, 0..5).prop_map(|vrps| Some(Ok(vrps))),
    ];
    (irr, rpki).prop_map(|(irr, rpki)| Said { irr, rpki })
}

fn some_policy() -> impl Strategy<Value = Policy> {
    let switches = (
        any::<bool>(),
        select(&[Rpki::Off, Rpki::Mark, Rpki::DropInvalid, Rpki::RequireValid][..]),
        select(&[Weight::Fail, Weight::Warn][..]),
        select(
            &[
                ForeignOrigin::WarnThenFail,
                ForeignOrigin::Warn,
                ForeignOrigin::Fail,
            ][..],
        ),
        select(&[SameName::PeerName, SameName::ResourceName][..]),
        select(&[Overlap::Global, Overlap::Service][..]),
        proptest::option::of(Just("8.0.0.0/9")),
    );
    switches.prop_map(
        |(ignore_inactive, rpki, as_set, foreign_origin, same_name, overlap, range)| Policy {
            ignore_inactive,
            rpki,
            as_set,
            foreign_origin,
            same_name,
            overlap,
            private_ranges: range.map(net).into_iter().collect(),
            ..Policy::default()
        },
    )
}

fn known<T>(said: Option<Result<Arc<T>, &Died>>) -> Option<Known<T>> {
    said.map(|said| match said {
        Ok(data) => Known::new("registry", data, At::ZERO),
        Err(Died) => Known::unavailable("registry", "it died", At::ZERO),
    })
}

/// What a registry's text says, read as a user's would be.
fn registries(said: &Said) -> Registries {
    let irr = said.irr.as_ref().map(|said| {
        said.as_ref().map(|(routes, aut_nums)| {
            let mut text = String::new();
            for (prefix, origin) in routes {
                text += &format!("route: {prefix}\norigin: AS{origin}\nsource: RIPE\n\n");
            }
            for asn in aut_nums {
                text += &format!("aut-num: AS{asn}\nas-name: N\nsource: RIPE\n\n");
            }
            Arc::new(Irr::read(&text).0)
        })
    });
    let rpki = said.rpki.as_ref().map(|said| {
        said.as_ref().map(|vrps| {
            let vrps = vrps.iter().map(|(prefix, max_length, asn)| Vrp {
                prefix: (*prefix).into(),
                max_length: *max_length,
                asn: *asn,
                trust_anchor: None,
            });
            Arc::new(vrps.collect::<VrpTable>())
        })
    });
    Registries {
        irr: known(irr),
        rpki: known(rpki),
    }
}

/// A world before anything was asked.
fn some_world() -> impl Strategy<Value = (World, Said)> {
    let fixed = (
        proptest::array::uniform4(some_standing()),
        some_policy(),
        some_said(),
        any::<bool>(),
        proptest::array::uniform4((0..2usize, 0..2usize)),
    );
    fixed.prop_map(|(standing, policy, said, public, ends)| {
        let mut world = World::new();
        world.standing = standing.to_vec();
        world.policy = policy;
        world.registries = registries(&said);
        Arc::make_mut(&mut world.topology).documentation_numbers_are_public = public;
        for (connection, (edge, router)) in world.observed.connections.iter_mut().zip(ends) {
            connection.edge = format!("{}-edge-{edge}", connection.metro);
            connection.router = format!("{}-pe-{router}", connection.metro);
        }
        for (asn, name, peer_name) in [
            (64501, "contoso", "Fabrikam"),
            (64502, "labs", "Contoso Voice"),
        ] {
            world.peer_asns.push(PeerAsn {
                asn,
                name: name.to_owned(),
                peer_name: peer_name.to_owned(),
            });
        }
        (world, said)
    })
}

/// Something that happens.
#[derive(Debug, Clone)]
enum Event {
    Route(usize, Ipv4Net, Option<String>),
    Malformed(usize, Ipv4Net),
    Standing(usize, Standing),
    Said(Box<Said>),
    Healthy(bool),
    Register(Ipv4Net, bool),
    Unregister(Ipv4Net),
    Validate(Ipv4Net),
    Activate(Ipv4Net, bool, Option<Ipv4Net>),
    Deactivate(Ipv4Net),
    Settle,
}

fn some_event() -> impl Strategy<Value = Event> {
    let place = 0..4usize;
    prop_oneof![
        8 => (place.clone(), some_prefix(), proptest::option::weighted(0.8, some_route()))
            .prop_map(|(place, prefix, text)| Event::Route(place, prefix, text)),
        1 => (place.clone(), some_prefix()).prop_map(|(place, prefix)| Event::Malformed(place, prefix)),
        1 => (place, some_standing()).prop_map(|(place, standing)| Event::Standing(place, standing)),
        1 => some_said().prop_map(|said| Event::Said(Box::new(said))),
        1 => any::<bool>().prop_map(Event::Healthy),
        4 => (some_prefix(), any::<bool>()).prop_map(|(prefix, first)| Event::Register(prefix, first)),
        1 => some_prefix().prop_map(Event::Unregister),
        1 => some_prefix().prop_map(Event::Validate),
        4 => (some_prefix(), any::<bool>(), proptest::option::weighted(0.3, some_prefix()))
            .prop_map(|(prefix, first, key)| Event::Activate(prefix, first, key)),
        1 => some_prefix().prop_map(Event::Deactivate),
        3 => Just(Event::Settle),
    ]
}

fn happen(world: &mut World, event: &Event) {
    let text = |prefix: &Ipv4Net| prefix.to_string();
    match event {
        Event::Route(place, prefix, route) => world.route(*place, &text(prefix), route.as_deref()),
        Event::Malformed(place, prefix) => {
            if let Some(seen) = world.observed.connections[*place].routes.get_mut(prefix) {
                seen.unusable = Some("malformed-attribute".to_owned());
            }
            world.act(|prefixes, now, ground| {
                prefixes.changed(now, ground, Changed::Route(*place, *prefix))
            });
        }
        Event::Standing(place, standing) => {
            world.standing[*place] = *standing;
            world.act(|prefixes, now, ground| {
                prefixes.changed(now, ground, Changed::Connection(*place))
            });
        }
        Event::Said(said) => {
            world.registries = registries(said);
            world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Registries));
        }
        Event::Healthy(healthy) => {
            world.healthy = *healthy;
            world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Health));
        }
        Event::Register(prefix, first) => {
            world.register_with(
                &text(prefix),
                if *first { "amsterdam" } else { "frankfurt" },
            );
        }
        Event::Unregister(prefix) => world.request(Request::Unregister {
            prefix: text(prefix),
        }),
        Event::Validate(prefix) => world.request(Request::Validate {
            prefix: text(prefix),
        }),
        Event::Activate(prefix, first, other) => {
            let key = other.map_or(Key::Right, |other| Key::Given(key(other)));
            world.activate(&text(prefix), if *first { "local" } else { "geo" }, key);
        }
        Event::Deactivate(prefix) => world.request(Request::Deactivate {
            prefix: text(prefix),
        }),
        Event::Settle => world.settle(),
    }
}

/// What the checks found.
fn verdict(object: &Object) -> BTreeSet<(Severity, String, Option<String>)> {
    let found = object.failures.iter();
    found
        .map(|failure| {
            (
                failure.severity,
                failure.reason.clone(),
                failure.connection.clone(),
            )
        })
        .collect()
}

fn owned(verdict: &naive::Verdict) -> BTreeSet<(Severity, String, Option<String>)> {
    let found = verdict.iter().cloned();
    found
        .map(|(severity, reason, connection)| (severity, reason.to_owned(), connection))
        .collect()
}

/// Results without the moments at which they were found.
fn results(world: &World) -> Vec<Object> {
    world
        .prefixes
        .registered()
        .chain(world.prefixes.services())
        .cloned()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn results_are_those_of_the_naive_statement(
        (world, said) in some_world(),
        routes in proptest::collection::vec((0..4usize, some_prefix(), some_route()), 0..24),
        alike in proptest::option::of((some_prefix(), some_route())),
        activations in proptest::collection::vec((some_prefix(), any::<bool>(), proptest::option::weighted(0.2, some_prefix())), 0..5),
    ) {
        let mut world = world;
        for (place, prefix, text) in &routes {
            world.route(*place, &prefix.to_string(), Some(text));
        }
        // So that some prefix often passes.
        if let Some((prefix, text)) = &alike {
            world.announce(&ALL, &prefix.to_string(), text);
        }
        for prefix in PREFIXES {
            world.register(prefix);
        }
        world.settle();
        for object in world.prefixes.registered() {
            let prefix = object.prefix.expect("registered");
            let expected = naive::registered(&world, &said, prefix, "amsterdam");
            prop_assert_eq!(verdict(object), owned(&expected), "{}", object.text);
            prop_assert_eq!(object.state, naive::state(&expected));
            prop_assert_eq!(object.key.is_some(), object.state == ValidationState::Verified);
            prop_assert_eq!(object.message.is_some(), object.state != ValidationState::Verified);
        }
        let mut earlier: Vec<(Ipv4Net, String)> = Vec::new();
        for (prefix, first, other) in &activations {
            let service = if *first { "local" } else { "geo" };
            if earlier.contains(&(*prefix, service.to_owned())) {
                continue;
            }
            let given = key(other.unwrap_or(*prefix));
            world.activate(&prefix.to_string(), service, Key::Given(given.to_uppercase()));
            world.settle();
            let issued = world.prefixes.registered().find(|object| object.prefix == Some(*prefix));
            let issued = issued.and_then(|object| object.key.clone());
            let expected = naive::service(&world, &said, *prefix, service, &given, issued.as_deref(), &earlier);
            let object = world.prefixes.services().last().expect("just activated");
            prop_assert_eq!(verdict(object), owned(&expected), "{} {}", object.text, service);
            prop_assert_eq!(object.state, naive::state(&expected));
            earlier.push((*prefix, service.to_owned()));
        }
        let activated = world.prefixes.activated().count();
        let verified = world.prefixes.services().filter(|object| object.state == ValidationState::Verified);
        prop_assert_eq!(activated, verified.count());
    }

    #[test]
    fn what_is_marked_is_all_that_a_change_concerns(
        (world, _) in some_world(),
        events in proptest::collection::vec(some_event(), 0..60),
    ) {
        let mut world = world;
        for event in &events {
            happen(&mut world, event);
        }
        happen(&mut world, &Event::Healthy(true));
        world.settle();
        let before = results(&world);
        world.facts.clear();
        world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Registries));
        world.settle();
        let after = results(&world);
        prop_assert_eq!(before.len(), after.len());
        for (one, other) in before.iter().zip(&after) {
            let result = |object: &Object| {
                let failures = object.failures.clone();
                (object.text.clone(), object.state, object.key.clone(), object.message.clone(), failures)
            };
            prop_assert_eq!(result(one), result(other));
        }
        prop_assert_eq!(world.prefixes.deadline(), None);
    }
}
