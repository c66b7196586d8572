//! RFC 7606: every row of the table is met by a malformed UPDATE, gets its treatment, and stands in the documentation.

use std::fmt::Write as _;
use std::path::Path;

use super::*;
use crate::bgp::message::faults::{Fault, RULES, Rule, Treatment, rule};
use crate::bgp::message::malformed::{MALFORMATIONS, Malformation, write_malformed};

/// The sessions a malformation can be tried in: external and internal, with old and new speakers, with and without IPv4.
pub(super) fn dialects() -> impl Iterator<Item = Dialect> {
    (0..8).map(|bits| Dialect {
        internal: bits & 1 != 0,
        four_octet: bits & 2 != 0,
        families: if bits & 4 == 0 {
            Family::ALL.into_iter().collect()
        } else {
            Family::Ipv6Unicast.into()
        },
        ..EXTERNAL
    })
}

/// A route of a family, with every attribute a malformation may need a good one of.
pub(super) fn route(family: Family) -> (Attributes, Nlri) {
    let (next_hop, prefix): (std::net::IpAddr, _) = match family {
        Family::Ipv4Unicast => (
            "192.0.2.1".parse().expect("an address"),
            net("198.51.100.0/24"),
        ),
        Family::Ipv6Unicast => (
            "2001:db8::1".parse().expect("an address"),
            net("2001:db8:1::/48"),
        ),
    };
    let mut set = Attributes::originated(next_hop);
    set.as_path = vec![64500];
    set.communities = vec![8075 << 16 | 8007];
    (set, prefix)
}

/// What became of a route that was announced with a malformation.
pub(super) fn outcome(
    malformation: &Malformation,
    family: Family,
    dialect: Dialect,
) -> Result<(Update, Nlri), Notification> {
    let (set, prefix) = route(family);
    let mut out = BytesMut::new();
    write_malformed(&mut out, malformation, &set, &[prefix], dialect).expect("fits");
    let mut framer = Framer::default();
    framer.push(&out);
    match framer.next(dialect)? {
        Some(Message::Update(update)) => Ok((*update, prefix)),
        other => panic!("not an UPDATE: {other:?}"),
    }
}

/// Whether an outcome is what a row says.
pub(super) fn is_treated(
    outcome: &Result<(Update, Nlri), Notification>,
    rule: &Rule,
    name: &str,
) -> bool {
    match (outcome, rule.treatment) {
        (Err(notification), Treatment::Reset) => {
            (notification.code, notification.subcode) == (3, rule.subcode)
        }
        (Ok((update, prefix)), Treatment::Withdraw) => {
            let unusable = update.unusable.as_ref();
            unusable.is_some_and(|u| u.nlri.contains(prefix))
                && update.announced.is_empty()
                && update
                    .malformed
                    .iter()
                    .any(|text| text.starts_with(name) && text.contains(rule.source))
        }
        (Ok((update, prefix)), Treatment::Discard) => {
            let family_of_its_own = rule.fault == Fault::Family && update.announced.is_empty();
            let announced = update.announced.iter().any(|a| a.nlri.contains(prefix));
            (announced || family_of_its_own)
                && update.unusable.is_none()
                && update
                    .malformed
                    .iter()
                    .any(|text| text.starts_with(name) && text.contains(rule.source))
        }
        _ => false,
    }
}

/// How the fault of a malformation is told.
pub(super) fn told(malformation: &Malformation) -> String {
    format!(
        "{}: {}",
        code::name(malformation.attribute),
        malformation.fault
    )
}

#[test]
fn every_malformation_is_treated_as_its_row_says() {
    for malformation in MALFORMATIONS {
        let rule = rule(malformation.attribute, malformation.fault);
        let name = told(malformation);
        let mut met = 0;
        for dialect in dialects() {
            for family in Family::ALL {
                let outcome = outcome(malformation, family, dialect);
                met += usize::from(is_treated(&outcome, rule, &name));
            }
        }
        assert!(
            met > 0,
            "{} is never treated as {rule:?}",
            malformation.name
        );
    }
}

