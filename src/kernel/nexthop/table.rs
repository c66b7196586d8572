//! What routes should be, what the kernel was told, and the fewest changes between the two.
//!
//! A group of next hops is one kernel object, and routes point to it. When every route of a group goes
//! to the same new set of next hops, one replacement of the group moves them all: this is what makes
//! losing or gaining a link cost one message whatever the number of prefixes. A group that was edited is found under
//! its new members from then on: what is decided for each prefix afterwards turns out to be so already.
//!
//! **Invariant:** pure; ids are never reused, so that a change meant for an object the kernel dropped
//! by itself fails instead of hitting another one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ipnet::IpNet;

use super::change::{Change, NextHops, Style};
use super::prefixes::Prefixes;
use super::{Gateway, NextHop};

/// Groups of at most so many routes are not deleted as a whole: the routes are removed one by one, because the
/// kernel tells those who listen about each, and says nothing of routes that go with their group.
const ONE_BY_ONE: u32 = if cfg!(test) { 3 } else { 512 };

/// Routes with the same next hops.
#[derive(Debug)]
struct Group {
    /// What is wanted; never empty.
    wish: NextHops,
    /// What the kernel can have: the wish without next hops it dropped or refused. A group that has none of them is
    /// dead: neither it nor its routes are in the kernel, and they come back one by one when they are wanted anew.
    hops: NextHops,
    /// Number of routes that point here.
    routes: u32,
    /// The kernel was told of other members.
    edited: bool,
}

impl Group {
    fn is_dead(&self) -> bool {
        self.hops.is_empty()
    }

    /// Whether the kernel has everything that is wanted.
    fn is_whole(&self) -> bool {
        self.wish.len() == self.hops.len()
    }
}

/// A route: its group, and whether it is left from before a restart and not yet wanted anew.
#[derive(Debug, Clone, Copy)]
struct Route(u32);

impl Route {
    const STALE: u32 = 1 << 31;

    fn group(self) -> u32 {
        self.0 & !Route::STALE
    }

    fn is_stale(self) -> bool {
        self.0 & Route::STALE != 0
    }
}

/// The routes of one namespace.
#[derive(Debug)]
pub(super) struct Table {
    style: Style,
    next_id: u32,
    objects: BTreeMap<Gateway, u32>,
    groups: BTreeMap<u32, Group>,
    /// One whole group of each set; a set may have more after a group was edited.
    by_hops: HashMap<NextHops, u32>,
    routes: Prefixes<Route>,
    /// Wanted but not yet planned; no next hops means no route.
    wanted: Prefixes<NextHops>,
    /// Groups to delete with all routes that point there in the kernel.
    doomed: Vec<u32>,
    /// Prefixes that may have a route in the kernel through another group than here.
    astray: Vec<IpNet>,
}

impl Table {
    pub(super) fn new(style: Style) -> Table {
        Table {
            style,
            next_id: 1,
            objects: BTreeMap::new(),
            groups: BTreeMap::new(),
            by_hops: HashMap::new(),
            routes: Prefixes::default(),
            wanted: Prefixes::default(),
            doomed: Vec::new(),
            astray: Vec::new(),
        }
    }

    /// Wants a route through `hops`; none of them means no route.
    pub(super) fn want(&mut self, prefix: IpNet, hops: &[NextHop]) {
        if let Some(route) = self.routes.get_mut(&prefix) {
            *route = Route(route.group());
            let group = &self.groups[&route.group()];
            if group.is_whole() && *group.wish == *hops {
                if !self.wanted.is_empty() {
                    self.wanted.remove(&prefix);
                }
                return;
            }
        }
        let hops = self.shared(hops);
        self.wanted.insert(prefix, hops);
    }

    /// Wants `to` for every route for which exactly `from` is wanted: one change, unless the kernel lost those routes.
    pub(super) fn want_instead(&mut self, from: &[NextHop], to: &[NextHop]) {
        let (from, to) = (self.shared(from), self.shared(to));
        for hops in self.wanted.values_mut().filter(|hops| **hops == from) {
            *hops = Arc::clone(&to);
        }
        let concerned = self.groups.iter().filter(|(_, group)| group.wish == from);
        let (dead, alive): (Vec<_>, Vec<_>) = concerned.partition(|(_, group)| group.is_dead());
        let (dead, alive) = (ids(&dead), ids(&alive));
        for id in alive {
            self.edit(id, &to, &to);
        }
        if dead.is_empty() {
            return;
        }
        for (prefix, route) in self.routes.iter() {
            if dead.contains(&route.group()) && self.wanted.get(&prefix).is_none() {
                self.wanted.insert(prefix, Arc::clone(&to));
            }
        }
    }

