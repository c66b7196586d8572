//! Where BFD sessions over several hops receive (RFC 5883): one socket for each local address, since nothing but the
//! packets themselves tells the sessions there apart.

use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::bfd::Demultiplexer;
use crate::kernel::socket::{Received, Socket, SocketError};
use crate::time::Clock;

/// The sockets that are open, by router and address.
#[derive(Debug, Default)]
pub(super) struct Receivers(Mutex<HashMap<(String, IpAddr), Weak<Socket>>>);

impl Receivers {
    /// The socket at an address of the router whose namespace the thread is in: the one its sessions have, or a new one.
    pub fn at(&self, router: &str, local: IpAddr) -> Result<Arc<Socket>, SocketError> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, socket| socket.strong_count() > 0);
        let place = (router.to_owned(), local);
        if let Some(socket) = open.get(&place).and_then(Weak::upgrade) {
            return Ok(socket);
        }
        let socket = Arc::new(Socket::bfd_receive(local, None)?);
        open.insert(place, Arc::downgrade(&socket));
        Ok(socket)
    }
}

/// The socket at one address, and the slots of the sessions there.
#[derive(Debug)]
pub(super) struct Address {
    socket: Arc<Socket>,
    pub sessions: Demultiplexer<u32>,
    /// Packets that were for no session.
    pub foreign: u64,
}

impl Address {
    pub fn new(socket: Arc<Socket>) -> Address {
        Address {
            socket,
            sessions: Demultiplexer::default(),
            foreign: 0,
        }
    }

    /// Reads one packet into `buffer`; says for whose slot it is, if for any.
    pub fn receive(&mut self, clock: &Clock, buffer: &mut [u8]) -> Option<(Received, Option<u32>)> {
        // An error is one of an earlier packet, and taken away by having been told.
        let received = self.socket.receive(clock, buffer).ok()??;
        let from = received.from.map(|from| from.ip());
        let whose = from.and_then(|from| self.sessions.whose(&buffer[..received.length], from));
        self.foreign += u64::from(whose.is_none());
        Some((received, whose))
    }
}

impl AsFd for Address {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
