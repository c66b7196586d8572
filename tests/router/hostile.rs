//! Neighbours that mean harm, against the real kernel: their own session suffers, nothing else does.
//!
//! The attacker has the link `l0` and the address of the neighbour of session `s0`. On `l1` an ordinary router is the
//! neighbour of `s1`: under each attack it stays established, and what it announces reaches the edge's kernel.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::Ipv4Net;
use libtest_mimic::{Failed, Trial};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use peerlab::bgp::session::State;
use peerlab::record::{Entry, Fact};
use peerlab::router::driver::RouterHandle;
use peerlab::router::{MaximumPrefixes, RouterConfig, SessionIndex, Sessions};
use tokio::task::JoinHandle;

use super::bed::{
    Bed, PATIENCE, PEER_ASN, address, config, expect, ip, originated, peer_prefixes, run,
};
use super::{connections, sockets};

/// Routes of an attacker.
const ATTACK: u32 = 2_000_000;
/// Connections of a crowd.
const CROWD: usize = 1000;
/// Who is nobody's neighbour, on the attacker's link.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);
/// What the process may grow by under attack, in MiB; far less than [`ATTACK`] routes without a limit would take.
const GROWTH: usize = 96;

pub fn tests() -> Vec<Trial> {
    vec![
        Trial::test("hostile::a_thousand_connections", thousand_connections),
        Trial::test("hostile::a_thousand_strangers", thousand_strangers),
        Trial::test("hostile::one_byte_at_a_time", one_byte_at_a_time),
        Trial::test("hostile::never_reads", never_reads),
        Trial::test("hostile::two_million_routes", two_million_routes),
        Trial::test(
            "hostile::routes_without_a_maximum",
            routes_without_a_maximum,
        ),
    ]
}

/// An attacker's thread; it ends soon after `stop` is set.
type Attack = fn(&AtomicBool) -> std::io::Result<()>;

struct Site {
    bed: Bed,
    edge: RouterHandle,
    peer: RouterHandle,
    resident: usize,
    descriptors: usize,
}

impl Site {
    /// The edge with both sessions, and the ordinary neighbour of the second.
    async fn new(adapt: impl Fn(&mut RouterConfig)) -> Result<Site, Failed> {
        let mut bed = Bed::new()?;
        let mut edge = config(true, |_| {});
        edge.sessions[0].passive = true;
        adapt(&mut edge);
        let mut peer = config(false, |_| {});
        peer.sessions.remove(0);
        let (edge, peer) = (bed.start(edge)?, bed.start(peer)?);
        let routes = super::all(peer_prefixes(), &["l1"]);
        bed.until_routes(true, &routes).await?;
        Ok(Site {
            bed,
            edge,
            peer,
            resident: resident()?,
            descriptors: descriptors()?,
        })
    }

