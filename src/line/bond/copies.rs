//! What both ends of a bond's members say, from copies of their LACPDUs: the kernel tells neither priorities nor ports.
//!
//! **Invariant:** a copy counts only when the kernel says the same of the partner. Copies are taken before the filters on ingress:
//! of what a fault drops the bond knows nothing.

use std::os::fd::{AsFd, BorrowedFd};

use crate::kernel::bond::BondPort;
use crate::kernel::bpf::programs;
use crate::kernel::socket::{Socket, SocketError};
use crate::lacp::{Lacpdu, Pdu, PortInfo, State, pdu};
use crate::time::Clock;

/// The taps of a bond's members, in order.
#[derive(Debug)]
pub(super) struct Copies(Vec<Tap>);

#[derive(Debug)]
struct Tap {
    socket: Socket,
    seen: Seen,
}

/// The LACPDUs of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    /// The last that was sent.
    sent: Option<Lacpdu>,
    /// The last that came.
    came: Option<Lacpdu>,
    /// The last that came and that the kernel has heard.
    heard: Option<Lacpdu>,
    /// So many came since, each unlike the one before.
    unheard: u32,
    /// So many of those that came before it were not looked at.
    skipped: u32,
}

impl Copies {
    /// Taps these links, of the calling thread's namespace.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn open(links: &[u32]) -> Result<Copies, SocketError> {
        let tap = |link: &u32| {
            Ok(Tap {
                socket: Socket::tap(*link, &programs::slow_protocols())?,
                seen: Seen::default(),
            })
        };
        Ok(Copies(links.iter().map(tap).collect::<Result<_, _>>()?))
    }

    /// The descriptors to wait on.
    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|tap| tap.socket.as_fd())
    }

    /// Reads one copy of a member; whether it says anything new.
    pub fn read(&mut self, member: usize, clock: &Clock, buffer: &mut [u8]) -> bool {
        let Some(tap) = self.0.get_mut(member) else {
            return false;
        };
        match tap.socket.receive(clock, buffer) {
            Ok(Some(frame)) => tap.seen.note(&buffer[..frame.length], frame.outgoing),
            Ok(None) | Err(_) => false,
        }
    }

    /// What the partner said last on each member, now that the kernel says this of its ports and of the partner of the active
    /// aggregator.
    pub fn hear(&mut self, ports: &[Option<BondPort>], partner: Option<([u8; 6], u16)>) {
        for (tap, port) in self.0.iter_mut().zip(ports) {
            tap.seen.hear(*port, partner);
        }
    }

    /// What the partner said last on a member, as far as the kernel has heard it.
    pub fn heard(&self, member: usize) -> Option<Lacpdu> {
        self.0.get(member)?.seen.heard
    }

    /// How many other things the partner said on a member before that, and since this was last asked.
    pub fn skipped(&mut self, member: usize) -> u32 {
        let tap = self.0.get_mut(member);
        tap.map_or(0, |tap| std::mem::take(&mut tap.seen.skipped))
    }

    /// What this end said last on a member.
    pub fn sent(&self, member: usize) -> Option<PortInfo> {
        Some(self.0.get(member)?.seen.sent?.actor)
    }
}

impl Seen {
    /// Takes a frame; whether it says anything new.
    fn note(&mut self, frame: &[u8], outgoing: bool) -> bool {
        let Ok(Pdu::Lacp(pdu)) = pdu::decode(frame) else {
            return false;
        };
        let last = match outgoing {
            true => &mut self.sent,
            false => &mut self.came,
        };
        let new = last.replace(pdu) != Some(pdu);
        if new && !outgoing {
            self.unheard = self.unheard.saturating_add(1);
        }
        new
    }

    fn hear(&mut self, port: Option<BondPort>, partner: Option<([u8; 6], u16)>) {
        let there = port.filter(|port| port.light && !State(port.actor).has(State::DEFAULTED));
        let Some(port) = there else {
            // What came before says nothing of who comes next.
            self.came = self.came.filter(|_| port.is_some_and(|port| port.light));
            self.heard = None;
            (self.unheard, self.skipped) = (0, 0);
            return;
        };
        if let Some(came) = self.came.filter(|came| agrees(came, port, partner)) {
            self.heard = Some(came);
            let others = std::mem::take(&mut self.unheard).saturating_sub(1);
            self.skipped = self.skipped.saturating_add(others);
        }
    }
}

