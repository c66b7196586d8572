//! Kernel features, tried with the requests a lab makes.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{BondMode, LinkMessage};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::{LinkBond, LinkVlan, LinkVrf};

use super::{Feature, Finding, Need};
use crate::kernel::bpf::programs::Pattern;
use crate::kernel::enter::{EnterError, raise_descriptors};
use crate::kernel::filter::{DataPath, Direction, Fault, queue_clsact, set_faults};
use crate::kernel::impairment::{self, Queue};
use crate::kernel::link::{LOOPBACK, VethEnd, add_veth, set_up};
use crate::kernel::namespace::Namespace;
use crate::kernel::netlink::{Netlink, NetlinkError};
use crate::kernel::priority;
use crate::kernel::socket::{Md5, set_md5};

/// Indexes of the two ends of a cable that later attempts use.
const NEAR: u32 = 10;
const FAR: u32 = 11;
const RTM_NEWNEXTHOP: u16 = 104;

/// A throw-away namespace.
struct Site {
    place: Namespace,
    netlink: Netlink,
}

/// Gives a detail worth showing, or why it did not work.
type Attempt = fn(&mut Site) -> Result<String, String>;

/// Name, need, what it serves, remedy, and the attempt; in the order they are tried, as later ones use the cable.
const ATTEMPTS: &[(&str, Need, &str, &str, Attempt)] = &[
    (
        "veth",
        Need::Always,
        "make cables",
        "kernel option CONFIG_VETH (modprobe veth)",
        veth,
    ),
    (
        "filters",
        Need::Always,
        "make LAGs and silent failures",
        "kernel options CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF, CONFIG_NET_ACT_MIRRED \
         (modprobe sch_ingress cls_bpf act_mirred)",
        filters,
    ),
    (
        "open files",
        Need::Always,
        "hold the namespaces and sockets of a lab",
        "`ulimit -Hn 65536` as root, or LimitNOFILE= of the service",
        open_files,
    ),
    (
        "next-hop objects",
        Need::Sometimes,
        "move all routes of a failed connection with one kernel change",
        "Linux 5.3 or later",
        next_hops,
    ),
    (
        "real-time priority",
        Need::Sometimes,
        "send BFD and LACP on time while other programs are busy",
        "start peerlab as root; an ordinary user needs a quiet machine",
        real_time,
    ),
    (
        "pressure",
        Need::Sometimes,
        "tell a busy machine from a slow router",
        "kernel option CONFIG_PSI, and boot with psi=1",
        pressure,
    ),
    (
        "tbf",
        Need::Sometimes,
        "limit the rate of a connection",
        "kernel option CONFIG_NET_SCH_TBF (modprobe sch_tbf)",
        tbf,
    ),
    (
        "netem",
        Need::Sometimes,
        "delay, duplicate, reorder and corrupt packets",
        "kernel option CONFIG_NET_SCH_NETEM (modprobe sch_netem)",
        netem,
    ),
    (
        "bonding",
        Need::Sometimes,
        "play a LAG with the kernel's LACP instead of its own",
        "kernel option CONFIG_BONDING (modprobe bonding)",
        bonding,
    ),
    (
        "vlan",
        Need::Sometimes,
        "tag sessions on a connection",
        "kernel option CONFIG_VLAN_8021Q (modprobe 8021q)",
        vlan,
    ),
    (
        "vrf",
        Need::Sometimes,
        "give a router several routing tables",
        "kernel option CONFIG_NET_VRF (modprobe vrf)",
        vrf,
    ),
    (
        "TCP MD5",
        Need::Sometimes,
        "protect BGP sessions as RFC 2385 says",
        "kernel option CONFIG_TCP_MD5SIG",
        tcp_md5,
    ),
];

/// How entering namespaces of its own went.
pub fn namespaces<T>(entered: &Result<T, EnterError>) -> Feature {
    Feature {
        name: "namespaces",
        need: Need::Always,
        finding: match entered {
            Ok(_) => Finding::Present(String::new()),
            Err(error) => Finding::Missing(error.to_string()),
        },
        serves: "make a lab",
        remedy: "start peerlab as root".to_owned(),
    }
}

/// Tries the queueing disciplines that impair cables; to be called inside.
pub fn queues() -> Vec<Feature> {
    let mut features = tried(&["veth", "tbf", "netem"]);
    features.retain(|feature| feature.name != "veth");
    features
}

fn site() -> Result<Site, String> {
    let place = Namespace::new().map_err(|error| error.to_string())?;
    let netlink = Netlink::open_in(&place).map_err(|error| error.to_string())?;
    Ok(Site { place, netlink })
}

/// Tries all kernel features; to be called inside (see [`enter`](crate::kernel::enter::enter)).
pub fn kernel() -> Vec<Feature> {
    let all: Vec<&str> = ATTEMPTS.iter().map(|(name, ..)| *name).collect();
    tried(&all)
}

fn tried(names: &[&str]) -> Vec<Feature> {
    let mut site = site();
    ATTEMPTS
        .iter()
        .filter(|(name, ..)| names.contains(name))
        .map(|&(name, need, serves, remedy, attempt)| {
            let result = match &mut site {
                Ok(site) => attempt(site),
                Err(reason) => Err(reason.clone()),
            };
            Feature {
                name,
                need,
                finding: match result {
                    Ok(detail) => Finding::Present(detail),
                    Err(reason) => Finding::Missing(reason),
                },
                serves,
                remedy: remedy.to_owned(),
            }
        })
        .collect()
}

