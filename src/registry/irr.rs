//! An Internet Routing Registry as it is asked: routes by prefix and origin, AS numbers, and sets of them.
//!
//! Classes with a meaning here: `route`, `route6`, `aut-num`, `as-set` (RFC 2622, RFC 4012). Others are kept to be counted
//! and served. When several registries have an object of the same key, all are kept, in the order of the registries' names.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use super::rpsl::{self, Mistake, Object, Wrong};

/// Sets inside sets, at most so many deep. Real ones have about ten.
const DEEPEST: usize = 64;

/// A `route` or `route6` object: `origin` may originate `prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteObject {
    /// The prefix.
    pub prefix: IpNet,
    /// The AS that may originate it.
    pub origin: u32,
    /// The registry that says so, in upper case.
    pub source: Option<String>,
    /// The whole object.
    pub object: Arc<Object>,
}

/// An `aut-num` object: somebody registered this AS number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutNum {
    /// The AS number.
    pub asn: u32,
    /// Its `as-name`.
    pub name: Option<String>,
    /// The registry that has it, in upper case.
    pub source: Option<String>,
    /// The whole object.
    pub object: Arc<Object>,
}

/// An `as-set` object: a name for AS numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsSet {
    /// Its name in upper case, hierarchical or not: `AS64500:AS-CUSTOMERS`.
    pub name: String,
    /// AS numbers and other sets, in order.
    pub members: Vec<Member>,
    /// Whether objects may also join it by naming it (`mbrs-by-ref`), which is not followed.
    pub by_reference: bool,
    /// The registry that has it, in upper case.
    pub source: Option<String>,
    /// The whole object.
    pub object: Arc<Object>,
}

/// A member of an as-set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// An AS number.
    As(u32),
    /// A set, in upper case.
    Set(String),
}

/// An as-set with the sets inside it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expansion {
    /// All AS numbers.
    pub asns: BTreeSet<u32>,
    /// The sets that were looked into, the first one included.
    pub sets: BTreeSet<String>,
    /// Names of sets that no registry has.
    pub missing: BTreeSet<String>,
    /// Sets that contain themselves, directly or through others.
    pub loops: BTreeSet<String>,
    /// Sets that others may join by `mbrs-by-ref`: their members may be more.
    pub by_reference: BTreeSet<String>,
    /// Sets too deep inside others to be looked into.
    pub too_deep: BTreeSet<String>,
}

/// The objects of one or several registries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Irr {
    ipv4: PrefixMap<Ipv4Net, Vec<RouteObject>>,
    ipv6: PrefixMap<Ipv6Net, Vec<RouteObject>>,
    prefixes_of: BTreeMap<u32, BTreeSet<IpNet>>,
    aut_nums: BTreeMap<u32, Vec<AutNum>>,
    as_sets: BTreeMap<String, Vec<AsSet>>,
    /// By class, key and registry.
    others: BTreeMap<(String, String, Option<String>), Arc<Object>>,
}

impl Irr {
    /// Reads a text of RPSL objects: those that are right, and what is wrong with the rest.
    pub fn read(text: &str) -> (Irr, Vec<Mistake>) {
        let (objects, mut mistakes) = rpsl::read(text);
        let mut irr = Irr::default();
        for object in objects {
            mistakes.extend(irr.insert(object));
        }
        mistakes.sort_by_key(|mistake| mistake.line);
        (irr, mistakes)
    }

    /// Adds an object, in place of one with the same key from the same registry. Returns what is wrong with it: a set is
    /// added without the members that are wrong, another object not at all.
    pub fn insert(&mut self, object: Object) -> Vec<Mistake> {
        let object = Arc::new(object);
        let mut mistakes = Vec::new();
        let added = match object.class() {
            "route" | "route6" => route(object).map(|route| self.insert_route(route)),
            "aut-num" => aut_num(object).map(|aut_num| self.insert_aut_num(aut_num)),
            "as-set" => as_set(object, &mut mistakes).map(|set| self.insert_as_set(set)),
            _ => {
                self.insert_other(object);
                Ok(())
            }
        };
        mistakes.extend(added.err());
        mistakes
    }

    /// Adds all objects of another answer, which win over those with the same key from the same registry.
    pub fn merge(&mut self, other: Irr) {
        let Irr {
            ipv4,
            ipv6,
            prefixes_of: _,
            aut_nums,
            as_sets,
            others,
        } = other;
        let routes = ipv4.into_values().chain(ipv6.into_values()).flatten();
        routes.for_each(|route| self.insert_route(route));
        let aut_nums = aut_nums.into_values().flatten();
        aut_nums.for_each(|aut_num| self.insert_aut_num(aut_num));
        let as_sets = as_sets.into_values().flatten();
        as_sets.for_each(|set| self.insert_as_set(set));
        self.others.extend(others);
    }

