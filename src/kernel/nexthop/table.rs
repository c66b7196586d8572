//! What routes should be, what the kernel was told, and the fewest changes between the two.
//!
//! A group of next hops is one kernel object, and routes point to it. When every route of a group goes
//! to the same new set of next hops, one replacement of the group moves them all: this is what makes
//! losing or gaining a link cost one message whatever the number of prefixes.
//!
//! **Invariant:** pure; ids are never reused, so that a change meant for an object the kernel dropped
//! by itself fails instead of hitting another one.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use ipnet::Ipv4Net;

use super::NextHop;

/// A set of next hops: sorted, each once.
pub(super) type NextHops = Arc<[NextHop]>;

/// How routes with several next hops are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Through nexthop objects (Linux 5.3 and later).
    Objects,
    /// With the next hops inside every route.
    Multipath,
}

/// One message for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A nexthop object; fails when the id exists.
    CreateHop { id: u32, hop: NextHop },
    /// A group object; fails when the id exists or a member does not.
    CreateGroup { id: u32, members: Vec<u32> },
    /// New members for a group; fails when the group or a member does not exist.
    ReplaceGroup { id: u32, members: Vec<u32> },
    /// A nexthop object or group nothing refers to.
    DeleteObject { id: u32 },
    /// A route through a group, new or instead of the one there is.
    Route { prefix: Ipv4Net, group: u32 },
    /// A route with its next hops inside, new or instead of the one there is.
    Multipath { prefix: Ipv4Net, hops: NextHops },
    /// No route.
    DeleteRoute { prefix: Ipv4Net },
    /// A nexthop object, whether it exists or not.
    RestoreHop { id: u32, hop: NextHop },
    /// A group, whether it exists or not.
    RestoreGroup { id: u32, members: Vec<u32> },
}

impl Change {
    /// Whether the change only takes something away.
    pub(super) fn is_removal(&self) -> bool {
        matches!(
            self,
            Change::DeleteObject { .. } | Change::DeleteRoute { .. }
        )
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::CreateHop { id, hop } | Change::RestoreHop { id, hop } => write!(
                f,
                "nexthop {id} via {} on interface {}",
                hop.gateway, hop.oif
            ),
            Change::CreateGroup { id, members }
            | Change::ReplaceGroup { id, members }
            | Change::RestoreGroup { id, members } => {
                write!(f, "nexthop group {id} of {members:?}")
            }
            Change::DeleteObject { id } => write!(f, "delete nexthop {id}"),
            Change::Route { prefix, group } => write!(f, "route {prefix} nhid {group}"),
            Change::Multipath { prefix, hops } => write!(f, "route {prefix} via {hops:?}"),
            Change::DeleteRoute { prefix } => write!(f, "delete route {prefix}"),
        }
    }
}

#[derive(Debug)]
struct Group {
    hops: NextHops,
    /// Number of installed routes that point here.
    routes: u32,
    /// Its interfaces are gone, and the kernel drops it by itself: no route may join it, and it cannot be replaced.
    dead: bool,
}

/// The routes of one namespace.
#[derive(Debug)]
pub(super) struct Table {
    style: Style,
    next_id: u32,
    hops: BTreeMap<NextHop, u32>,
    groups: BTreeMap<u32, Group>,
    /// One group of each set; a set may have more after a group was replaced.
    by_hops: HashMap<NextHops, u32>,
    installed: BTreeMap<Ipv4Net, u32>,
    /// Wanted but not yet planned; no next hops means no route.
    wanted: BTreeMap<Ipv4Net, NextHops>,
}

impl Table {
    pub(super) fn new(style: Style) -> Table {
        Table {
            style,
            next_id: 1,
            hops: BTreeMap::new(),
            groups: BTreeMap::new(),
            by_hops: HashMap::new(),
            installed: BTreeMap::new(),
            wanted: BTreeMap::new(),
        }
    }

    /// Wants a route through `hops`; none of them means no route.
    pub(super) fn want(&mut self, prefix: Ipv4Net, hops: &[NextHop]) {
        let hops = match self.by_hops.get_key_value(hops) {
            Some((known, _)) => Arc::clone(known),
            None => BTreeSet::from_iter(hops.iter().copied())
                .into_iter()
                .collect(),
        };
        self.wanted.insert(prefix, hops);
    }

