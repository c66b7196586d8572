//! The routes of a table of a router, in one line each and a page at a time.
//!
//! A full table has a million routes, and the router's thread has other things to do: one question collects the prefixes
//! (one pass over the table), the ones that follow look at [`PAGE`] of them each.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Attributes, Rpki};
use crate::router::{Router, SessionIndex};

/// Routes looked at in one question.
pub const PAGE: usize = 500;

/// A table of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The routes in use (Loc-RIB).
    Used,
    /// All routes received on a session (Adj-RIB-In).
    Received(SessionIndex),
    /// Those of them that import policy accepts and whose next hop can be reached.
    Accepted(SessionIndex),
    /// Those of them that are not, those that count as withdrawn because they are malformed (RFC 7606), and the routes
    /// that the neighbour is not told.
    Refused(SessionIndex),
    /// What the neighbour was told on a session (Adj-RIB-Out).
    Advertised(SessionIndex),
}

/// A route in one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Route {
    /// Prefix.
    #[schemars(with = "String")]
    pub prefix: IpNet,
    /// Path identifier (RFC 7911), if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_id: Option<u32>,
    /// It is kept from before its session was lost, or not yet refreshed (RFC 4724, RFC 7313).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// Of a route in use, or a refused one of direction `export`: the session it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Of a route in use: the next hops in the kernel, as `ADDRESS INTERFACE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_hops: Vec<String>,
    /// Of a route in use: the step of the decision that chose it. Of a refused one: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Of a refused one whose attributes were malformed: what was wrong, and how it was treated (RFC 7606).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Of a refused one: by import or by export policy, or by what else decides in that direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Of a received one that is refused: what the RPKI says, where import policy has its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpki: Option<Rpki>,
    /// Its attributes; none when they were malformed.
    #[serde(flatten)]
    pub attributes: Option<Attributes>,
}

/// Where a route was going when it was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// It was received.
    Import,
    /// It was to be told.
    Export,
}

/// The prefixes of a table, in no order.
pub fn prefixes(router: &Router, table: Table) -> Vec<IpNet> {
    match table {
        Table::Used => router.loc_rib().iter().map(|route| route.prefix).collect(),
        Table::Advertised(session) => {
            let told = router.adj_rib_out(session);
            told.map_or_else(Vec::new, |told| {
                let mut prefixes: Vec<IpNet> = told.iter().map(|(nlri, _)| nlri.prefix).collect();
                prefixes.dedup();
                prefixes
            })
        }
        Table::Received(session) | Table::Accepted(session) | Table::Refused(session) => {
            let received = router.adj_rib_in(session);
            let received = received.into_iter().flat_map(|rib| rib.iter());
            let wanted = received.filter(|route| match table {
                Table::Received(_) => route.attributes.is_some(),
                Table::Accepted(_) => route.refused.is_none(),
                _ => route.refused.is_some(),
            });
            let mut prefixes: Vec<IpNet> = wanted.map(|route| route.prefix).collect();
            // Several paths of a prefix stand side by side.
            prefixes.dedup();
            if matches!(table, Table::Refused(_)) {
                let received = router.adj_rib_in(session);
                let refused =
                    |prefix: &IpNet| received.is_some_and(|rib| rib.refused(prefix).is_some());
                prefixes.extend(router.untold(session).filter(|prefix| !refused(prefix)));
            }
            prefixes
        }
    }
}

/// The routes of these prefixes. One that has gone since they were collected is left out.
pub fn page(router: &Router, table: Table, prefixes: &[IpNet]) -> Vec<Route> {
    let routes = prefixes.iter();
    routes
        .flat_map(|prefix| match table {
            Table::Used => used(router, prefix).into_iter().collect(),
            Table::Advertised(session) => {
                let told = router.adj_rib_out(session).into_iter();
                let paths = told.flat_map(|rib| rib.paths(prefix));
                paths.map(|(id, told)| plain(*prefix, id, told)).collect()
            }
            Table::Received(session) | Table::Accepted(session) => {
                received(router, table, session, prefix)
            }
            Table::Refused(session) => {
                let mut routes = received(router, table, session, prefix);
                routes.extend(withheld(router, session, prefix));
                routes
            }
        })
        .collect()
}

fn used(router: &Router, prefix: &IpNet) -> Option<Route> {
    let selected = router.loc_rib().get(prefix)?;
    let hops = selected.next_hops.iter();
    Some(Route {
        from: Some(name(router, selected.from)),
        next_hops: hops
            .map(|hop| format!("{} {}", hop.gateway, hop.interface))
            .collect(),
        reason: Some(selected.reason.to_string()),
        stale: selected.stale,
        ..plain(*prefix, selected.path_id, selected.attributes)
    })
}

fn received(router: &Router, table: Table, session: SessionIndex, prefix: &IpNet) -> Vec<Route> {
    let paths = router.adj_rib_in(session).into_iter();
    let paths = paths.flat_map(|rib| rib.paths(prefix));
    paths
        .filter_map(|path| {
            let (attributes, reason) = match table {
                // As policy made it.
                Table::Accepted(_) if path.refused.is_some() => return None,
                Table::Accepted(_) => (Some(path.imported?), None),
                Table::Refused(_) => (path.attributes, Some(path.refused?)),
                _ => (Some(path.attributes?), None),
            };
            Some(Route {
                prefix: *prefix,
                path_id: identifier(path.path_id),
                stale: path.stale,
                from: None,
                next_hops: Vec::new(),
                direction: reason.map(|_| Direction::Import),
                rpki: reason
                    .and(path.attributes)
                    .and_then(|came| Rpki::of(router, session, prefix, came)),
                reason: reason.map(ToString::to_string),
                fault: path.fault.filter(|_| reason.is_some()).map(str::to_owned),
                attributes: attributes.map(|set| Attributes::from(set.as_ref())),
            })
        })
        .collect()
}

fn withheld(router: &Router, session: SessionIndex, prefix: &IpNet) -> impl Iterator<Item = Route> {
    let withheld = router.withheld(session, prefix).into_iter();
    withheld.map(move |withheld| Route {
        prefix: *prefix,
        path_id: identifier(withheld.path_id),
        stale: false,
        from: withheld.from.map(|from| name(router, from)),
        next_hops: Vec::new(),
        direction: Some(Direction::Export),
        rpki: None,
        reason: Some(withheld.reason.to_owned()),
        fault: None,
        attributes: withheld
            .attributes
            .map(|set| Attributes::from(set.as_ref())),
    })
}

fn plain(prefix: IpNet, path_id: u32, attributes: &crate::bgp::attributes::Attributes) -> Route {
    Route {
        prefix,
        path_id: identifier(path_id),
        stale: false,
        from: None,
        next_hops: Vec::new(),
        reason: None,
        fault: None,
        direction: None,
        rpki: None,
        attributes: Some(attributes.into()),
    }
}

/// A path identifier (RFC 7911), if it is one.
pub(super) fn identifier(path_id: u32) -> Option<u32> {
    (path_id != 0).then_some(path_id)
}

/// A session's name.
pub(super) fn name(router: &Router, session: SessionIndex) -> String {
    let spec = router.config().sessions.get(session.index());
    spec.map_or_else(String::new, |spec| spec.name.clone())
}
