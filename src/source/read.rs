//! Reads TOML into a raw type and reports every mistake, not only the first.
//!
//! Serde stops at the first mistake. Here the key that holds it is told, struck out, and the rest is read
//! again; every key of a raw type is optional, so striking one never makes another mistake.

use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_spanned::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::{Diagnostic, Mistakes, Source, Span, closest, list};

/// The raw form of a file and the mistakes in it so far; `None` when its syntax is wrong.
pub fn read<T: DeserializeOwned>(source: &Arc<Source>) -> (Option<T>, Mistakes) {
    let mut mistakes = Mistakes::new(source);
    let (document, syntax) = DeTable::parse_recoverable(&source.text);
    let mut readable = true;
    let mut repeated_tables = Vec::new();
    for error in &syntax {
        let at = error.span().unwrap_or_default().start;
        let header = header(&source.text, at);
        if error.message() != DUPLICATE {
            readable = false;
        } else if header.contains(&at) {
            // What a repeated table holds says nothing about the first one.
            readable = false;
            repeated_tables.push(header);
        }
    }
    for error in &syntax {
        let at = error.span().unwrap_or_default().start;
        let header = header(&source.text, at);
        let repeated = error.message() == DUPLICATE && repeated_tables.contains(&header);
        if !repeated || header.contains(&at) {
            mistakes.push(of_syntax(source, error));
        }
    }
    if !readable {
        return (None, mistakes);
    }
    let mut table = document.into_inner();
    let whole = 0..source.text.len();
    let mut told = 0;
    loop {
        let attempt = Spanned::new(whole.clone(), table.clone());
        match T::deserialize(toml::de::Deserializer::from(attempt)) {
            Ok(raw) => return (Some(raw), mistakes),
            Err(error) => {
                mistakes.push(of_value(source, &error));
                told += 1;
                if told == MOST {
                    let message = "there are more mistakes of this kind in this file";
                    mistakes.push(Diagnostic::error(message));
                    return (None, mistakes);
                }
                let at = error.span().unwrap_or_default();
                match strike(&mut table, &at, &[Span::default()]) {
                    Some(struck) => {
                        for span in struck.tables {
                            mistakes.strike(span, struck.key.clone());
                        }
                    }
                    None => return (None, mistakes),
                }
            }
        }
    }
}

const DUPLICATE: &str = "duplicate key";
/// Wrong keys and values told of one file; each costs another reading of it.
const MOST: usize = 100;

/// The line of the table header that the byte at `at` stands in or below.
fn header(text: &str, at: usize) -> Range<usize> {
    let mut start = 0;
    let mut last = 0..0;
    for line in text.split_inclusive('\n') {
        if start > at {
            break;
        }
        if line.trim_start().starts_with('[') {
            last = start..start + line.len();
        }
        start += line.len();
    }
    last
}

/// A struck key, and the spans its table is known by: the key that names it and its own.
struct Struck {
    tables: Vec<Span>,
    key: String,
}

/// Removes the innermost entry whose key or value is at `at`.
fn strike(table: &mut DeTable<'_>, at: &Range<usize>, owner: &[Span]) -> Option<Struck> {
    for (key, value) in table.iter_mut() {
        let inside = [key.span().into(), value.span().into()];
        if let Some(struck) = strike_inside(value.get_mut(), at, &inside) {
            return Some(struck);
        }
    }
    let found = table
        .iter()
        .find(|(key, value)| key.span() == *at || value.span() == *at)
        .map(|(key, _)| key.clone())?;
    table.remove(&found);
    Some(Struck {
        tables: owner.to_vec(),
        key: found.into_inner().into_owned(),
    })
}

fn strike_inside(value: &mut DeValue<'_>, at: &Range<usize>, owner: &[Span]) -> Option<Struck> {
    match value {
        DeValue::Table(table) => strike(table, at, owner),
        DeValue::Array(array) => {
            for element in array.iter_mut() {
                let span = [element.span().into()];
                if let Some(struck) = strike_inside(element.get_mut(), at, &span) {
                    return Some(struck);
                }
            }
            array.iter().find(|element| element.span() == *at)?;
            let rest = std::mem::replace(array, DeArray::new()).into_iter();
            *array = rest.filter(|element| element.span() != *at).collect();
            Some(Struck {
                tables: owner.to_vec(),
                key: String::new(),
            })
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}

/// A mistake in the syntax of TOML itself.
fn of_syntax(source: &Arc<Source>, error: &toml::de::Error) -> Diagnostic {
    let span = Span::from(error.span().unwrap_or_default());
    if error.message() == DUPLICATE {
        let name = source.text[source.range(span)].to_owned();
        return Diagnostic::error(format!("`{name}` is given twice")).at(
            source,
            span,
            "the second time",
        );
    }
    let message = error.message().lines().next().unwrap_or("not TOML");
    let (title, label) = message.split_once(", expected ").map_or_else(
        || (message.to_owned(), String::new()),
        |(title, expected)| (title.to_owned(), format!("expected {expected}")),
    );
    Diagnostic::error(title).at(source, span, label)
}

/// A mistake in a key or a value; serde's sentence in our words.
fn of_value(source: &Arc<Source>, error: &toml::de::Error) -> Diagnostic {
    let span = Span::from(error.span().unwrap_or_default());
    let mut lines = error.message().lines();
    let first = lines.next().unwrap_or_default();
    if let Some((name, valid)) = unknown(first, "unknown field `") {
        return choice(source, span, name, &valid, "unknown key", "keys here");
    }
    if let Some((name, valid)) = unknown(first, "unknown variant `") {
        return choice(source, span, name, &valid, "unknown value", "one of");
    }
    let mut diagnostic = match first.split_once(", expected ") {
        Some((found, expected)) => {
            let found = found.split_once(": ").map_or(found, |(_, found)| found);
            Diagnostic::error(format!("expected {}", in_words(expected))).at(
                source,
                span,
                format!("found {found}"),
            )
        }
        None => Diagnostic::error(first).at(source, span, ""),
    };
    for line in lines {
        diagnostic = match line.split_once(": ") {
            Some(("label", label)) => {
                diagnostic.places[0].label = label.to_owned();
                diagnostic
            }
            Some(("try", text)) => {
                diagnostic.replace(format!("write `{text}`"), span, format!("\"{text}\""))
            }
            Some(("help", text)) => diagnostic.help(text),
            _ => diagnostic.note(line),
        };
    }
    diagnostic
}

/// What serde expected, for a reader who does not know Rust.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number from 0",
        "a string" | "string or table" => "a text in quotes",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list in brackets",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

/// The name and the valid names of serde's "unknown field" and "unknown variant".
fn unknown<'a>(message: &'a str, start: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (name, expected) = message.strip_prefix(start)?.split_once('`')?;
    let valid = expected.split('`').skip(1).step_by(2).collect();
    Some((name, valid))
}

/// "unknown key `x`", with the nearest name and the list of all.
fn choice(
    source: &Arc<Source>,
    span: Span,
    name: &str,
    valid: &[&str],
    title: &str,
    note: &str,
) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(format!("{title} `{name}`")).at(source, span, title);
    if let Some(near) = closest(name, valid.iter().copied()) {
        let text = Mistakes::new(source).quoted_like(span, near);
        diagnostic = diagnostic.replace(format!("did you mean `{near}`?"), span, text);
    }
    if !valid.is_empty() {
        diagnostic = diagnostic.note(format!("{note}: {}", list(valid.iter().copied())));
    }
    diagnostic
}
