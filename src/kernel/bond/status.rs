//! What the kernel says of a bond and its ports, read from its answers.
//!
//! **Invariant:** pure; what an answer does not have is not known, and never a mistake.

use netlink_packet_route::link::{
    BondAdInfo, InfoBond, InfoBondPort, InfoData, InfoPortData, LinkAttribute, LinkFlags, LinkInfo,
    LinkMessage,
};
use netlink_packet_route::stats::{Bond3adStats, BondXstat, LinkXstatGroup, StatsAttribute};

/// How a bond is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BondStatus {
    /// It has carrier.
    pub carrier: bool,
    /// Actor_Key of the active aggregator.
    pub key: Option<u16>,
    /// System and key of the partner of the active aggregator.
    pub partner: Option<([u8; 6], u16)>,
    /// Its ports, in the order asked for; `None` for one that is none.
    pub ports: Vec<Option<BondPort>>,
}

/// How a port of a bond is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BondPort {
    /// It has light.
    pub light: bool,
    /// It belongs to the active aggregator.
    pub active: bool,
    /// Actor_State as it is sent (6.4.2.3, item l).
    pub actor: u8,
    /// Partner_State as it was heard.
    pub partner: u8,
}

impl BondStatus {
    /// From what the kernel says of the bond's link and of those of its ports.
    pub(super) fn read(own: &LinkMessage, ports: &[LinkMessage]) -> BondStatus {
        let (mut key, mut aggregator, mut mac, mut partner_key) = (None, None, None, None);
        for part in of_bond(own).into_iter().flatten() {
            match part {
                BondAdInfo::Aggregator(number) => aggregator = Some(*number),
                BondAdInfo::ActorKey(number) => key = Some(*number),
                BondAdInfo::PartnerKey(number) => partner_key = Some(*number),
                BondAdInfo::PartnerMac(address) => mac = Some(*address),
                _ => {}
            }
        }
        BondStatus {
            carrier: has_light(own),
            key,
            partner: mac.filter(|mac| *mac != [0; 6]).zip(partner_key),
            ports: ports.iter().map(|port| of_port(port, aggregator)).collect(),
        }
    }
}

fn has_light(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::LowerUp)
}

fn infos(link: &LinkMessage) -> impl Iterator<Item = &LinkInfo> {
    let attributes = link.attributes.iter();
    attributes
        .filter_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(infos) => Some(infos),
            _ => None,
        })
        .flatten()
}

/// What the kernel says of a bond's active aggregator.
fn of_bond(link: &LinkMessage) -> Option<&Vec<BondAdInfo>> {
    infos(link).find_map(|info| match info {
        LinkInfo::Data(InfoData::Bond(parts)) => parts.iter().find_map(|part| match part {
            InfoBond::AdInfo(info) => Some(info),
            _ => None,
        }),
        _ => None,
    })
}

fn of_port(link: &LinkMessage, aggregator: Option<u16>) -> Option<BondPort> {
    let parts = infos(link).find_map(|info| match info {
        LinkInfo::PortData(InfoPortData::BondPort(parts)) => Some(parts),
        _ => None,
    })?;
    let mut port = BondPort {
        light: has_light(link),
        active: false,
        actor: 0,
        partner: 0,
    };
    for part in parts {
        match part {
            InfoBondPort::AdAggregatorId(id) => port.active = aggregator == Some(*id),
            InfoBondPort::AdActorOperPortState(state) => port.actor = state.bits(),
            InfoBondPort::AdPartnerOperPortState(state) => port.partner = state.bits(),
            _ => {}
        }
    }
    Some(port)
}

/// Frames of the Slow Protocols on a port since it became one (`BOND_3AD_STAT_*`, linux/if_bonding.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlowFrames {
    /// LACPDUs received.
    pub lacpdus_received: u64,
    /// LACPDUs sent.
    pub lacpdus_sent: u64,
    /// Marker PDUs received.
    pub markers_received: u64,
    /// Answers to Marker PDUs received.
    pub marker_responses_received: u64,
    /// Answers to Marker PDUs sent.
    pub marker_responses_sent: u64,
    /// Frames that are no PDU.
    pub illegal: u64,
}

impl SlowFrames {
    /// From what the kernel counts of a port.
    pub(super) fn read(counted: &[StatsAttribute]) -> Option<SlowFrames> {
        let groups = counted.iter().find_map(|part| match part {
            StatsAttribute::LinkXstatsPort(groups) => Some(groups),
            _ => None,
        })?;
        let counted = groups.iter().find_map(|group| match group {
            LinkXstatGroup::Bond(stats) => stats.iter().find_map(|stat| match stat {
                BondXstat::ThreeAd(counted) => Some(counted),
                _ => None,
            }),
            _ => None,
        })?;
        let mut frames = SlowFrames::default();
        for one in counted {
            match one {
                Bond3adStats::LacpduRx(n) => frames.lacpdus_received = *n,
                Bond3adStats::LacpduTx(n) => frames.lacpdus_sent = *n,
                Bond3adStats::LacpduUnknownRx(n)
                | Bond3adStats::LacpduIllegalRx(n)
                | Bond3adStats::MarkerUnknownRx(n) => {
                    frames.illegal = frames.illegal.saturating_add(*n);
                }
                Bond3adStats::MarkerRx(n) => frames.markers_received = *n,
                Bond3adStats::MarkerRespRx(n) => frames.marker_responses_received = *n,
                Bond3adStats::MarkerRespTx(n) => frames.marker_responses_sent = *n,
                _ => {}
            }
        }
        Some(frames)
    }
}
