//! BFD control packets (RFC 5880): what is read is written again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::bfd::Packet;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = Packet::decode(bytes) {
        assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
    }
});
