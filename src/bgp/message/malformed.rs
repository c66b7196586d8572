//! Deliberately malformed UPDATEs: a good one, with one thing broken.
//!
//! Every row of [`RULES`](super::faults::RULES) has at least one way to be met here, so that the treatment of each can be tried, ours in
//! the tests, and that of a real router in a lab.
//!
//! **Invariant:** what comes out has a right header; only what is inside is wrong.

use bytes::BytesMut;

use super::code::{self, EXTENDED_LENGTH, OPTIONAL, TRANSITIVE};
use super::faults::{Fault, MESSAGE};
use super::{Dialect, HEADER, Nlri, Unwritable, write_announcements};
use crate::bgp::attributes::Attributes;

/// One way to break an UPDATE.
#[derive(Debug, Clone, Copy)]
pub struct Malformation {
    /// Its name in kebab-case: `origin-length`.
    pub name: &'static str,
    /// The attribute it breaks, or [`MESSAGE`].
    pub attribute: u8,
    /// The fault a receiver finds.
    pub fault: Fault,
    change: fn(&mut Parts),
}

/// A name means one of them.
impl PartialEq for Malformation {
    fn eq(&self, other: &Malformation) -> bool {
        self.name == other.name
    }
}

impl Eq for Malformation {}

impl Malformation {
    /// The malformation of a name.
    pub fn named(name: &str) -> Option<&'static Malformation> {
        MALFORMATIONS.iter().find(|m| m.name == name)
    }

    /// Breaks an UPDATE, given with its header. What is no UPDATE stays as it is.
    pub fn apply(&self, update: &[u8]) -> Vec<u8> {
        let Some(mut parts) = Parts::of(update) else {
            return update.to_vec();
        };
        (self.change)(&mut parts);
        parts.message()
    }
}

/// Writes UPDATEs as [`write_announcements`] does, each of them broken.
///
/// # Errors
///
/// The attributes cannot be written even when they are in order.
pub fn write_malformed(
    out: &mut BytesMut,
    malformation: &Malformation,
    attributes: &Attributes,
    nlri: &[Nlri],
    dialect: Dialect,
) -> Result<(), Unwritable> {
    let mut good = BytesMut::new();
    write_announcements(&mut good, attributes, nlri, dialect)?;
    let mut rest = &good[..];
    while let Some(&[high, low]) = rest.get(16..18) {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (update, after) = rest.split_at(length.min(rest.len()));
        out.extend_from_slice(&malformation.apply(update));
        rest = after;
    }
    Ok(())
}

/// An UPDATE taken apart.
#[derive(Debug)]
struct Parts {
    withdrawn: Vec<u8>,
    /// Each with flags, type code and length.
    attributes: Vec<Vec<u8>>,
    announced: Vec<u8>,
    /// Added to the length of the withdrawn routes.
    lie: u16,
}

impl Parts {
    fn of(update: &[u8]) -> Option<Parts> {
        let body = update.get(HEADER..)?;
        let parts = super::read::parts(body)?;
        let mut rest = parts.attributes;
        let mut attributes = Vec::new();
        while let Some(raw) = super::attribute::Raw::split(&mut rest) {
            attributes.push(raw.whole.to_vec());
        }
        Some(Parts {
            withdrawn: parts.withdrawn.to_vec(),
            attributes,
            announced: parts.announced.to_vec(),
            lie: 0,
        })
    }

    fn message(&self) -> Vec<u8> {
        let attributes = self.attributes.concat();
        let mut bytes = vec![0xff; 16];
        let length = HEADER + 4 + self.withdrawn.len() + attributes.len() + self.announced.len();
        bytes.extend((length as u16).to_be_bytes());
        bytes.push(super::UPDATE);
        bytes.extend((self.withdrawn.len() as u16 + self.lie).to_be_bytes());
        bytes.extend(&self.withdrawn);
        bytes.extend((attributes.len() as u16).to_be_bytes());
        bytes.extend(attributes);
        bytes.extend(&self.announced);
        bytes
    }

    fn position(&self, code: u8) -> Option<usize> {
        self.attributes.iter().position(|whole| whole[1] == code)
    }

    /// Puts an attribute in the place of the one it replaces, or behind all others.
    fn put(&mut self, flags: u8, code: u8, value: &[u8]) {
        let mut whole = vec![flags | EXTENDED_LENGTH, code];
        whole.extend((value.len() as u16).to_be_bytes());
        whole.extend(value);
        match self.position(code) {
            Some(index) => self.attributes[index] = whole,
            None => self.attributes.push(whole),
        }
    }

    /// As [`Parts::put`], with the flags the attribute must have.
    fn set(&mut self, code: u8, value: &[u8]) {
        self.put(
            code::flags(code).unwrap_or(OPTIONAL | TRANSITIVE),
            code,
            value,
        );
    }

