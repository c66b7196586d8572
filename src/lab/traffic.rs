//! Probe traffic between Teams and the peer's endpoints, and the taps that tell which way it went.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::{Acted, Lab, LabError, namespace};
use crate::kernel::apply::Network;
use crate::plan::of_topology::{Layout, TEAMS_ADDRESS};
use crate::probe::{Host, Probe, Stream, open_tap};
use crate::record::Recorder;

/// The way that is no connection.
const INTERNET: &str = "internet";

/// Starts the probe thread, with a tap on every connection at Microsoft's edges and one on the internet path.
pub fn start(layout: &Layout, network: &Network, recorder: &Recorder) -> Result<Probe, LabError> {
    let probe = Probe::start(recorder.clone())?;
    for connection in &layout.connections {
        let edge = &connection.edge;
        let tap = open_tap(namespace(network, &edge.router)?, edge.lag_index)?;
        probe.tap(&connection.name, tap)?;
    }
    let link = network.index(INTERNET, "wan");
    let link = link.ok_or_else(|| LabError::Unplanned("internet's link wan".to_owned()))?;
    probe.tap(INTERNET, open_tap(namespace(network, INTERNET)?, link)?)?;
    Ok(probe)
}

impl Lab {
    /// Starts one direction of probe traffic.
    pub(super) fn send(
        &self,
        from: &str,
        to: &str,
        every: Duration,
        flows: u16,
    ) -> Result<(), LabError> {
        let stream = Stream::open(self.host(from)?, self.host(to)?, every, flows)?;
        self.probe.send(stream)?;
        Ok(())
    }

    /// Tells what was lost so far, though no later packet of its flow has arrived yet.
    ///
    /// # Errors
    /// The probe thread is gone.
    pub async fn flush_probes(&self) -> Result<(), LabError> {
        Ok(self.probe.flush().await?)
    }

    pub(super) async fn stop_probes(&self) -> Result<Acted, LabError> {
        self.probe.stop_all().await?;
        Ok(Acted::Done)
    }

    fn host<'a>(&'a self, name: &'a str) -> Result<Host<'a>, LabError> {
        Ok(Host {
            name,
            namespace: namespace(&self.network, name)?,
            address: IpAddr::V4(self.address(name)?),
        })
    }

    fn address(&self, host: &str) -> Result<Ipv4Addr, LabError> {
        if host == "teams" {
            return Ok(TEAMS_ADDRESS);
        }
        let endpoint = self
            .layout
            .endpoints
            .iter()
            .find(|endpoint| endpoint.name == host);
        let address = endpoint.map(|endpoint| endpoint.address);
        address.ok_or_else(|| LabError::Unplanned(format!("host {host}")))
    }
}
