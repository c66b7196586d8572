//! What both ends of a bond's members say, from copies of their LACPDUs: the kernel tells neither priorities nor ports, nor when
//! they came. Markers, which it never sends, are sent through the taps.
//!
//! **Invariant:** what a copy says counts only when the kernel says the same of the partner. Copies are taken before the filters on
//! ingress: of what a fault drops the bond knows nothing, but the partner has sent it, and its rhythm is right. That it distributes
//! early it has said whether or not the kernel was asked in time; that counts as soon as the kernel has heard something later.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::kernel::bond::BondPort;
use crate::kernel::bpf::programs;
use crate::kernel::socket::{Socket, SocketError};
use crate::lacp::asked::Asked;
use crate::lacp::observation::{Meter, says_early};
use crate::lacp::{Lacpdu, MarkerAnswer, Pdu, PortInfo, Rhythm, State, pdu};
use crate::time::{At, Clock};

/// The taps of a bond's members, in order.
#[derive(Debug)]
pub(super) struct Copies(Vec<Tap>);

#[derive(Debug)]
struct Tap {
    socket: Socket,
    seen: Seen,
    /// The interval that the bond asks for.
    interval: Duration,
    meter: Meter,
    /// The source of what the bond sends.
    source: [u8; 6],
    asked: Asked,
}

/// A LACPDU that was copied.
pub(super) struct Copied {
    pub at: At,
    pub pdu: Lacpdu,
    /// This end sent it.
    pub outgoing: bool,
    /// It says something else than the one before.
    pub new: bool,
}

/// The LACPDUs of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    /// The last that was sent.
    sent: Option<Lacpdu>,
    /// The last that came.
    came: Option<Lacpdu>,
    /// The first of those before it that said early that the partner distributes, if one was not looked at.
    early: Option<Lacpdu>,
    /// The last that came and that the kernel has heard.
    heard: Option<Lacpdu>,
    /// The early one before it.
    heard_early: Option<Lacpdu>,
    /// So many came since, each unlike the one before.
    unheard: u32,
    /// So many of those that came before it were not looked at.
    skipped: u32,
}

