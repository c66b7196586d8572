//! One router of the metro with its line card: the cores of `router`, `lacp` and `bfd`, joined as `lab` and `line` join them.
//!
//! It has no clock and no cable: what it wants sent waits in [`Node::out`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use peerlab::bfd::{self, Session};
use peerlab::lab::line_cards::Side;
use peerlab::lacp;
use peerlab::record::Fact;
use peerlab::router::{Conn, Direction, Fib, Input, NextHop, Output, Router, SessionIndex};
use peerlab::time::At;

use super::cable::Random;
use super::end::End;
use super::tcp::{self, News, Owner, Segment, Tcp};

/// What crosses a cable or a plain link.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Packet {
    Slow(lacp::Frame),
    Bfd(bfd::Datagram),
    Tcp(Segment),
}

/// What a node wants done.
#[derive(Debug)]
pub enum Emit {
    Cable {
        connection: usize,
        side: Side,
        member: usize,
        packet: Packet,
    },
    Link {
        interface: String,
        segment: Segment,
    },
    Fact(Fact),
}

/// What happens to a node.
#[derive(Debug)]
pub enum Happens<'a> {
    Boot,
    Crash,
    Timer,
    Frame {
        end: usize,
        member: usize,
        packet: Packet,
    },
    Segment(Segment),
    Light {
        end: usize,
        member: usize,
        up: bool,
    },
    Interface {
        name: &'a str,
        up: bool,
    },
    Router(Input<'a>),
}

/// What the line thread and the watcher tell a router.
#[derive(Debug, Clone)]
enum Word {
    /// Up or down; and whether the neighbour's BFD is independent of its control plane.
    Bfd(SessionIndex, bool, bool),
    Interface(String, bool),
}

/// A router and its line card.
pub struct Node {
    pub name: String,
    pub router: Router,
    pub ends: Vec<End>,
    pub tcp: Tcp,
    /// The kernel's routes.
    pub fib: BTreeMap<IpNet, BTreeSet<NextHop>>,
    /// What the router wants them to be, whatever the kernel dropped by itself.
    wish: BTreeMap<IpNet, BTreeSet<NextHop>>,
    /// What was told of them last.
    told: BTreeMap<IpNet, Vec<String>>,
    changed: BTreeSet<IpNet>,
    /// Routes from before a restart, which the router has not chosen anew.
    kept: BTreeSet<IpNet>,
    /// When the last bytes of each session came.
    pub heard_bgp: BTreeMap<SessionIndex, At>,
    serial: u32,
    /// What the line thread and the watcher tell the router takes up to so long.
    pub hearing: Duration,
    random: Random,
    news: VecDeque<(At, Word)>,
    pub out: Vec<Emit>,
    pub deadline: Option<At>,
}

impl Node {
    pub fn new(router: Router, ends: Vec<End>, seed: u64) -> Node {
        Node {
            name: router.config().name.clone(),
            router,
            ends,
            tcp: Tcp::new(),
            fib: BTreeMap::new(),
            wish: BTreeMap::new(),
            told: BTreeMap::new(),
            changed: BTreeSet::new(),
            kept: BTreeSet::new(),
            heard_bgp: BTreeMap::new(),
            serial: 0,
            hearing: Duration::ZERO,
            random: Random::new(seed),
            news: VecDeque::new(),
            out: Vec::new(),
            deadline: None,
        }
    }

    /// Interfaces of the kernel's next hops for a prefix, sorted.
    pub fn via(&self, prefix: &IpNet) -> Vec<String> {
        let hops = self.fib.get(prefix).into_iter().flatten();
        let names: BTreeSet<String> = hops.map(|hop| hop.interface.to_string()).collect();
        names.into_iter().collect()
    }

