//! Routes as routers write them, into the project's writing of them.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::bgp::policy::AS_SET;
use crate::provider::observed::Seen;
use crate::provider::received::{AsPath, ReceivedRoute, Segment};

/// Well-known communities (IANA) by the names FRR gives them, with their low octets below 65535.
const WELL_KNOWN: &[(&str, u16)] = &[
    ("graceful-shutdown", 0),
    ("accept-own", 1),
    ("route-filter-translated-v4", 2),
    ("route-filter-v4", 3),
    ("route-filter-translated-v6", 4),
    ("route-filter-v6", 5),
    ("llgr-stale", 6),
    ("no-llgr", 7),
    ("accept-own-nexthop", 8),
    ("blackhole", 666),
    ("no-export", 65281),
    ("no-advertise", 65282),
    ("local-AS", 65283),
    ("no-peer", 65284),
];

/// A route as an edge would keep it: with an AS_SET it is treated as withdrawn, and of its MED nothing is known.
pub fn seen(as_path: AsPath, communities: Vec<String>, med: Option<u32>) -> Seen {
    let unusable = as_path.has_set().then(|| AS_SET.to_owned());
    Seen {
        route: Arc::new(ReceivedRoute {
            as_path,
            communities,
            med: med.filter(|_| unusable.is_none()),
        }),
        unusable,
    }
}

/// A path: `64500 {64501,64502}` of FRR, `64500 {64501 64502}` of BIRD, AS numbers also as `1.10` (RFC 5396).
///
/// Segments of a confederation, in round or square brackets, are left out: they do not leave it (RFC 5065).
pub fn path(text: &str) -> Option<AsPath> {
    let mut path = AsPath::default();
    if text.trim() == "Local" {
        return Some(path);
    }
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (segment, after) = match first {
            '{' => bracketed(rest, '}')?,
            '(' => bracketed(rest, ')')?,
            '[' => bracketed(rest, ']')?,
            _ => rest.split_at(rest.find([' ', '{', '(', '[']).unwrap_or(rest.len())),
        };
        match first {
            '(' | '[' => {}
            '{' => {
                let asns = segment
                    .split([',', ' '])
                    .filter(|word| !word.is_empty())
                    .map(asn)
                    .collect::<Option<Vec<u32>>>()?;
                path.0.push(Segment::Set(asns));
            }
            _ => match path.0.last_mut() {
                Some(Segment::Sequence(asns)) => asns.push(asn(segment)?),
                Some(Segment::Set(_)) | None => path.0.push(Segment::Sequence(vec![asn(segment)?])),
            },
        }
        rest = after.trim_start();
    }
    Some(path)
}

/// What is between the bracket at the front and its end, and what follows.
fn bracketed(text: &str, end: char) -> Option<(&str, &str)> {
    let (inside, after) = text.get(1..)?.split_once(end)?;
    // A set within a confederation's sequence ends with two brackets.
    Some((inside, after.trim_start_matches(end)))
}

fn asn(text: &str) -> Option<u32> {
    match text.split_once('.') {
        None => text.parse().ok(),
        Some((high, low)) => {
            let (high, low): (u16, u16) = (high.parse().ok()?, low.parse().ok()?);
            Some(u32::from(high) << 16 | u32::from(low))
        }
    }
}

/// Standard and large communities of FRR, separated by spaces.
pub fn frr_communities(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split_whitespace().map(|word| {
        let known = WELL_KNOWN.iter().find(|(name, _)| *name == word);
        known.map_or_else(|| word.to_owned(), |(_, low)| format!("65535:{low}"))
    })
}

/// Extended communities of FRR: `RT:8075:8007 SoO:…`; others as they are.
pub fn frr_extended(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split_whitespace()
        .map(|word| match word.split_once(':') {
            Some(("RT", rest)) => format!("rt:{rest}"),
            Some(("SoO", rest)) => format!("ro:{rest}"),
            _ => word.to_owned(),
        })
}

/// The tuples of a line of BIRD: `(8075,8007) (65535,65281)`, `(rt, 8075, 8007)`, with colons between the parts.
pub fn bird_communities(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(')').filter_map(|tuple| {
        let (_, inside) = tuple.split_once('(')?;
        Some(tuple_of(inside.split(',').map(str::trim)))
    })
}

/// Parts of a community, joined as the project writes it.
pub fn tuple_of<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.collect::<Vec<_>>().join(":")
}

/// An IPv4 address that is one.
pub fn address(text: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = text.parse().ok()?;
    (!address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_routers() {
        for (text, read) in [
            ("", ""),
            ("Local", ""),
            ("64500", "64500"),
            ("64500 64500 64512", "64500 64500 64512"),
            ("64500 {64501,64502}", "64500 {64501,64502}"),
            ("64500 {64501 64502} 64503", "64500 {64501,64502} 64503"),
            ("(65001 65002) 64500", "64500"),
            ("({65001 65002}) 64500", "64500"),
            ("[65001,65002] 64500", "64500"),
            ("1.10 64500", "65546 64500"),
        ] {
            assert_eq!(
                path(text).map(|path| path.to_string()).as_deref(),
                Some(read),
                "{text}"
            );
        }
        for text in [
            "x",
            "64500 {64501",
            "4294967296",
            "1.65536",
            "{a}",
            "64500?",
        ] {
            assert_eq!(path(text), None, "{text}");
        }
    }

    #[test]
    fn communities_of_routers() {
        let read: Vec<String> = frr_communities("8075:8007 no-export 8075:8007:0").collect();
        assert_eq!(read, ["8075:8007", "65535:65281", "8075:8007:0"]);
        let read: Vec<String> = frr_extended("RT:8075:8007 SoO:192.0.2.1:7 ET:8:3").collect();
        assert_eq!(read, ["rt:8075:8007", "ro:192.0.2.1:7", "ET:8:3"]);
        let read: Vec<String> = bird_communities("(8075,8007) (65535,65281)").collect();
        assert_eq!(read, ["8075:8007", "65535:65281"]);
        let read: Vec<String> = bird_communities("(rt, 8075, 8007) (generic, 0x1, 0x2)").collect();
        assert_eq!(read, ["rt:8075:8007", "generic:0x1:0x2"]);
    }
}
