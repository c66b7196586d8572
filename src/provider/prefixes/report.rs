//! Gathers what did not pass for one prefix, each with its evidence, what would have passed, and the remedy.

use ipnet::Ipv4Net;

use super::ground::Ground;
use super::reason::{Kind, Reason, order};
use crate::provider::observed::Connection;
use crate::provider::received::ReceivedRoute;
use crate::provider::remedy::{self, Setting};
use crate::record::{Failure, Severity};

/// The failures of one prefix.
pub(super) struct Report<'a> {
    pub ground: &'a Ground<'a>,
    pub kind: Kind,
    pub prefix: Ipv4Net,
    failures: Vec<Failure>,
}

/// One thing that did not pass.
pub(super) struct Finding<'a> {
    pub reason: Reason,
    pub severity: Severity,
    /// The connection, by place, and the route on it.
    pub at: Option<(usize, Option<&'a ReceivedRoute>)>,
    pub text: String,
    pub evidence: Vec<String>,
    pub nearest: Option<String>,
}

impl<'a> Report<'a> {
    pub fn new(ground: &'a Ground<'a>, kind: Kind, prefix: Ipv4Net) -> Report<'a> {
        Report {
            ground,
            kind,
            prefix,
            failures: Vec::new(),
        }
    }

    pub fn add(&mut self, finding: Finding<'_>) {
        let setting = finding.at.map(|(place, route)| {
            let (connection, _) = self.ground.connection(place);
            Setting {
                device: self.ground.device(&connection.router),
                connection,
                route,
                asn: self.ground.topology.peer.asn,
            }
        });
        let prefix = self.prefix.to_string();
        let (remedy, config) = remedy::remedy(finding.reason, self.kind, &prefix, setting);
        let connection = setting.map(|setting| setting.connection.name.clone());
        self.failures.push(Failure {
            reason: finding.reason.name().to_owned(),
            check: finding.reason.check(self.kind).to_owned(),
            severity: finding.severity,
            connection,
            text: finding.text,
            evidence: finding.evidence,
            nearest: finding.nearest,
            remedy,
            config,
        });
    }

    /// A failure of the prefix as a whole.
    pub fn fail(
        &mut self,
        reason: Reason,
        text: String,
        evidence: Vec<String>,
        nearest: Option<String>,
    ) {
        self.add(Finding {
            reason,
            severity: Severity::Fail,
            at: None,
            text,
            evidence,
            nearest,
        });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// Those from a place on belong to another check than their reason's own.
    pub fn of_check(&mut self, from: usize, check: &str) {
        for failure in self.failures.iter_mut().skip(from) {
            check.clone_into(&mut failure.check);
        }
    }

    /// The last failure is no fault of a router: this mends it.
    pub fn mend_by(&mut self, remedy: String) {
        if let Some(last) = self.failures.last_mut() {
            last.remedy = remedy;
            last.config.clear();
        }
    }

    /// All of them, in the portal's order.
    pub fn finish(mut self) -> Vec<Failure> {
        order(&mut self.failures);
        self.failures
    }
}

/// A session with both its ends, for evidence.
pub(super) fn session(connection: &Connection) -> String {
    let Connection {
        name,
        edge,
        router,
        microsoft,
        peer,
        session,
        ..
    } = connection;
    format!("session {name}: {router} {peer} to {edge} {microsoft}, {session}")
}

/// A route with all its attributes, for evidence.
pub(super) fn route(prefix: Ipv4Net, connection: &Connection, route: &ReceivedRoute) -> String {
    let communities = match route.communities.as_slice() {
        [] => "no communities".to_owned(),
        communities => format!("communities {}", communities.join(" ")),
    };
    let med = route.med.map(|med| format!(", MED {med}"));
    let path = match route.as_path.length() {
        0 => "empty AS path".to_owned(),
        _ => format!("AS path {}", route.as_path),
    };
    let med = med.unwrap_or_default();
    format!(
        "route {prefix} on {}: {path}, {communities}{med}",
        connection.name
    )
}
