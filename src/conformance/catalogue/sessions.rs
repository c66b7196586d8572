//! Addresses, session parameters and timers.

use super::Check::{Files, Live, NotYet, Played};
use super::Level::Fact;
use super::{Requirement, older, row, unpublished};

/// Addresses, session parameters and timers.
pub(super) const TABLE: &[Requirement] = &[
    older(
        "ADR-04",
        Fact,
        Files,
        "FAQ-2019; PWSH",
        "IPv4 session subnets are /31 or /30; of a /31 the first address is the peer's, the second Microsoft's.",
    ),
    older(
        "ADR-05",
        Fact,
        Files,
        "PWSH; ERROUT",
        "Of a /30, the first usable address is the peer's, the second Microsoft's.",
    ),
    older(
        "ADR-06",
        Fact,
        Files,
        "PWSH; EX; ERROUT",
        "IPv6 session subnets are between /64 and /127.",
    ),
    older(
        "ADR-07",
        Fact,
        NotYet,
        "PWSH",
        "Exchange session addresses are /32 and /128.",
    ),
    older(
        "ADR-08",
        Fact,
        NotYet,
        "WDA",
        "The physical link test at turn-up may use 169.254.0.0/16.",
    ),
    unpublished(
        "BGP-04",
        Played,
        "ERBFD",
        "Keepalive and hold time are not published; 60 s and 180 s are assumed, at least 3 s accepted.",
    ),
    unpublished(
        "BGP-05",
        Played,
        "",
        "TTL security, multihop, graceful restart, add-path and roles are not published; assumed off.",
    ),
    row(
        "BGP-06",
        Fact,
        Played,
        "FAQ",
        "A conversion to Peering Service restarts the BGP session; the peer comes back unaided.",
    ),
    row(
        "BGP-07",
        Fact,
        Played,
        "WDA; WEA",
        "New sessions come up with a deny-all policy until validation has passed.",
    ),
    row(
        "BGP-08",
        Fact,
        NotYet,
        "TSP; FAQ-2019; PWSH; XRSP",
        "The peer declares how many prefixes it will announce at most, per session.",
    ),
    older(
        "BFD-06",
        Fact,
        NotYet,
        "ERBFD",
        "ExpressRoute uses 300 ms, at times 750 ms, times 3; echo mode is off.",
    ),
    unpublished(
        "BFD-07",
        Played,
        "ACG",
        "For voice nothing but 150 ms or 300 ms is published; 150 ms times 3 is assumed.",
    ),
    unpublished(
        "BFD-08",
        Played,
        "ACG",
        "Single hop or per-member BFD, authentication and echo are not published; single hop is assumed.",
    ),
    unpublished(
        "L2-03",
        Played,
        "ERPSTN",
        "LACP rate, min-links, MTU and tagging are not published; any rate, 1, 1500 and untagged are assumed.",
    ),
    row(
        "FLT-06",
        Fact,
        NotYet,
        "SEED; PRP; PWSH",
        "8075:8007 is the only documented community; others are accepted and not required.",
    ),
    unpublished(
        "FLT-07",
        Played,
        "",
        "How long an unregistered prefix may be is not published; /24 is assumed, of IPv6 /48.",
    ),
    row(
        "QOS-01",
        Fact,
        NotYet,
        "SEED",
        "The interconnect is called QoS-enabled; no DSCP values are published.",
    ),
    older(
        "VOI-01",
        Fact,
        NotYet,
        "ERPSTN",
        "PSTN services sit in 52.120.0.0/15; 10 Gbit/s is the least for Peering Service Voice.",
    ),
    older(
        "VOI-02",
        Fact,
        Live,
        "ACG; ACGL; ACGC",
        "Before launch the carrier shows that BFD is enabled and that failover works, on two sites.",
    ),
];
