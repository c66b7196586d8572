//! Whether the state of a lab is as an expectation wants it, and words for how it is instead.

use super::bfd;
use super::detection;
use super::lacp;
use super::microsoft;
use super::session;
use super::state::State;
use super::wiring;
use super::words;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::bgp::family::Family;
use crate::record::Fact;
use crate::scenario::{Expect, RouteDirection, Standing};
pub use crate::topology::{CORE, WAN};
use crate::topology::{Connection, Over, Topology, connection_of, of_session, session_name};

/// The internet path's name: an interface of the WAN, and a way of packets.
pub const INTERNET: &str = "internet";

/// Whether `what` holds. Only for expectations on the state; traffic and quiet are judged elsewhere.
pub fn holds(what: &Expect, state: &State, topology: &Topology) -> bool {
    match what {
        Expect::Session { .. } => session::holds(what, state, topology),
        Expect::MaximumPrefixes {
            sessions,
            exceeded,
            count,
            at,
        } => each(topology, sessions, |c, name| {
            let session = state.session(at.as_ref().unwrap_or(&c.edge), name);
            let told = session.and_then(|session| session.told);
            told.is_some_and(|(received, limit)| {
                (received > limit) == *exceeded && count.is_none_or(|count| count == received)
            })
        }),
        Expect::Lag {
            connections,
            up,
            distinct_systems,
        } => {
            each(topology, connections, |c, _| {
                state.lag_up(&c.edge, &c.name) == *up
                    && (!distinct_systems || lacp::is_heard(state, c))
            }) && lacp::not_distinct(what, state, topology).is_none()
        }
        Expect::Member { connection, .. } => {
            each(topology, std::slice::from_ref(connection), |c, _| {
                lacp::holds(what, state, topology, c)
            })
        }
        Expect::Bfd { .. } => bfd::wrong(what, state, topology).next().is_none(),
        Expect::Route {
            prefix,
            sessions,
            direction,
            present,
            count,
        } => each(topology, sessions, |c, name| {
            let number = routes(state, c, name, *direction);
            match (count, prefix) {
                (Some(count), _) => number == *count,
                (None, None) => (number > 0) == *present,
                (None, Some(prefix)) => {
                    let session = state.session(&c.edge, name);
                    session.is_some_and(|session| session.prefixes.contains(prefix)) == *present
                }
            }
        }),
        Expect::Path {
            prefix,
            via,
            internet,
            ..
        } => {
            let actual = path(state, topology, *prefix);
            match internet {
                true => actual == [INTERNET],
                false => actual == sorted(via),
            }
        }
        Expect::RouterPath {
            at, prefix, via, ..
        } => state.kernel_route(at, *prefix) == sorted(via),
        Expect::RouteStanding {
            prefix,
            sessions,
            standing,
        } => each(topology, sessions, |c, name| {
            let session = state.session(&c.edge, name);
            session.is_some_and(|session| {
                let there = prefix.map_or(!session.prefixes.is_empty(), |prefix| {
                    session.prefixes.contains(&prefix)
                });
                there
                    && match standing {
                        Standing::Stale => session.stale,
                        Standing::Fresh => session.established() && !session.stale,
                        Standing::Refreshed => session.refreshed,
                    }
            })
        }),
        Expect::RouterRoute {
            routers,
            prefix,
            present,
        } => routers
            .iter()
            .all(|router| state.kernel_route(router, *prefix).is_empty() != *present),
        Expect::RoutePolicy { .. }
        | Expect::InternetRoute { .. }
        | Expect::Prefix(_)
        | Expect::PeerAsn { .. }
        | Expect::RegisteredAsn { .. }
        | Expect::Peering { .. }
        | Expect::Connection { .. }
        | Expect::Event { .. } => microsoft::holds(what, state, topology),
        Expect::Detected { .. } => detection::holds(what, state),
        Expect::Traffic { .. } | Expect::Quiet => false,
    }
}

