//! A policy as a configuration that people read.

use std::fmt;
use std::ops::RangeInclusive;

use super::{Change, Match, Policy, Rule, Verdict};
use crate::bgp::family::Family;
use crate::bgp::origin_validation::Validity;

/// One line for each rule, and a last one for the rest.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.rules {
            writeln!(f, "{rule}")?;
        }
        write!(f, "{}", self.otherwise)
    }
}

/// For example `if prefix in { 198.51.100.0/24 } then set local-pref 300, accept`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.change.iter().map(ToString::to_string);
        let words: Vec<String> = words
            .chain(self.verdict.iter().map(ToString::to_string))
            .collect();
        if !self.when.is_empty() {
            write!(f, "if {} then ", joined(&self.when, " and "))?;
        }
        f.write_str(&words.join(", "))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Reject(reason) => write!(f, "reject {reason}"),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Match::Family(Family::Ipv4Unicast) => f.write_str("ipv4"),
            Match::Family(Family::Ipv6Unicast) => f.write_str("ipv6"),
            Match::Prefix(set) => write!(f, "prefix in {set}"),
            Match::PrefixLength(lengths) => write!(f, "prefix length {}", span(lengths)),
            Match::PathLength(lengths) if *lengths.end() >= u32::MAX as usize => {
                write!(f, "path length {} or more", lengths.start())
            }
            Match::PathLength(lengths) => write!(f, "path length {}", span(lengths)),
            Match::PathContains(ranges) => write!(f, "path contains {}", numbers(ranges)),
            Match::Origin(ranges) => write!(f, "origin {}", numbers(ranges)),
            Match::Community(community) => write!(f, "community {community}"),
            Match::Rpki(validity) => write!(f, "rpki {}", name(*validity)),
            Match::Not(other) => write!(f, "not {other}"),
            Match::Any(list) => write!(f, "({})", joined(list, " or ")),
            Match::All(list) => write!(f, "({})", joined(list, " and ")),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::LocalPref(preference) => write!(f, "set local-pref {preference}"),
            Change::Med(Some(med)) => write!(f, "set med {med}"),
            Change::Med(None) => f.write_str("remove med"),
            Change::SetCommunities(list) if list.is_empty() => {
                f.write_str("remove all communities")
            }
            Change::SetCommunities(list) => {
                let texts: Vec<String> = list.iter().map(ToString::to_string).collect();
                write!(f, "set communities {{ {} }}", texts.join(", "))
            }
            Change::AddCommunity(community) => write!(f, "add community {community}"),
            Change::RemoveCommunity(community) => write!(f, "remove community {community}"),
            Change::Prepend(asn, times) => write!(f, "prepend {asn} {times} times"),
        }
    }
}

fn joined(matches: &[Match], word: &str) -> String {
    let texts: Vec<String> = matches.iter().map(ToString::to_string).collect();
    texts.join(word)
}

fn span<T: fmt::Display + PartialEq>(range: &RangeInclusive<T>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}..{}", range.start(), range.end())
    }
}

fn numbers(ranges: &[RangeInclusive<u32>]) -> String {
    let texts: Vec<String> = ranges.iter().map(span).collect();
    format!("{{ {} }}", texts.join(", "))
}

fn name(validity: Validity) -> &'static str {
    match validity {
        Validity::Valid => "valid",
        Validity::InvalidAs => "invalid-as",
        Validity::InvalidLength => "invalid-length",
        Validity::NotFound => "not-found",
    }
}
