//! Every match and every change once, the order of rules, printing; and a second, naive statement of it all.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::bgp::attributes::LargeCommunity;
use crate::bgp::origin_validation::Vrp;

const VOICE: Community = Community::Standard(8075 << 16 | 8007);
const LOOK_ALIKE: Community = Community::Large(LargeCommunity {
    global: 8075,
    local_1: 8007,
    local_2: 0,
});
const EXTENDED: Community = Community::Extended(0x0002_1f8b_0000_1f47);

fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

fn route(path: &[u32]) -> Attributes {
    Attributes {
        as_path: path.to_vec(),
        ..Attributes::originated(Ipv4Addr::new(192, 0, 2, 1))
    }
}

fn tagged(community: Community) -> Attributes {
    let mut set = route(&[64500]);
    set.add_community(community);
    set
}

fn exactly(prefixes: &[&str]) -> Match {
    Match::Prefix(Arc::new(prefixes.iter().map(|text| net(text)).collect()))
}

fn ranges(list: &[RangeInclusive<u32>]) -> AsnRanges {
    list.into()
}

fn vrps() -> Arc<VrpTable> {
    let vrp = Vrp {
        prefix: net("198.51.100.0/24"),
        max_length: 24,
        asn: 64500,
        trust_anchor: None,
    };
    Arc::new(std::iter::once(vrp).collect())
}

fn holds(of: Match, prefix: &str, attributes: &Attributes) -> bool {
    let policy = Policy {
        rules: vec![Rule::reject(vec![of], "matched")],
        otherwise: Verdict::Accept,
        vrps: Some(vrps()),
        own_asn: None,
    };
    policy.evaluate(net(prefix), attributes).is_err()
}

#[test]
fn every_match_holds_where_it_should_and_nowhere_else() {
    let p = "198.51.100.0/24";
    let plain = || route(&[64500]);
    let private = || Match::PathContains(ranges(&[64512..=65534, 4_200_000_000..=4_294_967_294]));
    let origin = || Match::Origin(ranges(&[64500..=64500]));
    let at_most_3 = || Match::PathLength(0..=3);
    let cases: Vec<(Match, &str, Attributes, bool)> = vec![
        (exactly(&[p]), p, plain(), true),
        (exactly(&[p]), "198.51.100.0/25", plain(), false),
        (exactly(&[p]), "198.51.100.0/23", plain(), false),
        (exactly(&["0.0.0.0/0"]), "0.0.0.0/0", plain(), true),
        (exactly(&["0.0.0.0/0"]), p, plain(), false),
        (Match::PrefixLength(25..=32), p, plain(), false),
        (
            Match::PrefixLength(25..=32),
            "198.51.100.0/25",
            plain(),
            true,
        ),
        (
            Match::PrefixLength(25..=32),
            "198.51.100.1/32",
            plain(),
            true,
        ),
        (at_most_3(), p, route(&[]), true),
        (at_most_3(), p, route(&[64500; 3]), true),
        (at_most_3(), p, route(&[64500; 4]), false),
        (private(), p, route(&[64500, 64511]), false),
        (private(), p, route(&[64500, 64512]), true),
        (private(), p, route(&[65534, 64500]), true),
        (private(), p, route(&[65535]), false),
        (private(), p, route(&[4_199_999_999]), false),
        (private(), p, route(&[4_200_000_000]), true),
        (private(), p, route(&[4_294_967_294]), true),
        (private(), p, route(&[4_294_967_295]), false),
        (private(), p, route(&[]), false),
        (origin(), p, route(&[64501, 64500]), true),
        (origin(), p, route(&[64500, 64501]), false),
        (origin(), p, route(&[]), false),
        (Match::Community(VOICE.into()), p, tagged(VOICE), true),
        (Match::Community(VOICE.into()), p, tagged(LOOK_ALIKE), false),
        (Match::Community(VOICE.into()), p, tagged(EXTENDED), false),
        (
            Match::Community(LOOK_ALIKE.into()),
            p,
            tagged(LOOK_ALIKE),
            true,
        ),
        (Match::Community(LOOK_ALIKE.into()), p, tagged(VOICE), false),
        (Match::Community(EXTENDED.into()), p, tagged(EXTENDED), true),
        (Match::Community(EXTENDED.into()), p, tagged(VOICE), false),
        (Match::Rpki(Validity::Valid), p, plain(), true),
        (Match::Rpki(Validity::InvalidAs), p, route(&[64501]), true),
        (
            Match::Rpki(Validity::InvalidLength),
            "198.51.100.0/25",
            plain(),
            true,
        ),
        (
            Match::Rpki(Validity::NotFound),
            "203.0.113.0/24",
            plain(),
            true,
        ),
        (Match::Rpki(Validity::Valid), p, route(&[]), false),
        (
            Match::Not(Box::new(Match::Community(VOICE.into()))),
            p,
            plain(),
            true,
        ),
        (
            Match::Any(vec![origin(), Match::Community(VOICE.into())]),
            p,
            plain(),
            true,
        ),
        (
            Match::Any(vec![private(), Match::Community(VOICE.into())]),
            p,
            plain(),
            false,
        ),
        (Match::Any(Vec::new()), p, plain(), false),
    ];
    for (of, prefix, attributes, expected) in cases {
        let words = of.to_string();
        assert_eq!(
            holds(of, prefix, &attributes),
            expected,
            "{words}: {prefix} {:?}",
            attributes.as_path
        );
    }
}

