//! What a registry answers (IRRd's form and whois), and what it is asked when it is ours.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::registry::irr::Irr;
use peerlab::registry::irr_live::answer::Conversation;
use peerlab::registry::irr_live::wire::{Replies, whois};

fuzz_target!(|bytes: &[u8]| {
    let mut replies = Replies::default();
    for piece in bytes.chunks(11) {
        replies.push(piece);
        while let Ok(Some(_)) = replies.take() {}
    }
    let text = String::from_utf8_lossy(bytes);
    let _ = whois(&text);
    // The first half is the registry, the other what is asked about it.
    let (registry, questions) = text.split_once("\n%%\n").unwrap_or(("", &text));
    let (irr, _) = Irr::read(registry);
    let mut conversation = Conversation::default();
    for line in questions.lines() {
        if !conversation.hear(&irr, line).more {
            break;
        }
    }
});
