//! The binding file as TOML has it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::source::{Located, Table};

/// A binding: which device plays each of the peer's routers.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(title = "peerlab binding")]
pub(super) struct RawBinding {
    /// Routers of the topology, by name. A router that is not named is simulated.
    #[serde(default)]
    pub router: Table<RawRouter>,
}

/// What plays a router.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawRouter {
    /// The kind of device.
    #[schemars(required)]
    pub device: Option<Located<RawDevice>>,
    /// Its configuration file, relative to this file.
    pub config: Option<Located<String>>,
}

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawDevice {
    /// peerlab's own router.
    Simulated,
    /// BIRD 2, with `config`.
    Bird,
    /// FRR, with `config`: an integrated frr.conf.
    Frr,
    /// GoBGP, with `config`: TOML.
    Gobgp,
    /// OpenBGPD, with `config`.
    Openbgpd,
    /// ExaBGP 4, with `config`.
    Exabgp,
    /// A running container. Not supported yet.
    #[schemars(skip)]
    Container,
    /// A real router behind host interfaces. Not supported yet.
    #[schemars(skip)]
    Interface,
    /// Any command. Not supported yet.
    #[schemars(skip)]
    Command,
}
