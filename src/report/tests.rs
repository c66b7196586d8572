//! The report of kept runs in every form, through the subcommand that judges them again.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{RECORD, Report, Terminal, write};
use crate::cli::report::{rejudge, resources};
use crate::judge::Verdict;
use crate::record::{self, Entry, Fact, SourceText, Writer};
use crate::time::At;

const FIXTURES: &str = "tests/fixtures/judge";

/// A report directory with the record of these fixtures, one after the other.
fn directory(names: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Writer::create(&directory.path().join(RECORD)).expect("a record");
    for name in names {
        let text = |path: &str| SourceText {
            path: path.to_owned(),
            text: fs::read_to_string(Path::new(FIXTURES).join(path)).expect("a file"),
        };
        let run = Entry {
            at: At::ZERO,
            fact: Fact::Run {
                peerlab: "0.1.0".to_owned(),
                started: "2026-01-01T00:00:00Z".to_owned(),
                scenario: text(&format!("{name}/scenario.toml")),
                topology: text("one-metro.toml"),
                binding: None,
                host: "Linux 6.12, 2 CPUs, root".to_owned(),
            },
        };
        writer.write(&run).expect("written");
        let record = Path::new(FIXTURES).join(name).join(RECORD);
        writer
            .write_all(&record::read(&record).expect("a record"))
            .expect("written");
    }
    directory
}

fn report(directory: &Path) -> (Report, String) {
    let mut terminal = Terminal::to(anstream::StripStream::new(Vec::new()), false);
    let report = rejudge(directory, &mut terminal).expect("a report");
    let drawn = terminal.into_inner().into_inner();
    (report, String::from_utf8(drawn).expect("UTF-8"))
}

#[test]
fn a_record_of_several_scenarios_is_judged_again() {
    let directory = directory(&["all-met", "late-and-never", "late-host", "never-settled"]);
    let (report, drawn) = report(directory.path());
    let verdicts: Vec<Verdict> = report
        .scenarios
        .iter()
        .map(|played| played.verdict)
        .collect();
    use Verdict::{Inconclusive, Met, Missed};
    assert_eq!(verdicts, [Met, Missed, Inconclusive, Missed]);
    assert_eq!(report.exit, 1);
    // A requirement has the worst verdict of the scenarios that prove it, and is listed when none does.
    let proven = |id: &str| {
        let proven = report.requirements.iter().find(|proven| proven.id == id);
        proven.expect("in the catalogue")
    };
    assert_eq!(proven("BFD-05").verdict, Some(Inconclusive));
    assert_eq!(proven("BFD-05").scenarios.len(), 2);
    assert_eq!(proven("RED-01").verdict, Some(Missed));
    assert_eq!(proven("ASN-02").verdict, None);
    assert!(drawn.contains("25 expectations in 4 scenarios"), "{drawn}");
    // Lines of the second run are lines of the whole record.
    let text = fs::read_to_string(directory.path().join(RECORD)).expect("the record");
    let lines: Vec<&str> = text.lines().collect();
    for finding in report
        .scenarios
        .iter()
        .flat_map(|played| &played.findings.findings)
    {
        for evidence in &finding.evidence {
            let entry: Entry = serde_json::from_str(lines[evidence.line - 1]).expect("a fact");
            assert_eq!(entry, evidence.entry);
        }
    }
}

#[test]
fn the_json_says_what_the_terminal_says() {
    let directory = directory(&["all-met", "late-and-never"]);
    let (report, _) = report(directory.path());
    write(&report, directory.path()).expect("written");
    let text = fs::read_to_string(directory.path().join("report.json")).expect("report.json");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["verdict"], "missed");
    assert_eq!(json["exit"], 1);
    let late = &json["scenarios"][1];
    assert_eq!(late["file"], "late-and-never/scenario.toml");
    let finding = &late["findings"][1];
    assert_eq!(finding["expected"], "bfd ams-1 down within 500 ms");
    assert_eq!(finding["verdict"], "missed");
    assert_eq!(
        finding["figures"][0]["value"]["nanoseconds"],
        1_180_000_000u64
    );
    assert_eq!(late["places"][1], serde_json::json!([14, 1]));
    assert_eq!(finding["evidence"][0]["entry"]["fact"], "bfd");
    assert_eq!(late["convergence"][0]["detected"]["layer"], "bfd");
    assert_eq!(late["traffic"][0]["traffic"]["direction"]["from"], "sbc");
    assert_eq!(json["requirements"][0]["id"], "ASN-01");
    assert!(json["requirements"][0]["verdict"].is_null());
}

/// The host certificate: how late packets left is told of every run that sent any.
#[test]
fn how_late_packets_left_is_drawn() {
    let directory = directory(&["all-met"]);
    let (_, drawn) = report(directory.path());
    assert!(!drawn.contains("p99.9"), "{drawn}");
    let record = directory.path().join(RECORD);
    let mut text = fs::read_to_string(&record).expect("the record");
    for (protocol, p99) in [("bfd", 290_000), ("lacp", 1_500_000)] {
        text += &format!(
            r#"{{"at":5413000000,"fact":"punctuality","protocol":"{protocol}","figures":{{"packets":200,"kernel-stamped":198,"p50":143000,"p99":{p99},"p999":2000000,"longest":2000000}}}}"#
        );
        text += "\n";
    }
    text += r#"{"at":5413000000,"fact":"punctuality","protocol":"none","figures":{"packets":0,"kernel-stamped":0,"p50":0,"p99":0,"p999":0,"longest":0}}"#;
    text += "\n";
    fs::write(&record, text).expect("written");
    let (report, drawn) = report(directory.path());
    assert_eq!(report.scenarios[0].findings.lateness.packets.len(), 3);
    for words in [
        "bfd   0.14 ms (p50), 0.29 ms (p99), 2 ms (p99.9) late, of 200; 99 % stamped by the kernel",
        "none  none of ours was due",
        "lacp  0.14 ms (p50), 1.5 ms (p99), 2 ms (p99.9) late",
    ] {
        assert!(drawn.contains(words), "{drawn}");
    }
}

