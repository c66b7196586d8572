//! What becomes of received routes: Adj-RIB-In keeps them as they came, import policy lets them in or not, and those
//! that are not used are not forgotten.
//!
//! **Invariant:** whatever was announced and not withdrawn is in Adj-RIB-In, or in the list of refused routes, or both.

use std::sync::Arc;

use ipnet::IpNet;

use super::Router;
use super::monitored::Observed;
use super::otc::{self, Ingress};
use super::table::{Fate, Generation, Path, Verdict, same};
use crate::bgp::attributes::{Attributes, GRACEFUL_SHUTDOWN};
use crate::bgp::family::Families;
use crate::bgp::message::{Nlri, Unusable, Update};
use crate::bgp::policy::{AS_SET, MALFORMED, OWN_AS, OWN_NEXT_HOP, ROUTE_LEAK, Reason, Shapes};
use crate::bgp::rib::numbers::Number;
use crate::record::{Common, Fact};

/// The receiver's own cluster is in the CLUSTER_LIST (RFC 4456, section 8).
pub const OWN_CLUSTER: &str = "own-cluster-in-list";
/// The receiver's own BGP Identifier is the ORIGINATOR_ID: its own route, reflected (RFC 4456, section 8).
pub const OWN_ORIGINATOR_ID: &str = "own-originator-id";
/// More paths of one prefix than are kept.
pub const TOO_MANY_PATHS: &str = "too-many-paths";

/// What is wrong with an AS path that does not begin with the neighbour's AS, in the words of a fault.
const FIRST_AS: &str = "AS_PATH: begins with another AS than the neighbour's: treat-as-withdraw (RFC 4271, section 6.3)";

/// How many paths of a prefix are kept of one neighbour (RFC 7911).
const PATHS: usize = 64;

/// What is worked out once for routes that share their attributes.
#[derive(Default)]
pub(super) struct Shared {
    shapes: Shapes,
    /// The set resolved last, and what came of it.
    pub(super) resolved: Option<(Arc<Attributes>, Fate)>,
    /// The set of which a fact was told last, in words.
    words: Option<(Arc<Attributes>, Words)>,
}

/// What facts say of a route's attributes. Cheap to clone.
#[derive(Debug, Clone, Hash)]
struct Words {
    as_path: Common<str>,
    communities: Common<[String]>,
}

impl Words {
    fn of(set: &Attributes) -> Words {
        Words {
            as_path: set.as_path_text().into(),
            communities: set.community_texts().into(),
        }
    }
}

impl Shared {
    fn words(&mut self, set: &Arc<Attributes>) -> Words {
        let known = self.words.take().filter(|(of, _)| Arc::ptr_eq(of, set));
        let known = known.unwrap_or_else(|| (set.clone(), Words::of(set)));
        self.words.insert(known).1.clone()
    }
}

impl Router {
    /// Works an UPDATE into the Adj-RIB-In.
    pub(super) fn update(&mut self, index: usize, update: Update) {
        if self.peers[index].ended {
            return;
        }
        let mut faults = update.malformed;
        let announced = update.announced.iter().map(|announced| &announced.nlri);
        let announced = announced.chain(update.unusable.iter().map(|unusable| &unusable.nlri));
        let prefixes: usize = announced.clone().map(Vec::len).sum();
        let first = announced.flatten().next().map(|nlri| nlri.prefix);
        for nlri in update.withdrawn {
            self.withdraw(index, nlri, "withdrawn by the peer");
        }
        if let Some(unusable) = &update.unusable {
            let why = faults.first().map_or("malformed", String::as_str);
            self.treat_as_withdrawn(index, &unusable.nlri, unusable, why);
        }
        for announced in update.announced {
            let set = announced.attributes;
            match self.unfit(index, &set) {
                None => {
                    let set = self.sets.adopt(set);
                    let mut shared = Shared::default();
                    for nlri in announced.nlri {
                        self.receive(index, nlri, &set, None, &mut shared);
                    }
                }
                Some((reason, why)) => {
                    if reason == MALFORMED {
                        // Graver than what was only left out.
                        faults.insert(0, why.to_owned());
                    }
                    let unusable = Unusable {
                        nlri: Vec::new(),
                        reason,
                        as_path: set.as_path_text(),
                        communities: set.community_texts(),
                    };
                    self.treat_as_withdrawn(index, &announced.nlri, &unusable, why);
                }
            }
        }
        if !faults.is_empty() {
            self.tell_malformed(index, faults, prefixes, first);
        }
        if let Some(family) = update.end_of_rib {
            self.facts.push(Fact::EndOfRib {
                router: self.config.name.clone(),
                session: self.peers[index].spec.name.clone(),
            });
            self.monitor(index, || Observed::EndOfRib);
            self.ended_rib(index, family);
        }
        self.limit_prefixes(index);
    }

