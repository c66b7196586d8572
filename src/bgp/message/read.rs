//! An UPDATE from bytes: its parts, its attributes, and what becomes of the faulty ones (RFC 7606).
//!
//! **Invariant:** every fault is a row of [`RULES`](super::faults::RULES); nothing is lost silently but optional non-transitive
//! attributes nobody knows, which RFC 4271, section 5, wants ignored.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;

use super::attribute::{Raw, Values};
use super::faults::{Fault, MESSAGE, Rule, Treatment, rule};
use super::multiprotocol::{Reach, Unreach, is_usable};
use super::{Announced, Dialect, Nlri, Unusable, Update, code, nlri};
use crate::bgp::attributes::Attributes;
use crate::bgp::family::Family;
use crate::bgp::notification::Notification;
use crate::bgp::policy::{AS_SET, MALFORMED};

/// The path attributes of the UPDATE before: routes with equal attributes come in a row, and these are read once.
#[derive(Debug, Default)]
pub(super) struct Before {
    block: Vec<u8>,
    read: Option<(Dialect, Arc<Attributes>)>,
}

impl Before {
    fn recall(&self, block: &[u8], dialect: Dialect) -> Option<Arc<Attributes>> {
        let (of, attributes) = self.read.as_ref()?;
        (*of == dialect && self.block == block).then(|| attributes.clone())
    }

    fn remember(&mut self, block: &[u8], dialect: Dialect, attributes: &Arc<Attributes>) {
        self.block.clear();
        self.block.extend_from_slice(block);
        self.read = Some((dialect, attributes.clone()));
    }
}

/// The parts of an UPDATE (RFC 4271, section 4.3).
pub(super) struct Parts<'a> {
    pub withdrawn: &'a [u8],
    pub attributes: &'a [u8],
    pub announced: &'a [u8],
}

/// `None` if the lengths do not fit into the message.
pub(super) fn parts(body: &[u8]) -> Option<Parts<'_>> {
    let (length, rest) = body.split_first_chunk()?;
    let (withdrawn, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let (length, rest) = rest.split_first_chunk()?;
    let (attributes, announced) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    Some(Parts {
        withdrawn,
        attributes,
        announced,
    })
}

/// Reads what follows the header of an UPDATE.
pub(super) fn read_update(
    body: &[u8],
    dialect: Dialect,
    before: &mut Before,
) -> Result<Update, Notification> {
    let of_message = |fault| Notification::new(3, rule(MESSAGE, fault).subcode);
    let parts = parts(body).ok_or_else(|| of_message(Fault::Parts))?;
    let foreign = !dialect.families.contains(Family::Ipv4Unicast);
    let ipv4 = |bytes: &[u8]| {
        if foreign {
            // None of ours, so nothing is lost with what does not read.
            return Ok(Vec::new());
        }
        let with_path_id = dialect.add_path_receive.contains(Family::Ipv4Unicast);
        let mut prefixes = Vec::new();
        nlri::read(bytes, Family::Ipv4Unicast, with_path_id, &mut prefixes)
            .map_err(|_| of_message(Fault::Prefixes))?;
        Ok(prefixes)
    };
    let mut update = Update {
        withdrawn: ipv4(parts.withdrawn)?,
        ..Update::default()
    };
    let announced = ipv4(parts.announced)?;
    if body.len() == 4 && !foreign {
        update.end_of_rib = Some(Family::Ipv4Unicast);
    }
    read_attributes(&parts, announced, dialect, before, &mut update)?;
    // After what is wrong with the attributes, which is graver.
    if foreign && body.len() > 4 + parts.attributes.len() {
        let family = Found::new(MESSAGE, Fault::Family);
        update.malformed.push(family.text());
    }
    Ok(update)
}

