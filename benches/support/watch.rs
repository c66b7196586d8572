//! A kernel's routes as it announces them: the same witness for every router, whoever wrote the routes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{NetlinkAddr, setsockopt, sockopt};
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::time::{At, Clock};
use socket2::{Domain, Socket, Type};

use super::{Outcome, announced};

const RTMGRP_IPV4_ROUTE: u32 = 0x40;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const NLM_F_DUMP: u16 = 0x300;
/// No announcement is longer.
const LONGEST: usize = 1 << 12;
/// Room for the announcements of one table.
const INBOX: usize = 1 << 16;
/// RTPROT_BGP and RTPROT_BIRD.
const PROTOCOLS: [u8; 2] = [186, 12];

/// The BGP routes of one namespace.
pub struct Watch {
    socket: Socket,
    netlink: Netlink,
    clock: Clock,
    inbox: Vec<u8>,
    /// Interfaces of each route.
    pub routes: BTreeMap<Ipv4Net, BTreeSet<u32>>,
    /// When each prefix changed last, and to what; cleared by the reader.
    pub changes: Vec<(At, Ipv4Net, BTreeSet<u32>)>,
}

impl Watch {
    pub fn open(namespace: &Namespace, clock: Clock) -> Outcome<Watch> {
        let socket = namespace.run(|| -> std::io::Result<Socket> {
            let socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, None)?;
            nix::sys::socket::bind(socket.as_raw_fd(), &NetlinkAddr::new(0, RTMGRP_IPV4_ROUTE))?;
            Ok(socket)
        })??;
        // A full buffer is noticed and mended by a dump, so the limit for ordinary users does as well.
        if setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).is_err() {
            socket.set_recv_buffer_size(8 << 20)?;
        }
        socket.set_nonblocking(true)?;
        Ok(Watch {
            socket,
            netlink: Netlink::open_in(namespace)?,
            clock,
            // Written to, so that the memory is taken before anything is measured.
            inbox: vec![u8::MAX; INBOX],
            routes: BTreeMap::new(),
            changes: Vec::new(),
        })
    }

    /// Takes in what the kernel has announced. All of it is read before any of it is looked into, so that the last
    /// route of many is not late by the work for those before.
    pub fn read(&mut self) -> Outcome<()> {
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut heard: Vec<(At, Range<usize>)> = Vec::new();
        let mut end = 0;
        let lost = loop {
            if inbox.len() < end + LONGEST {
                inbox.resize(end + INBOX, 0);
            }
            match (&self.socket).read(&mut inbox[end..]) {
                Ok(length) => {
                    heard.push((self.clock.now(), end..end + length));
                    end += length;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break false,
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => break true,
                Err(error) => return Err(error.into()),
            }
        };
        for (at, place) in heard {
            let mut rest = &inbox[place];
            while rest.len() >= 16 {
                let size = u32::from_ne_bytes(rest[..4].try_into()?) as usize;
                let kind = u16::from_ne_bytes(rest[4..6].try_into()?);
                self.take(at, kind, &rest[16..size]);
                rest = &rest[size.next_multiple_of(4).min(rest.len())..];
            }
        }
        self.inbox = inbox;
        if lost { self.dump() } else { Ok(()) }
    }

    fn dump(&mut self) -> Outcome<()> {
        self.routes.clear();
        let mut question = [0; 12];
        question[0] = libc::AF_INET as u8;
        let mut found = Vec::new();
        self.netlink.ask_raw(
            RTM_GETROUTE,
            NLM_F_DUMP,
            &question,
            "list routes",
            |_, body| {
                found.push(body.to_vec());
            },
        )?;
        let now = self.clock.now();
        for body in found {
            self.take(now, RTM_NEWROUTE, &body);
        }
        Ok(())
    }

    fn take(&mut self, now: At, kind: u16, body: &[u8]) {
        let Some((prefix, oifs)) = route(body) else {
            return;
        };
        let oifs = match kind {
            RTM_NEWROUTE => oifs,
            RTM_DELROUTE => BTreeSet::new(),
            _ => return,
        };
        if oifs.is_empty() {
            self.routes.remove(&prefix);
        } else {
            self.routes.insert(prefix, oifs.clone());
        }
        self.changes.push((now, prefix, oifs));
    }

    /// Whether everything the other side announces is here, over both links.
    pub fn complete(&self, side: usize) -> bool {
        let wanted = announced(1 - side);
        self.routes.len() >= wanted.len()
            && wanted
                .iter()
                .all(|prefix| self.routes.get(prefix).is_some_and(|oifs| oifs.len() == 2))
    }
}

/// Prefix and interfaces of a BGP route of the main table.
fn route(body: &[u8]) -> Option<(Ipv4Net, BTreeSet<u32>)> {
    let header = body.get(..12)?;
    if header[0] != libc::AF_INET as u8 || !PROTOCOLS.contains(&header[5]) {
        return None;
    }
    let mut address = Ipv4Addr::UNSPECIFIED;
    let mut oifs = BTreeSet::new();
    let mut rest = &body[12..];
    while rest.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        let kind = u16::from_ne_bytes([rest[2], rest[3]]);
        let value = rest.get(4..length)?;
        match kind {
            // RTA_DST, RTA_OIF, RTA_MULTIPATH
            1 => address = Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?),
            4 => drop(oifs.insert(u32::from_ne_bytes(value.try_into().ok()?))),
            9 => {
                let mut hops = value;
                while hops.len() >= 8 {
                    let size = usize::from(u16::from_ne_bytes([hops[0], hops[1]]));
                    oifs.insert(u32::from_ne_bytes(hops[4..8].try_into().ok()?));
                    hops = hops.get(size.max(8).next_multiple_of(4)..).unwrap_or(&[]);
                }
            }
            _ => {}
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some((Ipv4Net::new(address, header[1]).ok()?, oifs))
}

/// Waits until something is announced in one of the namespaces, or for `patience`.
pub fn wait(watches: &[&Watch], patience: Duration) -> Outcome<()> {
    let mut fds: Vec<PollFd<'_>> = watches
        .iter()
        .map(|watch| PollFd::new(watch.socket.as_fd(), PollFlags::POLLIN))
        .collect();
    poll(&mut fds, PollTimeout::try_from(patience)?)?;
    Ok(())
}

/// Waits until every router has everything over both links; each watch with its side.
pub fn until_complete(watches: &mut [(usize, Watch)], patience: Duration) -> Outcome<()> {
    let end = Instant::now() + patience;
    loop {
        for (_, watch) in watches.iter_mut() {
            watch.read()?;
        }
        let open: Vec<&Watch> = watches
            .iter()
            .filter(|(side, watch)| !watch.complete(*side))
            .map(|(_, watch)| watch)
            .collect();
        if open.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(format!("{} routers never had all routes", open.len()).into());
        }
        wait(&open, Duration::from_millis(50))?;
    }
}

/// Lets time pass while routes are watched.
pub fn pause(watches: &mut [(usize, Watch)], time: Duration) -> Outcome<()> {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        let all: Vec<&Watch> = watches.iter().map(|(_, watch)| watch).collect();
        wait(&all, left.max(Duration::from_millis(1)))?;
        for (_, watch) in watches.iter_mut() {
            watch.read()?;
        }
    }
    Ok(())
}
