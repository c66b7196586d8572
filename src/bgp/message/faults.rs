//! What can be wrong with an UPDATE, and how it is treated: RFC 7606 as one table.
//!
//! The reader asks this table, `malformed-updates.md` beside it is printed from it, and the tests walk it: for every row they break
//! a good UPDATE in that way ([`malformed`](super::malformed)) and look at what becomes of it.
//!
//! **Invariant:** nothing else decides how an error is treated.

use std::fmt;

use super::code;

/// What is done about an error, from the weakest to the strongest (RFC 7606, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Treatment {
    /// The attribute is left out; the routes stay.
    Discard,
    /// The routes of the UPDATE count as withdrawn; the session stays.
    Withdraw,
    /// A NOTIFICATION ends the session. Also where RFC 7606 would allow to disable the address family alone.
    Reset,
}

impl fmt::Display for Treatment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Treatment::Discard => "attribute discard",
            Treatment::Withdraw => "treat-as-withdraw",
            Treatment::Reset => "session reset",
        })
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The lengths of the message's parts do not fit into it.
    Parts,
    /// The attribute does not end within the path attributes.
    Overrun,
    /// The Optional or Transitive flag contradicts the attribute's definition.
    Flags,
    /// The length is not one the attribute can have.
    Length,
    /// The value is not one the attribute can have.
    Value,
    /// AS path segments of unknown type, without members, or that do not add up to the attribute.
    Segments,
    /// An AS_CONFED_SEQUENCE: no neighbour here is in our confederation.
    Confederation,
    /// An AS_SET or AS_CONFED_SET.
    AsSet,
    /// AS number 0.
    AsZero,
    /// A mandatory attribute is not there.
    Missing,
    /// The attribute is there more than once.
    Repeated,
    /// Well-known, it claims, but not known.
    Unrecognized,
    /// From an external neighbour, who has no say in it.
    FromExternal,
    /// From a neighbour with four-octet AS numbers, who has no need of it.
    FromNewSpeaker,
    /// An AS4 attribute beside an AGGREGATOR that shows that somebody ignored it.
    Outdated,
    /// The next hop's length does not fit the address family.
    NextHopLength,
    /// No address a packet can be sent to.
    NextHop,
    /// Prefixes that do not read.
    Prefixes,
    /// An address family that was not negotiated.
    Family,
    /// An error that calls for treat-as-withdraw, but no prefixes that could be.
    NoPrefixes,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Parts => "lengths that exceed the message",
            Fault::Overrun => "runs over the end of the attributes",
            Fault::Flags => "wrong Optional or Transitive flag",
            Fault::Length => "wrong length",
            Fault::Value => "invalid value",
            Fault::Segments => "malformed segments",
            Fault::Confederation => "segment of a confederation",
            Fault::AsSet => "AS_SET or AS_CONFED_SET",
            Fault::AsZero => "AS number 0",
            Fault::Missing => "missing",
            Fault::Repeated => "repeated",
            Fault::Unrecognized => "well-known but not known",
            Fault::FromExternal => "from an external neighbour",
            Fault::FromNewSpeaker => "from a neighbour with four-octet AS numbers",
            Fault::Outdated => "contradicted by AGGREGATOR",
            Fault::NextHopLength => "next hop of a wrong length",
            Fault::NextHop => "next hop no packet can be sent to",
            Fault::Prefixes => "malformed prefixes",
            Fault::Family => "address family not negotiated",
            Fault::NoPrefixes => "no prefixes to treat as withdrawn",
        })
    }
}

/// Stands in the place of a type code for what is wrong with no attribute, but with the message.
pub const MESSAGE: u8 = 0;

/// One row: this fault in this attribute is treated so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Type code of the attribute, or [`MESSAGE`]; `None`: any other attribute.
    pub attribute: Option<u8>,
    /// What is wrong with it.
    pub fault: Fault,
    /// How it is treated.
    pub treatment: Treatment,
    /// UPDATE Message Error subcode (RFC 4271, section 6.3), told to the neighbour when the session ends.
    pub subcode: u8,
    /// Where it is written.
    pub source: &'static str,
}

