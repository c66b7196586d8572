//! UPDATEs and attribute blocks of files, read as an edge of a lab reads them.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use crate::bgp::attributes::Attributes;
use crate::bgp::message::{Dialect, Framer, Message, Nlri, Open, Update};
use crate::provider::observed::Seen;
use crate::provider::received::{AsPath, ReceivedRoute};

/// Octets of a BGP message before an UPDATE's fields.
const HEADER: usize = 19;
/// Attribute type codes (RFC 4271, section 5; RFC 4760).
const NEXT_HOP: u8 = 3;
const MP_REACH_NLRI: u8 = 14;
const EXTENDED_LENGTH: u8 = 0x10;

/// What an UPDATE said about IPv4 unicast.
#[derive(Debug, Default)]
pub struct Heard {
    /// No longer reachable.
    pub withdrawn: Vec<Ipv4Net>,
    /// Announced.
    pub announced: Vec<Ipv4Net>,
    /// With what; present when anything is announced.
    pub seen: Option<Seen>,
}

/// A message of a recorded session.
#[derive(Debug)]
pub enum Recorded {
    /// OPEN.
    Open(Open),
    /// UPDATE.
    Update(Heard),
    /// Any other.
    Other,
}

/// Reads one whole BGP message.
///
/// # Errors
/// Why a router would have ended the session, in words.
pub fn message(bytes: &[u8], four_octet: bool) -> Result<Recorded, String> {
    let mut framer = Framer::default();
    framer.push(bytes);
    let dialect = Dialect {
        four_octet,
        ..Dialect::plain(false)
    };
    match framer.next(dialect) {
        Err(notification) => Err(notification.to_string()),
        Ok(None) => Err("the message ends early".to_owned()),
        Ok(Some(Message::Open(open))) => Ok(Recorded::Open(open)),
        Ok(Some(Message::Update(update))) => Ok(Recorded::Update(heard(*update))),
        Ok(Some(_)) => Ok(Recorded::Other),
    }
}

fn heard(update: Update) -> Heard {
    let first = update.announced.into_iter().next();
    let (announced, seen) = match (first, update.unusable) {
        (Some(announced), _) => (announced.nlri, Some(seen(&announced.attributes))),
        (None, Some(unusable)) => {
            let route = ReceivedRoute {
                as_path: unusable.as_path.parse::<AsPath>().unwrap_or_default(),
                communities: unusable.communities,
                med: None,
            };
            let seen = Seen {
                route: Arc::new(route),
                unusable: Some(unusable.reason.to_owned()),
            };
            (unusable.nlri, Some(seen))
        }
        (None, None) => (Vec::new(), None),
    };
    Heard {
        withdrawn: ipv4(&update.withdrawn),
        announced: ipv4(&announced),
        seen,
    }
}

/// Registered and Peering Service prefixes are IPv4 alone.
fn ipv4(nlri: &[Nlri]) -> Vec<Ipv4Net> {
    let prefixes = nlri.iter().filter_map(|nlri| match nlri.prefix {
        IpNet::V4(prefix) => Some(prefix),
        IpNet::V6(_) => None,
    });
    prefixes.collect()
}

fn seen(attributes: &Attributes) -> Seen {
    Seen {
        route: Arc::new(ReceivedRoute {
            as_path: AsPath::sequence(attributes.as_path.iter().copied()),
            communities: attributes.community_texts(),
            med: attributes.med,
        }),
        unusable: None,
    }
}

/// Reads attribute blocks of table dumps, each different one once.
#[derive(Default)]
pub struct Blocks<'a> {
    known: HashMap<(&'a [u8], bool), Result<Seen, String>>,
}

impl<'a> Blocks<'a> {
    /// What a block says: it is put into an UPDATE, which is read as any other.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(&mut self, block: &'a [u8], four_octet: bool) -> Result<Seen, String> {
        let read = || as_update(block).and_then(|update| attributes(&update, four_octet));
        let known = self.known.entry((block, four_octet));
        known.or_insert_with(read).clone()
    }
}

fn attributes(update: &[u8], four_octet: bool) -> Result<Seen, String> {
    match message(update, four_octet)? {
        Recorded::Update(Heard {
            seen: Some(seen), ..
        }) => Ok(seen),
        _ => Err("the attributes announce nothing".to_owned()),
    }
}

