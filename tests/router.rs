//! Simulated routers in a real kernel: between themselves and against BIRD, with `ip -j` as the independent witness.
//!
//! Two namespaces, `edge` and `peer`, joined by two veth pairs. The edge announces 280 routes, the peer 10.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use ipnet::Ipv4Net;
use libtest_mimic::{Arguments, Failed, Trial};
use peerlab::bgp::session::State;
use peerlab::kernel::enter::enter;
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::nexthop::Fib;
use peerlab::record::{Entry, Fact};
use peerlab::router::driver::RouterHandle;
use peerlab::router::{Router, SessionIndex, Sessions};

#[path = "router/bed.rs"]
mod bed;
#[path = "router/bird.rs"]
mod bird;
#[path = "router/connections.rs"]
mod connections;
#[path = "router/hostile.rs"]
mod hostile;
#[path = "router/protection.rs"]
mod protection;

use bed::{
    Bed, EDGE_ASN, PATIENCE, PEER_ASN, address, all, both, config, edge_prefixes, expect, ip,
    originated, peer_prefixes, routes, routes_of, routes_to, run,
};
use bird::{Calls, bird};

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
    let no_bird = Command::new("bird").arg("--version").output().is_err();
    let against_bird = |name: &str, calls: Calls| {
        let trial = Trial::test(name, move || bird(calls));
        if no_bird {
            trial
                .with_kind("BIRD is not installed")
                .with_ignored_flag(true)
        } else {
            trial
        }
    };
    vec![
        Trial::test("routes_go_over_both_links", routes_over_both_links),
        Trial::test(
            "a_dark_interface_is_not_tried",
            a_dark_interface_is_not_tried,
        ),
        Trial::test("withdrawal_on_one_session", withdrawal_on_one_session),
        Trial::test("bfd_down_moves_routes", bfd_down_moves_routes),
        Trial::test("carrier_loss_moves_routes", carrier_loss_moves_routes),
        Trial::test("a_crash_sends_nothing", a_crash_sends_nothing),
        Trial::test("shutdown_leaves_nothing", shutdown_leaves_nothing),
        Trial::test("strangers_disturb_nobody", strangers_disturb_nobody),
        against_bird("bird_connects_to_us", Calls::Bird),
        against_bird("we_connect_to_bird", Calls::We),
        against_bird("both_connect_at_once", Calls::Both),
    ]
    .into_iter()
    .chain(protection::tests())
    .chain(connections::tests())
    .chain(hostile::tests())
    .collect()
}

fn routes_over_both_links() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let (edge, _peer) = both(&mut bed, |_| {}).await?;
        let states = edge
            .inspect(|router, _| [0, 1].map(|n| router.state(SessionIndex(n))))
            .await;
        expect(states, Some([State::Established; 2]))
    })
}

/// A SYN sent before the neighbour is there would be repeated a second later.
fn a_dark_interface_is_not_tried() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let edge = bed.start(config(true, |_| {}))?;
        // Told before the router's first turn.
        edge.interface("l0", false);
        let booted = edge
            .inspect(|router, _| router.state(SessionIndex(0)))
            .await;
        expect(booted, Some(State::Idle))?;
        while let Ok(entry) = bed.facts.try_recv() {
            let told = matches!(&entry.fact, Fact::Bgp { session, .. } if session == "s0");
            expect(told, false)?;
        }
        let neighbours = ip(&bed.edge, "neigh show dev l0")?;
        expect(neighbours.trim(), "")?;
        edge.interface("l0", true);
        let tried = edge
            .inspect(|router, _| router.state(SessionIndex(0)))
            .await;
        expect(tried != Some(State::Idle), true)
    })
}

