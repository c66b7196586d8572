//! Prefixes and addresses as the three files write them, of one family or of either.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::value::{Wrong, text_value};

/// An IPv4 prefix such as `"198.51.100.0/24"`, without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix(pub Ipv4Net);

text_value!(
    Prefix,
    "an IPv4 prefix, such as \"198.51.100.0/24\"",
    r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$"
);

impl FromStr for Prefix {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Prefix, Wrong> {
        match text.parse() {
            Ok(IpNet::V4(net)) => without_host_bits(text, net.into()).map(|()| Prefix(net)),
            Ok(IpNet::V6(_)) => Err(Wrong {
                message: format!("`{text}` is an IPv6 prefix"),
                label: "only IPv4 here",
                instead: None,
            }),
            Err(_) => Err(Wrong {
                message: format!("`{text}` is not an IPv4 prefix"),
                label: "an address, a slash and a length up to 32",
                instead: text
                    .parse()
                    .ok()
                    .map(|address: Ipv4Addr| format!("{address}/32")),
            }),
        }
    }
}

/// An IPv6 prefix such as `"2001:db8::/48"`, without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Prefix(pub Ipv6Net);

text_value!(
    Ipv6Prefix,
    "an IPv6 prefix, such as \"2001:db8::/48\"",
    r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"
);

impl FromStr for Ipv6Prefix {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Ipv6Prefix, Wrong> {
        match text.parse() {
            Ok(IpNet::V6(net)) => without_host_bits(text, net.into()).map(|()| Ipv6Prefix(net)),
            Ok(IpNet::V4(_)) => Err(Wrong {
                message: format!("`{text}` is an IPv4 prefix"),
                label: "only IPv6 here",
                instead: None,
            }),
            Err(_) => Err(Wrong {
                message: format!("`{text}` is not an IPv6 prefix"),
                label: "an address, a slash and a length up to 128",
                instead: text
                    .parse()
                    .ok()
                    .map(|address: Ipv6Addr| format!("{address}/128")),
            }),
        }
    }
}

/// A prefix of either family, without host bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnyPrefix(pub IpNet);

text_value!(
    AnyPrefix,
    "a prefix, such as \"198.51.100.0/24\" or \"2001:db8::/48\"",
    r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"
);

impl FromStr for AnyPrefix {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<AnyPrefix, Wrong> {
        match text.parse() {
            Ok(net) => without_host_bits(text, net).map(|()| AnyPrefix(net)),
            Err(_) if text.contains(':') => {
                Ipv6Prefix::from_str(text).map(|prefix| AnyPrefix(prefix.0.into()))
            }
            Err(_) => Prefix::from_str(text).map(|prefix| AnyPrefix(prefix.0.into())),
        }
    }
}

fn without_host_bits(text: &str, net: IpNet) -> Result<(), Wrong> {
    if net == net.trunc() {
        return Ok(());
    }
    Err(Wrong {
        message: format!("the prefix `{text}` has host bits set"),
        label: "not a network address",
        instead: Some(net.trunc().to_string()),
    })
}

/// An IPv4 address such as `"198.51.100.10"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub Ipv4Addr);

text_value!(
    Address,
    "an IPv4 address, such as \"198.51.100.10\"",
    r"^([0-9]{1,3}\.){3}[0-9]{1,3}$"
);

impl FromStr for Address {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Address, Wrong> {
        text.parse().map(Address).map_err(|_| Wrong {
            message: format!("`{text}` is not an IPv4 address"),
            label: "four numbers up to 255 with dots between",
            instead: text.parse().ok().map(|net: Ipv4Net| net.addr().to_string()),
        })
    }
}

/// An IPv6 address such as `"2001:db8::10"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Address(pub Ipv6Addr);

text_value!(
    Ipv6Address,
    "an IPv6 address, such as \"2001:db8::10\"",
    r"^[0-9A-Fa-f:.]+$"
);

impl FromStr for Ipv6Address {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Ipv6Address, Wrong> {
        text.parse().map(Ipv6Address).map_err(|_| Wrong {
            message: format!("`{text}` is not an IPv6 address"),
            label: "eight groups of four digits, `::` for the longest run of zeros",
            instead: text.parse().ok().map(|net: Ipv6Net| net.addr().to_string()),
        })
    }
}
