//! Values as the three files write them: durations and bandwidths with units, names.
//!
//! Each knows its JSON Schema, so that `peerlab schema` and the parser cannot disagree.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_spanned::Spanned;

use super::Span;

/// A value and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<T>::deserialize(deserializer)?;
        let span = spanned.span().into();
        Ok(Located {
            value: spanned.into_inner(),
            span,
        })
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// A table of named things, in file order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table<T>(pub Vec<(Located<String>, T)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table(Vec::new())
    }
}

impl<T> Table<T> {
    /// The names, in file order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.value.as_str())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Table<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of named tables")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table<T>, A::Error> {
                let mut entries: Vec<(Located<String>, T)> = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                entries.sort_by(|(a, _), (b, _)| match a.span.cmp(&b.span) {
                    Ordering::Equal => a.value.cmp(&b.value),
                    order => order,
                });
                Ok(Table(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Table<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("TableOf{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": value })
    }
}

/// One name, or a list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// `"ams-1"`, or `"all"` where the parser allows it.
    One(String),
    /// `["ams-1", "ams-2"]`.
    Several(Vec<Located<String>>),
}

impl Names {
    /// The names with their places; `span` is the place of the whole value.
    pub fn located(&self, span: Span) -> Vec<Located<String>> {
        match self {
            Names::One(name) => vec![Located {
                value: name.clone(),
                span,
            }],
            Names::Several(names) => names.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Names, E> {
                Ok(Names::One(name.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = seq.next_element()? {
                    names.push(name);
                }
                Ok(Names::Several(names))
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}

impl JsonSchema for Names {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1, "uniqueItems": true }
        ] })
    }
}

/// Why a text is not a value; [`super::read`] draws it.
#[derive(Debug, PartialEq, Eq)]
pub struct Wrong {
    pub(super) message: String,
    pub(super) label: &'static str,
    /// A text that would be right.
    pub(super) instead: Option<String>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nlabel: {}", self.message, self.label)?;
        match &self.instead {
            Some(text) => write!(f, "\ntry: {text}"),
            None => Ok(()),
        }
    }
}

