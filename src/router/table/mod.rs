//! The router's table: for each prefix the paths from all neighbours, the best of them, and the next hops the kernel
//! should have. Adj-RIB-In of every session and Loc-RIB (RFC 4271, section 3.2) are views of it ([`AdjRibIn`],
//! [`LocRib`]).
//!
//! **Invariant:** after each change of a prefix it is decided anew before anything else happens.

mod explain;
mod hops;
mod paths;
mod reasons;
mod views;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

pub use self::explain::{Explained, Outcome};
pub(super) use self::hops::SetId;
use self::hops::{HopId, Hops};
pub(super) use self::paths::{Fate, Generation, Path, Verdict};
use self::paths::{PathRef, Paths};
use self::reasons::Reasons;
pub use self::views::{AdjRibIn, Advertised, LocRib, Received, Selected};
use super::config::SessionIndex;
use super::peer::Peer;
use crate::bgp::attributes::Attributes;
use crate::bgp::decision::{self, Candidate, Multipath};
use crate::bgp::family::{ByFamily, Families, Family};
use crate::bgp::policy;
use crate::bgp::rib::AdjRibOut;
use crate::bgp::rib::numbers::{Number, Numbered, Numbers};

/// In the place of attributes that every usable path has.
static NOTHING: Attributes = Attributes::of_next_hop(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

/// So many prefixes more than twice those it has paths of are noted of a session.
const SPARE: usize = 64;

/// All routes of a router.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub numbers: Numbers,
    entries: Numbered<Entry>,
    paths: Paths,
    pub hops: Hops,
    pub reasons: Reasons,
    pub sources: Vec<Source>,
    /// Number of paths whose next hop cannot be reached.
    pub unreachable: usize,
    /// How many prefixes have a route in use.
    used: usize,
    /// Kept between decisions, so that they need no memory of their own.
    equal: Vec<PathRef>,
    ids: Vec<HopId>,
}

/// What the table knows of a prefix.
#[derive(Debug, Clone, Copy)]
struct Entry {
    first: PathRef,
    best: PathRef,
    hops: SetId,
}

impl Default for Entry {
    fn default() -> Entry {
        Entry {
            first: PathRef::NONE,
            best: PathRef::NONE,
            hops: SetId::NONE,
        }
    }
}

/// What a session means to its paths.
#[derive(Debug)]
pub(super) struct Source {
    /// eBGP.
    pub external: bool,
    /// The neighbour's identifier, while established.
    pub peer_id: Ipv4Addr,
    /// The neighbour's address.
    pub peer_address: IpAddr,
    /// Number of its paths, those included that count as withdrawn.
    pub held: ByFamily<u32>,
    /// The prefixes of its paths, so that nobody has to look through those of others. Some are there twice, or have no path of
    /// it any more.
    prefixes: ByFamily<Vec<Number>>,
    /// Paths of another generation are stale.
    pub generation: ByFamily<Generation>,
    /// Number of routes in its Adj-RIB-In.
    pub received: ByFamily<u32>,
}

/// What was there before a change.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub path: Option<Path>,
    /// It was the best one.
    pub was_best: bool,
}

/// What came of deciding anew for a prefix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decided {
    /// The next hops were others before.
    pub moved: Option<(SetId, SetId)>,
    /// Neighbours must be told.
    pub advertise: bool,
}

impl Table {
    /// Puts a path in, instead of the one of the same session and identifier.
    pub fn put(&mut self, number: Number, path: Path) -> Before {
        let entry = self.entries.place(number);
        let session = path.session;
        let mut known = false;
        let mut ours = self.paths.list(entry.first).filter(|(_, p)| {
            known |= p.session == session;
            p.session == session
        });
        let place = ours.find(|(_, p)| p.path_id == path.path_id);
        let place = place.map(|(place, _)| place);
        drop(ours);
        if let Some(source) = self.sources.get_mut(session.index()) {
            source.count(number.family(), &path, 1);
            if !known {
                source.prefixes[number.family()].push(number);
            }
        }
        self.unreachable += usize::from(path.fate == Fate::Unreachable);
        let Some(place) = place else {
            self.paths.add(&mut entry.first, path);
            self.tidy(session, number.family());
            return Before::default();
        };
        let was_best = entry.best == place;
        let path = self.paths.replace(place, path);
        self.uncount(number.family(), path.as_ref());
        Before { path, was_best }
    }

