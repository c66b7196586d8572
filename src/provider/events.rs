//! Events of Peering Service prefixes (facts b.6, PSTEL; `events[]` in Azure's model).
//!
//! | event | level | when |
//! |---|---|---|
//! | `PrefixAnnouncementEvent` | Information | a session of the primary location begins to announce the prefix |
//! | `PrefixWithdrawalEvent` | Warning | it does not any more, withdrawn or lost with its session |
//! | `PrefixBackupRouteAnnouncementEvent` | Information | the same of the backup location |
//! | `PrefixBackupRouteWithdrawalEvent` | Warning | the same of the backup location |
//! | `PrefixActivePath` | Information | the primary location's best path is another one |
//! | `PrefixBackupPath` | Information | the backup location's best path is another one |
//! | `PrefixOriginAsChangeEvent` | Critical | a session of the primary location announces another origin AS than before |
//! | `PrefixBackupRouteOriginAsChangeEvent` | Error | the same of the backup location |
//!
//! Announcements and withdrawals are told session by session, as they are received: with redundant sessions the loss of
//! one is worth knowing, and the description says how many are left. A path belongs to a location: the shortest AS path
//! its sessions announce, and the sessions that announce one so short; without a route there is none to tell. Routes are
//! as received, before policy; what was treated as withdrawn (an AS_SET) is no route. Sessions elsewhere tell nothing.
//!
//! An origin is compared with the last one of its session, also across a withdrawal, and for a session without a past
//! with the first that was seen of the prefix.

use std::collections::{BTreeMap, HashMap};

use ipnet::Ipv4Net;

use super::observed::{Change, Observed};
use crate::record::Fact;

/// The Peering Service prefixes whose events are told.
#[derive(Debug, Clone, Default)]
pub struct Events {
    watched: HashMap<Ipv4Net, Watched>,
}

/// A Peering Service prefix.
#[derive(Debug, Clone)]
struct Watched {
    primary: String,
    backup: Option<String>,
    /// The first origin seen.
    origin: Option<u32>,
    /// What is known of a session, by the connection's place.
    sessions: BTreeMap<usize, Session>,
    /// The last paths told.
    active: Vec<Hop>,
    backup_path: Vec<Hop>,
}

/// A session of one of its locations.
#[derive(Debug, Clone, Copy, Default)]
struct Session {
    announces: bool,
    /// The last origin, kept when the route goes.
    origin: Option<u32>,
}

/// A session's part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hop {
    connection: usize,
    as_path: String,
}

/// Which of a prefix's locations a session is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Location {
    Primary,
    Backup,
}

impl Events {
    /// Watches a prefix from now on, under the locations of its service, and tells the paths it has already.
    pub fn watch(
        &mut self,
        prefix: Ipv4Net,
        primary: &str,
        backup: Option<&str>,
        observed: &Observed,
    ) -> Vec<Fact> {
        let mut watched = Watched {
            primary: primary.to_owned(),
            backup: backup.map(str::to_owned),
            origin: None,
            sessions: BTreeMap::new(),
            active: Vec::new(),
            backup_path: Vec::new(),
        };
        for (place, connection) in observed.connections.iter().enumerate() {
            if watched.location(&connection.metro).is_some() {
                let origin = origin(observed, place, prefix);
                watched.sessions.insert(
                    place,
                    Session {
                        announces: announces(observed, place, prefix),
                        origin,
                    },
                );
                watched.origin = watched.origin.or(origin);
            }
        }
        let mut facts = Vec::new();
        for location in [Location::Primary, Location::Backup] {
            facts.extend(watched.path_change(prefix, location, observed));
        }
        self.watched.insert(prefix, watched);
        facts
    }

    /// Watches a prefix no longer.
    pub fn forget(&mut self, prefix: Ipv4Net) {
        self.watched.remove(&prefix);
    }

    /// The events of a change. All but those of a watched prefix's routes have none.
    pub fn changed(&mut self, observed: &Observed, change: &Change) -> Vec<Fact> {
        let Change::Route(place, prefix) = *change else {
            return Vec::new();
        };
        let Some(watched) = self.watched.get_mut(&prefix) else {
            return Vec::new();
        };
        let Some(location) = watched.location(&observed.connections[place].metro) else {
            return Vec::new();
        };
        let mut facts = watched.session_change(prefix, place, location, observed);
        facts.extend(watched.path_change(prefix, location, observed));
        facts
    }
}

impl Watched {
    fn location(&self, metro: &str) -> Option<Location> {
        if metro == self.primary {
            Some(Location::Primary)
        } else if self.backup.as_deref() == Some(metro) {
            Some(Location::Backup)
        } else {
            None
        }
    }

