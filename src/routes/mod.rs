//! Routes from files: what collectors and routers write about a BGP session, read into the tables of its sessions.
//!
//! | form | where it comes from |
//! |---|---|
//! | `mrt` | MRT dumps (RFC 6396, RFC 8050): tables and recorded messages |
//! | `bmp` | BMP as a collector stores it (RFC 7854, RFC 8671, RFC 9069) |
//! | `frr` | JSON of FRR's `show bgp ipv4 unicast …` |
//! | `birdwatcher` | JSON of birdwatcher and Alice |
//! | `bird` | text of `birdc show route all` |
//! | `record` | `record.jsonl` of a run of peerlab |
//!
//! UPDATEs and attributes are read by the code that reads them in a lab, so that a route means the same in both.
//! Registered and Peering Service prefixes are IPv4, so IPv6 is passed over, and that is said. [`place::place`] then gives the tables to the connections of a topology, and [`judge`] judges prefixes by them.
//!
//! **Invariant:** bytes in, values out: no clock, no I/O; whatever the bytes are, memory is bounded by their number.

mod bird;
mod birdwatcher;
mod bmp;
mod bytes;

mod frr;
pub mod judge;
mod mrt;
pub mod place;
mod record;
mod tables;
#[cfg(test)]
mod tests;
mod update;
mod words;

use std::fmt;

pub use tables::{Direction, Dump, Session, Table};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// MRT: TABLE_DUMP, TABLE_DUMP_V2, BGP4MP.
    Mrt,
    /// A stream of BMP messages.
    Bmp,
    /// FRR's JSON.
    Frr,
    /// JSON of birdwatcher or Alice.
    Birdwatcher,
    /// Text of `birdc show route all`.
    Bird,
    /// A record of peerlab.
    Record,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Mrt => "MRT",
            Format::Bmp => "BMP",
            Format::Frr => "FRR's JSON",
            Format::Birdwatcher => "birdwatcher's JSON",
            Format::Bird => "text of birdc",
            Format::Record => "a record of peerlab",
        })
    }
}

/// Failed to read routes. Fits "failed to …", with the file's name to follow.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No form fits.
    #[error(
        "tell what this file is: it is neither MRT, nor BMP, nor JSON of FRR or birdwatcher, nor `birdc show route all`, \
         nor a record; --format says which it is"
    )]
    Unrecognised,
    /// It is compressed.
    #[error("read compressed data: decompress it first, for example with `{0}`")]
    Compressed(&'static str),
    /// It is a capture of packets.
    #[error(
        "read captured packets: take the BMP stream out first, for example with `tshark -r FILE -q -z follow,tcp,raw,0 \
         | sed -n 's/^\\t*\\([0-9a-f]*\\)$/\\1/p' | xxd -r -p`"
    )]
    Packets,
    /// The text form has no attributes.
    #[error("find attributes in this text: use `{0}`")]
    Short(&'static str),
    /// The bytes are not what the form says.
    #[error("read it as {format}: at byte {offset}: {fault}")]
    Bytes {
        /// The form.
        format: Format,
        /// Where, from the beginning of the file.
        offset: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// A line is not what the form says.
    #[error("read it as {format}: at line {line}: {what}")]
    Line {
        /// The form.
        format: Format,
        /// Which, counted from 1.
        line: usize,
        /// What is wrong, in words.
        what: String,
    },
    /// The JSON is damaged, or not of this kind.
    #[error("read it as {format}: {source}")]
    Json {
        /// The form.
        format: Format,
        /// What is wrong, and the line and column.
        source: serde_json::Error,
    },
    /// JSON, but not of a kind that has routes.
    #[error("find routes in this JSON: {0}")]
    NoRoutes(&'static str),
    /// The record cannot be read.
    #[error("{0}")]
    Record(#[from] crate::record::LinesError),
}

/// What is wrong with bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Fewer bytes than it takes.
    #[error("{what} ends early")]
    Short {
        /// What was being read.
        what: &'static str,
    },
    /// A number that cannot be.
    #[error("{what} is {value}")]
    Value {
        /// What was being read.
        what: &'static str,
        /// What it was.
        value: u64,
    },
}

/// What a form is, from its first bytes.
///
/// # Errors
/// When it is none, or one that must be unpacked before.
pub fn detect(bytes: &[u8]) -> Result<Format, ReadError> {
    let packed: [(&[u8], &str); 4] = [
        (&[0x1f, 0x8b], "gunzip"),
        (b"BZh", "bunzip2"),
        (&[0xfd, b'7', b'z', b'X', b'Z'], "unxz"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "unzstd"),
    ];
    for (magic, command) in packed {
        if bytes.starts_with(magic) {
            return Err(ReadError::Compressed(command));
        }
    }
    let captures = [
        0xa1b2_c3d4_u32,
        0xd4c3_b2a1,
        0xa1b2_3c4d,
        0x4d3c_b2a1,
        0x0a0d_0d0a,
    ];
    let first = bytes.first_chunk().copied().map(u32::from_be_bytes);
    if first.is_some_and(|first| captures.contains(&first)) {
        return Err(ReadError::Packets);
    }
    let text = bytes.trim_ascii_start();
    if text.first() == Some(&b'{') {
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or(text);
        return Ok(match () {
            () if contains(line, b"\"fact\":") => Format::Record,
            () if birdwatcher::is_it(text) => Format::Birdwatcher,
            () => Format::Frr,
        });
    }
    match bytes {
        _ if mrt::is_it(bytes) => Ok(Format::Mrt),
        _ if bmp::is_it(bytes) => Ok(Format::Bmp),
        _ if bird::is_it(bytes) => Ok(Format::Bird),
        _ if frr::is_text(bytes) => Err(ReadError::Short("show bgp ipv4 unicast detail json")),
        _ => Err(ReadError::Unrecognised),
    }
}

/// The tables in these bytes. Of sessions that are not `wanted` the routes are only counted.
///
/// # Errors
/// When the bytes are not of this form.
pub fn read(
    bytes: &[u8],
    format: Format,
    wanted: &dyn Fn(&Session) -> bool,
) -> Result<Dump, ReadError> {
    match format {
        Format::Mrt => mrt::read(bytes, wanted),
        Format::Bmp => bmp::read(bytes, wanted),
        Format::Frr => frr::read(bytes, wanted),
        Format::Birdwatcher => birdwatcher::read(bytes, wanted),
        Format::Bird => bird::read(bytes, wanted),
        Format::Record => record::read(bytes, wanted),
    }
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}
