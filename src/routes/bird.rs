//! Text of BIRD 2: `birdc show route all`, also with `protocol X`, `filtered`, `import table X.ipv4`, `export X`,
//! `export table X.ipv4`.
//!
//! A route that BIRD received is told with the next hop and the neighbour it came from, and with the neighbour's AS in
//! its path. What BIRD would send (`export`) is shown before BIRD adds its own AS; only `export table` says by itself
//! that it is such.

use std::str;

use ipnet::Ipv4Net;

use super::tables::{Direction, Dump, Session, Tables};
use super::{Format, ReadError, words};
use crate::provider::observed::Seen;

/// Whether these bytes are such text.
pub fn is_it(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(4096)];
    let start = String::from_utf8_lossy(start);
    start
        .lines()
        .any(|line| line.starts_with("Table ") && line.ends_with(':'))
        || start.starts_with("BIRD ")
        || start
            .lines()
            .next()
            .is_some_and(|line| Head::read(line, None).is_some())
}

/// The line a route begins with: `203.0.113.0/24  unicast [ams_1 21:55:01.414 from 192.0.2.9] * (100) [AS64500i]`.
#[derive(Debug)]
struct Head {
    prefix: Ipv4Net,
    protocol: String,
    from: Option<std::net::Ipv4Addr>,
    best: bool,
}

impl Head {
    /// Reads the line; a line that begins with a space is another route to `before`.
    fn read(line: &str, before: Option<Ipv4Net>) -> Option<Head> {
        if line.starts_with('\t') {
            return None;
        }
        let (front, rest) = line.split_once('[')?;
        let (inside, after) = rest.split_once(']')?;
        let mut words = front.split_whitespace();
        let prefix = match line.starts_with(' ') {
            true => before?,
            false => words.next()?.parse::<Ipv4Net>().ok()?.trunc(),
        };
        words.next()?;
        let mut inside = inside.split_whitespace();
        let protocol = inside.next()?.to_owned();
        let from = inside.skip_while(|word| *word != "from").nth(1);
        Some(Head {
            prefix,
            protocol,
            from: from.and_then(words::address),
            best: after.trim_start().starts_with('*'),
        })
    }
}

/// A route while its lines are read.
#[derive(Debug)]
struct Route {
    head: Head,
    line: usize,
    via: Option<std::net::Ipv4Addr>,
    next_hop: Option<std::net::Ipv4Addr>,
    path: Option<String>,
    /// Standard, large and extended ones, in the order in which the project writes them.
    communities: [Vec<String>; 3],
    med: Option<u32>,
    attributes: bool,
}

impl Route {
    fn new(head: Head, line: usize) -> Route {
        Route {
            head,
            line,
            via: None,
            next_hop: None,
            path: None,
            communities: Default::default(),
            med: None,
            attributes: false,
        }
    }

    /// An attribute's line, without its tab.
    fn attribute(&mut self, line: &str) {
        if let Some(via) = line.strip_prefix("via ") {
            self.via = via.split_whitespace().next().and_then(words::address);
            return;
        }
        let Some((name, value)) = line.split_once(':') else {
            return;
        };
        let value = value.trim();
        // BIRD 3 writes `bgp_path`, BIRD 2 `BGP.as_path`.
        let name = name.trim_start_matches("BGP.").trim_start_matches("bgp_");
        self.attributes = true;
        match name {
            "as_path" | "path" => self.path = Some(value.to_owned()),
            "next_hop" => self.next_hop = value.split_whitespace().next().and_then(words::address),
            "med" => self.med = value.parse().ok(),
            "community" => self.communities[0].extend(words::bird_communities(value)),
            "large_community" => self.communities[1].extend(words::bird_communities(value)),
            "ext_community" => self.communities[2].extend(words::bird_communities(value)),
            _ => {}
        }
    }
}

/// Reads the text.
pub fn read(bytes: &[u8], wanted: &dyn Fn(&Session) -> bool) -> Result<Dump, ReadError> {
    let wrong = |line: usize, what: String| ReadError::Line {
        format: Format::Bird,
        line,
        what,
    };
    let text = str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(line, "this is no text".to_owned())
    })?;
    let mut reader = Reader {
        tables: Tables::new(wanted),
        table: String::new(),
    };
    let mut route: Option<Route> = None;
    let mut short = false;
    let mut lines = text.lines().enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_end();
        if let Some(name) = line
            .strip_prefix("Table ")
            .and_then(|rest| rest.strip_suffix(':'))
        {
            short |= reader.finish(route.take());
            name.clone_into(&mut reader.table);
            continue;
        }
        if let Some(head) = Head::read(line, route.as_ref().map(|route| route.head.prefix)) {
            short |= reader.finish(route.take());
            route = Some(Route::new(head, number + 1));
            continue;
        }
        let (Some(route), Some(attribute)) = (&mut route, line.strip_prefix('\t')) else {
            continue;
        };
        // A long value goes on in lines with two tabs.
        let mut attribute = attribute.to_owned();
        while let Some((_, more)) = lines.next_if(|(_, next)| next.starts_with("\t\t")) {
            attribute.push_str(more.trim_start_matches('\t').trim_end());
        }
        route.attribute(&attribute);
    }
    short |= reader.finish(route.take());
    if short {
        return Err(ReadError::Short("birdc show route all"));
    }
    Ok(reader.tables.finish(Format::Bird))
}

struct Reader<'w> {
    tables: Tables<'w>,
    /// The table the routes are of, as BIRD calls it.
    table: String,
}

impl Reader<'_> {
    /// Puts a route where it belongs; true when its line has nothing below it, as without `all`.
    fn finish(&mut self, route: Option<Route>) -> bool {
        let Some(route) = route else {
            return false;
        };
        if !route.attributes {
            return true;
        }
        let path = route.path.as_deref().unwrap_or_default();
        let Some(as_path) = words::path(path) else {
            let (prefix, line) = (route.head.prefix, route.line);
            self.tables.note(|| {
                format!("the route to {prefix} at line {line} is left out: `{path}` is no AS path")
            });
            return false;
        };
        let seen = words::seen(as_path, route.communities.concat(), route.med);
        let sent = Session {
            direction: Direction::Sent,
            ..Session::default()
        };
        let own = Session {
            direction: Direction::Own,
            ..Session::default()
        };
        let peer = route.head.from.or(route.next_hop).or(route.via);
        // Tables of BIRD have names of letters; these two are made up by BIRD for what they are.
        if self.table == "export" {
            self.put(sent, false, &route, &seen);
            return false;
        }
        if let Some(peer) = peer {
            self.put(Session::received_from(peer), true, &route, &seen);
        } else if route.path.is_some() && self.table == "import" {
            let received = Session {
                name: Some(route.head.protocol.clone()),
                ..Session::default()
            };
            self.put(received, true, &route, &seen);
        }
        if route.head.best && self.table != "import" {
            self.put(own, false, &route, &seen);
        }
        false
    }

    fn put(&mut self, session: Session, own_as: bool, route: &Route, seen: &Seen) {
        let place = self.tables.open(session).0;
        self.tables.at(place).own_as = own_as;
        self.tables
            .insert(place, route.head.prefix, || Some(seen.clone()));
    }
}