    /// The next hops of a prefix once everything wanted is done; none when it has no route.
    pub(super) fn wanted(&self, prefix: &IpNet) -> &[NextHop] {
        match (self.wanted.get(prefix), self.routes.get(prefix)) {
            (Some(hops), _) => hops,
            (None, Some(route)) => &self.groups[&route.group()].hops,
            (None, None) => &[],
        }
    }

    /// Wants no route at all.
    pub(super) fn clear(&mut self) {
        self.wanted = Prefixes::default();
        let nothing: NextHops = Arc::new([]);
        for (prefix, _) in self.routes.iter() {
            self.wanted.insert(prefix, Arc::clone(&nothing));
        }
    }

    /// Number of routes in the kernel.
    pub(super) fn len(&self) -> usize {
        let alive = self.groups.values().filter(|group| !group.is_dead());
        alive.map(|group| group.routes as usize).sum()
    }

    /// From now on every route is stale until it is wanted again.
    pub(super) fn mark_stale(&mut self) {
        for route in self.routes.values_mut() {
            route.0 |= Route::STALE;
        }
    }

    /// Wants no stale route any more; returns how many there were.
    pub(super) fn remove_stale(&mut self) -> usize {
        let nothing: NextHops = Arc::new([]);
        let mut stale = 0;
        for (prefix, _) in self.routes.iter().filter(|(_, route)| route.is_stale()) {
            self.wanted.insert(prefix, Arc::clone(&nothing));
            stale += 1;
        }
        stale
    }

    /// Wants next hops no longer in any route that has others, at a cost that depends on the number of groups, not of
    /// routes. A route that has no other is left to whoever knows an alternative for it.
    pub(super) fn want_without(&mut self, lost: impl Fn(&NextHop) -> bool) {
        for hops in self.wanted.values_mut() {
            if hops.iter().any(&lost) && !hops.iter().all(&lost) {
                *hops = without(hops, &lost);
            }
        }
        let shrunk: Vec<(u32, NextHops, NextHops)> = self
            .groups
            .iter()
            .filter(|(_, group)| group.wish.iter().any(&lost) && !group.wish.iter().all(&lost))
            .map(|(id, group)| {
                (
                    *id,
                    without(&group.wish, &lost),
                    without(&group.hops, &lost),
                )
            })
            .collect();
        for (id, wish, hops) in shrunk {
            self.edit(id, &wish, &hops);
        }
    }

    /// The kernel drops next hops, and routes that have no other with them. They stay wanted, as their neighbours
    /// are to be heard of.
    pub(super) fn dropped(&mut self, lost: impl Fn(&NextHop) -> bool) {
        let shrunk: Vec<(u32, NextHops, NextHops)> = self
            .groups
            .iter()
            .filter(|(_, group)| group.hops.iter().any(&lost))
            .map(|(id, group)| (*id, Arc::clone(&group.wish), without(&group.hops, &lost)))
            .collect();
        for (id, wish, hops) in shrunk {
            self.edit(id, &wish, &hops);
        }
    }

    /// The kernel refused a next hop, and may have routes where it was told to move them away from.
    pub(super) fn refused(&mut self, gateway: Gateway) {
        let lost = |hop: &NextHop| hop.gateway() == gateway;
        let emptied = self
            .groups
            .iter()
            .filter(|(_, group)| group.hops.iter().any(lost) && group.hops.iter().all(lost));
        let emptied = ids(&emptied.collect::<Vec<_>>());
        self.dropped(lost);
        for (prefix, route) in self.routes.iter() {
            if emptied.contains(&route.group()) {
                self.astray.push(prefix);
            }
        }
    }

    /// Gives a group other members, and finds it under them from now on.
    fn edit(&mut self, id: u32, wish: &NextHops, hops: &NextHops) {
        self.forget_set(id);
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        group.edited |= group.hops != *hops;
        (group.wish, group.hops) = (Arc::clone(wish), Arc::clone(hops));
        if group.is_whole() {
            self.by_hops.entry(Arc::clone(hops)).or_insert(id);
        }
    }

