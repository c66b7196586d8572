//! The programs against an interpreter, and the flow hash against its description.

use proptest::prelude::*;

use super::*;
use crate::kernel::bpf::Instruction;

/// Runs a program over a frame as the kernel does; a load outside the frame is a fault of the program.
fn run(program: &Program, frame: &[u8]) -> u32 {
    let (mut a, mut x, mut memory, mut at) = (0_u32, 0_u32, [0_u32; 16], 0_usize);
    let load = |at: u32, size: usize| {
        let at = at as usize;
        let bytes = frame
            .get(at..at + size)
            .expect("a load lies inside the frame");
        bytes
            .iter()
            .fold(0, |value, byte| value << 8 | u32::from(*byte))
    };
    loop {
        let Instruction { code, jt, jf, k } = program.instructions()[at];
        at += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            op::LD_IMM => a = k,
            op::LD_LEN => a = frame.len() as u32,
            op::LD if k == op::RANDOM => a = 1 << 31,
            op::LD => a = load(k, 4),
            op::LDH => a = load(k, 2),
            op::LDB => a = load(k, 1),
            op::LD_IND => a = load(x + k, 4),
            op::LDH_IND => a = load(x + k, 2),
            op::LD_MEM => a = memory[k as usize],
            op::LDX_IMM => x = k,
            op::LDX_MSH => x = 4 * (load(k, 1) & 15),
            op::ST => memory[k as usize] = a,
            op::ADD => a = a.wrapping_add(k),
            op::MUL => a = a.wrapping_mul(k),
            op::MOD => a %= k,
            op::RSH => a >>= k,
            op::RSH_X => a >>= x,
            op::AND => a &= k,
            op::XOR_X => a ^= x,
            op::TAX => x = a,
            op::TXA => a = x,
            op::JA => at += k as usize,
            op::JEQ => branch(a == k),
            op::JGT => branch(a > k),
            op::JGE => branch(a >= k),
            op::JGE_X => branch(a >= x),
            op::JSET => branch(a & k != 0),
            op::RET => return k,
            other => panic!("unknown operation {other:#x}"),
        }
    }
}

/// An Ethernet frame of a type.
fn frame(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [
        &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..],
        &ethertype.to_be_bytes(),
        payload,
    ]
    .concat()
}

/// An IPv4 packet with `options` words of options.
fn ipv4(options: u8, fragment: u16, protocol: u8, source: [u8; 4], transport: &[u8]) -> Vec<u8> {
    let [high, low] = fragment.to_be_bytes();
    let mut packet = vec![0x45 + options, 0, 0, 0, 0, 0, high, low, 64, protocol, 0, 0];
    packet.extend(source);
    packet.extend([198, 51, 100, 10]);
    packet.extend(vec![1; 4 * usize::from(options)]);
    packet.extend(transport);
    frame(0x0800, &packet)
}

/// An IPv6 packet without extension headers, but for what `next_header` says.
fn ipv6(next_header: u8, transport: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, next_header, 64];
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    packet.extend(transport);
    frame(0x86dd, &packet)
}

/// The first eight bytes of UDP or TCP.
fn to_ports(source: u16, destination: u16) -> Vec<u8> {
    [
        &source.to_be_bytes()[..],
        &destination.to_be_bytes(),
        &[0, 8, 0, 0],
    ]
    .concat()
}

const TEAMS: [u8; 4] = [192, 0, 2, 1];

/// Frames as they come: any bytes, and well-formed headers of every kind with a random end.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    let kind = prop::sample::select(vec![0x0800_u16, 0x86dd, 0x0806, SLOW_PROTOCOLS]);
    let protocol = prop::sample::select(vec![6_u8, 17, 1, 44]);
    let fragment = prop::sample::select(vec![0_u16, 0x4000, 0x2000, 0x00b9]);
    prop_oneof![
        (kind, prop::collection::vec(any::<u8>(), 0..80))
            .prop_map(|(kind, body)| frame(kind, &body)),
        (
            0..10_u8,
            fragment,
            protocol.clone(),
            any::<[u8; 4]>(),
            bytes.clone()
        )
            .prop_map(|(options, fragment, protocol, source, body)| ipv4(
                options, fragment, protocol, source, &body
            )),
        (protocol, bytes).prop_map(|(protocol, body)| ipv6(protocol, &body)),
    ]
}

