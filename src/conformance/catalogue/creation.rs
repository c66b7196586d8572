//! Creating the peering, and the numbers of the FAQ.

use super::Check::{Files, Live, NotYet, Played, Provisioning};
use super::Level::{Fact, Must, MustNot};
use super::{Requirement, row};

/// Creating the peering, and the numbers of the FAQ.
pub(super) const TABLE: &[Requirement] = &[
    row(
        "PRT-01",
        Must,
        Provisioning,
        "SEED; ASN; PRE",
        "The AS number is associated with the subscription and approved first, with contacts of the NOC; up to 12 hours.",
    ),
    row(
        "PRT-02",
        Fact,
        NotYet,
        "ASN",
        "The resource provider Microsoft.Peering is registered in the subscription.",
    ),
    row(
        "PRT-03",
        Fact,
        NotYet,
        "SEED",
        "Subscription, resource group, name and AS number of a peering cannot be changed later.",
    ),
    row(
        "PRT-04",
        Must,
        Provisioning,
        "SEED",
        "The peering is Direct, network AS8075 (with Voice), SKU Premium Free.",
    ),
    row(
        "PRT-05",
        Must,
        Provisioning,
        "SEED",
        "Every connection takes its addresses from Microsoft and is used for Peering Service.",
    ),
    row(
        "ADR-03",
        Fact,
        Played,
        "SEED; FAQ",
        "Session addresses are allocated after the port is configured, which may take a week.",
    ),
    row(
        "BGP-01",
        Fact,
        Played,
        "SEED",
        "Once the LAG is up, BGP is provisioned together with BFD; the peer configures both.",
    ),
    row(
        "BGP-02",
        Fact,
        Played,
        "SEED; FAQ; PSFAQ",
        "Microsoft announces all its public service prefixes on the interconnect.",
    ),
    row(
        "BGP-03",
        Fact,
        Played,
        "SEED; WPS; WXRS",
        "About 280 prefixes, growing by 10 to 15 percent; a maximum of 400 to 500 is safe.",
    ),
    row(
        "FLT-01",
        Fact,
        Played,
        "SEED; PSCUST",
        "Microsoft does not announce the prefixes of the peer to the internet.",
    ),
    row(
        "FLT-02",
        MustNot,
        Live,
        "SEED",
        "No private AS number in an AS path.",
    ),
    row(
        "FLT-03",
        Must,
        Live,
        "SEED",
        "Registered prefixes longer than /24 have at most three AS numbers in their path.",
    ),
    row(
        "PFX-03",
        Fact,
        Live,
        "SEED; PSFAQ",
        "Prefixes longer than /24 may be announced when they are registered.",
    ),
    row(
        "L1-01",
        Must,
        Files,
        "SEED; FAQ; WPS; WXRS",
        "A link has at least 10 Gbit/s.",
    ),
    row(
        "L1-02",
        Fact,
        Played,
        "SEED; WPS; WXRS",
        "At 40 percent utilisation the peer has 45 to 60 days to augment the LAG.",
    ),
    row(
        "OPS-02",
        Fact,
        NotYet,
        "SEED",
        "No settlement; the peer pays the cross-connects.",
    ),
    row(
        "OPS-03",
        Fact,
        Played,
        "SEED",
        "Onboarding takes at least three weeks, with e-mails at the milestones.",
    ),
    row(
        "OPS-04",
        Fact,
        NotYet,
        "SEED",
        "Onboarding is done in the portal.",
    ),
    row(
        "OPS-05",
        Fact,
        NotYet,
        "SEED; POL",
        "Edge sites are the public points of presence that PeeringDB lists.",
    ),
    row(
        "BFD-05",
        Fact,
        Live,
        "SEED",
        "Convergence takes less than a second, through BFD.",
    ),
];
