//! Something breaks, or is mended.

use std::collections::BTreeSet;

use crate::scenario::raw::{RawFail, RawHow};
use crate::scenario::stage::Stage;
use crate::scenario::{Act, Fault, FaultKind, Target};
use crate::source::{Located, Mistakes, list};
use crate::topology::{Impaired, RawImpaired};

pub(super) fn fail(
    raw: &Located<RawFail>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Fault> {
    let at = raw.span;
    let raw = &raw.value;
    let keys = [
        ("connection", raw.connection.is_some()),
        ("member", raw.member.is_some()),
        ("node", raw.node.is_some()),
        ("metro", raw.metro.is_some()),
    ];
    let message = "a step breaks exactly one thing";
    if !mistakes.exactly_one(at, &keys, message, "nothing is broken here") {
        return None;
    }
    // A member, a node and a metro fail in one way only, which need not be said.
    let only = |kind: FaultKind, word: &str, mistakes: &mut Mistakes| {
        let how = raw.how.filter(|how| kind_of(how.value) != kind);
        if let Some(how) = how {
            let message = format!("a {word} cannot fail in this way");
            let diagnostic =
                mistakes.error(how.span, message, format!("`{word}`, or leave `how` out"));
            mistakes.push(diagnostic);
        }
        how.is_none().then_some(kind)
    };
    if let Some(names) = &raw.connection {
        let example = "how = \"silent\"";
        let how = mistakes.require(raw.how, at, "`fail`", "how", example);
        let connections = stage.connections(names, mistakes);
        let how = how?;
        let kind = kind_of(how.value);
        if matches!(kind, FaultKind::Member | FaultKind::Node | FaultKind::Metro) {
            let message = "a connection cannot fail in this way";
            let diagnostic =
                mistakes.error(how.span, message, "this is for the key of the same name");
            let valid = [
                "light",
                "silent",
                "one-way-in",
                "one-way-out",
                "lacp",
                "bfd",
                "bgp",
            ];
            mistakes.push(diagnostic.note(format!("one of {}", list(valid))));
            return None;
        }
        return Some(Fault {
            target: Target::Connections(connections?),
            how: kind,
        });
    }
    if let Some(name) = &raw.member {
        let how = only(FaultKind::Member, "member", mistakes);
        let (connection, member) = stage.member(name, mistakes)?;
        return Some(Fault {
            target: Target::Member(connection, member),
            how: how?,
        });
    }
    if let Some(name) = &raw.node {
        let how = only(FaultKind::Node, "node", mistakes);
        let known = mistakes.known(name, "Microsoft edge", stage.edge_names());
        return Some(Fault {
            target: known.then(|| Target::Node(name.value.clone()))?,
            how: how?,
        });
    }
    let name = raw.metro.as_ref()?;
    let how = only(FaultKind::Metro, "metro", mistakes);
    let known = mistakes.known(name, "metro", stage.metro_names());
    Some(Fault {
        target: known.then(|| Target::Metro(name.value.clone()))?,
        how: how?,
    })
}

pub(super) fn impair(
    raw: &Located<RawImpaired>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let (connections, members) = (&stage.topology.connections, stage.member_names());
    let impaired = Impaired::of(raw, connections, &members, mistakes)?;
    stage.broken.push(match impaired.member {
        Some(member) => Target::Member(impaired.connections.concat(), member),
        None => Target::Connections(impaired.connections.clone()),
    });
    Some(Act::Impair(impaired))
}

fn kind_of(how: RawHow) -> FaultKind {
    match how {
        RawHow::Light => FaultKind::Light,
        RawHow::Silent => FaultKind::Silent,
        RawHow::OneWayIn => FaultKind::OneWayIn,
        RawHow::OneWayOut => FaultKind::OneWayOut,
        RawHow::Lacp => FaultKind::Lacp,
        RawHow::Bfd => FaultKind::Bfd,
        RawHow::Bgp => FaultKind::Bgp,
        RawHow::Member => FaultKind::Member,
        RawHow::Node => FaultKind::Node,
        RawHow::Metro => FaultKind::Metro,
    }
}

pub(super) fn repair(
    name: &Located<String>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let is =
        |mut names: Box<dyn Iterator<Item = &str> + '_>| names.any(|other| other == name.value);
    let target = if name.value == "all" {
        Target::All
    } else if name.value.contains('/') {
        let (connection, member) = stage.member(name, mistakes)?;
        Target::Member(connection, member)
    } else if is(Box::new(stage.connection_names())) {
        Target::Connections(vec![name.value.clone()])
    } else if is(Box::new(stage.edge_names().into_iter())) {
        Target::Node(name.value.clone())
    } else if is(Box::new(stage.metro_names())) {
        Target::Metro(name.value.clone())
    } else {
        let valid: Vec<&str> = (stage.connection_names())
            .chain(stage.edge_names())
            .chain(stage.metro_names())
            .chain(["all"])
            .collect();
        mistakes.known(name, "target", valid);
        return None;
    };
    let broken: BTreeSet<String> = stage.broken.iter().map(words).collect();
    if !stage.mend(&target) {
        let message = format!("`{}` is not broken here", name.value);
        let diagnostic = mistakes.error(name.span, message, "nothing to repair");
        mistakes.push(if broken.is_empty() {
            diagnostic.note("nothing is broken at this step")
        } else {
            diagnostic.note(format!(
                "broken: {}",
                list(broken.iter().map(String::as_str))
            ))
        });
        return None;
    }
    Some(Act::Repair(target))
}

/// A target as a file writes it.
fn words(target: &Target) -> String {
    match target {
        Target::Connections(names) => names.join("`, `"),
        Target::Member(connection, member) => format!("{connection}/{member}"),
        Target::Node(name) | Target::Metro(name) => name.clone(),
        Target::All => "all".to_owned(),
    }
}
