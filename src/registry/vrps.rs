//! Files of VRPs as relying parties write them: JSON and CSV of Routinator and of rpki-client.
//!
//! ```text
//! { "metadata": …, "roas": [ { "asn": "AS64500", "prefix": "198.51.100.0/24", "maxLength": 24, "ta": "ripe" } ] }
//! ASN,IP Prefix,Max Length,Trust Anchor
//! AS64500,198.51.100.0/24,24,ripe
//! ```
//!
//! rpki-client has AS numbers without "AS" in JSON, and another column `Expires`. What else is in a file (router keys,
//! ASPAs, metadata) is passed over.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::rpsl;
use crate::bgp::origin_validation::{Vrp, VrpTable};

/// What is wrong with a file of VRPs or of exceptions, and where. The first mistake only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {wrong}")]
pub struct Mistake {
    /// Line of the text, counted from 1.
    pub line: usize,
    /// Column of the line, counted from 1; 0 for the whole line. JSON is told where the wrong value ends.
    pub column: usize,
    /// What it is.
    pub wrong: Wrong,
}

/// What can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// Not JSON, or not what the JSON must hold.
    #[error("{0}")]
    Json(String),
    /// A row does not have the four columns, or one is not what it must be.
    #[error("`{text}` is not {expected}")]
    Column {
        /// The column's text.
        text: String,
        /// What it must be, with an article.
        expected: &'static str,
    },
}

impl From<serde_json::Error> for Mistake {
    fn from(error: serde_json::Error) -> Mistake {
        let (line, column) = (error.line().max(1), error.column());
        let words = error.to_string();
        // Its sentence ends with the place, which is told apart.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let words = words.strip_suffix(&place).unwrap_or(&words).to_owned();
        let wrong = Wrong::Json(words);
        Mistake {
            line,
            column,
            wrong,
        }
    }
}

/// Reads a file of VRPs in either form: what begins with a brace is JSON.
///
/// # Errors
/// The first mistake.
pub fn read(text: &str) -> Result<VrpTable, Mistake> {
    if !text.trim_start().starts_with('{') {
        return csv(text);
    }
    let file: File = serde_json::from_str(text)?;
    let mut anchors = Anchors::default();
    let vrps = file.roas.into_iter().map(|roa| Vrp {
        prefix: roa.prefix,
        max_length: roa.max_length,
        asn: roa.asn,
        trust_anchor: roa.ta.and_then(|name| anchors.named(&name)),
    });
    Ok(vrps.collect())
}

/// The table as Routinator's JSON, one VRP a line.
pub fn to_json(table: &VrpTable) -> String {
    let rows = table.iter().map(|vrp| {
        let anchor = vrp.trust_anchor.as_deref().unwrap_or(NO_ANCHOR);
        format!(
            "    {{ \"asn\": \"AS{}\", \"prefix\": \"{}\", \"maxLength\": {}, \"ta\": {} }}",
            vrp.asn,
            vrp.prefix,
            vrp.max_length,
            serde_json::Value::from(anchor)
        )
    });
    let rows: Vec<String> = rows.collect();
    format!("{{\n  \"roas\": [\n{}\n  ]\n}}\n", rows.join(",\n"))
}

#[derive(Deserialize)]
struct File {
    roas: Vec<Roa>,
}

struct Roa {
    asn: u32,
    prefix: IpNet,
    max_length: u8,
    ta: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRoa {
    asn: Asn,
    prefix: Prefix,
    max_length: u8,
    ta: Option<String>,
}

impl TryFrom<RawRoa> for Roa {
    type Error = String;

    fn try_from(raw: RawRoa) -> Result<Roa, String> {
        Ok(Roa {
            asn: raw.asn.0,
            prefix: raw.prefix.0,
            max_length: checked_length(raw.prefix.0, raw.max_length)?,
            ta: raw.ta,
        })
    }
}

impl<'de> Deserialize<'de> for Roa {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Roa, D::Error> {
        checked::<D, RawRoa, Roa>(deserializer)
    }
}

/// Reads an object as `R` and makes a `T` of it. Unlike serde's `try_from`, a refusal has the object's place.
pub(super) fn checked<'de, D, R, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    R: Deserialize<'de>,
    T: TryFrom<R, Error = String>,
{
    struct Object<R, T>(PhantomData<(R, T)>);
    impl<'de, R, T> Visitor<'de> for Object<R, T>
    where
        R: Deserialize<'de>,
        T: TryFrom<R, Error = String>,
    {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            let raw = R::deserialize(MapAccessDeserializer::new(map))?;
            raw.try_into().map_err(A::Error::custom)
        }
    }
    deserializer.deserialize_map(Object(PhantomData))
}

