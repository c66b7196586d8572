//! The three files: what is shipped is right, and every mistake is shown at its place.
//!
//! `tests/fixtures/files/good/NAME.toml` has its model in `NAME.expected`, `bad/NAME.toml` what is told about it.
//! `REFRESH=1 cargo test --test files` writes the expectations anew, to be read before they are committed.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use peerlab::cli::check::{self, Kind};
use peerlab::cli::schema::schema;
use peerlab::scenario::{Act, FaultKind, Target};
use peerlab::source::Source;
use peerlab::{binding, scenario, topology};
use proptest::prelude::*;

/// TOML files at and below a folder, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("folder") {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "toml") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder} has no files");
    found
}

/// Files that are shipped to users.
fn shipped() -> Vec<PathBuf> {
    let mut found = files("topologies");
    found.extend(files("scenarios"));
    found
}

/// Compares what was found for each fixture of a folder with the file beside it.
fn check_folder(folder: &str, find: impl Fn(&Path) -> String) {
    let refresh = std::env::var_os("REFRESH").is_some();
    let mut differences = String::new();
    for path in files(folder) {
        let found = find(&path);
        let expected_at = path.with_extension("expected");
        if refresh {
            std::fs::write(&expected_at, found).expect("expectation written");
            continue;
        }
        let expected = std::fs::read_to_string(&expected_at).unwrap_or_default();
        if expected != found {
            let path = path.display();
            let _ = writeln!(differences, "{path}: expected\n{expected}\nfound\n{found}");
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn good_files_become_models() {
    check_folder("tests/fixtures/files/good", |path| {
        let source = Source::read(path).expect("readable");
        let model = match Kind::of(&source).expect("a kind") {
            Kind::Topology => topology::parse(&source).map(|model| format!("{model:#?}\n")),
            Kind::Binding => binding::parse(&source, None).map(|model| format!("{model:#?}\n")),
            Kind::Scenario => scenario::parse(&source).map(|(model, _)| format!("{model:#?}\n")),
            Kind::Profile => topology::profile::parse(&source).map(|model| format!("{model:#?}\n")),
        };
        model.unwrap_or_else(|mistakes| panic!("{}:\n{mistakes}", path.display()))
    });
}

#[test]
fn bad_files_are_told_at_their_places() {
    check_folder("tests/fixtures/files/bad", |path| {
        let mistakes = check::mistakes(&[path.to_path_buf()]);
        assert!(!mistakes.is_empty(), "{} is good", path.display());
        mistakes.to_string()
    });
}

#[test]
fn shipped_files_have_no_mistakes() {
    let mistakes = check::mistakes(&shipped());
    assert!(mistakes.is_empty(), "\n{mistakes}");
}

#[test]
fn shipped_scenarios_break_everything_in_every_way_and_repair_it() {
    let mut kinds = Vec::new();
    for path in files("scenarios") {
        let rehearsal = scenario::load(&path, None).expect("good");
        let name = &rehearsal.scenario.name;
        assert!(
            !rehearsal.scenario.summary.is_empty(),
            "{name} has no summary"
        );
        assert!(
            !rehearsal.scenario.proves.is_empty(),
            "{name} proves nothing"
        );
        let steps = &rehearsal.scenario.steps;
        assert!(
            matches!(steps[0].act, Act::Settle { .. }) || !rehearsal.scenario.onboarded,
            "{name} does not settle first"
        );
        let expectations: usize = steps.iter().map(|step| step.expect.len()).sum();
        assert!(expectations > 0, "{name} expects nothing");
        let faults = steps.iter().filter_map(|step| match &step.act {
            Act::Fail(fault) => Some(fault.how),
            _ => None,
        });
        let acts = steps.iter().map(|step| &step.act);
        let impaired = acts.filter(|act| matches!(act, Act::Impair(_)));
        let before = kinds.len();
        kinds.extend(faults);
        let repairs: Vec<&Act> = steps
            .iter()
            .map(|step| &step.act)
            .filter(|act| matches!(act, Act::Repair(_)))
            .collect();
        let everything = matches!(repairs.last(), Some(Act::Repair(Target::All)));
        assert!(
            everything || repairs.len() == kinds.len() - before + impaired.count(),
            "{name} leaves something broken"
        );
    }
    for kind in [
        FaultKind::Light,
        FaultKind::Silent,
        FaultKind::OneWayIn,
        FaultKind::OneWayOut,
        FaultKind::Member,
        FaultKind::Lacp,
        FaultKind::Bfd,
        FaultKind::Bgp,
        FaultKind::Node,
        FaultKind::Metro,
    ] {
        assert!(
            kinds.contains(&kind),
            "no shipped scenario breaks something like {kind:?}"
        );
    }
}

#[test]
fn missing_files_are_told_together() {
    let paths = ["no/such.toml", "scenarios/bring-up.toml", "none.toml"].map(PathBuf::from);
    let told = check::mistakes(&paths).to_string();
    assert_eq!(
        told,
        "error: cannot read `no/such.toml`: no such file\n\n\
         error: cannot read `none.toml`: no such file\n"
    );
}

/// Where the schema of a kind is shipped.
const SCHEMAS: [(Kind, &str); 4] = [
    (Kind::Topology, "topologies/schema.json"),
    (Kind::Binding, "topologies/bindings/schema.json"),
    (Kind::Scenario, "scenarios/schema.json"),
    (Kind::Profile, "topologies/profiles/schema.json"),
];

#[test]
fn shipped_schemas_are_those_of_the_types() {
    for (kind, path) in SCHEMAS {
        let made = schema(kind);
        if std::env::var_os("REFRESH").is_some() {
            std::fs::write(path, &made).expect("schema written");
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == made,
            "{path} differs from `peerlab schema`: refresh it"
        );
    }
}

#[test]
fn shipped_files_name_their_schema_and_fit_it() {
    let validator = |kind| {
        let schema = serde_json::from_str(&schema(kind)).expect("JSON");
        jsonschema::validator_for(&schema).expect("a JSON Schema")
    };
    let validators = SCHEMAS.map(|(kind, path)| (kind, path, validator(kind)));
    for path in shipped() {
        let source = Source::read(&path).expect("readable");
        let kind = Kind::of(&source).expect("a kind");
        let (_, schema, validator) = (validators.iter())
            .find(|(other, _, _)| *other == kind)
            .expect("one of the kinds");
        let value: serde_json::Value = toml::from_str(&source.text).expect("TOML");
        let breaches: Vec<String> = (validator.iter_errors(&value))
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(breaches.is_empty(), "{}: {breaches:#?}", path.display());
        let named = source
            .text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("#:schema "));
        let named = path
            .parent()
            .expect("folder")
            .join(named.unwrap_or_default());
        let (named, schema) = (named.canonicalize(), Path::new(schema).canonicalize());
        assert_eq!(
            named.expect("schema exists"),
            schema.expect("exists"),
            "{}",
            path.display()
        );
    }
}

#[test]
fn schemas_refuse_what_the_parser_refuses_by_shape() {
    let shape = [
        "topology-unknown-key",
        "topology-unknown-table",
        "topology-keys-missing",
        "topology-profile-unknown",
        "topology-profile-not-yet",
        "topology-bandwidth-unit",
        "topology-bandwidth-without-unit",
        "topology-members-nine",
        "topology-timers",
        "scenario-two-verbs",
        "scenario-no-verb",
        "scenario-how-unknown",
        "scenario-duration-unit",
        "scenario-hold-without-reason",
        "scenario-expect-nothing",
        "scenario-expect-two-subjects",
        "scenario-expect-state-unknown",
        "scenario-onboard-mistakes",
        "scenario-set-mistakes",
        "scenario-expect-microsoft-mistakes",
        "binding-device-unknown",
        "binding-device-not-yet",
        "binding-device-missing",
    ];
    for name in shape {
        let path = format!("tests/fixtures/files/bad/{name}.toml");
        let source = Source::read(Path::new(&path)).expect("readable");
        let schema = schema(Kind::of(&source).expect("a kind"));
        let schema = serde_json::from_str(&schema).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a JSON Schema");
        let value: serde_json::Value = toml::from_str(&source.text).expect("TOML");
        assert!(!validator.is_valid(&value), "{name} fits its schema");
    }
}

/// Parses a text as each of the kinds; only the absence of a panic counts.
fn parse_as_all(text: &str) {
    // The path lies in `scenarios`, so that names of topologies resolve.
    let source = Source::new("scenarios/arbitrary.toml", text);
    let told = [
        topology::parse(&source).err(),
        binding::parse(&source, None).err(),
        scenario::parse(&source).err(),
        topology::profile::parse(&source).err(),
    ];
    for mistakes in told.into_iter().flatten() {
        assert!(!mistakes.is_empty());
        let _ = mistakes.render(true);
        for mistake in mistakes.iter() {
            for place in &mistake.places {
                let _ = place.source.position(place.span);
            }
        }
    }
}

/// The text of a shipped file or of a fixture.
fn some_file() -> impl Strategy<Value = String> {
    let mut all = shipped();
    all.extend(files("tests/fixtures/files"));
    let texts: Vec<String> = (all.iter())
        .map(|path| std::fs::read_to_string(path).expect("readable"))
        .collect();
    proptest::sample::select(texts)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        parse_as_all(&text);
    }

    #[test]
    fn a_piece_replaced_never_panics(
        text in some_file(),
        at in any::<prop::sample::Index>(),
        length in 0usize..12,
        piece in prop_oneof![
            "[a-z0-9\"'\\[\\]{}=,.#:/é\n -]{0,6}",
            Just("\"\"".to_owned()),
            Just("[]".to_owned()),
            Just("-1".to_owned()),
            Just("[[step]]".to_owned()),
            Just("99999999999999999999".to_owned()),
        ],
    ) {
        let characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len() + 1);
        let rest = (at + length).min(characters.len());
        let mut mutated: String = characters[..at].iter().collect();
        mutated.push_str(&piece);
        mutated.extend(&characters[rest..]);
        parse_as_all(&mutated);
    }

    #[test]
    fn a_line_moved_never_panics(
        text in some_file(),
        from in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
    ) {
        let mut lines: Vec<&str> = text.lines().collect();
        if !lines.is_empty() {
            let line = lines.remove(from.index(lines.len()));
            lines.insert(to.index(lines.len() + 1), line);
        }
        parse_as_all(&lines.join("\n"));
    }
}
