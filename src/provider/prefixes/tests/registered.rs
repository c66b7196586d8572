//! Every check of a registered prefix at its boundaries, on all sessions and on one of two.

use super::*;

/// A prefix that is not special.
const PREFIX: &str = "203.0.113.0/24";

/// What a route on both sessions, and on the second one alone, leads to.
fn check_route(world: &World, text: &str, reasons: &[&str]) {
    for wrong in [&[AMS_1, AMS_2][..], &[AMS_2], &[AMS_1]] {
        let mut world = world.clone();
        world.announce(&[AMS_1, AMS_2], PREFIX, GOOD);
        world.announce(wrong, PREFIX, text);
        world.register(PREFIX);
        let (state, found) = world.judged(PREFIX);
        let mut expected = Vec::new();
        for reason in reasons {
            for place in wrong {
                let name = &world.topology.connections[*place].name;
                expected.push(format!("{reason}@{name}"));
            }
        }
        assert_eq!(found, expected, "`{text}` on {wrong:?}");
        let verified = reasons.is_empty();
        assert_eq!(
            state == ValidationState::Verified,
            verified,
            "`{text}`: {state}"
        );
        assert_eq!(
            state == ValidationState::Failed,
            !verified,
            "`{text}`: {state}"
        );
        assert_eq!(world.registered(PREFIX).key.is_some(), verified, "`{text}`");
    }
}

#[test]
fn paths_have_at_most_three_numbers_none_of_them_twice_or_nobodys() {
    let world = World::new();
    for (path, reasons) in [
        ("64500", &[][..]),
        ("64500 64501", &[]),
        ("64500 64501 64502", &[]),
        ("64500 64501 64502 64503", &["as-path-too-long"]),
        ("64500 64500", &["as-path-prepended"]),
        ("64500 64500 64500", &["as-path-prepended"]),
        (
            "64500 64500 64500 64500",
            &["as-path-too-long", "as-path-prepended"],
        ),
        ("64500 64501 64501", &["as-path-prepended"]),
        ("64500 64501 64500", &["as-path-prepended"]),
        ("64500 64511", &[]),
        ("64500 64512", &["private-asn-in-path"]),
        ("64500 64512 64501", &["private-asn-in-path"]),
        ("64500 65534", &["private-asn-in-path"]),
        ("64500 65535", &["special-asn-in-path"]),
        ("64500 65536", &[]),
        ("64500 4199999999", &[]),
        ("64500 4200000000", &["private-asn-in-path"]),
        ("64500 4294967294", &["private-asn-in-path"]),
        ("64500 4294967295", &["special-asn-in-path"]),
        ("64500 0", &["special-asn-in-path"]),
        ("64500 23455", &[]),
        ("64500 23456", &["special-asn-in-path"]),
        ("64500 23457", &[]),
        (
            "64500 64512 23456",
            &["private-asn-in-path", "special-asn-in-path"],
        ),
        ("64500 {64501,64502}", &["as-set"]),
        // An AS_SET counts one.
        ("64500 64501 {64502,64503,64504}", &["as-set"]),
        ("64500 64501 64502 {64503}", &["as-path-too-long", "as-set"]),
        ("64500 {64512,64501}", &["as-set", "private-asn-in-path"]),
        (
            "64500 64501 64501 65000 23456",
            &[
                "as-path-too-long",
                "as-path-prepended",
                "private-asn-in-path",
                "special-asn-in-path",
            ],
        ),
    ] {
        check_route(&world, &format!("{path} | 8075:8007"), reasons);
    }
}

#[test]
fn the_community_is_the_standard_one() {
    let world = World::new();
    for (communities, reasons) in [
        ("8075:8007", &[][..]),
        ("64500:1 8075:8007 8075:8007:0", &[]),
        ("", &["missing-community"]),
        ("8075:8007:0", &["missing-community"]),
        ("64500:8075:8007", &["missing-community"]),
        ("rt:8075:8007", &["missing-community"]),
        ("8007:8075", &["missing-community"]),
        ("8075:8008", &["missing-community"]),
        ("8075:807", &["missing-community"]),
        ("64500:8007", &["missing-community"]),
    ] {
        check_route(&world, &format!("64500 | {communities}"), reasons);
    }
}

#[test]
fn a_look_alike_of_the_community_is_named() {
    for (communities, named) in [
        ("8075:8007:0", "large community"),
        ("64500:8075:8007", "large community"),
        ("rt:8075:8007", "extended community"),
        ("8007:8075", "the wrong way round"),
        ("8075:8008", "another value"),
        ("8074:8007", "of another AS"),
    ] {
        let mut world = World::new();
        world.announce(
            &[AMS_1, AMS_2],
            PREFIX,
            &format!("64500 | 64500:1 {communities}"),
        );
        world.register(PREFIX);
        world.settle();
        let failure = &world.registered(PREFIX).failures[0];
        let nearest = failure.nearest.as_deref().unwrap_or_default();
        assert!(
            nearest.contains(communities) && nearest.contains("the standard community 8075:8007"),
            "{failure:#?}"
        );
        assert!(
            failure.text.contains(communities) && failure.text.contains(named),
            "{failure:#?}"
        );
        assert!(
            failure
                .evidence
                .iter()
                .any(|line| line.contains(communities)),
            "{failure:#?}"
        );
    }
}

