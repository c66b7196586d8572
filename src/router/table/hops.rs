//! Next hops and sets of them, each once.
//!
//! **Invariant:** equal sets of next hops are the same `Arc` while a prefix uses them.

use std::sync::Arc;

use crate::bgp::hash::Map;
use crate::router::NextHop;

/// One next hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::router) struct HopId(u16);

/// A set of next hops, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::router) struct SetId(u32);

impl SetId {
    /// No next hops.
    pub const NONE: SetId = SetId(u32::MAX);
}

#[derive(Debug, Default)]
pub(in crate::router) struct Hops {
    hops: Vec<NextHop>,
    /// The interior cost of the way to each.
    costs: Vec<u32>,
    ids: Map<NextHop, HopId>,
    sets: Vec<Set>,
    by_hops: Map<Arc<[NextHop]>, SetId>,
    /// The set of one next hop alone, by its id, where it was asked for.
    alone: Vec<SetId>,
    free: Vec<SetId>,
}

#[derive(Debug)]
struct Set {
    hops: Arc<[NextHop]>,
    /// How many prefixes use it.
    prefixes: u32,
}

impl Hops {
    /// The id of a next hop, whose link always costs the same. `None` when 65,535 others are known: more no network here has.
    pub fn id(&mut self, hop: &NextHop, cost: u32) -> Option<HopId> {
        if let Some(&id) = self.ids.get(hop) {
            return Some(id);
        }
        let id = HopId(u16::try_from(self.hops.len()).ok()?);
        self.hops.push(hop.clone());
        self.costs.push(cost);
        self.alone.push(SetId::NONE);
        self.ids.insert(hop.clone(), id);
        Some(id)
    }

    /// The interior cost of the way to a next hop.
    pub fn cost(&self, hop: HopId) -> u32 {
        self.costs[usize::from(hop.0)]
    }

    /// All next hops there ever were.
    pub fn all(&self) -> &[NextHop] {
        &self.hops
    }

    /// The next hops of a set; none for [`SetId::NONE`].
    pub fn of(&self, set: SetId) -> Option<&Arc<[NextHop]>> {
        self.sets.get(set.0 as usize).map(|set| &set.hops)
    }

    /// The set of these next hops, used by one prefix more.
    pub fn join(&mut self, ids: &mut Vec<HopId>) -> SetId {
        ids.sort_unstable();
        ids.dedup();
        let set = match ids.as_slice() {
            [] => return SetId::NONE,
            [one] => {
                let known = self.alone[usize::from(one.0)];
                if known == SetId::NONE {
                    let made = self.make(ids);
                    self.alone[usize::from(ids[0].0)] = made;
                    made
                } else {
                    known
                }
            }
            _ => self.make(ids),
        };
        self.sets[set.0 as usize].prefixes += 1;
        set
    }

    /// Keeps a set as if one prefix more used it.
    pub fn hold(&mut self, set: SetId) {
        if let Some(used) = self.sets.get_mut(set.0 as usize) {
            used.prefixes += 1;
        }
    }

    /// One prefix less uses a set.
    pub fn leave(&mut self, set: SetId) {
        let Some(used) = self.sets.get_mut(set.0 as usize) else {
            return;
        };
        used.prefixes -= 1;
        if used.prefixes == 0 {
            let hops = std::mem::replace(&mut used.hops, Arc::new([]));
            self.by_hops.remove(&hops);
            if let [hop] = &*hops
                && let Some(id) = self.ids.get(hop)
            {
                self.alone[usize::from(id.0)] = SetId::NONE;
            }
            self.free.push(set);
        }
    }

    /// How many prefixes use a set.
    pub fn prefixes(&self, set: SetId) -> u32 {
        self.sets.get(set.0 as usize).map_or(0, |set| set.prefixes)
    }

    fn make(&mut self, ids: &[HopId]) -> SetId {
        let mut hops: Vec<NextHop> = ids
            .iter()
            .map(|id| self.hops[usize::from(id.0)].clone())
            .collect();
        hops.sort();
        if let Some(&set) = self.by_hops.get(hops.as_slice()) {
            return set;
        }
        let set = Set {
            hops: hops.into(),
            prefixes: 0,
        };
        let hops = set.hops.clone();
        let id = match self.free.pop() {
            Some(id) => {
                self.sets[id.0 as usize] = set;
                id
            }
            None => {
                self.sets.push(set);
                SetId(self.sets.len() as u32 - 1)
            }
        };
        self.by_hops.insert(hops, id);
        id
    }
}
