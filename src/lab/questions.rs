//! What a rehearsal has to know of a routing registry that is a server: all that may be judged in it.

use ipnet::IpNet;

use crate::provider::Request;
use crate::provider::received::Segment;
use crate::registry::irr_live::Questions;
use crate::scenario::{Act, Scenario};
use crate::topology::Topology;

/// The peer's AS numbers, and the prefixes and AS numbers of its endpoints and of the scenario's steps.
pub(super) fn of(topology: &Topology, scenario: &Scenario) -> Questions {
    let mut questions = Questions::default();
    questions.asns.insert(topology.peer.asn);
    questions
        .asns
        .extend(topology.peer_asns.iter().map(|peer| peer.asn));
    let endpoints = topology.endpoints.iter();
    questions
        .prefixes
        .extend(endpoints.map(|endpoint| IpNet::V4(endpoint.prefix)));
    for step in &scenario.steps {
        match &step.act {
            Act::Announce(announced) => {
                questions.prefixes.insert(announced.prefix);
                for segment in &announced.as_path.0 {
                    let (Segment::Sequence(asns) | Segment::Set(asns)) = segment;
                    questions.asns.extend(asns);
                }
            }
            Act::Request(Request::Register { prefix, .. } | Request::Activate { prefix, .. }) => {
                questions.prefixes.extend(prefix.parse::<IpNet>());
            }
            _ => {}
        }
    }
    questions
}
