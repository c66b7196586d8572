//! What to do about a failure: in words, and as lines of configuration where a router's setting is wrong.

use super::observed::Connection;
use super::prefixes::{DeviceKind, Kind, Reason, is_private, special};
use super::received::ReceivedRoute;

/// The router whose setting is wrong, and the route it sent.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// What plays the router.
    pub device: DeviceKind,
    /// The connection.
    pub connection: &'a Connection,
    /// The route it sent, if it sent one.
    pub route: Option<&'a ReceivedRoute>,
    /// The peer's AS.
    pub asn: u32,
}

/// The remedy in words, and as lines of configuration for the device in use.
pub fn remedy(
    reason: Reason,
    kind: Kind,
    prefix: &str,
    setting: Option<Setting<'_>>,
) -> (String, Vec<String>) {
    let words = words(reason, kind, prefix);
    let config = setting.map(|setting| match setting.device {
        DeviceKind::Simulated => simulated(reason, prefix, setting),
        DeviceKind::Bird => bird(reason, prefix, setting),
        DeviceKind::Frr => frr(reason, prefix, setting),
        DeviceKind::Other => other(reason, prefix, setting),
    });
    (words, config.unwrap_or_default())
}

fn words(reason: Reason, kind: Kind, prefix: &str) -> String {
    let object = match kind {
        Kind::Registered => "registered prefix",
        Kind::Service => "Peering Service prefix",
    };
    match reason {
        Reason::NotIpv4Prefix => {
            format!("delete the {object} and create it with an IPv4 prefix, for example `203.0.113.0/24`")
        }
        Reason::HostBitsSet => format!("create the {object} with the network address of the prefix"),
        Reason::SmallerThan24NotAccepted => "register a prefix of /24 or shorter that covers it".to_owned(),
        Reason::PeeringNotForPeeringService => {
            "convert the peering to AS8075 (with Voice), or turn on Use for Peering Service".to_owned()
        }
        Reason::NoActiveConnection => {
            "wait until the peering's connections are Active, then register again".to_owned()
        }
        Reason::AlreadyRegistered => {
            "use the existing registration and its key, which are valid in all locations; or delete it first".to_owned()
        }
        Reason::DifferentPrefix => {
            format!("delete the {object} and create it again")
        }
        Reason::InternalError => {
            "wait and validate again; if it stays, write to peeringservice@microsoft.com with the subscription and the prefix".to_owned()
        }
        Reason::ProviderNotFound => {
            "choose a provider that Microsoft knows; as the provider, write to peeringservice@microsoft.com".to_owned()
        }
        Reason::TooFewSessionsInPrimary => {
            "wait until two connections used for Peering Service are Active at the primary location, or request another one there".to_owned()
        }
        Reason::SameRouterInPrimary => {
            "end the connections of the primary location on two different routers at both sides".to_owned()
        }
        Reason::NoSessionInBackup => {
            "request a connection used for Peering Service at the backup location, or choose no backup location".to_owned()
        }
        Reason::PrefixNotReceived => {
            format!("announce {prefix} itself, not only a covering route, on all sessions")
        }
        Reason::MissingCommunity => {
            format!("add the standard community 8075:8007 to {prefix} on all sessions, and let the session send communities")
        }
        Reason::OverlapsAnotherPrefix => "deactivate the other prefix, or activate one that does not overlap".to_owned(),
        Reason::AsPathTooLong => {
            format!("announce {prefix} with at most 3 AS numbers in its path, your own included")
        }
        Reason::AsPathPrepended => {
            format!("stop prepending {prefix} towards Microsoft, on all sessions alike")
        }
        Reason::AsSet => format!("announce {prefix} without aggregating the paths of its parts into an AS_SET"),
        Reason::PrivateAsnInPath => format!("remove private AS numbers from the path of {prefix}"),
        Reason::SpecialAsnInPath => format!("remove reserved AS numbers from the path of {prefix}"),
        Reason::NotRegistered => {
            format!("register {prefix} with the peering, wait until it is Verified, and activate it with its key")
        }
        Reason::WrongKey => {
            "delete the Peering Service prefix and create it with the key shown at the registered prefix".to_owned()
        }
        Reason::OriginNotInRegistry => {
            "register the origin AS (aut-num) in a routing registry: RIPE NCC, ARIN, APNIC, AFRINIC, LACNIC, RADB or ALTDB".to_owned()
        }
        Reason::RegistryUnavailable => "make the registry reachable; the prefix is validated again then".to_owned(),
        Reason::RegistryNotConfigured => "name a source in `[peer.registry]` of the topology".to_owned(),
        Reason::PrivateRange => "use public address space".to_owned(),
        Reason::OriginNotPeerAsn => {
            "create a peer ASN for the origin AS in the same subscription, with the same name as the peering's".to_owned()
        }
        Reason::RpkiInvalid => {
            format!("correct the ROA of {prefix}, or announce it as its ROA says")
        }
        Reason::RpkiNotFound => format!("create a ROA for {prefix} and its origin AS"),
        Reason::NoRouteObject => {
            format!("create a route object for {prefix} and its origin AS in a routing registry")
        }
    }
}

/// A step of a scenario that announces it rightly.
fn simulated(reason: Reason, prefix: &str, setting: Setting<'_>) -> Vec<String> {
    let from = &setting.connection.name;
    let with = match (reason, setting.route) {
        (Reason::MissingCommunity, Some(route)) => {
            let mut communities = vec!["\"8075:8007\"".to_owned()];
            let standard = |community: &&String| community.matches(':').count() == 1;
            let kept = route.communities.iter().filter(standard);
            communities.extend(kept.map(|community| format!("\"{community}\"")));
            let asns: Vec<String> = route.as_path.asns().map(|asn| asn.to_string()).collect();
            format!(
                ", as-path = [{}], communities = [{}]",
                asns.join(", "),
                communities.join(", ")
            )
        }
        (reason, _) if is_announcement(reason) => String::new(),
        _ => return Vec::new(),
    };
    vec![format!(
        "announce = {{ prefix = \"{prefix}\", from = \"{from}\"{with} }}"
    )]
}

