//! PDUs of both versions, cut from a stream of bytes.
//!
//! Version 0 differs in two places alone: End of Data has no intervals (RFC 6810, section 5.8), and there is no Router
//! Key. Everything else goes through the library as version 1.

use std::fmt;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use rustbgpd_rpki::rtr_codec::RtrPdu as Pdu;
use rustbgpd_rpki::rtr_codec::{RtrDecodeError, RtrEncodeError};

use super::Intervals;
use crate::bgp::origin_validation::Vrp;

/// The longest PDU that is taken. The longest in use, a Router Key, has some hundred bytes.
const LONGEST: usize = 64 * 1024;
const HEADER: usize = 8;
const END_OF_DATA: u8 = 7;
const ROUTER_KEY: u8 = 9;
const ERROR_REPORT: u8 = 10;
/// Bytes of a PDU that are sent back in an Error Report.
const SHOWN: usize = 64;

/// Protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 6810.
    V0,
    /// RFC 8210.
    V1,
}

impl Version {
    /// The version field.
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {}", self.number())
    }
}

/// Error codes (RFC 8210, section 12). All but [`ErrorCode::NoDataAvailable`] end the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub enum ErrorCode {
    CorruptData = 0,
    InternalError = 1,
    NoDataAvailable = 2,
    InvalidRequest = 3,
    UnsupportedProtocolVersion = 4,
    UnsupportedPduType = 5,
    WithdrawalOfUnknownRecord = 6,
    DuplicateAnnouncement = 7,
    UnexpectedProtocolVersion = 8,
}

/// What is wrong with bytes that came, or with a PDU where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What the sender is told.
    pub code: ErrorCode,
    /// In words.
    pub text: String,
    /// The start of what came.
    pub pdu: Vec<u8>,
    /// Whether it was an Error Report, which is never answered with another (RFC 8210, section 5.11).
    pub of_error_report: bool,
}

impl Fault {
    /// A fault of a PDU that could be read.
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Fault {
        Fault {
            code,
            text: text.into(),
            pdu: Vec::new(),
            of_error_report: false,
        }
    }

    /// The Error Report about it.
    pub fn report(&self) -> Pdu {
        Pdu::ErrorReport {
            code: self.code as u16,
            pdu: self.pdu.clone(),
            text: self.text.clone(),
        }
    }
}

/// Bytes that came and are not yet a whole PDU.
///
/// Holds at most one PDU more than what was pushed since the last `None` of [`Incoming::take`].
#[derive(Debug, Default)]
pub struct Incoming {
    buffer: Vec<u8>,
    taken: usize,
}

impl Incoming {
    /// Adds bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole PDU and its version; Router Keys are skipped. After a fault the stream cannot be read on.
    pub fn take(&mut self) -> Result<Option<(Version, Pdu)>, Fault> {
        loop {
            let bytes = &mut self.buffer[self.taken..];
            let Some(length) = Pdu::peek_length(bytes) else {
                return Ok(None);
            };
            let length = length as usize;
            let shown = bytes[..bytes.len().min(length).min(SHOWN)].to_vec();
            let kind = bytes[1];
            let fault = |code, text: String| Fault {
                code,
                text,
                pdu: shown.clone(),
                of_error_report: kind == ERROR_REPORT,
            };
            let version = match bytes[0] {
                0 => Version::V0,
                1 => Version::V1,
                other => {
                    let text = format!("version {other} is not spoken here, 0 and 1 are");
                    return Err(fault(ErrorCode::UnsupportedProtocolVersion, text));
                }
            };
            if !(HEADER..=LONGEST).contains(&length) {
                let text = format!("a PDU of {length} bytes");
                return Err(fault(ErrorCode::CorruptData, text));
            }
            let Some(pdu) = bytes.get_mut(..length) else {
                return Ok(None);
            };
            self.taken += length;
            match (version, kind, length) {
                (Version::V1, ROUTER_KEY, _) => continue,
                (Version::V0, END_OF_DATA, 12) => {
                    return Ok(Some((version, end_of_data(pdu))));
                }
                (Version::V0, END_OF_DATA, _) => {
                    let text = format!("End of Data of {length} bytes in version 0");
                    return Err(fault(ErrorCode::CorruptData, text));
                }
                _ => pdu[0] = Version::V1.number(),
            }
            return match Pdu::decode(pdu) {
                Ok((pdu, _)) => Ok(Some((version, pdu))),
                Err(RtrDecodeError::InvalidType(kind)) => {
                    let text = format!("PDU type {kind} is not known in {version}");
                    Err(fault(ErrorCode::UnsupportedPduType, text))
                }
                Err(error) => Err(fault(ErrorCode::CorruptData, error.to_string())),
            };
        }
    }
}