fn withdrawal_on_one_session() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let (_edge, peer) = both(&mut bed, |_| {}).await?;
        let prefix: Ipv4Net = "198.18.3.0/24".parse()?;
        peer.withdraw(prefix.into(), Sessions::Only(vec![SessionIndex(0)]));
        let mut wanted = all(peer_prefixes(), &["l0", "l1"]);
        wanted.insert(prefix.to_string(), vec!["l1".into()]);
        bed.until_routes(true, &wanted).await?;
        peer.withdraw(prefix.into(), Sessions::Only(vec![SessionIndex(1)]));
        wanted.remove(&prefix.to_string());
        bed.until_routes(true, &wanted).await?;
        peer.announce(originated(prefix));
        bed.until_routes(true, &all(peer_prefixes(), &["l0", "l1"]))
            .await?;
        Ok(())
    })
}

fn bfd_down_moves_routes() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let (edge, peer) = both(&mut bed, |session| {
            session.use_bfd = true;
            session.wait_for_bfd = true;
            session.bfd_strict = true;
        })
        .await?;
        for handle in [&edge, &peer] {
            handle.bfd(SessionIndex(0), false);
        }
        bed.until_routes(false, &all(edge_prefixes(), &["l1"]))
            .await?;
        bed.until_routes(true, &all(peer_prefixes(), &["l1"]))
            .await?;
        for handle in [&edge, &peer] {
            handle.bfd(SessionIndex(1), false);
        }
        bed.until_routes(false, &BTreeMap::new()).await?;
        bed.until_routes(true, &BTreeMap::new()).await?;
        for handle in [&edge, &peer] {
            handle.bfd(SessionIndex(0), true);
            handle.bfd(SessionIndex(1), true);
        }
        bed.until_routes(false, &all(edge_prefixes(), &["l0", "l1"]))
            .await?;
        bed.until_routes(true, &all(peer_prefixes(), &["l0", "l1"]))
            .await?;
        Ok(())
    })
}

fn carrier_loss_moves_routes() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let (edge, peer) = both(&mut bed, |_| {}).await?;
        ip(&bed.edge, "link set l0 down")?;
        edge.interface("l0", false);
        peer.interface("l0", false);
        bed.until_routes(false, &all(edge_prefixes(), &["l1"]))
            .await?;
        bed.until_routes(true, &all(peer_prefixes(), &["l1"]))
            .await?;
        ip(&bed.edge, "link set l0 up")?;
        edge.interface("l0", true);
        peer.interface("l0", true);
        bed.until_routes(false, &all(edge_prefixes(), &["l0", "l1"]))
            .await?;
        bed.until_routes(true, &all(peer_prefixes(), &["l0", "l1"]))
            .await?;
        Ok(())
    })
}

fn a_crash_sends_nothing() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let (edge, peer) = both(&mut bed, |session| session.use_bfd = true).await?;
        // What is under way when a router vanishes is answered with RST by the kernel it leaves behind.
        until_nothing_is_under_way(&bed, [&edge, &peer]).await?;
        peer.crash();
        bed.until_routes(false, &BTreeMap::new()).await?;
        // The edge knows nothing of it: no FIN, no RST, no NOTIFICATION has come.
        let sockets = connections(&bed.edge)?;
        expect(sockets, 2)?;
        let states = edge
            .inspect(|router, _| [0, 1].map(|n| router.state(SessionIndex(n))))
            .await;
        expect(states, Some([State::Established; 2]))?;
        for n in [0, 1] {
            edge.bfd(SessionIndex(n), false);
        }
        bed.until_routes(true, &BTreeMap::new()).await?;
        peer.boot();
        for handle in [&edge, &peer] {
            for n in [0, 1] {
                handle.bfd(SessionIndex(n), true);
            }
        }
        bed.until_routes(false, &all(edge_prefixes(), &["l0", "l1"]))
            .await?;
        bed.until_routes(true, &all(peer_prefixes(), &["l0", "l1"]))
            .await?;
        Ok(())
    })
}