#[test]
fn without_vrps_nothing_is_found() {
    for (validity, holds) in [
        (Validity::Valid, false),
        (Validity::InvalidAs, false),
        (Validity::InvalidLength, false),
        (Validity::NotFound, true),
    ] {
        let rule = Rule::reject(vec![Match::Rpki(validity)], "matched");
        for vrps in [None, Some(Arc::default())] {
            let mut policy = Policy::new(vec![rule.clone()], Verdict::Accept);
            policy.vrps = vrps;
            for path in [&[64500][..], &[]] {
                let told = policy.evaluate(net("198.51.100.0/24"), &route(path));
                assert_eq!(told.is_err(), holds, "{validity:?} {path:?}");
            }
        }
    }
}

#[test]
fn the_origin_of_an_empty_path_is_the_routers_own_as() {
    for (own_asn, path, state) in [
        (Some(64500), &[][..], Validity::Valid),
        (Some(64501), &[], Validity::InvalidAs),
        (None, &[], Validity::InvalidAs),
        (Some(64500), &[64501], Validity::InvalidAs),
        (Some(64501), &[64500], Validity::Valid),
    ] {
        let inner = Match::All(vec![Match::Any(vec![Match::Rpki(state)])]);
        let policy = Policy {
            rules: vec![Rule::reject(vec![inner], "matched")],
            otherwise: Verdict::Accept,
            vrps: Some(vrps()),
            own_asn,
        };
        assert!(policy.asks_rpki() && !Policy::default().asks_rpki());
        let told = policy.evaluate(net("198.51.100.0/24"), &route(path));
        assert!(told.is_err(), "AS {own_asn:?}: {path:?}");
    }
}

