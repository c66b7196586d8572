//! Traffic that measures: what two hosts would notice of a failure, and which way their packets went.
//!
//! A *stream* is one direction between two hosts: UDP packets at an even interval, sent in turn over several flows, so
//! that every path of the network carries some. A *tap* on a link sees the packets pass; a packet that a tap saw and
//! that was delivered went that way. One thread sends, receives and taps for the whole lab; receive times are the
//! kernel's. Only the pure [`account`] decides what was lost.
//!
//! How the facts are to be read:
//! - `probe-lost`: `count` adds up. Several facts with the same direction, flow and `first-sent` are one run of lost
//!   packets, told while it went on; the last one's `last-sent` and `next-received` hold.
//! - The interruption of a direction is that of runs of its flows that overlap in time: from the earliest `first-sent`
//!   to the latest `last-sent` plus the stream's interval.
//! - `probe-disorder`: a packet that arrived after it was told to be lost is `reordered`; lost packets are the counts of
//!   `probe-lost` less these.
//! - `probe-via`: a flow's way, once at its first packet and then whenever it changes.
//!
//! **Invariant:** nothing is sent, received or recorded but on the one thread; every packet sent is accounted for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::oneshot;

use crate::kernel::bpf::Program;
use crate::kernel::bpf::programs::udp_to_ports;
use crate::kernel::namespace::{Namespace, NamespaceError};
use crate::kernel::socket::{Socket, SocketError};
use crate::record::Recorder;

pub mod account;
pub mod packet;
mod thread_loop;
mod trial;

use thread_loop::{Command, Loop, Tap};
use trial::Trial;

/// Ports that probe packets are sent to; taps see no others.
pub const PORTS: RangeInclusive<u16> = 50_000..=50_063;
/// Flows tried at once when some are wanted that go one way.
pub const TRIED: u16 = 64;
/// How often so many are tried before giving up.
pub const TRIES: u16 = 32;
/// The first source port of a host's flows. They are not left to chance, so that flows take the same members every time.
const SOURCE_PORTS: u16 = 40_000;

/// Why probing failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A socket could not be made.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A host's namespace could not be entered.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// The thread could not be started.
    #[error("start the probe thread: {0}")]
    Start(#[source] io::Error),
    /// The thread is gone.
    #[error("the probe thread has ended")]
    Ended,
}

/// A host at one end of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// Its name in the facts.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a Namespace,
    /// Its address; both ends of a stream have the same family.
    pub address: IpAddr,
}

/// One direction of probing, ready to be sent.
#[derive(Debug)]
pub struct Stream {
    from: String,
    to: String,
    every: Duration,
    /// One socket for each flow.
    senders: Vec<Socket>,
    receiver: Socket,
    destination: SocketAddr,
}

impl Stream {
    /// Opens the sockets of a direction: a packet every `every` (1 ms when nothing else is asked for, never 0), in turn
    /// over `flows` flows (16, at least 1).
    pub fn open(
        from: Host<'_>,
        to: Host<'_>,
        every: Duration,
        flows: u16,
    ) -> Result<Stream, ProbeError> {
        Stream::open_from(from, to, every, flows, SOURCE_PORTS)
    }

    /// The same, with source ports from `first` on.
    fn open_from(
        from: Host<'_>,
        to: Host<'_>,
        every: Duration,
        flows: u16,
        mut first: u16,
    ) -> Result<Stream, ProbeError> {
        let receiver = to.namespace.run(|| first_free(to.address, PORTS))??;
        let senders = from.namespace.run(|| {
            (0..flows.max(1))
                .map(|_| {
                    let socket = first_free(from.address, first..=PORTS.start() - 1)?;
                    let port = socket.local_address().map_or(first, |bound| bound.port());
                    first = port.saturating_add(1).min(PORTS.start() - 1);
                    Ok(socket)
                })
                .collect::<Result<Vec<_>, SocketError>>()
        })??;
        let destination = receiver
            .local_address()
            .unwrap_or(SocketAddr::new(to.address, *PORTS.start()));
        Ok(Stream {
            from: from.name.to_owned(),
            to: to.name.to_owned(),
            every: every.max(Duration::from_micros(10)),
            senders,
            receiver,
            destination,
        })
    }
}

impl Stream {
    /// Takes these flows of the stream's and no others.
    fn keep(mut self, mut wanted: impl FnMut(usize) -> bool) -> Vec<Socket> {
        let senders = self.senders.drain(..).enumerate();
        let kept = senders.filter(|(flow, _)| wanted(*flow));
        kept.map(|(_, socket)| socket).collect()
    }
}

/// A probe socket at the first free port; the error of the last when none is free.
fn first_free(local: IpAddr, ports: RangeInclusive<u16>) -> Result<Socket, SocketError> {
    let last = *ports.end();
    for port in ports {
        match Socket::probe(SocketAddr::new(local, port)) {
            Err(error) if error.source.kind() == io::ErrorKind::AddrInUse && port < last => {}
            other => return other,
        }
    }
    Socket::probe(SocketAddr::new(local, last))
}

