//! A cache's side of RTR: a table of VRPs with a serial number, and what routers are answered.
//!
//! A [`Cache`] is one state of the data; the next state is another value. It remembers some changes, so that a router
//! that asks soon enough is told these alone; one that asks too late is told to begin anew (Cache Reset).
//!
//! Notify is sent for each change: changes here are steps of a rehearsal, so the limit of one a minute, which RFC 8210,
//! section 8.2, sets for caches that follow the world's repositories, would only hide them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::Intervals;
use super::pdu::{self, ErrorCode, Fault, Incoming, Pdu, Version};
use crate::bgp::origin_validation::{Vrp, VrpTable};

/// Changes of the table that are remembered.
const CHANGES: usize = 16;
/// Payloads in all of them together; a larger history costs more than a whole table.
const PAYLOADS: usize = 100_000;

/// One state of a cache's data.
#[derive(Debug, Clone)]
pub struct Cache {
    session: u16,
    serial: u32,
    table: Arc<VrpTable>,
    /// Oldest first; the last one led to `serial`.
    changes: VecDeque<Arc<Change>>,
    intervals: Intervals,
    /// The whole table in wire form, by version, made when first asked for.
    whole: [OnceLock<Bytes>; 2],
}

#[derive(Debug)]
struct Change {
    withdrawn: Vec<Vrp>,
    announced: Vec<Vrp>,
}

impl Cache {
    /// A cache that has just started, in a session no router knows.
    pub fn new(session: u16, table: Arc<VrpTable>, intervals: Intervals) -> Cache {
        Cache {
            session,
            serial: 1,
            table,
            changes: VecDeque::new(),
            intervals,
            whole: Default::default(),
        }
    }

    /// The serial number of this state.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// The table of this state.
    pub fn table(&self) -> &Arc<VrpTable> {
        &self.table
    }

    /// The state after this one; `None` when the table is the same.
    pub fn next(&self, table: Arc<VrpTable>) -> Option<Cache> {
        let (withdrawn, announced) = self.table.changes(&table);
        if withdrawn.is_empty() && announced.is_empty() {
            return None;
        }
        let mut changes = self.changes.clone();
        changes.push_back(Arc::new(Change {
            withdrawn,
            announced,
        }));
        let size = |change: &Arc<Change>| change.withdrawn.len() + change.announced.len();
        while changes.len() > CHANGES || changes.iter().map(size).sum::<usize>() > PAYLOADS {
            changes.pop_front();
        }
        Some(Cache {
            session: self.session,
            serial: self.serial.wrapping_add(1),
            table,
            changes,
            intervals: self.intervals,
            whole: Default::default(),
        })
    }

    fn notify(&self, version: Version) -> Bytes {
        let notify = Pdu::SerialNotify {
            session_id: self.session,
            serial: self.serial,
        };
        wire(version, [notify])
    }

    /// The answer to a Reset Query (RFC 8210, section 8.1).
    fn whole(&self, version: Version) -> Bytes {
        let announced = self.table.iter().map(|vrp| pdu::payload(vrp, true));
        let make = || wire(version, self.response(announced));
        self.whole[usize::from(version.number())]
            .get_or_init(make)
            .clone()
    }

    /// The answer to a Serial Query: the changes since then, or Cache Reset (RFC 8210, sections 8.2 and 8.3).
    fn since(&self, version: Version, session: u16, serial: u32) -> Bytes {
        let behind = self.serial.wrapping_sub(serial) as usize;
        if session != self.session || behind > self.changes.len() {
            return wire(version, [Pdu::CacheReset]);
        }
        // What came and went, or went and came, is not told at all: each payload is told at most once.
        let (mut withdrawn, mut announced) = (BTreeSet::new(), BTreeSet::new());
        for change in self.changes.range(self.changes.len() - behind..) {
            for vrp in change.withdrawn.iter().map(without_anchor) {
                if !announced.remove(&vrp) {
                    withdrawn.insert(vrp);
                }
            }
            for vrp in change.announced.iter().map(without_anchor) {
                if !withdrawn.remove(&vrp) {
                    announced.insert(vrp);
                }
            }
        }
        let withdrawn = withdrawn.iter().map(|vrp| pdu::payload(vrp, false));
        let announced = announced.iter().map(|vrp| pdu::payload(vrp, true));
        wire(version, self.response(withdrawn.chain(announced)))
    }

