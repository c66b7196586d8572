//! What a step does.

mod bfd;
mod fault;
mod lacp;
mod lag;
mod onboard;
mod prefix;
mod route;
mod session;
mod setting;

use std::time::Duration;

use super::Act;
use super::raw::{RawHold, RawSend, RawStep, RawStop};
use super::stage::Stage;
use crate::source::{Duration as RawDuration, Located, Mistakes, Names, list};
use crate::topology::{of_session, session_name};

pub(super) use route::PEERING_SERVICE;

/// Flows of a direction where nothing is said.
const FLOWS: u16 = 64;
/// The same of one that is pinned to a member.
const PINNED_FLOWS: u16 = 16;

/// What the step does; `None` after a mistake, or when it does nothing.
pub(super) fn parse(raw: &RawStep, stage: &mut Stage<'_>, mistakes: &mut Mistakes) -> Option<Act> {
    if let Some(except) = raw.except.as_ref().filter(|_| raw.settle.is_none()) {
        let message = "`except` belongs to `settle`";
        mistakes.push(mistakes.error(except.span, message, "there is no `settle` in this step"));
    }
    if let Some(within) = raw.settle {
        return settle(within, raw.except.as_ref(), stage, mistakes);
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
        let fault = fault::fail(raw, stage, mistakes)?;
        stage.broken.push(fault.target.clone());
        return Some(Act::Fail(fault));
    }
    if let Some(raw) = &raw.impair {
        return fault::impair(raw, stage, mistakes);
    }
    if let Some(name) = &raw.repair {
        return fault::repair(name, stage, mistakes);
    }
    if let Some(raw) = &raw.restart {
        return session::restart(raw, stage, mistakes);
    }
    if let Some(raw) = &raw.bfd {
        return bfd::order(raw, stage, mistakes);
    }
    if let Some(raw) = &raw.lacp {
        return lacp::order(raw, stage, mistakes);
    }
    if let Some(raw) = &raw.augment {
        return lag::augment(raw, stage, mistakes);
    }
    if let Some(name) = &raw.reduce {
        return lag::reduce(name, stage, mistakes);
    }
    if let Some(raw) = &raw.announce {
        return route::announce(raw, stage, mistakes);
    }
    if let Some(raw) = &raw.withdraw {
        return route::withdraw(raw, stage, mistakes);
    }
    if let Some(names) = &raw.drain {
        return session::drain(names, stage, mistakes);
    }
    if let Some(raw) = &raw.shutdown {
        return session::shutdown(raw, stage, mistakes);
    }
    if let Some(raw) = &raw.reset {
        return session::reset(raw, stage, mistakes);
    }
    if let Some(names) = &raw.start {
        return session::start(names, stage, mistakes);
    }
    if let Some(names) = &raw.refresh {
        return session::refresh(names, stage, mistakes);
    }
    if let Some(raw) = &raw.set {
        return setting::set(raw, stage, mistakes);
    }
    if let Some(raw) = &raw.onboard {
        return onboard::onboard(raw, stage, mistakes).map(Act::Request);
    }
    if let Some(request) = prefix::request(raw, stage, mistakes) {
        return request.map(Act::Request);
    }
    raw.hold.as_ref().and_then(|raw| hold(raw, mistakes))
}

/// Waits for what can come up: every other connection is named in `except`.
fn settle(
    within: Located<RawDuration>,
    except: Option<&Located<Names>>,
    stage: &Stage<'_>,
    mistakes: &mut Mistakes,
) -> Option<Act> {
    let except = match except {
        Some(names) => stage.connections(names, mistakes)?,
        None => Vec::new(),
    };
    let dark: Vec<&str> = stage
        .connection_names()
        .filter(|name| !stage.cabled.iter().any(|cabled| cabled == name))
        .filter(|name| !except.iter().any(|except| except == name))
        .collect();
    if stage.cabled.is_empty() {
        let message = "nothing can come up before it is onboarded";
        let diagnostic = mistakes.error(within.span, message, "nothing to wait for");
        mistakes.push(diagnostic.help("put a step with `onboard = \"all\"` before it"));
    } else if !dark.is_empty() {
        let message = format!(
            "{} cannot come up: no cable, or removed",
            list(dark.iter().copied())
        );
        let diagnostic = mistakes.error(within.span, message, "this would wait in vain");
        let names: Vec<String> = dark.iter().map(|name| format!("\"{name}\"")).collect();
        mistakes.push(diagnostic.help(format!("write `except = [{}]`", names.join(", "))));
    }
    Some(Act::Settle {
        within: within.value.0,
        except,
    })
}

fn send(raw: &Located<RawSend>, stage: &mut Stage<'_>, mistakes: &mut Mistakes) -> Option<Act> {
    let at = raw.span;
    let raw = &raw.value;
    let from = mistakes.require(raw.from.as_ref(), at, "`send`", "from", "from = \"teams\"");
    let to = mistakes.require(raw.to.as_ref(), at, "`send`", "to", "to = \"…\"");
    let (from, to) = (from?, to?);
    let valid = stage.host_names();
    let valid = || valid.iter().map(String::as_str);
    let known = [from, to].map(|end| mistakes.known(end, "endpoint", valid()));
    if known != [true, true] {
        return None;
    }
    let [(one, family), (other, other_family)] = [from, to].map(|end| of_session(&end.value));
    if family != other_family {
        let message = format!("`{}` and `{}` are of two families", from.value, to.value);
        let diagnostic = mistakes.error(to.span, message, "one has IPv4, the other IPv6");
        let right = session_name(other, family);
        let right = mistakes.quoted_like(to.span, &right);
        mistakes.push(diagnostic.replace("write both alike", to.span, right));
        return None;
    }
    if (one == "teams") == (other == "teams") {
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
    let member = match &raw.member {
        Some(name) => Some(stage.member(name, mistakes)?),
        None => None,
    };
    let usual = if member.is_some() {
        PINNED_FLOWS
    } else {
        FLOWS
    };
    let flows = raw.flows.map_or(usual, |flows| flows.value);
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
        member,
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
