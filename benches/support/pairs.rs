//! Pairs of BFD sessions over one veth pair, at 50 ms × 3: ours, or those of a BIRD or an FRR at each end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::num::{NonZeroU8, NonZeroU32};
use std::process::Command;
use std::time::Duration;

use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use peerlab::bfd::{Config, Timers};
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::kernel::{address, link};
use peerlab::line::{BfdSpec, End, Reach};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_REPLACE};

use super::Outcome;
use super::bed::{Bed, INTERFACES, index};

/// Between packets, less by jitter.
pub const INTERVAL_MS: u64 = 50;
/// The multiplier.
const THREE: NonZeroU8 = NonZeroU8::new(3).unwrap();

/// The address of an end of a pair.
pub fn address(pair: u32, side: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a14_0000 + 2 * pair + side)
}

/// Two namespaces, one veth pair, two addresses for each pair of sessions.
pub fn bed(pairs: u32) -> Outcome<Bed> {
    let bed = Bed::new(1)?;
    let mut macs = Vec::new();
    for (_, side, namespace) in bed.routers() {
        let mut netlink = Netlink::open_in(namespace)?;
        let interface = (INTERFACES[0], index(side, 0));
        for pair in 0..pairs {
            let own = address(pair, u32::try_from(side)?);
            address::add(&mut netlink, "router", interface, own.into(), 31);
        }
        netlink.commit()?;
        while !link::list(&mut netlink)?.iter().all(|it| it.operational) {
            std::thread::yield_now();
        }
        let links = link::list(&mut netlink)?;
        let of_link = links.iter().find(|link| link.index == interface.1);
        macs.push(of_link.and_then(|link| link.mac).ok_or("no MAC address")?);
    }
    for (_, side, namespace) in bed.routers() {
        let mut netlink = Netlink::open_in(namespace)?;
        for pair in 0..pairs {
            let other = 1 - side;
            let address = address(pair, u32::try_from(other)?);
            know(&mut netlink, index(side, 0), address, macs[other]);
        }
        netlink.commit()?;
    }
    Ok(bed)
}

/// Queues a permanent neighbour: of those it finds itself the kernel keeps 1024 (`gc_thresh3`), for all namespaces together.
fn know(netlink: &mut Netlink, link: u32, address: Ipv4Addr, mac: [u8; 6]) {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = link;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)),
        NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
    ];
    netlink.queue(
        RouteNetlinkMessage::NewNeighbour(message),
        NLM_F_CREATE | NLM_F_REPLACE,
        move || format!("add neighbour {address}"),
    );
}

/// The session of a side of a pair.
pub fn spec(pair: u32, side: usize) -> Outcome<BfdSpec> {
    let own = u32::try_from(side)?;
    let number = 2 * pair + own + 1;
    let timers = Timers::symmetric(Duration::from_millis(INTERVAL_MS), THREE);
    let discriminator = NonZeroU32::new(number).ok_or("discriminator 0")?;
    Ok(BfdSpec {
        end: End {
            router: ["a", "b"][side].to_owned(),
            connection: pair.to_string(),
        },
        reach: Reach::OneHop {
            device: INTERFACES[0].to_owned(),
            link: index(side, 0),
        },
        local: address(pair, own).into(),
        remote: address(pair, 1 - own).into(),
        config: Config::single_hop(discriminator, timers, u64::from(number)),
    })
}

/// Whose sessions of a side with which neighbour are up, each with a number that moves by more than a half when it was lost.
pub type Up = BTreeMap<(usize, String), f64>;

/// A daemon at each end, with a session for each pair.
pub trait Daemons: Sized {
    /// Starts one on each side.
    fn start(bed: &Bed, pairs: u32) -> Outcome<Self>;
    /// CPU time of both so far, seconds.
    fn cpu(&self) -> Outcome<f64>;
    /// What is up by now.
    fn up(&self, namespaces: &[&Namespace]) -> Outcome<Up>;
}

/// A BIRD at each end.
pub struct Birds(super::bird::Birds);

