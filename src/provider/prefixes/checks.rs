//! The checks V-01 to V-14 over a still picture: what does not pass for one prefix, all of it.

use ipnet::Ipv4Net;

use super::asns;
use super::attributes::{Fault, faults};
use super::ground::Ground;
use super::origins;
use super::reason::{Kind, Reason};
use super::report::{Finding, Report, route, session};
use crate::bgp::policy;
use crate::provider::observed::{Connection, Seen};
use crate::provider::received::ReceivedRoute;
use crate::record::{Failure, Severity};
use crate::registry::special;
use crate::topology::{Service, Weight};

/// What a Peering Service prefix is judged by, besides routes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Activation<'a> {
    pub service: &'a Service,
    pub provider: &'a str,
    pub key: KeyCheck<'a>,
    /// The Peering Service prefix created earlier that overlaps: service and prefix.
    pub overlap: Option<(&'a str, Ipv4Net)>,
}

/// The key given with an activation, compared (V-09).
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyCheck<'a> {
    /// It is the prefix's.
    Right,
    /// The prefix is registered, and its key is another. `holder` is the registered prefix that has the one given.
    Wrong {
        given: &'a str,
        right: &'a str,
        holder: Option<Ipv4Net>,
    },
    /// The prefix is registered, but has no key yet.
    NotIssued,
    /// It is that of a registered ASN, which must be the origin of every route.
    OfAsn { asn: u32, peering: &'a str },
    /// It is that of no registered ASN.
    OfNoAsn { given: &'a str },
    /// It is not registered. `covering` is a registered prefix that covers it.
    Unregistered { covering: Option<Ipv4Net> },
}

/// A registered prefix: all connections of its peering (V-03).
pub(super) fn registered(ground: &Ground<'_>, prefix: Ipv4Net, peering: &str) -> Vec<Failure> {
    let mut report = Report::new(ground, Kind::Registered, prefix);
    if !ground.healthy {
        return internal_error(report);
    }
    let scope: Vec<usize> = ground.of_peering(peering).collect();
    routes(
        &mut report,
        &scope,
        &format!("the peering {peering}"),
        false,
    );
    private_range(&mut report);
    report.finish()
}

/// A Peering Service prefix: all sessions of its primary and, if there is one, its backup location (V-04).
pub(super) fn service(
    ground: &Ground<'_>,
    prefix: Ipv4Net,
    activation: Activation<'_>,
) -> Vec<Failure> {
    let mut report = Report::new(ground, Kind::Service, prefix);
    if !ground.healthy {
        return internal_error(report);
    }
    let Activation { service, .. } = activation;
    provider(&mut report, activation.provider);
    let primary: Vec<usize> = ground.for_service(&service.primary).collect();
    let backup = service.backup.as_deref();
    let in_backup: Vec<usize> = backup
        .into_iter()
        .flat_map(|b| ground.for_service(b))
        .collect();
    sessions_in_primary(&mut report, &service.primary, &primary);
    if let Some(backup) = backup {
        session_in_backup(&mut report, backup, &in_backup);
    }
    let scope: Vec<usize> = primary.into_iter().chain(in_backup).collect();
    let whose = format!("the service {}", service.name);
    let by_key = matches!(activation.key, KeyCheck::OfAsn { .. });
    let there = routes(&mut report, &scope, &whose, by_key);
    key(&mut report, activation.key, &there);
    if let Some((other, overlapping)) = activation.overlap {
        report.fail(
            Reason::OverlapsAnotherPrefix,
            format!(
                "{prefix} overlaps {overlapping}, which is activated under the service {other}"
            ),
            vec![format!(
                "Peering Service prefix {overlapping} of the service {other}"
            )],
            None,
        );
    }
    private_range(&mut report);
    report.finish()
}

/// RP-E4, PS-E9: nothing else is known then.
fn internal_error(mut report: Report<'_>) -> Vec<Failure> {
    let text = format!(
        "the validation of {} ended in an internal server error",
        report.prefix
    );
    report.fail(Reason::InternalError, text, Vec::new(), None);
    report.finish()
}

/// V-03 or V-04, and of each route that is there V-05 to V-08 and what its origin decides, but for whose it may be if
/// that goes by key. These are the routes.
fn routes<'a>(
    report: &mut Report<'a>,
    scope: &[usize],
    whose: &str,
    by_key: bool,
) -> Vec<(usize, &'a ReceivedRoute)> {
    let ground = report.ground;
    let prefix = report.prefix;
    let counts =
        |place: &&usize| !ground.policy.ignore_inactive || ground.connection(**place).1.active;
    let scope: Vec<usize> = scope.iter().filter(counts).copied().collect();
    if scope.is_empty() {
        let text = format!("{whose} has no session that could have {prefix}");
        report.fail(Reason::PrefixNotReceived, text, Vec::new(), None);
        return Vec::new();
    }
    let public = ground.topology.documentation_numbers_are_public;
    let there: Vec<(usize, Option<Judged<'_>>)> = scope
        .iter()
        .map(|place| (*place, received(ground, *place, prefix)))
        .map(|(place, found)| (place, found.map(|route| (route, faults(route, public)))))
        .collect();
    // The first route without a fault, to be shown beside those that have one.
    let good = there.iter().find_map(|(place, found)| {
        let (good, _) = found.as_ref().filter(|(_, faults)| faults.is_empty())?;
        Some((ground.connection(*place).0, *good))
    });
    for (place, found) in &there {
        match found {
            None => missing(report, *place, good),
            Some((found, faults)) => {
                for fault in faults {
                    faulty(report, *place, found, fault, good);
                }
            }
        }
    }
    let there: Vec<(usize, &ReceivedRoute)> = there
        .iter()
        .filter_map(|(place, found)| Some((*place, found.as_ref()?.0)))
        .collect();
    origins::check(report, &there, by_key);
    there
}

/// A route and what is wrong with it.
type Judged<'a> = (&'a ReceivedRoute, Vec<Fault>);
/// A route that passes, and its connection.
type Good<'a> = Option<(&'a Connection, &'a ReceivedRoute)>;

