//! Routes in a real kernel, with `ip -j` as the independent witness.
//!
//! Every test makes a network namespace of its own with two veth pairs whose other ends lie in a second one.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, ExitCode};

use ipnet::{IpNet, Ipv4Net};
use libtest_mimic::{Arguments, Failed, Trial};
use peerlab::kernel::enter::enter;
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::kernel::nexthop::{Fib, NextHop};
use serde_json::Value;

fn main() -> ExitCode {
    let cannot = match enter() {
        Ok(entered) => {
            entered.signals.release();
            None
        }
        Err(error) => Some(error.to_string()),
    };
    let trials = tests().into_iter().map(|trial| match &cannot {
        None => trial,
        Some(why) => trial.with_kind(why).with_ignored_flag(true),
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn tests() -> Vec<Trial> {
    vec![
        Trial::test("two_next_hops_then_one_then_two", two_then_one_then_two),
        Trial::test("one_route_leaves_its_group", one_route_leaves),
        Trial::test("without_nexthop_objects", without_nexthop_objects),
        Trial::test("last_next_hop_down_waits_for_an_alternative", alternative),
        Trial::test("carrier_loss_of_one_interface", carrier_loss_of_one),
        Trial::test("carrier_loss_noticed_late", carrier_loss_noticed_late),
        Trial::test("admin_down_of_all_interfaces", admin_down_of_all),
        Trial::test("a_gateway_that_is_not_there_is_left_out", bad_gateway),
        Trial::test("what_an_earlier_router_left_is_removed", leftovers),
        Trial::test("watchers_hear_of_every_route", watchers),
        Trial::test("ipv6_routes", ipv6_routes),
        Trial::test("ipv6_routes_without_nexthop_objects", ipv6_without_objects),
        Trial::test("ipv4_routes_over_ipv6_next_hops", ipv4_over_ipv6),
        Trial::test(
            "a_lost_connection_of_100000_routes_is_one_change",
            one_change,
        ),
        Trial::test(
            "100000_routes_move_to_their_alternative_with_one_change",
            one_move,
        ),
        Trial::test(
            "100000_routes_without_alternative_go_with_one_change",
            one_removal,
        ),
        Trial::test("a_restart_keeps_routes_until_they_are_swept", restart),
    ]
}

/// A router with the interfaces `v0` and `v1`, and the namespace of their other ends `w0` and `w1`.
struct Bed {
    router: Namespace,
    far: Namespace,
    hops: [NextHop; 2],
}

impl Bed {
    fn new() -> Result<Bed, Failed> {
        let (router, far) = (Namespace::new()?, Namespace::new()?);
        let far_fd = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            std::os::fd::AsRawFd::as_raw_fd(&far.fd())
        );
        ip(&router, "link set lo up")?;
        for n in 0..2 {
            // Different indexes at both ends: link events of veth pairs are prompt only then.
            ip(
                &router,
                &format!(
                    "link add v{n} index {} type veth peer name w{n} index {} netns {far_fd}",
                    10 + n,
                    20 + n
                ),
            )?;
            ip(&router, &format!("addr add 10.0.{n}.0/31 dev v{n}"))?;
            ip(&router, &format!("addr add fd00:{n}::/127 dev v{n} nodad"))?;
            ip(&far, &format!("link set w{n} up"))?;
            ip(&router, &format!("link set v{n} up"))?;
        }
        let hops = [0, 1].map(|n| hop(n, Ipv4Addr::new(10, 0, n as u8, 1)));
        Ok(Bed { router, far, hops })
    }

    fn fib(&self) -> Result<Fib, Failed> {
        Ok(Fib::open(&self.router)?)
    }

    /// The kernel's BGP routes: prefix and interfaces.
    fn routes(&self) -> Result<BTreeMap<String, Vec<String>>, Failed> {
        self.routes_of(4)
    }

    /// As [`Bed::routes`], of one IP version.
    fn routes_of(&self, version: u8) -> Result<BTreeMap<String, Vec<String>>, Failed> {
        let name = |hop: &Value| hop["dev"].as_str().unwrap_or_default().to_owned();
        Ok(ip_json(
            &self.router,
            &format!("-{version} -j -d route show proto bgp"),
        )?
        .iter()
        .map(|route| {
            assert_eq!(route["metric"], 20);
            let mut via: Vec<String> = match route["nexthops"].as_array() {
                Some(hops) => hops.iter().map(name).collect(),
                None => vec![name(route)],
            };
            via.sort();
            (route["dst"].as_str().unwrap_or_default().to_owned(), via)
        })
        .collect())
    }

    /// Number of nexthop objects, groups included.
    fn objects(&self) -> Result<usize, Failed> {
        Ok(ip_json(&self.router, "-j nexthop show")?.len())
    }

    fn wait_until_dark(&self, interface: &str) -> Result<(), Failed> {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        loop {
            let links = ip_json(&self.router, &format!("-j link show dev {interface}"))?;
            if links[0]["flags"]
                .as_array()
                .is_some_and(|flags| flags.iter().any(|flag| flag == "NO-CARRIER"))
            {
                return Ok(());
            }
            if std::time::Instant::now() > deadline {
                return Err("no carrier event".into());
            }
        }
    }
}

/// A next hop that session `n` told of, over the link of that number.
fn hop(n: u16, address: impl Into<IpAddr>) -> NextHop {
    NextHop {
        address: address.into(),
        oif: 10 + u32::from(n),
        source: n,
    }
}

fn ip(namespace: &Namespace, arguments: &str) -> Result<String, Failed> {
    let mut command = Command::new("ip");
    command.args(arguments.split(' '));
    namespace.enter_on_exec(&mut command)?;
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!(
            "ip {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn ip_json(namespace: &Namespace, arguments: &str) -> Result<Vec<Value>, Failed> {
    let text = ip(namespace, arguments)?;
    // `ip` prints nothing at all when it has nothing to show.
    Ok(match text.trim() {
        "" => Vec::new(),
        text => serde_json::from_str(text)?,
    })
}

fn prefixes() -> impl Iterator<Item = IpNet> {
    many(280)
}

fn many(count: u32) -> impl Iterator<Item = IpNet> {
    (0..count).map(|n| Ipv4Net::new_assert(Ipv4Addr::from(0x6440_0000 + (n << 8)), 24).into())
}

fn all(via: &[&str]) -> BTreeMap<String, Vec<String>> {
    let via: Vec<String> = via.iter().map(|name| (*name).to_owned()).collect();
    prefixes()
        .map(|prefix| (prefix.to_string(), via.clone()))
        .collect()
}

/// Announces everything over `hops`.
fn announce(fib: &mut Fib, hops: &[NextHop]) -> Result<usize, Failed> {
    for prefix in prefixes() {
        fib.replace(prefix, hops);
    }
    Ok(fib.flush()?)
}

fn expect<T: PartialEq + std::fmt::Debug>(found: T, wanted: T) -> Result<(), Failed> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("found {found:?}, wanted {wanted:?}").into())
    }
}

