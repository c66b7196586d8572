//! One link between a simulated edge and a daemon: `edge` 10.0.0.1, `dut` 10.0.0.0.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use libtest_mimic::Failed;
use peerlab::bfd::{Config, State, Timers};
use peerlab::bgp::attributes::LargeCommunity;
use peerlab::bgp::session;
use peerlab::device::{self, DeviceError, Ended, Running};
use peerlab::kernel::namespace::Namespace;
use peerlab::line::{BfdPort, BfdSpec, End, Line, LineEvent, Reach};
use peerlab::record::{Entries, Entry, Fact, Recorder};
use peerlab::router::driver::{Driver, RouterHandle};
use peerlab::router::{
    Originated, OriginatedAttributes, RouterConfig, RouterOptions, SessionIndex, SessionSpec,
    Sessions,
};
use peerlab::time::Clock;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::daemons::{Dut, Heard, Wish};

pub const EDGE_ASN: u32 = 8075;
/// Not to be had in two octets.
pub const DUT_ASN: u32 = 4_200_000_001;
/// The only session.
pub const SESSION: SessionIndex = SessionIndex(0);
const THREE: NonZeroU8 = NonZeroU8::MIN.saturating_add(2);
/// How long a scene waits for what must come. A daemon that starts its idle time over is slow to come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two namespaces, the edge, and the daemon.
pub struct Bed {
    pub edge: Arc<Namespace>,
    peer: Arc<Namespace>,
    pub recorder: Recorder,
    facts: Entries,
    /// All facts so far.
    pub seen: Vec<Entry>,
    pub folder: TempDir,
    pub dut: &'static Dut,
    /// What the daemon was told last.
    wish: Wish,
    pub device: Option<Running>,
    pub router: Option<RouterHandle>,
}

impl Bed {
    pub fn new(dut: &'static Dut) -> Result<Bed, Failed> {
        let (edge, peer) = (Arc::new(Namespace::new()?), Arc::new(Namespace::new()?));
        let there = format!("/proc/{}/fd/{}", std::process::id(), peer.fd().as_raw_fd());
        let pair = format!("link add l0 index 10 type veth peer name l0 index 20 netns {there}");
        ip(&edge, &pair)?;
        for (namespace, ipv4, ipv6) in [
            (&peer, "10.0.0.0/31", "2001:db8::2/127"),
            (&edge, "10.0.0.1/31", "2001:db8::3/127"),
        ] {
            ip(namespace, &format!("addr add {ipv4} dev l0"))?;
            ip(namespace, &format!("addr add {ipv6} dev l0 nodad"))?;
            ip(namespace, "link set lo up")?;
            ip(namespace, "link set l0 up")?;
        }
        let (recorder, facts) = Recorder::new(Clock::start());
        Ok(Bed {
            edge,
            peer,
            recorder,
            facts,
            seen: Vec::new(),
            folder: tempfile::tempdir()?,
            dut,
            wish: Wish::default(),
            device: None,
            router: None,
        })
    }

    /// Starts the daemon as a lab does, or says why it cannot play what is wished.
    pub async fn daemon(&mut self, wish: &Wish) -> Result<(), Failed> {
        self.check(wish)?;
        self.wish = *wish;
        self.boot_daemon().await
    }

    /// Lets the daemon judge what is wished; it stays configured so.
    pub fn check(&self, wish: &Wish) -> Result<(), DeviceError> {
        let config = self.folder.path().join("dut.conf");
        let text = (self.dut.config)(wish, self.folder.path());
        std::fs::write(&config, text).expect("a folder of ours");
        device::check("dut", self.dut.daemon, &config)
    }

    /// Starts it as it was configured last.
    pub async fn boot_daemon(&mut self) -> Result<(), Failed> {
        let config = self.folder.path().join("dut.conf");
        // What ends by itself tells so in a fact.
        let (ended, _) = unbounded_channel::<Ended>();
        let daemon = self.dut.daemon;
        let running = device::start("dut", daemon, &config, &self.peer, &self.recorder, ended)?;
        self.device = Some(running);
        for command in (self.dut.originate)(&self.wish) {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            self.until("the daemon takes a route", async |bed| {
                bed.ask(&command).await.map(|_| true).or(Ok(false))
            })
            .await?;
        }
        Ok(())
    }

