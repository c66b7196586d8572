//! `peerlab check FILE…`: reads files and tells every mistake in them. Nothing is built.

use std::io::Write;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

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
}

impl Kind {
    /// What the file is, from the keys that only this kind has; failing that, from the folder it is in.
    pub fn of(source: &Source) -> Option<Kind> {
        let (document, _) = DeTable::parse_recoverable(&source.text);
        let has = |keys: &[&str]| keys.iter().any(|key| document.get_ref().contains_key(*key));
        if has(&["step", "proves", "topology", "binding", "without"]) {
            return Some(Kind::Scenario);
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
    }
}

/// Checks the files: mistakes go to standard error, a line for good files to standard output.
///
/// Returns the exit number: 0 when all are good, 2 otherwise.
pub fn check(paths: &[PathBuf]) -> u8 {
    let found = mistakes(paths);
    let mut error = anstream::stderr().lock();
    let mut output = anstream::stdout().lock();
    // A closed pipe is the reader's wish, not a mistake in a file.
    if found.is_empty() {
        let files = if paths.len() == 1 { "file" } else { "files" };
        let _ = writeln!(output, "{} {files} without mistakes", paths.len());
        return 0;
    }
    let mistakes = if found.len() == 1 {
        "mistake"
    } else {
        "mistakes"
    };
    let _ = writeln!(error, "{}\n{} {mistakes}", found.render(true), found.len());
    2
}
