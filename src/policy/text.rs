//! Values inside policies: ranges of prefixes, lengths and AS numbers, communities.

use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::{Asns, Prefixes};
use crate::bgp::attributes::Community;
use crate::bgp::policy::{CommunityPattern, PrefixRange, WELL_KNOWN};
use crate::source::ExtendedCommunity;

/// Why a text is not a value.
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) label: &'static str,
    /// What would be right.
    pub(super) instead: Option<String>,
}

fn wrong(message: String, label: &'static str) -> Wrong {
    Wrong {
        message,
        label,
        instead: None,
    }
}

/// A name of a set looks like nothing else.
fn is_name(text: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(letters)
}

/// `198.51.100.0/24`, `10.0.0.0/8+`, `203.0.113.0/24{25,32}`, or a name.
pub(super) fn prefixes(text: &str) -> Result<Prefixes, Wrong> {
    if is_name(text) {
        return Ok(Prefixes::Set(text.to_owned()));
    }
    prefix_range(text).map(Prefixes::Range)
}

pub(super) fn prefix_range(text: &str) -> Result<PrefixRange, Wrong> {
    const LABEL: &str =
        "a prefix, with `+` behind it for all inside it, or `{25,32}` for those of these lengths";
    let end = text.find(['+', '{']).unwrap_or(text.len());
    let (prefix, lengths) = text.split_at(end);
    let Ok(net) = prefix.parse::<IpNet>() else {
        let address = prefix.parse::<std::net::IpAddr>();
        return Err(Wrong {
            instead: address.ok().map(|a| format!("{}{lengths}", IpNet::from(a))),
            ..wrong(format!("`{text}` is not a prefix"), LABEL)
        });
    };
    if net != net.trunc() {
        return Err(Wrong {
            instead: Some(format!("{}{lengths}", net.trunc())),
            ..wrong(
                format!("the prefix `{prefix}` has host bits set"),
                "not a network address",
            )
        });
    }
    let (own, longest) = (net.prefix_len(), net.max_prefix_len());
    let lengths = match lengths {
        "" => own..=own,
        "+" => own..=longest,
        braces => {
            let inside = braces.strip_prefix('{').and_then(|b| b.strip_suffix('}'));
            let pair = inside.and_then(|inside| inside.split_once(','));
            let pair =
                pair.and_then(|(a, b)| Some((whole::<u8>(a.trim())?, whole::<u8>(b.trim())?)));
            match pair {
                Some((from, to)) if own <= from && from <= to && to <= longest => from..=to,
                Some((from, to)) => {
                    return Err(wrong(
                        format!("no prefix inside {net} has a length of {from} to {to}"),
                        "the first number at least that of the prefix, the second at least the first",
                    ));
                }
                None => return Err(wrong(format!("`{text}` is not a prefix"), LABEL)),
            }
        }
    };
    Ok(PrefixRange {
        prefix: net,
        lengths,
    })
}

/// `12076`, `64512..65534`, or a name.
pub(super) fn asns(text: &str) -> Result<Asns, Wrong> {
    if is_name(text) && !text.starts_with("AS") {
        return Ok(Asns::Set(text.to_owned()));
    }
    asn_range(text).map(Asns::Range)
}

pub(super) fn asn_range(text: &str) -> Result<RangeInclusive<u32>, Wrong> {
    range(text, u32::MAX).ok_or_else(|| {
        let number = text.strip_prefix("AS").filter(|n| n.parse::<u32>().is_ok());
        Wrong {
            instead: number.map(str::to_owned),
            ..wrong(
                format!("`{text}` is not an AS number"),
                "a number, `64512..65534`, or the name of a set",
            )
        }
    })
}

/// `24`, `25..32`, `25..`, `..7`, of numbers up to `largest`; not the wrong way round.
pub(super) fn range(text: &str, largest: u32) -> Option<RangeInclusive<u32>> {
    let number = |text: &str, open: u32| match text {
        "" => Some(open),
        digits => whole(digits),
    };
    let range = match text.split_once("..") {
        Some(("", "")) => return None,
        Some((from, to)) => number(from, 0)?..=number(to, largest)?,
        None => {
            let one = whole(text)?;
            one..=one
        }
    };
    (range.start() <= range.end() && *range.end() <= largest).then_some(range)
}

/// A number of digits alone: no sign.
fn whole<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A community of any kind, or a pattern of them, or the name of a well-known one.
pub(super) fn community(text: &str) -> Result<CommunityPattern, Wrong> {
    let known = WELL_KNOWN.iter().find(|(.., name)| *name == text);
    if let Some((high, low, _)) = known {
        return Ok(CommunityPattern::Standard([Some(*high), Some(*low)]));
    }
    pattern(text).ok_or_else(|| {
        let names = WELL_KNOWN.iter().map(|(.., name)| *name);
        let near = crate::source::closest(text, names).filter(|_| is_name(text));
        Wrong {
            instead: near.map(str::to_owned),
            ..wrong(
                format!("`{text}` is not a community"),
                "such as `8075:8007`, `8075:*`, `8075:8007:0`, `rt:8075:8007` or `graceful-shutdown`",
            )
        }
    })
}

fn pattern(text: &str) -> Option<CommunityPattern> {
    fn part<T: std::str::FromStr>(text: &str) -> Option<Option<T>> {
        match text {
            "*" => Some(None),
            digits => whole(digits).map(Some),
        }
    }
    if let Some(octets) = text.strip_prefix("ext:0x") {
        let value = u64::from_str_radix(octets, 16).ok()?;
        return Some(Community::Extended(value).into());
    }
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["rt", "*", "*"] => Some(CommunityPattern::ExtendedSubtype(2)),
        ["ro", "*", "*"] => Some(CommunityPattern::ExtendedSubtype(3)),
        ["rt" | "ro", "*", _] => None,
        ["rt" | "ro", administrator, "*"] => {
            // The number is as wide as the administrator leaves room for.
            let ExtendedCommunity(value) = text.replace('*', "0").parse().ok()?;
            let narrow = administrator.parse::<u16>().is_ok();
            let mask = if narrow { !0xffff_ffff } else { !0xffff };
            Some(CommunityPattern::Extended { value, mask })
        }
        ["rt" | "ro", ..] => {
            let ExtendedCommunity(value) = text.parse().ok()?;
            Some(Community::Extended(value).into())
        }
        [high, low] => Some(CommunityPattern::Standard([part(high)?, part(low)?])),
        [a, b, c] => Some(CommunityPattern::Large([part(a)?, part(b)?, part(c)?])),
        _ => None,
    }
}

/// One community, for adding: never a pattern.
pub(super) fn one_community(text: &str) -> Result<Community, Wrong> {
    community(text)?.exact().ok_or_else(|| {
        wrong(
            format!("`{text}` is many communities"),
            "one community, without `*`",
        )
    })
}
