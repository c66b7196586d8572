//! What is refused at once, and that nothing else is changed by it.

use super::*;

const PREFIX: &str = "203.0.113.0/24";

/// State of the fact told of a prefix that was not created, its reasons, and the summary of the refusal.
fn refused(world: &World, prefix: &str) -> (Option<String>, Vec<String>, String) {
    let mut state = None;
    let mut reasons = Vec::new();
    let mut summary = String::new();
    for fact in &world.facts {
        match fact {
            Fact::RegisteredPrefix {
                prefix: p,
                state: s,
                failures,
                message,
                key,
                ..
            } if p == prefix => {
                assert!(message.is_some() && key.is_none());
                state = Some(s.clone());
                reasons = failures.iter().map(|f| f.reason.clone()).collect();
            }
            Fact::Event {
                event,
                level,
                subject,
                summary: s,
                ..
            } => {
                assert_eq!(
                    (event.as_str(), level.as_str()),
                    ("RequestRefused", "Error")
                );
                assert_eq!(subject, prefix);
                s.clone_into(&mut summary);
            }
            other => panic!("{other:?}"),
        }
    }
    (state, reasons, summary)
}

#[test]
fn only_an_ipv4_prefix_without_host_bits_is_registered() {
    for (text, reason, nearest) in [
        ("203.0.113.0", "not-ipv4-prefix", Some("`203.0.113.0/32`")),
        ("203.0.113.0/33", "not-ipv4-prefix", None),
        ("203.0.113.300/24", "not-ipv4-prefix", None),
        ("203.0.113.0/024", "not-ipv4-prefix", None),
        ("203.0.113.0/255.255.255.0", "not-ipv4-prefix", None),
        (
            " 203.0.113.0/24",
            "not-ipv4-prefix",
            Some("`203.0.113.0/24`"),
        ),
        ("2001:db8::/48", "not-ipv4-prefix", None),
        ("2001:db8::1", "not-ipv4-prefix", None),
        ("::ffff:203.0.113.0/120", "not-ipv4-prefix", None),
        ("", "not-ipv4-prefix", None),
        ("/24", "not-ipv4-prefix", None),
        ("sbc", "not-ipv4-prefix", None),
        ("203.0.113.1/24", "host-bits-set", Some("`203.0.113.0/24`")),
        (
            "203.0.113.128/24",
            "host-bits-set",
            Some("`203.0.113.0/24`"),
        ),
        ("0.0.0.1/0", "host-bits-set", Some("`0.0.0.0/0`")),
    ] {
        let mut world = World::new();
        world.register(text);
        let (state, reasons, summary) = refused(&world, text);
        assert_eq!(state.as_deref(), Some("Invalid"), "{text}");
        assert_eq!(
            (reasons, summary.as_str()),
            (vec![reason.to_owned()], reason),
            "{text}"
        );
        assert_eq!(world.prefixes.registered().count(), 0, "{text}");
        let failure = world.facts.iter().find_map(|fact| match fact {
            Fact::RegisteredPrefix { failures, .. } => failures.first(),
            _ => None,
        });
        let found = failure.and_then(|failure| failure.nearest.as_deref());
        assert!(
            nearest.is_none_or(|nearest| found == Some(nearest)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn lengths_from_8_to_32_are_registered_unless_the_switch_refuses_them() {
    for (prefix, reject, refused_as) in [
        ("9.0.0.0/8", true, None),
        ("203.0.113.0/24", true, None),
        ("203.0.113.0/25", true, Some("smaller-than-24-not-accepted")),
        ("203.0.113.7/32", true, Some("smaller-than-24-not-accepted")),
        ("9.0.0.0/8", false, None),
        ("203.0.113.0/25", false, None),
        ("203.0.113.7/32", false, None),
    ] {
        let mut world = World::new();
        if reject {
            world.policy.short_prefix = topology::ShortPrefix::RejectRegistration;
        }
        world.announce(&[AMS_1, AMS_2], prefix, GOOD);
        world.register(prefix);
        match refused_as {
            None => assert_eq!(world.judged(prefix), (ValidationState::Verified, vec![])),
            Some(reason) => {
                let (state, reasons, summary) = refused(&world, prefix);
                assert_eq!(state.as_deref(), Some("None"));
                assert_eq!(
                    (reasons, summary.as_str()),
                    (vec![reason.to_owned()], reason)
                );
            }
        }
    }
}

#[test]
fn a_peering_needs_an_active_connection_or_all_of_them() {
    for (active, gate, open) in [
        (&[][..], topology::ActiveGate::Any, false),
        (&[AMS_1], topology::ActiveGate::Any, true),
        (&[FRA_1, FRA_2], topology::ActiveGate::Any, false),
        (&[AMS_1], topology::ActiveGate::All, false),
        (&[AMS_1, AMS_2], topology::ActiveGate::All, true),
    ] {
        let mut world = World::new();
        world.policy.active_gate = gate;
        for place in ALL {
            world.standing[place].active = active.contains(&place);
        }
        world.register(PREFIX);
        assert_eq!(
            world.prefixes.registered().count(),
            usize::from(open),
            "{active:?} {gate:?}"
        );
        if !open {
            let (state, reasons, _) = refused(&world, PREFIX);
            assert_eq!(
                (state.as_deref(), reasons),
                (Some("None"), vec!["no-active-connection".to_owned()])
            );
        }
    }
    // A peering that was never requested has no connection either.
    let mut world = World::new();
    world.standing = vec![Standing::NONE; 4];
    world.register(PREFIX);
    assert_eq!(refused(&world, PREFIX).1, ["no-active-connection"]);
}

#[test]
fn a_peering_that_is_not_for_peering_service_registers_nothing() {
    let mut world = World::new();
    for place in [AMS_1, AMS_2] {
        world.standing[place].peering_service = false;
    }
    world.register(PREFIX);
    assert_eq!(
        refused(&world, PREFIX).1,
        ["peering-not-for-peering-service"]
    );
    world.facts.clear();
    world.standing[AMS_1].active = false;
    world.standing[AMS_2].active = false;
    world.register(PREFIX);
    // All gates that are closed are told.
    assert_eq!(
        refused(&world, PREFIX).1,
        ["peering-not-for-peering-service", "no-active-connection"]
    );
}

#[test]
fn a_prefix_is_registered_once_over_all_peerings() {
    for second in ["amsterdam", "frankfurt"] {
        let mut world = World::new();
        world.announce(&ALL, PREFIX, GOOD);
        world.register(PREFIX);
        world.settle();
        world.facts.clear();
        world.register_with(PREFIX, second);
        // The one that exists stays as it is, and is not overwritten in the record either.
        assert_eq!(
            refused(&world, PREFIX),
            (None, vec![], "already-registered".to_owned())
        );
        assert_eq!(world.judged(PREFIX).0, ValidationState::Verified);
        assert_eq!(world.registered(PREFIX).parent(), "amsterdam");
        // Its parts are other prefixes.
        world.announce(&ALL, "203.0.113.0/25", GOOD);
        world.register_with("203.0.113.0/25", second);
        assert_eq!(world.judged("203.0.113.0/25").0, ValidationState::Verified);
        // And the whole may be registered elsewhere once it is deleted.
        world.request(Request::Unregister {
            prefix: PREFIX.to_owned(),
        });
        world.register_with(PREFIX, second);
        assert_eq!(world.judged(PREFIX).0, ValidationState::Verified);
        assert_eq!(world.registered(PREFIX).parent(), second);
    }
}

#[test]
fn without_a_name_the_peering_is_that_of_the_first_service() {
    for (services, peering) in [(true, "frankfurt"), (false, "amsterdam")] {
        let mut world = World::new();
        let topology = Arc::make_mut(&mut world.topology);
        topology.services.retain(|_| services);
        for service in &mut topology.services {
            (service.primary, service.backup) = ("frankfurt".to_owned(), None);
        }
        world.request(Request::Register {
            prefix: PREFIX.to_owned(),
            peering: None,
        });
        assert_eq!(world.registered(PREFIX).parent(), peering);
    }
}

#[test]
fn what_does_not_exist_is_neither_deleted_nor_validated() {
    for request in [
        Request::Unregister {
            prefix: PREFIX.to_owned(),
        },
        Request::Deactivate {
            prefix: PREFIX.to_owned(),
        },
        Request::Validate {
            prefix: PREFIX.to_owned(),
        },
    ] {
        let mut world = World::new();
        world.request(request);
        assert_eq!(
            refused(&world, PREFIX),
            (None, vec![], "no-such-prefix".to_owned())
        );
    }
}
