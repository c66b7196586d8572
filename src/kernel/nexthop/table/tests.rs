//! The table against a model of the kernel, which refuses what Linux refuses and drops what Linux drops.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

/// What Linux keeps: objects by id, and routes to groups.
#[derive(Debug, Default)]
struct Kernel {
    hops: BTreeMap<u32, NextHop>,
    groups: BTreeMap<u32, Vec<u32>>,
    routes: BTreeMap<Ipv4Net, u32>,
    multipath: BTreeMap<Ipv4Net, Vec<NextHop>>,
    dark: BTreeSet<u32>,
}

impl Kernel {
    /// False when it refuses.
    fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::CreateHop { id, .. } | Change::CreateGroup { id, .. }
                if self.hops.contains_key(id) || self.groups.contains_key(id) =>
            {
                return false;
            }
            Change::CreateHop { id, hop } | Change::RestoreHop { id, hop } => {
                if self.dark.contains(&hop.oif) {
                    return false;
                }
                self.hops.insert(*id, *hop);
            }
            Change::ReplaceGroup { id, .. } if !self.groups.contains_key(id) => return false,
            Change::CreateGroup { id, members }
            | Change::ReplaceGroup { id, members }
            | Change::RestoreGroup { id, members } => {
                if members.is_empty() || members.iter().any(|id| !self.hops.contains_key(id)) {
                    return false;
                }
                self.groups.insert(*id, members.clone());
            }
            Change::DeleteObject { id } => self.delete(*id),
            Change::Route { prefix, group } => {
                if !self.groups.contains_key(group) {
                    return false;
                }
                self.routes.insert(*prefix, *group);
            }
            Change::Multipath { prefix, hops } => {
                self.multipath.insert(*prefix, hops.to_vec());
            }
            Change::DeleteRoute { prefix } => {
                self.routes.remove(prefix);
                self.multipath.remove(prefix);
            }
        }
        true
    }

    /// Deletes an object, the groups it leaves empty, and the routes those leave.
    fn delete(&mut self, id: u32) {
        self.hops.remove(&id);
        self.groups.remove(&id);
        for members in self.groups.values_mut() {
            members.retain(|member| *member != id);
        }
        self.groups.retain(|_, members| !members.is_empty());
        self.routes
            .retain(|_, group| self.groups.contains_key(group));
    }

    /// An interface loses its carrier: Linux deletes its next hops.
    fn darken(&mut self, oif: u32) {
        self.dark.insert(oif);
        let lost: Vec<u32> = self
            .hops
            .iter()
            .filter(|(_, hop)| hop.oif == oif)
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.delete(id);
        }
    }

    fn routes(&self) -> BTreeMap<Ipv4Net, Vec<NextHop>> {
        let through = |group: &u32| self.groups[group].iter().map(|id| self.hops[id]).collect();
        self.routes
            .iter()
            .map(|(prefix, group)| (*prefix, through(group)))
            .chain(self.multipath.clone())
            .collect()
    }
}

fn hop(n: u8) -> NextHop {
    NextHop {
        gateway: Ipv4Addr::new(10, 0, n, 1),
        oif: u32::from(n) + 2,
    }
}

fn prefix(n: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(100, 64, n, 0), 24)
}

/// Plans and applies; returns how many changes it took.
fn flush(table: &mut Table, kernel: &mut Kernel) -> usize {
    let changes = table.plan();
    for change in &changes {
        assert!(kernel.apply(change), "refused: {change}");
    }
    changes.len()
}

fn table_with(routes: u8, hops: &[NextHop]) -> (Table, Kernel) {
    let (mut table, mut kernel) = (Table::new(Style::Objects), Kernel::default());
    for n in 0..routes {
        table.want(prefix(n), hops);
    }
    flush(&mut table, &mut kernel);
    (table, kernel)
}

#[test]
fn losing_one_of_two_next_hops_is_one_replacement() {
    let (mut table, mut kernel) = table_with(200, &[hop(0), hop(1)]);
    table.lose(false, |lost| *lost == hop(0));
    let changes = table.plan();
    assert_eq!(
        changes,
        [
            Change::ReplaceGroup {
                id: 3,
                members: vec![2]
            },
            Change::DeleteObject { id: 1 }
        ]
    );
    for change in &changes {
        assert!(kernel.apply(change));
    }
    assert_eq!(kernel.routes()[&prefix(7)], [hop(1)]);
    // What the decision process says afterwards is known already.
    for n in 0..200 {
        table.want(prefix(n), &[hop(1)]);
    }
    assert_eq!(flush(&mut table, &mut kernel), 0);
    // Its return is one message again, besides the next hop itself.
    for n in 0..200 {
        table.want(prefix(n), &[hop(1), hop(0)]);
    }
    assert_eq!(flush(&mut table, &mut kernel), 2);
    assert_eq!(kernel.routes()[&prefix(7)], [hop(0), hop(1)]);
}

#[test]
fn the_last_next_hop_waits_for_an_alternative() {
    let (mut table, mut kernel) = table_with(10, &[hop(0)]);
    table.lose(false, |lost| *lost == hop(0));
    assert_eq!(flush(&mut table, &mut kernel), 0);
    for n in 0..10 {
        table.want(prefix(n), &[hop(2)]);
    }
    // The new next hop, the group, and the old next hop's end.
    assert_eq!(flush(&mut table, &mut kernel), 3);
    assert_eq!(kernel.routes()[&prefix(9)], [hop(2)]);
}

