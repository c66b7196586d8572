//! What a step does.

use std::time::Duration;

use super::raw::{RawAnnounce, RawFail, RawHold, RawHow, RawSend, RawStep, RawStop, RawWithdraw};
use super::stage::Stage;
use super::{Act, Fault, FaultKind, Target};
use crate::source::{Community, Located, Mistakes, Names, list};

/// Microsoft's community of Peering Service (PFX-02).
const PEERING_SERVICE: Community = Community(8075, 8007);

/// What the step does; `None` after a mistake, or when it does nothing.
pub(super) fn parse(raw: &RawStep, stage: &mut Stage<'_>, mistakes: &mut Mistakes) -> Option<Act> {
    if let Some(except) = raw.except.as_ref().filter(|_| raw.settle.is_none()) {
        let message = "`except` belongs to `settle`";
        mistakes.push(mistakes.error(except.span, message, "there is no `settle` in this step"));
    }
    if let Some(settle) = &raw.settle {
        let except = match &raw.except {
            Some(names) => stage.connections(names, mistakes)?,
            None => Vec::new(),
        };
        return Some(Act::Settle {
            within: settle.value.0,
            except,
        });
    }
    if let Some(raw) = &raw.send {
        return send(raw, stage, mistakes);
    }
    if let Some(stop) = &raw.stop {
        match stop.value {
            RawStop::Traffic if stage.flows.is_empty() => {
                let message = "no traffic is being sent";
                mistakes.push(mistakes.error(stop.span, message, "nothing to stop"));
            }
            RawStop::Traffic => stage.flows.clear(),
        }
        return Some(Act::Stop);
    }
    if let Some(raw) = &raw.fail {
        let fault = fail(raw, stage, mistakes)?;
        stage.broken.push(fault.target.clone());
        return Some(Act::Fail(fault));
    }
    if let Some(name) = &raw.repair {
        return repair(name, stage, mistakes);
    }
    if let Some(raw) = &raw.announce {
        return announce(raw, stage, mistakes);
    }
    if let Some(raw) = &raw.withdraw {
        return withdraw(raw, stage, mistakes);
    }
    raw.hold.as_ref().and_then(|raw| hold(raw, mistakes))
}

fn send(raw: &Located<RawSend>, stage: &mut Stage<'_>, mistakes: &mut Mistakes) -> Option<Act> {
    let at = raw.span;
    let raw = &raw.value;
    let from = mistakes.require(raw.from.as_ref(), at, "`send`", "from", "from = \"teams\"");
    let to = mistakes.require(raw.to.as_ref(), at, "`send`", "to", "to = \"…\"");
    let (from, to) = (from?, to?);
    let valid: Vec<&str> = ["teams"]
        .into_iter()
        .chain(stage.endpoint_names())
        .collect();
    let known = [from, to].map(|end| mistakes.known(end, "endpoint", valid.iter().copied()));
    if known != [true, true] {
        return None;
    }
    if (from.value == "teams") == (to.value == "teams") {
        let message = format!(
            "traffic from `{}` to `{}` does not cross the interconnect",
            from.value, to.value
        );
        let diagnostic = mistakes.error(
            to.span,
            message,
            "one end is `teams`, the other an endpoint",
        );
        mistakes.push(diagnostic);
        return None;
    }
    let every = raw
        .every
        .map_or(Duration::from_millis(1), |every| every.value.0);
    if let Some(given) = raw.every
        && !(Duration::from_micros(100)..=Duration::from_secs(1)).contains(&every)
    {
        let message = "this interval between packets is not possible";
        mistakes.push(mistakes.error(given.span, message, "100us to 1s"));
    }
    let flows = raw.flows.map_or(64, |flows| flows.value);
    if let Some(given) = raw.flows
        && !(1..=1024).contains(&flows)
    {
        let message = format!("{flows} flows are not possible");
        mistakes.push(mistakes.error(given.span, message, "1 to 1024"));
    }
    let both_ways = raw.both_ways.is_some_and(|both| both.value);
    let (from, to) = (from.value.clone(), to.value.clone());
    let mut directions = vec![(from.clone(), to.clone())];
    if both_ways {
        directions.push((to.clone(), from.clone()));
    }
    for direction in directions {
        if stage.flows.contains(&direction) {
            let message = format!(
                "traffic from `{}` to `{}` is being sent already",
                direction.0, direction.1
            );
            mistakes.push(mistakes.error(at, message, "the second time"));
        } else {
            stage.flows.push(direction);
        }
    }
    Some(Act::Send {
        from,
        to,
        both_ways,
        every,
        flows,
    })
}

