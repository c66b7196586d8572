//! What a registry answers: IRRd's queries and RIPE's flags, from the objects of an [`Irr`].
//!
//! Understood are the queries that routers' tools (bgpq4, IRRToolSet) send; others are refused with a reason. Both kinds
//! may come on one connection.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::wire::Reply;
use crate::registry::irr::{Irr, Member};
use crate::registry::rpsl::{Object, as_number};

/// A connection on which nothing is asked for so long is closed; `!t` changes it.
const IDLE: Duration = Duration::from_secs(30);

/// The connection of one asker.
#[derive(Debug)]
pub struct Conversation {
    /// More questions may follow (`!!`, `-k`).
    keep: bool,
    /// The registries that were chosen (`!s`, `-s`), in upper case and order; all when empty.
    sources: Vec<String>,
    /// How long to wait for the next question.
    pub idle: Duration,
}

/// An answer, and whether another question may follow it.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// To be written.
    pub text: String,
    /// Keep the connection.
    pub more: bool,
}

impl Default for Conversation {
    fn default() -> Conversation {
        Conversation {
            keep: false,
            sources: Vec::new(),
            idle: IDLE,
        }
    }
}

impl Conversation {
    /// Answers a line.
    pub fn hear(&mut self, irr: &Irr, line: &str) -> Said {
        let line = line.trim();
        match line.strip_prefix('!') {
            Some("q" | "e") => Said {
                text: String::new(),
                more: false,
            },
            Some("!") => {
                self.keep = true;
                Said {
                    text: String::new(),
                    more: true,
                }
            }
            Some(query) => {
                let text = match self.irrd(irr, query) {
                    Ok(Some(text)) if !text.is_empty() => Reply::Text(text).write(),
                    Ok(Some(_)) => Reply::Nothing.write(),
                    Ok(None) => "C\n".to_owned(),
                    Err(words) => Reply::Refused(words).write(),
                };
                Said {
                    text,
                    more: self.keep,
                }
            }
            None => {
                let text = match self.whois(irr, line) {
                    Ok(text) if text.is_empty() => {
                        "%  No entries found for the selected source(s).".to_owned()
                    }
                    Ok(text) => text,
                    Err(words) => format!("%% {words}"),
                };
                Said {
                    text: format!("{}\n\n\n", text.trim_end()),
                    more: self.keep,
                }
            }
        }
    }

