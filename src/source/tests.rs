//! Tests of sources, values and diagnostics. What whole files look like is tested in `tests/files.rs`.

use std::time::Duration as Time;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

fn refusal<T: std::str::FromStr<Err = Wrong> + std::fmt::Debug>(text: &str) -> String {
    text.parse::<T>().expect_err("refused").to_string()
}

#[test]
fn durations() {
    let good = [
        ("0ms", Time::ZERO),
        ("1us", Time::from_micros(1)),
        ("0.5us", Time::from_nanos(500)),
        ("450ms", Time::from_millis(450)),
        ("1.5s", Time::from_millis(1500)),
        ("2m", Time::from_secs(120)),
        ("24h", Time::from_secs(86_400)),
    ];
    for (text, expected) in good {
        assert_eq!(text.parse(), Ok(Duration(expected)), "{text}");
    }
    let bad = [
        ("500", "has no unit", Some("500ms")),
        ("30", "has no unit", Some("30s")),
        ("500 ms", "there is a space", Some("500ms")),
        ("5 sec", "`sec` is not a unit", Some("5s")),
        ("5Minutes", "`Minutes` is not a unit", Some("5m")),
        ("5ns", "`ns` is not a unit", None),
        ("ms", "is not a duration", None),
        ("", "is not a duration", None),
        ("-5ms", "is not a duration", None),
        ("1.2.3s", "is not a duration", None),
        ("1.s", "is not a duration", None),
        ("25h", "is too long", None),
        ("99999999999999999999s", "is not a duration", None),
        ("18446744073709551615h", "is too long", None),
        ("0.0000000001s", "is not a duration", None),
    ];
    for (text, reason, instead) in bad {
        let told = refusal::<Duration>(text);
        assert!(told.contains(reason), "{text}: {told}");
        let tried = told.split_once("try: ").map(|(_, tried)| tried);
        assert_eq!(tried, instead, "{text}");
    }
}

#[test]
fn bandwidths() {
    let good = [
        ("10Gbps", 10_000, "10Gbps"),
        ("2.5Gbps", 2_500, "2.5Gbps"),
        ("400Mbps", 400, "400Mbps"),
        ("0.1Tbps", 100_000, "100Gbps"),
    ];
    for (text, mbps, shown) in good {
        assert_eq!(text.parse(), Ok(Bandwidth(mbps)), "{text}");
        assert_eq!(Bandwidth(mbps).to_string(), shown);
    }
    for (text, instead) in [
        ("10G", Some("10Gbps")),
        ("10Gbit/s", Some("10Gbps")),
        ("10 mbit", Some("10Mbps")),
        ("10", Some("10Gbps")),
        ("20000kbps", Some("20Mbps")),
        ("100kbps", None),
        ("0kbit", None),
        ("64000000bit/s", Some("64Mbps")),
        ("0.5Mbps", None),
        ("fast", None),
        ("0Gbps", None),
        ("0.0001Mbps", None),
        ("9999999Tbps", None),
    ] {
        let told = refusal::<Bandwidth>(text);
        let tried = told.split_once("try: ").map(|(_, tried)| tried);
        assert_eq!(tried, instead, "{text}");
    }
    for text in ["100kbps", "20000 kbit/s", "0.5Mbps"] {
        assert!(refusal::<Bandwidth>(text).contains("`1Mbps`"), "{text}");
    }
}

#[test]
fn the_schema_of_a_bandwidth_takes_what_the_parser_takes() {
    let schema = schemars::schema_for!(Bandwidth).to_value();
    let pattern = schema["pattern"].as_str().unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for text in [
        "10Gbps",
        "2.5Gbps",
        "2.0Mbps",
        "0.5Mbps",
        "1.5Mbps",
        "0.0015Gbps",
        "1.0010Gbps",
        "0.000001Tbps",
        "0.0000015Tbps",
        "100kbps",
        "10",
        ".5Gbps",
        "1.Gbps",
    ] {
        let parsed = text.parse::<Bandwidth>().is_ok();
        let instance = serde_json::Value::from(text);
        assert_eq!(validator.is_valid(&instance), parsed, "{text}: {pattern}");
    }
}

