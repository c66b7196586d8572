//! A LAG of the kernel's: it speaks LACP and spreads flows, and this thread only looks, tells, and moves the carrier.
//!
//! ```text
//! router │ ams-1 ── ams-1.0 │ ◄── redirects ──► │ ams-1.b (bond) │ ams-1.1, ams-1.2 … ── cables
//! ```
//!
//! A bond whose partner does not speak LACP has carrier on one port all the same. This LAG has not: it has carrier while
//! the bond has, and as many of its ports as `min-links` says distribute to a partner that was heard.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::lag::{LagStatus, fail, heard_fact, member, set_carrier};
use super::thread::{Source, Surroundings};
use super::{End, LineError};
use crate::kernel::bond::{self, Bond, BondPort, BondStatus};
use crate::kernel::carrier::CarrierEvents;
use crate::kernel::filter::{DataPath, queue_clsact};
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::{Netlink, NetlinkError};
use crate::lacp::{
    Admin, Counters, Heard, LagConfig, MuxState, Obstacle, PortInfo, PortStatus, ReceiveState,
    Selected, State,
};
use crate::record::{Fact, LacpHeard, LacpSeen};
use crate::time::At;

/// The kernel's state machines run every 100 ms, and say little of what they did: they are asked as often.
const LOOK: Duration = Duration::from_millis(100);
/// Indexes of bonds lie above those of all other links of a lab.
const ABOVE: u32 = 1 << 20;
/// The kernel's keys have 10 bits of ours.
const KEY: u16 = 0x3ff;

/// A bond that is made, not yet looked after.
#[derive(Debug)]
pub struct BondLag {
    end: End,
    bond: Bond,
    hidden: u32,
    carrier: CarrierEvents,
    netlink: Netlink,
}

impl BondLag {
    /// Makes the bond in the line card's namespace, and joins it to the hidden end.
    ///
    /// # Errors
    /// [`LineError::NoBonding`] where the kernel has none; else what it refused.
    pub fn open(
        namespace: &Namespace,
        end: End,
        config: &LagConfig,
        hidden: u32,
        links: &[u32],
    ) -> Result<BondLag, LineError> {
        let bond = Bond {
            name: format!("{}.b", end.connection),
            index: ABOVE + hidden,
            system: config.system,
            system_priority: config.system_priority,
            key: config.key & KEY,
            fast: config.fast,
            active: config.active,
            min_links: config.min_links,
            ports: links.to_vec(),
        };
        namespace.run(|| {
            let mut netlink = Netlink::open()?;
            let place = format!("the line card of {}", end.router);
            bond::make(&mut netlink, &place, &bond).map_err(|source| {
                match bond::is_lacking(&source) {
                    true => LineError::NoBonding {
                        end: end.clone(),
                        source,
                    },
                    false => LineError::Netlink(source),
                }
            })?;
            queue_clsact(&mut netlink, bond.index);
            netlink.commit()?;
            let mut path = DataPath::close(&mut netlink, hidden, &[bond.index])?;
            path.set(&mut netlink, &[bond.index], &[bond.index])?;
            let mut watched = links.to_vec();
            watched.push(bond.index);
            let carrier = match CarrierEvents::open(&watched) {
                Ok(carrier) => carrier,
                Err(source) => return Err(LineError::Carrier { end, source }),
            };
            Ok(BondLag {
                end,
                bond,
                hidden,
                carrier,
                netlink,
            })
        })?
    }

    /// What it is known by.
    pub fn end(&self) -> &End {
        &self.end
    }
}

/// A bond that is looked after.
#[derive(Debug)]
pub(super) struct BondLine {
    lag: BondLag,
    status: BondStatus,
    up: bool,
    distributing: u8,
    /// What the last fact about each port said.
    told: Vec<Option<Fact>>,
    /// What its partner was last told to say.
    said: Vec<Option<LacpHeard>>,
    next: At,
}

