//! The checks over every boundary, the life of the two objects, and a search against a second statement of the rules.

mod asns;
mod gates;
mod life;
mod naive;
mod origins;
mod registered;
mod remedies;
mod search;
mod service;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::provider::observed::{Observed, Seen};
use crate::provider::received::ReceivedRoute;
use crate::provider::registries::Registries;
use crate::provider::{Key, Request};
use crate::record::Severity;
use crate::source::Source;
use crate::topology::{self, PeerAsn, Policy, Topology};

/// Two metros with two connections each, and services with and without a backup location.
const TOPOLOGY: &str = r#"
profile = "voice"
documentation-numbers = "public"
[peer]
name = "Contoso Voice"
asn = 64500
[metro.amsterdam]
[metro.frankfurt]
[router.ams-pe-1]
metro = "amsterdam"
[router.ams-pe-2]
metro = "amsterdam"
[router.fra-pe-1]
metro = "frankfurt"
[router.fra-pe-2]
metro = "frankfurt"
[connection.ams-1]
router = "ams-pe-1"
edge = "ams-edge-1"
bandwidth = "10Gbps"
ipv4 = "192.0.2.0/31"
[connection.ams-2]
router = "ams-pe-2"
edge = "ams-edge-2"
bandwidth = "10Gbps"
ipv4 = "192.0.2.2/31"
[connection.fra-1]
router = "fra-pe-1"
edge = "fra-edge-1"
bandwidth = "10Gbps"
ipv4 = "192.0.2.4/31"
[connection.fra-2]
router = "fra-pe-2"
edge = "fra-edge-2"
bandwidth = "10Gbps"
ipv4 = "192.0.2.6/31"
[endpoint.sbc]
prefix = "198.51.100.0/24"
address = "198.51.100.10"
behind = ["ams-pe-1", "ams-pe-2", "fra-pe-1", "fra-pe-2"]
[service.local]
primary = "amsterdam"
[service.geo]
primary = "amsterdam"
backup = "frankfurt"
"#;

/// Places of the connections.
const AMS_1: usize = 0;
const AMS_2: usize = 1;
const FRA_1: usize = 2;
const FRA_2: usize = 3;
const ALL: [usize; 4] = [AMS_1, AMS_2, FRA_1, FRA_2];

/// A provider and what it rests on, which a test changes as it likes.
#[derive(Debug, Clone)]
struct World {
    topology: Arc<Topology>,
    observed: Observed,
    standing: Vec<Standing>,
    peer_asns: Vec<PeerAsn>,
    registries: Registries,
    policy: Policy,
    healthy: bool,
    devices: BTreeMap<String, DeviceKind>,
    prefixes: Prefixes,
    now: At,
    facts: Vec<Fact>,
}

fn net(text: &str) -> Ipv4Net {
    text.parse().expect(text)
}

/// A route as `PATH | COMMUNITIES`.
fn route(text: &str) -> ReceivedRoute {
    let (path, communities) = text.split_once('|').expect(text);
    ReceivedRoute {
        as_path: path.trim().parse().expect(path),
        communities: communities.split_whitespace().map(str::to_owned).collect(),
        med: None,
    }
}

/// A route as it should be.
const GOOD: &str = "64500 | 8075:8007";

impl World {
    fn new() -> World {
        World::of(TOPOLOGY)
    }

    fn of(text: &str) -> World {
        let topology = topology::parse(&Source::new("two-metros.toml", text));
        let topology = Arc::new(topology.unwrap_or_else(|wrong| panic!("{wrong:#?}")));
        World {
            observed: Observed::new(&topology),
            standing: vec![Standing::ACTIVE; topology.connections.len()],
            peer_asns: vec![PeerAsn {
                asn: 64500,
                name: "contoso".to_owned(),
                peer_name: "Contoso Voice".to_owned(),
            }],
            registries: Registries::default(),
            policy: Policy::default(),
            healthy: true,
            devices: BTreeMap::new(),
            prefixes: Prefixes::new(),
            now: At::ZERO,
            facts: Vec::new(),
            topology,
        }
    }

    /// Calls the prefixes with the ground as it is now, and keeps what they tell.
    fn act<T>(&mut self, act: impl FnOnce(&mut Prefixes, At, &Ground<'_>) -> T) -> T {
        let ground = Ground {
            topology: &self.topology,
            observed: &self.observed,
            standing: &self.standing,
            peer_asns: &self.peer_asns,
            registries: &self.registries,
            policy: &self.policy,
            healthy: self.healthy,
            devices: &self.devices,
        };
        let result = act(&mut self.prefixes, self.now, &ground);
        while let Some(fact) = self.prefixes.poll() {
            self.facts.push(fact);
        }
        result
    }

    fn request(&mut self, request: Request) {
        self.act(|prefixes, now, ground| prefixes.request(now, ground, &request));
    }

    fn register(&mut self, prefix: &str) {
        self.register_with(prefix, "amsterdam");
    }

    fn register_with(&mut self, prefix: &str, peering: &str) {
        self.request(Request::Register {
            prefix: prefix.to_owned(),
            peering: Some(peering.to_owned()),
        });
    }

    fn activate(&mut self, prefix: &str, service: &str, key: Key) {
        self.request(Request::Activate {
            prefix: prefix.to_owned(),
            service: Some(service.to_owned()),
            key,
            provider: None,
        });
    }

    /// A route comes, or goes.
    fn route(&mut self, place: usize, prefix: &str, text: Option<&str>) {
        let prefix = net(prefix);
        let routes = &mut self.observed.connections[place].routes;
        match text {
            Some(text) => {
                let route = Arc::new(route(text));
                let unusable = route.as_path.has_set().then(|| "as-set".to_owned());
                routes.insert(prefix, Seen { route, unusable });
            }
            None => drop(routes.remove(&prefix)),
        }
        self.act(|prefixes, now, ground| {
            prefixes.changed(now, ground, Changed::Route(place, prefix));
        });
    }

    fn announce(&mut self, places: &[usize], prefix: &str, text: &str) {
        for place in places {
            self.route(*place, prefix, Some(text));
        }
    }

    /// Lets time pass until nothing is due.
    fn settle(&mut self) {
        while let Some(at) = self.prefixes.deadline() {
            self.now = self.now.max(at);
            self.act(|prefixes, now, ground| prefixes.due(now, ground));
        }
    }

    fn registered(&self, prefix: &str) -> &Object {
        let mut found = self.prefixes.registered();
        found.find(|object| object.text == prefix).expect(prefix)
    }

    fn service(&self, prefix: &str) -> &Object {
        let mut found = self.prefixes.services();
        found.find(|object| object.text == prefix).expect(prefix)
    }

    /// State of a registered prefix, and the reasons for which it fails, with their connections.
    fn judged(&mut self, prefix: &str) -> (ValidationState, Vec<String>) {
        self.settle();
        let object = self.registered(prefix);
        (object.state, words(object, Severity::Fail))
    }

    fn judged_service(&mut self, prefix: &str) -> (ValidationState, Vec<String>) {
        self.settle();
        let object = self.service(prefix);
        (object.state, words(object, Severity::Fail))
    }
}

/// Reasons of one severity, as `reason@connection`.
fn words(object: &Object, severity: Severity) -> Vec<String> {
    let failures = object
        .failures
        .iter()
        .filter(|failure| failure.severity == severity);
    failures
        .map(|failure| match &failure.connection {
            Some(connection) => format!("{}@{connection}", failure.reason),
            None => failure.reason.clone(),
        })
        .collect()
}