/// A maxLength between the length of the prefix and that of an address.
pub(super) fn checked_length(prefix: IpNet, max_length: u8) -> Result<u8, String> {
    let lengths = prefix.prefix_len()..=prefix.max_prefix_len();
    match lengths.contains(&max_length) {
        true => Ok(max_length),
        false => Err(format!("the maxLength {max_length} does not fit {prefix}")),
    }
}

/// An AS number: a number, or a text with or without "AS".
struct Asn(u32);

impl<'de> Deserialize<'de> for Asn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Asn, D::Error> {
        struct NumberOrText;
        impl Visitor<'_> for NumberOrText {
            type Value = Asn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an AS number")
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Asn, E> {
                let wrong = |_| E::custom(format!("{number} is not an AS number"));
                u32::try_from(number).map(Asn).map_err(wrong)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Asn, E> {
                let wrong = || E::custom(format!("`{text}` is not an AS number"));
                as_number(text).map(Asn).ok_or_else(wrong)
            }
        }
        deserializer.deserialize_any(NumberOrText)
    }
}

fn as_number(text: &str) -> Option<u32> {
    rpsl::as_number(text).or_else(|| text.parse().ok())
}

/// A prefix without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix(pub IpNet);

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Prefix, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Prefix;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a prefix")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Prefix, E> {
                let wrong = || E::custom(format!("`{text}` is not {PREFIX}"));
                prefix(text).map(Prefix).ok_or_else(wrong)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

const PREFIX: &str = "a prefix without host bits";

fn prefix(text: &str) -> Option<IpNet> {
    let prefix: IpNet = text.parse().ok()?;
    (prefix == prefix.trunc()).then_some(prefix)
}

/// Names of trust anchors, each in memory once.
#[derive(Default)]
struct Anchors(BTreeSet<Arc<str>>);

impl Anchors {
    /// `None` for the name that stands for none.
    fn named(&mut self, name: &str) -> Option<Arc<str>> {
        if name.is_empty() || name == NO_ANCHOR {
            return None;
        }
        if !self.0.contains(name) {
            self.0.insert(name.into());
        }
        self.0.get(name).cloned()
    }
}

/// What Routinator writes for a VRP that no trust anchor stands for.
const NO_ANCHOR: &str = "N/A";

fn csv(text: &str) -> Result<VrpTable, Mistake> {
    let mut anchors = Anchors::default();
    let mut table = VrpTable::default();
    for (number, row) in text.lines().enumerate().map(|(n, line)| (n + 1, line)) {
        if row.trim().is_empty() || (number == 1 && row.starts_with("ASN,")) {
            continue;
        }
        let vrp = csv_row(row, &mut anchors).map_err(|wrong| Mistake {
            line: number,
            column: 0,
            wrong,
        })?;
        table.insert(vrp);
    }
    Ok(table)
}

