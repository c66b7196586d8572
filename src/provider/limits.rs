//! What the peer hears when it advertises as many prefixes as it may, or more (BGP-08). Microsoft publishes no such event.

use super::observed::Observed;
use crate::record::Fact;
use crate::topology::{Topology, of_session};

/// The event of an edge that was told of the number of a session's routes.
pub(super) fn event(topology: &Topology, observed: &Observed, fact: &Fact) -> Option<Fact> {
    let Fact::MaximumPrefixes {
        router,
        session,
        received,
        limit,
    } = fact
    else {
        return None;
    };
    let (name, _) = of_session(session);
    let connection = observed.connection(name);
    connection.filter(|connection| connection.edge == *router)?;
    let mut connections = topology.connections.iter();
    let maximum = connections.find(|connection| connection.name == name)?;
    let maximum = maximum.bgp.options.maximum_prefixes;
    let (event, level) = match received > limit {
        true => ("MaximumPrefixesExceeded", "Error"),
        false => ("MaximumPrefixesWarning", "Warning"),
    };
    let then = match (received > limit, maximum.warning_only, maximum.restart) {
        (_, true, _) => "the session goes on",
        (false, ..) => "with more the session ends",
        (true, _, Some(_)) => "the session ends, and is tried again after a rest",
        (true, _, None) => "the session ends, until it is started by hand",
    };
    Some(Fact::Event {
        event: event.to_owned(),
        level: level.to_owned(),
        subject: session.clone(),
        summary: format!("{received} prefixes of {limit}"),
        description: format!(
            "the peer advertises {received} prefixes on {session}, where {limit} are accepted: {then}"
        ),
    })
}
