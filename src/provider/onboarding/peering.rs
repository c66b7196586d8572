//! Peering resources: a metro's connections, requested, approved, converted and removed together.

use super::{
    Connection, ConnectionState, Input, Mail, Onboarding, Output, PeeringAction, PeeringRequest,
    ProvisioningState, Refusal, ValidationState, gates,
};
use crate::record::Fact;
use crate::topology::Topology;

/// A peering, requested or not. Its connections are those of its metro.
#[derive(Debug, Clone)]
pub(super) struct Peering {
    pub(super) metro: String,
    /// None while there is no such resource.
    pub(super) state: Option<ProvisioningState>,
    error: String,
    /// Microsoft approved its conversion.
    conversion_approved: bool,
    told: Option<(Option<ProvisioningState>, String)>,
}

/// The peerings of a topology, with the connections they start with.
pub(super) fn of(topology: &Topology, connections: &[Connection]) -> Vec<Peering> {
    let exists = |metro: &str| connections.iter().any(|c| c.metro == metro && c.exists());
    let peering = |metro: &str| Peering {
        metro: metro.to_owned(),
        state: exists(metro).then_some(ProvisioningState::Succeeded),
        error: String::new(),
        conversion_approved: false,
        told: None,
    };
    let metros = topology.metros.iter();
    metros.map(|metro| peering(&metro.name)).collect()
}

impl Onboarding {
    pub(super) fn peering(
        &mut self,
        metro: &str,
        action: &PeeringAction,
    ) -> Result<(), Vec<Refusal>> {
        let Some(place) = self.peerings.iter().position(|p| p.metro == metro) else {
            let text = "the topology has no such metro";
            return Err(vec![Refusal::new(metro, "unknown-peering", text)]);
        };
        if let PeeringAction::Request(request) = action {
            return self.request_peering(place, request);
        }
        let members = self.members(metro);
        let refuse = |reason, text| Err(vec![Refusal::new(metro, reason, text)]);
        if members.is_empty() {
            return refuse(
                "not-requested",
                "there is no such peering; request it first",
            );
        }
        if self.peerings[place].state == Some(ProvisioningState::Deleting) {
            return refuse(
                "being-removed",
                "it is being deprovisioned; request it anew when it is gone",
            );
        }
        match action {
            PeeringAction::Request(_) => unreachable!("taken above"),
            PeeringAction::Approve if self.approve(place, &members) => Ok(()),
            PeeringAction::Reject { message } if self.reject(place, &members, message) => Ok(()),
            PeeringAction::Reject { .. } if self.peerings[place].conversion_approved => refuse(
                "conversion-in-progress",
                "its conversion was approved and runs; nothing can be rejected any more",
            ),
            PeeringAction::Approve | PeeringAction::Reject { .. } => refuse(
                "not-pending-approval",
                "nothing of it waits for approval; request the peering or its conversion first",
            ),
            PeeringAction::Convert => {
                gates::conversion(metro, &self.those(&members)).map_err(|refusal| vec![refusal])?;
                self.convert(place, &members);
                Ok(())
            }
            PeeringAction::Remove => self.remove_peering(place, &members).map_err(|r| vec![r]),
        }
    }

    /// The connections of a peering, by place.
    pub(super) fn members(&self, metro: &str) -> Vec<usize> {
        let exists = |place: &usize| {
            let connection = &self.connections[*place];
            connection.metro == metro && connection.exists()
        };
        (0..self.connections.len()).filter(exists).collect()
    }

    fn those(&self, places: &[usize]) -> Vec<&Connection> {
        places
            .iter()
            .map(|place| &self.connections[*place])
            .collect()
    }

    fn request_peering(
        &mut self,
        place: usize,
        request: &PeeringRequest,
    ) -> Result<(), Vec<Refusal>> {
        let metro = self.peerings[place].metro.clone();
        let wanted = gates::request(self, &metro, request)?;
        for connection in wanted {
            self.connections[connection].peering_service = gates::is_for_peering_service(request);
            self.apply(connection, Input::Requested, "requested");
        }
        self.set(place, Some(ProvisioningState::Succeeded), "");
        Ok(())
    }

