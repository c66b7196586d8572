//! What the members of each LAG have carried: read once a second, and when a step ends.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Lab, LabError, namespace};
use crate::kernel::apply::Network;
use crate::kernel::counters::{self, Count, LinkCounters};
use crate::kernel::netlink::Netlink;
use crate::line::{End, LagStatus};
use crate::plan::of_topology::{LagEnd, Layout};
use crate::record::{Fact, FrameCount, MemberCounters};
use crate::time::At;

/// How often they are read.
const EVERY: Duration = Duration::from_secs(1);

/// Sockets in all line cards.
pub(super) struct Meters {
    line_cards: BTreeMap<String, Netlink>,
    /// When they are read next.
    pub(super) next: At,
}

impl Meters {
    /// Opens the sockets.
    pub(super) fn open(network: &Network, layout: &Layout) -> Result<Meters, LabError> {
        let mut line_cards = BTreeMap::new();
        for end in layout.connections.iter().flat_map(|c| [&c.edge, &c.peer]) {
            if !line_cards.contains_key(&end.line_card) {
                let netlink = Netlink::open_in(namespace(network, &end.line_card)?)?;
                line_cards.insert(end.line_card.clone(), netlink);
            }
        }
        Ok(Meters {
            line_cards,
            next: At::ZERO,
        })
    }
}

impl Lab {
    /// Records what the members of each LAG have carried.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub async fn count(&mut self) -> Result<(), LabError> {
        self.meters.next = self.recorder.clock().now() + EVERY;
        let connections = self.layout.connections.iter();
        let ends = connections.flat_map(|c| [(&c.name, &c.edge), (&c.name, &c.peer)]);
        // LACP first: a frame of it that comes meanwhile is taken for data, and none of the LAG for LACP.
        let mut asked = Vec::new();
        for (connection, end) in ends {
            let name = End {
                router: end.router.clone(),
                connection: connection.clone(),
            };
            asked.push((end, name.clone(), self.line.inspect_lag(name)));
        }
        let mut answered = Vec::new();
        for (end, name, answer) in asked {
            // A line card that is dead has no answer.
            answered.push((end, name, answer.await.ok()));
        }
        let now = self.recorder.clock().now();
        let mut links = BTreeMap::new();
        for (name, netlink) in &mut self.meters.line_cards {
            links.insert(name.clone(), counters::read(netlink)?);
        }
        for (end, name, status) in answered {
            if let Some(links) = links.get(&end.line_card) {
                let members = members(end, links, status.as_ref());
                let fact = Fact::LagCounters {
                    router: name.router,
                    connection: name.connection,
                    members,
                };
                self.recorder.at(now, fact);
            }
        }
        Ok(())
    }
}

/// What the members of an end have carried, `links` being the links of its line card.
pub fn members(
    end: &LagEnd,
    links: &BTreeMap<u32, LinkCounters>,
    status: Option<&LagStatus>,
) -> Vec<MemberCounters> {
    let counted = end.members.iter().enumerate().filter_map(|(n, (link, _))| {
        let link = links.get(link)?;
        let control = status.and_then(|status| status.control.get(n).copied().flatten());
        let control = control.or(link.slow);
        let count = |count: Count, control: Option<u64>| FrameCount {
            frames: count.frames,
            octets: count.octets,
            data: control.map(|control| count.frames.saturating_sub(control)),
        };
        Some(MemberCounters {
            member: n as u8 + 1,
            sent: count(link.sent, control.map(|(sent, _)| sent)),
            received: count(link.received, control.map(|(_, received)| received)),
        })
    });
    counted.collect()
}
