//! LAGs of the kernel's with ours, and with each other. They need a kernel with bonding: `scripts/uml` has one.

use libtest_mimic::{Failed, Trial};
use peerlab::kernel::bond::{self, Bond, BondOptions, HashPolicy};
use peerlab::kernel::link;
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::kernel::socket::Socket;
use peerlab::lacp::{Admin, LagConfig, Misbehaviour, Refusal};
use peerlab::line::{BondLag, End, LagPort};
use peerlab::plan::Work;
use peerlab::record::{Fact, LacpSeen};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::bed::Bed;
use super::cabling::{self, Side};

pub fn tests() -> Vec<Trial> {
    let lacks = !bonding_is_here();
    type Test = fn() -> Result<(), Failed>;
    let tests: [(&str, Test); 5] = [
        ("bond::has_the_settings_it_was_given", settings),
        ("bond::both_ends_see_each_other", both_views),
        ("bond::two_passive_ends_never_speak", both_passive),
        ("bond::early_data_of_a_bond_is_seen", of_a_bond),
        ("bond::early_data_is_seen_by_a_bond", by_a_bond),
    ];
    let mut all: Vec<Trial> = tests.map(|(name, test)| Trial::test(name, test)).into();
    for (kernel, partner) in [(false, "ours"), (true, "bonds")] {
        all.extend((1..=8).map(|members| {
            let name =
                format!("bond::every_combination_is_up_with_enough::of_{members}::{partner}");
            Trial::test(name, move || k_of_n(&some_min_links(kernel, members)))
        }));
        for members in 1..=2 {
            all.extend(pairs(kernel, members).into_iter().map(|min_links| {
                let [a, b] = min_links;
                let name = format!("bond::every_min_links::of_{members}::{partner}::{a}_and_{b}");
                Trial::test(name, move || {
                    let cases = every_combination(kernel, members, |_| min_links);
                    k_of_n(&cases)
                })
            }));
        }
    }
    all.into_iter()
        .map(|trial| trial.with_ignored_flag(lacks))
        .collect()
}

/// Two cores of a slow kernel, twelve LAGs, and Aggregate_Wait_Time.
const UP: Duration = Duration::from_secs(40);
/// Three LACPDUs of a second that do not come, and what a slow kernel takes.
const DOWN: Duration = Duration::from_secs(20);

fn bonding_is_here() -> bool {
    let attempt = || -> Result<(), Failed> {
        let place = Namespace::new()?;
        let mut netlink = Netlink::open_in(&place)?;
        let bond = Bond {
            name: "bond".into(),
            index: 7,
            system: [2, 0, 0, 0, 0, 1],
            system_priority: 1,
            key: 1,
            fast: true,
            active: true,
            min_links: 1,
            options: BondOptions::default(),
            ports: Vec::new(),
        };
        Ok(bond::make(&mut netlink, "here", &bond)?)
    };
    attempt().is_ok()
}

/// One end of a LAG.
#[derive(Debug, Clone, Copy)]
struct Half {
    kernel: bool,
    fast: bool,
    active: bool,
}

/// A LAG.
#[derive(Debug, Clone, Copy)]
struct Case {
    a: Half,
    b: Half,
    members: u32,
    min_links: [u8; 2],
}

impl Case {
    /// Whether an end is up while so many members distribute: each decides by its own min-links, and neither tells the other.
    fn is_up(&self, router: &str, distributing: u32) -> bool {
        let (_, min_links) = self.half(router);
        distributing >= u32::from(min_links)
    }

    /// What an end is, and what it demands.
    fn half(&self, router: &str) -> (Half, u8) {
        match router {
            "a" => (self.a, self.min_links[0]),
            _ => (self.b, self.min_links[1]),
        }
    }
}

const fn half(kernel: bool, fast: bool, active: bool) -> Half {
    Half {
        kernel,
        fast,
        active,
    }
}

