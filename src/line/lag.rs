//! A LAG with its sockets and its data path: what the LACP actor decides is done here, in the order in which it decides.

mod early;
mod facts;
mod members;

use std::iter::repeat;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

pub(super) use facts::{answer_fact, heard_fact, member, rhythm_fact};

use super::bfd::BfdStatus;
use super::early::Early;
use super::gate::Gate;
use super::micro::MicroLine;
use super::punctuality::Protocol;
use super::telling::{Kind, Telling, Tidings};
use super::thread::{Source, Surroundings};
use super::{End, LineError, LineEvent};
use crate::bfd::MicroConfig;
use crate::kernel::bpf::programs::Upward;
use crate::kernel::carrier::CarrierEvents;
use crate::kernel::filter::DataPath;
use crate::kernel::link;
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::{Netlink, NetlinkError};
use crate::kernel::socket::{Socket, SocketError};
use crate::lacp::{
    Admin, Counters, Input, Lag, LagConfig, Output, Pdu, PortInfo, PortStatus, Rhythm, pdu,
};
use crate::record::{Fact, LacpHeard, LacpSeen};
use crate::time::At;

/// Frames read of a member at once before timers run.
const MOST_AT_ONCE: usize = 16;

/// A LAG ready to be run: its sockets are open, its data path is closed.
#[derive(Debug)]
pub struct LagPort {
    end: End,
    lag: Lag,
    hidden: u32,
    members: Vec<Member>,
    carrier: CarrierEvents,
    netlink: Netlink,
    path: DataPath,
    gate: Gate,
}

impl LagPort {
    /// Opens the sockets in the line card's namespace and closes the data path. `hidden` is the index of the hidden
    /// end, `links` are those of the members in the order of the ports; all have a clsact qdisc.
    ///
    /// # Errors
    /// When the configuration is no LAG, or what the kernel refused.
    pub fn open(
        namespace: &Namespace,
        end: End,
        config: &LagConfig,
        hidden: u32,
        links: &[u32],
    ) -> Result<LagPort, LineError> {
        LagPort::open_with(namespace, end, config, (hidden, links), &[])
    }

    /// The same with BFD on every member (RFC 7130), as many sessions as there are links; without any, none has it.
    ///
    /// # Errors
    /// As [`LagPort::open`].
    pub fn open_with(
        namespace: &Namespace,
        end: End,
        config: &LagConfig,
        (hidden, links): (u32, &[u32]),
        micro: &[MicroConfig],
    ) -> Result<LagPort, LineError> {
        let ports = config.ports.len();
        if ports != links.len() {
            let links = links.len();
            return Err(LineError::Links { end, ports, links });
        }
        let lag = match Lag::new(config) {
            Ok(lag) => lag,
            Err(source) => return Err(LineError::Lag { end, source }),
        };
        let place = Arc::new(namespace.try_clone()?);
        namespace.run(|| {
            let sessions = micro.iter().copied().map(Some).chain(repeat(None));
            let member = |((index, link), micro): ((usize, &u32), Option<MicroConfig>)| {
                let socket = Socket::slow_protocols(*link)?;
                let early = Early::open((&end, index), *link, &place)?;
                let micro = micro.map(|config| MicroLine::open(*link, config));
                Ok(Member::new(*link, (socket, early), micro.transpose()?))
            };
            let members = links.iter().enumerate().zip(sessions).map(member);
            let members: Vec<Member> = members.collect::<Result<_, SocketError>>()?;
            let carrier = match CarrierEvents::open(links) {
                Ok(carrier) => carrier,
                Err(source) => return Err(LineError::Carrier { end, source }),
            };
            let mut netlink = Netlink::open()?;
            let upward = match micro.is_empty() {
                true => Upward::SlowProtocols,
                false => Upward::MicroBfdToo,
            };
            let path = DataPath::close_but(&mut netlink, hidden, links, upward)?;
            let alive = members.iter().map(|member| member.micro.is_none());
            Ok(LagPort {
                gate: Gate::new(config.min_links, alive),
                end,
                lag,
                hidden,
                members,
                carrier,
                netlink,
                path,
            })
        })?
    }

    /// What it is known by.
    pub fn end(&self) -> &End {
        &self.end
    }
}

/// How a LAG is.
#[derive(Debug, Clone, PartialEq)]
pub struct LagStatus {
    /// It is a bond of the kernel's.
    pub kernel: bool,
    /// Carrier.
    pub carrier: bool,
    /// Its ports, in order.
    pub ports: Vec<PortStatus>,
    /// What each says of itself.
    pub actors: Vec<PortInfo>,
    /// Frames of each.
    pub counters: Vec<Counters>,
    /// How the partner of each has kept time; none before that was measured.
    pub rhythms: Vec<Option<Rhythm>>,
    /// BFD on each (RFC 7130), where there is any.
    pub micro: Vec<Option<BfdStatus>>,
    /// Frames the kernel did not take, for example while a member was down.
    pub unsent: u64,
    /// Of each member, frames of the Slow Protocols and of BFD on it: sent and received. None where they are the kernel's.
    pub control: Vec<Option<(u64, u64)>>,
    /// Of each member, data frames that came while the partner might not send any.
    pub early: Vec<u64>,
}

