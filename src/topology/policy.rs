//! Switches of the Microsoft side: which reading holds where its documents contradict each other or are silent.
//!
//! The ids (`E-01`, `V-03`, …) are those of the requirements and of the table of contradictions in the documents.

use std::time::Duration;

use ipnet::Ipv4Net;

/// Which reading holds. The default is this project's for every key.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Prefixes longer than /24 (E-01).
    pub short_prefix: ShortPrefix,
    /// How many connections must be Active before a prefix is registered (E-09, V-16).
    pub active_gate: ActiveGate,
    /// Connections that are not Active do not count as missing in V-03 and V-04.
    pub ignore_inactive: bool,
    /// The key exists as soon as the prefix is registered, not only once it is verified (E-12).
    pub key_on_create: bool,
    /// What the RPKI decides (E-21).
    pub rpki: Rpki,
    /// An AS_SET in the path fails a prefix (RFC 9774), or is only told (V-06).
    pub as_set: Weight,
    /// What an origin other than the peering's AS does (E-22).
    pub foreign_origin: ForeignOrigin,
    /// Which names of two peer ASNs must be the same for the one to originate through the other's peering (PFX-17).
    pub same_name: SameName,
    /// Among which Peering Service prefixes none may overlap (V-14).
    pub overlap: Overlap,
    /// What becomes of a verified prefix whose checks fail later (b.5 of the documents is silent).
    pub after_verified: AfterVerified,
    /// Time from a request or a change to the end of the validation it causes. Not published.
    pub validation: Duration,
    /// Ranges that count as private besides those IANA has set aside (V-01).
    pub private_ranges: Vec<Ipv4Net>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            short_prefix: ShortPrefix::RegisterAndActivate,
            active_gate: ActiveGate::Any,
            ignore_inactive: false,
            key_on_create: false,
            rpki: Rpki::DropInvalid,
            as_set: Weight::Fail,
            foreign_origin: ForeignOrigin::WarnThenFail,
            same_name: SameName::PeerName,
            overlap: Overlap::Global,
            after_verified: AfterVerified::Warning,
            validation: Duration::from_millis(250),
            private_ranges: Vec::new(),
        }
    }
}

/// What becomes of prefixes longer than /24 (E-01).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortPrefix {
    /// They can be registered, and routes for them are used once they are activated.
    RegisterAndActivate,
    /// They cannot be registered.
    RejectRegistration,
}

/// How many connections of a peering must be Active before a prefix is registered (E-09).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveGate {
    /// One.
    Any,
    /// Every one.
    All,
}

/// What the RPKI decides (E-21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rpki {
    /// Nothing.
    Off,
    /// Nothing, but it is told.
    Mark,
    /// Invalid routes are dropped.
    DropInvalid,
    /// All routes that are not valid are dropped.
    RequireValid,
}

/// How much something weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// The prefix fails.
    Fail,
    /// It is told.
    Warn,
}

/// What an origin other than the peering's AS does (E-22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignOrigin {
    /// A registered prefix is warned about, a Peering Service prefix fails.
    WarnThenFail,
    /// Both are warned about.
    Warn,
    /// Both fail.
    Fail,
}

/// Which names of two peer ASNs are compared (PFX-17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameName {
    /// `peerName`: the organisation.
    PeerName,
    /// The name of the peer ASN resource.
    ResourceName,
}

/// Among which Peering Service prefixes none may overlap (V-14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// All.
    Global,
    /// Those of the same Peering Service resource.
    Service,
}

/// What becomes of a verified prefix whose checks fail later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterVerified {
    /// It becomes `Warning`, and keeps its key and its activation.
    Warning,
    /// It becomes `Failed`, and its activation ends.
    Failed,
    /// It stays `Verified`; the failures are told.
    Stay,
}