impl BondLine {
    pub fn new(lag: BondLag, around: &mut Surroundings) -> BondLine {
        let ports = lag.bond.ports.len();
        let mut line = BondLine {
            lag,
            status: BondStatus {
                ports: vec![None; ports],
                ..BondStatus::default()
            },
            up: false,
            distributing: 0,
            told: vec![None; ports],
            said: vec![None; ports],
            next: around.clock.now(),
        };
        line.look(around);
        line
    }

    pub fn end(&self) -> &End {
        &self.lag.end
    }

    /// The descriptor to wait on.
    pub fn source(&self) -> (Source, BorrowedFd<'_>) {
        (Source::Carrier, self.lag.carrier.as_fd())
    }

    /// Something about the links changed.
    pub fn ready(&mut self, around: &mut Surroundings) {
        while let Ok(true) = (self.lag.carrier).receive(&mut around.buffer[..], |_, _| {}) {}
        self.look(around);
    }

    pub fn timer(&mut self, around: &mut Surroundings) {
        if self.next <= around.clock.now() {
            self.look(around);
        }
    }

    pub fn deadline(&self) -> Option<At> {
        Some(self.next)
    }

    /// The kernel's LACP cannot be told to misbehave.
    pub fn command(&mut self, command: Admin, around: &mut Surroundings) {
        let end = &self.lag.end;
        let text = format!("LAG {end}: the kernel's bond cannot be told {command:?}");
        around.recorder.now(Fact::Errored { text });
    }

    /// Takes the bond away, and with it the light of its ports.
    pub fn leave(mut self, around: &mut Surroundings) {
        self.set_carrier(false, 0, around);
        let BondLag {
            bond, netlink, end, ..
        } = &mut self.lag;
        let place = format!("the line card of {}", end.router);
        bond::remove(netlink, &place, &bond.name, bond.index);
        if let Err(error) = netlink.commit() {
            self.fail(&error, around);
        }
    }

    pub fn status(&self) -> LagStatus {
        let actor = |port: &Option<BondPort>| {
            let bond = &self.lag.bond;
            PortInfo {
                system_priority: bond.system_priority,
                system: bond.system,
                // With speed and duplex, as it is sent.
                key: self.status.key.unwrap_or(bond.key << 6),
                state: State(port.map_or(0, |port| port.actor)),
                ..PortInfo::default()
            }
        };
        let ports = self.status.ports.iter();
        LagStatus {
            carrier: self.up,
            ports: ports
                .clone()
                .map(|port| port_status(*port, self.status.partner))
                .collect(),
            actors: ports.clone().map(actor).collect(),
            micro: ports.clone().map(|_| None).collect(),
            // Gap: those the kernel counts are asked for with the counters of its ports, elsewhere.
            counters: ports.clone().map(|_| Counters::default()).collect(),
            rhythms: ports.clone().map(|_| None).collect(),
            unsent: 0,
            control: ports.map(|_| None).collect(),
        }
    }

    /// Asks the kernel, and tells what is new.
    fn look(&mut self, around: &mut Surroundings) {
        let now = around.clock.now();
        self.next = now + LOOK;
        let BondLag { bond, netlink, .. } = &mut self.lag;
        let status = match bond::status(netlink, bond.index, &bond.ports) {
            Ok(status) => status,
            Err(error) => return self.fail(&error, around),
        };
        let before = std::mem::replace(&mut self.status, status);
        let light = |port: &Option<BondPort>| port.is_some_and(|port| port.light);
        for (index, (old, new)) in before.ports.iter().zip(&self.status.ports).enumerate() {
            if light(old) != light(new) {
                let fact = Fact::Light {
                    router: self.lag.end.router.clone(),
                    connection: self.lag.end.connection.clone(),
                    member: index as u8 + 1,
                    up: light(new),
                };
                around.recorder.at(now, fact);
            }
        }
        self.tell_members(around);
        let distributing = self.status.ports.iter().flatten();
        let distributing = distributing.filter(|port| distributes(port)).count() as u8;
        let up = self.status.carrier && distributing >= self.lag.bond.min_links.max(1);
        if up != self.up {
            self.set_carrier(up, distributing, around);
        }
        self.distributing = distributing;
    }

