//! Policies as TOML, as a person would write them: one rule a line. Read again, they are the same.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;

use super::{Asns, Change, Circumstance, Condition, End, Policies, Prefixes, Rpki, Rule};
use crate::bgp::family::Family;

impl Display for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.prefix_sets.is_empty() {
            writeln!(f, "[prefix-set]")?;
        }
        for (name, ranges) in &self.prefix_sets {
            writeln!(f, "{name} = [{}]", quoted(ranges))?;
        }
        if !self.asn_sets.is_empty() {
            writeln!(f, "[asn-set]")?;
        }
        for (name, ranges) in &self.asn_sets {
            let ranges: Vec<String> = ranges.iter().map(number).collect();
            writeln!(f, "{name} = [{}]", ranges.join(", "))?;
        }
        if !self.policies.is_empty() {
            writeln!(f, "[policy]")?;
        }
        for (name, rules) in &self.policies {
            writeln!(f, "{name} = [")?;
            for rule in rules {
                writeln!(f, "    {rule},")?;
            }
            writeln!(f, "]")?;
        }
        Ok(())
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut keys = conditions(&self.when);
        keys.extend(self.change.iter().map(change));
        keys.extend(self.end.as_ref().map(|end| match end {
            End::Accept => "accept = true".to_owned(),
            End::Reject(reason) => format!("reject = \"{reason}\""),
            End::Apply(name) => format!("apply = \"{name}\""),
        }));
        write!(f, "{{ {} }}", keys.join(", "))
    }
}

fn conditions(all: &[Condition]) -> Vec<String> {
    all.iter().map(condition).collect()
}

pub(super) fn condition(of: &Condition) -> String {
    match of {
        Condition::If(circumstance) => {
            let name = name_of(circumstance, &Circumstance::NAMES);
            format!("if = \"{name}\"")
        }
        Condition::Family(Family::Ipv4Unicast) => "family = \"ipv4\"".to_owned(),
        Condition::Family(Family::Ipv6Unicast) => "family = \"ipv6\"".to_owned(),
        Condition::Prefix(list) => format!("prefix = [{}]", quoted(list)),
        Condition::PrefixLength(range) => format!("prefix-length = {}", number(range)),
        Condition::PathLength(range) if *range.end() >= u32::MAX as usize => {
            format!("as-path-length = \"{}..\"", range.start())
        }
        Condition::PathLength(range) => format!("as-path-length = {}", number(range)),
        Condition::PathContains(list) => format!("as-path-contains = [{}]", asns(list)),
        Condition::Origin(list) => format!("origin-asn = [{}]", asns(list)),
        Condition::Community(list) => format!("community = [{}]", quoted(list)),
        Condition::Rpki(list) => {
            let names: Vec<&str> = list.iter().map(|r| name_of(r, &Rpki::NAMES)).collect();
            format!("rpki = [{}]", quoted(&names))
        }
        Condition::Not(inner) => format!("not = {{ {} }}", conditions(inner).join(", ")),
        Condition::Any(list) => {
            let list: Vec<String> = list
                .iter()
                .map(|inner| format!("{{ {} }}", conditions(inner).join(", ")))
                .collect();
            format!("any = [{}]", list.join(", "))
        }
    }
}

fn change(of: &Change) -> String {
    match of {
        Change::SetCommunities(list) => format!("set-communities = [{}]", quoted(list)),
        Change::RemoveCommunities(list) => format!("remove-communities = [{}]", quoted(list)),
        Change::AddCommunities(list) => format!("add-communities = [{}]", quoted(list)),
        Change::LocalPreference(value) => format!("local-preference = {value}"),
        Change::Med(Some(med)) => format!("med = {med}"),
        Change::Med(None) => "med = \"remove\"".to_owned(),
        Change::PrependOwn(times) => format!("prepend = {times}"),
        Change::Prepend(asns) => {
            let asns: Vec<String> = asns.iter().map(ToString::to_string).collect();
            format!("prepend = [{}]", asns.join(", "))
        }
    }
}

impl Display for Prefixes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Prefixes::Range(range) => range.fmt(f),
            Prefixes::Set(name) => f.write_str(name),
        }
    }
}

fn name_of<'a, T: PartialEq>(value: &T, names: &[(&'a str, T)]) -> &'a str {
    let found = names.iter().find(|(_, named)| named == value);
    found.map_or("", |(name, _)| name)
}

fn quoted<T: Display>(list: &[T]) -> String {
    let list: Vec<String> = list.iter().map(|one| format!("\"{one}\"")).collect();
    list.join(", ")
}

fn asns(list: &[Asns]) -> String {
    let list: Vec<String> = list
        .iter()
        .map(|one| match one {
            Asns::Range(range) => number(range),
            Asns::Set(name) => format!("\"{name}\""),
        })
        .collect();
    list.join(", ")
}

/// `24`, or `"25..32"`.
fn number<T: Display + PartialEq>(range: &RangeInclusive<T>) -> String {
    match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("\"{}..{}\"", range.start(), range.end()),
    }
}
