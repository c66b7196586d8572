//! Data that comes on the ports of a bond before it has said that it collects, as its LACPDUs show when they leave.

use super::BondLine;
use super::copies::Copied;
use crate::kernel::socket::Socket;
use crate::line::early::{Early, Told};
use crate::line::thread::Surroundings;

/// LACPDUs that are read before data is looked for.
const MOST_AT_ONCE: usize = 16;

impl BondLine {
    /// A LACPDU left on a port, or came.
    pub(super) fn lacpdu_passed(&mut self, port: usize, it: &Copied, around: &mut Surroundings) {
        self.with_early(port, around, |early, around| match it.outgoing {
            true => early.sent(it.at, &it.pdu, around),
            false => early.heard(it.at, &it.pdu, around),
        });
    }

    /// Light of a port is gone.
    pub(super) fn dark(&mut self, port: usize, around: &mut Surroundings) {
        let now = around.clock.now();
        self.with_early(port, around, |early, around| early.dark(now, around));
    }

    /// Looks for data on all ports that may carry none, as far as is known from all LACPDUs that passed before.
    pub(super) fn look_for_data(&mut self, around: &mut Surroundings) {
        for port in 0..self.lag.early.len() {
            for _ in 0..MOST_AT_ONCE {
                if self.lag.early[port].source().is_none() || !self.read_copy(port, around) {
                    break;
                }
            }
            self.with_early(port, around, Early::look);
        }
    }

    /// Sees no more data.
    pub(super) fn finish_early(&mut self, around: &mut Surroundings) {
        for port in 0..self.lag.early.len() {
            self.with_early(port, around, Early::finish);
        }
    }

    /// Here is the socket that a port ordered.
    pub fn take_data_socket(&mut self, port: u8, socket: Socket, around: &mut Surroundings) {
        if let Some(early) = self.lag.early.get_mut(usize::from(port)) {
            early.take(socket, around);
        }
        self.look_for_data(around);
    }

    /// Records what was seen of the partner's data on a port.
    fn with_early(
        &mut self,
        port: usize,
        around: &mut Surroundings,
        what: impl FnOnce(&mut Early, &mut Surroundings) -> Option<Told>,
    ) {
        let Some(early) = self.lag.early.get_mut(port) else {
            return;
        };
        if let Some(told) = what(early, around) {
            early.record(told, around);
        }
    }
}
