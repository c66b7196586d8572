//! For which of the sessions at one address a packet is, where no interface tells them apart (RFC 5880, section 6.3; RFC 5883,
//! section 4): the one that Your Discriminator names; while the remote knows no name yet, the one with who sent it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use super::packet::your_discriminator;

/// The sessions at one address, each with a remote and a discriminator of its own.
#[derive(Debug, Clone, Default)]
pub struct Demultiplexer<T> {
    by_discriminator: BTreeMap<NonZeroU32, T>,
    by_remote: BTreeMap<IpAddr, T>,
}

impl<T: Copy + Eq> Demultiplexer<T> {
    /// Packets of this session are told apart from now on. Of two with the same remote, or the same discriminator, the later has them.
    pub fn insert(&mut self, my_discriminator: NonZeroU32, remote: IpAddr, session: T) {
        self.by_discriminator.insert(my_discriminator, session);
        self.by_remote.insert(remote, session);
    }

    /// No packet is for this session any more.
    pub fn remove(&mut self, session: T) {
        self.by_discriminator.retain(|_, known| *known != session);
        self.by_remote.retain(|_, known| *known != session);
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.by_discriminator.is_empty() && self.by_remote.is_empty()
    }

    /// Whose a UDP payload is that came from there; `None` if nobody's. What names a session that is not here goes to the one
    /// with its sender, which discards it and counts it.
    pub fn whose(&self, bytes: &[u8], from: IpAddr) -> Option<T> {
        let named = your_discriminator(bytes).and_then(|name| self.by_discriminator.get(&name));
        named.or_else(|| self.by_remote.get(&from)).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU8;
    use std::time::Duration;

    use super::*;
    use crate::bfd::{Config, Input, Invalid, Output, Session, State, Timers};
    use crate::time::At;

    const REMOTES: [IpAddr; 2] = [
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)),
    ];

    fn session(number: u32) -> Session {
        let three = NonZeroU8::new(3).unwrap();
        let timers = Timers::symmetric(Duration::from_millis(50), three);
        let number = NonZeroU32::new(number).unwrap();
        Session::new(Config::single_hop(number, timers, 1), At::ZERO)
    }

    fn packet(session: &mut Session) -> Vec<u8> {
        let outputs = std::iter::from_fn(|| session.poll());
        let sent = outputs.filter_map(|output| match output {
            Output::Send(packet) => Some(packet.to_vec()),
            _ => None,
        });
        sent.last().expect("it has something to say")
    }

    /// Two sessions at one address come up with two remotes, the packets of which come in turn.
    #[test]
    fn two_at_one_address_come_up() {
        let mut ours = [session(1), session(2)];
        let mut theirs = [session(7), session(8)];
        let mut demultiplexer = Demultiplexer::default();
        for (place, end) in ours.iter().enumerate() {
            demultiplexer.insert(end.my_discriminator(), REMOTES[place], place);
        }
        let at = At::from_millis(1);
        let hear = |end: &mut Session, bytes: &[u8]| {
            end.handle(
                at,
                Input::Packet {
                    bytes,
                    ttl: 255,
                    at,
                },
            );
        };
        for _ in 0..2 {
            for (place, remote) in theirs.iter_mut().enumerate() {
                let bytes = packet(remote);
                let whose = demultiplexer.whose(&bytes, REMOTES[place]).unwrap();
                assert_eq!(whose, place);
                hear(&mut ours[whose], &bytes);
                hear(remote, &packet(&mut ours[whose]));
            }
        }
        for (end, remote) in ours.iter().zip(&theirs) {
            assert_eq!([end.state(), remote.state()], [State::Up; 2]);
            assert_eq!(end.counters().discarded, 0);
        }
    }

    /// Section 6.3: with a discriminator it does not matter from where a packet comes; without one, nothing else does.
    #[test]
    fn a_name_goes_before_an_address() {
        let mut demultiplexer = Demultiplexer::default();
        for (number, remote) in [1, 2].into_iter().zip(REMOTES) {
            demultiplexer.insert(NonZeroU32::new(number).unwrap(), remote, number);
        }
        let naming = |name: u32| {
            let mut bytes = packet(&mut session(9));
            bytes[8..12].copy_from_slice(&name.to_be_bytes());
            bytes
        };
        let stranger = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(demultiplexer.whose(&naming(2), REMOTES[0]), Some(2));
        assert_eq!(demultiplexer.whose(&naming(2), stranger), Some(2));
        assert_eq!(demultiplexer.whose(&naming(0), REMOTES[0]), Some(1));
        assert_eq!(demultiplexer.whose(&naming(0), stranger), None);
        assert_eq!(demultiplexer.whose(&[], REMOTES[1]), Some(2));
        assert_eq!(demultiplexer.whose(&naming(77), stranger), None);
        // Who is named wrongly by its remote discards it, and says why.
        let mut named = session(1);
        let bytes = naming(77);
        assert_eq!(demultiplexer.whose(&bytes, REMOTES[0]), Some(1));
        let (bytes, at) = (&bytes[..], At::ZERO);
        named.handle(
            at,
            Input::Packet {
                bytes,
                ttl: 255,
                at,
            },
        );
        let why = named.counters().last_discarded;
        assert_eq!(why, Some(Invalid::YourDiscriminator));

        demultiplexer.remove(2);
        assert_eq!(demultiplexer.whose(&naming(2), REMOTES[1]), None);
        assert!(!demultiplexer.is_empty());
        demultiplexer.remove(1);
        assert!(demultiplexer.is_empty());
    }
}