#[derive(Debug)]
struct Member {
    link: u32,
    socket: Socket,
    micro: Option<MicroLine>,
    early: Early,
    light: bool,
    /// When the LACPDUs were due that leave while timers run.
    due: Option<At>,
    /// Frames of the Slow Protocols that were sent and received.
    slow: (u64, u64),
    /// What the last fact about it said.
    told: Option<Fact>,
    telling: Telling,
}

impl Member {
    fn new(link: u32, (socket, early): (Socket, Early), micro: Option<MicroLine>) -> Member {
        Member {
            link,
            socket,
            micro,
            early,
            light: false,
            due: None,
            slow: (0, 0),
            told: None,
            telling: Telling::default(),
        }
    }
}

/// A LAG that runs.
#[derive(Debug)]
pub(super) struct LagLine {
    port: LagPort,
    /// The actor changed its mind about members, and the data path does not know yet.
    behind: bool,
    unsent: u64,
    telling: Telling,
}

impl LagLine {
    pub fn new(port: LagPort, around: &mut Surroundings) -> LagLine {
        let mut line = LagLine {
            port,
            behind: false,
            unsent: 0,
            telling: Telling::default(),
        };
        line.read_carrier(around);
        line.act(around);
        line
    }

    pub fn end(&self) -> &End {
        &self.port.end
    }

    /// The descriptors to wait on.
    pub fn sources(&self) -> impl Iterator<Item = (Source, BorrowedFd<'_>)> {
        let members = self.port.members.iter().enumerate();
        let sockets = members.flat_map(|(index, member)| {
            let lacp = (Source::Member(index as u8), member.socket.as_fd());
            let micro = member.micro.as_ref();
            let micro = micro.map(|micro| (Source::Micro(index as u8), micro.socket().as_fd()));
            let early = member.early.source();
            let early = early.map(|data| (Source::Data(index as u8), data));
            [lacp].into_iter().chain(micro).chain(early)
        });
        sockets.chain([(Source::Carrier, self.port.carrier.as_fd())])
    }

    /// The socket behind a source that sends through it.
    pub fn socket(&self, source: Source) -> Option<&Socket> {
        let member = |index: u8| self.port.members.get(usize::from(index));
        match source {
            Source::Carrier | Source::Data(_) => None,
            Source::Member(index) => Some(&member(index)?.socket),
            Source::Micro(index) => Some(member(index)?.micro.as_ref()?.socket()),
        }
    }

    /// Reads what a source has, one frame at most.
    pub fn ready(&mut self, source: Source, around: &mut Surroundings) {
        match source {
            Source::Carrier => self.read_carrier(around),
            Source::Member(index) => {
                self.read_frame(usize::from(index), around);
            }
            Source::Micro(index) => {
                let member = self.port.members.get_mut(usize::from(index));
                if let Some(micro) = member.and_then(|member| member.micro.as_mut()) {
                    micro.read(around);
                }
            }
            // Looked at below, if it is time to.
            Source::Data(_) => {}
        }
        self.act(around);
    }

    /// Reads the frames of all members that came until now.
    fn read_all(&mut self, around: &mut Surroundings) {
        for index in 0..self.port.members.len() {
            for _ in 0..MOST_AT_ONCE {
                if !self.read_frame(index, around) {
                    break;
                }
            }
        }
    }

    pub fn command(&mut self, command: Admin, around: &mut Surroundings) {
        let now = around.clock.now();
        self.port.lag.handle(now, Input::Admin(command));
        self.act(around);
    }

    /// Tells what was measured and not told yet.
    pub fn finish(&mut self, around: &mut Surroundings) {
        self.port.lag.finish();
        let micros = self.port.members.iter_mut();
        micros.for_each(|member| member.micro.iter_mut().for_each(MicroLine::finish));
        self.act(around);
        self.finish_telling(around);
        self.finish_early(around);
    }

    /// Closes the data path and takes the carrier away.
    pub fn leave(mut self, around: &mut Surroundings) {
        self.finish(around);
        self.port.gate.close();
        self.behind = true;
        if !self.turn_carrier(around) {
            self.catch_up(around);
        }
        self.finish_telling(around);
    }

