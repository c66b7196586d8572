//! A key of TCP MD5 signs segments in the kernel, and stands nowhere else: not in a report, nor in what is said.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use libtest_mimic::{Failed, Trial};

use crate::play::Someone;

/// One that signs.
const SCENARIO: &str = "scenarios/bgp/session-options.toml";
/// The key in its topology.
const KEY: &str = "a key of both";

pub fn trials() -> Vec<Trial> {
    vec![Trial::test("secrets::a_key_is_never_told", never_told)]
}

fn never_told() -> Result<(), Failed> {
    let topology = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies/one-metro-session-options.toml"),
    )?;
    assert!(topology.contains(KEY), "another key");
    let (report, pcap) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let someone = Someone::present();
    let arguments: [&OsStr; 6] = [
        "run".as_ref(),
        SCENARIO.as_ref(),
        "--report".as_ref(),
        report.path().as_ref(),
        "--pcap".as_ref(),
        pcap.path().as_ref(),
    ];
    let mut command = someone.command(&arguments);
    let run = command.env("PEERLAB_LOG", "trace").output()?;
    let mut said = [run.stdout, run.stderr].concat();
    let again = someone
        .command(&["report".as_ref(), report.path().as_os_str()])
        .output()?;
    said.extend([again.stdout, again.stderr].concat());
    let mut looked = 0;
    for folder in [report.path(), pcap.path()] {
        looked += files_without_key(folder)?;
    }
    assert!(looked >= 8, "{looked} files");
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains(KEY), "{said}");
    // What is judged again has the key hidden, and the same answer.
    assert_eq!(again.status.code(), run.status.code(), "{said}");
    assert!(matches!(run.status.code(), Some(0 | 5)), "{said}");
    Ok(())
}

/// How many files are in a folder and below it; an error when one has the key.
fn files_without_key(folder: &Path) -> Result<usize, Failed> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files += files_without_key(&path)?;
            continue;
        }
        let bytes = fs::read(&path)?;
        if bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()) {
            return Err(format!("{} has the key", path.display()).into());
        }
        files += 1;
    }
    Ok(files)
}