fn read_attributes(
    parts: &Parts<'_>,
    announced: Vec<Nlri>,
    dialect: Dialect,
    before: &mut Before,
    update: &mut Update,
) -> Result<(), Notification> {
    if parts.attributes.is_empty() && announced.is_empty() {
        return Ok(());
    }
    if !announced.is_empty()
        && let Some(attributes) = before.recall(parts.attributes, dialect)
    {
        update.announce(attributes, announced);
        return Ok(());
    }
    let mut reader = Reader::new(dialect);
    reader.read(parts.attributes)?;
    let of_body_alone = reader.reach.is_none() && reader.unreach.is_none();
    reader.finish(parts, announced, update)?;
    if let [announced] = update.announced.as_slice()
        && of_body_alone
        && update.malformed.is_empty()
    {
        before.remember(parts.attributes, dialect, &announced.attributes);
    }
    Ok(())
}

impl Update {
    fn announce(&mut self, attributes: Arc<Attributes>, nlri: Vec<Nlri>) {
        self.announced.push(Announced { attributes, nlri });
    }
}

/// A fault that was found and does not end the session.
struct Found {
    code: u8,
    fault: Fault,
    rule: &'static Rule,
}

impl Found {
    fn new(code: u8, fault: Fault) -> Found {
        Found {
            code,
            fault,
            rule: rule(code, fault),
        }
    }

    /// `ORIGIN: wrong length: treat-as-withdraw (RFC 7606, section 7.1)`.
    fn text(&self) -> String {
        let (
            name,
            Rule {
                treatment, source, ..
            },
        ) = (code::name(self.code), self.rule);
        format!("{name}: {}: {treatment} ({source})", self.fault)
    }
}

/// The type codes that were there, one bit for each.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Seen([u64; 4]);

impl Seen {
    fn only(code: u8) -> Seen {
        let mut seen = Seen::default();
        seen.insert(code);
        seen
    }

    fn contains(self, code: u8) -> bool {
        self.0[usize::from(code >> 6)] & 1 << (code & 63) != 0
    }

    /// Whether it was not there before.
    fn insert(&mut self, code: u8) -> bool {
        let new = !self.contains(code);
        self.0[usize::from(code >> 6)] |= 1 << (code & 63);
        new
    }
}

/// What was read of the path attributes.
struct Reader<'a> {
    dialect: Dialect,
    seen: Seen,
    values: Values<'a>,
    reach: Option<Reach>,
    unreach: Option<Unreach>,
    faults: Vec<Found>,
}