/// The route a session has for exactly this prefix. One of a connection that is not Active does not count, nor one that was
/// so malformed that BGP withdrew it, or leads nowhere; an AS_SET is judged by itself.
fn received<'a>(ground: &Ground<'a>, place: usize, prefix: Ipv4Net) -> Option<&'a ReceivedRoute> {
    let (connection, standing) = ground.connection(place);
    let seen = connection.routes.get(&prefix).filter(|_| standing.active)?;
    counts(seen).then_some(&*seen.route)
}

fn counts(seen: &Seen) -> bool {
    seen.unusable.as_deref().is_none_or(|why| why == "as-set")
}

fn missing(report: &mut Report<'_>, place: usize, good: Good<'_>) {
    let prefix = report.prefix;
    let good = good.map(|(connection, good)| route(prefix, connection, good));
    let (connection, standing) = report.ground.connection(place);
    let mut text = format!(
        "{prefix} is not received from {} on {}",
        connection.peer, connection.name
    );
    let mut evidence = vec![session(connection)];
    if !standing.active {
        text += ", which is not Active";
    }
    if let Some(seen) = connection.routes.get(&prefix) {
        evidence.push(route(prefix, connection, &seen.route));
        evidence.extend(seen.unusable.as_ref().map(|why| match why.as_str() {
            policy::OWN_NEXT_HOP | policy::NEXT_HOP_UNREACHABLE => {
                format!("it is ignored for its next hop (RFC 4271, section 6.3): {why}")
            }
            _ => format!("it was treated as withdrawn (RFC 7606): {why}"),
        }));
    }
    let covering =
        covering(connection, prefix).map(|(net, seen)| route(net, connection, &seen.route));
    evidence
        .extend(covering.map(|covering| format!("{covering}; a covering route does not count")));
    evidence.extend(good.clone());
    let active = standing.active;
    report.add(Finding {
        reason: Reason::PrefixNotReceived,
        severity: Severity::Fail,
        at: Some((place, None)),
        text,
        evidence,
        nearest: good.or_else(|| Some(format!("a route for {prefix} itself"))),
    });
    if !active {
        let name = &connection.name;
        report.mend_by(format!(
            "wait until {name} is Active: before, Microsoft accepts no route on it (deny-all)"
        ));
    }
}

