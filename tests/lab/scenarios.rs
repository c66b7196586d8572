//! Every shipped scenario with simulated routers; those of failures also with BIRD and as an ordinary user; and of the
//! others the ones where a real router or missing rights could make a difference.
//!
//! They are played beside each other. What a run could not conclude for noise it is asked once more, alone.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use nix::unistd::geteuid;
use peerlab::binding::{self, Daemon};
use peerlab::kernel::feature::program;
use peerlab::scenario;

use crate::play::{Ended, Someone};
use crate::turn;

/// The exit number of a run on a host that was too slow or too noisy.
const INCONCLUSIVE: Option<i32> = Some(5);

/// Folders whose scenarios a real router makes no difference to, but for the exceptions below: what the control plane of the
/// Microsoft side concludes, and LACP, whose partner is the lab's whoever plays the router.
const MICROSOFT_SIDE: [&str; 5] = ["egress/", "lacp/", "onboarding/", "prefixes/", "routes/"];

/// Of those folders, what shows that real routers are heard and moved.
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

/// Of those folders and of `bgp/`, ports and sessions that are held down, policies and registries that are served: with the
/// rights of any user.
const ALSO_AS_ORDINARY_USER: [&str; 4] = [
    "bgp/short-silence",
    "lacp/refusals",
    "onboarding/by-hand",
    "prefixes/rpki-invalid",
];

/// The other daemons: their processes, BFD and timing fit in the lab as BIRD's do. Those without BFD exchange no route where BFD
/// is wanted, and nothing suffers from it; where it is not, routes go both ways.
///
/// Not with FRR 8.4: malformed mandatory attributes, over which it ends the session; and malformed attributes, after which it
/// sometimes never tells its core of a route of a session that was reset (once in three plays on a busy host): what
/// `suppress-fib-pending` waits for is lost. Nor BFD packets with the Multipoint bit, or with authentication that nobody
/// configured, which it accepts; nor shorter BFD intervals without a Poll, on which it does not act.
const ALSO_WITH: [(Daemon, &str); 16] = [
    (Daemon::Frr, "bfd/bad-timing"),
    (Daemon::Frr, "bgp/route-leak"),
    (Daemon::Frr, "bgp/route-reflection"),
    (Daemon::Frr, "bgp/short-silence"),
    (Daemon::Frr, "failover/light"),
    (Daemon::Frr, "failover/silent-connection"),
    (Daemon::Frr, "lag/member-lost"),
    (Daemon::Gobgp, "bfd/never-configured"),
    (Daemon::Openbgpd, "bfd/never-configured"),
    (Daemon::Exabgp, "bfd/never-configured"),
    (Daemon::Frr, "bgp/router-restart"),
    (Daemon::Gobgp, "bgp/without-bfd"),
    (Daemon::Gobgp, "bgp/without-bfd-passed-on"),
    (Daemon::Openbgpd, "bgp/without-bfd"),
    (Daemon::Openbgpd, "bgp/without-bfd-passed-on"),
    (Daemon::Exabgp, "bgp/without-bfd"),
];

/// The processes of a daemon, its LAG and BFD, with the rights of any user.
const DAEMON_AS_ORDINARY_USER: [(Daemon, &str); 7] = [
    (Daemon::Bird, "bring-up"),
    (Daemon::Bird, "failover/light"),
    (Daemon::Bird, "lag/member-lost"),
    (Daemon::Frr, "lag/member-lost"),
    (Daemon::Gobgp, "bgp/without-bfd"),
    (Daemon::Openbgpd, "bgp/without-bfd"),
    (Daemon::Exabgp, "bgp/without-bfd"),
];

/// How a scenario is played.
struct Way {
    /// Who plays the peer's routers; simulated ones without.
    daemon: Option<Daemon>,
    ordinary: bool,
}

/// The ways in which a scenario is played.
fn ways(name: &str) -> Vec<Way> {
    let way = |daemon, ordinary| Way { daemon, ordinary };
    let is_bgp = name.starts_with("bgp/");
    let everywhere = !MICROSOFT_SIDE.iter().any(|folder| name.starts_with(folder));
    let mut ways = vec![way(None, false)];
    if (everywhere && !is_bgp) || ALSO_AS_ORDINARY_USER.contains(&name) {
        ways.push(way(None, true));
    }
    if everywhere || ALSO_WITH_BIRD.contains(&name) {
        ways.push(way(Some(Daemon::Bird), false));
    }
    let of = |list: &[(Daemon, &str)], ordinary| -> Vec<Way> {
        let those = list.iter().filter(|(_, of)| *of == name);
        those
            .map(|(daemon, _)| way(Some(*daemon), ordinary))
            .collect()
    };
    ways.extend(of(&ALSO_WITH, false));
    ways.extend(of(&DAEMON_AS_ORDINARY_USER, true));
    ways
}

