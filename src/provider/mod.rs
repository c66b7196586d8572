//! The Microsoft side's control plane: what it makes of a peer's connections and prefixes.
//!
//! It hears what the lab's edges observed, and concludes as the portal would: which connections are active, which
//! prefixes are verified, and why one was refused. Sources and certainty of every rule are those of
//! [`crate::conformance::SOURCES`]; where Microsoft's documents contradict each other a switch says which reading holds.
//!
//! Reading order: `observed.rs` (what it knows), `request.rs` (what is asked of it), `onboarding/` (connections),
//! `prefixes/` (registered and Peering Service prefixes), `events.rs`, `routing.rs` (what the edges do because of it).
//!
//! **Invariant:** no clock, no I/O; nothing is concluded from a declaration that could have been observed.

pub mod arm;
pub mod events;
mod limits;
pub mod names;
pub mod observed;
pub mod onboarding;
pub mod prefixes;
pub mod reason;
pub mod received;
pub mod registries;
mod remedy;
mod request;
pub mod routing;
mod utilisation;

pub use request::{AsnAction, ConnectionAction, Key, PeeringAction, PeeringRequest, Request};

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ipnet::Ipv4Net;

use self::events::Events;
use self::observed::{Change, Observed};
use self::onboarding::Onboarding;
use self::prefixes::{Changed, DeviceKind, Ground, Prefixes, Standing};
use self::registries::Registries;
use self::utilisation::Utilisation;
use crate::bgp::policy;
use crate::record::Fact;
use crate::time::At;
use crate::topology::{NamedPolicies, Service, Topology};

/// The Microsoft side.
#[derive(Debug, Clone)]
pub struct Provider {
    topology: Arc<Topology>,
    observed: Observed,
    onboarding: Onboarding,
    prefixes: Prefixes,
    events: Events,
    utilisation: Utilisation,
    /// The Peering Service prefixes whose events are told, with their services.
    told: BTreeMap<Ipv4Net, String>,
    registries: Registries,
    healthy: bool,
    /// The registries, or the names of policies, changed since the edges' policies were made.
    stale: bool,
    devices: BTreeMap<String, DeviceKind>,
    standing: Vec<Standing>,
    /// Policies in the place of the profile's, on connections.
    chosen: BTreeMap<String, NamedPolicies>,
    /// What the policies of each connection were last made from.
    routing: Vec<Option<routing::Inputs>>,
    outputs: VecDeque<Output>,
}

/// What the Microsoft side hears.
#[derive(Debug)]
pub enum Input<'a> {
    /// A fact of the record. Its own it passes over.
    Fact(&'a Fact),
    /// A request of the peer, or a decision of Microsoft's people.
    Request(&'a Request),
    /// The registries say something else, or nothing any more.
    Registries(Registries),
    /// The edges have another policy on these connections, for what they receive or for what they announce.
    Policy {
        /// Connections.
        connections: &'a [String],
        /// For what is received.
        import: bool,
        /// One of [`Topology::policies`].
        name: &'a str,
    },
    /// [`Provider::deadline`] has come.
    Deadline,
}

/// What the Microsoft side wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// For the record.
    Fact(Fact),
    /// What an edge accepts from the peer on a connection, and what it announces there.
    Policy {
        /// Connection.
        connection: String,
        /// Accepted.
        import: policy::Policy,
        /// Announced.
        export: policy::Policy,
    },
    /// Microsoft's port of a connection has light, or none.
    Port {
        /// Connection.
        connection: String,
        /// Light.
        lit: bool,
    },
    /// Microsoft's router runs BGP on a connection, or does not.
    Session {
        /// Connection.
        connection: String,
        /// Whether.
        run: bool,
    },
}

impl Provider {
    /// A Microsoft side to which nothing was ever reported: with `onboarded`, everything of the topology was approved,
    /// registered and activated in the past; without, nothing exists. `devices` says what plays the peer's routers.
    pub fn new(
        topology: &Topology,
        onboarded: bool,
        registries: Registries,
        devices: BTreeMap<String, DeviceKind>,
    ) -> Provider {
        let onboarding = match onboarded {
            true => Onboarding::onboarded(topology),
            false => Onboarding::new(topology),
        };
        let chosen = topology.connections.iter();
        let chosen = chosen.map(|c| (c.name.clone(), c.edge_policies.clone()));
        let mut provider = Provider {
            observed: Observed::new(topology),
            onboarding,
            prefixes: Prefixes::new(),
            events: Events::default(),
            utilisation: Utilisation::default(),
            told: BTreeMap::new(),
            registries,
            healthy: true,
            stale: true,
            devices,
            standing: vec![Standing::NONE; topology.connections.len()],
            chosen: chosen.collect(),
            routing: vec![None; topology.connections.len()],
            outputs: VecDeque::new(),
            topology: Arc::new(topology.clone()),
        };
        if onboarded {
            provider.assume();
        }
        provider.conclude(At::ZERO);
        provider
    }

