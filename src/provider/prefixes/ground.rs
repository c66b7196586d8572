//! What a validation rests on: the topology, what was observed, how far onboarding is, registries, switches.

use std::collections::BTreeMap;

use crate::provider::observed::{Connection, Observed};
use crate::provider::registries::Registries;
use crate::topology::{PeerAsn, Policy, SameName, Service, Topology};

/// Everything a validation looks at. It holds nothing itself.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The topology.
    pub topology: &'a Topology,
    /// What the edges observed.
    pub observed: &'a Observed,
    /// How far each connection is, by its place in [`Observed::connections`].
    pub standing: &'a [Standing],
    /// The approved peer ASNs of the subscription; the peer's own may be among them.
    pub peer_asns: &'a [PeerAsn],
    /// What the routing registries say.
    pub registries: &'a Registries,
    /// Which reading holds.
    pub policy: &'a Policy,
    /// Microsoft's validation works; otherwise it ends in an internal server error.
    pub healthy: bool,
    /// What plays the peer's routers, by name: those that are not named are simulated.
    pub devices: &'a BTreeMap<String, DeviceKind>,
}

/// How far a connection is in onboarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// It was requested as part of its peering, and not removed.
    pub exists: bool,
    /// Its `connectionState` is `Active`.
    pub active: bool,
    /// `useForPeeringService` is on, and the SKU of its peering is a premium one.
    pub peering_service: bool,
}

impl Standing {
    /// Onboarded in the past.
    pub const ACTIVE: Standing = Standing {
        exists: true,
        active: true,
        peering_service: true,
    };
    /// Not requested yet.
    pub const NONE: Standing = Standing {
        exists: false,
        active: false,
        peering_service: false,
    };
}

/// What plays a router, as far as lines of its configuration are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceKind {
    /// peerlab's own router, driven by the scenario.
    #[default]
    Simulated,
    /// BIRD 2.
    Bird,
    /// FRR.
    Frr,
    /// Something else.
    Other,
}

impl<'a> Ground<'a> {
    /// A connection and how far it is.
    pub(super) fn connection(&self, place: usize) -> (&'a Connection, Standing) {
        let standing = self.standing.get(place).copied();
        (
            &self.observed.connections[place],
            standing.unwrap_or(Standing::NONE),
        )
    }

    /// The connections of a peering, by place.
    pub(super) fn of_peering(&self, peering: &str) -> impl Iterator<Item = usize> + use<'a, '_> {
        let ground = *self;
        let peering = peering.to_owned();
        (0..self.observed.connections.len()).filter(move |place| {
            let (connection, standing) = ground.connection(*place);
            standing.exists && connection.metro == peering
        })
    }

    /// The connections at a location that Peering Service uses, by place.
    pub(super) fn for_service(&self, location: &str) -> impl Iterator<Item = usize> + use<'a, '_> {
        let ground = *self;
        self.of_peering(location)
            .filter(move |place| ground.connection(*place).1.peering_service)
    }

    /// The Peering Service resource of a name.
    pub(super) fn service(&self, name: &str) -> Option<&'a Service> {
        self.topology.services.iter().find(|s| s.name == name)
    }

    /// The names under which an AS and the peering's AS are compared (PFX-17).
    pub(super) fn same_name(&self, asn: u32) -> bool {
        let name = |peer: &'a PeerAsn| match self.policy.same_name {
            SameName::PeerName => peer.peer_name.as_str(),
            SameName::ResourceName => peer.name.as_str(),
        };
        let own = self
            .peer_asns
            .iter()
            .find(|p| p.asn == self.topology.peer.asn);
        let own = own.map_or(self.topology.peer.name.as_str(), name);
        let mut others = self.peer_asns.iter().filter(|peer| peer.asn == asn);
        others.any(|peer| name(peer) == own)
    }

    /// What plays a router.
    pub(super) fn device(&self, router: &str) -> DeviceKind {
        self.devices.get(router).copied().unwrap_or_default()
    }
}
