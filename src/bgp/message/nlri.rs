//! Prefixes on the wire (RFC 4271, section 4.3; with path identifiers RFC 7911, section 3).
//!
//! **Invariant:** a prefix that was read has no bits behind its length.

use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::BufMut;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Nlri;
use crate::bgp::family::Family;

/// A list of prefixes that does not read: a length out of range, or an end in the middle of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotPrefixes;

/// Appends all prefixes of a list to `nlri`.
pub(super) fn read(
    mut bytes: &[u8],
    family: Family,
    with_path_id: bool,
    nlri: &mut Vec<Nlri>,
) -> Result<(), NotPrefixes> {
    nlri.reserve(count(bytes, with_path_id));
    while !bytes.is_empty() {
        let mut path_id = 0;
        if with_path_id {
            let (id, rest) = bytes.split_first_chunk().ok_or(NotPrefixes)?;
            path_id = u32::from_be_bytes(*id);
            bytes = rest;
        }
        let (&length, rest) = bytes.split_first().ok_or(NotPrefixes)?;
        let octets = usize::from(length.div_ceil(8));
        let prefix = match (family, rest.first_chunk()) {
            // Whatever stands behind the prefix is masked away: nothing is copied octet by octet.
            (Family::Ipv4Unicast, Some(four)) => ipv4(u32::from_be_bytes(*four), length),
            _ => prefix(rest.get(..octets).ok_or(NotPrefixes)?, length, family),
        };
        bytes = rest.get(octets..).ok_or(NotPrefixes)?;
        nlri.push(Nlri {
            prefix: prefix.ok_or(NotPrefixes)?,
            path_id,
        });
    }
    Ok(())
}

fn ipv4(address: u32, length: u8) -> Option<IpNet> {
    let beyond = 32_u32.checked_sub(length.into())?;
    let mask = u32::MAX.checked_shl(beyond).unwrap_or(0);
    let net = Ipv4Net::new(Ipv4Addr::from(address & mask), length).ok()?;
    Some(IpNet::V4(net))
}

/// How many prefixes a list has, so that a table of them is made once.
fn count(mut bytes: &[u8], with_path_id: bool) -> usize {
    let before = if with_path_id { 4 } else { 0 };
    let mut count = 0;
    while let Some(&length) = bytes.get(before) {
        count += 1;
        let size = before + 1 + usize::from(length.div_ceil(8));
        bytes = bytes.get(size..).unwrap_or_default();
    }
    count
}

fn prefix(address: &[u8], length: u8, family: Family) -> Option<IpNet> {
    match family {
        Family::Ipv4Unicast => {
            let mut octets = [0; 4];
            octets.get_mut(..address.len())?.copy_from_slice(address);
            ipv4(u32::from_be_bytes(octets), length)
        }
        Family::Ipv6Unicast => {
            let mut octets = [0; 16];
            octets.get_mut(..address.len())?.copy_from_slice(address);
            let net = Ipv6Net::new(Ipv6Addr::from(octets), length).ok()?;
            Some(IpNet::V6(net.trunc()))
        }
    }
}

/// Writes a prefix.
pub(super) fn write(out: &mut impl BufMut, nlri: &Nlri, with_path_id: bool) {
    if with_path_id {
        out.put_u32(nlri.path_id);
    }
    let length = nlri.prefix.prefix_len();
    let mut bytes = [length; 17];
    match nlri.prefix {
        IpNet::V4(net) => bytes[1..5].copy_from_slice(&net.network().octets()),
        IpNet::V6(net) => bytes[1..].copy_from_slice(&net.network().octets()),
    }
    out.put_slice(&bytes[..1 + usize::from(length.div_ceil(8))]);
}

/// The octets [`write()`] takes.
pub(super) fn size(nlri: &Nlri, with_path_id: bool) -> usize {
    let path_id = if with_path_id { 4 } else { 0 };
    path_id + 1 + usize::from(nlri.prefix.prefix_len().div_ceil(8))
}
