//! Probes in a real kernel: two hosts, and two routers between them, one of which fails.
//!
//! `teams` ─ `west` (tapped as ams-1) ─ `sbc` and `teams` ─ `east` (tapped as internet) ─ `sbc`; both hosts use `west`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use peerlab::kernel::bpf::programs::Pattern;
use peerlab::kernel::filter::{Direction, Fault, clear_faults, set_faults};
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::probe::{Host, Probe, Stream, StreamId, open_tap};
use peerlab::record::{Entries, Entry, Fact, Recorder};
use peerlab::time::{At, Clock};

mod bed;
use bed::{expect, ip, path, run, wait_until_up};

fn main() -> ExitCode {
    let trial = |name: &str, test: fn(Bed) -> Result<(), Failed>| {
        Trial::test(name, move || test(Bed::new()?))
    };
    let trials = vec![
        trial("without_failure_nothing_is_lost", without_failure),
        trial("a_failover_is_told_to_the_millisecond", failover),
        trial(
            "what_is_open_is_told_at_a_flush_and_told_on_later",
            open_losses,
        ),
        trial("stopping_waits_for_packets_on_their_way", stopping),
        trial("dropping_the_probe_ends_it", dropping),
        trial("who_is_behind_loses_nothing_and_obeys", behind),
    ];
    // One at a time: they measure.
    bed::play(|| trials, Some(1))
}

const TEAMS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SBC: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const EVERY: Duration = Duration::from_millis(1);
const FLOWS: u16 = 16;
/// What may lie between reading the clock and the system call behind it.
const SLACK: Duration = Duration::from_millis(2);

struct Bed {
    teams: Namespace,
    sbc: Namespace,
    west: Namespace,
    #[expect(dead_code, reason = "the links of a namespace go with it")]
    east: Namespace,
    runtime: tokio::runtime::Runtime,
    probe: Probe,
    clock: Clock,
    facts: Entries,
    kept: Vec<Entry>,
}

