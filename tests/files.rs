//! The three files: what is shipped is right, and every mistake is shown at its place.

use std::path::{Path, PathBuf};

use peerlab::cli::check;

/// TOML files at and below a folder, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "toml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn shipped_files_have_no_mistakes() {
    for folder in ["topologies", "scenarios"] {
        let files = files(folder);
        assert!(!files.is_empty(), "{folder} is empty");
        let mistakes = check::mistakes(&files);
        assert!(mistakes.is_empty(), "\n{mistakes}");
    }
    assert!(Path::new("scenarios/bring-up.toml").is_file());
}