    pub fn handle(&mut self, now: At, happens: Happens<'_>) {
        let in_time = matches!(happens, Happens::Timer);
        match happens {
            Happens::Boot => {
                self.tcp.listening = true;
                self.router.handle(now, Input::Start);
            }
            Happens::Crash => {
                self.router.handle(now, Input::Crash);
                self.settle(now);
                self.tcp.crash();
                self.changed.extend(self.fib.keys());
                self.fib.clear();
                self.wish.clear();
            }
            Happens::Timer => self.timer(now),
            Happens::Frame {
                end,
                member,
                packet,
            } => self.frame(now, end, member, packet),
            Happens::Segment(segment) => self.tcp.receive(now, segment),
            Happens::Light { end, member, up } => {
                let port = member;
                let light = lacp::Input::Light { port, up };
                self.ends[end].lag.handle(now, light);
                self.out.push(Emit::Fact(Fact::Light {
                    router: self.name.clone(),
                    connection: self.ends[end].name.clone(),
                    member: member as u8 + 1,
                    up,
                }));
                self.line(now, end);
            }
            Happens::Interface { name, up } => {
                self.say(now, Word::Interface(name.to_owned(), up));
            }
            Happens::Router(input) => {
                match input {
                    Input::Halt { .. } => self.tcp.listening = false,
                    Input::Restart { .. } => self.tcp.listening = true,
                    _ => {}
                }
                self.router.handle(now, input);
            }
        }
        self.settle(now);
        self.show_routes();
        self.deadline = self.next_deadline();
        // What arrives at the moment of a deadline comes before it.
        let late = self
            .deadline
            .is_some_and(|at| at < now || in_time && at == now);
        assert!(!late, "{}: a deadline is past", self.name);
    }

    fn next_deadline(&self) -> Option<At> {
        let lags = self.ends.iter().filter_map(|end| end.lag.deadline());
        let bfds = self.ends.iter().filter_map(|end| end.bfd.as_ref());
        let news = self.news.front().map(|(at, _)| *at);
        let rest = [self.router.deadline(), self.tcp.deadline(), news];
        lags.chain(bfds.filter_map(Session::deadline))
            .chain(rest.into_iter().flatten())
            .min()
    }

    fn timer(&mut self, now: At) {
        while let Some((_, word)) = self.news.pop_front_if(|(at, _)| *at <= now) {
            self.hear(now, word);
        }
        for end in 0..self.ends.len() {
            if self.ends[end].lag.deadline().is_some_and(|at| at <= now) {
                self.ends[end].lag.handle(now, lacp::Input::Tick);
                self.line(now, end);
            }
            let bfd = self.ends[end].bfd.as_mut();
            if let Some(bfd) = bfd.filter(|bfd| bfd.deadline().is_some_and(|at| at <= now)) {
                bfd.handle(now, bfd::Input::Timer { drained: now });
                self.line(now, end);
            }
        }
        self.tcp.timer(now);
        if self.router.deadline().is_some_and(|at| at <= now) {
            self.router.handle(now, Input::Deadline);
        }
    }

    fn frame(&mut self, now: At, index: usize, member: usize, packet: Packet) {
        let end = &mut self.ends[index];
        let passes = end.carrier && end.collecting[member];
        match packet {
            Packet::Slow(frame) => {
                end.heard_lacp[member] = now;
                let (port, bytes) = (member, &frame[..]);
                end.lag.handle(now, lacp::Input::Frame { port, bytes });
                self.line(now, index);
            }
            Packet::Bfd(bytes) if passes => {
                let Some(bfd) = &mut end.bfd else { return };
                end.heard_bfd = now;
                let (ttl, at, bytes) = (255, now, &bytes[..]);
                bfd.handle(now, bfd::Input::Packet { bytes, ttl, at });
                self.line(now, index);
            }
            Packet::Tcp(segment) if passes => self.tcp.receive(now, segment),
            Packet::Bfd(_) | Packet::Tcp(_) => {}
        }
    }

