//! The mails that tell of milestones, besides the portal (OPS-03, facts c.5, CNV-09).
//!
//! Their texts are published nowhere; these are ours. In the record a mail is an event of level `Information`:
//!
//! | event | about | when |
//! |---|---|---|
//! | `AsnApproved` | `AS64500` | Microsoft approved the peer ASN |
//! | `LetterOfAuthorizationSent` | connection | the peering was approved: wire it |
//! | `AddressesAllocated` | connection | the LAG runs; the description has the addresses |
//! | `ConnectionActive` | connection | end-to-end validation passed |
//! | `PeeringActive` | peering | all its connections are active |
//! | `ConversionRequested` | peering | the request was received |
//! | `ConversionApproved` | peering | connections are converted, one at a time |
//! | `ConversionCompleted` | peering | all connections are active again |
//! | `ResourceRemoved` | peering or connection | it is deprovisioned |
//!
//! `SessionAddressesChanged` is a mail of conversions too; a lab's addresses are Microsoft's from the start, and stay (CNV-05).

use super::Output;
use crate::record::Fact;

/// A milestone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mail {
    AsnApproved,
    LetterOfAuthorizationSent,
    AddressesAllocated,
    ConnectionActive,
    PeeringActive,
    ConversionRequested,
    ConversionApproved,
    ConversionCompleted,
    ResourceRemoved,
}

impl Mail {
    /// The mail about something.
    pub(super) fn about(self, subject: &str, text: &str) -> Output {
        let (event, summary) = match self {
            Mail::AsnApproved => ("AsnApproved", "the peer ASN is approved"),
            Mail::LetterOfAuthorizationSent => (
                "LetterOfAuthorizationSent",
                "the letter of authorization is sent",
            ),
            Mail::AddressesAllocated => ("AddressesAllocated", "session addresses are allocated"),
            Mail::ConnectionActive => ("ConnectionActive", "the connection is active"),
            Mail::PeeringActive => ("PeeringActive", "the peering is active"),
            Mail::ConversionRequested => (
                "ConversionRequested",
                "the request of a conversion is received",
            ),
            Mail::ConversionApproved => ("ConversionApproved", "the conversion is approved"),
            Mail::ConversionCompleted => ("ConversionCompleted", "the conversion is complete"),
            Mail::ResourceRemoved => ("ResourceRemoved", "the resource is removed"),
        };
        Output::Fact(Fact::Event {
            event: event.to_owned(),
            level: "Information".to_owned(),
            subject: subject.to_owned(),
            summary: summary.to_owned(),
            description: text.to_owned(),
        })
    }
}
