//! A finding as a compiler would draw it, at its line of the scenario.

use std::sync::Arc;

use crate::judge::{Evidence, Finding, Verdict, words};
use crate::record::Fact;
use crate::source::{Diagnostic, Severity, Source};

/// Facts named as evidence at most.
const SHOWN: usize = 3;

/// The diagnostic of a finding that is not met; `None` for one that is.
pub fn diagnostic(finding: &Finding, source: &Arc<Source>) -> Option<Diagnostic> {
    let severity = match finding.verdict {
        Verdict::Met => return None,
        Verdict::Missed | Verdict::Errored => Severity::Error,
        Verdict::Blocked | Verdict::Inconclusive => Severity::Warning,
    };
    let message = format!("{}: {}", finding.verdict.word(), finding.expected);
    let mut observed = finding.observed.split("; ");
    let label = observed.next().unwrap_or_default();
    let mut drawn = Diagnostic::new(severity, message).at(source, finding.span, label);
    for further in observed {
        drawn = drawn.note(further);
    }
    for note in finding.evidence.iter().filter_map(note).take(SHOWN) {
        drawn = drawn.note(note);
    }
    if let Some(help) = &finding.help {
        drawn = drawn.help(&**help);
    }
    Some(drawn)
}

/// A fact of the evidence and where it stands; `None` for one that the finding's own words repeat.
fn note(evidence: &Evidence) -> Option<String> {
    let what = match &evidence.entry.fact {
        Fact::ProbeLost {
            from,
            to,
            flow,
            count,
            first_sent,
            last_sent,
            ..
        } => format!(
            "{from} -> {to}, flow {flow}: {} sent {first_sent} to {last_sent} lost",
            words::counted(*count, "packet")
        ),
        fact => words::fact(fact)?,
    };
    let at = evidence.entry.at;
    Some(format!("at {at} (record line {}) {what}", evidence.line))
}
