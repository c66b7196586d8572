//! From request to result: states, keys, facts, and what is validated again.

use super::*;

#[test]
fn a_prefix_is_pending_until_it_is_validated_and_then_has_a_key() {
    let mut world = World::new();
    world.announce(&[AMS_1, AMS_2], "203.0.113.0/24", GOOD);
    world.register("203.0.113.0/24");
    let object = world.registered("203.0.113.0/24");
    assert_eq!(
        (object.state, &object.key),
        (ValidationState::Pending, &None)
    );
    assert_eq!(world.prefixes.deadline(), Some(At::from_millis(250)));
    world.settle();
    let object = world.registered("203.0.113.0/24");
    assert_eq!(object.state, ValidationState::Verified);
    assert_eq!(object.key, Some(key(net("203.0.113.0/24"))));
    assert_eq!(object.message, None);
    let states: Vec<String> = world.facts.iter().map(told).collect();
    assert_eq!(
        states,
        ["203.0.113.0/24 Pending", "203.0.113.0/24 Verified key"]
    );
}

/// A fact in short.
fn told(fact: &Fact) -> String {
    match fact {
        Fact::RegisteredPrefix {
            prefix, state, key, ..
        } => {
            let key = key.as_ref().map_or("", |_| " key");
            format!("{prefix} {state}{key}")
        }
        Fact::ServicePrefix {
            prefix,
            state,
            learned_type,
            ..
        } => format!("{prefix} in service {state} {learned_type}"),
        Fact::PrefixDeleted { object, prefix } => format!("{prefix} deleted {object}"),
        Fact::Event {
            event,
            subject,
            summary,
            ..
        } => format!("{event} {subject} {summary}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_failed_prefix_is_verified_once_it_is_right() {
    let mut world = World::new();
    world.announce(&[AMS_1], "203.0.113.0/24", GOOD);
    world.register("203.0.113.0/24");
    let (state, reasons) = world.judged("203.0.113.0/24");
    assert_eq!(state, ValidationState::Failed);
    assert_eq!(reasons, ["prefix-not-received@ams-2"]);
    world.facts.clear();
    world.announce(&[AMS_2], "203.0.113.0/24", GOOD);
    assert_eq!(world.judged("203.0.113.0/24").0, ValidationState::Verified);
    let states: Vec<String> = world.facts.iter().map(told).collect();
    assert_eq!(
        states,
        ["203.0.113.0/24 Pending", "203.0.113.0/24 Verified key"]
    );
}

/// A world where a prefix was registered and activated before it began.
fn assumed() -> World {
    let mut world = World::new();
    world.announce(&ALL, "198.51.100.0/24", GOOD);
    world.act(|prefixes, _, ground| {
        prefixes.assume(ground, net("198.51.100.0/24"), "amsterdam", Some("geo"));
    });
    world
}

#[test]
fn what_is_assumed_is_verified_and_judged_as_everything_else_from_then_on() {
    let mut world = assumed();
    let told: Vec<String> = world.facts.drain(..).map(|fact| told(&fact)).collect();
    assert_eq!(
        told,
        [
            "198.51.100.0/24 Verified key",
            "198.51.100.0/24 in service Verified ViaServiceProvider"
        ]
    );
    assert_eq!(world.prefixes.deadline(), None);
    let activated: Vec<(Ipv4Net, &str)> = world.prefixes.activated().collect();
    assert_eq!(activated, [(net("198.51.100.0/24"), "geo")]);
    for (place, registered, service) in [
        (AMS_1, ValidationState::Warning, ValidationState::Warning),
        (FRA_2, ValidationState::Verified, ValidationState::Warning),
    ] {
        world.route(place, "198.51.100.0/24", None);
        assert_eq!(world.judged("198.51.100.0/24").0, registered);
        assert_eq!(world.service("198.51.100.0/24").state, service);
        assert!(world.registered("198.51.100.0/24").key.is_some());
        assert_eq!(world.prefixes.activated().count(), 1);
        world.route(place, "198.51.100.0/24", Some(GOOD));
        assert_eq!(world.judged("198.51.100.0/24").0, ValidationState::Verified);
        assert_eq!(
            world.service("198.51.100.0/24").state,
            ValidationState::Verified
        );
    }
}

#[test]
fn a_change_concerns_only_what_it_may_decide() {
    let mut world = assumed();
    let concerned = |world: &mut World| {
        let due = world
            .prefixes
            .objects
            .values()
            .filter(|object| object.due.is_some());
        let due: Vec<Kind> = due.map(Object::kind).collect();
        world.settle();
        due
    };
    for (place, prefix, text, kinds) in [
        (
            AMS_1,
            "198.51.100.0/24",
            Some(GOOD),
            &[Kind::Registered, Kind::Service][..],
        ),
        (FRA_1, "198.51.100.0/24", Some(GOOD), &[Kind::Service]),
        (AMS_1, "198.51.100.0/25", Some(GOOD), &[]),
        // A covering route matters only to what misses its own.
        (AMS_1, "198.51.100.0/23", Some(GOOD), &[]),
        (AMS_2, "203.0.113.0/24", Some(GOOD), &[]),
        (
            AMS_1,
            "198.51.100.0/24",
            None,
            &[Kind::Registered, Kind::Service],
        ),
        (
            AMS_1,
            "198.51.100.0/23",
            None,
            &[Kind::Registered, Kind::Service],
        ),
    ] {
        world.route(place, prefix, text);
        assert_eq!(concerned(&mut world), kinds, "{prefix} on {place}");
    }
    world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Connection(FRA_1)));
    assert_eq!(concerned(&mut world), [Kind::Service]);
    world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Peering("amsterdam")));
    assert_eq!(concerned(&mut world), [Kind::Registered, Kind::Service]);
}