    /// Starts the edge with one session and 280 routes.
    pub fn edge(&mut self, ipv6: bool, adapt: impl Fn(&mut SessionSpec)) -> Result<(), Failed> {
        let (local, peer, length): (IpAddr, IpAddr, u8) = match ipv6 {
            false => ("10.0.0.1".parse()?, "10.0.0.0".parse()?, 31),
            true => ("2001:db8::3".parse()?, "2001:db8::2".parse()?, 127),
        };
        let mut session = SessionSpec::new("s0", "l0", local, peer, length, DUT_ASN);
        session.record_routes = true;
        session.timers = session::Timers {
            // A daemon that is not told of our end notices soon.
            keepalive: Duration::from_secs(3),
            hold: Duration::from_secs(9),
            connect_retry: Duration::from_secs(1),
            ..session::Timers::default()
        };
        adapt(&mut session);
        let config = RouterConfig {
            name: "edge".to_owned(),
            asn: EDGE_ASN,
            router_id: "10.0.0.1".parse()?,
            sessions: vec![session],
            originate: ours(ipv6).into_iter().map(originated).collect(),
            multipath: 1,
            options: RouterOptions::default(),
        };
        let (driver, handle) =
            Driver::open(Arc::clone(&self.edge), config, 1, self.recorder.clone())?;
        tokio::spawn(driver.run());
        self.router = Some(handle);
        Ok(())
    }

    /// Starts the daemon with a configuration of the scene's own.
    pub async fn configured(&mut self, text: &str) -> Result<(), Failed> {
        let config = self.folder.path().join("dut.conf");
        std::fs::write(&config, text)?;
        let (ended, _) = unbounded_channel::<Ended>();
        let daemon = self.dut.daemon;
        let running = device::start("dut", daemon, &config, &self.peer, &self.recorder, ended)?;
        self.device = Some(running);
        Ok(())
    }

    /// Our end of BFD and nothing else; it falls silent when dropped.
    pub fn bfd(&self, config: Config, ipv6: bool) -> Result<Line, Failed> {
        let (told, _) = unbounded_channel();
        self.bfd_that_tells(config, ipv6, told)
    }

    fn bfd_that_tells(
        &self,
        config: Config,
        ipv6: bool,
        told: UnboundedSender<LineEvent>,
    ) -> Result<Line, Failed> {
        let line = Line::start(self.recorder.clone(), told)?;
        let (local, remote) = match ipv6 {
            false => ("10.0.0.1", "10.0.0.0"),
            true => ("2001:db8::3", "2001:db8::2"),
        };
        let spec = BfdSpec {
            end: End {
                router: "edge".to_owned(),
                connection: "s0".to_owned(),
            },
            reach: Reach::OneHop {
                device: "l0".to_owned(),
                link: 10,
            },
            local: local.parse()?,
            remote: remote.parse()?,
            config,
        };
        line.add_bfd(BfdPort::open(&self.edge, spec)?);
        Ok(line)
    }

