//! Cables in virtual time: delay, jitter (and so reordering), random loss, light, and the faults of the Microsoft side.

use std::time::Duration;

use peerlab::kernel::bpf::programs::Pattern;
use peerlab::lab::cable::CableFault;
use peerlab::lab::line_cards::Side;
use peerlab::scenario::FaultKind;

use super::node::Packet;

/// How every cable of a metro is.
#[derive(Debug, Clone, Copy)]
pub struct Quality {
    /// The least time a packet takes.
    pub delay: Duration,
    /// The most it takes longer, drawn anew for each packet.
    pub jitter: Duration,
    /// Share of packets that are lost, per mille.
    pub loss: u64,
}

/// Numbers that look random, and are the same for the same seed (xorshift).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        // Zero would stay zero.
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % bound
    }
}

impl Quality {
    /// How long the next packet takes; `None` when it is lost.
    pub fn fate(&self, random: &mut Random) -> Option<Duration> {
        if self.loss > 0 && random.below(1000) < self.loss {
            return None;
        }
        let jitter = match self.jitter.as_nanos() as u64 {
            0 => 0,
            most => random.below(most),
        };
        Some(self.delay + Duration::from_nanos(jitter))
    }
}

/// A member's cable.
#[derive(Debug, Clone)]
pub struct Cable {
    pub light: bool,
    faults: Vec<(Side, Pattern)>,
}

impl Cable {
    pub fn new() -> Cable {
        Cable {
            light: true,
            faults: Vec::new(),
        }
    }

    /// Makes a fault; true when the light went out.
    pub fn fail(&mut self, how: FaultKind) -> bool {
        match CableFault::of(how) {
            CableFault::Dark => std::mem::replace(&mut self.light, false),
            CableFault::Lossy {
                towards_microsoft,
                towards_peer,
                frames,
            } => {
                let ways = [
                    (towards_microsoft, Side::Microsoft),
                    (towards_peer, Side::Peer),
                ];
                let lossy = ways.into_iter().filter(|(lossy, _)| *lossy);
                self.faults.extend(lossy.map(|(_, to)| (to, frames)));
                false
            }
        }
    }

    /// Undoes every fault; true when the light came back.
    pub fn repair(&mut self) -> bool {
        self.faults.clear();
        !std::mem::replace(&mut self.light, true)
    }

    /// Whether a packet on its way to this side gets through. Filters are at the edge: on the way to the peer a packet
    /// meets them when it is sent, on the way to Microsoft when it arrives.
    pub fn passes(&self, to: Side, packet: &Packet) -> bool {
        let lost = |pattern: Pattern| match (pattern, packet) {
            (Pattern::Everything, _)
            | (Pattern::Lacp | Pattern::OwnLacp, Packet::Slow(_))
            | (Pattern::Bfd, Packet::Bfd(_))
            | (Pattern::Bgp, Packet::Tcp(_)) => true,
            (
                Pattern::Lacp | Pattern::OwnLacp | Pattern::Bfd | Pattern::Bgp | Pattern::Random(_),
                _,
            ) => false,
        };
        self.light
            && !self
                .faults
                .iter()
                .any(|(way, what)| *way == to && lost(*what))
    }
}
