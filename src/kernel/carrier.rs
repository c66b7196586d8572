//! The carrier of links as it comes and goes (`RTNLGRP_LINK`, rtnetlink(7)).
//!
//! The present state is asked for when the socket is opened, and again when the kernel says that events were lost;
//! the answers come in like events.
//!
//! **Invariant:** never blocks; after the last event read, what was told is what the kernel last said.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// `RTMGRP_LINK`.
const LINK_GROUP: u32 = 1;
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const NLM_F_REQUEST: u16 = 1;
/// `IFF_LOWER_UP`: up, and so is the other end of the cable.
const LOWER_UP: u32 = 0x1_0000;
/// A `struct nlmsghdr` and a `struct ifinfomsg`.
const QUESTION: usize = 32;

/// Hears when links of one namespace gain or lose carrier.
#[derive(Debug)]
pub struct CarrierEvents {
    socket: Socket,
    links: Vec<u32>,
}

impl CarrierEvents {
    /// Watches links of the calling thread's namespace, by interface index.
    ///
    /// # Errors
    /// What socket(2), bind(2) or send(2) says.
    pub fn open(links: &[u32]) -> io::Result<CarrierEvents> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, LINK_GROUP))?;
        socket.set_non_blocking(true)?;
        let events = CarrierEvents {
            socket,
            links: links.to_vec(),
        };
        events.ask()?;
        Ok(events)
    }

    /// Reads one datagram into `buffer` and tells `each` a link's index and whether it has carrier, also when that
    /// is nothing new. `false` when there is nothing to read.
    ///
    /// 32 bytes are enough: an event or answer is alone in its datagram, and what matters stands at its beginning.
    ///
    /// # Errors
    /// What recv(2) says; lost events are none.
    pub fn receive(
        &mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(u32, bool),
    ) -> io::Result<bool> {
        let length = match recv(self.socket.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(length) => length,
            Err(Errno::EAGAIN) => return Ok(false),
            Err(Errno::EINTR) => return Ok(true),
            Err(Errno::ENOBUFS) => {
                self.ask()?;
                return Ok(true);
            }
            Err(errno) => return Err(errno.into()),
        };
        if let Some((link, carrier)) = carrier(&buffer[..length])
            && self.links.contains(&link)
        {
            each(link, carrier);
        }
        Ok(true)
    }

    /// Asks for the present state of each link.
    fn ask(&self) -> io::Result<()> {
        for link in &self.links {
            let mut question = [0; QUESTION];
            question[..4].copy_from_slice(&(QUESTION as u32).to_ne_bytes());
            question[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
            question[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
            question[20..24].copy_from_slice(&link.to_ne_bytes());
            send(self.socket.as_raw_fd(), &question, MsgFlags::empty())?;
        }
        Ok(())
    }
}

impl AsFd for CarrierEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What a datagram says: the index of a link, and whether it has carrier.
fn carrier(datagram: &[u8]) -> Option<(u32, bool)> {
    let field = |at: usize| {
        Some(u32::from_ne_bytes(
            datagram.get(at..at + 4)?.try_into().ok()?,
        ))
    };
    let kind = u16::from_ne_bytes(datagram.get(4..6)?.try_into().ok()?);
    let (link, flags) = (field(20)?, field(24)?);
    match kind {
        RTM_NEWLINK => Some((link, flags & LOWER_UP != 0)),
        RTM_DELLINK => Some((link, false)),
        _ => None,
    }
}

/// Reads a datagram as if the kernel had sent it: for the fuzz target `netlink`.
#[cfg(fuzzing)]
pub fn fuzz(datagram: &[u8]) {
    let _ = carrier(datagram);
}
