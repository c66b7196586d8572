//! A topology that is alive: built, acted on, taken down.
//!
//! [`Lab::up`] builds the network, starts the threads, the simulated routers and the devices; [`Lab::act`] does what a
//! step asks for; [`Lab::down`] ends what can say goodbye. What only has to vanish vanishes with the namespaces.
//!
//! **Invariant:** nothing here decides whether something is good; all that is observed goes to the recorder.

mod act;
mod augment;
mod bfd;
pub mod cable;
pub mod capture;
pub mod control_plane;
pub mod counters;
mod devices;
mod error;
mod impairment;
mod lacp;
pub mod lateness;
pub mod line_cards;
mod microsoft;
pub mod microsoft_routes;
pub mod monitoring;
mod needs;
mod questions;
mod registries;
mod restart;
pub mod routers;
mod served;
mod sessions;
mod traffic;
pub mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::mpsc::unbounded_channel;

use self::cable::Cables;
use self::capture::Capture;
use self::control_plane::ControlPlane;
use self::counters::Meters;
use self::devices::Devices;
pub use self::error::LabError;
use self::microsoft_routes::MicrosoftRoutes;
use self::monitoring::{Collector, Monitoring};
use self::registries::Registries;
use self::served::Served;
use self::sessions::Orders;
use crate::bgp::family::Family;
use crate::bgp::origin_validation::VrpTable;
use crate::binding::{Binding, Device};
use crate::kernel::apply::Network;
use crate::kernel::enter;
use crate::kernel::namespace::Namespace;
use crate::kernel::watch::{Watch, Watcher};
use crate::line::Line;
use crate::plan::of_topology::{ConnectionLayout, Layout, TEAMS_PREFIX, TEAMS_PREFIX_IPV6};
use crate::probe::Probe;
use crate::provider::{Provider, routing};
use crate::record::Recorder;
use crate::registry::live::Servers;
use crate::router::RouterConfig;
use crate::router::driver::RouterHandle;
use crate::scenario::{Act, Expect, Scenario, Speaker};
use crate::time::At;
use crate::topology::{NamedPolicies, Topology, session_name};

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acted {
    /// It was observed to have happened.
    Done,
    /// It was observed to have happened at this moment, before which things may have changed already for the next time.
    DoneAt(At),
    /// It could not be tried, and why.
    Impossible(String),
}

/// A topology that is alive.
pub struct Lab {
    /// What it was built from.
    topology: Topology,
    layout: Arc<Layout>,
    recorder: Recorder,
    peer_asn: u32,
    network: Network,
    line: Line,
    /// Connections whose LAG at the edge is a bond of the kernel's.
    bonds: BTreeSet<String>,
    /// The same at the peer's router.
    bonds_of_peer: BTreeSet<String>,
    control_plane: ControlPlane,
    cables: Cables,
    meters: Meters,
    /// Simulated routers by name, `wan`, `core` and `internet` among them.
    routers: BTreeMap<String, RouterHandle>,
    microsoft_routes: MicrosoftRoutes,
    /// Edges that are dead.
    crashed: BTreeSet<String>,
    provider: Provider,
    registries: Registries,
    served: Served,
    /// Connections on which the edge runs no BGP.
    silent: BTreeSet<String>,
    /// What was ordered of the edges' sessions.
    orders: Orders,
    /// What the peer's simulated routers have for policies, by connection.
    peer_policies: BTreeMap<String, NamedPolicies>,
    /// Connections whose sessions are taken down at these moments.
    draining: BTreeMap<String, At>,
    /// Routers whose BGP is gone until these moments, and whether their kernels forward meanwhile.
    restarting: BTreeMap<String, (At, bool)>,
    probe: Probe,
    devices: Devices,
    _watcher: Watcher,
    monitoring: Option<Monitoring>,
    _capture: Option<Capture>,
}

/// What is kept or told besides the record.
#[derive(Debug, Clone, Default)]
pub struct Besides {
    /// A folder for the frames on the members' cables.
    pub pcap: Option<PathBuf>,
    /// A folder for the edges' traces and table dumps.
    pub mrt: Option<PathBuf>,
    /// Where the edges' monitoring is told.
    pub bmp: Option<Collector>,
}

