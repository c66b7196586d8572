//! One BFD session: its state variables (RFC 5880, section 6.8.1), its timers, its poll sequence.
//!
//! Both timers are derived from what they depend on whenever they are asked for, so a change of an interval
//! takes effect at once, as section 6.8.3 wants, and no timer can be stale.
//!
//! **Invariant:** a packet that is refused changes nothing but a counter, and its reason is told once in each state;
//! [`Session::enter`] is the only place where the state changes; the Detection Time runs from the kernel's receive timestamps.

use std::collections::VecDeque;
use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::authentication::Authenticator;
use super::misbehaviour::{Misbehaviour, Outbox, Said};
use super::observation::{Observer, Rhythm};
use super::packet::{Diagnostic, Invalid, Micros, Packet};
use super::poll_sequence::{PollSequence, Progress};
use super::state::{Event, State, next};
use crate::time::{Allowance, At};

#[cfg(test)]
mod authenticated;
mod hearing;
mod io;
#[cfg(test)]
mod joined;
#[cfg(test)]
mod misbehaving;
#[cfg(test)]
mod negotiation;
#[cfg(test)]
mod observed;
mod sending;
#[cfg(test)]
mod tests;

pub use io::{
    Config, Counters, Heard, Input, Order, Output, SINGLE_HOP, StateChange, Timers, TimersChange,
};

/// While a session is not Up it sends no faster than this (section 6.8.3).
const SLOW: Micros = Micros(1_000_000);

/// So many packets may leave at once because something changed or the remote asked; no failure or repair needs as many.
const PROMPT: u32 = 32;
/// One more may after so long. Nobody may make us send without limit.
const PROMPT_AGAIN: Duration = Duration::from_millis(10);

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
    /// What was told of it last.
    heard: Option<Heard>,
    /// Its intervals before a Final with others. Where both ends ask at once its answer, which has no Poll, comes before its own.
    before_final: Option<(Micros, Micros)>,
}

/// A BFD session in asynchronous mode.
#[derive(Debug)]
pub struct Session {
    my_discriminator: NonZeroU32,
    passive: bool,
    control_plane_independent: bool,
    least_ttl: u8,
    required_min_echo_rx: Micros,
    authenticator: Option<Authenticator>,
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
    /// When the next packet last came to be due sooner: it is not late for what was not known before.
    hastened: At,
    /// Share of the transmit interval after which the next packet goes, parts per million.
    jitter: u32,
    rng: SmallRng,
    now: At,
    send_due: bool,
    final_due: bool,
    /// The state changed, and no packet says so yet.
    unsaid: bool,
    /// A Poll is not answered yet.
    asked: bool,
    /// Packets because of these two.
    prompt: Allowance,
    /// When the last of our packets left that the remote had no reason to discard, and what it said.
    last_good_sent: Option<(At, Said)>,
    misbehaviour: Misbehaviour,
    outbox: Outbox,
    observer: Observer,
    /// What [`Output::Disabled`] said last.
    disabled: bool,
    /// Why packets were discarded since the state last changed: each reason is told once.
    refused: Vec<Invalid>,
    /// What is to be told: all but packets.
    news: VecDeque<Output>,
    counters: Counters,
}

/// A moment after about `share` nanoseconds that other sessions with such an interval choose as well: a multiple of a power of
/// two of nanoseconds that has four places or more within the jitter, so that a driver of many sessions wakes once for several.
/// Never before 75 % of the interval.
fn at_a_common_moment(from: At, share: u64, interval: Micros) -> At {
    let nanos = u64::from(interval.0) * 1_000;
    let step = 1 << (nanos / 16).max(1).ilog2();
    let earliest = from + Duration::from_nanos(nanos * 3 / 4);
    let moment = (from + Duration::from_nanos(share)).as_nanos() / step * step;
    match At::from_nanos(moment) {
        early if early < earliest => At::from_nanos(moment + step),
        in_time => in_time,
    }
}

