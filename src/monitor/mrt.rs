//! MRT records (RFC 6396): what [`crate::routes`] reads, written.
//!
//! A trace has BGP4MP_ET records with AS numbers of four octets, a dump TABLE_DUMP_V2. Where paths have identifiers, the
//! subtypes of RFC 8050 say so.

use std::net::IpAddr;

use bytes::{BufMut, BytesMut};
use ipnet::IpNet;

use super::framing::{HEADER, kind};
use super::{Route, Session, Stamp, Station, UPDATE, Way};
use crate::bgp::attributes::Attributes;
use crate::bgp::family::{Families, Family};
use crate::bgp::message::{Dialect, Nlri, write_announcements};
use crate::bgp::session::State;

/// Record types (section 4).
const TABLE_DUMP_V2: u16 = 13;
const BGP4MP_ET: u16 = 17;
/// Subtypes of TABLE_DUMP_V2 (section 4.3; RFC 8050, section 4.2).
const PEER_INDEX_TABLE: u16 = 1;
/// MP_REACH_NLRI (RFC 4760).
const MP_REACH_NLRI: u8 = 14;
const EXTENDED_LENGTH: u8 = 0x10;

/// BGP4MP_STATE_CHANGE_AS4 (section 4.4.5).
pub(super) fn state_change(
    out: &mut Vec<u8>,
    now: Stamp,
    asn: u32,
    session: &Session,
    from: State,
    to: State,
) {
    record(out, now, BGP4MP_ET, 5, |out| {
        ends(out, asn, session);
        out.put_u16(state(from));
        out.put_u16(state(to));
    });
}

/// One message (section 4.4.2, 4.4.3; those sent are `LOCAL`), and how it reads if it is an UPDATE.
pub(super) fn message(
    out: &mut Vec<u8>,
    now: Stamp,
    asn: u32,
    session: &Session,
    way: Way,
    dialect: Option<Dialect>,
    message: &[u8],
) {
    let dialect = dialect.filter(|_| kind(message) == UPDATE);
    let four_octet = dialect.is_none_or(|dialect| dialect.four_octet);
    let add_path = dialect.is_some_and(|dialect| match way {
        Way::Received => !dialect.add_path_receive.is_empty(),
        Way::Sent => !dialect.add_path_send.is_empty(),
    });
    let subtype = match (way, four_octet, add_path) {
        (Way::Received, false, false) => 1,
        (Way::Received, true, false) => 4,
        (Way::Sent, false, false) => 6,
        (Way::Sent, true, false) => 7,
        (Way::Received, false, true) => 8,
        (Way::Received, true, true) => 9,
        (Way::Sent, false, true) => 10,
        (Way::Sent, true, true) => 11,
    };
    record(out, now, BGP4MP_ET, subtype, |out| {
        match four_octet {
            true => ends(out, asn, session),
            false => ends_of_two_octets(out, asn, session),
        }
        out.put_slice(message);
    });
}

/// A record: its header, and a length known at its end.
fn record(out: &mut Vec<u8>, now: Stamp, kind: u16, subtype: u16, body: impl FnOnce(&mut Vec<u8>)) {
    out.put_u32(now.seconds);
    out.put_u16(kind);
    out.put_u16(subtype);
    out.put_u32(0);
    let start = out.len();
    if kind == BGP4MP_ET {
        out.put_u32(now.micros);
    }
    body(out);
    let length = (out.len() - start) as u32;
    out[start - 4..start].copy_from_slice(&length.to_be_bytes());
}

/// Both ends of a session.
fn ends(out: &mut Vec<u8>, asn: u32, session: &Session) {
    out.put_u32(session.peer_asn);
    out.put_u32(asn);
    addresses(out, session);
}

fn ends_of_two_octets(out: &mut Vec<u8>, asn: u32, session: &Session) {
    let short = |asn| u16::try_from(asn).unwrap_or(crate::bgp::message::AS_TRANS);
    out.put_u16(short(session.peer_asn));
    out.put_u16(short(asn));
    addresses(out, session);
}

fn addresses(out: &mut Vec<u8>, session: &Session) {
    // Interface indexes mean nothing outside of the lab.
    out.put_u16(0);
    out.put_u16(match session.peer {
        IpAddr::V4(_) => 1,
        IpAddr::V6(_) => 2,
    });
    address(out, session.peer);
    address(out, session.local);
}

fn address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => out.put_slice(&address.octets()),
        IpAddr::V6(address) => out.put_slice(&address.octets()),
    }
}

/// States by their numbers (section 4.4.1).
fn state(state: State) -> u16 {
    match state {
        State::Idle => 1,
        State::Connect => 2,
        State::Active => 3,
        State::OpenSent => 4,
        State::OpenConfirm => 5,
        State::Established => 6,
    }
}

