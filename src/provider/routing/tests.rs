//! The edges' policy over its boundaries, and searched against a second, naive statement of the rules.

use std::net::Ipv4Addr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::bgp::attributes::Attributes;
use crate::bgp::origin_validation::Vrp;
use crate::source::Source;
use crate::topology;

/// The shipped topology of two metros, Amsterdam primary and Frankfurt backup, with a knob of the RPKI.
fn topology(rpki: &str) -> Topology {
    let text = include_str!("../../../topologies/two-metros.toml");
    let text = format!("{text}\n[microsoft.policy]\nrpki = \"{rpki}\"\n");
    topology::parse_kept(&Source::new("two-metros.toml", text)).expect("the shipped topology")
}

fn net(text: &str) -> Ipv4Net {
    text.parse().expect(text)
}

/// 203.0.113.0/24 down to /26 belongs to AS64500.
fn vrps() -> Arc<VrpTable> {
    let vrp = Vrp {
        prefix: IpNet::V4(net("203.0.113.0/24")),
        max_length: 26,
        asn: 64_500,
        trust_anchor: None,
    };
    Arc::new([vrp].into_iter().collect())
}

fn inputs(topology: &Topology, metro: &str, activated: &[Ipv4Net]) -> Inputs {
    let service = &topology.services[0];
    let activated = activated.iter().map(|prefix| (*prefix, service));
    Inputs::of(true, metro, activated, Some(vrps()))
}

/// LOCAL_PREF, or why not.
fn judged(policy: &Policy, prefix: impl Into<IpNet>, path: &[u32]) -> Result<u32, String> {
    let mut route = Attributes::originated(Ipv4Addr::LOCALHOST);
    route.as_path = path.to_vec();
    route.med = Some(50);
    match policy.evaluate(prefix, &route) {
        Ok(shaped) => {
            assert_eq!(shaped.med, None, "a MED of the peer has no say (POL-05)");
            Ok(shaped.local_pref.expect("every accepted route has one"))
        }
        Err(reason) => Err(reason.to_string()),
    }
}

#[test]
fn boundaries() {
    let topology = topology("drop-invalid");
    let activated = [net("203.0.113.0/25")];
    let policy = inputs(&topology, "amsterdam", &activated).import(&topology);
    let accepted: [(&str, &[u32], u32); 5] = [
        ("198.51.100.0/24", &[64_500], 100),
        ("203.0.113.0/24", &[64_500], 100),
        ("203.0.113.0/25", &[64_500], 300),
        ("8.0.0.0/8", &[64_500], 100),
        ("198.51.100.0/24", &[64_500, 64_500, 64_500, 64_499], 100),
    ];
    for (prefix, path, preference) in accepted {
        assert_eq!(
            judged(&policy, net(prefix), path),
            Ok(preference),
            "{prefix}"
        );
    }
    let refused: [(&str, &[u32], &str); 20] = [
        ("0.0.0.0/0", &[64_500], "default-route"),
        ("8.0.0.0/7", &[64_500], "bogon-prefix"),
        ("10.0.0.0/8", &[64_500], "bogon-prefix"),
        ("10.255.255.0/24", &[64_500], "bogon-prefix"),
        ("100.127.255.0/24", &[64_500], "bogon-prefix"),
        ("198.19.255.0/24", &[64_500], "bogon-prefix"),
        ("224.0.0.0/24", &[64_500], "bogon-prefix"),
        ("198.51.100.0/24", &[64_500, 12_076], "as12076-in-path"),
        (
            "198.51.100.0/24",
            &[64_500, 12_076, 64_499],
            "as12076-in-path",
        ),
        ("198.51.100.0/24", &[64_500, 64_512], "private-asn-in-path"),
        ("198.51.100.0/24", &[64_500, 65_534], "private-asn-in-path"),
        (
            "198.51.100.0/24",
            &[64_500, 4_200_000_000],
            "private-asn-in-path",
        ),
        (
            "198.51.100.0/24",
            &[64_500, 4_294_967_294],
            "private-asn-in-path",
        ),
        ("198.51.100.0/24", &[64_500, 23_456], "special-asn-in-path"),
        ("198.51.100.0/24", &[64_500, 65_535], "special-asn-in-path"),
        (
            "198.51.100.0/24",
            &[64_500, 4_294_967_295],
            "special-asn-in-path",
        ),
        ("203.0.113.0/24", &[64_500, 64_501], "rpki-invalid"),
        ("203.0.113.0/27", &[64_500], "rpki-invalid"),
        (
            "203.0.113.128/25",
            &[64_500],
            "longer-than-24-not-activated",
        ),
        ("198.51.100.1/32", &[64_500], "longer-than-24-not-activated"),
    ];
    for (prefix, path, reason) in refused {
        let told = judged(&policy, net(prefix), path);
        assert_eq!(told, Err(reason.to_owned()), "{prefix} {path:?}");
    }
}

