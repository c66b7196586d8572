//! Starting the program as a user does, and what becomes of it.

use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use nix::poll::ppoll;
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeSpec;
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

use crate::left;
use crate::turn::{self, Turn};

/// The binding that lets BIRD play the peer's routers of the one-metro topology.
pub const BIRD: &str = "topologies/bindings/one-metro-bird.toml";
/// Longer than any scenario takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(100);
/// The ordinary user that root's tests become.
const NOBODY: u32 = 65534;

const PROGRAM: &str = env!("CARGO_BIN_EXE_peerlab");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Who starts the program, and where it and the shipped files are.
pub struct Someone {
    program: PathBuf,
    folder: PathBuf,
    uid: Option<u32>,
    _copy: Option<TempDir>,
}

impl Someone {
    /// The user who runs the tests.
    pub fn present() -> Someone {
        Someone {
            program: PROGRAM.into(),
            folder: ROOT.into(),
            uid: None,
            _copy: None,
        }
    }

    /// A user without any capability, who has a copy of the program and of the shipped files.
    pub fn ordinary() -> Result<Someone, Failed> {
        if !geteuid().is_root() {
            return Ok(Someone::present());
        }
        let copy = tempfile::tempdir()?;
        fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755))?;
        let program = copy.path().join("peerlab");
        fs::copy(PROGRAM, &program)?;
        for folder in ["scenarios", "topologies"] {
            copy_readable(&Path::new(ROOT).join(folder), &copy.path().join(folder))?;
        }
        Ok(Someone {
            program,
            folder: copy.path().to_owned(),
            uid: Some(NOBODY),
            _copy: Some(copy),
        })
    }

    /// Why an ordinary user cannot be tried here.
    pub fn no_ordinary() -> Option<String> {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let users = map.split_whitespace().nth(2).and_then(|n| n.parse().ok());
        (geteuid().is_root() && users.unwrap_or(0_u64) <= u64::from(NOBODY))
            .then(|| "only one user exists in this user namespace".to_owned())
    }

    /// `peerlab ARGUMENTS`, ready to be started.
    pub fn command<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = self.wrap(&self.program);
        command.args(arguments);
        command
    }

    /// Another program, started by the same user in the same place.
    pub fn wrap(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder);
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command
    }

    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Starts `peerlab ARGUMENTS`.
    pub fn start<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A]) -> Result<Running, Failed> {
        Running::start(self.command(arguments))
    }

    /// `peerlab ARGUMENTS`, from its start to its end.
    pub fn play<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A]) -> Result<Ended, Failed> {
        self.start(arguments)?.end(PATIENCE)
    }
}

