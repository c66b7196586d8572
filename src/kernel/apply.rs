//! A [`Plan`] becomes a [`Network`].
//!
//! One thread moves from each new namespace to the next and leaves a descriptor and a netlink socket behind in each.
//! Then all links are made, then everything on them, with one batch for each namespace and one wait for each batch.
//!
//! **Invariant:** when anything failed nothing stays: dropping the descriptors takes all namespaces and links away.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use super::link::{self, LOOPBACK, VethEnd};
use super::namespace::{Namespace, NamespaceError};
use super::netlink::{Netlink, NetlinkError, Refusal};
use super::sysctl::{Settings, SysctlError};
use super::{address, filter, route};
use crate::plan::{LinkEnd, Plan, Work};

/// The namespaces and links of a plan, alive as long as this value or something in them.
#[derive(Debug, Default)]
pub struct Network {
    /// Namespaces by the plan's names.
    pub namespaces: BTreeMap<String, Arc<Namespace>>,
    /// Interface indexes: namespace, then link.
    pub links: BTreeMap<String, BTreeMap<String, u32>>,
}

/// All that failed while a network was built.
#[derive(Debug)]
pub struct BuildError {
    /// At least one.
    pub faults: Vec<BuildFault>,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BuildError {}

/// One thing that failed while a network was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildFault {
    /// A namespace.
    #[error("{name}: {source}")]
    Namespace {
        /// Its name in the plan.
        name: String,
        /// Why.
        source: NamespaceError,
    },
    /// A setting of a namespace.
    #[error("{name}: {source}")]
    Sysctl {
        /// The namespace's name in the plan.
        name: String,
        /// Why.
        source: SysctlError,
    },
    /// The kernel refused a message.
    #[error("{0}")]
    Refused(Refusal),
    /// A netlink socket failed.
    #[error("{name}: {source}")]
    Netlink {
        /// The namespace's name in the plan.
        name: String,
        /// Why.
        source: NetlinkError,
    },
    /// The plan is wrong: it refers to something it did not make.
    #[error("`{work}` refers to {missing}, which no earlier work makes")]
    Unmade {
        /// The work.
        work: String,
        /// What it misses.
        missing: String,
    },
}

impl Network {
    /// Builds what the plan says. Needs CAP_SYS_ADMIN in the user namespace it is called in.
    ///
    /// All that failed is reported, except what could only fail because of it; nothing is left of a failed network.
    pub fn build(plan: &Plan) -> Result<Network, BuildError> {
        let built = thread::scope(|scope| {
            let builder = thread::Builder::new().name("build".into());
            match builder.spawn_scoped(scope, || build_here(plan)) {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(error) => Err(vec![BuildFault::Namespace {
                    name: "lab".to_owned(),
                    source: NamespaceError::Thread(error),
                }]),
            }
        });
        built.map_err(|faults| BuildError { faults })
    }

    /// A namespace by its name in the plan.
    pub fn namespace(&self, name: &str) -> Option<&Arc<Namespace>> {
        self.namespaces.get(name)
    }

    /// The interface index of a link.
    pub fn index(&self, namespace: &str, link: &str) -> Option<u32> {
        self.links.get(namespace)?.get(link).copied()
    }
}

/// A namespace while it is being filled.
struct Site<'a> {
    name: &'a str,
    namespace: Namespace,
    netlink: Netlink,
    links: HashMap<&'a str, u32>,
    ipv6: bool,
}

/// Builds on the calling thread, which ends up in the last namespace and must end soon.
fn build_here(plan: &Plan) -> Result<Network, Vec<BuildFault>> {
    let mut sites = make_sites(plan).map_err(|fault| vec![fault])?;
    let places: HashMap<&str, usize> = sites
        .iter()
        .enumerate()
        .map(|(place, site)| (site.name, place))
        .collect();

    let mut faults = Vec::new();
    for work in &plan.work {
        if let Work::Veth { a, b } = work
            && let Err(fault) = queue_veth(&mut sites, &places, work, a, b)
        {
            faults.push(fault);
        }
    }
    commit(&mut sites, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    silence_ipv6(&mut sites);
    for work in &plan.work {
        if let Err(fault) = queue_on_link(&mut sites, &places, work) {
            faults.push(fault);
        }
    }
    commit(&mut sites, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Network::from(sites))
}

fn make_sites(plan: &Plan) -> Result<Vec<Site<'_>>, BuildFault> {
    let mut sites = Vec::new();
    let mut settings = None;
    for work in &plan.work {
        let Work::Namespace {
            name,
            forwarding,
            ipv6,
        } = work
        else {
            continue;
        };
        let namespace = Namespace::unshare_here().map_err(|source| BuildFault::Namespace {
            name: name.clone(),
            source,
        })?;
        settings
            .get_or_insert_with(Settings::differing_here)
            .write_here(*forwarding, *ipv6)
            .map_err(|source| BuildFault::Sysctl {
                name: name.clone(),
                source,
            })?;
        let mut netlink = Netlink::open().map_err(|source| BuildFault::Netlink {
            name: name.clone(),
            source,
        })?;
        link::set_up(&mut netlink, name, "lo", LOOPBACK, true);
        sites.push(Site {
            name,
            namespace,
            netlink,
            links: HashMap::from([("lo", LOOPBACK)]),
            ipv6: *ipv6,
        });
    }
    Ok(sites)
}

