//! Failover: a link goes silent, light stays; from the loss to the last kernel route that avoids it.
//!
//! An edge (280 routes) and a peer (10 routes) over two links with BFD. Both ends of one link drop everything on
//! ingress (tc), at a random phase of the BFD interval; links take turns. Figures, over both sides:
//! - `detect-to-route`: from the moment BFD declared the loss to the last route of the side;
//! - `overhead`: from (last BFD packet received + detection time) to the last route, all an implementation can lose;
//! - `total`: from the drop to the last route, beside BIRD and FRR.
//!
//! Each series is a process of its own in namespaces of its own. Arguments: `[--trials T] [INTERVAL_MS…]`.

mod support;

use std::process::Command;
use std::time::{Duration, Instant};

use peerlab::kernel::bpf::programs::Pattern;
use peerlab::kernel::enter::enter;
use peerlab::kernel::filter::{Direction, Fault, clear_faults, set_faults};
use peerlab::kernel::netlink::Netlink;
use peerlab::kernel::priority;
use peerlab::record::{Entry, Fact};
use peerlab::time::{At, Clock};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use support::bed::{Bed, INTERFACES, index};
use support::figure::{self, Against};
use support::ours::Ours;
use support::watch::{self, Watch, pause, until_complete};
use support::{Outcome, bird, frr, ours};

const ROLE: &str = "PEERLAB_BENCH_FAILOVER";
const PATIENCE: Duration = Duration::from_secs(60);
/// Limits of ours for detection to route, milliseconds.
const MEDIAN_LIMIT: f64 = 1.0;
const P99_LIMIT: f64 = 3.0;

/// One side of one trial, milliseconds.
#[derive(Debug, Serialize, Deserialize)]
struct Sample {
    total: f64,
    /// Ours only.
    detect_to_route: Option<f64>,
    /// Ours only.
    overhead: Option<f64>,
}

fn main() -> Outcome<()> {
    if let Ok(role) = std::env::var(ROLE) {
        let mut words = role.split(' ');
        let mut word = || words.next().ok_or("a word is missing");
        let (kind, interval, trials) = (word()?, word()?.parse()?, word()?.parse()?);
        enter()?.signals.release();
        let samples = series(kind, interval, trials)?;
        println!("{}", serde_json::to_string(&samples)?);
        return Ok(());
    }
    let mut trials = None;
    let mut intervals: Vec<u64> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--trials" => {
                trials = Some(arguments.next().ok_or("--trials needs a number")?.parse()?);
            }
            // Cargo says so.
            "--bench" => {}
            number => intervals.push(number.parse()?),
        }
    }
    if intervals.is_empty() {
        intervals = vec![50, 300];
    }
    for interval in intervals {
        // The longer the interval, the fewer trials fit a patient person's minute.
        // The others have fewer, for they take longer to come back.
        let (trials, of_others) = match trials {
            Some(trials) => (trials, trials),
            None if interval <= 50 => (50, 20),
            None => (14, 8),
        };
        let ours = measure("ours", interval, trials)?;
        print_own(interval, &ours);
        let total = totals(&ours);
        for (kind, peer, installed) in [
            ("bird", "BIRD", bird::installed()),
            ("frr", "FRR", frr::installed()),
        ] {
            let name = format!("failover/{interval}x3/total-{kind}");
            if !installed {
                figure::skipped(&name, &format!("{peer} is not installed"));
                continue;
            }
            match measure(kind, interval, of_others) {
                Ok(theirs) => {
                    figure::print(&name, "ms", &total, Against::Peer(peer, &totals(&theirs)));
                }
                Err(why) => figure::skipped(&name, &why.to_string()),
            }
        }
    }
    Ok(())
}

fn totals(samples: &[Sample]) -> Vec<f64> {
    samples.iter().map(|sample| sample.total).collect()
}

fn print_own(interval: u64, ours: &[Sample]) {
    let of = |value: fn(&Sample) -> Option<f64>| ours.iter().filter_map(value).collect::<Vec<_>>();
    let name = |what: &str| format!("failover/{interval}x3/{what}");
    for (what, values) in [
        ("detect-to-route", of(|sample| sample.detect_to_route)),
        ("overhead", of(|sample| sample.overhead)),
    ] {
        figure::print(&name(what), "ms", &values, Against::Limit(MEDIAN_LIMIT));
        let p99 = name(&format!("{what}-p99"));
        figure::print_quantile(&p99, "ms", &values, 0.99, P99_LIMIT);
    }
}

