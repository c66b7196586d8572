//! Every check of a Peering Service prefix at its boundaries.

use super::*;

const PREFIX: &str = "203.0.113.0/24";

/// A world where a prefix is announced everywhere, registered in Amsterdam and verified.
fn verified() -> World {
    let mut world = World::new();
    world.announce(&ALL, PREFIX, GOOD);
    world.register(PREFIX);
    assert_eq!(world.judged(PREFIX).0, ValidationState::Verified);
    world
}

fn activated(world: &mut World) -> Vec<String> {
    world
        .prefixes
        .activated()
        .map(|(prefix, service)| format!("{prefix} {service}"))
        .collect()
}

#[test]
fn a_registered_prefix_is_activated_with_its_key() {
    for service in ["local", "geo"] {
        for key in [Key::Right, Key::Given(key(net(PREFIX)).to_uppercase())] {
            let mut world = verified();
            world.activate(PREFIX, service, key);
            assert_eq!(world.service(PREFIX).state, ValidationState::Pending);
            assert!(activated(&mut world).is_empty());
            assert_eq!(
                world.judged_service(PREFIX),
                (ValidationState::Verified, Vec::new())
            );
            assert_eq!(world.service(PREFIX).learned_type(), "ViaServiceProvider");
            assert_eq!(activated(&mut world), [format!("{PREFIX} {service}")]);
        }
    }
}

#[test]
fn a_key_must_be_the_prefixes_own() {
    let mut world = verified();
    world.announce(&ALL, "198.51.100.0/24", GOOD);
    world.register("198.51.100.0/24");
    world.settle();
    for (given, nearest, evidence) in [
        (
            key(net("198.51.100.0/24")),
            key(net(PREFIX)),
            "registered prefix 198.51.100.0/24",
        ),
        (
            "11111111-2222-4333-8444-555555555555".to_owned(),
            key(net(PREFIX)),
            "key given: 11111111",
        ),
        (String::new(), key(net(PREFIX)), "key given: "),
    ] {
        let mut world = world.clone();
        world.activate(PREFIX, "local", Key::Given(given));
        let (state, reasons) = world.judged_service(PREFIX);
        assert_eq!(
            (state, reasons),
            (ValidationState::Failed, vec!["wrong-key".to_owned()])
        );
        assert_eq!(world.service(PREFIX).learned_type(), "None");
        let failure = world
            .service(PREFIX)
            .failures
            .iter()
            .find(|failure| failure.reason == "wrong-key");
        let failure = failure.expect("just seen");
        assert!(
            failure
                .nearest
                .as_deref()
                .is_some_and(|text| text.contains(&nearest)),
            "{failure:#?}"
        );
        assert!(failure.evidence[0].contains(evidence), "{failure:#?}");
    }
}

#[test]
fn an_unregistered_prefix_is_not_activated_until_it_is_registered() {
    let mut world = World::new();
    world.announce(&ALL, PREFIX, GOOD);
    world.announce(&ALL, "203.0.113.0/25", GOOD);
    world.activate("203.0.113.0/25", "geo", Key::Right);
    assert_eq!(world.judged_service("203.0.113.0/25").1, ["not-registered"]);
    // One that covers it helps nothing, but is named.
    world.register(PREFIX);
    assert_eq!(world.judged_service("203.0.113.0/25").1, ["not-registered"]);
    let named = |world: &World| {
        let failures = &world.service("203.0.113.0/25").failures;
        let failure = failures
            .iter()
            .find(|failure| failure.reason == "not-registered");
        failure
            .and_then(|failure| failure.nearest.clone())
            .is_some_and(|text| text.starts_with(PREFIX))
    };
    assert!(named(&world));
    world.request(Request::Unregister {
        prefix: PREFIX.to_owned(),
    });
    world.settle();
    assert!(!named(&world));
    // It is registered, but has no key before it is verified.
    world.route(AMS_1, "203.0.113.0/25", None);
    world.register("203.0.113.0/25");
    let (_, reasons) = world.judged_service("203.0.113.0/25");
    assert_eq!(reasons, ["prefix-not-received@ams-1", "not-registered"]);
    world.announce(&[AMS_1], "203.0.113.0/25", GOOD);
    assert_eq!(
        world.judged_service("203.0.113.0/25").0,
        ValidationState::Verified
    );
}

