//! One simulated router: its BGP sessions, its routes, the state of its links and BFD sessions, joined.
//!
//! [`Router`] is a value: inputs go into [`Router::handle`], outputs come from [`Router::poll`], and
//! [`Router::deadline`] says when it wants [`Input::Deadline`]. `driver.rs` gives it sockets and a kernel table.
//!
//! **Invariant:** no socket, no clock, no environment; the same inputs at the same moments give the same outputs.
//! Kernel routes change before anyone is told.

mod config;
pub mod driver;
mod export;
mod import;
mod io;
mod peer;
mod table;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

pub use config::{
    Originated, OriginatedAttributes, RouterConfig, Scope, SessionIndex, SessionSpec, Sessions,
};
pub use io::{Conn, Direction, Fib, Input, NextHop, Output};
pub use table::{LocRib, Selected};

use crate::bgp::attributes::AttributeSets;
use crate::bgp::family::Family;
use crate::bgp::policy::{Policy, Reason};
use crate::bgp::rib::{AdjRibIn, AdjRibOut};
use crate::bgp::session::{self, State};
use crate::record::Fact;
use crate::time::At;
use peer::{Peer, Pin};

/// One simulated router.
#[derive(Debug)]
pub struct Router {
    config: RouterConfig,
    peers: Vec<Peer>,
    internal: Vec<bool>,
    loc_rib: LocRib,
    sets: AttributeSets,
    /// Prefixes to decide anew.
    dirty: Vec<IpNet>,
    outputs: VecDeque<Output>,
    /// Of the present input: kernel routes go out before messages, facts last.
    messages: Vec<Output>,
    facts: Vec<Fact>,
}

impl Router {
    /// A router that is off; [`Input::Start`] boots it. `seed` decides its timer jitter.
    pub fn new(config: RouterConfig, seed: u64) -> Router {
        let peers: Vec<Peer> = (0..=u16::MAX)
            .zip(&config.sessions)
            .map(|(i, spec)| Peer::new(SessionIndex(i), spec.clone(), &config, seed))
            .collect();
        let mut router = Router {
            internal: peers.iter().map(|p| p.internal).collect(),
            peers,
            config,
            loc_rib: LocRib::default(),
            sets: AttributeSets::default(),
            dirty: Vec::new(),
            outputs: VecDeque::new(),
            messages: Vec::new(),
            facts: Vec::new(),
        };
        router.pin_configured();
        router
    }

    /// Its configuration.
    pub fn config(&self) -> &RouterConfig {
        &self.config
    }

    /// The session an incoming connection belongs to, if any.
    pub fn session_for(&self, local: IpAddr, remote: IpAddr) -> Option<SessionIndex> {
        self.peers
            .iter()
            .find(|p| p.spec.local == local && p.spec.peer == remote)
            .map(|p| p.index)
    }

    /// The RFC 4271 state of a session; `Idle` when there is no such session.
    pub fn state(&self, session: SessionIndex) -> State {
        self.peers
            .get(session.index())
            .map_or(State::Idle, |p| p.session.state())
    }

    /// The routes in use.
    pub fn loc_rib(&self) -> &LocRib {
        &self.loc_rib
    }

    /// Why a received route is not used, be it refused by policy or malformed (then it is not in Adj-RIB-In).
    pub fn refused(&self, session: SessionIndex, prefix: &IpNet) -> Option<&Reason> {
        self.peers.get(session.index())?.refused.get(prefix)
    }

    /// All routes of a session that are not used, with the reason of each; in no order.
    pub fn refusals(&self, session: SessionIndex) -> impl Iterator<Item = (IpNet, &Reason)> {
        let peer = self.peers.get(session.index());
        peer.into_iter().flat_map(|peer| peer.refused.iter())
    }

    /// The routes received on a session.
    pub fn adj_rib_in(&self, session: SessionIndex) -> Option<&AdjRibIn> {
        self.peers.get(session.index()).map(|p| &p.rib_in)
    }

    /// The routes announced on a session.
    pub fn adj_rib_out(&self, session: SessionIndex) -> Option<&AdjRibOut> {
        self.peers.get(session.index()).map(|p| &p.rib_out)
    }

