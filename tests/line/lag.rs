//! Two LAGs of two members that speak with each other, with BFD on top.

use std::net::UdpSocket;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use peerlab::kernel::bpf::programs::Pattern;
use peerlab::kernel::filter::{Direction, Fault, clear_faults, set_faults};
use peerlab::kernel::netlink::Netlink;
use peerlab::kernel::socket::Socket;
use peerlab::lacp::{Admin, Misbehaviour, Refusal};
use peerlab::line::LagPort;
use peerlab::plan::Work;
use peerlab::record::{Fact, LacpEarlyData, LacpSeen};

use super::bed::{Bed, SOON, end, is_bfd, run, session};
use super::cabling::{self, Side};

pub fn tests() -> Vec<Trial> {
    vec![
        Trial::test("lag::up_and_carrying_in_no_time", up_in_no_time),
        Trial::test("lag::one_member_lost_moves_nothing_else", one_member_lost),
        Trial::test("lag::all_members_lost_takes_the_carrier", all_members_lost),
        Trial::test(
            "lag::silent_lacp_takes_the_carrier_though_light_stays",
            silent_lacp,
        ),
        Trial::test("lag::removed_and_made_anew", removed_and_made_anew),
        Trial::test("lag::strange_frames_disturb_nobody", strange_frames),
        Trial::test("lag::stamps_of_frames_cost_nothing", stamps_cost_nothing),
        Trial::test("lag::early_data_is_seen", early_data),
        Trial::test("lag::no_data_is_early_between_two_of_ours", no_early_data),
    ]
}

const MEMBERS: u32 = 2;

fn side(router: &str) -> Side {
    let index = if router == "b" { 200 } else { 100 };
    Side {
        router: router.to_owned(),
        card: format!("{router}.lc"),
        index,
        hidden: index + 1,
    }
}

fn links(router: &str) -> Vec<u32> {
    side(router).config(MEMBERS).1
}

/// Routers `a` and `b` with line cards, LAG `x-1` with members `x-1.1` and `x-1.2`.
fn cables() -> Vec<Work> {
    let mut work = Vec::new();
    let sides = ["a", "b"].map(side);
    for (side, last) in sides.iter().zip(0..) {
        for (name, forwarding) in [(&side.router, true), (&side.card, false)] {
            work.push(Work::Namespace {
                name: name.clone(),
                forwarding,
                ipv6: false,
            });
        }
        work.extend(side.uplink("x-1"));
        work.push(Work::Address {
            namespace: side.router.clone(),
            link: "x-1".into(),
            address: [192, 0, 2, last].into(),
            prefix_len: 31,
        });
        work.push(cabling::up(&side.router, "x-1"));
    }
    let [a, b] = &sides;
    work.extend(cabling::members("x-1", [a, b], MEMBERS));
    work
}

fn add_lag(bed: &Bed, router: &str) -> Result<(), Failed> {
    let side = side(router);
    let (config, links) = side.config(MEMBERS);
    let card = bed.namespace(&side.card);
    let port = LagPort::open(card, end(router), &config, side.hidden, &links)?;
    bed.line.add_lag(port);
    Ok(())
}

fn is_lag(fact: &Fact, at: &str, carrier: bool, members: u8) -> bool {
    matches!(fact, Fact::Lag { router, up, distributing, .. }
        if router == at && *up == carrier && *distributing >= members)
}

fn is_spread(fact: &Fact, at: &str, number: u8, wanted: bool) -> bool {
    matches!(fact, Fact::Member { router, member, distributing, .. }
        if router == at && *member == number && *distributing == wanted)
}

/// Both ends distribute on both members.
fn up() -> Result<Bed, Failed> {
    let mut bed = Bed::new(cables())?;
    for router in ["a", "b"] {
        add_lag(&bed, router)?;
    }
    wait_spread(&mut bed)?;
    Ok(bed)
}

fn wait_spread(bed: &mut Bed) -> Result<(), Failed> {
    for router in ["a", "b"] {
        bed.wait("carrier", SOON, |fact| is_lag(fact, router, true, 1))?;
        for member in [1, 2] {
            bed.wait("spread", SOON, |fact| is_spread(fact, router, member, true))?;
        }
    }
    Ok(())
}

fn lacp_faults(bed: &Bed, broken: bool) -> Result<(), Failed> {
    let mut netlink = Netlink::open_in(bed.namespace("a.lc"))?;
    let faults: Vec<Fault> = links("a")
        .into_iter()
        .flat_map(|member| {
            [Direction::In, Direction::Out].map(|direction| Fault {
                member,
                direction,
                pattern: Pattern::Lacp,
            })
        })
        .collect();
    if broken {
        set_faults(&mut netlink, &faults)?;
    } else {
        clear_faults(&mut netlink, &faults)?;
    }
    Ok(())
}