#[test]
fn changes_within_a_validation_are_judged_together_and_told_once() {
    let mut world = assumed();
    world.settle();
    world.facts.clear();
    for text in [None, Some("64500 | "), Some(GOOD), None, Some(GOOD)] {
        world.now = world.now + std::time::Duration::from_millis(10);
        world.route(AMS_1, "198.51.100.0/24", text);
    }
    assert_eq!(world.prefixes.deadline(), Some(At::from_millis(260)));
    world.settle();
    let told: Vec<String> = world.facts.iter().map(told).collect();
    // Nothing is told but what was never checked before: there are no registries.
    assert_eq!(
        told,
        [
            "198.51.100.0/24 Verified key",
            "198.51.100.0/24 in service Verified ViaServiceProvider"
        ]
    );
    world.facts.clear();
    world.route(AMS_1, "198.51.100.0/24", Some(GOOD));
    world.settle();
    assert!(world.facts.is_empty(), "{:#?}", world.facts);
}

#[test]
fn a_key_on_create_can_be_used_before_the_registration_is_verified() {
    let mut world = World::new();
    world.policy.key_on_create = true;
    world.announce(&[AMS_1, AMS_2], "203.0.113.0/24", GOOD);
    world.announce(&[AMS_1], "203.0.113.0/24", "64500 | ");
    world.register("203.0.113.0/24");
    assert_eq!(told(&world.facts[0]), "203.0.113.0/24 Pending key");
    world.activate("203.0.113.0/24", "local", Key::Right);
    assert_eq!(
        world.judged_service("203.0.113.0/24").1,
        ["missing-community@ams-1"]
    );
}

#[test]
fn a_failed_prefix_is_validated_again_on_request() {
    let mut world = World::new();
    world.policy.validation = std::time::Duration::ZERO;
    world.register("203.0.113.0/24");
    world.settle();
    assert_eq!(world.now, At::ZERO);
    world.facts.clear();
    world.request(Request::Validate {
        prefix: "203.0.113.0/24".to_owned(),
    });
    world.settle();
    let told: Vec<String> = world.facts.iter().map(told).collect();
    assert_eq!(told, ["203.0.113.0/24 Pending", "203.0.113.0/24 Failed"]);
}

#[test]
fn the_switch_says_what_becomes_of_a_verified_prefix() {
    for (after, state) in [
        (topology::AfterVerified::Warning, ValidationState::Warning),
        (topology::AfterVerified::Failed, ValidationState::Failed),
        (topology::AfterVerified::Stay, ValidationState::Verified),
    ] {
        let mut world = assumed();
        world.policy.after_verified = after;
        world.route(AMS_2, "198.51.100.0/24", None);
        let found = world.judged("198.51.100.0/24");
        assert_eq!(found, (state, vec!["prefix-not-received@ams-2".to_owned()]));
        // The key stays: it is the prefix's, and is issued once.
        assert!(world.registered("198.51.100.0/24").key.is_some());
        let active = usize::from(state != ValidationState::Failed);
        assert_eq!(world.prefixes.activated().count(), active);
    }
}
