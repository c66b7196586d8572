//! A network of routers in memory: links with a delay, connections over them, one virtual clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;

use crate::bgp::session::State;
use crate::record::Fact;
use crate::router::{
    Conn, Direction, Fib, Input, Monitored, NextHop, Output, Router, RouterConfig, SessionIndex,
    SessionSpec,
};
use crate::time::At;

/// One end of a connection: router, session, connection.
type End = (usize, SessionIndex, Conn);

#[derive(Debug)]
enum Event {
    Arrive { from: End },
    Accepted { at: End },
    Bytes { to: End, bytes: Bytes },
    Written { at: End, bytes: usize },
    Closed { to: End, why: &'static str },
}

pub struct Net {
    pub now: At,
    pub routers: Vec<Router>,
    pub fibs: Vec<BTreeMap<IpNet, Arc<[NextHop]>>>,
    /// Kernel routes kept over a restart.
    stale: Vec<BTreeSet<IpNet>>,
    /// Kernel changes with their moments.
    pub fib_log: Vec<(At, usize, Fib)>,
    pub facts: Vec<(At, Fact)>,
    /// What monitored sessions told, by router.
    pub monitored: Vec<(usize, Monitored)>,
    delay: Duration,
    queue: BTreeMap<(At, u64), Event>,
    sequence: u64,
    peers: HashMap<End, End>,
    /// Session addresses of links on which nothing arrives.
    silent: BTreeSet<IpAddr>,
    /// What TCP sends again once its link is back, with the sender's end.
    stalled: Vec<(End, Event)>,
    serial: u32,
}

pub fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Net {
    pub fn new(configs: Vec<RouterConfig>, delay: Duration) -> Net {
        let count = configs.len();
        Net {
            now: At::ZERO,
            routers: configs
                .into_iter()
                .zip(1..)
                .map(|(config, seed)| Router::new(config, seed))
                .collect(),
            fibs: vec![BTreeMap::new(); count],
            stale: vec![BTreeSet::new(); count],
            fib_log: Vec::new(),
            facts: Vec::new(),
            monitored: Vec::new(),
            delay,
            queue: BTreeMap::new(),
            sequence: 0,
            peers: HashMap::new(),
            silent: BTreeSet::new(),
            stalled: Vec::new(),
            serial: 1000,
        }
    }

    pub fn start(&mut self) {
        for router in 0..self.routers.len() {
            self.input(router, Input::Start);
        }
    }

    pub fn named(&self, name: &str) -> usize {
        self.routers
            .iter()
            .position(|r| r.config().name == name)
            .expect("a router of that name")
    }

    pub fn session(&self, router: usize, name: &str) -> SessionIndex {
        let sessions = &self.routers[router].config().sessions;
        let index = sessions.iter().position(|s| s.name == name);
        SessionIndex(index.expect("a session of that name") as u16)
    }

    pub fn state(&self, router: &str, session: &str) -> State {
        let router = self.named(router);
        self.routers[router].state(self.session(router, session))
    }

    pub fn all_established(&self) -> bool {
        self.routers.iter().all(|r| {
            (0..r.config().sessions.len())
                .all(|s| r.state(SessionIndex(s as u16)) == State::Established)
        })
    }

    /// Interfaces of a router's next hops for a prefix.
    pub fn via(&self, router: &str, prefix: &str) -> Vec<String> {
        let hops = self.fibs[self.named(router)].get(&net(prefix));
        let hops = hops.map_or(&[][..], |hops| hops);
        hops.iter().map(|h| h.interface.to_string()).collect()
    }

    /// Stops or restores all traffic on the link with this session address, both ways, keeping carrier.
    pub fn silence(&mut self, address: impl Into<IpAddr>, silent: bool) {
        if silent {
            self.silent.insert(address.into());
        } else {
            self.silent.remove(&address.into());
            for (from, event) in std::mem::take(&mut self.stalled) {
                self.carry(from, event);
            }
        }
    }

    pub fn input(&mut self, router: usize, input: Input<'_>) {
        self.routers[router].handle(self.now, input);
        while let Some(output) = self.routers[router].poll() {
            self.output(router, output);
        }
    }

    /// Gives a router bytes as if the neighbour of its first session had sent them.
    pub fn inject(&mut self, router: &str, bytes: &[u8]) {
        let router = self.named(router);
        let ends = self.peers.keys().filter(|(r, _, _)| *r == router);
        let end = ends.min_by_key(|(_, session, _)| session.index()).copied();
        let (_, session, conn) = end.expect("a connection");
        self.input(
            router,
            Input::Bytes {
                session,
                conn,
                bytes,
            },
        );
    }

    /// Runs for a while.
    pub fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs until `done`, at most for a while. True when it was done.
    pub fn run_until(&mut self, time: Duration, done: impl Fn(&Net) -> bool) -> bool {
        let end = self.now + time;
        loop {
            if done(self) {
                return true;
            }
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let due = self.routers.iter().filter_map(Router::deadline).min();
            let Some(next) = queued.into_iter().chain(due).min().filter(|at| *at <= end) else {
                self.now = end;
                return done(self);
            };
            self.now = self.now.max(next);
            if queued == Some(next) {
                if let Some((_, event)) = self.queue.pop_first() {
                    self.event(event);
                }
            } else {
                for router in 0..self.routers.len() {
                    if self.routers[router]
                        .deadline()
                        .is_some_and(|at| at <= self.now)
                    {
                        self.input(router, Input::Deadline);
                    }
                }
            }
        }
    }

    fn later(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + after, self.sequence), event);
    }

    /// Over the link, now or when it is back.
    fn carry(&mut self, from: End, event: Event) {
        if self.is_silent(from.0, from.1) {
            self.stalled.push((from, event));
        } else {
            self.later(self.delay, event);
        }
    }

    fn spec(&self, router: usize, session: SessionIndex) -> &SessionSpec {
        &self.routers[router].config().sessions[session.index()]
    }

    fn is_silent(&self, router: usize, session: SessionIndex) -> bool {
        let spec = self.spec(router, session);
        self.silent.contains(&spec.local) || self.silent.contains(&spec.peer)
    }

    fn output(&mut self, router: usize, output: Output) {
        match output {
            Output::Connect { session, conn, .. } => {
                let from = (router, session, conn);
                self.later(self.delay, Event::Arrive { from });
            }
            Output::Write {
                session,
                conn,
                bytes,
            } => {
                let at = (router, session, conn);
                let written = bytes.len();
                if let Some(&to) = self.peers.get(&at) {
                    self.carry(at, Event::Bytes { to, bytes });
                }
                self.later(Duration::ZERO, Event::Written { at, bytes: written });
            }
            Output::Close {
                session,
                conn,
                abort,
            } => {
                let at = (router, session, conn);
                if let Some(to) = self.peers.remove(&at) {
                    let why = "closed by the peer";
                    if !(abort && self.is_silent(router, session)) {
                        self.carry(at, Event::Closed { to, why });
                    }
                }
            }
            Output::Fib(fib) => {
                match &fib {
                    Fib::NextHopDown { session } => {
                        for hops in self.fibs[router].values_mut() {
                            let lost = |hop: &NextHop| hop.session == *session;
                            if hops.iter().any(lost) && !hops.iter().all(lost) {
                                *hops = hops.iter().filter(|hop| !lost(hop)).cloned().collect();
                            }
                        }
                    }
                    Fib::Keep => self.stale[router] = self.fibs[router].keys().copied().collect(),
                    Fib::Sweep => {
                        for prefix in std::mem::take(&mut self.stale[router]) {
                            self.fibs[router].remove(&prefix);
                        }
                    }
                    Fib::Move { from, to } => {
                        for hops in self.fibs[router].values_mut() {
                            if hops == from {
                                *hops = to.clone();
                            }
                        }
                    }
                    Fib::Replace { prefix, next_hops } => {
                        self.stale[router].remove(prefix);
                        self.fibs[router].insert(*prefix, next_hops.clone());
                    }
                    Fib::Remove { prefix } => {
                        self.fibs[router].remove(prefix);
                    }
                }
                self.fib_log.push((self.now, router, fib));
            }
            Output::Fact(fact) => self.facts.push((self.now, *fact)),
            Output::Monitored(monitored) => self.monitored.push((router, *monitored)),
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Arrive { from } => self.arrive(from),
            Event::Accepted { at } => {
                let (router, session, conn) = at;
                if self.peers.contains_key(&at) {
                    self.input(router, Input::Connected { session, conn });
                }
            }
            Event::Bytes { to, bytes } => {
                let (router, session, conn) = to;
                if self.peers.contains_key(&to) {
                    let bytes = &bytes;
                    self.input(
                        router,
                        Input::Bytes {
                            session,
                            conn,
                            bytes,
                        },
                    );
                }
            }
            Event::Written { at, bytes } => {
                let (router, session, conn) = at;
                if self.peers.contains_key(&at) {
                    self.input(
                        router,
                        Input::Written {
                            session,
                            conn,
                            bytes,
                        },
                    );
                }
            }
            Event::Closed { to, why } => {
                let (router, session, conn) = to;
                if self.peers.remove(&to).is_some() {
                    self.input(router, Input::Closed { session, conn, why });
                }
            }
        }
    }

    /// A connection attempt reaches the other router: its kernel accepts, both ends hear of it.
    fn arrive(&mut self, from: End) {
        let (router, session, _) = from;
        if self.is_silent(router, session) {
            return;
        }
        let (local, remote) = {
            let spec = self.spec(router, session);
            (spec.local, spec.peer)
        };
        let found = (0..self.routers.len())
            .find_map(|r| Some((r, self.routers[r].session_for(remote, local)?)));
        let Some((other, theirs)) = found else {
            return;
        };
        self.serial += 1;
        let conn = Conn {
            direction: Direction::Incoming,
            serial: self.serial,
        };
        let to = (other, theirs, conn);
        self.peers.insert(from, to);
        self.peers.insert(to, from);
        self.later(self.delay, Event::Accepted { at: from });
        self.input(
            other,
            Input::Connected {
                session: theirs,
                conn,
            },
        );
    }
}
