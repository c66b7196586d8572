//! What became of the packets of one direction: arrived, lost, twice, late, and which way.
//!
//! The sender and the receiver of a direction are the same process, so every packet is accounted for from the moment
//! it is sent. A packet is lost when a later one of its flow has arrived, or when somebody asks what is open
//! ([`Account::report_open`]). Should it arrive after that it counts as reordered, so that at any time
//!
//! > packets lost = Σ count of [`Output::Lost`] − reordered
//!
//! Several [`Output::Lost`] with the same flow and `first_sent` are one run of lost packets, reported while it went on:
//! their counts add up, and the last one's `last_sent` and `next_received` hold.
//!
//! **Invariant:** pure; no packet is counted as lost twice.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::At;

#[cfg(test)]
mod tests;

/// Which tap saw a packet, counted from 0.
pub type Via = u16;

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Consecutive packets of a flow did not arrive.
    Lost {
        /// Flow, counted from 0.
        flow: u16,
        /// How many, that were not told before.
        count: u64,
        /// When the first packet of the run was sent, told before or not.
        first_sent: At,
        /// When the last packet of the run was sent.
        last_sent: At,
        /// When the next packet of the flow arrived, if one did.
        next_received: Option<At>,
    },
    /// The delivered packets of a flow go another way than before.
    Via {
        /// Flow, counted from 0.
        flow: u16,
        /// Which way.
        via: Via,
        /// When the first of them arrived.
        at: At,
    },
}

/// Counts since they were last taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Packets sent.
    pub sent: u64,
    /// Packets that arrived, each counted once.
    pub received: u64,
    /// The longest one-way time.
    pub slowest: Duration,
}

/// Counts since they were last taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disorder {
    /// Arrivals of packets that had arrived before.
    pub duplicated: u64,
    /// Arrivals of packets that had been told to be lost.
    pub reordered: u64,
}

/// The packets of one direction, sent in turn over its flows.
#[derive(Debug)]
pub struct Account {
    flows: Vec<Flow>,
    next: u16,
    tally: Tally,
    disorder: Disorder,
    outputs: VecDeque<Output>,
}

/// Packets of a flow that are remembered. What is open beyond that is told; what arrives beyond that was there before.
const REMEMBERED: usize = 1024;

impl Account {
    /// A direction with so many flows, at least one.
    pub fn new(flows: u16) -> Account {
        Account {
            flows: (0..flows.max(1)).map(|_| Flow::default()).collect(),
            next: 0,
            tally: Tally::default(),
            disorder: Disorder::default(),
            outputs: VecDeque::new(),
        }
    }

    /// A packet is sent now: says of which flow, and its sequence number there.
    pub fn sent(&mut self, at: At) -> (u16, u64) {
        let number = self.next;
        self.next = (number + 1) % self.flows.len() as u16;
        self.tally.sent += 1;
        let flow = &mut self.flows[usize::from(number)];
        if flow.packets.len() == REMEMBERED {
            let half = flow.base + REMEMBERED as u64 / 2;
            let told = flow.tell(number, half, None);
            self.outputs.extend(told);
            flow.forget_until(half);
        }
        flow.packets.push_back(Packet {
            sent: at,
            arrived: None,
            via: None,
        });
        (number, flow.end() - 1)
    }

    /// A packet arrived.
    pub fn arrived(&mut self, at: At, flow: u16, sequence: u64) {
        let Some(this) = self.flows.get_mut(usize::from(flow)) else {
            return;
        };
        let fresh = match this.packet(sequence) {
            Some(packet) if packet.arrived.is_none() => packet,
            Some(_) => {
                self.disorder.duplicated += 1;
                return;
            }
            // Forgotten, so it was delivered long ago or came so late that it makes no difference; or never sent.
            None => {
                self.disorder.duplicated += u64::from(sequence < this.base);
                return;
            }
        };
        fresh.arrived = Some(at);
        self.tally.received += 1;
        self.tally.slowest = self.tally.slowest.max(at.since(fresh.sent));
        if sequence < this.told.max(this.expected) {
            self.disorder.reordered += 1;
        }
        if sequence >= this.expected {
            let told = this.tell(flow, sequence, Some(at));
            self.outputs.extend(told);
            this.expected = sequence + 1;
            this.open = None;
        }
        self.outputs.extend(this.resolve(flow, sequence));
    }

