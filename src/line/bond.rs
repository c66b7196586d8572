//! A LAG of the kernel's: it speaks LACP and spreads flows, and this thread only looks, tells, and moves the carrier.
//!
//! ```text
//! router │ ams-1 ── ams-1.0 │ ◄── redirects ──► │ ams-1.b (bond) │ ams-1.1, ams-1.2 … ── cables
//! ```
//!
//! A bond whose partner does not speak LACP has carrier on one port all the same. This LAG has not: it has carrier while
//! the bond has, and as many of its ports as `min-links` says distribute to a partner that was heard.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use self::copies::Copies;
use self::looks::Looks;
use super::early::Early;
use super::lag::{LagStatus, answer_fact, fail, heard_fact, member, rhythm_fact, set_carrier};
use super::thread::{Source, Surroundings};
use super::{End, LineError};
use crate::kernel::bond::{self, Bond, BondOptions, BondPort, BondStatus, SlowFrames};
use crate::kernel::carrier::CarrierEvents;
use crate::kernel::filter::{DataPath, queue_clsact};
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::{Netlink, NetlinkError};
use crate::kernel::socket::SocketError;
use crate::lacp::news::News;
use crate::lacp::observation::says_early;
use crate::lacp::periodic::{FAST_PERIODIC_TIME, SLOW_PERIODIC_TIME};
use crate::lacp::{
    Admin, Counters, Heard, Lacpdu, LagConfig, Misbehaviour, MuxState, NoMarker, Obstacle,
    PortInfo, PortStatus, ReceiveState, Selected, State,
};
use crate::record::{Fact, LacpHeard, LacpSeen};
use crate::time::At;

