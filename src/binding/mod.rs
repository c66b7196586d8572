//! Which device plays each of the peer's routers: the model of a binding file.
//!
//! **Invariant:** every router named here exists in the topology the binding is used with.

mod daemon;
mod parse;
mod raw;

use std::path::PathBuf;

pub use daemon::Daemon;
pub use parse::{load, parse};

/// Devices by router. A router that is not named is [`Device::Simulated`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Binding {
    /// The file's stem.
    pub name: String,
    /// Router name and its device, in file order.
    pub routers: Vec<(String, Device)>,
}

/// What plays a router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// peerlab's own router.
    Simulated,
    /// A routing daemon with the user's own configuration.
    Daemon {
        /// Which.
        daemon: Daemon,
        /// Absolute path of its configuration file.
        config: PathBuf,
    },
}

impl Binding {
    /// The device that plays `router`.
    pub fn device(&self, router: &str) -> &Device {
        self.routers
            .iter()
            .find(|(name, _)| name == router)
            .map_or(&Device::Simulated, |(_, device)| device)
    }
}

/// The JSON Schema of the file, from the types that read it.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(raw::RawBinding).to_value()
}
