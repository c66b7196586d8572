//! Settings of a namespace (ip-sysctl in the kernel's documentation).
//!
//! A new namespace inherits part of them from the host (`net.core.devconf_inherit_init_net`), so that a host with
//! strict reverse path filters would give other verdicts. They are read once, in the first namespace of a lab, and
//! only those that differ from what a lab needs are written in each: a write costs 50 µs, and ten times that where there
//! are a thousand namespaces.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

/// In every namespace.
const EVERYWHERE: &[(&str, &str)] = &[
    // Traffic may come back another way than it went: two connections are never symmetric.
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    // A next hop whose link has no carrier stays until the router removes it: what is measured is the router.
    ("net/ipv4/conf/all/ignore_routes_with_linkdown", "0"),
    ("net/ipv4/conf/default/ignore_routes_with_linkdown", "0"),
    ("net/ipv4/conf/all/arp_filter", "0"),
    ("net/ipv4/conf/default/arp_filter", "0"),
    ("net/ipv4/conf/all/arp_ignore", "0"),
    ("net/ipv4/conf/default/arp_ignore", "0"),
    ("net/ipv4/conf/all/arp_announce", "0"),
    ("net/ipv4/conf/default/arp_announce", "0"),
];
/// In namespaces that do not forward.
const HOST: &[(&str, &str)] = &[("net/ipv4/ip_forward", "0")];
/// In namespaces that forward; flows are spread over equal paths by addresses, protocol and ports.
const ROUTER: &[(&str, &str)] = &[
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/fib_multipath_hash_policy", "1"),
];

/// Where IPv6 is used: addresses are good at once and outlast a link that is set down, and no router is listened to.
const WITH_IPV6: &[(&str, &str)] = &[
    ("net/ipv6/conf/all/disable_ipv6", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/keep_addr_on_down", "1"),
    ("net/ipv6/conf/default/ignore_routes_with_linkdown", "0"),
];
/// Where IPv6 is forwarded.
const IPV6_ROUTER: &[(&str, &str)] = &[
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/fib_multipath_hash_policy", "1"),
];

/// Why a setting could not be made.
#[derive(Debug, thiserror::Error)]
#[error("set sysctl {name} to {value}: {source}{help}", help = remedy(source))]
pub struct SysctlError {
    /// Its name, for example `net.ipv4.ip_forward`.
    pub name: String,
    /// The value it should have.
    pub value: String,
    /// Why not.
    #[source]
    pub source: io::Error,
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; /proc/sys is read-only here, as in a container: start it with --privileged, or peerlab outside of it"
        }
        io::ErrorKind::NotFound => "; this kernel has no IPv6, or not all of it",
        _ => "",
    }
}

/// The settings that have to be written in each namespace of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    host: Vec<(&'static str, &'static str)>,
    router: Vec<(&'static str, &'static str)>,
    ipv6_host: Vec<(&'static str, &'static str)>,
    ipv6_router: Vec<(&'static str, &'static str)>,
}

impl Settings {
    /// Finds what differs in the namespace of the calling thread, which must be as the kernel made it.
    pub(super) fn differing_here() -> Settings {
        let differing = |wanted: &[(&'static str, &'static str)]| {
            let differs = |(name, value): &(&str, &str)| {
                // A kernel that lacks a setting does not do what it would allow.
                fs::read_to_string(path(name)).is_ok_and(|present| present.trim() != *value)
            };
            wanted.iter().copied().filter(differs).collect::<Vec<_>>()
        };
        // What a lab with IPv6 needs and the kernel lacks is found out where it is written.
        let lacking = |wanted: &[(&'static str, &'static str)]| {
            let lacks = |(name, value): &(&str, &str)| {
                !fs::read_to_string(path(name)).is_ok_and(|present| present.trim() == *value)
            };
            wanted.iter().copied().filter(lacks).collect::<Vec<_>>()
        };
        let everywhere = differing(EVERYWHERE);
        let with_ipv6 = lacking(WITH_IPV6);
        Settings {
            host: [everywhere.clone(), differing(HOST)].concat(),
            router: [everywhere, differing(ROUTER)].concat(),
            ipv6_router: [with_ipv6.clone(), lacking(IPV6_ROUTER)].concat(),
            ipv6_host: with_ipv6,
        }
    }

    /// Writes them in the namespace of the calling thread.
    pub(super) fn write_here(&self, forwarding: bool, ipv6: bool) -> Result<(), SysctlError> {
        let (settings, of_ipv6) = match forwarding {
            true => (&self.router, &self.ipv6_router),
            false => (&self.host, &self.ipv6_host),
        };
        for (name, value) in settings.iter().chain(of_ipv6.iter().filter(|_| ipv6)) {
            write(name, value).map_err(|source| SysctlError {
                name: name.replace('/', "."),
                value: (*value).to_owned(),
                source,
            })?;
        }
        Ok(())
    }
}

/// When an unanswered neighbour discovery is repeated in a lab, milliseconds.
pub const NEIGHBOUR_AGAIN: u16 = 20;

/// Lets a neighbour on `device`, of the family of `address`, be asked for again after so many milliseconds, not after 1000.
///
/// Of two ends of a cable one comes up a moment earlier, asks, and the answer is lost. There is no setting for a whole
/// namespace (arp(7): `default` exists only in the host's), so it is made for each device, by a thread in its namespace.
///
/// # Errors
/// When /proc/sys is read-only or there is no such device.
pub fn ask_neighbours_again(device: &str, address: IpAddr, milliseconds: u16) -> io::Result<()> {
    let family = match address {
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(_) => "ipv6",
    };
    let name = format!("net/{family}/neigh/{device}/retrans_time_ms");
    write(&name, &milliseconds.to_string())
}

fn write(name: &str, value: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path(name))?;
    file.write_all(value.as_bytes())
}

fn path(name: &str) -> impl AsRef<Path> {
    Path::new("/proc/sys").join(name)
}
