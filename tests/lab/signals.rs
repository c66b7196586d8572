//! Being asked to end, in every phase: a word, exit number 4, a clean end soon.

use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::{Signal, killpg};

use crate::left::Outside;
use crate::phases::{Begun, Lengths, PHASES, Phase, SCENARIO};
use crate::play::{BIRD, Someone, send};
use crate::scenarios::{no_bird, unless};

/// A person who presses Ctrl-C does not wait longer.
const SOON: Duration = Duration::from_secs(3);
/// By now a run that was over when the signal came has ended.
const OVER: Duration = Duration::from_millis(300);

/// From whom a signal comes.
#[derive(Debug, Clone, Copy)]
enum From {
    /// `kill`, which sends it to the process the user sees.
    Kill,
    /// A terminal, which sends it to all processes of the group.
    Terminal,
}

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
    let lengths = Lengths::measure(arguments)?;
    let before = Outside::now();
    for phase in PHASES {
        for from in [From::Kill, From::Terminal] {
            for signal in [Signal::SIGINT, Signal::SIGTERM] {
                let mut tries = 0;
                while !interrupt_once(arguments, &lengths, phase, signal, from, &before)? {
                    tries += 1;
                    if tries == 30 {
                        return Err(format!("all runs were over before {phase:?}").into());
                    }
                }
            }
        }
    }
    Ok(())
}

/// Whether the run was interrupted before it ended.
fn interrupt_once(
    arguments: &[&str],
    lengths: &Lengths,
    phase: Phase,
    signal: Signal,
    from: From,
    before: &Outside,
) -> Result<bool, Failed> {
    let mut begun = Begun::start(&Someone::present(), arguments)?;
    let mark = begun.run.mark().to_owned();
    // Before its first word there is nothing to end cleanly.
    let part = begun.reach(phase, lengths, true);
    let asked = Instant::now();
    match from {
        From::Kill => send(signal, begun.run.outer()),
        From::Terminal => drop(killpg(begun.run.outer(), signal)),
    }
    let ended = begun.run.end(SOON + Duration::from_secs(20))?;
    let took = asked.elapsed();
    let context = format!("{} from {from:?} {part:?} into {phase:?}", signal.as_str());
    println!("{context}: over after {took:?}");
    before.nothing_is_left(&mark)?;
    // All was told, and it had nothing left to do but to end.
    if matches!(ended.number(), Some(0 | 5)) && took < OVER {
        return Ok(false);
    }
    let number = format!("{context}: exit number 4");
    ended.check(ended.number() == Some(4), &number)?;
    ended.expect_words(&format!("the run was ended by {}", signal.as_str()))?;
    ended.check(took < SOON, &format!("{context}: an end within {SOON:?}"))?;
    Ok(true)
}
