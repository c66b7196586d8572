//! What a step orders of LACP, at the edges' ends.

use super::{Acted, Lab};
use crate::lacp::{Admin, Identity, Misbehaviour};
use crate::line::End;
use crate::plan::of_topology::ConnectionLayout;
use crate::record::Fact;
use crate::scenario::{LacpOrder, LagPart};

impl Lab {
    /// Tells the edges' ends of LAGs what to do.
    pub(super) fn order_lacp(&self, order: &LacpOrder, on: &[LagPart]) -> Acted {
        let concerned: Vec<(&ConnectionLayout, Option<u8>)> = on
            .iter()
            .filter_map(|part| Some((self.layout.connection(&part.connection)?, part.member)))
            .collect();
        if let Some(part) = on.iter().find(|part| self.bonds.contains(&part.connection)) {
            let connection = &part.connection;
            return Acted::Impossible(format!(
                "the LAG of `{connection}` is a bond of the kernel's, which cannot be told: give it `backend = \"ours\"`"
            ));
        }
        let how = match order {
            LacpOrder::Misbehave(how) => Some(*how),
            LacpOrder::MoveTo { connection, member } => {
                self.layout
                    .connection(connection)
                    .map(|other| Misbehaviour {
                        identity: Identity {
                            system: Some(other.edge.system),
                            key: Some(other.edge.key),
                            port: Some(u16::from(*member)),
                        },
                        ..Misbehaviour::default()
                    })
            }
            LacpOrder::Fast(_) | LacpOrder::Active(_) | LacpOrder::SendMarker => None,
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
        for (layout, member) in &concerned {
            let end = End {
                router: layout.edge.router.clone(),
                connection: layout.name.clone(),
            };
            let port = member.map(|member| usize::from(member) - 1);
            let command = match (order, how) {
                (LacpOrder::Fast(fast), _) => Admin::Fast(*fast),
                (LacpOrder::Active(active), _) => Admin::Active(*active),
                (_, Some(how)) => Admin::Misbehave { port, how },
                (_, None) => Admin::AskMarker { port },
            };
            self.line.lag(end, command);
        }
        if let Some(repaired) = repaired {
            self.happened(told, &concerned, repaired);
        }
        Acted::Done
    }
}
