//! What the tests of routers are made of: routers, the ends of links between them, routes of theirs.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::net::net;
use crate::bgp::family::Families;
use crate::bgp::message::GracefulRestart;
use crate::router::{
    Originated, OriginatedAttributes, RouterConfig, RouterOptions, SessionSpec, Sessions,
};

/// A router that uses up to eight paths; its identifier is 10.0.0.`id`.
pub fn router(name: &str, asn: u32, id: u8, sessions: Vec<SessionSpec>) -> RouterConfig {
    RouterConfig {
        name: name.to_owned(),
        asn,
        router_id: Ipv4Addr::new(10, 0, 0, id),
        sessions,
        originate: Vec::new(),
        multipath: 8,
        options: RouterOptions::default(),
    }
}

/// The address of an end of a link: side 0 or 1.
pub fn address(link: u8, side: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, link, side)
}

/// One end of a link; the session and its interface have the name given.
pub fn end(name: &str, link: u8, side: u8, peer_asn: u32) -> SessionSpec {
    let (local, peer) = (address(link, side), address(link, 1 - side));
    SessionSpec::new(name, name, local, peer, 31, peer_asn)
}

/// The same of an IPv6 session.
pub fn end6(name: &str, link: u8, side: u8, peer_asn: u32) -> SessionSpec {
    let address = |side: u8| Ipv6Addr::new(0x2001, 0xdb8, 9, link.into(), 0, 0, 0, side.into());
    let (local, peer) = (address(side), address(1 - side));
    SessionSpec::new(name, name, local, peer, 127, peer_asn)
}

/// A plain route of a router's own, told everybody.
pub fn originated(prefix: &str) -> Originated {
    Originated {
        prefix: net(prefix),
        attributes: OriginatedAttributes::default(),
        sessions: Sessions::All,
    }
}

/// This end can restart gracefully within 120 s, with or without the N bit (RFC 8538).
pub fn graceful(spec: &mut SessionSpec, notification: bool) {
    let families: Families = spec.capabilities.families;
    spec.capabilities.graceful_restart = Some(GracefulRestart {
        restarting: false,
        notification,
        time: 120,
        families,
        preserved: families,
    });
}
