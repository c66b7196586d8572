//! Data that comes on members before this end has said that it collects: what is seen of it, and told.

use super::LagLine;
use crate::kernel::socket::Socket;
use crate::lacp::{Lacpdu, Pdu, pdu};
use crate::line::early::{Early, Told};
use crate::line::thread::Surroundings;
use crate::time::At;

impl LagLine {
    /// A LACPDU left on a member at that moment.
    pub(super) fn lacpdu_left(
        &mut self,
        at: At,
        port: usize,
        pdu: &Lacpdu,
        around: &mut Surroundings,
    ) {
        self.with_early(port, around, |early, around| early.sent(at, pdu, around));
    }

    /// A frame of the Slow Protocols came on a member, and lies in the buffer.
    pub(super) fn frame_came(
        &mut self,
        at: At,
        port: usize,
        length: usize,
        around: &mut Surroundings,
    ) {
        if let Ok(Pdu::Lacp(pdu)) = pdu::decode(&around.buffer[..length]) {
            self.with_early(port, around, |early, around| early.heard(at, &pdu, around));
        }
    }

    /// Light of a member is gone.
    pub(super) fn dark(&mut self, port: usize, around: &mut Surroundings) {
        let now = around.clock.now();
        self.with_early(port, around, |early, around| early.dark(now, around));
    }

    /// Looks for data on all members that may carry none.
    pub(super) fn look_for_data(&mut self, around: &mut Surroundings) {
        for port in 0..self.port.members.len() {
            self.with_early(port, around, Early::look);
        }
    }

    /// Sees no more data.
    pub(super) fn finish_early(&mut self, around: &mut Surroundings) {
        for port in 0..self.port.members.len() {
            self.with_early(port, around, Early::finish);
        }
    }

    /// Here is the socket that a member ordered.
    pub fn take_data_socket(&mut self, port: u8, socket: Socket, around: &mut Surroundings) {
        if let Some(member) = self.port.members.get_mut(usize::from(port)) {
            member.early.take(socket, around);
        }
        self.act(around);
    }

    /// Records what was seen of the partner's data on a member.
    fn with_early(
        &mut self,
        port: usize,
        around: &mut Surroundings,
        what: impl FnOnce(&mut Early, &mut Surroundings) -> Option<Told>,
    ) {
        let Some(member) = self.port.members.get_mut(port) else {
            return;
        };
        if let Some(told) = what(&mut member.early, around) {
            member.early.record(told, around);
        }
    }
}
