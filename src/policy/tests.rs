//! Every key once and what it comes to; what is written is read again; mistakes are in `tests/fixtures/files`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::bgp::attributes::{Attributes, LargeCommunity};
use crate::bgp::origin_validation::{Vrp, VrpTable};
use crate::bgp::policy::{Policy, Verdict};
use crate::source::{Diagnostics, Source, read};

/// A file of policies alone.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    policy: RawPolicies,
    #[serde(default)]
    prefix_set: RawSets,
    #[serde(default)]
    asn_set: RawSets,
}

fn parse(text: &str) -> Result<Policies, Diagnostics> {
    let (raw, mut mistakes) = read::<File>(&Source::new("policies.toml", text));
    let policies = raw.map(|raw| {
        let none = Policies::default();
        none.with(&raw.policy, &raw.prefix_set, &raw.asn_set, &mut mistakes)
    });
    mistakes.finish(policies)
}

fn policies(text: &str) -> Policies {
    parse(text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn net(text: &str) -> IpNet {
    text.parse().expect(text)
}

fn route(path: &[u32]) -> Attributes {
    let mut route = Attributes::originated(Ipv4Addr::LOCALHOST);
    route.as_path = path.to_vec();
    route.communities = vec![8075 << 16 | 8007, 64_500 << 16 | 1, 0xffff_0000];
    route.large_communities = vec![LargeCommunity {
        global: 8075,
        local_1: 8007,
        local_2: 0,
    }];
    route.extended_communities = vec![0x0002_1f8b_0000_1f47];
    route
}

/// AS 64500 on 203.0.113.0/24; the sets `peer` and `private`; the switch says that invalid routes are dropped.
fn meaning() -> Meaning {
    let vrp = Vrp {
        prefix: net("203.0.113.0/24"),
        max_length: 24,
        asn: 64_500,
        trust_anchor: None,
    };
    Meaning {
        own_asn: 64_500,
        circumstances: [Circumstance::RpkiDropInvalid].into(),
        prefixes: [("peer", vec![PrefixRange::exact(net("198.51.100.0/24"))])].into(),
        asns: [("private", vec![64_512..=65_534])].into(),
        vrps: Some(Arc::new([vrp].into_iter().collect::<VrpTable>())),
    }
}

/// Whether a rule with this match applies.
fn matches(of: &str, prefix: &str, path: &[u32]) -> bool {
    let text = format!(
        "[prefix-set]\nours = [\"192.0.2.0/24+\", \"2001:db8::/32{{48,64}}\"]\n[asn-set]\nfriends = [3320, \"10..20\"]\n\
         [policy]\np = [{{ {of}, reject = \"matched\" }}, {{ accept = true }}]\n"
    );
    let policy = policies(&text).instantiate("p", &meaning());
    policy.evaluate(net(prefix), &route(path)).is_err()
}

#[test]
fn well_known_communities_have_names() {
    for (name, value) in [
        ("no-export-subconfed", 0xffff_ff03_u32),
        ("no-peer", 0xffff_ff04),
    ] {
        let text = format!("[policy]\np = [{{ add-communities = \"{name}\", accept = true }}]\n");
        let policy = policies(&text).instantiate("p", &meaning());
        let shaped = policy.evaluate(net("198.51.100.0/24"), &route(&[64_500]));
        assert!(shaped.expect("accepted").communities.contains(&value));
    }
}

#[test]
fn every_match_holds_where_it_should() {
    let p = "198.51.100.0/24";
    let path: &[u32] = &[64_500, 3320];
    let cases: [(&str, &str, &[u32], bool); 50] = [
        ("if = \"rpki-drop-invalid\"", p, path, true),
        ("if = \"inactive\"", p, path, false),
        ("not = { if = \"inactive\" }", p, path, true),
        ("family = \"ipv4\"", p, path, true),
        ("family = \"ipv6\"", p, path, false),
        ("family = \"ipv6\"", "2001:db8::/32", path, true),
        ("prefix = \"198.51.100.0/24\"", p, path, true),
        ("prefix = \"198.51.0.0/16\"", p, path, false),
        ("prefix = \"198.51.0.0/16+\"", p, path, true),
        ("prefix = \"198.51.0.0/16{25,32}\"", p, path, false),
        ("prefix = \"198.51.0.0/16{16,24}\"", p, path, true),
        ("prefix = [\"10.0.0.0/8\", \"peer\"]", p, path, true),
        ("prefix = \"ours\"", p, path, false),
        ("prefix = \"ours\"", "192.0.2.1/32", path, true),
        ("prefix = \"ours\"", "2001:db8::/48", path, true),
        ("prefix = \"ours\"", "2001:db8::/32", path, false),
        ("prefix = \"::/0+\"", p, path, false),
        ("prefix-length = 24", p, path, true),
        ("prefix-length = \"25..\"", p, path, false),
        ("prefix-length = \"25..\"", "2001:db8::/48", path, true),
        ("prefix-length = \"..24\"", p, path, true),
        ("as-path-length = 2", p, path, true),
        ("as-path-length = \"3..\"", p, path, false),
        ("as-path-length = \"..3\"", p, &[], true),
        ("as-path-contains = 3320", p, path, true),
        ("as-path-contains = \"3319..3321\"", p, path, true),
        ("as-path-contains = [1, \"private\"]", p, path, false),
        (
            "as-path-contains = \"private\"",
            p,
            &[64_500, 64_512, 1],
            true,
        ),
        ("as-path-contains = \"friends\"", p, &[15, 1], true),
        ("origin-asn = 3320", p, path, true),
        ("origin-asn = 64500", p, path, false),
        ("origin-asn = \"friends\"", p, path, true),
        ("community = \"8075:8007\"", p, path, true),
        ("community = \"8075:*\"", p, path, true),
        ("community = \"8076:*\"", p, path, false),
        ("community = \"graceful-shutdown\"", p, path, true),
        ("community = [\"no-export\", \"*:1\"]", p, path, true),
        ("community = \"8075:8007:0\"", p, path, true),
        ("community = \"8075:*:1\"", p, path, false),
        ("community = \"rt:8075:8007\"", p, path, true),
        ("community = \"rt:8075:*\"", p, path, true),
        ("community = \"ro:8075:*\"", p, path, false),
        ("rpki = \"invalid\"", "203.0.113.0/24", path, true),
        ("rpki = \"invalid-as\"", "203.0.113.0/24", path, true),
        ("rpki = \"invalid-length\"", "203.0.113.0/24", path, false),
        ("rpki = [\"valid\", \"not-found\"]", p, path, true),
        (
            "not = { family = \"ipv4\", prefix-length = 25 }",
            p,
            path,
            true,
        ),
        (
            "not = { family = \"ipv4\", prefix-length = 24 }",
            p,
            path,
            false,
        ),
        (
            "any = [{ prefix-length = 25 }, { origin-asn = 3320 }]",
            p,
            path,
            true,
        ),
        (
            "any = [{ prefix-length = 24, origin-asn = 1 }]",
            p,
            path,
            false,
        ),
    ];
    for (of, prefix, path, expected) in cases {
        assert_eq!(
            matches(of, prefix, path),
            expected,
            "{of}: {prefix} {path:?}"
        );
    }
}

#[test]
fn changes_are_made_in_their_order() {
    let text = "[policy]\np = [{ set-communities = [\"1:1\", \"8075:8007\"], remove-communities = \"8075:*\", \
                add-communities = [\"no-export\", \"rt:1:2\"], local-preference = 50, med = 7, prepend = 2 }, \
                { prepend = [1, 2], med = \"remove\", accept = true }]\n";
    let policy = policies(text).instantiate("p", &meaning());
    let out = policy.evaluate(net("198.51.100.0/24"), &route(&[3320]));
    let out = out.expect("accepted");
    assert_eq!(out.community_texts(), ["1:1", "65535:65281", "rt:1:2"]);
    assert_eq!((out.local_pref, out.med), (Some(50), None));
    assert_eq!(out.as_path, [1, 2, 64_500, 64_500, 3320]);
    let text = "[policy]\np = [{ set-communities = [], accept = true }]\n";
    let policy = policies(text).instantiate("p", &meaning());
    let out = policy.evaluate(net("198.51.100.0/24"), &route(&[]));
    assert!(out.expect("accepted").community_texts().is_empty());
}

#[test]
fn a_pattern_of_communities_is_printed_as_it_was_written() {
    for text in [
        "rt:*:*",
        "ro:*:*",
        "rt:0:*",
        "rt:8075:*",
        "ro:192.0.2.1:*",
        "rt:65536:*",
        "rt:8075:8007",
        "*:*",
        "8075:*",
        "*:*:*",
        "no-export",
    ] {
        let pattern = text::community(text).map(|pattern| pattern.to_string());
        assert_eq!(pattern.ok().as_deref(), Some(text));
    }
    for text in ["rt:*:5", "rt:*", "rt:*:*:*", "xx:*:*x"] {
        assert!(text::community(text).is_err(), "{text}");
    }
    assert!(text::one_community("rt:*:*").is_err());
}

#[test]
fn a_subtype_is_matched_whoever_administers_it() {
    // Two octets of AS, IPv4 address, four octets of AS; then an origin, an opaque one and one that is not transitive.
    for (community, rt) in [
        (0x0002_1f8b_0000_1f47, true),
        (0x0102_c000_0201_0007, true),
        (0x0202_0001_0000_0001, true),
        (0x0202_0000_1f8b_0001, true),
        (0x0003_1f8b_0000_1f47, false),
        (0x0302_0000_0000_0001, false),
        (0x4002_1f8b_0000_1f47, false),
    ] {
        let text = "[policy]\np = [{ community = \"rt:*:*\", remove-communities = \"rt:*:*\", local-preference = 7 }, \
                    { accept = true }]\n";
        let policy = policies(text).instantiate("p", &meaning());
        let mut came = route(&[]);
        came.extended_communities = vec![community];
        let out = policy.evaluate(net("198.51.100.0/24"), &came);
        let out = out.expect("accepted");
        assert_eq!(out.local_pref == Some(7), rt, "{community:#018x}");
        assert_eq!(out.extended_communities.is_empty(), rt, "{community:#018x}");
    }
}

#[test]
fn a_policy_applies_another() {
    let text = "[policy]\n\
        outer = [{ family = \"ipv6\", med = 5, apply = \"inner\" }, { prefix-length = 24, apply = \"inner\" }, \
                 { reject = \"outer\" }]\n\
        inner = [{ origin-asn = 1, reject = \"inner\" }, { if = \"inactive\", accept = true }, \
                 { local-preference = 9, apply = \"last\" }]\n\
        last = [{ accept = true }]\n";
    let all = policies(text);
    let policy = all.instantiate("outer", &meaning());
    let told = |prefix: &str, path: &[u32]| match policy.evaluate(net(prefix), &route(path)) {
        Ok(out) => Ok((out.med, out.local_pref)),
        Err(reason) => Err(reason.to_string()),
    };
    assert_eq!(told("2001:db8::/32", &[2]), Ok((Some(5), Some(9))));
    assert_eq!(told("2001:db8::/32", &[1]), Err("inner".to_owned()));
    assert_eq!(told("198.51.100.0/24", &[2]), Ok((None, Some(9))));
    assert_eq!(told("198.51.100.0/25", &[2]), Err("outer".to_owned()));
    assert_eq!(Vec::from_iter(all.reasons("outer")), ["inner", "outer"]);
    assert_eq!(Vec::from_iter(all.reasons("last")), [""; 0]);
    let unknown = all.instantiate("none", &meaning());
    assert_eq!(
        unknown,
        Policy {
            vrps: meaning().vrps,
            own_asn: Some(64_500),
            ..Policy::deny_all()
        }
    );
}

#[test]
fn what_cannot_hold_now_is_not_there() {
    let text = "[policy]\np = [{ if = \"inactive\", reject = \"deny-all\" }, { med = \"remove\" }, { accept = true }]\n";
    let mut meaning = meaning();
    let policy = policies(text).instantiate("p", &meaning);
    assert_eq!(policy.to_string(), "remove med\naccept");
    meaning.circumstances.insert(Circumstance::Inactive);
    let policy = policies(text).instantiate("p", &meaning);
    assert_eq!(policy.to_string(), "reject deny-all");
    assert_eq!(policy.otherwise, Verdict::Reject("deny-all".into()));
}

#[test]
fn a_policy_of_the_same_name_stands_instead() {
    let base = policies("[policy]\na = [{ apply = \"b\" }]\nb = [{ reject = \"old\" }]\n");
    let source = Source::new("p.toml", "[policy]\nb = [{ reject = \"new\" }]\n");
    let (raw, mut mistakes) = read::<File>(&source);
    let raw = raw.expect("readable");
    let both = base.with(&raw.policy, &raw.prefix_set, &raw.asn_set, &mut mistakes);
    assert_eq!(Vec::from_iter(both.reasons("a")), ["new"]);
    // The new one may close a circle with an old one.
    let source = Source::new("p.toml", "[policy]\nb = [{ apply = \"a\" }]\n");
    let (raw, mut mistakes) = read::<File>(&source);
    let raw = raw.expect("readable");
    let both = base.with(&raw.policy, &raw.prefix_set, &raw.asn_set, &mut mistakes);
    let told = mistakes
        .finish(Some(both))
        .expect_err("a circle")
        .to_string();
    assert!(told.contains("b → a → b"), "{told}");
}

#[test]
fn a_policy_that_grows_without_end_is_a_mistake() {
    let mut text = "[policy]\np0 = [{ accept = true }]\n".to_owned();
    for n in 1..64 {
        let before = n - 1;
        text += &format!(
            "p{n} = [{{ med = 1, prefix-length = 1, apply = \"p{before}\" }}, {{ apply = \"p{before}\" }}]\n"
        );
    }
    let told = parse(&text).expect_err("too long").to_string();
    assert!(told.contains("more than 10000 rules"), "{told}");
}

fn prefix_range() -> impl Strategy<Value = PrefixRange> {
    let ipv4 = (any::<u32>(), 0..=32_u8).prop_map(|(bits, length)| {
        IpNet::from(Ipv4Net::new(Ipv4Addr::from(bits), length).expect("a length"))
    });
    let ipv6 = (any::<u128>(), 0..=128_u8).prop_map(|(bits, length)| {
        IpNet::from(Ipv6Net::new(Ipv6Addr::from(bits), length).expect("a length"))
    });
    (prop_oneof![ipv4, ipv6], any::<[u8; 2]>()).prop_map(|(net, [a, b])| {
        let room = net.max_prefix_len() - net.prefix_len() + 1;
        let (a, b) = (a % room, b % room);
        let own = net.prefix_len();
        PrefixRange {
            prefix: net.trunc(),
            lengths: own + a.min(b)..=own + a.max(b),
        }
    })
}

fn asn_range() -> impl Strategy<Value = RangeInclusive<u32>> {
    any::<[u32; 2]>().prop_map(|[a, b]| a.min(b)..=a.max(b))
}

fn community() -> impl Strategy<Value = Community> {
    let large = any::<[u32; 3]>().prop_map(|[global, local_1, local_2]| {
        Community::Large(LargeCommunity {
            global,
            local_1,
            local_2,
        })
    });
    let extended = prop_oneof![
        any::<u64>(),
        any::<u32>().prop_map(|n| 2 << 48 | u64::from(n))
    ];
    prop_oneof![
        any::<u32>().prop_map(Community::Standard),
        (0xffff_0000..=0xffff_ffff_u32).prop_map(Community::Standard),
        large,
        extended.prop_map(Community::Extended),
    ]
}

fn pattern() -> impl Strategy<Value = CommunityPattern> {
    prop_oneof![
        community().prop_map(CommunityPattern::from),
        any::<[Option<u16>; 2]>().prop_map(CommunityPattern::Standard),
        any::<[Option<u32>; 3]>().prop_map(CommunityPattern::Large),
        any::<u16>().prop_map(|asn| CommunityPattern::Extended {
            value: 2 << 48 | u64::from(asn) << 32,
            mask: !0xffff_ffff,
        }),
        (2..=3_u8).prop_map(CommunityPattern::ExtendedSubtype),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let prefixes = prop_oneof![
        prefix_range().prop_map(Prefixes::Range),
        Just(Prefixes::Set("bogons".to_owned())),
        Just(Prefixes::Set("mine".to_owned())),
    ];
    let asns = || {
        let one = prop_oneof![
            asn_range().prop_map(Asns::Range),
            Just(Asns::Set("private".to_owned())),
        ];
        vec(one, 1..3)
    };
    let family = prop_oneof![Just(Family::Ipv4Unicast), Just(Family::Ipv6Unicast)];
    let leaf = prop_oneof![
        prop::sample::select(Circumstance::NAMES.to_vec()).prop_map(|(_, c)| Condition::If(c)),
        family.prop_map(Condition::Family),
        vec(prefixes, 1..4).prop_map(Condition::Prefix),
        (0..=32_u8, 0..=32_u8).prop_map(|(a, b)| Condition::PrefixLength(a.min(b)..=a.max(b))),
        asn_range().prop_map(|r| Condition::PathLength(*r.start() as usize..=*r.end() as usize)),
        Just(Condition::PathLength(4..=u32::MAX as usize)),
        asns().prop_map(Condition::PathContains),
        asns().prop_map(Condition::Origin),
        vec(pattern(), 1..3).prop_map(Condition::Community),
        prop::sample::select(Rpki::NAMES.to_vec()).prop_map(|(_, r)| Condition::Rpki(vec![r])),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(|list| Condition::Not(in_order(list))),
            vec(vec(inner, 1..3).prop_map(in_order), 1..3).prop_map(Condition::Any),
        ]
    })
}

/// Conditions as a file has them: each key once, in the order of the keys.
fn in_order(mut list: Vec<Condition>) -> Vec<Condition> {
    let key = |of: &Condition| match of {
        Condition::If(_) => 0,
        Condition::Family(_) => 1,
        Condition::Prefix(_) => 2,
        Condition::PrefixLength(_) => 3,
        Condition::PathLength(_) => 4,
        Condition::PathContains(_) => 5,
        Condition::Origin(_) => 6,
        Condition::Community(_) => 7,
        Condition::Rpki(_) => 8,
        Condition::Not(_) => 9,
        Condition::Any(_) => 10,
    };
    list.sort_by_key(key);
    list.dedup_by_key(|of| key(of));
    list
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        vec(community(), 0..3).prop_map(Change::SetCommunities),
        vec(pattern(), 1..3).prop_map(Change::RemoveCommunities),
        vec(community(), 1..3).prop_map(Change::AddCommunities),
        any::<u32>().prop_map(Change::LocalPreference),
        any::<Option<u32>>().prop_map(Change::Med),
        (1..=32_u8).prop_map(Change::PrependOwn),
        vec(any::<u32>(), 1..4).prop_map(Change::Prepend),
    ]
}

