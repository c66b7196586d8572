//! The files of a run: scenarios given one by one or as folders, and the texts that go into the record.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::binding;
use crate::cli::check::Kind;
use crate::cli::toml_files;
use crate::kernel::feature::{Feature, attempt};
use crate::kernel::uml;
use crate::record::SourceText;
use crate::run::Sources;
use crate::scenario::{self, Rehearsal};
use crate::source::{Diagnostic, Diagnostics, Source, without_secrets};

/// What is to be played.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Scenarios and their files, in order.
    pub rehearsals: Vec<(Rehearsal, Sources)>,
    /// Scenarios of folders that the binding does not fit, or this kernel, and why.
    pub left_out: Vec<String>,
    /// Of `rehearsals`, those of folders, by their files.
    of_folders: BTreeSet<PathBuf>,
}

impl Loaded {
    /// Leaves out what folders have for another kernel; what was named by itself is blocked instead when it is played. To be
    /// called inside.
    pub fn leave_out_what_the_kernel_lacks(&mut self) {
        let mut files = self.rehearsals.iter().map(|(rehearsal, _)| rehearsal);
        if files.any(|rehearsal| !self.needs(rehearsal).is_empty()) {
            self.leave_out_without(&attempt::queues());
        }
    }

    /// What a scenario of a folder needs of the kernel.
    fn needs(&self, rehearsal: &Rehearsal) -> BTreeSet<&'static str> {
        match self.of_folders.contains(&rehearsal.source.path) {
            true => rehearsal.needs(),
            false => BTreeSet::new(),
        }
    }

    fn leave_out_without(&mut self, queues: &[Feature]) {
        let has = |need: &&str| queues.iter().any(|it| it.name == *need && it.is_present());
        for (rehearsal, sources) in std::mem::take(&mut self.rehearsals) {
            let mut lacking: Vec<&str> = self.needs(&rehearsal).into_iter().collect();
            lacking.retain(|need| !has(need));
            if lacking.is_empty() {
                self.rehearsals.push((rehearsal, sources));
                continue;
            }
            let file = rehearsal.source.path.display();
            let lacking = lacking.join(" and no ");
            self.left_out.push(format!(
                "{file} is left out: this kernel has no {lacking}; `--kernel uml` plays it"
            ));
        }
    }
}

/// Reads everything a run needs; nothing is built before all files are right.
///
/// # Errors
/// Every mistake in all files.
pub fn load(
    paths: &[PathBuf],
    except: &[PathBuf],
    binding: Option<&Path>,
) -> Result<Loaded, Diagnostics> {
    let mut mistakes = Diagnostics::default();
    if let Some(binding) = binding
        && let Err(found) = toml_files::of_kind(binding, Kind::Binding)
    {
        return Err(found);
    }
    let mut loaded = Loaded::default();
    let host = host();
    let mut except: Vec<(&PathBuf, bool)> = except.iter().map(|file| (file, false)).collect();
    for path in paths {
        let files = match scenarios(path) {
            Ok(files) => files,
            Err(found) => {
                mistakes.extend(found);
                continue;
            }
        };
        for file in files {
            // One file may be named more than once.
            let excepted = except.iter_mut().filter(|_| path.is_dir());
            let named = excepted.filter(|(except, _)| one_file(except, &file));
            if named.map(|(_, found)| *found = true).count() > 0 {
                let left_out = format!("{} is left out, as asked", file.display());
                loaded.left_out.push(left_out);
                continue;
            }
            if path.is_dir()
                && let Some(why) = unfit(&file, binding)
            {
                loaded
                    .left_out
                    .push(format!("{} is left out: {why}", file.display()));
                continue;
            }
            match scenario::load(&file, binding) {
                Ok(rehearsal) => {
                    if path.is_dir() {
                        loaded.of_folders.insert(rehearsal.source.path.clone());
                    }
                    let sources = sources(&rehearsal, binding, &host);
                    loaded.rehearsals.push((rehearsal, sources));
                }
                Err(found) => mistakes.extend(found),
            }
        }
    }
    for (file, _) in except.iter().filter(|(_, found)| !found) {
        let message = format!(
            "no folder has the scenario `{}` to leave out",
            file.display()
        );
        mistakes.push(Diagnostic::error(message).note("`--except` names one by its path"));
    }
    mistakes.sort();
    if mistakes.is_empty() {
        Ok(loaded)
    } else {
        Err(mistakes)
    }
}

/// Whether two paths lead to one file.
fn one_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    one == other || real(one).is_some_and(|one| real(other) == Some(one))
}