impl Lab {
    /// Asks the registries that are servers, then builds and starts everything. Must be called inside a tokio
    /// `LocalSet`.
    ///
    /// # Errors
    /// What the kernel refused, or a device in its own words; nothing of the lab is left then.
    pub async fn up(
        topology: &Topology,
        binding: &Binding,
        scenario: &Scenario,
        servers: &Servers,
        recorder: &Recorder,
        besides: &Besides,
    ) -> Result<Lab, LabError> {
        let sources = &topology.peer.registry;
        let questions = questions::of(topology, scenario);
        let registries = Registries::read(sources, servers, questions, recorder).await?;
        let layout = Arc::new(Layout::of(topology));
        let plan = layout.plan();
        enter::need_descriptors(needs::descriptors(&layout, &plan, scenario))?;
        let network = Network::build(&plan)?;
        tracing::debug!(work = plan.work.len(), "the network is built");
        let mut cables = Cables::open(&network, &layout)?;
        if !scenario.onboarded {
            // Microsoft configures a port once its connection is wired.
            for connection in &layout.connections {
                cables.port(connection, false)?;
            }
        }
        for impaired in &topology.impaired {
            cables
                .declare(&layout, impaired)
                .map_err(|error| impairment::refused(impaired, error))?;
        }
        let capture = besides.pcap.as_deref();
        let capture = capture
            .map(|folder| Capture::start(folder, &layout, &network, recorder))
            .transpose()?;
        let (watcher, carriers) =
            Watcher::start(recorder.clone(), watches(&layout, &network, scenario)?)?;
        let (events_in, events) = unbounded_channel();
        let line = Line::start(recorder.clone(), events_in)?;
        let control_plane = ControlPlane::start().map_err(LabError::ControlPlane)?;
        control_plane.tell_lateness(recorder.clone());
        let mut routers = BTreeMap::new();
        let answers = registries.answers();
        let without_bfd = &scenario.without_bfd;
        let mut configs = simulated(topology, &layout, binding, without_bfd, answers.vrps());
        let mut served = Served::new(shared(&network, "core")?, layout.clone(), recorder);
        served.follow(&answers).await.map_err(LabError::Served)?;
        let mut provider = Provider::new(
            topology,
            scenario.onboarded,
            answers,
            microsoft::device_kinds(binding),
        );
        let begin = microsoft::begin(&mut provider, scenario.onboarded, &mut configs);
        let silent = microsoft::silent(&configs);
        let orders = Orders::new(&configs, &provider);
        let monitoring = monitoring(&layout, besides, &mut configs, recorder)?;
        for (seed, config) in configs.into_iter().enumerate() {
            let name = config.name.clone();
            let place = shared(&network, &name)?;
            let own = |connection: &&ConnectionLayout| {
                connection.edge.router == name || connection.peer.router == name
            };
            // LACP has yet to bring the LAGs up, and a SYN that is lost before costs a second.
            let dark = layout.connections.iter().filter(own);
            let dark: Vec<&str> = dark.map(|connection| connection.name.as_str()).collect();
            let handle =
                control_plane.start_router(place, config, seed as u64, recorder.clone(), &dark)?;
            let monitored = layout.edges.iter().position(|edge| edge.name == name);
            if let (Some(monitoring), Some(number)) = (&monitoring, monitored) {
                monitoring.follow(number, &handle);
            }
            routers.insert(name, handle);
        }
        control_plane.follow_line(events, routers.clone());
        control_plane.follow_carriers(carriers, routers.clone());
        let [bonds, bonds_of_peer] = line_cards::start(
            topology,
            &layout,
            &network,
            binding,
            &scenario.without_bfd,
            (&line, recorder),
        )?;
        let devices = Devices::start(binding, &network, recorder, &topology.secrets)?;
        let probe = traffic::start(&layout, &network, recorder)?;
        let mut lab = Lab {
            topology: topology.clone(),
            bonds,
            bonds_of_peer,
            cables,
            meters: Meters::open(&network, &layout)?,
            microsoft_routes: MicrosoftRoutes::new(layout.clone()),
            layout,
            recorder: recorder.clone(),
            peer_asn: topology.peer.asn,
            network,
            line,
            control_plane,
            routers,
            crashed: BTreeSet::new(),
            provider,
            registries,
            served,
            silent,
            orders,
            peer_policies: topology
                .connections
                .iter()
                .map(|it| (it.name.clone(), routing::names_of_peer(topology, it)))
                .collect(),
            draining: BTreeMap::new(),
            restarting: BTreeMap::new(),
            probe,
            devices,
            _watcher: watcher,
            monitoring,
            _capture: capture,
        };
        for output in begin {
            lab.carry_out_one(output)?;
        }
        tracing::debug!(devices = lab.devices.running().count(), "the lab is up");
        Ok(lab)
    }

