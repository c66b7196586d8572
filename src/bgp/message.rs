//! BGP messages (RFC 4271, section 4), from and to bytes.
//!
//! The codec of OPEN and NOTIFICATION is the crate `rustbgpd-wire`, which only `open` names. UPDATEs are read
//! and written here ([`faults`] says why: RFC 7606 is one table). What comes in is framed, decoded, and turned into our own types; every
//! error is the NOTIFICATION that must be sent, or was treated as RFC 7606 says.
//!
//! 1. `capabilities` and `open`: what both ends can do, and the [`Dialect`] that follows.
//! 2. `read`: an UPDATE's parts and faults; `attribute`, `as_path`, `multiprotocol`, `nlri`: what is in them.
//! 3. `write`: messages of ours; many prefixes to an UPDATE. [`malformed`]: UPDATEs with one thing broken.
//!
//! **Invariant:** whatever bytes come in, the answer is messages or one [`Notification`], and at most one
//! incomplete message (4,096 bytes; 65,535 where we announce RFC 8654) is kept.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use ipnet::IpNet;

use super::attributes::Attributes;
use super::family::Family;
use super::notification::Notification;

mod as_path;
mod attribute;
mod capabilities;
pub mod code;
pub mod faults;
pub mod malformed;
mod multiprotocol;
mod nlri;
mod open;
mod read;
mod write;

pub use capabilities::{Capabilities, Dialect, GracefulRestart, Role};
pub use write::{
    Unwritable, write_announcements, write_end_of_rib, write_keepalive, write_notification,
    write_open, write_route_refresh, write_withdrawals,
};

/// AS_TRANS (RFC 6793): stands for a four-octet AS number where two octets must do.
pub const AS_TRANS: u16 = 23456;

/// The longest message (RFC 4271, section 4.1).
const MAX_LENGTH: u16 = 4096;
/// The longest message where both ends can more (RFC 8654).
const MAX_EXTENDED_LENGTH: u16 = u16::MAX;
const HEADER: usize = 19;
/// What follows the header of a ROUTE-REFRESH.
const REFRESH: usize = 4;

/// Message types.
const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
const KEEPALIVE: u8 = 4;
const ROUTE_REFRESH: u8 = 5;

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// OPEN.
    Open(Open),
    /// UPDATE.
    Update(Box<Update>),
    /// NOTIFICATION.
    Notification(Notification),
    /// KEEPALIVE.
    Keepalive,
    /// ROUTE-REFRESH (RFC 2918).
    RouteRefresh(RouteRefresh),
}

/// An OPEN message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// AS number: of the four-octet capability if there, else "My Autonomous System".
    pub asn: u32,
    /// Proposed hold time in seconds.
    pub hold_time: u16,
    /// BGP Identifier.
    pub id: Ipv4Addr,
    /// What the sender can do.
    pub capabilities: Capabilities,
}

/// A prefix on the wire, with its path identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nlri {
    /// Prefix.
    pub prefix: IpNet,
    /// Path identifier (RFC 7911); 0 where none was negotiated.
    pub path_id: u32,
}

impl From<IpNet> for Nlri {
    fn from(prefix: IpNet) -> Nlri {
        Nlri { prefix, path_id: 0 }
    }
}

/// An UPDATE message, after RFC 7606.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Update {
    /// Prefixes no longer reachable.
    pub withdrawn: Vec<Nlri>,
    /// Prefixes reachable: those of the message's body, and those of MP_REACH_NLRI, which may have another next hop.
    pub announced: Vec<Announced>,
    /// The End-of-RIB marker (RFC 4724, section 2), and of which family.
    pub end_of_rib: Option<Family>,
    /// What was announced and must be treated as withdrawn.
    pub unusable: Option<Unusable>,
    /// What was wrong and how it was treated, in words.
    pub malformed: Vec<String>,
}

/// Prefixes announced with the same attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The attributes; the same set as that of the UPDATE before, if its attributes were the same bytes.
    pub attributes: Arc<Attributes>,
    /// The prefixes, never none.
    pub nlri: Vec<Nlri>,
}

/// Announced prefixes whose attributes are such that the announcement counts as a withdrawal (RFC 7606, section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Which.
    pub nlri: Vec<Nlri>,
    /// [`AS_SET`](crate::bgp::policy::AS_SET) or [`MALFORMED`](crate::bgp::policy::MALFORMED).
    pub reason: &'static str,
    /// AS path as people write it, an AS_SET as `{64501,64502}`; empty where it could not be read.
    pub as_path: String,
    /// Communities as people write them, as far as they could be read.
    pub communities: Vec<String>,
}

