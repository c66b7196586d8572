//! The phases of a run: measured once, and then waited for in other runs by what their record says.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use libtest_mimic::Failed;
use peerlab::record::{self, Fact};
use peerlab::report::RECORD;
use peerlab::time::At;
use tempfile::TempDir;

use crate::play::{Running, Someone, pause};

/// The shortest shipped scenario, so that all phases have a fair share.
pub const SCENARIO: &str = "scenarios/bring-up.toml";
/// What the program says first.
const FIRST_WORD: &str = "bring-up";

/// A part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// From the start of the program.
    Building,
    Settling,
    Running,
    TakingDown,
}

pub const PHASES: [Phase; 4] = [
    Phase::Building,
    Phase::Settling,
    Phase::Running,
    Phase::TakingDown,
];

/// How long each phase lasts, and which step is the last.
#[derive(Debug, Clone, Copy)]
pub struct Lengths {
    lengths: [Duration; 4],
    last: usize,
}

impl Lengths {
    /// Plays the scenario once, undisturbed.
    pub fn measure(arguments: &[&str]) -> Result<Lengths, Failed> {
        let Begun { run, report } = Begun::start(&Someone::present(), arguments)?;
        let ended = run.end(crate::play::PATIENCE)?;
        let mut ends = [Duration::ZERO; 4];
        let mut last = 0;
        for entry in record::read(&report.path().join(RECORD))? {
            let at = entry.at.since(At::ZERO);
            ends[3] = at;
            match entry.fact {
                Fact::Phase { phase, .. } if phase == "build" => ends[0] = at,
                Fact::StepEnded { step: 0 } => ends[1] = at,
                Fact::StepEnded { step } => (ends[2], last) = (at, step),
                _ => {}
            }
        }
        let started = ended.took.saturating_sub(ends[3]);
        let mut lengths = [started + ends[0]; 4];
        for phase in 1..4 {
            lengths[phase] = ends[phase].saturating_sub(ends[phase - 1]);
        }
        Ok(Lengths { lengths, last })
    }
}

/// A run whose record is read as it grows.
pub struct Begun {
    pub run: Running,
    report: TempDir,
}

impl Begun {
    /// Starts `peerlab ARGUMENTS --report …`.
    pub fn start(someone: &Someone, arguments: &[&str]) -> Result<Begun, Failed> {
        let report = tempfile::tempdir()?;
        // Whoever plays it must be able to write there.
        fs::set_permissions(report.path(), fs::Permissions::from_mode(0o777))?;
        let mut arguments = arguments.to_vec();
        let place = report.path().display().to_string();
        arguments.extend(["--report", &place]);
        let run = someone.start(&arguments)?;
        Ok(Begun { run, report })
    }

    /// Waits for a phase, and then for a random part of it; returns how long that was. `None` when the run has ended.
    ///
    /// `first_word`: in the first phase, waits at least until the program has said something.
    pub fn reach(&mut self, phase: Phase, lengths: &Lengths, first_word: bool) -> Option<Duration> {
        let mark = match phase {
            Phase::Building => None,
            Phase::Settling => Some("\"phase\":\"build\"".to_owned()),
            Phase::Running => Some(step_ended(0)),
            Phase::TakingDown => Some(step_ended(lengths.last)),
        };
        match mark {
            Some(mark) => {
                let record = self.report.path().join(RECORD);
                let there = |_: &mut Running| {
                    let text = fs::read_to_string(&record).unwrap_or_default();
                    text.contains(&mark).then_some(())
                };
                self.run.until(&mark, there).ok()?;
            }
            None if first_word => self.run.until_said(FIRST_WORD).ok()?,
            None => {}
        }
        let share = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
        // Taking down is short on some runs and long on others: most often at its beginning.
        let share = match phase {
            Phase::TakingDown => share.powi(3),
            _ => share,
        };
        let part = lengths.lengths[phase as usize].mul_f64(share);
        pause(part);
        Some(part)
    }
}

fn step_ended(step: usize) -> String {
    format!("\"fact\":\"step-ended\",\"step\":{step}")
}
