//! The policies of a session, as they print.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::router::{Router, SessionIndex};

/// The policies of a session: rules in their order, the last line being what becomes of all other routes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Policies {
    /// The router.
    pub router: String,
    /// The session.
    pub session: String,
    /// What is done to received routes.
    pub import: Vec<String>,
    /// What is done to routes before they are told.
    pub export: Vec<String>,
}

/// The policies that are in force now.
pub fn policies(router: &Router, session: SessionIndex) -> Option<Policies> {
    let spec = router.spec(session)?;
    let lines = |policy: &crate::bgp::policy::Policy| {
        let text = policy.to_string();
        text.lines().map(str::to_owned).collect()
    };
    Some(Policies {
        router: router.config().name.clone(),
        session: spec.name.clone(),
        import: lines(&spec.import),
        export: lines(&spec.export),
    })
}