    /// Ends probes, sessions and threads; devices are killed and the namespaces go with the last of them.
    pub async fn down(self) {
        tracing::debug!("taking the lab down");
        // First: what the edges have at the end, before their neighbours go.
        drop(self.monitoring);
        // A probe thread that is gone has nothing left to stop.
        let _ = self.probe.stop_all().await;
        self.devices.end().await;
        self.served.end().await;
        drop(self.control_plane);
        drop(self.line);
    }

    /// An edge dies without a word.
    fn crash(&mut self, edge: &str) {
        if let Some(handle) = self.routers.get(edge) {
            handle.crash();
        }
        self.crashed.insert(edge.to_owned());
    }

    /// A dead edge comes back.
    fn boot(&mut self, edge: &str) {
        if self.crashed.remove(edge)
            && let Some(handle) = self.routers.get(edge)
        {
            handle.boot();
            // It boots as it was configured at first; what was provisioned since then is Microsoft's to keep.
            for connection in &self.layout.connections {
                if connection.edge.router != edge {
                    continue;
                }
                for family in Family::ALL {
                    let name = session_name(&connection.name, family);
                    let Some(session) = handle.session(&name) else {
                        continue;
                    };
                    if self.orders.is_shut(&name) {
                        continue;
                    }
                    match self.silent.contains(&connection.name) {
                        true => handle.stop_session(session, microsoft::NOT_PROVISIONED),
                        false => handle.start_session(session),
                    }
                }
            }
        }
    }

    fn core(&self) -> Result<&RouterHandle, LabError> {
        let core = self.routers.get("core");
        core.ok_or_else(|| LabError::Unplanned("router core".to_owned()))
    }

    /// Takes the link between the WAN and an edge down or up.
    fn wan_link(&mut self, edge: &str, up: bool) -> Result<(), LabError> {
        let index = self.network.index("wan", edge);
        let index = index.ok_or_else(|| LabError::Unplanned(format!("wan's link {edge}")))?;
        Ok(self.cables.wan_link(edge, index, up)?)
    }
}

/// The routers that are ours: all of Microsoft's, the core, the internet, and the peer's that are bound to nothing else, whose
/// policies hear from the RPKI what `vrps` has.
pub fn simulated(
    topology: &Topology,
    layout: &Layout,
    binding: &Binding,
    without_bfd: &[String],
    vrps: Option<&Arc<VrpTable>>,
) -> Vec<RouterConfig> {
    let edges = layout
        .edges
        .iter()
        .map(|edge| routers::edge(topology, layout, edge));
    let peers = layout
        .peers
        .iter()
        .filter(|peer| *binding.device(&peer.name) == Device::Simulated)
        .map(|peer| routers::peer(topology, layout, peer, without_bfd, vrps));
    // The internet first: it listens before the others call.
    let around = [
        routers::internet(topology, layout),
        routers::wan(topology, layout),
        routers::core(topology, layout, |router| {
            *binding.device(router) == Device::Simulated
        }),
    ];
    around.into_iter().chain(edges).chain(peers).collect()
}

