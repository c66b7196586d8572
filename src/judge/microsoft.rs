//! What the Microsoft side has concluded so far: the latest of each prefix, connection, peering and route.
//!
//! A fold over its facts, like [`State`](super::state::State), of which it is a part. Whether that is what a scenario
//! wants is decided in `expected.rs`.
//!
//! **Invariant:** nothing is concluded here; the record alone says what Microsoft made of a prefix.

mod expected;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::words;
use crate::record::{Fact, Failure, Message, Severity};
use crate::scenario::{PrefixExpected, PrefixObject};
use crate::time::At;
use crate::topology::Connection;

pub use expected::{ended, failures, holds, instead, matters, remedies, tells_of};

/// A router, a session and a prefix.
type RouteKey = (String, String, IpNet);

/// The latest conclusions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Microsoft {
    prefixes: BTreeMap<(PrefixObject, String), PrefixView>,
    routes: BTreeMap<RouteKey, Policy>,
    connections: BTreeMap<String, ConnectionView>,
    peerings: BTreeMap<String, Told>,
    peer_asn: Option<Told>,
    asns: BTreeSet<u32>,
    events: Vec<EventView>,
}

/// What was last told of a registered or Peering Service prefix.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PrefixView {
    /// `prefixValidationState`.
    pub state: String,
    /// `learnedType`; empty for a registered prefix.
    pub learned_type: String,
    /// All checks that did not pass.
    pub failures: Vec<Failure>,
    /// What the portal shows first.
    pub message: Option<Message>,
}

/// What an edge's policy makes of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// Accepted.
    Accepted,
    /// Refused, for this reason.
    Refused(String),
}

/// The state of a connection of a peering.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionView {
    /// `connectionState`.
    pub state: String,
    /// `sessionStateV4`.
    pub session_state: String,
    /// `errorMessage`, else what moved it.
    pub why: String,
}

/// A state, and the error that goes with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The state.
    pub state: String,
    /// `errorMessage`; empty when there is none.
    pub error: String,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventView {
    /// When it was told.
    pub at: At,
    /// `eventType`.
    pub event: String,
    /// `eventLevel`.
    pub level: String,
    /// What it is about.
    pub subject: String,
    /// `eventSummary`.
    pub summary: String,
}

impl Microsoft {
    /// Takes in one fact.
    pub fn apply(&mut self, at: At, fact: &Fact) {
        match fact {
            Fact::StepStarted { .. } => self.events.clear(),
            Fact::RouteAccepted {
                router,
                session,
                prefix,
                ..
            } => {
                let key = (router.clone(), session.clone(), *prefix);
                self.routes.insert(key, Policy::Accepted);
            }
            Fact::RouteRefused {
                router,
                session,
                prefix,
                reason,
                ..
            } => {
                let key = (router.clone(), session.clone(), *prefix);
                self.routes.insert(key, Policy::Refused(reason.clone()));
            }
            Fact::RouteWithdrawn {
                router,
                session,
                prefix,
                ..
            } => {
                let key = (router.clone(), session.clone(), *prefix);
                self.routes.remove(&key);
            }
            Fact::RouteCount {
                router,
                session,
                received: 0,
                ..
            } => {
                let of = |key: &(String, String, IpNet)| key.0 == *router && key.1 == *session;
                self.routes.retain(|key, _| !of(key));
            }
            Fact::PeerAsn { state, error, .. } => {
                self.peer_asn = Some(told(state, error));
            }
            Fact::RegisteredAsn { asn, key, .. } => {
                match key {
                    Some(_) => self.asns.insert(*asn),
                    None => self.asns.remove(asn),
                };
            }
            Fact::Peering {
                peering,
                state,
                error,
            } => {
                self.peerings.insert(peering.clone(), told(state, error));
            }
            Fact::Connection {
                connection,
                state,
                session_state,
                error,
                why,
            } => {
                let view = ConnectionView {
                    state: state.clone(),
                    session_state: session_state.clone(),
                    why: if error.is_empty() { why } else { error }.clone(),
                };
                self.connections.insert(connection.clone(), view);
            }
            Fact::Event {
                event,
                level,
                subject,
                summary,
                ..
            } => self.events.push(EventView {
                at,
                event: event.clone(),
                level: level.clone(),
                subject: subject.clone(),
                summary: summary.clone(),
            }),
            _ => self.apply_prefix(fact),
        }
    }

    fn apply_prefix(&mut self, fact: &Fact) {
        match fact {
            Fact::RegisteredPrefix {
                prefix,
                state,
                failures,
                message,
                ..
            } => {
                let view = PrefixView {
                    state: state.clone(),
                    learned_type: String::new(),
                    failures: failures.clone(),
                    message: message.clone(),
                };
                let key = (PrefixObject::Registered, prefix.clone());
                self.prefixes.insert(key, view);
            }
            Fact::ServicePrefix {
                prefix,
                state,
                learned_type,
                failures,
                message,
                ..
            } => {
                let view = PrefixView {
                    state: state.clone(),
                    learned_type: learned_type.clone(),
                    failures: failures.clone(),
                    message: message.clone(),
                };
                let key = (PrefixObject::Service, prefix.clone());
                self.prefixes.insert(key, view);
            }
            Fact::PrefixDeleted { object, prefix } => {
                let deleted = [PrefixObject::Registered, PrefixObject::Service]
                    .into_iter()
                    .filter(|known| known.name() == object);
                for object in deleted {
                    self.prefixes.remove(&(object, prefix.clone()));
                }
            }
            _ => {}
        }
    }

