//! FRR's JSON: `show bgp ipv4 unicast [json|json detail]`, `… PREFIX json`, and of a neighbour `received-routes`,
//! `advertised-routes` and `routes`.
//!
//! | output | whose routes | communities | the sender's AS in the path |
//! |---|---|---|---|
//! | `show bgp ipv4 unicast json`, `… neighbors X routes json` | by neighbour, after import policy; best ones | no | of neighbours yes |
//! | `show bgp ipv4 unicast json detail`, `… PREFIX json` | the same | yes | of neighbours yes |
//! | `… neighbors X received-routes json` | the neighbour's, before policy | no | yes |
//! | `… neighbors X advertised-routes json` | what X is sent | no | no: FRR adds it on the way out |
//!
//! With `detail`, which newer versions know for a neighbour's routes too, communities are shown.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use serde::Deserialize;
use serde_json::Value;

use super::tables::{Direction, Dump, Session, Tables};
use super::{Format, ReadError, words};
use crate::provider::observed::Seen;

/// Whether this is what `show bgp` prints for people, which has no attributes.
pub fn is_text(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BGP table version is") || bytes.starts_with(b"BGP routing table entry")
}

/// An output. Which keys are there tells which it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Output {
    #[serde(rename = "localAS")]
    local_as: Value,
    routes: Option<Networks>,
    received_routes: Option<Networks>,
    advertised_routes: Option<Networks>,
    prefix: Option<String>,
    paths: Option<Vec<Path>>,
}