impl Daemons for Birds {
    fn start(bed: &Bed, pairs: u32) -> Outcome<Birds> {
        let mut birds = super::bird::Birds::new(tempfile::tempdir()?);
        for (_, side, namespace) in bed.routers() {
            let own = u32::try_from(side)?;
            let mut text = format!(
                "router id 10.0.0.{};\nprotocol device {{ }}\nprotocol bfd {{\n  interface \"{1}\" {{ interval {INTERVAL_MS} ms; \
                 multiplier {THREE}; }};\n",
                own + 1,
                INTERFACES[0],
            );
            for pair in 0..pairs {
                let (local, remote) = (address(pair, own), address(pair, 1 - own));
                let device = INTERFACES[0];
                writeln!(text, "  neighbor {remote} dev \"{device}\" local {local};")?;
            }
            text.push_str("}\n");
            let name = side.to_string();
            std::fs::write(birds.path(&name, "conf"), text)?;
            birds.start(&name, namespace)?;
        }
        Ok(Birds(birds))
    }

    fn cpu(&self) -> Outcome<f64> {
        self.0.cpu()
    }

    /// Since when, in seconds of the day. It moves a millisecond more or less whenever BIRD is asked.
    fn up(&self, namespaces: &[&Namespace]) -> Outcome<Up> {
        let mut up = BTreeMap::new();
        for (side, namespace) in namespaces.iter().enumerate() {
            let mut command = Command::new("birdc");
            command.arg("-s").arg(self.0.path(&side.to_string(), "ctl"));
            command.args(["show", "bfd", "sessions"]);
            namespace.enter_on_exec(&mut command)?;
            let output = command.output()?;
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                let [neighbour, _, "Up", since, ..] = words[..] else {
                    continue;
                };
                let parts = since.split(':').map(str::parse::<f64>);
                let parts: Vec<f64> = parts.collect::<Result<_, _>>()?;
                let seconds = parts.iter().fold(0.0, |sum, part| sum * 60.0 + part);
                up.insert((side, neighbour.to_owned()), seconds);
            }
        }
        Ok(up)
    }
}

/// An FRR at each end: zebra and bfdd.
pub struct Frrs(super::frr::Frrs);

impl Daemons for Frrs {
    fn start(bed: &Bed, pairs: u32) -> Outcome<Frrs> {
        let mut frrs = super::frr::Frrs::new()?;
        for (_, side, namespace) in bed.routers() {
            frrs.run("zebra", &side.to_string(), namespace, "")?;
        }
        for (_, side, namespace) in bed.routers() {
            let own = u32::try_from(side)?;
            let mut text = String::from("bfd\n");
            for pair in 0..pairs {
                let (local, remote) = (address(pair, own), address(pair, 1 - own));
                let device = INTERFACES[0];
                writeln!(
                    text,
                    " peer {remote} local-address {local} interface {device}\n  detect-multiplier {THREE}\n  \
                     receive-interval {INTERVAL_MS}\n  transmit-interval {INTERVAL_MS}"
                )?;
            }
            frrs.run("bfdd", &side.to_string(), namespace, &text)?;
        }
        Ok(Frrs(frrs))
    }

    fn cpu(&self) -> Outcome<f64> {
        self.0.cpu()
    }

    /// How often it went down so far.
    fn up(&self, namespaces: &[&Namespace]) -> Outcome<Up> {
        /// What is read of a peer; counters are asked for apart.
        #[derive(serde::Deserialize)]
        struct Peer {
            peer: String,
            #[serde(default)]
            status: String,
            #[serde(default, rename = "session-down")]
            downs: u32,
        }
        let mut up = BTreeMap::new();
        for (side, namespace) in namespaces.iter().enumerate() {
            let ask = |what: &str| -> Outcome<Vec<Peer>> {
                let mut command = Command::new("vtysh");
                command.args(["-N", &side.to_string(), "-d", "bfdd", "-c", what]);
                namespace.enter_on_exec(&mut command)?;
                Ok(serde_json::from_slice(&command.output()?.stdout)?)
            };
            let states = ask("show bfd peers json")?.into_iter();
            let is_up: BTreeSet<String> = states
                .filter(|peer| peer.status == "up")
                .map(|peer| peer.peer)
                .collect();
            for peer in ask("show bfd peers counters json")? {
                if is_up.contains(&peer.peer) {
                    up.insert((side, peer.peer), f64::from(peer.downs));
                }
            }
        }
        Ok(up)
    }
}
