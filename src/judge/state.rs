//! The state of a lab as far as facts have told it: a fold over entries.
//!
//! Where nothing was told yet, everything is down, absent and unknown.
//!
//! **Invariant:** [`State::apply`] is total and depends on nothing but the facts applied before.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::detection::Detections;
use super::microsoft::Microsoft;
use crate::bgp::family::Family;
use crate::measure;
use crate::record::{
    BfdChange, BfdDiscarded, BfdHeard, BfdRhythm, Fact, LacpEarlyData, LacpHeard, LacpRhythm,
    LacpSeen, Nanos,
};
use crate::time::At;
use crate::topology::{Connection, LagBackend};

/// A router and a connection or neighbour.
type Key = (String, String);

/// What is known of a lab at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    sessions: BTreeMap<Key, Session>,
    bfd: BTreeMap<Key, BfdView>,
    lags: BTreeMap<Key, bool>,
    members: BTreeMap<(String, String, u8), MemberView>,
    /// Since when there is light.
    lights: BTreeMap<(String, String, u8), Option<At>>,
    in_service: BTreeMap<String, Vec<u8>>,
    /// Ends of LAGs that could be the kernel's or ours: whether they are the kernel's.
    bonds: BTreeMap<Key, bool>,
    kernel: BTreeMap<(String, IpNet), Vec<String>>,
    probes: BTreeMap<(String, String), ProbeView>,
    devices: BTreeMap<String, String>,
    broken: BTreeSet<String>,
    detections: Detections,
    microsoft: Microsoft,
}

/// A BGP session as its router sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Session {
    /// RFC 4271 state; empty when nothing was told.
    pub state: String,
    /// Why it left its last state.
    pub why: String,
    /// Since when.
    pub since: At,
    /// End-of-RIB was received.
    pub end_of_rib: bool,
    /// Routes received, if a count was told.
    pub received: Option<u32>,
    /// Routes advertised, if a count was told.
    pub advertised: Option<u32>,
    /// So many routes came that it was told, and how many may; until the session is up again.
    pub told: Option<(u32, u32)>,
    /// Facts of its routes were left out of the record: what it has is not known.
    pub left_out: bool,
    /// Routes have outlived the session, or were not all sent again.
    pub stale: bool,
    /// Since the step began, all routes were sent again between marks.
    pub refreshed: bool,
    /// Prefixes received (Microsoft's side only).
    pub prefixes: BTreeSet<IpNet>,
}

/// A BFD session as its router sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BfdView {
    /// `up`, `down`, `init`, `admin-down`; empty when nothing was told.
    pub state: String,
    /// Local diagnostic.
    pub diagnostic: String,
    /// It was up at least once.
    pub was_up: bool,
    /// What the other end said last.
    pub heard: Option<BfdHeard>,
    /// How its packets came lately.
    pub rhythm: Option<BfdRhythm>,
    /// It answered a Poll since the step began.
    pub answered: bool,
    /// A packet of the other end that was discarded, if any was since the state changed or one was taken that said something new.
    pub discarded: Option<BfdDiscarded>,
}

impl BfdView {
    fn changed(&mut self, bfd: &BfdChange<'_>) {
        bfd.state.clone_into(&mut self.state);
        bfd.diagnostic.clone_into(&mut self.diagnostic);
        self.was_up |= bfd.state == "up";
        self.discarded = None;
    }
}

/// A LAG member as its router sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemberView {
    /// Receive machine state.
    pub receive: String,
    /// Collecting and distributing.
    pub working: bool,
    /// The partner, empty when unknown.
    pub partner: String,
    /// What the partner says; none while it is not heard.
    pub heard: Option<LacpHeard>,
    /// How its LACPDUs came lately.
    pub rhythm: Option<LacpRhythm>,
    /// What became of a marker, since the step began.
    pub marker: Marker,
    /// How long after light the partner was in sync.
    pub in_sync: Option<Nanos>,
    /// The partner said early that it distributes, since the step began; in the first step, since the lab began.
    pub early: bool,
    /// Data that it sent early since then.
    pub early_data: Option<LacpEarlyData>,
}

/// What became of the marker that was sent last to the partner of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Marker {
    /// None was asked for.
    #[default]
    Unasked,
    /// It could not be sent, and why.
    Unsent(String),
    /// There is no answer so far.
    Unanswered,
    /// It was answered.
    Answered,
}

