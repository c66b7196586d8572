//! What the outside of user-mode Linux and its init tell each other: what is understood is said again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::kernel::uml::wire::{FromGuest, Job, ToGuest};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = String::new();
    for line in text.lines() {
        let to = ToGuest::parse(line);
        assert_eq!(ToGuest::parse(&to.line()), to);
        if let ToGuest::Part(part) = to {
            parts += &part;
        }
        let from = FromGuest::parse(line);
        assert_eq!(FromGuest::parse(&from.line()), from);
    }
    if let Some(job) = Job::parse(&parts) {
        let again = job.lines().into_iter().filter_map(|line| match line {
            ToGuest::Part(part) => Some(part),
            _ => None,
        });
        assert_eq!(Job::parse(&again.collect::<String>()), Some(job));
    }
});