/// The table of peers, and a record for each prefix.
pub(super) fn table_dump(station: &Station, now: Stamp) -> Vec<u8> {
    let mut out = Vec::new();
    record(&mut out, now, TABLE_DUMP_V2, PEER_INDEX_TABLE, |out| {
        out.put_slice(&station.router_id.octets());
        out.put_u16(station.name.len() as u16);
        out.put_slice(station.name.as_bytes());
        out.put_u16(station.sessions.len() as u16);
        for session in &station.sessions {
            let wide = session.peer.is_ipv6();
            // Bit 0: an IPv6 address; bit 1: an AS number of four octets.
            out.put_u8(2 | u8::from(wide));
            let id = session.up.as_ref().map(|up| up.peer_id.octets());
            out.put_slice(&id.unwrap_or_default());
            address(out, session.peer);
            out.put_u32(session.peer_asn);
        }
    });
    for (number, (prefix, entries)) in (0_u32..).zip(by_prefix(station)) {
        for add_path in [false, true] {
            let of_kind = entries.iter().filter(|entry| entry.add_path == add_path);
            let blocks = of_kind.filter_map(|entry| Some((entry, block(entry)?)));
            let blocks: Vec<(&Entry<'_>, Vec<u8>)> = blocks.collect();
            if !blocks.is_empty() {
                rib(&mut out, now, number, prefix, add_path, &blocks);
            }
        }
    }
    out
}

/// One route of a dump.
struct Entry<'a> {
    peer: u16,
    path_id: u32,
    add_path: bool,
    route: &'a Route,
}

/// The routes of all sessions, prefix by prefix.
fn by_prefix(station: &Station) -> std::collections::BTreeMap<IpNet, Vec<Entry<'_>>> {
    let mut all = std::collections::BTreeMap::<IpNet, Vec<Entry<'_>>>::new();
    for (peer, session) in (0_u16..).zip(&station.sessions) {
        let dialect = session.up.as_ref().map(|up| up.dialect);
        let with_path_ids = dialect.map_or(Families::NONE, |dialect| dialect.add_path_receive);
        for (nlri, route) in &session.routes {
            all.entry(nlri.prefix).or_default().push(Entry {
                peer,
                path_id: nlri.path_id,
                add_path: with_path_ids.contains(Family::of(&nlri.prefix)),
                route,
            });
        }
    }
    all
}

fn rib(
    out: &mut Vec<u8>,
    now: Stamp,
    number: u32,
    prefix: IpNet,
    add_path: bool,
    entries: &[(&Entry<'_>, Vec<u8>)],
) {
    let subtype = match (Family::of(&prefix), add_path) {
        (Family::Ipv4Unicast, false) => 2,
        (Family::Ipv6Unicast, false) => 4,
        (Family::Ipv4Unicast, true) => 8,
        (Family::Ipv6Unicast, true) => 10,
    };
    record(out, now, TABLE_DUMP_V2, subtype, |out| {
        out.put_u32(number);
        let length = prefix.prefix_len();
        out.put_u8(length);
        let octets = usize::from(length.div_ceil(8));
        match prefix {
            IpNet::V4(net) => out.put_slice(&net.network().octets()[..octets]),
            IpNet::V6(net) => out.put_slice(&net.network().octets()[..octets]),
        }
        out.put_u16(entries.len() as u16);
        for (entry, block) in entries {
            out.put_u16(entry.peer);
            out.put_u32(entry.route.since.seconds);
            if add_path {
                out.put_u32(entry.path_id);
            }
            out.put_u16(block.len() as u16);
            out.put_slice(block);
        }
    });
}

/// The attributes of a route, of MP_REACH_NLRI the next hop alone (section 4.3.4); `None` when they fit no message.
fn block(entry: &Entry<'_>) -> Option<Vec<u8>> {
    let attributes: &Attributes = &entry.route.received;
    let dialect = Dialect {
        four_octet: true,
        internal: true,
        families: Families::from_iter(Family::ALL),
        extended_next_hop: true,
        ..Dialect::plain(true)
    };
    // Any prefix of the next hop's family: what stands before it is wanted.
    let prefix: IpNet = match attributes.next_hop {
        IpAddr::V4(_) => IpNet::V4(ipnet::Ipv4Net::default()),
        IpAddr::V6(_) => IpNet::V6(ipnet::Ipv6Net::default()),
    };
    let mut update = BytesMut::new();
    write_announcements(&mut update, attributes, &[Nlri::from(prefix)], dialect).ok()?;
    let body = update.get(HEADER..)?;
    let (withdrawn, rest) = sized(body)?;
    debug_assert!(withdrawn.is_empty());
    let (mut attributes, _) = sized(rest)?;
    let mut block = Vec::with_capacity(attributes.len());
    while let [flags, code, ..] = *attributes {
        let (head, length) = match (flags & EXTENDED_LENGTH, attributes) {
            (0, [_, _, length, ..]) => (3, usize::from(*length)),
            (_, [_, _, high, low, ..]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
            _ => return None,
        };
        let (attribute, more) = attributes.split_at_checked(head + length)?;
        if code == MP_REACH_NLRI {
            // AFI, SAFI, then the length of the next hop and the next hop.
            let next_hop = attribute.get(head + 3..)?;
            let length = *next_hop.first()?;
            let next_hop = next_hop.get(..1 + usize::from(length))?;
            block.extend([flags & !EXTENDED_LENGTH, code, length + 1]);
            block.extend_from_slice(next_hop);
        } else {
            block.extend_from_slice(attribute);
        }
        attributes = more;
    }
    Some(block)
}

/// A field with its size in two octets, and what follows.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))
}
