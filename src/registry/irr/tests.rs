//! What is asked of registries, with sets that contain each other and objects that are wrong.

use proptest::prelude::*;

use super::*;

const CONTOSO: &str = "\
route:   198.51.100.0/24
origin:  AS64500
source:  RADB

route:   198.51.100.0/24
origin:  AS64501
source:  RIPE

route:   198.51.0.0/16
origin:  AS64502
source:  RIPE

route6:  2001:db8::/32
origin:  AS64500
source:  RIPE

aut-num: AS64500
as-name: CONTOSO
source:  RIPE

as-set:  AS64500:AS-CUSTOMERS
members: AS64500, AS64510 AS-NESTED,
         as-gone # nobody has it
source:  RIPE

as-set:  AS-NESTED
members: AS1.10, AS64500:AS-CUSTOMERS
mbrs-by-ref: ANY
source:  RIPE

person:  A. Person
source:  RIPE
";

fn irr(text: &str) -> Irr {
    let (irr, mistakes) = Irr::read(text);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    irr
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn routes_are_found_by_prefix_and_by_origin() {
    let irr = irr(CONTOSO);
    let prefix: Ipv4Net = "198.51.100.0/24".parse().expect("a prefix");
    let origins = |routes: Vec<&RouteObject>| routes.iter().map(|r| r.origin).collect::<Vec<_>>();
    assert_eq!(
        origins(irr.route_objects(prefix).iter().collect()),
        [64_500, 64_501]
    );
    assert_eq!(
        origins(irr.covering_routes(prefix).collect()),
        [64_502, 64_500, 64_501]
    );
    let longer: Ipv4Net = "198.51.100.0/25".parse().expect("a prefix");
    assert!(irr.route_objects(longer).is_empty());
    assert_eq!(irr.covering_routes(longer).count(), 3);
    let of_contoso: Vec<String> = (irr.originated_by(64_500))
        .map(|route| route.prefix.to_string())
        .collect();
    assert_eq!(of_contoso, ["198.51.100.0/24", "2001:db8::/32"]);
    for (asn, known) in [
        (64_500, true),
        (64_501, true),
        (64_503, false),
        (65_546, false),
    ] {
        assert_eq!(irr.knows_origin(asn), known, "AS{asn}");
    }
    let name = irr
        .aut_num(64_500)
        .and_then(|aut_num| aut_num.name.as_deref());
    assert_eq!(name, Some("CONTOSO"));
    assert_eq!(irr.sources(), set(&["RADB", "RIPE"]));
    assert_eq!(irr.count()["person"], 1);
}

#[test]
fn sets_that_contain_each_other_expand() {
    let found = irr(CONTOSO).expand_as_set("as64500:as-customers");
    assert_eq!(found.asns, BTreeSet::from([64_500, 64_510, 65_546]));
    assert_eq!(found.sets, set(&["AS64500:AS-CUSTOMERS", "AS-NESTED"]));
    assert_eq!(found.missing, set(&["AS-GONE"]));
    assert_eq!(found.loops, set(&["AS64500:AS-CUSTOMERS"]));
    assert_eq!(found.by_reference, set(&["AS-NESTED"]));
    assert!(found.too_deep.is_empty());
    let nothing = irr(CONTOSO).expand_as_set("AS-NOBODY");
    assert_eq!(nothing.missing, set(&["AS-NOBODY"]));
    assert!(nothing.asns.is_empty() && nothing.sets.is_empty());
}

#[test]
fn a_set_twice_on_different_ways_is_no_loop() {
    let text = "as-set: AS-TOP\nmembers: AS-LEFT, AS-RIGHT\n\n\
                as-set: AS-LEFT\nmembers: AS-BOTTOM\n\n\
                as-set: AS-RIGHT\nmembers: AS-BOTTOM, AS-RIGHT\n\n\
                as-set: AS-BOTTOM\nmembers: AS64510\n";
    let found = irr(text).expand_as_set("AS-TOP");
    assert_eq!(found.asns, BTreeSet::from([64_510]));
    assert_eq!(found.loops, set(&["AS-RIGHT"]));
}

#[test]
fn sets_are_followed_only_so_deep() {
    let chain = |length: usize| -> String {
        let link = |n| format!("as-set: AS-{n}\nmembers: AS{n}, AS-{}\n\n", n + 1);
        let last = format!("as-set: AS-{length}\nmembers: AS{length}\n");
        (1..length).map(link).chain([last]).collect()
    };
    let found = irr(&chain(DEEPEST)).expand_as_set("AS-1");
    assert_eq!((found.asns.len(), found.too_deep.len()), (DEEPEST, 0));
    let found = irr(&chain(DEEPEST + 2)).expand_as_set("AS-1");
    assert_eq!(found.asns.len(), DEEPEST);
    assert_eq!(found.too_deep, set(&[&format!("AS-{}", DEEPEST + 1)]));
}

#[test]
fn wrong_objects_are_told_and_the_others_stay() {
    let text = "route: 198.51.100.0/24\nsource: RIPE\n\n\
                route: 198.51.100.7/24\norigin: AS64500\n\n\
                route: 2001:db8::/32\norigin: AS64500\n\n\
                route6: 198.51.100.0/24\norigin: AS64500\n\n\
                route: 203.0.113.0/24\ndescr: here\norigin: 64500\n\n\
                aut-num: CONTOSO\n\n\
                as-set: CONTOSO\n\n\
                as-set: AS-CONTOSO\nmembers: AS64500,\n         contoso\n\n\
                route: 203.0.113.0/24\norigin: AS64500\n";
    let (irr, mistakes) = Irr::read(text);
    let told: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    assert_eq!(
        told,
        [
            "line 1: the route object `198.51.100.0/24` has no `origin`",
            "line 4: `198.51.100.7/24` is not a prefix without host bits",
            "line 7: `2001:db8::/32` is not an IPv4 prefix",
            "line 10: `198.51.100.0/24` is not an IPv6 prefix",
            "line 15: `64500` is not an AS number, such as AS64500",
            "line 17: `CONTOSO` is not an AS number, such as AS64500",
            "line 19: `CONTOSO` is not the name of an as-set, such as AS64500:AS-CUSTOMERS",
            "line 22: `contoso` is not an AS number or the name of an as-set",
        ]
    );
    assert_eq!(irr.objects().count(), 2);
    assert!(irr.knows_origin(64_500));
    let set = irr.as_set("AS-CONTOSO").expect("without the wrong member");
    assert_eq!(set.members, [Member::As(64_500)]);
}

#[test]
fn a_later_answer_replaces_what_the_same_registry_said() {
    let mut all = irr(CONTOSO);
    let later = "as-set: AS-NESTED\nmembers: AS64511\nsource: ripe\n\n\
                 aut-num: AS64500\nas-name: ANOTHER\nsource: RADB\n\n\
                 person: A. Person\nphone: 1\nsource: RIPE\n\n\
                 route: 198.51.100.0/24\norigin: AS64501\ndescr: new\nsource: RIPE\n";
    let before = all.objects().count();
    all.merge(irr(later));
    assert_eq!(all.objects().count(), before + 1);
    let nested = all.as_set("AS-NESTED").expect("there");
    assert_eq!(nested.members, [Member::As(64_511)]);
    let first = all.aut_num(64_500).expect("there");
    assert_eq!(first.source.as_deref(), Some("RADB"));
}

#[test]
fn what_is_printed_is_the_same_registry() {
    let once = irr(CONTOSO);
    let printed = once.to_string();
    let again = irr(&printed);
    assert_eq!(again.to_string(), printed);
    assert_eq!(again.count(), once.count());
}

/// Lines of RPSL, right and wrong, in any order.
fn some_line() -> impl Strategy<Value = String> {
    const CLASSES: [&str; 8] = [
        "route", "route6", "aut-num", "as-set", "origin", "members", "source", "",
    ];
    const VALUES: [&str; 9] = [
        "198.51.100.0/24",
        "2001:db8::/32",
        "AS64500",
        "AS-A",
        "AS-B, AS-A",
        "AS64500:AS-C",
        "AS-C",
        "é",
        "",
    ];
    let line = (
        proptest::sample::select(&CLASSES[..]),
        proptest::sample::select(&VALUES[..]),
    );
    let attribute = line.prop_map(|(class, value)| format!("{class}: {value}\n"));
    prop_oneof![4 => attribute, 1 => "[ +%#\\t]?\\PC{0,8}\n", 1 => Just("\n".to_owned())]
}

proptest! {
    #[test]
    fn no_text_is_too_wrong(lines in proptest::collection::vec(some_line(), 0..40)) {
        let text: String = lines.concat();
        let (mut irr, _) = Irr::read(&text);
        for name in ["AS-A", "AS-B", "AS-C", "AS64500:AS-C"] {
            let found = irr.expand_as_set(name);
            // Each set that was looked into gives all its numbers, and what it names is accounted for.
            for set in found.sets.iter().filter_map(|name| irr.as_set(name)) {
                for member in &set.members {
                    let accounted = match member {
                        Member::As(asn) => found.asns.contains(asn),
                        Member::Set(name) => found.sets.contains(name) || found.missing.contains(name),
                    };
                    prop_assert!(accounted, "{member:?}");
                }
            }
            prop_assert!(found.loops.is_subset(&found.sets));
        }
        let before = irr.clone();
        irr.merge(before.clone());
        prop_assert_eq!(irr, before);
    }
}