fn two_then_one_then_two() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    // Two next hops, one group, the routes.
    expect(announce(&mut fib, &bed.hops)?, 283)?;
    expect(bed.routes()?, all(&["v0", "v1"]))?;

    fib.source_down(0);
    expect((fib.flush()?, bed.objects()?), (1, 3))?;
    expect(bed.routes()?, all(&["v1"]))?;
    // The end of the next hop that no route uses any more has waited for a moment with nothing else to do.
    expect(announce(&mut fib, &bed.hops[1..])?, 1)?;
    expect((fib.flush()?, bed.objects()?), (0, 2))?;
    expect(announce(&mut fib, &bed.hops)?, 2)?;
    expect(bed.routes()?, all(&["v0", "v1"]))?;

    fib.clear();
    fib.flush()?;
    expect(bed.routes()?, BTreeMap::new())?;
    fib.flush()?;
    expect(bed.objects()?, 0)
}

fn one_route_leaves() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    announce(&mut fib, &bed.hops)?;
    let prefix: IpNet = "100.64.3.0/24".parse()?;
    fib.replace(prefix, &bed.hops[1..]);
    // The group of one, and the route.
    expect(fib.flush()?, 2)?;
    let mut wanted = all(&["v0", "v1"]);
    wanted.insert(prefix.to_string(), vec!["v1".to_owned()]);
    expect(bed.routes()?, wanted)?;
    // Back again: its group gets the same members as the other one, which is one message and does no harm.
    fib.replace(prefix, &bed.hops);
    expect(fib.flush()?, 1)?;
    expect(bed.routes()?, all(&["v0", "v1"]))?;
    expect(bed.objects()?, 4)
}

