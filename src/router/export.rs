//! What a session's neighbour is told about a prefix (RFC 4271, sections 5.1 and 9.1.3; RFC 4456 for reflection).
//!
//! **Invariant:** a route learned by iBGP is told to another iBGP neighbour only if one of the two is a client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use bytes::BytesMut;
use ipnet::IpNet;

use super::config::{NextHopSelf, Scope, SessionIndex};
use super::otc;
use super::peer::{Peer, Pin};
use super::table::{Path, Table};
use crate::bgp::attributes::{
    AttributeSets, Attributes, Community, GRACEFUL_SHUTDOWN, NO_ADVERTISE, NO_EXPORT,
    NO_EXPORT_SUBCONFED,
};
use crate::bgp::family::Families;
use crate::bgp::message::malformed::{Malformation, write_malformed};
use crate::bgp::message::{self, Dialect, Nlri, code};
use crate::bgp::policy::{ROUTE_LEAK, Shapes};
use crate::bgp::rib::numbers::{Number, Numbers};
use crate::bgp::rib::{AdjRibOut, Limit};
use crate::time::At;

/// How many prefixes are looked at between two looks at the room to write.
const BATCH: usize = 4096;
/// So many octets may be written when there is any room, so that prefixes with the same attributes go together.
const LEAST: usize = 16 << 10;

/// What the sessions of a router have in common.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub table: &'a Table,
    pub relations: &'a [Relation],
    pub asn: u32,
    pub cluster_id: Ipv4Addr,
}

/// Communities that keep a route from neighbours (RFC 1997): whether from those inside the AS, too, and the name.
const BARRED: [(u32, bool, &str); 3] = [
    (NO_ADVERTISE, true, "no-advertise"),
    (NO_EXPORT, false, "no-export"),
    (NO_EXPORT_SUBCONFED, false, "no-export-subconfed"),
];

/// A step of the scenario took the route from the neighbour.
pub const BY_HAND: &str = "withdrawn-by-hand";
/// The route does not fit into an UPDATE of this session.
pub const UNWRITABLE: &str = "unwritable";

/// A route that a neighbour is not told, though nothing but a decision of the router is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld<'a> {
    /// The session it was learned on; `None` of a route of the router's own.
    pub from: Option<SessionIndex>,
    /// Path identifier it would have (RFC 7911); 0 without.
    pub path_id: u32,
    /// The route before export policy; `None` when it is not even looked at.
    pub attributes: Option<&'a Arc<Attributes>>,
    /// Why: a reason of export policy, the name of a well-known community, [`ROUTE_LEAK`], [`BY_HAND`] or [`UNWRITABLE`].
    pub reason: &'a str,
}

/// Why a neighbour is not told a route.
#[derive(Debug, Clone, Copy)]
enum Untold<'a> {
    /// It has the route from elsewhere: it told it, or is told by its own AS (RFC 4271, section 9.2; RFC 4456, section 6).
    Knows,
    /// Somebody decided so: this is the reason.
    Refused(&'a str),
}

/// What is told of a route, if anything.
type Verdict<'a> = Result<Arc<Attributes>, Untold<'a>>;

/// What a neighbour is to the router.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relation {
    /// iBGP.
    pub internal: bool,
    /// A client of this route reflector.
    pub client: bool,
}

