//! BMP (RFC 7854) as a collector stores it: the stream's bytes; Adj-RIB-Out (RFC 8671) and Loc-RIB (RFC 9069) too.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;

use super::bytes::Bytes;
use super::tables::{Direction, Dump, Session, Tables};
use super::update::{self, Heard, Recorded};
use super::{Fault, Format, ReadError};
use crate::provider::received::{AsPath, Segment};

/// Octets of the common header: version, length, type.
const HEADER: usize = 6;
/// Message types (RFC 7854, section 4.1).
const ROUTE_MONITORING: u8 = 0;
const PEER_DOWN: u8 = 2;
const PEER_UP: u8 = 3;
const LAST: u8 = 6;
/// The peer type of a Loc-RIB (RFC 9069, section 4.1).
const LOC_RIB: u8 = 3;
/// Flags of the per-peer header (RFC 7854, section 4.2; RFC 8671, section 4).
const IPV6: u8 = 0x80;
const POST_POLICY: u8 = 0x40;
const TWO_OCTET: u8 = 0x20;
const ADJ_RIB_OUT: u8 = 0x10;

/// Whether these bytes begin with a BMP message.
pub fn is_it(bytes: &[u8]) -> bool {
    let Some(&[version, a, b, c, d, kind]) = bytes.first_chunk::<HEADER>() else {
        return false;
    };
    version == 3
        && kind <= LAST
        && (HEADER..1 << 20).contains(&(u32::from_be_bytes([a, b, c, d]) as usize))
}

/// Reads all messages.
pub fn read(bytes: &[u8], wanted: &dyn Fn(&Session) -> bool) -> Result<Dump, ReadError> {
    let mut reader = Reader {
        tables: Tables::new(wanted),
        asns: HashMap::new(),
        elsewhere: BTreeSet::new(),
        heard: BTreeSet::new(),
        prepended: HashSet::new(),
    };
    let mut file = Bytes::new(bytes, Format::Bmp);
    while !file.is_empty() {
        let begin = file.offset();
        let mut whole = file;
        if file.len() < HEADER {
            reader.cut(&file);
            break;
        }
        let version = file.u8("a version")?;
        if version != 3 {
            return Err(whole.fault(Fault::Value {
                what: "the version of BMP",
                value: version.into(),
            }));
        }
        let length = file.u32("a length")? as usize;
        let kind = file.u8("a type")?;
        if length < HEADER {
            return Err(whole.fault(Fault::Value {
                what: "the length of a message",
                value: length as u64,
            }));
        }
        if length > whole.len() {
            if begin == 0 {
                return Err(whole.fault(Fault::Short {
                    what: "the first message",
                }));
            }
            reader.cut(&whole);
            break;
        }
        whole.take(length, "a message")?;
        let mut body = file.take(length - HEADER, "a message")?;
        file = whole;
        reader.message(kind, &mut body, begin)?;
    }
    // 0.0.0.0 stands for the router itself.
    for peer in reader
        .elsewhere
        .difference(&reader.heard)
        .filter(|peer| !peer.is_unspecified())
    {
        reader.tables.note(|| {
            format!(
                "of {peer} it has only routes after import or before export policy, which are not read: monitor Adj-RIB-In \
                 before policy, or Adj-RIB-Out after it"
            )
        });
    }
    Ok(reader.tables.finish(Format::Bmp))
}

/// The per-peer header (RFC 7854, section 4.2).
struct PeerHeader {
    kind: u8,
    flags: u8,
    distinguisher: u64,
    address: Option<Ipv4Addr>,
    asn: u32,
}

impl PeerHeader {
    fn read(body: &mut Bytes<'_>) -> Result<PeerHeader, ReadError> {
        let kind = body.u8("a peer's type")?;
        let flags = body.u8("a peer's flags")?;
        let distinguisher = u64::from_be_bytes(body.array("a peer's distinguisher")?);
        let v6 = kind != LOC_RIB && flags & IPV6 != 0;
        let address = body.wide(v6, "a peer's address")?;
        let asn = body.u32("a peer's AS")?;
        body.array::<12>("a peer's BGP id and the time")?;
        Ok(PeerHeader {
            kind,
            flags,
            distinguisher,
            address,
            asn,
        })
    }
}

struct Reader<'w> {
    tables: Tables<'w>,
    /// The router's own AS on a session, by distinguisher and address of the peer, as the OPEN it sent told.
    asns: HashMap<(u64, Ipv4Addr), u32>,
    /// Peers whose routes were told as policy let them in, or before they were sent out, and nothing more.
    elsewhere: BTreeSet<Ipv4Addr>,
    /// Peers whose routes are read.
    heard: BTreeSet<Ipv4Addr>,
    /// Tables of which it was told that paths had too much.
    prepended: HashSet<usize>,
}

