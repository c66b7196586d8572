//! What happens, and what must follow: the model of a scenario file.
//!
//! **Invariant:** every name refers to the scenario's topology; every expectation keeps its place in the file.

mod act;
mod bfd;
mod expect;
mod files;
mod fit;
mod lacp;
mod model;
mod parse;
mod quality;
mod raw;
mod stage;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use crate::source::Span;

pub use bfd::bfd_order;
pub use files::{Rehearsal, load, settling};
pub use lacp::{LacpOrder, LacpSays, LagPart, Viewpoint};
pub use model::{
    ABSENT, Act, Announcement, Expect, Fault, FaultKind, LAYERS, PolicyChange, PrefixExpected,
    PrefixObject, RegistrySource, Restart, RouteDirection, SessionOrder, Setting, Speaker,
    Standing, Target,
};
pub use parse::{parse, parse_kept};
pub use quality::{Confined, Quality};

/// A scenario: steps in order, and the requirements they prove.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Path below `scenarios/` without extension, for example `failover/silent-connection`.
    pub name: String,
    /// The first comment lines of the file, as one sentence or more.
    pub summary: String,
    /// The topology file.
    pub topology: PathBuf,
    /// The binding file the scenario asks for; the command line overrides it.
    pub binding: Option<PathBuf>,
    /// Requirement ids, for example `BFD-01`.
    pub proves: Vec<String>,
    /// Connections on which the peer's simulated router has no BFD.
    pub without_bfd: Vec<String>,
    /// Everything is approved, cabled, validated and registered when the scenario begins.
    pub onboarded: bool,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// One verb and what must follow from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where the verb stands in the file.
    pub span: Span,
    /// What the step does.
    pub act: Act,
    /// What must follow.
    pub expect: Vec<Expectation>,
}

/// Something that must follow from a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Where its first key stands in the file.
    pub span: Span,
    /// What is expected.
    pub what: Expect,
    /// It must come true within this time of the step's clock. For limits of traffic it means nothing.
    pub within: Duration,
    /// Having come true, it must stay so for this long (within the step).
    /// Traffic is watched at least so long, and until the step's other expectations are decided.
    pub stays: Duration,
}

/// The JSON Schema of the file, from the types that read it.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(raw::RawScenario).to_value()
}