    /// Does what the LACP actor and the BFD session of an end want.
    fn line(&mut self, now: At, index: usize) {
        while let Some(output) = self.ends[index].lag.poll() {
            let end = &mut self.ends[index];
            match output {
                lacp::Output::Mux {
                    port,
                    collecting,
                    distributing,
                } => {
                    end.collecting[port] = collecting;
                    end.distributing[port] = distributing;
                }
                lacp::Output::Carrier { up, distributing } => {
                    end.carrier = up;
                    let connection = end.name.clone();
                    if let Some(bfd) = end.bfd.as_mut().filter(|_| up) {
                        bfd.handle(now, bfd::Input::PathUp);
                    }
                    self.out.push(Emit::Fact(Fact::Lag {
                        router: self.name.clone(),
                        connection: connection.clone(),
                        up,
                        distributing,
                    }));
                    self.say(now, Word::Interface(connection, up));
                }
                lacp::Output::Send { port, frame } => self.out.push(Emit::Cable {
                    connection: end.connection,
                    side: end.side,
                    member: port,
                    packet: Packet::Slow(frame),
                }),
                lacp::Output::PortChanged { port, status } => {
                    let connection = end.name.clone();
                    self.out.push(Emit::Fact(Fact::Member {
                        router: self.name.clone(),
                        connection,
                        member: port as u8 + 1,
                        receive: status.receive.name().to_owned(),
                        collecting: status.collecting,
                        distributing: status.distributing,
                        partner: status.partner.map(|p| p.to_string()).unwrap_or_default(),
                    }));
                }
                lacp::Output::Heard { .. }
                | lacp::Output::Rhythm { .. }
                | lacp::Output::MarkerAnswered { .. }
                | lacp::Output::NoMarker { .. } => {}
            }
        }
        while let Some(output) = self.ends[index].bfd.as_mut().and_then(Session::poll) {
            match output {
                bfd::Output::State(change) => self.bfd_changed(now, index, change),
                // Nobody disables BFD here.
                bfd::Output::Disabled(_) => {}
                bfd::Output::Heard(_)
                | bfd::Output::Rhythm(_)
                | bfd::Output::Answered(_)
                | bfd::Output::Discarded(_) => {}
                bfd::Output::Send(packet) => {
                    let end = &self.ends[index];
                    let own = end.bfd.as_ref().map_or(0, |b| b.my_discriminator().get());
                    let port = 49_152 + (own % 16_384) as u16;
                    if let Some(member) = end.member(17, (port, 3784)) {
                        self.out.push(Emit::Cable {
                            connection: end.connection,
                            side: end.side,
                            member,
                            packet: Packet::Bfd(packet),
                        });
                    }
                }
            }
        }
    }

    fn bfd_changed(&mut self, now: At, index: usize, change: bfd::StateChange) {
        let end = &self.ends[index];
        self.out.push(Emit::Fact(Fact::Bfd {
            router: self.name.clone(),
            connection: end.name.clone(),
            state: change.to.name().to_owned(),
            diagnostic: change.diagnostic.words().to_owned(),
            last_received: change.last_received,
            detection_time: change.detection_time.map(Into::into),
        }));
        let up = change.to == bfd::State::Up;
        let word = Word::Bfd(end.session, up, change.control_plane_independent);
        self.say(now, word);
    }

    /// Something for the router, which hears it at once or a little later, but all in order.
    fn say(&mut self, now: At, word: Word) {
        if self.hearing.is_zero() && self.news.is_empty() {
            return self.hear(now, word);
        }
        let late = self.random.below(self.hearing.as_nanos() as u64 + 1);
        let last = self.news.back().map_or(now, |(at, _)| *at);
        let at = last.max(now + Duration::from_nanos(late + 1));
        self.news.push_back((at, word));
    }

