//! Steps of the portal, of Microsoft's people and of registries as TOML has them.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::RawSpeaker;
use crate::source::{Located, Names};

/// One thing of onboarding: about the peer's ASN, a peering, or connections.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("oneOf" = ABOUT.map(|about| json!({ "required": [about] }))))]
pub(in crate::scenario) struct RawOnboard {
    /// What happens to the peer's AS number.
    pub peer_asn: Option<Located<RawAsnAction>>,
    /// The peering of a metro. With `action`: request, approve, reject, convert or remove.
    pub peering: Option<Located<String>>,
    /// Connections: a name, a list, or "all". With `action`: cable, validate, fail or remove.
    pub connection: Option<Located<Names>>,
    /// What happens to them.
    pub action: Option<Located<RawAction>>,
    /// With fail and reject: the error message.
    pub message: Option<Located<String>>,
    /// With request: peering type; "Direct" if not given.
    pub r#type: Option<Located<String>>,
    /// With request: Microsoft network; that of the profile if not given.
    pub network: Option<Located<String>>,
    /// With request: SKU; "Premium Free" if not given.
    pub sku: Option<Located<String>>,
    /// With request: session address provider; that of the profile if not given.
    pub session_address_provider: Option<Located<String>>,
    /// With request: use for Peering Service; true if not given.
    pub use_for_peering_service: Option<Located<bool>>,
    /// With request: its connections; all of the metro if not given.
    pub connections: Option<Located<Names>>,
}

/// The keys of [`RawOnboard`] that say what it is about.
const ABOUT: [&str; 3] = ["peer-asn", "peering", "connection"];

/// What happens to the peer's AS number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::scenario) enum RawAsnAction {
    /// The peer associates it with the subscription.
    Register,
    /// Microsoft approves.
    Approve,
    /// Microsoft refuses.
    Fail,
}

/// What happens to a peering or a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::scenario) enum RawAction {
    /// A peering: the peer creates it.
    Request,
    /// A peering: Microsoft approves its connections.
    Approve,
    /// A peering: Microsoft refuses it.
    Reject,
    /// A peering: it becomes AS8075 with Voice, one connection at a time.
    Convert,
    /// A connection: it is wired as the letter of authorization says.
    Cable,
    /// A connection: Microsoft's end-to-end validation passes.
    Validate,
    /// A connection: provisioning fails.
    Fail,
    /// A peering or a connection is deprovisioned.
    Remove,
}

/// A registered prefix to be.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::scenario) struct RawRegister {
    /// The prefix; any text, as the portal takes it.
    #[schemars(required)]
    pub prefix: Option<Located<String>>,
    /// The peering it is registered with: a metro; the service's primary location if not given.
    pub peering: Option<Located<String>>,
}

/// A Peering Service prefix to be.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::scenario) struct RawActivate {
    /// The prefix; any text, as the portal takes it.
    #[schemars(required)]
    pub prefix: Option<Located<String>>,
    /// The Peering Service; the first one if not given.
    pub service: Option<Located<String>>,
    /// The prefix key: a GUID, "asn 64501" (that of a registered ASN), "wrong" (that of another) or
    /// "unknown" (of none); the right one if not given: of the prefix, or of the AS from which it is received.
    pub key: Option<Located<String>>,
    /// The Peering Service provider; the peer if not given.
    pub provider: Option<Located<String>>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("oneOf" = SETTINGS.map(|key| json!({ "required": [key] }))))]
pub(in crate::scenario) struct RawSet {
    /// The RPKI: a file of validated ROA payloads, relative to the topology file, "dead" or "live".
    pub rpki: Option<Located<String>>,
    /// The routing registry: a file of RPSL objects, relative to the topology file, "dead" or "live".
    pub irr: Option<Located<String>>,
    /// Local exceptions to the RPKI (RFC 8416): a file, relative to the topology file.
    pub slurm: Option<Located<String>>,
    /// How many routes Microsoft announces on each session.
    #[schemars(range(min = 1, max = 512))]
    pub microsoft_routes: Option<Located<u16>>,
    /// Whether Microsoft's validation works.
    pub microsoft: Option<Located<RawHealth>>,
    /// The policy for what is received: a name of the profile's policies, or of the topology's. With `on`, `by`.
    pub import: Option<Located<String>>,
    /// The policy for what is announced, as `import`.
    pub export: Option<Located<String>>,
    /// With `import` and `export`: connections, a name, a list, or "all" (the default).
    pub on: Option<Located<Names>>,
    /// With `import` and `export`: whose; Microsoft's if not given, else that of the peer's simulated routers.
    pub by: Option<Located<RawSpeaker>>,
}

/// The keys of [`RawSet`] that say what is set.
const SETTINGS: [&str; 7] = [
    "rpki",
    "irr",
    "slurm",
    "microsoft-routes",
    "microsoft",
    "import",
    "export",
];

/// Whether Microsoft's validation works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::scenario) enum RawHealth {
    /// It works.
    Healthy,
    /// It ends in an internal server error.
    InternalError,
}
