//! A micro session: BFD on one member of a LAG (RFC 7130).
//!
//! It lives as long as LACP lets the member distribute or holds it in standby (section 3), and says whether the load balancer
//! may use the member. That one end disabled it says nothing of the path, and takes nothing away (RFC 5882, section 4.2).
//!
//! Packets go to the dedicated MAC address 01-00-5E-90-00-01, of both families, until the session is Up, and with the first
//! packets in Up, as many as our multiplier, for that is what section 2.3 demands. After that it leaves a choice, and ours is the
//! address the remote's packets come from: a member that is patched to another router then loses its session, and a switch that
//! floods multicast is not asked to.
//!
//! **Invariant:** a member that has a session is alive only while the session is Up, or was Up when it was disabled.

use std::collections::VecDeque;
use std::net::IpAddr;

use super::frame::{DEDICATED_MAC, Way, frame, framed};
use super::misbehaviour::Misbehaviour;
use super::session::{Config, Input, Order, Output, Session, StateChange};
use super::state::State;
use crate::time::At;

/// How a micro session is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MicroConfig {
    /// Discriminator, timers and so on.
    pub session: Config,
    /// The member's own MAC address.
    pub mac: [u8; 6],
    /// Our address: the LAG's (section 2.2).
    pub local: IpAddr,
    /// The remote's address.
    pub remote: IpAddr,
    /// The UDP port we send from.
    pub port: u16,
}

/// What happens to a micro session.
#[derive(Debug, Clone, Copy)]
pub enum MicroInput<'a> {
    /// LACP has the member distribute or stand by, or has it no longer.
    Wanted(bool),
    /// A frame that the member received.
    Frame {
        /// The whole frame, without FCS.
        bytes: &'a [u8],
        /// When the kernel received it.
        at: At,
    },
    /// As [`Input::Timer`].
    Timer {
        /// Every frame received before this moment was handed over already.
        drained: At,
    },
    /// From now on, and of every session the member will have.
    Order(Order),
}

/// What a micro session wants done or known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MicroOutput {
    /// Send this frame on the member.
    Send(Vec<u8>),
    /// Its state changed.
    State(StateChange),
    /// Something was seen of the remote: what it says, how it keeps time, that it answered.
    Seen(Output),
    /// The load balancer may use the member, or may not any more.
    Alive(bool),
}

/// A micro session, wanted or not. At first it is not, and the member not alive.
#[derive(Debug)]
pub struct Micro {
    config: MicroConfig,
    session: Option<Session>,
    /// What our end does wrong, and whether it is disabled.
    misbehaviour: Misbehaviour,
    admin_down: bool,
    /// One of both ends is disabled.
    disabled: bool,
    /// Packets that may yet be sent in state Up before they go to the remote's own address.
    dedicated: u8,
    /// Where the remote's packets come from.
    remote_mac: Option<[u8; 6]>,
    /// Frames that were not for the session.
    foreign: u64,
    alive: bool,
    outputs: VecDeque<MicroOutput>,
}