    fn hear(&mut self, now: At, word: Word) {
        let input = match &word {
            Word::Bfd(session, true, _) => Input::BfdUp { session: *session },
            Word::Bfd(session, false, independent) => Input::BfdDown {
                session: *session,
                control_plane_independent: *independent,
            },
            Word::Interface(interface, true) => Input::InterfaceUp { interface },
            Word::Interface(interface, false) => {
                // The kernel drops such routes by itself.
                self.drop_hops(|hop| *hop.interface == **interface);
                Input::InterfaceDown { interface }
            }
        };
        self.router.handle(now, input);
        self.settle(now);
    }

    /// Does what the router wants, kernel routes first, and tells it what its connections do.
    fn settle(&mut self, now: At) {
        loop {
            let mut rest = Vec::new();
            while let Some(output) = self.router.poll() {
                match output {
                    Output::Fib(change) => self.route(change),
                    other => rest.push(other),
                }
            }
            for output in rest {
                self.output(now, output);
            }
            match self.tcp.poll() {
                Some(tcp::Output::Send(segment)) => self.send(segment),
                Some(tcp::Output::Tell(id, news)) => self.news(now, id, news),
                None => break,
            }
        }
    }

    fn output(&mut self, now: At, output: Output) {
        match output {
            Output::Connect {
                session,
                conn,
                local,
                remote,
            } => self.tcp.connect(now, local, remote, (session, conn)),
            Output::Write {
                session,
                conn,
                bytes,
            } => self.tcp.write(now, (session, conn), bytes),
            Output::Close {
                session,
                conn,
                abort,
            } => self.tcp.close(now, (session, conn), abort),
            Output::Fact(fact) => self.out.push(Emit::Fact(*fact)),
            Output::Monitored(_) => {}
            Output::Fib(_) => unreachable!("done before"),
        }
    }

    fn news(&mut self, now: At, id: u32, news: News) {
        let Some(owner) = self.tcp.owner(id) else {
            if let News::Incoming(local, remote) = news {
                self.accept(now, id, local, remote);
            }
            return;
        };
        let (session, conn) = owner;
        let input = match &news {
            News::Connected => Input::Connected { session, conn },
            News::Failed(why) => Input::ConnectFailed { session, conn, why },
            News::Bytes(bytes) => {
                self.heard_bgp.insert(session, now);
                Input::Bytes {
                    session,
                    conn,
                    bytes,
                }
            }
            News::Written(bytes) => Input::Written {
                session,
                conn,
                bytes: *bytes,
            },
            News::Closed(why) => Input::Closed { session, conn, why },
            News::Incoming(..) => return,
        };
        self.router.handle(now, input);
        if matches!(news, News::Closed(_) | News::Failed(_)) {
            self.tcp.disown(now, id);
        }
    }

    /// Keeps a connection of a neighbour that has no other incoming one, as the driver does.
    fn accept(&mut self, now: At, id: u32, local: IpAddr, remote: IpAddr) {
        let incoming = |(_, conn): Owner| -> bool { conn.direction == Direction::Incoming };
        match self.router.session_for(local, remote) {
            Some(session) if !self.tcp.any(|o| o.0 == session && incoming(o)) => {
                self.serial += 1;
                let conn = Conn {
                    direction: Direction::Incoming,
                    serial: self.serial,
                };
                self.tcp.adopt(id, (session, conn));
                self.router.handle(now, Input::Connected { session, conn });
            }
            Some(_) | None => self.tcp.disown(now, id),
        }
    }

    /// Puts a segment on the interface of its address, and over a LAG on the member of its flow.
    fn send(&mut self, segment: Segment) {
        let (local, ports) = (segment.from.0, (segment.from.1, segment.to.1));
        if let Some(end) = self.ends.iter().find(|end| end.local == local) {
            if let Some(member) = end.member(6, ports) {
                self.out.push(Emit::Cable {
                    connection: end.connection,
                    side: end.side,
                    member,
                    packet: Packet::Tcp(segment),
                });
            }
            return;
        }
        let sessions = &self.router.config().sessions;
        if let Some(spec) = sessions.iter().find(|spec| spec.local == local) {
            let interface = spec.interface.clone();
            self.out.push(Emit::Link { interface, segment });
        }
    }