    /// The next hops of a prefix once everything wanted is done; none when it has no route.
    pub(super) fn wanted(&self, prefix: &Ipv4Net) -> &[NextHop] {
        match (self.wanted.get(prefix), self.installed.get(prefix)) {
            (Some(hops), _) => hops,
            (None, Some(group)) => &self.groups[group].hops,
            (None, None) => &[],
        }
    }

    /// Every prefix that has a route or shall have one.
    pub(super) fn prefixes(&self) -> BTreeSet<Ipv4Net> {
        self.installed
            .keys()
            .chain(self.wanted.keys())
            .copied()
            .collect()
    }

    /// Number of installed routes.
    pub(super) fn len(&self) -> usize {
        self.installed.len()
    }

    /// Takes lost next hops out of every route. A route left with none is removed when
    /// `remove_empty`, and otherwise left to whoever knows an alternative for it.
    pub(super) fn lose(&mut self, remove_empty: bool, lost: impl Fn(&NextHop) -> bool) {
        for hops in self.wanted.values_mut() {
            if hops.iter().any(&lost) {
                *hops = without(hops, &lost);
            }
        }
        let shrunk: BTreeMap<u32, NextHops> = self
            .groups
            .iter()
            .filter(|(_, group)| group.hops.iter().any(&lost))
            .map(|(id, group)| (*id, without(&group.hops, &lost)))
            .filter(|(_, hops)| remove_empty || !hops.is_empty())
            .collect();
        for (id, _) in shrunk.iter().filter(|(_, hops)| hops.is_empty()) {
            self.forget_set(*id);
            if let Some(group) = self.groups.get_mut(id) {
                group.dead = true;
            }
        }
        for (prefix, group) in &self.installed {
            if let (Some(hops), Entry::Vacant(vacant)) =
                (shrunk.get(group), self.wanted.entry(*prefix))
            {
                vacant.insert(Arc::clone(hops));
            }
        }
    }

    /// The changes that lead from what the kernel was told to what is wanted, in their order.
    pub(super) fn plan(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.retain(|prefix, hops| match self.installed.get(prefix) {
            Some(group) => {
                let group = &self.groups[group];
                group.dead || group.hops != *hops
            }
            None => !hops.is_empty(),
        });
        if wanted.is_empty() {
            return changes;
        }
        if self.style == Style::Objects {
            self.move_whole_groups(&mut wanted, &mut changes);
        }
        for (prefix, hops) in wanted {
            self.move_route(prefix, hops, &mut changes);
        }
        self.sweep(&mut changes);
        changes
    }

    /// Replaces every group whose routes all want the same next hops, and takes those routes off the list.
    fn move_whole_groups(
        &mut self,
        wanted: &mut BTreeMap<Ipv4Net, NextHops>,
        changes: &mut Vec<Change>,
    ) {
        // Per group: what its routes want while they agree, and how many want it.
        let mut leaving: BTreeMap<u32, (Option<&NextHops>, u32)> = BTreeMap::new();
        for (prefix, hops) in wanted.iter() {
            if let Some(group) = self.installed.get(prefix) {
                let (agreed, count) = leaving.entry(*group).or_insert((Some(hops), 0));
                *agreed = agreed.filter(|first| *first == hops);
                *count += 1;
            }
        }
        let moves: BTreeMap<u32, NextHops> = leaving
            .into_iter()
            .filter(|(id, (_, count))| {
                let group = &self.groups[id];
                group.routes == *count && !group.dead
            })
            .filter_map(|(id, (agreed, _))| {
                agreed
                    .filter(|hops| !hops.is_empty())
                    .map(|hops| (id, Arc::clone(hops)))
            })
            .collect();
        for (id, hops) in &moves {
            let members = self.members(hops, changes);
            changes.push(Change::ReplaceGroup { id: *id, members });
            self.forget_set(*id);
            if let Some(group) = self.groups.get_mut(id) {
                group.hops = Arc::clone(hops);
            }
            self.by_hops.entry(Arc::clone(hops)).or_insert(*id);
        }
        wanted.retain(|prefix, _| {
            self.installed
                .get(prefix)
                .is_none_or(|group| !moves.contains_key(group))
        });
    }

