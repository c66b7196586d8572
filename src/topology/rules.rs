//! What must hold between the parts of a topology.

use super::raw::RawTopology;
use crate::source::Mistakes;

/// Adds every breach.
pub(super) fn check(_raw: &RawTopology, _mistakes: &mut Mistakes) {}
