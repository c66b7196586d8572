//! From the raw scenario to the model: the head of the file, and one step after the other.
//!
//! A step does exactly one thing. What it does is in `act.rs`, what must follow in `expect.rs`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::files::resolve;
use super::raw::{RawScenario, RawStep};
use super::stage::Stage;
use super::{Act, Scenario, Step, act, expect};
use crate::conformance;
use crate::source::{
    Diagnostic, Diagnostics, Located, Mistakes, Source, Span, closest, list, read,
};
use crate::topology::{self, Topology};

/// Parses a scenario and the topology it names.
///
/// # Errors
/// Every mistake in both files; with a wrong topology, what depends on it is not looked at.
pub fn parse(source: &Arc<Source>) -> Result<(Scenario, Topology), Diagnostics> {
    let (raw, mut mistakes) = read::<RawScenario>(source);
    let scenario = raw.and_then(|raw| model(&raw, source, None, &mut mistakes));
    mistakes.finish(scenario)
}

/// Parses a scenario of a kept record with the topology kept beside it; no file is looked up.
///
/// # Errors
/// Every mistake in both texts.
pub fn parse_kept(
    source: &Arc<Source>,
    topology: &Arc<Source>,
) -> Result<(Scenario, Topology), Diagnostics> {
    let (raw, mut mistakes) = read::<RawScenario>(source);
    let scenario = raw.and_then(|raw| model(&raw, source, Some(topology), &mut mistakes));
    mistakes.finish(scenario)
}

fn model(
    raw: &RawScenario,
    source: &Arc<Source>,
    kept: Option<&Arc<Source>>,
    mistakes: &mut Mistakes,
) -> Option<(Scenario, Topology)> {
    let top = Span::default();
    let example = "topology = \"one-metro\"";
    let named = raw.topology.as_ref();
    let named = mistakes.require(named, top, "the scenario", "topology", example);
    let path = named.and_then(|named| match kept {
        Some(kept) => Some(kept.path.clone()),
        None => resolve(named, "topology", "topologies", mistakes),
    });
    let binding = (raw.binding.as_ref())
        .filter(|_| kept.is_none())
        .and_then(|named| resolve(named, "binding", "topologies/bindings", mistakes));
    proves(&raw.proves, mistakes);
    if raw.step.is_empty() && !mistakes.is_struck(top, Some("step")) {
        let diagnostic = mistakes.error(top, "nothing happens in this scenario", "");
        mistakes.push(diagnostic.help("write steps: `[[step]]` and, below it, `settle = \"30s\"`"));
    }
    for step in &raw.step {
        one_verb(step, mistakes);
    }
    let path = path?;
    let topology = match kept {
        Some(kept) => topology::parse_kept(kept),
        None => topology::load(&path),
    };
    let mut topology = match topology {
        Ok(topology) => topology,
        Err(others) => {
            mistakes.extend(others);
            return None;
        }
    };
    let onboarded = raw.onboarded.is_none_or(|onboarded| onboarded.value);
    proves_bfd(&raw.proves, &topology, mistakes);
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut stage = Stage::new(&topology, folder, kept.is_some(), onboarded);
    let without = raw
        .without
        .as_ref()
        .and_then(|without| without.bfd.as_ref());
    let without_bfd = without.map_or(Some(Vec::new()), |names| stage.connections(names, mistakes));
    let steps: Vec<Option<Step>> = (raw.step.iter())
        .map(|raw| step(raw, &mut stage, mistakes))
        .collect();
    let scenario = Scenario {
        name: name(source),
        summary: summary(&source.text),
        topology: path,
        binding,
        proves: raw.proves.iter().map(|id| id.value.clone()).collect(),
        without_bfd: without_bfd?,
        onboarded,
        steps: steps.into_iter().collect::<Option<_>>()?,
    };
    // The cables of members that come later lie from the beginning, without light.
    for connection in &mut topology.connections {
        let numbers = scenario.steps.iter().flat_map(|step| match &step.act {
            Act::Augment {
                connection: name,
                members,
            } if *name == connection.name => members.as_slice(),
            _ => &[],
        });
        let last = usize::from(numbers.copied().max().unwrap_or(0));
        connection.spare = last.saturating_sub(connection.members.len()) as u8;
    }
    Some((scenario, topology))
}

fn step(raw: &Located<RawStep>, stage: &mut Stage<'_>, mistakes: &mut Mistakes) -> Option<Step> {
    stage.next_step();
    let act = act::parse(&raw.value, stage, mistakes);
    let expect = expect::parse(&raw.value.expect, stage, mistakes);
    let verb = verbs(&raw.value).first().map(|(_, span)| *span)?;
    Some(Step {
        span: mistakes.source().entry(verb),
        act: act?,
        expect: expect?,
    })
}