impl<'a> Reader<'a> {
    fn new(dialect: Dialect) -> Reader<'a> {
        Reader {
            dialect,
            seen: Seen::default(),
            values: Values::new(dialect),
            reach: None,
            unreach: None,
            faults: Vec::new(),
        }
    }

    /// Reads all path attributes; an error ends the session.
    fn read(&mut self, mut rest: &'a [u8]) -> Result<(), Notification> {
        while !rest.is_empty() {
            let Some(raw) = Raw::split(&mut rest) else {
                // Where this attribute ends nobody knows, so it is the last one.
                let code = rest.get(1).copied().unwrap_or(0);
                return self.note(code, Fault::Overrun, rest);
            };
            if !self.seen.insert(raw.code) {
                self.note(raw.code, Fault::Repeated, raw.whole)?;
                continue;
            }
            let result = match self.dialect.has_no_say(raw.code) {
                Some(fault) => Err(fault),
                None if code::flags(raw.code).is_some_and(|flags| !raw.has_class(flags)) => {
                    Err(Fault::Flags)
                }
                None => self.attribute(raw),
            };
            if let Err(fault) = result {
                self.note(raw.code, fault, raw.whole)?;
            }
        }
        Ok(())
    }

    fn attribute(&mut self, raw: Raw<'a>) -> Result<(), Fault> {
        match raw.code {
            code::MP_REACH_NLRI => self.reach = Some(Reach::read(raw.value, self.dialect)?),
            code::MP_UNREACH_NLRI => self.unreach = Some(Unreach::read(raw.value, self.dialect)?),
            _ => self.values.read(raw)?,
        }
        Ok(())
    }

    /// Notes a fault of an attribute; an error if it ends the session.
    fn note(&mut self, code: u8, fault: Fault, attribute: &[u8]) -> Result<(), Notification> {
        let found = Found::new(code, fault);
        let subcode = found.rule.subcode;
        if found.rule.treatment == Treatment::Reset {
            // Which errors are told with the attribute: RFC 4271, section 6.3.
            let data = match subcode {
                1 | 10 | 11 => Bytes::new(),
                _ => Bytes::copy_from_slice(attribute),
            };
            return Err(Notification {
                data,
                ..Notification::new(3, subcode)
            });
        }
        self.faults.push(found);
        Ok(())
    }

    /// Puts together what was read; an error ends the session.
    fn finish(
        mut self,
        parts: &Parts<'_>,
        body: Vec<Nlri>,
        update: &mut Update,
    ) -> Result<(), Notification> {
        for &code in self.values.join_as4() {
            self.note(code, Fault::Outdated, &[])?;
        }
        let only_unreach = self.seen == Seen::only(code::MP_UNREACH_NLRI);
        if let Some(Unreach { family, nlri }) = &mut self.unreach {
            let empty = nlri.is_empty() && parts.withdrawn.is_empty() && parts.announced.is_empty();
            update.end_of_rib = (empty && only_unreach).then_some(*family);
            update.withdrawn.append(nlri);
        }
        self.expect(&body)?;
        self.faults
            .sort_by_key(|found| Reverse(found.rule.treatment));
        update.malformed.extend(self.faults.iter().map(Found::text));
        let strongest = self.faults.first().map(|found| found.rule.treatment);
        if strongest != Some(Treatment::Withdraw) {
            self.usable(body, update);
            return Ok(());
        }
        let unread = self.seen.contains(code::MP_REACH_NLRI) && self.reach.is_none();
        let reached = self
            .reach
            .as_ref()
            .is_some_and(|reach| !reach.nlri.is_empty());
        if parts.announced.is_empty() && !unread && !reached && !only_unreach {
            return Err(Notification::new(
                3,
                rule(MESSAGE, Fault::NoPrefixes).subcode,
            ));
        }
        self.unusable(body, update);
        Ok(())
    }

    /// What must be there if there are prefixes, and next hops that are some.
    fn expect(&mut self, body: &[Nlri]) -> Result<(), Notification> {
        if body.is_empty() && self.reach.is_none() {
            return Ok(());
        }
        for code in [code::ORIGIN, code::AS_PATH, code::NEXT_HOP] {
            // NEXT_HOP is that of the body's prefixes alone (RFC 4760, section 3).
            if !self.seen.contains(code) && (code != code::NEXT_HOP || !body.is_empty()) {
                self.note(code, Fault::Missing, &[])?;
            }
        }
        let of_body = self.values.next_hop.filter(|_| !body.is_empty());
        if of_body.is_some_and(|address| !is_usable(address.into())) {
            self.note(code::NEXT_HOP, Fault::NextHop, &[])?;
        }
        let of_reach = self.reach.as_ref().map(|reach| reach.next_hop);
        if of_reach.is_some_and(|address| !is_usable(address)) {
            self.note(code::MP_REACH_NLRI, Fault::NextHop, &[])?;
        }
        Ok(())
    }

    fn usable(self, body: Vec<Nlri>, update: &mut Update) {
        let reach = self.reach.filter(|reach| !reach.nlri.is_empty());
        let next_hop = self.values.next_hop.filter(|_| !body.is_empty());
        let mut set = self.values.set;
        if let Some(next_hop) = next_hop {
            set.next_hop = next_hop.into();
            if let Some(reach) = reach {
                update.announce(Arc::new(set.clone()), body);
                update.announce(Arc::new(reach.attributes(set)), reach.nlri);
            } else {
                update.announce(Arc::new(set), body);
            }
        } else if let Some(reach) = reach {
            update.announce(Arc::new(reach.attributes(set)), reach.nlri);
        }
    }

    fn unusable(self, body: Vec<Nlri>, update: &mut Update) {
        let mut nlri = body;
        nlri.extend(self.reach.into_iter().flat_map(|reach| reach.nlri));
        if nlri.is_empty() {
            return;
        }
        let as_set = self.faults.iter().any(|found| found.fault == Fault::AsSet);
        update.unusable = Some(Unusable {
            nlri,
            reason: if as_set { AS_SET } else { MALFORMED },
            as_path: self.values.as_path_text(),
            communities: self.values.set.community_texts(),
        });
    }
}
