//! What a registry answers (IRRd's form and whois), what follows from it, and what it is asked when it is ours.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::registry::irr::Irr;
use peerlab::registry::irr_live::answer::Conversation;
use peerlab::registry::irr_live::question::Asking;
use peerlab::registry::irr_live::wire::{Replies, Reply, whois};
use peerlab::registry::irr_live::{Dialect, Questions};

/// Asks a registry that answers so.
fn ask(dialect: Dialect, answers: &[Reply]) {
    let mut asking = Asking::new(
        dialect,
        &Questions {
            asns: [64500].into(),
            prefixes: ["198.51.100.0/24".parse().expect("a prefix")].into(),
            as_sets: ["AS-EXAMPLE".to_owned()].into(),
        },
    );
    for answer in answers {
        let Some(query) = asking.poll() else { break };
        assert!(query.line(dialect).lines().count() == 1, "{query:?}");
        asking.take(&query, answer);
    }
    let (_, notes) = asking.finish();
    assert!(notes.len() <= 21, "{notes:?}");
}

fuzz_target!(|bytes: &[u8]| {
    let mut replies = Replies::default();
    let mut answers = Vec::new();
    for piece in bytes.chunks(11) {
        replies.push(piece);
        while let Ok(Some(reply)) = replies.take() {
            answers.push(reply);
        }
    }
    ask(Dialect::Irrd, &answers);
    let text = String::from_utf8_lossy(bytes);
    let answers: Vec<Reply> = text.split("\n%%\n").map(whois).collect();
    ask(Dialect::Whois, &answers);
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
