//! Verdicts, findings with their evidence, and the exit number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::{
    BfdPartner, Convergence, LacpPartner, Lateness, MemberTraffic, OfMember, Traffic,
};
use crate::record::{Entry, Failure, Nanos};
use crate::scenario::PrefixObject;
use crate::source::Span;

/// What is said of one expectation. From best to worst, as [`Verdict::worse`] orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// What was expected happened in time.
    Met,
    /// Tried, but this host was too late for the claim.
    Inconclusive,
    /// Could not be tried.
    Blocked,
    /// It did not happen, or too late.
    Missed,
    /// The lab itself failed.
    Errored,
}

/// One expectation, or a step by itself, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// The step, counted from 0.
    pub step: usize,
    /// The expectation in the step, counted from 0; `None` for the step itself (`settle`, or a step that was blocked).
    pub expectation: Option<usize>,
    /// Where it stands in the scenario file.
    pub span: Span,
    /// What was expected, in words.
    pub expected: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Measured values and their limits.
    pub figures: Vec<Figure>,
    /// What was observed, as one sentence without a full stop.
    pub observed: String,
    /// What would help, if that is obvious.
    pub help: Option<String>,
    /// The facts it rests on.
    pub evidence: Vec<Evidence>,
    /// Of a registered or Peering Service prefix: the checks that it did not pass at the end of the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// A measured value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Figure {
    /// `after`, `interrupted`, `lost`, `quiet`.
    pub name: String,
    /// The value.
    pub value: Quantity,
    /// The most it may be (for `quiet`: the least).
    pub limit: Option<Quantity>,
}

/// A number with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Nanoseconds.
    Nanoseconds(Nanos),
    /// Packets.
    Packets(u64),
}

/// A fact a finding rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Its line in the record, counted from 1.
    pub line: usize,
    /// The fact.
    pub entry: Entry,
}

/// What came of one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Findings {
    /// The scenario's name.
    pub scenario: String,
    /// Requirement ids it proves.
    pub proves: Vec<String>,
    /// One per expectation, and one per settle, in file order.
    pub findings: Vec<Finding>,
    /// The stages after each fault.
    pub convergence: Vec<Convergence>,
    /// What was seen of the other ends of BFD sessions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bfd: Vec<BfdPartner>,
    /// What was seen of the other ends of members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacp: Vec<LacpPartner>,
    /// Cables that lead elsewhere, and connections that end together, with the remedy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wiring: Vec<String>,
    /// What each member carried, at both ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberTraffic>,
    /// What each direction of probe traffic went through in each step.
    pub traffic: Vec<Carried>,
    /// What became of registered and Peering Service prefixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<PrefixEnded>,
    /// Phases of the lab's life and how long each took, in order.
    pub phases: Vec<PhaseTook>,
    /// How late this host was in the whole run.
    pub lateness: Lateness,
    /// From the first entry to the last.
    pub took: Nanos,
}

/// One direction of probe traffic in one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Carried {
    /// The step, counted from 0.
    pub step: usize,
    /// What happened to it.
    pub traffic: Traffic,
    /// Flows by the connection (or `internet`) they went over when the step began.
    pub before: BTreeMap<String, usize>,
    /// The same when the step ended.
    pub after: BTreeMap<String, usize>,
    /// What befell the flows of each member.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_member: BTreeMap<String, OfMember>,
}

/// A registered or Peering Service prefix at the end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PrefixEnded {
    /// Which object.
    pub object: PrefixObject,
    /// The prefix as it was given.
    pub prefix: String,
    /// `prefixValidationState`.
    pub state: String,
    /// It failed or warns, and no expectation of the scenario asks for that.
    pub unexpected: bool,
    /// The checks that it did not pass.
    pub failures: Vec<Failure>,
}

/// A phase and its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PhaseTook {
    /// Its name.
    pub phase: String,
    /// How long it took.
    pub took: Nanos,
}

impl Verdict {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Met => "met",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Blocked => "blocked",
            Verdict::Missed => "missed",
            Verdict::Errored => "errored",
        }
    }

    /// The one that counts when both are given.
    pub fn worse(self, other: Verdict) -> Verdict {
        self.max(other)
    }
}

impl Findings {
    /// The verdict of the whole scenario. Nothing found is not success: it is blocked.
    pub fn verdict(&self) -> Verdict {
        self.findings
            .iter()
            .map(|finding| finding.verdict)
            .reduce(Verdict::worse)
            .unwrap_or(Verdict::Blocked)
    }
}

/// The exit number for the verdicts of all scenarios. No verdict at all is not success.
///
/// 0 all met, 1 something missed, 3 something blocked, 4 the lab failed, 5 inconclusive.
pub fn exit_number(verdicts: impl IntoIterator<Item = Verdict>) -> u8 {
    let worst = verdicts.into_iter().reduce(Verdict::worse);
    match worst.unwrap_or(Verdict::Blocked) {
        Verdict::Met => 0,
        Verdict::Missed => 1,
        Verdict::Blocked => 3,
        Verdict::Errored => 4,
        Verdict::Inconclusive => 5,
    }
}
