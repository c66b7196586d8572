//! `junit.xml`: a test suite for each scenario, a test case for each finding.
//!
//! Missed is a failure and errored an error. Blocked and inconclusive are skipped, with the reason: nothing is known of
//! the device then. The requirements a scenario proves are properties of its suite.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite};

use super::{Played, Report};
use crate::judge::{Finding, Quantity, Verdict};

/// Draws a report as JUnit XML.
///
/// # Errors
/// When the XML cannot be written, which an in-memory string never refuses.
pub fn junit(report: &Report) -> Result<String, quick_junit::SerializeError> {
    let mut drawn = quick_junit::Report::new("peerlab");
    for played in &report.scenarios {
        drawn.add_test_suite(suite(played));
    }
    let took = report
        .scenarios
        .iter()
        .map(|played| Duration::from(played.findings.took));
    drawn.set_time(took.sum());
    Ok(without_skipped_sum(&drawn.to_string()?))
}

/// Leaves out the sum of skipped cases in the root element, which the schema of Jenkins does not know. Each suite has its own.
fn without_skipped_sum(xml: &str) -> String {
    let root = xml.find("<testsuites").unwrap_or(0);
    let end = xml[root..].find('>').map_or(root, |end| root + end);
    let attribute = xml[root..end].find(" skipped=\"").map(|at| root + at);
    let Some(begin) = attribute else {
        return xml.to_owned();
    };
    let value = begin + " skipped=\"".len();
    let after = xml[value..end]
        .find('"')
        .map_or(end, |quote| value + quote + 1);
    format!("{}{}", &xml[..begin], &xml[after..])
}

fn suite(played: &Played) -> TestSuite {
    let mut suite = TestSuite::new(played.name.as_str());
    suite.set_time(Duration::from(played.findings.took));
    if let Ok(started) = chrono::DateTime::parse_from_rfc3339(&played.started) {
        suite.set_timestamp(started);
    }
    suite.add_property(Property::new("topology", played.topology.as_str()));
    suite.add_property(Property::new(
        "binding",
        played.binding.as_deref().unwrap_or("simulated"),
    ));
    for id in &played.findings.proves {
        suite.add_property(Property::new("requirement", id.as_str()));
    }
    for (finding, (line, _)) in played.findings.findings.iter().zip(&played.places) {
        suite.add_test_case(case(played, finding, *line));
    }
    suite
}

fn case(played: &Played, finding: &Finding, line: usize) -> TestCase {
    let status = match finding.verdict {
        Verdict::Met => TestCaseStatus::success(),
        Verdict::Missed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Errored => TestCaseStatus::non_success(NonSuccessKind::Error),
        Verdict::Blocked | Verdict::Inconclusive => TestCaseStatus::skipped(),
    };
    // The step stands in the name, because the same may be expected of several.
    let name = format!("step {}: {}", finding.step + 1, finding.expected);
    let mut case = TestCase::new(name, status);
    case.set_classname(played.name.as_str());
    case.set_time(measured(finding));
    if finding.verdict != Verdict::Met {
        let mut description = format!("{}:{line}: {}", played.file, finding.observed);
        for failure in &finding.failures {
            description.push_str(&format!("\n{}", super::drawn::failure(failure)));
        }
        if let Some(help) = &finding.help {
            description.push_str(&format!("\nhelp: {help}"));
        }
        case.status
            .set_message(format!("{}: {}", finding.verdict.word(), finding.observed))
            .set_description(description);
        if matches!(finding.verdict, Verdict::Missed | Verdict::Errored) {
            case.status.set_type(finding.verdict.word());
        }
    }
    case
}

/// The first measured time of a finding.
fn measured(finding: &Finding) -> Duration {
    let times = finding
        .figures
        .iter()
        .filter_map(|figure| match figure.value {
            Quantity::Nanoseconds(time) => Some(Duration::from(time)),
            Quantity::Packets(_) => None,
        });
    times.into_iter().next().unwrap_or_default()
}