fn ping(bed: &Bed) -> Result<(), Failed> {
    let arguments = "-q -c 20 -i 0.002 -W 1 192.0.2.1";
    let text = run(bed.namespace("a"), "ping", arguments)?;
    if text.contains(" 0% packet loss") {
        Ok(())
    } else {
        Err(text.into())
    }
}

fn up_in_no_time() -> Result<(), Failed> {
    let mut bed = Bed::new(cables())?;
    let began = bed.mark();
    for router in ["a", "b"] {
        bed.add_bfd(session(
            router,
            side(router).index,
            Duration::from_millis(50),
        ))?;
        add_lag(&bed, router)?;
    }
    wait_spread(&mut bed)?;
    let mut last = began;
    for router in ["a", "b"] {
        last = last.max(bed.wait_bfd(router, "up")?.at);
    }
    let took = last.since(began);
    let allowed = Duration::from_millis(500) + bed.latest();
    if took > allowed {
        return Err(format!("LACP and BFD took {took:?}: {:#?}", bed.seen).into());
    }
    ping(&bed)
}

/// A frame that nobody's timer sent leaves a stamp, too, and one that waits in a queue has its stamp late. One that is left in
/// a socket's error queue would make epoll return at once, again and again.
fn stamps_cost_nothing() -> Result<(), Failed> {
    let mut bed = up()?;
    // Without tbf or netem the frames leave at once; then that is what is tried.
    let queue = "qdisc add dev x-1.1 root tbf rate 8kbit burst 200 limit 10000";
    let queued = run(bed.namespace("a.lc"), "tc", queue);
    for _ in 0..3 {
        bed.line.lag(end("a"), Admin::AskMarker { port: None });
    }
    let before = cpu_of_line()?;
    let _ = bed.quiet("nothing", Duration::from_millis(600), |_| false);
    let used = cpu_of_line()? - before;
    // 60 are all of the time.
    if used > 20 {
        return Err(format!("{used} hundredths of a second in 0.6 s; queue: {queued:?}").into());
    }
    Ok(())
}

/// The CPU time of this program's line thread, in hundredths of a second.
fn cpu_of_line() -> Result<u64, Failed> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        let (name, rest) = stat.rsplit_once(')').ok_or("no name")?;
        if name.ends_with("(line") {
            let fields: Vec<&str> = rest.split_whitespace().collect();
            return Ok(fields[11].parse::<u64>()? + fields[12].parse::<u64>()?);
        }
    }
    Err("there is no line thread".into())
}

fn one_member_lost() -> Result<(), Failed> {
    let mut bed = up()?;
    ping(&bed)?;
    bed.mark();
    bed.ip("a.lc", "link set x-1.1 down")?;
    for router in ["a", "b"] {
        bed.wait("light lost", SOON, |fact| {
            matches!(fact, Fact::Light { router: at, member: 1, up: false, .. } if at == router)
        })?;
        bed.wait("member lost", SOON, |fact| {
            is_spread(fact, router, 1, false)
        })?;
    }
    ping(&bed)?;
    bed.quiet("carrier lost", Duration::from_millis(200), |fact| {
        matches!(fact, Fact::Lag { .. })
    })?;
    bed.mark();
    bed.ip("a.lc", "link set x-1.1 up")?;
    for router in ["a", "b"] {
        bed.wait("member back", SOON, |fact| is_spread(fact, router, 1, true))?;
    }
    ping(&bed)
}

fn all_members_lost() -> Result<(), Failed> {
    let mut bed = up()?;
    bed.mark();
    for member in 1..=MEMBERS {
        bed.ip("a.lc", &format!("link set x-1.{member} down"))?;
    }
    for router in ["a", "b"] {
        bed.wait("carrier lost", SOON, |fact| is_lag(fact, router, false, 0))?;
    }
    let seen = bed.ip("b", "-o link show x-1")?;
    if !seen.contains("NO-CARRIER") {
        return Err(format!("the router at b sees {seen}").into());
    }
    bed.mark();
    for member in 1..=MEMBERS {
        bed.ip("a.lc", &format!("link set x-1.{member} up"))?;
    }
    wait_spread(&mut bed)?;
    ping(&bed)
}

