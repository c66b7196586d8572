//! ExaBGP, asked by `exabgpcli`; what it is told by us goes to a process of its own, which repeats it.

use std::fmt::Write as _;
use std::path::Path;

use peerlab::binding::Daemon;

use super::{Dut, Heard, Wish, nothing};
use crate::bed::{DUT_ASN, EDGE_ASN, theirs};

pub const DUT: Dut = Dut {
    daemon: Daemon::Exabgp,
    programs: &["exabgp", "exabgpcli"],
    config,
    originate: nothing,
    heard: (&["exabgpcli", "show", "adj-rib", "in", "extensive"], heard),
    heard_ipv6: &[],
    updates: (&["exabgpcli", "show", "neighbor", "extensive"], updates),
    refresh: Ok(&["exabgpcli", "announce", "route-refresh", "ipv4", "unicast"]),
    refuses: None,
    far: Some("ExaBGP 4.2 sends with TTL 255, but takes connections with any"),
    deaf: Some("ExaBGP 4.2 fails to decode a NOTIFICATION with a text (a TypeError of Python 3)"),
    shutdown: Err("ExaBGP 4.2 sends no text with a teardown"),
};

fn config(wish: &Wish, folder: &Path) -> String {
    let script = folder.join("repeat.sh");
    std::fs::write(&script, "cat >&2\nexit\n").expect("a folder of ours");
    let mut text = format!(
        "process repeat {{ run /bin/sh {}; encoder json; }}\nneighbor {} {{\n router-id 10.0.0.0;\n local-address {};\n \
         local-as {DUT_ASN};\n peer-as {EDGE_ASN};\n listen 179;\n api {{ processes [ repeat ]; receive {{ parsed; \
         notification; }} }}\n capability {{ route-refresh enable; }}\n",
        script.display(),
        wish.neighbor(),
        wish.local()
    );
    for (on, words) in [
        (wish.passive, "passive true"),
        (wish.ttl, "incoming-ttl 255;\n outgoing-ttl 255"),
        (wish.bfd, "bfd true"),
    ] {
        if on {
            let _ = writeln!(text, " {words};");
        }
    }
    if let Some(key) = wish.md5 {
        let _ = writeln!(text, " md5-password \"{key}\";");
    }
    let family = if wish.ipv6 { "ipv6" } else { "ipv4" };
    let _ = writeln!(text, " family {{ {family} unicast; }}\n static {{");
    let leaving = if wish.leaving { " 65535:0" } else { "" };
    for prefix in theirs(wish.ipv6) {
        let _ = writeln!(
            text,
            "  route {prefix} next-hop self community [ 64500:100{leaving} ] large-community [ 64500:1:2 ];"
        );
    }
    text + " }\n}\n"
}

/// One line a route: `… ipv4 unicast 100.64.0.0/24 next-hop … community 8075:8007 large-community 8075:1:2`; several are
/// in brackets.
fn heard(words: &str) -> Vec<Heard> {
    let read = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = words.iter().position(|word| *word == "unicast")?;
        let after = |name: &str| {
            let place = words.iter().position(|word| *word == name);
            let list = place.map_or(&[][..], |place| &words[place + 1..]);
            let several = list.first() == Some(&"[");
            let end = match several {
                true => list.iter().position(|word| *word == "]"),
                false => Some(1),
            };
            let list = list.get(usize::from(several)..end.unwrap_or(0));
            list.unwrap_or_default()
                .iter()
                .map(|word| (*word).to_owned())
        };
        Some(Heard {
            prefix: words.get(place + 1)?.parse().ok()?,
            communities: after("community").chain(after("large-community")).collect(),
        })
    };
    words.lines().filter_map(read).collect()
}

fn updates(words: &str) -> Option<(u64, u64)> {
    let is_it = |line: &&str| line.trim().starts_with("update:");
    let line = words.lines().find(is_it)?;
    let mut counts = line.split_whitespace().skip(1).map(str::parse);
    let sent = counts.next()?.ok()?;
    Some((counts.next()?.ok()?, sent))
}
