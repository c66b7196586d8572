//! Queues that impair a cable, in a real kernel: the rate on any kernel with tbf, the rest on one with netem (`scripts/uml`).
//!
//! Two namespaces and a cable, `near` ↔ `far`; what leaves `near` is impaired.

use std::net::UdpSocket;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};
use peerlab::kernel::impairment::{self, Queue};
use peerlab::kernel::link::LOOPBACK;
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;

mod bed;
use bed::{expect, ip, path, wait_until_up};

fn main() -> ExitCode {
    let trials = || {
        vec![
            trial("rate_is_kept", rate, rate_of(1)),
            trial("what_is_taken_away_is_gone", taken_away, rate_of(1)),
            trial("delay_is_kept", delay, slow()),
            trial("jitter_spreads", jitter, slow()),
            trial("frames_arrive_twice", duplication, slow()),
            trial("frames_overtake", reordering, slow()),
            trial("damaged_frames_are_dropped", corruption, slow()),
            trial("rate_and_delay_go_together", rate_and_delay, slow()),
            trial("what_the_kernel_lacks_is_named", lacking, Queue::default()),
        ]
    };
    // Times are only worth something when one test runs at a time.
    bed::play(trials, Some(1))
}

type Test = fn(&mut Bed) -> Result<(), Failed>;

/// A test that needs such a queue; where there is none, it says so.
fn trial(name: &str, test: Test, needs: Queue) -> Trial {
    let trial = Trial::test(name, move || test(&mut Bed::new()?));
    match cannot(&needs) {
        Some(why) => trial.with_kind(why).with_ignored_flag(true),
        None => trial,
    }
}

/// Why there can be no such queue here.
fn cannot(queue: &Queue) -> Option<String> {
    let netlink = Namespace::new().map(|place| Netlink::open_in(&place));
    let mut netlink = match netlink {
        Ok(Ok(netlink)) => netlink,
        Ok(Err(error)) => return Some(error.to_string()),
        Err(error) => return Some(error.to_string()),
    };
    let error = impairment::set(&mut netlink, LOOPBACK, queue).err()?;
    let kind = impairment::lacking(&error);
    kind.map(|kind| format!("this kernel has no {kind}"))
}

struct Bed {
    _near: Namespace,
    _far: Namespace,
    netlink: Netlink,
    sender: UdpSocket,
    receiver: UdpSocket,
}

const LINK: u32 = 20;
/// What is waited for at most before a packet counts as lost: longer than any delay here.
const LOST: Duration = Duration::from_millis(500);

impl Bed {
    fn new() -> Result<Bed, Failed> {
        let (near, far) = (Namespace::new()?, Namespace::new()?);
        let there = path(&far);
        ip(
            &near,
            &format!("link add near index {LINK} type veth peer name far index 21 netns {there}"),
        )?;
        ip(&near, "addr add 192.0.2.1/24 dev near")?;
        ip(&far, "addr add 192.0.2.2/24 dev far")?;
        ip(&near, "link set near up")?;
        ip(&far, "link set far up")?;
        wait_until_up(&near)?;
        let sender = near.run(|| UdpSocket::bind("192.0.2.1:0"))??;
        let receiver = far.run(|| UdpSocket::bind("192.0.2.2:7"))??;
        receiver.set_read_timeout(Some(LOST))?;
        let netlink = Netlink::open_in(&near)?;
        let bed = Bed {
            _near: near,
            _far: far,
            netlink,
            sender,
            receiver,
        };
        // The neighbour is discovered, so that nothing waits for that later.
        bed.sender.send_to(&[0], bed.receiver.local_addr()?)?;
        bed.receiver.recv(&mut [0])?;
        Ok(bed)
    }

    fn impair(&mut self, queue: &Queue) -> Result<(), Failed> {
        Ok(impairment::set(&mut self.netlink, LINK, queue)?)
    }

    /// Sends numbered packets of this length at once, and gives the numbers that arrive, in their order.
    fn arrive(&self, packets: u8, length: usize) -> Result<Vec<u8>, Failed> {
        for number in 0..packets {
            self.sender
                .send_to(&vec![number; length], self.receiver.local_addr()?)?;
        }
        let mut arrived = Vec::new();
        let mut packet = [0; 2048];
        while self.receiver.recv(&mut packet).is_ok() {
            arrived.push(packet[0]);
        }
        Ok(arrived)
    }
}

