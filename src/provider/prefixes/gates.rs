//! What is refused at once: texts that are no prefix, and registrations that the portal does not offer.

use ipnet::{Ipv4Net, Ipv6Net};

use super::ground::Ground;
use super::reason::{Kind, Reason, order};
use crate::provider::remedy;
use crate::record::{Failure, Severity};
use crate::topology::{ActiveGate, ShortPrefix};

/// A text that is no prefix (V-10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// No IPv4 prefix, and why.
    NotIpv4 {
        why: &'static str,
        nearest: Option<Ipv4Net>,
    },
    /// It would be this without its host bits.
    HostBits(Ipv4Net),
}

/// An IPv4 prefix as the portal takes it: four numbers, a slash, a length, no host bits.
pub(super) fn prefix(text: &str) -> Result<Ipv4Net, Wrong> {
    let not = |why, nearest| Err(Wrong::NotIpv4 { why, nearest });
    match text.parse::<Ipv4Net>() {
        // Leading zeros and the like: not what anybody means.
        Ok(net) if net.to_string() != text => {
            not("is not written as a prefix is", Some(net.trunc()))
        }
        Ok(net) if net.trunc() != net => Err(Wrong::HostBits(net.trunc())),
        Ok(net) => Ok(net),
        Err(_) if text.parse::<Ipv6Net>().is_ok() || text.parse::<std::net::Ipv6Addr>().is_ok() => {
            not("is IPv6, and only IPv4 is supported", None)
        }
        Err(_) => match text.parse::<std::net::Ipv4Addr>() {
            Ok(address) => not("has no prefix length", Some(address.into())),
            Err(_) => match text.trim().parse::<Ipv4Net>() {
                Ok(net) => not("has space around it", Some(net.trunc())),
                Err(_) => not("is not an IPv4 prefix", None),
            },
        },
    }
}

impl Wrong {
    /// As a failure of an object.
    pub fn failure(&self, kind: Kind, text: &str) -> Failure {
        match self {
            Wrong::NotIpv4 { why, nearest } => {
                let nearest = nearest.map(|net| format!("`{net}`"));
                failure(
                    Reason::NotIpv4Prefix,
                    kind,
                    text,
                    format!("`{text}` {why}"),
                    nearest,
                )
            }
            Wrong::HostBits(net) => {
                let why = format!("`{text}` has bits set beyond its length");
                failure(
                    Reason::HostBitsSet,
                    kind,
                    text,
                    why,
                    Some(format!("`{net}`")),
                )
            }
        }
    }
}

/// A registration that is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registration<'a> {
    pub text: &'a str,
    pub peering: &'a str,
    /// The peering with which the prefix is registered already.
    pub registered_with: Option<&'a str>,
}

/// The prefix, if it may be registered.
///
/// # Errors
/// All gates that are closed, in the portal's order.
pub(super) fn register(
    ground: &Ground<'_>,
    registration: Registration<'_>,
) -> Result<Ipv4Net, Vec<Failure>> {
    let Registration {
        text,
        peering,
        registered_with,
    } = registration;
    let mut failures = Vec::new();
    let mut close = |reason, why: String, nearest: Option<String>| {
        failures.push(failure(reason, Kind::Registered, text, why, nearest));
    };
    let connections: Vec<_> = ground
        .of_peering(peering)
        .map(|place| ground.connection(place))
        .collect();
    if !connections.is_empty()
        && !connections
            .iter()
            .any(|(_, standing)| standing.peering_service)
    {
        let why = format!(
            "the peering {peering} is not for Peering Service: the operation is not supported for its type"
        );
        close(Reason::PeeringNotForPeeringService, why, None);
    }
    let active = connections
        .iter()
        .filter(|(_, standing)| standing.active)
        .count();
    let needed = match ground.policy.active_gate {
        ActiveGate::Any => 1,
        ActiveGate::All => connections.len().max(1),
    };
    if active < needed {
        let waiting = connections.iter().find(|(_, standing)| !standing.active);
        let why = match active {
            0 => format!("the peering {peering} has no connection that is Active"),
            _ => format!("not all connections of the peering {peering} are Active"),
        };
        let nearest =
            waiting.map(|(connection, _)| format!("{}, once it is Active", connection.name));
        close(Reason::NoActiveConnection, why, nearest);
    }
    if let Some(other) = registered_with {
        let why = format!(
            "{text} is registered with the peering {other}, and a prefix is registered once"
        );
        let nearest = format!("the registration with {other}: its key is valid everywhere");
        close(Reason::AlreadyRegistered, why, Some(nearest));
    }
    let net = match prefix(text) {
        Ok(net) => {
            if net.prefix_len() > 24
                && ground.policy.short_prefix == ShortPrefix::RejectRegistration
            {
                let shorter = Ipv4Net::new_assert(net.network(), 24).trunc();
                let why = format!("{text} is smaller than a /24, which is not accepted");
                close(
                    Reason::SmallerThan24NotAccepted,
                    why,
                    Some(format!("`{shorter}`")),
                );
            }
            Some(net)
        }
        Err(wrong) => {
            failures.push(wrong.failure(Kind::Registered, text));
            None
        }
    };
    order(&mut failures);
    match net {
        Some(net) if failures.is_empty() => Ok(net),
        _ => Err(failures),
    }
}

/// A Peering Service prefix cannot be modified (PFX-14).
pub(super) fn activated_already(text: &str, service: &str) -> Failure {
    let why =
        format!("{text} is activated under the service {service} already, and cannot be modified");
    failure(Reason::DifferentPrefix, Kind::Service, text, why, None)
}

fn failure(
    reason: Reason,
    kind: Kind,
    prefix: &str,
    text: String,
    nearest: Option<String>,
) -> Failure {
    let (remedy, config) = remedy::remedy(reason, kind, prefix, None);
    Failure {
        reason: reason.name().to_owned(),
        check: reason.check(kind).to_owned(),
        severity: Severity::Fail,
        connection: None,
        text,
        evidence: Vec::new(),
        nearest,
        remedy,
        config,
    }
}
