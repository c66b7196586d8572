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
        let (address, rest) = rest.split_at_checked(octets).ok_or(NotPrefixes)?;
        bytes = rest;
        let prefix = prefix(address, length, family).ok_or(NotPrefixes)?;
        nlri.push(Nlri { prefix, path_id });
    }
    Ok(())
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
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            let address = Ipv4Addr::from(u32::from_be_bytes(octets) & mask);
            Ipv4Net::new(address, length).ok().map(IpNet::V4)
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
    let octets = usize::from(length.div_ceil(8));
    out.put_u8(length);
    match nlri.prefix {
        IpNet::V4(net) => out.put_slice(&net.network().octets()[..octets]),
        IpNet::V6(net) => out.put_slice(&net.network().octets()[..octets]),
    }
}

/// The octets [`write()`] takes.
pub(super) fn size(nlri: &Nlri, with_path_id: bool) -> usize {
    let path_id = if with_path_id { 4 } else { 0 };
    path_id + 1 + usize::from(nlri.prefix.prefix_len().div_ceil(8))
}