    /// The next thing to do, in order; `None` when all is done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Deadline`] is due next.
    pub fn deadline(&self) -> Option<At> {
        self.peers.iter().filter_map(|p| p.session.deadline()).min()
    }

    /// Takes what happened at `now`. Outputs wait in [`Router::poll`]. An input for a session that does not exist is ignored.
    pub fn handle(&mut self, now: At, input: Input<'_>) {
        use session::Input as To;
        match input {
            Input::Start => self.all(now, |p| (!p.stopped).then_some(To::Start)),
            Input::Deadline => self.all(now, |p| {
                let due = p.session.deadline().is_some_and(|at| at <= now);
                due.then_some(To::Deadline)
            }),
            Input::StartSession { session } => {
                self.set_stopped(session, false);
                self.one(now, session, To::Start);
            }
            Input::Stop { session, reason } => {
                self.set_stopped(session, true);
                self.one(now, session, To::Stop { reason });
            }
            Input::Connected { session, conn } => self.one(now, session, To::Connected { conn }),
            Input::ConnectFailed { session, conn, why } => {
                self.one(now, session, To::ConnectFailed { conn, why });
            }
            Input::Bytes {
                session,
                conn,
                bytes,
            } => self.one(now, session, To::Bytes { conn, bytes }),
            Input::Written {
                session,
                conn,
                bytes,
            } => self.one(now, session, To::Written { conn, bytes }),
            Input::Closed { session, conn, why } => {
                self.one(now, session, To::Closed { conn, why });
            }
            Input::BfdUp { session } => self.one(now, session, To::BfdUp),
            Input::BfdDown {
                session,
                control_plane_independent,
            } => {
                let to = To::BfdDown {
                    control_plane_independent,
                };
                self.one(now, session, to);
            }
            Input::InterfaceUp { interface } => self.all(now, |p| {
                (p.spec.interface == interface).then_some(To::InterfaceUp)
            }),
            Input::InterfaceDown { interface } => self.all(now, |p| {
                (p.spec.interface == interface).then_some(To::InterfaceDown)
            }),
            Input::Announce(route) => {
                let set = self.sets.share(route.attributes.to_set());
                self.pin(route.prefix, &route.sessions, Some(Pin::Announced(set)));
            }
            Input::Withdraw { prefix, sessions } => {
                self.pin(prefix, &sessions, Some(Pin::Withdrawn));
            }
            Input::Unpin { prefix, sessions } => self.pin(prefix, &sessions, None),
            Input::Policy {
                session,
                import,
                export,
            } => self.set_policy(session, import, export),
            Input::RequestRefresh { session } => {
                for family in Family::ALL {
                    self.one(now, session, To::RequestRefresh { family });
                }
            }
            Input::Crash => self.crash(now),
        }
        self.converge();
    }

    fn one(&mut self, now: At, session: SessionIndex, input: session::Input<'_>) {
        if let Some(peer) = self.peers.get_mut(session.index()) {
            peer.session.handle(now, input);
            self.drain(session.index());
        }
    }

