//! LAG data path, cable faults and protocol sockets in a real kernel.
//!
//! Every test makes two routers and two line cards in namespaces of their own, joined by 2 to 8 members:
//! `lag` (router) ↔ `h` (line card) · m1 … mN ↔ m1 … mN · `h` ↔ `lag`.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use peerlab::kernel::bpf::programs::{Pattern, flow_hash, udp_to_ports};
use peerlab::kernel::filter::{DataPath, Direction, Fault, clear_faults, queue_clsact, set_faults};
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::kernel::socket::{
    Reach, Received, SLOW_PROTOCOLS_ADDRESS, Socket, bgp_connect, bgp_listen,
};
use peerlab::kernel::spread;
use peerlab::time::Clock;

mod bed;
use bed::{expect, ip, path, run, wait_until_up};

#[path = "filter/faults.rs"]
mod faults;

fn main() -> ExitCode {
    let trials = vec![
        Trial::test("flows_take_the_predicted_member", predicted_member),
        Trial::test("ping_passes_both_families", ping_passes),
        Trial::test(
            "changing_members_under_load_loses_nothing",
            changing_under_load,
        ),
        Trial::test("a_refused_change_changes_nothing", refused_change),
        Trial::test("closed_passes_lacp_alone", closed_passes_lacp_alone),
        Trial::test(
            "collecting_and_distributing_apart",
            collecting_and_distributing,
        ),
        Trial::test("a_member_that_comes_back_is_heard", member_comes_back),
        Trial::test("each_fault_drops_its_protocol_one_way", faults::each_fault),
        Trial::test("an_end_is_silent_apart_from_its_cable", faults::own_lacp),
        Trial::test("random_loss_is_near_its_share", faults::random_loss),
        Trial::test("bfd_sockets_carry_ttl_and_port", bfd_sockets),
        Trial::test("a_tap_sees_both_directions", tap_sees_both_directions),
    ];
    bed::play(|| trials, None)
}

/// One end of the LAG.
struct End {
    router: Namespace,
    card: Namespace,
    netlink: Netlink,
    path: DataPath,
    members: Vec<u32>,
}

/// Both ends; `left` plays Microsoft.
struct Bed {
    left: End,
    right: End,
}

const LEFT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const RIGHT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const LEFT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const RIGHT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

impl Bed {
    /// Members up, data path closed.
    fn closed(members: u32) -> Result<Bed, Failed> {
        let (left, right) = (End::namespaces()?, End::namespaces()?);
        for n in 1..=members {
            let far = path(&right.1);
            ip(
                &left.1,
                &format!(
                    "link add m{n} index {} type veth peer name m{n} index {} netns {far}",
                    20 + n,
                    120 + n
                ),
            )?;
        }
        let numbers = |base: u32| (1..=members).map(|n| base + n).collect::<Vec<_>>();
        let bed = Bed {
            left: End::new(left, 10, numbers(20), LEFT.into(), LEFT6.into())?,
            right: End::new(right, 110, numbers(120), RIGHT.into(), RIGHT6.into())?,
        };
        for end in [&bed.left, &bed.right] {
            wait_until_up(&end.router)?;
            wait_until_up(&end.card)?;
        }
        Ok(bed)
    }

    /// All members collect and distribute.
    fn open(members: u32) -> Result<Bed, Failed> {
        let mut bed = Bed::closed(members)?;
        for end in [&mut bed.left, &mut bed.right] {
            let members = end.members.clone();
            end.set(&members, &members)?;
        }
        Ok(bed)
    }
}

impl End {
    fn namespaces() -> Result<(Namespace, Namespace), Failed> {
        Ok((Namespace::new()?, Namespace::new()?))
    }

    fn new(
        (router, card): (Namespace, Namespace),
        index: u32,
        members: Vec<u32>,
        address: IpAddr,
        address6: IpAddr,
    ) -> Result<End, Failed> {
        let hidden = index + 1;
        let far = path(&card);
        ip(
            &router,
            &format!(
                "link add lag index {index} type veth peer name hidden index {hidden} netns {far}"
            ),
        )?;
        ip(&router, &format!("addr add {address}/24 dev lag"))?;
        ip(&router, &format!("addr add {address6}/64 dev lag nodad"))?;
        ip(&router, "link set lag up")?;
        ip(&card, "link set hidden up")?;
        let mut netlink = Netlink::open_in(&card)?;
        queue_clsact(&mut netlink, hidden);
        for (n, member) in members.iter().enumerate() {
            ip(&card, &format!("link set m{} up", n + 1))?;
            queue_clsact(&mut netlink, *member);
        }
        netlink.commit()?;
        let path = DataPath::close(&mut netlink, hidden, &members)?;
        Ok(End {
            router,
            card,
            netlink,
            path,

            members,
        })
    }