type Networks = BTreeMap<String, Network>;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Network {
    Paths(Vec<Path>),
    Detail { paths: Vec<Path> },
    One(Box<Path>),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Path {
    path: Option<String>,
    aspath: Option<Text>,
    community: Option<Text>,
    large_community: Option<Text>,
    extended_community: Option<Text>,
    metric: Option<u32>,
    #[serde(default)]
    bestpath: Value,
    peer_id: Option<String>,
    peer: Option<Peer>,
    next_hop: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Text {
    string: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peer {
    peer_id: Option<String>,
}

impl Output {
    fn has_routes(&self) -> bool {
        self.routes.is_some()
            || self.received_routes.is_some()
            || self.advertised_routes.is_some()
            || self.paths.is_some()
    }
}

impl Network {
    fn paths(&self) -> &[Path] {
        match self {
            Network::Paths(paths) | Network::Detail { paths } => paths,
            Network::One(path) => std::slice::from_ref(path),
        }
    }
}

impl Path {
    /// The header that `json detail` puts before a prefix's paths is no path.
    fn is_route(&self) -> bool {
        self.path.is_some() || self.aspath.is_some()
    }

    fn is_best(&self) -> bool {
        match &self.bestpath {
            Value::Bool(best) => *best,
            Value::Object(best) => best.get("overall").and_then(Value::as_bool) == Some(true),
            _ => false,
        }
    }

    fn peer(&self) -> Option<&str> {
        let nested = self.peer.as_ref().and_then(|peer| peer.peer_id.as_deref());
        nested.or(self.peer_id.as_deref())
    }

    fn seen(&self) -> Result<Seen, String> {
        let text = match (&self.aspath, &self.path) {
            (Some(text), _) => &text.string,
            (None, Some(path)) => path,
            (None, None) => return Err("there is no AS path".to_owned()),
        };
        let as_path = words::path(text).ok_or_else(|| format!("`{text}` is no AS path"))?;
        let of = |text: &Option<Text>| text.as_ref().map_or("", |text| &text.string).to_owned();
        let (standard, large) = (of(&self.community), of(&self.large_community));
        let extended = of(&self.extended_community);
        let communities = words::frr_communities(&standard)
            .chain(words::frr_communities(&large))
            .chain(words::frr_extended(&extended))
            .collect();
        Ok(words::seen(as_path, communities, self.metric))
    }
}

/// Reads one output, or several below the names of address families or VRFs.
pub fn read(bytes: &[u8], wanted: &dyn Fn(&Session) -> bool) -> Result<Dump, ReadError> {
    let json = |source| ReadError::Json {
        format: Format::Frr,
        source,
    };
    let mut reader = Reader {
        tables: Tables::new(wanted),
    };
    let output: Output = serde_json::from_slice(bytes).map_err(json)?;
    if output.has_routes() {
        reader.output(output);
        return Ok(reader.tables.finish(Format::Frr));
    }
    let nested: BTreeMap<String, Value> = serde_json::from_slice(bytes).map_err(json)?;
    let outputs: Vec<Output> = nested
        .into_values()
        .filter_map(|value| serde_json::from_value(value).ok())
        .filter(Output::has_routes)
        .collect();
    if outputs.is_empty() {
        return Err(ReadError::NoRoutes(
            "use `show bgp ipv4 unicast json detail`, or `show bgp ipv4 unicast neighbors ADDRESS received-routes json`",
        ));
    }
    for output in outputs {
        reader.output(output);
    }
    Ok(reader.tables.finish(Format::Frr))
}

struct Reader<'w> {
    tables: Tables<'w>,
}

impl Reader<'_> {
    fn output(&mut self, output: Output) {
        let local_asn = match &output.local_as {
            Value::Number(number) => number.as_u64().and_then(|asn| u32::try_from(asn).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        if let Some(networks) = &output.received_routes {
            self.neighbour(networks, Direction::Received, local_asn);
        }
        if let Some(networks) = &output.advertised_routes {
            self.neighbour(networks, Direction::Sent, local_asn);
        }
        for (prefix, network) in output.routes.iter().flatten() {
            self.network(prefix, network.paths(), local_asn);
        }
        if let (Some(prefix), Some(paths)) = (&output.prefix, &output.paths) {
            self.network(prefix, paths, local_asn);
        }
    }

    /// Adj-RIB-In or Adj-RIB-Out of a neighbour, which the output does not name. What a neighbour of another AS sends has
    /// its own address as next hop, as a rule.
    fn neighbour(&mut self, networks: &Networks, direction: Direction, local_asn: Option<u32>) {
        let mut hops = networks
            .values()
            .flat_map(Network::paths)
            .map(|path| path.next_hop.as_deref());
        let first = hops.next().flatten();
        let same = first.filter(|_| hops.all(|hop| hop == first));
        let peer = match direction {
            Direction::Received => same.and_then(words::address),
            _ => None,
        };
        if let Some(peer) = peer {
            self.tables.note(|| {
                format!("the output does not name the neighbour; {peer} is the next hop of all its routes")
            });
        }
        let place = self
            .tables
            .open(Session {
                peer,
                local_asn,
                direction,
                ..Session::default()
            })
            .0;
        self.tables.at(place).own_as = direction == Direction::Received;
        for (prefix, network) in networks {
            let Some(path) = network.paths().iter().find(|path| path.is_route()) else {
                continue;
            };
            self.route(place, prefix, path);
        }
    }

    /// The paths of a table: by neighbour, and the best one as the router's own.
    fn network(&mut self, prefix: &str, paths: &[Path], local_asn: Option<u32>) {
        for path in paths.iter().filter(|path| path.is_route()) {
            if let Some(peer) = path.peer().and_then(words::address) {
                let place = self.tables.open(Session::received_from(peer)).0;
                self.tables.at(place).after_policy = true;
                self.route(place, prefix, path);
            }
            if path.is_best() {
                let own = Session {
                    local_asn,
                    direction: Direction::Own,
                    ..Session::default()
                };
                let place = self.tables.open(own).0;
                self.tables.at(place).own_as = false;
                self.route(place, prefix, path);
            }
        }
    }

    fn route(&mut self, place: usize, prefix: &str, path: &Path) {
        let Ok(prefix) = prefix.parse::<Ipv4Net>() else {
            return;
        };
        // Only the detailed form has an object here.
        self.tables.at(place).communities &= path.aspath.is_some();
        let mut fault = None;
        self.tables.insert(place, prefix.trunc(), || {
            path.seen().map_err(|what| fault = Some(what)).ok()
        });
        if let Some(what) = fault {
            self.tables
                .note(|| format!("the route to {prefix} is left out: {what}"));
        }
    }
}
