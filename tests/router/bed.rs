//! Two namespaces, two links, two routers: what all tests of this binary share.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use libtest_mimic::Failed;
use peerlab::kernel::namespace::Namespace;
use peerlab::record::{Entries, Entry, Recorder};
use peerlab::router::driver::{Driver, RouterHandle};
use peerlab::router::{
    Originated, OriginatedAttributes, RouterConfig, RouterOptions, SessionIndex, SessionSpec,
    Sessions,
};
use peerlab::time::Clock;
use serde_json::Value;

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const EDGE_ASN: u32 = 8075;
pub const PEER_ASN: u32 = 64500;

/// Two namespaces with two links between them.
pub struct Bed {
    pub edge: Arc<Namespace>,
    pub peer: Arc<Namespace>,
    pub recorder: Recorder,
    pub facts: Entries,
}

/// The two addresses of a link: the peer's is even, the edge's odd.
pub fn address(link: u8, edge: bool) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, link, u8::from(edge))
}

impl Bed {
    pub fn new() -> Result<Bed, Failed> {
        let (edge, peer) = (Arc::new(Namespace::new()?), Arc::new(Namespace::new()?));
        let peer_fd = format!("/proc/{}/fd/{}", std::process::id(), peer.fd().as_raw_fd());
        for n in 0..2 {
            // Different indexes at both ends: link events of veth pairs are prompt only then.
            let (e, p) = (10 + n, 20 + n);
            ip(
                &edge,
                &format!(
                    "link add l{n} index {e} type veth peer name l{n} index {p} netns {peer_fd}"
                ),
            )?;
            ip(&edge, &format!("addr add {}/31 dev l{n}", address(n, true)))?;
            ip(
                &peer,
                &format!("addr add {}/31 dev l{n}", address(n, false)),
            )?;
            ip(&peer, &format!("link set l{n} up"))?;
            ip(&edge, &format!("link set l{n} up"))?;
        }
        let (recorder, facts) = Recorder::new(Clock::start());
        Ok(Bed {
            edge,
            peer,
            recorder,
            facts,
        })
    }

    /// Starts a router on the runtime of the caller.
    pub fn start(&self, config: RouterConfig) -> Result<RouterHandle, Failed> {
        let namespace = if config.name == "edge" {
            &self.edge
        } else {
            &self.peer
        };
        let (driver, handle) =
            Driver::open(Arc::clone(namespace), config, 1, self.recorder.clone())?;
        tokio::spawn(driver.run());
        Ok(handle)
    }

    /// Waits until a condition holds that can only come true with a fact.
    pub async fn until(
        &mut self,
        what: &str,
        mut holds: impl AsyncFnMut() -> Result<bool, Failed>,
    ) -> Result<Vec<Entry>, Failed> {
        let mut seen = Vec::new();
        let wait = async {
            while !holds().await? {
                let entry = self.facts.recv().await.ok_or("no more facts")?;
                seen.push(entry);
                while let Ok(entry) = self.facts.try_recv() {
                    seen.push(entry);
                }
            }
            Ok(())
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(result) => result.map(|()| seen),
            Err(_) => Err(format!("never came: {what}; facts: {seen:#?}").into()),
        }
    }

    /// Waits until the kernel routes of a namespace are these.
    pub async fn until_routes(
        &mut self,
        edge: bool,
        wanted: &BTreeMap<String, Vec<String>>,
    ) -> Result<Vec<Entry>, Failed> {
        let namespace = Arc::clone(if edge { &self.edge } else { &self.peer });
        let facts = self
            .until("kernel routes", async || Ok(routes(&namespace)? == *wanted))
            .await;
        facts.map_err(|failed| {
            let found = routes(&namespace).map(|routes| routes.len());
            format!(
                "{} routes in the kernel, wanted {}; {}",
                found.unwrap_or_default(),
                wanted.len(),
                failed.message().unwrap_or_default()
            )
            .into()
        })
    }
}

