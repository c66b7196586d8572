//! A device's processes: started one after another, heard, watched, and ended together.
//!
//! What they write to standard output and standard error becomes facts, line by line.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, spawn_local};
use tokio::time::timeout;

use super::Place;
use crate::binding::Daemon;
use crate::kernel::arrival::arrival;
use crate::kernel::process::Process;
use crate::record::{Fact, Recorder};
use crate::source::Secrets;

/// Lines of a failed device that are kept for the report.
const LAST_WORDS: usize = 12;
/// Lines of one device that go into the record.
const MOST_LINES: usize = 2000;
/// Bytes of one line.
const LONGEST_LINE: u64 = 4096;
/// How long a process may take until its socket is there.
const BOOT: Duration = Duration::from_secs(20);
/// How long processes that were killed may take to go.
const GOING: Duration = Duration::from_secs(2);

/// A device that ended although nobody asked it to.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Router it played.
    pub router: String,
    /// Which daemon.
    pub daemon: Daemon,
    /// Its exit status and last words.
    pub words: String,
}

/// A device that runs. Dropping this kills it too, but does not wait for its end.
#[derive(Debug)]
pub struct Running {
    /// Which daemon.
    pub daemon: Daemon,
    /// Where it runs; its tools are run there, too.
    pub place: Rc<Place>,
    stop: oneshot::Sender<()>,
    watch: JoinHandle<()>,
}

impl Running {
    /// Kills it, and returns when it is gone: its ports and sockets are free then.
    pub async fn stop(self) {
        drop(self.stop);
        // The task only fails when the runtime ends, and the device ends with it.
        let _ = self.watch.await;
    }
}

/// One thing to do until a device runs.
pub(super) struct Stage {
    /// The program's name and how it is called; `None` if there is only something to wait for.
    process: Option<(&'static str, Command)>,
    until: Until,
}

/// When the next thing is done.
pub(super) enum Until {
    /// At once; the process goes on.
    Started,
    /// When this socket is there; the process goes on.
    There(PathBuf),
    /// When the process has ended without complaint.
    Succeeded,
}

impl Stage {
    pub(super) fn new(name: &'static str, command: Command, until: Until) -> Stage {
        Stage {
            process: Some((name, command)),
            until,
        }
    }

    pub(super) fn wait(until: Until) -> Stage {
        Stage {
            process: None,
            until,
        }
    }
}

/// Goes through the stages and watches the processes until one ends or all are stopped.
pub(super) fn start(
    daemon: Daemon,
    place: Place,
    stages: Vec<Stage>,
    words: Words,
    ended: UnboundedSender<Ended>,
) -> Running {
    let (stop, stopped) = oneshot::channel();
    let place = Rc::new(place);
    let router = place.router.clone();
    let watch = spawn_local(async move {
        let mut crew = Crew::new(words);
        let end = tokio::select! {
            _ = stopped => None,
            end = crew.play(stages) => Some(end),
        };
        crew.kill().await;
        if let Some(status) = end {
            let words = crew.words.borrow_mut().last(status);
            crew.words.borrow().fact("exited", words.clone());
            // Nobody listens when the lab is taken down.
            let _ = ended.send(Ended {
                router,
                daemon,
                words,
            });
        }
    });
    Running {
        daemon,
        place,
        stop,
        watch,
    }
}

/// The processes of one device.
struct Crew {
    words: Rc<RefCell<Words>>,
    /// Process groups that were started.
    groups: Vec<Pid>,
    processes: JoinSet<(&'static str, io::Result<ExitStatus>)>,
    /// What hears them.
    ears: JoinSet<()>,
}

impl Crew {
    fn new(words: Words) -> Crew {
        Crew {
            words: Rc::new(RefCell::new(words)),
            groups: Vec::new(),
            processes: JoinSet::new(),
            ears: JoinSet::new(),
        }
    }

    /// Returns why it is over, when it is.
    async fn play(&mut self, stages: Vec<Stage>) -> String {
        for stage in stages {
            if let Err(end) = self.stage(stage).await {
                return end;
            }
        }
        self.end().await
    }

