//! How many files a lab keeps open, so that too few are told before anything is built.

use crate::plan::of_topology::Layout;
use crate::plan::{Plan, Work};
use crate::probe;
use crate::scenario::{Act, Scenario};

/// What the program has open besides the lab: streams, files of the report, threads and runtimes.
const BESIDES: usize = 48;
/// Of the registries: servers at the core with a connection or two of each of the peer's routers, and those outside.
const OF_REGISTRIES: usize = 8;
/// A namespace, a netlink socket in it while it is built, and one or two that stay.
const OF_NAMESPACE: usize = 4;
/// Of each end of a connection: BFD both ways, BGP, taps, its namespace.
const OF_END: usize = 9;
/// Of each member: LACP, and its data while it must carry none.
const OF_MEMBER: usize = 2;

/// At least so many files are open at the worst moment; generous by about a third.
pub fn descriptors(layout: &Layout, plan: &Plan, scenario: &Scenario) -> u64 {
    let namespaces = plan.work.iter();
    let namespaces = namespaces.filter(|work| matches!(work, Work::Namespace { .. }));
    let namespaces = namespaces.count();
    let ends = layout
        .connections
        .iter()
        .flat_map(|connection| [&connection.edge, &connection.peer]);
    let connections: usize = ends.map(|end| OF_END + OF_MEMBER * end.members.len()).sum();
    let dual_stack = layout.connections.iter().filter(|c| c.ipv6.is_some());
    let connections = connections + 2 * OF_END * dual_stack.count();
    // BFD inside both networks, where there is any: two sockets at each end, for each family.
    let connections = connections + 8 * (layout.edges.len() + layout.peers.len());
    let probes: usize = scenario
        .steps
        .iter()
        .map(|step| match &step.act {
            Act::Send {
                flows,
                both_ways,
                member,
                ..
            } => {
                let tried = member.as_ref().map_or(0, |_| usize::from(probe::TRIED));
                (usize::from(*flows) + 2) * (1 + usize::from(*both_ways)) + tried
            }
            _ => 0,
        })
        .sum();
    let registries = OF_REGISTRIES + 2 * layout.peers.len();
    (BESIDES + OF_NAMESPACE * namespaces + registries + connections + probes) as u64
}