    /// The object of an AS number, from the registry whose name comes first.
    pub fn aut_num(&self, asn: u32) -> Option<&AutNum> {
        self.aut_nums.get(&asn)?.first()
    }

    /// Whether some registry has the AS number: an `aut-num` object, or a route object with this origin.
    pub fn knows_origin(&self, asn: u32) -> bool {
        self.aut_nums.contains_key(&asn) || self.prefixes_of.contains_key(&asn)
    }

    /// The route objects of exactly this prefix.
    pub fn route_objects(&self, prefix: impl Into<IpNet>) -> &[RouteObject] {
        let routes = match prefix.into().trunc() {
            IpNet::V4(prefix) => self.ipv4.get(&prefix),
            IpNet::V6(prefix) => self.ipv6.get(&prefix),
        };
        routes.map_or(&[], Vec::as_slice)
    }

    /// The route objects of this prefix and of those that cover it, shortest first.
    pub fn covering_routes(&self, prefix: Ipv4Net) -> impl Iterator<Item = &RouteObject> {
        self.ipv4.cover_values(&prefix).flatten()
    }

    /// The route objects with this origin, by prefix, IPv4 first.
    pub fn originated_by(&self, asn: u32) -> impl Iterator<Item = &RouteObject> {
        let prefixes = self.prefixes_of.get(&asn).into_iter().flatten();
        prefixes
            .flat_map(|prefix| self.route_objects(*prefix))
            .filter(move |route| route.origin == asn)
    }

    /// A set by its name in any case, from the registry whose name comes first.
    pub fn as_set(&self, name: &str) -> Option<&AsSet> {
        self.as_sets.get(&name.to_ascii_uppercase())?.first()
    }

    /// The AS numbers of a set and of the sets inside it. Sets may contain each other.
    pub fn expand_as_set(&self, name: &str) -> Expansion {
        let mut found = Expansion::default();
        // The way down to where we are: each set with the members still to look at.
        let mut path: Vec<(&AsSet, std::slice::Iter<Member>)> = Vec::new();
        let mut next = Some(name.to_ascii_uppercase());
        loop {
            if let Some(name) = next.take() {
                match self.as_set(&name) {
                    None => {
                        found.missing.insert(name);
                    }
                    Some(_) if path.iter().any(|(set, _)| set.name == name) => {
                        found.loops.insert(name);
                    }
                    Some(_) if found.sets.contains(&name) => {}
                    Some(_) if path.len() == DEEPEST => {
                        found.too_deep.insert(name);
                    }
                    Some(set) => {
                        if set.by_reference {
                            found.by_reference.insert(name.clone());
                        }
                        found.sets.insert(name);
                        path.push((set, set.members.iter()));
                    }
                }
            }
            match path.last_mut() {
                None => break,
                Some((_, members)) => match members.next() {
                    Some(Member::As(asn)) => {
                        found.asns.insert(*asn);
                    }
                    Some(Member::Set(inner)) => next = Some(inner.clone()),
                    None => {
                        path.pop();
                    }
                },
            }
        }
        // A set that was too deep on one way may have been near enough on another.
        found.too_deep = &found.too_deep - &found.sets;
        found
    }

    /// Every object: routes by prefix, then AS numbers, then sets, then those of other classes.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        let routes = self.ipv4.values().chain(self.ipv6.values()).flatten();
        let aut_nums = self.aut_nums.values().flatten();
        let as_sets = self.as_sets.values().flatten();
        routes
            .map(|route| &route.object)
            .chain(aut_nums.map(|aut_num| &aut_num.object))
            .chain(as_sets.map(|set| &set.object))
            .chain(self.others.values())
            .map(Arc::as_ref)
    }

    /// How many objects there are of each class.
    pub fn count(&self) -> BTreeMap<&str, usize> {
        let mut classes = BTreeMap::new();
        for object in self.objects() {
            *classes.entry(object.class()).or_default() += 1;
        }
        classes
    }

    /// The registries named in the objects, in upper case.
    pub fn sources(&self) -> BTreeSet<String> {
        self.objects().filter_map(Object::source).collect()
    }

    fn insert_route(&mut self, route: RouteObject) {
        let prefixes = self.prefixes_of.entry(route.origin).or_default();
        prefixes.insert(route.prefix);
        let there = match route.prefix {
            IpNet::V4(prefix) => self.ipv4.entry(prefix).or_default(),
            IpNet::V6(prefix) => self.ipv6.entry(prefix).or_default(),
        };
        put(there, route, |a, b| {
            (a.origin, &a.source).cmp(&(b.origin, &b.source))
        });
    }

    fn insert_aut_num(&mut self, aut_num: AutNum) {
        let there = self.aut_nums.entry(aut_num.asn).or_default();
        put(there, aut_num, |a, b| a.source.cmp(&b.source));
    }

    fn insert_as_set(&mut self, set: AsSet) {
        let there = self.as_sets.entry(set.name.clone()).or_default();
        put(there, set, |a, b| a.source.cmp(&b.source));
    }

    fn insert_other(&mut self, object: Arc<Object>) {
        let key = (object.class().to_owned(), object.key(), object.source());
        self.others.insert(key, object);
    }
}