#[test]
fn the_checks_of_a_prefix_are_in_every_form() {
    let directory = directory(&["prefixes-missed", "nobody-asked"]);
    let (report, drawn) = report(directory.path());
    write(&report, directory.path()).expect("written");
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).expect("a file");
    let json: serde_json::Value = serde_json::from_str(&read("report.json")).expect("JSON");
    let failure = &json["scenarios"][0]["findings"][1]["failures"][0];
    assert_eq!(failure["reason"], "missing-community");
    assert_eq!(failure["severity"], "fail");
    assert_eq!(failure["config"][1], " set community 8075:8007 additive");
    let ended = &json["scenarios"][1]["prefixes"];
    assert_eq!(ended[0]["object"], "registered-prefix");
    assert_eq!(ended[0]["unexpected"], false);
    assert_eq!(ended[1]["state"], "Warning");
    assert_eq!(ended[1]["unexpected"], true);
    let junit = read("junit.xml");
    for text in [&drawn, &junit] {
        for part in [
            "missing-community (V-05) on ams-1: the route of 192.0.2.0 lacks 8075:8007",
            "would have passed: the same route with 8075:8007",
            " set community 8075:8007 additive",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
    let told =
        "Peering Service prefix 198.51.100.0/24 Warning: prefix-not-received on ams-2 at the end";
    assert!(drawn.contains(told), "{drawn}");
}

/// `tests/fixtures/junit.xsd` is the shape CI systems agree on, written from their documentation.
#[test]
fn the_junit_file_is_accepted_by_a_schema() {
    let directory = directory(&[
        "all-met",
        "late-and-never",
        "lab-failed",
        "step-blocked",
        "late-host",
    ]);
    let (report, _) = report(directory.path());
    write(&report, directory.path()).expect("written");
    let path = directory.path().join("junit.xml");
    let text = fs::read_to_string(&path).expect("junit.xml");
    for part in [
        r#"<testsuites name="peerlab" tests="33" failures="5" errors="4" time="#,
        r#"<property name="requirement" value="BFD-01"/>"#,
        r#"type="missed""#,
        "late-and-never/scenario.toml:14: after 1.18 s, late by 680 ms",
        r#"<skipped message="inconclusive: "#,
        r#"<skipped message="blocked: "#,
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let checked = Command::new("xmllint")
        .args(["--noout", "--schema", "tests/fixtures/junit.xsd"])
        .arg(&path)
        .output()
        .expect("xmllint (Debian: libxml2-utils)");
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}\n{text}");
}

#[test]
fn azures_resources_of_every_run() {
    let directory = directory(&["all-met", "late-host"]);
    let runs = resources(directory.path()).expect("resources");
    for (run, name) in runs
        .as_array()
        .expect("a list")
        .iter()
        .zip(["all-met", "late-host"])
    {
        assert_eq!(run["scenario"], format!("{name}/scenario.toml"));
        // These records were made before there was a Microsoft side: all they have is the topology's service.
        assert_eq!(
            run["resources"][0]["type"],
            "Microsoft.Peering/peeringServices"
        );
        assert_eq!(run["resources"].as_array().map(Vec::len), Some(1));
    }
    let nothing = tempfile::tempdir().expect("a directory");
    fs::write(nothing.path().join(RECORD), "").expect("written");
    assert!(resources(nothing.path()).is_err());
}

#[test]
fn a_record_that_is_none_is_refused() {
    let refuse = |text: &str| {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(RECORD), text).expect("written");
        let mut terminal = Terminal::to(Vec::new(), false);
        let error = rejudge(directory.path(), &mut terminal).expect_err("no record");
        (error.to_string(), terminal.into_inner())
    };
    let (error, drawn) = refuse("");
    assert_eq!(
        error,
        "failed to judge the record: line 1 does not tell what was played"
    );
    assert!(drawn.is_empty());
    let (error, _) = refuse("{\"at\":1,\"fact\":\"step-acted\",\"step\":0}\n");
    assert_eq!(
        error,
        "failed to judge the record: line 1 does not tell what was played"
    );
    let (error, _) = refuse("what is this\n");
    assert!(
        error.contains("record.jsonl, line 1: expected value"),
        "{error}"
    );
}

/// Standing lines are only drawn over where there is a terminal.
#[test]
fn a_live_terminal_draws_over_its_last_line() {
    let directory = directory(&["all-met"]);
    let drawn = |live| {
        let mut terminal = Terminal::to(Vec::new(), live);
        rejudge(directory.path(), &mut terminal).expect("a report");
        String::from_utf8(terminal.into_inner()).expect("UTF-8")
    };
    assert!(drawn(true).contains("\r\x1b[2K"));
    assert!(!drawn(false).contains('\r'));
}

/// A directory that takes no files: told, not panicked.
#[test]
fn a_report_that_cannot_be_written_says_so() {
    let report = Report::of(Vec::new());
    assert_eq!(report.exit, 3);
    let error = write(&report, Path::new("/proc/self")).expect_err("not writable");
    assert!(
        error
            .to_string()
            .starts_with("write /proc/self/report.json: "),
        "{error}"
    );
}
