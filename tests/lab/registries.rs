//! Registries of a lab: served to the routers in it, and asked outside of it.

use std::fs;
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use peerlab::record::{Entry, Fact, read};
use peerlab::registry::rtr::Intervals;
use peerlab::registry::service::Place;
use peerlab::registry::{files, irr_live, rtr};

use crate::play::{PATIENCE, Someone};
use crate::scenarios::{no_bird, unless};

/// BIRD that asks the lab's cache.
const BIRD: &str = "topologies/bindings/one-metro-bird-rpki.toml";
const SCENARIO: &str = "tests/fixtures/lab/router-filters-by-rpki.toml";
/// What Microsoft announces in it.
const PREFIX: &str = "198.19.255.0/24";

pub fn trials() -> Vec<Trial> {
    let filters = Trial::test("registries::a_router_filters_by_the_labs_cache", filters);
    let live = Trial::test("registries::servers_outside_are_asked", live);
    vec![unless(no_bird(), filters), live]
}

/// Which step is played when.
fn steps(entries: &[Entry]) -> impl Iterator<Item = (usize, &Fact)> {
    entries.iter().scan(0, |step, entry| {
        if let Fact::StepStarted { step: started } = entry.fact {
            *step = started;
        }
        Some((*step, &entry.fact))
    })
}

fn filters() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let report = folder.path().display().to_string();
    let arguments = ["run", SCENARIO, "--binding", BIRD, "--report", &report];
    let ended = Someone::present().play(&arguments)?;
    ended.check(matches!(ended.number(), Some(0 | 5)), "an undisturbed run")?;
    let entries = read(&folder.path().join("record.jsonl"))?;
    let (mut asked, mut ways, mut states) = (Vec::new(), Vec::new(), Vec::new());
    // What happens while the lab is taken down is not the registries'.
    let played = |entry: &Entry| matches!(entry.fact, Fact::StepEnded { .. });
    let end = entries.iter().rposition(played).unwrap_or_default();
    for (step, fact) in steps(&entries[..end]) {
        match fact {
            Fact::RegistryAsked { by, question, .. } if by == "ams-pe-1" => {
                asked.push((step, question.as_str()));
            }
            Fact::KernelRoute {
                router,
                prefix,
                via,
            } if router == "core" && prefix.to_string() == PREFIX => {
                ways.push((step, via.len()));
            }
            Fact::Device { router, text, .. } if router == "ams-pe-1" && step > 0 => {
                states.extend(text.split_once("cache: ").map(|(_, state)| (step, state)));
            }
            _ => {}
        }
    }
    // Everything at first, the change at once when the cache tells of it, and everything from the cache that came back.
    let heard = matches!(
        asked.as_slice(),
        [(0, "everything"), (3 | 4, "what changed after serial 1"), rest @ ..]
            if rest.last().is_some_and(|last| *last == (8, "everything"))
    );
    ended.check(heard, &format!("other questions than {asked:?}"))?;
    let died = states.starts_with(&[(5, "State changed to start")])
        || states.starts_with(&[(6, "State changed to start")]);
    ended.check(died, &format!("other states than {states:?}"))?;
    // There before the change, gone by its step's end, for as long as the cache is dead, and there again.
    let after = |step: usize| ways.iter().rev().find(|(s, _)| *s <= step).map(|(_, n)| *n);
    let present = [2, 4, 7, 8].map(after);
    ended.check(
        present == [Some(2), Some(0), Some(0), Some(2)],
        &format!("other ways than {ways:?}"),
    )
}

/// The verdicts are those of files, and what only a server that is killed can change is changed.
fn live() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let inside = runtime.enter();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let registry = root.join("topologies/registry");
    let failed = |mistakes| format!("{mistakes:?}");
    let irr = files::irr(&registry.join("contoso.rpsl")).map_err(failed)?;
    let vrps = files::vrps(&registry.join("contoso.vrps.json")).map_err(failed)?;
    let here = || Place::Here(([127, 0, 0, 1], 0).into());
    let irr = irr_live::driver::Server::start(here(), irr.into())?;
    let intervals = Intervals::REHEARSAL;
    let rpki = rtr::driver::Server::start(here(), vrps.into(), intervals, |_, _| {})?;
    drop(inside);

    let folder = tempfile::tempdir()?;
    let topology = fs::read_to_string(root.join("topologies/one-metro-short-memory.toml"))?
        .replace(
            "\"registry/contoso.rpsl\"",
            &format!("{{ irrd = \"{}\" }}", irr.address()),
        )
        .replace(
            "\"registry/contoso.vrps.json\"",
            &format!("{{ rtr = \"{}\" }}", rpki.address()),
        );
    fs::write(folder.path().join("live.toml"), topology)?;
    let scenario = fs::read_to_string(root.join("tests/fixtures/lab/live-registries.toml"))?;
    let path = folder.path().join("scenario.toml");
    fs::write(&path, scenario.replace("TOPOLOGY", "live.toml"))?;

    let scenario = path.display().to_string();
    let report = folder.path().join("report").display().to_string();
    let mut run = Someone::present().start(&["run", &scenario, "--report", &report])?;
    run.until_said("hold 1 ms")?;
    runtime.block_on(rpki.die());
    let ended = run.end(PATIENCE)?;
    ended.check(matches!(ended.number(), Some(0 | 5)), "all met")?;
    let mut told = Vec::new();
    for entry in read(&folder.path().join("report/record.jsonl"))? {
        if let Fact::Registry {
            registry,
            event,
            serial,
            ..
        } = entry.fact
        {
            told.push((registry, event, serial));
        }
    }
    let has = |registry: &str, event: &str, serial: Option<u32>| {
        told.contains(&(registry.to_owned(), event.to_owned(), serial))
    };
    let all = has("irr", "read", None)
        && has("rpki", "read", Some(1))
        && ["lost", "expired"].map(|event| told.iter().any(|t| t.0 == "rpki" && t.1 == event))
            == [true, true];
    ended.check(all, &format!("other words than {told:?}"))
}
