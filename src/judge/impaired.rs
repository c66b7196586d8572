//! Through which cables the lab itself let a partner be heard badly.

use std::collections::BTreeSet;

use crate::measure::{BfdPartner, LacpPartner};
use crate::record::{Entry, Fact};
use crate::scenario::{Act, Scenario};
use crate::topology::{Impaired, Topology, Towards, connection_of};

/// What the lab let cables carry badly at any time of a run.
pub(super) struct Impairments<'a> {
    topology: &'a Topology,
    all: Vec<&'a Impaired>,
}

impl<'a> Impairments<'a> {
    /// What the topology says, and what the steps say that came to happen.
    pub(super) fn of(entries: &[Entry], scenario: &'a Scenario, topology: &'a Topology) -> Self {
        let happened = entries.iter().filter_map(|entry| match &entry.fact {
            Fact::FaultHappened {
                fault,
                impairment: true,
                ..
            } => Some(fault.as_str()),
            _ => None,
        });
        let happened: BTreeSet<&str> = happened.collect();
        let steps = scenario.steps.iter().filter_map(|step| match &step.act {
            Act::Impair(impaired) if happened.contains(&*impaired.to_string()) => Some(impaired),
            _ => None,
        });
        let all = topology.impaired.iter().chain(steps).collect();
        Impairments { topology, all }
    }

    /// Says of each partner whether it was heard through such cables.
    pub(super) fn mark(&self, bfd: &mut [BfdPartner], lacp: &mut [LacpPartner]) {
        for it in bfd {
            let connection = connection_of(&it.session);
            let member = it.session.split_once('/');
            let member = member.and_then(|(_, member)| member.parse().ok());
            it.impaired = self.concern(&it.router, connection, member);
        }
        for it in lacp {
            it.impaired = self.concern(&it.router, &it.connection, Some(it.member));
        }
    }

    /// Whether something is impaired of what a router receives on a member, or on any of a connection.
    fn concern(&self, router: &str, connection: &str, member: Option<u8>) -> bool {
        let mut connections = self.topology.connections.iter();
        let Some(own) = connections.find(|it| it.name == connection) else {
            return false;
        };
        let opposite = if own.router == router {
            Towards::Microsoft
        } else {
            Towards::Peer
        };
        self.all.iter().any(|impaired| {
            impaired.towards != opposite
                && impaired.connections.iter().any(|it| it == connection)
                && (impaired.member.is_none() || member.is_none() || impaired.member == member)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Impairment;

    #[test]
    fn only_who_hears_through_an_impaired_cable_is_marked() {
        let file = std::path::Path::new("tests/fixtures/judge/one-metro.toml");
        let topology = crate::topology::load(file).expect("a topology");
        let impaired = |member, towards| Impaired {
            connections: vec!["ams-1".to_owned()],
            member,
            towards,
            how: Impairment::default(),
        };
        let bfd = |router: &str, session: &str| BfdPartner {
            router: router.to_owned(),
            session: session.to_owned(),
            ..BfdPartner::default()
        };
        let member = |member| LacpPartner {
            router: "ams-edge-1".to_owned(),
            connection: "ams-1".to_owned(),
            member,
            ..LacpPartner::default()
        };
        // At the edge, at the peer, on member 2, of another connection, inside Microsoft's network; members 1 and 2.
        for (member_of, towards, expected) in [
            (
                None,
                Towards::Both,
                [true, true, true, false, false, true, true],
            ),
            (
                None,
                Towards::Microsoft,
                [true, false, true, false, false, true, true],
            ),
            (
                None,
                Towards::Peer,
                [false, true, false, false, false, false, false],
            ),
            (
                Some(2),
                Towards::Both,
                [true, true, true, false, false, false, true],
            ),
            (
                Some(1),
                Towards::Both,
                [true, true, false, false, false, true, false],
            ),
        ] {
            let one = impaired(member_of, towards);
            let impairments = Impairments {
                topology: &topology,
                all: vec![&one],
            };
            let mut sessions = [
                bfd("ams-edge-1", "ams-1/ipv6"),
                bfd("ams-pe-1", "ams-1"),
                bfd("ams-edge-1", "ams-1/2"),
                bfd("ams-edge-2", "ams-2"),
                bfd("ams-edge-1", "wan"),
            ];
            let mut members = [member(1), member(2)];
            impairments.mark(&mut sessions, &mut members);
            let marked = sessions.iter().map(|it| it.impaired);
            let marked: Vec<bool> = marked.chain(members.iter().map(|it| it.impaired)).collect();
            assert_eq!(marked, expected, "{member_of:?} {towards:?}");
        }
    }
}
