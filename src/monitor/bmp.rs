//! BMP messages (RFC 7854, section 4), version 3.

use std::net::IpAddr;

use bytes::{BufMut, Bytes, BytesMut};

use super::framing::Framing;
use super::{Down, Session, Stamp, Up};
use crate::bgp::attributes::Attributes;
use crate::bgp::message::{
    Dialect, Nlri, write_announcements, write_end_of_rib, write_withdrawals,
};

/// Message types (section 4.1).
const ROUTE_MONITORING: u8 = 0;
const STATISTICS_REPORT: u8 = 1;
const PEER_DOWN: u8 = 2;
const PEER_UP: u8 = 3;
const INITIATION: u8 = 4;
const TERMINATION: u8 = 5;
/// Flags of the per-peer header (section 4.2): an IPv6 address, after policy. AS numbers always have four octets here.
const IPV6: u8 = 0x80;
const POST_POLICY: u8 = 0x40;

/// Which Adj-RIB-In: as received, or as import policy lets it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    PrePolicy,
    PostPolicy,
}

fn message(kind: u8, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(3);
    out.put_u32(0);
    out.put_u8(kind);
    body(&mut out);
    let length = out.len() as u32;
    out[1..5].copy_from_slice(&length.to_be_bytes());
    out.freeze()
}

/// Who it is about, and when.
fn per_peer(out: &mut BytesMut, session: &Session, up: &Up, stage: Stage, when: Stamp) {
    // A Global Instance Peer, without distinguisher.
    out.put_u8(0);
    let wide = if session.peer.is_ipv6() { IPV6 } else { 0 };
    out.put_u8(match stage {
        Stage::PrePolicy => wide,
        Stage::PostPolicy => wide | POST_POLICY,
    });
    out.put_u64(0);
    address(out, session.peer);
    out.put_u32(session.peer_asn);
    out.put_slice(&up.peer_id.octets());
    out.put_u32(when.seconds);
    out.put_u32(when.micros);
}

/// 16 octets; of IPv4 the last four.
fn address(out: &mut BytesMut, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            out.put_bytes(0, 12);
            out.put_slice(&address.octets());
        }
        IpAddr::V6(address) => out.put_slice(&address.octets()),
    }
}

fn tlv(out: &mut BytesMut, kind: u16, value: &[u8]) {
    out.put_u16(kind);
    out.put_u16(value.len() as u16);
    out.put_slice(value);
}

/// Initiation (section 4.3): sysDescr and sysName.
pub(super) fn initiation(name: &str) -> Bytes {
    let version = concat!(
        "peerlab ",
        env!("CARGO_PKG_VERSION"),
        ", a simulated router"
    );
    message(INITIATION, |out| {
        tlv(out, 1, version.as_bytes());
        tlv(out, 2, name.as_bytes());
    })
}

/// Termination (section 4.5): administratively closed.
pub(super) fn termination() -> Bytes {
    message(TERMINATION, |out| tlv(out, 1, &[0, 0]))
}

/// Peer Up (section 4.10).
pub(super) fn peer_up(session: &Session, up: &Up) -> Bytes {
    let (local, remote) = up.ports;
    message(PEER_UP, |out| {
        per_peer(out, session, up, Stage::PrePolicy, up.since);
        address(out, session.local);
        out.put_u16(local);
        out.put_u16(remote);
        out.put_slice(&up.open_sent);
        out.put_slice(&up.open_received);
    })
}

/// Peer Down (section 4.9).
pub(super) fn peer_down(now: Stamp, session: &Session, up: &Up, down: &Down) -> Bytes {
    message(PEER_DOWN, |out| {
        per_peer(out, session, up, Stage::PrePolicy, now);
        match down {
            Down::NotificationSent(notification) => {
                out.put_u8(1);
                out.put_slice(notification);
            }
            Down::ByUs => {
                out.put_u8(2);
                // "No relevant Event code is defined."
                out.put_u16(0);
            }
            Down::NotificationReceived(notification) => {
                out.put_u8(3);
                out.put_slice(notification);
            }
            Down::ByPeer => out.put_u8(4),
            // "Information for this peer will no longer be sent": it begins anew with the Peer Up that follows.
            Down::Unmonitored => out.put_u8(5),
        }
    })
}

/// Statistics (section 4.8): refused routes, and routes in Adj-RIB-In.
pub(super) fn statistics(now: Stamp, session: &Session, up: &Up) -> Bytes {
    message(STATISTICS_REPORT, |out| {
        per_peer(out, session, up, Stage::PrePolicy, now);
        out.put_u32(2);
        tlv(out, 0, &session.rejected.to_be_bytes());
        tlv(out, 7, &(session.routes.len() as u64).to_be_bytes());
    })
}

/// Route Monitoring (section 4.6) of routes that share their attributes, or are gone; a message for each UPDATE.
pub(super) fn monitoring(
    now: Stamp,
    session: &Session,
    up: &Up,
    stage: Stage,
    attributes: Option<&Attributes>,
    nlri: &[Nlri],
) -> Vec<Bytes> {
    let dialect = Dialect {
        four_octet: true,
        // LOCAL_PREF is what import policy is about.
        internal: up.dialect.internal || stage == Stage::PostPolicy,
        add_path_send: up.dialect.add_path_receive,
        ..up.dialect
    };
    let mut updates = BytesMut::new();
    match attributes {
        // What cannot be written again was too long to be received.
        Some(attributes) => {
            let _ = write_announcements(&mut updates, attributes, nlri, dialect);
        }
        None => write_withdrawals(&mut updates, nlri, dialect),
    }
    wrapped(now, session, up, stage, &updates)
}

/// The End-of-RIB markers of a session's families, before and after policy.
pub(super) fn end_of_rib(now: Stamp, session: &Session, up: &Up) -> Vec<Bytes> {
    let mut markers = BytesMut::new();
    for family in up.dialect.families.iter() {
        write_end_of_rib(&mut markers, family);
    }
    let of = |stage| wrapped(now, session, up, stage, &markers);
    [of(Stage::PrePolicy), of(Stage::PostPolicy)].concat()
}

fn wrapped(now: Stamp, session: &Session, up: &Up, stage: Stage, updates: &[u8]) -> Vec<Bytes> {
    let updates = Framing::default().push(updates);
    let wrap = |update: Bytes| {
        message(ROUTE_MONITORING, |out| {
            per_peer(out, session, up, stage, now);
            out.put_slice(&update);
        })
    };
    updates.into_iter().map(wrap).collect()
}
