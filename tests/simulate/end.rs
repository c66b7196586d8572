//! One end of a connection: its LACP actor, its BFD session, and which member a flow takes.

use std::net::IpAddr;

use peerlab::bfd::{self, Session};
use peerlab::kernel::bpf::programs::flow_hash;
use peerlab::kernel::spread;
use peerlab::lab::line_cards::Side;
use peerlab::lacp::Lag;
use peerlab::router::SessionIndex;
use peerlab::time::At;

/// One end of a connection.
pub struct End {
    pub connection: usize,
    pub side: Side,
    pub name: String,
    pub local: IpAddr,
    pub remote: IpAddr,
    pub session: SessionIndex,
    pub lag: Lag,
    pub collecting: Vec<bool>,
    pub distributing: Vec<bool>,
    pub carrier: bool,
    pub bfd: Option<Session>,
    /// When the last BFD packet and, by member, the last LACPDU came.
    pub heard_bfd: At,
    pub heard_lacp: Vec<At>,
}

impl End {
    pub fn bfd_is_up(&self) -> bool {
        let session = self.bfd.as_ref();
        session.is_some_and(|session| session.state() == bfd::State::Up)
    }

    /// The member a flow takes, as the filters of the line card choose it.
    pub fn member(&self, protocol: u8, ports: (u16, u16)) -> Option<usize> {
        let mut frame = [0; 38];
        frame[12] = 0x08;
        frame[14] = 0x45;
        frame[23] = protocol;
        for (at, address) in [(26, self.local), (30, self.remote)] {
            let IpAddr::V4(address) = address else {
                panic!("the line hashes IPv4 here");
            };
            frame[at..at + 4].copy_from_slice(&address.octets());
        }
        frame[34..36].copy_from_slice(&ports.0.to_be_bytes());
        frame[36..].copy_from_slice(&ports.1.to_be_bytes());
        let member = spread::member(flow_hash(&frame), &self.distributing);
        member.filter(|_| self.carrier)
    }
}