proptest! {
    #[test]
    fn exactly_one_member_takes_a_frame_and_it_is_the_predicted_one(
        frame in any_frame(),
        there in prop::collection::vec(any::<bool>(), 1..=8),
    ) {
        let sets = spread::sets(&there);
        let takes: Vec<usize> = (0..there.len())
            .filter(|n| run(&flow_buckets(&sets[*n]), &frame) == verdict::MATCH)
            .collect();
        let predicted = spread::member(flow_hash(&frame), &there);
        prop_assert_eq!(takes, predicted.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn every_program_is_total(frame in any_frame()) {
        for pattern in [Pattern::Everything, Pattern::Lacp, Pattern::Bfd, Pattern::Bgp, Pattern::Random(10)] {
            let value = run(&drop_pattern(pattern), &frame);
            prop_assert!([verdict::UNSPEC, verdict::SHOT].contains(&value));
        }
        run(&udp_to_ports(1, 2, 64), &frame);
        run(&data(64), &frame);
    }
}

#[test]
fn flows_differ_by_ports_addresses_and_protocol_and_spread() {
    let of = |source: u16| flow_hash(&ipv4(0, 0, 17, TEAMS, &to_ports(source, 50_000)));
    for shares in 2..=8 {
        let mut taken = vec![0; shares as usize];
        let member = |flow: u16| spread::member(of(40_000 + flow), &vec![true; shares as usize]);
        (0..1600).for_each(|flow| taken[member(flow).expect("members")] += 1);
        let fair = 1600 / shares;
        assert!(
            taken
                .iter()
                .all(|share| (fair * 8 / 10..=fair * 12 / 10).contains(share)),
            "{shares} shares: {taken:?}"
        );
    }
    let udp = flow_hash(&ipv4(0, 0, 17, TEAMS, &to_ports(1, 2)));
    assert_ne!(udp, flow_hash(&ipv4(0, 0, 6, TEAMS, &to_ports(1, 2))));
    assert_ne!(
        udp,
        flow_hash(&ipv4(0, 0, 17, [192, 0, 2, 3], &to_ports(1, 2)))
    );
}

#[test]
fn fragments_of_a_packet_stay_together() {
    let first = ipv4(0, 0x2000, 17, TEAMS, &to_ports(1, 2));
    let second = ipv4(0, 0x00b9, 17, TEAMS, &[9; 30]);
    assert_eq!(flow_hash(&first), flow_hash(&second));
    assert_ne!(
        flow_hash(&first),
        flow_hash(&ipv4(0, 0, 17, TEAMS, &to_ports(1, 2)))
    );
}

#[test]
fn ports_are_found_behind_ip_options() {
    let plain = flow_hash(&ipv4(0, 0, 17, TEAMS, &to_ports(1, 2)));
    assert_eq!(plain, flow_hash(&ipv4(10, 0, 17, TEAMS, &to_ports(1, 2))));
}

#[test]
fn each_pattern_finds_its_protocol_and_nothing_else() {
    let lacp = frame(SLOW_PROTOCOLS, &[1; 110]);
    let bfd = ipv4(0, 0, 17, TEAMS, &to_ports(49_152, 3784));
    let bfd6 = ipv6(17, &to_ports(49_152, 3784));
    let echo = ipv4(1, 0, 17, TEAMS, &to_ports(49_152, 3785));
    let bgp = ipv4(0, 0, 6, TEAMS, &to_ports(33_000, 179));
    let bgp6 = ipv6(6, &to_ports(179, 33_000));
    let voice = ipv4(0, 0, 17, TEAMS, &to_ports(3784, 50_000));
    let udp179 = ipv4(0, 0, 17, TEAMS, &to_ports(179, 179));
    let arp = frame(0x0806, &[0; 28]);
    let all = [
        &lacp, &bfd, &bfd6, &echo, &bgp, &bgp6, &voice, &udp179, &arp,
    ];
    let dropped = |pattern| {
        let program = drop_pattern(pattern);
        let mut found = vec![];
        for frame in all {
            if run(&program, frame) == verdict::SHOT {
                found.push(frame);
            }
        }
        found
    };
    assert_eq!(dropped(Pattern::Lacp), [&lacp]);
    assert_eq!(dropped(Pattern::Bfd), [&bfd, &bfd6, &echo]);
    assert_eq!(dropped(Pattern::Bgp), [&bgp, &bgp6]);
    assert_eq!(dropped(Pattern::Everything).len(), all.len());
    // The test's random number is one half of the range.
    assert_eq!(dropped(Pattern::Random(500_001)).len(), all.len());
    assert_eq!(dropped(Pattern::Random(499_999)).len(), 0);
    assert_eq!(dropped(Pattern::Random(1_000_000)).len(), all.len());
}

#[test]
fn a_member_passes_up_lacp_and_nothing_else() {
    let lacp = frame(SLOW_PROTOCOLS, &[1; 110]);
    let arp = frame(0x0806, &[0; 28]);
    assert_eq!(run(&only_up(Upward::SlowProtocols), &lacp), verdict::OK);
    assert_eq!(run(&only_up(Upward::SlowProtocols), &arp), verdict::SHOT);
    assert_eq!(
        run(&all_but(Upward::SlowProtocols), &lacp),
        verdict::NO_MATCH
    );
    assert_eq!(run(&all_but(Upward::SlowProtocols), &arp), verdict::MATCH);
}

#[test]
fn bfd_on_a_member_passes_up_where_there_is_any() {
    let bfd = |port| ipv4(0, 0, 17, TEAMS, &to_ports(49152, port));
    let lacp = frame(SLOW_PROTOCOLS, &[1; 110]);
    let arp = frame(0x0806, &[0; 28]);
    for (frame, up) in [
        (bfd(6784), true),
        (lacp, true),
        (bfd(3784), false),
        (arp, false),
        (ipv4(0, 0, 6, TEAMS, &to_ports(49152, 6784)), false),
    ] {
        let (passed, handed_on) = match up {
            true => (verdict::OK, verdict::NO_MATCH),
            false => (verdict::SHOT, verdict::MATCH),
        };
        assert_eq!(run(&only_up(Upward::MicroBfdToo), &frame), passed);
        assert_eq!(run(&all_but(Upward::MicroBfdToo), &frame), handed_on);
    }
    assert_eq!(
        run(&only_up(Upward::SlowProtocols), &bfd(6784)),
        verdict::SHOT
    );
}

#[test]
fn a_tap_sees_the_probe_ports() {
    let program = udp_to_ports(50_000, 50_001, 64);
    let seen = |port| run(&program, &ipv4(0, 0, 17, TEAMS, &to_ports(1, port)));
    assert_eq!([49_999, 50_000, 50_001, 50_002].map(seen), [0, 64, 64, 0]);
}

#[test]
fn a_program_prints_like_tcpdump() {
    let text = only_up(Upward::SlowProtocols).to_string();
    insta::assert_snapshot!(text, @r"
    (000) ldh      [12]
    (001) jeq      #0x8809         jt 3 jf 2
    (002) ret      #0x2
    (003) ret      #0x0
    ");
}

#[test]
fn data_is_what_only_a_member_that_distributes_carries() {
    let to = |address: [u8; 6], mut frame: Vec<u8>| {
        frame[..6].copy_from_slice(&address);
        frame
    };
    // An ICMPv6 message to a group of the link.
    let icmp = |source: u8, kind: u8| {
        let mut packet = ipv6(58, &[kind, 0, 0, 0]);
        packet[22..38].fill(source);
        packet[38..40].copy_from_slice(&[0xff, 2]);
        to([0x33, 0x33, 0, 0, 0, 2], packet)
    };
    let mld = {
        let mut packet = ipv6(0, &[58, 0, 5, 2, 0, 0, 1, 0, 143]);
        packet[38..40].copy_from_slice(&[0xff, 2]);
        packet
    };
    let udp = |port| ipv4(0, 0, 17, TEAMS, &to_ports(49_152, port));
    let eapol = to([1, 0x80, 0xc2, 0, 0, 3], frame(0x888e, &[0; 46]));
    let beyond = to([1, 0x80, 0xc2, 0, 0, 0x10], frame(0x888e, &[0; 46]));
    let of_the_link = [1, 0, 0x5e, 0, 0, 1];
    let table = [
        ("LACP", frame(SLOW_PROTOCOLS, &[1; 110]), false),
        ("LLDP", frame(0x88cc, &[0; 46]), false),
        ("loopback", frame(0x9000, &[0; 46]), false),
        ("CDP, with a length", frame(0x0100, &[0; 256]), false),
        ("802.1X", eapol, false),
        ("a group that is bridged", beyond, true),
        ("BFD on members", udp(6784), false),
        (
            "BFD on members, IPv6",
            ipv6(17, &to_ports(49_152, 6784)),
            false,
        ),
        ("BFD over the LAG", udp(3784), true),
        (
            "IGMP",
            to(of_the_link, ipv4(0, 0, 2, TEAMS, &[0; 8])),
            false,
        ),
        ("another group", to([1, 0, 0x5e, 0, 1, 1], udp(9)), true),
        ("ARP", frame(0x0806, &[0; 28]), true),
        ("router solicitation", icmp(0xfe, 133), false),
        ("duplicate address detection", icmp(0, 135), false),
        ("neighbour solicitation", icmp(0xfe, 135), true),
        ("MLD", mld, false),
        ("IPv4", ipv4(0, 0, 6, TEAMS, &to_ports(1, 2)), true),
        ("IPv6", ipv6(6, &to_ports(1, 2)), true),
        ("a headless IPv6", frame(0x86dd, &[0; 10]), true),
        ("something else", frame(0x88b5, &[0; 46]), true),
    ];
    for (name, frame, is) in table {
        let kept = run(&data(64), &frame);
        assert_eq!(kept, if is { 64 } else { 0 }, "{name}");
    }
}
