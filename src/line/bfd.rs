//! A BFD session with its sockets: one to receive, bound to the session's address and interface, one to send, and
//! the carrier of the interface (RFC 5881).

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::thread::{Source, Surroundings};
use super::{End, LineError, LineEvent};
use crate::bfd::{
    Config, Counters, Diagnostic, Heard, Input, Output, Session, State, StateChange, Timers,
};
use crate::kernel::carrier::CarrierEvents;
use crate::kernel::namespace::Namespace;
use crate::kernel::socket::{BFD_PORT, Socket};
use crate::kernel::sysctl::{NEIGHBOUR_AGAIN, ask_neighbours_again};
use crate::record::Fact;
use crate::time::At;

/// Packets read at once before a loss may be declared.
const MOST_AT_ONCE: usize = 64;

/// A BFD session to be run.
#[derive(Debug, Clone)]
pub struct BfdSpec {
    /// What it is known by.
    pub end: End,
    /// The interface in the router's namespace, and its index.
    pub device: String,
    /// Index of the interface.
    pub link: u32,
    /// Our session address.
    pub local: IpAddr,
    /// The remote's session address.
    pub remote: IpAddr,
    /// Discriminator, timers and so on.
    pub config: Config,
}

/// A BFD session ready to be run: its sockets are open.
#[derive(Debug)]
pub struct BfdPort {
    spec: BfdSpec,
    receive: Socket,
    send: Socket,
    carrier: CarrierEvents,
}

