//! Properties: what is written is read again as it was, in every dialect and however it is cut; whatever else comes in is
//! answered; and an independent codec reads our UPDATEs as we do.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::Ipv6Net;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use rustbgpd_wire as wire;

use super::*;
use crate::bgp::attributes::{LargeCommunity, Origin};

fn ipv4() -> impl Strategy<Value = IpNet> {
    (any::<u32>(), 0..=32_u8).prop_map(|(address, length)| {
        let net = Ipv4Net::new(Ipv4Addr::from(address), length).expect("a length up to 32");
        IpNet::V4(net.trunc())
    })
}

fn ipv6() -> impl Strategy<Value = IpNet> {
    (any::<u128>(), 0..=128_u8).prop_map(|(address, length)| {
        let net = Ipv6Net::new(Ipv6Addr::from(address), length).expect("a length up to 128");
        IpNet::V6(net.trunc())
    })
}

fn families() -> impl Strategy<Value = Families> {
    any::<[bool; 2]>().prop_map(|there| {
        let families = Family::ALL.into_iter().zip(there);
        families
            .filter(|(_, there)| *there)
            .map(|(f, _)| f)
            .collect()
    })
}

prop_compose! {
    /// A dialect in which we understand ourselves.
    fn dialect()(
        (four_octet, extended_message, extended_next_hop) in any::<(bool, bool, bool)>(),
        add_path in families(),
        internal in any::<bool>(),
    ) -> Dialect {
        Dialect {
            internal,
            four_octet,
            extended_message,
            extended_receive: extended_message,
            extended_next_hop,
            families: Family::ALL.into_iter().collect(),
            add_path_receive: add_path,
            add_path_send: add_path,
            enhanced_refresh: false,
        }
    }
}

fn unknown() -> impl Strategy<Value = UnknownAttribute> {
    // Optional and transitive; partial, if somebody passed it on who did not know it.
    (200..250_u8, any::<bool>(), vec(any::<u8>(), 0..300)).prop_map(|(code, partial, value)| {
        UnknownAttribute {
            flags: if partial { 0xe0 } else { 0xc0 },
            code,
            value: value.into(),
        }
    })
}

fn large() -> impl Strategy<Value = LargeCommunity> {
    any::<(u32, u32, u32)>().prop_map(|(global, local_1, local_2)| LargeCommunity {
        global,
        local_1,
        local_2,
    })
}

/// A next hop packets can be sent to, and the link-local one beside it.
fn next_hop() -> impl Strategy<Value = (IpAddr, Option<Ipv6Addr>)> {
    let ipv4 = (1..0x7f00_0000_u32).prop_map(|address| (Ipv4Addr::from(address).into(), None));
    let global = (0x2001_0db8_u128..0x3fff_ffff, any::<u64>())
        .prop_map(|(high, low)| IpAddr::V6((high << 96 | u128::from(low)).into()));
    let link_local =
        any::<u64>().prop_map(|low| Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(low)));
    prop_oneof![ipv4, (global, option::of(link_local))]
}

prop_compose! {
    fn attributes()(
        origin in prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)],
        as_path in vec(1..=u32::MAX, 0..300),
        ((next_hop, link_local), med, local_pref) in (next_hop(), option::of(any::<u32>()), option::of(any::<u32>())),
        atomic_aggregate in any::<bool>(),
        aggregator in option::of((1..=u32::MAX, any::<u32>())),
        communities in vec(any::<u32>(), 0..40),
        extended_communities in vec(any::<u64>(), 0..20),
        (large_communities, only_to_customer) in (btree_set(large(), 0..20), option::of(any::<u32>())),
        originator_id in option::of(any::<u32>()),
        cluster_list in vec(any::<u32>(), 0..5),
        unknown in option::of(unknown()),
        partial in any::<[bool; 5]>(),
    ) -> Attributes {
        let present = [
            (7, aggregator.is_some()),
            (8, !communities.is_empty()),
            (16, !extended_communities.is_empty()),
            (32, !large_communities.is_empty()),
            (35, only_to_customer.is_some()),
        ];
        let partial = present.iter().zip(partial).filter(|((_, there), partial)| *there && *partial);
        Attributes {
            origin,
            as_path,
            as_set: Vec::new(),
            next_hop,
            link_local,
            only_to_customer,
            med,
            local_pref,
            atomic_aggregate,
            aggregator: aggregator.map(|(asn, id)| (asn, id.into())),
            partial: partial.map(|((code, _), _)| *code).collect(),
            communities,
            extended_communities,
            large_communities: large_communities.into_iter().collect(),
            originator_id: originator_id.map(Into::into),
            cluster_list: cluster_list.into_iter().map(Into::into).collect(),
            unknown: unknown.into_iter().collect(),
        }
    }
}

