//! What became of each path of a prefix, and why.
//!
//! **Invariant:** the answer is that of the decision itself, which is asked again: nothing is kept for it.

use std::sync::Arc;

use super::paths::{Fate, Path, PathRef};
use super::{Table, candidate};
use crate::bgp::attributes::Attributes;
use crate::bgp::decision::{self, Candidate, Multipath, Reason};
use crate::bgp::policy;
use crate::bgp::rib::numbers::Number;
use crate::router::SessionIndex;

/// A path and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Explained<'a> {
    /// The session it came on.
    pub session: SessionIndex,
    /// Path identifier (RFC 7911); 0 without.
    pub path_id: u32,
    /// As it came; `None` when its attributes were malformed.
    pub received: Option<&'a Arc<Attributes>>,
    /// As the decision saw it; of a refused one as it came.
    pub attributes: Option<&'a Arc<Attributes>>,
    /// Kept over the loss of its session, or not yet refreshed (RFC 4724, RFC 7313).
    pub stale: bool,
    /// What became of it.
    pub outcome: Outcome<'a>,
    /// What was wrong with its attributes, and how that was treated (RFC 7606).
    pub fault: Option<&'a str>,
}

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome<'a> {
    /// It is the best one, by this step of the decision.
    Best(Reason),
    /// It is used together with the best one (multipath), which is ahead by this tie-break alone.
    Equal(Reason),
    /// The best one is better by this step.
    Lost(Reason),
    /// Its next hop cannot be reached.
    Unreachable,
    /// It is not used, and why.
    Refused(&'a policy::Reason),
}

impl Outcome<'_> {
    fn rank(&self) -> u8 {
        match self {
            Outcome::Best(_) => 0,
            Outcome::Equal(_) => 1,
            Outcome::Lost(_) => 2,
            Outcome::Unreachable => 3,
            Outcome::Refused(_) => 4,
        }
    }
}

impl Table {
    /// Every path of a prefix: the best first, then those equal to it, those that lost, and those that cannot be used.
    pub fn explain(&self, number: Number, multipath: Multipath) -> Vec<Explained<'_>> {
        let first = self.entries.get(number).map_or(PathRef::NONE, |e| e.first);
        let paths: Vec<(PathRef, &Path)> = self.paths.list(first).collect();
        let usable = |(_, path): &&(PathRef, &Path)| matches!(path.fate, Fate::Via(_));
        let mut places: Vec<PathRef> = paths.iter().filter(usable).map(|(at, _)| *at).collect();
        let seen = |at| candidate(&self.paths, &self.sources, &self.hops, at);
        let candidates: Vec<Candidate<'_>> = places.iter().map(|at| seen(*at)).collect();
        let lost: Vec<(PathRef, Option<Reason>)> = places
            .iter()
            .copied()
            .zip(decision::explain(&candidates))
            .collect();
        let reason = decision::choose(&mut places, multipath, seen);
        let mut explained: Vec<Explained<'_>> = paths
            .into_iter()
            .filter_map(|(at, path)| {
                let place = places.iter().position(|used| *used == at);
                let why = || lost.iter().find(|(other, _)| *other == at)?.1;
                let outcome = match (path.fate, place) {
                    (Fate::Refused(id), _) => Outcome::Refused(&self.reasons.of(id)?.reason),
                    (Fate::Unreachable, _) => Outcome::Unreachable,
                    (Fate::Via(_), Some(0)) => Outcome::Best(reason?),
                    (Fate::Via(_), Some(_)) => Outcome::Equal(why()?),
                    (Fate::Via(_), None) => Outcome::Lost(why()?),
                };
                Some(Explained {
                    session: path.session,
                    path_id: path.path_id,
                    received: path.received.as_ref(),
                    attributes: path.imported.as_ref().or(path.received.as_ref()),
                    stale: self.is_stale(number, path),
                    outcome,
                    fault: self.fault(path.fate),
                })
            })
            .collect();
        explained.sort_by_key(|path| (path.outcome.rank(), path.session.0, path.path_id));
        explained
    }
}
