//! Faults of cables, by what is heard.

use super::*;
use crate::bgp::family::Family;
use crate::judge::condition;
use crate::record::{AutoBackend, Fact, InService, LacpSeen};
use crate::time::At;
use crate::topology::LagBackend;

/// The first two connections of a metro with members that lead to (system, key); 101 and 102 are where they should.
fn heard(leads: [&[(u8, u16)]; 2]) -> (State, Topology) {
    let path = std::path::Path::new("topologies/one-metro-four-members.toml");
    let topology = crate::topology::load(path).expect("shipped");
    let mut state = State::default();
    for (c, members) in topology.connections.iter().zip(leads) {
        for ((system, key), member) in members.iter().zip(1..) {
            let fact = says(c, member, (*system, *key), member.into());
            state.apply(At::ZERO, &fact);
        }
    }
    (state, topology)
}

fn says(c: &Connection, member: u8, (system, key): (u8, u16), port: u16) -> Fact {
    let heard = LacpHeard {
        system_priority: 32768,
        system: match system.checked_sub(101) {
            Some(router) => format!("02:40:00:{router:02x}:ff:00"),
            None => format!("02:00:00:00:00:{system:02x}"),
        },
        key,
        port_priority: 32768,
        port,
        state: "active".to_owned(),
        means_us: Some(true),
        early: Some(false),
        skipped: 0,
    };
    Fact::LacpPartner {
        router: c.edge.clone(),
        connection: c.name.clone(),
        member,
        seen: LacpSeen::Says(heard),
    }
}

fn said(leads: [&[(u8, u16)]; 2]) -> Vec<String> {
    let (state, topology) = heard(leads);
    told(&state, &topology)
}

fn told(state: &State, topology: &Topology) -> Vec<String> {
    let all = faults(state, topology).into_iter();
    all.map(|fault| format!("{fault} -> {}", fault.remedy()))
        .collect()
}

#[test]
fn each_fault_has_its_name_and_remedy() {
    let nothing: &[String] = &[];
    assert_eq!(said([&[(1, 1), (1, 1)], &[(2, 2), (2, 2)]]), nothing);
    assert_eq!(said([&[], &[(2, 2)]]), nothing, "nothing is heard on one");
    assert_eq!(
        said([&[(1, 1), (2, 2)], &[(2, 2), (1, 1)]]),
        [
            "the cables of ams-1/2 and ams-2/2 are crossed -> exchange the plugs of ams-1/2 and ams-2/2 at ams-pe-1 and ams-pe-2"
        ]
    );
    assert_eq!(
        said([&[(1, 1), (2, 2)], &[(2, 2)]]),
        [
            "the cable of ams-1/2 leads to port 2 of the router of ams-2 -> plug the cable of ams-1/2 into ams-pe-1"
        ]
    );
    assert_eq!(
        said([&[(1, 1), (1, 7)], &[(2, 2), (2, 2)]]),
        [
            "ams-1/2 leads to the right system and to another LAG there: its key is 7, not 1 -> make ams-1/2 a member of the same LAG as the others of ams-1 on ams-pe-1"
        ]
    );
    assert_eq!(
        said([&[(1, 1), (9, 1)], &[(2, 2), (2, 2)]]),
        [
            "the cable of ams-1/2 leads to another system, 02:00:00:00:00:09 -> plug the cable of ams-1/2 into ams-pe-1"
        ]
    );
    assert_eq!(
        said([&[(1, 1), (1, 1)], &[(1, 1), (1, 1)]]),
        [
            "ams-1 and ams-2 are one LAG at their other end -> make two LAGs of the members of ams-1 and ams-2 on ams-pe-1 and ams-pe-2"
        ]
    );
    assert_eq!(
        said([&[(1, 1), (1, 1)], &[(1, 2), (1, 2)]]),
        [
            "ams-1 and ams-2 lead to one system, 02:00:00:00:00:01 -> end them on two routers (RED-03); of a pair that shares its system (MLAG), show that it is two: ams-pe-1 and ams-pe-2"
        ]
    );
}

#[test]
fn where_connections_should_lead_is_known() {
    let (one, two) = ((101, 1), (102, 2));
    let crossed = |a, b| {
        format!(
            "the cables of {a} and {b} are crossed -> exchange the plugs of {a} and {b} at ams-pe-1 and ams-pe-2"
        )
    };
    let even = said([&[two, one], &[one, two]]);
    assert_eq!(even, [crossed("ams-1/1", "ams-2/1")]);
    let most = said([&[two, two, one], &[one, one, two]]);
    let both = [crossed("ams-1/1", "ams-2/1"), crossed("ams-1/2", "ams-2/2")];
    assert_eq!(most, both);
    assert_eq!(
        said([&[two, two], &[one, one]]),
        [
            "all cables of ams-1 and ams-2 are crossed -> exchange the plugs of ams-1 and ams-2 at ams-pe-1 and ams-pe-2"
        ]
    );
    assert_eq!(
        said([&[two, two], &[]]),
        [
            "ams-1 leads to ams-pe-2, to where ams-2 should -> plug the cables of ams-1 into ams-pe-1"
        ]
    );
    assert_eq!(
        said([&[one, two], &[]]),
        [
            "the cable of ams-1/2 leads to port 2 of the router of ams-2 -> plug the cable of ams-1/2 into ams-pe-1"
        ]
    );
}