/// Prefixes such a next hop can be that of, path identifiers where the dialect has them.
fn prefixes(next_hop: IpAddr, dialect: Dialect, most: usize) -> impl Strategy<Value = Vec<Nlri>> {
    let prefix = match next_hop {
        IpAddr::V4(_) => ipv4().boxed(),
        IpAddr::V6(_) if dialect.extended_next_hop => prop_oneof![ipv4(), ipv6()].boxed(),
        IpAddr::V6(_) => ipv6().boxed(),
    };
    let nlri = (prefix, any::<u32>()).prop_map(move |(prefix, path_id)| {
        let with_path_id = dialect.add_path_send.contains(Family::of(&prefix));
        Nlri {
            prefix,
            path_id: if with_path_id { path_id } else { 0 },
        }
    });
    vec(nlri, 1..most)
}

/// A dialect, attributes, and prefixes that can be announced with them in it.
fn announcement(most: usize) -> impl Strategy<Value = (Dialect, Attributes, Vec<Nlri>)> {
    (dialect(), attributes()).prop_flat_map(move |(dialect, mut set)| {
        if !dialect.internal {
            // What is not told an external neighbour, and would not be heard by one.
            (set.local_pref, set.originator_id) = (None, None);
            set.cluster_list.clear();
        }
        let prefixes = prefixes(set.next_hop, dialect, most);
        (Just(dialect), Just(set), prefixes)
    })
}

fn open() -> impl Strategy<Value = Open> {
    let restart = (any::<(bool, bool)>(), 0..4096_u16, families(), families());
    let restart = restart.prop_map(|((restarting, notification), time, families, preserved)| {
        GracefulRestart {
            restarting,
            notification,
            time,
            families,
            preserved: preserved.and(families),
        }
    });
    let role = option::of((0..5_usize).prop_map(|index| Role::ALL[index]));
    let ways = (any::<[bool; 6]>(), families(), families(), families());
    (
        1..=u32::MAX,
        any::<u16>(),
        any::<u32>(),
        ways,
        option::of(restart),
        role,
    )
        .prop_map(
            |(asn, hold_time, id, (flags, families, receive, send), graceful_restart, role)| {
                let [four_octet, refresh, enhanced, extended, next_hop, strict] = flags;
                let capabilities = Capabilities {
                    four_octet,
                    families: if families.is_empty() {
                        Families::IPV4
                    } else {
                        families
                    },
                    route_refresh: refresh,
                    enhanced_route_refresh: enhanced,
                    extended_message: extended,
                    extended_next_hop: next_hop,
                    graceful_restart,
                    role,
                    unfit_role: false,
                    add_path_receive: receive,
                    add_path_send: send,
                    bfd_strict: strict,
                    other_families: Vec::new(),
                    ignored: Vec::new(),
                };
                let asn = if four_octet {
                    asn
                } else {
                    asn.clamp(1, 65_535)
                };
                Open {
                    asn,
                    hold_time,
                    id: id.into(),
                    capabilities,
                }
            },
        )
}

