//! The files of a run: scenarios given one by one or as folders, and the texts that go into the record.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::binding::{self, Binding, Device};
use crate::record::SourceText;
use crate::run::Sources;
use crate::scenario::{self, Rehearsal};
use crate::source::{Diagnostic, Diagnostics};

/// What is to be played.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Scenarios and their files, in order.
    pub rehearsals: Vec<(Rehearsal, Sources)>,
    /// Scenarios of folders that the binding does not fit, and why.
    pub left_out: Vec<String>,
}

/// Reads everything a run needs; nothing is built before all files are right.
///
/// # Errors
/// Every mistake in all files.
pub fn load(paths: &[PathBuf], binding: Option<&Path>) -> Result<Loaded, Diagnostics> {
    let mut mistakes = Diagnostics::default();
    let mut loaded = Loaded::default();
    let host = host();
    for path in paths {
        let files = match scenarios(path) {
            Ok(files) => files,
            Err(diagnostic) => {
                mistakes.push(diagnostic);
                continue;
            }
        };
        for file in files {
            if path.is_dir()
                && let Some(binding) = binding
                && let Some(why) = unfit(&file, binding)
            {
                loaded
                    .left_out
                    .push(format!("{} is left out: {why}", file.display()));
                continue;
            }
            match scenario::load(&file, binding) {
                Ok(rehearsal) => {
                    let sources = sources(&rehearsal, binding, &host);
                    loaded.rehearsals.push((rehearsal, sources));
                }
                Err(found) => mistakes.extend(found),
            }
        }
    }
    mistakes.sort();
    if mistakes.is_empty() {
        Ok(loaded)
    } else {
        Err(mistakes)
    }
}

/// The scenario files a path stands for: itself, or all `.toml` files below it, in order of their names.
fn scenarios(path: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| {
            Diagnostic::error(format!(
                "cannot read the folder `{}`: {error}",
                folder.display()
            ))
        })?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        let message = format!("there is no scenario in the folder `{}`", path.display());
        return Err(Diagnostic::error(message).note("a scenario is a file that ends in .toml"));
    }
    // Short ones first: what a folder itself holds comes before what its folders hold.
    found.sort_by_key(|file| (file.components().count(), file.clone()));
    Ok(found)
}

/// Why a scenario of a folder cannot be played with a binding, if so.
fn unfit(file: &Path, path: &Path) -> Option<String> {
    let rehearsal = scenario::load(file, None).ok()?;
    let binding = binding::load(path, None).ok()?;
    let known = |router: &str| {
        rehearsal
            .topology
            .routers
            .iter()
            .any(|known| known.name == router)
    };
    if let Some((router, _)) = binding.routers.iter().find(|(router, _)| !known(router)) {
        return Some(format!(
            "its topology `{}` has no router `{router}`",
            rehearsal.topology.name
        ));
    }
    told_what_to_do(&rehearsal, &binding)
}

/// A scenario may tell simulated routers what to leave out; a real one does what its configuration says.
fn told_what_to_do(rehearsal: &Rehearsal, binding: &Binding) -> Option<String> {
    let without = &rehearsal.scenario.without_bfd;
    let connections = rehearsal.topology.connections.iter();
    let concerned = connections
        .filter(|connection| without.contains(&connection.name))
        .find(|connection| *binding.device(&connection.router) != Device::Simulated)?;
    Some(format!(
        "it wants `{}` without BFD, but `{}` does what its own configuration says",
        concerned.name, concerned.router
    ))
}

fn sources(rehearsal: &Rehearsal, binding: Option<&Path>, host: &str) -> Sources {
    let binding = binding.or(rehearsal.scenario.binding.as_deref());
    Sources {
        scenario: SourceText {
            path: rehearsal.source.path.display().to_string(),
            text: rehearsal.source.text.clone(),
        },
        topology: text(&rehearsal.scenario.topology),
        binding: binding.map(text),
        host: host.to_owned(),
    }
}

/// A file that was read and parsed a moment ago.
fn text(path: &Path) -> SourceText {
    SourceText {
        path: path.display().to_string(),
        text: fs::read_to_string(path).unwrap_or_default(),
    }
}

/// Kernel, CPUs and user, as they are before the lab has namespaces of its own.
fn host() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let user = if nix::unistd::geteuid().is_root() {
        "root"
    } else {
        "ordinary user"
    };
    format!("Linux {}, {cpus} CPUs, {user}", kernel.trim())
}
