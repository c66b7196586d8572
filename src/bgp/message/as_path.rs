//! AS_PATH and AS4_PATH (RFC 4271, section 4.3; RFC 6793, section 3), from and to bytes.
//!
//! **Invariant:** a path that was read is one sequence without AS number 0; sets are treated as RFC 9774 says, and written only to
//! find out what others make of them.

use super::AS_TRANS;
use super::faults::Fault;
use crate::bgp::attributes::Attributes;

const AS_SET: u8 = 1;
const AS_SEQUENCE: u8 = 2;
const AS_CONFED_SEQUENCE: u8 = 3;
const AS_CONFED_SET: u8 = 4;

/// A segment: its type and its members' bytes.
type Segment<'a> = (u8, &'a [u8]);

/// The segments of a path; an error where they do not add up, are empty, or of unknown type.
fn segments(mut bytes: &[u8], width: usize) -> impl Iterator<Item = Result<Segment<'_>, Fault>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let segment = match bytes {
            [
                kind @ AS_SET..=AS_CONFED_SET,
                count @ 1..=u8::MAX,
                rest @ ..,
            ] => rest
                .split_at_checked(usize::from(*count) * width)
                .map(|(members, rest)| {
                    bytes = rest;
                    (*kind, members)
                }),
            _ => None,
        };
        if segment.is_none() {
            bytes = &[];
        }
        Some(segment.ok_or(Fault::Segments))
    })
}

fn members(bytes: &[u8], width: usize) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(width).map(|asn| match *asn {
        [a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
        [a, b] => u16::from_be_bytes([a, b]).into(),
        _ => 0,
    })
}

fn width(four_octet: bool) -> usize {
    if four_octet { 4 } else { 2 }
}

/// An AS_PATH as one sequence. Of several faults the first of: segments, sets, AS number 0, confederation.
pub(super) fn read(bytes: &[u8], four_octet: bool) -> Result<Vec<u32>, Fault> {
    let (path, confederation) = sequence(bytes, width(four_octet))?;
    if confederation {
        return Err(Fault::Confederation);
    }
    Ok(path)
}

/// An AS4_PATH, without the segments of confederations that must be left out of it (RFC 6793, section 3).
pub(super) fn read_as4(bytes: &[u8]) -> Result<Vec<u32>, Fault> {
    let (path, _) = sequence(bytes, 4)?;
    if bytes.is_empty() {
        return Err(Fault::Segments);
    }
    Ok(path)
}

/// All sequences as one, and whether there are sequences of a confederation beside them.
fn sequence(bytes: &[u8], width: usize) -> Result<(Vec<u32>, bool), Fault> {
    let mut path = Vec::with_capacity(bytes.len() / width);
    let (mut set, mut confederation, mut zero) = (false, false, false);
    for segment in segments(bytes, width) {
        let (kind, asns) = segment?;
        match kind {
            AS_SEQUENCE => path.extend(members(asns, width)),
            AS_CONFED_SEQUENCE => confederation = true,
            _ => set = true,
        }
        zero |= members(asns, width).any(|asn| asn == 0);
    }
    if set {
        return Err(Fault::AsSet);
    }
    if zero {
        return Err(Fault::AsZero);
    }
    Ok((path, confederation))
}

/// A path as people write it, as far as it reads: `64500 {64501,64502}`, parts of confederations as `(64500)` and `[64500]`.
pub(super) fn text(bytes: &[u8], four_octet: bool) -> String {
    let width = width(four_octet);
    let mut words = Vec::new();
    for (kind, asns) in segments(bytes, width).map_while(Result::ok) {
        let asns: Vec<String> = members(asns, width).map(|asn| asn.to_string()).collect();
        words.push(match kind {
            AS_SEQUENCE => asns.join(" "),
            AS_CONFED_SEQUENCE => format!("({})", asns.join(" ")),
            AS_SET => format!("{{{}}}", asns.join(",")),
            _ => format!("[{}]", asns.join(",")),
        });
    }
    words.join(" ")
}

/// Whether two octets are too few for an AS number of the path.
pub(super) fn needs_four_octets(set: &Attributes) -> bool {
    let too_large = |asn: &u32| *asn > u32::from(u16::MAX);
    set.as_path.iter().chain(&set.as_set).any(too_large)
}

/// The value of AS_PATH, or with four octets of AS4_PATH.
pub(super) fn write(out: &mut Vec<u8>, set: &Attributes, four_octet: bool) {
    for (kind, asns) in [(AS_SEQUENCE, &set.as_path), (AS_SET, &set.as_set)] {
        for part in asns.chunks(255) {
            out.extend([kind, part.len() as u8]);
            for &asn in part {
                if four_octet {
                    out.extend(asn.to_be_bytes());
                } else {
                    let asn = u16::try_from(asn).unwrap_or(AS_TRANS);
                    out.extend(asn.to_be_bytes());
                }
            }
        }
    }
}

/// The octets [`write()`] takes.
pub(super) fn size(set: &Attributes, four_octet: bool) -> usize {
    let part = |asns: &[u32]| asns.len().div_ceil(255) * 2 + asns.len() * width(four_octet);
    part(&set.as_path) + part(&set.as_set)
}
