//! The way of facts from the threads that observe to the run, and how much may wait on it.
//!
//! Whoever records never waits: a slow disk, or a terminal that is held up, must not change what is measured. But a
//! neighbour that tells routes faster than they can be written would fill the memory. So the facts of each session's routes
//! have a share, from when they are told until the last reader is done with them. When it is full, no fact of single routes
//! of that session is told any more, until it has no route left: then all is known again. [`Fact::RoutesLeftOut`] says so.
//! Of facts that tell a state (numbers of routes, end-of-RIB, refreshes) the latest waits until there is room.
//!
//! What else a neighbour can bring about as often as it likes is made seldom where it is observed: `line/telling.rs`, `lacp/news.rs`.
//!
//! **Invariant:** what a neighbour's routes make a run hold here is bounded by [`Recorder::SHARE`] for each session, and takes nothing
//! from others.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Entry, Fact};
use crate::time::{At, Clock};

/// Where threads put facts. Cheap to clone; never blocks.
#[derive(Debug, Clone)]
pub struct Recorder {
    clock: Clock,
    sender: UnboundedSender<Noted>,
    shares: Arc<Shares>,
}

/// Where the facts come out, in one order.
#[derive(Debug)]
pub struct Entries {
    receiver: UnboundedReceiver<Noted>,
    clock: Clock,
    shares: Arc<Shares>,
}

/// An entry on its way. It counts as waiting until its last copy is dropped. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Noted(Arc<Charged>);

#[derive(Debug)]
struct Charged {
    entry: Entry,
    /// What it takes, and of which share.
    charge: Option<(usize, Arc<AtomicUsize>)>,
}

/// The shares of all sessions.
#[derive(Debug, Default)]
struct Shares {
    /// By router and session.
    of: Mutex<BTreeMap<String, BTreeMap<String, Share>>>,
    /// Some share owes something.
    owes: AtomicBool,
}

/// The share of one session.
#[derive(Debug, Default)]
struct Share {
    waiting: Arc<AtomicUsize>,
    /// Facts of single routes that were left out since it was full; none are told while this is not 0.
    left_out: u64,
    /// How many of these were told of.
    told: u64,
    /// The latest facts of states, one of each kind, for which there was no room.
    owed: Vec<Entry>,
}

impl Recorder {
    /// Bytes of facts of one session's routes that may wait: some 40,000 routes.
    pub const SHARE: usize = 16 << 20;

    /// A recorder on a clock, and the end where its facts come out.
    pub fn new(clock: Clock) -> (Recorder, Entries) {
        let (sender, receiver) = unbounded_channel();
        let shares = Arc::<Shares>::default();
        let entries = Entries {
            receiver,
            clock,
            shares: shares.clone(),
        };
        let recorder = Recorder {
            clock,
            sender,
            shares,
        };
        (recorder, entries)
    }

    /// The run's clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Records a fact observed now.
    pub fn now(&self, fact: Fact) {
        self.at(self.clock.now(), fact);
    }

    /// Records a fact observed at a given moment. After the run is over this does nothing.
    pub fn at(&self, at: At, fact: Fact) {
        if let Some(noted) = self.shares.admit(Entry { at, fact }) {
            let _ = self.sender.send(noted);
        }
    }
}

impl Entries {
    /// The next entry; `None` when no recorder is left.
    pub async fn recv(&mut self) -> Option<Entry> {
        self.next().await.map(Noted::into_entry)
    }

    /// The next entry, if there is one.
    ///
    /// # Errors
    /// There is none, or never will be.
    pub fn try_recv(&mut self) -> Result<Entry, TryRecvError> {
        self.try_next().map(Noted::into_entry)
    }

    /// As [`Entries::recv`], for a thread of its own. Must not be called in a runtime.
    pub fn blocking_recv(&mut self) -> Option<Entry> {
        let next = self.try_next().ok();
        let noted = next.or_else(|| self.receiver.blocking_recv());
        noted.map(Noted::into_entry)
    }

    /// As [`Entries::recv`], for who hands it on.
    pub async fn next(&mut self) -> Option<Noted> {
        match self.try_next() {
            Ok(noted) => Some(noted),
            Err(_) => self.receiver.recv().await,
        }
    }

    /// As [`Entries::try_recv`], for who hands it on.
    ///
    /// # Errors
    /// As [`Entries::try_recv`].
    pub fn try_next(&mut self) -> Result<Noted, TryRecvError> {
        // What was left out is told when all before it was heard.
        let next = self.receiver.try_recv();
        next.or_else(|error| self.shares.owed(self.clock.now()).ok_or(error))
    }
}

impl Noted {
    fn free(entry: Entry) -> Noted {
        let charge = None;
        Noted(Arc::new(Charged { entry, charge }))
    }

    fn into_entry(self) -> Entry {
        self.0.entry.clone()
    }
}