#[test]
fn documentation_numbers_count_as_public_only_where_the_topology_says_so() {
    let mut world = World::new();
    Arc::make_mut(&mut world.topology).documentation_numbers_are_public = false;
    world.announce(&[AMS_1, AMS_2], "203.0.113.0/24", GOOD);
    world.announce(&[AMS_1, AMS_2], "8.8.8.0/24", "3356 65551 | 8075:8007");
    world.register("203.0.113.0/24");
    world.register("8.8.8.0/24");
    let (_, reasons) = world.judged("203.0.113.0/24");
    assert_eq!(
        reasons,
        [
            "special-asn-in-path@ams-1",
            "special-asn-in-path@ams-2",
            "private-range"
        ]
    );
    let (_, reasons) = world.judged("8.8.8.0/24");
    assert_eq!(
        reasons,
        ["special-asn-in-path@ams-1", "special-asn-in-path@ams-2"]
    );
}

#[test]
fn private_ranges_are_those_that_overlap_either_way() {
    let mut world = World::new();
    world.policy.private_ranges = vec![net("44.0.0.0/9")];
    for (prefix, private) in [
        ("9.0.0.0/8", false),
        ("10.0.0.0/8", true),
        ("10.255.255.255/32", true),
        ("8.0.0.0/6", true),
        ("11.0.0.0/8", false),
        ("100.63.0.0/16", false),
        ("100.64.0.0/24", true),
        ("100.127.255.0/24", true),
        ("100.128.0.0/24", false),
        ("126.0.0.0/8", false),
        ("127.0.0.0/32", true),
        ("128.0.0.0/24", false),
        ("169.253.255.0/24", false),
        ("169.254.0.0/24", true),
        ("172.15.255.0/24", false),
        ("172.16.0.0/24", true),
        ("172.31.255.0/24", true),
        ("172.32.0.0/24", false),
        ("192.0.0.0/24", true),
        ("192.0.0.9/32", true),
        ("192.0.1.0/24", false),
        ("192.0.2.0/24", false),
        ("192.167.255.0/24", false),
        ("192.168.0.0/16", true),
        ("198.17.255.0/24", false),
        ("198.18.0.0/24", true),
        ("198.19.255.0/24", true),
        ("198.20.0.0/24", false),
        ("198.51.100.0/25", false),
        ("0.0.0.0/8", true),
        ("0.0.0.0/0", true),
        ("1.0.0.0/24", false),
        ("223.255.255.0/24", false),
        ("224.0.0.0/24", true),
        ("240.0.0.0/4", true),
        ("255.255.255.255/32", true),
        ("44.0.0.0/8", true),
        ("44.127.0.0/16", true),
        ("44.128.0.0/16", false),
    ] {
        let mut world = world.clone();
        world.announce(&[AMS_1, AMS_2], prefix, GOOD);
        world.register(prefix);
        let (state, reasons) = world.judged(prefix);
        let expected: &[&str] = if private { &["private-range"] } else { &[] };
        assert_eq!(reasons, expected, "{prefix}");
        assert_eq!(state == ValidationState::Verified, !private, "{prefix}");
    }
}

#[test]
fn every_session_that_lacks_the_prefix_is_named_in_one_message() {
    let mut world = World::new();
    world.register(PREFIX);
    let (state, reasons) = world.judged(PREFIX);
    assert_eq!(state, ValidationState::Failed);
    assert_eq!(
        reasons,
        ["prefix-not-received@ams-1", "prefix-not-received@ams-2"]
    );
    let message = world.registered(PREFIX).message.clone().expect("it failed");
    assert_eq!(
        (message.heading.as_str(), message.documented),
        ("Prefix not received from IP", true)
    );
    assert!(
        message.text.contains("192.0.2.0 ") && message.text.contains("192.0.2.2 "),
        "{message:?}"
    );
}

#[test]
fn a_covering_route_does_not_count_and_is_shown() {
    let mut world = World::new();
    world.announce(&[AMS_1, AMS_2], "203.0.112.0/23", GOOD);
    world.announce(&[AMS_1, AMS_2], "203.0.113.0/25", GOOD);
    world.announce(&[AMS_1], PREFIX, GOOD);
    world.register(PREFIX);
    let (_, reasons) = world.judged(PREFIX);
    assert_eq!(reasons, ["prefix-not-received@ams-2"]);
    let failure = &world.registered(PREFIX).failures[0];
    let nearest = failure.nearest.as_deref().unwrap_or_default();
    assert!(
        nearest.starts_with("route 203.0.113.0/24 on ams-1"),
        "{failure:#?}"
    );
    let shown = |line: &String| {
        line.contains("203.0.112.0/23 on ams-2") && line.contains("a covering route does not count")
    };
    assert!(failure.evidence.iter().any(shown), "{failure:#?}");
}