    /// One of IRRd's queries: text, which is empty when the key does not exist; or nothing to say.
    fn irrd(&mut self, irr: &Irr, query: &str) -> Result<Option<String>, String> {
        let (command, parameter) = query.split_at_checked(1).ok_or("Missing IRRD command")?;
        let text = match command {
            "v" => format!("IRRd -- version 4 (peerlab {})", env!("CARGO_PKG_VERSION")),
            "n" => return Ok(None),
            "t" => {
                let seconds = parameter.parse().ok().filter(|s| (1..=1000).contains(s));
                let wrong = || format!("Invalid value for timeout: {parameter}");
                self.idle = Duration::from_secs(seconds.ok_or_else(wrong)?);
                return Ok(None);
            }
            "s" if parameter == "-lc" => match self.sources.is_empty() {
                true => Vec::from_iter(irr.sources()).join(","),
                false => self.sources.join(","),
            },
            "s" => {
                self.choose(irr, parameter)?;
                return Ok(None);
            }
            "j" => {
                let lines = irr.sources().into_iter().map(|name| format!("{name}:N:-"));
                Vec::from_iter(lines).join("\n")
            }
            "g" => self.originated(irr, [asn(parameter)?], Some(false)),
            "6" => self.originated(irr, [asn(parameter)?], Some(true)),
            // This very text tells bgpq4 that the query is known.
            "a" if parameter.is_empty() => {
                return Err("Missing required set name for A query".to_owned());
            }
            "a" => {
                let (name, ipv6) = match parameter.split_at_checked(1) {
                    Some(("4", name)) => (name, Some(false)),
                    Some(("6", name)) => (name, Some(true)),
                    _ => (parameter, None),
                };
                self.originated(irr, irr.expand_as_set(name).asns, ipv6)
            }
            "i" => match parameter.strip_suffix(",1") {
                Some(name) => {
                    let asns = irr.expand_as_set(name).asns.into_iter();
                    words(asns.map(|asn| format!("AS{asn}")))
                }
                None => {
                    let set = irr
                        .as_set(parameter)
                        .filter(|set| self.has(set.source.as_deref()));
                    words(
                        set.iter()
                            .flat_map(|set| &set.members)
                            .map(|member| match member {
                                Member::As(asn) => format!("AS{asn}"),
                                Member::Set(name) => name.clone(),
                            }),
                    )
                }
            },
            "m" => {
                let (class, key) = parameter
                    .split_once(',')
                    .ok_or_else(|| format!("Invalid argument for object lookup: {parameter}"))?;
                let key = key.replace([' ', '-'], "");
                let found = self.objects(irr).filter(|object| {
                    object.class().eq_ignore_ascii_case(class)
                        && primary_key(object)
                            .replace([' ', '-'], "")
                            .eq_ignore_ascii_case(&key)
                });
                let rank = |object: &&Object| {
                    let source = object.source().unwrap_or_default();
                    self.sources.iter().position(|chosen| *chosen == source)
                };
                found
                    .min_by_key(rank)
                    .map(Object::to_string)
                    .unwrap_or_default()
            }
            "o" => texts(
                self.objects(irr)
                    .filter(|object| names(object, "mnt-by", parameter)),
            ),
            "r" => {
                let (prefix, option) = match parameter.split_once(',') {
                    Some((prefix, option)) => (prefix, option),
                    None => (parameter, ""),
                };
                let prefix = prefix_of(prefix)?;
                let found = self.routes(irr, prefix);
                match option {
                    "" => texts(found.exact()),
                    "o" => {
                        let origins = found.exact().filter_map(|object| object.first("origin"));
                        let origins = origins.map(|origin| origin.value().to_ascii_uppercase());
                        words(BTreeSet::from_iter(origins))
                    }
                    "l" => texts(found.one_less_specific()),
                    "L" => texts(found.less_specific()),
                    "M" => texts(found.more_specific()),
                    other => return Err(format!("Invalid route search option: {other}")),
                }
            }
            other => return Err(format!("Unrecognised command: {}", other.escape_debug())),
        };
        Ok(Some(text))
    }

    /// A line of flags and a word to search for: objects, or empty.
    fn whois(&mut self, irr: &Irr, line: &str) -> Result<String, String> {
        let mut rest = line.split_whitespace();
        let mut classes = Vec::new();
        let mut keys_only = false;
        let mut found = None;
        while let Some(flag) = rest.next() {
            let mut value = || {
                rest.next()
                    .ok_or_else(|| format!("Missing argument for {flag}"))
            };
            match flag {
                "-k" => self.keep = true,
                "-K" => keys_only = true,
                "-a" => self.sources.clear(),
                "-s" => self.choose(irr, value()?)?,
                "-V" => drop(value()?),
                "-T" => {
                    let value = value()?.to_ascii_lowercase();
                    classes = value.split(',').map(str::to_owned).collect();
                }
                "-l" | "-L" | "-M" | "-x" => {
                    let routes = self.routes(irr, prefix_of(value()?)?);
                    found = Some(match flag {
                        "-l" => routes.one_less_specific().collect(),
                        "-L" => routes.less_specific().collect(),
                        "-M" => routes.more_specific().collect(),
                        _ => routes.exact().collect(),
                    });
                }
                "-i" => {
                    let (attributes, wanted) = (value()?.to_ascii_lowercase(), value()?);
                    let matches = |object: &&Object| {
                        let mut attributes = attributes.split(',');
                        attributes.any(|attribute| names(object, attribute, wanted))
                    };
                    found = Some(self.objects(irr).filter(matches).collect::<Vec<_>>());
                }
                // How much RIPE tells about persons and with which remarks: there are none here.
                _ if flag.strip_prefix('-').is_some_and(is_of_no_consequence) => {}
                _ if flag.starts_with('-') => {
                    return Err(format!("Unrecognised flag: {}", flag.escape_debug()));
                }
                word => found = Some(self.named(irr, word)),
            }
        }
        let wanted =
            |object: &&Object| classes.is_empty() || classes.iter().any(|c| c == object.class());
        let found = found.unwrap_or_default().into_iter().filter(wanted);
        Ok(if keys_only {
            Vec::from_iter(found.map(keys)).join("\n")
        } else {
            texts(found)
        })
    }

