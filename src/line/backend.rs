//! A LAG of either backend: our LACP over filters, or a bond of the kernel's.

use std::os::fd::BorrowedFd;

use super::End;
use super::bfd::BfdStatus;
use super::bond::{BondLag, BondLine};
use super::lag::{LagLine, LagPort, LagStatus};
use super::thread::{Source, Surroundings};
use crate::bfd::Order;
use crate::kernel::socket::Socket;
use crate::lacp::Admin;
use crate::time::At;

/// A LAG ready to be run.
#[derive(Debug)]
pub enum AnyLag {
    /// Our LACP.
    Ours(Box<LagPort>),
    /// A bond.
    Kernel(Box<BondLag>),
}

impl AnyLag {
    pub(super) fn end(&self) -> &End {
        match self {
            AnyLag::Ours(lag) => lag.end(),
            AnyLag::Kernel(lag) => lag.end(),
        }
    }
}

impl From<LagPort> for AnyLag {
    fn from(lag: LagPort) -> AnyLag {
        AnyLag::Ours(Box::new(lag))
    }
}

impl From<BondLag> for AnyLag {
    fn from(lag: BondLag) -> AnyLag {
        AnyLag::Kernel(Box::new(lag))
    }
}

/// A LAG that runs.
#[derive(Debug)]
pub(super) enum AnyLine {
    Ours(LagLine),
    Kernel(BondLine),
}

impl AnyLine {
    pub fn new(lag: AnyLag, around: &mut Surroundings) -> AnyLine {
        match lag {
            AnyLag::Ours(lag) => AnyLine::Ours(LagLine::new(*lag, around)),
            AnyLag::Kernel(lag) => AnyLine::Kernel(BondLine::new(*lag, around)),
        }
    }

    pub fn end(&self) -> &End {
        match self {
            AnyLine::Ours(lag) => lag.end(),
            AnyLine::Kernel(lag) => lag.end(),
        }
    }

    /// The descriptors to wait on.
    pub fn sources(&self) -> Vec<(Source, BorrowedFd<'_>)> {
        match self {
            AnyLine::Ours(lag) => lag.sources().collect(),
            AnyLine::Kernel(lag) => lag.sources().collect(),
        }
    }

    /// The socket behind a source that sends through it.
    pub fn socket(&self, source: Source) -> Option<&Socket> {
        match self {
            AnyLine::Ours(lag) => lag.socket(source),
            AnyLine::Kernel(_) => None,
        }
    }

    pub fn ready(&mut self, source: Source, around: &mut Surroundings) {
        match self {
            AnyLine::Ours(lag) => lag.ready(source, around),
            AnyLine::Kernel(lag) => lag.ready(source, around),
        }
    }

    pub fn timer(&mut self, around: &mut Surroundings) {
        match self {
            AnyLine::Ours(lag) => lag.timer(around),
            AnyLine::Kernel(lag) => lag.timer(around),
        }
    }

    pub fn deadline(&self) -> Option<At> {
        match self {
            AnyLine::Ours(lag) => lag.deadline(),
            AnyLine::Kernel(lag) => lag.deadline(),
        }
    }

    pub fn command(&mut self, command: Admin, around: &mut Surroundings) {
        match self {
            AnyLine::Ours(lag) => lag.command(command, around),
            AnyLine::Kernel(lag) => lag.command(command, around),
        }
    }

    /// Orders something of BFD on a member; a bond has none.
    pub fn order_bfd(&mut self, member: u8, order: Order, around: &mut Surroundings) {
        if let AnyLine::Ours(lag) = self {
            lag.order_bfd(member, order, around);
        }
    }

    /// How BFD on a member is; none where there is none.
    pub fn bfd_status(&self, member: u8) -> Option<BfdStatus> {
        match self {
            AnyLine::Ours(lag) => lag.bfd_status(member),
            AnyLine::Kernel(_) => None,
        }
    }

    /// Here is the socket that a member ordered, counted from 0.
    pub fn take_data_socket(&mut self, member: u8, socket: Socket, around: &mut Surroundings) {
        match self {
            AnyLine::Ours(lag) => lag.take_data_socket(member, socket, around),
            AnyLine::Kernel(lag) => lag.take_data_socket(member, socket, around),
        }
    }

    /// Tells what was measured and not told yet.
    pub fn finish(&mut self, around: &mut Surroundings) {
        match self {
            AnyLine::Ours(lag) => lag.finish(around),
            AnyLine::Kernel(lag) => lag.finish(around),
        }
    }

    pub fn leave(self, around: &mut Surroundings) {
        match self {
            AnyLine::Ours(lag) => lag.leave(around),
            AnyLine::Kernel(lag) => lag.leave(around),
        }
    }

    pub fn status(&mut self) -> LagStatus {
        match self {
            AnyLine::Ours(lag) => lag.status(),
            AnyLine::Kernel(lag) => lag.status(),
        }
    }
}
