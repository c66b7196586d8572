//! Registered ASNs: the gates, and V-09 with their keys.

use super::*;
use crate::provider::prefixes::key_of_asn;

const PREFIX: &str = "203.0.113.0/24";

/// The same two metros, at an exchange.
fn exchange() -> World {
    World::of(&TOPOLOGY.replace("\"voice\"", "\"exchange-route-server\""))
}

impl World {
    fn register_asn(&mut self, asn: u32) {
        let peering = Some("amsterdam".to_owned());
        self.request(Request::RegisterAsn { asn, peering });
    }

    /// Reason of the last request, if it was refused.
    fn refusal(&mut self) -> Option<String> {
        match self.facts.pop() {
            Some(Fact::Event { event, summary, .. }) if event == "RequestRefused" => Some(summary),
            _ => None,
        }
    }
}

#[test]
fn an_asn_is_registered_once_and_has_its_key_at_once() {
    let mut world = exchange();
    world.register_asn(64501);
    let told = Fact::RegisteredAsn {
        peering: "amsterdam".to_owned(),
        asn: 64501,
        key: Some(key_of_asn(64501)),
    };
    assert_eq!(world.facts, [told]);
    world.request(Request::RegisterAsn {
        asn: 64501,
        peering: Some("frankfurt".to_owned()),
    });
    assert_eq!(world.refusal().as_deref(), Some("already-registered"));
    world.request(Request::UnregisterAsn { asn: 64501 });
    world.register_asn(64501);
    assert_eq!(world.refusal(), None);
}

#[test]
fn gates_of_registered_asns() {
    let cases = [
        (0, Some("not-an-asn")),
        (23_456, Some("not-an-asn")),
        (64_496, None),
        (64_511, None),
        (64_512, Some("not-an-asn")),
        (65_534, Some("not-an-asn")),
        (65_535, Some("not-an-asn")),
        (4_200_000_000, Some("not-an-asn")),
        (4_294_967_295, Some("not-an-asn")),
    ];
    for (asn, refused) in cases {
        let mut world = exchange();
        world.register_asn(asn);
        assert_eq!(world.refusal().as_deref(), refused, "AS{asn}");
    }
    let mut world = exchange();
    world.standing[AMS_1] = Standing::NONE;
    world.standing[AMS_2] = Standing::NONE;
    world.register_asn(64501);
    assert_eq!(world.refusal().as_deref(), Some("no-active-connection"));
    world.standing[AMS_2] = Standing {
        peering_service: false,
        ..Standing::ACTIVE
    };
    world.register_asn(64501);
    let refusal = world.refusal();
    assert_eq!(refusal.as_deref(), Some("peering-not-for-peering-service"));
    world.standing[AMS_2] = Standing::ACTIVE;
    world.register_asn(64501);
    assert_eq!(world.refusal(), None);
}

#[test]
fn each_profile_registers_its_own() {
    let mut world = World::new();
    world.register_asn(64501);
    assert_eq!(world.refusal().as_deref(), Some("not-in-this-profile"));
    let mut world = exchange();
    world.register(PREFIX);
    assert_eq!(world.refusal().as_deref(), Some("not-in-this-profile"));
    assert_eq!(world.prefixes.registered().count(), 0);
}

#[test]
fn the_key_of_an_asn_is_for_what_it_originates() {
    use ValidationState::{Failed, Verified};
    let member = "64500 64501 | 8075:8007";
    let cases: [(Key, &str, &str, ValidationState, &[&str]); 8] = [
        (Key::Right, member, member, Verified, &[]),
        (Key::OfAsn(64501), member, member, Verified, &[]),
        (
            Key::Given(key_of_asn(64501).to_uppercase()),
            member,
            member,
            Verified,
            &[],
        ),
        (
            Key::OfAsn(64501),
            member,
            GOOD,
            Failed,
            &["wrong-key@ams-2"],
        ),
        (
            Key::OfAsn(64501),
            GOOD,
            GOOD,
            Failed,
            &["wrong-key@ams-1", "wrong-key@ams-2"],
        ),
        (
            Key::OfAnother,
            member,
            member,
            Failed,
            &["wrong-key@ams-1", "wrong-key@ams-2"],
        ),
        // Never registered; the key of a prefix is no ASN's.
        (Key::OfAsn(64503), GOOD, GOOD, Failed, &["wrong-key"]),
        (
            Key::Given(key(net(PREFIX))),
            GOOD,
            GOOD,
            Failed,
            &["wrong-key"],
        ),
    ];
    for (given, first, second, state, reasons) in cases {
        let mut world = exchange();
        world.register_asn(64500);
        world.register_asn(64501);
        world.route(AMS_1, PREFIX, Some(first));
        world.route(AMS_2, PREFIX, Some(second));
        world.activate(PREFIX, "local", given.clone());
        let (found, told) = world.judged_service(PREFIX);
        assert_eq!(
            (found, told),
            (state, reasons.iter().map(ToString::to_string).collect()),
            "{given:?}, {first}, {second}"
        );
    }
}

#[test]
fn what_an_asn_gave_follows_its_registration_and_its_routes() {
    let mut world = exchange();
    let member = "64500 64501 | 8075:8007";
    world.announce(&[AMS_1, AMS_2], PREFIX, member);
    world.activate(PREFIX, "local", Key::OfAsn(64501));
    let failed = |reason: &str| (ValidationState::Failed, vec![reason.to_owned()]);
    let (state, reasons) = world.judged_service(PREFIX);
    assert_eq!(state, ValidationState::Failed);
    assert!(reasons.contains(&"wrong-key".to_owned()), "{reasons:?}");
    world.register_asn(64501);
    assert_eq!(
        world.judged_service(PREFIX),
        (ValidationState::Verified, Vec::new())
    );
    world.policy.after_verified = AfterVerified::Failed;
    world.route(AMS_2, PREFIX, Some(GOOD));
    assert_eq!(world.judged_service(PREFIX), failed("wrong-key@ams-2"));
    world.route(AMS_2, PREFIX, Some(member));
    assert_eq!(world.judged_service(PREFIX).0, ValidationState::Verified);
    world.request(Request::UnregisterAsn { asn: 64501 });
    assert!(
        world
            .judged_service(PREFIX)
            .1
            .contains(&"wrong-key".to_owned())
    );
}
