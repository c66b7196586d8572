//! The monitoring of a router: what its monitored sessions tell, as a trace and a table dump (MRT, RFC 6396) and as a feed
//! for a collector (BMP, RFC 7854).
//!
//! [`Station`] is a value: it hears [`Monitored`], and keeps what a dump and a collector want to know. `lab/monitoring.rs`
//! gives it files and sockets.
//!
//! **Invariant:** what waits for a collector that does not read is bounded by the router's table.

mod bmp;
mod feed;
mod framing;
mod mrt;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;

use self::feed::Feed;
use self::framing::Framing;
use crate::bgp::attributes::Attributes;
use crate::bgp::message::{Dialect, Framer, Message, Nlri};
use crate::bgp::session::{Conn, State};
use crate::router::{Monitored, Observed, RouterConfig};

/// A moment as files and collectors have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Seconds since 1970.
    pub seconds: u32,
    /// And microseconds.
    pub micros: u32,
}

impl Stamp {
    /// Of nanoseconds since 1970; ends in 2106.
    pub fn from_nanos(nanos: u64) -> Stamp {
        Stamp {
            seconds: u32::try_from(nanos / 1_000_000_000).unwrap_or(u32::MAX),
            micros: (nanos % 1_000_000_000 / 1_000) as u32,
        }
    }
}

/// What is known of one router's monitored sessions.
#[derive(Debug)]
pub struct Station {
    name: String,
    router_id: Ipv4Addr,
    asn: u32,
    /// By their index; those that are not monitored stay empty.
    sessions: Vec<Session>,
    /// Records not yet taken, if a trace is wanted.
    trace: Option<Vec<u8>>,
    /// What a collector has yet to hear, while there is one.
    feed: Option<Feed>,
}

/// One session.
#[derive(Debug)]
struct Session {
    local: IpAddr,
    peer: IpAddr,
    peer_asn: u32,
    state: State,
    connections: Vec<Connection>,
    up: Option<Up>,
    /// Adj-RIB-In; empty while the session is down.
    routes: BTreeMap<Nlri, Route>,
    /// Routes that import policy refused since the session is up.
    rejected: u32,
}

/// One TCP connection of a session, as far as it was heard of.
#[derive(Debug)]
struct Connection {
    conn: Conn,
    /// Ours and the neighbour's.
    ports: Option<(u16, u16)>,
    received: Framing,
    open_received: Option<Bytes>,
    open_sent: Option<Bytes>,
    /// How UPDATEs read, by the two OPENs.
    dialect: Option<Dialect>,
    notification_received: Option<Bytes>,
    notification_sent: Option<Bytes>,
    closed: bool,
    closed_by_peer: bool,
}

/// What is known of an Established session.
#[derive(Debug, Clone)]
struct Up {
    conn: Option<Conn>,
    /// Ours and the neighbour's; 0 where they are not known.
    ports: (u16, u16),
    peer_id: Ipv4Addr,
    dialect: Dialect,
    since: Stamp,
    open_sent: Bytes,
    open_received: Bytes,
}

/// A route of Adj-RIB-In.
#[derive(Debug, Clone)]
struct Route {
    since: Stamp,
    received: Arc<Attributes>,
    imported: Option<Arc<Attributes>>,
}

/// Types of BGP messages (RFC 4271, section 4.1).
const OPEN: u8 = 1;
const UPDATE: u8 = 2;
const NOTIFICATION: u8 = 3;
/// Connections of a session that are remembered; a neighbour may open many.
const MOST_CONNECTIONS: usize = 8;

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Received,
    Sent,
}

/// Why a session is no longer Established (RFC 7854, section 4.9).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Down {
    NotificationSent(Bytes),
    NotificationReceived(Bytes),
    /// Without a NOTIFICATION: BFD, the hold timer with a full window, a crash.
    ByUs,
    ByPeer,
    /// It is not down, but what was told of it is void, and is told anew.
    Unmonitored,
}