#[test]
fn prefixes_addresses_and_communities() {
    assert!("198.51.100.0/24".parse::<Prefix>().is_ok());
    assert!(refusal::<Prefix>("198.51.100.1/24").contains("try: 198.51.100.0/24"));
    assert!(refusal::<Prefix>("198.51.100.1").contains("try: 198.51.100.1/32"));
    assert!(refusal::<Prefix>("2001:db8::/32").contains("IPv6"));
    assert!(refusal::<Prefix>("198.51.100.0/33").contains("not an IPv4 prefix"));
    assert!(refusal::<Address>("198.51.100.1/24").contains("try: 198.51.100.1"));
    assert!(refusal::<Address>("198.51.100").contains("not an IPv4 address"));
    assert!("2001:db8::/48".parse::<Ipv6Prefix>().is_ok());
    assert!(refusal::<Ipv6Prefix>("2001:db8::1/48").contains("try: 2001:db8::/48"));
    assert!(refusal::<Ipv6Prefix>("2001:db8::1").contains("try: 2001:db8::1/128"));
    assert!(refusal::<Ipv6Prefix>("192.0.2.0/24").contains("only IPv6"));
    assert!(refusal::<Ipv6Address>("2001:db8::1/48").contains("try: 2001:db8::1"));
    for good in ["198.51.100.0/24", "2001:db8::/48", "::/0", "0.0.0.0/0"] {
        assert!(good.parse::<AnyPrefix>().is_ok(), "{good}");
    }
    assert!(refusal::<AnyPrefix>("198.51.100.0/33").contains("not an IPv4 prefix"));
    assert!(refusal::<AnyPrefix>("2001:db8::/129").contains("not an IPv6 prefix"));
    assert!(refusal::<AnyPrefix>("2001:db8::1/48").contains("try: 2001:db8::/48"));
    assert_eq!("8075:8007".parse(), Ok(Community(8075, 8007)));
    for text in ["8075", "8075:8007:0", "65536:1", ":", "a:b"] {
        assert!(
            refusal::<Community>(text).contains("not a community"),
            "{text}"
        );
    }
}

#[test]
fn places_count_characters() {
    let source = Source::new("x.toml", "a = 1\n# größe\n  b = \"ü\"\n");
    let at = source.text.find('b').expect("b");
    assert_eq!(
        source.position(Span {
            start: at,
            end: at + 1
        }),
        (3, 3)
    );
    assert_eq!(source.position(Span::default()), (1, 1));
    // A span inside a character, or past the end, is no reason to panic.
    let inside = source.text.find('ö').expect("ö") + 1;
    assert_eq!(
        source.position(Span {
            start: inside,
            end: inside
        }),
        (2, 5)
    );
    assert_eq!(source.position(Span { start: 999, end: 1 }), (4, 1));
    let end = source.text.len();
    assert_eq!(source.range(Span { start: 999, end: 1 }), end..end);
    let value = source.text.find("\"ü\"").expect("value");
    let entry = source.entry(Span {
        start: value,
        end: value + 4,
    });
    assert_eq!(&source.text[source.range(entry)], "b = \"ü\"");
}

#[test]
fn the_closest_name_is_close() {
    assert_eq!(
        closest("ams-pe1", ["ams-pe-1", "ams-pe-2"]),
        Some("ams-pe-1")
    );
    assert_eq!(closest("silnet", ["light", "silent"]), Some("silent"));
    assert_eq!(closest("light", ["silent", "lacp"]), None);
    assert_eq!(closest("x", ["bfd", "bgp"]), None);
    assert_eq!(closest("x", []), None);
}

/// A raw type with everything the reader treats specially.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    wait: Option<Located<Duration>>,
    #[serde(default)]
    thing: Table<Thing>,
    #[serde(default)]
    step: Vec<Located<Thing>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thing {
    size: Option<Located<u8>>,
    names: Option<Located<Names>>,
}

fn told(text: &str) -> (Option<Raw>, Vec<String>) {
    let source = Source::new("x.toml", text);
    let (raw, mistakes) = read::<Raw>(&source);
    let told = match mistakes.finish(Some(())) {
        Ok(()) => Vec::new(),
        Err(found) => found.iter().map(|d| d.message.clone()).collect(),
    };
    (raw, told)
}

#[test]
fn everything_wrong_is_told_and_the_rest_is_read() {
    let (raw, told) = told(
        "wait = 5\nwiat = \"5s\"\n\
         [thing.b]\nsize = 300\nnames = [\"x\", 7]\n\
         [thing.a]\nsize = 3\nnames = \"y\"\n\
         [[step]]\nsize = true\n[[step]]\nsize = 4\nsiez = 4\n",
    );
    assert_eq!(
        told,
        [
            "expected a duration with its unit, such as \"500ms\"",
            "unknown key `wiat`",
            "expected a whole number from 0 to 255",
            "expected a text in quotes",
            "expected a whole number from 0 to 255",
            "unknown key `siez`",
        ]
    );
    let raw = raw.expect("readable");
    assert!(raw.wait.is_none());
    assert_eq!(
        raw.thing.names().collect::<Vec<_>>(),
        ["b", "a"],
        "in the order of the file"
    );
    let (_, b) = &raw.thing.0[0];
    assert!(b.size.is_none());
    let names = b.names.as_ref().expect("names");
    let located = names.value.located(names.span);
    assert_eq!(
        located
            .iter()
            .map(|name| name.value.as_str())
            .collect::<Vec<_>>(),
        ["x"]
    );
    assert_eq!(raw.step[1].value.size.map(|size| size.value), Some(4));
}

#[test]
fn what_was_struck_is_not_missing() {
    let source = Source::new(
        "x.toml",
        "[thing.a]\nsiez = 4\n[thing.b]\nsize = -1\n[thing.c]\n",
    );
    let (raw, mut mistakes) = read::<Raw>(&source);
    for (name, thing) in &raw.expect("readable").thing.0 {
        mistakes.require(thing.size, name.span, &name.value, "size", "size = 1");
    }
    let found = mistakes.finish(Some(())).expect_err("mistakes");
    let told: Vec<&str> = found.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "unknown key `siez`",
            "expected a whole number from 0 to 255",
            "c has no `size`"
        ]
    );
}

