//! A command's end: finds labs, asks them, and waits for their end.

use std::fmt;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Uid, geteuid};

use super::protocol::{Answer, Request};
use super::{Name, PREFIX, socket_name};
use crate::kernel::join::Namespaces;
use crate::kernel::process::Process;
use crate::kernel::unix::{self, Peer};
use crate::source::{closest, list};

/// How long a lab may be silent: while it is built, it does not answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a lab may take to go down.
const GOING_DOWN: Duration = Duration::from_secs(30);
/// How long it may take after a signal that it cannot refuse.
const KILLED: Duration = Duration::from_secs(10);
/// The longest line of an answer, in bytes: a line has a thousand routes at most.
const LONGEST_ANSWER: usize = 64 << 20;
/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// A lab that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Whose.
    pub uid: Uid,
    /// Its name.
    pub name: Name,
}

impl fmt::Display for Kept {
    /// As it is named on the command line: another user's with the user's number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.uid == geteuid() {
            true => write!(f, "{}", self.name),
            false => write!(f, "{}/{}", self.uid, self.name),
        }
    }
}

/// Why a lab could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The kernel does not tell which labs there are.
    #[error("read which labs are up: {0}")]
    List(#[source] io::Error),
    /// No lab is meant by what was asked for.
    #[error("find {}", asked.as_ref().map_or("a lab".to_owned(), |asked| format!("the lab `{asked}`")))]
    None {
        /// The name, if one was given.
        asked: Option<String>,
        /// Those there are.
        there: Vec<Kept>,
    },
    /// Somebody else has taken its name.
    #[error("speak to the lab `{lab}`: it runs as user {uid}, and is not what its name says")]
    Impostor {
        /// The lab.
        lab: Kept,
        /// As whom it runs.
        uid: Uid,
    },
    /// It cannot be spoken to.
    #[error("speak to the lab `{lab}`: {source}")]
    Speak {
        /// The lab.
        lab: Kept,
        /// Why.
        source: io::Error,
    },
    /// It says that something is wrong with what it was asked.
    #[error("{message}")]
    Wrong {
        /// What.
        message: String,
        /// What would be right.
        help: Option<String>,
    },
    /// It did not go down.
    #[error("end the lab `{lab}`: process {pid} is still there")]
    Stays {
        /// The lab.
        lab: Kept,
        /// Its outer process.
        pid: nix::unistd::Pid,
    },
}

impl KeptError {
    /// What helps, if it is known.
    pub fn help(&self) -> Option<String> {
        match self {
            KeptError::None { there, .. } if there.is_empty() => {
                Some("no lab is up: start one with `peerlab up TOPOLOGY`".to_owned())
            }
            KeptError::None { asked, there } => {
                let names: Vec<String> = there.iter().map(Kept::to_string).collect();
                let names = names.iter().map(String::as_str);
                let near = asked
                    .as_ref()
                    .and_then(|asked| closest(asked, names.clone()));
                Some(match (asked, near) {
                    (_, Some(near)) => format!("did you mean `{near}`?"),
                    (Some(_), None) => format!("these are up: {}", list(names)),
                    (None, None) => format!("several are up, name one of them: {}", list(names)),
                })
            }
            KeptError::Speak { source, .. } if source.kind() == io::ErrorKind::WouldBlock => Some(
                "it is being built, or stopped (SIGSTOP); `peerlab down` ends it in any case"
                    .to_owned(),
            ),
            KeptError::Wrong { help, .. } => help.clone(),
            _ => None,
        }
    }
}

/// The labs that are up and that this user may speak to: his own first, for root those of all others after them.
///
/// # Errors
/// The kernel does not tell.
pub fn labs() -> Result<Vec<Kept>, KeptError> {
    let own = geteuid();
    let kept = |name: String| {
        let (uid, name) = name.strip_prefix(PREFIX)?.split_once('/')?;
        let uid = Uid::from_raw(uid.parse().ok()?);
        let name = name.parse().ok()?;
        (uid == own || own.is_root()).then_some(Kept { uid, name })
    };
    let names = unix::names(PREFIX).map_err(KeptError::List)?;
    let mut labs: Vec<Kept> = names.into_iter().filter_map(kept).collect();
    labs.sort_by_key(|lab| (lab.uid != own, lab.uid.as_raw(), lab.name.clone()));
    Ok(labs)
}

/// The lab of a name, given as [`Kept`] is shown; without a name, the user's only one, or the only one there is.
///
/// # Errors
/// There is none, or more than one.
pub fn find(asked: Option<&str>) -> Result<Kept, KeptError> {
    choose(labs()?, asked)
}

pub(super) fn choose(there: Vec<Kept>, asked: Option<&str>) -> Result<Kept, KeptError> {
    let own = there.iter().any(|lab| lab.uid == geteuid());
    let found = {
        let mut meant = there.iter().filter(|lab| match asked {
            Some(asked) => lab.to_string() == asked,
            None => !own || lab.uid == geteuid(),
        });
        meant.next().filter(|_| meant.next().is_none()).cloned()
    };
    found.ok_or_else(|| KeptError::None {
        asked: asked.map(str::to_owned),
        there,
    })
}

