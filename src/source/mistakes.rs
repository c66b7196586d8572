//! Gathers the mistakes of one file while it is parsed, and words those that all parsers share.

use std::sync::Arc;

use super::{Diagnostic, Diagnostics, Located, Names, Source, Span};

/// The mistakes found so far in one file.
#[derive(Debug)]
pub struct Mistakes {
    source: Arc<Source>,
    found: Diagnostics,
    /// Keys that were written but wrong, with the span of the table they stood in: not "missing" as well.
    struck: Vec<(Span, String)>,
}

impl Mistakes {
    /// None yet.
    pub fn new(source: &Arc<Source>) -> Mistakes {
        Mistakes {
            source: Arc::clone(source),
            found: Diagnostics::default(),
            struck: Vec::new(),
        }
    }

    /// The file.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// An error at `span`, to be completed and given to [`Mistakes::push`].
    pub fn error(
        &self,
        span: Span,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(message).at(&self.source, span, label)
    }

    /// Adds a diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Adds diagnostics of another file that this one names.
    pub fn extend(&mut self, others: Diagnostics) {
        self.found.extend(others);
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Remembers that `key` of the table at `table` was written, but wrong and already told.
    pub(super) fn strike(&mut self, table: Span, key: String) {
        self.struck.push((table, key));
    }

    /// Whether `key` of the table at `table` (any key, if `None`) was written, but misspelt or wrong and already told.
    pub fn is_struck(&self, table: Span, key: Option<&str>) -> bool {
        let meant = |name: &str| key.is_none_or(|key| closest(name, [key]).is_some());
        let mut struck = self.struck.iter();
        struck.any(|(span, name)| *span == table && meant(name))
    }

    /// The value, or a mistake: `owner` (for example "connection `ams-1`") has no `key`; `example` is a line of TOML.
    pub fn require<T>(
        &mut self,
        value: Option<T>,
        table: Span,
        owner: &str,
        key: &str,
        example: &str,
    ) -> Option<T> {
        if value.is_none() && !self.is_struck(table, Some(key)) {
            let message = format!("{owner} has no `{key}`");
            let mut diagnostic = Diagnostic::error(message);
            if table.end > 0 {
                diagnostic = diagnostic.at(&self.source, table, format!("`{key}` is missing"));
            } else {
                let start = Span { start: 0, end: 0 };
                diagnostic = diagnostic.at(&self.source, start, "");
            }
            self.push(diagnostic.help(format!("write `{example}`")));
        }
        value
    }

    /// Whether a table has exactly one of these keys; if not, a mistake that lists them. `message` says what a table does
    /// with one, `nothing` labels a table that has none.
    pub fn exactly_one<'a>(
        &mut self,
        table: Span,
        keys: &[(&'a str, bool)],
        message: &str,
        nothing: &str,
    ) -> bool {
        let given = keys.iter().filter(|(_, given)| *given);
        let given: Vec<&'a str> = given.map(|(key, _)| *key).collect();
        let label = match given.as_slice() {
            [_] => return true,
            [] if self.is_struck(table, None) => return false,
            [] => nothing.to_owned(),
            several => format!("{} here", list(several.iter().copied())),
        };
        let valid = list(keys.iter().map(|(key, _)| *key));
        let diagnostic = self.error(table, message, label);
        self.push(diagnostic.note(format!("one of {valid}")));
        false
    }

    /// Whether `name` is one of `valid`; if not, a mistake that lists them. `kind` is, for example, "router".
    pub fn known<'a>(
        &mut self,
        name: &Located<String>,
        kind: &str,
        valid: impl IntoIterator<Item = &'a str>,
    ) -> bool {
        let valid: Vec<&str> = valid.into_iter().collect();
        if valid.contains(&name.value.as_str()) {
            return true;
        }
        // It was defined, but so wrongly that it was struck out.
        if self.struck.iter().any(|(_, key)| *key == name.value) {
            return false;
        }
        let message = format!("unknown {kind} `{}`", name.value);
        let mut diagnostic = self.error(name.span, message, format!("no such {kind}"));
        if let Some(near) = closest(&name.value, valid.iter().copied()) {
            diagnostic = diagnostic.replace(
                format!("did you mean `{near}`?"),
                name.span,
                self.quoted_like(name.span, near),
            );
        }
        if valid.is_empty() {
            diagnostic = diagnostic.note(format!("there is no {kind} at all"));
        } else {
            diagnostic = diagnostic.note(format!("one of {}", list(valid)));
        }
        self.push(diagnostic);
        false
    }

    /// The names of a name or a list, all of which are valid, each once; `None` after a mistake.
    pub fn several(
        &mut self,
        names: &Located<Names>,
        kind: &str,
        valid: &[String],
    ) -> Option<Vec<String>> {
        let valid = || valid.iter().map(String::as_str);
        let mut good = true;
        let mut found: Vec<String> = Vec::new();
        let located = names.value.located(names.span);
        if located.is_empty() && !self.is_struck(names.span, None) {
            let message = format!("no {kind} is named");
            let diagnostic = self.error(names.span, message, "an empty list");
            self.push(diagnostic.note(format!("{kind}s: {}, or \"all\"", list(valid()))));
        }
        for name in &located {
            if found.contains(&name.value) {
                let message = format!("{kind} `{}` is named twice", name.value);
                self.push(self.error(name.span, message, "the second time"));
                good = false;
            } else if self.known(name, kind, valid()) {
                found.push(name.value.clone());
            } else {
                good = false;
            }
        }
        (good && !found.is_empty()).then_some(found)
    }

    /// Whether a text that may say anything can be stored and shown as it is; if not, a mistake.
    pub fn printable(&mut self, text: &Located<String>) -> bool {
        let value = &text.value;
        let wrong = match value.chars().find(|c| !is_printable(*c)) {
            Some(c) => format!("the character U+{:04X} cannot be shown", u32::from(c)),
            None if value.chars().count() > MOST_CHARACTERS => {
                format!("a text of {} characters is too long", value.chars().count())
            }
            None => return true,
        };
        let label = format!("at most {MOST_CHARACTERS} characters that can be printed");
        self.push(self.error(text.span, wrong, label));
        false
    }

    /// `text` in quotes if the text at `span` is in quotes.
    pub fn quoted_like(&self, span: Span, text: &str) -> String {
        let old = &self.source.text[self.source.range(span)];
        if old.starts_with(['"', '\'']) {
            format!("\"{text}\"")
        } else {
            text.to_owned()
        }
    }

    /// `value`, if no mistake was found in the whole file.
    ///
    /// # Errors
    /// All mistakes, in the order of the file.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Diagnostics> {
        self.found.sort();
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => {
                debug_assert!(!self.found.is_empty(), "a refusal without a reason");
                Err(self.found)
            }
        }
    }
}

/// The longest text.
const MOST_CHARACTERS: usize = 200;

/// Neither a control character nor one that turns the direction of the text around it (Unicode UAX #9).
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The name nearest to `name`, when it is near enough to be what was meant.
pub fn closest<'a>(name: &str, valid: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    valid
        .into_iter()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Names for a sentence: `` `a`, `b`, `c` ``.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
