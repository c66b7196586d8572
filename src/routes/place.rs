//! Gives the tables of files to the connections of a topology, as the routes that Microsoft's edges receive there.
//!
//! A table is a connection's when the session's addresses are: received from the peer's address at Microsoft's router,
//! or sent to Microsoft's address by the peer's. A file may also be given to a connection by name; then its one session
//! is taken, or the router's own table, which is what it would announce if no policy changed it.

use std::collections::HashSet;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::tables::{Direction, Dump, Session, Table};
use super::{Format, tables};
use crate::provider::observed::{Observed, Seen};
use crate::provider::received::{AsPath, ReceivedRoute, Segment};
use crate::topology::{Connection, Topology};

/// AS8075, whose routes a neighbour's own table has too.
const MICROSOFT: u32 = 8075;

/// A file that was read.
#[derive(Debug)]
pub struct File {
    /// Its name, for notes.
    pub name: String,
    /// The connection it was given to, if the user said so.
    pub connection: Option<String>,
    /// What is in it.
    pub dump: Dump,
}

/// What Microsoft's edges receive, as far as the files tell.
#[derive(Debug)]
pub struct Picture {
    /// The connections with their routes; sessions and LAGs that the files say nothing against are up.
    pub observed: Observed,
    /// What is not known of each connection, in the same order.
    pub unknown: Vec<Unknown>,
    /// What should be known about the files, each with its file's name.
    pub notes: Vec<String>,
}

/// What files do not tell of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown {
    /// No file has its routes.
    pub routes: bool,
    /// The prefixes whose route was told without communities.
    pub communities: HashSet<Ipv4Net>,
}

/// Failed to give a file's routes to connections.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// There is no such connection.
    #[error("find the connection `{name}` of {file}: the topology has {known}")]
    NoConnection {
        /// The file.
        file: String,
        /// As it was given.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// No session of the file is a connection's.
    #[error(
        "find a connection's session in {file}: it has {sessions}; say which connection it is with `--routes CONNECTION={file}`"
    )]
    NoneFits {
        /// The file.
        file: String,
        /// What it has.
        sessions: String,
    },
    /// It cannot be told which of several is meant.
    #[error(
        "find the session of {connection} in {file}: it has {sessions}, and none of them has the connection's addresses"
    )]
    Several {
        /// The file.
        file: String,
        /// The connection.
        connection: String,
        /// What it has.
        sessions: String,
    },
}

/// Whether routes of a session may be a connection's, when its file is given to no connection by name.
pub fn wanted(topology: &Topology, session: &Session) -> bool {
    topology
        .connections
        .iter()
        .any(|connection| fits(connection, session))
}

/// Whether a session is that of a connection, seen from either end.
fn fits(connection: &Connection, session: &Session) -> bool {
    let addresses = &connection.addresses;
    let (ours, theirs) = match session.direction {
        Direction::Received => (addresses.microsoft, addresses.peer),
        Direction::Sent => (addresses.peer, addresses.microsoft),
        Direction::Own => return false,
    };
    match (session.peer, session.local) {
        (Some(peer), _) => peer == theirs,
        (None, Some(local)) => local == ours,
        // A protocol of BIRD cannot have a hyphen in its name.
        (None, None) => session
            .name
            .as_ref()
            .is_some_and(|name| name.replace('_', "-") == connection.name.replace('_', "-")),
    }
}