impl Copies {
    /// Taps these links, of the calling thread's namespace, of a bond that asks for a LACPDU in each `interval`.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn open(links: &[u32], interval: Duration) -> Result<Copies, SocketError> {
        let tap = |link: &u32| {
            Ok(Tap {
                socket: Socket::tap(*link, &programs::slow_protocols())?,
                seen: Seen::default(),
                interval,
                meter: Meter::default(),
                source: [0; 6],
                asked: Asked::default(),
            })
        };
        Ok(Copies(links.iter().map(tap).collect::<Result<_, _>>()?))
    }

    /// The descriptors to wait on.
    pub fn sources(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|tap| tap.socket.as_fd())
    }

    /// Reads one copy of a member; the LACPDU, if it is one.
    pub fn read(&mut self, member: usize, clock: &Clock, buffer: &mut [u8]) -> Option<Copied> {
        let tap = self.0.get_mut(member)?;
        let frame = tap.socket.receive(clock, buffer).ok()??;
        let (pdu, new) = tap.take(frame.at, &buffer[..frame.length], frame.outgoing)?;
        Some(Copied {
            at: frame.at,
            pdu,
            outgoing: frame.outgoing,
            new,
        })
    }

    /// Asks the partner on a member whether it answers markers; the error says why it is not asked.
    pub fn ask_marker(&mut self, member: usize, now: At) -> Result<(), String> {
        let tap = self.0.get_mut(member).ok_or("there is no such member")?;
        let port = tap.seen.sent.map(|sent| sent.actor);
        let port = port.ok_or("the kernel's bond has sent no LACPDU yet")?;
        let marker = tap.asked.next(&port);
        let frame = pdu::encode(&Pdu::Marker(marker), tap.source);
        tap.socket.send(&frame).map_err(|error| error.to_string())?;
        tap.asked.sent(now, marker);
        Ok(())
    }

    /// How the partner on a member answered a marker, once.
    pub fn answered(&mut self, member: usize) -> Option<MarkerAnswer> {
        self.0.get_mut(member)?.asked.answered()
    }

    /// The rhythm of the partner's LACPDUs on a member.
    pub fn rhythm(&self, member: usize) -> Option<Rhythm> {
        self.0.get(member)?.meter.rhythm()
    }

    /// The same when there is enough to tell; all of it when nothing more will be measured.
    pub fn summary(&mut self, member: usize, now: At, last: bool) -> Option<Rhythm> {
        let meter = &mut self.0.get_mut(member)?.meter;
        match last {
            true => meter.untold(),
            false => meter.summary(now),
        }
    }

    /// When there will be something to tell that may not be told yet.
    pub fn deadline(&self) -> Option<At> {
        self.0.iter().filter_map(|tap| tap.meter.deadline()).min()
    }

    /// What the partner said last on each member, now that the kernel says this of its ports and of the partner of the active
    /// aggregator.
    pub fn hear(&mut self, ports: &[Option<BondPort>], partner: Option<([u8; 6], u16)>) {
        for (tap, port) in self.0.iter_mut().zip(ports) {
            tap.seen.hear(*port, partner);
            if port.is_none_or(|port| !port.light) {
                tap.meter.lost();
            }
        }
    }

    /// What the partner said last on a member, as far as the kernel has heard it.
    pub fn heard(&self, member: usize) -> Option<Lacpdu> {
        self.0.get(member)?.seen.heard
    }

    /// What it said before that, and since this was last asked, while it distributed early, though the kernel no longer shows it.
    pub fn heard_early(&mut self, member: usize) -> Option<Lacpdu> {
        self.0.get_mut(member)?.seen.heard_early.take()
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

impl Tap {
    /// Takes a frame; the LACPDU if it is one, and whether it says anything new.
    fn take(&mut self, at: At, frame: &[u8], outgoing: bool) -> Option<(Lacpdu, bool)> {
        match pdu::decode(frame) {
            Ok(Pdu::Lacp(pdu)) => {
                let new = self.seen.note(pdu, outgoing);
                match outgoing {
                    false => self.meter.heard(at, new, self.interval),
                    true if new => self.meter.skip(at),
                    true => {}
                }
                if let (true, Some(source)) = (outgoing, frame.get(6..12)) {
                    self.source.copy_from_slice(source);
                }
                Some((pdu, new))
            }
            Ok(Pdu::MarkerResponse(marker)) if !outgoing => {
                self.asked.heard(at, &marker);
                None
            }
            Ok(Pdu::Marker(_) | Pdu::MarkerResponse(_)) | Err(_) => None,
        }
    }
}

impl Seen {
    /// Takes a LACPDU; whether it says anything new.
    fn note(&mut self, pdu: Lacpdu, outgoing: bool) -> bool {
        let last = match outgoing {
            true => &mut self.sent,
            false => &mut self.came,
        };
        let before = last.replace(pdu);
        let new = before != Some(pdu);
        if new && !outgoing {
            let unseen = before.filter(|before| self.unheard > 0 && says_early(before));
            self.early = self.early.or(unseen);
            self.unheard = self.unheard.saturating_add(1);
        }
        new
    }

    fn hear(&mut self, port: Option<BondPort>, partner: Option<([u8; 6], u16)>) {
        let there = port.filter(|port| port.light && !State(port.actor).has(State::DEFAULTED));
        let Some(port) = there else {
            // What came before says nothing of who comes next.
            self.came = self.came.filter(|_| port.is_some_and(|port| port.light));
            (self.heard, self.early, self.heard_early) = (None, None, None);
            (self.unheard, self.skipped) = (0, 0);
            return;
        };
        if let Some(came) = self.came.filter(|came| agrees(came, port, partner)) {
            self.heard = Some(came);
            let early = self.early.take();
            let told = 1 + u32::from(early.is_some());
            self.heard_early = self.heard_early.or(early);
            let others = std::mem::take(&mut self.unheard).saturating_sub(told);
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
        let right = Some((SYSTEM, 7));
        let mut seen = Seen::default();
        assert!(seen.note(said(one), false));
        assert!(!seen.note(said(one), false));
        assert_eq!(seen.heard, None);
        seen.hear(Some(port(one)), right);
        assert_eq!(seen.heard, Some(said(one)));
        // A fault drops the next: the kernel does not know it.
        assert!(seen.note(said(other), false));
        seen.hear(Some(port(one)), right);
        assert_eq!(seen.heard, Some(said(one)));
        assert_eq!(seen.skipped, 0);
        for state in [one, other, one] {
            assert!(seen.note(said(state), false));
        }
        seen.hear(Some(port(one)), right);
        assert_eq!(seen.skipped, 3, "the one that was dropped, too");
        assert_eq!(seen.heard_early, None);
        for state in [State::DISTRIBUTING, other, one] {
            assert!(seen.note(said(state), false));
        }
        assert_eq!(seen.heard_early, None, "the kernel has heard none of them");
        seen.hear(Some(port(one)), right);
        assert_eq!(seen.heard_early.take(), Some(said(State::DISTRIBUTING)));
        assert_eq!(seen.skipped, 4, "that is told");
        assert!(seen.note(said(other), false));
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
        assert!(seen.note(said(one), true));
        assert_eq!(seen.sent.map(|pdu| pdu.actor.port), Some(3));
    }
}
