//! BFD over one cable: up, lost, told, disturbed.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU32;
use std::process::Command;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use peerlab::bfd::{Order, State, Timers};
use peerlab::kernel::bpf::programs::Pattern;
use peerlab::kernel::filter::{Direction, Fault, clear_faults, set_faults};
use peerlab::kernel::netlink::Netlink;
use peerlab::line::{Farewell, LineEvent, Reach};
use peerlab::plan::Work;
use peerlab::record::{BfdDiscardReason, Entry, Fact};

use super::bed::{Bed, SOON, THREE, cable, end, is_bfd, session};

pub fn tests() -> Vec<Trial> {
    let bird = Command::new("bird").arg("--version").output().is_ok();
    vec![
        Trial::test("bfd::up_in_no_time", up_in_no_time),
        Trial::test("bfd::silence_is_noticed_when_due", silence_is_noticed),
        Trial::test("bfd::one_way_silence_is_told", one_way_silence),
        Trial::test("bfd::light_brings_it_back_at_once", light_brings_it_back),
        Trial::test("bfd::timers_change_without_loss", timers_change),
        Trial::test("bfd::over_several_hops", over_several_hops),
        Trial::test(
            "bfd::several_over_several_hops_at_one_address",
            several_at_one_address,
        ),
        Trial::test("bfd::another_source_is_told_once", another_source),
        Trial::test("bfd::farewell_is_heard_and_frees_the_port", farewell),
        Trial::test("bfd::crash_is_silent", crash),
        Trial::test("bfd::flood_disturbs_nobody", flood),
        Trial::test("bfd::a_hundred_pairs_on_one_thread", hundred_pairs),
        Trial::test("bfd::bird_agrees", bird_agrees).with_ignored_flag(!bird),
    ]
}

const INTERVAL: Duration = Duration::from_millis(50);
const LINKS: [u32; 2] = [101, 102];

/// Both ends up, at 50 ms × 3, and the slow interval of the beginning forgotten.
fn up() -> Result<Bed, Failed> {
    let mut bed = Bed::new(cable())?;
    for (router, link) in ["a", "b"].into_iter().zip(LINKS) {
        bed.add_bfd(session(router, link, INTERVAL))?;
    }
    for router in ["a", "b"] {
        bed.wait_bfd(router, "up")?;
    }
    settle(&mut bed)?;
    Ok(bed)
}

/// Waits until both ends detect with the present timers, by the packets they count.
fn settle(bed: &mut Bed) -> Result<(), Failed> {
    for router in ["a", "b"] {
        let before = bed
            .answer(bed.line.inspect_bfd(end(router)))?
            .counters
            .received;
        while bed
            .answer(bed.line.inspect_bfd(end(router)))?
            .counters
            .received
            < before + 4
        {
            std::thread::yield_now();
        }
    }
    bed.mark();
    Ok(())
}

fn fault(bed: &Bed, direction: Direction, broken: bool) -> Result<(), Failed> {
    let mut netlink = Netlink::open_in(bed.namespace("a"))?;
    let fault = Fault {
        member: LINKS[0],
        direction,
        pattern: Pattern::Everything,
    };
    if broken {
        set_faults(&mut netlink, &[fault])?;
    } else {
        clear_faults(&mut netlink, &[fault])?;
    }
    Ok(())
}

/// How long after the last packet plus the Detection Time a loss was noticed, and why it was.
fn overhead(entry: &Entry) -> Result<(Duration, String), Failed> {
    let Fact::Bfd {
        last_received: Some(last),
        detection_time: Some(time),
        diagnostic,
        ..
    } = &entry.fact
    else {
        return Err(format!("{entry:?}").into());
    };
    let due = *last + Duration::from(*time);
    if entry.at < due {
        return Err(format!("noticed before it was due: {entry:?}").into());
    }
    Ok((entry.at.since(due), diagnostic.clone()))
}