/// What the codec's own reader makes of an UPDATE of ours: its prefixes and its AS path.
fn second_opinion(bytes: &[u8], dialect: Dialect) -> (Vec<IpNet>, Vec<u32>) {
    let mut body = Bytes::copy_from_slice(&bytes[HEADER..]);
    let length = body.len();
    let update = wire::UpdateMessage::decode(&mut body, length).expect("an UPDATE");
    let of = |family| dialect.add_path_send.contains(family);
    let ipv6 = [(wire::Afi::Ipv6, wire::Safi::Unicast)];
    let both = [(wire::Afi::Ipv4, wire::Safi::Unicast), ipv6[0]];
    let add_path = match (of(Family::Ipv4Unicast), of(Family::Ipv6Unicast)) {
        (false, false) => &[][..],
        (true, false) => &both[..1],
        (false, true) => &ipv6,
        (true, true) => &both,
    };
    let read = update
        .parse_revised(dialect.four_octet, true, of(Family::Ipv4Unicast), add_path)
        .expect("well-formed");
    assert_eq!(read.malformed, []);
    let ipv4 = |p: wire::Ipv4Prefix| IpNet::new(p.addr.into(), p.len).expect("a prefix");
    let mut nets: Vec<IpNet> = read
        .update
        .announced
        .iter()
        .map(|e| ipv4(e.prefix))
        .collect();
    let mut path = Vec::new();
    for attribute in &read.update.attributes {
        match attribute {
            wire::PathAttribute::AsPath(as_path) => path.extend(as_path.asns()),
            wire::PathAttribute::MpReachNlri(mp) => {
                nets.extend(mp.announced.iter().map(|entry| match entry.prefix {
                    wire::Prefix::V4(p) => ipv4(p),
                    wire::Prefix::V6(p) => IpNet::new(p.addr.into(), p.len).expect("a prefix"),
                }));
            }
            _ => {}
        }
    }
    (nets, path)
}

