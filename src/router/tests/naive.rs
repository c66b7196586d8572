//! A router against a naive model of it: whatever its neighbours do, its kernel has the routes that a plain reading of
//! RFC 4271 would put there, over restarts as RFC 4724 says; and a neighbour that wants all paths has all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use proptest::collection::vec;
use proptest::prelude::*;

use super::bed::{end, end6, graceful, router};
use super::net::{Net, ms, net};
use crate::bgp::family::{Families, Family};
use crate::bgp::policy::{Change, Match, Policy, Rule, Verdict};
use crate::bgp::session::State;
use crate::router::{Input, Originated, OriginatedAttributes, SessionIndex, SessionSpec, Sessions};

/// Neighbours, each with an IPv4 and an IPv6 session; behind them one with an IPv4 session that wants all paths.
const PEERS: usize = 3;
const SESSIONS: usize = 2 * PEERS;
const DOWN: usize = PEERS + 1;
/// Two of them are of one AS.
const ASNS: [u32; PEERS] = [64501, 64501, 64502];
const HUB: u32 = 64500;

/// Routes of a neighbour: length of the path behind its AS, and MED.
type Routes = BTreeMap<IpNet, (usize, Option<u32>)>;
/// The sessions over which each prefix goes.
type Kernel = BTreeMap<IpNet, BTreeSet<String>>;

/// What the model knows of a session of the hub.
#[derive(Debug, Clone)]
struct Model {
    /// What the neighbour announces.
    routes: Routes,
    /// What the hub has of it; `None` while that depends on what is on its way.
    held: Option<Routes>,
    /// LOCAL_PREF its routes get, or none is let in.
    preference: Option<u32>,
}

fn is_ipv6(session: usize) -> bool {
    session >= PEERS
}

fn name(session: usize) -> String {
    let family = if is_ipv6(session) { "/6" } else { "" };
    format!("p{}{family}", session % PEERS)
}

fn prefix(session: usize, n: u8) -> IpNet {
    net(&match is_ipv6(session) {
        false => format!("20.0.{}.0/24", n % 6),
        true => format!("2001:db8:{}::/48", n % 6 + 1),
    })
}

fn network(restarts: bool) -> Net {
    let end_of = |session: usize, side: u8| -> SessionSpec {
        let n = session % PEERS;
        let (name, asn) = match side {
            0 => (name(session), ASNS[n]),
            _ => (format!("hub{}", session / PEERS), HUB),
        };
        let end = if is_ipv6(session) { end6 } else { end };
        let mut spec = end(&name, n as u8, side, asn);
        if restarts {
            graceful(&mut spec, false);
        }
        spec
    };
    let mut down = end("down", 9, 0, 64510);
    down.capabilities.add_path_send = Family::Ipv4Unicast.into();
    let mut up = end("hub", 9, 1, HUB);
    up.capabilities.add_path_receive = Family::Ipv4Unicast.into();
    let of_hub = (0..SESSIONS).map(|session| end_of(session, 0));
    let hub = router("hub", HUB, 1, of_hub.chain([down]).collect());
    let mut all = vec![hub];
    for (n, asn) in ASNS.into_iter().enumerate() {
        let sessions = vec![end_of(n, 1), end_of(n + PEERS, 1)];
        all.push(router(&format!("p{n}"), asn, 2 + n as u8, sessions));
    }
    all.push(router("down", 64510, 9, vec![up]));
    Net::new(all, ms(1))
}

/// The usable routes of a prefix: (less) local preference, path length, AS, MED, session.
fn usable(model: &[Model], prefix: &IpNet) -> Vec<(u32, usize, u32, u32, usize)> {
    let mut usable = Vec::new();
    for (session, of) in model.iter().enumerate() {
        let route = of.held.as_ref().and_then(|held| held.get(prefix));
        if let (Some(preference), Some((length, med))) = (of.preference, route) {
            let asn = ASNS[session % PEERS];
            usable.push((
                u32::MAX - preference,
                *length,
                asn,
                med.unwrap_or(0),
                session,
            ));
        }
    }
    usable
}

fn expected(model: &[Model]) -> Kernel {
    let mut kernel = Kernel::new();
    for prefix in (0..6).flat_map(|n| [prefix(0, n), prefix(PEERS, n)]) {
        let mut usable = usable(model, &prefix);
        let best = usable.iter().map(|route| (route.0, route.1)).min();
        usable.retain(|route| Some((route.0, route.1)) == best);
        let lowest = |asn: u32| usable.iter().filter(|r| r.2 == asn).map(|r| r.3).min();
        let used = usable
            .iter()
            .filter(|route| Some(route.3) == lowest(route.2));
        let used: BTreeSet<String> = used.map(|route| name(route.4)).collect();
        if !used.is_empty() {
            kernel.insert(prefix, used);
        }
    }
    kernel
}