fn queue_veth<'a>(
    sites: &mut [Site<'a>],
    places: &HashMap<&str, usize>,
    work: &Work,
    a: &'a LinkEnd,
    b: &'a LinkEnd,
) -> Result<(), BuildFault> {
    let place_a = place(places, work, &a.namespace)?;
    let place_b = place(places, work, &b.namespace)?;
    sites[place_a].links.insert(&a.name, a.index);
    sites[place_b].links.insert(&b.name, b.index);
    // The descriptor of b is read while the netlink socket of a is written.
    let (site, peer) = if place_a == place_b {
        let site = &mut sites[place_a];
        (&mut site.netlink, &site.namespace)
    } else {
        let [site, peer] = sites
            .get_disjoint_mut([place_a, place_b])
            .expect("two places of the same list");
        (&mut site.netlink, &peer.namespace)
    };
    link::add_veth(site, &a.namespace, end(a), end(b), peer.fd());
    Ok(())
}

/// Where the kernel has IPv6 and the plan has none, keeps it from sending anything by itself.
fn silence_ipv6(sites: &mut [Site<'_>]) {
    if !Path::new("/proc/sys/net/ipv6").exists() {
        return;
    }
    for site in sites.iter_mut().filter(|site| !site.ipv6) {
        for (name, index) in &site.links {
            link::silence_ipv6(&mut site.netlink, site.name, name, *index);
        }
    }
}

fn end(end: &LinkEnd) -> VethEnd<'_> {
    VethEnd {
        name: &end.name,
        index: end.index,
        mac: end.mac,
    }
}

fn queue_on_link(
    sites: &mut [Site<'_>],
    places: &HashMap<&str, usize>,
    work: &Work,
) -> Result<(), BuildFault> {
    match work {
        Work::Namespace { .. } | Work::Veth { .. } => Ok(()),
        Work::Address {
            namespace,
            link,
            address,
            prefix_len,
        } => {
            let site = &mut sites[place(places, work, namespace)?];
            let index = site.index(work, link)?;
            address::add(
                &mut site.netlink,
                namespace,
                (link, index),
                *address,
                *prefix_len,
            );
            Ok(())
        }
        Work::Up { namespace, link } => {
            let site = &mut sites[place(places, work, namespace)?];
            let index = site.index(work, link)?;
            link::set_up(&mut site.netlink, namespace, link, index, true);
            Ok(())
        }
        Work::Route {
            namespace,
            destination,
            via,
            metric,
        } => {
            let site = &mut sites[place(places, work, namespace)?];
            route::add(&mut site.netlink, namespace, *destination, via, *metric);
            Ok(())
        }
        Work::Clsact { namespace, link } => {
            let site = &mut sites[place(places, work, namespace)?];
            let index = site.index(work, link)?;
            filter::queue_clsact(&mut site.netlink, index);
            Ok(())
        }
    }
}

fn place(places: &HashMap<&str, usize>, work: &Work, namespace: &str) -> Result<usize, BuildFault> {
    places
        .get(namespace)
        .copied()
        .ok_or_else(|| BuildFault::Unmade {
            work: work.to_string(),
            missing: format!("namespace {namespace}"),
        })
}

impl Site<'_> {
    fn index(&self, work: &Work, link: &str) -> Result<u32, BuildFault> {
        self.links
            .get(link)
            .copied()
            .ok_or_else(|| BuildFault::Unmade {
                work: work.to_string(),
                missing: format!("link {link} in {}", self.name),
            })
    }
}

fn commit(sites: &mut [Site<'_>], faults: &mut Vec<BuildFault>) {
    for site in sites {
        match site.netlink.commit() {
            Ok(()) => {}
            Err(NetlinkError::Refused(refusals)) => {
                faults.extend(refusals.into_iter().map(BuildFault::Refused));
            }
            Err(source) => faults.push(BuildFault::Netlink {
                name: site.name.to_owned(),
                source,
            }),
        }
    }
}

impl From<Vec<Site<'_>>> for Network {
    fn from(sites: Vec<Site<'_>>) -> Network {
        let mut network = Network::default();
        for site in sites {
            let links = site
                .links
                .into_iter()
                .map(|(link, index)| (link.to_owned(), index));
            network.links.insert(site.name.to_owned(), links.collect());
            network
                .namespaces
                .insert(site.name.to_owned(), Arc::new(site.namespace));
        }
        network
    }
}