mod copies;
mod early;
mod looks;

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
    copies: Copies,
    early: Vec<Early>,
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
        (config, options): (&LagConfig, BondOptions),
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
            options,
            ports: links.to_vec(),
        };
        let place_of_data = Arc::new(namespace.try_clone()?);
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
            let interval = match bond.fast {
                true => FAST_PERIODIC_TIME,
                false => SLOW_PERIODIC_TIME,
            };
            let copies = Copies::open(links, interval)?;
            let early = links.iter().enumerate();
            let early = early.map(|(n, link)| Early::open((&end, n), *link, &place_of_data));
            let early = early.collect::<Result<_, SocketError>>()?;
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
                copies,
                early,
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
    /// What the last fact about each port said.
    told: Vec<Option<Fact>>,
    /// Ports that were told to be silent: what they send in LACP is dropped behind them.
    muted: Vec<bool>,
    /// What its partner says.
    partners: Vec<News<LacpHeard>>,
    looks: Looks,
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
            told: vec![None; ports],
            muted: vec![false; ports],
            partners: vec![News::default(); ports],
            looks: Looks::new(around.clock.now()),
        };
        line.timer(around);
        line
    }

    pub fn end(&self) -> &End {
        &self.lag.end
    }

    /// The descriptors to wait on.
    pub fn sources(&self) -> impl Iterator<Item = (Source, BorrowedFd<'_>)> {
        let copies = (0..).zip(self.lag.copies.sources());
        let copies = copies.map(|(index, tap)| (Source::Member(index), tap));
        let early = (0..).zip(&self.lag.early);
        let early = early.filter_map(|(index, early)| Some((Source::Data(index), early.source()?)));
        copies
            .chain(early)
            .chain([(Source::Carrier, self.lag.carrier.as_fd())])
    }

    /// Reads what a source has, one frame at most: something about the links changed, or an end says something new.
    pub fn ready(&mut self, source: Source, around: &mut Surroundings) {
        match source {
            Source::Carrier => {
                let (carrier, mut news) = (&mut self.lag.carrier, false);
                while let Ok(true) = carrier.receive(around.buffer, |_, _| news = true) {}
                if news {
                    self.looks.link(around.clock.now());
                }
            }
            Source::Member(member) => {
                self.read_copy(usize::from(member), around);
            }
            Source::Micro(_) | Source::Data(_) => {}
        }
        self.timer(around);
    }

    /// Reads a copy of a LACPDU that passed on a port; whether there was one.
    fn read_copy(&mut self, port: usize, around: &mut Surroundings) -> bool {
        let copies = &mut self.lag.copies;
        let Some(copied) = copies.read(port, &around.clock, around.buffer) else {
            return false;
        };
        if copied.new {
            self.looks.lacpdu();
        }
        self.lacpdu_passed(port, &copied, around);
        true
    }

    pub fn timer(&mut self, around: &mut Surroundings) {
        if self.looks.next() <= around.clock.now() {
            let changed = self.look(around);
            self.looks.looked(around.clock.now(), changed);
        }
        self.tell_partners(false, around);
        self.tell_measured(false, around);
        self.look_for_data(around);
    }

    pub fn deadline(&self) -> Option<At> {
        let news = self.partners.iter().filter_map(News::deadline);
        let measured = self.lag.copies.deadline();
        let early = self.lag.early.iter().filter_map(Early::deadline);
        news.chain(measured)
            .chain(early)
            .chain([self.looks.next()])
            .min()
    }

    /// Sends markers, and remembers who is silent; the kernel's LACP cannot be told to misbehave otherwise.
    pub fn command(&mut self, command: Admin, around: &mut Surroundings) {
        let (Admin::AskMarker { port: of } | Admin::Misbehave { port: of, .. }) = command else {
            return self.cannot(command, around);
        };
        let ports = (0..self.lag.bond.ports.len()).filter(|port| of.is_none_or(|of| of == *port));
        match command {
            Admin::Misbehave { how, .. } if how == Misbehaviour::silent(how.silent) => {
                ports.for_each(|port| self.muted[port] = how.silent);
            }
            Admin::AskMarker { .. } => ports.for_each(|port| self.ask_marker(port, around)),
            _ => self.cannot(command, around),
        }
    }

    fn cannot(&self, command: Admin, around: &mut Surroundings) {
        let end = &self.lag.end;
        let text = format!("LAG {end}: the kernel's bond cannot be told {command:?}");
        around.recorder.now(Fact::Errored { text });
    }

    fn ask_marker(&mut self, port: usize, around: &mut Surroundings) {
        let light = self.status.ports[port].is_some_and(|port| port.light);
        let asked = match mute(light, self.muted[port]) {
            None => self.lag.copies.ask_marker(port, around.clock.now()),
            Some(why) => Err(why.to_string()),
        };
        let seen = match asked {
            Ok(()) => LacpSeen::MarkerSent,
            Err(why) => LacpSeen::NoMarker(why),
        };
        self.saw(port, seen, around);
    }

    /// Tells what was measured and not told yet.
    pub fn finish(&mut self, around: &mut Surroundings) {
        self.tell_partners(true, around);
        self.tell_measured(true, around);
        self.finish_early(around);
    }

    /// Takes the bond away, and with it the light of its ports.
    pub fn leave(mut self, around: &mut Surroundings) {
        self.finish(around);
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

    pub fn status(&mut self) -> LagStatus {
        let BondLag { bond, netlink, .. } = &mut self.lag;
        let frames = (bond.ports.iter()).map_while(|port| bond::slow_frames(netlink, *port));
        let counters = frames.map(counters).collect();
        let BondLag { bond, copies, .. } = &self.lag;
        let actor = |(index, port): (usize, &Option<BondPort>)| PortInfo {
            system_priority: bond.system_priority,
            system: bond.system,
            // With speed and duplex, as it is sent.
            key: (self.status.key).unwrap_or(bond.key << 6),
            state: State(port.map_or(0, |port| port.actor)),
            ..copies.sent(index).unwrap_or_default()
        };
        let ports = self.status.ports.iter();
        LagStatus {
            kernel: true,
            carrier: self.up,
            counters,
            ports: (ports.clone().enumerate())
                .map(|(index, port)| self.port_status(index, *port))
                .collect(),
            actors: ports.clone().enumerate().map(actor).collect(),
            micro: ports.clone().map(|_| None).collect(),
            rhythms: (0..bond.ports.len()).map(|n| copies.rhythm(n)).collect(),
            unsent: 0,
            control: ports.map(|_| None).collect(),
            early: self.lag.early.iter().map(Early::frames).collect(),
        }
    }

    fn port_status(&self, member: usize, port: Option<BondPort>) -> PortStatus {
        port_status(port, self.status.partner, self.lag.copies.heard(member))
    }

    /// Asks the kernel, and tells what is new; says whether anything is.
    fn look(&mut self, around: &mut Surroundings) -> bool {
        let now = around.clock.now();
        let BondLag {
            bond,
            netlink,
            copies,
            ..
        } = &mut self.lag;
        let status = match bond::status(netlink, bond.index, &bond.ports) {
            Ok(status) => status,
            Err(error) => {
                self.fail(&error, around);
                return false;
            }
        };
        copies.hear(&status.ports, status.partner);
        let before = std::mem::replace(&mut self.status, status);
        let light = |port: &Option<BondPort>| port.is_some_and(|port| port.light);
        let mut dark = Vec::new();
        for (index, (old, new)) in before.ports.iter().zip(&self.status.ports).enumerate() {
            if light(old) != light(new) {
                let fact = Fact::Light {
                    router: self.lag.end.router.clone(),
                    connection: self.lag.end.connection.clone(),
                    member: index as u8 + 1,
                    up: light(new),
                };
                around.recorder.at(now, fact);
                if light(old) {
                    dark.push(index);
                }
            }
        }
        for index in dark {
            self.dark(index, around);
        }
        self.tell_members(around);
        let distributing = self.status.ports.iter().flatten();
        let distributing = distributing.filter(|port| distributes(port)).count() as u8;
        let up = self.status.carrier && distributing >= self.lag.bond.min_links.max(1);
        if up != self.up {
            self.set_carrier(up, distributing, around);
        }
        before != self.status
    }

    fn tell_members(&mut self, around: &mut Surroundings) {
        for (index, port) in self.status.ports.iter().enumerate() {
            let status = self.port_status(index, *port);
            let fact = member(&self.lag.end, index, &status);
            if self.told[index].as_ref() != Some(&fact) {
                self.told[index] = Some(fact.clone());
                around.recorder.now(fact);
            }
            let copies = &mut self.lag.copies;
            let (partner, sent) = (&mut self.partners[index], copies.sent(index));
            let Some(heard) = says(&status, copies.heard(index), sent) else {
                partner.lost();
                continue;
            };
            let mut skipped = copies.skipped(index);
            let before = copies.heard_early(index).and_then(|pdu| {
                let status = PortStatus {
                    partner: Some(pdu.actor),
                    ..status
                };
                says(&status, Some(pdu), sent)
            });
            if let Some(before) = before {
                partner.says(before, true, std::mem::take(&mut skipped));
            }
            let early = heard.early == Some(true);
            partner.says(heard, early, skipped);
        }
    }

    /// Records what is new of what the partner says, as often as it may be told.
    fn tell_partners(&mut self, last: bool, around: &mut Surroundings) {
        let now = around.clock.now();
        for (member, partner) in (1..).zip(&mut self.partners) {
            let mut next = || match last {
                true => partner.rest(),
                false => partner.take(now),
            };
            while let Some((heard, skipped)) = next() {
                let seen = LacpSeen::Says(LacpHeard { skipped, ..heard });
                around.recorder.now(Fact::LacpPartner {
                    router: self.lag.end.router.clone(),
                    connection: self.lag.end.connection.clone(),
                    member,
                    seen,
                });
            }
        }
    }

    /// Records what was measured of the partners, as often as it may be told; all of it the last time.
    fn tell_measured(&mut self, last: bool, around: &mut Surroundings) {
        let now = around.clock.now();
        for port in 0..self.lag.bond.ports.len() {
            if let Some(rhythm) = self.lag.copies.summary(port, now, last) {
                self.saw(port, LacpSeen::Rhythm(rhythm_fact(&rhythm)), around);
            }
            if let Some(answer) = self.lag.copies.answered(port) {
                self.saw(port, answer_fact(answer), around);
            }
        }
    }

    /// Records what was seen of the partner.
    fn saw(&self, port: usize, seen: LacpSeen, around: &mut Surroundings) {
        around.recorder.now(Fact::LacpPartner {
            router: self.lag.end.router.clone(),
            connection: self.lag.end.connection.clone(),
            member: port as u8 + 1,
            seen,
        });
    }

    fn set_carrier(&mut self, up: bool, distributing: u8, around: &mut Surroundings) {
        self.up = up;
        let BondLag {
            end,
            hidden,
            netlink,
            ..
        } = &mut self.lag;
        // No oftener than it is looked at.
        set_carrier(end, *hidden, netlink, (up, distributing), around).tell(around);
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

/// Why a marker would not reach the partner, so that nobody waits for its answer, as at an end of ours.
fn mute(light: bool, muted: bool) -> Option<NoMarker> {
    match (light, muted) {
        (false, _) => Some(NoMarker::Dark),
        (true, true) => Some(NoMarker::Silent),
        (true, false) => None,
    }
}

fn counters(frames: SlowFrames) -> Counters {
    Counters {
        lacpdus_sent: frames.lacpdus_sent,
        lacpdus_received: frames.lacpdus_received,
        markers_received: frames.markers_received,
        marker_responses_sent: frames.marker_responses_sent,
        marker_responses_received: frames.marker_responses_received,
        illegal: frames.illegal,
        ..Counters::default()
    }
}

/// What the partner of a port says of itself and of us. Without its LACPDU only what the kernel tells is known.
fn says(status: &PortStatus, heard: Option<Lacpdu>, sent: Option<PortInfo>) -> Option<LacpHeard> {
    let means_us = |pdu: &Lacpdu| Some(pdu.partner.same_port(&sent?));
    let actor = status.partner?;
    Some(LacpHeard {
        means_us: heard.as_ref().and_then(means_us),
        early: heard.as_ref().map(says_early),
        ..heard_fact(&Heard {
            actor,
            means_us: false,
            early: false,
        })
    })
}

/// What the kernel says of a port, in the words of our own.
fn port_status(
    port: Option<BondPort>,
    partner: Option<([u8; 6], u16)>,
    said: Option<Lacpdu>,
) -> PortStatus {
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
    // The kernel tells system and key of the active aggregator's partner, not its ports.
    let told = partner
        .filter(|_| heard && active)
        .map(|(system, key)| PortInfo {
            system,
            key,
            ..PortInfo::default()
        });
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
        partner: said.map(|pdu| pdu.actor).or(told).map(|info| PortInfo {
            // Whether it is in sync, the kernel decides.
            state: State(port.map_or(0, |port| port.partner)),
            ..info
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_that_would_not_arrive_is_not_sent() {
        assert_eq!(mute(true, false), None);
        assert_eq!(mute(true, true), Some(NoMarker::Silent));
        assert_eq!(mute(false, true), Some(NoMarker::Dark));
    }
}