/// The AS paths a neighbour that wants all paths is told for a prefix.
fn told(model: &[Model], prefix: &IpNet) -> Vec<Vec<u32>> {
    let path = |route: &(u32, usize, u32, u32, usize)| {
        let behind = std::iter::repeat_n(65000, route.1);
        [HUB, route.2].into_iter().chain(behind).collect()
    };
    let mut told: Vec<Vec<u32>> = usable(model, prefix).iter().map(path).collect();
    told.sort();
    told
}

fn kernel(net: &Net) -> Kernel {
    let routes = net.fibs[0].iter().map(|(prefix, hops)| {
        let names = hops.iter().map(|hop| hop.interface.to_string());
        (*prefix, names.collect())
    });
    routes.collect()
}

/// Whether each session is established, as the hub and as the neighbour see it; the last is that to `down`.
fn states(net: &Net) -> Vec<(bool, bool)> {
    let up = |router: usize, session: usize| {
        let session = SessionIndex(session as u16);
        net.routers[router].state(session) == State::Established
    };
    let peers = (0..SESSIONS).map(|s| (up(0, s), up(s % PEERS + 1, s / PEERS)));
    peers.chain([(up(0, SESSIONS), up(DOWN, 0))]).collect()
}

type Step = (u8, u8, u8, u8);

fn act(net: &mut Net, model: &mut [Model], restarts: bool, (what, which, n, value): Step) {
    let session = usize::from(which) % SESSIONS;
    let (peer, prefix) = (session % PEERS + 1, prefix(session, n));
    let (index, theirs) = (
        SessionIndex(session as u16),
        SessionIndex((session / PEERS) as u16),
    );
    let sessions = Sessions::Only(vec![theirs]);
    let forget = |of: &mut Model| of.held = Some(Routes::new());
    match what {
        0..=4 => {
            let med = (value % 3 > 0).then_some(u32::from(value % 3));
            let length = usize::from(value / 3 % 3);
            model[session].routes.insert(prefix, (length, med));
            let attributes = OriginatedAttributes {
                as_path: vec![65000; length],
                med,
                ..OriginatedAttributes::default()
            };
            let route = Originated {
                prefix,
                attributes,
                sessions,
            };
            net.input(peer, Input::Announce(route));
        }
        5 | 6 => {
            model[session].routes.remove(&prefix);
            net.input(peer, Input::Withdraw { prefix, sessions });
        }
        7 => {
            forget(&mut model[session]);
            let (session, reason) = (index, "test");
            net.input(0, Input::Stop { session, reason });
        }
        8 | 9 => net.input(0, Input::StartSession { session: index }),
        10 => {
            model.iter_mut().for_each(forget);
            net.input(0, Input::Crash);
        }
        11 => net.input(0, Input::Start),
        12 => net.input(peer, Input::RequestRefresh { session: theirs }),
        // Whoever can restart keeps what it kept before, and what it had.
        13 | 14 => {
            let both = model.iter_mut().skip(session % PEERS).step_by(PEERS);
            both.filter(|_| !restarts).for_each(forget);
            let preserved = Families::ALL;
            net.input(
                peer,
                if what == 13 {
                    Input::Crash
                } else {
                    Input::Restart { preserved }
                },
            );
        }
        15 => net.input(peer, Input::Start),
        16 => {
            model.iter_mut().for_each(forget);
            let preserved = Families::ALL;
            net.input(0, Input::Restart { preserved });
        }
        _ => {
            model[session].preference = (value % 3 > 0).then_some(u32::from(value % 3) * 100);
            let policy = match model[session].preference {
                None => Policy::deny_all(),
                Some(preference) => {
                    let all = Match::PrefixLength(0..=128);
                    let rule = Rule::set(vec![all], vec![Change::LocalPref(preference)]);
                    Policy::new(vec![rule], Verdict::Accept)
                }
            };
            let (session, import, export) = (index, Some(Arc::new(policy)), None);
            net.input(
                0,
                Input::Policy {
                    session,
                    import,
                    export,
                },
            );
        }
    }
}

/// What the hub has of each session from here on, as far as that is certain.
fn look(net: &Net, model: &mut [Model], before: &[(bool, bool)], after: &[(bool, bool)]) {
    for (session, of) in model.iter_mut().enumerate() {
        let table = net.routers[0].adj_rib_in(SessionIndex(session as u16));
        let stale = table.is_some_and(|table| table.iter().any(|route| route.stale));
        let chooses = net.routers[session % PEERS + 1].deferral.is_none();
        match (before[session], after[session]) {
            ((true, true), (true, true)) if !stale && chooses => of.held = Some(of.routes.clone()),
            // What was lost was lost by what was done, and what is kept is kept.
            ((false, false), (false, false)) => {}
            _ => of.held = None,
        }
    }
}

