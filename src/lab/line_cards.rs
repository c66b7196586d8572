//! LACP on both ends of every connection, BFD for each of its BGP sessions on the ends that are ours.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU32;

use super::{LabError, namespace};
use crate::bfd::{Config, MicroConfig, Micros, Timers};
use crate::bgp::family::Family;
use crate::binding::{Binding, Device};
use crate::kernel::apply::Network;
use crate::kernel::bond::{self, BondOptions};
use crate::kernel::sysctl::{NEIGHBOUR_AGAIN, ask_neighbours_again};
use crate::lacp::{AGGREGATE_WAIT, LagConfig, PortConfig};
use crate::line::{BfdSpec, BondLag, End, LagPort, Line, LineError, Reach};
use crate::plan::of_topology::{ConnectionLayout, Ipv6Link, LagEnd, Layout};
use crate::record::{AutoBackend, Fact, Recorder};
use crate::topology::{BfdSettings, HashPolicy, LagBackend, MicroBfd, Topology, session_name};

/// What a packet over several hops has left at least of its TTL: no path inside a network is longer.
const MULTIHOP_LEAST_TTL: u8 = 250;
/// Where the discriminators of sessions over several hops begin, apart from those of connections.
const MULTIHOP_DISCRIMINATORS: u32 = 0x8000_0000;

/// Where the discriminators of sessions on members begin.
const MICRO_DISCRIMINATORS: u32 = 0x4000_0000;
/// Where their source ports begin (RFC 5881, section 4).
const MICRO_PORTS: u16 = 49152;

/// The default of IEEE 802.1AX for port priority.
const PRIORITY: u16 = 0x8000;

/// Starts the LAGs of both sides, and BFD at Microsoft's and at simulated routers; returns the connections whose LAG at the
/// edge, and at the peer's router, is a bond of the kernel's.
pub fn start(
    topology: &Topology,
    layout: &Layout,
    network: &Network,
    binding: &Binding,
    without_bfd: &[String],
    (line, recorder): (&Line, &Recorder),
) -> Result<[BTreeSet<String>; 2], LabError> {
    let mut bonds = [BTreeSet::new(), BTreeSet::new()];
    for (number, connection) in layout.connections.iter().enumerate() {
        let simulated = *binding.device(&connection.peer.router) == Device::Simulated;
        let wanted = topology.wants_bfd(&connection.name);
        for session in bfd_sessions(connection).filter(|_| wanted) {
            // BFD first: a LAG is up within a millisecond, and the first packet over it begins a neighbour discovery,
            // which is repeated after a second unless BFD's end has asked for sooner.
            let of = |side| bfd_config(topology, number, session.family, side);
            let (edge, peer) = (&connection.edge, &connection.peer);
            let config = of(Side::Microsoft);
            add_bfd(line, network, bfd(connection, edge, &session, config))?;
            let session = session.at_the_peer();
            if simulated && !without_bfd.contains(&connection.name) {
                let spec = bfd(connection, peer, &session, of(Side::Peer));
                add_bfd(line, network, spec)?;
            } else {
                let (name, near) = (&connection.name, session.near);
                let place = namespace(network, &peer.router)?;
                // Refused, a session comes up a second later now and then; nothing else.
                let _ = place.run(|| ask_neighbours_again(name, near, NEIGHBOUR_AGAIN))?;
            }
        }
        for (side, bonds) in [Side::Microsoft, Side::Peer].into_iter().zip(&mut bonds) {
            if add_lag(
                topology,
                network,
                (number, connection),
                side,
                (line, recorder),
            )? {
                bonds.insert(connection.name.clone());
            }
        }
    }
    let simulated = |router: &str| *binding.device(router) == Device::Simulated;
    for spec in inside(topology, layout, simulated) {
        add_bfd(line, network, spec)?;
    }
    Ok(bonds)
}

