//! Which questions a registry is asked, and what follows from its answers.
//!
//! One answer leads to more questions: a set to the sets inside it, an origin's prefixes to their route objects.

use std::collections::{BTreeSet, VecDeque};

use ipnet::IpNet;

use super::wire::Reply;
use super::{Dialect, Questions};
use crate::registry::irr::{Irr, Member};
use crate::registry::rpsl;

/// More are not asked.
const MOST: usize = 10_000;
/// Remarks about what could not be read.
const NOTES: usize = 20;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Query {
    /// The object of an AS number.
    AutNum(u32),
    /// The prefixes, or the route objects, with an origin.
    Originated {
        /// The origin.
        asn: u32,
        /// `route6` in place of `route`.
        ipv6: bool,
    },
    /// The route objects of a prefix and of what covers it.
    Covering(IpNet),
    /// The route objects of a prefix.
    Exact(IpNet),
    /// The object of a set, in upper case.
    AsSet(String),
}

impl Query {
    /// The line that asks it, with its line feed.
    pub fn line(&self, dialect: Dialect) -> String {
        let class = |ipv6: bool| if ipv6 { "route6" } else { "route" };
        match (dialect, self) {
            (Dialect::Irrd, Query::AutNum(asn)) => format!("!maut-num,AS{asn}\n"),
            (Dialect::Irrd, Query::Originated { asn, ipv6: false }) => format!("!gAS{asn}\n"),
            (Dialect::Irrd, Query::Originated { asn, ipv6: true }) => format!("!6AS{asn}\n"),
            (Dialect::Irrd, Query::Covering(prefix)) => format!("!r{prefix},L\n"),
            (Dialect::Irrd, Query::Exact(prefix)) => format!("!r{prefix}\n"),
            (Dialect::Irrd, Query::AsSet(name)) => format!("!mas-set,{name}\n"),
            // Without -r, RIPE adds persons to each answer, and counts them.
            (Dialect::Whois, Query::AutNum(asn)) => format!("-r -T aut-num AS{asn}\n"),
            (Dialect::Whois, Query::Originated { asn, ipv6 }) => {
                format!("-r -T {} -i origin AS{asn}\n", class(*ipv6))
            }
            (Dialect::Whois, Query::Covering(prefix)) => {
                let class = class(matches!(prefix, IpNet::V6(_)));
                format!("-r -T {class} -L {prefix}\n")
            }
            (Dialect::Whois, Query::Exact(prefix)) => {
                let class = class(matches!(prefix, IpNet::V6(_)));
                format!("-r -T {class} -x {prefix}\n")
            }
            (Dialect::Whois, Query::AsSet(name)) => format!("-r -T as-set {name}\n"),
        }
    }
}

/// Questions on their way, and the answers so far.
#[derive(Debug)]
pub struct Asking {
    dialect: Dialect,
    queue: VecDeque<Query>,
    asked: BTreeSet<Query>,
    irr: Irr,
    notes: Vec<String>,
}

impl Asking {
    /// Begins with these.
    pub fn new(dialect: Dialect, questions: &Questions) -> Asking {
        let mut asking = Asking {
            dialect,
            queue: VecDeque::new(),
            asked: BTreeSet::new(),
            irr: Irr::default(),
            notes: Vec::new(),
        };
        // Prefixes first: what covers them is then not asked for once more.
        for prefix in &questions.prefixes {
            asking.ask(Query::Covering(prefix.trunc()));
        }
        for asn in &questions.asns {
            asking.ask(Query::AutNum(*asn));
            asking.ask(Query::Originated {
                asn: *asn,
                ipv6: false,
            });
            asking.ask(Query::Originated {
                asn: *asn,
                ipv6: true,
            });
        }
        for name in &questions.as_sets {
            match rpsl::as_set_name(name) {
                Some(name) => asking.ask(Query::AsSet(name)),
                None => asking.note(format!(
                    "`{}` is not the name of an as-set",
                    name.escape_debug()
                )),
            }
        }
        asking
    }

    /// The next question; `None` when the answers to those on their way are needed first, or nothing is left.
    pub fn poll(&mut self) -> Option<Query> {
        self.queue.pop_front()
    }

    /// Takes an answer that is not a refusal.
    pub fn take(&mut self, query: &Query, reply: &Reply) {
        let Reply::Text(text) = reply else { return };
        match query {
            Query::Originated { .. } if self.dialect == Dialect::Irrd => {
                for word in text.split_whitespace() {
                    match word.parse::<IpNet>() {
                        Ok(prefix) => self.exact(prefix.trunc()),
                        Err(_) => self.note(format!("`{}` is not a prefix", word.escape_debug())),
                    }
                }
            }
            Query::AsSet(name) => {
                self.read(text);
                let set = self.irr.as_set(name);
                let members = set.map(|set| set.members.clone()).unwrap_or_default();
                for member in members {
                    if let Member::Set(inner) = member {
                        self.ask(Query::AsSet(inner));
                    }
                }
            }
            Query::AutNum(_) | Query::Originated { .. } | Query::Covering(_) | Query::Exact(_) => {
                self.read(text);
            }
        }
    }

