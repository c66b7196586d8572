//! Our messages as bytes: many prefixes to an UPDATE, many UPDATEs to a buffer.
//!
//! **Invariant:** no message is longer than 4096 bytes.

use std::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};
use ipnet::IpNet;
use rustbgpd_wire as wire;
use wire::PathAttribute;

use super::{AS_TRANS, Dialect, HEADER, MAX_LENGTH, Nlri, Open};
use crate::bgp::attributes::{Attributes, Origin};
use crate::bgp::family::Family;
use crate::bgp::notification::Notification;

/// Writes our OPEN (version 4, all capabilities we have).
pub fn write_open(out: &mut BytesMut, open: &Open) {
    let mut capabilities = Vec::new();
    let announced = &open.capabilities;
    if announced.families.contains(Family::Ipv4Unicast) {
        capabilities.push(wire::Capability::MultiProtocol {
            afi: wire::Afi::Ipv4,
            safi: wire::Safi::Unicast,
        });
    }
    if announced.route_refresh {
        capabilities.push(wire::Capability::RouteRefresh);
    }
    if announced.four_octet {
        capabilities.push(wire::Capability::FourOctetAs { asn: open.asn });
    }
    write(
        out,
        &wire::Message::Open(wire::OpenMessage {
            version: 4,
            my_as: u16::try_from(open.asn).unwrap_or(AS_TRANS),
            hold_time: open.hold_time,
            bgp_identifier: open.id,
            capabilities,
        }),
    );
}

/// Writes a KEEPALIVE.
pub fn write_keepalive(out: &mut BytesMut) {
    write(out, &wire::Message::Keepalive);
}

/// Writes a NOTIFICATION; data that does not fit into a message is cut.
pub fn write_notification(out: &mut BytesMut, notification: &Notification) {
    let mut data = notification.data.clone();
    data.truncate(usize::from(MAX_LENGTH) - HEADER - 2);
    write(
        out,
        &wire::Message::Notification(wire::NotificationMessage {
            code: wire::NotificationCode::from_u8(notification.code),
            subcode: notification.subcode,
            data,
        }),
    );
}

/// Writes a ROUTE-REFRESH: subtype 0 asks for all routes of a family (RFC 2918), 1 and 2 mark beginning and end (RFC 7313).
pub fn write_route_refresh(out: &mut BytesMut, family: Family, subtype: u8) {
    out.put_slice(&[0xff; 16]);
    out.put_slice(&[0, 23, 5]);
    out.put_u16(family.afi());
    out.put_slice(&[subtype, family.safi()]);
}

fn write(out: &mut BytesMut, message: &wire::Message) {
    // These messages are short and their values in range: the codec has nothing to refuse.
    if let Ok(bytes) = wire::encode_message(message) {
        out.extend_from_slice(&bytes);
    }
}

/// Writes UPDATEs that withdraw prefixes, as many to a message as fit.
pub fn write_withdrawals(out: &mut BytesMut, nlri: &[Nlri], _dialect: Dialect) {
    let mut rest = nlri;
    while !rest.is_empty() {
        let (withdrawn_routes, left) = fill(rest, usize::from(MAX_LENGTH) - HEADER - 4);
        rest = left;
        write_update(out, withdrawn_routes, Bytes::new(), Bytes::new());
    }
}

/// Writes UPDATEs that announce prefixes with the same attributes, as many to a message as fit.
///
/// # Errors
///
/// The attributes cannot be written: too long for a message, or an AS number 0. Nothing was written.
pub fn write_announcements(
    out: &mut BytesMut,
    attributes: &Attributes,
    nlri: &[Nlri],
    dialect: Dialect,
) -> Result<(), Unwritable> {
    let mut encoded = Vec::new();
    wire::attribute::encode_path_attributes(
        &wire_attributes(attributes),
        &mut encoded,
        dialect.four_octet,
        false,
    )
    .map_err(|e| Unwritable(e.to_string()))?;
    if !attributes.as_set.is_empty() {
        write_path_with_set(&mut encoded, attributes, dialect)?;
    }
    let room = (usize::from(MAX_LENGTH) - HEADER - 4).saturating_sub(encoded.len());
    if room < 5 {
        return Err(Unwritable("longer than a message".to_owned()));
    }
    let encoded = Bytes::from(encoded);
    let mut rest = nlri;
    while !rest.is_empty() {
        let (body, left) = fill(rest, room);
        rest = left;
        write_update(out, Bytes::new(), encoded.clone(), body);
    }
    Ok(())
}

