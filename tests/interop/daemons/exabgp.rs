//! ExaBGP, asked by `exabgpcli`; what it is told by us goes to a process of its own, which repeats it.

use std::fmt::Write as _;
use std::path::Path;

use peerlab::binding::Daemon;

use super::{AS_TRANS, Dut, EDGE_ASN, Lacks, NOTHING, TwoOctets, Wish, nothing, words};
use crate::routes::{Heard, theirs};

pub const DUT: Dut = Dut {
    daemon: Daemon::Exabgp,
    programs: &["exabgp", "exabgpcli"],
    config,
    originate: nothing,
    routes: |_| words("exabgpcli show adj-rib in extensive"),
    heard,
    refresh: |wish| {
        words(&format!(
            "exabgpcli announce route-refresh {} unicast",
            wish.family()
        ))
    },
    // 2 is Administrative Shutdown (RFC 4486).
    shutdown: |wish| {
        words(&format!(
            "exabgpcli neighbor {} teardown 2",
            wish.neighbor()
        ))
    },
    lacks: Lacks {
        near: Some("ExaBGP 4.2 sends with TTL 255, but takes connections with any"),
        shows: Some((
            "ExaBGP 4.2 fails to decode a NOTIFICATION with a text (a TypeError of Python 3)",
            // What it says of the next connection, which we refuse.
            "\"code\": 6, \"subcode\": 5",
        )),
        speaks: Some((
            "ExaBGP 4.2 takes no text for a teardown: it sends the name of the subcode",
            "Administrative Shutdown",
        )),
        // It puts AS_PATH and AS4_PATH together.
        two_octets: TwoOctets::Known {
            told: AS_TRANS,
            shown: EDGE_ASN,
        },
        ..NOTHING
    },
};

fn config(wish: &Wish, folder: &Path) -> String {
    let script = folder.join("repeat.sh");
    std::fs::write(&script, "cat >&2\nexit\n").expect("a folder of ours");
    let mut text = format!(
        "process repeat {{ run /bin/sh {}; encoder json; }}\nneighbor {} {{\n router-id 10.0.0.0;\n local-address {};\n \
         local-as {};\n peer-as {};\n listen 179;\n api {{ processes [ repeat ]; receive {{ parsed; notification; }} }}\n",
        script.display(),
        wish.neighbor(),
        wish.local(),
        wish.asn,
        wish.edge_asn
    );
    let asn4 = if wish.two_octets { "disable" } else { "enable" };
    let (next_hop, other) = if wish.extended_next_hop() {
        // It wants the family of the next hop to be carried, too.
        (
            " nexthop enable;",
            " ipv6 unicast; } nexthop { ipv4 unicast ipv6;",
        )
    } else {
        ("", "")
    };
    let _ = writeln!(
        text,
        " capability {{ route-refresh enable; asn4 {asn4};{next_hop} }}"
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
    let family = wish.family();
    let _ = writeln!(text, " family {{ {family} unicast;{other} }}\n static {{");
    let leaving = if wish.leaving { " 65535:0" } else { "" };
    let next_hop = match wish.extended_next_hop() {
        true => wish.local(),
        false => "self",
    };
    for (n, prefix) in theirs(wish.carries) {
        let _ = writeln!(
            text,
            "  route {prefix} next-hop {next_hop} community [ 64500:100 64500:{n}{leaving} ] large-community [ 64500:1:{n} ] \
             extended-community [ target:64500:{n} ];"
        );
    }
    text + " }\n}\n"
}

/// One line a route: `… ipv4 unicast 100.64.0.0/24 next-hop … as-path [ 8075 ] community 8075:8007 …`; several are in
/// brackets.
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
                .map(|word| word.replace("target:", "rt:"))
        };
        let kinds = ["community", "large-community", "extended-community"];
        Some(Heard {
            prefix: words.get(place + 1)?.parse().ok()?,
            path: after("as-path").collect::<Vec<_>>().join(" "),
            communities: kinds.into_iter().flat_map(after).collect(),
        })
    };
    words.lines().filter_map(read).collect()
}