    /// Takes a path out.
    pub fn take(&mut self, number: Number, session: SessionIndex, path_id: u32) -> Before {
        self.take_if(number, |path| {
            (path.session, path.path_id) == (session, path_id)
        })
    }

    /// Takes the first path out that is meant.
    pub fn take_if(&mut self, number: Number, meant: impl Fn(&Path) -> bool) -> Before {
        let Some(entry) = self.entries.get_mut(number) else {
            return Before::default();
        };
        let mut list = self.paths.list(entry.first);
        let Some((place, _)) = list.find(|(_, path)| meant(path)) else {
            return Before::default();
        };
        drop(list);
        let was_best = entry.best == place;
        if was_best {
            entry.best = PathRef::NONE;
        }
        let path = self.paths.remove(&mut entry.first, place);
        self.uncount(number.family(), path.as_ref());
        Before { path, was_best }
    }

    fn uncount(&mut self, family: Family, path: Option<&Path>) {
        let unreachable = path.is_some_and(|path| path.fate == Fate::Unreachable);
        self.unreachable -= usize::from(unreachable);
        if let Some(path) = path
            && let Some(source) = self.sources.get_mut(path.session.index())
        {
            source.count(family, path, -1);
        }
    }

    /// The prefixes of a session's paths in some families, in order, and perhaps some others, not many more.
    pub fn prefixes_of(&mut self, session: SessionIndex, families: Families) -> Vec<Number> {
        let mut all = Vec::new();
        for family in families.iter() {
            self.tidy(session, family);
            if let Some(source) = self.sources.get_mut(session.index()) {
                let prefixes = &mut source.prefixes[family];
                prefixes.sort_unstable();
                prefixes.dedup();
                all.extend_from_slice(prefixes);
            }
        }
        all
    }

    /// Forgets prefixes that a session has no path of any more, when they are most of those it is said to have in a family.
    fn tidy(&mut self, session: SessionIndex, family: Family) {
        let Some(source) = self.sources.get_mut(session.index()) else {
            return;
        };
        if source.prefixes[family].len() <= 2 * source.held[family] as usize + SPARE {
            return;
        }
        let mut prefixes = std::mem::take(&mut source.prefixes[family]);
        prefixes.sort_unstable();
        prefixes.dedup();
        prefixes.retain(|&number| self.paths(number).any(|path| path.session == session));
        prefixes.shrink_to(2 * prefixes.len());
        self.sources[session.index()].prefixes[family] = prefixes;
    }

    /// The paths of a session are stale from now on, in some families. However many they are, it costs nothing.
    pub fn mark_stale(&mut self, session: SessionIndex, families: Families) {
        for family in families.iter() {
            let Some(source) = self.sources.get_mut(session.index()) else {
                return;
            };
            let now = &mut source.generation[family];
            if let Some(next) = now.next() {
                *now = next;
                continue;
            }
            // Once in 65,535 times all paths become those of the generation before the first one.
            let first = Generation::default();
            *now = first.next().unwrap_or(first);
            for number in self.prefixes_of(session, family.into()) {
                if let Some(entry) = self.entries.get(number) {
                    self.paths.regenerate(entry.first, session, first);
                }
            }
        }
    }

    /// Why a path with this fate is not used.
    pub fn refusal(&self, fate: Fate) -> Option<&policy::Reason> {
        static UNREACHABLE: policy::Reason = Cow::Borrowed(policy::NEXT_HOP_UNREACHABLE);
        match fate {
            Fate::Refused(id) => self.reasons.of(id).map(|refusal| &refusal.reason),
            Fate::Unreachable => Some(&UNREACHABLE),
            Fate::Via(_) => None,
        }
    }

