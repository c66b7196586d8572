//! A topology that is alive: built, acted on, taken down.

use crate::device::DeviceError;
use crate::kernel::apply::{BuildError, Network};
use crate::kernel::namespace::{Namespace, NamespaceError};
use crate::kernel::netlink::NetlinkError;

pub mod cable;
pub mod routers;

/// Why a lab could not be built or acted on.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The network could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A namespace could not be used.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The kernel refused netlink work.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A device could not play its router.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The plan did not make a namespace the lab needs.
    #[error("find namespace {0}: the plan did not make it")]
    Unplanned(String),
}

/// A namespace of the network by its name in the plan.
fn namespace<'a>(network: &'a Network, name: &str) -> Result<&'a Namespace, LabError> {
    network
        .namespace(name)
        .map(AsRef::as_ref)
        .ok_or_else(|| LabError::Unplanned(name.to_owned()))
}
