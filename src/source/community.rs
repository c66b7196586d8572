//! Communities of the three kinds, as people write them.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::value::{Wrong, text_value};

/// A community of RFC 1997 such as `"8075:8007"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Community(pub u16, pub u16);

text_value!(
    Community,
    "a community, such as \"8075:8007\"",
    r"^[0-9]{1,5}:[0-9]{1,5}$"
);

impl FromStr for Community {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Community, Wrong> {
        let halves = text.split_once(':');
        halves
            .and_then(|(high, low)| Some(Community(high.parse().ok()?, low.parse().ok()?)))
            .ok_or_else(|| Wrong {
                message: format!("`{text}` is not a community"),
                label: "two numbers up to 65535 with a colon between",
                instead: None,
            })
    }
}

/// A large community (RFC 8092) such as `"8075:8007:0"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LargeCommunity(pub u32, pub u32, pub u32);

text_value!(
    LargeCommunity,
    "a large community, such as \"8075:8007:0\"",
    r"^[0-9]{1,10}:[0-9]{1,10}:[0-9]{1,10}$"
);

impl FromStr for LargeCommunity {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<LargeCommunity, Wrong> {
        let parts: Result<Vec<u32>, _> = text.split(':').map(str::parse).collect();
        match parts.as_deref() {
            Ok([global, one, two]) => Ok(LargeCommunity(*global, *one, *two)),
            _ => Err(Wrong {
                message: format!("`{text}` is not a large community"),
                label: "three numbers up to 4294967295 with colons between",
                instead: None,
            }),
        }
    }
}

/// An extended community (RFC 4360) such as `"rt:8075:8007"`: a route target or route origin, as its 8 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedCommunity(pub u64);

text_value!(
    ExtendedCommunity,
    "an extended community, such as \"rt:8075:8007\"",
    r"^(rt|ro):[0-9.]{1,15}:[0-9]{1,10}$"
);

impl FromStr for ExtendedCommunity {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<ExtendedCommunity, Wrong> {
        extended(text).map(ExtendedCommunity).ok_or_else(|| Wrong {
            message: format!("`{text}` is not an extended community"),
            label: "`rt:` or `ro:`, an AS number or IPv4 address, a colon and a number",
            instead: None,
        })
    }
}

/// RFC 4360, sections 3.1, 3.2, 4 and 5; RFC 5668 for an AS number of four octets.
fn extended(text: &str) -> Option<u64> {
    let (name, rest) = text.split_once(':')?;
    let (administrator, number) = rest.split_once(':')?;
    let subtype: u64 = match name {
        "rt" => 2,
        "ro" => 3,
        _ => return None,
    };
    let octets = |kind: u64, value: u64| kind << 56 | subtype << 48 | value;
    if let Ok(asn) = administrator.parse::<u16>() {
        let number: u32 = number.parse().ok()?;
        return Some(octets(0, u64::from(asn) << 32 | u64::from(number)));
    }
    let number = u64::from(number.parse::<u16>().ok()?);
    if let Ok(address) = administrator.parse::<Ipv4Addr>() {
        return Some(octets(1, u64::from(u32::from(address)) << 16 | number));
    }
    let asn: u32 = administrator.parse().ok()?;
    Some(octets(2, u64::from(asn) << 16 | number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_of_each_kind() {
        assert_eq!("8075:8007".parse(), Ok(Community(8075, 8007)));
        assert_eq!(
            "4200000000:1:2".parse(),
            Ok(LargeCommunity(4_200_000_000, 1, 2))
        );
        for (text, octets) in [
            ("rt:8075:8007", 0x0002_1f8b_0000_1f47),
            ("ro:192.0.2.1:7", 0x0103_c000_0201_0007),
            ("rt:65536:1", 0x0202_0001_0000_0001),
        ] {
            assert_eq!(text.parse(), Ok(ExtendedCommunity(octets)), "{text}");
        }
        for text in ["8075", "65536:1", "8075:8007:0", "a:b", ""] {
            assert!(text.parse::<Community>().is_err(), "{text}");
        }
        for text in ["8075:8007", "1:2:3:4", "4294967296:1:1", "a:b:c"] {
            assert!(text.parse::<LargeCommunity>().is_err(), "{text}");
        }
        for text in [
            "8075:8007",
            "xx:1:2",
            "rt:1",
            "rt:65536:65536",
            "rt:1:4294967296",
        ] {
            assert!(text.parse::<ExtendedCommunity>().is_err(), "{text}");
        }
    }
}
