//! The rules once more, as plainly as they can be said: over lists, texts and ranges of numbers. Slow, and written from the
//! documents (b.2), not from the code beside it.

use std::collections::BTreeSet;

use super::*;
use crate::topology::{ForeignOrigin, Rpki, SameName, Weight};

/// Severity, reason, connection.
pub(super) type Verdict = BTreeSet<(Severity, &'static str, Option<String>)>;

/// A registry died.
#[derive(Debug, Clone, Copy)]
pub(super) struct Died;
/// Prefix, maximum length, origin.
pub(super) type Roa = (Ipv4Net, u8, u32);
/// Route objects and aut-nums.
pub(super) type Objects = (Vec<(Ipv4Net, u32)>, Vec<u32>);

/// What the registries say, as lists; `None` where a registry was not configured.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub irr: Option<Result<Objects, Died>>,
    pub rpki: Option<Result<Vec<Roa>, Died>>,
}

/// First and last address.
fn range(prefix: Ipv4Net) -> (u32, u32) {
    (u32::from(prefix.network()), u32::from(prefix.broadcast()))
}

fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    let ((a, b), (c, d)) = (range(one), range(other));
    a <= d && c <= b
}

fn inside(part: Ipv4Net, whole: Ipv4Net) -> bool {
    let ((a, b), (c, d)) = (range(part), range(whole));
    c <= a && b <= d
}

const PRIVATE: [&str; 14] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "192.88.99.0/24",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "10.0.0.0/8",
];
const DOCUMENTATION: [&str; 3] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"];

fn private(world: &World, prefix: Ipv4Net) -> bool {
    let documentation = !world.topology.documentation_numbers_are_public;
    PRIVATE.iter().any(|range| overlap(prefix, net(range)))
        || (documentation
            && DOCUMENTATION
                .iter()
                .any(|range| overlap(prefix, net(range))))
        || world
            .policy
            .private_ranges
            .iter()
            .any(|range| overlap(prefix, *range))
}

/// The prefix as a session has it, if that counts.
fn on(world: &World, place: usize, prefix: Ipv4Net) -> Option<&ReceivedRoute> {
    let seen = world.observed.connections[place].routes.get(&prefix)?;
    let withdrawn = matches!(seen.unusable.as_deref(), Some(why) if why != "as-set");
    (world.standing[place].active && !withdrawn).then_some(&seen.route)
}

fn numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn routes(
    world: &World,
    said: &Said,
    places: &[usize],
    prefix: Ipv4Net,
    kind: Kind,
    verdict: &mut Verdict,
) {
    let mut fail = |reason, place: usize| {
        let name = world.topology.connections[place].name.clone();
        let severity = match (reason, world.policy.as_set) {
            ("as-set", Weight::Warn) => Severity::Warn,
            _ => Severity::Fail,
        };
        verdict.insert((severity, reason, Some(name)));
    };
    let places: Vec<usize> = places
        .iter()
        .copied()
        .filter(|place| world.standing[*place].active || !world.policy.ignore_inactive)
        .collect();
    let mut origins: Vec<(String, usize)> = Vec::new();
    for place in &places {
        let Some(route) = on(world, *place, prefix) else {
            fail("prefix-not-received", *place);
            continue;
        };
        let path = route.as_path.to_string();
        let words: Vec<&str> = path.split(' ').filter(|word| !word.is_empty()).collect();
        let asns = numbers(&path);
        if words.len() > 3 {
            fail("as-path-too-long", *place);
        }
        if asns.iter().collect::<BTreeSet<_>>().len() < asns.len() {
            fail("as-path-prepended", *place);
        }
        if path.contains('{') {
            fail("as-set", *place);
        }
        if asns
            .iter()
            .any(|n| (64512..65535).contains(n) || (4_200_000_000..u32::MAX).contains(n))
        {
            fail("private-asn-in-path", *place);
        }
        let documentation = |n: &u32| (64496..64512).contains(n) || (65536..65552).contains(n);
        let closed = !world.topology.documentation_numbers_are_public;
        if asns
            .iter()
            .any(|n| [0, 23456, 65535, u32::MAX].contains(n) || (closed && documentation(n)))
        {
            fail("special-asn-in-path", *place);
        }
        if !route.communities.contains(&"8075:8007".to_owned()) {
            fail("missing-community", *place);
        }
        origins.push((words.last().copied().unwrap_or_default().to_owned(), *place));
    }
    if places.is_empty() {
        verdict.insert((Severity::Fail, "prefix-not-received", None));
    }
    let several = origins.iter().any(|(origin, _)| *origin != origins[0].0);
    for (origin, place) in &origins {
        let at = several.then(|| world.topology.connections[*place].name.clone());
        for (severity, reason) in origin_of(world, said, prefix, kind, origin) {
            verdict.insert((severity, reason, at.clone()));
        }
    }
    if !origins.is_empty() {
        let rpki = said.rpki.is_none() && world.policy.rpki != Rpki::Off;
        if said.irr.is_none() || rpki {
            verdict.insert((Severity::Unchecked, "registry-not-configured", None));
        }
    }
}

