//! Registries over real sockets: ours between themselves, and each side with the programs that others use.
//!
//! Everything is on the loopback of a network namespace. What needs a program that is missing is shown as ignored.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use peerlab::kernel::enter::enter;

#[path = "registry/irr.rs"]
mod irr;
#[path = "registry/rtr.rs"]
mod rtr;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match enter() {
        Ok(entered) => {
            entered.signals.release();
            let outside = Arc::new(entered.outside);
            let trials = rtr::trials().into_iter().chain(irr::trials(&outside));
            libtest_mimic::run(&arguments, trials.collect()).exit_code()
        }
        Err(error) => {
            let why = error.to_string();
            let cannot = Trial::test("registries", || Ok(()));
            let cannot = cannot.with_kind(why).with_ignored_flag(true);
            libtest_mimic::run(&arguments, vec![cannot]).exit_code()
        }
    }
}

type Outcome = Result<(), Failed>;

/// A test in a runtime of its own, which the servers it starts live in.
fn trial(name: &str, test: impl AsyncFn() -> Outcome + Send + 'static) -> Trial {
    Trial::test(name, move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(test())
    })
}

/// The same, if a program is installed.
fn with(program: &str, name: &str, test: impl AsyncFn() -> Outcome + Send + 'static) -> Trial {
    let trial = trial(name, test);
    match Command::new(program).arg("--version").output() {
        Ok(_) => trial,
        Err(_) => trial
            .with_kind(format!("{program} is not installed"))
            .with_ignored_flag(true),
    }
}

/// Asks again and again until the answer is there.
async fn eventually<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Option<T>, Failed>,
) -> Result<T, Failed> {
    let mut again = tokio::time::interval(Duration::from_millis(50));
    let asking = async {
        loop {
            again.tick().await;
            if let Some(found) = ask().await? {
                return Ok(found);
            }
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(found) => found,
        Err(_) => Err(format!("never came: {what}").into()),
    }
}

/// What a program prints; an error when it fails.
async fn output(program: &str, arguments: &[&str]) -> Result<String, Failed> {
    let run = tokio::process::Command::new(program)
        .args(arguments)
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, run).await??;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        let words = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program} {arguments:?}: {text}{words}").into())
    }
}
