//! Messages there and back, faulty headers, faulty attributes.

use super::*;
use crate::bgp::attributes::UnknownAttribute;
use crate::bgp::family::Families;
use ipnet::Ipv4Net;

const EXTERNAL: Dialect = Dialect::plain(false);
const INTERNAL: Dialect = Dialect::plain(true);

fn net(text: &str) -> Nlri {
    text.parse::<IpNet>().expect("a prefix").into()
}

/// The attributes and prefixes of an UPDATE that announces once.
fn only(update: &Update) -> (&Attributes, &[Nlri]) {
    let [announced] = update.announced.as_slice() else {
        panic!("not one announcement: {update:?}");
    };
    (&announced.attributes, &announced.nlri)
}

/// All messages of a stream, which must be whole.
fn read_all(bytes: &[u8], dialect: Dialect) -> Result<Vec<Message>, Notification> {
    let mut framer = Framer::default();
    framer.push(bytes);
    let mut messages = Vec::new();
    while let Some(message) = framer.next(dialect)? {
        messages.push(message);
    }
    assert_eq!(framer.pending(), 0, "bytes left over");
    Ok(messages)
}

fn updates(bytes: &[u8], dialect: Dialect) -> Vec<Update> {
    let messages = read_all(bytes, dialect).expect("well-formed");
    messages
        .into_iter()
        .map(|m| match m {
            Message::Update(update) => *update,
            other => panic!("not an UPDATE: {other:?}"),
        })
        .collect()
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend(((19 + body.len()) as u16).to_be_bytes());
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

fn update(attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0];
    body.extend((attributes.len() as u16).to_be_bytes());
    body.extend(attributes);
    body.extend(nlri);
    framed(2, &body)
}

const ORIGIN: [u8; 4] = [0x40, 1, 1, 0];
const AS_PATH: [u8; 9] = [0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf4];
const NEXT_HOP: [u8; 7] = [0x40, 3, 4, 192, 0, 2, 1];
const NLRI: [u8; 4] = [24, 198, 51, 100];

fn good() -> Vec<u8> {
    [&ORIGIN[..], &AS_PATH, &NEXT_HOP].concat()
}

fn error(bytes: &[u8]) -> (u8, u8, Vec<u8>) {
    let n = read_all(bytes, EXTERNAL).expect_err("an error");
    (n.code, n.subcode, n.data.to_vec())
}

#[test]
fn open_there_and_back() {
    for asn in [64500, 4_200_000_000] {
        let open = Open {
            asn,
            hold_time: 180,
            id: Ipv4Addr::new(10, 0, 0, 1),
            capabilities: Capabilities::of(Family::Ipv4Unicast),
        };
        let mut out = BytesMut::new();
        write_open(&mut out, &open);
        assert_eq!(read_all(&out, EXTERNAL), Ok(vec![Message::Open(open)]));
    }
}

#[test]
fn open_without_capabilities_means_ipv4_unicast_and_two_octets() {
    let bytes = framed(1, &[4, 0xfb, 0xf4, 0, 90, 10, 0, 0, 1, 0]);
    let messages = read_all(&bytes, EXTERNAL);
    let Ok([Message::Open(open)]) = messages.as_deref() else {
        panic!("not an OPEN");
    };
    assert_eq!((open.asn, open.hold_time), (64500, 90));
    let expected = Capabilities {
        families: Families::IPV4,
        ..Capabilities::none()
    };
    assert_eq!(open.capabilities, expected);
}

#[test]
fn open_with_unknown_capabilities_is_taken_and_with_another_family_only_lacks_ours() {
    // Parameter 2 (capabilities), 6 octets: multiprotocol IPv6 unicast; then code 200 with two octets.
    let options = [2, 10, 1, 4, 0, 2, 0, 1, 200, 2, 7, 7];
    let mut body = vec![4, 0xfb, 0xf4, 0, 90, 10, 0, 0, 1, options.len() as u8];
    body.extend(options);
    let messages = read_all(&framed(1, &body), EXTERNAL);
    let Ok([Message::Open(open)]) = messages.as_deref() else {
        panic!("not an OPEN");
    };
    let families = open.capabilities.families;
    assert!(!families.contains(Family::Ipv4Unicast));
    assert_eq!(open.capabilities.ignored, [200]);
}

