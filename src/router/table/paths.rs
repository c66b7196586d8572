//! Adj-RIB-In of all sessions in one place: every prefix has a short list of paths.
//!
//! A path costs 32 bytes besides its attributes, which it shares with others.
//!
//! **Invariant:** a prefix has at most one path of a session and path identifier.

use std::sync::Arc;

use super::hops::HopId;
use super::reasons::ReasonId;
use crate::bgp::attributes::Attributes;
use crate::router::SessionIndex;

/// A received route.
#[derive(Debug, Clone)]
pub struct Path {
    /// As it came; `None` for one that counts as withdrawn because of its attributes.
    pub(in crate::router) received: Option<Arc<Attributes>>,
    /// After import policy; the same `Arc` where policy changes nothing, and `None` when the route is refused.
    pub(in crate::router) imported: Option<Arc<Attributes>>,
    /// The path identifier (RFC 7911) it came with; 0 without.
    pub(in crate::router) path_id: u32,
    next: PathRef,
    pub(in crate::router) fate: Fate,
    pub(in crate::router) session: SessionIndex,
    /// When it came. Not the session's present one: the path is stale, kept although its session was lost or its neighbour
    /// sends everything anew, until it comes again or is swept (RFC 4724, section 4.2; RFC 7313, section 4).
    pub(in crate::router) generation: Generation,
}

/// What a session brings of a family between two moments at which all before is stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::router) struct Generation(u16);

impl Generation {
    /// The one after it, if they are not at an end.
    pub fn next(self) -> Option<Generation> {
        self.0.checked_add(1).map(Generation)
    }
}

/// What becomes of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::router) enum Fate {
    /// It is not used, and why.
    Refused(ReasonId),
    /// Its next hop cannot be reached (RFC 4271, section 9.1.2.1).
    Unreachable,
    /// It may be used, over this next hop.
    Via(HopId),
}

/// What is told of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::router) enum Verdict {
    /// It may be used, with this LOCAL_PREF.
    Accepted { local_pref: u32 },
    /// It may not, because of this.
    Refused(Fate),
}

/// A place in [`Paths`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::router) struct PathRef(u32);

impl PathRef {
    /// A path identifier for the neighbours (RFC 7911): it stays while the path does.
    pub fn path_id(self) -> u32 {
        self.0.wrapping_add(1)
    }

    /// No path.
    pub const NONE: PathRef = PathRef(u32::MAX);

    pub fn is_none(self) -> bool {
        self == PathRef::NONE
    }
}

impl Path {
    pub fn new(session: SessionIndex, generation: Generation, path_id: u32, fate: Fate) -> Path {
        Path {
            received: None,
            imported: None,
            path_id,
            next: PathRef::NONE,
            fate,
            session,
            generation,
        }
    }

    /// What is told of it.
    pub fn verdict(&self) -> Verdict {
        match (self.fate, &self.imported) {
            (Fate::Via(_), Some(set)) => Verdict::Accepted {
                local_pref: set.local_pref.unwrap_or(100),
            },
            (fate, _) => Verdict::Refused(fate),
        }
    }
}

/// All paths, and the places that are free.
#[derive(Debug)]
pub(super) struct Paths {
    store: Vec<Path>,
    /// The first free place; the next ones follow like the paths of a prefix.
    free: PathRef,
    live: usize,
}

impl Default for Paths {
    fn default() -> Paths {
        Paths {
            store: Vec::new(),
            free: PathRef::NONE,
            live: 0,
        }
    }
}

impl Paths {
    pub fn get(&self, path: PathRef) -> Option<&Path> {
        self.store.get(path.0 as usize)
    }

    /// Puts a path in front of a list.
    pub fn add(&mut self, head: &mut PathRef, mut path: Path) -> PathRef {
        self.live += 1;
        path.next = *head;
        let place = self.free;
        if let Some(free) = self.store.get_mut(place.0 as usize) {
            self.free = free.next;
            *free = path;
            *head = place;
        } else {
            *head = PathRef(self.store.len() as u32);
            self.store.push(path);
        }
        *head
    }

    /// Puts a path in the place of another one of its list, and says what that was.
    pub fn replace(&mut self, place: PathRef, mut path: Path) -> Option<Path> {
        let old = self.store.get_mut(place.0 as usize)?;
        path.next = old.next;
        Some(std::mem::replace(old, path))
    }

    /// Takes a path out of its list, and says what it was.
    pub fn remove(&mut self, head: &mut PathRef, place: PathRef) -> Option<Path> {
        let next = self.get(place)?.next;
        if *head == place {
            *head = next;
        } else {
            let before = self.list(*head).find(|(_, path)| path.next == place)?.0;
            self.store[before.0 as usize].next = next;
        }
        let vacant = Path {
            next: self.free,
            ..Path::new(
                SessionIndex(u16::MAX),
                Generation::default(),
                0,
                Fate::Unreachable,
            )
        };
        let gone = std::mem::replace(&mut self.store[place.0 as usize], vacant);
        self.free = place;
        self.live -= 1;
        if self.live == 0 {
            // A large table is gone: give its memory back.
            *self = Paths::default();
        }
        Some(gone)
    }

    /// Number of paths.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Puts the paths of a session in a list into a generation.
    pub fn regenerate(&mut self, head: PathRef, session: SessionIndex, generation: Generation) {
        let mut at = head;
        while let Some(path) = self.store.get_mut(at.0 as usize) {
            if path.session == session {
                path.generation = generation;
            }
            at = path.next;
        }
    }

    /// The paths of a list.
    pub fn list(&self, head: PathRef) -> impl Iterator<Item = (PathRef, &Path)> {
        let mut at = head;
        std::iter::from_fn(move || {
            let path = self.get(at)?;
            let place = std::mem::replace(&mut at, path.next);
            Some((place, path))
        })
    }
}
