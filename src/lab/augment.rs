//! Members are added to a LAG and taken from it while it carries, at both ends.
//!
//! A new member is plugged in, and LACP does the rest: it carries once both ends collect. One that goes is first taken out
//! of the spread at both ends, which go on collecting from it; what is on its way arrives, and then its light goes.

use std::time::Duration;

use super::{Acted, Lab, LabError};
use crate::lacp::Admin;
use crate::line::End;
use crate::plan::of_topology::ConnectionLayout;
use crate::record::{Fact, InService};

/// No frame is longer on its way.
const ON_THE_WAY: Duration = Duration::from_millis(200);

impl Lab {
    /// Adds members to a LAG.
    pub(super) fn augment(&mut self, name: &str, members: &[u8]) -> Result<Acted, LabError> {
        let layout = self.layout.clone();
        if let Some(connection) = layout.connection(name) {
            for member in members {
                self.cables.plug(connection, *member, true)?;
            }
            self.tell_in_service(connection);
        }
        Ok(Acted::Done)
    }

    /// Takes a member out of its LAG.
    pub(super) async fn reduce(&mut self, name: &str, member: u8) -> Result<Acted, LabError> {
        let layout = self.layout.clone();
        let Some(connection) = layout.connection(name) else {
            return Ok(Acted::Done);
        };
        if self.bonds.contains(name) || self.bonds_of_peer.contains(name) {
            return Ok(Acted::Impossible(format!(
                "the LAG of `{name}` is a bond of the kernel's at one end, which cannot be told to spare a member: give it \
                 `backend = \"ours\"`"
            )));
        }
        let ends = [&connection.edge, &connection.peer].map(|end| End {
            router: end.router.clone(),
            connection: name.to_owned(),
        });
        let port = usize::from(member) - 1;
        let spare = |spared| {
            for end in &ends {
                self.line.lag(end.clone(), Admin::Spare { port, spared });
            }
        };
        spare(true);
        for end in &ends {
            // The answer comes after what was told is done; a line card that is dead has none.
            let _ = self.line.inspect_lag(end.clone()).await;
        }
        tokio::time::sleep(ON_THE_WAY).await;
        self.cables.plug(connection, member, false)?;
        spare(false);
        self.tell_in_service(connection);
        Ok(Acted::Done)
    }

    fn tell_in_service(&self, connection: &ConnectionLayout) {
        let members = self.cables.plugged(connection);
        let bandwidth_mbps = connection.member_mbps * members.len() as u32;
        self.recorder.now(Fact::InService(InService {
            connection: connection.name.clone(),
            members,
            bandwidth_mbps,
        }));
    }
}
