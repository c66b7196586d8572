//! The command as a user starts it, with routes of real routers.

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    arguments: PrefixesArguments,
}

/// A report on `topologies/one-metro.toml` without a registry, from files of `tests/fixtures/routes`.
fn asked(arguments: &[&str]) -> Result<Report, String> {
    let text = include_str!("../../../topologies/one-metro.toml");
    let mut lines: Vec<&str> = text.lines().collect();
    // A registry has its own tests; without it nothing here changes with what it says.
    lines.retain(|line| {
        !["[peer.registry]", "irr =", "rpki ="]
            .iter()
            .any(|key| line.starts_with(key))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let topology = folder.path().join("one-metro.toml");
    std::fs::write(&topology, lines.join("\n")).expect("written");
    let routes = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/routes/");
    let mut words = vec!["prefixes".to_owned(), topology.display().to_string()];
    words.extend(arguments.iter().map(|word| word.replace("@", routes)));
    let arguments = Program::try_parse_from(words).expect("arguments").arguments;
    let mut report = report(&arguments).map_err(|failed| failed.to_string().replace(routes, ""))?;
    for note in &mut report.notes {
        *note = note.replace(routes, "");
    }
    Ok(report)
}

fn drawn(report: &Report) -> String {
    let mut out = anstream::StripStream::new(Vec::new());
    draw::draw(report, &mut out).expect("a vector takes everything");
    String::from_utf8(out.into_inner()).expect("text")
}

/// Reasons of the failures of both objects, in short.
fn reasons(judged: &Judged) -> Vec<String> {
    let outcomes = [Some(&judged.registered), judged.service.as_ref()];
    let failures = outcomes
        .into_iter()
        .flatten()
        .flat_map(|outcome| &outcome.failures);
    let told = failures.map(|failure| {
        let at = failure.connection.as_deref().unwrap_or("-");
        format!("{:?} {} {at}", failure.severity, failure.reason)
    });
    let mut told: Vec<String> = told
        .filter(|text| !text.contains("not-configured"))
        .collect();
    told.dedup();
    told
}

#[test]
fn a_good_prefix_is_verified() {
    let report =
        asked(&["--routes", "@frr-updates.mrt", "--prefix", "203.0.113.0/24"]).expect("judged");
    let good = &report.prefixes[1];
    assert_eq!(
        (good.prefix.as_str(), good.verdict()),
        ("203.0.113.0/24", Verdict::Verified)
    );
    assert_eq!(
        good.service.as_ref().map(|service| service.state.as_str()),
        Some("Verified")
    );
    assert!(good.registered.key.is_some());
    // The endpoint's is not.
    assert_eq!((report.verdict, report.exit), (Verdict::Failed, 1));
}

#[test]
fn what_a_file_does_not_tell_is_not_decided() {
    let arguments = [
        "--routes",
        "ams-1=@frr-advertised.json",
        "--routes",
        "@bird-table.txt",
        "--prefix",
        "203.0.113.0/24",
    ];
    let report = asked(&arguments).expect("judged");
    // BIRD's text has the communities, and nothing of ams-2.
    assert_eq!(
        reasons(&report.prefixes[1]),
        [
            "Unchecked prefix-not-received ams-2",
            "Unchecked prefix-not-received ams-2"
        ][..1]
    );
    assert_eq!(report.prefixes[1].verdict(), Verdict::Undecided);
    let short = asked(&[
        "--routes",
        "ams-1=@frr-advertised.json",
        "--routes",
        "ams-2=@bird-export.txt",
        "--prefix",
        "203.0.113.0/24",
    ]);
    let short = short.expect("judged");
    assert_eq!(
        reasons(&short.prefixes[1]),
        ["Unchecked missing-community ams-1"]
    );
    assert_eq!(short.prefixes[1].registered.state, "Unknown");
    assert_eq!(short.prefixes[1].registered.key, None);
    let nothing = asked(&[]).expect("judged");
    assert_eq!((nothing.verdict, nothing.exit), (Verdict::Undecided, 3));
}

#[test]
fn a_prefix_is_judged_by_itself_or_beside_the_endpoints() {
    let report = asked(&["--routes", "@frr-updates.mrt", "--all"]).expect("judged");
    let overlap = |judged: &&Judged| {
        reasons(judged)
            .iter()
            .any(|reason| reason.contains("overlaps"))
    };
    assert_eq!(report.prefixes.iter().filter(overlap).count(), 0);
    assert_eq!(report.prefixes.len(), 5);
}

#[test]
fn mistakes_name_the_file() {
    let error = asked(&["--routes", "@frr-advertised.json"]).expect_err("no address");
    assert!(
        error.contains("`--routes CONNECTION=frr-advertised.json`"),
        "{error}"
    );
    let error = asked(&["--routes", "@frr-bmp.pcap"]).expect_err("packets");
    assert!(error.contains("(frr-bmp.pcap)"), "{error}");
    let error = asked(&["--routes", "@nothing.mrt"]).expect_err("no file");
    assert!(error.contains("failed to open nothing.mrt"), "{error}");
    let error = asked(&["--format", "bmp", "--routes", "@frr-updates.mrt"]).expect_err("MRT");
    assert!(
        error.contains("read it as BMP: at byte 0: the version of BMP is"),
        "{error}"
    );
}

#[test]
fn the_report_as_people_see_it() {
    let arguments = [
        "--routes",
        "ams-1=@frr-advertised.json",
        "--routes",
        "ams-2=@bird-export.txt",
        "--prefix",
        "203.0.113.0/25",
        "--device",
        "frr",
    ];
    let report = asked(&arguments).expect("judged");
    insta::assert_snapshot!(drawn(&report));
}

#[test]
fn the_shape_of_the_json() {
    let report =
        asked(&["--routes", "@frr-updates.mrt", "--prefix", "192.0.2.128/25"]).expect("judged");
    insta::assert_json_snapshot!(report, {".peerlab" => "VERSION"});
}

#[test]
fn a_file_is_given_to_a_connection_by_name() {
    for (text, connection) in [
        ("a.mrt", None),
        ("ams-1=a.mrt", Some("ams-1")),
        ("./a=b.mrt", None),
    ] {
        let given: Given = text.parse().expect("never fails");
        assert_eq!(given.connection.as_deref(), connection, "{text}");
        assert_eq!(given.to_string(), text);
    }
}

#[tokio::test]
async fn an_rtr_cache_is_asked() {
    use crate::bgp::origin_validation::VrpTable;
    use crate::registry::rtr::{Intervals, driver::Server};
    use crate::registry::service::Place;

    let vrps = crate::registry::vrps::read(
        r#"{"roas":[{"asn":"AS64511","prefix":"203.0.113.0/24","maxLength":24,"ta":"test"}]}"#,
    );
    let table: VrpTable = vrps.expect("VRPs");
    let place = Place::Here("127.0.0.1:0".parse().expect("an address"));
    let server =
        Server::start(place, table.into(), Intervals::REHEARSAL, |_, _| {}).expect("a cache");
    let asked = |port: u16| {
        let source = crate::topology::Server {
            host: "127.0.0.1".to_owned(),
            port,
        };
        let sources = crate::topology::RegistrySources {
            rpki: Some(crate::topology::RpkiSource::Rtr(source)),
            ..Default::default()
        };
        tokio::task::spawn_blocking(move || {
            registries::ask(&sources, Default::default()).map_err(|error| error.to_string())
        })
    };
    let said = asked(server.address().port())
        .await
        .expect("ended")
        .expect("asked");
    let known = said.known.rpki.expect("a cache");
    assert_eq!(
        (known.data.map(|table| table.len()), known.lost),
        (Some(1), None)
    );
    server.die().await;
    let said = asked(server.address().port())
        .await
        .expect("ended")
        .expect("asked");
    let known = said.known.rpki.expect("a cache");
    assert!(
        known.data.is_none() && known.lost.is_some(),
        "{:?}",
        known.lost
    );
}
