//! Where cables lead, from what LACP hears on each: members that lead elsewhere, and connections that end together.
//!
//! A connection leads to the LAG at its router of the peer, by system and key, if one of its members does; else to where most of its
//! members lead, of two that are even to where the lowest does.

use std::fmt;

use super::state::State;
use crate::record::LacpHeard;
use crate::topology::{Connection, Topology};

/// What is wrong with cables, as the edges see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The connections concerned.
    pub connections: Vec<String>,
    what: What,
    routers: Vec<String>,
    /// Those of which half of the members or more lead elsewhere, so that the others may be kept out for it.
    torn: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// Each of two members leads to where the other's connection leads.
    Crossed { one: String, other: String },
    /// Each of two connections leads to where the other should.
    Exchanged { one: String, other: String },
    /// A connection leads to where another should.
    Astray {
        connection: String,
        other: String,
        router: String,
    },
    /// A member leads to where another connection leads.
    Moved {
        member: String,
        to: String,
        port: u16,
    },
    /// A member leads to the right system, and to another key.
    OtherKey { member: String, key: u16, not: u16 },
    /// A member leads to a system that no connection leads to.
    Elsewhere { member: String, system: String },
    /// Two connections are one LAG at their other end.
    OneLag { one: String, other: String },
    /// Two connections of one metro lead to one system (RED-03).
    OneSystem {
        one: String,
        other: String,
        system: String,
    },
}

/// A member and what is heard on it.
struct Lead<'a> {
    member: u8,
    heard: &'a LacpHeard,
}

/// A connection, where its members lead, and where it leads itself.
struct Way<'a> {
    connection: &'a Connection,
    /// Where it should lead.
    place: &'a Place<'a>,
    leads: Vec<Lead<'a>>,
    home: &'a LacpHeard,
}

/// The LAG at the peer's router that a connection should lead to.
struct Place<'a> {
    connection: &'a Connection,
    system: String,
    key: u16,
    /// A bond of the kernel's puts speed and duplex behind the key.
    bond: bool,
}

impl<'a> Place<'a> {
    fn of(connection: &'a Connection, state: &State, topology: &Topology) -> Place<'a> {
        let (system, key) = topology.peer_lag(connection);
        let system = system.map(|byte| format!("{byte:02x}")).join(":");
        let bond = state.peer_is_bond(connection);
        Place {
            connection,
            system,
            key,
            bond,
        }
    }

    fn is(&self, heard: &LacpHeard) -> bool {
        let key = heard.key == self.key || (self.bond && heard.key >> 6 == self.key);
        heard.system == self.system && key
    }
}

impl<'a> Way<'a> {
    fn of(place: &'a Place<'a>, state: &'a State) -> Option<Way<'a>> {
        let connection = place.connection;
        let members = state.members_in_service(&connection.name, connection.members.len());
        let leads: Vec<Lead<'_>> = (members.into_iter())
            .filter_map(|member| {
                let view = state.member(&connection.edge, &connection.name, member)?;
                let heard = view.heard.as_ref()?;
                Some(Lead { member, heard })
            })
            .collect();
        let number = |heard| {
            leads
                .iter()
                .filter(|lead| together(lead.heard, heard))
                .count()
        };
        let right = leads.iter().find(|lead| place.is(lead.heard));
        let most = leads.iter().map(|lead| number(lead.heard)).max()?;
        let mut even = leads.iter().filter(|lead| number(lead.heard) == most);
        let home = right.or_else(|| even.next())?.heard;
        Some(Way {
            connection,
            place,
            leads,
            home,
        })
    }

    fn strays(&self) -> impl Iterator<Item = &Lead<'a>> {
        let leads = self.leads.iter();
        leads.filter(|lead| !together(lead.heard, self.home))
    }

    fn name(&self, member: u8) -> String {
        format!("{}/{member}", self.connection.name)
    }

