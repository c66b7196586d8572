//! What the origin of a route decides: V-02 and route objects from the IRR, the RPKI, and whose origin it may be.

use super::reason::{Kind, Reason};
use super::report::{Finding, Report, route, session};
use crate::bgp::origin_validation::Validity;
use crate::provider::received::ReceivedRoute;
use crate::provider::registries::Known;
use crate::record::Severity;
use crate::registry::irr::Irr;
use crate::topology::{ForeignOrigin, Rpki};

/// Sessions whose routes have the same origin.
struct Origin<'a> {
    /// The AS, or the members of the AS_SET that ends the path.
    asns: &'a [u32],
    /// The AS as RFC 6811 sees it: none for an AS_SET.
    single: Option<u32>,
    places: Vec<usize>,
    route: &'a ReceivedRoute,
}

/// Judges the origins of the routes received; `by_key`: whose they may be says the key of a registered ASN (V-09).
pub(super) fn check(report: &mut Report<'_>, routes: &[(usize, &ReceivedRoute)], by_key: bool) {
    let mut origins: Vec<Origin<'_>> = Vec::new();
    for (place, found) in routes {
        let (asns, single) = (found.as_path.origins(), found.as_path.origin());
        match origins
            .iter_mut()
            .find(|origin| origin.asns == asns && origin.single == single)
        {
            Some(origin) => origin.places.push(*place),
            None => origins.push(Origin {
                asns,
                single,
                places: vec![*place],
                route: found,
            }),
        }
    }
    let several = origins.len() > 1;
    for origin in &origins {
        let judge = Judge { origin, several };
        judge.irr(report);
        judge.rpki(report);
        if !by_key {
            judge.owner(report);
        }
    }
    if !origins.is_empty() {
        unchecked(report);
    }
}

/// Registries that were not configured, told once.
fn unchecked(report: &mut Report<'_>) {
    let registries = report.ground.registries;
    let policy = report.ground.policy;
    let prefix = report.prefix;
    let mut tell = |check: &str, what: &str, key: &str| {
        let from = report.len();
        report.add(Finding {
            reason: Reason::RegistryNotConfigured,
            severity: Severity::Unchecked,
            at: None,
            text: format!("{what} of {prefix} was not checked: no `{key}` in [peer.registry]"),
            evidence: Vec::new(),
            nearest: None,
        });
        report.of_check(from, check);
    };
    if registries.irr.is_none() {
        tell(
            "V-02",
            "whether a routing registry has the origin AS",
            "irr",
        );
    }
    if registries.rpki.is_none() && policy.rpki != Rpki::Off {
        tell("E-21", "the RPKI state", "rpki");
    }
}

struct Judge<'a> {
    origin: &'a Origin<'a>,
    several: bool,
}

