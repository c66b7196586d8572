//! BIRD, asked by `birdc`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use peerlab::binding::Daemon;

use super::{Dut, Lacks, NOTHING, TwoOctets, Wish, nothing, words};
use crate::routes::{Heard, theirs};

pub const DUT: Dut = Dut {
    daemon: Daemon::Bird,
    programs: &["bird", "birdc"],
    config,
    originate: nothing,
    routes: |_| words("birdc show route all protocol edge"),
    heard,
    refresh: |_| words("birdc reload in edge"),
    shutdown: |_| vec!["birdc".to_owned(), "disable edge \"day work\"".to_owned()],
    lacks: Lacks {
        two_octets: TwoOctets::Refuses {
            why: "BIRD that knows two octets only takes our number from our capability all the same, and can be configured \
                  with no such number (Bad peer AS): our number is of two octets, and one of four stands behind it",
            says: "Bad peer AS: 4200008075",
        },
        bears: Some("BIRD ends BGP when BFD is disabled, against RFC 5882, section 4.2"),
        ..NOTHING
    },
};

fn config(wish: &Wish, _: &Path) -> String {
    let family = wish.family();
    let mut text = format!(
        "log stderr all;\nrouter id 10.0.0.0;\nprotocol device {{ }}\nprotocol bfd {{ interface \"l0\" {{ interval 150 ms; \
         multiplier 3; }}; }}\nprotocol static {{ {family};\n"
    );
    let leaving = if wish.leaving {
        "bgp_community.add((65535,0)); "
    } else {
        ""
    };
    for (n, prefix) in theirs(wish.carries) {
        let _ = writeln!(
            text,
            "  route {prefix} blackhole {{ bgp_community.add((64500,100)); bgp_community.add((64500,{n})); \
             {leaving}bgp_large_community.add((64500,1,{n})); bgp_ext_community.add((rt,64500,{n})); }};"
        );
    }
    let next_hop = if wish.extended_next_hop() {
        "extended next hop on; "
    } else {
        ""
    };
    let _ = writeln!(
        text,
        "}}\nprotocol bgp edge {{ local {} as {}; neighbor {} as {}; connect delay time 1; connect retry time 1; error wait \
         time 1, 2; {family} {{ import all; export where source = RTS_STATIC; next hop self; {next_hop}}};",
        wish.local(),
        wish.asn,
        wish.neighbor(),
        wish.edge_asn
    );
    for (on, words) in [
        (wish.passive, "passive on;"),
        (wish.ttl, "ttl security on;"),
        (wish.bfd, "bfd on;"),
        (wish.two_octets, "enable as4 off;"),
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
                path: String::new(),
                communities: BTreeSet::new(),
            }));
            continue;
        }
        let Some(route) = heard.last_mut() else {
            continue;
        };
        match first {
            "BGP.as_path:" => route.path = words.collect::<Vec<_>>().join(" "),
            "BGP.community:" | "BGP.large_community:" | "BGP.ext_community:" => {
                let list: String = words.collect();
                let each = list.split(['(', ')']).filter(|one| !one.is_empty());
                route
                    .communities
                    .extend(each.map(|one| one.replace(',', ":")));
            }
            _ => {}
        }
    }
    heard
}
