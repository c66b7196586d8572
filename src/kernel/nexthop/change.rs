//! What the kernel can be told about routes and nexthop objects.
//!
//! **Invariant:** values; prints as `ip route` and `ip nexthop` would, for the words of an error.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Gateway, NextHop};

/// A set of next hops: sorted, each once.
pub(super) type NextHops = Arc<[NextHop]>;

/// How routes with several next hops are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Through nexthop objects (Linux 5.3 and later).
    Objects,
    /// With the next hops inside every route.
    Multipath,
}

/// One message for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A nexthop object; fails when the id exists.
    CreateHop { id: u32, hop: Gateway },
    /// A group object; fails when the id exists or a member does not.
    CreateGroup { id: u32, members: Vec<u32> },
    /// New members for a group; fails when the group or a member does not exist.
    ReplaceGroup { id: u32, members: Vec<u32> },
    /// A group, with all routes that point there.
    DeleteObject { id: u32 },
    /// A nexthop object nothing refers to: no packet goes elsewhere for it.
    DeleteHop { id: u32 },
    /// A route through a group, new or instead of the one there is.
    Route { prefix: IpNet, group: u32 },
    /// A route with its next hops inside, new or instead of the one there is.
    Multipath { prefix: IpNet, hops: NextHops },
    /// No route.
    DeleteRoute { prefix: IpNet },
    /// A nexthop object, whether it exists or not.
    RestoreHop { id: u32, hop: Gateway },
    /// A group, whether it exists or not.
    RestoreGroup { id: u32, members: Vec<u32> },
}

impl Change {
    /// Whether the change only takes something away.
    pub(super) fn is_removal(&self) -> bool {
        matches!(
            self,
            Change::DeleteObject { .. } | Change::DeleteHop { .. } | Change::DeleteRoute { .. }
        )
    }

    /// Whether it can wait as long as it likes.
    pub(super) fn is_housekeeping(&self) -> bool {
        matches!(self, Change::DeleteHop { .. })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::CreateHop { id, hop } | Change::RestoreHop { id, hop } => write!(
                f,
                "nexthop {id} via {} on interface {}",
                hop.address, hop.oif
            ),
            Change::CreateGroup { id, members }
            | Change::ReplaceGroup { id, members }
            | Change::RestoreGroup { id, members } => {
                write!(f, "nexthop group {id} of {members:?}")
            }
            Change::DeleteObject { id } | Change::DeleteHop { id } => {
                write!(f, "delete nexthop {id}")
            }
            Change::Route { prefix, group } => write!(f, "route {prefix} nhid {group}"),
            Change::Multipath { prefix, hops } => write!(f, "route {prefix} via {hops:?}"),
            Change::DeleteRoute { prefix } => write!(f, "delete route {prefix}"),
        }
    }
}
