//! What happened to the sessions of a lab lately, from its record.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{Entry, Fact};
use crate::time::At;

/// Changes of one session that are kept.
const CHANGES: usize = 8;
/// Failures of the lab itself that are kept.
const FAILURES: usize = 8;

/// What happened lately. Its size depends on the topology alone, however long the lab is up.
#[derive(Debug, Default)]
pub struct History {
    bgp: BTreeMap<(String, String), Past>,
    bfd: BTreeMap<(String, String), Past>,
    lags: BTreeMap<(String, String), Past>,
    failures: VecDeque<(At, String)>,
}

/// The past of one session or LAG.
#[derive(Debug, Default, Clone)]
pub struct Past {
    /// The last changes of its state, the latest last: when, the new state, and why.
    changes: VecDeque<(At, String, String)>,
    /// How often it was lost that was up, and the last time and why.
    losses: u64,
    lost: Option<(At, String)>,
}

/// A change of state, or a message, seen from now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// How long ago, in seconds.
    pub ago: f64,
    /// The state since then.
    pub state: String,
    /// Why; empty when nothing was said.
    pub why: String,
}

impl History {
    /// Takes an entry of the record.
    pub fn take(&mut self, entry: &Entry) {
        let at = entry.at;
        if let Some(bfd) = entry.fact.bfd_change() {
            let key = (bfd.router.to_owned(), bfd.session.into_owned());
            let past = self.bfd.entry(key).or_default();
            past.changed(at, bfd.state, bfd.diagnostic);
        }
        match &entry.fact {
            Fact::Bgp {
                router,
                session,
                state,
                why,
            } => {
                let past = self.bgp.entry((router.clone(), session.clone()));
                past.or_default().changed(at, state, why);
            }
            Fact::Lag {
                router,
                connection,
                up,
                ..
            } => {
                let state = if *up { "up" } else { "down" };
                let past = self.lags.entry((router.clone(), connection.clone()));
                past.or_default().changed(at, state, "");
            }
            Fact::Errored { text } => {
                if self.failures.len() == FAILURES {
                    self.failures.pop_front();
                }
                self.failures.push_back((at, text.clone()));
            }
            _ => {}
        }
    }

    /// The past of a BGP session.
    pub fn bgp(&self, router: &str, session: &str) -> Past {
        past(&self.bgp, router, session)
    }

    /// The past of a BFD session, or of one on a member: `ams-1/1`.
    pub fn bfd(&self, router: &str, connection: &str) -> Past {
        past(&self.bfd, router, connection)
    }

    /// The past of a LAG.
    pub fn lag(&self, router: &str, connection: &str) -> Past {
        past(&self.lags, router, connection)
    }

    /// What failed in the lab itself, the latest last.
    pub fn failures(&self, now: At) -> Vec<Change> {
        let failures = self.failures.iter();
        let change = |(at, why): &(At, String)| Change {
            ago: seconds(now.since(*at)),
            state: "failed".to_owned(),
            why: why.clone(),
        };
        failures.map(change).collect()
    }
}

fn past(of: &BTreeMap<(String, String), Past>, router: &str, name: &str) -> Past {
    let found = of.get(&(router.to_owned(), name.to_owned()));
    found.cloned().unwrap_or_default()
}

impl Past {
    fn changed(&mut self, at: At, state: &str, why: &str) {
        let was_up = |state: &str| matches!(state, "Established" | "up");
        if self.changes.back().is_some_and(|(_, last, _)| was_up(last)) && !was_up(state) {
            self.losses += 1;
            self.lost = Some((at, why.to_owned()));
        }
        if self.changes.len() == CHANGES {
            self.changes.pop_front();
        }
        self.changes
            .push_back((at, state.to_owned(), why.to_owned()));
    }

    /// The last changes, the latest last.
    pub fn changes(&self, now: At) -> Vec<Change> {
        let change = |(at, state, why): &(At, String, String)| Change {
            ago: seconds(now.since(*at)),
            state: state.clone(),
            why: why.clone(),
        };
        self.changes.iter().map(change).collect()
    }

    /// How often it was lost that was up, how long ago the last time, in seconds, and why.
    pub fn lost(&self, now: At) -> Option<(u64, f64, &str)> {
        let (at, why) = self.lost.as_ref()?;
        Some((self.losses, seconds(now.since(*at)), why))
    }

    /// How long it has been in its state, in seconds, and why it came there.
    pub fn last(&self, now: At) -> Option<(f64, &str)> {
        let (at, _, why) = self.changes.back()?;
        Some((seconds(now.since(*at)), why))
    }
}

/// Seconds, to the millisecond.
pub(super) fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}
