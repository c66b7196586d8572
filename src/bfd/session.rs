//! One BFD session: its state variables (RFC 5880, section 6.8.1), its timers, its poll sequence.
//!
//! Both timers are derived from what they depend on whenever they are asked for, so a change of an interval
//! takes effect at once, as section 6.8.3 wants, and no timer can be stale.
//!
//! **Invariant:** a packet that is refused changes nothing but a counter; [`Session::enter`] is the only
//! place where the state changes; the Detection Time runs from the kernel's receive timestamps.

use std::collections::VecDeque;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::packet::{Diagnostic, Invalid, Micros, PACKET_LEN, Packet};
use super::poll_sequence::{PollSequence, Progress};
use super::state::{Event, State, next};
use crate::time::At;

#[cfg(test)]
mod joined;
#[cfg(test)]
mod negotiation;
#[cfg(test)]
mod tests;

/// While a session is not Up it sends no faster than this (section 6.8.3).
const SLOW: Micros = Micros(1_000_000);

/// The TTL of every packet of a single-hop session (RFC 5881, section 5).
const TTL: u8 = 255;

/// What a session is told at its birth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Our name for the session: random, and unique on this system.
    pub my_discriminator: NonZeroU32,
    /// Intervals and multiplier.
    pub timers: Timers,
    /// Wait for the remote to speak first (section 6.1).
    pub passive: bool,
    /// Seed of the jitter, so that a run can be repeated.
    pub jitter_seed: u64,
}

/// Intervals and multiplier of our end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// The shortest interval at which we would send while Up.
    pub desired_min_tx: Micros,
    /// The shortest interval at which we can receive.
    pub required_min_rx: Micros,
    /// Lost packets after which the remote shall detect a failure.
    pub detect_multiplier: NonZeroU8,
}

impl Timers {
    /// The same interval both ways, rounded down to microseconds.
    pub fn symmetric(interval: Duration, detect_multiplier: NonZeroU8) -> Timers {
        Timers {
            desired_min_tx: interval.into(),
            required_min_rx: interval.into(),
            detect_multiplier,
        }
    }
}

impl Timers {
    /// Zero intervals mean something else on the wire (section 4.1); the shortest is 1 µs.
    fn valid(self) -> Timers {
        Timers {
            desired_min_tx: self.desired_min_tx.max(Micros(1)),
            required_min_rx: self.required_min_rx.max(Micros(1)),
            detect_multiplier: self.detect_multiplier,
        }
    }
}

/// What happens to a session.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A UDP payload from the remote's address to port 3784.
    Packet {
        /// The payload.
        bytes: &'a [u8],
        /// TTL of its IP header.
        ttl: u8,
        /// When the kernel received it.
        at: At,
    },
    /// The deadline may have come.
    Timer {
        /// Every packet received before this moment was handed over already. A driver reads its clock,
        /// then empties the socket, then gives the reading here: a detection is never declared while the
        /// packet that would refute it lies unread, however late the driver is.
        drained: At,
    },
    /// The interface can carry packets again. What was sent before went nowhere, so the slow interval
    /// of section 6.8.3 begins anew, with a packet at its beginning.
    PathUp,
    /// The administrator disables the session.
    AdminDown,
    /// The administrator enables the session.
    Enable,
    /// The administrator changes intervals or multiplier.
    SetTimers(Timers),
}

/// What a session wants done or known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Send this to the remote, port 3784, with TTL 255, from the session's one source port.
    Send([u8; PACKET_LEN]),
    /// The state changed.
    State(StateChange),
    /// One end disabled the session, which says nothing of the path, or both enabled it again (RFC 5882, section 3.2).
    /// Comes before the change of state that follows from it.
    Disabled(bool),
}

/// A change of state and what was known at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    /// The state left.
    pub from: State,
    /// The state entered.
    pub to: State,
    /// Why, where there is a reason to tell.
    pub diagnostic: Diagnostic,
    /// The remote's state in its last packet.
    pub remote_state: State,
    /// The remote's diagnostic in its last packet.
    pub remote_diagnostic: Diagnostic,
    /// The remote's BFD does not share fate with its control plane: the C bit of its last packet.
    pub control_plane_independent: bool,
    /// When the kernel received the last packet.
    pub last_received: Option<At>,
    /// The Detection Time that was in force before the change; `None` before the first packet.
    pub detection_time: Option<Duration>,
}

/// Counts of packets since the session was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Handed out for sending.
    pub sent: u64,
    /// Accepted.
    pub received: u64,
    /// Discarded as section 6.8.6 wants.
    pub discarded: u64,
    /// Why the last of these was discarded.
    pub last_discarded: Option<Invalid>,
}

