//! UPDATEs with faults that do not end their session. RFC 7606, section 8, wants them told, so that whoever sends them can mend it;
//! attributes that are left out would not be missed by anybody otherwise.
//!
//! **Invariant:** of UPDATEs that say the same one is told, while a session lasts and no more than [`REMEMBERED`] others came.

use ipnet::IpNet;

use super::telling::Digest;
use super::{Router, SessionIndex};
use crate::bgp::hash::Set;
use crate::record::{Fact, MalformedUpdate};
use crate::time::At;

/// So many are told apart.
const REMEMBERED: usize = 4096;
/// So many faults of an UPDATE are told.
const FAULTS: usize = 8;

/// What was malformed on a session.
#[derive(Debug, Default)]
pub(super) struct Faulty {
    count: u64,
    last: Option<(At, String)>,
    told: Set<Digest>,
}

/// The UPDATEs with faults that a session has brought.
#[derive(Debug, Clone, Copy)]
pub struct Malformed<'a> {
    /// How many.
    pub count: u64,
    /// When the last one came.
    pub at: At,
    /// The gravest of its faults, and how it was treated.
    pub fault: &'a str,
}

impl Router {
    /// The UPDATEs with faults that a session has brought since it was made, if any.
    pub fn malformed(&self, session: SessionIndex) -> Option<Malformed<'_>> {
        let faulty = &self.peers.get(session.index())?.faulty;
        let (at, fault) = faulty.last.as_ref()?;
        Some(Malformed {
            count: faulty.count,
            at: *at,
            fault,
        })
    }

    /// An UPDATE had faults, the gravest first.
    pub(super) fn tell_malformed(
        &mut self,
        index: usize,
        mut faults: Vec<String>,
        prefixes: usize,
        first: Option<IpNet>,
    ) {
        let peer = &mut self.peers[index];
        let faulty = &mut peer.faulty;
        faulty.count += 1;
        faulty.last = faults.first().map(|fault| (self.now, fault.clone()));
        if !peer.spec.record_routes {
            return;
        }
        // One attribute that is there a thousand times is one fault.
        faults.dedup();
        faults.truncate(FAULTS);
        let digest = peer.telling.digest(&(&faults, prefixes, first));
        if faulty.told.len() >= REMEMBERED {
            faulty.told = Set::default();
        }
        if faulty.told.insert(digest) {
            self.tell_route(index, |router, session| {
                Fact::MalformedUpdate(MalformedUpdate {
                    router,
                    session,
                    faults,
                    prefixes: u32::try_from(prefixes).unwrap_or(u32::MAX),
                    first,
                })
            });
        }
    }
}

impl Faulty {
    /// What comes now is told as if it came for the first time.
    pub fn forget(&mut self) {
        self.told = Set::default();
    }
}
