//! What tests in a real kernel share: namespaces to be in, `ip` to build with, and waiting for light.

use std::os::fd::AsRawFd;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use peerlab::kernel::enter::enter;
use peerlab::kernel::namespace::Namespace;

/// Plays the trials in namespaces of their own, as peerlab does, so that they are the same for root and for an
/// ordinary user. Where that cannot be they are shown as ignored, with the reason. `trials` is asked inside.
pub fn play(trials: impl FnOnce() -> Vec<Trial>, threads: Option<usize>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = threads.or(arguments.test_threads);
    let trials = match enter() {
        Ok(entered) => {
            entered.signals.release();
            trials()
        }
        Err(error) => {
            let ignored = |trial: Trial| trial.with_kind(error.to_string()).with_ignored_flag(true);
            trials().into_iter().map(ignored).collect()
        }
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The path of a namespace, for `ip link … netns`.
pub fn path(namespace: &Namespace) -> String {
    format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        namespace.fd().as_raw_fd()
    )
}

pub fn ip(namespace: &Namespace, arguments: &str) -> Result<String, Failed> {
    run(namespace, "ip", arguments)
}

/// Runs a program in a namespace, and gives what it says.
pub fn run(namespace: &Namespace, program: &str, arguments: &str) -> Result<String, Failed> {
    let mut command = Command::new(program);
    command.args(arguments.split(' '));
    namespace.enter_on_exec(&mut command)?;
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {arguments}: {words}").into())
}

/// Waits until all links of a namespace but `lo` are operational: until then the kernel drops what they send.
pub fn wait_until_up(namespace: &Namespace) -> Result<(), Failed> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let links = ip(namespace, "-o link show")?;
        let waiting = |link: &&str| !link.contains(" lo: ") && !link.contains(" state UP ");
        let Some(link) = links.lines().find(waiting) else {
            return Ok(());
        };
        if Instant::now() > deadline {
            return Err(format!("not up: {link}").into());
        }
    }
}

pub fn expect<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    wanted: T,
) -> Result<(), Failed> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("{what}: found {found:?}, wanted {wanted:?}").into())
    }
}