/// Every pair of rates and activities that speaks, of the kernel's or ours with the kernel's; what each demands follows
/// its number.
fn every_combination(
    kernel: bool,
    members: u32,
    min_links: impl Fn(usize) -> [u8; 2],
) -> Vec<Case> {
    let mut cases = Vec::new();
    for (fast_a, fast_b) in [(true, true), (true, false), (false, true), (false, false)] {
        for (active_a, active_b) in [(true, true), (true, false), (false, true)] {
            cases.push(Case {
                a: half(kernel, fast_a, active_a),
                b: half(true, fast_b, active_b),
                members,
                min_links: min_links(cases.len()),
            });
        }
    }
    cases
}

/// What two ends may demand of so many members. Ours refuses what would never come up, a bond waits.
fn pairs(kernel: bool, members: u32) -> Vec<[u8; 2]> {
    let most = members as u8 + 1;
    let most_a = if kernel { most } else { most - 1 };
    let all = (1..=most_a).flat_map(|a| (1..=most).map(move |b| [a, b]));
    all.collect()
}

/// Every combination, with demands from all over what they may be.
fn some_min_links(kernel: bool, members: u32) -> Vec<Case> {
    let pairs = pairs(kernel, members);
    // No number of pairs of up to eight members can be divided by this.
    every_combination(kernel, members, |number| pairs[11 * number % pairs.len()])
}

fn name(case: usize) -> String {
    format!("x-{case}")
}

/// The members' indices follow the hidden end's. Two line cards have different ones, and so do two LAGs.
fn side(case: usize, router: &str) -> Side {
    let hidden = 1000 + 40 * case as u32 + if router == "b" { 20 } else { 0 };
    Side {
        router: router.to_owned(),
        card: router.to_owned(),
        index: hidden + 15,
        hidden,
    }
}

fn bed(cases: &[Case]) -> Result<Bed, Failed> {
    let bed = cables(cases)?;
    for (number, case) in cases.iter().enumerate() {
        add(&bed, number, case, "a")?;
        add(&bed, number, case, "b")?;
    }
    Ok(bed)
}

/// The links of LAGs, and nobody who speaks on them.
fn cables(cases: &[Case]) -> Result<Bed, Failed> {
    let mut work = Vec::new();
    for router in ["a", "b"] {
        work.push(Work::Namespace {
            name: router.into(),
            forwarding: false,
            ipv6: false,
        });
    }
    for (number, case) in cases.iter().enumerate() {
        let sides = ["a", "b"].map(|router| side(number, router));
        for side in &sides {
            work.extend(side.uplink(&name(number)));
        }
        let [a, b] = &sides;
        work.extend(cabling::members(&name(number), [a, b], case.members));
    }
    Bed::new(work)
}

fn add(bed: &Bed, number: usize, case: &Case, router: &str) -> Result<(), Failed> {
    let (config, links) = config(number, case, router);
    let end = End {
        router: router.into(),
        connection: name(number),
    };
    let (place, hidden) = (bed.namespace(router), side(number, router).hidden);
    let options = BondOptions::default();
    match case.half(router).0.kernel {
        true => (bed.line).add_lag(BondLag::open(
            place,
            end,
            (&config, options),
            hidden,
            &links,
        )?),
        false => (bed.line).add_lag(LagPort::open(place, end, &config, hidden, &links)?),
    }
    Ok(())
}

/// What an end of a LAG says of itself, and its links.
fn config(number: usize, case: &Case, router: &str) -> (LagConfig, Vec<u32>) {
    let (half, min_links) = case.half(router);
    let (config, links) = side(number, router).config(case.members);
    let config = LagConfig {
        system_priority: if router == "a" { 100 } else { 200 },
        key: number as u16 + 1,
        fast: half.fast,
        active: half.active,
        min_links,
        ..config
    };
    (config, links)
}

fn is_lag(fact: &Fact, number: usize, at: &str, wanted: bool) -> bool {
    matches!(fact, Fact::Lag { router, connection, up, .. }
        if router == at && *connection == name(number) && *up == wanted)
}

