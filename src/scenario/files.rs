//! From a name in a scenario to the file it means, and the scenario with all its files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Scenario, parse};
use crate::binding::{self, Binding};
use crate::source::{Diagnostics, Located, Mistakes, Source, closest, list};
use crate::topology::Topology;

/// A scenario and the files it names, ready to be played.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// The scenario file.
    pub source: Arc<Source>,
    /// The scenario.
    pub scenario: Scenario,
    /// The topology it is played on.
    pub topology: Topology,
    /// What plays the routers: the given binding, else the scenario's, else none.
    pub binding: Binding,
}

/// Reads a scenario, its topology and its binding; `binding` is used in place of the scenario's own.
///
/// # Errors
/// Every mistake in all of these files.
pub fn load(path: &Path, binding: Option<&Path>) -> Result<Rehearsal, Diagnostics> {
    let source = Source::read(path)?;
    let (scenario, topology) = parse(&source)?;
    let binding = match binding.or(scenario.binding.as_deref()) {
        Some(path) => binding::load(path, Some(&topology))?,
        None => Binding::default(),
    };
    Ok(Rehearsal {
        source,
        scenario,
        topology,
        binding,
    })
}

/// A topology that only has to settle, as a scenario that asks for nothing else.
///
/// # Errors
/// Every mistake in the topology and the binding.
pub fn settling(topology: &Path, binding: Option<&Path>) -> Result<Rehearsal, Diagnostics> {
    // A path with a folder is relative to the scenario, which is in no folder.
    let named = std::path::absolute(topology).unwrap_or_default();
    let named = toml::Value::from(named.to_string_lossy().as_ref());
    let text = format!("topology = {named}\n\n[[step]]\nsettle = \"60s\"\n");
    let source = Source::new("settle.toml", text);
    let (mut scenario, topology_model) = parse(&source)?;
    scenario.topology = topology.to_owned();
    let binding = match binding {
        Some(path) => binding::load(path, Some(&topology_model))?,
        None => Binding::default(),
    };
    Ok(Rehearsal {
        source,
        scenario,
        topology: topology_model,
        binding,
    })
}

/// The file that `name` means, or a mistake that lists the names there are. `folder` is `topologies` or below.
///
/// A name with a slash or an extension is a path relative to the scenario file; a bare name is looked up in
/// `folder` beside the scenario file, or beside a folder that holds it, the nearest first.
pub(super) fn resolve(
    name: &Located<String>,
    kind: &str,
    folder: &str,
    mistakes: &mut Mistakes,
) -> Option<PathBuf> {
    let scenario = mistakes.source().path.clone();
    let is_path = name.value.contains('/') || name.value.ends_with(".toml");
    if is_path {
        let path = scenario.parent()?.join(&name.value);
        if !path.is_file() {
            let message = format!("there is no file `{}`", path.display());
            let diagnostic = mistakes.error(name.span, message, "relative to this file");
            mistakes.push(diagnostic);
            return None;
        }
        return Some(path);
    }
    let file = format!("{}.toml", name.value);
    for folder in folders(&scenario, folder) {
        let path = folder.join(&file);
        if path.is_file() {
            return Some(path);
        }
    }
    let message = format!("unknown {kind} `{}`", name.value);
    let mut diagnostic = mistakes.error(name.span, message, format!("no such {kind}"));
    if let Some(folder) = folders(&scenario, folder).find(|folder| folder.is_dir()) {
        let names = names_in(&folder);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if let Some(near) = closest(&name.value, names.iter().copied()) {
            let text = mistakes.quoted_like(name.span, near);
            diagnostic = diagnostic.replace(format!("did you mean `{near}`?"), name.span, text);
        }
        let place = folder.display().to_string();
        diagnostic = diagnostic.note(format!("in `{place}`: {}", list(names)));
    } else {
        diagnostic = diagnostic.note(format!(
            "there is no folder `{folder}` beside this file or above it"
        ));
    }
    mistakes.push(diagnostic);
    None
}

/// A file relative to the topology's folder, or a mistake that lists the files beside the one that was meant.
pub(super) fn beside_topology(
    name: &Located<String>,
    folder: &Path,
    mistakes: &mut Mistakes,
) -> Option<PathBuf> {
    let path = folder.join(&name.value);
    if path.is_file() {
        return Some(path);
    }
    let message = format!("there is no file `{}`", path.display());
    let mut diagnostic = mistakes.error(name.span, message, "relative to the topology file");
    let within = Path::new(&name.value).parent().unwrap_or(Path::new(""));
    let there = files_in(&folder.join(within));
    let there: Vec<String> = there
        .iter()
        .map(|file| within.join(file).to_string_lossy().into_owned())
        .collect();
    if let Some(near) = closest(&name.value, there.iter().map(String::as_str)) {
        let text = mistakes.quoted_like(name.span, near);
        diagnostic = diagnostic.replace(format!("did you mean `{near}`?"), name.span, text);
    }
    if !there.is_empty() {
        let there = list(there.iter().map(String::as_str));
        diagnostic = diagnostic.note(format!("files there: {there}"));
    }
    mistakes.push(diagnostic);
    None
}

/// Names of the files in a folder that are no TOML, in order.
fn files_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.is_file() && path.extension().is_none_or(|extension| extension != "toml")
        })
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

/// `folder` beside the file, then beside each folder that holds it; first as the path was given, then absolute.
fn folders(file: &Path, folder: &str) -> impl Iterator<Item = PathBuf> {
    let given = file.to_path_buf();
    let absolute = std::path::absolute(file).unwrap_or_default();
    let mut places: Vec<PathBuf> = Vec::new();
    for path in [given, absolute] {
        places.extend(path.ancestors().skip(1).map(|place| place.join(folder)));
    }
    places.into_iter()
}

/// Names of the TOML files in a folder, in order.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}
