//! The mails that tell of milestones, besides the portal (OPS-03, facts c.5, CNV-09).
//!
//! Their texts are published nowhere; these are ours. In the record a mail is an event of type `MilestoneMail`, level
//! `Information`, whose summary is one of:
//!
//! | summary | about | when |
//! |---|---|---|
//! | `ASN approved` | `AS64500` | Microsoft approved the peer ASN |
//! | `Letter of authorization sent` | connection | the peering was approved: wire it |
//! | `Session addresses allocated` | connection | the LAG runs; the description has the addresses |
//! | `Connection active` | connection | end-to-end validation passed |
//! | `Peering active` | peering | all its connections are active |
//! | `Conversion requested` | peering | the request was received |
//! | `Conversion approved` | peering | connections are converted, one at a time |
//! | `Conversion complete` | peering | all connections are active again |
//! | `Resource removed` | peering or connection | it is deprovisioned |
//!
//! Conversions tell of changed session addresses too; a lab's are Microsoft's from the start, and stay (CNV-05).

use super::Output;
use crate::record::Fact;

/// A milestone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mail {
    AsnApproved,
    LetterOfAuthorization,
    AddressesAllocated,
    ConnectionActive,
    PeeringActive,
    ConversionRequested,
    ConversionApproved,
    ConversionComplete,
    ResourceRemoved,
}

impl Mail {
    /// The mail about something.
    pub(super) fn about(self, subject: &str, text: &str) -> Output {
        let summary = match self {
            Mail::AsnApproved => "ASN approved",
            Mail::LetterOfAuthorization => "Letter of authorization sent",
            Mail::AddressesAllocated => "Session addresses allocated",
            Mail::ConnectionActive => "Connection active",
            Mail::PeeringActive => "Peering active",
            Mail::ConversionRequested => "Conversion requested",
            Mail::ConversionApproved => "Conversion approved",
            Mail::ConversionComplete => "Conversion complete",
            Mail::ResourceRemoved => "Resource removed",
        };
        Output::Fact(Fact::Event {
            event: "MilestoneMail".to_owned(),
            level: "Information".to_owned(),
            subject: subject.to_owned(),
            summary: summary.to_owned(),
            description: text.to_owned(),
        })
    }
}