/// The scenario files a path stands for: itself, or all scenarios below it, in order of their names.
fn scenarios(path: &Path) -> Result<Vec<PathBuf>, Diagnostics> {
    if !path.is_dir() {
        toml_files::of_kind(path, Kind::Scenario)?;
        return Ok(vec![path.to_owned()]);
    }
    let mut found = toml_files::below(path)?;
    // A folder may hold topologies and bindings too. What is none of the three is told as a mistake later.
    found.retain(|file| {
        let kind = Source::read(file).ok().and_then(|source| Kind::of(&source));
        kind.is_none_or(|kind| kind == Kind::Scenario)
    });
    if found.is_empty() {
        let message = format!("there is no scenario in the folder `{}`", path.display());
        let diagnostic = Diagnostic::error(message);
        return Err(diagnostic
            .note("a scenario is a file that ends in .toml and has `[[step]]`")
            .into());
    }
    Ok(found)
}

/// Why a scenario of a folder is not played, if so: it does not fit the binding, or the backends of its topology.
fn unfit(file: &Path, binding: Option<&Path>) -> Option<String> {
    let rehearsal = scenario::load(file, None).ok()?;
    match binding {
        Some(binding) => rehearsal.unfit(&binding::load(binding, None).ok()?),
        None => rehearsal.orders_a_bond(),
    }
}

/// The files of a rehearsal, as the record has them.
pub fn sources(rehearsal: &Rehearsal, binding: Option<&Path>, host: &str) -> Sources {
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

/// A file that was read and parsed a moment ago, as everybody may see it.
fn text(path: &Path) -> SourceText {
    let text = fs::read_to_string(path).unwrap_or_default();
    SourceText {
        path: path.display().to_string(),
        text: without_secrets(&text).into_owned(),
    }
}

/// Kernel, CPUs and user, as they are before the lab has namespaces of its own.
pub fn host() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    let user = if nix::unistd::geteuid().is_root() {
        "root"
    } else {
        "ordinary user"
    };
    let kernel = kernel.trim();
    match uml::host() {
        Some(host) => format!("user-mode Linux {kernel} on Linux {host}, {cpus} CPUs, {user}"),
        None => format!("Linux {kernel}, {cpus} CPUs, {user}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::feature::{Finding, Need};

    /// Of a folder is left out what this kernel cannot play; what is named by itself stays, to be blocked with the reason.
    #[test]
    fn a_folder_is_played_without_what_the_kernel_lacks() {
        let tried = |name, finding| Feature {
            name,
            need: Need::Sometimes,
            finding,
            serves: "",
            remedy: String::new(),
        };
        let here = |name| tried(name, Finding::Present(String::new()));
        let lacks = |name| tried(name, Finding::Missing("unknown".to_owned()));
        let folder = PathBuf::from("scenarios/impairments");
        let left_out = |paths: &[PathBuf], queues: &[Feature]| {
            let mut loaded = load(paths, &[], None).expect("shipped");
            let before = loaded.rehearsals.len();
            loaded.leave_out_without(queues);
            assert_eq!(loaded.rehearsals.len() + loaded.left_out.len(), before);
            loaded.left_out.join("\n")
        };
        let netem = "scenarios/impairments/delay.toml is left out: this kernel has no netem; `--kernel uml` plays it\n\
                     scenarios/impairments/disorder.toml is left out: this kernel has no netem; `--kernel uml` plays it";
        let tbf = "scenarios/impairments/rate-limit.toml is left out: this kernel has no tbf; `--kernel uml` plays it";
        let alone = std::slice::from_ref(&folder);
        assert_eq!(left_out(alone, &[here("tbf"), here("netem")]), "");
        assert_eq!(left_out(alone, &[here("tbf"), lacks("netem")]), netem);
        assert_eq!(left_out(alone, &[lacks("tbf"), here("netem")]), tbf);
        let both = [lacks("tbf"), lacks("netem")];
        assert_eq!(left_out(alone, &both), format!("{netem}\n{tbf}"));
        assert_eq!(left_out(&[folder.join("rate-limit.toml")], &both), "");
    }

    #[test]
    fn what_is_excepted_is_left_out_and_must_be_there() {
        let folder = [PathBuf::from("scenarios/bfd")];
        let except = |file: &str| load(&folder, &[PathBuf::from(file)], None);
        let loaded = except("./scenarios/bfd/disabled.toml").expect("shipped");
        assert_eq!(
            loaded.left_out,
            ["scenarios/bfd/disabled.toml is left out, as asked"]
        );
        let twice = [
            "./scenarios/bfd/disabled.toml",
            "scenarios/bfd/disabled.toml",
        ];
        let twice = load(&folder, &twice.map(PathBuf::from), None).expect("one file");
        assert_eq!(twice.left_out, loaded.left_out);
        let all = load(&folder, &[], None).expect("shipped");
        assert_eq!(loaded.rehearsals.len() + 1, all.rehearsals.len());
        let told = except("scenarios/bring-up.toml").expect_err("of another folder");
        let told = told.to_string();
        assert!(told.contains("`scenarios/bring-up.toml`"), "{told}");
    }
}
