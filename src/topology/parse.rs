//! From the raw file to the model: what each key means. What must hold between them is in `rules.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::raw::{
    RawConnection, RawDocumentationNumbers, RawEndpoint, RawMembers, RawMicrosoft, RawPeer,
    RawPeerAsn, RawService, RawTopology, RawUtilisation,
};
use super::{
    BfdSettings, BgpSettings, Connection, Crossed, DeclaredPrefixes, Endpoint, Impaired, Inside,
    LacpEnds, LacpSettings, LagBackend, LagBackends, Metro, MicroBfd, Multipath, NamedPolicies,
    OverDeclared, Peer, PeerAsn, Policy, Profile, Router, Service, Topology, UtilisationLimit,
    addresses, impairment, profile, registry, rules,
};
use crate::policy::Policies;
use crate::source::{
    Bandwidth, Diagnostics, Located, Mistakes, Secrets, Source, Span, Table, read,
};

/// The shortest link Microsoft accepts for voice (L1-01), and the step between speeds, in Mbit/s.
const LINK_STEP: u32 = 10_000;

/// Reads and parses a topology file.
///
/// # Errors
/// Every mistake in the file, or that it cannot be read.
pub fn load(path: &Path) -> Result<Topology, Diagnostics> {
    parse(&Source::read(path)?)
}

/// Parses a topology and looks into the files of registries that it names.
///
/// # Errors
/// Every mistake in all of these files.
pub fn parse(source: &Arc<Source>) -> Result<Topology, Diagnostics> {
    let (raw, mut mistakes) = read::<RawTopology>(source);
    let topology = raw.and_then(|raw| {
        let topology = model(&raw, source, &mut mistakes);
        rules::check(&raw, &mut mistakes);
        if let Some(topology) = &topology {
            registry::check_files(&raw, &topology.peer.registry, &mut mistakes);
        }
        topology
    });
    mistakes.finish(topology)
}

/// Parses a topology of a kept record; no file is looked up.
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn parse_kept(source: &Arc<Source>) -> Result<Topology, Diagnostics> {
    let (raw, mut mistakes) = read::<RawTopology>(source);
    let topology = raw.and_then(|raw| {
        let topology = model(&raw, source, &mut mistakes);
        rules::check(&raw, &mut mistakes);
        topology
    });
    mistakes.finish(topology)
}

fn model(raw: &RawTopology, source: &Arc<Source>, mistakes: &mut Mistakes) -> Option<Topology> {
    let profile = profile(raw, mistakes);
    let of_profile = profile.as_ref().map(|profile| profile.policies.clone());
    let policies = of_profile.unwrap_or_default();
    let policies = policies.with(&raw.policy, &raw.prefix_set, &raw.asn_set, mistakes);
    let profile = profile.map(|profile| match &raw.microsoft {
        Some(microsoft) => with_microsoft(profile, microsoft, &policies, mistakes),
        None => profile,
    });
    let microsoft = profile
        .as_ref()
        .map(|profile| (profile.bgp.clone(), profile.policy.over_declared));
    let (bgp, over_declared) = microsoft.unwrap_or_default();
    let bfd = profile.as_ref().map(Profile::bfd_settings);
    let lacp = profile.as_ref().map(|profile| profile.lacp);
    let peer = peer(raw.peer.as_ref(), mistakes);
    let metros = raw.metro.0.iter().map(|(name, metro)| Metro {
        name: name.value.clone(),
        facility: metro.facility.map(|facility| facility.value),
    });
    let routers: Vec<Option<Router>> = (raw.router.0.iter())
        .map(|(name, router)| {
            let owner = format!("router `{}`", name.value);
            let metro = router.metro.as_ref();
            let metro = mistakes.require(metro, name.span, &owner, "metro", "metro = \"…\"")?;
            let bfd = bfd?.with(router.bfd.as_ref(), mistakes);
            mistakes
                .known(metro, "metro", raw.metro.names())
                .then(|| Router {
                    name: name.value.clone(),
                    metro: metro.value.clone(),
                    policies: peer_policies(&router.import, &router.export, &policies, mistakes),
                    bgp: bgp.of_the_peer().with(router.bgp.as_ref(), mistakes),
                    bfd,
                    multipath: Multipath::of(router.multipath.as_ref(), mistakes),
                    cost: router.cost.map_or(0, |cost| cost.value),
                })
        })
        .collect();
    let connections: Vec<Option<Connection>> = (raw.connection.0.iter())
        .map(|(name, connection)| {
            self::connection(
                name,
                connection,
                raw,
                ((&policies, &bgp), (bfd?, lacp?), over_declared),
                mistakes,
            )
        })
        .collect();
    let connections: Option<Vec<Connection>> = connections.into_iter().collect();
    // Names of cables mean nothing while connections are wrong.
    let impaired: Option<Vec<Impaired>> = connections.as_ref().and_then(|connections| {
        let all = raw.impair.iter();
        let members = impairment::members_of(connections);
        let all = all.map(|raw| Impaired::of(raw, connections, &members, mistakes));
        all.collect::<Vec<_>>().into_iter().collect()
    });
    let crossed: Option<Vec<Crossed>> = connections.as_ref().and_then(|connections| {
        let all = raw.crossed.iter().enumerate();
        let all = all.map(|(n, pair)| Crossed::of(pair, &raw.crossed[..n], connections, mistakes));
        all.collect::<Vec<_>>().into_iter().collect()
    });
    let endpoints: Vec<Option<Endpoint>> = (raw.endpoint.0.iter())
        .map(|(name, endpoint)| self::endpoint(name, endpoint, &raw.router, mistakes))
        .collect();
    let peer_asns: Vec<Option<PeerAsn>> = (raw.peer_asn.0.iter())
        .map(|(name, peer_asn)| self::peer_asn(name, peer_asn, raw, mistakes))
        .collect();
    let services: Vec<Option<Service>> = (raw.service.0.iter())
        .map(|(name, service)| self::service(name, service, raw, mistakes))
        .collect();
    Some(Topology {
        name: stem(&source.path),
        profile: profile?,
        documentation_numbers_are_public: documentation_is_public(raw),
        peer: peer?,
        metros: metros.collect(),
        routers: routers.into_iter().collect::<Option<_>>()?,
        connections: connections?,
        endpoints: endpoints.into_iter().collect::<Option<_>>()?,
        peer_asns: peer_asns.into_iter().collect::<Option<_>>()?,
        services: services.into_iter().collect::<Option<_>>()?,
        policies,
        impaired: impaired?,
        crossed: crossed?,
        secrets: Secrets::of(&source.text),
    })
}