fn some_policies() -> impl Strategy<Value = Policies> {
    let end = prop_oneof![
        Just(End::Accept),
        Just(End::Reject("a-reason".to_owned())),
        Just(End::Apply("last".to_owned())),
    ];
    let rule = (vec(condition(), 1..4), change(), proptest::option::of(end)).prop_map(
        |(when, change, end)| Rule {
            when: in_order(when),
            change: vec![change],
            end,
        },
    );
    let last = || Rule {
        when: Vec::new(),
        change: Vec::new(),
        end: Some(End::Accept),
    };
    let sets = (vec(prefix_range(), 1..3), vec(asn_range(), 1..3));
    let policies = (vec(rule, 0..4), sets).prop_map(move |(mut rules, (prefixes, asns))| {
        rules.push(last());
        Policies {
            policies: [("p".to_owned(), rules), ("last".to_owned(), vec![last()])].into(),
            prefix_sets: [("mine".to_owned(), prefixes)].into(),
            asn_sets: [("friends".to_owned(), asns)].into(),
        }
    });
    policies.prop_filter("rules that can hold", |all| {
        let mut rules = all.policies.values().flatten();
        rules.all(|rule| can_hold(all, &rule.when))
    })
}

fn can_hold(all: &Policies, when: &[Condition]) -> bool {
    let inside = when.iter().all(|condition| match condition {
        Condition::Not(inner) => can_hold(all, inner),
        Condition::Any(list) => list.iter().all(|inner| can_hold(all, inner)),
        _ => true,
    });
    inside && all.contradiction(when).is_none()
}