    fn response(&self, payloads: impl Iterator<Item = Pdu>) -> impl Iterator<Item = Pdu> {
        let session_id = self.session;
        let Intervals {
            refresh,
            retry,
            expire,
        } = self.intervals;
        let end = Pdu::EndOfData {
            session_id,
            serial: self.serial,
            refresh: refresh.as_secs() as u32,
            retry: retry.as_secs() as u32,
            expire: expire.as_secs() as u32,
        };
        let begin = Pdu::CacheResponse { session_id };
        std::iter::once(begin).chain(payloads).chain([end])
    }
}

/// The same payload, whatever its trust anchor: RTR does not tell it.
fn without_anchor(vrp: &Vrp) -> Vrp {
    Vrp {
        trust_anchor: None,
        ..vrp.clone()
    }
}

fn wire(version: Version, pdus: impl IntoIterator<Item = Pdu>) -> Bytes {
    let mut bytes = Vec::new();
    for pdu in pdus {
        pdu::write(&mut bytes, version, &pdu);
    }
    bytes.into()
}

/// The connection of one router.
#[derive(Debug, Default)]
pub struct Connection {
    incoming: Incoming,
    /// Agreed on by the router's first PDU (RFC 8210, section 7).
    version: Option<Version>,
    /// The last question, until it is told.
    asked: Option<String>,
}

/// What a router is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Write this.
    Send(Bytes),
    /// Write this and close.
    Last(Bytes),
    /// Close.
    Close,
}

impl Connection {
    /// Takes bytes that were read; [`Connection::answer`] must have had nothing left to answer before.
    pub fn push(&mut self, bytes: &[u8]) {
        self.incoming.push(bytes);
    }

    /// The answer to the next question; `None` when more bytes are needed.
    pub fn answer(&mut self, cache: &Cache) -> Option<Answer> {
        let asked = self.incoming.take().and_then(|asked| {
            asked
                .map(|(version, pdu)| self.respond(cache, version, &pdu))
                .transpose()
        });
        match asked {
            Ok(answer) => answer,
            Err(fault) if fault.of_error_report => Some(Answer::Close),
            Err(fault) => {
                let version = self.version.unwrap_or(Version::V1);
                Some(Answer::Last(wire(version, [fault.report()])))
            }
        }
    }

    /// Serial Notify, for a router whose version is known.
    pub fn notify(&self, cache: &Cache) -> Option<Bytes> {
        self.version.map(|version| cache.notify(version))
    }

    /// What the router asked last, in words; once for each question.
    pub fn asked(&mut self) -> Option<String> {
        self.asked.take()
    }

