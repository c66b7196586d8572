//! What must hold between the parts of a topology: names, and the redundancy Microsoft asks for.
//!
//! The rules read the raw file, so that a mistake in one part does not hide those in another.

use std::sync::Arc;

use super::parse::members;
use super::profile::supplied;
use super::raw::{RawConnection, RawMembers, RawTopology};
use super::{bgp, numbers};
use crate::source::{Bandwidth, Located, Mistakes, Source, Span};

/// Names that the lab uses for parts of its own, and words of the scenario file.
const RESERVED: [&str; 9] = [
    "teams", "wan", "internet", "core", "inside", "lo", "all", "any", "both",
];

/// Adds every breach.
pub(super) fn check(raw: &RawTopology, mistakes: &mut Mistakes) {
    names(raw, mistakes);
    redundancy(raw, mistakes);
    bandwidth(raw, mistakes);
    services(raw, mistakes);
    min_links(raw, mistakes);
    bgp::somebody_connects(raw, mistakes);
    bgp::numbers_fit(raw, mistakes);
    bgp::next_hops_have_sessions(raw, mistakes);
    numbers::check(raw, mistakes);
}

/// Connections with their names, in file order.
fn connections(raw: &RawTopology) -> impl Iterator<Item = (&Located<String>, &RawConnection)> {
    raw.connection
        .0
        .iter()
        .map(|(name, connection)| (name, connection))
}

/// The metro of a connection: that of its router.
fn metro_of<'a>(raw: &'a RawTopology, connection: &RawConnection) -> Option<&'a str> {
    let router = connection.router.as_ref()?;
    let (_, router) = raw
        .router
        .0
        .iter()
        .find(|(name, _)| name.value == router.value)?;
    router.metro.as_ref().map(|metro| metro.value.as_str())
}

/// Every name can name an interface or a namespace, and means one thing only.
fn names(raw: &RawTopology, mistakes: &mut Mistakes) {
    let mut seen: Vec<(&str, &Located<String>)> = Vec::new();
    let tables: [(&str, usize, Vec<&Located<String>>); 4] = [
        (
            "metro",
            64,
            raw.metro.0.iter().map(|(name, _)| name).collect(),
        ),
        (
            "router",
            15,
            raw.router.0.iter().map(|(name, _)| name).collect(),
        ),
        (
            "connection",
            12,
            raw.connection.0.iter().map(|(name, _)| name).collect(),
        ),
        (
            "endpoint",
            15,
            raw.endpoint.0.iter().map(|(name, _)| name).collect(),
        ),
    ];
    for (kind, longest, names) in tables {
        for name in names {
            spelling(kind, longest, name, mistakes);
            unique(kind, name, &mut seen, mistakes);
        }
    }
    for (name, _) in &raw.service.0 {
        spelling("service", 64, name, mistakes);
    }
    // An edge exists by being named, so naming it again is no repetition.
    let mut edges: Vec<&str> = Vec::new();
    for edge in connections(raw).filter_map(|(_, connection)| connection.edge.as_ref()) {
        if !edges.contains(&edge.value.as_str()) {
            edges.push(&edge.value);
            spelling("edge", 15, edge, mistakes);
            unique("edge", edge, &mut seen, mistakes);
        }
    }
}

/// A kind of thing with its article.
fn one(kind: &str) -> String {
    let article = if kind.starts_with('e') { "an" } else { "a" };
    format!("{article} {kind}")
}

/// Lower-case letters, digits and hyphens, not too long, not reserved.
fn spelling(kind: &str, longest: usize, name: &Located<String>, mistakes: &mut Mistakes) {
    let text = name.value.as_str();
    if RESERVED.contains(&text) {
        let message = format!("{} cannot be called `{text}`", one(kind));
        let diagnostic = mistakes.error(name.span, message, "the lab uses this name itself");
        let reserved = crate::source::list(RESERVED);
        mistakes.push(diagnostic.note(format!("reserved: {reserved}")));
    } else if text.len() > longest {
        let message = format!("the {kind} name `{text}` is too long");
        let label = format!("{} bytes, at most {longest}", text.len());
        let diagnostic = mistakes.error(name.span, message, label);
        mistakes.push(
            diagnostic.note("it becomes the name of an interface, which has at most 15 bytes"),
        );
    } else {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let good = text.starts_with(outer) && text.ends_with(outer) && text.chars().all(letters);
        if !good {
            let message = format!("`{text}` is not a name for {}", one(kind));
            let label = "lower-case letters, digits and hyphens between them";
            mistakes.push(mistakes.error(name.span, message, label));
        }
    }
}

