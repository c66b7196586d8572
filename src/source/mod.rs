//! A source file, a place in it, and a diagnostic that shows the place.
//!
//! Every mistake of a user has a place in a file. [`read`] deserializes a TOML file and keeps going after a
//! mistake; [`Mistakes`] gathers what the parsers find; [`Diagnostics`] are drawn as a compiler draws them.
//!
//! **Invariant:** no diagnostic depends on hash order or time; reading the named file is the only I/O.

mod address;
mod community;
mod either;
mod mistakes;
mod read;
mod render;
mod secret;
mod share;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use address::{Address, AnyPrefix, Ipv6Address, Ipv6Prefix, Prefix};
pub use community::{Community, ExtendedCommunity, LargeCommunity};
pub use either::{Numbers, TextOr, Word, Words};
pub use mistakes::{Mistakes, closest, list};
pub use read::read;
pub use secret::{Secrets, without_secrets};
pub use share::Share;
pub use value::{Bandwidth, Duration, Located, Names, Table, Wrong, in_words};

/// A byte range of a file's text.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Span {
        Span {
            start: range.start,
            end: range.end,
        }
    }
}

/// A file's text.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as it is shown.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// A source that is already in memory.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Source> {
        Arc::new(Source {
            path: path.into(),
            text: text.into(),
        })
    }

    /// Reads a file of UTF-8 text.
    ///
    /// # Errors
    /// A diagnostic without a place when the file cannot be read.
    pub fn read(path: &Path) -> Result<Arc<Source>, Diagnostic> {
        let bytes = std::fs::read(path).map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file".to_owned(),
                std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
                _ => error.to_string(),
            };
            Diagnostic::error(format!("cannot read `{}`: {reason}", path.display()))
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count();
            Diagnostic::error(format!(
                "cannot read `{}`: line {line} is not UTF-8 text",
                path.display()
            ))
        })?;
        Ok(Source::new(path, text))
    }

    /// Line and column of a span's first byte, both counted from 1, the column in characters.
    pub fn position(&self, span: Span) -> (usize, usize) {
        let before = &self.text[..self.boundary(span.start)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        (line, column)
    }

    /// The key and value whose value is at `span`: from the first character of its line to the end of the value.
    pub fn entry(&self, span: Span) -> Span {
        let line = self.text[..self.boundary(span.start)]
            .rfind('\n')
            .map_or(0, |i| i + 1);
        let text = &self.text[line..self.boundary(span.start)];
        let indent = text.len() - text.trim_start().len();
        Span {
            start: line + indent,
            end: span.end,
        }
    }

    /// The span as a range that may be used to slice the text.
    pub fn range(&self, span: Span) -> Range<usize> {
        let start = self.boundary(span.start);
        start..self.boundary(span.end).max(start)
    }

    /// The nearest character boundary at or before `index`.
    fn boundary(&self, index: usize) -> usize {
        (0..=index.min(self.text.len()))
            .rev()
            .find(|i| self.text.is_char_boundary(*i))
            .unwrap_or(0)
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing can go on.
    Error,
    /// Worth a look.
    Warning,
    /// For information.
    Note,
}

/// A place in a file and what to say there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<Source>,
    /// What is underlined.
    pub span: Span,
    /// What stands under it; may be empty.
    pub label: String,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Help {
    /// A sentence without a full stop.
    pub message: String,
    /// Text that would be right in place of a span of the first place's file.
    pub replacement: Option<(Span, String)>,
}

/// One thing to tell, with its places in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// One line without a full stop.
    pub message: String,
    /// The first is where it is; the others are why.
    pub places: Vec<Place>,
    /// What to do.
    pub help: Vec<Help>,
    /// What else to know.
    pub notes: Vec<String>,
}

impl Diagnostic {
    /// A diagnostic without a place.
    pub fn new(severity: Severity, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity,
            message: message.into(),
            places: Vec::new(),
            help: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// An error without a place.
    pub fn error(message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, message)
    }

    /// Adds a place. The first one added is where the diagnostic is drawn.
    #[must_use]
    pub fn at(mut self, source: &Arc<Source>, span: Span, label: impl Into<String>) -> Diagnostic {
        self.places.push(Place {
            source: Arc::clone(source),
            span,
            label: label.into(),
        });
        self
    }

    /// Adds a sentence that helps.
    #[must_use]
    pub fn help(mut self, message: impl Into<String>) -> Diagnostic {
        self.help.push(Help {
            message: message.into(),
            replacement: None,
        });
        self
    }

    /// Adds a sentence that helps, and shows what the line would be.
    #[must_use]
    pub fn replace(
        mut self,
        message: impl Into<String>,
        span: Span,
        text: impl Into<String>,
    ) -> Diagnostic {
        self.help.push(Help {
            message: message.into(),
            replacement: Some((span, text.into())),
        });
        self
    }

    /// Adds something to know.
    #[must_use]
    pub fn note(mut self, message: impl Into<String>) -> Diagnostic {
        self.notes.push(message.into());
        self
    }

    /// Where it stands among others: by file, by place, by words.
    fn rank(&self) -> (Option<(&Path, Span)>, &str) {
        let place = self.places.first();
        (
            place.map(|p| (p.source.path.as_path(), p.span)),
            &self.message,
        )
    }
}

/// Several diagnostics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Diagnostics) {
        self.0.extend(other.0);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order in which they were added, or of [`Diagnostics::sort`].
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// Orders them by file and place, and drops repetitions.
    pub fn sort(&mut self) {
        self.0.sort_by(|a, b| a.rank().cmp(&b.rank()));
        self.0.dedup();
    }

    /// Draws them all, one after the other with an empty line between. `colour` uses ANSI escapes.
    pub fn render(&self, colour: bool) -> String {
        let drawn: Vec<String> = self.0.iter().map(|d| d.render(colour)).collect();
        drawn.join("\n")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        Diagnostics(vec![diagnostic])
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
