//! Two neighbours have the same routes: one withdraws them all, or is lost.
//!
//! The withdrawals are the core's work alone, as the decision is BIRD's alone where its kernel protocol is off. Before the loss
//! all routes are in the kernel of a namespace with both links, and the messages it takes are those that are sent.

use std::net::Ipv4Addr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use peerlab::kernel::nexthop::{Fib, NextHop};
use peerlab::router::{self, Input, Output, Router, SessionIndex};
use peerlab::time::At;
use serde::{Deserialize, Serialize};

use super::{core, stream};
use crate::support::Outcome;
use crate::support::bed::{Bed, address_of, index};

/// Bytes given to the router at a time, as its driver does.
const READ: usize = 16 * 1024;
const ASN: [u32; 2] = [65001, 65002];

/// The address of the neighbour on a link.
fn peer(link: usize) -> Ipv4Addr {
    address_of(0, link, 1)
}

/// What it cost.
#[derive(Debug, Serialize, Deserialize)]
pub struct Losses {
    /// CPU seconds for the withdrawals.
    pub withdraw_cpu: f64,
    /// CPU seconds for the lost connection, the kernel's among them.
    pub loss_cpu: f64,
    /// Messages to the kernel for the lost connection.
    pub loss_messages: f64,
}

/// Both, one after the other.
pub fn run(routes: usize) -> Outcome<Losses> {
    let mut router = full(routes, &mut None)?;
    let withdrawals = stream::withdrawals(routes);
    let begin = cpu()?;
    feed(&mut router, &mut None, 0, &withdrawals)?;
    let withdraw_cpu = cpu()? - begin;
    let left = |router: &Router, session: u16| {
        let table = router.adj_rib_in(SessionIndex(session));
        (table.map_or(0, |table| table.len()), router.loc_rib().len())
    };
    if (left(&router, 0), left(&router, 1)) != ((0, routes), (routes, routes)) {
        return Err("not all of one neighbour were withdrawn".into());
    }

    let bed = Bed::new(1)?;
    let mut fib = Some(Fib::open(&bed.pairs[0][0])?);
    let mut router = full(routes, &mut fib)?;
    let begin = cpu()?;
    let (session, conn, why) = (SessionIndex(0), core::conn(), "reset by the peer");
    router.handle(At::ZERO, Input::Closed { session, conn, why });
    let messages = drain(&mut router, &mut fib)?;
    let loss_cpu = cpu()? - begin;
    let over = fib.map(|fib| fib.len());
    if (left(&router, 0), over) != ((0, routes), Some(routes)) {
        return Err("the routes of the lost neighbour are still there, or others are not".into());
    }
    Ok(Losses {
        withdraw_cpu,
        loss_cpu,
        loss_messages: messages as f64,
    })
}

/// A router that has all routes from both, and so has the kernel.
fn full(routes: usize, fib: &mut Option<Fib>) -> Outcome<Router> {
    let neighbours = [0, 1].map(|n| (address_of(0, n, 0), peer(n), ASN[n]));
    let mut router = core::router(65100, &neighbours, Vec::new());
    router.handle(At::ZERO, Input::Start);
    for (n, asn) in ASN.into_iter().enumerate() {
        let (session, conn) = (SessionIndex(n as u16), core::conn());
        router.handle(At::ZERO, Input::Connected { session, conn });
        feed(&mut router, fib, n, &stream::open(asn, peer(n)))?;
        let announcements = stream::announcements(routes, asn, peer(n));
        feed(&mut router, fib, n, &announcements)?;
    }
    let installed = fib.as_ref().is_none_or(|fib| fib.len() == routes);
    if router.loc_rib().len() != routes || !installed {
        return Err("not all routes were taken".into());
    }
    Ok(router)
}

/// The neighbour sends, and reads what the router writes.
fn feed(router: &mut Router, fib: &mut Option<Fib>, neighbour: usize, bytes: &[u8]) -> Outcome<()> {
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
        drain(router, fib)?;
    }
    Ok(())
}

/// Does what the router wants, as its driver does; the number of messages to the kernel.
fn drain(router: &mut Router, fib: &mut Option<Fib>) -> Outcome<usize> {
    while let Some(output) = router.poll() {
        match output {
            Output::Fib(change) => {
                if let Some(fib) = fib {
                    wish(fib, change);
                }
            }
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
    Ok(fib.as_mut().map_or(Ok(0), Fib::flush)?)
}

fn wish(fib: &mut Fib, change: router::Fib) {
    let hops = |hops: &[router::NextHop]| -> Vec<NextHop> {
        let hops = hops.iter().map(|hop| NextHop {
            address: hop.gateway,
            oif: index(0, hop.session.index()),
            source: hop.session.0,
        });
        hops.collect()
    };
    match change {
        router::Fib::NextHopDown { session } => fib.source_down(session.0),
        router::Fib::Replace { prefix, next_hops } => fib.replace(prefix, &hops(&next_hops)),
        router::Fib::Move { from, to } => fib.replace_all(&hops(&from), &hops(&to)),
        router::Fib::Remove { prefix } => fib.remove(prefix),
        router::Fib::Keep | router::Fib::Sweep => {}
    }
}

/// CPU time of this thread so far, seconds.
fn cpu() -> Outcome<f64> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?).as_secs_f64())
}