impl Kept {
    /// Asks a question, and gives each line of the answer to `each`, until that has enough.
    ///
    /// # Errors
    /// The lab does not answer, or says that something is wrong.
    pub fn ask(
        &self,
        request: &Request,
        mut each: impl FnMut(Answer) -> ControlFlow<()>,
    ) -> Result<(), KeptError> {
        let (mut stream, _) = self.connect()?;
        self.say(&mut stream, request)?;
        self.hear(&stream, |answer, _| each(answer))
    }

    /// The namespaces of a place in the lab, and whose they are.
    ///
    /// # Errors
    /// As [`Kept::ask`]; there is no such place.
    pub fn enter(&self, place: &str) -> Result<(Namespaces, Peer), KeptError> {
        let (mut stream, peer) = self.connect()?;
        let place = place.to_owned();
        self.say(&mut stream, &Request::Enter { place })?;
        let mut found = None;
        self.hear(&stream, |_, passed| {
            found = found.take().or(Namespaces::of(std::mem::take(passed)));
            ControlFlow::Continue(())
        })?;
        let nothing =
            io::Error::other("it passed no namespaces: too many open files, here or there");
        let found = found.ok_or_else(|| self.broken(nothing))?;
        Ok((found, peer))
    }

    /// Ends the lab, and returns when nothing of it is left. One that does not answer is killed.
    ///
    /// # Errors
    /// It cannot be spoken to, or does not end.
    pub fn end(&self) -> Result<(), KeptError> {
        let (mut stream, peer) = self.connect()?;
        // Held before it is asked, so that it is its end that is waited for, and no other process's.
        let process = Process::open(peer.pid).map_err(|error| self.broken(error))?;
        let asked = self.say(&mut stream, &Request::Down);
        let asked = asked.and_then(|()| self.hear(&stream, |_, _| ControlFlow::Continue(())));
        if asked.is_ok() && process.wait(GOING_DOWN) {
            return Ok(());
        }
        // With the outer process the kernel ends all others of the lab.
        let _ = process.signal(Signal::SIGKILL);
        match process.wait(KILLED) {
            true => Ok(()),
            false => Err(KeptError::Stays {
                lab: self.clone(),
                pid: peer.pid,
            }),
        }
    }

    fn connect(&self) -> Result<(UnixStream, Peer), KeptError> {
        let name = socket_name(self.uid, &self.name);
        let stream = unix::reach(&name, self.uid, PATIENCE).map_err(|error| self.broken(error))?;
        let peer = Peer::of(&stream).map_err(|error| self.broken(error))?;
        match peer.uid == self.uid {
            true => Ok((stream, peer)),
            false => Err(KeptError::Impostor {
                lab: self.clone(),
                uid: peer.uid,
            }),
        }
    }

    fn say(&self, stream: &mut UnixStream, request: &Request) -> Result<(), KeptError> {
        let mut text = serde_json::to_vec(request).map_err(|error| self.broken(error.into()))?;
        text.push(b'\n');
        stream.write_all(&text).map_err(|error| self.broken(error))
    }

    /// Reads lines until the end of the answer; each gets the descriptors that came so far.
    fn hear(
        &self,
        stream: &UnixStream,
        mut each: impl FnMut(Answer, &mut Vec<OwnedFd>) -> ControlFlow<()>,
    ) -> Result<(), KeptError> {
        let broken = |error| self.broken(error);
        let (mut text, mut passed) = (Vec::new(), Vec::new());
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = unix::receive(stream, &mut chunk, &mut passed).map_err(broken)?;
            if length == 0 {
                return Err(broken(io::Error::other("it ended")));
            }
            // Only what is new can end a line.
            let mut fresh = text.len();
            text.extend_from_slice(&chunk[..length]);
            let mut begin = 0;
            while let Some(end) = text[fresh..].iter().position(|byte| *byte == b'\n') {
                let end = fresh + end;
                let line = serde_json::from_slice(&text[begin..end]);
                match line.map_err(|error| broken(error.into()))? {
                    Answer::End => return Ok(()),
                    Answer::Wrong { message, help } => {
                        return Err(KeptError::Wrong { message, help });
                    }
                    answer => {
                        if each(answer, &mut passed).is_break() {
                            return Ok(());
                        }
                    }
                }
                begin = end + 1;
                fresh = begin;
            }
            text.drain(..begin);
            if text.len() > LONGEST_ANSWER {
                return Err(broken(io::Error::other("its answer is too long")));
            }
        }
    }

    fn broken(&self, source: io::Error) -> KeptError {
        use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset};
        let lost = matches!(
            source.kind(),
            BrokenPipe | ConnectionRefused | ConnectionReset
        );
        match labs() {
            // It went while it was asked.
            Ok(there) if lost && !there.contains(self) => KeptError::None {
                asked: Some(self.to_string()),
                there,
            },
            _ => KeptError::Speak {
                lab: self.clone(),
                source,
            },
        }
    }
}