fn is_spread(fact: &Fact, number: usize, at: &str, which: u32, wanted: bool) -> bool {
    matches!(fact, Fact::Member { router, connection, member, distributing, .. }
        if router == at && *connection == name(number)
            && u32::from(*member) == which && *distributing == wanted)
}

/// All members come up, are lost one after the other, and one comes back: at each number of them, who is up.
fn k_of_n(cases: &[Case]) -> Result<(), Failed> {
    let members = cases.first().ok_or("no case")?.members;
    let mut bed = bed(cases)?;
    let mut numbers = vec![0, members];
    reach(&mut bed, cases, &numbers, 1..=members)?;
    for lost in 1..=members {
        light(&mut bed, cases, lost, false)?;
        numbers.push(members - lost);
        reach(&mut bed, cases, &numbers, lost..=lost)?;
    }
    light(&mut bed, cases, 1, true)?;
    numbers.push(1);
    reach(&mut bed, cases, &numbers, 1..=1)
}

/// Breaks a member of every LAG, or repairs it.
fn light(bed: &mut Bed, cases: &[Case], member: u32, up: bool) -> Result<(), Failed> {
    bed.mark();
    let mut netlink = Netlink::open_in(bed.namespace("a"))?;
    for number in 0..cases.len() {
        let index = side(number, "a").hidden + member;
        link::set_up(&mut netlink, "a", &name(number), index, up);
    }
    Ok(netlink.commit()?)
}

/// Waits until these members distribute at both ends of every LAG, or no longer do: of `numbers`, those that distributed one
/// after the other, now the last. An end is up with as many as it demands, never with fewer, and so is the kernel's bond.
fn reach(
    bed: &mut Bed,
    cases: &[Case],
    numbers: &[u32],
    changed: RangeInclusive<u32>,
) -> Result<(), Failed> {
    let &[.., before, after] = numbers else {
        return Err("no change".into());
    };
    // A member that comes back may leave again first: its ends still know what they heard of each other before.
    let again = numbers.len() > 2 && after > before;
    let within = if after > before { UP } else { DOWN };
    for router in ["a", "b"] {
        for (number, case) in cases.iter().enumerate() {
            let what = format!("{case:?}: {router} with {after} members after {before}");
            for member in changed.clone() {
                bed.wait(&what, within, |fact| {
                    is_spread(fact, number, router, member, after > before)
                })?;
            }
            let (was, is) = (case.is_up(router, before), case.is_up(router, after));
            if was != is {
                bed.wait(&what, within, |fact| is_lag(fact, number, router, is))?;
            }
            let told: Vec<(bool, u8)> = told(bed, number, router).collect();
            let by_number = |(up, n): &(bool, u8)| *up == case.is_up(router, u32::from(*n));
            let mut wanted: Vec<bool> = numbers.iter().map(|n| case.is_up(router, *n)).collect();
            wanted.dedup();
            let ups: Vec<bool> = [false]
                .into_iter()
                .chain(told.iter().map(|told| told.0))
                .collect();
            if !told.iter().all(by_number) || !again && ups != wanted {
                return Err(format!("{what}: up, with how many: {told:?}").into());
            }
        }
        if again {
            continue;
        }
        let bonds = bed.ip(router, "-o link show type bond")?;
        for (number, case) in cases.iter().enumerate() {
            let shown = format!(" {}.b: ", name(number));
            let shown = bonds.lines().find(|line| line.contains(&shown));
            let carrier = shown.map(|line| !line.contains("NO-CARRIER"));
            let wanted = case
                .half(router)
                .0
                .kernel
                .then(|| case.is_up(router, after));
            if carrier != wanted {
                return Err(format!("{case:?}: {router} with {after} members: {shown:?}").into());
            }
        }
    }
    Ok(())
}

