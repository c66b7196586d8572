//! What the edges observed, as the record tells it: the only ground of what the Microsoft side concludes.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use super::received::{AsPath, ReceivedRoute};
use crate::bgp::policy;
use crate::record::Fact;
use crate::topology::Topology;

/// Routes kept of a connection: ten times what Microsoft's edges accept by default.
pub const ROUTES: usize = 200_000;
/// Bytes that they take, about: so many routes with ten communities each. Communities in words are eight times what they are in an UPDATE.
pub const BYTES: usize = 96 << 20;

/// Everything observed, connection by connection, in the topology's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The connections.
    pub connections: Vec<Connection>,
    by_name: BTreeMap<String, usize>,
}

/// What was observed of one connection, at its edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// Its metro, which is the name of its peering.
    pub metro: String,
    /// Microsoft's router.
    pub edge: String,
    /// The peer's router.
    pub router: String,
    /// Microsoft's session address.
    pub microsoft: Ipv4Addr,
    /// The peer's session address: the IP that Microsoft's messages name.
    pub peer: Ipv4Addr,
    /// LACP brought the LAG up.
    pub lag: bool,
    /// BFD is up.
    pub bfd: bool,
    /// RFC 4271 state of the BGP session.
    pub session: String,
    /// Facts of its routes were left out, of the record or of [`Connection::routes`].
    pub left_out: bool,
    /// Facts of routes for which there was no room in [`Connection::routes`], since it was empty.
    pub beyond: u64,
    /// Routes in Adj-RIB-In, and routes seen but treated as withdrawn ([`Seen::unusable`]); at most [`ROUTES`], in [`BYTES`].
    pub routes: HashMap<Ipv4Net, Seen>,
    /// Bytes that those take which facts told of.
    bytes: usize,
}

/// A route of a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its attributes.
    pub route: Arc<ReceivedRoute>,
    /// It came, but is no route to anywhere, and why: treated as withdrawn, `as-set` or `malformed-attribute`; ignored for its
    /// next hop, `own-next-hop` or `next-hop-unreachable`.
    pub unusable: Option<String>,
}

impl Seen {
    /// Bytes that it takes, about, with its place in a table.
    fn weight(&self) -> usize {
        let ReceivedRoute {
            as_path,
            communities,
            ..
        } = self.route.as_ref();
        let communities = communities
            .iter()
            .map(|text| text.len() + size_of::<String>());
        let own = size_of::<ReceivedRoute>() + 2 * size_of::<Seen>();
        own + communities.sum::<usize>() + 48 * as_path.0.len() + 4 * as_path.asns().count()
    }
}

/// What a fact changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// LAG, BFD or BGP of a connection, by its place.
    Link(usize),
    /// A route of a connection.
    Route(usize, Ipv4Net),
    /// So many facts of routes of a connection have found no room until now; told when the number has doubled.
    Beyond(usize, u64),
}

impl Observed {
    /// Nothing was observed yet.
    pub fn new(topology: &Topology) -> Observed {
        let connections: Vec<Connection> = topology
            .connections
            .iter()
            .map(|connection| Connection {
                name: connection.name.clone(),
                metro: connection.metro.clone(),
                edge: connection.edge.clone(),
                router: connection.router.clone(),
                microsoft: connection.addresses.microsoft,
                peer: connection.addresses.peer,
                lag: false,
                // Where there is none, nothing waits for it.
                bfd: !connection.bfd.options.required,
                session: "Idle".to_owned(),
                left_out: false,
                beyond: 0,
                routes: HashMap::new(),
                bytes: 0,
            })
            .collect();
        let by_name = connections
            .iter()
            .enumerate()
            .map(|(n, connection)| (connection.name.clone(), n))
            .collect();
        Observed {
            connections,
            by_name,
        }
    }

    /// The connection of a name.
    pub fn connection(&self, name: &str) -> Option<&Connection> {
        self.connections.get(*self.by_name.get(name)?)
    }

