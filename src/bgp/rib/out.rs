//! Adj-RIB-Out of a session (RFC 4271, section 3.2): what the neighbour was told, and what to look at again.
//!
//! **Invariant:** it holds exactly what the neighbour was told; a prefix waits at most once.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::IpNet;

use super::numbers::{Number, Numbered, Numbers};
use crate::bgp::attributes::Attributes;
use crate::bgp::family::{ByFamily, Families, Family};
use crate::bgp::hash::Map;
use crate::bgp::message::Nlri;

/// Routes announced to a neighbour, and the prefixes to look at again when there is room to write.
#[derive(Debug, Default)]
pub struct AdjRibOut {
    told: Numbered<Told>,
    /// Families in which several paths of a prefix are told (RFC 7911).
    add_path: Families,
    /// What was told in those, with path identifiers; [`Told::set`] is of no use there.
    paths: Map<Number, Vec<(u32, Arc<Attributes>)>>,
    /// Number of routes announced.
    count: ByFamily<usize>,
    queue: VecDeque<Number>,
    /// Looked at while nothing could be announced, and to be looked at again when that is over.
    held: Vec<Number>,
    end_of_rib: bool,
    /// Prefixes that are told again when they are looked at, even if they were told so.
    renewed: Vec<Number>,
    /// Families that are being sent again, and those asked for once more meanwhile.
    refreshing: Families,
    again: Families,
}

/// What a neighbour was told about a prefix.
#[derive(Debug, Default)]
struct Told {
    set: Option<Arc<Attributes>>,
    queued: bool,
    held: bool,
}

/// What a neighbour must be told.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// Prefixes withdrawn.
    pub withdrawn: Vec<Nlri>,
    /// Prefixes announced, together where they share attributes.
    pub announced: Vec<(Arc<Attributes>, Vec<Nlri>)>,
}

/// How much is taken up at once.
#[derive(Debug, Clone, Copy)]
pub struct Limit {
    /// Prefixes looked at.
    pub prefixes: usize,
    /// Octets to write, about, give or take a prefix.
    pub octets: usize,
}

/// A prefix of IPv6 as it is written, with its path identifier.
const PREFIX: usize = 21;
/// Attributes that are longer are counted once for each prefix: they may leave no room for a second one in a message.
const LONG: usize = 2048;

/// Changes, and the place of each set among them.
#[derive(Default)]
struct Gathered {
    changes: Changes,
    /// The place of a set, and the octets that each of its prefixes counts.
    groups: Map<usize, (usize, usize)>,
    /// Octets that it takes to announce them.
    announced: usize,
}

impl Gathered {
    fn announce(&mut self, nlri: Nlri, set: &Arc<Attributes>) {
        let announced = &mut self.changes.announced;
        let (group, each) = *self
            .groups
            .entry(Arc::as_ptr(set) as usize)
            .or_insert_with(|| {
                announced.push((set.clone(), Vec::new()));
                let size = set.size();
                let each = if size > LONG {
                    PREFIX + size
                } else {
                    self.announced += size;
                    PREFIX
                };
                (announced.len() - 1, each)
            });
        announced[group].1.push(nlri);
        self.announced += each;
    }

    /// Octets that it takes to write all this, about.
    fn octets(&self) -> usize {
        self.announced + self.changes.withdrawn.len() * PREFIX
    }
}

impl AdjRibOut {
    /// Bytes of memory a route takes here, about, besides its attributes.
    pub const PER_ROUTE: usize = size_of::<Told>() + size_of::<Number>();

    /// Bytes of memory it takes, about, without attributes.
    pub fn bytes(&self) -> usize {
        self.len().max(self.queue.len() + self.held.len()) * AdjRibOut::PER_ROUTE
    }

    /// Forgets everything: the session is down, or begins with several paths of a prefix in these families.
    pub fn clear(&mut self, add_path: Families) {
        *self = AdjRibOut {
            add_path,
            ..AdjRibOut::default()
        };
    }

    /// Families in which several paths of a prefix are told.
    pub fn several(&self) -> Families {
        self.add_path
    }

    /// The End-of-RIB marker is due once all that is queued is sent.
    pub fn owe_end_of_rib(&mut self) {
        self.end_of_rib = true;
    }

    /// Whether the End-of-RIB marker is due now; only once.
    pub fn take_end_of_rib(&mut self) -> bool {
        self.queue.is_empty() && self.held.is_empty() && std::mem::take(&mut self.end_of_rib)
    }

