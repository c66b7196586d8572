//! Which route wins (RFC 4271, section 9.1.2.2; RFC 4456, section 9), with the reason.
//!
//! The routes that remain before the tie is broken by identifiers are equal: multipath uses them together.
//!
//! **Invariant:** the result does not depend on the order of the candidates.

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

    /// What breaks the tie: identifier of the originator, length of the cluster list, address.
    fn identity(&self) -> (Ipv4Addr, usize, IpAddr) {
        (
            self.attributes.originator_id.unwrap_or(self.peer_id),
            self.attributes.cluster_list.len(),
            self.peer_address,
        )
    }
}

/// Why a route won, or why another one lost to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// eBGP over iBGP.
    ExternalOverInternal,
    /// Lower BGP Identifier.
    RouterId,
    /// Shorter CLUSTER_LIST.
    ClusterListLength,
    /// Lower address of the neighbour.
    PeerAddress,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::OnlyRoute => "only route",
            Reason::LocalPref => "higher local preference",
            Reason::AsPathLength => "shorter AS path",
            Reason::Origin => "lower origin",
            Reason::Med => "lower MED",
            Reason::ExternalOverInternal => "eBGP over iBGP",
            Reason::RouterId => "lower BGP identifier",
            Reason::ClusterListLength => "shorter cluster list",
            Reason::PeerAddress => "lower address of the neighbour",
        })
    }
}

/// Chooses among candidates. `equal` receives the indexes of the best and of those equal to it, the best first,
/// at most `limit` (and at least one) of them.
///
/// Returns the step that decided; `None` when there is no candidate.
pub fn choose(
    candidates: &[Candidate<'_>],
    limit: usize,
    equal: &mut Vec<usize>,
) -> Option<Reason> {
    equal.clear();
    equal.extend(0..candidates.len());
    let mut decided = Reason::OnlyRoute;
    eliminate(candidates, equal, |_, reason| decided = reason);
    let (&first, rest) = equal.split_first()?;
    if let Some(&second) = rest.first() {
        decided = tie_break(&candidates[first], &candidates[second]);
    }
    equal.truncate(limit.max(1));
    Some(decided)
}

/// For each candidate why it lost; `None` for the best one.
pub fn explain(candidates: &[Candidate<'_>]) -> Vec<Option<Reason>> {
    let mut lost = vec![None; candidates.len()];
    let mut equal: Vec<usize> = (0..candidates.len()).collect();
    eliminate(candidates, &mut equal, |index, reason| {
        lost[index] = Some(reason);
    });
    if let Some((&best, rest)) = equal.split_first() {
        for &other in rest {
            lost[other] = Some(tie_break(&candidates[best], &candidates[other]));
        }
    }
    lost
}

/// Removes candidates step by step; those left are equal, sorted by what breaks the tie.
fn eliminate(
    candidates: &[Candidate<'_>],
    alive: &mut Vec<usize>,
    mut lost: impl FnMut(usize, Reason),
) {
    if alive.len() < 2 {
        return;
    }
    let mut keep = |alive: &mut Vec<usize>, reason, wins: &dyn Fn(usize) -> bool| {
        alive.retain(|&index| {
            let stays = wins(index);
            if !stays {
                lost(index, reason);
            }
            stays
        });
    };
    let best = |alive: &[usize], key: &dyn Fn(&Candidate<'_>) -> u64| {
        alive.iter().map(|&i| key(&candidates[i])).min()
    };
    type Key = fn(&Candidate<'_>) -> u64;
    let steps: [(Reason, Key); 3] = [
        (Reason::LocalPref, |c| u64::from(u32::MAX - c.local_pref())),
        (Reason::AsPathLength, |c| c.attributes.as_path.len() as u64),
        (Reason::Origin, |c| c.attributes.origin as u64),
    ];
    for (reason, key) in steps {
        let Some(lowest) = best(alive, &key) else {
            return;
        };
        keep(alive, reason, &|i| key(&candidates[i]) == lowest);
    }
    // MED is compared within a neighbouring AS only, and all at once: the order must not matter.
    let before = alive.clone();
    keep(alive, Reason::Med, &|i| {
        let me = &candidates[i];
        !before.iter().any(|&j| {
            let other = &candidates[j];
            other.neighbour_as() == me.neighbour_as() && other.med() < me.med()
        })
    });
    if alive.iter().any(|&i| candidates[i].external) {
        keep(alive, Reason::ExternalOverInternal, &|i| {
            candidates[i].external
        });
    }
    // Gap: step e, the interior cost of the next hop. All next hops are directly connected, so it is equal.
    alive.sort_by_key(|&i| candidates[i].identity());
}

fn tie_break(best: &Candidate<'_>, other: &Candidate<'_>) -> Reason {
    let (a, b) = (best.identity(), other.identity());
    if a.0 != b.0 {
        Reason::RouterId
    } else if a.1 != b.1 {
        Reason::ClusterListLength
    } else {
        Reason::PeerAddress
    }
}

#[cfg(test)]
mod tests;
