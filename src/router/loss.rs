//! The loss of a session: what its routes were good for, and how the kernel hears of it in few changes.
//!
//! **Invariant:** the kernel leaves the lost next hops before anything is decided anew.

use super::io::{Fib, Output};
use super::table::SetId;
use super::{Router, SessionIndex};
use crate::bgp::hash::Map;
use crate::bgp::rib::numbers::Number;

/// Prefixes by the sets of next hops they left, and those they joined.
#[derive(Default)]
struct Moves {
    by_sets: Map<(SetId, SetId), Vec<Number>>,
}

impl Router {
    /// A session is lost: the kernel leaves its next hops at once, then each prefix is decided anew.
    pub(super) fn void(&mut self, index: usize, why: &str) {
        let peer = &mut self.peers[index];
        peer.up = false;
        peer.rib_out.clear();
        if self.table.sources[index].held == 0 {
            return;
        }
        let session = self.peers[index].index;
        self.outputs
            .push_back(Output::Fib(Fib::NextHopDown { session }));
        let mut moves = Moves::default();
        for number in self.table.all() {
            let (mut found, mut was_best) = (false, false);
            loop {
                let before = self.table.take_if(number, |path| path.session == session);
                if before.path.is_none() {
                    break;
                }
                found = true;
                was_best |= before.was_best;
            }
            if found {
                self.record_withdrawn(index, self.table.numbers.prefix(number), why);
                self.leave(number, was_best, &mut moves);
                if self.table.sources[index].held == 0 {
                    break;
                }
            }
        }
        self.tell_moves(session, moves);
    }

    /// Decides anew for a prefix without telling the kernel yet.
    fn leave(&mut self, number: Number, was_best: bool, moves: &mut Moves) {
        let before = self.table.set(number);
        self.table.hops.hold(before);
        let decided = self.table.decide(number, was_best, self.config.multipath);
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
        if decided.advertise {
            for peer in &mut self.peers {
                peer.offer(number, &self.table);
            }
        }
    }

    /// Tells the kernel what it does not know from the loss of the next hops alone.
    fn tell_moves(&mut self, lost: SessionIndex, moves: Moves) {
        let mut moves: Vec<_> = moves.by_sets.into_iter().collect();
        moves.sort_unstable_by_key(|(_, numbers)| numbers.first().copied());
        let mut targets: Map<SetId, u32> = Map::default();
        for ((from, _), _) in &moves {
            *targets.entry(*from).or_default() += 1;
        }
        for ((from, to), numbers) in &moves {
            let hops = |set: &SetId| self.table.hops.of(*set).cloned();
            let (before, after) = (hops(from), hops(to));
            let is_lost = |hop: &super::NextHop| hop.session == lost;
            let (Some(before), Some(after)) = (before, after) else {
                self.tell_each(numbers, *to);
                continue;
            };
            let left = before.iter().filter(|hop| !is_lost(hop));
            if left.eq(after.iter()) {
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
