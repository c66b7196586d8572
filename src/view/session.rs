//! The BGP sessions of a router, in one line each.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::History;
use crate::router::{AdjRibIn, Router, SessionIndex};
use crate::time::At;

/// A BGP session as its router sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Session {
    /// The router.
    pub router: String,
    /// The session's name: the connection's, or the neighbour's inside the WAN and the peer's core.
    pub session: String,
    /// The neighbour's address.
    pub neighbour: IpAddr,
    /// The neighbour's AS number.
    pub neighbour_asn: u32,
    /// RFC 4271 name of its state.
    pub state: String,
    /// Seconds since it came there.
    pub since: Option<f64>,
    /// Why it came there.
    pub why: Option<String>,
    /// Routes received: Adj-RIB-In.
    pub received: usize,
    /// Those of them that import policy accepts.
    pub accepted: usize,
    /// Routes refused by policy, or malformed and treated as withdrawn.
    pub refused: usize,
    /// Routes advertised: Adj-RIB-Out.
    pub advertised: usize,
}

/// The sessions of a router, in the order of its configuration. What [`Session::told`] fills in is still missing.
pub fn sessions(router: &Router) -> Vec<Session> {
    let config = router.config();
    let sessions = config.sessions.iter().zip(0..);
    let session = |(spec, index): (&crate::router::SessionSpec, u16)| {
        let index = SessionIndex(index);
        let (rib_in, rib_out) = (router.adj_rib_in(index), router.adj_rib_out(index));
        let accepted = |rib: AdjRibIn<'_>| {
            let routes = rib.iter().filter(|route| route.imported.is_some());
            routes.count()
        };
        Session {
            router: config.name.clone(),
            session: spec.name.clone(),
            neighbour: spec.peer,
            neighbour_asn: spec.peer_asn,
            state: router.state(index).to_string(),
            since: None,
            why: None,
            received: rib_in.map_or(0, |rib| rib.len()),
            accepted: rib_in.map_or(0, accepted),
            refused: router.refusals(index).count(),
            advertised: rib_out.map_or(0, |rib| rib.len()),
        }
    };
    sessions.map(session).collect()
}

impl Session {
    /// With what the record tells about it.
    pub fn told(mut self, history: &History, now: At) -> Session {
        let past = history.bgp(&self.router, &self.session);
        if let Some((since, why)) = past.last(now) {
            self.since = Some(since);
            self.why = Some(why.to_owned()).filter(|why| !why.is_empty());
        }
        self
    }
}
