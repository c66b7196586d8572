//! From the codec's messages to ours: capabilities, attributes, and the treatment of faulty ones (RFC 7606).
//!
//! **Invariant:** every decode error becomes a NOTIFICATION or a treatment; nothing is lost silently.

use std::net::Ipv4Addr;

use bytes::Bytes;
use ipnet::{IpNet, Ipv4Net};
use rustbgpd_wire as wire;
use wire::{ErrorDisposition, PathAttribute};

use super::{Announced, Capabilities, Dialect, HEADER, Nlri, Open, Unusable, Update};
use crate::bgp::attributes::{Attributes, LargeCommunity, Origin, UnknownAttribute};
use crate::bgp::family::{Families, Family};
use crate::bgp::notification::Notification;
use crate::bgp::policy::{AS_SET, MALFORMED};

/// Attribute flag (RFC 4271, section 4.3): says something about the encoding, not about the attribute.
const EXTENDED_LENGTH: u8 = 0x10;

pub(super) fn refuse(error: &wire::DecodeError) -> Notification {
    let (code, subcode, data) = error.to_notification();
    Notification {
        code: code.as_u8(),
        subcode,
        data,
    }
}

pub(super) fn read_open(open: wire::OpenMessage) -> Open {
    let mut read = Capabilities::none();
    let mut multiprotocol = false;
    for capability in &open.capabilities {
        match capability {
            wire::Capability::FourOctetAs { .. } => read.four_octet = true,
            wire::Capability::RouteRefresh => read.route_refresh = true,
            wire::Capability::MultiProtocol { afi, safi } => {
                multiprotocol = true;
                if (*afi, *safi) == (wire::Afi::Ipv4, wire::Safi::Unicast) {
                    read.families.insert(Family::Ipv4Unicast);
                }
            }
            // An address family the codec does not know is still multiprotocol.
            wire::Capability::Unknown { code: 1, .. } => multiprotocol = true,
            other => read.ignored.push(other.code()),
        }
    }
    if !multiprotocol {
        read.families = Families::IPV4;
    }
    Open {
        asn: open.four_byte_as(),
        hold_time: open.hold_time,
        id: open.bgp_identifier,
        capabilities: read,
    }
}

pub(super) fn read_update(
    update: &wire::UpdateMessage,
    dialect: Dialect,
) -> Result<Update, Notification> {
    let revised = update
        .parse_revised(dialect.four_octet, dialect.internal, false, &[])
        .map_err(|e| refuse(&e))?;
    let mut read = Update::default();
    let mut treatment = ErrorDisposition::AttributeDiscard;
    for fault in &revised.malformed {
        treatment = treatment.max(fault.disposition);
        read.malformed.push(format!(
            "{} (attribute {}): {}",
            fault.error,
            fault.type_code,
            fault.disposition.as_str()
        ));
    }
    let attributes = &revised.update.attributes;
    read.withdrawn = nets(&revised.update.withdrawn);
    let mut announced = nets(&revised.update.announced);
    let body = !announced.is_empty();
    let mut end_of_rib = false;
    let mut next_hop = None;
    let mut multiprotocol = false;
    for attribute in attributes {
        match attribute {
            PathAttribute::MpReachNlri(mp) => {
                multiprotocol = true;
                if (mp.afi, mp.safi) == (wire::Afi::Ipv4, wire::Safi::Unicast) {
                    announced.extend(mp.announced.iter().filter_map(ipv4));
                    if let std::net::IpAddr::V4(address) = mp.next_hop {
                        next_hop = Some(address);
                    }
                }
            }
            PathAttribute::MpUnreachNlri(mp) => {
                multiprotocol = true;
                if (mp.afi, mp.safi) == (wire::Afi::Ipv4, wire::Safi::Unicast) {
                    end_of_rib |= mp.withdrawn.is_empty();
                    read.withdrawn.extend(mp.withdrawn.iter().filter_map(ipv4));
                }
            }
            _ => {}
        }
    }
    end_of_rib |= !multiprotocol && update.encoded_len() == HEADER + 4;
    read.end_of_rib = end_of_rib.then_some(Family::Ipv4Unicast);
    if announced.is_empty() {
        return Ok(read);
    }
    if let Err(fault) =
        wire::validate::validate_update_attributes(attributes, true, body, !dialect.internal)
    {
        if fault.disposition == ErrorDisposition::SessionReset {
            return Err(Notification {
                code: 3,
                subcode: fault.subcode,
                data: fault.data.into(),
            });
        }
        treatment = treatment.max(fault.disposition);
        read.malformed.push(format!(
            "{}: {}",
            Notification::new(3, fault.subcode),
            fault.disposition.as_str()
        ));
    }
    let prohibited = |fault: &wire::attribute::MalformedAttribute| {
        matches!(fault.error, wire::DecodeError::ProhibitedAsSet { .. })
    };
    let as_set = revised.malformed.iter().any(prohibited);
    let set = read_attributes(attributes, dialect, next_hop);
    if set.is_none() {
        let fault = "missing NEXT_HOP: treat-as-withdraw";
        read.malformed.push(fault.to_owned());
    }
    match set {
        Some(attributes) if treatment < ErrorDisposition::TreatAsWithdraw => {
            read.announced = vec![Announced {
                attributes,
                nlri: announced,
            }];
        }
        set => {
            read.unusable = Some(Unusable {
                nlri: announced,
                reason: if as_set { AS_SET } else { MALFORMED },
                as_path: path_text(attributes),
                communities: set.map_or_else(Vec::new, |set| set.community_texts()),
            });
        }
    }
    Ok(read)
}