#[test]
fn an_activated_prefix_is_used_in_its_locations_only() {
    let mut topology = topology("off");
    let prefix = net("203.0.113.0/24");
    let at = |topology: &Topology, metro: &str| {
        let policy = inputs(topology, metro, &[prefix]).import(topology);
        judged(&policy, prefix, &[64_500])
    };
    assert_eq!(at(&topology, "amsterdam"), Ok(300));
    assert_eq!(at(&topology, "frankfurt"), Ok(200));
    topology.services[0].backup = None;
    assert_eq!(
        at(&topology, "frankfurt"),
        Err("not-a-location-of-the-service".to_owned())
    );
}

#[test]
fn the_same_for_ipv6() {
    let topology = topology("drop-invalid");
    let policy = inputs(&topology, "amsterdam", &[]).import(&topology);
    for (prefix, path, expected) in [
        ("2a01:100::/32", &[64_500][..], Ok(100)),
        ("2a01:100::/48", &[64_500], Ok(100)),
        ("2001:db8:51::/48", &[64_500], Ok(100)),
        ("2a01:100::/49", &[64_500], Err("longer-than-48")),
        ("::/0", &[64_500], Err("default-route")),
        ("2000::/3", &[64_500], Err("bogon-prefix")),
        ("2a00::/15", &[64_500], Err("bogon-prefix")),
        ("fd00::/48", &[64_500], Err("bogon-prefix")),
        ("4000::/16", &[64_500], Err("bogon-prefix")),
        ("2002::/16", &[64_500], Err("bogon-prefix")),
        ("2001:2::/48", &[64_500], Err("bogon-prefix")),
        ("2001:4::/48", &[64_500], Err("bogon-prefix")),
        ("2001:3::/32", &[64_500], Ok(100)),
        ("2001:4:112::/48", &[64_500], Ok(100)),
        ("2a01:100::/32", &[64_500, 12_076], Err("as12076-in-path")),
        (
            "2a01:100::/32",
            &[64_500, 64_512],
            Err("private-asn-in-path"),
        ),
    ] {
        let told = judged(&policy, prefix.parse::<IpNet>().expect(prefix), path);
        assert_eq!(told, expected.map_err(str::to_owned), "{prefix} {path:?}");
    }
}

#[test]
fn a_route_about_to_go_is_used_last() {
    let topology = topology("off");
    let prefix = net("203.0.113.0/24");
    let policy = inputs(&topology, "amsterdam", &[prefix]).import(&topology);
    let mut route = Attributes::originated(Ipv4Addr::LOCALHOST);
    route.as_path = vec![64_500];
    route.communities = vec![0xffff_0000];
    let shaped = policy.evaluate(prefix, &route).expect("accepted");
    assert_eq!(shaped.local_pref, Some(0));
    let long = policy.evaluate(net("203.0.113.0/25"), &route);
    assert_eq!(
        long.err().map(|reason| &**reason),
        Some("longer-than-24-not-activated")
    );
}

#[test]
fn reasons_of_the_voice_profile_have_stable_names() {
    let topology = topology("off");
    let reasons = topology.policies.reasons(&topology.profile.import);
    let stable = [
        "as12076-in-path",
        "bogon-prefix",
        "deny-all",
        "default-route",
        "longer-than-24-not-activated",
        "longer-than-48",
        "not-a-location-of-the-service",
        "private-asn-in-path",
        "rpki-invalid",
        "rpki-not-valid",
        "special-asn-in-path",
    ];
    assert_eq!(reasons, stable.into());
}

