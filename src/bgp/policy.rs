//! Import and export policy of a session: ordered rules, as plain data that prints like a configuration.
//!
//! A rule applies when all its matches hold. What it changes is noted, and if it has a verdict the rules after it
//! are not looked at; if none has, [`Policy::otherwise`] is the verdict. Matches see the route as it came, whatever
//! earlier rules change; the changes are made, in their order, once the route is accepted. So what comes out for a
//! route depends on its attributes and on which rules applied, and routes that share both share the result
//! ([`Shapes`]).
//!
//! An AS_SET is nothing a policy can match: such a route was treated as withdrawn before (RFC 9774, [`AS_SET`]).
//!
//! **Invariant:** a set of prefixes is looked up, never scanned.

mod community;
mod prefix_set;
mod print;

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;

pub use community::{CommunityPattern, WELL_KNOWN};
pub use prefix_set::{PrefixRange, PrefixSet};

use super::attributes::{Attributes, Community};
use super::family::Family;
use super::hash::Map;
use super::origin_validation::{Validity, VrpTable};

/// Why a route is refused: a stable name in kebab-case, for example `rpki-invalid`.
pub type Reason = Cow<'static, str>;

/// The policy lets nothing through.
pub const DENY_ALL: &str = "deny-all";
/// The path has an AS_SET or AS_CONFED_SET, so the route was treated as withdrawn (RFC 9774).
pub const AS_SET: &str = "as-set";
/// An attribute is malformed, so the route was treated as withdrawn (RFC 7606).
pub const MALFORMED: &str = "malformed-attribute";
/// The receiver's own AS is in the path (RFC 4271, section 9).
pub const OWN_AS: &str = "own-as-in-path";
/// The next hop is an address of the receiver (RFC 4271, sections 5.1.3 and 6.3).
pub const OWN_NEXT_HOP: &str = "own-next-hop";
/// The next hop cannot be reached, so the route is ignored until it can (RFC 4271, sections 6.3 and 9.1.2.1).
pub const NEXT_HOP_UNREACHABLE: &str = "next-hop-unreachable";
/// A provider's, peer's or route server's route where none may come from (RFC 9234, section 5).
pub const ROUTE_LEAK: &str = "route-leak-otc";

/// What is done to the routes of a session in one direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Tried in order.
    pub rules: Vec<Rule>,
    /// For routes no rule decides.
    pub otherwise: Verdict,
    /// What [`Match::Rpki`] asks; without it nothing is found, as in an empty table.
    pub vrps: Option<Arc<VrpTable>>,
    /// The router's AS: to [`Match::Rpki`] the origin of an empty path (RFC 6811, section 2; RFC 8893), which has none
    /// without it.
    pub own_asn: Option<u32>,
}

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// All of these must hold; none means always.
    pub when: Vec<Match>,
    /// What it changes in the route.
    pub change: Vec<Change>,
    /// Where it ends; `None` goes on with the next rule.
    pub verdict: Option<Verdict>,
}

/// The end of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The route is used, or announced.
    Accept,
    /// It is not.
    Reject(Reason),
}

/// Something that holds for a route or does not.
#[derive(Debug, Clone, PartialEq)]
pub enum Match {
    /// Its prefix is of this family.
    Family(Family),
    /// Its prefix is in the set.
    Prefix(Arc<PrefixSet>),
    /// Its prefix is that long.
    PrefixLength(RangeInclusive<u8>),
    /// Its AS path has so many ASes, repeated ones counted.
    PathLength(RangeInclusive<usize>),
    /// An AS of one of the ranges is in its AS path.
    PathContains(AsnRanges),
    /// The last AS of its path is in one of the ranges. The origin of an empty path is none.
    Origin(AsnRanges),
    /// It has this community, or one of these.
    Community(CommunityPattern),
    /// The RPKI says so about its prefix and origin (RFC 6811).
    Rpki(Validity),
    /// This does not hold.
    Not(Box<Match>),
    /// One of these holds.
    Any(Vec<Match>),
    /// All of these hold.
    All(Vec<Match>),
}

/// Ranges of AS numbers.
pub type AsnRanges = Arc<[RangeInclusive<u32>]>;

