//! A topology of pure cores in virtual time: nodes, cables, plain links, one queue of events, one clock.
//!
//! At one moment, arrivals come before timers, as a driver must do it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use peerlab::bfd::Session;
use peerlab::bgp::family::Family;
use peerlab::bgp::session::State;
use peerlab::binding::Binding;
use peerlab::lab::cable::touched;
use peerlab::lab::line_cards::{Side, bfd_config, lag_config};
use peerlab::lab::microsoft_routes::Order;
use peerlab::lab::routers::{VOICE_COMMUNITY, community, core_sessions_inside};
use peerlab::lab::simulated;
use peerlab::lacp::Lag;
use peerlab::plan::of_topology::{LagEnd, Layout};
use peerlab::record::Fact;
use peerlab::router::{
    Input, Originated, OriginatedAttributes, Router, RouterConfig, SessionIndex,
};
use peerlab::scenario::{FaultKind, Target};
use peerlab::time::At;
use peerlab::topology::{self, Topology};

use super::cable::{Cable, Quality, Random};
use super::end::End;
use super::node::{Emit, Happens, Node, Packet};
use super::tcp::Segment;

#[derive(Debug, Hash)]
enum Arrival {
    Cable {
        connection: usize,
        member: usize,
        to: usize,
    },
    Link {
        link: usize,
        to: usize,
    },
}

/// A plain link between two routers; each end is a node and its interface.
struct Link {
    ends: [(usize, String); 2],
    up: bool,
}

/// Everything that routing comes to. Equal values mean that traffic goes the same ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Members that distribute, by router and connection.
    pub lags: BTreeMap<(String, String), usize>,
    pub bfd: BTreeMap<(String, String), bool>,
    pub sessions: BTreeMap<(String, String), String>,
    /// Interfaces of the kernel's next hops, by router and prefix.
    pub routes: BTreeMap<(String, IpNet), Vec<String>>,
}

/// A living topology.
pub struct Metro {
    pub now: At,
    pub topology: Topology,
    pub layout: Layout,
    pub nodes: Vec<Node>,
    pub facts: Vec<(At, Fact)>,
    pub quality: Quality,
    /// By connection and member.
    cables: Vec<Vec<Cable>>,
    links: Vec<Link>,
    crashed: Vec<String>,
    queue: BTreeMap<(At, u64), (Arrival, Packet)>,
    serial: u64,
    random: Random,
    digest: DefaultHasher,
}

/// A shipped topology, with fewer routes than Microsoft has where they only cost time.
pub fn shipped(name: &str, routes: u16) -> Topology {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("topologies");
    let mut topology = topology::load(&folder.join(name).with_extension("toml"))
        .unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?}"));
    topology.profile.routes = routes;
    topology
}

impl Metro {
    /// Builds and starts a topology as the lab does. The first packets are on their way afterwards.
    pub fn start(topology: Topology, without_bfd: &[String], quality: Quality, seed: u64) -> Metro {
        let layout = Layout::of(&topology);
        let configs = simulated(&topology, &layout, &Binding::default(), without_bfd, None);
        let nodes = configs.into_iter().zip(0..).map(|(config, number)| {
            let ends = ends(&topology, &layout, &config, without_bfd, seed);
            let seed = seed.wrapping_add(number);
            Node::new(Router::new(config, seed), ends, seed)
        });
        let nodes: Vec<Node> = nodes.collect();
        let members = |end: &LagEnd| vec![Cable::new(); end.members.len()];
        let mut metro = Metro {
            now: At::ZERO,
            cables: layout
                .connections
                .iter()
                .map(|c| members(&c.edge))
                .collect(),
            links: links(&nodes),
            topology,
            layout,
            nodes,
            facts: Vec::new(),
            quality,
            crashed: Vec::new(),
            queue: BTreeMap::new(),
            serial: 0,
            random: Random::new(seed),
            digest: DefaultHasher::new(),
        };
        for node in 0..metro.nodes.len() {
            metro.tell(node, Happens::Boot);
            let ends = metro.nodes[node].ends.iter();
            let names: Vec<String> = ends.map(|end| end.name.clone()).collect();
            for name in &names {
                metro.tell(node, Happens::Interface { name, up: false });
            }
        }
        for node in 0..metro.nodes.len() {
            for end in 0..metro.nodes[node].ends.len() {
                for member in 0..metro.nodes[node].ends[end].collecting.len() {
                    let up = true;
                    metro.tell(node, Happens::Light { end, member, up });
                }
            }
        }
        metro
    }

