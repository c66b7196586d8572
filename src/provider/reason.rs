//! Stable names of why a prefix is not verified. Why an edge refuses a route is named in its import policy.
//!
//! Scenarios, records and reports use them; they never change. The checks (V-01 to V-17) are those of
//! [`crate::conformance::SOURCES`], section b.

use crate::bgp::policy;

/// The text is no IPv4 prefix (V-10, PS-E3).
pub const NOT_IPV4_PREFIX: &str = "not-ipv4-prefix";
/// The prefix has host bits set (PFX-07).
pub const HOST_BITS_SET: &str = "host-bits-set";
/// The prefix overlaps a range that is not public (V-01).
pub const PRIVATE_RANGE: &str = "private-range";
/// The origin AS is in no routing registry (V-02).
pub const ORIGIN_NOT_IN_REGISTRY: &str = "origin-not-in-registry";
/// A registry does not answer, and the check that needs it is not decided (V-02).
pub const REGISTRY_UNAVAILABLE: &str = "registry-unavailable";
/// No registry was named, and the checks that need one are not made.
pub const REGISTRY_NOT_CONFIGURED: &str = "registry-not-configured";
/// No route object of the prefix and its origin; a warning (POL-11).
pub const NO_ROUTE_OBJECT: &str = "no-route-object";
/// A session does not announce the prefix (V-03, V-04).
pub const PREFIX_NOT_RECEIVED: &str = "prefix-not-received";
/// A route lacks 8075:8007 (V-05).
pub const MISSING_COMMUNITY: &str = "missing-community";
/// A route's AS path is longer than 3 (V-06).
pub const AS_PATH_TOO_LONG: &str = "as-path-too-long";
/// An AS stands more than once in the path (V-08).
pub const AS_PATH_PREPENDED: &str = "as-path-prepended";
/// A private ASN in the path (V-07).
pub const PRIVATE_ASN_IN_PATH: &str = "private-asn-in-path";
/// AS 0, 23456, 65535 or 4294967295 in the path (V-07).
pub const SPECIAL_ASN_IN_PATH: &str = "special-asn-in-path";
/// The path has an AS_SET (V-06, RFC 9774).
pub const AS_SET: &str = "as-set";
/// The origin is not the peering's AS (E-22).
pub const ORIGIN_NOT_PEER_ASN: &str = "origin-not-peer-asn";
/// The prefix is not registered (V-09).
pub const NOT_REGISTERED: &str = "not-registered";
/// The key is not the registered prefix's (V-09).
pub const WRONG_KEY: &str = "wrong-key";
/// Fewer than two sessions in the primary location (V-11).
pub const TOO_FEW_SESSIONS_IN_PRIMARY: &str = "too-few-sessions-in-primary";
/// The sessions in the primary location end on one router (V-11).
pub const SAME_ROUTER_IN_PRIMARY: &str = "same-router-in-primary";
/// No session in the backup location (V-12).
pub const NO_SESSION_IN_BACKUP: &str = "no-session-in-backup";
/// The provider does not exist (V-13).
pub const PROVIDER_NOT_FOUND: &str = "provider-not-found";
/// Another Peering Service prefix overlaps it (V-14).
pub const OVERLAPS_ANOTHER_PREFIX: &str = "overlaps-another-prefix";
/// The prefix is registered with a peering already (V-15).
pub const ALREADY_REGISTERED: &str = "already-registered";
/// The peering has no Active connection (V-16).
pub const NO_ACTIVE_CONNECTION: &str = "no-active-connection";
/// The peering does not support Peering Service (V-17).
pub const PEERING_NOT_FOR_PEERING_SERVICE: &str = "peering-not-for-peering-service";
/// The route is invalid by RFC 6811 (E-21).
pub const RPKI_INVALID: &str = "rpki-invalid";
/// No validated ROA payload covers the route; a warning by default (POL-12).
pub const RPKI_NOT_FOUND: &str = "rpki-not-found";
/// Microsoft's own fault (RP-E4, PS-E9).
pub const INTERNAL_ERROR: &str = "internal-error";
/// The prefix is longer than /24 and the switch of E-01 refuses it.
pub const SMALLER_THAN_24_NOT_ACCEPTED: &str = "smaller-than-24-not-accepted";
/// A Peering Service prefix cannot be changed, only deleted and created again (PFX-14).
pub const DIFFERENT_PREFIX: &str = "different-prefix";
/// No AS number that a customer could have (RFC 6996, RFC 7607).
pub const NOT_AN_ASN: &str = "not-an-asn";
/// Prefixes are registered here and not AS numbers, or the other way round (section f of the documents).
pub const NOT_IN_THIS_PROFILE: &str = "not-in-this-profile";
/// Reasons of [`Failure`](crate::record::Failure)s: of a registered prefix, a Peering Service prefix, or the creation of one.
pub const OF_PREFIXES: [&str; 30] = [
    NOT_IPV4_PREFIX,
    HOST_BITS_SET,
    PRIVATE_RANGE,
    ORIGIN_NOT_IN_REGISTRY,
    REGISTRY_UNAVAILABLE,
    REGISTRY_NOT_CONFIGURED,
    NO_ROUTE_OBJECT,
    PREFIX_NOT_RECEIVED,
    MISSING_COMMUNITY,
    AS_PATH_TOO_LONG,
    AS_PATH_PREPENDED,
    PRIVATE_ASN_IN_PATH,
    SPECIAL_ASN_IN_PATH,
    AS_SET,
    ORIGIN_NOT_PEER_ASN,
    NOT_REGISTERED,
    WRONG_KEY,
    TOO_FEW_SESSIONS_IN_PRIMARY,
    SAME_ROUTER_IN_PRIMARY,
    NO_SESSION_IN_BACKUP,
    PROVIDER_NOT_FOUND,
    OVERLAPS_ANOTHER_PREFIX,
    ALREADY_REGISTERED,
    NO_ACTIVE_CONNECTION,
    PEERING_NOT_FOR_PEERING_SERVICE,
    RPKI_INVALID,
    RPKI_NOT_FOUND,
    INTERNAL_ERROR,
    SMALLER_THAN_24_NOT_ACCEPTED,
    DIFFERENT_PREFIX,
];

/// Reasons for which an edge refuses a route whatever its import policy says; the others are names in the policy.
/// An AS_SET (RFC 9774), AS 8075 in the path (RFC 4271, section 9), a malformed attribute (RFC 7606), a next hop that is the edge
/// itself or cannot be reached (RFC 4271, section 6.3), a leak (RFC 9234).
pub const OF_ROUTES_ANYWAY: [&str; 6] = [
    policy::AS_SET,
    policy::OWN_AS,
    policy::MALFORMED,
    policy::OWN_NEXT_HOP,
    policy::NEXT_HOP_UNREACHABLE,
    policy::ROUTE_LEAK,
];