/// Whether a fact can change what [`holds`] says.
pub fn matters(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Light { .. }
            | Fact::Lag { .. }
            | Fact::Member { .. }
            | Fact::LacpPartner { .. }
            | Fact::Bfd { .. }
            | Fact::MicroBfd { .. }
            | Fact::BfdHeard { .. }
            | Fact::BfdRhythm { .. }
            | Fact::BfdAnswered { .. }
            | Fact::Bgp { .. }
            | Fact::RouteCount { .. }
            | Fact::MaximumPrefixes { .. }
            | Fact::RouteReceived { .. }
            | Fact::RouteWithdrawn { .. }
            | Fact::RouteRefresh { .. }
            | Fact::StaleRoutes { .. }
            | Fact::KernelRoute { .. }
    ) || microsoft::matters(fact)
}

/// By how much single packets of a partner missed the rhythm that is expected of it: what delayed them is to blame, not the
/// time until the rhythm was kept. `None` where no rhythm is expected, or another one is kept. Of `detected`, by how much a layer
/// noticed a failure before one that was to be first; `None` where the order is right, or one of them did not notice.
pub fn strays(what: &Expect, state: &State, topology: &Topology) -> Option<Duration> {
    if let Expect::Detected { .. } = what {
        return detection::strays(what, state);
    }
    let longest = match what {
        Expect::Bfd { .. } => bfd::strays(what, state, topology),
        _ => {
            let of_each =
                concerned(what, topology).map(|(c, _)| lacp::strays(what, state, topology, c));
            of_each
                .collect::<Option<Vec<Duration>>>()?
                .into_iter()
                .max()
        }
    };
    longest.filter(|by| !by.is_zero())
}

/// How the state is instead, for each connection that is not as wanted; empty where all are.
pub fn instead(what: &Expect, state: &State, topology: &Topology) -> String {
    if let Expect::Path { to, prefix, .. } = what {
        let actual = path(state, topology, *prefix);
        let over = match actual.as_slice() {
            [way] if way == INTERNET => "the internet".to_owned(),
            ways => words::list(ways),
        };
        let others =
            concerned(what, topology).filter(|(_, name)| !actual.iter().any(|a| a == name));
        let refusals = others.filter_map(|(c, name)| {
            let session = session_name(name, Family::of(prefix));
            let why = state.microsoft().refusal(c, &session, *prefix)?;
            Some(format!("; {prefix} is refused on {session} ({why})"))
        });
        let refusals: String = refusals.collect();
        return format!("the path to {to} is over {over}{refusals}");
    }
    if let Expect::RouterPath { at, to, prefix, .. } = what {
        return match state.kernel_route(at, *prefix) {
            [] => format!("{at} has no path to {to}"),
            ways => format!("the path to {to} at {at} is over {}", words::list(ways)),
        };
    }
    if let Expect::RouterRoute {
        routers,
        prefix,
        present,
    } = what
    {
        let has = |router: &&String| !state.kernel_route(router, *prefix).is_empty();
        let wrong: Vec<&String> = routers.iter().filter(|r| has(r) != *present).collect();
        let (routers, verb) = (
            words::list(&wrong),
            if wrong.len() > 1 { "have" } else { "has" },
        );
        return match present {
            true => format!("{routers} {verb} no route {prefix}"),
            false => format!("{routers} {verb} a route {prefix}"),
        };
    }
    if let Expect::Detected { .. } = what {
        return detection::instead(what, state);
    }
    if let Expect::Bfd { .. } = what {
        return bfd::instead_of_all(what, state, topology);
    }
    if let Expect::Session { .. } = what {
        return session::instead(what, state, topology);
    }
    if let Some(instead) = microsoft::instead(what, state, topology) {
        return instead;
    }
    if let Some(instead) = lacp::not_distinct(what, state, topology) {
        return instead.to_string();
    }
    let wrong: Vec<String> = concerned(what, topology)
        .filter(|(_, name)| !holds(&narrowed(what, name), state, topology))
        .map(|(c, name)| connection_words(what, state, topology, c, name))
        .collect();
    match wrong.is_empty() {
        true => String::new(),
        false => words::list(&wrong),
    }
}

