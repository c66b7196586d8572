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
mod faulty;
mod import;
mod io;
mod limits;
mod look;
mod loss;
mod monitored;
mod otc;
mod peer;
mod reach;
mod restart;
mod secret;
mod table;
mod telling;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;

pub use config::{
    MaximumPrefixes, NextHopSelf, Originated, OriginatedAttributes, RouterConfig, RouterOptions,
    Scope, SessionIndex, SessionSpec, Sessions,
};
pub use export::{BY_HAND, UNWRITABLE, Withheld};
pub use faulty::Malformed;
pub use import::{OWN_CLUSTER, OWN_ORIGINATOR_ID, TOO_MANY_PATHS};
pub use io::{Conn, Direction, Fib, Input, NextHop, Output};
pub use monitored::{Monitored, Observed};
pub use secret::{Secret, SecretError};
pub use table::{AdjRibIn, Advertised, Explained, LocRib, Outcome, Received, Selected};

use crate::bgp::attributes::AttributeSets;
use crate::bgp::decision::Multipath;
use crate::bgp::family::{Families, Family};
use crate::bgp::notification::Notification;
use crate::bgp::policy::{Policy, Reason};
use crate::bgp::rib::numbers::Number;
use crate::bgp::session::{self, State};
use crate::record::{Fact, Refused};
use crate::time::At;
use export::{Ground, Relation};
use peer::{Peer, Pin};
use restart::Deferral;
use table::{SetId, Source, Table};

/// One simulated router.
#[derive(Debug)]
pub struct Router {
    config: RouterConfig,
    peers: Vec<Peer>,
    relations: Vec<Relation>,
    table: Table,
    sets: AttributeSets,
    /// Its BGP is gone for a while, and the kernel forwards as before.
    halted: bool,
    /// No routes are chosen yet after a restart.
    deferral: Option<Deferral>,
    /// The moment of the present input.
    now: At,
    /// A session was ended for what it brought, and has not been drained.
    ended: bool,
    outputs: VecDeque<Output>,
    /// Of the present input: kernel routes go out before messages, facts last.
    messages: Vec<Output>,
    facts: Vec<Fact>,
    /// Of the monitored sessions, in the order in which it happened.
    monitored: Vec<Output>,
}

impl Router {
    /// A router that is off; [`Input::Start`] boots it. `seed` decides its timer jitter.
    pub fn new(config: RouterConfig, seed: u64) -> Router {
        let peers: Vec<Peer> = (0..=u16::MAX)
            .zip(&config.sessions)
            .map(|(i, spec)| Peer::new(SessionIndex(i), spec.clone(), &config, seed))
            .collect();
        let mut table = Table::default();
        table.sources = peers.iter().map(Source::of).collect();
        let mut router = Router {
            relations: peers.iter().map(Peer::relation).collect(),
            peers,
            config,
            table,
            sets: AttributeSets::default(),
            halted: false,
            deferral: None,
            now: At::ZERO,
            ended: false,
            outputs: VecDeque::new(),
            messages: Vec::new(),
            facts: Vec::new(),
            monitored: Vec::new(),
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

    /// How a session is: its timers, counters, last NOTIFICATIONs, and what was negotiated.
    pub fn session_status(&self, session: SessionIndex) -> Option<session::Status<'_>> {
        Some(self.peers.get(session.index())?.session.status())
    }

    /// The routes in use.
    pub fn loc_rib(&self) -> LocRib<'_> {
        LocRib { table: &self.table }
    }

    /// Why a received route is not used: it is refused by policy, its next hop cannot be reached, or it is malformed (then it
    /// is not in Adj-RIB-In).
    pub fn refused(&self, session: SessionIndex, prefix: &IpNet) -> Option<&Reason> {
        self.adj_rib_in(session)?.refused(prefix)
    }