#[test]
fn other_metros_do_not_matter_and_inactive_connections_count_as_missing() {
    let mut world = World::new();
    world.announce(&ALL, PREFIX, GOOD);
    world.standing[AMS_2].active = false;
    world.standing[FRA_1].active = false;
    world.register(PREFIX);
    assert_eq!(world.judged(PREFIX).1, ["prefix-not-received@ams-2"]);
    let remedy = &world.registered(PREFIX).failures[0].remedy;
    assert!(remedy.starts_with("wait until ams-2 is Active"), "{remedy}");
    let mut other = world.clone();
    other.policy.ignore_inactive = true;
    other.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Connection(AMS_2)));
    assert_eq!(other.judged(PREFIX).0, ValidationState::Verified);
    // A connection that is no part of the peering does not count at all.
    world.standing[AMS_2] = Standing::NONE;
    world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Peering("amsterdam")));
    assert_eq!(world.judged(PREFIX).0, ValidationState::Verified);
    // But a peering without connections verifies nothing.
    world.standing[AMS_1] = Standing::NONE;
    world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Peering("amsterdam")));
    assert_eq!(world.judged(PREFIX).1, ["prefix-not-received"]);
}

#[test]
fn a_malformed_route_was_not_received() {
    let mut world = World::new();
    world.announce(&[AMS_1, AMS_2], PREFIX, GOOD);
    let seen = world.observed.connections[AMS_2]
        .routes
        .get_mut(&net(PREFIX))
        .expect("announced");
    seen.unusable = Some("malformed-attribute".to_owned());
    world.register(PREFIX);
    assert_eq!(world.judged(PREFIX).1, ["prefix-not-received@ams-2"]);
}

#[test]
fn an_as_set_is_only_told_where_the_switch_says_so() {
    let mut world = World::new();
    world.policy.as_set = topology::Weight::Warn;
    world.announce(&[AMS_1, AMS_2], PREFIX, "64500 {64500} | 8075:8007");
    world.announce(&[AMS_1], PREFIX, GOOD);
    world.register(PREFIX);
    // An AS that is in the path and in the set is there twice.
    assert_eq!(world.judged(PREFIX).1, ["as-path-prepended@ams-2"]);
    world.announce(&[AMS_2], PREFIX, "64500 {64501,64502} | 8075:8007");
    assert_eq!(
        world.judged(PREFIX),
        (ValidationState::Verified, Vec::new())
    );
    let warned = words(world.registered(PREFIX), Severity::Warn);
    assert!(warned.contains(&"as-set@ams-2".to_owned()), "{warned:?}");
}

#[test]
fn an_internal_error_is_all_that_is_known() {
    let mut world = World::new();
    world.healthy = false;
    world.register(PREFIX);
    assert_eq!(
        world.judged(PREFIX),
        (ValidationState::Failed, vec!["internal-error".to_owned()])
    );
    let message = world.registered(PREFIX).message.clone().expect("it failed");
    assert_eq!(
        (message.heading.as_str(), message.documented),
        ("Internal server error", true)
    );
    world.announce(&[AMS_1, AMS_2], PREFIX, GOOD);
    assert_eq!(world.judged(PREFIX).0, ValidationState::Failed);
    world.healthy = true;
    world.act(|prefixes, now, ground| prefixes.changed(now, ground, Changed::Health));
    assert_eq!(world.judged(PREFIX).0, ValidationState::Verified);
}

#[test]
fn all_failures_are_told_and_the_first_heading_is_shown() {
    for (first, second, heading) in [
        (None, "64500 64512 | ", "Prefix not received from IP"),
        (
            Some("64500 64512 | "),
            GOOD,
            "Advertisement missing MAPS community",
        ),
        (
            Some("64500 64512 | 8075:8007"),
            GOOD,
            "AS path isn't correct",
        ),
        (
            Some("64500 64500 | 8075:8007"),
            GOOD,
            "AS path isn't correct",
        ),
        (
            Some("64500 1 2 3 | 8075:8007"),
            GOOD,
            "AS path isn't correct",
        ),
        (
            Some("64500 23456 | 8075:8007"),
            GOOD,
            "AS path isn't correct",
        ),
    ] {
        let mut world = World::new();
        world.route(AMS_1, PREFIX, first);
        world.route(AMS_2, PREFIX, Some(second));
        world.register(PREFIX);
        world.settle();
        let message = world.registered(PREFIX).message.clone().expect("it failed");
        assert_eq!(
            (message.heading.as_str(), message.documented),
            (heading, true)
        );
    }
}
