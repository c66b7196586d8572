//! A small, fast hash for the tables of routes, whose secret a neighbour would have to know to make its routes collide.
//!
//! What is hashed comes from neighbours, and every route that lands where another one is costs time. So the factor of every
//! multiplication is secret, as the state before the first one is: what a difference between two inputs makes of the folded
//! product depends on bits that nobody outside knows. Whoever runs routers beside strangers says [`keep_secret`] first;
//! simulations do not, and repeat themselves to the last octet of memory.
//!
//! **Invariant:** the secret changes how long things take, and nothing else: no table is walked in the order of its hashes
//! where somebody hears of it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

/// A map with this hash.
pub type Map<K, V> = HashMap<K, V, Secret>;
/// A set with this hash.
pub type Set<K> = HashSet<K, Secret>;

/// The words of the process's secret; these until it has one.
static WORDS: [AtomicU64; 2] = [
    AtomicU64::new(0x9e37_79b9_7f4a_7c15),
    AtomicU64::new(0xd6e8_feb8_6659_fd93),
];

/// Tables made from now on have this secret, which is to be random: those of a process that others talk to.
pub fn keep_secret(words: [u64; 2]) {
    for (kept, word) in WORDS.iter().zip(words) {
        kept.store(word, Ordering::Relaxed);
    }
}

/// What a table is hashed with. The default one is the process's at that moment.
#[derive(Clone, Copy)]
pub struct Secret {
    start: u64,
    /// Odd, so that no bit of what it is multiplied with gets lost.
    factor: u64,
}

impl Secret {
    /// The secret of two words.
    pub fn of([start, factor]: [u64; 2]) -> Secret {
        Secret {
            start,
            factor: factor | 1,
        }
    }
}

impl Default for Secret {
    fn default() -> Secret {
        Secret::of([0, 1].map(|word: usize| WORDS[word].load(Ordering::Relaxed)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").finish_non_exhaustive()
    }
}

impl BuildHasher for Secret {
    type Hasher = Mix;

    fn build_hasher(&self) -> Mix {
        Mix {
            state: self.start,
            factor: self.factor,
        }
    }
}

/// Multiply and fold, eight bytes at a time: neighbouring prefixes land far apart.
#[derive(Clone)]
pub struct Mix {
    state: u64,
    factor: u64,
}

impl Mix {
    fn add(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.factor);
        self.state = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word) ^ 8);
        }
        if !rest.is_empty() {
            let word = rest
                .iter()
                .rev()
                .fold(0, |word, &byte| word << 8 | u64::from(byte));
            self.add(word ^ rest.len() as u64);
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.add(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.add(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.add(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.add(value as u64);
    }

    /// One step more: after a single one, words at regular distances may land at such again.
    fn finish(&self) -> u64 {
        let mut last = self.clone();
        last.add(0);
        last.state
    }
}

#[cfg(test)]
pub(super) mod tests;