    /// Hears something.
    pub fn handle(&mut self, now: At, input: Input<'_>) {
        match input {
            Input::Fact(fact) => {
                let event = limits::event(&self.topology, &self.observed, fact);
                let (topology, observed) = (&self.topology, &self.observed);
                let busy = self.utilisation.hear(now, topology, observed, fact);
                self.outputs
                    .extend(event.into_iter().chain(busy).map(Output::Fact));
                let mut changes = self.observed.emptied(fact);
                changes.extend(self.observed.apply(fact));
                if changes.is_empty() {
                    return;
                }
                for change in changes {
                    self.take_in(now, &change);
                }
            }
            Input::Request(request) => {
                if let Request::Health(healthy) = request {
                    self.healthy = *healthy;
                    self.changed(now, Changed::Health);
                }
                self.onboarding.request(request);
                let (prefixes, ground) = self.parts();
                prefixes.request(now, &ground, request);
            }
            Input::Registries(registries) => {
                self.registries = registries;
                self.stale = true;
                self.changed(now, Changed::Registries);
            }
            Input::Policy {
                connections,
                import,
                name,
            } => self.choose(connections, import, name),
            Input::Deadline => {}
        }
        self.conclude(now);
    }

    /// Something observed is another than before.
    fn take_in(&mut self, now: At, change: &Change) {
        self.onboarding.observed(&self.observed, change);
        let events = self.events.changed(&self.observed, change);
        self.outputs.extend(events.into_iter().map(Output::Fact));
        match *change {
            Change::Link(_) => {}
            Change::Route(place, prefix) => self.changed(now, Changed::Route(place, prefix)),
            // What rests on routes is not known from here on: the judge hears it as everybody does.
            Change::Beyond(place, count) => {
                let connection = &self.observed.connections[place];
                self.outputs.push_back(Output::Fact(Fact::RoutesLeftOut {
                    router: connection.edge.clone(),
                    session: connection.name.clone(),
                    count,
                }));
            }
        }
    }

    /// When [`Input::Deadline`] is wanted.
    pub fn deadline(&self) -> Option<At> {
        self.prefixes.deadline()
    }

    /// The next thing to do, in order.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Registered and Peering Service prefixes, with their results.
    pub fn prefixes(&self) -> &Prefixes {
        &self.prefixes
    }

    /// What was observed.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// The edge of a connection.
    pub fn edge(&self, connection: &str) -> Option<&str> {
        let connection = self.observed.connection(connection)?;
        Some(&connection.edge)
    }

    /// A policy as a router of the peer understands it now.
    pub fn policy_of_peer(&self, name: &str) -> policy::Policy {
        routing::named_of_peer(&self.topology, name, self.registries.vrps())
    }

    fn choose(&mut self, connections: &[String], import: bool, name: &str) {
        for connection in connections {
            let chosen = self.chosen.entry(connection.clone()).or_default();
            let place = match import {
                true => &mut chosen.import,
                false => &mut chosen.export,
            };
            *place = Some(name.to_owned());
        }
        for (connection, last) in self.observed.connections.iter().zip(&mut self.routing) {
            if connections.contains(&connection.name) {
                *last = None;
            }
        }
        self.stale = true;
    }

    /// Everything of the topology was registered and activated in the past.
    fn assume(&mut self) {
        let topology = Arc::clone(&self.topology);
        let service = topology.services.first();
        let peering = match service {
            Some(service) => Some(service.primary.as_str()),
            None => topology.metros.first().map(|metro| metro.name.as_str()),
        };
        let Some(peering) = peering else { return };
        let (prefixes, ground) = self.parts();
        for endpoint in &topology.endpoints {
            let service = service.map(|service| service.name.as_str());
            prefixes.assume(&ground, endpoint.prefix, peering, service);
        }
    }

