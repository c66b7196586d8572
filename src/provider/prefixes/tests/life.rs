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
