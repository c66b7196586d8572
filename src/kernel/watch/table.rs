//! What the kernel's events mean for a few prefixes and links of one namespace, without a socket (rtnetlink(7)).
//!
//! Routes are followed through next-hop objects, whose replacement moves many routes with one event.
//!
//! **Invariant:** what [`Table::changes`] gives is the kernel's table as the messages handled so far describe it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

pub(super) const RTM_NEWLINK: u16 = 16;
pub(super) const RTM_DELLINK: u16 = 17;
pub(super) const RTM_NEWROUTE: u16 = 24;
pub(super) const RTM_DELROUTE: u16 = 25;
pub(super) const RTM_NEWNEXTHOP: u16 = 104;
pub(super) const RTM_DELNEXTHOP: u16 = 105;

const IFF_UP: u32 = 1;
const IFF_LOWER_UP: u32 = 0x1_0000;
const IFLA_IFNAME: u16 = 3;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_NH_ID: u16 = 30;
const RTN_UNICAST: u8 = 1;
const RT_TABLE_MAIN: u32 = 254;
/// The kernel no longer uses this next hop of a multipath route.
const RTNH_F_DEAD: u8 = 1;
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Via {
    Interfaces(Vec<u32>),
    NextHop(u32),
}

/// A next-hop object.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NextHop {
    Interface(u32),
    Group(Vec<u32>),
}

#[derive(Debug, Clone)]
struct Link {
    name: String,
    up: bool,
    carrier: bool,
}

/// What a message means beyond a changed route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Meaning {
    /// A link (by name) gained or lost carrier.
    pub(super) carrier: Option<(String, bool)>,
    /// The kernel may have dropped routes without an event: it does when a link is set down, when a link that
    /// next-hop objects use loses carrier, and when a next-hop object goes.
    pub(super) stale: bool,
}

/// The watched part of one namespace.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// Routes of each watched prefix by metric; the lowest is in force.
    routes: BTreeMap<IpNet, BTreeMap<u32, Via>>,
    next_hops: HashMap<u32, NextHop>,
    links: HashMap<u32, Link>,
    /// Prefixes that may have changed since they were told.
    touched: BTreeSet<IpNet>,
    told: BTreeMap<IpNet, Vec<String>>,
}

impl Table {
    /// A table that follows `prefixes`; all are without a route, and told as such.
    pub(super) fn new(prefixes: &[IpNet]) -> Table {
        Table {
            routes: prefixes
                .iter()
                .map(|prefix| (*prefix, BTreeMap::new()))
                .collect(),
            ..Table::default()
        }
    }

    /// Forgets routes and next hops before all of them are read again.
    pub(super) fn forget_routes(&mut self) {
        self.next_hops.clear();
        for (prefix, routes) in &mut self.routes {
            routes.clear();
            self.touched.insert(*prefix);
        }
    }

    /// Works in an event, or one answer of a dump.
    pub(super) fn handle(&mut self, message_type: u16, body: &[u8]) -> Meaning {
        let meaning = match message_type {
            RTM_NEWLINK | RTM_DELLINK => self.link(message_type == RTM_NEWLINK, body),
            RTM_NEWROUTE | RTM_DELROUTE => self.route(message_type == RTM_NEWROUTE, body),
            RTM_NEWNEXTHOP | RTM_DELNEXTHOP => self.next_hop(message_type == RTM_NEWNEXTHOP, body),
            _ => None,
        };
        meaning.unwrap_or_default()
    }

    /// The prefixes whose interfaces are no longer those told last, with the names of the present ones, sorted.
    pub(super) fn changes(&mut self) -> Vec<(IpNet, Vec<String>)> {
        let mut changes = Vec::new();
        for prefix in std::mem::take(&mut self.touched) {
            let via = self.via(prefix);
            let told = self.told.entry(prefix).or_default();
            if *told != via {
                told.clone_from(&via);
                changes.push((prefix, via));
            }
        }
        changes
    }

    fn via(&self, prefix: IpNet) -> Vec<String> {
        let best = self
            .routes
            .get(&prefix)
            .and_then(|routes| routes.values().next());
        let indexes = match best {
            None => Vec::new(),
            Some(Via::Interfaces(indexes)) => indexes.clone(),
            Some(Via::NextHop(id)) => self.interfaces_of(*id),
        };
        let names: BTreeSet<String> = indexes.iter().map(|index| self.name(*index)).collect();
        names.into_iter().collect()
    }

    /// The interfaces of a next hop; groups hold no groups.
    fn interfaces_of(&self, id: u32) -> Vec<u32> {
        let interface = |id: &u32| match self.next_hops.get(id) {
            Some(NextHop::Interface(index)) => Some(*index),
            Some(NextHop::Group(_)) | None => None,
        };
        match self.next_hops.get(&id) {
            Some(NextHop::Group(members)) => members.iter().filter_map(interface).collect(),
            Some(NextHop::Interface(index)) => vec![*index],
            None => Vec::new(),
        }
    }

    fn name(&self, index: u32) -> String {
        self.links
            .get(&index)
            .map_or_else(|| format!("if{index}"), |link| link.name.clone())
    }