/// A scenario names metros, edges, connections and endpoints without saying which kind is meant.
fn unique<'a>(
    kind: &'static str,
    name: &'a Located<String>,
    seen: &mut Vec<(&'static str, &'a Located<String>)>,
    mistakes: &mut Mistakes,
) {
    let first = seen.iter().find(|(_, other)| other.value == name.value);
    if let Some((first, place)) = first {
        let message = format!(
            "`{}` is the name of {} and of {}",
            name.value,
            one(first),
            one(kind)
        );
        let diagnostic = mistakes.error(name.span, message, format!("{} here", one(kind)));
        let source = Arc::clone(mistakes.source());
        let label = format!("{} here", one(first));
        mistakes.push(diagnostic.at(&source, place.span, label));
    } else {
        seen.push((kind, name));
    }
}

/// Each metro has two connections, or as few as its profile allows, no two on one router, on two edges (RED-01, RED-02, RED-03, RED-08).
fn redundancy(raw: &RawTopology, mistakes: &mut Mistakes) {
    if raw.metro.0.is_empty() && mistakes.is_empty() {
        let diagnostic = mistakes.error(Span::default(), "the topology has no metro", "");
        mistakes.push(diagnostic.help("write `[metro.amsterdam]`"));
    }
    for (metro, _) in &raw.metro.0 {
        let local: Vec<_> = connections(raw)
            .filter(|(_, connection)| metro_of(raw, connection) == Some(&metro.value))
            .collect();
        enough_connections(&metro.value, metro.span, &local, raw, mistakes);
        one_router_each(&local, mistakes);
        two_edges(&local, mistakes);
    }
    edges_stand_still(raw, mistakes);
}

fn enough_connections(
    metro: &str,
    at: Span,
    local: &[(&Located<String>, &RawConnection)],
    raw: &RawTopology,
    mistakes: &mut Mistakes,
) {
    // A connection whose router is wrong may belong here.
    let unclear = connections(raw).any(|(_, connection)| metro_of(raw, connection).is_none());
    let profile = raw.profile.and_then(|profile| supplied(profile.value));
    let fewest = profile.map_or(2, |profile| profile.fewest_connections);
    if local.len() >= fewest || unclear {
        return;
    }
    let message = match local {
        [] => format!("metro `{metro}` has no connection"),
        _ => format!("metro `{metro}` has only one connection"),
    };
    if fewest == 1 {
        mistakes.push(mistakes.error(at, message, "needs one"));
        return;
    }
    let mut diagnostic = mistakes.error(at, message, "needs two");
    if let [(name, _)] = local {
        let source = Arc::clone(mistakes.source());
        diagnostic = diagnostic.at(&source, name.span, "its only connection");
    }
    mistakes.push(diagnostic.note(
        "a peering for voice has at least two connections at each location (RED-01, RED-02)",
    ));
}

fn one_router_each(local: &[(&Located<String>, &RawConnection)], mistakes: &mut Mistakes) {
    for (index, (name, connection)) in local.iter().enumerate() {
        let Some(router) = &connection.router else {
            continue;
        };
        let earlier = local[..index].iter().find_map(|(other, connection)| {
            let same = connection.router.as_ref()?;
            (same.value == router.value).then_some((other, same))
        });
        if let Some((other, same)) = earlier {
            let message = format!(
                "connections `{}` and `{}` end on the same router `{}`",
                other.value, name.value, router.value
            );
            let label = format!("`{}` on `{}`", name.value, router.value);
            let diagnostic = mistakes.error(router.span, message, label);
            let source = Arc::clone(mistakes.source());
            let label = format!("`{}` on `{}`", other.value, router.value);
            let diagnostic = diagnostic.at(&source, same.span, label);
            mistakes.push(diagnostic.note("two local connections need two routers (RED-03)"));
        }
    }
}

fn two_edges(local: &[(&Located<String>, &RawConnection)], mistakes: &mut Mistakes) {
    let edges: Vec<&Located<String>> = local
        .iter()
        .filter_map(|(_, connection)| connection.edge.as_ref())
        .collect();
    let [first, others @ ..] = edges.as_slice() else {
        return;
    };
    if edges.len() < local.len() || others.is_empty() {
        return;
    }
    if others.iter().all(|edge| edge.value == first.value) {
        let last = others[others.len() - 1];
        let message = format!(
            "all connections of the metro end on the same edge `{}`",
            first.value
        );
        let diagnostic = mistakes.error(last.span, message, "name another edge here");
        let source = Arc::clone(mistakes.source());
        let diagnostic = diagnostic.at(&source, first.span, "the same edge");
        mistakes.push(
            diagnostic.note("Microsoft puts the connections of a peering on two edges (RED-08)"),
        );
    }
}

