//! Judges prefixes on a still picture, by the code that judges them while a lab runs.
//!
//! Everything counts as onboarded, and each prefix is registered and activated anew: one that fails is `Failed`, where a
//! prefix of a lab that was verified before would be `Warning`. What the files do not tell is not decided: such a failure
//! becomes `unchecked`, and a prefix without any other is `Unknown`.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use serde::Serialize;

use super::place::{Picture, Unknown};
use crate::provider::prefixes::{
    DeviceKind, Ground, Kind, Prefixes, Standing, ValidationState, message,
};
use crate::provider::reason::{MISSING_COMMUNITY, PREFIX_NOT_RECEIVED};
use crate::provider::registries::Registries;
use crate::provider::{Key, Request};
use crate::record::{Fact, Failure, Message, Severity};
use crate::time::At;
use crate::topology::Topology;

/// What prefixes are judged by.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The topology.
    pub topology: &'a Topology,
    /// What the edges receive.
    pub picture: &'a Picture,
    /// What the routing registries say.
    pub registries: &'a Registries,
    /// What the peer's routers are, by name, for the lines of configuration in remedies.
    pub devices: &'a BTreeMap<String, DeviceKind>,
}

/// A prefix and what the Microsoft side makes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Judged {
    /// As it was given.
    pub prefix: String,
    /// Registered with a peering.
    pub registered: Outcome,
    /// Activated under the first Peering Service resource; `null` when the topology has none.
    pub service: Option<Outcome>,
}

/// The result of one of the two objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// The peering (a metro) or the Peering Service resource.
    pub parent: String,
    /// `prefixValidationState`: `Verified`, `Failed`, `Unknown`; `Invalid` or `None` when it is refused at once.
    pub state: String,
    /// `peeringServicePrefixKey` of a registered prefix that is verified.
    pub key: Option<String>,
    /// `errorMessage`: what the portal would show first.
    pub message: Option<Message>,
    /// All checks that did not pass.
    pub failures: Vec<Failure>,
}

/// How a prefix did, or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every object is verified.
    Verified,
    /// Nothing failed, and something could not be decided.
    Undecided,
    /// Something failed.
    Failed,
}

impl Outcome {
    /// What its state means.
    pub fn verdict(&self) -> Verdict {
        match self.state.as_str() {
            "Verified" => Verdict::Verified,
            "Unknown" => Verdict::Undecided,
            _ => Verdict::Failed,
        }
    }
}

impl Judged {
    /// The worse one of its objects.
    pub fn verdict(&self) -> Verdict {
        let service = self.service.as_ref().map(Outcome::verdict);
        self.registered
            .verdict()
            .max(service.unwrap_or(Verdict::Verified))
    }
}