/// The AS path with its sets, which no [`Attributes`] can hold.
fn path_text(attributes: &[PathAttribute]) -> String {
    let segments = attributes.iter().find_map(|attribute| match attribute {
        PathAttribute::AsPath(path) => Some(path.segments.as_slice()),
        _ => None,
    });
    let joined = |asns: &[u32], with: &str| {
        let words: Vec<String> = asns.iter().map(u32::to_string).collect();
        words.join(with)
    };
    let words = segments
        .unwrap_or_default()
        .iter()
        .map(|segment| match segment {
            wire::AsPathSegment::AsSequence(asns) => joined(asns, " "),
            wire::AsPathSegment::AsSet(asns) => format!("{{{}}}", joined(asns, ",")),
        });
    words.collect::<Vec<String>>().join(" ")
}

fn nets(entries: &[wire::Ipv4NlriEntry]) -> Vec<Nlri> {
    entries.iter().filter_map(|e| net(e.prefix)).collect()
}

fn net(prefix: wire::Ipv4Prefix) -> Option<Nlri> {
    let net = Ipv4Net::new(prefix.addr, prefix.len).ok()?;
    Some(IpNet::V4(net).into())
}

fn ipv4(entry: &wire::NlriEntry) -> Option<Nlri> {
    match entry.prefix {
        wire::Prefix::V4(prefix) => net(prefix),
        wire::Prefix::V6(_) => None,
    }
}

/// Attributes as a set of ours; `None` when there is no next hop.
fn read_attributes(
    attributes: &[PathAttribute],
    dialect: Dialect,
    mp_next_hop: Option<Ipv4Addr>,
) -> Option<Attributes> {
    let body_next_hop = attributes.iter().find_map(|a| match a {
        PathAttribute::NextHop(address) => Some(*address),
        _ => None,
    });
    let mut set = Attributes::originated(mp_next_hop.or(body_next_hop)?);
    for attribute in attributes {
        match attribute {
            PathAttribute::Origin(origin) => {
                set.origin = match origin {
                    wire::Origin::Igp => Origin::Igp,
                    wire::Origin::Egp => Origin::Egp,
                    wire::Origin::Incomplete => Origin::Incomplete,
                }
            }
            PathAttribute::AsPath(path) => set.as_path = path.asns().collect(),
            PathAttribute::Med(med) => set.med = Some(*med),
            // RFC 4271, section 5.1.5, and RFC 7606, sections 7.5, 7.9, 7.10: external peers have no say in these.
            PathAttribute::LocalPref(_)
            | PathAttribute::OriginatorId(_)
            | PathAttribute::ClusterList(_)
                if !dialect.internal => {}
            PathAttribute::LocalPref(preference) => set.local_pref = Some(*preference),
            PathAttribute::OriginatorId(id) => set.originator_id = Some(*id),
            PathAttribute::ClusterList(ids) => set.cluster_list.clone_from(ids),
            PathAttribute::AtomicAggregate => set.atomic_aggregate = true,
            PathAttribute::Aggregator(a) => {
                set.aggregator = Some((a.asn, a.router_id));
                if a.partial {
                    set.partial.push(attribute.type_code());
                }
            }
            PathAttribute::Communities(list) => set.communities.clone_from(list),
            PathAttribute::CommunitiesPartial(list) => {
                set.communities.clone_from(list);
                set.partial.push(attribute.type_code());
            }
            PathAttribute::ExtendedCommunities(list) => set.extended_communities = extended(list),
            PathAttribute::ExtendedCommunitiesPartial(list) => {
                set.extended_communities = extended(list);
                set.partial.push(attribute.type_code());
            }
            PathAttribute::LargeCommunities(list) => set.large_communities = large(list),
            PathAttribute::LargeCommunitiesPartial(list) => {
                set.large_communities = large(list);
                set.partial.push(attribute.type_code());
            }
            PathAttribute::NextHop(_)
            | PathAttribute::MpReachNlri(_)
            | PathAttribute::MpUnreachNlri(_) => {}
            other => set.unknown.extend(opaque(other)),
        }
    }
    Some(set)
}

fn extended(list: &[wire::ExtendedCommunity]) -> Vec<u64> {
    list.iter().map(|c| c.as_u64()).collect()
}

fn large(list: &[wire::LargeCommunity]) -> Vec<LargeCommunity> {
    list.iter()
        .map(|c| LargeCommunity {
            global: c.global_admin,
            local_1: c.local_data1,
            local_2: c.local_data2,
        })
        .collect()
}

/// An attribute we do not act on, as it was on the wire; `None` when it must not be passed on.
fn opaque(attribute: &PathAttribute) -> Option<UnknownAttribute> {
    if let PathAttribute::Unknown(raw) = attribute {
        return (raw.flags & 0xc0 == 0xc0).then(|| UnknownAttribute {
            flags: raw.flags & !EXTENDED_LENGTH,
            code: raw.type_code,
            value: raw.data.clone(),
        });
    }
    // The codec knows it and we do not: its encoding is flags, code, a length of one or two octets, and the value.
    let mut bytes = Vec::new();
    wire::attribute::encode_path_attributes(
        std::slice::from_ref(attribute),
        &mut bytes,
        true,
        false,
    )
    .ok()?;
    let (&flags, &code) = (bytes.first()?, bytes.get(1)?);
    let start = if flags & EXTENDED_LENGTH == 0 { 3 } else { 4 };
    (flags & 0xc0 == 0xc0).then(|| UnknownAttribute {
        flags: flags & !EXTENDED_LENGTH,
        code,
        value: Bytes::copy_from_slice(bytes.get(start..).unwrap_or_default()),
    })
}
