//! What Microsoft announces to the peer while a lab lives: as many routes as are asked for, and what changes on command.
//!
//! **Invariant:** every session of a metro is told the same, but for what was commanded on single connections.

use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use super::routers::{MICROSOFT_ASN, edge_sessions};
use super::{Lab, LabError};
use crate::bgp::family::Family;
use crate::plan::microsoft::{Route, ipv6_routes, routes};
use crate::plan::of_topology::{EdgeLayout, Layout};
use crate::router::{Originated, OriginatedAttributes, Sessions};

/// What Microsoft announces now, and on which sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct MicrosoftRoutes {
    layout: Arc<Layout>,
    count: u16,
}

/// What an edge is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Announce this.
    Announce(Originated),
    /// Announce this prefix no longer on these sessions.
    Withdraw(IpNet, Sessions),
}

impl MicrosoftRoutes {
    /// What edges announce from the start.
    pub fn new(layout: Arc<Layout>) -> MicrosoftRoutes {
        let count = layout.microsoft_routes;
        MicrosoftRoutes { layout, count }
    }

    /// Announces so many routes on every IPv4 session from now on. What was withdrawn on command stays withdrawn.
    pub fn set_routes(&mut self, count: u16) -> Vec<(String, Order)> {
        let mut orders = Vec::new();
        for edge in &self.layout.edges {
            let region = self.layout.region(&edge.metro);
            let (before, after) = (routes(self.count, region), routes(count, region));
            let sessions = edge_sessions(&self.layout, &edge.name, Family::Ipv4Unicast, |_| true);
            for (prefix, _) in before.iter().filter(|route| !holds(&after, route.0)) {
                let order = Order::Withdraw((*prefix).into(), sessions.clone());
                orders.push((edge.name.clone(), order));
            }
            for (prefix, path) in after.into_iter().filter(|route| !before.contains(route)) {
                let order = Order::Announce(originated((prefix, path), sessions.clone()));
                orders.push((edge.name.clone(), order));
            }
        }
        self.count = count;
        orders
    }

    /// Announces a prefix on connections. Its path is as the peer sees it, AS8075 in front or left out; without a path
    /// it is the one the prefix always has.
    pub fn announce(
        &self,
        prefix: impl Into<IpNet>,
        attributes: &OriginatedAttributes,
        connections: &[String],
    ) -> Vec<(String, Order)> {
        let prefix = prefix.into();
        let path = attributes.as_path.as_slice();
        let behind = path.strip_prefix(&[MICROSOFT_ASN]).unwrap_or(path);
        let order = |edge: &EdgeLayout, sessions| {
            let as_path = match self.usual(edge, prefix) {
                Some(usual) if path.is_empty() => usual,
                _ => behind.to_vec(),
            };
            let attributes = OriginatedAttributes {
                as_path,
                ..attributes.clone()
            };
            Order::Announce(Originated {
                prefix,
                attributes,
                sessions,
            })
        };
        self.on(connections, Family::of(&prefix), order)
    }

    /// Announces a prefix on connections no longer.
    pub fn withdraw(
        &self,
        prefix: impl Into<IpNet>,
        connections: &[String],
    ) -> Vec<(String, Order)> {
        let prefix = prefix.into();
        self.on(connections, Family::of(&prefix), |_, sessions| {
            Order::Withdraw(prefix, sessions)
        })
    }

    /// The path a prefix always has at an edge, if it is always announced there.
    fn usual(&self, edge: &EdgeLayout, prefix: IpNet) -> Option<Vec<u32>> {
        match prefix {
            IpNet::V4(prefix) => {
                let usual = routes(self.count, self.layout.region(&edge.metro));
                path_of(usual, prefix)
            }
            IpNet::V6(_) => path_of(ipv6_routes(self.layout.microsoft_ipv6_routes), prefix),
        }
    }

    /// An order for every edge at which one of the connections ends, for its sessions of one family.
    fn on(
        &self,
        connections: &[String],
        family: Family,
        order: impl Fn(&EdgeLayout, Sessions) -> Order,
    ) -> Vec<(String, Order)> {
        let edges = self.layout.edges.iter();
        let orders = edges.filter_map(|edge| {
            let chosen = |name: &str| connections.iter().any(|c| c == name);
            let sessions = edge_sessions(&self.layout, &edge.name, family, chosen);
            (sessions != Sessions::Only(Vec::new()))
                .then(|| (edge.name.clone(), order(edge, sessions)))
        });
        orders.collect()
    }
}

fn path_of<Net: PartialEq>(routes: Vec<Route<Net>>, prefix: Net) -> Option<Vec<u32>> {
    let mut routes = routes.into_iter();
    routes.find(|(of, _)| *of == prefix).map(|(_, path)| path)
}

fn holds(routes: &[Route], prefix: Ipv4Net) -> bool {
    routes.iter().any(|(of, _)| *of == prefix)
}

/// A route of an edge.
pub(super) fn originated(
    (prefix, as_path): (impl Into<IpNet>, Vec<u32>),
    sessions: Sessions,
) -> Originated {
    Originated {
        prefix: prefix.into(),
        attributes: OriginatedAttributes {
            as_path,
            ..OriginatedAttributes::default()
        },
        sessions,
    }
}

impl Lab {
    /// Microsoft announces so many routes on every IPv4 session from now on.
    ///
    /// # Errors
    /// The lab has no such edge.
    pub fn set_microsoft_routes(&mut self, count: u16) -> Result<(), LabError> {
        let orders = self.microsoft_routes.set_routes(count);
        self.order(orders)
    }

    /// Microsoft announces a prefix on connections, as [`MicrosoftRoutes::announce`] has it.
    ///
    /// # Errors
    /// The lab has no such edge.
    pub fn announce_by_microsoft(
        &self,
        prefix: IpNet,
        attributes: &OriginatedAttributes,
        connections: &[String],
    ) -> Result<(), LabError> {
        let routes = &self.microsoft_routes;
        self.order(routes.announce(prefix, attributes, connections))
    }

    /// Microsoft announces a prefix on connections no longer.
    ///
    /// # Errors
    /// The lab has no such edge.
    pub fn withdraw_by_microsoft(
        &self,
        prefix: IpNet,
        connections: &[String],
    ) -> Result<(), LabError> {
        self.order(self.microsoft_routes.withdraw(prefix, connections))
    }

    fn order(&self, orders: Vec<(String, Order)>) -> Result<(), LabError> {
        for (edge, order) in orders {
            let router = self.routers.get(&edge);
            let router = router.ok_or_else(|| LabError::Unplanned(format!("router {edge}")))?;
            match order {
                Order::Announce(route) => router.announce(route),
                Order::Withdraw(prefix, sessions) => router.withdraw(prefix, sessions),
            }
        }
        Ok(())
    }
}