fn without_nexthop_objects() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = Fib::without_objects(Netlink::open_in(&bed.router)?);
    announce(&mut fib, &bed.hops)?;
    expect(bed.routes()?, all(&["v0", "v1"]))?;
    expect(bed.objects()?, 0)?;
    fib.source_down(1);
    fib.flush()?;
    expect(bed.routes()?, all(&["v0"]))?;
    fib.interface_down(bed.hops[0].oif);
    fib.flush()?;
    expect(bed.routes()?, BTreeMap::new())
}

fn alternative() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    announce(&mut fib, &bed.hops[..1])?;
    fib.source_down(0);
    expect(fib.flush()?, 0)?;
    expect(bed.routes()?, all(&["v0"]))?;
    announce(&mut fib, &bed.hops[1..])?;
    expect(bed.routes()?, all(&["v1"]))?;
    fib.flush()?;
    expect(bed.objects()?, 2)
}

fn carrier_loss_of_one() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    announce(&mut fib, &bed.hops)?;
    let only_v0: IpNet = "198.18.0.0/24".parse()?;
    fib.replace(only_v0, &bed.hops[..1]);
    fib.flush()?;

    ip(&bed.far, "link set w0 down")?;
    bed.wait_until_dark("v0")?;
    fib.interface_down(bed.hops[0].oif);
    fib.flush()?;
    expect(bed.routes()?, all(&["v1"]))?;

    ip(&bed.far, "link set w0 up")?;
    wait_for_carrier(&bed, "v0")?;
    announce(&mut fib, &bed.hops)?;
    expect(bed.routes()?, all(&["v0", "v1"]))
}

fn wait_for_carrier(bed: &Bed, interface: &str) -> Result<(), Failed> {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    loop {
        let links = ip_json(&bed.router, &format!("-j link show dev {interface}"))?;
        if links[0]["operstate"] == "UP" {
            return Ok(());
        }
        if std::time::Instant::now() > deadline {
            return Err("no carrier".into());
        }
    }
}

/// The kernel dropped the objects, and routes change before anybody said so.
fn carrier_loss_noticed_late() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    announce(&mut fib, &bed.hops[..1])?;
    ip(&bed.far, "link set w0 down")?;
    bed.wait_until_dark("v0")?;
    expect(bed.routes()?, BTreeMap::new())?;

    // The group is gone in the kernel, so that replacing it must fail and everything be written anew.
    announce(&mut fib, &bed.hops)?;
    expect(bed.routes()?, all(&["v1"]))?;
    fib.interface_down(bed.hops[0].oif);
    fib.flush()?;
    expect(bed.routes()?, all(&["v1"]))?;
    expect(fib.next_hops(&"100.64.0.0/24".parse()?), &bed.hops[1..])
}

fn admin_down_of_all() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    announce(&mut fib, &bed.hops)?;
    for n in 0..2 {
        ip(&bed.router, &format!("link set v{n} down"))?;
        fib.interface_down(bed.hops[n].oif);
    }
    fib.flush()?;
    expect(bed.routes()?, BTreeMap::new())?;
    expect(fib.len(), 0)?;
    for n in 0..2 {
        ip(&bed.router, &format!("link set v{n} up"))?;
    }
    announce(&mut fib, &bed.hops)?;
    expect(bed.routes()?, all(&["v0", "v1"]))
}

fn bad_gateway() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    let stranger = hop(0, Ipv4Addr::new(9, 9, 9, 9));
    announce(&mut fib, &[stranger, bed.hops[1]])?;
    expect(bed.routes()?, all(&["v1"]))?;
    announce(&mut fib, &[stranger])?;
    expect(bed.routes()?, BTreeMap::new())
}

fn leftovers() -> Result<(), Failed> {
    let bed = Bed::new()?;
    announce(&mut bed.fib()?, &bed.hops)?;
    ip(&bed.router, "nexthop add id 4000 via 10.0.0.1 dev v0")?;
    let mut fib = bed.fib()?;
    expect(bed.routes()?, BTreeMap::new())?;
    // What others made stays.
    expect(bed.objects()?, 1)?;
    announce(&mut fib, &bed.hops[1..])?;
    expect(bed.routes()?, all(&["v1"]))
}

