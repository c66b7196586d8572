//! From rules as TOML has them to the model, with every mistake at its place.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::raw::{RawPolicies, RawRule, RawSets};
use super::text::{self, Wrong};
use super::{
    ASN_SETS, Asns, Change, Circumstance, Condition, End, PREFIX_SETS, Policies, Prefixes, Rpki,
    Rule,
};
use crate::bgp::family::Family;
use crate::source::{Located, Mistakes, Names, Numbers, Span, Words};

/// Rules that a policy comes to at most, with those it applies.
const MOST_RULES: usize = 10_000;
/// AS numbers put in front of a path at most.
const MOST_PREPENDED: usize = 32;

impl Policies {
    /// These policies, and those of a file, which stand instead of any of the same name.
    pub(crate) fn with(
        &self,
        policies: &RawPolicies,
        prefix_sets: &RawSets,
        asn_sets: &RawSets,
        mistakes: &mut Mistakes,
    ) -> Policies {
        let mut all = self.clone();
        for (name, set) in &prefix_sets.0 {
            let ranges = values(&set.value, set.span, text::prefix_range, mistakes);
            if named("set of prefixes", name, &PREFIX_SETS, mistakes) {
                all.prefix_sets.insert(name.value.clone(), ranges);
            }
        }
        for (name, set) in &asn_sets.0 {
            let ranges = values(&set.value, set.span, text::asn_range, mistakes);
            if named("set of AS numbers", name, &ASN_SETS, mistakes) {
                all.asn_sets.insert(name.value.clone(), ranges);
            }
        }
        // All names first: a policy may apply one that stands below it.
        let names: Vec<String> = (policies.names().chain(self.names()))
            .map(str::to_owned)
            .collect();
        for (name, rules) in &policies.0 {
            named("policy", name, &[], mistakes);
            let mut parser = Parser {
                all: &all,
                names: &names,
                mistakes,
            };
            let rules = parser.policy(name, rules);
            all.policies.insert(name.value.clone(), rules);
        }
        for (name, _) in &policies.0 {
            all.ends(name, mistakes);
        }
        all
    }

    /// Whether there is a policy of this name; if not, a mistake.
    pub(crate) fn knows(&self, name: &Located<String>, mistakes: &mut Mistakes) -> bool {
        mistakes.known(name, "policy", self.names())
    }

    /// Whether a router of the peer can have the policy of this name: there is one, and it asks nothing that only Microsoft's
    /// edges can answer. If not, a mistake.
    pub(crate) fn suits_peer(&self, name: &Located<String>, mistakes: &mut Mistakes) -> bool {
        if !self.knows(name, mistakes) {
            return false;
        }
        let Some((asking, what)) = self.asked_of_edges(&name.value) else {
            return true;
        };
        let message = format!("the policy `{}` is one for Microsoft's edges", name.value);
        let label = match asking == name.value {
            true => format!("it asks `{what}`, which a router of the peer does not know"),
            false => format!(
                "`{asking}`, which it applies, asks `{what}`, which a router of the peer does not know"
            ),
        };
        let help = "name a policy without this condition: what Microsoft has concluded is known to its edges alone";
        mistakes.push(mistakes.error(name.span, message, label).help(help));
        false
    }

    /// A policy that applies itself, or too many others, is a mistake.
    fn ends(&self, name: &Located<String>, mistakes: &mut Mistakes) {
        let mut way = Vec::new();
        match self.rules_of(&name.value, &mut way, &mut BTreeMap::new()) {
            Ok(rules) if rules <= MOST_RULES => {}
            Ok(_) => {
                let message = format!("the policy `{}` is too long", name.value);
                let label = format!("more than {MOST_RULES} rules, with those it applies");
                mistakes.push(mistakes.error(name.span, message, label));
            }
            Err(()) => {
                let message = format!("the policy `{}` applies itself", name.value);
                let label = way.join(" → ");
                mistakes.push(mistakes.error(name.span, message, label));
            }
        }
    }

