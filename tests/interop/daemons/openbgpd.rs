//! OpenBGPD, asked by `bgpctl`.

use std::fmt::Write as _;
use std::path::Path;

use peerlab::binding::Daemon;
use serde_json::Value;

use super::{Dut, EDGE_ASN, Lacks, NOTHING, TwoOctets, Wish, nothing, words};
use crate::routes::{Heard, theirs};

pub const DUT: Dut = Dut {
    daemon: Daemon::Openbgpd,
    programs: &["bgpd", "bgpctl"],
    config,
    originate: nothing,
    routes: |_| words("bgpctl -j show rib detail"),
    heard,
    refresh: |wish| words(&format!("bgpctl neighbor {} refresh", wish.neighbor())),
    shutdown: |wish| {
        let mut command = words(&format!("bgpctl neighbor {} down", wish.neighbor()));
        command.push("day work".to_owned());
        command
    },
    lacks: Lacks {
        // rde.c of 7.7 asks whether `capa.mp` is set where it must ask whether it is not (its revision 1.586).
        answers: Some((
            "OpenBGPD 7.7 refuses just what was negotiated, by a test the wrong way round, mended in 7.8",
            "route refresh: AID",
        )),
        // It refuses to be told AS_TRANS, and takes our number from our capability.
        two_octets: TwoOctets::Known {
            told: EDGE_ASN,
            shown: EDGE_ASN,
        },
        ..NOTHING
    },
};

fn config(wish: &Wish, _: &Path) -> String {
    let mut text = format!("AS {}\nrouter-id 10.0.0.0\nfib-update no\n", wish.asn);
    let leaving = if wish.leaving {
        "community GRACEFUL_SHUTDOWN "
    } else {
        ""
    };
    for (n, prefix) in theirs(wish.carries) {
        let _ = writeln!(
            text,
            "network {prefix} set {{ community 64500:100 community 64500:{n} {leaving}large-community 64500:1:{n} \
             ext-community rt 64500:{n} }}"
        );
    }
    let _ = writeln!(
        text,
        "neighbor {} {{\n remote-as {}",
        wish.neighbor(),
        wish.edge_asn
    );
    for (on, words) in [
        (wish.passive, "passive"),
        (wish.ttl, "ttl-security yes"),
        (wish.bfd, "bfd yes"),
        (wish.two_octets, "announce as-4byte no"),
        (
            wish.extended_next_hop(),
            "announce IPv4 unicast\n announce extended nexthop yes",
        ),
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
        let kinds = ["communities", "large_communities", "extended_communities"];
        let words = kinds
            .into_iter()
            .filter_map(|kind| route[kind].as_array())
            .flatten();
        Some(Heard {
            prefix: route["prefix"].as_str()?.parse().ok()?,
            path: route["aspath"].as_str()?.to_owned(),
            communities: words
                .filter_map(|word| Some(word.as_str()?.replace("rt ", "rt:")))
                .collect(),
        })
    };
    foreign.filter_map(read).collect()
}
