//! FRR, asked by `vtysh`.

use std::fmt::Write as _;
use std::path::Path;

use peerlab::binding::Daemon;
use serde_json::Value;

use super::{AS_TRANS, Dut, EDGE_ASN, Lacks, NOTHING, TwoOctets, Wish, Words, nothing};
use crate::routes::{Heard, theirs};

pub const DUT: Dut = Dut {
    daemon: Daemon::Frr,
    programs: &["vtysh", "/usr/lib/frr/bgpd"],
    config,
    originate: nothing,
    routes: |wish| vtysh(&[&format!("show bgp {} unicast json detail", wish.family())]),
    heard,
    refresh: |wish| vtysh(&[&format!("clear bgp {} unicast * soft in", wish.family())]),
    shutdown: |wish| {
        vtysh(&[
            "configure terminal",
            &format!("router bgp {}", wish.asn),
            &format!("neighbor {} shutdown message day work", wish.neighbor()),
        ])
    },
    lacks: Lacks {
        // It leaves out all capabilities, but takes our number from ours.
        two_octets: TwoOctets::Known {
            told: EDGE_ASN,
            shown: AS_TRANS,
        },
        bears: Some("FRR ends BGP when BFD is disabled, against RFC 5882, section 4.2"),
        ..NOTHING
    },
};

fn vtysh(commands: &[&str]) -> Words {
    let each = commands.iter().flat_map(|command| ["-c", *command]);
    ["vtysh"]
        .into_iter()
        .chain(each)
        .map(str::to_owned)
        .collect()
}

fn config(wish: &Wish, _: &Path) -> String {
    let neighbor = wish.neighbor();
    let mut text = String::from(
        "frr defaults traditional\nlog stdout\nbfd\n profile lab\n  detect-multiplier 3\n  receive-interval 150\n  \
         transmit-interval 150\n exit\nexit\n",
    );
    for (n, _) in theirs(wish.carries) {
        let _ = writeln!(
            text,
            "route-map mark{n} permit 10\n set community 64500:100 64500:{n}\n set large-community 64500:1:{n}\n set \
             extcommunity rt 64500:{n}\nexit"
        );
    }
    let _ = writeln!(
        text,
        "router bgp {}\n bgp router-id 10.0.0.0\n bgp log-neighbor-changes\n no bgp ebgp-requires-policy\n no bgp network \
         import-check\n no bgp default ipv4-unicast\n neighbor {neighbor} remote-as {}\n neighbor {neighbor} timers connect 1",
        wish.asn, wish.edge_asn
    );
    // FRR marks what it sends to its neighbours of other systems by itself.
    if wish.leaving {
        text += " bgp graceful-shutdown\n";
    }
    let mut option = |on: bool, words: &str| {
        if on {
            let _ = writeln!(text, " neighbor {neighbor} {words}");
        }
    };
    option(wish.passive, "passive");
    option(wish.ttl, "ttl-security hops 1");
    option(wish.bfd, "bfd profile lab");
    option(wish.two_octets, "dont-capability-negotiate");
    option(wish.extended_next_hop(), "capability extended-nexthop");
    if let Some(key) = wish.md5 {
        option(true, &format!("password {key}"));
    }
    let _ = writeln!(text, " address-family {} unicast", wish.family());
    for (n, prefix) in theirs(wish.carries) {
        let _ = writeln!(text, "  network {prefix} route-map mark{n}");
    }
    let _ = writeln!(
        text,
        "  neighbor {neighbor} activate\n exit-address-family\nexit"
    );
    text
}

/// `{"routes": {PREFIX: [ABOUT, PATH, …]}}`.
fn heard(words: &str) -> Vec<Heard> {
    let table: Value = serde_json::from_str(words).unwrap_or_default();
    let mut heard = Vec::new();
    for (prefix, paths) in table["routes"].as_object().into_iter().flatten() {
        let foreign = |path: &&Value| path["peer"]["type"] == "external";
        for path in paths.as_array().into_iter().flatten().filter(foreign) {
            let list = |kind: &str| path[kind]["string"].as_str().unwrap_or_default();
            let communities = ["community", "largeCommunity", "extendedCommunity"].map(list);
            let communities = communities.join(" ").replace("RT:", "rt:");
            heard.extend(prefix.parse().ok().map(|prefix| Heard {
                prefix,
                path: list("aspath").to_owned(),
                communities: communities.split_whitespace().map(str::to_owned).collect(),
            }));
        }
    }
    heard
}