/// An edge stands in one metro.
fn edges_stand_still(raw: &RawTopology, mistakes: &mut Mistakes) {
    let mut seen: Vec<(&Located<String>, &str)> = Vec::new();
    for (_, connection) in connections(raw) {
        let (Some(edge), Some(metro)) = (&connection.edge, metro_of(raw, connection)) else {
            continue;
        };
        match seen.iter().find(|(other, _)| other.value == edge.value) {
            Some((_, other)) if *other == metro => {}
            Some((place, other)) => {
                let message = format!("edge `{}` stands in two metros", edge.value);
                let diagnostic = mistakes.error(edge.span, message, format!("in `{metro}` here"));
                let source = Arc::clone(mistakes.source());
                mistakes.push(diagnostic.at(&source, place.span, format!("in `{other}` here")));
            }
            None => seen.push((edge, metro)),
        }
    }
}

/// Bandwidth of a connection as a whole, and where it is said; `None` when it is wrong by itself.
fn bandwidth_of(
    name: &Located<String>,
    connection: &RawConnection,
    source: &Arc<Source>,
) -> Option<(Bandwidth, Span)> {
    // Mistakes of the connection itself were told where it was parsed.
    let (whole, _) = members(name, connection, &mut Mistakes::new(source))?;
    let span = match (&connection.bandwidth, &connection.members) {
        (Some(bandwidth), _) => bandwidth.span,
        (None, members) => members.as_ref()?.span,
    };
    Some((Bandwidth(whole), span))
}

/// All connections of a service, and all of a metro, have the same bandwidth (RED-05).
fn bandwidth(raw: &RawTopology, mistakes: &mut Mistakes) {
    let source = Arc::clone(mistakes.source());
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for (_, service) in &raw.service.0 {
        let metros = [service.primary.as_ref(), service.backup.as_ref()];
        groups.push(
            metros
                .into_iter()
                .flatten()
                .map(|metro| metro.value.as_str())
                .collect(),
        );
    }
    for metro in raw.metro.names() {
        if !groups.iter().any(|group| group.contains(&metro)) {
            groups.push(vec![metro]);
        }
    }
    for group in groups {
        let of_group: Vec<_> = connections(raw)
            .filter(|(_, c)| metro_of(raw, c).is_some_and(|metro| group.contains(&metro)))
            .filter_map(|(name, connection)| Some((name, bandwidth_of(name, connection, &source)?)))
            .collect();
        let Some((first, (speed, place))) = of_group.first() else {
            continue;
        };
        for (name, (other, span)) in &of_group[1..] {
            if other != speed {
                let message = format!(
                    "connections `{}` and `{}` have different bandwidths",
                    first.value, name.value
                );
                let label = other.to_string();
                let diagnostic = mistakes.error(*span, message, label);
                let source = Arc::clone(mistakes.source());
                let diagnostic = diagnostic.at(&source, *place, speed.to_string());
                mistakes.push(diagnostic.note(
                    "primary, backup and redundant sessions have the same bandwidth (RED-05)",
                ));
            }
        }
    }
}

/// A backup is elsewhere (RED-04).
fn services(raw: &RawTopology, mistakes: &mut Mistakes) {
    for (name, service) in &raw.service.0 {
        let (Some(primary), Some(backup)) = (&service.primary, &service.backup) else {
            continue;
        };
        if primary.value == backup.value {
            let message = format!(
                "service `{}` has its backup at its primary location",
                name.value
            );
            let diagnostic = mistakes.error(backup.span, message, "must be another metro");
            let source = Arc::clone(mistakes.source());
            let diagnostic = diagnostic.at(&source, primary.span, "the primary location");
            mistakes.push(
                diagnostic.note("a local redundant connection cannot be used as a backup (RED-04)"),
            );
        }
    }
}

/// A LAG that needs more links than it has never comes up.
fn min_links(raw: &RawTopology, mistakes: &mut Mistakes) {
    let lacp = raw
        .microsoft
        .as_ref()
        .and_then(|microsoft| microsoft.lacp.as_ref());
    let Some(min_links) = lacp.and_then(|lacp| lacp.value.min_links) else {
        return;
    };
    for (name, connection) in connections(raw) {
        let ends = connection.lacp.as_ref().map(|lacp| &lacp.value);
        let own = ends.map(|ends| [&ends.microsoft, &ends.peer]);
        let own = own.is_some_and(|ends| {
            let mut ends = ends.into_iter();
            ends.all(|end| end.as_ref().is_some_and(|end| end.min_links.is_some()))
        });
        if own {
            continue;
        }
        let count = match connection.members.as_ref().map(|members| &members.value) {
            Some(RawMembers::Count(count)) => usize::try_from(*count).unwrap_or(0),
            Some(RawMembers::Each(each)) => each.len(),
            None => 1,
        };
        if (1..usize::from(min_links.value)).contains(&count) {
            let message = format!(
                "min-links is {}, but connection `{}` has {count}",
                min_links.value, name.value
            );
            let diagnostic =
                mistakes.error(min_links.span, message, "this LAG would never come up");
            let source = Arc::clone(mistakes.source());
            mistakes.push(diagnostic.at(&source, name.span, "this connection"));
        }
    }
}