/// The policies that a router or a connection names.
fn peer_policies(
    import: &Option<Located<String>>,
    export: &Option<Located<String>>,
    policies: &Policies,
    mistakes: &mut Mistakes,
) -> NamedPolicies {
    let mut named = |key: &Option<Located<String>>| {
        let name = key.as_ref()?;
        let suits = policies.suits_peer(name, mistakes);
        suits.then(|| name.value.clone())
    };
    NamedPolicies {
        import: named(import),
        export: named(export),
    }
}

/// The policies that a connection names for its edge.
fn edge_policies(
    raw: &RawConnection,
    policies: &Policies,
    mistakes: &mut Mistakes,
) -> NamedPolicies {
    let mut named = |key: &Option<Located<String>>| {
        let name = key.as_ref()?;
        policies.knows(name, mistakes);
        Some(name.value.clone())
    };
    NamedPolicies {
        import: named(&raw.edge_import),
        export: named(&raw.edge_export),
    }
}

/// The file's name without folder and extension.
pub(super) fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Whether RFC 5398 and RFC 5737 numbers count as public in this file.
pub(super) fn documentation_is_public(raw: &RawTopology) -> bool {
    let numbers = raw.documentation_numbers.map(|numbers| numbers.value);
    numbers == Some(RawDocumentationNumbers::Public)
}

fn peer(raw: Option<&Located<RawPeer>>, mistakes: &mut Mistakes) -> Option<Peer> {
    let top = Span::default();
    let raw = mistakes.require(raw, top, "the topology", "peer", "[peer]")?;
    let Located { value: raw, span } = raw;
    let example = "name = \"Contoso Voice\"";
    let name = mistakes.require(raw.name.as_ref(), *span, "the peer", "name", example);
    let asn = mistakes.require(raw.asn, *span, "the peer", "asn", "asn = 64500");
    let registry = registry::sources(raw.registry.as_ref(), mistakes);
    let core = Inside::of(raw.core.as_ref(), mistakes);
    Some(Peer {
        name: name?.value.clone(),
        asn: asn?.value,
        registry: registry?,
        core,
    })
}

fn profile(raw: &RawTopology, mistakes: &mut Mistakes) -> Option<Profile> {
    let top = Span::default();
    let example = "profile = \"voice\"";
    let named = mistakes.require(raw.profile, top, "the topology", "profile", example)?;
    profile::named(named, mistakes).cloned()
}