/// End of Data of version 0, of 12 bytes.
fn end_of_data(pdu: &[u8]) -> Pdu {
    let seconds = |interval: std::time::Duration| interval.as_secs() as u32;
    Pdu::EndOfData {
        session_id: u16::from_be_bytes([pdu[2], pdu[3]]),
        serial: u32::from_be_bytes([pdu[8], pdu[9], pdu[10], pdu[11]]),
        refresh: seconds(Intervals::DEFAULT.refresh),
        retry: seconds(Intervals::DEFAULT.retry),
        expire: seconds(Intervals::DEFAULT.expire),
    }
}

/// Appends a PDU in its wire form.
pub fn write(out: &mut Vec<u8>, version: Version, pdu: &Pdu) {
    if let (
        Version::V0,
        Pdu::EndOfData {
            session_id, serial, ..
        },
    ) = (version, pdu)
    {
        out.extend([version.number(), END_OF_DATA]);
        out.extend(session_id.to_be_bytes());
        out.extend(12u32.to_be_bytes());
        out.extend(serial.to_be_bytes());
        return;
    }
    let written: Result<(), RtrEncodeError> = pdu.encode_with_version(out, version.number());
    written.expect("only texts of 4 GiB do not fit");
}

/// The PDU that announces or withdraws a VRP (RFC 8210, sections 5.6 and 5.7).
pub fn payload(vrp: &Vrp, announce: bool) -> Pdu {
    let (flags, max_len, asn) = (u8::from(announce), vrp.max_length, vrp.asn);
    match vrp.prefix {
        IpNet::V4(prefix) => Pdu::Ipv4Prefix {
            flags,
            prefix_len: prefix.prefix_len(),
            max_len,
            prefix: prefix.network(),
            asn,
        },
        IpNet::V6(prefix) => Pdu::Ipv6Prefix {
            flags,
            prefix_len: prefix.prefix_len(),
            max_len,
            prefix: prefix.network(),
            asn,
        },
    }
}

