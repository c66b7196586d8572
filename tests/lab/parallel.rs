//! Two labs at once on one machine.

use std::fs;

use libtest_mimic::{Failed, Trial};
use nix::unistd::Pid;

use crate::left::Outside;
use crate::play::{Ended, PATIENCE, Running, Someone};

pub fn trials() -> Vec<Trial> {
    vec![Trial::test(
        "parallel::two_labs_do_not_see_each_other",
        two_labs,
    )]
}

/// What two labs at once were too much for is tried once more; both outcomes are shown.
fn two_labs() -> Result<(), Failed> {
    let outcomes = play_two()?;
    if outcomes.iter().all(|ended| ended.number() == Some(0)) {
        return Ok(());
    }
    for ended in &outcomes {
        ended.check(matches!(ended.number(), Some(0 | 5)), "exit number 0")?;
        println!("{ended}");
    }
    for ended in play_two()? {
        ended.expect(0)?;
    }
    Ok(())
}

fn play_two() -> Result<Vec<Ended>, Failed> {
    let before = Outside::now();
    let someone = Someone::present();
    let arguments = ["run", "scenarios/bring-up.toml"];
    let mut labs = [someone.start(&arguments)?, someone.start(&arguments)?];
    for lab in &mut labs {
        lab.until_said("send teams <-> sbc")?;
    }
    // Both are alive now: each has its own namespaces, and neither has a process in the other's.
    for kind in ["net", "mnt", "pid_for_children"] {
        let mine = namespace(Pid::this(), kind)?;
        let places = labs.iter().map(|lab| Ok(namespace(inner(lab)?, kind)?));
        let places: Vec<String> = places.collect::<Result<_, Failed>>()?;
        if places[0] == places[1] || places.contains(&mine) {
            return Err(format!("{kind} namespaces: {places:?} and outside {mine}").into());
        }
    }
    for lab in &labs {
        let seen = fs::read_dir(format!("/proc/{}/root/proc", inner(lab)?))?;
        let seen = seen
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .count();
        // A lab sees its init and itself; a /proc of outside, as containers may force on it, shows more.
        let private = fs::read_link(format!("/proc/{}/root/proc/self", inner(lab)?)).is_err();
        if private && seen > 2 {
            return Err(format!("a lab sees {seen} processes").into());
        }
    }
    let marks = labs.each_ref().map(|lab| lab.mark().to_owned());
    let ended = labs.into_iter().map(|lab| lab.end(PATIENCE));
    let ended = ended.collect::<Result<_, Failed>>()?;
    for mark in &marks {
        before.nothing_is_left(mark)?;
    }
    Ok(ended)
}

fn inner(lab: &Running) -> Result<Pid, Failed> {
    lab.inner().ok_or_else(|| "the lab has ended".into())
}

fn namespace(of: Pid, kind: &str) -> std::io::Result<String> {
    let link = fs::read_link(format!("/proc/{of}/ns/{kind}"))?;
    Ok(link.display().to_string())
}
