//! Data that comes on a member, of ours or of a bond, while the partner may not send any: the first is seen as it comes, all of it is
//! counted by the kernel.
//!
//! The socket that sees it is open only until this end has said that it collects, and again when it does no longer: a member
//! that carries costs nothing. Another thread opens and closes it ([`super::errands`]).
//!
//! **Invariant:** however much comes, the thread is woken for a few frames of a second at most; it never closes a socket here.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use super::End;
use super::errands::Errand;
use super::thread::Surroundings;
use crate::kernel::namespace::Namespace;
use crate::kernel::socket::{Socket, SocketError};
use crate::lacp::Lacpdu;
use crate::lacp::permission::Permission;
use crate::record::{Fact, LacpEarlyData, LacpSeen};
use crate::time::{Allowance, At};

/// While frames come, how many is told so often.
const EVERY: Duration = Duration::from_secs(1);
/// It is told so often at once: more than ends of ours bring about that misbehave.
const AT_ONCE: u32 = 32;
/// More than the socket has room for.
const MOST_WAITING: usize = 16;
/// After everything that comes.
const END: At = At::from_nanos(u64::MAX);

/// What is to be recorded, and the moment of it.
pub(super) type Told = (At, LacpSeen);

/// What is known of data on a member.
#[derive(Debug)]
pub(super) struct Early {
    end: End,
    member: u8,
    link: u32,
    place: Arc<Namespace>,
    permission: Permission,
    tap: Tap,
    /// While the partner may send none.
    watch: Option<Watch>,
    /// Frames since the LAG was made.
    frames: u64,
    /// A partner may begin and end watches as fast as it can send.
    allowance: Allowance,
    /// Frames that might not be told of.
    skipped: u64,
}

#[derive(Debug)]
enum Tap {
    Open(Socket),
    /// Somebody is opening it.
    Ordered,
    Closed,
}

/// A time in which no data may come.
#[derive(Debug, Default)]
struct Watch {
    /// The first frame, once there is one.
    found: Option<Found>,
    /// When to look whether there are more.
    next: At,
    /// Frames that were not told of.
    untold: u64,
}

#[derive(Debug, Clone)]
struct Found {
    at: At,
    words: String,
}

