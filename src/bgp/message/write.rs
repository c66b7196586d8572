//! Our messages as bytes: many prefixes to an UPDATE, many UPDATEs to a buffer.
//!
//! MP_REACH_NLRI comes first, and no UPDATE has prefixes of two kinds (RFC 7606, section 5.1).
//!
//! **Invariant:** no message is longer than the neighbour can take.

use std::iter::Peekable;
use std::net::IpAddr;
use std::slice::Iter;

use bytes::{BufMut, BytesMut};

mod attributes;

pub use super::open::write_open;
use super::{
    Dialect, HEADER, KEEPALIVE, MAX_LENGTH, NOTIFICATION, Nlri, ROUTE_REFRESH, UPDATE, code, nlri,
};
use crate::bgp::attributes::Attributes;
use crate::bgp::family::Family;
use crate::bgp::notification::Notification;

/// Attributes that cannot be put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// They leave no room for a prefix.
    #[error("write path attributes: longer than a message")]
    TooLong,
    /// AS number 0 stands for no AS (RFC 7607).
    #[error("write path attributes: AS number 0")]
    AsZero,
    /// The neighbour did not agree to next hops of another family (RFC 8950), or there are none.
    #[error("write path attributes: next hop {0} of {1} routes")]
    NextHop(IpAddr, Family),
}

/// Writes a message around what `body` writes.
fn message(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_bytes(0xff, 16);
    out.put_u16(0);
    out.put_u8(kind);
    body(out);
    set_length(out, start + 16, start);
}

/// Puts the number of octets since `from` into the two octets at `place`.
fn set_length(out: &mut BytesMut, place: usize, from: usize) {
    // What is written is cut to fit before.
    let length = (out.len() - from) as u16;
    out[place..place + 2].copy_from_slice(&length.to_be_bytes());
}

/// Writes a KEEPALIVE.
pub fn write_keepalive(out: &mut BytesMut) {
    message(out, KEEPALIVE, |_| {});
}

/// Writes a NOTIFICATION; data that does not fit into a message is cut.
pub fn write_notification(out: &mut BytesMut, notification: &Notification) {
    let room = usize::from(MAX_LENGTH) - HEADER - 2;
    let data = &notification.data[..notification.data.len().min(room)];
    message(out, NOTIFICATION, |out| {
        out.put_slice(&[notification.code, notification.subcode]);
        out.put_slice(data);
    });
}

/// Writes a ROUTE-REFRESH: subtype 0 asks for all routes of a family (RFC 2918), 1 and 2 mark beginning and end (RFC 7313).
pub fn write_route_refresh(out: &mut BytesMut, family: Family, subtype: u8) {
    message(out, ROUTE_REFRESH, |out| {
        out.put_u16(family.afi());
        out.put_slice(&[subtype, family.safi()]);
    });
}

/// Writes the End-of-RIB marker of a family (RFC 4724, section 2).
pub fn write_end_of_rib(out: &mut BytesMut, family: Family) {
    message(out, UPDATE, |out| {
        out.put_u16(0);
        if family == Family::Ipv4Unicast {
            out.put_u16(0);
        } else {
            out.put_slice(&[0, 6, code::OPTIONAL, code::MP_UNREACH_NLRI, 3]);
            out.put_u16(family.afi());
            out.put_u8(family.safi());
        }
    });
}

/// Writes UPDATEs that withdraw prefixes, as many to a message as fit.
pub fn write_withdrawals(out: &mut BytesMut, nlri: &[Nlri], dialect: Dialect) {
    for run in runs(nlri) {
        let family = Family::of(&run[0].prefix);
        let mut rest = run.iter().peekable();
        while rest.peek().is_some() {
            message(out, UPDATE, |out| {
                let start = out.len();
                out.put_u16(0);
                if family == Family::Ipv4Unicast {
                    let end = usize::from(dialect.longest_sent()) - HEADER - 2;
                    fill(out, start + end, &mut rest, dialect);
                    set_length(out, start, start + 2);
                    out.put_u16(0);
                    return;
                }
                out.put_u16(0);
                let attribute = begin(out, code::OPTIONAL, code::MP_UNREACH_NLRI);
                out.put_u16(family.afi());
                out.put_u8(family.safi());
                let end = usize::from(dialect.longest_sent()) - HEADER;
                fill(out, start + end, &mut rest, dialect);
                set_length(out, attribute, attribute + 2);
                set_length(out, start + 2, start + 4);
            });
        }
    }
}