fn csv_row(row: &str, anchors: &mut Anchors) -> Result<Vrp, Wrong> {
    let wrong = |text: &str, expected| Wrong::Column {
        text: text.to_owned(),
        expected,
    };
    let columns: Vec<&str> = row.splitn(6, ',').map(str::trim).collect();
    let [asn, prefix, max_length, anchor, ..] = columns[..] else {
        let expected = "a row of AS number, prefix, maxLength and trust anchor";
        return Err(wrong(row.trim(), expected));
    };
    let prefix = self::prefix(prefix).ok_or_else(|| wrong(prefix, PREFIX))?;
    let length = max_length.parse().ok();
    let length = length.and_then(|length| checked_length(prefix, length).ok());
    Ok(Vrp {
        prefix,
        max_length: length.ok_or_else(|| wrong(max_length, "a maxLength that fits the prefix"))?,
        asn: as_number(asn).ok_or_else(|| wrong(asn, "an AS number"))?,
        trust_anchor: anchors.named(anchor),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(table: &VrpTable) -> Vec<String> {
        table.iter().map(Vrp::to_string).collect()
    }

    const WANTED: [&str; 3] = [
        "198.51.100.0/24 AS64500 (ripe)",
        "203.0.113.0/24-32 AS64501",
        "2001:db8::/32-48 AS0 (arin)",
    ];

    #[test]
    fn both_relying_parties_are_read() {
        // As Routinator 0.15 writes it.
        let routinator = r#"{
  "metadata": {
    "generated": 1763769600,
    "generatedTime": "2025-11-22T00:00:00Z"
  },
  "roas": [
    { "asn": "AS64500", "prefix": "198.51.100.0/24", "maxLength": 24, "ta": "ripe" },
    { "asn": "AS64501", "prefix": "203.0.113.0/24", "maxLength": 32, "ta": "N/A" },
    { "asn": "AS0", "prefix": "2001:db8::/32", "maxLength": 48, "ta": "arin" }
  ],
  "routerKeys": [
    { "asn": "AS1", "SKI": "00", "routerPublicKey": "AA", "ta": "ripe" }
  ],
  "aspas": []
}"#;
        // As rpki-client writes it; older ones have no `expires`.
        let rpki_client = "{\n\t\"metadata\": { \"buildmachine\": \"a\", \"roas\": 3, \"talfiles\": [\"ripe\"] },\n\n\
            \t\"roas\": [\n\
            \t\t{ \"asn\": 64500, \"prefix\": \"198.51.100.0/24\", \"maxLength\": 24, \"ta\": \"ripe\", \"expires\": 1763769600 },\n\
            \t\t{ \"asn\": 64501, \"prefix\": \"203.0.113.0/24\", \"maxLength\": 32 },\n\
            \t\t{ \"asn\": 0, \"prefix\": \"2001:db8::/32\", \"maxLength\": 48, \"ta\": \"arin\", \"expires\": 1 }\n\
            \t],\n\n\t\"bgpsec_keys\": [\n\t],\n\t\"aspas\": [\n\t]\n}\n";
        let routinator_csv = "ASN,IP Prefix,Max Length,Trust Anchor\n\
            AS64500,198.51.100.0/24,24,ripe\nAS64501,203.0.113.0/24,32,N/A\nAS0,2001:db8::/32,48,arin\n";
        let rpki_client_csv = "ASN,IP Prefix,Max Length,Trust Anchor,Expires\n\
            AS64500,198.51.100.0/24,24,ripe,1763769600\nAS64501,203.0.113.0/24,32,,1\nAS0,2001:db8::/32,48,arin,1\n";
        for text in [routinator, rpki_client, routinator_csv, rpki_client_csv] {
            let table = read(text).unwrap_or_else(|mistake| panic!("{mistake}: {text}"));
            assert_eq!(shown(&table), WANTED);
            let again = read(&to_json(&table)).expect("our own");
            assert_eq!(again, table);
        }
        assert_eq!(read("{\"roas\": []}"), Ok(VrpTable::default()));
        assert_eq!(
            read(&to_json(&VrpTable::default())),
            Ok(VrpTable::default())
        );
    }

    #[test]
    fn mistakes_have_their_place() {
        let json = |roa: &str| format!("{{ \"roas\": [\n{roa}\n] }}");
        for (text, told) in [
            (
                json(r#"{ "asn": "AS64500", "prefix": "198.51.100.7/24", "maxLength": 24 }"#),
                "line 2: `198.51.100.7/24` is not a prefix without host bits",
            ),
            (
                json(r#"{ "asn": "CONTOSO", "prefix": "198.51.100.0/24", "maxLength": 24 }"#),
                "line 2: `CONTOSO` is not an AS number",
            ),
            (
                json(r#"{ "asn": 4294967296, "prefix": "198.51.100.0/24", "maxLength": 24 }"#),
                "line 2: 4294967296 is not an AS number",
            ),
            (
                json(r#"{ "asn": 1, "prefix": "198.51.100.0/24", "maxLength": 23 }"#),
                "line 2: the maxLength 23 does not fit 198.51.100.0/24",
            ),
            (
                json(r#"{ "asn": 1, "prefix": "198.51.100.0/24" }"#),
                "line 2: missing field `maxLength`",
            ),
            (
                "{ \"roas\": [".to_owned(),
                "line 1: EOF while parsing a list",
            ),
            ("{}".to_owned(), "line 1: missing field `roas`"),
            (
                "AS1,198.51.100.0/24\n".to_owned(),
                "line 1: `AS1,198.51.100.0/24` is not a row of AS number, prefix, maxLength and trust anchor",
            ),
            (
                "ASN,IP Prefix,Max Length,Trust Anchor\nAS1,198.51.100.0/24,33,ripe\n".to_owned(),
                "line 2: `33` is not a maxLength that fits the prefix",
            ),
        ] {
            let mistake = read(&text).expect_err("wrong");
            assert_eq!(mistake.to_string(), told, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_wrong(text in "[{}\\[\\]\":, AS0-9./\n]{0,80}") {
            let _ = read(&text);
        }
    }
}
