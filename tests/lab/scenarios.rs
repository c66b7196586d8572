//! Every shipped scenario with simulated routers; those of failures also with BIRD and as an ordinary user; and of those
//! of the Microsoft side the ones where a real router or missing rights could make a difference.
//!
//! They are played beside each other. What a run could not conclude for noise it is asked once more, alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use nix::unistd::geteuid;
use peerlab::binding;
use peerlab::scenario;

use crate::play::{BIRD, Someone};
use crate::turn;

/// The binding whose BIRD has no BFD.
const BIRD_WITHOUT_BFD: &str = "topologies/bindings/one-metro-bird-without-bfd.toml";
/// The binding whose BIRD has sessions of both families.
const BIRD_WITH_IPV6: &str = "topologies/bindings/one-metro-dual-stack-bird.toml";
/// The binding that lets FRR play the peer's routers of the one-metro topology.
const FRR: &str = "topologies/bindings/one-metro-frr.toml";
/// The exit number of a run on a host that was too slow or too noisy.
const INCONCLUSIVE: Option<i32> = Some(5);

/// What the control plane concludes is the same for every user and router; these show that it hears and moves real ones.
const ALSO_WITH_BIRD: [&str; 8] = [
    "egress/never-to-the-internet",
    "onboarding/by-hand",
    "prefixes/as-path-too-long",
    "prefixes/good-path",
    "prefixes/longer-than-24",
    "prefixes/not-received",
    "prefixes/rpki-invalid",
    "routes/microsoft-grows",
];
/// The processes of a daemon, its LAG and BFD, with the rights of any user; what it decides is the same for all.
const BIRD_AS_ORDINARY_USER: [&str; 3] = ["bring-up", "failover/light", "lag/member-lost"];
/// Ports and sessions are held down, policies and registries are served: with the rights of any user.
const ALSO_AS_ORDINARY_USER: [&str; 2] = ["onboarding/by-hand", "prefixes/rpki-invalid"];

/// FRR shows that another daemon's processes, BFD and timing fit in the lab as BIRD's do.
///
/// Not the failures of a whole connection: when it comes back, FRR 8.4 interrupts the other one's traffic for 4 to 9 ms
/// (seen in four of four plays), and the scenarios allow nothing.
///
/// Nor malformed mandatory attributes, over which it ends the session (docs/malformed-updates.md).
const ALSO_WITH_FRR: [&str; 5] = [
    "bgp/malformed-attributes",
    "bgp/route-leak",
    "bgp/route-reflection",
    "bgp/short-silence",
    "lag/member-lost",
];

/// How a scenario is played.
struct Way {
    binding: Option<&'static str>,
    ordinary: bool,
    /// Why it cannot be.
    cannot: Option<String>,
}

/// The ways in which a scenario is played, or shown as one that cannot be.
fn ways(name: &str) -> Vec<Way> {
    let simulated = |ordinary| Way {
        binding: None,
        ordinary,
        cannot: None,
    };
    let bird = |ordinary| {
        let binding = match name {
            // What the scenario leaves out of a simulated router, a real one must leave out by its own configuration.
            "bfd/never-configured" => BIRD_WITHOUT_BFD,
            "bgp/ipv6" => BIRD_WITH_IPV6,
            _ => BIRD,
        };
        Way {
            binding: Some(binding),
            ordinary,
            cannot: unfit(name, binding).or_else(no_bird),
        }
    };
    let frr = |ordinary| Way {
        binding: Some(FRR),
        ordinary,
        cannot: unfit(name, FRR).or_else(no_frr),
    };
    let folders = ["egress/", "onboarding/", "prefixes/", "routes/"];
    if !folders.iter().any(|folder| name.starts_with(folder)) {
        let mut ways = vec![simulated(false), simulated(true), bird(false)];
        if BIRD_AS_ORDINARY_USER.contains(&name) {
            ways.push(bird(true));
        }
        if ALSO_WITH_FRR.contains(&name) {
            ways.extend([frr(false), frr(true)]);
        }
        return ways;
    }
    let mut ways = vec![simulated(false)];
    if ALSO_AS_ORDINARY_USER.contains(&name) {
        ways.push(simulated(true));
    }
    let bird = bird(false);
    if ALSO_WITH_BIRD.contains(&name) || bird.cannot.is_some() {
        ways.push(bird);
    }
    ways
}

/// Why a binding does not fit a scenario.
fn unfit(name: &str, binding: &str) -> Option<String> {
    if name == "bfd/never-configured" {
        return None;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rehearsal = scenario::load(&root.join(format!("scenarios/{name}.toml")), None);
    let binding = binding::load(&root.join(binding), None).expect("a shipped binding");
    rehearsal.expect("a shipped scenario").unfit(&binding)
}

pub fn trials() -> Vec<Trial> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut scenarios = Vec::new();
    collect(&root, &root, &mut scenarios);
    scenarios.sort();
    assert!(scenarios.len() >= 50, "found {} scenarios", scenarios.len());
    let also = ALSO_WITH_BIRD.iter().chain(&ALSO_AS_ORDINARY_USER);
    for name in also.chain(&ALSO_WITH_FRR).chain(&BIRD_AS_ORDINARY_USER) {
        assert!(scenarios.iter().any(|known| known == name), "no {name}");
    }
    let nobody = Someone::no_ordinary();
    let mut trials = Vec::new();
    for name in scenarios {
        for way in ways(&name) {
            // An ordinary user who runs the tests is one already.
            if way.ordinary && !geteuid().is_root() {
                continue;
            }
            let device = match way.binding {
                None => "simulated",
                Some(FRR) => "frr",
                Some(_) => "bird",
            };
            let mut shown = format!("scenario::{device}::{name}");
            let mut cannot = way.cannot;
            if way.ordinary {
                shown += "::as_ordinary_user";
                cannot = cannot.or_else(|| nobody.clone());
            }
            let name = name.clone();
            let trial = Trial::test(shown, move || {
                let someone = if way.ordinary {
                    Someone::ordinary()?
                } else {
                    Someone::present()
                };
                play(&someone, &name, way.binding)
            });
            trials.push(unless(cannot, trial));
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

/// Why FRR cannot be tried here.
fn no_frr() -> Option<String> {
    let found = Path::new("/usr/lib/frr/bgpd").is_file();
    (!found).then(|| "FRR is not installed".to_owned())
}

/// Scenario files below a folder, by their names without `.toml`.
fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let name = path.strip_prefix(root).expect("below").with_extension("");
            found.push(name.display().to_string());
        }
    }
}

/// Everything is met. What this host was too slow for, while others played, is tried once more alone; both outcomes are shown.
fn play(someone: &Someone, scenario: &str, binding: Option<&str>) -> Result<(), Failed> {
    let file = format!("scenarios/{scenario}.toml");
    let mut arguments = vec!["run", &file];
    if let Some(binding) = binding {
        arguments.extend(["--binding", binding]);
    }
    let beside_others = turn::beside_others()?;
    let first = someone.play(&arguments)?;
    drop(beside_others);
    if first.number() != INCONCLUSIVE {
        return first.expect(0);
    }
    println!("inconclusive, tried once more: {first}");
    let _alone = turn::alone()?;
    let second = someone.play(&arguments)?;
    println!("the second time: {second}");
    second.check(
        second.number() == Some(0),
        &format!("exit number 0, at the latest the second time; first {first}\nthen"),
    )
}
