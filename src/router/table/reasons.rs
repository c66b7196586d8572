//! Why routes are refused, each reason once.
//!
//! **Invariant:** at most 65,535 reasons; policies and faults of attributes have far fewer.

use crate::bgp::hash::Map;
use crate::bgp::policy::Reason;

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::router) struct ReasonId(u16);

#[derive(Debug, Default)]
pub(in crate::router) struct Reasons {
    list: Vec<Refusal>,
    ids: Map<Reason, ReasonId>,
    of_faults: Map<(&'static str, String), ReasonId>,
}

/// Why a route is refused.
#[derive(Debug)]
pub(in crate::router) struct Refusal {
    pub reason: Reason,
    /// What was wrong with its attributes, and how that was treated, if it was that.
    pub fault: Option<String>,
}

impl Reasons {
    /// The id of a reason.
    pub fn id(&mut self, reason: &Reason) -> ReasonId {
        if let Some(&id) = self.ids.get(reason) {
            return id;
        }
        let id = self.add(reason.clone(), None);
        self.ids.insert(reason.clone(), id);
        id
    }

    /// The id of a reason that is a fault of an UPDATE. There are as many as attributes can have, a few thousand.
    pub fn of_fault(&mut self, reason: &'static str, fault: &str) -> ReasonId {
        let key = (reason, fault.to_owned());
        if let Some(&id) = self.of_faults.get(&key) {
            return id;
        }
        let id = self.add(Reason::Borrowed(reason), Some(fault.to_owned()));
        self.of_faults.insert(key, id);
        id
    }

    fn add(&mut self, reason: Reason, fault: Option<String>) -> ReasonId {
        // Policies name their reasons, so there are few; one too many would count as the last.
        let Ok(id) = u16::try_from(self.list.len()) else {
            return ReasonId(u16::MAX);
        };
        self.list.push(Refusal { reason, fault });
        ReasonId(id)
    }

    /// The reason of an id.
    pub fn of(&self, id: ReasonId) -> Option<&Refusal> {
        self.list.get(usize::from(id.0))
    }
}
