//! A LAG: one Aggregator and its ports, as a value to talk to.
//!
//! What one call of [`Lag::handle`] causes is put out in this order: changes of the data path, the LAG's carrier, frames,
//! facts about ports. A LACPDU therefore leaves after the data path can do what it says.

use std::collections::VecDeque;
use std::time::Duration;

use super::asked::MarkerAnswer;
use super::misbehaviour::Misbehaviour;
use super::observation::{Heard, Rhythm};
use super::pdu::{Frame, PortInfo, State};
use super::port::{Counters, NoMarker, Port, PortConfig, PortStatus};
use super::select::{self, Candidate, PartnerId};
use crate::time::At;

/// Most ports of a LAG.
pub const MOST_PORTS: usize = 8;

/// The wait for other ports that is good when both ends are quick (6.4.4 has Aggregate_Wait_Time 2 s). It only runs while a
/// port with light may yet hear its partner.
pub const AGGREGATE_WAIT: Duration = Duration::from_millis(20);

/// How a LAG is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LagConfig {
    /// Actor_System, a MAC address, not zero.
    pub system: [u8; 6],
    /// Actor_System_Priority; the lower goes before.
    pub system_priority: u16,
    /// Actor_Key of every port.
    pub key: u16,
    /// Ask the partner for a short timeout: one LACPDU a second, given up after 3 s.
    pub fast: bool,
    /// Active LACP: speak without being spoken to.
    pub active: bool,
    /// Ports that must distribute for the LAG to have carrier, at least 1.
    pub min_links: u8,
    /// Aggregate_Wait_Time; see [`AGGREGATE_WAIT`].
    pub aggregate_wait: Duration,
    /// The ports, 1 to 8, with distinct numbers.
    pub ports: Vec<PortConfig>,
}

/// Why a LAG cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No port, or more than 8.
    #[error("a LAG has 1 to {MOST_PORTS} ports, not {0}")]
    PortCount(usize),
    /// Two ports with one number.
    #[error("two ports have the number {0}")]
    PortNumber(u16),
    /// More links demanded than there are, or none.
    #[error("min-links is {min_links}, with {ports} ports it must be 1 to {ports}")]
    MinLinks {
        /// What was demanded.
        min_links: u8,
        /// Ports there are.
        ports: usize,
    },
    /// The address that means "unknown".
    #[error("the system must not be 00:00:00:00:00:00")]
    System,
}

/// What happened to a LAG. Ports are counted from 0, in the order of [`LagConfig::ports`]; a port that is not there is
/// ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// A port gained or lost light. Every port starts dark.
    Light {
        /// Which.
        port: usize,
        /// Light.
        up: bool,
    },
    /// A port received an Ethernet frame of the Slow Protocols, without FCS.
    Frame {
        /// Which.
        port: usize,
        /// The frame.
        bytes: &'a [u8],
    },
    /// Only time passed.
    Tick,
    /// A command.
    Admin(Admin),
}

/// A command to a LAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admin {
    /// Changes [`LagConfig::fast`].
    Fast(bool),
    /// Changes [`LagConfig::active`].
    Active(bool),
    /// Misbehaves in this way, and in no other.
    Misbehave {
        /// On this port, or on every port.
        port: Option<usize>,
        /// How.
        how: Misbehaviour,
    },
    /// Sends nothing of the LAG on a port, but goes on collecting from it; whatever it was told to do wrong it goes on doing.
    Spare {
        /// Which.
        port: usize,
        /// Or no longer.
        spared: bool,
    },
    /// Sends a marker, to see whether the partner answers it.
    AskMarker {
        /// On this port, or on every port.
        port: Option<usize>,
    },
}

/// What must be done, or is worth knowing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this frame on this port.
    Send {
        /// Which.
        port: usize,
        /// A whole Ethernet frame without FCS.
        frame: Frame,
    },
    /// The data path of a port changes. Every port starts with neither.
    Mux {
        /// Which.
        port: usize,
        /// Hand its frames to the LAG.
        collecting: bool,
        /// Send frames of the LAG on it.
        distributing: bool,
    },
    /// The LAG gains or loses carrier. It starts without.
    Carrier {
        /// Carrier.
        up: bool,
        /// Ports that distribute now.
        distributing: u8,
    },
    /// A port's state changed. That the partner distributes is no change of ours, and comes late, with its clock.
    PortChanged {
        /// Which.
        port: usize,
        /// Its state now.
        status: PortStatus,
    },
    /// The partner says something else than before. In a second three at most are told of a port, the latest last.
    Heard {
        /// On which port.
        port: usize,
        /// What.
        heard: Heard,
        /// So many other things it said before were not told.
        skipped: u32,
    },
    /// How the partner kept time so far: told after 1 interval, 2, 4, 8 …, after one that was early or late, and when the
    /// measurement ends; in a second three times at most.
    Rhythm {
        /// On which port.
        port: usize,
        /// How.
        rhythm: Rhythm,
    },
    /// The partner answered a marker of ours.
    MarkerAnswered {
        /// On which port.
        port: usize,
        /// How.
        answer: MarkerAnswer,
    },
    /// A marker that was asked for was not sent.
    NoMarker {
        /// On which port.
        port: usize,
        /// Why not.
        why: NoMarker,
    },
}