/// What would obviously help when an expectation does not come true.
pub fn help(what: &Expect, state: &State, topology: &Topology) -> Option<String> {
    let wants_up = matches!(
        what,
        Expect::Session { up: true, .. }
            | Expect::Bfd { up: true, .. }
            | Expect::Lag { up: true, .. }
            | Expect::Member { up: true, .. }
            | Expect::Route {
                present: true,
                direction: RouteDirection::Received,
                ..
            }
    );
    if !wants_up {
        return None;
    }
    if let Some(fault) = lacp::not_distinct(what, state, topology) {
        return Some(fault.remedy());
    }
    if let Expect::Session { .. } = what {
        return session::help(what, state, topology);
    }
    if let Expect::Bfd { .. } = what {
        let mut wrong = bfd::wrong(what, state, topology);
        return wrong.find_map(|(name, session, _)| match session?.over {
            Over::Lag(c) | Over::Member(c, _) => help_for(what, state, topology, c, name),
            Over::Hops(inner) => bfd::remedy_inside(state, topology, inner, name),
        });
    }
    concerned(what, topology)
        .filter(|(_, name)| !holds(&narrowed(what, name), state, topology))
        .find_map(|(c, name)| help_for(what, state, topology, c, name))
}

/// The same for one session, LAG or member of a connection.
pub(super) fn help_for(
    what: &Expect,
    state: &State,
    topology: &Topology,
    c: &Connection,
    name: &str,
) -> Option<String> {
    if let Some(early) = lacp::early_remedy(what, state, c) {
        return Some(early.to_owned());
    }
    if state.broken(&c.name) {
        // What its layers lack then is no news.
        let name = &c.name;
        return Some(format!("the scenario broke {name} and has not repaired it"));
    }
    let of_lag = match what {
        Expect::Lag { .. } | Expect::Member { .. } => lacp::remedy(what, state, topology, c),
        _ => None,
    };
    of_lag.or_else(|| remedy(state, topology, c, of_session(name).1))
}

/// The lowest layer of a connection that is not up, and what its peer's router lacks.
pub fn remedy(
    state: &State,
    topology: &Topology,
    c: &Connection,
    family: Family,
) -> Option<String> {
    let all = remedies(state, topology, c, family);
    (!all.is_empty()).then(|| all.join("; "))
}

/// The same, for each cable that is wrong.
pub fn remedies(state: &State, topology: &Topology, c: &Connection, family: Family) -> Vec<String> {
    let (router, name) = (&c.router, &c.name);
    if let Some(device) = state
        .device(router)
        .filter(|said| !said.starts_with("started"))
    {
        return vec![format!("the device of {router} {device}")];
    }
    let members = state.members_in_service(name, c.members.len());
    let dark: Vec<String> = (members.iter())
        .filter(|member| state.light(&c.edge, name, **member) == Some(false))
        .map(|member| format!("{name}/{member}"))
        .collect();
    if !dark.is_empty() {
        return vec![format!(
            "{} has no light: look at the cable or at the port of {router}",
            words::list(&dark)
        )];
    }
    let faults = wiring::faults(state, topology);
    let own = faults.iter().filter(|fault| fault.is_about(name, None));
    let own: Vec<String> = own.map(|it| format!("{it}: {}", it.remedy())).collect();
    if !own.is_empty() {
        return own;
    }
    if !state.lag_up(&c.edge, name) {
        if let Some(without) = lacp::static_remedy(state, c) {
            return vec![without.to_owned()];
        }
        let silent = members.iter().all(|member| {
            let view = state.member(&c.edge, name, *member);
            view.is_none_or(|view| view.partner.is_empty() || view.receive == "DEFAULTED")
        });
        if let Some(blamed) = bfd::remedy_on_members(state, c).filter(|_| !silent) {
            return vec![blamed];
        }
        let text = match silent {
            true => format!(
                "no LACP partner was heard: make the members of {name} a LAG with LACP on {router}"
            ),
            false => format!(
                "LACP hears {router} but {name} has no carrier: compare its members, key and min-links"
            ),
        };
        return vec![text];
    }
    let name = &session_name(name, family);
    let microsoft = match (family, c.ipv6) {
        (Family::Ipv6Unicast, Some(ipv6)) => IpAddr::V6(ipv6.microsoft),
        (Family::Ipv4Unicast | Family::Ipv6Unicast, _) => IpAddr::V4(c.addresses.microsoft),
    };
    let session = state.session(&c.edge, name);
    let bfd_view = state.bfd(&c.edge, name);
    if c.bfd.options.required && bfd_view.is_none_or(|bfd| bfd.state != "up") {
        return vec![bfd::remedy(bfd_view, name, c, microsoft)];
    }
    match session {
        Some(session) if session.established() => Vec::new(),
        Some(session) if !session.why.is_empty() => vec![format!(
            "BGP on {name} last said: {}; compare neighbour {} and AS number {} on {router}",
            session.why, microsoft, topology.peer.asn
        )],
        _ => vec![format!(
            "BGP on {name} was never tried by {router}: configure neighbour {microsoft} with remote AS 8075"
        )],
    }
}

