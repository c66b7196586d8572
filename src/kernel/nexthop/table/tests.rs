//! The table against a model of the kernel, which refuses what Linux refuses and drops what Linux drops.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// What Linux keeps: objects by id, and routes to groups.
#[derive(Debug, Default)]
struct Kernel {
    hops: BTreeMap<u32, Gateway>,
    groups: BTreeMap<u32, Vec<u32>>,
    routes: BTreeMap<IpNet, u32>,
    multipath: BTreeMap<IpNet, Vec<Gateway>>,
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
            Change::DeleteObject { id } | Change::DeleteHop { id } => self.delete(*id),
            Change::Route { prefix, group } => {
                if !self.groups.contains_key(group) {
                    return false;
                }
                self.routes.insert(*prefix, *group);
            }
            Change::Multipath { prefix, hops } => {
                self.multipath.insert(*prefix, gateways(hops).collect());
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

    fn routes(&self) -> BTreeMap<IpNet, Vec<Gateway>> {
        let through = |group: &u32| self.groups[group].iter().map(|id| self.hops[id]).collect();
        self.routes
            .iter()
            .map(|(prefix, group)| (*prefix, through(group)))
            .chain(self.multipath.clone())
            .collect()
    }
}

/// Odd ones are IPv6.
fn hop(n: u8) -> NextHop {
    let address = if n.is_multiple_of(2) {
        Ipv4Addr::new(10, 0, n, 1).into()
    } else {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1).into()
    };
    NextHop {
        source: n.into(),
        address,
        oif: u32::from(n) + 2,
    }
}

fn prefix(n: u8) -> IpNet {
    IpNet::new_assert(Ipv4Addr::new(100, 64, n, 0).into(), 24)
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
    table.want_without(|lost| *lost == hop(0));
    let changes = table.plan();
    assert_eq!(
        changes,
        [
            Change::ReplaceGroup {
                id: 3,
                members: vec![2]
            },
            Change::DeleteHop { id: 1 }
        ]
    );
    for change in &changes {
        assert!(kernel.apply(change));
    }
    assert_eq!(kernel.routes()[&prefix(7)], [hop(1).gateway()]);
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
    assert_eq!(
        kernel.routes()[&prefix(7)],
        [hop(0).gateway(), hop(1).gateway()]
    );
}

#[test]
fn the_last_next_hop_waits_for_an_alternative() {
    let (mut table, mut kernel) = table_with(10, &[hop(0)]);
    table.want_without(|lost| *lost == hop(0));
    assert_eq!(flush(&mut table, &mut kernel), 0);
    for n in 0..10 {
        table.want(prefix(n), &[hop(2)]);
    }
    // The new next hop, the group, and the old next hop's end.
    assert_eq!(flush(&mut table, &mut kernel), 3);
    assert_eq!(kernel.routes()[&prefix(9)], [hop(2).gateway()]);
}

#[test]
fn an_interface_that_is_gone_takes_its_routes_along() {
    let (mut table, mut kernel) = table_with(4, &[hop(0)]);
    table.want(prefix(9), &[hop(0), hop(1)]);
    flush(&mut table, &mut kernel);
    table.dropped(|lost| lost.oif == 2);
    flush(&mut table, &mut kernel);
    assert_eq!(
        kernel.routes(),
        BTreeMap::from([(prefix(9), vec![hop(1).gateway()])])
    );
    assert_eq!((kernel.hops.len(), kernel.groups.len()), (1, 1));
}

