//! The kernel's own LAG: a bond of mode 802.3ad (Documentation/networking/bonding.rst), made and read through rtnetlink.
//!
//! **Invariant:** nothing is concluded from files in /proc or /sys, so an ordinary user reads what root does.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BondAdInfo, BondAllPortActive, BondLacpRate, BondMode, BondXmitHashPolicy, InfoBond,
    InfoBondPort, InfoData, InfoPortData, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use nix::errno::Errno;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::{LinkBond, LinkUnspec};

use super::link::{self, silence_ipv6};
use super::netlink::{Netlink, NetlinkError};

/// How often the bond looks at the light of its ports, in ms.
const MIIMON: u32 = 10;

/// A bond to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bond {
    /// Interface name, at most 15 bytes.
    pub name: String,
    /// Interface index.
    pub index: u32,
    /// Actor_System.
    pub system: [u8; 6],
    /// Actor_System_Priority.
    pub system_priority: u16,
    /// The upper 10 bits of the key; the kernel puts speed and duplex into the others.
    pub key: u16,
    /// Ask the partner for a LACPDU a second.
    pub fast: bool,
    /// Speak without being spoken to.
    pub active: bool,
    /// Ports that must distribute for the bond to have carrier.
    pub min_links: u8,
    /// Its ports, by interface index.
    pub ports: Vec<u32>,
}

/// Makes the bond with its ports, and brings it up. Flows are spread by addresses and ports, as those of our own LAG are.
/// A port that was down is down afterwards.
///
/// # Errors
/// What the kernel refused; see [`is_lacking`].
pub fn make(netlink: &mut Netlink, place: &str, bond: &Bond) -> Result<(), NetlinkError> {
    let before = link::list(netlink)?;
    let rate = match bond.fast {
        true => BondLacpRate::Fast,
        false => BondLacpRate::Slow,
    };
    let message = LinkBond::new(&bond.name)
        .index(bond.index)
        .mode(BondMode::Ieee8023Ad)
        .miimon(MIIMON)
        .ad_lacp_rate(rate)
        .ad_lacp_active(bond.active)
        .xmit_hash_policy(BondXmitHashPolicy::Layer34)
        .min_links(u32::from(bond.min_links))
        .ad_actor_system(bond.system)
        .ad_actor_sys_prio(bond.system_priority)
        .ad_user_port_key(bond.key)
        .all_ports_active(BondAllPortActive::Dropped)
        .build();
    let words = format!("add bond {} in {place}", bond.name);
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    netlink.queue(RouteNetlinkMessage::NewLink(message), flags, move || {
        words.clone()
    });
    // Alone: where it is refused, the ports stay as they are.
    netlink.commit()?;
    silence_ipv6(netlink, place, &bond.name, bond.index);
    for port in &bond.ports {
        let found = before.iter().find(|link| link.index == *port);
        let name = found.map_or("", |link| link.name.as_str());
        // The kernel takes a port only while it is down, and brings it up.
        link::set_up(netlink, place, name, *port, false);
        join(netlink, place, name, *port, bond);
        if found.is_some_and(|link| !link.up) {
            link::set_up(netlink, place, name, *port, false);
        }
    }
    link::set_up(netlink, place, &bond.name, bond.index, true);
    netlink.commit()
}

fn join(netlink: &mut Netlink, place: &str, name: &str, port: u32, bond: &Bond) {
    let message = LinkUnspec::new_with_index(port).controller(bond.index);
    let words = format!("make {name} in {place} a port of {}", bond.name);
    netlink.queue(
        RouteNetlinkMessage::NewLink(message.build()),
        0,
        move || words.clone(),
    );
}

/// Takes the bond away; its ports go down.
pub fn remove(netlink: &mut Netlink, place: &str, name: &str, index: u32) {
    let message = LinkUnspec::new_with_index(index).build();
    let words = format!("delete bond {name} in {place}");
    netlink.queue(RouteNetlinkMessage::DelLink(message), 0, move || {
        words.clone()
    });
}

/// Whether the kernel refused because it has no bonding driver.
pub fn is_lacking(error: &NetlinkError) -> bool {
    let mut refusals = error.refusals().iter();
    refusals.any(|refusal| matches!(refusal.errno, Errno::EOPNOTSUPP | Errno::ENODEV))
}

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

/// Asks how a bond and these ports of it are.
///
/// # Errors
/// The socket failed.
pub fn status(netlink: &mut Netlink, bond: u32, ports: &[u32]) -> Result<BondStatus, NetlinkError> {
    let own = ask(netlink, bond)?;
    let active = of_bond(&own);
    let aggregator = active.and_then(|info| {
        info.iter().find_map(|part| match part {
            BondAdInfo::Aggregator(number) => Some(*number),
            _ => None,
        })
    });
    Ok(BondStatus {
        carrier: has_light(&own),
        key: active.and_then(|info| {
            info.iter().find_map(|part| match part {
                BondAdInfo::ActorKey(key) => Some(*key),
                _ => None,
            })
        }),
        partner: active.and_then(|info| partner(info)),
        ports: ports
            .iter()
            .map(|port| Ok(of_port(&ask(netlink, *port)?, aggregator)))
            .collect::<Result<_, NetlinkError>>()?,
    })
}

/// One link: a line card may have many more.
fn ask(netlink: &mut Netlink, index: u32) -> Result<LinkMessage, NetlinkError> {
    let question = LinkUnspec::new_with_index(index).build();
    let question = RouteNetlinkMessage::GetLink(question);
    match netlink.one(question, "ask how a bond is")? {
        Some(RouteNetlinkMessage::NewLink(link)) => Ok(link),
        _ => Ok(LinkMessage::default()),
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

fn partner(info: &[BondAdInfo]) -> Option<([u8; 6], u16)> {
    let mac = info.iter().find_map(|part| match part {
        BondAdInfo::PartnerMac(mac) => Some(*mac),
        _ => None,
    });
    let key = info.iter().find_map(|part| match part {
        BondAdInfo::PartnerKey(key) => Some(*key),
        _ => None,
    });
    mac.filter(|mac| *mac != [0; 6]).zip(key)
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