    /// What a word without a flag finds.
    fn named<'a>(&self, irr: &'a Irr, word: &str) -> Vec<&'a Object> {
        match word
            .parse::<IpNet>()
            .or_else(|_| word.parse::<IpAddr>().map(IpNet::from))
        {
            Ok(prefix) => self.routes(irr, prefix).less_specific().collect(),
            Err(_) => {
                let is_it = |object: &&Object| object.key().eq_ignore_ascii_case(word);
                self.objects(irr).filter(is_it).collect()
            }
        }
    }

    fn choose(&mut self, irr: &Irr, list: &str) -> Result<(), String> {
        let chosen: Vec<String> = list
            .to_ascii_uppercase()
            .split(',')
            .map(str::to_owned)
            .collect();
        let known = irr.sources();
        if chosen.iter().any(|name| !known.contains(name)) {
            return Err("One or more selected sources are unavailable.".to_owned());
        }
        self.sources = chosen;
        Ok(())
    }

    fn has(&self, source: Option<&str>) -> bool {
        self.sources.is_empty()
            || source.is_some_and(|source| self.sources.iter().any(|s| s == source))
    }

    fn objects<'a>(&self, irr: &'a Irr) -> impl Iterator<Item = &'a Object> {
        irr.objects()
            .filter(|object| self.sources.is_empty() || self.has(object.source().as_deref()))
    }

    /// The prefixes with these origins; of both families with `None`.
    fn originated(
        &self,
        irr: &Irr,
        asns: impl IntoIterator<Item = u32>,
        ipv6: Option<bool>,
    ) -> String {
        let routes = asns.into_iter().flat_map(|asn| irr.originated_by(asn));
        let routes = routes.filter(|route| self.has(route.source.as_deref()));
        let prefixes = routes.map(|route| route.prefix);
        let wanted = prefixes
            .filter(|prefix| ipv6.is_none_or(|ipv6| matches!(prefix, IpNet::V6(_)) == ipv6));
        words(BTreeSet::from_iter(wanted).iter().map(IpNet::to_string))
    }

    fn routes<'a>(&self, irr: &'a Irr, prefix: IpNet) -> Routes<'a> {
        let routes = self
            .objects(irr)
            .filter(|object| matches!(object.class(), "route" | "route6"));
        let with_prefix = routes.filter_map(|object| Some((object.key().parse().ok()?, object)));
        Routes {
            prefix,
            near: with_prefix
                .filter(|(other, _): &(IpNet, _)| other.contains(&prefix) || prefix.contains(other))
                .collect(),
        }
    }
}

/// Route objects that cover a prefix or are inside it, shortest prefix first.
struct Routes<'a> {
    prefix: IpNet,
    near: Vec<(IpNet, &'a Object)>,
}

impl<'a> Routes<'a> {
    fn with_length(&self, wanted: impl Fn(u8) -> bool) -> impl Iterator<Item = &'a Object> {
        let near = self
            .near
            .iter()
            .filter(move |(other, _)| wanted(other.prefix_len()));
        near.map(|(_, object)| *object)
    }

    fn exact(&self) -> impl Iterator<Item = &'a Object> {
        let own = self.prefix.prefix_len();
        self.with_length(move |length| length == own)
    }

    fn less_specific(&self) -> impl Iterator<Item = &'a Object> {
        let own = self.prefix.prefix_len();
        self.with_length(move |length| length <= own)
    }

    fn one_less_specific(&self) -> impl Iterator<Item = &'a Object> {
        let own = self.prefix.prefix_len();
        let lengths = self.near.iter().map(|(other, _)| other.prefix_len());
        let next = lengths.filter(|length| *length < own).max();
        self.with_length(move |length| Some(length) == next)
    }

    fn more_specific(&self) -> impl Iterator<Item = &'a Object> {
        let own = self.prefix.prefix_len();
        self.with_length(move |length| length > own)
    }
}

/// The key that is unique in a registry: that of a route has its origin.
fn primary_key(object: &Object) -> String {
    match object.first("origin") {
        Some(origin) => object.key() + &origin.value(),
        None => object.key(),
    }
}