#[test]
fn routes_of_a_lost_interface_move_without_the_group_the_kernel_dropped() {
    let (mut table, mut kernel) = table_with(5, &[hop(0)]);
    kernel.darken(hop(0).oif);
    table.dropped(|lost| lost.oif == hop(0).oif);
    for n in 0..5 {
        table.want(prefix(n), &[hop(1)]);
    }
    flush(&mut table, &mut kernel);
    assert_eq!(kernel.routes()[&prefix(4)], [hop(1).gateway()]);
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

/// What is decided for each prefix after the loss is so already, whatever parts it comes in.
#[test]
fn many_routes_that_lose_a_next_hop_are_one_change_and_no_more_follow() {
    let (mut table, mut kernel) = table_with(200, &[hop(0), hop(1)]);
    // Another group has the members that are left.
    table.want(prefix(200), &[hop(1)]);
    flush(&mut table, &mut kernel);
    table.want_without(|lost| *lost == hop(0));
    let changes = table.plan();
    let (removals, additions): (Vec<_>, Vec<_>) = changes.iter().partition(|c| c.is_removal());
    assert_eq!((additions.len(), removals.len()), (1, 1), "{changes:?}");
    assert!(changes.iter().all(|change| kernel.apply(change)));
    for n in 0..200 {
        table.want(prefix(n), &[hop(1)]);
        assert_eq!(flush(&mut table, &mut kernel), 0);
    }
    // A route added now joins one of the two groups, and both can be edited again.
    table.want(prefix(201), &[hop(1)]);
    assert_eq!(flush(&mut table, &mut kernel), 1);
    for n in 0..=201 {
        table.want(prefix(n), &[hop(1), hop(2)]);
    }
    assert_eq!(flush(&mut table, &mut kernel), 3);
}

#[test]
fn many_routes_without_an_alternative_go_with_their_group() {
    let (mut table, mut kernel) = table_with(200, &[hop(0)]);
    table.want_without(|lost| *lost == hop(0));
    assert_eq!(flush(&mut table, &mut kernel), 0);
    for n in 0..200 {
        table.want(prefix(n), &[]);
    }
    // The group with all its routes, and the next hop.
    assert_eq!(flush(&mut table, &mut kernel), 2);
    assert_eq!((kernel.routes(), table.len()), (BTreeMap::new(), 0));
}

#[test]
fn what_a_restart_left_stays_until_it_is_swept() {
    let (mut table, mut kernel) = table_with(5, &[hop(0), hop(1)]);
    table.mark_stale();
    assert_eq!(flush(&mut table, &mut kernel), 0);
    table.want(prefix(0), &[hop(0), hop(1)]);
    table.want(prefix(1), &[hop(0)]);
    table.want_without(|lost| *lost == hop(1));
    flush(&mut table, &mut kernel);
    assert_eq!(kernel.routes().len(), 5);
    table.want(prefix(2), &[]);
    assert_eq!(table.remove_stale(), 2);
    flush(&mut table, &mut kernel);
    let left: Vec<IpNet> = kernel.routes().into_keys().collect();
    assert_eq!(left, [prefix(0), prefix(1)]);
    assert_eq!(table.remove_stale(), 0);
}

#[test]
fn every_route_of_a_set_moves_with_one_change() {
    let (mut table, mut kernel) = table_with(200, &[hop(0)]);
    table.want_without(|lost| *lost == hop(0));
    assert_eq!(flush(&mut table, &mut kernel), 0);
    table.want_instead(&[hop(0)], &[hop(2), hop(1)]);
    // Two next hops, the group, and the end of the next hop that is lost.
    assert_eq!(flush(&mut table, &mut kernel), 4);
    assert_eq!(kernel.routes().len(), 200);
    assert_eq!(
        kernel.routes()[&prefix(9)],
        [hop(2).gateway(), hop(1).gateway()]
    );
    // When the kernel dropped the group, each route is written anew.
    kernel.darken(hop(1).oif);
    kernel.darken(hop(2).oif);
    table.dropped(|lost| *lost == hop(1) || *lost == hop(2));
    flush(&mut table, &mut kernel);
    assert_eq!((table.len(), kernel.routes().len()), (0, 0));
    table.want_instead(&[hop(1), hop(2)], &[hop(0)]);
    assert_eq!(flush(&mut table, &mut kernel), 202);
    assert_eq!((table.len(), kernel.routes().len()), (200, 200));
}

#[test]
fn two_who_tell_of_the_same_neighbour_are_one_next_hop() {
    let twice = NextHop {
        source: 9,
        ..hop(0)
    };
    let (mut table, mut kernel) = table_with(4, &[hop(0), twice, hop(1)]);
    assert_eq!(
        kernel.routes()[&prefix(0)],
        [hop(0).gateway(), hop(1).gateway()]
    );
    // The kernel's group stays as it is while one of them is left.
    table.want_without(|lost| lost.source == 9);
    for change in table.plan() {
        assert!(kernel.apply(&change), "refused: {change}");
    }
    assert_eq!(
        kernel.routes()[&prefix(0)],
        [hop(0).gateway(), hop(1).gateway()]
    );
    table.want_without(|lost| lost.source == 0);
    flush(&mut table, &mut kernel);
    assert_eq!(kernel.routes()[&prefix(0)], [hop(1).gateway()]);
}

#[derive(Debug, Clone)]
enum Act {
    Want(u8, Vec<u8>),
    Instead(Vec<u8>, Vec<u8>),
    Without(u8),
    Dropped(u8),
    Flush,
    Keep,
    Sweep,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let some = || prop::collection::vec(0u8..4, 1..4);
    let act = prop_oneof![
        6 => (0u8..6, prop::collection::vec(0u8..4, 0..4)).prop_map(|(p, hops)| Act::Want(p, hops)),
        2 => (some(), some()).prop_map(|(from, to)| Act::Instead(from, to)),
        1 => (0u8..4).prop_map(Act::Without),
        1 => (0u8..4).prop_map(Act::Dropped),
        2 => Just(Act::Flush),
        1 => Just(Act::Keep),
        1 => Just(Act::Sweep),
    ];
    prop::collection::vec(act, 0..60)
}

/// What is wanted for a prefix, and what of it the kernel can have.
#[derive(Debug, Clone, Default)]
struct Wish {
    hops: BTreeSet<NextHop>,
    held: BTreeSet<NextHop>,
    stale: bool,
}

fn set(hops: &[u8]) -> BTreeSet<NextHop> {
    hops.iter().map(|n| hop(*n)).collect()
}

proptest! {
    /// Whatever is asked in whatever order: nothing is refused, the kernel holds what is wanted, and no object is left over.
    #[test]
    fn the_kernel_holds_what_is_wanted(acts in acts(), objects in any::<bool>()) {
        let style = if objects { Style::Objects } else { Style::Multipath };
        let (mut table, mut kernel) = (Table::new(style), Kernel::default());
        let mut model: BTreeMap<IpNet, Wish> = BTreeMap::new();
        for act in acts.iter().chain([&Act::Flush]) {
            if matches!(act, Act::Dropped(_) | Act::Keep) {
                // As a router does: everything decided is written first.
                flush(&mut table, &mut kernel);
            }
            match act {
                Act::Want(p, hops) => {
                    let hops: Vec<NextHop> = hops.iter().map(|n| hop(*n)).collect();
                    table.want(prefix(*p), &hops);
                    let hops: BTreeSet<NextHop> = hops.into_iter().collect();
                    model.insert(prefix(*p), Wish { held: hops.clone(), hops, stale: false });
                }
                Act::Instead(from, to) => {
                    let (from, to) = (set(from), set(to));
                    let list = |set: &BTreeSet<NextHop>| set.iter().copied().collect::<Vec<_>>();
                    table.want_instead(&list(&from), &list(&to));
                    for wish in model.values_mut().filter(|wish| wish.hops == from) {
                        (wish.hops, wish.held) = (to.clone(), to.clone());
                    }
                }
                Act::Without(n) => {
                    table.want_without(|lost| *lost == hop(*n));
                    for wish in model.values_mut().filter(|wish| wish.hops.len() > 1) {
                        wish.hops.remove(&hop(*n));
                        wish.held.remove(&hop(*n));
                    }
                }
                Act::Dropped(n) => {
                    table.dropped(|lost| *lost == hop(*n));
                    for wish in model.values_mut() {
                        wish.held.remove(&hop(*n));
                    }
                }
                Act::Keep => {
                    table.mark_stale();
                    model.retain(|_, wish| !wish.hops.is_empty());
                    for wish in model.values_mut() {
                        wish.stale = true;
                    }
                }
                Act::Sweep => {
                    table.remove_stale();
                    model.retain(|_, wish| !wish.stale);
                }
                Act::Flush => {
                    flush(&mut table, &mut kernel);
                    let wanted: BTreeMap<IpNet, Vec<Gateway>> = model
                        .iter()
                        .filter(|(_, wish)| !wish.held.is_empty())
                        .map(|(prefix, wish)| (*prefix, wish.held.iter().map(NextHop::gateway).collect()))
                        .collect();
                    prop_assert_eq!(table.len(), wanted.len());
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
            for hop in table.gateways() {
                if !kernel.apply(&table.restore_hop(hop)) {
                    table.refused(hop);
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
        table.dropped(|lost| *lost == hop(dark));
        flush(&mut table, &mut kernel);
        let mut wanted: BTreeMap<IpNet, Vec<Gateway>> = BTreeMap::new();
        for (p, hops) in before.iter().chain(&after) {
            let held = set(hops).into_iter().filter(|held| *held != hop(dark));
            wanted.insert(prefix(*p), held.map(|hop| hop.gateway()).collect());
        }
        wanted.retain(|_, hops| !hops.is_empty());
        prop_assert_eq!(table.len(), wanted.len());
        prop_assert_eq!(kernel.routes(), wanted);
    }
}
