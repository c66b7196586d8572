//! GoBGP, asked by `gobgp`.

use std::fmt::Write as _;
use std::path::Path;

use peerlab::binding::Daemon;
use serde_json::Value;

use super::{Dut, Heard, Wish};
use crate::bed::{DUT_ASN, EDGE_ASN, theirs};

pub const DUT: Dut = Dut {
    daemon: Daemon::Gobgp,
    programs: &["gobgpd", "gobgp"],
    config,
    originate,
    heard: (&["gobgp", "-j", "global", "rib"], heard),
    heard_ipv6: &["-a", "ipv6"],
    updates: (&["gobgp", "-j", "neighbor"], updates),
    refresh: Err("GoBGP 3.10 never asks: it keeps what it received"),
    refuses: None,
    far: None,
    deaf: None,
    shutdown: Err("GoBGP 3.10 logs the text of `disable --reason`, but sends its Cease without it"),
};

fn config(wish: &Wish, _: &Path) -> String {
    let mut text = format!(
        "[global.config]\nas = {DUT_ASN}\nrouter-id = \"10.0.0.0\"\n[[neighbors]]\n[neighbors.config]\nneighbor-address = \
         \"{}\"\npeer-as = {EDGE_ASN}\n",
        wish.neighbor()
    );
    if let Some(key) = wish.md5 {
        let _ = writeln!(text, "auth-password = \"{key}\"");
    }
    let _ = writeln!(
        text,
        "[neighbors.timers.config]\nconnect-retry = 1\nidle-hold-time-after-reset = 1\n[neighbors.transport.config]\npassive-mode = {}",
        wish.passive
    );
    if wish.ttl {
        text += "[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255\n";
    }
    if wish.bfd {
        text += "[neighbors.bfd.config]\nenabled = true\n";
    }
    let family = if wish.ipv6 { "ipv6" } else { "ipv4" };
    let _ = writeln!(
        text,
        "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}-unicast\""
    );
    text
}

/// Its configuration has no routes.
fn originate(wish: &Wish) -> Vec<Vec<String>> {
    let add = |prefix: ipnet::IpNet| {
        let family = if wish.ipv6 { "ipv6" } else { "ipv4" };
        let leaving = if wish.leaving { ",65535:0" } else { "" };
        let communities = format!("community 64500:100{leaving} large-community 64500:1:2");
        let words = format!("gobgp global rib add {prefix} {communities} -a {family}");
        words.split(' ').map(str::to_owned).collect()
    };
    theirs(wish.ipv6).into_iter().map(add).collect()
}

fn heard(words: &str) -> Vec<Heard> {
    let table: Value = serde_json::from_str(words).unwrap_or_default();
    let mut heard = Vec::new();
    for (prefix, paths) in table.as_object().into_iter().flatten() {
        let ours = ["10.0.0.1", "2001:db8::3"];
        let foreign = |path: &&Value| ours.iter().any(|ip| path["neighbor-ip"] == *ip);
        for path in paths.as_array().into_iter().flatten().filter(foreign) {
            let mut communities = Vec::new();
            for attribute in path["attrs"].as_array().into_iter().flatten() {
                for number in attribute["communities"].as_array().into_iter().flatten() {
                    let number = number.as_u64().unwrap_or_default();
                    communities.push(format!("{}:{}", number >> 16, number & 0xffff));
                }
                for large in attribute["value"].as_array().into_iter().flatten() {
                    let field = |name: &str| large[name].as_u64().unwrap_or_default();
                    communities.push(format!(
                        "{}:{}:{}",
                        field("ASN"),
                        field("LocalData1"),
                        field("LocalData2")
                    ));
                }
            }
            heard.extend(prefix.parse().ok().map(|prefix| Heard {
                prefix,
                communities,
            }));
        }
    }
    heard
}

fn updates(words: &str) -> Option<(u64, u64)> {
    let neighbors: Value = serde_json::from_str(words).ok()?;
    let messages = &neighbors[0]["state"]["messages"];
    let count = |way: &str| messages[way]["update"].as_u64();
    count("received").zip(count("sent"))
}
