//! The Microsoft side of every cable: where faults are made and mended.
//!
//! A fault is a link state or a filter in the edge's line card. The device under test sees exactly what a real
//! failure shows it; nothing in its own namespaces is touched.

use std::collections::{BTreeMap, BTreeSet};

use super::LabError;
use super::impairment::Impairments;
use crate::kernel::apply::Network;
use crate::kernel::bpf::programs::Pattern;
use crate::kernel::filter::{self, Direction, Fault as Loss};
use crate::kernel::link;
use crate::kernel::netlink::{Netlink, NetlinkError};
use crate::plan::of_topology::{ConnectionLayout, Layout};
use crate::scenario::{FaultKind, Target};

/// What a fault does to one cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CableFault {
    /// Our end goes dark, so both ends lose light.
    Dark,
    /// These frames are lost, this way or both; light stays.
    Lossy {
        /// Those towards Microsoft.
        towards_microsoft: bool,
        /// Those towards the peer.
        towards_peer: bool,
        /// Which.
        frames: Pattern,
    },
}

impl CableFault {
    /// What a failure of this kind does to each cable it touches.
    pub fn of(kind: FaultKind) -> CableFault {
        let lossy = |towards_microsoft, towards_peer, frames| CableFault::Lossy {
            towards_microsoft,
            towards_peer,
            frames,
        };
        match kind {
            FaultKind::Light | FaultKind::Member | FaultKind::Node | FaultKind::Metro => {
                CableFault::Dark
            }
            FaultKind::Silent => lossy(true, true, Pattern::Everything),
            FaultKind::OneWayIn => lossy(true, false, Pattern::Everything),
            FaultKind::OneWayOut => lossy(false, true, Pattern::Everything),
            FaultKind::Lacp => lossy(true, true, Pattern::Lacp),
            FaultKind::Bfd => lossy(true, true, Pattern::Bfd),
            FaultKind::Bgp => lossy(true, true, Pattern::Bgp),
        }
    }
}

/// The patterns a repair clears; random loss is an impairment's, silence of an end's own LACP is an order's.
const PATTERNS: [Pattern; 4] = [
    Pattern::Everything,
    Pattern::Lacp,
    Pattern::Bfd,
    Pattern::Bgp,
];

/// Hands on the Microsoft side of the cables.
pub struct Cables {
    /// By edge: a socket in its line card.
    pub(super) line_cards: BTreeMap<String, Netlink>,
    pub(super) impairments: Impairments,
    wan: Netlink,
    /// Connections whose port Microsoft has not configured.
    unlit: BTreeSet<String>,
    /// Members that lost light to a fault.
    cut: BTreeSet<String>,
    /// Members that are in no LAG now.
    unplugged: BTreeSet<String>,
}

impl Cables {
    /// Opens a socket in the line card of every edge.
    pub fn open(network: &Network, layout: &Layout) -> Result<Cables, LabError> {
        let mut line_cards = BTreeMap::new();
        for connection in &layout.connections {
            let edge = &connection.edge;
            if !line_cards.contains_key(&edge.router) {
                let netlink = Netlink::open_in(super::namespace(network, &edge.line_card)?)?;
                line_cards.insert(edge.router.clone(), netlink);
            }
        }
        let wan = Netlink::open_in(super::namespace(network, "wan")?)?;
        Ok(Cables {
            line_cards,
            impairments: Impairments::open(network, layout)?,
            wan,
            unlit: BTreeSet::new(),
            cut: BTreeSet::new(),
            unplugged: (layout.connections.iter())
                .flat_map(|connection| {
                    let all = members(connection, None);
                    let lit = all.len() - usize::from(connection.spare);
                    all.into_iter().skip(lit).map(|(name, _)| name)
                })
                .collect(),
        })
    }

