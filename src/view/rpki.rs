//! What the RPKI says about a route (RFC 6811).

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bgp::attributes::Attributes;
use crate::bgp::origin_validation::{Validation, Validity};
use crate::router::{Router, SessionIndex};

/// The state of a route, and the VRPs that decided it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Rpki {
    /// `valid`, `invalid-as` (another origin), `invalid-length` (longer than maxLength) or `not-found`, as policies say it.
    pub state: String,
    /// `198.51.100.0/24-25 AS64500 (ripe)`: prefix, maxLength where it is longer, AS, trust anchor where it is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vrps: Vec<String>,
}

impl Rpki {
    /// What a session's import policy is told about a route as it came; `None` when it has no RPKI data.
    pub(super) fn of(
        router: &Router,
        session: SessionIndex,
        prefix: &IpNet,
        came: &Attributes,
    ) -> Option<Rpki> {
        let vrps = router.spec(session)?.import.vrps.as_ref()?;
        let Validation { validity, covering } =
            vrps.validate(*prefix, came.as_path.last().copied());
        let state = match validity {
            Validity::Valid => "valid",
            Validity::InvalidAs => "invalid-as",
            Validity::InvalidLength => "invalid-length",
            Validity::NotFound => "not-found",
        };
        Some(Rpki {
            state: state.to_owned(),
            vrps: covering.iter().map(ToString::to_string).collect(),
        })
    }

    /// In one line: `invalid-as by 198.51.100.0/24 AS64500 (ripe)`.
    pub fn words(&self) -> String {
        match self.vrps.is_empty() {
            true => self.state.clone(),
            false => format!("{} by {}", self.state, self.vrps.join(", ")),
        }
    }
}