impl Judge<'_> {
    /// Tells it of each connection when origins differ, and of the prefix when all sessions have the same.
    fn tell(
        &self,
        report: &mut Report<'_>,
        reason: Reason,
        severity: Severity,
        text: String,
        evidence: Vec<String>,
        nearest: Option<String>,
    ) {
        let told = if self.several {
            self.origin.places.len()
        } else {
            1
        };
        for place in self.origin.places.iter().take(told) {
            let (connection, _) = report.ground.connection(*place);
            let mut all = Vec::new();
            if self.several {
                all.push(session(connection));
            }
            all.push(route(report.prefix, connection, self.origin.route));
            all.extend(evidence.iter().cloned());
            let at = self.several.then_some((*place, Some(self.origin.route)));
            let text = match self.several {
                true => format!("{text} (on {})", connection.name),
                false => text.clone(),
            };
            report.add(Finding {
                reason,
                severity,
                at,
                text,
                evidence: all,
                nearest: nearest.clone(),
            });
        }
    }

    /// V-02: a registry has the AS, not the pair. POL-11: it should have the pair.
    fn irr(&self, report: &mut Report<'_>) {
        let Some(known) = &report.ground.registries.irr else {
            return;
        };
        let prefix = report.prefix;
        let source = &known.source;
        let Some(irr) = &known.data else {
            let text =
                format!("whether a routing registry has the origin of {prefix} cannot be decided");
            self.tell(
                report,
                Reason::RegistryUnavailable,
                Severity::Unchecked,
                text,
                vec![lost(known)],
                None,
            );
            return;
        };
        if self.origin.asns.is_empty() {
            let text = format!("{prefix} has no origin AS: its path is empty");
            self.tell(
                report,
                Reason::OriginNotInRegistry,
                Severity::Fail,
                text,
                Vec::new(),
                None,
            );
        }
        for asn in self.origin.asns {
            if !irr.knows_origin(*asn) {
                let evidence = format!(
                    "{source}: neither `aut-num: AS{asn}` nor a route object with this origin"
                );
                let text = format!("no routing registry has AS{asn}, the origin of {prefix}");
                let nearest = object(irr, prefix);
                self.tell(
                    report,
                    Reason::OriginNotInRegistry,
                    Severity::Fail,
                    text,
                    vec![evidence],
                    nearest,
                );
                continue;
            }
            let objects = irr.route_objects(prefix);
            if !objects.iter().any(|object| object.origin == *asn) {
                let mut evidence = vec![format!(
                    "{source}: no `route: {prefix}` with `origin: AS{asn}`"
                )];
                evidence.extend(irr.aut_num(*asn).map(|aut_num| aut_num.object.to_string()));
                let text = format!("no route object says that AS{asn} originates {prefix}");
                let nearest = object(irr, prefix);
                self.tell(
                    report,
                    Reason::NoRouteObject,
                    Severity::Warn,
                    text,
                    evidence,
                    nearest,
                );
            }
        }
    }

    /// E-21.
    fn rpki(&self, report: &mut Report<'_>) {
        let policy = report.ground.policy.rpki;
        let (Some(known), false) = (&report.ground.registries.rpki, policy == Rpki::Off) else {
            return;
        };
        let prefix = report.prefix;
        let Some(vrps) = &known.data else {
            // Without VRPs every route is not found (RFC 6811), which only `require-valid` refuses.
            let severity = match policy {
                Rpki::RequireValid => Severity::Fail,
                Rpki::Off | Rpki::Mark | Rpki::DropInvalid => Severity::Warn,
            };
            let text = format!("the RPKI state of {prefix} cannot be decided");
            let from = report.len();
            self.tell(
                report,
                Reason::RegistryUnavailable,
                severity,
                text,
                vec![lost(known)],
                None,
            );
            report.of_check(from, "E-21");
            return;
        };
        let validation = vrps.validate(prefix, self.origin.single);
        let origin = match self.origin.single {
            Some(asn) => format!("AS{asn}"),
            None => "an AS_SET".to_owned(),
        };
        let mut evidence: Vec<String> = validation
            .covering
            .iter()
            .map(|vrp| format!("VRP {vrp}"))
            .collect();
        evidence.push(format!("validated ROA payloads of {}", known.source));
        match validation.validity {
            Validity::Valid => {}
            Validity::NotFound => {
                let severity = match policy {
                    Rpki::RequireValid => Severity::Fail,
                    Rpki::Off | Rpki::Mark | Rpki::DropInvalid => Severity::Warn,
                };
                let text = format!("no ROA covers {prefix}");
                self.tell(report, Reason::RpkiNotFound, severity, text, evidence, None);
            }
            invalid @ (Validity::InvalidAs | Validity::InvalidLength) => {
                let severity = match policy {
                    Rpki::Off | Rpki::Mark => Severity::Warn,
                    Rpki::DropInvalid | Rpki::RequireValid => Severity::Fail,
                };
                let text = format!("{prefix} from {origin} is RPKI {}", invalid.words());
                let longest = validation.covering.iter().max_by_key(|vrp| vrp.max_length);
                let nearest = longest.map(|vrp| match invalid {
                    Validity::InvalidLength => {
                        format!("VRP {vrp} allows up to /{}", vrp.max_length)
                    }
                    _ => format!("VRP {vrp}: origin AS{}", vrp.asn),
                });
                self.tell(
                    report,
                    Reason::RpkiInvalid,
                    severity,
                    text,
                    evidence,
                    nearest,
                );
            }
        }
    }

    /// E-22, PFX-17: the origin is the peering's AS, or an approved peer ASN of the same name.
    fn owner(&self, report: &mut Report<'_>) {
        let ground = report.ground;
        let own = ground.topology.peer.asn;
        let severity = match (ground.policy.foreign_origin, report.kind) {
            (ForeignOrigin::Warn, _) | (ForeignOrigin::WarnThenFail, Kind::Registered) => {
                Severity::Warn
            }
            (ForeignOrigin::Fail, _) | (ForeignOrigin::WarnThenFail, Kind::Service) => {
                Severity::Fail
            }
        };
        for asn in self.origin.asns {
            if *asn == own || ground.same_name(*asn) {
                continue;
            }
            let prefix = report.prefix;
            let text = format!("{prefix} comes from AS{asn}, and the peering's AS is AS{own}");
            let same = ground.peer_asns.iter().find(|peer| peer.asn == *asn);
            let nearest = same.map(|peer| {
                format!(
                    "AS{asn} is an approved peer ASN, but its name is `{}` (peer name `{}`)",
                    peer.name, peer.peer_name
                )
            });
            self.tell(
                report,
                Reason::OriginNotPeerAsn,
                severity,
                text,
                Vec::new(),
                nearest,
            );
        }
    }
}

/// The route object nearest to a prefix: its own, or the longest that covers it.
fn object(irr: &Irr, prefix: ipnet::Ipv4Net) -> Option<String> {
    let nearest = irr.covering_routes(prefix).last()?;
    let source = nearest
        .source
        .as_deref()
        .map(|source| format!(" ({source})"));
    let source = source.unwrap_or_default();
    Some(format!(
        "route object {} origin AS{}{source}",
        nearest.prefix, nearest.origin
    ))
}

/// Why a registry cannot be asked.
fn lost<T>(known: &Known<T>) -> String {
    let why = known.lost.as_deref().unwrap_or("no answer");
    format!("{}: {why}, since {}", known.source, known.at)
}
