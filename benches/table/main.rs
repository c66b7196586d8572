//! Tables: a million IPv4 routes, ten to an UPDATE with an attribute set of their own, received, sent, withdrawn, lost.
//!
//! - `receive-cpu`, `receive-memory`, `receive-wall`: a prepared stream from a plain socket into a receiver that is a process
//!   of its own and puts no routes into the kernel, beside BIRD in the same run; CPU seconds, peak resident memory, and the
//!   time until all is held. Ours is the router's core behind a TCP socket that is read 16 KiB at a time; the event loop and
//!   the kernel routes of a lab's router (`router/driver.rs`) are not in it, as BIRD's kernel protocol is off.
//! - `send-and-receive`: our sender to our receiver over TCP in one process, wall clock; both as above.
//! - `withdraw-cpu`: all routes of one of two neighbours are withdrawn; the core alone.
//! - `loss-cpu`, `loss-kernel-messages`: the same by a lost connection, with all routes in a kernel: CPU seconds of core and
//!   kernel, and the messages that were sent to it. All routes move to the other neighbour with one of them, the change of
//!   their group's members; one before it makes the new next hop, and one after it removes the old.
//!
//! Arguments: `[--runs R] [--routes N]`.

mod core;
mod receive;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod two_peers;

use std::process::Command;

use peerlab::kernel::enter::enter;
use receive::Received;
use serde::de::DeserializeOwned;
use support::figure::{self, Against};
use support::{Outcome, bird};
use two_peers::Losses;

const ROLE: &str = "PEERLAB_BENCH_TABLE";
/// Wall-clock seconds from our sender to our receiver, for a million.
const SEND_LIMIT: f64 = 1.5;
/// CPU seconds to withdraw a million routes.
const WITHDRAW_LIMIT: f64 = 1.0;
/// Messages to the kernel for a lost connection: a next hop, the change of all routes, the end of a next hop.
const LOSS_LIMIT: f64 = 3.0;

fn main() -> Outcome<()> {
    if let Ok(role) = std::env::var(ROLE) {
        return play(&role);
    }
    let (mut runs, mut routes) = (5, 1_000_000);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Outcome<usize> { Ok(arguments.next().ok_or("no number")?.parse()?) };
        match argument.as_str() {
            "--runs" => runs = number()?,
            "--routes" => routes = number()?,
            // Cargo says so.
            "--bench" => {}
            other => return Err(format!("`{other}` is no argument").into()),
        }
    }
    let name = |what: &str| format!("table/{routes}/{what}");
    let (mut ours, mut theirs): (Vec<Received>, Vec<Received>) = Default::default();
    for _ in 0..runs {
        // In turns: whatever else the machine does is with both.
        ours.push(child("receive-ours", routes)?);
        if bird::installed() {
            theirs.push(child("receive-bird", routes)?);
        }
    }
    for (what, unit, value) in [
        ("receive-cpu", "s", (|r| r.cpu) as fn(&Received) -> f64),
        ("receive-memory", "MiB", |r| r.memory),
        ("receive-wall", "s", |r| r.wall),
    ] {
        let of = |list: &[Received]| list.iter().map(value).collect::<Vec<f64>>();
        figure::print(
            &name(what),
            unit,
            &of(&ours),
            Against::Peer("BIRD", &of(&theirs)),
        );
    }
    let sent: Vec<f64> = (0..runs)
        .map(|_| child("send", routes))
        .collect::<Outcome<_>>()?;
    let million = routes as f64 / 1e6;
    let limit = Against::Limit(SEND_LIMIT * million);
    figure::print(&name("send-and-receive"), "s", &sent, limit);
    let lost: Vec<Losses> = (0..runs)
        .map(|_| child("two-peers", routes))
        .collect::<Outcome<_>>()?;
    let of = |value: fn(&Losses) -> f64| lost.iter().map(value).collect::<Vec<f64>>();
    let limit = Against::Limit(WITHDRAW_LIMIT * million);
    figure::print(&name("withdraw-cpu"), "s", &of(|l| l.withdraw_cpu), limit);
    figure::print(&name("loss-cpu"), "s", &of(|l| l.loss_cpu), limit);
    let messages = of(|l| l.loss_messages);
    let limit = Against::Limit(LOSS_LIMIT);
    figure::print(&name("loss-kernel-messages"), "messages", &messages, limit);
    Ok(())
}

/// Plays a part in a process of its own; its figures are one line of JSON.
fn child<T: DeserializeOwned>(kind: &str, routes: usize) -> Outcome<T> {
    let output = Command::new(std::env::current_exe()?)
        .env(ROLE, format!("{kind} {routes}"))
        .output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{kind}: {words}").into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn play(role: &str) -> Outcome<()> {
    let (kind, routes) = role.split_once(' ').ok_or("no number of routes")?;
    let routes: usize = routes.parse()?;
    let line = match kind {
        "receiver" => return receive::receiver(routes),
        _ => {
            enter()?.signals.release();
            match kind {
                "two-peers" => serde_json::to_string(&two_peers::run(routes)?)?,
                "send" => serde_json::to_string(&receive::send(routes)?)?,
                "receive-ours" => serde_json::to_string(&receive::into_ours(routes)?)?,
                _ => serde_json::to_string(&receive::into_bird(routes)?)?,
            }
        }
    };
    println!("{line}");
    Ok(())
}