impl Early {
    /// Sees data on a link of the calling thread's namespace, which is `place`: a member of the LAG at `end`, counted from 0.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn open(
        (end, member): (&End, usize),
        link: u32,
        place: &Arc<Namespace>,
    ) -> Result<Early, SocketError> {
        Ok(Early {
            end: end.clone(),
            member: member as u8,
            link,
            place: Arc::clone(place),
            permission: Permission::default(),
            tap: Tap::Open(Socket::data(link)?),
            watch: None,
            frames: 0,
            allowance: Allowance::new(AT_ONCE, EVERY),
            skipped: 0,
        })
    }

    /// The descriptor to wait on, edge-triggered: what is not read does not wake again.
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        match &self.tap {
            Tap::Open(socket) => Some(socket.as_fd()),
            Tap::Ordered | Tap::Closed => None,
        }
    }

    /// So many frames came early since the LAG was made.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// A LACPDU left at that moment.
    pub fn sent(&mut self, at: At, pdu: &Lacpdu, around: &mut Surroundings) -> Option<Told> {
        self.change(at, around, |permission| permission.told(at, pdu))
    }

    /// One came.
    pub fn heard(&mut self, at: At, pdu: &Lacpdu, around: &mut Surroundings) -> Option<Told> {
        self.change(at, around, |permission| permission.shown(at, pdu))
    }

    /// Light is gone.
    pub fn dark(&mut self, now: At, around: &mut Surroundings) -> Option<Told> {
        self.change(now, around, |permission| permission.dark(now))
    }

    /// A socket that was ordered is there. One that nobody waits for any more is closed.
    pub fn take(&mut self, socket: Socket, around: &mut Surroundings) {
        let before = match (&self.tap, self.permission.is_given()) {
            (Tap::Ordered, false) => std::mem::replace(&mut self.tap, Tap::Open(socket)),
            (Tap::Ordered, true) => {
                self.tap = Tap::Closed;
                Tap::Open(socket)
            }
            (Tap::Open(_) | Tap::Closed, _) => Tap::Open(socket),
        };
        close(before, around);
    }

    /// Looks whether data came, if it is time to, and begins to watch if it is time for that.
    pub fn look(&mut self, around: &mut Surroundings) -> Option<Told> {
        let (now, since) = (around.clock.now(), self.permission.missing_since()?);
        if since > now {
            return None;
        }
        let begins = self.watch.is_none();
        let watch = self.watch.get_or_insert_default();
        if watch.next > now {
            return None;
        }
        // What came before was allowed.
        let from = if begins { since } else { At::ZERO };
        self.count(from..END, now, None, around)
    }

    /// Records what was seen.
    pub fn record(&self, (at, seen): Told, around: &Surroundings) {
        let fact = Fact::LacpPartner {
            router: self.end.router.clone(),
            connection: self.end.connection.clone(),
            member: self.member + 1,
            seen,
        };
        around.recorder.at(at, fact);
    }

    /// When to look again.
    pub fn deadline(&self) -> Option<At> {
        self.source()?;
        match &self.watch {
            Some(watch) => watch.found.as_ref().map(|_| watch.next),
            None => self.permission.missing_since(),
        }
    }

    /// Tells what was not told yet, and sees no more.
    pub fn finish(&mut self, around: &mut Surroundings) -> Option<Told> {
        let now = around.clock.now();
        let told = self.end_watch(now, false, around);
        close(std::mem::replace(&mut self.tap, Tap::Closed), around);
        told
    }

    /// The partner may do something else from `at` on.
    fn change(
        &mut self,
        at: At,
        around: &mut Surroundings,
        change: impl FnOnce(&mut Permission),
    ) -> Option<Told> {
        let mut next = self.permission.clone();
        change(&mut next);
        let (given, missing) = (next.is_given(), next.missing_since());
        let told = match missing {
            Some(_) => None,
            None => self.end_watch(at, given, around),
        };
        self.permission = next;
        match (&self.tap, given) {
            (Tap::Open(_), true) => {
                close(std::mem::replace(&mut self.tap, Tap::Closed), around);
            }
            (Tap::Closed, false) => {
                self.tap = Tap::Ordered;
                around.give(Errand::Open {
                    end: self.end.clone(),
                    member: self.member,
                    link: self.link,
                    place: Arc::clone(&self.place),
                });
            }
            (Tap::Open(_), false) | (Tap::Closed, true) | (Tap::Ordered, _) => {}
        }
        told
    }

    /// Data may come from `until` on, since this end says so in a LACPDU if `given`, or else since nobody would be guilty.
    fn end_watch(&mut self, until: At, given: bool, around: &mut Surroundings) -> Option<Told> {
        self.watch.as_ref()?;
        let told = self.count(At::ZERO..until, until, given.then_some(until), around);
        self.watch = None;
        told
    }

    /// Tells what came in time and was not told yet, and how long before `given` the first did.
    fn count(
        &mut self,
        time: Range<At>,
        now: At,
        given: Option<At>,
        around: &mut Surroundings,
    ) -> Option<Told> {
        let Tap::Open(socket) = &self.tap else {
            return None;
        };
        let kept = drain(socket, &time, around);
        let passed = u64::from(socket.passed());
        let watch = self.watch.as_mut()?;
        // Of those that were not kept nobody knows when they came.
        watch.untold += if kept.all { passed } else { kept.frames };
        let first = kept.first.map(|(words, at)| Found { at, words });
        let (at, found) = match (watch.found.clone(), first) {
            (Some(found), _) => (now, found),
            (None, Some(found)) => (found.at, found),
            (None, None) => return None,
        };
        watch.found = Some(found.clone());
        watch.next = now + EVERY;
        let frames = std::mem::take(&mut watch.untold);
        if frames == 0 && given.is_none() {
            return None;
        }
        self.frames += frames;
        if self.allowance.free_at() > now {
            self.skipped += frames;
            return None;
        }
        self.allowance.note(now);
        let seen = LacpEarlyData {
            frames: frames + std::mem::take(&mut self.skipped),
            first: found.words,
            unheard: self.permission.is_unheard(),
            before: given.map(|given| given.since(found.at).into()),
        };
        Some((at, LacpSeen::EarlyData(seen)))
    }
}

