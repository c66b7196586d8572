//! Addresses of links (ip-address(8)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressHeaderFlags;
use nix::ifaddrs::getifaddrs;
use rtnetlink::AddressMessageBuilder;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};

use super::netlink::Netlink;

/// The link-local address of an interface in the namespace of this thread, if it has one.
pub fn link_local(interface: &str) -> Option<Ipv6Addr> {
    let addresses = getifaddrs().ok()?;
    let own = addresses.filter(|address| address.interface_name == interface);
    let mut own = own.filter_map(|address| Some(address.address?.as_sockaddr_in6()?.ip()));
    own.find(Ipv6Addr::is_unicast_link_local)
}

/// Queues giving a link an address. `place` is the namespace's name, for the words of an error.
pub fn add(
    netlink: &mut Netlink,
    place: &str,
    (name, index): (&str, u32),
    address: IpAddr,
    prefix_len: u8,
) {
    let mut message = match address {
        IpAddr::V4(address) => AddressMessageBuilder::<Ipv4Addr>::new()
            .index(index)
            .address(address, prefix_len)
            .build(),
        IpAddr::V6(address) => AddressMessageBuilder::<Ipv6Addr>::new()
            .index(index)
            .address(address, prefix_len)
            .build(),
    };
    if address.is_ipv6() {
        // Else it is tentative, and nothing may be bound to it, until a thread of the kernel's finds that nobody need be asked.
        message.header.flags |= AddressHeaderFlags::Nodad;
    }
    let (place, name) = (place.to_owned(), name.to_owned());
    netlink.queue(
        RouteNetlinkMessage::NewAddress(message),
        NLM_F_CREATE | NLM_F_EXCL,
        move || format!("add address {address}/{prefix_len} to {name} in {place}"),
    );
}