proptest! {
    #[test]
    fn announcements_there_and_back((dialect, set, prefixes) in announcement(2000)) {
        let mut out = BytesMut::new();
        write_announcements(&mut out, &set, &prefixes, dialect).expect("fits");
        let read = updates(&out, dialect);
        let back: Vec<Nlri> = read.iter().flat_map(|u| only(u).1.to_vec()).collect();
        prop_assert_eq!(back, prefixes);
        for update in read {
            prop_assert!(update.malformed.is_empty(), "{:?}", update.malformed);
            prop_assert_eq!(only(&update).0, &set);
        }
    }

    #[test]
    fn another_codec_reads_the_same((dialect, set, prefixes) in announcement(300)) {
        let mut out = BytesMut::new();
        write_announcements(&mut out, &set, &prefixes, dialect).expect("fits");
        let mut rest = &out[..];
        let mut back = Vec::new();
        while !rest.is_empty() {
            let length = usize::from(u16::from_be_bytes([rest[16], rest[17]]));
            let (nets, path) = second_opinion(&rest[..length], dialect);
            prop_assert_eq!(&path, &set.as_path);
            back.extend(nets);
            rest = &rest[length..];
        }
        let expected: Vec<IpNet> = prefixes.iter().map(|nlri| nlri.prefix).collect();
        prop_assert_eq!(back, expected);
    }

    #[test]
    fn withdrawals_there_and_back((dialect, _, prefixes) in announcement(3000)) {
        let mut out = BytesMut::new();
        write_withdrawals(&mut out, &prefixes, dialect);
        let back: Vec<Nlri> = updates(&out, dialect).into_iter().flat_map(|u| u.withdrawn).collect();
        prop_assert_eq!(back, prefixes);
    }

    #[test]
    fn no_message_is_longer_than_was_agreed((dialect, set, prefixes) in announcement(2000)) {
        let mut out = BytesMut::new();
        write_announcements(&mut out, &set, &prefixes, dialect).expect("fits");
        write_withdrawals(&mut out, &prefixes, dialect);
        let most = if dialect.extended_message { 65_535 } else { 4096 };
        let mut rest = &out[..];
        while !rest.is_empty() {
            let length = usize::from(u16::from_be_bytes([rest[16], rest[17]]));
            prop_assert!(length <= most);
            rest = &rest[length..];
        }
    }

    #[test]
    fn opens_there_and_back(open in open()) {
        let mut out = BytesMut::new();
        write_open(&mut out, &open);
        prop_assert_eq!(read_all(&out, EXTERNAL), Ok(vec![Message::Open(open)]));
    }

    #[test]
    fn notifications_there_and_back(code: u8, subcode: u8, data in vec(any::<u8>(), 0..4075)) {
        let notification = Notification { code, subcode, data: data.into() };
        let mut out = BytesMut::new();
        write_notification(&mut out, &notification);
        prop_assert_eq!(read_all(&out, EXTERNAL), Ok(vec![Message::Notification(notification)]));
    }

    #[test]
    fn route_refreshes_there_and_back(ipv6: bool, subtype: u8) {
        let family = Family::ALL[usize::from(ipv6)];
        let mut out = BytesMut::new();
        write_route_refresh(&mut out, family, subtype);
        let expected = vec![Message::RouteRefresh(RouteRefresh::new(family, subtype))];
        let enhanced = Dialect { enhanced_refresh: true, ..EXTERNAL };
        prop_assert_eq!(read_all(&out, enhanced), Ok(expected));
    }

    /// However a stream is cut, the same messages come out.
    #[test]
    fn cuts_do_not_matter((dialect, set, prefixes) in announcement(500), cuts in vec(1..700_usize, 1..20)) {
        let mut out = BytesMut::new();
        write_keepalive(&mut out);
        write_announcements(&mut out, &set, &prefixes, dialect).expect("fits");
        for family in Family::ALL {
            write_end_of_rib(&mut out, family);
        }
        let whole = read_all(&out, dialect).expect("well-formed");
        let mut framer = Framer::default();
        let mut pieces = Vec::new();
        let mut rest = &out[..];
        for cut in cuts.iter().cycle() {
            let (piece, left) = rest.split_at((*cut).min(rest.len()));
            rest = left;
            framer.push(piece);
            while let Some(message) = framer.next(dialect).expect("well-formed") {
                pieces.push(message);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(pieces, whole);
    }

    /// Whatever is inside, an UPDATE is read, treated, or refused with an UPDATE error.
    #[test]
    fn any_update_body_is_answered(
        attributes in vec(any::<u8>(), 0..200),
        nlri in vec(any::<u8>(), 0..50),
        dialect in dialect(),
        internal: bool,
    ) {
        let mut framer = Framer::default();
        framer.push(&update(&attributes, &nlri));
        match framer.next(Dialect { internal, ..dialect }) {
            Ok(Some(Message::Update(update))) => {
                prop_assert!(update.announced.is_empty() || update.unusable.is_none());
                prop_assert!(update.announced.iter().all(|a| !a.nlri.is_empty()));
            }
            Ok(other) => prop_assert!(false, "not an UPDATE: {other:?}"),
            Err(notification) => prop_assert_eq!(notification.code, 3),
        }
    }

    /// A good stream with a few bytes changed: messages, and then perhaps one error, whose code fits.
    #[test]
    fn a_damaged_stream_is_answered(
        (dialect, set, prefixes) in announcement(30),
        damage in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        open in open(),
    ) {
        let mut out = BytesMut::new();
        write_open(&mut out, &open);
        write_announcements(&mut out, &set, &prefixes, dialect).expect("fits");
        write_withdrawals(&mut out, &prefixes, dialect);
        for (at, byte) in damage {
            let at = at.index(out.len());
            out[at] = byte;
        }
        let mut framer = Framer::default();
        framer.push(&out);
        loop {
            match framer.next(dialect) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(notification) => {
                    prop_assert!(matches!(notification.code, 1 | 2 | 3 | 7), "{notification}");
                    break;
                }
            }
        }
    }
}