impl Session {
    /// A session in state Down. Unless passive it sends its first packet at once.
    pub fn new(config: Config, now: At) -> Session {
        let timers = config.timers.valid();
        let desired_min_tx = timers.desired_min_tx.max(SLOW);
        let authenticator = |how| Authenticator::new(how, config.first_sequence);
        let mut session = Session {
            my_discriminator: config.my_discriminator,
            passive: config.passive,
            control_plane_independent: config.control_plane_independent,
            least_ttl: config.least_ttl,
            required_min_echo_rx: config.required_min_echo_rx,
            authenticator: config.authentication.map(authenticator),
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
                heard: None,
                before_final: None,
            },
            configured: timers,
            waiting: None,
            desired_min_tx,
            required_min_rx: timers.required_min_rx,
            tx_in_force: desired_min_tx,
            rx_in_force: timers.required_min_rx,
            poll_sequence: PollSequence::default(),
            period_from: now,
            hastened: now,
            jitter: 0,
            rng: SmallRng::seed_from_u64(config.jitter_seed),
            now,
            send_due: true,
            final_due: false,
            unsaid: false,
            asked: false,
            prompt: Allowance::new(PROMPT, PROMPT_AGAIN),
            last_good_sent: None,
            misbehaviour: Misbehaviour::default(),
            outbox: Outbox::new(config.jitter_seed),
            observer: Observer::new(),
            disabled: false,
            refused: Vec::new(),
            news: VecDeque::with_capacity(4),
            counters: Counters::default(),
        };
        session.begin_period();
        session
    }

    /// Takes an input. Afterwards the outputs are to be taken with [`Session::poll`] until there are none.
    pub fn handle(&mut self, now: At, input: Input<'_>) {
        self.now = self.now.max(now);
        let due = self.next_transmission();
        match input {
            Input::Packet { bytes, ttl, at } => match self.accept(bytes, ttl, at) {
                Ok(packet) => self.receive(&packet, at),
                Err(reason) => {
                    self.counters.discarded += 1;
                    self.counters.last_discarded = Some(reason);
                    if !self.refused.contains(&reason) {
                        self.refused.push(reason);
                        self.news.push_back(Output::Discarded(reason));
                    }
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
            Input::Order(order) => self.obey(order),
        }
        let next = self.next_transmission();
        if next.is_some_and(|next| due.is_none_or(|due| next < due)) {
            self.hastened = self.now;
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Disable => self.apply(Event::AdminDown),
            Order::Enable => self.apply(Event::Enable),
            Order::Timers { change, poll } => {
                let timers = change.of(self.waiting.unwrap_or(self.configured));
                match poll {
                    true => self.set_timers(timers),
                    false => self.set_timers_unasked(timers),
                }
            }
            Order::Misbehave(how) => self.misbehave(how),
        }
    }

    /// The next thing to do or know, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        let disabled = [self.state, self.remote.state].contains(&State::AdminDown);
        if std::mem::replace(&mut self.disabled, disabled) != disabled {
            return Some(Output::Disabled(disabled));
        }
        if let Some(news) = self.news.pop_front() {
            return Some(news);
        }
        if (self.unsaid || self.asked) && self.prompt.free_at() <= self.now {
            self.prompt.note(self.now);
            self.send_due |= std::mem::take(&mut self.unsaid);
            self.final_due |= std::mem::take(&mut self.asked);
        }
        // What is kept back for good must not keep back what comes after it.
        while self.final_due || self.send_due {
            let packet = self.next_packet();
            if let Some(output) = packet {
                return Some(output);
            }
        }
        let late = self.outbox.take(self.now)?;
        Some(self.leaves(late))
    }

    /// A packet that is due now; `None` if there is none, or it leaves later or never.
    fn next_packet(&mut self) -> Option<Output> {
        // The answer to a Poll goes out whatever the timers say (section 6.8.7), as far as `PROMPT` lets it.
        if self.final_due {
            self.final_due = false;
            // Unless we poll too, the answer also says everything a periodic packet would.
            if self.send_due && !self.poll_sequence.is_running() {
                self.send_due = false;
                self.begin_period();
            }
            return self.send(true);
        }
        if self.send_due {
            self.send_due = false;
            self.unsaid = false;
            if self.may_send() {
                self.begin_period();
                return self.send(false);
            }
        }
        None
    }

    /// When [`Input::Timer`] is next wanted.
    pub fn deadline(&self) -> Option<At> {
        let all = [
            self.next_transmission(),
            self.detection_deadline(),
            self.outbox.deadline(),
            (self.unsaid || self.asked).then(|| self.prompt.free_at()),
        ];
        all.into_iter().flatten().min()
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

    /// bfd.XmitAuthSeq, with authentication.
    pub fn last_sequence(&self) -> Option<u32> {
        Some(self.authenticator.as_ref()?.last_sequence())
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

    /// What the remote said last; `None` before its first packet, and when it was lost.
    pub fn heard(&self) -> Option<Heard> {
        self.remote
            .heard
            .filter(|_| self.remote.discriminator.is_some())
    }

    /// What was measured of the remote since it became Up, or since its interval changed.
    pub fn rhythm(&self) -> Option<Rhythm> {
        self.observer.rhythm()
    }

    /// What we advertise while Up, and our multiplier.
    pub fn timers(&self) -> Timers {
        self.configured
    }

    /// How our end misbehaves.
    pub fn misbehaviour(&self) -> &Misbehaviour {
        &self.misbehaviour
    }

    /// Tells what was measured of the remote and not told yet: nobody listens any more.
    pub fn finish(&mut self) {
        self.news.extend(self.observer.finish().map(Output::Rhythm));
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
        if let (Some(authenticator), Some(section)) =
            (&mut self.authenticator, &packet.authentication)
        {
            authenticator.accept(section);
        }
        let before = self.remote;
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
            heard: before.heard,
            before_final: None,
        };
        self.observe(packet, &before, at);
        self.advance_poll_sequence(packet.final_, at);
        if self.state == State::AdminDown {
            return;
        }
        self.apply(Event::Received(packet.state));
        self.asked |= packet.poll;
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
        if self.state == State::Up {
            self.finish();
        }
        self.news.push_back(Output::State(StateChange {
            from: self.state,
            to,
            diagnostic: self.diagnostic,
            remote_state: self.remote.state,
            remote_diagnostic: self.remote.diagnostic,
            control_plane_independent: self.control_plane_independent
                && self.remote.control_plane_independent,
            last_received: self.remote.last_received,
            detection_time: self.detection_time(),
        }));
        self.state = to;
        self.refused.clear();
        if to != State::Up {
            // Only while Up do changes have to wait for each other.
            self.configured = self.waiting.take().unwrap_or(self.configured);
        }
        self.advertise();
        // Section 6.8.7: tell a change of state at once.
        self.unsaid = true;
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

    fn set_timers_unasked(&mut self, timers: Timers) {
        self.set_timers(timers);
        if let Some(timers) = self.waiting.take() {
            self.configured = timers;
            self.advertise();
        }
        self.poll_sequence = PollSequence::default();
        self.tx_in_force = self.desired_min_tx;
        self.rx_in_force = self.required_min_rx;
        // An interval that the remote has not heard of yet would be a silence to it.
        self.send_due = true;
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
            Some(Progress::Terminated { after }) => {
                self.news.push_back(Output::Answered(after));
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
        self.remote.demand && self.both_up()
    }

    /// Both ends are Up, as far as is known here.
    fn both_up(&self) -> bool {
        self.state == State::Up && self.remote.state == State::Up
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
        let negotiated = self.tx_in_force.max(self.remote.min_rx);
        let interval = self.misbehaviour.pace.unwrap_or(negotiated);
        let share = u64::from(interval.0) * u64::from(self.jitter) / 1_000;
        let next = at_a_common_moment(self.period_from, share, interval);
        Some(next.max(self.hastened))
    }

    /// When the Detection Time will have passed (section 6.8.4). The driver reads its socket before it lets that be.
    pub fn detection_deadline(&self) -> Option<At> {
        self.remote.discriminator?;
        Some(self.remote.last_received? + self.detection_time()?)
    }
}