/// The connections (or `internet`) over which the WAN's kernel sends packets for a prefix, sorted.
pub fn path(state: &State, topology: &Topology, prefix: IpNet) -> Vec<String> {
    let edges = state.kernel_route(WAN, prefix);
    if edges.is_empty() {
        return vec![INTERNET.to_owned()];
    }
    let mut ways = Vec::new();
    for edge in edges {
        let of_edge: Vec<&Connection> = topology
            .connections
            .iter()
            .filter(|connection| connection.edge == *edge)
            .collect();
        let inside = state.kernel_route(edge, prefix);
        match of_edge.as_slice() {
            [] => ways.push(edge.clone()),
            [one] => ways.push(one.name.clone()),
            // An edge with several connections: its own table tells which of them it uses.
            several => ways.extend(
                several
                    .iter()
                    .map(|connection| connection.name.clone())
                    .filter(|name| inside.is_empty() || inside.contains(name)),
            ),
        }
    }
    sorted(&ways)
}

/// The connections an expectation names, or the one of its member, with the name: that of the connection, or of one of its
/// sessions.
pub fn concerned<'a>(
    what: &'a Expect,
    topology: &'a Topology,
) -> impl Iterator<Item = (&'a Connection, &'a str)> {
    let names: &[String] = match what {
        Expect::MaximumPrefixes { sessions, .. }
        | Expect::Route { sessions, .. }
        | Expect::RouteStanding { sessions, .. }
        | Expect::RoutePolicy { sessions, .. } => sessions,
        Expect::Lag { connections, .. }
        | Expect::Connection { connections, .. }
        | Expect::Detected { connections, .. } => connections,
        Expect::Member { connection, .. } => std::slice::from_ref(connection),
        Expect::Path { via, .. } => via,
        // Not only of connections.
        Expect::Session { .. }
        | Expect::Bfd { .. }
        | Expect::InternetRoute { .. }
        | Expect::RouterRoute { .. }
        | Expect::RouterPath { .. }
        | Expect::Prefix(_)
        | Expect::PeerAsn { .. }
        | Expect::RegisteredAsn { .. }
        | Expect::Peering { .. }
        | Expect::Event { .. }
        | Expect::Traffic { .. }
        | Expect::Quiet => &[],
    };
    names
        .iter()
        .filter_map(|name| Some((connection(topology, name)?, name.as_str())))
}

/// Whether a fact tells that what is expected of a route may have come, in an UPDATE that was malformed.
pub fn is_malformed(what: &Expect, fact: &Fact) -> bool {
    let Fact::MalformedUpdate(update) = fact else {
        return false;
    };
    let (prefix, sessions) = match what {
        Expect::Route {
            prefix, sessions, ..
        }
        | Expect::RouteStanding {
            prefix, sessions, ..
        } => (prefix.map(|prefix| prefix.to_string()), &sessions[..]),
        Expect::RoutePolicy {
            prefix, sessions, ..
        } => (Some(prefix.to_string()), &sessions[..]),
        Expect::Path { prefix, .. } | Expect::RouterPath { prefix, .. } => {
            (Some(prefix.to_string()), &[][..])
        }
        Expect::Prefix(expected) => (Some(expected.prefix.clone()), &[][..]),
        _ => return false,
    };
    // Of several prefixes the fact names the first one.
    let of_it = |first: IpNet| prefix.as_ref().is_none_or(|p| *p == first.to_string());
    let of_prefix = update.prefixes > 1 || update.first.is_none_or(of_it);
    of_prefix && (sessions.is_empty() || sessions.contains(&update.session))
}

