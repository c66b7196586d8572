//! The Routing Policy Specification Language as text (RFC 2622, section 2): objects made of attributes.
//!
//! Every object is read, whatever its class; what an object means is in [`irr`](super::irr).

use std::fmt;

/// An object: attributes in order, of which the first names the class and the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// At least one.
    attributes: Vec<Attribute>,
}

/// A line `name: value` of an object, with its continuation lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// In lower case.
    pub name: String,
    /// As written, comments included; continuation lines, without their first character, after a line feed each.
    pub raw: String,
    /// Line of the text it begins in, counted from 1.
    pub line: usize,
}

impl Attribute {
    /// The value: one line, without comments and outer space.
    pub fn value(&self) -> String {
        let lines = self.raw.lines().map(|line| {
            let end = line.find('#').unwrap_or(line.len());
            line[..end].trim()
        });
        let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        lines.join(" ")
    }
}

impl Object {
    /// The class in lower case: `route`, `aut-num`, ….
    pub fn class(&self) -> &str {
        &self.attributes[0].name
    }

    /// The value of the attribute that names the class.
    pub fn key(&self) -> String {
        self.attributes[0].value()
    }

    /// Line of the text it begins in, counted from 1.
    pub fn line(&self) -> usize {
        self.attributes[0].line
    }

    /// All attributes, in order.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes
    }

    /// All attributes of this name (in lower case), in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Attribute> {
        self.attributes.iter().filter(move |a| a.name == name)
    }

    /// The first attribute of this name (in lower case).
    pub fn first(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|a| a.name == name)
    }

    /// The registry that has it, in upper case: `source: RADB`.
    pub fn source(&self) -> Option<String> {
        let source = self.first("source")?.value().to_ascii_uppercase();
        (!source.is_empty()).then_some(source)
    }
}

impl fmt::Display for Object {
    /// As registries print it: values in one column, a line feed after each line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for attribute in &self.attributes {
            let name = format!("{}:", attribute.name);
            let mut lines = attribute.raw.split('\n');
            let first = lines.next().unwrap_or_default().trim();
            writeln!(f, "{}", format!("{name:<15} {first}").trim_end())?;
            for line in lines {
                // A plus also continues with nothing, which a space would not.
                writeln!(f, "{}", format!("+{:<15}{}", "", line.trim()).trim_end())?;
            }
        }
        Ok(())
    }
}

/// Something wrong in a text of objects; what is right around it is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {wrong}")]
pub struct Mistake {
    /// Line of the text, counted from 1.
    pub line: usize,
    /// What it is.
    pub wrong: Wrong,
}

/// What can be wrong in a text of objects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A line is neither an attribute nor the continuation of one.
    #[error("neither `name: value` nor a continuation, which begins with a space, a tab or a plus")]
    NotAnAttribute,
    /// A continuation line has nothing before it.
    #[error("nothing is continued here")]
    ContinuesNothing,
    /// A key or value is not what its attribute must have.
    #[error("`{text}` is not {expected}")]
    Value {
        /// The value.
        text: String,
        /// What it must be, with an article.
        expected: &'static str,
    },
    /// A mandatory attribute is missing.
    #[error("the {class} object `{key}` has no `{attribute}`")]
    Missing {
        /// Class of the object.
        class: String,
        /// Its key.
        key: String,
        /// What it lacks.
        attribute: &'static str,
    },
}

/// Reads objects. They are separated by empty lines; lines that begin with `%` or `#` are comments.
pub fn read(text: &str) -> (Vec<Object>, Vec<Mistake>) {
    let mut objects = Vec::new();
    let mut mistakes = Vec::new();
    let mut attributes: Vec<Attribute> = Vec::new();
    // After a line that is wrong, its continuations are part of the same mistake.
    let mut skipping = false;
    let end = |attributes: &mut Vec<Attribute>, objects: &mut Vec<Object>| {
        if !attributes.is_empty() {
            let attributes = std::mem::take(attributes);
            objects.push(Object { attributes });
        }
    };
    for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line)) {
        let mistake = |wrong| Mistake {
            line: number,
            wrong,
        };
        let line = line.trim_end();
        if line.starts_with(['%', '#']) {
            continue;
        }
        if line.is_empty() {
            end(&mut attributes, &mut objects);
            skipping = false;
        } else if let Some(more) = line.strip_prefix([' ', '\t', '+']) {
            match attributes.last_mut() {
                _ if skipping => {}
                Some(attribute) => {
                    attribute.raw.push('\n');
                    attribute.raw.push_str(more);
                }
                None => mistakes.push(mistake(Wrong::ContinuesNothing)),
            }
        } else if let Some((name, raw)) = name_and_value(line) {
            skipping = false;
            attributes.push(Attribute {
                name,
                raw,
                line: number,
            });
        } else {
            skipping = true;
            mistakes.push(mistake(Wrong::NotAnAttribute));
        }
    }
    end(&mut attributes, &mut objects);
    (objects, mistakes)
}