/// The longest route of a connection that covers a prefix without being it.
pub(super) fn covering(connection: &Connection, prefix: Ipv4Net) -> Option<(Ipv4Net, &Seen)> {
    if connection.routes.is_empty() {
        return None;
    }
    (0..prefix.prefix_len()).rev().find_map(|length| {
        let shorter = Ipv4Net::new(prefix.network(), length).ok()?.trunc();
        connection.routes.get(&shorter).map(|seen| (shorter, seen))
    })
}

fn faulty(
    report: &mut Report<'_>,
    place: usize,
    found: &ReceivedRoute,
    fault: &Fault,
    good: Good<'_>,
) {
    let good = good.map(|(connection, good)| route(report.prefix, connection, good));
    let (connection, _) = report.ground.connection(place);
    let mut evidence = vec![session(connection), route(report.prefix, connection, found)];
    evidence.extend(good.clone());
    let severity = match (fault.reason, report.ground.policy.as_set) {
        (Reason::AsSet, Weight::Warn) => Severity::Warn,
        _ => Severity::Fail,
    };
    report.add(Finding {
        reason: fault.reason,
        severity,
        at: Some((place, Some(found))),
        text: format!("{} on {}: {}", report.prefix, connection.name, fault.text),
        evidence,
        nearest: fault.nearest.clone().or(good),
    });
}

/// V-01: an overlap with a private range in either direction.
fn private_range(report: &mut Report<'_>) {
    let prefix = report.prefix;
    let ground = report.ground;
    let public = ground.topology.documentation_numbers_are_public;
    // The whole block is nobody's to announce, whatever single addresses in it are for.
    let protocol =
        special::ipv4(PROTOCOL_ASSIGNMENTS).filter(|_| PROTOCOL_ASSIGNMENTS.contains(&prefix));
    let set_aside = special::bogon(prefix, public)
        .or(protocol)
        .map(ToString::to_string);
    let extra = || {
        let ranges = ground.policy.private_ranges.iter();
        let mut overlapping =
            ranges.filter(|range| range.contains(&prefix) || prefix.contains(*range));
        overlapping
            .next()
            .map(|range| format!("the topology sets aside {range}"))
    };
    if let Some(why) = set_aside.or_else(extra) {
        let text = format!("{prefix} is in a private range: {why}");
        report.fail(Reason::PrivateRange, text, vec![why], None);
    }
}

/// IETF protocol assignments (RFC 6890).
const PROTOCOL_ASSIGNMENTS: Ipv4Net =
    Ipv4Net::new_assert(std::net::Ipv4Addr::new(192, 0, 0, 0), 24);

/// V-13.
fn provider(report: &mut Report<'_>, given: &str) {
    let ground = report.ground;
    let own = ground.topology.peer.name.as_str();
    let others = ground.peer_asns.iter().map(|peer| peer.peer_name.as_str());
    let known: Vec<&str> = std::iter::once(own).chain(others).collect();
    if known.contains(&given) {
        return;
    }
    let near = known
        .iter()
        .find(|name| name.eq_ignore_ascii_case(given))
        .unwrap_or(&own);
    let text = format!("no Peering Service provider is called `{given}`");
    let evidence = vec![format!("providers: {}", known.join(", "))];
    report.fail(
        Reason::ProviderNotFound,
        text,
        evidence,
        Some(format!("`{near}`")),
    );
}

