//! Registered ASNs: what an exchange with a route server registers instead of prefixes. The key is issued at once, and is
//! valid for all prefixes of which the AS is the origin, at every location (V-09, E-12).

use ipnet::Ipv4Net;

use super::attributes::{is_private, special};
use super::checks::KeyCheck;
use super::ground::Ground;
use super::reason::Reason;
use super::report::{Finding, Report, route, session};
use super::{Prefixes, fold, key_of_asn};
use crate::provider::reason;
use crate::provider::received::ReceivedRoute;
use crate::record::{Fact, Severity};
use crate::time::At;
use crate::topology::Registers;

impl Prefixes {
    /// An ASN that was registered in the past, and its key.
    pub(super) fn assume_asn(&mut self, asn: u32, peering: &str) -> String {
        if self.asns.insert(asn, peering.to_owned()).is_none() {
            self.tell_asn(asn, peering, true);
        }
        key_of_asn(asn)
    }

    pub(super) fn register_asn(&mut self, now: At, ground: &Ground<'_>, asn: u32, peering: &str) {
        if let Some((reason, why)) = self.closed(ground, asn, peering) {
            return self.refused(&asn.to_string(), reason, &why);
        }
        self.asns.insert(asn, peering.to_owned());
        self.tell_asn(asn, peering, true);
        self.asn_changed(now, ground, asn);
    }

    pub(super) fn unregister_asn(&mut self, now: At, ground: &Ground<'_>, asn: u32) {
        let Some(peering) = self.asns.remove(&asn) else {
            let why = "there is no such registered ASN to delete";
            return self.refused(&asn.to_string(), "no-such-asn", why);
        };
        self.tell_asn(asn, &peering, false);
        self.asn_changed(now, ground, asn);
    }

    /// The first gate that is closed (V-15 to V-17, of which the walkthrough for exchanges has its own), and why.
    fn closed(
        &self,
        ground: &Ground<'_>,
        asn: u32,
        peering: &str,
    ) -> Option<(&'static str, String)> {
        if ground.topology.profile.registers != Registers::Asns {
            let why = "prefixes are registered with a peering of this profile, and not AS numbers";
            return Some((reason::NOT_IN_THIS_PROFILE, why.to_owned()));
        }
        let public = ground.topology.documentation_numbers_are_public;
        if is_private(asn) || special(asn, public).is_some() {
            let why = format!("AS{asn} is nobody's: private or reserved");
            return Some((reason::NOT_AN_ASN, why));
        }
        let mut there = ground.of_peering(peering).peekable();
        let used = |place: usize| ground.connection(place).1.peering_service;
        if there.peek().is_some() && !there.any(used) {
            let why = format!("the peering {peering} is not for Peering Service");
            return Some((reason::PEERING_NOT_FOR_PEERING_SERVICE, why));
        }
        let active = |place: usize| ground.connection(place).1.active;
        if !ground.of_peering(peering).any(active) {
            let why = format!("the peering {peering} has no connection that is Active");
            return Some((reason::NO_ACTIVE_CONNECTION, why));
        }
        let other = self.asns.get(&asn)?;
        let why = format!(
            "AS{asn} is registered with the peering {other}, and an ASN is registered once"
        );
        Some((reason::ALREADY_REGISTERED, why))
    }

    fn tell_asn(&mut self, asn: u32, peering: &str, there: bool) {
        self.facts.push_back(Fact::RegisteredAsn {
            peering: peering.to_owned(),
            asn,
            key: there.then(|| key_of_asn(asn)),
        });
    }

    /// What V-09 says of the Peering Service prefixes with the key of this AS may be another.
    fn asn_changed(&mut self, now: At, ground: &Ground<'_>, asn: u32) {
        let ids = self.by_key.get(&key_of_asn(asn));
        let ids = ids.into_iter().flatten().copied().collect();
        self.mark_all(now, ground, ids);
    }

    /// V-09 where ASNs are registered.
    pub(super) fn compare_asn<'a>(&'a self, given: &'a str) -> KeyCheck<'a> {
        let mut asns = self.asns.iter();
        match asns.find(|(asn, _)| key_of_asn(**asn) == fold(given)) {
            Some((asn, peering)) => KeyCheck::OfAsn { asn: *asn, peering },
            None => KeyCheck::OfNoAsn { given },
        }
    }

    /// A key that is not an AS's: another one's, if there is any.
    pub(super) fn key_of_another_asn(&self, asn: u32) -> String {
        let other = self.asns.keys().find(|other| **other != asn);
        // That of AS 0, which nobody registers.
        key_of_asn(other.copied().unwrap_or(0))
    }
}

/// The AS from which a prefix is received, on the first connection that has it; the peer's own if none has.
pub(super) fn origin(ground: &Ground<'_>, prefix: Ipv4Net) -> u32 {
    let mut connections = ground.observed.connections.iter();
    let received = connections.find_map(|connection| {
        let seen = connection.routes.get(&prefix)?;
        seen.route.as_path.origin()
    });
    received.unwrap_or(ground.topology.peer.asn)
}

/// The AS whose key was given is the origin of every route (V-09).
pub(super) fn origins(
    report: &mut Report<'_>,
    routes: &[(usize, &ReceivedRoute)],
    asn: u32,
    peering: &str,
) {
    let prefix = report.prefix;
    for (place, found) in routes {
        let origin = match found.as_path.origin() {
            Some(origin) if origin == asn => continue,
            Some(origin) => format!("AS{origin}"),
            None => "no single AS".to_owned(),
        };
        let (connection, _) = report.ground.connection(*place);
        report.add(Finding {
            reason: Reason::WrongKey,
            severity: Severity::Fail,
            at: Some((*place, Some(found))),
            text: format!(
                "the key given for {prefix} is that of AS{asn}, and its origin on {} is {origin}",
                connection.name
            ),
            evidence: vec![
                session(connection),
                route(prefix, connection, found),
                format!(
                    "registered ASN {asn} of the peering {peering}: key {}",
                    key_of_asn(asn)
                ),
            ],
            nearest: Some(format!(
                "the key issued for {origin}, once it is registered"
            )),
        });
    }
}