    /// The changes that lead from what the kernel was told to what is wanted, in their order.
    pub(super) fn plan(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.retain(|prefix, hops| match self.routes.get(&prefix) {
            Some(route) => {
                let group = &self.groups[&route.group()];
                !group.is_whole() || group.wish != *hops
            }
            None => !hops.is_empty(),
        });
        if self.style == Style::Objects {
            self.move_whole_groups(&mut wanted);
        }
        self.write_edits(&wanted, &mut changes);
        for (prefix, hops) in wanted.into_sorted() {
            self.move_route(prefix, hops, &mut changes);
        }
        self.sweep(&mut changes);
        changes
    }

    /// Edits every group whose routes all want the same next hops, dooms it when they want none, and takes those
    /// routes off the list.
    fn move_whole_groups(&mut self, wanted: &mut Prefixes<NextHops>) {
        // Per group: what its routes want while they agree, and how many want it.
        let mut leaving: BTreeMap<u32, (Option<&NextHops>, u32)> = BTreeMap::new();
        for (prefix, hops) in wanted.iter() {
            if let Some(route) = self.routes.get(&prefix) {
                let (agreed, count) = leaving.entry(route.group()).or_insert((Some(hops), 0));
                *agreed = agreed.filter(|first| Arc::ptr_eq(first, hops) || *first == hops);
                *count += 1;
            }
        }
        let moves: BTreeMap<u32, NextHops> = leaving
            .into_iter()
            .filter(|(id, (_, count))| {
                let group = &self.groups[id];
                group.routes == *count && !group.is_dead()
            })
            .filter_map(|(id, (agreed, count))| {
                agreed
                    .filter(|hops| !hops.is_empty() || count > ONE_BY_ONE)
                    .map(|hops| (id, Arc::clone(hops)))
            })
            .collect();
        if moves.is_empty() {
            return;
        }
        wanted.retain(|prefix, _| {
            let route = self.routes.get(&prefix);
            route.is_none_or(|route| !moves.contains_key(&route.group()))
        });
        for (id, hops) in moves.iter().filter(|(_, hops)| !hops.is_empty()) {
            self.edit(*id, hops, hops);
        }
        let removed = moves.iter().filter(|(_, hops)| hops.is_empty());
        let removed: Vec<u32> = removed.map(|(id, _)| *id).collect();
        if removed.is_empty() {
            return;
        }
        self.routes
            .retain(|_, route| !removed.contains(&route.group()));
        for id in removed {
            self.forget_set(id);
            self.groups.remove(&id);
            self.doomed.push(id);
        }
    }

    /// Tells the kernel the members of edited groups.
    fn write_edits(&mut self, wanted: &Prefixes<NextHops>, changes: &mut Vec<Change>) {
        let edited = self.groups.iter_mut().filter(|(_, group)| group.edited);
        let edited: BTreeMap<u32, NextHops> = edited
            .map(|(id, group)| {
                group.edited = false;
                (*id, Arc::clone(&group.hops))
            })
            .collect();
        if self.style == Style::Multipath && !edited.is_empty() {
            for (prefix, route) in self.routes.iter() {
                if let Some(hops) = edited.get(&route.group())
                    && wanted.get(&prefix).is_none()
                {
                    changes.push(multipath(prefix, hops));
                }
            }
            return;
        }
        for (id, hops) in edited {
            if hops.is_empty() {
                self.doomed.push(id);
            } else {
                let members = self.members(&hops, changes);
                changes.push(Change::ReplaceGroup { id, members });
            }
        }
    }

    /// Installs, replaces or removes one route.
    fn move_route(&mut self, prefix: IpNet, hops: NextHops, changes: &mut Vec<Change>) {
        // Only a wish makes a route fresh, not that a loss moves it.
        let mut stale = 0;
        if let Some(old) = self.routes.get(&prefix).copied() {
            stale = old.0 & Route::STALE;
            if let Some(group) = self.groups.get_mut(&old.group()) {
                group.routes -= 1;
            }
        }
        if hops.is_empty() {
            self.routes.remove(&prefix);
            changes.push(Change::DeleteRoute { prefix });
            return;
        }
        let group = self.group(&hops, changes);
        changes.push(match self.style {
            Style::Objects => Change::Route { prefix, group },
            Style::Multipath => multipath(prefix, &hops),
        });
        self.routes.insert(prefix, Route(group | stale));
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
        let group = Group {
            wish: Arc::clone(hops),
            hops: Arc::clone(hops),
            routes: 0,
            edited: false,
        };
        self.groups.insert(id, group);
        self.by_hops.insert(Arc::clone(hops), id);
        id
    }

