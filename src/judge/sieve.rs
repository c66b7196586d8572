//! What is worth keeping of a flood of routes.
//!
//! Measuring asks of a route only when something began to change, to the millisecond; what a finding rests on is kept
//! beside. So a million routes that come at once cost a few thousand entries.
//!
//! **Invariant:** the first fact of routes of a session after any other fact is kept, and one in each millisecond after it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::record::{Entry, Fact};
use crate::time::At;

/// Facts of one session's routes are kept so far apart.
const APART: Duration = Duration::from_millis(1);

/// Lets pass what is worth keeping.
#[derive(Debug, Clone, Default)]
pub(super) struct Sieve {
    /// When the last route of a session was kept: by what became of it, router and session.
    kept: BTreeMap<(Kind, String, String), At>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Received,
    Withdrawn,
}

impl Sieve {
    /// Whether an entry is kept.
    pub(super) fn keeps(&mut self, entry: &Entry) -> bool {
        let (kind, router, session) = match &entry.fact {
            Fact::RouteReceived {
                router, session, ..
            } => (Kind::Received, router, session),
            Fact::RouteWithdrawn {
                router, session, ..
            } => (Kind::Withdrawn, router, session),
            // Few are told, and each names another prefix.
            Fact::MalformedUpdate(_) => return true,
            // States and verdicts of routes are measured nowhere.
            Fact::RouteAccepted { .. }
            | Fact::RouteRefused { .. }
            | Fact::RouteCount { .. }
            | Fact::EndOfRib { .. } => return false,
            _ => {
                self.kept.clear();
                return true;
            }
        };
        let key = (kind, router.clone(), session.clone());
        match self.kept.get_mut(&key) {
            Some(last) if entry.at < *last + APART => false,
            Some(last) => {
                *last = entry.at;
                true
            }
            None => {
                self.kept.insert(key, entry.at);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Common;

    fn route(nanos: u64, received: bool, session: &str) -> Entry {
        let (router, session) = ("wan".to_owned(), session.to_owned());
        let prefix = "198.51.100.0/24".parse().expect("a prefix");
        let fact = match received {
            true => Fact::RouteReceived {
                router,
                session,
                prefix,
                as_path: Common::default(),
                communities: Common::default(),
                med: None,
            },
            false => Fact::RouteWithdrawn {
                router,
                session,
                prefix,
                why: String::new(),
            },
        };
        let at = At::from_nanos(nanos);
        Entry { at, fact }
    }

    #[test]
    fn the_first_of_each_burst_and_one_in_a_millisecond() {
        let mut sieve = Sieve::default();
        let mut keeps = |entry: &Entry| sieve.keeps(entry);
        assert!(keeps(&route(0, true, "a")));
        assert!(!keeps(&route(1, true, "a")));
        assert!(keeps(&route(2, true, "b")), "another session");
        assert!(keeps(&route(3, false, "a")), "the other way");
        let flood = (4..2_000_000).filter(|n| keeps(&route(*n, true, "a")));
        assert_eq!(flood.count(), 1);
        let fact = Fact::StepEnded { step: 0 };
        let at = At::from_nanos(2_000_000);
        assert!(keeps(&Entry { at, fact }));
        assert!(keeps(&route(2_000_001, true, "a")), "after something else");
        let fact = Fact::EndOfRib {
            router: "wan".to_owned(),
            session: "a".to_owned(),
        };
        assert!(!keeps(&Entry { at, fact }));
        assert!(
            !keeps(&route(2_000_002, true, "a")),
            "it is no something else"
        );
    }
}