    /// The number of its rules, with those it applies; an error when it comes back to one on the `way`.
    fn rules_of<'a>(
        &'a self,
        name: &'a str,
        way: &mut Vec<&'a str>,
        known: &mut BTreeMap<&'a str, usize>,
    ) -> Result<usize, ()> {
        if let Some(count) = known.get(name) {
            return Ok(*count);
        }
        let circle = way.contains(&name);
        way.push(name);
        if circle {
            return Err(());
        }
        let mut count = 0_usize;
        for rule in self.policies.get(name).into_iter().flatten() {
            count += 1;
            if let Some(End::Apply(other)) = &rule.end {
                count = count.saturating_add(self.rules_of(other, way, known)?);
            }
        }
        way.pop();
        known.insert(name, count);
        Ok(count)
    }
}

/// Whether it is a name of lower-case letters, digits and hyphens, and none of those there are anyway; if not, a mistake.
fn named(
    kind: &str,
    name: &Located<String>,
    taken: &[(&str, &str)],
    mistakes: &mut Mistakes,
) -> bool {
    if let Some((_, what)) = taken.iter().find(|(taken, _)| *taken == name.value) {
        let message = format!("there is a {kind} `{}` already", name.value);
        let diagnostic = mistakes.error(name.span, message, "choose another name");
        mistakes.push(diagnostic.note(format!("`{}`: {what}", name.value)));
        return false;
    }
    if !is_kebab(&name.value) {
        let message = format!("`{}` is not a name for a {kind}", name.value);
        let label = "lower-case letters, digits and hyphens between them";
        mistakes.push(mistakes.error(name.span, message, label));
        return false;
    }
    true
}

fn is_kebab(text: &str) -> bool {
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.ends_with(outer)
        && text.chars().all(|c| outer(c) || c == '-')
}

/// Every value that is right; a mistake for every other one, and for none.
fn values<T>(
    words: &Words,
    span: Span,
    value: fn(&str) -> Result<T, Wrong>,
    mistakes: &mut Mistakes,
) -> Vec<T> {
    bare(listed(words.located(span), span, value, mistakes))
}

fn texts<T>(
    names: &Names,
    span: Span,
    value: fn(&str) -> Result<T, Wrong>,
    mistakes: &mut Mistakes,
) -> Vec<T> {
    bare(listed(names.located(span), span, value, mistakes))
}

fn bare<T>(values: Vec<Located<T>>) -> Vec<T> {
    values.into_iter().map(|one| one.value).collect()
}

fn listed<T>(
    words: Vec<Located<String>>,
    span: Span,
    value: fn(&str) -> Result<T, Wrong>,
    mistakes: &mut Mistakes,
) -> Vec<Located<T>> {
    if words.is_empty() && !mistakes.is_struck(span, None) {
        mistakes.push(mistakes.error(span, "the list is empty", "at least one"));
    }
    let mut right = Vec::new();
    for word in words {
        match value(&word.value) {
            Ok(value) => right.push(Located {
                value,
                span: word.span,
            }),
            Err(wrong) => {
                let mut diagnostic = mistakes.error(word.span, wrong.message, wrong.label);
                if let Some(instead) = wrong.instead {
                    let quoted = mistakes.quoted_like(word.span, &instead);
                    diagnostic =
                        diagnostic.replace(format!("write `{instead}`"), word.span, quoted);
                }
                mistakes.push(diagnostic);
            }
        }
    }
    right
}

struct Parser<'a> {
    all: &'a Policies,
    names: &'a [String],
    mistakes: &'a mut Mistakes,
}

