//! The record as JSON lines: one object per fact, written as it comes, read back strictly.
//!
//! A record that was cut short (the program was killed) reads up to its last whole line: a line without its
//! newline at the very end is left out, anything else that is not a fact is an error with its line number.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::Entry;

/// Failed to write or read a record.
#[derive(Debug, thiserror::Error)]
pub enum LinesError {
    /// The file could not be made or opened.
    #[error("open the record {path}: {source}")]
    Open {
        /// The record.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// A line could not be written, for example because the disk is full.
    #[error("write the record {path} after {lines} lines: {source}")]
    Write {
        /// The record.
        path: PathBuf,
        /// Lines written before.
        lines: usize,
        /// The kernel's word.
        source: io::Error,
    },
    /// A line could not be read.
    #[error("read the record {path}, line {line}: {source}")]
    Read {
        /// The record.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The kernel's word.
        source: io::Error,
    },
    /// A line is not a fact.
    #[error("understand the record {path}, line {line}: {source}")]
    Syntax {
        /// The record.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Writes a record. After the first error it writes nothing more, so that the error is told once.
#[derive(Debug)]
pub struct Writer<W: Write = File> {
    path: PathBuf,
    out: W,
    lines: usize,
    broken: bool,
    buffer: Vec<u8>,
}

impl Writer<File> {
    /// Makes the record, or empties it.
    pub fn create(path: &Path) -> Result<Writer<File>, LinesError> {
        let out = File::create(path).map_err(|source| LinesError::Open {
            path: path.to_owned(),
            source,
        })?;
        Ok(Writer::to(out, path))
    }
}

impl<W: Write> Writer<W> {
    /// A record written to `out`; `path` is what errors call it.
    pub fn to(out: W, path: &Path) -> Writer<W> {
        Writer {
            path: path.to_owned(),
            out,
            lines: 0,
            broken: false,
            buffer: Vec::new(),
        }
    }

    /// Writes one line and hands it to the kernel, so that a killed run keeps what it had.
    ///
    /// After an error this does nothing and succeeds.
    pub fn write(&mut self, entry: &Entry) -> Result<(), LinesError> {
        self.write_all(std::slice::from_ref(entry))
    }

    /// Writes several lines with one system call.
    pub fn write_all(&mut self, entries: &[Entry]) -> Result<(), LinesError> {
        if self.broken || entries.is_empty() {
            return Ok(());
        }
        self.buffer.clear();
        let mut written = Ok(());
        for entry in entries {
            written = written.and_then(|()| {
                serde_json::to_writer(&mut self.buffer, entry).map_err(io::Error::from)
            });
            self.buffer.push(b'\n');
        }
        let written = written
            .and_then(|()| self.out.write_all(&self.buffer))
            .and_then(|()| self.out.flush());
        match written {
            Ok(()) => {
                self.lines += entries.len();
                Ok(())
            }
            Err(source) => {
                self.broken = true;
                Err(LinesError::Write {
                    path: self.path.clone(),
                    lines: self.lines,
                    source,
                })
            }
        }
    }

    /// Whether an error was told: the record is not whole.
    pub fn broken(&self) -> bool {
        self.broken
    }
}

/// Reads a record line by line.
#[derive(Debug)]
pub struct Reader<R: BufRead> {
    path: PathBuf,
    input: R,
    line: usize,
    text: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `input`; `path` is what errors call it.
    pub fn from(input: R, path: &Path) -> Reader<R> {
        Reader {
            path: path.to_owned(),
            input,
            line: 0,
            text: Vec::new(),
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Entry, LinesError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.text.clear();
        self.line += 1;
        let (path, line) = (self.path.clone(), self.line);
        match self.input.read_until(b'\n', &mut self.text) {
            Err(source) => Some(Err(LinesError::Read { path, line, source })),
            // The end, or half a line of a run that was killed while it wrote.
            Ok(_) if self.text.last() != Some(&b'\n') => None,
            Ok(_) => {
                let entry = serde_json::from_slice(&self.text);
                Some(entry.map_err(|source| LinesError::Syntax { path, line, source }))
            }
        }
    }
}

/// Reads a whole record.
pub fn read(path: &Path) -> Result<Vec<Entry>, LinesError> {
    let file = File::open(path).map_err(|source| LinesError::Open {
        path: path.to_owned(),
        source,
    })?;
    Reader::from(BufReader::new(file), path).collect()
}

#[cfg(test)]
mod tests;