/// Probe traffic of one direction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProbeView {
    /// It is being sent.
    pub running: bool,
    /// Interval between packets.
    pub every: Nanos,
    /// Flows sent in turn.
    pub flows: u16,
    /// The way each flow's delivered packets go.
    pub via: BTreeMap<u16, String>,
    /// The same to the member, for example `ams-1/2`.
    pub places: BTreeMap<u16, String>,
}

impl Session {
    /// RFC 4271's Established.
    pub fn established(&self) -> bool {
        self.state == "Established"
    }
}

impl State {
    /// Takes in one fact.
    pub fn apply(&mut self, at: At, fact: &Fact) {
        self.microsoft.apply(at, fact);
        self.detections.apply(at, fact);
        self.apply_link(at, fact);
        self.apply_session(at, fact);
        self.apply_probe(fact);
        match fact {
            Fact::KernelRoute {
                router,
                prefix,
                via,
            } => {
                self.kernel.insert((router.clone(), *prefix), via.clone());
            }
            Fact::Device {
                router,
                event,
                text,
            } if event != "said" => {
                self.devices
                    .insert(router.clone(), format!("{event}: {text}"));
            }
            Fact::FaultHappened {
                connections,
                repaired,
                ..
            } => {
                for connection in connections {
                    match repaired {
                        true => self.broken.remove(connection),
                        false => self.broken.insert(connection.clone()),
                    };
                }
            }
            _ => {}
        }
    }

    /// Light, LACP and BFD.
    fn apply_link(&mut self, at: At, fact: &Fact) {
        if let Some(bfd) = fact.bfd_change() {
            let view = self.bfd.entry(key(bfd.router, &bfd.session)).or_default();
            view.changed(&bfd);
        }
        match fact {
            Fact::Lag {
                router,
                connection,
                up,
                ..
            } => {
                self.lags.insert(key(router, connection), *up);
            }
            Fact::Light {
                router,
                connection,
                member,
                up,
            } => {
                let key = (router.clone(), connection.clone(), *member);
                if let Some(view) = self.members.get_mut(&key) {
                    view.in_sync = None;
                }
                self.lights.insert(key, up.then_some(at));
            }
            Fact::Member {
                router,
                connection,
                member,
                receive,
                collecting,
                distributing,
                partner,
            } => {
                let view = self.member_mut(router, connection, *member);
                view.receive.clone_from(receive);
                view.working = *collecting && *distributing;
                view.partner.clone_from(partner);
                if matches!(receive.as_str(), "DEFAULTED" | "PORT_DISABLED") {
                    view.heard = None;
                }
            }
            Fact::LacpPartner {
                router,
                connection,
                member,
                seen,
            } => {
                let key = (router.clone(), connection.clone(), *member);
                let lit = self.lights.get(&key).copied().flatten();
                let view = self.members.entry(key).or_default();
                match seen {
                    LacpSeen::Says(heard) => {
                        view.early |= heard.early == Some(true);
                        if view.in_sync.is_none() && heard.says("in-sync") {
                            view.in_sync = lit.map(|lit| at.since(lit).into());
                        }
                        view.heard = Some(heard.clone());
                    }
                    LacpSeen::Rhythm(rhythm) => view.rhythm = Some(*rhythm),
                    LacpSeen::MarkerSent => view.marker = Marker::Unanswered,
                    // A step sends one marker. An answer that comes without is to one of an earlier step.
                    LacpSeen::MarkerAnswered(_) if view.marker == Marker::Unanswered => {
                        view.marker = Marker::Answered;
                    }
                    LacpSeen::MarkerAnswered(_) | LacpSeen::EarlierMarkerAnswered(_) => {}
                    LacpSeen::NoMarker(why) => view.marker = Marker::Unsent(why.clone()),
                    // Without frames it only tells how early those of before were, which may belong to an earlier step.
                    LacpSeen::EarlyData(seen) => match &mut view.early_data {
                        Some(data) => {
                            data.frames = data.frames.saturating_add(seen.frames);
                            data.before = data.before.max(seen.before);
                            data.unheard |= seen.unheard;
                        }
                        None if seen.frames > 0 => view.early_data = Some(seen.clone()),
                        None => {}
                    },
                }
            }
            Fact::InService(now) => {
                self.in_service
                    .insert(now.connection.clone(), now.members.clone());
            }
            Fact::AutoBackend(taken) => {
                let key = key(&taken.router, &taken.connection);
                self.bonds.insert(key, taken.kernel);
            }
            Fact::BfdHeard {
                router,
                connection,
                heard,
            } => {
                let view = self.bfd.entry(key(router, connection)).or_default();
                view.heard = Some(heard.clone());
                view.discarded = None;
            }
            Fact::BfdDiscarded(packet) => {
                let key = key(&packet.router, &packet.connection);
                let view = self.bfd.entry(key).or_default();
                view.discarded = Some(packet.clone());
            }
            Fact::BfdRhythm {
                router,
                connection,
                rhythm,
            } => {
                let view = self.bfd.entry(key(router, connection)).or_default();
                view.rhythm = Some(*rhythm);
            }
            Fact::BfdAnswered {
                router, connection, ..
            } => {
                let view = self.bfd.entry(key(router, connection)).or_default();
                view.answered = true;
            }
            Fact::StepStarted { step } => {
                for view in self.bfd.values_mut() {
                    view.answered = false;
                }
                for view in self.members.values_mut() {
                    view.marker = Marker::Unasked;
                    // What happened before the first step belongs to it.
                    let early = view.heard.as_ref().and_then(|heard| heard.early);
                    view.early &= *step == 0 || early == Some(true);
                    view.early_data = view.early_data.take().filter(|_| *step == 0);
                }
            }
            _ => {}
        }
    }

