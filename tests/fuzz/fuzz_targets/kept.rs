//! What a command and a lab that is kept say to each other, a line of JSON each, and the names and prefixes in command lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::kept::{Answer, Destination, Name, Request};

fuzz_target!(|bytes: &[u8]| {
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(request) = serde_json::from_slice::<Request>(line) {
            let text = serde_json::to_string(&request).expect("writable");
            assert_eq!(serde_json::from_str::<Request>(&text).ok(), Some(request));
        }
        if let Ok(answer) = serde_json::from_slice::<Answer>(line) {
            let text = serde_json::to_string(&answer).expect("writable");
            assert!(serde_json::from_str::<Answer>(&text).is_ok(), "{text}");
        }
        let Ok(text) = std::str::from_utf8(line) else {
            continue;
        };
        let _ = text.parse::<Name>();
        if let Ok(Destination::Prefix(prefix)) = text.parse() {
            assert_eq!(prefix, prefix.trunc());
        }
    }
});