    fn attack(&self, attack: Attack) -> (Arc<AtomicBool>, JoinHandle<Result<(), String>>) {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, namespace) = (Arc::clone(&stop), Arc::clone(&self.bed.peer));
        let thread = tokio::task::spawn_blocking(move || {
            let ended = namespace.run(|| attack(&flag));
            ended
                .map_err(|error| error.to_string())?
                .map_err(|error| error.to_string())
        });
        (stop, thread)
    }

    /// Route changes of the ordinary neighbour get through, there and back.
    async fn changes_get_through(&mut self) -> Result<Vec<Entry>, Failed> {
        let mut seen = Vec::new();
        let prefix: Ipv4Net = "198.18.100.0/24".parse()?;
        let mut routes = super::all(peer_prefixes(), &["l1"]);
        for _ in 0..3 {
            self.peer.announce(originated(prefix));
            routes.insert(prefix.to_string(), vec!["l1".into()]);
            seen.extend(self.until_peers_routes(&routes).await?);
            self.peer.withdraw(prefix.into(), Sessions::All);
            routes.remove(&prefix.to_string());
            seen.extend(self.until_peers_routes(&routes).await?);
        }
        Ok(seen)
    }

    /// Waits until the edge's kernel has exactly these routes over the second link.
    async fn until_peers_routes(
        &mut self,
        wanted: &std::collections::BTreeMap<String, Vec<String>>,
    ) -> Result<Vec<Entry>, Failed> {
        let namespace = Arc::clone(&self.bed.edge);
        let holds = async || {
            // The attacker's routes are not looked at.
            let mut routes = super::routes_to(&namespace, "198.18.0.0/16")?;
            routes.retain(|_, via| via == &["l1"]);
            Ok(routes == *wanted)
        };
        self.bed.until("the neighbour's routes", holds).await
    }

    /// Waits for a fact about the attacked session whose reason has these words.
    async fn until_told(&mut self, before: &[Entry], words: &str) -> Result<Vec<Entry>, Failed> {
        let told = |entry: &Entry| {
            matches!(&entry.fact, Fact::Bgp { router, session, why, .. }
                if router == "edge" && session == "s0" && why.contains(words))
        };
        let mut seen = Vec::new();
        if before.iter().any(told) {
            return Ok(seen);
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let entry = tokio::time::timeout_at(deadline, self.bed.facts.recv());
            let entry = entry
                .await
                .map_err(|_| format!("nobody said {words:?}: {seen:#?}"))?;
            let entry = entry.ok_or("no more facts")?;
            let told = told(&entry);
            seen.push(entry);
            if told {
                return Ok(seen);
            }
        }
    }

    /// Waits until the whole crowd has connected; of it the edge keeps no more than `kept`, nor descriptors of others.
    async fn crowd_stays_outside(&mut self, kept: usize) -> Result<Vec<Entry>, Failed> {
        let (edge, peer) = (Arc::clone(&self.bed.edge), Arc::clone(&self.bed.peer));
        let attackers = async || Ok(sockets(&peer, &["01", "08"])? > CROWD);
        until("the crowd", attackers).await?;
        let most = self.descriptors + CROWD + kept;
        let contained = async || Ok(connections(&edge)? <= 1 + kept && descriptors()? <= most);
        until("the crowd outside", contained).await?;
        Ok(std::iter::from_fn(|| self.bed.facts.try_recv().ok()).collect())
    }

    /// Nothing happened to the other session, and the process did not grow beyond its bound.
    async fn unharmed(mut self, mut seen: Vec<Entry>) -> Result<(), Failed> {
        while let Ok(entry) = self.bed.facts.try_recv() {
            seen.push(entry);
        }
        let harm: Vec<Entry> = seen
            .into_iter()
            .filter(|entry| match &entry.fact {
                Fact::Bgp { session, .. } => session == "s1",
                Fact::Errored { .. } => true,
                _ => false,
            })
            .collect();
        expect(harm, Vec::new())?;
        let state = self
            .edge
            .inspect(|router, _| router.state(SessionIndex(1)))
            .await;
        expect(state, Some(State::Established))?;
        let grown = resident()?.saturating_sub(self.resident);
        if grown > GROWTH {
            return Err(format!("the process grew by {grown} MiB, more than {GROWTH}").into());
        }
        Ok(())
    }
}

/// Resident memory of this process in MiB.
fn resident() -> Result<usize, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.ok_or("no VmRSS")?.parse::<usize>()? / 1024)
}

/// Descriptors of this process: those of both routers, and of the attacker.
fn descriptors() -> Result<usize, Failed> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

/// Looks again and again for what the attacker brings about, which nobody tells.
pub async fn until(
    what: &str,
    holds: impl AsyncFn() -> Result<bool, Failed>,
) -> Result<(), Failed> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds().await? {
        if tokio::time::Instant::now() > deadline {
            return Err(format!("never came: {what}").into());
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Plays an attack until the ordinary neighbour's changes got through.
async fn withstand(
    mut site: Site,
    attack: Attack,
    then: impl AsyncFnOnce(&mut Site, &[Entry]) -> Result<Vec<Entry>, Failed>,
) -> Result<(), Failed> {
    let (stop, thread) = site.attack(attack);
    let played = async {
        let mut seen = site.changes_get_through().await?;
        seen.extend(then(&mut site, &seen).await?);
        seen.extend(site.changes_get_through().await?);
        Ok::<_, Failed>(seen)
    }
    .await;
    stop.store(true, Ordering::Relaxed);
    thread.await??;
    site.unharmed(played?).await
}

/// Runs a test of this file; one at a time, since each measures the memory of the process they may share.
fn alone(test: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // A crowd's descriptors are this process's, too.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    run(test)
}

/// Of a neighbour's connections one is kept.
fn thousand_connections() -> Result<(), Failed> {
    alone(async {
        let site = Site::new(|_| {}).await?;
        let attack: Attack = |stop| crowd(address(0, false), stop);
        withstand(site, attack, async |site, _| {
            site.crowd_stays_outside(1).await
        })
        .await
    })
}

/// Of those who are nobody's neighbour none is, and no session hears of them.
fn thousand_strangers() -> Result<(), Failed> {
    alone(async {
        let site = Site::new(|_| {}).await?;
        ip(&site.bed.peer, &format!("addr add {STRANGER}/32 dev l0"))?;
        ip(&site.bed.edge, &format!("route add {STRANGER}/32 dev l0"))?;
        let attack: Attack = |stop| crowd(STRANGER, stop);
        withstand(site, attack, async |site, before| {
            let seen = site.crowd_stays_outside(0).await?;
            let told = |entry: &&Entry| matches!(&entry.fact, Fact::Bgp { .. });
            expect(before.iter().chain(&seen).filter(told).count(), 0)?;
            Ok(seen)
        })
        .await
    })
}

/// Opens [`CROWD`] connections to the edge at once, and holds them.
fn crowd(from: Ipv4Addr, stop: &AtomicBool) -> std::io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..CROWD {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((from, 0)).into())?;
        match socket.connect(&SocketAddr::from((address(0, true), 179)).into()) {
            Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => {
                return Err(error);
            }
            _ => held.push(socket),
        }
    }
    while !stop.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    Ok(())
}

