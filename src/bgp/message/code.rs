//! The path attributes we know: type codes, names, flags (RFC 4271, section 5, and the RFCs that added some).
//!
//! **Invariant:** an attribute has a flag of its own in [`flags`] exactly if its value is read.

use std::borrow::Cow;

/// Attribute flag: not well-known.
pub const OPTIONAL: u8 = 0x80;
/// Attribute flag: to be passed on.
pub const TRANSITIVE: u8 = 0x40;
/// Attribute flag: somebody on the way did not know it, or added it.
pub const PARTIAL: u8 = 0x20;
/// Attribute flag: the length has two octets. It says something about the encoding, not about the attribute.
pub const EXTENDED_LENGTH: u8 = 0x10;

/// Declares the attributes once: constants, names, and the flags each must have.
macro_rules! attributes {
    ($($name:ident = $code:literal, $flags:expr, $source:literal;)*) => {
        $(#[doc = concat!("`", stringify!($name), "` (", $source, ").")] pub const $name: u8 = $code;)*

        /// The Optional and Transitive flags an attribute must have; `None` if we do not know it.
        pub fn flags(code: u8) -> Option<u8> {
            match code {
                $($code => Some($flags),)*
                _ => None,
            }
        }

        /// The name of an attribute, as the RFCs write it: `MP_REACH_NLRI`, `attribute 99`; `UPDATE` for none.
        pub fn name(code: u8) -> Cow<'static, str> {
            Cow::Borrowed(match code {
                $($code => stringify!($name),)*
                super::faults::MESSAGE => "UPDATE",
                _ => return Cow::Owned(format!("attribute {code}")),
            })
        }
    };
}

const WELL_KNOWN: u8 = TRANSITIVE;
const OPTIONAL_TRANSITIVE: u8 = OPTIONAL | TRANSITIVE;

attributes! {
    ORIGIN = 1, WELL_KNOWN, "RFC 4271";
    AS_PATH = 2, WELL_KNOWN, "RFC 4271";
    NEXT_HOP = 3, WELL_KNOWN, "RFC 4271";
    MULTI_EXIT_DISC = 4, OPTIONAL, "RFC 4271";
    LOCAL_PREF = 5, WELL_KNOWN, "RFC 4271";
    ATOMIC_AGGREGATE = 6, WELL_KNOWN, "RFC 4271";
    AGGREGATOR = 7, OPTIONAL_TRANSITIVE, "RFC 4271";
    COMMUNITIES = 8, OPTIONAL_TRANSITIVE, "RFC 1997";
    ORIGINATOR_ID = 9, OPTIONAL, "RFC 4456";
    CLUSTER_LIST = 10, OPTIONAL, "RFC 4456";
    MP_REACH_NLRI = 14, OPTIONAL, "RFC 4760";
    MP_UNREACH_NLRI = 15, OPTIONAL, "RFC 4760";
    EXTENDED_COMMUNITIES = 16, OPTIONAL_TRANSITIVE, "RFC 4360";
    AS4_PATH = 17, OPTIONAL_TRANSITIVE, "RFC 6793";
    AS4_AGGREGATOR = 18, OPTIONAL_TRANSITIVE, "RFC 6793";
    IPV6_EXTENDED_COMMUNITIES = 25, OPTIONAL_TRANSITIVE, "RFC 5701";
    LARGE_COMMUNITIES = 32, OPTIONAL_TRANSITIVE, "RFC 8092";
    ONLY_TO_CUSTOMER = 35, OPTIONAL_TRANSITIVE, "RFC 9234";
}
