//! The loop: wait, read, let timers run, obey.

mod sessions;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::sync::mpsc::UnboundedSender;

use super::backend::AnyLine;
use super::bfd::BfdLine;
use super::errands::{Errand, Errands};
use super::multihop::Address;
use super::punctuality::{Protocol, Punctuality};
use super::schedule::Schedule;
use super::{Command, End, LineEvent};
use crate::kernel::priority;
use crate::kernel::socket::Socket;
use crate::record::{Fact, Recorder};
use crate::time::{At, Clock};

/// Descriptors served in one turn.
const EVENTS: usize = 256;
/// The longest packet or frame that matters; what is longer is cut off and refused by its protocol.
const BUFFER: usize = 2048;
/// Waking up later than this is a fact.
const LATE: Duration = Duration::from_millis(1);

/// What a session needs of its thread.
pub(super) struct Surroundings<'a> {
    pub clock: Clock,
    pub recorder: &'a Recorder,
    events: &'a UnboundedSender<LineEvent>,
    /// To read into; of use only during one read.
    pub buffer: &'a mut [u8; BUFFER],
    /// When the packets were due that a session sends now, if they were.
    pub due: Option<At>,
    punctuality: &'a mut Punctuality,
    errands: &'a Errands,
}

impl Surroundings<'_> {
    /// Tells the routers, if they still listen.
    pub fn tell(&self, event: LineEvent) {
        let _ = self.events.send(event);
    }

    /// Has something done by another thread.
    pub fn give(&self, errand: Errand) {
        // It is gone only when the program ends.
        let _ = self.errands.send(errand);
    }

    /// Sends a packet, and counts how late it left if it was due.
    ///
    /// # Errors
    /// What `send` says.
    pub fn send(
        &mut self,
        protocol: Protocol,
        socket: &Socket,
        send: impl FnOnce(&Socket) -> io::Result<()>,
    ) -> io::Result<()> {
        let began = self.clock.now();
        send(socket)?;
        // Taken even if nobody wants it: a stamp that is left makes epoll report the socket again and again.
        let stamp = socket.sent_at(began, &self.clock);
        if let Some(due) = self.due {
            let at = stamp.unwrap_or_else(|| self.clock.now());
            self.punctuality
                .count(protocol, at.since(due), stamp.is_some());
        }
        Ok(())
    }
}

/// A descriptor of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Packets of a BFD session, or frames of a LAG's member.
    Member(u8),
    /// Frames of BFD on a LAG's member.
    Micro(u8),
    /// Data that comes early on a LAG's member; what is not read does not wake again.
    Data(u8),
    /// Carrier events.
    Carrier,
}

impl Source {
    /// What to wait for.
    fn events(self) -> EpollFlags {
        match self {
            Source::Member(_) | Source::Micro(_) | Source::Carrier => EpollFlags::EPOLLIN,
            Source::Data(_) => EpollFlags::EPOLLIN | EpollFlags::EPOLLET,
        }
    }
}

/// What an epoll event is about, packed into its 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Command,
    Timer,
    Session(u32, Source),
}

impl Token {
    fn pack(self) -> u64 {
        match self {
            Token::Command => 0,
            Token::Timer => 1,
            Token::Session(slot, source) => {
                let of_member = |kind: u64, index: u8| 3 + 3 * u64::from(index) + kind;
                let source = match source {
                    Source::Carrier => 2,
                    Source::Member(index) => of_member(0, index),
                    Source::Micro(index) => of_member(1, index),
                    Source::Data(index) => of_member(2, index),
                };
                u64::from(slot) << 16 | source
            }
        }
    }

    fn unpack(bits: u64) -> Token {
        let slot = (bits >> 16) as u32;
        let source = match bits & 0xffff {
            0 => return Token::Command,
            1 => return Token::Timer,
            2 => Source::Carrier,
            of_member => {
                let index = ((of_member - 3) / 3) as u8;
                match of_member % 3 {
                    0 => Source::Member(index),
                    1 => Source::Micro(index),
                    _ => Source::Data(index),
                }
            }
        };
        Token::Session(slot, source)
    }
}

/// What a slot holds.
enum Occupant {
    Bfd(Box<BfdLine>),
    Lag(Box<AnyLine>),
    /// Where BFD sessions over several hops receive.
    Address(Box<Address>),
}