/// Opens a tap on a link of a namespace, for [`Probe::tap`].
pub fn open_tap(namespace: &Namespace, link: u32) -> Result<Socket, ProbeError> {
    Ok(namespace.run(|| Socket::tap(link, &tap_filter()))??)
}

/// What a tap sees: packets to the probe ports.
fn tap_filter() -> Program {
    udp_to_ports(*PORTS.start(), *PORTS.end(), packet::FRAME_LENGTH as u32)
}

/// Names a stream that is being sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamId(u32);

/// The probe thread.
///
/// When this is dropped the thread ends at once, without waiting for packets on their way.
#[derive(Debug)]
pub struct Probe {
    commands: mpsc::Sender<Command>,
    wake: Arc<EventFd>,
    next: AtomicU32,
}

impl Probe {
    /// Starts the thread. It runs with real-time priority when allowed.
    pub fn start(recorder: Recorder) -> Result<Probe, ProbeError> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let wake = EventFd::from_flags(flags).map_err(|errno| ProbeError::Start(errno.into()))?;
        let wake = Arc::new(wake);
        let (commands, inbox) = mpsc::channel();
        let driver = Loop::new(recorder, inbox, Arc::clone(&wake));
        thread::Builder::new()
            .name("probe".into())
            .spawn(move || driver.run())
            .map_err(ProbeError::Start)?;
        Ok(Probe {
            commands,
            wake,
            next: AtomicU32::new(1),
        })
    }

    /// From now on packets that this tap sees and that are delivered went `via`: a member of a connection, or `internet`.
    pub fn tap(&self, via: &str, member: Option<u8>, socket: Socket) -> Result<(), ProbeError> {
        self.command(Command::Tap(Tap {
            via: via.to_owned(),
            member,
            socket,
        }))
    }

    /// Begins to send a stream.
    pub fn send(&self, stream: Stream) -> Result<StreamId, ProbeError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.command(Command::Send { id, stream })?;
        Ok(StreamId(id))
    }

    /// A stream of flows that go one way now, a member of a connection. Which those are is tried: a packet of each of many
    /// flows is sent, and the taps say where it went. So it does not matter who hashes on the way, and how.
    ///
    /// # Errors
    /// What the kernel refused. The inner one: there are no more such flows among [`TRIES`] × [`TRIED`].
    pub async fn pinned(
        &self,
        from: Host<'_>,
        to: Host<'_>,
        (every, flows): (Duration, u16),
        way: (&str, Option<u8>),
    ) -> Result<Result<Stream, u16>, ProbeError> {
        let mut found = Stream::open(from, to, every, 1)?;
        found.senders.clear();
        let mut first = SOURCE_PORTS;
        for _ in 0..TRIES {
            let mut tried = Stream::open_from(from, to, every, TRIED, first)?;
            let last = tried.senders.last().and_then(Socket::local_address);
            first = last.map_or(first, |last| last.port()).saturating_add(1);
            tried.destination = found.destination;
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            let (reply, answer) = oneshot::channel();
            self.command(Command::Try(Box::new(Trial::new(id, tried, reply))))?;
            let (tried, ways) = answer.await.map_err(|_| ProbeError::Ended)?;
            let wanted = |flow: usize| {
                let seen = ways.get(flow).and_then(Option::as_ref);
                seen.is_some_and(|(via, member)| (via.as_str(), *member) == way)
            };
            let missing = usize::from(flows).saturating_sub(found.senders.len());
            found
                .senders
                .extend(tried.keep(wanted).into_iter().take(missing));
            if found.senders.len() == usize::from(flows) {
                return Ok(Ok(found));
            }
        }
        Ok(Err(found.senders.len() as u16))
    }

    /// Stops sending a stream, and returns when what was lost of it is recorded: at most 200 ms later, the time given to
    /// packets on their way. A stream that was stopped before is no error.
    pub async fn stop(&self, stream: StreamId) -> Result<(), ProbeError> {
        let (reply, done) = oneshot::channel();
        self.command(Command::Stop {
            id: Some(stream.0),
            reply,
        })?;
        done.await.map_err(|_| ProbeError::Ended)
    }

    /// Stops sending all streams, as [`Probe::stop`] does.
    pub async fn stop_all(&self) -> Result<(), ProbeError> {
        let (reply, done) = oneshot::channel();
        self.command(Command::Stop { id: None, reply })?;
        done.await.map_err(|_| ProbeError::Ended)
    }

    /// Returns when everything sent before this call has either arrived or is recorded as lost: at most 200 ms later.
    pub async fn flush(&self) -> Result<(), ProbeError> {
        let (reply, done) = oneshot::channel();
        self.command(Command::Flush { reply })?;
        done.await.map_err(|_| ProbeError::Ended)
    }

    fn command(&self, command: Command) -> Result<(), ProbeError> {
        self.commands.send(command).map_err(|_| ProbeError::Ended)?;
        // An eventfd that is full wakes the thread as well.
        let _ = self.wake.write(1);
        Ok(())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.command(Command::End);
    }
}
