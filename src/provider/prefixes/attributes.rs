//! What is wrong with the attributes of one route: its community (V-05) and its AS path (V-06, V-07, V-08).

use std::collections::BTreeSet;

use super::reason::Reason;
use crate::provider::received::{AsPath, ReceivedRoute, Segment};

/// The community of Peering Service, MAPS community by its older name.
pub(super) const COMMUNITY: &str = "8075:8007";
/// The longest AS path, counted as received: the peer's own AS is in it, AS8075 is not.
pub(super) const LONGEST_PATH: usize = 3;

/// A fault of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub reason: Reason,
    pub text: String,
    pub nearest: Option<String>,
}

/// All faults of a route; none for nearly all routes, which costs no allocation.
pub(super) fn faults(route: &ReceivedRoute, documentation_is_public: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !route.communities.iter().any(|c| c == COMMUNITY) {
        faults.push(missing_community(&route.communities));
    }
    let path = &route.as_path;
    let length = path.length();
    if length > LONGEST_PATH {
        faults.push(Fault {
            reason: Reason::AsPathTooLong,
            text: format!(
                "AS path `{path}` has {length} AS numbers, at most {LONGEST_PATH} may be in it"
            ),
            nearest: would_pass(path, |_| false, documentation_is_public),
        });
    }
    if let Some((asn, adjacent)) = repeated(path) {
        let text = if adjacent {
            format!("AS path `{path}` is prepended: AS{asn} is repeated")
        } else {
            format!("AS path `{path}` has AS{asn} twice, as a loop would")
        };
        faults.push(Fault {
            reason: Reason::AsPathPrepended,
            text,
            nearest: would_pass(path, |_| false, documentation_is_public),
        });
    }
    if path.has_set() {
        faults.push(Fault {
            reason: Reason::AsSet,
            text: format!("AS path `{path}` has an AS_SET, which RFC 9774 forbids"),
            nearest: would_pass(path, |_| false, documentation_is_public),
        });
    }
    let unusable = |asn| is_private(asn) || special(asn, documentation_is_public).is_some();
    let private = distinct(path, is_private);
    if !private.is_empty() {
        faults.push(Fault {
            reason: Reason::PrivateAsnInPath,
            text: format!(
                "AS path `{path}` has {}, for private use (RFC 6996)",
                asns(&private)
            ),
            nearest: would_pass(path, unusable, documentation_is_public),
        });
    }
    for asn in distinct(path, |asn| special(asn, documentation_is_public).is_some()) {
        let why = special(asn, documentation_is_public).unwrap_or_default();
        faults.push(Fault {
            reason: Reason::SpecialAsnInPath,
            text: format!("AS path `{path}` has AS{asn}, which is {why}"),
            nearest: would_pass(path, unusable, documentation_is_public),
        });
    }
    faults
}

/// For private use: RFC 6996, both ends included.
pub(in crate::provider) fn is_private(asn: u32) -> bool {
    matches!(asn, 64_512..=65_534 | 4_200_000_000..=4_294_967_294)
}

/// Nobody's, and not for private use: what it is.
pub(in crate::provider) fn special(
    asn: u32,
    documentation_is_public: bool,
) -> Option<&'static str> {
    match asn {
        0 => Some("reserved (RFC 7607)"),
        23_456 => Some("AS_TRANS (RFC 6793): a router that knows no 4-octet AS numbers hides one"),
        65_535 | 4_294_967_295 => Some("reserved (RFC 7300)"),
        64_496..=64_511 | 65_536..=65_551 if !documentation_is_public => {
            Some("for documentation (RFC 5398)")
        }
        _ => None,
    }
}

/// An AS number that is in the path twice, and whether the two stand side by side.
fn repeated(path: &AsPath) -> Option<(u32, bool)> {
    let mut side_by_side = path.asns().zip(path.asns().skip(1));
    if let Some((asn, _)) = side_by_side.find(|(one, next)| one == next) {
        return Some((asn, true));
    }
    // Paths are short, but nothing bounds those of a hostile peer.
    if path.asns().nth(16).is_some() {
        let mut seen = BTreeSet::new();
        return path
            .asns()
            .find(|asn| !seen.insert(*asn))
            .map(|asn| (asn, false));
    }
    let mut places = path.asns().enumerate();
    let twice = |(place, asn): &(usize, u32)| path.asns().take(*place).any(|before| before == *asn);
    places.find(twice).map(|(_, asn)| (asn, false))
}

fn distinct(path: &AsPath, is: impl Fn(u32) -> bool) -> BTreeSet<u32> {
    path.asns().filter(|asn| is(*asn)).collect()
}

fn asns(numbers: &BTreeSet<u32>) -> String {
    let words: Vec<String> = numbers.iter().map(|asn| format!("AS{asn}")).collect();
    words.join(", ")
}

/// The path without what is wrong with it, if that would pass: each AS once, no AS_SET, none of `without`.
fn would_pass(
    path: &AsPath,
    without: impl Fn(u32) -> bool,
    documentation_is_public: bool,
) -> Option<String> {
    let mut kept: Vec<u32> = Vec::new();
    for segment in &path.0 {
        if let Segment::Sequence(asns) = segment {
            for asn in asns {
                if !kept.contains(asn) && !without(*asn) && kept.len() <= LONGEST_PATH {
                    kept.push(*asn);
                }
            }
        }
    }
    let passes = |asn: &u32| !is_private(*asn) && special(*asn, documentation_is_public).is_none();
    let good = (1..=LONGEST_PATH).contains(&kept.len()) && kept.iter().all(passes);
    good.then(|| format!("AS path `{}`", AsPath::sequence(kept)))
}

fn missing_community(communities: &[String]) -> Fault {
    let alike = communities
        .iter()
        .find_map(|community| Some((community, look_alike(community)?)));
    let (text, nearest) = match alike {
        Some((community, what)) => (
            format!("the community {COMMUNITY} is missing; `{community}` is {what}"),
            format!("the standard community {COMMUNITY} in place of `{community}`"),
        ),
        None => (
            format!("the community {COMMUNITY} is missing"),
            format!("the standard community {COMMUNITY}"),
        ),
    };
    Fault {
        reason: Reason::MissingCommunity,
        text,
        nearest: Some(nearest),
    }
}

/// What a community is that is easily taken for the right one.
fn look_alike(community: &str) -> Option<&'static str> {
    let parts: Vec<&str> = community.split(':').collect();
    match parts.as_slice() {
        ["8007", "8075"] => Some("the two numbers the wrong way round"),
        ["8075", second] if near(second) => Some("another value"),
        [first, "8007"] if strsim::osa_distance(first, "8075") == 1 => Some("of another AS"),
        [one, two, three] if two_of([one, two, three]) => {
            let large = one.bytes().all(|byte| byte.is_ascii_digit());
            Some(match large {
                true => "a large community (RFC 8092), not a standard one (RFC 1997)",
                false => "an extended community (RFC 4360), not a standard one (RFC 1997)",
            })
        }
        _ => None,
    }
}

/// One slip away from 8007.
fn near(value: &str) -> bool {
    strsim::osa_distance(value, "8007") == 1
}

/// 8075 and then 8007 among three.
fn two_of(parts: [&str; 3]) -> bool {
    parts.windows(2).any(|pair| pair == ["8075", "8007"])
}