    /// All that was answered, and remarks about what was not understood or not asked.
    pub fn finish(self) -> (Irr, Vec<String>) {
        (self.irr, self.notes)
    }

    fn ask(&mut self, query: Query) {
        if self.asked.len() >= MOST {
            let note = format!("more than {MOST} questions: the others were not asked");
            if self.notes.last() != Some(&note) {
                self.notes.push(note);
            }
        } else if self.asked.insert(query.clone()) {
            self.queue.push_back(query);
        }
    }

    fn exact(&mut self, prefix: IpNet) {
        if !self.asked.contains(&Query::Covering(prefix)) {
            self.ask(Query::Exact(prefix));
        }
    }

    fn read(&mut self, text: &str) {
        let (irr, mistakes) = Irr::read(text);
        self.irr.merge(irr);
        for mistake in mistakes {
            self.note(format!("an object was not understood: {}", mistake.wrong));
        }
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < NOTES {
            self.notes.push(note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Conversation;
    use super::super::wire::{self, Replies};
    use super::*;

    const OBJECTS: &str = "\
route: 198.51.0.0/16
origin: AS64500
source: RADB

route: 198.51.100.0/24
origin: AS64500
source: RADB

route: 203.0.113.0/24
origin: AS64500
source: RADB

route6: 2001:db8::/32
origin: AS64500
source: RADB

aut-num: AS64500
as-name: CONTOSO
source: RADB

as-set: AS-CONTOSO
members: AS64500, AS64500:AS-CUSTOMERS, AS-MISSING
source: RADB

as-set: AS64500:AS-CUSTOMERS
members: AS64501, AS-CONTOSO
source: RADB

aut-num: AS64999
source: RADB

route: 192.0.2.0/24
origin: AS64999
source: RADB
";

    fn questions() -> Questions {
        Questions {
            asns: [64500].into(),
            prefixes: ["198.51.100.0/24".parse().expect("a prefix")].into(),
            as_sets: ["as-contoso".to_owned()].into(),
        }
    }

    /// Asks our registry; the objects and how many questions there were.
    fn asked(dialect: Dialect) -> (Irr, Vec<String>, usize) {
        let (irr, _) = Irr::read(OBJECTS);
        let mut asking = Asking::new(dialect, &questions());
        let mut count = 0;
        while let Some(query) = asking.poll() {
            count += 1;
            let said = Conversation::default()
                .hear(&irr, &query.line(dialect))
                .text;
            let reply = match dialect {
                Dialect::Whois => wire::whois(&said),
                Dialect::Irrd => {
                    let mut replies = Replies::default();
                    replies.push(said.as_bytes());
                    replies.take().expect("an answer").expect("a whole one")
                }
            };
            assert!(!matches!(reply, Reply::Refused(_)), "{query:?}: {reply:?}");
            asking.take(&query, &reply);
        }
        let (irr, notes) = asking.finish();
        (irr, notes, count)
    }

    #[test]
    fn both_dialects_learn_the_same_and_no_more_than_was_asked() {
        let (by_irrd, notes, count) = asked(Dialect::Irrd);
        assert_eq!((notes, count), (vec![], 10));
        let (by_whois, notes, count) = asked(Dialect::Whois);
        assert_eq!((notes, count), (vec![], 7));
        let (all, _) = Irr::read(OBJECTS);
        let wanted = |text: &str| !text.contains("AS64999");
        let objects = |irr: &Irr| -> Vec<String> {
            let texts = irr.objects().map(|object| object.to_string());
            texts.filter(|text| wanted(text)).collect()
        };
        assert_eq!(by_irrd.to_string(), by_whois.to_string());
        assert_eq!(objects(&by_irrd), objects(&all));
        assert_eq!(by_irrd.objects().count(), objects(&all).len());
        let expansion = by_irrd.expand_as_set("AS-CONTOSO");
        assert_eq!(expansion.asns, [64500, 64501].into());
        assert_eq!(expansion.missing, ["AS-MISSING".to_owned()].into());
    }

    #[test]
    fn hostile_answers_and_names_stay_within_limits() {
        let mut questions = questions();
        questions.as_sets = ["AS-X\n!q".to_owned()].into();
        let mut asking = Asking::new(Dialect::Irrd, &questions);
        let origin = Query::Originated {
            asn: 64500,
            ipv6: false,
        };
        let many: String = (0..=u16::MAX)
            .map(|n| format!("10.{}.{}.0/24 ", n >> 8, n & 255))
            .collect();
        asking.take(&origin, &Reply::Text(many));
        asking.take(&origin, &Reply::Text("none \u{1b}[2J of this".repeat(100)));
        let queries = std::iter::from_fn(|| asking.poll()).count();
        assert_eq!(queries, MOST);
        let (_, notes) = asking.finish();
        assert_eq!(notes[0], "`AS-X\\n!q` is not the name of an as-set");
        assert!(notes.len() <= NOTES && notes.iter().all(|note| !note.contains('\u{1b}')));
    }
}
