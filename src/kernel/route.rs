//! Static routes of the main table (ip-route(8)). Routes of BGP are installed elsewhere, through next-hop objects.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteMessage, RouteNextHop, RouteProtocol};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::{RouteMessageBuilder, RouteNextHopBuilder};

use super::netlink::Netlink;

/// Queues a static route over one gateway or several equal ones. The lower metric wins.
///
/// `place` is the namespace's name, for the words of an error.
pub fn add(netlink: &mut Netlink, place: &str, destination: IpNet, via: &[IpAddr], metric: u32) {
    let operation = {
        let (place, via) = (place.to_owned(), via.to_vec());
        move || {
            let via: Vec<String> = via.iter().map(ToString::to_string).collect();
            let via = via.join(", ");
            format!("add route {destination} via {via} metric {metric} in {place}")
        }
    };
    netlink.queue(
        RouteNetlinkMessage::NewRoute(message(destination, via, metric)),
        NLM_F_CREATE | NLM_F_EXCL,
        operation,
    );
}

fn message(destination: IpNet, via: &[IpAddr], metric: u32) -> RouteMessage {
    let builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(destination.network(), destination.prefix_len())
        .expect("a prefix is no longer than its family allows")
        .protocol(RouteProtocol::Static)
        .priority(metric);
    match via {
        [] => builder.build(),
        [gateway] => builder
            .gateway(*gateway)
            .expect("a gateway is of its route's family")
            .build(),
        several => builder
            .multipath(several.iter().map(|gateway| next_hop(*gateway)).collect())
            .build(),
    }
}

fn next_hop(gateway: IpAddr) -> RouteNextHop {
    let builder = match gateway {
        IpAddr::V4(_) => RouteNextHopBuilder::new_ipv4(),
        IpAddr::V6(_) => RouteNextHopBuilder::new_ipv6(),
    };
    builder
        .via(gateway)
        .expect("a gateway suits a next hop of its family")
        .build()
}