/// Starts the thread.
pub(super) fn start(
    recorder: Recorder,
    events: UnboundedSender<LineEvent>,
    (commands, wake): (mpsc::Receiver<Command>, Arc<EventFd>),
    errands: Errands,
) -> io::Result<JoinHandle<()>> {
    let mut line = Thread {
        clock: recorder.clock(),
        recorder,
        events,
        commands,
        epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
        timer: TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK,
        )?,
        wake,
        armed: None,
        schedule: Schedule::default(),
        due: Vec::with_capacity(EVENTS),
        slots: Vec::new(),
        lags: HashMap::new(),
        bfds: HashMap::new(),
        addresses: HashMap::new(),
        buffer: Box::new([0; BUFFER]),
        punctuality: Punctuality::default(),
        errands,
    };
    let reading = EpollEvent::new(EpollFlags::EPOLLIN, Token::Command.pack());
    line.epoll.add(line.wake.as_ref(), reading)?;
    // Edge-triggered: an expiry is told once, and need not be read.
    let expiring = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    line.epoll.add(
        line.timer.as_fd(),
        EpollEvent::new(expiring, Token::Timer.pack()),
    )?;
    std::thread::Builder::new()
        .name("line".into())
        .spawn(move || {
            if let Err(errno) = priority::real_time(priority::LINE) {
                tracing::debug!(%errno, "the line thread has no real-time priority");
            }
            line.run();
        })
}

struct Thread {
    clock: Clock,
    recorder: Recorder,
    events: UnboundedSender<LineEvent>,
    commands: mpsc::Receiver<Command>,
    wake: Arc<EventFd>,
    epoll: Epoll,
    timer: TimerFd,
    /// What the timer is set to.
    armed: Option<At>,
    schedule: Schedule,
    /// Slots whose deadline came, in one turn.
    due: Vec<u32>,
    slots: Vec<Option<Occupant>>,
    lags: HashMap<End, u32>,
    bfds: HashMap<End, u32>,
    /// By router and address.
    addresses: HashMap<(String, IpAddr), u32>,
    buffer: Box<[u8; BUFFER]>,
    punctuality: Punctuality,
    errands: Errands,
}