    /// What was wrong with the attributes of a path with this fate (RFC 7606).
    fn fault(&self, fate: Fate) -> Option<&str> {
        match fate {
            Fate::Refused(id) => self.reasons.of(id)?.fault.as_deref(),
            Fate::Unreachable | Fate::Via(_) => None,
        }
    }

    /// Whether a path of a prefix is stale.
    pub fn is_stale(&self, number: Number, path: &Path) -> bool {
        let source = self.sources.get(path.session.index());
        source.is_some_and(|source| source.generation[number.family()] != path.generation)
    }

    /// The usable paths of a prefix that are worth telling, the best first, with an identifier for each.
    pub fn ranked(&self, number: Number, limit: usize) -> Vec<(u32, &Path)> {
        let mut places = self.usable(number);
        decision::rank(&mut places, limit, |at| {
            candidate(&self.paths, &self.sources, &self.hops, at)
        });
        let paths = places.into_iter();
        paths
            .filter_map(|at| Some((at.path_id(), self.paths.get(at)?)))
            .collect()
    }

    fn usable(&self, number: Number) -> Vec<PathRef> {
        let first = self.entries.get(number).map_or(PathRef::NONE, |e| e.first);
        let list = self.paths.list(first);
        let usable = list.filter(|(_, path)| matches!(path.fate, Fate::Via(_)));
        usable.map(|(place, _)| place).collect()
    }

    /// Bytes of memory each session's paths take, about: a shared attribute set counts for each in its share.
    pub fn shares(&self, sessions: usize) -> Vec<usize> {
        let mut shares = vec![0; sessions];
        for (_, entry) in self.entries.iter() {
            for (_, path) in self.paths.list(entry.first) {
                let sets = path.received.iter().chain(&path.imported);
                let sets = sets.map(|set| set.size() / Arc::strong_count(set).max(1));
                if let Some(share) = shares.get_mut(path.session.index()) {
                    *share += size_of::<Path>() + sets.sum::<usize>();
                }
            }
        }
        shares
    }

    /// Bytes of memory the table takes, about, without attributes; with what `told` Adj-RIB-Outs take, as far as they
    /// have paths to tell: what they still have to withdraw is nobody's any more.
    pub fn bytes(&self, told: impl Iterator<Item = usize>) -> usize {
        let (mut bytes, mut most) = (0, 0);
        for adj_rib_out in told {
            bytes += adj_rib_out;
            most += self.paths.len() * AdjRibOut::PER_ROUTE;
        }
        let each = size_of::<Path>() + size_of::<Number>();
        self.paths.len() * each + self.numbers.len() * 48 + bytes.min(most)
    }

    /// The paths of a prefix.
    pub fn paths(&self, number: Number) -> impl Iterator<Item = &Path> {
        let first = self.entries.get(number).map_or(PathRef::NONE, |e| e.first);
        self.paths.list(first).map(|(_, path)| path)
    }

    /// The best path of a prefix.
    pub fn best(&self, number: Number) -> Option<&Path> {
        self.paths.get(self.entries.get(number)?.best)
    }

    /// The next hops of a prefix.
    pub fn set(&self, number: Number) -> SetId {
        self.entries.get(number).map_or(SetId::NONE, |e| e.hops)
    }

    /// The numbers of all prefixes there may be paths of.
    pub fn all(&self) -> impl Iterator<Item = Number> + use<> {
        self.entries.numbers()
    }

