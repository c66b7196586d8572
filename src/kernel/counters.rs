//! What links have carried, as the kernel counts it (`RTM_GETSTATS`, rtnetlink(7)).
//!
//! Frames are counted in whole, without FCS. A frame that a filter drops on its way out was never sent; one that it drops
//! on its way in was received.
//!
//! **Invariant:** one question for all links of a namespace.

use std::collections::BTreeMap;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::stats::{
    Bond3adStats, BondXstat, LinkXstatGroup, StatsAttribute, StatsFilterMask, StatsMessage,
};

use super::netlink::{Netlink, NetlinkError};

/// Frames and octets one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Frames.
    pub frames: u64,
    /// Their octets.
    pub octets: u64,
}

/// What a link has carried since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkCounters {
    /// Sent.
    pub sent: Count,
    /// Received.
    pub received: Count,
    /// Of a bond's port: frames of the Slow Protocols sent and received.
    pub slow: Option<(u64, u64)>,
}

/// The counters of all links of the socket's namespace, by their indexes.
///
/// # Errors
/// The socket failed.
pub fn read(netlink: &mut Netlink) -> Result<BTreeMap<u32, LinkCounters>, NetlinkError> {
    let mut question = StatsMessage::default();
    question.header.filter_mask = StatsFilterMask::Link64 | StatsFilterMask::LinkXstatsPort;
    let question = RouteNetlinkMessage::GetStats(question);
    let answers = netlink.dump(question, "read the counters of links")?;
    let links = answers.into_iter().filter_map(|answer| match answer {
        RouteNetlinkMessage::NewStats(message) => Some(message),
        _ => None,
    });
    Ok(links
        .map(|link| (link.header.ifindex, counters(&link.attributes)))
        .collect())
}

fn counters(attributes: &[StatsAttribute]) -> LinkCounters {
    let mut counters = LinkCounters::default();
    for attribute in attributes {
        match attribute {
            StatsAttribute::Link64(stats) => {
                counters.sent.frames = stats.tx_packets;
                counters.sent.octets = stats.tx_bytes;
                counters.received.frames = stats.rx_packets;
                counters.received.octets = stats.rx_bytes;
            }
            StatsAttribute::LinkXstatsPort(groups) => counters.slow = slow(groups),
            _ => {}
        }
    }
    counters
}

/// Frames of the Slow Protocols that a bond counted on its port.
fn slow(groups: &[LinkXstatGroup]) -> Option<(u64, u64)> {
    let counted = groups.iter().find_map(|group| match group {
        LinkXstatGroup::Bond(stats) => stats.iter().find_map(|stat| match stat {
            BondXstat::ThreeAd(counted) => Some(counted),
            _ => None,
        }),
        _ => None,
    })?;
    let (mut sent, mut received) = (0, 0);
    for one in counted {
        match one {
            Bond3adStats::LacpduTx(n)
            | Bond3adStats::MarkerTx(n)
            | Bond3adStats::MarkerRespTx(n) => {
                sent += n;
            }
            Bond3adStats::LacpduRx(n)
            | Bond3adStats::LacpduUnknownRx(n)
            | Bond3adStats::LacpduIllegalRx(n)
            | Bond3adStats::MarkerRx(n)
            | Bond3adStats::MarkerRespRx(n)
            | Bond3adStats::MarkerUnknownRx(n) => received += n,
            _ => {}
        }
    }
    Some((sent, received))
}