impl Bed {
    fn new() -> Result<Bed, Failed> {
        let new = Namespace::new;
        let (teams, sbc, west, east) = (new()?, new()?, new()?, new()?);
        for (host, address, port) in [(&teams, TEAMS, 1), (&sbc, SBC, 2)] {
            ip(host, "link set lo up")?;
            ip(host, &format!("addr add {address}/32 dev lo"))?;
            for (router, net) in [(&west, 0), (&east, 4)] {
                let (near, far) = (10 * port + net, 100 + 10 * port + net);
                let fd = path(router);
                ip(
                    host,
                    &format!(
                        "link add up{net} index {near} type veth peer name to{port} index {far} netns {fd}"
                    ),
                )?;
                ip(host, &format!("addr add 10.0.{port}.{net}/31 dev up{net}"))?;
                ip(
                    router,
                    &format!("addr add 10.0.{port}.{}/31 dev to{port}", net + 1),
                )?;
                ip(host, &format!("link set up{net} up"))?;
                ip(router, &format!("link set to{port} up"))?;
                ip(
                    router,
                    &format!("route add {address} via 10.0.{port}.{net}"),
                )?;
            }
        }
        for router in [&west, &east] {
            router.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))??;
        }
        for namespace in [&teams, &sbc, &west, &east] {
            wait_until_up(namespace)?;
        }
        // Both ways are known to the neighbours before they are needed, as BFD sees to in a lab.
        for (host, port) in [(&teams, 1), (&sbc, 2)] {
            for net in [0, 4] {
                run(host, "ping", &format!("-c 1 -W 5 10.0.{port}.{}", net + 1))?;
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let clock = Clock::start();
        let (recorder, facts) = Recorder::new(clock);
        let probe = Probe::start(recorder)?;
        probe.tap("ams-1", None, open_tap(&west, 110)?)?;
        probe.tap("internet", None, open_tap(&east, 114)?)?;
        let bed = Bed {
            teams,
            sbc,
            west,
            east,
            runtime,
            probe,
            clock,
            facts,
            kept: Vec::new(),
        };
        bed.route(0)?;
        Ok(bed)
    }

    /// Both hosts use the router with these nets: 0 is west, 4 is east.
    fn route(&self, net: u8) -> Result<(), Failed> {
        ip(
            &self.teams,
            &format!("route replace {SBC} via 10.0.1.{} src {TEAMS}", net + 1),
        )?;
        ip(
            &self.sbc,
            &format!("route replace {TEAMS} via 10.0.2.{} src {SBC}", net + 1),
        )
        .map(drop)
    }

    fn send_both_ways(&self) -> Result<[StreamId; 2], Failed> {
        self.send_every(EVERY)
    }

    fn send_every(&self, every: Duration) -> Result<[StreamId; 2], Failed> {
        let teams = Host {
            name: "teams",
            namespace: &self.teams,
            address: TEAMS,
        };
        let sbc = Host {
            name: "sbc",
            namespace: &self.sbc,
            address: SBC,
        };
        Ok([
            self.probe.send(Stream::open(teams, sbc, every, FLOWS)?)?,
            self.probe.send(Stream::open(sbc, teams, every, FLOWS)?)?,
        ])
    }

    /// Keeps facts until `enough` of both directions' tallies say so.
    fn until(&mut self, what: &str, enough: impl Fn(u64, u64) -> bool) -> Result<(), Failed> {
        let mut satisfied = BTreeSet::new();
        let deadline = self.clock.now() + Duration::from_secs(10);
        while satisfied.len() < 2 {
            let next = self.runtime.block_on(async {
                tokio::time::timeout(deadline.since(self.clock.now()), self.facts.recv()).await
            });
            let entry = next
                .map_err(|_| format!("waiting for {what}"))?
                .ok_or("no more facts")?;
            if let Fact::ProbeTally {
                from,
                sent,
                received,
                ..
            } = &entry.fact
                && enough(*sent, *received)
            {
                satisfied.insert(from.clone());
            }
            self.kept.push(entry);
        }
        Ok(())
    }

    fn traffic_both_ways(&mut self) -> Result<(), Failed> {
        self.until("traffic", |_, received| received > 90)
    }

    fn darkness(&mut self) -> Result<(), Failed> {
        self.until("darkness", |sent, received| sent > 90 && received == 0)
    }

    /// All facts so far.
    fn facts(&mut self) -> &[Entry] {
        while let Ok(entry) = self.facts.try_recv() {
            self.kept.push(entry);
        }
        &self.kept
    }

    fn flush(&self) -> Result<(), Failed> {
        Ok(self.runtime.block_on(self.probe.flush())?)
    }

    fn stop_all(&self) -> Result<(), Failed> {
        Ok(self.runtime.block_on(self.probe.stop_all())?)
    }

    /// The link between teams and west loses everything, both ways.
    fn cable(&self) -> Result<(Netlink, Vec<Fault>), Failed> {
        let mut netlink = Netlink::open_in(&self.west)?;
        peerlab::kernel::filter::queue_clsact(&mut netlink, 110);
        netlink.commit()?;
        let faults = [Direction::In, Direction::Out].map(|direction| Fault {
            member: 110,
            direction,
            pattern: Pattern::Everything,
        });
        Ok((netlink, faults.to_vec()))
    }
}

fn within(what: &str, found: At, from: At, until: At) -> Result<(), Failed> {
    if (from..=until).contains(&found) {
        Ok(())
    } else {
        Err(format!("{what}: found {found}, wanted {from} to {until}").into())
    }
}

/// What the facts of one direction come to.
#[derive(Debug, Default)]
struct Sum {
    sent: u64,
    received: u64,
    lost: u64,
    reordered: u64,
    /// Runs by flow and beginning: count, last sent, end known.
    runs: BTreeMap<(u16, At), (u64, At, bool)>,
    /// Ways of each flow in order, with their first arrival.
    ways: BTreeMap<u16, Vec<(String, At)>>,
    started: bool,
    stopped: bool,
    /// The latest a packet was sent; a busy machine blurs the edges of an interruption by as much.
    late: Duration,
}