/// What an origin, as the last word of a path, leads to.
fn origin_of(
    world: &World,
    said: &Said,
    prefix: Ipv4Net,
    kind: Kind,
    origin: &str,
) -> Vec<(Severity, &'static str)> {
    let mut told = Vec::new();
    let asns = numbers(origin);
    let single = asns.first().copied().filter(|_| !origin.contains('{'));
    match &said.irr {
        None => {}
        Some(Err(Died)) => told.push((Severity::Unchecked, "registry-unavailable")),
        Some(Ok((routes, aut_nums))) => {
            let known =
                |n: &u32| aut_nums.contains(n) || routes.iter().any(|(_, origin)| origin == n);
            if asns.is_empty() || !asns.iter().all(known) {
                told.push((Severity::Fail, "origin-not-in-registry"));
            }
            if asns
                .iter()
                .any(|n| known(n) && !routes.contains(&(prefix, *n)))
            {
                told.push((Severity::Warn, "no-route-object"));
            }
        }
    }
    let strict = world.policy.rpki == Rpki::RequireValid;
    let if_strict = if strict {
        Severity::Fail
    } else {
        Severity::Warn
    };
    match &said.rpki {
        _ if world.policy.rpki == Rpki::Off => {}
        None => {}
        Some(Err(Died)) => told.push((if_strict, "registry-unavailable")),
        Some(Ok(vrps)) => {
            let covering: Vec<_> = vrps
                .iter()
                .filter(|(net, ..)| inside(prefix, *net))
                .collect();
            let valid = |(_, longest, asn): &&&Roa| {
                *asn != 0 && Some(*asn) == single && prefix.prefix_len() <= *longest
            };
            if covering.is_empty() {
                told.push((if_strict, "rpki-not-found"));
            } else if covering.iter().find(valid).is_none() {
                let marked = world.policy.rpki == Rpki::Mark;
                told.push((
                    if marked {
                        Severity::Warn
                    } else {
                        Severity::Fail
                    },
                    "rpki-invalid",
                ));
            }
        }
    }
    let name = |peer: &PeerAsn| match world.policy.same_name {
        SameName::PeerName => peer.peer_name.clone(),
        SameName::ResourceName => peer.name.clone(),
    };
    let own = world
        .peer_asns
        .iter()
        .find(|peer| peer.asn == 64500)
        .map(name);
    let ours = |n: &u32| {
        *n == 64500
            || world
                .peer_asns
                .iter()
                .any(|peer| peer.asn == *n && Some(name(peer)) == own)
    };
    if !asns.iter().all(ours) {
        let fails = match world.policy.foreign_origin {
            ForeignOrigin::WarnThenFail => kind == Kind::Service,
            ForeignOrigin::Warn => false,
            ForeignOrigin::Fail => true,
        };
        told.push((
            if fails {
                Severity::Fail
            } else {
                Severity::Warn
            },
            "origin-not-peer-asn",
        ));
    }
    told
}

/// The connections of a metro.
fn connections(world: &World, metro: &str) -> Vec<usize> {
    let all = 0..world.topology.connections.len();
    all.filter(|place| {
        world.standing[*place].exists && world.topology.connections[*place].metro == metro
    })
    .collect()
}

/// A registered prefix.
pub(super) fn registered(world: &World, said: &Said, prefix: Ipv4Net, peering: &str) -> Verdict {
    let mut verdict = Verdict::new();
    routes(
        world,
        said,
        &connections(world, peering),
        prefix,
        Kind::Registered,
        &mut verdict,
    );
    if private(world, prefix) {
        verdict.insert((Severity::Fail, "private-range", None));
    }
    verdict
}

/// A Peering Service prefix. `earlier` are those created before it, with their services; `key` is the one issued for it,
/// if it is registered.
pub(super) fn service(
    world: &World,
    said: &Said,
    prefix: Ipv4Net,
    name: &str,
    given: &str,
    key: Option<&str>,
    earlier: &[(Ipv4Net, String)],
) -> Verdict {
    let mut verdict = Verdict::new();
    let mut fail = |reason| {
        verdict.insert((Severity::Fail, reason, None));
    };
    let service = world
        .topology
        .services
        .iter()
        .find(|service| service.name == name)
        .expect(name);
    let used = |metro: &str| -> Vec<usize> {
        let there = connections(world, metro).into_iter();
        there
            .filter(|place| world.standing[*place].peering_service)
            .collect()
    };
    let running = |metro: &str| -> Vec<usize> {
        used(metro)
            .into_iter()
            .filter(|place| world.standing[*place].active)
            .collect()
    };
    let primary = running(&service.primary);
    let apart = |one: &usize, other: &usize| {
        let (one, other) = (
            &world.observed.connections[*one],
            &world.observed.connections[*other],
        );
        one.edge != other.edge && one.router != other.router
    };
    if primary.len() < 2 {
        fail("too-few-sessions-in-primary");
    } else if !primary
        .iter()
        .any(|one| primary.iter().any(|other| apart(one, other)))
    {
        fail("same-router-in-primary");
    }
    let mut places = used(&service.primary);
    if let Some(backup) = &service.backup {
        if running(backup).is_empty() {
            fail("no-session-in-backup");
        }
        places.extend(used(backup));
    }
    match key {
        None => fail("not-registered"),
        Some(key) if key.to_lowercase() != given.to_lowercase() => fail("wrong-key"),
        Some(_) => {}
    }
    let counts =
        |(_, other): &&(Ipv4Net, String)| world.policy.overlap == Overlap::Global || other == name;
    if earlier
        .iter()
        .filter(counts)
        .any(|(other, _)| overlap(prefix, *other))
    {
        fail("overlaps-another-prefix");
    }
    if private(world, prefix) {
        fail("private-range");
    }
    routes(world, said, &places, prefix, Kind::Service, &mut verdict);
    verdict
}

/// The state that follows for a prefix that was never verified.
pub(super) fn state(verdict: &Verdict) -> ValidationState {
    if verdict
        .iter()
        .any(|(severity, ..)| *severity == Severity::Fail)
    {
        ValidationState::Failed
    } else if verdict.iter().any(|(severity, reason, _)| {
        (*severity, *reason) == (Severity::Unchecked, "registry-unavailable")
    }) {
        ValidationState::Unknown
    } else {
        ValidationState::Verified
    }
}
