//! Cables that carry, but badly.
//!
//! Loss is a filter in the edge's line card, both ways. What takes time needs a queue, and a queue only exists where frames
//! leave a device: towards the peer in the edge's line card, towards Microsoft at the far end of the same cable, in the line
//! card that the lab keeps beside the peer's router. That router's own namespace is not touched.

use std::collections::{BTreeMap, BTreeSet};

use super::LabError;
use super::cable::{Cables, members};
use crate::kernel::apply::Network;
use crate::kernel::bpf::programs::Pattern;
use crate::kernel::filter::{self, Direction, Fault as Loss};
use crate::kernel::impairment::{self, Queue};
use crate::kernel::netlink::{Netlink, NetlinkError};
use crate::plan::of_topology::{ConnectionLayout, Layout};
use crate::topology::{Impaired, Impairment, Towards};

/// What is known of impaired cables, and the hands that impair them.
pub(super) struct Impairments {
    /// By router of the peer: a socket in the line card beside it.
    far_line_cards: BTreeMap<String, Netlink>,
    /// By (connection, member): the router of the peer at whose line card the cable ends, and the link there.
    far_ends: BTreeMap<(String, u8), (String, u32)>,
    /// Links that have a queue, as (router, index).
    queues: BTreeSet<(String, u32)>,
    /// What the topology says of a direction of a member, as (connection, member, direction): so it is when nothing is
    /// broken.
    declared: BTreeMap<(String, u8, Direction), Impairment>,
}

impl Impairments {
    /// Opens a socket in the line card beside every router of the peer.
    pub(super) fn open(network: &Network, layout: &Layout) -> Result<Impairments, LabError> {
        let mut far_line_cards = BTreeMap::new();
        let mut far_ends = BTreeMap::new();
        for connection in &layout.connections {
            for number in numbers(connection, None) {
                let (far, place) = layout.far_end(connection, number);
                let link = far.peer.members.get(usize::from(place) - 1);
                let end = link.map(|(link, _)| (far.peer.router.clone(), *link));
                let cable = (connection.name.clone(), number);
                far_ends.extend(end.map(|end| (cable, end)));
            }
            let peer = &connection.peer;
            if !far_line_cards.contains_key(&peer.router) {
                let netlink = Netlink::open_in(super::namespace(network, &peer.line_card)?)?;
                far_line_cards.insert(peer.router.clone(), netlink);
            }
        }
        Ok(Impairments {
            far_line_cards,
            far_ends,
            queues: BTreeSet::new(),
            declared: BTreeMap::new(),
        })
    }
}

impl Cables {
    /// Impairs cables as the topology has them; so they are again when they are repaired.
    ///
    /// # Errors
    /// The kernel refused; see [`impairment::lacking`].
    pub fn declare(&mut self, layout: &Layout, impaired: &Impaired) -> Result<(), NetlinkError> {
        for (connection, number) in touched(layout, impaired) {
            for direction in directions(impaired.towards) {
                let key = (connection.name.clone(), number, direction);
                self.impairments.declared.insert(key, impaired.how);
            }
        }
        self.impair(layout, impaired)
    }

    /// Impairs cables, instead of what was said of these directions before.
    ///
    /// # Errors
    /// The kernel refused; see [`impairment::lacking`].
    pub fn impair(&mut self, layout: &Layout, impaired: &Impaired) -> Result<(), NetlinkError> {
        for (connection, number) in touched(layout, impaired) {
            for direction in directions(impaired.towards) {
                self.shape(connection, number, direction, &impaired.how)?;
            }
        }
        Ok(())
    }

    /// Ends what a step has impaired on a member, or on all members of a connection.
    pub(super) fn mend(
        &mut self,
        connection: &ConnectionLayout,
        member: Option<u8>,
    ) -> Result<(), NetlinkError> {
        for number in numbers(connection, member) {
            for direction in directions(Towards::Both) {
                let key = (connection.name.clone(), number, direction);
                let declared = self.impairments.declared.get(&key).copied();
                self.shape(connection, number, direction, &declared.unwrap_or_default())?;
            }
        }
        Ok(())
    }