/// Gives the tables of all files to connections. Where several have a route to a prefix, the later one counts, unless it
/// does not tell the communities.
///
/// # Errors
/// When a file has nothing for any connection, or for the one it was given to.
pub fn place(topology: &Topology, files: Vec<File>) -> Result<Picture, PlaceError> {
    let mut picture = Picture {
        observed: Observed::new(topology),
        unknown: Vec::new(),
        notes: Vec::new(),
    };
    for connection in &mut picture.observed.connections {
        connection.lag = true;
        connection.bfd = true;
        "Established".clone_into(&mut connection.session);
        picture.unknown.push(Unknown {
            routes: true,
            ..Unknown::default()
        });
    }
    for file in files {
        let name = file.name;
        let notes = file.dump.notes.iter().map(|note| format!("{name}: {note}"));
        picture.notes.extend(notes);
        let taken = match file.connection {
            Some(connection) => vec![named(topology, &name, connection, file.dump)?],
            None => by_addresses(topology, &name, file.dump, &mut picture.notes)?,
        };
        for (place, format, table) in taken {
            picture.take(topology, &name, place, format, table);
        }
    }
    for (connection, unknown) in topology.connections.iter().zip(&picture.unknown) {
        if unknown.routes {
            picture.notes.push(format!(
                "no file has the routes of {}: what depends on them is unchecked",
                connection.name
            ));
        }
    }
    Ok(picture)
}

type Taken = (usize, Format, Table);

fn by_addresses(
    topology: &Topology,
    file: &str,
    dump: Dump,
    notes: &mut Vec<String>,
) -> Result<Vec<Taken>, PlaceError> {
    let (mut taken, mut others) = (Vec::new(), Vec::new());
    for table in dump.tables {
        let mut places = topology.connections.iter();
        match places.position(|connection| fits(connection, &table.session)) {
            Some(place) => taken.push((place, dump.format, table)),
            None => others.push(table),
        }
    }
    if taken.is_empty() {
        return Err(PlaceError::NoneFits {
            file: file.to_owned(),
            sessions: list(others.iter()),
        });
    }
    // A router's own table, and what Microsoft announces, are no one's routes towards Microsoft.
    let microsoft = |table: &&Table| {
        let from = table.session.peer;
        !topology
            .connections
            .iter()
            .any(|c| from == Some(c.addresses.microsoft) || from == Some(c.addresses.peer))
    };
    let strangers = others
        .iter()
        .filter(|table| table.session.direction != Direction::Own);
    let strangers: Vec<&Table> = strangers.filter(microsoft).collect();
    if !strangers.is_empty() {
        let sessions = list(strangers.into_iter());
        notes.push(format!(
            "{file}: of no connection, and left out: {sessions}"
        ));
    }
    Ok(taken)
}

fn named(
    topology: &Topology,
    file: &str,
    connection: String,
    dump: Dump,
) -> Result<Taken, PlaceError> {
    let mut places = topology.connections.iter();
    let Some(place) = places.position(|known| known.name == connection) else {
        let known = topology.connections.iter().map(|known| known.name.as_str());
        return Err(PlaceError::NoConnection {
            file: file.to_owned(),
            name: connection,
            known: known.collect::<Vec<_>>().join(", "),
        });
    };
    let asn = topology.peer.asn;
    let ranked = |table: &Table| rank(&topology.connections[place], asn, table);
    let best = dump.tables.iter().filter_map(ranked).min();
    let mut fitting: Vec<&Table> = dump
        .tables
        .iter()
        .filter(|table| best.is_some() && ranked(table) == best)
        .collect();
    match (fitting.pop(), fitting.is_empty()) {
        (Some(table), true) => Ok((place, dump.format, table.clone())),
        _ => Err(PlaceError::Several {
            file: file.to_owned(),
            connection,
            sessions: list(dump.tables.iter()),
        }),
    }
}

/// How well a table fits the connection its file was given to; lower is better, none is not at all.
fn rank(connection: &Connection, asn: u32, table: &Table) -> Option<u8> {
    let session = &table.session;
    let peer_leads = || {
        let mut routes = table.routes.values();
        routes.all(|seen| seen.route.as_path.asns().next() == Some(asn))
    };
    match session.direction {
        _ if fits(connection, session) => Some(0),
        Direction::Sent if session.peer.is_none() => Some(1),
        Direction::Received if session.peer.is_none() => Some(1),
        // What Microsoft sends is not what it receives.
        Direction::Received if session.peer == Some(connection.addresses.microsoft) => None,
        Direction::Received if !table.routes.is_empty() && peer_leads() => Some(2),
        Direction::Own if session.local_asn.is_none_or(|own| own == asn) => Some(3),
        Direction::Received => Some(4),
        Direction::Sent | Direction::Own => None,
    }
}

