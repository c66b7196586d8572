//! The data path of a LAG, both ends ours, beside a bare veth link between the same two routers, in turns.
//!
//! Figures, for each number of members:
//! - `distributing`: from the first end's start until every member distributes at both ends;
//! - `distributing-beside-bond`: the same, relative to what a bond of the kernel's needs;
//! - `throughput`: what TCP flows carry together, relative to the bare link (higher is better, 0.8 is the limit);
//! - `latency`: a round trip of a datagram, relative to the bare link, each end on a CPU of its own, as two hosts would be;
//! - `latency-one-cpu`: the same with both ends on one, where nothing has to be woken and the path alone counts.
//!
//! Where the ends run is fixed, since the scheduler's choice makes a round trip four times as long or not.
//!
//! Each number of members is a process of its own in namespaces of its own. Arguments: `[--turns T] [MEMBERS…]`.

#[path = "../tests/bed/cabling.rs"]
mod cabling;
mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::cabling::Side;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use peerlab::kernel::apply::Network;
use peerlab::kernel::enter::enter;
use peerlab::kernel::namespace::Namespace;
use peerlab::line::{End, LagPort, Line};
use peerlab::plan::{Plan, Work};
use peerlab::record::{Fact, Recorder};
use peerlab::time::Clock;
use serde::{Deserialize, Serialize};
use support::Outcome;
use support::facts::{self, hear};
use support::figure::{self, Against, Spread};

const ROLE: &str = "PEERLAB_BENCH_LAG";
const PATIENCE: Duration = Duration::from_secs(30);
/// Seconds until all members distribute.
const DISTRIBUTING_LIMIT: f64 = 0.5;
/// What the kernel's bond takes for that, seconds: a figure known beforehand, not of this run.
const DISTRIBUTING_BOND: f64 = 2.9;
/// Of each measurement of throughput.
const TIME: Duration = Duration::from_secs(1);
/// Flows at once for each member: enough for all of eight to carry.
const FLOWS_OF_A_MEMBER: u32 = 4;
const ROUND_TRIPS: usize = 5_000;
const BUFFER: usize = 128 << 10;
const ROUTERS: [&str; 2] = ["a", "b"];
/// Networks of the two ways between the routers, and what their links are called.
const WAYS: [(&str, [u8; 3]); 2] = [("bare", [192, 0, 2]), ("x-1", [198, 51, 100])];

/// What the turns gave: bare and LAG, one after the other.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Run {
    /// Seconds.
    distributing: f64,
    /// Gbit/s.
    throughput: [Vec<f64>; 2],
    /// Microseconds.
    latency: [Vec<f64>; 2],
    /// Microseconds.
    latency_one_cpu: [Vec<f64>; 2],
}

fn main() -> Outcome<()> {
    if let Ok(role) = std::env::var(ROLE) {
        let (members, turns) = role.split_once(' ').ok_or("not a role")?;
        enter()?.signals.release();
        let run = run(members.parse()?, turns.parse()?)?;
        println!("{}", serde_json::to_string(&run)?);
        return Ok(());
    }
    let (mut turns, mut sizes) = (5_u32, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--turns" => turns = arguments.next().ok_or("--turns needs a number")?.parse()?,
            // Cargo says so.
            "--bench" => {}
            number => sizes.push(number.parse::<u32>()?),
        }
    }
    if sizes.is_empty() {
        sizes = vec![2, 8];
    }
    for members in sizes {
        let name = |what: &str| format!("lag/{members}/{what}");
        match measure(members, turns) {
            Ok(run) => {
                let limit = Against::Limit(DISTRIBUTING_LIMIT);
                figure::print(&name("distributing"), "s", &[run.distributing], limit);
                let bond = Against::Peer("kernel bond, not of this run", &[DISTRIBUTING_BOND]);
                let beside = name("distributing-beside-bond");
                figure::print(&beside, "s", &[run.distributing], bond);
                let [bare, lag] = &run.throughput;
                let peer = Against::Peer("bare veth", bare);
                figure::print(&name("throughput"), "Gbit/s", lag, peer);
                let [bare, lag] = &run.latency;
                let peer = Against::Peer("bare veth", bare);
                figure::print(&name("latency"), "µs", lag, peer);
                let [bare, lag] = &run.latency_one_cpu;
                let peer = Against::Peer("bare veth", bare);
                figure::print(&name("latency-one-cpu"), "µs", lag, peer);
            }
            Err(why) => figure::skipped(&name("ours"), &why.to_string()),
        }
    }
    Ok(())
}