/// Whether the kernel says of a port's partner what this LACPDU does. Whether it is in sync the kernel decides itself.
fn agrees(came: &Lacpdu, port: BondPort, partner: Option<([u8; 6], u16)>) -> bool {
    let but_sync = |state: State| state.with(State::SYNCHRONIZATION, false);
    let same = but_sync(came.actor.state) == but_sync(State(port.partner));
    // Of other aggregators the kernel names no partner.
    same && (!port.active || partner == Some((came.actor.system, came.actor.key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: [u8; 6] = [2, 0, 0, 0, 0, 9];

    fn said(state: State) -> Lacpdu {
        Lacpdu {
            actor: PortInfo {
                system_priority: 100,
                system: SYSTEM,
                key: 7,
                port_priority: 200,
                port: 3,
                state,
            },
            partner: PortInfo::default(),
            collector_max_delay: 0,
        }
    }

    fn port(partner: State) -> BondPort {
        BondPort {
            light: true,
            active: true,
            actor: State::ACTIVITY.0,
            partner: partner.0,
        }
    }

    #[test]
    fn a_copy_counts_when_the_kernel_says_the_same() {
        let active = State::ACTIVITY.with(State::AGGREGATION, true);
        let in_sync = active.with(State::SYNCHRONIZATION, true);
        let right = Some((SYSTEM, 7));
        let alone = BondPort {
            active: false,
            ..port(active)
        };
        let table = [
            ("the same", port(active), right, true),
            (
                "in sync, which the kernel doubts",
                port(in_sync),
                right,
                true,
            ),
            ("another state", port(State::ACTIVITY), right, false),
            ("another key", port(active), Some((SYSTEM, 8)), false),
            ("another system", port(active), Some(([2; 6], 7)), false),
            ("no partner", port(active), None, false),
            ("another aggregator's", alone, Some(([2; 6], 7)), true),
        ];
        for (name, port, partner, counts) in table {
            let came = said(active);
            assert_eq!(agrees(&came, port, partner), counts, "{name}");
        }
    }

    #[test]
    fn what_was_heard_stays_until_light_or_partner_go() {
        let (one, other) = (State::ACTIVITY, State::AGGREGATION);
        let (right, frame) = (Some((SYSTEM, 7)), |state| {
            pdu::encode(&Pdu::Lacp(said(state)), [2; 6])
        });
        let mut seen = Seen::default();
        assert!(seen.note(&frame(one), false));
        assert!(!seen.note(&frame(one), false));
        assert_eq!(seen.heard, None);
        seen.hear(Some(port(one)), right);
        assert_eq!(seen.heard, Some(said(one)));
        // A fault drops the next: the kernel does not know it.
        assert!(seen.note(&frame(other), false));
        seen.hear(Some(port(one)), right);
        assert_eq!(seen.heard, Some(said(one)));
        assert_eq!(seen.skipped, 0);
        for state in [one, other, one] {
            assert!(seen.note(&frame(state), false));
        }
        seen.hear(Some(port(one)), right);
        assert_eq!(seen.skipped, 3, "the one that was dropped, too");
        assert!(seen.note(&frame(other), false));
        let defaulted = BondPort {
            actor: State::DEFAULTED.0,
            ..port(other)
        };
        seen.hear(Some(defaulted), None);
        assert_eq!(seen.heard, None);
        seen.hear(Some(port(other)), right);
        assert_eq!(seen.heard, Some(said(other)));
        let dark = BondPort {
            light: false,
            ..port(other)
        };
        for gone in [Some(dark), None] {
            seen.hear(gone, None);
            seen.hear(Some(port(other)), right);
            assert_eq!(seen.heard, None);
        }
        assert!(seen.note(&frame(one), true));
        assert_eq!(seen.sent.map(|pdu| pdu.actor.port), Some(3));
        assert!(!seen.note(&[0; 3], false));
    }
}
