//! The judgement of the codec library (`rustbgpd-wire`): what it makes of every malformation, beside the table.

use std::fmt::Write as _;
use std::path::Path;

use rustbgpd_wire as wire;
use wire::ErrorDisposition;

use super::faults::{dialects, is_treated, outcome, route, told};
use super::*;
use crate::bgp::message::faults::{Fault, Treatment, rule};
use crate::bgp::message::malformed::{MALFORMATIONS, Malformation, write_malformed};

/// The strongest treatment the library prescribes for an UPDATE; `None` if it finds nothing wrong.
fn treatment(bytes: &[u8], dialect: Dialect) -> Option<Treatment> {
    let of = |disposition| match disposition {
        ErrorDisposition::AttributeDiscard => Treatment::Discard,
        ErrorDisposition::TreatAsWithdraw => Treatment::Withdraw,
        ErrorDisposition::SessionReset => Treatment::Reset,
    };
    let mut body = Bytes::copy_from_slice(&bytes[HEADER..]);
    let length = body.len();
    let Ok(update) = wire::UpdateMessage::decode(&mut body, length) else {
        return Some(Treatment::Reset);
    };
    let Ok(read) = update.parse_revised(dialect.four_octet, dialect.internal, false, &[]) else {
        return Some(Treatment::Reset);
    };
    let attributes = &read.update.attributes;
    let reach = |a: &wire::PathAttribute| matches!(a, wire::PathAttribute::MpReachNlri(_));
    let in_body = !read.update.announced.is_empty();
    let any = in_body || attributes.iter().any(reach);
    let valid =
        wire::validate::validate_update_attributes(attributes, any, in_body, !dialect.internal);
    let found = read.malformed.iter().map(|malformed| malformed.disposition);
    found
        .chain(valid.err().map(|error| error.disposition))
        .map(of)
        .max()
}

/// Malformations of which the library's treatment is not the table's, in any session where ours is met; and how many it was
/// asked about.
fn different() -> (Vec<(&'static Malformation, String)>, usize) {
    let mut different = Vec::new();
    // Which families and AS numbers were negotiated, and what an external neighbour may say, is its user's to know.
    let asked = MALFORMATIONS.iter().filter(|m| {
        !matches!(
            m.fault,
            Fault::Family | Fault::FromExternal | Fault::FromNewSpeaker
        )
    });
    let mut count = 0;
    for malformation in asked {
        count += 1;
        let mut found: Vec<String> = Vec::new();
        for dialect in dialects() {
            for family in Family::ALL {
                let rule = rule(malformation.attribute, malformation.fault);
                let ours = outcome(malformation, family, dialect);
                if !is_treated(&ours, rule, &told(malformation)) {
                    continue;
                }
                let (set, prefix) = route(family);
                let mut out = BytesMut::new();
                write_malformed(&mut out, malformation, &set, &[prefix], dialect).expect("fits");
                let theirs = treatment(&out, dialect);
                let text = theirs.map_or("nothing".to_owned(), |treatment| treatment.to_string());
                if theirs != Some(rule.treatment) && !found.contains(&text) {
                    found.push(text);
                }
            }
        }
        if !found.is_empty() {
            different.push((malformation, found.join(", or ")));
        }
    }
    (different, count)
}

fn document() -> String {
    let (different, count) = different();
    let mut text = format!(
        "# Malformed UPDATEs in the codec library\n\n\
         What `rustbgpd-wire` {} does otherwise than [the table](malformed-updates.md): its `parse_revised` and then its\n\
         `validate_update_attributes`, in every kind of session in which the table's treatment is met. Of {count} malformations it treats\n\
         {} as the table does. Not asked about are those which its user must find, who alone knows what was negotiated. A test prints this\n\
         (`REFRESH=1 cargo test --lib message::tests::library`), so that a new version is judged anew.\n\n\
         | attribute | malformation | prescribed | library |\n|---|---|---|---|\n",
        version(),
        count - different.len(),
    );
    for (malformation, theirs) in different {
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | {theirs} |",
            code::name(malformation.attribute),
            malformation.name,
            rule(malformation.attribute, malformation.fault).treatment,
        );
    }
    text
}

/// The version that is pinned.
fn version() -> &'static str {
    let manifest = include_str!("../../../../Cargo.toml");
    let line = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rustbgpd-wire = \"="));
    line.and_then(|rest| rest.strip_suffix('"'))
        .expect("exactly pinned")
}

#[test]
fn the_library_is_judged_by_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/bgp/message/malformed-updates-in-the-library.md");
    if std::env::var_os("REFRESH").is_some() {
        std::fs::write(&path, document()).expect("writable");
    }
    let written = std::fs::read_to_string(&path).expect("the judgement");
    assert_eq!(written, document(), "REFRESH=1 writes it anew");
}

/// RFC 4760, section 8, wants it ignored, and RFC 7606, section 5.4, too.
#[test]
fn the_library_ends_the_session_over_a_family_it_does_not_know() {
    let reach = [0x80, 14, 10, 0, 99, 1, 4, 192, 0, 2, 1, 0, 0];
    let bytes = update(&[&good()[..], &reach].concat(), &NLRI);
    assert_eq!(treatment(&bytes, EXTERNAL), Some(Treatment::Reset));
    let read = updates(&bytes, EXTERNAL).remove(0);
    assert_eq!(only(&read).1, [net("198.51.100.0/24")]);
}
