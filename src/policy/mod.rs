//! Import and export policies as people write them: named lists of rules, in a topology or a profile.
//!
//! `raw.rs` mirrors the TOML; `parse.rs` makes this model or lists every mistake, with the values of `text.rs` and what `possible.rs` says of them; `print.rs`
//! writes it back. Some names mean what the Microsoft side has concluded so far. `instantiate.rs` takes what they mean at a
//! moment ([`Meaning`]) and makes what a router evaluates ([`crate::bgp::policy::Policy`]).
//!
//! **Invariant:** every policy decides every route, names what exists, and never comes back to itself.

mod instantiate;
mod parse;
mod possible;
mod print;
mod raw;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use crate::bgp::attributes::Community;
use crate::bgp::family::Family;
use crate::bgp::origin_validation::Validity;
use crate::bgp::policy::{CommunityPattern, PrefixRange};

pub use instantiate::Meaning;
pub(crate) use raw::{RawPolicies, RawSets};

/// Named policies, and the named sets they speak of.
#[derive(Clone, PartialEq, Default)]
pub struct Policies {
    policies: BTreeMap<String, Vec<Rule>>,
    prefix_sets: BTreeMap<String, Vec<PrefixRange>>,
    asn_sets: BTreeMap<String, Vec<RangeInclusive<u32>>>,
}

impl Policies {
    /// The names of the policies, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.policies.keys().map(String::as_str)
    }

    /// The reasons for which a policy, and those it applies, refuses routes: each once, in order.
    pub fn reasons(&self, name: &str) -> BTreeSet<&str> {
        let rules = self.reached(name).into_iter().flat_map(|(_, rules)| rules);
        let reasons = rules.filter_map(|rule| match &rule.end {
            Some(End::Reject(reason)) => Some(reason.as_str()),
            _ => None,
        });
        reasons.collect()
    }

    /// The first condition in a policy, or in one it applies, that holds or not for what Microsoft has concluded: the name
    /// of the policy it is in, and the condition as it is written.
    fn asked_of_edges<'a>(&'a self, name: &str) -> Option<(&'a str, String)> {
        self.reached(name).into_iter().find_map(|(name, rules)| {
            let mut conditions = rules.iter().flat_map(|rule| &rule.when);
            Some((name, conditions.find_map(Condition::asked_of_edges)?))
        })
    }

    /// A policy and those it applies, each once, with their rules.
    fn reached<'a>(&'a self, name: &str) -> Vec<(&'a str, &'a [Rule])> {
        let mut reached: Vec<(&'a str, &'a [Rule])> = Vec::new();
        let mut waiting = vec![name];
        while let Some(name) = waiting.pop() {
            let new = reached.iter().all(|(known, _)| *known != name);
            let Some((name, rules)) = self.policies.get_key_value(name).filter(|_| new) else {
                continue;
            };
            reached.push((name, rules));
            waiting.extend(rules.iter().filter_map(|rule| match &rule.end {
                Some(End::Apply(other)) => Some(other.as_str()),
                _ => None,
            }));
        }
        reached
    }
}

/// The names alone; [`fmt::Display`] has it all.
impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.policies.keys()).finish()
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    /// All of these must hold.
    when: Vec<Condition>,
    /// In the order in which they are made.
    change: Vec<Change>,
    /// Where it ends; `None` goes on with the next rule.
    end: Option<End>,
}

/// The end of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Accept,
    Reject(String),
    /// Another policy decides.
    Apply(String),
}

/// Something that holds for a route or does not.
#[derive(Debug, Clone, PartialEq)]
enum Condition {
    If(Circumstance),
    Family(Family),
    Prefix(Vec<Prefixes>),
    PrefixLength(RangeInclusive<u8>),
    PathLength(RangeInclusive<usize>),
    PathContains(Vec<Asns>),
    Origin(Vec<Asns>),
    Community(Vec<CommunityPattern>),
    Rpki(Vec<Rpki>),
    /// Not all of these hold.
    Not(Vec<Condition>),
    /// All of one of these hold.
    Any(Vec<Vec<Condition>>),
}