fn copy_readable(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(from)? {
        let (entry, to) = (entry?.path(), to);
        let to = to.join(entry.file_name().unwrap_or_default());
        if entry.is_dir() {
            copy_readable(&entry, &to)?;
        } else {
            fs::copy(&entry, &to)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}

/// The program while it runs. Dropped, it is killed.
pub struct Running {
    child: Child,
    /// Text in the environment of every process of its lab, and of no other.
    mark: String,
    words: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    since: Instant,
    _turn: Arc<Turn>,
}

/// The program after its end.
pub struct Ended {
    status: ExitStatus,
    /// All it said, on both streams.
    pub words: String,
    /// From its start to its end.
    pub took: Duration,
}

impl Running {
    /// Starts a command of [`Someone::command`] in a process group of its own, as a shell would.
    pub fn start(mut command: Command) -> Result<Running, Failed> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let turn = turn::beside_others()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{number}", std::process::id());
        command
            .env(left::MARK, &mark)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let since = Instant::now();
        let mut child = command.spawn()?;
        let words = Arc::new(Mutex::new(String::new()));
        let readers = [
            child.stdout.take().map(|out| listen(out, &words)),
            child.stderr.take().map(|out| listen(out, &words)),
        ];
        Ok(Running {
            child,
            mark,
            words,
            readers: readers.into_iter().flatten().collect(),
            since,
            _turn: turn,
        })
    }

    /// The outer process.
    pub fn outer(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Pid 1 of the lab. Before it is there, a child is something else: a BIRD that reads its configuration.
    pub fn init(&self) -> Option<Pid> {
        let children = left::children(self.outer());
        children
            .into_iter()
            .find(|child| left::is_first_of_its_own(*child))
    }

    /// The process that is the lab.
    pub fn inner(&self) -> Option<Pid> {
        left::children(self.init()?).first().copied()
    }

    /// The text in the environment of its processes.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.words.lock().expect("no reader panics").clone()
    }

    /// Waits until it has said something.
    pub fn until_said(&mut self, text: &str) -> Result<(), Failed> {
        let said = |run: &mut Running| run.said().contains(text).then_some(());
        self.until(&format!("it says `{text}`"), said)
    }

    /// Asks again and again until there is an answer; an error when the program ends before.
    pub fn until<T>(
        &mut self,
        what: &str,
        mut answer: impl FnMut(&mut Running) -> Option<T>,
    ) -> Result<T, Failed> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait()?.is_some();
            if let Some(answer) = answer(self) {
                return Ok(answer);
            }
            if ended || Instant::now() > deadline {
                return Err(format!("waited in vain until {what}:\n{}", self.said()).into());
            }
            pause(Duration::from_millis(1));
        }
    }

    /// Waits for its end, and for that of every process that holds its streams.
    pub fn end(mut self, within: Duration) -> Result<Ended, Failed> {
        let deadline = Instant::now() + within;
        let done = |run: &mut Running| -> Result<Option<ExitStatus>, Failed> {
            let closed = run.readers.iter().all(JoinHandle::is_finished);
            Ok(run.child.try_wait()?.filter(|_| closed))
        };
        loop {
            if let Some(status) = done(&mut self)? {
                let took = self.since.elapsed();
                let words = self.said();
                return Ok(Ended {
                    status,
                    words,
                    took,
                });
            }
            if Instant::now() > deadline {
                let words = self.said();
                return Err(format!("not over after {within:?}; it said:\n{words}").into());
            }
            pause(Duration::from_millis(1));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(mut out: impl Read + Send + 'static, words: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let words = Arc::clone(words);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = out.read(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..count]);
            words.lock().expect("no reader panics").push_str(&text);
        }
    })
}

/// Lets a moment pass that no event marks.
pub fn pause(time: Duration) {
    let _ = ppoll(&mut [], Some(TimeSpec::from_duration(time)), None);
}

/// Sends a signal to a process that may have ended.
pub fn send(signal: Signal, to: Pid) {
    let _ = kill(to, signal);
}

impl AsRef<Ended> for Ended {
    fn as_ref(&self) -> &Ended {
        self
    }
}

/// With a record.
impl AsRef<Ended> for (Ended, String) {
    fn as_ref(&self) -> &Ended {
        &self.0
    }
}

impl Ended {
    /// The exit number, if it was not killed.
    pub fn number(&self) -> Option<i32> {
        self.status.code()
    }

    /// An error that shows all words, unless the exit number is the expected one.
    pub fn expect(&self, number: i32) -> Result<(), Failed> {
        self.check(
            self.number() == Some(number),
            &format!("exit number {number}"),
        )
    }

    /// An error that shows all words, unless it said this.
    pub fn expect_words(&self, words: &str) -> Result<(), Failed> {
        // The terminal breaks lines between words.
        let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.check(
            plain(&self.words).contains(&plain(words)),
            &format!("the words `{words}`"),
        )
    }

    /// An error that shows all words, unless `held`.
    pub fn check(&self, held: bool, wanted: &str) -> Result<(), Failed> {
        if held {
            Ok(())
        } else {
            Err(format!("wanted {wanted}, but {self}").into())
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.status.code(), self.status.signal()) {
            (Some(number), _) => write!(f, "it ended with {number}")?,
            (None, signal) => write!(f, "signal {signal:?} ended it")?,
        }
        write!(f, " after {:?}; it said:\n{}", self.took, self.words)
    }
}