impl Thread {
    fn run(&mut self) {
        let mut ready = [EpollEvent::empty(); EVENTS];
        loop {
            let timeout = self.arm();
            let count = match self.epoll.wait(&mut ready, timeout) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(errno) => {
                    let text = format!("line thread: epoll_wait: {errno}");
                    self.recorder.now(Fact::Errored { text });
                    return;
                }
            };
            let mut ordered = false;
            for event in &ready[..count] {
                match Token::unpack(event.data()) {
                    Token::Command => ordered = true,
                    Token::Timer => self.armed = None,
                    Token::Session(slot, source) => {
                        if event.events().contains(EpollFlags::EPOLLERR) {
                            self.take_errors(slot, source);
                        }
                        self.ready(slot, source);
                    }
                }
            }
            self.run_timers();
            // Last, because it may free slots that events of this turn are about.
            if ordered && !self.obey() {
                return;
            }
        }
    }

    /// Sets the timer to the earliest deadline; returns how long to wait besides.
    fn arm(&mut self) -> EpollTimeout {
        let Some(next) = self.schedule.next() else {
            return EpollTimeout::NONE;
        };
        if next <= self.clock.now() {
            return EpollTimeout::ZERO;
        }
        if self.armed != Some(next) {
            self.armed = Some(next);
            let moment = Duration::from_nanos(self.clock.monotonic_nanos(next));
            let alarm = Expiration::OneShot(TimeSpec::from_duration(moment));
            let absolute = TimerSetTimeFlags::TFD_TIMER_ABSTIME;
            if self.timer.set(alarm, absolute).is_err() {
                // Never seen; waiting by the millisecond still works.
                self.armed = None;
                return EpollTimeout::from(1u8);
            }
        }
        EpollTimeout::NONE
    }

    /// Takes what lies in a socket's error queue: the stamps of packets that waited in a queue of the link.
    fn take_errors(&mut self, slot: u32, source: Source) {
        let clock = self.clock;
        let now = clock.now();
        let socket = match self.occupant(slot) {
            Some(Occupant::Lag(lag)) => lag.socket(source),
            Some(Occupant::Bfd(_) | Occupant::Address(_)) | None => None,
        };
        if let Some(socket) = socket {
            socket.sent_at(now, &clock);
        }
    }

    fn ready(&mut self, slot: u32, source: Source) {
        if let Some(Occupant::Address(_)) = self.occupant(slot) {
            self.read_address(slot);
            return;
        }
        let (occupant, mut around) = self.parts(slot);
        let deadline = match occupant {
            Some(Occupant::Bfd(bfd)) => {
                bfd.ready(source, &mut around);
                bfd.deadline()
            }
            Some(Occupant::Lag(lag)) => {
                lag.ready(source, &mut around);
                lag.deadline()
            }
            Some(Occupant::Address(_)) | None => None,
        };
        self.schedule.set(slot, deadline);
    }

    /// Runs what is due now. What becomes due meanwhile waits for the next turn, after the sockets.
    fn run_timers(&mut self) {
        let now = self.clock.now();
        let mut due = std::mem::take(&mut self.due);
        while let Some((at, slot)) = self.schedule.pop_due(now) {
            let by = now.since(at);
            if due.is_empty() && by > LATE {
                let thread = "line".to_owned();
                let by = by.into();
                self.recorder.at(now, Fact::Late { thread, by });
            }
            due.push(slot);
        }
        for slot in due.drain(..) {
            self.run_timer(slot);
        }
        self.due = due;
    }

    fn run_timer(&mut self, slot: u32) {
        match self.parts(slot) {
            (Some(Occupant::Bfd(_)), _) => self.run_bfd(slot),
            (Some(Occupant::Lag(lag)), mut around) => {
                lag.timer(&mut around);
                let deadline = lag.deadline();
                self.schedule.set(slot, deadline);
            }
            (Some(Occupant::Address(_)) | None, _) => self.schedule.set(slot, None),
        }
    }

    /// Does all that was ordered; `false` to end.
    fn obey(&mut self) -> bool {
        // Emptied before the commands are read, so that one sent meanwhile wakes us again.
        let _ = self.wake.read();
        loop {
            let command = match self.commands.try_recv() {
                Ok(command) => command,
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            };
            match command {
                Command::AddLag(lag) => {
                    self.remove_lag(lag.end());
                    let lag = AnyLine::new(*lag, &mut self.around());
                    let end = lag.end().clone();
                    let slot = self.occupy(Occupant::Lag(Box::new(lag)), &end);
                    self.lags.insert(end, slot);
                }
                Command::RemoveLag(end, answer) => {
                    self.remove_lag(&end);
                    let _ = answer.send(());
                }
                Command::Lag(end, command) => {
                    if let Some(slot) = self.lags.get(&end).copied() {
                        let (occupant, mut around) = self.parts(slot);
                        if let Some(Occupant::Lag(lag)) = occupant {
                            lag.command(command, &mut around);
                            let deadline = lag.deadline();
                            self.schedule.set(slot, deadline);
                        }
                    }
                }
                Command::InspectLag(end, answer) => {
                    let slot = self.lags.get(&end).copied();
                    if let Some(Occupant::Lag(lag)) = slot.and_then(|s| self.parts(s).0) {
                        let _ = answer.send(lag.status());
                    }
                }
                Command::AddBfd(port) => self.add_bfd(*port),
                Command::RemoveBfd(end, farewell, answer) => {
                    self.remove_bfd(&end, farewell);
                    let _ = answer.send(());
                }
                Command::Bfd(end, order) => {
                    if let Some((slot, member)) = self.slot_of_bfd(&end) {
                        let (occupant, mut around) = self.parts(slot);
                        let deadline = match (occupant, member) {
                            (Some(Occupant::Bfd(bfd)), None) => {
                                bfd.order(order, &mut around);
                                bfd.deadline()
                            }
                            (Some(Occupant::Lag(lag)), Some(member)) => {
                                lag.order_bfd(member, order, &mut around);
                                lag.deadline()
                            }
                            _ => None,
                        };
                        self.schedule.set(slot, deadline);
                    }
                }
                Command::InspectBfd(end, answer) => {
                    let place = self.slot_of_bfd(&end);
                    let found =
                        place.and_then(|(slot, member)| match (self.occupant(slot)?, member) {
                            (Occupant::Bfd(bfd), None) => Some(self.bfd_status(bfd)),
                            (Occupant::Lag(lag), Some(member)) => lag.bfd_status(member),
                            _ => None,
                        });
                    if let Some(status) = found {
                        let _ = answer.send(status);
                    }
                }
                Command::DataSocket(end, member, socket) => {
                    self.take_data_socket(&end, member, socket);
                }
                Command::Stop => {
                    self.finish();
                    return false;
                }
            }
        }
    }

    /// Where a BFD session is, and on which member of a LAG if it is on one.
    fn slot_of_bfd(&self, end: &End) -> Option<(u32, Option<u8>)> {
        if let Some(slot) = self.bfds.get(end) {
            return Some((*slot, None));
        }
        let (lag, member) = end.lag_and_member()?;
        Some((*self.lags.get(&lag)?, Some(member)))
    }

    /// Tells what was measured and not told yet.
    fn finish(&mut self) {
        self.punctuality.tell(&self.recorder);
        for slot in self.bfds.values().copied().collect::<Vec<_>>() {
            let (occupant, mut around) = self.parts(slot);
            if let Some(Occupant::Bfd(bfd)) = occupant {
                bfd.finish(&mut around);
            }
        }
        for slot in self.lags.values().copied().collect::<Vec<_>>() {
            let (occupant, mut around) = self.parts(slot);
            if let Some(Occupant::Lag(lag)) = occupant {
                lag.finish(&mut around);
            }
        }
    }

    fn remove_lag(&mut self, end: &End) {
        let Some(slot) = self.lags.remove(end) else {
            return;
        };
        if let Some(Occupant::Lag(lag)) = self.vacate(slot) {
            lag.leave(&mut self.around());
        }
    }

    /// Gives an occupant a slot, and waits on its descriptors from now on.
    fn occupy(&mut self, occupant: Occupant, end: &End) -> u32 {
        let free = self.slots.iter().position(Option::is_none);
        let slot = free.unwrap_or(self.slots.len()) as u32;
        let watch = |(source, fd)| {
            let token = Token::Session(slot, source).pack();
            self.epoll.add(fd, EpollEvent::new(source.events(), token))
        };
        let (watched, deadline) = match &occupant {
            Occupant::Bfd(bfd) => (bfd.sources().try_for_each(watch), bfd.deadline()),
            Occupant::Lag(lag) => (
                lag.sources().into_iter().try_for_each(watch),
                lag.deadline(),
            ),
            Occupant::Address(address) => (watch((Source::Member(0), address.as_fd())), None),
        };
        if let Err(errno) = watched {
            let text = format!("{end}: wait on its sockets: {errno}");
            self.recorder.now(Fact::Errored { text });
        }
        match free {
            Some(index) => self.slots[index] = Some(occupant),
            None => self.slots.push(Some(occupant)),
        }
        self.schedule.set(slot, deadline);
        tracing::debug!(%end, slot, "a session begins");
        slot
    }

    /// Takes an occupant out of its slot. Closing its descriptors ends the waiting on them.
    fn vacate(&mut self, slot: u32) -> Option<Occupant> {
        tracing::debug!(slot, "a session ends");
        self.schedule.clear(slot);
        self.slots.get_mut(slot as usize)?.take()
    }

    fn occupant(&self, slot: u32) -> Option<&Occupant> {
        self.slots.get(slot as usize)?.as_ref()
    }

    fn around(&mut self) -> Surroundings<'_> {
        self.parts(u32::MAX).1
    }

    fn parts(&mut self, slot: u32) -> (Option<&mut Occupant>, Surroundings<'_>) {
        let occupant = self.slots.get_mut(slot as usize).and_then(Option::as_mut);
        let around = Surroundings {
            clock: self.clock,
            recorder: &self.recorder,
            events: &self.events,
            buffer: &mut self.buffer,
            due: None,
            punctuality: &mut self.punctuality,
            errands: &self.errands,
        };
        (occupant, around)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_packing() {
        let sessions = [0, 1, u32::MAX].into_iter().flat_map(|slot| {
            [
                Source::Carrier,
                Source::Member(0),
                Source::Member(7),
                Source::Micro(0),
                Source::Micro(7),
                Source::Data(0),
                Source::Data(7),
            ]
            .map(|source| Token::Session(slot, source))
        });
        for token in sessions.chain([Token::Command, Token::Timer]) {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
