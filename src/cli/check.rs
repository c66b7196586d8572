//! `peerlab check PATH…`: reads files, and all files of folders, and tells every mistake in them. Nothing is built.

use std::io::Write;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::{WRONG_FILES, toml_files};
use crate::source::{Diagnostic, Diagnostics, Source};
use crate::{binding, scenario, topology};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A topology.
    Topology,
    /// A binding.
    Binding,
    /// A scenario, with the topology and the binding it names.
    Scenario,
    /// A profile, which topologies name.
    Profile,
}

impl Kind {
    /// Its name in a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Topology => "topology",
            Kind::Binding => "binding",
            Kind::Scenario => "scenario",
            Kind::Profile => "profile",
        }
    }

    /// What the file is, from the keys that only this kind has; failing that, from the folder it is in.
    pub fn of(source: &Source) -> Option<Kind> {
        let (document, _) = DeTable::parse_recoverable(&source.text);
        let has = |keys: &[&str]| keys.iter().any(|key| document.get_ref().contains_key(*key));
        if has(&[
            "step",
            "proves",
            "topology",
            "binding",
            "without",
            "onboarded",
        ]) {
            return Some(Kind::Scenario);
        }
        if has(&["like", "network", "registers"]) && !has(&["profile", "peer"]) {
            return Some(Kind::Profile);
        }
        if has(&[
            "profile",
            "peer",
            "metro",
            "connection",
            "endpoint",
            "service",
            "microsoft",
        ]) {
            return Some(Kind::Topology);
        }
        if has(&["router"]) {
            return Some(Kind::Binding);
        }
        let folders = source.path.ancestors().skip(1);
        folders
            .filter_map(Path::file_name)
            .find_map(|folder| match folder.to_str() {
                Some("bindings") => Some(Kind::Binding),
                Some("topologies") => Some(Kind::Topology),
                Some("scenarios") => Some(Kind::Scenario),
                Some("profiles") => Some(Kind::Profile),
                _ => None,
            })
    }
}

/// All mistakes in these files and in those they name, each told once.
pub fn mistakes(paths: &[PathBuf]) -> Diagnostics {
    let mut all = Diagnostics::default();
    for path in paths {
        if let Err(found) = file(path) {
            all.extend(found);
        }
    }
    all.sort();
    all
}

fn file(path: &Path) -> Result<Kind, Diagnostics> {
    let source = Source::read(path)?;
    let Some(kind) = Kind::of(&source) else {
        let message = format!(
            "`{}` is neither a topology nor a binding nor a scenario",
            path.display()
        );
        return Err(Diagnostic::error(message)
            .note("a topology has `profile`, a binding has `[router.…]` with `device`, a scenario has `[[step]]`")
            .into());
    };
    match kind {
        Kind::Topology => topology::parse(&source).map(|_| kind),
        Kind::Binding => binding::parse(&source, None).map(|_| kind),
        Kind::Scenario => scenario::load(path, None).map(|_| kind),
        Kind::Profile => topology::profile::parse(&source).map(|_| kind),
    }
}

/// The files that these paths stand for, each once.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Diagnostics> {
    let mut files = Vec::new();
    let mut mistakes = Diagnostics::default();
    for path in paths {
        match toml_files::below(path) {
            Ok(below) if below.is_empty() => {
                let message = format!("there is no file in the folder `{}`", path.display());
                mistakes.push(Diagnostic::error(message).note("files end in .toml"));
            }
            Ok(below) => files.extend(
                below
                    .into_iter()
                    .filter(|file| !files.contains(file))
                    .collect::<Vec<_>>(),
            ),
            Err(diagnostic) => mistakes.push(diagnostic),
        }
    }
    match mistakes.is_empty() {
        true => Ok(files),
        false => Err(mistakes),
    }
}

/// Checks the files: mistakes go to standard error, a line for good files to standard output.
///
/// Returns the exit number: 0 when all are good, 2 otherwise.
pub fn check(paths: &[PathBuf]) -> u8 {
    let (count, found) = match files(paths) {
        Ok(files) => (files.len(), mistakes(&files)),
        Err(mistakes) => (0, mistakes),
    };
    let mut error = anstream::stderr().lock();
    let mut output = anstream::stdout().lock();
    // A closed pipe is the reader's wish, not a mistake in a file.
    if found.is_empty() {
        let files = if count == 1 { "file" } else { "files" };
        let _ = writeln!(output, "{count} {files} without mistakes");
        return 0;
    }
    let mistakes = if found.len() == 1 {
        "mistake"
    } else {
        "mistakes"
    };
    let _ = writeln!(error, "{}\n{} {mistakes}", found.render(true), found.len());
    WRONG_FILES
}