    fn all(&mut self, now: At, input: impl Fn(&Peer) -> Option<session::Input<'static>>) {
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            if let Some(input) = input(peer) {
                peer.session.handle(now, input);
                self.drain(index);
            }
        }
    }

    fn set_stopped(&mut self, session: SessionIndex, stopped: bool) {
        if let Some(peer) = self.peers.get_mut(session.index()) {
            peer.stopped = stopped;
        }
    }

    fn set_policy(
        &mut self,
        session: SessionIndex,
        import: Option<Arc<Policy>>,
        export: Option<Arc<Policy>>,
    ) {
        let Some(peer) = self.peers.get_mut(session.index()) else {
            return;
        };
        if let Some(export) = export {
            peer.spec.export = export;
            if peer.session.negotiated().is_some() {
                peer.queue_all(&self.loc_rib);
            }
        }
        if let Some(import) = import {
            peer.spec.import = import;
            self.import_anew(session.index());
        }
    }

    fn pin_configured(&mut self) {
        for route in self.config.originate.clone() {
            let set = self.sets.share(route.attributes.to_set());
            self.pin(route.prefix, &route.sessions, Some(Pin::Announced(set)));
        }
    }

    fn pin(&mut self, prefix: IpNet, sessions: &Sessions, pin: Option<Pin>) {
        for peer in &mut self.peers {
            if !sessions.contains(peer.index) {
                continue;
            }
            match &pin {
                Some(pin) => peer.pins.insert(prefix, pin.clone()),
                None => peer.pins.remove(&prefix),
            };
            if peer.session.state() == State::Established {
                peer.rib_out.queue(prefix);
            }
        }
    }

    fn crash(&mut self, now: At) {
        self.all(now, |_| Some(session::Input::Crash));
        self.dirty.clear();
        self.outputs.extend(self.loc_rib.drain().map(Output::Fib));
    }

    /// Decides anew what may have changed, tells the neighbours, and lines the outputs up.
    fn converge(&mut self) {
        let (asn, multipath) = (self.config.asn, self.config.multipath);
        for prefix in std::mem::take(&mut self.dirty) {
            let decided = self.loc_rib.decide(prefix, &self.peers, multipath);
            self.outputs.extend(decided.fib.map(Output::Fib));
            if decided.advertise {
                for peer in &mut self.peers {
                    if peer.session.negotiated().is_some() {
                        peer.rib_out.queue(prefix);
                    }
                }
            }
        }
        for index in 0..self.peers.len() {
            let peer = &mut self.peers[index];
            if export::flush(peer, &self.internal, asn, &self.loc_rib, &mut self.sets) {
                self.drain(index);
            }
        }
        for index in 0..self.peers.len() {
            self.count(index);
        }
        self.outputs.extend(self.messages.drain(..));
        self.outputs.extend(self.facts.drain(..).map(Output::Fact));
    }

    /// Records the numbers of routes of a session, if they are others than last time.
    fn count(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let counts = peer.counts();
        if counts == peer.counted {
            return;
        }
        peer.counted = counts;
        self.facts.push(Fact::RouteCount {
            router: self.config.name.clone(),
            session: peer.spec.name.clone(),
            received: counts.0,
            advertised: counts.1,
        });
    }

    /// Works off what a session wants.
    fn drain(&mut self, index: usize) {
        use session::Output as Of;
        let session = self.peers[index].index;
        while let Some(output) = self.peers[index].session.poll() {
            let spec = &self.peers[index].spec;
            match output {
                Of::Connect { conn } => self.messages.push(Output::Connect {
                    session,
                    conn,
                    local: spec.local,
                    remote: spec.peer,
                }),
                Of::Write { conn, bytes } => self.messages.push(Output::Write {
                    session,
                    conn,
                    bytes,
                }),
                Of::Close { conn, abort } => self.messages.push(Output::Close {
                    session,
                    conn,
                    abort,
                }),
                Of::StateChanged { to, why, .. } => self.facts.push(Fact::Bgp {
                    router: self.config.name.clone(),
                    session: spec.name.clone(),
                    state: to.to_string(),
                    why,
                }),
                Of::Established(negotiated) => {
                    self.peers[index].peer_id = negotiated.peer_id;
                    self.advertise_all(index);
                }
                Of::Update(update) => self.update(index, *update),
                Of::RefreshRequested { .. } => self.peers[index].rib_out.resend(),
                // Gap: nothing is kept as stale.
                Of::Down { why, .. } => self.void(index, &why),
                Of::RefreshMarked { .. } | Of::RestartOver { .. } => {}
            }
        }
    }

    /// The initial table for a neighbour, and the marker behind it.
    fn advertise_all(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        peer.rib_out.clear();
        peer.queue_all(&self.loc_rib);
        peer.rib_out.owe_end_of_rib();
    }

    /// A session is lost: the kernel leaves its next hops at once, then each prefix is decided anew.
    fn void(&mut self, index: usize, why: &str) {
        let peer = &mut self.peers[index];
        peer.rib_out.clear();
        for (prefix, _) in peer.refused.drain() {
            if self.peers[index].rib_in.get(&prefix).is_none() {
                self.record_withdrawn(index, prefix, why);
            }
        }
        let peer = &self.peers[index];
        if peer.rib_in.is_empty() {
            return;
        }
        let session = peer.index;
        self.outputs
            .push_back(Output::Fib(Fib::NextHopDown { session }));
        for prefix in self.peers[index].rib_in.drain() {
            self.dirty.push(prefix);
            self.record_withdrawn(index, prefix, why);
        }
    }
}

#[cfg(test)]
mod tests;
