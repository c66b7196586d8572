//! The deadlines of all sessions in one heap.
//!
//! A deadline that moves to a later time costs nothing: it stays where it is, the session is asked too early once, and
//! says when it really wants to be asked. That is what every received BFD packet does.
//!
//! **Invariant:** a slot with a deadline has an entry in the heap that is not later.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::At;

/// Deadlines by slot.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    heap: BinaryHeap<Reverse<(At, u32)>>,
    /// By slot, the entry of the heap that counts; others of the slot are stale.
    entered: Vec<Option<At>>,
}

impl Schedule {
    /// Wants `slot` to be due at `deadline`, or sooner if that was wanted before; `None` wants nothing new.
    pub fn set(&mut self, slot: u32, deadline: Option<At>) {
        let Some(deadline) = deadline else { return };
        let index = slot as usize;
        if self.entered.len() <= index {
            self.entered.resize(index + 1, None);
        }
        if self.entered[index].is_none_or(|entered| deadline < entered) {
            self.entered[index] = Some(deadline);
            self.heap.push(Reverse((deadline, slot)));
        }
    }

    /// Forgets a slot.
    pub fn clear(&mut self, slot: u32) {
        if let Some(entered) = self.entered.get_mut(slot as usize) {
            *entered = None;
        }
    }

    /// The earliest entry.
    pub fn next(&mut self) -> Option<At> {
        while let Some(Reverse((at, slot))) = self.heap.peek() {
            if self.entered[*slot as usize] == Some(*at) {
                return Some(*at);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes the earliest entry out when it is not later than `now`.
    pub fn pop_due(&mut self, now: At) -> Option<(At, u32)> {
        if self.next()? > now {
            return None;
        }
        let Reverse((at, slot)) = self.heap.pop()?;
        self.entered[slot as usize] = None;
        Some((at, slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(schedule: &mut Schedule, now: u64) -> Vec<u32> {
        std::iter::from_fn(|| schedule.pop_due(At::from_millis(now)))
            .map(|(_, slot)| slot)
            .collect()
    }

    #[test]
    fn in_order_and_not_before_time() {
        let mut schedule = Schedule::default();
        for (slot, at) in [(3, 30), (1, 10), (2, 20)] {
            schedule.set(slot, Some(At::from_millis(at)));
        }
        assert_eq!(schedule.next(), Some(At::from_millis(10)));
        assert_eq!(drain(&mut schedule, 20), [1, 2]);
        assert!(drain(&mut schedule, 29).is_empty());
        assert_eq!(drain(&mut schedule, 30), [3]);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn an_earlier_deadline_counts_once_and_a_later_one_is_free() {
        let mut schedule = Schedule::default();
        schedule.set(0, Some(At::from_millis(20)));
        schedule.set(0, Some(At::from_millis(90)));
        assert_eq!(schedule.heap.len(), 1);
        schedule.set(0, Some(At::from_millis(10)));
        assert_eq!(drain(&mut schedule, 50), [0]);
        assert!(drain(&mut schedule, 100).is_empty());
    }

    #[test]
    fn a_cleared_slot_is_never_due() {
        let mut schedule = Schedule::default();
        schedule.set(0, Some(At::from_millis(10)));
        schedule.clear(0);
        assert_eq!(schedule.next(), None);
        schedule.set(0, Some(At::from_millis(30)));
        assert!(drain(&mut schedule, 20).is_empty());
        assert_eq!(drain(&mut schedule, 30), [0]);
    }
}