/// The binding that lets a daemon play in the one-metro topology.
fn binding_of(daemon: Daemon, name: &str) -> PathBuf {
    let which = match (daemon, name) {
        // What the scenario leaves out of a simulated router, a real one must leave out by its own configuration.
        (Daemon::Bird, "bfd/never-configured") => "bird-without-bfd",
        (Daemon::Bird, "bgp/ipv6") => {
            return "topologies/bindings/one-metro-dual-stack-bird.toml".into();
        }
        _ => daemon.key(),
    };
    format!("topologies/bindings/one-metro-{which}.toml").into()
}

/// Why a daemon cannot play in a scenario, or not here.
fn cannot(daemon: Daemon, name: &str) -> Option<String> {
    if let Some(why) = no_daemon(daemon) {
        return Some(why);
    }
    if name == "bfd/never-configured" {
        return None;
    }
    if name == "bfd/disabled" {
        // Seen in the matrix of interoperability, of FRR as well (`bfd_disabled`).
        let why = "ends BGP when BFD is disabled, which RFC 5882, section 4.2, advises against";
        return Some(format!("{daemon} {why}"));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rehearsal = scenario::load(&root.join(format!("scenarios/{name}.toml")), None);
    let binding = binding::load(&root.join(binding_of(daemon, name)), None);
    let binding = binding.expect("a shipped binding");
    rehearsal.expect("a shipped scenario").unfit(&binding)
}

pub fn trials() -> Vec<Trial> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let queues = ["netem", "tbf"].map(|kind| (kind, no_queue(kind)));
    let lacking = queues
        .into_iter()
        .filter_map(|(kind, why)| Some((kind, why?)));
    let lacking: Vec<(&str, String)> = lacking.collect();
    let mut scenarios = Vec::new();
    collect(&root, &root, &mut scenarios);
    scenarios.sort();
    assert!(scenarios.len() >= 50, "found {} scenarios", scenarios.len());
    let with = ALSO_WITH.iter().chain(&DAEMON_AS_ORDINARY_USER);
    let also = ALSO_WITH_BIRD.iter().chain(&ALSO_AS_ORDINARY_USER);
    for name in with.map(|(_, name)| name).chain(also) {
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
            let device = way.daemon.map_or("simulated", Daemon::key);
            let mut shown = format!("scenario::{device}::{name}");
            let mut cannot = way.daemon.and_then(|daemon| cannot(daemon, &name));
            let needs = needs(&name);
            let mut lacking = lacking.iter().filter(|(kind, _)| needs.contains(kind));
            cannot = cannot.or_else(|| Some(lacking.next()?.1.clone()));
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
                play(&someone, &name, way.daemon)
            });
            trials.push(unless(cannot, trial));
        }
    }
    trials
}

/// Why nothing can be delayed here, if so; `uml::impairs` plays what needs it.
pub fn no_netem() -> Option<String> {
    no_queue("netem")
}

fn no_queue(kind: &str) -> Option<String> {
    let options = match kind {
        "netem" => "delay 1ms",
        _ => "rate 10mbit burst 10k limit 10k",
    };
    let attempt = format!("tc qdisc add dev lo root {kind} {options}");
    let mut command = Command::new("unshare");
    command.arg("-rn").args(attempt.split(' '));
    let done = command.output().is_ok_and(|output| output.status.success());
    (!done).then(|| format!("this kernel has no {kind}"))
}

fn needs(name: &str) -> BTreeSet<&'static str> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rehearsal = scenario::load(&root.join(format!("scenarios/{name}.toml")), None);
    rehearsal.expect("a shipped scenario").needs()
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
    no_daemon(Daemon::Bird)
}

/// Why a daemon cannot be tried here.
fn no_daemon(daemon: Daemon) -> Option<String> {
    let name = match daemon {
        Daemon::Bird => "bird",
        Daemon::Frr => "/usr/lib/frr/bgpd",
        Daemon::Gobgp => "gobgpd",
        Daemon::Openbgpd => "bgpd",
        Daemon::Exabgp => "exabgp",
    };
    (program::find(name).is_none()).then(|| format!("{daemon} is not installed"))
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

/// Everything is met, at the latest alone.
fn play(someone: &Someone, scenario: &str, daemon: Option<Daemon>) -> Result<(), Failed> {
    let file = format!("scenarios/{scenario}.toml");
    let mut arguments: Vec<PathBuf> = vec!["run".into(), file.into()];
    if let Some(daemon) = daemon {
        arguments.extend(["--binding".into(), binding_of(daemon, scenario)]);
    }
    conclusive(|| someone.play(&arguments))?.expect(0)
}

/// How often a play is tried alone. Whoever shares the host may be in the way for longer than one play.
const ALONE: usize = 3;

/// Plays. What this host was too slow for, while others played, is tried again alone; all outcomes are shown.
pub fn conclusive<T: AsRef<Ended>>(play: impl Fn() -> Result<T, Failed>) -> Result<T, Failed> {
    let mut played = play()?;
    let mut alone = None;
    for attempt in 1..=ALONE {
        if played.as_ref().number() != INCONCLUSIVE {
            break;
        }
        println!("inconclusive, to be tried alone: {}", played.as_ref());
        drop(played);
        if alone.is_none() {
            alone = Some(turn::alone()?);
        }
        played = play()?;
        println!("alone, attempt {attempt}: {}", played.as_ref());
    }
    Ok(played)
}