/// Writes what a neighbour must be told, as far as there is room. True when something was written.
pub(super) fn flush(
    peer: &mut Peer,
    ground: Ground<'_>,
    sets: &mut AttributeSets,
    now: At,
) -> bool {
    if peer.advertise_at.is_some_and(|at| at > now) {
        return withdraw(peer, ground, sets);
    }
    peer.rib_out.release();
    let (mut wrote, mut announced) = (false, false);
    while peer.rib_out.is_pending() && peer.session.room() > 0 {
        let limit = Limit {
            prefixes: BATCH,
            octets: peer.session.room().max(LEAST),
        };
        let mut rib_out = std::mem::take(&mut peer.rib_out);
        let mut export = Export::new(peer, ground, sets, rib_out.several());
        let changes = rib_out.changes(limit, &ground.table.numbers, |number, prefix, routes| {
            export.routes(number, prefix, routes);
        });
        peer.rib_out = rib_out;
        let Some((out, dialect)) = peer.session.writer() else {
            break;
        };
        message::write_withdrawals(out, &changes.withdrawn, dialect);
        announced |= !changes.announced.is_empty();
        for (set, mut nlri) in changes.announced {
            let numbers = &ground.table.numbers;
            if !peer.malformed.is_empty() {
                let malformed = take_malformed(&mut peer.malformed, numbers, &mut nlri);
                for (number, nlri, malformation) in malformed {
                    // What cannot be written in order cannot be broken either.
                    let _ = write_malformed(out, malformation, &set, &[nlri], dialect);
                    peer.rib_out.renew(number);
                }
            }
            if !nlri.is_empty() {
                announce(out, &set, &nlri, dialect, &mut peer.rib_out, numbers);
            }
        }
        if peer.rib_out.take_end_of_rib() {
            for family in dialect.families.iter() {
                message::write_end_of_rib(out, family);
            }
        }
        wrote = true;
    }
    if announced && !peer.rib_out.is_pending() {
        peer.advertise_at = peer.next_advertisement(now);
    }
    wrote
}

/// Takes the prefixes whose UPDATEs are to be malformed, each of which is so once.
fn take_malformed(
    malformed: &mut Vec<(Number, &'static Malformation)>,
    numbers: &Numbers,
    nlri: &mut Vec<Nlri>,
) -> Vec<(Number, Nlri, &'static Malformation)> {
    let mut taken = Vec::new();
    nlri.retain(|nlri| {
        let number = numbers.find(&nlri.prefix);
        let place = malformed.iter().position(|(of, _)| Some(*of) == number);
        let Some(place) = place else { return true };
        let (number, malformation) = malformed.swap_remove(place);
        taken.push((number, *nlri, malformation));
        false
    });
    taken
}

/// Writes the withdrawals that are due while nothing may be announced. True when something was written.
fn withdraw(peer: &mut Peer, ground: Ground<'_>, sets: &mut AttributeSets) -> bool {
    let mut wrote = false;
    while peer.rib_out.is_queued() && peer.session.room() > 0 {
        let mut rib_out = std::mem::take(&mut peer.rib_out);
        let mut export = Export::new(peer, ground, sets, rib_out.several());
        let numbers = &ground.table.numbers;
        let withdrawn = rib_out.withdrawals(BATCH, numbers, |number, prefix, routes| {
            export.routes(number, prefix, routes);
        });
        peer.rib_out = rib_out;
        let Some((out, dialect)) = peer.session.writer() else {
            break;
        };
        message::write_withdrawals(out, &withdrawn, dialect);
        wrote |= !withdrawn.is_empty();
    }
    wrote
}

fn announce(
    out: &mut BytesMut,
    set: &Attributes,
    nlri: &[Nlri],
    dialect: Dialect,
    rib_out: &mut AdjRibOut,
    numbers: &Numbers,
) {
    // A set that cannot be written (an AS number 0, or longer than a message) is not announced,
    // and what the neighbour had before is void.
    if message::write_announcements(out, set, nlri, dialect).is_err() {
        message::write_withdrawals(out, nlri, dialect);
        rib_out.unsent(numbers, nlri);
    }
}

/// The routes to a prefix that a neighbour is not told, and why: the export is evaluated again, nothing is kept for it.
pub(super) fn withheld<'a>(
    peer: &'a Peer,
    ground: Ground<'a>,
    number: Number,
) -> Vec<Withheld<'a>> {
    let Some(negotiated) = peer.session.status().negotiated.filter(|_| peer.up) else {
        return Vec::new();
    };
    if !peer.families.contains(number.family()) {
        return Vec::new();
    }
    let prefix = ground.table.numbers.prefix(number);
    let mut sets = AttributeSets::default();
    let several = peer.rib_out.several();
    let mut export = Export::new(peer, ground, &mut sets, several);
    let mut offered = Vec::new();
    match peer.pin(number) {
        Some(Pin::Withdrawn) => {
            return vec![Withheld {
                from: None,
                path_id: 0,
                attributes: None,
                reason: BY_HAND,
            }];
        }
        Some(Pin::Announced(set)) => {
            offered.push((None, 0, set, export.shaped(&prefix, set, true)));
        }
        None => {
            for (path_id, path) in offered_paths(peer, ground.table, number) {
                let told = export.told(&prefix, path);
                let set = path.imported.as_ref();
                offered.extend(set.map(|set| (Some(path.session), path_id, set, told)));
            }
        }
    }
    let refused = offered
        .into_iter()
        .filter_map(|(from, path_id, set, told)| {
            let reason = match told {
                Err(Untold::Knows) => return None,
                Err(Untold::Refused(reason)) => reason,
                Ok(told) => {
                    let nlri = Nlri { prefix, path_id };
                    let out = &mut BytesMut::new();
                    let written =
                        message::write_announcements(out, &told, &[nlri], negotiated.dialect);
                    // What can be written was told, or is about to be.
                    written.err().map(|_| UNWRITABLE)?
                }
            };
            Some(Withheld {
                from,
                path_id,
                attributes: Some(set),
                reason,
            })
        });
    refused.collect()
}

