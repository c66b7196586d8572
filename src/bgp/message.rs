//! BGP messages (RFC 4271, section 4; RFC 2918), from and to bytes.
//!
//! The codec is the crate `rustbgpd-wire`; only this file and its children name it. What comes in is framed here, decoded, and turned
//! into our own types; every error is the NOTIFICATION that must be sent, or was treated as RFC 7606 says.
//!
//! **Invariant:** whatever bytes come in, the answer is messages or one [`Notification`], and at most one
//! incomplete message (4096 bytes) is kept.

use std::net::Ipv4Addr;

use bytes::{Bytes, BytesMut};
use ipnet::IpNet;
use rustbgpd_wire as wire;

use super::attributes::Attributes;
use super::family::Family;
use super::notification::Notification;

mod capabilities;
mod read;
mod write;

pub use capabilities::{Capabilities, Dialect, GracefulRestart, Role};
pub use write::{
    Unwritable, write_announcements, write_end_of_rib, write_keepalive, write_notification,
    write_open, write_route_refresh, write_withdrawals,
};

/// AS_TRANS (RFC 6793): stands for a four-octet AS number where two octets must do.
pub const AS_TRANS: u16 = 23456;

const MAX_LENGTH: u16 = wire::MAX_MESSAGE_LEN;
const HEADER: usize = 19;

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
    /// The attributes.
    pub attributes: Attributes,
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
    /// 0: a request (RFC 2918); 1 and 2 mark beginning and end (RFC 7313).
    pub subtype: u8,
}

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
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
        let Some(length) = self.length()? else {
            return Ok(None);
        };
        if self.buffer.len() < length {
            return Ok(None);
        }
        let mut bytes = self.buffer.split_to(length).freeze();
        if bytes[18] == 4 {
            return Ok(Some(Message::Keepalive));
        }
        let message = wire::decode_message(&mut bytes, MAX_LENGTH).map_err(|e| read::refuse(&e))?;
        Ok(Some(match message {
            wire::Message::Open(open) => Message::Open(read::read_open(open)),
            wire::Message::Update(update) => {
                Message::Update(Box::new(read::read_update(&update, dialect)?))
            }
            wire::Message::Notification(n) => Message::Notification(Notification {
                code: n.code.as_u8(),
                subcode: n.subcode,
                data: n.data,
            }),
            wire::Message::RouteRefresh(r) => Message::RouteRefresh(RouteRefresh {
                afi: r.afi_raw,
                safi: r.safi_raw,
                subtype: r.subtype_raw,
            }),
            // Keepalive was answered above; the crate's enum may grow.
            _ => Message::Keepalive,
        }))
    }

    /// Bytes of an incomplete message kept.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The length of the message at the front, once its header is there and in order (RFC 4271, section 6.1).
    fn length(&self) -> Result<Option<usize>, Notification> {
        let present = &self.buffer[..self.buffer.len().min(16)];
        if present.iter().any(|&byte| byte != 0xff) {
            return Err(Notification::new(1, 1));
        }
        let Some(header) = self.buffer.get(16..HEADER) else {
            return Ok(None);
        };
        let length = u16::from_be_bytes([header[0], header[1]]);
        if !(HEADER as u16..=MAX_LENGTH).contains(&length) {
            return Err(Notification::bad_length(length));
        }
        let in_range = match header[2] {
            1 => length >= 29,
            2 => length >= 23,
            3 => length >= 21,
            4 => length == 19,
            5 => length >= 23,
            kind => {
                return Err(Notification {
                    data: Bytes::copy_from_slice(&[kind]),
                    ..Notification::new(1, 3)
                });
            }
        };
        if !in_range {
            return Err(Notification::bad_length(length));
        }
        Ok(Some(usize::from(length)))
    }
}

#[cfg(test)]
mod tests;