#[test]
fn keepalive_refresh_and_notification_there_and_back() {
    let mut out = BytesMut::new();
    let notification = Notification::shutdown("maintenance");
    write_keepalive(&mut out);
    let refresh = RouteRefresh::new(Family::Ipv4Unicast, RouteRefresh::REQUEST);
    write_route_refresh(&mut out, Family::Ipv4Unicast, RouteRefresh::REQUEST);
    write_notification(&mut out, &notification);
    let expected = vec![
        Message::Keepalive,
        Message::RouteRefresh(refresh),
        Message::Notification(notification),
    ];
    assert_eq!(read_all(&out, EXTERNAL), Ok(expected));
}

/// RFC 7313, section 5, holds between two that both know it; else RFC 2918, section 3, where the octet is reserved.
#[test]
fn a_route_refresh_of_any_length_is_answered() {
    let enhanced = Dialect {
        enhanced_refresh: true,
        ..EXTERNAL
    };
    let read = |subtype, safi| {
        Ok(RouteRefresh {
            afi: 1,
            subtype,
            safi,
        })
    };
    type Case<'a> = (Dialect, &'a [u8], Result<RouteRefresh, (u8, u8)>);
    let cases: &[Case<'_>] = &[
        (enhanced, &[0, 1], Err((1, 2))),
        (enhanced, &[0, 1, 0], Err((1, 2))),
        (enhanced, &[0, 1, 1], Err((7, 1))),
        (enhanced, &[0, 1, 2], Err((7, 1))),
        (enhanced, &[0, 1, 3], read(3, 0)),
        (enhanced, &[0, 1, 0, 1], read(0, 1)),
        (enhanced, &[0, 1, 1, 1], read(1, 1)),
        (enhanced, &[0, 1, 2, 1], read(2, 1)),
        (enhanced, &[0, 1, 255, 1], read(255, 1)),
        // Filters (RFC 5291) nobody agreed on.
        (enhanced, &[0, 1, 0, 1, 1, 64, 0, 0], read(0, 1)),
        (enhanced, &[0, 1, 1, 1, 9], Err((7, 1))),
        (enhanced, &[0, 1, 2, 1, 9, 9], Err((7, 1))),
        (enhanced, &[0, 1, 3, 1, 9], read(3, 1)),
        (EXTERNAL, &[0, 1, 1], Err((1, 2))),
        (EXTERNAL, &[0, 1, 1, 1], read(0, 1)),
        (EXTERNAL, &[0, 1, 2, 1, 9], read(0, 1)),
    ];
    for (dialect, body, expected) in cases {
        let bytes = framed(5, body);
        let length = (bytes.len() as u16).to_be_bytes();
        match (read_all(&bytes, *dialect), expected) {
            (Ok(messages), Ok(refresh)) => {
                assert_eq!(messages, [Message::RouteRefresh(*refresh)], "{body:?}");
            }
            (Err(notification), Err(codes)) => {
                assert_eq!(
                    (notification.code, notification.subcode),
                    *codes,
                    "{body:?}"
                );
                let data = if codes.0 == 7 { &bytes[..] } else { &length };
                assert_eq!(notification.data, data, "{body:?}");
            }
            (found, _) => panic!("{body:?}: {found:?}, not {expected:?}"),
        }
    }
}

#[test]
fn a_long_notification_is_cut_to_a_message() {
    let mut out = BytesMut::new();
    let notification = Notification {
        data: Bytes::from(vec![7; 5000]),
        ..Notification::new(3, 1)
    };
    write_notification(&mut out, &notification);
    assert_eq!(out.len(), 4096);
}

#[test]
fn end_of_rib_is_the_empty_update() {
    let mut out = BytesMut::new();
    write_end_of_rib(&mut out, Family::Ipv4Unicast);
    assert_eq!(out.len(), 23);
    let ipv4 = Some(Family::Ipv4Unicast);
    assert_eq!(updates(&out, EXTERNAL)[0].end_of_rib, ipv4);
    // The multiprotocol form for IPv4 unicast means the same.
    let mp_unreach = [0x80, 15, 3, 0, 1, 1];
    let read = updates(&update(&mp_unreach, &[]), EXTERNAL);
    assert_eq!(read[0].end_of_rib, ipv4);
    // That of another family does not.
    let ipv6 = [0x80, 15, 3, 0, 2, 1];
    let read = updates(&update(&ipv6, &[]), EXTERNAL);
    assert_ne!(read[0].end_of_rib, ipv4);
}