#[test]
fn the_backup_location_counts_only_where_one_is_chosen() {
    for (service, reasons) in [("local", &[][..]), ("geo", &["prefix-not-received@fra-2"])] {
        let mut world = verified();
        world.route(FRA_2, PREFIX, None);
        world.activate(PREFIX, service, Key::Right);
        assert_eq!(world.judged_service(PREFIX).1, reasons, "{service}");
    }
}

#[test]
fn one_of_the_sessions_is_enough_to_fail() {
    for (text, reason, heading, documented) in [
        (
            None,
            "prefix-not-received",
            "Not receiving prefix advertisement from IP for prefix",
            true,
        ),
        (
            Some("64500 | 8075:8007:0"),
            "missing-community",
            "Received route for prefix should have the Peering Service community 8075:8007",
            true,
        ),
        (
            Some("64500 64501 64502 64503 | 8075:8007"),
            "as-path-too-long",
            "AS path length for prefix should be <=3 for prefix",
            true,
        ),
        (
            Some("64500 64500 | 8075:8007"),
            "as-path-prepended",
            "AS path length for prefix should be <=3 for prefix",
            true,
        ),
        (
            Some("64500 64512 64500 | 8075:8007"),
            "private-asn-in-path",
            "AS path length for prefix should be <=3 for prefix",
            true,
        ),
        (
            Some("64512 64500 | 8075:8007"),
            "private-asn-in-path",
            "AS path for prefix can't include private ASNs",
            true,
        ),
        (
            Some("23456 64500 | 8075:8007"),
            "special-asn-in-path",
            "AS path for prefix can't include reserved ASNs",
            false,
        ),
        (
            Some("64500 {64500} | 8075:8007"),
            "as-set",
            "AS path length for prefix should be <=3 for prefix",
            true,
        ),
    ] {
        for place in [AMS_1, AMS_2, FRA_1, FRA_2] {
            let mut world = verified();
            world.activate(PREFIX, "geo", Key::Right);
            assert_eq!(world.judged_service(PREFIX).0, ValidationState::Verified);
            // After it was verified.
            world.route(place, PREFIX, text);
            let (state, reasons) = world.judged_service(PREFIX);
            let name = &world.topology.connections[place].name;
            assert_eq!(state, ValidationState::Warning);
            assert!(reasons.contains(&format!("{reason}@{name}")), "{reasons:?}");
            assert_eq!(activated(&mut world), [format!("{PREFIX} geo")]);
            // Before it was.
            world.request(Request::Deactivate {
                prefix: PREFIX.to_owned(),
            });
            world.activate(PREFIX, "geo", Key::Right);
            let (state, again) = world.judged_service(PREFIX);
            assert_eq!((state, again), (ValidationState::Failed, reasons));
            let message = world.service(PREFIX).message.clone().expect("it failed");
            assert_eq!(
                (message.heading.as_str(), message.documented),
                (heading, documented),
                "{text:?}"
            );
            assert!(activated(&mut world).is_empty());
        }
    }
}

