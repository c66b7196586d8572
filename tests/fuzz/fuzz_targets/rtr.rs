//! A stream of the RPKI to Router protocol (RFC 6810, RFC 8210), in pieces: its PDUs, a client that hears it from a cache, and a
//! cache that hears it from a client.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use peerlab::registry::rtr::Intervals;
use peerlab::registry::rtr::cache::{Answer, Cache, Connection};
use peerlab::registry::rtr::client::{Client, Input, Output};
use peerlab::registry::rtr::pdu::{self, Incoming};
use peerlab::registry::vrps;
use peerlab::time::At;

/// A client always has something to wait for, and does a bounded number of things after each piece.
fn client(bytes: &[u8]) {
    let mut client = Client::default();
    let mut now = At::ZERO;
    client.handle(now, Input::Start);
    for piece in bytes.chunks(7) {
        let outputs: Vec<Output> = std::iter::from_fn(|| client.poll()).collect();
        assert!(outputs.len() < 20, "{outputs:?}");
        if outputs.contains(&Output::Connect) {
            client.handle(now, Input::Connected);
        }
        client.handle(now, Input::Bytes(piece));
        let due = client.deadline().expect("it is not stuck");
        if piece[0] & 0xf0 == 0xf0 {
            now = now.max(due) + Duration::from_millis(1);
            client.handle(now, Input::Deadline);
        }
    }
}

fn cache(bytes: &[u8]) {
    let roas = r#"{"roas": [{"asn": "AS64500", "prefix": "198.51.100.0/24", "maxLength": 24}]}"#;
    let table = Arc::new(vrps::read(roas).expect("a file"));
    let cache = Cache::new(7, table, Intervals::REHEARSAL);
    let mut connection = Connection::default();
    for piece in bytes.chunks(7) {
        connection.push(piece);
        while let Some(answer) = connection.answer(&cache) {
            if !matches!(answer, Answer::Send(_)) {
                return;
            }
            assert!(connection.asked().is_some_and(|asked| asked.len() < 200));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    client(bytes);
    cache(bytes);
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
