//! JSON of birdwatcher (`/routes/protocol/X`) and of Alice (`/api/v1/routeservers/X/neighbors/Y/routes/received`).
//!
//! Both show what BIRD received: the session is the address a route was learned from, else its gateway.

use ipnet::Ipv4Net;
use serde::Deserialize;
use serde_json::Value;

use super::tables::{Dump, Session, Tables};
use super::{Format, ReadError, contains, words};
use crate::provider::observed::Seen;

/// Whether these bytes are such JSON.
pub fn is_it(text: &[u8]) -> bool {
    let start = &text[..text.len().min(1 << 16)];
    [
        "\"from_protocol\"",
        "\"as_path\"",
        "\"large_communities\"",
        "\"imported\"",
        "\"not_exported\"",
        "\"routes_imported\"",
    ]
    .iter()
    .any(|key| contains(start, key.as_bytes()))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    routes: Option<Vec<Route>>,
    imported: Option<Routes>,
    filtered: Option<Routes>,
    received: Option<Routes>,
}

/// Alice pages its answers; before it did, there were plain lists.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Routes {
    Page { routes: Vec<Route> },
    Plain(Vec<Route>),
}

#[derive(Debug, Deserialize)]
struct Route {
    network: String,
    #[serde(default)]
    gateway: Option<String>,
    #[serde(default)]
    learnt_from: Option<String>,
    #[serde(default)]
    from_protocol: Option<String>,
    #[serde(default)]
    bgp: Bgp,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Bgp {
    as_path: Vec<Value>,
    communities: Option<Vec<Vec<Value>>>,
    large_communities: Option<Vec<Vec<Value>>>,
    ext_communities: Option<Vec<Vec<Value>>>,
    med: Value,
}

/// Reads an answer.
pub fn read(bytes: &[u8], wanted: &dyn Fn(&Session) -> bool) -> Result<Dump, ReadError> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|source| ReadError::Json {
        format: Format::Birdwatcher,
        source,
    })?;
    let Answer {
        routes,
        imported,
        filtered,
        received,
    } = answer;
    if routes.is_none() && imported.is_none() && filtered.is_none() && received.is_none() {
        return Err(ReadError::NoRoutes(
            "use birdwatcher's `/routes/protocol/NAME`, or Alice's `…/neighbors/NAME/routes/received`",
        ));
    }
    let mut tables = Tables::new(wanted);
    let pages = [imported, filtered, received].into_iter().flatten();
    let pages = pages.flat_map(|routes| match routes {
        Routes::Page { routes } | Routes::Plain(routes) => routes,
    });
    for route in routes.into_iter().flatten().chain(pages) {
        let Ok(prefix) = route.network.parse::<Ipv4Net>() else {
            continue;
        };
        let from = [&route.learnt_from, &route.gateway];
        let peer = from
            .into_iter()
            .flatten()
            .find_map(|text| words::address(text));
        let session = Session {
            name: match peer {
                Some(_) => None,
                None => route.from_protocol.clone(),
            },
            peer,
            ..Session::default()
        };
        let place = tables.open(session).0;
        let mut fault = None;
        tables.insert(place, prefix.trunc(), || {
            let seen = seen(&route.bgp);
            fault = seen.is_none().then(|| format!("{:?}", route.bgp.as_path));
            seen
        });
        if let Some(path) = fault {
            tables.note(|| format!("the route to {prefix} is left out: {path} is no AS path"));
        }
    }
    Ok(tables.finish(Format::Birdwatcher))
}

fn seen(bgp: &Bgp) -> Option<Seen> {
    let words: Vec<String> = bgp.as_path.iter().map(word).collect();
    let as_path = words::path(&words.join(" "))?;
    let tuples = [
        &bgp.communities,
        &bgp.large_communities,
        &bgp.ext_communities,
    ];
    let communities = tuples.into_iter().flatten().flatten().map(|tuple| {
        let parts: Vec<String> = tuple.iter().map(word).collect();
        words::tuple_of(parts.iter().map(String::as_str))
    });
    let med = word(&bgp.med).parse().ok();
    Some(words::seen(as_path, communities.collect(), med))
}

/// A number or a text, whichever it is: birdwatcher writes texts, Alice numbers.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