/// A ROUTE-REFRESH message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteRefresh {
    /// Address family (1: IPv4).
    pub afi: u16,
    /// Subsequent address family (1: unicast).
    pub safi: u8,
    /// [`RouteRefresh::REQUEST`], [`RouteRefresh::BEGIN`] or [`RouteRefresh::END`]; others are to be ignored (RFC 7313, section 5).
    pub subtype: u8,
}

impl RouteRefresh {
    /// Asks for all routes of a family (RFC 2918).
    pub const REQUEST: u8 = 0;
    /// Beginning of Route Refresh (RFC 7313).
    pub const BEGIN: u8 = 1;
    /// End of Route Refresh (RFC 7313).
    pub const END: u8 = 2;

    /// A message about a family.
    pub fn new(family: Family, subtype: u8) -> RouteRefresh {
        RouteRefresh {
            afi: family.afi(),
            safi: family.safi(),
            subtype,
        }
    }

    /// The family it is about; `None` for one no session here carries.
    pub fn family(self) -> Option<Family> {
        Family::from_codes(self.afi, self.safi)
    }
}

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    before: read::Before,
}

impl Framer {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, or `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// The NOTIFICATION to send; the stream is useless from here on.
    pub fn next(&mut self, dialect: Dialect) -> Result<Option<Message>, Notification> {
        let Some((kind, length)) = self.header(dialect)? else {
            return Ok(None);
        };
        let Some(bytes) = self.buffer.get(..length) else {
            return Ok(None);
        };
        let body = &bytes[HEADER..];
        let message = match kind {
            OPEN => Message::Open(open::read_open(body)?),
            UPDATE => {
                let update = read::read_update(body, dialect, &mut self.before)?;
                Message::Update(Box::new(update))
            }
            NOTIFICATION => Message::Notification(Notification {
                code: body[0],
                subcode: body[1],
                data: Bytes::copy_from_slice(&body[2..]),
            }),
            KEEPALIVE => Message::Keepalive,
            _ => Message::RouteRefresh(read_route_refresh(bytes, dialect)?),
        };
        self.buffer.advance(length);
        Ok(Some(message))
    }

    /// Bytes of an incomplete message kept.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Type and length of the message at the front, once its header is there and in order (RFC 4271, section 6.1).
    fn header(&self, dialect: Dialect) -> Result<Option<(u8, usize)>, Notification> {
        let present = self.buffer.len().min(16);
        if self.buffer[..present] != [0xff; 16][..present] {
            return Err(Notification::new(1, 1));
        }
        let Some(&[high, low, kind]) = self.buffer.get(16..HEADER) else {
            return Ok(None);
        };
        let longest = match kind {
            UPDATE | NOTIFICATION | ROUTE_REFRESH => dialect.longest_received(),
            _ => MAX_LENGTH,
        };
        let allowed = match kind {
            OPEN => 29..=longest,
            UPDATE => 23..=longest,
            NOTIFICATION => 21..=longest,
            KEEPALIVE => 19..=19,
            // Up to its subtype, which says what else there must be.
            ROUTE_REFRESH if dialect.enhanced_refresh => 22..=longest,
            ROUTE_REFRESH => 23..=longest,
            _ => 19..=longest,
        };
        let length = u16::from_be_bytes([high, low]);
        if !allowed.contains(&length) {
            return Err(Notification::bad_length(length));
        }
        if !(OPEN..=ROUTE_REFRESH).contains(&kind) {
            return Err(Notification {
                data: Bytes::copy_from_slice(&[kind]),
                ..Notification::new(1, 3)
            });
        }
        Ok(Some((kind, length.into())))
    }
}

/// A ROUTE-REFRESH with its header. What is wrong with one is only defined between neighbours that both know RFC 7313 (its
/// section 5); with others the subtype is a reserved octet. The filters RFC 5291 puts behind a request were never agreed
/// on, and are left alone.
fn read_route_refresh(bytes: &[u8], dialect: Dialect) -> Result<RouteRefresh, Notification> {
    let body = &bytes[HEADER..];
    let subtype = if dialect.enhanced_refresh {
        body[2]
    } else {
        RouteRefresh::REQUEST
    };
    match subtype {
        // With the complete message.
        RouteRefresh::BEGIN | RouteRefresh::END if body.len() != REFRESH => Err(Notification {
            data: Bytes::copy_from_slice(bytes),
            ..Notification::new(7, 1)
        }),
        RouteRefresh::REQUEST if body.len() < REFRESH => {
            Err(Notification::bad_length(bytes.len() as u16))
        }
        _ => Ok(RouteRefresh {
            afi: u16::from_be_bytes([body[0], body[1]]),
            subtype,
            // Of a subtype nobody knows nothing else is known, either.
            safi: body.get(3).copied().unwrap_or(0),
        }),
    }
}

#[cfg(test)]
mod tests;