/// Both ends of the BFD sessions that guard iBGP inside the two networks (RFC 5883), named as the BGP sessions are.
pub fn inside(
    topology: &Topology,
    layout: &Layout,
    simulated: impl Fn(&str) -> bool,
) -> Vec<BfdSpec> {
    type Link<'a> = (&'static str, &'a str, [IpAddr; 2], Option<Ipv6Link>);
    let edges = layout.edges.iter().map(|edge| -> Link<'_> {
        let addresses = [edge.wan.into(), edge.wan_side.into()];
        ("wan", &edge.name, addresses, edge.ipv6)
    });
    let edges = edges.filter(|_| topology.profile.wan.bfd);
    let peers = layout.peers.iter().map(|peer| -> Link<'_> {
        let addresses = [peer.core.into(), peer.inside.into()];
        ("core", &peer.name, addresses, peer.ipv6)
    });
    let peers = peers.filter(|(_, router, ..)| topology.peer.core.bfd && simulated(router));
    let mut specs = Vec::new();
    for (middle, border, ipv4, ipv6) in edges.chain(peers) {
        let ipv6 = ipv6.map(|link| (Family::Ipv6Unicast, [link.hub.into(), link.spoke.into()]));
        for (family, [hub, spoke]) in [(Family::Ipv4Unicast, ipv4)].into_iter().chain(ipv6) {
            for (router, other, local, remote) in
                [(middle, border, hub, spoke), (border, middle, spoke, hub)]
            {
                let number = MULTIHOP_DISCRIMINATORS + specs.len() as u32;
                let timers = topology.profile.bfd;
                let timers = Timers::symmetric(timers.interval, timers.multiplier);
                let discriminator = NonZeroU32::MIN.saturating_add(number);
                specs.push(BfdSpec {
                    end: End {
                        router: router.to_owned(),
                        connection: session_name(other, family),
                    },
                    reach: Reach::Routed,
                    local,
                    remote,
                    config: Config {
                        least_ttl: MULTIHOP_LEAST_TTL,
                        ..Config::single_hop(discriminator, timers, u64::from(number))
                    },
                });
            }
        }
    }
    specs
}

/// A side of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The edge's.
    Microsoft,
    /// The peer's router's.
    Peer,
}

/// The LACP actor of one end of a connection.
pub fn lag_config(end: &LagEnd) -> LagConfig {
    let ports = end
        .members
        .iter()
        .zip(1..)
        .map(|((_, mac), number)| PortConfig {
            mac: *mac,
            number,
            priority: PRIORITY,
        });
    LagConfig {
        system: end.system,
        system_priority: end.lacp.system_priority,
        key: end.key,
        fast: end.lacp.fast,
        active: end.lacp.active,
        min_links: end.lacp.min_links,
        aggregate_wait: AGGREGATE_WAIT,
        ports: ports.collect(),
    }
}

/// What else a bond at one end of a connection does.
pub fn bond_options(end: &LagEnd) -> BondOptions {
    BondOptions {
        hash_policy: match end.lacp.hash_policy {
            HashPolicy::Layer2 => bond::HashPolicy::Layer2,
            HashPolicy::Layer23 => bond::HashPolicy::Layer23,
            HashPolicy::Layer34 => bond::HashPolicy::Layer34,
            HashPolicy::Encap23 => bond::HashPolicy::Encap23,
            HashPolicy::Encap34 => bond::HashPolicy::Encap34,
            HashPolicy::VlanSrcMac => bond::HashPolicy::VlanSrcMac,
        },
        miimon: end.lacp.miimon,
    }
}

/// A BFD session between the addresses of a BGP session, seen from one end.
struct BfdSession {
    family: Family,
    near: IpAddr,
    far: IpAddr,
}

impl BfdSession {
    fn at_the_peer(&self) -> BfdSession {
        BfdSession {
            family: self.family,
            near: self.far,
            far: self.near,
        }
    }
}

/// The BFD sessions of a connection, seen from Microsoft.
fn bfd_sessions(connection: &ConnectionLayout) -> impl Iterator<Item = BfdSession> {
    let ipv4 = BfdSession {
        family: Family::Ipv4Unicast,
        near: connection.edge.address.into(),
        far: connection.peer.address.into(),
    };
    let ipv6 = connection.ipv6.map(|session| BfdSession {
        family: Family::Ipv6Unicast,
        near: session.microsoft.into(),
        far: session.peer.into(),
    });
    [ipv4].into_iter().chain(ipv6)
}

/// The BFD session of one family and one side of the connection that has this place among the connections.
pub fn bfd_config(topology: &Topology, place: usize, family: Family, side: Side) -> Config {
    let number = 2 * place as u32
        + match side {
            Side::Microsoft => 1,
            Side::Peer => 2,
        }
        + match family {
            Family::Ipv4Unicast => 0,
            Family::Ipv6Unicast => 0x8000,
        };
    // Spread, so that a packet of one session is never taken for another's by being off by one.
    let discriminator = NonZeroU32::MIN.saturating_add(number.wrapping_mul(0x0101_0107));
    let settings = bfd_settings(topology, place, side);
    configured(settings, discriminator, u64::from(number))
}

/// A session over one link, or on one member, as a file has it.
fn configured(settings: BfdSettings, discriminator: NonZeroU32, jitter_seed: u64) -> Config {
    let BfdSettings { timers, options } = settings;
    let timers = Timers::symmetric(timers.interval, timers.multiplier);
    Config {
        required_min_echo_rx: options.echo.map_or(Micros(0), Micros::from),
        authentication: options.authentication,
        control_plane_independent: options.control_plane_independent,
        ..Config::single_hop(discriminator, timers, jitter_seed)
    }
}

