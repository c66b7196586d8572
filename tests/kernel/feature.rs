//! What `doctor` finds, with `ip` and `tc` as witnesses.

use std::process::Command;

use libtest_mimic::{Failed, Trial};
use peerlab::kernel::feature::{Need, attempt};
use peerlab::kernel::namespace::Namespace;

pub fn tests() -> Vec<Trial> {
    vec![Trial::test(
        "feature::findings_agree_with_ip_and_tc",
        findings,
    )]
}

fn findings() -> Result<(), Failed> {
    let features = attempt::kernel();
    for feature in &features {
        let always = feature.need == Need::Always;
        assert!(!always || feature.is_present(), "{feature:?}");
    }
    let place = Namespace::new()?;
    for (name, command) in [
        ("veth", "ip link add c0 type veth peer c1"),
        ("bonding", "ip link add bond9 type bond mode 802.3ad"),
        ("vrf", "ip link add r type vrf table 10"),
        ("vlan", "ip link add link c0 name v type vlan id 10"),
        ("next-hop objects", "ip nexthop add id 1 dev c0"),
        (
            "tbf",
            "tc qdisc add dev c0 root tbf rate 10mbit burst 10k limit 10k",
        ),
        ("netem", "tc qdisc add dev c1 root netem delay 1ms"),
    ] {
        let words: Vec<&str> = command.split_whitespace().collect();
        let output = place.run(|| {
            let _ = Command::new("ip")
                .args(["link", "set", "c1", "up"])
                .output();
            let _ = Command::new("ip")
                .args(["link", "set", "c0", "up"])
                .output();
            Command::new(words[0]).args(&words[1..]).output()
        })??;
        let found = features.iter().find(|feature| feature.name == name);
        let found = found.ok_or_else(|| format!("{name} is not tried"))?;
        assert_eq!(
            found.is_present(),
            output.status.success(),
            "{found:?}; {command}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}
