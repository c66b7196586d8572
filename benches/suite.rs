//! Suite: wall time of all shipped one-metro scenarios beside the sum of the waits they impose.
//!
//! What a scenario imposes is counted from its own record and file, step by step: the time from the step's start to the
//! last change a protocol made in it (a detection time, an LACP timeout, a session coming back), or the longest time
//! for which the file wants something to hold, whichever is longer. The rest is ours: building, waiting for nothing,
//! taking down. Arguments: `[--runs R]`.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use peerlab::record::{self, Entry, Fact};
use peerlab::scenario::{self, Act, Step};
use peerlab::time::At;
use support::Outcome;
use support::figure::{self, Against};

fn main() -> Outcome<()> {
    let mut runs = 3;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--runs" {
            runs = arguments.next().ok_or("--runs needs a number")?.parse()?;
        }
    }
    let scenarios = one_metro(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios"))?;
    let (mut wall, mut imposed) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let (took, waits) = play(&scenarios)?;
        wall.push(took.as_secs_f64());
        imposed.push(waits.as_secs_f64());
    }
    figure::print(
        "suite/one-metro",
        "s",
        &wall,
        Against::Peer("imposed waits", &imposed),
    );
    Ok(())
}

/// Plays all scenarios once; the wall time, and the sum of the waits they impose.
fn play(scenarios: &[PathBuf]) -> Outcome<(Duration, Duration)> {
    let folder = tempfile::tempdir()?;
    let start = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_peerlab"))
        .arg("run")
        .args(scenarios)
        .arg("--report")
        .arg(folder.path())
        .stdout(Stdio::null())
        .status()?;
    let wall = start.elapsed();
    if ![Some(0), Some(5)].contains(&status.code()) {
        return Err(format!("the suite ended with {status}").into());
    }
    let entries = record::read(&folder.path().join("record.jsonl"))?;
    let begins = |entry: &Entry| matches!(entry.fact, Fact::Run { .. });
    let mut waits = Duration::ZERO;
    for (run, path) in entries.chunk_by(|_, next| !begins(next)).zip(scenarios) {
        let rehearsal = scenario::load(path, None).map_err(|mistakes| mistakes.to_string())?;
        waits += imposed(run, &rehearsal.scenario.steps);
    }
    Ok((wall, waits))
}

/// The waits of one scenario.
fn imposed(run: &[Entry], steps: &[Step]) -> Duration {
    let mut sum = Duration::ZERO;
    let mut began = At::ZERO;
    let mut last = At::ZERO;
    for entry in run {
        match &entry.fact {
            Fact::StepStarted { .. } => (began, last) = (entry.at, entry.at),
            Fact::StepEnded { step } => {
                let demanded = steps.get(*step).map_or(Duration::ZERO, demanded);
                sum += last.since(began).max(demanded);
            }
            Fact::Lag { .. }
            | Fact::Light { .. }
            | Fact::Member { .. }
            | Fact::Bfd { .. }
            | Fact::Bgp { .. }
            | Fact::EndOfRib { .. }
            | Fact::RouteReceived { .. }
            | Fact::RouteWithdrawn { .. }
            | Fact::KernelRoute { .. } => last = last.max(entry.at),
            _ => {}
        }
    }
    sum
}

/// The longest time for which the file wants something to hold.
fn demanded(step: &Step) -> Duration {
    let hold = match &step.act {
        Act::Hold { time, .. } => *time,
        _ => Duration::ZERO,
    };
    let stays = step.expect.iter().map(|expectation| expectation.stays);
    stays.fold(hold, Duration::max)
}

/// All shipped scenarios on `one-metro`, in order of their names.
fn one_metro(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                let rehearsal =
                    scenario::load(&path, None).map_err(|mistakes| mistakes.to_string())?;
                if rehearsal.topology.name == "one-metro" {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    Ok(found)
}
