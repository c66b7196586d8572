//! The programs of the lab: which member a flow takes, what a member passes up, what a fault drops, what a tap sees.
//!
//! The flow hash is written twice: [`flow_buckets`] for the kernel and [`flow_hash`] in Rust, for predicting and
//! testing. It runs over the IP addresses, the protocol and, for TCP and UDP that is not fragmented, the ports; an
//! IPv6 packet with extension headers counts as having none. All other frames hash to 0.
//!
//! **Invariant:** pure; every program is total: no load it makes lies outside the frame.

use super::{Assembler, Label, Program, op};
use crate::kernel::spread::{self, Buckets};

/// Ethertype of the Slow Protocols: LACP and the marker protocol (IEEE 802.3, annex 57A).
pub const SLOW_PROTOCOLS: u16 = 0x8809;

/// Verdicts of `cls_bpf` programs.
pub mod verdict {
    /// Not this filter: go on with the next one (`TC_ACT_UNSPEC`, direct action).
    pub const UNSPEC: u32 = u32::MAX;
    /// Let the frame pass up (`TC_ACT_OK`, direct action).
    pub const OK: u32 = 0;
    /// Drop the frame (`TC_ACT_SHOT`, direct action).
    pub const SHOT: u32 = 2;
    /// Matched: do the filter's action (no direct action).
    pub const MATCH: u32 = u32::MAX;
    /// Not matched (no direct action).
    pub const NO_MATCH: u32 = 0;
}

/// What a program looks for in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Every frame.
    Everything,
    /// LACP and markers: ethertype 0x8809.
    Lacp,
    /// The same, of an end that is told to be silent: not a fault of the cable, and set and cleared apart from those.
    OwnLacp,
    /// BFD: UDP to port 3784, 3785, 4784 or 6784 (RFC 5881, RFC 5883, RFC 7130).
    Bfd,
    /// BGP: TCP from or to port 179.
    Bgp,
    /// A random share of all frames, in millionths.
    Random(u32),
}

/// A socket filter that keeps `keep` bytes of every frame.
pub fn everything(keep: u32) -> Program {
    let mut a = Assembler::new();
    a.push(op::RET, keep);
    a.finish()
}

/// A `cls_bpf` direct-action program that drops what the pattern finds and leaves the rest to the next filter.
pub fn drop_pattern(pattern: Pattern) -> Program {
    let mut a = Assembler::new();
    let (found, other) = (a.label(), a.label());
    match pattern {
        Pattern::Everything => a.jump(found),
        Pattern::Lacp | Pattern::OwnLacp => {
            a.push(op::LDH, 12);
            a.jump_if(op::JEQ, u32::from(SLOW_PROTOCOLS), found);
            a.jump(other);
        }
        Pattern::Bfd => {
            ports(&mut a, UDP, other);
            a.push(op::LDH_IND, 2);
            for port in [3784, 3785, 4784, MICRO_BFD] {
                a.jump_if(op::JEQ, port, found);
            }
            a.jump(other);
        }
        Pattern::Bgp => {
            ports(&mut a, TCP, other);
            for offset in [0, 2] {
                a.push(op::LDH_IND, offset);
                a.jump_if(op::JEQ, 179, found);
            }
            a.jump(other);
        }
        Pattern::Random(millionths) => {
            let share = u64::from(millionths.min(1_000_000));
            // 2^32 values are drawn; those below the threshold are lost. All of them when the share is the whole.
            match u32::try_from((share << 32) / 1_000_000) {
                Ok(threshold) => {
                    a.push(op::LD, op::RANDOM);
                    a.jump_if(op::JGE, threshold, other);
                    a.jump(found);
                }
                Err(_) => a.jump(found),
            }
        }
    }
    end(a, (other, verdict::UNSPEC), (found, verdict::SHOT))
}

/// What a member passes up to the engine instead of handing it to its LAG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upward {
    /// LACP and markers: ethertype 0x8809.
    SlowProtocols,
    /// Those, and BFD on the member itself: UDP to port 6784 (RFC 7130).
    MicroBfdToo,
}

/// A `cls_bpf` direct-action program that lets pass up what is meant for the engine and drops everything else.
pub fn only_up(upward: Upward) -> Program {
    let mut a = Assembler::new();
    let (found, other) = (a.label(), a.label());
    find_upward(&mut a, upward, found, other);
    end(a, (other, verdict::SHOT), (found, verdict::OK))
}

