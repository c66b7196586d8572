//! From a policy as written to what a router evaluates, with what its names mean at the moment.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{Asns, Change, Circumstance, Condition, End, Policies, Prefixes, Rpki};
use crate::bgp::origin_validation::{Validity, VrpTable};
use crate::bgp::policy::{self, AsnRanges, Match, Policy, PrefixRange, PrefixSet, Verdict};

/// What the names of policies mean at the moment. A set that is not here is empty.
#[derive(Debug, Clone, Default)]
pub struct Meaning {
    /// The AS number of the router whose policy it is.
    pub own_asn: u32,
    /// What is so now.
    pub circumstances: BTreeSet<Circumstance>,
    /// By the names of [`PREFIX_SETS`](super::PREFIX_SETS).
    pub prefixes: BTreeMap<&'static str, Vec<PrefixRange>>,
    /// By the names of [`ASN_SETS`](super::ASN_SETS).
    pub asns: BTreeMap<&'static str, Vec<RangeInclusive<u32>>>,
    /// What the RPKI says, if it says anything.
    pub vrps: Option<Arc<VrpTable>>,
}

impl Policies {
    /// The policy of a name as a router evaluates it; one that does not exist refuses everything.
    pub fn instantiate(&self, name: &str, meaning: &Meaning) -> Policy {
        let mut maker = Maker {
            policies: self,
            meaning,
            rules: Vec::new(),
        };
        let otherwise = maker.policy(name, &[]);
        Policy {
            vrps: meaning.vrps.clone(),
            own_asn: Some(meaning.own_asn),
            otherwise: otherwise.unwrap_or(Verdict::Reject(policy::DENY_ALL.into())),
            rules: maker.rules,
        }
    }
}

/// What conditions come to once it is known what the names mean.
enum Holds {
    Always,
    Never,
    When(Match),
}

struct Maker<'a> {
    policies: &'a Policies,
    meaning: &'a Meaning,
    rules: Vec<policy::Rule>,
}