    /// Makes a fault on these members (counted from 1) of a connection; all of them when `members` is `None`.
    pub fn fail(
        &mut self,
        connection: &ConnectionLayout,
        member: Option<u8>,
        kind: FaultKind,
    ) -> Result<(), NetlinkError> {
        let Some(netlink) = self.line_cards.get_mut(&connection.edge.router) else {
            return Ok(());
        };
        let links = members(connection, member);
        match CableFault::of(kind) {
            CableFault::Dark => {
                self.cut.extend(links.iter().map(|(name, _)| name.clone()));
                self.light(connection, &links)
            }
            CableFault::Lossy {
                towards_microsoft,
                towards_peer,
                frames,
            } => {
                let ways = [
                    (towards_microsoft, Direction::In),
                    (towards_peer, Direction::Out),
                ];
                let losses = ways
                    .iter()
                    .filter(|(lossy, _)| *lossy)
                    .flat_map(|(_, direction)| {
                        links.iter().map(|(_, member)| Loss {
                            member: *member,
                            direction: *direction,
                            pattern: frames,
                        })
                    });
                filter::set_faults(netlink, &losses.collect::<Vec<_>>())
            }
        }
    }

    /// Drops what our end says in LACP on a member, or on all members of a connection, or lets it pass again: so a bond of the
    /// kernel's is silent.
    pub fn mute_lacp(
        &mut self,
        connection: &ConnectionLayout,
        member: Option<u8>,
        mute: bool,
    ) -> Result<(), NetlinkError> {
        let Some(netlink) = self.line_cards.get_mut(&connection.edge.router) else {
            return Ok(());
        };
        let losses = members(connection, member).into_iter();
        let losses: Vec<Loss> = losses
            .map(|(_, member)| Loss {
                member,
                direction: Direction::Out,
                pattern: Pattern::OwnLacp,
            })
            .collect();
        match mute {
            true => filter::set_faults(netlink, &losses),
            false => filter::clear_faults(netlink, &losses),
        }
    }

    /// Undoes every fault and impairment on a member, or on all members of a connection.
    pub fn repair(
        &mut self,
        connection: &ConnectionLayout,
        member: Option<u8>,
    ) -> Result<(), NetlinkError> {
        let Some(netlink) = self.line_cards.get_mut(&connection.edge.router) else {
            return Ok(());
        };
        let links = members(connection, member);
        filter::clear_faults(netlink, &faults(&links))?;
        for (name, _) in &links {
            self.cut.remove(name);
        }
        self.mend(connection, member)?;
        self.light(connection, &links)
    }

    /// Microsoft configures the port of a connection, or takes the configuration away. That is no fault, and mends none.
    pub fn port(&mut self, connection: &ConnectionLayout, lit: bool) -> Result<(), NetlinkError> {
        match lit {
            true => self.unlit.remove(&connection.name),
            false => self.unlit.insert(connection.name.clone()),
        };
        self.light(connection, &members(connection, None))
    }

    /// Plugs a member in, or out. That is no fault, and mends none.
    pub fn plug(
        &mut self,
        connection: &ConnectionLayout,
        member: u8,
        plugged: bool,
    ) -> Result<(), NetlinkError> {
        let links = members(connection, Some(member));
        for (name, _) in &links {
            match plugged {
                true => self.unplugged.remove(name),
                false => self.unplugged.insert(name.clone()),
            };
        }
        self.light(connection, &links)
    }

    /// The members of a connection that are plugged in, counted from 1.
    pub fn plugged(&self, connection: &ConnectionLayout) -> Vec<u8> {
        let all = (1..).zip(members(connection, None));
        let plugged = all.filter(|(_, (name, _))| !self.unplugged.contains(name));
        plugged.map(|(number, _)| number).collect()
    }