/// What the remote said in its last packet; the initial values are those of section 6.8.1.
#[derive(Debug, Clone, Copy)]
struct Remote {
    discriminator: Option<NonZeroU32>,
    state: State,
    diagnostic: Diagnostic,
    demand: bool,
    control_plane_independent: bool,
    min_rx: Micros,
    min_tx: Micros,
    detect_multiplier: NonZeroU8,
    last_received: Option<At>,
}

/// What the remote said in its last packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its discriminator.
    pub discriminator: NonZeroU32,
    /// Its state.
    pub state: State,
    /// Why its session last changed.
    pub diagnostic: Diagnostic,
    /// Its intervals and multiplier.
    pub timers: Timers,
    /// Its BFD does not share fate with its control plane (the C bit).
    pub control_plane_independent: bool,
}

/// A BFD session in asynchronous mode.
#[derive(Debug)]
pub struct Session {
    my_discriminator: NonZeroU32,
    passive: bool,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    /// What the administrator wants; while not Up, `desired_min_tx` is at least [`SLOW`].
    configured: Timers,
    /// A change that waits until the Poll Sequence for the last one is over.
    waiting: Option<Timers>,
    /// bfd.DesiredMinTxInterval, as advertised.
    desired_min_tx: Micros,
    /// bfd.RequiredMinRxInterval, as advertised.
    required_min_rx: Micros,
    /// What is used for sending: lags behind an increase until Final (section 6.8.3).
    tx_in_force: Micros,
    /// What is used for detection: lags behind a decrease until Final (section 6.8.3).
    rx_in_force: Micros,
    poll_sequence: PollSequence,
    /// When the present transmit interval began.
    period_from: At,
    /// Share of the transmit interval after which the next packet goes, parts per million.
    jitter: u32,
    rng: SmallRng,
    now: At,
    send_due: bool,
    final_due: bool,
    changes: VecDeque<StateChange>,
    /// What [`Output::Disabled`] said last.
    disabled: bool,
    counters: Counters,
}

impl Session {
    /// A session in state Down. Unless passive it sends its first packet at once.
    pub fn new(config: Config, now: At) -> Session {
        let timers = config.timers.valid();
        let desired_min_tx = timers.desired_min_tx.max(SLOW);
        let mut session = Session {
            my_discriminator: config.my_discriminator,
            passive: config.passive,
            state: State::Down,
            diagnostic: Diagnostic::None,
            remote: Remote {
                discriminator: None,
                state: State::Down,
                diagnostic: Diagnostic::None,
                demand: false,
                control_plane_independent: false,
                min_rx: Micros(1),
                min_tx: Micros(0),
                detect_multiplier: NonZeroU8::MIN,
                last_received: None,
            },
            configured: timers,
            waiting: None,
            desired_min_tx,
            required_min_rx: timers.required_min_rx,
            tx_in_force: desired_min_tx,
            rx_in_force: timers.required_min_rx,
            poll_sequence: PollSequence::default(),
            period_from: now,
            jitter: 0,
            rng: SmallRng::seed_from_u64(config.jitter_seed),
            now,
            send_due: true,
            final_due: false,
            changes: VecDeque::with_capacity(4),
            disabled: false,
            counters: Counters::default(),
        };
        session.begin_period();
        session
    }