fn sum(facts: &[Entry], sender: &str) -> Sum {
    let mut sum = Sum::default();
    for Entry { at, fact } in facts {
        match fact {
            Fact::ProbeStarted { from, .. } if from == sender => sum.started = true,
            Fact::ProbeStopped { from, .. } if from == sender => sum.stopped = true,
            Fact::ProbeTally {
                from,
                sent,
                received,
                send_late,
                ..
            } if from == sender => {
                sum.sent += sent;
                sum.received += received;
                sum.late = sum.late.max((*send_late).into());
            }
            Fact::ProbeDisorder {
                from, reordered, ..
            } if from == sender => sum.reordered += reordered,
            Fact::ProbeVia {
                from, flow, via, ..
            } if from == sender => {
                sum.ways.entry(*flow).or_default().push((via.clone(), *at));
            }
            Fact::ProbeLost {
                from,
                flow,
                count,
                first_sent,
                last_sent,
                next_received,
                ..
            } if from == sender => {
                sum.lost += count;
                let run = sum
                    .runs
                    .entry((*flow, *first_sent))
                    .or_insert((0, *last_sent, false));
                *run = (run.0 + count, *last_sent, next_received.is_some());
            }
            _ => {}
        }
    }
    sum
}

fn without_failure(mut bed: Bed) -> Result<(), Failed> {
    let before = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
    bed.send_both_ways()?;
    for _ in 0..10 {
        bed.traffic_both_ways()?;
    }
    bed.stop_all()?;
    let after = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF)?;
    let cpu =
        (after.user_time() + after.system_time()) - (before.user_time() + before.system_time());
    for sender in ["teams", "sbc"] {
        let sum = sum(bed.facts(), sender);
        expect("began and ended", (sum.started, sum.stopped), (true, true))?;
        expect("received", sum.received, sum.sent)?;
        expect("lost", sum.lost, 0)?;
        let only_west = |ways: &Vec<(String, At)>| ways.len() == 1 && ways[0].0 == "ams-1";
        expect(
            "ways",
            sum.ways.values().filter(|ways| only_west(ways)).count(),
            usize::from(FLOWS),
        )?;
        if sum.sent < 900 {
            return Err(format!("{} packets in a second", sum.sent).into());
        }
    }
    // Two directions for a good second; a machine in trouble gets some room.
    let milliseconds = cpu.tv_sec() * 1000 + cpu.tv_usec() / 1000;
    if milliseconds > 500 {
        return Err(format!("{milliseconds} ms of CPU").into());
    }
    Ok(())
}

fn failover(mut bed: Bed) -> Result<(), Failed> {
    bed.send_both_ways()?;
    bed.traffic_both_ways()?;
    let (mut netlink, faults) = bed.cable()?;
    let cut = bed.clock.now();
    set_faults(&mut netlink, &faults)?;
    let cut_done = bed.clock.now();
    bed.darkness()?;
    let moved = bed.clock.now();
    bed.route(4)?;
    let moved_done = bed.clock.now();
    bed.traffic_both_ways()?;
    bed.stop_all()?;
    for sender in ["teams", "sbc"] {
        let sum = sum(bed.facts(), sender);
        expect(
            "accounted for",
            sum.lost - sum.reordered,
            sum.sent - sum.received,
        )?;
        expect("flows with a loss", sum.runs.len(), usize::from(FLOWS))?;
        let first = sum
            .runs
            .keys()
            .map(|(_, first)| *first)
            .min()
            .ok_or("no run")?;
        let last = sum
            .runs
            .values()
            .map(|(_, last, _)| *last)
            .max()
            .ok_or("no run")?;
        // Between two packets lies the interval, and what a busy machine adds to it.
        let gap = EVERY + sum.late + SLACK;
        within("first lost", first + gap, cut, cut_done + gap * 2)?;
        within("last lost", last + gap, moved, moved_done + gap * 2)?;
        // To the packet: what was sent between the two moments, and nothing else.
        let interruption = (last + EVERY).since(first).as_millis() as u64;
        let blur = 2 + 2 * sum.late.as_millis() as u64;
        if sum.lost.abs_diff(interruption) > blur {
            return Err(format!("{} lost in {interruption} ms", sum.lost).into());
        }
        for ways in sum.ways.values() {
            let names: Vec<&str> = ways.iter().map(|(name, _)| name.as_str()).collect();
            expect("ways", names, vec!["ams-1", "internet"])?;
            within(
                "moved",
                ways[1].1,
                moved,
                moved_done + gap * u32::from(FLOWS),
            )?;
        }
        expect("flows with ways", sum.ways.len(), usize::from(FLOWS))?;
    }
    Ok(())
}

