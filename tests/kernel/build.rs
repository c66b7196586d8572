//! Plans become networks, and errors say what was refused.

use std::net::{Ipv6Addr, UdpSocket};
use std::process::Command;
use std::sync::Arc;

use ipnet::Ipv4Net;
use libtest_mimic::{Failed, Trial};
use nix::errno::Errno;
use peerlab::kernel::apply::{BuildFault, Network};
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::{Netlink, NetlinkError};
use peerlab::kernel::{link, route};
use peerlab::plan::{LinkEnd, Plan, Work};
use serde_json::Value;

pub fn tests() -> Vec<Trial> {
    vec![
        Trial::test("build::network_is_what_the_plan_says", network),
        Trial::test("build::printed_plan_makes_the_same_network", printed),
        Trial::test("build::addresses_are_good_at_once", addresses_at_once),
        Trial::test("build::refusals_are_all_reported", refusals),
        Trial::test("build::later_messages_of_a_batch_are_done", batch),
        Trial::test("build::a_thousand_refusals_fit", many_refusals),
    ]
}

type Outcome = Result<(), Failed>;

/// What a witness program prints in a namespace, as JSON.
pub fn witness(namespace: &Namespace, command: &[&str]) -> Value {
    let output = namespace
        .run(|| Command::new(command[0]).args(&command[1..]).output())
        .expect("the namespace can be entered")
        .expect("the witness is installed");
    assert!(output.status.success(), "{command:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
}

fn end(namespace: &str, name: &str, index: u32) -> LinkEnd {
    LinkEnd {
        namespace: namespace.into(),
        name: name.into(),
        index,
        mac: Some([2, 0, 0, 0, 0, index as u8]),
    }
}

fn address(namespace: &str, link: &str, address: [u8; 4], prefix_len: u8) -> Work {
    Work::Address {
        namespace: namespace.into(),
        link: link.into(),
        address: address.into(),
        prefix_len,
    }
}

fn up(namespace: &str, link: &str) -> Work {
    Work::Up {
        namespace: namespace.into(),
        link: link.into(),
    }
}

/// Two routers, two links between them.
pub fn plan() -> Plan {
    let namespace = |name: &str, forwarding| Work::Namespace {
        name: name.into(),
        forwarding,
        ipv6: false,
    };
    let default: Ipv4Net = "0.0.0.0/0".parse().expect("a prefix");
    Plan {
        work: vec![
            namespace("a", true),
            namespace("b", false),
            Work::Veth {
                a: end("a", "one", 101),
                b: end("b", "one", 102),
            },
            Work::Veth {
                a: end("b", "two", 104),
                b: end("a", "two", 103),
            },
            address("a", "lo", [192, 0, 2, 1], 32),
            address("a", "one", [10, 0, 0, 0], 31),
            address("b", "one", [10, 0, 0, 1], 31),
            address("a", "two", [10, 0, 0, 2], 31),
            address("b", "two", [10, 0, 0, 3], 31),
            up("a", "one"),
            up("b", "one"),
            up("a", "two"),
            up("b", "two"),
            Work::Route {
                namespace: "b".into(),
                destination: default.into(),
                via: vec![[10, 0, 0, 0].into(), [10, 0, 0, 2].into()],
                metric: 1000,
            },
            Work::Clsact {
                namespace: "a".into(),
                link: "one".into(),
            },
        ],
    }
}

/// Not only after duplicate address detection, though no host is asked.
fn addresses_at_once() -> Outcome {
    let addresses = (1..=200).map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n));
    let mut work = vec![
        Work::Namespace {
            name: "a".into(),
            forwarding: false,
            ipv6: true,
        },
        Work::Veth {
            a: end("a", "one", 101),
            b: end("a", "two", 102),
        },
        up("a", "two"),
        up("a", "one"),
    ];
    work.extend(addresses.clone().map(|address| Work::Address {
        namespace: "a".into(),
        link: "one".into(),
        address: address.into(),
        prefix_len: 64,
    }));
    let network = Network::build(&Plan { work })?;
    let bound = network.namespace("a").ok_or("a")?.run(|| {
        let mut newest_first = addresses.rev();
        newest_first.try_for_each(|address| UdpSocket::bind((address, 0)).map(drop))
    })?;
    Ok(bound?)
}

