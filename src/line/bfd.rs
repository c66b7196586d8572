//! A BFD session with its sockets: one to receive, bound to the session's address, one to send. Over one hop (RFC 5881)
//! they are bound to the interface, too, whose carrier is watched; over several (RFC 5883) they are not, and all sessions at an
//! address receive with one socket (`multihop.rs`).

mod facts;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use self::facts::discarded;
pub(super) use self::facts::seen;
use super::multihop::Receivers;
use super::punctuality::Protocol;
use super::telling::{Kind, Telling, Tidings};
use super::thread::{Source, Surroundings};
use super::{End, LineError, LineEvent};
use crate::bfd::{
    Config, Counters, Datagram, Diagnostic, Heard, Input, Misbehaviour, Order, Output, Rhythm,
    SINGLE_HOP, Session, State, StateChange, Timers,
};
use crate::kernel::carrier::CarrierEvents;
use crate::kernel::namespace::Namespace;
use crate::kernel::socket::{BFD_MULTIHOP_PORT, BFD_PORT, Received, Socket};
use crate::kernel::sysctl::{NEIGHBOUR_AGAIN, ask_neighbours_again};
use crate::record::{BfdDiscardReason, Fact};
use crate::time::At;

/// Packets read at once before a loss may be declared.
const MOST_AT_ONCE: usize = 64;

/// A BFD session to be run.
#[derive(Debug, Clone)]
pub struct BfdSpec {
    /// What it is known by.
    pub end: End,
    /// How the remote is reached.
    pub reach: Reach,
    /// Our session address.
    pub local: IpAddr,
    /// The remote's session address.
    pub remote: IpAddr,
    /// Discriminator, timers and so on.
    pub config: Config,
}

/// How the remote of a BFD session is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Over one hop: port 3784.
    OneHop {
        /// The interface in the router's namespace.
        device: String,
        /// Its index.
        link: u32,
    },
    /// As routes have it: port 4784. Sessions at one local address have remotes of their own (RFC 5883, section 4).
    Routed,
}

/// A BFD session ready to be run: its sockets are open.
#[derive(Debug)]
pub(super) struct BfdPort {
    pub spec: BfdSpec,
    receive: Receive,
    send: Socket,
    /// Of the interface, if there is only one.
    carrier: Option<CarrierEvents>,
}

/// The socket that a session receives with.
#[derive(Debug)]
enum Receive {
    /// Its own.
    Own(Socket),
    /// That of all sessions over several hops at its address.
    Shared(Arc<Socket>),
}

impl BfdPort {
    /// Opens the sockets in the router's namespace.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn open(
        namespace: &Namespace,
        spec: BfdSpec,
        receivers: &Receivers,
    ) -> Result<BfdPort, LineError> {
        namespace.run(|| {
            let link = match &spec.reach {
                Reach::OneHop { device, link } => Some((device.as_str(), *link)),
                Reach::Routed => None,
            };
            if let Some((device, _)) = link {
                // When this is refused, the session comes up a second later now and then; nothing else.
                let _ = ask_neighbours_again(device, spec.local, NEIGHBOUR_AGAIN);
            }
            let device = link.map(|(device, _)| device);
            let receive = match device {
                Some(_) => Receive::Own(Socket::bfd_receive(spec.local, device)?),
                None => Receive::Shared(receivers.at(&spec.end.router, spec.local)?),
            };
            // Spread over the range, so that two sessions of one address do not try the same ports.
            let first = spec.config.my_discriminator.get() as u16;
            let send = Socket::bfd_send(spec.local, device, first)?;
            let carrier = link.map(|(_, link)| CarrierEvents::open(&[link]));
            let carrier = carrier.transpose().map_err(|source| {
                let end = spec.end.clone();
                LineError::Carrier { end, source }
            })?;
            Ok(BfdPort {
                spec,
                receive,
                send,
                carrier,
            })
        })?
    }

    /// The socket that it shares with other sessions at its address, if it does.
    pub fn shared(&self) -> Option<&Arc<Socket>> {
        match &self.receive {
            Receive::Own(_) => None,
            Receive::Shared(socket) => Some(socket),
        }
    }
}

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// Without a word, as a crash.
    Silent,
    /// The remote is told AdminDown, for a Detection Time of its (RFC 5880, section 6.8.16).
    AdminDown,
}

