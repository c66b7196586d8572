//! A set of path attributes as bytes, in ascending order of their type codes (RFC 4271, section 5), MP_REACH_NLRI apart.
//!
//! **Invariant:** an old speaker gets what it needs to pass four-octet AS numbers on (RFC 6793, section 4.2.2).

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::Unwritable;
use crate::bgp::attributes::{Attributes, Origin};
use crate::bgp::message::{AS_TRANS, Dialect, as_path, code};

/// Writes the attributes; NEXT_HOP only for prefixes in the message's body.
pub(super) fn write(
    out: &mut Vec<u8>,
    set: &Attributes,
    in_body: bool,
    dialect: Dialect,
) -> Result<(), Unwritable> {
    let mut asns = set.as_path.iter().chain(&set.as_set);
    if asns.any(|&asn| asn == 0) || set.aggregator.is_some_and(|(asn, _)| asn == 0) {
        return Err(Unwritable::AsZero);
    }
    let mut block = Block { out, set };
    let origin = match set.origin {
        Origin::Igp => 0,
        Origin::Egp => 1,
        Origin::Incomplete => 2,
    };
    block.put(code::ORIGIN, &[origin])?;
    block.as_path(code::AS_PATH, dialect.four_octet)?;
    if let (IpAddr::V4(next_hop), true) = (set.next_hop, in_body) {
        block.put(code::NEXT_HOP, &next_hop.octets())?;
    }
    if let Some(med) = set.med {
        block.put(code::MULTI_EXIT_DISC, &med.to_be_bytes())?;
    }
    if let Some(preference) = set.local_pref {
        block.put(code::LOCAL_PREF, &preference.to_be_bytes())?;
    }
    if set.atomic_aggregate {
        block.put(code::ATOMIC_AGGREGATE, &[])?;
    }
    block.aggregator(dialect.four_octet)?;
    block.list(code::COMMUNITIES, &set.communities, |c| c.to_be_bytes())?;
    if let Some(id) = set.originator_id {
        block.put(code::ORIGINATOR_ID, &id.octets())?;
    }
    block.list(code::CLUSTER_LIST, &set.cluster_list, |id| id.octets())?;
    let extended = &set.extended_communities;
    block.list(code::EXTENDED_COMMUNITIES, extended, |c| c.to_be_bytes())?;
    if !dialect.four_octet {
        block.as4()?;
    }
    block.unknown(0..=code::LARGE_COMMUNITIES)?;
    block.list(code::LARGE_COMMUNITIES, &set.large_communities, |c| {
        let mut octets = [0; 12];
        for (part, number) in octets.chunks_mut(4).zip([c.global, c.local_1, c.local_2]) {
            part.copy_from_slice(&number.to_be_bytes());
        }
        octets
    })?;
    block.unknown(code::LARGE_COMMUNITIES + 1..=code::ONLY_TO_CUSTOMER)?;
    if let Some(asn) = set.only_to_customer {
        block.put(code::ONLY_TO_CUSTOMER, &asn.to_be_bytes())?;
    }
    block.unknown(code::ONLY_TO_CUSTOMER + 1..=u8::MAX)
}

struct Block<'a> {
    out: &'a mut Vec<u8>,
    set: &'a Attributes,
}

impl Block<'_> {
    /// Flags, type code and length of an attribute we know.
    fn head(&mut self, code: u8, length: usize) -> Result<(), Unwritable> {
        let partial = if self.set.partial.contains(&code) {
            code::PARTIAL
        } else {
            0
        };
        self.head_with(code::flags(code).unwrap_or(0) | partial, code, length)
    }

    fn head_with(&mut self, flags: u8, code: u8, length: usize) -> Result<(), Unwritable> {
        if let Ok(length) = u8::try_from(length) {
            self.out.extend([flags, code, length]);
        } else {
            let length = u16::try_from(length).map_err(|_| Unwritable::TooLong)?;
            self.out.extend([flags | code::EXTENDED_LENGTH, code]);
            self.out.extend(length.to_be_bytes());
        }
        Ok(())
    }

    fn put(&mut self, code: u8, value: &[u8]) -> Result<(), Unwritable> {
        self.head(code, value.len())?;
        self.out.extend_from_slice(value);
        Ok(())
    }

    /// A list of items of the same size, which is not written when empty.
    fn list<T, const SIZE: usize>(
        &mut self,
        code: u8,
        items: &[T],
        octets: impl Fn(&T) -> [u8; SIZE],
    ) -> Result<(), Unwritable> {
        if items.is_empty() {
            return Ok(());
        }
        self.head(code, items.len() * SIZE)?;
        self.out.extend(items.iter().flat_map(octets));
        Ok(())
    }

    fn as_path(&mut self, code: u8, four_octet: bool) -> Result<(), Unwritable> {
        self.head(code, as_path::size(self.set, four_octet))?;
        as_path::write(self.out, self.set, four_octet);
        Ok(())
    }

    fn aggregator(&mut self, four_octet: bool) -> Result<(), Unwritable> {
        let Some((asn, router)) = self.set.aggregator else {
            return Ok(());
        };
        if four_octet {
            self.head(code::AGGREGATOR, 8)?;
            self.out.extend(asn.to_be_bytes());
        } else {
            self.head(code::AGGREGATOR, 6)?;
            self.out
                .extend(u16::try_from(asn).unwrap_or(AS_TRANS).to_be_bytes());
        }
        self.out.extend(router.octets());
        Ok(())
    }

    /// What two octets could not say.
    fn as4(&mut self) -> Result<(), Unwritable> {
        if as_path::needs_four_octets(self.set) {
            self.as_path(code::AS4_PATH, true)?;
        }
        if let Some((asn, router)) = self.set.aggregator
            && asn > u32::from(u16::MAX)
        {
            self.head(code::AS4_AGGREGATOR, 8)?;
            self.out.extend(asn.to_be_bytes());
            self.out.extend(router.octets());
        }
        Ok(())
    }

    /// Attributes we do not look into. Who passes on what it does not know sets the Partial bit (RFC 4271, section 5).
    fn unknown(&mut self, codes: RangeInclusive<u8>) -> Result<(), Unwritable> {
        let set = self.set;
        for attribute in set.unknown.iter().filter(|a| codes.contains(&a.code)) {
            let flags = attribute.flags & !code::EXTENDED_LENGTH;
            self.head_with(flags, attribute.code, attribute.value.len())?;
            self.out.extend_from_slice(&attribute.value);
        }
        Ok(())
    }
}