/// The AS_PATH of a route with an AS_SET, which the codec does not write: segments as RFC 4271, section 4.3, has them.
fn write_path_with_set(
    out: &mut Vec<u8>,
    attributes: &Attributes,
    dialect: Dialect,
) -> Result<(), Unwritable> {
    if !dialect.four_octet {
        return Err(Unwritable("an AS_SET in two octets".to_owned()));
    }
    let mut value = Vec::new();
    for (kind, asns) in [(2, &attributes.as_path), (1, &attributes.as_set)] {
        for part in asns.chunks(255) {
            value.extend([kind, part.len() as u8]);
            value.extend(part.iter().flat_map(|asn| asn.to_be_bytes()));
        }
    }
    let length = u16::try_from(value.len()).map_err(|e| Unwritable(e.to_string()))?;
    // Well-known, transitive, with two octets of length.
    out.extend([0x50, 2]);
    out.extend(length.to_be_bytes());
    out.append(&mut value);
    Ok(())
}

/// Writes the End-of-RIB marker of a family (RFC 4724, section 2).
pub fn write_end_of_rib(out: &mut BytesMut, _family: Family) {
    write_update(out, Bytes::new(), Bytes::new(), Bytes::new());
}

/// Attributes that cannot be put on the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write path attributes: {0}")]
pub struct Unwritable(String);

fn write_update(out: &mut BytesMut, withdrawn_routes: Bytes, path_attributes: Bytes, nlri: Bytes) {
    let update = wire::UpdateMessage {
        withdrawn_routes,
        path_attributes,
        nlri,
    };
    // The parts were cut to fit.
    let _ = update.encode_with_limit(out, MAX_LENGTH);
}

/// As many prefixes as fit into `room` bytes, encoded, and those left over.
fn fill(nlri: &[Nlri], room: usize) -> (Bytes, &[Nlri]) {
    let mut bytes = BytesMut::with_capacity(room.min(nlri.len() * 5));
    for (index, Nlri { prefix, .. }) in nlri.iter().enumerate() {
        let IpNet::V4(prefix) = prefix else { continue };
        let octets = usize::from(prefix.prefix_len().div_ceil(8));
        if bytes.len() + 1 + octets > room {
            return (bytes.freeze(), &nlri[index..]);
        }
        bytes.put_u8(prefix.prefix_len());
        bytes.put_slice(&prefix.network().octets()[..octets]);
    }
    (bytes.freeze(), &[])
}

/// The attributes in ascending order of their type codes (RFC 4271, section 5).
fn wire_attributes(set: &Attributes) -> Vec<PathAttribute> {
    let partial = |code: u8| set.partial.contains(&code);
    let mut list = vec![
        PathAttribute::Origin(match set.origin {
            Origin::Igp => wire::Origin::Igp,
            Origin::Egp => wire::Origin::Egp,
            Origin::Incomplete => wire::Origin::Incomplete,
        }),
        PathAttribute::AsPath(wire::AsPath {
            segments: match set.as_path.as_slice() {
                [] => Vec::new(),
                path => vec![wire::AsPathSegment::AsSequence(path.to_vec())],
            },
        }),
    ];
    if let IpAddr::V4(next_hop) = set.next_hop {
        list.push(PathAttribute::NextHop(next_hop));
    }
    list.extend(set.med.map(PathAttribute::Med));
    list.extend(set.local_pref.map(PathAttribute::LocalPref));
    if set.atomic_aggregate {
        list.push(PathAttribute::AtomicAggregate);
    }
    list.extend(set.aggregator.map(|(asn, router_id)| {
        PathAttribute::Aggregator(wire::Aggregator {
            asn,
            router_id,
            partial: partial(7),
        })
    }));
    if !set.communities.is_empty() {
        let communities = set.communities.clone();
        list.push(if partial(8) {
            PathAttribute::CommunitiesPartial(communities)
        } else {
            PathAttribute::Communities(communities)
        });
    }
    list.extend(set.originator_id.map(PathAttribute::OriginatorId));
    if !set.cluster_list.is_empty() {
        list.push(PathAttribute::ClusterList(set.cluster_list.clone()));
    }
    if !set.extended_communities.is_empty() {
        let communities = set
            .extended_communities
            .iter()
            .map(|&c| wire::ExtendedCommunity::new(c))
            .collect();
        list.push(if partial(16) {
            PathAttribute::ExtendedCommunitiesPartial(communities)
        } else {
            PathAttribute::ExtendedCommunities(communities)
        });
    }
    if !set.large_communities.is_empty() {
        let communities = set
            .large_communities
            .iter()
            .map(|c| wire::LargeCommunity::new(c.global, c.local_1, c.local_2))
            .collect();
        list.push(if partial(32) {
            PathAttribute::LargeCommunitiesPartial(communities)
        } else {
            PathAttribute::LargeCommunities(communities)
        });
    }
    list.extend(set.unknown.iter().map(|raw| {
        PathAttribute::Unknown(wire::RawAttribute {
            flags: raw.flags,
            type_code: raw.code,
            data: raw.value.clone(),
        })
    }));
    list.retain(|a| set.as_set.is_empty() || !matches!(a, PathAttribute::AsPath(_)));
    list.sort_by_key(PathAttribute::type_code);
    list
}