/// Puts an item into an ordered list, in place of an equal one.
fn put<T>(list: &mut Vec<T>, item: T, order: impl Fn(&T, &T) -> Ordering) {
    match list.binary_search_by(|there| order(there, &item)) {
        Ok(index) => list[index] = item,
        Err(index) => list.insert(index, item),
    }
}

impl fmt::Display for Irr {
    /// RPSL, an empty line between objects.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, object) in self.objects().enumerate() {
            let between = if index == 0 { "" } else { "\n" };
            write!(f, "{between}{object}")?;
        }
        Ok(())
    }
}

fn route(object: Arc<Object>) -> Result<RouteObject, Mistake> {
    let wrong = |expected| value_wrong(object.line(), object.key(), expected);
    let prefix = match (object.class(), object.key().parse()) {
        ("route", Ok(prefix @ IpNet::V4(_))) | ("route6", Ok(prefix @ IpNet::V6(_))) => prefix,
        ("route", _) => return Err(wrong("an IPv4 prefix")),
        _ => return Err(wrong("an IPv6 prefix")),
    };
    if prefix != prefix.trunc() {
        return Err(wrong("a prefix without host bits"));
    }
    let Some(attribute) = object.first("origin") else {
        return Err(Mistake {
            line: object.line(),
            wrong: Wrong::Missing {
                class: object.class().to_owned(),
                key: object.key(),
                attribute: "origin",
            },
        });
    };
    let value = attribute.value();
    let Some(origin) = rpsl::as_number(&value) else {
        return Err(as_number_wrong(attribute.line, value));
    };
    Ok(RouteObject {
        prefix,
        origin,
        source: object.source(),
        object,
    })
}

fn aut_num(object: Arc<Object>) -> Result<AutNum, Mistake> {
    let Some(asn) = rpsl::as_number(&object.key()) else {
        return Err(as_number_wrong(object.line(), object.key()));
    };
    Ok(AutNum {
        asn,
        name: object.first("as-name").map(|name| name.value()),
        source: object.source(),
        object,
    })
}

/// The set with the members that are right; the others are `mistakes`.
fn as_set(object: Arc<Object>, mistakes: &mut Vec<Mistake>) -> Result<AsSet, Mistake> {
    let Some(name) = rpsl::as_set_name(&object.key()) else {
        let expected = "the name of an as-set, such as AS64500:AS-CUSTOMERS";
        return Err(value_wrong(object.line(), object.key(), expected));
    };
    let mut members = Vec::new();
    for attribute in object.all("members") {
        let value = attribute.value();
        let names = value
            .split([',', ' ', '\t'])
            .filter(|name| !name.is_empty());
        for name in names {
            let number = rpsl::as_number(name).map(Member::As);
            let member = number.or_else(|| rpsl::as_set_name(name).map(Member::Set));
            let expected = "an AS number or the name of an as-set";
            match member {
                Some(member) => members.push(member),
                None => mistakes.push(value_wrong(attribute.line, name, expected)),
            }
        }
    }
    Ok(AsSet {
        name,
        members,
        by_reference: object.first("mbrs-by-ref").is_some(),
        source: object.source(),
        object,
    })
}

fn value_wrong(line: usize, text: impl Into<String>, expected: &'static str) -> Mistake {
    let text = text.into();
    let wrong = Wrong::Value { text, expected };
    Mistake { line, wrong }
}

fn as_number_wrong(line: usize, text: String) -> Mistake {
    value_wrong(line, text, "an AS number, such as AS64500")
}

#[cfg(test)]
mod tests;
