//! A finding as a compiler would draw it, at its line of the scenario.

use std::sync::Arc;

use crate::judge::{Evidence, Finding, Verdict, microsoft, words};
use crate::record::{self, Fact, Failure};
use crate::source::{Diagnostic, Severity, Source};

/// Facts named as evidence at most.
const SHOWN: usize = 3;
/// Checks of a prefix named at most.
const SHOWN_FAILURES: usize = 8;

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
    // Beside the checks, which are told once.
    let portal = finding.evidence.iter().filter_map(shown_by_the_portal);
    for shown in portal.take(usize::from(!finding.failures.is_empty())) {
        drawn = drawn.note(shown);
    }
    for failure in finding.failures.iter().take(SHOWN_FAILURES) {
        drawn = drawn.note(self::failure(failure));
    }
    match finding.failures.len().saturating_sub(SHOWN_FAILURES) {
        0 => {}
        more => drawn = drawn.note(format!("{more} more are in report.json")),
    }
    match (microsoft::remedies(&finding.failures), &finding.help) {
        (remedies, _) if !remedies.is_empty() => {
            for remedy in remedies {
                drawn = drawn.help(remedy);
            }
        }
        (_, Some(help)) => drawn = drawn.help(&**help),
        (_, None) => {}
    }
    Some(drawn)
}

/// A check that was not passed: what was found, what it rests on, and the nearest thing that would have passed.
pub(super) fn failure(failure: &Failure) -> String {
    let on = match &failure.connection {
        Some(connection) => format!(" on {connection}"),
        None => String::new(),
    };
    let how = match failure.severity {
        record::Severity::Fail => "",
        record::Severity::Warn => "warning: ",
        record::Severity::Unchecked => "unchecked: ",
    };
    let (reason, check, text) = (&failure.reason, &failure.check, &failure.text);
    let mut lines = vec![format!("{how}{reason} ({check}){on}: {text}")];
    let evidence = failure.evidence.iter();
    // An object of a registry has several lines.
    lines.extend(evidence.flat_map(|found| found.lines().map(|line| format!("  {line}"))));
    if let Some(nearest) = &failure.nearest {
        lines.push(format!("  would have passed: {nearest}"));
    }
    lines.join("\n")
}

/// The message of a prefix as the portal has it, where the documents have its heading.
fn shown_by_the_portal(evidence: &Evidence) -> Option<String> {
    let (Fact::RegisteredPrefix { message, .. } | Fact::ServicePrefix { message, .. }) =
        &evidence.entry.fact
    else {
        return None;
    };
    let message = message.as_ref().filter(|message| message.documented)?;
    Some(format!(
        "the portal shows: {}\n  {}",
        message.heading, message.text
    ))
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