/// Whether one of the values of an attribute is this.
fn names(object: &Object, attribute: &str, wanted: &str) -> bool {
    let is_it = |value: String| {
        let mut values = value.split([',', ' ']);
        values.any(|one| one.eq_ignore_ascii_case(wanted))
    };
    object
        .all(attribute)
        .any(|attribute| is_it(attribute.value()))
}

/// An object's key attributes alone, and the members of a set.
fn keys(object: &Object) -> String {
    let shown = object.attributes().iter().enumerate();
    let shown = shown.filter(|(index, attribute)| {
        *index == 0 || matches!(attribute.name.as_str(), "origin" | "members" | "mp-members")
    });
    let line = |attribute: &crate::registry::rpsl::Attribute| {
        let name = format!("{}:", attribute.name);
        format!("{name:<15} {}\n", attribute.value())
    };
    shown.map(|(_, attribute)| line(attribute)).collect()
}

/// Objects with an empty line between.
fn texts<'a>(objects: impl IntoIterator<Item = &'a Object>) -> String {
    let texts = objects.into_iter().map(Object::to_string);
    Vec::from_iter(texts).join("\n")
}

fn words(words: impl IntoIterator<Item = String>) -> String {
    Vec::from_iter(words).join(" ")
}

fn asn(text: &str) -> Result<u32, String> {
    as_number(text).ok_or_else(|| format!("Invalid AS number {}", text.escape_debug()))
}

fn prefix_of(text: &str) -> Result<IpNet, String> {
    let prefix = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let prefix =
        prefix.map_err(|_| format!("Invalid input for route search: {}", text.escape_debug()));
    prefix.map(|prefix: IpNet| prefix.trunc())
}