fn one_byte_at_a_time() -> Result<(), Failed> {
    alone(async {
        let site = Site::new(|edge| {
            edge.sessions[0].timers.hold = Duration::from_secs(3);
            edge.sessions[0].timers.keepalive = Duration::from_secs(1);
        })
        .await?;
        let attack: Attack = |stop| {
            let mut stream = establish()?;
            // An UPDATE that never ends, and never is silent.
            let update = update(&[]);
            for byte in update.iter().cycle() {
                // The edge gave up: so do we.
                if stop.load(Ordering::Relaxed) || stream.write_all(&[*byte]).is_err() {
                    break;
                }
                stream.set_read_timeout(Some(Duration::from_millis(300)))?;
                let _ = stream.read(&mut [0; 4096]);
            }
            Ok(())
        };
        // Bytes are not messages (RFC 4271, section 6.5).
        withstand(site, attack, async |site, seen| {
            site.until_told(seen, "hold timer expired").await
        })
        .await
    })
}

fn never_reads() -> Result<(), Failed> {
    const SEND_HOLD: Duration = Duration::from_secs(4);
    alone(async {
        let site = Site::new(|edge| {
            let timers = &mut edge.sessions[0].timers;
            timers.hold = Duration::from_secs(3);
            timers.keepalive = Duration::from_secs(1);
            timers.send_hold = Some(SEND_HOLD);
            // More than the kernel's buffers hold of it.
            let to_victim = Sessions::Only(vec![SessionIndex(0)]);
            for n in 0..100_000_u32 {
                let address = Ipv4Addr::from(0x0b00_0000 + (n << 8));
                let mut route = originated(Ipv4Net::new_assert(address, 24));
                route.sessions = to_victim.clone();
                route.attributes.med = Some(n);
                edge.originate.push(route);
            }
        })
        .await?;
        let attack: Attack = |stop| {
            let mut stream = establish()?;
            // All of it again and again (RFC 2918), KEEPALIVEs besides, and not a byte is read.
            stream.set_nonblocking(true)?;
            let keepalive = message(4, &[]);
            let asks = [message(5, &[0, 1, 0, 1]).repeat(16), keepalive].concat();
            let mut at = 0;
            while !stop.load(Ordering::Relaxed) {
                let written = stream.write(&asks[at..]).unwrap_or_default();
                at = (at + written) % asks.len();
                std::thread::yield_now();
            }
            Ok(())
        };
        withstand(site, attack, async |site, before| {
            // RFC 9687, section 4.2: the neighbour is told, if it ever reads.
            let seen = site.until_told(before, "send hold timer expired").await?;
            let told = (site.edge)
                .inspect(|router, _| {
                    let status = router.session_status(SessionIndex(0))?;
                    let (_, notification) = status.notification_sent?;
                    Some(notification.to_string())
                })
                .await;
            expect(told.flatten(), Some("Send Hold Timer Expired".to_owned()))?;
            let at = |words: &str| {
                let mut all = before.iter().chain(&seen);
                let told = all.find(|entry| {
                    matches!(&entry.fact, Fact::Bgp { router, session, why, .. }
                        if router == "edge" && session == "s0" && why.contains(words))
                });
                told.map(|entry| entry.at)
            };
            let established = at("KEEPALIVE received").ok_or("never established")?;
            let ended = at("send hold timer expired").ok_or("never ended")?;
            expect(ended.since(established) >= SEND_HOLD, true)?;
            Ok(seen)
        })
        .await
    })
}