    fn is_torn(&self) -> bool {
        self.strays().count() * 2 >= self.leads.len()
    }
}

/// Whether both are ports that may aggregate.
fn together(one: &LacpHeard, other: &LacpHeard) -> bool {
    one_system(one, other) && one.key == other.key
}

fn one_system(one: &LacpHeard, other: &LacpHeard) -> bool {
    let [one_priority, other_priority] = [one, other].map(|heard| heard.system_priority);
    // A bond of the kernel's does not tell the priority.
    let alike = one_priority == other_priority || one_priority == 0 || other_priority == 0;
    alike && one.system == other.system
}

/// All that is wrong with the cables, by what is heard now.
pub fn faults(state: &State, topology: &Topology) -> Vec<Fault> {
    let connections = topology.connections.iter();
    let places = connections.map(|c| Place::of(c, state, topology));
    let places: Vec<Place<'_>> = places.collect();
    let ways = places.iter().filter_map(|place| Way::of(place, state));
    let ways: Vec<Way<'_>> = ways.collect();
    let mut faults: Vec<Fault> = Vec::new();
    for way in &ways {
        let strays = way.strays();
        let strays = strays.map(|stray| stray_fault(way, stray, &ways, &places));
        for fault in strays.chain(astray(way, &ways, &places)) {
            if !faults.contains(&fault) {
                faults.push(fault);
            }
        }
    }
    for (n, one) in ways.iter().enumerate() {
        for other in &ways[n + 1..] {
            let names = [&one.connection.name, &other.connection.name].map(Clone::clone);
            let [first, second] = names.clone();
            let what = if together(one.home, other.home) {
                What::OneLag {
                    one: first,
                    other: second,
                }
            } else if one.connection.metro == other.connection.metro
                && one_system(one.home, other.home)
            {
                What::OneSystem {
                    one: first,
                    other: second,
                    system: one.home.system.clone(),
                }
            } else {
                continue;
            };
            faults.push(fault(what, &[one, other]));
        }
    }
    faults
}

fn fault(what: What, ways: &[&Way<'_>]) -> Fault {
    let mut routers: Vec<String> = ways.iter().map(|w| w.connection.router.clone()).collect();
    routers.dedup();
    let names = |ways: &[&Way<'_>]| ways.iter().map(|w| w.connection.name.clone()).collect();
    let torn: Vec<&Way<'_>> = ways.iter().copied().filter(|w| w.is_torn()).collect();
    Fault {
        connections: names(ways),
        what,
        routers,
        torn: names(&torn),
    }
}

/// The connection that should lead where this was heard.
fn belongs<'a>(heard: &LacpHeard, places: &[Place<'a>]) -> Option<&'a Connection> {
    let place = places.iter().find(|place| place.is(heard))?;
    Some(place.connection)
}

/// A connection that leads to where another should, with all members that are heard.
fn astray(way: &Way<'_>, ways: &[Way<'_>], places: &[Place<'_>]) -> Option<Fault> {
    let own = way.place;
    let other = belongs(way.home, places).filter(|_| !own.is(way.home))?;
    let position = |name: &String| ways.iter().position(|w| w.connection.name == *name);
    let this = position(&way.connection.name)?;
    let back = position(&other.name).filter(|&n| own.is(ways[n].home));
    Some(match back {
        // Told once, from the connection that stands first in the file.
        Some(back) => {
            let [one, other] = [&ways[this.min(back)], &ways[this.max(back)]];
            let what = What::Exchanged {
                one: one.connection.name.clone(),
                other: other.connection.name.clone(),
            };
            fault(what, &[one, other])
        }
        None => {
            let what = What::Astray {
                connection: way.connection.name.clone(),
                other: other.name.clone(),
                router: other.router.clone(),
            };
            fault(what, &[way])
        }
    })
}

fn stray_fault(way: &Way<'_>, stray: &Lead<'_>, ways: &[Way<'_>], places: &[Place<'_>]) -> Fault {
    let member = way.name(stray.member);
    let mut others = ways
        .iter()
        .filter(|other| other.connection.name != way.connection.name);
    let Some(other) = others.find(|other| together(other.home, stray.heard)) else {
        let what = match belongs(stray.heard, places) {
            Some(to) if to.name != way.connection.name => What::Moved {
                member,
                to: to.name.clone(),
                port: stray.heard.port,
            },
            _ if one_system(way.home, stray.heard) => What::OtherKey {
                member,
                key: stray.heard.key,
                not: way.home.key,
            },
            _ => What::Elsewhere {
                member,
                system: stray.heard.system.clone(),
            },
        };
        return fault(what, &[way]);
    };
    // Of several that lead back, the one with the place of the stray in their order.
    let place = way
        .strays()
        .filter(|lead| together(lead.heard, other.home))
        .position(|lead| lead.member == stray.member);
    let mut back = other.strays().filter(|lead| together(lead.heard, way.home));
    let Some(back) = place.and_then(|place| back.nth(place)) else {
        let what = What::Moved {
            member,
            to: other.connection.name.clone(),
            port: stray.heard.port,
        };
        return fault(what, &[way, other]);
    };
    // Told once, from the connection that stands first in the file.
    let position = |way: &Way<'_>| {
        ways.iter()
            .position(|w| w.connection.name == way.connection.name)
    };
    let ((first, first_member), (second, second_member)) = match position(way) < position(other) {
        true => ((way, stray.member), (other, back.member)),
        false => ((other, back.member), (way, stray.member)),
    };
    let what = What::Crossed {
        one: first.name(first_member),
        other: second.name(second_member),
    };
    fault(what, &[first, second])
}

