//! What a lab looks like while it lives, as plain values: made from routers, LAGs and BFD sessions, sent as JSON, drawn as
//! tables.
//!
//! Field names are those of the JSON that `peerlab show --json` prints; [`schema`] describes it.
//!
//! **Invariant:** a view is a copy: it holds nothing of the lab, and nothing of the lab changes by looking.

mod attributes;
mod bfd;
mod history;
mod lag;
mod overview;
mod policy;
mod route;
pub mod routes;
mod rpki;
mod session;
#[cfg(test)]
pub(crate) mod tests;

pub use attributes::Attributes;
pub use bfd::{Bfd, Heard, Timers as BfdTimers, bfd};
pub use history::{Change, History, Past};
pub use lag::{Carried, Frames, Lag, Member, Port, Rhythm, lag};
pub use overview::{ConnectionLine, Overview, RouterLine};
pub use policy::{Policies, policies};
pub use route::{Candidate, RouteDetail, Standing, Told, Withheld, route};
pub use routes::{Direction, Route};
pub use rpki::Rpki;
pub use session::{
    Counters, MaximumPrefixes, Messages, Session, SessionDetail, Timers, session, sessions,
};

use schemars::{JsonSchema, schema_for};

/// What `peerlab show WHAT --json` prints, one property for each WHAT.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its schema is used")]
struct Shown {
    /// `peerlab show`.
    overview: Overview,
    /// `peerlab show sessions`.
    sessions: Vec<Session>,
    /// `peerlab show session`.
    session: SessionDetail,
    /// `peerlab show routes`, `received`, `accepted`, `refused` and `advertised`.
    routes: Vec<Route>,
    /// `peerlab show route`.
    route: RouteDetail,
    /// `peerlab show bfd`.
    bfd: Vec<Bfd>,
    /// `peerlab show lacp`.
    lacp: Vec<Lag>,
    /// `peerlab show policy`.
    policy: Policies,
}

/// The JSON Schema of all that is shown.
pub fn schema() -> serde_json::Value {
    schema_for!(Shown).to_value()
}
