//! Static IPv4 routes of the main table (ip-route(8)). Routes of BGP are installed elsewhere, through next-hop objects.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{RouteMessage, RouteNextHop, RouteProtocol};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::{RouteMessageBuilder, RouteNextHopBuilder};

use super::netlink::Netlink;

/// Queues a static route over one gateway or several equal ones. The lower metric wins.
///
/// `place` is the namespace's name, for the words of an error.
pub fn add(
    netlink: &mut Netlink,
    place: &str,
    destination: Ipv4Net,
    via: &[Ipv4Addr],
    metric: u32,
) {
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

fn message(destination: Ipv4Net, via: &[Ipv4Addr], metric: u32) -> RouteMessage {
    let builder = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(destination.network(), destination.prefix_len())
        .protocol(RouteProtocol::Static)
        .priority(metric);
    match via {
        [] => builder.build(),
        [gateway] => builder.gateway(*gateway).build(),
        several => builder
            .multipath(several.iter().map(|gateway| next_hop(*gateway)).collect())
            .build(),
    }
}

fn next_hop(gateway: Ipv4Addr) -> RouteNextHop {
    RouteNextHopBuilder::new_ipv4()
        .via(IpAddr::V4(gateway))
        .expect("an IPv4 gateway suits an IPv4 next hop")
        .build()
}
