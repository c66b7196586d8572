//! Onboarding by hand: the peer's ASN, peerings and connections.

use crate::provider::{AsnAction, ConnectionAction, PeeringAction, PeeringRequest, Request};
use crate::scenario::raw::{RawAction, RawAsnAction, RawOnboard};
use crate::scenario::stage::Stage;
use crate::source::{Located, Mistakes, Span, TextOr, list};

/// What can happen to a peering, and its words.
const OF_PEERINGS: [(RawAction, &str); 5] = [
    (RawAction::Request, "request"),
    (RawAction::Approve, "approve"),
    (RawAction::Reject, "reject"),
    (RawAction::Convert, "convert"),
    (RawAction::Remove, "remove"),
];
/// What can happen to connections, and its words.
const OF_CONNECTIONS: [(RawAction, &str); 4] = [
    (RawAction::Cable, "cable"),
    (RawAction::Validate, "validate"),
    (RawAction::Fail, "fail"),
    (RawAction::Remove, "remove"),
];

pub(super) fn onboard(
    raw: &Located<TextOr<RawOnboard>>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Request> {
    let at = raw.span;
    let raw = match &raw.value {
        TextOr::Text(text) if text == "all" => {
            still_to_come(at, stage, mistakes);
            stage.cabled = stage.connection_names().map(str::to_owned).collect();
            return Some(Request::Everything);
        }
        TextOr::Text(text) => {
            let message = format!("unknown part of onboarding `{text}`");
            let diagnostic = mistakes.error(at, message, "a table, or \"all\"");
            mistakes.push(diagnostic.note("a table is, for example, `{ peer-asn = \"approve\" }`"));
            return None;
        }
        TextOr::Table(table) => table,
    };
    let keys = [
        ("peer-asn", raw.peer_asn.is_some()),
        ("peering", raw.peering.is_some()),
        ("connection", raw.connection.is_some()),
    ];
    let message = "a step of onboarding is about \"all\", or about exactly one thing";
    if !mistakes.exactly_one(at, &keys, message, "what is it about?") {
        return None;
    }
    if let Some(action) = raw.peer_asn {
        return peer_asn(raw, action, at, stage, mistakes).map(Request::PeerAsn);
    }
    if let Some(metro) = &raw.peering {
        return peering(raw, metro, at, stage, mistakes);
    }
    connections(raw, at, stage, mistakes)
}

/// A mistake, if everything has been through the portal when the scenario begins.
fn still_to_come(at: Span, stage: &Stage<'_>, mistakes: &mut Mistakes) {
    if stage.onboarded {
        let message = "everything is onboarded when this scenario begins";
        let diagnostic = mistakes.error(at, message, "nothing is left to do");
        mistakes.push(diagnostic.help("write `onboarded = false` at the top of the file"));
    }
}

fn peer_asn(
    raw: &RawOnboard,
    action: Located<RawAsnAction>,
    at: Span,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<AsnAction> {
    still_to_come(action.span, stage, mistakes);
    if let Some(action) = raw.action {
        let message = "`action` does not go with `peer-asn`";
        let label = "what happens is the value of `peer-asn`";
        mistakes.push(mistakes.error(action.span, message, label));
    }
    no_properties(raw, mistakes);
    let failing = action.value == RawAsnAction::Fail;
    let message = message(raw, failing, "fail", at, mistakes);
    Some(match action.value {
        RawAsnAction::Register => AsnAction::Register,
        RawAsnAction::Approve => AsnAction::Approve,
        RawAsnAction::Fail => AsnAction::Fail { message: message? },
    })
}

fn peering(
    raw: &RawOnboard,
    metro: &Located<String>,
    at: Span,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Request> {
    let known = mistakes.known(metro, "metro", stage.metro_names());
    let action = action(raw, "peering", &OF_PEERINGS, at, mistakes)?;
    if !matches!(action, RawAction::Convert | RawAction::Remove) {
        still_to_come(metro.span, stage, mistakes);
    }
    if action != RawAction::Request {
        no_properties(raw, mistakes);
    }
    let message = message(raw, action == RawAction::Reject, "reject", at, mistakes);
    let peering = known.then(|| metro.value.clone())?;
    let action = match action {
        RawAction::Request => PeeringAction::Request(request(raw, &peering, stage, mistakes)?),
        RawAction::Approve => PeeringAction::Approve,
        RawAction::Reject => PeeringAction::Reject { message: message? },
        RawAction::Convert => PeeringAction::Convert,
        RawAction::Remove => {
            let removed = stage.connections_of(&peering);
            stage.cabled.retain(|name| !removed.contains(name));
            PeeringAction::Remove
        }
        RawAction::Cable | RawAction::Validate | RawAction::Fail => return None,
    };
    Some(Request::Peering { peering, action })
}

/// The properties of a new peering: what the walkthrough of the profile asks for, but for what the step says.
fn request(
    raw: &RawOnboard,
    metro: &str,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<PeeringRequest> {
    let there = stage.connections_of(metro);
    let connections = match &raw.connections {
        Some(names) => {
            let named = stage.connections(names, mistakes)?;
            if let Some(stranger) = named.iter().find(|name| !there.contains(name)) {
                let message = format!("`{stranger}` is not in the metro `{metro}`");
                let diagnostic = mistakes.error(names.span, message, "a peering has one location");
                let valid = list(there.iter().map(String::as_str));
                mistakes.push(diagnostic.note(format!("connections there: {valid}")));
                return None;
            }
            named
        }
        None => there,
    };
    let mut request = PeeringRequest::of(&stage.topology.profile, connections);
    let set = |property: &mut String, given: &Option<Located<String>>| {
        if let Some(given) = given {
            property.clone_from(&given.value);
        }
    };
    set(&mut request.kind, &raw.r#type);
    set(&mut request.network, &raw.network);
    set(&mut request.sku, &raw.sku);
    set(
        &mut request.session_address_provider,
        &raw.session_address_provider,
    );
    if let Some(used) = raw.use_for_peering_service {
        request.use_for_peering_service = used.value;
    }
    Some(request)
}

fn connections(
    raw: &RawOnboard,
    at: Span,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Request> {
    let names = raw.connection.as_ref()?;
    let connections = stage.connections(names, mistakes);
    let action = action(raw, "connection", &OF_CONNECTIONS, at, mistakes)?;
    if !matches!(action, RawAction::Fail | RawAction::Remove) {
        still_to_come(names.span, stage, mistakes);
    }
    no_properties(raw, mistakes);
    let message = message(raw, action == RawAction::Fail, "fail", at, mistakes);
    let connections = connections?;
    let action = match action {
        RawAction::Cable => {
            let new = connections
                .iter()
                .filter(|name| !stage.cabled.contains(name));
            let new: Vec<String> = new.cloned().collect();
            stage.cabled.extend(new);
            ConnectionAction::Cable
        }
        RawAction::Validate => ConnectionAction::Validate,
        RawAction::Fail => ConnectionAction::Fail { message: message? },
        RawAction::Remove => {
            stage.cabled.retain(|name| !connections.contains(name));
            ConnectionAction::Remove
        }
        RawAction::Request | RawAction::Approve | RawAction::Reject | RawAction::Convert => {
            return None;
        }
    };
    Some(Request::Connections {
        connections,
        action,
    })
}

/// What happens, if it can happen to this.
fn action(
    raw: &RawOnboard,
    about: &str,
    valid: &[(RawAction, &str)],
    at: Span,
    mistakes: &mut Mistakes,
) -> Option<RawAction> {
    let words: Vec<&str> = valid.iter().map(|(_, word)| *word).collect();
    let example = format!("action = \"{}\"", words.first().unwrap_or(&"…"));
    let owner = format!("`onboard` of a {about}");
    let action = mistakes.require(raw.action, at, &owner, "action", &example)?;
    if valid
        .iter()
        .any(|(action_of, _)| *action_of == action.value)
    {
        return Some(action.value);
    }
    let message = format!("this does not happen to a {about}");
    let diagnostic = mistakes.error(action.span, message, "not here");
    mistakes.push(diagnostic.note(format!("one of {}", list(words))));
    None
}

/// The error message: where something fails, and only there.
fn message(
    raw: &RawOnboard,
    fails: bool,
    word: &str,
    at: Span,
    mistakes: &mut Mistakes,
) -> Option<String> {
    if fails {
        let owner = format!("`{word}`");
        let example = "message = \"…\"";
        let message = mistakes.require(raw.message.as_ref(), at, &owner, "message", example)?;
        return mistakes.printable(message).then(|| message.value.clone());
    }
    if let Some(message) = &raw.message {
        let text = "`message` goes with a failure only";
        mistakes.push(mistakes.error(message.span, text, "nothing fails here"));
    }
    None
}

/// The properties of a new peering go with its request only.
fn no_properties(raw: &RawOnboard, mistakes: &mut Mistakes) {
    let text = |key, given: &Option<Located<String>>| Some((key, given.as_ref()?.span));
    let given = [
        text("type", &raw.r#type),
        text("network", &raw.network),
        text("sku", &raw.sku),
        text("session-address-provider", &raw.session_address_provider),
        raw.use_for_peering_service
            .map(|given| ("use-for-peering-service", given.span)),
        raw.connections
            .as_ref()
            .map(|given| ("connections", given.span)),
    ];
    for (key, span) in given.into_iter().flatten() {
        let message = format!("`{key}` is a property of a new peering");
        let diagnostic = mistakes.error(span, message, "not here");
        mistakes.push(diagnostic.note("it goes with `peering = \"…\", action = \"request\"`"));
    }
}