pub fn ip(namespace: &Namespace, arguments: &str) -> Result<String, Failed> {
    let mut command = Command::new("ip");
    command.args(arguments.split(' '));
    namespace.enter_on_exec(&mut command)?;
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("ip {arguments}: {said}").into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The kernel's BGP routes: prefix and interfaces.
pub fn routes(namespace: &Namespace) -> Result<BTreeMap<String, Vec<String>>, Failed> {
    routes_of(namespace, "bgp")
}

pub fn routes_of(
    namespace: &Namespace,
    protocol: &str,
) -> Result<BTreeMap<String, Vec<String>>, Failed> {
    shown(namespace, &format!("proto {protocol}"))
}

/// The kernel's BGP routes to what lies in a prefix.
pub fn routes_to(
    namespace: &Namespace,
    prefix: &str,
) -> Result<BTreeMap<String, Vec<String>>, Failed> {
    shown(namespace, &format!("root {prefix} proto bgp"))
}

fn shown(namespace: &Namespace, which: &str) -> Result<BTreeMap<String, Vec<String>>, Failed> {
    let text = ip(namespace, &format!("-j -d route show {which}"))?;
    let list: Vec<Value> = match text.trim() {
        "" => Vec::new(),
        text => serde_json::from_str(text)?,
    };
    let name = |hop: &Value| hop["dev"].as_str().unwrap_or_default().to_owned();
    let route = |route: &Value| {
        let mut via: Vec<String> = match route["nexthops"].as_array() {
            Some(hops) => hops.iter().map(name).collect(),
            None => vec![name(route)],
        };
        via.sort();
        (route["dst"].as_str().unwrap_or_default().to_owned(), via)
    };
    Ok(list.iter().map(route).collect())
}

pub fn edge_prefixes() -> impl Iterator<Item = Ipv4Net> {
    (0..280u32).map(|n| Ipv4Net::new_assert(Ipv4Addr::from(0x6440_0000 + (n << 8)), 24))
}

pub fn peer_prefixes() -> impl Iterator<Item = Ipv4Net> {
    (0..10).map(|n| Ipv4Net::new_assert(Ipv4Addr::new(198, 18, n, 0), 24))
}

pub fn all(prefixes: impl Iterator<Item = Ipv4Net>, via: &[&str]) -> BTreeMap<String, Vec<String>> {
    let via: Vec<String> = via.iter().map(|name| (*name).to_owned()).collect();
    prefixes
        .map(|prefix| (prefix.to_string(), via.clone()))
        .collect()
}

/// One side with both sessions and its routes.
pub fn config(edge: bool, adapt: impl Fn(&mut SessionSpec)) -> RouterConfig {
    let prefixes: Vec<Ipv4Net> = if edge {
        edge_prefixes().collect()
    } else {
        peer_prefixes().collect()
    };
    RouterConfig {
        name: if edge { "edge" } else { "peer" }.into(),
        asn: if edge { EDGE_ASN } else { PEER_ASN },
        router_id: address(0, edge),
        sessions: (0..2)
            .map(|link| {
                let mut session = SessionSpec::new(
                    &format!("s{link}"),
                    &format!("l{link}"),
                    address(link, edge),
                    address(link, !edge),
                    31,
                    if edge { PEER_ASN } else { EDGE_ASN },
                );
                session.record_routes = edge;
                adapt(&mut session);
                session
            })
            .collect(),
        originate: prefixes.into_iter().map(originated).collect(),
        multipath: 8,
        options: RouterOptions::default(),
    }
}

/// A route announced on all sessions, with a community to be found again.
pub fn originated(prefix: Ipv4Net) -> Originated {
    Originated {
        prefix: prefix.into(),
        attributes: OriginatedAttributes {
            communities: vec![EDGE_ASN << 16 | 8007],
            ..OriginatedAttributes::default()
        },
        sessions: Sessions::All,
    }
}

pub fn run(test: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(test)
}

pub fn expect<T: PartialEq + std::fmt::Debug>(found: T, wanted: T) -> Result<(), Failed> {
    if found == wanted {
        Ok(())
    } else {
        Err(format!("found {found:?}, wanted {wanted:?}").into())
    }
}

/// Starts both sides and waits for all routes over both links.
pub async fn both(
    bed: &mut Bed,
    adapt: impl Fn(&mut SessionSpec) + Copy,
) -> Result<(RouterHandle, RouterHandle), Failed> {
    let edge = bed.start(config(true, adapt))?;
    let peer = bed.start(config(false, adapt))?;
    for handle in [&edge, &peer] {
        for session in [SessionIndex(0), SessionIndex(1)] {
            handle.bfd(session, true);
        }
    }
    bed.until_routes(false, &all(edge_prefixes(), &["l0", "l1"]))
        .await?;
    bed.until_routes(true, &all(peer_prefixes(), &["l0", "l1"]))
        .await?;
    Ok((edge, peer))
}
