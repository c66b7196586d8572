//! The files of a user: topology, profile, binding and scenario. Every mistake is drawn at its place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peerlab::source::{Diagnostics, Source};
use peerlab::{binding, scenario, topology};

fn draw<T>(result: Result<T, Diagnostics>) -> Option<T> {
    result.map_err(|mistakes| mistakes.to_string()).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // A scenario stands before the topology it is for.
    let (steps, text) = text.split_once("\n%%\n").unwrap_or(("", text));
    let source = Source::new("topology.toml", text);
    let topology = draw(topology::parse_kept(&source));
    draw(binding::parse(&source, topology.as_ref()));
    draw(topology::profile::parse(&source));
    draw(scenario::parse_kept(
        &Source::new("scenario.toml", steps),
        &source,
    ));
});
