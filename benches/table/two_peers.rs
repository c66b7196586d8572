//! Two neighbours have the same routes: one withdraws them all, or is lost.

use std::net::Ipv4Addr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use peerlab::router::{Fib, Input, Output, Router, SessionIndex};
use peerlab::time::At;
use serde::{Deserialize, Serialize};

use super::{core, stream};
use crate::support::Outcome;

/// Bytes given to the router at a time, as its driver does.
const READ: usize = 16 * 1024;
const LOCAL: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 3)];
const PEER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(10, 0, 0, 2)];
const ASN: [u32; 2] = [65001, 65002];

/// What it cost.
#[derive(Debug, Serialize, Deserialize)]
pub struct Losses {
    /// CPU seconds for the withdrawals.
    pub withdraw_cpu: f64,
    /// CPU seconds for the lost connection.
    pub loss_cpu: f64,
    /// Changes of the kernel's routes by the lost connection.
    pub loss_changes: f64,
}

/// Both, one after the other.
pub fn run(routes: usize) -> Outcome<Losses> {
    let mut router = full(routes)?;
    let withdrawals = stream::withdrawals(routes);
    let begin = cpu()?;
    feed(&mut router, 0, &withdrawals);
    let withdraw_cpu = cpu()? - begin;
    let left = |router: &Router, session: u16| {
        let table = router.adj_rib_in(SessionIndex(session));
        (table.map_or(0, |table| table.len()), router.loc_rib().len())
    };
    if (left(&router, 0), left(&router, 1)) != ((0, routes), (routes, routes)) {
        return Err("not all of one neighbour were withdrawn".into());
    }

    let mut router = full(routes)?;
    let begin = cpu()?;
    let (session, conn, why) = (SessionIndex(0), core::conn(), "reset by the peer");
    router.handle(At::ZERO, Input::Closed { session, conn, why });
    let changes = drain(&mut router);
    let loss_cpu = cpu()? - begin;
    if left(&router, 0) != (0, routes) {
        return Err("the routes of the lost neighbour are still there".into());
    }
    Ok(Losses {
        withdraw_cpu,
        loss_cpu,
        loss_changes: changes.len() as f64,
    })
}

/// A router that has all routes from both.
fn full(routes: usize) -> Outcome<Router> {
    let neighbours = [0, 1].map(|n| (LOCAL[n], PEER[n], ASN[n]));
    let mut router = core::router(65100, &neighbours, Vec::new());
    router.handle(At::ZERO, Input::Start);
    for (n, asn) in ASN.into_iter().enumerate() {
        let (session, conn) = (SessionIndex(n as u16), core::conn());
        router.handle(At::ZERO, Input::Connected { session, conn });
        feed(&mut router, n, &stream::open(asn, PEER[n]));
        feed(&mut router, n, &stream::announcements(routes, asn, PEER[n]));
    }
    if router.loc_rib().len() != routes {
        return Err("not all routes were taken".into());
    }
    Ok(router)
}

/// The neighbour sends, and reads what the router writes.
fn feed(router: &mut Router, neighbour: usize, bytes: &[u8]) {
    let (session, conn) = (SessionIndex(neighbour as u16), core::conn());
    for bytes in bytes.chunks(READ) {
        router.handle(
            At::ZERO,
            Input::Bytes {
                session,
                conn,
                bytes,
            },
        );
        drain(router);
    }
}

/// Does what the router wants; its changes of kernel routes.
fn drain(router: &mut Router) -> Vec<Fib> {
    let mut changes = Vec::new();
    while let Some(output) = router.poll() {
        match output {
            Output::Fib(change) => changes.push(change),
            Output::Write {
                session,
                conn,
                bytes,
            } => {
                let bytes = bytes.len();
                router.handle(
                    At::ZERO,
                    Input::Written {
                        session,
                        conn,
                        bytes,
                    },
                );
            }
            _ => {}
        }
    }
    changes
}

/// CPU time of this thread so far, seconds.
fn cpu() -> Outcome<f64> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?).as_secs_f64())
}