    fn remove(&mut self, code: u8) {
        self.attributes.retain(|whole| whole[1] != code);
    }

    /// The attribute once more, at the end; a fitting one if there is none.
    fn repeat(&mut self, code: u8, fitting: &[u8]) {
        if self.position(code).is_none() {
            self.set(code, fitting);
        }
        let again = self
            .position(code)
            .map(|index| self.attributes[index].clone());
        self.attributes.extend(again);
    }

    /// An attribute that says it is longer than what is left.
    fn overrun(&mut self, code: u8) {
        self.remove(code);
        let flags = code::flags(code).unwrap_or(OPTIONAL | TRANSITIVE);
        self.attributes.push(vec![flags, code, 200, 0]);
    }

    /// Another next hop in MP_REACH_NLRI, which is made for IPv6 if there is none.
    fn next_hop(&mut self, next_hop: &[u8]) {
        let old = self
            .position(code::MP_REACH_NLRI)
            .map(|index| &self.attributes[index]);
        let (family, prefixes) = match old.and_then(|whole| {
            let value = super::attribute::Raw::split(&mut &whole[..])?.value;
            let after = 4 + usize::from(*value.get(3)?) + 1;
            Some((value.get(..3)?.to_vec(), value.get(after..)?.to_vec()))
        }) {
            Some(found) => found,
            None => (vec![0, 2, 1], vec![32, 0x20, 0x01, 0x0d, 0xb8]),
        };
        let length = [next_hop.len() as u8];
        let value = [&family[..], &length, next_hop, &[0], &prefixes].concat();
        self.set(code::MP_REACH_NLRI, &value);
    }
}

