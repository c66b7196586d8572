//! A share of all, as the files write it: a percentage.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::Wrong;
use super::value::{decimal, number_and_unit, text_value};

/// A share such as `"10%"`, in millionths: at most all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Share(u32);

impl Share {
    /// All.
    const WHOLE: u32 = 1_000_000;

    /// The share in millionths, at most a million.
    pub fn millionths(self) -> u32 {
        self.0
    }

    /// This part of a whole; nothing of nothing. Rounded down.
    pub fn of(part: u64, whole: u64) -> Share {
        let share = u128::from(part) * u128::from(Share::WHOLE) / u128::from(whole.max(1));
        Share(u32::try_from(share).map_or(Share::WHOLE, |share| share.min(Share::WHOLE)))
    }

    /// Nothing.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

text_value!(
    Share,
    "a share in percent, such as \"10%\"",
    r"^[0-9]+(\.[0-9]+)?%$"
);

impl FromStr for Share {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Share, Wrong> {
        let (number, unit) = number_and_unit(text);
        let value = decimal(number);
        let wrong = |message: String, label, instead| Wrong {
            message,
            label,
            instead,
        };
        let Some(value) = value else {
            let message = format!("`{text}` is not a share");
            return Err(wrong(message, "a number and `%`", None));
        };
        match unit {
            "%" => {}
            "" => {
                let message = format!("the share `{text}` has no unit");
                return Err(wrong(message, "in percent?", Some(format!("{number}%"))));
            }
            other => {
                let message = match other.trim() {
                    "%" => format!("there is a space in the share `{text}`"),
                    other => format!("`{other}` is not a unit of shares"),
                };
                let instead = Some(format!("{number}%"));
                return Err(wrong(message, "`%`, right after the number", instead));
            }
        }
        match value.times(10_000) {
            None => {
                let message = format!("the share `{text}` is too fine");
                Err(wrong(message, "at most four digits after the point", None))
            }
            Some(millionths) => match u32::try_from(millionths) {
                Ok(millionths) if millionths <= Share::WHOLE => Ok(Share(millionths)),
                _ => {
                    let message = format!("{text} is more than all");
                    Err(wrong(message, "at most `100%`", None))
                }
            },
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 10_000, self.0 % 10_000);
        match format!("{fraction:04}").trim_end_matches('0') {
            "" => write!(f, "{whole}%"),
            fraction => write!(f, "{whole}.{fraction}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_written() {
        for (text, millionths) in [
            ("0%", 0),
            ("10%", 100_000),
            ("0.5%", 5_000),
            ("33.3333%", 333_333),
            ("100%", 1_000_000),
        ] {
            let share: Share = text.parse().expect(text);
            assert_eq!(share.millionths(), millionths, "{text}");
            assert_eq!(share.to_string(), text);
        }
        for text in [
            "120%",
            "100.0001%",
            "-1%",
            "10",
            "10 %",
            "ten",
            "10ms",
            "1.23456%",
            "%",
        ] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_part_of_nothing_is_nothing() {
        assert_eq!(Share::of(0, 0), Share::default());
        assert_eq!(Share::of(1, 3).to_string(), "33.3333%");
        assert_eq!(Share::of(7, 7).to_string(), "100%");
        assert_eq!(Share::of(u64::MAX, 1).to_string(), "100%");
    }
}