    /// The prefix may have changed. However often it does, it is looked at once.
    pub fn queue(&mut self, number: Number) {
        let told = self.told.place(number);
        if !std::mem::replace(&mut told.queued, true) {
            self.queue.push_back(number);
        }
    }

    /// The next look at a prefix tells it again, even if it was told so: the neighbour has made something else of it.
    pub fn renew(&mut self, number: Number) {
        if !self.renewed.contains(&number) {
            self.renewed.push(number);
        }
    }

    fn take_renewed(&mut self, number: Number) -> bool {
        let place = self.renewed.iter().position(|of| *of == number);
        place.map(|place| self.renewed.swap_remove(place)).is_some()
    }

    /// Whether there is something to look at, now or when announcing is allowed again, or a marker to send.
    pub fn is_pending(&self) -> bool {
        self.is_queued() || !self.held.is_empty() || self.end_of_rib
    }

    /// Whether there is something to look at now.
    pub fn is_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether the End-of-RIB marker is still to come.
    pub fn owes_end_of_rib(&self) -> bool {
        self.end_of_rib
    }

    /// Takes up to `limit` queued prefixes and says which withdrawals are due, while nothing may be announced (RFC 4271,
    /// section 9.2.1.1): a prefix that has a route is held back until [`AdjRibOut::release`], but not the withdrawal of
    /// another path of it. `export` is that of [`AdjRibOut::changes`].
    pub fn withdrawals(
        &mut self,
        limit: usize,
        numbers: &Numbers,
        mut export: impl FnMut(Number, &IpNet, &mut Vec<(u32, Arc<Attributes>)>),
    ) -> Vec<Nlri> {
        let mut withdrawn = Vec::new();
        let mut now = Vec::new();
        for _ in 0..limit {
            let Some(number) = self.queue.pop_front() else {
                break;
            };
            let prefix = numbers.prefix(number);
            let told = self.told.place(number);
            told.queued = false;
            now.clear();
            export(number, &prefix, &mut now);
            if !now.is_empty() {
                if !std::mem::replace(&mut told.held, true) {
                    self.held.push(number);
                }
            } else if told.set.take().is_some() {
                self.count[number.family()] -= 1;
                withdrawn.push(prefix.into());
            }
            if let Some(paths) = self.paths.get_mut(&number) {
                let gone = |&(id, _): &(u32, _)| now.iter().all(|(other, _)| *other != id);
                for (path_id, _) in paths.extract_if(.., |path| gone(path)) {
                    self.count[number.family()] -= 1;
                    withdrawn.push(Nlri { prefix, path_id });
                }
                if paths.is_empty() {
                    self.paths.remove(&number);
                }
            }
        }
        withdrawn
    }

    /// Announcing is allowed again.
    pub fn release(&mut self) {
        for number in std::mem::take(&mut self.held) {
            self.told.place(number).held = false;
            self.queue(number);
        }
    }

    /// Everything of a family is to be sent again (RFC 2918). What was told stays known, so that a route which is gone
    /// by then is still withdrawn; but it equals no shared set any more.
    ///
    /// A neighbour that asks faster than it reads is answered once more when it has read the answer before.
    pub fn resend(&mut self, family: Family) {
        if self.count[family] == 0 {
            // Nor is anything of this family to be looked for, however often it is asked, and however much there is of another.
            return;
        }
        if self.refreshing.contains(family) {
            self.again.insert(family);
            return;
        }
        self.refreshing.insert(family);
        let unlike_any = Arc::new(Attributes::originated(Ipv4Addr::UNSPECIFIED));
        for number in self.told.numbers_of(family) {
            let several = self.paths.get_mut(&number);
            let told = self.told.place(number);
            if told.set.is_none() && several.is_none() {
                continue;
            }
            let sets = several.into_iter().flatten().map(|(_, set)| set);
            for set in sets.chain(&mut told.set) {
                *set = unlike_any.clone();
            }
            if !std::mem::replace(&mut told.queued, true) {
                self.queue.push_back(number);
            }
        }
    }