const fn row(
    attribute: u8,
    fault: Fault,
    treatment: Treatment,
    subcode: u8,
    source: &'static str,
) -> Rule {
    Rule {
        attribute: Some(attribute),
        ..any(fault, treatment, subcode, source)
    }
}

const fn any(fault: Fault, treatment: Treatment, subcode: u8, source: &'static str) -> Rule {
    Rule {
        attribute: None,
        fault,
        treatment,
        subcode,
        source,
    }
}

use Fault as F;
use Treatment::{Discard, Reset, Withdraw};

/// All of it. The first row that fits counts.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    row(MESSAGE, F::Parts, Reset, 1, "RFC 4271, section 6.3"),
    row(MESSAGE, F::Prefixes, Reset, 10, "RFC 7606, section 5.3"),
    row(MESSAGE, F::NoPrefixes, Reset, 1, "RFC 7606, section 5.2"),
    row(MESSAGE, F::Family, Discard, 0, "RFC 4760, section 8"),
    any(F::Missing, Withdraw, 3, "RFC 7606, section 3.d"),
    any(F::Unrecognized, Reset, 2, "RFC 4271, section 6.3"),
    row(code::MP_REACH_NLRI, F::Overrun, Reset, 1, "RFC 7606, section 3.j"),
    row(code::MP_UNREACH_NLRI, F::Overrun, Reset, 1, "RFC 7606, section 3.j"),
    any(F::Overrun, Withdraw, 1, "RFC 7606, section 4"),
    row(code::MP_REACH_NLRI, F::Flags, Reset, 4, "RFC 7606, sections 3.j and 5.3"),
    row(code::MP_UNREACH_NLRI, F::Flags, Reset, 4, "RFC 7606, sections 3.j and 5.3"),
    any(F::Flags, Withdraw, 4, "RFC 7606, section 3.c"),
    row(code::MP_REACH_NLRI, F::Repeated, Reset, 1, "RFC 7606, section 3.g"),
    row(code::MP_UNREACH_NLRI, F::Repeated, Reset, 1, "RFC 7606, section 3.g"),
    any(F::Repeated, Discard, 1, "RFC 7606, section 3.g"),
    row(code::ORIGIN, F::Length, Withdraw, 5, "RFC 7606, section 7.1"),
    row(code::ORIGIN, F::Value, Withdraw, 6, "RFC 7606, section 7.1"),
    row(code::AS_PATH, F::Segments, Withdraw, 11, "RFC 7606, section 7.2"),
    row(code::AS_PATH, F::Confederation, Withdraw, 11, "RFC 7606, section 7.2; RFC 5065, section 5"),
    row(code::AS_PATH, F::AsSet, Withdraw, 11, "RFC 9774, section 3"),
    row(code::AS_PATH, F::AsZero, Withdraw, 11, "RFC 7607, section 2"),
    row(code::NEXT_HOP, F::Length, Withdraw, 5, "RFC 7606, section 7.3"),
    row(code::NEXT_HOP, F::NextHop, Withdraw, 8, "RFC 7606, section 7.3"),
    row(code::MULTI_EXIT_DISC, F::Length, Withdraw, 5, "RFC 7606, section 7.4"),
    row(code::LOCAL_PREF, F::FromExternal, Discard, 0, "RFC 7606, section 7.5"),
    row(code::LOCAL_PREF, F::Length, Withdraw, 5, "RFC 7606, section 7.5"),
    row(code::ATOMIC_AGGREGATE, F::Length, Discard, 5, "RFC 7606, section 7.6"),
    row(code::AGGREGATOR, F::Length, Discard, 5, "RFC 7606, section 7.7"),
    row(code::AGGREGATOR, F::AsZero, Discard, 9, "RFC 7607, section 2; RFC 7606, section 7.7"),
    row(code::COMMUNITIES, F::Length, Withdraw, 5, "RFC 7606, section 7.8"),
    row(code::ORIGINATOR_ID, F::FromExternal, Discard, 0, "RFC 7606, section 7.9"),
    row(code::ORIGINATOR_ID, F::Length, Withdraw, 5, "RFC 7606, section 7.9"),
    row(code::CLUSTER_LIST, F::FromExternal, Discard, 0, "RFC 7606, section 7.10"),
    row(code::CLUSTER_LIST, F::Length, Withdraw, 5, "RFC 7606, section 7.10"),
    row(code::MP_REACH_NLRI, F::Length, Reset, 5, "RFC 7606, section 7.11"),
    row(code::MP_REACH_NLRI, F::NextHopLength, Reset, 9, "RFC 7606, section 7.11"),
    row(code::MP_REACH_NLRI, F::NextHop, Withdraw, 8, "RFC 7606, section 7.3; RFC 2545, section 3"),
    row(code::MP_REACH_NLRI, F::Prefixes, Reset, 9, "RFC 7606, section 5.3; RFC 4760, section 7"),
    row(code::MP_REACH_NLRI, F::Family, Discard, 0, "RFC 4760, section 8"),
    row(code::MP_UNREACH_NLRI, F::Length, Reset, 5, "RFC 7606, section 7.12"),
    row(code::MP_UNREACH_NLRI, F::Prefixes, Reset, 9, "RFC 7606, section 5.3; RFC 4760, section 7"),
    row(code::MP_UNREACH_NLRI, F::Family, Discard, 0, "RFC 4760, section 8"),
    row(code::EXTENDED_COMMUNITIES, F::Length, Withdraw, 5, "RFC 7606, section 7.14"),
    row(code::AS4_PATH, F::Segments, Discard, 11, "RFC 6793, section 6"),
    row(code::AS4_PATH, F::AsSet, Withdraw, 11, "RFC 9774, section 3"),
    row(code::AS4_PATH, F::AsZero, Discard, 11, "RFC 7607, section 2; RFC 6793, section 6"),
    row(code::AS4_PATH, F::FromNewSpeaker, Discard, 0, "RFC 6793, section 4.1"),
    row(code::AS4_PATH, F::Outdated, Discard, 0, "RFC 6793, section 4.2.3"),
    row(code::AS4_AGGREGATOR, F::Length, Discard, 5, "RFC 6793, section 6"),
    row(code::AS4_AGGREGATOR, F::AsZero, Discard, 9, "RFC 7607, section 2; RFC 6793, section 6"),
    row(code::AS4_AGGREGATOR, F::FromNewSpeaker, Discard, 0, "RFC 6793, section 4.1"),
    row(code::AS4_AGGREGATOR, F::Outdated, Discard, 0, "RFC 6793, section 4.2.3"),
    row(code::IPV6_EXTENDED_COMMUNITIES, F::Length, Withdraw, 5, "RFC 7606, section 7.15"),
    row(code::LARGE_COMMUNITIES, F::Length, Withdraw, 5, "RFC 8092, section 6"),
    row(code::ONLY_TO_CUSTOMER, F::Length, Withdraw, 5, "RFC 9234, section 5"),
];

/// For a fault nobody thought of: what RFC 7606, section 8, advises for new attributes. The tests see that it is not needed.
const OTHERWISE: Rule = any(F::Value, Withdraw, 1, "RFC 7606, section 8");

/// The row for a fault in an attribute.
pub fn rule(attribute: u8, fault: Fault) -> &'static Rule {
    let fits =
        |rule: &&Rule| rule.fault == fault && rule.attribute.is_none_or(|code| code == attribute);
    RULES.iter().find(fits).unwrap_or(&OTHERWISE)
}