/// One series in a process of its own.
fn measure(kind: &str, interval: u64, trials: usize) -> Outcome<Vec<Sample>> {
    let output = Command::new(std::env::current_exe()?)
        .env(ROLE, format!("{kind} {interval} {trials}"))
        .output()?;
    if !output.status.success() {
        return Err(format!(
            "{kind} at {interval} ms: {}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What plays the routers.
enum Routers {
    Ours(Ours),
    Others {
        #[expect(dead_code, reason = "they run while they are held")]
        held: Box<dyn std::any::Any>,
    },
}

fn series(kind: &str, interval: u64, trials: usize) -> Outcome<Vec<Sample>> {
    let bed = Bed::new(1)?;
    let clock = Clock::start();
    let mut watches: Vec<(usize, Watch)> = bed
        .routers()
        .map(|(_, side, namespace)| Ok((side, Watch::open(namespace, clock)?)))
        .collect::<Outcome<_>>()?;
    let mut faults = bed
        .routers()
        .map(|(_, _, namespace)| Netlink::open_in(namespace))
        .collect::<Result<Vec<_>, _>>()?;
    let mut routers = match kind {
        "ours" => Routers::Ours(ours::start(&bed, interval, clock)?),
        "bird" => Routers::Others {
            held: Box::new(bird::prepare(&bed, interval)?.start()?),
        },
        _ => Routers::Others {
            held: Box::new(frr::start(&bed, interval)?),
        },
    };
    // A witness that comes late would make everyone late. Where this is refused, figures are worse on a busy machine.
    let _ = priority::real_time(priority::ROUTES);
    let mut random = StdRng::seed_from_u64(interval);
    let mut samples = Vec::new();
    for trial in 0..trials {
        settle(&mut watches, &mut routers, interval)?;
        let link = trial % 2;
        let phase = Duration::from_millis(interval).mul_f64(random.random());
        pause(&mut watches, phase)?;
        let dropped = clock.now();
        for (side, netlink) in faults.iter_mut().enumerate() {
            set_faults(netlink, &[fault(side, link)])?;
        }
        let gone = until_avoided(&mut watches, link, Duration::from_millis(3 * interval) * 3)?;
        let detected = match &mut routers {
            Routers::Ours(ours) => detections(ours, link, dropped)?,
            Routers::Others { .. } => [None, None],
        };
        for side in 0..2 {
            let route = gone[side];
            let ms = |from: At, to: At| {
                // Signed: a clock that runs backwards must be seen, not hidden.
                (to.as_nanos() as f64 - from.as_nanos() as f64) / 1e6
            };
            samples.push(Sample {
                total: ms(dropped, route),
                detect_to_route: detected[side].map(|(at, _)| ms(at, route)),
                overhead: detected[side].map(|(_, due)| ms(due, route)),
            });
        }
        for (side, netlink) in faults.iter_mut().enumerate() {
            clear_faults(netlink, &[fault(side, link)])?;
        }
    }
    Ok(samples)
}

fn fault(side: usize, link: usize) -> Fault {
    Fault {
        member: index(side, link),
        direction: Direction::In,
        pattern: Pattern::Everything,
    }
}

/// Waits until everything is up, and has been for long enough that BFD runs at its own pace.
fn settle(watches: &mut [(usize, Watch)], routers: &mut Routers, interval: u64) -> Outcome<()> {
    until_complete(watches, PATIENCE)?;
    // Ten packets, and never less than the slow start of RFC 5880, section 6.8.3.
    pause(watches, Duration::from_millis((10 * interval).max(2000)))?;
    if let Routers::Ours(ours) = routers {
        while ours.facts.try_recv().is_ok() {}
    }
    until_complete(watches, PATIENCE)?;
    for (_, watch) in watches {
        watch.changes.clear();
    }
    Ok(())
}

/// When the last route of each side stopped using a link.
fn until_avoided(
    watches: &mut [(usize, Watch)],
    link: usize,
    patience: Duration,
) -> Outcome<[At; 2]> {
    let end = Instant::now() + patience;
    let mut gone = [At::ZERO; 2];
    loop {
        for (side, watch) in watches.iter_mut() {
            let dead = index(*side, link);
            watch.read()?;
            let last = watch.changes.drain(..).next_back();
            if let Some((at, ..)) = last.filter(|_| gone[*side] == At::ZERO)
                && watch.routes.values().all(|oifs| !oifs.contains(&dead))
            {
                gone[*side] = at;
            }
        }
        if gone.iter().all(|at| *at > At::ZERO) {
            return Ok(gone);
        }
        if Instant::now() > end {
            return Err(format!("routes still use {} after the loss", INTERFACES[link]).into());
        }
        let open: Vec<&Watch> = watches
            .iter()
            .filter(|(side, _)| gone[*side] == At::ZERO)
            .map(|(_, watch)| watch)
            .collect();
        watch::wait(&open, Duration::from_millis(20))?;
    }
}

/// When each side declared the loss, and when it was due.
fn detections(ours: &mut Ours, link: usize, dropped: At) -> Outcome<[Option<(At, At)>; 2]> {
    let mut found = [None, None];
    while found.iter().any(Option::is_none) {
        let Entry { at, fact } = ours.facts.blocking_recv().ok_or("the routers ended")?;
        let Fact::Bfd {
            router,
            connection,
            state,
            last_received: Some(last),
            detection_time: Some(time),
            ..
        } = fact
        else {
            continue;
        };
        if state != "down" || connection != INTERFACES[link] || at < dropped {
            continue;
        }
        let side = usize::from(router.starts_with('p'));
        found[side].get_or_insert((at, last + Duration::from(time)));
    }
    Ok(found)
}
