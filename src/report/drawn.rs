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
    let mut drawn = Diagnostic::new(severity, message).at(source, finding.span, &*finding.observed);
    for evidence in finding.evidence.iter().take(SHOWN) {
        drawn = drawn.note(note(evidence));
    }
    if let Some(help) = &finding.help {
        drawn = drawn.help(&**help);
    }
    Some(drawn)
}

fn note(evidence: &Evidence) -> String {
    let at = evidence.entry.at;
    let line = evidence.line;
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
        fact => fields(fact),
    };
    format!("record line {line}, {at}: {what}")
}

/// A fact's name and fields, as they stand in the record.
fn fields(fact: &Fact) -> String {
    let value = serde_json::to_value(fact).unwrap_or_default();
    let Some(object) = value.as_object() else {
        return String::new();
    };
    let name = object.get("fact").and_then(|name| name.as_str());
    let fields = object.iter().filter(|(key, _)| *key != "fact");
    let fields: Vec<String> = fields
        .filter(|(_, value)| !value.is_null() && value.as_str() != Some(""))
        .map(|(key, value)| match value.as_str() {
            Some(text) => format!("{key} {text}"),
            None => format!("{key} {value}"),
        })
        .collect();
    format!("{} {}", name.unwrap_or_default(), fields.join(", "))
}
