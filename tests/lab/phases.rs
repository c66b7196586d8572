//! The phases of a run, measured once, and moments spread over all of them.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use libtest_mimic::Failed;
use peerlab::record::{self, Fact};
use peerlab::time::At;

use crate::play::Someone;

/// When each phase of a run ends, counted from the start of the program.
#[derive(Debug, Clone, Copy)]
pub struct Phases([Duration; 4]);

/// Their names, in order.
pub const NAMES: [&str; 4] = ["building", "settling", "running", "taking down"];

impl Phases {
    /// Plays a scenario once, undisturbed, and reads the phases from its record.
    pub fn measure(arguments: &[&str]) -> Result<Phases, Failed> {
        let report = tempfile::tempdir()?;
        let folder = report.path().join("report");
        let mut arguments = arguments.to_vec();
        let place = folder.display().to_string();
        arguments.extend(["--report", &place]);
        let ended = Someone::present().play(&arguments)?;
        let mut phases = [Duration::ZERO; 4];
        let mut last = Duration::ZERO;
        for entry in record::read(&folder.join(peerlab::report::RECORD))? {
            last = entry.at.since(At::ZERO);
            match entry.fact {
                Fact::Phase { phase, .. } if phase == "build" => phases[0] = last,
                Fact::StepEnded { step: 0 } => phases[1] = last,
                Fact::StepEnded { .. } => phases[2] = last,
                _ => {}
            }
        }
        phases[3] = last;
        let before = ended.took.saturating_sub(last);
        Ok(Phases(phases.map(|end| end + before)))
    }

    /// A moment in a phase, anew each time.
    pub fn moment(&self, phase: usize) -> Duration {
        let begin = phase.checked_sub(1).map_or(Duration::ZERO, |p| self.0[p]);
        let share = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
        begin + (self.0[phase] - begin).mul_f64(share)
    }
}