/// Writes UPDATEs that announce prefixes with the same attributes, as many to a message as fit.
///
/// # Errors
///
/// The attributes cannot be written. Nothing was written.
pub fn write_announcements(
    out: &mut BytesMut,
    attributes: &Attributes,
    nlri: &[Nlri],
    dialect: Dialect,
) -> Result<(), Unwritable> {
    let start = out.len();
    let written = runs(nlri).try_for_each(|run| write_run(out, attributes, run, dialect));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Prefixes of one family after the other, as they come.
fn runs(nlri: &[Nlri]) -> impl Iterator<Item = &[Nlri]> {
    nlri.chunk_by(|a, b| Family::of(&a.prefix) == Family::of(&b.prefix))
}

/// The longest prefix with its length and path identifier.
const LONGEST_PREFIX: usize = 4 + 1 + 16;

fn write_run(
    out: &mut BytesMut,
    set: &Attributes,
    run: &[Nlri],
    dialect: Dialect,
) -> Result<(), Unwritable> {
    let family = Family::of(&run[0].prefix);
    let in_body = match (family, set.next_hop) {
        (Family::Ipv4Unicast, IpAddr::V4(_)) => true,
        (Family::Ipv4Unicast, IpAddr::V6(_)) if dialect.extended_next_hop => false,
        (Family::Ipv6Unicast, IpAddr::V6(_)) => false,
        (family, next_hop) => return Err(Unwritable::NextHop(next_hop, family)),
    };
    let mut shared = Vec::with_capacity(256);
    attributes::write(&mut shared, set, in_body, dialect)?;
    let reach = if in_body { 0 } else { 4 + 5 + 32 };
    let longest = usize::from(dialect.longest_sent());
    if HEADER + 4 + reach + shared.len() + LONGEST_PREFIX > longest {
        return Err(Unwritable::TooLong);
    }
    let mut rest = run.iter().peekable();
    while rest.peek().is_some() {
        message(out, UPDATE, |out| {
            let end = out.len() - HEADER + longest;
            out.put_u32(0);
            let start = out.len();
            if in_body {
                out.put_slice(&shared);
                set_length(out, start - 2, start);
                fill(out, end, &mut rest, dialect);
            } else {
                let attribute = begin(out, code::OPTIONAL, code::MP_REACH_NLRI);
                out.put_u16(family.afi());
                out.put_u8(family.safi());
                put_next_hop(out, set);
                out.put_u8(0);
                fill(out, end - shared.len(), &mut rest, dialect);
                set_length(out, attribute, attribute + 2);
                out.put_slice(&shared);
                set_length(out, start - 2, start);
            }
        });
    }
    Ok(())
}

/// Begins an attribute, and says where its length belongs.
fn begin(out: &mut BytesMut, flags: u8, code: u8) -> usize {
    out.put_slice(&[flags | code::EXTENDED_LENGTH, code]);
    out.put_u16(0);
    out.len() - 2
}

/// The next hop of MP_REACH_NLRI and its length (RFC 2545, section 3).
fn put_next_hop(out: &mut BytesMut, set: &Attributes) {
    match (set.next_hop, set.link_local) {
        (IpAddr::V4(address), _) => {
            out.put_u8(4);
            out.put_slice(&address.octets());
        }
        (IpAddr::V6(address), Some(link_local)) if address != link_local => {
            out.put_u8(32);
            out.put_slice(&address.octets());
            out.put_slice(&link_local.octets());
        }
        (IpAddr::V6(address), _) => {
            out.put_u8(16);
            out.put_slice(&address.octets());
        }
    }
}

/// Writes prefixes as long as they fit before `end`.
fn fill(out: &mut BytesMut, end: usize, rest: &mut Peekable<Iter<'_, Nlri>>, dialect: Dialect) {
    while let Some(next) = rest.peek() {
        let with_path_id = dialect.add_path_send.contains(Family::of(&next.prefix));
        if out.len() + nlri::size(next, with_path_id) > end {
            return;
        }
        nlri::write(out, next, with_path_id);
        rest.next();
    }
}
