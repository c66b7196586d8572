//! Lateness: how late BFD and LACP packets leave in a lab, and how late silence is detected, beside BIRD.
//!
//! Figures:
//! - `bfd-…`, `lacp-…`: of a lab with BFD on every member, from when a packet was due to when the kernel handed it to the link:
//!   p50, p99 and p99.9 as the lab's own record has them (the host certificate), and the share that the kernel stamped itself
//!   (higher is better);
//! - `detected-…`: sessions at 50 ms × 3 of which one end is cut off; from the end of the RFC's Detection Time to the packet that
//!   tells of it, p50 and p99, beside two BIRDs. Ours and theirs are read off the wire, by the kernel's timestamps: the last packet
//!   that came, what both ends said last of their intervals, and the first packet with the diagnostic.
//!
//! Ours and BIRD are processes of their own in namespaces of their own. Arguments: `[--seconds S] [--trials T]`.

mod support;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use peerlab::bfd::{Diagnostic, Micros, Packet, State};
use peerlab::kernel::bpf::programs::{Pattern, udp_to_ports};
use peerlab::kernel::enter::enter;
use peerlab::kernel::filter::{Direction, Fault, clear_faults, set_faults};
use peerlab::kernel::netlink::Netlink;
use peerlab::kernel::socket::{BFD_PORT, Socket};
use peerlab::line::Line;
use peerlab::record::{self, Fact, Punctuality, Recorder};
use peerlab::time::{At, Clock};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use support::bed::{Bed, index};
use support::figure::{self, Against};
use support::pairs::{self, Birds, Daemons, INTERVAL_MS, spec};
use support::{Outcome, bird};

const ROLE: &str = "PEERLAB_BENCH_LATENESS";
/// Sessions that are cut off together; their phases differ.
const PAIRS: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(60);
/// Ours, milliseconds.
const LIMIT: f64 = 5.0;
/// Of Ethernet, IPv4 and UDP, without options.
const HEADERS: usize = 14 + 20 + 8;
const LONGEST: u32 = 128;
/// The end that detects, the end whose packets are lost.
const HERE: usize = 0;
const THERE: usize = 1;

fn main() -> Outcome<()> {
    if let Ok(role) = std::env::var(ROLE) {
        let (kind, trials) = role.split_once(' ').ok_or("not a role")?;
        enter()?.signals.release();
        println!(
            "{}",
            serde_json::to_string(&series(kind, trials.parse()?)?)?
        );
        return Ok(());
    }
    let (mut seconds, mut trials) = (30, 15);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().ok_or("a number is missing");
        match argument.as_str() {
            "--seconds" => seconds = number()?.parse()?,
            "--trials" => trials = number()?.parse()?,
            // Cargo says so.
            "--bench" => {}
            other => return Err(format!("not an argument: {other}").into()),
        }
    }
    match lab(seconds) {
        Ok(certificate) => certificate.iter().for_each(print_sent),
        Err(why) => figure::skipped("lateness/lab", &why.to_string()),
    }
    let ours = match measure("ours", trials) {
        Ok(ours) => ours,
        Err(why) => {
            figure::skipped("lateness/detected", &why.to_string());
            return Ok(());
        }
    };
    let theirs = match bird::installed() {
        true => measure("bird", trials),
        false => Err("BIRD is not installed".into()),
    };
    for (what, share) in [("p50", 0.5), ("p99", 0.99)] {
        let name = format!("lateness/detected-{what}");
        figure::print_quantile(&name, "ms", &ours, share, LIMIT);
        let name = format!("{name}-bird");
        match &theirs {
            Ok(theirs) => {
                let [own, other] = [&ours, theirs].map(|of| figure::quantile(of, share));
                let [Some(own), Some(other)] = [own, other] else {
                    figure::skipped(&name, "nothing was detected");
                    continue;
                };
                figure::print(&name, "ms", &[own], Against::Peer("BIRD", &[other]));
            }
            Err(why) => figure::skipped(&name, &why.to_string()),
        }
    }
    Ok(())
}

