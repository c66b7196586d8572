//! What is expected of routes: at an edge, at the internet's and the peer's routers, and where the WAN sends packets.

use ipnet::IpNet;

use super::{one_of, state, via};
use crate::bgp::family::Family;
use crate::plan::of_topology::{TEAMS_PREFIX, TEAMS_PREFIX_IPV6};
use crate::provider::reason;
use crate::scenario::raw::RawExpect;
use crate::scenario::stage::Stage;
use crate::scenario::{Expect, RouteDirection, Speaker, Standing};
use crate::source::{Located, Mistakes, Names, Span, list};
use crate::topology::of_session;

/// A route is there or not, is accepted or refused, or stands so in a restart or a refresh.
const STATES: [&str; 7] = [
    "present",
    "absent",
    "accepted",
    "refused",
    "stale",
    "fresh",
    "refreshed",
];

pub(super) fn route(
    raw: &RawExpect,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let prefix = prefix(raw.route.as_ref()?, mistakes);
    if let Some(at) = &raw.at {
        return at_routers(raw, at, prefix, table, stage, mistakes);
    }
    let policy =
        (raw.state.as_ref()).filter(|state| matches!(state.value.as_str(), "accepted" | "refused"));
    if let Some(state) = policy {
        return of_policy(raw, state, prefix, table, stage, mistakes);
    }
    if let Some(reason) = &raw.reason {
        let message = "`reason` goes with a refused route";
        let diagnostic = mistakes.error(reason.span, message, "nothing is refused here");
        mistakes.push(diagnostic.help("write `state = \"refused\"`"));
    }
    let standing = raw
        .state
        .as_ref()
        .and_then(|state| match state.value.as_str() {
            "stale" => Some((state, Standing::Stale)),
            "fresh" => Some((state, Standing::Fresh)),
            "refreshed" => Some((state, Standing::Refreshed)),
            _ => None,
        });
    if let Some((state, standing)) = standing {
        return of_standing(raw, state, standing, prefix, table, stage, mistakes);
    }
    let (names, direction) = side(raw, table, mistakes)?;
    if let (RouteDirection::Advertised, Some(Some(_)), Some(prefix)) =
        (direction, prefix, &raw.route)
    {
        let message = "of what Microsoft advertises the record has numbers, not prefixes";
        let diagnostic = mistakes.error(prefix.span, message, "cannot be judged");
        mistakes.push(diagnostic.help(
            "write `route = \"any\"` with a `count`, or expect it where it arrives: `at = \"ROUTER\"` instead of `to`",
        ));
        return None;
    }
    let sessions = match prefix {
        Some(Some(prefix)) => stage.sessions_with(Family::of(&prefix), names, mistakes),
        Some(None) | None => stage.sessions(names, mistakes),
    };
    let present = match raw.count {
        Some(count) if raw.state.is_none() => count.value > 0,
        _ => state(raw, table, "route", &STATES, mistakes)? == "present",
    };
    if let Some(count) = raw.count.filter(|count| present != (count.value > 0)) {
        let message = format!("a count of {} contradicts the state", count.value);
        mistakes.push(mistakes.error(count.span, message, "leave one of them out"));
    }
    Some(Expect::Route {
        prefix: prefix?,
        sessions: sessions?,
        direction,
        present,
        count: raw.count.map(|count| count.value),
    })
}

/// The prefix; inside, `None` means any.
fn prefix(text: &Located<String>, mistakes: &mut Mistakes) -> Option<Option<IpNet>> {
    if text.value == "any" {
        return Some(None);
    }
    let parsed = text.value.parse::<IpNet>().ok();
    let parsed = parsed.filter(|net| *net == net.trunc());
    if parsed.is_none() {
        let message = format!("`{}` is not a route", text.value);
        let label = "a prefix without host bits, or `any`";
        mistakes.push(mistakes.error(text.span, message, label));
    }
    parsed.map(Some)
}

/// Received from connections, or advertised to them.
fn side<'r>(
    raw: &'r RawExpect,
    table: Span,
    mistakes: &mut Mistakes,
) -> Option<(&'r Located<Names>, RouteDirection)> {
    match (&raw.from, &raw.to) {
        (Some(names), None) => Some((names, RouteDirection::Received)),
        (None, Some(names)) => Some((names, RouteDirection::Advertised)),
        (Some(from), Some(_)) => {
            let message = "a route is received `from` a connection or advertised `to` it";
            mistakes.push(mistakes.error(from.span, message, "not both in one expectation"));
            None
        }
        (None, None) => {
            if !mistakes.is_struck(table, Some("from")) && !mistakes.is_struck(table, Some("to")) {
                let diagnostic = mistakes.error(table, "`route` has no `from` and no `to`", "");
                mistakes.push(diagnostic.help(
                    "write `from = \"…\"` for received by Microsoft, `to = \"…\"` for advertised by it",
                ));
            }
            None
        }
    }
}