    /// Impairs one direction of one member in this way and no other.
    fn shape(
        &mut self,
        connection: &ConnectionLayout,
        number: u8,
        direction: Direction,
        how: &Impairment,
    ) -> Result<(), NetlinkError> {
        let edge = &connection.edge;
        let near = members(connection, Some(number)).first().map(|m| m.1);
        let (Some(netlink), Some(near)) = (self.line_cards.get_mut(&edge.router), near) else {
            return Ok(());
        };
        let loss = Loss {
            member: near,
            direction,
            pattern: Pattern::Random(how.loss.millionths()),
        };
        match how.loss.is_zero() {
            true => filter::clear_faults(netlink, &[loss])?,
            false => filter::set_faults(netlink, &[loss])?,
        }
        let Impairments {
            far_line_cards,
            far_ends,
            queues,
            ..
        } = &mut self.impairments;
        let (netlink, place) = match direction {
            Direction::Out => (netlink, (edge.router.clone(), near)),
            Direction::In => {
                let place = far_ends.get(&(connection.name.clone(), number)).cloned();
                let Some(place) = place else { return Ok(()) };
                match far_line_cards.get_mut(&place.0) {
                    Some(netlink) => (netlink, place),
                    None => return Ok(()),
                }
            }
        };
        let link = place.1;
        if queues.remove(&place) {
            impairment::clear(netlink, link)?;
        }
        let queue = queue(how);
        if queue != Queue::default() {
            impairment::set(netlink, link, &queue)?;
            queues.insert(place);
        }
        Ok(())
    }
}

/// Why cables could not be impaired: the kernel lacks what it takes, or refused.
pub(super) fn refused(impaired: &Impaired, error: NetlinkError) -> LabError {
    match impairment::lacking(&error) {
        Some(lacking) => LabError::CannotImpair {
            what: impaired.to_string(),
            lacking,
            remedy: match lacking {
                "netem" => "it needs CONFIG_NET_SCH_NETEM (modprobe sch_netem)",
                _ => "it needs CONFIG_NET_SCH_TBF (modprobe sch_tbf)",
            },
        },
        None => error.into(),
    }
}

/// What has to wait, or is changed on its way; loss needs no queue.
fn queue(how: &Impairment) -> Queue {
    Queue {
        delay: how.delay,
        jitter: how.jitter,
        duplication: how.duplication.millionths(),
        reordering: how.reordering.millionths(),
        corruption: how.corruption.millionths(),
        rate: how.rate_mbps.map(|mbps| u64::from(mbps) * 125_000),
    }
}

/// The directions as the edge's end of a cable sees them.
fn directions(towards: Towards) -> impl Iterator<Item = Direction> {
    let both = [
        (Direction::In, Towards::Microsoft),
        (Direction::Out, Towards::Peer),
    ];
    let meant = both
        .into_iter()
        .filter(move |(_, way)| towards == Towards::Both || towards == *way);
    meant.map(|(direction, _)| direction)
}

/// The members that are impaired, by connection.
fn touched<'a>(layout: &'a Layout, impaired: &Impaired) -> Vec<(&'a ConnectionLayout, u8)> {
    let names = impaired.connections.iter();
    let connections = names.filter_map(|name| layout.connection(name));
    let members = connections.flat_map(|connection| {
        let numbers = numbers(connection, impaired.member);
        numbers.map(move |number| (connection, number))
    });
    members.collect()
}

/// A member, or all of a connection, counted from 1.
fn numbers(connection: &ConnectionLayout, member: Option<u8>) -> impl Iterator<Item = u8> {
    let all = (1..).take(connection.edge.members.len());
    all.filter(move |number| member.is_none_or(|member| member == *number))
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;
    use crate::kernel::netlink::Refusal;

    /// Kernels without netem are met; one without tbf, which a rate needs, is not found so easily.
    #[test]
    fn what_the_kernel_lacks_is_told_with_the_remedy() {
        let rate = Impaired {
            connections: vec!["ams-1".to_owned()],
            member: None,
            towards: Towards::Both,
            how: Impairment {
                rate_mbps: Some(100),
                ..Impairment::default()
            },
        };
        let says = |operation: &str, errno| {
            let refusal = Refusal {
                operation: operation.to_owned(),
                errno,
                sentence: None,
            };
            let error = refused(&rate, NetlinkError::Refused(vec![refusal]));
            (error.is_lack() && error.is_of_kernel(), error.to_string())
        };
        for (kind, option) in [
            ("tbf", "CONFIG_NET_SCH_TBF (modprobe sch_tbf)"),
            ("netem", "CONFIG_NET_SCH_NETEM (modprobe sch_netem)"),
        ] {
            let (lack, text) = says(&format!("add {kind} to link 3"), Errno::ENOENT);
            assert!(lack, "{text}");
            let whole = format!("impair {rate}: this kernel has no {kind}; it needs {option}");
            assert_eq!(text, whole);
        }
        // What is refused for another reason is an error of the lab's.
        assert!(!says("add tbf to link 3", Errno::EINVAL).0);
        assert!(!says("set link 3 up", Errno::ENOENT).0);
        // A rate asks for tbf and for nothing else.
        let queue = queue(&rate.how);
        assert_eq!(queue.rate, Some(12_500_000));
        assert_eq!(
            Queue {
                rate: None,
                ..queue
            },
            Queue::default()
        );
    }
}
