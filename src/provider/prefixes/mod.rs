//! Registered prefixes and Peering Service prefixes: created, validated, validated again when something changes.
//!
//! A request creates an object that is `Pending`; a validation period later [`Prefixes::due`] judges it by all checks at
//! once, over what was observed until then. A change marks only the objects it concerns, found by their prefix.
//! What each check asks is in `checks.rs`, `attributes.rs` and `origins.rs`; what is refused at once, in `gates.rs`.

mod asns;
mod attributes;
mod checks;
mod gates;
mod ground;
mod key;
mod object;
mod origins;
mod reason;
mod report;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use ipnet::Ipv4Net;
use prefix_trie::PrefixMap;

use self::checks::{Activation, KeyCheck};
use self::object::Parent;
use crate::record::{Fact, Failure};
use crate::time::At;
use crate::topology::{AfterVerified, Overlap, Registers};

pub(super) use attributes::{is_private, special};
pub use ground::{DeviceKind, Ground, Standing};
pub use key::{key, key_of_asn, same as same_key};
pub use object::{Object, ValidationState};
pub use reason::{Kind, Reason, message};

/// In order of creation; never used again.
type Id = u64;

/// What changed in the [`Ground`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed<'a> {
    /// A route of a connection came, went, or has other attributes.
    Route(usize, Ipv4Net),
    /// The [`Standing`] of a connection, by its place.
    Connection(usize),
    /// The [`Standing`] of any connection of a peering.
    Peering(&'a str),
    /// What a registry says, or the approved peer ASNs: everything is judged again.
    Registries,
    /// Microsoft's validation works again, or not any more.
    Health,
}

/// All registered prefixes and Peering Service prefixes.
#[derive(Debug, Clone, Default)]
pub struct Prefixes {
    objects: BTreeMap<Id, Object>,
    /// Objects of both kinds by their prefix.
    index: PrefixMap<Ipv4Net, Vec<Id>>,
    /// Peering Service prefixes by the key given, in lower case: a key issued later may turn out to be theirs.
    by_key: HashMap<String, BTreeSet<Id>>,
    /// Keys issued, in lower case, and the registered prefixes that have them.
    issued: HashMap<String, Ipv4Net>,
    /// Registered ASNs, each with the peering it is registered with.
    asns: BTreeMap<u32, String>,
    due: BTreeSet<(At, Id)>,
    next: Id,
    facts: VecDeque<Fact>,
}

impl Prefixes {
    /// None yet.
    pub fn new() -> Prefixes {
        Prefixes::default()
    }

    /// A prefix that was registered, and perhaps activated under a service, in the past: verified, with its key. Where
    /// ASNs are registered, it is the peer's own that was.
    pub fn assume(
        &mut self,
        ground: &Ground<'_>,
        prefix: Ipv4Net,
        peering: &str,
        service: Option<&str>,
    ) {
        let prefix = prefix.trunc();
        let issued = match ground.topology.profile.registers {
            Registers::Asns => self.assume_asn(ground.topology.peer.asn, peering),
            Registers::Prefixes => {
                let peering = Parent::Peering {
                    peering: peering.to_owned(),
                };
                let object = Object::new(&prefix.to_string(), Some(prefix), peering);
                self.verified(object, Some(key(prefix)));
                key(prefix)
            }
        };
        if let Some(service) = service {
            let parent = Parent::Service {
                service: service.to_owned(),
                provider: requests::provider(ground, service, None),
                key: issued,
            };
            self.verified(Object::new(&prefix.to_string(), Some(prefix), parent), None);
        }
    }

    fn verified(&mut self, mut object: Object, key: Option<String>) {
        object.key = key;
        object.conclude(Vec::new(), AfterVerified::Stay);
        self.facts.push_back(object.fact());
        self.insert(object);
    }

    /// Marks what a change of the ground concerns.
    pub fn changed(&mut self, now: At, ground: &Ground<'_>, changed: Changed<'_>) {
        let ids: Vec<Id> = match changed {
            Changed::Route(place, prefix) => self.touched(ground, place, prefix),
            Changed::Connection(place) => {
                let (connection, _) = ground.connection(place);
                self.below(ground, &connection.metro)
            }
            Changed::Peering(peering) => self.below(ground, peering),
            Changed::Registries => self.objects.keys().copied().collect(),
            Changed::Health if !ground.healthy => Vec::new(),
            Changed::Health => {
                let failed = |object: &Object| object.has(Reason::InternalError);
                self.those(failed)
            }
        };
        self.mark_all(now, ground, ids);
    }

    /// When [`Prefixes::due`] has something to do.
    pub fn deadline(&self) -> Option<At> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Validates what is due.
    pub fn due(&mut self, now: At, ground: &Ground<'_>) {
        while let Some((at, id)) = self.due.first().copied()
            && at <= now
        {
            self.due.pop_first();
            self.validated(now, ground, id);
        }
    }

