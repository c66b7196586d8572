//! BFD in numbers: many pairs of sessions at 50 ms × 3 over one veth pair, both ends ours on one thread, beside two BIRDs
//! and, where nothing else is busy, two FRRs.
//!
//! Figures, for each number of pairs, and with another process that uses one core fully (`busy`):
//! - `cpu`: of both ends together, in percent of one core, while all are up;
//! - `false-downs`: sessions lost meanwhile, both ends counted, of which there may be none (`kept`);
//! - `all-up`: from the first session's start to the last one's Up;
//! - `sent-late`: how late packets left, by the kernel's transmit timestamps (ours only);
//! - `detected-late`: all sessions are silenced at once; from the end of the Detection Time to its detection (ours only).
//!
//! Each run is a process of its own in namespaces of its own. Arguments: `[--seconds S] [PAIRS…]`.

mod support;

use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use peerlab::kernel::bpf::programs::Pattern;
use peerlab::kernel::enter::enter;
use peerlab::kernel::filter::{Direction, Fault, set_faults};
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::line::Line;
use peerlab::record::{Entries, Fact, Punctuality, Recorder};
use peerlab::time::Clock;
use serde::{Deserialize, Serialize};
use support::bed::{Bed, index};
use support::facts::{self, hear};
use support::figure::{self, Against, cpu_of};
use support::pairs::{self, Birds, Daemons, Frrs, spec};
use support::watch::pause;
use support::{Outcome, bird, frr};
use tokio::runtime::Runtime;

const ROLE: &str = "PEERLAB_BENCH_BFD";
/// All sessions are up by then, or never.
const PATIENCE: Duration = Duration::from_secs(120);
/// Limits of ours: percent of a core with so many pairs, and milliseconds of a detection.
const CPU_LIMITS: [(u32, f64); 2] = [(100, 10.0), (1000, 100.0)];
const DETECTION_LIMIT: f64 = 5.0;

/// What one run gave.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Run {
    /// Seconds.
    all_up: f64,
    /// Percent of one core.
    cpu: f64,
    false_downs: u32,
    sent_late: Option<Punctuality>,
    /// Milliseconds.
    detected_late: Vec<f64>,
}

fn main() -> Outcome<()> {
    if let Ok(role) = std::env::var(ROLE) {
        let words: Vec<&str> = role.split(' ').collect();
        let [kind, pairs, seconds, busy] = words[..] else {
            return Err(format!("not a role: {role}").into());
        };
        let (pairs, seconds) = (pairs.parse()?, Duration::from_secs(seconds.parse()?));
        enter()?.signals.release();
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
        let bed = pairs::bed(pairs)?;
        let _busy = (busy == "busy").then(Busy::start).transpose()?;
        let run = match kind {
            "ours" => ours(&bed, pairs, seconds)?,
            "bird" => theirs::<Birds>(&bed, pairs, seconds)?,
            _ => theirs::<Frrs>(&bed, pairs, seconds)?,
        };
        println!("{}", serde_json::to_string(&run)?);
        return Ok(());
    }
    let mut seconds = 30;
    let mut sizes: Vec<u32> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                seconds = arguments
                    .next()
                    .ok_or("--seconds needs a number")?
                    .parse()?;
            }
            // Cargo says so.
            "--bench" => {}
            number => sizes.push(number.parse()?),
        }
    }
    if sizes.is_empty() {
        sizes = CPU_LIMITS.map(|(pairs, _)| pairs).to_vec();
    }
    for pairs in sizes {
        for busy in ["", "busy"] {
            let name = |what: &str| match busy {
                "" => format!("bfd/{pairs}/{what}"),
                _ => format!("bfd/{pairs}/{busy}/{what}"),
            };
            let mut anchors = vec![("bird", "BIRD", bird::installed())];
            if busy.is_empty() {
                anchors.push(("frr", "FRR", frr::installed()));
            }
            let ours = match measure("ours", pairs, seconds, busy) {
                Ok(ours) => ours,
                Err(why) => {
                    figure::skipped(&name("ours"), &why.to_string());
                    continue;
                }
            };
            print(&name, pairs, &ours);
            for (kind, title, installed) in anchors {
                match installed {
                    true => beside(&name, &ours, title, measure(kind, pairs, seconds, busy)),
                    false => figure::skipped(&name(kind), &format!("{title} is not installed")),
                }
            }
        }
    }
    Ok(())
}

/// Our figures against their limits.
fn print(name: &dyn Fn(&str) -> String, pairs: u32, ours: &Run) {
    if let Some((_, limit)) = CPU_LIMITS.iter().find(|(of, _)| *of == pairs) {
        figure::print(&name("cpu"), "%", &[ours.cpu], Against::Limit(*limit));
    }
    let downs = f64::from(ours.false_downs);
    let none = Against::Limit(0.0);
    figure::print(&name("false-downs"), "sessions", &[downs], none);
    if let Some(late) = &ours.sent_late {
        for (what, value) in [("p50", late.p50), ("p99", late.p99), ("p999", late.p999)] {
            let name = name(&format!("sent-late-{what}"));
            let value = Duration::from(value).as_secs_f64() * 1e3;
            figure::print(&name, "ms", &[value], Against::Limit(DETECTION_LIMIT));
        }
    }
    let late = &ours.detected_late;
    let name = name("detected-late-p99");
    figure::print_quantile(&name, "ms", late, 0.99, DETECTION_LIMIT);
}