/// The verbs of a step, with the places of their values.
fn verbs(step: &RawStep) -> Vec<(&'static str, Span)> {
    let span = |verb, span: Option<Span>| Some((verb, span?));
    [
        span("settle", step.settle.as_ref().map(|v| v.span)),
        span("send", step.send.as_ref().map(|v| v.span)),
        span("stop", step.stop.as_ref().map(|v| v.span)),
        span("fail", step.fail.as_ref().map(|v| v.span)),
        span("impair", step.impair.as_ref().map(|v| v.span)),
        span("repair", step.repair.as_ref().map(|v| v.span)),
        span("restart", step.restart.as_ref().map(|v| v.span)),
        span("bfd", step.bfd.as_ref().map(|v| v.span)),
        span("lacp", step.lacp.as_ref().map(|v| v.span)),
        span("augment", step.augment.as_ref().map(|v| v.span)),
        span("reduce", step.reduce.as_ref().map(|v| v.span)),
        span("announce", step.announce.as_ref().map(|v| v.span)),
        span("withdraw", step.withdraw.as_ref().map(|v| v.span)),
        span("drain", step.drain.as_ref().map(|v| v.span)),
        span("shutdown", step.shutdown.as_ref().map(|v| v.span)),
        span("reset", step.reset.as_ref().map(|v| v.span)),
        span("start", step.start.as_ref().map(|v| v.span)),
        span("refresh", step.refresh.as_ref().map(|v| v.span)),
        span("onboard", step.onboard.as_ref().map(|v| v.span)),
        span("register", step.register.as_ref().map(|v| v.span)),
        span("unregister", step.unregister.as_ref().map(|v| v.span)),
        span("register-asn", step.register_asn.map(|v| v.span)),
        span("unregister-asn", step.unregister_asn.map(|v| v.span)),
        span("validate", step.validate.as_ref().map(|v| v.span)),
        span("activate", step.activate.as_ref().map(|v| v.span)),
        span("deactivate", step.deactivate.as_ref().map(|v| v.span)),
        span("set", step.set.as_ref().map(|v| v.span)),
        span("hold", step.hold.as_ref().map(|v| v.span)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A step does exactly one thing.
fn one_verb(step: &Located<RawStep>, mistakes: &mut Mistakes) {
    let mut verbs = verbs(&step.value);
    verbs.sort_by_key(|(_, span)| *span);
    let source = Arc::clone(mistakes.source());
    match verbs.as_slice() {
        [] if mistakes.is_struck(step.span, None) => {}
        [] => {
            let message = "this step does nothing";
            let diagnostic = mistakes.error(step.span, message, "a step does exactly one thing");
            let verbs = list(super::raw::VERBS);
            mistakes.push(diagnostic.note(format!("one of {verbs}")));
        }
        [_] => {}
        [(first, at), others @ ..] => {
            for (verb, span) in others {
                let message =
                    format!("a step does exactly one thing, this one `{first}` and `{verb}`");
                let diagnostic = mistakes.error(source.entry(*span), message, "the second thing");
                let diagnostic = diagnostic.at(&source, source.entry(*at), "the first thing");
                mistakes.push(diagnostic.help("begin a new `[[step]]` before it"));
            }
        }
    }
}

/// The ids of the requirements are in the catalogue, each once.
fn proves(ids: &[Located<String>], mistakes: &mut Mistakes) {
    for (index, id) in ids.iter().enumerate() {
        if ids[..index].iter().any(|other| other.value == id.value) {
            let message = format!("requirement `{}` is named twice", id.value);
            mistakes.push(mistakes.error(id.span, message, "the second time"));
        } else if conformance::find(&id.value).is_none() {
            let message = format!("unknown requirement `{}`", id.value);
            let diagnostic = mistakes.error(id.span, message, "no such requirement");
            mistakes.push(with_ids_like(diagnostic, id, mistakes));
        }
    }
}

/// What is required of BFD cannot be proven where a connection has none.
fn proves_bfd(ids: &[Located<String>], topology: &Topology, mistakes: &mut Mistakes) {
    let mut all = topology.connections.iter();
    let Some(without) = all.find(|connection| !connection.bfd.options.required) else {
        return;
    };
    for id in ids.iter().filter(|id| id.value.starts_with("BFD-")) {
        let name = &without.name;
        let message = format!("requirement `{}` cannot be proven without BFD", id.value);
        let diagnostic = mistakes.error(id.span, message, "a requirement of BFD");
        let note = format!("the topology says `required = false` of the `bfd` of `{name}`");
        mistakes.push(diagnostic.note(note));
    }
}

/// Adds the ids of the same group, or the groups if there is no such group.
fn with_ids_like(diagnostic: Diagnostic, id: &Located<String>, mistakes: &Mistakes) -> Diagnostic {
    let group = |id: &'static str| id.split('-').next().unwrap_or_default();
    let all: Vec<&str> = conformance::all().map(|known| known.id).collect();
    let same = |known: &&'static str| id.value.split('-').next() == Some(group(known));
    let alike: Vec<&str> = conformance::all()
        .map(|known| known.id)
        .filter(same)
        .collect();
    let diagnostic = match closest(&id.value, all.iter().copied()) {
        Some(near) => {
            let text = mistakes.quoted_like(id.span, near);
            diagnostic.replace(format!("did you mean `{near}`?"), id.span, text)
        }
        None => diagnostic,
    };
    if alike.is_empty() {
        let groups: BTreeSet<&str> = conformance::all().map(|known| group(known.id)).collect();
        diagnostic.note(format!("groups of requirements: {}", list(groups)))
    } else {
        diagnostic.note(format!("one of {}", list(alike)))
    }
}

/// The path below `scenarios`, or only the file's name, without extension.
fn name(source: &Source) -> String {
    let path = source.path.with_extension("");
    let parts: Vec<String> = (path.components())
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    match parts.iter().rposition(|part| part == "scenarios") {
        Some(index) if index + 1 < parts.len() => parts[index + 1..].join("/"),
        _ => parts.last().cloned().unwrap_or_default(),
    }
}

/// The first comment of the file as one text, without the schema line and without the file's own name.
fn summary(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix('#'));
    let prose: Vec<&str> = lines
        .filter(|line| !line.starts_with(":schema"))
        .map(str::trim)
        .filter(|line| !line.ends_with(".toml") || line.contains(' '))
        .skip_while(|line| line.is_empty())
        .take_while(|line| !line.is_empty())
        .collect();
    prose.join(" ")
}