/// The monitoring of the edges' sessions with the peer, if it is wanted: its routers are the edges in their order.
fn monitoring(
    layout: &Layout,
    besides: &Besides,
    configs: &mut [RouterConfig],
    recorder: &Recorder,
) -> Result<Option<Monitoring>, LabError> {
    if besides.mrt.is_none() && besides.bmp.is_none() {
        return Ok(None);
    }
    let mut edges = Vec::new();
    for edge in &layout.edges {
        let config = configs.iter_mut().find(|config| config.name == edge.name);
        let config = config.ok_or_else(|| LabError::Unplanned(format!("router {}", edge.name)))?;
        let own = config.asn;
        for session in &mut config.sessions {
            session.monitor = session.peer_asn != own;
        }
        edges.push(config.clone());
    }
    let (folder, collector) = (besides.mrt.as_deref(), besides.bmp.clone());
    let monitoring = Monitoring::start(edges, folder, collector, recorder)?;
    Ok(Some(monitoring))
}

/// What the kernel's routes and links are watched for: the ways to the endpoints, to Teams, and to what steps announce.
fn watches(
    layout: &Layout,
    network: &Network,
    scenario: &Scenario,
) -> Result<Vec<Watch>, LabError> {
    let mut peer_prefixes: Vec<_> = layout
        .endpoints
        .iter()
        .flat_map(|endpoint| {
            let ipv6 = endpoint.ipv6.map(|ipv6| ipv6.prefix.into());
            [IpNet::from(endpoint.prefix)].into_iter().chain(ipv6)
        })
        .collect();
    let mut microsoft_prefixes = vec![IpNet::from(TEAMS_PREFIX)];
    if layout.ipv6.is_some() {
        microsoft_prefixes.push(TEAMS_PREFIX_IPV6.into());
    }
    for step in &scenario.steps {
        for expectation in &step.expect {
            if let Expect::RouterRoute { prefix, .. } = &expectation.what
                && !microsoft_prefixes.contains(prefix)
            {
                microsoft_prefixes.push(*prefix);
            }
        }
        if let Act::Announce(announced) = &step.act {
            let prefixes = match announced.by {
                Speaker::Peer => &mut peer_prefixes,
                Speaker::Microsoft => &mut microsoft_prefixes,
            };
            if !prefixes.contains(&announced.prefix) {
                prefixes.push(announced.prefix);
            }
        }
    }
    let watch = |router: &str, prefixes: &[IpNet], links: Vec<String>| -> Result<Watch, LabError> {
        Ok(Watch {
            router: router.to_owned(),
            namespace: shared(network, router)?,
            prefixes: prefixes.to_vec(),
            links,
        })
    };
    let edge_names = layout.edges.iter().map(|edge| edge.name.clone()).collect();
    let peer_names = layout.peers.iter().map(|peer| peer.name.clone()).collect();
    let mut watches = vec![
        watch("wan", &peer_prefixes, edge_names)?,
        watch("core", &microsoft_prefixes, peer_names)?,
        watch(
            "internet",
            &peer_prefixes,
            ["wan", "core"].map(str::to_owned).to_vec(),
        )?,
    ];
    for edge in &layout.edges {
        watches.push(watch(&edge.name, &peer_prefixes, vec!["wan".to_owned()])?);
    }
    for peer in &layout.peers {
        watches.push(watch(
            &peer.name,
            &microsoft_prefixes,
            vec!["inside".to_owned()],
        )?);
    }
    Ok(watches)
}

/// A namespace of the network by its name in the plan.
fn namespace<'a>(network: &'a Network, name: &str) -> Result<&'a Namespace, LabError> {
    let found = network.namespace(name).map(AsRef::as_ref);
    found.ok_or_else(|| LabError::Unplanned(format!("namespace {name}")))
}

/// The same, to be kept.
fn shared(network: &Network, name: &str) -> Result<Arc<Namespace>, LabError> {
    let found = network.namespace(name).cloned();
    found.ok_or_else(|| LabError::Unplanned(format!("namespace {name}")))
}