impl Reader<'_> {
    fn cut(&mut self, rest: &Bytes<'_>) {
        let (at, left) = (rest.offset(), rest.len());
        self.tables.note(|| {
            format!("the last message, at byte {at}, was cut short: its {left} bytes are left out")
        });
    }

    fn message(&mut self, kind: u8, body: &mut Bytes<'_>, at: usize) -> Result<(), ReadError> {
        if !matches!(kind, ROUTE_MONITORING | PEER_DOWN | PEER_UP) {
            return Ok(());
        }
        let header = PeerHeader::read(body)?;
        let Some(peer) = header.address else {
            if kind == ROUTE_MONITORING {
                self.tables.pass_over_ipv6();
            }
            return Ok(());
        };
        match kind {
            PEER_UP => self.peer_up(&header, peer, body),
            PEER_DOWN => {
                for session in self.sessions(&header, peer) {
                    let place = self.tables.open(session).0;
                    self.tables.at(place).clear();
                }
                Ok(())
            }
            _ => {
                self.monitoring(&header, peer, body.rest(), at);
                Ok(())
            }
        }
    }

    /// Peer Up (RFC 7854, section 4.10): local address, ports, the OPEN sent and the OPEN received.
    fn peer_up(
        &mut self,
        header: &PeerHeader,
        peer: Ipv4Addr,
        body: &mut Bytes<'_>,
    ) -> Result<(), ReadError> {
        body.array::<20>("a local address and ports")?;
        let open = body.rest();
        let length = match open.get(16..18) {
            Some(&[a, b]) => usize::from(u16::from_be_bytes([a, b])),
            _ => 0,
        };
        let open = open.get(..length).map(|open| update::message(open, true));
        if let Some(Ok(Recorded::Open(open))) = open {
            self.asns.insert((header.distinguisher, peer), open.asn);
        }
        if header.kind != LOC_RIB {
            for session in self.sessions(header, peer) {
                let place = self.tables.open(session).0;
                self.tables.at(place).up = true;
            }
        }
        Ok(())
    }

    /// The sessions a peer's header stands for: what was received, after policy or before, and what was sent.
    fn sessions(&self, header: &PeerHeader, peer: Ipv4Addr) -> Vec<Session> {
        let of = |direction| self.session(header, peer, direction);
        match header.kind {
            LOC_RIB => vec![of(Direction::Own)],
            _ => vec![of(Direction::Received), of(Direction::Sent)],
        }
    }

    /// A session. It is known by the peer alone, as a message that comes before the Peer Up knows no more.
    fn session(&self, header: &PeerHeader, peer: Ipv4Addr, direction: Direction) -> Session {
        match direction {
            Direction::Own => Session {
                local_asn: Some(header.asn),
                direction,
                ..Session::default()
            },
            _ => Session {
                direction,
                ..Session::received_from(peer)
            },
        }
    }

    /// Route Monitoring (RFC 7854, section 4.6). Of Adj-RIB-In the tables before policy are read, which are what the
    /// neighbour sent; of Adj-RIB-Out those after policy, which are what the neighbour was sent.
    fn monitoring(&mut self, header: &PeerHeader, peer: Ipv4Addr, update: &[u8], at: usize) {
        let post = header.flags & POST_POLICY != 0;
        let direction = match (header.kind, header.flags & ADJ_RIB_OUT != 0, post) {
            (LOC_RIB, _, _) => Direction::Own,
            (_, false, false) => Direction::Received,
            (_, true, true) => Direction::Sent,
            (_, false, true) | (_, true, false) => {
                self.elsewhere.insert(peer);
                return;
            }
        };
        self.heard.insert(peer);
        // In a Loc-RIB's flags only the filter bit is defined (RFC 9069, section 4.2).
        let four_octet = header.kind == LOC_RIB || header.flags & TWO_OCTET == 0;
        let place = self.tables.open(self.session(header, peer, direction)).0;
        match update::message(update, four_octet) {
            Ok(Recorded::Update(mut heard)) => {
                if direction == Direction::Received {
                    self.put_right(header, peer, place, &mut heard);
                }
                if direction == Direction::Own {
                    self.tables.at(place).own_as = false;
                }
                self.tables.fold(place, heard);
            }
            Ok(Recorded::Open(_) | Recorded::Other) => {}
            Err(what) => self
                .tables
                .note(|| format!("the message at byte {at} is left out: {what}")),
        }
    }

    /// FRR before its pull request 21815 told received paths with its own AS in front, as if it passed them on.
    fn put_right(&mut self, header: &PeerHeader, peer: Ipv4Addr, place: usize, heard: &mut Heard) {
        let asn = self.asns.get(&(header.distinguisher, peer)).copied();
        let Some((seen, asn)) = heard.seen.as_mut().zip(asn) else {
            return;
        };
        if asn == header.asn {
            return;
        }
        let AsPath(segments) = &seen.route.as_path;
        let Some(Segment::Sequence(sequence)) = segments.first() else {
            return;
        };
        if !sequence.starts_with(&[asn, header.asn]) {
            return;
        }
        let mut route = (*seen.route).clone();
        if let Some(Segment::Sequence(sequence)) = route.as_path.0.first_mut() {
            sequence.remove(0);
        }
        seen.route = route.into();
        if self.prepended.insert(place) {
            self.tables.note(|| {
                format!(
                    "routes received from {peer} are told with the router's own AS{asn} in front of the path (a fault of \
                     FRR's BMP, its pull request 21815): it is taken off"
                )
            });
        }
    }
}