impl Deref for Noted {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.0.entry
    }
}

impl Drop for Charged {
    fn drop(&mut self) {
        if let Some((weight, waiting)) = &self.charge {
            waiting.fetch_sub(*weight, Ordering::Relaxed);
        }
    }
}

/// What a neighbour can make a session tell as often as it likes.
enum Flow<'f> {
    /// Of a single route.
    Route(&'f str, &'f str),
    /// Of the session: a later one says it all.
    State(&'f str, &'f str),
}

impl Flow<'_> {
    fn of(fact: &Fact) -> Option<Flow<'_>> {
        match fact {
            Fact::RouteReceived {
                router, session, ..
            }
            | Fact::RouteRefused {
                router, session, ..
            }
            | Fact::RouteAccepted {
                router, session, ..
            }
            | Fact::RouteWithdrawn {
                router, session, ..
            } => Some(Flow::Route(router, session)),
            Fact::MalformedUpdate(update) => Some(Flow::Route(&update.router, &update.session)),
            Fact::RouteCount {
                router, session, ..
            }
            | Fact::EndOfRib { router, session }
            | Fact::RouteRefresh {
                router, session, ..
            }
            | Fact::MaximumPrefixes {
                router, session, ..
            } => Some(Flow::State(router, session)),
            _ => None,
        }
    }

    fn names(&self) -> (&str, &str) {
        match self {
            Flow::Route(router, session) | Flow::State(router, session) => (router, session),
        }
    }
}

impl Shares {
    /// The entry, if there is room for it.
    fn admit(&self, entry: Entry) -> Option<Noted> {
        let Some(flow) = Flow::of(&entry.fact) else {
            return Some(Noted::free(entry));
        };
        let (router, session) = flow.names();
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let share = share(&mut of, router, session);
        let single = matches!(flow, Flow::Route(..));
        let admitted = share.admit(entry, single);
        if admitted.is_none() {
            self.owes.store(true, Ordering::Relaxed);
        }
        admitted
    }

    /// Something that there was no room for, and now is.
    fn owed(&self, now: At) -> Option<Noted> {
        if !self.owes.load(Ordering::Relaxed) {
            return None;
        }
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let mut owes = false;
        for (router, sessions) in of.iter_mut() {
            for (session, share) in sessions {
                // Told when it begins, and whenever it has become twice as many.
                if share.left_out > 0 && share.left_out >= 2 * share.told {
                    share.told = share.left_out;
                    let fact = Fact::RoutesLeftOut {
                        router: router.clone(),
                        session: session.clone(),
                        count: share.left_out,
                    };
                    return Some(Noted::free(Entry { at: now, fact }));
                }
                if share.owed.is_empty() {
                    continue;
                }
                owes = true;
                if share.waiting.load(Ordering::Relaxed) < Recorder::SHARE / 2 {
                    let entry = share.owed.remove(0);
                    share.begins_anew(&entry.fact);
                    return Some(Noted::free(entry));
                }
            }
        }
        self.owes.store(owes, Ordering::Relaxed);
        None
    }
}

/// The share of a session. Names are only copied when it is new.
fn share<'s>(
    of: &'s mut BTreeMap<String, BTreeMap<String, Share>>,
    router: &str,
    session: &str,
) -> &'s mut Share {
    if !of.contains_key(router) {
        of.insert(router.to_owned(), BTreeMap::new());
    }
    let sessions = of.entry(router.to_owned()).or_default();
    if !sessions.contains_key(session) {
        sessions.insert(session.to_owned(), Share::default());
    }
    sessions.entry(session.to_owned()).or_default()
}

impl Share {
    fn admit(&mut self, entry: Entry, single: bool) -> Option<Noted> {
        let weight = entry.fact.weight();
        let room = self.waiting.load(Ordering::Relaxed) + weight <= Recorder::SHARE;
        if single && (self.left_out > 0 || !room) {
            self.left_out += 1;
            return None;
        }
        if !single {
            // The latest of its kind is the one that counts.
            let kind = discriminant(&entry.fact);
            self.owed.retain(|owed| discriminant(&owed.fact) != kind);
            if !room {
                self.owed.push(entry);
                return None;
            }
            self.begins_anew(&entry.fact);
        }
        self.waiting.fetch_add(weight, Ordering::Relaxed);
        let charge = Some((weight, self.waiting.clone()));
        Some(Noted(Arc::new(Charged { entry, charge })))
    }

    /// A session without routes is one of which all is known.
    fn begins_anew(&mut self, fact: &Fact) {
        if matches!(fact, Fact::RouteCount { received: 0, .. }) {
            (self.left_out, self.told) = (0, 0);
        }
    }
}

