//! One route with all there is to know: who told it, what became of each, who was told, and who was not.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::routes::{identifier, name};
use super::{Attributes, Rpki};
use crate::bgp::decision::Reason;
use crate::router::{Explained, Outcome, Router, SessionIndex};

/// A prefix as a router sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RouteDetail {
    /// The router.
    pub router: String,
    /// The prefix.
    #[schemars(with = "String")]
    pub prefix: IpNet,
    /// The next hops in the kernel, as `ADDRESS INTERFACE`; none when no route is in use.
    pub next_hops: Vec<String>,
    /// The router announces it itself, whatever it learns: the sessions on which it does.
    pub originated_on: Vec<String>,
    /// What was received: the best first, then those equal to it, then those that lost, then those that cannot be used.
    pub candidates: Vec<Candidate>,
    /// Who was told, and what.
    pub advertised: Vec<Told>,
    /// Who was not told, though the session is established, and why. Those are left out that told it themselves, and those
    /// of the own AS that have it from whoever brought it in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Withheld>,
}

/// A received route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Candidate {
    /// The session it came on.
    pub session: String,
    /// The neighbour's address.
    pub neighbour: IpAddr,
    /// Path identifier (RFC 7911), if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_id: Option<u32>,
    /// It is kept from before its session was lost, or not yet refreshed (RFC 4724, RFC 7313).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
    /// What became of it.
    pub standing: Standing,
    /// Why, in words: `chosen over via ams-2: shorter AS path; over via ams-3: higher local preference`.
    pub why: String,
    /// What the RPKI says, where import policy has its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpki: Option<Rpki>,
    /// As import policy made it; of a refused route as it came; none when its attributes were malformed.
    pub attributes: Option<Attributes>,
    /// As it came, where policy changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_received: Option<Attributes>,
}

/// What became of a received route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The best one.
    Best,
    /// Used together with the best one.
    Equal,
    /// Another one is better.
    Lost,
    /// Its next hop cannot be reached.
    Unreachable,
    /// Refused by policy, or malformed.
    Refused,
}

/// What a neighbour was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Told {
    /// On which session.
    pub session: String,
    /// Path identifier (RFC 7911), if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_id: Option<u32>,
    /// What.
    #[serde(flatten)]
    pub attributes: Attributes,
}

/// Who was not told, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Withheld {
    /// On which session.
    pub session: String,
    /// Path identifier it would have (RFC 7911), if it would have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_id: Option<u32>,
    /// A reason of export policy, or `route-leak-otc` (RFC 9234), `no-export` and other well-known communities (RFC 1997),
    /// `withdrawn-by-hand`, `unwritable`.
    pub reason: String,
}

/// What a router knows of a prefix; `None` when it has never heard of it.
pub fn route(router: &Router, prefix: &IpNet) -> Option<RouteDetail> {
    let explained = router.explain(prefix);
    let others = others(router, &explained);
    let best = explained
        .iter()
        .find(|path| matches!(path.outcome, Outcome::Best(_)));
    let best = best.map(|path| path_name(router, path));
    let candidates: Vec<Candidate> = explained
        .iter()
        .map(|path| {
            let spec = router.config().sessions.get(path.session.index());
            let (standing, why) = words(path, best.as_deref(), &others);
            let as_received = path.received.filter(|received| {
                let used = path.attributes.map(AsRef::as_ref);
                used != Some(received.as_ref())
            });
            Candidate {
                session: name(router, path.session),
                neighbour: spec.map_or(IpAddr::from([0, 0, 0, 0]), |spec| spec.peer),
                path_id: identifier(path.path_id),
                stale: path.stale,
                standing,
                why,
                rpki: path
                    .received
                    .and_then(|came| Rpki::of(router, path.session, prefix, came)),
                attributes: path.attributes.map(|set| Attributes::from(set.as_ref())),
                as_received: as_received.map(|set| Attributes::from(set.as_ref())),
            }
        })
        .collect();
    let sessions = || (0..router.config().sessions.len() as u16).map(SessionIndex);
    let advertised = sessions().flat_map(|session| {
        let told = router.adj_rib_out(session).into_iter();
        let paths = told.flat_map(|rib| rib.paths(prefix));
        paths.map(move |(path_id, attributes)| Told {
            session: name(router, session),
            path_id: identifier(path_id),
            attributes: attributes.as_ref().into(),
        })
    });
    let advertised: Vec<Told> = advertised.collect();
    let originated = sessions().filter(|session| router.originates(*session, prefix));
    let originated_on: Vec<String> = originated.map(|session| name(router, session)).collect();
    let withheld = sessions().flat_map(|session| {
        let withheld = router.withheld(session, prefix).into_iter();
        withheld.map(move |withheld| Withheld {
            session: name(router, session),
            path_id: identifier(withheld.path_id),
            reason: withheld.reason.to_owned(),
        })
    });
    let withheld: Vec<Withheld> = withheld.collect();
    let known = !candidates.is_empty()
        || !advertised.is_empty()
        || !originated_on.is_empty()
        || !withheld.is_empty();
    let next_hops = router.loc_rib().get(prefix).map(|selected| {
        let hops = selected.next_hops.iter();
        hops.map(|hop| format!("{} {}", hop.gateway, hop.interface))
            .collect()
    });
    known.then(|| RouteDetail {
        router: router.config().name.clone(),
        prefix: *prefix,
        next_hops: next_hops.unwrap_or_default(),
        originated_on,
        candidates,
        advertised,
        withheld,
    })
}

/// Its session, and which of several paths it is.
fn path_name(router: &Router, path: &Explained<'_>) -> String {
    let session = name(router, path.session);
    match identifier(path.path_id) {
        Some(id) => format!("{session} path {id}"),
        None => session,
    }
}

/// Whom the best one was chosen over, grouped by the step of the decision, the last step first.
fn others(router: &Router, explained: &[Explained<'_>]) -> String {
    let mut by_step: BTreeMap<Reverse<Reason>, Vec<String>> = BTreeMap::new();
    for path in explained {
        if let Outcome::Equal(reason) | Outcome::Lost(reason) = path.outcome {
            let names = by_step.entry(Reverse(reason)).or_default();
            names.push(path_name(router, path));
        }
    }
    let groups = by_step.iter();
    let groups = groups.map(|(Reverse(reason), names)| {
        let names = names.join(", ");
        format!("over via {names}: {reason}")
    });
    groups.collect::<Vec<_>>().join("; ")
}

fn words(path: &Explained<'_>, best: Option<&str>, others: &str) -> (Standing, String) {
    let best = best.unwrap_or("another");
    match path.outcome {
        Outcome::Best(reason) if others.is_empty() => (Standing::Best, reason.to_string()),
        Outcome::Best(_) => (Standing::Best, format!("chosen {others}")),
        Outcome::Equal(_) => {
            let why = format!("equal to via {best} but for the tie-break: both are used");
            (Standing::Equal, why)
        }
        Outcome::Lost(reason) => (Standing::Lost, format!("lost to via {best}: {reason}")),
        Outcome::Unreachable => {
            let next_hop = path.attributes.map(|set| format!(" {}", set.next_hop));
            let next_hop = next_hop.unwrap_or_default();
            let why = format!("next hop{next_hop} cannot be reached");
            (Standing::Unreachable, why)
        }
        Outcome::Refused(reason) => {
            let fault = path.fault.map(|fault| format!(", {fault}"));
            let why = format!("refused: {reason}{}", fault.unwrap_or_default());
            (Standing::Refused, why)
        }
    }
}
