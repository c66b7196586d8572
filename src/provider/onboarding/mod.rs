//! Onboarding: from an AS number nobody knows to connections that exchange routes.
//!
//! ```text
//! peer ASN Approved ─ request ─► PendingApproval ─ approve ─► ProvisioningStarted ─ cable ─► the port has light
//!   ─ LACP ─► addresses allocated, BGP and BFD configured ─ BFD, BGP up under deny-all ─► ProvisioningCompleted
//!   ─► Validating ─ validate ─► Active
//! ```
//!
//! People ask ([`Onboarding::request`]) and edges observe ([`Onboarding::observed`]); nothing waits for a time. What is
//! lost before `Active` is waited for again; what is `Active` stays so when its BGP session goes down, and
//! `sessionStateV4` tells. Facts c.1 to c.5, in the order that c.2 gives for voice. A peering is a metro.
//!
//! Reading order: `state.rs` (the tables), `connection.rs` (one connection), `peering.rs` (several), `gates.rs` (what a
//! request must meet), `refusal.rs` and `mail.rs` (what the peer is told).
//!
//! **Invariant:** a connection becomes active only while its LAG, BFD and BGP are observed to be up; never are two
//! connections of a peering converted at once.

mod connection;
mod gates;
mod mail;
mod peering;
mod refusal;
pub mod state;

use std::collections::VecDeque;

use super::observed::{Change, Observed};
use super::prefixes::Standing;
use super::request::{AsnAction, ConnectionAction, PeeringAction, PeeringRequest, Request};
use crate::record::Fact;
use crate::topology::{Profile, Topology};
use connection::Connection;
use mail::Mail;
use peering::Peering;
use refusal::Refusal;
use state::{AsnInput, ConnectionState, Input, ProvisioningState, SessionState, ValidationState};

/// What Microsoft knows of the peer's AS number, peerings and connections.
#[derive(Debug, Clone)]
pub struct Onboarding {
    asn: Asn,
    /// In the topology's order.
    peerings: Vec<Peering>,
    /// In the topology's order.
    connections: Vec<Connection>,
    /// Primary and backup metro of each Peering Service.
    services: Vec<(String, Option<String>)>,
    profile: Profile,
    out: VecDeque<Output>,
}

/// The peer ASN.
#[derive(Debug, Clone)]
struct Asn {
    number: u32,
    state: ValidationState,
    /// Microsoft approves as soon as it is registered.
    unattended: bool,
}

/// What the lab must do or record.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// For the record.
    Fact(Fact),
    /// Microsoft's port of a connection has light, or none.
    Port {
        /// Connection.
        connection: String,
        /// Light.
        lit: bool,
    },
    /// Microsoft's router runs BGP and BFD on a connection, or does not.
    Session {
        /// Connection.
        connection: String,
        /// Whether.
        run: bool,
    },
}

impl Onboarding {
    /// Nothing exists: all ports are dark and no session runs.
    pub fn new(topology: &Topology) -> Onboarding {
        let connections = topology.connections.iter().map(Connection::new);
        Onboarding::starting(topology, ValidationState::None, connections.collect())
    }

    /// Everything has been active for long: all ports are lit and all sessions run.
    pub fn onboarded(topology: &Topology) -> Onboarding {
        let connections = topology.connections.iter().map(Connection::onboarded);
        Onboarding::starting(topology, ValidationState::Approved, connections.collect())
    }

    fn starting(
        topology: &Topology,
        asn: ValidationState,
        connections: Vec<Connection>,
    ) -> Onboarding {
        let mut onboarding = Onboarding {
            asn: Asn {
                number: topology.peer.asn,
                state: asn,
                unattended: false,
            },
            peerings: peering::of(topology, &connections),
            connections,
            profile: topology.profile.clone(),
            services: topology
                .services
                .iter()
                .map(|service| (service.primary.clone(), service.backup.clone()))
                .collect(),
            out: VecDeque::new(),
        };
        onboarding.tell_asn("");
        for place in 0..onboarding.peerings.len() {
            onboarding.tell_peering(place);
        }
        for place in 0..onboarding.connections.len() {
            onboarding.tell(place, "at the start");
        }
        onboarding
    }

    /// Takes a request or a decision. Requests about prefixes are not for onboarding, and are passed over.
    pub fn request(&mut self, request: &Request) {
        let taken = match request {
            Request::Everything => {
                self.everything();
                Ok(())
            }
            Request::PeerAsn(action) => self.peer_asn(action),
            Request::Peering { peering, action } => self.peering(peering, action),
            Request::Connections {
                connections,
                action,
            } => self.several(connections, action),
            Request::Register { .. }
            | Request::Unregister { .. }
            | Request::RegisterAsn { .. }
            | Request::UnregisterAsn { .. }
            | Request::Validate { .. }
            | Request::Activate { .. }
            | Request::Deactivate { .. }
            | Request::Health(_) => return,
        };
        for refusal in taken.err().unwrap_or_default() {
            self.out.push_back(refusal.into());
        }
        self.settle();
    }