    /// Our end of BFD, 150 ms × 3; it falls silent when dropped.
    pub fn line(&self) -> Result<Line, Failed> {
        let (told, mut events) = unbounded_channel();
        let timers = Timers::symmetric(Duration::from_millis(150), THREE);
        let config = Config::single_hop(NonZeroU32::MIN, timers, 1);
        let line = self.bfd_that_tells(config, false, told)?;
        let router = self.router()?.clone();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                match event {
                    LineEvent::Bfd { change, .. } => {
                        let up = change.to == State::Up;
                        let disabled = change.remote_state == State::AdminDown;
                        if up || (change.from == State::Up && !disabled) {
                            router.bfd(SESSION, up);
                        }
                    }
                    LineEvent::BfdDisabled { disabled, .. } => {
                        router.bfd_disabled(SESSION, disabled);
                    }
                    LineEvent::Lag { .. } => {}
                }
            }
        });
        Ok(line)
    }

    pub fn router(&self) -> Result<&RouterHandle, Failed> {
        Ok(self.router.as_ref().ok_or("the edge is not started")?)
    }

    /// Runs one of the daemon's tools where it runs.
    pub async fn ask(&self, command: &[&str]) -> Result<String, Failed> {
        let device = self.device.as_ref().ok_or("the daemon is not started")?;
        let (program, arguments) = command.split_first().ok_or("no program")?;
        let mut command = tokio::process::Command::from(device.place.command(program)?);
        command.args(arguments).kill_on_drop(true);
        // A tool that waits for a daemon that is not there yet is asked again.
        let output = timeout(Duration::from_secs(5), command.output()).await??;
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(words);
        }
        let more = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program} {arguments:?}: {words}{more}").into())
    }

    /// What the daemon heard from us.
    pub async fn heard(&self) -> Result<Vec<Heard>, Failed> {
        let (command, read) = self.dut.heard;
        let mut command = command.to_vec();
        if self.wish.ipv6 {
            command.extend(self.dut.heard_ipv6);
        }
        Ok(read(&self.ask(&command).await?))
    }

    /// UPDATE messages the daemon has received, and sent.
    pub async fn updates(&self) -> Result<(u64, u64), Failed> {
        let (command, read) = self.dut.updates;
        let words = self.ask(command).await?;
        Ok(read(&words).ok_or_else(|| format!("no count in: {words}"))?)
    }

    /// Waits until something holds, looking at facts and asking the daemon again and again.
    pub async fn until(
        &mut self,
        what: &str,
        mut holds: impl AsyncFnMut(&Bed) -> Result<bool, Failed>,
    ) -> Result<(), Failed> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            while let Ok(entry) = self.facts.try_recv() {
                self.seen.push(entry);
            }
            if holds(self).await? {
                return Ok(());
            }
            let ended = |entry: &Entry| matches!(&entry.fact, Fact::Device { event, .. } if event == "exited");
            if self.device.is_some() && self.seen.iter().any(ended) {
                return Err(format!("the daemon ended: {}", self.words()).into());
            }
            if tokio::time::Instant::now() > deadline {
                return Err(format!("never came: {what}; {}", self.words()).into());
            }
            // The next fact, or soon: a daemon does not tell when its table changes.
            if let Ok(Some(entry)) = timeout(Duration::from_millis(20), self.facts.recv()).await {
                self.seen.push(entry);
            }
        }
    }

    /// Waits for a fact after `since` facts.
    pub async fn fact(
        &mut self,
        what: &str,
        since: usize,
        is: impl Fn(&Fact) -> bool,
    ) -> Result<(), Failed> {
        self.until(what, async |bed| {
            Ok(bed.seen[since..].iter().any(|entry| is(&entry.fact)))
        })
        .await
    }

    /// Waits for the session after `since` facts.
    pub async fn established(&mut self, since: usize) -> Result<(), Failed> {
        self.fact(
            "Established",
            since,
            |fact| matches!(fact, Fact::Bgp { state, .. } if state == "Established"),
        )
        .await
    }

    /// Waits until the kernel drops segments of ours where the daemon is, by one of its counters (`nstat`).
    pub async fn drops(&mut self, counter: &str) -> Result<(), Failed> {
        let before = self.counter(counter)?;
        self.until(counter, async |bed| Ok(bed.counter(counter)? > before))
            .await
    }

    /// A counter of /proc/net/netstat: a line of names, then one of numbers.
    fn counter(&self, name: &str) -> Result<u64, Failed> {
        let read = || std::fs::read_to_string("/proc/thread-self/net/netstat");
        let text = self.peer.run(read)??;
        let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
        let (names, numbers) = lines.next().zip(lines.next()).ok_or("no TcpExt")?;
        let mut both = names.split(' ').zip(numbers.split(' '));
        let found = both
            .find(|(found, _)| *found == name)
            .ok_or("no such counter")?;
        Ok(found.1.parse()?)
    }

    /// Waits until the daemon has all 280 routes.
    pub async fn all_out(&mut self, ipv6: bool) -> Result<(), Failed> {
        let wanted: BTreeSet<IpNet> = ours(ipv6).into_iter().collect();
        self.until("280 routes at the daemon", async |bed| {
            let heard = bed.heard().await.unwrap_or_default();
            Ok(heard
                .iter()
                .map(|route| route.prefix)
                .collect::<BTreeSet<_>>()
                == wanted)
        })
        .await
    }

    /// Waits until the edge has all 10 routes, with their communities, heard after `since` facts.
    pub async fn all_in(&mut self, ipv6: bool, since: usize) -> Result<(), Failed> {
        let wanted: BTreeSet<IpNet> = theirs(ipv6).into_iter().collect();
        self.until("10 routes at the edge", async |bed| {
            let routes = bed.seen[since..]
                .iter()
                .filter_map(|entry| match &entry.fact {
                    Fact::RouteReceived {
                        prefix,
                        as_path,
                        communities,
                        ..
                    } => Some((*prefix, as_path, communities)),
                    _ => None,
                });
            let intact = routes.filter(|(_, path, communities)| {
                let has = |wanted: &str| communities.iter().any(|found| found == wanted);
                **path == DUT_ASN.to_string() && has("64500:100") && has("64500:1:2")
            });
            Ok(intact.map(|(prefix, ..)| prefix).collect::<BTreeSet<_>>() == wanted)
        })
        .await
    }

    /// The last facts, for a failure.
    fn words(&self) -> String {
        let tells = |entry: &&Entry| {
            let told = &entry.fact;
            matches!(
                told,
                Fact::Bgp { .. } | Fact::Bfd { .. } | Fact::Device { .. }
            )
        };
        let last: Vec<&Entry> = self.seen.iter().filter(tells).rev().take(25).collect();
        let facts = last.iter().rev().map(|entry| format!("\n{:?}", entry.fact));
        let facts: Vec<String> = facts.collect();
        format!("last facts: {}", facts.join("; "))
    }

    /// Ends both, as far as they run.
    pub async fn end(mut self) {
        if let Some(router) = self.router.take() {
            let _ = timeout(PATIENCE, router.shutdown("the test is over")).await;
        }
        if let Some(device) = self.device.take() {
            device.stop().await;
        }
    }
}