    /// Import policy was changed: what was received is decided anew.
    pub(super) fn import_anew(&mut self, index: usize) {
        let session = self.peers[index].index;
        let mut shared = Shared::default();
        for number in self.table.prefixes_of(session, Families::ALL) {
            let paths = self.table.paths(number);
            let ours = paths.filter(|path| path.session == session);
            let routes: Vec<(u32, Generation, Arc<Attributes>)> = ours
                .filter_map(|path| Some((path.path_id, path.generation, path.received.clone()?)))
                .collect();
            for (path_id, generation, set) in routes {
                let prefix = self.table.numbers.prefix(number);
                let nlri = Nlri { prefix, path_id };
                // It did not come again: what waits for that goes on waiting.
                self.receive(index, nlri, &set, Some(generation), &mut shared);
            }
        }
    }

    /// Why routes with these attributes are to be ignored on this session: RFC 4271, section 6.3, for the AS path with the
    /// treatment of RFC 7606, section 7.2; RFC 4456, section 8.
    fn unfit(&self, index: usize, set: &Attributes) -> Option<(&'static str, &'static str)> {
        let peer = &self.peers[index];
        let begins = set.as_path.first() == Some(&peer.spec.peer_asn);
        if !peer.internal && peer.spec.enforce_first_as && !begins {
            Some((MALFORMED, FIRST_AS))
        } else if self.peers.iter().any(|p| p.spec.local == set.next_hop) {
            Some((OWN_NEXT_HOP, "the next hop is ourselves"))
        } else if peer.internal && set.originator_id == Some(self.config.router_id) {
            Some((OWN_ORIGINATOR_ID, "our own route, reflected"))
        } else if peer.internal && set.cluster_list.contains(&self.cluster_id()) {
            Some((OWN_CLUSTER, "went through our own cluster"))
        } else {
            None
        }
    }

    /// Works one route in: a new one, or one of a former generation that is looked at again.
    fn receive(
        &mut self,
        index: usize,
        nlri: Nlri,
        set: &Arc<Attributes>,
        generation: Option<Generation>,
        shared: &mut Shared,
    ) {
        let Nlri { prefix, path_id } = nlri;
        let (imported, refused) = match self.import(index, prefix, set, shared) {
            Ok(set) => (Some(set), None),
            Err(reason) => (None, Some(reason)),
        };
        let fate = match (&imported, &refused) {
            (Some(set), _) => self.resolved(index, set, shared),
            (None, Some(reason)) => Fate::Refused(self.table.reasons.id(reason)),
            (None, None) => Fate::Unreachable,
        };
        let number = self.table.numbers.number(prefix);
        if !self.has_room(index, number, path_id) {
            return self.refuse_one_more(index, number, || Words::of(set));
        }
        let mut path = self.path(index, number, path_id, fate);
        path.generation = generation.unwrap_or(path.generation);
        (path.received, path.imported) = (Some(set.clone()), imported);
        let now = path.verdict();
        self.monitor(index, || Observed::Route {
            nlri,
            received: path.received.clone(),
            imported: path.imported.clone(),
        });
        let imported = path.imported.as_ref().map(Arc::as_ptr);
        let before = self.table.put(number, path);
        let old = before.path.as_ref();
        let unchanged = old.is_some_and(|old| {
            old.imported.as_ref().map(Arc::as_ptr) == imported && old.fate == fate
        });
        if !unchanged && (imported.is_some() || old.is_some()) {
            self.decide(number, before.was_best);
        }
        self.record_received(index, prefix, (set, shared), now, old);
    }