impl Fact {
    /// Bytes that it takes while it waits, about, as if it had its words alone: where it is written, it does.
    pub fn weight(&self) -> usize {
        let of = |texts: &[String]| -> usize {
            let each = texts.iter().map(|text| text.len() + size_of::<String>());
            each.sum()
        };
        let own = match self {
            Fact::RouteReceived {
                as_path,
                communities,
                ..
            } => as_path.len() + of(communities),
            Fact::RouteRefused {
                as_path,
                communities,
                reason,
                ..
            } => as_path.len() + of(communities) + reason.len(),
            Fact::RouteWithdrawn { why, .. } => why.len(),
            Fact::MalformedUpdate(update) => of(&update.faults),
            _ => 0,
        };
        // The entry itself, and names of router and session.
        size_of::<Charged>() + 64 + own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Common;

    fn received(session: &str, n: u32) -> Fact {
        let address = std::net::Ipv4Addr::from(n << 8);
        Fact::RouteReceived {
            router: "ams-edge-1".to_owned(),
            session: session.to_owned(),
            prefix: ipnet::Ipv4Net::new_assert(address, 24).into(),
            as_path: "64500".into(),
            communities: Common::default(),
            med: None,
        }
    }

    fn count(session: &str, received: u32) -> Fact {
        Fact::RouteCount {
            router: "ams-edge-1".to_owned(),
            session: session.to_owned(),
            received,
            advertised: 0,
        }
    }

    fn all(entries: &mut Entries) -> Vec<Fact> {
        std::iter::from_fn(|| Some(entries.try_recv().ok()?.fact)).collect()
    }

    fn left_out(facts: &[Fact]) -> Vec<u64> {
        let count = |fact: &Fact| match fact {
            Fact::RoutesLeftOut { count, .. } => Some(*count),
            _ => None,
        };
        facts.iter().filter_map(count).collect()
    }

    #[test]
    fn a_flood_takes_its_share_and_nobody_elses() {
        let (recorder, mut entries) = Recorder::new(Clock::start());
        for n in 0..80_000 {
            recorder.now(received("ams-1", n));
            if n % 10 == 9 {
                recorder.now(count("ams-1", n + 1));
            }
        }
        recorder.now(received("ams-2", 1));
        let facts = all(&mut entries);
        let of = |session: &str, n: u32| facts.contains(&received(session, n));
        assert!(of("ams-1", 0) && !of("ams-1", 79_999) && of("ams-2", 1));
        let told = facts
            .iter()
            .filter(|fact| matches!(fact, Fact::RouteReceived { .. }));
        let told = told.count();
        assert!((10_000..70_000).contains(&told), "{told}");
        assert_eq!(left_out(&facts), [80_001 - told as u64]);
        // The last number is the right one, though most on the way to it were left out.
        let mut counts = facts
            .iter()
            .filter(|fact| matches!(fact, Fact::RouteCount { .. }));
        assert_eq!(counts.next_back(), Some(&count("ams-1", 80_000)));
    }

    #[test]
    fn all_is_known_again_when_a_session_has_no_routes() {
        let (recorder, mut entries) = Recorder::new(Clock::start());
        (0..80_000).for_each(|n| recorder.now(received("ams-1", n)));
        all(&mut entries);
        recorder.now(received("ams-1", 7));
        assert_eq!(
            all(&mut entries),
            [],
            "there is room, but what it has is not known"
        );
        recorder.now(count("ams-1", 0));
        recorder.now(received("ams-1", 7));
        let facts = all(&mut entries);
        assert_eq!(facts, [count("ams-1", 0), received("ams-1", 7)]);
    }

    #[test]
    fn what_somebody_holds_on_to_counts_as_waiting() {
        let (recorder, mut entries) = Recorder::new(Clock::start());
        let mut held = Vec::new();
        let mut flood = |entries: &mut Entries| {
            for n in 0..80_000 {
                recorder.now(received("ams-1", n));
                held.extend(entries.try_next());
            }
            held.len()
        };
        let some = flood(&mut entries);
        // Once it is told that it began to be left out, and whenever that has doubled.
        assert!(some < 60_000, "{some}");
        drop(held);
        recorder.now(count("ams-1", 0));
        recorder.now(received("ams-1", 3));
        assert_eq!(all(&mut entries).last(), Some(&received("ams-1", 3)));
    }

    #[test]
    fn what_tells_a_state_is_told_when_there_is_room() {
        let (recorder, mut entries) = Recorder::new(Clock::start());
        let end = Fact::EndOfRib {
            router: "ams-edge-1".to_owned(),
            session: "ams-1".to_owned(),
        };
        (0..80_000).for_each(|n| recorder.now(count("ams-1", n)));
        recorder.now(end.clone());
        let facts = all(&mut entries);
        assert!(facts.len() < 70_000, "{}", facts.len());
        assert_eq!(left_out(&facts), [0; 0]);
        assert_eq!(facts[facts.len() - 2..], [count("ams-1", 79_999), end]);
    }
}
