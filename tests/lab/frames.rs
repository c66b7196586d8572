//! Frames on the cables, read by an independent decoder.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::play::{BIRD, Someone};
use crate::scenarios::{no_bird, unless};

const SCENARIO: &str = "failover/silent-connection";
/// What tshark names a frame's innermost protocol, of all that may be on a cable.
const EXPECTED: [&str; 6] = ["arp", "bfd", "bgp", "data", "lacp", "tcp"];
/// What must be seen on every connection.
const SEEN: [&str; 3] = ["bfd", "bgp", "lacp"];

pub fn trials() -> Vec<Trial> {
    let no_tshark = Command::new("tshark").arg("--version").output().is_err();
    let no_tshark = no_tshark.then(|| "tshark is not installed".to_owned());
    vec![
        unless(
            no_tshark.clone(),
            Trial::test("frames::no_malformed_frame", || decode(None)),
        ),
        unless(
            no_tshark.or_else(no_bird),
            Trial::test("frames::no_malformed_frame::bird", || decode(Some(BIRD))),
        ),
    ]
}

fn decode(binding: Option<&str>) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let pcap = folder.path().display().to_string();
    let file = format!("scenarios/{SCENARIO}.toml");
    let mut arguments = vec!["run", &file, "--pcap", &pcap];
    if let Some(binding) = binding {
        arguments.extend(["--binding", binding]);
    }
    let ended = Someone::present().play(&arguments)?;
    // Slow or not, the frames must be right.
    ended.check(matches!(ended.number(), Some(0 | 5)), "an undisturbed run")?;
    for connection in ["ams-1", "ams-2"] {
        let mut seen = BTreeSet::new();
        for member in 1..=2 {
            let file = folder.path().join(SCENARIO);
            let file = file.join(format!("{connection}.{member}.pcap"));
            let malformed = tshark(&file, "_ws.malformed || _ws.expert.severity == error")?;
            if !malformed.is_empty() {
                return Err(format!("{}: malformed: {malformed:?}", file.display()).into());
            }
            let of_member = tshark(&file, "frame")?;
            // LACP is spoken on each member, not on the LAG.
            if !of_member.contains("lacp") {
                return Err(format!("{}: no LACP, only {of_member:?}", file.display()).into());
            }
            seen.extend(of_member);
        }
        let missing = SEEN.iter().filter(|protocol| !seen.contains(**protocol));
        let strange = seen
            .iter()
            .filter(|protocol| !EXPECTED.contains(&protocol.as_str()));
        let (missing, strange): (Vec<_>, Vec<_>) = (missing.collect(), strange.collect());
        if !missing.is_empty() || !strange.is_empty() {
            return Err(
                format!("{connection}: {missing:?} not seen, {strange:?} not expected").into(),
            );
        }
    }
    Ok(())
}

/// The innermost protocols of the frames that `filter` selects.
fn tshark(file: &Path, filter: &str) -> Result<BTreeSet<String>, Failed> {
    let output = Command::new("tshark")
        .arg("-r")
        .arg(file)
        .args(["-Y", filter, "-T", "fields", "-e", "frame.protocols"])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let lines = String::from_utf8(output.stdout)?;
    let innermost = lines.lines().filter_map(|line| line.rsplit(':').next());
    Ok(innermost.map(str::to_owned).collect())
}
