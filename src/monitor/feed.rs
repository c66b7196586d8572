//! What a BMP collector has yet to hear: changes by name, not messages, so that a slow collector hears the latest state of
//! what changed often (RFC 7854, section 5, allows that).
//!
//! **Invariant:** a change waits at most once, so no more wait than there are routes; of other messages a few hundred.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::bmp::{self, Stage};
use super::{Route, Session, Stamp, Station, Up};
use crate::bgp::message::Nlri;

/// Peer Up, Peer Down and statistics that wait at most; with more, it is easier to begin anew.
const MOST_MESSAGES: usize = 512;
/// Routes told in one go.
const BATCH: usize = 256;

/// What waits for a collector, and what it knows.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// Goes out before any change.
    messages: VecDeque<Bytes>,
    changes: VecDeque<Change>,
    /// By session and route.
    told: BTreeMap<(usize, Nlri), Told>,
    overrun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Route(usize, Nlri),
    EndOfRib(usize),
}

impl Change {
    fn session(self) -> usize {
        match self {
            Change::Route(session, _) | Change::EndOfRib(session) => session,
        }
    }
}

/// What the collector knows of a route.
#[derive(Debug, Default)]
struct Told {
    waits: bool,
    before_policy: bool,
    after_policy: bool,
}

impl Feed {
    pub(super) fn peer_up(&mut self, message: Bytes) {
        self.message(message);
    }

    /// The collector forgets the session's routes with this message.
    pub(super) fn peer_down(&mut self, session: usize, message: Bytes) {
        self.changes.retain(|change| change.session() != session);
        self.told.retain(|(of, _), _| *of != session);
        self.message(message);
    }

    pub(super) fn changed(&mut self, session: usize, nlri: Nlri) {
        let told = self.told.entry((session, nlri)).or_default();
        if !std::mem::replace(&mut told.waits, true) {
            self.changes.push_back(Change::Route(session, nlri));
        }
    }

    pub(super) fn end_of_rib(&mut self, session: usize) {
        let marker = Change::EndOfRib(session);
        if !self.changes.contains(&marker) {
            self.changes.push_back(marker);
        }
    }

    fn message(&mut self, message: Bytes) {
        if self.messages.len() < MOST_MESSAGES {
            self.messages.push_back(message);
        } else {
            self.overrun = true;
        }
    }
}

impl Station {
    /// A collector is there: it hears everything anew. (RFC 7854, section 3.3)
    pub fn collector_connected(&mut self) {
        let mut feed = Feed::default();
        feed.message(bmp::initiation(&self.name));
        for (index, session) in self.sessions.iter().enumerate() {
            if let Some(up) = &session.up {
                feed.message(bmp::peer_up(session, up));
                session
                    .routes
                    .keys()
                    .for_each(|nlri| feed.changed(index, *nlri));
                feed.end_of_rib(index);
            }
        }
        self.feed = Some(feed);
    }

    /// The collector is gone, and with it what waited.
    pub fn collector_lost(&mut self) {
        self.feed = None;
    }

    /// The collector has missed something and must hear everything anew, over another connection.
    pub fn collector_overrun(&self) -> bool {
        self.feed.as_ref().is_some_and(|feed| feed.overrun)
    }

    /// Whether there is anything to tell.
    pub fn has_news(&self) -> bool {
        let waits = |feed: &Feed| !feed.messages.is_empty() || !feed.changes.is_empty();
        self.feed.as_ref().is_some_and(waits)
    }

    /// Tells of every session how many routes there are.
    pub fn statistics(&mut self, now: Stamp) {
        let Some(feed) = &mut self.feed else { return };
        for session in &self.sessions {
            if let Some(up) = &session.up {
                feed.message(bmp::statistics(now, session, up));
            }
        }
    }

    /// Nothing more will be told (RFC 7854, section 4.5).
    pub fn terminate(&mut self) {
        if let Some(feed) = &mut self.feed {
            feed.message(bmp::termination());
        }
    }

    /// The next messages for the collector, some kilobytes; empty when all is told.
    pub fn news(&mut self, now: Stamp) -> Vec<Bytes> {
        let Some(feed) = &mut self.feed else {
            return Vec::new();
        };
        if !feed.messages.is_empty() {
            return feed.messages.drain(..).collect();
        }
        while let Some(change) = feed.changes.pop_front() {
            let session = &self.sessions[change.session()];
            let Some(up) = &session.up else { continue };
            let told = match change {
                Change::EndOfRib(_) => bmp::end_of_rib(now, session, up),
                Change::Route(index, nlri) => {
                    let batch = feed.batch(index, nlri, session);
                    feed.tell(now, index, session, up, &batch)
                }
            };
            if !told.is_empty() {
                return told;
            }
        }
        Vec::new()
    }
}

impl Feed {
    /// A route and those changed after it whose attributes are the same.
    fn batch(&mut self, index: usize, first: Nlri, session: &Session) -> Vec<Nlri> {
        let mut batch = vec![first];
        let of = session.routes.get(&first);
        while let Some(Change::Route(other, nlri)) = self.changes.front().copied()
            && batch.len() < BATCH
            && other == index
            && alike(of, session.routes.get(&nlri))
        {
            self.changes.pop_front();
            batch.push(nlri);
        }
        batch
    }

    fn tell(
        &mut self,
        now: Stamp,
        index: usize,
        session: &Session,
        up: &Up,
        batch: &[Nlri],
    ) -> Vec<Bytes> {
        let route = batch.first().and_then(|first| session.routes.get(first));
        let when = route.map_or(now, |route| route.since);
        let mut messages = Vec::new();
        for stage in [Stage::PrePolicy, Stage::PostPolicy] {
            let attributes = route.and_then(|route| match stage {
                Stage::PrePolicy => Some(&route.received),
                Stage::PostPolicy => route.imported.as_ref(),
            });
            let mut concerned = Vec::new();
            for nlri in batch {
                let told = self.told.entry((index, *nlri)).or_default();
                told.waits = false;
                let known = match stage {
                    Stage::PrePolicy => &mut told.before_policy,
                    Stage::PostPolicy => &mut told.after_policy,
                };
                let was = std::mem::replace(known, attributes.is_some());
                // What the collector never heard of need not be withdrawn.
                if was || attributes.is_some() {
                    concerned.push(*nlri);
                }
            }
            let attributes = attributes.map(Arc::as_ref);
            let of = bmp::monitoring(when, session, up, stage, attributes, &concerned);
            messages.extend(of);
        }
        if route.is_none() {
            for nlri in batch {
                self.told.remove(&(index, *nlri));
            }
        }
        messages
    }
}

/// Whether two routes have the same attributes, before and after policy; or are both gone.
fn alike(one: Option<&Route>, other: Option<&Route>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            let imported = match (&one.imported, &other.imported) {
                (None, None) => true,
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                _ => false,
            };
            imported && Arc::ptr_eq(&one.received, &other.received)
        }
        _ => false,
    }
}
