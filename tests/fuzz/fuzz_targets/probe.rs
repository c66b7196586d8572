//! Frames in which a tap looks for probe packets: what is found is written again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::probe::packet::Packet;

fuzz_target!(|bytes: &[u8]| {
    for packet in [Packet::in_frame(bytes), Packet::decode(bytes)]
        .into_iter()
        .flatten()
    {
        assert_eq!(Packet::decode(&packet.encode()), Some(packet));
    }
});
