//! What the line thread tells.

use std::time::{Duration, Instant};

use peerlab::record::{Entries, Fact};
use peerlab::time::At;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::Outcome;

/// A runtime that only waits.
pub fn waiting() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
}

/// Facts, one after another, until `done` or for a time; an error when they end.
pub fn hear(
    runtime: &Runtime,
    facts: &mut Entries,
    time: Duration,
    mut done: impl FnMut(&Fact, At) -> bool,
) -> Outcome<bool> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match runtime.block_on(async { timeout(left, facts.recv()).await }) {
            Ok(Some(entry)) if done(&entry.fact, entry.at) => return Ok(true),
            Ok(Some(_)) => {}
            Ok(None) => return Err("the line thread is gone".into()),
            Err(_) => return Ok(false),
        }
    }
}