#[test]
fn every_change_changes_one_thing() {
    let large = match LOOK_ALIKE {
        Community::Large(large) => large,
        _ => unreachable!(),
    };
    type Expected = fn(&mut Attributes, LargeCommunity);
    let cases: [(Change, Expected); 10] = [
        (
            Change::SetCommunities(vec![LOOK_ALIKE, LOOK_ALIKE]),
            |a, large| {
                a.communities.clear();
                a.extended_communities.clear();
                a.large_communities = vec![large];
            },
        ),
        (Change::LocalPref(300), |a, _| a.local_pref = Some(300)),
        (Change::Med(Some(7)), |a, _| a.med = Some(7)),
        (Change::Med(None), |a, _| a.med = None),
        (Change::AddCommunity(VOICE), |a, _| {
            a.communities = vec![1, 8075 << 16 | 8007, 1];
        }),
        (Change::AddCommunity(Community::Standard(2)), |a, _| {
            a.communities.push(2);
        }),
        (
            Change::RemoveCommunity(Community::Standard(1).into()),
            |a, _| {
                a.communities = vec![8075 << 16 | 8007];
            },
        ),
        (Change::AddCommunity(LOOK_ALIKE), |a, large| {
            a.large_communities = vec![large];
        }),
        (Change::RemoveCommunity(EXTENDED.into()), |a, _| {
            a.extended_communities.clear();
        }),
        (Change::Prepend(64500, 2), |a, _| {
            a.as_path = vec![64500, 64500, 64500, 64501];
        }),
    ];
    let mut before = route(&[64500, 64501]);
    before.med = Some(10);
    before.communities = vec![1, 8075 << 16 | 8007, 1];
    before.extended_communities = vec![0x0002_1f8b_0000_1f47];
    for (change, expected) in cases {
        let words = change.to_string();
        let policy = Policy::new(
            vec![Rule::accept(Vec::new(), vec![change])],
            Verdict::Accept,
        );
        let mut wanted = before.clone();
        expected(&mut wanted, large);
        let got = policy.evaluate(net("198.51.100.0/24"), &before);
        assert_eq!(got, Ok(wanted), "{words}");
    }
}

#[test]
fn the_first_verdict_ends_it_and_matches_see_the_route_as_it_came() {
    let untagged = Match::Not(Box::new(Match::Community(VOICE.into())));
    let policy = Policy::new(
        vec![
            Rule::set(Vec::new(), vec![Change::AddCommunity(VOICE)]),
            // Added by the rule before, so not there as it came.
            Rule::reject(vec![Match::Community(VOICE.into())], "tagged"),
            Rule::accept(vec![untagged], vec![Change::LocalPref(200)]),
            Rule::reject(Vec::new(), "never-reached"),
        ],
        Verdict::Reject("default".into()),
    );
    let prefix = net("198.51.100.0/24");
    let out = policy.evaluate(prefix, &route(&[64500])).expect("accepted");
    assert!(out.has_community(VOICE));
    assert_eq!(out.local_pref, Some(200));
    let refused = policy.evaluate(prefix, &tagged(VOICE));
    assert_eq!(refused, Err(&Reason::Borrowed("tagged")));
    let everything = Policy::deny_all()
        .evaluate(prefix, &route(&[]))
        .cloned_err();
    assert_eq!(everything, Err("deny-all".into()));
    let route = route(&[64500]);
    assert_eq!(Policy::default().evaluate(prefix, &route), Ok(route));
}

trait ClonedErr<T> {
    fn cloned_err(self) -> Result<T, Reason>;
}

impl<T> ClonedErr<T> for Result<T, &Reason> {
    fn cloned_err(self) -> Result<T, Reason> {
        self.map_err(Clone::clone)
    }
}