impl Parser<'_> {
    fn wrong(&mut self, span: Span, message: impl Into<String>, label: impl Into<String>) {
        let diagnostic = self.mistakes.error(span, message, label);
        self.mistakes.push(diagnostic);
    }

    fn policy(&mut self, name: &Located<String>, raw: &[Located<RawRule>]) -> Vec<Rule> {
        let mut ended: Option<Span> = None;
        // What a key that was told already would have said.
        let mut unclear = self.mistakes.is_struck(name.span, None);
        let mut rules = Vec::new();
        for rule in raw {
            if let Some(end) = ended {
                let diagnostic = (self.mistakes)
                    .error(
                        rule.span,
                        "this rule is never reached",
                        "no route comes here",
                    )
                    .at(
                        &Arc::clone(self.mistakes.source()),
                        end,
                        "decides all routes",
                    );
                self.mistakes.push(diagnostic);
                break;
            }
            let parsed = self.rule(rule);
            unclear |= self.mistakes.is_struck(rule.span, None);
            if !has_condition(&rule.value) && parsed.end.is_some() && !unclear {
                ended = Some(rule.span);
            }
            rules.push(parsed);
        }
        if ended.is_none() && !unclear {
            let message = format!("the policy `{}` leaves routes undecided", name.value);
            let diagnostic = (self.mistakes)
                .error(
                    name.span,
                    message,
                    "its last rule has to hold for all routes",
                )
                .help("end it with `{ accept = true }` or `{ reject = \"…\" }`");
            self.mistakes.push(diagnostic);
        }
        rules
    }

    fn rule(&mut self, raw: &Located<RawRule>) -> Rule {
        let rule = Rule {
            when: self.conditions(&raw.value),
            change: self.changes(&raw.value),
            end: self.end(raw),
        };
        let acts = has_action(&raw.value);
        if !acts && !self.mistakes.is_struck(raw.span, None) {
            let diagnostic = (self.mistakes)
                .error(raw.span, "the rule does nothing", "what becomes of the route?")
                .help("add `accept = true`, `reject = \"…\"`, or a change such as `local-preference = 100`");
            self.mistakes.push(diagnostic);
        }
        rule
    }

    fn end(&mut self, raw: &Located<RawRule>) -> Option<End> {
        let RawRule {
            accept,
            reject,
            apply,
            ..
        } = &raw.value;
        let spans = [
            accept.as_ref().map(|key| key.span),
            reject.as_ref().map(|key| key.span),
            apply.as_ref().map(|key| key.span),
        ];
        let mut given = spans.into_iter().flatten();
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let diagnostic = (self.mistakes)
                .error(second, "a rule ends in one way", "this")
                .at(&Arc::clone(self.mistakes.source()), first, "or this");
            self.mistakes.push(diagnostic);
        }
        if let Some(accept) = accept {
            if !accept.value {
                let message = "a route that is not accepted is refused for a reason";
                self.wrong(accept.span, message, "write `reject = \"…\"` instead");
            }
            return Some(End::Accept);
        }
        if let Some(reason) = reject {
            if !is_kebab(&reason.value) {
                let message = format!("`{}` is not a name for a reason", reason.value);
                let label = "lower-case letters, digits and hyphens, such as `not-our-customer`";
                self.wrong(reason.span, message, label);
            }
            return Some(End::Reject(reason.value.clone()));
        }
        let other = apply.as_ref()?;
        let names = self.names.iter().map(String::as_str);
        self.mistakes.known(other, "policy", names);
        Some(End::Apply(other.value.clone()))
    }

    fn conditions(&mut self, raw: &RawRule) -> Vec<Condition> {
        let mut when = Vec::new();
        if let Some(key) = &raw.circumstance {
            let names = Circumstance::NAMES;
            let of = self.one_of(key, "circumstance", &names);
            when.extend(of.map(Condition::If));
        }
        if let Some(key) = &raw.family {
            let names = [("ipv4", Family::Ipv4Unicast), ("ipv6", Family::Ipv6Unicast)];
            let family = self.one_of(key, "family", &names);
            when.extend(family.map(Condition::Family));
        }
        if let Some(key) = &raw.prefix {
            let words = key.value.located(key.span);
            let prefixes = listed(words, key.span, text::prefixes, self.mistakes);
            for one in &prefixes {
                if let Prefixes::Set(name) = &one.value {
                    let own = self.all.prefix_sets.keys();
                    self.set("set of prefixes", name, one.span, &PREFIX_SETS, own);
                }
            }
            when.push(Condition::Prefix(bare(prefixes)));
        }
        if let Some(key) = &raw.prefix_length {
            let longest = match raw.family.as_ref().map(|family| family.value.as_str()) {
                Some("ipv4") => 32,
                _ => 128,
            };
            let lengths = self.range(&key.value.0, key.span, longest, "prefix length");
            let lengths = lengths.map(|range| *range.start() as u8..=*range.end() as u8);
            when.extend(lengths.map(Condition::PrefixLength));
        }
        if let Some(key) = &raw.as_path_length {
            let lengths = self.range(&key.value.0, key.span, u32::MAX, "path length");
            let lengths = lengths.map(|range| *range.start() as usize..=*range.end() as usize);
            when.extend(lengths.map(Condition::PathLength));
        }
        if let Some(key) = &raw.as_path_contains {
            when.push(Condition::PathContains(self.asns(key)));
        }
        if let Some(key) = &raw.origin_asn {
            when.push(Condition::Origin(self.asns(key)));
        }
        if let Some(key) = &raw.community {
            let of = texts(&key.value, key.span, text::community, self.mistakes);
            when.push(Condition::Community(of));
        }
        if let Some(key) = &raw.rpki {
            let states = key.value.located(key.span);
            let states = states
                .iter()
                .map(|state| self.one_of(state, "state", &Rpki::NAMES));
            let states: Vec<Rpki> = states.flatten().collect();
            when.push(Condition::Rpki(states));
        }
        if let Some(key) = &raw.not {
            when.push(Condition::Not(self.inner(key, "not")));
        }
        if let Some(key) = &raw.any {
            if key.value.is_empty() && !self.mistakes.is_struck(key.span, None) {
                self.wrong(key.span, "the list is empty", "at least one");
            }
            let of = key.value.iter().map(|one| self.inner(one, "any"));
            when.push(Condition::Any(of.collect()));
        }
        self.all.tell_contradiction(raw, &when, self.mistakes);
        when
    }

    /// Conditions inside `not` or `any`.
    fn inner(&mut self, raw: &Located<RawRule>, key: &str) -> Vec<Condition> {
        let when = self.conditions(&raw.value);
        if has_action(&raw.value) {
            let message = format!("`{key}` says what holds, not what is done");
            self.wrong(raw.span, message, "only matches here");
        } else if when.is_empty() && !self.mistakes.is_struck(raw.span, None) {
            self.wrong(raw.span, format!("`{key}` is empty"), "nothing to match");
        }
        when
    }

    fn asns(&mut self, key: &Located<Words>) -> Vec<Asns> {
        let words = key.value.located(key.span);
        let asns = listed(words, key.span, text::asns, self.mistakes);
        for one in &asns {
            if let Asns::Set(name) = &one.value {
                let own = self.all.asn_sets.keys();
                self.set("set of AS numbers", name, one.span, &ASN_SETS, own);
            }
        }
        bare(asns)
    }

    /// A set of this name is there anyway, or in the file.
    fn set<'s>(
        &mut self,
        kind: &str,
        name: &str,
        span: Span,
        anyway: &[(&'s str, &str)],
        own: impl Iterator<Item = &'s String>,
    ) {
        let name = Located {
            value: name.to_owned(),
            span,
        };
        let names = anyway.iter().map(|(name, _)| *name);
        let names: Vec<&str> = names.chain(own.map(String::as_str)).collect();
        self.mistakes.known(&name, kind, names);
    }

    fn range(
        &mut self,
        text: &str,
        span: Span,
        largest: u32,
        what: &str,
    ) -> Option<RangeInclusive<u32>> {
        let range = text::range(text, largest);
        if range.is_none() {
            let label = match largest {
                u32::MAX => "a number, or a range such as `4..` or `1..3`".to_owned(),
                _ => format!("a number up to {largest}, or a range such as `25..` or `25..32`"),
            };
            self.wrong(span, format!("`{text}` is not a {what}"), label);
        }
        range
    }

    fn one_of<T: Copy>(
        &mut self,
        name: &Located<String>,
        kind: &str,
        of: &[(&str, T)],
    ) -> Option<T> {
        let found = of.iter().find(|(known, _)| *known == name.value);
        if found.is_none() {
            let names = of.iter().map(|(name, _)| *name);
            self.mistakes.known(name, kind, names);
        }
        found.map(|(_, value)| *value)
    }

    /// In the order in which they are made.
    fn changes(&mut self, raw: &RawRule) -> Vec<Change> {
        let mut change = Vec::new();
        if let Some(key) = &raw.set_communities {
            // An empty list is no mistake here: the route has none then.
            let list = key.value.located(key.span);
            let list = match list.is_empty() {
                true => Vec::new(),
                false => texts(&key.value, key.span, text::one_community, self.mistakes),
            };
            change.push(Change::SetCommunities(list));
        }
        if let Some(key) = &raw.remove_communities {
            let list = texts(&key.value, key.span, text::community, self.mistakes);
            change.push(Change::RemoveCommunities(list));
        }
        if let Some(key) = &raw.add_communities {
            let list = texts(&key.value, key.span, text::one_community, self.mistakes);
            change.push(Change::AddCommunities(list));
        }
        change.extend(
            raw.local_preference
                .map(|key| Change::LocalPreference(key.value)),
        );
        if let Some(key) = &raw.med {
            match key.value.0.as_str() {
                "remove" => change.push(Change::Med(None)),
                number => match number.parse() {
                    Ok(med) => change.push(Change::Med(Some(med))),
                    Err(_) => {
                        let message = format!("`{number}` is not a MED");
                        self.wrong(
                            key.span,
                            message,
                            "a number up to 4294967295, or \"remove\"",
                        );
                    }
                },
            }
        }
        if let Some(key) = &raw.prepend {
            change.extend(self.prepend(key));
        }
        change
    }

    fn prepend(&mut self, key: &Located<Numbers>) -> Option<Change> {
        let (count, change) = match &key.value {
            Numbers::One(times) => {
                let own = u8::try_from(*times).map(Change::PrependOwn);
                (*times as usize, own.ok())
            }
            Numbers::Several(asns) => {
                if let Some((asn, source)) = unusable(asns) {
                    let message = format!("AS {asn} cannot be in a path");
                    self.wrong(key.span, message, source);
                    return None;
                }
                (asns.len(), Some(Change::Prepend(asns.clone())))
            }
        };
        if !(1..=MOST_PREPENDED).contains(&count) {
            let message = "the path cannot be prepended so many times";
            let label = format!("1 to {MOST_PREPENDED} times, or a list of so many AS numbers");
            self.wrong(key.span, message, label);
            return None;
        }
        change
    }
}

