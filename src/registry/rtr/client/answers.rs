//! What a cache says, PDU by PDU.

use std::sync::Arc;

use super::{Client, Connection, Event, Known, Link, Output, Owed, Response, SILENCE, SOON};
use crate::registry::rtr::Intervals;
use crate::registry::rtr::pdu::{self, ErrorCode, Fault, Pdu, Version};
use crate::time::At;

/// More VRPs are not taken. All of the world's are about 0.8 million.
const MOST: usize = 8_000_000;
/// Characters of a cache's own words that are passed on.
const WORDS: usize = 200;

impl Client {
    /// Takes a PDU.
    pub(super) fn pdu(&mut self, now: At, version: Version, pdu: Pdu) -> Result<(), Fault> {
        let Link::Up(connection) = &mut self.link else {
            return Ok(());
        };
        if let Pdu::ErrorReport { code, text, .. } = &pdu {
            return self.error_report(now, version, *code, text);
        }
        if !connection.negotiated {
            // Whatever its version, it says nothing about the version of answers (RFC 8210, section 7).
            if matches!(pdu, Pdu::SerialNotify { .. }) {
                return Ok(());
            }
            connection.negotiated = true;
            // A cache of RFC 6810 may just answer in its own version.
            self.version = self.version.min(version);
        }
        if version != self.version {
            let text = format!("{version}, after {} was agreed on", self.version);
            return Err(Fault::new(ErrorCode::UnexpectedProtocolVersion, text));
        }
        if let Some(owed) = &mut connection.owed {
            owed.silence = now + SILENCE;
        }
        match pdu {
            Pdu::SerialNotify { session_id, serial } => self.notified(now, session_id, serial),
            Pdu::CacheResponse { session_id } => self.response_begins(session_id),
            Pdu::Ipv4Prefix { .. } | Pdu::Ipv6Prefix { .. } => self.payload(&pdu),
            Pdu::EndOfData {
                session_id,
                serial,
                refresh,
                retry,
                expire,
            } => {
                let intervals = Intervals::from_seconds(refresh, retry, expire);
                self.response_ends(now, session_id, serial, intervals)
            }
            Pdu::CacheReset => self.cache_reset(now),
            other => {
                let text = format!("{other:?} is not for a router");
                Err(Fault::new(ErrorCode::InvalidRequest, text))
            }
        }
    }

    fn notified(&mut self, now: At, session: u16, serial: u32) -> Result<(), Fault> {
        self.same_session(session)?;
        let Link::Up(connection) = &mut self.link else {
            return Ok(());
        };
        if connection.owed.is_some() {
            connection.notified = Some(serial);
        } else if self
            .known
            .as_ref()
            .is_none_or(|known| known.serial != serial)
        {
            self.ask(now);
        }
        Ok(())
    }

    /// A cache in another session has other data, and what it told is void (RFC 8210, section 5.1).
    fn same_session(&mut self, session: u16) -> Result<(), Fault> {
        let expected = self.known.as_ref().and_then(|known| known.session);
        match expected {
            Some((_, expected)) if expected != session => {
                self.forget();
                let text = format!("session {session} in place of {expected}");
                self.tell(Event::Expired, text.clone());
                Err(Fault::new(ErrorCode::CorruptData, text))
            }
            _ => Ok(()),
        }
    }

    fn response_begins(&mut self, session: u16) -> Result<(), Fault> {
        let Link::Up(connection) = &mut self.link else {
            return Ok(());
        };
        let reset = match &connection.owed {
            Some(Owed {
                response: None,
                reset,
                ..
            }) => *reset,
            _ => return Err(unexpected("Cache Response")),
        };
        if !reset {
            self.same_session(session)?;
        }
        let known = self.known.as_ref().filter(|_| !reset);
        let table = known.map(|known| Arc::clone(&known.table));
        let response = Response {
            session,
            table: table.unwrap_or_default(),
            announced: 0,
            withdrawn: 0,
        };
        if let Link::Up(Connection {
            owed: Some(owed), ..
        }) = &mut self.link
        {
            owed.response = Some(response);
        }
        Ok(())
    }