    /// Approves all that waits for it, and takes up again what failed.
    fn approve(&mut self, place: usize, members: &[usize]) -> bool {
        let metro = self.peerings[place].metro.clone();
        let rejected = self.peerings[place].state == Some(ProvisioningState::Failed);
        let mut taken = false;
        for &member in members {
            let connection = &self.connections[member];
            let pending = connection.state == ConnectionState::PendingApproval;
            let failed = connection.state == ConnectionState::ProvisioningFailed;
            if connection.removing || !pending && (!failed || rejected) {
                continue;
            }
            let (input, why) = match (pending, connection.converting) {
                (true, _) => (Input::Approved, "approved"),
                (false, true) => (Input::ConversionStarted, "conversion taken up again"),
                (false, false) => (Input::Approved, "provisioning taken up again"),
            };
            taken |= self.apply(member, input, why);
            if pending {
                let name = self.connections[member].name.clone();
                let text = "wire the connection as the letter says";
                self.out
                    .push_back(Mail::LetterOfAuthorizationSent.about(&name, text));
            }
        }
        let asked = self.peerings[place].state == Some(ProvisioningState::Updating);
        if asked && !self.peerings[place].conversion_approved {
            self.peerings[place].conversion_approved = true;
            let text = "connections are converted one at a time; the others stay up";
            self.out
                .push_back(Mail::ConversionApproved.about(&metro, text));
            taken = true;
        }
        taken
    }

    /// Rejects all that waits for approval.
    fn reject(&mut self, place: usize, members: &[usize], message: &str) -> bool {
        let mut taken = false;
        for &member in members {
            if self.connections[member].fail(Input::Rejected, message) {
                self.tell(member, "rejected");
                taken = true;
            }
        }
        let failed =
            |member: &usize| self.connections[*member].state == ConnectionState::ProvisioningFailed;
        if taken && members.iter().all(failed) {
            self.set(place, Some(ProvisioningState::Failed), message);
        }
        let asked = self.peerings[place].state == Some(ProvisioningState::Updating);
        if asked && !self.peerings[place].conversion_approved {
            for &member in members {
                self.apply(member, Input::ConversionRejected, "conversion rejected");
            }
            self.set(place, Some(ProvisioningState::Succeeded), message);
            taken = true;
        }
        taken
    }

    /// A rejected peering one of whose connections was requested anew.
    pub(super) fn no_longer_rejected(&mut self, place: usize) {
        let members = self.members(&self.peerings[place].metro);
        let pending = |c: &Connection| c.state == ConnectionState::PendingApproval;
        let rejected = self.peerings[place].state == Some(ProvisioningState::Failed);
        if rejected && self.those(&members).into_iter().any(pending) {
            self.set(place, Some(ProvisioningState::Succeeded), "");
        }
    }

    fn convert(&mut self, place: usize, members: &[usize]) {
        let metro = self.peerings[place].metro.clone();
        for &member in members {
            self.apply(member, Input::ConversionRequested, "conversion requested");
        }
        self.peerings[place].conversion_approved = false;
        self.set(place, Some(ProvisioningState::Updating), "");
        let text = "to AS8075 (with Voice), all connections of the peering (CNV-04)";
        self.out
            .push_back(Mail::ConversionRequested.about(&metro, text));
    }

    fn remove_peering(&mut self, place: usize, members: &[usize]) -> Result<(), Refusal> {
        let pending = |c: &Connection| c.state == ConnectionState::PendingApproval;
        let canceled = self.those(members).into_iter().all(pending);
        self.may_remove(members)?;
        let state = if canceled {
            ProvisioningState::Canceled
        } else {
            ProvisioningState::Deleting
        };
        self.set(place, Some(state), "");
        self.remove(members)
    }

    /// Begins to deprovision connections: all of them, or none.
    pub(super) fn remove(&mut self, places: &[usize]) -> Result<(), Refusal> {
        self.may_remove(places)?;
        for &place in places {
            self.apply(place, Input::Removing, "to be deprovisioned");
        }
        Ok(())
    }

    fn may_remove(&self, places: &[usize]) -> Result<(), Refusal> {
        let converting =
            |c: &&&Connection| self.peering_state(&c.metro) == Some(ProvisioningState::Updating);
        let connections = self.those(places);
        match connections.iter().find(converting) {
            Some(c) => Err(Refusal::new(
                c.name.clone(),
                "conversion-in-progress",
                format!(
                    "connectionState {}: wait until its peering is converted",
                    c.state
                ),
            )),
            None => gates::removal(&connections),
        }
    }

    /// A voice peering has at least two connections (RED-02), and keeps fewer only on its way.
    pub(super) fn advise_redundancy(&mut self, metro: &str) {
        let left = self.members(metro);
        let left = left
            .iter()
            .filter(|place| !self.connections[**place].removing);
        if left.count() == 1 {
            self.out.push_back(Output::Fact(Fact::Event {
                event: "Advice".to_owned(),
                level: "Warning".to_owned(),
                subject: metro.to_owned(),
                summary: "fewer-than-two-connections".to_owned(),
                description: "one connection is left; a voice peering has at least two (RED-02)"
                    .to_owned(),
            }));
        }
    }

