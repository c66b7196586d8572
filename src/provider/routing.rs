//! What the names in policies mean: for an edge what the Microsoft side has concluded, for a router of the peer what it
//! knows itself. The rules are data of the profile (`topologies/profiles/voice.toml`) or of the topology.
//!
//! Facts a.4, BGP-07, E-01, E-21, PFX-09, PFX-11, PFX-19 and appendix 2.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use crate::bgp::origin_validation::VrpTable;
use crate::bgp::policy::{Policy, PrefixRange};
use crate::plan::of_topology::{MICROSOFT_RANGE, MICROSOFT_RANGE_IPV6};
use crate::policy::{Circumstance, Meaning};
use crate::registry::special::{self, AsnUse};
use crate::topology::{Connection, NamedPolicies, Rpki, Service, Topology};

/// Microsoft's AS number, and the others it manages (FLT-05); the last is ExpressRoute's.
const MICROSOFT_ASNS: [u32; 4] = [8075, 8068, 8069, 12_076];

/// What decides the policies of an edge's session with the peer.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The connection exchanges routes: it is `Active`.
    pub active: bool,
    /// Prefixes activated under a service whose primary location this metro is.
    pub primary: Vec<Ipv4Net>,
    /// Prefixes activated under a service whose backup location this metro is.
    pub backup: Vec<Ipv4Net>,
    /// Prefixes activated under a service that has nothing to do with this metro.
    pub elsewhere: Vec<Ipv4Net>,
    /// What the RPKI says, if it says anything.
    pub vrps: Option<Arc<VrpTable>>,
}

/// Tables of VRPs are large: another table counts as another, whatever is in it.
impl PartialEq for Inputs {
    fn eq(&self, other: &Inputs) -> bool {
        let same_vrps = match (&self.vrps, &other.vrps) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        };
        same_vrps
            && (self.active, &self.primary, &self.backup, &self.elsewhere)
                == (
                    other.active,
                    &other.primary,
                    &other.backup,
                    &other.elsewhere,
                )
    }
}

impl Inputs {
    /// The inputs of a connection in a metro, from the prefixes that are activated.
    pub fn of<'a>(
        active: bool,
        metro: &str,
        activated: impl Iterator<Item = (Ipv4Net, &'a Service)>,
        vrps: Option<Arc<VrpTable>>,
    ) -> Inputs {
        let mut inputs = Inputs {
            active,
            primary: Vec::new(),
            backup: Vec::new(),
            elsewhere: Vec::new(),
            vrps,
        };
        for (prefix, service) in activated {
            let place = if service.primary == metro {
                &mut inputs.primary
            } else if service.backup.as_deref() == Some(metro) {
                &mut inputs.backup
            } else {
                &mut inputs.elsewhere
            };
            place.push(prefix);
        }
        inputs
    }

    /// What everything comes to once all endpoints of a topology are activated under its first service, as it is when a
    /// scenario starts onboarded.
    pub fn onboarded(topology: &Topology, metro: &str) -> Inputs {
        let service = topology.services.first();
        let prefixes = topology.endpoints.iter().map(|endpoint| endpoint.prefix);
        let activated = service
            .into_iter()
            .flat_map(|s| prefixes.clone().map(move |p| (p, s)));
        Inputs::of(true, metro, activated, None)
    }

    /// What is announced to the peer.
    pub fn export(&self, topology: &Topology) -> Policy {
        self.policy(topology, &topology.profile.export)
    }

    /// What is accepted from the peer.
    pub fn import(&self, topology: &Topology) -> Policy {
        self.policy(topology, &topology.profile.import)
    }

    /// One of the topology's policies as it is to be understood now.
    pub fn policy(&self, topology: &Topology, name: &str) -> Policy {
        topology.policies.instantiate(name, &self.meaning(topology))
    }

