//! What Microsoft's people do to the BGP sessions of connections.

use crate::scenario::raw::RawShutdown;
use crate::scenario::stage::Stage;
use crate::scenario::{Act, SessionOrder};
use crate::source::{Located, Mistakes, Names};

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
    let example = "session = \"ams-1\"";
    let names = raw.value.session.as_ref();
    let names = mistakes.require(names, raw.span, "`shutdown`", "session", example)?;
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
    stage.shut.extend(sessions.iter().cloned());
    Some(Act::Sessions {
        order: SessionOrder::Shutdown { text },
        sessions,
    })
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