fn silent_lacp() -> Result<(), Failed> {
    let mut bed = up()?;
    let began = bed.mark();
    lacp_faults(&bed, true)?;
    for router in ["a", "b"] {
        let lost = bed.wait("carrier lost", SOON, |fact| is_lag(fact, router, false, 0))?;
        let took = lost.at.since(began);
        // Three LACPDUs missed; the last of those heard was up to one second old.
        let wanted = Duration::from_secs(2)..Duration::from_millis(3200) + bed.latest();
        if !wanted.contains(&took) {
            return Err(format!("{router}: {took:?}").into());
        }
    }
    if bed
        .seen
        .iter()
        .any(|entry| matches!(entry.fact, Fact::Light { up: false, .. }))
    {
        return Err("light was lost".into());
    }
    bed.mark();
    lacp_faults(&bed, false)?;
    wait_spread(&mut bed)?;
    ping(&bed)
}

fn removed_and_made_anew() -> Result<(), Failed> {
    let mut bed = up()?;
    bed.mark();
    bed.answer(bed.line.remove_lag(end("a")))?;
    bed.wait("carrier lost", SOON, |fact| is_lag(fact, "a", false, 0))?;
    add_lag(&bed, "a")?;
    bed.wait("carrier", SOON, |fact| is_lag(fact, "a", true, 1))?;
    bed.line.lag(
        end("b"),
        Admin::Misbehave {
            port: Some(0),
            how: Misbehaviour {
                refuses: Some(Refusal::Synchronization),
                ..Misbehaviour::default()
            },
        },
    );
    bed.wait("held", SOON, |fact| is_spread(fact, "b", 1, false))?;
    ping(&bed)
}

/// Slow Protocols frames full of noise, on a member under a session.
fn strange_frames() -> Result<(), Failed> {
    let mut bed = up()?;
    for router in ["a", "b"] {
        bed.add_bfd(session(
            router,
            side(router).index,
            Duration::from_millis(50),
        ))?;
    }
    for router in ["a", "b"] {
        bed.wait_bfd(router, "up")?;
    }
    bed.mark();
    let noise = bed
        .namespace("a.lc")
        .run(|| peerlab::kernel::socket::Socket::slow_protocols(links("a")[0]))??;
    let mut word = 1u64;
    for n in 0..20_000u32 {
        let mut frame = [0; 124];
        for chunk in frame.chunks_mut(8) {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            chunk.copy_from_slice(&word.to_ne_bytes()[..chunk.len()]);
        }
        frame[..6].copy_from_slice(&[0x01, 0x80, 0xc2, 0, 0, 2]);
        frame[12..14].copy_from_slice(&[0x88, 0x09]);
        // Most are no LACPDU at all; none of them is a complete one.
        if n.is_multiple_of(2) {
            frame[14..18].copy_from_slice(&[1, 1, 1, 99]);
        }
        let _ = noise.send(&frame[..14 + word as usize % 110]);
    }
    let status = bed.answer(bed.line.inspect_lag(end("b")))?;
    if !status.carrier {
        return Err("carrier was lost".into());
    }
    bed.quiet("change", Duration::from_millis(300), |fact| {
        matches!(
            fact,
            Fact::Lag { .. } | Fact::Member { .. } | Fact::Bfd { .. }
        ) && !is_bfd(fact, "a", "up")
    })?;
    let here = bed
        .namespace("b")
        .run(|| UdpSocket::bind("192.0.2.1:4000"))??;
    let there = bed
        .namespace("a")
        .run(|| UdpSocket::bind("192.0.2.0:4000"))??;
    here.set_read_timeout(Some(SOON))?;
    there.send_to(b"passes", here.local_addr()?)?;
    here.recv(&mut [0; 16])?;
    Ok(())
}

fn is_early(fact: &Fact, at: &str) -> Option<LacpEarlyData> {
    match fact {
        Fact::LacpPartner {
            router,
            member: 1,
            seen: LacpSeen::EarlyData(data),
            ..
        } if router == at => Some(data.clone()),
        _ => None,
    }
}

fn refuse(bed: &Bed, refuses: Option<Refusal>) {
    let how = Misbehaviour {
        refuses,
        ..Misbehaviour::default()
    };
    let port = Some(0);
    bed.line.lag(end("a"), Admin::Misbehave { port, how });
}

