//! The requirements as tables, one file per group of documents, and the documents they come from.
//!
//! Ids stay for ever; a requirement that Microsoft drops changes its certainty, not its id.

mod creation;
mod operations;
mod policy;
mod prefixes;
mod sessions;
mod voice;

use super::{Certainty, Check, Level, Requirement};

/// The tables, in reading order.
pub(super) const SECTIONS: [&[Requirement]; 6] = [
    voice::TABLE,
    creation::TABLE,
    prefixes::TABLE,
    policy::TABLE,
    sessions::TABLE,
    operations::TABLE,
];

/// Source keys and the documents they stand for. Paths are in MicrosoftDocs/azure-docs unless said otherwise.
pub const SOURCES: &[(&str, &str)] = &[
    (
        "SEED",
        "internet-peering/walkthrough-communications-services-partner.md, 10/23/2024",
    ),
    ("SEED-2306", "the same, 06/15/2023"),
    ("SEED-2307", "the same, 07/23/2023"),
    ("SEED-2210", "the same, 10/10/2022"),
    (
        "PRP",
        "internet-peering/peering-registered-prefix-requirements.md",
    ),
    (
        "PSP",
        "peering-service/peering-service-prefix-requirements.md",
    ),
    ("POL", "internet-peering/policy.md, 03/08/2023"),
    (
        "PPO",
        "internet-peering/peering-service-partner-overview.md",
    ),
    ("WPS", "internet-peering/walkthrough-peering-service-all.md"),
    (
        "WXRS",
        "internet-peering/walkthrough-exchange-route-server-partner.md",
    ),
    (
        "XRSP",
        "internet-peering/how-to-exchange-route-server-portal.md, 05/19/2020",
    ),
    ("WDA", "internet-peering/walkthrough-direct-all.md"),
    ("WEA", "internet-peering/walkthrough-exchange-all.md"),
    (
        "CONV",
        "internet-peering/walkthrough-direct-peering-type-conversions.md",
    ),
    (
        "VPORT",
        "internet-peering/howto-peering-service-voice-portal.md",
    ),
    (
        "ASN",
        "internet-peering/howto-subscription-association-portal.md",
    ),
    ("PRE", "internet-peering/prerequisites.md"),
    ("FAQ", "internet-peering/faqs.md, 09/20/2023"),
    ("FAQ-2019", "the same, 11/27/2019"),
    (
        "TEL",
        "internet-peering/walkthrough-monitoring-telemetry.md",
    ),
    (
        "MNT",
        "internet-peering/walkthrough-device-maintenance-notification.md",
    ),
    ("PSABOUT", "peering-service/about.md"),
    ("PSPORTAL", "peering-service/azure-portal.md"),
    ("PSTEL", "peering-service/connection-telemetry.md"),
    ("PSCUST", "peering-service/customer-walkthrough.md"),
    ("PSFAQ", "peering-service/faq.yml"),
    ("ACG", "communications-gateway/deploy.md"),
    ("ACGL", "communications-gateway/prepare-for-live-traffic.md"),
    ("ACGC", "communications-gateway/connectivity.md"),
    ("ERBFD", "expressroute/expressroute-bfd.md"),
    ("ERROUT", "expressroute/expressroute-routing.md"),
    (
        "ERPSTN",
        "expressroute/using-expressroute-for-microsoft-pstn.md",
    ),
    (
        "TSP",
        "Azure/azure-rest-api-specs, Microsoft.Peering, api 2025-05-01",
    ),
    ("EX", "examples of the same API"),
    ("PWSH", "Azure/azure-powershell, src/Peering"),
    (
        "MET",
        "azure-reference-other, metrics of microsoft-peering-peerings",
    ),
];

/// A documented requirement.
const fn row(
    id: &'static str,
    level: Level,
    check: Check,
    source: &'static str,
    text: &'static str,
) -> Requirement {
    Requirement {
        id,
        level,
        certainty: Certainty::Documented,
        text,
        source,
        check,
    }
}

/// A requirement that only an older revision or a sibling's document has.
const fn older(
    id: &'static str,
    level: Level,
    check: Check,
    source: &'static str,
    text: &'static str,
) -> Requirement {
    Requirement {
        certainty: Certainty::Older,
        ..row(id, level, check, source, text)
    }
}

/// Something of which nothing is published.
const fn unpublished(
    id: &'static str,
    check: Check,
    source: &'static str,
    text: &'static str,
) -> Requirement {
    Requirement {
        certainty: Certainty::Unpublished,
        ..row(id, Level::Fact, check, source, text)
    }
}