/// The profile, where `microsoft` does not say otherwise.
pub(super) fn with_microsoft(
    mut profile: Profile,
    microsoft: &RawMicrosoft,
    policies: &Policies,
    mistakes: &mut Mistakes,
) -> Profile {
    if let Some(bfd) = &microsoft.bfd {
        let settings = profile.bfd_settings().with(Some(bfd), mistakes);
        profile.bfd = settings.timers;
        profile.bfd_options = settings.options;
    }
    if let Some(bgp) = &microsoft.bgp {
        profile.bgp = profile.bgp.with(Some(bgp), mistakes);
    }
    if let Some(lacp) = &microsoft.lacp {
        profile.lacp = profile.lacp.with(&lacp.value, mistakes);
    }
    if let Some(raw) = &microsoft.utilisation {
        profile.utilisation = utilisation(raw, profile.utilisation, mistakes);
    }
    if let Some(routes) = microsoft.routes {
        if !(1..=512).contains(&routes.value) {
            let message = format!("{} routes cannot be announced", routes.value);
            mistakes.push(mistakes.error(routes.span, message, "1 to 512"));
        }
        profile.routes = routes.value;
    }
    if let Some(routes) = microsoft.ipv6_routes {
        if !(1..=512).contains(&routes.value) {
            let message = format!("{} routes cannot be announced", routes.value);
            mistakes.push(mistakes.error(routes.span, message, "1 to 512"));
        }
        profile.ipv6_routes = routes.value;
    }
    if microsoft.wan.is_some() {
        profile.wan = Inside::of(microsoft.wan.as_ref(), mistakes);
    }
    if let Some(policy) = &microsoft.policy {
        profile.policy = Policy::of(policy, &profile.policy, mistakes);
    }
    for (key, name) in [
        (&microsoft.import, &mut profile.import),
        (&microsoft.export, &mut profile.export),
    ] {
        if let Some(key) = key {
            policies.knows(key, mistakes);
            *name = key.value.clone();
        }
    }
    profile
}

fn utilisation(
    raw: &RawUtilisation,
    default: UtilisationLimit,
    mistakes: &mut Mistakes,
) -> UtilisationLimit {
    let limit = UtilisationLimit {
        threshold: raw.threshold.map_or(default.threshold, |share| share.value),
        window: raw.window.map_or(default.window, |window| window.value.0),
        scale: raw.scale.map_or(default.scale, |scale| scale.value),
    };
    let window = Duration::from_secs(1)..=Duration::from_secs(3600);
    let wrong = [
        (
            raw.threshold.map(|t| t.span),
            limit.threshold.is_zero(),
            "more than 0%",
        ),
        (
            raw.window.map(|w| w.span),
            !window.contains(&limit.window),
            "1 s to 1 h",
        ),
        (raw.scale.map(|s| s.span), limit.scale == 0, "1 or more"),
    ];
    for (span, is_wrong, right) in wrong {
        if let Some(span) = span.filter(|_| is_wrong) {
            let message = "utilisation cannot be measured like this";
            mistakes.push(mistakes.error(span, message, right));
        }
    }
    limit
}

fn connection(
    name: &Located<String>,
    raw: &RawConnection,
    file: &RawTopology,
    ((policies, bgp), (bfd, lacp), over_declared): (
        (&Policies, &BgpSettings),
        (BfdSettings, LacpSettings),
        OverDeclared,
    ),
    mistakes: &mut Mistakes,
) -> Option<Connection> {
    let owner = format!("connection `{}`", name.value);
    let at = name.span;
    let router = raw.router.as_ref();
    let router = mistakes.require(router, at, &owner, "router", "router = \"…\"");
    let known = router.is_some_and(|r| mistakes.known(r, "router", file.router.names()));
    let edge = mistakes.require(raw.edge.as_ref(), at, &owner, "edge", "edge = \"…\"");
    let ipv4 = mistakes.require(raw.ipv4, at, &owner, "ipv4", "ipv4 = \"192.0.2.0/31\"");
    let addresses = ipv4.and_then(|ipv4| addresses::of_session(ipv4, mistakes));
    let ipv6 = match raw.ipv6 {
        Some(ipv6) => Some(addresses::of_ipv6_session(ipv6, mistakes)?),
        None => None,
    };
    let declared = DeclaredPrefixes::of(raw, mistakes);
    let bfd = bfd.with(raw.bfd.as_ref(), mistakes);
    let mut bgp = bgp.with(raw.bgp.as_ref(), mistakes);
    let maximum = &mut bgp.options.maximum_prefixes;
    *maximum = declared.enforced(over_declared, *maximum);
    let backends = backends(raw);
    let micro_bfd = raw.micro_bfd.as_ref();
    if let Some(micro_bfd) = micro_bfd
        && [backends.microsoft, backends.peer].contains(&LagBackend::Kernel)
    {
        let message = "the kernel's bond has no BFD on its members";
        let diagnostic = mistakes.error(micro_bfd.span, message, "of one end there would be none");
        mistakes.push(diagnostic.help("leave `backend` out, or write `ours`"));
    }
    let micro_bfd =
        micro_bfd.map(|raw| MicroBfd::new(&raw.value, bfd.timers, ipv6.is_some(), mistakes));
    let (bandwidth, members) = members(name, raw, mistakes)?;
    let lacp = LacpEnds::of(raw, lacp, (backends, members.len()), mistakes);
    let router = router.filter(|_| known)?.value.clone();
    let stands = |(other, _): &&(Located<String>, super::raw::RawRouter)| other.value == router;
    let (_, place) = file.router.0.iter().find(stands)?;
    Some(Connection {
        name: name.value.clone(),
        metro: place.metro.as_ref()?.value.clone(),
        router,
        edge: edge?.value.clone(),
        bandwidth_mbps: bandwidth,
        members,
        spare: 0,
        backends,
        lacp,
        addresses: addresses?,
        ipv6,
        policies: peer_policies(&raw.import, &raw.export, policies, mistakes),
        edge_policies: edge_policies(raw, policies, mistakes),
        declared,
        bgp,
        bfd,
        micro_bfd,
    })
}