impl Fault {
    /// Whether it is about the cable of this member, or that of some member of this connection.
    pub fn is_about(&self, connection: &str, member: Option<u8>) -> bool {
        let is_it = |name: &String| match member {
            Some(member) => *name == format!("{connection}/{member}"),
            None => name.split('/').next() == Some(connection),
        };
        match &self.what {
            What::Crossed { one, other } => is_it(one) || is_it(other),
            What::Moved { member, .. }
            | What::OtherKey { member, .. }
            | What::Elsewhere { member, .. } => is_it(member),
            What::OneLag { one, other } | What::Exchanged { one, other } => {
                one == connection || other == connection
            }
            What::Astray {
                connection: astray, ..
            } => astray == connection,
            What::OneSystem { .. } => false,
        }
    }

    /// Whether members of this connection may be out of their LAG for it whose own cables are right.
    pub fn tears(&self, connection: &str) -> bool {
        self.torn.iter().any(|torn| torn == connection)
    }

    /// Whether two connections end on one system.
    pub fn is_one_system(&self) -> bool {
        matches!(self.what, What::OneLag { .. } | What::OneSystem { .. })
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        let routers = self.routers.join(" and ");
        match &self.what {
            What::Crossed { one, other } | What::Exchanged { one, other } => {
                format!("exchange the plugs of {one} and {other} at {routers}")
            }
            What::Astray { connection, .. } => {
                format!("plug the cables of {connection} into {routers}")
            }
            What::Moved { member, .. } | What::Elsewhere { member, .. } => {
                let router = self.routers.first().map_or("", String::as_str);
                format!("plug the cable of {member} into {router}")
            }
            What::OtherKey { member, .. } => {
                let connection = self.connections.join("");
                format!(
                    "make {member} a member of the same LAG as the others of {connection} on {routers}"
                )
            }
            What::OneLag { one, other } => {
                format!("make two LAGs of the members of {one} and {other} on {routers}")
            }
            What::OneSystem { .. } => format!(
                "end them on two routers (RED-03); of a pair that shares its system (MLAG), show that it is two: {routers}"
            ),
        }
    }
}

/// For example `the cables of ams-1/2 and ams-2/2 are crossed`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Crossed { one, other } => {
                write!(f, "the cables of {one} and {other} are crossed")
            }
            What::Exchanged { one, other } => {
                write!(f, "all cables of {one} and {other} are crossed")
            }
            What::Astray {
                connection,
                other,
                router,
            } => write!(f, "{connection} leads to {router}, to where {other} should"),
            What::Moved { member, to, port } => {
                write!(
                    f,
                    "the cable of {member} leads to port {port} of the router of {to}"
                )
            }
            What::OtherKey { member, key, not } => write!(
                f,
                "{member} leads to the right system and to another LAG there: its key is {key}, not {not}"
            ),
            What::Elsewhere { member, system } => {
                write!(f, "the cable of {member} leads to another system, {system}")
            }
            What::OneLag { one, other } => {
                write!(f, "{one} and {other} are one LAG at their other end")
            }
            What::OneSystem { one, other, system } => {
                write!(f, "{one} and {other} lead to one system, {system}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
                let heard = LacpHeard {
                    system_priority: 32768,
                    system: match system.checked_sub(101) {
                        Some(router) => format!("02:40:00:{router:02x}:ff:00"),
                        None => format!("02:00:00:00:00:{system:02x}"),
                    },
                    key: *key,
                    port_priority: 32768,
                    port: u16::from(member),
                    state: "active".to_owned(),
                    means_us: Some(true),
                    early: Some(false),
                    skipped: 0,
                };
                let fact = Fact::LacpPartner {
                    router: c.edge.clone(),
                    connection: c.name.clone(),
                    member,
                    seen: LacpSeen::Says(heard),
                };
                state.apply(At::ZERO, &fact);
            }
        }
        (state, topology)
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
}