/// Whether announcing the prefix otherwise is the remedy.
fn is_announcement(reason: Reason) -> bool {
    is_path(reason) || matches!(reason, Reason::PrefixNotReceived | Reason::MissingCommunity)
}

/// Whether the path is wrong.
fn is_path(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::AsPathTooLong
            | Reason::AsPathPrepended
            | Reason::AsSet
            | Reason::PrivateAsnInPath
            | Reason::SpecialAsnInPath
    )
}

/// The AS numbers that a router may strip from the path: all but its own, which it adds itself.
fn stripped(reason: Reason, setting: Setting<'_>) -> Vec<u32> {
    let Some(route) = setting.route else {
        return Vec::new();
    };
    let wrong = |asn: &u32| match reason {
        Reason::PrivateAsnInPath => is_private(*asn),
        Reason::SpecialAsnInPath => special(*asn, true).is_some(),
        Reason::AsPathTooLong => *asn != setting.asn,
        _ => false,
    };
    let mut asns: Vec<u32> = route.as_path.asns().filter(wrong).collect();
    asns.sort_unstable();
    asns.dedup();
    asns
}

fn numbers(asns: &[u32], between: &str) -> String {
    let words: Vec<String> = asns.iter().map(u32::to_string).collect();
    words.join(between)
}

fn bird(reason: Reason, prefix: &str, setting: Setting<'_>) -> Vec<String> {
    let neighbor = setting.connection.microsoft;
    let strip = stripped(reason, setting);
    let line = match reason {
        Reason::PrefixNotReceived => format!("if net = {prefix} then accept;"),
        Reason::MissingCommunity => {
            format!("if net = {prefix} then bgp_community.add((8075,8007));")
        }
        Reason::AsPathPrepended => "# remove the lines with bgp_path.prepend(…)".to_owned(),
        Reason::AsSet => {
            "# announce the parts of the aggregate, or originate it: route … blackhole;".to_owned()
        }
        _ if !strip.is_empty() => {
            format!(
                "if net = {prefix} then bgp_path.delete([{}]);",
                numbers(&strip, ", ")
            )
        }
        _ => return Vec::new(),
    };
    let mut lines = vec![
        format!(
            "# BGP protocol with `neighbor {neighbor} as 8075`: ipv4 {{ export filter {{ … }}; }}"
        ),
        line,
    ];
    if reason == Reason::PrefixNotReceived {
        lines.push(format!(
            "# and a route for it: protocol static {{ ipv4; route {prefix} blackhole; }}"
        ));
    }
    lines
}

fn frr(reason: Reason, prefix: &str, setting: Setting<'_>) -> Vec<String> {
    let neighbor = setting.connection.microsoft;
    let asn = setting.asn;
    let strip = stripped(reason, setting);
    let family = ["address-family ipv4 unicast".to_owned()].map(|line| format!(" {line}"));
    let mut lines: Vec<String> = Vec::new();
    let set = match reason {
        Reason::MissingCommunity => Some("set community 8075:8007 additive".to_owned()),
        _ if !strip.is_empty() => Some(format!("set as-path exclude {}", numbers(&strip, " "))),
        _ => None,
    };
    let mut neighbor_lines = Vec::new();
    if let Some(set) = set {
        lines.push(format!("ip prefix-list VOICE seq 5 permit {prefix}"));
        lines.push("route-map TO-MICROSOFT permit 10".to_owned());
        lines.push(" match ip address prefix-list VOICE".to_owned());
        lines.push(format!(" {set}"));
        neighbor_lines.push(format!("  neighbor {neighbor} route-map TO-MICROSOFT out"));
    }
    match reason {
        Reason::PrefixNotReceived => {
            neighbor_lines.push(format!("  network {prefix}"));
            neighbor_lines.push(format!("  neighbor {neighbor} activate"));
        }
        Reason::MissingCommunity => {
            neighbor_lines.push(format!("  neighbor {neighbor} send-community"));
        }
        Reason::AsPathPrepended => {
            lines.push("route-map TO-MICROSOFT permit 10".to_owned());
            lines.push(" no set as-path prepend".to_owned());
        }
        Reason::AsSet => {
            neighbor_lines.push(format!("  no aggregate-address {prefix} as-set"));
            neighbor_lines.push(format!("  aggregate-address {prefix} summary-only"));
        }
        _ => {}
    }
    if !neighbor_lines.is_empty() {
        lines.push(format!("router bgp {asn}"));
        lines.extend(family);
        lines.extend(neighbor_lines);
    }
    lines
}

fn other(reason: Reason, prefix: &str, setting: Setting<'_>) -> Vec<String> {
    let neighbor = setting.connection.microsoft;
    let strip = stripped(reason, setting);
    let what = match reason {
        Reason::PrefixNotReceived => format!("announce {prefix}"),
        Reason::MissingCommunity => {
            format!("{prefix}: add standard community 8075:8007, send communities")
        }
        Reason::AsPathPrepended => format!("{prefix}: no prepending"),
        Reason::AsSet => format!("{prefix}: no AS_SET"),
        _ if !strip.is_empty() => {
            format!("{prefix}: strip AS {} from the path", numbers(&strip, ", "))
        }
        _ => return Vec::new(),
    };
    vec![format!("neighbor {neighbor} AS8075, export: {what}")]
}
