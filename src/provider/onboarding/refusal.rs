//! Requests that are refused, and why.
//!
//! In the record a refusal is an event of type `RequestRefused`, level `Error`, whose summary is a stable reason:
//!
//! | reason | refused | source |
//! |---|---|---|
//! | `peer-asn-already-registered` | to register the ASN again | ASN |
//! | `peer-asn-not-pending` | to approve or fail an ASN that is not under review | c.1 |
//! | `peer-asn-not-approved` | a peering before the ASN is approved | PRT-01 |
//! | `unknown-peering`, `unknown-connection` | what names nothing of the topology | |
//! | `connection-of-another-metro` | a peering with a connection of another location | E-26 |
//! | `wrong-peering-type`, `wrong-microsoft-network`, `wrong-sku` | another configuration than voice has, or AS8075 without it | PRT-04 |
//! | `wrong-session-address-provider`, `not-used-for-peering-service` | the same of a connection | PRT-05 |
//! | `fewer-than-two-connections` | a peering or conversion without redundancy | RED-02, CNV-01 |
//! | `unequal-bandwidth` | connections of one service with different bandwidths | RED-05, CNV-01 |
//! | `slower-than-10-gbps` | a connection below the minimum | L1-01 |
//! | `already-requested` | a peering that exists, with no new connection | PRT-03 |
//! | `not-requested` | to do something with what was not requested | |
//! | `not-pending-approval` | to approve or reject what waits for no approval | c.2 |
//! | `pending-approval` | to convert what waits for approval | CNV-06 |
//! | `connections-not-active` | to convert, or to add connections to, what is not active | CNV-01, c.3 |
//! | `bgp-and-bfd-not-up` | to convert before the peer's BGP and BFD are up | CNV-05 |
//! | `conversion-in-progress` | to add, remove or reject during a conversion | CNV-02 |
//! | `not-being-provisioned` | to wire, or to fail, a connection that is not being provisioned | c.2 |
//! | `already-cabled` | to wire a connection twice | |
//! | `not-validating` | to validate a connection whose LAG, BFD and BGP are not all up, or that is active | c.2 |
//! | `still-provisioning` | to remove while `ProvisioningStarted` or `ProvisioningCompleted` | c.2 row D |
//! | `being-removed` | anything with what is being deprovisioned | E-13 |

use super::Output;
use crate::record::Fact;

/// Why a request about something is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// An ASN, a peering or a connection.
    pub(super) subject: String,
    /// The stable name.
    pub(super) reason: &'static str,
    /// What is wrong and what to do.
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(
        subject: impl Into<String>,
        reason: &'static str,
        text: impl Into<String>,
    ) -> Refusal {
        Refusal {
            subject: subject.into(),
            reason,
            text: text.into(),
        }
    }
}

impl From<Refusal> for Output {
    fn from(refusal: Refusal) -> Output {
        Output::Fact(Fact::Event {
            event: "RequestRefused".to_owned(),
            level: "Error".to_owned(),
            subject: refusal.subject,
            summary: refusal.reason.to_owned(),
            description: refusal.text,
        })
    }
}
