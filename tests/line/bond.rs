//! LAGs of the kernel's with ours, and with each other. They need a kernel with bonding: `scripts/uml` has one.

use libtest_mimic::{Failed, Trial};
use peerlab::kernel::bond::{self, Bond, BondOptions, HashPolicy};
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::lacp::{Admin, LagConfig};
use peerlab::line::{BondLag, End, LagPort};
use peerlab::plan::Work;
use peerlab::record::{Fact, LacpSeen};
use std::time::Duration;

use super::bed::Bed;
use super::cabling::{self, Side};

pub fn tests() -> Vec<Trial> {
    let lacks = !bonding_is_here();
    type Test = fn() -> Result<(), Failed>;
    let tests: [(&str, Test); 4] = [
        ("bond::has_the_settings_it_was_given", settings),
        ("bond::both_ends_see_each_other", both_views),
        ("bond::two_passive_ends_never_speak", both_passive),
        ("bond::min_links_decide_at_both_ends", min_links),
    ];
    let tests = tests.map(|(name, test)| Trial::test(name, test));
    let matrix = (1..=8).map(|members| {
        let name = format!("bond::every_combination_comes_up::of_{members}");
        Trial::test(name, move || combinations(members))
    });
    let all = tests.into_iter().chain(matrix);
    all.map(|trial| trial.with_ignored_flag(lacks)).collect()
}

/// Two cores of a slow kernel, thirty LAGs, and Aggregate_Wait_Time.
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
    min_links: u8,
}

const fn half(kernel: bool, fast: bool, active: bool) -> Half {
    Half {
        kernel,
        fast,
        active,
    }
}

/// Every pair of rates and activities, ours with the kernel's and the kernel's with itself; every number of members is
/// demanded by some.
fn every_case(members: u32) -> Vec<Case> {
    let mut cases = Vec::new();
    for kernel in [true, false] {
        for (fast_a, fast_b) in [(true, true), (true, false), (false, true), (false, false)] {
            for (active_a, active_b) in [(true, true), (true, false), (false, true)] {
                cases.push(Case {
                    a: half(kernel, fast_a, active_a),
                    b: half(true, fast_b, active_b),
                    members,
                    min_links: 1 + (cases.len() as u32 % members) as u8,
                });
            }
        }
    }
    cases
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
        add(&bed, number, case, "a", case.a)?;
        add(&bed, number, case, "b", case.b)?;
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

fn add(bed: &Bed, number: usize, case: &Case, router: &str, half: Half) -> Result<(), Failed> {
    let (config, links) = config(number, case, router, half);
    let end = End {
        router: router.into(),
        connection: name(number),
    };
    let (place, hidden) = (bed.namespace(router), side(number, router).hidden);
    let options = BondOptions::default();
    match half.kernel {
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
fn config(number: usize, case: &Case, router: &str, half: Half) -> (LagConfig, Vec<u32>) {
    let (config, links) = side(number, router).config(case.members);
    let config = LagConfig {
        system_priority: if router == "a" { 100 } else { 200 },
        key: number as u16 + 1,
        fast: half.fast,
        active: half.active,
        min_links: case.min_links,
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

fn combinations(members: u32) -> Result<(), Failed> {
    let cases = every_case(members);
    let mut bed = bed(&cases)?;
    for (number, case) in cases.iter().enumerate() {
        for router in ["a", "b"] {
            for member in 1..=case.members {
                let what = format!("{case:?}: member {member} distributes at {router}");
                bed.wait(&what, UP, |fact| {
                    is_spread(fact, number, router, member, true)
                })?;
            }
            let what = format!("{case:?}: up at {router}");
            bed.wait(&what, UP, |fact| is_lag(fact, number, router, true))?;
        }
    }
    Ok(())
}

/// What each end says of itself is what the other holds of it: ours and the kernel's, and two of the kernel's.
fn both_views() -> Result<(), Failed> {
    let right = half(true, true, true);
    let cases = [false, true].map(|kernel| Case {
        a: half(kernel, true, true),
        b: right,
        members: 2,
        min_links: 1,
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
        min_links: 2,
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
        let (mut config, links) = config(number, &case, "b", case.b);
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
        min_links: 1,
    };
    let mut bed = bed(&[case])?;
    bed.wait("light", UP, |fact| matches!(fact, Fact::Light { .. }))?;
    let up = |fact: &Fact| is_lag(fact, 0, "a", true) || is_lag(fact, 0, "b", true);
    bed.quiet("a LAG of two silent ends", Duration::from_secs(5), up)
}

/// Of LAGs of four members each demands another number of them; they lose one after the other, and get one back.
fn min_links() -> Result<(), Failed> {
    let members = 4;
    let cases: Vec<Case> = [false, true]
        .into_iter()
        .flat_map(|kernel| {
            (1..=4).map(move |min_links| Case {
                a: half(kernel, true, true),
                b: half(true, true, true),
                members,
                min_links,
            })
        })
        .collect();
    let mut bed = bed(&cases)?;
    let all = || (0..cases.len()).flat_map(|number| ["a", "b"].map(|router| (number, router)));
    for (number, router) in all() {
        for member in 1..=members {
            bed.wait("up", UP, |fact| {
                is_spread(fact, number, router, member, true)
            })?;
        }
        bed.wait("up", UP, |fact| is_lag(fact, number, router, true))?;
    }
    for lost in 1..=members {
        bed.mark();
        for number in 0..cases.len() {
            bed.ip("a", &format!("link set {}.{lost} down", name(number)))?;
        }
        let left = members - lost;
        for (number, router) in all() {
            let what = format!("{router} loses {lost} of {:?}", cases[number]);
            bed.wait(&what, DOWN, |fact| {
                is_spread(fact, number, router, lost, false)
            })?;
            if left + 1 == u32::from(cases[number].min_links) {
                bed.wait(&what, DOWN, |fact| is_lag(fact, number, router, false))?;
            }
        }
        let fell = bed.seen.iter().filter(|entry| {
            let any = |(number, router)| is_lag(&entry.fact, number, router, false);
            all().any(any)
        });
        // Two kinds, two ends, and so far those that demand more than are left.
        if fell.count() != 4 * lost as usize {
            return Err(format!("LAGs fell too early, or not, with {left} left").into());
        }
    }
    bed.mark();
    for number in 0..cases.len() {
        bed.ip("a", &format!("link set {}.1 up", name(number)))?;
    }
    for (number, router) in all().filter(|(number, _)| cases[*number].min_links == 1) {
        bed.wait("back", UP, |fact| is_lag(fact, number, router, true))?;
    }
    Ok(())
}
