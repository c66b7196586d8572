//! MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760), from bytes: IPv6 (RFC 2545), and IPv4 with next hops of either
//! kind (RFC 8950).
//!
//! **Invariant:** a family that was not negotiated is not looked into.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::faults::Fault;
use super::{Dialect, Nlri, nlri};
use crate::bgp::attributes::Attributes;
use crate::bgp::family::Family;

/// Prefixes that can be reached, and where.
#[derive(Debug)]
pub(super) struct Reach {
    pub next_hop: IpAddr,
    pub link_local: Option<Ipv6Addr>,
    pub nlri: Vec<Nlri>,
}

/// Prefixes that can be reached no more.
#[derive(Debug)]
pub(super) struct Unreach {
    pub family: Family,
    pub nlri: Vec<Nlri>,
}

impl Reach {
    /// Reads the value of MP_REACH_NLRI.
    pub fn read(value: &[u8], dialect: Dialect) -> Result<Reach, Fault> {
        let [a, b, safi, length, rest @ ..] = value else {
            return Err(Fault::Length);
        };
        let family = negotiated(u16::from_be_bytes([*a, *b]), *safi, dialect)?;
        let split = rest.split_at_checked(usize::from(*length));
        // One reserved octet stands between next hop and prefixes.
        let Some((next_hop, [_, prefixes @ ..])) = split else {
            return Err(Fault::Length);
        };
        let (next_hop, link_local) = read_next_hop(next_hop, family, dialect)?;
        Ok(Reach {
            next_hop,
            link_local,
            nlri: read_prefixes(prefixes, family, dialect)?,
        })
    }
}

impl Reach {
    /// The attributes of these prefixes, of those they share with the prefixes of the message's body.
    pub fn attributes(&self, shared: Attributes) -> Attributes {
        Attributes {
            next_hop: self.next_hop,
            link_local: self.link_local,
            ..shared
        }
    }
}

impl Unreach {
    /// Reads the value of MP_UNREACH_NLRI.
    pub fn read(value: &[u8], dialect: Dialect) -> Result<Unreach, Fault> {
        let [a, b, safi, prefixes @ ..] = value else {
            return Err(Fault::Length);
        };
        let family = negotiated(u16::from_be_bytes([*a, *b]), *safi, dialect)?;
        Ok(Unreach {
            family,
            nlri: read_prefixes(prefixes, family, dialect)?,
        })
    }
}

fn negotiated(afi: u16, safi: u8, dialect: Dialect) -> Result<Family, Fault> {
    Family::from_codes(afi, safi)
        .filter(|family| dialect.families.contains(*family))
        .ok_or(Fault::Family)
}

fn read_prefixes(bytes: &[u8], family: Family, dialect: Dialect) -> Result<Vec<Nlri>, Fault> {
    let mut prefixes = Vec::new();
    let with_path_id = dialect.add_path_receive.contains(family);
    nlri::read(bytes, family, with_path_id, &mut prefixes).map_err(|_| Fault::Prefixes)?;
    Ok(prefixes)
}

/// The next hop, and the link-local one beside it. A next hop nobody can use is for [`is_usable`] to find.
fn read_next_hop(
    bytes: &[u8],
    family: Family,
    dialect: Dialect,
) -> Result<(IpAddr, Option<Ipv6Addr>), Fault> {
    let ipv6 = family == Family::Ipv6Unicast || dialect.extended_next_hop;
    if let Ok(octets) = <[u8; 4]>::try_from(bytes)
        && family == Family::Ipv4Unicast
    {
        return Ok((Ipv4Addr::from(octets).into(), None));
    }
    let (first, second) = match bytes.as_chunks::<16>() {
        ([first], []) if ipv6 => (Ipv6Addr::from(*first), None),
        ([first, second], []) if ipv6 => (Ipv6Addr::from(*first), Some(Ipv6Addr::from(*second))),
        _ => return Err(Fault::NextHopLength),
    };
    let link_local = second
        .filter(Ipv6Addr::is_unicast_link_local)
        .or(first.is_unicast_link_local().then_some(first));
    // Some speakers that have no global address write `::` before the link-local one.
    match link_local {
        Some(address) if first.is_unspecified() => Ok((address.into(), link_local)),
        _ => Ok((first.into(), link_local)),
    }
}

/// Whether packets can be sent to a next hop (RFC 4271, section 6.3).
pub(super) fn is_usable(next_hop: IpAddr) -> bool {
    let reserved = match next_hop {
        IpAddr::V4(address) => address.octets()[0] >= 240,
        IpAddr::V6(_) => false,
    };
    !(reserved || next_hop.is_unspecified() || next_hop.is_loopback() || next_hop.is_multicast())
}