    async fn stage(&mut self, stage: Stage) -> Result<(), String> {
        let single = matches!(stage.until, Until::Succeeded);
        if let Some((name, command)) = stage.process {
            let mut child = self.spawn(name, command)?;
            if single {
                let status = tokio::select! {
                    status = child.wait() => status,
                    end = self.end() => return Err(end),
                };
                return match status {
                    Ok(status) if status.success() => {
                        // Its number may be another's from now on.
                        self.groups.pop();
                        Ok(())
                    }
                    status => Err(self.ended(name, status).await),
                };
            }
            self.processes
                .spawn_local(async move { (name, child.wait().await) });
        }
        let Until::There(socket) = stage.until else {
            return Ok(());
        };
        tokio::select! {
            end = self.end() => Err(end),
            // Connecting would be noticed, and complained about.
            there = timeout(BOOT, arrival(&socket)) => {
                let socket = socket.file_name().unwrap_or_default().to_string_lossy();
                match there {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(error)) => Err(format!("failed to wait for {socket}: {error}")),
                    Err(_) => Err(format!("no {socket} after {} s", BOOT.as_secs())),
                }
            }
        }
    }

    fn spawn(
        &mut self,
        name: &'static str,
        mut command: Command,
    ) -> Result<tokio::process::Child, String> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let arguments = command
            .get_args()
            .map(|argument| argument.to_string_lossy());
        let line = [name.into()].into_iter().chain(arguments);
        let line = line.collect::<Vec<_>>().join(" ");
        let mut child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("failed to start {name}: {error}"))?;
        self.words.borrow().fact("started", line);
        let group = child.id().and_then(|id| i32::try_from(id).ok());
        self.groups.extend(group.map(Pid::from_raw));
        if let Some(out) = child.stdout.take() {
            self.ears.spawn_local(listen(out, Rc::clone(&self.words)));
        }
        if let Some(out) = child.stderr.take() {
            self.ears.spawn_local(listen(out, Rc::clone(&self.words)));
        }
        Ok(child)
    }

    /// Waits for the end of a process; never returns while there is none.
    async fn end(&mut self) -> String {
        match self.processes.join_next().await {
            Some(Ok((name, status))) => self.ended(name, status).await,
            Some(Err(error)) => error.to_string(),
            None => std::future::pending().await,
        }
    }

    /// How a process ended, when its last words were heard.
    async fn ended(&mut self, name: &str, status: io::Result<ExitStatus>) -> String {
        self.kill().await;
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        match self.groups.len() {
            0 | 1 => status,
            _ => format!("{name}: {status}"),
        }
    }

    /// Kills all processes with what they started, and returns when they are gone and all they said was heard.
    async fn kill(&mut self) {
        for group in &self.groups {
            // It fails when the group is gone already.
            let _ = killpg(*group, Signal::SIGKILL);
        }
        while self.processes.join_next().await.is_some() {}
        let gone = async {
            for group in &self.groups {
                // Whoever was being started when the signal came may be seen only now.
                while let Ok(members) = Process::of_group(*group)
                    && !members.is_empty()
                {
                    for member in members {
                        let _ = member.ended().await;
                    }
                }
            }
            while self.ears.join_next().await.is_some() {}
        };
        // What does not go even when killed is stuck in the kernel, and not to be waited for.
        let _ = timeout(GOING, gone).await;
    }
}

/// Hears one stream to its end.
async fn listen(out: impl AsyncRead + Unpin, words: Rc<RefCell<Words>>) {
    let mut out = BufReader::new(out);
    let mut line = Vec::new();
    loop {
        line.clear();
        // Longer lines come in pieces.
        match (&mut out)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => return,
            Ok(_) => words.borrow_mut().line(&line),
        }
    }
}

/// What a device says, line by line, without the secrets of the topology.
pub(super) struct Words {
    router: String,
    recorder: Recorder,
    secrets: Secrets,
    /// Lines recorded so far.
    said: usize,
    last: VecDeque<String>,
}

impl Words {
    pub(super) fn new(router: &str, recorder: &Recorder, secrets: &Secrets) -> Words {
        Words {
            router: router.to_owned(),
            recorder: recorder.clone(),
            secrets: secrets.clone(),
            said: 0,
            last: VecDeque::new(),
        }
    }

    fn line(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        let line = self.secrets.hide(line);
        if line.is_empty() {
            return;
        }
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

    /// How it ended, and what it said before.
    fn last(&mut self, status: String) -> String {
        let words: Vec<String> = [status].into_iter().chain(self.last.drain(..)).collect();
        words.join("\n")
    }

    fn fact(&self, event: &str, text: String) {
        self.recorder.now(Fact::Device {
            router: self.router.clone(),
            event: event.to_owned(),
            text,
        });
    }
}
