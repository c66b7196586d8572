//! Tables of sessions, and how messages fold into them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::Format;
use super::update::Heard;
use crate::provider::observed::Seen;

/// What a file has.
#[derive(Debug)]
pub struct Dump {
    /// How it is written.
    pub format: Format,
    /// Its tables, in the order in which they appear.
    pub tables: Vec<Table>,
    /// What the reader wants to be known: messages it could not use, what it put right, what the form cannot tell.
    pub notes: Vec<String>,
}

/// The routes of a session in one direction, or of a whole router.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The session.
    pub session: Session,
    /// The routes; none where the session was not wanted.
    pub routes: HashMap<Ipv4Net, Seen>,
    /// How many routes were seen, where the session was not wanted.
    pub passed_over: usize,
    /// The session was up when the file ended, as far as the file tells.
    pub up: bool,
    /// The form shows communities.
    pub communities: bool,
    /// The form shows paths with the AS of the one who sends them. If not, a router prepends it on the way out.
    pub own_as: bool,
    /// The routes are those that import policy let in.
    pub after_policy: bool,
}

/// A session, as far as a file tells which it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Session {
    /// A connection, a protocol of BIRD, or an address that is not IPv4.
    pub name: Option<String>,
    /// The neighbour's address.
    pub peer: Option<Ipv4Addr>,
    /// The router's own address.
    pub local: Option<Ipv4Addr>,
    /// The router's own AS.
    pub local_asn: Option<u32>,
    /// Which way the routes went.
    pub direction: Direction,
}

/// Which way routes went, seen from the router that tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// It received them: Adj-RIB-In.
    #[default]
    Received,
    /// It sent them: Adj-RIB-Out.
    Sent,
    /// It has them, from wherever: Loc-RIB.
    Own,
}

impl Session {
    /// Received from a neighbour.
    pub fn received_from(peer: Ipv4Addr) -> Session {
        Session {
            peer: Some(peer),
            ..Session::default()
        }
    }

    /// How it is called in a sentence.
    pub fn words(&self) -> String {
        let with = match (&self.name, self.peer, self.local) {
            (_, Some(peer), Some(local)) => format!("{peer} (at {local})"),
            (_, Some(peer), None) => peer.to_string(),
            (Some(name), None, _) => name.clone(),
            (None, None, Some(local)) => format!("a neighbour of {local}"),
            (None, None, None) => "an unnamed neighbour".to_owned(),
        };
        match self.direction {
            Direction::Received => format!("received from {with}"),
            Direction::Sent => format!("sent to {with}"),
            Direction::Own => match self.local_asn {
                Some(asn) => format!("the table of AS{asn}'s router itself"),
                None => "the router's own table".to_owned(),
            },
        }
    }
}

impl Table {
    fn new(session: Session) -> Table {
        Table {
            session,
            routes: HashMap::new(),
            passed_over: 0,
            up: true,
            communities: true,
            own_as: true,
            after_policy: false,
        }
    }

    /// The session is gone, and its routes with it.
    pub fn clear(&mut self) {
        self.routes.clear();
        self.up = false;
    }
}

/// Tables while a file is read.
pub struct Tables<'a> {
    wanted: &'a dyn Fn(&Session) -> bool,
    places: HashMap<Session, usize>,
    tables: Vec<(Table, bool)>,
    notes: Vec<String>,
    ipv6: u64,
}

impl<'a> Tables<'a> {
    /// None yet.
    pub fn new(wanted: &'a dyn Fn(&Session) -> bool) -> Tables<'a> {
        Tables {
            wanted,
            places: HashMap::new(),
            tables: Vec::new(),
            notes: Vec::new(),
            ipv6: 0,
        }
    }

    /// A record of IPv6 is passed over.
    pub fn pass_over_ipv6(&mut self) {
        self.ipv6 += 1;
    }

    /// The place of a recorded session's table: where a table dump began it, it goes on.
    pub fn resume(&mut self, session: Session) -> usize {
        let begun = Session {
            local: None,
            local_asn: None,
            ..session.clone()
        };
        match self.places.get(&begun) {
            Some(place) => *place,
            None => self.open(session).0,
        }
    }

    /// The place of a session's table, and whether its routes are wanted.
    pub fn open(&mut self, session: Session) -> (usize, bool) {
        match self.places.entry(session) {
            Entry::Occupied(entry) => {
                let place = *entry.get();
                (place, self.tables[place].1)
            }
            Entry::Vacant(entry) => {
                let table = Table::new(entry.key().clone());
                let wanted = (self.wanted)(entry.key());
                self.tables.push((table, wanted));
                entry.insert(self.tables.len() - 1);
                (self.tables.len() - 1, wanted)
            }
        }
    }

    /// The table at a place.
    pub fn at(&mut self, place: usize) -> &mut Table {
        &mut self.tables[place].0
    }

    /// Puts a route, if there is one, into a table; of an unwanted table it only counts it.
    pub fn insert(&mut self, place: usize, prefix: Ipv4Net, seen: impl FnOnce() -> Option<Seen>) {
        let (table, wanted) = &mut self.tables[place];
        match wanted {
            true => table.routes.extend(seen().map(|seen| (prefix, seen))),
            false => table.passed_over += 1,
        }
    }

    /// Works an UPDATE in.
    pub fn fold(&mut self, place: usize, heard: Heard) {
        let (table, wanted) = &mut self.tables[place];
        table.up = true;
        if !*wanted {
            table.passed_over += heard.announced.len();
            return;
        }
        for prefix in heard.withdrawn {
            table.routes.remove(&prefix);
        }
        if let Some(seen) = heard.seen {
            for prefix in heard.announced {
                table.routes.insert(prefix, seen.clone());
            }
        }
    }

    /// Something to be known; the first hundred are kept.
    pub fn note(&mut self, note: impl FnOnce() -> String) {
        match self.notes.len() {
            0..100 => self.notes.push(note()),
            100 => self.notes.push("more of this kind is not told".to_owned()),
            _ => {}
        }
    }

    /// Everything is read.
    pub fn finish(mut self, format: Format) -> Dump {
        let ipv6 = std::mem::take(&mut self.ipv6);
        if ipv6 > 0 {
            self.note(|| {
                format!(
                    "IPv6 is passed over ({ipv6} records): registered and Peering Service prefixes are IPv4 alone"
                )
            });
        }
        Dump {
            format,
            tables: self.tables.into_iter().map(|(table, _)| table).collect(),
            notes: self.notes,
        }
    }
}