    /// Takes what an edge observed.
    pub fn observed(&mut self, observed: &Observed, change: &Change) {
        let Change::Link(place) = *change else {
            return;
        };
        if let Some(why) = self.connections[place].observe(&observed.connections[place]) {
            self.tell(place, &why);
            self.settle();
        }
    }

    /// The next thing to do or to record.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// `validationState` of the peer ASN.
    pub fn peer_asn_state(&self) -> ValidationState {
        self.asn.state
    }

    /// `provisioningState` of a metro's peering; none if there is no such peering.
    pub fn peering_state(&self, peering: &str) -> Option<ProvisioningState> {
        self.peerings.iter().find(|p| p.metro == peering)?.state
    }

    /// `connectionState` of a connection; `None` too for one that does not exist.
    pub fn connection_state(&self, connection: &str) -> ConnectionState {
        let found = self.connections.iter().find(|c| c.name == connection);
        found.map_or(ConnectionState::None, |c| c.state)
    }

    /// `sessionStateV4` of a connection; `None` too for one that does not exist.
    pub fn session_state(&self, connection: &str) -> SessionState {
        let found = self.connections.iter().find(|c| c.name == connection);
        found.map_or(SessionState::None, Connection::session_state)
    }

    /// Whether a connection's edge exchanges routes with the peer; else its policy is deny-all (BGP-07).
    ///
    /// True of what is `Active`, also while it waits for its turn to be converted, and not while it is being removed.
    pub fn is_active(&self, connection: &str) -> bool {
        let mut connections = self.connections.iter();
        connections.any(|c| c.name == connection && c.state.exchanges_routes() && !c.removing)
    }

    /// How far a connection is, as far as prefixes are concerned.
    pub fn standing(&self, connection: &str) -> Standing {
        let found = self.connections.iter().find(|c| c.name == connection);
        let exists = found.is_some_and(Connection::exists);
        Standing {
            exists,
            active: self.is_active(connection),
            peering_service: found.is_some_and(|c| c.exists() && c.peering_service),
        }
    }

    /// Every human part that is left is done: now, or as soon as what it waits for is observed.
    fn everything(&mut self) {
        if self.asn.state != ValidationState::Approved {
            self.asn.unattended = true;
            self.advance_asn(AsnInput::Register, "");
        }
        for place in 0..self.connections.len() {
            let connection = &mut self.connections[place];
            if connection.removing || connection.state == ConnectionState::Active {
                continue;
            }
            connection.unattended = true;
            if connection.state == ConnectionState::ProvisioningFailed {
                // It is taken up where it failed: in a conversion, or from the request on.
                let input = if connection.converting {
                    Input::ConversionStarted
                } else {
                    Input::Requested
                };
                self.apply(place, input, "taken up again");
            }
        }
        for place in 0..self.peerings.len() {
            self.no_longer_rejected(place);
        }
    }

    fn peer_asn(&mut self, action: &AsnAction) -> Result<(), Vec<Refusal>> {
        let (input, error, reason, text) = match action {
            AsnAction::Register => (
                AsnInput::Register,
                "",
                "peer-asn-already-registered",
                "it is already associated with the subscription; the portal can neither modify nor delete it",
            ),
            AsnAction::Approve => (
                AsnInput::Approve,
                "",
                "peer-asn-not-pending",
                "it is not under review; register it first",
            ),
            AsnAction::Fail { message } => (
                AsnInput::Fail,
                message.as_str(),
                "peer-asn-not-pending",
                "it is not under review; register it first",
            ),
        };
        if self.advance_asn(input, error) {
            return Ok(());
        }
        let subject = format!("AS{}", self.asn.number);
        let text = format!("validationState {}: {text}", self.asn.state);
        Err(vec![Refusal::new(subject, reason, text)])
    }

    fn advance_asn(&mut self, input: AsnInput, error: &str) -> bool {
        let Some(next) = self.asn.state.next(input) else {
            return false;
        };
        self.asn.state = next;
        self.tell_asn(error);
        match next {
            ValidationState::Approved => {
                let mail = Mail::AsnApproved.about(
                    &format!("AS{}", self.asn.number),
                    "peerings can be requested with it",
                );
                self.out.push_back(mail);
            }
            ValidationState::Failed => self.asn.unattended = false,
            ValidationState::None | ValidationState::Pending => {}
        }
        true
    }