    fn payload(&mut self, pdu: &Pdu) -> Result<(), Fault> {
        let response = self.response().ok_or_else(|| unexpected("a prefix"))?;
        let Some((vrp, announce)) = pdu::vrp(pdu) else {
            return Ok(());
        };
        let fault = |code, what: &str| {
            let fault = Fault::new(code, format!("{what} {vrp}"));
            let mut shown = Vec::new();
            pdu::write(&mut shown, Version::V1, pdu);
            Fault {
                pdu: shown,
                ..fault
            }
        };
        let table = Arc::make_mut(&mut response.table);
        if announce {
            if table.len() >= MOST {
                let text = format!("more than {MOST} payloads are not taken");
                return Err(Fault::new(ErrorCode::InternalError, text));
            }
            if !table.insert(vrp.clone()) {
                return Err(fault(ErrorCode::DuplicateAnnouncement, "told twice:"));
            }
            response.announced += 1;
        } else {
            if !table.remove(&vrp) {
                return Err(fault(ErrorCode::WithdrawalOfUnknownRecord, "never told:"));
            }
            response.withdrawn += 1;
        }
        Ok(())
    }

    fn response(&mut self) -> Option<&mut Response> {
        match &mut self.link {
            Link::Up(Connection {
                owed: Some(owed), ..
            }) => owed.response.as_mut(),
            _ => None,
        }
    }

    fn response_ends(
        &mut self,
        now: At,
        session: u16,
        serial: u32,
        intervals: Intervals,
    ) -> Result<(), Fault> {
        let begun = self.response().ok_or_else(|| unexpected("End of Data"))?;
        if begun.session != session {
            let text = format!("End of Data of session {session} in {}", begun.session);
            return Err(Fault::new(ErrorCode::CorruptData, text));
        }
        let Link::Up(connection) = &mut self.link else {
            return Ok(());
        };
        let notified = connection.notified.take();
        let Some((response, reset)) = connection
            .owed
            .take()
            .and_then(|owed| Some((owed.response?, owed.reset)))
        else {
            return Ok(());
        };
        let before = self.known.take().map(|known| known.table);
        let changes = match &before {
            Some(before) if reset => {
                let (withdrawn, announced) = before.changes(&response.table);
                (announced.len() as u64, withdrawn.len() as u64)
            }
            _ => (response.announced, response.withdrawn),
        };
        let session = Some((self.version, response.session));
        self.known = Some(Known {
            table: response.table,
            serial,
            session,
        });
        self.intervals = intervals;
        self.pause = SOON;
        self.refresh = Some(now + intervals.refresh);
        self.expire = Some(now + intervals.expire);
        self.synchronised(changes);
        if notified.is_some_and(|notified| notified != serial) {
            self.ask(now);
        }
        Ok(())
    }

    /// Tells of a whole table, unless it is known already.
    fn synchronised(&mut self, (announced, withdrawn): (u64, u64)) {
        let event = if !self.ever {
            Event::Read
        } else if self.lost {
            Event::Back
        } else if announced + withdrawn > 0 {
            Event::Changed
        } else {
            return;
        };
        self.ever = true;
        self.lost = false;
        let version = self.version;
        self.tell(
            event,
            format!("{announced} announced, {withdrawn} withdrawn, {version}"),
        );
    }

    fn cache_reset(&mut self, now: At) -> Result<(), Fault> {
        match &self.link {
            Link::Up(Connection {
                owed:
                    Some(Owed {
                        reset: false,
                        response: None,
                        ..
                    }),
                ..
            }) => {
                self.begin_anew();
                self.ask(now);
                Ok(())
            }
            _ => Err(unexpected("Cache Reset")),
        }
    }

    fn error_report(
        &mut self,
        now: At,
        version: Version,
        code: u16,
        text: &str,
    ) -> Result<(), Fault> {
        let words: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(WORDS)
            .collect();
        let Link::Up(connection) = &mut self.link else {
            return Ok(());
        };
        if code == ErrorCode::NoDataAvailable as u16 && version == self.version {
            connection.negotiated = true;
            connection.owed = None;
            self.refresh = Some(now + self.pause);
            self.pause = (self.pause * 2).min(self.intervals.retry);
            self.loss(format!("the cache has no data yet: {words}"));
            return Ok(());
        }
        if code == ErrorCode::UnsupportedProtocolVersion as u16 {
            connection.negotiated = false;
        }
        // The session may be what is wrong.
        self.begin_anew();
        self.outputs.push_back(Output::Close);
        self.closed(now, format!("the cache reports error {code}: {words}"));
        Ok(())
    }
}

fn unexpected(what: &str) -> Fault {
    Fault::new(ErrorCode::CorruptData, format!("{what} out of place"))
}