fn fail(raw: &Located<RawFail>, stage: &Stage<'_>, mistakes: &mut Mistakes) -> Option<Fault> {
    let at = raw.span;
    let raw = &raw.value;
    let given: Vec<&str> = [
        raw.connection.as_ref().map(|_| "connection"),
        raw.member.as_ref().map(|_| "member"),
        raw.node.as_ref().map(|_| "node"),
        raw.metro.as_ref().map(|_| "metro"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if given.len() != 1 {
        if given.is_empty() && mistakes.is_struck(at, None) {
            return None;
        }
        let message = "a step breaks exactly one of connection, member, node and metro";
        let label = if given.is_empty() {
            "nothing is broken here".to_owned()
        } else {
            format!("{} here", list(given.iter().copied()))
        };
        mistakes.push(mistakes.error(at, message, label));
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

fn repair(name: &Located<String>, stage: &mut Stage<'_>, mistakes: &mut Mistakes) -> Option<Act> {
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
    let broken: Vec<String> = stage.broken.iter().map(words).collect();
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

/// The connections of `from`; all of them if it is not given.
fn sessions(
    from: Option<&Located<Names>>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Vec<String>> {
    match from {
        Some(names) => stage.connections(names, mistakes),
        None => Some(stage.connection_names().map(str::to_owned).collect()),
    }
}

fn announce(
    raw: &Located<RawAnnounce>,
    stage: &mut Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let at = raw.span;
    let raw = &raw.value;
    let example = "prefix = \"203.0.113.0/24\"";
    let prefix = mistakes.require(raw.prefix, at, "`announce`", "prefix", example);
    let from = sessions(raw.from.as_ref(), stage, mistakes);
    let asn = stage.topology.peer.asn;
    let path = raw.as_path.as_ref();
    if let Some(first) = path.and_then(|path| path.value.first())
        && first.value != asn
    {
        let message = format!(
            "the AS path begins with {}, not with the peer's AS",
            first.value
        );
        let diagnostic = mistakes.error(first.span, message, format!("the peer is AS {asn}"));
        mistakes.push(diagnostic.replace(
            "begin with it",
            first.span,
            format!("{asn}, {}", first.value),
        ));
    }
    if let Some(zero) = path.and_then(|path| path.value.iter().find(|asn| asn.value == 0)) {
        let diagnostic = mistakes.error(
            zero.span,
            "AS 0 cannot be in an AS path",
            "not an AS number",
        );
        mistakes.push(diagnostic.note("RFC 7607"));
    }
    let communities = match &raw.communities {
        Some(given) => given.iter().map(|c| (c.value.0, c.value.1)).collect(),
        None => vec![(PEERING_SERVICE.0, PEERING_SERVICE.1)],
    };
    let prefix = prefix?.value.0;
    if !stage.prefixes.contains(&prefix) {
        stage.prefixes.push(prefix);
    }
    Some(Act::Announce {
        prefix,
        from: from?,
        as_path: path.map_or_else(Vec::new, |path| {
            path.value.iter().map(|a| a.value).collect()
        }),
        communities,
    })
}

fn withdraw(raw: &Located<RawWithdraw>, stage: &Stage<'_>, mistakes: &mut Mistakes) -> Option<Act> {
    let at = raw.span;
    let raw = &raw.value;
    let example = "prefix = \"198.51.100.0/24\"";
    let prefix = mistakes.require(raw.prefix, at, "`withdraw`", "prefix", example);
    let from = sessions(raw.from.as_ref(), stage, mistakes);
    let prefix = prefix?;
    if !stage.prefixes.contains(&prefix.value.0) {
        let message = format!("the peer does not announce {}", prefix.value.0);
        let diagnostic = mistakes.error(prefix.span, message, "nothing to withdraw");
        let announced: Vec<String> = stage.prefixes.iter().map(ToString::to_string).collect();
        let announced = list(announced.iter().map(String::as_str));
        mistakes.push(diagnostic.note(format!("announced: {announced}")));
        return None;
    }
    Some(Act::Withdraw {
        prefix: prefix.value.0,
        from: from?,
    })
}

fn hold(raw: &Located<RawHold>, mistakes: &mut Mistakes) -> Option<Act> {
    let at = raw.span;
    let time = mistakes.require(raw.value.time, at, "`hold`", "time", "time = \"2s\"");
    let reason = raw.value.reason.as_ref();
    let reason = mistakes.require(reason, at, "`hold`", "reason", "reason = \"…\"");
    if let Some(empty) = reason.filter(|reason| reason.value.trim().is_empty()) {
        let message = "a pause without a reason is a guess";
        mistakes.push(mistakes.error(empty.span, message, "say what is waited for"));
    }
    Some(Act::Hold {
        time: time?.value.0,
        reason: reason?.value.clone(),
    })
}