    fn route(&mut self, change: Fib) {
        match change {
            Fib::NextHopDown { session } => {
                let lost = |hop: &NextHop| hop.session == session;
                for (prefix, hops) in &mut self.wish {
                    if hops.iter().any(lost) && !hops.iter().all(lost) {
                        hops.retain(|hop| !lost(hop));
                        self.fib.insert(*prefix, hops.clone());
                        self.changed.insert(*prefix);
                    }
                }
            }
            Fib::Move { from, to } => {
                for (prefix, hops) in &mut self.wish {
                    if hops.iter().eq(from.iter()) {
                        *hops = to.iter().cloned().collect();
                        self.fib.insert(*prefix, hops.clone());
                        self.changed.insert(*prefix);
                    }
                }
            }
            Fib::Replace { prefix, next_hops } => {
                let hops: BTreeSet<NextHop> = next_hops.iter().cloned().collect();
                self.kept.remove(&prefix);
                self.wish.insert(prefix, hops.clone());
                self.fib.insert(prefix, hops);
                self.changed.insert(prefix);
            }
            Fib::Keep => self.kept = self.wish.keys().copied().collect(),
            Fib::Sweep => {
                for prefix in std::mem::take(&mut self.kept) {
                    self.route(Fib::Remove { prefix });
                }
            }
            Fib::Remove { prefix } => {
                self.kept.remove(&prefix);
                self.wish.remove(&prefix);
                self.fib.remove(&prefix);
                self.changed.insert(prefix);
            }
        }
    }

    fn drop_hops(&mut self, gone: impl Fn(&NextHop) -> bool) {
        for (prefix, hops) in &mut self.fib {
            let before = hops.len();
            hops.retain(|hop| !gone(hop));
            if hops.len() < before {
                self.changed.insert(*prefix);
            }
        }
        self.fib.retain(|_, hops| !hops.is_empty());
    }

    /// Tells route changes, and holds the kernel's table against the router's own.
    fn show_routes(&mut self) {
        for prefix in std::mem::take(&mut self.changed) {
            let selected = self.router.loc_rib().get(&prefix);
            let wanted = selected.map(|route| route.next_hops.iter().cloned().collect());
            if !self.kept.contains(&prefix) {
                assert_eq!(self.fib.get(&prefix), wanted.as_ref(), "{}", self.name);
            }
            let via = self.via(&prefix);
            if self.told.get(&prefix).map_or(&[][..], |told| told) != via {
                self.told.insert(prefix, via.clone());
                self.out.push(Emit::Fact(Fact::KernelRoute {
                    router: self.name.clone(),
                    prefix,
                    via,
                }));
            }
        }
    }

    /// RFC 5882 and strict mode: without BFD there is no session that needs it, and no route of it.
    pub fn assert_strict(&self) {
        let told = |end: &&End| {
            let of_end = |(_, word): &(At, Word)| match word {
                Word::Bfd(session, ..) => *session == end.session,
                Word::Interface(..) => false,
            };
            !self.news.iter().any(of_end)
        };
        for end in self.ends.iter().filter(|end| !end.bfd_is_up()).filter(told) {
            let spec = &self.router.config().sessions[end.session.index()];
            if !spec.bfd_strict {
                continue;
            }
            let state = self.router.state(end.session);
            let established = state == peerlab::bgp::session::State::Established;
            assert!(!established, "{} {}: BFD is down", self.name, end.name);
            let routes = self
                .router
                .adj_rib_in(end.session)
                .map_or(0, |rib| rib.len());
            assert_eq!(routes, 0, "{} {}: routes without BFD", self.name, end.name);
            let mut hops = self.fib.values().flatten();
            let stale = hops.any(|hop| hop.session == end.session);
            assert!(!stale, "{} {}: a kernel route", self.name, end.name);
        }
    }
}