/// Whether a row is of an attribute that is left out whatever is in it.
fn is_voiceless(row: &Rule) -> bool {
    matches!(row.fault, Fault::FromExternal | Fault::FromNewSpeaker)
}

/// RFC 7606, sections 7.5, 7.9 and 7.10: discarded, malformed or not.
#[test]
fn what_a_neighbour_has_no_say_in_is_left_out_before_it_is_looked_at() {
    for row in RULES.iter().filter(|row| is_voiceless(row)) {
        let code = row.attribute.expect("an attribute");
        for flags in (0..16_u8).map(|high| high << 4 & !code::EXTENDED_LENGTH) {
            for length in 0..10_u8 {
                let attribute = [&[flags, code, length][..], &vec![7; length.into()]].concat();
                for attributes in [
                    [&good()[..], &attribute].concat(),
                    [&attribute[..], &good()].concat(),
                ] {
                    let read = updates(&update(&attributes, &NLRI), EXTERNAL).remove(0);
                    let (set, nlri) = only(&read);
                    assert_eq!(nlri, [net("198.51.100.0/24")]);
                    let mut plain = Attributes::originated(Ipv4Addr::new(192, 0, 2, 1));
                    plain.as_path = vec![64500];
                    assert_eq!(*set, plain);
                    let (name, fault, source) = (code::name(code), row.fault, row.source);
                    let told = format!("{name}: {fault}: attribute discard ({source})");
                    assert_eq!(read.malformed, [told]);
                }
            }
        }
    }
}

#[test]
fn every_row_is_met() {
    for row in RULES {
        let mut malformations = MALFORMATIONS.iter();
        let met = malformations.any(|m| rule(m.attribute, m.fault) == row);
        assert!(met, "no malformation meets {row:?}");
    }
}

#[test]
fn names_are_unique() {
    for malformation in MALFORMATIONS {
        let found = Malformation::named(malformation.name).expect("there");
        assert_eq!(found.fault, malformation.fault, "{}", malformation.name);
    }
}

#[test]
fn the_notification_carries_what_section_6_3_asks_for() {
    let notification = |name: &str| {
        let malformation = Malformation::named(name).expect("there");
        let dialect = dialects().next().expect("one");
        outcome(malformation, Family::Ipv6Unicast, dialect).expect_err("a reset")
    };
    let data = |name: &str| notification(name).data.to_vec();
    // The erroneous attribute, with flags, type code and length.
    assert_eq!(data("well-known-unrecognized"), [0x50, 99, 0, 1, 1]);
    assert_eq!(data("mp-unreach-length"), [0x90, 15, 0, 2, 0, 2]);
    // Nothing, where nothing is asked for.
    assert_eq!(data("nlri-length"), Vec::<u8>::new());
    assert_eq!(data("mp-reach-repeated"), Vec::<u8>::new());
}

#[test]
fn the_strongest_treatment_counts_and_is_told_first() {
    // A repeated ORIGIN is discarded, a short MED withdraws.
    let repeated = [&good()[..], &ORIGIN, &[0x80, 4, 3, 0, 0, 0]].concat();
    let read = updates(&update(&repeated, &NLRI), EXTERNAL).remove(0);
    assert!(read.unusable.is_some());
    let expected = [
        "MULTI_EXIT_DISC: wrong length: treat-as-withdraw (RFC 7606, section 7.4)",
        "ORIGIN: repeated: attribute discard (RFC 7606, section 3.g)",
    ];
    assert_eq!(read.malformed, expected);
}

