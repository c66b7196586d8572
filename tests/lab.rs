//! The whole program in the real kernel: every shipped scenario, and everything that can go wrong around it.
//!
//! Each trial starts the program as a user does and looks at it from outside: its words, its exit number, the frames
//! on its cables, and what is left of it. A trial that cannot be played here is shown as ignored, with the reason.

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};
use peerlab::kernel::enter::enter;

#[path = "lab/agreement.rs"]
mod agreement;
#[path = "lab/circumstances.rs"]
mod circumstances;
#[path = "lab/edited.rs"]
mod edited;
#[path = "lab/frames.rs"]
mod frames;
#[path = "lab/impairments.rs"]
mod impairments;
#[path = "lab/internet.rs"]
mod internet;
#[path = "lab/kept.rs"]
mod kept;
#[path = "lab/kills.rs"]
mod kills;
#[path = "lab/lags.rs"]
mod lags;
#[path = "lab/left.rs"]
mod left;
#[path = "lab/monitoring.rs"]
mod monitoring;
#[path = "lab/noise.rs"]
mod noise;
#[path = "lab/parallel.rs"]
mod parallel;
#[path = "lab/phases.rs"]
mod phases;
#[path = "lab/play.rs"]
mod play;
#[path = "lab/registries.rs"]
mod registries;
#[path = "lab/scenarios.rs"]
mod scenarios;
#[path = "lab/secrets.rs"]
mod secrets;
#[path = "lab/signals.rs"]
mod signals;
#[path = "lab/turn.rs"]
mod turn;
#[path = "lab/uml.rs"]
mod uml;

/// Environment variable of a process that only finds out whether labs can be here.
const TRY: &str = "PEERLAB_TEST_TRY";

fn main() -> ExitCode {
    if std::env::var_os(TRY).is_some() {
        return try_to_enter();
    }
    if let Ok(kind) = std::env::var(noise::NOISE) {
        return noise::make(&kind);
    }
    let mut arguments = Arguments::from_args();
    // Labs share the machine's cores: their timing is only worth something when they run one at a time.
    arguments.test_threads = Some(1);
    let rooms = [
        scenarios::trials(),
        parallel::trials(),
        kills::trials(),
        signals::trials(),
        circumstances::trials(),
        frames::trials(),
        monitoring::trials(),
        internet::trials(),
        noise::trials(),
        agreement::trials(),
        registries::trials(),
        kept::trials(),
        secrets::trials(),
        uml::trials(),
        lags::trials(),
        impairments::trials(),
    ];
    let mut trials: Vec<Trial> = rooms.into_iter().flatten().collect();
    if let Err(reason) = labs_can_be() {
        let ignored = |trial: Trial| trial.with_kind(&reason).with_ignored_flag(true);
        trials = trials.into_iter().map(ignored).collect();
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn try_to_enter() -> ExitCode {
    match enter() {
        Ok(entered) => {
            entered.signals.release();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn labs_can_be() -> Result<(), String> {
    let tried = Command::new("/proc/self/exe").env(TRY, "").output();
    let tried = tried.map_err(|error| error.to_string())?;
    if tried.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&tried.stderr).into_owned())
    }
}