    /// Decides anew for one prefix; `was_best` when its best path was changed or taken.
    pub fn decide(&mut self, number: Number, was_best: bool, multipath: Multipath) -> Decided {
        let entry = self.entries.place(number);
        let usable = |path: &Path| matches!(path.fate, Fate::Via(_));
        self.equal.clear();
        let list = self.paths.list(entry.first);
        self.equal
            .extend(list.filter(|(_, path)| usable(path)).map(|(at, _)| at));
        if self.equal.len() > 1 {
            let (paths, sources, hops) = (&self.paths, &self.sources, &self.hops);
            decision::choose(&mut self.equal, multipath, |at| {
                candidate(paths, sources, hops, at)
            });
        }
        let best = self.equal.first().copied().unwrap_or(PathRef::NONE);
        self.ids.clear();
        for &at in &self.equal {
            if let Some(Path {
                fate: Fate::Via(hop),
                ..
            }) = self.paths.get(at)
            {
                self.ids.push(*hop);
            }
        }
        let (set, old) = (self.hops.join(&mut self.ids), entry.hops);
        self.hops.leave(old);
        let advertise = was_best || best != entry.best;
        self.used += usize::from(!best.is_none());
        self.used -= usize::from(old != SetId::NONE);
        (entry.best, entry.hops) = (best, set);
        Decided {
            moved: (set != old).then_some((old, set)),
            advertise,
        }
    }

    /// Forgets every path, and says of which prefixes the kernel has routes.
    pub fn clear(&mut self) -> impl Iterator<Item = Number> + use<> {
        let entries = std::mem::take(&mut self.entries);
        self.paths = Paths::default();
        self.hops = Hops::default();
        (self.used, self.unreachable) = (0, 0);
        for source in &mut self.sources {
            (source.held, source.received) = Default::default();
            source.prefixes = ByFamily::default();
        }
        let numbers: Vec<Number> = entries
            .iter()
            .filter(|(_, entry)| entry.hops != SetId::NONE)
            .map(|(number, _)| number)
            .collect();
        numbers.into_iter()
    }

    /// Gives up the numbers of prefixes that have no path and are not needed otherwise.
    pub fn sweep(&mut self, needed: impl Fn(Number) -> bool) {
        let Table {
            numbers, entries, ..
        } = self;
        numbers.sweep(|number| {
            let entry = entries.get(number);
            entry.is_some_and(|entry| !entry.first.is_none()) || needed(number)
        });
    }
}

impl Source {
    pub fn of(peer: &Peer) -> Source {
        Source {
            external: !peer.internal,
            peer_id: Ipv4Addr::UNSPECIFIED,
            peer_address: peer.spec.peer,
            held: ByFamily::default(),
            prefixes: ByFamily::default(),
            generation: ByFamily::default(),
            received: ByFamily::default(),
        }
    }

    /// Whether it has paths in one of these families.
    pub fn holds(&self, families: Families) -> bool {
        families.iter().any(|family| self.held[family] > 0)
    }

    /// Number of routes in its Adj-RIB-In, of all families.
    pub fn all_received(&self) -> u32 {
        self.received.values().sum()
    }

    fn count(&mut self, family: Family, path: &Path, by: i32) {
        let held = &mut self.held[family];
        *held = held.saturating_add_signed(by);
        if path.received.is_some() {
            let received = &mut self.received[family];
            *received = received.saturating_add_signed(by);
        }
    }
}

/// A usable path as the decision sees it.
fn candidate<'a>(paths: &'a Paths, sources: &[Source], hops: &Hops, at: PathRef) -> Candidate<'a> {
    let path = paths.get(at);
    let source = path.and_then(|path| sources.get(path.session.index()));
    Candidate {
        attributes: path
            .and_then(|path| path.imported.as_deref())
            .unwrap_or(&NOTHING),
        external: source.is_some_and(|source| source.external),
        peer_id: source.map_or(Ipv4Addr::UNSPECIFIED, |source| source.peer_id),
        peer_address: source.map_or(Ipv4Addr::UNSPECIFIED.into(), |source| source.peer_address),
        path_id: path.map_or(0, |path| path.path_id),
        cost: match path.map(|path| path.fate) {
            Some(Fate::Via(hop)) => hops.cost(hop),
            Some(Fate::Refused(_) | Fate::Unreachable) | None => 0,
        },
    }
}

/// Whether two paths have the same attributes, or none.
pub(super) fn same(a: Option<&Arc<Attributes>>, b: Option<&Arc<Attributes>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}