fn two_million_routes() -> Result<(), Failed> {
    alone(async {
        let site = Site::new(|edge| {
            // A record of two million lines is another matter.
            edge.sessions[0].record_routes = false;
            edge.sessions[0].maximum_prefixes = Some(MaximumPrefixes {
                limit: 100_000,
                warn_at: 80,
                warning_only: false,
                restart_after: None,
            });
        })
        .await?;
        withstand(site, flood, async |site, seen| {
            site.until_told(seen, "aximum").await
        })
        .await
    })
}

/// As an edge of a lab is where the topology names no maximum: the routes are recorded, and only memory bounds them.
fn routes_without_a_maximum() -> Result<(), Failed> {
    alone(async {
        let site = Site::new(|edge| {
            edge.sessions[0].record_routes = true;
            edge.sessions[0].maximum_prefixes = None;
            edge.options.memory = 4 << 20;
        })
        .await?;
        // Cease, subcode 8 (RFC 4486).
        withstand(site, flood, async |site, seen| {
            site.until_told(seen, "out of resources").await
        })
        .await
    })
}

/// Announces [`ATTACK`] routes as fast as they are taken.
fn flood(stop: &AtomicBool) -> std::io::Result<()> {
    let mut stream = establish()?;
    for first in (0..ATTACK).step_by(1000) {
        let prefixes: Vec<u32> = (first..first + 1000)
            .map(|n| 0x0b00_0000 + (n << 8))
            .collect();
        if stream.write_all(&update(&prefixes)).is_err() {
            break;
        }
    }
    while !stop.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    Ok(())
}

/// A connection from the neighbour's address to the edge.
pub fn connect() -> std::io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_recv_buffer_size(4096)?;
    socket.bind(&SocketAddr::from((address(0, false), 0)).into())?;
    socket.connect_timeout(&SocketAddr::from((address(0, true), 179)).into(), PATIENCE)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// A session that the edge takes for an ordinary one: OPEN and KEEPALIVE there and back.
pub fn establish() -> std::io::Result<TcpStream> {
    establish_with(&[])
}

/// As [`establish`], with more capabilities.
pub fn establish_with(more: &[u8]) -> std::io::Result<TcpStream> {
    let mut stream = connect()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Version, AS, hold time, identifier; capabilities: IPv4 unicast, four-octet AS, route refresh.
    let mut open = vec![4];
    open.extend((PEER_ASN as u16).to_be_bytes());
    open.extend([0, 180, 10, 0, 0, 0]);
    let more_length = more.len() as u8;
    open.extend([16 + more_length, 2, 14 + more_length]);
    open.extend([1, 4, 0, 1, 0, 1, 65, 4]);
    open.extend(PEER_ASN.to_be_bytes());
    open.extend([2, 0]);
    open.extend(more);
    stream.write_all(&message(1, &open))?;
    stream.write_all(&message(4, &[]))?;
    // OPEN and KEEPALIVE of the edge.
    for _ in 0..2 {
        let mut header = [0; 19];
        stream.read_exact(&mut header)?;
        let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
        stream.read_exact(&mut vec![0; length - 19])?;
    }
    Ok(stream)
}

/// A message with its header (RFC 4271, section 4.1).
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff; 16];
    bytes.extend((19 + body.len() as u16).to_be_bytes());
    bytes.push(kind);
    bytes.extend(body);
    bytes
}

/// An UPDATE that announces /24s.
pub fn update(prefixes: &[u32]) -> Vec<u8> {
    let mut attributes = vec![0x40, 1, 1, 0, 0x40, 2, 6, 2, 1];
    attributes.extend(PEER_ASN.to_be_bytes());
    attributes.extend([0x40, 3, 4]);
    attributes.extend(address(0, false).octets());
    let mut body = vec![0, 0];
    body.extend((attributes.len() as u16).to_be_bytes());
    body.extend(attributes);
    for prefix in prefixes {
        body.push(24);
        body.extend(&prefix.to_be_bytes()[..3]);
    }
    message(2, &body)
}