fn up_in_no_time() -> Result<(), Failed> {
    let mut bed = Bed::new(cable())?;
    bed.add_bfd(session("a", LINKS[0], INTERVAL))?;
    let began = bed.mark();
    bed.add_bfd(session("b", LINKS[1], INTERVAL))?;
    for router in ["a", "b"] {
        let took = bed.wait_bfd(router, "up")?.at.since(began);
        if took > Duration::from_millis(200) {
            return Err(format!("{router} took {took:?}").into());
        }
    }
    let told = std::iter::from_fn(|| bed.events.try_recv().ok());
    let ups = told
        .filter(|event| matches!(event, LineEvent::Bfd { change, .. } if change.to == State::Up));
    if ups.count() != 2 {
        return Err("the routers were not told".into());
    }
    Ok(())
}

fn silence_is_noticed() -> Result<(), Failed> {
    let mut bed = up()?;
    fault(&bed, Direction::In, true)?;
    fault(&bed, Direction::Out, true)?;
    let broken = bed.clock.now();
    for router in ["a", "b"] {
        let down = bed.wait_bfd(router, "down")?;
        let (overhead, diagnostic) = overhead(&down)?;
        if diagnostic != "control detection time expired" {
            return Err(format!("{down:?}").into());
        }
        // The thread may be late on a busy machine, but then it says by how much.
        let allowed = Duration::from_millis(2) + bed.latest();
        if overhead > allowed {
            return Err(
                format!("{router}: {overhead:?} after it was due, {allowed:?} allowed").into(),
            );
        }
        if down.at.since(broken) > 3 * INTERVAL + allowed {
            return Err(format!("{router}: {:?} after the fault", down.at.since(broken)).into());
        }
    }
    Ok(())
}

fn one_way_silence() -> Result<(), Failed> {
    let mut bed = up()?;
    fault(&bed, Direction::In, true)?;
    let lost = bed.wait_bfd("a", "down")?;
    overhead(&lost)?;
    let told = bed.wait_bfd("b", "down")?;
    match &told.fact {
        Fact::Bfd { diagnostic, .. } if diagnostic == "neighbor signaled session down" => {}
        other => return Err(format!("{other:?}").into()),
    }
    bed.mark();
    fault(&bed, Direction::In, false)?;
    bed.wait_bfd("a", "up")?;
    bed.wait_bfd("b", "up")?;
    Ok(())
}

fn light_brings_it_back() -> Result<(), Failed> {
    let mut bed = up()?;
    bed.ip("a", "link set x-1 down")?;
    bed.wait_bfd("a", "down")?;
    bed.wait_bfd("b", "down")?;
    bed.mark();
    bed.ip("a", "link set x-1 up")?;
    let lit = bed.clock.now();
    for router in ["a", "b"] {
        let took = bed.wait_bfd(router, "up")?.at.since(lit);
        // Without the hint of the carrier it would be 0 to 1 s.
        let allowed = Duration::from_millis(200) + bed.latest();
        if took > allowed {
            return Err(format!("{router}: {took:?}").into());
        }
    }
    Ok(())
}

fn timers_change() -> Result<(), Failed> {
    let mut bed = up()?;
    for millis in [300, 20, 50] {
        let timers = Timers::symmetric(Duration::from_millis(millis), THREE);
        for router in ["a", "b"] {
            bed.line.bfd(end(router), Order::timers(timers));
        }
        for router in ["a", "b"] {
            let wanted = Some(Duration::from_millis(3 * millis));
            let began = bed.clock.now();
            while bed
                .answer(bed.line.inspect_bfd(end(router)))?
                .detection_time
                != wanted
            {
                if bed.clock.now().since(began) > SOON {
                    return Err(format!("{router} never came to {wanted:?}").into());
                }
                std::thread::yield_now();
            }
        }
    }
    if bed
        .seen
        .iter()
        .any(|entry| is_bfd(&entry.fact, "a", "down"))
    {
        return Err("the session was lost".into());
    }
    bed.quiet("loss", Duration::from_millis(300), |fact| {
        matches!(fact, Fact::Bfd { .. })
    })
}