    /// What was last told of a prefix, if it exists.
    pub fn prefix(&self, object: PrefixObject, prefix: &str) -> Option<&PrefixView> {
        self.prefixes.get(&(object, prefix.to_owned()))
    }

    /// All prefixes there are.
    pub fn prefixes(&self) -> impl Iterator<Item = (PrefixObject, &str, &PrefixView)> {
        let prefixes = self.prefixes.iter();
        prefixes.map(|((object, prefix), view)| (*object, prefix.as_str(), view))
    }

    /// Why an edge does not use the route of a session to a prefix, if it has one.
    pub fn refusal(&self, c: &Connection, session: &str, prefix: IpNet) -> Option<&str> {
        match self.route(c, session, prefix)? {
            Policy::Accepted => None,
            Policy::Refused(why) => Some(why),
        }
    }

    fn route(&self, c: &Connection, session: &str, prefix: IpNet) -> Option<&Policy> {
        self.routes
            .get(&(c.edge.clone(), session.to_owned(), prefix))
    }

    fn events<'s>(
        &'s self,
        event: &'s str,
        of: Option<&'s str>,
        level: Option<&'s str>,
        summary: Option<&'s str>,
    ) -> impl Iterator<Item = &'s EventView> {
        self.events.iter().filter(move |told| {
            told.event == event
                && of.is_none_or(|of| told.subject == of)
                && level.is_none_or(|level| told.level == level)
                && summary.is_none_or(|summary| told.summary.contains(summary))
        })
    }
}

fn told(state: &str, error: &str) -> Told {
    Told {
        state: state.to_owned(),
        error: error.to_owned(),
    }
}

impl PrefixView {
    /// Whether the prefix is not as a peer wants it.
    pub fn ails(&self) -> bool {
        matches!(self.state.as_str(), "Failed" | "Warning" | "Invalid")
    }

    fn is_as(&self, expected: &PrefixExpected) -> bool {
        let state = expected.state.as_ref();
        let learned = expected.learned_type.as_ref();
        let heading = self
            .message
            .as_ref()
            .map(|message| message.heading.as_str());
        state.is_none_or(|state| *state == self.state)
            && learned.is_none_or(|learned| *learned == self.learned_type)
            && (expected.message.as_deref()).is_none_or(|wanted| heading == Some(wanted))
            && self.lacking(expected).is_empty()
            && expected.at.as_ref().is_none_or(|at| {
                let wanted: BTreeSet<&str> = at.iter().map(String::as_str).collect();
                self.at_fault(&expected.reasons) == wanted
            })
    }

    /// Expected reasons that are not among the failures.
    fn lacking<'e>(&self, expected: &'e PrefixExpected) -> Vec<&'e str> {
        let reasons = expected.reasons.iter().map(String::as_str);
        reasons
            .filter(|reason| !self.failures.iter().any(|f| f.reason == *reason))
            .collect()
    }

    /// The connections that failures with these reasons name.
    fn at_fault(&self, reasons: &[String]) -> BTreeSet<&str> {
        let failures = self.failures.iter();
        let failures = failures.filter(|f| reasons.contains(&f.reason));
        failures.filter_map(|f| f.connection.as_deref()).collect()
    }
}

/// A state and why, for example `Failed: missing-community on ams-1 and ams-2, no-route-object (warning)`.
pub fn result(state: &str, failures: &[Failure]) -> String {
    let mut reasons: Vec<(&str, Severity, Vec<&str>)> = Vec::new();
    let mut sorted: Vec<&Failure> = failures.iter().collect();
    sorted.sort_by_key(|failure| Reverse(failure.severity));
    for failure in sorted {
        let connection = failure.connection.as_deref();
        let same = |(reason, severity, _): &&mut (&str, Severity, Vec<&str>)| {
            *reason == failure.reason && *severity == failure.severity
        };
        match reasons.iter_mut().find(same) {
            Some((_, _, connections)) => connections.extend(connection),
            None => {
                let connections = connection.into_iter().collect();
                reasons.push((&failure.reason, failure.severity, connections));
            }
        }
    }
    let reasons: Vec<String> = reasons
        .into_iter()
        .map(|(reason, severity, connections)| {
            let on = match connections.as_slice() {
                [] => String::new(),
                connections => format!(" on {}", words::list(connections)),
            };
            let how = match severity {
                Severity::Fail => "",
                Severity::Warn => " (warning)",
                Severity::Unchecked => " (unchecked)",
            };
            format!("{reason}{on}{how}")
        })
        .collect();
    match reasons.is_empty() {
        true => state.to_owned(),
        false => format!("{state}: {}", reasons.join(", ")),
    }
}