/// The BFD of one side of the connection that has this place among the connections.
fn bfd_settings(topology: &Topology, place: usize, side: Side) -> BfdSettings {
    let connection = topology.connections.get(place);
    let settings = match side {
        Side::Microsoft => connection.map(|connection| connection.bfd),
        Side::Peer => connection.and_then(|connection| {
            let mut routers = topology.routers.iter();
            let router = routers.find(|router| router.name == connection.router)?;
            Some(router.bfd)
        }),
    };
    settings.unwrap_or_else(|| topology.profile.bfd_settings())
}

/// Starts the LAG of one side of the connection that has this place among the connections; says whether it is a bond.
fn add_lag(
    topology: &Topology,
    network: &Network,
    (number, connection): (usize, &ConnectionLayout),
    side: Side,
    (line, recorder): (&Line, &Recorder),
) -> Result<bool, LabError> {
    let backends = topology.connections.get(number).map(|c| c.backends);
    let backends = backends.unwrap_or_default();
    let backend = match side {
        Side::Microsoft => backends.microsoft,
        Side::Peer => backends.peer,
    };
    let end = match side {
        Side::Microsoft => &connection.edge,
        Side::Peer => &connection.peer,
    };
    let config = lag_config(end);
    let links: Vec<u32> = end.members.iter().map(|(index, _)| *index).collect();
    let place = namespace(network, &end.line_card)?;
    let name = End {
        router: end.router.clone(),
        connection: connection.name.clone(),
    };
    let hidden = end.hidden_index;
    let bond = |name| BondLag::open(place, name, (&config, bond_options(end)), hidden, &links);
    let micro = micro_bfd(topology, number, connection, side);
    let ours = |name| LagPort::open_with(place, name, &config, (hidden, &links), &micro);
    match backend {
        LagBackend::Ours => line.add_lag(ours(name)?),
        LagBackend::Kernel => {
            line.add_lag(bond(name)?);
            return Ok(true);
        }
        LagBackend::Auto => {
            // A bond has no BFD on its members.
            let bond = match micro.is_empty() {
                true => bond(name.clone()),
                false => Err(LineError::NoMicroBfd(name.clone())),
            };
            let why = match bond {
                Ok(bond) => {
                    line.add_lag(bond);
                    String::new()
                }
                Err(error @ (LineError::NoBonding { .. } | LineError::NoMicroBfd(_))) => {
                    line.add_lag(ours(name.clone())?);
                    format!("failed to {error}")
                }
                Err(error) => return Err(error.into()),
            };
            let kernel = why.is_empty();
            recorder.now(Fact::AutoBackend(AutoBackend {
                router: name.router,
                connection: name.connection,
                kernel,
                why,
            }));
            return Ok(kernel);
        }
    }
    Ok(false)
}

/// BFD on the members of one side of a connection; none where it has none.
fn micro_bfd(
    topology: &Topology,
    place: usize,
    connection: &ConnectionLayout,
    side: Side,
) -> Vec<MicroConfig> {
    let micro = topology.connections.get(place).and_then(|c| c.micro_bfd);
    let Some(MicroBfd {
        microsoft,
        peer,
        family,
    }) = micro
    else {
        return Vec::new();
    };
    let of_family = |session: &BfdSession| session.family == family;
    let Some(session) = bfd_sessions(connection).find(of_family) else {
        return Vec::new();
    };
    let (session, settings, (near, number)) = match side {
        Side::Microsoft => (session, microsoft, (&connection.edge, 0)),
        Side::Peer => (session.at_the_peer(), peer, (&connection.peer, 1)),
    };
    let members = near.members.iter().zip(0_u32..);
    let configs = members.map(|((_, mac), member)| {
        let number = MICRO_DISCRIMINATORS + 16 * (2 * place as u32 + number) + member;
        let discriminator = NonZeroU32::MIN.saturating_add(number);
        MicroConfig {
            session: configured(settings, discriminator, u64::from(number)),
            mac: *mac,
            local: session.near,
            remote: session.far,
            port: MICRO_PORTS + (number % 1024) as u16,
        }
    });
    configs.collect()
}

/// BFD over the LAG, at one end.
fn bfd(
    connection: &ConnectionLayout,
    end: &LagEnd,
    session: &BfdSession,
    config: Config,
) -> BfdSpec {
    BfdSpec {
        end: End {
            router: end.router.clone(),
            connection: session_name(&connection.name, session.family),
        },
        reach: Reach::OneHop {
            device: connection.name.clone(),
            link: end.lag_index,
        },
        local: session.near,
        remote: session.far,
        config,
    }
}

fn add_bfd(line: &Line, network: &Network, spec: BfdSpec) -> Result<(), LabError> {
    Ok(line.add_bfd(namespace(network, &spec.end.router)?, spec)?)
}
