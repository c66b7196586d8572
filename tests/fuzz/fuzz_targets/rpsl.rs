//! Objects of a routing registry (RFC 2622, RFC 4012), and what is asked about them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::registry::irr::Irr;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (irr, _) = Irr::read(&text);
    for object in irr.objects() {
        let _ = irr.expand_as_set(&object.key());
        let _ = object.source();
    }
});
