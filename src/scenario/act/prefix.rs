//! Registered prefixes and Peering Service prefixes are created, validated and deleted.

use crate::provider::{Key, Request};
use crate::scenario::raw::{RawActivate, RawRegister, RawStep};
use crate::scenario::stage::Stage;
use crate::source::{Located, Mistakes, TextOr, list};

/// A well-formed key that no prefix was ever given.
const UNKNOWN_KEY: &str = "00000000-0000-0000-0000-000000000000";

/// The request of a step that is about a prefix; inside, `None` after a mistake.
pub(super) fn request(
    raw: &RawStep,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Option<Request>> {
    if let Some(raw) = &raw.register {
        return Some(register(raw, stage, mistakes));
    }
    if let Some(name) = &raw.unregister {
        let prefix = there(name, &stage.registered, "registered", mistakes);
        return Some(prefix.map(|prefix| Request::Unregister { prefix }));
    }
    if let Some(name) = &raw.validate {
        let prefix = there(name, &stage.registered, "registered", mistakes);
        return Some(prefix.map(|prefix| Request::Validate { prefix }));
    }
    if let Some(asn) = raw.register_asn {
        let (asn, peering) = (asn.value, None);
        return Some(Some(Request::RegisterAsn { asn, peering }));
    }
    if let Some(asn) = raw.unregister_asn {
        return Some(Some(Request::UnregisterAsn { asn: asn.value }));
    }
    if let Some(raw) = &raw.activate {
        return Some(activate(raw, stage, mistakes));
    }
    let name = raw.deactivate.as_ref()?;
    let prefix = there(name, &stage.activated, "activated", mistakes);
    Some(prefix.map(|prefix| Request::Deactivate { prefix }))
}

/// A prefix that a step before has created; whether it was refused then, only the run knows.
fn there(
    name: &Located<String>,
    valid: &[String],
    what: &str,
    mistakes: &mut Mistakes,
) -> Option<String> {
    let kind = format!("{what} prefix");
    let known = mistakes.known(name, &kind, valid.iter().map(String::as_str));
    known.then(|| name.value.clone())
}

fn register(
    raw: &Located<TextOr<RawRegister>>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Request> {
    let (prefix, peering) = match &raw.value {
        TextOr::Text(prefix) => {
            let prefix = Located {
                value: prefix.clone(),
                span: raw.span,
            };
            (prefix, None)
        }
        TextOr::Table(table) => {
            let example = "prefix = \"203.0.113.0/24\"";
            let prefix = table.prefix.as_ref();
            let prefix = mistakes.require(prefix, raw.span, "`register`", "prefix", example);
            if let Some(metro) = &table.peering
                && !mistakes.known(metro, "metro", stage.metro_names())
            {
                return None;
            }
            let peering = table.peering.as_ref();
            (prefix?.clone(), peering.map(|metro| metro.value.clone()))
        }
    };
    if !mistakes.printable(&prefix) {
        return None;
    }
    let prefix = prefix.value;
    if !stage.registered.contains(&prefix) {
        stage.registered.push(prefix.clone());
    }
    Some(Request::Register { prefix, peering })
}

fn activate(
    raw: &Located<TextOr<RawActivate>>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Request> {
    let topology = stage.topology;
    if topology.services.is_empty() {
        let message = "the topology has no Peering Service";
        let diagnostic = mistakes.error(raw.span, message, "nothing to activate it under");
        mistakes.push(diagnostic.help(format!(
            "write `[service.…]` with `primary = \"…\"` in the topology `{}`",
            topology.name
        )));
        return None;
    }
    let table = match &raw.value {
        TextOr::Text(prefix) => RawActivate {
            prefix: Some(Located {
                value: prefix.clone(),
                span: raw.span,
            }),
            ..RawActivate::default()
        },
        TextOr::Table(table) => table.clone(),
    };
    let example = "prefix = \"203.0.113.0/24\"";
    let prefix = table.prefix.as_ref();
    let prefix = mistakes.require(prefix, raw.span, "`activate`", "prefix", example);
    let services = topology
        .services
        .iter()
        .map(|service| service.name.as_str());
    if let Some(service) = &table.service
        && !mistakes.known(service, "Peering Service", services)
    {
        return None;
    }
    let key = match &table.key {
        Some(given) => key(given, mistakes)?,
        None => Key::Right,
    };
    let provider = table.provider.as_ref();
    let texts = [prefix?].into_iter().chain(provider);
    if texts.filter(|text| !mistakes.printable(text)).count() > 0 {
        return None;
    }
    let prefix = prefix?.value.clone();
    if !stage.activated.contains(&prefix) {
        stage.activated.push(prefix.clone());
    }
    Some(Request::Activate {
        prefix,
        service: table.service.map(|service| service.value),
        key,
        provider: table.provider.map(|provider| provider.value),
    })
}

fn key(given: &Located<String>, mistakes: &mut Mistakes) -> Option<Key> {
    match given.value.as_str() {
        "wrong" => Some(Key::OfAnother),
        "unknown" => Some(Key::Given(UNKNOWN_KEY.to_owned())),
        asn if of_asn(asn).is_some() => of_asn(asn).map(Key::OfAsn),
        guid if is_guid(guid) => Some(Key::Given(guid.to_ascii_lowercase())),
        other => {
            let message = format!("`{other}` is not a prefix key");
            let label = "a GUID, or one of the words";
            let diagnostic = mistakes.error(given.span, message, label);
            let words = list(["wrong", "unknown", "asn 64501"]);
            mistakes.push(
                diagnostic.note(format!("words: {words}; leave `key` out for the right one")),
            );
            None
        }
    }
}

/// The AS of `asn 64501`.
fn of_asn(text: &str) -> Option<u32> {
    text.strip_prefix("asn ")?.parse().ok()
}

/// RFC 9562, section 4: 8, 4, 4, 4 and 12 hexadecimal digits.
fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}