impl Bench<'_> {
    /// Judges prefixes that exist beside one another, so that they may overlap.
    pub fn together(&self, texts: &[String]) -> Vec<Judged> {
        let standing = vec![Standing::ACTIVE; self.topology.connections.len()];
        let ground = Ground {
            topology: self.topology,
            observed: &self.picture.observed,
            standing: &standing,
            peer_asns: &self.topology.peer_asns,
            registries: self.registries,
            policy: &self.topology.profile.policy,
            healthy: true,
            devices: self.devices,
        };
        let mut played = Played::new(ground);
        for text in texts {
            played.ask(Request::Register {
                prefix: text.clone(),
                peering: None,
            });
        }
        let outcomes = played.outcomes(self, Kind::Registered);
        let Some(service) = self.topology.services.first() else {
            return judged(texts, outcomes, None);
        };
        // A registration that only lacks data may have a key: whether it has is not held against the activation.
        let lacking = |text: &&String| outcomes.get(*text).is_some_and(|(_, lacks)| *lacks);
        if texts.iter().any(|text| lacking(&text)) {
            played = Played::new(ground);
            for text in texts {
                match text.parse::<Ipv4Net>() {
                    Ok(prefix) if lacking(&text) => {
                        let peering = outcomes[text].0.parent.clone();
                        played
                            .prefixes
                            .assume(&played.ground, prefix, &peering, None);
                    }
                    _ => played.ask(Request::Register {
                        prefix: text.clone(),
                        peering: None,
                    }),
                }
            }
            played.settle();
        }
        for text in texts {
            played.ask(Request::Activate {
                prefix: text.clone(),
                service: Some(service.name.clone()),
                key: Key::Right,
                provider: None,
            });
        }
        let services = played.outcomes(self, Kind::Service);
        judged(texts, outcomes, Some(services))
    }

    /// Takes back what was concluded from what the files do not tell. True when that decides the state.
    fn lacks(&self, kind: Kind, text: &str, outcome: &mut Outcome) -> bool {
        let prefix = text.parse::<Ipv4Net>().ok();
        let mut lacks = false;
        for failure in &mut outcome.failures {
            let Some(name) = failure.connection.clone() else {
                continue;
            };
            let connections = &self.picture.observed.connections;
            let mut places = connections.iter();
            let Some(place) = places.position(|connection| connection.name == name) else {
                continue;
            };
            let Unknown {
                routes,
                communities,
            } = &self.picture.unknown[place];
            let without = prefix.is_some_and(|prefix| communities.contains(&prefix.trunc()));
            let why = match failure.reason.as_str() {
                PREFIX_NOT_RECEIVED if *routes => format!("no file has the routes of {name}"),
                MISSING_COMMUNITY if without => {
                    format!("the file with the route on {name} does not show communities")
                }
                _ => continue,
            };
            lacks = true;
            failure.severity = Severity::Unchecked;
            failure.text = why;
            failure.evidence.clear();
            failure.nearest = None;
            failure.remedy =
                format!("give the routes of {name} from a source that has them, with --routes");
            failure.config.clear();
        }
        if !lacks {
            return false;
        }
        let failed = outcome
            .failures
            .iter()
            .any(|failure| failure.severity == Severity::Fail);
        let first = outcome
            .failures
            .iter()
            .find(|failure| failure.severity == Severity::Unchecked);
        if failed {
            outcome.message = message(kind, &outcome.failures);
            return false;
        }
        outcome.message = first.map(|failure| Message {
            heading: "Not decided".to_owned(),
            documented: false,
            text: failure.text.clone(),
        });
        outcome.state = ValidationState::Unknown.name().to_owned();
        outcome.key = None;
        true
    }
}

fn judged(
    texts: &[String],
    mut registered: Outcomes,
    mut services: Option<Outcomes>,
) -> Vec<Judged> {
    let mut all = Vec::new();
    for text in texts {
        // What was given twice is judged once.
        let Some((outcome, _)) = registered.remove(text) else {
            continue;
        };
        let service = services.as_mut().and_then(|services| services.remove(text));
        all.push(Judged {
            prefix: text.clone(),
            registered: outcome,
            service: service.map(|(outcome, _)| outcome),
        });
    }
    all
}

/// By prefix as it was given, with whether data was lacking to decide.
type Outcomes = BTreeMap<String, (Outcome, bool)>;

/// The Microsoft side's prefixes, asked and heard.
struct Played<'a> {
    ground: Ground<'a>,
    prefixes: Prefixes,
    now: At,
}

impl<'a> Played<'a> {
    fn new(ground: Ground<'a>) -> Played<'a> {
        Played {
            ground,
            prefixes: Prefixes::new(),
            now: At::ZERO,
        }
    }

    fn ask(&mut self, request: Request) {
        self.prefixes.request(self.now, &self.ground, &request);
    }

    /// Lets time pass until every validation is over.
    fn settle(&mut self) {
        while let Some(at) = self.prefixes.deadline() {
            self.now = self.now.max(at);
            self.prefixes.due(self.now, &self.ground);
        }
    }

    /// The last results of all objects of a kind.
    fn outcomes(&mut self, bench: &Bench<'_>, wanted: Kind) -> Outcomes {
        self.settle();
        let mut outcomes = Outcomes::new();
        while let Some(fact) = self.prefixes.poll() {
            let (kind, prefix, outcome) = match fact {
                Fact::RegisteredPrefix {
                    peering,
                    prefix,
                    state,
                    key,
                    failures,
                    message,
                } => {
                    let outcome = Outcome {
                        parent: peering,
                        state,
                        key,
                        message,
                        failures,
                    };
                    (Kind::Registered, prefix, outcome)
                }
                Fact::ServicePrefix {
                    service,
                    prefix,
                    state,
                    failures,
                    message,
                    ..
                } => {
                    let outcome = Outcome {
                        parent: service,
                        state,
                        key: None,
                        message,
                        failures,
                    };
                    (Kind::Service, prefix, outcome)
                }
                _ => continue,
            };
            if kind == wanted {
                outcomes.insert(prefix, (outcome, false));
            }
        }
        for (text, (outcome, lacks)) in &mut outcomes {
            *lacks = bench.lacks(wanted, text, outcome);
        }
        outcomes
    }
}

#[cfg(test)]
mod tests;
