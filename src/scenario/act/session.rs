//! What Microsoft's people do to the BGP sessions of connections, and routers that restart.

use std::time::Duration;

use crate::scenario::raw::{RawRestart, RawShutdown};
use crate::scenario::stage::Stage;
use crate::scenario::{Act, Restart, SessionOrder};
use crate::source::{Located, Mistakes, Names, TextOr};

/// What the peer is told when nothing else is to be said.
const MAINTENANCE: &str = "maintenance";
/// The longest text that a NOTIFICATION can hold (RFC 9003, section 2), bytes.
const LONGEST_TEXT: usize = 255;

pub(super) fn drain(
    names: &Located<Names>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let sessions = stage.sessions(names, mistakes)?;
    none_of(&sessions, &stage.shut, "shut down already", names, mistakes)?;
    none_of(
        &sessions,
        &stage.drained,
        "drained already",
        names,
        mistakes,
    )?;
    stage.drained.extend(sessions.iter().cloned());
    Some(Act::Sessions {
        order: SessionOrder::Drain,
        sessions,
    })
}

pub(super) fn shutdown(
    raw: &Located<RawShutdown>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let (sessions, text) = ended(raw, "`shutdown`", stage, mistakes)?;
    stage.shut.extend(sessions.iter().cloned());
    Some(Act::Sessions {
        order: SessionOrder::Shutdown { text },
        sessions,
    })
}

pub(super) fn reset(
    raw: &Located<RawShutdown>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let (sessions, text) = ended(raw, "`reset`", stage, mistakes)?;
    Some(Act::Sessions {
        order: SessionOrder::Reset { text },
        sessions,
    })
}

/// Sessions that are ended by hand, and what the peer is told.
fn ended(
    raw: &Located<RawShutdown>,
    owner: &str,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<(Vec<String>, String)> {
    let example = "session = \"ams-1\"";
    let names = raw.value.session.as_ref();
    let names = mistakes.require(names, raw.span, owner, "session", example)?;
    let text = match &raw.value.text {
        Some(text) if text.value.len() > LONGEST_TEXT => {
            let message = format!("a text of {} bytes is too long", text.value.len());
            let label = format!("at most {LONGEST_TEXT}");
            let diagnostic = mistakes.error(text.span, message, label);
            mistakes.push(diagnostic.note("RFC 9003, section 2"));
            return None;
        }
        Some(text) => text.value.clone(),
        None => MAINTENANCE.to_owned(),
    };
    let sessions = stage.sessions(names, mistakes)?;
    none_of(&sessions, &stage.shut, "shut down already", names, mistakes)?;
    Some((sessions, text))
}

pub(super) fn start(
    names: &Located<Names>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let sessions = stage.sessions(names, mistakes)?;
    let away = |name: &String| {
        stage.shut.contains(name) || stage.drained.contains(name) || stage.may_have_ended(name)
    };
    if let Some(session) = sessions.iter().find(|name| !away(name)) {
        let message = format!("session `{session}` is neither shut down nor drained");
        let diagnostic = mistakes.error(names.span, message, "nothing to start");
        mistakes.push(diagnostic.note(
            "a session with `maximum-prefixes` can be started, too: it may have been ended for what it brought",
        ));
        return None;
    }
    stage.shut.retain(|name| !sessions.contains(name));
    stage.drained.retain(|name| !sessions.contains(name));
    Some(Act::Sessions {
        order: SessionOrder::Start,
        sessions,
    })
}

pub(super) fn refresh(
    names: &Located<Names>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let sessions = stage.sessions(names, mistakes)?;
    none_of(&sessions, &stage.shut, "shut down", names, mistakes)?;
    Some(Act::Sessions {
        order: SessionOrder::Refresh,
        sessions,
    })
}

pub(super) fn restart(
    raw: &Located<TextOr<RawRestart>>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let (router, graceful, takes) = match &raw.value {
        TextOr::Text(name) => {
            let name = Located {
                value: name.clone(),
                span: raw.span,
            };
            (name, None, None)
        }
        TextOr::Table(table) => {
            let example = "router = \"ams-pe-1\"";
            let router = table.router.as_ref();
            let router = mistakes.require(router, raw.span, "`restart`", "router", example)?;
            (router.clone(), table.graceful, table.takes)
        }
    };
    let routers = stage.topology.routers.iter();
    let routers = routers.map(|router| router.name.as_str());
    let valid = routers.chain(stage.edge_names());
    if !mistakes.known(&router, "router of the peer, or edge", valid) {
        return None;
    }
    let graceful = graceful.filter(|graceful| graceful.value);
    if let Some(graceful) = graceful
        && !restarts_gracefully(&router.value, stage)
    {
        let message = format!("`{}` says to nobody that it can do so", router.value);
        let diagnostic = mistakes.error(graceful.span, message, "its neighbours will keep nothing");
        let help = "write `graceful-restart = \"60s\"` in the `bgp` of the router, or of the edge's connections";
        mistakes.push(diagnostic.help(help));
    }
    Some(Act::Restart(Restart {
        router: router.value,
        graceful: graceful.is_some(),
        takes: takes.map_or(Duration::ZERO, |takes| takes.value.0),
    }))
}

/// Whether a router announces graceful restart on any of its connections.
fn restarts_gracefully(name: &str, stage: &Stage<'_>) -> bool {
    let mut routers = stage.topology.routers.iter();
    let mut connections = stage.topology.connections.iter();
    match routers.find(|router| router.name == name) {
        Some(router) => router.bgp.options.capabilities.graceful_restart.is_some(),
        None => connections.any(|connection| {
            connection.edge == name
                && connection
                    .bgp
                    .options
                    .capabilities
                    .graceful_restart
                    .is_some()
        }),
    }
}

/// None of the sessions is in a state already.
fn none_of(
    sessions: &[String],
    already: &[String],
    state: &str,
    names: &Located<Names>,
    mistakes: &mut Mistakes,
) -> Option<()> {
    let Some(session) = sessions.iter().find(|name| already.contains(name)) else {
        return Some(());
    };
    let message = format!("session `{session}` is {state}");
    let diagnostic = mistakes.error(names.span, message, "not again");
    mistakes.push(diagnostic.help(format!("`start = \"{session}\"` before it starts it again")));
    None
}