    /// How many objects wait to be validated.
    pub fn waiting(&self) -> usize {
        self.due.len()
    }

    /// The next fact for the record.
    pub fn poll(&mut self) -> Option<Fact> {
        self.facts.pop_front()
    }

    /// The registered prefixes with their results, in order of creation.
    pub fn registered(&self) -> impl Iterator<Item = &Object> {
        self.objects
            .values()
            .filter(|object| object.kind() == Kind::Registered)
    }

    /// The Peering Service prefixes with their results, in order of creation.
    pub fn services(&self) -> impl Iterator<Item = &Object> {
        self.objects
            .values()
            .filter(|object| object.kind() == Kind::Service)
    }

    /// The activated prefixes, each with its service: those that passed, and were not taken back since.
    pub fn activated(&self) -> impl Iterator<Item = (Ipv4Net, &str)> {
        let activated = self.services().filter(|object| object.verified);
        activated.filter_map(|object| Some((object.prefix?, object.parent())))
    }

    fn remove(&mut self, now: At, ground: &Ground<'_>, id: Id) {
        let Some(object) = self.objects.remove(&id) else {
            return;
        };
        if let Some(at) = object.due {
            self.due.remove(&(at, id));
        }
        let kind = object.kind();
        let what = match kind {
            Kind::Registered => "registered-prefix",
            Kind::Service => "service-prefix",
        };
        self.facts.push_back(Fact::PrefixDeleted {
            object: what.to_owned(),
            prefix: object.text.clone(),
        });
        if let Parent::Service { key, .. } = &object.parent
            && let Some(ids) = self.by_key.get_mut(&fold(key))
        {
            ids.remove(&id);
        }
        let Some(prefix) = object.prefix else { return };
        if let Some(ids) = self.index.get_mut(&prefix) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.index.remove(&prefix);
            }
        }
        match kind {
            Kind::Registered => {
                if let Some(key) = &object.key {
                    self.issued.remove(&fold(key));
                }
                self.registration_changed(now, ground, prefix);
            }
            Kind::Service => {
                let overlapping = |object: &Object| object.has(Reason::OverlapsAnotherPrefix);
                let ids = self
                    .overlapping(prefix)
                    .filter(|id| overlapping(&self.objects[id]))
                    .collect();
                self.mark_all(now, ground, ids);
            }
        }
    }

    fn create(&mut self, now: At, ground: &Ground<'_>, object: Object) {
        self.facts.push_back(object.fact());
        let id = self.insert(object);
        self.mark_all(now, ground, vec![id]);
    }

    fn insert(&mut self, object: Object) -> Id {
        let id = self.next;
        self.next += 1;
        if let Some(prefix) = object.prefix {
            self.index.entry(prefix).or_default().push(id);
            if let Some(key) = &object.key {
                self.issued.insert(fold(key), prefix);
            }
        }
        if let Parent::Service { key, .. } = &object.parent {
            self.by_key.entry(fold(key)).or_default().insert(id);
        }
        self.objects.insert(id, object);
        id
    }

    /// The objects that a route of a connection may decide: those of its prefix, and those that miss a prefix it covers.
    fn touched(&self, ground: &Ground<'_>, place: usize, prefix: Ipv4Net) -> Vec<Id> {
        let (connection, _) = ground.connection(place);
        let concerned = |id: &Id| {
            let object = &self.objects[id];
            let exact = object.prefix == Some(prefix) || object.has(Reason::PrefixNotReceived);
            exact && is_at(ground, object, &connection.metro)
        };
        let covered = self.index.children(&prefix).flat_map(|(_, ids)| ids);
        covered.copied().filter(concerned).collect()
    }

    /// The objects whose scope has sessions at a location.
    fn below(&self, ground: &Ground<'_>, location: &str) -> Vec<Id> {
        self.those(|object| is_at(ground, object, location))
    }

    fn those(&self, wanted: impl Fn(&Object) -> bool) -> Vec<Id> {
        let objects = self.objects.iter().filter(|(_, object)| wanted(object));
        objects.map(|(id, _)| *id).collect()
    }

    /// A prefix was registered, deleted, or has a key now: what V-09 says of Peering Service prefixes may be another.
    fn registration_changed(&mut self, now: At, ground: &Ground<'_>, prefix: Ipv4Net) {
        let concerned = |id: &Id| {
            let object = &self.objects[id];
            let own = object.prefix == Some(prefix) || object.has(Reason::NotRegistered);
            own && object.kind() == Kind::Service
        };
        let covered = self.index.children(&prefix).flat_map(|(_, ids)| ids);
        let mut ids: Vec<Id> = covered.copied().filter(concerned).collect();
        let by_key = self.by_key.get(&key(prefix));
        ids.extend(
            by_key
                .into_iter()
                .flatten()
                .filter(|id| self.objects[id].has(Reason::WrongKey)),
        );
        self.mark_all(now, ground, ids);
    }

    fn mark_all(&mut self, now: At, ground: &Ground<'_>, ids: Vec<Id>) {
        let at = now + ground.policy.validation;
        for id in ids {
            let Some(object) = self.objects.get_mut(&id) else {
                continue;
            };
            if object.state == ValidationState::Invalid || object.due.is_some() {
                continue;
            }
            if object.queue() {
                self.facts.push_back(object.fact());
            }
            object.due = Some(at);
            self.due.insert((at, id));
        }
    }

    fn validated(&mut self, now: At, ground: &Ground<'_>, id: Id) {
        let Some(object) = self.objects.get(&id) else {
            return;
        };
        let Some(prefix) = object.prefix else { return };
        let failures = match &object.parent {
            Parent::Peering { peering, .. } => checks::registered(ground, prefix, peering),
            Parent::Service { .. } => self.judge_service(ground, id, object, prefix),
        };
        let Some(object) = self.objects.get_mut(&id) else {
            return;
        };
        object.due = None;
        let mut changed = object.conclude(failures, ground.policy.after_verified);
        let issue = object.kind() == Kind::Registered && object.verified && object.key.is_none();
        if issue {
            let issued = key(prefix);
            self.issued.insert(issued.clone(), prefix);
            object.key = Some(issued);
            changed = true;
        }
        if changed {
            self.facts.push_back(object.fact());
        }
        if issue {
            self.registration_changed(now, ground, prefix);
        }
    }

    fn judge_service(
        &self,
        ground: &Ground<'_>,
        id: Id,
        object: &Object,
        prefix: Ipv4Net,
    ) -> Vec<Failure> {
        let Parent::Service {
            service,
            provider,
            key,
        } = &object.parent
        else {
            return Vec::new();
        };
        let Some(resource) = ground.service(service) else {
            return Vec::new();
        };
        let earlier = self
            .overlapping(prefix)
            .filter(|other| *other < id)
            .filter(|other| {
                ground.policy.overlap == Overlap::Global || self.objects[other].parent() == service
            });
        let overlap = earlier.min().and_then(|other| {
            let other = &self.objects[&other];
            Some((other.parent(), other.prefix?))
        });
        let activation = Activation {
            service: resource,
            provider,
            key: match ground.topology.profile.registers {
                Registers::Prefixes => self.compare(prefix, key),
                Registers::Asns => self.compare_asn(key),
            },
            overlap,
        };
        checks::service(ground, prefix, activation)
    }

    /// V-09.
    fn compare<'a>(&'a self, prefix: Ipv4Net, given: &'a str) -> KeyCheck<'a> {
        let registered = |prefix: &Ipv4Net| {
            let ids = self.index.get(prefix).into_iter().flatten();
            let mut objects = ids.map(|id| &self.objects[id]);
            objects.find(|object| object.kind() == Kind::Registered)
        };
        match registered(&prefix) {
            None => {
                let covering = self
                    .index
                    .cover_keys(&prefix)
                    .filter(|net| registered(net).is_some());
                KeyCheck::Unregistered {
                    covering: covering.last(),
                }
            }
            Some(object) => match &object.key {
                None => KeyCheck::NotIssued,
                Some(right) if same_key(right, given) => KeyCheck::Right,
                Some(right) => KeyCheck::Wrong {
                    given,
                    right,
                    holder: self.issued.get(&fold(given)).copied(),
                },
            },
        }
    }

    /// The Peering Service prefixes that overlap a prefix, itself included.
    fn overlapping(&self, prefix: Ipv4Net) -> impl Iterator<Item = Id> + '_ {
        let covering = self
            .index
            .cover(&prefix)
            .filter(move |(net, _)| *net != prefix);
        let covered = self.index.children(&prefix);
        let ids = covering.chain(covered).flat_map(|(_, ids)| ids).copied();
        ids.filter(|id| self.objects[id].kind() == Kind::Service)
    }
}

/// A key as a map has it.
fn fold(key: &str) -> String {
    key.trim().to_ascii_lowercase()
}

/// Whether sessions at a location are in an object's scope.
fn is_at(ground: &Ground<'_>, object: &Object, location: &str) -> bool {
    match &object.parent {
        Parent::Peering { peering, .. } => peering == location,
        Parent::Service { service, .. } => ground.service(service).is_some_and(|service| {
            service.primary == location || service.backup.as_deref() == Some(location)
        }),
    }
}
