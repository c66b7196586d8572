//! Folders of a scenario and its record, and what must be found in it.
//!
//! `tests/fixtures/judge/NAME`: `scenario.toml`, `record.jsonl` without its first line (the files' texts), and
//! `findings.txt`, the run as the terminal draws it. `REFRESH=1 cargo test judge::` writes the last anew.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Findings, Judge, judge};
use crate::record::{self, Entry, Fact, SourceText};
use crate::report::{Played, Report, Terminal};
use crate::scenario::{Scenario, parse_kept};
use crate::source::Source;
use crate::time::At;
use crate::topology::Topology;

/// A folder, read.
struct Fixture {
    folder: PathBuf,
    scenario: Scenario,
    topology: Topology,
    entries: Vec<Entry>,
}

fn fixtures() -> Vec<Fixture> {
    let root = Path::new("tests/fixtures/judge");
    let mut folders: Vec<PathBuf> = fs::read_dir(root)
        .expect("fixtures")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders.iter().map(|folder| fixture(root, folder)).collect()
}

fn fixture(root: &Path, folder: &Path) -> Fixture {
    let text = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a text file");
        // Shown as users would see it, and the same on every machine.
        let shown = path.strip_prefix(root).expect("below the root");
        SourceText {
            path: shown.to_string_lossy().into_owned(),
            text,
        }
    };
    let scenario = text(folder.join("scenario.toml"));
    let topology = text(root.join("one-metro.toml"));
    let source = |text: &SourceText| Source::new(&text.path, &*text.text);
    let (model, lab) = parse_kept(&source(&scenario), &source(&topology))
        .unwrap_or_else(|mistakes| panic!("\n{}", mistakes.render(false)));
    let mut entries = vec![Entry {
        at: At::ZERO,
        fact: Fact::Run {
            peerlab: "0.1.0".to_owned(),
            started: "2026-01-01T00:00:00Z".to_owned(),
            scenario,
            topology,
            binding: None,
            host: "Linux 6.12, 2 CPUs, root".to_owned(),
        },
    }];
    entries.extend(record::read(&folder.join("record.jsonl")).expect("a record"));
    Fixture {
        folder: folder.to_owned(),
        scenario: model,
        topology: lab,
        entries,
    }
}

/// The run as the terminal draws it, without colours.
fn drawn(fixture: &Fixture) -> String {
    let mut terminal = Terminal::to(anstream::StripStream::new(Vec::new()), false);
    terminal.begin(&fixture.scenario, None);
    let mut judge = Judge::new(&fixture.scenario, &fixture.topology);
    for entry in &fixture.entries {
        terminal.entry(entry);
        judge.take(entry);
        while let Some(finding) = judge.poll() {
            terminal.finding(finding);
        }
    }
    let shown = judge.findings().len();
    let findings = judge.finish();
    for finding in &findings.findings[shown..] {
        terminal.finding(finding);
    }
    let played = Played::new(&fixture.entries[0].fact, &fixture.scenario, findings);
    terminal.end(&played);
    let report = Report::of(vec![played]);
    terminal.summary(&report);
    let text = String::from_utf8(terminal.into_inner().into_inner()).expect("UTF-8");
    format!("{text}exit {}\n", report.exit)
}

#[test]
fn folders_give_their_findings() {
    let refresh = std::env::var_os("REFRESH").is_some();
    let fixtures = fixtures();
    assert!(fixtures.len() >= 8);
    for fixture in fixtures {
        let path = fixture.folder.join("findings.txt");
        let text = drawn(&fixture);
        for line in text.lines() {
            // Diagnostics show the file as it is; everything else keeps to the width.
            let titled = ["error: ", "warning: "]
                .iter()
                .any(|word| line.starts_with(word));
            let framed = titled || line.contains('|') || line.contains("= ");
            assert!(framed || line.chars().count() <= 100, "too wide: {line}");
            assert!(!line.contains('\x1b'), "escape code: {line:?}");
        }
        if refresh {
            fs::write(&path, text).expect("write");
        } else {
            let expected = fs::read_to_string(&path).unwrap_or_default();
            assert!(text == expected, "{}:\n{text}", path.display());
        }
    }
}

/// Judged as the run does it: asked for progress after every entry and whenever it wants to be asked.
fn live(fixture: &Fixture) -> (Findings, usize) {
    let mut judge = Judge::new(&fixture.scenario, &fixture.topology);
    let mut undone = 0;
    let mut now = At::ZERO;
    for entry in &fixture.entries {
        while let Some(wake) = judge.progress(now).wake
            && wake < entry.at
        {
            assert!(wake > now, "asked to be woken in the past");
            now = wake;
        }
        now = now.max(entry.at);
        if matches!(entry.fact, Fact::StepEnded { .. }) && !judge.progress(now).done {
            eprintln!("{now}: {:?} {:?}", entry.fact, judge.progress(now));
            undone += 1;
        }
        judge.take(entry);
        let _ = judge.progress(now);
    }
    (judge.finish(), undone)
}

#[test]
fn live_and_kept_agree() {
    for fixture in fixtures() {
        let kept = judge(&fixture.entries, &fixture.scenario, &fixture.topology);
        let (live, undone) = live(&fixture);
        assert_eq!(kept, live, "{}", fixture.folder.display());
        assert_eq!(
            undone,
            0,
            "a step was ended that is not done: {}",
            fixture.folder.display()
        );
    }
}

/// Every prefix of a record is what a killed run leaves behind.
#[test]
fn every_prefix_is_judged_and_none_is_success() {
    for fixture in fixtures() {
        let whole = judge(&fixture.entries, &fixture.scenario, &fixture.topology);
        let last_end = fixture
            .entries
            .iter()
            .rposition(|entry| matches!(entry.fact, Fact::StepEnded { .. }))
            .unwrap_or(0);
        for length in 0..last_end {
            let entries = &fixture.entries[..length];
            let cut = judge(entries, &fixture.scenario, &fixture.topology);
            assert!(cut.findings.len() >= whole.findings.len().min(1));
            assert_ne!(super::exit_number([cut.verdict()]), 0, "{length} lines");
        }
    }
}

#[test]
fn nothing_played_is_not_success() {
    assert_eq!(super::exit_number([]), 3);
}
