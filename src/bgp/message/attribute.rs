//! Path attributes from bytes, one by one: framing, and the value of each we know.
//!
//! **Invariant:** a value is taken over whole or not at all.

use std::net::Ipv4Addr;

use bytes::Bytes;

use super::as_path;
use super::faults::Fault;
use super::{AS_TRANS, Dialect, code};
use crate::bgp::attributes::{Attributes, LargeCommunity, Origin, UnknownAttribute};
use crate::bgp::hash::Set;

/// One attribute as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    pub flags: u8,
    pub code: u8,
    pub value: &'a [u8],
    /// Flags, code, length and value.
    pub whole: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Takes the first attribute off `rest`; `None`, and nothing taken, if it does not end there.
    pub fn split(rest: &mut &'a [u8]) -> Option<Raw<'a>> {
        let bytes = *rest;
        let [flags, code, after @ ..] = bytes else {
            return None;
        };
        let (length, after) = if flags & code::EXTENDED_LENGTH == 0 {
            let (length, after) = after.split_first()?;
            (usize::from(*length), after)
        } else {
            let (length, after) = after.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), after)
        };
        let (value, after) = after.split_at_checked(length)?;
        *rest = after;
        Some(Raw {
            flags: *flags,
            code: *code,
            value,
            whole: &bytes[..bytes.len() - after.len()],
        })
    }

    /// Whether the Optional and Transitive flags are these.
    pub fn has_class(&self, flags: u8) -> bool {
        self.flags & (code::OPTIONAL | code::TRANSITIVE) == flags
    }
}

/// The attributes of an UPDATE, as far as they were read.
#[derive(Debug)]
pub(super) struct Values<'a> {
    dialect: Dialect,
    pub set: Attributes,
    pub next_hop: Option<Ipv4Addr>,
    /// AS_PATH as it came.
    as_path: &'a [u8],
    as4_path: Option<Vec<u32>>,
    as4_aggregator: Option<(u32, Ipv4Addr)>,
}

impl<'a> Values<'a> {
    pub fn new(dialect: Dialect) -> Values<'a> {
        Values {
            dialect,
            set: Attributes::originated(Ipv4Addr::UNSPECIFIED),
            next_hop: None,
            as_path: &[],
            as4_path: None,
            as4_aggregator: None,
        }
    }

    /// Takes over the value of an attribute that the neighbour has a say in, and whose flags are in order.
    pub fn read(&mut self, raw: Raw<'a>) -> Result<(), Fault> {
        let value = raw.value;
        let set = &mut self.set;
        match raw.code {
            code::ORIGIN => set.origin = origin(value)?,
            code::AS_PATH => {
                self.as_path = value;
                set.as_path = as_path::read(value, self.dialect.four_octet)?;
            }
            code::NEXT_HOP => self.next_hop = Some(address(value)?),
            code::MULTI_EXIT_DISC => set.med = Some(number(value)?),
            code::LOCAL_PREF => set.local_pref = Some(number(value)?),
            code::ATOMIC_AGGREGATE if value.is_empty() => set.atomic_aggregate = true,
            code::ATOMIC_AGGREGATE => return Err(Fault::Length),
            code::AGGREGATOR => set.aggregator = Some(self.dialect.aggregator(value)?),
            code::COMMUNITIES => set.communities = list(value, u32::from_be_bytes)?,
            code::ORIGINATOR_ID => set.originator_id = Some(address(value)?),
            code::CLUSTER_LIST => set.cluster_list = list(value, Ipv4Addr::from_octets)?,
            code::EXTENDED_COMMUNITIES => {
                set.extended_communities = list(value, u64::from_be_bytes)?;
            }
            code::LARGE_COMMUNITIES => set.large_communities = large_communities(value)?,
            code::ONLY_TO_CUSTOMER => set.only_to_customer = Some(number(value)?),
            code::AS4_PATH => self.as4_path = Some(as_path::read_as4(value)?),
            code::AS4_AGGREGATOR => self.as4_aggregator = Some(aggregator(value)?),
            code::IPV6_EXTENDED_COMMUNITIES
                if value.is_empty() || !value.len().is_multiple_of(20) =>
            {
                return Err(Fault::Length);
            }
            _ => return self.keep(raw),
        }
        let passed_on = matches!(
            raw.code,
            code::AGGREGATOR
                | code::COMMUNITIES
                | code::EXTENDED_COMMUNITIES
                | code::LARGE_COMMUNITIES
                | code::ONLY_TO_CUSTOMER
        );
        if passed_on && raw.flags & code::PARTIAL != 0 {
            self.set.partial.push(raw.code);
        }
        Ok(())
    }

    /// An attribute we do not look into: to be passed on, or not, by its flags (RFC 4271, section 5).
    fn keep(&mut self, raw: Raw<'_>) -> Result<(), Fault> {
        if raw.flags & code::OPTIONAL == 0 {
            return Err(Fault::Unrecognized);
        }
        if raw.flags & code::TRANSITIVE != 0 {
            self.set.unknown.push(UnknownAttribute {
                flags: raw.flags & !code::EXTENDED_LENGTH,
                code: raw.code,
                value: Bytes::copy_from_slice(raw.value),
            });
        }
        Ok(())
    }

    /// Puts together what an old speaker split up (RFC 6793, section 4.2.3). The attributes that must be ignored are returned.
    pub fn join_as4(&mut self) -> &'static [u8] {
        let (path, aggregator) = (self.as4_path.take(), self.as4_aggregator.take());
        if let (Some((asn, _)), Some(_)) = (self.set.aggregator, aggregator)
            && asn != u32::from(AS_TRANS)
        {
            return if path.is_some() {
                &[code::AS4_PATH, code::AS4_AGGREGATOR]
            } else {
                &[code::AS4_AGGREGATOR]
            };
        }
        // Without an AGGREGATOR there is nothing it could complete.
        self.set.aggregator = self.set.aggregator.and(aggregator).or(self.set.aggregator);
        if let Some(path) = path
            && let Some(leading) = self.set.as_path.len().checked_sub(path.len())
        {
            self.set.as_path.truncate(leading);
            self.set.as_path.extend(path);
        }
        &[]
    }

    /// AS_PATH as people write it, with whatever no [`Attributes`] can hold.
    pub fn as_path_text(&self) -> String {
        as_path::text(self.as_path, self.dialect.four_octet)
    }
}

