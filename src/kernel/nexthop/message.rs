//! The bytes of nexthop and route messages (linux/nexthop.h, linux/rtnetlink.h).
//!
//! netlink-packet-route has no nexthop messages, and 280 routes are sooner written than built from
//! attribute objects, so both are written here.
//!
//! **Invariant:** pure bytes; no socket.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Gateway;
use super::change::Change;
use super::table::gateways;

/// `RTPROT_BGP`: marks routes and objects as ours.
pub(super) const RTPROT_BGP: u8 = 186;
/// The metric of every route of a [`super::Fib`]; BIRD and FRR use the same order of magnitude.
pub(super) const METRIC: u32 = 20;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
pub(super) const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;
pub(super) const RTM_GETNEXTHOP: u16 = 106;

const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;

const AF_INET: u8 = libc::AF_INET as u8;
const AF_INET6: u8 = libc::AF_INET6 as u8;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
const NHA_GATEWAY: u16 = 6;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
const RTA_NH_ID: u16 = 30;
const RT_TABLE_MAIN: u8 = 254;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_NOWHERE: u8 = 255;
const RTN_UNICAST: u8 = 1;

/// A netlink message without its header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u16,
    /// Flags besides `NLM_F_REQUEST` and `NLM_F_ACK`.
    pub(super) flags: u16,
    pub(super) body: Vec<u8>,
}

/// Writes a change.
pub(super) fn message(change: &Change) -> Message {
    match change {
        Change::CreateHop { id, hop } => next_hop(*id, *hop, NLM_F_CREATE | NLM_F_EXCL),
        Change::RestoreHop { id, hop } => next_hop(*id, *hop, NLM_F_CREATE | NLM_F_REPLACE),
        Change::CreateGroup { id, members } => group(*id, members, NLM_F_CREATE | NLM_F_EXCL),
        Change::ReplaceGroup { id, members } => group(*id, members, NLM_F_REPLACE),
        Change::RestoreGroup { id, members } => group(*id, members, NLM_F_CREATE | NLM_F_REPLACE),
        Change::DeleteObject { id } | Change::DeleteHop { id } => delete_object(*id),
        Change::Route { prefix, group } => {
            let mut body = route_header(*prefix, RTPROT_BGP, RT_SCOPE_UNIVERSE, RTN_UNICAST);
            attribute(&mut body, RTA_NH_ID, &group.to_ne_bytes());
            new_route(body)
        }
        Change::Multipath { prefix, hops } => {
            let mut body = route_header(*prefix, RTPROT_BGP, RT_SCOPE_UNIVERSE, RTN_UNICAST);
            next_hops(&mut body, *prefix, &gateways(hops).collect::<Vec<_>>());
            new_route(body)
        }
        Change::DeleteRoute { prefix } => Message {
            kind: RTM_DELROUTE,
            flags: 0,
            body: route_header(*prefix, RTPROT_BGP, RT_SCOPE_NOWHERE, 0),
        },
    }
}

/// Removes a nexthop object or group.
pub(super) fn delete_object(id: u32) -> Message {
    // The kernel refuses a deletion that names a protocol.
    let mut body = object_header(0, 0);
    attribute(&mut body, NHA_ID, &id.to_ne_bytes());
    Message {
        kind: RTM_DELNEXTHOP,
        flags: 0,
        body,
    }
}

/// The id of a dumped object, when it is a [`super::Fib`]'s.
pub(super) fn own_object(body: &[u8]) -> Option<u32> {
    if *body.get(2)? != RTPROT_BGP {
        return None;
    }
    let mut rest = body.get(8..)?;
    loop {
        let header: [u8; 4] = rest.get(..4)?.try_into().ok()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        if u16::from_ne_bytes([header[2], header[3]]) == NHA_ID {
            return Some(u32::from_ne_bytes(rest.get(4..8)?.try_into().ok()?));
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn next_hop(id: u32, hop: Gateway, flags: u16) -> Message {
    let mut body = object_header(family(hop.address), RTPROT_BGP);
    attribute(&mut body, NHA_ID, &id.to_ne_bytes());
    attribute(&mut body, NHA_OIF, &hop.oif.to_ne_bytes());
    address(&mut body, NHA_GATEWAY, hop.address);
    Message {
        kind: RTM_NEWNEXTHOP,
        flags,
        body,
    }
}

fn group(id: u32, members: &[u32], flags: u16) -> Message {
    // struct nexthop_grp: id, weight - 1, 3 reserved bytes.
    let mut entries = Vec::with_capacity(8 * members.len());
    for id in members {
        entries.extend(id.to_ne_bytes());
        entries.extend([0; 4]);
    }
    let mut body = object_header(0, RTPROT_BGP);
    attribute(&mut body, NHA_ID, &id.to_ne_bytes());
    attribute(&mut body, NHA_GROUP, &entries);
    Message {
        kind: RTM_NEWNEXTHOP,
        flags,
        body,
    }
}

fn new_route(body: Vec<u8>) -> Message {
    Message {
        kind: RTM_NEWROUTE,
        flags: NLM_F_CREATE | NLM_F_REPLACE,
        body,
    }
}

/// `struct nhmsg`: family, scope, protocol, reserved, flags.
pub(super) fn object_header(family: u8, protocol: u8) -> Vec<u8> {
    vec![family, 0, protocol, 0, 0, 0, 0, 0]
}

/// `struct rtmsg` and the attributes every route has.
pub(super) fn route_header(prefix: IpNet, protocol: u8, scope: u8, kind: u8) -> Vec<u8> {
    let mut body = Vec::with_capacity(64);
    body.extend([family(prefix.addr()), prefix.prefix_len(), 0, 0]);
    body.extend([RT_TABLE_MAIN, protocol, scope, kind, 0, 0, 0, 0]);
    address(&mut body, RTA_DST, prefix.network());
    attribute(&mut body, RTA_PRIORITY, &METRIC.to_ne_bytes());
    body
}

fn next_hops(body: &mut Vec<u8>, prefix: IpNet, hops: &[Gateway]) {
    if let [hop] = hops {
        gateway(body, prefix, hop.address);
        attribute(body, RTA_OIF, &hop.oif.to_ne_bytes());
        return;
    }
    let mut list = Vec::with_capacity(32 * hops.len());
    for hop in hops {
        // struct rtnexthop: length, flags, weight - 1, interface; then its attributes.
        let mut via = Vec::with_capacity(24);
        gateway(&mut via, prefix, hop.address);
        list.extend((8 + via.len() as u16).to_ne_bytes());
        list.extend([0, 0]);
        list.extend(hop.oif.to_ne_bytes());
        list.extend(via);
    }
    attribute(body, RTA_MULTIPATH, &list);
}

/// The gateway of a route; `RTA_VIA` when it is of another family than the prefix (RFC 8950).
fn gateway(body: &mut Vec<u8>, prefix: IpNet, gateway: IpAddr) {
    if family(prefix.addr()) == family(gateway) {
        return address(body, RTA_GATEWAY, gateway);
    }
    // struct rtvia: family, address.
    let mut via = u16::from(family(gateway)).to_ne_bytes().to_vec();
    match gateway {
        IpAddr::V4(gateway) => via.extend(gateway.octets()),
        IpAddr::V6(gateway) => via.extend(gateway.octets()),
    }
    attribute(body, RTA_VIA, &via);
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

fn address(body: &mut Vec<u8>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => attribute(body, kind, &address.octets()),
        IpAddr::V6(address) => attribute(body, kind, &address.octets()),
    }
}

/// Appends `struct rtattr` and its value, padded to four bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}
