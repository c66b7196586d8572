//! Expectations of prefixes against a second, naive statement of what they mean.

use proptest::prelude::*;

use super::*;
use crate::judge::State;
use crate::scenario::{ABSENT, Expect};
use crate::topology::Topology;

const REASONS: [&str; 4] = ["as-set", "missing-community", "rpki-invalid", "wrong-key"];
const CONNECTIONS: [&str; 2] = ["ams-1", "ams-2"];
const STATES: [&str; 3] = ["Verified", "Failed", "Warning"];
const PREFIX: &str = "203.0.113.0/24";

fn failure() -> impl Strategy<Value = Failure> {
    let severity = prop_oneof![
        Just(Severity::Unchecked),
        Just(Severity::Warn),
        Just(Severity::Fail)
    ];
    let connection = prop::option::of(prop::sample::select(&CONNECTIONS[..]));
    (prop::sample::select(&REASONS[..]), severity, connection).prop_map(
        |(reason, severity, connection)| Failure {
            reason: reason.to_owned(),
            check: "V-05".to_owned(),
            severity,
            connection: connection.map(str::to_owned),
            text: String::new(),
            evidence: Vec::new(),
            nearest: None,
            remedy: String::new(),
            config: Vec::new(),
        },
    )
}

fn some_of(names: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let picked = prop::sample::subsequence(names, 0..=names.len());
    picked.prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn expected() -> impl Strategy<Value = PrefixExpected> {
    let state = prop::option::of(prop::sample::select(&[STATES[0], STATES[1], ABSENT][..]));
    let message = prop::option::of(prop::sample::select(&["one", "other"][..]));
    let at = prop::option::of(some_of(&CONNECTIONS));
    (state, some_of(&REASONS), message, at).prop_map(|(state, reasons, message, at)| {
        PrefixExpected {
            object: PrefixObject::Registered,
            prefix: PREFIX.to_owned(),
            state: state.map(str::to_owned),
            // Without a reason nobody can be at fault.
            at: at.filter(|_| !reasons.is_empty()),
            reasons,
            message: message.map(str::to_owned),
            learned_type: None,
        }
    })
}

fn told(state: &str, failures: &[Failure], heading: Option<&str>) -> Fact {
    Fact::RegisteredPrefix {
        peering: "amsterdam".to_owned(),
        prefix: PREFIX.to_owned(),
        state: state.to_owned(),
        key: None,
        failures: failures.to_vec(),
        message: heading.map(|heading| Message {
            heading: heading.to_owned(),
            documented: true,
            text: String::new(),
        }),
    }
}

/// What an expectation means, word for word.
fn naive(
    expected: &PrefixExpected,
    state: &str,
    failures: &[Failure],
    heading: Option<&str>,
) -> bool {
    if expected.state.is_some() && expected.state.as_deref() != Some(state) {
        return false;
    }
    for reason in &expected.reasons {
        if !failures.iter().any(|failure| failure.reason == *reason) {
            return false;
        }
    }
    if let Some(at) = &expected.at {
        for connection in CONNECTIONS {
            let named = at.iter().any(|name| name == connection);
            let at_fault = failures.iter().any(|failure| {
                expected.reasons.contains(&failure.reason)
                    && failure.connection.as_deref() == Some(connection)
            });
            if named != at_fault {
                return false;
            }
        }
    }
    expected.message.is_none() || expected.message.as_deref() == heading
}

fn topology() -> Topology {
    let file = std::path::Path::new("tests/fixtures/judge/one-metro.toml");
    crate::topology::load(file).expect("a topology")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_prefix_is_as_expected_when_the_naive_statement_says_so(
        expected in expected(),
        state in prop::sample::select(&STATES[..]),
        failures in prop::collection::vec(failure(), 0..5),
        heading in prop::option::of(prop::sample::select(&["one", "other"][..])),
    ) {
        let topology = topology();
        let what = Expect::Prefix(expected.clone());
        let mut lab = State::default();
        lab.apply(At::ZERO, &told(state, &failures, heading));
        let as_expected = naive(&expected, state, &failures, heading);
        prop_assert_eq!(holds(&what, &lab, &topology), as_expected);
        // What is told of another object of the same prefix changes nothing.
        lab.apply(At::ZERO, &Fact::PrefixDeleted {
            object: "service-prefix".to_owned(),
            prefix: PREFIX.to_owned(),
        });
        prop_assert_eq!(holds(&what, &lab, &topology), as_expected);
        // Once it is deleted, only its absence holds.
        let deleted = Fact::PrefixDeleted {
            object: "registered-prefix".to_owned(),
            prefix: PREFIX.to_owned(),
        };
        lab.apply(At::ZERO, &deleted);
        prop_assert_eq!(holds(&what, &lab, &topology), expected.state.as_deref() == Some(ABSENT));
        prop_assert!(matters(&deleted));
    }

    #[test]
    fn every_failure_is_in_the_words_of_its_prefix(
        failures in prop::collection::vec(failure(), 0..5),
    ) {
        let words = result("Failed", &failures);
        for failure in &failures {
            prop_assert!(words.contains(&failure.reason), "{}", words);
            if let Some(connection) = &failure.connection {
                prop_assert!(words.contains(connection.as_str()), "{}", words);
            }
        }
    }
}
