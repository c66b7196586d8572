//! A TCP for virtual time: handshake, order, acknowledgement, retransmission with back-off, FIN and RST.
//!
//! It is what the kernel is to a router: bytes go out in the order in which they were written, or not at all. There is no
//! congestion control and no flow control but the size of the send buffer.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use peerlab::router::{Conn, SessionIndex};
use peerlab::time::At;

/// Port of BGP.
const BGP: u16 = 179;
/// Payload of a segment at most.
const SEGMENT: usize = 1448;
/// Bytes sent and not acknowledged at most.
const SEND_BUFFER: u64 = 64 * 1024;
const FIRST_SYN: Duration = Duration::from_secs(1);
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(120);
/// How long a closed socket still reads, as the driver does.
const LINGER: Duration = Duration::from_secs(1);
/// How long a closed socket waits for the other end's FIN.
const FIN_WAIT: Duration = Duration::from_secs(60);
/// Retransmissions until the kernel gives up: an attempt, a connection, one that nobody owns any more.
const TRIES: (u32, u32, u32) = (6, 15, 8);

pub type Address = (IpAddr, u16);
pub type Owner = (SessionIndex, Conn);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Segment {
    pub from: Address,
    pub to: Address,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    Syn,
    SynAck,
    Data {
        seq: u64,
        ack: u64,
        bytes: Bytes,
        fin: bool,
    },
    Reset,
}

