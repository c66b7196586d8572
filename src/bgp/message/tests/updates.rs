//! UPDATEs of more than one kind: IPv6 and its next hops, End-of-RIB, old speakers, path identifiers.

use std::net::Ipv6Addr;

use super::*;

fn both(dialect: Dialect) -> Dialect {
    Dialect {
        families: Family::ALL.into_iter().collect(),
        ..dialect
    }
}

fn ipv6(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

/// MP_REACH_NLRI of IPv6 unicast: 2001:db8:1::/48 over these next hops.
fn mp_reach(next_hops: &[Ipv6Addr]) -> Vec<u8> {
    let next_hops: Vec<u8> = next_hops.iter().flat_map(Ipv6Addr::octets).collect();
    let mut value = vec![0, 2, 1, next_hops.len() as u8];
    value.extend(&next_hops);
    value.extend([0, 48, 0x20, 0x01, 0x0d, 0xb8, 0, 1]);
    [&[0x80, 14, value.len() as u8], &value[..]].concat()
}

#[test]
fn next_hops_of_ipv6_are_global_link_local_or_both() {
    let (global, link_local, none) = (ipv6("2001:db8::1"), ipv6("fe80::1"), Ipv6Addr::UNSPECIFIED);
    let cases: [(&[Ipv6Addr], Ipv6Addr, Option<Ipv6Addr>); 5] = [
        (&[global], global, None),
        (&[global, link_local], global, Some(link_local)),
        // Three ways of speakers without a global address.
        (&[link_local], link_local, Some(link_local)),
        (&[link_local, link_local], link_local, Some(link_local)),
        (&[none, link_local], link_local, Some(link_local)),
    ];
    for (next_hops, expected, beside) in cases {
        let attributes = [&ORIGIN[..], &AS_PATH, &mp_reach(next_hops)].concat();
        let read = updates(&update(&attributes, &[]), both(EXTERNAL)).remove(0);
        let (set, nlri) = only(&read);
        assert_eq!((set.next_hop, set.link_local), (expected.into(), beside));
        assert_eq!(nlri, [net("2001:db8:1::/48")]);
    }
}

/// RFC 7606, section 5.3, ends sessions over prefixes that might be ours.
#[test]
fn a_body_that_does_not_read_is_ignored_where_ipv4_was_not_negotiated() {
    let without_ipv4 = Dialect {
        families: Family::Ipv6Unicast.into(),
        ..EXTERNAL
    };
    let attributes = [&ORIGIN[..], &AS_PATH, &mp_reach(&[ipv6("2001:db8::1")])].concat();
    // 33 bits, a prefix that is cut off, and one in order.
    for prefixes in [&[33, 1, 2, 3, 4, 5][..], &[24, 192], &NLRI] {
        for (withdrawn, announced) in [(prefixes, &[][..]), (&[], prefixes), (prefixes, prefixes)] {
            let mut body = (withdrawn.len() as u16).to_be_bytes().to_vec();
            body.extend(withdrawn);
            body.extend((attributes.len() as u16).to_be_bytes());
            body.extend(&attributes);
            body.extend(announced);
            let read = updates(&framed(2, &body), without_ipv4).remove(0);
            assert_eq!(only(&read).1, [net("2001:db8:1::/48")]);
            assert!(read.withdrawn.is_empty() && read.unusable.is_none());
            let told =
                "UPDATE: address family not negotiated: attribute discard (RFC 4760, section 8)";
            assert_eq!(read.malformed, [told]);
            let ended = read_all(&framed(2, &body), both(EXTERNAL)).is_err();
            assert_eq!(ended, prefixes != NLRI);
        }
    }
    // Lengths that do not fit are nobody's family.
    assert!(read_all(&framed(2, &[0, 9, 0, 0]), without_ipv4).is_err());
}

#[test]
fn one_update_may_announce_both_families_each_with_its_next_hop() {
    let attributes = [&good()[..], &mp_reach(&[ipv6("2001:db8::1")])].concat();
    let read = updates(&update(&attributes, &NLRI), both(EXTERNAL)).remove(0);
    let [body, reach] = read.announced.as_slice() else {
        panic!("not two announcements: {read:?}");
    };
    assert_eq!(body.nlri, [net("198.51.100.0/24")]);
    assert_eq!(body.attributes.next_hop, Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(reach.nlri, [net("2001:db8:1::/48")]);
    assert_eq!(reach.attributes.next_hop, ipv6("2001:db8::1"));
    assert_eq!(reach.attributes.as_path, body.attributes.as_path);
}

#[test]
fn an_update_without_next_hop_attribute_is_in_order_when_all_prefixes_are_in_mp_reach() {
    // And a NEXT_HOP nobody needs is not looked at (RFC 4760, section 3).
    let useless = [0x40, 3, 4, 0, 0, 0, 0];
    let attributes = [
        &ORIGIN[..],
        &AS_PATH,
        &useless,
        &mp_reach(&[ipv6("2001:db8::1")]),
    ]
    .concat();
    let read = updates(&update(&attributes, &[]), both(EXTERNAL)).remove(0);
    assert_eq!(read.malformed, Vec::<String>::new());
    assert_eq!(only(&read).0.next_hop, ipv6("2001:db8::1"));
}

#[test]
fn ipv4_over_ipv6_next_hops_must_be_agreed_on() {
    let value = [
        &[0, 1, 1, 16][..],
        &ipv6("2001:db8::1").octets(),
        &[0, 24, 203, 0, 113],
    ]
    .concat();
    let reach = [&[0x80, 14, value.len() as u8], &value[..]].concat();
    let bytes = update(&[&ORIGIN[..], &AS_PATH, &reach].concat(), &[]);
    let agreed = Dialect {
        extended_next_hop: true,
        ..EXTERNAL
    };
    let read = updates(&bytes, agreed).remove(0);
    assert_eq!(only(&read).0.next_hop, ipv6("2001:db8::1"));
    assert_eq!(only(&read).1, [net("203.0.113.0/24")]);
    assert_eq!(error(&bytes).1, 9);
    let (set, nlri) = only(&read);
    let refused = write_announcements(&mut BytesMut::new(), set, nlri, EXTERNAL);
    let next_hop = ipv6("2001:db8::1").into();
    assert_eq!(
        refused,
        Err(Unwritable::NextHop(next_hop, Family::Ipv4Unicast))
    );
}

#[test]
fn end_of_rib_is_of_a_family_that_was_negotiated_and_alone() {
    for family in Family::ALL {
        let mut out = BytesMut::new();
        write_end_of_rib(&mut out, family);
        let read = updates(&out, both(EXTERNAL)).remove(0);
        assert_eq!(read.end_of_rib, Some(family));
        let other = Family::ALL.into_iter().find(|f| *f != family).expect("two");
        let without = Dialect {
            families: other.into(),
            ..EXTERNAL
        };
        assert_eq!(updates(&out, without)[0].end_of_rib, None);
    }
    // With another attribute beside it, or a withdrawn prefix, it says nothing of the kind.
    let unreach = [0x80, 15, 3, 0, 2, 1];
    let with_origin = update(&[&ORIGIN[..], &unreach].concat(), &[]);
    assert_eq!(updates(&with_origin, both(EXTERNAL))[0].end_of_rib, None);
    let mut body = vec![0, 4, 24, 198, 51, 100, 0, 6];
    body.extend(unreach);
    assert_eq!(
        updates(&framed(2, &body), both(EXTERNAL))[0].end_of_rib,
        None
    );
}

#[test]
fn prefixes_of_another_family_are_left_alone() {
    // On a session that carries IPv6 alone, those of the body; on one of IPv4, those of MP_REACH_NLRI.
    let attributes = [&good()[..], &mp_reach(&[ipv6("2001:db8::1")])].concat();
    let bytes = update(&attributes, &NLRI);
    let of = |family: Family| Dialect {
        families: family.into(),
        ..EXTERNAL
    };
    for (family, expected) in [
        (Family::Ipv4Unicast, "198.51.100.0/24"),
        (Family::Ipv6Unicast, "2001:db8:1::/48"),
    ] {
        let read = updates(&bytes, of(family)).remove(0);
        assert_eq!(only(&read).1, [net(expected)]);
        let [text] = read.malformed.as_slice() else {
            panic!("not told: {:?}", read.malformed);
        };
        assert!(text.contains("address family not negotiated"), "{text}");
    }
}

const OLD: Dialect = Dialect {
    four_octet: false,
    ..EXTERNAL
};

/// What an old speaker's AS_PATH and AS4_PATH come to.
fn joined(as_path: &[u16], as4_path: &[u32]) -> Vec<u32> {
    let sequence = |count: usize| [2, count as u8];
    let old: Vec<u8> = as_path.iter().flat_map(|asn| asn.to_be_bytes()).collect();
    let new: Vec<u8> = as4_path.iter().flat_map(|asn| asn.to_be_bytes()).collect();
    let attribute = |head: [u8; 2], count: usize, asns: &[u8]| {
        [&head[..], &[asns.len() as u8 + 2], &sequence(count), asns].concat()
    };
    let old = attribute([0x40, 2], as_path.len(), &old);
    let new = attribute([0xc0, 17], as4_path.len(), &new);
    let bytes = update(&[&ORIGIN[..], &old, &NEXT_HOP, &new].concat(), &NLRI);
    only(&updates(&bytes, OLD)[0]).0.as_path.clone()
}

#[test]
fn as4_path_replaces_the_end_of_as_path() {
    // RFC 6793, section 4.2.3: what the old speakers added in front stays.
    assert_eq!(
        joined(&[1, 23456, 23456], &[70_000, 80_000]),
        [1, 70_000, 80_000]
    );
    assert_eq!(joined(&[23456], &[70_000]), [70_000]);
    // A path that is longer than AS_PATH is not believed.
    assert_eq!(joined(&[1, 23456], &[70_000, 80_000, 90_000]), [1, 23456]);
}

#[test]
fn an_old_speaker_gets_as4_attributes_only_when_two_octets_are_too_few() {
    let written = |path: &[u32], aggregator: u32| {
        let mut set = Attributes::originated(Ipv4Addr::new(192, 0, 2, 1));
        set.as_path = path.to_vec();
        set.aggregator = Some((aggregator, Ipv4Addr::new(10, 0, 0, 1)));
        let mut out = BytesMut::new();
        write_announcements(&mut out, &set, &[net("198.51.100.0/24")], OLD).expect("fits");
        let read = updates(&out, OLD).remove(0);
        assert_eq!(only(&read).0, &set);
        let parts = read::parts(&out[HEADER..]).expect("an UPDATE");
        let mut rest = parts.attributes;
        let mut codes = Vec::new();
        while let Some(raw) = attribute::Raw::split(&mut rest) {
            codes.push(raw.code);
        }
        codes
    };
    assert_eq!(written(&[64500, 3356], 3356), [1, 2, 3, 7]);
    assert_eq!(written(&[64500, 70_000], 3356), [1, 2, 3, 7, 17]);
    assert_eq!(written(&[64500, 70_000], 70_000), [1, 2, 3, 7, 17, 18]);
}

#[test]
fn path_identifiers_tell_paths_of_a_prefix_apart() {
    let dialect = Dialect {
        add_path_receive: Families::IPV4,
        ..EXTERNAL
    };
    let nlri = [&[0, 0, 0, 7][..], &NLRI, &[0, 0, 0, 8], &NLRI].concat();
    let read = updates(&update(&good(), &nlri), dialect).remove(0);
    let ids: Vec<u32> = only(&read).1.iter().map(|nlri| nlri.path_id).collect();
    assert_eq!(ids, [7, 8]);
}

#[test]
fn equal_attributes_in_a_row_are_one_set() {
    let mut framer = Framer::default();
    let mut sets = Vec::new();
    let other = [&good()[..], &[0x80, 4, 4, 0, 0, 0, 9]].concat();
    for attributes in [&good(), &good(), &other, &good()] {
        framer.push(&update(attributes, &NLRI));
        match framer.next(EXTERNAL) {
            Ok(Some(Message::Update(update))) => sets.push(update.announced[0].attributes.clone()),
            other => panic!("not an UPDATE: {other:?}"),
        }
    }
    assert!(Arc::ptr_eq(&sets[0], &sets[1]));
    assert_ne!(sets[1], sets[2]);
    assert_eq!(sets[0], sets[3]);
    // Other bytes may read the same in another dialect, or not.
    framer.push(&update(&good(), &NLRI));
    assert_eq!(framer.next(OLD).map(|_| ()), Ok(()));
}

#[test]
fn large_communities_are_kept_once() {
    let once = [0, 0, 0x1f, 0x8b, 0, 0, 0, 1, 0, 0, 0, 2];
    let attributes = [&good()[..], &[0xc0, 32, 24], &once, &once].concat();
    let read = updates(&update(&attributes, &NLRI), EXTERNAL).remove(0);
    assert_eq!(only(&read).0.large_communities.len(), 1);
}