impl Micro {
    /// A micro session that is not wanted yet.
    pub fn new(config: MicroConfig) -> Micro {
        Micro {
            config,
            session: None,
            misbehaviour: Misbehaviour::default(),
            admin_down: false,
            disabled: false,
            dedicated: 0,
            remote_mac: None,
            foreign: 0,
            alive: false,
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input. Afterwards the outputs are to be taken with [`Micro::poll`] until there are none.
    pub fn handle(&mut self, now: At, input: MicroInput<'_>) {
        match input {
            MicroInput::Wanted(true) if self.session.is_none() => {
                self.disabled = false;
                self.remote_mac = None;
                self.session = Some(self.begin(now));
            }
            MicroInput::Wanted(true) => {}
            MicroInput::Wanted(false) => {
                self.finish();
                // The remote may still know the old session: to go on where that was is no replay.
                let last = self.session.take().and_then(|old| old.last_sequence());
                let first = &mut self.config.session.first_sequence;
                *first = last.unwrap_or(*first);
            }
            MicroInput::Frame { bytes, at } => self.take_frame(now, bytes, at),
            MicroInput::Timer { drained } => {
                if let Some(session) = &mut self.session {
                    session.handle(now, Input::Timer { drained });
                }
            }
            MicroInput::Order(order) => self.obey(now, order),
        }
        self.work();
    }

    /// A new session, which has been told what the member was told.
    fn begin(&self, now: At) -> Session {
        let mut session = Session::new(self.config.session, now);
        if self.misbehaviour != Misbehaviour::default() {
            let order = Order::Misbehave(self.misbehaviour);
            session.handle(now, Input::Order(order));
        }
        if self.admin_down {
            session.handle(now, Input::Order(Order::Disable));
        }
        session
    }

    fn obey(&mut self, now: At, order: Order) {
        match order {
            Order::Disable => self.admin_down = true,
            Order::Enable => self.admin_down = false,
            Order::Misbehave(how) => self.misbehaviour = how,
            Order::Timers { change, .. } => {
                let timers = &mut self.config.session.timers;
                *timers = change.of(*timers);
            }
        }
        if let Some(session) = &mut self.session {
            session.handle(now, Input::Order(order));
        }
    }

    /// Tells what was measured of the remote and not told yet: nobody listens any more.
    pub fn finish(&mut self) {
        if let Some(session) = &mut self.session {
            session.finish();
        }
        self.work();
    }

    /// The next thing to do or know, until there is none.
    pub fn poll(&mut self) -> Option<MicroOutput> {
        self.outputs.pop_front()
    }

    /// When [`MicroInput::Timer`] is next wanted.
    pub fn deadline(&self) -> Option<At> {
        self.session.as_ref()?.deadline()
    }

    /// When the session would detect a loss.
    pub fn detection_deadline(&self) -> Option<At> {
        self.session.as_ref()?.detection_deadline()
    }

    /// The session; `None` while it is not wanted.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// How it is to be.
    pub fn config(&self) -> &MicroConfig {
        &self.config
    }

    /// How our end misbehaves.
    pub fn misbehaviour(&self) -> &Misbehaviour {
        &self.misbehaviour
    }

    /// Frames that came to the member and were not for the session.
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    fn take_frame(&mut self, now: At, bytes: &[u8], at: At) {
        let ours = [self.config.remote, self.config.local];
        let Some(framed) = framed(bytes).filter(|framed| framed.addresses == ours) else {
            self.foreign += 1;
            return;
        };
        let Some(session) = &mut self.session else {
            return;
        };
        let before = session.counters().received;
        let input = Input::Packet {
            bytes: framed.payload,
            ttl: framed.ttl,
            at,
        };
        session.handle(now, input);
        if session.counters().received > before {
            self.remote_mac = Some(framed.from_mac);
        }
    }

    /// Takes what the session wants, and concludes from its state.
    fn work(&mut self) {
        while let Some(output) = self.session.as_mut().and_then(Session::poll) {
            match output {
                Output::Send(packet) => {
                    let frame = frame(&self.way(), packet.ttl, &packet);
                    self.outputs.push_back(MicroOutput::Send(frame));
                }
                Output::State(change) => {
                    if change.to == State::Up {
                        let timers = self.config.session.timers;
                        self.dedicated = timers.detect_multiplier.get();
                    }
                    self.outputs.push_back(MicroOutput::State(change));
                }
                Output::Disabled(disabled) => self.disabled = disabled,
                Output::Heard(_)
                | Output::Rhythm(_)
                | Output::Answered(_)
                | Output::Discarded(_) => {
                    self.outputs.push_back(MicroOutput::Seen(output));
                }
            }
        }
        let state = self.session.as_ref().map(Session::state);
        let alive = match state {
            Some(State::Up) => true,
            // Who disables it takes nothing away, and gives nothing: the member is not used before it was Up.
            Some(_) if self.disabled => self.alive,
            Some(_) | None => false,
        };
        if std::mem::replace(&mut self.alive, alive) != alive {
            self.outputs.push_back(MicroOutput::Alive(alive));
        }
    }

    /// The way of the next packet: to the dedicated address until so many were sent in state Up as the remote may lose, then
    /// to where its packets come from (section 2.3).
    fn way(&mut self) -> Way {
        let state = self.session.as_ref().map(Session::state);
        let own = match (state, self.remote_mac) {
            (Some(State::Up), Some(mac)) if self.dedicated == 0 => mac,
            (Some(State::Up), _) => {
                self.dedicated = self.dedicated.saturating_sub(1);
                DEDICATED_MAC
            }
            _ => DEDICATED_MAC,
        };
        let MicroConfig {
            mac,
            local,
            remote,
            port,
            ..
        } = self.config;
        Way {
            macs: [mac, own],
            addresses: [local, remote],
            port,
        }
    }
}

#[cfg(test)]
mod tests;