/// What was told of an end: whether it is up, with so many members.
fn told(bed: &Bed, number: usize, at: &str) -> impl Iterator<Item = (bool, u8)> {
    bed.seen.iter().filter_map(move |entry| match &entry.fact {
        Fact::Lag {
            up, distributing, ..
        } if is_lag(&entry.fact, number, at, *up) => Some((*up, *distributing)),
        _ => None,
    })
}

/// What each end says of itself is what the other holds of it: ours and the kernel's, and two of the kernel's.
fn both_views() -> Result<(), Failed> {
    let right = half(true, true, true);
    let cases = [false, true].map(|kernel| Case {
        a: half(kernel, true, true),
        b: right,
        members: 2,
        min_links: [1, 1],
    });
    let mut bed = bed(&cases)?;
    for (number, case) in cases.iter().enumerate() {
        for router in ["a", "b"] {
            for member in 1..=case.members {
                let what = format!("{case:?}: member {member} at {router} knows its partner whole");
                let wanted = if router == "a" { 200 } else { 100 };
                bed.wait(&what, UP, |fact| {
                    matches!(fact, Fact::LacpPartner { router: at, connection, member: of, seen: LacpSeen::Says(heard) }
                        if at == router && *connection == name(number) && u32::from(*of) == member
                            && heard.system_priority == wanted && heard.port != 0
                            && heard.means_us == Some(true) && heard.says("distributing"))
                })?;
            }
        }
        // What is measured: rhythm and answers to markers, seen by the bond as by ours.
        for router in ["a", "b"] {
            let end = End {
                router: router.into(),
                connection: name(number),
            };
            bed.line.lag(end, Admin::AskMarker { port: None });
            for member in 1..=case.members {
                let mut seen = |what: &str, is: fn(&LacpSeen) -> bool| {
                    let what = format!("{case:?}: {what} of member {member} at {router}");
                    bed.wait(&what, UP, |fact| {
                        matches!(fact, Fact::LacpPartner { router: at, connection, member: of, seen }
                            if at == router && *connection == name(number) && u32::from(*of) == member && is(seen))
                    })
                };
                seen("answer", |seen| matches!(seen, LacpSeen::MarkerAnswered(_)))?;
                seen(
                    "rhythm",
                    |seen| matches!(seen, LacpSeen::Rhythm(rhythm) if rhythm.intervals >= 2 && rhythm.early == 0),
                )?;
            }
        }
        // Both have said all they have to say.
        let ask = |router: &str| {
            let end = End {
                router: router.into(),
                connection: name(number),
            };
            bed.answer(bed.line.inspect_lag(end))
        };
        let (a, b) = (ask("a")?, ask("b")?);
        for (near, far) in [(&a, &b), (&b, &a)] {
            for (actor, port) in near.actors.iter().zip(&far.ports) {
                if port.partner != Some(*actor) {
                    return Err(format!("{case:?}: {actor:?} is held for {port:?}").into());
                }
            }
            let sent = near.counters.iter().map(|counted| counted.lacpdus_sent);
            if near.counters.len() != 2 || sent.min() == Some(0) {
                return Err(format!("{case:?}: {:?}", near.counters).into());
            }
        }
    }
    Ok(())
}

