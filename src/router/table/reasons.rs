//! Why routes are refused, each reason once.
//!
//! **Invariant:** at most 65,535 reasons; a policy has far fewer.

use crate::bgp::hash::Map;
use crate::bgp::policy::Reason;

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::router) struct ReasonId(u16);

#[derive(Debug, Default)]
pub(in crate::router) struct Reasons {
    list: Vec<Reason>,
    ids: Map<Reason, ReasonId>,
}

impl Reasons {
    /// The id of a reason.
    pub fn id(&mut self, reason: &Reason) -> ReasonId {
        if let Some(&id) = self.ids.get(reason) {
            return id;
        }
        // Policies name their reasons, so there are few; one too many would count as the last.
        let Ok(id) = u16::try_from(self.list.len()) else {
            return ReasonId(u16::MAX);
        };
        let id = ReasonId(id);
        self.list.push(reason.clone());
        self.ids.insert(reason.clone(), id);
        id
    }

    /// The reason of an id.
    pub fn of(&self, id: ReasonId) -> Option<&Reason> {
        self.list.get(usize::from(id.0))
    }
}