#[test]
fn the_primary_location_needs_two_sessions_on_two_routers_and_the_backup_one() {
    let few = "too-few-sessions-in-primary";
    let none = "no-session-in-backup";
    for (inactive, reasons, heading) in [
        (
            &[AMS_1][..],
            &[few, "prefix-not-received@ams-1"][..],
            Some("Provider has fewer than two sessions in its primary location"),
        ),
        (
            &[AMS_1, AMS_2],
            &[
                few,
                "prefix-not-received@ams-1",
                "prefix-not-received@ams-2",
            ],
            Some("Provider has fewer than two sessions in its primary location"),
        ),
        (
            &[FRA_1],
            &["prefix-not-received@fra-1"],
            Some("Not receiving prefix advertisement from IP for prefix"),
        ),
        (
            &[FRA_1, FRA_2],
            &[
                none,
                "prefix-not-received@fra-1",
                "prefix-not-received@fra-2",
            ],
            Some("Provider has no sessions in its backup location"),
        ),
        (&[], &[], None),
    ] {
        let mut world = verified();
        for place in inactive {
            world.standing[*place].active = false;
        }
        world.activate(PREFIX, "geo", Key::Right);
        let (_, found) = world.judged_service(PREFIX);
        assert_eq!(found, reasons, "{inactive:?}");
        let message = world
            .service(PREFIX)
            .message
            .as_ref()
            .map(|message| message.heading.as_str());
        assert_eq!(message, heading);
    }
    // Connections that are not used for Peering Service are none of its sessions, and need not have the prefix.
    let mut world = verified();
    for place in [FRA_1, FRA_2] {
        world.standing[place].peering_service = false;
        world.route(place, PREFIX, None);
    }
    world.activate(PREFIX, "geo", Key::Right);
    assert_eq!(world.judged_service(PREFIX).1, [none]);
}

#[test]
fn two_sessions_on_one_router_are_not_two() {
    for (edge, router, same) in [
        ("ams-edge-2", "ams-pe-2", None),
        ("ams-edge-1", "ams-pe-2", Some("ams-edge-1")),
        ("ams-edge-2", "ams-pe-1", Some("ams-pe-1")),
        ("ams-edge-1", "ams-pe-1", Some("ams-pe-1")),
    ] {
        let mut world = verified();
        let second = &mut world.observed.connections[AMS_2];
        edge.clone_into(&mut second.edge);
        router.clone_into(&mut second.router);
        world.activate(PREFIX, "local", Key::Right);
        let (_, reasons) = world.judged_service(PREFIX);
        let expected: &[&str] = if same.is_some() {
            &["same-router-in-primary"]
        } else {
            &[]
        };
        assert_eq!(reasons, expected, "{edge} {router}");
        let text = world
            .service(PREFIX)
            .message
            .as_ref()
            .map(|message| message.text.clone());
        assert!(same.is_none_or(|router| text.is_some_and(|text| text.contains(router))));
    }
}

#[test]
fn the_provider_must_be_known() {
    for (provider, known) in [
        (None, true),
        (Some("Contoso Voice"), true),
        (Some("Fabrikam"), true),
        (Some("contoso voice"), false),
        (Some("Nobody"), false),
        (Some(""), false),
    ] {
        let mut world = verified();
        world.peer_asns.push(PeerAsn {
            asn: 64510,
            name: "fabrikam".to_owned(),
            peer_name: "Fabrikam".to_owned(),
        });
        world.request(Request::Activate {
            prefix: PREFIX.to_owned(),
            service: None,
            key: Key::Right,
            provider: provider.map(str::to_owned),
        });
        let (_, reasons) = world.judged_service(PREFIX);
        let expected: &[&str] = if known { &[] } else { &["provider-not-found"] };
        assert_eq!(reasons, expected, "{provider:?}");
        if !known {
            let message = world.service(PREFIX).message.clone().expect("it failed");
            assert_eq!(
                (message.heading.as_str(), message.documented),
                ("Peering service provider not found", true)
            );
            let nearest = world.service(PREFIX).failures[0].nearest.clone();
            assert_eq!(nearest.as_deref(), Some("`Contoso Voice`"));
        }
    }
}