#[test]
fn an_interface_that_is_gone_takes_its_routes_along() {
    let (mut table, mut kernel) = table_with(4, &[hop(0)]);
    table.want(prefix(9), &[hop(0), hop(1)]);
    flush(&mut table, &mut kernel);
    table.lose(true, |lost| lost.oif == 2);
    flush(&mut table, &mut kernel);
    assert_eq!(kernel.routes(), BTreeMap::from([(prefix(9), vec![hop(1)])]));
    assert_eq!((kernel.hops.len(), kernel.groups.len()), (1, 1));
}

#[test]
fn routes_of_a_lost_interface_move_without_the_group_the_kernel_dropped() {
    let (mut table, mut kernel) = table_with(5, &[hop(0)]);
    kernel.darken(hop(0).oif);
    table.lose(true, |lost| lost.oif == hop(0).oif);
    for n in 0..5 {
        table.want(prefix(n), &[hop(1)]);
    }
    flush(&mut table, &mut kernel);
    assert_eq!(kernel.routes()[&prefix(4)], [hop(1)]);
}

#[test]
fn a_wish_taken_back_before_the_flush_is_no_change() {
    let (mut table, mut kernel) = table_with(3, &[hop(0), hop(1)]);
    table.want(prefix(1), &[]);
    table.want(prefix(1), &[hop(1), hop(0), hop(1)]);
    table.want(prefix(77), &[hop(5)]);
    table.want(prefix(77), &[]);
    assert_eq!(flush(&mut table, &mut kernel), 0);
}

#[derive(Debug, Clone)]
enum Act {
    Want(u8, Vec<u8>),
    Lose(u8),
    Flush,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (0u8..6, prop::collection::vec(0u8..4, 0..4)).prop_map(|(p, hops)| Act::Want(p, hops)),
        1 => (0u8..4).prop_map(Act::Lose),
        2 => Just(Act::Flush),
    ];
    prop::collection::vec(act, 0..60)
}

proptest! {
    /// Whatever is asked in whatever order: nothing is refused, the kernel holds what is wanted, and no object is left over.
    #[test]
    fn the_kernel_holds_what_is_wanted(acts in acts(), objects in any::<bool>()) {
        let style = if objects { Style::Objects } else { Style::Multipath };
        let (mut table, mut kernel) = (Table::new(style), Kernel::default());
        let mut model: BTreeMap<Ipv4Net, BTreeSet<NextHop>> = BTreeMap::new();
        for act in acts.iter().chain([&Act::Flush]) {
            match act {
                Act::Want(p, hops) => {
                    let hops: Vec<NextHop> = hops.iter().map(|n| hop(*n)).collect();
                    table.want(prefix(*p), &hops);
                    model.insert(prefix(*p), hops.into_iter().collect());
                }
                Act::Lose(n) => {
                    table.lose(true, |lost| *lost == hop(*n));
                    for hops in model.values_mut() {
                        hops.remove(&hop(*n));
                    }
                }
                Act::Flush => {
                    flush(&mut table, &mut kernel);
                    model.retain(|_, hops| !hops.is_empty());
                    let wanted: BTreeMap<Ipv4Net, Vec<NextHop>> = model
                        .iter()
                        .map(|(prefix, hops)| (*prefix, hops.iter().copied().collect()))
                        .collect();
                    prop_assert_eq!(kernel.routes(), wanted);
                    let groups: BTreeSet<u32> = kernel.routes.values().copied().collect();
                    prop_assert_eq!(groups, kernel.groups.keys().copied().collect());
                    let members: BTreeSet<u32> = kernel.groups.values().flatten().copied().collect();
                    prop_assert_eq!(members, kernel.hops.keys().copied().collect());
                }
            }
        }
    }

    /// The kernel dropped objects behind our back: either every change is taken and true, or one is refused, and
    /// writing all of it anew without the next hops it refuses makes it true.
    #[test]
    fn a_kernel_that_dropped_objects_is_noticed(
        before in prop::collection::vec((0u8..6, prop::collection::vec(0u8..4, 1..4)), 1..12),
        dark in 0u8..4,
        after in prop::collection::vec((0u8..6, prop::collection::vec(0u8..4, 0..4)), 1..6),
    ) {
        let (mut table, mut kernel) = (Table::new(Style::Objects), Kernel::default());
        for (p, hops) in &before {
            table.want(prefix(*p), &hops.iter().map(|n| hop(*n)).collect::<Vec<_>>());
        }
        flush(&mut table, &mut kernel);
        kernel.darken(hop(dark).oif);
        for (p, hops) in &after {
            table.want(prefix(*p), &hops.iter().map(|n| hop(*n)).collect::<Vec<_>>());
        }
        let changes = table.plan();
        let refused = changes.iter().filter(|change| !kernel.apply(change)).count();
        if refused > 0 {
            for hop in table.hops() {
                if !kernel.apply(&table.restore_hop(hop)) {
                    table.lose(true, |lost| *lost == hop);
                }
            }
            let removals = table.plan();
            for change in table.restore() {
                prop_assert!(kernel.apply(&change), "refused: {change}");
            }
            for change in removals.iter().filter(|change| change.is_removal()) {
                kernel.apply(change);
            }
        }
        // The carrier event arrives.
        table.lose(true, |lost| *lost == hop(dark));
        flush(&mut table, &mut kernel);
        let wanted: BTreeMap<Ipv4Net, Vec<NextHop>> = table
            .prefixes()
            .into_iter()
            .map(|prefix| (prefix, table.wanted(&prefix).to_vec()))
            .collect();
        prop_assert_eq!(kernel.routes(), wanted);
    }
}