/// Makes a type that is written as a string: `Deserialize` by `FromStr`, and its schema.
macro_rules! text_value {
    ($type:ident, $expecting:literal, $pattern:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(|wrong: Wrong| E::custom(wrong))
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

pub(super) use text_value;

/// A duration such as `"500ms"`: a decimal number and one of `us`, `ms`, `s`, `m`, `h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration(pub std::time::Duration);

text_value!(
    Duration,
    "a duration with its unit, such as \"500ms\"",
    r"^[0-9]+(\.[0-9]+)?(us|ms|s|m|h)$"
);

impl FromStr for Duration {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Duration, Wrong> {
        let (number, unit) = number_and_unit(text);
        let wrong = |message: String, label, instead: Option<String>| Wrong {
            message,
            label,
            instead,
        };
        let Some(value) = decimal(number) else {
            return Err(wrong(
                format!("`{text}` is not a duration"),
                "a number and a unit: `us`, `ms`, `s`, `m` or `h`",
                None,
            ));
        };
        let micros: u64 = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "" => {
                return Err(wrong(
                    format!("the duration `{text}` has no unit"),
                    "`us`, `ms`, `s`, `m` or `h`?",
                    // A small number is rather seconds than milliseconds.
                    Some(format!(
                        "{number}{}",
                        if value.0 <= 60_000_000_000 { "s" } else { "ms" }
                    )),
                ));
            }
            other => {
                let meant = match other.trim().to_ascii_lowercase().as_str() {
                    "us" | "µs" | "usec" => Some("us"),
                    "ms" | "msec" | "millis" | "milliseconds" => Some("ms"),
                    "s" | "sec" | "secs" | "second" | "seconds" => Some("s"),
                    "m" | "min" | "mins" | "minute" | "minutes" => Some("m"),
                    "h" | "hour" | "hours" => Some("h"),
                    _ => None,
                };
                let message = match other.trim() {
                    "us" | "ms" | "s" | "m" | "h" => {
                        format!("there is a space in the duration `{text}`")
                    }
                    unit => format!("`{unit}` is not a unit of time"),
                };
                return Err(wrong(
                    message,
                    "one of `us`, `ms`, `s`, `m`, `h`, right after the number",
                    meant.map(|unit| format!("{number}{unit}")),
                ));
            }
        };
        // A day is more than any lab lives; the bound keeps arithmetic on durations free of overflow.
        let nanos = value.times(micros.saturating_mul(1_000));
        match nanos {
            Some(nanos) if nanos <= 24 * 3_600 * 1_000_000_000 => {
                Ok(Duration(std::time::Duration::from_nanos(nanos)))
            }
            _ => Err(wrong(
                format!("the duration `{text}` is too long"),
                "at most `24h`",
                None,
            )),
        }
    }
}

/// A duration as the files write it: `"450ms"`, `"1.5s"`.
pub fn in_words(duration: std::time::Duration) -> String {
    let nanos = duration.as_nanos();
    let (unit, size) = match nanos {
        0 => return "0ms".to_owned(),
        n if n >= 1_000_000_000 => ("s", 1_000_000_000),
        n if n >= 1_000_000 => ("ms", 1_000_000),
        _ => ("us", 1_000),
    };
    let fraction = format!("{:09}", nanos % size * (1_000_000_000 / size));
    match fraction.trim_end_matches('0') {
        "" => format!("{}{unit}", nanos / size),
        fraction => format!("{}.{fraction}{unit}", nanos / size),
    }
}

/// A bandwidth such as `"10Gbps"`, in Mbit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth(pub u32);

text_value!(
    Bandwidth,
    "a bandwidth with its unit, such as \"10Gbps\"",
    // Whole Mbit/s.
    r"^([0-9]+(\.0+)?Mbps|[0-9]+(\.[0-9]{1,3}0*)?Gbps|[0-9]+(\.[0-9]{1,6}0*)?Tbps)$"
);

impl FromStr for Bandwidth {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Bandwidth, Wrong> {
        let (number, unit) = number_and_unit(text);
        let mbps = match unit {
            "Mbps" => 1,
            "Gbps" => 1_000,
            "Tbps" => 1_000_000,
            small if bits(small).is_some() => {
                let given = bits(small).and_then(|bits| decimal(number)?.times(bits));
                let whole = given.filter(|bits| bits % 1_000_000 == 0 && *bits > 0);
                return Err(Wrong {
                    message: format!("`{}` is not a unit of bandwidth", small.trim()),
                    label: "`1Mbps` is the least",
                    instead: whole.map(|bits| format!("{}Mbps", bits / 1_000_000)),
                });
            }
            other => {
                let meant = match other.trim().chars().next() {
                    Some('M' | 'm') => "Mbps",
                    Some('T' | 't') => "Tbps",
                    _ => "Gbps",
                };
                return Err(Wrong {
                    message: if other.is_empty() {
                        format!("the bandwidth `{text}` has no unit")
                    } else {
                        format!("`{}` is not a unit of bandwidth", other.trim())
                    },
                    label: "one of `Mbps`, `Gbps`, `Tbps`, right after the number",
                    instead: decimal(number).map(|_| format!("{number}{meant}")),
                });
            }
        };
        let value = decimal(number).and_then(|value| value.times(mbps));
        match value.and_then(|mbps| u32::try_from(mbps).ok()) {
            Some(mbps) if mbps > 0 => Ok(Bandwidth(mbps)),
            _ => Err(Wrong {
                message: format!("`{text}` is not a bandwidth"),
                label: "a number of whole Mbit/s, at least `1Mbps`",
                instead: None,
            }),
        }
    }
}

/// How many bits a second a unit is that is too small for a bandwidth: `kbps`, `bit/s`.
fn bits(unit: &str) -> Option<u64> {
    match unit.trim().chars().next()? {
        'k' | 'K' => Some(1_000),
        'b' | 'B' => Some(1),
        _ => None,
    }
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            mbps if mbps % 1_000 == 0 => write!(f, "{}Gbps", mbps / 1_000),
            mbps if mbps > 1_000 => {
                let fraction = format!("{:03}", mbps % 1_000);
                write!(f, "{}.{}Gbps", mbps / 1_000, fraction.trim_end_matches('0'))
            }
            mbps => write!(f, "{mbps}Mbps"),
        }
    }
}

/// Splits `"1.5s"` into `"1.5"` and `"s"`.
pub(super) fn number_and_unit(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A decimal number with at most nine digits after the point, in billionths.
pub(super) struct Decimal(u128);

impl Decimal {
    /// The product, if it is whole and fits.
    pub(super) fn times(&self, factor: u64) -> Option<u64> {
        let billionths = self.0.checked_mul(u128::from(factor))?;
        (billionths % 1_000_000_000 == 0)
            .then(|| u64::try_from(billionths / 1_000_000_000).ok())
            .flatten()
    }
}

pub(super) fn decimal(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let fraction: u64 = format!("{fraction:0<9}").parse().ok()?;
    Some(Decimal(
        u128::from(whole) * 1_000_000_000 + u128::from(fraction),
    ))
}
