//! What the outside of user-mode Linux and its init tell each other, line by line.
//!
//! ```text
//! guest → outside   ready             for another line: its terminals are open, or the last line was read
//! outside → guest   part {…           a piece of what to run
//! outside → guest   go                that was all
//! outside → guest   signal 15         for the program
//! guest → outside   exit 0            the program ended; it powers off
//! guest → outside   failed …          the program could not be run
//! ```
//!
//! A terminal of user-mode Linux never reads again once it was so full that it asked to wait, so no more is sent than it holds.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::kernel::terminal;

/// A program to be run inside.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The program, its path inside.
    pub program: OsString,
    /// Its arguments, without its name.
    pub arguments: Vec<OsString>,
    /// Its environment, all of it.
    pub environment: Vec<(OsString, OsString)>,
    /// The folder it starts in.
    pub folder: OsString,
    /// Of its output and its error output: the columns, when it is a terminal.
    pub terminals: [Option<u16>; 2],
}

impl Job {
    /// A program with the environment, the folder and the streams of this process.
    ///
    /// # Errors
    /// What getcwd(2) says.
    pub fn here(program: &Path, arguments: Vec<OsString>) -> io::Result<Job> {
        const USUAL: u16 = 80;
        let columns = |is: bool, columns: Option<usize>| {
            let columns = columns.and_then(|columns| u16::try_from(columns).ok());
            is.then(|| columns.unwrap_or(USUAL))
        };
        let (out, err) = (io::stdout(), io::stderr());
        Ok(Job {
            program: program.into(),
            arguments,
            environment: std::env::vars_os().collect(),
            folder: std::env::current_dir()?.into(),
            terminals: [
                columns(out.is_terminal(), terminal::columns(&out)),
                columns(err.is_terminal(), terminal::columns(&err)),
            ],
        })
    }
}

/// Bytes of a job in one line: half of what a terminal holds before it asks to wait.
const PART: usize = 2048;

impl Job {
    /// The lines that tell it. Names are told as bytes, so all of it is ASCII.
    pub fn lines(&self) -> Vec<ToGuest> {
        let text = serde_json::to_string(self).expect("strings and numbers");
        let parts = text.as_bytes().chunks(PART);
        let parts = parts.map(|part| ToGuest::Part(String::from_utf8_lossy(part).into_owned()));
        parts.chain([ToGuest::Go]).collect()
    }

    /// What the parts say together.
    pub fn parse(parts: &str) -> Option<Job> {
        serde_json::from_str(parts).ok()
    }
}

/// A line to the guest.
#[derive(Debug, PartialEq, Eq)]
pub enum ToGuest {
    /// A piece of what to run.
    Part(String),
    /// That was all of it.
    Go,
    /// For the program.
    Signal(i32),
    /// The outside has gone, or makes no sense.
    Gone,
}

impl ToGuest {
    /// What a line says.
    pub fn parse(line: &str) -> ToGuest {
        let line = line.trim_end_matches('\n');
        match line.split_once(' ') {
            None if line == "go" => ToGuest::Go,
            Some(("part", part)) => ToGuest::Part(part.to_owned()),
            Some(("signal", number)) => number.parse().map_or(ToGuest::Gone, ToGuest::Signal),
            Some(_) | None => ToGuest::Gone,
        }
    }

    /// The line that says it, with its end.
    pub fn line(&self) -> String {
        match self {
            ToGuest::Part(part) => format!("part {part}\n"),
            ToGuest::Go => "go\n".to_owned(),
            ToGuest::Signal(number) => format!("signal {number}\n"),
            ToGuest::Gone => "\n".to_owned(),
        }
    }
}

/// A line from the guest.
#[derive(Debug, PartialEq, Eq)]
pub enum FromGuest {
    /// For another line.
    Ready,
    /// The program ended so.
    Exit(u8),
    /// Why the program could not be run.
    Failed(String),
    /// User-mode Linux has ended.
    Gone,
}

impl FromGuest {
    /// What a line says.
    pub fn parse(line: &str) -> FromGuest {
        let line = line.trim_end();
        match line.split_once(' ') {
            None if line == "ready" => FromGuest::Ready,
            Some(("exit", number)) => number.parse().map_or(FromGuest::Gone, FromGuest::Exit),
            Some(("failed", reason)) => FromGuest::Failed(reason.to_owned()),
            Some(_) | None => FromGuest::Gone,
        }
    }

    /// The line that says it, with its end.
    pub fn line(&self) -> String {
        match self {
            FromGuest::Ready => "ready\n".to_owned(),
            FromGuest::Exit(number) => format!("exit {number}\n"),
            FromGuest::Failed(reason) => format!("failed {}\n", reason.replace('\n', "; ")),
            FromGuest::Gone => "\n".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn a_job_arrives_in_parts() {
        let odd = OsString::from_vec(b"a \n\xff\"".to_vec());
        let job = Job {
            program: "/bin/true".into(),
            arguments: vec![odd.clone(), "ü".repeat(PART).into()],
            environment: vec![("A".into(), odd)],
            folder: "/".into(),
            terminals: [Some(80), None],
        };
        let mut parts = String::new();
        for line in job.lines().iter().map(ToGuest::line) {
            assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
            assert!(line.len() < 2 * PART);
            match ToGuest::parse(&line) {
                ToGuest::Part(part) => parts.push_str(&part),
                other => assert_eq!(other, ToGuest::Go),
            }
        }
        assert_eq!(Job::parse(&parts), Some(job));
    }

    #[test]
    fn what_is_said_is_heard() {
        assert_eq!(
            ToGuest::parse(&ToGuest::Signal(15).line()),
            ToGuest::Signal(15)
        );
        for told in [
            FromGuest::Ready,
            FromGuest::Exit(5),
            FromGuest::Failed("no such file".into()),
        ] {
            assert_eq!(FromGuest::parse(&told.line()), told);
        }
    }

    #[test]
    fn an_end_or_nonsense_is_the_others_end() {
        for line in ["", "\n", "exit 256", "exit", "ready or not", "job {}"] {
            assert_eq!(FromGuest::parse(line), FromGuest::Gone, "{line:?}");
            assert_eq!(ToGuest::parse(line), ToGuest::Gone, "{line:?}");
        }
    }
}