    /// The objects of next hops, made where there are none.
    fn members(&mut self, hops: &NextHops, changes: &mut Vec<Change>) -> Vec<u32> {
        if self.style == Style::Multipath {
            return Vec::new();
        }
        let gateways = gateways(hops).map(|hop| {
            if let Some(id) = self.objects.get(&hop) {
                return *id;
            }
            let id = self.fresh_id();
            changes.push(Change::CreateHop { id, hop });
            self.objects.insert(hop, id);
            id
        });
        gateways.collect()
    }

    /// Deletes doomed groups and those without routes, then next hops without groups.
    fn sweep(&mut self, changes: &mut Vec<Change>) {
        self.routes.shrink();
        let astray = self.astray.drain(..);
        changes.extend(astray.map(|prefix| Change::DeleteRoute { prefix }));
        let idle = self.groups.iter().filter(|(_, group)| group.routes == 0);
        for id in ids(&idle.collect::<Vec<_>>()) {
            self.forget_set(id);
            let group = self.groups.remove(&id);
            if self.style == Style::Objects && group.is_some_and(|group| !group.is_dead()) {
                self.doomed.push(id);
            }
        }
        let doomed = self.doomed.drain(..);
        changes.extend(doomed.map(|id| Change::DeleteObject { id }));
        if self.objects.is_empty() {
            return;
        }
        let used: BTreeSet<Gateway> = self
            .groups
            .values()
            .flat_map(|group| gateways(&group.hops))
            .collect();
        self.objects.retain(|hop, id| {
            let used = used.contains(hop);
            if !used {
                changes.push(Change::DeleteHop { id: *id });
            }
            used
        });
    }

    /// The next hops the kernel was told of.
    pub(super) fn gateways(&self) -> Vec<Gateway> {
        self.objects.keys().copied().collect()
    }

    /// Writes a next hop anew; for one of [`Table::gateways`].
    pub(super) fn restore_hop(&self, hop: Gateway) -> Change {
        Change::RestoreHop {
            id: self.objects[&hop],
            hop,
        }
    }

    /// Writes all groups and routes anew.
    pub(super) fn restore(&self) -> Vec<Change> {
        let alive = self.groups.iter().filter(|(_, group)| !group.is_dead());
        let groups = alive.map(|(id, group)| Change::RestoreGroup {
            id: *id,
            members: gateways(&group.hops)
                .map(|hop| self.objects[&hop])
                .collect(),
        });
        let routes = self.routes.iter().filter_map(|(prefix, route)| {
            let (id, group) = (route.group(), &self.groups[&route.group()]);
            let change = match self.style {
                Style::Objects => Change::Route { prefix, group: id },
                Style::Multipath => multipath(prefix, &group.hops),
            };
            (!group.is_dead()).then_some(change)
        });
        match self.style {
            Style::Objects => groups.chain(routes).collect(),
            Style::Multipath => routes.collect(),
        }
    }

    /// A set of next hops, shared with the group that has it.
    fn shared(&self, hops: &[NextHop]) -> NextHops {
        match self.by_hops.get_key_value(hops) {
            Some((known, _)) => Arc::clone(known),
            None => BTreeSet::from_iter(hops.iter().copied())
                .into_iter()
                .collect(),
        }
    }

    /// Takes a group out of the index of sets.
    fn forget_set(&mut self, id: u32) {
        if let Some(group) = self.groups.get(&id)
            && self.by_hops.get(&group.wish) == Some(&id)
        {
            self.by_hops.remove(&group.wish);
        }
    }

    fn fresh_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }
}

fn ids(groups: &[(&u32, &Group)]) -> Vec<u32> {
    groups.iter().map(|(id, _)| **id).collect()
}

fn without(hops: &NextHops, lost: impl Fn(&NextHop) -> bool) -> NextHops {
    hops.iter().filter(|hop| !lost(hop)).copied().collect()
}

/// A route with its next hops inside, or none.
fn multipath(prefix: IpNet, hops: &NextHops) -> Change {
    if hops.is_empty() {
        return Change::DeleteRoute { prefix };
    }
    Change::Multipath {
        prefix,
        hops: Arc::clone(hops),
    }
}

/// Each gateway once, whoever told of it.
pub(super) fn gateways(hops: &[NextHop]) -> impl Iterator<Item = Gateway> + '_ {
    let told_before =
        |place: usize| place > 0 && hops[place - 1].gateway() == hops[place].gateway();
    (0..hops.len())
        .filter(move |place| !told_before(*place))
        .map(|place| hops[place].gateway())
}

#[cfg(test)]
#[path = "table/tests.rs"]
mod tests;