    /// The route as import policy lets it in.
    fn import(
        &mut self,
        index: usize,
        prefix: IpNet,
        set: &Arc<Attributes>,
        shared: &mut Shared,
    ) -> Result<Arc<Attributes>, Reason> {
        if set.as_path.contains(&self.config.asn) {
            return Err(Reason::Borrowed(OWN_AS));
        }
        let peer = &self.peers[index];
        let spec = &peer.spec;
        let role = spec.capabilities.role.filter(|_| !peer.internal);
        let otc = role.map_or(Ingress::Keep, |role| otc::ingress(role, spec.peer_asn, set));
        if otc == Ingress::Leak {
            return Err(Reason::Borrowed(ROUTE_LEAK));
        }
        // RFC 8326, section 4: at either end, whoever knows that the route is about to go takes any other.
        let tagged = !peer.internal && spec.honour_graceful_shutdown;
        let tagged = tagged && set.communities.contains(&GRACEFUL_SHUTDOWN);
        let goes = peer.draining.is_some() || tagged;
        let shaped = shared.shapes.shape(&spec.import, prefix, set, |applied| {
            if applied.is_nothing() && otc == Ingress::Keep && !goes {
                return set.clone();
            }
            let mut changed = Attributes::clone(set);
            applied.change(&mut changed);
            if let Ingress::Add(asn) = otc {
                changed.only_to_customer = Some(asn);
            }
            if goes {
                changed.local_pref = Some(0);
            }
            self.sets.share(changed)
        });
        shaped.map_err(Clone::clone)
    }

    fn path(&self, index: usize, number: Number, path_id: u32, fate: Fate) -> Path {
        let source = &self.table.sources[index];
        let generation = source.generation[number.family()];
        Path::new(self.peers[index].index, generation, path_id, fate)
    }

    /// Whether a session may have this path of a prefix: it has it, or few others, be they usable or not. Of as many as are
    /// kept a stale one gives way, so that a neighbour that restarts may have others than before.
    fn has_room(&mut self, index: usize, number: Number, path_id: u32) -> bool {
        let session = self.peers[index].index;
        let mut others = 0;
        for path in self.table.paths(number) {
            if path.session == session && path.path_id == path_id {
                return true;
            }
            others += usize::from(path.session == session);
        }
        if others < PATHS {
            return true;
        }
        let present = self.table.sources[index].generation[number.family()];
        let stale = |path: &Path| path.session == session && path.generation != present;
        let gone = self.table.take_if(number, stale);
        let Some(path) = gone.path else {
            return false;
        };
        if path.imported.is_some() {
            self.decide(number, gone.was_best);
        }
        let (prefix, path_id) = (self.table.numbers.prefix(number), path.path_id);
        self.monitor(index, || Observed::gone(Nlri { prefix, path_id }));
        true
    }

    /// A path of a prefix of which as many as are kept are there already: that is told once, until one of them goes.
    fn refuse_one_more(&mut self, index: usize, number: Number, words: impl FnOnce() -> Words) {
        let peer = &mut self.peers[index];
        if peer.spec.record_routes && peer.telling.is_first_crowd(number) {
            let prefix = self.table.numbers.prefix(number);
            self.record_refused(index, prefix, words, TOO_MANY_PATHS);
        }
    }

    fn withdraw(&mut self, index: usize, nlri: Nlri, why: &str) {
        let Some(number) = self.table.numbers.find(&nlri.prefix) else {
            return;
        };
        let session = self.peers[index].index;
        let before = self.table.take(number, session, nlri.path_id);
        if let Some(path) = &before.path {
            if path.imported.is_some() {
                self.decide(number, before.was_best);
            }
            self.peers[index].telling.has_left(number);
            self.record_withdrawn(index, nlri.prefix, why);
            self.monitor(index, || Observed::gone(nlri));
        }
    }

