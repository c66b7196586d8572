//! OPEN messages from and to bytes: the codec's capabilities (RFC 5492) as ours, and back.
//!
//! **Invariant:** a capability we have no use for is named in [`Capabilities::ignored`], never refused; so is a family, in
//! [`Capabilities::other_families`].

use bytes::{Bytes, BytesMut};
use rustbgpd_wire as wire;
use wire::{AddPathMode, Afi, BgpRole, Capability, Safi};

use super::{AS_TRANS, Capabilities, GracefulRestart, Open, Role};
use crate::bgp::family::{Families, Family};
use crate::bgp::notification::Notification;

/// Capability codes of what the codec may hand over unread.
const MULTIPROTOCOL: u8 = 1;
const EXTENDED_NEXT_HOP: u8 = 5;
const ROLE: u8 = 9;
const ADD_PATH: u8 = 69;
/// BFD strict mode (draft-ietf-idr-bgp-bfd-strict-mode), which it does not know.
const BFD_STRICT: u8 = 74;

/// Reads what follows the header of an OPEN.
pub(super) fn read_open(body: &[u8]) -> Result<Open, Notification> {
    let mut bytes = Bytes::copy_from_slice(body);
    let open = wire::OpenMessage::decode(&mut bytes, body.len()).map_err(|error| {
        let (code, subcode, data) = error.to_notification();
        Notification {
            code: code.as_u8(),
            subcode,
            data,
        }
    })?;
    Ok(Open {
        asn: open.four_byte_as(),
        hold_time: open.hold_time,
        id: open.bgp_identifier,
        capabilities: read_capabilities(&open.capabilities)?,
    })
}

fn read_capabilities(list: &[Capability]) -> Result<Capabilities, Notification> {
    let mut read = Capabilities::none();
    let mut multiprotocol = false;
    for capability in list {
        multiprotocol |= capability.code() == MULTIPROTOCOL;
        match capability {
            Capability::MultiProtocol { afi, safi } => {
                read_family(&mut read, *afi as u16, *safi as u8)
            }
            // With identifiers the codec does not know.
            Capability::Unknown {
                code: MULTIPROTOCOL,
                data,
            } if let [high, low, _, safi] = **data => {
                read_family(&mut read, u16::from_be_bytes([high, low]), safi);
            }
            Capability::RouteRefresh => read.route_refresh = true,
            Capability::EnhancedRouteRefresh => read.enhanced_route_refresh = true,
            Capability::ExtendedMessage => read.extended_message = true,
            Capability::FourOctetAs { .. } => read.four_octet = true,
            Capability::GracefulRestart {
                restart_state,
                notification,
                restart_time,
                families,
            } => {
                let preserved = families.iter().filter(|f| f.forwarding_preserved);
                read.graceful_restart = Some(GracefulRestart {
                    restarting: *restart_state,
                    notification: *notification,
                    time: *restart_time,
                    families: families
                        .iter()
                        .filter_map(|f| family(f.afi, f.safi))
                        .collect(),
                    preserved: preserved.filter_map(|f| family(f.afi, f.safi)).collect(),
                });
            }
            Capability::Role { role } => {
                let role = role_from(*role);
                // RFC 9234, section 4.2: several are the same one, or none.
                if read.role.is_some_and(|other| Some(other) != role) {
                    return Err(Notification::new(2, 11));
                }
                read.role = role;
            }
            Capability::ExtendedNextHop(list) => {
                let entries = list.iter().map(|entry| {
                    (
                        entry.nlri_afi as u16,
                        entry.nlri_safi as u16,
                        entry.next_hop_afi as u16,
                    )
                });
                read_extended_next_hop(&mut read, entries);
            }
            Capability::AddPath(list) => {
                let entries = list
                    .iter()
                    .map(|entry| (entry.afi as u16, entry.safi as u8, entry.send_receive as u8));
                read_add_path(&mut read, entries);
            }
            // A value the codec does not know.
            Capability::Unknown { code: ROLE, data } if data.len() == 1 => read.unfit_role = true,
            // With an entry the codec does not know; the others count all the same.
            Capability::Unknown {
                code: EXTENDED_NEXT_HOP,
                data,
            } => {
                let entries = data.as_chunks::<6>().0.iter().map(|&[a, b, c, d, e, f]| {
                    let pair = u16::from_be_bytes;
                    (pair([a, b]), pair([c, d]), pair([e, f]))
                });
                read_extended_next_hop(&mut read, entries);
            }
            Capability::Unknown {
                code: ADD_PATH,
                data,
            } => {
                let entries = data.as_chunks::<4>().0.iter();
                let entries =
                    entries.map(|&[a, b, safi, mode]| (u16::from_be_bytes([a, b]), safi, mode));
                read_add_path(&mut read, entries);
            }
            Capability::Unknown {
                code: BFD_STRICT, ..
            } => read.bfd_strict = true,
            other if read.ignored.contains(&other.code()) => {}
            other => read.ignored.push(other.code()),
        }
    }
    if read.unfit_role && read.role.is_some() {
        return Err(Notification::new(2, 11));
    }
    if !multiprotocol {
        read.families = Families::IPV4;
    }
    Ok(read)
}

