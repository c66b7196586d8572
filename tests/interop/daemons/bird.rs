//! BIRD, asked by `birdc`.

use std::fmt::Write as _;
use std::path::Path;

use peerlab::binding::Daemon;

use super::{Dut, Heard, Wish, nothing};
use crate::bed::{DUT_ASN, EDGE_ASN, theirs};

pub const DUT: Dut = Dut {
    daemon: Daemon::Bird,
    programs: &["bird", "birdc"],
    config,
    originate: nothing,
    heard: (&["birdc", "show route all protocol edge"], heard),
    heard_ipv6: &[],
    updates: (&["birdc", "show protocols all edge"], updates),
    refresh: Ok(&["birdc", "reload in edge"]),
    refuses: None,
    far: None,
    deaf: None,
    shutdown: Ok(&["birdc", "disable edge \"day work\""]),
};

fn config(wish: &Wish, _: &Path) -> String {
    let family = if wish.ipv6 { "ipv6" } else { "ipv4" };
    let mut text = format!(
        "log stderr all;\nrouter id 10.0.0.0;\nprotocol device {{ }}\nprotocol bfd {{ interface \"l0\" {{ interval 150 ms; \
         multiplier 3; }}; }}\nprotocol static {{ {family};\n"
    );
    let leaving = if wish.leaving {
        "bgp_community.add((65535,0)); "
    } else {
        ""
    };
    for prefix in theirs(wish.ipv6) {
        let _ = writeln!(
            text,
            "  route {prefix} blackhole {{ bgp_community.add((64500,100)); {leaving}bgp_large_community.add((64500,1,2)); }};"
        );
    }
    let _ = writeln!(
        text,
        "}}\nprotocol bgp edge {{ local {} as {DUT_ASN}; neighbor {} as {EDGE_ASN}; connect delay time 1; connect retry \
         time 1; error wait time 1, 2; {family} {{ import all; export where source = RTS_STATIC; next hop self; }};",
        wish.local(),
        wish.neighbor()
    );
    for (on, words) in [
        (wish.passive, "passive on;"),
        (wish.ttl, "ttl security on;"),
        (wish.bfd, "bfd on;"),
    ] {
        if on {
            let _ = writeln!(text, "  {words}");
        }
    }
    if let Some(key) = wish.md5 {
        let _ = writeln!(text, "  password \"{key}\";");
    }
    text + "}\n"
}

/// A route begins with its prefix; its attributes follow, indented.
fn heard(words: &str) -> Vec<Heard> {
    let mut heard: Vec<Heard> = Vec::new();
    for line in words.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if !line.starts_with(char::is_whitespace) {
            heard.extend(first.parse().ok().map(|prefix| Heard {
                prefix,
                communities: Vec::new(),
            }));
        } else if let Some(route) = heard.last_mut()
            && (first == "BGP.community:" || first == "BGP.large_community:")
        {
            let list: String = words.collect();
            let each = list.split(['(', ')']).filter(|one| !one.is_empty());
            route
                .communities
                .extend(each.map(|one| one.replace(',', ":")));
        }
    }
    heard
}

fn updates(words: &str) -> Option<(u64, u64)> {
    let count = |title: &str, column| {
        let line = words.lines().find(|line| line.contains(title))?;
        line.split_whitespace().nth(column)?.parse().ok()
    };
    Some((count("Import updates:", 2)?, count("Export updates:", 6)?))
}