/// The kernel, the tables, and what a neighbour is told that wants all paths, where `paths` is certain.
fn check(net: &Net, model: &[Model], paths: bool) -> Result<(), TestCaseError> {
    let wanted = expected(model);
    prop_assert_eq!(kernel(net), wanted.clone());
    prop_assert_eq!(net.routers[0].loc_rib().len(), wanted.len());
    for (session, of) in model.iter().enumerate() {
        let table = net.routers[0].adj_rib_in(SessionIndex(session as u16));
        let table = table.expect("a session");
        let held = of.held.as_ref().map_or(0, BTreeMap::len);
        prop_assert_eq!((table.len(), table.iter().count()), (held, held));
    }
    let table = net.routers[DOWN]
        .adj_rib_in(SessionIndex(0))
        .expect("a session");
    for prefix in (0..6).map(|n| prefix(0, n)).filter(|_| paths) {
        let paths = table.iter().filter(|route| route.prefix == prefix);
        let paths = paths.filter_map(|route| Some(route.attributes?.as_path.clone()));
        let mut paths: Vec<Vec<u32>> = paths.collect();
        paths.sort();
        prop_assert_eq!(paths, told(model, &prefix));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_kernel_has_what_a_plain_reading_would_put_there(
        restarts in any::<bool>(),
        steps in vec(((0..20_u8, any::<u8>(), any::<u8>(), any::<u8>()), 0..400_u64), 1..60),
    ) {
        let mut net = network(restarts);
        let fresh = Model { routes: Routes::new(), held: None, preference: Some(100) };
        let mut model = vec![fresh; SESSIONS];
        net.start();
        net.run(ms(100));
        for (step, wait) in steps {
            let frozen = kernel(&net);
            act(&mut net, &mut model, restarts, step);
            net.run(ms(wait));
            // Whatever is on its way arrives. Where a session came up or went meanwhile, the next step is looked at.
            let before = states(&net);
            net.run(ms(10));
            let after = states(&net);
            look(&net, &mut model, &before, &after);
            if net.routers[0].deferral.is_some() {
                // Section 4.1: the kernel goes on as it was, but for a next hop that is stopped by hand, or lost.
                let loses = step.0 == 7 || (!restarts && matches!(step.0, 13 | 14));
                prop_assert!(loses || kernel(&net) == frozen);
            } else if model.iter().all(|of| of.held.is_some()) {
                check(&net, &model, (before[SESSIONS], after[SESSIONS]) == ((true, true), (true, true)))?;
            }
        }
        // In the end all is well again, whatever it was.
        for session in 0..SESSIONS as u16 {
            net.input(0, Input::StartSession { session: SessionIndex(session) });
        }
        net.start();
        net.run(Duration::from_secs(200));
        let all = states(&net);
        prop_assert_eq!(&all, &vec![(true, true); SESSIONS + 1]);
        look(&net, &mut model, &all, &all);
        check(&net, &model, true)?;
    }
}

/// A next hop behind a neighbour that came back and then died is not kept until selection begins: it leads nowhere.
#[test]
fn a_neighbour_lost_while_selection_is_deferred_takes_its_next_hop_along() {
    let mut net = network(false);
    let fresh = Model {
        routes: Routes::new(),
        held: None,
        preference: Some(100),
    };
    let mut model = vec![fresh; SESSIONS];
    net.start();
    net.run(ms(100));
    let (announce, peer_crashes, hub_restarts) = (0, 13, 16);
    for peer in [0, 1] {
        act(&mut net, &mut model, false, (announce, peer, 5, 4));
    }
    net.run(ms(20));
    let hops = |net: &Net| kernel(net).remove(&prefix(0, 5)).unwrap_or_default();
    assert_eq!(hops(&net).len(), 2);
    act(&mut net, &mut model, false, (hub_restarts, 0, 0, 0));
    let first = loop {
        net.run(ms(1));
        let states = states(&net);
        if let Some(first) = (0..2).find(|peer| states[*peer] == (true, true)) {
            break first;
        }
    };
    act(
        &mut net,
        &mut model,
        false,
        (peer_crashes, first as u8, 0, 0),
    );
    net.run(ms(5));
    assert!(net.routers[0].deferral.is_some());
    assert_eq!(hops(&net), [name(1 - first)].into());
}