    /// BGP sessions and their routes.
    fn apply_session(&mut self, at: At, fact: &Fact) {
        match fact {
            Fact::Bgp {
                router,
                session,
                state,
                why,
            } => {
                let view = self.session_mut(router, session);
                view.state.clone_from(state);
                view.why.clone_from(why);
                view.since = at;
                match view.established() {
                    true => view.told = None,
                    false => view.end_of_rib = false,
                }
            }
            Fact::StepStarted { .. } => {
                let sessions = self.sessions.values_mut();
                sessions.for_each(|session| session.refreshed = false);
            }
            Fact::RouteRefresh {
                router,
                session,
                mark,
            } => self.session_mut(router, session).refreshed = mark == "end",
            Fact::StaleRoutes {
                router,
                session,
                routes,
                ..
            } => self.session_mut(router, session).stale = *routes > 0,
            Fact::EndOfRib { router, session } => {
                self.session_mut(router, session).end_of_rib = true;
            }
            Fact::RouteCount {
                router,
                session,
                received,
                advertised,
            } => {
                let view = self.session_mut(router, session);
                view.received = Some(*received);
                view.advertised = Some(*advertised);
                if *received == 0 {
                    view.left_out = false;
                    view.prefixes.clear();
                }
            }
            Fact::RoutesLeftOut {
                router, session, ..
            } => self.session_mut(router, session).left_out = true,
            Fact::MaximumPrefixes {
                router,
                session,
                received,
                limit,
            } => self.session_mut(router, session).told = Some((*received, *limit)),
            Fact::RouteReceived {
                router,
                session,
                prefix,
                ..
            } => {
                self.session_mut(router, session).prefixes.insert(*prefix);
            }
            Fact::RouteWithdrawn {
                router,
                session,
                prefix,
                ..
            } => {
                self.session_mut(router, session).prefixes.remove(prefix);
            }
            _ => {}
        }
    }

    /// Probe traffic.
    fn apply_probe(&mut self, fact: &Fact) {
        match fact {
            Fact::ProbeStarted {
                from,
                to,
                every,
                flows,
            } => {
                let view = ProbeView {
                    running: true,
                    every: *every,
                    flows: *flows,
                    ..ProbeView::default()
                };
                self.probes.insert(key(from, to), view);
            }
            Fact::ProbeStopped { from, to } => {
                self.probes.entry(key(from, to)).or_default().running = false;
            }
            Fact::ProbeVia {
                from,
                to,
                flow,
                via,
                member,
            } => {
                let view = self.probes.entry(key(from, to)).or_default();
                view.via.insert(*flow, via.clone());
                view.places.insert(*flow, measure::place(via, *member));
            }
            _ => {}
        }
    }

    /// Which layers noticed a failure since the step began.
    pub fn detections(&self) -> &Detections {
        &self.detections
    }

    /// What the Microsoft side has concluded.
    pub fn microsoft(&self) -> &Microsoft {
        &self.microsoft
    }