impl BfdPort {
    /// Opens the sockets in the router's namespace.
    ///
    /// # Errors
    /// What the kernel refused; the address must be configured and its port 3784 free.
    pub fn open(namespace: &Namespace, spec: BfdSpec) -> Result<BfdPort, LineError> {
        namespace.run(|| {
            // When this is refused, the session comes up a second later now and then; nothing else.
            let _ = ask_neighbours_again(&spec.device, spec.local, NEIGHBOUR_AGAIN);
            let device = Some(spec.device.as_str());
            let receive = Socket::bfd_receive(spec.local, device)?;
            // Spread over the range, so that two sessions of one address do not try the same ports.
            let first = spec.config.my_discriminator.get() as u16;
            let send = Socket::bfd_send(spec.local, device, first)?;
            let carrier = CarrierEvents::open(&[spec.link]).map_err(|source| {
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

    /// What it is known by.
    pub fn end(&self) -> &End {
        &self.spec.end
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

/// A command to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BfdCommand {
    /// Disable it.
    AdminDown,
    /// Enable it.
    Enable,
    /// Change intervals or multiplier.
    SetTimers(Timers),
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
    /// Its state.
    pub state: State,
    /// Why it last changed.
    pub diagnostic: Diagnostic,
    /// Our intervals and multiplier, as they are wanted.
    pub timers: Timers,
    /// What the remote said last; `None` while nothing was heard.
    pub heard: Option<Heard>,
    /// The interval between packets we send, before jitter.
    pub transmit_interval: Duration,
    /// The Detection Time; `None` before the first packet.
    pub detection_time: Option<Duration>,
    /// Packets of the session.
    pub counters: Counters,
    /// Packets from another address than the remote's.
    pub foreign: u64,
    /// Packets the kernel did not take, for example while the interface was down.
    pub unsent: u64,
}

/// A session that runs.
#[derive(Debug)]
pub(super) struct BfdLine {
    end: End,
    session: Session,
    /// `None` when the session is only saying farewell.
    receive: Option<Socket>,
    send: Socket,
    local: IpAddr,
    remote: SocketAddr,
    carrier: CarrierEvents,
    has_carrier: bool,
    /// When the farewell is over.
    over: Option<At>,
    foreign: u64,
    unsent: u64,
}

impl BfdLine {
    pub fn new(port: BfdPort, around: &mut Surroundings) -> BfdLine {
        let mut line = BfdLine {
            session: Session::new(port.spec.config, around.clock.now()),
            end: port.spec.end,
            receive: Some(port.receive),
            send: port.send,
            local: port.spec.local,
            remote: SocketAddr::new(port.spec.remote, BFD_PORT),
            carrier: port.carrier,
            has_carrier: true,
            over: None,
            foreign: 0,
            unsent: 0,
        };
        // The first packet goes now if there is carrier, else when it comes.
        line.read_carrier(around);
        line.act(around);
        line
    }

    pub fn end(&self) -> &End {
        &self.end
    }

    /// The descriptors to wait on.
    pub fn sources(&self) -> impl Iterator<Item = (Source, BorrowedFd<'_>)> {
        let receive = self.receive.iter().map(|s| (Source::Member(0), s.as_fd()));
        receive.chain([(Source::Carrier, self.carrier.as_fd())])
    }

    /// Reads what a source has, one packet at most.
    pub fn ready(&mut self, source: Source, around: &mut Surroundings) {
        match source {
            Source::Carrier => self.read_carrier(around),
            Source::Member(_) => {
                self.read_packet(around);
            }
        }
        self.act(around);
    }

    /// Lets the timers run, a loss only after the packets that came before it.
    pub fn timer(&mut self, around: &mut Surroundings) {
        let now = around.clock.now();
        let drained = match self.session.detection_deadline() {
            Some(due) if due <= now => self.drain(now, around),
            Some(_) | None => At::ZERO,
        };
        self.session.handle(now, Input::Timer { drained });
        self.act(around);
    }

    pub fn command(&mut self, command: BfdCommand, around: &mut Surroundings) {
        let input = match command {
            BfdCommand::AdminDown => Input::AdminDown,
            BfdCommand::Enable => Input::Enable,
            BfdCommand::SetTimers(timers) => Input::SetTimers(timers),
        };
        self.session.handle(around.clock.now(), input);
        self.act(around);
    }

    /// Closes the receiving socket and begins to say farewell.
    pub fn leave(&mut self, around: &mut Surroundings) {
        self.receive = None;
        self.command(BfdCommand::AdminDown, around);
        self.over = Some(around.clock.now() + self.session.remote_detection_time());
    }

    /// Whether the farewell was said.
    pub fn is_over(&self, now: At) -> bool {
        self.over.is_some_and(|over| over <= now)
    }

    pub fn deadline(&self) -> Option<At> {
        match (self.session.deadline(), self.over) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    pub fn status(&self) -> BfdStatus {
        BfdStatus {
            local: self.local,
            remote: self.remote.ip(),
            discriminator: self.session.my_discriminator(),
            state: self.session.state(),
            diagnostic: self.session.diagnostic(),
            timers: self.session.timers(),
            heard: self.session.heard(),
            transmit_interval: self.session.transmit_interval(),
            detection_time: self.session.detection_time(),
            counters: self.session.counters(),
            foreign: self.foreign,
            unsent: self.unsent,
        }
    }

    /// Reads what came before `now`; returns the moment up to which everything was read.
    fn drain(&mut self, now: At, around: &mut Surroundings) -> At {
        let mut last = At::ZERO;
        for _ in 0..MOST_AT_ONCE {
            match self.read_packet(around) {
                Some(at) => last = at,
                None => return now,
            }
        }
        // A flood: the rest has its turn later, and counts as unread.
        last
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
            let input = Input::Packet {
                bytes: &around.buffer[..received.length],
                ttl: received.ttl.unwrap_or(0),
                at: received.at,
            };
            self.session.handle(around.clock.now(), input);
        } else {
            self.foreign += 1;
        }
        Some(received.at)
    }

    fn read_carrier(&mut self, around: &mut Surroundings) {
        let (had, mut has) = (self.has_carrier, self.has_carrier);
        while let Ok(true) = self
            .carrier
            .receive(around.buffer, |_, carrier| has = carrier)
        {}
        self.has_carrier = has;
        if has && !had {
            self.session.handle(around.clock.now(), Input::PathUp);
        }
    }

    /// Does what the session wants done.
    fn act(&mut self, around: &mut Surroundings) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Send(packet) => {
                    // Without carrier it would only set off a neighbour discovery that fails, and the next one
                    // would come a second later, when there may be carrier.
                    if !self.has_carrier || self.send.send_to(&packet, self.remote).is_err() {
                        self.unsent += 1;
                    }
                }
                Output::State(change) => self.tell(change, around),
                Output::Disabled(disabled) => {
                    let end = self.end.clone();
                    around.tell(LineEvent::BfdDisabled { end, disabled });
                }
            }
        }
    }

    fn tell(&self, change: StateChange, around: &mut Surroundings) {
        let at = around.clock.now();
        around.recorder.at(
            at,
            Fact::Bfd {
                router: self.end.router.clone(),
                connection: self.end.connection.clone(),
                state: change.to.name().to_owned(),
                diagnostic: change.diagnostic.words().to_owned(),
                last_received: change.last_received,
                detection_time: change.detection_time.map(Into::into),
            },
        );
        let end = self.end.clone();
        around.tell(LineEvent::Bfd { end, change, at });
    }
}