    fn set(&mut self, distributing: &[u32], collecting: &[u32]) -> Result<(), Failed> {
        Ok(self.path.set(&mut self.netlink, distributing, collecting)?)
    }

    fn udp(&self, address: IpAddr, port: u16) -> Result<UdpSocket, Failed> {
        let socket = self.router.run(|| UdpSocket::bind((address, port)))??;
        socket.set_read_timeout(Some(SOON))?;
        Ok(socket)
    }

    fn lacp(&self, member: usize) -> Result<Socket, Failed> {
        let member = self.members[member];
        Ok(self.card.run(|| Socket::slow_protocols(member))??)
    }
}

/// Longer than anything that arrives takes, and what an absence is waited for.
const SOON: Duration = Duration::from_millis(100);

/// Waits for one datagram of a probe socket.
fn receive(socket: &Socket, buffer: &mut [u8]) -> Result<Option<Received>, Failed> {
    let clock = Clock::start();
    let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut ready, PollTimeout::try_from(SOON)?)?;
    Ok(socket.receive(&clock, buffer)?)
}

/// Whether a datagram gets from one socket to the other; waits for the answer of the neighbour discovery too.
fn passes(from: &UdpSocket, to: &UdpSocket) -> Result<bool, Failed> {
    from.send_to(b"passes", to.local_addr()?)?;
    match to.recv(&mut [0; 16]) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// 64 flows of each family; every member's tap must see exactly the flows of its share.
fn predicted_member() -> Result<(), Failed> {
    for members in 2..=8 {
        let bed = Bed::open(members)?;
        let clock = Clock::start();
        let filter = udp_to_ports(50_000, 50_000, 256);
        let tap = |member: &u32| bed.left.card.run(|| Socket::tap(*member, &filter));
        let taps = bed
            .left
            .members
            .iter()
            .map(|m| Ok(tap(m)??))
            .collect::<Result<Vec<_>, Failed>>()?;
        let pairs = [(LEFT.into(), RIGHT.into()), (LEFT6.into(), RIGHT6.into())];
        for (here, there) in pairs as [(IpAddr, IpAddr); 2] {
            let receiver = bed.right.udp(there, 50_000)?;
            for flow in 0..64 {
                let sender = bed.left.udp(here, 40_000 + flow)?;
                expect("delivered", passes(&sender, &receiver)?, true)?;
            }
        }
        let mut seen = 0;
        for (share, tap) in taps.iter().enumerate() {
            let mut frame = [0; 256];
            let mut of_this_member = 0;
            while let Some(received) = tap.receive(&clock, &mut frame)? {
                let hash = flow_hash(&frame[..received.length]);
                let predicted = spread::member(hash, &vec![true; members as usize]);
                expect("predicted member", predicted, Some(share))?;
                of_this_member += 1;
            }
            if of_this_member == 0 {
                return Err(format!("{members} members: no flow on member {}", share + 1).into());
            }
            seen += of_this_member;
        }
        expect("frames on the members", seen, 128)?;
    }
    Ok(())
}

fn ping_passes() -> Result<(), Failed> {
    let bed = Bed::open(2)?;
    for address in [IpAddr::from(RIGHT), IpAddr::from(RIGHT6)] {
        let arguments = format!("-q -c 50 -i 0.002 -W 1 -s 1400 {address}");
        let text = run(&bed.left.router, "ping", &arguments)?;
        expect("ping", text.contains(" 0% packet loss"), true)?;
    }
    Ok(())
}

/// Packets of 16 flows, at most 64 at a time on their way, while the members change hundreds of times.
fn changing_under_load() -> Result<(), Failed> {
    const CHANGES: usize = 400;
    let mut bed = Bed::open(4)?;
    let receiver = bed.right.udp(RIGHT.into(), 50_000)?;
    let to: SocketAddr = receiver.local_addr()?;
    let senders = (0..16)
        .map(|flow| bed.left.udp(LEFT.into(), 40_000 + flow))
        .collect::<Result<Vec<_>, _>>()?;
    for sender in &senders {
        expect("delivered before", passes(sender, &receiver)?, true)?;
    }
    let (sent, received, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let changed = thread::scope(|scope| {
        scope.spawn(|| {
            let mut packet = [0; 2048];
            while !done.load(Ordering::SeqCst)
                || received.load(Ordering::SeqCst) < sent.load(Ordering::SeqCst)
            {
                match receiver.recv(&mut packet) {
                    Ok(_) => received.fetch_add(1, Ordering::SeqCst),
                    // Nothing for a while after the end: the rest is lost.
                    Err(_) if done.load(Ordering::SeqCst) => break,
                    Err(_) => continue,
                };
            }
        });
        scope.spawn(|| {
            for sender in senders.iter().cycle() {
                if done.load(Ordering::SeqCst) {
                    break;
                }
                let on_the_way = sent.load(Ordering::SeqCst) - received.load(Ordering::SeqCst);
                if on_the_way < 64 && sender.send_to(&[0; 200], to).is_ok() {
                    sent.fetch_add(1, Ordering::SeqCst);
                } else {
                    thread::yield_now();
                }
            }
        });
        let members = bed.left.members.clone();
        let sets = [
            &members[..],
            &members[1..],
            &members[..1],
            &members[2..],
            &members[..3],
        ];
        let changes = (0..CHANGES).map(|n| {
            // Some traffic between one change and the next.
            let before = received.load(Ordering::SeqCst);
            let deadline = Instant::now() + Duration::from_secs(5);
            while received.load(Ordering::SeqCst) < before + 20 {
                if Instant::now() > deadline {
                    return Err(Failed::from("traffic stopped"));
                }
                thread::yield_now();
            }
            let distributing = sets[n % sets.len()];
            bed.left
                .path
                .set(&mut bed.left.netlink, distributing, &members)?;
            Ok(())
        });
        let changed = changes.collect::<Result<Vec<()>, Failed>>();
        done.store(true, Ordering::SeqCst);
        changed
    });
    changed?;
    expect("packets received", received.into_inner(), sent.into_inner())
}

fn lacp_frame() -> Vec<u8> {
    let mut frame = SLOW_PROTOCOLS_ADDRESS.to_vec();
    frame.extend([2, 0, 0, 0, 0, 9, 0x88, 0x09, 1, 1]);
    frame.resize(124, 7);
    frame
}

/// Whether a Slow Protocols frame gets from one socket to the other, unchanged.
fn lacp_passes(from: &Socket, to: &Socket) -> Result<bool, Failed> {
    from.send(&lacp_frame())?;
    let mut buffer = [0; 256];
    let Some(received) = receive(to, &mut buffer)? else {
        return Ok(false);
    };
    expect("the frame", &buffer[..received.length], &lacp_frame()[..])?;
    expect("an incoming frame", received.outgoing, false)?;
    Ok(true)
}

fn closed_passes_lacp_alone() -> Result<(), Failed> {
    let bed = Bed::closed(2)?;
    let (ours, theirs) = (bed.left.lacp(1)?, bed.right.lacp(1)?);
    expect("lacp", lacp_passes(&ours, &theirs)?, true)?;
    expect("lacp back", lacp_passes(&theirs, &ours)?, true)?;
    // A sender hears nothing of its own frame, nor does another member.
    expect("echo", receive(&theirs, &mut [0; 256])?, None)?;
    let other = bed.left.lacp(0)?;
    theirs.send(&lacp_frame())?;
    expect("other member", receive(&other, &mut [0; 256])?, None)?;
    let (sender, receiver) = (
        bed.left.udp(LEFT.into(), 1)?,
        bed.right.udp(RIGHT.into(), 2)?,
    );
    expect("traffic", passes(&sender, &receiver)?, false)
}

fn collecting_and_distributing() -> Result<(), Failed> {
    let mut bed = Bed::open(2)?;
    let members = bed.left.members.clone();
    let (here, there) = (
        bed.left.udp(LEFT.into(), 40_001)?,
        bed.right.udp(RIGHT.into(), 40_001)?,
    );
    expect("to the right", passes(&here, &there)?, true)?;
    expect("to the left", passes(&there, &here)?, true)?;
    bed.left.set(&[], &members)?;
    expect(
        "to the right, not distributing",
        passes(&here, &there)?,
        false,
    )?;
    expect("to the left, collecting", passes(&there, &here)?, true)?;
    bed.left.set(&members, &[])?;
    expect("to the right, distributing", passes(&here, &there)?, true)?;
    expect("to the left, not collecting", passes(&there, &here)?, false)?;
    bed.left.set(&members, &members)?;
    bed.left.set(&members, &members)?;
    expect(
        "to the left, collecting again",
        passes(&there, &here)?,
        true,
    )?;
    let text = run(&bed.left.card, "tc", "filter show dev hidden ingress")?;
    expect(
        "filters that redirect",
        text.matches("Egress Redirect").count(),
        2,
    )
}

/// A member that is not there is refused by the kernel; what was there before goes on, and nothing is left behind.
fn refused_change() -> Result<(), Failed> {
    let mut bed = Bed::open(2)?;
    let members = bed.left.members.clone();
    let (here, there) = (
        bed.left.udp(LEFT.into(), 40_001)?,
        bed.right.udp(RIGHT.into(), 40_001)?,
    );
    let filters = |bed: &Bed| run(&bed.left.card, "tc", "filter show dev hidden ingress");
    bed.left.set(&members[..1], &members)?;
    expect("before", passes(&here, &there)?, true)?;
    let before = filters(&bed)?;
    ip(&bed.left.card, "link delete m2")?;
    expect("refused", bed.left.set(&members, &members).is_err(), true)?;
    expect("filters", filters(&bed)?, before)?;
    expect("after", passes(&here, &there)?, true)
}

/// A packet socket hears again when its link comes back, though it was told of the loss.
fn member_comes_back() -> Result<(), Failed> {
    let bed = Bed::closed(1)?;
    let (ours, theirs) = (bed.left.lacp(0)?, bed.right.lacp(0)?);
    expect("before", lacp_passes(&theirs, &ours)?, true)?;
    ip(&bed.left.card, "link set m1 down")?;
    expect("link down", receive(&ours, &mut [0; 256])?, None)?;
    let refused = ours
        .send(&lacp_frame())
        .map_err(|error| error.raw_os_error());
    expect("sending", refused, Err(Some(libc::ENETDOWN)))?;
    ip(&bed.left.card, "link set m1 up")?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !lacp_passes(&theirs, &ours)? {
        if Instant::now() > deadline {
            return Err("nothing is heard".into());
        }
    }
    Ok(())
}

fn bfd_sockets() -> Result<(), Failed> {
    let bed = Bed::open(1)?;
    for (here, there) in [
        (IpAddr::from(LEFT), IpAddr::from(RIGHT)),
        (LEFT6.into(), RIGHT6.into()),
    ] {
        let receiver = bed
            .right
            .router
            .run(|| Socket::bfd_receive(there, Some("lag")))??;
        let first = bed
            .left
            .router
            .run(|| Socket::bfd_send(here, Some("lag"), 16_383))??;
        let second = bed
            .left
            .router
            .run(|| Socket::bfd_send(here, Some("lag"), 16_383))??;
        expect(
            "ports",
            [&first, &second].map(|s| s.local_address().map(|a| a.port())),
            [Some(65_535), Some(49_152)],
        )?;
        first.send_to(&[9; 24], (there, 3784).into())?;
        let received = receive(&receiver, &mut [0; 64])?.ok_or("no packet")?;
        expect("length", received.length, 24)?;
        expect("ttl", received.ttl, Some(255))?;
        expect("sender", received.from, Some((here, 65_535).into()))?;
    }
    Ok(())
}

fn tap_sees_both_directions() -> Result<(), Failed> {
    let bed = Bed::open(2)?;
    let clock = Clock::start();
    let tap = bed
        .left
        .router
        .run(|| Socket::tap(10, &udp_to_ports(50_000, 50_001, 128)))??;
    let here = bed.left.udp(LEFT.into(), 50_001)?;
    let there = bed.right.udp(RIGHT.into(), 50_000)?;
    let before = clock.now();
    expect("out", passes(&here, &there)?, true)?;
    expect("in", passes(&there, &here)?, true)?;
    let mut frame = [0; 256];
    let mut directions = BTreeSet::new();
    while let Some(received) = tap.receive(&clock, &mut frame)? {
        directions.insert(received.outgoing);
        expect("payload", &frame[42..received.length], &b"passes"[..])?;
        expect("time", (before..=clock.now()).contains(&received.at), true)?;
    }
    expect("directions", directions, BTreeSet::from([false, true]))
}
