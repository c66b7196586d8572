//! The routes of both ends. Each has communities of its own number, so that none can stand for another.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use peerlab::bgp::attributes::LargeCommunity;
use peerlab::bgp::family::Family;
use peerlab::router::{Originated, OriginatedAttributes, Sessions};

/// A route as one end has it from the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    pub prefix: IpNet,
    /// The AS path, for example `64500 64501`.
    pub path: String,
    /// Of all kinds, as we write them: `8075:8007`, `8075:1:2`, `rt:8075:2`.
    pub communities: BTreeSet<String>,
}

/// Our 280 prefixes.
pub fn ours(family: Family) -> Vec<IpNet> {
    let text = |n: u16| match family {
        Family::Ipv4Unicast => format!("100.{}.{}.0/24", 64 + n / 256, n % 256),
        Family::Ipv6Unicast => format!("2001:db8:{:x}::/48", 0x1000 + n),
    };
    (0..280)
        .map(|n| text(n).parse().expect("a prefix"))
        .collect()
}

/// The daemon's 10 prefixes, each with its number.
pub fn theirs(family: Family) -> Vec<(u16, IpNet)> {
    let text = |n: u16| match family {
        Family::Ipv4Unicast => format!("198.18.{n}.0/24"),
        Family::Ipv6Unicast => format!("2001:db8:{:x}::/48", 0x100 + n),
    };
    (0..10)
        .map(|n| (n, text(n).parse().expect("a prefix")))
        .collect()
}

/// Our routes as the edge is told them.
pub fn originated(family: Family) -> Vec<Originated> {
    let route = |(n, prefix): (u32, IpNet)| Originated {
        prefix,
        attributes: OriginatedAttributes {
            communities: vec![8075 << 16 | 8007, 8075 << 16 | n],
            large_communities: vec![LargeCommunity {
                global: 8075,
                local_1: 1,
                local_2: n,
            }],
            // A route target (RFC 4360, section 4): 8075:n.
            extended_communities: vec![0x0002 << 48 | 8075 << 32 | u64::from(n)],
            ..OriginatedAttributes::default()
        },
        sessions: Sessions::All,
    };
    (0..).zip(ours(family)).map(route).collect()
}

/// Our routes as the daemon has to have them.
pub fn ours_heard(family: Family, path: &str) -> Vec<Heard> {
    let heard = |(n, prefix): (u32, IpNet)| Heard {
        prefix,
        path: path.to_owned(),
        communities: communities(8075, 8007, n),
    };
    (0..).zip(ours(family)).map(heard).collect()
}

/// The daemon's routes as we have to have them.
pub fn theirs_heard(family: Family, path: &str) -> Vec<Heard> {
    let heard = |(n, prefix): (u16, IpNet)| Heard {
        prefix,
        path: path.to_owned(),
        communities: communities(64500, 100, n.into()),
    };
    theirs(family).into_iter().map(heard).collect()
}

/// A community all have, then one of the route's number of each kind.
fn communities(asn: u32, all: u32, n: u32) -> BTreeSet<String> {
    let mine = [
        format!("{asn}:{n}"),
        format!("{asn}:1:{n}"),
        format!("rt:{asn}:{n}"),
    ];
    mine.into_iter().chain([format!("{asn}:{all}")]).collect()
}

/// The first difference between what was heard and what had to be, if there is one.
pub fn difference(heard: &[Heard], wanted: &[Heard]) -> Option<String> {
    let by_prefix = |routes: &[Heard]| -> BTreeMap<IpNet, Heard> {
        routes
            .iter()
            .map(|route| (route.prefix, route.clone()))
            .collect()
    };
    let (heard, wanted) = (by_prefix(heard), by_prefix(wanted));
    let lost = wanted
        .iter()
        .find(|(prefix, route)| heard.get(prefix) != Some(*route));
    if let Some((prefix, route)) = lost {
        return Some(match heard.get(prefix) {
            None => format!(
                "{prefix} is not there, {} of {} are",
                heard.len(),
                wanted.len()
            ),
            Some(other) => format!("{other:?} instead of {route:?}"),
        });
    }
    let more = heard.keys().find(|prefix| !wanted.contains_key(prefix))?;
    Some(format!("{more} is there, too"))
}

/// The addresses of a link: ours and the daemon's.
pub fn addresses(over: Family) -> (&'static str, &'static str) {
    match over {
        Family::Ipv4Unicast => ("10.0.0.1", "10.0.0.0"),
        Family::Ipv6Unicast => ("2001:db8::3", "2001:db8::2"),
    }
}