    /// Routes that count as withdrawn because of their attributes stay visible as refused ones. However often they come, it is told
    /// once what they said.
    fn treat_as_withdrawn(&mut self, index: usize, nlri: &[Nlri], of: &Unusable, why: &str) {
        let words = Words {
            as_path: of.as_path.as_str().into(),
            communities: of.communities.iter().cloned().collect(),
        };
        let said = self.peers[index].telling.digest(&words);
        let fate = Fate::Refused(match of.reason {
            AS_SET | MALFORMED => self.table.reasons.of_fault(of.reason, why),
            reason => self.table.reasons.id(&Reason::Borrowed(reason)),
        });
        let mut nlri = nlri.to_vec();
        nlri.sort_unstable();
        nlri.dedup();
        for nlri in nlri {
            let Nlri { prefix, path_id } = nlri;
            let number = self.table.numbers.number(prefix);
            if !self.has_room(index, number, path_id) {
                self.refuse_one_more(index, number, || words.clone());
                continue;
            }
            let path = self.path(index, number, path_id, fate);
            let before = self.table.put(number, path);
            let old = before.path.as_ref();
            let again = old.is_some_and(|old| old.received.is_none() && old.fate == fate);
            if let Some(path) = before.path.filter(|path| path.received.is_some()) {
                if path.imported.is_some() {
                    self.decide(number, before.was_best);
                }
                self.record_withdrawn(index, prefix, why);
                self.monitor(index, || Observed::gone(nlri));
            }
            let peer = &mut self.peers[index];
            if peer.spec.record_routes {
                let news = peer.telling.is_news(number, said);
                if news || !again {
                    self.record_refused(index, prefix, || words.clone(), of.reason);
                }
            }
        }
    }

    /// Records a received route, and what became of it, as far as it is new.
    fn record_received(
        &mut self,
        index: usize,
        prefix: IpNet,
        (set, shared): (&Arc<Attributes>, &mut Shared),
        now: Verdict,
        before: Option<&Path>,
    ) {
        if !self.peers[index].spec.record_routes {
            return;
        }
        let anew = !same(before.and_then(|path| path.received.as_ref()), Some(set));
        if anew {
            self.tell_route(index, |router, session| {
                let Words {
                    as_path,
                    communities,
                } = shared.words(set);
                Fact::RouteReceived {
                    router,
                    session,
                    prefix,
                    as_path,
                    communities,
                    med: set.med,
                }
            });
        }
        let was = before.map(Path::verdict);
        // A refusal tells of the route, too, and so is told again with it.
        let again = anew && matches!(now, Verdict::Refused(_));
        if again || was != Some(now) {
            self.record_verdict(index, prefix, (set, shared), now);
        }
    }

    /// Records whether a received route may be used.
    pub(super) fn record_verdict(
        &mut self,
        index: usize,
        prefix: IpNet,
        (set, shared): (&Arc<Attributes>, &mut Shared),
        now: Verdict,
    ) {
        match now {
            Verdict::Accepted { local_pref } if self.peers[index].spec.record_routes => {
                self.tell_route(index, |router, session| Fact::RouteAccepted {
                    router,
                    session,
                    prefix,
                    local_pref,
                });
            }
            Verdict::Accepted { .. } => {}
            Verdict::Refused(fate) => {
                if let Some(reason) = self.table.refusal(fate).cloned() {
                    self.record_refused(index, prefix, || shared.words(set), &reason);
                }
            }
        }
    }

    /// Records a route that is not used.
    fn record_refused(
        &mut self,
        index: usize,
        prefix: IpNet,
        words: impl FnOnce() -> Words,
        reason: &str,
    ) {
        if !self.peers[index].spec.record_routes {
            return;
        }
        self.tell_route(index, |router, session| {
            let Words {
                as_path,
                communities,
            } = words();
            Fact::RouteRefused {
                router,
                session,
                prefix,
                as_path,
                communities,
                reason: reason.to_owned(),
            }
        });
    }

    pub(super) fn record_withdrawn(&mut self, index: usize, prefix: IpNet, why: &str) {
        if self.peers[index].spec.record_routes {
            self.tell_route(index, |router, session| Fact::RouteWithdrawn {
                router,
                session,
                prefix,
                why: why.to_owned(),
            });
        }
    }
}