fn print_sent((protocol, late): &(String, Punctuality)) {
    for (what, value) in [("p50", late.p50), ("p99", late.p99), ("p999", late.p999)] {
        let name = format!("lateness/{protocol}-{what}");
        let value = Duration::from(value).as_secs_f64() * 1e3;
        figure::print(&name, "ms", &[value], Against::Limit(LIMIT));
    }
    let stamped = 100.0 * late.kernel_stamped as f64 / late.packets.max(1) as f64;
    let name = format!("lateness/{protocol}-kernel-stamped");
    figure::print(&name, "%", &[stamped], Against::Limit(100.0));
}

/// What the record of a lab says of its packets, by protocol.
fn lab(seconds: u64) -> Outcome<Vec<(String, Punctuality)>> {
    let folder = tempfile::tempdir()?;
    let scenario = folder.path().join("lateness.toml");
    let topology = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/topologies/one-metro-micro-bfd.toml"
    );
    let text = format!(
        "topology = \"{topology}\"\n[[step]]\nsettle = \"60s\"\n[[step]]\nhold = {{ time = \"{seconds}s\", reason = \"packets \
         are counted\" }}\n"
    );
    std::fs::write(&scenario, text)?;
    let report = folder.path().join("report");
    let output = Command::new(env!("CARGO_BIN_EXE_peerlab"))
        .arg("run")
        .args([&scenario])
        .arg("--report")
        .arg(&report)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    if ![Some(0), Some(5)].contains(&output.status.code()) {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let entries = record::read(&report.join("record.jsonl"))?;
    let certificate = entries.into_iter().filter_map(|entry| match entry.fact {
        Fact::Punctuality { protocol, figures } => Some((protocol, figures)),
        _ => None,
    });
    Ok(certificate.collect())
}

