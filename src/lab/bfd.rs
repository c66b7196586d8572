//! What a step orders of BFD sessions, at the ends that their names say.

use super::{Acted, Lab};
use crate::bfd::{Misbehaviour, Order};
use crate::line::End;
use crate::record::Fact;
use crate::scenario::bfd_order;
use crate::topology::{BfdSession, Topology};

impl Lab {
    /// Tells ends of BFD sessions what to do. What takes the partner's packets away is a fault of what they go over.
    pub(super) fn order_bfd(&self, order: Order, sessions: &[String]) -> Acted {
        let simulated = |router: &str| self.routers.contains_key(router);
        let (ends, links) = match told(&self.topology, simulated, sessions) {
            Ok(told) => told,
            Err(why) => return Acted::Impossible(why),
        };
        let repaired = match order {
            Order::Timers { .. } => None,
            Order::Enable => Some(true),
            Order::Disable => Some(false),
            Order::Misbehave(how) if how == Misbehaviour::default() => Some(true),
            Order::Misbehave(how) => (!how.is_borne()).then_some(false),
        };
        if let Some(repaired) = repaired {
            let fault = format!("BFD {}: {}", sessions.join(", "), bfd_order(order));
            self.recorder.now(Fact::FaultAsked {
                fault: fault.clone(),
            });
            self.recorder.now(Fact::FaultHappened {
                fault,
                connections: links,
                repaired,
                impairment: false,
            });
        }
        for end in ends {
            self.line.bfd(end, order);
        }
        Acted::Done
    }
}

/// The ends of sessions, and what they go over; or why one of them is not there.
fn told(
    topology: &Topology,
    simulated: impl Fn(&str) -> bool,
    names: &[String],
) -> Result<(Vec<End>, Vec<String>), String> {
    let mut sessions = Vec::new();
    for name in names {
        let session = topology.bfd_session(name);
        let session = session.ok_or_else(|| format!("there is no BFD session `{name}`"))?;
        let border = session.inner().map(|inner| inner.border);
        if let Some(router) = border.filter(|router| !simulated(router)) {
            return Err(format!(
                "BFD inside the peer's network guards simulated routers only, and a device plays `{router}`: leave it out of the binding"
            ));
        }
        sessions.push(session);
    }
    let end = |session: &BfdSession<'_>| End {
        router: session.router.to_owned(),
        connection: session.at_router(),
    };
    let links = sessions.iter().map(BfdSession::link);
    Ok((sessions.iter().map(end).collect(), links.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// Each end is told that its name says, whatever stands before it in the list.
    #[test]
    fn every_kind_of_session_is_told_at_its_end() {
        let path = std::path::Path::new("topologies/one-metro-every-bfd.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let all = [
            "ams-pe-1/core",
            "ams-1",
            "wan/ams-edge-2/ipv6",
            "ams-2/1",
            "ams-2/ipv6",
        ];
        let (ends, links) = told(&topology, |_| true, &names(&all)).expect("all are there");
        let ends: Vec<(&str, &str)> = (ends.iter())
            .map(|end| (end.router.as_str(), end.connection.as_str()))
            .collect();
        let expected = [
            ("ams-pe-1", "core"),
            ("ams-edge-1", "ams-1"),
            ("wan", "ams-edge-2/ipv6"),
            ("ams-edge-2", "ams-2/1"),
            ("ams-edge-2", "ams-2/ipv6"),
        ];
        assert_eq!(ends, expected);
        let expected = ["core/ams-pe-1", "ams-1", "wan/ams-edge-2", "ams-2", "ams-2"];
        assert_eq!(links, expected);
    }

    #[test]
    fn what_a_device_plays_has_no_bfd_inside() {
        let path = std::path::Path::new("topologies/one-metro-every-bfd.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let of = |all: &[&str]| told(&topology, |router| router != "ams-pe-1", &names(all));
        assert!(of(&["ams-1", "ams-1/1", "core/ams-pe-2", "wan/ams-edge-1"]).is_ok());
        for inside in ["core/ams-pe-1", "ams-pe-1/core/ipv6"] {
            let why = of(&["ams-1", inside]).expect_err(inside);
            assert!(
                why.contains("a device plays `ams-pe-1`: leave it out of the binding"),
                "{why}"
            );
        }
    }
}