    /// Whether something on this connection was broken on purpose, and nothing there was repaired since.
    pub fn broken(&self, connection: &str) -> bool {
        self.broken.contains(connection)
    }

    /// The BGP session of a router with a connection or neighbour, if anything was told of it.
    pub fn session(&self, router: &str, session: &str) -> Option<&Session> {
        self.sessions.get(&key(router, session))
    }

    /// Sessions of which facts of routes were left out, as (router, session).
    pub fn left_out(&self) -> impl Iterator<Item = (&str, &str)> {
        let sessions = self.sessions.iter().filter(|(_, session)| session.left_out);
        sessions.map(|((router, session), _)| (router.as_str(), session.as_str()))
    }

    /// The BFD session of a router on a connection, if anything was told of it.
    pub fn bfd(&self, router: &str, connection: &str) -> Option<&BfdView> {
        self.bfd.get(&key(router, connection))
    }

    /// Carrier of a LAG at a router.
    pub fn lag_up(&self, router: &str, connection: &str) -> bool {
        self.lags.get(&key(router, connection)) == Some(&true)
    }

    /// A LAG member at a router, if anything was told of it.
    pub fn member(&self, router: &str, connection: &str, member: u8) -> Option<&MemberView> {
        self.members
            .get(&(router.to_owned(), connection.to_owned(), member))
    }

    /// The members that are in a connection's LAG, `declared` being so many as its topology has.
    pub fn members_in_service(&self, connection: &str, declared: usize) -> Vec<u8> {
        let told = self.in_service.get(connection).cloned();
        told.unwrap_or_else(|| (1..).take(declared).collect())
    }

    /// Whether the peer's end of a connection's LAG is the kernel's bond; where it could be either, as was told.
    pub fn peer_is_bond(&self, c: &Connection) -> bool {
        self.is_bond(c.backends.peer, &c.router, c)
    }

    /// The same of Microsoft's end.
    pub fn edge_is_bond(&self, c: &Connection) -> bool {
        self.is_bond(c.backends.microsoft, &c.edge, c)
    }

    fn is_bond(&self, backend: LagBackend, router: &str, c: &Connection) -> bool {
        match backend {
            LagBackend::Ours => false,
            LagBackend::Kernel => true,
            LagBackend::Auto => self.bonds.get(&key(router, &c.name)) == Some(&true),
        }
    }

    /// Light of a member at a router, if anything was told of it.
    pub fn light(&self, router: &str, connection: &str, member: u8) -> Option<bool> {
        self.lights
            .get(&(router.to_owned(), connection.to_owned(), member))
            .map(Option::is_some)
    }

    /// The interfaces of each watched kernel route of a router.
    pub fn kernel_routes(&self, router: &str, family: Family) -> impl Iterator<Item = &[String]> {
        let routes = self.kernel.iter();
        let own = routes.filter(move |((of, net), _)| of == router && Family::of(net) == family);
        own.map(|(_, via)| via.as_slice())
    }

    /// Interfaces of the next hops of a router's kernel route; empty when there is none.
    pub fn kernel_route(&self, router: &str, prefix: impl Into<IpNet>) -> &[String] {
        self.kernel
            .get(&(router.to_owned(), prefix.into()))
            .map_or(&[], Vec::as_slice)
    }

    /// Probe traffic of one direction, if any was sent.
    pub fn probe(&self, from: &str, to: &str) -> Option<&ProbeView> {
        self.probes.get(&key(from, to))
    }

    /// All directions of probe traffic that were ever sent, as (from, to).
    pub fn probes(&self) -> impl Iterator<Item = (&str, &str, &ProbeView)> {
        self.probes
            .iter()
            .map(|((from, to), view)| (from.as_str(), to.as_str(), view))
    }

    /// What was last told of the device that plays a router, if it said anything but `said`.
    pub fn device(&self, router: &str) -> Option<&str> {
        self.devices.get(router).map(String::as_str)
    }

    fn member_mut(&mut self, router: &str, connection: &str, member: u8) -> &mut MemberView {
        let key = (router.to_owned(), connection.to_owned(), member);
        self.members.entry(key).or_default()
    }

    fn session_mut(&mut self, router: &str, session: &str) -> &mut Session {
        self.sessions.entry(key(router, session)).or_default()
    }
}

fn key(router: &str, other: &str) -> Key {
    (router.to_owned(), other.to_owned())
}