/// An UPDATE with these attributes for some prefix.
///
/// MP_REACH_NLRI, which table dumps cut down to its next hop (RFC 6396, section 4.3.4), gives way to NEXT_HOP. Flags are
/// put in order: BIRD dumps some attributes with none, and a router that has the route has found them good.
fn as_update(block: &[u8]) -> Result<Vec<u8>, String> {
    let cut = || "the attributes end early".to_owned();
    let mut attributes = Vec::with_capacity(block.len() + 7);
    let mut has_next_hop = false;
    let mut rest = block;
    while let [flags, code, ..] = rest {
        let (start, length) = match (flags & EXTENDED_LENGTH, rest) {
            (0, [_, _, length, ..]) => (3, usize::from(*length)),
            (_, [_, _, high, low, ..]) if flags & EXTENDED_LENGTH != 0 => {
                (4, usize::from(u16::from_be_bytes([*high, *low])))
            }
            _ => return Err(cut()),
        };
        let (attribute, others) = rest.split_at_checked(start + length).ok_or_else(cut)?;
        if *code != MP_REACH_NLRI {
            has_next_hop |= *code == NEXT_HOP;
            attributes.push(flags_of(*code, *flags));
            attributes.extend_from_slice(&attribute[1..]);
        }
        rest = others;
    }
    if !rest.is_empty() {
        return Err(cut());
    }
    if !has_next_hop {
        attributes.extend_from_slice(&[0x40, NEXT_HOP, 4]);
        attributes.extend_from_slice(&Ipv4Addr::new(192, 0, 2, 1).octets());
    }
    let length = HEADER + 4 + attributes.len() + 2;
    let whole = u16::try_from(length).map_err(|_| "the attributes fit no message".to_owned())?;
    let mut update = vec![0xff; 16];
    update.extend_from_slice(&whole.to_be_bytes());
    update.push(2);
    update.extend_from_slice(&[0, 0]);
    update.extend_from_slice(&(whole - HEADER as u16 - 6).to_be_bytes());
    update.extend_from_slice(&attributes);
    // The prefix does not matter: 128.0.0.0/1.
    update.extend_from_slice(&[1, 0x80]);
    Ok(update)
}

/// The flags an attribute must have (RFC 4271, section 5), as far as it is well-known.
fn flags_of(code: u8, flags: u8) -> u8 {
    match code {
        // ORIGIN, AS_PATH, NEXT_HOP, LOCAL_PREF, ATOMIC_AGGREGATE.
        1..=3 | 5 | 6 => 0x40 | flags & EXTENDED_LENGTH,
        // MULTI_EXIT_DISC.
        4 => 0x80 | flags & EXTENDED_LENGTH,
        _ => flags,
    }
}

/// An UPDATE without the path identifiers of ADD-PATH (RFC 7911) before its prefixes.
pub fn without_path_ids(message: &[u8]) -> Option<Vec<u8>> {
    let (header, body) = message.split_at_checked(HEADER)?;
    if header[18] != 2 {
        return Some(message.to_vec());
    }
    let (withdrawn, rest) = sized(body)?;
    let (attributes, announced) = sized(rest)?;
    let (withdrawn, announced) = (bare(withdrawn)?, bare(announced)?);
    let size = |bytes: &[u8]| u16::try_from(bytes.len()).ok().map(u16::to_be_bytes);
    let length = HEADER + 4 + withdrawn.len() + attributes.len() + announced.len();
    let mut update = header[..16].to_vec();
    update.extend_from_slice(&u16::try_from(length).ok()?.to_be_bytes());
    update.push(2);
    update.extend_from_slice(&size(&withdrawn)?);
    update.extend_from_slice(&withdrawn);
    update.extend_from_slice(&size(attributes)?);
    update.extend_from_slice(attributes);
    update.extend_from_slice(&announced);
    Some(update)
}

/// A field with its size in two octets, and what follows.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))
}

fn bare(mut prefixes: &[u8]) -> Option<Vec<u8>> {
    let mut bare = Vec::with_capacity(prefixes.len());
    while !prefixes.is_empty() {
        let (_, rest) = prefixes.split_at_checked(4)?;
        let octets = usize::from(rest.first()?.div_ceil(8));
        let (prefix, rest) = rest.split_at_checked(1 + octets)?;
        bare.extend_from_slice(prefix);
        prefixes = rest;
    }
    Some(bare)
}