/// How a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BfdStatus {
    /// Our address.
    pub local: IpAddr,
    /// The remote's address.
    pub remote: IpAddr,
    /// Our discriminator.
    pub discriminator: NonZeroU32,
    /// There is none now: it is on a member that LACP has neither distribute nor stand by (RFC 7130, section 3).
    pub off: bool,
    /// Its state.
    pub state: State,
    /// Why it last changed.
    pub diagnostic: Diagnostic,
    /// Our intervals and multiplier, as they are wanted.
    pub timers: Timers,
    /// How our end misbehaves.
    pub misbehaviour: Misbehaviour,
    /// What the remote said last; `None` while nothing was heard.
    pub heard: Option<Heard>,
    /// The rhythm of the remote's packets since the session came up or intervals changed.
    pub rhythm: Option<Rhythm>,
    /// The interval between packets we send, before jitter.
    pub transmit_interval: Duration,
    /// The Detection Time; `None` before the first packet.
    pub detection_time: Option<Duration>,
    /// Packets of the session.
    pub counters: Counters,
    /// Packets from another address than the remote's; over several hops those to our address that are for no session there.
    pub foreign: u64,
    /// Packets the kernel did not take, for example while the interface was down.
    pub unsent: u64,
}

impl BfdStatus {
    /// Of a session between these addresses, ours first.
    pub(super) fn of(session: &Session, [local, remote]: [IpAddr; 2]) -> BfdStatus {
        BfdStatus {
            local,
            remote,
            discriminator: session.my_discriminator(),
            off: false,
            state: session.state(),
            diagnostic: session.diagnostic(),
            timers: session.timers(),
            misbehaviour: *session.misbehaviour(),
            heard: session.heard(),
            rhythm: session.rhythm(),
            transmit_interval: session.transmit_interval(),
            detection_time: session.detection_time(),
            counters: session.counters(),
            foreign: 0,
            unsent: 0,
        }
    }

    /// Of a session that there is not now.
    pub(super) fn off(config: &Config, addresses: [IpAddr; 2]) -> BfdStatus {
        BfdStatus {
            off: true,
            ..BfdStatus::of(&Session::new(*config, At::ZERO), addresses)
        }
    }
}

/// A session that runs.
#[derive(Debug)]
pub(super) struct BfdLine {
    end: End,
    session: Session,
    /// `None` when the session is only saying farewell, or shares a socket.
    receive: Option<Socket>,
    /// The slot of the socket that it shares.
    address: Option<u32>,
    send: Socket,
    /// The sending socket knows its remote.
    connected: bool,
    local: IpAddr,
    remote: SocketAddr,
    carrier: Option<CarrierEvents>,
    has_carrier: bool,
    /// What the sending socket is set to.
    ttl: u8,
    /// When the farewell is over.
    over: Option<At>,
    foreign: u64,
    /// One of them was told since the state last changed.
    told_foreign: bool,
    unsent: u64,
    telling: Telling,
}

impl BfdLine {
    /// A session whose sockets are open; `address` is the slot of the one that it shares, if it does.
    pub fn new(port: BfdPort, address: Option<u32>, around: &mut Surroundings) -> BfdLine {
        let mut line = BfdLine {
            session: Session::new(random_start(port.spec.config), around.clock.now()),
            end: port.spec.end,
            receive: match port.receive {
                Receive::Own(socket) => Some(socket),
                Receive::Shared(_) => None,
            },
            address,
            send: port.send,
            connected: false,
            local: port.spec.local,
            remote: SocketAddr::new(
                port.spec.remote,
                match port.spec.reach {
                    Reach::OneHop { .. } => BFD_PORT,
                    Reach::Routed => BFD_MULTIHOP_PORT,
                },
            ),
            carrier: port.carrier,
            has_carrier: true,
            ttl: SINGLE_HOP,
            over: None,
            foreign: 0,
            told_foreign: false,
            unsent: 0,
            telling: Telling::default(),
        };
        // The first packet goes now if there is carrier, else when it comes.
        line.read_carrier(around);
        line.act(around);
        line
    }