/// The learned routes that are offered to a session's export policy, with the path identifiers they are told with.
fn offered_paths<'a>(peer: &Peer, table: &'a Table, number: Number) -> Vec<(u32, &'a Path)> {
    if peer.spec.scope != Scope::All {
        Vec::new()
    } else if peer.rib_out.several().contains(number.family()) {
        table.ranked(number, peer.spec.add_paths)
    } else {
        table
            .best(number)
            .map(|best| (0, best))
            .into_iter()
            .collect()
    }
}

/// One look at what a neighbour is told.
struct Export<'a, 's> {
    peer: &'a Peer,
    ground: Ground<'a>,
    sets: &'s mut AttributeSets,
    /// Families in which several paths of a prefix are told.
    several: Families,
    /// The same set leaves in the same shape; a pin and a learned route never share one.
    shapes: Shapes,
}

impl<'a, 's> Export<'a, 's> {
    fn new(
        peer: &'a Peer,
        ground: Ground<'a>,
        sets: &'s mut AttributeSets,
        several: Families,
    ) -> Export<'a, 's> {
        Export {
            peer,
            ground,
            sets,
            several,
            shapes: Shapes::default(),
        }
    }

    /// The routes to a prefix that the neighbour is told, with their path identifiers.
    fn routes(&mut self, number: Number, prefix: &IpNet, routes: &mut Vec<(u32, Arc<Attributes>)>) {
        let (peer, table) = (self.peer, self.ground.table);
        if !peer.families.contains(number.family()) {
            return;
        }
        match peer.pin(number) {
            Some(Pin::Withdrawn) => {}
            Some(Pin::Announced(set)) => {
                let shaped = self.shaped(prefix, set, true);
                // Paths of others have identifiers from 1 on.
                routes.extend(shaped.ok().map(|set| (0, set)));
            }
            None if peer.spec.scope != Scope::All => {}
            None if self.several.contains(number.family()) => {
                for (path_id, path) in table.ranked(number, peer.spec.add_paths) {
                    routes.extend(self.told(prefix, path).ok().map(|set| (path_id, set)));
                }
            }
            None => {
                let told = table.best(number).map(|path| self.told(prefix, path));
                let told = told.and_then(Result::ok);
                routes.extend(told.map(|set| (0, set)));
            }
        }
    }