/// A `cls_bpf` program that matches everything but that: what a collecting member hands to its LAG.
pub fn all_but(upward: Upward) -> Program {
    let mut a = Assembler::new();
    let (found, other) = (a.label(), a.label());
    find_upward(&mut a, upward, found, other);
    end(a, (other, verdict::MATCH), (found, verdict::NO_MATCH))
}

/// Goes to `found` for what passes up; for anything else goes on, or to `other`.
fn find_upward(a: &mut Assembler, upward: Upward, found: Label, other: Label) {
    a.push(op::LDH, 12);
    a.jump_if(op::JEQ, u32::from(SLOW_PROTOCOLS), found);
    if upward == Upward::MicroBfdToo {
        ports(a, UDP, other);
        a.push(op::LDH_IND, 2);
        a.jump_if(op::JEQ, MICRO_BFD, found);
    }
}

/// A socket filter that keeps LACP and markers, and nothing else.
pub fn slow_protocols() -> Program {
    let mut a = Assembler::new();
    let (found, other) = (a.label(), a.label());
    find_upward(&mut a, Upward::SlowProtocols, found, other);
    end(a, (other, 0), (found, u32::MAX))
}

/// A socket filter that keeps the first `keep` bytes of data: what an end sends on a member because its LAG has it distribute.
///
/// What a link may carry before is no data: frames to group addresses that no bridge forwards (IEEE 802.1Q, table 8-1: LACP, LLDP,
/// 802.1X …), frames with a length instead of a type (CDP, spanning tree, IS-IS), Ethernet loopback, BFD on the member
/// (RFC 7130), and what a host sends to groups of the link alone on whatever interface is up (IGMP, MLD, router solicitations,
/// duplicate address detection). That somebody's address is asked for (ARP, ND) is data.
pub fn data(keep: u32) -> Program {
    let mut a = Assembler::new();
    let (found, other) = (a.label(), a.label());
    a.push(op::LDH, 12);
    a.jump_unless(op::JGE, SMALLEST_ETHERTYPE, other);
    for kind in [u32::from(SLOW_PROTOCOLS), LLDP, LOOPBACK] {
        a.jump_if(op::JEQ, kind, other);
    }
    let (no_bridge, no_group, no_micro) = (a.label(), a.label(), a.label());
    a.push(op::LD, 0);
    a.jump_unless(op::JEQ, 0x0180_c200, no_bridge);
    a.push(op::LDH, 4);
    a.jump_unless(op::JGT, 0x000f, other);
    a.place(no_bridge);
    a.push(op::LD, 0);
    a.jump_unless(op::JEQ, 0x0100_5e00, no_group);
    // 224.0.0.0/24
    a.push(op::LDB, 4);
    a.jump_if(op::JEQ, 0, other);
    a.place(no_group);
    ports(&mut a, UDP, no_micro);
    a.push(op::LDH_IND, 2);
    a.jump_if(op::JEQ, MICRO_BFD, other);
    a.place(no_micro);
    a.push(op::LDH, 12);
    a.jump_unless(op::JEQ, IPV6, found);
    has_length(&mut a, 55, found);
    a.push(op::LDH, 38);
    a.jump_unless(op::JEQ, 0xff02, found);
    a.push(op::LDB, 20);
    a.jump_unless(op::JEQ, ICMPV6, other);
    a.push(op::LDB, 54);
    a.jump_unless(op::JEQ, NEIGHBOUR_SOLICITATION, other);
    // From the unspecified address it is duplicate address detection (RFC 4862, section 5.4.2).
    a.push(op::LD, 22);
    a.jump_if(op::JEQ, 0, other);
    a.jump(found);
    end(a, (other, 0), (found, keep))
}

/// A socket filter that keeps the first `keep` bytes of UDP packets to one of the ports `low..=high`.
pub fn udp_to_ports(low: u16, high: u16, keep: u32) -> Program {
    let mut a = Assembler::new();
    let (found, other) = (a.label(), a.label());
    ports(&mut a, UDP, other);
    a.push(op::LDH_IND, 2);
    a.jump_unless(op::JGE, u32::from(low), other);
    a.jump_if(op::JGT, u32::from(high), other);
    a.jump(found);
    end(a, (other, 0), (found, keep))
}