    fn several(&mut self, names: &[String], action: &ConnectionAction) -> Result<(), Vec<Refusal>> {
        let mut refusals = Vec::new();
        for name in names {
            if let Err(refusal) = self.one(name, action) {
                refusals.push(refusal);
            }
        }
        if refusals.is_empty() {
            Ok(())
        } else {
            Err(refusals)
        }
    }

    fn one(&mut self, name: &str, action: &ConnectionAction) -> Result<(), Refusal> {
        let place = self.place(name)?;
        let connection = &mut self.connections[place];
        let (name, state) = (connection.name.clone(), connection.state);
        let refuse = |reason, text: &str| {
            let text = format!("connectionState {state}: {text}");
            Err(Refusal::new(name.clone(), reason, text))
        };
        if !connection.exists() {
            return refuse("not-requested", "request its peering first");
        }
        if connection.removing {
            return refuse(
                "being-removed",
                "it is being deprovisioned; request it anew when it is gone",
            );
        }
        match action {
            ConnectionAction::Cable if connection.cabled => {
                refuse("already-cabled", "it is wired, and its port has light")
            }
            ConnectionAction::Cable if state == ConnectionState::ProvisioningStarted => {
                connection.cabled = true;
                self.tell(place, "wired as the letter of authorization says");
                Ok(())
            }
            ConnectionAction::Cable => refuse(
                "not-being-provisioned",
                "wire it after its peering was approved, as the letter of authorization says",
            ),
            ConnectionAction::Validate => {
                let missing = connection.what_is_down();
                if self.apply(place, Input::Validated, "end-to-end validation passed") {
                    return Ok(());
                }
                refuse(
                    "not-validating",
                    &match state {
                        ConnectionState::Active => "it was validated before".to_owned(),
                        _ => format!("validation comes when LAG, BFD and BGP are up; {missing}"),
                    },
                )
            }
            ConnectionAction::Fail { message } => {
                if self.connections[place].fail(Input::Failed, message) {
                    self.tell(place, "provisioning failed");
                    return Ok(());
                }
                refuse(
                    "not-being-provisioned",
                    "only what is being provisioned can fail to be",
                )
            }
            ConnectionAction::Remove => {
                self.remove(&[place])?;
                let metro = self.connections[place].metro.clone();
                self.advise_redundancy(&metro);
                Ok(())
            }
        }
    }

    /// Does everything that can be done now.
    fn settle(&mut self) {
        // Every turn moves something on, and what is moved by itself never comes back by itself.
        while self.advance() {}
    }

    fn advance(&mut self) -> bool {
        if self.asn.unattended && self.advance_asn(AsnInput::Approve, "") {
            return true;
        }
        for place in 0..self.connections.len() {
            let before = self.connections[place].state;
            let mut out = Vec::new();
            if let Some(why) = self.connections[place].step(&mut out) {
                self.out.extend(out);
                self.moved(place, before, why);
                return true;
            }
        }
        (0..self.peerings.len()).any(|place| self.advance_peering(place))
    }

    fn place(&self, name: &str) -> Result<usize, Refusal> {
        let found = self.connections.iter().position(|c| c.name == name);
        found.ok_or_else(|| {
            Refusal::new(
                name,
                "unknown-connection",
                "the topology has no such connection",
            )
        })
    }

    /// Moves a connection on, and tells.
    fn apply(&mut self, place: usize, input: Input, why: &str) -> bool {
        let before = self.connections[place].state;
        let taken = self.connections[place].apply(input);
        if taken {
            self.moved(place, before, why);
        }
        taken
    }

    /// Tells of a connection, and of what its new state means for its peering.
    fn moved(&mut self, place: usize, before: ConnectionState, why: &str) {
        self.tell(place, why);
        let connection = &self.connections[place];
        if connection.state == before {
            return;
        }
        let (name, metro) = (connection.name.clone(), connection.metro.clone());
        match connection.state {
            ConnectionState::Active if before == ConnectionState::Validating => {
                let text = "routes are exchanged, and prefixes can be registered";
                self.out
                    .push_back(Mail::ConnectionActive.about(&name, text));
                self.became_active(&metro);
            }
            ConnectionState::Active => self.was_converted(&metro),
            ConnectionState::None => self.was_removed(&name, &metro),
            _ => {}
        }
    }

    fn tell(&mut self, place: usize, why: &str) {
        let mut out = Vec::new();
        self.connections[place].tell(why, &mut out);
        self.out.extend(out);
    }

    fn tell_asn(&mut self, error: &str) {
        self.out.push_back(Output::Fact(Fact::PeerAsn {
            asn: self.asn.number,
            state: self.asn.state.to_string(),
            error: error.to_owned(),
        }));
    }
}

#[cfg(test)]
mod tests;
