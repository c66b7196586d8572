//! Probe traffic between Teams and the peer's endpoints, and the taps that tell which way it went.

use std::net::IpAddr;
use std::time::Duration;

use super::{Acted, Lab, LabError, namespace};
use crate::bgp::family::Family;
use crate::kernel::apply::Network;
use crate::plan::of_topology::{Layout, TEAMS_ADDRESS, TEAMS_ADDRESS_IPV6};
use crate::probe::{Host, Probe, Stream, TRIED, TRIES, open_tap};
use crate::record::Recorder;
use crate::topology::of_session;

/// The way that is no connection.
const INTERNET: &str = "internet";

/// Starts the probe thread, with a tap on every member at Microsoft's end and one on the internet path.
pub fn start(layout: &Layout, network: &Network, recorder: &Recorder) -> Result<Probe, LabError> {
    let probe = Probe::start(recorder.clone())?;
    for connection in &layout.connections {
        let edge = &connection.edge;
        for ((link, _), member) in edge.members.iter().zip(1..) {
            let tap = open_tap(namespace(network, &edge.line_card)?, *link)?;
            probe.tap(&connection.name, Some(member), tap)?;
        }
    }
    let link = network.index(INTERNET, "wan");
    let link = link.ok_or_else(|| LabError::Unplanned("internet's link wan".to_owned()))?;
    probe.tap(
        INTERNET,
        None,
        open_tap(namespace(network, INTERNET)?, link)?,
    )?;
    Ok(probe)
}

impl Lab {
    /// Starts one direction of probe traffic, so often and in so many flows; with `pin`, of flows that go over this member.
    pub(super) async fn send(
        &self,
        from: &str,
        to: &str,
        (every, flows): (Duration, u16),
        pin: Option<(&str, u8)>,
    ) -> Result<Acted, LabError> {
        let (from, to) = (self.host(from)?, self.host(to)?);
        let Some((connection, member)) = pin else {
            self.probe.send(Stream::open(from, to, every, flows)?)?;
            return Ok(Acted::Done);
        };
        let way = (connection, Some(member));
        match self.probe.pinned(from, to, (every, flows), way).await? {
            Ok(stream) => {
                self.probe.send(stream)?;
                Ok(Acted::Done)
            }
            Err(found) => Ok(Acted::Impossible(format!(
                "of {} flows from {} to {} only {found} go over {connection}/{member}: does it distribute, does the \
                 route use {connection}, and does a bond's `hash-policy` there look at ports?",
                TRIES * TRIED,
                from.name,
                to.name
            ))),
        }
    }

    /// Tells what was lost so far, though no later packet of its flow has arrived yet, and what members carried.
    ///
    /// # Errors
    /// The probe thread is gone, or the kernel does not tell.
    pub async fn last_counts(&mut self) -> Result<(), LabError> {
        self.probe.flush().await?;
        self.count().await
    }

    pub(super) async fn stop_probes(&self) -> Result<Acted, LabError> {
        self.probe.stop_all().await?;
        Ok(Acted::Done)
    }

    fn host<'a>(&'a self, name: &'a str) -> Result<Host<'a>, LabError> {
        let (host, family) = of_session(name);
        Ok(Host {
            name,
            namespace: namespace(&self.network, host)?,
            address: self
                .address(host, family)
                .ok_or_else(|| LabError::Unplanned(format!("host {name}")))?,
        })
    }

    fn address(&self, host: &str, family: Family) -> Option<IpAddr> {
        let mut endpoints = self.layout.endpoints.iter();
        match (host, family) {
            ("teams", Family::Ipv4Unicast) => Some(TEAMS_ADDRESS.into()),
            ("teams", Family::Ipv6Unicast) => self.layout.ipv6.map(|_| TEAMS_ADDRESS_IPV6.into()),
            _ => {
                let endpoint = endpoints.find(|endpoint| endpoint.name == host)?;
                match family {
                    Family::Ipv4Unicast => Some(endpoint.address.into()),
                    Family::Ipv6Unicast => Some(endpoint.ipv6?.address.into()),
                }
            }
        }
    }
}
