//! Being asked to end, in every phase: a word, exit number 4, a clean end soon.

use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::{Signal, killpg};

use crate::left::Outside;
use crate::phases::{NAMES, Phases};
use crate::play::{BIRD, Someone, send};
use crate::scenarios::{no_bird, unless};

const SCENARIO: &str = "scenarios/bring-up.toml";
/// Of each signal in each phase.
const TIMES: usize = 2;
/// A person who presses Ctrl-C does not wait longer.
const SOON: Duration = Duration::from_secs(3);

pub fn trials() -> Vec<Trial> {
    let simulated = || interrupt(&["run", SCENARIO]);
    let bird = || interrupt(&["run", SCENARIO, "--binding", BIRD]);
    vec![
        Trial::test("signal::ends_cleanly_in_every_phase", simulated),
        unless(
            no_bird(),
            Trial::test("signal::ends_cleanly_in_every_phase::bird", bird),
        ),
    ]
}

fn interrupt(arguments: &[&str]) -> Result<(), Failed> {
    let phases = Phases::measure(arguments)?;
    let before = Outside::now();
    for phase in 0..NAMES.len() {
        for time in 0..TIMES {
            for signal in [Signal::SIGINT, Signal::SIGTERM] {
                // As from `kill`, and as from a terminal, which sends it to all processes of the group.
                let group = time % 2 == 1;
                while !interrupt_once(arguments, phases, phase, signal, group, &before)? {}
            }
        }
    }
    Ok(())
}

/// Whether the run was interrupted before it ended.
fn interrupt_once(
    arguments: &[&str],
    phases: Phases,
    phase: usize,
    signal: Signal,
    group: bool,
    before: &Outside,
) -> Result<bool, Failed> {
    let mut run = Someone::present().start(arguments)?;
    let mark = run.mark().to_owned();
    // Before its first word there is nothing to end cleanly.
    run.until_said("bring-up")?;
    let moment = phases.moment(phase);
    run.until_after(moment);
    let asked = Instant::now();
    if group {
        let _ = killpg(run.outer(), signal);
    } else {
        send(signal, run.outer());
    }
    let ended = run.end(SOON + Duration::from_secs(20))?;
    let took = asked.elapsed();
    let context = format!(
        "{} after {moment:?} ({}{})",
        signal.as_str(),
        NAMES[phase],
        if group { ", whole group" } else { "" }
    );
    println!("{context}: over after {took:?}");
    before.nothing_is_left(&mark)?;
    if matches!(ended.number(), Some(0 | 5)) && phase == NAMES.len() - 1 {
        return Ok(false);
    }
    ended.check(
        ended.number() == Some(4),
        &format!("{context}: exit number 4"),
    )?;
    ended.expect_words(signal.as_str())?;
    ended.check(took < SOON, &format!("{context}: an end within {SOON:?}"))?;
    Ok(true)
}