/// How received routes stand in a restart or a refresh.
fn of_standing(
    raw: &RawExpect,
    state: &Located<String>,
    standing: Standing,
    prefix: Option<Option<IpNet>>,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let owner = format!("a route that is {}", state.value);
    let from = received(raw, &owner, table, mistakes)?;
    let prefix = prefix?;
    let sessions = match prefix {
        Some(prefix) => stage.sessions_with(Family::of(&prefix), from, mistakes)?,
        None => stage.sessions(from, mistakes)?,
    };
    Some(Expect::RouteStanding {
        prefix,
        sessions,
        standing,
    })
}

/// The sessions from which a route was received, where nothing else makes sense.
fn received<'r>(
    raw: &'r RawExpect,
    owner: &str,
    table: Span,
    mistakes: &mut Mistakes,
) -> Option<&'r Located<Names>> {
    let example = "from = \"…\"";
    let from = mistakes.require(raw.from.as_ref(), table, owner, "from", example);
    let wrong = [
        ("to", raw.to.as_ref().map(|to| to.span)),
        ("count", raw.count.map(|count| count.span)),
    ];
    refuse(wrong, owner, mistakes);
    from
}

/// Keys that mean nothing beside what is expected, where they stand.
fn refuse<const N: usize>(keys: [(&str, Option<Span>); N], owner: &str, mistakes: &mut Mistakes) {
    for (key, span) in keys {
        let Some(span) = span else { continue };
        let message = format!("`{key}` does not go with {owner}");
        mistakes.push(mistakes.error(span, message, "not here"));
    }
}

/// What the edge's policy makes of what the peer announces.
fn of_policy(
    raw: &RawExpect,
    state: &Located<String>,
    prefix: Option<Option<IpNet>>,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let owner = format!("a route that is {}", state.value);
    let from = received(raw, &owner, table, mistakes);
    let accepted = state.value == "accepted";
    let reason = match &raw.reason {
        Some(reason) if accepted => {
            let message = "an accepted route has no `reason`";
            mistakes.push(mistakes.error(reason.span, message, "not here"));
            return None;
        }
        Some(reason) => {
            let located = reason.value.located(reason.span);
            let [one] = located.as_slice() else {
                let message = "a route is refused for one reason";
                mistakes.push(mistakes.error(reason.span, message, "one name"));
                return None;
            };
            let policies = &stage.topology.policies;
            let imports = stage.imports.iter();
            let mut reasons: Vec<&str> = imports.flat_map(|name| policies.reasons(name)).collect();
            reasons.sort_unstable();
            reasons.dedup();
            reasons.extend(reason::OF_ROUTES_ANYWAY);
            Some(one_of(one, "reason", &reasons, mistakes)?)
        }
        None => None,
    };
    let from = from?;
    let Some(prefix) = prefix? else {
        let message = "`any` is neither accepted nor refused";
        let at = raw.route.as_ref()?.span;
        mistakes.push(mistakes.error(at, message, "name a prefix"));
        return None;
    };
    Some(Expect::RoutePolicy {
        prefix,
        sessions: stage.sessions_with(Family::of(&prefix), from, mistakes)?,
        accepted,
        reason,
    })
}

/// What a router has, wherever it is from: the internet's, or routers of the peer.
fn at_routers(
    raw: &RawExpect,
    at: &Located<Names>,
    prefix: Option<Option<IpNet>>,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let internet = at.value == Names::One("internet".to_owned());
    let wrong = [
        ("to", raw.to.as_ref().map(|to| to.span)),
        ("count", raw.count.map(|count| count.span)),
        ("reason", raw.reason.as_ref().map(|reason| reason.span)),
        // Only the internet's router is asked from whom it has a route.
        (
            "from",
            (raw.from.as_ref())
                .filter(|_| !internet)
                .map(|from| from.span),
        ),
    ];
    refuse(wrong, "a route `at` a router", mistakes);
    let routers = match internet {
        true => Vec::new(),
        false => stage.routers(at, mistakes)?,
    };
    let from = match internet {
        true => of_speaker(raw, mistakes)?,
        false => None,
    };
    let present = state(raw, table, "route", &["present", "absent"], mistakes)? == "present";
    let Some(prefix) = prefix? else {
        let message = "`any` does not go with `at`";
        let at = raw.route.as_ref()?.span;
        mistakes.push(mistakes.error(at, message, "name a prefix"));
        return None;
    };
    Some(match internet {
        true => Expect::InternetRoute {
            prefix,
            from,
            present,
        },
        false => Expect::RouterRoute {
            routers,
            prefix,
            present,
        },
    })
}

