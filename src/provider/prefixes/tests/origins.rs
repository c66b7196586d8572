//! What registries decide: the IRR, the RPKI, and whose origin a route may have.

use super::*;
use crate::bgp::origin_validation::{Vrp, VrpTable};
use crate::provider::registries::Known;
use crate::registry::irr::Irr;

const PREFIX: &str = "203.0.113.0/24";

fn irr(text: &str) -> Option<Known<Irr>> {
    let (irr, wrong) = Irr::read(text);
    assert!(wrong.is_empty(), "{wrong:?}");
    Some(Known::new("contoso.rpsl", Arc::new(irr), At::ZERO))
}

fn rpki(vrps: &[(&str, u8, u32)]) -> Option<Known<VrpTable>> {
    let vrps = vrps.iter().map(|(prefix, max_length, asn)| Vrp {
        prefix: prefix.parse().expect(prefix),
        max_length: *max_length,
        asn: *asn,
        trust_anchor: None,
    });
    Some(Known::new(
        "contoso.vrps.json",
        Arc::new(vrps.collect()),
        At::ZERO,
    ))
}

/// A prefix registered and activated, with one route on all sessions.
fn judged(mut world: World, path: &str) -> (World, ValidationState, ValidationState) {
    world.announce(&ALL, PREFIX, &format!("{path} | 8075:8007"));
    world.register(PREFIX);
    world.activate(PREFIX, "local", Key::Right);
    world.settle();
    let (registered, service) = (world.registered(PREFIX).state, world.service(PREFIX).state);
    (world, registered, service)
}

const AUT_NUM: &str = "aut-num: AS64500\nas-name: CONTOSO\nsource: RIPE\n";
const ROUTE: &str = "route: 203.0.113.0/24\norigin: AS64500\nsource: RIPE\n";
const OTHER_ROUTE: &str = "route: 198.51.100.0/24\norigin: AS64500\nsource: RADB\n";
const COVERING: &str = "route: 203.0.112.0/23\norigin: AS64501\nsource: RADB\n";

#[test]
fn the_origin_must_be_in_a_registry_and_the_route_should_be() {
    for (objects, failed, warned) in [
        (&[AUT_NUM, ROUTE][..], false, false),
        (&[ROUTE], false, false),
        (&[AUT_NUM], false, true),
        (&[OTHER_ROUTE], false, true),
        (&[COVERING], true, false),
        (&[], true, false),
    ] {
        let mut world = World::new();
        world.registries.irr = irr(&objects.join("\n"));
        world.registries.rpki = rpki(&[("203.0.113.0/24", 24, 64500)]);
        let (world, registered, service) = judged(world, "64500");
        let object = world.registered(PREFIX);
        let fails: &[&str] = if failed {
            &["origin-not-in-registry"]
        } else {
            &[]
        };
        let warns: &[&str] = if warned { &["no-route-object"] } else { &[] };
        assert_eq!(words(object, Severity::Fail), fails, "{objects:?}");
        assert_eq!(words(object, Severity::Warn), warns, "{objects:?}");
        assert_eq!(words(object, Severity::Unchecked), [""; 0], "{objects:?}");
        let expected = if failed {
            ValidationState::Failed
        } else {
            ValidationState::Verified
        };
        assert_eq!((registered, service), (expected, expected), "{objects:?}");
        if objects.contains(&COVERING) {
            let nearest = object.failures[0].nearest.as_deref();
            assert_eq!(
                nearest,
                Some("route object 203.0.112.0/23 origin AS64501 (RADB)")
            );
        }
    }
}