/// A partner sends data without LACP, then with it while it is not told that it may, and again when it may no longer, a second later.
fn early_data() -> Result<(), Failed> {
    let mut bed = Bed::new(cables())?;
    let partner = bed
        .namespace("b.lc")
        .run(|| Socket::slow_protocols(links("b")[0]))??;
    let send = |ethertype: [u8; 2]| {
        let mut frame = [0; 60];
        frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        frame[12..14].copy_from_slice(&ethertype);
        partner.send(&frame)
    };
    let (data, lldp) = ([0x88, 0xb5], [0x88, 0xcc]);
    add_lag(&bed, "a")?;
    refuse(&bed, Some(Refusal::Synchronization));
    bed.wait(
        "light",
        SOON,
        |fact| matches!(fact, Fact::Light { router, member: 1, up: true, .. } if router == "a"),
    )?;
    // It may have heard of an earlier LAG.
    send(data)?;
    bed.quiet("early data", Duration::from_secs(1), |fact| {
        is_early(fact, "a").is_some()
    })?;
    send(lldp)?;
    send(data)?;
    let first = bed.wait("early data", SOON, |fact| is_early(fact, "a").is_some())?;
    if !is_early(&first.fact, "a").is_some_and(|data| data.unheard && data.frames == 1) {
        return Err(format!("one frame, of who says nothing: {first:?}").into());
    }
    add_lag(&bed, "b")?;
    bed.wait("LACPDU heard", SOON, |fact| {
        matches!(fact, Fact::LacpPartner { router, member: 1, seen: LacpSeen::Says(_), .. }
            if router == "a")
    })?;
    for _ in 0..20_000 {
        send(data)?;
    }
    refuse(&bed, None);
    let last = bed.wait("end of early data", SOON, |fact| {
        is_early(fact, "a").is_some_and(|data| data.before.is_some())
    })?;
    wait_spread(&mut bed)?;
    send(data)?;
    let told: Vec<LacpEarlyData> = bed
        .seen
        .iter()
        .filter_map(|it| is_early(&it.fact, "a"))
        .collect();
    let frames: u64 = told.iter().map(|data| data.frames).sum();
    let before = told.last().and_then(|data| data.before).map(Duration::from);
    if frames != 20_001 || told[0].first != "EtherType 0x88b5, from 02:00:00:00:00:02" {
        return Err(format!("20,001 frames of 0x88b5: {told:?}").into());
    }
    let seconds = last.at.since(first.at).as_secs() as usize;
    if told.len() > 4 + seconds {
        return Err(format!("one a second, and at the first and the last: {told:?}").into());
    }
    // Both are told at their own moment.
    if before != Some(last.at.since(first.at)) {
        return Err(format!("{before:?} from {first:?} to {last:?}").into());
    }

    bed.mark();
    refuse(&bed, Some(Refusal::Collecting));
    bed.wait("stopped", SOON, |fact| is_spread(fact, "b", 1, false))?;
    // It may not have heard it.
    send(data)?;
    bed.quiet("early data", Duration::from_secs(1), |fact| {
        is_early(fact, "a").is_some()
    })?;
    send(data)?;
    let again = bed.wait("early data", SOON, |fact| is_early(fact, "a").is_some())?;
    match is_early(&again.fact, "a") {
        Some(data) if data.frames == 1 => {}
        other => return Err(format!("one frame: {other:?}").into()),
    }
    let status = bed.answer(bed.line.inspect_lag(end("a")))?;
    match status.early[..] {
        [20_002, 0] => Ok(()),
        _ => Err(format!("20,002 frames on the first member: {:?}", status.early).into()),
    }
}

/// Members come, go dark, come back and are held back, under traffic.
fn no_early_data() -> Result<(), Failed> {
    let mut bed = up()?;
    let (from, to) = (bed.namespace("a"), bed.namespace("b"));
    let to = to.run(|| UdpSocket::bind("192.0.2.1:4000"))??;
    let from = from.run(|| UdpSocket::bind("192.0.2.0:4000"))??;
    let noise = || {
        for (one, other) in [(&from, &to), (&to, &from)] {
            // Without carrier there is no way.
            let _ = one.send_to(b"data", other.local_addr().expect("it is bound"));
        }
    };
    for refuses in [Some(Refusal::Synchronization), None] {
        bed.mark();
        refuse(&bed, refuses);
        let wanted = refuses.is_none();
        for router in ["a", "b"] {
            noise();
            bed.wait("held", SOON, |fact| is_spread(fact, router, 1, wanted))?;
        }
    }
    for up in [false, true] {
        bed.mark();
        let how = if up { "up" } else { "down" };
        bed.ip("a.lc", &format!("link set x-1.1 {how}"))?;
        for router in ["a", "b"] {
            noise();
            bed.wait("light", SOON, |fact| is_spread(fact, router, 1, up))?;
        }
    }
    noise();
    ping(&bed)?;
    for router in ["a", "b"] {
        let status = bed.answer(bed.line.inspect_lag(end(router)))?;
        if status.early != [0, 0] {
            return Err(format!("data is early at {router}: {:?}", bed.seen).into());
        }
    }
    Ok(())
}
