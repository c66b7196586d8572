//! Registries, policies, and what Microsoft does, change during a run.

use std::path::{Path, PathBuf};

use crate::provider::Request;
use crate::registry::files as registries;
use crate::scenario::files;
use crate::scenario::raw::{RawHealth, RawSet, RawSpeaker};
use crate::scenario::stage::Stage;
use crate::scenario::{Act, PolicyChange, RegistrySource, Setting, Speaker};
use crate::source::{Diagnostics, Located, Mistakes, Names};

/// The most routes Microsoft announces in a lab.
const MOST_ROUTES: u16 = 512;

pub(super) fn set(
    raw: &Located<RawSet>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let at = raw.span;
    let raw = &raw.value;
    let keys = [
        ("rpki", raw.rpki.is_some()),
        ("irr", raw.irr.is_some()),
        ("slurm", raw.slurm.is_some()),
        ("microsoft-routes", raw.microsoft_routes.is_some()),
        ("microsoft", raw.microsoft.is_some()),
        ("import", raw.import.is_some()),
        ("export", raw.export.is_some()),
    ];
    let message = "a step sets exactly one thing";
    if !mistakes.exactly_one(at, &keys, message, "nothing is set here") {
        return None;
    }
    if let Some(name) = raw.import.as_ref().or(raw.export.as_ref()) {
        return policy(name, raw, stage, mistakes).map(Act::Policy);
    }
    let alone = [
        ("on", raw.on.as_ref().map(|on| on.span)),
        ("by", raw.by.map(|by| by.span)),
    ];
    for (key, span) in alone {
        let Some(span) = span else { continue };
        let message = format!("`{key}` goes with `import` and `export`");
        mistakes.push(mistakes.error(span, message, "not here"));
    }
    if let Some(text) = &raw.rpki {
        let source = registry(text, "rpki", registries::vrps, stage, mistakes)?;
        return Some(Act::Set(Setting::Rpki(source)));
    }
    if let Some(text) = &raw.irr {
        let source = registry(text, "irr", registries::irr, stage, mistakes)?;
        return Some(Act::Set(Setting::Irr(source)));
    }
    if let Some(name) = &raw.slurm {
        if !stage.registries.contains(&"rpki") {
            let message = "there are exceptions to an RPKI that is not named";
            let diagnostic = mistakes.error(name.span, message, "exceptions to what?");
            mistakes.push(diagnostic.help(named("rpki")));
        }
        let path = file(name, registries::slurm, stage, mistakes)?;
        return Some(Act::Set(Setting::Slurm(path)));
    }
    if let Some(count) = raw.microsoft_routes {
        if !(1..=MOST_ROUTES).contains(&count.value) {
            let message = format!("{} routes cannot be announced", count.value);
            mistakes.push(mistakes.error(count.span, message, format!("1 to {MOST_ROUTES}")));
            return None;
        }
        stage.microsoft_routes = count.value;
        return Some(Act::Set(Setting::MicrosoftRoutes(count.value)));
    }
    let healthy = raw.microsoft?.value == RawHealth::Healthy;
    Some(Act::Request(Request::Health(healthy)))
}

/// Another policy for what is received or announced.
fn policy(
    name: &Located<String>,
    raw: &RawSet,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<PolicyChange> {
    let all = Located {
        value: Names::One("all".to_owned()),
        span: name.span,
    };
    let by = match raw.by.map(|by| by.value) {
        Some(RawSpeaker::Peer) => Speaker::Peer,
        Some(RawSpeaker::Microsoft) | None => Speaker::Microsoft,
    };
    let policies = &stage.topology.policies;
    let known = match by {
        Speaker::Peer => policies.suits_peer(name, mistakes),
        Speaker::Microsoft => policies.knows(name, mistakes),
    };
    let connections = stage.connections(raw.on.as_ref().unwrap_or(&all), mistakes)?;
    let import = raw.import.is_some();
    if known && import && by == Speaker::Microsoft {
        stage.imports.push(name.value.clone());
    }
    known.then(|| PolicyChange {
        by,
        connections,
        import,
        name: name.value.clone(),
    })
}

/// A file, or that the registry falls silent, or that it answers again.
fn registry<T>(
    text: &Located<String>,
    name: &'static str,
    read: fn(&Path) -> Result<T, Diagnostics>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<RegistrySource> {
    let dead = stage.dead.contains(&name);
    let source = match text.value.as_str() {
        "dead" | "live" if !stage.registries.contains(&name) => {
            let message = format!("the topology names no `{name}`");
            let diagnostic = mistakes.error(text.span, message, "nothing that could answer");
            mistakes.push(diagnostic.help(named(name)));
            return None;
        }
        "dead" if dead => {
            let message = format!("`{name}` is dead already");
            mistakes.push(mistakes.error(text.span, message, "the second time"));
            return None;
        }
        "dead" => RegistrySource::Dead,
        "live" if !dead => {
            let message = format!("`{name}` is not dead here");
            let diagnostic = mistakes.error(text.span, message, "it answers already");
            let help = format!("kill it before: `set = {{ {name} = \"dead\" }}`");
            mistakes.push(diagnostic.help(help));
            return None;
        }
        "live" => RegistrySource::Live,
        _ => RegistrySource::File(file(text, read, stage, mistakes)?),
    };
    stage.dead.retain(|other| *other != name);
    match source {
        RegistrySource::Dead => stage.dead.push(name),
        RegistrySource::File(_) if !stage.registries.contains(&name) => {
            stage.registries.push(name);
        }
        RegistrySource::File(_) | RegistrySource::Live => {}
    }
    Some(source)
}

/// How a registry gets a name.
fn named(name: &str) -> String {
    format!("write `{name} = \"…\"` in `[peer.registry]` of the topology, or set a file before")
}

/// A file without mistakes, relative to the topology file as those of its `[peer.registry]` are.
fn file<T>(
    name: &Located<String>,
    read: fn(&Path) -> Result<T, Diagnostics>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<PathBuf> {
    if name.value.is_empty() || Path::new(&name.value).is_absolute() {
        let message = format!(
            "`{}` is not a path relative to the topology file",
            name.value
        );
        mistakes.push(mistakes.error(name.span, message, "a relative path"));
        return None;
    }
    if stage.kept {
        return Some(stage.folder.join(&name.value));
    }
    let path = files::beside_topology(name, &stage.folder, mistakes)?;
    match read(&path) {
        Ok(_) => Some(path),
        Err(found) => {
            mistakes.extend(found);
            None
        }
    }
}
