//! What is asked of the Microsoft side, what is set, and what it tells, in words.

use super::list;
use crate::judge::microsoft::result;
use crate::provider::{AsnAction, ConnectionAction, Key, PeeringAction, Request};
use crate::record::Fact;
use crate::scenario::{PolicyChange, RegistrySource, Setting, Speaker};

/// A request, for example `register 203.0.113.0/24`.
pub(super) fn words(request: &Request) -> String {
    match request {
        Request::Everything => "onboard all".to_owned(),
        Request::PeerAsn(action) => match action {
            AsnAction::Register => "onboard: peer ASN is registered".to_owned(),
            AsnAction::Approve => "onboard: peer ASN is approved".to_owned(),
            AsnAction::Fail { message } => format!("onboard: peer ASN is refused ({message})"),
        },
        Request::Peering { peering, action } => {
            let action = match action {
                PeeringAction::Request(_) => "is requested".to_owned(),
                PeeringAction::Approve => "is approved".to_owned(),
                PeeringAction::Reject { message } => format!("is rejected ({message})"),
                PeeringAction::Convert => "is converted to voice".to_owned(),
                PeeringAction::Remove => "is removed".to_owned(),
            };
            format!("onboard: peering {peering} {action}")
        }
        Request::Connections {
            connections,
            action,
        } => {
            let action = match action {
                ConnectionAction::Cable => "cable".to_owned(),
                ConnectionAction::Validate => "validate".to_owned(),
                ConnectionAction::Fail { message } => format!("fail ({message})"),
                ConnectionAction::Remove => "remove".to_owned(),
            };
            format!("onboard: {action} {}", list(connections))
        }
        Request::Register { prefix, peering } => match peering {
            Some(peering) => format!("register {prefix} with {peering}"),
            None => format!("register {prefix}"),
        },
        Request::RegisterAsn { asn, peering } => match peering {
            Some(peering) => format!("register AS{asn} with {peering}"),
            None => format!("register AS{asn}"),
        },
        Request::UnregisterAsn { asn } => format!("unregister AS{asn}"),
        Request::Unregister { prefix } => format!("unregister {prefix}"),
        Request::Validate { prefix } => format!("validate {prefix}"),
        Request::Activate {
            prefix,
            service,
            key,
            provider,
        } => {
            let service = service.as_ref().map(|service| format!(" under {service}"));
            let key = match key {
                Key::Right => None,
                Key::OfAnother => Some(" with the key of another".to_owned()),
                Key::OfAsn(asn) => Some(format!(" with the key of AS{asn}")),
                Key::Given(_) => Some(" with a key".to_owned()),
            };
            let provider = provider
                .as_ref()
                .map(|provider| format!(" through {provider}"));
            format!(
                "activate {prefix}{}{}{}",
                service.unwrap_or_default(),
                key.unwrap_or_default(),
                provider.unwrap_or_default()
            )
        }
        Request::Deactivate { prefix } => format!("deactivate {prefix}"),
        Request::Health(true) => "set Microsoft healthy".to_owned(),
        Request::Health(false) => "set Microsoft to internal errors".to_owned(),
    }
}

/// What is set, for example `set rpki dead`.
pub(super) fn setting(setting: &Setting) -> String {
    let source = |source: &RegistrySource| match source {
        RegistrySource::File(path) => {
            let name = path.file_name().unwrap_or_default();
            format!("to {}", name.to_string_lossy())
        }
        RegistrySource::Dead => "dead".to_owned(),
        RegistrySource::Live => "live".to_owned(),
    };
    match setting {
        Setting::Irr(from) => format!("set irr {}", source(from)),
        Setting::Rpki(from) => format!("set rpki {}", source(from)),
        Setting::Slurm(path) => {
            let file = RegistrySource::File(path.clone());
            format!("set slurm {}", source(&file))
        }
        Setting::MicrosoftRoutes(count) => format!("set {count} Microsoft routes"),
    }
}

/// Another policy, for example `set import edge-import on ams-1`.
pub(super) fn policy(change: &PolicyChange) -> String {
    let whose = match change.by {
        Speaker::Microsoft => "",
        Speaker::Peer => "peer's ",
    };
    let way = if change.import { "import" } else { "export" };
    let on = list(&change.connections);
    format!("set {whose}{way} {} on {on}", change.name)
}

/// What the Microsoft side or a registry told; `None` for other facts.
pub(super) fn fact(fact: &Fact) -> Option<String> {
    let because = |why: &str| match why.is_empty() {
        true => String::new(),
        false => format!(" ({why})"),
    };
    let words = match fact {
        Fact::RouteAccepted {
            router,
            session,
            prefix,
            local_pref,
        } => format!("{router}: {prefix} of {session} accepted, LOCAL_PREF {local_pref}"),
        Fact::RouteRefused {
            router,
            session,
            prefix,
            as_path,
            reason,
            ..
        } => format!("{router}: {prefix} of {session} refused ({reason}), AS path {as_path}"),
        Fact::PeerAsn { asn, state, error } => format!("peer ASN {asn} {state}{}", because(error)),
        Fact::Peering {
            peering,
            state,
            error,
        } => format!("peering {peering} {state}{}", because(error)),
        Fact::Connection {
            connection,
            state,
            session_state,
            error,
            why,
        } => {
            let why = because(if error.is_empty() { why } else { error });
            format!("connection {connection} {state}, session {session_state}{why}")
        }
        Fact::RegisteredPrefix {
            prefix,
            state,
            failures,
            ..
        } => format!("registered prefix {prefix} {}", result(state, failures)),
        Fact::ServicePrefix {
            prefix,
            state,
            failures,
            ..
        } => format!(
            "Peering Service prefix {prefix} {}",
            result(state, failures)
        ),
        Fact::RegisteredAsn { peering, asn, key } => match key {
            Some(_) => format!("AS{asn} registered with {peering}"),
            None => format!("registered AS{asn} deleted"),
        },
        Fact::PrefixDeleted { object, prefix } => {
            format!("{} {prefix} deleted", object.replace('-', " "))
        }
        Fact::Event {
            event,
            level,
            subject,
            summary,
            ..
        } => format!("{event} ({level}) of {subject}: {summary}"),
        Fact::Registry {
            registry,
            source,
            event,
            text,
            ..
        } => format!("{registry} {source} {event}{}", because(text)),
        Fact::Collector {
            router,
            address,
            event,
            text,
        } => format!("{router}: BMP collector {address} {event}{}", because(text)),
        Fact::MonitoringMissed {
            router,
            session,
            count,
        } => format!("{router}: {count} messages of {session} in neither trace nor feed"),
        Fact::RegistryAsked {
            registry,
            by,
            question,
        } => format!("{by} asked the lab's {registry} for {question}"),
        _ => return None,
    };
    Some(words)
}