/// The kernel's own words, without what was asked.
fn words(error: NetlinkError) -> String {
    match error.refusals() {
        [] => error.to_string(),
        [refusal, ..] => match &refusal.sentence {
            Some(sentence) => sentence.clone(),
            None => refusal.errno.desc().to_owned(),
        },
    }
}

fn done(result: Result<(), NetlinkError>) -> Result<String, String> {
    result.map(|()| String::new()).map_err(words)
}

fn veth(site: &mut Site) -> Result<String, String> {
    let end = |name, index| VethEnd {
        name,
        index,
        mac: None,
    };
    let Site { place, netlink } = site;
    add_veth(
        netlink,
        "here",
        end("near", NEAR),
        end("far", FAR),
        place.fd(),
    );
    set_up(netlink, "here", "lo", LOOPBACK, true);
    set_up(netlink, "here", "near", NEAR, true);
    set_up(netlink, "here", "far", FAR, true);
    done(netlink.commit())
}

fn filters(site: &mut Site) -> Result<String, String> {
    let netlink = &mut site.netlink;
    queue_clsact(netlink, NEAR);
    queue_clsact(netlink, FAR);
    done(netlink.commit().and_then(|()| {
        let mut path = DataPath::close(netlink, NEAR, &[FAR])?;
        path.set(netlink, &[FAR], &[FAR])?;
        let silence = Fault {
            member: FAR,
            direction: Direction::In,
            pattern: Pattern::Random(1000),
        };
        set_faults(netlink, &[silence])
    }))
}

fn open_files(_: &mut Site) -> Result<String, String> {
    /// Enough for a lab of 50 routers with 16 flows each way.
    const ENOUGH: u64 = 1024;
    let hard = raise_descriptors().map_err(|error| error.to_string())?;
    if hard < ENOUGH {
        return Err(format!("the limit is {hard}, a lab wants {ENOUGH}"));
    }
    Ok(hard.to_string())
}

/// A blackhole, which needs no interface but `lo`: `struct nhmsg`, NHA_ID = 1, NHA_BLACKHOLE.
fn next_hops(site: &mut Site) -> Result<String, String> {
    const AF_INET: u8 = 2;
    let mut body = vec![AF_INET, 0, 0, 0, 0, 0, 0, 0];
    body.extend(attribute(1, &1_u32.to_ne_bytes()));
    body.extend(attribute(4, &[]));
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    site.netlink
        .queue_raw(RTM_NEWNEXTHOP, flags, &body, || "add a next hop".to_owned());
    done(site.netlink.commit())
}

fn real_time(_: &mut Site) -> Result<String, String> {
    thread::spawn(|| priority::real_time(priority::LINE))
        .join()
        .unwrap_or(Err(nix::errno::Errno::EAGAIN))
        .map(|()| granted(priority::cpus()))
        .map_err(|errno| errno.desc().to_owned())
}

/// Which threads have it, on so many CPUs.
fn granted(cpus: Option<usize>) -> String {
    let all = priority::is_granted(priority::ROUTES, cpus);
    match (all, cpus) {
        (false, _) => "BFD and LACP alone, on the only CPU that may be used".to_owned(),
        (true, Some(cpus)) => format!("{cpus} CPUs may be used"),
        (true, None) => String::new(),
    }
}

fn pressure(_: &mut Site) -> Result<String, String> {
    match fs::read_to_string("/proc/pressure/cpu") {
        Ok(_) => Ok(String::new()),
        Err(error) => Err(error.to_string()),
    }
}

fn tbf(site: &mut Site) -> Result<String, String> {
    let rate = Some(1_250_000);
    queue(
        site,
        Queue {
            rate,
            ..Queue::default()
        },
    )
}

fn netem(site: &mut Site) -> Result<String, String> {
    let delay = Duration::from_millis(1);
    queue(
        site,
        Queue {
            delay,
            ..Queue::default()
        },
    )
}

/// Lets frames wait at the cable's near end for a moment.
fn queue(site: &mut Site, queue: Queue) -> Result<String, String> {
    let netlink = &mut site.netlink;
    done(impairment::set(netlink, NEAR, &queue).and_then(|()| impairment::clear(netlink, NEAR)))
}

fn bonding(site: &mut Site) -> Result<String, String> {
    new_link(
        site,
        LinkBond::new("bond").mode(BondMode::Ieee8023Ad).build(),
    )
}

fn vlan(site: &mut Site) -> Result<String, String> {
    new_link(site, LinkVlan::new("vlan", NEAR, 100).build())
}

fn vrf(site: &mut Site) -> Result<String, String> {
    new_link(site, LinkVrf::new("vrf", 100).build())
}

fn new_link(site: &mut Site, message: LinkMessage) -> Result<String, String> {
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    let message = RouteNetlinkMessage::NewLink(message);
    site.netlink
        .queue(message, flags, || "add a link".to_owned());
    done(site.netlink.commit())
}

fn tcp_md5(site: &mut Site) -> Result<String, String> {
    let key = Md5 {
        peer: Ipv4Addr::new(192, 0, 2, 1).into(),
        key: b"key",
    };
    let set = || -> io::Result<()> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        set_md5(&socket, key, 0)
    };
    match site.place.run(set) {
        Ok(Ok(())) => Ok(String::new()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// A netlink attribute, padded to 4 bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((4 + value.len()) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_real_time_priority_is_said() {
        let one = "BFD and LACP alone, on the only CPU that may be used";
        assert_eq!(granted(Some(1)), one);
        assert_eq!(granted(Some(16)), "16 CPUs may be used");
        assert_eq!(granted(None), "");
    }
}