impl Station {
    /// Of a router that is off. With `trace`, messages and states are kept for [`Station::take_trace`].
    pub fn new(config: &RouterConfig, trace: bool) -> Station {
        let sessions = config.sessions.iter().map(|spec| Session {
            local: spec.local,
            peer: spec.peer,
            peer_asn: spec.peer_asn,
            state: State::Idle,
            connections: Vec::new(),
            up: None,
            routes: BTreeMap::new(),
            rejected: 0,
        });
        Station {
            name: config.name.clone(),
            router_id: config.router_id,
            asn: config.asn,
            sessions: sessions.collect(),
            trace: trace.then(Vec::new),
            feed: None,
        }
    }

    /// The router's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes what was observed.
    pub fn hear(&mut self, now: Stamp, monitored: Monitored) {
        let index = monitored.session.index();
        let Some(session) = self.sessions.get_mut(index) else {
            return;
        };
        match monitored.what {
            Observed::Opened {
                conn,
                local,
                remote,
            } => session.connection(conn).ports = Some((local, remote)),
            Observed::Missed { .. } => self.missed(now, index),
            Observed::Received { conn, bytes } => {
                for message in session.connection(conn).received.push(&bytes) {
                    self.message(now, index, conn, Way::Received, message);
                }
            }
            Observed::Sent { conn, bytes } => {
                for message in Framing::default().push(&bytes) {
                    self.message(now, index, conn, Way::Sent, message);
                }
            }
            Observed::Closed { conn, by_peer } => {
                let connection = session.connection(conn);
                connection.closed = true;
                connection.closed_by_peer |= by_peer;
            }
            Observed::State(to) => self.state(now, index, to),
            Observed::Up { peer_id, dialect } => self.up(now, index, peer_id, dialect),
            Observed::EndOfRib => {
                if let Some(feed) = &mut self.feed {
                    feed.end_of_rib(index);
                }
            }
            Observed::Route {
                nlri,
                received,
                imported,
            } => self.route(now, index, nlri, received, imported),
        }
    }

    /// What is known of a session's routes is void, and is told anew.
    fn missed(&mut self, now: Stamp, index: usize) {
        let session = &mut self.sessions[index];
        for connection in &mut session.connections {
            connection.received.missed();
        }
        session.routes.clear();
        if let (Some(feed), Some(up)) = (&mut self.feed, &session.up) {
            feed.peer_down(index, bmp::peer_down(now, session, up, &Down::Unmonitored));
            feed.peer_up(bmp::peer_up(session, up));
        }
    }

    fn message(&mut self, now: Stamp, index: usize, conn: Conn, way: Way, message: Bytes) {
        let session = &mut self.sessions[index];
        if let Some(trace) = &mut self.trace {
            let dialect = session.dialect(conn);
            mrt::message(trace, now, self.asn, session, way, dialect, &message);
        }
        let kind = framing::kind(&message);
        let connection = session.connection(conn);
        match (kind, way) {
            (OPEN, Way::Received) => connection.open_received = Some(message),
            (OPEN, Way::Sent) => connection.open_sent = Some(message),
            (NOTIFICATION, Way::Received) => connection.notification_received = Some(message),
            (NOTIFICATION, Way::Sent) => connection.notification_sent = Some(message),
            _ => {}
        }
        if kind == OPEN {
            connection.dialect = connection.agreed();
        }
    }

    fn state(&mut self, now: Stamp, index: usize, to: State) {
        let session = &mut self.sessions[index];
        let from = std::mem::replace(&mut session.state, to);
        if let Some(trace) = &mut self.trace {
            mrt::state_change(trace, now, self.asn, session, from, to);
        }
        if from == State::Established
            && let Some(up) = session.up.take()
        {
            session.routes.clear();
            session.rejected = 0;
            let down = session.down(&up);
            if let Some(feed) = &mut self.feed {
                feed.peer_down(index, bmp::peer_down(now, session, &up, &down));
            }
        }
        if to == State::Idle {
            session.connections.retain(|connection| !connection.closed);
        }
    }

