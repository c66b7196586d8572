//! What becomes of received routes: Adj-RIB-In keeps them as they came, import policy lets them in or not, and those
//! that are not used are not forgotten.
//!
//! **Invariant:** whatever was announced and not withdrawn is in Adj-RIB-In, or in the list of refused routes, or both.

use std::sync::Arc;

use ipnet::IpNet;

use super::Router;
use crate::bgp::attributes::Attributes;
use crate::bgp::message::{Unusable, Update};
use crate::bgp::policy::{MALFORMED, OWN_AS, Reason, Shapes};
use crate::bgp::rib::Received;
use crate::record::Fact;

impl Router {
    /// Works an UPDATE into the Adj-RIB-In.
    pub(super) fn update(&mut self, index: usize, update: Update) {
        for nlri in update.withdrawn {
            self.withdraw(index, nlri.prefix, "withdrawn by the peer");
        }
        if let Some(unusable) = &update.unusable {
            let why = update.malformed.first().map_or("malformed", String::as_str);
            for nlri in &unusable.nlri {
                self.treat_as_withdrawn(index, nlri.prefix, unusable, why);
            }
        }
        for announced in update.announced {
            let set = announced.attributes;
            match self.unfit(index, &set) {
                None => {
                    let set = self.sets.share(set);
                    let mut shapes = Shapes::default();
                    for nlri in announced.nlri {
                        self.receive(index, nlri.prefix, &set, &mut shapes);
                    }
                }
                Some((reason, why)) => {
                    let unusable = Unusable {
                        nlri: Vec::new(),
                        reason,
                        as_path: set.as_path_text(),
                        communities: set.community_texts(),
                    };
                    for nlri in announced.nlri {
                        self.treat_as_withdrawn(index, nlri.prefix, &unusable, why);
                    }
                }
            }
        }
        if update.end_of_rib.is_some() {
            self.facts.push(Fact::EndOfRib {
                router: self.config.name.clone(),
                session: self.peers[index].spec.name.clone(),
            });
        }
    }

    /// Import policy was changed: what was received is decided anew.
    pub(super) fn import_anew(&mut self, index: usize) {
        let routes = self.peers[index].rib_in.iter();
        let routes = routes.map(|(prefix, route)| (prefix, route.attributes.clone()));
        let mut shapes = Shapes::default();
        for (prefix, set) in routes.collect::<Vec<_>>() {
            self.receive(index, prefix, &set, &mut shapes);
        }
    }

    /// Why routes with these attributes are malformed for this session: RFC 4271, section 6.3, with the treatment of
    /// RFC 7606, section 3; RFC 4456, section 8.
    fn unfit(&self, index: usize, set: &Attributes) -> Option<(&'static str, &'static str)> {
        let peer = &self.peers[index];
        if !peer.internal && set.as_path.first() != Some(&peer.spec.peer_asn) {
            Some((MALFORMED, "AS path does not begin with the peer's AS"))
        } else if peer.internal && set.originator_id == Some(self.config.router_id) {
            Some((OWN_AS, "our own route, reflected"))
        } else {
            None
        }
    }

    fn receive(&mut self, index: usize, prefix: IpNet, set: &Arc<Attributes>, shapes: &mut Shapes) {
        let peer = &mut self.peers[index];
        let imported = if set.as_path.contains(&self.config.asn) {
            Err(Reason::Borrowed(OWN_AS))
        } else {
            let shaped = shapes.shape(&peer.spec.import, prefix, set, |applied| {
                if applied.is_nothing() {
                    return set.clone();
                }
                let mut changed = Attributes::clone(set);
                applied.change(&mut changed);
                self.sets.share(changed)
            });
            shaped.map_err(Clone::clone)
        };
        let (imported, refused) = match imported {
            Ok(set) => (Some(set), None),
            Err(reason) => (None, Some(reason)),
        };
        let route = Received {
            attributes: set.clone(),
            imported: imported.clone(),
        };
        let before = peer.rib_in.insert(prefix, route);
        let was_refused = match &refused {
            Some(reason) => peer.refused.insert(prefix, reason.clone()),
            None if peer.refused.is_empty() => None,
            None => peer.refused.remove(&prefix),
        };
        let (before, was_imported) = match before {
            Some(before) => (Some(before.attributes), before.imported),
            None => (None, None),
        };
        if !same(was_imported.as_ref(), imported.as_ref()) {
            self.dirty.push(prefix);
        }
        if !peer.spec.record_routes {
            return;
        }
        let anew = !same(before.as_ref(), Some(set));
        if anew {
            self.facts.push(Fact::RouteReceived {
                router: self.config.name.clone(),
                session: peer.spec.name.clone(),
                prefix,
                as_path: set.as_path_text(),
                communities: set.community_texts(),
                med: set.med,
            });
        }
        match (imported, refused) {
            (Some(now), _) => {
                let local_pref = now.local_pref.unwrap_or(100);
                let was = was_imported.map(|set| set.local_pref.unwrap_or(100));
                if was != Some(local_pref) {
                    self.facts.push(Fact::RouteAccepted {
                        router: self.config.name.clone(),
                        session: peer.spec.name.clone(),
                        prefix,
                        local_pref,
                    });
                }
            }
            (None, Some(reason)) if anew || was_refused.as_ref() != Some(&reason) => {
                let (as_path, communities) = (set.as_path_text(), set.community_texts());
                self.record_refused(index, prefix, as_path, communities, &reason);
            }
            (None, _) => {}
        }
    }

    fn withdraw(&mut self, index: usize, prefix: IpNet, why: &str) {
        let peer = &mut self.peers[index];
        let received = peer.rib_in.remove(&prefix);
        let refused = peer.refused.remove(&prefix).is_some();
        if received {
            self.dirty.push(prefix);
        }
        if received || refused {
            self.record_withdrawn(index, prefix, why);
        }
    }

    /// A route that counts as withdrawn because of its attributes stays visible as a refused one.
    fn treat_as_withdrawn(&mut self, index: usize, prefix: IpNet, of: &Unusable, why: &str) {
        if self.peers[index].rib_in.remove(&prefix) {
            self.dirty.push(prefix);
            self.record_withdrawn(index, prefix, why);
        }
        let reason = Reason::Borrowed(of.reason);
        self.peers[index].refused.insert(prefix, reason.clone());
        if self.peers[index].spec.record_routes {
            let (as_path, communities) = (of.as_path.clone(), of.communities.clone());
            self.record_refused(index, prefix, as_path, communities, &reason);
        }
    }

    fn record_refused(
        &mut self,
        index: usize,
        prefix: IpNet,
        as_path: String,
        communities: Vec<String>,
        reason: &Reason,
    ) {
        self.facts.push(Fact::RouteRefused {
            router: self.config.name.clone(),
            session: self.peers[index].spec.name.clone(),
            prefix,
            as_path,
            communities,
            reason: reason.clone().into_owned(),
        });
    }

    pub(super) fn record_withdrawn(&mut self, index: usize, prefix: IpNet, why: &str) {
        let spec = &self.peers[index].spec;
        if spec.record_routes {
            self.facts.push(Fact::RouteWithdrawn {
                router: self.config.name.clone(),
                session: spec.name.clone(),
                prefix,
                why: why.to_owned(),
            });
        }
    }
}

fn same(a: Option<&Arc<Attributes>>, b: Option<&Arc<Attributes>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}