#[test]
fn syntax_errors_are_told_together_and_alone() {
    let (raw, told) = told("wait = \nunknown = 1\n[thing.a\nsize = [1,,2]\n");
    assert!(raw.is_none());
    assert!(told.len() >= 2, "{told:?}");
    assert!(
        !told.iter().any(|message| message.contains("unknown key")),
        "{told:?}"
    );
}

#[test]
fn there_is_an_end_to_telling() {
    let many: String = (0..5_000).map(|n| format!("key-{n} = {n}\n")).collect();
    let (raw, messages) = told(&many);
    assert!(raw.is_none());
    assert_eq!(messages.len(), 101);
    assert!(messages[0].starts_with("there are more mistakes"));
    let deep = format!("step = {}", "[".repeat(50_000));
    assert!(!told(&deep).1.is_empty());
}

#[test]
fn diagnostics_stand_in_the_order_of_files() {
    let (b, a) = (Source::new("b", "text\n"), Source::new("a", "text\n"));
    let span = |start| Span {
        start,
        end: start + 1,
    };
    let mut all = Diagnostics::default();
    all.push(Diagnostic::error("3").at(&b, span(0), ""));
    all.push(Diagnostic::error("2").at(&a, span(2), ""));
    all.push(Diagnostic::error("1").at(&a, span(0), ""));
    all.push(Diagnostic::error("0"));
    all.push(Diagnostic::error("2").at(&a, span(2), ""));
    all.sort();
    let order: Vec<&str> = all.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(order, ["0", "1", "2", "3"]);
}

#[test]
fn drawn_like_a_compiler() {
    let text = "topology = \"one-metro\"\n\n[[step]]\nfail = 1\n";
    let (one, other) = (
        Source::new("one.toml", text),
        Source::new("other.toml", "x = 1\n"),
    );
    let span = |from: &str, source: &Source| {
        let start = source.text.find(from).expect("present");
        Span {
            start,
            end: start + from.len(),
        }
    };
    let diagnostic = Diagnostic::new(Severity::Warning, "two files disagree")
        .at(&one, span("1", &one), "this")
        .at(&one, span("[[step]]", &one), "in this step")
        .at(&other, span("x = 1", &other), "that")
        .note("for information")
        .help("think")
        .replace("write 2", span("1", &one), "2");
    let plain = diagnostic.render(false);
    assert_eq!(
        plain,
        "\
warning: two files disagree
 --> one.toml:4:8
  |
3 | [[step]]
  | -------- in this step
4 | fail = 1
  |        ^ this
  |
 ::: other.toml:1:1
  |
1 | x = 1
  | ----- that
  |
  = note: for information
  = help: think
help: write 2
  |
4 - fail = 1
4 + fail = 2
  |
"
    );
    assert!(!plain.contains('\u{1b}'));
    assert!(diagnostic.render(true).contains('\u{1b}'));
}

#[test]
fn unreadable_files_say_why() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("latin1.toml");
    std::fs::write(&file, b"a = 1\nb = \"\xe4\"\n").expect("written");
    let told = Source::read(&file).expect_err("not UTF-8").message;
    assert!(
        told.ends_with("latin1.toml`: line 2 is not UTF-8 text"),
        "{told}"
    );
    let told = Source::read(folder.path()).expect_err("a folder").message;
    assert!(told.starts_with("cannot read `"), "{told}");
    let told = Source::read(&folder.path().join("none"))
        .expect_err("none")
        .message;
    assert!(told.ends_with("none`: no such file"), "{told}");
}

proptest! {
    #[test]
    fn durations_survive_being_written(nanos in 0u64..=86_400_000_000_000) {
        let duration = Time::from_nanos(nanos);
        let text = in_words(duration);
        prop_assert_eq!(text.parse::<Duration>(), Ok(Duration(duration)), "{}", text);
    }

    #[test]
    fn bandwidths_survive_being_written(mbps in 1u32..) {
        let text = Bandwidth(mbps).to_string();
        prop_assert_eq!(text.parse::<Bandwidth>(), Ok(Bandwidth(mbps)), "{}", text);
    }

    #[test]
    fn values_never_panic(text in "\\PC{0,24}") {
        let _ = text.parse::<Duration>();
        let _ = text.parse::<Bandwidth>();
        let _ = text.parse::<Prefix>();
        let _ = text.parse::<Address>();
        let _ = text.parse::<Community>();
    }

    #[test]
    fn any_place_can_be_drawn(text in "[a-zäß\n\t ]{0,40}", start in 0usize..60, end in 0usize..60) {
        let source = Source::new("x", text);
        let span = Span { start, end };
        let diagnostic = Diagnostic::error("here").at(&source, span, "this").replace("so", span, "x");
        prop_assert!(diagnostic.render(false).contains("error: here"));
    }
}