    /// The descriptors to wait on.
    pub fn sources(&self) -> impl Iterator<Item = (Source, BorrowedFd<'_>)> {
        let receive = self.receive.iter().map(|s| (Source::Member(0), s.as_fd()));
        let carrier = self.carrier.iter().map(|c| (Source::Carrier, c.as_fd()));
        receive.chain(carrier)
    }

    /// Reads what a source has, one packet at most.
    pub fn ready(&mut self, source: Source, around: &mut Surroundings) {
        match source {
            Source::Carrier => self.read_carrier(around),
            Source::Member(_) | Source::Micro(_) | Source::Data(_) => {
                self.read_packet(around);
            }
        }
        self.act(around);
    }

    /// Takes a packet that came in where it shares a socket.
    pub fn take(&mut self, received: &Received, around: &mut Surroundings) {
        self.hear(received, around);
        self.act(around);
    }

    /// The slot of the socket that it shares, if it does.
    pub fn address(&self) -> Option<u32> {
        self.address
    }

    /// Whether it would detect a loss now.
    pub fn may_detect(&self, now: At) -> bool {
        let due = self.session.detection_deadline();
        due.is_some_and(|due| due <= now)
    }

    /// Lets the timers run, a loss only after the packets that came before it; where it shares a socket, everything received
    /// before `drained` was taken.
    pub fn timer(&mut self, now: At, drained: Option<At>, around: &mut Surroundings) {
        let drained = match drained {
            Some(drained) => drained,
            None if self.may_detect(now) => drain(now, || self.read_packet(around)),
            None => At::ZERO,
        };
        // Answers to what was read were not due.
        self.act(around);
        around.due = self.session.deadline().filter(|due| *due <= now);
        self.session.handle(now, Input::Timer { drained });
        self.act(around);
        around.due = None;
    }

    pub fn order(&mut self, order: Order, around: &mut Surroundings) {
        self.session.handle(around.clock.now(), Input::Order(order));
        self.act(around);
    }

    /// Closes the receiving socket, or has nothing to do with it any more, and begins to say farewell.
    pub fn leave(&mut self, around: &mut Surroundings) {
        self.receive = None;
        self.address = None;
        self.order(Order::Disable, around);
        self.over = Some(around.clock.now() + self.session.remote_detection_time());
    }

    /// Whether the farewell was said.
    pub fn is_over(&self, now: At) -> bool {
        self.over.is_some_and(|over| over <= now)
    }

    pub fn deadline(&self) -> Option<At> {
        let all = [self.session.deadline(), self.telling.deadline(), self.over];
        all.into_iter().flatten().min()
    }

    pub fn status(&self) -> BfdStatus {
        BfdStatus {
            foreign: self.foreign,
            unsent: self.unsent,
            ..BfdStatus::of(&self.session, [self.local, self.remote.ip()])
        }
    }

    /// Reads one packet; returns when the kernel received it.
    fn read_packet(&mut self, around: &mut Surroundings) -> Option<At> {
        // An error is one of an earlier packet, and taken away by having been told.
        let received = self
            .receive
            .as_ref()?
            .receive(&around.clock, around.buffer)
            .ok()??;
        if received.from.map(|from| from.ip()) == Some(self.remote.ip()) {
            self.hear(&received, around);
        } else {
            self.foreign += 1;
            if let Some(from) = received.from.filter(|_| !self.told_foreign) {
                self.told_foreign = true;
                let why = format!("source address {} is not {}", from.ip(), self.remote.ip());
                let fact = discarded(&self.end, why, BfdDiscardReason::Source);
                let at = received.at;
                self.telling.put(Tidings::new(Kind::Discarded, at, fact));
            }
        }
        Some(received.at)
    }

    fn hear(&mut self, received: &Received, around: &mut Surroundings) {
        let input = Input::Packet {
            bytes: &around.buffer[..received.length],
            ttl: received.ttl.unwrap_or(0),
            at: received.at,
        };
        self.session.handle(around.clock.now(), input);
    }

    fn read_carrier(&mut self, around: &mut Surroundings) {
        let Some(carrier) = &mut self.carrier else {
            return;
        };
        let (had, mut has) = (self.has_carrier, self.has_carrier);
        while let Ok(true) = carrier.receive(around.buffer, |_, carrier| has = carrier) {}
        self.has_carrier = has;
        if has && !had {
            self.session.handle(around.clock.now(), Input::PathUp);
        }
    }