#[test]
fn header_errors_are_answered_as_section_6_1_requires() {
    let mut marker = framed(4, &[]);
    marker[7] = 0;
    assert_eq!(error(&marker), (1, 1, vec![]));
    assert_eq!(error(&framed(9, &[])), (1, 3, vec![9]));
    for length in [0_u16, 18, 4097, 65535] {
        let mut bytes = framed(4, &[]);
        bytes[16..18].copy_from_slice(&length.to_be_bytes());
        assert_eq!(error(&bytes), (1, 2, length.to_be_bytes().to_vec()));
    }
    // Each type has its own least length; KEEPALIVE has only one.
    for (kind, body) in [(1, 9), (2, 3), (3, 1), (4, 1), (5, 3)] {
        let bytes = framed(kind, &vec![0; body]);
        let length = bytes.len() as u16;
        assert_eq!(error(&bytes), (1, 2, length.to_be_bytes().to_vec()));
    }
}

#[test]
fn a_bad_marker_is_noticed_at_its_first_byte() {
    let mut framer = Framer::default();
    framer.push(b"GET / HTTP/1.1");
    assert_eq!(framer.next(EXTERNAL), Err(Notification::new(1, 1)));
}

#[test]
fn an_unsupported_version_is_told_ours() {
    let bytes = framed(1, &[3, 0xfb, 0xf4, 0, 90, 10, 0, 0, 1, 0]);
    assert_eq!(error(&bytes), (2, 1, vec![0, 4]));
}

#[test]
fn impossible_lengths_inside_an_update_end_the_session() {
    assert_eq!(error(&framed(2, &[0, 9, 0, 0])).0, 3);
    assert_eq!(error(&framed(2, &[0, 0, 0, 9])).0, 3);
    // A prefix of 33 bits: Invalid Network Field.
    assert_eq!(error(&update(&good(), &[33, 1, 2, 3, 4, 5])).1, 10);
}

#[test]
fn malformed_attributes_get_the_treatment_of_rfc_7606() {
    let no_next_hop = [&ORIGIN[..], &AS_PATH].concat();
    let bad_origin = [&[0x40, 1, 1, 9][..], &AS_PATH, &NEXT_HOP].concat();
    let short_communities = [&good()[..], &[0xc0, 8, 3, 1, 2, 3]].concat();
    for attributes in [no_next_hop, bad_origin, short_communities] {
        let read = &updates(&update(&attributes, &NLRI), EXTERNAL)[0];
        let unusable = read.unusable.as_ref().expect("unusable");
        assert_eq!(unusable.nlri, [net("198.51.100.0/24")]);
        assert_eq!(unusable.reason, "malformed-attribute", "{attributes:?}");
        assert_eq!(unusable.as_path, "64500");
        assert!(!read.malformed.is_empty());
        assert!(read.withdrawn.is_empty() && read.announced.is_empty());
    }
    // AGGREGATOR of a wrong length is dropped, the route stays.
    let aggregator = [&good()[..], &[0xc0, 7, 3, 1, 2, 3]].concat();
    let read = &updates(&update(&aggregator, &NLRI), EXTERNAL)[0];
    assert_eq!(only(read).1, [net("198.51.100.0/24")]);
    assert_eq!(read.malformed.len(), 1);
}

#[test]
fn a_path_with_a_set_is_unusable_and_still_told() {
    // 64500 {64501,64502}; a set alone; a confederation's set.
    let paths: [(&[u8], &str); 3] = [
        (
            &[
                2, 1, 0, 0, 0xfb, 0xf4, 1, 2, 0, 0, 0xfb, 0xf5, 0, 0, 0xfb, 0xf6,
            ],
            "64500 {64501,64502}",
        ),
        (&[1, 1, 0, 0, 0xfb, 0xf4], "{64500}"),
        (&[4, 1, 0, 0, 0xfb, 0xf4], "[64500]"),
    ];
    let communities = [0xc0, 8, 4, 0x1f, 0x8b, 0x1f, 0x47];
    for (path, text) in paths {
        let header = [0x40, 2, path.len() as u8];
        let attributes = [&ORIGIN[..], &header, path, &NEXT_HOP, &communities].concat();
        let read = &updates(&update(&attributes, &NLRI), EXTERNAL)[0];
        let expected = Unusable {
            nlri: vec![net("198.51.100.0/24")],
            reason: "as-set",
            as_path: text.to_owned(),
            communities: vec!["8075:8007".to_owned()],
        };
        assert_eq!(read.unusable, Some(expected));
        assert!(read.withdrawn.is_empty() && read.announced.is_empty());
    }
}

