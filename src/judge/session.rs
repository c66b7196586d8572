//! Whether BGP sessions are as expected: those of connections, and those inside both networks, each at the end that its name says.

use super::bfd;
use super::condition;
use super::state::{Session, State};
use super::words;
use crate::scenario::Expect;
use crate::topology::{Connection, Topology, connection_of};

/// A name of a BGP session, and how the end sees it that is looked at, if anything was told of it.
type Named<'a> = (&'a str, Option<&'a Session>);

/// Those that are not as they are wanted.
fn wrong<'a>(
    what: &'a Expect,
    state: &'a State,
    topology: &'a Topology,
) -> impl Iterator<Item = Named<'a>> {
    let (names, at) = match what {
        Expect::Session { sessions, at, .. } => (&sessions[..], at.as_deref()),
        _ => (&[][..], None),
    };
    let named = names.iter().map(move |name| {
        let end = topology.bgp_session(name);
        let view = end.and_then(|(router, own)| state.session(at.unwrap_or(router), &own));
        (name.as_str(), view)
    });
    named.filter(|(_, view)| !is_as_wanted(what, *view))
}

fn is_as_wanted(what: &Expect, view: Option<&Session>) -> bool {
    let Expect::Session { up, reason, .. } = what else {
        return false;
    };
    let says = |words: &String| view.is_some_and(|it| it.why.contains(words.as_str()));
    view.is_some_and(Session::established) == *up && reason.as_ref().is_none_or(says)
}

/// Whether all of them are.
pub(super) fn holds(what: &Expect, state: &State, topology: &Topology) -> bool {
    wrong(what, state, topology).next().is_none()
}

/// How each is instead that is not.
pub(super) fn instead(what: &Expect, state: &State, topology: &Topology) -> String {
    let wrong = wrong(what, state, topology).map(|(name, view)| match view {
        None => format!("session {name} was never seen"),
        Some(session) if session.why.is_empty() || session.established() => {
            format!("session {name} is {}", session.state)
        }
        Some(session) => format!("session {name} is {} ({})", session.state, session.why),
    });
    match wrong.collect::<Vec<_>>().as_slice() {
        [] => String::new(),
        wrong => words::list(wrong),
    }
}

/// What would obviously help when one does not come up.
pub(super) fn help(what: &Expect, state: &State, topology: &Topology) -> Option<String> {
    wrong(what, state, topology).find_map(|(name, _)| {
        if let Some(own) = connection(topology, name) {
            return condition::help_for(what, state, topology, own, name);
        }
        let mut inside = topology.sessions_inside();
        let inner = inside.find(|(known, _)| known == name)?.1.inner()?;
        // A device has no BFD there.
        let guarded = inner.bfd && state.device(inner.border).is_none();
        match guarded {
            true => bfd::remedy_inside(state, topology, inner, name),
            false => None,
        }
    })
}

fn connection<'t>(topology: &'t Topology, name: &str) -> Option<&'t Connection> {
    let mut connections = topology.connections.iter();
    connections.find(|it| it.name == connection_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Fact;
    use crate::time::At;

    fn wanted(sessions: &[&str], up: bool, reason: Option<&str>, at: Option<&str>) -> Expect {
        Expect::Session {
            sessions: sessions.iter().map(|&name| name.to_owned()).collect(),
            up,
            reason: reason.map(str::to_owned),
            at: at.map(str::to_owned),
        }
    }

    /// The end that a name says is looked at, and of a connection the edge's or the one that is asked for.
    #[test]
    fn each_session_is_looked_at_from_its_end() {
        let path = std::path::Path::new("topologies/one-metro-every-bfd.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let mut state = State::default();
        for (router, session, now, why) in [
            ("ams-edge-1", "ams-1", "Established", ""),
            (
                "ams-pe-1",
                "ams-1",
                "Idle",
                "sent Cease/Administrative Reset",
            ),
            ("wan", "ams-edge-1", "Established", ""),
            ("ams-edge-1", "wan", "Idle", "BFD down"),
            ("core", "ams-pe-1/ipv6", "Established", ""),
        ] {
            let fact = Fact::Bgp {
                router: router.to_owned(),
                session: session.to_owned(),
                state: now.to_owned(),
                why: why.to_owned(),
            };
            state.apply(At::ZERO, &fact);
        }
        let wan = &["wan/ams-edge-1"][..];
        let edge = &["ams-edge-1/wan"][..];
        for (what, right) in [
            (
                wanted(
                    &["ams-1", "wan/ams-edge-1", "core/ams-pe-1/ipv6"],
                    true,
                    None,
                    None,
                ),
                true,
            ),
            (
                wanted(&["ams-1"], false, Some("Reset"), Some("ams-pe-1")),
                true,
            ),
            (wanted(&["ams-1"], false, None, None), false),
            (wanted(wan, false, None, None), false),
            (wanted(edge, false, Some("BFD down"), None), true),
            (wanted(edge, false, Some("hold timer"), None), false),
            (
                wanted(&["wan/ams-edge-1", "ams-edge-1/wan"], true, None, None),
                false,
            ),
            (wanted(&["core/ams-pe-1"], true, None, None), false),
        ] {
            assert_eq!(
                condition::holds(&what, &state, &topology),
                right,
                "{what:?}"
            );
        }
        let all = ["wan/ams-edge-1", "ams-edge-1/wan", "core/ams-pe-1"];
        let what = wanted(&all, true, None, None);
        assert_eq!(
            condition::instead(&what, &state, &topology),
            "session ams-edge-1/wan is Idle (BFD down) and session core/ams-pe-1 was never seen"
        );
        assert_eq!(condition::help(&what, &state, &topology), None);
        let broken = Fact::FaultHappened {
            fault: String::new(),
            connections: vec!["wan/ams-edge-1".to_owned()],
            repaired: false,
            impairment: false,
        };
        state.apply(At::ZERO, &broken);
        let help = condition::help(&what, &state, &topology);
        let expected = "the scenario broke wan/ams-edge-1 and has not repaired it";
        assert_eq!(help.as_deref(), Some(expected));
    }
}