/// V-11: two sessions on two different routers, at both sides.
fn sessions_in_primary(report: &mut Report<'_>, primary: &str, places: &[usize]) {
    let ground = report.ground;
    let active: Vec<&Connection> = places
        .iter()
        .map(|place| ground.connection(*place))
        .filter(|(_, standing)| standing.active)
        .map(|(connection, _)| connection)
        .collect();
    let evidence = || {
        active
            .iter()
            .map(|connection| session(connection))
            .collect()
    };
    let waiting = || {
        let mut waiting = places.iter().map(|place| ground.connection(*place));
        let (connection, _) = waiting.find(|(_, standing)| !standing.active)?;
        Some(format!("{}, once it is Active", connection.name))
    };
    if active.len() < 2 {
        let count = match active.len() {
            0 => "no session",
            _ => "only one session",
        };
        let text = format!(
            "the primary location {primary} has {count} used for Peering Service, and needs two"
        );
        report.fail(Reason::TooFewSessionsInPrimary, text, evidence(), waiting());
        return;
    }
    let alike = |router: fn(&Connection) -> &str| {
        let first = router(active[0]);
        active
            .iter()
            .all(|connection| router(connection) == first)
            .then_some(first)
    };
    let one =
        alike(|connection| &connection.router).or_else(|| alike(|connection| &connection.edge));
    if let Some(router) = one {
        let text = format!(
            "all sessions of the primary location {primary} end on {router}, and two routers are needed"
        );
        report.fail(Reason::SameRouterInPrimary, text, evidence(), waiting());
    }
}

/// V-12.
fn session_in_backup(report: &mut Report<'_>, backup: &str, places: &[usize]) {
    let ground = report.ground;
    let active = |place: &usize| ground.connection(*place).1.active;
    if !places.iter().any(active) {
        let text = format!("the backup location {backup} has no session used for Peering Service");
        let waiting = places.first().map(|place| ground.connection(*place).0);
        let evidence = places
            .iter()
            .map(|place| session(ground.connection(*place).0))
            .collect();
        let nearest = waiting.map(|connection| format!("{}, once it is Active", connection.name));
        report.fail(Reason::NoSessionInBackup, text, evidence, nearest);
    }
}

/// V-09.
fn key(report: &mut Report<'_>, check: KeyCheck<'_>, routes: &[(usize, &ReceivedRoute)]) {
    let prefix = report.prefix;
    match check {
        KeyCheck::Right => {}
        KeyCheck::OfAsn { asn, peering } => asns::origins(report, routes, asn, peering),
        KeyCheck::OfNoAsn { given } => {
            let text = format!("the key given for {prefix} is that of no registered ASN");
            let evidence = vec![format!("key given: {given}")];
            report.fail(Reason::WrongKey, text, evidence, None);
        }
        KeyCheck::Wrong {
            given,
            right,
            holder,
        } => {
            let (text, evidence) = match holder {
                Some(holder) => (
                    format!("the key given for {prefix} is that of {holder}"),
                    format!("registered prefix {holder}: key {given}"),
                ),
                None => (
                    format!("the key given for {prefix} was never issued"),
                    format!("key given: {given}"),
                ),
            };
            let nearest = Some(format!("the key issued for {prefix}: {right}"));
            report.fail(Reason::WrongKey, text, vec![evidence], nearest);
        }
        KeyCheck::NotIssued => {
            let text = format!("{prefix} is registered, but was never verified: it has no key");
            let evidence = vec![format!("registered prefix {prefix}: no key")];
            report.fail(Reason::NotRegistered, text, evidence, None);
        }
        KeyCheck::Unregistered { covering } => {
            let text = format!("{prefix} is not registered with any peering");
            let evidence = covering.map(|covering| format!("registered prefix {covering}"));
            let nearest = covering.map(|covering| {
                format!("{covering} is registered; its key is not valid for a part of it")
            });
            report.fail(
                Reason::NotRegistered,
                text,
                evidence.into_iter().collect(),
                nearest,
            );
        }
    }
}
