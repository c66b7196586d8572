//! OpenBGPD, asked by `bgpctl`.

use std::fmt::Write as _;
use std::path::Path;

use peerlab::binding::Daemon;
use serde_json::Value;

use super::{Dut, Heard, Wish, nothing};
use crate::bed::{DUT_ASN, EDGE_ASN, theirs};

pub const DUT: Dut = Dut {
    daemon: Daemon::Openbgpd,
    programs: &["bgpd", "bgpctl"],
    config,
    originate: nothing,
    heard: (&["bgpctl", "-j", "show", "rib", "detail"], heard),
    heard_ipv6: &[],
    updates: (&["bgpctl", "-j", "show", "neighbor"], updates),
    refresh: Ok(&["bgpctl", "neighbor", "10.0.0.1", "refresh"]),
    // Seen with 7.7, which says the same to BIRD's ROUTE-REFRESH.
    refuses: Some("route refresh: AID IPv4 unicast not negotiated"),
    far: None,
    deaf: None,
    shutdown: Ok(&["bgpctl", "neighbor", "10.0.0.1", "down", "day work"]),
};

fn config(wish: &Wish, _: &Path) -> String {
    let mut text = format!("AS {DUT_ASN}\nrouter-id 10.0.0.0\nfib-update no\n");
    let leaving = if wish.leaving {
        "community GRACEFUL_SHUTDOWN "
    } else {
        ""
    };
    for prefix in theirs(wish.ipv6) {
        let _ = writeln!(
            text,
            "network {prefix} set {{ community 64500:100 {leaving}large-community 64500:1:2 }}"
        );
    }
    let _ = writeln!(
        text,
        "neighbor {} {{\n remote-as {EDGE_ASN}",
        wish.neighbor()
    );
    for (on, words) in [
        (wish.passive, "passive"),
        (wish.ttl, "ttl-security yes"),
        (wish.bfd, "bfd yes"),
    ] {
        if on {
            let _ = writeln!(text, " {words}");
        }
    }
    if let Some(key) = wish.md5 {
        let _ = writeln!(text, " tcp md5sig password {key}");
    }
    text + "}\nallow from any\nallow to any\n"
}

fn heard(words: &str) -> Vec<Heard> {
    let table: Value = serde_json::from_str(words).unwrap_or_default();
    let routes = table["rib"].as_array().into_iter().flatten();
    let foreign = routes.filter(|route| route["source"] == "external");
    let read = |route: &Value| {
        let lists = [&route["communities"], &route["large_communities"]];
        let words = lists.into_iter().filter_map(Value::as_array).flatten();
        Some(Heard {
            prefix: route["prefix"].as_str()?.parse().ok()?,
            communities: words
                .filter_map(|word| word.as_str().map(str::to_owned))
                .collect(),
        })
    };
    foreign.filter_map(read).collect()
}

fn updates(words: &str) -> Option<(u64, u64)> {
    let table: Value = serde_json::from_str(words).ok()?;
    let messages = &table["neighbors"][0]["stats"]["message"];
    let count = |way: &str| messages[way]["updates"].as_u64();
    count("received").zip(count("sent"))
}