    /// From now on routers hear of BFD and carrier up to so much later.
    pub fn hear_after(&mut self, hearing: Duration) {
        for node in &mut self.nodes {
            node.hearing = hearing;
        }
    }

    pub fn run(&mut self, time: Duration) {
        self.wait(time, |_| false);
    }

    /// Runs until `done`, at most for `limit`; says how long it took.
    pub fn wait(&mut self, limit: Duration, done: impl Fn(&Metro) -> bool) -> Option<Duration> {
        let (begun, until) = (self.now, self.now + limit);
        let mut told = None;
        // What can be asked for does not change without a fact.
        while told.replace(self.facts.len()) == Some(self.facts.len()) || !done(self) {
            let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
            let timer = self.nodes.iter().filter_map(|node| node.deadline).min();
            let Some(next) = arrival
                .into_iter()
                .chain(timer)
                .min()
                .filter(|at| *at <= until)
            else {
                self.now = until;
                return None;
            };
            self.now = next;
            if arrival == Some(next) {
                if let Some((_, (arrival, packet))) = self.queue.pop_first() {
                    self.arrive(&arrival, packet);
                }
            } else {
                for node in 0..self.nodes.len() {
                    if self.nodes[node].deadline == Some(next) {
                        self.tell(node, Happens::Timer);
                    }
                }
            }
        }
        Some(self.now.since(begun))
    }

    pub fn fail(&mut self, target: &Target, how: FaultKind) {
        let layout = self.layout.clone();
        let (cables, crashed) = touched(&layout, target);
        for edge in &crashed {
            if !self.crashed.iter().any(|name| name == edge) {
                self.crashed.push((*edge).to_owned());
                self.tell(self.number(edge), Happens::Crash);
            }
        }
        for (connection, member) in cables {
            self.on_cables(&connection.name, member, |cable| cable.fail(how), false);
        }
        for edge in crashed {
            self.wan_link(edge, false);
        }
    }

    pub fn repair(&mut self, target: &Target) {
        let layout = self.layout.clone();
        let (cables, edges) = touched(&layout, target);
        for (connection, member) in cables {
            self.on_cables(&connection.name, member, Cable::repair, true);
        }
        for edge in edges {
            self.wan_link(edge, true);
            if let Some(place) = self.crashed.iter().position(|name| name == edge) {
                self.crashed.remove(place);
                self.tell(self.number(edge), Happens::Boot);
            }
        }
    }

    /// The core withdraws an endpoint's prefix on the sessions behind these connections, or announces it again.
    pub fn set_announced(
        &mut self,
        prefix: impl Into<IpNet>,
        connections: &[&str],
        announced: bool,
    ) {
        let prefix = prefix.into();
        let layout = &self.layout;
        let sessions = core_sessions_inside(layout, Family::of(&prefix), |router| {
            let mut ends = layout
                .connections
                .iter()
                .filter(|c| c.peer.router == router);
            ends.any(|connection| connections.contains(&connection.name.as_str()))
        });
        let input = if announced {
            let communities = vec![community(VOICE_COMMUNITY)];
            Input::Announce(Originated {
                prefix,
                attributes: OriginatedAttributes {
                    communities,
                    ..OriginatedAttributes::default()
                },
                sessions,
            })
        } else {
            Input::Withdraw { prefix, sessions }
        };
        self.tell(self.number("core"), Happens::Router(input));
    }

    /// Tells a router what the lab would.
    pub fn input(&mut self, router: &str, input: Input<'_>) {
        self.tell(self.number(router), Happens::Router(input));
    }

    /// Gives edges orders of Microsoft's.
    pub fn order(&mut self, orders: Vec<(String, Order)>) {
        for (edge, order) in orders {
            let input = match order {
                Order::Announce(route) => Input::Announce(route),
                Order::Withdraw(prefix, sessions) => Input::Withdraw { prefix, sessions },
            };
            self.input(&edge, input);
        }
    }

    pub fn number(&self, router: &str) -> usize {
        let place = self.nodes.iter().position(|node| node.name == router);
        place.unwrap_or_else(|| panic!("no router {router}"))
    }

    pub fn node(&self, router: &str) -> &Node {
        &self.nodes[self.number(router)]
    }