    /// Does what the session wants done.
    fn act(&mut self, around: &mut Surroundings) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Send(packet) => self.send(&packet, around),
                Output::State(change) => {
                    self.told_foreign = false;
                    self.tell(change, around);
                }
                Output::Disabled(disabled) => {
                    let end = self.end.clone();
                    self.telling.put(Tidings {
                        kind: Kind::Disabled,
                        at: around.clock.now(),
                        fact: None,
                        event: Some(LineEvent::BfdDisabled { end, disabled }),
                    });
                }
                seen @ (Output::Heard(_)
                | Output::Rhythm(_)
                | Output::Answered(_)
                | Output::Discarded(_)) => {
                    let tidings = self::seen(&self.end, &seen, around.clock.now());
                    tidings.into_iter().for_each(|it| self.telling.put(it));
                }
            }
            self.telling.tell(|| self.end.names(), around);
        }
        self.telling.tell(|| self.end.names(), around);
    }

    fn send(&mut self, packet: &Datagram, around: &mut Surroundings) {
        if packet.ttl != self.ttl && self.send.set_ttl(packet.ttl).is_ok() {
            self.ttl = packet.ttl;
        }
        // Without carrier it would only set off a neighbour discovery that fails, and the next one would come a second
        // later, when there may be carrier. With another TTL than wanted it would be another packet.
        let wanted = self.has_carrier && self.ttl == packet.ttl;
        // Refused while there is no route.
        if wanted && !self.connected {
            self.connected = self.send.connect(self.remote).is_ok();
        }
        let sent = wanted
            && self.connected
            && around
                .send(Protocol::Bfd, &self.send, |socket| {
                    socket.send_connected(packet)
                })
                .is_ok();
        self.unsent += u64::from(!sent);
    }

    /// Tells what was measured of the remote so far: the session ends.
    pub fn finish(&mut self, around: &mut Surroundings) {
        self.session.finish();
        self.act(around);
        self.telling.finish(|| self.end.names(), around);
    }

    fn tell(&mut self, change: StateChange, around: &mut Surroundings) {
        let at = around.clock.now();
        let fact = Fact::Bfd {
            router: self.end.router.clone(),
            connection: self.end.connection.clone(),
            state: change.to.name().to_owned(),
            diagnostic: change.diagnostic.words().to_owned(),
            last_received: change.last_received,
            detection_time: change.detection_time.map(Into::into),
        };
        let end = self.end.clone();
        self.telling.put(Tidings {
            event: Some(LineEvent::Bfd { end, change, at }),
            ..Tidings::new(Kind::State, at, fact)
        });
    }
}

/// A session's configuration with a bfd.XmitAuthSeq that nobody can know (RFC 5880, section 6.8.1).
pub(super) fn random_start(config: Config) -> Config {
    Config {
        first_sequence: RandomState::new().hash_one(config.my_discriminator) as u32,
        ..config
    }
}

/// Reads what came before `now`, packet by packet; returns the moment up to which everything was read.
pub(super) fn drain(now: At, mut read: impl FnMut() -> Option<At>) -> At {
    let mut last = At::ZERO;
    for _ in 0..MOST_AT_ONCE {
        match read() {
            Some(at) => last = at,
            None => return now,
        }
    }
    // A flood: the rest has its turn later, and counts as unread.
    last
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::num::NonZeroU8;

    use super::*;

    /// No run begins where another one did, and no session where its last one did.
    #[test]
    fn the_first_sequence_number_is_another_each_time() {
        let timers = Timers::symmetric(Duration::from_millis(50), NonZeroU8::MIN);
        let config = Config::single_hop(NonZeroU32::MIN, timers, 1);
        let first: BTreeSet<u32> = (0..64)
            .map(|_| random_start(config).first_sequence)
            .collect();
        assert!(first.len() > 60, "{first:?}");
        let halves = first.iter().filter(|first| **first > u32::MAX / 2);
        assert!((8..=56).contains(&halves.count()), "{first:?}");
    }
}
