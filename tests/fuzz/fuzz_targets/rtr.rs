//! A stream of the RPKI to Router protocol (RFC 6810, RFC 8210), in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::registry::rtr::pdu::{self, Incoming};

fuzz_target!(|bytes: &[u8]| {
    let mut stream = Incoming::default();
    for piece in bytes.chunks(7) {
        stream.push(piece);
        loop {
            match stream.take() {
                Ok(Some((_, pdu))) => {
                    let _ = pdu::vrp(&pdu);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