/// A `cls_bpf` program that matches the flows of these buckets (see [`spread`]).
///
/// With all buckets it matches every frame.
pub fn flow_buckets(buckets: &Buckets) -> Program {
    let mut a = Assembler::new();
    let (found, other) = (a.label(), a.label());
    if *buckets == spread::sets(&[true])[0] {
        a.jump(found);
    } else {
        let (ipv6, no_ip, reduce) = (a.label(), a.label(), a.label());
        a.push(op::LD_IMM, 0);
        a.push(op::ST, PORTS);
        a.push(op::LDH, 12);
        a.jump_if(op::JEQ, IPV6, ipv6);
        a.jump_unless(op::JEQ, IPV4, no_ip);

        let words = a.label();
        has_length(&mut a, 34, no_ip);
        ipv4_ports(&mut a, &[TCP, UDP], words);
        a.push(op::LD_IND, 0);
        a.push(op::ST, PORTS);
        a.place(words);
        mix(&mut a, &[(op::LD, 26), (op::LD, 30), (op::LDB, 23)]);
        a.jump(reduce);

        let words = a.label();
        a.place(ipv6);
        has_length(&mut a, 54, no_ip);
        ipv6_ports(&mut a, &[TCP, UDP], words);
        a.push(op::LD_IND, 0);
        a.push(op::ST, PORTS);
        a.place(words);
        let addresses = (22..54).step_by(4).map(|offset| (op::LD, offset));
        mix(
            &mut a,
            &addresses.chain([(op::LDB, 20)]).collect::<Vec<_>>(),
        );
        a.jump(reduce);

        a.place(no_ip);
        a.push(op::LD_IMM, 0);
        a.place(reduce);
        a.push(op::MOD, spread::BUCKETS as u32);
        a.push(op::ST, BUCKET);
        a.push(op::AND, 31);
        a.push(op::TAX, 0);
        a.push(op::LD_MEM, BUCKET);
        a.push(op::RSH, 5);
        let bit = a.label();
        word_of(&mut a, buckets, 0, bit);
        a.place(bit);
        a.push(op::RSH_X, 0);
        a.jump_if(op::JSET, 1, found);
        a.jump(other);
    }
    end(a, (other, verdict::NO_MATCH), (found, verdict::MATCH))
}

/// Makes A the word of a set that A is the number of, and goes to `done`; the first of these words has this number.
fn word_of(a: &mut Assembler, words: &[u32], first: u32, done: Label) {
    if let [word] = words {
        a.push(op::LD_IMM, *word);
        a.jump(done);
        return;
    }
    let (below, above) = words.split_at(words.len() / 2);
    let (upper, middle) = (a.label(), first + below.len() as u32);
    a.jump_if(op::JGE, middle, upper);
    word_of(a, below, first, done);
    a.place(upper);
    word_of(a, above, middle, done);
}

/// The hash of a frame's flow, as [`flow_buckets`] computes it in the kernel.
///
/// `frame` begins with the destination MAC address.
pub fn flow_hash(frame: &[u8]) -> u32 {
    let byte = |at: usize| u32::from(frame[at]);
    let half = |at: usize| byte(at) << 8 | byte(at + 1);
    let word = |at: usize| half(at) << 16 | half(at + 2);
    let has_ports =
        |protocol: u32, at: usize| (protocol == TCP || protocol == UDP) && frame.len() >= at + 4;
    let ports = |protocol, at| if has_ports(protocol, at) { word(at) } else { 0 };
    match (frame.len() >= 14).then(|| half(12)) {
        Some(IPV4) if frame.len() >= 34 => {
            let transport = 14 + 4 * (byte(14) & 15) as usize;
            let fragment = half(20) & FRAGMENT != 0;
            let ports = if fragment {
                0
            } else {
                ports(byte(23), transport)
            };
            mixed(&[word(26), word(30), byte(23), ports])
        }
        Some(IPV6) if frame.len() >= 54 => {
            let mut words: Vec<u32> = (22..54).step_by(4).map(word).collect();
            words.extend([byte(20), ports(byte(20), 54)]);
            mixed(&words)
        }
        _ => 0,
    }
}

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;
const TCP: u32 = 6;
const UDP: u32 = 17;
const ICMPV6: u32 = 58;
/// ICMPv6 type (RFC 4861, section 4.3).
const NEIGHBOUR_SOLICITATION: u32 = 135;
/// Less is a length (IEEE 802.3, 3.2.6).
const SMALLEST_ETHERTYPE: u32 = 0x0600;
const LLDP: u32 = 0x88cc;
/// Configuration testing, with which some switches see whether a link is there.
const LOOPBACK: u32 = 0x9000;
/// Where BFD on members is sent to (RFC 7130, section 2.2).
const MICRO_BFD: u32 = 6784;
/// More fragments, or a fragment offset that is not 0 (RFC 791).
const FRAGMENT: u32 = 0x3fff;
/// 2^32 divided by the golden ratio: neighbouring ports and addresses end up far apart.
const GOLDEN: u32 = 0x9e37_79b1;
/// Where [`flow_buckets`] keeps both ports, or 0.
const PORTS: u32 = 0;
/// Where it keeps the flow's bucket.
const BUCKET: u32 = 1;

