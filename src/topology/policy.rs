//! Switches of the Microsoft side: which reading holds where its documents contradict each other or are silent.
//!
//! The ids (`E-01`, `V-03`, …) are those of the requirements and of the table of contradictions in the documents.

use std::time::Duration;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::Deserialize;

use super::raw::RawPolicy;
use crate::source::{Located, Mistakes, in_words};

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
    /// What more prefixes than the peer has declared do to a session (BGP-08, not documented).
    pub over_declared: OverDeclared,
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
            over_declared: OverDeclared::Ignore,
            validation: Duration::from_millis(250),
            private_ranges: Vec::new(),
        }
    }
}

/// The longest validation.
const HOUR: Duration = Duration::from_secs(3600);

impl Policy {
    /// The default, with what a file says otherwise.
    pub(super) fn of(raw: &RawPolicy, default: &Policy, mistakes: &mut Mistakes) -> Policy {
        fn or<T: Copy>(key: Option<Located<T>>, default: T) -> T {
            key.map_or(default, |key| key.value)
        }
        let validation = raw.validation.map(|key| {
            let value = key.value.0;
            if value > HOUR {
                let message = format!("a validation of {} is not possible", in_words(value));
                mistakes.push(mistakes.error(key.span, message, "at most an hour"));
            }
            value
        });
        let private_ranges = match &raw.private_ranges {
            Some(ranges) => ranges.iter().map(|range| range.value.0).collect(),
            None => default.private_ranges.clone(),
        };
        Policy {
            short_prefix: or(raw.short_prefix, default.short_prefix),
            active_gate: or(raw.active_gate, default.active_gate),
            ignore_inactive: or(raw.ignore_inactive, default.ignore_inactive),
            key_on_create: or(raw.key_on_create, default.key_on_create),
            rpki: or(raw.rpki, default.rpki),
            as_set: or(raw.as_set, default.as_set),
            foreign_origin: or(raw.foreign_origin, default.foreign_origin),
            same_name: or(raw.same_name, default.same_name),
            overlap: or(raw.overlap, default.overlap),
            after_verified: or(raw.after_verified, default.after_verified),
            over_declared: or(raw.over_declared, default.over_declared),
            validation: validation.unwrap_or(default.validation),
            private_ranges,
        }
    }
}

/// What becomes of prefixes longer than /24 (E-01).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShortPrefix {
    /// They can be registered, and routes for them are used once they are activated.
    RegisterAndActivate,
    /// They cannot be registered.
    RejectRegistration,
}

/// How many connections of a peering must be Active before a prefix is registered (E-09).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ActiveGate {
    /// One.
    Any,
    /// Every one.
    All,
}

/// What the RPKI decides (E-21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// The prefix fails.
    Fail,
    /// It is told.
    Warn,
}

/// What an origin other than the peering's AS does (E-22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignOrigin {
    /// A registered prefix is warned about, a Peering Service prefix fails.
    WarnThenFail,
    /// Both are warned about.
    Warn,
    /// Both fail.
    Fail,
}

/// Which names of two peer ASNs are compared (PFX-17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SameName {
    /// `peerName`: the organisation.
    PeerName,
    /// The name of the peer ASN resource.
    ResourceName,
}

/// Among which Peering Service prefixes none may overlap (V-14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// All.
    Global,
    /// Those of the same Peering Service resource.
    Service,
}

/// What becomes of a verified prefix whose checks fail later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AfterVerified {
    /// It becomes `Warning`, and keeps its key and its activation.
    Warning,
    /// It becomes `Failed`, and its activation ends.
    Failed,
    /// It stays `Verified`; the failures are told.
    Stay,
}

/// What becomes of a session on which the peer advertises more prefixes than it has declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OverDeclared {
    /// Nothing.
    #[default]
    Ignore,
    /// It is told.
    Warn,
    /// It is ended (Cease / Maximum Number of Prefixes Reached).
    EndSession,
}
