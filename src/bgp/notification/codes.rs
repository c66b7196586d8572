//! The codes and subcodes of NOTIFICATIONs that IANA knows, as one table: their words, and when a session here sends them.
//!
//! What is shown of a NOTIFICATION comes from this table, `codes.md` beside it is printed from it, and the tests walk it
//! (`session/tests/notifications.rs`): for every row that says when, they bring that about and look at what is sent; of the others they
//! see that nothing brings them about.
//!
//! **Invariant:** what is sent of our own accord is in here with the reason.

/// A code with a subcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Error code.
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// The subcode in the registry's words, in lower case; empty where the code says it all.
    pub text: &'static str,
    /// Where it is written.
    pub source: &'static str,
    /// When it is sent, if ever. It is shown whoever sent it.
    pub sent: Sent,
}

/// When a session sends a NOTIFICATION of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Then.
    When(&'static str),
    /// Never, for this reason.
    Never(&'static str),
}

use Sent::{Never, When};

impl Known {
    /// The row of a code and subcode, if there is one.
    pub fn of(code: u8, subcode: u8) -> Option<&'static Known> {
        let mut all = KNOWN.iter();
        all.find(|known| (known.code, known.subcode) == (code, subcode))
    }
}

const fn row(code: u8, subcode: u8, text: &'static str, source: &'static str, sent: Sent) -> Known {
    Known {
        code,
        subcode,
        text,
        source,
        sent,
    }
}

/// All of them.
#[rustfmt::skip]
pub const KNOWN: &[Known] = &[
    row(1, 0, "", "RFC 4271, section 4.5", Never("every fault of a header has a subcode of its own")),
    row(1, 1, "connection not synchronized", "RFC 4271, section 6.1", When("a marker is not all ones")),
    row(1, 2, "bad message length", "RFC 4271, section 6.1", When("a message of this type cannot be so long")),
    row(1, 3, "bad message type", "RFC 4271, section 6.1", When("the type is not known")),
    row(2, 0, "", "RFC 4271, section 6.2", When("an optional parameter does not read")),
    row(2, 1, "unsupported version number", "RFC 4271, section 6.2", When("the version is not 4")),
    row(2, 2, "bad peer AS", "RFC 4271, section 6.2", When("the AS number is not the one configured")),
    row(2, 3, "bad BGP identifier", "RFC 6286, section 2.2", When("the identifier is 0.0.0.0, or inside an AS ours")),
    row(2, 4, "unsupported optional parameter", "RFC 4271, section 6.2", When("a parameter is not a list of capabilities")),
    row(2, 5, "authentication failure", "RFC 4271, appendix A", Never("deprecated, and nothing in an OPEN is authenticated")),
    row(2, 6, "unacceptable hold time", "RFC 4271, section 6.2", When("it is 1 s or 2 s, or less than `minimum-hold`")),
    row(2, 7, "unsupported capability", "RFC 5492, section 5", When("no family is common, or one of `require-families` is missing")),
    row(2, 11, "role mismatch", "RFC 9234, section 4.2", When("the roles do not fit, or with `require-role` there is none")),
    row(3, 0, "", "RFC 4271, section 4.5", Never("every fault of an UPDATE has a subcode of its own")),
    row(3, 1, "malformed attribute list", "RFC 4271, section 6.3", When("see malformed-updates.md")),
    row(3, 2, "unrecognized well-known attribute", "RFC 4271, section 6.3", When("see malformed-updates.md")),
    row(3, 3, "missing well-known attribute", "RFC 4271, section 6.3", Never("treated as withdrawn (RFC 7606, section 3.d)")),
    row(3, 4, "attribute flags error", "RFC 4271, section 6.3", When("of MP_REACH_NLRI and MP_UNREACH_NLRI")),
    row(3, 5, "attribute length error", "RFC 4271, section 6.3", When("of MP_REACH_NLRI and MP_UNREACH_NLRI")),
    row(3, 6, "invalid ORIGIN attribute", "RFC 4271, section 6.3", Never("treated as withdrawn (RFC 7606, section 7.1)")),
    row(3, 7, "AS routing loop", "RFC 4271, appendix A", Never("deprecated, and such a route is not used")),
    row(3, 8, "invalid NEXT_HOP attribute", "RFC 4271, section 6.3", Never("treated as withdrawn (RFC 7606, section 7.3)")),
    row(3, 9, "optional attribute error", "RFC 4760, section 7", When("next hop or prefixes of MP_REACH_NLRI do not read, or prefixes of MP_UNREACH_NLRI")),
    row(3, 10, "invalid network field", "RFC 4271, section 6.3", When("prefixes of the message itself do not read")),
    row(3, 11, "malformed AS_PATH", "RFC 4271, section 6.3", Never("treated as withdrawn (RFC 7606, section 7.2)")),
    row(4, 0, "", "RFC 4271, section 6.5", When("nothing was heard for the hold time, or no OPEN for `open-hold`")),
    row(5, 0, "", "RFC 6608, section 3", Never("no timer runs in a state in which it has no place")),
    row(5, 1, "unexpected message in OpenSent", "RFC 6608, section 3", When("any but OPEN and NOTIFICATION comes first")),
    row(5, 2, "unexpected message in OpenConfirm", "RFC 6608, section 3", When("any but KEEPALIVE and NOTIFICATION follows the OPEN")),
    row(5, 3, "unexpected message in Established", "RFC 6608, section 3", When("a second OPEN comes")),
    row(6, 0, "", "RFC 4271, section 6.7", Never("every reason has a subcode of its own")),
    row(6, 1, "maximum number of prefixes reached", "RFC 4486, section 4", When("more routes of a family came than `maximum-prefixes`")),
    row(6, 2, "administrative shutdown", "RFC 9003, section 2", When("the session is shut down by hand, or with its router")),
    row(6, 3, "peer de-configured", "RFC 4486, section 4", Never("no session is taken out of the configuration of a router that runs")),
    row(6, 4, "administrative reset", "RFC 9003, section 2", When("the session is reset by hand")),
    row(6, 5, "connection rejected", "RFC 4486, section 4", When("the neighbour connects to a session that is shut down, or was ended for what it brought")),
    row(6, 6, "other configuration change", "RFC 4486, section 4", Never("policies change without a reset, and nothing else does")),
    row(6, 7, "connection collision resolution", "RFC 4486, section 4", When("the other connection is kept")),
    row(6, 8, "out of resources", "RFC 4486, section 4", When("the router's memory is used up, most of it by this session")),
    row(6, 9, "hard reset", "RFC 8538, section 3", When("the neighbour would keep routes that are not to be kept")),
    row(6, 10, "BFD down", "RFC 9384, section 3", When("BFD goes down, or `bfd-hold` is over before it is up")),
    row(7, 0, "", "RFC 7313, section 5", Never("reserved")),
    row(7, 1, "invalid message length", "RFC 7313, section 5", When("a mark around a refresh is too long or too short")),
    row(8, 0, "", "RFC 9687, section 4.2", When("the neighbour took nothing for `send-hold`")),
];

#[cfg(test)]
mod tests;
