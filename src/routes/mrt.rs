//! MRT (RFC 6396, ADD-PATH: RFC 8050): table dumps are taken over, recorded messages are folded.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::bytes::Bytes;
use super::tables::{Direction, Dump, Session, Tables};
use super::update::{self, Blocks, Recorded};
use super::{Fault, Format, ReadError};

/// Octets of a record's header.
const HEADER: usize = 12;
/// Record types (RFC 6396, section 4).
const TABLE_DUMP: u16 = 12;
const TABLE_DUMP_V2: u16 = 13;
const BGP4MP: u16 = 16;
const BGP4MP_ET: u16 = 17;
/// The state Established (RFC 6396, section 4.4.1).
const ESTABLISHED: u16 = 6;

/// Whether these bytes begin with an MRT record.
pub fn is_it(bytes: &[u8]) -> bool {
    let Some(&[_, _, _, _, a, b, c, d, ..]) = bytes.first_chunk::<HEADER>() else {
        return false;
    };
    let subtypes = match u16::from_be_bytes([a, b]) {
        TABLE_DUMP => 1..=2,
        TABLE_DUMP_V2 => 1..=12,
        BGP4MP | BGP4MP_ET => 0..=11,
        _ => return false,
    };
    subtypes.contains(&u16::from_be_bytes([c, d]))
}

/// Reads all records.
pub fn read(bytes: &[u8], wanted: &dyn Fn(&Session) -> bool) -> Result<Dump, ReadError> {
    let mut reader = Reader {
        tables: Tables::new(wanted),
        peers: None,
        views: HashSet::new(),
        blocks: Blocks::default(),
        several: false,
    };
    let mut file = Bytes::new(bytes, Format::Mrt);
    while !file.is_empty() {
        let begin = file.offset();
        let Some(mut record) = Record::next(&mut file)? else {
            let left = file.len();
            reader.tables.note(|| {
                format!(
                    "the last record, at byte {begin}, was cut short: its {left} bytes are left out"
                )
            });
            break;
        };
        reader.record(&mut record)?;
    }
    Ok(reader.tables.finish(Format::Mrt))
}

struct Record<'a> {
    kind: u16,
    subtype: u16,
    offset: usize,
    body: Bytes<'a>,
}

impl<'a> Record<'a> {
    /// The next record; `None` when the file ends within it, as it does while it is still written.
    fn next(file: &mut Bytes<'a>) -> Result<Option<Record<'a>>, ReadError> {
        let whole = *file;
        let offset = file.offset();
        if file.len() < HEADER {
            return Ok(None);
        }
        file.u32("a timestamp")?;
        let kind = file.u16("a type")?;
        let subtype = file.u16("a subtype")?;
        let length = file.u32("a length")? as usize;
        if length > file.len() {
            // The first record decides whether this is MRT at all.
            let first = offset == 0;
            *file = whole;
            return match first {
                true => Err(file.fault(Fault::Short {
                    what: "the first record",
                })),
                false => Ok(None),
            };
        }
        let body = file.take(length, "a record")?;
        Ok(Some(Record {
            kind,
            subtype,
            offset,
            body,
        }))
    }
}

struct Reader<'a, 'w> {
    tables: Tables<'w>,
    /// The peers of the last PEER_INDEX_TABLE: places of their tables, none for those over IPv6.
    peers: Option<Vec<Option<usize>>>,
    views: HashSet<&'a [u8]>,
    blocks: Blocks<'a>,
    several: bool,
}

impl<'a> Reader<'a, '_> {
    fn record(&mut self, record: &mut Record<'a>) -> Result<(), ReadError> {
        let body = &mut record.body;
        match (record.kind, record.subtype) {
            (TABLE_DUMP, 1) => self.table_dump(body),
            (TABLE_DUMP_V2, 1) => self.peer_index(body),
            (TABLE_DUMP_V2, 2) => self.rib(body, false),
            (TABLE_DUMP_V2, 8) => self.rib(body, true),
            (BGP4MP | BGP4MP_ET, subtype @ 0..=11) => {
                if record.kind == BGP4MP_ET {
                    body.u32("microseconds")?;
                }
                self.bgp4mp(body, subtype, record.offset)
            }
            (TABLE_DUMP, 2) | (TABLE_DUMP_V2, 4 | 10) => {
                self.tables.pass_over_ipv6();
                Ok(())
            }
            // Multicast, geography, other protocols.
            _ => Ok(()),
        }
    }