/// MP_REACH_NLRI and MP_UNREACH_NLRI of IPv6 unicast: AFI, SAFI; a next hop with its length and the reserved octet.
const IPV6: [u8; 3] = [0, 2, 1];
const GLOBAL: [u8; 18] = [
    16, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
];
/// 129 bits, which no IPv6 prefix has.
const TOO_LONG: [u8; 18] = [129, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// A family nobody here carries: L2VPN EVPN.
const EVPN: [u8; 3] = [0, 25, 70];

const fn of(
    name: &'static str,
    attribute: u8,
    fault: Fault,
    change: fn(&mut Parts),
) -> Malformation {
    Malformation {
        name,
        attribute,
        fault,
        change,
    }
}

use Fault as F;

/// All of them.
#[rustfmt::skip]
pub const MALFORMATIONS: &[Malformation] = &[
    of("withdrawn-routes-length", MESSAGE, F::Parts, |m| m.lie = 4000),
    of("nlri-length", MESSAGE, F::Prefixes, |m| m.announced.extend([33, 1, 2, 3, 4, 5])),
    of("nlri-cut", MESSAGE, F::Prefixes, |m| m.announced.extend([24, 192])),
    of("nlri-family", MESSAGE, F::Family, |m| m.announced.extend([24, 198, 51, 100])),
    of("no-nlri", MESSAGE, F::NoPrefixes, |m| {
        m.announced.clear();
        m.remove(code::MP_REACH_NLRI);
        m.set(code::ORIGIN, &[]);
    }),
    of("origin-missing", code::ORIGIN, F::Missing, |m| m.remove(code::ORIGIN)),
    of("as-path-missing", code::AS_PATH, F::Missing, |m| m.remove(code::AS_PATH)),
    of("next-hop-missing", code::NEXT_HOP, F::Missing, |m| m.remove(code::NEXT_HOP)),
    of("well-known-unrecognized", 99, F::Unrecognized, |m| m.put(TRANSITIVE, 99, &[1])),
    of("attribute-overrun", code::COMMUNITIES, F::Overrun, |m| m.overrun(code::COMMUNITIES)),
    of("mp-reach-overrun", code::MP_REACH_NLRI, F::Overrun, |m| m.overrun(code::MP_REACH_NLRI)),
    of("mp-unreach-overrun", code::MP_UNREACH_NLRI, F::Overrun, |m| m.overrun(code::MP_UNREACH_NLRI)),
    of("origin-flags", code::ORIGIN, F::Flags, |m| m.put(OPTIONAL | TRANSITIVE, code::ORIGIN, &[0])),
    of("as-path-flags", code::AS_PATH, F::Flags, |m| m.put(OPTIONAL, code::AS_PATH, &[])),
    of("med-flags", code::MULTI_EXIT_DISC, F::Flags, |m| m.put(TRANSITIVE, code::MULTI_EXIT_DISC, &[0; 4])),
    of("communities-flags", code::COMMUNITIES, F::Flags, |m| m.put(OPTIONAL, code::COMMUNITIES, &[0; 4])),
    of("mp-reach-flags", code::MP_REACH_NLRI, F::Flags, |m| {
        m.put(OPTIONAL | TRANSITIVE, code::MP_REACH_NLRI, &[&IPV6[..], &GLOBAL].concat());
    }),
    of("mp-unreach-flags", code::MP_UNREACH_NLRI, F::Flags, |m| m.put(TRANSITIVE, code::MP_UNREACH_NLRI, &IPV6)),
    of("mp-reach-repeated", code::MP_REACH_NLRI, F::Repeated, |m| {
        m.repeat(code::MP_REACH_NLRI, &[&IPV6[..], &GLOBAL].concat());
    }),
    of("mp-unreach-repeated", code::MP_UNREACH_NLRI, F::Repeated, |m| m.repeat(code::MP_UNREACH_NLRI, &IPV6)),
    of("origin-repeated", code::ORIGIN, F::Repeated, |m| m.repeat(code::ORIGIN, &[0])),
    of("communities-repeated", code::COMMUNITIES, F::Repeated, |m| m.repeat(code::COMMUNITIES, &[0; 4])),
    of("origin-length", code::ORIGIN, F::Length, |m| m.set(code::ORIGIN, &[0, 0])),
    of("origin-value", code::ORIGIN, F::Value, |m| m.set(code::ORIGIN, &[3])),
    of("as-path-segment-type", code::AS_PATH, F::Segments, |m| m.set(code::AS_PATH, &[5, 1, 0, 0, 0xfb, 0xf4])),
    of("as-path-segment-empty", code::AS_PATH, F::Segments, |m| m.set(code::AS_PATH, &[2, 0])),
    of("as-path-segment-overrun", code::AS_PATH, F::Segments, |m| m.set(code::AS_PATH, &[2, 9, 0, 0, 0xfb, 0xf4])),
    of("as-path-underrun", code::AS_PATH, F::Segments, |m| m.set(code::AS_PATH, &[2])),
    of("as-path-confederation", code::AS_PATH, F::Confederation, |m| m.set(code::AS_PATH, &[3, 1, 0, 0, 0xfb, 0xf4])),
    of("as-path-set", code::AS_PATH, F::AsSet, |m| m.set(code::AS_PATH, &[1, 1, 0, 0, 0xfb, 0xf4])),
    of("as-path-confederation-set", code::AS_PATH, F::AsSet, |m| m.set(code::AS_PATH, &[4, 1, 0, 0, 0xfb, 0xf4])),
    of("as-path-zero", code::AS_PATH, F::AsZero, |m| m.set(code::AS_PATH, &[2, 1, 0, 0, 0, 0])),
    of("next-hop-length", code::NEXT_HOP, F::Length, |m| m.set(code::NEXT_HOP, &[192, 0, 2])),
    of("next-hop-unspecified", code::NEXT_HOP, F::NextHop, |m| m.set(code::NEXT_HOP, &[0; 4])),
    of("next-hop-loopback", code::NEXT_HOP, F::NextHop, |m| m.set(code::NEXT_HOP, &[127, 0, 0, 1])),
    of("next-hop-multicast", code::NEXT_HOP, F::NextHop, |m| m.set(code::NEXT_HOP, &[224, 0, 0, 5])),
    of("next-hop-broadcast", code::NEXT_HOP, F::NextHop, |m| m.set(code::NEXT_HOP, &[255; 4])),
    of("med-length", code::MULTI_EXIT_DISC, F::Length, |m| m.set(code::MULTI_EXIT_DISC, &[0; 3])),
    of("local-pref-external", code::LOCAL_PREF, F::FromExternal, |m| m.set(code::LOCAL_PREF, &[0, 0, 1, 0])),
    of("local-pref-length", code::LOCAL_PREF, F::Length, |m| m.set(code::LOCAL_PREF, &[0; 5])),
    of("atomic-aggregate-length", code::ATOMIC_AGGREGATE, F::Length, |m| m.set(code::ATOMIC_AGGREGATE, &[0])),
    of("aggregator-length", code::AGGREGATOR, F::Length, |m| m.set(code::AGGREGATOR, &[1; 7])),
    of("aggregator-zero", code::AGGREGATOR, F::AsZero, |m| m.set(code::AGGREGATOR, &[0, 0, 0, 0, 192, 0, 2, 1])),
    of("communities-length", code::COMMUNITIES, F::Length, |m| m.set(code::COMMUNITIES, &[0; 6])),
    of("communities-empty", code::COMMUNITIES, F::Length, |m| m.set(code::COMMUNITIES, &[])),
    of("originator-id-external", code::ORIGINATOR_ID, F::FromExternal, |m| m.set(code::ORIGINATOR_ID, &[9; 4])),
    of("originator-id-length", code::ORIGINATOR_ID, F::Length, |m| m.set(code::ORIGINATOR_ID, &[9; 3])),
    of("cluster-list-external", code::CLUSTER_LIST, F::FromExternal, |m| m.set(code::CLUSTER_LIST, &[9; 4])),
    of("cluster-list-length", code::CLUSTER_LIST, F::Length, |m| m.set(code::CLUSTER_LIST, &[9; 5])),
    of("mp-reach-length", code::MP_REACH_NLRI, F::Length, |m| m.set(code::MP_REACH_NLRI, &[0, 2, 1, 16, 0x20])),
    of("mp-reach-next-hop-length", code::MP_REACH_NLRI, F::NextHopLength, |m| m.next_hop(&[0x20; 15])),
    of("mp-reach-next-hop-unspecified", code::MP_REACH_NLRI, F::NextHop, |m| m.next_hop(&[0; 16])),
    of("mp-reach-next-hop-multicast", code::MP_REACH_NLRI, F::NextHop, |m| m.next_hop(&[0xff; 16])),
    of("mp-reach-nlri-length", code::MP_REACH_NLRI, F::Prefixes, |m| {
        m.set(code::MP_REACH_NLRI, &[&IPV6[..], &GLOBAL, &TOO_LONG].concat());
    }),
    of("mp-reach-family", code::MP_REACH_NLRI, F::Family, |m| m.set(code::MP_REACH_NLRI, &[&EVPN[..], &GLOBAL].concat())),
    of("mp-unreach-length", code::MP_UNREACH_NLRI, F::Length, |m| m.set(code::MP_UNREACH_NLRI, &[0, 2])),
    of("mp-unreach-nlri-length", code::MP_UNREACH_NLRI, F::Prefixes, |m| {
        m.set(code::MP_UNREACH_NLRI, &[&IPV6[..], &TOO_LONG].concat());
    }),
    of("mp-unreach-family", code::MP_UNREACH_NLRI, F::Family, |m| m.set(code::MP_UNREACH_NLRI, &EVPN)),
    of("extended-communities-length", code::EXTENDED_COMMUNITIES, F::Length, |m| m.set(code::EXTENDED_COMMUNITIES, &[0; 7])),
    of("as4-path-segments", code::AS4_PATH, F::Segments, |m| m.set(code::AS4_PATH, &[2, 2, 0, 0, 0xfb, 0xf4])),
    of("as4-path-set", code::AS4_PATH, F::AsSet, |m| m.set(code::AS4_PATH, &[1, 1, 0, 0, 0xfb, 0xf4])),
    of("as4-path-zero", code::AS4_PATH, F::AsZero, |m| m.set(code::AS4_PATH, &[2, 1, 0, 0, 0, 0])),
    of("as4-path-from-new-speaker", code::AS4_PATH, F::FromNewSpeaker, |m| m.set(code::AS4_PATH, &[2, 1, 0, 0, 0xfb, 0xf4])),
    of("as4-path-outdated", code::AS4_PATH, F::Outdated, |m| {
        m.set(code::AGGREGATOR, &[0xfb, 0xf4, 192, 0, 2, 1]);
        m.set(code::AS4_PATH, &[2, 1, 0, 1, 0, 0]);
        m.set(code::AS4_AGGREGATOR, &[0, 1, 0, 0, 192, 0, 2, 1]);
    }),
    of("as4-aggregator-length", code::AS4_AGGREGATOR, F::Length, |m| m.set(code::AS4_AGGREGATOR, &[1; 6])),
    of("as4-aggregator-zero", code::AS4_AGGREGATOR, F::AsZero, |m| m.set(code::AS4_AGGREGATOR, &[0, 0, 0, 0, 192, 0, 2, 1])),
    of("as4-aggregator-from-new-speaker", code::AS4_AGGREGATOR, F::FromNewSpeaker, |m| m.set(code::AS4_AGGREGATOR, &[1; 8])),
    of("as4-aggregator-outdated", code::AS4_AGGREGATOR, F::Outdated, |m| {
        m.set(code::AGGREGATOR, &[0xfb, 0xf4, 192, 0, 2, 1]);
        m.set(code::AS4_AGGREGATOR, &[0, 1, 0, 0, 192, 0, 2, 1]);
    }),
    of("ipv6-extended-communities-length", code::IPV6_EXTENDED_COMMUNITIES, F::Length, |m| {
        m.set(code::IPV6_EXTENDED_COMMUNITIES, &[0; 8]);
    }),
    of("large-communities-length", code::LARGE_COMMUNITIES, F::Length, |m| m.set(code::LARGE_COMMUNITIES, &[0; 8])),
    of("only-to-customer-length", code::ONLY_TO_CUSTOMER, F::Length, |m| m.set(code::ONLY_TO_CUSTOMER, &[0; 2])),
];