/// What the kernel tells the program that owns a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Connected,
    Failed(&'static str),
    /// A connection to accept, between these addresses.
    Incoming(IpAddr, IpAddr),
    Bytes(Bytes),
    Written(usize),
    Closed(&'static str),
}

#[derive(Debug)]
pub enum Output {
    Send(Segment),
    Tell(u32, News),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Accepting,
    Open,
    /// Reset or given up; the owner has yet to hear of it.
    Dead,
}

#[derive(Debug)]
struct Socket {
    local: Address,
    remote: Address,
    stage: Stage,
    owner: Option<Owner>,
    /// When its owner closed it.
    closed: Option<At>,
    waiting: VecDeque<Bytes>,
    unacked: VecDeque<(u64, Bytes)>,
    una: u64,
    next: u64,
    fin: Option<u64>,
    received: u64,
    early: BTreeMap<u64, (Bytes, bool)>,
    heard_fin: bool,
    rto: Duration,
    tries: u32,
    due: Option<At>,
}

/// The TCP of one router.
#[derive(Debug)]
pub struct Tcp {
    pub listening: bool,
    sockets: BTreeMap<u32, Socket>,
    serial: u32,
    port: u16,
    outputs: VecDeque<Output>,
}

impl Tcp {
    pub fn new() -> Tcp {
        Tcp {
            listening: true,
            sockets: BTreeMap::new(),
            serial: 0,
            port: 32_768,
            outputs: VecDeque::new(),
        }
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn deadline(&self) -> Option<At> {
        self.sockets.values().filter_map(|socket| socket.due).min()
    }

    pub fn owner(&self, id: u32) -> Option<Owner> {
        self.sockets.get(&id)?.owner
    }

    /// Whether a connection of this kind is owned.
    pub fn any(&self, is: impl Fn(Owner) -> bool) -> bool {
        let owners = self.sockets.values().filter_map(|socket| socket.owner);
        owners.into_iter().any(is)
    }

    pub fn connect(&mut self, now: At, local: IpAddr, remote: IpAddr, owner: Owner) {
        self.port = self.port.checked_add(1).unwrap_or(32_768);
        let (local, remote) = ((local, self.port), (remote, BGP));
        let id = self.add(now, local, remote, Stage::Connecting);
        self.socket(id).owner = Some(owner);
        self.send(id, What::Syn);
    }

    pub fn write(&mut self, now: At, owner: Owner, bytes: Bytes) {
        if let Some(id) = self.of(owner) {
            self.socket(id).waiting.push_back(bytes);
            self.pump(now, id);
        }
    }

    /// Takes an accepted connection, or the answer to [`News::Closed`]: nobody owns it.
    pub fn adopt(&mut self, id: u32, owner: Owner) {
        self.socket(id).owner = Some(owner);
    }

    pub fn close(&mut self, now: At, owner: Owner, abort: bool) {
        if let Some(id) = self.of(owner) {
            if abort {
                self.sockets.remove(&id);
            } else {
                self.disown(now, id);
            }
        }
    }

    /// Its owner is done with a socket.
    pub fn disown(&mut self, now: At, id: u32) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        socket.owner = None;
        socket.closed = Some(now);
        match socket.stage {
            Stage::Open => self.pump(now, id),
            Stage::Connecting | Stage::Accepting | Stage::Dead => {
                self.sockets.remove(&id);
            }
        }
        self.reap(now, id);
    }

    /// The program died in a way that leaves no trace on the wire.
    pub fn crash(&mut self) {
        self.listening = false;
        self.sockets.clear();
        self.outputs.clear();
    }

    pub fn timer(&mut self, now: At) {
        let due = |socket: &Socket| socket.due.is_some_and(|at| at <= now);
        let due: Vec<u32> = self
            .sockets
            .iter()
            .filter_map(|(id, socket)| due(socket).then_some(*id))
            .collect();
        for id in due {
            self.expire(now, id);
        }
    }

    pub fn receive(&mut self, now: At, segment: Segment) {
        let Segment { from, to, what } = segment;
        let same = |socket: &Socket| socket.local == to && socket.remote == from;
        let found = self.sockets.iter().find(|(_, socket)| same(socket));
        let found = found.map(|(id, socket)| (*id, socket.stage));
        match (what, found) {
            (What::Syn, None) if self.listening && to.1 == BGP => {
                let id = self.add(now, to, from, Stage::Accepting);
                self.send(id, What::SynAck);
            }
            (What::Syn, Some((id, Stage::Accepting))) => self.send(id, What::SynAck),
            (What::Syn, Some(_)) => {}
            (What::SynAck, Some((id, Stage::Connecting))) => {
                self.open(id);
                self.outputs.push_back(Output::Tell(id, News::Connected));
                self.acknowledge(id);
            }
            (What::SynAck, Some((id, Stage::Open))) => self.acknowledge(id),
            (
                What::Data {
                    seq,
                    ack,
                    bytes,
                    fin,
                },
                Some((id, stage @ (Stage::Accepting | Stage::Open))),
            ) => {
                if stage == Stage::Accepting {
                    self.open(id);
                    let news = News::Incoming(to.0, from.0);
                    self.outputs.push_back(Output::Tell(id, news));
                }
                self.data(now, id, (seq, ack), bytes, fin);
            }
            (What::Data { .. }, Some(_)) | (What::SynAck, Some(_)) => {}
            (What::Reset, Some((id, Stage::Connecting))) => {
                self.kill(id, News::Failed("Connection refused"));
            }
            (What::Reset, Some((id, _))) => {
                self.kill(id, News::Closed("Connection reset by peer"));
            }
            (What::Reset, None) => {}
            (What::Syn | What::SynAck | What::Data { .. }, None) => {
                self.outputs.push_back(Output::Send(Segment {
                    from: to,
                    to: from,
                    what: What::Reset,
                }));
            }
        }
    }

    fn add(&mut self, now: At, local: Address, remote: Address, stage: Stage) -> u32 {
        self.serial += 1;
        let socket = Socket {
            local,
            remote,
            stage,
            owner: None,
            closed: None,
            waiting: VecDeque::new(),
            unacked: VecDeque::new(),
            una: 0,
            next: 0,
            fin: None,
            received: 0,
            early: BTreeMap::new(),
            heard_fin: false,
            rto: FIRST_SYN,
            tries: 0,
            due: Some(now + FIRST_SYN),
        };
        self.sockets.insert(self.serial, socket);
        self.serial
    }

    fn of(&self, owner: Owner) -> Option<u32> {
        let mut sockets = self.sockets.iter();
        let found = sockets.find(|(_, socket)| socket.owner == Some(owner));
        found.map(|(id, _)| *id)
    }

    /// Ids come from the table and are used at once.
    fn socket(&mut self, id: u32) -> &mut Socket {
        self.sockets.get_mut(&id).expect("a socket")
    }

    fn open(&mut self, id: u32) {
        let socket = self.socket(id);
        socket.stage = Stage::Open;
        socket.rto = SHORTEST;
        socket.tries = 0;
        socket.due = None;
    }

    fn data(&mut self, now: At, id: u32, (seq, ack): (u64, u64), bytes: Bytes, fin: bool) {
        let socket = self.socket(id);
        if ack > socket.una {
            socket.una = ack;
            while socket
                .unacked
                .front()
                .is_some_and(|(seq, bytes)| seq + bytes.len() as u64 <= ack)
            {
                socket.unacked.pop_front();
            }
            socket.tries = 0;
            socket.rto = SHORTEST;
            socket.due = (socket.una < socket.next).then(|| now + SHORTEST);
        }
        if !bytes.is_empty() || fin {
            let unread = socket.closed.is_some_and(|at| now.since(at) > LINGER);
            if unread && !bytes.is_empty() {
                let (from, to) = (socket.local, socket.remote);
                let what = What::Reset;
                self.outputs
                    .push_back(Output::Send(Segment { from, to, what }));
                self.sockets.remove(&id);
                return;
            }
            if seq >= socket.received {
                socket.early.insert(seq, (bytes, fin));
            }
            self.deliver(id);
            self.acknowledge(id);
        }
        self.pump(now, id);
        self.reap(now, id);
    }

    fn deliver(&mut self, id: u32) {
        let socket = self.socket(id);
        let mut news = Vec::new();
        while let Some((bytes, fin)) = socket.early.remove(&socket.received) {
            socket.received += bytes.len() as u64 + u64::from(fin);
            if !bytes.is_empty() {
                news.push(News::Bytes(bytes));
            }
            if fin {
                socket.heard_fin = true;
                news.push(News::Closed("closed by the peer"));
            }
        }
        let news = news.into_iter().map(|news| Output::Tell(id, news));
        self.outputs.extend(news);
    }

    /// Sends what there is room for, and the FIN behind it.
    fn pump(&mut self, now: At, id: u32) {
        let socket = self.socket(id);
        if socket.stage != Stage::Open {
            return;
        }
        let mut written = 0;
        let mut segments = Vec::new();
        while socket.next - socket.una < SEND_BUFFER {
            let Some(front) = socket.waiting.front_mut() else {
                break;
            };
            let bytes = front.split_to(front.len().min(SEGMENT));
            if front.is_empty() {
                socket.waiting.pop_front();
            }
            written += bytes.len();
            socket.unacked.push_back((socket.next, bytes.clone()));
            segments.push((socket.next, bytes, false));
            socket.next += segments
                .last()
                .map_or(0, |(_, bytes, _)| bytes.len() as u64);
        }
        if socket.closed.is_some() && socket.waiting.is_empty() && socket.fin.is_none() {
            socket.fin = Some(socket.next);
            segments.push((socket.next, Bytes::new(), true));
            socket.next += 1;
        }
        if !segments.is_empty() {
            let due = now + socket.rto;
            socket.due.get_or_insert(due);
        }
        for (seq, bytes, fin) in segments {
            self.send_data(id, seq, bytes, fin);
        }
        if written > 0 {
            let news = News::Written(written);
            self.outputs.push_back(Output::Tell(id, news));
        }
    }

    fn expire(&mut self, now: At, id: u32) {
        let socket = self.socket(id);
        socket.tries += 1;
        socket.rto = (socket.rto * 2).min(LONGEST);
        socket.due = Some(now + socket.rto);
        let orphan = socket.owner.is_none();
        let (attempt, connection, unowned) = TRIES;
        match socket.stage {
            Stage::Connecting if socket.tries > attempt => {
                self.kill(id, News::Failed("Connection timed out"));
            }
            Stage::Connecting => self.send(id, What::Syn),
            Stage::Accepting if socket.tries > attempt => drop(self.sockets.remove(&id)),
            Stage::Accepting => self.send(id, What::SynAck),
            Stage::Dead => drop(self.sockets.remove(&id)),
            // FIN-WAIT-2 is over, or nobody answers an orphan.
            Stage::Open if orphan && (socket.una == socket.next || socket.tries > unowned) => {
                self.sockets.remove(&id);
            }
            Stage::Open if socket.tries > connection => {
                self.kill(id, News::Closed("Connection timed out"));
            }
            Stage::Open => {
                let again: Vec<(u64, Bytes)> = socket.unacked.iter().cloned().collect();
                let fin = socket.fin;
                for (seq, bytes) in again {
                    self.send_data(id, seq, bytes, false);
                }
                if let Some(seq) = fin {
                    self.send_data(id, seq, Bytes::new(), true);
                }
            }
        }
    }

    fn kill(&mut self, id: u32, news: News) {
        let socket = self.socket(id);
        if socket.owner.is_some() {
            socket.stage = Stage::Dead;
            socket.due = None;
            self.outputs.push_back(Output::Tell(id, news));
        } else {
            self.sockets.remove(&id);
        }
    }

    /// Forgets a closed socket when both ends have said and heard everything.
    fn reap(&mut self, now: At, id: u32) {
        let Some(socket) = self.sockets.get_mut(&id) else {
            return;
        };
        if socket.owner.is_some() || socket.fin.is_none() || socket.una < socket.next {
            return;
        }
        if socket.heard_fin {
            self.sockets.remove(&id);
        } else {
            let over = now + FIN_WAIT;
            socket.due.get_or_insert(over);
        }
    }

    fn acknowledge(&mut self, id: u32) {
        let seq = self.socket(id).next;
        self.send_data(id, seq, Bytes::new(), false);
    }

    fn send_data(&mut self, id: u32, seq: u64, bytes: Bytes, fin: bool) {
        let ack = self.socket(id).received;
        self.send(
            id,
            What::Data {
                seq,
                ack,
                bytes,
                fin,
            },
        );
    }

    fn send(&mut self, id: u32, what: What) {
        let socket = self.socket(id);
        let (from, to) = (socket.local, socket.remote);
        self.outputs
            .push_back(Output::Send(Segment { from, to, what }));
    }
}
