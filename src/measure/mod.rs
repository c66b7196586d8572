//! From the record to numbers: what traffic lost, how a network converged, what BFD saw of its partners, how late this host was.
//!
//! **Invariant:** pure functions of entries; nothing here says whether a number is good.

mod bfd;
mod convergence;
mod detection;
mod lacp;
mod lateness;
mod members;
#[cfg(test)]
mod tests;
mod traffic;

pub use bfd::{BfdPartner, bfd_partners};
pub use convergence::{Convergence, Moved, Stage, convergence};
pub use detection::{Detection, FirstOfEach, Layers, Noticed};
pub use lacp::{ComingUp, EarlyData, LacpPartner, lacp_partners};
pub use lateness::{Lateness, lateness};
pub use members::{MemberTraffic, OfMember, by_member, member_traffic, place};
pub use traffic::{Direction, Episode, Tail, Traffic, tail, traffic, ways};

use serde::{Deserialize, Serialize};

use crate::time::At;

/// A stretch of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its first moment.
    pub begin: At,
    /// Its last moment.
    pub end: At,
}

impl Window {
    /// Whether the window includes this moment.
    pub fn includes(self, at: At) -> bool {
        self.begin <= at && at <= self.end
    }
}