    pub fn end(&self, router: &str, connection: &str) -> &End {
        let mut ends = self.node(router).ends.iter();
        ends.find(|end| end.name == connection)
            .unwrap_or_else(|| panic!("no end of {connection} at {router}"))
    }

    /// Where a router's kernel sends packets for a prefix: interfaces, sorted.
    pub fn via(&self, router: &str, prefix: impl Into<IpNet>) -> Vec<String> {
        self.node(router).via(&prefix.into())
    }

    pub fn state(&self, router: &str, connection: &str) -> State {
        let session = self.end(router, connection).session;
        self.node(router).router.state(session)
    }

    pub fn all_established(&self) -> bool {
        self.nodes.iter().all(|node| {
            let sessions = 0..node.router.config().sessions.len() as u16;
            let mut states = sessions.map(|n| node.router.state(SessionIndex(n)));
            states.all(|state| state == State::Established)
        })
    }

    pub fn picture(&self) -> Picture {
        let mut picture = Picture {
            lags: BTreeMap::new(),
            bfd: BTreeMap::new(),
            sessions: BTreeMap::new(),
            routes: BTreeMap::new(),
        };
        for node in &self.nodes {
            for end in &node.ends {
                let key = (node.name.clone(), end.name.clone());
                let both = end.collecting.iter().zip(&end.distributing);
                let members = both.filter(|(c, d)| **c && **d).count();
                picture.lags.insert(key.clone(), members);
                picture.bfd.insert(key, end.bfd_is_up());
            }
            for (n, spec) in node.router.config().sessions.iter().enumerate() {
                let state = node.router.state(SessionIndex(n as u16)).to_string();
                let key = (node.name.clone(), spec.name.clone());
                picture.sessions.insert(key, state);
            }
            for prefix in node.fib.keys() {
                let key = (node.name.clone(), *prefix);
                picture.routes.insert(key, node.via(prefix));
            }
        }
        picture
    }

    /// A number that depends on every packet that arrived, and when.
    pub fn digest(&self) -> u64 {
        self.digest.finish()
    }

    fn tell(&mut self, node: usize, happens: Happens<'_>) {
        self.nodes[node].handle(self.now, happens);
        for emit in std::mem::take(&mut self.nodes[node].out) {
            match emit {
                Emit::Cable {
                    connection,
                    side,
                    member,
                    packet,
                } => self.onto_cable(connection, side, member, packet),
                Emit::Link { interface, segment } => self.onto_link(node, &interface, segment),
                Emit::Fact(fact) => self.facts.push((self.now, fact)),
            }
        }
        self.nodes[node].assert_strict();
    }

    fn arrive(&mut self, arrival: &Arrival, packet: Packet) {
        (self.now, arrival, &packet).hash(&mut self.digest);
        match *arrival {
            Arrival::Cable {
                connection,
                member,
                to,
            } => {
                let cable = &self.cables[connection][member];
                let node = &self.nodes[to];
                let end = node
                    .ends
                    .iter()
                    .position(|end| end.connection == connection);
                let end = end.expect("cables end at ends");
                let side = node.ends[end].side;
                let passes = match side {
                    Side::Microsoft => cable.passes(side, &packet),
                    Side::Peer => cable.light,
                };
                if passes {
                    let (member, packet) = (member, packet);
                    self.tell(
                        to,
                        Happens::Frame {
                            end,
                            member,
                            packet,
                        },
                    );
                }
            }
            Arrival::Link { link, to } => {
                if let (true, Packet::Tcp(segment)) = (self.links[link].up, packet) {
                    self.tell(to, Happens::Segment(segment));
                }
            }
        }
    }

    fn onto_cable(&mut self, connection: usize, from: Side, member: usize, packet: Packet) {
        let cable = &self.cables[connection][member];
        let layout = &self.layout.connections[connection];
        let (passes, to) = match from {
            Side::Microsoft => (cable.passes(Side::Peer, &packet), &layout.peer.router),
            Side::Peer => (cable.light, &layout.edge.router),
        };
        let to = self.number(to);
        if passes && let Some(delay) = self.quality.fate(&mut self.random) {
            let arrival = Arrival::Cable {
                connection,
                member,
                to,
            };
            self.later(delay, arrival, packet);
        }
    }

