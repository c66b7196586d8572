//! Boot: from the start of N routers to all of them converged, ours beside BIRD on the same kind of links.
//!
//! N/2 pairs of an edge (280 routes) and a peer (10 routes), two links, two BGP and two BFD sessions (300 ms × 3)
//! each. Converged: every kernel holds all routes of the other side over both links. For ours also: BFD is up on
//! every session, which BIRD is spared. Namespaces and links are there before the clock starts.
//!
//! Each run is a process of its own in namespaces of its own. Arguments: `[--runs R] [N…]`.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use peerlab::kernel::enter::enter;
use peerlab::record::Fact;
use peerlab::time::Clock;
use serde::{Deserialize, Serialize};
use support::bed::Bed;
use support::figure::{self, Against};
use support::watch::{Watch, pause, until_complete};
use support::{Outcome, bird, ours};

const ROLE: &str = "PEERLAB_BENCH_BOOT";
const BFD_MS: u64 = 300;
const PATIENCE: Duration = Duration::from_secs(60);
/// Limits of ours: CPU seconds and memory (KiB) per router.
const CPU_LIMIT: f64 = 0.005;
const MEMORY_LIMIT: f64 = 512.0;

/// What one run gave.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    /// Until all routes were in all kernels, seconds.
    routes: f64,
    /// Until BFD was up everywhere too, seconds; as `routes` for BIRD.
    converged: f64,
    /// CPU time per router, seconds.
    cpu: f64,
    /// Memory per router, KiB.
    memory: f64,
}

fn main() -> Outcome<()> {
    if let Ok(role) = std::env::var(ROLE) {
        let (kind, routers) = role.split_once(' ').ok_or("no number of routers")?;
        enter()?.signals.release();
        let run = match kind {
            "ours" => run_ours(routers.parse()?)?,
            _ => run_bird(routers.parse()?)?,
        };
        println!("{}", serde_json::to_string(&run)?);
        return Ok(());
    }
    let mut runs = 5;
    let mut sizes = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--runs" => runs = arguments.next().ok_or("--runs needs a number")?.parse()?,
            // Cargo says so.
            "--bench" => {}
            number => sizes.push(number.parse()?),
        }
    }
    if sizes.is_empty() {
        sizes = vec![4, 20, 50];
    }
    let peers = bird::installed();
    for routers in sizes {
        let (mut ours, mut birds) = (Vec::new(), Vec::new());
        // Alternating, so that what else the host does hits both.
        for _ in 0..runs {
            ours.push(measure("ours", routers)?);
            if peers {
                birds.push(measure("bird", routers)?);
            }
        }
        print(routers, &ours, &birds);
    }
    Ok(())
}

fn print(routers: usize, ours: &[Run], birds: &[Run]) {
    let of = |runs: &[Run], value: fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<_>>();
    let name = |what: &str| format!("boot/{routers}/{what}");
    let compared = |what: &str, unit: &str, value: fn(&Run) -> f64| {
        if birds.is_empty() {
            figure::skipped(&name(what), "BIRD is not installed");
        } else {
            let peer = of(birds, value);
            figure::print(
                &name(what),
                unit,
                &of(ours, value),
                Against::Peer("BIRD", &peer),
            );
        }
    };
    compared("routes", "s", |run| run.routes);
    compared("converged", "s", |run| run.converged);
    compared("cpu-per-router", "s", |run| run.cpu);
    compared("memory-per-router", "KiB", |run| run.memory);
    figure::print(
        &name("cpu-per-router-limit"),
        "s",
        &of(ours, |run| run.cpu),
        Against::Limit(CPU_LIMIT),
    );
    figure::print(
        &name("memory-per-router-limit"),
        "KiB",
        &of(ours, |run| run.memory),
        Against::Limit(MEMORY_LIMIT),
    );
}

/// One run in a process of its own.
fn measure(kind: &str, routers: usize) -> Outcome<Run> {
    let output = Command::new(std::env::current_exe()?)
        .env(ROLE, format!("{kind} {routers}"))
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "{kind} with {routers} routers: {}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn watches(bed: &Bed, clock: Clock) -> Outcome<Vec<(usize, Watch)>> {
    bed.routers()
        .map(|(_, side, namespace)| Ok((side, Watch::open(namespace, clock)?)))
        .collect()
}

fn run_ours(routers: usize) -> Outcome<Run> {
    let bed = Bed::new(routers / 2)?;
    let clock = Clock::start();
    let mut watches = watches(&bed, clock)?;
    let this = std::process::id();
    let memory = figure::memory_of(this)?;
    let cpu = cpu_but_this_thread()?;
    let begin = Instant::now();
    let mut ours = ours::start(&bed, BFD_MS, clock)?;
    until_complete(&mut watches, PATIENCE)?;
    let routes = begin.elapsed();
    let mut up = 0;
    while up < 2 * routers {
        let entry = ours.facts.blocking_recv().ok_or("the routers ended")?;
        if matches!(&entry.fact, Fact::Bfd { state, .. } if state == "up") {
            up += 1;
        }
        if begin.elapsed() > PATIENCE {
            return Err("BFD never came up".into());
        }
    }
    let converged = begin.elapsed();
    pause(&mut watches, Duration::from_secs(1))?;
    let run = Run {
        routes: routes.as_secs_f64(),
        converged: converged.as_secs_f64(),
        cpu: (cpu_but_this_thread()? - cpu) / routers as f64,
        memory: (figure::memory_of(this)? - memory) / routers as f64,
    };
    Ok(run)
}

/// CPU time of this process without its main thread, which only watches, in seconds.
fn cpu_but_this_thread() -> Outcome<f64> {
    use nix::time::{ClockId, clock_gettime};
    let seconds =
        |clock| -> Outcome<f64> { Ok(Duration::from(clock_gettime(clock)?).as_secs_f64()) };
    Ok(seconds(ClockId::CLOCK_PROCESS_CPUTIME_ID)? - seconds(ClockId::CLOCK_THREAD_CPUTIME_ID)?)
}

fn run_bird(routers: usize) -> Outcome<Run> {
    let bed = Bed::new(routers / 2)?;
    let mut watches = watches(&bed, Clock::start())?;
    let ready = bird::prepare(&bed, BFD_MS)?;
    let begin = Instant::now();
    let birds = ready.start()?;
    until_complete(&mut watches, PATIENCE)?;
    let routes = begin.elapsed().as_secs_f64();
    pause(&mut watches, Duration::from_secs(1))?;
    let (cpu, memory) = (birds.cpu()?, birds.memory()?);
    Ok(Run {
        routes,
        converged: routes,
        cpu: cpu / routers as f64,
        memory: memory / routers as f64,
    })
}
