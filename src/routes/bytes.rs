//! A cursor over bytes that knows where it is.

use std::net::Ipv4Addr;

use super::{Fault, Format, ReadError};

/// Bytes still to be read, and where they began in the file.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a> {
    rest: &'a [u8],
    offset: usize,
    format: Format,
}

impl<'a> Bytes<'a> {
    /// A whole file.
    pub fn new(bytes: &'a [u8], format: Format) -> Bytes<'a> {
        Bytes {
            rest: bytes,
            offset: 0,
            format,
        }
    }

    /// Where the next byte is in the file.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// An error at this place.
    pub fn fault(&self, fault: Fault) -> ReadError {
        ReadError::Bytes {
            format: self.format,
            offset: self.offset,
            fault,
        }
    }

    /// The next `count` bytes as a cursor of their own.
    pub fn take(&mut self, count: usize, what: &'static str) -> Result<Bytes<'a>, ReadError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.fault(Fault::Short { what }));
        };
        let offset = self.offset;
        self.rest = rest;
        self.offset += count;
        Ok(Bytes {
            rest: taken,
            offset,
            format: self.format,
        })
    }

    /// The next bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ReadError> {
        let taken = self.take(N, what)?;
        Ok(*taken.rest.first_chunk().expect("that many were taken"))
    }

    /// One octet.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, ReadError> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    /// Two octets.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, ReadError> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    /// Four octets.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, ReadError> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    /// An IPv4 address.
    pub fn ipv4(&mut self, what: &'static str) -> Result<Ipv4Addr, ReadError> {
        Ok(Ipv4Addr::from(self.array::<4>(what)?))
    }

    /// An address in 16 octets: IPv4 in the last four if `v6` is false (RFC 7854), else none of ours.
    pub fn wide(&mut self, v6: bool, what: &'static str) -> Result<Option<Ipv4Addr>, ReadError> {
        let wide = self.array::<16>(what)?;
        let [.., a, b, c, d] = wide;
        Ok((!v6).then(|| Ipv4Addr::new(a, b, c, d)))
    }
}