/// RFC 5883: on a port of its own, beside a session over one hop between the same addresses.
fn over_several_hops() -> Result<(), Failed> {
    let mut bed = up()?;
    for (router, link) in ["a", "b"].into_iter().zip(LINKS) {
        let mut spec = session(router, link, INTERVAL);
        spec.end.connection = "far".into();
        spec.reach = Reach::Routed;
        spec.config.least_ttl = 250;
        spec.config.my_discriminator = spec.config.my_discriminator.saturating_add(100);
        bed.add_bfd(spec)?;
    }
    let is = |fact: &Fact, at: &str, wanted: &str| {
        matches!(fact, Fact::Bfd { router, connection, state, .. }
            if router == at && connection == "far" && state == wanted)
    };
    for router in ["a", "b"] {
        bed.wait("up", SOON, |fact| is(fact, router, "up"))?;
    }
    fault(&bed, Direction::In, true)?;
    for router in ["a", "b"] {
        bed.wait("down", SOON, |fact| is(fact, router, "down"))?;
    }
    Ok(())
}

/// RFC 5883, section 4: three remotes of one address, which share its port. What befalls one session is no other's business.
fn several_at_one_address() -> Result<(), Failed> {
    let mut work = cable();
    let remotes: [Ipv4Addr; 3] = [1, 2, 3].map(|last| [198, 51, 100, last].into());
    work.extend(remotes.map(|address| Work::Address {
        namespace: "b".into(),
        link: "x-1".into(),
        address: address.into(),
        prefix_len: 32,
    }));
    let mut bed = Bed::new(work)?;
    bed.ip("a", "route add 198.51.100.0/24 via 192.0.2.1")?;
    let far = |router: &str, number: u32| {
        let mut spec = session(router, 0, INTERVAL);
        let remote = remotes[number as usize].into();
        match router {
            "a" => spec.remote = remote,
            _ => spec.local = remote,
        }
        spec.end.connection = format!("far-{number}");
        spec.reach = Reach::Routed;
        spec.config.least_ttl = 250;
        spec.config.my_discriminator = spec.config.my_discriminator.saturating_add(10 * number);
        spec
    };
    let is = |fact: &Fact, at: &str, number: u32, wanted: &str| {
        matches!(fact, Fact::Bfd { router, connection, state, .. }
            if router == at && *connection == format!("far-{number}") && state == wanted)
    };
    for number in [0, 1, 2] {
        for router in ["a", "b"] {
            bed.add_bfd(far(router, number))?;
        }
    }
    for number in [0, 1, 2] {
        for router in ["a", "b"] {
            bed.wait("up", SOON, |fact| is(fact, router, number, "up"))?;
        }
    }
    // One end crashes, and this session alone is lost, when it is due.
    bed.mark();
    bed.answer(bed.line.remove_bfd(far("b", 1).end, Farewell::Silent))?;
    let down = bed.wait("down", SOON, |fact| is(fact, "a", 1, "down"))?;
    overhead(&down)?;
    // The address is still that of two sessions when one says farewell, and of three when it is back.
    bed.answer(bed.line.remove_bfd(far("a", 1).end, Farewell::AdminDown))?;
    for router in ["a", "b"] {
        bed.add_bfd(far(router, 1))?;
    }
    for router in ["a", "b"] {
        bed.wait("up again", SOON, |fact| is(fact, router, 1, "up"))?;
    }
    let others =
        |fact: &Fact| matches!(fact, Fact::Bfd { connection, .. } if connection != "far-1");
    bed.quiet("loss of another", Duration::from_millis(500), others)?;
    // All end, and the port is free: the first that comes back has it anew.
    for number in [0, 1, 2] {
        bed.answer(bed.line.remove_bfd(far("a", number).end, Farewell::Silent))?;
    }
    let free = bed
        .namespace("a")
        .run(|| UdpSocket::bind("192.0.2.0:4784"))?;
    drop(free?);
    bed.mark();
    bed.add_bfd(far("a", 2))?;
    bed.wait("up at last", SOON, |fact| is(fact, "a", 2, "up"))?;
    let status = bed.answer(bed.line.inspect_bfd(far("a", 2).end))?;
    // Those of the others, which are for nobody there now.
    if status.counters.discarded > 0 {
        return Err(format!("{status:?}").into());
    }
    Ok(())
}

