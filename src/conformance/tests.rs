//! The catalogue is complete and its references hold.

use std::collections::BTreeSet;

use super::{SOURCES, all, find};

#[test]
fn ids_are_unique_and_found() {
    let ids: BTreeSet<_> = all().map(|requirement| requirement.id).collect();
    assert_eq!(ids.len(), all().count());
    for id in ids {
        assert_eq!(find(id).map(|found| found.id), Some(id));
    }
    assert_eq!(find("bfd-01"), None);
    assert_eq!(find("BFD-99"), None);
}

#[test]
fn sources_are_explained() {
    for requirement in all() {
        for key in requirement.source.split("; ").filter(|key| !key.is_empty()) {
            assert!(
                SOURCES.iter().any(|(known, _)| *known == key),
                "{}: source {key:?} is not explained",
                requirement.id
            );
        }
    }
}

#[test]
fn groups_are_numbered_without_holes() {
    let mut groups: std::collections::BTreeMap<&str, BTreeSet<u32>> = Default::default();
    for requirement in all() {
        let (group, number) = requirement.id.rsplit_once('-').expect("GROUP-NUMBER");
        let number = number.parse().expect("a number");
        groups.entry(group).or_default().insert(number);
    }
    for (group, numbers) in groups {
        let expected: BTreeSet<u32> = (1..=numbers.len() as u32).collect();
        assert_eq!(numbers, expected, "{group}");
    }
}

#[test]
fn texts_are_sentences() {
    for requirement in all() {
        assert!(requirement.text.ends_with('.'), "{}", requirement.id);
        assert!(requirement.text.len() > 20, "{}", requirement.id);
    }
}