fn family(afi: Afi, safi: Safi) -> Option<Family> {
    Family::from_codes(afi as u16, safi as u8)
}

/// RFC 4760, section 8.
fn read_family(read: &mut Capabilities, afi: u16, safi: u8) {
    match Family::from_codes(afi, safi) {
        Some(family) => read.families.insert(family),
        None if read.other_families.contains(&(afi, safi)) => {}
        None => read.other_families.push((afi, safi)),
    }
}

/// RFC 8950, section 4: AFI and SAFI of the prefixes, AFI of the next hop.
fn read_extended_next_hop(read: &mut Capabilities, entries: impl Iterator<Item = (u16, u16, u16)>) {
    for entry in entries {
        read.extended_next_hop |= entry == (1, 1, 2);
    }
}

/// RFC 7911, section 4: AFI, SAFI, and 1 to receive, 2 to send, 3 for both.
fn read_add_path(read: &mut Capabilities, entries: impl Iterator<Item = (u16, u8, u8)>) {
    for (afi, safi, mode) in entries {
        let family = Family::from_codes(afi, safi);
        if matches!(mode, 1 | 3) {
            read.add_path_receive.extend(family);
        }
        if matches!(mode, 2 | 3) {
            read.add_path_send.extend(family);
        }
    }
}

fn role_from(role: BgpRole) -> Option<Role> {
    Role::ALL
        .into_iter()
        .find(|ours| ours.code() == role.to_u8())
}

/// Writes our OPEN (version 4, all capabilities we have).
pub fn write_open(out: &mut BytesMut, open: &Open) {
    let message = wire::OpenMessage {
        version: 4,
        my_as: u16::try_from(open.asn).unwrap_or(AS_TRANS),
        hold_time: open.hold_time,
        bgp_identifier: open.id,
        capabilities: write_capabilities(open),
    };
    let length = out.len();
    if message.encode(out).is_err() {
        // All our capabilities together have some hundred octets: there is nothing the codec could refuse.
        out.truncate(length);
    }
}

fn write_capabilities(open: &Open) -> Vec<Capability> {
    let ours = &open.capabilities;
    let pairs = |families: Families| families.iter().map(|family| (codes(family), family));
    let mut list = Vec::new();
    for ((afi, safi), _) in pairs(ours.families) {
        list.push(Capability::MultiProtocol { afi, safi });
    }
    if ours.route_refresh {
        list.push(Capability::RouteRefresh);
    }
    if ours.extended_next_hop {
        list.push(Capability::ExtendedNextHop(vec![
            wire::ExtendedNextHopFamily {
                nlri_afi: Afi::Ipv4,
                nlri_safi: Safi::Unicast,
                next_hop_afi: Afi::Ipv6,
            },
        ]));
    }
    if ours.extended_message {
        list.push(Capability::ExtendedMessage);
    }
    list.extend(
        ours.role
            .and_then(|role| BgpRole::from_u8(role.code()))
            .map(|role| Capability::Role { role }),
    );
    if ours.unfit_role {
        list.push(Capability::Unknown {
            code: ROLE,
            data: vec![u8::MAX].into(),
        });
    }
    if let Some(restart) = ours.graceful_restart {
        let families =
            pairs(restart.families).map(|((afi, safi), family)| wire::GracefulRestartFamily {
                afi,
                safi,
                forwarding_preserved: restart.preserved.contains(family),
            });
        list.push(Capability::GracefulRestart {
            restart_state: restart.restarting,
            notification: restart.notification,
            restart_time: restart.time.min(4095),
            families: families.collect(),
        });
    }
    if ours.four_octet {
        list.push(Capability::FourOctetAs { asn: open.asn });
    }
    let add_path: Vec<wire::AddPathFamily> = Family::ALL
        .into_iter()
        .filter_map(|family| {
            let receive = ours.add_path_receive.contains(family);
            let send = ours.add_path_send.contains(family);
            let (afi, safi) = codes(family);
            Some(wire::AddPathFamily {
                afi,
                safi,
                send_receive: AddPathMode::from_u8(u8::from(receive) | u8::from(send) << 1)?,
            })
        })
        .collect();
    if !add_path.is_empty() {
        list.push(Capability::AddPath(add_path));
    }
    if ours.enhanced_route_refresh {
        list.push(Capability::EnhancedRouteRefresh);
    }
    if ours.bfd_strict {
        list.push(Capability::Unknown {
            code: BFD_STRICT,
            data: Bytes::new(),
        });
    }
    list
}

fn codes(family: Family) -> (Afi, Safi) {
    match family {
        Family::Ipv4Unicast => (Afi::Ipv4, Safi::Unicast),
        Family::Ipv6Unicast => (Afi::Ipv6, Safi::Unicast),
    }
}