    fn meaning(&self, topology: &Topology) -> Meaning {
        let mut meaning = known_to_all(topology, MICROSOFT_ASNS[0]);
        meaning.vrps = self.vrps.clone();
        if !self.active {
            meaning.circumstances.insert(Circumstance::Inactive);
        }
        // Without data nothing is invalid, and nothing valid (RFC 6811, section 2: not found).
        meaning
            .circumstances
            .extend(match topology.profile.policy.rpki {
                Rpki::Off | Rpki::Mark => None,
                Rpki::DropInvalid => Some(Circumstance::RpkiDropInvalid),
                Rpki::RequireValid => Some(Circumstance::RpkiRequireValid),
            });
        meaning.prefixes.extend([
            ("activated-in-primary", exactly(&self.primary)),
            ("activated-in-backup", exactly(&self.backup)),
            ("activated-elsewhere", exactly(&self.elsewhere)),
        ]);
        meaning
    }
}

/// What a simulated router of the peer accepts from Microsoft on a connection, and what it announces there, if the RPKI
/// says this.
pub fn of_peer(
    topology: &Topology,
    connection: &Connection,
    vrps: Option<&Arc<VrpTable>>,
) -> (Policy, Policy) {
    let NamedPolicies { import, export } = names_of_peer(topology, connection);
    let policy = |name: Option<String>| {
        name.map_or_else(Policy::default, |name| named_of_peer(topology, &name, vrps))
    };
    (policy(import), policy(export))
}

/// The names of these policies: what a connection says stands before what its router says.
pub fn names_of_peer(topology: &Topology, connection: &Connection) -> NamedPolicies {
    let mut routers = topology.routers.iter();
    let router = routers.find(|router| router.name == connection.router);
    let own = router.map(|router| &router.policies);
    let NamedPolicies { import, export } = &connection.policies;
    NamedPolicies {
        import: import.clone().or_else(|| own?.import.clone()),
        export: export.clone().or_else(|| own?.export.clone()),
    }
}

/// One of the topology's policies as a simulated router of the peer understands it.
pub fn named_of_peer(topology: &Topology, name: &str, vrps: Option<&Arc<VrpTable>>) -> Policy {
    let meaning = Meaning {
        vrps: vrps.cloned(),
        ..known_to_all(topology, topology.peer.asn)
    };
    topology.policies.instantiate(name, &meaning)
}

/// What the names mean to everybody.
fn known_to_all(topology: &Topology, own_asn: u32) -> Meaning {
    let public = topology.documentation_numbers_are_public;
    let special = |usage| match usage {
        AsnUse::Reserved => true,
        AsnUse::Documentation => !public,
        AsnUse::Private | AsnUse::Service => false,
    };
    let endpoints = topology.endpoints.iter();
    let peers = endpoints.flat_map(|endpoint| {
        let ipv6 = endpoint.ipv6.map(|ipv6| IpNet::V6(ipv6.prefix));
        [IpNet::V4(endpoint.prefix)].into_iter().chain(ipv6)
    });
    let microsoft_ranges = [MICROSOFT_RANGE.into(), MICROSOFT_RANGE_IPV6.into()];
    let microsoft = MICROSOFT_ASNS.map(|asn| asn..=asn);
    let peer = topology.peer.asn..=topology.peer.asn;
    Meaning {
        own_asn,
        prefixes: BTreeMap::from([
            ("bogons", special::bogons(public)),
            ("peer", peers.map(PrefixRange::exact).collect()),
            ("microsoft", or_longer(microsoft_ranges)),
        ]),
        asns: BTreeMap::from([
            ("private", asns(|usage| usage == AsnUse::Private)),
            ("special", asns(special)),
            ("peer", vec![peer]),
            ("microsoft", microsoft.to_vec()),
        ]),
        ..Meaning::default()
    }
}

fn exactly(prefixes: &[Ipv4Net]) -> Vec<PrefixRange> {
    prefixes.iter().copied().map(PrefixRange::exact).collect()
}

fn or_longer(blocks: impl IntoIterator<Item = IpNet>) -> Vec<PrefixRange> {
    blocks.into_iter().map(PrefixRange::or_longer).collect()
}

fn asns(of: impl Fn(AsnUse) -> bool) -> Vec<RangeInclusive<u32>> {
    let rows = special::asns().iter().filter(|row| of(row.usage));
    rows.map(|row| row.first..=row.last).collect()
}

#[cfg(test)]
mod tests;
