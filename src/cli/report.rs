//! `peerlab report DIR`: judges a kept record again and draws the report.
//!
//! A record holds the runs of all scenarios one after the other; each begins with [`Fact::Run`], which has the texts of
//! the scenario and its topology, so that nothing but the record is needed.

use std::io::Write;
use std::path::Path;

use super::WRONG_FILES;
use crate::judge::Judge;
use crate::provider::arm::Resources;
use crate::record::{self, Entry, Fact, LinesError, SourceText};
use crate::report::{Played, RECORD, Report, Terminal};
use crate::scenario;
use crate::source::{Diagnostics, Source};

/// Failed to judge a kept record again.
#[derive(Debug, thiserror::Error)]
pub enum RejudgeError {
    /// The record cannot be read.
    #[error("failed to {0}")]
    Record(#[from] LinesError),
    /// The record does not begin as a record does.
    #[error("failed to judge the record: line 1 does not tell what was played")]
    Headless,
    /// The scenario or the topology in the record has mistakes, as this version of peerlab sees it.
    #[error("the files kept in the record have mistakes")]
    Files(Diagnostics),
}

/// Reads the record in `directory`, and draws it as it was drawn when it was played.
///
/// Returns the report, whose exit number is that of the run.
///
/// # Errors
/// When the record cannot be read or understood.
pub fn rejudge<W: Write>(
    directory: &Path,
    terminal: &mut Terminal<W>,
) -> Result<Report, RejudgeError> {
    let entries = record::read(&directory.join(RECORD))?;
    let mut scenarios = Vec::new();
    let mut lines = 0;
    for run in runs(&entries)? {
        scenarios.push(replay(run, lines, terminal)?);
        lines += run.len();
    }
    let report = Report::of(scenarios);
    terminal.summary(&report);
    Ok(report)
}

/// Judges a kept record again: the report goes to standard output, mistakes to standard error.
///
/// Returns the exit number: that of the run, or 2 when the record cannot be judged.
pub fn report(directory: &Path) -> u8 {
    let mut terminal = Terminal::stdout();
    match rejudge(directory, &mut terminal) {
        Ok(report) => report.exit,
        Err(error) => wrong(&error),
    }
}

/// Prints the resources that each run of a kept record left on the Microsoft side, as Azure's API has them.
///
/// Returns the exit number: 2 when the record cannot be read.
pub fn arm(directory: &Path) -> u8 {
    match resources(directory) {
        Ok(runs) => {
            // A closed pipe is the reader's wish, not a fault.
            let _ = writeln!(anstream::stdout().lock(), "{runs:#}");
            0
        }
        Err(error) => wrong(&error),
    }
}

/// Of each run its scenario and its resources.
///
/// # Errors
/// When the record cannot be read or understood.
pub fn resources(directory: &Path) -> Result<serde_json::Value, RejudgeError> {
    let entries = record::read(&directory.join(RECORD))?;
    let mut all = Vec::new();
    for run in runs(&entries)? {
        let Some(Fact::Run {
            scenario,
            topology: text,
            started,
            ..
        }) = run.first().map(|entry| &entry.fact)
        else {
            return Err(RejudgeError::Headless);
        };
        let source = |text: &SourceText| Source::new(&text.path, &*text.text);
        let (_, topology) =
            scenario::parse_kept(&source(scenario), &source(text)).map_err(RejudgeError::Files)?;
        let mut resources = Resources::new(&topology, started);
        for entry in run {
            resources.apply(entry);
        }
        all.push(serde_json::json!({
            "scenario": scenario.path,
            "resources": resources.resources(),
        }));
    }
    Ok(all.into())
}

/// Tells why the record cannot be read.
fn wrong(error: &RejudgeError) -> u8 {
    let mut stderr = anstream::stderr().lock();
    // A closed pipe is the reader's wish, not a fault.
    let _ = match error {
        RejudgeError::Files(mistakes) => {
            writeln!(stderr, "{}\nerror: {error}", mistakes.render(true))
        }
        _ => writeln!(stderr, "error: {error}"),
    };
    WRONG_FILES
}

/// The entries of each run.
fn runs(entries: &[Entry]) -> Result<Vec<&[Entry]>, RejudgeError> {
    let begins = |entry: &Entry| matches!(entry.fact, Fact::Run { .. });
    if !entries.first().is_some_and(begins) {
        return Err(RejudgeError::Headless);
    }
    Ok(entries.chunk_by(|_, next| !begins(next)).collect())
}

/// Judges one run again, and draws it on the way.
fn replay<W: Write>(
    entries: &[Entry],
    lines: usize,
    terminal: &mut Terminal<W>,
) -> Result<Played, RejudgeError> {
    let Some(Entry {
        fact:
            run @ Fact::Run {
                scenario,
                topology,
                binding,
                ..
            },
        ..
    }) = entries.first()
    else {
        return Err(RejudgeError::Headless);
    };
    let source = |text: &SourceText| Source::new(&text.path, &*text.text);
    let (scenario, topology) =
        scenario::parse_kept(&source(scenario), &source(topology)).map_err(RejudgeError::Files)?;
    terminal.begin(
        &scenario,
        binding.as_ref().map(|binding| binding.path.as_str()),
    );
    let mut judge = Judge::new(&scenario, &topology).after(lines);
    for entry in entries {
        terminal.entry(entry);
        judge.take(entry);
        while let Some(finding) = judge.poll() {
            terminal.finding(finding);
        }
    }
    let shown = judge.findings().len();
    let findings = judge.finish();
    for finding in &findings.findings[shown..] {
        terminal.finding(finding);
    }
    let played = Played::new(run, &scenario, findings);
    terminal.end(&played);
    Ok(played)
}