/// From whom the internet has learned a route; inside, `None` means anybody.
fn of_speaker(raw: &RawExpect, mistakes: &mut Mistakes) -> Option<Option<Speaker>> {
    let Some(names) = &raw.from else {
        return Some(None);
    };
    match &names.value {
        Names::One(name) if name == "peer" => Some(Some(Speaker::Peer)),
        Names::One(name) if name == "microsoft" => Some(Some(Speaker::Microsoft)),
        Names::One(_) | Names::Several(_) => {
            let message = "the internet learns routes from the peer or from Microsoft";
            let diagnostic = mistakes.error(names.span, message, "neither of them");
            mistakes.push(diagnostic.note(format!("one of {}", list(["peer", "microsoft"]))));
            None
        }
    }
}

pub(super) fn path(
    raw: &RawExpect,
    table: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let to = raw.path.as_ref()?;
    let example = "via = [\"…\"]";
    let names = mistakes.require(raw.via.as_ref(), table, "`path`", "via", example);
    if let Some(at) = &raw.at {
        return path_at(to, at, names?, stage, mistakes);
    }
    let prefix = destination(to, stage, mistakes);
    let via = via(names?, stage, mistakes)?;
    let internet = via == ["internet"];
    Some(Expect::Path {
        to: to.value.clone(),
        prefix: prefix?,
        via: if internet { Vec::new() } else { via },
        internet,
    })
}

/// Where a router at a border, or the peer's core, sends packets.
fn path_at(
    to: &Located<String>,
    at: &Located<Names>,
    via: &Located<Names>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Expect> {
    let located = at.value.located(at.span);
    let [one] = located.as_slice() else {
        let message = "a path is looked at from one router";
        let diagnostic = mistakes.error(at.span, message, "one name");
        mistakes.push(diagnostic.help("write an expectation for each router"));
        return None;
    };
    let edges = stage.edge_names();
    let peers = stage.topology.routers.iter().map(|r| r.name.as_str());
    let peers: Vec<&str> = peers.collect();
    let routers = [edges.as_slice(), &peers, &["core"]].concat();
    let at = one_of(one, "router", &routers, mistakes)?;
    let is_edge = edges.contains(&at.as_str());
    let connections = stage.topology.connections.iter();
    let own = connections.filter(|c| c.router == at || c.edge == at);
    let own = own.map(|c| c.name.as_str());
    let valid: Vec<&str> = match at.as_str() {
        "core" => peers,
        _ if is_edge => own.chain(["wan"]).collect(),
        _ => own.chain(["inside"]).collect(),
    };
    let mut ways = Vec::new();
    for way in via.value.located(via.span) {
        ways.push(one_of(&way, "way", &valid, mistakes)?);
    }
    let prefix = match is_edge {
        true => destination(to, stage, mistakes)?,
        false => of_microsoft(to, stage, mistakes)?,
    };
    Some(Expect::RouterPath {
        at,
        to: to.value.clone(),
        prefix,
        via: ways,
    })
}

/// The prefix of Teams, or an unusual one that Microsoft announces; only such are watched.
fn of_microsoft(to: &Located<String>, stage: &Stage<'_>, mistakes: &mut Mistakes) -> Option<IpNet> {
    let announced = stage.microsoft_prefixes.iter().map(ToString::to_string);
    let mut hosts = stage.host_names();
    hosts.retain(|host| of_session(host).0 == "teams");
    let valid: Vec<String> = hosts.into_iter().chain(announced).collect();
    let valid: Vec<&str> = valid.iter().map(String::as_str).collect();
    match one_of(to, "destination", &valid, mistakes)?.as_str() {
        "teams" => Some(TEAMS_PREFIX.into()),
        "teams/ipv6" => Some(TEAMS_PREFIX_IPV6.into()),
        prefix => prefix.parse().ok(),
    }
}

/// The prefix of an endpoint, or one that the peer announces; only such are watched.
fn destination(to: &Located<String>, stage: &Stage<'_>, mistakes: &mut Mistakes) -> Option<IpNet> {
    let (host, family) = of_session(&to.value);
    if !host.contains('/') {
        let hosts = stage.host_names();
        let hosts = hosts.iter().map(String::as_str);
        let endpoints = hosts.filter(|host| of_session(host).0 != "teams");
        let known = mistakes.known(to, "endpoint", endpoints);
        let mut endpoints = stage.topology.endpoints.iter();
        let endpoint = endpoints.find(|endpoint| endpoint.name == host)?;
        let prefix = match family {
            Family::Ipv4Unicast => Some(endpoint.prefix.into()),
            Family::Ipv6Unicast => endpoint.ipv6.map(|ipv6| ipv6.prefix.into()),
        };
        return prefix.filter(|_| known);
    }
    let announced: Vec<String> = stage.prefixes.iter().map(ToString::to_string).collect();
    let announced = announced.iter().map(String::as_str);
    let known = mistakes.known(to, "announced prefix", announced);
    known.then(|| to.value.parse().ok()).flatten()
}