    /// Installs, replaces or removes one route.
    fn move_route(&mut self, prefix: Ipv4Net, hops: NextHops, changes: &mut Vec<Change>) {
        if let Some(old) = self.installed.remove(&prefix) {
            self.leave(old);
        }
        if hops.is_empty() {
            changes.push(Change::DeleteRoute { prefix });
            return;
        }
        let group = self.group(&hops, changes);
        changes.push(match self.style {
            Style::Objects => Change::Route { prefix, group },
            Style::Multipath => Change::Multipath { prefix, hops },
        });
        self.installed.insert(prefix, group);
        if let Some(group) = self.groups.get_mut(&group) {
            group.routes += 1;
        }
    }

    /// A group with exactly these next hops, made when there is none.
    fn group(&mut self, hops: &NextHops, changes: &mut Vec<Change>) -> u32 {
        if let Some(id) = self.by_hops.get(hops) {
            return *id;
        }
        let members = self.members(hops, changes);
        let id = self.fresh_id();
        if self.style == Style::Objects {
            changes.push(Change::CreateGroup { id, members });
        }
        self.groups.insert(
            id,
            Group {
                hops: Arc::clone(hops),
                routes: 0,
                dead: false,
            },
        );
        self.by_hops.insert(Arc::clone(hops), id);
        id
    }

    /// The ids of next hops, made where there are none.
    fn members(&mut self, hops: &NextHops, changes: &mut Vec<Change>) -> Vec<u32> {
        if self.style == Style::Multipath {
            return Vec::new();
        }
        hops.iter()
            .map(|hop| {
                if let Some(id) = self.hops.get(hop) {
                    return *id;
                }
                let id = self.fresh_id();
                changes.push(Change::CreateHop { id, hop: *hop });
                self.hops.insert(*hop, id);
                id
            })
            .collect()
    }

    /// Deletes groups without routes, then next hops without groups.
    fn sweep(&mut self, changes: &mut Vec<Change>) {
        let idle: Vec<u32> = self
            .groups
            .iter()
            .filter(|(_, group)| group.routes == 0)
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            self.forget_set(id);
            self.groups.remove(&id);
            if self.style == Style::Objects {
                changes.push(Change::DeleteObject { id });
            }
        }
        let groups = &self.groups;
        self.hops.retain(|hop, id| {
            let used = groups.values().any(|group| group.hops.contains(hop));
            if !used {
                changes.push(Change::DeleteObject { id: *id });
            }
            used
        });
    }

    /// The next hops the kernel was told of.
    pub(super) fn hops(&self) -> Vec<NextHop> {
        self.hops.keys().copied().collect()
    }

    /// Writes a next hop anew; for one of [`Table::hops`].
    pub(super) fn restore_hop(&self, hop: NextHop) -> Change {
        Change::RestoreHop {
            id: self.hops[&hop],
            hop,
        }
    }

    /// Writes all groups and routes anew.
    pub(super) fn restore(&self) -> Vec<Change> {
        let groups = self.groups.iter().map(|(id, group)| Change::RestoreGroup {
            id: *id,
            members: group.hops.iter().map(|hop| self.hops[hop]).collect(),
        });
        let routes = self.installed.iter().map(|(prefix, group)| {
            let (prefix, group) = (*prefix, *group);
            match self.style {
                Style::Objects => Change::Route { prefix, group },
                Style::Multipath => Change::Multipath {
                    prefix,
                    hops: Arc::clone(&self.groups[&group].hops),
                },
            }
        });
        match self.style {
            Style::Objects => groups.chain(routes).collect(),
            Style::Multipath => routes.collect(),
        }
    }

    fn leave(&mut self, group: u32) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.routes -= 1;
        }
    }

    /// Takes a group out of the index of sets.
    fn forget_set(&mut self, id: u32) {
        if let Some(group) = self.groups.get(&id)
            && self.by_hops.get(&group.hops) == Some(&id)
        {
            self.by_hops.remove(&group.hops);
        }
    }

    fn fresh_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

fn without(hops: &NextHops, lost: impl Fn(&NextHop) -> bool) -> NextHops {
    hops.iter().filter(|hop| !lost(hop)).copied().collect()
}

#[cfg(test)]
#[path = "table/tests.rs"]
mod tests;