fn backends(raw: &RawConnection) -> LagBackends {
    let backend = raw.backend.as_ref().map(|backend| backend.value);
    let backend = backend.unwrap_or_default();
    LagBackends {
        microsoft: backend.microsoft.unwrap_or_default(),
        peer: backend.peer.unwrap_or_default(),
    }
}

/// Bandwidth of the whole connection and of each member, in Mbit/s.
pub(super) fn members(
    name: &Located<String>,
    raw: &RawConnection,
    mistakes: &mut Mistakes,
) -> Option<(u32, Vec<u32>)> {
    let owner = format!("connection `{}`", name.value);
    if mistakes.is_struck(name.span, Some("members")) {
        return None;
    }
    if let Some(Located {
        value: RawMembers::Each(each),
        span,
    }) = &raw.members
    {
        return members_by_speed(raw, each, *span, mistakes);
    }
    let example = "bandwidth = \"20Gbps\"";
    let whole = mistakes.require(raw.bandwidth, name.span, &owner, "bandwidth", example)?;
    let (count, span) = match &raw.members {
        Some(Located {
            value: RawMembers::Count(count),
            span,
        }) => (*count, *span),
        _ => (1, whole.span),
    };
    let Some(count) = u32::try_from(count).ok().filter(|n| (1..=8).contains(n)) else {
        let message = format!("a LAG of {count} members is not possible");
        mistakes.push(mistakes.error(span, message, "1 to 8"));
        return None;
    };
    let each = whole.value.0 / count;
    if whole.value.0 % count != 0 || each % LINK_STEP != 0 || each < LINK_STEP {
        let right = (whole.value.0 / (LINK_STEP * count)).max(1) * LINK_STEP * count;
        let message = if count == 1 {
            format!("a link of {} is not possible", whole.value)
        } else {
            format!(
                "{count} members of a connection of {} have {} each",
                whole.value,
                Bandwidth(each)
            )
        };
        let diagnostic = mistakes.error(whole.span, message, "bandwidth of the whole connection");
        mistakes.push(
            diagnostic
                .replace(
                    "write a bandwidth that gives such links",
                    whole.span,
                    format!("\"{}\"", Bandwidth(right)),
                )
                .note("a link for voice has a multiple of 10 Gbit/s (L1-01)"),
        );
        return None;
    }
    Some((whole.value.0, vec![each; count as usize]))
}