/// Goes to `shorter` unless the frame has `length` bytes.
fn has_length(a: &mut Assembler, length: u32, shorter: Label) {
    a.push(op::LD_LEN, 0);
    a.jump_unless(op::JGE, length, shorter);
}

/// Makes X the offset of the ports of a packet of `protocol`, IPv4 or IPv6; goes to `none` when it has none.
fn ports(a: &mut Assembler, protocol: u32, none: Label) {
    let (ipv6, done) = (a.label(), a.label());
    a.push(op::LDH, 12);
    a.jump_if(op::JEQ, IPV6, ipv6);
    a.jump_unless(op::JEQ, IPV4, none);
    has_length(a, 34, none);
    ipv4_ports(a, &[protocol], none);
    a.jump(done);
    a.place(ipv6);
    has_length(a, 54, none);
    ipv6_ports(a, &[protocol], none);
    a.place(done);
}

/// Makes X the offset of the ports of an IPv4 packet of one of the protocols; goes to `none` when it has none.
fn ipv4_ports(a: &mut Assembler, protocols: &[u32], none: Label) {
    let found = a.label();
    a.push(op::LDH, 20);
    a.jump_if(op::JSET, FRAGMENT, none);
    a.push(op::LDB, 23);
    for protocol in protocols {
        a.jump_if(op::JEQ, *protocol, found);
    }
    a.jump(none);
    a.place(found);
    // The end of the ports must lie inside the frame before they are looked at.
    for past_header in [18, 14] {
        a.push(op::LDX_MSH, 14);
        a.push(op::TXA, 0);
        a.push(op::ADD, past_header);
        a.push(op::TAX, 0);
        if past_header == 18 {
            a.push(op::LD_LEN, 0);
            a.jump_unless(op::JGE_X, 0, none);
        }
    }
}

/// Makes X the offset of the ports of an IPv6 packet of one of the protocols; goes to `none` when it has none.
fn ipv6_ports(a: &mut Assembler, protocols: &[u32], none: Label) {
    let found = a.label();
    a.push(op::LDB, 20);
    for protocol in protocols {
        a.jump_if(op::JEQ, *protocol, found);
    }
    a.jump(none);
    a.place(found);
    has_length(a, 58, none);
    a.push(op::LDX_IMM, 54);
}

/// Leaves in A the words and the ports mixed, as [`mixed`] does.
fn mix(a: &mut Assembler, words: &[(u16, u32)]) {
    a.push(op::LDX_IMM, 0);
    for (load, at) in words.iter().chain(&[(op::LD_MEM, PORTS)]) {
        a.push(*load, *at);
        a.push(op::XOR_X, 0);
        a.push(op::MUL, GOLDEN);
        a.push(op::TAX, 0);
        a.push(op::RSH, 15);
        a.push(op::XOR_X, 0);
        a.push(op::TAX, 0);
    }
    a.push(op::MUL, GOLDEN);
    a.push(op::RSH, 16);
}

/// Folds words into 16 bits, each of which depends on every bit of the words.
///
/// A product carries a bit only upwards: the shift brings it down again for the next round, and the high half of
/// the last product is the one that all bits have reached.
pub(crate) fn mixed(words: &[u32]) -> u32 {
    let folded = words.iter().fold(0, |hash, word| {
        let product = (hash ^ word).wrapping_mul(GOLDEN);
        product ^ (product >> 15)
    });
    folded.wrapping_mul(GOLDEN) >> 16
}

/// Ends a program: `other` and what comes before it return the first value, `found` the second.
fn end(mut a: Assembler, other: (Label, u32), found: (Label, u32)) -> Program {
    for (label, value) in [other, found] {
        a.place(label);
        a.push(op::RET, value);
    }
    a.finish()
}

#[cfg(test)]
mod tests;