/// Which cables are crossed is told by the ports that are heard, where these are numbers of members.
#[test]
fn crossed_cables_are_named_by_the_ports_that_are_heard() {
    let (one, two) = ((101, 1), (102, 2));
    let named = |leads: [&[(u8, u16)]; 2], ports: [&[u16]; 2]| {
        let (mut state, topology) = heard(leads);
        for ((c, leads), ports) in topology.connections.iter().zip(leads).zip(ports) {
            for ((lead, port), member) in leads.iter().zip(ports).zip(1..) {
                state.apply(At::ZERO, &says(c, member, *lead, *port));
            }
        }
        let all = faults(&state, &topology).into_iter();
        let named = all.map(|fault| match fault.what {
            What::Crossed { one, other } => format!("{one} {other}"),
            other => format!("{other:?}"),
        });
        named.collect::<Vec<String>>()
    };
    let (ams_1, ams_2): (&[_], &[_]) = (&[two, two, one], &[one, one, two]);
    assert_eq!(
        named([ams_1, ams_2], [&[2, 1, 3], &[2, 1, 3]]),
        ["ams-1/1 ams-2/2", "ams-1/2 ams-2/1"]
    );
    let ams_2_with_right = &[one, two, one];
    assert_eq!(
        named([ams_1, ams_2_with_right], [&[3, 1, 3], &[2, 2, 1]]),
        ["ams-1/1 ams-2/3", "ams-1/2 ams-2/1"]
    );
    let (state, topology) = heard([ams_1, ams_2]);
    let remedy = condition::remedy(
        &state,
        &topology,
        &topology.connections[0],
        Family::Ipv4Unicast,
    );
    let both = remedy.expect("two cables are wrong");
    for named in ["of ams-1/1 and ams-2/1", "of ams-1/2 and ams-2/2"] {
        assert!(both.contains(named), "{both}");
    }
    // A router's own numbers tell nothing, even if one is that of a member by chance.
    for ports in [[&[72, 71, 73], &[62, 61, 63]], [&[2, 1, 3], &[72, 71, 73]]] {
        assert_eq!(
            named([ams_1, ams_2], ports.map(|ports| &ports[..])),
            ["ams-1/1 ams-2/1", "ams-1/2 ams-2/2"]
        );
    }
    // Of one pair it is known, and so of the other one that is left.
    assert_eq!(
        named([ams_1, ams_2], [&[2, 71, 3], &[62, 1, 3]]),
        ["ams-1/1 ams-2/2", "ams-1/2 ams-2/1"]
    );
}

/// A bond puts speed and duplex behind its key; who may be one or ours has told what it is.
#[test]
fn a_key_is_that_of_the_backend_that_was_taken() {
    let (two, bonds) = ((102, 2), (101, 1 << 6));
    for (taken, expected) in [(None, 1), (Some(false), 1), (Some(true), 0)] {
        // Two lead to the key of a bond, one to another LAG of the same system, where it should be.
        let (mut state, mut topology) = heard([&[(101, 7), (101, 7), bonds], &[two]]);
        topology.connections[0].backends.peer = LagBackend::Auto;
        let c = &topology.connections[0];
        if let Some(kernel) = taken {
            let taken = AutoBackend {
                router: c.router.clone(),
                connection: c.name.clone(),
                kernel,
                why: String::new(),
            };
            state.apply(At::ZERO, &Fact::AutoBackend(taken));
        }
        let of_the_bond = told(&state, &topology)
            .iter()
            .filter(|told| told.starts_with("ams-1/3"))
            .count();
        assert_eq!(of_the_bond, expected, "{taken:?}");
    }
}

#[test]
fn members_that_come_are_looked_at_and_those_that_went_are_not() {
    let (one, two, other): (_, _, (u8, u16)) = ((101, 1), (102, 2), (9, 9));
    let (mut state, topology) = heard([&[one, one, one, two], &[two, two, two, two, other]]);
    let in_service = |connection: &str, members| {
        Fact::InService(InService {
            connection: connection.to_owned(),
            members,
            bandwidth_mbps: 0,
        })
    };
    let moved = "the cable of ams-1/4 leads to port 4 of the router of ams-2 -> plug the cable of ams-1/4 into ams-pe-1";
    assert_eq!(told(&state, &topology), [moved]);
    state.apply(At::ZERO, &in_service("ams-1", vec![1, 2, 3]));
    state.apply(At::ZERO, &in_service("ams-2", vec![1, 2, 3, 4, 5]));
    let elsewhere = "the cable of ams-2/5 leads to another system, 02:00:00:00:00:09 -> plug the cable of ams-2/5 into ams-pe-2";
    assert_eq!(told(&state, &topology), [elsewhere]);
    // Its light went with it, which is nobody's fault.
    let c = &topology.connections[0];
    let dark = Fact::Light {
        router: c.edge.clone(),
        connection: c.name.clone(),
        member: 4,
        up: false,
    };
    state.apply(At::ZERO, &dark);
    let remedy =
        condition::remedy(&state, &topology, c, Family::Ipv4Unicast).expect("its LAG is down");
    assert!(!remedy.contains("light"), "{remedy}");
}
