//! A lab at a glance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::Change;
use super::{Bfd, Lag, Session};
use crate::topology::of_session;

/// A lab at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Overview {
    /// Its name.
    pub lab: String,
    /// Seconds since it began to be built.
    pub up_for: f64,
    /// Its routers, by name.
    pub routers: Vec<RouterLine>,
    /// Its connections, in the topology's order.
    pub connections: Vec<ConnectionLine>,
    /// What failed in the lab itself, the latest last.
    pub failures: Vec<Change>,
}

/// A router in one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RouterLine {
    /// Its name.
    pub router: String,
    /// What plays it: `peerlab`, or the daemon's name.
    pub played_by: String,
    /// AS number; none when it is not ours to know.
    pub asn: Option<u32>,
    /// BGP sessions that are Established.
    pub established: usize,
    /// All its BGP sessions.
    pub sessions: usize,
    /// Routes in use.
    pub routes: usize,
}

/// A connection in one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ConnectionLine {
    /// Its name.
    pub connection: String,
    /// The Microsoft edge.
    pub edge: String,
    /// The peer's router.
    pub peer: String,
    /// The LAG has carrier at the edge.
    pub lag_up: bool,
    /// Members that distribute at the edge.
    pub distributing: usize,
    /// All its members.
    pub members: usize,
    /// State of each BFD session at the edge, by the name of the BGP session it guards.
    pub bfd: Vec<(String, String)>,
    /// State of each BGP session at the edge, by the session's name.
    pub sessions: Vec<(String, String)>,
}

impl ConnectionLine {
    /// What the edge knows of a connection.
    pub fn new(
        (connection, edge, peer): (&str, &str, &str),
        lag: Option<&Lag>,
        bfd: &[Bfd],
        sessions: &[Session],
    ) -> ConnectionLine {
        let members = lag.map_or(&[][..], |lag| &lag.members);
        let own = |name: &str| of_session(name).0 == connection;
        let bfd = bfd.iter();
        let bfd = bfd.filter(|session| session.router == edge && own(&session.session));
        let sessions = sessions.iter();
        let sessions = sessions.filter(|session| session.router == edge && own(&session.session));
        ConnectionLine {
            connection: connection.to_owned(),
            edge: edge.to_owned(),
            peer: peer.to_owned(),
            lag_up: lag.is_some_and(|lag| lag.up),
            distributing: members.iter().filter(|member| member.distributing).count(),
            members: members.len(),
            bfd: bfd
                .map(|session| (session.session.clone(), session.state.clone()))
                .collect(),
            sessions: sessions
                .map(|session| (session.session.clone(), session.state.clone()))
                .collect(),
        }
    }
}