impl Maker<'_> {
    /// Adds the rules of a policy, each only where all of `around` holds; gives the verdict on what comes to its end.
    fn policy(&mut self, name: &str, around: &[Match]) -> Option<Verdict> {
        for rule in self.policies.policies.get(name)? {
            let Some(mut when) = self.all(&rule.when) else {
                continue;
            };
            let always = when.is_empty();
            when.splice(0..0, around.iter().cloned());
            let change: Vec<policy::Change> =
                rule.change.iter().flat_map(|c| self.change(c)).collect();
            let verdict = match &rule.end {
                Some(End::Accept) => Some(Verdict::Accept),
                Some(End::Reject(reason)) => Some(Verdict::Reject(reason.clone().into())),
                Some(End::Apply(other)) => {
                    if !change.is_empty() {
                        self.rules.push(policy::Rule::set(when.clone(), change));
                    }
                    let last = self.policy(other, &when);
                    if always {
                        return last;
                    }
                    self.rules.push(policy::Rule {
                        when,
                        change: Vec::new(),
                        verdict: last,
                    });
                    continue;
                }
                None => None,
            };
            if always && verdict.is_some() {
                if !change.is_empty() {
                    self.rules.push(policy::Rule::set(when, change));
                }
                return verdict;
            }
            self.rules.push(policy::Rule {
                when,
                change,
                verdict,
            });
        }
        None
    }

    /// The matches that remain of conditions which must all hold; `None` when they cannot.
    fn all(&self, conditions: &[Condition]) -> Option<Vec<Match>> {
        let mut matches = Vec::new();
        for condition in conditions {
            match self.condition(condition) {
                Holds::Always => {}
                Holds::Never => return None,
                Holds::When(of) => matches.push(of),
            }
        }
        Some(matches)
    }

    fn condition(&self, of: &Condition) -> Holds {
        Holds::When(match of {
            Condition::If(circumstance) => {
                return match self.meaning.circumstances.contains(circumstance) {
                    true => Holds::Always,
                    false => Holds::Never,
                };
            }
            Condition::Family(family) => Match::Family(*family),
            Condition::Prefix(list) => Match::Prefix(Arc::new(self.prefixes(list))),
            Condition::PrefixLength(range) => Match::PrefixLength(range.clone()),
            Condition::PathLength(range) => Match::PathLength(range.clone()),
            Condition::PathContains(list) => Match::PathContains(self.asns(list)),
            Condition::Origin(list) => Match::Origin(self.asns(list)),
            Condition::Community(list) => any(list.iter().copied().map(Match::Community)),
            Condition::Rpki(list) => any(list.iter().flat_map(validities).map(Match::Rpki)),
            Condition::Not(inner) => {
                return match self.all(inner) {
                    None => Holds::Always,
                    Some(matches) if matches.is_empty() => Holds::Never,
                    Some(matches) => Holds::When(Match::Not(Box::new(all(matches)))),
                };
            }
            Condition::Any(list) => {
                let possible: Vec<_> = list.iter().filter_map(|inner| self.all(inner)).collect();
                if possible.is_empty() {
                    return Holds::Never;
                }
                if possible.iter().any(Vec::is_empty) {
                    return Holds::Always;
                }
                any(possible.into_iter().map(all))
            }
        })
    }

    fn prefixes(&self, list: &[Prefixes]) -> PrefixSet {
        let ranges = list.iter().flat_map(|one| match one {
            Prefixes::Range(range) => std::slice::from_ref(range),
            Prefixes::Set(name) => {
                let own = self.policies.prefix_sets.get(name);
                let set = own.or_else(|| self.meaning.prefixes.get(name.as_str()));
                set.map_or(&[][..], Vec::as_slice)
            }
        });
        ranges.cloned().collect()
    }

    fn asns(&self, list: &[Asns]) -> AsnRanges {
        let ranges = list.iter().flat_map(|one| match one {
            Asns::Range(range) => std::slice::from_ref(range),
            Asns::Set(name) => {
                let own = self.policies.asn_sets.get(name);
                let set = own.or_else(|| self.meaning.asns.get(name.as_str()));
                set.map_or(&[][..], Vec::as_slice)
            }
        });
        ranges.cloned().collect()
    }

    fn change(&self, of: &Change) -> Vec<policy::Change> {
        match of {
            Change::SetCommunities(list) => vec![policy::Change::SetCommunities(list.clone())],
            Change::RemoveCommunities(list) => {
                let list = list.iter().copied();
                list.map(policy::Change::RemoveCommunity).collect()
            }
            Change::AddCommunities(list) => {
                let list = list.iter().copied();
                list.map(policy::Change::AddCommunity).collect()
            }
            Change::LocalPreference(value) => vec![policy::Change::LocalPref(*value)],
            Change::Med(med) => vec![policy::Change::Med(*med)],
            Change::PrependOwn(times) => {
                vec![policy::Change::Prepend(self.meaning.own_asn, *times)]
            }
            // Each is put in front of what is there, so the nearest comes last.
            Change::Prepend(asns) => {
                let asns = asns.iter().rev();
                asns.map(|asn| policy::Change::Prepend(*asn, 1)).collect()
            }
        }
    }
}

fn validities(of: &Rpki) -> Vec<Validity> {
    match of {
        Rpki::Is(validity) => vec![*validity],
        Rpki::Invalid => vec![Validity::InvalidAs, Validity::InvalidLength],
    }
}

/// One match as itself, several as one of which one must hold.
fn any(matches: impl Iterator<Item = Match>) -> Match {
    let mut matches: Vec<Match> = matches.collect();
    match matches.len() {
        1 => matches.remove(0),
        _ => Match::Any(matches),
    }
}

fn all(mut matches: Vec<Match>) -> Match {
    match matches.len() {
        1 => matches.remove(0),
        _ => Match::All(matches),
    }
}
