//! Every shipped scenario, with simulated routers and with BIRD, as the present user and as an ordinary one.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use nix::unistd::geteuid;

use crate::play::{BIRD, Someone};

/// The binding whose BIRD has no BFD.
const BIRD_WITHOUT_BFD: &str = "topologies/bindings/one-metro-bird-without-bfd.toml";
/// The exit number of a run on a host that was too slow or too noisy.
const INCONCLUSIVE: Option<i32> = Some(5);

/// Which BIRD plays a scenario, or why none can.
fn bird(scenario: &str, text: &str) -> Result<&'static str, String> {
    if !text.contains("topology = \"one-metro\"") {
        return Err("no BIRD configuration is shipped for its topology".to_owned());
    }
    Ok(match scenario {
        // What the scenario leaves out of a simulated router, a real one must leave out by its own configuration.
        "bfd/never-configured" => BIRD_WITHOUT_BFD,
        _ => BIRD,
    })
}

pub fn trials() -> Vec<Trial> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut scenarios = Vec::new();
    collect(&root, &root, &mut scenarios);
    scenarios.sort();
    assert!(scenarios.len() >= 13, "found {} scenarios", scenarios.len());
    let nobody = Someone::no_ordinary();
    let no_bird = no_bird();
    let mut trials = Vec::new();
    for (name, text) in &scenarios {
        let bound = bird(name, text);
        let no_bird = bound.clone().err().or_else(|| no_bird.clone());
        for (device, binding, cannot) in [("simulated", None, None), ("bird", bound.ok(), no_bird)]
        {
            let shown = format!("scenario::{device}::{name}");
            let scenario = name.clone();
            let present = move || play(&Someone::present(), &scenario, binding);
            trials.push(unless(cannot.clone(), Trial::test(&shown, present)));
            // An ordinary user who runs the tests is one already.
            if geteuid().is_root() {
                let scenario = name.clone();
                let other = move || play(&Someone::ordinary()?, &scenario, binding);
                let cannot = cannot.or_else(|| nobody.clone());
                let shown = format!("{shown}::as_ordinary_user");
                trials.push(unless(cannot, Trial::test(shown, other)));
            }
        }
    }
    trials
}

/// A trial, ignored when there is a reason why it cannot be played.
pub fn unless(cannot: Option<String>, trial: Trial) -> Trial {
    match cannot {
        Some(reason) => trial.with_kind(reason).with_ignored_flag(true),
        None => trial,
    }
}

/// Why BIRD cannot be tried here.
pub fn no_bird() -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    let found = Command::new("bird")
        .arg("--version")
        .env("PATH", path)
        .output();
    found.is_err().then(|| "BIRD is not installed".to_owned())
}

/// Scenario files below a folder: name without `.toml`, and text.
fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let name = path.strip_prefix(root).expect("below").with_extension("");
            let text = fs::read_to_string(&path).expect("a text file");
            found.push((name.display().to_string(), text));
        }
    }
}

/// Everything is met. What this host was too slow for is tried once more; both outcomes are shown.
fn play(someone: &Someone, scenario: &str, binding: Option<&str>) -> Result<(), Failed> {
    let file = format!("scenarios/{scenario}.toml");
    let mut arguments = vec!["run", &file];
    if let Some(binding) = binding {
        arguments.extend(["--binding", binding]);
    }
    let first = someone.play(&arguments)?;
    if first.number() != INCONCLUSIVE {
        return first.expect(0);
    }
    println!("inconclusive, tried once more: {first}");
    let second = someone.play(&arguments)?;
    println!("the second time: {second}");
    second.check(
        second.number() == Some(0),
        &format!("exit number 0, at the latest the second time; first {first}\nthen"),
    )
}
