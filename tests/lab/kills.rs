//! `kill -9` at random moments of every phase, of each of the three processes a lab hangs on.

use libtest_mimic::{Failed, Trial};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::left::Outside;
use crate::phases::{Begun, Lengths, PHASES, Phase, SCENARIO};
use crate::play::{BIRD, PATIENCE, Running, Someone, send};
use crate::scenarios::{no_bird, unless};

const VICTIMS: [&str; 3] = ["the outer process", "pid 1", "the inner process"];

pub fn trials() -> Vec<Trial> {
    let simulated = || kill(&Someone::present(), &["run", SCENARIO], 5);
    let bird = || {
        kill(
            &Someone::present(),
            &["run", SCENARIO, "--binding", BIRD],
            2,
        )
    };
    let ordinary = || kill(&Someone::ordinary()?, &["run", SCENARIO], 1);
    vec![
        Trial::test("kill::nothing_is_left", simulated),
        unless(no_bird(), Trial::test("kill::nothing_is_left::bird", bird)),
        unless(
            Someone::no_ordinary(),
            Trial::test("kill::nothing_is_left::as_ordinary_user", ordinary),
        ),
    ]
}

/// Kills each victim `times` in each phase.
fn kill(someone: &Someone, arguments: &[&str], times: usize) -> Result<(), Failed> {
    let lengths = Lengths::measure(arguments)?;
    let before = Outside::now();
    let (mut killed, mut late) = (0, 0);
    for phase in PHASES {
        for victim in 0..VICTIMS.len() {
            for _ in 0..times {
                // A run that ended sooner than the one that was measured could not be killed: once more.
                while !kill_once(someone, arguments, &lengths, phase, victim, &before)? {
                    late += 1;
                    if late > 10 * times {
                        return Err(format!("most runs were over before {phase:?}").into());
                    }
                }
                killed += 1;
            }
        }
    }
    println!("{killed} killed; {late} ended before");
    Ok(())
}

/// Whether it was killed before it ended.
fn kill_once(
    someone: &Someone,
    arguments: &[&str],
    lengths: &Lengths,
    phase: Phase,
    victim: usize,
    before: &Outside,
) -> Result<bool, Failed> {
    let mut begun = Begun::start(someone, arguments)?;
    let mark = begun.run.mark().to_owned();
    let part = begun.reach(phase, lengths, false);
    send(Signal::SIGKILL, pid(&begun.run, victim));
    let about = |error: Failed| {
        let words = error.message().unwrap_or_default().to_owned();
        let who = VICTIMS[victim];
        Failed::from(format!("{who} killed {part:?} into {phase:?}: {words}"))
    };
    let ended = begun.run.end(PATIENCE).map_err(about)?;
    before.nothing_is_left(&mark).map_err(about)?;
    match ended.number() {
        Some(0 | 5) => Ok(false),
        // The outer process itself was killed.
        None => Ok(true),
        // The outer process saw the end of the others, and says so.
        Some(_) => {
            ended.expect(4)?;
            ended.expect_words("SIGKILL ended the lab; nothing of it is left")?;
            Ok(true)
        }
    }
}

/// The victim, or the process nearest to it that is there already.
fn pid(run: &Running, victim: usize) -> Pid {
    match victim {
        0 => run.outer(),
        1 => run.init().unwrap_or(run.outer()),
        _ => run.inner().or(run.init()).unwrap_or(run.outer()),
    }
}