    /// A tap saw a packet pass. Of several taps the last one before its arrival counts.
    pub fn seen(&mut self, flow: u16, sequence: u64, via: Via) {
        let Some(this) = self.flows.get_mut(usize::from(flow)) else {
            return;
        };
        if let Some(packet) = this.packet(sequence)
            && (packet.arrived.is_none() || packet.via.is_none())
        {
            packet.via = Some(via);
            self.outputs.extend(this.resolve(flow, sequence));
        }
    }

    /// Whether every packet sent up to `cut` has arrived, or a later one of its flow has.
    pub fn settled(&self, cut: At) -> bool {
        self.flows
            .iter()
            .all(|flow| flow.sent_until(cut) <= flow.expected)
    }

    /// Tells what of the packets sent up to `cut` is missing still, though no later one of the flow arrived.
    pub fn report_open(&mut self, cut: At) {
        for (number, flow) in (0..).zip(&mut self.flows) {
            let told = flow.tell(number, flow.sent_until(cut), None);
            self.outputs.extend(told);
        }
    }

    /// Packets that arrived twice or late since the last call.
    pub fn take_disorder(&mut self) -> Disorder {
        std::mem::take(&mut self.disorder)
    }

    /// The counts since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// The next thing to tell.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

#[derive(Debug)]
struct Packet {
    sent: At,
    arrived: Option<At>,
    via: Option<Via>,
}

/// One flow. Sequence numbers count from 0.
#[derive(Debug, Default)]
struct Flow {
    /// Sequence number of the first packet remembered.
    base: u64,
    packets: VecDeque<Packet>,
    /// One more than the highest sequence number that arrived.
    expected: u64,
    /// Of the run of packets missing since `expected`, those before this one are told.
    told: u64,
    /// When the first and the last packet of that run were sent, as far as told.
    open: Option<(At, At)>,
    /// The way of the latest packet that arrived and was seen.
    via: Option<Via>,
    /// One more than the sequence number of that packet.
    resolved: u64,
}

impl Flow {
    /// One more than the highest sequence number sent.
    fn end(&self) -> u64 {
        self.base + self.packets.len() as u64
    }

    fn packet(&mut self, sequence: u64) -> Option<&mut Packet> {
        let index = usize::try_from(sequence.checked_sub(self.base)?).ok()?;
        self.packets.get_mut(index)
    }

    /// One more than the sequence number of the last packet sent up to `cut`.
    fn sent_until(&self, cut: At) -> u64 {
        self.base + self.packets.partition_point(|packet| packet.sent <= cut) as u64
    }

    /// Tells the packets missing before `until`, which come after all that arrived.
    fn tell(&mut self, flow: u16, until: u64, next_received: Option<At>) -> Option<Output> {
        let from = self.told.max(self.expected);
        let count = until.saturating_sub(from);
        if count > 0 {
            let first = self.packet(from)?.sent;
            let last = self.packet(until - 1)?.sent;
            self.open = Some((self.open.map_or(first, |(first, _)| first), last));
            self.told = until;
        }
        let (first_sent, last_sent) = self.open?;
        // A run that was told and did not grow is worth telling again only when it ends.
        (count > 0 || next_received.is_some()).then_some(Output::Lost {
            flow,
            count,
            first_sent,
            last_sent,
            next_received,
        })
    }

    fn forget_until(&mut self, sequence: u64) {
        while self.base < sequence && self.packets.pop_front().is_some() {
            self.base += 1;
        }
    }

    /// Tells when the latest packet known to have arrived and where it passed went another way.
    fn resolve(&mut self, flow: u16, sequence: u64) -> Option<Output> {
        if sequence < self.resolved {
            return None;
        }
        let packet = self.packet(sequence)?;
        let (at, via) = (packet.arrived?, packet.via?);
        self.resolved = sequence + 1;
        (self.via.replace(via) != Some(via)).then_some(Output::Via { flow, via, at })
    }
}