    fn respond(&mut self, cache: &Cache, version: Version, pdu: &Pdu) -> Result<Answer, Fault> {
        if let Pdu::ErrorReport { code, text, .. } = pdu {
            tracing::debug!("a router reports error {code}: {text}");
            return Ok(Answer::Close);
        }
        let agreed = *self.version.get_or_insert(version);
        if agreed != version {
            let text = format!("{version}, after {agreed} was agreed on");
            return Err(Fault::new(ErrorCode::UnexpectedProtocolVersion, text));
        }
        match *pdu {
            Pdu::ResetQuery => {
                self.asked = Some("everything".to_owned());
                Ok(Answer::Send(cache.whole(version)))
            }
            Pdu::SerialQuery { session_id, serial } => {
                self.asked = Some(format!("what changed after serial {serial}"));
                Ok(Answer::Send(cache.since(version, session_id, serial)))
            }
            ref other => {
                let text = format!("{other:?} is not for a cache");
                Err(Fault::new(ErrorCode::InvalidRequest, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(thirds: &[u8]) -> Arc<VrpTable> {
        let vrp = |third: &u8| Vrp {
            prefix: format!("198.51.{third}.0/24").parse().expect("a prefix"),
            max_length: 24,
            asn: 64500,
            trust_anchor: Some("ripe".into()),
        };
        Arc::new(thirds.iter().map(vrp).collect())
    }

    fn ask(connection: &mut Connection, cache: &Cache, version: Version, pdu: &Pdu) -> Answer {
        let mut bytes = Vec::new();
        pdu::write(&mut bytes, version, pdu);
        connection.push(&bytes);
        connection.answer(cache).expect("an answer")
    }

    /// The PDUs of an answer, payloads as `+third` and `-third`, others by type.
    fn said(answer: Answer) -> String {
        let (Answer::Send(bytes) | Answer::Last(bytes)) = answer else {
            return "closed".to_owned();
        };
        let mut incoming = Incoming::default();
        incoming.push(&bytes);
        let mut words = Vec::new();
        while let Some((version, pdu)) = incoming.take().expect("whole PDUs") {
            words.push(match &pdu {
                Pdu::Ipv4Prefix { flags, prefix, .. } => {
                    let sign = if *flags == 1 { '+' } else { '-' };
                    format!("{sign}{}", prefix.octets()[2])
                }
                Pdu::CacheResponse { .. } => "begin".to_owned(),
                Pdu::EndOfData { serial, .. } => format!("end {serial} of {version}"),
                Pdu::CacheReset => "reset".to_owned(),
                Pdu::ErrorReport { code, .. } => format!("error {code} in {version}"),
                other => format!("{other:?}"),
            });
        }
        words.join(", ")
    }

    #[test]
    fn routers_are_told_what_they_lack() {
        let mut cache = Cache::new(7, table(&[1, 2]), Intervals::REHEARSAL);
        for thirds in [&[1, 2, 3][..], &[2, 3], &[1, 2, 4]] {
            cache = cache.next(table(thirds)).expect("it changed");
        }
        assert!(cache.next(table(&[1, 2, 4])).is_none());
        let since = |serial, session_id| {
            let query = Pdu::SerialQuery { session_id, serial };
            said(ask(&mut Connection::default(), &cache, Version::V1, &query))
        };
        assert_eq!(since(4, 7), "begin, end 4 of version 1");
        assert_eq!(since(3, 7), "begin, -3, +1, +4, end 4 of version 1");
        // What went and came back is not told.
        assert_eq!(since(2, 7), "begin, -3, +4, end 4 of version 1");
        assert_eq!(since(1, 7), "begin, +4, end 4 of version 1");
        assert_eq!(since(0, 7), "reset");
        assert_eq!(since(5, 7), "reset", "from the future");
        assert_eq!(since(4, 8), "reset", "another session");
        for version in [Version::V0, Version::V1] {
            let all = ask(
                &mut Connection::default(),
                &cache,
                version,
                &Pdu::ResetQuery,
            );
            assert_eq!(said(all), format!("begin, +1, +2, +4, end 4 of {version}"));
        }
        for third in 10..10 + CHANGES as u8 + 1 {
            cache = cache.next(table(&[third])).expect("it changed");
        }
        assert_eq!(cache.changes.len(), CHANGES, "history has an end");
    }

    #[test]
    fn routers_that_are_wrong_are_told_so() {
        let cache = Cache::new(7, table(&[1]), Intervals::REHEARSAL);
        let raw = |bytes: &[u8]| {
            let mut connection = Connection::default();
            connection.push(bytes);
            connection.answer(&cache).map(said)
        };
        assert_eq!(
            raw(&[2, 2, 0, 0, 0, 0, 0, 8]).as_deref(),
            Some("error 4 in version 1")
        );
        assert_eq!(
            raw(&[1, 2, 0, 0, 9, 9, 9, 9]).as_deref(),
            Some("error 0 in version 1")
        );
        assert_eq!(
            raw(&[1, 77, 0, 0, 0, 0, 0, 8]).as_deref(),
            Some("error 5 in version 1")
        );
        assert_eq!(
            raw(&[0, 8, 0, 0, 0, 0, 0, 8]).as_deref(),
            Some("error 3 in version 0")
        );
        assert_eq!(raw(&[1, 2, 0, 0]), None);
        let mut connection = Connection::default();
        assert!(connection.notify(&cache).is_none(), "no version yet");
        ask(&mut connection, &cache, Version::V0, &Pdu::ResetQuery);
        assert!(connection.notify(&cache).is_some());
        let other = ask(&mut connection, &cache, Version::V1, &Pdu::ResetQuery);
        assert_eq!(said(other), "error 8 in version 0");
        let report = Fault::new(ErrorCode::CorruptData, "no").report();
        let answer = ask(&mut Connection::default(), &cache, Version::V1, &report);
        assert_eq!(answer, Answer::Close);
    }
}
