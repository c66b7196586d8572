//! `peerlab schema topology|binding|scenario|profile`: JSON Schemas from the types that read the files.

use std::io::Write;

use super::check::Kind;
use crate::{binding, scenario, topology, view};

/// The JSON Schema of a kind of file, as pretty-printed JSON with a final newline.
pub fn schema(kind: Kind) -> String {
    let mut schema = match kind {
        Kind::Topology => topology::schema(),
        Kind::Binding => binding::schema(),
        Kind::Scenario => scenario::schema(),
        Kind::Profile => topology::profile_schema(),
    };
    without_null(&mut schema);
    pretty(&schema)
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Of {
    /// A topology file.
    Topology,
    /// A binding file.
    Binding,
    /// A scenario file.
    Scenario,
    /// What `peerlab show --json` prints.
    Show,
}

/// Prints the schema; returns the exit number.
pub fn print(of: Of) -> u8 {
    let text = match of {
        Of::Topology => schema(Kind::Topology),
        Of::Binding => schema(Kind::Binding),
        Of::Scenario => schema(Kind::Scenario),
        Of::Show => pretty(&view::schema()),
    };
    // A closed pipe is the reader's wish.
    let _ = write!(anstream::stdout(), "{text}");
    0
}

fn pretty(schema: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(schema).unwrap_or_default();
    text.push('\n');
    text
}

/// TOML has no null: an optional key is absent. Removes what schemars says about null.
fn without_null(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(without_null);
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(any)) = object.get_mut("anyOf") {
                any.retain(|one| one.get("type") != Some(&Value::from("null")));
                if let [Value::Object(one)] = any.as_slice() {
                    let one = one.clone();
                    object.remove("anyOf");
                    for (key, value) in one {
                        object.entry(key).or_insert(value);
                    }
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