#[test]
fn a_policy_reads_like_a_configuration() {
    let more: PrefixSet = [
        PrefixRange::or_longer(net("10.0.0.0/8")),
        PrefixRange::exact(net("198.51.100.0/24")),
        PrefixRange {
            prefix: net("203.0.113.0/24"),
            lengths: 25..=28,
        },
    ]
    .into_iter()
    .collect();
    let many = (0..10).map(|n| Ipv4Net::new_assert(Ipv4Addr::new(20, 0, n, 0), 24));
    let invalid = [Validity::InvalidAs, Validity::InvalidLength].map(Match::Rpki);
    let policy = Policy::new(
        vec![
            Rule::reject(vec![Match::Prefix(Arc::new(more))], "bogon-prefix"),
            Rule::reject(
                vec![Match::PathContains(ranges(&[12076..=12076, 64512..=65534]))],
                "private-asn-in-path",
            ),
            Rule::reject(vec![Match::Any(invalid.to_vec())], "rpki-invalid"),
            Rule::set(
                Vec::new(),
                vec![Change::Med(None), Change::AddCommunity(LOOK_ALIKE)],
            ),
            Rule::accept(
                vec![
                    Match::Prefix(Arc::new(many.collect())),
                    Match::Not(Box::new(Match::PathLength(4..=255))),
                ],
                vec![Change::LocalPref(300)],
            ),
            Rule::accept(
                vec![Match::PathLength(1..=u32::MAX as usize)],
                vec![Change::SetCommunities(Vec::new())],
            ),
        ],
        Verdict::Reject("deny-all".into()),
    );
    let expected = "\
if prefix in { 10.0.0.0/8+, 198.51.100.0/24, 203.0.113.0/24{25,28} } then reject bogon-prefix
if path contains { 12076, 64512..65534 } then reject private-asn-in-path
if (rpki invalid-as or rpki invalid-length) then reject rpki-invalid
remove med, add community 8075:8007:0
if prefix in { 20.0.0.0/24, 20.0.1.0/24, 20.0.2.0/24, 20.0.3.0/24, 20.0.4.0/24, 20.0.5.0/24, 20.0.6.0/24, \
20.0.7.0/24, 20.0.8.0/24, 20.0.9.0/24 } and not path length 4..255 then set local-pref 300, accept
if path length 1 or more then remove all communities, accept
reject deny-all";
    assert_eq!(policy.to_string(), expected);
}

#[test]
fn routes_that_share_attributes_and_rules_share_the_result() {
    let policy = Policy::new(
        vec![
            Rule::set(
                vec![exactly(&["198.51.100.0/24"])],
                vec![Change::LocalPref(300)],
            ),
            Rule::set(Vec::new(), vec![Change::Med(None)]),
        ],
        Verdict::Accept,
    );
    let (a, b) = (Arc::new(route(&[64500])), Arc::new(route(&[64501])));
    let mut shapes = Shapes::default();
    let mut made = 0;
    let mut shape = |prefix: &str, set: &Arc<Attributes>| {
        let shaped = shapes.shape(&policy, net(prefix), set, |applied| {
            made += 1;
            let mut shaped = Attributes::clone(set);
            applied.change(&mut shaped);
            Arc::new(shaped)
        });
        shaped.expect("accepted")
    };
    let first = shape("198.51.100.0/24", &a);
    assert_eq!(first.local_pref, Some(300));
    assert!(Arc::ptr_eq(&first, &shape("198.51.100.0/24", &a)));
    let other = shape("203.0.113.0/24", &a);
    assert_eq!(other.local_pref, None);
    assert!(Arc::ptr_eq(&other, &shape("192.0.2.0/24", &a)));
    assert_eq!(shape("203.0.113.0/24", &b).as_path, [64501]);
    assert_eq!(made, 3);
}

/// Prefixes, ASes and communities from so few that matches are hit.
fn prefix() -> impl Strategy<Value = IpNet> {
    (0..4_u32, 0..=32_u8).prop_map(|(n, length)| {
        let address = Ipv4Addr::from(0xc633_0000 | n << 8 | n);
        Ipv4Net::new(address, length)
            .expect("a length")
            .trunc()
            .into()
    })
}

fn asn() -> impl Strategy<Value = u32> {
    prop_oneof![Just(64500), Just(64512), Just(65534), Just(8075), 0..3_u32]
}

fn community() -> impl Strategy<Value = Community> {
    prop_oneof![Just(VOICE), Just(LOOK_ALIKE), Just(EXTENDED)]
}

