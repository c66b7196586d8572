//! One link between a simulated edge and a daemon: `edge` 10.0.0.1 and 2001:db8::3, `dut` 10.0.0.0 and 2001:db8::2.

use std::num::{NonZeroU8, NonZeroU32};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Failed;
use peerlab::bfd::{Config, State, Timers};
use peerlab::bgp::family::Family;
use peerlab::bgp::message::Capabilities;
use peerlab::bgp::session;
use peerlab::device::{self, DeviceError, Ended, Running};
use peerlab::kernel::namespace::Namespace;
use peerlab::line::{BfdSpec, End, Line, LineEvent, Reach};
use peerlab::record::{Entries, Entry, Recorder};
use peerlab::router::driver::{Driver, RouterHandle};
use peerlab::router::{RouterConfig, RouterOptions, SessionIndex, SessionSpec};
use peerlab::source::Secrets;
use peerlab::time::Clock;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::daemons::{Dut, EDGE_ASN, Wish};
use crate::routes::{Heard, addresses, originated};
use crate::wire::Wire;

/// The only session.
pub const SESSION: SessionIndex = SessionIndex(0);
const THREE: NonZeroU8 = NonZeroU8::MIN.saturating_add(2);
/// How long a scene waits for what must come. A daemon that starts its idle time over is slow to come back.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Two namespaces, the edge, and the daemon.
pub struct Bed {
    pub edge: Arc<Namespace>,
    pub peer: Arc<Namespace>,
    pub recorder: Recorder,
    pub facts: Entries,
    /// All facts so far.
    pub seen: Vec<Entry>,
    pub folder: TempDir,
    pub dut: &'static Dut,
    /// What sessions are over.
    pub over: Family,
    /// What the daemon was told last.
    pub wish: Wish,
    pub device: Option<Running>,
    pub router: Option<RouterHandle>,
    /// What goes over the session of the router that was started last.
    pub wire: Option<Wire>,
}

impl Bed {
    pub fn new(dut: &'static Dut, over: Family) -> Result<Bed, Failed> {
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
            over,
            wish: Wish::over(over),
            device: None,
            router: None,
            wire: None,
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
        self.check_text(&(self.dut.config)(wish, self.folder.path()))
    }

    /// The same of a configuration of the scene's own.
    pub fn check_text(&self, text: &str) -> Result<(), DeviceError> {
        let config = self.folder.path().join("dut.conf");
        std::fs::write(&config, text).expect("a folder of ours");
        device::check("dut", self.dut.daemon, &config, &Secrets::default())
    }

    /// Starts it as it was configured last.
    pub async fn boot_daemon(&mut self) -> Result<(), Failed> {
        let config = self.folder.path().join("dut.conf");
        // What ends by itself tells so in a fact.
        let (ended, _) = unbounded_channel::<Ended>();
        let daemon = self.dut.daemon;
        let heard = (&self.recorder, &Secrets::default());
        let running = device::start("dut", daemon, &config, &self.peer, heard, ended)?;
        self.device = Some(running);
        for command in (self.dut.originate)(&self.wish) {
            self.until("the daemon takes a route", async |bed| {
                bed.ask(&command).await.map(|_| true).or(Ok(false))
            })
            .await?;
        }
        Ok(())
    }

    /// Starts the edge with one session and 280 routes.
    pub fn edge(&mut self, adapt: impl Fn(&mut SessionSpec)) -> Result<(), Failed> {
        self.edge_for(&Wish::over(self.over), EDGE_ASN, adapt)
    }

    /// The same for a daemon that is to be as wished, with an AS number of ours.
    pub fn edge_for(
        &mut self,
        wish: &Wish,
        asn: u32,
        adapt: impl Fn(&mut SessionSpec),
    ) -> Result<(), Failed> {
        let length = match wish.over {
            Family::Ipv4Unicast => 31,
            Family::Ipv6Unicast => 127,
        };
        let local: std::net::IpAddr = wish.neighbor().parse()?;
        let peer: std::net::IpAddr = wish.local().parse()?;
        let mut session = SessionSpec::new("s0", "l0", local, peer, length, wish.asn);
        session.capabilities = Capabilities {
            extended_next_hop: wish.extended_next_hop(),
            ..Capabilities::of(wish.carries)
        };
        session.record_routes = true;
        session.monitor = true;
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
            asn,
            router_id: "10.0.0.1".parse()?,
            sessions: vec![session],
            originate: originated(wish.carries),
            multipath: 1,
            options: RouterOptions::default(),
        };
        let (driver, handle) =
            Driver::open(Arc::clone(&self.edge), config, 1, self.recorder.clone())?;
        let (taps, tapped) = unbounded_channel();
        handle.tap(0, taps);
        self.wire = Some(Wire::new(tapped));
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
        let heard = (&self.recorder, &Secrets::default());
        let running = device::start("dut", daemon, &config, &self.peer, heard, ended)?;
        self.device = Some(running);
        Ok(())
    }

    /// Writes another configuration of the scene's own, for the daemon to read when it is told to; says where.
    pub fn rewrite(&self, text: &str) -> Result<String, Failed> {
        let config = self.folder.path().join("dut.conf");
        std::fs::write(&config, text)?;
        Ok(config.display().to_string())
    }

    /// Our end of BFD and nothing else; it falls silent when dropped.
    pub fn bfd(&self, config: Config) -> Result<Line, Failed> {
        let (told, _) = unbounded_channel();
        self.bfd_that_tells(config, told)
    }

    fn bfd_that_tells(
        &self,
        config: Config,
        told: UnboundedSender<LineEvent>,
    ) -> Result<Line, Failed> {
        let line = Line::start(self.recorder.clone(), told)?;
        let (local, remote) = addresses(self.over);
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
        line.add_bfd(&self.edge, spec)?;
        Ok(line)
    }

    /// Our end of BFD, 150 ms × 3; it falls silent when dropped.
    pub fn line(&self) -> Result<Line, Failed> {
        let (told, mut events) = unbounded_channel();
        let timers = Timers::symmetric(Duration::from_millis(150), THREE);
        let config = Config::single_hop(NonZeroU32::MIN, timers, 1);
        let line = self.bfd_that_tells(config, told)?;
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
    pub async fn ask(&self, command: &[String]) -> Result<String, Failed> {
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
        let answer = self.ask(&(self.dut.routes)(&self.wish)).await?;
        Ok((self.dut.heard)(&answer))
    }

    /// Ends the edge in order, if it runs.
    pub async fn leave(&mut self) {
        if let Some(router) = self.router.take() {
            let _ = timeout(PATIENCE, router.shutdown("the test is over")).await;
        }
    }

    /// Ends the daemon, if it runs.
    pub async fn stop(&mut self) {
        if let Some(device) = self.device.take() {
            device.stop().await;
        }
    }

    /// Ends both, as far as they run.
    pub async fn end(mut self) {
        self.leave().await;
        self.stop().await;
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