    /// Takes in a fact, and says what it changed, if it is an edge's.
    pub fn apply(&mut self, fact: &Fact) -> Option<Change> {
        match fact {
            Fact::Lag {
                router,
                connection,
                up,
                ..
            } => self.link(router, connection, |c| {
                std::mem::replace(&mut c.lag, *up) != *up
            }),
            Fact::Bfd {
                router,
                connection,
                state,
                ..
            } => {
                let up = state == "up";
                self.link(router, connection, |c| {
                    std::mem::replace(&mut c.bfd, up) != up
                })
            }
            Fact::Bgp {
                router,
                session,
                state,
                ..
            } => self.link(router, session, |c| {
                let before = std::mem::replace(&mut c.session, state.clone());
                before != *state
            }),
            Fact::RouteReceived {
                router,
                session,
                prefix,
                as_path,
                communities,
                med,
            } => self.route(router, session, prefix, || {
                seen(as_path, communities, *med, None)
            }),
            Fact::RouteRefused {
                router,
                session,
                prefix,
                as_path,
                communities,
                reason,
            } => match reason.as_str() {
                policy::NEXT_HOP_UNREACHABLE => self.mark(router, session, prefix, Some(reason)),
                policy::AS_SET | policy::MALFORMED | policy::OWN_NEXT_HOP => {
                    self.route(router, session, prefix, || {
                        seen(as_path, communities, None, Some(reason.clone()))
                    })
                }
                // Policy refuses what is there.
                _ => None,
            },
            Fact::RouteAccepted {
                router,
                session,
                prefix,
                ..
            } => self.mark(router, session, prefix, None),
            Fact::RouteWithdrawn {
                router,
                session,
                prefix,
                ..
            } => self.route(router, session, prefix, || None),
            _ => None,
        }
    }

    /// What a session without routes changes, after facts of its routes were left out: those that are still here are gone.
    pub fn emptied(&mut self, fact: &Fact) -> Vec<Change> {
        match fact {
            Fact::RoutesLeftOut {
                router, session, ..
            } => {
                if let Some(place) = self.at_edge(router, session) {
                    self.connections[place].left_out = true;
                }
                Vec::new()
            }
            Fact::RouteCount {
                router,
                session,
                received: 0,
                ..
            } => {
                let place = self.at_edge(router, session);
                let Some(place) = place.filter(|place| self.connections[*place].left_out) else {
                    return Vec::new();
                };
                let connection = &mut self.connections[place];
                (connection.left_out, connection.beyond) = (false, 0);
                connection.bytes = 0;
                let gone = connection.routes.drain();
                gone.map(|(prefix, _)| Change::Route(place, prefix))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn at_edge(&self, router: &str, connection: &str) -> Option<usize> {
        let place = *self.by_name.get(connection)?;
        (self.connections[place].edge == router).then_some(place)
    }

    fn link(
        &mut self,
        router: &str,
        connection: &str,
        change: impl FnOnce(&mut Connection) -> bool,
    ) -> Option<Change> {
        let place = self.at_edge(router, connection)?;
        change(&mut self.connections[place]).then_some(Change::Link(place))
    }

    /// A route that is there cannot be used from now on, or can.
    fn mark(
        &mut self,
        router: &str,
        connection: &str,
        prefix: &IpNet,
        unusable: Option<&String>,
    ) -> Option<Change> {
        let IpNet::V4(prefix) = *prefix else {
            return None;
        };
        let place = self.at_edge(router, connection)?;
        let seen = self.connections[place].routes.get_mut(&prefix)?;
        let changed = seen.unusable.as_ref() != unusable;
        seen.unusable = unusable.cloned();
        changed.then_some(Change::Route(place, prefix))
    }

    fn route(
        &mut self,
        router: &str,
        connection: &str,
        prefix: &IpNet,
        seen: impl FnOnce() -> Option<Seen>,
    ) -> Option<Change> {
        // Registered and Peering Service prefixes are IPv4 alone.
        let IpNet::V4(prefix) = *prefix else {
            return None;
        };
        let place = self.at_edge(router, connection)?;
        let connection = &mut self.connections[place];
        let routes = &mut connection.routes;
        let seen = seen();
        let before = routes.get(&prefix).map(Seen::weight);
        let others = connection.bytes.saturating_sub(before.unwrap_or(0));
        let bytes = others + seen.as_ref().map_or(0, Seen::weight);
        let full = bytes > BYTES || (before.is_none() && routes.len() >= ROUTES);
        if seen.is_some() && full {
            connection.left_out = true;
            connection.beyond += 1;
            let count = connection.beyond;
            return count
                .is_power_of_two()
                .then_some(Change::Beyond(place, count));
        }
        connection.bytes = bytes;
        let changed = match seen {
            Some(seen) => routes.insert(prefix, seen.clone()) != Some(seen),
            None => routes.remove(&prefix).is_some(),
        };
        changed.then_some(Change::Route(place, prefix))
    }
}

/// A route from a fact's texts. A path that cannot be read is none of ours: only a damaged record has one.
fn seen(
    as_path: &str,
    communities: &[String],
    med: Option<u32>,
    unusable: Option<String>,
) -> Option<Seen> {
    let as_path: AsPath = as_path.parse().ok()?;
    Some(Seen {
        route: Arc::new(ReceivedRoute {
            as_path,
            communities: communities.to_vec(),
            med,
        }),
        unusable,
    })
}