    /// A member has light if it is plugged in, its port is configured and no fault took it.
    fn light(
        &mut self,
        connection: &ConnectionLayout,
        links: &[(String, u32)],
    ) -> Result<(), NetlinkError> {
        let Some(netlink) = self.line_cards.get_mut(&connection.edge.router) else {
            return Ok(());
        };
        let configured = !self.unlit.contains(&connection.name);
        for (name, index) in links {
            let up = configured && !self.cut.contains(name) && !self.unplugged.contains(name);
            link::set_up(netlink, &connection.edge.line_card, name, *index, up);
        }
        netlink.commit()
    }

    /// Takes the WAN's link to an edge down or up, as the power of the edge goes.
    pub fn wan_link(&mut self, edge: &str, index: u32, up: bool) -> Result<(), NetlinkError> {
        link::set_up(&mut self.wan, "wan", edge, index, up);
        self.wan.commit()
    }
}

/// Every fault of a cable that these members may have.
fn faults(links: &[(String, u32)]) -> Vec<Loss> {
    let both = [Direction::In, Direction::Out];
    let one = |member, direction| {
        PATTERNS.map(|pattern| Loss {
            member,
            direction,
            pattern,
        })
    };
    let members = links.iter().map(|(_, member)| *member);
    let all = members.flat_map(|member| both.map(|direction| one(member, direction)));
    all.flatten().collect()
}

/// Names and indexes of the chosen members on the Microsoft side.
pub(super) fn members(connection: &ConnectionLayout, member: Option<u8>) -> Vec<(String, u32)> {
    let all = connection.edge.members.iter().enumerate();
    all.filter(|(n, _)| member.is_none_or(|chosen| usize::from(chosen) == n + 1))
        .map(|(n, (index, _))| (format!("{}.{}", connection.name, n + 1), *index))
        .collect()
}

/// The connections and members a target stands for, and the edges that crash with it.
pub fn touched<'a>(
    layout: &'a Layout,
    target: &'a Target,
) -> (Vec<(&'a ConnectionLayout, Option<u8>)>, Vec<&'a str>) {
    let of_edge = |edge: &'a str| {
        let own = layout
            .connections
            .iter()
            .filter(move |c| c.edge.router == edge);
        own.map(|connection| (connection, None))
    };
    match target {
        Target::Connections(names) => {
            let known = names.iter().filter_map(|name| layout.connection(name));
            (
                known.map(|connection| (connection, None)).collect(),
                Vec::new(),
            )
        }
        Target::Member(name, member) => {
            let known = layout.connection(name).into_iter();
            (
                known
                    .map(|connection| (connection, Some(*member)))
                    .collect(),
                Vec::new(),
            )
        }
        Target::Node(edge) => (of_edge(edge).collect(), vec![edge]),
        Target::Metro(metro) => {
            let edges: Vec<&str> = layout
                .edges
                .iter()
                .filter(|edge| edge.metro == *metro)
                .map(|edge| edge.name.as_str())
                .collect();
            (edges.iter().copied().flat_map(of_edge).collect(), edges)
        }
        // Only repaired: an edge that has not crashed has nothing to restart.
        Target::All => (
            layout.connections.iter().map(|c| (c, None)).collect(),
            layout.edges.iter().map(|edge| edge.name.as_str()).collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repair mends every way in which a cable fails, and leaves an end silent that was told to be.
    #[test]
    fn a_repair_mends_cables_and_leaves_ends_as_they_are_told() {
        let repaired = faults(&[("ams-1.1".to_owned(), 7)]);
        for kind in [
            FaultKind::Silent,
            FaultKind::OneWayIn,
            FaultKind::OneWayOut,
            FaultKind::Lacp,
            FaultKind::Bfd,
            FaultKind::Bgp,
        ] {
            let CableFault::Lossy { frames, .. } = CableFault::of(kind) else {
                panic!("{kind:?} leaves light");
            };
            let directions = (repaired.iter()).filter(|loss| loss.pattern == frames);
            assert_eq!(directions.count(), 2, "{kind:?}, both ways");
        }
        let silent = |loss: &Loss| loss.pattern == Pattern::OwnLacp;
        assert!(!repaired.iter().any(silent));
    }
}