    fn onto_link(&mut self, node: usize, interface: &str, segment: Segment) {
        let is_end = |(n, name): &(usize, String)| *n == node && name == interface;
        let place = self
            .links
            .iter()
            .position(|link| link.ends.iter().any(is_end));
        let place = place.unwrap_or_else(|| panic!("no link {interface}"));
        let link = &self.links[place];
        if link.up {
            let to = link
                .ends
                .iter()
                .find(|end| !is_end(end))
                .expect("two ends")
                .0;
            let arrival = Arrival::Link { link: place, to };
            // Inside a building nothing is lost.
            self.later(self.quality.delay, arrival, Packet::Tcp(segment));
        }
    }

    fn later(&mut self, delay: Duration, arrival: Arrival, packet: Packet) {
        self.serial += 1;
        let key = (self.now + delay, self.serial);
        self.queue.insert(key, (arrival, packet));
    }

    /// Changes cables; where that changes the light, both ends see it.
    fn on_cables(
        &mut self,
        connection: &str,
        member: Option<u8>,
        change: impl Fn(&mut Cable) -> bool,
        up: bool,
    ) {
        let place = self
            .layout
            .connections
            .iter()
            .position(|c| c.name == connection);
        let place = place.expect("a connection of the layout");
        for index in 0..self.cables[place].len() {
            if member.is_some_and(|chosen| usize::from(chosen) != index + 1) {
                continue;
            }
            if !change(&mut self.cables[place][index]) {
                continue;
            }
            for node in 0..self.nodes.len() {
                let ends = &self.nodes[node].ends;
                if let Some(end) = ends.iter().position(|end| end.connection == place) {
                    let member = index;
                    self.tell(node, Happens::Light { end, member, up });
                }
            }
        }
    }

    fn wan_link(&mut self, edge: &str, up: bool) {
        let (wan, edge) = (self.number("wan"), self.number(edge));
        let link = self.links.iter_mut().find(|link| {
            let joins = |node: usize| link.ends.iter().any(|(n, _)| *n == node);
            joins(wan) && joins(edge)
        });
        let link = link.expect("a link from the WAN to every edge");
        if std::mem::replace(&mut link.up, up) == up {
            return;
        }
        for (node, name) in link.ends.clone() {
            self.tell(node, Happens::Interface { name: &name, up });
        }
    }
}

/// The ends of connections at a router.
fn ends(
    topology: &Topology,
    layout: &Layout,
    config: &RouterConfig,
    without_bfd: &[String],
    seed: u64,
) -> Vec<End> {
    let mut ends = Vec::new();
    for (place, connection) in layout.connections.iter().enumerate() {
        let sides = [
            (Side::Microsoft, &connection.edge, &connection.peer),
            (Side::Peer, &connection.peer, &connection.edge),
        ];
        for (side, near, far) in sides {
            if near.router != config.name {
                continue;
            }
            let session = config
                .sessions
                .iter()
                .position(|s| s.name == connection.name);
            let mut bfd = bfd_config(topology, place, Family::Ipv4Unicast, side);
            bfd.jitter_seed ^= seed << 8;
            let speaks = side == Side::Microsoft || !without_bfd.contains(&connection.name);
            ends.push(End {
                connection: place,
                side,
                name: connection.name.clone(),
                local: near.address.into(),
                remote: far.address.into(),
                session: SessionIndex(session.expect("a session of the connection") as u16),
                lag: Lag::new(&lag_config(near)).expect("a LAG"),
                collecting: vec![false; near.members.len()],
                distributing: vec![false; near.members.len()],
                carrier: false,
                bfd: speaks.then(|| Session::new(bfd, At::ZERO)),
                heard_bfd: At::ZERO,
                heard_lacp: vec![At::ZERO; near.members.len()],
            });
        }
    }
    ends
}

/// The plain links: two sessions whose addresses are each other's, and no LAG between them.
fn links(nodes: &[Node]) -> Vec<Link> {
    let mut links = Vec::new();
    for (a, one) in nodes.iter().enumerate() {
        for spec in &one.router.config().sessions {
            for (b, other) in nodes.iter().enumerate().skip(a + 1) {
                let theirs = other.router.config().sessions.iter();
                let mut theirs = theirs.filter(|s| s.local == spec.peer && s.peer == spec.local);
                let is_lag = one.ends.iter().any(|end| end.local == spec.local);
                if let Some(far) = theirs.next().filter(|_| !is_lag) {
                    let ends = [(a, spec.interface.clone()), (b, far.interface.clone())];
                    links.push(Link { ends, up: true });
                }
            }
        }
    }
    links
}
