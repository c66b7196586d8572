//! What a step orders of LACP, at the edges' ends; the peer's may be told to send markers.

use super::{Acted, Lab, LabError};
use crate::lacp::{Admin, Identity, Misbehaviour};
use crate::line::End;
use crate::plan::of_topology::ConnectionLayout;
use crate::record::Fact;
use crate::scenario::{LacpOrder, LagPart};

impl Lab {
    /// Tells the ends of LAGs what to do: the edges', but for markers that the peer's send.
    pub(super) fn order_lacp(
        &mut self,
        order: &LacpOrder,
        on: &[LagPart],
    ) -> Result<Acted, LabError> {
        let layout = self.layout.clone();
        let concerned: Vec<(&ConnectionLayout, Option<u8>)> = on
            .iter()
            .filter_map(|part| Some((layout.connection(&part.connection)?, part.member)))
            .collect();
        let bond = on.iter().find(|part| self.bonds.contains(&part.connection));
        if let Some(part) = bond.filter(|_| !order.is_for_bonds()) {
            let connection = &part.connection;
            return Ok(Acted::Impossible(format!(
                "the LAG of `{connection}` is a bond of the kernel's, which cannot be told: give it `backend = \"ours\"`"
            )));
        }
        let how = match order {
            LacpOrder::Misbehave(how) => Some(*how),
            LacpOrder::MoveTo { connection, member } => {
                layout.connection(connection).map(|other| Misbehaviour {
                    identity: Identity {
                        system: Some(other.edge.system),
                        key: Some(other.edge.key),
                        port: Some(u16::from(*member)),
                    },
                    ..Misbehaviour::default()
                })
            }
            LacpOrder::Fast(_) | LacpOrder::Active(_) | LacpOrder::SendMarker { .. } => None,
        };
        let repaired = match how {
            Some(how) if how == Misbehaviour::default() => Some(true),
            Some(how) => (!how.is_harmless()).then_some(false),
            None => None,
        };
        let names: Vec<String> = on.iter().map(ToString::to_string).collect();
        let told = format!("LACP {}: {order}", names.join(", "));
        if repaired.is_some() {
            let fault = told.clone();
            self.recorder.now(Fact::FaultAsked { fault });
        }
        if let Some(repaired) = repaired {
            self.happened(told, &concerned, repaired);
        }
        for (layout, member) in &concerned {
            let by_peer = *order == LacpOrder::SendMarker { by_peer: true };
            let router = match by_peer {
                true => &layout.peer.router,
                false => &layout.edge.router,
            };
            let end = End {
                router: router.clone(),
                connection: layout.name.clone(),
            };
            if let (Some(how), true) = (how, self.bonds.contains(&layout.name)) {
                self.cables.mute_lacp(layout, *member, how.silent)?;
            }
            let port = member.map(|member| usize::from(member) - 1);
            let command = match (order, how) {
                (LacpOrder::Fast(fast), _) => Admin::Fast(*fast),
                (LacpOrder::Active(active), _) => Admin::Active(*active),
                (_, Some(how)) => Admin::Misbehave { port, how },
                (_, None) => Admin::AskMarker { port },
            };
            self.line.lag(end, command);
        }
        Ok(Acted::Done)
    }
}
