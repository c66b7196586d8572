//! Facts of single routes, and how many of them one input may bear.
//!
//! The recorder bounds what waits of a session's routes, but hears of them when an input is worked in, and a few octets of an
//! UPDATE are a fact each, with all the attributes in words. So what one input bears is bounded here in the same way: what goes
//! beyond is left out, and with it every fact of a single route of that session until it has no route left.
//!
//! **Invariant:** facts of a session's routes from one input take [`Recorder::SHARE`] at most.

use std::hash::{BuildHasher, Hash};

use super::Router;
use crate::bgp::hash::{Secret, Set};
use crate::bgp::rib::numbers::{Number, Numbered};
use crate::record::{Fact, Recorder};

/// What is told of the routes of a session.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// Bytes of facts of the present input.
    born: usize,
    /// Facts that were left out; none are told while this is not 0.
    left_out: u64,
    /// How many of these were told of.
    told: u64,
    /// What was told last of the words of an unusable route, which nothing else keeps.
    unusable: Numbered<Digest>,
    secret: Secret,
    /// Prefixes of which it was told that more paths came than are kept.
    crowded: Set<Number>,
}

/// What words come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Digest(u32);

impl Router {
    /// Tells a fact of a single route, which `fact` makes of the names of router and session, if there is room for it.
    pub(super) fn tell_route(&mut self, index: usize, fact: impl FnOnce(String, String) -> Fact) {
        let peer = &mut self.peers[index];
        let telling = &mut peer.telling;
        if telling.left_out == 0 {
            let fact = fact(self.config.name.clone(), peer.spec.name.clone());
            telling.born += fact.weight();
            if telling.born <= Recorder::SHARE {
                self.facts.push(fact);
                return;
            }
        }
        telling.left_out += 1;
    }

    /// An input is worked in: tells what was left out, when that begins and whenever it has become twice as much.
    pub(super) fn tell_left_out(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let telling = &mut peer.telling;
        telling.born = 0;
        if telling.left_out > 0 && telling.left_out >= 2 * telling.told {
            telling.told = telling.left_out;
            self.facts.push(Fact::RoutesLeftOut {
                router: self.config.name.clone(),
                session: peer.spec.name.clone(),
                count: telling.left_out,
            });
        }
    }
}

impl Telling {
    /// Something was left out, so that not all is known.
    pub fn is_partial(&self) -> bool {
        self.left_out > 0
    }

    /// What words come to, to be compared.
    pub fn digest(&self, words: &impl Hash) -> Digest {
        Digest(self.secret.hash_one(words) as u32)
    }

    /// Whether other words were told of an unusable route to a prefix last. From now on these were.
    pub fn is_news(&mut self, number: Number, words: Digest) -> bool {
        std::mem::replace(self.unusable.place(number), words) != words
    }

    /// Whether it was not told yet that a prefix has more paths than are kept. From now on it was.
    pub fn is_first_crowd(&mut self, number: Number) -> bool {
        self.crowded.insert(number)
    }

    /// A path of a prefix is gone, and there is room again.
    pub fn has_left(&mut self, number: Number) {
        if !self.crowded.is_empty() {
            self.crowded.remove(&number);
        }
    }

    /// Many paths are gone: what comes now is told as if it came for the first time.
    pub fn forget(&mut self) {
        (self.unusable, self.crowded) = (Numbered::default(), Set::default());
    }

    /// It was told that the session has no routes: all is known again.
    pub fn begin_anew(&mut self) {
        (self.left_out, self.told) = (0, 0);
    }
}
