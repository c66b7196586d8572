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
    // Told once, from the connection that stands first in the file.
    let position = |way: &Way<'_>| {
        ways.iter()
            .position(|w| w.connection.name == way.connection.name)
    };
    let is_first = position(way) < position(other);
    let (first, second) = match is_first {
        true => (way, other),
        false => (other, way),
    };
    let pair = crossed(first, second).into_iter().find(|(one, two)| {
        let own = if is_first { one } else { two };
        *own == stray.member
    });
    let Some((one, two)) = pair else {
        let what = What::Moved {
            member,
            to: other.connection.name.clone(),
            port: stray.heard.port,
        };
        return fault(what, &[way, other]);
    };
    let what = What::Crossed {
        one: first.name(one),
        other: second.name(two),
    };
    fault(what, &[first, second])
}

/// The members of two connections that lead to where the other's do, in pairs whose plugs are to be exchanged: of each of which
/// either hears the other's port first, then in their order, as of routers whose port numbers are not those of the members.
fn crossed(first: &Way<'_>, second: &Way<'_>) -> Vec<(u8, u8)> {
    let leading = |from: &Way<'_>, to: &Way<'_>| {
        let leads = from.strays().filter(|lead| together(lead.heard, to.home));
        let ports = leads.map(|lead| (lead.member, lead.heard.port));
        ports.collect::<Vec<(u8, u16)>>()
    };
    let (mut there, mut back) = (leading(first, second), leading(second, first));
    let mut pairs = Vec::new();
    there.retain(|&(one, hears)| {
        let exchanged =
            |&(two, port): &(u8, u16)| hears == u16::from(two) && port == u16::from(one);
        let of_it = back.iter().position(exchanged);
        pairs.extend(of_it.map(|of_it| (one, back.remove(of_it).0)));
        of_it.is_none()
    });
    let members = |leads: Vec<(u8, u16)>| leads.into_iter().map(|(member, _)| member);
    pairs.extend(members(there).zip(members(back)));
    pairs
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
mod tests;