    /// What happens to a peering by itself: the human parts of what is unattended, and the next connection's conversion.
    pub(super) fn advance_peering(&mut self, place: usize) -> bool {
        let metro = self.peerings[place].metro.clone();
        let members = self.members(&metro);
        if let Some(next) = self.next_to_convert(place, &members) {
            return self.apply(
                next,
                Input::ConversionStarted,
                "conversion: hard restart of BGP",
            );
        }
        let waits = |member: &usize| {
            let connection = &self.connections[*member];
            connection.unattended
                && match connection.state {
                    ConnectionState::PendingApproval => true,
                    ConnectionState::TypeChangeRequested => {
                        !self.peerings[place].conversion_approved
                    }
                    _ => false,
                }
        };
        if members.iter().any(waits) {
            return self.approve(place, &members);
        }
        self.request_unattended(place, &metro, &members)
    }

    /// Requests what nobody requested yet, once that can be.
    fn request_unattended(&mut self, place: usize, metro: &str, members: &[usize]) -> bool {
        let active = |place: &usize| {
            let connection = &self.connections[*place];
            connection.state == ConnectionState::Active && !connection.removing
        };
        if self.asn.state != ValidationState::Approved || !members.iter().all(active) {
            return false;
        }
        let missing = |c: &&mut Connection| c.metro == metro && c.unattended && !c.exists();
        let missing: Vec<&mut Connection> = self.connections.iter_mut().filter(missing).collect();
        if missing.is_empty() {
            return false;
        }
        let names = missing.iter().map(|c| c.name.clone()).collect();
        let request = PeeringRequest::of(&self.profile, names);
        if let Err(refusals) = self.request_peering(place, &request) {
            self.out.extend(refusals.into_iter().map(Output::from));
            // What is refused once would be refused for ever.
            for connection in self.connections.iter_mut().filter(|c| c.metro == metro) {
                connection.unattended &= connection.exists();
            }
        }
        true
    }

    /// The connection whose turn it is: while all others are up (CNV-07).
    fn next_to_convert(&self, place: usize, members: &[usize]) -> Option<usize> {
        let state = |member: usize| self.connections[member].state;
        let waiting = |member: &usize| state(*member) == ConnectionState::TypeChangeRequested;
        if !self.peerings[place].conversion_approved {
            return None;
        }
        let next = members.iter().copied().find(waiting)?;
        let mut others = members.iter().filter(|member| **member != next);
        let stays =
            |member: &usize| state(*member).exchanges_routes() && self.connections[*member].is_up();
        others.all(stays).then_some(next)
    }

    pub(super) fn became_active(&mut self, metro: &str) {
        let members = self.members(metro);
        if members
            .iter()
            .all(|member| self.connections[*member].state == ConnectionState::Active)
        {
            self.out
                .push_back(Mail::PeeringActive.about(metro, "all its connections are active"));
        }
    }

    pub(super) fn was_converted(&mut self, metro: &str) {
        let all = self.members(metro);
        let done = |member: &usize| self.connections[*member].state == ConnectionState::Active;
        let Some(place) = self.peerings.iter().position(|p| p.metro == metro) else {
            return;
        };
        if self.peerings[place].conversion_approved && all.iter().all(done) {
            self.peerings[place].conversion_approved = false;
            for member in all {
                self.connections[member].peering_service = true;
            }
            self.set(place, Some(ProvisioningState::Succeeded), "");
            let text = "all its connections are active with AS8075 (with Voice)";
            self.out
                .push_back(Mail::ConversionCompleted.about(metro, text));
        }
    }

    pub(super) fn was_removed(&mut self, connection: &str, metro: &str) {
        let text = "deprovisioned";
        self.out
            .push_back(Mail::ResourceRemoved.about(connection, text));
        let Some(place) = self.peerings.iter().position(|p| p.metro == metro) else {
            return;
        };
        if self.members(metro).is_empty() {
            self.out.push_back(Mail::ResourceRemoved.about(metro, text));
            self.set(place, None, "");
        }
    }

    fn set(&mut self, place: usize, state: Option<ProvisioningState>, error: &str) {
        self.peerings[place].state = state;
        self.peerings[place].error = error.to_owned();
        self.tell_peering(place);
    }

    /// Says a peering's state if it is another one than was said last. What does not exist has none to say.
    pub(super) fn tell_peering(&mut self, place: usize) {
        let peering = &mut self.peerings[place];
        let now = (peering.state, peering.error.clone());
        if peering.told.as_ref() == Some(&now) || (peering.told.is_none() && now.0.is_none()) {
            return;
        }
        self.out.push_back(Output::Fact(Fact::Peering {
            peering: peering.metro.clone(),
            state: now.0.map_or("None", ProvisioningState::name).to_owned(),
            error: now.1.clone(),
        }));
        peering.told = Some(now);
    }
}