    /// Takes an input. Afterwards the outputs are to be taken with [`Session::poll`] until there are none.
    pub fn handle(&mut self, now: At, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Packet { bytes, ttl, at } => match self.accept(bytes, ttl) {
                Ok(packet) => self.receive(&packet, at),
                Err(reason) => {
                    self.counters.discarded += 1;
                    self.counters.last_discarded = Some(reason);
                }
            },
            Input::Timer { drained } => {
                if self.detection_deadline().is_some_and(|at| at <= drained) {
                    self.expire();
                }
                if self.next_transmission().is_some_and(|at| at <= self.now) {
                    self.send_due = true;
                }
            }
            Input::PathUp => self.send_due = true,
            Input::AdminDown => self.apply(Event::AdminDown),
            Input::Enable => self.apply(Event::Enable),
            Input::SetTimers(timers) => self.set_timers(timers),
        }
    }

    /// The next thing to do or know, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        let disabled = [self.state, self.remote.state].contains(&State::AdminDown);
        if std::mem::replace(&mut self.disabled, disabled) != disabled {
            return Some(Output::Disabled(disabled));
        }
        if let Some(change) = self.changes.pop_front() {
            return Some(Output::State(change));
        }
        // The answer to a Poll goes out whatever the timers say (section 6.8.7).
        if self.final_due {
            self.final_due = false;
            // Unless we poll too, the answer also says everything a periodic packet would.
            if self.send_due && !self.poll_sequence.is_running() {
                self.send_due = false;
                self.begin_period();
            }
            return Some(self.send(true));
        }
        if self.send_due {
            self.send_due = false;
            if self.may_send() {
                self.begin_period();
                return Some(self.send(false));
            }
        }
        None
    }

    /// When [`Input::Timer`] is next wanted.
    pub fn deadline(&self) -> Option<At> {
        match (self.next_transmission(), self.detection_deadline()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why the state last changed; cleared by reaching Up.
    pub fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// Our name for the session.
    pub fn my_discriminator(&self) -> NonZeroU32 {
        self.my_discriminator
    }

    /// What we advertise while Up, and our multiplier.
    pub fn timers(&self) -> Timers {
        self.configured
    }

    /// What the remote said last; `None` before its first packet.
    pub fn heard(&self) -> Option<Heard> {
        let remote = &self.remote;
        Some(Heard {
            discriminator: remote.discriminator?,
            state: remote.state,
            diagnostic: remote.diagnostic,
            timers: Timers {
                desired_min_tx: remote.min_tx,
                required_min_rx: remote.min_rx,
                detect_multiplier: remote.detect_multiplier,
            },
            control_plane_independent: remote.control_plane_independent,
        })
    }

    /// Counts of packets.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The interval between packets we send, before jitter (section 6.8.2).
    pub fn transmit_interval(&self) -> Duration {
        self.tx_in_force.max(self.remote.min_rx).duration()
    }

    /// Our Detection Time (section 6.8.4), from the remote's multiplier; `None` before its first packet.
    pub fn detection_time(&self) -> Option<Duration> {
        self.remote.last_received?;
        Some(
            self.rx_in_force.max(self.remote.min_tx).duration()
                * u32::from(self.remote.detect_multiplier.get()),
        )
    }

    /// The Detection Time of the remote, as far as we can know it: for so long after AdminDown we should
    /// keep sending (section 6.8.16).
    pub fn remote_detection_time(&self) -> Duration {
        self.desired_min_tx.max(self.remote.min_rx).duration()
            * u32::from(self.configured.detect_multiplier.get())
    }

    /// The checks of section 6.8.6 and RFC 5881, section 5.
    fn accept(&self, bytes: &[u8], ttl: u8) -> Result<Packet, Invalid> {
        if ttl != TTL {
            return Err(Invalid::Ttl);
        }
        let packet = Packet::decode(bytes)?;
        match packet.your_discriminator {
            Some(named) if named != self.my_discriminator => Err(Invalid::YourDiscriminator),
            Some(_) | None => Ok(packet),
        }
    }

    /// The rest of section 6.8.6, in its order.
    fn receive(&mut self, packet: &Packet, at: At) {
        // A stamp outside what can be true comes from a step of the wall clock.
        let earliest = self.remote.last_received.unwrap_or(At::ZERO);
        let at = at.min(self.now).max(earliest);
        // A packet that came after the Detection Time does not undo that it had passed, even when
        // the driver was too late to notice in between.
        if self.detection_deadline().is_some_and(|due| due < at) {
            self.expire();
        }
        self.counters.received += 1;
        self.remote = Remote {
            discriminator: Some(packet.my_discriminator),
            state: packet.state,
            diagnostic: packet.diagnostic,
            demand: packet.demand,
            control_plane_independent: packet.control_plane_independent,
            min_rx: packet.required_min_rx,
            min_tx: packet.desired_min_tx,
            detect_multiplier: packet.detect_multiplier,
            last_received: Some(at),
        };
        self.advance_poll_sequence(packet.final_, at);
        if self.state == State::AdminDown {
            return;
        }
        self.apply(Event::Received(packet.state));
        if packet.poll {
            self.final_due = true;
        }
    }

    /// The Detection Time has passed: the session is lost and the remote forgotten (section 6.8.1,
    /// bfd.RemoteDiscr).
    fn expire(&mut self) {
        self.apply(Event::DetectionExpired);
        self.remote.discriminator = None;
    }

    fn apply(&mut self, event: Event) {
        let (to, diagnostic) = next(self.state, event);
        if let Some(diagnostic) = diagnostic {
            self.diagnostic = diagnostic;
        }
        if to != self.state {
            self.enter(to);
        }
    }

    /// The only place where the state changes.
    fn enter(&mut self, to: State) {
        self.changes.push_back(StateChange {
            from: self.state,
            to,
            diagnostic: self.diagnostic,
            remote_state: self.remote.state,
            remote_diagnostic: self.remote.diagnostic,
            control_plane_independent: self.remote.control_plane_independent,
            last_received: self.remote.last_received,
            detection_time: self.detection_time(),
        });
        self.state = to;
        if to != State::Up {
            // Only while Up do changes have to wait for each other.
            self.configured = self.waiting.take().unwrap_or(self.configured);
        }
        self.advertise();
        // Section 6.8.7: tell a change of state at once.
        self.send_due = true;
    }

    fn set_timers(&mut self, timers: Timers) {
        let timers = timers.valid();
        // The multiplier needs no Poll Sequence (section 6.8.12).
        self.configured.detect_multiplier = timers.detect_multiplier;
        if self.state == State::Up && !self.poll_sequence.is_idle() {
            self.waiting = Some(timers);
        } else {
            self.configured = timers;
            self.advertise();
        }
    }

    /// Puts the configured intervals into effect as section 6.8.3 allows. A change begins a Poll
    /// Sequence, which rides on the packets that are sent anyway (section 6.5).
    fn advertise(&mut self) {
        let up = self.state == State::Up;
        let desired_min_tx = if up {
            self.configured.desired_min_tx
        } else {
            self.configured.desired_min_tx.max(SLOW)
        };
        let required_min_rx = self.configured.required_min_rx;
        if !up || desired_min_tx <= self.desired_min_tx {
            self.tx_in_force = desired_min_tx;
        }
        if !up || required_min_rx >= self.required_min_rx {
            self.rx_in_force = required_min_rx;
        }
        if (desired_min_tx, required_min_rx) != (self.desired_min_tx, self.required_min_rx) {
            self.desired_min_tx = desired_min_tx;
            self.required_min_rx = required_min_rx;
            self.poll_sequence.begin();
        }
    }

    fn advance_poll_sequence(&mut self, final_: bool, at: At) {
        match self.poll_sequence.hear(final_, at) {
            Some(Progress::Terminated) => {
                self.tx_in_force = self.desired_min_tx;
                self.rx_in_force = self.required_min_rx;
            }
            Some(Progress::Settled) => {
                if let Some(timers) = self.waiting.take() {
                    self.configured = timers;
                    self.advertise();
                }
            }
            None => {}
        }
    }

    /// The remote is in Demand mode, and both ends are Up (section 6.6).
    fn remote_demands(&self) -> bool {
        self.remote.demand && self.state == State::Up && self.remote.state == State::Up
    }

    /// A passive system is silent until it has heard the remote (section 6.8.7).
    fn may_send(&self) -> bool {
        !self.passive || self.remote.discriminator.is_some()
    }

    /// When the next periodic packet is due (section 6.8.7).
    fn next_transmission(&self) -> Option<At> {
        let silenced = !self.may_send()
            || self.remote.min_rx == Micros(0)
            || (self.remote_demands() && !self.poll_sequence.is_running());
        if silenced {
            return None;
        }
        // At most 2^32 microseconds times a million parts: fits.
        let interval = self.tx_in_force.max(self.remote.min_rx);
        let share = u64::from(interval.0) * u64::from(self.jitter) / 1_000;
        Some(self.period_from + Duration::from_nanos(share))
    }

    /// When the Detection Time will have passed (section 6.8.4). The driver reads its socket before it lets that be.
    pub fn detection_deadline(&self) -> Option<At> {
        self.remote.discriminator?;
        Some(self.remote.last_received? + self.detection_time()?)
    }

    /// Begins a transmit interval: reduced by 0 to 25 %, and to at most 90 % when one lost packet is
    /// enough to detect a failure (section 6.8.7).
    fn begin_period(&mut self) {
        self.period_from = self.now;
        let longest = if self.configured.detect_multiplier == NonZeroU8::MIN {
            900_000
        } else {
            1_000_000
        };
        self.jitter = self.rng.random_range(750_000..=longest);
    }

    fn send(&mut self, final_: bool) -> Output {
        self.counters.sent += 1;
        let poll = !final_ && self.poll_sequence.send(self.now);
        let packet = Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll,
            final_,
            control_plane_independent: false,
            demand: false,
            detect_multiplier: self.configured.detect_multiplier,
            my_discriminator: self.my_discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.desired_min_tx,
            required_min_rx: self.required_min_rx,
            required_min_echo_rx: Micros(0),
        };
        Output::Send(packet.encode())
    }
}