/// Every way a route can change is announced to those who listen.
fn watchers() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let watcher = bed.router.run(|| -> std::io::Result<socket2::Socket> {
        let socket = socket2::Socket::new(
            socket2::Domain::from(libc::AF_NETLINK),
            socket2::Type::RAW,
            None,
        )?;
        socket.set_recv_buffer_size(1 << 20)?;
        socket.set_nonblocking(true)?;
        nix::sys::socket::bind(
            std::os::fd::AsRawFd::as_raw_fd(&socket),
            // RTMGRP_IPV4_ROUTE
            &nix::sys::socket::NetlinkAddr::new(0, 0x40),
        )?;
        Ok(socket)
    })??;
    let heard = |kind: u16| -> Result<usize, Failed> {
        let mut count = 0;
        let mut buffer = vec![0; 65536];
        while let Ok(length) =
            std::io::Read::read(&mut &watcher, &mut buffer).map_err(|error| error.kind())
        {
            let mut rest = &buffer[..length];
            while rest.len() >= 16 {
                let size = u32::from_ne_bytes(rest[..4].try_into()?) as usize;
                count += usize::from(u16::from_ne_bytes(rest[4..6].try_into()?) == kind);
                rest = &rest[size.next_multiple_of(4).min(rest.len())..];
            }
        }
        Ok(count)
    };
    let (new_route, del_route) = (24, 25);
    let mut fib = bed.fib()?;
    announce(&mut fib, &bed.hops)?;
    expect(heard(new_route)?, 280)?;
    fib.source_down(0);
    fib.flush()?;
    expect(heard(new_route)?, 280)?;
    fib.clear();
    fib.flush()?;
    expect(heard(del_route)?, 280)
}

/// What a link-local and a global neighbour are on each link.
fn ipv6_hops() -> [NextHop; 2] {
    [
        hop(0, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
        hop(1, Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 1)),
    ]
}

fn ipv6_prefix(n: u16) -> IpNet {
    let address = Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, 0);
    IpNet::new_assert(address.into(), 48)
}

fn ipv6_via(via: &[&str]) -> BTreeMap<String, Vec<String>> {
    let via: Vec<String> = via.iter().map(|name| (*name).to_owned()).collect();
    (1..=50)
        .map(|n| (ipv6_prefix(n).to_string(), via.clone()))
        .collect()
}

fn announce_ipv6(fib: &mut Fib, hops: &[NextHop]) -> Result<usize, Failed> {
    for n in 1..=50 {
        fib.replace(ipv6_prefix(n), hops);
    }
    Ok(fib.flush()?)
}

fn ipv6_routes() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    let hops = ipv6_hops();
    expect(announce_ipv6(&mut fib, &hops)?, 53)?;
    expect(bed.routes_of(6)?, ipv6_via(&["v0", "v1"]))?;
    // Routes of both families side by side.
    expect(announce(&mut fib, &bed.hops)?, 283)?;
    fib.source_down(0);
    // The groups of both families.
    expect(fib.flush()?, 2)?;
    expect(bed.routes_of(6)?, ipv6_via(&["v1"]))?;
    expect(bed.routes()?, all(&["v1"]))?;
    expect(announce_ipv6(&mut fib, &hops)?, 2)?;

    ip(&bed.far, "link set w1 down")?;
    bed.wait_until_dark("v1")?;
    fib.interface_down(hops[1].oif);
    fib.flush()?;
    fib.flush()?;
    expect(bed.routes_of(6)?, ipv6_via(&["v0"]))?;
    // There is no IPv6 route over an IPv4 neighbour.
    expect(announce_ipv6(&mut fib, &[hops[0], bed.hops[0]])?, 0)?;
    fib.clear();
    fib.flush()?;
    expect(bed.routes_of(6)?, BTreeMap::new())?;
    fib.flush()?;
    expect(bed.objects()?, 0)
}

fn ipv6_without_objects() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = Fib::without_objects(Netlink::open_in(&bed.router)?);
    let hops = ipv6_hops();
    announce_ipv6(&mut fib, &hops)?;
    expect(bed.routes_of(6)?, ipv6_via(&["v0", "v1"]))?;
    expect(bed.objects()?, 0)?;
    fib.source_down(1);
    fib.flush()?;
    expect(bed.routes_of(6)?, ipv6_via(&["v0"]))?;
    fib.replace_all(&hops[..1], &hops[1..]);
    fib.flush()?;
    expect(bed.routes_of(6)?, ipv6_via(&["v1"]))?;
    announce_ipv6(&mut fib, &hops)?;
    // RFC 8950 works here, too.
    announce(&mut fib, &hops)?;
    expect(bed.routes()?, all(&["v0", "v1"]))?;
    announce(&mut fib, &hops[..1])?;
    expect(bed.routes()?, all(&["v0"]))?;
    fib.clear();
    fib.flush()?;
    expect(bed.routes_of(6)?, BTreeMap::new())?;
    expect(bed.routes()?, BTreeMap::new())
}

