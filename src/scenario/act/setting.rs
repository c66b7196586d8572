//! Registries, and what Microsoft does, change during a run.

use std::path::PathBuf;

use crate::provider::Request;
use crate::scenario::files;
use crate::scenario::raw::{RawHealth, RawSet, SETTINGS};
use crate::scenario::stage::Stage;
use crate::scenario::{Act, RegistrySource, Setting};
use crate::source::{Located, Mistakes, list};

/// The most routes Microsoft announces in a lab.
const MOST_ROUTES: u16 = 512;

pub(super) fn set(
    raw: &Located<RawSet>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let at = raw.span;
    let raw = &raw.value;
    let given: Vec<&str> = [
        raw.rpki.as_ref().map(|_| "rpki"),
        raw.irr.as_ref().map(|_| "irr"),
        raw.slurm.as_ref().map(|_| "slurm"),
        raw.microsoft_routes.map(|_| "microsoft-routes"),
        raw.microsoft.map(|_| "microsoft"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if given.len() != 1 {
        if given.is_empty() && mistakes.is_struck(at, None) {
            return None;
        }
        let label = match given.is_empty() {
            true => "nothing is set here".to_owned(),
            false => format!("{} here", list(given)),
        };
        let diagnostic = mistakes.error(at, "a step sets exactly one thing", label);
        mistakes.push(diagnostic.note(format!("one of {}", list(SETTINGS))));
        return None;
    }
    if let Some(text) = &raw.rpki {
        let source = registry(text, "rpki", stage, mistakes)?;
        return Some(Act::Set(Setting::Rpki(source)));
    }
    if let Some(text) = &raw.irr {
        let source = registry(text, "irr", stage, mistakes)?;
        return Some(Act::Set(Setting::Irr(source)));
    }
    if let Some(name) = &raw.slurm {
        return Some(Act::Set(Setting::Slurm(file(name, stage, mistakes)?)));
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

/// A file, or that the registry falls silent, or that it answers again.
fn registry(
    text: &Located<String>,
    name: &'static str,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<RegistrySource> {
    let dead = stage.dead.contains(&name);
    let source = match text.value.as_str() {
        "dead" if dead => {
            let message = format!("`{name}` is dead already");
            mistakes.push(mistakes.error(text.span, message, "the second time"));
            return None;
        }
        "dead" => RegistrySource::Dead,
        "live" if !dead => {
            let message = format!("`{name}` is not dead here");
            let diagnostic = mistakes.error(text.span, message, "it answers already");
            mistakes
                .push(diagnostic.help(format!("kill it before: `set = {{ {name} = \"dead\" }}`")));
            return None;
        }
        "live" => RegistrySource::Live,
        _ => RegistrySource::File(file(text, stage, mistakes)?),
    };
    stage.dead.retain(|other| *other != name);
    if source == RegistrySource::Dead {
        stage.dead.push(name);
    }
    Some(source)
}

/// A file, relative to the topology file as those of its `[peer.registry]` are.
fn file(name: &Located<String>, stage: &Stage<'_>, mistakes: &mut Mistakes) -> Option<PathBuf> {
    match stage.kept {
        true => Some(stage.folder.join(&name.value)),
        false => files::beside_topology(name, &stage.folder, mistakes),
    }
}