/// One Aggregator and its ports.
#[derive(Debug, Clone)]
pub struct Lag {
    min_links: u8,
    aggregate_wait: Duration,
    ports: Vec<Port>,
    /// What [`Output::PortChanged`] told last.
    told: Vec<PortStatus>,
    carrier: bool,
    partner: Option<PartnerId>,
    outputs: VecDeque<Output>,
}

impl Lag {
    /// Makes a LAG with every port dark. It has no timers until there is light.
    ///
    /// # Errors
    ///
    /// When `config` describes no LAG.
    pub fn new(config: &LagConfig) -> Result<Lag, ConfigError> {
        check(config)?;
        let actor = PortInfo {
            system_priority: config.system_priority,
            system: config.system,
            key: config.key,
            state: State::default()
                .with(State::ACTIVITY, config.active)
                .with(State::TIMEOUT, config.fast),
            ..PortInfo::default()
        };
        let ports: Vec<Port> = config.ports.iter().map(|p| Port::new(p, actor)).collect();
        Ok(Lag {
            min_links: config.min_links,
            aggregate_wait: config.aggregate_wait,
            told: ports.iter().map(Port::status).collect(),
            ports,
            carrier: false,
            partner: None,
            outputs: VecDeque::new(),
        })
    }

    /// Takes in what happened at `now`. For a frame `now` may be its receive timestamp, so that a timer that ran out while the
    /// frame lay unread does not count against the partner. At one moment, frames come before [`Input::Tick`].
    pub fn handle(&mut self, now: At, input: Input<'_>) {
        let until = match input {
            // Three LACPDUs a second apart take as long as the timeout: one that comes at its very moment is in time.
            Input::Frame { .. } => At::from_nanos(now.as_nanos().saturating_sub(1)),
            Input::Light { .. } | Input::Tick | Input::Admin(_) => now,
        };
        self.ports.iter_mut().for_each(|p| p.expire(now, until));
        match input {
            Input::Light { port, up } => self.set_light(now, port, up),
            Input::Frame { port, bytes } => self.take_frame(now, port, bytes),
            Input::Tick => {}
            Input::Admin(command) => self.command(now, command),
        }
        self.settle(now);
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<At> {
        self.ports.iter().filter_map(Port::deadline).min()
    }

    /// When a port may next send something by itself; `None` when it does not, or is none.
    pub fn sends_at(&self, port: usize) -> Option<At> {
        self.ports.get(port).and_then(Port::sends_at)
    }

    /// Number of ports.
    pub fn port_count(&self) -> usize {
        self.ports.len()
    }

    /// State of a port, `None` when there is no such port.
    pub fn status(&self, port: usize) -> Option<PortStatus> {
        self.ports.get(port).map(Port::status)
    }

    /// What a port says of itself in its LACPDUs.
    pub fn actor(&self, port: usize) -> Option<&PortInfo> {
        self.ports.get(port).map(Port::actor)
    }

    /// How a port misbehaves.
    pub fn misbehaviour(&self, port: usize) -> Option<&Misbehaviour> {
        self.ports.get(port).map(Port::misbehaviour)
    }

    /// What the partner of a port says, word by word; `None` while it is not heard.
    pub fn heard(&self, port: usize) -> Option<Heard> {
        self.ports.get(port)?.observer.said()
    }

    /// How the partner of a port has kept time so far.
    pub fn rhythm(&self, port: usize) -> Option<Rhythm> {
        self.ports.get(port)?.observer.meter.rhythm()
    }

    /// Frames of a port so far.
    pub fn counters(&self, port: usize) -> Option<&Counters> {
        self.ports.get(port).map(Port::counters)
    }

    /// The partner the LAG is joined to, or would be.
    pub fn partner(&self) -> Option<PartnerId> {
        self.partner
    }

    /// Whether the LAG has carrier.
    pub fn carrier(&self) -> bool {
        self.carrier
    }

    /// Number of ports that distribute.
    pub fn distributing(&self) -> u8 {
        let ports = self.ports.iter().filter(|port| port.status().distributing);
        u8::try_from(ports.count()).unwrap_or(u8::MAX)
    }

    fn set_light(&mut self, now: At, index: usize, up: bool) {
        if let Some(port) = self.ports.get_mut(index) {
            port.set_light(now, up);
        }
    }

    fn take_frame(&mut self, now: At, index: usize, bytes: &[u8]) {
        if let Some(port) = self.ports.get_mut(index) {
            port.take_frame(now, bytes);
        }
    }

    fn command(&mut self, now: At, command: Admin) {
        match command {
            Admin::Fast(fast) => self.set_wishes(now, State::TIMEOUT, fast),
            Admin::Active(active) => self.set_wishes(now, State::ACTIVITY, active),
            Admin::Misbehave { port, how } => {
                self.of(port).for_each(|(_, port)| port.misbehave(how));
            }
            Admin::Spare { port, spared } => {
                self.of(Some(port))
                    .for_each(|(_, port)| port.spared = spared);
            }
            Admin::AskMarker { port } => {
                let asked = self
                    .of(port)
                    .map(|(index, port)| match port.ask_marker(now) {
                        Ok(frame) => Output::Send { port: index, frame },
                        Err(why) => Output::NoMarker { port: index, why },
                    });
                let asked: Vec<Output> = asked.collect();
                self.outputs.extend(asked);
            }
        }
    }

    fn set_wishes(&mut self, now: At, bit: State, set: bool) {
        for port in &mut self.ports {
            port.set_wish(now, bit, set);
        }
    }

    /// This port, or every port.
    fn of(&mut self, port: Option<usize>) -> impl Iterator<Item = (usize, &mut Port)> {
        let all = self.ports.iter_mut().enumerate();
        all.filter(move |(index, _)| port.is_none_or(|port| port == *index))
    }

    /// Runs every machine to rest and puts out what came of it.
    fn settle(&mut self, now: At) {
        // A port that was unselected leaves the Aggregator before it is selected anew.
        self.run_mux(now);
        let candidates: Vec<Candidate> = self
            .ports
            .iter()
            .filter_map(|port| port.candidate().ok())
            .collect();
        self.partner = select::choose(&candidates);
        for port in &mut self.ports {
            port.select(self.partner);
        }
        self.run_mux(now);
        if !self.ports.iter().any(Port::listens) {
            self.ports.iter_mut().for_each(Port::end_wait);
            self.run_mux(now);
        }
        self.update_carrier();
        for (index, port) in self.ports.iter_mut().enumerate() {
            port.run_periodic(now);
            port.transmit(now);
            while let Some(frame) = port.take_out(now) {
                self.outputs.push_back(Output::Send { port: index, frame });
            }
        }
        self.tell_changes(now);
    }

    fn run_mux(&mut self, now: At) {
        for (index, port) in self.ports.iter_mut().enumerate() {
            port.run_mux(now, self.aggregate_wait, |collecting, distributing| {
                self.outputs.push_back(Output::Mux {
                    port: index,
                    collecting,
                    distributing,
                });
            });
        }
    }

    fn update_carrier(&mut self) {
        let distributing = self.distributing();
        let up = distributing >= self.min_links;
        if up != self.carrier {
            self.carrier = up;
            self.outputs.push_back(Output::Carrier { up, distributing });
        }
    }

    /// Tells what was heard and measured and not told yet, because nothing more will be.
    pub fn finish(&mut self) {
        for (index, port) in self.ports.iter_mut().enumerate() {
            let rest = std::iter::from_fn(|| port.observer.rest());
            self.outputs
                .extend(rest.map(|(heard, skipped)| Output::Heard {
                    port: index,
                    heard,
                    skipped,
                }));
            let untold = port.observer.meter.untold();
            self.outputs.extend(untold.map(|rhythm| Output::Rhythm {
                port: index,
                rhythm,
            }));
        }
    }

    fn tell_changes(&mut self, now: At) {
        for (index, (port, told)) in self.ports.iter_mut().zip(&mut self.told).enumerate() {
            let status = port.status();
            if essence(status) != essence(*told) {
                *told = status;
                self.outputs.push_back(Output::PortChanged {
                    port: index,
                    status,
                });
            }
            let news = std::iter::from_fn(|| port.observer.news(now));
            self.outputs
                .extend(news.map(|(heard, skipped)| Output::Heard {
                    port: index,
                    heard,
                    skipped,
                }));
            let rhythm = port
                .observer
                .meter
                .summary(now)
                .map(|rhythm| Output::Rhythm {
                    port: index,
                    rhythm,
                });
            let answered = port.asked.answered();
            let answered = answered.map(|answer| Output::MarkerAnswered {
                port: index,
                answer,
            });
            self.outputs
                .extend([rhythm, answered].into_iter().flatten());
        }
    }
}

/// What makes a change worth telling.
fn essence(status: PortStatus) -> PortStatus {
    let partner = status.partner.map(|partner| PortInfo {
        state: partner.state.with(State::DISTRIBUTING, false),
        ..partner
    });
    PortStatus { partner, ..status }
}

fn check(config: &LagConfig) -> Result<(), ConfigError> {
    let ports = config.ports.len();
    if !(1..=MOST_PORTS).contains(&ports) {
        return Err(ConfigError::PortCount(ports));
    }
    for (index, port) in config.ports.iter().enumerate() {
        if config.ports[..index]
            .iter()
            .any(|p| p.number == port.number)
        {
            return Err(ConfigError::PortNumber(port.number));
        }
    }
    if !(1..=ports).contains(&usize::from(config.min_links)) {
        return Err(ConfigError::MinLinks {
            min_links: config.min_links,
            ports,
        });
    }
    if config.system == [0; 6] {
        return Err(ConfigError::System);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
