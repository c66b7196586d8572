//! A prepared stream into a receiver, ours or BIRD; and our sender to our receiver.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollTimeout, poll};
use peerlab::kernel::namespace::Namespace;
use peerlab::router::{Originated, OriginatedAttributes, Sessions};
use peerlab::time::Clock;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use super::core::{self, SESSION};
use super::stream;
use crate::support::Outcome;
use crate::support::bed::{Bed, address_of};

const SENDER: u32 = 65001;
const RECEIVER: u32 = 65100;
const PORT: u16 = 179;
const PATIENCE: Duration = Duration::from_secs(120);

/// What receiving cost.
#[derive(Debug, Serialize, Deserialize)]
pub struct Received {
    /// CPU seconds.
    pub cpu: f64,
    /// Peak resident memory, MiB.
    pub memory: f64,
    /// From the first byte of the stream until all routes are held, seconds.
    pub wall: f64,
}

/// A receiver, killed when dropped.
struct Receiver(Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The receiver of ours: a process of its own, which says when it listens and when it holds all routes.
pub fn receiver(routes: usize) -> Outcome<()> {
    let listener = TcpListener::bind((own(), PORT))?;
    println!("listening");
    let (stream, _) = listener.accept()?;
    let mut router = core::router(RECEIVER, &[(own(), theirs(), SENDER)], Vec::new());
    let held = |router: &peerlab::router::Router| {
        let table = router.adj_rib_in(SESSION);
        table.is_some_and(|table| table.len() == routes)
    };
    core::speak(&mut router, stream, Clock::start(), held)?;
    println!("holding");
    // Held until the figures are read.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// The stream into ours.
pub fn into_ours(routes: usize) -> Outcome<Received> {
    let bed = Bed::new(1)?;
    let [sender, receiver] = &bed.pairs[0];
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env(super::ROLE, format!("receiver {routes}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut receiver = Receiver(receiver.spawn(command)?);
    let stdout = receiver.0.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut until = |word: &str| -> Outcome<bool> {
        let line = lines.next().ok_or("the receiver ended")??;
        Ok(line == word)
    };
    until("listening")?;
    measure(sender, receiver.0.id(), routes, || until("holding"))
}

/// The stream into BIRD.
pub fn into_bird(routes: usize) -> Outcome<Received> {
    let bed = Bed::new(1)?;
    let [sender, receiver] = &bed.pairs[0];
    let folder = tempfile::tempdir()?;
    let (configuration, control) = (folder.path().join("conf"), folder.path().join("ctl"));
    std::fs::write(
        &configuration,
        format!(
            "log stderr all;\nrouter id {};\nprotocol device {{ scan time 60; }}\nprotocol bgp r {{ local {} as {RECEIVER}; \
             neighbor {} as {SENDER}; passive; ipv4 {{ import all; export none; }}; }}\n",
            own(),
            own(),
            theirs()
        ),
    )?;
    let mut command = Command::new("bird");
    command
        .arg("-f")
        .arg("-c")
        .arg(&configuration)
        .arg("-s")
        .arg(&control);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let receiver = Receiver(receiver.spawn(command)?);
    let end = Instant::now() + PATIENCE;
    let imported = || -> Outcome<usize> {
        let output = Command::new("birdc")
            .arg("-s")
            .arg(&control)
            .args(["show", "protocols", "all", "r"])
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let counted = text.split_once("Routes:").map(|(_, rest)| rest);
        let word = counted.and_then(|rest| rest.split_whitespace().next());
        Ok(word.and_then(|word| word.parse().ok()).unwrap_or(0))
    };
    // It is passive from the start; the connection is refused until it listens.
    measure(sender, receiver.0.id(), routes, || {
        if Instant::now() > end {
            return Err("BIRD does not hold all routes in time".into());
        }
        let done = imported()? >= routes;
        if !done {
            rest(20)?;
        }
        Ok(done)
    })
}

/// Connects, sends everything, waits until it is held, and reads what it cost the receiver.
fn measure(
    sender: &Namespace,
    receiver: u32,
    routes: usize,
    mut held: impl FnMut() -> Outcome<bool>,
) -> Outcome<Received> {
    let prepared = stream::announcements(routes, SENDER, theirs());
    let mut connection = connect(sender)?;
    connection.write_all(&stream::open(SENDER, theirs()))?;
    // Its OPEN and its KEEPALIVE: two markers.
    let mut greeting: Vec<u8> = Vec::new();
    let mut buffer = [0_u8; 4096];
    while greeting.windows(16).filter(|w| *w == [0xff; 16]).count() < 2 {
        let count = connection.read(&mut buffer)?;
        greeting.extend(&buffer[..count]);
        if count == 0 {
            return Err("the receiver closed the connection".into());
        }
    }
    let mut other = connection.try_clone()?;
    std::thread::spawn(move || while other.read(&mut [0; 65536]).is_ok_and(|n| n > 0) {});
    let (before, begin) = (cpu(receiver)?, Instant::now());
    connection.write_all(&prepared)?;
    while !held()? {}
    let wall = begin.elapsed().as_secs_f64();
    // What it still has to do with them belongs to it.
    rest(250)?;
    Ok(Received {
        cpu: cpu(receiver)? - before,
        memory: peak(receiver)?,
        wall,
    })
}

/// Our sender to our receiver, each on a thread: seconds from connection to the last route.
pub fn send(routes: usize) -> Outcome<f64> {
    let bed = Bed::new(1)?;
    let [here, there] = &bed.pairs[0];
    let listener = there.run(|| TcpListener::bind((own(), PORT)))??;
    let mut sender = core::router(SENDER, &[(theirs(), own(), RECEIVER)], originated(routes));
    let mut receiver = core::router(RECEIVER, &[(own(), theirs(), SENDER)], Vec::new());
    let clock = Clock::start();
    let begin = Instant::now();
    let outgoing = connect(here)?;
    let (incoming, _) = listener.accept()?;
    std::thread::scope(|scope| -> Outcome<f64> {
        scope.spawn(move || {
            // Ends when the receiver has all and closes.
            let _ = core::speak(&mut sender, outgoing, clock, |_| false);
        });
        core::speak(&mut receiver, incoming, clock, |router| {
            let table = router.adj_rib_in(SESSION);
            table.is_some_and(|table| table.len() == routes)
        })?;
        Ok(begin.elapsed().as_secs_f64())
    })
}

/// Routes as the stream has them, to be sent by ours.
fn originated(routes: usize) -> Vec<Originated> {
    let mut random = StdRng::seed_from_u64(1);
    let mut attributes = OriginatedAttributes::default();
    (0..routes as u32)
        .map(|n| {
            if n.is_multiple_of(10) {
                let count = random.random_range(2..=5);
                attributes.as_path = (0..count)
                    .map(|_| random.random_range(1000..64000))
                    .collect();
                attributes.med = Some(random.random_range(0..200));
                let count = random.random_range(1..=4);
                attributes.communities = (0..count).map(|_| random.random()).collect();
            }
            Originated {
                prefix: ipnet::IpNet::V4(ipnet::Ipv4Net::new_assert(
                    Ipv4Addr::from(0x1400_0000 + (n << 8)),
                    24,
                )),
                attributes: attributes.clone(),
                sessions: Sessions::All,
            }
        })
        .collect()
}

/// Addresses of the receiver and of the sender.
fn own() -> Ipv4Addr {
    address_of(0, 0, 1)
}

fn theirs() -> Ipv4Addr {
    address_of(0, 0, 0)
}

/// A connection from the sender's address, as soon as the receiver listens.
fn connect(sender: &Namespace) -> Outcome<TcpStream> {
    let end = Instant::now() + PATIENCE;
    loop {
        let socket = sender.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))??;
        socket.bind(&SocketAddr::from((theirs(), 0)).into())?;
        match socket.connect(&SocketAddr::from((own(), PORT)).into()) {
            Ok(()) => return Ok(socket.into()),
            Err(error) if Instant::now() > end => return Err(error.into()),
            Err(_) => rest(10)?,
        }
    }
}

/// Milliseconds until another look.
fn rest(milliseconds: u8) -> Outcome<()> {
    poll(&mut [], PollTimeout::from(milliseconds))?;
    Ok(())
}

/// CPU time of all threads of a process so far, seconds.
fn cpu(process: u32) -> Outcome<f64> {
    let mut nanoseconds = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().ok_or("an empty schedstat")?;
        nanoseconds += first.parse::<f64>()?;
    }
    Ok(nanoseconds / 1e9)
}

/// Greatest resident memory of a process so far, MiB.
fn peak(process: u32) -> Outcome<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no VmHWM")?.parse::<f64>()? / 1024.0)
}
