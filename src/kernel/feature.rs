//! What this machine can do for a lab, found by trying it.
//!
//! Kernel features are tried in a throw-away namespace with the requests a lab makes; programs are asked for their
//! version. Nothing is concluded from a kernel configuration or a version number.
//!
//! **Invariant:** trying changes nothing outside the namespace it is tried in.

use serde::Serialize;

pub mod attempt;
pub mod neighbours;
pub mod program;

/// Something a lab can use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Feature {
    /// Its name, for example `netem` or `bird`.
    pub name: &'static str,
    /// Whether labs need it always.
    pub need: Need,
    /// What was found.
    pub finding: Finding,
    /// What peerlab does with it, as a clause: without it peerlab cannot do this.
    pub serves: &'static str,
    /// How to get it, when it is missing.
    pub remedy: String,
}

/// How much a lab depends on a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// No lab without it.
    Always,
    /// Some scenarios, bindings or figures need it; those that do are reported as blocked.
    Sometimes,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "detail")]
pub enum Finding {
    /// It works; a version or a number where there is one, else empty.
    Present(String),
    /// It does not, and why, in the words of the kernel or of the program.
    Missing(String),
}

impl Feature {
    /// Whether it works.
    pub fn is_present(&self) -> bool {
        matches!(self.finding, Finding::Present(_))
    }
}
