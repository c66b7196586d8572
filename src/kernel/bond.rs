//! The kernel's own LAG: a bond of mode 802.3ad (Documentation/networking/bonding.rst), made and read through rtnetlink.
//!
//! **Invariant:** nothing is concluded from files in /proc or /sys, so an ordinary user reads what root does.

use netlink_packet_route::RouteNetlinkMessage;
use std::time::Duration;

use netlink_packet_route::link::{BondAllPortActive, BondLacpRate, BondMode, LinkMessage};
use netlink_packet_route::stats::{StatsFilterMask, StatsMessage};
use nix::errno::Errno;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::{LinkBond, LinkUnspec};

pub use self::status::{BondPort, BondStatus, SlowFrames};
use super::link::{self, silence_ipv6};
use super::netlink::{Netlink, NetlinkError};
pub use netlink_packet_route::link::BondXmitHashPolicy as HashPolicy;

mod status;
#[cfg(test)]
mod tests;

/// What a bond does besides LACP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BondOptions {
    /// What it spreads flows by.
    pub hash_policy: HashPolicy,
    /// How often it looks at the light of its ports; whole milliseconds.
    pub miimon: Duration,
}

impl Default for BondOptions {
    /// By addresses and ports, as those of our own LAG are; light is seen soon.
    fn default() -> BondOptions {
        BondOptions {
            hash_policy: HashPolicy::Layer34,
            miimon: Duration::from_millis(10),
        }
    }
}

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
    /// Everything else.
    pub options: BondOptions,
    /// Its ports, by interface index.
    pub ports: Vec<u32>,
}

/// Makes the bond with its ports, and brings it up. A port that was down is down afterwards.
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
        .miimon(u32::try_from(bond.options.miimon.as_millis()).unwrap_or(u32::MAX))
        .ad_lacp_rate(rate)
        .ad_lacp_active(bond.active)
        .xmit_hash_policy(bond.options.hash_policy)
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

/// Asks how a bond and these ports of it are.
///
/// # Errors
/// The socket failed.
pub fn status(netlink: &mut Netlink, bond: u32, ports: &[u32]) -> Result<BondStatus, NetlinkError> {
    let own = ask(netlink, bond)?;
    let ports = ports.iter().map(|port| ask(netlink, *port));
    let ports: Vec<LinkMessage> = ports.collect::<Result<_, _>>()?;
    Ok(BondStatus::read(&own, &ports))
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

/// Asks how many frames of the Slow Protocols a port of a bond has sent and received; `None` when the kernel does not say.
pub fn slow_frames(netlink: &mut Netlink, port: u32) -> Option<SlowFrames> {
    let mut question = StatsMessage::default();
    question.header.ifindex = port;
    question.header.filter_mask = StatsFilterMask::LinkXstatsPort;
    let question = RouteNetlinkMessage::GetStats(question);
    match netlink.one(question, "ask for the frames of a port") {
        Ok(Some(RouteNetlinkMessage::NewStats(answer))) => SlowFrames::read(&answer.attributes),
        Ok(_) | Err(_) => None,
    }
}
