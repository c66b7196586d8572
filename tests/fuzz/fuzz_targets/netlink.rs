//! Datagrams of the kernel: messages cut out, answers and errors with their sentences, and what is followed of links, routes
//! and next hops.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::kernel::{carrier, netlink, watch};

fuzz_target!(|bytes: &[u8]| {
    netlink::fuzz(bytes);
    watch::fuzz(bytes);
    carrier::fuzz(bytes);
});
