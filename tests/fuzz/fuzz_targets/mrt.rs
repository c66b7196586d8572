//! MRT dumps (RFC 6396, RFC 8050).
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::routes::{Format, read};

fuzz_target!(|bytes: &[u8]| {
    let _ = read(bytes, Format::Mrt, &|_| true);
});