    pub fn status(&self) -> LagStatus {
        let lag = &self.port.lag;
        LagStatus {
            kernel: false,
            carrier: self.port.gate.carrier(),
            ports: (0..lag.port_count())
                .filter_map(|n| self.status_of(n))
                .collect(),
            actors: (0..lag.port_count())
                .filter_map(|n| lag.actor(n).copied())
                .collect(),
            counters: (0..lag.port_count())
                .filter_map(|n| lag.counters(n).copied())
                .collect(),
            rhythms: (0..lag.port_count()).map(|n| lag.rhythm(n)).collect(),
            micro: (self.port.members.iter())
                .map(|member| Some(member.micro.as_ref()?.status()))
                .collect(),
            unsent: self.unsent,
            control: (self.port.members.iter())
                .map(|member| {
                    let micro = member.micro.as_ref().map_or((0, 0), MicroLine::frames);
                    Some((member.slow.0 + micro.0, member.slow.1 + micro.1))
                })
                .collect(),
            early: (self.port.members.iter())
                .map(|member| member.early.frames())
                .collect(),
        }
    }

    /// What a member does: what LACP says of it, and it is no more than that when it is not alive.
    fn status_of(&self, member: usize) -> Option<PortStatus> {
        let status = self.port.lag.status(member)?;
        Some(PortStatus {
            distributing: self.port.gate.distributes(member),
            ..status
        })
    }

    /// Reads one frame of a member; whether there was one.
    fn read_frame(&mut self, index: usize, around: &mut Surroundings) -> bool {
        let Some(member) = self.port.members.get_mut(index) else {
            return false;
        };
        let Ok(Some(received)) = member.socket.receive(&around.clock, around.buffer) else {
            return false;
        };
        member.slow.1 += 1;
        let input = Input::Frame {
            port: index,
            bytes: &around.buffer[..received.length],
        };
        // At its arrival: a timer that ran out while it lay unread does not count against the partner.
        self.port.lag.handle(received.at, input);
        self.frame_came(received.at, index, received.length, around);
        true
    }

    fn read_carrier(&mut self, around: &mut Surroundings) {
        let LagPort {
            end,
            lag,
            members,
            carrier,
            ..
        } = &mut self.port;
        let Surroundings {
            clock,
            recorder,
            buffer,
            ..
        } = around;
        let mut dark = Vec::new();
        let mut light = |link, up| {
            let place = members.iter().position(|member| member.link == link);
            let Some(port) = place.filter(|port| members[*port].light != up) else {
                return;
            };
            members[port].light = up;
            if !up {
                dark.push(port);
            }
            let now = clock.now();
            recorder.at(
                now,
                Fact::Light {
                    router: end.router.clone(),
                    connection: end.connection.clone(),
                    member: port as u8 + 1,
                    up,
                },
            );
            lag.handle(now, Input::Light { port, up });
        };
        while let Ok(true) = carrier.receive(&mut buffer[..], &mut light) {}
        for port in dark {
            self.dark(port, around);
        }
    }

    /// Does what the actor wants done, and BFD on members. Changes of members are gathered until something depends on them.
    fn act(&mut self, around: &mut Surroundings) {
        while let Some(output) = self.port.lag.poll() {
            self.obey(output, around);
        }
        self.act_on_micros(around);
        self.catch_up(around);
        self.look_for_data(around);
        self.tell_more(around);
    }

    /// Tells all that was not told yet.
    fn finish_telling(&mut self, around: &Surroundings) {
        let end = &self.port.end;
        self.telling.finish(|| end.names(), around);
        for (member, number) in self.port.members.iter_mut().zip(1..) {
            let names = || end.of_member(number).names();
            member.telling.finish(names, around);
            let micro = member.micro.iter_mut();
            micro.for_each(|micro| micro.finish_telling((end, number), around));
        }
    }

    /// Tells what might not be told before.
    fn tell_more(&mut self, around: &mut Surroundings) {
        let end = &self.port.end;
        self.telling.tell(|| end.names(), around);
        for (member, number) in self.port.members.iter_mut().zip(1..) {
            let names = || end.of_member(number).names();
            member.telling.tell(names, around);
        }
    }