#[test]
fn a_router_of_the_peer_has_the_policies_that_a_topology_gives_it() {
    let text = include_str!("../../../topologies/one-metro-peer-policies.toml");
    let topology = topology::parse_kept(&Source::new("one-metro-peer-policies.toml", text));
    let topology = topology.expect("the shipped topology");
    let export = |connection: usize, prefix: &str| {
        let (_, export) = of_peer(&topology, &topology.connections[connection], None);
        let route = Attributes::originated(Ipv4Addr::LOCALHOST);
        let told = export.evaluate(net(prefix), &route);
        told.map(|out| (out.community_texts(), out.as_path))
            .map_err(ToString::to_string)
    };
    let voice = || vec!["8075:8007".to_owned()];
    assert_eq!(export(0, "203.0.113.0/25"), Ok((voice(), vec![])));
    assert_eq!(export(0, "192.0.2.0/24"), Err("not-ours".to_owned()));
    // What a connection says stands before what its router says.
    assert_eq!(
        export(1, "203.0.113.0/24"),
        Ok((voice(), vec![64_500, 64_500]))
    );
    assert_eq!(
        export(1, "203.0.113.0/25"),
        Err("too-long-for-transit".to_owned())
    );
}

#[test]
fn a_router_of_the_peer_asks_the_rpki_as_the_edges_do() {
    let text = include_str!("../../../topologies/one-metro-peer-policies.toml");
    let text = format!(
        "{text}\nrehearsed = [{{ rpki = \"invalid\", reject = \"rpki-invalid\" }}, \
         {{ rpki = \"valid\", local-preference = 200 }}, {{ accept = true }}]\n"
    );
    let topology = topology::parse_kept(&Source::new("one-metro-peer-policies.toml", text));
    let topology = topology.expect("the shipped topology, with another policy");
    let invalid = || Err("rpki-invalid".to_owned());
    // The path is empty where a route is the router's own, or its core's: AS 64500 is its origin.
    for (prefix, path, told, without) in [
        ("203.0.113.0/24", &[][..], Ok(Some(200)), Ok(None)),
        ("203.0.113.0/27", &[], invalid(), Ok(None)),
        ("203.0.113.0/24", &[8075, 64_501], invalid(), Ok(None)),
        ("198.51.100.0/24", &[], Ok(None), Ok(None)),
    ] {
        for (vrps, expected) in [(Some(vrps()), told), (None, without)] {
            let policy = named_of_peer(&topology, "rehearsed", vrps.as_ref());
            let mut route = Attributes::originated(Ipv4Addr::LOCALHOST);
            route.as_path = path.to_vec();
            let said = policy.evaluate(net(prefix), &route);
            let said = said.map(|out| out.local_pref).map_err(ToString::to_string);
            assert_eq!(said, expected, "{prefix} {path:?}");
        }
    }
}

#[test]
fn the_knob_of_the_rpki() {
    let valid = ("203.0.113.0/24", 64_500);
    let invalid = ("203.0.113.0/24", 64_501);
    let unknown = ("198.51.100.0/24", 64_500);
    for (knob, refused) in [
        ("off", [None, None, None]),
        ("mark", [None, None, None]),
        ("drop-invalid", [None, Some("rpki-invalid"), None]),
        (
            "require-valid",
            [None, Some("rpki-not-valid"), Some("rpki-not-valid")],
        ),
    ] {
        let topology = topology(knob);
        let policy = inputs(&topology, "amsterdam", &[]).import(&topology);
        for ((prefix, origin), reason) in [valid, invalid, unknown].into_iter().zip(refused) {
            let told = judged(&policy, net(prefix), &[64_500, origin]).err();
            assert_eq!(told.as_deref(), reason, "{knob}: {prefix} from AS{origin}");
        }
    }
}

#[test]
fn without_rpki_data_every_route_is_not_found() {
    let expected = [
        ("off", Ok(100)),
        ("mark", Ok(100)),
        ("drop-invalid", Ok(100)),
        ("require-valid", Err("rpki-not-valid".to_owned())),
    ];
    for (knob, expected) in expected {
        let topology = topology(knob);
        for vrps in [None, Some(Arc::default())] {
            let inputs = Inputs {
                vrps,
                ..inputs(&topology, "amsterdam", &[])
            };
            let told = judged(
                &inputs.import(&topology),
                net("203.0.113.0/24"),
                &[64_500, 64_501],
            );
            assert_eq!(told, expected, "{knob}");
        }
    }
}