    /// `struct ifinfomsg`: family, pad, type (2), index (4), flags (4), change (4).
    fn link(&mut self, new: bool, body: &[u8]) -> Option<Meaning> {
        let (index, flags) = (u32_at(body, 4)?, u32_at(body, 8)?);
        if !new {
            // AF_BRIDGE tells of a port that left its bridge, not of a link that went.
            let went = body.first() == Some(&0);
            let before = went.then(|| self.links.remove(&index)).flatten()?;
            return Some(Meaning {
                carrier: before.carrier.then_some((before.name, false)),
                stale: true,
            });
        }
        let name = attributes(body.get(16..)?)
            .find(|(kind, _)| *kind == IFLA_IFNAME)
            .map(|(_, value)| text(value))?;
        let link = Link {
            name,
            up: flags & IFF_UP != 0,
            carrier: flags & IFF_LOWER_UP != 0,
        };
        let before = self.links.insert(index, link.clone());
        let (was_up, had_carrier) =
            before.map_or((false, false), |before| (before.up, before.carrier));
        Some(Meaning {
            carrier: (had_carrier != link.carrier).then_some((link.name, link.carrier)),
            stale: was_up && !link.up || had_carrier && !link.carrier,
        })
    }

    /// `struct rtmsg`: family, dst_len, src_len, tos, table, protocol, scope, type, flags (4).
    fn route(&mut self, new: bool, body: &[u8]) -> Option<Meaning> {
        let &[family, prefix_len, _, tos, table, _, _, route_type] = body.first_chunk()?;
        // A default route has no destination.
        let mut destination = match i32::from(family) {
            libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => return None,
        };
        if tos != 0 {
            return None;
        }
        let mut table = u32::from(table);
        let (mut metric, mut next_hop) = (0, None);
        let mut interfaces = Vec::new();
        for (kind, value) in attributes(body.get(12..)?) {
            match kind {
                RTA_DST if destination.is_ipv4() => {
                    destination = IpAddr::from(*value.first_chunk::<4>()?);
                }
                RTA_DST => destination = IpAddr::from(*value.first_chunk::<16>()?),
                RTA_PRIORITY => metric = u32_at(value, 0)?,
                RTA_TABLE => table = u32_at(value, 0)?,
                RTA_OIF => interfaces.push(u32_at(value, 0)?),
                RTA_MULTIPATH => interfaces.extend(multipath(value)),
                RTA_NH_ID => next_hop = Some(u32_at(value, 0)?),
                _ => {}
            }
        }
        let prefix = IpNet::new(destination, prefix_len).ok()?;
        let routes = self.routes.get_mut(&prefix)?;
        if table != RT_TABLE_MAIN {
            return None;
        }
        // Blackhole and its like are a route through no interface.
        let via = match next_hop {
            _ if route_type != RTN_UNICAST => Via::Interfaces(Vec::new()),
            Some(id) => Via::NextHop(id),
            None => Via::Interfaces(interfaces),
        };
        if new {
            routes.insert(metric, via);
        } else {
            routes.remove(&metric);
        }
        self.touched.insert(prefix);
        None
    }

    /// `struct nhmsg`: family, scope, protocol, reserved, flags (4).
    fn next_hop(&mut self, new: bool, body: &[u8]) -> Option<Meaning> {
        let mut id = None;
        let mut next_hop = None;
        for (kind, value) in attributes(body.get(8..)?) {
            match kind {
                NHA_ID => id = Some(u32_at(value, 0)?),
                NHA_OIF => next_hop = Some(NextHop::Interface(u32_at(value, 0)?)),
                // `struct nexthop_grp`: id (4), weight, weight's high byte, reserved (2).
                NHA_GROUP => {
                    let members = value.chunks_exact(8).filter_map(|entry| u32_at(entry, 0));
                    next_hop = Some(NextHop::Group(members.collect()));
                }
                _ => {}
            }
        }
        let id = id?;
        match next_hop {
            Some(next_hop) if new => {
                self.next_hops.insert(id, next_hop);
            }
            _ => {
                self.next_hops.remove(&id);
            }
        }
        let concerned = |via: &Via| {
            matches!(via, Via::NextHop(used) if *used == id
                || matches!(self.next_hops.get(used), Some(NextHop::Group(members)) if members.contains(&id)))
        };
        let touched: Vec<IpNet> = self
            .routes
            .iter()
            .filter(|(_, routes)| routes.values().any(concerned))
            .map(|(prefix, _)| *prefix)
            .collect();
        let stale = !new && !touched.is_empty();
        self.touched.extend(touched);
        Some(Meaning {
            carrier: None,
            stale,
        })
    }
}

/// Interfaces of `struct rtnexthop`: length (2), flags, hops, interface (4), attributes.
fn multipath(mut bytes: &[u8]) -> Vec<u32> {
    let mut interfaces = Vec::new();
    while let (Some(length), Some(&flags), Some(interface)) =
        (u16_at(bytes, 0), bytes.get(2), u32_at(bytes, 4))
    {
        if flags & RTNH_F_DEAD == 0 {
            interfaces.push(interface);
        }
        let Some(rest) = bytes.get(usize::from(length).max(8).next_multiple_of(4)..) else {
            break;
        };
        bytes = rest;
    }
    interfaces
}

/// Attributes, kind without its flag bits, and value; ends at the first that is cut off.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

fn text(value: &[u8]) -> String {
    let value = value.split(|byte| *byte == 0).next().unwrap_or(value);
    String::from_utf8_lossy(value).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests;
