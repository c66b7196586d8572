//! BIRD 2 with the carrier's own configuration file.
//!
//! The configuration is read by BIRD first (`bird -p`), so that a mistake is shown before anything is built.
//! BIRD runs in the foreground; what it logs to standard error becomes facts.

use std::collections::VecDeque;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_local};

use super::DeviceError;
use crate::kernel::feature::program;
use crate::kernel::namespace::Namespace;
use crate::record::{Fact, Recorder};

const PROGRAM: &str = "bird";
/// Lines of a failed BIRD that are kept for the report.
const LAST_WORDS: usize = 12;
/// Lines of one BIRD that go into the record.
const MOST_LINES: usize = 2000;
/// Bytes of one line.
const LONGEST_LINE: u64 = 4096;

/// A device that ended although nobody asked it to.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Router it played.
    pub router: String,
    /// Its exit status and last words.
    pub words: String,
}

/// A BIRD that runs. Dropping this kills it too, but does not wait for its end.
#[derive(Debug)]
pub struct Bird {
    stop: oneshot::Sender<()>,
    watch: JoinHandle<()>,
}

impl Bird {
    /// Kills it, and returns when it is gone: its control socket is free then.
    pub async fn stop(self) {
        drop(self.stop);
        // The task only fails when the runtime ends, and BIRD ends with it.
        let _ = self.watch.await;
    }
}

/// Starts BIRD in the router's namespace and watches it until it ends or is stopped.
///
/// # Errors
/// BIRD is not installed or cannot be run. A configuration it refuses is told when it ends; see [`check`].
pub fn start(
    router: &str,
    namespace: &Namespace,
    config: &Path,
    recorder: &Recorder,
    ended: UnboundedSender<Ended>,
) -> Result<Bird, DeviceError> {
    let control = format!("/run/bird-{router}.ctl");
    let mut command = command(router)?;
    command
        .args(["-f", "-s", &control, "-c"])
        .arg(config)
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
    let (stop, stopped) = oneshot::channel();
    let words = Words::new(router, recorder);
    let watch = spawn_local(watch(child, words, ended, stopped));
    Ok(Bird { stop, watch })
}

/// Lets BIRD read a configuration without running it, in the present namespaces.
///
/// # Errors
/// BIRD is not installed, refuses the configuration, or cannot be run.
pub fn check(router: &str, config: &Path) -> Result<(), DeviceError> {
    let mut command = command(router)?;
    command.arg("-p").arg("-c").arg(config);
    let output = command
        .output()
        .map_err(|source| spawn_error(router, source))?;
    if output.status.success() {
        return Ok(());
    }
    // Killed, it has not judged anything.
    if output.status.code().is_none() {
        let status = std::io::Error::other(output.status.to_string());
        return Err(spawn_error(router, status));
    }
    let words = [output.stdout, output.stderr].concat();
    let mut words = String::from_utf8_lossy(&words).trim().to_owned();
    if words.is_empty() {
        words = output.status.to_string();
    }
    Err(DeviceError::Rejected {
        router: router.to_owned(),
        program: PROGRAM,
        config: PathBuf::from(config),
        words,
    })
}

/// BIRD, not yet told what to do. It is in a process group of its own: what a terminal sends at Ctrl-C is for peerlab,
/// which takes the lab down in order.
fn command(router: &str) -> Result<Command, DeviceError> {
    let path = program::find(PROGRAM).ok_or_else(|| DeviceError::NotInstalled {
        router: router.to_owned(),
        program: PROGRAM,
        package: "bird2",
    })?;
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).process_group(0);
    Ok(command)
}

/// What a BIRD says, line by line.
struct Words {
    router: String,
    recorder: Recorder,
    /// Lines recorded so far.
    said: usize,
    last: VecDeque<String>,
}

impl Words {
    fn new(router: &str, recorder: &Recorder) -> Words {
        Words {
            router: router.to_owned(),
            recorder: recorder.clone(),
            said: 0,
            last: VecDeque::new(),
        }
    }

    fn line(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        if self.last.len() == LAST_WORDS {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        self.said += 1;
        // A talkative configuration must not fill the record.
        if self.said <= MOST_LINES {
            self.fact("said", line);
        }
    }

    fn fact(&self, event: &str, text: String) {
        self.recorder.now(Fact::Device {
            router: self.router.clone(),
            event: event.to_owned(),
            text,
        });
    }
}

/// Turns BIRD's log into facts, and its end into a message unless it was asked to end.
async fn watch(
    mut child: Child,
    mut words: Words,
    ended: UnboundedSender<Ended>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut log = child.stderr.take().map(BufReader::new);
    let mut line = Vec::new();
    while let Some(reader) = &mut log {
        line.clear();
        // Longer lines come in pieces.
        let mut piece = reader.take(LONGEST_LINE);
        tokio::select! {
            _ = &mut stopped => {
                // Both only fail when it is gone already.
                let _ = child.start_kill();
                let _ = child.wait().await;
                return;
            }
            read = piece.read_until(b'\n', &mut line) => match read {
                Ok(0) | Err(_) => log = None,
                Ok(_) => words.line(&line),
            }
        }
    }
    let status = tokio::select! {
        _ = stopped => {
            let _ = child.start_kill();
            let _ = child.wait().await;
            return;
        }
        status = child.wait() => status,
    };
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    let last: Vec<String> = words.last.drain(..).collect();
    let text = [vec![status], last].concat().join("\n");
    words.fact("exited", text.clone());
    let router = words.router;
    let _ = ended.send(Ended {
        router,
        words: text,
    });
}

fn spawn_error(router: &str, source: std::io::Error) -> DeviceError {
    DeviceError::Spawn {
        router: router.to_owned(),
        program: PROGRAM,
        source,
    }
}
