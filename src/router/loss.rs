//! The loss of a session: what its routes were good for, and how the kernel hears of it in few changes.
//!
//! **Invariant:** the kernel leaves the lost next hops before anything is decided anew.

use super::io::{Fib, Output};
use super::table::{Path, SetId};
use super::{Observed, Router, SessionIndex};
use crate::bgp::family::{ByFamily, Families, Family};
use crate::bgp::hash::Map;
use crate::bgp::message::Nlri;
use crate::bgp::rib::numbers::Number;
use crate::bgp::session::Graceful;

/// Prefixes by the sets of next hops they left, and those they joined.
#[derive(Default)]
pub(super) struct Moves {
    by_sets: Map<(SetId, SetId), Vec<Number>>,
}

impl Router {
    /// A session is down. What is graceful stays as stale; the kernel leaves the next hops of a session that is lost
    /// altogether at once, then each prefix is decided anew.
    pub(super) fn down(&mut self, index: usize, why: &str, graceful: Option<Graceful>) {
        let peer = &mut self.peers[index];
        peer.up = false;
        peer.reset(Families::NONE);
        let kept = graceful.map_or(Families::NONE, |graceful| graceful.families);
        if kept.is_empty() {
            self.void(index, why);
            return self.tell_stale(index, 0, why);
        }
        let again = graceful.is_some_and(|graceful| graceful.again);
        for family in Family::ALL {
            if !kept.contains(family) {
                self.drop_paths(index, family.into(), why, |_| true);
            } else if !again {
                // What was stale already has had its time (RFC 4724, section 4.2).
                self.sweep_stale(index, family, why);
            }
        }
        self.mark_stale(index, kept);
        let stay = self.table.sources[index].held.values().sum();
        self.tell_stale(index, stay, why);
    }

    /// All routes of some families are stale from now on, for a limited time.
    pub(super) fn mark_stale(&mut self, index: usize, families: Families) {
        let until = self.now + self.config.options.stale;
        let peer = &mut self.peers[index];
        for family in families.iter() {
            peer.stale_until[family].get_or_insert(until);
        }
        self.table.mark_stale(peer.index, families);
    }

    /// All routes of a session are void.
    pub(super) fn void(&mut self, index: usize, why: &str) {
        self.peers[index].stale_until = ByFamily::default();
        if !self.table.sources[index].holds(Families::ALL) {
            return;
        }
        let session = self.peers[index].index;
        self.outputs
            .push_back(Output::Fib(Fib::NextHopDown { session }));
        let moves = self.take_paths(index, Families::ALL, why, |_| true);
        self.tell_moves(Some(session), moves);
    }

    /// Stale routes of a session that did not come again are gone.
    pub(super) fn sweep_stale(&mut self, index: usize, family: Family, why: &str) {
        if self.peers[index].stale_until[family].take().is_none() {
            return;
        }
        let present = self.table.sources[index].generation[family];
        self.drop_paths(index, family.into(), why, |path| path.generation != present);
    }

    fn drop_paths(
        &mut self,
        index: usize,
        families: Families,
        why: &str,
        lost: impl Fn(&Path) -> bool,
    ) {
        if self.table.sources[index].holds(families) {
            let moves = self.take_paths(index, families, why, lost);
            self.tell_moves(None, moves);
        }
    }

    /// Takes paths of a session out, and decides their prefixes anew. It looks through the paths of that session in these families
    /// alone: each was paid for with an announcement.
    fn take_paths(
        &mut self,
        index: usize,
        families: Families,
        why: &str,
        lost: impl Fn(&Path) -> bool,
    ) -> Moves {
        let (session, up) = (self.peers[index].index, self.peers[index].up);
        let mut moves = Moves::default();
        self.peers[index].telling.forget();
        for number in self.table.prefixes_of(session, families) {
            let (mut found, mut was_best) = (false, false);
            loop {
                let meant = |path: &Path| path.session == session && lost(path);
                let before = self.table.take_if(number, meant);
                let Some(path) = before.path else { break };
                found = true;
                was_best |= before.was_best;
                if up {
                    // Of a session that is down all is gone, and nobody is told of each.
                    let (prefix, path_id) = (self.table.numbers.prefix(number), path.path_id);
                    self.monitor(index, || Observed::gone(Nlri { prefix, path_id }));
                }
            }
            if found {
                self.record_withdrawn(index, self.table.numbers.prefix(number), why);
                self.leave(number, was_best, &mut moves);
                if !self.table.sources[index].holds(families) {
                    break;
                }
            }
        }
        moves
    }

    /// Decides anew for a prefix without telling the kernel yet.
    pub(super) fn leave(&mut self, number: Number, was_best: bool, moves: &mut Moves) {
        if self.deferral.is_some() {
            return;
        }
        let before = self.table.set(number);
        self.table.hops.hold(before);
        let decided = self.table.decide(number, was_best, self.multipath());
        if let Some((from, to)) = decided.moved {
            let hops = &mut self.table.hops;
            let numbers = moves.by_sets.entry((from, to)).or_insert_with(|| {
                hops.hold(from);
                hops.hold(to);
                Vec::new()
            });
            numbers.push(number);
        }
        self.table.hops.leave(before);
        self.offer(number, decided.advertise);
    }

    /// Tells the kernel what it does not know from the loss of a session's next hops alone.
    pub(super) fn tell_moves(&mut self, lost: Option<SessionIndex>, moves: Moves) {
        let mut moves: Vec<_> = moves.by_sets.into_iter().collect();
        moves.sort_unstable_by_key(|(_, numbers)| numbers.first().copied());
        let mut targets: Map<SetId, u32> = Map::default();
        for ((from, _), _) in &moves {
            *targets.entry(*from).or_default() += 1;
        }
        for ((from, to), numbers) in &moves {
            let hops = |set: &SetId| self.table.hops.of(*set).cloned();
            let (before, after) = (hops(from), hops(to));
            let is_lost = |hop: &super::NextHop| Some(hop.session) == lost;
            let (Some(before), Some(after)) = (before, after) else {
                self.tell_each(numbers, *to);
                continue;
            };
            let left = before.iter().filter(|hop| !is_lost(hop));
            if lost.is_some() && left.eq(after.iter()) {
                // The kernel has done so already.
                continue;
            }
            let alone = before.iter().all(is_lost);
            // Whoever still has the old set is one of those that hold it here.
            let all_moved = self.table.hops.prefixes(*from) == targets[from];
            if alone && all_moved && targets[from] == 1 {
                self.outputs.push_back(Output::Fib(Fib::Move {
                    from: before,
                    to: after,
                }));
            } else {
                self.tell_each(numbers, *to);
            }
        }
        for ((from, to), _) in moves {
            self.table.hops.leave(from);
            self.table.hops.leave(to);
        }
    }

    fn tell_each(&mut self, numbers: &[Number], to: SetId) {
        for &number in numbers {
            let fib = self.fib(number, to);
            self.outputs.push_back(Output::Fib(fib));
        }
    }
}