/// The other end sends from another address than the one it is configured with here.
fn another_source() -> Result<(), Failed> {
    let mut work = cable();
    let other = Ipv4Addr::new(198, 51, 100, 9);
    work.push(Work::Address {
        namespace: "a".into(),
        link: "x-1".into(),
        address: other.into(),
        prefix_len: 32,
    });
    let mut bed = Bed::new(work)?;
    bed.ip("b", "route add 198.51.100.9/32 dev x-1")?;
    bed.add_bfd(session("b", LINKS[1], INTERVAL))?;
    let mut spec = session("a", LINKS[0], INTERVAL);
    spec.local = other.into();
    bed.add_bfd(spec)?;
    let told = |fact: &Fact| matches!(fact, Fact::BfdDiscarded(_));
    let Fact::BfdDiscarded(packet) = bed.wait("told", SOON, told)?.fact else {
        return Err("another fact".into());
    };
    let is_right = packet.why == "source address 198.51.100.9 is not 192.0.2.0"
        && packet.reason == BfdDiscardReason::Source;
    if packet.router != "b" || !is_right {
        return Err(format!("{packet:?}").into());
    }
    bed.mark();
    bed.quiet("told again", Duration::from_millis(1500), told)
}

fn farewell() -> Result<(), Failed> {
    let mut bed = up()?;
    bed.answer(bed.line.remove_bfd(end("a"), Farewell::AdminDown))?;
    let down = bed.wait_bfd("b", "down")?;
    if !matches!(&down.fact, Fact::Bfd { diagnostic, .. } if diagnostic == "neighbor signaled session down")
    {
        return Err(format!("{down:?}").into());
    }
    bed.mark();
    // A new session takes the port over while the old one still says farewell.
    bed.add_bfd(session("a", LINKS[0], INTERVAL))?;
    bed.wait_bfd("a", "up")?;
    Ok(())
}

fn crash() -> Result<(), Failed> {
    let mut bed = up()?;
    bed.answer(bed.line.remove_bfd(end("a"), Farewell::Silent))?;
    let down = bed.wait_bfd("b", "down")?;
    overhead(&down)?;
    Ok(())
}

/// Another host on the cable sends all kinds of packets to one of two sessions as fast as it can.
fn flood() -> Result<(), Failed> {
    let mut bed = up()?;
    let target: SocketAddr = "192.0.2.1:3784".parse()?;
    let before = bed.answer(bed.line.inspect_bfd(end("b")))?;
    let began = bed.clock.now();
    let sent = bed.namespace("a").run(|| -> std::io::Result<u64> {
        let ordinary = UdpSocket::bind("192.0.2.0:0")?;
        let foreign = UdpSocket::bind("127.0.0.1:0")?;
        let near = UdpSocket::bind("192.0.2.0:0")?;
        near.set_ttl(255)?;
        let mut word = 1u64;
        let mut sent = 0;
        while bed.clock.now().since(began) < Duration::from_secs(2) {
            let mut bytes = [0; 40];
            for chunk in bytes.chunks_mut(8) {
                word ^= word << 13;
                word ^= word >> 7;
                word ^= word << 17;
                chunk.copy_from_slice(&word.to_ne_bytes()[..chunk.len()]);
            }
            // A third of them have a right head, so that later checks are reached.
            if word.is_multiple_of(3) {
                bytes[..4].copy_from_slice(&[0x20, 0xc0, 3, 24]);
            }
            let length = word as usize % 40;
            ordinary.send_to(&bytes[..length], target)?;
            near.send_to(&bytes[..length.max(12)], target)?;
            let _ = foreign.send_to(&bytes, target);
            sent += 2;
        }
        Ok(sent)
    })??;
    let after = bed.answer(bed.line.inspect_bfd(end("b")))?;
    let refused = after.counters.discarded - before.counters.discarded;
    if refused < sent / 100 {
        return Err(format!("{refused} of {sent} were read").into());
    }
    bed.quiet("loss", Duration::from_millis(300), |fact| {
        matches!(fact, Fact::Bfd { .. })
    })
}