/// A name begins with a letter and has letters, digits, hyphens and underscores (RFC 2622, section 2).
fn name_and_value(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(letters);
    good.then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// An AS number as RPSL writes it: `AS64500`, or in two halves `AS1.10` (asdot, RFC 5396), in any case.
pub fn as_number(text: &str) -> Option<u32> {
    let (prefix, number) = text.split_at_checked(2)?;
    if !prefix.eq_ignore_ascii_case("AS") || !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match number.split_once('.') {
        Some((high, low)) if low.starts_with(|c: char| c.is_ascii_digit()) => {
            let (high, low): (u16, u16) = (high.parse().ok()?, low.parse().ok()?);
            Some(u32::from(high) << 16 | u32::from(low))
        }
        Some(_) => None,
        None => number.parse().ok(),
    }
}

/// The name of an as-set in upper case: parts with colons between, each an AS number or `AS-…`, one at least
/// the latter (RFC 2622, section 5).
pub fn as_set_name(text: &str) -> Option<String> {
    let text = text.to_ascii_uppercase();
    let is_set = |part: &str| {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        part.strip_prefix("AS-")
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(letters))
    };
    let mut parts = text.split(':');
    let good = parts.clone().any(is_set) && parts.all(|p| is_set(p) || as_number(p).is_some());
    good.then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
% a registry says something first
# and so does a person

ROUTE:      198.51.100.0/24  # the SBCs
Descr:      Contoso
            Voice
+
+\tfrom Amsterdam # not Frankfurt
origin:     as64500
% in between
source:     Example

nonsense without a colon
  and its continuation
aut-num:    AS64500
as-name:CONTOSO
\t\t
  continues nothing
person:     A. Person
";

    #[test]
    fn objects_are_read_around_mistakes() {
        let (objects, mistakes) = read(TEXT);
        let classes: Vec<(&str, String, usize)> = (objects.iter())
            .map(|object| (object.class(), object.key(), object.line()))
            .collect();
        assert_eq!(
            classes,
            [
                ("route", "198.51.100.0/24".to_owned(), 4),
                ("aut-num", "AS64500".to_owned(), 15),
                ("person", "A. Person".to_owned(), 19),
            ]
        );
        let descr = objects[0].first("descr").expect("there");
        assert_eq!(descr.value(), "Contoso Voice from Amsterdam");
        assert_eq!(objects[0].source().as_deref(), Some("EXAMPLE"));
        let told: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        assert_eq!(
            told,
            [
                "line 13: neither `name: value` nor a continuation, which begins with a space, a tab or a plus",
                "line 18: nothing is continued here",
            ]
        );
    }

    #[test]
    fn an_object_prints_as_registries_do() {
        let (objects, _) = read(TEXT);
        assert_eq!(
            objects[0].to_string(),
            "route:          198.51.100.0/24  # the SBCs\n\
             descr:          Contoso\n\
             +               Voice\n\
             +\n\
             +               from Amsterdam # not Frankfurt\n\
             origin:         as64500\n\
             source:         Example\n"
        );
    }

    #[test]
    fn numbers_and_names_are_those_of_rpsl() {
        for (text, number) in [
            ("AS64500", Some(64_500)),
            ("as0", Some(0)),
            ("AS4294967295", Some(u32::MAX)),
            ("AS4294967296", None),
            ("AS1.10", Some(65_546)),
            ("AS1.65536", None),
            ("AS1.", None),
            ("AS.1", None),
            ("AS+1", None),
            ("AS1.+1", None),
            ("64500", None),
            ("AS", None),
            ("é", None),
        ] {
            assert_eq!(as_number(text), number, "{text}");
        }
        for (text, name) in [
            ("AS-CONTOSO", Some("AS-CONTOSO")),
            ("as64500:as-customers", Some("AS64500:AS-CUSTOMERS")),
            ("AS64500:AS-A:AS64501", Some("AS64500:AS-A:AS64501")),
            ("AS64500", None),
            ("AS-", None),
            ("AS64500:", None),
            ("RS-ROUTES", None),
            ("AS-A B", None),
        ] {
            assert_eq!(as_set_name(text).as_deref(), name, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_read(text in "[a-c:#%+ \\t\\n\\rASé0-9./-]{0,200}") {
            let (objects, mistakes) = read(&text);
            let lines = text.lines().count();
            prop_assert!(mistakes.iter().all(|mistake| (1..=lines).contains(&mistake.line)));
            prop_assert!(objects.iter().all(|object| (1..=lines).contains(&object.line())));
        }

        #[test]
        fn what_is_printed_is_read_again(text in "([a-c]{1,2}: ?[a-c #]{0,4}\\n([ +][a-c#]{0,3}\\n)?){0,6}") {
            let (objects, mistakes) = read(&text);
            prop_assert!(mistakes.is_empty(), "{mistakes:?}");
            for object in objects {
                let (again, mistakes) = read(&object.to_string());
                prop_assert!(mistakes.is_empty() && again.len() == 1, "{again:?}");
                let values = |object: &Object| -> Vec<(String, String)> {
                    let each = object.attributes().iter();
                    each.map(|a| (a.name.clone(), a.value())).collect()
                };
                prop_assert_eq!(values(&again[0]), values(&object));
            }
        }
    }
}
