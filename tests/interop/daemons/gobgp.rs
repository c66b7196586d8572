//! GoBGP, asked by `gobgp`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use peerlab::binding::Daemon;
use serde_json::Value;

use super::{Dut, Lacks, NOTHING, TwoOctets, Wish, Words, words};
use crate::routes::{Heard, theirs};

pub const DUT: Dut = Dut {
    daemon: Daemon::Gobgp,
    programs: &["gobgpd", "gobgp"],
    config,
    originate,
    routes: |wish| words(&format!("gobgp -j global rib -a {}", wish.family())),
    heard,
    refresh: |wish| words(&format!("gobgp neighbor {} softresetin", wish.neighbor())),
    // Deprecated, but `disable --reason` sends a Cease without the text.
    shutdown: |wish| {
        let mut command = words(&format!(
            "gobgp neighbor {} shutdown --reason",
            wish.neighbor()
        ));
        command.push("day work".to_owned());
        command
    },
    lacks: Lacks {
        asks: Some("GoBGP 3.10 never asks: `softresetin` works on what it kept"),
        two_octets: TwoOctets::Never("GoBGP always announces AS numbers of four octets"),
        ..NOTHING
    },
};

fn config(wish: &Wish, _: &Path) -> String {
    let mut text = format!(
        "[global.config]\nas = {}\nrouter-id = \"10.0.0.0\"\n[[neighbors]]\n[neighbors.config]\nneighbor-address = \
         \"{}\"\npeer-as = {}\n",
        wish.asn,
        wish.neighbor(),
        wish.edge_asn
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
    let _ = writeln!(
        text,
        "[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{}-unicast\"",
        wish.family()
    );
    text
}

/// Its configuration has no routes.
fn originate(wish: &Wish) -> Vec<Words> {
    let add = |(n, prefix): (u16, ipnet::IpNet)| {
        let family = wish.family();
        let leaving = if wish.leaving { ",65535:0" } else { "" };
        let next_hop = match wish.extended_next_hop() {
            true => format!(" nexthop {}", wish.local()),
            false => String::new(),
        };
        words(&format!(
            "gobgp global rib add {prefix}{next_hop} community 64500:100,64500:{n}{leaving} large-community 64500:1:{n} rt \
             64500:{n} -a {family}"
        ))
    };
    theirs(wish.carries).into_iter().map(add).collect()
}

fn heard(words: &str) -> Vec<Heard> {
    let table: Value = serde_json::from_str(words).unwrap_or_default();
    let mut heard = Vec::new();
    for (prefix, paths) in table.as_object().into_iter().flatten() {
        let ours = ["10.0.0.1", "2001:db8::3"];
        let foreign = |path: &&Value| ours.iter().any(|ip| path["neighbor-ip"] == *ip);
        for path in paths.as_array().into_iter().flatten().filter(foreign) {
            let attributes: Vec<&Value> = path["attrs"].as_array().into_iter().flatten().collect();
            heard.extend(prefix.parse().ok().map(|prefix| Heard {
                prefix,
                path: attributes.iter().map(|one| as_path(one)).collect(),
                communities: attributes.iter().flat_map(|one| communities(one)).collect(),
            }));
        }
    }
    heard
}

fn as_path(attribute: &Value) -> String {
    let segments = attribute["as_paths"].as_array().into_iter().flatten();
    let numbers = segments.flat_map(|segment| segment["asns"].as_array().into_iter().flatten());
    numbers.map(Value::to_string).collect::<Vec<_>>().join(" ")
}

fn communities(attribute: &Value) -> BTreeSet<String> {
    let list = |key: &str| attribute[key].as_array().into_iter().flatten();
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let value = |one: &Value| match attribute["type"].as_u64()? {
        // Subtype 2 is a route target.
        16 if one["subtype"] == 2 => Some(format!("rt:{}", one["value"].as_str()?)),
        16 => Some(one.to_string()),
        32 => {
            let parts = ["ASN", "LocalData1", "LocalData2"];
            Some(parts.map(|name| number(&one[name]).to_string()).join(":"))
        }
        _ => None,
    };
    let standard = list("communities").map(number);
    let standard = standard.map(|number| format!("{}:{}", number >> 16, number & 0xffff));
    standard.chain(list("value").filter_map(value)).collect()
}
