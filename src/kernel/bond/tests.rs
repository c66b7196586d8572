//! Answers of the kernel, byte by byte, and what is read from them.

use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::packet_core::{NetlinkDeserializable, NetlinkHeader};

use super::*;

const RTM_NEWLINK: u16 = 16;
const RTM_NEWSTATS: u16 = 92;
/// `IFF_UP`, and with it `IFF_LOWER_UP`.
const DARK: u32 = 1;
const LIGHT: u32 = 0x1_0001;

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn nest(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind, &parts.concat())
}

/// A `struct ifinfomsg` with its attributes, as an answer brings it.
fn link(flags: u32, attributes: &[Vec<u8>]) -> LinkMessage {
    let mut bytes = vec![0, 0, 1, 0];
    bytes.extend(7_u32.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(attributes.concat());
    match answer(RTM_NEWLINK, &bytes) {
        RouteNetlinkMessage::NewLink(link) => link,
        other => panic!("{other:?}"),
    }
}

fn answer(message_type: u16, body: &[u8]) -> RouteNetlinkMessage {
    let mut header = NetlinkHeader::default();
    header.message_type = message_type;
    RouteNetlinkMessage::deserialize(&header, body).expect("an answer")
}

/// `IFLA_LINKINFO` of a bond, with these attributes of `IFLA_BOND_AD_INFO`.
fn bond(flags: u32, info: &[Vec<u8>]) -> LinkMessage {
    let mode = attribute(1, &[4]);
    let data = nest(2, &[mode, nest(23, info)]);
    link(flags, &[nest(18, &[attribute(1, b"bond\0"), data])])
}

/// `IFLA_LINKINFO` of a port, with these attributes of `IFLA_INFO_SLAVE_DATA`.
fn port(flags: u32, data: &[Vec<u8>]) -> LinkMessage {
    let kind = attribute(1, b"veth\0");
    let of = attribute(4, b"bond\0");
    link(flags, &[nest(18, &[kind, of, nest(5, data)])])
}

fn aggregator(kind: u16, number: u16) -> Vec<u8> {
    attribute(kind, &number.to_ne_bytes())
}

const PARTNER: [u8; 6] = [2, 0x80, 0, 0, 0xff, 0];

#[test]
fn what_the_kernel_says_of_a_bond() {
    let info = |mac: [u8; 6]| {
        vec![
            aggregator(1, 3),
            aggregator(2, 2),
            aggregator(3, 77),
            aggregator(4, 5),
            attribute(5, &mac),
        ]
    };
    let none = BondStatus::default();
    let table = [
        (
            "all",
            bond(LIGHT, &info(PARTNER)),
            BondStatus {
                carrier: true,
                key: Some(77),
                partner: Some((PARTNER, 5)),
                ports: Vec::new(),
            },
        ),
        (
            "nobody at the other end",
            bond(LIGHT, &info([0; 6])),
            BondStatus {
                carrier: true,
                key: Some(77),
                ..none.clone()
            },
        ),
        (
            "a partner without its key",
            bond(DARK, &[attribute(5, &PARTNER)]),
            none.clone(),
        ),
        ("no aggregator", bond(DARK, &[]), none.clone()),
        (
            "what is not known is passed over",
            bond(DARK, &[attribute(99, &[1, 2, 3]), aggregator(3, 9)]),
            BondStatus {
                key: Some(9),
                ..none.clone()
            },
        ),
        (
            "no bond",
            link(LIGHT, &[]),
            BondStatus {
                carrier: true,
                ..none.clone()
            },
        ),
    ];
    for (name, own, expected) in table {
        assert_eq!(BondStatus::read(&own, &[]), expected, "{name}");
    }
}

#[test]
fn what_the_kernel_says_of_a_port() {
    let own = bond(LIGHT, &[aggregator(1, 3)]);
    let states = |of: u16| {
        vec![
            aggregator(6, of),
            attribute(7, &[0x3f]),
            attribute(8, &0x0f_u16.to_ne_bytes()),
        ]
    };
    let read = BondPort {
        light: true,
        active: true,
        actor: 0x3f,
        partner: 0x0f,
    };
    let table = [
        (
            "in the active aggregator",
            port(LIGHT, &states(3)),
            Some(read),
        ),
        (
            "in another",
            port(LIGHT, &states(4)),
            Some(BondPort {
                active: false,
                ..read
            }),
        ),
        (
            "without light",
            port(DARK, &states(3)),
            Some(BondPort {
                light: false,
                ..read
            }),
        ),
        (
            "without LACP",
            port(LIGHT, &[]),
            Some(BondPort {
                active: false,
                actor: 0,
                partner: 0,
                ..read
            }),
        ),
        ("no port", link(LIGHT, &[]), None),
    ];
    for (name, link, expected) in table {
        let status = BondStatus::read(&own, std::slice::from_ref(&link));
        assert_eq!(status.ports, [expected], "{name}");
    }
    // A bond that names no aggregator has no active port.
    let status = BondStatus::read(&bond(LIGHT, &[]), &[port(LIGHT, &states(3))]);
    assert_eq!(
        status.ports,
        [Some(BondPort {
            active: false,
            ..read
        })]
    );
}

/// A `RTM_NEWSTATS` of a port: a `struct if_stats_msg` with what bonding counted.
fn statistics(groups: &[Vec<u8>]) -> Option<SlowFrames> {
    let bytes = [vec![0; 12], nest(3, groups)].concat();
    match answer(RTM_NEWSTATS, &bytes) {
        RouteNetlinkMessage::NewStats(stats) => SlowFrames::read(&stats.attributes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn frames_that_the_kernel_counts() {
    let number = |kind: u16, number: u64| attribute(kind, &number.to_ne_bytes());
    let of_bond = |counted: &[Vec<u8>]| statistics(&[nest(2, &[nest(1, counted)])]);
    let all = [
        (0, 10),
        (1, 20),
        (2, 1),
        (3, 2),
        (4, 30),
        (5, 99),
        (6, 40),
        (7, 50),
        (8, 4),
    ];
    let read = SlowFrames {
        lacpdus_received: 10,
        lacpdus_sent: 20,
        markers_received: 30,
        marker_responses_received: 40,
        marker_responses_sent: 50,
        illegal: 7,
    };
    assert_eq!(of_bond(&all.map(|(kind, n)| number(kind, n))), Some(read));
    let sent = SlowFrames {
        lacpdus_sent: 3,
        ..SlowFrames::default()
    };
    assert_eq!(of_bond(&[number(1, 3)]), Some(sent));
    // A port of something else.
    assert_eq!(statistics(&[]), None);
}