/// Pairs of sessions on one cable, each with addresses of its own.
fn pairs(count: u16) -> Result<Bed, Failed> {
    let mut work = cable();
    let address = |pair: u16, end: u16| {
        let [high, low] = (2 * pair + end).to_be_bytes();
        Ipv4Addr::new(10, 20, high, low)
    };
    for pair in 0..count {
        for (end, router) in ["a", "b"].into_iter().enumerate() {
            work.push(Work::Address {
                namespace: router.into(),
                link: "x-1".into(),
                address: address(pair, end as u16).into(),
                prefix_len: 31,
            });
        }
    }
    let bed = Bed::new(work)?;
    for pair in 0..count {
        for (ours, router) in (0..).zip(["a", "b"]) {
            let mut spec = session(router, LINKS[usize::from(ours)], INTERVAL);
            spec.end.connection = format!("p-{pair}");
            spec.local = address(pair, ours).into();
            spec.remote = address(pair, 1 - ours).into();
            spec.config.my_discriminator =
                NonZeroU32::MIN.saturating_add(u32::from(2 * pair + ours));
            spec.config.jitter_seed = u64::from(2 * pair + ours);
            bed.add_bfd(spec)?;
        }
    }
    Ok(bed)
}

/// One thread holds both ends of a hundred sessions, and none is lost.
fn hundred_pairs() -> Result<(), Failed> {
    let mut bed = pairs(100)?;
    let ups = Cell::new(0);
    bed.wait("all up", SOON, |fact| {
        if matches!(fact, Fact::Bfd { state, .. } if state == "up") {
            ups.set(ups.get() + 1);
        }
        ups.get() == 200
    })?;
    bed.mark();
    let is_loss = |fact: &Fact| matches!(fact, Fact::Bfd { state, .. } if state == "down");
    let lost = bed.quiet("loss", Duration::from_secs(3), is_loss);
    // Whoever sleeps through half of the slack may lose sessions, and rightly so.
    if bed.latest() < Duration::from_millis(50) {
        return lost;
    }
    Ok(())
}

/// BIRD at `b`: up, then silence, in both directions of waiting.
fn bird_agrees() -> Result<(), Failed> {
    let mut bed = Bed::new(cable())?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("bird.conf");
    std::fs::write(
        &config,
        "router id 192.0.2.1;\nprotocol device { }\nprotocol bfd {\n  interface \"x-1\" { interval 50 ms; multiplier 3; };\n  \
         neighbor 192.0.2.0 dev \"x-1\" local 192.0.2.1;\n}\n",
    )?;
    let mut command = Command::new("bird");
    command
        .arg("-f")
        .arg("-c")
        .arg(&config)
        .arg("-s")
        .arg(folder.path().join("ctl"));
    let mut bird = bed.namespace("b").spawn(command)?;
    let played = play_with_bird(&mut bed);
    bird.kill()?;
    bird.wait()?;
    played
}

fn play_with_bird(bed: &mut Bed) -> Result<(), Failed> {
    bed.add_bfd(session("a", LINKS[0], INTERVAL))?;
    bed.wait_bfd("a", "up")?;
    let began = bed.clock.now();
    while bed.answer(bed.line.inspect_bfd(end("a")))?.detection_time != Some(3 * INTERVAL) {
        if bed.clock.now().since(began) > SOON {
            return Err("BIRD never went to 50 ms".into());
        }
        std::thread::yield_now();
    }
    bed.mark();
    bed.quiet("loss", Duration::from_secs(1), |fact| {
        matches!(fact, Fact::Bfd { .. })
    })?;
    fault(bed, Direction::Out, true)?;
    let down = bed.wait_bfd("a", "down")?;
    if !matches!(&down.fact, Fact::Bfd { diagnostic, .. } if diagnostic == "neighbor signaled session down")
    {
        return Err(format!("{down:?}").into());
    }
    bed.mark();
    fault(bed, Direction::Out, false)?;
    bed.wait_bfd("a", "up")?;
    settle_with_bird(bed)?;
    fault(bed, Direction::In, true)?;
    let (_, diagnostic) = overhead(&bed.wait_bfd("a", "down")?)?;
    if diagnostic != "control detection time expired" {
        return Err(diagnostic.into());
    }
    Ok(())
}

fn settle_with_bird(bed: &mut Bed) -> Result<(), Failed> {
    while bed.answer(bed.line.inspect_bfd(end("a")))?.detection_time != Some(3 * INTERVAL) {
        std::thread::yield_now();
    }
    bed.mark();
    Ok(())
}
