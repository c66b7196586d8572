//! Where a router listens, and for whom.
//!
//! There is one listener for each of the router's own addresses, so that each can have the TTL security and the TCP MD5
//! keys of the neighbours there before their first segment comes.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

use super::{Driver, DriverError};
use crate::kernel::socket::{Md5, Reach, bgp_listen};
use crate::router::{RouterConfig, SessionIndex, SessionSpec};

/// An address to listen at, with what the neighbours there need.
struct Site<'a> {
    local: IpAddr,
    scope: u32,
    sessions: Vec<&'a SessionSpec>,
}

/// Listens for all sessions, in the namespace of this thread. `interfaces` are their links' indexes.
pub(super) fn listen(
    config: &RouterConfig,
    interfaces: &[u32],
) -> Result<Vec<std::net::TcpListener>, DriverError> {
    let mut sites: Vec<Site<'_>> = Vec::new();
    for (session, interface) in config.sessions.iter().zip(interfaces) {
        let scope = scope(session.local, *interface);
        let here = |site: &&mut Site<'_>| site.local == session.local && site.scope == scope;
        match sites.iter_mut().find(here) {
            Some(site) => site.sessions.push(session),
            None => sites.push(Site {
                local: session.local,
                scope,
                sessions: vec![session],
            }),
        }
    }
    let listen = |site: &Site<'_>| {
        let keys: Vec<Md5<'_>> = site.sessions.iter().filter_map(|s| key(s)).collect();
        Ok(bgp_listen(
            site.local,
            site.scope,
            reach_of_all(&site.sessions),
            &keys,
        )?)
    };
    sites.iter().map(listen).collect()
}

/// Makes listeners those of the runtime.
pub(super) fn watch(
    listeners: Vec<std::net::TcpListener>,
) -> Result<Vec<TcpListener>, DriverError> {
    let watch = |listener| TcpListener::from_std(listener).map_err(DriverError::Runtime);
    listeners.into_iter().map(watch).collect()
}

impl Driver {
    /// The session a connection belongs to. Link-local addresses are told apart by their link.
    pub(super) fn session_of(&self, local: SocketAddr, remote: SocketAddr) -> Option<SessionIndex> {
        let arrived = match remote {
            SocketAddr::V6(remote) => remote.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        let sessions = self.router.config().sessions.iter().zip(&self.interfaces);
        let place = sessions.into_iter().position(|(session, interface)| {
            session.local == local.ip()
                && session.peer == remote.ip()
                && scope(session.peer, *interface) == arrived
        })?;
        u16::try_from(place).ok().map(SessionIndex)
    }
}

/// The interface of a link-local address; 0 for any other.
pub(super) fn scope(address: IpAddr, interface: u32) -> u32 {
    match address {
        IpAddr::V6(address) if address.is_unicast_link_local() => interface,
        IpAddr::V4(_) | IpAddr::V6(_) => 0,
    }
}

/// How far away a session's neighbour may be.
pub(super) fn reach(session: &SessionSpec) -> Reach {
    match session.ttl_security {
        Some(hops) => Reach::Secured { hops },
        None => Reach::Link,
    }
}

/// The key of a session's neighbour.
pub(super) fn key(session: &SessionSpec) -> Option<Md5<'_>> {
    session.md5.as_ref().map(|secret| Md5 {
        peer: session.peer,
        key: secret.reveal(),
    })
}

/// Narrow enough for every neighbour, and wide enough for all.
fn reach_of_all(sessions: &[&SessionSpec]) -> Reach {
    let hops = || sessions.iter().filter_map(|session| session.ttl_security);
    match (hops().max(), hops().count() == sessions.len()) {
        (None, _) => Reach::Link,
        (Some(hops), true) => Reach::Secured { hops },
        (Some(_), false) => Reach::Mixed,
    }
}