#[test]
fn nothing_is_exchanged_before_a_connection_is_active() {
    let topology = topology("off");
    let inputs = Inputs {
        active: false,
        ..inputs(&topology, "amsterdam", &[net("198.51.100.0/24")])
    };
    let deny = Err("deny-all".to_owned());
    let prefix = net("198.51.100.0/24");
    assert_eq!(judged(&inputs.import(&topology), prefix, &[64_500]), deny);
    assert_eq!(judged(&inputs.export(&topology), prefix, &[]), deny);
}

/// The rules once more, said plainly: no sets, no ranges of lengths, no order of tables.
fn naive(
    prefix: Ipv4Net,
    path: &[u32],
    metro: &str,
    activated: &[Ipv4Net],
) -> Result<u32, &'static str> {
    let first = u32::from(prefix.network());
    let inside = |block: &str| net(block).contains(&prefix);
    if prefix.prefix_len() == 0 {
        return Err("default-route");
    }
    let nobodys = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ];
    if prefix.prefix_len() < 8 || nobodys.into_iter().any(inside) {
        return Err("bogon-prefix");
    }
    if path.contains(&12_076) {
        return Err("as12076-in-path");
    }
    let private =
        |asn: &u32| *asn >= 64_512 && *asn <= 65_534 || *asn >= 4_200_000_000 && *asn < u32::MAX;
    if path.iter().any(private) {
        return Err("private-asn-in-path");
    }
    let special = |asn: &u32| {
        [0, 23_456, 65_535, u32::MAX].contains(asn) || *asn >= 65_552 && *asn <= 131_071
    };
    if path.iter().any(special) {
        return Err("special-asn-in-path");
    }
    let covered =
        first >> 8 == u32::from(Ipv4Addr::new(203, 0, 113, 0)) >> 8 && prefix.prefix_len() >= 24;
    if covered && (path.last() != Some(&64_500) || prefix.prefix_len() > 26) {
        return Err("rpki-invalid");
    }
    if activated.contains(&prefix) {
        return Ok(if metro == "amsterdam" { 300 } else { 200 });
    }
    if prefix.prefix_len() > 24 {
        return Err("longer-than-24-not-activated");
    }
    Ok(100)
}

/// Prefixes near the boundaries of the rules.
fn prefixes() -> impl Strategy<Value = Ipv4Net> {
    let blocks = prop::sample::select(vec![
        [203, 0, 113, 0],
        [198, 51, 100, 0],
        [10, 0, 0, 0],
        [100, 64, 0, 0],
        [172, 31, 0, 0],
        [198, 18, 0, 0],
        [11, 0, 0, 0],
        [223, 255, 255, 0],
        [224, 0, 0, 0],
    ]);
    (blocks, any::<u8>(), 0_u8..=32).prop_map(|(mut octets, last, length)| {
        octets[3] = last;
        let address = Ipv4Addr::from(octets);
        Ipv4Net::new(address, length).expect("a length").trunc()
    })
}

fn paths() -> impl Strategy<Value = Vec<u32>> {
    let asn = prop::sample::select(vec![
        64_500,
        64_501,
        12_076,
        64_511,
        64_512,
        65_534,
        65_535,
        65_536,
        65_551,
        65_552,
        131_071,
        131_072,
        23_456,
        4_199_999_999,
        4_200_000_000,
        4_294_967_294,
        4_294_967_295,
        0,
        3320,
    ]);
    prop::collection::vec(asn, 0..4).prop_map(|behind| {
        let mut path = vec![64_500];
        path.extend(behind);
        path
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_policy_says_what_the_rules_say(
        prefix in prefixes(),
        path in paths(),
        metro in prop::sample::select(vec!["amsterdam", "frankfurt"]),
        activate in any::<bool>(),
        others in prop::collection::vec(prefixes(), 0..3),
    ) {
        let topology = topology("drop-invalid");
        let mut activated = others;
        if activate {
            activated.push(prefix);
        }
        let policy = inputs(&topology, metro, &activated).import(&topology);
        let said = naive(prefix, &path, metro, &activated).map_err(str::to_owned);
        prop_assert_eq!(judged(&policy, prefix, &path), said);
    }
}