/// Something that is so for a while, whatever the route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Circumstance {
    /// The connection exchanges no routes yet (BGP-07).
    Inactive,
    /// The switch `rpki` says that invalid routes are dropped (E-21).
    RpkiDropInvalid,
    /// The switch `rpki` says that routes which are not valid are dropped (E-21).
    RpkiRequireValid,
}

impl Circumstance {
    const NAMES: [(&str, Circumstance); 3] = [
        ("inactive", Circumstance::Inactive),
        ("rpki-drop-invalid", Circumstance::RpkiDropInvalid),
        ("rpki-require-valid", Circumstance::RpkiRequireValid),
    ];
}

/// Prefixes: those of a range, or of a set with a name.
#[derive(Debug, Clone, PartialEq)]
enum Prefixes {
    Range(PrefixRange),
    Set(String),
}

/// AS numbers: a range, or a set with a name.
#[derive(Debug, Clone, PartialEq)]
enum Asns {
    Range(RangeInclusive<u32>),
    Set(String),
}

impl Condition {
    /// What in it only Microsoft's edges can answer, as it is written.
    fn asked_of_edges(&self) -> Option<String> {
        match self {
            Condition::If(_) => Some(print::condition(self)),
            Condition::Prefix(list) => list.iter().find_map(|one| match one {
                Prefixes::Set(name) if OF_EDGES.contains(&name.as_str()) => {
                    Some(format!("prefix = \"{name}\""))
                }
                _ => None,
            }),
            Condition::Not(inner) => inner.iter().find_map(Condition::asked_of_edges),
            Condition::Any(list) => list.iter().flatten().find_map(Condition::asked_of_edges),
            _ => None,
        }
    }
}

/// What the RPKI says (RFC 6811): `invalid` is either kind of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rpki {
    Is(Validity),
    Invalid,
}

impl Rpki {
    const NAMES: [(&str, Rpki); 5] = [
        ("valid", Rpki::Is(Validity::Valid)),
        ("invalid", Rpki::Invalid),
        ("invalid-as", Rpki::Is(Validity::InvalidAs)),
        ("invalid-length", Rpki::Is(Validity::InvalidLength)),
        ("not-found", Rpki::Is(Validity::NotFound)),
    ];
}

/// A change of a route's attributes.
#[derive(Debug, Clone, PartialEq)]
enum Change {
    SetCommunities(Vec<Community>),
    RemoveCommunities(Vec<CommunityPattern>),
    AddCommunities(Vec<Community>),
    LocalPreference(u32),
    /// `None` removes it.
    Med(Option<u32>),
    /// The router's own AS number, so many times.
    PrependOwn(u8),
    /// These, the nearest first.
    Prepend(Vec<u32>),
}

/// Sets of prefixes that need not be written, and what is in them.
pub const PREFIX_SETS: [(&str, &str); 6] = [
    ("bogons", "what IANA has set aside and nobody may announce"),
    ("peer", "the prefixes of the topology's endpoints"),
    ("microsoft", "Microsoft's aggregates in the lab"),
    (
        "activated-in-primary",
        "activated here, the primary location of their service",
    ),
    (
        "activated-in-backup",
        "activated here, the backup location of their service",
    ),
    (
        "activated-elsewhere",
        "activated under a service that has no location here",
    ),
];

/// Those of them that say what Microsoft has concluded.
const OF_EDGES: [&str; 3] = [
    "activated-in-primary",
    "activated-in-backup",
    "activated-elsewhere",
];

/// Sets of AS numbers that need not be written, and what is in them.
pub const ASN_SETS: [(&str, &str); 4] = [
    ("private", "for private use (RFC 6996)"),
    (
        "special",
        "reserved, and for documentation where that is not public",
    ),
    ("peer", "the peer's own"),
    ("microsoft", "8075, and 8068, 8069 and 12076 (FLT-05)"),
];

#[cfg(test)]
mod tests;