#[test]
fn the_rpki_decides_as_the_switch_says() {
    use topology::Rpki::{DropInvalid, Mark, Off, RequireValid};
    let valid = ("203.0.113.0/24", 24, 64500);
    let covering = ("203.0.0.0/16", 24, 64500);
    let longer = ("203.0.0.0/16", 23, 64500);
    let another = ("203.0.113.0/24", 24, 64501);
    let nobody = ("203.0.113.0/24", 32, 0);
    let inside = ("203.0.113.0/25", 25, 64500);
    for (vrps, state) in [
        (&[valid][..], "valid"),
        (&[covering], "valid"),
        (&[another, valid], "valid"),
        (&[longer], "invalid"),
        (&[another], "invalid"),
        (&[nobody], "invalid"),
        (&[inside], "not-found"),
        (&[], "not-found"),
    ] {
        for switch in [Off, Mark, DropInvalid, RequireValid] {
            let mut world = World::new();
            world.policy.rpki = switch;
            world.registries.irr = irr(ROUTE);
            world.registries.rpki = rpki(vrps);
            let (world, registered, _) = judged(world, "64500");
            let object = world.registered(PREFIX);
            let (fails, warns): (&[&str], &[&str]) = match (state, switch) {
                ("valid", _) | (_, Off) => (&[], &[]),
                ("invalid", Mark) => (&[], &["rpki-invalid"]),
                ("invalid", _) => (&["rpki-invalid"], &[]),
                (_, RequireValid) => (&["rpki-not-found"], &[]),
                _ => (&[], &["rpki-not-found"]),
            };
            assert_eq!(words(object, Severity::Fail), fails, "{vrps:?} {switch:?}");
            assert_eq!(words(object, Severity::Warn), warns, "{vrps:?} {switch:?}");
            assert_eq!(registered == ValidationState::Verified, fails.is_empty());
            let evident = |line: &String| line.starts_with("VRP 203.0");
            let invalid = object
                .failures
                .iter()
                .find(|failure| failure.reason == "rpki-invalid");
            assert!(
                invalid.is_none_or(|failure| failure.evidence.iter().any(evident)),
                "{invalid:#?}"
            );
        }
    }
}

#[test]
fn what_is_too_long_for_its_roa_is_told_how_long_it_may_be() {
    let mut world = World::new();
    world.registries.rpki = rpki(&[("203.0.112.0/22", 23, 64500)]);
    let (world, _, _) = judged(world, "64500");
    let failure = &world.registered(PREFIX).failures[0];
    assert_eq!(
        failure.nearest.as_deref(),
        Some("VRP 203.0.112.0/22-23 AS64500 allows up to /23")
    );
}

#[test]
fn registries_that_are_not_configured_are_told_as_unchecked() {
    let (mut world, registered, service) = judged(World::new(), "64500");
    assert_eq!(
        (registered, service),
        (ValidationState::Verified, ValidationState::Verified)
    );
    let unchecked: Vec<(&str, &str)> = world
        .registered(PREFIX)
        .failures
        .iter()
        .map(|failure| (failure.reason.as_str(), failure.check.as_str()))
        .collect();
    assert_eq!(
        unchecked,
        [
            ("registry-not-configured", "V-02"),
            ("registry-not-configured", "E-21")
        ]
    );
    world.policy.rpki = topology::Rpki::Off;
    world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Registries));
    world.settle();
    assert_eq!(world.registered(PREFIX).failures.len(), 1);
}

#[test]
fn a_registry_that_died_leaves_new_prefixes_unknown_and_takes_nothing_back() {
    let mut world = World::new();
    world.registries.irr = irr(ROUTE);
    let (mut world, registered, _) = judged(world, "64500");
    assert_eq!(registered, ValidationState::Verified);
    world.registries.irr = Some(Known::unavailable(
        "127.0.0.1:43",
        "connection refused",
        At::ZERO,
    ));
    world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Registries));
    world.announce(&ALL, "198.51.100.0/24", GOOD);
    world.register("198.51.100.0/24");
    assert_eq!(world.judged(PREFIX).0, ValidationState::Verified);
    assert_eq!(world.service(PREFIX).state, ValidationState::Verified);
    assert_eq!(
        world.judged("198.51.100.0/24"),
        (ValidationState::Unknown, vec![])
    );
    let object = world.registered("198.51.100.0/24");
    assert!(object.key.is_none());
    let message = object.message.clone().expect("it is not verified");
    assert_eq!(
        (message.heading.as_str(), message.documented),
        ("Routing registry can't be read", false)
    );
    assert!(
        object.failures[0]
            .evidence
            .iter()
            .any(|line| line.contains("connection refused"))
    );
    // What fails, fails all the same.
    world.announce(&[AMS_1], "198.51.100.0/24", "64500 | ");
    assert_eq!(world.judged("198.51.100.0/24").0, ValidationState::Failed);
    world.announce(&[AMS_1], "198.51.100.0/24", GOOD);
    world.registries.irr = irr(OTHER_ROUTE);
    world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Registries));
    assert_eq!(world.judged("198.51.100.0/24").0, ValidationState::Verified);
    // The first one has a route object no more.
    assert_eq!(
        words(world.registered(PREFIX), Severity::Warn),
        ["no-route-object"]
    );
}