fn open_losses(mut bed: Bed) -> Result<(), Failed> {
    bed.send_both_ways()?;
    bed.traffic_both_ways()?;
    bed.flush()?;
    expect("lost before", sum(bed.facts(), "teams").lost, 0)?;
    let (mut netlink, faults) = bed.cable()?;
    set_faults(&mut netlink, &faults)?;
    bed.darkness()?;
    bed.flush()?;
    let half = sum(bed.facts(), "teams");
    expect(
        "open runs",
        half.runs.values().filter(|run| !run.2).count(),
        usize::from(FLOWS),
    )?;
    bed.darkness()?;
    clear_faults(&mut netlink, &faults)?;
    bed.traffic_both_ways()?;
    bed.stop_all()?;
    for sender in ["teams", "sbc"] {
        let sum = sum(bed.facts(), sender);
        expect(
            "accounted for",
            sum.lost - sum.reordered,
            sum.sent - sum.received,
        )?;
        // Each flow still has one run, which began as told and has ended.
        expect("runs", sum.runs.len(), usize::from(FLOWS))?;
        expect(
            "ended runs",
            sum.runs.values().filter(|run| run.2).count(),
            usize::from(FLOWS),
        )?;
        if sender == "teams" {
            let begins = |sum: &Sum| sum.runs.keys().copied().collect::<Vec<_>>();
            expect("beginnings", begins(&sum), begins(&half))?;
        }
    }
    Ok(())
}

fn stopping(mut bed: Bed) -> Result<(), Failed> {
    let [first, second] = bed.send_both_ways()?;
    bed.traffic_both_ways()?;
    bed.runtime.block_on(bed.probe.stop(first))?;
    bed.runtime.block_on(bed.probe.stop(first))?;
    let (teams, sbc) = (sum(bed.facts(), "teams"), sum(bed.facts(), "sbc"));
    expect(
        "teams",
        (teams.stopped, teams.lost, teams.received),
        (true, 0, teams.sent),
    )?;
    expect("sbc goes on", sbc.stopped, false)?;
    bed.runtime.block_on(bed.probe.stop(second))?;
    expect("sbc stopped", sum(bed.facts(), "sbc").stopped, true)
}

fn dropping(mut bed: Bed) -> Result<(), Failed> {
    bed.send_both_ways()?;
    bed.traffic_both_ways()?;
    drop(bed.probe);
    // The recorder goes with the thread, after everything was told.
    let rest = bed.runtime.block_on(async {
        let mut rest = Vec::new();
        let all = async {
            while let Some(entry) = bed.facts.recv().await {
                rest.push(entry);
            }
        };
        tokio::time::timeout(Duration::from_secs(5), all)
            .await
            .map(|()| rest)
    })?;
    expect(
        "stopped",
        sum(&rest, "teams").stopped && sum(&rest, "sbc").stopped,
        true,
    )
}

/// More than any machine sends: what is sent is read before sockets overflow, and a word gets through.
fn behind(mut bed: Bed) -> Result<(), Failed> {
    bed.send_every(Duration::from_nanos(100))?;
    for _ in 0..3 {
        bed.until("packets", |_, received| received > 1_000)?;
    }
    bed.stop_all()?;
    for sender in ["teams", "sbc"] {
        let sum = sum(bed.facts(), sender);
        expect("received", sum.received, sum.sent)?;
        expect("lost", sum.lost, 0)?;
        if sum.late < Duration::from_millis(100) {
            return Err(format!("was late by {:?} only", sum.late).into());
        }
    }
    Ok(())
}