/// A change of a route's attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// LOCAL_PREF.
    LocalPref(u32),
    /// MULTI_EXIT_DISC; `None` removes it.
    Med(Option<u32>),
    /// These communities, and no others of any kind.
    SetCommunities(Vec<Community>),
    /// Adds a community, if the route does not have it.
    AddCommunity(Community),
    /// Removes a community, or all of these.
    RemoveCommunity(CommunityPattern),
    /// Puts an AS number in front of the path, so many times.
    Prepend(u32, u8),
}

impl Default for Policy {
    /// Accepts everything as it is.
    fn default() -> Policy {
        Policy::new(Vec::new(), Verdict::Accept)
    }
}

impl Policy {
    /// These rules, without RPKI.
    pub fn new(rules: Vec<Rule>, otherwise: Verdict) -> Policy {
        Policy {
            rules,
            otherwise,
            vrps: None,
            own_asn: None,
        }
    }

    /// Refuses everything: `reject deny-all`.
    pub fn deny_all() -> Policy {
        Policy::new(Vec::new(), Verdict::Reject(Reason::Borrowed(DENY_ALL)))
    }

    /// Whether it accepts everything as it is.
    pub fn accepts_all(&self) -> bool {
        self.rules.is_empty() && self.otherwise == Verdict::Accept
    }

    /// Whether it depends on what the RPKI says.
    pub fn asks_rpki(&self) -> bool {
        let mut matches = self.rules.iter().flat_map(|rule| &rule.when);
        matches.any(Match::asks_rpki)
    }

    /// The route as this policy lets it through.
    ///
    /// # Errors
    /// The reason why it does not.
    pub fn evaluate(
        &self,
        prefix: impl Into<IpNet>,
        attributes: &Attributes,
    ) -> Result<Attributes, &Reason> {
        let prefix = prefix.into();
        let mut rules = Vec::new();
        self.decide(prefix, attributes, &mut rules)?;
        let applied = Applied {
            policy: self,
            rules: &rules,
        };
        let mut shaped = attributes.clone();
        applied.change(&mut shaped);
        Ok(shaped)
    }

    /// Notes which rules that change something apply, as long as none refuses the route.
    fn decide(
        &self,
        prefix: IpNet,
        attributes: &Attributes,
        applied: &mut Vec<usize>,
    ) -> Result<(), &Reason> {
        applied.clear();
        let mut verdict = &self.otherwise;
        for (index, rule) in self.rules.iter().enumerate() {
            if !rule.when.iter().all(|m| self.holds(m, prefix, attributes)) {
                continue;
            }
            if !rule.change.is_empty() {
                applied.push(index);
            }
            if let Some(end) = &rule.verdict {
                verdict = end;
                break;
            }
        }
        match verdict {
            Verdict::Accept => Ok(()),
            Verdict::Reject(reason) => Err(reason),
        }
    }

    fn holds(&self, of: &Match, prefix: IpNet, attributes: &Attributes) -> bool {
        let path = &attributes.as_path;
        match of {
            Match::Family(family) => Family::of(&prefix) == *family,
            Match::Prefix(set) => set.contains(prefix),
            Match::PrefixLength(lengths) => lengths.contains(&prefix.prefix_len()),
            Match::PathLength(lengths) => lengths.contains(&path.len()),
            Match::PathContains(ranges) => path.iter().any(|&asn| within(ranges, asn)),
            Match::Origin(ranges) => path.last().is_some_and(|&asn| within(ranges, asn)),
            Match::Community(community) => community.is_in(attributes),
            Match::Rpki(validity) => {
                let vrps = self.vrps.as_ref();
                let origin = path.last().copied().or(self.own_asn);
                let state = |vrps: &Arc<VrpTable>| vrps.state(prefix, origin);
                vrps.map_or(Validity::NotFound, state) == *validity
            }
            Match::Not(other) => !self.holds(other, prefix, attributes),
            Match::Any(list) => list.iter().any(|m| self.holds(m, prefix, attributes)),
            Match::All(list) => list.iter().all(|m| self.holds(m, prefix, attributes)),
        }
    }
}

impl Match {
    fn asks_rpki(&self) -> bool {
        match self {
            Match::Rpki(_) => true,
            Match::Not(other) => other.asks_rpki(),
            Match::Any(list) | Match::All(list) => list.iter().any(Match::asks_rpki),
            _ => false,
        }
    }
}