/// The first AS number of these that no path may have, and who says so.
fn unusable(asns: &[u32]) -> Option<(u32, &'static str)> {
    let reserved = [
        (
            0,
            "AS 0 stands for no AS, and a route with it is refused (RFC 7607): name another",
        ),
        (
            23456,
            "AS_TRANS stands for numbers that an old speaker cannot read (RFC 6793): name the AS itself",
        ),
    ];
    reserved.into_iter().find(|(asn, _)| asns.contains(asn))
}

fn has_condition(raw: &RawRule) -> bool {
    raw.circumstance.is_some()
        || raw.family.is_some()
        || raw.prefix.is_some()
        || raw.prefix_length.is_some()
        || raw.as_path_length.is_some()
        || raw.as_path_contains.is_some()
        || raw.origin_asn.is_some()
        || raw.community.is_some()
        || raw.rpki.is_some()
        || raw.not.is_some()
        || raw.any.is_some()
}

fn has_action(raw: &RawRule) -> bool {
    raw.set_communities.is_some()
        || raw.remove_communities.is_some()
        || raw.add_communities.is_some()
        || raw.local_preference.is_some()
        || raw.med.is_some()
        || raw.prepend.is_some()
        || raw.accept.is_some()
        || raw.reject.is_some()
        || raw.apply.is_some()
}
