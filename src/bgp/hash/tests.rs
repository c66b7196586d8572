//! Who knows the secret makes inputs collide; who does not, does not.

use std::collections::HashSet;

use ipnet::Ipv6Net;

use super::*;

/// The secret of a process that keeps none: everybody can read it here.
pub const KNOWN: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];

/// Secrets that are as good as random, the same in every run.
pub fn secrets() -> impl Iterator<Item = [u64; 2]> {
    let random = |n: u64| {
        // SplitMix64.
        let a = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ a >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ b >> 31
    };
    (1..=32_u64).map(move |n| [2 * n, 2 * n + 1].map(|n| random(n.wrapping_mul(KNOWN[0]))))
}

/// Words that are followed by ones after which the state is 0, to whoever knows the secret.
fn pairs(secret: [u64; 2]) -> impl Iterator<Item = (u64, u64)> {
    let secret = Secret::of(secret);
    (1..).map(move |n: u64| {
        let low = n.wrapping_mul(0x2545_f491_4f6c_dd1d);
        let mut mix = secret.build_hasher();
        mix.write_u64(low);
        (low, mix.state)
    })
}

/// Prefixes that a router with this secret has in one slot: of what is hashed of 128 bits, the first 124, the second word
/// takes the state to 0.
pub fn colliding(secret: [u64; 2], count: usize) -> Vec<Ipv6Net> {
    let fitting = pairs(secret).map(|(low, high)| (low, high ^ 128));
    let fitting = fitting.filter(|(_, high)| high >> 60 == 0);
    let prefixes = fitting.map(|(low, high)| {
        let bits = (u128::from(high) << 64 | u128::from(low)) << 4;
        Ipv6Net::new_assert(bits.into(), 128)
    });
    prefixes.take(count).collect()
}

/// The share of slots in use by as many hashes as there are slots, by their low bits and by their high ones, as a hash table
/// asks for both. Random ones take 63 %.
fn spread<T: std::hash::Hash>(secret: [u64; 2], inputs: impl Iterator<Item = T>) -> [f64; 2] {
    const BITS: u32 = 12;
    let secret = Secret::of(secret);
    let (mut low, mut high) = (HashSet::new(), HashSet::new());
    for input in inputs.take(1 << BITS) {
        let hash = secret.hash_one(input);
        low.insert(hash % (1 << BITS));
        high.insert(hash >> (64 - BITS));
    }
    [low, high].map(|slots| slots.len() as f64 / f64::from(1 << BITS))
}

#[test]
fn what_collides_under_a_known_secret_spreads_under_any_other() {
    for known in [KNOWN, [1, 0xffff_ffff]] {
        assert!(
            spread(known, pairs(known))
                .iter()
                .all(|share| *share < 0.001)
        );
        for secret in secrets() {
            let spread = spread(secret, pairs(known));
            assert!(spread.iter().all(|share| *share > 0.5), "{spread:?}");
        }
    }
}

#[test]
fn what_is_alike_spreads() {
    for secret in secrets() {
        for shift in [0, 8, 20, 32, 40, 52] {
            let words = || (0..1 << 12).map(move |n: u64| n << shift);
            let prefixes = words().map(|word| (word, 24_u8));
            let texts = words().map(|word| format!("{word:x}"));
            for spread in [
                spread(secret, words()),
                spread(secret, prefixes),
                spread(secret, texts),
            ] {
                assert!(spread.iter().all(|share| *share > 0.5), "{spread:?}");
            }
        }
    }
}

/// What makes chains of words collide without the secret: a difference in one that makes a known one in its hash.
#[test]
fn nobody_knows_what_a_difference_makes() {
    for bit in 0..64 {
        let differences = secrets().map(|secret| {
            let secret = Secret::of(secret);
            secret.hash_one(5_u64) ^ secret.hash_one(5_u64 ^ 1 << bit)
        });
        let low: HashSet<u64> = differences
            .map(|difference| difference % (1 << 16))
            .collect();
        assert!(low.len() > 28, "bit {bit}: {}", low.len());
    }
}
