//! A LAG with its sockets and its data path: what the LACP actor decides is done here, in the order in which it decides.

use std::os::fd::{AsFd, BorrowedFd};

use super::thread::{Source, Surroundings};
use super::{End, LineError, LineEvent};
use crate::kernel::carrier::CarrierEvents;
use crate::kernel::filter::DataPath;
use crate::kernel::link;
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::{Netlink, NetlinkError};
use crate::kernel::socket::Socket;
use crate::lacp::{
    Admin, Counters, Heard, Input, Lag, LagConfig, Output, PortInfo, PortStatus, Rhythm,
};
use crate::record::{Fact, LacpHeard, LacpRhythm, LacpSeen};
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
        let ports = config.ports.len();
        if ports != links.len() {
            let links = links.len();
            return Err(LineError::Links { end, ports, links });
        }
        let lag = match Lag::new(config) {
            Ok(lag) => lag,
            Err(source) => return Err(LineError::Lag { end, source }),
        };
        namespace.run(|| {
            let member = |link: &u32| Socket::slow_protocols(*link).map(|s| Member::new(*link, s));
            let members: Vec<Member> = links.iter().map(member).collect::<Result<_, _>>()?;
            let carrier = match CarrierEvents::open(links) {
                Ok(carrier) => carrier,
                Err(source) => return Err(LineError::Carrier { end, source }),
            };
            let mut netlink = Netlink::open()?;
            let path = DataPath::close(&mut netlink, hidden, links)?;
            Ok(LagPort {
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
    /// Carrier.
    pub carrier: bool,
    /// Its ports, in order.
    pub ports: Vec<PortStatus>,
    /// What each says of itself.
    pub actors: Vec<PortInfo>,
    /// Frames of each.
    pub counters: Vec<Counters>,
    /// How the partner of each has kept time; none of a bond's ports, which do not tell.
    pub rhythms: Vec<Option<Rhythm>>,
    /// Frames the kernel did not take, for example while a member was down.
    pub unsent: u64,
}

#[derive(Debug)]
struct Member {
    link: u32,
    socket: Socket,
    light: bool,
    collecting: bool,
    distributing: bool,
    /// What the last fact about it said.
    told: Option<Fact>,
}

impl Member {
    fn new(link: u32, socket: Socket) -> Member {
        Member {
            link,
            socket,
            light: false,
            collecting: false,
            distributing: false,
            told: None,
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
}

impl LagLine {
    pub fn new(port: LagPort, around: &mut Surroundings) -> LagLine {
        let mut line = LagLine {
            port,
            behind: false,
            unsent: 0,
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
        members
            .map(|(index, member)| (Source::Member(index as u8), member.socket.as_fd()))
            .chain([(Source::Carrier, self.port.carrier.as_fd())])
    }

    /// Reads what a source has, one frame at most.
    pub fn ready(&mut self, source: Source, around: &mut Surroundings) {
        match source {
            Source::Carrier => self.read_carrier(around),
            Source::Member(index) => {
                self.read_frame(usize::from(index), around);
            }
        }
        self.act(around);
    }

    /// Lets the timers run, after the frames that came before.
    pub fn timer(&mut self, around: &mut Surroundings) {
        let now = around.clock.now();
        for index in 0..self.port.members.len() {
            for _ in 0..MOST_AT_ONCE {
                if !self.read_frame(index, around) {
                    break;
                }
            }
        }
        self.port.lag.handle(now, Input::Tick);
        self.act(around);
    }

    pub fn command(&mut self, command: Admin, around: &mut Surroundings) {
        let now = around.clock.now();
        self.port.lag.handle(now, Input::Admin(command));
        self.act(around);
    }

    /// Closes the data path and takes the carrier away.
    pub fn leave(mut self, around: &mut Surroundings) {
        for member in &mut self.port.members {
            (member.collecting, member.distributing) = (false, false);
        }
        self.behind = true;
        if self.port.lag.carrier() {
            self.set_carrier(false, 0, around);
        } else {
            self.catch_up(around);
        }
    }

    pub fn deadline(&self) -> Option<At> {
        self.port.lag.deadline()
    }

    pub fn status(&self) -> LagStatus {
        let lag = &self.port.lag;
        LagStatus {
            carrier: lag.carrier(),
            ports: (0..lag.port_count())
                .filter_map(|n| lag.status(n))
                .collect(),
            actors: (0..lag.port_count())
                .filter_map(|n| lag.actor(n).copied())
                .collect(),
            counters: (0..lag.port_count())
                .filter_map(|n| lag.counters(n).copied())
                .collect(),
            rhythms: (0..lag.port_count()).map(|n| lag.rhythm(n)).collect(),
            unsent: self.unsent,
        }
    }

    /// Reads one frame of a member; whether there was one.
    fn read_frame(&mut self, index: usize, around: &mut Surroundings) -> bool {
        let Some(member) = self.port.members.get(index) else {
            return false;
        };
        let Ok(Some(received)) = member.socket.receive(&around.clock, around.buffer) else {
            return false;
        };
        let input = Input::Frame {
            port: index,
            bytes: &around.buffer[..received.length],
        };
        // At its arrival: a timer that ran out while it lay unread does not count against the partner.
        self.port.lag.handle(received.at, input);
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
        let mut light = |link, up| {
            let place = members.iter().position(|member| member.link == link);
            let Some(port) = place.filter(|port| members[*port].light != up) else {
                return;
            };
            members[port].light = up;
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
    }

    /// Does what the actor wants done. Changes of members are gathered until something depends on them.
    fn act(&mut self, around: &mut Surroundings) {
        while let Some(output) = self.port.lag.poll() {
            match output {
                Output::Mux {
                    port,
                    collecting,
                    distributing,
                } => {
                    let member = &mut self.port.members[port];
                    (member.collecting, member.distributing) = (collecting, distributing);
                    self.behind = true;
                }
                Output::Carrier { up, distributing } => {
                    self.set_carrier(up, distributing, around);
                }
                Output::Send { port, frame } => {
                    self.catch_up(around);
                    if self.port.members[port].socket.send(&frame).is_err() {
                        self.unsent += 1;
                    }
                }
                Output::PortChanged { port, status } => self.tell_member(port, &status, around),
                Output::Heard { port, heard } => {
                    self.saw(port, LacpSeen::Says(heard_fact(&heard)), around);
                }
                Output::Rhythm { port, rhythm } => {
                    self.saw(port, LacpSeen::Rhythm(rhythm_fact(&rhythm)), around);
                }
                Output::MarkerAnswered { port, after } => {
                    self.saw(port, LacpSeen::MarkerAnswered(after.into()), around);
                }
            }
        }
        self.catch_up(around);
    }

    /// Makes the data path what the actor wants.
    fn catch_up(&mut self, around: &mut Surroundings) {
        if !std::mem::take(&mut self.behind) {
            return;
        }
        let members = &self.port.members;
        let those = |wanted: fn(&Member) -> bool| -> Vec<u32> {
            members
                .iter()
                .filter(|m| wanted(m))
                .map(|m| m.link)
                .collect()
        };
        let (distributing, collecting) = (those(|m| m.distributing), those(|m| m.collecting));
        let LagPort { path, netlink, .. } = &mut self.port;
        if let Err(error) = path.set(netlink, &distributing, &collecting) {
            self.fail(&error, around);
        }
    }

    fn set_carrier(&mut self, up: bool, distributing: u8, around: &mut Surroundings) {
        self.catch_up(around);
        let LagPort {
            end,
            hidden,
            netlink,
            ..
        } = &mut self.port;
        set_carrier(end, *hidden, netlink, (up, distributing), around);
    }

    /// Records what a member does, when it is not what was recorded last.
    fn tell_member(&mut self, port: usize, status: &PortStatus, around: &mut Surroundings) {
        let fact = member(&self.port.end, port, status);
        let told = &mut self.port.members[port].told;
        if told.as_ref() != Some(&fact) {
            *told = Some(fact.clone());
            around.recorder.now(fact);
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

/// Makes the state of the hidden end the LAG's carrier, with so many members that distribute, and tells of it.
pub(super) fn set_carrier(
    end: &End,
    hidden: u32,
    netlink: &mut Netlink,
    (up, distributing): (bool, u8),
    around: &mut Surroundings,
) {
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
    around.recorder.at(at, fact);
    around.tell(LineEvent::Lag {
        end: end.clone(),
        up,
        distributing,
        at,
    });
}

/// The kernel refused something of a LAG's.
pub(super) fn fail(end: &End, error: &NetlinkError, around: &mut Surroundings) {
    let text = format!("LAG {end}: {error}");
    around.recorder.now(Fact::Errored { text });
}

/// What a member does, as it is recorded.
pub(super) fn member(end: &End, index: usize, status: &PortStatus) -> Fact {
    Fact::Member {
        router: end.router.clone(),
        connection: end.connection.clone(),
        member: index as u8 + 1,
        receive: status.receive.name().to_owned(),
        collecting: status.collecting,
        distributing: status.distributing,
        partner: status.partner.map(|p| p.to_string()).unwrap_or_default(),
    }
}

/// What a partner says, as it is recorded.
pub(super) fn heard_fact(heard: &Heard) -> LacpHeard {
    let actor = heard.actor;
    let system = actor.system.map(|byte| format!("{byte:02x}"));
    LacpHeard {
        system_priority: actor.system_priority,
        system: system.join(":"),
        key: actor.key,
        port_priority: actor.port_priority,
        port: actor.port,
        state: actor.state.to_string(),
        means_us: heard.means_us,
        early: heard.early,
    }
}

fn rhythm_fact(rhythm: &Rhythm) -> LacpRhythm {
    LacpRhythm {
        interval: rhythm.interval.into(),
        intervals: rhythm.intervals,
        shortest: rhythm.shortest.into(),
        median: rhythm.median.into(),
        longest: rhythm.longest.into(),
        early: rhythm.early,
        late: rhythm.late,
    }
}
