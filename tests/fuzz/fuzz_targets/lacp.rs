//! LACP and marker PDUs (IEEE 802.1AX, section 6.4): what is read is written again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::lacp::pdu;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = pdu::decode(bytes) {
        let frame = pdu::encode(&read, [2, 0, 0, 0, 0, 1]);
        assert_eq!(pdu::decode(&frame), Ok(read));
    }
});
