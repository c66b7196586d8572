//! What the internet's router hears, and the way its kernel takes to the peer.

use std::collections::BTreeSet;

use libtest_mimic::{Failed, Trial};
use peerlab::plan::of_topology::MICROSOFT_RANGE;
use peerlab::record::{Fact, read};

use crate::play::{BIRD, Someone};
use crate::scenarios::{no_bird, unless};

/// All sessions of the peer are lost, so that whatever a WAN could leak it has gone through.
const SCENARIO: &str = "scenarios/failover/everything-lost.toml";
/// The endpoint's prefix.
const PEER: &str = "198.51.100.0/24";

pub fn trials() -> Vec<Trial> {
    let bird = Trial::test(
        "internet::never_hears_the_peer_from_microsoft::bird",
        || never_from_microsoft(Some(BIRD)),
    );
    let simulated = Trial::test("internet::never_hears_the_peer_from_microsoft", || {
        never_from_microsoft(None)
    });
    vec![simulated, unless(no_bird(), bird)]
}

fn never_from_microsoft(binding: Option<&str>) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let report = folder.path().display().to_string();
    let mut arguments = vec!["run", SCENARIO, "--report", &report];
    if let Some(binding) = binding {
        arguments.extend(["--binding", binding]);
    }
    let ended = Someone::present().play(&arguments)?;
    // Slow or not, what is told must be right.
    ended.check(matches!(ended.number(), Some(0 | 5)), "an undisturbed run")?;
    let (mut told, mut ways) = (BTreeSet::new(), Vec::new());
    for entry in read(&folder.path().join("record.jsonl"))? {
        match entry.fact {
            Fact::RouteReceived {
                router,
                session,
                prefix,
                ..
            } if router == "internet" => {
                told.insert((session, prefix.to_string()));
            }
            Fact::KernelRoute {
                router,
                prefix,
                via,
            } if router == "internet" && prefix.to_string() == PEER => ways.push(via),
            _ => {}
        }
    }
    let expected = [
        ("core".to_owned(), PEER.to_owned()),
        ("wan".to_owned(), MICROSOFT_RANGE.to_string()),
    ];
    if told != BTreeSet::from(expected) {
        return Err(format!("the internet heard {told:?}").into());
    }
    if ways.is_empty() || ways.iter().any(|via| *via != ["core"]) {
        return Err(format!("the internet's kernel went {ways:?}").into());
    }
    Ok(())
}