impl Dialect {
    /// Why an attribute is left out whatever is in it, its flags and its length included: it is not for this neighbour to send it.
    pub(super) fn has_no_say(self, code: u8) -> Option<Fault> {
        match code {
            // RFC 7606, sections 7.5, 7.9 and 7.10: only that of an internal neighbour can be malformed.
            code::LOCAL_PREF | code::ORIGINATOR_ID | code::CLUSTER_LIST if !self.internal => {
                Some(Fault::FromExternal)
            }
            // RFC 6793, section 4.1.
            code::AS4_PATH | code::AS4_AGGREGATOR if self.four_octet => Some(Fault::FromNewSpeaker),
            _ => None,
        }
    }

    fn aggregator(self, value: &[u8]) -> Result<(u32, Ipv4Addr), Fault> {
        if self.four_octet {
            return aggregator(value);
        }
        let [a, b, router @ ..] = value else {
            return Err(Fault::Length);
        };
        let router = address(router)?;
        match u16::from_be_bytes([*a, *b]) {
            0 => Err(Fault::AsZero),
            asn => Ok((asn.into(), router)),
        }
    }
}

fn aggregator(value: &[u8]) -> Result<(u32, Ipv4Addr), Fault> {
    let (asn, router) = value.split_first_chunk().ok_or(Fault::Length)?;
    let router = address(router)?;
    match u32::from_be_bytes(*asn) {
        0 => Err(Fault::AsZero),
        asn => Ok((asn, router)),
    }
}

fn origin(value: &[u8]) -> Result<Origin, Fault> {
    match value {
        [0] => Ok(Origin::Igp),
        [1] => Ok(Origin::Egp),
        [2] => Ok(Origin::Incomplete),
        [_] => Err(Fault::Value),
        _ => Err(Fault::Length),
    }
}

fn number(value: &[u8]) -> Result<u32, Fault> {
    let octets = value.try_into().map_err(|_| Fault::Length)?;
    Ok(u32::from_be_bytes(octets))
}

fn address(value: &[u8]) -> Result<Ipv4Addr, Fault> {
    number(value).map(Ipv4Addr::from)
}

/// A list of items of the same size, at least one.
fn list<const SIZE: usize, T>(
    value: &[u8],
    item: impl Fn([u8; SIZE]) -> T,
) -> Result<Vec<T>, Fault> {
    match value.as_chunks::<SIZE>() {
        (chunks, []) if !chunks.is_empty() => Ok(chunks.iter().map(|&chunk| item(chunk)).collect()),
        _ => Err(Fault::Length),
    }
}

/// Large communities, each once (RFC 8092, section 2).
fn large_communities(value: &[u8]) -> Result<Vec<LargeCommunity>, Fault> {
    let mut communities = list(value, |[a, b, c, d, e, f, g, h, i, j, k, l]: [u8; 12]| {
        LargeCommunity {
            global: u32::from_be_bytes([a, b, c, d]),
            local_1: u32::from_be_bytes([e, f, g, h]),
            local_2: u32::from_be_bytes([i, j, k, l]),
        }
    })?;
    if communities.len() > 1 {
        let mut seen = Set::default();
        communities.retain(|community| seen.insert(*community));
    }
    Ok(communities)
}
