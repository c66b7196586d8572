//! LACP and marker PDUs (IEEE 802.1AX, section 6.4): what is read is written again as it was, and a LAG takes any frames.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use peerlab::lacp::lag::{Input, Lag, LagConfig};
use peerlab::lacp::pdu;
use peerlab::lacp::port::PortConfig;
use peerlab::time::At;

/// A LAG of two ports hears a frame on one, then on the other, again and again.
fn heard(bytes: &[u8]) {
    let port = |number: u16| PortConfig {
        mac: [2, 0, 0, 0, 1, number as u8],
        number,
        priority: 1,
    };
    let mut lag = Lag::new(&LagConfig {
        system: [2, 0, 0, 0, 0, 1],
        system_priority: 1,
        key: 1,
        fast: true,
        active: true,
        min_links: 1,
        aggregate_wait: Duration::ZERO,
        ports: vec![port(1), port(2)],
    })
    .expect("a good LAG");
    for step in 0..8 {
        let (at, port) = (At::from_millis(step * 700), step as usize % 2);
        lag.handle(at, Input::Light { port, up: true });
        lag.handle(at, Input::Frame { port, bytes });
        lag.handle(at, Input::Tick);
        // A frame causes a bounded number of outputs.
        assert!(std::iter::from_fn(|| lag.poll()).count() < 40);
        assert!(lag.deadline().is_none_or(|due| due >= at));
    }
}

fuzz_target!(|bytes: &[u8]| {
    heard(bytes);
    if let Ok(read) = pdu::decode(bytes) {
        let frame = pdu::encode(&read, [2, 0, 0, 0, 0, 1]);
        assert_eq!(pdu::decode(&frame), Ok(read));
    }
});
