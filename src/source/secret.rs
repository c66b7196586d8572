//! Values that nobody is shown, be it in a diagnostic, a record or a report: the keys of TCP MD5 and of BFD.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

/// What the names of such keys begin with.
const SECRET: [&str; 2] = ["md5", "password"];
/// What stands for a secret where the places of what follows do not matter. It is a string, as the secret was.
const HIDDEN: &str = "\"(hidden)\"";

/// The secrets of a file, wherever else they turn up: in what a daemon writes, which was told the same keys.
#[derive(Clone, Default, PartialEq)]
pub struct Secrets(Arc<[String]>);

impl Secrets {
    /// Those of a TOML text, the longest first, as one may be a part of another.
    pub fn of(text: &str) -> Secrets {
        let mut places = Vec::new();
        let table = DeTable::parse_recoverable(text).0;
        find(table.get_ref(), &mut places);
        let read = |place: Range<usize>| {
            let value = format!("it = {}", &text[place]);
            let table: toml::Table = value.parse().ok()?;
            Some(table["it"].as_str()?.to_owned()).filter(|secret| !secret.is_empty())
        };
        let mut secrets: Vec<String> = places.into_iter().filter_map(read).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Secrets(secrets.into())
    }

    /// Words without them.
    pub fn hide(&self, words: String) -> String {
        self.0.iter().fold(words, |words, secret| {
            if words.contains(secret) {
                words.replace(secret, "(hidden)")
            } else {
                words
            }
        })
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(…)")
    }
}

/// A file's text with every secret replaced: it parses as before, and tells neither a secret nor its length.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    replaced(text, |_| HIDDEN.to_owned())
}

/// The same, every line and column where it was.
pub(super) fn blotted(text: &str) -> Cow<'_, str> {
    let blot = |byte| if byte == b'\n' { '\n' } else { '*' };
    replaced(text, |secret| secret.bytes().map(blot).collect())
}

fn replaced(text: &str, with: impl Fn(&str) -> String) -> Cow<'_, str> {
    if !SECRET.iter().any(|secret| text.contains(secret)) {
        return Cow::Borrowed(text);
    }
    let mut secrets = Vec::new();
    find(DeTable::parse_recoverable(text).0.get_ref(), &mut secrets);
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    secrets.sort_by_key(|secret| secret.start);
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    for secret in secrets {
        shown += &text[from..secret.start];
        shown += &with(&text[secret.clone()]);
        from = secret.end;
    }
    Cow::Owned(shown + &text[from..])
}

fn find(table: &DeTable<'_>, found: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let name = key.get_ref();
        match value.get_ref() {
            DeValue::Table(table) => find(table, found),
            DeValue::Array(array) => {
                let tables = array.iter().filter_map(|value| value.get_ref().as_table());
                tables.for_each(|table| find(table, found));
            }
            _ if SECRET.iter().any(|secret| name.starts_with(secret)) => found.push(value.span()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_however_it_is_written() {
        for (text, hidden) in [
            ("md5 = \"geheim\"\n", "md5 = \"(hidden)\"\n"),
            (
                "[a]\nbgp = { hold = \"0s\", md5 = 'geheim', passive = true }",
                "[a]\nbgp = { hold = \"0s\", md5 = \"(hidden)\", passive = true }",
            ),
            (
                "[a.bgp]\n\"md5\" = \"geheim\" # x",
                "[a.bgp]\n\"md5\" = \"(hidden)\" # x",
            ),
            (
                "a.bgp.md5 = \"\"\"\ngeheim\"\"\"",
                "a.bgp.md5 = \"(hidden)\"",
            ),
            (
                "[[a]]\nmd5-key = \"geheim\"",
                "[[a]]\nmd5-key = \"(hidden)\"",
            ),
            (
                "a = [{ password = \"geheim\" }]",
                "a = [{ password = \"(hidden)\" }]",
            ),
            ("role = \"md5\"", "role = \"md5\""),
            // Whatever is wrong with the file.
            ("x = = 1\nmd5 = \"geheim\"", "x = = 1\nmd5 = \"(hidden)\""),
            ("md5 = \"geheim\nx = 1\n", "md5 = \"(hidden)\"\nx = 1\n"),
            ("md5 = geheim\n", "md5 = \"(hidden)\"\n"),
            ("b = { md5 = \"geheim\", \n", "b = { md5 = \"(hidden)\", \n"),
        ] {
            assert_eq!(without_secrets(text), hidden);
        }
    }

    #[test]
    fn a_secret_is_hidden_in_what_others_write() {
        let text = "[a.bgp]\nmd5 = \"voice\"\nhold = \"90s\"\n[b.bgp]\nmd5 = 'voice \"2\"'\npassword = \"\"\n";
        let secrets = Secrets::of(text);
        for (words, hidden) in [
            ("password voice; md5 on", "password (hidden); md5 on"),
            ("key voice \"2\", voice", "key (hidden), (hidden)"),
            ("hold 90s", "hold 90s"),
        ] {
            assert_eq!(secrets.hide(words.to_owned()), hidden);
        }
        assert_eq!(format!("{secrets:?}"), "Secrets(…)");
        assert_eq!(Secrets::of("x = = voice").hide("voice".to_owned()), "voice");
    }

    #[test]
    fn what_is_not_secret_stays_where_it_was() {
        let text = "md5 = \"gehéim\"\nbgp = { md5 = '''a\nb''', hold = \"0s\" }\n";
        let shown = blotted(text);
        assert_eq!(
            shown,
            "md5 = *********\nbgp = { md5 = ****\n****, hold = \"0s\" }\n"
        );
        assert_eq!(shown.find("hold"), text.find("hold"));
    }
}