    /// Announcement, withdrawal and change of origin of one session.
    fn session_change(
        &mut self,
        prefix: Ipv4Net,
        place: usize,
        location: Location,
        observed: &Observed,
    ) -> Vec<Fact> {
        let connection = &observed.connections[place];
        let (announcement, withdrawal, origin_change, level) = match location {
            Location::Primary => (
                "PrefixAnnouncementEvent",
                "PrefixWithdrawalEvent",
                "PrefixOriginAsChangeEvent",
                "Critical",
            ),
            Location::Backup => (
                "PrefixBackupRouteAnnouncementEvent",
                "PrefixBackupRouteWithdrawalEvent",
                "PrefixBackupRouteOriginAsChangeEvent",
                "Error",
            ),
        };
        let mut facts = Vec::new();
        let announces = announces(observed, place, prefix);
        let session = self.sessions.entry(place).or_default();
        let announced = std::mem::replace(&mut session.announces, announces);
        if announced != announces {
            let metro = observed.connections.iter().enumerate();
            let metro = metro.filter(|(_, other)| other.metro == connection.metro);
            let (mut all, mut left) = (0, 0);
            for (other, _) in metro {
                all += 1;
                left += usize::from(self::announces(observed, other, prefix));
            }
            let text = format!(
                "session {} ({}) in {}: {left} of {all} sessions there announce {prefix}",
                connection.name, connection.peer, connection.metro
            );
            facts.push(if announces {
                event(
                    announcement,
                    "Information",
                    prefix,
                    "announcement received",
                    text,
                )
            } else {
                event(withdrawal, "Warning", prefix, "withdrawal received", text)
            });
        }
        if let Some(origin) = origin(observed, place, prefix) {
            let before = session.origin.replace(origin).or(self.origin);
            self.origin.get_or_insert(origin);
            if let Some(before) = before.filter(|before| *before != origin) {
                let text = format!(
                    "session {} ({}) in {} announces {prefix} with origin AS{origin}; it was AS{before}",
                    connection.name, connection.peer, connection.metro
                );
                facts.push(event(
                    origin_change,
                    level,
                    prefix,
                    "origin AS changed",
                    text,
                ));
            }
        }
        facts
    }

    /// The path of a location, if it is there and another one than was told last.
    fn path_change(
        &mut self,
        prefix: Ipv4Net,
        location: Location,
        observed: &Observed,
    ) -> Option<Fact> {
        let (metro, told, name, summary) = match location {
            Location::Primary => (
                Some(&self.primary),
                &mut self.active,
                "PrefixActivePath",
                "current active route",
            ),
            Location::Backup => (
                self.backup.as_ref(),
                &mut self.backup_path,
                "PrefixBackupPath",
                "current backup route",
            ),
        };
        let path = best(observed, metro?, prefix);
        if path == *told {
            return None;
        }
        *told = path;
        let hops = told.iter().map(|hop| {
            let connection = &observed.connections[hop.connection].name;
            format!("AS path {} over {connection}", hop.as_path)
        });
        let text = hops.collect::<Vec<_>>().join(", ");
        (!told.is_empty()).then(|| event(name, "Information", prefix, summary, text))
    }
}

/// The routes of a metro with the shortest AS path (RFC 4271, section 9.1.2.2).
fn best(observed: &Observed, metro: &str, prefix: Ipv4Net) -> Vec<Hop> {
    let routes: Vec<_> = observed
        .connections
        .iter()
        .enumerate()
        .filter(|(_, connection)| connection.metro == metro)
        .filter_map(|(place, connection)| {
            let seen = connection.routes.get(&prefix)?;
            seen.unusable
                .is_none()
                .then_some((place, &seen.route.as_path))
        })
        .collect();
    let shortest = routes.iter().map(|(_, path)| path.length()).min();
    let best = routes
        .into_iter()
        .filter(|(_, path)| Some(path.length()) == shortest);
    best.map(|(connection, path)| Hop {
        connection,
        as_path: path.to_string(),
    })
    .collect()
}

fn announces(observed: &Observed, place: usize, prefix: Ipv4Net) -> bool {
    let seen = observed.connections[place].routes.get(&prefix);
    seen.is_some_and(|seen| seen.unusable.is_none())
}

fn origin(observed: &Observed, place: usize, prefix: Ipv4Net) -> Option<u32> {
    let seen = observed.connections[place].routes.get(&prefix)?;
    let route = seen.unusable.is_none().then_some(&seen.route)?;
    route.as_path.origin()
}

fn event(name: &str, level: &str, prefix: Ipv4Net, summary: &str, description: String) -> Fact {
    Fact::Event {
        event: name.to_owned(),
        level: level.to_owned(),
        subject: prefix.to_string(),
        summary: summary.to_owned(),
        description,
    }
}

#[cfg(test)]
mod tests;