    /// The routes received on a session.
    pub fn adj_rib_in(&self, session: SessionIndex) -> Option<AdjRibIn<'_>> {
        let table = &self.table;
        let exists = session.index() < self.peers.len();
        exists.then_some(AdjRibIn { table, session })
    }

    /// The routes announced on a session.
    pub fn adj_rib_out(&self, session: SessionIndex) -> Option<Advertised<'_>> {
        let peer = self.peers.get(session.index())?;
        Some(Advertised {
            numbers: &self.table.numbers,
            out: &peer.rib_out,
        })
    }

    /// The next thing to do, in order; `None` when all is done.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Deadline`] is due next.
    pub fn deadline(&self) -> Option<At> {
        let sessions = self.peers.iter().filter_map(|p| p.session.deadline());
        let peers = self.peers.iter().filter_map(Peer::deadline);
        let deferral = self.deferral.iter().map(|deferral| deferral.until);
        sessions.chain(peers).chain(deferral).min()
    }

    /// The sessions that end by a timer at `now` unless a message of the neighbour has come: what waits in their sockets
    /// is to be told before [`Input::Deadline`].
    pub fn overdue(&self, now: At) -> impl Iterator<Item = SessionIndex> {
        let overdue = self.peers.iter().filter(move |p| p.session.is_overdue(now));
        overdue.map(|peer| peer.index)
    }

    /// Takes what happened at `now`. Outputs wait in [`Router::poll`]. An input for a session that does not exist is ignored.
    pub fn handle(&mut self, now: At, input: Input<'_>) {
        use session::Input as To;
        self.now = now;
        match input {
            Input::Start => {
                self.halted = false;
                self.all(now, |p| (!p.stopped).then_some(To::Start));
            }
            Input::Deadline => {
                self.all(now, |p| {
                    let due = p.session.deadline().is_some_and(|at| at <= now);
                    due.then_some(To::Deadline)
                });
                self.stop_drained(now);
                self.sweep_overdue(now);
            }
            Input::StartSession { session } => {
                self.set_stopped(session, false);
                self.undrain_session(session.index());
                self.one(now, session, To::Start);
            }
            Input::Stop { session, reason } => {
                self.set_stopped(session, true);
                self.one(now, session, To::Stop { reason });
            }
            Input::LinkLocal { session, address } => {
                if let Some(peer) = self.peers.get_mut(session.index()) {
                    peer.link_local = Some(address);
                }
            }
            Input::Reset { session, reason } => {
                let reset = To::AutomaticStop {
                    notification: Notification::reset(reason),
                    restart_after: Some(Duration::ZERO),
                };
                self.one(now, session, reset);
            }
            Input::Connected { session, conn } => self.one(now, session, To::Connected { conn }),
            Input::ConnectFailed { session, conn, why } => {
                self.one(now, session, To::ConnectFailed { conn, why });
            }
            Input::Bytes {
                session,
                conn,
                bytes,
            } => {
                self.monitor(session.index(), || Observed::Received {
                    conn,
                    bytes: Bytes::copy_from_slice(bytes),
                });
                self.one(now, session, To::Bytes { conn, bytes });
            }
            Input::Written {
                session,
                conn,
                bytes,
            } => self.one(now, session, To::Written { conn, bytes }),
            Input::Closed { session, conn, why } => {
                let by_peer = true;
                self.monitor(session.index(), || Observed::Closed { conn, by_peer });
                self.one(now, session, To::Closed { conn, why });
            }
            Input::BfdUp { session } => self.one(now, session, To::BfdUp),
            Input::BfdAdminDown { session } => self.one(now, session, To::BfdAdminDown),
            Input::BfdDown {
                session,
                control_plane_independent,
            } => {
                let to = To::BfdDown {
                    control_plane_independent,
                };
                self.one(now, session, to);
            }
            Input::InterfaceUp { interface } => {
                self.all(now, |p| {
                    (p.spec.interface == interface).then_some(To::InterfaceUp)
                });
                self.link(interface, true);
            }
            Input::InterfaceDown { interface } => {
                self.all(now, |p| {
                    (p.spec.interface == interface).then_some(To::InterfaceDown)
                });
                self.link(interface, false);
            }
            Input::Announce(route) => self.originate(&route),
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
            Input::GracefulShutdown {
                session,
                after,
                reason,
            } => self.drain_session(session.index(), now + after, reason),
            Input::Halt { forwarding } => self.halt(now, forwarding),
            Input::Restart { preserved } => self.restart(now, preserved),
            Input::Crash => self.crash(now),
        }
        self.converge(now);
    }

    /// The cluster of this reflector (RFC 4456, section 7).
    fn cluster_id(&self) -> Ipv4Addr {
        let given = self.config.options.cluster_id;
        given.unwrap_or(self.config.router_id)
    }

    fn multipath(&self) -> Multipath {
        Multipath {
            limit: self.config.multipath,
            relax: self.config.options.multipath_relax,
        }
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
            if peer.up {
                peer.queue_all(&self.table);
            }
        }
        if let Some(import) = import {
            peer.spec.import = import;
            self.import_anew(session.index());
        }
    }

    fn pin_configured(&mut self) {
        for route in self.config.originate.clone() {
            self.originate(&route);
        }
    }

    fn originate(&mut self, route: &Originated) {
        let set = self.sets.share(route.attributes.to_set());
        self.pin(route.prefix, &route.sessions, Some(Pin::Announced(set)));
        if let Some(malformation) = route.attributes.malformed {
            let number = self.table.numbers.number(route.prefix);
            let meant = |peer: &&mut Peer| route.sessions.contains(peer.index);
            for peer in self.peers.iter_mut().filter(meant) {
                peer.malform(number, malformation);
            }
        }
    }

    fn pin(&mut self, prefix: IpNet, sessions: &Sessions, pin: Option<Pin>) {
        let number = self.table.numbers.number(prefix);
        for peer in &mut self.peers {
            if !sessions.contains(peer.index) {
                continue;
            }
            peer.malformed.retain(|(of, _)| *of != number);
            match &pin {
                Some(pin) => *peer.pins.place(number) = Some(pin.clone()),
                None => drop(peer.pins.take(number)),
            };
            if peer.up {
                peer.rib_out.queue(number);
            }
        }
    }

    fn crash(&mut self, now: At) {
        self.forget_kept();
        self.all(now, |_| Some(session::Input::Crash));
        for number in self.table.clear() {
            let prefix = self.table.numbers.prefix(number);
            self.outputs.push_back(Output::Fib(Fib::Remove { prefix }));
        }
    }

    /// Decides anew for a prefix; `was_best` when its best path was changed or taken.
    fn decide(&mut self, number: Number, was_best: bool) {
        if self.deferral.is_some() {
            return;
        }
        let decided = self.table.decide(number, was_best, self.multipath());
        if let Some((_, set)) = decided.moved {
            self.outputs.push_back(Output::Fib(self.fib(number, set)));
        }
        self.offer(number, decided.advertise);
    }

    /// A prefix changed: `best` when it has another best path. Whoever is told several paths wants to know of any.
    fn offer(&mut self, number: Number, best: bool) {
        for peer in &mut self.peers {
            if best || peer.rib_out.several().contains(number.family()) {
                peer.offer(number, &self.table);
            }
        }
    }

    /// The kernel's route for a prefix.
    fn fib(&self, number: Number, set: SetId) -> Fib {
        let prefix = self.table.numbers.prefix(number);
        match self.table.hops.of(set) {
            Some(next_hops) => Fib::Replace {
                prefix,
                next_hops: next_hops.clone(),
            },
            None => Fib::Remove { prefix },
        }
    }

    /// Tells the neighbours what changed, and lines the outputs up.
    fn converge(&mut self, now: At) {
        self.select_when_due(now);
        self.limit_memory();
        if std::mem::take(&mut self.ended) {
            (0..self.peers.len()).for_each(|index| self.drain(index));
        }
        if self.deferral.is_none() {
            for index in 0..self.peers.len() {
                self.flush(now, index);
            }
        }
        for index in 0..self.peers.len() {
            self.count(index);
        }
        self.outputs.extend(self.messages.drain(..));
        let facts = self.facts.drain(..).map(Box::new);
        self.outputs.extend(facts.map(Output::Fact));
        self.outputs.extend(self.monitored.drain(..));
        if self.table.numbers.is_sweep_due() {
            self.sweep_numbers();
        }
    }

    /// Writes what a neighbour must be told, as far as there is room.
    fn flush(&mut self, now: At, index: usize) {
        let mut wrote = false;
        loop {
            let ground = Ground {
                table: &self.table,
                relations: &self.relations,
                asn: self.config.asn,
                cluster_id: self.cluster_id(),
            };
            wrote |= export::flush(&mut self.peers[index], ground, &mut self.sets, now);
            wrote |= self.mark_refreshed(now, index);
            if !self.begin_refreshes(now, index) {
                break;
            }
        }
        if wrote {
            self.drain(index);
        }
    }

    /// Records the numbers of routes of a session, if they are others than last time.
    fn count(&mut self, index: usize) {
        self.tell_left_out(index);
        let peer = &mut self.peers[index];
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let source = self.table.sources.get(index);
        let received = source.map_or(0, Source::all_received);
        let counts = (received, count(peer.rib_out.len()));
        let holds = source.is_some_and(|source| source.holds(Families::ALL));
        if counts == peer.counted && (holds || !peer.telling.is_partial()) {
            return;
        }
        peer.counted = counts;
        if received == 0 {
            peer.telling.begin_anew();
        }
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
            self.monitor_output(index, &output);
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
                Of::Refused { why, count } => self.facts.push(Fact::ConnectionRefused(Refused {
                    router: self.config.name.clone(),
                    session: spec.name.clone(),
                    count,
                    why,
                })),
                Of::Established(negotiated) => self.established(index, &negotiated),
                Of::Update(update) => self.update(index, *update),
                Of::RefreshRequested { family, demarcated } => {
                    self.refresh(self.now, index, family, demarcated);
                }
                Of::RefreshMarked { family, mark } => self.refresh_marked(index, family, mark),
                Of::Down { why, graceful } => self.down(index, &why, graceful),
                Of::RestartOver { why } => self.restart_over(index, &why),
            }
        }
    }

    /// The initial table for a neighbour, and the marker behind it.
    fn advertise_all(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        peer.queue_all(&self.table);
        peer.rib_out.owe_end_of_rib();
    }
}

#[cfg(test)]
pub(crate) mod tests;
