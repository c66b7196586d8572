//! A thread that hears what the kernel does to routes and links of several namespaces, and writes it down.
//!
//! One event socket for each namespace, one epoll for all. What changed goes into the record with the moment it was
//! read, which is the wake-up of a thread that does nothing else after the kernel queued it; carrier changes of chosen
//! links go to a channel as well. When the kernel drops events (ENOBUFS), or routes without an event, everything is
//! read again.
//!
//! **Invariant:** nothing is told twice; what is told is the kernel's present state, not a memory of requests.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use ipnet::IpNet;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{MsgFlags, recv};
use rtnetlink::packet_core::NLM_F_DUMP;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::namespace::{Namespace, NamespaceError};
use super::netlink::{Netlink, NetlinkError, messages};
use super::priority;
use crate::record::{Fact, Recorder};
use crate::time::At;

mod table;
use table::Table;

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV6_ROUTE` and `RTNLGRP_NEXTHOP`, as bits.
const GROUPS: u32 = 1 | 1 << 6 | 1 << 10 | 1 << 31;
/// Types of the questions, and the body of each: `struct ifinfomsg`, `struct nhmsg`, `struct rtmsg`.
const GET_LINKS: (u16, &[u8]) = (18, &[0; 16]);
const GET_NEXT_HOPS: (u16, &[u8]) = (106, &[0; 8]);
const GET_ROUTES: (u16, &[u8]) = (26, &[2, 0, 0, 0, 254, 0, 0, 0, 0, 0, 0, 0]);
const GET_IPV6_ROUTES: (u16, &[u8]) = (26, &[10, 0, 0, 0, 254, 0, 0, 0, 0, 0, 0, 0]);

/// What to watch in one namespace.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The router whose namespace it is; facts name it.
    pub router: String,
    /// Its namespace.
    pub namespace: Arc<Namespace>,
    /// Prefixes whose routes in the main table are recorded ([`Fact::KernelRoute`]).
    pub prefixes: Vec<IpNet>,
    /// Names of links whose carrier is handed over.
    pub links: Vec<String>,
}

/// A watched link gained or lost carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carrier {
    /// When it was read from the kernel.
    pub at: At,
    /// Router.
    pub router: String,
    /// Interface name.
    pub link: String,
    /// Carrier.
    pub up: bool,
}

/// Why watching could not begin.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A namespace could not be entered.
    #[error("watch {router}: {source}")]
    Namespace {
        /// Whose.
        router: String,
        /// Why.
        source: NamespaceError,
    },
    /// The kernel did not answer.
    #[error("watch {router}: {source}")]
    Netlink {
        /// Whose.
        router: String,
        /// Why.
        source: NetlinkError,
    },
    /// A system call that does not normally fail.
    #[error("watch routes and links: {0}")]
    System(#[from] io::Error),
}

impl From<Errno> for WatchError {
    fn from(errno: Errno) -> WatchError {
        WatchError::System(errno.into())
    }
}

/// The watching thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Watcher {
    end: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts watching. The state at the start is told like changes: each watched prefix that has a route, and each
    /// watched link that has carrier. When this returns, no later change can be missed.
    pub fn start(
        recorder: Recorder,
        watches: Vec<Watch>,
    ) -> Result<(Watcher, UnboundedReceiver<Carrier>), WatchError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let end = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?);
        epoll.add(&*end, EpollEvent::new(EpollFlags::EPOLLIN, u64::MAX))?;
        let (carriers, receiver) = unbounded_channel();
        let mut places = Vec::with_capacity(watches.len());
        for (number, watch) in watches.into_iter().enumerate() {
            let place = Place::open(watch, &recorder, &carriers)?;
            let event = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
            epoll.add(place.events.as_fd(), event)?;
            places.push(place);
        }
        let thread = thread::Builder::new().name("watch".into()).spawn(move || {
            // What it hears is only as good as the moment at which it does. Where this is refused, that is later.
            let _ = priority::real_time(priority::ROUTES);
            watch(&epoll, &mut places);
        })?;
        let watcher = Watcher {
            end,
            thread: Some(thread),
        };
        Ok((watcher, receiver))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if self.end.write(1).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn watch(epoll: &Epoll, places: &mut [Place]) {
    // What routers in a hurry tell the kernel must be read as fast.
    if let Err(errno) = priority::real_time(priority::ROUTES) {
        tracing::debug!(%errno, "the watching thread has no real-time priority");
    }
    let mut ready = [EpollEvent::empty(); 64];
    let mut inbox = vec![0; 32 * 1024];
    loop {
        let count = match epoll.wait(&mut ready, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(Errno::EINTR) => continue,
            Err(_) => return,
        };
        for event in &ready[..count] {
            match places.get_mut(event.data() as usize) {
                Some(place) => place.drain(&mut inbox),
                None => return,
            }
        }
    }
}

/// One watched namespace.
struct Place {
    router: String,
    links: Vec<String>,
    /// Some of the watched prefixes are of IPv6.
    ipv6: bool,
    table: Table,
    events: Netlink,
    questions: Netlink,
    recorder: Recorder,
    carriers: UnboundedSender<Carrier>,
}

impl Place {
    fn open(
        watch: Watch,
        recorder: &Recorder,
        carriers: &UnboundedSender<Carrier>,
    ) -> Result<Place, WatchError> {
        let router = watch.router;
        let netlink = |source| WatchError::Netlink {
            router: router.clone(),
            source,
        };
        let (events, questions) = watch
            .namespace
            .run(|| (Netlink::open_with_groups(GROUPS), Netlink::open()))
            .map_err(|source| WatchError::Namespace {
                router: router.clone(),
                source,
            })?;
        let mut place = Place {
            table: Table::new(&watch.prefixes),
            ipv6: watch.prefixes.iter().any(|p| matches!(p, IpNet::V6(_))),
            links: watch.links,
            events: events.map_err(netlink)?,
            questions: questions.map_err(netlink)?,
            recorder: recorder.clone(),
            carriers: carriers.clone(),
            router: router.clone(),
        };
        place.read_again().map_err(netlink)?;
        Ok(place)
    }

    /// Reads all events there are, and tells what they changed.
    fn drain(&mut self, inbox: &mut [u8]) {
        let mut stale = false;
        loop {
            match recv(
                self.events.as_fd().as_raw_fd(),
                inbox,
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(length) => {
                    let at = self.recorder.clock().now();
                    for (header, body) in messages(&inbox[..length]) {
                        let meaning = self.table.handle(header.message_type, body);
                        stale |= meaning.stale;
                        self.tell(at, meaning.carrier);
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(Errno::ENOBUFS) => {
                    stale = true;
                    self.recorder.now(Fact::EventsLost {
                        router: self.router.clone(),
                    });
                }
                // The socket cannot fail otherwise; were it so, the next wake-up tries again.
                Err(_) => break,
            }
        }
        if stale && let Err(error) = self.read_again() {
            self.recorder.now(Fact::Errored {
                text: format!("watch {}: {error}", self.router),
            });
        }
    }

    /// Reads links, next hops and routes anew, and tells what differs.
    ///
    /// Events that are waiting are worked in later; one that is older than the answers can make a change be told
    /// twice, back and forth, but the last word is right.
    fn read_again(&mut self) -> Result<(), NetlinkError> {
        self.table.forget_routes();
        let mut carriers = Vec::new();
        let of_ipv6 = self.ipv6.then_some(("read IPv6 routes", GET_IPV6_ROUTES));
        let questions = [
            ("read links", GET_LINKS),
            ("read next hops", GET_NEXT_HOPS),
            ("read routes", GET_ROUTES),
        ];
        for (operation, (question, body)) in questions.into_iter().chain(of_ipv6) {
            let table = &mut self.table;
            let answered =
                self.questions
                    .ask_raw(question, NLM_F_DUMP, body, operation, |kind, body| {
                        carriers.extend(table.handle(kind, body).carrier);
                    });
            match answered {
                // A kernel before 5.3 has no next-hop objects, and so no route uses one.
                Err(NetlinkError::Refused(_)) if question == GET_NEXT_HOPS.0 => {}
                other => other?,
            }
        }
        let at = self.recorder.clock().now();
        for carrier in carriers {
            self.tell(at, Some(carrier));
        }
        self.tell(at, None);
        Ok(())
    }

    fn tell(&mut self, at: At, carrier: Option<(String, bool)>) {
        if let Some((link, up)) = carrier
            && self.links.contains(&link)
        {
            // Nobody may be listening any more.
            let _ = self.carriers.send(Carrier {
                at,
                router: self.router.clone(),
                link,
                up,
            });
        }
        for (prefix, via) in self.table.changes() {
            self.recorder.at(
                at,
                Fact::KernelRoute {
                    router: self.router.clone(),
                    prefix,
                    via,
                },
            );
        }
    }
}

/// Follows a datagram as if the kernel had sent it: for the fuzz target `netlink`.
#[cfg(fuzzing)]
pub fn fuzz(datagram: &[u8]) {
    let mut table =
        Table::new(&["198.51.100.0/24", "::/0"].map(|prefix| prefix.parse().expect("a prefix")));
    for (header, body) in messages(datagram) {
        let _ = table.handle(header.message_type, body);
        table.changes();
    }
    table.forget_routes();
    assert!(table.changes().len() <= 2);
}