    /// TABLE_DUMP (section 4.2): one route, AS numbers of two octets.
    fn table_dump(&mut self, body: &mut Bytes<'a>) -> Result<(), ReadError> {
        body.u32("view and sequence number")?;
        let address = body.ipv4("a prefix")?;
        let length = body.u8("a prefix length")?;
        let prefix = net(body, address, length)?;
        body.u8("a status")?;
        body.u32("a time")?;
        let peer = body.ipv4("a peer's address")?;
        body.u16("a peer's AS")?;
        let place = self.place(peer);
        self.entry(body, place, prefix, false)
    }

    /// PEER_INDEX_TABLE (section 4.3.1). A view dumped again replaces what was dumped before.
    fn peer_index(&mut self, body: &mut Bytes<'a>) -> Result<(), ReadError> {
        body.u32("a collector's id")?;
        let length = body.u16("the length of a view's name")?;
        let view = body.take(usize::from(length), "a view's name")?.rest();
        let again = !self.views.insert(view);
        let count = body.u16("the number of peers")?;
        let mut peers = Vec::new();
        for _ in 0..count {
            let kind = body.u8("a peer's type")?;
            body.u32("a peer's BGP id")?;
            let address = match kind & 1 {
                0 => Some(body.ipv4("a peer's address")?),
                _ => body.wide(true, "a peer's address")?,
            };
            match kind & 2 {
                0 => u32::from(body.u16("a peer's AS")?),
                _ => body.u32("a peer's AS")?,
            };
            let place = address.map(|address| self.place(address));
            if let (Some(place), true) = (place, again) {
                self.tables.at(place).routes.clear();
            }
            peers.push(place);
        }
        self.peers = Some(peers);
        Ok(())
    }

    /// The table of a dumped peer; 0.0.0.0 is the router itself.
    fn place(&mut self, peer: Ipv4Addr) -> usize {
        let session = match peer.is_unspecified() {
            true => Session {
                direction: Direction::Own,
                ..Session::default()
            },
            false => Session::received_from(peer),
        };
        self.tables.open(session).0
    }

    /// RIB_IPV4_UNICAST and RIB_IPV4_UNICAST_ADDPATH (section 4.3.2; RFC 8050, section 4.2).
    fn rib(&mut self, body: &mut Bytes<'a>, add_path: bool) -> Result<(), ReadError> {
        body.u32("a sequence number")?;
        let length = body.u8("a prefix length")?;
        let mut address = [0; 4];
        let octets = usize::from(length.div_ceil(8));
        let bytes = body.take(octets, "a prefix")?.rest();
        match address.get_mut(..octets) {
            Some(part) => part.copy_from_slice(bytes),
            None => return Err(prefix_length(body, length)),
        }
        let prefix = net(body, Ipv4Addr::from(address), length)?;
        let count = body.u16("the number of entries")?;
        let mut before = HashSet::new();
        for _ in 0..count {
            let index = body.u16("a peer's index")?;
            body.u32("a time")?;
            if add_path {
                body.u32("a path identifier")?;
            }
            let Some(peers) = &self.peers else {
                return Err(body.fault(Fault::Value {
                    what: "a route stands before any table of peers; its peer's index",
                    value: index.into(),
                }));
            };
            let Some(peer) = peers.get(usize::from(index)).copied() else {
                return Err(body.fault(Fault::Value {
                    what: "the index of a peer that is not in the table of peers",
                    value: index.into(),
                }));
            };
            match peer {
                // With ADD-PATH several paths of a peer follow one another; the first is kept.
                Some(place) if before.insert(place) => self.entry(body, place, prefix, true)?,
                Some(_) => {
                    self.several = true;
                    skip(body)?;
                }
                None => skip(body)?,
            }
        }
        if std::mem::take(&mut self.several) {
            self.tables.note(|| {
                format!("{prefix} has several paths from one peer (ADD-PATH): the first is taken")
            });
        }
        Ok(())
    }