/// Waits until the routers have told each other everything, and every byte of it was acknowledged and read.
async fn until_nothing_is_under_way(bed: &Bed, routers: [&RouterHandle; 2]) -> Result<(), Failed> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    // A router writes in one turn what it worked out in the turn before: one look could fall between the two.
    let mut quiet = 0;
    while quiet < 3 {
        quiet += 1;
        for router in routers {
            let pending = |router: &Router, _: &Fib| {
                [0, 1].iter().any(|&n| {
                    let out = router.adj_rib_out(SessionIndex(n));
                    out.is_none_or(|out| out.is_pending())
                })
            };
            if router.inspect(pending).await != Some(false) {
                quiet = 0;
            }
        }
        for namespace in [&bed.edge, &bed.peer] {
            let queues = queues(namespace)?;
            if queues.len() != 2 || queues.iter().any(|queue| queue != "00000000:00000000") {
                quiet = 0;
            }
        }
        if tokio::time::Instant::now() > deadline {
            return Err("never quiet".into());
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Number of established TCP connections in a namespace, as the kernel counts them.
fn connections(namespace: &Namespace) -> Result<usize, Failed> {
    sockets(namespace, &["01"])
}

/// Number of TCP sockets in a namespace in some states: 01 is established, 08 closed by the other end.
fn sockets(namespace: &Namespace, states: &[&str]) -> Result<usize, Failed> {
    let table = namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/tcp"))??;
    let states_of = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3));
    Ok(states_of.filter(|state| states.contains(state)).count())
}

/// Bytes not yet acknowledged and not yet read of each established TCP connection (proc_net_tcp: tx_queue:rx_queue).
fn queues(namespace: &Namespace) -> Result<Vec<String>, Failed> {
    let table = namespace.run(|| std::fs::read_to_string("/proc/thread-self/net/tcp"))??;
    let fields = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    Ok(fields
        .filter(|fields| fields.get(3) == Some(&"01"))
        .filter_map(|fields| fields.get(4).map(|queue| (*queue).to_owned()))
        .collect())
}

fn shutdown_leaves_nothing() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let (edge, peer) = both(&mut bed, |_| {}).await?;
        tokio::time::timeout(PATIENCE, peer.shutdown("night work")).await?;
        expect(routes(&bed.peer)?, BTreeMap::new())?;
        bed.until_routes(true, &BTreeMap::new()).await?;
        expect(peer.inspect(|_, _| ()).await, None)?;
        drop(edge);
        Ok(())
    })
}

/// Random bytes at port 179, from addresses of nobody and of a neighbour, and a thousand connections.
fn strangers_disturb_nobody() -> Result<(), Failed> {
    run(async {
        let mut bed = Bed::new()?;
        let (edge, _peer) = both(&mut bed, |_| {}).await?;
        ip(&bed.peer, "addr add 10.0.0.77/32 dev l0")?;
        ip(&bed.edge, "route add 10.0.0.77/32 dev l0")?;
        let peer = Arc::clone(&bed.peer);
        let attack = tokio::task::spawn_blocking(move || peer.run(flood));
        attack.await???;
        let lost: Vec<Entry> = std::iter::from_fn(|| bed.facts.try_recv().ok())
            .filter(|entry| matches!(&entry.fact, Fact::Bgp { .. }))
            .collect();
        expect(lost, Vec::new())?;
        let states = edge
            .inspect(|router, _| [0, 1].map(|n| router.state(SessionIndex(n))))
            .await;
        expect(states, Some([State::Established; 2]))?;
        expect(routes(&bed.edge)?, all(peer_prefixes(), &["l0", "l1"]))
    })
}

/// Sends rubbish to the edge from a neighbour's address and from another one; returns when all of it was refused.
fn flood() -> std::io::Result<()> {
    let target = SocketAddr::from((address(0, true), 179));
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    for from in [Ipv4Addr::new(10, 0, 0, 77), address(0, false)] {
        for _ in 0..500 {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((from, 0)).into())?;
            socket.connect_timeout(&target.into(), PATIENCE)?;
            let mut stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(PATIENCE))?;
            let rubbish: Vec<u8> = (0..64)
                .map(|_| {
                    noise ^= noise << 13;
                    noise ^= noise >> 7;
                    noise ^= noise << 17;
                    noise as u8
                })
                .collect();
            // The router may have closed already; then the write fails, which is as good.
            let _ = stream.write_all(&rubbish);
            while matches!(std::io::Read::read(&mut stream, &mut [0; 64]), Ok(1..)) {}
        }
    }
    Ok(())
}