/// The VRP of a prefix PDU, and whether it is announced; `None` for other PDUs.
pub fn vrp(pdu: &Pdu) -> Option<(Vrp, bool)> {
    let (prefix, max_length, asn, flags): (IpNet, _, _, _) = match *pdu {
        Pdu::Ipv4Prefix {
            flags,
            prefix_len,
            max_len,
            prefix,
            asn,
        } => (
            Ipv4Net::new(prefix, prefix_len).ok()?.into(),
            max_len,
            asn,
            flags,
        ),
        Pdu::Ipv6Prefix {
            flags,
            prefix_len,
            max_len,
            prefix,
            asn,
        } => (
            Ipv6Net::new(prefix, prefix_len).ok()?.into(),
            max_len,
            asn,
            flags,
        ),
        _ => return None,
    };
    let vrp = Vrp {
        prefix,
        max_length,
        asn,
        trust_anchor: None,
    };
    Some((vrp, flags & 1 == 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(Version, Pdu)>, Fault> {
        let mut incoming = Incoming::default();
        incoming.push(bytes);
        std::iter::from_fn(|| incoming.take().transpose()).collect()
    }

    fn all() -> Vec<Pdu> {
        let vrp = |prefix: &str| Vrp {
            prefix: prefix.parse().expect("a prefix"),
            max_length: 32,
            asn: 64500,
            trust_anchor: None,
        };
        let end = Intervals::DEFAULT;
        vec![
            Pdu::SerialNotify {
                session_id: 7,
                serial: 1,
            },
            Pdu::SerialQuery {
                session_id: 7,
                serial: u32::MAX,
            },
            Pdu::ResetQuery,
            Pdu::CacheResponse { session_id: 7 },
            payload(&vrp("198.51.100.0/24"), true),
            payload(&vrp("2001:db8::/32"), false),
            Pdu::EndOfData {
                session_id: 7,
                serial: 3,
                refresh: end.refresh.as_secs() as u32,
                retry: end.retry.as_secs() as u32,
                expire: end.expire.as_secs() as u32,
            },
            Pdu::CacheReset,
            Fault::new(ErrorCode::NoDataAvailable, "none yet").report(),
        ]
    }

    #[test]
    fn both_versions_come_back_as_they_went_however_they_are_cut() {
        for version in [Version::V0, Version::V1] {
            let mut bytes = Vec::new();
            all().iter().for_each(|pdu| write(&mut bytes, version, pdu));
            let expected: Vec<_> = all().into_iter().map(|pdu| (version, pdu)).collect();
            assert_eq!(read(&bytes), Ok(expected.clone()));
            let mut incoming = Incoming::default();
            let mut found = Vec::new();
            for byte in bytes {
                incoming.push(&[byte]);
                found.extend(incoming.take().expect("no fault"));
            }
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_wrong_has_its_code() {
        use ErrorCode::{CorruptData, UnsupportedPduType, UnsupportedProtocolVersion};
        let cases: &[(&str, &[u8], ErrorCode)] = &[
            (
                "version 2",
                &[2, 2, 0, 0, 0, 0, 0, 8],
                UnsupportedProtocolVersion,
            ),
            (
                "shorter than a header",
                &[1, 2, 0, 0, 0, 0, 0, 7],
                CorruptData,
            ),
            ("4 GiB", &[1, 2, 0, 0, 255, 255, 255, 255], CorruptData),
            (
                "too long for its type",
                &[1, 2, 0, 0, 0, 0, 0, 9, 0],
                CorruptData,
            ),
            ("type 5", &[1, 5, 0, 0, 0, 0, 0, 8], UnsupportedPduType),
            (
                "a key in version 0",
                &[0, 9, 0, 0, 0, 0, 0, 8],
                UnsupportedPduType,
            ),
            (
                "ASPA in version 1",
                &[1, 11, 0, 0, 0, 0, 0, 12, 0, 0, 0, 1],
                UnsupportedPduType,
            ),
            (
                "prefix of 33 bits",
                &[
                    1, 4, 0, 0, 0, 0, 0, 20, 1, 33, 33, 0, 10, 0, 0, 0, 0, 0, 0, 1,
                ],
                CorruptData,
            ),
            (
                "maxLength below the length",
                &[
                    1, 4, 0, 0, 0, 0, 0, 20, 1, 24, 8, 0, 10, 0, 0, 0, 0, 0, 0, 1,
                ],
                CorruptData,
            ),
            (
                "intervals in version 0",
                &[
                    0, 7, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                ],
                CorruptData,
            ),
        ];
        for (what, bytes, code) in cases {
            let fault = read(bytes).expect_err(what);
            assert_eq!(fault.code, *code, "{what}: {}", fault.text);
        }
        let text_too_long = [1, 10, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 1];
        assert!(read(&text_too_long).expect_err("a fault").of_error_report);
        // A Router Key is none of our business.
        let mut bytes = vec![1, 9, 1, 0, 0, 0, 0, 12, 0, 0, 0, 0];
        write(&mut bytes, Version::V1, &Pdu::CacheReset);
        assert_eq!(read(&bytes), Ok(vec![(Version::V1, Pdu::CacheReset)]));
    }

    proptest! {
        #[test]
        fn nothing_hostile_panics_or_is_kept(chunks in proptest::collection::vec(
            proptest::collection::vec(prop_oneof![0u8..12, any::<u8>()], 0..64), 0..32
        )) {
            let mut incoming = Incoming::default();
            for chunk in chunks {
                incoming.push(&chunk);
                loop {
                    match incoming.take() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(fault) => {
                            prop_assert!(fault.pdu.len() <= SHOWN);
                            return Ok(());
                        }
                    }
                }
                prop_assert!(incoming.buffer.len() - incoming.taken < LONGEST);
            }
        }
    }
}