    /// Takes queued prefixes up to `limit`, asks what each is now, and says what the neighbour must be told. `export`
    /// gives the routes to announce with their path identifiers: where several paths are not told, one at most.
    pub fn changes(
        &mut self,
        limit: Limit,
        numbers: &Numbers,
        mut export: impl FnMut(Number, &IpNet, &mut Vec<(u32, Arc<Attributes>)>),
    ) -> Changes {
        let mut changes = Gathered::default();
        let mut now = Vec::new();
        for _ in 0..limit.prefixes {
            if changes.octets() >= limit.octets {
                break;
            }
            let Some(number) = self.queue.pop_front() else {
                break;
            };
            let prefix = numbers.prefix(number);
            let renewed = self.take_renewed(number);
            let told = self.told.place(number);
            told.queued = false;
            now.clear();
            export(number, &prefix, &mut now);
            if self.add_path.contains(number.family()) {
                let now = std::mem::take(&mut now);
                self.change_several(number, prefix, now, renewed, &mut changes);
                continue;
            }
            match now.pop() {
                Some((_, now)) => {
                    let same = told.set.as_ref().is_some_and(|b| Arc::ptr_eq(b, &now));
                    if same && !renewed {
                        continue;
                    }
                    self.count[number.family()] += usize::from(told.set.is_none());
                    changes.announce(prefix.into(), &now);
                    told.set = Some(now);
                }
                None => {
                    if told.set.take().is_some() {
                        self.count[number.family()] -= 1;
                        changes.changes.withdrawn.push(prefix.into());
                    }
                }
            }
        }
        if self.queue.is_empty() {
            // A large burst is over: give its memory back.
            self.queue.shrink_to(64);
            self.refreshing = Families::NONE;
            for family in std::mem::take(&mut self.again).iter() {
                self.resend(family);
            }
        }
        changes.changes
    }

    /// The same for a prefix with several paths.
    fn change_several(
        &mut self,
        number: Number,
        prefix: IpNet,
        now: Vec<(u32, Arc<Attributes>)>,
        renewed: bool,
        changes: &mut Gathered,
    ) {
        let before = self.paths.remove(&number).unwrap_or_default();
        let find = |list: &[(u32, Arc<Attributes>)], id: u32| {
            let found = list.iter().find(|(of, _)| *of == id);
            found.map(|(_, set)| set.clone())
        };
        for &(path_id, _) in &before {
            if find(&now, path_id).is_none() {
                changes.changes.withdrawn.push(Nlri { prefix, path_id });
            }
        }
        for (path_id, set) in &now {
            let told = find(&before, *path_id);
            if renewed || !told.is_some_and(|told| Arc::ptr_eq(&told, set)) {
                let path_id = *path_id;
                changes.announce(Nlri { prefix, path_id }, set);
            }
        }
        let count = &mut self.count[number.family()];
        *count = *count + now.len() - before.len();
        if !now.is_empty() {
            self.paths.insert(number, now);
        }
    }

    /// What was announced could not be written: the neighbour does not have it.
    pub fn unsent(&mut self, numbers: &Numbers, nlri: &[Nlri]) {
        for nlri in nlri {
            let Some(number) = numbers.find(&nlri.prefix) else {
                continue;
            };
            if let Some(paths) = self.paths.get_mut(&number) {
                let before = paths.len();
                paths.retain(|(id, _)| *id != nlri.path_id);
                self.count[number.family()] -= before - paths.len();
            }
            let told = self.told.get_mut(number);
            if told.is_some_and(|told| told.set.take().is_some()) {
                self.count[number.family()] -= 1;
            }
        }
    }

    /// What the neighbour was told about a prefix; of several paths the first.
    pub fn get(&self, number: Number) -> Option<&Arc<Attributes>> {
        let one = self.told.get(number)?.set.as_ref();
        one.or_else(|| Some(&self.paths.get(&number)?.first()?.1))
    }

    /// What the neighbour was told about a prefix, with path identifiers; 0 without.
    pub fn paths(&self, number: Number) -> impl Iterator<Item = (u32, &Arc<Attributes>)> {
        let one = self.told.get(number).and_then(|told| told.set.as_ref());
        let several = self.paths.get(&number).into_iter().flatten();
        let one = one.into_iter().map(|set| (0, set));
        one.chain(several.map(|(id, set)| (*id, set)))
    }

    /// Whether a prefix is known here: told, or to be looked at.
    pub fn knows(&self, number: Number) -> bool {
        let told = self.told.get(number);
        told.is_some_and(|told| told.queued || told.held || told.set.is_some())
            || self.paths.contains_key(&number)
    }

    /// All the neighbour was told, with path identifiers; 0 without.
    pub fn iter(&self) -> impl Iterator<Item = (Number, u32, &Arc<Attributes>)> {
        let numbers = self.told.numbers();
        numbers.flat_map(|number| self.paths(number).map(move |(id, set)| (number, id, set)))
    }

    /// Number of routes announced.
    pub fn len(&self) -> usize {
        self.count.values().sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
