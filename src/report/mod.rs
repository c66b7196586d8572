//! What was found, drawn for people, programs and CI systems: terminal, JSON, JUnit.
//!
//! All forms are drawn from one value, [`Report`], so they agree. It is made of the findings of each scenario, live or
//! from a kept record.
//!
//! **Invariant:** drawing decides nothing: verdicts, figures and requirements are in the value.

mod drawn;
mod files;
mod junit;
mod terminal;

#[cfg(test)]
mod tests;

pub use drawn::diagnostic;
pub use files::{RECORD, ReportError, write};
pub use junit::junit;
pub use terminal::{Terminal, wrapped};

use std::sync::Arc;

use serde::Serialize;

use crate::conformance::{self, Certainty, Check, Level};
use crate::judge::{self, Findings, Verdict};
use crate::record::{Fact, SourceText};
use crate::scenario::Scenario;
use crate::source::Source;

/// Everything a report says. In `report.json`, times are nanoseconds and places are bytes, lines and columns.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Version of peerlab that made the record.
    pub peerlab: String,
    /// When the first scenario began, RFC 3339.
    pub started: String,
    /// Kernel, CPUs, user.
    pub host: String,
    /// The worst verdict of all scenarios.
    pub verdict: Verdict,
    /// The exit number that goes with it.
    pub exit: u8,
    /// The scenarios, in the order in which they were played.
    pub scenarios: Vec<Played>,
    /// All requirements of the catalogue, in its order.
    pub requirements: Vec<Proven>,
}

/// A scenario that was played.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Played {
    /// Its name.
    pub name: String,
    /// What it shows.
    pub summary: String,
    /// The scenario file as the user gave it.
    pub file: String,
    /// The topology file.
    pub topology: String,
    /// The binding file, if any.
    pub binding: Option<String>,
    /// When it began, RFC 3339.
    pub started: String,
    /// The worst verdict of its findings.
    pub verdict: Verdict,
    /// Lines and columns of the findings, in their order, counted from 1.
    pub places: Vec<(usize, usize)>,
    /// What each step does, in words.
    pub steps: Vec<String>,
    /// What was found.
    #[serde(flatten)]
    pub findings: Findings,
    /// The scenario's text, to draw findings in.
    #[serde(skip)]
    pub source: Arc<Source>,
    #[serde(skip)]
    peerlab: String,
    #[serde(skip)]
    host: String,
}

/// A requirement and what became of it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proven {
    /// Its id.
    pub id: String,
    /// How strongly it is worded.
    pub level: Level,
    /// How certain it is that it holds for voice.
    pub certainty: Certainty,
    /// What it asks.
    pub text: String,
    /// Keys of the documents.
    pub source: String,
    /// How it is checked today.
    pub check: Check,
    /// The worst verdict of the scenarios that prove it; `None` when none was played.
    pub verdict: Option<Verdict>,
    /// These scenarios.
    pub scenarios: Vec<String>,
}

impl Played {
    /// What was found in one run; `run` is its first entry's [`Fact::Run`]. Of any other fact nothing is known.
    pub fn new(run: &Fact, scenario: &Scenario, findings: Findings) -> Played {
        let nothing = SourceText {
            path: String::new(),
            text: String::new(),
        };
        let (peerlab, started, text, topology, binding, host) = match run {
            Fact::Run {
                peerlab,
                started,
                scenario,
                topology,
                binding,
                host,
            } => (
                peerlab.as_str(),
                started.as_str(),
                scenario,
                topology,
                binding.as_ref(),
                host.as_str(),
            ),
            _ => ("", "", &nothing, &nothing, None, ""),
        };
        let source = Source::new(&text.path, &*text.text);
        Played {
            name: scenario.name.clone(),
            summary: scenario.summary.clone(),
            file: text.path.clone(),
            topology: topology.path.clone(),
            binding: binding.map(|binding| binding.path.clone()),
            started: started.to_owned(),
            verdict: findings.verdict(),
            places: findings
                .findings
                .iter()
                .map(|finding| source.position(finding.span))
                .collect(),
            steps: scenario.steps.iter().map(judge::words::step).collect(),
            findings,
            source,
            peerlab: peerlab.to_owned(),
            host: host.to_owned(),
        }
    }
}

impl Report {
    /// The report of all scenarios that were played.
    pub fn of(scenarios: Vec<Played>) -> Report {
        let verdicts = || scenarios.iter().map(|played| played.verdict);
        let first =
            |of: fn(&Played) -> &String| scenarios.first().map(of).cloned().unwrap_or_default();
        Report {
            peerlab: first(|played| &played.peerlab),
            started: first(|played| &played.started),
            host: first(|played| &played.host),
            verdict: verdicts()
                .reduce(Verdict::worse)
                .unwrap_or(Verdict::Blocked),
            exit: judge::exit_number(verdicts()),
            requirements: proven(&scenarios),
            scenarios,
        }
    }

    /// How many findings have each verdict, worst first, without zeros.
    pub fn counts(&self) -> Vec<(Verdict, usize)> {
        let all = [
            Verdict::Errored,
            Verdict::Missed,
            Verdict::Blocked,
            Verdict::Inconclusive,
            Verdict::Met,
        ];
        let findings = || {
            self.scenarios
                .iter()
                .flat_map(|played| &played.findings.findings)
        };
        all.into_iter()
            .map(|verdict| (verdict, findings().filter(|f| f.verdict == verdict).count()))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

fn proven(scenarios: &[Played]) -> Vec<Proven> {
    conformance::all()
        .map(|requirement| {
            let proving = scenarios
                .iter()
                .filter(|played| played.findings.proves.iter().any(|id| id == requirement.id));
            Proven {
                id: requirement.id.to_owned(),
                level: requirement.level,
                certainty: requirement.certainty,
                text: requirement.text.to_owned(),
                source: requirement.source.to_owned(),
                check: requirement.check,
                verdict: proving
                    .clone()
                    .map(|played| played.verdict)
                    .reduce(Verdict::worse),
                scenarios: proving.map(|played| played.name.clone()).collect(),
            }
        })
        .collect()
}