fn pattern() -> impl Strategy<Value = CommunityPattern> {
    let exact = community().prop_map(CommunityPattern::from);
    let alike = prop::sample::select(vec![
        CommunityPattern::Standard([Some(8075), None]),
        CommunityPattern::Standard([None, Some(8007)]),
        CommunityPattern::Standard([Some(8076), None]),
        CommunityPattern::Large([Some(8075), None, None]),
        CommunityPattern::Large([None, Some(8006), None]),
        CommunityPattern::Extended {
            value: 0x0002_1f8b_0000_0000,
            mask: 0xffff_ffff_0000_0000,
        },
        CommunityPattern::ExtendedSubtype(2),
        CommunityPattern::ExtendedSubtype(3),
    ]);
    prop_oneof![exact, alike]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let med = proptest::option::of(0..3_u32);
    (vec(asn(), 0..5), vec(community(), 0..3), med).prop_map(|(path, communities, med)| {
        let mut set = route(&path);
        set.med = med;
        communities.into_iter().for_each(|c| set.add_community(c));
        set
    })
}

/// What a prefix set was made of.
fn prefix_ranges() -> impl Strategy<Value = Vec<PrefixRange>> {
    let one = (prefix(), 0..=32_u8, 0..=40_u8).prop_map(|(prefix, from, to)| PrefixRange {
        prefix,
        lengths: from..=to,
    });
    vec(one, 0..4)
}

fn leaf() -> impl Strategy<Value = Match> {
    let asns = || vec((asn(), 0..3_u32), 0..3);
    let asns = move || asns().prop_map(|list| list.iter().map(|(a, more)| *a..=a + more).collect());
    let validity = prop_oneof![
        Just(Validity::Valid),
        Just(Validity::InvalidAs),
        Just(Validity::InvalidLength),
        Just(Validity::NotFound),
    ];
    prop_oneof![
        prefix_ranges().prop_map(|list| Match::Prefix(Arc::new(list.into_iter().collect()))),
        (0..=32_u8, 0..=32_u8).prop_map(|(a, b)| Match::PrefixLength(a..=b)),
        (0..5_usize, 0..5_usize).prop_map(|(a, b)| Match::PathLength(a..=b)),
        asns().prop_map(Match::PathContains),
        asns().prop_map(Match::Origin),
        pattern().prop_map(Match::Community),
        prop_oneof![Just(Family::Ipv4Unicast), Just(Family::Ipv6Unicast)].prop_map(Match::Family),
        validity.prop_map(Match::Rpki),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let of = leaf().prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|m| Match::Not(Box::new(m))),
            vec(inner.clone(), 0..3).prop_map(Match::Any),
            vec(inner, 0..3).prop_map(Match::All),
        ]
    });
    let change = prop_oneof![
        (0..3_u32).prop_map(Change::LocalPref),
        proptest::option::of(0..3_u32).prop_map(Change::Med),
        community().prop_map(Change::AddCommunity),
        pattern().prop_map(Change::RemoveCommunity),
        vec(community(), 0..3).prop_map(Change::SetCommunities),
        (asn(), 0..3_u8).prop_map(|(asn, times)| Change::Prepend(asn, times)),
    ];
    let verdict = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Verdict::Accept)),
        1 => (0..3_u8).prop_map(|n| Some(Verdict::Reject(format!("reason-{n}").into()))),
    ];
    (vec(of, 0..3), vec(change, 0..3), verdict).prop_map(|(when, change, verdict)| Rule {
        when,
        change,
        verdict,
    })
}