fn is_of_no_consequence(letters: &str) -> bool {
    !letters.is_empty() && letters.chars().all(|c| "rFBG".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: &str = "\
route: 198.51.0.0/16
origin: AS64500
mnt-by: MAINT-CONTOSO
source: RADB

route: 198.51.100.0/24
origin: AS64500
source: RADB

route: 198.51.100.0/24
origin: AS64501
source: RIPE

route: 198.51.100.128/25
origin: AS64501
source: RADB

route6: 2001:db8::/32
origin: AS64500
source: RIPE

aut-num: AS64500
as-name: CONTOSO
source: RADB

as-set: AS-CONTOSO
members: AS64500, AS64500:AS-CUSTOMERS
source: RADB

as-set: AS64500:AS-CUSTOMERS
members: AS64501, AS-CONTOSO
source: RADB
";

    fn irr() -> Irr {
        let (irr, mistakes) = Irr::read(OBJECTS);
        assert_eq!(mistakes, []);
        irr
    }

    fn irrd(line: &str) -> String {
        Conversation::default().hear(&irr(), line).text
    }

    #[test]
    fn irrd_queries_are_answered() {
        for (query, answer) in [
            (
                "!gAS64500",
                "A29\n198.51.0.0/16 198.51.100.0/24\nC\n".replace("A29", "A30"),
            ),
            (
                "!gas64501",
                "A34\n198.51.100.0/24 198.51.100.128/25\nC\n".to_owned(),
            ),
            ("!6AS64500", "A14\n2001:db8::/32\nC\n".to_owned()),
            ("!gAS64502", "D\n".to_owned()),
            (
                "!iAS-CONTOSO",
                "A29\nAS64500 AS64500:AS-CUSTOMERS\nC\n".to_owned(),
            ),
            (
                "!ias64500:as-customers,1",
                "A16\nAS64500 AS64501\nC\n".to_owned(),
            ),
            ("!iAS-NOBODY,1", "D\n".to_owned()),
            ("!a6AS-CONTOSO", "A14\n2001:db8::/32\nC\n".to_owned()),
            (
                "!r198.51.100.0/24,o",
                "A16\nAS64500 AS64501\nC\n".to_owned(),
            ),
            ("!r192.0.2.0/24,o", "D\n".to_owned()),
            ("!s-lc", "A10\nRADB,RIPE\nC\n".to_owned()),
            ("!sRIPE,RADB", "C\n".to_owned()),
            (
                "!sNTTCOM",
                "F One or more selected sources are unavailable.\n".to_owned(),
            ),
            ("!nbgpq4 1.9", "C\n".to_owned()),
            ("!t120", "C\n".to_owned()),
            ("!t0", "F Invalid value for timeout: 0\n".to_owned()),
            (
                "!r198.51.100.0/24,z",
                "F Invalid route search option: z\n".to_owned(),
            ),
            ("!gCONTOSO", "F Invalid AS number CONTOSO\n".to_owned()),
            ("!z", "F Unrecognised command: z\n".to_owned()),
            ("!", "F Missing IRRD command\n".to_owned()),
            ("!é", "F Missing IRRD command\n".to_owned()),
        ] {
            assert_eq!(irrd(query), answer, "{query}");
        }
    }

    #[test]
    fn route_searches_find_their_levels() {
        let keys = |line: &str| {
            let text = irrd(line);
            let lines = text.lines().filter_map(|line| line.strip_prefix("route:"));
            Vec::from_iter(lines.map(|key| key.trim().to_owned()))
        };
        let (sixteen, own, half) = ("198.51.0.0/16", "198.51.100.0/24", "198.51.100.128/25");
        for (irrd, whois, found) in [
            ("!r198.51.100.0/24", "-x 198.51.100.0/24", &[own, own][..]),
            ("!r198.51.100.0/24,l", "-l 198.51.100.0/24", &[sixteen]),
            (
                "!r198.51.100.0/24,L",
                "-L 198.51.100.0/24",
                &[sixteen, own, own],
            ),
            ("!r198.51.0.0/16,M", "-M 198.51.0.0/16", &[own, own, half]),
            ("!r198.51.100.129/32,l", "-l 198.51.100.129", &[half]),
        ] {
            assert_eq!(keys(irrd), found, "{irrd}");
            assert_eq!(keys(whois), found, "{whois}");
        }
        assert!(irrd("!mroute,198.51.100.0/24-as64501").contains("RIPE"));
        assert!(irrd("!maut-num,AS64500").contains("CONTOSO"));
        assert!(irrd("!oMAINT-CONTOSO").contains("198.51.0.0/16"));
    }

    #[test]
    fn whois_flags_narrow_the_search() {
        let none = "%  No entries found for the selected source(s).\n\n\n";
        assert_eq!(irrd("-T route6 -i origin AS64501"), none);
        assert_eq!(
            irrd("-r -K -T route -i origin AS64500"),
            "route:          198.51.0.0/16\norigin:         AS64500\n\n\
             route:          198.51.100.0/24\norigin:         AS64500\n\n\n"
        );
        assert!(irrd("-T aut-num as64500").contains("as-name:        CONTOSO"));
        assert!(irrd("AS-CONTOSO").contains("members"));
        assert!(irrd("-s RIPE -T route -x 198.51.100.0/24").contains("AS64501"));
        assert!(!irrd("-s RIPE -T route -x 198.51.100.0/24").contains("AS64500"));
        assert_eq!(irrd("-x"), "%% Missing argument for -x\n\n\n");
        assert_eq!(irrd("-z"), "%% Unrecognised flag: -z\n\n\n");
        // Nor does a word that is not ASCII confuse it.
        assert!(irrd("\u{fffd}").ends_with('\n'));
        assert_eq!(irrd(""), none);
    }

    #[test]
    fn a_connection_stays_open_only_when_asked_for() {
        let irr = irr();
        for keep in ["!!", "-k"] {
            let mut conversation = Conversation::default();
            assert!(!conversation.hear(&irr, "!v").more);
            assert!(conversation.hear(&irr, keep).more);
            assert!(conversation.hear(&irr, "!gAS64500").more);
            assert!(conversation.hear(&irr, "-s RIPE AS64500").more);
            assert_eq!(conversation.hear(&irr, "!gAS64500").text, "D\n", "{keep}");
            assert!(!conversation.hear(&irr, "!q").more);
        }
    }

    #[test]
    fn the_first_chosen_source_has_the_object() {
        let (irr, _) = Irr::read("aut-num: AS1\nsource: RADB\n\naut-num: AS1\nsource: RIPE\n");
        let mut conversation = Conversation::default();
        conversation.hear(&irr, "!sRIPE,RADB");
        assert!(
            conversation
                .hear(&irr, "!maut-num,AS1")
                .text
                .contains("RIPE")
        );
        conversation.hear(&irr, "!sRADB,RIPE");
        assert!(
            conversation
                .hear(&irr, "!maut-num,AS1")
                .text
                .contains("RADB")
        );
    }
}
