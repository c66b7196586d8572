//! What is told to do, and the lines for the device in use.

use super::*;

const PREFIX: &str = "203.0.113.0/24";

/// The lines for a wrong route on ams-2 while its router is played by a device.
fn lines(device: DeviceKind, text: Option<&str>) -> String {
    let mut world = World::new();
    world.devices.insert("ams-pe-2".to_owned(), device);
    world.announce(&[AMS_1], PREFIX, GOOD);
    world.route(AMS_2, PREFIX, text);
    world.register(PREFIX);
    world.settle();
    let failures = &world.registered(PREFIX).failures;
    let failure = failures.iter().find(|failure| failure.connection.is_some());
    let failure = failure.expect("it is wrong");
    assert_eq!(failure.connection.as_deref(), Some("ams-2"));
    assert!(
        !failure.remedy.is_empty() && !failure.evidence.is_empty(),
        "{failure:#?}"
    );
    failure.config.join("\n")
}

#[test]
fn settings_of_a_router_are_told_as_lines_of_its_configuration() {
    use DeviceKind::{Bird, Frr, Other, Simulated};
    for (text, device, line) in [
        (
            None,
            Simulated,
            r#"announce = { prefix = "203.0.113.0/24", from = "ams-2" }"#,
        ),
        (None, Bird, "if net = 203.0.113.0/24 then accept;"),
        (None, Frr, "  network 203.0.113.0/24"),
        (
            None,
            Other,
            "neighbor 192.0.2.3 AS8075, export: announce 203.0.113.0/24",
        ),
        (
            Some("64500 64501 | 64500:1 8075:8007:0"),
            Simulated,
            r#"as-path = [64500, 64501], communities = ["8075:8007", "64500:1"] }"#,
        ),
        (Some("64500 | "), Bird, "bgp_community.add((8075,8007));"),
        (Some("64500 | "), Bird, "neighbor 192.0.2.3 as 8075"),
        (Some("64500 | "), Frr, " set community 8075:8007 additive"),
        (Some("64500 | "), Frr, "  neighbor 192.0.2.3 send-community"),
        (Some("64500 | "), Other, "send communities"),
        (
            Some("64500 64500 | 8075:8007"),
            Simulated,
            r#"from = "ams-2" }"#,
        ),
        (Some("64500 64500 | 8075:8007"), Bird, "bgp_path.prepend"),
        (
            Some("64500 64500 | 8075:8007"),
            Frr,
            " no set as-path prepend",
        ),
        (
            Some("64500 64512 | 8075:8007"),
            Bird,
            "bgp_path.delete([64512]);",
        ),
        (
            Some("64500 4200000000 64512 | 8075:8007"),
            Frr,
            " set as-path exclude 64512 4200000000",
        ),
        (
            Some("64500 23456 | 8075:8007"),
            Frr,
            " set as-path exclude 23456",
        ),
        (
            Some("64500 64501 64502 64503 | 8075:8007"),
            Bird,
            "bgp_path.delete([64501, 64502, 64503]);",
        ),
        (
            Some("64500 {64501} | 8075:8007"),
            Frr,
            "aggregate-address 203.0.113.0/24",
        ),
    ] {
        let found = lines(device, text);
        assert!(
            found.contains(line),
            "{text:?} {device:?}: `{line}` is not in\n{found}"
        );
    }
}

#[test]
fn every_reason_has_its_stable_name_check_heading_and_remedy() {
    let mut names: Vec<&str> = Reason::ALL.map(Reason::name).to_vec();
    for name in &names {
        assert_eq!(Reason::of(name).map(Reason::name), Some(*name));
    }
    names.sort_unstable();
    let mut stable = crate::provider::reason::OF_PREFIXES.to_vec();
    stable.sort_unstable();
    assert_eq!(names, stable);
}

#[test]
fn documented_headings_are_those_of_the_articles() {
    let documented = |kind| -> Vec<&str> {
        let headings = Reason::ALL.iter().map(|reason| reason.heading(kind));
        let mut told: Vec<&str> = headings
            .filter(|(_, documented)| *documented)
            .map(|(heading, _)| heading)
            .collect();
        told.dedup();
        told
    };
    let registered = documented(Kind::Registered);
    for heading in [
        "Prefix not received from IP",
        "Advertisement missing MAPS community",
        "AS path isn't correct",
        "Internal server error",
    ] {
        assert!(registered.contains(&heading), "{heading}");
    }
    let service = documented(Kind::Service);
    for heading in [
        "Provider has fewer than two sessions in its primary location",
        "Provider has no sessions in its backup location",
        "Peering service prefix is invalid",
        "Not receiving prefix advertisement from IP for prefix",
        "Received route for prefix should have the Peering Service community 8075:8007",
        "AS path length for prefix should be <=3 for prefix",
        "AS path for prefix can't include private ASNs",
        "Peering service provider not found",
        "Internal server error",
        "Prefix overlaps with an existing prefix",
    ] {
        assert!(service.contains(&heading), "{heading}");
    }
    assert_eq!(service.len(), 10, "{service:?}");
}
