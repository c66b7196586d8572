//! `peerlab plan TOPOLOGY`: what the lab is made of, before anything is made.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use super::WRONG_FILES;
use super::check::Kind;
use super::toml_files;
use crate::plan::of_topology::{
    CORE_ROUTER_ID, Layout, MICROSOFT_RANGE, MICROSOFT_RANGE_IPV6, TEAMS_ADDRESS,
    TEAMS_ADDRESS_IPV6,
};
use crate::registry::{irr_live, rtr};
use crate::topology::{self, Connection, Topology};

/// Prints the plan; returns the exit number.
pub fn plan(path: &Path) -> u8 {
    match toml_files::of_kind(path, Kind::Topology).and_then(|source| topology::parse(&source)) {
        Ok(topology) => {
            // A closed pipe is the reader's wish.
            let _ = write!(anstream::stdout(), "{}", text(&topology, path));
            0
        }
        Err(mistakes) => {
            anstream::eprintln!("{}", mistakes.render(true));
            WRONG_FILES
        }
    }
}

/// The whole text: first what a router's configuration must know, then the kernel work.
pub fn text(topology: &Topology, path: &Path) -> String {
    let layout = Layout::of(topology);
    let mut text = String::new();
    let _ = write!(text, "{}", interfaces(topology, &layout, path));
    let _ = writeln!(
        text,
        "\n# kernel work, in order; namespaces are anonymous, the names are the plan's own"
    );
    let _ = write!(text, "{}", layout.plan());
    text
}

/// Interfaces, addresses and neighbours of the peer's routers, for writing their configuration.
fn interfaces(topology: &Topology, layout: &Layout, path: &Path) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "# {}", path.display());
    let _ = writeln!(
        text,
        "# Microsoft: AS8075, {} routes from {MICROSOFT_RANGE}, Teams at {TEAMS_ADDRESS}",
        layout.microsoft_routes
    );
    if layout.ipv6.is_some() {
        let _ = writeln!(
            text,
            "# and {} routes from {MICROSOFT_RANGE_IPV6} on IPv6 sessions, Teams at {TEAMS_ADDRESS_IPV6}",
            layout.microsoft_ipv6_routes
        );
    }
    for peer in &layout.peers {
        let _ = writeln!(text, "\n# {} (AS{}) sees", peer.name, topology.peer.asn);
        for connection in layout
            .connections
            .iter()
            .filter(|c| c.peer.router == peer.name)
        {
            let told = topology
                .connections
                .iter()
                .find(|c| c.name == connection.name);
            let timers = told.map(timers).unwrap_or_default();
            let _ = writeln!(
                text,
                "#   {:<12} {}/{}  neighbour {} AS8075, {timers}",
                connection.name,
                connection.peer.address,
                connection.prefix_len,
                connection.edge.address
            );
            if let Some(session) = connection.ipv6 {
                let _ = writeln!(
                    text,
                    "#   {:<12} {}/{}  neighbour {} AS8075, {timers}",
                    connection.name, session.peer, session.prefix_len, session.microsoft
                );
            }
        }
        let _ = writeln!(
            text,
            "#   {:<12} {}/31  neighbour {} AS{}, iBGP with the core ({CORE_ROUTER_ID})",
            "inside", peer.inside, peer.core, topology.peer.asn
        );
        if let Some(link) = peer.ipv6 {
            let _ = writeln!(
                text,
                "#   {:<12} {}/127  neighbour {} AS{}, iBGP with the core for IPv6",
                "inside", link.spoke, link.hub, topology.peer.asn
            );
        }
        let sources = &topology.peer.registry;
        if sources.rpki.is_some() {
            let _ = writeln!(
                text,
                "#   {:<12} {}:{}, an RTR cache",
                "rpki",
                peer.core,
                rtr::PORT
            );
        }
        if sources.irr.is_some() {
            let _ = writeln!(
                text,
                "#   {:<12} {}:{}, IRRd's queries and whois",
                "irr",
                peer.core,
                irr_live::PORT
            );
        }
    }
    let _ = writeln!(text, "\n# endpoints");
    for endpoint in &layout.endpoints {
        let _ = writeln!(
            text,
            "#   {} {} is announced by the core as {}",
            endpoint.name, endpoint.address, endpoint.prefix
        );
        if let Some(ipv6) = endpoint.ipv6 {
            let _ = writeln!(
                text,
                "#   {} {} is announced by the core as {}",
                endpoint.name, ipv6.address, ipv6.prefix
            );
        }
    }
    text
}

/// What an edge's sessions keep, for example `BFD 150ms x 3, BGP keepalive 20s hold 60s`.
fn timers(connection: &Connection) -> String {
    let (bfd, bgp) = (connection.bfd.timers, connection.bgp.timers);
    format!(
        "BFD {:?} x {}, BGP keepalive {:?} hold {:?}",
        bfd.interval, bfd.multiplier, bgp.keepalive, bgp.hold
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_are_told_where_registries_are_if_there_are_any() {
        let told = |file: &str| {
            let path = Path::new(file);
            text(&topology::load(path).expect("a good topology"), path)
        };
        let with = told("topologies/one-metro.toml");
        assert!(with.contains("172.31.0.0:3323, an RTR cache"), "{with}");
        assert!(with.contains("172.31.0.2:4343, IRRd's queries and whois"));
        let without = told("tests/fixtures/files/good/topology-smallest.toml");
        assert!(!without.contains("3323") && !without.contains("4343"));
    }
}