/// As iproute2 reads them from the kernel.
fn settings() -> Result<(), Failed> {
    let case = Case {
        a: half(false, true, true),
        b: half(true, false, false),
        members: 3,
        min_links: [2, 2],
    };
    let policies = [
        (HashPolicy::Layer2, "layer2"),
        (HashPolicy::Layer23, "layer2+3"),
        (HashPolicy::Layer34, "layer3+4"),
        (HashPolicy::Encap23, "encap2+3"),
        (HashPolicy::Encap34, "encap3+4"),
        (HashPolicy::VlanSrcMac, "vlan+srcmac"),
    ];
    let bed = cables(&policies.map(|_| case))?;
    for (number, (hash_policy, policy)) in policies.into_iter().enumerate() {
        let (mut config, links) = config(number, &case, "b");
        config.key = 700 + number as u16;
        let options = BondOptions {
            hash_policy,
            miimon: Duration::from_millis(70),
        };
        let end = End {
            router: "b".into(),
            connection: name(number),
        };
        let hidden = side(number, "b").hidden;
        let place = bed.namespace("b");
        BondLag::open(place, end, (&config, options), hidden, &links)?;
        let shown = bed.ip("b", &format!("-d link show dev {}.b", name(number)))?;
        let system = config.system.map(|byte| format!("{byte:02x}")).join(":");
        for wanted in [
            "mode 802.3ad ".to_owned(),
            "miimon 70 ".to_owned(),
            format!("xmit_hash_policy {policy} "),
            "min_links 2 ".to_owned(),
            "lacp_active off ".to_owned(),
            "lacp_rate slow ".to_owned(),
            "ad_actor_sys_prio 200 ".to_owned(),
            format!("ad_user_port_key {} ", config.key),
            format!("ad_actor_system {system} "),
        ] {
            if !shown.contains(&wanted) {
                return Err(format!("no `{wanted}` in {shown}").into());
            }
        }
    }
    Ok(())
}

fn both_passive() -> Result<(), Failed> {
    let case = Case {
        a: half(false, true, false),
        b: half(true, true, false),
        members: 2,
        min_links: [1, 1],
    };
    let mut bed = bed(&[case])?;
    bed.wait("light", UP, |fact| matches!(fact, Fact::Light { .. }))?;
    let up = |fact: &Fact| is_lag(fact, 0, "a", true) || is_lag(fact, 0, "b", true);
    bed.quiet("a LAG of two silent ends", Duration::from_secs(5), up)
}

/// A bond at `a` with ours at `b`, which refuses something once both are up.
fn refused(refuses: Refusal) -> Result<Bed, Failed> {
    let case = Case {
        a: half(true, true, true),
        b: half(false, true, true),
        members: 1,
        min_links: [1, 1],
    };
    let mut bed = bed(&[case])?;
    for router in ["a", "b"] {
        bed.wait("up", UP, |fact| is_lag(fact, 0, router, true))?;
    }
    let how = Misbehaviour {
        refuses: Some(refuses),
        ..Misbehaviour::default()
    };
    bed.mark();
    let end = End {
        router: "b".into(),
        connection: name(0),
    };
    bed.line.lag(end, Admin::Misbehave { port: None, how });
    Ok(bed)
}

/// Sends a frame of data at `from`, which must be seen at `at`.
fn seen_early(bed: &mut Bed, (from, link): (&str, u32), at: &str) -> Result<(), Failed> {
    let early = |fact: &Fact| match fact {
        Fact::LacpPartner {
            router,
            seen: LacpSeen::EarlyData(data),
            ..
        } => router == at && data.first.starts_with("EtherType 0x88b5"),
        _ => false,
    };
    // It has heard the refusal, and told so, and had a second more.
    bed.quiet("data", Duration::from_secs(3), early)?;
    let socket = bed.namespace(from).run(|| Socket::slow_protocols(link))??;
    let mut frame = [0; 60];
    frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5]);
    socket.send(&frame)?;
    bed.wait("early data", DOWN, early)?;
    Ok(())
}

/// A bond does not mind that its partner does not collect: it goes on sending what its router gives it.
fn of_a_bond() -> Result<(), Failed> {
    let mut bed = refused(Refusal::Collecting)?;
    bed.ip("a", &format!("link set {} up", name(0)))?;
    seen_early(&mut bed, ("a", side(0, "a").index), "b")
}

/// A bond that does not collect, and whose partner sends data.
fn by_a_bond() -> Result<(), Failed> {
    let mut bed = refused(Refusal::Synchronization)?;
    bed.wait("stopped", DOWN, |fact| is_spread(fact, 0, "a", 1, false))?;
    seen_early(&mut bed, ("b", side(0, "b").hidden + 1), "a")
}