    fn tell_members(&mut self, around: &mut Surroundings) {
        for (index, port) in self.status.ports.iter().enumerate() {
            let status = port_status(*port, self.status.partner);
            let fact = member(&self.lag.end, index, &status);
            if self.told[index].as_ref() != Some(&fact) {
                self.told[index] = Some(fact.clone());
                around.recorder.now(fact);
            }
            // Whom the partner means and what it has heard of us stands in its LACPDUs, which only the kernel sees.
            let says = status.partner.map(|actor| LacpHeard {
                means_us: None,
                early: None,
                ..heard_fact(&Heard {
                    actor,
                    means_us: false,
                    early: false,
                })
            });
            if self.said[index] != says {
                self.said[index].clone_from(&says);
                if let Some(heard) = says {
                    around.recorder.now(Fact::LacpPartner {
                        router: self.lag.end.router.clone(),
                        connection: self.lag.end.connection.clone(),
                        member: index as u8 + 1,
                        seen: LacpSeen::Says(heard),
                    });
                }
            }
        }
    }

    fn set_carrier(&mut self, up: bool, distributing: u8, around: &mut Surroundings) {
        self.up = up;
        let BondLag {
            end,
            hidden,
            netlink,
            ..
        } = &mut self.lag;
        set_carrier(end, *hidden, netlink, (up, distributing), around);
    }

    fn fail(&self, error: &NetlinkError, around: &mut Surroundings) {
        fail(&self.lag.end, error, around);
    }
}

/// Whether a port sends frames to a partner that was heard.
fn distributes(port: &BondPort) -> bool {
    let state = State(port.actor);
    port.light && port.active && state.has(State::DISTRIBUTING) && !state.has(State::DEFAULTED)
}

/// What the kernel says of a port, in the words of our own.
fn port_status(port: Option<BondPort>, partner: Option<([u8; 6], u16)>) -> PortStatus {
    let light = port.is_some_and(|port| port.light);
    let state = State(port.filter(|port| port.light).map_or(0, |port| port.actor));
    let heard = light && !state.has(State::DEFAULTED);
    let active = port.is_some_and(|port| port.active);
    let selected = match (light, active) {
        (true, true) => Selected::Selected,
        (true, false) => Selected::Unselected(Obstacle::NotHeard),
        (false, _) => Selected::Unselected(Obstacle::NoLight),
    };
    let mux = match state {
        state if state.has(State::DISTRIBUTING) => MuxState::Distributing,
        state if state.has(State::COLLECTING) => MuxState::Collecting,
        state if state.has(State::SYNCHRONIZATION) => MuxState::Attached,
        _ if light => MuxState::Waiting,
        _ => MuxState::Detached,
    };
    PortStatus {
        light,
        receive: match state {
            _ if !light => ReceiveState::PortDisabled,
            state if state.has(State::DEFAULTED) => ReceiveState::Defaulted,
            state if state.has(State::EXPIRED) => ReceiveState::Expired,
            _ => ReceiveState::Current,
        },
        mux,
        selected,
        // A port without partner collects and distributes as an individual one. That is no LAG.
        collecting: heard && active && state.has(State::COLLECTING),
        distributing: heard && active && state.has(State::DISTRIBUTING),
        // The kernel tells system and key of the active aggregator's partner, not its ports.
        partner: partner
            .filter(|_| heard && active)
            .map(|(system, key)| PortInfo {
                system,
                key,
                state: State(port.map_or(0, |port| port.partner)),
                ..PortInfo::default()
            }),
    }
}