/// One series in a process of its own: how late each loss was detected, in milliseconds.
fn measure(kind: &str, trials: usize) -> Outcome<Vec<f64>> {
    let output = Command::new(std::env::current_exe()?)
        .env(ROLE, format!("{kind} {trials}"))
        .output()?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{kind}: {words}").into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What runs the sessions, for as long as it is held.
enum Running {
    Ours {
        #[expect(dead_code, reason = "it runs while it is held")]
        line: Line,
    },
    Birds {
        #[expect(dead_code, reason = "they run while they are held")]
        birds: Birds,
    },
}

fn series(kind: &str, trials: usize) -> Outcome<Vec<f64>> {
    let bed = pairs::bed(PAIRS)?;
    let clock = Clock::start();
    let mut wire = Wire::open(&bed, clock)?;
    let _running = match kind {
        "ours" => Running::Ours {
            line: ours(&bed, clock)?,
        },
        _ => Running::Birds {
            birds: Birds::start(&bed, PAIRS)?,
        },
    };
    let fault = Fault {
        member: index(THERE, 0),
        direction: Direction::Out,
        pattern: Pattern::Bfd,
    };
    let mut faults = Netlink::open_in(&bed.pairs[0][THERE])?;
    let mut random = StdRng::seed_from_u64(1);
    let mut late = Vec::new();
    for _ in 0..trials {
        wire.until("all up", PATIENCE, Wire::all_up)?;
        // Polls are over, and each end detects by the other's present interval; the phase is another each time.
        let pause =
            Duration::from_secs(1) + Duration::from_millis(INTERVAL_MS).mul_f64(random.random());
        wire.listen(pause)?;
        if !wire.all_up() {
            continue;
        }
        wire.detected.clear();
        set_faults(&mut faults, &[fault])?;
        let all = |wire: &Wire| wire.detected.len() == PAIRS as usize;
        wire.until("all detected", PATIENCE, all)?;
        clear_faults(&mut faults, &[fault])?;
        late.append(&mut wire.detected);
    }
    Ok(late)
}

fn ours(bed: &Bed, clock: Clock) -> Outcome<Line> {
    let (recorder, _) = Recorder::new(clock);
    let (events, _) = tokio::sync::mpsc::unbounded_channel();
    let line = Line::start(recorder, events)?;
    for pair in 0..PAIRS {
        for (_, side, namespace) in bed.routers() {
            line.add_bfd(namespace, spec(pair, side)?)?;
        }
    }
    Ok(line)
}

/// What both ends of a session say, as the end that detects sees it.
#[derive(Default)]
struct Seen {
    /// The last packet it received, and when.
    received: Option<(At, Packet)>,
    /// The last packet it sent.
    sent: Option<Packet>,
}

impl Seen {
    /// Both ends are up, at the interval that was configured.
    fn is_up(&self) -> bool {
        let (Some((_, received)), Some(sent)) = (&self.received, &self.sent) else {
            return false;
        };
        let wanted = Micros::from(Duration::from_millis(INTERVAL_MS));
        let up = |packet: &Packet| {
            packet.state == State::Up
                && !packet.poll
                && packet.desired_min_tx == wanted
                && packet.required_min_rx == wanted
        };
        up(received) && up(sent)
    }

    /// When the Detection Time ends (RFC 5880, section 6.8.4).
    fn due(&self) -> Option<At> {
        let ((at, received), sent) = (self.received.as_ref()?, self.sent.as_ref()?);
        let interval = received.desired_min_tx.max(sent.required_min_rx).duration();
        Some(*at + interval * u32::from(received.detect_multiplier.get()))
    }
}

/// The link of the end that detects.
struct Wire {
    tap: Socket,
    clock: Clock,
    /// By the discriminator of the end that detects.
    sessions: BTreeMap<u32, Seen>,
    /// How late each session was detected to be lost, in milliseconds.
    detected: Vec<f64>,
}

impl Wire {
    fn open(bed: &Bed, clock: Clock) -> Outcome<Wire> {
        let filter = udp_to_ports(BFD_PORT, BFD_PORT, LONGEST);
        let tap = bed.pairs[0][HERE].run(|| Socket::tap(index(HERE, 0), &filter))??;
        Ok(Wire {
            tap,
            clock,
            sessions: BTreeMap::new(),
            detected: Vec::new(),
        })
    }

    fn all_up(&self) -> bool {
        self.sessions.len() == PAIRS as usize && self.sessions.values().all(Seen::is_up)
    }

    /// Takes what comes until something holds.
    fn until(
        &mut self,
        what: &str,
        patience: Duration,
        holds: impl Fn(&Wire) -> bool,
    ) -> Outcome<()> {
        let end = Instant::now() + patience;
        while !holds(self) {
            if Instant::now() > end {
                return Err(format!("not {what} within {patience:?}").into());
            }
            self.listen(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Takes what comes for a time.
    fn listen(&mut self, time: Duration) -> Outcome<()> {
        let end = Instant::now() + time;
        let mut buffer = [0; LONGEST as usize];
        loop {
            while let Some(received) = self.tap.receive(&self.clock, &mut buffer)? {
                let payload = buffer[..received.length].get(HEADERS..);
                if let Some(Ok(packet)) = payload.map(Packet::decode) {
                    self.take(packet, received.at, received.outgoing);
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let mut fds = [PollFd::new(self.tap.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::try_from(left)?)?;
        }
    }

    fn take(&mut self, packet: Packet, at: At, outgoing: bool) {
        if !outgoing {
            if let Some(own) = packet.your_discriminator {
                let session = self.sessions.entry(own.get()).or_default();
                session.received = Some((at, packet));
            }
            return;
        }
        let session = self
            .sessions
            .entry(packet.my_discriminator.get())
            .or_default();
        let was_up = session
            .sent
            .as_ref()
            .is_some_and(|sent| sent.state == State::Up);
        let expired = packet.state == State::Down
            && packet.diagnostic == Diagnostic::ControlDetectionTimeExpired;
        if let Some(due) = session.due().filter(|_| was_up && expired) {
            // Signed: what comes too early must be seen, not hidden.
            let late = (at.as_nanos() as f64 - due.as_nanos() as f64) / 1e6;
            self.detected.push(late);
        }
        session.sent = Some(packet);
    }
}
