//! Telemetry, maintenance and conversions.

use super::Check::{Live, NotYet, Played, Provisioning};
use super::Level::Fact;
use super::{Requirement, row};

/// Telemetry, maintenance and conversions.
pub(super) const TABLE: &[Requirement] = &[
    row(
        "TEL-01",
        Fact,
        NotYet,
        "TEL; TSP",
        "Received routes can be listed per peering.",
    ),
    row(
        "TEL-02",
        Fact,
        NotYet,
        "TEL; MET; PSABOUT",
        "Session availability, rates, flaps and drops are metrics of each connection.",
    ),
    row(
        "TEL-03",
        Fact,
        NotYet,
        "TEL",
        "Latency of registered prefixes is a metric.",
    ),
    row(
        "TEL-04",
        Fact,
        Played,
        "TEL; PSTEL",
        "Availability of the primary and backup sessions and prefix events are shown for a service.",
    ),
    row(
        "MNT-01",
        Fact,
        Live,
        "MNT",
        "Planned maintenance is announced; the other connection carries the traffic meanwhile.",
    ),
    row(
        "CNV-01",
        Fact,
        Provisioning,
        "CONV; VPORT",
        "An existing private interconnect can be converted to voice under conditions.",
    ),
];
