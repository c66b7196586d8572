//! LAGs of the kernel's with ours, and with each other. They need a kernel with bonding: `scripts/uml` has one.

use libtest_mimic::{Failed, Trial};
use peerlab::kernel::bond::{self, Bond};
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::lacp::{AGGREGATE_WAIT, LagConfig, PortConfig};
use peerlab::line::{BondLag, End, LagPort};
use peerlab::plan::{LinkEnd, Work};
use peerlab::record::Fact;
use std::time::Duration;

use super::bed::Bed;

pub fn tests() -> Vec<Trial> {
    let lacks = !bonding_is_here();
    type Test = fn() -> Result<(), Failed>;
    let tests: [(&str, Test); 3] = [
        ("bond::every_combination_comes_up", combinations),
        ("bond::two_passive_ends_never_speak", both_passive),
        ("bond::min_links_decide_at_both_ends", min_links),
    ];
    let trial = |(name, test)| Trial::test(name, test).with_ignored_flag(lacks);
    tests.into_iter().map(trial).collect()
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

/// Every pair of rates and activities, ours with the kernel's and the kernel's with itself; every number of members, all
/// of them demanded.
fn every_case() -> Vec<Case> {
    let mut cases = Vec::new();
    let yes_or_no = [true, false];
    for kernel in yes_or_no {
        for (fast_a, fast_b) in [(true, true), (true, false), (false, true), (false, false)] {
            for (active_a, active_b) in [(true, true), (true, false), (false, true)] {
                cases.push(Case {
                    a: half(kernel, fast_a, active_a),
                    b: half(true, fast_b, active_b),
                    members: 2,
                    min_links: 1,
                });
            }
        }
    }
    cases.extend((1..=8).map(|members| Case {
        a: half(false, true, true),
        b: half(true, true, true),
        members,
        min_links: members as u8,
    }));
    cases
}

fn name(case: usize) -> String {
    format!("x-{case}")
}

/// Index of the hidden end of a LAG; its members follow. The two line cards have different ones.
fn hidden(case: usize, router: &str) -> u32 {
    let side = u32::from(router == "b");
    1000 + 40 * case as u32 + 20 * side
}

fn mac(index: u32) -> [u8; 6] {
    let [_, _, high, low] = index.to_be_bytes();
    [2, 0, 0, 0, high, low]
}

fn bed(cases: &[Case]) -> Result<Bed, Failed> {
    let mut work = Vec::new();
    for router in ["a", "b"] {
        work.push(Work::Namespace {
            name: router.into(),
            forwarding: false,
            ipv6: false,
        });
    }
    for (number, case) in cases.iter().enumerate() {
        let link = |router: &str, name: String, index| LinkEnd {
            namespace: router.into(),
            name,
            index,
            mac: Some(mac(index)),
        };
        for router in ["a", "b"] {
            let (index, of) = (hidden(number, router), name(number));
            work.push(Work::Veth {
                a: link(router, of.clone(), index + 15),
                b: link(router, format!("{of}.0"), index),
            });
            work.push(Work::Clsact {
                namespace: router.into(),
                link: format!("{of}.0"),
            });
        }
        for member in 1..=case.members {
            let of = format!("{}.{member}", name(number));
            let at = |router| link(router, of.clone(), hidden(number, router) + member);
            work.push(Work::Veth {
                a: at("a"),
                b: at("b"),
            });
            for router in ["a", "b"] {
                work.push(Work::Clsact {
                    namespace: router.into(),
                    link: of.clone(),
                });
                work.push(Work::Up {
                    namespace: router.into(),
                    link: of.clone(),
                });
            }
        }
    }
    let bed = Bed::new(work)?;
    for (number, case) in cases.iter().enumerate() {
        add(&bed, number, case, "a", case.a)?;
        add(&bed, number, case, "b", case.b)?;
    }
    Ok(bed)
}

fn add(bed: &Bed, number: usize, case: &Case, router: &str, half: Half) -> Result<(), Failed> {
    let hidden = hidden(number, router);
    let links: Vec<u32> = (1..=case.members).map(|member| hidden + member).collect();
    let ports = links.iter().zip(1..).map(|(link, number)| PortConfig {
        mac: mac(*link),
        number,
        priority: 128,
    });
    let config = LagConfig {
        system: mac(hidden),
        system_priority: 32768,
        key: number as u16 + 1,
        fast: half.fast,
        active: half.active,
        min_links: case.min_links,
        aggregate_wait: AGGREGATE_WAIT,
        ports: ports.collect(),
    };
    let end = End {
        router: router.into(),
        connection: name(number),
    };
    let place = bed.namespace(router);
    match half.kernel {
        true => (bed.line).add_lag(BondLag::open(place, end, &config, hidden, &links)?),
        false => (bed.line).add_lag(LagPort::open(place, end, &config, hidden, &links)?),
    }
    Ok(())
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

fn combinations() -> Result<(), Failed> {
    let cases = every_case();
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
    // The kernel tells who its partner is.
    let partner = bed.seen.iter().any(|entry| {
        matches!(&entry.fact, Fact::Member { router, partner, .. }
            if router == "b" && partner.contains("02:00:00:00:"))
    });
    match partner {
        true => Ok(()),
        false => Err("the kernel's partner was never told".into()),
    }
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

fn min_links() -> Result<(), Failed> {
    let case = Case {
        a: half(false, true, true),
        b: half(true, true, true),
        members: 3,
        min_links: 2,
    };
    let mut bed = bed(&[case])?;
    for router in ["a", "b"] {
        for member in 1..=3 {
            bed.wait("up", UP, |fact| is_spread(fact, 0, router, member, true))?;
        }
        bed.wait("up", UP, |fact| is_lag(fact, 0, router, true))?;
    }
    bed.mark();
    bed.ip("a", "link set x-0.1 down")?;
    for router in ["a", "b"] {
        bed.wait("lost", DOWN, |fact| is_spread(fact, 0, router, 1, false))?;
    }
    bed.ip("a", "link set x-0.2 down")?;
    for router in ["a", "b"] {
        bed.wait("lost", DOWN, |fact| is_lag(fact, 0, router, false))?;
    }
    // Not before the second was gone.
    let downs = bed
        .seen
        .iter()
        .filter(|entry| is_lag(&entry.fact, 0, "b", false));
    if downs.count() != 1 {
        return Err("the LAG fell with one of three members".into());
    }
    bed.mark();
    bed.ip("a", "link set x-0.1 up")?;
    for router in ["a", "b"] {
        bed.wait("back", UP, |fact| is_lag(fact, 0, router, true))?;
    }
    Ok(())
}
