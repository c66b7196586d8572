//! What is written is read back, whatever the fact; what is broken is told once, with its line.

use std::collections::HashSet;
use std::io::{self, Write};
use std::mem::discriminant;
use std::path::Path;

use proptest::prelude::*;

use super::{LinesError, Reader, Writer};
use crate::record::{Entry, Fact};
use crate::time::At;

mod facts;
mod numbers;
mod parts;

use facts::{entries, variants};
use numbers::{VARIANTS, number};

const PATH: &str = "record.jsonl";

fn written(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::to(&mut bytes, Path::new(PATH));
    for entry in entries {
        writer.write(entry).expect("memory");
    }
    bytes
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, LinesError> {
    Reader::from(bytes, Path::new(PATH)).collect()
}

proptest! {
    #[test]
    fn written_is_read(entries in entries()) {
        let bytes = written(&entries);
        prop_assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), entries.len());
        prop_assert_eq!(read(&bytes).unwrap(), entries);
    }

    /// A run that was killed in the middle of a line keeps all lines before.
    #[test]
    fn half_a_line_is_left_out(entries in entries(), cut in any::<prop::sample::Index>()) {
        let bytes = written(&entries);
        let kept = &bytes[..cut.index(bytes.len() + 1)];
        let whole = kept.iter().filter(|byte| **byte == b'\n').count();
        prop_assert_eq!(read(kept).unwrap(), &entries[..whole]);
    }
}

#[test]
fn every_variant_is_generated() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let facts: Vec<Fact> = variants()
        .iter()
        .map(|variant| variant.new_tree(&mut runner).expect("a fact").current())
        .collect();
    let kinds: HashSet<_> = facts.iter().map(discriminant).collect();
    let numbers: HashSet<usize> = facts.iter().map(number).collect();
    assert_eq!((kinds.len(), numbers.len()), (VARIANTS, VARIANTS));
}

#[test]
fn errors_name_the_line() {
    let good = r#"{"at":1,"fact":"step-acted","step":0}"#;
    for (bad, why) in [
        (r#"{"at":1,"fact":"step-acted"}"#, "missing field `step`"),
        (
            r#"{"at":1,"fact":"no-such-fact"}"#,
            "unknown variant `no-such-fact`",
        ),
        (r#"{"at":-1,"fact":"step-acted","step":0}"#, "invalid value"),
        ("", "EOF"),
        ("half", "expected value"),
    ] {
        let text = format!("{good}\n{good}\n{bad}\n{good}\n");
        let error = read(text.as_bytes()).expect_err(bad).to_string();
        assert!(
            error.starts_with("understand the record record.jsonl, line 3: ")
                && error.contains(why),
            "{error}"
        );
    }
}

/// Takes so many bytes, then has no space left.
struct Disk {
    room: usize,
    tries: usize,
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tries += 1;
        if self.room == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_once() {
    let entry = Entry {
        at: At::from_millis(1),
        fact: Fact::StepActed { step: 0 },
    };
    let mut disk = Disk {
        room: 100,
        tries: 0,
    };
    let mut writer = Writer::to(&mut disk, Path::new(PATH));
    writer.write(&entry).expect("there is room");
    writer.write(&entry).expect("there is room");
    let error = writer.write(&entry).expect_err("there is no room");
    assert_eq!(
        error.to_string(),
        "write the record record.jsonl after 2 lines: No space left on device (os error 28)"
    );
    assert!(writer.broken());
    writer.write(&entry).expect("told once");
    drop(writer);
    let tries = disk.tries;
    assert_eq!(tries, 4, "nothing is tried after the error");
}

#[test]
fn a_directory_that_is_not_there_is_told() {
    let path = Path::new("/nonexistent/record.jsonl");
    let error = Writer::create(path).expect_err("no such directory");
    assert!(
        error
            .to_string()
            .starts_with("open the record /nonexistent/record.jsonl: ")
    );
}
