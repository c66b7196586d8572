//! Registering and activating prefixes.

use super::Check::{Live, NotYet, Played, Provisioning};
use super::Level::{Fact, Must};
use super::{Requirement, row};

/// Registering and activating prefixes.
pub(super) const TABLE: &[Requirement] = &[
    row(
        "PFX-04",
        Must,
        Provisioning,
        "SEED; WPS",
        "A connection of the peering is Active before prefixes are registered.",
    ),
    row(
        "PFX-05",
        Must,
        Live,
        "SEED",
        "Registered prefixes are announced over the connections of their peering.",
    ),
    row(
        "PFX-06",
        Fact,
        Provisioning,
        "SEED; WPS",
        "A prefix is registered with one peering only; its key holds everywhere.",
    ),
    row(
        "PFX-07",
        Fact,
        Provisioning,
        "SEED; PSPORTAL",
        "A registered prefix is a name and an IPv4 prefix.",
    ),
    row(
        "PFX-08",
        Fact,
        Played,
        "SEED; EX",
        "A new registered prefix waits for validation; its key is issued when it is verified.",
    ),
    row(
        "PFX-09",
        Fact,
        Played,
        "SEED; PSCUST",
        "Registration alone does not give optimised routing; activation does.",
    ),
    row(
        "PFX-10",
        Must,
        Provisioning,
        "SEED; PSPORTAL; PSCUST",
        "Prefixes are activated under a Peering Service resource with a primary and perhaps a backup location.",
    ),
    row(
        "PFX-11",
        Fact,
        Live,
        "SEED; PSCUST; PSPORTAL",
        "The backup location is used only when the primary fails; without one, traffic goes over the internet.",
    ),
    row(
        "PFX-12",
        Must,
        Provisioning,
        "SEED",
        "An activated prefix has the key of its registration.",
    ),
    row(
        "PFX-13",
        Fact,
        Played,
        "SEED",
        "Activation is complete when validation has passed.",
    ),
    row(
        "PFX-14",
        Fact,
        Provisioning,
        "PSPORTAL",
        "An activated prefix cannot be modified; locations change by e-mail only.",
    ),
    row(
        "PFX-15",
        Fact,
        Provisioning,
        "PSFAQ",
        "With several providers, each has different prefixes.",
    ),
    row(
        "PFX-16",
        Fact,
        Provisioning,
        "PSFAQ",
        "Prefixes longer than /24 are registered by the partner and activated with the key.",
    ),
    row(
        "PFX-17",
        Fact,
        Live,
        "PSP",
        "Another origin AS works when it is a PeerAsn of the same name in the same subscription.",
    ),
    row(
        "PFX-18",
        Fact,
        NotYet,
        "PSFAQ",
        "Internet routing preference and Peering Service exclude each other.",
    ),
    row(
        "PFX-19",
        Fact,
        Live,
        "PSFAQ; PSABOUT",
        "Traffic of an activated prefix is handed to the chosen provider at the preferred location only.",
    ),
];