/// RFC 8950: one group serves routes of both families.
fn ipv4_over_ipv6() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    let hops = ipv6_hops();
    expect(announce(&mut fib, &hops)?, 283)?;
    expect(announce_ipv6(&mut fib, &hops)?, 50)?;
    expect(bed.routes()?, all(&["v0", "v1"]))?;
    expect(bed.routes_of(6)?, ipv6_via(&["v0", "v1"]))?;
    fib.source_down(1);
    expect(fib.flush()?, 1)?;
    expect(bed.routes()?, all(&["v0"]))?;
    expect(bed.routes_of(6)?, ipv6_via(&["v0"]))?;
    // An IPv4 neighbour beside an IPv6 one.
    announce(&mut fib, &[hops[0], bed.hops[1]])?;
    expect(bed.routes()?, all(&["v0", "v1"]))?;
    expect(bed.routes_of(6)?, ipv6_via(&["v0"]))
}

const MANY: u32 = 100_000;

/// How many of the kernel's routes go over exactly these links, and how many others there are.
fn over(bed: &Bed, via: &[&str]) -> Result<(usize, usize), Failed> {
    let routes = bed.routes()?;
    let over = routes.values().filter(|links| *links == via).count();
    Ok((over, routes.len() - over))
}

fn announce_many(fib: &mut Fib, hops: &[NextHop]) -> Result<usize, Failed> {
    for prefix in many(MANY) {
        fib.replace(prefix, hops);
    }
    Ok(fib.flush()?)
}

fn one_change() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    announce_many(&mut fib, &bed.hops)?;
    // A route that has had the other next hop alone from the start.
    fib.replace("198.18.0.0/24".parse()?, &bed.hops[1..]);
    fib.flush()?;
    fib.source_down(0);
    // The group's members, and nothing else.
    expect(fib.flush()?, 1)?;
    expect(over(&bed, &["v1"])?, (MANY as usize + 1, 0))?;
    // Afterwards the next hop goes that no route uses any more.
    expect(fib.flush()?, 1)?;
    // Nor does anything follow when each prefix is decided anew, in whatever parts.
    for prefix in many(MANY / 2) {
        fib.replace(prefix, &bed.hops[1..]);
    }
    expect(fib.flush()?, 0)?;
    expect(announce_many(&mut fib, &bed.hops[1..])?, 0)
}

fn one_move() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    announce_many(&mut fib, &bed.hops[..1])?;
    fib.source_down(0);
    expect(fib.flush()?, 0)?;
    fib.replace_all(&bed.hops[..1], &bed.hops[1..]);
    // The new next hop, and the group's members; afterwards the end of the old next hop.
    expect(fib.flush()?, 2)?;
    expect(over(&bed, &["v1"])?, (MANY as usize, 0))?;
    expect(announce_many(&mut fib, &bed.hops[1..])?, 1)?;
    // The same when each prefix is named, and one change where a route has the next hop already.
    fib.replace("198.18.0.0/24".parse()?, &bed.hops[..1]);
    fib.flush()?;
    expect(announce_many(&mut fib, &bed.hops[..1])?, 1)?;
    expect(over(&bed, &["v0"])?, (MANY as usize + 1, 0))
}

fn one_removal() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    announce_many(&mut fib, &bed.hops[..1])?;
    fib.source_down(0);
    for prefix in many(MANY) {
        fib.remove(prefix);
    }
    // The group with its routes; afterwards the next hop.
    expect(fib.flush()?, 1)?;
    expect((bed.routes()?, fib.flush()?), (BTreeMap::new(), 1))?;
    expect((bed.objects()?, fib.len()), (0, 0))
}

fn restart() -> Result<(), Failed> {
    let bed = Bed::new()?;
    let mut fib = bed.fib()?;
    announce(&mut fib, &bed.hops)?;
    announce_ipv6(&mut fib, &ipv6_hops())?;
    fib.keep();
    expect(fib.flush()?, 0)?;
    expect(announce(&mut fib, &bed.hops)?, 0)?;
    expect(fib.sweep(), 50)?;
    fib.flush()?;
    expect(bed.routes_of(6)?, BTreeMap::new())?;
    expect(bed.routes()?, all(&["v0", "v1"]))?;
    expect(fib.sweep(), 0)
}