/// Sessions and how many routes they have, the first five of them.
fn list<'a>(tables: impl Iterator<Item = &'a Table>) -> String {
    let all: Vec<String> = tables
        .map(|table| {
            let routes = table.routes.len() + table.passed_over;
            format!("{} ({routes} routes)", table.session.words())
        })
        .collect();
    match all.len() {
        0 => "no session".to_owned(),
        1..=5 => all.join(", "),
        more => format!("{} and {} more", all[..5].join(", "), more - 5),
    }
}

impl Picture {
    fn take(
        &mut self,
        topology: &Topology,
        file: &str,
        place: usize,
        format: Format,
        table: tables::Table,
    ) {
        let connection = &mut self.observed.connections[place];
        let unknown = &mut self.unknown[place];
        let name = &connection.name;
        unknown.routes = false;
        if !table.up {
            "Idle".clone_into(&mut connection.session);
            self.notes
                .push(format!("{file}: the session of {name} is down at the end"));
        }
        let asn = topology.peer.asn;
        if !table.own_as {
            self.notes.push(format!(
                "{file}: paths are shown before the router adds its AS; AS{asn} is put in front of them, as {name} sends them"
            ));
        }
        if table.session.direction == Direction::Own {
            let what = match format {
                Format::Bird => "unless this is of `show route export PROTOCOL`, ",
                _ => "this is the router's own table: ",
            };
            self.notes.push(format!(
                "{file}: {what}what export policy towards {name} changes or holds back is not in it"
            ));
        }
        if table.after_policy {
            self.notes.push(format!(
                "{file}: routes of {name} are shown after import policy; those it filters are missing here"
            ));
        }
        if !table.communities && !table.routes.is_empty() {
            self.notes.push(format!(
                "{file}: this output has no communities; {}. What depends on them is unchecked",
                with_communities(&table.session, format)
            ));
        }
        for (prefix, seen) in table.routes {
            let own = table.session.direction == Direction::Own;
            // A router announces nothing to Microsoft that came from there.
            if own && seen.route.as_path.asns().any(|asn| asn == MICROSOFT) {
                continue;
            }
            let known = connection.routes.contains_key(&prefix);
            if !table.communities {
                if known {
                    continue;
                }
                unknown.communities.insert(prefix);
            } else {
                unknown.communities.remove(&prefix);
            }
            let seen = match table.own_as {
                true => seen,
                false => prepended(asn, &seen),
            };
            connection.routes.insert(prefix, seen);
        }
    }
}

/// What to ask for, to see the communities as well.
fn with_communities(session: &Session, format: Format) -> &'static str {
    match (format, session.direction) {
        (Format::Frr, Direction::Sent) => {
            "use `show bgp ipv4 unicast neighbors ADDRESS advertised-routes detail json`, or, before FRR 9, \
             an MRT dump or BMP of what the neighbour receives"
        }
        (Format::Frr, _) => "use `show bgp ipv4 unicast json detail`",
        _ => "use a form that has them",
    }
}

fn prepended(asn: u32, seen: &Seen) -> Seen {
    let mut path = seen.route.as_path.clone();
    match path.0.first_mut() {
        Some(Segment::Sequence(asns)) => asns.insert(0, asn),
        _ => path.0.insert(0, Segment::Sequence(vec![asn])),
    }
    Seen {
        route: Arc::new(ReceivedRoute {
            as_path: AsPath(path.0),
            ..(*seen.route).clone()
        }),
        unusable: seen.unusable.clone(),
    }
}
