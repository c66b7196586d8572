//! The network of a lab as ordered kernel work, in values that print like `ip` lines.
//!
//! [`Plan`] is made from a topology without touching the kernel (`of_topology.rs`); the `kernel` room applies it.
//!
//! **Invariant:** a plan is a pure function of its topology; no work refers to a namespace or link made later.

mod draft;
pub mod microsoft;
pub mod of_topology;
mod print;

use std::net::IpAddr;

use ipnet::IpNet;

/// Ordered kernel work.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// The work, in the order in which it is done.
    pub work: Vec<Work>,
}

/// One piece of kernel work.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Make a network namespace, with forwarding on or off; bring `lo` up.
    Namespace {
        /// Its name in the plan; the kernel never learns it.
        name: String,
        /// Forward packets, and hash flows over equal paths by ports too
        /// (`net.ipv4.ip_forward`, `net.ipv4.fib_multipath_hash_policy`, and those of IPv6).
        forwarding: bool,
        /// IPv6 is used: links have link-local addresses, addresses are good at once (no duplicate address detection)
        /// and outlast a link that is down, advertised routers are not listened to. Without it, links get no IPv6
        /// address of their own, so that IPv6 sends nothing.
        ipv6: bool,
    },
    /// Make a veth pair, both ends down.
    Veth {
        /// One end.
        a: LinkEnd,
        /// The other end.
        b: LinkEnd,
    },
    /// Give a link an address.
    Address {
        /// Namespace.
        namespace: String,
        /// Link.
        link: String,
        /// Address.
        address: IpAddr,
        /// Prefix length.
        prefix_len: u8,
    },
    /// Bring a link up.
    Up {
        /// Namespace.
        namespace: String,
        /// Link.
        link: String,
    },
    /// Add a static route.
    Route {
        /// Namespace.
        namespace: String,
        /// Destination.
        destination: IpNet,
        /// Gateways; several are equal paths.
        via: Vec<IpAddr>,
        /// Metric: the lower one wins. Routes of BGP have 20.
        metric: u32,
    },
    /// Prepare a link for filters (`tc qdisc add … clsact`).
    Clsact {
        /// Namespace.
        namespace: String,
        /// Link.
        link: String,
    },
}

/// One end of a veth pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkEnd {
    /// Namespace.
    pub namespace: String,
    /// Interface name, at most 15 bytes.
    pub name: String,
    /// Interface index, unique in the lab: the two ends of a veth with equal indexes report carrier loss
    /// 500–780 ms late (the kernel's `linkwatch_urgent_event`).
    pub index: u32,
    /// Hardware address, if it matters.
    pub mac: Option<[u8; 6]>,
}