/// One run in a process of its own.
fn measure(members: u32, turns: u32) -> Outcome<Run> {
    let output = Command::new(std::env::current_exe()?)
        .env(ROLE, format!("{members} {turns}"))
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn run(members: u32, turns: u32) -> Outcome<Run> {
    let work = cables(members);
    let network = Network::build(&Plan { work })?;
    let of = |name: &str| {
        let namespace = network.namespace(name);
        namespace.ok_or_else(|| format!("no namespace {name}"))
    };
    let (recorder, mut told) = Recorder::new(Clock::start());
    let (events, _events) = tokio::sync::mpsc::unbounded_channel();
    let line = Line::start(recorder, events)?;
    let began = Instant::now();
    for side in [side(0), side(1)] {
        line.add_lag(open(of(&side.card)?, &side, members)?);
    }
    let mut missing = 2 * members;
    let runtime = facts::waiting()?;
    let all = hear(&runtime, &mut told, PATIENCE, |fact, _| {
        if let Fact::Member { distributing, .. } = fact {
            missing = if *distributing { missing - 1 } else { missing };
        }
        missing == 0
    })?;
    if !all {
        return Err(format!("{missing} ends of members do not distribute").into());
    }
    let mut run = Run {
        distributing: began.elapsed().as_secs_f64(),
        ..Run::default()
    };
    let ends = [of("a")?, of("b")?];
    let flows = FLOWS_OF_A_MEMBER * members;
    for _ in 0..turns {
        for way in 0..WAYS.len() {
            run.throughput[way].push(throughput(ends, way, flows)?);
            run.latency[way].push(latency(ends, way, [0, 1])?);
            run.latency_one_cpu[way].push(latency(ends, way, [0, 0])?);
        }
    }
    Ok(run)
}

fn side(number: usize) -> Side {
    Side {
        router: ROUTERS[number].to_owned(),
        card: format!("{}.lc", ROUTERS[number]),
        index: [100, 200][number],
        hidden: [101, 201][number],
    }
}

fn address(way: usize, side: usize) -> Ipv4Addr {
    let [a, b, c] = WAYS[way].1;
    Ipv4Addr::new(a, b, c, side as u8)
}

/// Two routers with line cards, a bare link between the routers, and a LAG.
fn cables(members: u32) -> Vec<Work> {
    let mut work = Vec::new();
    let sides = [side(0), side(1)];
    for side in &sides {
        for (name, forwarding) in [(&side.router, true), (&side.card, false)] {
            work.push(Work::Namespace {
                name: name.clone(),
                forwarding,
                ipv6: false,
            });
        }
    }
    let [a, b] = &sides;
    let [(bare, _), (lag, _)] = WAYS;
    work.push(Work::Veth {
        a: cabling::end(&a.router, bare, 90, None),
        b: cabling::end(&b.router, bare, 190, None),
    });
    for (number, side) in sides.iter().enumerate() {
        work.extend(side.uplink(lag));
        for (way, (name, _)) in WAYS.into_iter().enumerate() {
            work.push(Work::Address {
                namespace: side.router.clone(),
                link: name.to_owned(),
                address: address(way, number).into(),
                prefix_len: 31,
            });
            work.push(cabling::up(&side.router, name));
        }
    }
    work.extend(cabling::members(lag, [a, b], members));
    work
}

fn open(card: &Namespace, side: &Side, members: u32) -> Outcome<LagPort> {
    let (config, links) = side.config(members);
    let end = End {
        router: side.router.clone(),
        connection: WAYS[1].0.to_owned(),
    };
    Ok(LagPort::open(card, end, &config, side.hidden, &links)?)
}

/// What several TCP flows from one router to the other carry together, Gbit/s.
fn throughput(ends: [&Arc<Namespace>; 2], way: usize, flows: u32) -> Outcome<f64> {
    let to = (address(way, 1), 5001);
    let listener = ends[1].run(|| TcpListener::bind(to))??;
    let streams = ends[0].run(|| {
        let streams = (0..flows).map(|_| TcpStream::connect(to));
        streams.collect::<std::io::Result<Vec<_>>>()
    })??;
    let began = Instant::now();
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    for mut stream in streams {
        let (mut accepted, _) = listener.accept()?;
        receivers.push(std::thread::spawn(move || -> std::io::Result<usize> {
            let (mut buffer, mut total) = (vec![0; BUFFER], 0);
            loop {
                match accepted.read(&mut buffer)? {
                    0 => return Ok(total),
                    count => total += count,
                }
            }
        }));
        senders.push(std::thread::spawn(move || -> std::io::Result<()> {
            let buffer = vec![0; BUFFER];
            while began.elapsed() < TIME {
                stream.write_all(&buffer)?;
            }
            Ok(())
        }));
    }
    for sender in senders {
        sender.join().map_err(|_| "a sender panicked")??;
    }
    let mut octets = 0;
    for receiver in receivers {
        octets += receiver.join().map_err(|_| "a receiver panicked")??;
    }
    Ok(octets as f64 * 8.0 / began.elapsed().as_secs_f64() / 1e9)
}

/// The median round trip of a datagram, microseconds, with the ends on these CPUs.
fn latency(ends: [&Arc<Namespace>; 2], way: usize, cpus: [usize; 2]) -> Outcome<f64> {
    let sockets = [0, 1].map(|side| -> Outcome<UdpSocket> {
        let at = (address(way, side), 5002);
        let socket = ends[side].run(|| UdpSocket::bind(at))??;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(socket)
    });
    let [here, there] = sockets;
    let (here, there) = (here?, there?);
    here.connect((address(way, 1), 5002))?;
    there.connect((address(way, 0), 5002))?;
    let echo = std::thread::spawn(move || -> std::io::Result<()> {
        stay_on(cpus[1])?;
        let mut buffer = [0; 64];
        for _ in 0..ROUND_TRIPS {
            let length = there.recv(&mut buffer)?;
            there.send(&buffer[..length])?;
        }
        Ok(())
    });
    let ours = std::thread::spawn(move || -> std::io::Result<Vec<f64>> {
        stay_on(cpus[0])?;
        let mut trips = Vec::with_capacity(ROUND_TRIPS);
        let mut buffer = [0; 64];
        for _ in 0..ROUND_TRIPS {
            let began = Instant::now();
            here.send(&buffer)?;
            here.recv(&mut buffer)?;
            trips.push(began.elapsed().as_secs_f64() * 1e6);
        }
        Ok(trips)
    });
    let trips = ours.join().map_err(|_| "the sender panicked")??;
    echo.join().map_err(|_| "the echo panicked")??;
    Ok(Spread::of(&trips).ok_or("no round trip")?.median)
}

/// Binds the calling thread to a CPU, or to the last one where there are fewer.
fn stay_on(cpu: usize) -> std::io::Result<()> {
    let last = std::thread::available_parallelism()?.get() - 1;
    let mut set = CpuSet::new();
    set.set(cpu.min(last))?;
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
