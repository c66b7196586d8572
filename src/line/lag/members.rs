//! BFD on the members of a LAG, beside LACP: its sessions follow LACP, and members follow them (RFC 7130).

use super::{LagLine, LagPort};
use crate::bfd::Order;
use crate::lacp::{MuxState, Selected};
use crate::line::bfd::BfdStatus;
use crate::line::micro::MicroLine;
use crate::line::thread::Surroundings;
use crate::time::At;

impl LagLine {
    /// Orders something of BFD on a member, counted from 1.
    pub fn order_bfd(&mut self, member: u8, order: Order, around: &mut Surroundings) {
        if let Some(micro) = self.micro_mut(member) {
            micro.order(order, around.clock.now());
        }
        self.act(around);
    }

    /// How BFD on a member is; none where there is none.
    pub fn bfd_status(&self, member: u8) -> Option<BfdStatus> {
        let place = usize::from(member).checked_sub(1)?;
        let micro = self.port.members.get(place)?.micro.as_ref();
        micro.map(MicroLine::status)
    }

    fn micro_mut(&mut self, member: u8) -> Option<&mut MicroLine> {
        let place = usize::from(member).checked_sub(1)?;
        self.port.members.get_mut(place)?.micro.as_mut()
    }

    /// Lets the timers run, after the frames that came before. What is sent is late by the deadline of its own member.
    pub fn timer(&mut self, around: &mut Surroundings) {
        let now = around.clock.now();
        self.read_all(around);
        // Answers to what was read were not due.
        self.act(around);
        for (index, member) in self.port.members.iter_mut().enumerate() {
            let due = self.port.lag.sends_at(index);
            member.due = due.filter(|due| *due <= now);
        }
        self.port.lag.handle(now, crate::lacp::Input::Tick);
        for member in &mut self.port.members {
            if let Some(micro) = &mut member.micro {
                micro.timer(around);
            }
        }
        self.act(around);
        for member in &mut self.port.members {
            member.due = None;
        }
    }

    /// When the LAG, BFD on a member or who looks for early data next wants timers to run.
    pub fn deadline(&self) -> Option<At> {
        let members = self.port.members.iter();
        let others = members.flat_map(|member| {
            let micro = member.micro.as_ref().and_then(MicroLine::deadline);
            let untold = member.telling.deadline();
            micro
                .into_iter()
                .chain(member.early.deadline())
                .chain(untold)
        });
        let others = others.chain(self.telling.deadline());
        others.chain(self.port.lag.deadline()).min()
    }

    /// Lets BFD on members follow LACP, and members follow BFD.
    pub(super) fn act_on_micros(&mut self, around: &mut Surroundings) {
        let mut changed = Vec::new();
        let LagPort {
            end,
            lag,
            members,
            gate,
            ..
        } = &mut self.port;
        for (index, member) in members.iter_mut().enumerate() {
            let (Some(micro), Some(status)) = (&mut member.micro, lag.status(index)) else {
                continue;
            };
            // RFC 7130, section 3.
            let wanted = status.mux == MuxState::Distributing
                || matches!(status.selected, Selected::Standby(_));
            let whose = (&*end, index as u8 + 1);
            micro.want(wanted, whose, around);
            if micro.act(whose, around) {
                gate.alive(index, micro.alive());
                changed.push(index);
            }
        }
        for index in &changed {
            self.behind = true;
            self.tell_member(*index, around);
        }
        if !changed.is_empty() {
            self.turn_carrier(around);
        }
    }
}
