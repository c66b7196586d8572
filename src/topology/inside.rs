//! The networks behind the connections: `[microsoft.wan]` and `[peer.core]`, and how routers use several paths.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::source::{Address, Located, Mistakes};

/// Equal paths that a router installs at most: as many as the kernel is asked for.
const PATHS_MOST: u8 = 64;

/// The router in the middle of a network, which has iBGP with each of those at its border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inside {
    /// It reflects the routes of one to the others (RFC 4456).
    pub reflector: Option<Reflector>,
    /// How many paths it uses at once.
    pub multipath: Multipath,
    /// BFD over several hops (RFC 5883) guards its iBGP sessions with simulated routers.
    pub bfd: bool,
}

/// A route reflector. It stands in the path of packets, so NEXT_HOP is its own address in all that it reflects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reflector {
    /// CLUSTER_ID (RFC 4456, section 7); its BGP Identifier if not given.
    pub cluster_id: Option<Ipv4Addr>,
}

/// How a router uses several paths of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multipath {
    /// So many at most; 1 is one path.
    pub paths: u8,
    /// Paths of the same length count as equal, whatever ASes are in them.
    pub relax: bool,
}

impl Default for Multipath {
    fn default() -> Multipath {
        Multipath {
            paths: PATHS_MOST,
            relax: true,
        }
    }
}

/// The router in the middle of a network, which has iBGP with each of those at its border.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawInside {
    /// It tells each of them the routes of the others (RFC 4456), with itself as next hop. Otherwise they know their own.
    pub route_reflector: Option<Located<bool>>,
    /// CLUSTER_ID of the reflector (RFC 4456, section 7); its BGP Identifier if not given.
    pub cluster_id: Option<Located<Address>>,
    /// How it uses several paths of a prefix.
    pub multipath: Option<Located<RawMultipath>>,
    /// Guard its iBGP sessions with simulated routers by BFD over several hops (RFC 5883), with the edges' timers.
    pub bfd: Option<Located<bool>>,
}

/// How a router uses several paths of a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawMultipath {
    /// Equal paths that are used at once; 64 if not given, 1 for one path.
    #[schemars(range(min = 1, max = 64))]
    pub paths: Option<Located<u8>>,
    /// Paths of the same length count as equal, whatever ASes are in them; true if not given. Otherwise the AS paths have to
    /// be the same.
    pub relax: Option<Located<bool>>,
}

impl Inside {
    /// What a file says, or does not.
    pub(super) fn of(raw: Option<&Located<RawInside>>, mistakes: &mut Mistakes) -> Inside {
        let Some(raw) = raw.map(|raw| &raw.value) else {
            return Inside::default();
        };
        let reflects = raw.route_reflector.is_some_and(|key| key.value);
        if let Some(id) = raw.cluster_id {
            if !reflects {
                let message = "a router that reflects no routes is in no cluster";
                let diagnostic = mistakes.error(id.span, message, "of no use");
                mistakes.push(diagnostic.help("write `route-reflector = true`"));
            }
            if id.value.0.is_unspecified() {
                let message = "0.0.0.0 is no cluster";
                let diagnostic = mistakes.error(id.span, message, "any other");
                mistakes.push(diagnostic.note("RFC 4456, section 7"));
            }
        }
        Inside {
            bfd: raw.bfd.is_some_and(|key| key.value),
            reflector: reflects.then(|| Reflector {
                cluster_id: raw.cluster_id.map(|id| id.value.0),
            }),
            multipath: Multipath::of(raw.multipath.as_ref(), mistakes),
        }
    }
}

impl Multipath {
    /// What a file says, or does not.
    pub(super) fn of(raw: Option<&Located<RawMultipath>>, mistakes: &mut Mistakes) -> Multipath {
        let default = Multipath::default();
        let Some(raw) = raw.map(|raw| &raw.value) else {
            return default;
        };
        if let Some(paths) = raw.paths
            && !(1..=PATHS_MOST).contains(&paths.value)
        {
            let message = format!("{} paths are not possible", paths.value);
            let diagnostic = mistakes.error(paths.span, message, format!("1 to {PATHS_MOST}"));
            mistakes.push(diagnostic.help("`paths = 1` uses one path"));
        }
        Multipath {
            paths: raw.paths.map_or(default.paths, |paths| paths.value),
            relax: raw.relax.map_or(default.relax, |relax| relax.value),
        }
    }
}
