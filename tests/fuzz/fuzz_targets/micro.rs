//! Frames that a member of a LAG receives for its micro BFD session (RFC 7130): any bytes, and what follows from them. Two
//! ends that hear each other's frames between those of the fuzzer stay within their bounds.
#![no_main]

use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use peerlab::bfd::{Config, Micro, MicroConfig, MicroInput, MicroOutput, Timers};
use peerlab::time::At;

fn end(local: [u8; 4], remote: [u8; 4], discriminator: u32) -> Micro {
    let timers = Timers::symmetric(Duration::from_millis(50), NonZeroU8::MIN);
    let discriminator = NonZeroU32::new(discriminator).expect("not 0");
    let mut micro = Micro::new(MicroConfig {
        session: Config::single_hop(discriminator, timers, 0),
        mac: [2, 0, 0, 0, 0, local[3]],
        local: IpAddr::from(local),
        remote: IpAddr::from(remote),
        port: 50_000,
    });
    micro.handle(At::ZERO, MicroInput::Wanted(true));
    micro
}

/// The frames an end wants sent.
fn sent(micro: &mut Micro) -> Vec<Vec<u8>> {
    let outputs: Vec<_> = std::iter::from_fn(|| micro.poll()).collect();
    assert!(outputs.len() < 20, "{outputs:?}");
    let frames = outputs.into_iter().filter_map(|output| match output {
        MicroOutput::Send(frame) => Some(frame),
        _ => None,
    });
    frames.collect()
}

fuzz_target!(|bytes: &[u8]| {
    let (ours, theirs) = ([192, 0, 2, 0], [192, 0, 2, 1]);
    let (mut near, mut far) = (end(ours, theirs, 1), end(theirs, ours, 2));
    // An octet says how long a frame is; two seconds are enough.
    let (mut rest, mut at) = (bytes, At::ZERO);
    for _ in 0..50 {
        let Some((&length, after)) = rest.split_first() else {
            return;
        };
        let (frame, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        near.handle(at, MicroInput::Frame { bytes: frame, at });
        for bytes in sent(&mut near) {
            far.handle(at, MicroInput::Frame { bytes: &bytes, at });
        }
        for bytes in sent(&mut far) {
            near.handle(at, MicroInput::Frame { bytes: &bytes, at });
        }
        at = at + Duration::from_millis(40);
        for micro in [&mut near, &mut far] {
            micro.handle(at, MicroInput::Timer { drained: at });
        }
    }
});
