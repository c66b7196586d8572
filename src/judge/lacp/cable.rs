//! What is wrong with the cable of a member, as one end or the other hears it.

use crate::judge::state::State;
use crate::judge::wiring;
use crate::record::LacpHeard;
use crate::scenario::Viewpoint;
use crate::topology::{Connection, Topology};

/// In words; of the peer's end also what it alone hears, as of an edge that says that it is another one.
pub(super) fn wrong(
    c: &Connection,
    member: Option<u8>,
    at: Viewpoint,
    state: &State,
    topology: &Topology,
) -> Option<String> {
    let fault = fault(c, member, state, topology).map(|fault| fault.to_string());
    fault.or_else(|| match (at, member) {
        (Viewpoint::Peer, Some(member)) => at_peer(c, member, state, topology),
        _ => None,
    })
}

/// What is wrong with the cable of this member, or of some member.
pub(super) fn fault(
    c: &Connection,
    member: Option<u8>,
    state: &State,
    topology: &Topology,
) -> Option<wiring::Fault> {
    let mut faults = wiring::faults(state, topology);
    let own = faults.iter().position(|it| it.is_about(&c.name, member));
    let own = own.or_else(|| faults.iter().position(|it| it.tears(&c.name)));
    own.map(|own| faults.swap_remove(own))
}

fn at_peer(c: &Connection, member: u8, state: &State, topology: &Topology) -> Option<String> {
    let heard = state.member(&c.router, &c.name, member)?.heard.as_ref()?;
    if is_lag(heard, c, state, topology) {
        return None;
    }
    let (system, key) = topology.edge_lag(c);
    let leads = format!("the cable of {}/{member} at the peer's end leads", c.name);
    let is_from =
        |other: &&Connection| other.name != c.name && is_lag(heard, other, state, topology);
    let other = topology.connections.iter().find(is_from);
    Some(match other {
        Some(other) => format!("{leads} to where {} should", other.name),
        None if heard.system == text(system) => format!(
            "{leads} to the right system and to another LAG there: its key is {}, not {key}",
            heard.key
        ),
        None => format!("{leads} to another system, {}", heard.system),
    })
}

fn is_lag(heard: &LacpHeard, c: &Connection, state: &State, topology: &Topology) -> bool {
    let (system, key) = topology.edge_lag(c);
    // A bond of the kernel's puts speed and duplex behind the key.
    heard.system == text(system)
        && (heard.key == key || (state.edge_is_bond(c) && heard.key >> 6 == key))
}

fn text(system: [u8; 6]) -> String {
    system.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::condition;
    use crate::record::{Fact, LacpSeen};
    use crate::scenario::{Expect, LacpSays};
    use crate::time::At;

    #[test]
    fn the_peers_end_tells_what_it_alone_hears() {
        let path = std::path::Path::new("topologies/one-metro-four-members.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let [c, other] = &topology.connections[..2] else {
            panic!("two connections");
        };
        let (own, others) = (topology.edge_lag(c), topology.edge_lag(other));
        let cable = "the cable of ams-1/1 at the peer's end leads to";
        for ((system, key), expected) in [
            (own, None),
            (others, Some(format!("{cable} where ams-2 should"))),
            (
                (own.0, 99),
                Some(format!(
                    "{cable} the right system and to another LAG there: its key is 99, not {}",
                    own.1
                )),
            ),
            (
                ([2, 0, 0, 0, 0, 0x99], 1),
                Some(format!("{cable} another system, 02:00:00:00:00:99")),
            ),
        ] {
            let mut state = State::default();
            let heard = LacpHeard {
                system_priority: 32768,
                system: text(system),
                key,
                port_priority: 32768,
                port: 1,
                state: "active".to_owned(),
                means_us: Some(true),
                early: Some(false),
                skipped: 0,
            };
            state.apply(
                At::ZERO,
                &Fact::LacpPartner {
                    router: c.router.clone(),
                    connection: c.name.clone(),
                    member: 1,
                    seen: LacpSeen::Says(heard),
                },
            );
            assert_eq!(
                wrong(c, Some(1), Viewpoint::Edge, &state, &topology),
                None,
                "the edge hears nothing"
            );
            let told = wrong(c, Some(1), Viewpoint::Peer, &state, &topology);
            assert_eq!(told, expected);
            // It is the `reason`, and what is told instead of another one.
            let by = |reason: &str| Expect::Member {
                connection: "ams-1".to_owned(),
                member: 1,
                up: false,
                at: Viewpoint::Peer,
                sends_every: None,
                answers_marker: None,
                says: LacpSays::default(),
                reason: Some(reason.to_owned()),
            };
            let met = condition::holds(&by(cable), &state, &topology);
            assert_eq!(met, expected.is_some());
            let wrong = "wrong with the cable of ams-1/1 at the peer's end";
            let instead = match expected {
                Some(expected) => format!("what is {wrong} is something else: {expected}"),
                None => format!("nothing is known to be {wrong}"),
            };
            assert_eq!(condition::instead(&by("fox"), &state, &topology), instead);
        }
    }
}
