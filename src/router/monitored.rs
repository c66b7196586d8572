//! What a monitored session tells besides facts: all its messages, and what import policy makes of its routes.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;

use super::Router;
use super::config::SessionIndex;
use super::io::Output;
use crate::bgp::attributes::Attributes;
use crate::bgp::message::{Dialect, Nlri};
use crate::bgp::session::{self, Conn, State};

/// Something observed on a session with [`super::SessionSpec::monitor`].
#[derive(Debug, Clone, PartialEq)]
pub struct Monitored {
    /// Which session.
    pub session: SessionIndex,
    /// What.
    pub what: Observed,
}

/// What was observed.
#[derive(Debug, Clone, PartialEq)]
pub enum Observed {
    /// A connection is there, between these ports. The driver alone knows them.
    Opened {
        /// Which.
        conn: Conn,
        /// Ours.
        local: u16,
        /// The neighbour's.
        remote: u16,
    },
    /// Bytes came in on a connection, as they were read: any part of messages.
    Received {
        /// Which connection.
        conn: Conn,
        /// What.
        bytes: Bytes,
    },
    /// Whole messages go out on a connection.
    Sent {
        /// Which connection.
        conn: Conn,
        /// What.
        bytes: Bytes,
    },
    /// A connection is no more.
    Closed {
        /// Which.
        conn: Conn,
        /// The neighbour closed it, or the kernel.
        by_peer: bool,
    },
    /// The session has another state (RFC 4271, section 8).
    State(State),
    /// The session is Established.
    Up {
        /// The neighbour's BGP Identifier.
        peer_id: Ipv4Addr,
        /// How UPDATEs read from now on.
        dialect: Dialect,
    },
    /// The neighbour has told all it has (RFC 4724, section 2).
    EndOfRib,
    /// So much was left out because nobody listened in time. The whole table follows, if the session is up.
    Missed {
        /// Messages and changes.
        messages: u64,
    },
    /// What Adj-RIB-In has of a route now.
    Route {
        /// Which.
        nlri: Nlri,
        /// As it was received; `None` when it is gone.
        received: Option<Arc<Attributes>>,
        /// As import policy lets it in, if it does.
        imported: Option<Arc<Attributes>>,
    },
}

impl Observed {
    /// A route is no more in Adj-RIB-In.
    pub(in crate::router) fn gone(nlri: Nlri) -> Observed {
        Observed::Route {
            nlri,
            received: None,
            imported: None,
        }
    }
}

impl Router {
    /// Adj-RIB-In of a session, as it is told route by route.
    pub fn table_of(&self, session: SessionIndex) -> impl Iterator<Item = Observed> + '_ {
        let table = self.adj_rib_in(session).into_iter();
        let routes = table.flat_map(|table| table.iter());
        routes.filter_map(|route| {
            Some(Observed::Route {
                nlri: Nlri {
                    prefix: route.prefix,
                    path_id: route.path_id,
                },
                received: Some(route.attributes?.clone()),
                imported: route.imported.cloned(),
            })
        })
    }

    /// Tells what was observed on a session, if it is monitored.
    pub(super) fn monitor(&mut self, index: usize, what: impl FnOnce() -> Observed) {
        let peer = self.peers.get(index).filter(|peer| peer.spec.monitor);
        if let Some(peer) = peer {
            let session = peer.index;
            let what = what();
            let monitored = Monitored { session, what };
            self.monitored.push(Output::Monitored(Box::new(monitored)));
        }
    }

    /// The same of what a session wants done.
    pub(super) fn monitor_output(&mut self, index: usize, output: &session::Output) {
        use session::Output as Of;
        match output {
            Of::Write { conn, bytes } => self.monitor(index, || Observed::Sent {
                conn: *conn,
                bytes: bytes.clone(),
            }),
            Of::Close { conn, .. } => self.monitor(index, || Observed::Closed {
                conn: *conn,
                by_peer: false,
            }),
            Of::StateChanged { to, .. } => self.monitor(index, || Observed::State(*to)),
            Of::Established(negotiated) => self.monitor(index, || Observed::Up {
                peer_id: negotiated.peer_id,
                dialect: negotiated.dialect,
            }),
            _ => {}
        }
    }
}