#[test]
fn withdrawals_beside_a_malformed_announcement_count() {
    let mut body = vec![0, 4, 24, 203, 0, 113];
    let attributes = [&[0x40, 1, 1, 9][..], &AS_PATH, &NEXT_HOP].concat();
    body.extend((attributes.len() as u16).to_be_bytes());
    body.extend(attributes);
    body.extend(NLRI);
    let read = updates(&framed(2, &body), EXTERNAL).remove(0);
    assert_eq!(read.withdrawn, [net("203.0.113.0/24")]);
    assert_eq!(
        read.unusable.expect("unusable").nlri,
        [net("198.51.100.0/24")]
    );
}

/// The table as it stands in the documentation.
fn document() -> String {
    let mut text = String::from(
        "# Malformed UPDATEs\n\n\
         How the routers of a lab treat what a neighbour must not send: RFC 7606, and what came after it. The table is\n\
         `src/bgp/message/faults.rs`; a test prints it here (`REFRESH=1 cargo test --lib message::tests::faults`) and meets every row with a\n\
         malformed UPDATE of the last column (`src/bgp/message/malformed.rs`). Where RFC 7606 lets a speaker disable one address family,\n\
         the session is reset. The number is the subcode of the UPDATE Message Error (RFC 4271, section 6.3) of a reset.\n\n\
         | attribute | fault | treatment | source | tried with |\n|---|---|---|---|---|\n",
    );
    for row in RULES {
        let attribute = row.attribute.map_or("any".into(), code::name);
        let tried = MALFORMATIONS
            .iter()
            .filter(|m| rule(m.attribute, m.fault) == row);
        let tried: Vec<String> = tried.map(|m| format!("`{}`", m.name)).collect();
        let treatment = match row.treatment {
            Treatment::Reset => format!("{}, 3/{}", row.treatment, row.subcode),
            _ => row.treatment.to_string(),
        };
        let _ = writeln!(
            text,
            "| {attribute} | {} | {treatment} | {} | {} |",
            row.fault,
            row.source,
            tried.join(", ")
        );
    }
    let voiceless = RULES.iter().filter(|row| is_voiceless(row));
    let voiceless: Vec<String> = voiceless
        .filter_map(|row| Some(format!("{} {}", code::name(row.attribute?), row.fault)))
        .collect();
    let _ = write!(
        text,
        "\n## What is left out before it is looked at\n\n\
        Some attributes are not for every neighbour to send:\n{}.\n\
        They are left out whatever their flags, length and value are, since only those of a neighbour who may send them can be malformed (RFC 7606,\n\
        sections 7.5, 7.9 and 7.10; RFC 6793, section 4.1). One that runs over the end of the attributes is still an error of the UPDATE.\n\n\
        Prefixes of an address family that was not negotiated are not read either, be they in MP_REACH_NLRI, in MP_UNREACH_NLRI or, without IPv4,\n\
        in the body: RFC 7606, section 5.3, ends a session over malformed prefixes because nobody knows which routes they meant, and\n\
        here they meant none. (BIRD ignores them, too.) The lengths of the UPDATE's parts have to be right all the same.\n",
        voiceless.join(",\n")
    );
    text + "\n## Attributes that are not read\n\n\
        An optional attribute of which no row above tells is not looked into (RFC 4271, sections 5 and 9). A transitive one is kept with its\n\
        route and passed on to every neighbour the route is told, with the Partial flag set; one that is not transitive is left out, and\n\
        nothing is told of it. IPV6_EXTENDED_COMMUNITIES (RFC 5701) are known, though nothing here asks what is in them: they are passed on\n\
        as they came, as are the attributes that are read, with the Partial flag if they had it.\n\
        `src/router/tests/passed_on.rs` holds this.\n"
}

#[test]
fn the_documentation_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bgp/message/malformed-updates.md");
    if std::env::var_os("REFRESH").is_some() {
        std::fs::write(&path, document()).expect("writable");
    }
    let written = std::fs::read_to_string(&path).expect("src/bgp/message/malformed-updates.md");
    assert_eq!(written, document(), "REFRESH=1 writes it anew");
}
