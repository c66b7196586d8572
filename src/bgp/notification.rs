//! Why a session ends: the codes of NOTIFICATION messages (RFC 4271, section 4.5) in numbers and words.
//!
//! [`codes`] is the table of all that are known: what they are called, and when a session here sends them.
//!
//! **Invariant:** every code and subcode has a text, the unassigned ones too.

use std::fmt;

use bytes::Bytes;

use super::family::Family;
use codes::Known;

pub mod codes;

/// A NOTIFICATION message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Error code.
    pub code: u8,
    /// Error subcode.
    pub subcode: u8,
    /// Data, whose meaning depends on the codes.
    pub data: Bytes,
}

impl Notification {
    /// A notification without data.
    pub const fn new(code: u8, subcode: u8) -> Notification {
        Notification {
            code,
            subcode,
            data: Bytes::new(),
        }
    }

    /// Bad Message Length (RFC 4271, section 6.1), with the erroneous length.
    pub fn bad_length(length: u16) -> Notification {
        Notification {
            data: Bytes::copy_from_slice(&length.to_be_bytes()),
            ..Notification::new(1, 2)
        }
    }

    /// Cease / Administrative Shutdown with a text for people (RFC 9003), cut to 255 bytes at a character boundary.
    pub fn shutdown(text: &str) -> Notification {
        let mut end = text.len().min(255);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut data = vec![end as u8];
        data.extend_from_slice(&text.as_bytes()[..end]);
        Notification {
            data: data.into(),
            ..Notification::new(6, 2)
        }
    }

    /// Cease / Administrative Reset with a text for people, as [`Notification::shutdown`].
    pub fn reset(text: &str) -> Notification {
        Notification {
            subcode: 4,
            ..Notification::shutdown(text)
        }
    }

    /// Cease / Maximum Number of Prefixes Reached, with the family and its limit (RFC 4486, section 4).
    pub fn maximum_prefixes(family: Family, limit: u32) -> Notification {
        let mut data = family.afi().to_be_bytes().to_vec();
        data.push(family.safi());
        data.extend(limit.to_be_bytes());
        Notification {
            data: data.into(),
            ..Notification::new(6, 1)
        }
    }

    /// Whether it says that the neighbour brought too many routes.
    pub fn is_maximum_prefixes(&self) -> bool {
        (self.code, self.subcode) == (6, 1)
    }

    /// Cease / Hard Reset: what `reason` says, and nothing is to be kept (RFC 8538, section 3).
    pub fn hard_reset(reason: &Notification) -> Notification {
        let mut data = vec![reason.code, reason.subcode];
        data.extend_from_slice(&reason.data);
        Notification {
            data: data.into(),
            ..Notification::new(6, 9)
        }
    }

    /// What a Cease / Hard Reset says, if this is one.
    pub fn hard_reason(&self) -> Option<Notification> {
        if (self.code, self.subcode) != (6, 9) {
            return None;
        }
        let [code, subcode, ..] = self.data[..] else {
            return None;
        };
        Some(Notification {
            code,
            subcode,
            data: self.data.slice(2..),
        })
    }

    /// The text for people of a Cease / Administrative Shutdown or Reset (RFC 9003), if there is a valid one.
    pub fn communication(&self) -> Option<&str> {
        if self.code != 6 || !matches!(self.subcode, 2 | 4) {
            return None;
        }
        let (&length, text) = self.data.split_first()?;
        if length == 0 || text.len() != usize::from(length) {
            return None;
        }
        std::str::from_utf8(text).ok()
    }
}

impl fmt::Display for Notification {
    /// For example `Cease/administrative shutdown "maintenance"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, subcode) = (self.code, self.subcode);
        match code_text(code) {
            Some(text) => f.write_str(text)?,
            None => write!(f, "error code {code}")?,
        }
        match Known::of(code, subcode).map(|known| known.text) {
            Some("") => {}
            Some(text) => write!(f, "/{text}")?,
            None => write!(f, "/subcode {subcode}")?,
        }
        if let Some(text) = self.communication() {
            write!(f, " {text:?}")?;
        }
        match self.hard_reason() {
            // One in another is a malformed one.
            Some(reason) if reason.hard_reason().is_none() => write!(f, " ({reason})"),
            _ => Ok(()),
        }
    }
}

fn code_text(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "Message Header Error",
        2 => "OPEN Message Error",
        3 => "UPDATE Message Error",
        4 => "Hold Timer Expired",
        5 => "Finite State Machine Error",
        6 => "Cease",
        7 => "ROUTE-REFRESH Message Error", // RFC 7313
        8 => "Send Hold Timer Expired",     // RFC 9687
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let text = |code, subcode| Notification::new(code, subcode).to_string();
        assert_eq!(text(6, 2), "Cease/administrative shutdown");
        assert_eq!(text(6, 10), "Cease/BFD down");
        assert_eq!(text(2, 2), "OPEN Message Error/bad peer AS");
        assert_eq!(text(4, 0), "Hold Timer Expired");
        assert_eq!(text(6, 77), "Cease/subcode 77");
        assert_eq!(text(99, 3), "error code 99/subcode 3");
    }

    #[test]
    fn shutdown_communication_goes_there_and_back() {
        let n = Notification::shutdown("maintenance");
        assert_eq!(n.communication(), Some("maintenance"));
        assert_eq!(
            n.to_string(),
            "Cease/administrative shutdown \"maintenance\""
        );
        // A character that would be cut in two is left out whole.
        let long = "é".repeat(200);
        let length = |text: &str| Notification::shutdown(text).communication().map(str::len);
        assert_eq!(length(&long), Some(254));
        assert_eq!(length(&format!("x{long}")), Some(255));
        assert_eq!(Notification::shutdown("").communication(), None);
    }

    #[test]
    fn a_false_communication_is_not_shown() {
        for data in [&[5, b'a'][..], &[2, 0xff, 0xff], &[]] {
            let n = Notification {
                data: Bytes::copy_from_slice(data),
                ..Notification::new(6, 2)
            };
            assert_eq!(n.communication(), None);
        }
    }
}