fn close(tap: Tap, around: &mut Surroundings) {
    if let Tap::Open(socket) = tap {
        around.give(Errand::Close(socket));
    }
}

/// What a socket kept.
struct Kept {
    /// The first that came in time, in words.
    first: Option<(String, At)>,
    /// How many came in time.
    frames: u64,
    /// None came at another time.
    all: bool,
}

/// Reads what a socket kept; what came at another time does not count.
fn drain(socket: &Socket, time: &Range<At>, around: &mut Surroundings) -> Kept {
    let mut kept = Kept {
        first: None,
        frames: 0,
        all: true,
    };
    for _ in 0..MOST_WAITING {
        let Ok(Some(frame)) = socket.receive(&around.clock, around.buffer) else {
            break;
        };
        if !time.contains(&frame.at) {
            kept.all = false;
            continue;
        }
        kept.frames += 1;
        if kept.first.is_none() {
            kept.first = Some((words(&around.buffer[..frame.length]), frame.at));
        }
    }
    kept
}

/// What a frame is, and from whom: `IPv4 192.0.2.1 to 192.0.2.0 from 02:00:00:00:00:01`.
fn words(frame: &[u8]) -> String {
    let part = |at: usize, length: usize| frame.get(at..at + length);
    let v4 = |at| {
        let octets = <[u8; 4]>::try_from(part(at, 4)?).ok()?;
        Some(Ipv4Addr::from(octets))
    };
    let v6 = |at| {
        let octets = <[u8; 16]>::try_from(part(at, 16)?).ok()?;
        Some(Ipv6Addr::from(octets))
    };
    let kind = part(12, 2).map_or(0, |kind| u16::from(kind[0]) << 8 | u16::from(kind[1]));
    let known = match kind {
        0x0800 => v4(26)
            .zip(v4(30))
            .map(|(from, to)| format!("IPv4 {from} to {to}")),
        0x86dd => v6(22)
            .zip(v6(38))
            .map(|(from, to)| format!("IPv6 {from} to {to}")),
        0x0806 => v4(28)
            .zip(v4(38))
            .map(|(from, to)| format!("ARP of {from} for {to}")),
        _ => None,
    };
    let what = known.unwrap_or_else(|| format!("EtherType {kind:#06x}"));
    let source = part(6, 6).unwrap_or_default();
    let source: Vec<String> = source.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{what}, from {}", source.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_named() {
        let frame = |kind: [u8; 2], payload: &[u8]| {
            let from = [2, 0, 0, 0, 0, 1];
            [&[0xff; 6][..], &from, &kind, payload].concat()
        };
        let mut ipv4 = [0; 20];
        ipv4[12..16].copy_from_slice(&[192, 0, 2, 1]);
        ipv4[16..].copy_from_slice(&[192, 0, 2, 0]);
        let mut ipv6 = [0; 40];
        (ipv6[8], ipv6[23], ipv6[24], ipv6[39]) = (0xfe, 1, 0xff, 2);
        let mut arp = [0; 28];
        arp[14..18].copy_from_slice(&[192, 0, 2, 1]);
        arp[24..].copy_from_slice(&[192, 0, 2, 0]);
        let table = [
            (frame([8, 0], &ipv4), "IPv4 192.0.2.1 to 192.0.2.0"),
            (frame([0x86, 0xdd], &ipv6), "IPv6 fe00::1 to ff00::2"),
            (frame([8, 6], &arp), "ARP of 192.0.2.1 for 192.0.2.0"),
            (frame([8, 0], &ipv4[..18]), "EtherType 0x0800"),
            (frame([0x88, 0xb5], &[]), "EtherType 0x88b5"),
        ];
        for (frame, is) in table {
            assert_eq!(words(&frame), format!("{is}, from 02:00:00:00:00:01"));
        }
    }
}
