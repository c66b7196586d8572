//! A router against a naive model of it: whatever its neighbours do, its kernel has the routes that a plain reading of
//! RFC 4271 would put there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;

use super::net::{Net, ms, net};
use crate::bgp::policy::{Change, Match, Policy, Rule, Verdict};
use crate::bgp::session::State;
use crate::router::{
    Input, Originated, OriginatedAttributes, RouterConfig, RouterOptions, SessionIndex,
    SessionSpec, Sessions,
};

const PEERS: u8 = 3;
/// Two of them are of one AS.
const ASNS: [u32; 3] = [64501, 64501, 64502];
const HUB: u32 = 64500;

/// What the model knows of a neighbour.
#[derive(Debug, Default, Clone)]
struct Neighbour {
    /// What it announces: length of the path behind its AS, and MED.
    routes: BTreeMap<IpNet, (usize, Option<u32>)>,
    /// LOCAL_PREF its routes get, or none is let in.
    preference: Option<u32>,
}

fn prefix(n: u8) -> IpNet {
    net(&format!("20.0.{}.0/24", n % 6))
}

fn network() -> Net {
    let address = |link: u8, side: u8| Ipv4Addr::new(10, 9, link, side);
    let router = |name: &str, asn, id, sessions| RouterConfig {
        name: name.to_owned(),
        asn,
        router_id: Ipv4Addr::new(10, 0, 0, id),
        sessions,
        originate: Vec::new(),
        multipath: 8,
        options: RouterOptions::default(),
    };
    let to = |n: u8| {
        let name = format!("p{n}");
        let asn = ASNS[usize::from(n)];
        SessionSpec::new(&name, &name, address(n, 0), address(n, 1), 31, asn)
    };
    let hub = router("hub", HUB, 1, (0..PEERS).map(to).collect());
    let peers = (0..PEERS).map(|n| {
        let session = SessionSpec::new("hub", "hub", address(n, 1), address(n, 0), 31, HUB);
        router(&format!("p{n}"), ASNS[usize::from(n)], 2 + n, vec![session])
    });
    Net::new(std::iter::once(hub).chain(peers).collect(), ms(1))
}

/// The sessions over which each prefix is to go.
fn expected(net: &Net, neighbours: &[Neighbour]) -> BTreeMap<IpNet, BTreeSet<String>> {
    let mut routes = BTreeMap::new();
    for n in 0..6 {
        let prefix = prefix(n);
        // Preferred is what comes first: (less) local preference, path length.
        let mut usable: Vec<(u32, usize, u32, u32, usize)> = Vec::new();
        for (n, neighbour) in neighbours.iter().enumerate() {
            let up = net.routers[0].state(SessionIndex(n as u16)) == State::Established;
            if let (true, Some(preference), Some((length, med))) =
                (up, neighbour.preference, neighbour.routes.get(&prefix))
            {
                let med = med.unwrap_or(0);
                usable.push((u32::MAX - preference, *length, ASNS[n], med, n));
            }
        }
        let best = usable.iter().map(|route| (route.0, route.1)).min();
        usable.retain(|route| Some((route.0, route.1)) == best);
        let lowest = |asn: u32| usable.iter().filter(|r| r.2 == asn).map(|r| r.3).min();
        let used = usable
            .iter()
            .filter(|route| Some(route.3) == lowest(route.2));
        let used: BTreeSet<String> = used.map(|route| format!("p{}", route.4)).collect();
        if !used.is_empty() {
            routes.insert(prefix, used);
        }
    }
    routes
}

/// Whether each session is established, as the hub and as the neighbour see it.
fn states(net: &Net) -> Vec<(bool, bool)> {
    let up = |router: usize, session: u8| {
        let session = SessionIndex(session.into());
        net.routers[router].state(session) == State::Established
    };
    let both = (0..PEERS).map(|n| (up(0, n), up(usize::from(n) + 1, 0)));
    both.collect()
}

fn act(net: &mut Net, neighbours: &mut [Neighbour], (what, n, which, value): (u8, u8, u8, u8)) {
    let n = usize::from(n % PEERS);
    let (router, session, prefix) = (n + 1, SessionIndex(n as u16), prefix(which));
    match what {
        0..=4 => {
            let med = (value % 3 > 0).then_some(u32::from(value % 3));
            let length = usize::from(value / 3 % 3);
            neighbours[n].routes.insert(prefix, (length, med));
            let attributes = OriginatedAttributes {
                as_path: vec![65000; length],
                med,
                ..OriginatedAttributes::default()
            };
            let sessions = Sessions::All;
            net.input(
                router,
                Input::Announce(Originated {
                    prefix,
                    attributes,
                    sessions,
                }),
            );
        }
        5 | 6 => {
            neighbours[n].routes.remove(&prefix);
            let sessions = Sessions::All;
            net.input(router, Input::Withdraw { prefix, sessions });
        }
        7 => {
            let reason = "test";
            net.input(0, Input::Stop { session, reason });
        }
        8 | 9 => net.input(0, Input::StartSession { session }),
        10 => net.input(0, Input::Crash),
        11 => net.input(0, Input::Start),
        12 => net.input(
            router,
            Input::RequestRefresh {
                session: SessionIndex(0),
            },
        ),
        _ => {
            neighbours[n].preference = (value % 3 > 0).then_some(u32::from(value % 3) * 100);
            let policy = match neighbours[n].preference {
                None => Policy::deny_all(),
                Some(preference) => {
                    let all = Match::PrefixLength(0..=32);
                    let rule = Rule::set(vec![all], vec![Change::LocalPref(preference)]);
                    Policy::new(vec![rule], Verdict::Accept)
                }
            };
            net.input(
                0,
                Input::Policy {
                    session,
                    import: Some(Arc::new(policy)),
                    export: None,
                },
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_kernel_has_what_a_plain_reading_would_put_there(
        steps in vec(((0..15_u8, any::<u8>(), any::<u8>(), any::<u8>()), 0..400_u64), 1..60),
    ) {
        let mut net = network();
        let mut neighbours = vec![
            Neighbour { preference: Some(100), ..Neighbour::default() };
            usize::from(PEERS)
        ];
        net.start();
        net.run(ms(100));
        for (step, wait) in steps {
            act(&mut net, &mut neighbours, step);
            net.run(ms(wait));
            // Whatever is on its way arrives. Where a session came up or went meanwhile, the next step is looked at.
            let before = states(&net);
            net.run(ms(10));
            let after = states(&net);
            if before != after || after.iter().any(|(hub, peer)| hub != peer) {
                continue;
            }
            let wanted = expected(&net, &neighbours);
            let kernel: BTreeMap<IpNet, BTreeSet<String>> = net.fibs[0]
                .iter()
                .map(|(prefix, hops)| {
                    let names = hops.iter().map(|hop| hop.interface.to_string());
                    (*prefix, names.collect())
                })
                .collect();
            prop_assert_eq!(&kernel, &wanted);
            prop_assert_eq!(net.routers[0].loc_rib().len(), wanted.len());
            for n in 0..PEERS {
                let table = net.routers[0].adj_rib_in(SessionIndex(n.into()));
                let table = table.expect("a session");
                let up = net.routers[0].state(SessionIndex(n.into())) == State::Established;
                let held = if up { neighbours[usize::from(n)].routes.len() } else { 0 };
                prop_assert_eq!(table.len(), held);
                prop_assert_eq!(table.iter().count(), held);
            }
        }
    }
}