/// Our figures beside those of another's two daemons.
fn beside(name: &dyn Fn(&str) -> String, ours: &Run, title: &'static str, theirs: Outcome<Run>) {
    let kind = title.to_lowercase();
    let theirs = match theirs {
        Ok(theirs) => theirs,
        Err(why) => return figure::skipped(&name(&kind), &why.to_string()),
    };
    let print = |what: &str, unit, ours, theirs| {
        let name = name(&format!("{what}-{kind}"));
        figure::print(&name, unit, &[ours], Against::Peer(title, &[theirs]));
    };
    print("cpu", "%", ours.cpu, theirs.cpu);
    print("all-up", "s", ours.all_up, theirs.all_up);
    let [downs, of_theirs] = [ours.false_downs, theirs.false_downs].map(f64::from);
    print("false-downs", "sessions", downs, of_theirs);
}

/// One run in a process of its own.
fn measure(kind: &str, pairs: u32, seconds: u64, busy: &str) -> Outcome<Run> {
    let output = Command::new(std::env::current_exe()?)
        .env(ROLE, format!("{kind} {pairs} {seconds} {busy}"))
        .output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(words.into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A process that uses a core; killed when dropped.
struct Busy(Child);

impl Busy {
    fn start() -> Outcome<Busy> {
        let mut command = Command::new("sh");
        Ok(Busy(command.args(["-c", "while :; do :; done"]).spawn()?))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ours(bed: &Bed, pairs: u32, time: Duration) -> Outcome<Run> {
    let runtime = facts::waiting()?;
    let (recorder, mut told) = Recorder::new(Clock::start());
    let (events, _events) = tokio::sync::mpsc::unbounded_channel();
    let began = Instant::now();
    let line = Line::start(recorder, events)?;
    for pair in 0..pairs {
        for (_, side, namespace) in bed.routers() {
            line.add_bfd(namespace, spec(pair, side)?)?;
        }
    }
    let is = |fact: &Fact, wanted: &str| matches!(fact, Fact::Bfd { state, .. } if state == wanted);
    let mut up = 0;
    let all_up = hear(&runtime, &mut told, PATIENCE, |fact, _| {
        up += u32::from(is(fact, "up"));
        up == 2 * pairs
    })?;
    if !all_up {
        return Err(format!("{up} of {} sessions came up", 2 * pairs).into());
    }
    let all_up = began.elapsed().as_secs_f64();
    // The slow interval of the beginning is over (RFC 5880, section 6.8.3).
    hear(&runtime, &mut told, Duration::from_secs(2), |_, _| false)?;
    let (before, since) = (cpu_of(std::process::id())?, Instant::now());
    let mut false_downs = 0;
    hear(&runtime, &mut told, time, |fact, _| {
        false_downs += u32::from(is(fact, "down"));
        false
    })?;
    let cpu = 100.0 * (cpu_of(std::process::id())? - before) / since.elapsed().as_secs_f64();
    let detected_late = detections(bed, &runtime, &mut told, pairs)?;
    drop(line);
    let mut sent_late = None;
    while let Ok(entry) = told.try_recv() {
        if let Fact::Punctuality { figures, .. } = entry.fact {
            sent_late = Some(figures);
        }
    }
    Ok(Run {
        all_up,
        cpu,
        false_downs,
        sent_late,
        detected_late,
    })
}

/// Silences all sessions, and tells how late each end declared it, in milliseconds.
fn detections(bed: &Bed, runtime: &Runtime, told: &mut Entries, pairs: u32) -> Outcome<Vec<f64>> {
    for (_, side, namespace) in bed.routers() {
        let fault = Fault {
            member: index(side, 0),
            direction: Direction::In,
            pattern: Pattern::Everything,
        };
        set_faults(&mut Netlink::open_in(namespace)?, &[fault])?;
    }
    let (mut late, all) = (Vec::new(), 2 * pairs as usize);
    let detected = hear(runtime, told, PATIENCE, |fact, at| {
        if let Fact::Bfd {
            state,
            last_received: Some(last),
            detection_time: Some(time),
            ..
        } = fact
            && state == "down"
        {
            let due = *last + Duration::from(*time);
            late.push(at.since(due).as_secs_f64() * 1e3);
        }
        late.len() == all
    })?;
    if !detected {
        let some = late.len();
        return Err(format!("{some} of {all} sessions detected the silence").into());
    }
    Ok(late)
}

/// Of the number of a session: it was lost meanwhile.
const MOVED: f64 = 0.5;

fn theirs<D: Daemons>(bed: &Bed, pairs: u32, time: Duration) -> Outcome<Run> {
    let namespaces: Vec<&Namespace> = bed.routers().map(|(_, _, it)| it.as_ref()).collect();
    let began = Instant::now();
    let daemons = D::start(bed, pairs)?;
    let all = 2 * pairs as usize;
    let mut up = BTreeMap::new();
    while up.len() < all {
        if began.elapsed() > PATIENCE {
            return Err(format!("{} of {all} sessions came up", up.len()).into());
        }
        pause(&mut [], Duration::from_millis(50))?;
        up = daemons.up(&namespaces)?;
    }
    let all_up = began.elapsed().as_secs_f64();
    pause(&mut [], Duration::from_secs(2))?;
    let up = daemons.up(&namespaces)?;
    let (before, since) = (daemons.cpu()?, Instant::now());
    pause(&mut [], time)?;
    let cpu = 100.0 * (daemons.cpu()? - before) / since.elapsed().as_secs_f64();
    let after = daemons.up(&namespaces)?;
    let kept = up.iter().filter(|(session, number)| {
        let now = after.get(*session);
        now.is_some_and(|now| (now - **number).abs() <= MOVED)
    });
    Ok(Run {
        all_up,
        cpu,
        false_downs: u32::try_from(all - kept.count())?,
        ..Run::default()
    })
}