    /// Draws the conclusions from what was heard, until there are no more.
    fn conclude(&mut self, now: At) {
        let before = self.outputs.len();
        while let Some(output) = self.onboarding.poll() {
            self.outputs.push_back(output.into());
        }
        self.stand(now);
        let (prefixes, ground) = self.parts();
        prefixes.due(now, &ground);
        while let Some(fact) = self.prefixes.poll() {
            self.outputs.push_back(Output::Fact(fact));
        }
        // What nobody was told of changes neither what is watched nor what is routed.
        if self.outputs.len() > before || self.stale {
            self.stale = false;
            self.watch();
            self.route();
        }
    }

    /// Tells the events of the Peering Service prefixes there are, and of no others.
    fn watch(&mut self) {
        let objects = self.prefixes.services();
        let there: BTreeMap<Ipv4Net, String> = objects
            .filter_map(|object| Some((object.prefix?, object.parent().to_owned())))
            .collect();
        if there == self.told {
            return;
        }
        for (prefix, name) in &self.told {
            if there.get(prefix) != Some(name) {
                self.events.forget(*prefix);
            }
        }
        for (prefix, name) in &there {
            let services = &self.topology.services;
            let service = services.iter().find(|service| service.name == *name);
            if let Some(service) = service.filter(|_| self.told.get(prefix) != Some(name)) {
                let backup = service.backup.as_deref();
                let events = self
                    .events
                    .watch(*prefix, &service.primary, backup, &self.observed);
                self.outputs.extend(events.into_iter().map(Output::Fact));
            }
        }
        self.told = there;
    }

    /// How far the connections are, for the prefixes.
    fn stand(&mut self, now: At) {
        for place in 0..self.observed.connections.len() {
            let standing = self
                .onboarding
                .standing(&self.observed.connections[place].name);
            if std::mem::replace(&mut self.standing[place], standing) != standing {
                self.changed(now, Changed::Connection(place));
            }
        }
    }

    fn changed(&mut self, now: At, changed: Changed<'_>) {
        let (prefixes, ground) = self.parts();
        prefixes.changed(now, &ground, changed);
    }

    /// Gives the edges other policies where what they rest on has changed.
    fn route(&mut self) {
        let services = &self.topology.services;
        let activated: Vec<(Ipv4Net, &Service)> = self
            .prefixes
            .activated()
            .filter_map(|(prefix, name)| Some((prefix, services.iter().find(|s| s.name == name)?)))
            .collect();
        let vrps = self.registries.vrps();
        for (connection, last) in self.observed.connections.iter().zip(&mut self.routing) {
            let active = self.onboarding.is_active(&connection.name);
            let activated = activated.iter().copied();
            let inputs = routing::Inputs::of(active, &connection.metro, activated, vrps.cloned());
            if last.as_ref() == Some(&inputs) {
                continue;
            }
            let chosen = self.chosen.get(&connection.name);
            let import = chosen.and_then(|chosen| chosen.import.as_ref());
            let export = chosen.and_then(|chosen| chosen.export.as_ref());
            let profile = &self.topology.profile;
            let policy = |name| inputs.policy(&self.topology, name);
            self.outputs.push_back(Output::Policy {
                connection: connection.name.clone(),
                import: policy(import.unwrap_or(&profile.import)),
                export: policy(export.unwrap_or(&profile.export)),
            });
            *last = Some(inputs);
        }
    }

    /// The prefixes, and what they are judged by.
    fn parts(&mut self) -> (&mut Prefixes, Ground<'_>) {
        let ground = Ground {
            topology: &self.topology,
            observed: &self.observed,
            standing: &self.standing,
            registries: &self.registries,
            peer_asns: &self.topology.peer_asns,
            policy: &self.topology.profile.policy,
            healthy: self.healthy,
            devices: &self.devices,
        };
        (&mut self.prefixes, ground)
    }
}

impl From<onboarding::Output> for Output {
    fn from(output: onboarding::Output) -> Output {
        match output {
            onboarding::Output::Fact(fact) => Output::Fact(fact),
            onboarding::Output::Port { connection, lit } => Output::Port { connection, lit },
            onboarding::Output::Session { connection, run } => Output::Session { connection, run },
        }
    }
}

#[cfg(test)]
mod tests;
