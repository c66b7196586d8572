//! Why a lab could not be built or acted on.

use super::capture::CaptureError;
use super::monitoring::MonitoringError;
use crate::device::DeviceError;
use crate::kernel::apply::BuildError;
use crate::kernel::enter::EnterError;
use crate::kernel::namespace::NamespaceError;
use crate::kernel::netlink::NetlinkError;
use crate::kernel::watch::WatchError;
use crate::line::LineError;
use crate::probe::ProbeError;
use crate::router::driver::DriverError;
use crate::source::Diagnostics;

/// Why a lab could not be built or acted on.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Fewer files may be open than the lab needs.
    #[error(transparent)]
    Descriptors(#[from] EnterError),
    /// The network could not be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A namespace could not be used.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The kernel refused netlink work.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The kernel's events cannot be heard.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// A LAG or BFD session could not be started.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The routers' thread could not be started.
    #[error("start the routers' thread: {0}")]
    ControlPlane(#[source] std::io::Error),
    /// A simulated router could not be started.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// Probe traffic could not be sent.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A device could not play its router.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Frames could not be captured.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The edges cannot be monitored.
    #[error(transparent)]
    Monitoring(#[from] MonitoringError),
    /// A registry's file is not what it was when the topology was read.
    #[error("read a registry: {}", .0.render(false))]
    Registry(#[from] Diagnostics),
    /// A registry could not be served to the routers.
    #[error("serve a registry at the core: {0}")]
    Served(#[source] std::io::Error),
    /// The kernel has nothing that impairs a cable so.
    #[error("impair {what}: this kernel has no {lacking}; {remedy}")]
    CannotImpair {
        /// Which cables, and how.
        what: String,
        /// What it lacks.
        lacking: &'static str,
        /// How to have it.
        remedy: &'static str,
    },
    /// The plan did not make something the lab needs.
    #[error("find {0}: the plan did not make it")]
    Unplanned(String),
}

impl LabError {
    /// The machine lacks something the lab needs: nothing failed, but nothing can be tried.
    pub fn is_lack(&self) -> bool {
        match self {
            LabError::Device(error) => error.is_lack(),
            _ => self.is_of_kernel(),
        }
    }

    /// It is the kernel that lacks it, and another has it.
    pub fn is_of_kernel(&self) -> bool {
        matches!(
            self,
            LabError::CannotImpair { .. } | LabError::Line(LineError::NoBonding { .. })
        )
    }
}
