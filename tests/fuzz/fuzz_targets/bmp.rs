//! A stream of the BGP Monitoring Protocol (RFC 7854, RFC 8671, RFC 9069).
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::routes::{Format, read};

fuzz_target!(|bytes: &[u8]| {
    let _ = read(bytes, Format::Bmp, &|_| true);
});