/// The same expectation for one connection or session only.
pub(super) fn narrowed(what: &Expect, name: &str) -> Expect {
    let mut what = what.clone();
    if let Expect::MaximumPrefixes {
        sessions: names, ..
    }
    | Expect::Route {
        sessions: names, ..
    }
    | Expect::RouteStanding {
        sessions: names, ..
    }
    | Expect::RoutePolicy {
        sessions: names, ..
    }
    | Expect::Lag {
        connections: names, ..
    }
    | Expect::Connection {
        connections: names, ..
    }
    | Expect::Detected {
        connections: names, ..
    } = &mut what
    {
        *names = vec![name.to_owned()];
    }
    what
}

/// The connection of that name, or of a session.
fn connection<'t>(topology: &'t Topology, name: &str) -> Option<&'t Connection> {
    let name = connection_of(name);
    topology.connections.iter().find(|c| c.name == name)
}

fn each(topology: &Topology, names: &[String], holds: impl Fn(&Connection, &str) -> bool) -> bool {
    names
        .iter()
        .all(|name| connection(topology, name).is_some_and(|c| holds(c, name)))
}

fn routes(state: &State, c: &Connection, session: &str, direction: RouteDirection) -> u32 {
    let Some(session) = state.session(&c.edge, session) else {
        return 0;
    };
    match direction {
        RouteDirection::Advertised => session.advertised.unwrap_or(0),
        RouteDirection::Received => session
            .received
            .unwrap_or_else(|| u32::try_from(session.prefixes.len()).unwrap_or(u32::MAX)),
    }
}

/// How a connection is, in respect of what is expected.
fn connection_words(
    what: &Expect,
    state: &State,
    topology: &Topology,
    c: &Connection,
    name: &str,
) -> String {
    match what {
        Expect::MaximumPrefixes { at, .. } => {
            let session = state.session(at.as_ref().unwrap_or(&c.edge), name);
            match session.and_then(|session| session.told) {
                None => format!("no number of routes was told on {name}"),
                Some((received, limit)) => {
                    format!("{received} routes of {limit} were told on {name}")
                }
            }
        }
        Expect::Lag { .. } | Expect::Member { .. } => lacp::instead(what, state, topology, c),
        Expect::Route {
            prefix: Some(prefix),
            count: None,
            present,
            ..
        } => match present {
            true => format!("{prefix} is not received on {name}"),
            false => format!("{prefix} is still received on {name}"),
        },
        Expect::RouteStanding {
            prefix, standing, ..
        } => standing_words(state, c, name, *prefix, *standing),
        Expect::Route { direction, .. } => route_words(state, c, name, *direction),
        _ => String::new(),
    }
}

fn standing_words(
    state: &State,
    c: &Connection,
    name: &str,
    prefix: Option<IpNet>,
    standing: Standing,
) -> String {
    let there = state.session(&c.edge, name).is_some_and(|session| {
        prefix.map_or(!session.prefixes.is_empty(), |prefix| {
            session.prefixes.contains(&prefix)
        })
    });
    let what = prefix.map_or_else(|| "no route".to_owned(), |prefix| format!("no {prefix}"));
    match standing {
        _ if !there => format!("{what} received on {name}"),
        Standing::Stale => format!("what was received on {name} is not stale"),
        Standing::Fresh => format!("what was received on {name} is stale, or its session down"),
        Standing::Refreshed => format!("{name} was not sent again between marks"),
    }
}

fn route_words(state: &State, c: &Connection, name: &str, direction: RouteDirection) -> String {
    let number = words::counted(u64::from(routes(state, c, name, direction)), "route");
    match direction {
        RouteDirection::Received => format!("{number} received on {name}"),
        RouteDirection::Advertised => format!("{number} advertised on {name}"),
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    names
}