    fn obey(&mut self, output: Output, around: &mut Surroundings) {
        match output {
            Output::Mux {
                port,
                collecting,
                distributing,
            } => {
                self.port.gate.mux(port, collecting, distributing);
                self.behind = true;
            }
            Output::Carrier { .. } => {
                self.turn_carrier(around);
            }
            Output::Send { port, frame } => {
                self.catch_up(around);
                let member = &mut self.port.members[port];
                around.due = member.due;
                let left = around.clock.now();
                let sent =
                    around.send(Protocol::Lacp, &member.socket, |socket| socket.send(&frame));
                around.due = None;
                member.slow.0 += u64::from(sent.is_ok());
                self.unsent += u64::from(sent.is_err());
                match (pdu::decode(&frame), sent) {
                    (Ok(Pdu::Lacp(pdu)), Ok(())) => self.lacpdu_left(left, port, &pdu, around),
                    (Ok(Pdu::Marker(_)), Ok(())) => self.saw(port, LacpSeen::MarkerSent, around),
                    (Ok(Pdu::Marker(_)), Err(error)) => {
                        self.saw(port, LacpSeen::NoMarker(error.to_string()), around);
                    }
                    _ => {}
                }
            }
            Output::PortChanged { port, .. } => self.tell_member(port, around),
            Output::Heard {
                port,
                heard,
                skipped,
            } => {
                let heard = LacpHeard {
                    skipped,
                    ..heard_fact(&heard)
                };
                self.saw(port, LacpSeen::Says(heard), around);
            }
            Output::Rhythm { port, rhythm } => {
                self.saw(port, LacpSeen::Rhythm(rhythm_fact(&rhythm)), around);
            }
            Output::MarkerAnswered { port, answer } => {
                self.saw(port, answer_fact(answer), around);
            }
            Output::NoMarker { port, why } => {
                self.saw(port, LacpSeen::NoMarker(why.to_string()), around);
            }
        }
    }

    /// Makes the data path what the actor wants.
    fn catch_up(&mut self, around: &mut Surroundings) {
        if !std::mem::take(&mut self.behind) {
            return;
        }
        let LagPort {
            members,
            gate,
            path,
            netlink,
            ..
        } = &mut self.port;
        let those = |wanted: fn(&Gate, usize) -> bool| -> Vec<u32> {
            let members = members.iter().enumerate();
            let wanted = members.filter(|(index, _)| wanted(gate, *index));
            wanted.map(|(_, member)| member.link).collect()
        };
        let (distributing, collecting) = (those(Gate::distributes), those(Gate::collects));
        if let Err(error) = path.set(netlink, &distributing, &collecting) {
            self.fail(&error, around);
        }
    }

    /// Gives the LAG carrier or takes it, if the members that may carry have become enough or too few; whether they have.
    fn turn_carrier(&mut self, around: &mut Surroundings) -> bool {
        let Some(up) = self.port.gate.change() else {
            return false;
        };
        let distributing = self.port.gate.distributing();
        self.catch_up(around);
        let LagPort {
            end,
            hidden,
            netlink,
            ..
        } = &mut self.port;
        let tidings = set_carrier(end, *hidden, netlink, (up, distributing), around);
        self.telling.put(tidings);
        self.telling.tell(|| end.names(), around);
        true
    }

    /// Records what a member does, when it is not what was recorded last.
    fn tell_member(&mut self, port: usize, around: &mut Surroundings) {
        let Some(status) = self.status_of(port) else {
            return;
        };
        let fact = member(&self.port.end, port, &status);
        let told = &mut self.port.members[port].told;
        if told.as_ref() != Some(&fact) {
            *told = Some(fact.clone());
            let member = &mut self.port.members[port];
            let tidings = Tidings::new(Kind::Member, around.clock.now(), fact);
            member.telling.put(tidings);
            let end = &self.port.end;
            let names = || end.of_member(port as u8 + 1).names();
            member.telling.tell(names, around);
        }
    }

    /// Records what was seen of the partner.
    fn saw(&self, port: usize, seen: LacpSeen, around: &mut Surroundings) {
        around.recorder.now(Fact::LacpPartner {
            router: self.port.end.router.clone(),
            connection: self.port.end.connection.clone(),
            member: port as u8 + 1,
            seen,
        });
    }

    fn fail(&self, error: &NetlinkError, around: &mut Surroundings) {
        fail(&self.port.end, error, around);
    }
}

/// Makes the state of the hidden end the LAG's carrier, with so many members that distribute, which is to be told.
pub(super) fn set_carrier(
    end: &End,
    hidden: u32,
    netlink: &mut Netlink,
    (up, distributing): (bool, u8),
    around: &mut Surroundings,
) -> Tidings {
    let place = format!("the line card of {}", end.router);
    let name = format!("{}.0", end.connection);
    link::set_up(netlink, &place, &name, hidden, up);
    if let Err(error) = netlink.commit() {
        fail(end, &error, around);
    }
    let at = around.clock.now();
    let fact = Fact::Lag {
        router: end.router.clone(),
        connection: end.connection.clone(),
        up,
        distributing,
    };
    let event = LineEvent::Lag {
        end: end.clone(),
        up,
        distributing,
        at,
    };
    Tidings {
        event: Some(event),
        ..Tidings::new(Kind::Carrier, at, fact)
    }
}

/// The kernel refused something of a LAG's.
pub(super) fn fail(end: &End, error: &NetlinkError, around: &mut Surroundings) {
    let text = format!("LAG {end}: {error}");
    around.recorder.now(Fact::Errored { text });
}