    /// A learned route as the neighbour is told of it, if it may hear of it.
    fn told(&mut self, prefix: &IpNet, path: &Path) -> Verdict<'a> {
        let Ground { relations, .. } = self.ground;
        let from = relations.get(path.session.index());
        let to = relations.get(self.peer.index.index());
        let (Some(from), Some(to), Some(set)) = (from, to, &path.imported) else {
            return Err(Untold::Knows);
        };
        let reflects = from.internal && to.internal;
        if path.session == self.peer.index || (reflects && !from.client && !to.client) {
            return Err(Untold::Knows);
        }
        let barred = BARRED.iter().find(|(community, inside, _)| {
            (*inside || !to.internal) && set.communities.contains(community)
        });
        if let Some((_, _, name)) = barred {
            return Err(Untold::Refused(name));
        }
        if !reflects {
            return self.shaped(prefix, set, false);
        }
        let reflected = self.reflected(set, path);
        self.shaped(prefix, &reflected, false)
    }

    /// RFC 4456, section 8: who brought the route into the AS, and through which clusters it went.
    fn reflected(&mut self, set: &Arc<Attributes>, path: &Path) -> Arc<Attributes> {
        let mut reflected = Attributes::clone(set);
        let source = self.ground.table.sources.get(path.session.index());
        let originator = source.map(|source| source.peer_id);
        reflected.originator_id = reflected.originator_id.or(originator);
        reflected.cluster_list.insert(0, self.ground.cluster_id);
        self.sets.share(reflected)
    }

    /// As export policy and the kind of neighbour make it, unless policy refuses it or it would be a leak.
    fn shaped(&mut self, prefix: &IpNet, source: &Arc<Attributes>, own: bool) -> Verdict<'a> {
        let Export {
            ground,
            sets,
            shapes,
            ..
        } = self;
        let peer = self.peer;
        let (spec, internal) = (&peer.spec, peer.internal);
        let role = spec.capabilities.role.filter(|_| !internal);
        if role.is_some_and(|role| !otc::may_be_told(role, source)) {
            return Err(Untold::Refused(ROUTE_LEAK));
        }
        let shaped = shapes.shape(&spec.export, *prefix, source, |applied| {
            let mut set = Attributes::clone(source);
            if !own {
                // RFC 4271, section 5: who does not know an attribute says so when passing it on.
                for unknown in &mut set.unknown {
                    if code::flags(unknown.code).is_none() {
                        unknown.flags |= code::PARTIAL;
                    }
                }
            }
            if !own && !internal {
                // Section 5.1.4: a MED of one neighbouring AS is not told another.
                set.med = None;
                // RFC 4360, section 6: those that are not transitive end with the AS.
                set.extended_communities
                    .retain(|community| community >> 56 & NON_TRANSITIVE == 0);
            }
            applied.change(&mut set);
            if let Some(role) = role {
                otc::egress(role, ground.asn, &mut set);
            }
            if peer.draining.is_some() {
                set.add_community(Community::Standard(GRACEFUL_SHUTDOWN));
                set.local_pref = Some(0);
            }
            if internal {
                let reflected = set.cluster_list.first() == Some(&ground.cluster_id);
                let own_hop = own
                    || match spec.next_hop_self {
                        NextHopSelf::Own => false,
                        NextHopSelf::External => !reflected,
                        NextHopSelf::All => true,
                    };
                inwards(&mut set, own_hop.then(|| peer.ourselves()));
            } else {
                outwards(&mut set, ground.asn, peer.ourselves());
            }
            sets.share(set)
        });
        shaped.map_err(|reason| Untold::Refused(reason))
    }
}

/// The bit of an extended community's type that says so (RFC 4360, section 2).
const NON_TRANSITIVE: u64 = 0x40;

/// Towards a neighbour of our own AS.
fn inwards(set: &mut Attributes, ourselves: Option<(IpAddr, Option<Ipv6Addr>)>) {
    set.local_pref.get_or_insert(100);
    // RFC 2545, section 3: a link-local next hop is of no use on another link.
    set.link_local = None;
    if let Some(ourselves) = ourselves {
        (set.next_hop, set.link_local) = ourselves;
    }
}

/// Towards a neighbour of another AS.
fn outwards(set: &mut Attributes, asn: u32, ourselves: (IpAddr, Option<Ipv6Addr>)) {
    set.as_path.insert(0, asn);
    (set.next_hop, set.link_local) = ourselves;
    set.local_pref = None;
    set.originator_id = None;
    set.cluster_list.clear();
}
