//! Which member of a LAG a flow takes: a table from its hash, resilient as the tables of switches are.
//!
//! A flow's hash names one of 840 buckets, and each bucket has one member: every LAG of 1 to 8 members has equal shares of
//! them. A member that is gone leaves its buckets to the others; no other bucket moves. It takes the same ones back. A
//! member that is added takes its share evenly from all, and no bucket moves between those that were there.
//!
//! **Invariant:** the table depends on nothing but the number of members and which of them take frames.

use super::bpf::programs::mixed;

/// Buckets: what 1 to 8 members divide without a rest.
pub const BUCKETS: usize = 840;
/// Most members.
const MEMBERS: usize = 8;
/// Words of a set of buckets.
const WORDS: usize = BUCKETS.div_ceil(32);

/// A set of buckets, 32 of them in each word, the lowest first.
pub type Buckets = [u32; WORDS];

/// The member, counted from 0, that the flow with this hash takes, where these of all members (at most 8) take frames;
/// `None` when none does.
pub fn member(hash: u32, takes: &[bool]) -> Option<usize> {
    let bucket = hash as usize % BUCKETS;
    let there = |member: usize| takes.get(member) == Some(&true);
    let home = usize::from(HOMES[takes.len().min(MEMBERS)][bucket]);
    if there(home) {
        return Some(home);
    }
    // Highest random weight: whoever else comes or goes, the order among the rest stays.
    let weight = |other: &usize| mixed(&[bucket as u32, *other as u32 + 1]);
    let others = (0..takes.len()).filter(|other| there(*other));
    others.max_by_key(weight)
}

/// The buckets of each member.
pub fn sets(takes: &[bool]) -> Vec<Buckets> {
    let mut sets = vec![[0; WORDS]; takes.len()];
    for bucket in 0..BUCKETS {
        if let Some(member) = member(bucket as u32, takes) {
            sets[member][bucket / 32] |= 1 << (bucket % 32);
        }
    }
    sets
}

/// By the number of members, the member of each bucket where all take frames.
static HOMES: [[u8; BUCKETS]; MEMBERS + 1] = homes();

const fn homes() -> [[u8; BUCKETS]; MEMBERS + 1] {
    let mut homes = [[0; BUCKETS]; MEMBERS + 1];
    let mut added = 1;
    while added < MEMBERS {
        let mut table = homes[added];
        // Each of those before gives every (added + 1)th of its buckets.
        let mut counted = [0; MEMBERS];
        let mut bucket = 0;
        while bucket < BUCKETS {
            let member = table[bucket] as usize;
            counted[member] += 1;
            if counted[member] % (added + 1) == 0 {
                table[bucket] = added as u8;
            }
            bucket += 1;
        }
        added += 1;
        homes[added] = table;
    }
    homes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(takes: &[bool]) -> Option<Vec<usize>> {
        (0..BUCKETS as u32)
            .map(|hash| member(hash, takes))
            .collect()
    }

    fn shares(table: &[usize], members: usize) -> Vec<usize> {
        let share = |n| table.iter().filter(|m| **m == n).count();
        (0..members).map(share).collect()
    }

    /// Every LAG, with every choice of its members.
    fn all() -> impl Iterator<Item = Vec<bool>> {
        (1..=8).flat_map(|members| {
            (0..1_u32 << members).map(move |set| (0..members).map(|n| set >> n & 1 == 1).collect())
        })
    }

    #[test]
    fn whole_lags_share_equally_and_a_new_member_takes_from_all_alike() {
        for members in 1..=8 {
            let whole = table(&vec![true; members]).expect("members");
            assert_eq!(shares(&whole, members), vec![BUCKETS / members; members]);
            if members < 8 {
                let more = table(&vec![true; members + 1]).expect("members");
                let moved = whole.iter().zip(&more).filter(|(old, new)| old != new);
                assert!(moved.clone().all(|(_, new)| *new == members));
                assert_eq!(moved.count(), BUCKETS / (members + 1));
            }
        }
    }

    #[test]
    fn a_member_that_goes_moves_its_own_buckets_and_spreads_them() {
        for takes in all() {
            let left = takes.iter().filter(|takes| **takes).count();
            let Some(before) = table(&takes) else {
                assert_eq!(left, 0);
                continue;
            };
            for (bucket, member) in before.iter().enumerate() {
                assert!(takes[*member], "{takes:?} {bucket}");
            }
            let fair = BUCKETS / left;
            for (member, share) in shares(&before, takes.len()).into_iter().enumerate() {
                let good = match takes[member] {
                    true => (fair * 3 / 4..=fair * 5 / 4).contains(&share),
                    false => share == 0,
                };
                assert!(good, "{takes:?}: member {member} has {share} of {BUCKETS}");
            }
            for gone in (0..takes.len()).filter(|n| takes[*n]) {
                let mut fewer = takes.clone();
                fewer[gone] = false;
                let Some(after) = table(&fewer) else { continue };
                for (old, new) in before.iter().zip(&after) {
                    assert!(old == new || *old == gone, "{takes:?} {gone}");
                }
            }
        }
    }

    #[test]
    fn the_sets_are_the_table() {
        for takes in all() {
            let sets = sets(&takes);
            for bucket in (0..BUCKETS).step_by(7) {
                let has = |set: &Buckets| set[bucket / 32] >> (bucket % 32) & 1 == 1;
                let owners: Vec<usize> = (0..takes.len()).filter(|n| has(&sets[*n])).collect();
                let expected = member(bucket as u32, &takes);
                assert_eq!(owners, expected.into_iter().collect::<Vec<_>>());
            }
        }
    }
}
