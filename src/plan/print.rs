//! A plan as text that a shell runs: the same network by hand, with named namespaces.

use std::fmt;

use super::{LinkEnd, Plan, Work};

/// The namespaces, then the links between them, then what each namespace's links get.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# namespaces")?;
        let mut namespaces = Vec::new();
        for work in &self.work {
            if let Work::Namespace { name, .. } = work {
                writeln!(f, "{work}")?;
                namespaces.push(name.as_str());
            }
        }
        writeln!(f, "\n# links, all down")?;
        for work in &self.work {
            if matches!(work, Work::Veth { .. }) {
                writeln!(f, "{work}")?;
            }
        }
        for namespace in namespaces {
            let mut works = self
                .work
                .iter()
                .filter(|work| work.inside() == Some(namespace))
                .peekable();
            if works.peek().is_some() {
                writeln!(f, "\n# {namespace}")?;
            }
            for work in works {
                writeln!(f, "{work}")?;
            }
        }
        Ok(())
    }
}

impl Work {
    /// The namespace inside which it is done, once all namespaces and links are there.
    fn inside(&self) -> Option<&str> {
        match self {
            Work::Namespace { .. } | Work::Veth { .. } => None,
            Work::Address { namespace, .. }
            | Work::Up { namespace, .. }
            | Work::Route { namespace, .. }
            | Work::Clsact { namespace, .. } => Some(namespace),
        }
    }
}

/// One line, for example `ip -n ams-edge-1 link set ams-1 up`.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Namespace {
                name,
                forwarding,
                ipv6,
            } => {
                write!(f, "ip netns add {name} && ip netns exec {name} sysctl -qw")?;
                match ipv6 {
                    true => {
                        write!(f, " net.ipv6.conf.default.accept_dad=0")?;
                        write!(f, " net.ipv6.conf.default.accept_ra=0")?;
                        write!(f, " net.ipv6.conf.default.keep_addr_on_down=1")?;
                    }
                    false => write!(f, " net.ipv6.conf.default.addr_gen_mode=1")?,
                }
                if *forwarding {
                    write!(f, " net.ipv4.ip_forward=1")?;
                    write!(f, " net.ipv4.fib_multipath_hash_policy=1")?;
                }
                if *forwarding && *ipv6 {
                    write!(f, " net.ipv6.conf.all.forwarding=1")?;
                    write!(f, " net.ipv6.fib_multipath_hash_policy=1")?;
                }
                write!(f, " && ip -n {name} link set lo up")
            }
            Work::Veth { a, b } => write!(
                f,
                "ip -n {} link add {} type veth peer {} netns {}",
                a.namespace, a, b, b.namespace
            ),
            Work::Address {
                namespace,
                link,
                address,
                prefix_len,
            } => write!(
                f,
                "ip -n {namespace} address add {address}/{prefix_len} dev {link}{}",
                if address.is_ipv6() { " nodad" } else { "" }
            ),
            Work::Up { namespace, link } => write!(f, "ip -n {namespace} link set {link} up"),
            Work::Route {
                namespace,
                destination,
                via,
                metric,
            } => {
                write!(f, "ip -n {namespace} route add {destination} proto static")?;
                if *metric != 0 {
                    write!(f, " metric {metric}")?;
                }
                match via.as_slice() {
                    [gateway] => write!(f, " via {gateway}"),
                    gateways => gateways
                        .iter()
                        .try_for_each(|gateway| write!(f, " nexthop via {gateway}")),
                }
            }
            Work::Clsact { namespace, link } => {
                write!(f, "tc -n {namespace} qdisc add dev {link} clsact")
            }
        }
    }
}

/// The words of `ip link add` for one end.
impl fmt::Display for LinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "name {} index {}", self.name, self.index)?;
        if let Some([a, b, c, d, e, g]) = self.mac {
            write!(
                f,
                " address {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"
            )?;
        }
        Ok(())
    }
}
