//! OPEN messages as others write them: one parameter or many, repeated and unknown capabilities, extended lengths.

use super::*;

/// An OPEN of AS 64500 with these optional parameters, their one-octet length included.
fn open_with(parameters: &[u8]) -> Vec<u8> {
    let fixed = [4, 0xfb, 0xf4, 0, 90, 10, 0, 0, 1, parameters.len() as u8];
    framed(1, &[&fixed, parameters].concat())
}

fn capabilities(bytes: &[u8]) -> Capabilities {
    match read_all(bytes, EXTERNAL).as_deref() {
        Ok([Message::Open(open)]) => open.capabilities.clone(),
        other => panic!("not an OPEN: {other:?}"),
    }
}

/// Each capability in a parameter of its own, and all of them in one.
fn both_ways(list: &[&[u8]]) -> [Vec<u8>; 2] {
    let apart = list.iter().map(|c| [&[2, c.len() as u8], *c].concat());
    let together = list.concat();
    let one = [&[2, together.len() as u8], &together[..]].concat();
    [
        open_with(&apart.collect::<Vec<_>>().concat()),
        open_with(&one),
    ]
}

const IPV4: &[u8] = &[1, 4, 0, 1, 0, 1];
const IPV6: &[u8] = &[1, 4, 0, 2, 0, 1];

#[test]
fn capabilities_may_share_a_parameter_or_not() {
    let list: [&[u8]; 9] = [
        IPV4,
        IPV6,
        &[2, 0],
        &[6, 0],
        &[9, 1, 3],
        &[65, 4, 0, 0, 0xfb, 0xf4],
        // Restarting, N bit, 120 s; IPv4 with its forwarding state kept.
        &[64, 10, 0xc0, 120, 0, 1, 1, 0x80, 0, 2, 1, 0],
        &[70, 0],
        &[74, 0],
    ];
    let expected = Capabilities {
        four_octet: true,
        families: Family::ALL.into_iter().collect(),
        route_refresh: true,
        enhanced_route_refresh: true,
        extended_message: true,
        role: Some(Role::Customer),
        graceful_restart: Some(GracefulRestart {
            restarting: true,
            notification: true,
            time: 120,
            families: Family::ALL.into_iter().collect(),
            preserved: Families::IPV4,
        }),
        bfd_strict: true,
        ..Capabilities::none()
    };
    for bytes in both_ways(&list) {
        assert_eq!(capabilities(&bytes), expected);
    }
}

#[test]
fn families_nobody_carries_here_are_kept_by_their_codes() {
    // IPv4 VPN, L2VPN EVPN, and one that the codec does not know; twice.
    let list: [&[u8]; 5] = [
        &[1, 4, 0, 1, 0, 128],
        &[1, 4, 0, 25, 0, 70],
        &[1, 4, 0, 99, 0, 7],
        &[1, 4, 0, 99, 0, 7],
        &[128, 0],
    ];
    for bytes in both_ways(&list) {
        let read = capabilities(&bytes);
        assert_eq!(read.families, Families::NONE);
        assert_eq!(read.other_families, [(1, 128), (25, 70), (99, 7)]);
        assert_eq!(read.ignored, [128]);
    }
}

#[test]
fn a_capability_said_twice_is_said_once() {
    for bytes in both_ways(&[IPV4, IPV4, &[2, 0], &[2, 0], &[9, 1, 4], &[9, 1, 4]]) {
        let read = capabilities(&bytes);
        assert_eq!(read.families, Families::IPV4);
        assert!(read.route_refresh);
        assert_eq!(read.role, Some(Role::Peer));
    }
}

#[test]
fn two_different_roles_are_a_role_mismatch() {
    for second in [&[9, 1, 3][..], &[9, 1, 5]] {
        for bytes in both_ways(&[IPV4, &[9, 1, 0], second]) {
            assert_eq!(error(&bytes), (2, 11, vec![]));
        }
    }
}

#[test]
fn a_role_without_a_meaning_is_none_that_fits() {
    for bytes in both_ways(&[IPV4, &[9, 1, 5]]) {
        let read = capabilities(&bytes);
        assert_eq!((read.role, read.unfit_role), (None, true));
    }
}

#[test]
fn entries_nobody_knows_do_not_hide_the_others() {
    // ADD-PATH: L2VPN EVPN, IPv4 to receive, IPv6 for both, and a way that is none.
    let add_path = [69, 16, 0, 25, 70, 3, 0, 1, 1, 1, 0, 2, 1, 3, 0, 1, 1, 7];
    // Extended next hop: of a family nobody has, and IPv4 unicast over IPv6.
    let next_hop = [5, 12, 0, 99, 0, 1, 0, 2, 0, 1, 0, 1, 0, 2];
    for bytes in both_ways(&[IPV4, &add_path, &next_hop, &[200, 2, 7, 7]]) {
        let read = capabilities(&bytes);
        assert_eq!(read.add_path_receive, Family::ALL.into_iter().collect());
        assert_eq!(read.add_path_send, Family::Ipv6Unicast.into());
        assert!(read.extended_next_hop);
        assert_eq!(read.ignored, [200]);
    }
}

#[test]
fn capabilities_of_a_wrong_length_are_ignored() {
    for bytes in both_ways(&[IPV4, &[65, 2, 0, 1], &[9, 2, 0, 0], &[64, 1, 0], &[2, 1, 0]]) {
        let read = capabilities(&bytes);
        assert_eq!(read.ignored, [65, 9, 64, 2]);
        assert!(!read.four_octet && !read.route_refresh);
    }
}

#[test]
fn optional_parameters_may_have_an_extended_length() {
    // RFC 9072, section 2: 255, 255, the length in two octets; then parameters with two octets of length.
    let mut capabilities_of_it = IPV6.to_vec();
    capabilities_of_it.extend([&[200, 250][..], &[7; 250]].concat());
    let mut parameters = vec![255];
    let one = [
        &[2][..],
        &(capabilities_of_it.len() as u16).to_be_bytes(),
        &capabilities_of_it,
    ]
    .concat();
    parameters.extend((one.len() as u16).to_be_bytes());
    parameters.extend(&one);
    let mut body = vec![4, 0xfb, 0xf4, 0, 90, 10, 0, 0, 1, 255];
    body.extend(parameters);
    let read = capabilities(&framed(1, &body));
    assert_eq!(read.families, Family::Ipv6Unicast.into());
    assert_eq!(read.ignored, [200]);
}

#[test]
fn optional_parameters_that_are_wrong_are_refused() {
    // A parameter that is none of ours, and lengths that do not add up.
    assert_eq!(error(&open_with(&[1, 1, 0])), (2, 4, vec![]));
    for parameters in [&[2, 9, 1, 4][..], &[2], &[2, 3, 1, 4, 0]] {
        assert_eq!(error(&open_with(parameters)), (2, 0, vec![]));
    }
}

#[test]
fn an_open_is_never_an_extended_message() {
    let extended = Dialect {
        extended_receive: true,
        ..EXTERNAL
    };
    let mut framer = Framer::default();
    framer.push(&[[0xff; 16].as_slice(), &[0x10, 0x01, 1]].concat());
    assert_eq!(framer.next(extended), Err(Notification::bad_length(4097)));
    // An UPDATE may be.
    let mut framer = Framer::default();
    framer.push(&[[0xff; 16].as_slice(), &[0xff, 0xff, 2]].concat());
    assert_eq!(framer.next(extended), Ok(None));
}
