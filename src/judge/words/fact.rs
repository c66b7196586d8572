//! Changes of states in words.

use super::{counted, list, request, up_down};
use crate::record::{BfdDiscarded, Fact, Refused};
use crate::source::Bandwidth;

/// A state change in words, for example `ams-edge-1: bfd ams-1 down`; `None` for other facts.
pub fn fact(fact: &Fact) -> Option<String> {
    let words = match fact {
        Fact::Lag {
            router,
            connection,
            up,
            ..
        } => format!("{router}: lag {connection} {}", up_down(*up)),
        Fact::Member {
            router,
            connection,
            member,
            receive,
            distributing,
            ..
        } => format!(
            "{router}: member {connection}/{member} {} ({receive})",
            up_down(*distributing)
        ),
        Fact::InService(now) => {
            let members = now
                .members
                .iter()
                .map(|n| format!("{}/{n}", now.connection));
            let members = list(&members.collect::<Vec<_>>());
            let bandwidth = Bandwidth(now.bandwidth_mbps);
            format!("{} has the members {members}, {bandwidth}", now.connection)
        }
        Fact::AutoBackend(at) => {
            let (router, connection) = (&at.router, &at.connection);
            match at.kernel {
                true => format!("{router}: lag {connection} is the kernel's bond"),
                false => format!("{router}: lag {connection} is ours: {}", at.why),
            }
        }
        Fact::MicroBfd {
            router,
            connection,
            member,
            now,
        } => format!(
            "{router}: bfd on {connection}/{member} {} ({})",
            now.state, now.diagnostic
        ),
        Fact::Bfd {
            router,
            connection,
            state,
            diagnostic,
            ..
        } if diagnostic.is_empty() || diagnostic == "no diagnostic" => {
            format!("{router}: bfd {connection} {state}")
        }
        Fact::Bfd {
            router,
            connection,
            state,
            diagnostic,
            ..
        } => format!("{router}: bfd {connection} {state} ({diagnostic})"),
        Fact::BfdDiscarded(BfdDiscarded {
            router,
            connection,
            why,
            ..
        }) => format!("{router}: a packet of the partner of bfd {connection} is discarded: {why}"),
        Fact::NotTold(left_out) => format!(
            "{}: {} {} of {} left out",
            left_out.router, left_out.count, left_out.what, left_out.session
        ),
        Fact::Bgp {
            router,
            session,
            state,
            why,
        } if why.is_empty() => format!("{router}: session {session} {state}"),
        Fact::Bgp {
            router,
            session,
            state,
            why,
        } => format!("{router}: session {session} {state} ({why})"),
        Fact::ConnectionRefused(Refused {
            router,
            session,
            count,
            why,
        }) => format!(
            "{router}: {} of {session} refused: the session {why}",
            counted(*count, "connection")
        ),
        Fact::RouteReceived {
            router,
            session,
            prefix,
            ..
        } => format!("{router}: {prefix} received on {session}"),
        Fact::MalformedUpdate(update) => {
            let of = match (update.first, update.prefixes) {
                (None, _) => String::new(),
                (Some(first), 1) => format!(" of {first}"),
                (Some(first), count) => format!(" of {first} and {} more", count - 1),
            };
            let (router, session) = (&update.router, &update.session);
            let faults = update.faults.join("; ");
            format!("{router}: malformed UPDATE{of} on {session}: {faults}")
        }
        Fact::RoutesLeftOut {
            router,
            session,
            count,
        } => format!("{router}: {count} facts of routes of {session} left out"),
        Fact::RouteWithdrawn {
            router,
            session,
            prefix,
            why,
        } => format!("{router}: {prefix} of {session} is gone ({why})"),
        Fact::RouteCount {
            router,
            session,
            received,
            advertised,
        } => format!("{router}: {session}: {received} routes received, {advertised} advertised"),
        Fact::MaximumPrefixes {
            router,
            session,
            received,
            limit,
        } => format!("{router}: {session} has brought {received} routes of {limit} it may"),
        Fact::RouteRefresh {
            router,
            session,
            mark,
        } => match mark.as_str() {
            "begin" => format!("{router}: {session} begins to send all routes again"),
            _ => format!("{router}: {session} has sent all routes again"),
        },
        Fact::StaleRoutes {
            router,
            session,
            routes: 0,
            why,
        } => format!("{router}: no route of {session} is stale any more ({why})"),
        Fact::StaleRoutes {
            router,
            session,
            routes,
            why,
        } => format!(
            "{router}: {} of {session} stay as stale ({why})",
            counted(u64::from(*routes), "route")
        ),
        Fact::ControlPlane {
            router,
            up,
            graceful,
        } => match (up, graceful) {
            (true, _) => format!("{router}: BGP is back"),
            (false, true) => format!("{router}: BGP is gone, the kernel forwards"),
            (false, false) => format!("{router}: BGP is gone"),
        },
        Fact::KernelRoute {
            router,
            prefix,
            via,
        } => format!("{router}: the kernel sends {prefix} over {}", list(via)),
        other => return request::fact(other),
    };
    Some(words)
}