#[test]
fn prefixes_do_not_overlap_those_activated_before() {
    for (first, second, overlap) in [
        ("203.0.113.0/24", "203.0.113.0/25", true),
        ("203.0.113.0/25", "203.0.113.0/24", true),
        ("203.0.113.0/25", "203.0.113.128/25", false),
        ("203.0.113.7/32", "203.0.113.0/24", true),
        ("203.0.113.0/24", "203.0.112.0/24", false),
        ("203.0.113.0/24", "203.0.112.0/23", true),
        ("203.0.113.0/24", "203.0.113.0/24", true),
    ] {
        let mut world = World::new();
        for prefix in [first, second] {
            world.announce(&ALL, prefix, GOOD);
            world.register(prefix);
        }
        world.settle();
        world.activate(first, "local", Key::Right);
        world.activate(second, "geo", Key::Right);
        world.settle();
        let found: Vec<Vec<String>> = world
            .prefixes
            .services()
            .map(|object| words(object, Severity::Fail))
            .collect();
        let expected: &[&str] = if overlap {
            &["overlaps-another-prefix"]
        } else {
            &[]
        };
        // The one that was there first is not to blame.
        assert_eq!(found, [vec![], expected.to_vec()], "{first} {second}");
        let mut other = world.clone();
        other.policy.overlap = Overlap::Service;
        other.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Registries));
        other.settle();
        assert!(
            other
                .prefixes
                .services()
                .all(|object| object.state == ValidationState::Verified)
        );
        if first != second {
            world.request(Request::Deactivate {
                prefix: first.to_owned(),
            });
            assert_eq!(
                world.judged_service(second).0,
                ValidationState::Verified,
                "{first} {second}"
            );
        }
    }
}

#[test]
fn an_activated_prefix_cannot_be_activated_again_or_changed() {
    let mut world = verified();
    world.activate(PREFIX, "local", Key::Right);
    world.settle();
    world.facts.clear();
    world.activate(PREFIX, "local", Key::Given("another".to_owned()));
    world.settle();
    assert_eq!(world.service(PREFIX).state, ValidationState::Verified);
    assert!(
        matches!(&world.facts[..], [Fact::Event { event, subject, summary, .. }]
            if event == "RequestRefused" && subject == PREFIX && summary == "different-prefix"),
        "{:#?}",
        world.facts
    );
}

#[test]
fn a_text_that_is_no_prefix_is_invalid_until_it_is_deleted() {
    for text in [
        "203.0.113.300/24",
        "2001:db8::/48",
        "203.0.113.1/24",
        "",
        "sbc",
    ] {
        let mut world = verified();
        world.activate(text, "local", Key::Right);
        world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Registries));
        world.settle();
        let object = world.service(text);
        assert_eq!(object.state, ValidationState::Invalid);
        let message = object.message.clone().expect("it is invalid");
        assert_eq!(
            (message.heading.as_str(), message.documented),
            ("Peering service prefix is invalid", true)
        );
        world.request(Request::Deactivate {
            prefix: text.to_owned(),
        });
        assert_eq!(world.prefixes.services().count(), 0);
    }
}

#[test]
fn deleting_the_registration_takes_the_key_away() {
    for (after, state, active) in [
        (
            topology::AfterVerified::Warning,
            ValidationState::Warning,
            true,
        ),
        (
            topology::AfterVerified::Failed,
            ValidationState::Failed,
            false,
        ),
        (
            topology::AfterVerified::Stay,
            ValidationState::Verified,
            true,
        ),
    ] {
        let mut world = verified();
        world.policy.after_verified = after;
        world.activate(PREFIX, "local", Key::Right);
        world.settle();
        world.request(Request::Unregister {
            prefix: PREFIX.to_owned(),
        });
        assert_eq!(
            world.judged_service(PREFIX),
            (state, vec!["not-registered".to_owned()])
        );
        assert_eq!(activated(&mut world).len(), usize::from(active));
        world.register(PREFIX);
        assert_eq!(
            world.judged_service(PREFIX),
            (ValidationState::Verified, Vec::new())
        );
        assert_eq!(activated(&mut world).len(), 1);
    }
}
