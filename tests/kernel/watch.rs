//! The watcher hears what `ip` does to routes, next-hop objects and links.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use ipnet::Ipv4Net;
use libtest_mimic::{Failed, Trial};
use peerlab::kernel::apply::Network;
use peerlab::kernel::namespace::Namespace;
use peerlab::kernel::netlink::Netlink;
use peerlab::kernel::route;
use peerlab::kernel::watch::{Carrier, Watch, Watcher};
use peerlab::record::{Entries, Fact, Recorder};
use peerlab::time::Clock;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::build;

const PREFIX: &str = "203.0.113.0/24";
const PATIENCE: Duration = Duration::from_secs(10);

type Outcome = Result<(), Failed>;

pub fn tests() -> Vec<Trial> {
    vec![
        Trial::test("watch::routes_are_followed", routes),
        Trial::test("watch::next_hop_objects_are_followed", next_hops),
        Trial::test("watch::carrier_is_handed_over", carrier),
        Trial::test("watch::lost_events_are_made_good", lost),
    ]
}

fn ip(namespace: &Namespace, arguments: &str) {
    let status = namespace
        .run(|| {
            Command::new("ip")
                .args(arguments.split_whitespace())
                .status()
        })
        .expect("the namespace can be entered")
        .expect("ip is installed");
    assert!(status.success(), "ip {arguments}");
}

/// A watched network, and where its facts and carriers come out.
struct Watched {
    network: Network,
    facts: Entries,
    carriers: UnboundedReceiver<Carrier>,
    _watcher: Watcher,
}

impl Watched {
    fn start() -> Result<Watched, Failed> {
        let network = Network::build(&build::plan())?;
        let (recorder, facts) = Recorder::new(Clock::start());
        let watch = Watch {
            router: "b".into(),
            namespace: network.namespaces["b"].clone(),
            prefixes: vec![PREFIX.parse()?, "0.0.0.0/0".parse()?],
            links: vec!["one".into()],
        };
        let (watcher, carriers) = Watcher::start(recorder, vec![watch])?;
        Ok(Watched {
            network,
            facts,
            carriers,
            _watcher: watcher,
        })
    }

    fn b(&self) -> &Namespace {
        &self.network.namespaces["b"]
    }

    /// Waits for the next fact; a route's as `PREFIX: interfaces`.
    fn fact(&mut self) -> String {
        match wait(self.facts.recv()).fact {
            Fact::KernelRoute { prefix, via, .. } => format!("{prefix}: {}", via.join(" ")),
            other => format!("{other:?}"),
        }
    }
}

fn wait<T>(event: impl Future<Output = Option<T>>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime
        .block_on(async { tokio::time::timeout(PATIENCE, event).await })
        .expect("the event came in time")
        .expect("the watcher lives")
}

fn routes() -> Outcome {
    let mut watched = Watched::start()?;
    assert_eq!(
        watched.fact(),
        "0.0.0.0/0: one two",
        "the state at the start"
    );
    ip(
        watched.b(),
        &format!("route add {PREFIX} via 10.0.0.0 metric 20"),
    );
    assert_eq!(watched.fact(), format!("{PREFIX}: one"));
    ip(
        watched.b(),
        &format!("route replace {PREFIX} metric 20 nexthop via 10.0.0.2 nexthop via 10.0.0.0"),
    );
    assert_eq!(watched.fact(), format!("{PREFIX}: one two"));
    ip(
        watched.b(),
        &format!("route add {PREFIX} via 10.0.0.2 metric 1000"),
    );
    ip(watched.b(), &format!("route del {PREFIX} metric 20"));
    assert_eq!(watched.fact(), format!("{PREFIX}: two"));
    // The kernel takes routes of a link that is set down away without an event.
    ip(watched.b(), "link set two down");
    let mut facts = [watched.fact(), watched.fact()];
    facts.sort();
    assert_eq!(facts, ["0.0.0.0/0: one".to_owned(), format!("{PREFIX}: ")]);
    Ok(())
}

fn next_hops() -> Outcome {
    let mut watched = Watched::start()?;
    watched.fact();
    ip(watched.b(), "nexthop add id 1 via 10.0.0.0 dev one");
    ip(watched.b(), "nexthop add id 2 via 10.0.0.2 dev two");
    ip(watched.b(), "nexthop add id 9 group 1/2");
    ip(watched.b(), &format!("route add {PREFIX} nhid 9"));
    assert_eq!(watched.fact(), format!("{PREFIX}: one two"));
    ip(watched.b(), "nexthop replace id 9 group 2");
    assert_eq!(watched.fact(), format!("{PREFIX}: two"));
    // Next hops of a link without carrier go, and their routes with them, without an event.
    ip(&watched.network.namespaces["a"], "link set two down");
    assert_eq!(watched.fact(), format!("{PREFIX}: "));
    Ok(())
}

fn carrier() -> Outcome {
    let mut watched = Watched::start()?;
    let mut next = || {
        let carrier = wait(watched.carriers.recv());
        (carrier.link, carrier.up)
    };
    assert_eq!(next(), ("one".to_owned(), true));
    let a = &watched.network.namespaces["a"];
    ip(a, "link set two down");
    ip(a, "link set one down");
    assert_eq!(next(), ("one".to_owned(), false), "two is not watched");
    ip(a, "link set one up");
    assert_eq!(next(), ("one".to_owned(), true));
    Ok(())
}

/// More and more watchers hear the same flood, until the one thread that reads for all of them falls behind.
fn lost() -> Outcome {
    for watchers in [40, 80, 160, 320] {
        if flood(watchers)? > 0 {
            return Ok(());
        }
    }
    Err("this machine reads faster than the test writes".into())
}

/// Floods watchers with routes, and checks that each tells the state at the end, once; how often events were lost.
fn flood(watchers: usize) -> Result<usize, Failed> {
    let network = Network::build(&build::plan())?;
    let (recorder, mut facts) = Recorder::new(Clock::start());
    let watch = |number: usize| Watch {
        router: format!("b{number}"),
        namespace: network.namespaces["b"].clone(),
        prefixes: vec![PREFIX.parse().expect("a prefix")],
        links: Vec::new(),
    };
    let (_watcher, _carriers) = Watcher::start(recorder, (0..watchers).map(watch).collect())?;
    let mut netlink = Netlink::open_in(&network.namespaces["b"])?;
    let gateway = [[10, 0, 0, 2].into()];
    for n in 0..40_000_u32 {
        let other = Ipv4Net::new((0x0b00_0000 + n * 256).into(), 24)?;
        route::add(&mut netlink, "b", other.into(), &gateway, 0);
    }
    route::add(&mut netlink, "b", PREFIX.parse()?, &gateway, 0);
    netlink.commit()?;

    let (mut lost, mut told) = (0, BTreeSet::new());
    while told.len() < watchers {
        match wait(facts.recv()).fact {
            Fact::EventsLost { .. } => lost += 1,
            Fact::KernelRoute { router, via, .. } if via == ["two"] => {
                assert!(told.insert(router), "told once");
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
    Ok(lost)
}
