//! Which route wins (RFC 4271, section 9.1.2.2; RFC 4456, section 9), with the reason.
//!
//! The routes that remain before the tie is broken by identifiers are equal: multipath uses them together.
//!
//! **Invariant:** the result does not depend on the order of the candidates, which differ in address or path identifier.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::attributes::Attributes;

/// A usable route for a prefix: its next hop can be reached and its path has no loop.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its attributes; LOCAL_PREF as policy set it, 100 when absent.
    pub attributes: &'a Attributes,
    /// Learned by eBGP.
    pub external: bool,
    /// The neighbour's BGP Identifier.
    pub peer_id: Ipv4Addr,
    /// The neighbour's address.
    pub peer_address: IpAddr,
    /// The path identifier it came with (RFC 7911); 0 without.
    pub path_id: u32,
    /// The interior cost of the way to its next hop.
    pub cost: u32,
}

impl Candidate<'_> {
    fn local_pref(&self) -> u32 {
        self.attributes.local_pref.unwrap_or(100)
    }

    /// A missing MED is the best one (section 9.1.2.2 c).
    fn med(&self) -> u32 {
        self.attributes.med.unwrap_or(0)
    }

    /// The AS the route was learned from; `None` inside our own.
    fn neighbour_as(&self) -> Option<u32> {
        self.attributes.as_path.first().copied()
    }

    /// What breaks the tie: identifier of the originator, length of the cluster list, address, and among the paths of
    /// one neighbour, of which no RFC speaks, the path identifier.
    fn identity(&self) -> (Ipv4Addr, usize, IpAddr, u32) {
        (
            self.attributes.originator_id.unwrap_or(self.peer_id),
            self.attributes.cluster_list.len(),
            self.peer_address,
            self.path_id,
        )
    }
}

/// Why a route won, or why another one lost to it; in the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There was no other.
    OnlyRoute,
    /// Higher LOCAL_PREF.
    LocalPref,
    /// Shorter AS path.
    AsPathLength,
    /// Lower ORIGIN.
    Origin,
    /// Lower MED from the same neighbouring AS.
    Med,
    /// Another one of the loser's neighbouring AS, which is not the winner's, has a lower MED.
    MedOfAnother,
    /// eBGP over iBGP.
    ExternalOverInternal,
    /// Lower interior cost of the next hop.
    InteriorCost,
    /// Lower BGP Identifier.
    RouterId,
    /// Shorter CLUSTER_LIST.
    ClusterListLength,
    /// Lower address of the neighbour.
    PeerAddress,
    /// Lower path identifier (RFC 7911).
    PathId,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::OnlyRoute => "only route",
            Reason::LocalPref => "higher local preference",
            Reason::AsPathLength => "shorter AS path",
            Reason::Origin => "lower origin",
            Reason::Med => "lower MED",
            Reason::MedOfAnother => "another one from its neighbouring AS has a lower MED",
            Reason::ExternalOverInternal => "eBGP over iBGP",
            Reason::InteriorCost => "lower interior cost of the next hop",
            Reason::RouterId => "lower BGP identifier",
            Reason::ClusterListLength => "shorter cluster list",
            Reason::PeerAddress => "lower address of the neighbour",
            Reason::PathId => "lower path identifier",
        })
    }
}

/// Which routes are used together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multipath {
    /// How many at most; 0 counts as 1.
    pub limit: usize,
    /// Also those with other ASes in their paths, which are of equal length anyway.
    pub relax: bool,
}

/// Chooses among candidates, each known by a key. `equal` holds the keys of all; what is left of it are the best one
/// and those used together with it, the best first.
///
/// Returns the step that decided; `None` when there is no candidate.
pub fn choose<'a, K: Copy>(
    equal: &mut Vec<K>,
    multipath: Multipath,
    candidate: impl Fn(K) -> Candidate<'a>,
) -> Option<Reason> {
    let mut decided = Reason::OnlyRoute;
    eliminate(equal, &candidate, |_, reason| decided = reason);
    let (&first, rest) = equal.split_first()?;
    if let Some(&second) = rest.first() {
        decided = tie_break(&candidate(first), &candidate(second));
    }
    if !multipath.relax {
        let path = |k| {
            let Candidate { attributes, .. } = candidate(k);
            (&attributes.as_path, &attributes.as_set)
        };
        let best = path(first);
        equal.retain(|&k| path(k) == best);
    }
    equal.truncate(multipath.limit.max(1));
    Some(decided)
}

