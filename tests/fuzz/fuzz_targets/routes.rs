//! Routes as daemons print them (FRR, birdwatcher, BIRD) and as a run of peerlab records them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::routes::{Format, detect, read};

fuzz_target!(|bytes: &[u8]| {
    let formats = [
        Format::Frr,
        Format::Birdwatcher,
        Format::Bird,
        Format::Record,
    ];
    for format in formats.into_iter().chain(detect(bytes)) {
        let _ = read(bytes, format, &|_| true);
    }
});