#[test]
fn an_as_set_of_our_own_is_written_as_rfc_4271_has_it() {
    let mut set = Attributes::originated(Ipv4Addr::new(192, 0, 2, 1));
    set.as_path = vec![64500];
    set.as_set = vec![64501, 4_200_000_000];
    set.med = Some(7);
    let mut out = BytesMut::new();
    write_announcements(&mut out, &set, &[net("198.51.100.0/24")], EXTERNAL).expect("fits");
    let read = &updates(&out, EXTERNAL)[0];
    let unusable = read.unusable.as_ref().expect("unusable");
    assert_eq!(unusable.reason, "as-set");
    assert_eq!(unusable.as_path, "64500 {64501,4200000000}");
    assert_eq!(read.malformed.len(), 1, "{:?}", read.malformed);
    let two_octets = Dialect {
        four_octet: false,
        ..EXTERNAL
    };
    let mut out = BytesMut::new();
    write_announcements(&mut out, &set, &[net("198.51.100.0/24")], two_octets).expect("fits");
    let read = &updates(&out, two_octets)[0];
    let unusable = read.unusable.as_ref().expect("unusable");
    assert_eq!(unusable.as_path, "64500 {64501,23456}");
}

#[test]
fn an_external_peer_has_no_say_in_local_preference() {
    let attributes = [&good()[..], &[0x40, 5, 4, 0, 0, 1, 0]].concat();
    let preference = |dialect| {
        let read = updates(&update(&attributes, &NLRI), dialect);
        only(&read[0]).0.local_pref
    };
    assert_eq!(preference(EXTERNAL), None);
    assert_eq!(preference(INTERNAL), Some(256));
}

#[test]
fn attributes_nobody_knows_are_passed_on_if_they_are_transitive() {
    let transitive = [0xc0, 221, 2, 7, 7];
    let non_transitive = [0x80, 222, 1, 1];
    let otc = [0xc0, 35, 4, 0, 0, 0x1f, 0x8b];
    let attributes = [&good()[..], &transitive, &non_transitive, &otc].concat();
    let read = updates(&update(&attributes, &NLRI), EXTERNAL).remove(0);
    let set = only(&read).0;
    let expected = UnknownAttribute {
        flags: 0xc0,
        code: 221,
        value: Bytes::from_static(&[7, 7]),
    };
    assert_eq!(set.unknown, std::slice::from_ref(&expected));
    assert_eq!(set.only_to_customer, Some(8075));
    let mut out = BytesMut::new();
    write_announcements(&mut out, set, &[net("198.51.100.0/24")], EXTERNAL).expect("fits");
    assert_eq!(only(&updates(&out, EXTERNAL)[0]).0.unknown, [expected]);
}

#[test]
fn ipv4_in_multiprotocol_attributes_is_understood() {
    let mp_reach = [0x80, 14, 13, 0, 1, 1, 4, 192, 0, 2, 7, 0, 24, 203, 0, 113];
    let attributes = [&ORIGIN[..], &AS_PATH, &mp_reach].concat();
    let read = updates(&update(&attributes, &[]), EXTERNAL).remove(0);
    let (set, nlri) = only(&read);
    assert_eq!(nlri, [net("203.0.113.0/24")]);
    assert_eq!(set.next_hop, Ipv4Addr::new(192, 0, 2, 7));
}

#[test]
fn what_cannot_be_written_is_said_and_nothing_is_written() {
    let mut out = BytesMut::new();
    let mut set = Attributes::originated(Ipv4Addr::new(192, 0, 2, 1));
    set.as_path = vec![0];
    assert!(write_announcements(&mut out, &set, &[net("0.0.0.0/0")], EXTERNAL).is_err());
    set.as_path = vec![64500; 2000];
    assert!(write_announcements(&mut out, &set, &[net("0.0.0.0/0")], EXTERNAL).is_err());
    assert!(out.is_empty());
}

mod faults;
mod library;
mod open;
mod properties;
mod updates;