/// Puts candidates in the order of preference, the best first, and keeps `limit` of them: each is the best of those
/// that remain without the ones before it.
pub fn rank<'a, K: Copy + PartialEq>(
    keys: &mut Vec<K>,
    limit: usize,
    candidate: impl Fn(K) -> Candidate<'a>,
) {
    let mut rest = std::mem::take(keys);
    while keys.len() < limit {
        let mut equal = rest.clone();
        eliminate(&mut equal, &candidate, |_, _| {});
        let Some(&best) = equal.first() else {
            return;
        };
        rest.retain(|&k| k != best);
        keys.push(best);
    }
}

/// For each candidate why it is not the best one; `None` for that.
pub fn explain(candidates: &[Candidate<'_>]) -> Vec<Option<Reason>> {
    let mut lost = vec![None; candidates.len()];
    let mut equal: Vec<usize> = (0..candidates.len()).collect();
    let candidate = |index: usize| candidates[index];
    eliminate(&mut equal, &candidate, |index, reason| {
        lost[index] = Some(reason);
    });
    if let Some((&best, rest)) = equal.split_first() {
        for &other in rest {
            lost[other] = Some(tie_break(&candidates[best], &candidates[other]));
        }
        for (loser, reason) in candidates.iter().zip(&mut lost) {
            let stranger = loser.neighbour_as() != candidates[best].neighbour_as();
            if *reason == Some(Reason::Med) && stranger {
                *reason = Some(Reason::MedOfAnother);
            }
        }
    }
    lost
}

/// Removes candidates step by step; those left are equal, sorted by what breaks the tie.
fn eliminate<'a, K: Copy>(
    alive: &mut Vec<K>,
    candidate: &impl Fn(K) -> Candidate<'a>,
    mut lost: impl FnMut(K, Reason),
) {
    type Key = fn(&Candidate<'_>) -> u64;
    let steps: [(Reason, Key); 3] = [
        (Reason::LocalPref, |c| u64::from(u32::MAX - c.local_pref())),
        (Reason::AsPathLength, |c| c.attributes.as_path.len() as u64),
        (Reason::Origin, |c| c.attributes.origin as u64),
    ];
    for (reason, key) in steps {
        keep_lowest(alive, |k| key(&candidate(k)), |k| lost(k, reason));
    }
    // MED is compared within a neighbouring AS only: whoever has the lowest of its AS stays, so the order in which the
    // others go does not matter.
    let mut at = 0;
    while at < alive.len() {
        let me = candidate(alive[at]);
        let loses = alive.iter().any(|&other| {
            let other = candidate(other);
            other.neighbour_as() == me.neighbour_as() && other.med() < me.med()
        });
        if loses {
            lost(alive.remove(at), Reason::Med);
        } else {
            at += 1;
        }
    }
    keep_lowest(
        alive,
        |k| u64::from(!candidate(k).external),
        |k| lost(k, Reason::ExternalOverInternal),
    );
    keep_lowest(
        alive,
        |k| candidate(k).cost.into(),
        |k| lost(k, Reason::InteriorCost),
    );
    if alive.len() > 1 {
        alive.sort_by_key(|&k| candidate(k).identity());
    }
}

fn keep_lowest<K: Copy>(alive: &mut Vec<K>, key: impl Fn(K) -> u64, mut lost: impl FnMut(K)) {
    if alive.len() < 2 {
        return;
    }
    if let Some(lowest) = alive.iter().map(|&k| key(k)).min() {
        alive.retain(|&k| {
            let stays = key(k) == lowest;
            if !stays {
                lost(k);
            }
            stays
        });
    }
}

fn tie_break(best: &Candidate<'_>, other: &Candidate<'_>) -> Reason {
    let (a, b) = (best.identity(), other.identity());
    if a.0 != b.0 {
        Reason::RouterId
    } else if a.1 != b.1 {
        Reason::ClusterListLength
    } else if a.2 != b.2 {
        Reason::PeerAddress
    } else {
        Reason::PathId
    }
}

#[cfg(test)]
mod tests;