/// The same rules, said once more: backwards, from the last rule to the first.
fn naive(policy: &Policy, prefix: IpNet, came: &Attributes) -> Result<Vec<Change>, Reason> {
    let table = vrps();
    let mut outcome = match &policy.otherwise {
        Verdict::Accept => Ok(Vec::new()),
        Verdict::Reject(reason) => Err(reason.clone()),
    };
    for rule in policy.rules.iter().rev() {
        if rule
            .when
            .iter()
            .any(|m| !naive_match(m, &table, prefix, came))
        {
            continue;
        }
        let rest = match &rule.verdict {
            None => outcome,
            Some(Verdict::Accept) => Ok(Vec::new()),
            Some(Verdict::Reject(reason)) => Err(reason.clone()),
        };
        outcome = rest.map(|later| [rule.change.clone(), later].concat());
    }
    outcome
}

fn naive_match(of: &Match, table: &VrpTable, prefix: IpNet, came: &Attributes) -> bool {
    let any = |ranges: &AsnRanges, asns: &[u32]| {
        let pairs = ranges.iter().flat_map(|r| asns.iter().map(move |a| (r, a)));
        pairs
            .into_iter()
            .any(|(r, a)| r.start() <= a && a <= r.end())
    };
    match of {
        Match::Prefix(set) => set.contains(prefix),
        Match::PrefixLength(r) => {
            *r.start() <= prefix.prefix_len() && prefix.prefix_len() <= *r.end()
        }
        Match::PathLength(r) => *r.start() <= came.as_path.len() && came.as_path.len() <= *r.end(),
        Match::PathContains(ranges) => any(ranges, &came.as_path),
        Match::Origin(ranges) => any(
            ranges,
            &came.as_path[came.as_path.len().saturating_sub(1)..],
        ),
        Match::Family(family) => *family == Family::Ipv4Unicast,
        Match::Community(pattern) => came
            .all_communities()
            .any(|c| alike(&pattern.to_string(), &c.to_string())),
        Match::Rpki(validity) => {
            table
                .validate(prefix, came.as_path.last().copied())
                .validity
                == *validity
        }
        Match::Not(other) => !naive_match(other, table, prefix, came),
        Match::Any(list) => list.iter().any(|m| naive_match(m, table, prefix, came)),
        Match::All(list) => !list.iter().any(|m| !naive_match(m, table, prefix, came)),
    }
}

/// Part by part, by what is written.
fn alike(pattern: &str, community: &str) -> bool {
    let (pattern, community) = (pattern.split(':'), community.split(':'));
    pattern.clone().count() == community.clone().count()
        && pattern.zip(community).all(|(p, c)| p == "*" || p == c)
}

proptest! {
    #[test]
    fn a_prefix_set_is_what_a_scan_of_its_ranges_finds(list in prefix_ranges(), asked in prefix()) {
        let set: PrefixSet = list.iter().cloned().collect();
        let scanned = list.iter().any(|range| {
            range.prefix.contains(&asked) && range.lengths.contains(&asked.prefix_len())
        });
        prop_assert_eq!(set.contains(asked), scanned);
    }

    #[test]
    fn evaluation_is_what_a_naive_statement_says(
        rules in vec(rule(), 0..5),
        accept in any::<bool>(),
        routes in vec((prefix(), attributes()), 1..6),
    ) {
        let otherwise = if accept { Verdict::Accept } else { Verdict::Reject("default".into()) };
        let policy = Policy { rules, otherwise, vrps: Some(vrps()), own_asn: None };
        let mut shapes = Shapes::default();
        for (prefix, came) in routes {
            let expected = naive(&policy, prefix, &came).map(|changes| {
                let mut set = came.clone();
                changes.iter().for_each(|change| change.make(&mut set));
                set
            });
            let came = Arc::new(came);
            // Twice, so that what was kept is seen as well.
            for _ in 0..2 {
                let shaped = shapes.shape(&policy, prefix, &came, |applied| {
                    let mut set = Attributes::clone(&came);
                    applied.change(&mut set);
                    Arc::new(set)
                });
                prop_assert_eq!(shaped.cloned_err().map(|s| Attributes::clone(&s)), expected.clone());
            }
            prop_assert_eq!(policy.evaluate(prefix, &came).cloned_err(), expected);
        }
    }
}
