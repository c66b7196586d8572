//! A plan while it is written: the usual pieces of work, a line each.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::of_topology::Ipv6Link;
use super::{LinkEnd, Work};

/// A plan being written.
pub(super) struct Draft {
    pub work: Vec<Work>,
    pub next_index: u32,
}

impl Draft {
    pub fn namespace(&mut self, name: &str, forwarding: bool, ipv6: bool) {
        self.work.push(Work::Namespace {
            name: name.to_owned(),
            forwarding,
            ipv6,
        });
    }

    pub fn veth(&mut self, a: LinkEnd, b: LinkEnd) {
        self.work.push(Work::Veth { a, b });
    }

    /// A plain link with a /31 and, where there is IPv6, a /127; the hub's end first. Both ends up.
    pub fn link(
        &mut self,
        a: (&str, &str, Ipv4Addr),
        b: (&str, &str, Ipv4Addr),
        ipv6: Option<Ipv6Link>,
    ) {
        let end = |(namespace, name, _): (&str, &str, Ipv4Addr), index| LinkEnd {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            index,
            mac: None,
        };
        let index = self.next_index;
        self.next_index += 2;
        self.veth(end(a, index), end(b, index + 1));
        let ipv6 = [ipv6.map(|link| link.hub), ipv6.map(|link| link.spoke)];
        for ((namespace, name, address), ipv6) in [a, b].into_iter().zip(ipv6) {
            self.address(namespace, name, address, 31);
            if let Some(address) = ipv6 {
                self.address(namespace, name, address, 127);
            }
            self.up(namespace, name);
        }
    }

    pub fn address(
        &mut self,
        namespace: &str,
        link: &str,
        address: impl Into<IpAddr>,
        prefix_len: u8,
    ) {
        self.work.push(Work::Address {
            namespace: namespace.to_owned(),
            link: link.to_owned(),
            address: address.into(),
            prefix_len,
        });
    }

    pub fn up(&mut self, namespace: &str, link: &str) {
        self.work.push(Work::Up {
            namespace: namespace.to_owned(),
            link: link.to_owned(),
        });
    }

    pub fn clsact(&mut self, namespace: &str, link: &str) {
        self.work.push(Work::Clsact {
            namespace: namespace.to_owned(),
            link: link.to_owned(),
        });
    }

    pub fn route(
        &mut self,
        namespace: &str,
        destination: impl Into<IpNet>,
        via: impl Into<IpAddr>,
        metric: u32,
    ) {
        self.work.push(Work::Route {
            namespace: namespace.to_owned(),
            destination: destination.into(),
            via: vec![via.into()],
            metric,
        });
    }
}
