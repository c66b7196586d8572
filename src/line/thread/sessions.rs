//! BFD sessions come, go and are looked at; those over several hops receive with the socket of their address.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::{Errand, Occupant, Source, Thread, Token};
use nix::sys::epoll::EpollEvent;

use crate::kernel::socket::Socket;
use crate::line::bfd::{BfdLine, BfdPort, drain};
use crate::line::multihop::Address;
use crate::line::{BfdStatus, End, Farewell};
use crate::record::Fact;
use crate::time::At;

impl Thread {
    /// Gives a member of a LAG the socket that it ordered, and waits on it.
    pub(super) fn take_data_socket(
        &mut self,
        end: &End,
        member: u8,
        socket: Result<Socket, String>,
    ) {
        let (slot, socket) = match (self.lags.get(end).copied(), socket) {
            (Some(slot), Ok(socket)) => (slot, socket),
            // Who ordered it has left.
            (None, Ok(socket)) => return self.around().give(Errand::Close(socket)),
            (None, Err(_)) => return,
            (Some(_), Err(error)) => {
                let text = format!("LAG {end}: {error}");
                return self.recorder.now(Fact::Errored { text });
            }
        };
        let source = Source::Data(member);
        let event = EpollEvent::new(source.events(), Token::Session(slot, source).pack());
        if let Err(errno) = self.epoll.add(socket.as_fd(), event) {
            let text = format!("LAG {end}: wait on its data: {errno}");
            self.recorder.now(Fact::Errored { text });
        }
        let (occupant, mut around) = self.parts(slot);
        if let Some(Occupant::Lag(lag)) = occupant {
            lag.take_data_socket(member, socket, &mut around);
            let deadline = lag.deadline();
            self.schedule.set(slot, deadline);
        }
    }

    pub(super) fn add_bfd(&mut self, port: BfdPort) {
        let (end, remote) = (port.spec.end.clone(), port.spec.remote);
        let discriminator = port.spec.config.my_discriminator;
        self.remove_bfd(&end, Farewell::Silent);
        let place = (end.router.clone(), port.spec.local);
        let shared = port.shared().map(Arc::clone);
        let address = shared.map(|socket| match self.addresses.get(&place) {
            Some(slot) => *slot,
            None => self.open_address(place, socket, &end),
        });
        let bfd = BfdLine::new(port, address, &mut self.around());
        let slot = self.occupy(Occupant::Bfd(Box::new(bfd)), &end);
        if let Some(Occupant::Address(at)) = address.and_then(|slot| self.parts(slot).0) {
            at.sessions.insert(discriminator, remote, slot);
        }
        self.bfds.insert(end, slot);
    }

    fn open_address(&mut self, place: (String, IpAddr), socket: Arc<Socket>, first: &End) -> u32 {
        let address = Box::new(Address::new(socket));
        let slot = self.occupy(Occupant::Address(address), first);
        self.addresses.insert(place, slot);
        slot
    }

    pub(super) fn remove_bfd(&mut self, end: &End, farewell: Farewell) {
        let Some(slot) = self.bfds.remove(end) else {
            return;
        };
        self.leave_address(slot);
        match farewell {
            Farewell::Silent => drop(self.vacate(slot)),
            Farewell::AdminDown => {
                let (occupant, mut around) = self.parts(slot);
                if let Some(Occupant::Bfd(bfd)) = occupant {
                    bfd.leave(&mut around);
                    let deadline = bfd.deadline();
                    self.schedule.set(slot, deadline);
                }
            }
        }
    }

    /// A session receives no longer where others do; the last one closes the socket.
    fn leave_address(&mut self, slot: u32) {
        let Some(Occupant::Bfd(bfd)) = self.occupant(slot) else {
            return;
        };
        let Some(place) = bfd.address() else {
            return;
        };
        let Some(Occupant::Address(address)) = self.parts(place).0 else {
            return;
        };
        address.sessions.remove(slot);
        if !address.sessions.is_empty() {
            return;
        }
        // A session that is about to be added may hold the socket, too: its descriptor stays open then.
        if let Some(Occupant::Address(address)) = self.occupant(place) {
            let _ = self.epoll.delete(address);
        }
        self.addresses.retain(|_, slot| *slot != place);
        self.vacate(place);
    }

    /// Reads one packet at an address, for the session whose it is; returns when the kernel received it.
    pub(super) fn read_address(&mut self, slot: u32) -> Option<At> {
        let (Some(Occupant::Address(address)), around) = self.parts(slot) else {
            return None;
        };
        let (received, whose) = address.receive(&around.clock, around.buffer)?;
        if let Some(slot) = whose
            && let (Some(Occupant::Bfd(bfd)), mut around) = self.parts(slot)
        {
            bfd.take(&received, &mut around);
            let deadline = bfd.deadline();
            self.schedule.set(slot, deadline);
        }
        Some(received.at)
    }

    /// Lets the timers of a session run, a loss only after the packets that came before it, at the address that it shares or at
    /// its own.
    pub(super) fn run_bfd(&mut self, slot: u32) {
        let Some(Occupant::Bfd(bfd)) = self.occupant(slot) else {
            return;
        };
        // One moment for all of it: a loss that is due after the address was read would be due unread.
        let now = self.clock.now();
        let shared = bfd.address().filter(|_| bfd.may_detect(now));
        let drained = shared.map(|place| drain(now, || self.read_address(place)));
        let (Some(Occupant::Bfd(bfd)), mut around) = self.parts(slot) else {
            return;
        };
        bfd.timer(now, drained, &mut around);
        if bfd.is_over(now) {
            self.vacate(slot);
            return;
        }
        let deadline = bfd.deadline();
        self.schedule.set(slot, deadline);
    }

    pub(super) fn bfd_status(&self, bfd: &BfdLine) -> BfdStatus {
        let status = bfd.status();
        match bfd.address().and_then(|slot| self.occupant(slot)) {
            Some(Occupant::Address(address)) => BfdStatus {
                foreign: address.foreign,
                ..status
            },
            _ => status,
        }
    }
}