/// A mistake says so only of what no route meets.
#[test]
fn conditions_that_exclude_each_other_are_found() {
    let sets = "[prefix-set]\nold = \"10.0.0.0/8+\"\nnew = \"2001:db8::/32+\"\nboth = [\"10.0.0.0/8\", \"2001:db8::/32{40,48}\"]\n";
    for (of, possible) in [
        ("family = \"ipv6\", prefix = \"old\"", false),
        ("family = \"ipv6\", prefix = [\"old\", \"new\"]", true),
        ("family = \"ipv6\", prefix = \"bogons\"", true),
        ("prefix = \"10.0.0.0/8\", prefix-length = 8", true),
        ("prefix = \"10.0.0.0/8\", prefix-length = \"9..\"", false),
        ("prefix = \"old\", prefix-length = \"33..\"", false),
        ("prefix = \"both\", prefix-length = \"33..39\"", false),
        ("prefix = \"both\", prefix-length = 48", true),
        (
            "family = \"ipv4\", prefix = \"both\", prefix-length = 24",
            false,
        ),
        (
            "family = \"ipv4\", any = [{ prefix = \"new\" }, { prefix = \"old\" }]",
            true,
        ),
        (
            "family = \"ipv4\", any = [{ prefix = \"new\" }, { family = \"ipv6\" }]",
            false,
        ),
        (
            "family = \"ipv4\", any = [{ prefix = \"new\" }, { origin-asn = 1 }]",
            true,
        ),
        ("family = \"ipv4\", not = { prefix = \"new\" }", true),
        ("not = { family = \"ipv4\", prefix = \"new\" }", false),
        ("as-path-length = 0, origin-asn = 64500", false),
        ("as-path-length = \"0..1\", as-path-contains = 64500", true),
    ] {
        let rules = format!("[policy]\np = [{{ {of}, reject = \"x\" }}, {{ accept = true }}]\n");
        let told = parse(&format!("{sets}{rules}"))
            .err()
            .map(|told| told.to_string());
        let found = told
            .as_deref()
            .is_some_and(|told| told.contains("no route meets all of this"));
        assert_eq!(found, !possible, "{of}: {told:?}");
        assert_eq!(told.is_none(), possible, "{of}: {told:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(all in some_policies()) {
        let text = all.to_string();
        let again = parse(&text).map_err(|mistakes| TestCaseError::fail(mistakes.to_string()))?;
        prop_assert!(again == all, "{text}\nis read as\n{again}");
    }

    #[test]
    fn any_text_is_a_value_or_a_mistake(text in "[0-9a-z:./+{},*-]{0,24}") {
        for key in ["prefix", "prefix-length", "as-path-contains", "community", "add-communities"] {
            let _ = parse(&format!("[policy]\np = [{{ {key} = \"{text}\", accept = true }}, {{ accept = true }}]\n"));
        }
    }
}