impl Rule {
    /// Refuses what matches.
    pub fn reject(when: Vec<Match>, reason: impl Into<Reason>) -> Rule {
        Rule {
            when,
            change: Vec::new(),
            verdict: Some(Verdict::Reject(reason.into())),
        }
    }

    /// Accepts what matches, changed like this.
    pub fn accept(when: Vec<Match>, change: Vec<Change>) -> Rule {
        Rule {
            when,
            change,
            verdict: Some(Verdict::Accept),
        }
    }

    /// Changes what matches, and goes on.
    pub fn set(when: Vec<Match>, change: Vec<Change>) -> Rule {
        Rule {
            when,
            change,
            verdict: None,
        }
    }
}

impl Change {
    fn make(&self, attributes: &mut Attributes) {
        match self {
            Change::LocalPref(preference) => attributes.local_pref = Some(*preference),
            Change::Med(med) => attributes.med = *med,
            Change::SetCommunities(communities) => {
                attributes.communities.clear();
                attributes.extended_communities.clear();
                attributes.large_communities.clear();
                for community in communities {
                    attributes.add_community(*community);
                }
            }
            Change::AddCommunity(community) => attributes.add_community(*community),
            Change::RemoveCommunity(community) => community.remove_from(attributes),
            Change::Prepend(asn, times) => {
                let more = std::iter::repeat_n(*asn, usize::from(*times));
                attributes.as_path.splice(0..0, more);
            }
        }
    }
}

fn within(ranges: &[RangeInclusive<u32>], asn: u32) -> bool {
    ranges.iter().any(|range| range.contains(&asn))
}

/// What came out of a policy for many routes: those that share their attributes and the rules that applied share it.
///
/// Good for one policy, and one way to make attributes of what it lets through.
#[derive(Debug, Default)]
pub struct Shapes {
    /// The one asked for last: routes with the same attributes come in a row.
    last: Option<Shape>,
    /// Those before, by address of the set a route came with and the rules that applied.
    before: Map<(usize, Box<[usize]>), Shape>,
    applied: Vec<usize>,
}

/// A result, and what it was made of.
#[derive(Debug)]
struct Shape {
    /// Kept alive here, so that its address is nobody else's.
    came: Arc<Attributes>,
    rules: Box<[usize]>,
    made: Arc<Attributes>,
}

/// The rules of a policy that apply to a route it accepts, and change it.
#[derive(Debug, Clone, Copy)]
pub struct Applied<'p> {
    policy: &'p Policy,
    rules: &'p [usize],
}

impl Applied<'_> {
    /// Whether the route stays as it came.
    pub fn is_nothing(&self) -> bool {
        self.rules.is_empty()
    }

    /// Makes the changes.
    pub fn change(&self, attributes: &mut Attributes) {
        let rules = self.rules.iter();
        let rules = rules.filter_map(|&index| self.policy.rules.get(index));
        for change in rules.flat_map(|rule| &rule.change) {
            change.make(attributes);
        }
    }
}

impl Shapes {
    /// The route as the policy lets it through, by `make` where it was not made before.
    ///
    /// # Errors
    /// The reason why the policy does not let it through.
    pub fn shape<'p>(
        &mut self,
        policy: &'p Policy,
        prefix: IpNet,
        came: &Arc<Attributes>,
        make: impl FnOnce(Applied<'_>) -> Arc<Attributes>,
    ) -> Result<Arc<Attributes>, &'p Reason> {
        policy.decide(prefix, came, &mut self.applied)?;
        let rules = self.applied.as_slice();
        if let Some(last) = &self.last
            && Arc::ptr_eq(&last.came, came)
            // Not as slices: memcmp of two empty ones, the usual case, loads from no address, which a CPU masks as slowly as it misses
            // its cache.
            && last.rules.iter().eq(rules)
        {
            return Ok(last.made.clone());
        }
        if let Some(last) = self.last.take() {
            let key = (Arc::as_ptr(&last.came) as usize, last.rules.clone());
            self.before.insert(key, last);
        }
        let known = self
            .before
            .remove(&(Arc::as_ptr(came) as usize, rules.into()));
        let shape = known.unwrap_or_else(|| Shape {
            came: came.clone(),
            rules: rules.into(),
            made: make(Applied { policy, rules }),
        });
        Ok(self.last.insert(shape).made.clone())
    }
}

#[cfg(test)]
mod tests;