pub fn ip(namespace: &Namespace, arguments: &str) -> Result<(), Failed> {
    let mut command = Command::new("ip");
    command.args(arguments.split(' '));
    namespace.enter_on_exec(&mut command)?;
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {arguments}: {said}").into())
}

/// The edge's 280 prefixes.
pub fn ours(ipv6: bool) -> Vec<IpNet> {
    let text = |n: u16| match ipv6 {
        false => format!("100.{}.{}.0/24", 64 + n / 256, n % 256),
        true => format!("2001:db8:{:x}::/48", 0x1000 + n),
    };
    (0..280)
        .map(|n| text(n).parse().expect("a prefix"))
        .collect()
}

/// The daemon's 10 prefixes.
pub fn theirs(ipv6: bool) -> Vec<IpNet> {
    let text = |n: u16| match ipv6 {
        false => format!("198.18.{n}.0/24"),
        true => format!("2001:db8:{:x}::/48", 0x100 + n),
    };
    (0..10)
        .map(|n| text(n).parse().expect("a prefix"))
        .collect()
}

/// A route of ours with the communities to be found again.
pub fn originated(prefix: IpNet) -> Originated {
    Originated {
        prefix,
        attributes: OriginatedAttributes {
            communities: vec![EDGE_ASN << 16 | 8007],
            large_communities: vec![LargeCommunity {
                global: EDGE_ASN,
                local_1: 1,
                local_2: 2,
            }],
            ..OriginatedAttributes::default()
        },
        sessions: Sessions::All,
    }
}
