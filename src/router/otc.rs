//! Only-to-customer (RFC 9234, section 5): a route that came from a provider, peer or route server goes to customers only.
//!
//! **Invariant:** only sessions with a role take part, and only eBGP ones.

use crate::bgp::attributes::Attributes;
use crate::bgp::message::Role;

/// What becomes of a received route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ingress {
    /// It stays as it is.
    Keep,
    /// The attribute is added with this AS number.
    Add(u32),
    /// It is a leak, and not eligible.
    Leak,
}

/// What becomes of a route received from AS `peer_asn`, where our role is `role`.
pub(super) fn ingress(role: Role, peer_asn: u32, set: &Attributes) -> Ingress {
    match (role, set.only_to_customer) {
        // From a customer or a client of our route server.
        (Role::Provider | Role::RouteServer, Some(_)) => Ingress::Leak,
        (Role::Provider | Role::RouteServer, None) => Ingress::Keep,
        (Role::Peer, Some(asn)) if asn != peer_asn => Ingress::Leak,
        (_, Some(_)) => Ingress::Keep,
        (Role::Customer | Role::RouteServerClient | Role::Peer, None) => Ingress::Add(peer_asn),
    }
}

/// Whether a route may be told, where our role is `role`.
pub(super) fn may_be_told(role: Role, set: &Attributes) -> bool {
    // To a provider, a peer, or a route server.
    let upwards = matches!(role, Role::Customer | Role::Peer | Role::RouteServerClient);
    !upwards || set.only_to_customer.is_none()
}

/// Puts the attribute into a route that is told, where it is due.
pub(super) fn egress(role: Role, asn: u32, set: &mut Attributes) {
    if matches!(role, Role::Provider | Role::Peer | Role::RouteServer) {
        set.only_to_customer.get_or_insert(asn);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn set(only_to_customer: Option<u32>) -> Attributes {
        Attributes {
            only_to_customer,
            ..Attributes::originated(Ipv4Addr::LOCALHOST)
        }
    }

    /// Section 5, the three ingress procedures and the two egress ones.
    #[test]
    fn every_role_in_both_directions() {
        use Ingress::{Add, Keep, Leak};
        // Our role; of AS 64500 without, with its own number, with another one; egress without (told as), with.
        let table = [
            (Role::Provider, [Keep, Leak, Leak], (Some(1), true)),
            (Role::RouteServer, [Keep, Leak, Leak], (Some(1), true)),
            (
                Role::RouteServerClient,
                [Add(64500), Keep, Keep],
                (None, false),
            ),
            (Role::Customer, [Add(64500), Keep, Keep], (None, false)),
            (Role::Peer, [Add(64500), Keep, Leak], (Some(1), false)),
        ];
        for (role, came, (added, told)) in table {
            let of = [None, Some(64500), Some(64501)];
            let outcome = of.map(|otc| ingress(role, 64500, &set(otc)));
            assert_eq!(outcome, came, "{role:?}");
            let mut without = set(None);
            assert!(may_be_told(role, &without), "{role:?}");
            egress(role, 1, &mut without);
            assert_eq!(without.only_to_customer, added, "{role:?}");
            let with = set(Some(7));
            assert_eq!(may_be_told(role, &with), told, "{role:?}");
        }
    }
}
