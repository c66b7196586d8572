//! FRR, asked by `vtysh`.

use std::fmt::Write as _;
use std::path::Path;

use peerlab::binding::Daemon;
use serde_json::Value;

use super::{Dut, Heard, Wish, nothing};
use crate::bed::{DUT_ASN, EDGE_ASN, theirs};

pub const DUT: Dut = Dut {
    daemon: Daemon::Frr,
    programs: &["vtysh", "/usr/lib/frr/bgpd"],
    config,
    originate: nothing,
    heard: (
        &[
            "vtysh",
            "-c",
            "show bgp ipv4 unicast json detail",
            "-c",
            "show bgp ipv6 unicast json detail",
        ],
        heard,
    ),
    heard_ipv6: &[],
    updates: (&["vtysh", "-c", "show bgp neighbors json"], updates),
    refresh: Ok(&["vtysh", "-c", "clear bgp * soft in"]),
    refuses: None,
    far: None,
    deaf: None,
    shutdown: Ok(&[
        "vtysh",
        "-c",
        "configure terminal",
        "-c",
        "router bgp 4200000001",
        "-c",
        "neighbor 10.0.0.1 shutdown message day work",
    ]),
};

fn config(wish: &Wish, _: &Path) -> String {
    let neighbor = wish.neighbor();
    let mut text = format!(
        "frr defaults traditional\nlog stdout\nbfd\n profile lab\n  detect-multiplier 3\n  receive-interval 150\n  \
         transmit-interval 150\n exit\nexit\nroute-map mark permit 10\n set community 64500:100\n set large-community \
         64500:1:2\nexit\nrouter bgp {DUT_ASN}\n bgp router-id 10.0.0.0\n bgp log-neighbor-changes\n no bgp \
         ebgp-requires-policy\n no bgp network import-check\n no bgp default ipv4-unicast\n neighbor {neighbor} remote-as \
         {EDGE_ASN}\n neighbor {neighbor} timers connect 1\n"
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
    if let Some(key) = wish.md5 {
        option(true, &format!("password {key}"));
    }
    let family = if wish.ipv6 { "ipv6" } else { "ipv4" };
    let _ = writeln!(text, " address-family {family} unicast");
    for prefix in theirs(wish.ipv6) {
        let _ = writeln!(text, "  network {prefix} route-map mark");
    }
    let _ = writeln!(
        text,
        "  neighbor {neighbor} activate\n exit-address-family\nexit"
    );
    text
}

/// One JSON object for each family: `{"routes": {PREFIX: [ABOUT, PATH, …]}}`.
fn heard(words: &str) -> Vec<Heard> {
    let tables = serde_json::Deserializer::from_str(words).into_iter::<Value>();
    let mut heard = Vec::new();
    for table in tables.filter_map(Result::ok) {
        for (prefix, paths) in table["routes"].as_object().into_iter().flatten() {
            let foreign = |path: &&Value| path["peer"]["type"] == "external";
            for path in paths.as_array().into_iter().flatten().filter(foreign) {
                let strings = [&path["community"], &path["largeCommunity"]];
                let words = strings.map(|list| list["string"].as_str().unwrap_or_default());
                let communities = words.join(" ");
                heard.extend(prefix.parse().ok().map(|prefix| Heard {
                    prefix,
                    communities: communities.split_whitespace().map(str::to_owned).collect(),
                }));
            }
        }
    }
    heard
}

fn updates(words: &str) -> Option<(u64, u64)> {
    let neighbors: Value = serde_json::from_str(words).ok()?;
    let neighbor = neighbors.as_object()?.values().find(|n| n.is_object())?;
    let count = |name: &str| neighbor["messageStats"][name].as_u64();
    count("updatesRecv").zip(count("updatesSent"))
}