fn rate_of(mbps: u64) -> Queue {
    Queue {
        rate: Some(mbps * 125_000),
        ..Queue::default()
    }
}

fn slow() -> Queue {
    Queue {
        delay: Duration::from_millis(40),
        ..Queue::default()
    }
}

fn check(what: &str, good: bool, found: impl std::fmt::Debug) -> Result<(), Failed> {
    match good {
        true => Ok(()),
        false => Err(format!("{what}: {found:?}").into()),
    }
}

/// At 1 Mbit/s a burst of 200 kB does not pass: two frames at once, those that fit into the queue, and what drained meanwhile.
fn rate(bed: &mut Bed) -> Result<(), Failed> {
    bed.impair(&rate_of(1))?;
    let began = Instant::now();
    let arrived = bed.arrive(200, 1000)?;
    let took = began.elapsed().saturating_sub(LOST).as_millis();
    let drained = 17 + usize::try_from(took)? / 8;
    check(
        "arrived",
        (10..=drained + 3).contains(&arrived.len()),
        arrived.len(),
    )?;
    check("the first ones", arrived.starts_with(&[0, 1]), &arrived)
}

fn taken_away(bed: &mut Bed) -> Result<(), Failed> {
    bed.impair(&rate_of(1))?;
    impairment::clear(&mut bed.netlink, LINK)?;
    bed.impair(&rate_of(2))?;
    impairment::clear(&mut bed.netlink, LINK)?;
    check(
        "gone",
        impairment::clear(&mut bed.netlink, LINK).is_err(),
        (),
    )?;
    // As many as a socket's buffer holds.
    let arrived = bed.arrive(50, 1000)?;
    expect("arrived", arrived.len(), 50)
}

fn delay(bed: &mut Bed) -> Result<(), Failed> {
    bed.impair(&slow())?;
    let sent = Instant::now();
    bed.sender.send_to(&[1], bed.receiver.local_addr()?)?;
    bed.receiver.recv(&mut [0])?;
    let took = sent.elapsed();
    check("took", took >= Duration::from_millis(40), took)
}

fn jitter(bed: &mut Bed) -> Result<(), Failed> {
    bed.impair(&Queue {
        jitter: Duration::from_millis(40),
        ..slow()
    })?;
    let arrived = bed.arrive(100, 10)?;
    expect("none is lost", arrived.len(), 100)?;
    check("they spread", !arrived.is_sorted(), &arrived)
}

fn duplication(bed: &mut Bed) -> Result<(), Failed> {
    bed.impair(&Queue {
        duplication: 1_000_000,
        ..Queue::default()
    })?;
    let arrived = bed.arrive(20, 10)?;
    expect("arrived", arrived.len(), 40)
}

fn reordering(bed: &mut Bed) -> Result<(), Failed> {
    bed.impair(&Queue {
        reordering: 500_000,
        ..slow()
    })?;
    let arrived = bed.arrive(40, 10)?;
    expect("none is lost", arrived.len(), 40)?;
    check("they overtake", !arrived.is_sorted(), &arrived)
}

/// A flipped bit is found by a checksum, but where it is of no consequence, as in the sender's hardware address.
fn corruption(bed: &mut Bed) -> Result<(), Failed> {
    bed.impair(&Queue {
        corruption: 1_000_000,
        ..Queue::default()
    })?;
    let arrived = bed.arrive(200, 200)?;
    check("arrived", arrived.len() < 40, arrived.len())
}

fn rate_and_delay(bed: &mut Bed) -> Result<(), Failed> {
    bed.impair(&Queue {
        rate: rate_of(1).rate,
        ..slow()
    })?;
    let sent = Instant::now();
    bed.sender.send_to(&[1], bed.receiver.local_addr()?)?;
    bed.receiver.recv(&mut [0])?;
    let took = sent.elapsed();
    check("took", took >= Duration::from_millis(40), took)?;
    let arrived = bed.arrive(200, 1000)?;
    check("arrived", (10..100).contains(&arrived.len()), arrived.len())
}

/// Either the kernel has netem, or it is netem that is named.
fn lacking(bed: &mut Bed) -> Result<(), Failed> {
    match impairment::set(&mut bed.netlink, LINK, &slow()) {
        Ok(()) => Ok(()),
        Err(error) => check(
            "lacking",
            impairment::lacking(&error) == Some("netem"),
            error,
        ),
    }
}
