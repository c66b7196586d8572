//! Readers with real outputs (`tests/fixtures/routes/make` makes them), hostile bytes, and placing.

use proptest::prelude::*;

use super::place::{File, Picture, PlaceError, place, wanted};
use super::*;
use crate::source::Source;
use crate::topology::Topology;

fn topology() -> Topology {
    let text = include_str!("../../topologies/one-metro.toml");
    crate::topology::parse_kept(&Source::new("one-metro.toml", text)).expect("the shipped topology")
}

fn load(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/routes");
    std::fs::read(format!("{folder}/{name}")).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn dump(name: &str) -> Dump {
    let bytes = load(name);
    let format = detect(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    read(&bytes, format, &|_| true).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn file(name: &str, connection: Option<&str>) -> File {
    File {
        name: name.to_owned(),
        connection: connection.map(str::to_owned),
        dump: dump(name),
    }
}

fn placed(files: &[(&str, Option<&str>)]) -> Result<Picture, PlaceError> {
    let files = files
        .iter()
        .map(|(name, connection)| file(name, *connection));
    place(&topology(), files.collect())
}

/// The routes of a connection, a line for each.
fn routes(picture: &Picture, connection: &str) -> Vec<String> {
    let connection = picture
        .observed
        .connection(connection)
        .expect("a connection");
    let mut lines: Vec<String> = connection
        .routes
        .iter()
        .map(|(prefix, seen)| {
            let unusable = seen.unusable.iter().map(|reason| format!(" !{reason}"));
            let med = seen.route.med.map(|med| format!(" med {med}"));
            format!(
                "{prefix} [{}] {}{}{}",
                seen.route.as_path,
                seen.route.communities.join(" "),
                med.unwrap_or_default(),
                unusable.collect::<String>()
            )
        })
        .collect();
    lines.sort();
    lines
}

/// What pe1 sends to Microsoft.
const AMS_1: [&str; 5] = [
    "192.0.2.128/25 [64500]  med 0",
    "198.51.100.0/24 [64500 {64501,64502}] 8075:8007 !as-set",
    "203.0.113.0/24 [64500] 8075:8007 med 0",
    "203.0.113.0/25 [64500 64500 64500] 8075:8007 65535:65281 8075:8007:0 rt:8075:8007 med 20",
    "203.0.113.128/26 [64500 64501] 8075:8007",
];
/// What pe2 sends to Microsoft.
const AMS_2: [&str; 3] = [
    "192.0.2.128/25 [64500] ",
    "203.0.113.0/24 [64500] 8075:8007",
    "203.0.113.0/25 [64500 64512] 8075:8007 8075:8007:0 rt:8075:8007",
];

fn without_communities(lines: &[&str]) -> Vec<String> {
    lines
        .iter()
        .map(|line| {
            let (route, rest) = line.split_once("] ").expect("a path");
            let words = rest
                .split(' ')
                .skip_while(|word| word.contains(':') || word.is_empty());
            let rest = words.collect::<Vec<_>>().join(" ");
            let space = if rest.is_empty() { "" } else { " " };
            format!("{route}] {space}{rest}")
        })
        .collect()
}

#[test]
fn every_form_is_known_by_its_content() {
    for (name, format) in [
        ("frr-table.mrt", Format::Mrt),
        ("frr-updates.mrt", Format::Mrt),
        ("bird-table.mrt", Format::Mrt),
        ("bird-messages.mrt", Format::Mrt),
        ("frr.bmp", Format::Bmp),
        ("frr-carrier.bmp", Format::Bmp),
        ("frr-table.json", Format::Frr),
        ("frr-table-detail.json", Format::Frr),
        ("frr-prefix.json", Format::Frr),
        ("frr-received.json", Format::Frr),
        ("frr-advertised.json", Format::Frr),
        ("bird-table.txt", Format::Bird),
        ("bird-export.txt", Format::Bird),
        ("birdwatcher.json", Format::Birdwatcher),
        ("alice.json", Format::Birdwatcher),
    ] {
        assert_eq!(detect(&load(name)).expect(name), format, "{name}");
    }
}

#[test]
fn what_cannot_be_read_says_what_helps() {
    let refused = |bytes: &[u8]| detect(bytes).expect_err("not readable").to_string();
    assert!(refused(&[0x1f, 0x8b, 8, 0]).contains("`gunzip`"));
    assert!(refused(b"BZh91AY").contains("`bunzip2`"));
    assert!(refused(&load("frr-bmp.pcap")).contains("tshark"));
    assert!(refused(&load("frr-text.txt")).contains("detail json"));
    assert!(refused(b"").contains("--format"));
    assert!(refused(b"hello").contains("--format"));
    let read = |bytes: &[u8], format| {
        read(bytes, format, &|_| true)
            .expect_err("not readable")
            .to_string()
    };
    assert!(read(&load("bird-short.txt"), Format::Bird).contains("birdc show route all"));
    assert!(read(b"{\"peers\":{}}", Format::Frr).contains("received-routes json"));
    assert!(read(b"{\"routes\":7}", Format::Frr).contains("line 1 column"));
    assert!(read(&load("frr-table.mrt")[..20], Format::Mrt).contains("at byte 0"));
    assert!(read(b"\x02\0\0\0\x06\x04", Format::Bmp).contains("the version of BMP is 2"));
    assert!(read(b"{\"at\":1,\"fact\":\"x\"}\n", Format::Record).contains("line 1"));
}

#[test]
fn tables_as_microsoft_sees_them() {
    let both = placed(&[("frr-updates.mrt", None)]).expect("placed");
    assert_eq!(routes(&both, "ams-1"), AMS_1);
    assert_eq!(routes(&both, "ams-2"), AMS_2);
    let both = placed(&[("frr.bmp", None)]).expect("placed");
    // The last one FRR itself told as withdrawn (its issue 13292).
    assert_eq!(routes(&both, "ams-1"), AMS_1[..4]);
    assert_eq!(routes(&both, "ams-2"), AMS_2);
    assert!(
        both.notes
            .iter()
            .any(|note| note.contains("pull request 21815")),
        "{:?}",
        both.notes
    );
    // FRR dumps what its policy let in (only ams-1 has one), and no extended communities.
    let both = placed(&[("frr-table.mrt", None)]).expect("placed");
    assert_eq!(routes(&both, "ams-1"), [AMS_1[1], AMS_1[2]]);
    assert_eq!(
        routes(&both, "ams-2"),
        AMS_2.map(|line| line.replace(" rt:8075:8007", ""))
    );
    let both = placed(&[("frr-table-detail.json", None)]).expect("placed");
    assert_eq!(routes(&both, "ams-1"), [AMS_1[1], AMS_1[2]]);
    assert_eq!(routes(&both, "ams-2"), AMS_2);
    let one = placed(&[("bird-import-table.txt", None)]).expect("placed");
    assert_eq!(routes(&one, "ams-1"), AMS_1);
    assert!(one.unknown[1].routes && !one.unknown[0].routes);
    let one = placed(&[("bird-table.txt", None), ("bird-filtered.txt", None)]).expect("placed");
    assert_eq!(routes(&one, "ams-1"), AMS_1);
    let one = placed(&[("bird-table.mrt", None)]).expect("placed");
    assert_eq!(routes(&one, "ams-1"), [AMS_1[1], AMS_1[2]]);
    let one = placed(&[("birdwatcher.json", None)]).expect("placed");
    assert_eq!(routes(&one, "ams-1"), AMS_1);
    let one = placed(&[("alice.json", None)]).expect("placed");
    assert_eq!(routes(&one, "ams-1"), AMS_1);
}

#[test]
fn forms_without_communities_are_told() {
    let picture = placed(&[("frr-received.json", None)]).expect("placed");
    assert_eq!(routes(&picture, "ams-1"), without_communities(&AMS_1));
    assert_eq!(picture.unknown[0].communities.len(), 5);
    assert!(
        picture
            .notes
            .iter()
            .any(|note| note.contains("this output has no communities")),
        "{:?}",
        picture.notes
    );
    // What another file tells is known.
    let picture =
        placed(&[("frr-received.json", None), ("frr-prefix.json", None)]).expect("placed");
    assert_eq!(picture.unknown[0].communities.len(), 4);
    assert!(routes(&picture, "ams-1").contains(&AMS_1[2].to_owned()));
    let picture =
        placed(&[("frr-prefix.json", None), ("frr-received.json", None)]).expect("placed");
    assert_eq!(picture.unknown[0].communities.len(), 4);
}

#[test]
fn what_the_carrier_sends() {
    // By FRR, before its own AS is added.
    let picture = placed(&[("frr-advertised.json", Some("ams-1"))]).expect("placed");
    assert_eq!(routes(&picture, "ams-1"), without_communities(&AMS_1));
    assert!(
        picture
            .notes
            .iter()
            .any(|note| note.contains("AS64500 is put in front")),
        "{:?}",
        picture.notes
    );
    assert!(
        picture
            .notes
            .iter()
            .any(|note| note.contains("advertised-routes detail json")),
        "{:?}",
        picture.notes
    );
    // By BIRD, likewise.
    for name in ["bird-export.txt", "bird-export-table.txt"] {
        let picture = placed(&[(name, Some("ams-2"))]).expect("placed");
        let lines = [
            AMS_2[0],
            AMS_2[1],
            "203.0.113.0/25 [64500 64512] 8075:8007 8075:8007:0 rt:8075:8007 med 20",
        ];
        assert_eq!(routes(&picture, "ams-2"), lines, "{name}");
    }
    // The carrier's table, before any policy.
    let picture = placed(&[("frr-carrier-table-detail.json", Some("ams-1"))]).expect("placed");
    let lines = routes(&picture, "ams-1");
    assert!(
        lines.contains(&"203.0.113.0/24 [64500]  med 0".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"198.51.100.0/25 [64500 64501] ".to_owned()),
        "{lines:?}"
    );
    assert!(!lines.iter().any(|line| line.contains("8075")), "{lines:?}");
    assert!(
        picture
            .notes
            .iter()
            .any(|note| note.contains("export policy towards ams-1")),
        "{:?}",
        picture.notes
    );
}

#[test]
fn sessions_that_are_nobodys_are_told() {
    let error = placed(&[("frr-advertised.json", None)]).expect_err("no address");
    assert!(
        error
            .to_string()
            .contains("--routes CONNECTION=frr-advertised.json"),
        "{error}"
    );
    let error = placed(&[("frr-updates.mrt", Some("fra-1"))]).expect_err("no such connection");
    assert!(
        error.to_string().contains("the topology has ams-1, ams-2"),
        "{error}"
    );
    let error = placed(&[("frr-carrier.bmp", Some("ams-2"))]).expect_err("customers' sessions");
    assert!(error.to_string().contains("10.0.0.1"), "{error}");
}

#[test]
fn unwanted_sessions_are_counted_only() {
    let topology = topology();
    let mut bytes = load("frr-updates.mrt");
    // The session of ams-2 becomes a stranger's.
    let ours = [192, 0, 2, 2, 192, 0, 2, 3];
    for at in 0..bytes.len() - ours.len() {
        if bytes[at..].starts_with(&ours) {
            bytes[at + 3] = 200;
            bytes[at + 7] = 201;
        }
    }
    let dump = read(&bytes, Format::Mrt, &|session| wanted(&topology, session)).expect("read");
    let stranger = dump
        .tables
        .iter()
        .find(|table| table.session.peer == Some([192, 0, 2, 200].into()));
    let stranger = stranger.expect("its table");
    assert_eq!((stranger.routes.len(), stranger.passed_over), (0, 3));
    let file = File {
        name: "x.mrt".to_owned(),
        connection: None,
        dump,
    };
    let picture = place(&topology, vec![file]).expect("placed");
    assert!(
        picture
            .notes
            .iter()
            .any(|note| note.contains("192.0.2.200 (at 192.0.2.201) (3 routes)")),
        "{:?}",
        picture.notes
    );
}

#[test]
fn a_session_that_ends_takes_its_routes_along() {
    let mut mrt = load("frr-updates.mrt");
    // BGP4MP_STATE_CHANGE_AS4 of 192.0.2.0: Established to Idle.
    let body = [
        0, 0, 0xfb, 0xf4, 0, 0, 0x1f, 0x8b, 0, 0, 0, 1, 192, 0, 2, 0, 192, 0, 2, 1, 0, 6, 0, 1,
    ];
    mrt.extend([0, 0, 0, 0, 0, 16, 0, 5, 0, 0, 0, body.len() as u8]);
    mrt.extend(body);
    let mut bmp = load("frr.bmp");
    // Peer Down, reason 2.
    let mut down = vec![3, 0, 0, 0, 51, 2, 0, 0];
    down.extend([0; 8 + 12]);
    down.extend([192, 0, 2, 0, 0, 0, 0xfb, 0xf4]);
    down.extend([0; 12]);
    down.extend([2, 0, 0]);
    bmp.extend(down);
    for (bytes, format) in [(mrt, Format::Mrt), (bmp, Format::Bmp)] {
        let file = File {
            name: "x".to_owned(),
            connection: None,
            dump: read(&bytes, format, &|_| true).expect("read"),
        };
        let picture = place(&topology(), vec![file]).expect("placed");
        assert_eq!(routes(&picture, "ams-1"), [""; 0], "{format}");
        assert_eq!(picture.observed.connections[0].session, "Idle", "{format}");
        assert_eq!(routes(&picture, "ams-2"), AMS_2, "{format}");
    }
}

#[test]
fn a_file_that_is_still_written_is_read_up_to_its_last_whole_message() {
    for (name, format) in [("frr-updates.mrt", Format::Mrt), ("frr.bmp", Format::Bmp)] {
        let bytes = load(name);
        let dump = read(&bytes[..bytes.len() - 1], format, &|_| true).expect(name);
        assert!(
            dump.notes.iter().any(|note| note.contains("was cut short")),
            "{name}: {:?}",
            dump.notes
        );
    }
}

const FIXTURES: [(&str, Format); 13] = [
    ("frr-table.mrt", Format::Mrt),
    ("frr-updates.mrt", Format::Mrt),
    ("bird-table.mrt", Format::Mrt),
    ("bird-messages.mrt", Format::Mrt),
    ("frr.bmp", Format::Bmp),
    ("frr-carrier.bmp", Format::Bmp),
    ("frr-table-detail.json", Format::Frr),
    ("frr-received.json", Format::Frr),
    ("frr-prefix.json", Format::Frr),
    ("bird-import-table.txt", Format::Bird),
    ("bird-export.txt", Format::Bird),
    ("birdwatcher.json", Format::Birdwatcher),
    ("alice.json", Format::Birdwatcher),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Damaged files are read or refused; nothing panics, and what is read is not larger than the file.
    #[test]
    fn damage_is_survived(
        fixture in 0..FIXTURES.len(),
        cut in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let (name, format) = FIXTURES[fixture];
        let mut bytes = load(name);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        let _ = detect(&bytes);
        if let Ok(dump) = read(&bytes, format, &|_| true) {
            let routes: usize = dump.tables.iter().map(|table| table.routes.len()).sum();
            prop_assert!(routes <= bytes.len());
            prop_assert!(dump.tables.len() <= bytes.len());
            prop_assert!(dump.notes.len() <= 101);
        }
    }

    /// So are bytes that were never a file.
    #[test]
    fn noise_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in [Format::Mrt, Format::Bmp, Format::Frr, Format::Birdwatcher, Format::Bird, Format::Record] {
            let _ = read(&bytes, format, &|_| true);
        }
        let _ = detect(&bytes);
    }
}
