//! What people ask of the Microsoft side, in the portal or by mail, and what Microsoft's people decide.

use crate::topology::Profile;

/// A request or a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Every human part of onboarding that is left is done: ASN, peerings, cabling, validation.
    Everything,
    /// About the peer's AS number in the subscription.
    PeerAsn(AsnAction),
    /// About a peering resource.
    Peering {
        /// Its peering location: a metro.
        peering: String,
        /// What.
        action: PeeringAction,
    },
    /// About connections.
    Connections {
        /// Which.
        connections: Vec<String>,
        /// What.
        action: ConnectionAction,
    },
    /// Create a registered prefix.
    Register {
        /// `prefix`, any text.
        prefix: String,
        /// Parent peering; the service's primary location if not given.
        peering: Option<String>,
    },
    /// Delete a registered prefix.
    Unregister {
        /// `prefix`.
        prefix: String,
    },
    /// Create a registered ASN.
    RegisterAsn {
        /// `asn`.
        asn: u32,
        /// Parent peering; the service's primary location if not given.
        peering: Option<String>,
    },
    /// Delete a registered ASN.
    UnregisterAsn {
        /// `asn`.
        asn: u32,
    },
    /// Validate a registered prefix again (`POST …/validate`).
    Validate {
        /// `prefix`.
        prefix: String,
    },
    /// Create a Peering Service prefix: activate a prefix.
    Activate {
        /// `prefix`, any text.
        prefix: String,
        /// Peering Service resource; the only one, or the first, if not given.
        service: Option<String>,
        /// `peeringServicePrefixKey`.
        key: Key,
        /// The provider chosen for the service; the topology's if not given.
        provider: Option<String>,
    },
    /// Delete a Peering Service prefix.
    Deactivate {
        /// `prefix`.
        prefix: String,
    },
    /// Microsoft's validation works, or ends in an internal server error.
    Health(bool),
}

/// About the peer's AS number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AsnAction {
    /// Associate it with the subscription.
    Register,
    /// Microsoft approves.
    Approve,
    /// Microsoft refuses.
    Fail {
        /// `errorMessage`.
        message: String,
    },
}

/// About a peering resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeeringAction {
    /// Create it.
    Request(PeeringRequest),
    /// Microsoft approves its connections.
    Approve,
    /// Microsoft refuses it.
    Reject {
        /// `errorMessage`.
        message: String,
    },
    /// Convert it to AS8075 with Voice, one connection at a time.
    Convert,
    /// Deprovision it.
    Remove,
}

/// The properties of a new peering as the portal has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeeringRequest {
    /// Peering type: `Direct` or `Exchange`.
    pub kind: String,
    /// Microsoft network, for example `AS8075 (with Voice)`.
    pub network: String,
    /// SKU, for example `Premium Free`.
    pub sku: String,
    /// Session address provider: `Microsoft` or `Peer`.
    pub session_address_provider: String,
    /// Use for Peering Service.
    pub use_for_peering_service: bool,
    /// Its connections.
    pub connections: Vec<String>,
}

/// About connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionAction {
    /// The peer wires them as the letter of authorization says.
    Cable,
    /// Microsoft's end-to-end validation passes.
    Validate,
    /// Provisioning fails.
    Fail {
        /// `errorMessage`.
        message: String,
    },
    /// Deprovision them.
    Remove,
}

/// The key given with an activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// The one issued for the prefix, or for the AS that originates it.
    Right,
    /// The one issued for this AS, if it is registered.
    OfAsn(u32),
    /// One issued for another prefix; one that was never issued where there is no other.
    OfAnother,
    /// This one.
    Given(String),
}

impl PeeringRequest {
    /// What the walkthrough of a profile asks for.
    pub fn of(profile: &Profile, connections: Vec<String>) -> PeeringRequest {
        PeeringRequest {
            network: profile.network.clone(),
            session_address_provider: profile.session_address_provider.as_str().to_owned(),
            ..PeeringRequest::voice(connections)
        }
    }

    /// What the voice walkthrough asks for.
    pub fn voice(connections: Vec<String>) -> PeeringRequest {
        PeeringRequest {
            kind: "Direct".to_owned(),
            network: "AS8075 (with Voice)".to_owned(),
            sku: "Premium Free".to_owned(),
            session_address_provider: "Microsoft".to_owned(),
            use_for_peering_service: true,
            connections,
        }
    }
}
