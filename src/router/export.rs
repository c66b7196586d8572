//! What a session's neighbour is told about a prefix (RFC 4271, sections 5.1 and 9.1.3).
//!
//! **Invariant:** a route learned by iBGP is not told to another iBGP neighbour.

use std::sync::Arc;

use bytes::BytesMut;

use super::config::{Scope, SessionIndex};
use super::peer::{Peer, Pin};
use super::table::{Path, Table};
use crate::bgp::attributes::{
    AttributeSets, Attributes, NO_ADVERTISE, NO_EXPORT, NO_EXPORT_SUBCONFED,
};
use crate::bgp::family::{Families, Family};
use crate::bgp::message::{self, Dialect, Nlri};
use crate::bgp::policy::Shapes;
use crate::bgp::rib::AdjRibOut;
use crate::bgp::rib::numbers::Numbers;

/// How many prefixes are looked at between two looks at the room to write.
const BATCH: usize = 4096;

/// Writes what a neighbour must be told, as far as there is room. True when something was written.
pub(super) fn flush(
    peer: &mut Peer,
    peers_internal: &[bool],
    asn: u32,
    table: &Table,
    sets: &mut AttributeSets,
) -> bool {
    let mut wrote = false;
    while peer.rib_out.is_pending() && peer.session.room() > 0 {
        let negotiated = peer.session.negotiated();
        let families = negotiated.map_or(Families::NONE, |n| n.dialect.families);
        // The same set leaves in the same shape; a pin and a learned route never share one.
        let mut shapes = Shapes::default();
        let Peer {
            rib_out,
            pins,
            spec,
            internal,
            index,
            ..
        } = peer;
        let changes = rib_out.changes(BATCH, &table.numbers, |number, prefix| {
            if !families.contains(Family::of(prefix)) {
                return None;
            }
            let (source, own) = match pins.get(number) {
                Some(Some(Pin::Withdrawn)) => return None,
                Some(Some(Pin::Announced(set))) => (set, true),
                Some(None) | None => {
                    let best = table.best(number)?;
                    let set = learned(best, *index, spec.scope, *internal, peers_internal)?;
                    (set, false)
                }
            };
            let shaped = shapes.shape(&spec.export, *prefix, source, |applied| {
                let mut set = Attributes::clone(source);
                if !own && !*internal {
                    // Section 5.1.4: a MED of one neighbouring AS is not told another.
                    set.med = None;
                }
                applied.change(&mut set);
                if *internal {
                    inwards(&mut set, own || spec.next_hop_self, spec.local);
                } else {
                    outwards(&mut set, asn, spec.local);
                }
                sets.share(set)
            });
            shaped.ok()
        });
        let Some((out, dialect)) = peer.session.writer() else {
            break;
        };
        message::write_withdrawals(out, &changes.withdrawn, dialect);
        for (set, nlri) in &changes.announced {
            announce(out, set, nlri, dialect, &mut peer.rib_out, &table.numbers);
        }
        if peer.rib_out.take_end_of_rib() {
            for family in dialect.families.iter() {
                message::write_end_of_rib(out, family);
            }
        }
        wrote = true;
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

/// The attributes of a learned route, if the session may hear of it.
fn learned<'a>(
    best: &'a Path,
    to: SessionIndex,
    scope: Scope,
    to_internal: bool,
    peers_internal: &[bool],
) -> Option<&'a Arc<Attributes>> {
    // Room for route reflection (RFC 4456): here is where a client would make a difference.
    let from_internal = peers_internal.get(best.session.index()).copied()?;
    let set = best.imported.as_ref()?;
    let communities = &set.communities;
    let stays_inside = communities
        .iter()
        .any(|&c| c == NO_EXPORT || c == NO_EXPORT_SUBCONFED);
    if scope != Scope::All
        || best.session == to
        || (from_internal && to_internal)
        || communities.contains(&NO_ADVERTISE)
        || (stays_inside && !to_internal)
    {
        return None;
    }
    Some(set)
}

/// Towards a neighbour of our own AS.
fn inwards(set: &mut Attributes, next_hop_self: bool, local: std::net::IpAddr) {
    set.local_pref.get_or_insert(100);
    if next_hop_self {
        set.next_hop = local;
    }
}

/// Towards a neighbour of another AS.
fn outwards(set: &mut Attributes, asn: u32, local: std::net::IpAddr) {
    set.as_path.insert(0, asn);
    set.next_hop = local;
    set.local_pref = None;
    set.originator_id = None;
    set.cluster_list.clear();
}