    /// Size and attributes of a dumped route.
    fn entry(
        &mut self,
        body: &mut Bytes<'a>,
        place: usize,
        prefix: Ipv4Net,
        four_octet: bool,
    ) -> Result<(), ReadError> {
        let length = body.u16("the length of attributes")?;
        let block = body.take(usize::from(length), "attributes")?;
        let mut fault = None;
        self.tables.insert(place, prefix, || {
            self.blocks
                .read(block.rest(), four_octet)
                .map_err(|what| fault = Some(what))
                .ok()
        });
        if let Some(what) = fault {
            let at = block.offset();
            self.tables
                .note(|| format!("the route to {prefix} at byte {at} is left out: {what}"));
        }
        Ok(())
    }

    /// BGP4MP (section 4.4): subtypes 0 and 5 are changes of state, the others messages.
    fn bgp4mp(
        &mut self,
        body: &mut Bytes<'a>,
        subtype: u16,
        offset: usize,
    ) -> Result<(), ReadError> {
        // 2 and 3 are deprecated; they had entries and snapshots.
        if matches!(subtype, 2 | 3) {
            return Ok(());
        }
        let wide_asn = matches!(subtype, 4 | 5 | 7 | 9 | 11);
        let local = matches!(subtype, 6 | 7 | 10 | 11);
        let add_path = subtype >= 8;
        let asn = |body: &mut Bytes<'_>| match wide_asn {
            true => body.u32("an AS number"),
            false => body.u16("an AS number").map(u32::from),
        };
        asn(body)?;
        let local_asn = asn(body)?;
        body.u16("an interface's index")?;
        let family = body.u16("an address family")?;
        if family != 1 {
            if !matches!(subtype, 0 | 5) {
                self.tables.pass_over_ipv6();
            }
            return Ok(());
        }
        let session = |direction, peer, address| Session {
            name: None,
            peer: Some(peer),
            local: Some(address),
            local_asn: Some(local_asn),
            direction,
        };
        let (peer, address) = (
            body.ipv4("a peer's address")?,
            body.ipv4("a local address")?,
        );
        if matches!(subtype, 0 | 5) {
            body.u16("an old state")?;
            if body.u16("a new state")? != ESTABLISHED {
                for direction in [Direction::Received, Direction::Sent] {
                    let place = self.tables.resume(session(direction, peer, address));
                    self.tables.at(place).clear();
                }
            }
            return Ok(());
        }
        let direction = match local {
            true => Direction::Sent,
            false => Direction::Received,
        };
        let place = self.tables.resume(session(direction, peer, address));
        let bare = match add_path {
            true => update::without_path_ids(body.rest()),
            false => None,
        };
        match update::message(bare.as_deref().unwrap_or(body.rest()), wide_asn) {
            Ok(Recorded::Update(heard)) => self.tables.fold(place, heard),
            Ok(Recorded::Open(_) | Recorded::Other) => {}
            Err(what) => self
                .tables
                .note(|| format!("the message at byte {offset} is left out: {what}")),
        }
        Ok(())
    }
}

fn skip(body: &mut Bytes<'_>) -> Result<(), ReadError> {
    let length = body.u16("the length of attributes")?;
    body.take(usize::from(length), "attributes").map(|_| ())
}

fn net(body: &Bytes<'_>, address: Ipv4Addr, length: u8) -> Result<Ipv4Net, ReadError> {
    let net = Ipv4Net::new(address, length).map_err(|_| prefix_length(body, length))?;
    Ok(net.trunc())
}

fn prefix_length(body: &Bytes<'_>, length: u8) -> ReadError {
    body.fault(Fault::Value {
        what: "a prefix length of IPv4",
        value: length.into(),
    })
}