fn members_by_speed(
    raw: &RawConnection,
    each: &[Located<Bandwidth>],
    span: Span,
    mistakes: &mut Mistakes,
) -> Option<(u32, Vec<u32>)> {
    let mut good = true;
    if !(1..=8).contains(&each.len()) {
        let message = format!("a LAG of {} members is not possible", each.len());
        mistakes.push(mistakes.error(span, message, "1 to 8"));
        return None;
    }
    for member in each {
        if member.value.0 % LINK_STEP != 0 {
            let message = format!("a link of {} is not possible", member.value);
            let diagnostic = mistakes.error(member.span, message, "a multiple of 10Gbps");
            mistakes.push(diagnostic.note("a link for voice has a multiple of 10 Gbit/s (L1-01)"));
            good = false;
        } else if member.value != each[0].value {
            let message = "the members of a LAG have unequal speeds";
            let label = format!("{} here", member.value);
            let diagnostic = mistakes.error(member.span, message, label);
            let first = format!("{} here", each[0].value);
            let source = Arc::clone(mistakes.source());
            mistakes.push(diagnostic.at(&source, each[0].span, first));
            good = false;
        }
    }
    let sum = each
        .iter()
        .fold(0, |sum: u32, m| sum.saturating_add(m.value.0));
    if let Some(whole) = raw.bandwidth.filter(|whole| good && whole.value.0 != sum) {
        let message = format!(
            "the members have {} together, not {}",
            Bandwidth(sum),
            whole.value
        );
        let diagnostic = mistakes.error(whole.span, message, "bandwidth of the whole connection");
        let source = Arc::clone(mistakes.source());
        mistakes.push(
            diagnostic
                .at(&source, span, "its members")
                .help("leave `bandwidth` out"),
        );
        good = false;
    }
    good.then(|| (sum, each.iter().map(|member| member.value.0).collect()))
}

fn endpoint(
    name: &Located<String>,
    raw: &RawEndpoint,
    routers: &Table<super::raw::RawRouter>,
    mistakes: &mut Mistakes,
) -> Option<Endpoint> {
    let owner = format!("endpoint `{}`", name.value);
    let at = name.span;
    let example = "prefix = \"198.51.100.0/24\"";
    let prefix = mistakes.require(raw.prefix, at, &owner, "prefix", example);
    let example = "address = \"198.51.100.10\"";
    let address = mistakes.require(raw.address, at, &owner, "address", example);
    let example = "behind = [\"…\", \"…\"]";
    let behind = mistakes.require(raw.behind.as_ref(), at, &owner, "behind", example);
    let ipv6 = (raw.ipv6.as_ref()).map(|ipv6| addresses::endpoint_ipv6(name, ipv6, mistakes));
    let behind = behind?;
    if behind.value.is_empty() && !mistakes.is_struck(behind.span, None) {
        let message = format!("{owner} is behind no router");
        let diagnostic = mistakes.error(behind.span, message, "name at least one");
        let names: Vec<&str> = routers.names().collect();
        mistakes.push(diagnostic.note(format!("routers: {}", crate::source::list(names))));
    }
    let mut names = Vec::new();
    for router in &behind.value {
        if names.contains(&router.value) {
            let message = format!("router `{}` is named twice", router.value);
            mistakes.push(mistakes.error(router.span, message, "the second time"));
        } else if mistakes.known(router, "router", routers.names()) {
            names.push(router.value.clone());
        }
    }
    Some(Endpoint {
        name: name.value.clone(),
        prefix: prefix?.value.0,
        address: address?.value.0,
        ipv6: match ipv6 {
            Some(ipv6) => Some(ipv6?),
            None => None,
        },
        behind: names,
    })
}

fn peer_asn(
    name: &Located<String>,
    raw: &RawPeerAsn,
    file: &RawTopology,
    mistakes: &mut Mistakes,
) -> Option<PeerAsn> {
    let owner = format!("peer ASN `{}`", name.value);
    let asn = mistakes.require(raw.asn, name.span, &owner, "asn", "asn = 64510")?;
    let peer = file.peer.as_ref().and_then(|peer| peer.value.name.as_ref());
    if file
        .peer
        .as_ref()
        .and_then(|peer| peer.value.asn)
        .map(|asn| asn.value)
        == Some(asn.value)
    {
        let message = format!("AS{} is the peer's own", asn.value);
        mistakes.push(mistakes.error(asn.span, message, "another AS number"));
    }
    Some(PeerAsn {
        asn: asn.value,
        name: name.value.clone(),
        peer_name: raw.peer_name.as_ref().or(peer)?.value.clone(),
    })
}

fn service(
    name: &Located<String>,
    raw: &RawService,
    file: &RawTopology,
    mistakes: &mut Mistakes,
) -> Option<Service> {
    let owner = format!("service `{}`", name.value);
    let example = "primary = \"…\"";
    let primary = raw.primary.as_ref();
    let primary = mistakes.require(primary, name.span, &owner, "primary", example);
    let mut known = true;
    for metro in [primary, raw.backup.as_ref()].into_iter().flatten() {
        known &= mistakes.known(metro, "metro", file.metro.names());
    }
    known.then_some(())?;
    Some(Service {
        name: name.value.clone(),
        primary: primary?.value.clone(),
        backup: raw.backup.as_ref().map(|backup| backup.value.clone()),
        provider: raw.provider.as_ref().map(|provider| provider.value.clone()),
    })
}
