//! Random bytes at the BGP port, random BFD packets and random LACP frames on one connection: no session notices
//! anything, neither on the other connection nor on this one.
//!
//! The noise is made by this program, started again inside the namespaces of the peer's first router and its line card.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use nix::net::if_::if_nametoindex;
use nix::unistd::{Pid, geteuid};
use peerlab::kernel::socket::{BFD_PORT, BGP_PORT, SLOW_PROTOCOLS_ADDRESS, Socket};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::play::{PATIENCE, Someone, pause};
use crate::scenarios::unless;

/// Environment variable with the kind of noise a process makes.
pub const NOISE: &str = "PEERLAB_TEST_NOISE";
/// How long noise is made.
const LASTS: Duration = Duration::from_millis(2500);
/// Of each kind, at least.
const ENOUGH: usize = 300;
/// The ends of the connection that suffers.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0));
const EDGE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

const SCENARIO: &str = r#"
[[step]]
settle = "30s"

[[step]]
send = { from = "teams", to = "sbc", both-ways = true }

[[step]]
hold = { time = "4s", reason = "noise on ams-1" }
[[step.expect]]
session = "all"
state = "up"
within = "0ms"
for = "4s"
[[step.expect]]
bfd = "all"
state = "up"
within = "0ms"
for = "4s"
[[step.expect]]
lag = "all"
state = "up"
within = "0ms"
for = "4s"
[[step.expect]]
route = "198.51.100.0/24"
from = "all"
state = "present"
within = "0ms"
for = "4s"
"#;

pub fn trials() -> Vec<Trial> {
    let cannot = (!geteuid().is_root())
        .then(|| "only root enters the namespaces of a lab from outside".to_owned());
    vec![unless(
        cannot,
        Trial::test("noise::no_session_notices_anything", noise),
    )]
}

fn noise() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let scenario = folder.path().join("noise.toml");
    let topology = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/one-metro.toml");
    fs::write(&scenario, format!("topology = \"{topology}\"\n{SCENARIO}"))?;
    let scenario = scenario.display().to_string();
    let mut run = Someone::present().start(&["run", &scenario])?;
    run.until_said("hold")?;
    let lab = run.inner().ok_or("the lab has ended")?;
    let router = namespace(lab, &["ams-1@", "inside@"])?;
    let line_card = namespace(lab, &["ams-1.1@", "02:40:"])?;
    let makers = [("bgp", &router), ("bfd", &router), ("lacp", &line_card)];
    // All at once.
    let program = std::env::current_exe()?.display().to_string();
    let makers = makers.map(|(kind, place)| {
        let mut maker = inside(place, &program);
        maker.env(NOISE, kind);
        maker.stdout(Stdio::piped()).stderr(Stdio::piped());
        (kind, maker.spawn())
    });
    for (kind, maker) in makers {
        let output = maker?.wait_with_output()?;
        let made = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let words = String::from_utf8_lossy(&output.stderr);
        println!("{kind}: {made}");
        if !output.status.success() || made.parse::<usize>().unwrap_or(0) < ENOUGH {
            return Err(format!("{kind}: made {made}: {words}").into());
        }
    }
    let ended = run.end(PATIENCE)?;
    println!("{ended}");
    ended.expect(0)
}

/// The namespace of a lab in which `ip link` says all these things.
fn namespace(lab: Pid, words: &[&str]) -> Result<String, Failed> {
    for entry in fs::read_dir(format!("/proc/{lab}/fd"))?.flatten() {
        let path = entry.path();
        let target = fs::read_link(&path).unwrap_or_default();
        if !target.to_string_lossy().starts_with("net:") {
            continue;
        }
        let place = path.display().to_string();
        let output = inside(&place, "ip").args(["-o", "link"]).output()?;
        let links = String::from_utf8_lossy(&output.stdout);
        if words.iter().all(|word| links.contains(word)) {
            return Ok(place);
        }
    }
    Err(format!("no namespace of the lab has {words:?}").into())
}

fn inside(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={namespace}")).arg(program);
    command
}

/// Makes noise of one kind, and tells how much.
pub fn make(kind: &str) -> ExitCode {
    let mut random = StdRng::seed_from_u64(1);
    let made = match kind {
        "bgp" => bgp(&mut random),
        "bfd" => bfd(&mut random),
        "lacp" => lacp(&mut random),
        _ => Err(format!("no noise is called {kind}").into()),
    };
    match made {
        Ok(made) => {
            println!("{made}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", error.message().unwrap_or("failed"));
            ExitCode::FAILURE
        }
    }
}

/// Random bytes after a connection, and a BGP header with random contents.
fn bgp(random: &mut StdRng) -> Result<usize, Failed> {
    let until = Instant::now() + LASTS;
    let mut made = 0;
    while Instant::now() < until {
        let to = SocketAddr::new(EDGE, BGP_PORT);
        let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_millis(200)) else {
            continue;
        };
        let mut bytes = noise_of(random, 200);
        if random.random() {
            bytes.splice(..0, [0xff; 16]);
        }
        // It is closed as soon as it is understood to be noise.
        let _ = stream.write_all(&bytes);
        made += 1;
        pause(Duration::from_millis(1));
    }
    Ok(made)
}

/// Random datagrams, half of them with a version and a length that are right.
fn bfd(random: &mut StdRng) -> Result<usize, Failed> {
    let socket = Socket::bfd_send(PEER, Some("ams-1"), 12_345)?;
    steadily(|made| {
        let mut bytes = noise_of(random, 60);
        if made % 2 == 0 && bytes.len() > 3 {
            bytes[0] = 1 << 5 | bytes[0] & 0x1f;
            bytes[3] = bytes.len() as u8;
        }
        Ok(socket.send_to(&bytes, SocketAddr::new(EDGE, BFD_PORT))?)
    })
}

/// Random frames of the Slow Protocols, half of them LACPDUs by their first bytes.
fn lacp(random: &mut StdRng) -> Result<usize, Failed> {
    let socket = Socket::slow_protocols(if_nametoindex("ams-1.1")?)?;
    steadily(|made| {
        let mut frame = SLOW_PROTOCOLS_ADDRESS.to_vec();
        frame.extend([2, 0, 0, 0, 0, 9, 0x88, 0x09]);
        if made % 2 == 0 {
            frame.extend([1, 1, 1, 20]);
        }
        frame.extend(noise_of(random, 120));
        Ok(socket.send(&frame)?)
    })
}

/// A packet each two milliseconds; what could not be sent does not count.
fn steadily(
    mut send: impl FnMut(usize) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<usize, Failed> {
    let until = Instant::now() + LASTS;
    let (mut made, mut tried) = (0, 0);
    while Instant::now() < until {
        made += usize::from(send(tried).is_ok());
        tried += 1;
        pause(Duration::from_millis(2));
    }
    Ok(made)
}

fn noise_of(random: &mut StdRng, longest: usize) -> Vec<u8> {
    let length = random.random_range(1..longest);
    (0..length).map(|_| random.random()).collect()
}