#[test]
fn without_the_rpki_nothing_is_valid_and_nothing_invalid() {
    for (switch, state) in [
        (topology::Rpki::DropInvalid, ValidationState::Verified),
        (topology::Rpki::RequireValid, ValidationState::Failed),
    ] {
        let mut world = World::new();
        world.policy.rpki = switch;
        world.registries.rpki = Some(Known::unavailable("127.0.0.1:3323", "expired", At::ZERO));
        let (world, registered, _) = judged(world, "64500");
        assert_eq!(registered, state, "{switch:?}");
        let told = world
            .registered(PREFIX)
            .failures
            .iter()
            .find(|failure| failure.reason == "registry-unavailable");
        assert_eq!(told.map(|failure| failure.check.as_str()), Some("E-21"));
    }
}

#[test]
fn an_origin_of_another_as_must_belong_to_a_peer_asn_of_the_same_name() {
    use topology::{ForeignOrigin, SameName};
    let same = ("contoso-labs", "Contoso Voice");
    let other = ("fabrikam", "Fabrikam");
    let resource = ("contoso", "Fabrikam");
    for (peer_asn, same_name, good) in [
        (None, SameName::PeerName, false),
        (Some(same), SameName::PeerName, true),
        (Some(other), SameName::PeerName, false),
        (Some(resource), SameName::PeerName, false),
        (Some(resource), SameName::ResourceName, true),
        (Some(same), SameName::ResourceName, false),
    ] {
        for (switch, registered_fails, service_fails) in [
            (ForeignOrigin::WarnThenFail, false, true),
            (ForeignOrigin::Warn, false, false),
            (ForeignOrigin::Fail, true, true),
        ] {
            let mut world = World::new();
            (world.policy.same_name, world.policy.foreign_origin) = (same_name, switch);
            world
                .peer_asns
                .extend(peer_asn.map(|(name, peer_name)| PeerAsn {
                    asn: 64501,
                    name: name.to_owned(),
                    peer_name: peer_name.to_owned(),
                }));
            let (world, ..) = judged(world, "64500 64501");
            for (object, fails) in [
                (world.registered(PREFIX), registered_fails),
                (world.service(PREFIX), service_fails),
            ] {
                let severity = if fails {
                    Severity::Fail
                } else {
                    Severity::Warn
                };
                let told = words(object, severity).contains(&"origin-not-peer-asn".to_owned());
                assert_eq!(
                    told, !good,
                    "{peer_asn:?} {same_name:?} {switch:?} {:#?}",
                    object.failures
                );
            }
        }
    }
}

#[test]
fn a_wrong_origin_on_one_session_is_told_of_that_session() {
    let mut world = World::new();
    world.registries.irr = irr(&format!("{AUT_NUM}\n{ROUTE}"));
    world.registries.rpki = rpki(&[("203.0.113.0/24", 24, 64500)]);
    world.announce(&[AMS_1], PREFIX, GOOD);
    world.announce(&[AMS_2], PREFIX, "64500 64501 | 8075:8007");
    world.register(PREFIX);
    let (_, failed) = world.judged(PREFIX);
    assert_eq!(
        failed,
        ["origin-not-in-registry@ams-2", "rpki-invalid@ams-2"]
    );
    assert_eq!(
        words(world.registered(PREFIX), Severity::Warn),
        ["origin-not-peer-asn@ams-2"]
    );
    world.announce(&[AMS_1], PREFIX, "64500 64501 | 8075:8007");
    assert_eq!(
        world.judged(PREFIX).1,
        ["origin-not-in-registry", "rpki-invalid"]
    );
}
