//! The table is in order, of one mind with that of malformed UPDATEs, and as the documentation has it.

use std::fmt::Write;
use std::path::Path;

use super::*;
use crate::bgp::message::faults::{RULES, Treatment};
use crate::bgp::notification::Notification;

#[test]
fn rows_are_in_order_and_none_is_there_twice() {
    let codes = KNOWN.iter().map(|known| (known.code, known.subcode));
    assert!(codes.is_sorted_by(|a, b| a < b));
}

/// Both tables are of one mind which faults of an UPDATE end a session.
#[test]
fn an_update_ends_a_session_where_rfc_7606_says_so() {
    for known in KNOWN.iter().filter(|known| known.code == 3) {
        let ends = RULES
            .iter()
            .any(|rule| (rule.treatment, rule.subcode) == (Treatment::Reset, known.subcode));
        assert_eq!(matches!(known.sent, When(_)), ends, "{known:?}");
    }
}

/// The table as it stands in the documentation.
fn document() -> String {
    let mut text = String::from(
        "# NOTIFICATIONs\n\n\
         When the routers of a lab send which NOTIFICATION, and which they only show. The table is `src/bgp/notification/codes.rs`; a\n\
         test prints it here (`REFRESH=1 cargo test --lib notification::codes`), and `src/bgp/session/tests/notifications.rs` brings\n\
         about whatever is sent. Codes and subcodes that are not here are shown as numbers.\n\n\
         | | name | source | sent |\n|---|---|---|---|\n",
    );
    for known in KNOWN {
        let (code, subcode) = (known.code, known.subcode);
        let sent = match known.sent {
            When(when) => when.to_owned(),
            Never(why) => format!("never: {why}"),
        };
        let name = Notification::new(code, subcode);
        let _ = writeln!(
            text,
            "| {code}/{subcode} | {name} | {} | {sent} |",
            known.source
        );
    }
    text
}

#[test]
fn the_documentation_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bgp/notification/codes.md");
    if std::env::var_os("REFRESH").is_some() {
        std::fs::write(&path, document()).expect("writable");
    }
    let written = std::fs::read_to_string(&path).expect("src/bgp/notification/codes.md");
    assert_eq!(written, document(), "REFRESH=1 writes it anew");
}
