//! Where cables lead, from what LACP hears on each: members that lead elsewhere, and connections that end together.
//!
//! A connection leads to the partner (system and key) that most of its members lead to; of two that are even, to that of the
//! lowest member.

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
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// Each of two members leads to where the other's connection leads.
    Crossed {
        one: String,
        other: String,
        /// As well it may be those: each connection leads to both places with as many members.
        or: Option<(String, String)>,
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
    leads: Vec<Lead<'a>>,
    home: &'a LacpHeard,
}

impl<'a> Way<'a> {
    fn of(connection: &'a Connection, state: &'a State) -> Option<Way<'a>> {
        let members = (1..).take(connection.members.len());
        let leads: Vec<Lead<'_>> = members
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
        // The first of those that are even, as the LAG itself chooses.
        let most = leads.iter().map(|lead| number(lead.heard)).max()?;
        let home = leads.iter().find(|lead| number(lead.heard) == most)?.heard;
        Some(Way {
            connection,
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

    /// Half of its members lead home: it may as well be the others that do.
    fn is_even(&self) -> bool {
        self.strays().count() * 2 == self.leads.len()
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
    let ways: Vec<Way<'_>> = connections.filter_map(|c| Way::of(c, state)).collect();
    let mut faults: Vec<Fault> = Vec::new();
    for way in &ways {
        for stray in way.strays() {
            let fault = stray_fault(way, stray, &ways);
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
    Fault {
        connections: ways.iter().map(|w| w.connection.name.clone()).collect(),
        what,
        routers,
    }
}

fn stray_fault(way: &Way<'_>, stray: &Lead<'_>, ways: &[Way<'_>]) -> Fault {
    let member = way.name(stray.member);
    let mut others = ways
        .iter()
        .filter(|other| other.connection.name != way.connection.name);
    let Some(other) = others.find(|other| together(other.home, stray.heard)) else {
        let what = match one_system(way.home, stray.heard) {
            true => What::OtherKey {
                member,
                key: stray.heard.key,
                not: way.home.key,
            },
            false => What::Elsewhere {
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
    let home = |way: &Way<'_>| {
        let lead = way.leads.iter().find(|lead| together(lead.heard, way.home));
        lead.map(|lead| way.name(lead.member))
    };
    let even = first.is_even() && second.is_even();
    let what = What::Crossed {
        one: first.name(first_member),
        other: second.name(second_member),
        or: home(first).zip(home(second)).filter(|_| even),
    };
    fault(what, &[first, second])
}

impl Fault {
    /// Whether it is why this member, or some member of this connection, is not in its LAG.
    pub fn keeps_out(&self, connection: &str, member: Option<u8>) -> bool {
        let is_it = |name: &String| match member {
            Some(member) => *name == format!("{connection}/{member}"),
            None => name.split('/').next() == Some(connection),
        };
        match &self.what {
            What::Crossed { one, other, or } => {
                let or = or.iter().flat_map(|(one, other)| [one, other]);
                [one, other].into_iter().chain(or).any(is_it)
            }
            What::Moved { member, .. }
            | What::OtherKey { member, .. }
            | What::Elsewhere { member, .. } => is_it(member),
            What::OneLag { one, other } => one == connection || other == connection,
            What::OneSystem { .. } => false,
        }
    }

    /// Whether two connections end on one system.
    pub fn is_one_system(&self) -> bool {
        matches!(self.what, What::OneLag { .. } | What::OneSystem { .. })
    }

    /// What to do.
    pub fn remedy(&self) -> String {
        let routers = self.routers.join(" and ");
        match &self.what {
            What::Crossed { one, other, .. } => {
                format!("exchange the plugs of {one} and {other} at {routers}")
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
            What::Crossed { one, other, or } => {
                write!(f, "the cables of {one} and {other} are crossed")?;
                match or {
                    Some((one, other)) => write!(f, ", or those of {one} and {other}"),
                    None => Ok(()),
                }
            }
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
    use crate::record::{Fact, LacpSeen};
    use crate::time::At;

    /// The first two connections of a metro with members that lead to (system, key).
    fn said(leads: [&[(u8, u16)]; 2]) -> Vec<String> {
        let path = std::path::Path::new("topologies/one-metro.toml");
        let topology = crate::topology::load(path).expect("shipped");
        let mut state = State::default();
        for (c, members) in topology.connections.iter().zip(leads) {
            for ((system, key), member) in members.iter().zip(1..) {
                let heard = LacpHeard {
                    system_priority: 32768,
                    system: format!("02:00:00:00:00:{system:02x}"),
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
        let all = faults(&state, &topology);
        all.iter()
            .map(|fault| format!("{fault} -> {}", fault.remedy()))
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
                "the cables of ams-1/2 and ams-2/2 are crossed, or those of ams-1/1 and ams-2/1 -> exchange the plugs of ams-1/2 and ams-2/2 at ams-pe-1 and ams-pe-2"
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
}
