//! BIRD 2 with the carrier's own configuration file.
//!
//! The configuration is parsed by BIRD first (`bird -p`), so that a mistake is shown before anything runs.
//! BIRD runs in the foreground; what it logs to standard error becomes facts.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc::UnboundedSender;

use super::DeviceError;
use crate::kernel::namespace::Namespace;
use crate::record::{Fact, Recorder};

const PROGRAM: &str = "bird";
/// Lines of a failed BIRD that are kept for the report.
const LAST_WORDS: usize = 12;

/// A device that ended although nobody asked it to.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Router it played.
    pub router: String,
    /// Its exit status and last words.
    pub words: String,
}

/// Starts BIRD in the router's namespace and watches it until it ends or the lab does.
///
/// # Errors
/// BIRD is not installed, refuses the configuration, or cannot be run.
pub fn start(
    router: &str,
    namespace: &Namespace,
    config: &Path,
    recorder: &Recorder,
    ended: UnboundedSender<Ended>,
) -> Result<(), DeviceError> {
    check(router, namespace, config)?;
    let control = format!("/run/bird-{router}.ctl");
    let mut command = Command::new(PROGRAM);
    command
        .args(["-f", "-s", &control, "-c"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    namespace.enter_on_exec(&mut command)?;
    let child = tokio::process::Command::from(command)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| spawn_error(router, source))?;
    recorder.now(Fact::Device {
        router: router.to_owned(),
        event: "started".to_owned(),
        text: format!("bird -c {}", config.display()),
    });
    tokio::task::spawn_local(watch(router.to_owned(), child, recorder.clone(), ended));
    Ok(())
}

/// Lets BIRD read the configuration without running it.
fn check(router: &str, namespace: &Namespace, config: &Path) -> Result<(), DeviceError> {
    let mut command = Command::new(PROGRAM);
    command.arg("-p").arg("-c").arg(config).stdin(Stdio::null());
    namespace.enter_on_exec(&mut command)?;
    let output = command
        .output()
        .map_err(|source| spawn_error(router, source))?;
    if output.status.success() {
        return Ok(());
    }
    let words = [output.stdout, output.stderr].concat();
    Err(DeviceError::Rejected {
        router: router.to_owned(),
        program: PROGRAM,
        config: PathBuf::from(config),
        words: String::from_utf8_lossy(&words).trim().to_owned(),
    })
}

/// Turns BIRD's log lines into facts, and its end into a message.
async fn watch(
    router: String,
    mut child: Child,
    recorder: Recorder,
    ended: UnboundedSender<Ended>,
) {
    let mut last = std::collections::VecDeque::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if last.len() == LAST_WORDS {
                last.pop_front();
            }
            last.push_back(line.clone());
            recorder.now(Fact::Device {
                router: router.clone(),
                event: "said".to_owned(),
                text: line,
            });
        }
    }
    let status = match child.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let said: Vec<String> = last.into();
    let words = if said.is_empty() {
        status
    } else {
        format!("{status}\n{}", said.join("\n"))
    };
    recorder.now(Fact::Device {
        router: router.clone(),
        event: "exited".to_owned(),
        text: words.clone(),
    });
    let _ = ended.send(Ended { router, words });
}

fn spawn_error(router: &str, source: std::io::Error) -> DeviceError {
    if source.kind() == std::io::ErrorKind::NotFound {
        DeviceError::NotInstalled {
            router: router.to_owned(),
            program: PROGRAM,
            package: "bird2",
        }
    } else {
        DeviceError::Spawn {
            router: router.to_owned(),
            program: PROGRAM,
            source,
        }
    }
}
