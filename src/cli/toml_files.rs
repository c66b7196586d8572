//! The files that paths on the command line stand for, and whether they are of the kind that is asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check::Kind;
use crate::source::{Diagnostic, Diagnostics, Source};

/// The path itself, or all `.toml` files below a folder, in order of their names; none when it holds none.
///
/// # Errors
/// A folder that cannot be read.
pub(super) fn below(path: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
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
    // Short ones first: what a folder itself holds comes before what its folders hold.
    found.sort_by_key(|file| (file.components().count(), file.clone()));
    Ok(found)
}

/// Reads a file that should be of this kind. A file whose kind cannot be told is let through: its own mistakes say more.
///
/// # Errors
/// It cannot be read, or is clearly of another kind.
pub(super) fn of_kind(path: &Path, wanted: Kind) -> Result<Arc<Source>, Diagnostics> {
    let source = Source::read(path)?;
    match Kind::of(&source) {
        Some(kind) if kind != wanted => {
            let message = format!(
                "`{}` is a {}, not a {}",
                path.display(),
                kind.word(),
                wanted.word()
            );
            let help = match kind {
                Kind::Topology => "a topology is shown by `peerlab plan FILE`",
                Kind::Binding => "a binding goes with `peerlab run SCENARIO --binding FILE`",
                Kind::Scenario => "a scenario is played by `peerlab run FILE`",
                Kind::Profile => "a profile is named by a topology",
            };
            Err(Diagnostic::error(message).note(help).into())
        }
        _ => Ok(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_wrong_kind_are_named_as_what_they_are() {
        for (file, kind, wanted) in [
            ("topologies/one-metro.toml", "topology", Kind::Scenario),
            (
                "topologies/bindings/one-metro-bird.toml",
                "binding",
                Kind::Topology,
            ),
            ("scenarios/bring-up.toml", "scenario", Kind::Binding),
        ] {
            let told = of_kind(Path::new(file), wanted).expect_err("another kind");
            assert_eq!(told.len(), 1);
            let told = told.to_string();
            assert!(told.contains(&format!("is a {kind}, not a")), "{told}");
        }
        assert!(of_kind(Path::new("scenarios/bring-up.toml"), Kind::Scenario).is_ok());
    }

    #[test]
    fn a_folder_stands_for_its_files_in_order() {
        let files = below(Path::new("topologies")).expect("readable");
        let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
        assert_eq!(
            names,
            [
                "topologies/exchange-route-server.toml",
                "topologies/one-metro-bfd.toml",
                "topologies/one-metro-bonds.toml",
                "topologies/one-metro-busy.toml",
                "topologies/one-metro-crossed-cables.toml",
                "topologies/one-metro-declared-prefixes.toml",
                "topologies/one-metro-dual-stack.toml",
                "topologies/one-metro-every-bfd.toml",
                "topologies/one-metro-exchanged-cables.toml",
                "topologies/one-metro-extended-next-hop.toml",
                "topologies/one-metro-fate-sharing.toml",
                "topologies/one-metro-four-members.toml",
                "topologies/one-metro-graceful-restart.toml",
                "topologies/one-metro-interior-cost.toml",
                "topologies/one-metro-micro-bfd.toml",
                "topologies/one-metro-multipath.toml",
                "topologies/one-metro-peer-limits.toml",
                "topologies/one-metro-peer-policies.toml",
                "topologies/one-metro-policy-changes.toml",
                "topologies/one-metro-reflectors.toml",
                "topologies/one-metro-roles.toml",
                "topologies/one-metro-session-demands.toml",
                "topologies/one-metro-session-mismatches.toml",
                "topologies/one-metro-session-options.toml",
                "topologies/one-metro-short-memory.toml",
                "topologies/one-metro-strict.toml",
                "topologies/one-metro-without-bfd.toml",
                "topologies/one-metro-without-registry.toml",
                "topologies/one-metro.toml",
                "topologies/two-metros-without-backup.toml",
                "topologies/two-metros.toml",
                "topologies/bindings/one-metro-bird-rpki.toml",
                "topologies/bindings/one-metro-bird-without-bfd.toml",
                "topologies/bindings/one-metro-bird.toml",
                "topologies/bindings/one-metro-dual-stack-bird.toml",
                "topologies/bindings/one-metro-exabgp.toml",
                "topologies/bindings/one-metro-frr.toml",
                "topologies/bindings/one-metro-gobgp.toml",
                "topologies/bindings/one-metro-openbgpd.toml",
                "topologies/profiles/exchange-route-server.toml",
                "topologies/profiles/voice.toml",
            ]
        );
        let one = Path::new("not/there.toml");
        assert_eq!(below(one).expect("itself"), [one]);
    }
}