    fn up(&mut self, now: Stamp, index: usize, peer_id: Ipv4Addr, dialect: Dialect) {
        let session = &mut self.sessions[index];
        let mut open = session.connections.iter().rev().filter(|c| !c.closed);
        let connection = open.find(|c| c.open_sent.is_some() && c.open_received.is_some());
        let of = |which: fn(&Connection) -> &Option<Bytes>| {
            let message = connection.and_then(|connection| which(connection).clone());
            message.unwrap_or_default()
        };
        let up = Up {
            conn: connection.map(|connection| connection.conn),
            ports: connection
                .and_then(|connection| connection.ports)
                .unwrap_or_default(),
            peer_id,
            dialect,
            since: now,
            open_sent: of(|connection| &connection.open_sent),
            open_received: of(|connection| &connection.open_received),
        };
        if let Some(feed) = &mut self.feed {
            feed.peer_up(bmp::peer_up(session, &up));
        }
        session.up = Some(up);
        session.routes.clear();
        session.rejected = 0;
    }

    fn route(
        &mut self,
        now: Stamp,
        index: usize,
        nlri: Nlri,
        received: Option<Arc<Attributes>>,
        imported: Option<Arc<Attributes>>,
    ) {
        let session = &mut self.sessions[index];
        match received {
            Some(received) => {
                session.rejected += u32::from(imported.is_none());
                let route = Route {
                    since: now,
                    received,
                    imported,
                };
                session.routes.insert(nlri, route);
            }
            None => drop(session.routes.remove(&nlri)),
        }
        if let Some(feed) = &mut self.feed {
            feed.changed(index, nlri);
        }
    }

    /// The records of the trace since last time (BGP4MP_ET).
    pub fn take_trace(&mut self) -> Vec<u8> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What is in the Adj-RIBs-In now (TABLE_DUMP_V2).
    pub fn table_dump(&self, now: Stamp) -> Vec<u8> {
        mrt::table_dump(self, now)
    }
}

impl Session {
    /// The connection, begun if it was not known; the oldest of too many are forgotten.
    fn connection(&mut self, conn: Conn) -> &mut Connection {
        let known = self.connections.iter().position(|known| known.conn == conn);
        let place = known.unwrap_or_else(|| {
            if self.connections.len() == MOST_CONNECTIONS {
                self.connections.remove(0);
            }
            self.connections.push(Connection {
                conn,
                ports: None,
                received: Framing::default(),
                open_received: None,
                open_sent: None,
                dialect: None,
                notification_received: None,
                notification_sent: None,
                closed: false,
                closed_by_peer: false,
            });
            self.connections.len() - 1
        });
        &mut self.connections[place]
    }

    /// How UPDATEs of a connection read. Both OPENs say so before [`Observed::Up`] does: with the KEEPALIVE that makes the
    /// session Established, bytes of UPDATEs may come.
    fn dialect(&self, conn: Conn) -> Option<Dialect> {
        let known = self.connections.iter().find(|known| known.conn == conn);
        let by_opens = known.and_then(|connection| connection.dialect);
        by_opens.or_else(|| self.up.as_ref().map(|up| up.dialect))
    }

    /// Why it is down that was up.
    fn down(&self, up: &Up) -> Down {
        let mut connections = self.connections.iter();
        let connection = connections.find(|connection| Some(connection.conn) == up.conn);
        let Some(connection) = connection else {
            return Down::ByUs;
        };
        match (
            &connection.notification_sent,
            &connection.notification_received,
        ) {
            (Some(sent), _) => Down::NotificationSent(sent.clone()),
            (None, Some(received)) => Down::NotificationReceived(received.clone()),
            (None, None) if connection.closed_by_peer => Down::ByPeer,
            (None, None) => Down::ByUs,
        }
    }
}

impl Connection {
    /// What follows from the OPENs, if both are there and read.
    fn agreed(&self) -> Option<Dialect> {
        let read = |message: &Option<Bytes>| {
            let mut framer = Framer::default();
            framer.push(message.as_deref()?);
            match framer.next(Dialect::plain(false)) {
                Ok(Some(Message::Open(open))) => Some(open),
                _ => None,
            }
        };
        let (ours, theirs) = (read(&self.open_sent)?, read(&self.open_received)?);
        let internal = ours.asn == theirs.asn;
        Some(ours.capabilities.dialect(&theirs.capabilities, internal))
    }
}

#[cfg(test)]
mod tests;