fn network() -> Outcome {
    let network = Network::build(&plan())?;
    let a = network.namespace("a").ok_or("a")?;
    let b = network.namespace("b").ok_or("b")?;
    assert_eq!(network.index("a", "two"), Some(103));

    let links = witness(a, &["ip", "-j", "address"]);
    let summary = |links: &Value| -> Vec<String> {
        let links = links.as_array().expect("a list of links");
        links
            .iter()
            .map(|link| {
                let addresses: Vec<String> = link["addr_info"]
                    .as_array()
                    .expect("a list of addresses")
                    .iter()
                    .map(|address| format!("{}/{}", address["local"], address["prefixlen"]))
                    .collect();
                let flags = link["flags"].to_string();
                format!(
                    "{} {} {} {} {}",
                    link["ifindex"],
                    link["ifname"],
                    if flags.contains("\"UP\"") {
                        "up"
                    } else {
                        "down"
                    },
                    link["address"],
                    addresses.join(",")
                )
                .replace('"', "")
            })
            .collect()
    };
    assert_eq!(
        summary(&links),
        [
            "1 lo up 00:00:00:00:00:00 127.0.0.1/8,192.0.2.1/32,::1/128",
            "101 one up 02:00:00:00:00:65 10.0.0.0/31",
            "103 two up 02:00:00:00:00:67 10.0.0.2/31",
        ],
        "links have no IPv6 address of their own"
    );
    let routes = witness(b, &["ip", "-j", "route", "show", "default"]);
    assert_eq!(routes[0]["metric"], 1000);
    assert_eq!(routes[0]["protocol"], "static");
    assert_eq!(routes[0]["nexthops"][0]["gateway"], "10.0.0.0");
    assert_eq!(routes[0]["nexthops"][1]["gateway"], "10.0.0.2");
    let qdiscs = witness(a, &["tc", "-j", "qdisc", "show", "dev", "one"]);
    let kinds: Vec<&Value> = qdiscs
        .as_array()
        .ok_or("qdiscs")?
        .iter()
        .map(|q| &q["kind"])
        .collect();
    assert!(kinds.contains(&&Value::from("clsact")), "{qdiscs}");

    let sysctl = |namespace: &Arc<Namespace>, name: &str| {
        namespace
            .run(|| std::fs::read_to_string(format!("/proc/sys/net/{name}")))
            .expect("the namespace can be entered")
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    for (name, in_a, in_b) in [
        ("ipv4/ip_forward", "1", "0"),
        ("ipv4/fib_multipath_hash_policy", "1", "0"),
        ("ipv4/conf/one/rp_filter", "0", "0"),
        ("ipv4/conf/all/rp_filter", "0", "0"),
    ] {
        assert_eq!(sysctl(a, name), in_a, "{name} in a");
        assert_eq!(sysctl(b, name), in_b, "{name} in b");
    }
    Ok(())
}

/// A shell runs the printed plan (/run is private in here, so that `ip netns` can be used), and `ip` sees no difference.
fn printed() -> Outcome {
    let plan = plan();
    let network = Network::build(&plan)?;
    let status = Command::new("sh")
        .args(["-ec", &plan.to_string()])
        .status()?;
    assert!(status.success(), "{plan}");
    for name in ["a", "b"] {
        for question in ["address", "route"] {
            let ours = witness(&network.namespaces[name], &["ip", "-j", question]);
            let output = Command::new("ip")
                .args(["-n", name, "-j", question])
                .output()?;
            let by_hand: Value = serde_json::from_slice(&output.stdout)?;
            assert_eq!(essence(ours), essence(by_hand), "{question} of {name}");
        }
    }
    let status = Command::new("ip")
        .args(["-all", "netns", "delete"])
        .status()?;
    assert!(status.success());
    Ok(())
}

/// What two equal networks share: not the numbers the kernel gave their namespaces, nor the moment of asking.
fn essence(mut answer: Value) -> Value {
    for entry in answer.as_array_mut().into_iter().flatten() {
        let Some(entry) = entry.as_object_mut() else {
            continue;
        };
        for key in ["link_netnsid", "operstate"] {
            entry.remove(key);
        }
        let addresses = entry.get_mut("addr_info").and_then(Value::as_array_mut);
        for address in addresses
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut)
        {
            address.remove("broadcast");
        }
    }
    answer
}

fn refusals() -> Outcome {
    let mut plan = plan();
    plan.work.push(Work::Route {
        namespace: "b".into(),
        destination: "203.0.113.0/24".parse().expect("a prefix"),
        via: vec![[192, 0, 2, 77].into()],
        metric: 0,
    });
    plan.work.push(address("a", "one", [10, 0, 0, 0], 31));
    plan.work.push(up("a", "three"));
    let error = Network::build(&plan).err().ok_or("the plan is wrong")?;
    let [
        BuildFault::Unmade { missing, .. },
        BuildFault::Refused(exists),
        BuildFault::Refused(unreachable),
    ] = error.faults.as_slice()
    else {
        return Err(format!("{error}").into());
    };
    assert_eq!(missing, "link three in a");
    assert_eq!(exists.operation, "add address 10.0.0.0/31 to one in a");
    assert_eq!(exists.errno, Errno::EEXIST);
    assert_eq!(
        unreachable.operation,
        "add route 203.0.113.0/24 via 192.0.2.77 metric 0 in b"
    );
    assert_eq!(unreachable.errno, Errno::ENETUNREACH);
    assert_eq!(
        unreachable.sentence.as_deref(),
        Some("Nexthop has invalid gateway")
    );
    Ok(())
}

fn batch() -> Outcome {
    let namespace = Namespace::new()?;
    let mut netlink = Netlink::open_in(&namespace)?;
    link::set_up(&mut netlink, "here", "ghost", 77, true);
    link::set_up(&mut netlink, "here", "lo", link::LOOPBACK, true);
    let error = netlink.commit().err().ok_or("there is no link 77")?;
    let [refusal] = error.refusals() else {
        return Err(format!("{error}").into());
    };
    assert_eq!(
        (refusal.operation.as_str(), refusal.errno),
        ("set link ghost up in here", Errno::ENODEV)
    );
    let links = link::list(&mut netlink)?;
    assert_eq!(links.len(), 1);
    assert!(links[0].up && links[0].operational && links[0].name == "lo");
    netlink.commit()?;
    Ok(())
}

fn many_refusals() -> Outcome {
    let namespace = Namespace::new()?;
    let mut netlink = Netlink::open_in(&namespace)?;
    for n in 0..1000_u32 {
        let destination = Ipv4Net::new((0x0b00_0000 + n).into(), 32)?;
        route::add(
            &mut netlink,
            "here",
            destination.into(),
            &[[10, 0, 0, 1].into()],
            0,
        );
    }
    match netlink.commit() {
        Err(NetlinkError::Refused(refusals)) => {
            assert_eq!(refusals.len(), 1000);
            assert!(refusals[999].operation.contains("11.0.3.231/32"));
            Ok(())
        }
        other => Err(format!("{other:?}").into()),
    }
}
