//! `peerlab prefixes` on the record of a run gives the answers of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use peerlab::record::{self, Entry, Fact, Failure, Severity};
use serde::Deserialize;

use crate::play::Someone;

/// Scenarios whose prefixes are decided by routes and registries, which do not change.
const PLAYED: [&str; 8] = [
    "as-path-prepended",
    "as-path-too-long",
    "community-look-alike",
    "covering-route-only",
    "missing-community",
    "not-received",
    "private-asn-in-path",
    "special-asn-in-path",
];
const TOPOLOGY: &str = "topologies/one-metro.toml";

pub fn trials() -> Vec<Trial> {
    let trial = |name: &'static str| {
        let played = Trial::test(format!("agreement::{name}"), move || agree(name));
        match Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(scenario(name))
            .exists()
        {
            true => played,
            false => played
                .with_kind("its scenario is not shipped")
                .with_ignored_flag(true),
        }
    };
    PLAYED.into_iter().map(trial).collect()
}

fn scenario(name: &str) -> String {
    format!("scenarios/prefixes/{name}.toml")
}

/// What is compared of a failure.
type Said = (String, Severity, Option<String>, String);

#[derive(Debug, Deserialize)]
struct Answer {
    prefixes: Vec<Judged>,
}

#[derive(Debug, Deserialize)]
struct Judged {
    prefix: String,
    registered: Outcome,
    service: Option<Outcome>,
}

#[derive(Debug, Deserialize)]
struct Outcome {
    state: String,
    failures: Vec<Failure>,
}

fn agree(name: &str) -> Result<(), Failed> {
    let someone = Someone::present();
    let folder = tempfile::tempdir()?;
    let report = folder.path().to_string_lossy().into_owned();
    let run = someone.play(&["run", &scenario(name), "--report", &report])?;
    let path = folder.path().join("record.jsonl");
    let told = last(&path).map_err(|error| format!("{error}, after {run}"))?;
    if told.is_empty() {
        return Err(format!("the run told nothing of a prefix: {run}").into());
    }
    let record = path.to_string_lossy().into_owned();
    let mut arguments = vec!["prefixes", TOPOLOGY, "--json", "--routes", &record];
    for (_, prefix) in told.keys() {
        arguments.extend(["--prefix", prefix]);
    }
    let output = someone.command(&arguments).output()?;
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    for ((service, prefix), run) in &told {
        let judged = answer
            .prefixes
            .iter()
            .find(|judged| judged.prefix == *prefix);
        let judged = judged.ok_or_else(|| format!("{prefix} is not judged"))?;
        let still = match service {
            true => judged.service.as_ref().ok_or("there is no service")?,
            false => &judged.registered,
        };
        let (run, still) = (compared(run), compared(still));
        if run != still {
            return Err(format!("{prefix}: the run says {run:?}, its record {still:?}").into());
        }
    }
    Ok(())
}

/// State and failures. What was verified once stays so with a warning, and keeps its key, of which a file knows nothing.
fn compared(outcome: &Outcome) -> (&str, BTreeSet<Said>) {
    let state = match outcome.state.as_str() {
        "Warning" => "Failed",
        other => other,
    };
    let failures = outcome
        .failures
        .iter()
        .filter(|failure| failure.reason != "not-registered");
    let said = failures.map(|failure| {
        let Failure {
            reason,
            severity,
            connection,
            text,
            ..
        } = failure.clone();
        (reason, severity, connection, text)
    });
    (state, said.collect())
}

/// The last result of each prefix while steps were played: of registered ones, and of activated ones (true).
fn last(record: &Path) -> Result<BTreeMap<(bool, String), Outcome>, record::LinesError> {
    let entries = record::read(record)?;
    let ended = |entry: &Entry| matches!(entry.fact, Fact::StepEnded { .. });
    let end = entries.iter().rposition(ended).unwrap_or_default();
    let mut told = BTreeMap::new();
    for entry in &entries[..end] {
        match &entry.fact {
            Fact::RegisteredPrefix {
                prefix,
                state,
                failures,
                ..
            } => {
                let (state, failures) = (state.clone(), failures.clone());
                told.insert((false, prefix.clone()), Outcome { state, failures });
            }
            Fact::ServicePrefix {
                prefix,
                state,
                failures,
                ..
            } => {
                let (state, failures) = (state.clone(), failures.clone());
                told.insert((true, prefix.clone()), Outcome { state, failures });
            }
            Fact::PrefixDeleted { object, prefix } => {
                told.remove(&(object == "service-prefix", prefix.clone()));
            }
            _ => {}
        }
    }
    Ok(told)
}
